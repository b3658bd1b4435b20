//! The formulas of the diffusion, over batches with a time for each sample.
//!
//! Nearly every function has the slug of its equation for a name, which is where the book and the reference say more of it. In all of
//! them, x, ε and the like have shape (N, …), and `steps` are those of the N samples. They fail with
//! [`Error::ShapeMismatch`] where the shapes do not fit.

use tch::{Device, Kind, Tensor};

use super::schedule::{Schedule, Steps, length, numbers};
use super::{has_kind, same_shape};
use crate::error::{Error, Result};
use crate::objective::{Prediction, Variance};
use crate::sampler::LastStep;

/// √α_t x_{t−1} + √β_t ε. Source: Ho, Jain, Abbeel 2020, eq. 2.
pub fn q_step(x_prev: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&steps.alpha.sqrt(), "x_prev", x_prev), (&steps.beta.sqrt(), "eps", eps)])
}

/// x_0, x_1, …, x_T by one step after another; `eps` has T noises, each of the shape of `x0`.
pub fn q_chain(x0: &Tensor, schedule: &Schedule, eps: &[Tensor]) -> Result<Vec<Tensor>> {
    if eps.len() != schedule.timesteps() {
        return Err(Error::ShapeMismatch { name: "eps", expected: vec![schedule.timesteps()], got: vec![eps.len()] });
    }
    let samples = super::lengths(&x0.size()).first().copied().unwrap_or(0);
    let mut path = vec![x0.shallow_clone()];
    for (t, eps) in (1..).zip(eps) {
        path.push(q_step(&path[t - 1], &schedule.at(&vec![t; samples])?, eps)?);
    }
    Ok(path)
}

/// The one noise that does the work of ε_{t−1} and ε_t: [√(α_t β_{t−1}) ε_{t−1} + √β_t ε_t]/√(α_t β_{t−1} + β_t).
pub fn merge_noise(steps_prev: &Steps, eps_prev: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    let left_of_first = &steps.alpha * &steps_prev.beta;
    let both = &left_of_first + &steps.beta;
    sum_of(
        steps,
        [(&(left_of_first / &both).sqrt(), "eps_prev", eps_prev), (&(&steps.beta / &both).sqrt(), "eps", eps)],
    )
}

/// √ᾱ_t x_0 + √(1 − ᾱ_t) ε. Source: Ho, Jain, Abbeel 2020, eq. 4.
pub fn q_sample(x0: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&steps.alpha_bar.sqrt(), "x0", x0), (&steps.one_minus_alpha_bar.sqrt(), "eps", eps)])
}

/// Mean and variance of x_t from those of x_0, each of shape (N).
pub fn marginal_moments(mean: &Tensor, variance: &Tensor, steps: &Steps) -> Result<(Tensor, Tensor)> {
    steps.fit("mean", mean)?;
    steps.fit("variance", variance)?;
    Ok((steps.alpha_bar.sqrt() * mean, &steps.alpha_bar * variance + &steps.one_minus_alpha_bar))
}

/// μ̃_t(x_t, x_0), the mean of q(x_{t−1} | x_t, x_0). Source: Ho, Jain, Abbeel 2020, eq. 7.
pub fn posterior_mean(x0: &Tensor, xt: &Tensor, steps: &Steps) -> Result<Tensor> {
    let (of_x0, of_xt) = posterior_coefficients(steps);
    sum_of(steps, [(&of_x0, "x0", x0), (&of_xt, "xt", xt)])
}

/// What x_0 and x_t are multiplied by in μ̃_t.
fn posterior_coefficients(steps: &Steps) -> (Tensor, Tensor) {
    let of_x0 = steps.alpha_bar_prev.sqrt() * &steps.beta / &steps.one_minus_alpha_bar;
    let of_xt = steps.alpha.sqrt() * &steps.one_minus_alpha_bar_prev / &steps.one_minus_alpha_bar;
    (of_x0, of_xt)
}

/// ε from x_t and x_0: q_sample solved for ε.
pub fn eps_from_x0(x0: &Tensor, xt: &Tensor, steps: &Steps) -> Result<Tensor> {
    let of_xt = steps.one_minus_alpha_bar.rsqrt();
    sum_of(steps, [(&of_xt, "xt", xt), (&-(steps.alpha_bar.sqrt() * &of_xt), "x0", x0)])
}

/// x_0 from x_t and ε: q_sample solved for x_0. Fails with [`Error::ZeroSnr`] where ᾱ_t = 0.
pub fn x0_from_eps(xt: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    steps.none_zero(&steps.alpha_bar)?;
    let of_xt = steps.alpha_bar.rsqrt();
    sum_of(steps, [(&of_xt, "xt", xt), (&-(steps.one_minus_alpha_bar.sqrt() * &of_xt), "eps", eps)])
}

/// v = √ᾱ_t ε − √(1 − ᾱ_t) x_0. Source: Salimans, Ho 2022, appendix D.
pub fn v_target(x0: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&steps.alpha_bar.sqrt(), "eps", eps), (&-steps.one_minus_alpha_bar.sqrt(), "x0", x0)])
}

/// x_0 from x_t and v: (x_0, ε) turned by an angle is (x_t, v), so turn it back.
pub fn x0_from_v(xt: &Tensor, steps: &Steps, v: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&steps.alpha_bar.sqrt(), "xt", xt), (&-steps.one_minus_alpha_bar.sqrt(), "v", v)])
}

/// ε from x_t and v.
pub fn eps_from_v(xt: &Tensor, steps: &Steps, v: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&steps.one_minus_alpha_bar.sqrt(), "xt", xt), (&steps.alpha_bar.sqrt(), "v", v)])
}

/// μ_θ(x_t, t) from ε_θ. Source: Ho, Jain, Abbeel 2020, eq. 11. Fails with [`Error::ZeroSnr`] where α_t = 0.
pub fn mean_from_eps(xt: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    steps.none_zero(&steps.alpha)?;
    let of_xt = steps.alpha.rsqrt();
    let of_eps = -(&steps.beta * &of_xt * steps.one_minus_alpha_bar.rsqrt());
    sum_of(steps, [(&of_xt, "xt", xt), (&of_eps, "eps", eps)])
}

/// x_0 from the mean: μ̃_t solved for x_0. Fails with [`Error::ZeroSnr`] where ᾱ_{t−1} = 0.
pub fn x0_from_mean(xt: &Tensor, steps: &Steps, mean: &Tensor) -> Result<Tensor> {
    steps.none_zero(&steps.alpha_bar_prev)?;
    let (of_x0, of_xt) = posterior_coefficients(steps);
    sum_of(steps, [(&of_x0.reciprocal(), "mean", mean), (&-(of_xt / &of_x0), "xt", xt)])
}

/// ε from the mean: eq. 11 solved for ε.
pub fn eps_from_mean(xt: &Tensor, steps: &Steps, mean: &Tensor) -> Result<Tensor> {
    let of_xt = steps.one_minus_alpha_bar.sqrt() / &steps.beta;
    sum_of(steps, [(&of_xt, "xt", xt), (&-(steps.alpha.sqrt() * &of_xt), "mean", mean)])
}

/// KL(N(μ_q, σ²I) ‖ N(μ_p, σ²I)) of each sample, in nats; `variance` has N numbers.
pub fn kl_equal_variance(mean_q: &Tensor, mean_p: &Tensor, variance: &Tensor) -> Result<Tensor> {
    Ok(squared_distance(mean_q, mean_p)? / variance / 2.0)
}

/// KL(N(μ_q, σ_q²I) ‖ N(μ_p, σ_p²I)) of each sample, in nats; each variance has N numbers.
pub fn kl_isotropic(mean_q: &Tensor, variance_q: &Tensor, mean_p: &Tensor, variance_p: &Tensor) -> Result<Tensor> {
    let dimensions = dimensions(mean_q);
    // ln r = ln(σ_q²/σ_p²) by way of the excess r − 1 where the two are nearly equal, and by two logarithms where r may be
    // near 0: nothing is lost then, in the value or in its gradient.
    let excess = (variance_q - variance_p) / variance_p;
    let nearly_equal = excess.abs().lt(0.5);
    let log_ratio = excess.clamp(-0.5, 0.5).log1p().where_self(&nearly_equal, &(variance_q.log() - variance_p.log()));
    let of_variances = (excess - log_ratio) * dimensions;
    Ok((of_variances + squared_distance(mean_q, mean_p)? / variance_p) / 2.0)
}

/// L_{t−1} of each sample: KL(q(x_{t−1} | x_t, x_0) ‖ N(μ_θ, σ²I)) in nats; infinite at t = 1, where β̃_t = 0.
///
/// `variance` (σ²) has N numbers.
pub fn kl_reverse_step(mean_q: &Tensor, mean_p: &Tensor, steps: &Steps, variance: &Tensor) -> Result<Tensor> {
    kl_isotropic(mean_q, &steps.beta_tilde, mean_p, variance)
}

/// KL(q(x_t | x_0) ‖ N(0, I)) of each sample, in nats; L_T where t = T. Source: Ho, Jain, Abbeel 2020, eq. 5.
pub fn prior_kl(x0: &Tensor, steps: &Steps) -> Result<Tensor> {
    steps.fit("x0", x0)?;
    // ln(1 − ᾱ), by whichever of the two is small.
    let log = steps.one_minus_alpha_bar.log().where_self(&steps.alpha_bar.gt(0.5), &(-&steps.alpha_bar).log1p());
    Ok((&steps.alpha_bar * square_norm(x0) - (log + &steps.alpha_bar) * dimensions(x0)) / 2.0)
}

/// ln N(x; μ, σ²I) of each sample; `variance` has N numbers.
pub fn log_density(x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<Tensor> {
    let normaliser = (variance * std::f64::consts::TAU).log() * dimensions(x);
    Ok((squared_distance(x, mean)? / variance + normaliser) / -2.0)
}

/// What the bound charges for ‖ε − ε_θ‖² at the variance σ²: β_t²/(2σ² α_t (1 − ᾱ_t)). Source: Ho et al. 2020, eq. 12.
pub fn eps_weight(steps: &Steps, variance: &Tensor) -> Result<Tensor> {
    steps.none_zero(&steps.alpha)?;
    Ok(steps.beta.square() / (&steps.alpha * &steps.one_minus_alpha_bar * variance * 2.0))
}

/// What the bound charges for ‖x_0 − x̂_0‖²: the square of the coefficient of x_0 in μ̃_t, over 2σ².
pub fn x0_weight(steps: &Steps, variance: &Tensor) -> Tensor {
    posterior_coefficients(steps).0.square() / variance / 2.0
}

/// What the bound charges for ‖v − v_θ‖²: an error of v is one of x_0, times √(1 − ᾱ_t).
pub fn v_weight(steps: &Steps, variance: &Tensor) -> Tensor {
    x0_weight(steps, variance) * &steps.one_minus_alpha_bar
}

/// ½(SNR(t − 1) − SNR(t)); infinite at t = 1. Source: Kingma, Salimans, Poole, Ho 2021, section 4.
pub fn snr_weight(steps: &Steps) -> Tensor {
    // a/(1 − a) − b/(1 − b) = (a − b)/((1 − a)(1 − b)), and ᾱ_{t−1} − ᾱ_t = ᾱ_{t−1} β_t.
    &steps.alpha_bar_prev * &steps.beta / (&steps.one_minus_alpha_bar_prev * &steps.one_minus_alpha_bar * 2.0)
}

/// The min-SNR weight of a loss in ε, x_0 or v. Source: Hang et al. 2023, section 3.4.
pub fn min_snr_weight(steps: &Steps, gamma: f64, prediction: Prediction) -> Tensor {
    let snr = steps.snr();
    match prediction {
        // min(SNR, γ)/SNR = min(1, γ/SNR), which is 1 where SNR = 0.
        Prediction::Eps => (snr.reciprocal() * gamma).clamp_max(1.0),
        Prediction::X0 => snr.clamp_max(gamma),
        Prediction::V => snr.clamp_max(gamma) / (snr + 1.0),
    }
}

/// L_simple of each sample: the mean square of ε − ε_θ over the dimensions. Source: Ho, Jain, Abbeel 2020, eq. 14.
pub fn l_simple(eps: &Tensor, eps_theta: &Tensor) -> Result<Tensor> {
    if eps.numel() == 0 {
        return Err(Error::Empty { name: "eps" });
    }
    same_shape("eps_theta", eps, eps_theta)?;
    Ok(sum_over_sample(&(eps - eps_theta).square()) / dimensions(eps))
}

/// σ_t² of the model, N numbers.
pub fn variance(steps: &Steps, variance: Variance) -> Tensor {
    match variance {
        Variance::Beta => steps.beta.shallow_clone(),
        Variance::BetaTilde => steps.beta_tilde.shallow_clone(),
    }
}

/// E[ε | x_t] where the data is N(m, vI): regression of ε on x_t.
pub fn gaussian_eps(xt: &Tensor, steps: &Steps, mean: &Tensor, variance: f64) -> Result<Tensor> {
    let of_xt = steps.one_minus_alpha_bar.sqrt() / (&steps.alpha_bar * variance + &steps.one_minus_alpha_bar);
    sum_of(steps, [(&of_xt, "xt", xt), (&-(steps.alpha_bar.sqrt() * &of_xt), "mean", mean)])
}

/// What remains of L_simple with that prediction: Var[ε | x_t] per dimension, N numbers.
pub fn gaussian_floor(variance: f64, steps: &Steps) -> Tensor {
    let signal = &steps.alpha_bar * variance;
    &signal / (&signal + &steps.one_minus_alpha_bar)
}

/// σ_t of ancestral sampling, N numbers; 0 at t = 1 where the last step is the mean.
pub fn ancestral_sigma(steps: &Steps, variance: Variance, last_step: LastStep) -> Tensor {
    let sigma = self::variance(steps, variance).sqrt();
    match last_step {
        LastStep::Mean => sigma * steps.index().clamp_max(1),
        LastStep::Noise => sigma,
    }
}

/// One step of ancestral sampling: μ + σ z. Source: Ho, Jain, Abbeel 2020, algorithm 2.
///
/// μ is [`mean_from_eps`], or [`posterior_mean`] of a predicted x_0; `sigma` has N numbers.
pub fn ancestral_step(mean: &Tensor, steps: &Steps, sigma: &Tensor, z: &Tensor) -> Result<Tensor> {
    sum_of(steps, [(&sigma.ones_like(), "mean", mean), (sigma, "z", z)])
}

/// σ_t of DDIM, N numbers: η √β̃_t. Source: Song, Meng, Ermon 2021, eq. 16.
///
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ η ≤ 1
pub fn ddim_sigma(steps: &Steps, eta: f64) -> Result<Tensor> {
    if (0.0..=1.0).contains(&eta) {
        return Ok(steps.beta_tilde.sqrt() * eta);
    }
    Err(Error::OutOfRange { name: "eta", expected: "between 0 and 1", got: eta })
}

/// One step of DDIM, from t to the time before it in the (respaced) schedule. Source: Song, Meng, Ermon 2021, eq. 12.
///
/// What remains for the direction of ε is 1 − ᾱ_{t−1} − σ². In (1 − ᾱ_{t−1}) [1 − η² + η² α_t (1 − ᾱ_{t−1})/(1 − ᾱ_t)],
/// which is the same, nothing is subtracted from something nearly equal.
///
/// # Errors
/// [`Error::OutOfRange`] unless 0 ≤ η ≤ 1
pub fn ddim_step(x0: &Tensor, eps: &Tensor, steps: &Steps, eta: f64, z: &Tensor) -> Result<Tensor> {
    let sigma = ddim_sigma(steps, eta)?;
    let kept = &steps.alpha * &steps.one_minus_alpha_bar_prev / &steps.one_minus_alpha_bar;
    let of_eps = &steps.one_minus_alpha_bar_prev * (kept * eta.powi(2) + (1.0 - eta.powi(2)));
    sum_of(steps, [(&steps.alpha_bar_prev.sqrt(), "x0", x0), (&of_eps.sqrt(), "eps", eps), (&sigma, "z", z)])
}

/// ln p(x_0 | x_1) of each sample, of numbers that are one of 256 in [−1, 1]. Source: Ho, Jain, Abbeel 2020, eq. 13.
///
/// Both ends of a bin are turned into the lower tail, where ln Φ is accurate, and subtracted as
/// ln(Φ(b) − Φ(a)) = ln Φ(b) + ln(1 − e^{ln Φ(a) − ln Φ(b)}). `variance` (σ²) has N numbers.
///
/// # Errors
/// [`Error::ShapeMismatch`] where `x0` and `mean` differ in shape; [`Error::OutOfRange`] where a number of `x0` is not one
/// of the 256
pub fn discretised_log_likelihood(x0: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<Tensor> {
    same_shape("mean", x0, mean)?;
    let in_f64 = |x: &Tensor| x.to_kind(Kind::Double).to_device(Device::Cpu);
    let (x0, mean) = (in_f64(x0), in_f64(mean));
    let level = ((&x0 + 1.0) * 127.5).round();
    // In f32, a level is off by 2⁻²⁴ or so.
    let wrong = (&level / 127.5 - 1.0 - &x0).abs().gt(1e-6).logical_or(&(&level - 127.5).abs().gt(128.0));
    if let Some(i) = numbers(&wrong).iter().position(|&wrong| wrong != 0.0) {
        let expected = "one of the 256 values from -1 to 1 that are 2/255 apart";
        return Err(Error::OutOfRange { name: "x0", expected, got: numbers(&x0)[i] });
    }
    let mut columns = vec![1; x0.dim()];
    columns[0] = variance.size()[0];
    let sigma = variance.sqrt().view(columns.as_slice());
    let end = |sign: f64| (&x0 + sign / 255.0 - &mean) / &sigma;
    let upper = end(1.0).masked_fill(&level.eq(255.0), f64::INFINITY);
    let lower = end(-1.0).masked_fill(&level.eq(0.0), f64::NEG_INFINITY);
    let mirror = x0.gt_tensor(&mean);
    let (a, b) = (lower.where_self(&mirror.logical_not(), &-&upper), upper.where_self(&mirror.logical_not(), &-&lower));
    let (log_a, log_b) = (a.special_log_ndtr(), b.special_log_ndtr());
    Ok(sum_over_sample(&(&log_b + (-(log_a - &log_b).exp()).log1p())))
}

/// Σ c_i x_i: each c_i has a number for each sample, each x_i has the shape of the first one.
///
/// The coefficients are rounded to the kind of the tensors here, once.
pub(super) fn sum_of<const TERMS: usize>(
    steps: &Steps,
    terms: [(&Tensor, &'static str, &Tensor); TERMS],
) -> Result<Tensor> {
    let (_, first_name, first) = terms[0];
    steps.fit(first_name, first)?;
    let mut sum: Option<Tensor> = None;
    for (coefficient, name, x) in terms {
        same_shape(name, first, x)?;
        has_kind(name, first.kind(), x)?;
        let mut columns = vec![1; x.dim()];
        columns[0] = length(steps.samples());
        let term = coefficient.to_kind(x.kind()).to_device(x.device()).view(columns.as_slice()) * x;
        sum = Some(sum.map_or_else(|| term.shallow_clone(), |sum| sum + &term));
    }
    Ok(sum.unwrap_or_else(|| first.zeros_like()))
}

/// ‖a − b‖² of each sample: N numbers in `f64`, where the coefficients are.
fn squared_distance(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same_shape("the second mean", a, b)?;
    Ok(square_norm(&(a.to_kind(Kind::Double) - b.to_kind(Kind::Double))))
}

/// ‖x‖² of each sample: N numbers in `f64`, where the coefficients are.
fn square_norm(x: &Tensor) -> Tensor {
    sum_over_sample(&x.to_kind(Kind::Double).square()).to_device(Device::Cpu)
}

/// Sums over all dimensions but the first.
fn sum_over_sample(x: &Tensor) -> Tensor {
    let rest: Vec<i64> = (1..length(x.dim())).collect();
    if rest.is_empty() { x.shallow_clone() } else { x.sum_dim_intlist(rest.as_slice(), false, None) }
}

/// How many numbers a sample has.
fn dimensions(x: &Tensor) -> f64 {
    x.size().iter().skip(1).product::<i64>() as f64
}
