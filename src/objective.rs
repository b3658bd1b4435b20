//! The objective: what the network may predict, what the bound charges for its error, and what is minimised in practice.
//!
//! Given x_t, the four numbers x_0, ε, v and the mean μ of x_{t−1} determine each other, so that a network may predict any
//! of them. The bound charges the same error differently in each: [`eps_weight`], [`x0_weight`], [`v_weight`]. Arguments
//! come in the order data, x_t, step, prediction.
//!
//! Of the twelve ways from one of the four to another, these have a formula of their own: between x_0 and ε
//! ([`eps_from_x0`], [`x0_from_eps`]), from v to both ([`x0_from_v`], [`eps_from_v`]), and between μ and both
//! ([`posterior_mean`](crate::posterior::posterior_mean), [`mean_from_eps`], [`x0_from_mean`], [`eps_from_mean`]). The other
//! four are made of these: from x_0, ε or μ to v by [`v_target`], once x_0 and ε are both there, and from v to μ by
//! `posterior_mean(&x0_from_v(xt, step, v)?, xt, step)`, which divides by nothing that can be 0.

use ndarray::{Array, ArrayRef, Dimension, Zip};

use crate::error::{Error, Result, positive, same_shape};
use crate::forward::{marginal_moments, weighted_sum};
use crate::gaussian::ratio_excess;
use crate::posterior::posterior_mean_from_eps;
use crate::schedule::{Schedule, Step};

/// The variance σ_t² of the model's reverse step p(x_{t−1} | x_t): one of the two that Ho et al. 2020, section 3.2, tried.
///
/// `Beta` is the right one if the data is N(0, I), `BetaTilde` if it is a single point. See
/// [`ancestral_moments`](crate::sampler::ancestral_moments) for what each costs in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// σ_t² = β_t.
    #[doc(alias = "fixed_large")]
    Beta,
    /// σ_t² = β̃_t, which is 0 at t = 1.
    #[doc(alias = "fixed_small")]
    BetaTilde,
}

impl Variance {
    /// σ_t².
    ///
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, objective::Variance};
    /// let step = Schedule::from_betas(&[0.5, 0.5])?.step(2)?;
    /// assert_eq!(Variance::Beta.of(step), 0.5);
    /// assert_eq!(Variance::BetaTilde.of(step), 0.5 * 0.5 / 0.75);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn of(self, step: Step) -> f64 {
        match self {
            Self::Beta => step.beta,
            Self::BetaTilde => step.beta_tilde,
        }
    }
}

/// What a network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε.
    #[doc(alias = "epsilon")]
    Eps,
    /// The data x_0.
    #[doc(alias = "sample")]
    X0,
    /// The velocity v.
    #[doc(alias = "v_prediction")]
    V,
}

/// The noise that leads from x_0 to x_t.
///
/// # Formula
/// ε = (x_t − √ᾱ_t · x_0) / √(1 − ᾱ_t)                      (slug `eps_from_x0`)
/// # Shapes
/// `x0`, `xt`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `xt` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 4, solved for the noise
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_sample, objective::eps_from_x0};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let xt = q_sample(&array![2.0], step, &array![1.0])?;
/// assert!((eps_from_x0(&array![2.0], &xt, step)?[0] - 1.0).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_from_x0
pub fn eps_from_x0<D: Dimension>(x0: &ArrayRef<f64, D>, xt: &ArrayRef<f64, D>, step: Step) -> Result<Array<f64, D>> {
    same_shape("xt", x0, xt)?;
    let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
    Ok(Zip::from(x0).and(xt).map_collect(|&x0, &xt| (xt - signal * x0) / noise))
}
// ANCHOR_END: eps_from_x0

/// The data from which the noise leads to x_t.
///
/// # Formula
/// x_0 = (x_t − √(1 − ᾱ_t) · ε) / √ᾱ_t                      (slug `x0_from_eps`)
/// # Shapes
/// `xt`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `eps` differ in shape; [`Error::ZeroSnr`] where ᾱ_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 15
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_sample, objective::x0_from_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let xt = q_sample(&array![2.0], step, &array![1.0])?;
/// assert!((x0_from_eps(&xt, step, &array![1.0])?[0] - 2.0).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "predict_start_from_noise")]
#[doc(alias = "pred_original_sample")]
// ANCHOR: x0_from_eps
pub fn x0_from_eps<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", xt, eps)?;
    if step.alpha_bar == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
    Ok(Zip::from(xt).and(eps).map_collect(|&xt, &eps| (xt - noise * eps) / signal))
}
// ANCHOR_END: x0_from_eps

/// The velocity: how x_t changes along the quarter circle from the data to the noise.
///
/// Write √ᾱ_t = cos φ and √(1 − ᾱ_t) = sin φ. Then x_t = cos φ · x_0 + sin φ · ε, and v is its derivative by φ. So
/// (x_t, v) are the coordinates of (x_0, ε) in axes turned by φ, and turning back needs no division.
///
/// # Formula
/// v = √ᾱ_t · ε − √(1 − ᾱ_t) · x_0                      (slug `v_target`)
/// # Shapes
/// `x0`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `eps` differ in shape
/// # Source
/// Salimans, Ho 2022, section 4 and appendix D
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::v_target};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// assert_eq!(v_target(&array![1.0], step, &array![0.0])?, array![-0.8]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "get_velocity")]
// ANCHOR: v_target
pub fn v_target<D: Dimension>(x0: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", x0, eps)?;
    Ok(weighted_sum(step.alpha_bar.sqrt(), eps, -step.one_minus_alpha_bar.sqrt(), x0))
}
// ANCHOR_END: v_target

/// The data, from x_t and its velocity. Also where ᾱ_t = 0.
///
/// # Formula
/// x_0 = √ᾱ_t · x_t − √(1 − ᾱ_t) · v                      (slug `x0_from_v`)
/// # Shapes
/// `xt`, `v`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `v` differ in shape
/// # Source
/// Salimans, Ho 2022, appendix D
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::x0_from_v};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[1.0])?.step(1)?; // nothing of the data is left in x_t
/// assert_eq!(x0_from_v(&array![0.3], step, &array![-2.0])?, array![2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: x0_from_v
pub fn x0_from_v<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, v: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("v", xt, v)?;
    Ok(weighted_sum(step.alpha_bar.sqrt(), xt, -step.one_minus_alpha_bar.sqrt(), v))
}
// ANCHOR_END: x0_from_v

/// The noise, from x_t and its velocity.
///
/// # Formula
/// ε = √(1 − ᾱ_t) · x_t + √ᾱ_t · v                      (slug `eps_from_v`)
/// # Shapes
/// `xt`, `v`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `v` differ in shape
/// # Source
/// Salimans, Ho 2022, appendix D
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::eps_from_v};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// assert_eq!(eps_from_v(&array![0.0], step, &array![1.0])?, array![0.6]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_from_v
pub fn eps_from_v<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, v: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("v", xt, v)?;
    Ok(weighted_sum(step.one_minus_alpha_bar.sqrt(), xt, step.alpha_bar.sqrt(), v))
}
// ANCHOR_END: eps_from_v

/// The model's mean of x_{t−1}: the posterior mean, with the predicted noise in the place of the true one.
///
/// It is the same function as [`posterior_mean_from_eps`]. That one is a fact about q, where ε is the noise that led to x_t;
/// this one defines the model, where `eps` is the network's guess.
///
/// # Formula
/// μ_θ(x_t, t) = (x_t − β_t/√(1 − ᾱ_t) · ε_θ(x_t, t)) / √α_t                      (slug `mean_from_eps`)
/// # Shapes
/// `xt`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `eps` differ in shape; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 11
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::mean_from_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let mean = mean_from_eps(&array![1.0], step, &array![1.0])?; // at t = 1, x_0 itself
/// assert!((mean[0] - (1.0 - 0.75_f64.sqrt()) / 0.5).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: mean_from_eps
pub fn mean_from_eps<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    posterior_mean_from_eps(xt, step, eps)
}
// ANCHOR_END: mean_from_eps

/// The x_0 for which the posterior mean of x_{t−1} is `mean`. At t = 1 that is `mean` itself.
///
/// # Formula
/// x_0 = [(1 − ᾱ_t) · μ − √α_t (1 − ᾱ_{t−1}) · x_t] / (√ᾱ_{t−1} β_t)                      (slug `x0_from_mean`)
/// # Shapes
/// `xt`, `mean`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `mean` differ in shape; [`Error::ZeroSnr`] where ᾱ_{t−1} = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7, solved for x_0
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::x0_from_mean};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// assert_eq!(x0_from_mean(&array![1.0], step, &array![0.3])?, array![0.3]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: x0_from_mean
pub fn x0_from_mean<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, mean: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("mean", xt, mean)?;
    if step.alpha_bar_prev == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let scale = 1.0 / (step.alpha_bar_prev.sqrt() * step.beta);
    let share_of_xt = step.alpha.sqrt() * step.one_minus_alpha_bar_prev;
    Ok(weighted_sum(scale * step.one_minus_alpha_bar, mean, -scale * share_of_xt, xt))
}
// ANCHOR_END: x0_from_mean

/// The noise for which the mean of x_{t−1} is `mean`.
///
/// # Formula
/// ε = √(1 − ᾱ_t)/β_t · (x_t − √α_t · μ)                      (slug `eps_from_mean`)
/// # Shapes
/// `xt`, `mean`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `mean` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 11, solved for the noise
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::eps_from_mean};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// assert!((eps_from_mean(&array![1.0], step, &array![1.0])?[0] - 0.4 / 0.8).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_from_mean
pub fn eps_from_mean<D: Dimension>(
    xt: &ArrayRef<f64, D>,
    step: Step,
    mean: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("mean", xt, mean)?;
    let (signal, scale) = (step.alpha.sqrt(), step.one_minus_alpha_bar.sqrt() / step.beta);
    Ok(Zip::from(xt).and(mean).map_collect(|&xt, &mean| scale * (xt - signal * mean)))
}
// ANCHOR_END: eps_from_mean

/// The KL of two Gaussians that differ in their means alone: a weighted squared error. In nats, summed over dimensions.
///
/// # Formula
/// KL(N(μ_q, σ²I) ‖ N(μ_p, σ²I)) = ‖μ_q − μ_p‖² / (2σ²)                      (slug `kl_equal_variance`)
/// # Shapes
/// `mean_q`, `mean_p`: any, both equal; result: one number
/// # Errors
/// [`Error::ShapeMismatch`] where the means differ in shape; [`Error::OutOfRange`] unless `variance` is a finite number
/// above 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 8
/// # Examples
/// ```
/// use literate_diffusion::objective::kl_equal_variance;
/// use ndarray::array;
/// assert_eq!(kl_equal_variance(&array![1.0, 2.0], &array![0.0, 0.0], 0.5)?, 5.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: kl_equal_variance
pub fn kl_equal_variance<D: Dimension>(
    mean_q: &ArrayRef<f64, D>,
    mean_p: &ArrayRef<f64, D>,
    variance: f64,
) -> Result<f64> {
    same_shape("mean_p", mean_q, mean_p)?;
    positive("variance", variance)?;
    Ok(squared_error(mean_q, mean_p) / (2.0 * variance))
}
// ANCHOR_END: kl_equal_variance

/// The term L_{t−1} of the bound for one x_0 and x_t, in nats, summed over dimensions.
///
/// Only the first part depends on the network. The second is 0 for σ² = β̃_t, and for no other σ².
///
/// # Formula
/// KL(N(μ̃, β̃_t I) ‖ N(μ_θ, σ²I)) = ‖μ̃ − μ_θ‖²/(2σ²) + d · ½(r − 1 − ln r), r = β̃_t/σ²   (slug `kl_reverse_step`)
/// # Shapes
/// `mu_tilde`, `mu_theta`: any, both equal, d numbers each; result: one number
/// # Errors
/// [`Error::OutOfRange`] at t = 1, where β̃_t = 0 and the KL is infinite, and unless `variance` (σ²) is a finite number
/// above 0; [`Error::ShapeMismatch`] where the means differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 5, the terms L_{t−1}
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Variance, kl_reverse_step}};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5, 0.5])?.step(2)?;
/// let perfect = kl_reverse_step(&array![1.0], step, &array![1.0], Variance::Beta.of(step))?;
/// assert!((perfect - 0.5 * (2.0 / 3.0 - 1.0 - (2.0_f64 / 3.0).ln())).abs() < 1e-15); // and yet not 0
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: kl_reverse_step
pub fn kl_reverse_step<D: Dimension>(
    mu_tilde: &ArrayRef<f64, D>,
    step: Step,
    mu_theta: &ArrayRef<f64, D>,
    variance: f64,
) -> Result<f64> {
    after_first(step)?;
    let weighted_error = kl_equal_variance(mu_tilde, mu_theta, variance)?;
    let constant = 0.5 * ratio_excess(step.beta_tilde, variance);
    Ok(weighted_error + mu_tilde.len() as f64 * constant)
}
// ANCHOR_END: kl_reverse_step

/// What the bound charges for an error in ε: w(t) in w(t) ‖ε − ε_θ‖².
///
/// # Formula
/// w(t) = β_t² / (2σ² α_t (1 − ᾱ_t))                      (slug `eps_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (σ²) is a finite number above 0; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 12
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Variance, eps_weight}};
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let w = |t| schedule.step(t).and_then(|step| eps_weight(step, Variance::Beta.of(step)));
/// assert!(w(1)? > 10.0 * w(100)?); // L_simple, with weight 1 at every t, cares less for small t
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_weight
pub fn eps_weight(step: Step, variance: f64) -> Result<f64> {
    positive("variance", variance)?;
    if step.alpha == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    Ok(step.beta.powi(2) / (2.0 * variance * step.alpha * step.one_minus_alpha_bar))
}
// ANCHOR_END: eps_weight

/// What the bound charges for an error in x_0: w(t) in w(t) ‖x_0 − x̂_0‖².
///
/// # Formula
/// w(t) = ᾱ_{t−1} β_t² / (2σ² (1 − ᾱ_t)²)                      (slug `x0_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (σ²) is a finite number above 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7 put into eq. 8
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::x0_weight};
/// let first = Schedule::from_betas(&[0.3])?.step(1)?;
/// assert!((x0_weight(first, 0.25)? - 2.0).abs() < 1e-15); // at t = 1 the mean is x_0: 1/(2σ²)
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: x0_weight
pub fn x0_weight(step: Step, variance: f64) -> Result<f64> {
    positive("variance", variance)?;
    Ok(step.alpha_bar_prev * (step.beta / step.one_minus_alpha_bar).powi(2) / (2.0 * variance))
}
// ANCHOR_END: x0_weight

/// What the bound charges for an error in v: w(t) in w(t) ‖v − v_θ‖².
///
/// # Formula
/// w(t) = ᾱ_{t−1} β_t² / (2σ² (1 − ᾱ_t))                      (slug `v_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (σ²) is a finite number above 0
/// # Source
/// Salimans, Ho 2022, appendix D, put into Ho, Jain, Abbeel 2020, eq. 8
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::v_weight};
/// let last = Schedule::from_betas(&[0.5, 1.0])?.step(2)?;
/// assert_eq!(v_weight(last, 1.0)?, 0.25); // finite at zero SNR, where the weight of ε is not
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: v_weight
pub fn v_weight(step: Step, variance: f64) -> Result<f64> {
    positive("variance", variance)?;
    Ok(step.alpha_bar_prev * step.beta.powi(2) / (2.0 * variance * step.one_minus_alpha_bar))
}
// ANCHOR_END: v_weight

/// The weight of an error in x_0 if σ² = β̃_t, t ≥ 2: half the signal-to-noise ratio that the step loses.
///
/// For any other σ², [`x0_weight`] is the weight. The difference is taken over the common denominator, without
/// cancellation.
///
/// # Formula
/// ½(SNR(t − 1) − SNR(t)) = ᾱ_{t−1} β_t / (2 (1 − ᾱ_{t−1})(1 − ᾱ_t))                      (slug `snr_weight`)
/// # Errors
/// [`Error::OutOfRange`] at t = 1, where SNR(0) is infinite
/// # Source
/// Kingma, Salimans, Poole, Ho 2021, section 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::snr_weight};
/// let schedule = Schedule::from_betas(&[0.5, 1.0])?; // SNR 1, then 0
/// assert_eq!(snr_weight(schedule.step(2)?)?, 0.5);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: snr_weight
pub fn snr_weight(step: Step) -> Result<f64> {
    after_first(step)?;
    let (noise_prev, noise) = (step.one_minus_alpha_bar_prev, step.one_minus_alpha_bar);
    Ok(step.alpha_bar_prev * step.beta / (2.0 * noise_prev * noise))
}
// ANCHOR_END: snr_weight

/// The weight of L_simple, lowered where little noise is left: as the weight of an error in x_0, the SNR cut off at γ.
///
/// Weight 1 on an error in ε is weight SNR on one in x_0. The cut-off takes away from small t, where the bound gives most.
///
/// The three forms charge the same error the same: ‖x_0 − x̂_0‖² = ‖ε − ε_θ‖²/SNR = ‖v − v_θ‖²/(SNR + 1).
///
/// # Formula
/// w(t) = min(SNR(t), γ) · {1 for x_0, 1/SNR(t) for ε, 1/(SNR(t) + 1) for v}                      (slug `min_snr_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless `gamma` is a finite number above 0
/// # Source
/// Hang, Gu, Li, Bao, Chen, Hu, Geng, Guo 2023, section 3.4; γ = 5 is [`paper::MIN_SNR_GAMMA`](crate::paper::MIN_SNR_GAMMA)
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Prediction, min_snr_weight}, paper};
/// let step = Schedule::from_betas(&[0.1])?.step(1)?; // SNR 9
/// assert!((min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps)? - 5.0 / 9.0).abs() < 1e-15);
/// assert!((min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::V)? - 5.0 / 10.0).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: min_snr_weight
pub fn min_snr_weight(step: Step, gamma: f64, prediction: Prediction) -> Result<f64> {
    positive("gamma", gamma)?;
    let snr = step.snr();
    Ok(match prediction {
        Prediction::X0 => snr.min(gamma),
        Prediction::Eps => (gamma / snr).min(1.0),
        Prediction::V => snr.min(gamma) / (snr + 1.0),
    })
}
// ANCHOR_END: min_snr_weight

/// The loss that is minimised in practice: the bound with every weight dropped, for one draw of t, x_0 and ε.
///
/// # Formula
/// L_simple = ‖ε − ε_θ‖² / d                      (slug `l_simple`)
/// # Shapes
/// `eps`, `eps_theta`: any, both equal, d numbers each (a batch counts as one long vector); result: one number
/// # Errors
/// [`Error::ShapeMismatch`] where the arrays differ in shape; [`Error::Empty`] where they have no element
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 14, divided by d
/// # Examples
/// ```
/// use literate_diffusion::objective::l_simple;
/// use ndarray::array;
/// assert_eq!(l_simple(&array![1.0, 2.0], &array![1.0, 0.0])?, 2.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "mse_loss")]
// ANCHOR: l_simple
pub fn l_simple<D: Dimension>(eps: &ArrayRef<f64, D>, eps_theta: &ArrayRef<f64, D>) -> Result<f64> {
    same_shape("eps_theta", eps, eps_theta)?;
    if eps.is_empty() {
        return Err(Error::Empty { name: "eps" });
    }
    Ok(squared_error(eps, eps_theta) / eps.len() as f64)
}
// ANCHOR_END: l_simple

/// Times for a batch: half of it from uniform draws, the other half their mirror images.
///
/// Each time is uniform over 1..=T. A loss that falls with t is high at one of t and T + 1 − t and low at the other, so that
/// the mean over a pair varies less than the mean over two independent times.
///
/// # Formula
/// t = ⌊u T⌋ + 1, then T + 1 − t                      (slug `antithetic_times`)
/// # Shapes
/// `uniforms`: n draws from [0, 1); result: 2n times, draw i at i and its mirror image at n + i
/// # Errors
/// [`Error::NoTimesteps`] where `timesteps` (T) is 0; [`Error::OutOfRange`] for a draw outside [0, 1)
/// # Source
/// The widespread S-curve notebook; antithetic variates, Hammersley, Morton 1956
/// # Examples
/// ```
/// use literate_diffusion::objective::antithetic_times;
/// assert_eq!(antithetic_times(&[0.0, 0.25, 0.99], 100)?, [1, 26, 100, 100, 75, 1]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: antithetic_times
pub fn antithetic_times(uniforms: &[f64], timesteps: usize) -> Result<Vec<usize>> {
    if timesteps == 0 {
        return Err(Error::NoTimesteps);
    }
    if let Some(&got) = uniforms.iter().find(|u| !(0.0..1.0).contains(*u)) {
        return Err(Error::OutOfRange { name: "a uniform draw", expected: "at least 0 and below 1", got });
    }
    let drawn = uniforms.iter().map(|u| (u * timesteps as f64) as usize + 1);
    let mirrored = drawn.clone().map(|t| timesteps - t + 1);
    Ok(drawn.chain(mirrored).collect())
}
// ANCHOR_END: antithetic_times

/// The best possible prediction of ε where every coordinate of the data is N(m, s²), independently.
///
/// Of all functions of x_t, E[ε | x_t] has the smallest mean squared error. Here ε and x_t are jointly Gaussian, so it is
/// the regression line of ε on x_t, with slope Cov(ε, x_t)/Var(x_t).
///
/// # Formula
/// ε*(x_t, t) = E[ε | x_t] = √(1 − ᾱ_t) (x_t − √ᾱ_t m) / (ᾱ_t s² + 1 − ᾱ_t)                      (slug `gaussian_eps`)
/// # Shapes
/// `xt`, result: any, both equal; `mean` (m) and `variance` (s²): those of each coordinate of the data
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number, 0 or above
/// # Source
/// The conditional mean of two jointly Gaussian variables; Bishop 2006, eq. 2.81
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let eps = gaussian_eps(0.0, 1.0, &array![2.0], step)?; // data N(0, I): the slope is √(1 − ᾱ_t)
/// assert!((eps[0] - 2.0 * 0.75_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: gaussian_eps
pub fn gaussian_eps<D: Dimension>(
    mean: f64,
    variance: f64,
    xt: &ArrayRef<f64, D>,
    step: Step,
) -> Result<Array<f64, D>> {
    let (mean_of_xt, variance_of_xt) = marginal_moments(mean, variance, step)?;
    let slope = step.one_minus_alpha_bar.sqrt() / variance_of_xt;
    Ok(xt.mapv(|xt| slope * (xt - mean_of_xt)))
}
// ANCHOR_END: gaussian_eps

/// The Bayes floor of L_simple at time t for Gaussian data with independent coordinates: what no network can beat.
///
/// For other data of this variance it is the loss of the best straight line.
///
/// It is Var[ε | x_t] = 1 − Cov(ε, x_t)²/Var(x_t), per dimension. It does not depend on the mean of the data.
///
/// # Formula
/// E‖ε − ε*(x_t, t)‖² / d = ᾱ_t s² / (ᾱ_t s² + 1 − ᾱ_t)                      (slug `gaussian_floor`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (s², of each coordinate of the data) is a finite number, 0 or above
/// # Source
/// The conditional variance of two jointly Gaussian variables; Bishop 2006, eq. 2.82
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_floor};
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// assert_eq!(gaussian_floor(1.0, step)?, 0.25); // data of variance 1: ᾱ_t
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: gaussian_floor
pub fn gaussian_floor(variance: f64, step: Step) -> Result<f64> {
    let (_, variance_of_xt) = marginal_moments(0.0, variance, step)?;
    Ok(step.alpha_bar * variance / variance_of_xt)
}
// ANCHOR_END: gaussian_floor

/// The Bayes floor of L_simple in the mean over t: the loss that a training run on such Gaussian data can at best
/// arrive at.
///
/// # Formula
/// 1/T · Σ_t ᾱ_t s² / (ᾱ_t s² + 1 − ᾱ_t)                      (slug `gaussian_floor_mean`)
/// # Errors
/// As [`gaussian_floor`]
/// # Source
/// [`gaussian_floor`], averaged as in Ho, Jain, Abbeel 2020, eq. 14
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_floor_mean};
/// let ddpm = Schedule::linear(1000, 1e-4, 0.02)?;
/// assert!((gaussian_floor_mean(1.0, &ddpm)? - 0.2755).abs() < 1e-4); // far from 0, with a perfect network
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: gaussian_floor_mean
pub fn gaussian_floor_mean(variance: f64, schedule: &Schedule) -> Result<f64> {
    let mut sum = 0.0;
    for &step in schedule.steps() {
        sum += gaussian_floor(variance, step)?;
    }
    Ok(sum / schedule.timesteps() as f64)
}
// ANCHOR_END: gaussian_floor_mean

/// Fails at t = 1, where β̃_t = 0.
fn after_first(step: Step) -> Result<()> {
    if step.t >= 2 {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "t", expected: "2 or more (at t = 1, beta_tilde is 0)", got: step.t as f64 })
}

/// ‖a − b‖².
fn squared_error<D: Dimension>(a: &ArrayRef<f64, D>, b: &ArrayRef<f64, D>) -> f64 {
    Zip::from(a).and(b).fold(0.0, |sum, a, b| sum + (a - b).powi(2))
}
