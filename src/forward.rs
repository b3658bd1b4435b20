//! The forward process: how data becomes noise, a step at a time or all at once.

use ndarray::{Array, ArrayRef, Dimension, Zip};

use crate::error::{Error, Result, not_negative, same_shape};
use crate::schedule::{Schedule, Step};

/// Takes one step of the forward process, x_{t−1} → x_t, given the noise.
///
/// # Formula
/// x_t = √α_t · x_{t−1} + √β_t · ε                      (slug `q_step`)
/// # Shapes
/// `x_prev`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x_prev` and `eps` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_step};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// assert_eq!(q_step(&array![1.0], step, &array![0.5])?, array![0.6 + 0.8 * 0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: q_step
pub fn q_step<D: Dimension>(x_prev: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", x_prev, eps)?;
    Ok(weighted_sum(step.alpha.sqrt(), x_prev, step.beta.sqrt(), eps))
}
// ANCHOR_END: q_step

/// Takes all steps of the forward process from x_0 and keeps every state on the way.
///
/// # Formula
/// x_t = √α_t · x_{t−1} + √β_t · ε_t for t = 1, …, T                      (slug `q_chain`)
/// # Shapes
/// `x0`: any; `eps`: T arrays of the same shape, ε_1 first; result: T + 1 arrays, x_0 first
/// # Errors
/// [`Error::ShapeMismatch`] unless there is one `eps` a step, each of the shape of `x0`
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_chain};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.64, 0.64])?;
/// let path = q_chain(&array![1.0], &schedule, &[array![0.5], array![0.0]])?;
/// assert_eq!(path, [array![1.0], array![1.0], array![0.6]]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: q_chain
pub fn q_chain<D: Dimension>(
    x0: &ArrayRef<f64, D>,
    schedule: &Schedule,
    eps: &[Array<f64, D>],
) -> Result<Vec<Array<f64, D>>> {
    if eps.len() != schedule.timesteps() {
        return Err(Error::ShapeMismatch { name: "eps", expected: vec![schedule.timesteps()], got: vec![eps.len()] });
    }
    let mut path = vec![x0.to_owned()];
    for (step, eps) in schedule.steps().iter().zip(eps) {
        path.push(q_step(&path[step.t - 1], *step, eps)?);
    }
    Ok(path)
}
// ANCHOR_END: q_chain

/// Merges the noise of two steps into the one noise that does the work of both.
///
/// The noise ε_{t−1} of the first step is shrunk by √α_t in the second. Two independent Gaussians add up to a Gaussian
/// whose variance is the sum of theirs, (α_t − α_t α_{t−1}) + (1 − α_t) = 1 − α_t α_{t−1}. The result is that sum,
/// divided by its standard deviation, so that it is again a draw from N(0, I).
///
/// To merge on, step by step to t, put ᾱ_{t−1} for α_{t−1}: for `step_prev` give the one step that does the work of all
/// before t, which is `schedule.respaced(&[t - 1])?.step(1)?`.
///
/// # Formula
/// ε̄ = [√(α_t − α_t α_{t−1}) · ε_{t−1} + √(1 − α_t) · ε_t] / √(1 − α_t α_{t−1})                      (slug `merge_noise`)
/// # Shapes
/// `eps_prev`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `eps_prev` and `eps` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, the step from eq. 2 to eq. 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::merge_noise};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
/// let merged = merge_noise(schedule.step(1)?, &array![1.0], schedule.step(2)?, &array![0.0])?;
/// assert!((merged[0] - (0.25_f64 / 0.75).sqrt()).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: merge_noise
pub fn merge_noise<D: Dimension>(
    step_prev: Step,
    eps_prev: &ArrayRef<f64, D>,
    step: Step,
    eps: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("eps", eps_prev, eps)?;
    let var_prev = step.alpha * step_prev.beta;
    let var = step.beta;
    let std = (var_prev + var).sqrt();
    Ok(weighted_sum(var_prev.sqrt() / std, eps_prev, var.sqrt() / std, eps))
}
// ANCHOR_END: merge_noise

/// Draws x_t from q(x_t | x_0) in closed form, given the noise.
///
/// # Formula
/// x_t = √ᾱ_t · x_0 + √(1 − ᾱ_t) · ε                      (slug `q_sample`)
/// # Shapes
/// `x0`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `eps` differ in shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::q_sample};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// assert_eq!(q_sample(&array![1.0], step, &array![0.5])?, array![0.6 + 0.8 * 0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "add_noise")]
// ANCHOR: q_sample
pub fn q_sample<D: Dimension>(x0: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", x0, eps)?;
    Ok(weighted_sum(step.alpha_bar.sqrt(), x0, step.one_minus_alpha_bar.sqrt(), eps))
}
// ANCHOR_END: q_sample

/// The mean and variance of x_t, from those of x_0 (one number each, per dimension).
///
/// # Formula
/// E x_t = √ᾱ_t · E x_0,  Var x_t = ᾱ_t · Var x_0 + 1 − ᾱ_t                      (slug `marginal_moments`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number, 0 or above
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 4, averaged over x_0
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, forward::marginal_moments};
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// assert_eq!(marginal_moments(2.0, 1.0, step)?, (1.0, 1.0)); // variance 1 stays 1
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: marginal_moments
pub fn marginal_moments(mean: f64, variance: f64, step: Step) -> Result<(f64, f64)> {
    not_negative("variance", variance)?;
    Ok((step.alpha_bar.sqrt() * mean, step.alpha_bar * variance + step.one_minus_alpha_bar))
}
// ANCHOR_END: marginal_moments

/// a·x + b·y, in one pass over memory.
pub(crate) fn weighted_sum<D: Dimension>(a: f64, x: &ArrayRef<f64, D>, b: f64, y: &ArrayRef<f64, D>) -> Array<f64, D> {
    Zip::from(x).and(y).map_collect(|&x, &y| a * x + b * y)
}
