//! The score and the flow, by automatic differentiation: a score is the gradient of a log-density, a drift the gradient of a
//! potential, and a divergence the sum of second derivatives.
//!
//! Nearly every function has the slug of its equation for a name. Everything is `f64`; a log-density is a closure from points (N, d)
//! to N numbers, through which libtorch can differentiate.

use std::f64::consts::TAU;

use tch::{Kind, Tensor};

use super::diffusion::{ddim_step, log_density, posterior_mean, sum_of, x0_from_eps};
use super::schedule::Steps;
use super::{has_shape, same_shape};
use crate::error::{Error, Result};

/// −ε/√(1 − ᾱ_t). Source: Dhariwal, Nichol 2021, eq. 11.
pub fn score_from_eps(eps: &Tensor, steps: &Steps) -> Result<Tensor> {
    sum_of(steps, [(&-steps.one_minus_alpha_bar.rsqrt(), "eps", eps)])
}

/// −√(1 − ᾱ_t) times the score.
pub fn eps_from_score(score: &Tensor, steps: &Steps) -> Result<Tensor> {
    sum_of(steps, [(&-steps.one_minus_alpha_bar.sqrt(), "score", score)])
}

/// The x_0 that a score implies: by way of the noise. Fails with [`Error::ZeroSnr`] where ᾱ_t = 0.
pub fn x0_from_score(xt: &Tensor, steps: &Steps, score: &Tensor) -> Result<Tensor> {
    x0_from_eps(xt, steps, &eps_from_score(score, steps)?)
}

/// ∇ ln q(x_t | x_0): the gradient of the log-density of N(√ᾱ_t x_0, 1 − ᾱ_t), in `f64`.
pub fn conditional_score(x0: &Tensor, xt: &Tensor, steps: &Steps) -> Result<Tensor> {
    let mean = sum_of(steps, [(&steps.alpha_bar.sqrt(), "x0", x0)])?;
    same_shape("xt", x0, xt)?;
    let xt = xt.detach().to_kind(Kind::Double).set_requires_grad(true);
    let log_q = log_density(&xt, &mean, &steps.one_minus_alpha_bar)?;
    Ok(gradient(&log_q, &xt, false))
}

/// The mean of an ancestral step: μ̃_t of the x_0 that the score implies. Fails with [`Error::ZeroSnr`] where ᾱ_t = 0.
pub fn ancestral_mean_from_score(xt: &Tensor, steps: &Steps, score: &Tensor) -> Result<Tensor> {
    posterior_mean(&x0_from_score(xt, steps, score)?, xt, steps)
}

/// DDIM without noise, from x_t and ε. Fails with [`Error::ZeroSnr`] where ᾱ_t = 0.
pub fn ddim_as_euler(xt: &Tensor, steps: &Steps, eps: &Tensor) -> Result<Tensor> {
    ddim_step(&x0_from_eps(xt, steps, eps)?, eps, steps, 0.0, &eps.zeros_like())
}

/// (1 − ᾱ_t) times the mean square of s_θ − ∇ ln q(x_t | x_0), of each sample: by way of the noise that both imply.
pub fn l_simple_by_score(conditional_score: &Tensor, score_theta: &Tensor, steps: &Steps) -> Result<Tensor> {
    super::diffusion::l_simple(&eps_from_score(conditional_score, steps)?, &eps_from_score(score_theta, steps)?)
}

/// The rate β(τ): a mean of both ends, weighed by the distance from the other. Source: Song et al. 2021, eq. 32.
pub fn rate(beta_start: f64, beta_end: f64, tau: &Tensor) -> Tensor {
    tau * beta_end + (-tau + 1.0) * beta_start
}

/// ᾱ(τ): the exponential of minus the integral of the rate, which is a polynomial of τ. Source: Song et al. 2021, eq. 29.
pub fn alpha_bar_at(beta_start: f64, beta_end: f64, tau: &Tensor) -> Tensor {
    (-(tau * beta_start + tau.square() * (0.5 * (beta_end - beta_start)))).exp()
}

/// The drift of the forward process: the gradient of −¼ β ‖x‖².
pub fn forward_drift(x: &Tensor, beta: f64) -> Tensor {
    gradient_of(x, |x| x.square().sum(Kind::Double) * (-0.25 * beta))
}

/// The drift of the reverse process, where ln q has this score: the gradient of −β (¼ ‖x‖² + ln q).
pub fn reverse_drift(x: &Tensor, beta: f64, score: &Tensor) -> Tensor {
    gradient_of(x, |x| (x.square() * 0.25 + score * x).sum(Kind::Double) * -beta)
}

/// The velocity of the flow, where ln q has this score: the gradient of −½ β (½ ‖x‖² + ln q).
pub fn flow_drift(x: &Tensor, beta: f64, score: &Tensor) -> Tensor {
    gradient_of(x, |x| (x.square() * 0.5 + score * x).sum(Kind::Double) * (-0.5 * beta))
}

/// The gradient of a log-density at each point.
pub fn score(log_density: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    gradient_of(x, |x| log_density(x).sum(Kind::Double))
}

/// The gradient of a log-density, and the sum of its second derivatives, by one more backward pass for each dimension.
pub fn score_and_divergence(log_density: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> (Tensor, Tensor) {
    let x = x.detach().set_requires_grad(true);
    let score = gradient(&log_density(&x), &x, true);
    let mut divergence = Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
    for i in 0..x.size()[1] {
        divergence += gradient(&score.select(1, i), &x, true).select(1, i);
    }
    (score.detach(), divergence.detach())
}

/// zᵀ J z of each sample, J the Jacobian of the score: one backward pass of s·z gives J z. Source: Grathwohl et al. 2019.
pub fn hutchinson(log_density: impl Fn(&Tensor) -> Tensor, x: &Tensor, z: &Tensor) -> Tensor {
    let x = x.detach().set_requires_grad(true);
    let score = gradient(&log_density(&x), &x, true);
    let jz = gradient(&(score * z), &x, false);
    (jz * z).sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
}

/// The variance of zᵀ J z: 2 tr(S²), S the symmetric part of J, for signs without its diagonal.
pub fn hutchinson_variance(jacobian: &Tensor, signs: bool) -> f64 {
    let symmetric = (jacobian + jacobian.tr()) * 0.5;
    let counted = if signs { &symmetric - symmetric.diag(0).diag(0) } else { symmetric };
    2.0 * counted.matmul(&counted).trace().double_value(&[])
}

/// A mixture of Gaussians with one variance for each dimension: data whose density is known at every time.
#[derive(Debug)]
pub struct Mixture {
    log_weights: Tensor,
    means: Tensor,
    variance: Tensor,
}

impl Mixture {
    /// From weights (K) that add up to 1, means (K, d) and variances (d), all in `f64`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where the shapes do not fit
    pub fn new(weights: &Tensor, means: &Tensor, variance: &Tensor) -> Result<Self> {
        if means.dim() != 2 {
            return Err(Error::ShapeMismatch {
                name: "means",
                expected: super::lengths(&[weights.size()[0], variance.size()[0]]),
                got: super::lengths(&means.size()),
            });
        }
        has_shape("weights", &[means.size()[0]], weights)?;
        has_shape("variance", &[means.size()[1]], variance)?;
        Ok(Self { log_weights: weights.log(), means: means.shallow_clone(), variance: variance.shallow_clone() })
    }

    /// ln q_τ(x) of each sample, for one ᾱ(τ) or for one each.
    pub fn log_density(&self, x: &Tensor, alpha_bar: &Tensor) -> Tensor {
        let alpha_bar = alpha_bar.view([-1, 1]);
        let variance = &alpha_bar * &self.variance + (-&alpha_bar + 1.0);
        let off = x.unsqueeze(1) - alpha_bar.sqrt().unsqueeze(1) * &self.means;
        let last = [-1i64];
        let exponents = (off.square() / variance.unsqueeze(1)).sum_dim_intlist(last.as_slice(), false, Kind::Double);
        let normaliser = (variance * TAU).log().sum_dim_intlist(last.as_slice(), false, Kind::Double);
        (exponents * -0.5 + &self.log_weights).logsumexp([1i64].as_slice(), false) - normaliser * 0.5
    }

    /// ∂/∂τ ln q_τ(x) of each sample, differentiated as it stands: no equation of motion is used.
    pub fn log_density_rate(&self, x: &Tensor, beta_start: f64, beta_end: f64, tau: f64) -> Tensor {
        let tau = Tensor::full([x.size()[0]], tau, (Kind::Double, x.device())).set_requires_grad(true);
        gradient(&self.log_density(x, &alpha_bar_at(beta_start, beta_end, &tau)), &tau, false)
    }

    /// Points at τ = 1 and ln p of each at τ = 0, by Heun's method along the flow. Source: Song et al. 2021, eq. 39.
    pub fn flow_log_likelihood(&self, x0: &Tensor, beta_start: f64, beta_end: f64, steps: usize) -> (Tensor, Tensor) {
        let h = 1.0 / steps as f64;
        let velocity = |x: &Tensor, tau: f64| {
            let tau = Tensor::from(tau).to_device(x.device());
            let beta = rate(beta_start, beta_end, &tau).double_value(&[]);
            let alpha_bar = alpha_bar_at(beta_start, beta_end, &tau);
            let (score, divergence) = score_and_divergence(|x| self.log_density(x, &alpha_bar), x);
            (flow_drift(x, beta, &score), (divergence + x.size()[1] as f64) * (-0.5 * beta))
        };
        let (mut x, mut grown) = (x0.shallow_clone(), Tensor::zeros([x0.size()[0]], (Kind::Double, x0.device())));
        for k in 0..steps {
            let tau = k as f64 * h;
            let (v, divergence) = velocity(&x, tau);
            let (v_next, divergence_next) = velocity(&(&x + &v * h), (tau + h).min(1.0));
            x += (v + v_next) * (0.5 * h);
            grown += (divergence + divergence_next) * (0.5 * h);
        }
        let log_normal = (x.square() + TAU.ln()).sum_dim_intlist([1i64].as_slice(), false, Kind::Double) * -0.5;
        (x, log_normal + grown)
    }
}

/// The gradient at x of a number made of it.
fn gradient_of(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let x = x.detach().set_requires_grad(true);
    gradient(&f(&x), &x, false)
}

/// The gradient of the sum of `y` by x, itself to be differentiated where `again`.
fn gradient(y: &Tensor, x: &Tensor, again: bool) -> Tensor {
    Tensor::run_backward(&[y.sum(Kind::Double)], &[x], again, again).remove(0)
}
