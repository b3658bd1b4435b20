//! The posterior q(x_{t−1} | x_t, x_0): how one step of the forward process is undone when the data is known, and why
//! not knowing the data makes it hard.
//!
//! Arguments stand in the order of time: x_{t−1} where its density is asked for, then x_0, x_t, the [`Step`], the noise.

use ndarray::{Array, Array1, ArrayRef, ArrayRef1, Dimension};

use crate::error::{Error, Result, same_shape};
use crate::forward::weighted_sum;
use crate::gaussian::{density, log_density};
use crate::schedule::{Schedule, Step};

/// The logarithm of the density of x_{t−1} given x_t and x_0, by Bayes' rule and nothing else, summed over dimensions.
///
/// The first factor is q(x_t | x_{t−1}, x_0), which is q(x_t | x_{t−1}) by the Markov property: once x_{t−1} is known,
/// x_0 says nothing more of x_t.
///
/// # Formula
/// ln q(x_{t−1} | x_t, x_0) = ln q(x_t | x_{t−1}) + ln q(x_{t−1} | x_0) − ln q(x_t | x_0)      (slug `log_posterior_by_bayes`)
/// # Shapes
/// `x_prev`, `x0`, `xt`: any, all equal; result: one number
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::PointMass`] at t = 1, where x_{t−1} is x_0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 6, before the square is completed
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, gaussian::log_density, posterior};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5, 0.5])?.step(2)?;
/// let (x_prev, x0, xt) = (array![0.3], array![1.0], array![0.2]);
/// let by_bayes = posterior::log_posterior_by_bayes(&x_prev, &x0, &xt, step)?;
/// let mean = posterior::posterior_mean(&x0, &xt, step)?;
/// assert!((by_bayes - log_density(&x_prev, &mean, posterior::posterior_variance(step))?).abs() < 1e-14);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: log_posterior_by_bayes
pub fn log_posterior_by_bayes<D: Dimension>(
    x_prev: &ArrayRef<f64, D>,
    x0: &ArrayRef<f64, D>,
    xt: &ArrayRef<f64, D>,
    step: Step,
) -> Result<f64> {
    same_shape("x0", x_prev, x0)?;
    same_shape("xt", x_prev, xt)?;
    not_point_mass(step)?;
    let xt_from_x_prev = log_density(xt, &(x_prev * step.alpha.sqrt()), step.beta)?;
    let x_prev_from_x0 = log_density(x_prev, &(x0 * step.alpha_bar_prev.sqrt()), step.one_minus_alpha_bar_prev)?;
    let xt_from_x0 = log_density(xt, &(x0 * step.alpha_bar.sqrt()), step.one_minus_alpha_bar)?;
    Ok(xt_from_x_prev + x_prev_from_x0 - xt_from_x0)
}
// ANCHOR_END: log_posterior_by_bayes

/// One over the variance of q(x_{t−1} | x_t, x_0); ∞ at t = 1.
///
/// It is what stands before −½ x_{t−1}² in the exponent: α_t/β_t from q(x_t | x_{t−1}), the rest from q(x_{t−1} | x_0).
///
/// # Formula
/// 1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1})                      (slug `posterior_precision`)
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7, before it is simplified
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::posterior_precision};
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// assert_eq!(posterior_precision(schedule.step(2)?), 3.0);
/// assert_eq!(posterior_precision(schedule.step(1)?), f64::INFINITY);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: posterior_precision
pub fn posterior_precision(step: Step) -> f64 {
    step.alpha / step.beta + 1.0 / step.one_minus_alpha_bar_prev
}
// ANCHOR_END: posterior_precision

/// The variance of q(x_{t−1} | x_t, x_0), the same in every dimension; 0 at t = 1.
///
/// # Formula
/// β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) · β_t                      (slug `posterior_variance`)
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::posterior_variance};
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// assert!((posterior_variance(schedule.step(2)?) - 1.0 / 3.0).abs() < 1e-16);
/// assert_eq!(posterior_variance(schedule.step(1)?), 0.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "beta_tilde")]
// ANCHOR: posterior_variance
pub fn posterior_variance(step: Step) -> f64 {
    step.one_minus_alpha_bar_prev / step.one_minus_alpha_bar * step.beta
}
// ANCHOR_END: posterior_variance

/// The mean of q(x_{t−1} | x_t, x_0); x_0 itself at t = 1.
///
/// # Formula
/// μ̃_t = √ᾱ_{t−1} β_t/(1 − ᾱ_t) · x_0 + √α_t (1 − ᾱ_{t−1})/(1 − ᾱ_t) · x_t                      (slug `posterior_mean`)
/// # Shapes
/// `x0`, `xt`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `xt` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::posterior_mean};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.75, 0.5])?;
/// let mean = posterior_mean(&array![7.0], &array![0.0], schedule.step(2)?)?;
/// assert!((mean[0] - 2.0).abs() < 1e-15); // 0.5 · 0.5/0.875 · 7
/// assert_eq!(posterior_mean(&array![7.0], &array![0.0], schedule.step(1)?)?, array![7.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "mu_tilde")]
#[doc(alias = "q_posterior_mean")]
// ANCHOR: posterior_mean
pub fn posterior_mean<D: Dimension>(x0: &ArrayRef<f64, D>, xt: &ArrayRef<f64, D>, step: Step) -> Result<Array<f64, D>> {
    same_shape("xt", x0, xt)?;
    let of_x0 = step.alpha_bar_prev.sqrt() * step.beta / step.one_minus_alpha_bar;
    let of_xt = step.alpha.sqrt() * step.one_minus_alpha_bar_prev / step.one_minus_alpha_bar;
    Ok(weighted_sum(of_x0, x0, of_xt, xt))
}
// ANCHOR_END: posterior_mean

/// The mean of q(x_{t−1} | x_t, x_0), with x_0 expressed by x_t and the noise ε that led to it.
///
/// Put x_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t into μ̃_t. The weights of x_t add up to
/// [β_t + α_t (1 − ᾱ_{t−1})] / [√α_t (1 − ᾱ_t)] = 1/√α_t. With a network's guess for ε it is the model's mean:
/// [`mean_from_eps`](crate::objective::mean_from_eps).
///
/// # Formula
/// μ̃_t = [x_t − β_t/√(1 − ᾱ_t) · ε] / √α_t                      (slug `posterior_mean_from_eps`)
/// # Shapes
/// `xt`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `eps` differ in shape; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 10
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::posterior_mean_from_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// let mean = posterior_mean_from_eps(&array![1.0], step, &array![0.5])?;
/// assert!((mean[0] - 1.0).abs() < 1e-15); // (1 − 0.8 · 0.5)/0.6
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: posterior_mean_from_eps
pub fn posterior_mean_from_eps<D: Dimension>(
    xt: &ArrayRef<f64, D>,
    step: Step,
    eps: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("eps", xt, eps)?;
    if step.alpha == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let of_eps = -step.beta / step.one_minus_alpha_bar.sqrt();
    Ok(weighted_sum(1.0 / step.alpha.sqrt(), xt, of_eps / step.alpha.sqrt(), eps))
}
// ANCHOR_END: posterior_mean_from_eps

/// What stands for ln β̃_1, which is −∞, in a likelihood. Published code differs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VarianceAtOne {
    /// β_1, the variance of the step itself.
    Beta1,
    /// β̃_2, that of the next posterior. Needs T ≥ 2.
    BetaTilde2,
}

/// The logarithm of β̃_t for use in a likelihood, with the named choice at t = 1.
///
/// # Formula
/// ln β̃_t for t ≥ 2; at t = 1 either ln β_1 or ln β̃_2                      (slug `posterior_log_variance`)
/// # Errors
/// [`Error::StepOutOfRange`] unless 1 ≤ t ≤ T, and at t = 1 with [`VarianceAtOne::BetaTilde2`] where T = 1 has no β̃_2
/// # Source
/// Nichol, Dhariwal 2021, section 3.1 and its code, for β̃_2; Sohl-Dickstein et al. 2015, appendix B.2, for β_1
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::{VarianceAtOne, posterior_log_variance}};
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// let beta_tilde_2 = (1.0_f64 / 3.0).ln();
/// assert!((posterior_log_variance(&schedule, 2, VarianceAtOne::Beta1)? - beta_tilde_2).abs() < 1e-15);
/// assert!((posterior_log_variance(&schedule, 1, VarianceAtOne::BetaTilde2)? - beta_tilde_2).abs() < 1e-15);
/// assert_eq!(posterior_log_variance(&schedule, 1, VarianceAtOne::Beta1)?, 0.5_f64.ln());
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "posterior_log_variance_clipped")]
// ANCHOR: posterior_log_variance
pub fn posterior_log_variance(schedule: &Schedule, t: usize, at_one: VarianceAtOne) -> Result<f64> {
    let step = schedule.step(t)?;
    let variance = match (t, at_one) {
        (1, VarianceAtOne::Beta1) => step.beta,
        (1, VarianceAtOne::BetaTilde2) => posterior_variance(schedule.step(2)?),
        _ => posterior_variance(step),
    };
    Ok(variance.ln())
}
// ANCHOR_END: posterior_log_variance

/// How probable each point of a finite data set is as the x_0 of a given x_t, where all are equally probable before.
///
/// # Formula
/// q(a_i | x_t) = N(x_t; √ᾱ_t a_i, 1 − ᾱ_t) / Σ_j N(x_t; √ᾱ_t a_j, 1 − ᾱ_t)                      (slug `atom_weights`)
/// # Shapes
/// `atoms` (the data, one number each), result: (atoms)
/// # Errors
/// [`Error::Empty`] where there are no atoms
/// # Source
/// Bayes' rule with Ho, Jain, Abbeel 2020, eq. 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::atom_weights};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5, 0.5])?.step(2)?;
/// assert_eq!(atom_weights(&array![-1.0, 1.0], 0.0, step)?, array![0.5, 0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: atom_weights
pub fn atom_weights(atoms: &ArrayRef1<f64>, xt: f64, step: Step) -> Result<Array1<f64>> {
    if atoms.is_empty() {
        return Err(Error::Empty { name: "atoms" });
    }
    let exponents = atoms.mapv(|atom| -0.5 * (xt - step.alpha_bar.sqrt() * atom).powi(2) / step.one_minus_alpha_bar);
    // Divide all by the largest, so that not every one of them underflows.
    let largest = exponents.fold(f64::NEG_INFINITY, |largest, &exponent| largest.max(exponent));
    let weights = exponents.mapv(|exponent| (exponent - largest).exp());
    Ok(&weights / weights.sum())
}
// ANCHOR_END: atom_weights

/// The density of x_{t−1} given x_t alone, for data that is a list of equally probable points, the atoms.
///
/// It is one Gaussian an atom, and every atom of the data takes part: for pictures nobody can write this sum down. But as
/// β_t shrinks it tends to one Gaussian, which is why a Gaussian with the network's mean may stand for it.
///
/// # Formula
/// q(x_{t−1} | x_t) = Σ_i q(a_i | x_t) · N(x_{t−1}; μ̃_t(x_t, a_i), β̃_t)                      (slug `reverse_density`)
/// # Shapes
/// `atoms`: (atoms); the rest: one number
/// # Errors
/// [`Error::Empty`] where there are no atoms; [`Error::PointMass`] at t = 1, where x_{t−1} is one of the atoms
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 6, averaged over q(x_0 | x_t); Feller 1949 for the limit, in Sohl-Dickstein et al. 2015
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::reverse_density};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.01, 0.9])?.step(2)?; // from here x_1 was close to −1 or to 1, not to 0
/// let at = |x_prev| reverse_density(x_prev, &array![-1.0, 1.0], 0.0, step);
/// assert!(at(1.0)? > 1.0 && at(-1.0)? > 1.0 && at(0.0)? < 1e-9);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: reverse_density
pub fn reverse_density(x_prev: f64, atoms: &ArrayRef1<f64>, xt: f64, step: Step) -> Result<f64> {
    not_point_mass(step)?;
    let weights = atom_weights(atoms, xt, step)?;
    let means = posterior_mean(atoms, &Array1::from_elem(atoms.len(), xt), step)?;
    let components = weights.iter().zip(&means);
    components.map(|(weight, &mean)| Ok(weight * density(x_prev, mean, posterior_variance(step))?)).sum()
}
// ANCHOR_END: reverse_density

/// The mean and variance of x_{t−1} given x_t alone, for data that is a list of equally probable points, the atoms.
///
/// The Gaussian with these moments is the one closest to q(x_{t−1} | x_t) in the sense of KL(q ‖ Gaussian).
///
/// # Formula
/// E[x_{t−1} | x_t] = Σ_i w_i μ̃_i,  Var[x_{t−1} | x_t] = β̃_t + Σ_i w_i (μ̃_i − E[x_{t−1} | x_t])²,
/// with w_i = q(a_i | x_t) and μ̃_i = μ̃_t(x_t, a_i)                      (slug `reverse_moments`)
/// # Shapes
/// `atoms`: (atoms); result: (mean, variance)
/// # Errors
/// [`Error::Empty`] where there are no atoms
/// # Source
/// The laws of total expectation and total variance
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, posterior::reverse_moments};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75, 0.5])?.step(2)?;
/// let (mean, variance) = reverse_moments(&array![-7.0, 7.0], 0.0, step)?;
/// assert!(mean.abs() < 1e-15 && (variance - (0.75 / 0.875 * 0.5 + 4.0)).abs() < 1e-14);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: reverse_moments
pub fn reverse_moments(atoms: &ArrayRef1<f64>, xt: f64, step: Step) -> Result<(f64, f64)> {
    let weights = atom_weights(atoms, xt, step)?;
    let means = posterior_mean(atoms, &Array1::from_elem(atoms.len(), xt), step)?;
    let mean = weights.dot(&means);
    let spread = weights.dot(&means.mapv(|of_atom| (of_atom - mean).powi(2)));
    Ok((mean, posterior_variance(step) + spread))
}
// ANCHOR_END: reverse_moments

/// Fails at t = 1, where q(x_{t−1} | x_t, x_0) is a point mass on x_0.
fn not_point_mass(step: Step) -> Result<()> {
    if step.one_minus_alpha_bar_prev == 0.0 {
        return Err(Error::PointMass { t: step.t });
    }
    Ok(())
}
