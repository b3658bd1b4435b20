//! What we need of Gaussians: density, noise as an input, sums, products, conditioning, KL, entropy and Jensen's gap.
//!
//! N(x; μ, σ²I) is the isotropic Gaussian: every dimension on its own, with its own mean and the one variance σ².
//! A variance is always given as the variance σ², never as the standard deviation σ. Where one number is enough, a
//! Gaussian is the pair (mean, variance).

use std::f64::consts::TAU;

use ndarray::{Array, ArrayRef, Dimension, Zip};

use crate::error::{Error, Result, finite, not_negative, positive, same_shape};

/// The density of the scalar Gaussian.
///
/// # Formula
/// N(x; μ, σ²) = exp(−(x − μ)² / (2σ²)) / √(2πσ²)                      (slug `density`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number above 0
/// # Source
/// Bishop 2006, eq. 1.46
/// # Examples
/// ```
/// use literate_diffusion::gaussian::density;
/// let peak = density(3.0, 3.0, 4.0)?;
/// assert!((peak - 0.19947114020071635).abs() < 1e-16); // 1 / (2 √(2π))
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "pdf")]
// ANCHOR: density
pub fn density(x: f64, mean: f64, variance: f64) -> Result<f64> {
    positive("variance", variance)?;
    let sigma = variance.sqrt();
    let z = (x - mean) / sigma;
    Ok((-0.5 * z * z).exp() / (TAU.sqrt() * sigma))
}
// ANCHOR_END: density

/// The logarithm of the density of an isotropic Gaussian, summed over its d dimensions.
///
/// # Formula
/// ln N(x; μ, σ²I) = −½ Σ_i (x_i − μ_i)² / σ² − (d/2) ln(2πσ²)                      (slug `log_density`)
/// # Shapes
/// `x`, `mean`: any, equal; result: one number (0 where the arrays are empty)
/// # Errors
/// [`Error::ShapeMismatch`] where `x` and `mean` differ in shape; [`Error::OutOfRange`] unless `variance` is a finite
/// number above 0
/// # Source
/// Bishop 2006, eq. 2.43, with Σ = σ²I
/// # Examples
/// ```
/// use literate_diffusion::gaussian::log_density;
/// use ndarray::array;
/// let at_mean = log_density(&array![1.0, 2.0], &array![1.0, 2.0], 1.0)?;
/// assert!((at_mean + (2.0 * std::f64::consts::PI).ln()).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "log_prob")]
// ANCHOR: log_density
pub fn log_density<D: Dimension>(x: &ArrayRef<f64, D>, mean: &ArrayRef<f64, D>, variance: f64) -> Result<f64> {
    same_shape("mean", x, mean)?;
    positive("variance", variance)?;
    Ok(-0.5 * (squares(x, mean, variance) + x.len() as f64 * ln_tau_times(variance)))
}
// ANCHOR_END: log_density

/// Draws from N(μ, σ²I), given a draw ε from N(0, I).
///
/// The noise does not depend on μ and σ, so that the draw is a smooth function of both, and gradients pass through it.
///
/// # Formula
/// x = μ + σ · ε                      (slug `reparameterise`)
/// # Shapes
/// `mean`, `eps`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where `mean` and `eps` differ in shape; [`Error::OutOfRange`] unless `variance` is a finite
/// number, 0 or above
/// # Source
/// Kingma, Welling 2014, section 2.4
/// # Examples
/// ```
/// use literate_diffusion::gaussian::reparameterise;
/// use ndarray::array;
/// assert_eq!(reparameterise(&array![1.0, 2.0], 9.0, &array![0.5, -1.0])?, array![2.5, -1.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "rsample")]
// ANCHOR: reparameterise
pub fn reparameterise<D: Dimension>(
    mean: &ArrayRef<f64, D>,
    variance: f64,
    eps: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("eps", mean, eps)?;
    not_negative("variance", variance)?;
    let sigma = variance.sqrt();
    Ok(Zip::from(mean).and(eps).map_collect(|&mean, &eps| mean + sigma * eps))
}
// ANCHOR_END: reparameterise

/// The two parts of a gradient, by μ and by σ, with one estimate a draw.
pub type PerDraw<D> = (Array<f64, D>, Array<f64, D>);

/// The gradient of E f(μ + σε) by μ and by σ, estimated from each draw by the slope of f.
///
/// It is the chain rule, draw by draw: ∂x/∂μ = 1 and ∂x/∂σ = ε.
///
/// # Formula
/// ∂/∂μ E f(μ + σε) = E[f′(x)],  ∂/∂σ E f(μ + σε) = E[f′(x) · ε]                      (slug `pathwise_gradient`)
/// # Shapes
/// `slope` (f′ at each draw x = μ + σε), `eps`, both results: any, all equal; the estimate is the mean over the draws
/// # Errors
/// [`Error::ShapeMismatch`] where `slope` and `eps` differ in shape
/// # Source
/// Kingma, Welling 2014, section 2.4
/// # Examples
/// ```
/// use literate_diffusion::gaussian::pathwise_gradient;
/// use ndarray::array;
/// let (by_mu, by_sigma) = pathwise_gradient(&array![3.0, 3.0], &array![0.5, -0.5])?; // f(x) = 3x
/// assert_eq!((by_mu, by_sigma), (array![3.0, 3.0], array![1.5, -1.5]));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: pathwise_gradient
pub fn pathwise_gradient<D: Dimension>(slope: &ArrayRef<f64, D>, eps: &ArrayRef<f64, D>) -> Result<PerDraw<D>> {
    same_shape("eps", slope, eps)?;
    Ok((slope.to_owned(), slope * eps))
}
// ANCHOR_END: pathwise_gradient

/// The gradient of E f(μ + σε) by μ and by σ, estimated from each draw by the value of f alone.
///
/// It differentiates the density instead of the draw, ∂N/∂θ = N · ∂ ln N/∂θ. It needs no slope of f, and pays for that
/// with a variance that grows without bound as σ shrinks, unless f(μ) = 0.
///
/// # Formula
/// ∂/∂μ E f(μ + σε) = E[f(x) · ε/σ],  ∂/∂σ E f(μ + σε) = E[f(x) · (ε² − 1)/σ]        (slug `score_function_gradient`)
/// # Shapes
/// `value` (f at each draw x = μ + σε), `eps`, both results: any, all equal; the estimate is the mean over the draws
/// # Errors
/// [`Error::ShapeMismatch`] where `value` and `eps` differ in shape; [`Error::OutOfRange`] unless `variance` is a finite
/// number above 0
/// # Source
/// Williams 1992, section 6 (for any law: section 4)
/// # Examples
/// ```
/// use literate_diffusion::gaussian::score_function_gradient;
/// use ndarray::array;
/// let (by_mu, by_sigma) = score_function_gradient(&array![6.0], 4.0, &array![2.0])?;
/// assert_eq!((by_mu, by_sigma), (array![6.0], array![9.0]));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "REINFORCE")]
// ANCHOR: score_function_gradient
pub fn score_function_gradient<D: Dimension>(
    value: &ArrayRef<f64, D>,
    variance: f64,
    eps: &ArrayRef<f64, D>,
) -> Result<PerDraw<D>> {
    same_shape("eps", value, eps)?;
    positive("variance", variance)?;
    let sigma = variance.sqrt();
    let by_mu = Zip::from(value).and(eps).map_collect(|&f, &eps| f * eps / sigma);
    let by_sigma = Zip::from(value).and(eps).map_collect(|&f, &eps| f * (eps * eps - 1.0) / sigma);
    Ok((by_mu, by_sigma))
}
// ANCHOR_END: score_function_gradient

/// The mean and variance of a·x + b for x from a Gaussian.
///
/// # Formula
/// x ~ N(μ, σ²)  ⇒  a·x + b ~ N(a·μ + b, a²σ²)                      (slug `affine`)
/// # Errors
/// [`Error::OutOfRange`] unless the variance is a finite number, 0 or above
/// # Source
/// Bishop 2006, eq. 2.115, with nothing added
/// # Examples
/// ```
/// use literate_diffusion::gaussian::affine;
/// assert_eq!(affine((1.0, 4.0), -3.0, 0.5)?, (-2.5, 36.0));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: affine
pub fn affine((mean, variance): (f64, f64), a: f64, b: f64) -> Result<(f64, f64)> {
    not_negative("variance", variance)?;
    Ok((a * mean + b, a * a * variance))
}
// ANCHOR_END: affine

/// The mean and variance of the sum of two independent Gaussian draws.
///
/// # Formula
/// x ~ N(μ_1, σ_1²), y ~ N(μ_2, σ_2²)  ⇒  x + y ~ N(μ_1 + μ_2, σ_1² + σ_2²)                      (slug `sum_of_gaussians`)
/// # Errors
/// [`Error::OutOfRange`] unless both variances are finite numbers, 0 or above
/// # Source
/// Bishop 2006, eq. 2.115
/// # Examples
/// ```
/// use literate_diffusion::gaussian::sum_of_gaussians;
/// assert_eq!(sum_of_gaussians((1.0, 9.0), (2.0, 16.0))?, (3.0, 25.0)); // σ: 3 and 4 make 5
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: sum_of_gaussians
pub fn sum_of_gaussians((mean_1, variance_1): (f64, f64), (mean_2, variance_2): (f64, f64)) -> Result<(f64, f64)> {
    not_negative("variance_1", variance_1)?;
    not_negative("variance_2", variance_2)?;
    Ok((mean_1 + mean_2, variance_1 + variance_2))
}
// ANCHOR_END: sum_of_gaussians

/// Reads mean, variance and what is left over from the exponent of a Gaussian.
///
/// # Formula
/// −½ a x² + b x = −(x − μ)² / (2σ²) + c,  μ = b/a, σ² = 1/a, c = b²/(2a)                      (slug `complete_square`)
/// # Shapes
/// result: (μ, σ², c)
/// # Errors
/// [`Error::OutOfRange`] unless `a` is a finite number above 0: the parabola must open downwards
/// # Source
/// Bishop 2006, section 2.3.1, eq. 2.71
/// # Examples
/// ```
/// use literate_diffusion::gaussian::complete_square;
/// assert_eq!(complete_square(2.0, 6.0)?, (3.0, 0.5, 9.0)); // −x² + 6x = −(x − 3)² + 9
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: complete_square
pub fn complete_square(a: f64, b: f64) -> Result<(f64, f64, f64)> {
    positive("a", a)?;
    let mean = b / a;
    Ok((mean, 1.0 / a, 0.5 * b * mean))
}
// ANCHOR_END: complete_square

/// The mean and variance of the Gaussian that the product of two Gaussian densities of one x is proportional to.
///
/// Precisions (1/σ²) add. Each mean is weighted by its own precision, which is the same as by the other's variance.
///
/// # Formula
/// N(x; μ_1, σ_1²) · N(x; μ_2, σ_2²) ∝ N(x; μ, σ²),
/// 1/σ² = 1/σ_1² + 1/σ_2²,  μ = σ² (μ_1/σ_1² + μ_2/σ_2²)                      (slug `product_of_gaussians`)
/// # Errors
/// [`Error::OutOfRange`] unless both variances are finite numbers above 0
/// # Source
/// Bishop 2006, eq. 2.141 and 2.142, for one observation
/// # Examples
/// ```
/// use literate_diffusion::gaussian::product_of_gaussians;
/// assert_eq!(product_of_gaussians((0.0, 3.0), (4.0, 1.0))?, (3.0, 0.75)); // nearer to the surer one
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: product_of_gaussians
pub fn product_of_gaussians((mean_1, variance_1): (f64, f64), (mean_2, variance_2): (f64, f64)) -> Result<(f64, f64)> {
    positive("variance_1", variance_1)?;
    positive("variance_2", variance_2)?;
    let weight_1 = 1.0 / (1.0 + variance_1 / variance_2);
    let weight_2 = 1.0 / (1.0 + variance_2 / variance_1);
    // The two products are equal, but where one Gaussian is much wider its weight may be rounded to 0.
    Ok((weight_1 * mean_1 + weight_2 * mean_2, (weight_1 * variance_1).max(weight_2 * variance_2)))
}
// ANCHOR_END: product_of_gaussians

/// The logarithm of the factor between the product of two Gaussian densities and the Gaussian that it is proportional to.
///
/// It is the density of finding the two means as far apart as they are.
///
/// # Formula
/// ln ∫ N(x; μ_1, σ_1²) · N(x; μ_2, σ_2²) dx = ln N(μ_1; μ_2, σ_1² + σ_2²)                 (slug `log_product_normaliser`)
/// # Errors
/// [`Error::OutOfRange`] unless both variances are finite numbers above 0
/// # Source
/// Bishop 2006, eq. 2.115
/// # Examples
/// ```
/// use literate_diffusion::gaussian::{density, log_product_normaliser};
/// let factor = log_product_normaliser((0.0, 3.0), (4.0, 1.0))?.exp();
/// assert!((factor - density(0.0, 4.0, 4.0)?).abs() < 1e-16);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: log_product_normaliser
pub fn log_product_normaliser((mean_1, variance_1): (f64, f64), (mean_2, variance_2): (f64, f64)) -> Result<f64> {
    positive("variance_1", variance_1)?;
    positive("variance_2", variance_2)?;
    let variance = variance_1 + variance_2;
    let z = (mean_1 - mean_2) / variance.sqrt();
    Ok(-0.5 * (z * z + ln_tau_times(variance)))
}
// ANCHOR_END: log_product_normaliser

/// The mean and variance of x once y = a·x + noise has been seen: Bayes' rule for Gaussians.
///
/// # Formula
/// x ~ N(m, v), y | x ~ N(a·x, s)  ⇒  x | y ~ N(μ, σ²),
/// 1/σ² = 1/v + a²/s,  μ = σ² (m/v + a·y/s)                      (slug `condition_gaussian`)
/// # Errors
/// [`Error::OutOfRange`] unless the variance v and `noise_variance` (s) are finite numbers above 0, and a²v + s is finite
/// # Source
/// Bishop 2006, eq. 2.116 and 2.117
/// # Examples
/// ```
/// use literate_diffusion::gaussian::condition_gaussian;
/// assert_eq!(condition_gaussian((0.0, 1.0), 2.0, 4.0, 6.0)?, (1.5, 0.5));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: condition_gaussian
pub fn condition_gaussian((mean, variance): (f64, f64), a: f64, noise_variance: f64, y: f64) -> Result<(f64, f64)> {
    positive("variance", variance)?;
    positive("noise_variance", noise_variance)?;
    let variance_of_y = a * a * variance + noise_variance;
    finite("the variance of y", variance_of_y)?;
    let weight_of_prior = noise_variance / variance_of_y;
    let weight_of_y = a * variance / variance_of_y;
    Ok((weight_of_prior * mean + weight_of_y * y, weight_of_prior * variance))
}
// ANCHOR_END: condition_gaussian

/// The Kullback–Leibler divergence of two scalar Gaussians, in nats.
///
/// # Formula
/// KL(N(μ_q, σ_q²) ‖ N(μ_p, σ_p²)) = ½ [σ_q²/σ_p² − 1 − ln(σ_q²/σ_p²) + (μ_q − μ_p)²/σ_p²]                 (slug `kl_scalar`)
/// # Errors
/// [`Error::OutOfRange`] unless both variances are finite numbers above 0
/// # Source
/// Kingma, Welling 2014, appendix B (there p = N(0, I))
/// # Examples
/// ```
/// use literate_diffusion::gaussian::kl_scalar;
/// assert_eq!(kl_scalar(3.0, 4.0, 1.0, 4.0)?, 0.5); // equal variances: half of the squared distance in units of σ
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: kl_scalar
pub fn kl_scalar(mean_q: f64, variance_q: f64, mean_p: f64, variance_p: f64) -> Result<f64> {
    positive("variance_q", variance_q)?;
    positive("variance_p", variance_p)?;
    let z = (mean_q - mean_p) / variance_p.sqrt();
    Ok(0.5 * (ratio_excess(variance_q, variance_p) + z * z))
}
// ANCHOR_END: kl_scalar

/// The Kullback–Leibler divergence of two isotropic Gaussians, in nats, summed over their d dimensions.
///
/// # Formula
/// KL(N(μ_q, σ_q²I) ‖ N(μ_p, σ_p²I)) = ½ [d (σ_q²/σ_p² − 1 − ln(σ_q²/σ_p²)) + |μ_q − μ_p|²/σ_p²]        (slug `kl_isotropic`)
/// # Shapes
/// `mean_q`, `mean_p`: any, equal; result: one number (0 where the arrays are empty)
/// # Errors
/// [`Error::ShapeMismatch`] where the means differ in shape; [`Error::OutOfRange`] unless both variances are finite
/// numbers above 0
/// # Source
/// Kingma, Welling 2014, appendix B (there p = N(0, I))
/// # Examples
/// ```
/// use literate_diffusion::gaussian::kl_isotropic;
/// use ndarray::array;
/// assert_eq!(kl_isotropic(&array![3.0, 1.0], 4.0, &array![1.0, 5.0], 4.0)?, 2.5);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "normal_kl")]
// ANCHOR: kl_isotropic
pub fn kl_isotropic<D: Dimension>(
    mean_q: &ArrayRef<f64, D>,
    variance_q: f64,
    mean_p: &ArrayRef<f64, D>,
    variance_p: f64,
) -> Result<f64> {
    same_shape("mean_p", mean_q, mean_p)?;
    positive("variance_q", variance_q)?;
    positive("variance_p", variance_p)?;
    let dimensions = mean_q.len() as f64;
    Ok(0.5 * (dimensions * ratio_excess(variance_q, variance_p) + squares(mean_q, mean_p, variance_p)))
}
// ANCHOR_END: kl_isotropic

/// The differential entropy of an isotropic Gaussian in d dimensions, in nats.
///
/// # Formula
/// H(N(μ, σ²I)) = (d/2) ln(2πeσ²)                      (slug `entropy`)
/// # Errors
/// [`Error::OutOfRange`] unless `variance` is a finite number above 0
/// # Source
/// Cover, Thomas 2006, theorem 8.4.1
/// # Examples
/// ```
/// use literate_diffusion::gaussian::entropy;
/// assert!((entropy(1.0, 2)? - 2.8378770664093453).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: entropy
pub fn entropy(variance: f64, dimensions: usize) -> Result<f64> {
    positive("variance", variance)?;
    Ok(0.5 * dimensions as f64 * (1.0 + ln_tau_times(variance)))
}
// ANCHOR_END: entropy

/// How much the logarithm of a mean exceeds the mean of the logarithms: Jensen's inequality says that it is never below 0.
///
/// With m = E v, the terms v/m − 1 have mean 0. So the gap is the mean of v/m − 1 − ln(v/m), where no term is negative:
/// a straight line that touches ln lies above it. In this form nothing cancels.
///
/// # Formula
/// ln E v − E ln v ≥ 0,  E v = Σ_i w_i v_i / Σ_i w_i                      (slug `jensen_gap`)
/// # Shapes
/// `weights`, `values`: any, equal; the weights need not add up to 1
/// # Errors
/// [`Error::Empty`] where there are no values; [`Error::ShapeMismatch`] where `weights` and `values` differ in shape;
/// [`Error::OutOfRange`] unless the weights are finite numbers, 0 or above, with a sum above 0, and the values are finite
/// numbers above 0
/// # Source
/// Jensen 1906; Cover, Thomas 2006, theorem 2.6.2
/// # Examples
/// ```
/// use literate_diffusion::gaussian::jensen_gap;
/// use ndarray::array;
/// let gap = jensen_gap(&array![0.5, 0.5], &array![1.0, 3.0])?;
/// assert!((gap - (2.0_f64.ln() - 0.5 * 3.0_f64.ln())).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: jensen_gap
pub fn jensen_gap<D: Dimension>(weights: &ArrayRef<f64, D>, values: &ArrayRef<f64, D>) -> Result<f64> {
    if values.is_empty() {
        return Err(Error::Empty { name: "values" });
    }
    same_shape("weights", values, weights)?;
    weights.iter().try_for_each(|&weight| not_negative("weights", weight))?;
    values.iter().try_for_each(|&value| positive("values", value))?;
    let total = weights.sum();
    positive("the sum of the weights", total)?;
    let expectation = |f: &dyn Fn(f64) -> f64| {
        Zip::from(weights).and(values).fold(0.0, |sum, &weight, &value| sum + weight / total * f(value))
    };
    let mean = expectation(&|value| value);
    Ok(expectation(&|value| ratio_excess(value, mean)))
}
// ANCHOR_END: jensen_gap

/// Σ (x − y)² / σ².
fn squares<D: Dimension>(x: &ArrayRef<f64, D>, y: &ArrayRef<f64, D>, variance: f64) -> f64 {
    let sigma = variance.sqrt();
    Zip::from(x).and(y).fold(0.0, |sum, &x, &y| sum + ((x - y) / sigma).powi(2))
}

/// ln(2πσ²).
fn ln_tau_times(variance: f64) -> f64 {
    TAU.ln() + variance.ln()
}

/// r − 1 − ln r for r = a/b, to full relative accuracy; 0 where a = b and positive elsewhere.
///
/// Near r = 1 the three terms cancel. There ln r = 2 artanh s with s = (r − 1)/(r + 1), and with its series
/// ln r = 2 (s + s³/3 + s⁵/5 + …) what is left is (r − 1) s − 2 s³ (1/3 + s²/5 + s⁴/7 + …).
pub(crate) fn ratio_excess(a: f64, b: f64) -> f64 {
    let above_one = (a - b) / b;
    if above_one.abs() > 0.25 {
        // The roots keep a/b from underflowing.
        return above_one - 2.0 * (a.sqrt() / b.sqrt()).ln();
    }
    let s = above_one / (above_one + 2.0);
    let series: f64 = (0..8).map(|k| s.powi(2 * k) / f64::from(2 * k + 3)).sum();
    above_one * s - 2.0 * s.powi(3) * series
}
