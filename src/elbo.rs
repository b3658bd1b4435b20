//! The evidence lower bound: what is maximised.
//!
//! A diffusion model is a hierarchical VAE. Its encoder is the forward process q, with nothing to learn. Its decoder is
//! p(x_T) = N(0, I) and, for each t, p(x_{t−1} | x_t). Here the decoder is [linear](LinearVae), so that every term of the
//! bound and ln p(x_0) itself have closed forms, and the two ways of writing the bound can be compared as numbers.
//!
//! All of it rests on one rule. If each of the d dimensions of R has variance w, then E ‖R‖² = ‖E R‖² + d·w. So the
//! expectation of a log-density or of a KL is its value at the means, and a *spread* d·w / (2σ²) besides.
//!
//! Every number is in nats, summed over the dimensions of `x0`, except where the name says bits.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, TAU};

use ndarray::{Array, Array1, Array2, ArrayRef, ArrayView2, Axis, Dimension, Zip};

use crate::error::{Error, Result, finite, not_negative, positive, same_shape};
use crate::forward::q_chain;
use crate::gaussian::{condition_gaussian, entropy, kl_isotropic, log_density};
use crate::paper;
use crate::posterior::{VarianceAtOne, posterior_log_variance, posterior_mean};
use crate::schedule::{Schedule, Step};

/// One step of the decoder: p(x_{t−1} | x_t) = N(a_t x_t + b_t, s_t I), the same in every dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoder {
    /// a_t, the weight of x_t in the mean.
    pub slope: f64,
    /// b_t, what is added to the mean in every dimension.
    pub offset: f64,
    /// s_t, the variance (σ_t² in Ho et al. 2020).
    pub variance: f64,
}

impl Decoder {
    /// a_t x_t + b_t.
    fn mean<D: Dimension>(self, xt: &ArrayRef<f64, D>) -> Array<f64, D> {
        xt.mapv(|x| self.slope * x + self.offset)
    }

    /// The same of a row of weights of (1, ε_1, …, ε_T).
    fn in_noises(self, xt: &Array1<f64>) -> Array1<f64> {
        let mut mean = xt * self.slope;
        mean[0] += self.offset;
        mean
    }

    /// ln p(x_{t−1} | x_t).
    fn log_density<D: Dimension>(self, x_prev: &ArrayRef<f64, D>, xt: &ArrayRef<f64, D>) -> Result<f64> {
        log_density(x_prev, &self.mean(xt), self.variance)
    }
}

/// The variances that a decoder can have beside the exact mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DecoderVariance {
    /// s_t = β_t: exact for Gaussian data of variance 1.
    Beta,
    /// s_t = β̃_t: exact for data of variance 0, a single point.
    /// At t = 1, where β̃_1 = 0 and its logarithm is −∞, the choice is named.
    BetaTilde(VarianceAtOne),
    /// s_t = Var[x_{t−1} | x_t], the variance of [`exact_reverse`].
    Exact,
}

/// The forward process undone one step, where the data is Gaussian with this mean and variance (per dimension).
///
/// With V_t = ᾱ_t v + 1 − ᾱ_t, the variance of x_t, it is Bayes' rule for x_{t−1} ~ N(√ᾱ_{t−1} m, V_{t−1}) and
/// x_t | x_{t−1} ~ N(√α_t x_{t−1}, β_t).
///
/// # Formula
/// q(x_{t−1} | x_t) = N(a_t x_t + b_t, s_t),
/// a_t = √α_t V_{t−1}/V_t,  b_t = √ᾱ_{t−1} m β_t/V_t,  s_t = β_t V_{t−1}/V_t                      (slug `exact_reverse`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number, 0 or above
/// # Source
/// Bishop 2006, eq. 2.116, for the forward process of Ho, Jain, Abbeel 2020, eq. 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, elbo::exact_reverse};
/// let step = Schedule::from_betas(&[0.36, 0.36])?.step(2)?;
/// let decoder = exact_reverse(0.0, 1.0, step)?;
/// assert_eq!((decoder.slope, decoder.offset, decoder.variance), (0.8, 0.0, 0.36)); // √α and β
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: exact_reverse
pub fn exact_reverse(mean: f64, variance: f64, step: Step) -> Result<Decoder> {
    not_negative("variance", variance)?;
    let variance_prev = step.alpha_bar_prev * variance + step.one_minus_alpha_bar_prev;
    let variance_t = step.alpha_bar * variance + step.one_minus_alpha_bar;
    Ok(Decoder {
        slope: step.alpha.sqrt() * variance_prev / variance_t,
        offset: step.alpha_bar_prev.sqrt() * mean * step.beta / variance_t,
        variance: step.beta * variance_prev / variance_t,
    })
}
// ANCHOR_END: exact_reverse

/// A hierarchical VAE: the forward process as its encoder, and a linear Gaussian decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearVae {
    schedule: Schedule,
    decoders: Vec<Decoder>,
}

impl LinearVae {
    /// A model from its decoders, the first of them p(x_0 | x_1).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is one decoder a step; [`Error::OutOfRange`] unless slopes and offsets are
    /// finite numbers and variances finite numbers above 0
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}};
    /// let schedule = Schedule::from_betas(&[0.5])?;
    /// let vae = LinearVae::new(&schedule, vec![Decoder { slope: 0.7, offset: 0.0, variance: 0.5 }])?;
    /// assert_eq!(vae.decoder(1)?.slope, 0.7);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn new(schedule: &Schedule, decoders: Vec<Decoder>) -> Result<Self> {
        if decoders.len() != schedule.timesteps() {
            let (expected, got) = (vec![schedule.timesteps()], vec![decoders.len()]);
            return Err(Error::ShapeMismatch { name: "decoders", expected, got });
        }
        for decoder in &decoders {
            finite("slope", decoder.slope)?;
            finite("offset", decoder.offset)?;
            positive("variance", decoder.variance)?;
        }
        Ok(Self { schedule: schedule.clone(), decoders })
    }

    /// The model with the exact mean E[x_{t−1} | x_t] for Gaussian data, and variances of choice.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `mean` is a finite number and `variance` a finite number, 0 or above; and where s_1
    /// is not above 0, as with [`DecoderVariance::Exact`] for data of variance 0; [`Error::StepOutOfRange`] for
    /// [`VarianceAtOne::BetaTilde2`] where T = 1
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// assert!(vae.elbo_gap(&ndarray::array![0.3])? < 1e-12); // data of variance 1: the bound is tight
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn for_gaussian_data(schedule: &Schedule, mean: f64, variance: f64, choice: DecoderVariance) -> Result<Self> {
        let decoder = |&step: &Step| {
            let exact = exact_reverse(mean, variance, step)?;
            let variance = match choice {
                DecoderVariance::Beta => step.beta,
                DecoderVariance::BetaTilde(at_one) => posterior_log_variance(schedule, step.t, at_one)?.exp(),
                DecoderVariance::Exact => exact.variance,
            };
            Ok(Decoder { variance, ..exact })
        };
        Self::new(schedule, schedule.steps().iter().map(decoder).collect::<Result<_>>()?)
    }

    /// The encoder, as its schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// p(x_{t−1} | x_t).
    ///
    /// # Errors
    /// [`Error::StepOutOfRange`] unless 1 ≤ t ≤ T
    pub fn decoder(&self, t: usize) -> Result<Decoder> {
        Ok(self.decoders[self.schedule.step(t)?.t - 1])
    }

    /// The joint density of a whole path under the decoder.
    ///
    /// # Formula
    /// ln p(x_{0:T}) = ln N(x_T; 0, I) + Σ_{t=1}^{T} ln p(x_{t−1} | x_t)                      (slug `log_joint_p`)
    /// # Shapes
    /// `path`: T + 1 arrays of one shape, x_0 first
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there are T + 1 arrays of one shape
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 1
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}};
    /// use ndarray::array;
    /// let decoder = Decoder { slope: 1.0, offset: 0.5, variance: 1.0 };
    /// let vae = LinearVae::new(&Schedule::from_betas(&[0.5])?, vec![decoder])?;
    /// let at_the_peak = vae.log_joint_p(&[array![0.5], array![0.0]])?;
    /// assert!((at_the_peak + std::f64::consts::TAU.ln()).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: log_joint_p
    pub fn log_joint_p<D: Dimension>(&self, path: &[Array<f64, D>]) -> Result<f64> {
        check_path(&self.schedule, path)?;
        let last = &path[self.schedule.timesteps()];
        let mut log_p = log_density(last, &Array::zeros(last.raw_dim()), 1.0)?;
        for (pair, decoder) in path.windows(2).zip(&self.decoders) {
            log_p += decoder.log_density(&pair[0], &pair[1])?;
        }
        Ok(log_p)
    }
    // ANCHOR_END: log_joint_p

    /// The bound as Jensen's inequality gives it: the mean over paths of ln p(x_{0:T}) − ln q(x_{1:T} | x_0).
    ///
    /// The logarithm is concave, so ln p(x_0) = ln E_q[p(x_{0:T}) / q(x_{1:T} | x_0)] is at least E_q of the logarithm.
    ///
    /// # Formula
    /// E_q[ln p(x_{0:T}) − ln q(x_{1:T} | x_0)] ≤ ln p(x_0)                      (slug `jensen_bound`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 3
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 0.5, DecoderVariance::Beta)?;
    /// let x0 = ndarray::array![0.3, -1.0];
    /// assert!(vae.jensen_bound(&x0)? < vae.log_evidence(&x0)?);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    #[doc(alias = "elbo")]
    #[doc(alias = "vlb")]
    // ANCHOR: jensen_bound
    pub fn jensen_bound<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let last = self.schedule.last();
        let log_prior = log_density(&mean_at(x0, last), &Array::zeros(x0.raw_dim()), 1.0)?;
        let mut bound = log_prior - spread(x0, last.one_minus_alpha_bar, 1.0);
        for step in self.schedule.steps() {
            bound += self.expected_log_decoder(x0, step.t)? + entropy(step.beta, x0.len())?;
        }
        Ok(bound)
    }
    // ANCHOR_END: jensen_bound

    /// The reconstruction term L_0: what it costs to state x_0 once x_1 is known. Unlike a KL, it can be below 0.
    ///
    /// # Formula
    /// L_0 = −E_{q(x_1|x_0)}[ln p(x_0 | x_1)] = (d/2) ln(2πs_1) + [‖(1 − a_1√α_1) x_0 − b_1‖² + d a_1² β_1] / (2s_1)
    ///                       (slug `reconstruction_term`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5, the term L_0
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}};
    /// let decoder = Decoder { slope: 2.0, offset: 0.0, variance: 1.0 };
    /// let vae = LinearVae::new(&Schedule::from_betas(&[0.75])?, vec![decoder])?;
    /// let cost = vae.reconstruction_term(&ndarray::array![0.3])?; // 2 x_1 = x_0 + √3 ε
    /// assert!((cost - 0.5 * std::f64::consts::TAU.ln() - 1.5).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: reconstruction_term
    pub fn reconstruction_term<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        Ok(-self.expected_log_decoder(x0, 1)?)
    }
    // ANCHOR_END: reconstruction_term

    /// The consistency term at t: how far one step of the decoder down to x_t is from one step of the encoder up to it.
    ///
    /// The expectation is over all three of (x_{t−1}, x_t, x_{t+1}). Under it x_t depends on x_{t+1}, so this is *not*
    /// the mean of KL(q(x_t | x_{t−1}) ‖ p(x_t | x_{t+1})), which is too large by d · a_{t+1} √α_{t+1} β_t / s_{t+1}; and
    /// it can be below 0, as no KL can.
    ///
    /// # Formula
    /// C_t = E_{q(x_{t−1}, x_t, x_{t+1} | x_0)}[ln q(x_t | x_{t−1}) − ln p(x_t | x_{t+1})]   (slug `consistency_term`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ t ≤ T − 1
    /// # Source
    /// Luo 2022, eq. 44; its eq. 45 takes this for a mean of KLs
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::from_betas(&[0.3, 0.3])?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// assert!(vae.consistency_term(&ndarray::array![0.0], 1)? < 0.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: consistency_term
    pub fn consistency_term<D: Dimension>(&self, x0: &ArrayRef<f64, D>, t: usize) -> Result<f64> {
        let (step, next, _) = self.around(t)?;
        Ok(-entropy(step.beta, x0.len())? - self.expected_log_decoder(x0, next.t)?)
    }
    // ANCHOR_END: consistency_term

    /// The bound as a sum of consistency terms.
    ///
    /// # Formula
    /// ELBO = −L_0 − Σ_{t=1}^{T−1} C_t − E_{q(x_{T−1}|x_0)} KL(q(x_T | x_{T−1}) ‖ N(0, I))   (slug `elbo_consistency_form`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Luo 2022, eq. 44
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 0.5, DecoderVariance::Beta)?;
    /// let x0 = ndarray::array![0.3, -1.0];
    /// assert!((vae.elbo_consistency_form(&x0)? - vae.jensen_bound(&x0)?).abs() < 1e-13);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_consistency_form
    pub fn elbo_consistency_form<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let mut cost = self.reconstruction_term(x0)? + last_step_term(x0, &self.schedule)?;
        for t in 1..self.schedule.timesteps() {
            cost += self.consistency_term(x0, t)?;
        }
        Ok(-cost)
    }
    // ANCHOR_END: elbo_consistency_form

    /// The denoising term L_{t−1}: how far one step of the decoder is from the step that knows x_0.
    ///
    /// It is the KL at the mean of x_t, and the spread that x_t adds. B_t is the weight of x_t in the posterior mean.
    ///
    /// # Formula
    /// L_{t−1} = E_{q(x_t|x_0)} KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t))
    /// = KL(N(√ᾱ_{t−1} x_0, β̃_t I) ‖ N(a_t √ᾱ_t x_0 + b_t, s_t I)) + d (B_t − a_t)² (1 − ᾱ_t) / (2s_t)
    ///                       (slug `denoising_term`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// [`Error::OutOfRange`] unless 2 ≤ t ≤ T: t = 1 has the reconstruction term
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5, the term L_{t−1}
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}, posterior::VarianceAtOne};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let point = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);
    /// let vae = LinearVae::for_gaussian_data(&schedule, 2.0, 0.0, point)?; // all data at x_0 = 2
    /// assert!(vae.denoising_term(&ndarray::array![2.0], 5)? < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: denoising_term
    pub fn denoising_term<D: Dimension>(&self, x0: &ArrayRef<f64, D>, t: usize) -> Result<f64> {
        let (step, decoder) = self.after_first(t)?;
        let mean_xt = mean_at(x0, step);
        let kl_at_mean = self.denoising_estimate(x0, &mean_xt, t)?;
        let slope = posterior_slope(step) - decoder.slope;
        Ok(kl_at_mean + spread(x0, slope * slope * step.one_minus_alpha_bar, decoder.variance))
    }
    // ANCHOR_END: denoising_term

    /// The bound as a sum of KLs to the posterior.
    ///
    /// # Formula
    /// ELBO = −(L_0 + L_1 + ⋯ + L_{T−1} + L_T)                      (slug `elbo_posterior_form`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 0.5, DecoderVariance::Beta)?;
    /// let x0 = ndarray::array![0.3, -1.0];
    /// assert!((vae.elbo_posterior_form(&x0)? - vae.elbo_consistency_form(&x0)?).abs() < 1e-13);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_posterior_form
    pub fn elbo_posterior_form<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let mut cost = self.reconstruction_term(x0)? + prior_term(x0, &self.schedule)?;
        for t in 2..=self.schedule.timesteps() {
            cost += self.denoising_term(x0, t)?;
        }
        Ok(-cost)
    }
    // ANCHOR_END: elbo_posterior_form

    /// What the bound is a bound of: the log-density that the decoder gives to x_0.
    ///
    /// Each step down is a linear function of a Gaussian plus Gaussian noise, so that p(x_t) = N(μ_t, U_t I) all the way.
    ///
    /// # Formula
    /// ln p(x_0) = ln N(x_0; μ_0, U_0 I), from μ_T = 0, U_T = 1 by μ_{t−1} = a_t μ_t + b_t, U_{t−1} = a_t² U_t + s_t
    ///                       (slug `log_evidence`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Bishop 2006, eq. 2.115, step by step
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}, gaussian};
    /// use ndarray::array;
    /// let decoder = Decoder { slope: 2.0, offset: 0.5, variance: 1.0 };
    /// let vae = LinearVae::new(&Schedule::from_betas(&[0.5])?, vec![decoder])?;
    /// assert_eq!(vae.log_evidence(&array![0.3])?, gaussian::log_density(&array![0.3], &array![0.5], 5.0)?);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: log_evidence
    pub fn log_evidence<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let (mean, variance) = self.model_marginals()[0];
        log_density(x0, &Array::from_elem(x0.raw_dim(), mean), variance)
    }
    // ANCHOR_END: log_evidence

    /// How much of ln p(x_0) the bound misses: the KL from the encoder to the posterior that the decoder implies.
    ///
    /// The decoder's own way up, p(x_t | x_{t−1}), is Bayes' rule again: x_t ~ N(μ_t, U_t) before x_{t−1} is seen (see
    /// [`log_evidence`](Self::log_evidence)). The KL of two chains is the sum of the KLs of their steps. No term is below
    /// 0, so nothing cancels, and the gap is exact where it is as small as rounding.
    ///
    /// # Formula
    /// ln p(x_0) − ELBO = KL(q(x_{1:T} | x_0) ‖ p(x_{1:T} | x_0))
    /// = Σ_{t=1}^{T} E_{q(x_{t−1}|x_0)} KL(q(x_t | x_{t−1}) ‖ p(x_t | x_{t−1})) ≥ 0                      (slug `elbo_gap`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None for a model of ordinary numbers; [`Error::OutOfRange`] where its slopes or variances multiply to infinity
    /// # Source
    /// Kingma, Welling 2014, eq. 1
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 0.5, DecoderVariance::Beta)?;
    /// let x0 = ndarray::array![0.3];
    /// let missed = vae.log_evidence(&x0)? - vae.elbo_posterior_form(&x0)?;
    /// assert!((vae.elbo_gap(&x0)? - missed).abs() < 1e-13);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_gap
    pub fn elbo_gap<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let marginals = self.model_marginals();
        let mut gap = 0.0;
        for step in self.schedule.steps() {
            let decoder = self.decoders[step.t - 1];
            // The mean of p(x_t | x_{t−1}) is linear in y = x_{t−1} − b_t: its value at 0, and a slope.
            let up = |y: f64| condition_gaussian(marginals[step.t], decoder.slope, decoder.variance, y);
            let (at_zero, variance) = up(0.0)?;
            let slope = decoder.slope * marginals[step.t].1 / marginals[step.t - 1].1;
            let mean_prev = x0 * step.alpha_bar_prev.sqrt();
            let mean_q = &mean_prev * step.alpha.sqrt();
            let mean_p = mean_prev.mapv(|x| at_zero + slope * (x - decoder.offset));
            let slope_left = step.alpha.sqrt() - slope;
            gap += kl_isotropic(&mean_q, step.beta, &mean_p, variance)?
                + spread(x0, slope_left * slope_left * step.one_minus_alpha_bar_prev, variance);
        }
        Ok(gap)
    }
    // ANCHOR_END: elbo_gap

    /// A single draw of the consistency term at t, whose mean is [`consistency_term`](Self::consistency_term).
    ///
    /// # Formula
    /// ln q(x_t | x_{t−1}) − ln p(x_t | x_{t+1})                      (slug `consistency_estimate`)
    /// # Shapes
    /// `x_prev`, `xt`, `x_next`: any, all equal; neighbours on one path, as [`q_chain`](crate::forward::q_chain) draws it
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ t ≤ T − 1; [`Error::ShapeMismatch`] where the shapes differ
    /// # Source
    /// Luo 2022, eq. 44, inside the expectation
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// use ndarray::array;
    /// let schedule = Schedule::from_betas(&[0.36, 0.36])?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// // x_1 is 0.8 x_2, but half a σ off 0.8 x_0.
    /// let draw = vae.consistency_estimate(&array![0.0], &array![0.3], &array![0.375], 1)?;
    /// assert!((draw + 0.125).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: consistency_estimate
    pub fn consistency_estimate<D: Dimension>(
        &self,
        x_prev: &ArrayRef<f64, D>,
        xt: &ArrayRef<f64, D>,
        x_next: &ArrayRef<f64, D>,
        t: usize,
    ) -> Result<f64> {
        same_shape("x_prev", xt, x_prev)?;
        same_shape("x_next", xt, x_next)?;
        let (step, _, decoder) = self.around(t)?;
        let log_q = log_density(xt, &(x_prev * step.alpha.sqrt()), step.beta)?;
        Ok(log_q - decoder.log_density(xt, x_next)?)
    }
    // ANCHOR_END: consistency_estimate

    /// The denoising term L_{t−1} at one draw of x_t: a single draw of it, whose mean is
    /// [`denoising_term`](Self::denoising_term).
    ///
    /// # Formula
    /// KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t))                      (slug `denoising_estimate`)
    /// # Shapes
    /// `x0`, `xt`: any, equal
    /// # Errors
    /// [`Error::OutOfRange`] unless 2 ≤ t ≤ T; [`Error::ShapeMismatch`] where `x0` and `xt` differ in shape
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5, inside the expectation
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}};
    /// use ndarray::array;
    /// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
    /// let beta_tilde = schedule.step(2)?.beta_tilde;
    /// let vae = LinearVae::new(&schedule, vec![Decoder { slope: 0.0, offset: 0.0, variance: beta_tilde }; 2])?;
    /// assert_eq!(vae.denoising_estimate(&array![0.0], &array![0.0], 2)?, 0.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: denoising_estimate
    pub fn denoising_estimate<D: Dimension>(
        &self,
        x0: &ArrayRef<f64, D>,
        xt: &ArrayRef<f64, D>,
        t: usize,
    ) -> Result<f64> {
        let (step, decoder) = self.after_first(t)?;
        kl_isotropic(&posterior_mean(x0, xt, step)?, step.beta_tilde, &decoder.mean(xt), decoder.variance)
    }
    // ANCHOR_END: denoising_estimate

    /// The bound estimated on one path, by consistency terms. Only the last step is integrated by hand.
    ///
    /// # Formula
    /// ln p(x_0 | x_1) − Σ_{t=1}^{T−1} [ln q(x_t | x_{t−1}) − ln p(x_t | x_{t+1})] − KL(q(x_T | x_{T−1}) ‖ N(0, I))
    ///                       (slug `elbo_consistency_estimate`)
    /// # Shapes
    /// `path`: T + 1 arrays of one shape, x_0 first, drawn by [`q_chain`](crate::forward::q_chain)
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there are T + 1 arrays of one shape
    /// # Source
    /// Luo 2022, eq. 44, on one path; the last step as in eq. 45
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// use ndarray::array;
    /// let schedule = Schedule::from_betas(&[0.36])?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// let path = [array![0.5], array![0.4]];
    /// assert!(vae.elbo_consistency_estimate(&path)?.is_finite());
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_consistency_estimate
    pub fn elbo_consistency_estimate<D: Dimension>(&self, path: &[Array<f64, D>]) -> Result<f64> {
        check_path(&self.schedule, path)?;
        let last = self.schedule.last();
        let mean = &path[last.t - 1] * last.alpha.sqrt();
        let mut bound = self.decoders[0].log_density(&path[0], &path[1])?;
        bound -= kl_isotropic(&mean, last.beta, &Array::zeros(mean.raw_dim()), 1.0)?;
        for t in 1..last.t {
            bound -= self.consistency_estimate(&path[t - 1], &path[t], &path[t + 1], t)?;
        }
        Ok(bound)
    }
    // ANCHOR_END: elbo_consistency_estimate

    /// The bound estimated on one path, by KLs to the posterior. Of each pair (x_{t−1}, x_t), x_{t−1} is integrated by
    /// hand.
    ///
    /// # Formula
    /// ln p(x_0 | x_1) − Σ_{t=2}^{T} KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) − L_T (slug `elbo_posterior_estimate`)
    /// # Shapes
    /// `path`: T + 1 arrays of one shape, x_0 first; each x_t drawn from q(x_t | x_0), by any means
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there are T + 1 arrays of one shape
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 5
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// use ndarray::array;
    /// let schedule = Schedule::from_betas(&[0.36])?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// let path = [array![0.5], array![0.4]];
    /// assert_eq!(vae.elbo_posterior_estimate(&path)?, vae.elbo_consistency_estimate(&path)?); // the same where T = 1
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_posterior_estimate
    pub fn elbo_posterior_estimate<D: Dimension>(&self, path: &[Array<f64, D>]) -> Result<f64> {
        check_path(&self.schedule, path)?;
        let mut bound = self.decoders[0].log_density(&path[0], &path[1])? - prior_term(&path[0], &self.schedule)?;
        for t in 2..=self.schedule.timesteps() {
            bound -= self.denoising_estimate(&path[0], &path[t], t)?;
        }
        Ok(bound)
    }
    // ANCHOR_END: elbo_posterior_estimate

    /// The variance of [`consistency_estimate`](Self::consistency_estimate), summed over the dimensions of `x0`.
    ///
    /// The estimate is R²/(2s_{t+1}) − ε²/2 and a constant, where ε is the noise that makes x_t of x_{t−1}, and
    /// R = x_t − a_{t+1} x_{t+1} − b_{t+1} has mean r, variance w, and covariance g with ε.
    ///
    /// # Formula
    /// Σ_i [½ + (2r_i² w + w²)/(2s_{t+1}²) − g²/s_{t+1}],  r_i = k√ᾱ_t x_{0,i} − b_{t+1},
    /// w = k²(1 − ᾱ_t) + a_{t+1}² β_{t+1},  g = k√β_t,  k = 1 − a_{t+1}√α_{t+1}                (slug `consistency_variance`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ t ≤ T − 1
    /// # Source
    /// This book, from Var R² = 4r²w + 2w² and Cov(ε², R²) = 2g²
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact)?;
    /// let x0 = ndarray::array![0.3];
    /// assert!(vae.consistency_variance(&x0, 4)? > 10.0 * vae.denoising_variance(&x0, 5)?);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: consistency_variance
    pub fn consistency_variance<D: Dimension>(&self, x0: &ArrayRef<f64, D>, t: usize) -> Result<f64> {
        let (step, next, Decoder { slope: a, offset: b, variance: s }) = self.around(t)?;
        let k = 1.0 - a * next.alpha.sqrt();
        let w = k * k * step.one_minus_alpha_bar + a * a * next.beta;
        let g_squared = k * k * step.beta;
        let variance = |&x: &f64| {
            let r = k * step.alpha_bar.sqrt() * x - b;
            0.5 + (2.0 * r * r * w + w * w) / (2.0 * s * s) - g_squared / s
        };
        Ok(x0.iter().map(variance).sum())
    }
    // ANCHOR_END: consistency_variance

    /// The variance of [`denoising_estimate`](Self::denoising_estimate), summed over the dimensions of `x0`.
    ///
    /// The estimate is D²/(2s_t) and a constant, where D is the difference of the two means. D is linear in x_t, with
    /// mean c and variance w.
    ///
    /// # Formula
    /// Σ_i (2c_i² w + w²)/(2s_t²),  c_i = (√ᾱ_{t−1} − a_t√ᾱ_t) x_{0,i} − b_t,  w = (B_t − a_t)²(1 − ᾱ_t)
    ///                       (slug `denoising_variance`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// [`Error::OutOfRange`] unless 2 ≤ t ≤ T
    /// # Source
    /// This book, from Var D² = 4c²w + 2w²
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}, posterior::VarianceAtOne};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let point = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);
    /// let vae = LinearVae::for_gaussian_data(&schedule, 2.0, 0.0, point)?; // all data at x_0 = 2
    /// assert!(vae.denoising_variance(&ndarray::array![2.0], 5)? < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: denoising_variance
    pub fn denoising_variance<D: Dimension>(&self, x0: &ArrayRef<f64, D>, t: usize) -> Result<f64> {
        let (step, Decoder { slope: a, offset: b, variance: s }) = self.after_first(t)?;
        let w = (posterior_slope(step) - a).powi(2) * step.one_minus_alpha_bar;
        let variance = |&x: &f64| {
            let c = (step.alpha_bar_prev.sqrt() - a * step.alpha_bar.sqrt()) * x - b;
            (2.0 * c * c * w + w * w) / (2.0 * s * s)
        };
        Ok(x0.iter().map(variance).sum())
    }
    // ANCHOR_END: denoising_variance

    /// The variance of [`elbo_consistency_estimate`](Self::elbo_consistency_estimate), summed over the dimensions of `x0`.
    ///
    /// The estimate is zᵀ M z and a constant, where z = (1, ε_1, …, ε_T), and (x) is the row of weights with which a linear
    /// function x of the path is made of z. It takes about 2T³ multiplications a dimension.
    ///
    /// # Formula
    /// Σ_i [4 Σ_{t≥1} M_{0t}² + 2 Σ_{t,u≥1} M_{tu}²],
    /// M = ½ [Σ_{t=1}^{T−1} (ε_t)ᵀ(ε_t) − Σ_{t=1}^{T} (R_t)ᵀ(R_t)/s_t − α_T (x_{T−1})ᵀ(x_{T−1})],
    /// R_t = x_{t−1} − a_t x_t − b_t                      (slug `elbo_consistency_variance`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None
    /// # Source
    /// This book: the variance of a quadratic form of independent standard Gaussians
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{Decoder, LinearVae}};
    /// // One step, and a decoder that takes no notice of x_1: nothing is left to chance.
    /// let decoder = Decoder { slope: 0.0, offset: 0.0, variance: 1.0 };
    /// let vae = LinearVae::new(&Schedule::from_betas(&[0.36])?, vec![decoder])?;
    /// assert_eq!(vae.elbo_consistency_variance(&ndarray::array![0.3])?, 0.0);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_consistency_variance
    pub fn elbo_consistency_variance<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        let last = self.schedule.last();
        self.variance_over_paths(x0, |path, eps| {
            let mut squares = vec![(-0.5 * last.alpha, path[last.t - 1].clone())];
            squares.extend(eps[..last.t - 1].iter().map(|eps| (0.5, eps.clone())));
            for (t, decoder) in (1..).zip(&self.decoders) {
                squares.push((-0.5 / decoder.variance, &path[t - 1] - decoder.in_noises(&path[t])));
            }
            Ok(squares)
        })
    }
    // ANCHOR_END: elbo_consistency_variance

    /// The variance of [`elbo_posterior_estimate`](Self::elbo_posterior_estimate) on a path, summed over the dimensions of
    /// `x0`.
    ///
    /// As [`elbo_consistency_variance`](Self::elbo_consistency_variance), with another M, which is that of minus the estimate.
    /// Where each x_t is drawn on its own, the terms are independent, and their variances add up instead.
    ///
    /// # Formula
    /// Σ_i [4 Σ_{t≥1} M_{0t}² + 2 Σ_{t,u≥1} M_{tu}²],  M = ½ Σ_{t=1}^{T} (D_t)ᵀ(D_t)/s_t,
    /// D_t = μ̃_t(x_t, x_0) − a_t x_t − b_t, with μ̃_1 = x_0                      (slug `elbo_posterior_variance`)
    /// # Shapes
    /// `x0`: any
    /// # Errors
    /// None
    /// # Source
    /// This book: the variance of a quadratic form of independent standard Gaussians
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, elbo::{DecoderVariance, LinearVae}, posterior::VarianceAtOne};
    /// let schedule = Schedule::linear(10, 0.1, 0.4)?;
    /// let point = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);
    /// let vae = LinearVae::for_gaussian_data(&schedule, 2.0, 0.0, point)?; // all data at x_0 = 2
    /// let x0 = ndarray::array![2.0];
    /// assert!(vae.elbo_posterior_variance(&x0)? < 1e-15 && vae.elbo_consistency_variance(&x0)? > 0.5);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: elbo_posterior_variance
    pub fn elbo_posterior_variance<D: Dimension>(&self, x0: &ArrayRef<f64, D>) -> Result<f64> {
        self.variance_over_paths(x0, |path, _| {
            let mut squares = Vec::new();
            for (&step, decoder) in self.schedule.steps().iter().zip(&self.decoders) {
                let xt = &path[step.t];
                squares.push((0.5 / decoder.variance, posterior_mean(&path[0], xt, step)? - decoder.in_noises(xt)));
            }
            Ok(squares)
        })
    }
    // ANCHOR_END: elbo_posterior_variance

    /// The variance of Σ_j c_j R_j² over paths, summed over the dimensions of `x0`. Given x_0, …, x_T and ε_1, …, ε_T as rows
    /// of weights, `squares` returns the c_j and the rows of the R_j.
    // ANCHOR: variance_over_paths
    fn variance_over_paths<D: Dimension>(
        &self,
        x0: &ArrayRef<f64, D>,
        squares: impl Fn(&[Array1<f64>], &[Array1<f64>]) -> Result<Vec<(f64, Array1<f64>)>>,
    ) -> Result<f64> {
        let size = self.decoders.len() + 1;
        let unit = |i: usize| Array1::from_shape_fn(size, |j| if i == j { 1.0 } else { 0.0 });
        let eps: Vec<_> = (1..size).map(unit).collect();
        let mut variance = 0.0;
        for &x in x0 {
            let path = q_chain(&(unit(0) * x), &self.schedule, &eps)?;
            let mut form = Array2::<f64>::zeros((size, size));
            for (weight, row) in squares(&path, &eps)? {
                for (i, &factor) in row.indexed_iter() {
                    form.row_mut(i).scaled_add(weight * factor, &row);
                }
            }
            let (_, of_noises) = form.view().split_at(Axis(1), 1);
            let (with_constant, among_noises) = of_noises.split_at(Axis(0), 1);
            let sum_of_squares = |part: ArrayView2<f64>| part.iter().map(|m| m * m).sum::<f64>();
            variance += 4.0 * sum_of_squares(with_constant) + 2.0 * sum_of_squares(among_noises);
        }
        Ok(variance)
    }
    // ANCHOR_END: variance_over_paths

    /// E_{q(x_{t−1}, x_t | x_0)}[ln p(x_{t−1} | x_t)].
    ///
    /// With x_t = √α_t x_{t−1} + √β_t ε, what the decoder misses is (1 − a_t√α_t) x_{t−1} − b_t − a_t√β_t ε.
    fn expected_log_decoder<D: Dimension>(&self, x0: &ArrayRef<f64, D>, t: usize) -> Result<f64> {
        let step = self.schedule.step(t)?;
        let decoder = self.decoders[t - 1];
        let k = 1.0 - decoder.slope * step.alpha.sqrt();
        let missed = x0.mapv(|x| k * step.alpha_bar_prev.sqrt() * x - decoder.offset);
        let variance_missed = k * k * step.one_minus_alpha_bar_prev + decoder.slope * decoder.slope * step.beta;
        let at_mean = log_density(&missed, &Array::zeros(x0.raw_dim()), decoder.variance)?;
        Ok(at_mean - spread(x0, variance_missed, decoder.variance))
    }

    /// The mean and variance of p(x_0), p(x_1), …, p(x_T), per dimension.
    fn model_marginals(&self) -> Vec<(f64, f64)> {
        let mut marginals = vec![(0.0, 1.0); self.decoders.len() + 1];
        for (i, decoder) in self.decoders.iter().enumerate().rev() {
            let (mean, variance) = marginals[i + 1];
            marginals[i] =
                (decoder.slope * mean + decoder.offset, decoder.slope * decoder.slope * variance + decoder.variance);
        }
        marginals
    }

    /// The steps t and t + 1, and the decoder from x_{t+1} down to x_t.
    fn around(&self, t: usize) -> Result<(Step, Step, Decoder)> {
        if t == 0 || t >= self.schedule.timesteps() {
            return Err(Error::OutOfRange { name: "t", expected: "at least 1 and at most T - 1", got: t as f64 });
        }
        Ok((self.schedule.step(t)?, self.schedule.step(t + 1)?, self.decoders[t]))
    }

    /// The step t ≥ 2, and the decoder from x_t down to x_{t−1}.
    fn after_first(&self, t: usize) -> Result<(Step, Decoder)> {
        if t < 2 || t > self.schedule.timesteps() {
            return Err(Error::OutOfRange { name: "t", expected: "at least 2 and at most T", got: t as f64 });
        }
        Ok((self.schedule.step(t)?, self.decoders[t - 1]))
    }
}

/// The density of a path under the encoder, given where it starts.
///
/// # Formula
/// ln q(x_{1:T} | x_0) = Σ_{t=1}^{T} ln N(x_t; √α_t x_{t−1}, β_t I)                      (slug `log_joint_q`)
/// # Shapes
/// `path`: T + 1 arrays of one shape, x_0 first
/// # Errors
/// [`Error::ShapeMismatch`] unless there are T + 1 arrays of one shape
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, elbo::log_joint_q, gaussian::log_density};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.36])?;
/// let log_q = log_joint_q(&schedule, &[array![1.0], array![0.9]])?;
/// assert_eq!(log_q, log_density(&array![0.9], &array![0.8], 0.36)?);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: log_joint_q
pub fn log_joint_q<D: Dimension>(schedule: &Schedule, path: &[Array<f64, D>]) -> Result<f64> {
    check_path(schedule, path)?;
    let mut log_q = 0.0;
    for (pair, step) in path.windows(2).zip(schedule.steps()) {
        log_q += log_density(&pair[1], &(&pair[0] * step.alpha.sqrt()), step.beta)?;
    }
    Ok(log_q)
}
// ANCHOR_END: log_joint_q

/// The same density, with each step turned round: x_T first, then each x_{t−1} from x_t and x_0.
///
/// For t ≥ 2, the Markov property lets x_0 into the condition, and Bayes' rule turns the step round:
/// q(x_t | x_{t−1}) = q(x_t | x_{t−1}, x_0) = q(x_{t−1} | x_t, x_0) q(x_t | x_0) / q(x_{t−1} | x_0). The fractions
/// telescope to q(x_T | x_0) / q(x_1 | x_0).
///
/// # Formula
/// ln q(x_{1:T} | x_0) = ln q(x_T | x_0) + Σ_{t=2}^{T} ln q(x_{t−1} | x_t, x_0)             (slug `log_joint_q_reversed`)
/// # Shapes
/// `path`: T + 1 arrays of one shape, x_0 first
/// # Errors
/// [`Error::ShapeMismatch`] unless there are T + 1 arrays of one shape
/// # Source
/// Ho, Jain, Abbeel 2020, appendix A; Sohl-Dickstein et al. 2015, appendix B.3
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, elbo::{log_joint_q, log_joint_q_reversed}};
/// use ndarray::array;
/// let schedule = Schedule::from_betas(&[0.3, 0.6])?;
/// let path = [array![1.0], array![0.9], array![-0.2]];
/// let (up, down) = (log_joint_q(&schedule, &path)?, log_joint_q_reversed(&schedule, &path)?);
/// assert!((up - down).abs() < 1e-14);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: log_joint_q_reversed
pub fn log_joint_q_reversed<D: Dimension>(schedule: &Schedule, path: &[Array<f64, D>]) -> Result<f64> {
    check_path(schedule, path)?;
    let (x0, last) = (&path[0], schedule.last());
    let mut log_q = log_density(&path[last.t], &mean_at(x0, last), last.one_minus_alpha_bar)?;
    for step in &schedule.steps()[1..] {
        log_q += log_density(&path[step.t - 1], &posterior_mean(x0, &path[step.t], *step)?, step.beta_tilde)?;
    }
    Ok(log_q)
}
// ANCHOR_END: log_joint_q_reversed

/// The prior term L_T: how far x_T is from the noise that sampling starts from. It depends on no decoder.
///
/// # Formula
/// L_T = KL(q(x_T | x_0) ‖ N(0, I))                      (slug `prior_term`)
/// # Shapes
/// `x0`: any
/// # Errors
/// None
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 5, the term L_T
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, elbo::prior_term};
/// let schedule = Schedule::linear(100, 1e-3, 0.2)?.rescale_zero_terminal_snr()?;
/// assert_eq!(prior_term(&ndarray::array![1.0, -1.0], &schedule)?, 0.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: prior_term
pub fn prior_term<D: Dimension>(x0: &ArrayRef<f64, D>, schedule: &Schedule) -> Result<f64> {
    let last = schedule.last();
    kl_isotropic(&mean_at(x0, last), last.one_minus_alpha_bar, &Array::zeros(x0.raw_dim()), 1.0)
}
// ANCHOR_END: prior_term

/// The variance of an estimate of a sum that draws one of its terms: at a t that is uniform over n times, n times a draw of
/// the term there.
///
/// Training estimates the bound so. Its n terms are those of either form, [`LinearVae::consistency_term`] or
/// [`LinearVae::denoising_term`], and their draws have the variances [`LinearVae::consistency_variance`] and
/// [`LinearVae::denoising_variance`].
///
/// # Formula
/// n Σ_t (m_t² + v_t) − (Σ_t m_t)²                      (slug `variance_at_one_t`)
/// # Shapes
/// `means` (m_t), `variances` (v_t): n numbers each
/// # Errors
/// [`Error::Empty`] where there is no term; [`Error::ShapeMismatch`] where the lists differ in length
/// # Source
/// This book: Var X = E X² − (E X)², where E X² is the mean over t of n² (m_t² + v_t)
/// # Examples
/// ```
/// use literate_diffusion::elbo::variance_at_one_t;
/// assert_eq!(variance_at_one_t(&[3.0, 3.0], &[0.0, 0.0])?, 0.0); // one term tells the sum
/// assert_eq!(variance_at_one_t(&[0.0, 6.0], &[0.0, 0.0])?, 36.0); // 0 or 12, where the sum is 6
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: variance_at_one_t
pub fn variance_at_one_t(means: &[f64], variances: &[f64]) -> Result<f64> {
    if means.is_empty() {
        return Err(Error::Empty { name: "means" });
    }
    if means.len() != variances.len() {
        return Err(Error::ShapeMismatch {
            name: "variances",
            expected: vec![means.len()],
            got: vec![variances.len()],
        });
    }
    let n = means.len() as f64;
    let sum: f64 = means.iter().sum();
    // Summed about their mean, m_t that are nearly alike lose no digits.
    let scatter: f64 = means.iter().map(|m| (m - sum / n).powi(2)).sum();
    Ok(n * (scatter + variances.iter().sum::<f64>()))
}
// ANCHOR_END: variance_at_one_t

/// What stands in the place of L_T beside the consistency terms: the mean KL from the *last step* to N(0, I).
///
/// It is larger than L_T by (d/2) ln((1 − ᾱ_T)/β_T), which is what x_{T−1} tells of x_T.
///
/// # Formula
/// E_{q(x_{T−1}|x_0)} KL(q(x_T | x_{T−1}) ‖ N(0, I))
/// = KL(N(√ᾱ_T x_0, β_T I) ‖ N(0, I)) + d α_T (1 − ᾱ_{T−1}) / 2                      (slug `last_step_term`)
/// # Shapes
/// `x0`: any
/// # Errors
/// None
/// # Source
/// Luo 2022, eq. 45, the prior matching term
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, elbo::{last_step_term, prior_term}};
/// let (schedule, x0) = (Schedule::linear(100, 1e-3, 0.2)?, ndarray::array![0.5]);
/// assert!(prior_term(&x0, &schedule)? < 1e-4);
/// assert!(last_step_term(&x0, &schedule)? > 0.8); // ½ ln(1/0.2)
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: last_step_term
pub fn last_step_term<D: Dimension>(x0: &ArrayRef<f64, D>, schedule: &Schedule) -> Result<f64> {
    let last = schedule.last();
    let kl_at_mean = kl_isotropic(&mean_at(x0, last), last.beta, &Array::zeros(x0.raw_dim()), 1.0)?;
    Ok(kl_at_mean + spread(x0, last.alpha * last.one_minus_alpha_bar_prev, 1.0))
}
// ANCHOR_END: last_step_term

/// The log-probability that a Gaussian decoder gives to data of 8 bits: the mass of each number's bin.
///
/// The 256 values are spaced 2/255 apart on [−1, 1]; the outermost bins reach to infinity, so that the probabilities add
/// up to 1. Far from the mean the logarithm is taken before anything underflows: it stays finite for as long as the
/// square of the distance does.
///
/// # Formula
/// Σ_i ln ∫_{δ₋(x_i)}^{δ₊(x_i)} N(x; μ_i, σ²) dx,  δ₊(x) = x + 1/255 (∞ at x = 1),  δ₋(x) = x − 1/255 (−∞ at x = −1)
///                       (slug `discretised_log_likelihood`)
/// # Shapes
/// `x0`, `mean`: any, equal
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `mean` differ in shape; [`Error::OutOfRange`] unless `variance` is a finite
/// number above 0, and where a number of `x0` is not one of the 256 values: the formula is not for such data
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 13
/// # Examples
/// ```
/// use literate_diffusion::elbo::discretised_log_likelihood;
/// use ndarray::array;
/// let log_p = discretised_log_likelihood(&array![1.0], &array![1.0 - 1.0 / 255.0], 1e-4)?;
/// assert!((log_p - 0.5_f64.ln()).abs() < 1e-15); // the mean is on the edge of the last bin
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "discretized_gaussian_log_likelihood")]
// ANCHOR: discretised_log_likelihood
pub fn discretised_log_likelihood<D: Dimension>(
    x0: &ArrayRef<f64, D>,
    mean: &ArrayRef<f64, D>,
    variance: f64,
) -> Result<f64> {
    same_shape("mean", x0, mean)?;
    positive("variance", variance)?;
    let sigma = variance.sqrt();
    let half_bin = paper::PIXEL_HALF_BIN;
    x0.iter().try_for_each(|&x| on_pixel_grid(x))?;
    Ok(Zip::from(x0).and(mean).fold(0.0, |sum, &x, &mean| {
        let lower = if x < half_bin - 1.0 { f64::NEG_INFINITY } else { (x - half_bin - mean) / sigma };
        let upper = if x > 1.0 - half_bin { f64::INFINITY } else { (x + half_bin - mean) / sigma };
        sum + log_normal_interval(lower, upper)
    }))
}
// ANCHOR_END: discretised_log_likelihood

/// Nats, summed over the dimensions, as bits per dimension.
///
/// # Formula
/// bits/dim = nats / (d ln 2)                      (slug `bits_per_dim`)
/// # Errors
/// [`Error::OutOfRange`] where `dimensions` (d) is 0
/// # Source
/// Ho, Jain, Abbeel 2020, section 4 (the unit of table 1)
/// # Examples
/// ```
/// use literate_diffusion::elbo::bits_per_dim;
/// let nats = -2.0 * (1.0_f64 / 256.0).ln(); // two numbers of 8 bits, all values alike
/// assert_eq!(bits_per_dim(nats, 2)?, 8.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "bpd")]
// ANCHOR: bits_per_dim
pub fn bits_per_dim(nats: f64, dimensions: usize) -> Result<f64> {
    if dimensions == 0 {
        return Err(Error::OutOfRange { name: "dimensions", expected: "at least 1", got: 0.0 });
    }
    Ok(nats / (dimensions as f64 * LN_2))
}
// ANCHOR_END: bits_per_dim

/// ln P(a < Z < b) for Z ~ N(0, 1), a < b.
///
/// Each of its two forms is used where it is exact to a few roundings. A narrow interval is integrated by Gauss–Legendre
/// with three nodes, since a difference of two cdfs would cancel. Any other one is a difference of two tails, where the
/// further one is the smaller, and logarithms do not underflow.
fn log_normal_interval(a: f64, b: f64) -> f64 {
    let (a, b) = if a + b < 0.0 { (-b, -a) } else { (a, b) };
    let (width, middle) = (b - a, 0.5 * (a + b));
    if width * (1.0 + middle) < 0.02 {
        let node = 0.5 * width * 0.6_f64.sqrt();
        let relative_density = |u: f64| (-u * (middle + 0.5 * u)).exp();
        let mean_density = (8.0 + 5.0 * (relative_density(node) + relative_density(-node))) / 18.0;
        return (width * mean_density).ln() - 0.5 * (middle * middle + TAU.ln());
    }
    let (log_from_a, log_from_b) = (log_upper_tail(a), log_upper_tail(b));
    if log_from_a == f64::NEG_INFINITY {
        return log_from_a;
    }
    log_from_a + (-(log_from_b - log_from_a).exp_m1()).ln()
}

/// ln P(Z > x) for Z ~ N(0, 1). From 5 on, by Laplace's continued fraction
/// P(Z > x) = φ(x) / (x + 1/(x + 2/(x + 3/(x + ⋯)))).
fn log_upper_tail(x: f64) -> f64 {
    if x < 5.0 {
        return (0.5 * libm::erfc(x * FRAC_1_SQRT_2)).ln();
    }
    let fraction = (1..=25).rev().fold(x, |below, k| x + f64::from(k) / below);
    -0.5 * (x * x + TAU.ln()) - fraction.ln()
}

/// Fails unless x is one of the 256 values −1, −1 + 2/255, …, 1 (within what `f32` rounds).
fn on_pixel_grid(x: f64) -> Result<()> {
    let level = (x + 1.0) / (2.0 * paper::PIXEL_HALF_BIN);
    if x.abs() < 1.0 + paper::PIXEL_HALF_BIN && (level - level.round()).abs() < 1e-4 {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "x0", expected: "one of the 256 values -1, -1 + 2/255, ..., 1", got: x })
}

/// E[x_t | x_0] = √ᾱ_t x_0.
fn mean_at<D: Dimension>(x0: &ArrayRef<f64, D>, step: Step) -> Array<f64, D> {
    x0 * step.alpha_bar.sqrt()
}

/// d·w / (2σ²).
fn spread<D: Dimension>(x0: &ArrayRef<f64, D>, w: f64, variance: f64) -> f64 {
    x0.len() as f64 * w / (2.0 * variance)
}

/// B_t, the weight of x_t in the mean of q(x_{t−1} | x_t, x_0).
fn posterior_slope(step: Step) -> f64 {
    step.alpha.sqrt() * step.one_minus_alpha_bar_prev / step.one_minus_alpha_bar
}

/// Fails unless there are T + 1 arrays of one shape.
fn check_path<D: Dimension>(schedule: &Schedule, path: &[Array<f64, D>]) -> Result<()> {
    let expected = schedule.timesteps() + 1;
    if path.len() != expected {
        return Err(Error::ShapeMismatch { name: "path", expected: vec![expected], got: vec![path.len()] });
    }
    path.iter().try_for_each(|x| same_shape("path", &path[0], x))
}
