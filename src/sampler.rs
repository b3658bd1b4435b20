//! Samplers: how noise becomes data, a step at a time.
//!
//! [`ancestral`] is Algorithm 2 of Ho et al. 2020, [`ddim`] the deterministic sampler of Song et al. 2021 and all between
//! the two. They share one loop, in which each differs by its update alone. The denoiser is any closure that predicts from
//! x_t and its [`Step`]; it is called once a step, from the last t to the first, so that it may also record the way:
//!
//! ```
//! use literate_diffusion::objective::{Variance, gaussian_eps};
//! use literate_diffusion::sampler::{LastStep, ancestral};
//! use ndarray_rand::{RandomExt, rand::SeedableRng, rand_distr::StandardNormal};
//! # use literate_diffusion::Schedule;
//! # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
//! let schedule = Schedule::linear(100, 1e-3, 0.2)?;
//! let noise = ndarray::Array::random_using((1000, 2), StandardNormal, &mut rng);
//! let mut states = Vec::new(); // x_T, …, x_1
//! let denoiser = |xt: &ndarray::ArrayRef2<f64>, step| {
//!     states.push(xt.to_owned());
//!     gaussian_eps(0.0, 0.01, xt, step) // the best prediction for data N(0, 0.01)
//! };
//! let x0 = ancestral(&noise, &schedule, Variance::BetaTilde, LastStep::Mean, denoiser, &mut rng)?;
//! assert!(states.len() == 100 && states[0] == noise);
//! assert!(x0.std(0.0) < 0.11);
//! # Ok::<(), literate_diffusion::Error>(())
//! ```

use ndarray::{Array, ArrayRef, Dimension};
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;

use crate::error::{Error, Result, not_negative, same_shape};
use crate::forward::weighted_sum;
use crate::objective::{Variance, eps_from_x0, mean_from_eps, x0_from_eps};
use crate::posterior::posterior_mean;
use crate::schedule::{Schedule, Step};

/// A network, or anything else that predicts from x_t and its step: a closure `|xt, step| Ok(prediction)`.
///
/// The prediction has the shape of x_t. The step is always one of the schedule that the network was trained on, also where
/// a sampler visits only some of its times.
pub trait Denoiser<D>: FnMut(&ArrayRef<f64, D>, Step) -> Result<Array<f64, D>> {}
impl<D, F: FnMut(&ArrayRef<f64, D>, Step) -> Result<Array<f64, D>>> Denoiser<D> for F {}

/// What the step from x_1 to x_0 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastStep {
    /// Returns the mean: no noise is added. Algorithm 2 of Ho et al. 2020.
    #[default]
    Mean,
    /// Adds noise as every other step does: x_0 is a draw from p(x_0 | x_1).
    Noise,
}

/// The standard deviation of the noise that an ancestral step adds.
///
/// # Formula
/// σ_t = √β_t or √β̃_t; σ_1 = 0 for `LastStep::Mean`                      (slug `ancestral_sigma`)
/// # Source
/// Ho, Jain, Abbeel 2020, section 3.2 and algorithm 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::Variance, sampler::{LastStep, ancestral_sigma}};
/// let first = Schedule::from_betas(&[0.25])?.step(1)?;
/// assert_eq!(ancestral_sigma(first, Variance::Beta, LastStep::Noise), 0.5);
/// assert_eq!(ancestral_sigma(first, Variance::Beta, LastStep::Mean), 0.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_sigma
pub fn ancestral_sigma(step: Step, variance: Variance, last_step: LastStep) -> f64 {
    match (step.t, last_step) {
        (1, LastStep::Mean) => 0.0,
        _ => variance.of(step).sqrt(),
    }
}
// ANCHOR_END: ancestral_sigma

/// One step of Algorithm 2, x_t → x_{t−1}, given the predicted noise and the fresh noise.
///
/// # Formula
/// x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) · ε_θ) / √α_t + σ_t z                      (slug `ancestral_step`)
/// # Shapes
/// `xt`, `eps`, `z`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] unless `sigma` is a finite number, 0 or above;
/// [`Error::ZeroSnr`] where α_t = 0: take [`ancestral_step_from_x0`] there
/// # Source
/// Ho, Jain, Abbeel 2020, algorithm 2, line 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ancestral_step};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let x0 = ancestral_step(&array![1.0], step, &array![0.0], 0.5, &array![3.0])?;
/// assert_eq!(x0, array![1.0 / 0.5 + 0.5 * 3.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_step
pub fn ancestral_step<D: Dimension>(
    xt: &ArrayRef<f64, D>,
    step: Step,
    eps: &ArrayRef<f64, D>,
    sigma: f64,
    z: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    add_noise(mean_from_eps(xt, step, eps)?, sigma, z)
}
// ANCHOR_END: ancestral_step

/// The same step, given the predicted data: the posterior mean with x̂_0 in the place of x_0.
///
/// With [`eps_from_x0`] it is [`ancestral_step`]. But x̂_0 can be clipped first, and nothing is divided by √α_t, so that it
/// also works where α_t = 0.
///
/// # Formula
/// x_{t−1} = [√ᾱ_{t−1} β_t · x̂_0 + √α_t (1 − ᾱ_{t−1}) · x_t] / (1 − ᾱ_t) + σ_t z   (slug `ancestral_step_from_x0`)
/// # Shapes
/// `x0_hat`, `xt`, `z`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] unless `sigma` is a finite number, 0 or above
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7 and algorithm 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ancestral_step_from_x0};
/// use ndarray::array;
/// let first = Schedule::from_betas(&[0.75])?.step(1)?; // at t = 1, x̂_0 itself
/// let x0 = ancestral_step_from_x0(&array![2.0], &array![1.0], first, 0.0, &array![3.0])?;
/// assert_eq!(x0, array![2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_step_from_x0
pub fn ancestral_step_from_x0<D: Dimension>(
    x0_hat: &ArrayRef<f64, D>,
    xt: &ArrayRef<f64, D>,
    step: Step,
    sigma: f64,
    z: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    add_noise(posterior_mean(x0_hat, xt, step)?, sigma, z)
}
// ANCHOR_END: ancestral_step_from_x0

/// Algorithm 2: from noise x_T to a sample x_0, through every step of the schedule. The denoiser predicts ε.
///
/// # Formula
/// x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) · ε_θ(x_t, t)) / √α_t + σ_t z, for t = T, …, 1                      (slug `ancestral`)
/// # Shapes
/// `x_end` (x_T), result: any, both equal
/// # Errors
/// [`Error::ShapeMismatch`] where the denoiser returns another shape; [`Error::ZeroSnr`] where β_T = 1: take
/// [`ancestral_from_x0`] there; and any error of the denoiser
/// # Source
/// Ho, Jain, Abbeel 2020, algorithm 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Variance, gaussian_eps}, sampler::{LastStep, ancestral}};
/// use ndarray::array;
/// # use ndarray_rand::rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?;
/// let one_point = |xt: &_, step| gaussian_eps(5.0, 0.0, xt, step); // the best prediction if all the data is 5
/// let x0 = ancestral(&array![-0.3, 1.2], &schedule, Variance::Beta, LastStep::Mean, one_point, &mut rng)?;
/// assert!((x0 - 5.0).iter().all(|error| error.abs() < 1e-12));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "p_sample_loop")]
// ANCHOR: ancestral
pub fn ancestral<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    schedule: &Schedule,
    variance: Variance,
    last_step: LastStep,
    denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
) -> Result<Array<f64, D>> {
    let sigma = |step| Ok(ancestral_sigma(step, variance, last_step));
    walk_back(x_end, &every_step(schedule), sigma, denoiser, rng, ancestral_step)
}
// ANCHOR_END: ancestral

/// [`ancestral`] with a denoiser that predicts x_0. Also from x_T where ᾱ_T = 0.
///
/// To clip, let the denoiser do it: `|xt, step| clip_x0(&network(xt, step)?, -1.0, 1.0)`.
///
/// # Formula
/// x_{t−1} = [√ᾱ_{t−1} β_t · x̂_0(x_t, t) + √α_t (1 − ᾱ_{t−1}) · x_t]/(1 − ᾱ_t) + σ_t z   (slug `ancestral_from_x0`)
/// # Shapes
/// `x_end` (x_T), result: any, both equal
/// # Errors
/// [`Error::ShapeMismatch`] where the denoiser returns another shape; and any error of the denoiser
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 7 and algorithm 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::Variance, sampler::{LastStep, ancestral_from_x0}};
/// use ndarray::{Array1, array};
/// # use ndarray_rand::rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?.rescale_zero_terminal_snr()?;
/// let one_point = |_: &_, _| Ok(Array1::from_elem(2, 5.0));
/// let x0 = ancestral_from_x0(&array![-0.3, 1.2], &schedule, Variance::Beta, LastStep::Mean, one_point, &mut rng)?;
/// assert_eq!(x0, array![5.0, 5.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_from_x0
pub fn ancestral_from_x0<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    schedule: &Schedule,
    variance: Variance,
    last_step: LastStep,
    denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
) -> Result<Array<f64, D>> {
    let sigma = |step| Ok(ancestral_sigma(step, variance, last_step));
    walk_back(x_end, &every_step(schedule), sigma, denoiser, rng, |xt, step, x0_hat, sigma, z| {
        ancestral_step_from_x0(x0_hat, xt, step, sigma, z)
    })
}
// ANCHOR_END: ancestral_from_x0

/// [`ancestral`] through some of the times only: fewer steps, each of them longer.
///
/// A long step has its own β′ = 1 − ᾱ_{τ_i}/ᾱ_{τ_{i−1}}, far above β_{τ_i}. The denoiser still sees the step τ_i of the
/// `schedule` that it was trained on. With [`Variance::BetaTilde`] this is [`ddim`] with η = 1.
///
/// # Formula
/// x_{τ_{i−1}} = (x_{τ_i} − β′_i/√(1 − ᾱ_{τ_i}) · ε_θ(x_{τ_i}, τ_i)) / √α′_i + σ′_i z   (slug `respaced_ancestral`)
/// # Shapes
/// `x_end` (x at the last of `times`), result: any, both equal; `times`: increasing, within 1..=T, T usually the last
/// # Errors
/// As [`Schedule::respaced`] for a bad list of times; the rest as [`ancestral`]
/// # Source
/// Nichol, Dhariwal 2021, section 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::{Variance, gaussian_eps}};
/// use literate_diffusion::sampler::{LastStep, respaced_ancestral};
/// use ndarray::array;
/// # use ndarray_rand::rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?;
/// let mut seen = Vec::new();
/// let one_point = |xt: &_, step: literate_diffusion::Step| {
///     seen.push(step.t);
///     gaussian_eps(5.0, 0.0, xt, step)
/// };
/// let (times, variance) = ([10, 40, 100], Variance::BetaTilde);
/// let x0 = respaced_ancestral(&array![-0.3], &schedule, &times, variance, LastStep::Mean, one_point, &mut rng)?;
/// assert!((x0[0] - 5.0).abs() < 1e-12);
/// assert_eq!(seen, [100, 40, 10]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: respaced_ancestral
pub fn respaced_ancestral<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    schedule: &Schedule,
    times: &[usize],
    variance: Variance,
    last_step: LastStep,
    denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
) -> Result<Array<f64, D>> {
    let sigma = |step| Ok(ancestral_sigma(step, variance, last_step));
    walk_back(x_end, &some_steps(schedule, times)?, sigma, denoiser, rng, ancestral_step)
}
// ANCHOR_END: respaced_ancestral

/// The standard deviation of the noise that a DDIM step adds: none for η = 0, that of an ancestral step for η = 1.
///
/// # Formula
/// σ_t(η) = η √((1 − ᾱ_{t−1})/(1 − ᾱ_t)) √(1 − ᾱ_t/ᾱ_{t−1}) = η √β̃_t                      (slug `ddim_sigma`)
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ `eta` ≤ 1
/// # Source
/// Song, Meng, Ermon 2021, eq. 16
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ddim_sigma};
/// let step = Schedule::from_betas(&[0.5, 0.5])?.step(2)?;
/// assert_eq!(ddim_sigma(step, 0.5)?, 0.5 * (0.5_f64 * 0.5 / 0.75).sqrt());
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ddim_sigma
pub fn ddim_sigma(step: Step, eta: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&eta) {
        return Err(Error::OutOfRange { name: "eta", expected: "between 0 and 1", got: eta });
    }
    Ok(eta * step.beta_tilde.sqrt())
}
// ANCHOR_END: ddim_sigma

/// One step of DDIM, x_t → x_{t−1}, given both predictions and the fresh noise.
///
/// The predicted data is diffused again to time t − 1. Part of the noise for that, of variance σ², is fresh; the rest is
/// the noise that x_t was predicted to have. So every σ gives the same marginals, and with σ = 0 no chance is left.
///
/// For a step from τ_i to τ_{i−1}, take the `step` of [`Schedule::respaced`].
///
/// # Formula
/// x_{t−1} = √ᾱ_{t−1} · x̂_0 + √(1 − ᾱ_{t−1} − σ²) · ε_θ + σ z                      (slug `ddim_step`)
/// # Shapes
/// `x0_hat`, `eps`, `z`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] unless 0 ≤ σ² ≤ 1 − ᾱ_{t−1}
/// # Source
/// Song, Meng, Ermon 2021, eq. 12
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ddim_step};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64, 0.5])?.step(2)?; // ᾱ_1 = 0.36
/// let x1 = ddim_step(&array![2.0], step, &array![1.0], 0.0, &array![3.0])?;
/// assert!((x1[0] - (0.6 * 2.0 + 0.8)).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ddim_step
pub fn ddim_step<D: Dimension>(
    x0_hat: &ArrayRef<f64, D>,
    step: Step,
    eps: &ArrayRef<f64, D>,
    sigma: f64,
    z: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("eps", x0_hat, eps)?;
    let kept = kept_noise(step, sigma)?;
    add_noise(weighted_sum(step.alpha_bar_prev.sqrt(), x0_hat, kept, eps), sigma, z)
}
// ANCHOR_END: ddim_step

/// DDIM through any of the times, from deterministic (η = 0) to ancestral (η = 1). The denoiser predicts ε.
///
/// # Formula
/// x_{τ_{i−1}} = √ᾱ_{τ_{i−1}} · x̂_0 + √(1 − ᾱ_{τ_{i−1}} − σ²) · ε_θ(x_{τ_i}, τ_i) + σ z, i = S, …, 1   (slug `ddim`)
/// # Shapes
/// `x_end` (x at the last of `times`), result: any, both equal; `times`: increasing, within 1..=T, T usually the last
/// # Errors
/// As [`Schedule::respaced`] for a bad list of times; [`Error::OutOfRange`] unless 0 ≤ `eta` ≤ 1;
/// [`Error::ShapeMismatch`] where the denoiser returns another shape; [`Error::ZeroSnr`] where ᾱ_τ = 0: take
/// [`ddim_from_x0`] there; and any error of the denoiser
/// # Source
/// Song, Meng, Ermon 2021, eq. 12 and section 4.2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::gaussian_eps, sampler::ddim, schedule::evenly_spaced_times};
/// use ndarray::array;
/// # use ndarray_rand::rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let times = evenly_spaced_times(1000, 50)?;
/// let x0 = ddim(&array![1.0], &schedule, &times, 0.0, |xt, step| gaussian_eps(3.0, 0.25, xt, step), &mut rng)?;
/// assert!((x0[0] - (3.0 + 0.5 * 1.0)).abs() < 0.05); // one standard deviation above the mean stays so, almost
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "ddim_sample_loop")]
// ANCHOR: ddim
pub fn ddim<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    schedule: &Schedule,
    times: &[usize],
    eta: f64,
    denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
) -> Result<Array<f64, D>> {
    let sigma = |step| ddim_sigma(step, eta);
    walk_back(x_end, &some_steps(schedule, times)?, sigma, denoiser, rng, |xt, step, eps, sigma, z| {
        ddim_step(&x0_from_eps(xt, step, eps)?, step, eps, sigma, z)
    })
}
// ANCHOR_END: ddim

/// [`ddim`] with a denoiser that predicts x_0. Also from x_T where ᾱ_T = 0.
///
/// # Formula
/// As `ddim`, with ε_θ = (x_t − √ᾱ_t · x̂_0(x_t, t)) / √(1 − ᾱ_t)                      (slug `ddim_from_x0`)
/// # Shapes
/// `x_end` (x at the last of `times`), result: any, both equal; `times`: increasing, within 1..=T, T usually the last
/// # Errors
/// As [`Schedule::respaced`] for a bad list of times; [`Error::OutOfRange`] unless 0 ≤ `eta` ≤ 1;
/// [`Error::ShapeMismatch`] where the denoiser returns another shape; and any error of the denoiser
/// # Source
/// Song, Meng, Ermon 2021, eq. 12, with their eq. 9 solved for the noise
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ddim_from_x0};
/// use ndarray::{Array1, array};
/// # use ndarray_rand::rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?.rescale_zero_terminal_snr()?;
/// let x0 = ddim_from_x0(&array![1.2], &schedule, &[50, 100], 0.0, |_, _| Ok(array![5.0]), &mut rng)?;
/// assert_eq!(x0, array![5.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ddim_from_x0
pub fn ddim_from_x0<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    schedule: &Schedule,
    times: &[usize],
    eta: f64,
    denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
) -> Result<Array<f64, D>> {
    let sigma = |step| ddim_sigma(step, eta);
    walk_back(x_end, &some_steps(schedule, times)?, sigma, denoiser, rng, |xt, step, x0_hat, sigma, z| {
        ddim_step(x0_hat, step, &eps_from_x0(x0_hat, xt, step)?, sigma, z)
    })
}
// ANCHOR_END: ddim_from_x0

/// Cuts a predicted x_0 off at the ends of the range that the data has. Wrong for data that has no such range.
///
/// # Formula
/// min(max(x̂_0, a), b)                      (slug `clip_x0`)
/// # Shapes
/// `x0_hat`, result: any, both equal
/// # Errors
/// [`Error::OutOfRange`] unless `low` (a) is below `high` (b)
/// # Source
/// The code of Ho, Jain, Abbeel 2020, `clip_denoised`; the range is that of their section 3.3, [−1, 1]
/// # Examples
/// ```
/// use literate_diffusion::sampler::clip_x0;
/// use ndarray::array;
/// assert_eq!(clip_x0(&array![-3.0, 0.5, 1.1], -1.0, 1.0)?, array![-1.0, 0.5, 1.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "clip_denoised")]
#[doc(alias = "clip_sample")]
// ANCHOR: clip_x0
pub fn clip_x0<D: Dimension>(x0_hat: &ArrayRef<f64, D>, low: f64, high: f64) -> Result<Array<f64, D>> {
    if low < high {
        return Ok(x0_hat.mapv(|x0| x0.clamp(low, high)));
    }
    Err(Error::OutOfRange { name: "low", expected: "a number below high", got: low })
}
// ANCHOR_END: clip_x0

/// The mean and variance of what [`ancestral`] makes of x_T ~ N(0, I), where every coordinate of the data is N(m, v) and
/// the denoiser is the best there is, [`gaussian_eps`](crate::objective::gaussian_eps).
///
/// Each step is then x_{t−1} = a_t x_t + const + σ_t z, so that Gaussians stay Gaussian. For [`respaced_ancestral`], give
/// the schedule of [`Schedule::respaced`].
///
/// # Formula
/// E x_{t−1} − √ᾱ_{t−1} m = a_t (E x_t − √ᾱ_t m),  Var x_{t−1} = a_t² Var x_t + σ_t²,
/// a_t = √α_t V_{t−1}/V_t,  V_t = ᾱ_t v + 1 − ᾱ_t,  from E x_T = 0, Var x_T = 1                      (slug `ancestral_moments`)
/// # Errors
/// [`Error::OutOfRange`] unless `data_variance` (v) is a finite number, 0 or above
/// # Source
/// Algorithm 2 of Ho, Jain, Abbeel 2020, with the regression line of ε on x_t
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, objective::Variance, sampler::{LastStep, ancestral_moments}};
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?;
/// let (_, variance) = ancestral_moments(0.0, 1.0, &schedule, Variance::Beta, LastStep::Noise)?;
/// assert!((variance - 1.0).abs() < 1e-12); // σ² = β is exact for data N(0, I)
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_moments
pub fn ancestral_moments(
    data_mean: f64,
    data_variance: f64,
    schedule: &Schedule,
    variance: Variance,
    last_step: LastStep,
) -> Result<(f64, f64)> {
    not_negative("data_variance", data_variance)?;
    let slope_and_sigma = |step: Step| {
        let now = step.alpha_bar * data_variance + step.one_minus_alpha_bar;
        let before = step.alpha_bar_prev * data_variance + step.one_minus_alpha_bar_prev;
        Ok((step.alpha.sqrt() * before / now, ancestral_sigma(step, variance, last_step)))
    };
    moments(data_mean, schedule, slope_and_sigma)
}
// ANCHOR_END: ancestral_moments

/// The mean and variance of what [`ddim`] makes of x_T ~ N(0, I), for data and denoiser as in [`ancestral_moments`].
///
/// The schedule is that of [`Schedule::respaced`] where only some of the times are visited.
///
/// # Formula
/// As `ancestral_moments`, with a_t = [√(ᾱ_{t−1} ᾱ_t) v + √(1 − ᾱ_{t−1} − σ_t²) √(1 − ᾱ_t)] / V_t   (slug `ddim_moments`)
/// # Errors
/// [`Error::OutOfRange`] unless `data_variance` (v) is a finite number, 0 or above, and 0 ≤ `eta` ≤ 1
/// # Source
/// Song, Meng, Ermon 2021, eq. 12, with the regression lines of ε and x_0 on x_t
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, sampler::ddim_moments};
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let (_, variance) = ddim_moments(0.0, 0.25, &schedule, 0.0)?;
/// assert!((variance - 0.25).abs() < 2e-3); // no noise is added, and the spread of the data is there all the same
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ddim_moments
pub fn ddim_moments(data_mean: f64, data_variance: f64, schedule: &Schedule, eta: f64) -> Result<(f64, f64)> {
    not_negative("data_variance", data_variance)?;
    let slope_and_sigma = |step: Step| {
        let sigma = ddim_sigma(step, eta)?;
        let from_x0 = (step.alpha_bar_prev * step.alpha_bar).sqrt() * data_variance;
        let from_eps = kept_noise(step, sigma)? * step.one_minus_alpha_bar.sqrt();
        Ok(((from_x0 + from_eps) / (step.alpha_bar * data_variance + step.one_minus_alpha_bar), sigma))
    };
    moments(data_mean, schedule, slope_and_sigma)
}
// ANCHOR_END: ddim_moments

/// The loop that all samplers share: a prediction, fresh noise where σ > 0, and the update.
///
/// `path` pairs what the denoiser sees, a step of its own schedule, with the step that is taken.
// ANCHOR: walk_back
fn walk_back<D: Dimension>(
    x_end: &ArrayRef<f64, D>,
    path: &[(Step, Step)],
    sigma: impl Fn(Step) -> Result<f64>,
    mut denoiser: impl Denoiser<D>,
    rng: &mut impl Rng,
    update: impl Fn(&ArrayRef<f64, D>, Step, &ArrayRef<f64, D>, f64, &ArrayRef<f64, D>) -> Result<Array<f64, D>>,
) -> Result<Array<f64, D>> {
    let mut x = x_end.to_owned();
    let mut z = Array::zeros(x.raw_dim());
    for &(seen, taken) in path.iter().rev() {
        let prediction = denoiser(&x, seen)?;
        same_shape("the prediction of the denoiser", &x, &prediction)?;
        let sigma = sigma(taken)?;
        if sigma > 0.0 {
            z.mapv_inplace(|_| rng.sample(StandardNormal));
        }
        x = update(&x, taken, &prediction, sigma, &z).map_err(|error| at_time(seen.t, error))?;
    }
    Ok(x)
}
// ANCHOR_END: walk_back

/// The error with the time of the whole schedule, where the step that was taken has its place among the visited ones.
fn at_time(t: usize, error: Error) -> Error {
    if let Error::ZeroSnr { .. } = error { Error::ZeroSnr { t } } else { error }
}

/// The path through every step: what is seen is what is taken.
fn every_step(schedule: &Schedule) -> Vec<(Step, Step)> {
    schedule.steps().iter().map(|&step| (step, step)).collect()
}

/// The path through some times: seen are the steps of the schedule, taken are the longer ones between them.
fn some_steps(schedule: &Schedule, times: &[usize]) -> Result<Vec<(Step, Step)>> {
    let respaced = schedule.respaced(times)?;
    Ok(schedule.visit(times)?.into_iter().zip(respaced.steps().iter().copied()).collect())
}

/// mean + σ z.
fn add_noise<D: Dimension>(mut mean: Array<f64, D>, sigma: f64, z: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("z", &mean, z)?;
    not_negative("sigma", sigma)?;
    mean.scaled_add(sigma, z);
    Ok(mean)
}

/// √(1 − ᾱ_{t−1} − σ²), the share of the predicted noise that a DDIM step keeps.
pub(crate) fn kept_noise(step: Step, sigma: f64) -> Result<f64> {
    let all = step.one_minus_alpha_bar_prev.sqrt();
    // At α_t = 0 and η = 1, σ is all of the noise, and may be above it by a rounding.
    if !(0.0..=all * (1.0 + 1e-12)).contains(&sigma) {
        let expected = "0 or above, and its square at most 1 - alpha_bar of the step before";
        return Err(Error::OutOfRange { name: "sigma", expected, got: sigma });
    }
    Ok(((all - sigma) * (all + sigma)).max(0.0).sqrt())
}

/// Follows the mean, as its distance from where the data would be, and the variance from x_T ~ N(0, 1) to x_0.
fn moments(
    data_mean: f64,
    schedule: &Schedule,
    slope_and_sigma: impl Fn(Step) -> Result<(f64, f64)>,
) -> Result<(f64, f64)> {
    let (mut off, mut variance) = (-schedule.last().alpha_bar.sqrt() * data_mean, 1.0);
    for &step in schedule.steps().iter().rev() {
        let (slope, sigma) = slope_and_sigma(step)?;
        (off, variance) = (slope * off, slope * slope * variance + sigma * sigma);
    }
    Ok((data_mean + off, variance))
}
