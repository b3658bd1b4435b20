//! Variants: a variance that is learned, the weights of other losses, and the straight path of flow matching.
//!
//! Nothing here needs another network than the one of the earlier chapters. A variance is read off a loss
//! ([`optimal_variance`]), a loss is the bound with other weights ([`relative_weight`]), and a velocity is a predicted noise
//! in other units ([`velocity_from_eps`]).
//!
//! On the straight path the time is s, from 0, the data, to 1, the noise. Losses and floors are means per dimension, and so
//! are the numbers of nats in this module.

use std::f64::consts::TAU;

use ndarray::{Array, ArrayRef, Dimension, Zip};

use crate::error::{Error, Result, finite, not_negative, positive, same_shape};
use crate::forward::weighted_sum;
use crate::gaussian::ratio_excess;
use crate::objective::{Prediction, eps_weight, l_simple, snr_weight};
use crate::posterior::{VarianceAtOne, posterior_log_variance};
use crate::schedule::{Schedule, Step};

/// A variance between β̃_t (ν = 0) and β_t (ν = 1), on a straight line in the logarithm.
///
/// A network gives ν. It may be below 0 or above 1: then the variance lies outside. At t = 1, where ln β̃_1 is −∞, the
/// choice is named.
///
/// # Formula
/// σ_t² = exp(ν ln β_t + (1 − ν) ln β̃_t)                      (slug `learned_variance`)
/// # Errors
/// [`Error::OutOfRange`] unless `nu` is a finite number; [`Error::StepOutOfRange`] as for [`posterior_log_variance`]
/// # Source
/// Nichol, Dhariwal 2021, eq. 15, where ν is called v
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::VarianceAtOne, variants::learned_variance};
/// let schedule = Schedule::from_betas(&[1.0 / 3.0, 0.5])?; // β̃_2 = 0.25
/// let half_way = learned_variance(&schedule, 2, 0.5, VarianceAtOne::Beta1)?;
/// assert!((half_way - (0.5_f64 * 0.25).sqrt()).abs() < 1e-15); // the geometric mean
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: learned_variance
pub fn learned_variance(schedule: &Schedule, t: usize, nu: f64, at_one: VarianceAtOne) -> Result<f64> {
    finite("nu", nu)?;
    let log_beta_tilde = posterior_log_variance(schedule, t, at_one)?;
    let log_beta = schedule.step(t)?.beta.ln();
    Ok((nu * log_beta + (1.0 - nu) * log_beta_tilde).exp())
}
// ANCHOR_END: learned_variance

/// The ν whose [`learned_variance`] this is.
///
/// # Formula
/// ν = (ln σ² − ln β̃_t) / (ln β_t − ln β̃_t)                      (slug `nu_from_variance`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (σ²) is a finite number above 0, and where both ends are the same, as at t = 1 with
/// [`VarianceAtOne::Beta1`]; [`Error::StepOutOfRange`] as for [`posterior_log_variance`]
/// # Source
/// Nichol, Dhariwal 2021, eq. 15, solved for v
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::VarianceAtOne::Beta1, variants::nu_from_variance};
/// let schedule = Schedule::from_betas(&[1.0 / 3.0, 0.5])?;
/// assert_eq!(nu_from_variance(&schedule, 2, 0.5, Beta1)?, 1.0);
/// assert!(nu_from_variance(&schedule, 1, 0.5, Beta1).is_err());
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: nu_from_variance
pub fn nu_from_variance(schedule: &Schedule, t: usize, variance: f64, at_one: VarianceAtOne) -> Result<f64> {
    positive("variance", variance)?;
    let log_beta_tilde = posterior_log_variance(schedule, t, at_one)?;
    let range = schedule.step(t)?.beta.ln() - log_beta_tilde;
    if range == 0.0 {
        let expected = "above 0 (where beta and beta_tilde are the same, every nu gives the same variance)";
        return Err(Error::OutOfRange { name: "ln beta - ln beta_tilde", expected, got: range });
    }
    Ok((variance.ln() - log_beta_tilde) / range)
}
// ANCHOR_END: nu_from_variance

/// The loss of a network that learns its variance too: L_simple, and a little of the bound. For one draw of x_0, t and ε.
///
/// With t uniform, T times one term of the bound is an unbiased estimate of their sum. The term L_T is left out: it has
/// nothing to learn. In the bound, L_simple stands once more, with its weight: see [`hybrid_gradient`] for what is
/// differentiated and what is not.
///
/// # Formula
/// L_hybrid = L_simple + λ T [w(t) L_simple + c_t],  w(t) as in [`eps_weight`],
/// c_t = ½(β̃_t/σ² − 1 − ln(β̃_t/σ²)) for t ≥ 2,  c_1 = ½ ln(2πσ²)                      (slug `hybrid_loss`)
/// # Shapes
/// `eps`, `eps_theta`: any, both equal; result: one number, in nats per dimension
/// # Errors
/// [`Error::StepOutOfRange`] unless 1 ≤ t ≤ T; [`Error::OutOfRange`] unless `variance` (σ²) is a finite number above 0 and
/// `lambda` a finite number, 0 or above; [`Error::ZeroSnr`] where α_t = 0; the rest as [`l_simple`]
/// # Source
/// Nichol, Dhariwal 2021, eq. 16, with the decoder N(x_0; μ_θ, σ²I) at t = 1
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::hybrid_loss};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// let (eps, perfect, beta_tilde) = (array![1.0], array![1.0], schedule.step(2)?.beta_tilde);
/// assert_eq!(hybrid_loss(&eps, &schedule, 2, &perfect, beta_tilde, 1.0)?, 0.0);
/// assert!(hybrid_loss(&eps, &schedule, 2, &perfect, 0.5, 1.0)? > 0.0); // no error, but too wide
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: hybrid_loss
pub fn hybrid_loss<D: Dimension>(
    eps: &ArrayRef<f64, D>,
    schedule: &Schedule,
    t: usize,
    eps_theta: &ArrayRef<f64, D>,
    variance: f64,
    lambda: f64,
) -> Result<f64> {
    let step = schedule.step(t)?;
    not_negative("lambda", lambda)?;
    let simple = l_simple(eps, eps_theta)?;
    let bound = bound_term(step, simple, variance)?;
    Ok(simple + lambda * schedule.timesteps() as f64 * bound)
}
// ANCHOR_END: hybrid_loss

/// The term L_{t−1} of the bound in nats per dimension, by the L_simple of a network and its variance.
// ANCHOR: bound_term
fn bound_term(step: Step, loss: f64, variance: f64) -> Result<f64> {
    let of_error = eps_weight(step, variance)? * loss;
    Ok(match step.t {
        1 => of_error + 0.5 * (TAU * variance).ln(),
        _ => of_error + 0.5 * ratio_excess(step.beta_tilde, variance),
    })
}
// ANCHOR_END: bound_term

/// What [`hybrid_gradient`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct HybridGradient<D: Dimension> {
    /// By the predicted noise: of L_simple alone.
    pub eps_theta: Array<f64, D>,
    /// By ln σ²: of the bound alone.
    pub log_variance: f64,
}

/// The gradient of [`hybrid_loss`] with which a network is trained. The bound is not allowed to move the mean.
///
/// In the bound, ε_θ counts as a constant (`detach` in PyTorch). So it is *not* the gradient of the value that
/// `hybrid_loss` returns, whose bound depends on ε_θ. At t = 1, β̃_1 is 0 and the formula is the same.
///
/// # Formula
/// by ε_θ: 2 (ε_θ − ε)/d;  by ln σ²: λ T [½(1 − β̃_t/σ²) − w(t) L_simple]                      (slug `hybrid_gradient`)
/// # Shapes
/// `eps`, `eps_theta`, the gradient by ε_θ: any, all equal, d numbers each
/// # Errors
/// As [`hybrid_loss`]
/// # Source
/// Nichol, Dhariwal 2021, section 3.1, differentiated
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::{hybrid_gradient, optimal_variance}};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// let best = optimal_variance(schedule.step(2)?, 0.25)?; // L_simple is 0.5²
/// let gradient = hybrid_gradient(&array![1.0], &schedule, 2, &array![1.5], best, 1e-3)?;
/// assert_eq!(gradient.eps_theta, array![1.0]);
/// assert!(gradient.log_variance.abs() < 1e-18);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: hybrid_gradient
pub fn hybrid_gradient<D: Dimension>(
    eps: &ArrayRef<f64, D>,
    schedule: &Schedule,
    t: usize,
    eps_theta: &ArrayRef<f64, D>,
    variance: f64,
    lambda: f64,
) -> Result<HybridGradient<D>> {
    let step = schedule.step(t)?;
    not_negative("lambda", lambda)?;
    let simple = l_simple(eps, eps_theta)?;
    let of_bound = 0.5 * (1.0 - step.beta_tilde / variance) - eps_weight(step, variance)? * simple;
    Ok(HybridGradient {
        eps_theta: weighted_sum(2.0 / eps.len() as f64, eps_theta, -2.0 / eps.len() as f64, eps),
        log_variance: lambda * schedule.timesteps() as f64 * of_bound,
    })
}
// ANCHOR_END: hybrid_gradient

/// The best variance of p(x_{t−1} | x_t) beside a mean that comes from a network with this loss.
///
/// It is the mean squared distance of x_{t−1} from that mean. Given x_0, x_{t−1} varies by β̃_t; the rest is how far the mean
/// is off because the network does not know x_0. With the Bayes floor for the loss, it is the best of all.
///
/// # Formula
/// σ*² = β̃_t + β_t²/(α_t (1 − ᾱ_t)) · ℓ_t                      (slug `optimal_variance`)
/// # Errors
/// [`Error::OutOfRange`] unless `loss` (ℓ_t, L_simple at t) is a finite number, 0 or above; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Bao, Li, Zhu, Zhang 2022, for the variance β̃_t given x_0 and the Bayes floor; any other loss by the same steps
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_floor, variants::optimal_variance};
/// let step = Schedule::from_betas(&[0.36, 0.51])?.step(2)?;
/// assert_eq!(optimal_variance(step, 0.0)?, step.beta_tilde); // data of a single point
/// let normal_data = optimal_variance(step, gaussian_floor(1.0, step)?)?;
/// assert!((normal_data - step.beta).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: optimal_variance
pub fn optimal_variance(step: Step, loss: f64) -> Result<f64> {
    not_negative("loss", loss)?;
    if step.alpha == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let of_eps = step.beta.powi(2) / (step.alpha * step.one_minus_alpha_bar);
    Ok(step.beta_tilde + of_eps * loss)
}
// ANCHOR_END: optimal_variance

/// What a variance costs in the bound, above the best one: in nats per dimension, for one t.
///
/// # Formula
/// ½(r − 1 − ln r),  r = σ*²/σ²                      (slug `variance_cost`)
/// # Errors
/// [`Error::OutOfRange`] unless `optimal` (σ*²) and `variance` (σ²) are finite numbers above 0
/// # Source
/// Derived here: the bound at σ² less that at the σ*² of Bao, Li, Zhu, Zhang 2022
/// # Examples
/// ```
/// use literate_diffusion::variants::variance_cost;
/// assert_eq!(variance_cost(0.3, 0.3)?, 0.0);
/// assert!(variance_cost(0.3, 0.1)? > variance_cost(0.1, 0.3)?); // too narrow is dearer than too wide
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: variance_cost
pub fn variance_cost(optimal: f64, variance: f64) -> Result<f64> {
    positive("optimal", optimal)?;
    positive("variance", variance)?;
    Ok(0.5 * ratio_excess(optimal, variance))
}
// ANCHOR_END: variance_cost

/// The whole bound, −ELBO in nats per dimension, from nothing but the loss and the variance at each t.
///
/// # Formula
/// ½(ᾱ_T m − ᾱ_T − ln(1 − ᾱ_T)) + Σ_t [w(t) ℓ_t + c_t],  c_t as in [`hybrid_loss`]                      (slug `bound_from_losses`)
/// # Shapes
/// `losses` (ℓ_t, L_simple at t), `variances` (σ_t²): T numbers each
/// # Errors
/// [`Error::ShapeMismatch`] unless there are T of each; [`Error::OutOfRange`] unless every loss and `mean_square` (m, the mean
/// of ‖x_0‖²/d) are finite numbers, 0 or above, and every variance a finite number above 0; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eqs. 5 and 12, with all constants kept
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, gaussian::entropy, objective::gaussian_floor, variants::bound_from_losses};
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?;
/// let floors = schedule.steps().iter().map(|&step| gaussian_floor(1.0, step)).collect::<Result<Vec<_>, _>>()?;
/// let betas: Vec<f64> = schedule.steps().iter().map(|step| step.beta).collect();
/// let bound = bound_from_losses(&schedule, &floors, &betas, 1.0)?;
/// assert!((bound - entropy(1.0, 1)?).abs() < 1e-9); // data N(0, I): nothing is lost
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: bound_from_losses
pub fn bound_from_losses(schedule: &Schedule, losses: &[f64], variances: &[f64], mean_square: f64) -> Result<f64> {
    for (name, list) in [("losses", losses), ("variances", variances)] {
        if list.len() != schedule.timesteps() {
            return Err(Error::ShapeMismatch { name, expected: vec![schedule.timesteps()], got: vec![list.len()] });
        }
    }
    not_negative("mean_square", mean_square)?;
    let last = schedule.last();
    let mut bound = 0.5 * (last.alpha_bar * mean_square - last.alpha_bar - last.one_minus_alpha_bar.ln());
    for ((&step, &loss), &variance) in schedule.steps().iter().zip(losses).zip(variances) {
        not_negative("loss", loss)?;
        bound += bound_term(step, loss, variance)?;
    }
    Ok(bound)
}
// ANCHOR_END: bound_from_losses

/// How many times what the bound charges for an error a loss charges for it, where σ² = β̃_t.
///
/// A loss in x_0, ε or v is first put in terms of x_0, so that all losses can be compared.
///
/// # Formula
/// ω(t) · {1 for x_0, SNR(t) for ε, SNR(t) + 1 for v} / [½(SNR(t − 1) − SNR(t))]                      (slug `relative_weight`)
/// # Errors
/// [`Error::OutOfRange`] at t = 1, where SNR(0) is infinite, and unless `weight` is a finite number, 0 or above
/// # Source
/// Kingma, Gao 2023, the weighted loss, for steps of any size
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Prediction, eps_weight}, variants::relative_weight};
/// let step = Schedule::linear(100, 1e-3, 0.2)?.step(50)?;
/// let the_bound_itself = eps_weight(step, step.beta_tilde)?;
/// assert!((relative_weight(step, the_bound_itself, Prediction::Eps)? - 1.0).abs() < 1e-14);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: relative_weight
pub fn relative_weight(step: Step, weight: f64, prediction: Prediction) -> Result<f64> {
    not_negative("weight", weight)?;
    let per_error_in_x0 = match prediction {
        Prediction::X0 => 1.0,
        Prediction::Eps => step.snr(),
        Prediction::V => step.snr() + 1.0,
    };
    Ok(weight * per_error_in_x0 / snr_weight(step)?)
}
// ANCHOR_END: relative_weight

/// The angle of x_t on the quarter circle from the data, 0, to the noise, π/2.
///
/// # Formula
/// cos φ_t = √ᾱ_t,  sin φ_t = √(1 − ᾱ_t)                      (slug `angle`)
/// # Source
/// Salimans, Ho 2022, appendix D
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::angle};
/// let half = angle(Schedule::from_betas(&[0.5])?.step(1)?);
/// assert!((half - std::f64::consts::FRAC_PI_4).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: angle
pub fn angle(step: Step) -> f64 {
    step.one_minus_alpha_bar.sqrt().atan2(step.alpha_bar.sqrt())
}
// ANCHOR_END: angle

/// One step of DDIM without noise, x_t → x_{t−1}, by a network that predicts v: a turn by the angle between the two times.
///
/// # Formula
/// x_{t−1} = cos(φ_t − φ_{t−1}) · x_t − sin(φ_t − φ_{t−1}) · v                      (slug `rotation_step`)
/// # Shapes
/// `xt`, `v`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `v` differ in shape
/// # Source
/// Salimans, Ho 2022, appendix D
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::rotation_step};
/// use ndarray::array;
/// let first = Schedule::from_betas(&[0.64])?.step(1)?; // cos φ = 0.6, sin φ = 0.8, and φ_0 = 0
/// let x0 = rotation_step(&array![1.0], first, &array![-0.5])?;
/// assert!((x0[0] - (0.6 + 0.4)).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: rotation_step
pub fn rotation_step<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, v: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("v", xt, v)?;
    let angle_prev = step.one_minus_alpha_bar_prev.sqrt().atan2(step.alpha_bar_prev.sqrt());
    let turn = angle(step) - angle_prev;
    Ok(weighted_sum(turn.cos(), xt, -turn.sin(), v))
}
// ANCHOR_END: rotation_step

/// The straight path from the data, s = 0, to the noise, s = 1.
///
/// # Formula
/// x_s = (1 − s) x_0 + s ε                      (slug `straight_path`)
/// # Shapes
/// `x0`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `eps` differ in shape; [`Error::OutOfRange`] unless 0 ≤ `s` ≤ 1
/// # Source
/// Liu, Gong, Liu 2023, eq. 1; Lipman et al. 2023, eq. 22 with σ_min = 0; both with the time turned round
/// # Examples
/// ```
/// use literate_diffusion::variants::straight_path;
/// use ndarray::array;
/// assert_eq!(straight_path(&array![4.0], 0.25, &array![-2.0])?, array![2.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: straight_path
pub fn straight_path<D: Dimension>(x0: &ArrayRef<f64, D>, s: f64, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", x0, eps)?;
    on_path(s)?;
    Ok(weighted_sum(1.0 - s, x0, s, eps))
}
// ANCHOR_END: straight_path

/// The velocity of the straight path, the same at every s: what flow matching asks a network for.
///
/// # Formula
/// u = dx_s/ds = ε − x_0                      (slug `velocity_target`)
/// # Shapes
/// `x0`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `eps` differ in shape
/// # Source
/// Liu, Gong, Liu 2023, eq. 1; Lipman et al. 2023, eq. 23
/// # Examples
/// ```
/// use literate_diffusion::variants::velocity_target;
/// use ndarray::array;
/// assert_eq!(velocity_target(&array![4.0], &array![-2.0])?, array![-6.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: velocity_target
pub fn velocity_target<D: Dimension>(x0: &ArrayRef<f64, D>, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", x0, eps)?;
    Ok(weighted_sum(1.0, eps, -1.0, x0))
}
// ANCHOR_END: velocity_target

/// The best possible prediction of the velocity where every coordinate of the data is N(m, v), independently.
///
/// It is the regression line of ε − x_0 on x_s.
///
/// # Formula
/// u*(x_s, s) = E[ε − x_0 | x_s] = (s − (1 − s) v)/((1 − s)² v + s²) · (x_s − (1 − s) m) − m                      (slug `gaussian_velocity`)
/// # Shapes
/// `xs`, result: any, both equal; `mean` (m) and `variance` (v): those of each coordinate of the data
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number, 0 or above, and 0 ≤ `s` ≤ 1, and where both `variance` and `s`
/// are 0, so that x_s does not vary
/// # Source
/// The conditional mean of two jointly Gaussian variables; Bishop 2006, eq. 2.81
/// # Examples
/// ```
/// use literate_diffusion::variants::gaussian_velocity;
/// use ndarray::array;
/// assert_eq!(gaussian_velocity(5.0, 1.0, &array![0.3], 1.0)?, array![0.3 - 5.0]); // x_1 is ε, and tells nothing of x_0
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: gaussian_velocity
pub fn gaussian_velocity<D: Dimension>(
    mean: f64,
    variance: f64,
    xs: &ArrayRef<f64, D>,
    s: f64,
) -> Result<Array<f64, D>> {
    not_negative("variance", variance)?;
    on_path(s)?;
    let variance_of_xs = (1.0 - s).powi(2) * variance + s * s;
    positive("the variance of x_s", variance_of_xs)?;
    let slope = (s - (1.0 - s) * variance) / variance_of_xs;
    Ok(xs.mapv(|x| slope * (x - (1.0 - s) * mean) - mean))
}
// ANCHOR_END: gaussian_velocity

/// The time on the straight path at which data and noise stand in the ratio that they have in x_t.
///
/// # Formula
/// s/(1 − s) = √(1 − ᾱ_t)/√ᾱ_t,  s_t = √(1 − ᾱ_t) / (√ᾱ_t + √(1 − ᾱ_t))                      (slug `flow_time`)
/// # Source
/// Kingma, Gao 2023: two paths with one SNR
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::flow_time};
/// assert_eq!(flow_time(Schedule::from_betas(&[0.5])?.step(1)?), 0.5); // as much noise as data
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_time
pub fn flow_time(step: Step) -> f64 {
    step.one_minus_alpha_bar.sqrt() / flow_scale(step)
}
// ANCHOR_END: flow_time

/// How many times the point of the straight path x_t is: the two paths differ in nothing but this scale.
///
/// # Formula
/// x_t = k_t x_s at s = s_t,  k_t = √ᾱ_t + √(1 − ᾱ_t)                      (slug `flow_scale`)
/// # Source
/// Kingma, Gao 2023: two paths with one SNR
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_sample, variants::{flow_scale, flow_time, straight_path}};
/// use ndarray::array;
/// let (step, x0, eps) = (Schedule::from_betas(&[0.36])?.step(1)?, array![1.0], array![-0.5]);
/// let xs = straight_path(&x0, flow_time(step), &eps)?;
/// assert!((q_sample(&x0, step, &eps)? - xs * flow_scale(step))[0].abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_scale
pub fn flow_scale(step: Step) -> f64 {
    step.alpha_bar.sqrt() + step.one_minus_alpha_bar.sqrt()
}
// ANCHOR_END: flow_scale

/// The velocity at x_s, from a prediction of the noise in it. An error in ε is divided by 1 − s.
///
/// # Formula
/// u = (ε − x_s) / (1 − s)                      (slug `velocity_from_eps`)
/// # Shapes
/// `xs`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xs` and `eps` differ in shape; [`Error::OutOfRange`] unless 0 ≤ `s` < 1: at s = 1, x_s is
/// the noise, and says nothing of the velocity
/// # Source
/// [`straight_path`] solved for x_0, put into [`velocity_target`]
/// # Examples
/// ```
/// use literate_diffusion::variants::velocity_from_eps;
/// use ndarray::array;
/// assert_eq!(velocity_from_eps(&array![2.5], 0.25, &array![-2.0])?, array![-6.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: velocity_from_eps
pub fn velocity_from_eps<D: Dimension>(xs: &ArrayRef<f64, D>, s: f64, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", xs, eps)?;
    before_noise(s)?;
    Ok(Zip::from(xs).and(eps).map_collect(|&xs, &eps| (eps - xs) / (1.0 - s)))
}
// ANCHOR_END: velocity_from_eps

/// The noise in x_s, from a prediction of the velocity there. Also where s = 1.
///
/// # Formula
/// ε = x_s + (1 − s) u                      (slug `eps_from_velocity`)
/// # Shapes
/// `xs`, `u`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xs` and `u` differ in shape; [`Error::OutOfRange`] unless 0 ≤ `s` ≤ 1
/// # Source
/// [`velocity_from_eps`] solved for ε
/// # Examples
/// ```
/// use literate_diffusion::variants::eps_from_velocity;
/// use ndarray::array;
/// assert_eq!(eps_from_velocity(&array![2.5], 0.25, &array![-6.0])?, array![-2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_from_velocity
pub fn eps_from_velocity<D: Dimension>(xs: &ArrayRef<f64, D>, s: f64, u: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("u", xs, u)?;
    on_path(s)?;
    Ok(weighted_sum(1.0, xs, 1.0 - s, u))
}
// ANCHOR_END: eps_from_velocity

/// The velocity of the straight path, from x_t and the velocity v of the quarter circle. Also where ᾱ_t = 0.
///
/// # Formula
/// u = (√ᾱ_t + √(1 − ᾱ_t)) · v − (√ᾱ_t − √(1 − ᾱ_t)) · x_t                      (slug `velocity_from_v`)
/// # Shapes
/// `xt`, `v`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `v` differ in shape
/// # Source
/// Salimans, Ho 2022, appendix D, put into [`velocity_target`]
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, variants::velocity_from_v};
/// use ndarray::array;
/// let half = Schedule::from_betas(&[0.5])?.step(1)?; // as much noise as data
/// let u = velocity_from_v(&array![3.0], half, &array![1.0])?;
/// assert!((u[0] - 2.0_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: velocity_from_v
pub fn velocity_from_v<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, v: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("v", xt, v)?;
    let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
    Ok(weighted_sum(signal + noise, v, noise - signal, xt))
}
// ANCHOR_END: velocity_from_v

/// The weight that a squared error of the velocity puts on the squared error of ε, at one x_s.
///
/// # Formula
/// ‖u_θ − u‖² = w ‖ε_θ − ε‖²,  w = 1/(1 − s)² = (1 + 1/√SNR)²                      (slug `flow_eps_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ `s` < 1
/// # Source
/// [`velocity_from_eps`] for two predictions, subtracted
/// # Examples
/// ```
/// use literate_diffusion::variants::flow_eps_weight;
/// assert_eq!(flow_eps_weight(0.0)?, 1.0);
/// assert_eq!(flow_eps_weight(0.5)?, 4.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_eps_weight
pub fn flow_eps_weight(s: f64) -> Result<f64> {
    before_noise(s)?;
    Ok((1.0 - s).powi(-2))
}
// ANCHOR_END: flow_eps_weight

/// How many times what the bound charges for an error flow matching charges for it, where s is uniform and steps are small.
///
/// It grows with s. A loss whose weight grows with the noise is a mean of bounds, each for data with noise added to it.
///
/// # Formula
/// ∫₀¹ ‖u_θ − u‖² ds = ½ ∫ r(s) ‖ε_θ − ε‖² (−dλ),  λ = ln SNR,  r(s) = s/(1 − s) = 1/√SNR                      (slug `flow_elbo_weight`)
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ `s` < 1
/// # Source
/// Kingma, Gao 2023, the weight e^{−λ/2} of flow matching with the straight path
/// # Examples
/// ```
/// use literate_diffusion::variants::flow_elbo_weight;
/// assert_eq!(flow_elbo_weight(0.75)?, 3.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_elbo_weight
pub fn flow_elbo_weight(s: f64) -> Result<f64> {
    before_noise(s)?;
    Ok(s / (1.0 - s))
}
// ANCHOR_END: flow_elbo_weight

/// The least loss of a network that predicts the velocity at s: what no training can take away.
///
/// It is also the constant by which the loss with the target ε − x_0 is above the loss with the target u* = E[ε − x_0 | x_s]
/// that nobody can compute, whatever the network.
///
/// # Formula
/// E‖ε − x_0 − u*(x_s)‖²/d = floor_t/(1 − s)²                      (slug `velocity_floor`)
/// # Errors
/// [`Error::OutOfRange`] unless `floor` (the Bayes floor of L_simple at the same SNR) is a finite number, 0 or above, and
/// 0 ≤ `s` < 1
/// # Source
/// Lipman et al. 2023, theorem 2, with its constant
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_floor, variants::{flow_time, velocity_floor}};
/// let half = Schedule::from_betas(&[0.5])?.step(1)?;
/// let floor = velocity_floor(gaussian_floor(1.0, half)?, flow_time(half))?;
/// assert!((floor - 2.0).abs() < 1e-15); // data N(0, I): at s = ½, ε + x_0 says nothing of ε − x_0, whose variance is 2
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: velocity_floor
pub fn velocity_floor(floor: f64, s: f64) -> Result<f64> {
    not_negative("floor", floor)?;
    Ok(flow_eps_weight(s)? * floor)
}
// ANCHOR_END: velocity_floor

/// The schedule whose times on the straight path are 1/S, 2/S, …, 1: flow matching as a diffusion of S steps.
///
/// Its last β is 1: nothing of the data is left.
///
/// # Formula
/// ᾱ_i = (1 − s)²/((1 − s)² + s²) at s = i/S;  with ρ = s/(1 − s): β_i = (ρ_i² − ρ_{i−1}²)/(1 + ρ_i²)                      (slug `straight_schedule`)
/// # Errors
/// [`Error::NoTimesteps`] where `steps` (S) is 0
/// # Source
/// [`flow_time`] solved for ᾱ_t
/// # Examples
/// ```
/// use literate_diffusion::variants::straight_schedule;
/// let schedule = straight_schedule(2)?;
/// assert_eq!(schedule.step(1)?.alpha_bar, 0.5);
/// assert_eq!(schedule.step(2)?.alpha_bar, 0.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: straight_schedule
pub fn straight_schedule(steps: usize) -> Result<Schedule> {
    let rho = |i: usize| i as f64 / (steps - i) as f64;
    let beta = |i: usize| {
        let grown = (rho(i) - rho(i - 1)) * (rho(i) + rho(i - 1));
        if i == steps { 1.0 } else { grown / (1.0 + rho(i).powi(2)) }
    };
    let betas: Vec<f64> = (1..=steps).map(beta).collect();
    Schedule::from_betas(&betas)
}
// ANCHOR_END: straight_schedule

/// One step of Euler's method along the straight path, from s to the time `s_next`, closer to the data.
///
/// # Formula
/// x_{s′} = x_s + (s′ − s) u                      (slug `euler_step`)
/// # Shapes
/// `xs`, `u`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xs` and `u` differ in shape; [`Error::OutOfRange`] unless both times are in 0..=1
/// # Source
/// Liu, Gong, Liu 2023, whose paths are walked by Euler's method
/// # Examples
/// ```
/// use literate_diffusion::variants::euler_step;
/// use ndarray::array;
/// assert_eq!(euler_step(&array![1.0], 1.0, 0.75, &array![2.0])?, array![0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: euler_step
pub fn euler_step<D: Dimension>(
    xs: &ArrayRef<f64, D>,
    s: f64,
    s_next: f64,
    u: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("u", xs, u)?;
    on_path(s)?;
    on_path(s_next)?;
    Ok(weighted_sum(1.0, xs, s_next - s, u))
}
// ANCHOR_END: euler_step

/// The sampler of flow matching: from the noise at the last of `times`, by Euler's method, to the data at s = 0.
///
/// # Formula
/// x_{s_{i−1}} = x_{s_i} + (s_{i−1} − s_i) u_θ(x_{s_i}, s_i), i = S, …, 1, s_0 = 0                      (slug `euler`)
/// # Shapes
/// `x_end` (x at the last of `times`), result: any, both equal; `times`: increasing, within (0, 1], 1 usually the last
/// # Errors
/// [`Error::Empty`] without times; [`Error::OutOfRange`] unless they increase strictly from above 0 to at most 1;
/// [`Error::ShapeMismatch`] where the network returns another shape; and any error of the network
/// # Source
/// Liu, Gong, Liu 2023, whose paths are walked by Euler's method
/// # Examples
/// ```
/// use literate_diffusion::variants::{euler, gaussian_velocity};
/// use ndarray::array;
/// let one_point = |xs: &_, s| gaussian_velocity(5.0, 0.0, xs, s); // if all the data is 5, every path is straight
/// let x0 = euler(&array![-0.3, 1.2], &[1.0], one_point)?;
/// assert!((x0 - 5.0).iter().all(|error| error.abs() < 1e-15));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: euler
pub fn euler<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    times: &[f64],
    mut velocity: impl FnMut(&ArrayRef<f64, D>, f64) -> Result<Array<f64, D>>,
) -> Result<Array<f64, D>> {
    if times.is_empty() {
        return Err(Error::Empty { name: "times" });
    }
    let mut x = x_end.to_owned();
    for (i, &s) in times.iter().enumerate().rev() {
        let s_next = if i == 0 { 0.0 } else { times[i - 1] };
        if s_next >= s {
            return Err(Error::OutOfRange { name: "a time", expected: "above the time before it", got: s });
        }
        x = euler_step(&x, s, s_next, &velocity(&x, s)?)?;
    }
    Ok(x)
}
// ANCHOR_END: euler

/// How far a path from x_0 to x_1 is from being straight: 0 where it is walked in a straight line and at an even pace.
///
/// The straight line is the path of least action between its ends. This is by how much a path has more.
///
/// # Formula
/// Σ_i (s_i − s_{i−1}) ‖(x_{s_i} − x_{s_{i−1}})/(s_i − s_{i−1}) − (x_1 − x_0)‖² / n,  s_0 = 0, s_S = 1   (slug `straightness`)
/// # Shapes
/// `path`: S + 1 arrays of one shape, x_0 first, n numbers each; `times`: s_1, …, s_S
/// # Errors
/// [`Error::ShapeMismatch`] unless there are S + 1 arrays of one shape; [`Error::OutOfRange`] unless the times increase
/// strictly from above 0 to 1; [`Error::Empty`] without times or with empty arrays
/// # Source
/// Liu, Gong, Liu 2023, the measure S(Z), as a sum
/// # Examples
/// ```
/// use literate_diffusion::variants::straightness;
/// use ndarray::array;
/// let at_an_even_pace = [array![0.0], array![2.0], array![4.0]];
/// assert_eq!(straightness(&at_an_even_pace, &[0.5, 1.0])?, 0.0);
/// assert_eq!(straightness(&[array![0.0], array![3.0], array![4.0]], &[0.5, 1.0])?, 4.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: straightness
pub fn straightness<D: Dimension>(path: &[Array<f64, D>], times: &[f64]) -> Result<f64> {
    if path.len() != times.len() + 1 {
        return Err(Error::ShapeMismatch { name: "path", expected: vec![times.len() + 1], got: vec![path.len()] });
    }
    path.iter().try_for_each(|x| same_shape("path", &path[0], x))?;
    let (Some(&last), false) = (times.last(), path[0].is_empty()) else {
        return Err(Error::Empty { name: "path" });
    };
    if last != 1.0 {
        return Err(Error::OutOfRange { name: "the last time", expected: "1", got: last });
    }
    let whole = &path[times.len()] - &path[0];
    let (mut s_prev, mut sum) = (0.0, 0.0);
    for (pair, &s) in path.windows(2).zip(times) {
        positive("the time between two states", s - s_prev)?;
        let velocity = (&pair[1] - &pair[0]) / (s - s_prev);
        sum += (s - s_prev) * l_simple(&whole, &velocity)?;
        s_prev = s;
    }
    Ok(sum)
}
// ANCHOR_END: straightness

/// Fails unless 0 ≤ s ≤ 1.
fn on_path(s: f64) -> Result<()> {
    if (0.0..=1.0).contains(&s) {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "s", expected: "between 0 (data) and 1 (noise)", got: s })
}

/// Fails unless 0 ≤ s < 1.
fn before_noise(s: f64) -> Result<()> {
    if (0.0..1.0).contains(&s) {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "s", expected: "0 or above, and below 1, where nothing of the data is left", got: s })
}
