//! The score and the flow: what a network that predicts noise has learned, and what can be done with it.
//!
//! The first part ties the noise to the score, the slope of the log-density, and shows three losses that have it for their
//! minimum. The second part lets T grow without end. The forward process becomes a stochastic differential equation, which
//! can be run back; and an ordinary one, the probability flow, has the same marginals. The flow gives each point a density.
//!
//! Time is τ = t/T here, from 0 (the data) to 1 (the noise). [`ContinuousSchedule::at`] makes the [`Step`] of a time τ > 0, so
//! that every formula of the earlier chapters, and [`SCurve::marginal`](crate::s_curve::SCurve::marginal), can be asked.

use ndarray::{Array, Array1, Array2, ArrayRef, ArrayRef1, ArrayRef2, Axis, Dimension, concatenate};

use crate::error::{Error, Result, not_negative, positive, same_shape};
use crate::forward::{marginal_moments, weighted_sum};
use crate::gaussian::log_density;
use crate::objective::l_simple;
use crate::posterior::atom_weights;
use crate::s_curve::Marginal;
use crate::schedule::{Schedule, Step};

/// The score that belongs to a prediction of the noise; with the noise that was drawn, the [`conditional_score`].
///
/// # Formula
/// ∇ ln q(x_t) = −ε / √(1 − ᾱ_t)                      (slug `score_from_eps`)
/// # Shapes
/// `eps`, result: any, both equal
/// # Errors
/// [`Error::OutOfRange`] where 1 − ᾱ_t = 0: there is no noise to speak of
/// # Source
/// Dhariwal, Nichol 2021, eq. 11
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::score_from_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.25])?.step(1)?;
/// assert_eq!(score_from_eps(&array![1.0], step)?, array![-2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: score_from_eps
pub fn score_from_eps<D: Dimension>(eps: &ArrayRef<f64, D>, step: Step) -> Result<Array<f64, D>> {
    has_noise(step)?;
    Ok(eps / -step.one_minus_alpha_bar.sqrt())
}
// ANCHOR_END: score_from_eps

/// The prediction of the noise that belongs to a score.
///
/// # Formula
/// ε = −√(1 − ᾱ_t) · ∇ ln q(x_t)                      (slug `eps_from_score`)
/// # Shapes
/// `score`, result: any, both equal
/// # Source
/// Dhariwal, Nichol 2021, eq. 11, solved for the noise
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::eps_from_score};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.25])?.step(1)?;
/// assert_eq!(eps_from_score(&array![-2.0], step), array![1.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: eps_from_score
pub fn eps_from_score<D: Dimension>(score: &ArrayRef<f64, D>, step: Step) -> Array<f64, D> {
    score * -step.one_minus_alpha_bar.sqrt()
}
// ANCHOR_END: eps_from_score

/// The prediction of the data that belongs to a score: Tweedie's formula, for any array.
///
/// # Formula
/// x̂_0 = (x_t + (1 − ᾱ_t) ∇ ln q(x_t)) / √ᾱ_t                      (slug `x0_from_score`)
/// # Shapes
/// `xt`, `score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `score` differ in shape; [`Error::ZeroSnr`] where ᾱ_t = 0
/// # Source
/// Efron 2011, eq. 1.4, with x_t/√ᾱ_t for z
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::x0_from_score};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// let x0 = x0_from_score(&array![1.0], step, &array![-1.0])?; // data N(0, 1): the score is −x
/// assert_eq!(x0, array![0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: x0_from_score
pub fn x0_from_score<D: Dimension>(
    xt: &ArrayRef<f64, D>,
    step: Step,
    score: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("score", xt, score)?;
    if step.alpha_bar == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let signal = step.alpha_bar.sqrt();
    Ok(weighted_sum(1.0 / signal, xt, step.one_minus_alpha_bar / signal, score))
}
// ANCHOR_END: x0_from_score

/// The score of x_t where the data point is known: the pull back to it.
///
/// # Formula
/// ∇ ln q(x_t | x_0) = (√ᾱ_t x_0 − x_t) / (1 − ᾱ_t)                      (slug `conditional_score`)
/// # Shapes
/// `x0`, `xt`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `xt` differ in shape; [`Error::OutOfRange`] where 1 − ᾱ_t = 0
/// # Source
/// Vincent 2011, eq. 10
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::conditional_score};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// assert_eq!(conditional_score(&array![2.0], &array![-0.5], step)?, array![2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: conditional_score
pub fn conditional_score<D: Dimension>(
    x0: &ArrayRef<f64, D>,
    xt: &ArrayRef<f64, D>,
    step: Step,
) -> Result<Array<f64, D>> {
    same_shape("xt", x0, xt)?;
    has_noise(step)?;
    let variance = step.one_minus_alpha_bar;
    Ok(weighted_sum(step.alpha_bar.sqrt() / variance, x0, -1.0 / variance, xt))
}
// ANCHOR_END: conditional_score

/// The score of x_t for data that is a list of equally probable numbers, the atoms: the mean of the pulls to each.
///
/// # Formula
/// d/dx_t ln q(x_t) = Σ_i q(a_i | x_t) (√ᾱ_t a_i − x_t)/(1 − ᾱ_t)                      (slug `score_of_atoms`)
/// # Shapes
/// `atoms`: (atoms); the rest: one number
/// # Errors
/// [`Error::Empty`] where there are no atoms; [`Error::OutOfRange`] where 1 − ᾱ_t = 0
/// # Source
/// Vincent 2011, the mean of eq. 10 over x_0 given x_t
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::score_of_atoms};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5])?.step(1)?;
/// assert_eq!(score_of_atoms(0.0, &array![-1.0, 1.0], step)?, 0.0); // both pull alike
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: score_of_atoms
pub fn score_of_atoms(xt: f64, atoms: &ArrayRef1<f64>, step: Step) -> Result<f64> {
    let weights = atom_weights(atoms, xt, step)?;
    let pulls = conditional_score(atoms, &Array1::from_elem(atoms.len(), xt), step)?;
    Ok(weights.dot(&pulls))
}
// ANCHOR_END: score_of_atoms

/// How far a model of the score is from the score itself: what one would like to minimise. The data is a list of atoms.
///
/// # Formula
/// J_E = ½ ∫ q(x_t) (s_θ(x_t) − d/dx_t ln q(x_t))² dx_t                      (slug `explicit_loss`)
/// # Shapes
/// `atoms`: (atoms); `model`: s_θ, a function of one number
/// # Errors
/// [`Error::Empty`] where there are no atoms; [`Error::OutOfRange`] where 1 − ᾱ_t = 0
/// # Source
/// Hyvärinen 2005, eq. 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::explicit_loss};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5])?.step(1)?;
/// let right = |x: f64| -x / 0.5; // one atom at 0: x_t is N(0, 0.5)
/// assert!(explicit_loss(right, &array![0.0], step)? < 1e-30);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: explicit_loss
pub fn explicit_loss(model: impl Fn(f64) -> f64, atoms: &ArrayRef1<f64>, step: Step) -> Result<f64> {
    expectation(atoms, step, |_, xt| Ok(0.5 * (model(xt) - score_of_atoms(xt, atoms, step)?).powi(2)))
}
// ANCHOR_END: explicit_loss

/// How far a model of the score is from the pull to the data point that x_t was made of: what can be minimised.
///
/// # Formula
/// J_D = ½ E_{x_0} ∫ q(x_t | x_0) (s_θ(x_t) − d/dx_t ln q(x_t | x_0))² dx_t                      (slug `denoising_loss`)
/// # Shapes
/// `atoms`: (atoms); `model`: s_θ, a function of one number
/// # Errors
/// [`Error::Empty`] where there are no atoms; [`Error::OutOfRange`] where 1 − ᾱ_t = 0
/// # Source
/// Vincent 2011, eq. 9
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::denoising_loss};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5])?.step(1)?;
/// let nothing = |_| 0.0;
/// assert!((denoising_loss(nothing, &array![-1.0, 1.0], step)? - 0.5 / 0.5).abs() < 1e-12); // E ε² = 1
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: denoising_loss
pub fn denoising_loss(model: impl Fn(f64) -> f64, atoms: &ArrayRef1<f64>, step: Step) -> Result<f64> {
    let variance = step.one_minus_alpha_bar;
    expectation(atoms, step, |x0, xt| {
        let pull = (step.alpha_bar.sqrt() * x0 - xt) / variance;
        Ok(0.5 * (model(xt) - pull).powi(2))
    })
}
// ANCHOR_END: denoising_loss

/// The same distance, with the unknown score removed by integration by parts.
///
/// # Formula
/// J_I = ∫ q(x_t) (½ s_θ(x_t)² + s_θ′(x_t)) dx_t                      (slug `implicit_loss`)
/// # Shapes
/// `atoms`: (atoms); `model`: x_t ↦ (s_θ, s_θ′)
/// # Errors
/// [`Error::Empty`] where there are no atoms; [`Error::OutOfRange`] where 1 − ᾱ_t = 0
/// # Source
/// Hyvärinen 2005, eq. 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::implicit_loss};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.5])?.step(1)?;
/// let right = |x: f64| (-x / 0.5, -1.0 / 0.5); // one atom at 0: x_t is N(0, 0.5)
/// assert!((implicit_loss(right, &array![0.0], step)? + 1.0).abs() < 1e-12);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: implicit_loss
pub fn implicit_loss(model: impl Fn(f64) -> (f64, f64), atoms: &ArrayRef1<f64>, step: Step) -> Result<f64> {
    expectation(atoms, step, |_, xt| {
        let (score, slope) = model(xt);
        Ok(0.5 * score * score + slope)
    })
}
// ANCHOR_END: implicit_loss

/// L_simple, written with scores: denoising score matching, weighted by 1 − ᾱ_t.
///
/// # Formula
/// L_simple = (1 − ᾱ_t) · mean (s_θ − ∇ ln q(x_t | x_0))²                      (slug `l_simple_by_score`)
/// # Shapes
/// `conditional_score`, `score_theta`: any, both equal
/// # Errors
/// As [`l_simple`]
/// # Source
/// Song, Ermon 2019, eq. 6, with λ = 1 − ᾱ_t; Ho, Jain, Abbeel 2020, eq. 14
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::l_simple_by_score};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.25])?.step(1)?;
/// assert_eq!(l_simple_by_score(&array![-2.0], &array![0.0], step)?, 1.0); // the noise was 1, predicted was 0
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: l_simple_by_score
pub fn l_simple_by_score<D: Dimension>(
    conditional_score: &ArrayRef<f64, D>,
    score_theta: &ArrayRef<f64, D>,
    step: Step,
) -> Result<f64> {
    Ok(step.one_minus_alpha_bar * l_simple(conditional_score, score_theta)?)
}
// ANCHOR_END: l_simple_by_score

/// A noise schedule in continuous time τ from 0 to 1, whose rate β(τ) lies on a straight line.
///
/// β(τ) dτ is what β_t is in T steps, so that β((t − 1)/(T − 1)) = T β_t: the schedules of chapter 3 for T = 100 and for
/// T = 1000 have one rate, from 0.1 to 20.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContinuousSchedule {
    beta_start: f64,
    beta_end: f64,
}

impl ContinuousSchedule {
    /// From the rates at τ = 0 and τ = 1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless both are finite numbers above 0
    /// # Examples
    /// ```
    /// use literate_diffusion::{paper, score::ContinuousSchedule};
    /// assert!(ContinuousSchedule::linear(paper::SDE_BETA_MIN, paper::SDE_BETA_MAX).is_ok());
    /// assert!(ContinuousSchedule::linear(0.0, 20.0).is_err());
    /// ```
    pub fn linear(beta_start: f64, beta_end: f64) -> Result<Self> {
        positive("beta_start", beta_start)?;
        positive("beta_end", beta_end)?;
        Ok(Self { beta_start, beta_end })
    }

    /// The rate at which noise is added.
    ///
    /// # Formula
    /// β(τ) = β(0) + τ (β(1) − β(0))                      (slug `rate`)
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 ≤ τ ≤ 1
    /// # Source
    /// Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole 2021, eq. 32
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::score::ContinuousSchedule::linear(0.1, 20.0)?;
    /// assert_eq!(schedule.rate(1.0)?, 20.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: rate
    pub fn rate(&self, tau: f64) -> Result<f64> {
        in_unit_interval(tau)?;
        Ok(self.beta_start + tau * (self.beta_end - self.beta_start))
    }
    // ANCHOR_END: rate

    /// The share of the data's variance that is left at time τ.
    ///
    /// # Formula
    /// ᾱ(τ) = exp(−∫_0^τ β(r) dr) = exp(−τ (β(0) + β(τ))/2)                      (slug `alpha_bar_at`)
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 ≤ τ ≤ 1
    /// # Source
    /// Song et al. 2021, eq. 29
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::score::ContinuousSchedule::linear(0.1, 20.0)?;
    /// assert_eq!(schedule.alpha_bar_at(0.0)?, 1.0);
    /// assert!((schedule.alpha_bar_at(1.0)?.ln() + 10.05).abs() < 1e-12);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: alpha_bar_at
    pub fn alpha_bar_at(&self, tau: f64) -> Result<f64> {
        Ok((-self.noise_between(0.0, tau)?).exp())
    }
    // ANCHOR_END: alpha_bar_at

    /// Time τ as one step that leads there from the data at once, for the formulas that take a [`Step`].
    ///
    /// At τ = 0 it adds nothing: ᾱ = 1. No [`Schedule`] has such a step. A formula that divides by its noise, such as the
    /// posterior, has no answer there: it fails or gives NaN.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 ≤ τ ≤ 1
    /// # Examples
    /// ```
    /// use literate_diffusion::{s_curve::SCurve, score::ContinuousSchedule};
    /// let schedule = ContinuousSchedule::linear(0.1, 20.0)?;
    /// let half_way = SCurve::sound().marginal(schedule.at(0.5)?);
    /// assert_eq!(half_way.score(&ndarray::array![[0.0, 0.0]])?.shape(), [1, 2]);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn at(&self, tau: f64) -> Result<Step> {
        let noise = self.noise_between(0.0, tau)?;
        let (alpha_bar, one_minus_alpha_bar) = ((-noise).exp(), -(-noise).exp_m1());
        Ok(Step {
            t: 1,
            beta: one_minus_alpha_bar,
            alpha: alpha_bar,
            alpha_bar,
            alpha_bar_prev: 1.0,
            one_minus_alpha_bar,
            one_minus_alpha_bar_prev: 0.0,
            beta_tilde: 0.0,
        })
    }

    /// T steps with the same ᾱ at each of their times: the forward process, looked at T times.
    ///
    /// # Formula
    /// β_t = 1 − ᾱ(t/T)/ᾱ((t − 1)/T) = 1 − exp(−∫ β over the step)                      (slug `discretised`)
    /// # Errors
    /// [`Error::NoTimesteps`] where `timesteps` is 0
    /// # Source
    /// Song et al. 2021, eq. 23, exactly instead of to first order
    /// # Examples
    /// ```
    /// let continuous = literate_diffusion::score::ContinuousSchedule::linear(0.1, 20.0)?;
    /// let schedule = continuous.discretised(100)?;
    /// let (here, there) = (schedule.step(37)?.alpha_bar, continuous.alpha_bar_at(0.37)?);
    /// assert!((here / there - 1.0).abs() < 1e-13);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: discretised
    pub fn discretised(&self, timesteps: usize) -> Result<Schedule> {
        let time = |t: usize| t as f64 / timesteps as f64;
        let costs = (1..=timesteps).map(|t| self.noise_between(time(t - 1), time(t))).collect::<Result<Vec<_>>>()?;
        let ends = (1..=timesteps).map(|t| self.at(time(t))).collect::<Result<Vec<_>>>()?;
        Schedule::of_costs(&costs, ends.iter().map(|end| (end.alpha_bar, end.one_minus_alpha_bar)))
    }
    // ANCHOR_END: discretised

    /// ∫ β over [from, to]: the length, times the rate in the middle.
    fn noise_between(&self, from: f64, to: f64) -> Result<f64> {
        Ok((to - from) * (0.5 * self.rate(from)? + 0.5 * self.rate(to)?))
    }
}

/// The drift of the forward process: what a short step does to x on average, per unit of time.
///
/// # Formula
/// f(x, τ) = −½ β(τ) x                      (slug `forward_drift`)
/// # Shapes
/// `x`, result: any, both equal
/// # Source
/// Song et al. 2021, eq. 11
/// # Examples
/// ```
/// use literate_diffusion::score::forward_drift;
/// assert_eq!(forward_drift(&ndarray::array![3.0], 2.0), ndarray::array![-3.0]);
/// ```
// ANCHOR: forward_drift
pub fn forward_drift<D: Dimension>(x: &ArrayRef<f64, D>, beta: f64) -> Array<f64, D> {
    x * (-0.5 * beta)
}
// ANCHOR_END: forward_drift

/// A short step along a stochastic differential equation, forward (h > 0) or back (h < 0): the Euler–Maruyama method.
///
/// # Formula
/// x(τ + h) ≈ x(τ) + h f + √(β |h|) z                      (slug `euler_maruyama`)
/// # Shapes
/// `x`, `drift`, `z`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] unless `beta` is a finite number, 0 or above
/// # Source
/// Maruyama 1955
/// # Examples
/// ```
/// use literate_diffusion::score::{euler_maruyama, forward_drift};
/// use ndarray::array;
/// let x = array![1.0];
/// let next = euler_maruyama(&x, &forward_drift(&x, 4.0), 4.0, 0.01, &array![1.0])?;
/// assert!((next[0] - (1.0 - 0.02 + 0.2)).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: euler_maruyama
pub fn euler_maruyama<D: Dimension>(
    x: &ArrayRef<f64, D>,
    drift: &ArrayRef<f64, D>,
    beta: f64,
    h: f64,
    z: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("drift", x, drift)?;
    same_shape("z", x, z)?;
    not_negative("beta", beta)?;
    let mut next = weighted_sum(1.0, x, h, drift);
    next.scaled_add((beta * h.abs()).sqrt(), z);
    Ok(next)
}
// ANCHOR_END: euler_maruyama

/// The drift of the forward process run back: with it, and noise of the same rate, the marginals are those of the way there.
///
/// # Formula
/// g(x, τ) = −½ β(τ) x − β(τ) ∇ ln q_τ(x), to be followed with h < 0                      (slug `reverse_drift`)
/// # Shapes
/// `x`, `score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x` and `score` differ in shape
/// # Source
/// Anderson 1982; Song et al. 2021, eq. 6
/// # Examples
/// ```
/// use literate_diffusion::score::reverse_drift;
/// use ndarray::array;
/// let x = array![3.0]; // data N(0, 1) keeps its law, and its score is −x
/// assert_eq!(reverse_drift(&x, 2.0, &-&x)?, array![3.0]); // followed back: towards 0
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: reverse_drift
pub fn reverse_drift<D: Dimension>(x: &ArrayRef<f64, D>, beta: f64, score: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("score", x, score)?;
    Ok(weighted_sum(-0.5 * beta, x, -beta, score))
}
// ANCHOR_END: reverse_drift

/// The mean of an ancestral step, written with the score.
///
/// # Formula
/// μ_θ = (x_t + β_t s_θ) / √α_t                      (slug `ancestral_mean_from_score`)
/// # Shapes
/// `xt`, `score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `score` differ in shape; [`Error::ZeroSnr`] where α_t = 0
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 11; Song et al. 2021, eq. 4
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::ancestral_mean_from_score};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.75])?.step(1)?;
/// assert_eq!(ancestral_mean_from_score(&array![1.0], step, &array![-1.0])?, array![0.5]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ancestral_mean_from_score
pub fn ancestral_mean_from_score<D: Dimension>(
    xt: &ArrayRef<f64, D>,
    step: Step,
    score: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("score", xt, score)?;
    if step.alpha == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    Ok(weighted_sum(1.0 / step.alpha.sqrt(), xt, step.beta / step.alpha.sqrt(), score))
}
// ANCHOR_END: ancestral_mean_from_score

/// How the log-density at a fixed point changes with time: the Fokker–Planck equation of the forward process.
///
/// # Formula
/// ∂/∂τ ln q_τ(x) = ½ β(τ) [d + x·∇ ln q + ∇·∇ ln q + ‖∇ ln q‖²]                      (slug `log_density_rate`)
/// # Shapes
/// `x`, `score`: (n, d); `divergence` (∇·∇ ln q), result: n values
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes do not fit
/// # Source
/// Song et al. 2021, eq. 35, divided by the density
/// # Examples
/// ```
/// use literate_diffusion::score::log_density_rate;
/// use ndarray::array;
/// let x = array![[1.0, -2.0]]; // data N(0, I) keeps its law
/// assert_eq!(log_density_rate(&x, 3.0, &-&x, &array![-2.0])?, array![0.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: log_density_rate
pub fn log_density_rate(
    x: &ArrayRef2<f64>,
    beta: f64,
    score: &ArrayRef2<f64>,
    divergence: &ArrayRef1<f64>,
) -> Result<Array1<f64>> {
    same_shape("score", x, score)?;
    one_a_row("divergence", x, divergence)?;
    let d = x.ncols() as f64;
    let along = (x * score).sum_axis(Axis(1));
    let square = score.pow2().sum_axis(Axis(1));
    Ok((along + divergence + square + d) * (0.5 * beta))
}
// ANCHOR_END: log_density_rate

/// The velocity of the probability flow: points that follow it, without any noise, have the marginals of the forward process.
///
/// # Formula
/// v(x, τ) = −½ β(τ) [x + ∇ ln q_τ(x)]                      (slug `flow_drift`)
/// # Shapes
/// `x`, `score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x` and `score` differ in shape
/// # Source
/// Song et al. 2021, eq. 13
/// # Examples
/// ```
/// use literate_diffusion::score::flow_drift;
/// use ndarray::array;
/// let x = array![3.0]; // data N(0, 1) keeps its law, and nothing has to move
/// assert_eq!(flow_drift(&x, 2.0, &-&x)?, array![0.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_drift
pub fn flow_drift<D: Dimension>(x: &ArrayRef<f64, D>, beta: f64, score: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("score", x, score)?;
    Ok(weighted_sum(-0.5 * beta, x, -0.5 * beta, score))
}
// ANCHOR_END: flow_drift

/// A step of the flow by Euler's method, in the variables in which its velocity is ε: this is DDIM with η = 0.
///
/// With y = x/√ᾱ and ρ = √((1 − ᾱ)/ᾱ) = 1/√SNR, noise over signal, the flow is dy/dρ = ε.
///
/// # Formula
/// x_{t−1}/√ᾱ_{t−1} = x_t/√ᾱ_t + (ρ_{t−1} − ρ_t) ε                      (slug `ddim_as_euler`)
/// # Shapes
/// `xt`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `xt` and `eps` differ in shape; [`Error::ZeroSnr`] where ᾱ_t = 0
/// # Source
/// Song, Meng, Ermon 2021, eq. 13 and 14
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, score::ddim_as_euler};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.36, 0.4375])?.step(2)?; // ᾱ: 0.64, 0.36; ρ: 3/4, 4/3
/// let x1 = ddim_as_euler(&array![0.6], step, &array![0.5])?;
/// assert!((x1[0] - 0.8 * (1.0 + (0.75 - 4.0 / 3.0) * 0.5)).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ddim_as_euler
pub fn ddim_as_euler<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step, eps: &ArrayRef<f64, D>) -> Result<Array<f64, D>> {
    same_shape("eps", xt, eps)?;
    if step.alpha_bar == 0.0 {
        return Err(Error::ZeroSnr { t: step.t });
    }
    let rho = (step.one_minus_alpha_bar / step.alpha_bar).sqrt();
    let rho_prev = (step.one_minus_alpha_bar_prev / step.alpha_bar_prev).sqrt();
    let y = xt / step.alpha_bar.sqrt();
    Ok(weighted_sum(1.0, &y, rho_prev - rho, eps) * step.alpha_bar_prev.sqrt())
}
// ANCHOR_END: ddim_as_euler

/// Where the flow carries a point from one time to another, for data whose coordinates are N(m, v).
///
/// # Formula
/// x′ = √ᾱ′ m + √(V′/V) (x − √ᾱ m),  V = ᾱ v + 1 − ᾱ                      (slug `gaussian_flow`)
/// # Shapes
/// `x`, result: any, both equal
/// # Errors
/// [`Error::OutOfRange`] unless `variance` (v) is a finite number, 0 or above, and V above 0
/// # Source
/// Derived here, from Song et al. 2021, eq. 13
/// # Examples
/// ```
/// use literate_diffusion::score::{ContinuousSchedule, gaussian_flow};
/// use ndarray::array;
/// let schedule = ContinuousSchedule::linear(0.1, 20.0)?;
/// let x0 = gaussian_flow(3.0, 0.25, &array![1.0], schedule.at(1.0)?, schedule.at(0.0)?)?;
/// assert!((x0[0] - (3.0 + 0.5 * 1.0)).abs() < 0.02); // one standard deviation above the mean stays so
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: gaussian_flow
pub fn gaussian_flow<D: Dimension>(
    mean: f64,
    variance: f64,
    x: &ArrayRef<f64, D>,
    from: Step,
    to: Step,
) -> Result<Array<f64, D>> {
    let (mean_from, variance_from) = marginal_moments(mean, variance, from)?;
    let (mean_to, variance_to) = marginal_moments(mean, variance, to)?;
    positive("the variance of x", variance_from)?;
    let stretch = (variance_to / variance_from).sqrt();
    Ok(x.mapv(|x| mean_to + stretch * (x - mean_from)))
}
// ANCHOR_END: gaussian_flow

impl Marginal {
    /// The divergence of the score of x_t on the S-curve: the sum of the second derivatives of ln q(x_t).
    ///
    /// The mean of the place given x_t changes with x_t in proportion to its variance given x_t.
    ///
    /// # Formula
    /// ∇·∇ ln q(x_t) = Σ_i [ᾱ_t Var(c_i/s_i | x_t)/v_i − 1] / v_i                      (slug `score_divergence`)
    /// # Shapes
    /// `xt`: (n, 2); result: n values
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns
    /// # Source
    /// Derived here, from [`Marginal::score`]
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, s_curve::SCurve};
    /// let last = Schedule::linear(100, 1e-3, 0.2)?.last();
    /// let divergence = SCurve::sound().marginal(last).score_divergence(&ndarray::array![[0.3, 0.4]])?;
    /// assert!((divergence[0] + 2.0).abs() < 1e-3); // x_T is all but N(0, I), whose score is −x
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: score_divergence
    pub fn score_divergence(&self, xt: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        let second_derivative = |i: usize, variance_of_place: f64| {
            let v = self.variance[i];
            (self.alpha_bar * variance_of_place / v - 1.0) / v
        };
        let at = |known: &crate::s_curve::Posterior| -> f64 {
            (0..2).map(|i| second_derivative(i, known.covariance[i][i])).sum()
        };
        Ok(self.posteriors(xt)?.iter().map(at).collect())
    }
    // ANCHOR_END: score_divergence
}

/// The divergence of the flow's velocity: how fast a small volume that is carried along grows, as a share of it.
///
/// # Formula
/// ∇·v = −½ β(τ) [d + ∇·∇ ln q_τ(x)]                      (slug `flow_divergence`)
/// # Shapes
/// `divergence` (∇·∇ ln q, of `dimensions` coordinates each), result: n values
/// # Source
/// Song et al. 2021, eq. 39, for this flow
/// # Examples
/// ```
/// use literate_diffusion::score::flow_divergence;
/// use ndarray::array;
/// assert_eq!(flow_divergence(&array![-2.0, -10.0], 2, 3.0), array![0.0, 12.0]);
/// ```
// ANCHOR: flow_divergence
pub fn flow_divergence(divergence: &ArrayRef1<f64>, dimensions: usize, beta: f64) -> Array1<f64> {
    (divergence + dimensions as f64) * (-0.5 * beta)
}
// ANCHOR_END: flow_divergence

/// Hutchinson's estimate of a divergence: one direction z for each point, and the derivative J z of the field along it.
///
/// Where z has mean 0 and covariance I, its mean is the trace of J.
///
/// # Formula
/// ∇·f = E[zᵀ J z] ≈ zᵀ J z                      (slug `hutchinson`)
/// # Shapes
/// `z`, `jz`: (n, d); result: n values
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ
/// # Source
/// Hutchinson 1989; Grathwohl et al. 2019, eq. 7
/// # Examples
/// ```
/// use literate_diffusion::score::hutchinson;
/// use ndarray::array;
/// let jacobian = array![[1.0, 5.0], [-5.0, 2.0]];
/// let z = array![[1.0, -1.0]];
/// assert_eq!(hutchinson(&z, &z.dot(&jacobian.t()))?, array![3.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: hutchinson
pub fn hutchinson(z: &ArrayRef2<f64>, jz: &ArrayRef2<f64>) -> Result<Array1<f64>> {
    same_shape("jz", z, jz)?;
    Ok((z * jz).sum_axis(Axis(1)))
}
// ANCHOR_END: hutchinson

/// What the directions of [`hutchinson`] are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// N(0, I).
    Gaussian,
    /// Each coordinate is 1 or −1, equally often (Rademacher).
    Signs,
}

/// The variance of Hutchinson's estimate, with S = ½ (J + Jᵀ), the symmetric part of the Jacobian.
///
/// # Formula
/// Var[zᵀ J z] = 2 Σ_{ij} S_ij² for z ~ N(0, I);  2 Σ_{i≠j} S_ij² for signs                      (slug `hutchinson_variance`)
/// # Shapes
/// `jacobian`: (d, d)
/// # Errors
/// [`Error::ShapeMismatch`] unless `jacobian` is square
/// # Source
/// Derived here; the estimate is that of Hutchinson 1989
/// # Examples
/// ```
/// use literate_diffusion::score::{Probe, hutchinson_variance};
/// let jacobian = ndarray::array![[1.0, 3.0], [1.0, -1.0]];
/// assert_eq!(hutchinson_variance(&jacobian, Probe::Gaussian)?, 2.0 * (1.0 + 1.0 + 4.0 + 4.0));
/// assert_eq!(hutchinson_variance(&jacobian, Probe::Signs)?, 2.0 * (4.0 + 4.0));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: hutchinson_variance
pub fn hutchinson_variance(jacobian: &ArrayRef2<f64>, probe: Probe) -> Result<f64> {
    if !jacobian.is_square() {
        let square = vec![jacobian.nrows(), jacobian.nrows()];
        return Err(Error::ShapeMismatch { name: "jacobian", expected: square, got: jacobian.shape().to_vec() });
    }
    let mut symmetric = (jacobian.to_owned() + jacobian.t()) * 0.5;
    if probe == Probe::Signs {
        symmetric.diag_mut().fill(0.0);
    }
    Ok(2.0 * symmetric.pow2().sum())
}
// ANCHOR_END: hutchinson_variance

/// How a differential equation is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// One look at the velocity a step. The error falls with the length of the steps.
    Euler,
    /// A second look where the first one led, and the mean of both. The error falls with its square.
    Heun,
}

/// One step of length h (back in time where h < 0) along dx/dτ = v(x, τ).
///
/// # Formula
/// Euler: x + h v(x, τ);  Heun: x + ½h [v(x, τ) + v(x + h v(x, τ), τ + h)]                      (slug `ode_step`)
/// # Shapes
/// `x`, result: any, both equal
/// # Errors
/// [`Error::ShapeMismatch`] where the velocity has another shape; and any error of `velocity`
/// # Source
/// Heun 1900
/// # Examples
/// ```
/// use literate_diffusion::score::{Solver, ode_step};
/// use ndarray::{ArrayRef1, array};
/// let mut shrink = |x: &ArrayRef1<f64>, _| Ok(-x);
/// assert_eq!(ode_step(Solver::Euler, &array![1.0], 0.0, 0.5, &mut shrink)?, array![0.5]);
/// assert_eq!(ode_step(Solver::Heun, &array![1.0], 0.0, 0.5, &mut shrink)?, array![0.625]); // e^{−½} is 0.607
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ode_step
pub fn ode_step<D: Dimension>(
    solver: Solver,
    x: &ArrayRef<f64, D>,
    tau: f64,
    h: f64,
    velocity: &mut impl FnMut(&ArrayRef<f64, D>, f64) -> Result<Array<f64, D>>,
) -> Result<Array<f64, D>> {
    let here = velocity(x, tau)?;
    same_shape("the velocity", x, &here)?;
    let there = weighted_sum(1.0, x, h, &here);
    match solver {
        Solver::Euler => Ok(there),
        Solver::Heun => {
            let later = velocity(&there, tau + h)?;
            same_shape("the velocity", x, &later)?;
            Ok(weighted_sum(1.0, x, 0.5 * h, &(here + later)))
        }
    }
}
// ANCHOR_END: ode_step

/// Points that the flow has carried from one time to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// Where they are, (n, d).
    pub x: Array2<f64>,
    /// By how much the logarithm of the density has changed along each path, n values, in nats.
    pub log_density_change: Array1<f64>,
}

/// Carries points along the probability flow, and their log-density with them: the instantaneous change of variables.
///
/// `law` gives the score and its divergence at points x and a [`Step`] of [`ContinuousSchedule::at`]. The log-density is
/// one more coordinate, so that one solver does for both.
///
/// # Formula
/// dx/dτ = v(x, τ),  d/dτ ln p_τ(x(τ)) = −∇·v(x(τ), τ)                      (slug `carry`)
/// # Shapes
/// `x`: (n, d); the score: (n, d); its divergence: n values
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ τ ≤ 1 at both ends and `steps` ≥ 1; [`Error::ShapeMismatch`] where what `law` gives
/// does not fit; and any error of `law`
/// # Source
/// Chen, Rubanova, Bettencourt, Duvenaud 2018, theorem 1; Song et al. 2021, eq. 39
/// # Examples
/// ```
/// use literate_diffusion::{s_curve::SCurve, score::{ContinuousSchedule, Solver, carry}};
/// let schedule = ContinuousSchedule::linear(0.1, 20.0)?;
/// let noise = ndarray::array![[0.5, -1.2], [-0.3, 0.8]];
/// let data = carry(&noise, &schedule, (1.0, 0.0), 50, Solver::Heun, |x, step| {
///     let q = SCurve::sound().marginal(step);
///     Ok((q.score(x)?, q.score_divergence(x)?))
/// })?;
/// assert!(SCurve::sound().data().log_q(&data.x)?.iter().all(|&log_q| log_q > -5.0)); // on the curve, or close by
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: carry
pub fn carry(
    x: &ArrayRef2<f64>,
    schedule: &ContinuousSchedule,
    (from, to): (f64, f64),
    steps: usize,
    solver: Solver,
    mut law: impl FnMut(&ArrayRef2<f64>, Step) -> Result<(Array2<f64>, Array1<f64>)>,
) -> Result<Carried> {
    in_unit_interval(from)?;
    in_unit_interval(to)?;
    positive("steps", steps as f64)?;
    let d = x.ncols();
    let mut velocity = |state: &ArrayRef2<f64>, tau: f64| {
        let (x, _) = state.view().split_at(Axis(1), d);
        let beta = schedule.rate(tau)?;
        let (score, divergence) = law(&x, schedule.at(tau)?)?;
        one_a_row("divergence", &x, &divergence)?;
        let of_x = flow_drift(&x, beta, &score)?;
        let of_log_density = -flow_divergence(&divergence, d, beta);
        Ok(concatenate![Axis(1), of_x, of_log_density.insert_axis(Axis(1))])
    };
    let mut state = concatenate![Axis(1), x.view(), Array2::zeros((x.nrows(), 1))];
    // The last time is that of `to`, not a sum of many short ones: it never leaves [0, 1].
    let time = |k: usize| from + (to - from) * (k as f64 / steps as f64);
    for k in 0..steps {
        state = ode_step(solver, &state, time(k), time(k + 1) - time(k), &mut velocity)?;
    }
    Ok(Carried { x: state.view().split_at(Axis(1), d).0.to_owned(), log_density_change: state.column(d).to_owned() })
}
// ANCHOR_END: carry

/// The log-density that the flow gives to each data point, where it starts from N(0, I) at τ = 1.
///
/// # Formula
/// ln p(x(0)) = ln N(x(1); 0, I) + ∫_0^1 ∇·v(x(τ), τ) dτ                      (slug `flow_log_likelihood`)
/// # Shapes
/// `x0`: (n, d); result: n values, in nats
/// # Errors
/// As [`carry`]
/// # Source
/// Song et al. 2021, eq. 39
/// # Examples
/// ```
/// use literate_diffusion::score::{ContinuousSchedule, Solver, flow_log_likelihood};
/// use ndarray::{Array1, array};
/// let schedule = ContinuousSchedule::linear(0.1, 20.0)?;
/// let normal = |x: &ndarray::ArrayRef2<f64>, _| Ok((-x, Array1::from_elem(x.nrows(), -2.0)));
/// let log_p = flow_log_likelihood(&array![[0.0, 0.0]], &schedule, 10, Solver::Euler, normal)?;
/// assert!((log_p[0] + std::f64::consts::TAU.ln()).abs() < 1e-12); // data N(0, I) stays where it is
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: flow_log_likelihood
pub fn flow_log_likelihood(
    x0: &ArrayRef2<f64>,
    schedule: &ContinuousSchedule,
    steps: usize,
    solver: Solver,
    law: impl FnMut(&ArrayRef2<f64>, Step) -> Result<(Array2<f64>, Array1<f64>)>,
) -> Result<Array1<f64>> {
    let carried = carry(x0, schedule, (0.0, 1.0), steps, solver, law)?;
    let origin = Array1::zeros(x0.ncols());
    let at_the_end = carried.x.rows().into_iter().map(|x| log_density(&x, &origin, 1.0));
    Ok(at_the_end.collect::<Result<Array1<f64>>>()? - carried.log_density_change)
}
// ANCHOR_END: flow_log_likelihood

/// E f(x_0, x_t), x_0 one of the atoms: for each of them an integral, by the trapezium rule over 11 standard deviations.
fn expectation(atoms: &ArrayRef1<f64>, step: Step, f: impl Fn(f64, f64) -> Result<f64>) -> Result<f64> {
    if atoms.is_empty() {
        return Err(Error::Empty { name: "atoms" });
    }
    has_noise(step)?;
    let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
    let spacing = 0.1;
    let mut sum = 0.0;
    for &atom in atoms {
        for k in -110..=110 {
            let z = spacing * f64::from(k);
            let weight = spacing * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
            sum += weight * f(atom, signal * atom + noise * z)?;
        }
    }
    Ok(sum / atoms.len() as f64)
}

/// Fails where x_t is x_0, whose score knows no noise.
fn has_noise(step: Step) -> Result<()> {
    positive("1 - alpha_bar", step.one_minus_alpha_bar)
}

/// Fails unless 0 ≤ τ ≤ 1.
fn in_unit_interval(tau: f64) -> Result<()> {
    if (0.0..=1.0).contains(&tau) {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "tau", expected: "between 0 and 1", got: tau })
}

/// Fails unless there is a number for each row of x.
fn one_a_row(name: &'static str, x: &ArrayRef2<f64>, values: &ArrayRef1<f64>) -> Result<()> {
    if values.len() == x.nrows() {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name, expected: vec![x.nrows()], got: vec![values.len()] })
}
