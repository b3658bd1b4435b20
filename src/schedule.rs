//! Noise schedules: how much noise is added at each step, and how much signal is left.
//!
//! A [`Schedule`] is a list of β_1, …, β_T with everything that follows from it. [`Schedule::step`] hands out one
//! [`Step`], and is the one place that checks t. All of it is `f64`: in `f32`, 1 − ᾱ_1 = 1e-4 is already off by 1e-4 of
//! itself.

use ndarray::{ArrayRef, Dimension};

use crate::error::{Error, Result, not_negative};
use crate::gaussian::ratio_excess;

/// All that the formulas need to know of one time t.
///
/// The fields follow Ho et al. 2020. At t = 1, ᾱ_{t−1} = ᾱ_0 = 1 and β̃_1 = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The time, 1..=T.
    pub t: usize,
    /// β_t, the variance that the step adds.
    #[doc(alias = "betas")]
    pub beta: f64,
    /// α_t = 1 − β_t.
    #[doc(alias = "alphas")]
    pub alpha: f64,
    /// ᾱ_t = α_1 ⋯ α_t.
    #[doc(alias = "alphas_cumprod")]
    pub alpha_bar: f64,
    /// ᾱ_{t−1}, with ᾱ_0 = 1.
    #[doc(alias = "alphas_cumprod_prev")]
    pub alpha_bar_prev: f64,
    /// 1 − ᾱ_t, computed without cancellation.
    pub one_minus_alpha_bar: f64,
    /// 1 − ᾱ_{t−1}, computed without cancellation; 0 at t = 1.
    pub one_minus_alpha_bar_prev: f64,
    /// β̃_t, the variance of q(x_{t−1} | x_t, x_0); 0 at t = 1.
    #[doc(alias = "posterior_variance")]
    pub beta_tilde: f64,
}

impl Step {
    /// The signal-to-noise ratio of x_t, for data of variance 1.
    ///
    /// # Formula
    /// SNR(t) = ᾱ_t / (1 − ᾱ_t)                      (slug `snr`)
    /// # Source
    /// Kingma, Salimans, Poole, Ho 2021, eq. 2
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::Schedule::from_betas(&[0.5, 0.5])?;
    /// assert_eq!(schedule.step(1)?.snr(), 1.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: snr
    pub fn snr(self) -> f64 {
        self.alpha_bar / self.one_minus_alpha_bar
    }
    // ANCHOR_END: snr

    /// The logarithm of the signal-to-noise ratio, in nats; −∞ where ᾱ_t = 0.
    ///
    /// # Formula
    /// λ_t = ln ᾱ_t − ln(1 − ᾱ_t)                      (slug `log_snr`)
    /// # Source
    /// Kingma, Salimans, Poole, Ho 2021, section 3.2
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::Schedule::from_betas(&[0.5, 0.5])?;
    /// assert_eq!(schedule.step(1)?.log_snr(), 0.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: log_snr
    pub fn log_snr(self) -> f64 {
        self.alpha_bar.ln() - self.one_minus_alpha_bar.ln()
    }
    // ANCHOR_END: log_snr

    /// −ln α_t, from the smaller of β_t and α_t, which has all its digits.
    fn cost(&self) -> f64 {
        if self.beta < 0.5 { -(-self.beta).ln_1p() } else { -self.alpha.ln() }
    }
}

/// The share of signal that is left after each step: ᾱ_1, …, ᾱ_T.
///
/// # Formula
/// ᾱ_t = (1 − β_1)(1 − β_2) ⋯ (1 − β_t)                      (slug `alpha_bar`)
/// # Shapes
/// `betas`: T values; result: T values, the first of them ᾱ_1
/// # Errors
/// None: any numbers are multiplied. [`Schedule::from_betas`] refuses those that are no β
/// # Source
/// Ho, Jain, Abbeel 2020, section 2
/// # Examples
/// ```
/// use literate_diffusion::schedule::alpha_bar;
/// assert_eq!(alpha_bar(&[0.5, 0.5, 0.75]), [0.5, 0.25, 0.0625]);
/// ```
#[doc(alias = "cumprod")]
#[doc(alias = "alphas_cumprod")]
// ANCHOR: alpha_bar
pub fn alpha_bar(betas: &[f64]) -> Vec<f64> {
    let mut alpha_bar = 1.0;
    let after_step = |beta: &f64| {
        alpha_bar *= 1.0 - beta;
        alpha_bar
    };
    betas.iter().map(after_step).collect()
}
// ANCHOR_END: alpha_bar

/// The variance of the noise in x_t: 1 − ᾱ_1, …, 1 − ᾱ_T.
///
/// Subtracting ᾱ_t from 1 loses digits where ᾱ_t is close to 1. This recursion adds numbers that are never negative, so that it
/// loses none.
///
/// # Formula
/// 1 − ᾱ_t = β_t + (1 − β_t)(1 − ᾱ_{t−1})                      (slug `one_minus_alpha_bar`)
/// # Shapes
/// `betas`: T values; result: T values, the first of them 1 − ᾱ_1 = β_1
/// # Errors
/// None, as [`alpha_bar`]
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 4; the variance of [`q_sample`](crate::forward::q_sample) one step on
/// # Examples
/// ```
/// use literate_diffusion::schedule::one_minus_alpha_bar;
/// assert_eq!(one_minus_alpha_bar(&[0.5, 0.5, 0.75]), [0.5, 0.75, 0.9375]);
/// ```
// ANCHOR: one_minus_alpha_bar
pub fn one_minus_alpha_bar(betas: &[f64]) -> Vec<f64> {
    let mut variance = 0.0;
    let after_step = |beta: &f64| {
        variance = beta + (1.0 - beta) * variance;
        variance
    };
    betas.iter().map(after_step).collect()
}
// ANCHOR_END: one_minus_alpha_bar

/// A noise schedule: β_1, …, β_T and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    steps: Vec<Step>,
}

impl Schedule {
    /// A schedule from its betas, the first of them β_1.
    ///
    /// # Errors
    /// [`Error::NoTimesteps`] where there are none; [`Error::BetaOutOfRange`] unless 0 < β_t < 1 (β_T may be 1, for zero
    /// terminal SNR)
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::Schedule::from_betas(&[0.1, 0.2])?;
    /// assert_eq!(schedule.timesteps(), 2);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn from_betas(betas: &[f64]) -> Result<Self> {
        validate(betas)?;
        let marginals = alpha_bar(betas).into_iter().zip(one_minus_alpha_bar(betas));
        Ok(Self::of_steps(betas.iter().map(|beta| (*beta, 1.0 - beta)), marginals))
    }

    /// A schedule from β_t and α_t of each step, and ᾱ_t and 1 − ᾱ_t after it.
    fn of_steps(steps: impl IntoIterator<Item = (f64, f64)>, marginals: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (mut alpha_bar_prev, mut one_minus_alpha_bar_prev) = (1.0, 0.0);
        let step = |(i, ((beta, alpha), (alpha_bar, one_minus_alpha_bar)))| {
            let step = Step {
                t: i + 1,
                beta,
                alpha,
                alpha_bar,
                alpha_bar_prev,
                one_minus_alpha_bar,
                one_minus_alpha_bar_prev,
                beta_tilde: one_minus_alpha_bar_prev / one_minus_alpha_bar * beta,
            };
            (alpha_bar_prev, one_minus_alpha_bar_prev) = (alpha_bar, one_minus_alpha_bar);
            step
        };
        Self { steps: steps.into_iter().zip(marginals).enumerate().map(step).collect() }
    }

    /// A schedule from −ln α_t of each step, and ᾱ_t and 1 − ᾱ_t after it.
    ///
    /// A step so long that β_t rounds to 1 has the number below 1 for its β, but keeps its α and ᾱ, so that nothing is
    /// lost: the data may be there still, if only a millionth of a millionth of it.
    pub(crate) fn of_costs(costs: &[f64], marginals: impl IntoIterator<Item = (f64, f64)>) -> Result<Self> {
        let beta = |&cost: &f64| if cost < f64::INFINITY { (-(-cost).exp_m1()).min(LARGEST_BETA) } else { 1.0 };
        let betas: Vec<f64> = costs.iter().map(beta).collect();
        validate(&betas)?;
        let alphas = costs.iter().map(|cost| (-cost).exp());
        Ok(Self::of_steps(betas.iter().copied().zip(alphas), marginals))
    }

    /// β grows on a straight line from `beta_1` to `beta_end`. With T = 1 the one β is `beta_1`.
    ///
    /// # Formula
    /// β_t = β_1 + (t − 1)/(T − 1) · (β_T − β_1)                      (slug `linear`)
    /// # Errors
    /// As [`Schedule::from_betas`]
    /// # Source
    /// Ho, Jain, Abbeel 2020, section 4
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, paper};
    /// let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    /// assert!(ddpm.step(1000)?.alpha_bar < 4.1e-5);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: linear
    pub fn linear(timesteps: usize, beta_1: f64, beta_end: f64) -> Result<Self> {
        let betas: Vec<f64> = unit_grid(timesteps).map(|r| beta_1 + r * (beta_end - beta_1)).collect();
        Self::from_betas(&betas)
    }
    // ANCHOR_END: linear

    /// β grows along a logistic curve between `beta_1` and `beta_end`, neither of which it quite reaches.
    ///
    /// # Formula
    /// β_t = β_1 + (β_T − β_1) / (1 + e^{−s_t}), s_t = −6 + 12 (t − 1)/(T − 1)                      (slug `sigmoid`)
    /// # Errors
    /// As [`Schedule::from_betas`]
    /// # Source
    /// The schedule of the widespread S-curve notebook; in GeoDiff, Xu et al. 2022, under the same name
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, paper};
    /// let classic = Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?;
    /// assert!(classic.step(100)?.alpha_bar > 0.77); // most of the data is still there at t = T
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: sigmoid
    pub fn sigmoid(timesteps: usize, beta_1: f64, beta_end: f64) -> Result<Self> {
        let logistic = |s: f64| 1.0 / (1.0 + (-s).exp());
        let betas: Vec<f64> =
            unit_grid(timesteps).map(|r| beta_1 + (beta_end - beta_1) * logistic(-6.0 + 12.0 * r)).collect();
        Self::from_betas(&betas)
    }
    // ANCHOR_END: sigmoid

    /// ᾱ falls along a squared cosine; β follows from it and is cut off at `max_beta`.
    ///
    /// # Formula
    /// ᾱ_t = f(t)/f(0), f(t) = cos²(π/2 · (t/T + s)/(1 + s)), β_t = min(1 − f(t)/f(t − 1), β_max)   (slug `cosine`)
    /// # Errors
    /// As [`Schedule::from_betas`]; [`Error::OutOfRange`] unless `offset` (s) is a finite number, 0 or above, and where
    /// `max_beta` is not a number
    /// # Source
    /// Nichol, Dhariwal 2021, eq. 17
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, paper};
    /// let cosine = Schedule::cosine(1000, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA)?;
    /// assert!((cosine.step(500)?.alpha_bar - 0.494).abs() < 1e-3); // half of the signal is left half-way
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    #[doc(alias = "squaredcos_cap_v2")]
    // ANCHOR: cosine
    pub fn cosine(timesteps: usize, offset: f64, max_beta: f64) -> Result<Self> {
        not_negative("offset", offset)?;
        if max_beta.is_nan() {
            // The smaller of a number and NaN is the number.
            return Err(Error::OutOfRange { name: "max_beta", expected: "a number", got: max_beta });
        }
        let f = |t: usize| {
            let r = t as f64 / timesteps as f64;
            ((r + offset) / (1.0 + offset) * std::f64::consts::FRAC_PI_2).cos().powi(2)
        };
        let betas: Vec<f64> = (1..=timesteps).map(|t| (1.0 - f(t) / f(t - 1)).min(max_beta)).collect();
        Self::from_betas(&betas)
    }
    // ANCHOR_END: cosine

    /// The same curve of ln ᾱ over t/T, walked in another number of steps.
    ///
    /// If only T changes and the betas keep their ends, ᾱ_T changes with it, and x_T is no longer the noise that sampling
    /// starts from. This keeps ᾱ_T. Between the old times, ln ᾱ is interpolated on a straight line.
    ///
    /// # Formula
    /// ln ᾱ′_{t′} = ln ᾱ at t = t′ · T/T′;  β′_{t′} = 1 − ᾱ′_{t′}/ᾱ′_{t′−1}                      (slug `rescaled`)
    /// # Errors
    /// [`Error::NoTimesteps`] where `timesteps` is 0; [`Error::NoSignal`] where ᾱ_T = 0, whose logarithm has no line to it
    /// # Source
    /// Nichol, Dhariwal 2021, section 4, for whole multiples; here for any T′
    /// # Examples
    /// ```
    /// let thousand = literate_diffusion::Schedule::linear(1000, 1e-4, 0.02)?;
    /// let three_hundred = thousand.rescaled(300)?;
    /// let ratio = three_hundred.step(300)?.alpha_bar / thousand.step(1000)?.alpha_bar;
    /// assert!((ratio - 1.0).abs() < 1e-9);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: rescaled
    pub fn rescaled(&self, timesteps: usize) -> Result<Self> {
        let last = self.last();
        if last.alpha_bar == 0.0 {
            return Err(Error::NoSignal { t: last.t, what: "rescaled" });
        }
        let time = |t: usize| (t * self.timesteps()) as f64 / timesteps as f64;
        // Over each new step, add up −ln α of the old steps, or the parts of them, that it covers.
        let cost = |t: usize| -> f64 {
            let (from, to) = (time(t - 1), time(t));
            let covered = |i: usize| (to.min(i as f64 + 1.0) - from.max(i as f64)).max(0.0);
            (from as usize..to.ceil() as usize).map(|i| covered(i) * self.steps[i].cost()).sum()
        };
        // ᾱ at its end: all of the old steps that are over by then, and a part of the next.
        let marginal = |t: usize| {
            let over = time(t) as usize;
            let (alpha_bar, variance) = self.marginal(over);
            let beta = self.steps.get(over).map_or(0.0, |next| -(-time(t).fract() * next.cost()).exp_m1());
            ((1.0 - beta) * alpha_bar, beta + (1.0 - beta) * variance)
        };
        Self::of_costs(&(1..=timesteps).map(cost).collect::<Vec<_>>(), (1..=timesteps).map(marginal))
    }
    // ANCHOR_END: rescaled

    /// A schedule that visits only some of the times, with the same ᾱ at each of them.
    ///
    /// # Formula
    /// β′_i = 1 − ᾱ_{τ_i}/ᾱ_{τ_{i−1}}, ᾱ_{τ_0} = 1                      (slug `respaced`)
    /// # Shapes
    /// `times`: S values τ_1 < ⋯ < τ_S within 1..=T; result: a schedule of S steps
    /// # Errors
    /// [`Error::Empty`] without times; [`Error::StepOutOfRange`] and [`Error::TimesNotIncreasing`] for a bad list;
    /// [`Error::NoSignal`] where ᾱ is 0 in `f64` before the last of the times
    /// # Source
    /// Nichol, Dhariwal 2021, section 4; Song, Meng, Ermon 2021, appendix C
    /// # Examples
    /// ```
    /// let all = literate_diffusion::Schedule::linear(100, 1e-3, 0.2)?;
    /// let some = all.respaced(&[10, 40, 100])?;
    /// assert!((some.step(2)?.alpha_bar - all.step(40)?.alpha_bar).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: respaced
    pub fn respaced(&self, times: &[usize]) -> Result<Self> {
        let visited = self.visit(times)?;
        if let Some(step) = visited[..visited.len() - 1].iter().find(|step| step.alpha_bar == 0.0) {
            return Err(Error::NoSignal { t: step.t, what: "respaced" });
        }
        // −ln(ᾱ_{τ_i}/ᾱ_{τ_{i−1}}), added up over the steps between the two, which loses no digit.
        let starts = [0].iter().chain(times);
        let cost = |(&from, &to): (&usize, &usize)| self.steps[from..to].iter().map(Step::cost).sum();
        let costs: Vec<f64> = starts.zip(times).map(cost).collect();
        Self::of_costs(&costs, times.iter().map(|&t| self.marginal(t)))
    }
    // ANCHOR_END: respaced

    /// The same schedule moved and stretched so that nothing of the data is left at t = T.
    ///
    /// # Formula
    /// √ᾱ′_t = (√ᾱ_t − √ᾱ_T) · √ᾱ_1 / (√ᾱ_1 − √ᾱ_T)                      (slug `rescale_zero_terminal_snr`)
    /// # Errors
    /// [`Error::OutOfRange`] where T = 1, which leaves nothing to stretch; [`Error::BetaOutOfRange`] where betas are so small
    /// (below 1e-16), or √ᾱ_t so close to √ᾱ_T, that no change of √ᾱ_t is seen
    /// # Source
    /// Lin, Liu, Li, Yang 2024, algorithm 1
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::Schedule::linear(100, 1e-4, 0.02)?.rescale_zero_terminal_snr()?;
    /// assert_eq!(schedule.step(100)?.alpha_bar, 0.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: rescale_zero_terminal_snr
    pub fn rescale_zero_terminal_snr(&self) -> Result<Self> {
        if self.timesteps() == 1 {
            return Err(Error::OutOfRange { name: "T", expected: "2 or more", got: 1.0 });
        }
        let first = self.steps[0].alpha_bar.sqrt();
        let last = self.last().alpha_bar.sqrt();
        let stretched = |step: &Step| (step.alpha_bar.sqrt() - last) * first / (first - last);
        let mut betas = vec![self.steps[0].beta];
        betas.extend(self.steps.windows(2).map(|pair| 1.0 - (stretched(&pair[1]) / stretched(&pair[0])).powi(2)));
        Self::from_betas(&betas)
    }
    // ANCHOR_END: rescale_zero_terminal_snr

    /// How far x_T is from N(0, I): the mean over the data of KL(q(x_T | x_0) ‖ N(0, I)), in nats, summed over the
    /// dimensions of one sample (ln 2 nats are one bit). It is 0 only where ᾱ_T = 0.
    ///
    /// # Formula
    /// ½ · mean over x_0 of [ᾱ_T ‖x_0‖² − d ᾱ_T − d ln(1 − ᾱ_T)]                      (slug `terminal_gap`)
    /// # Shapes
    /// `data`: (samples, …), d numbers in each sample
    /// # Errors
    /// [`Error::Empty`] where `data` has no element; [`Error::OutOfRange`] where it has no dimension
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5, the term L_T
    /// # Examples
    /// ```
    /// use literate_diffusion::Schedule;
    /// let data = ndarray::array![[1.0, -1.0], [-1.0, 1.0]];
    /// let long = Schedule::linear(1000, 1e-4, 0.02)?.terminal_gap(&data)?;
    /// let short = Schedule::linear(300, 1e-4, 0.02)?.terminal_gap(&data)?;
    /// assert!(long < 1e-4 && short > 1e-2);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: terminal_gap
    pub fn terminal_gap<D: Dimension>(&self, data: &ArrayRef<f64, D>) -> Result<f64> {
        if data.is_empty() {
            return Err(Error::Empty { name: "data" });
        }
        let Some(&samples) = data.shape().first() else {
            let expected = "at least 1: the first counts the samples";
            return Err(Error::OutOfRange { name: "the number of dimensions of data", expected, got: 0.0 });
        };
        let d = (data.len() / samples) as f64;
        let mean_square_norm = data.iter().map(|x| x * x).sum::<f64>() / samples as f64;
        let last = self.last();
        // −ᾱ_T − ln(1 − ᾱ_T) is w − 1 − ln w, where w is the variance 1 − ᾱ_T.
        Ok(0.5 * (last.alpha_bar * mean_square_norm + d * ratio_excess(last.one_minus_alpha_bar, 1.0)))
    }
    // ANCHOR_END: terminal_gap

    /// T, the number of steps.
    #[doc(alias = "num_train_timesteps")]
    pub fn timesteps(&self) -> usize {
        self.steps.len()
    }

    /// The step at time t.
    ///
    /// # Errors
    /// [`Error::StepOutOfRange`] unless 1 ≤ t ≤ T
    /// # Examples
    /// ```
    /// let schedule = literate_diffusion::Schedule::linear(100, 1e-3, 0.2)?;
    /// assert_eq!(schedule.step(100)?.beta, 0.2);
    /// assert!(schedule.step(0).is_err());
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn step(&self, t: usize) -> Result<Step> {
        let out_of_range = Error::StepOutOfRange { t, timesteps: self.timesteps() };
        t.checked_sub(1).and_then(|i| self.steps.get(i)).copied().ok_or(out_of_range)
    }

    /// All steps, t = 1 first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step at t = T.
    pub fn last(&self) -> Step {
        self.steps[self.steps.len() - 1]
    }

    /// ᾱ_t and 1 − ᾱ_t, for t = 0 too.
    fn marginal(&self, t: usize) -> (f64, f64) {
        t.checked_sub(1).map_or((1.0, 0.0), |i| (self.steps[i].alpha_bar, self.steps[i].one_minus_alpha_bar))
    }

    /// The steps at some of the times, which must increase strictly.
    pub(crate) fn visit(&self, times: &[usize]) -> Result<Vec<Step>> {
        if times.is_empty() {
            return Err(Error::Empty { name: "times" });
        }
        if let Some(pair) = times.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::TimesNotIncreasing { previous: pair[0], next: pair[1] });
        }
        times.iter().map(|&t| self.step(t)).collect()
    }
}

/// `count` times of 1..=`timesteps`, spread evenly and ending at T: the usual choice for [`Schedule::respaced`].
///
/// # Formula
/// τ_i = ⌈i · T/S⌉                      (slug `evenly_spaced_times`)
/// # Errors
/// [`Error::OutOfRange`] unless 1 ≤ `count` ≤ `timesteps`
/// # Source
/// Song, Meng, Ermon 2021, appendix D.2 (linear), shifted so that T is among them
/// # Examples
/// ```
/// assert_eq!(literate_diffusion::schedule::evenly_spaced_times(100, 4)?, [25, 50, 75, 100]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: evenly_spaced_times
pub fn evenly_spaced_times(timesteps: usize, count: usize) -> Result<Vec<usize>> {
    if count == 0 || count > timesteps {
        return Err(Error::OutOfRange { name: "count", expected: "at least 1 and at most T", got: count as f64 });
    }
    // i · T in 128 bits, where it cannot overflow.
    let time = |i: usize| (i as u128 * timesteps as u128).div_ceil(count as u128) as usize;
    Ok((1..=count).map(time).collect())
}
// ANCHOR_END: evenly_spaced_times

/// The largest number below 1.
const LARGEST_BETA: f64 = 1.0 - f64::EPSILON / 2.0;

/// r = 0, 1/(T−1), …, 1; the single value 0 where T = 1.
fn unit_grid(timesteps: usize) -> impl Iterator<Item = f64> {
    let intervals = timesteps.max(2) - 1;
    (0..timesteps).map(move |i| i as f64 / intervals as f64)
}

/// 0 < β_t < 1, or β_T = 1.
fn validate(betas: &[f64]) -> Result<()> {
    let timesteps = betas.len();
    if timesteps == 0 {
        return Err(Error::NoTimesteps);
    }
    for (i, &got) in betas.iter().enumerate() {
        let t = i + 1;
        let zero_terminal_snr = t == timesteps && got == 1.0;
        if !(got > 0.0 && got < 1.0 || zero_terminal_snr) {
            return Err(Error::BetaOutOfRange { t, timesteps, got });
        }
    }
    Ok(())
}
