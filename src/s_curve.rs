//! The two-dimensional toy: the S-curve, and the exact answer to everything that a network learns about it.
//!
//! A point of the S-curve is a place on a curve plus Gaussian noise. Given the place u, x_t is Gaussian too, and u is one
//! number. So the density of x_t is an integral over one dimension. Gauss–Legendre quadrature makes a sum of it: a
//! mixture of Gaussians, the [`Marginal`], from which the score, the best possible ε_θ and its loss follow.

use std::f64::consts::{PI, TAU};

use ndarray::{Array1, Array2, Array3, ArrayRef2, ArrayView1};
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;

use crate::error::{Error, Result};
use crate::paper;
use crate::schedule::{Schedule, Step};

/// u runs from −3π/2 to 3π/2.
const HALF_RANGE: f64 = 1.5 * PI;

/// The place u of the S-curve, without noise: two three-quarter circles of radius 1 that meet at the origin.
///
/// # Formula
/// c(u) = (sin u, sign(u) · (cos u − 1)), −3π/2 ≤ u ≤ 3π/2                      (slug `curve_point`)
/// # Source
/// scikit-learn, `make_s_curve`, the first and the last coordinate
/// # Examples
/// ```
/// use literate_diffusion::s_curve::curve_point;
/// assert_eq!(curve_point(0.0), [0.0, 0.0]);
/// assert_eq!(curve_point(std::f64::consts::FRAC_PI_2)[0], 1.0);
/// assert_eq!(curve_point(-std::f64::consts::PI)[1], 2.0);
/// ```
#[doc(alias = "make_s_curve")]
// ANCHOR: curve_point
pub fn curve_point(u: f64) -> [f64; 2] {
    [u.sin(), u.signum() * (u.cos() - 1.0)]
}
// ANCHOR_END: curve_point

/// The standard deviations of the two coordinates of the S-curve, over all of its points and not over a sample of them.
///
/// Over the range of u, the mean of sin² and of cos² is ½ and the mean of cos is −2/(3π). So the mean of (cos u − 1)² is
/// ½ + 4/(3π) + 1. The mean of each coordinate is 0, since c(−u) = −c(u).
///
/// # Formula
/// (√(1/2 + σ²), √(3/2 + 4/(3π) + σ²)), σ the standard deviation of the noise                      (slug `population_std`)
/// # Source
/// Derived here
/// # Examples
/// ```
/// let [x, z] = literate_diffusion::s_curve::population_std(0.1);
/// assert!((x - 0.714).abs() < 1e-3 && (z - 1.391).abs() < 1e-3);
/// ```
// ANCHOR: population_std
pub fn population_std(noise: f64) -> [f64; 2] {
    let variance = [0.5, 1.5 + 4.0 / (3.0 * PI)];
    variance.map(|variance| (variance + noise * noise).sqrt())
}
// ANCHOR_END: population_std

/// The law of the data: the S-curve with noise, each coordinate divided by a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SCurve {
    noise: f64,
    scale: [f64; 2],
}

impl SCurve {
    /// Any noise (a standard deviation, before the division) and any scale.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `noise` is between 0.01 (the quadrature is made for that) and 1e50, and each scale
    /// between 1e-100 and 1e100 (so that all squares are numbers)
    /// # Examples
    /// ```
    /// use literate_diffusion::s_curve::SCurve;
    /// assert!(SCurve::new(0.2, [1.0, 1.0]).is_ok());
    /// assert!(SCurve::new(0.0, [1.0, 1.0]).is_err());
    /// ```
    pub fn new(noise: f64, scale: [f64; 2]) -> Result<Self> {
        if !(0.01..=1e50).contains(&noise) {
            return Err(Error::OutOfRange { name: "noise", expected: "between 0.01 and 1e50", got: noise });
        }
        if let Some(&got) = scale.iter().find(|scale| !(1e-100..=1e100).contains(*scale)) {
            return Err(Error::OutOfRange { name: "scale", expected: "between 1e-100 and 1e100", got });
        }
        Ok(Self { noise, scale })
    }

    /// The preset of this book: each coordinate has mean 0 and standard deviation 1.
    pub fn sound() -> Self {
        Self { noise: paper::S_CURVE_NOISE, scale: population_std(paper::S_CURVE_NOISE) }
    }

    /// The preset of the widespread notebook: both coordinates divided by 10.
    pub fn classic() -> Self {
        Self { noise: paper::S_CURVE_NOISE, scale: [paper::CLASSIC_SCALE; 2] }
    }

    /// The standard deviation of the noise, before the division.
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// What each coordinate is divided by.
    pub fn scale(&self) -> [f64; 2] {
        self.scale
    }

    /// Draws points of the data.
    ///
    /// # Formula
    /// x_0 = (c(u) + σ η) / s, u uniform in [−3π/2, 3π/2), η ~ N(0, I), s the scale                      (slug `points`)
    /// # Shapes
    /// result: (`count`, 2), one point a row
    /// # Source
    /// scikit-learn, `make_s_curve`
    /// # Examples
    /// ```
    /// use literate_diffusion::s_curve::SCurve;
    /// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    /// let x0 = SCurve::sound().points(1000, &mut ChaCha8Rng::seed_from_u64(0));
    /// assert_eq!(x0.shape(), [1000, 2]);
    /// ```
    // ANCHOR: points
    pub fn points(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        let mut points = Array2::zeros((count, 2));
        for mut point in points.rows_mut() {
            let place = curve_point(rng.random_range(-HALF_RANGE..HALF_RANGE));
            for i in 0..2 {
                let eta: f64 = rng.sample(StandardNormal);
                point[i] = (place[i] + self.noise * eta) / self.scale[i];
            }
        }
        points
    }
    // ANCHOR_END: points

    /// The law of the data, x_0: t = 0, where nothing has been added.
    pub fn data(&self) -> Marginal {
        self.mixture(0, 1.0, 0.0)
    }

    /// The law of x_t.
    pub fn marginal(&self, step: Step) -> Marginal {
        self.mixture(step.t, step.alpha_bar, step.one_minus_alpha_bar)
    }

    /// The least mean of L_simple that any network can reach, with t uniform in 1..=T.
    ///
    /// # Formula
    /// (1/T) Σ_t floor_t, floor_t of [`Marginal::bayes_floor`]                      (slug `mean_bayes_floor`)
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 14, at its minimum
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, s_curve::SCurve};
    /// let floor = SCurve::sound().mean_bayes_floor(&Schedule::linear(4, 0.1, 0.9)?);
    /// assert!(floor > 0.1 && floor < 0.5);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: mean_bayes_floor
    pub fn mean_bayes_floor(&self, schedule: &Schedule) -> f64 {
        let floors = schedule.steps().iter().map(|&step| self.marginal(step).bayes_floor());
        floors.sum::<f64>() / schedule.timesteps() as f64
    }
    // ANCHOR_END: mean_bayes_floor

    /// The mean and covariance of x_{t−1} given x_t, the data unknown: the law that the reverse process imitates with a
    /// Gaussian of covariance σ_t² I.
    ///
    /// Given u, the pair (x_{t−1}, x_t) is Gaussian, one coordinate at a time. With p the variance of x_{t−1} given u and
    /// v = α_t p + β_t that of x_t, conditioning gives the mean √ᾱ_{t−1} (β_t/v) c/s + √α_t (p/v) x_t and the variance
    /// β_t p/v. The laws of total expectation and total covariance then average over what x_t leaves open of u.
    ///
    /// # Formula
    /// E[x_{t−1} | x_t] = √ᾱ_{t−1} (β_t/v) E[c/s | x_t] + √α_t (p/v) x_t,
    /// Cov[x_{t−1} | x_t] = ᾱ_{t−1} (β_t/v)(β_t/v)ᵀ Cov[c/s | x_t] + diag(β_t p/v)                      (slug `reverse_mean_and_covariance`)
    /// # Shapes
    /// `xt`: (n, 2); results: `mean` (n, 2), `covariance` (n, 2, 2)
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns
    /// # Source
    /// Derived here
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, s_curve::SCurve};
    /// let step = Schedule::linear(100, 1e-3, 0.2)?.step(2)?;
    /// let moments = SCurve::sound().reverse_mean_and_covariance(&ndarray::array![[0.0, 0.0]], step)?;
    /// assert_eq!(moments.mean.shape(), [1, 2]);
    /// assert!(moments.covariance[[0, 1, 1]] < step.beta); // across the curve, the data tells more than the step alone
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: reverse_mean_and_covariance
    pub fn reverse_mean_and_covariance(&self, xt: &ArrayRef2<f64>, step: Step) -> Result<ReverseMoments> {
        let q = self.marginal(step);
        let v = q.variance;
        let p = self.variance_given_place(step.alpha_bar_prev, step.one_minus_alpha_bar_prev);
        let from_place: [f64; 2] = std::array::from_fn(|i| step.alpha_bar_prev.sqrt() * step.beta / v[i]);
        let from_xt: [f64; 2] = std::array::from_fn(|i| step.alpha.sqrt() * p[i] / v[i]);
        let mut mean = Array2::zeros(xt.raw_dim());
        let mut covariance = Array3::zeros((xt.nrows(), 2, 2));
        for (n, known) in q.posteriors(xt)?.into_iter().enumerate() {
            for i in 0..2 {
                mean[[n, i]] = from_place[i] * known.place[i] + from_xt[i] * xt[[n, i]];
                for j in 0..2 {
                    covariance[[n, i, j]] = from_place[i] * from_place[j] * known.covariance[i][j];
                }
                covariance[[n, i, i]] += step.beta * p[i] / v[i];
            }
        }
        Ok(ReverseMoments { mean, covariance })
    }
    // ANCHOR_END: reverse_mean_and_covariance

    /// The variance of each coordinate of x_t, given u.
    fn variance_given_place(&self, alpha_bar: f64, one_minus_alpha_bar: f64) -> [f64; 2] {
        self.scale.map(|scale| alpha_bar * (self.noise / scale).powi(2) + one_minus_alpha_bar)
    }

    fn mixture(&self, t: usize, alpha_bar: f64, one_minus_alpha_bar: f64) -> Marginal {
        let variance = self.variance_given_place(alpha_bar, one_minus_alpha_bar);
        // Make each panel of the quadrature at most twice as wide as the narrower standard deviation, measured along u.
        let narrower = variance[0].sqrt() * self.scale[0];
        let narrower = narrower.min(variance[1].sqrt() * self.scale[1]);
        let panels = (HALF_RANGE * alpha_bar.sqrt() / (2.0 * narrower)).ceil().max(1.0) as usize;
        let width = HALF_RANGE / panels as f64;
        let rule = gauss_legendre(16);
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        // The curvature jumps at u = 0, so that no panel may reach across it.
        for panel in 0..2 * panels {
            for &(node, weight) in &rule {
                let u = -HALF_RANGE + width * (panel as f64 + 0.5 + 0.5 * node);
                let [x, z] = curve_point(u);
                places.push([x / self.scale[0], z / self.scale[1]]);
                weights.push(0.5 * weight / (2 * panels) as f64);
            }
        }
        Marginal { t, alpha_bar, one_minus_alpha_bar, variance, places, weights }
    }
}

/// The mean and covariance of x_{t−1} given x_t, for n points x_t.
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseMoments {
    /// (n, 2)
    pub mean: Array2<f64>,
    /// (n, 2, 2)
    pub covariance: Array3<f64>,
}

/// The law of x_t for the S-curve: a mixture of Gaussians, one for each place of the quadrature.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginal {
    t: usize,
    pub(crate) alpha_bar: f64,
    one_minus_alpha_bar: f64,
    pub(crate) variance: [f64; 2],
    places: Vec<[f64; 2]>,
    weights: Vec<f64>,
}

/// N(g; √ᾱ_t c_i(u)/s_i, v_i) and its derivative by g, at each g of a grid (rows) and for each place (columns).
struct Factors {
    density: Array2<f64>,
    derivative: Array2<f64>,
    spacing: f64,
}

/// What x_t says about the place: ln q(x_t), and the mean and covariance of c(u)/s given x_t.
pub(crate) struct Posterior {
    log_q: f64,
    place: [f64; 2],
    pub(crate) covariance: [[f64; 2]; 2],
}

impl Marginal {
    /// The logarithm of the density of x_t, in nats.
    ///
    /// # Formula
    /// ln q(x_t) = ln (1/3π) ∫ N(x_t; √ᾱ_t c(u)/s, diag(v)) du, v_i = ᾱ_t σ²/s_i² + 1 − ᾱ_t                      (slug `log_q`)
    /// # Shapes
    /// `xt`: (n, 2); result: n values
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns
    /// # Source
    /// Ho, Jain, Abbeel 2020, eq. 4, averaged over the data
    /// # Examples
    /// ```
    /// use literate_diffusion::s_curve::SCurve;
    /// let points = ndarray::array![[0.0, 0.0], [0.0, 0.7]];
    /// let log_q = SCurve::sound().data().log_q(&points)?;
    /// assert!(log_q[0] > -1.0 && log_q[1] < -9.0); // on the curve, and far from it
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: log_q
    pub fn log_q(&self, xt: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        Ok(self.posteriors(xt)?.iter().map(|known| known.log_q).collect())
    }
    // ANCHOR_END: log_q

    /// The score of x_t: where the density grows, and how fast.
    ///
    /// The score of N(m, v) at x is (m − x)/v. That of a mixture is the mean of theirs, given x.
    ///
    /// # Formula
    /// ∇ ln q(x_t) = (√ᾱ_t E[c/s | x_t] − x_t) / v                      (slug `score`)
    /// # Shapes
    /// `xt`, result: (n, 2)
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns
    /// # Source
    /// Vincent 2011, section 4, for this mixture
    /// # Examples
    /// ```
    /// use literate_diffusion::s_curve::SCurve;
    /// let score = SCurve::sound().data().score(&ndarray::array![[0.0, 0.0], [0.0, -2.0]])?;
    /// assert!(score[[0, 0]].abs() < 1e-9); // the S is the same turned by half a turn
    /// assert!(score[[1, 1]] > 10.0); // below it, upwards
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: score
    pub fn score(&self, xt: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let mut score = Array2::zeros(xt.raw_dim());
        for (n, known) in self.posteriors(xt)?.iter().enumerate() {
            for i in 0..2 {
                score[[n, i]] = (self.alpha_bar.sqrt() * known.place[i] - xt[[n, i]]) / self.variance[i];
            }
        }
        Ok(score)
    }
    // ANCHOR_END: score

    /// The best prediction of the noise that can be made from x_t.
    ///
    /// Among all functions of x_t, the mean of ε given x_t has the least mean squared error. Given x_0 too, ε is
    /// (x_t − √ᾱ_t x_0)/√(1 − ᾱ_t), which is −√(1 − ᾱ_t) times the score of q(x_t | x_0). Averaged over x_0 given x_t,
    /// that score becomes the score of q(x_t).
    ///
    /// # Formula
    /// ε*(x_t, t) = E[ε | x_t] = −√(1 − ᾱ_t) · ∇ ln q(x_t)                      (slug `optimal_eps`)
    /// # Shapes
    /// `xt`, result: (n, 2)
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns
    /// # Source
    /// Vincent 2011; Song, Ermon 2019; in this notation Dhariwal, Nichol 2021, eq. 11
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, s_curve::SCurve};
    /// let last = Schedule::linear(100, 1e-3, 0.2)?.last();
    /// let eps = SCurve::sound().marginal(last).optimal_eps(&ndarray::array![[1.0, -2.0]])?;
    /// assert!((eps[[0, 0]] - 1.0).abs() < 0.01 && (eps[[0, 1]] + 2.0).abs() < 0.01); // x_T is nothing but noise
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: optimal_eps
    pub fn optimal_eps(&self, xt: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        Ok(self.score(xt)? * -self.one_minus_alpha_bar.sqrt())
    }
    // ANCHOR_END: optimal_eps

    /// The best prediction of x_0 that can be made from x_t.
    ///
    /// # Formula
    /// E[x_0 | x_t] = (x_t + (1 − ᾱ_t) ∇ ln q(x_t)) / √ᾱ_t                      (slug `tweedie`)
    /// # Shapes
    /// `xt`, result: (n, 2)
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `xt` has two columns; [`Error::ZeroSnr`] where ᾱ_t = 0
    /// # Source
    /// Efron 2011, eq. 1.4 (Tweedie's formula), with x_t/√ᾱ_t for z
    /// # Examples
    /// ```
    /// use literate_diffusion::s_curve::SCurve;
    /// let x0 = ndarray::array![[0.3, 0.4]];
    /// assert_eq!(SCurve::sound().data().tweedie(&x0)?, x0); // where nothing was added, nothing is to be removed
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: tweedie
    pub fn tweedie(&self, xt: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        if self.alpha_bar == 0.0 {
            return Err(Error::ZeroSnr { t: self.t });
        }
        Ok((self.score(xt)? * self.one_minus_alpha_bar + xt) / self.alpha_bar.sqrt())
    }
    // ANCHOR_END: tweedie

    /// The entropy of x_t, in nats: what the best possible code for x_t costs, and the least mean of −ln p that any
    /// model of it can reach.
    ///
    /// # Formula
    /// H(x_t) = −∫ q(x_t) ln q(x_t) dx_t                      (slug `s_curve_entropy`)
    /// # Source
    /// Cover, Thomas 2006, section 8.1
    /// # Examples
    /// ```
    /// let curve = literate_diffusion::s_curve::SCurve::sound();
    /// assert!(curve.data().s_curve_entropy() < 2.0); // a Gaussian of the same variances: 1 + ln 2π = 2.84
    /// ```
    // ANCHOR: s_curve_entropy
    pub fn s_curve_entropy(&self) -> f64 {
        self.integral(|q, _| -q * q.ln())
    }
    // ANCHOR_END: s_curve_entropy

    /// The least L_simple at time t that any network can reach, a mean per dimension.
    ///
    /// ε* is the mean of ε given x_t, so ε − ε* is uncorrelated with every function of x_t, ε* among them. Hence
    /// E‖ε‖² = E‖ε*‖² + E‖ε − ε*‖², and E‖ε‖² = d. With ε* from the score, E‖ε*‖² is 1 − ᾱ_t times ∫ ‖∇q‖²/q, the Fisher
    /// information of x_t. The result is off by less than 1e-9.
    ///
    /// # Formula
    /// floor_t = E‖ε − ε*‖²/d = 1 − E‖ε*‖²/d = 1 − (1 − ᾱ_t)/d · ∫ ‖∇q‖²/q dx_t, d = 2                      (slug `bayes_floor`)
    /// # Source
    /// Derived here, from Ho, Jain, Abbeel 2020, eq. 14
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, s_curve::SCurve};
    /// let schedule = Schedule::linear(100, 1e-3, 0.2)?;
    /// let floor = |t| Ok(SCurve::sound().marginal(schedule.step(t)?).bayes_floor());
    /// assert!(floor(1)? > 0.9 && floor(100)? < 1e-4); // little noise is hard to see, much noise is plain
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: bayes_floor
    pub fn bayes_floor(&self) -> f64 {
        let fisher_information = self.integral(|q, [dx, dz]| (dx * dx + dz * dz) / q);
        // The floor is 0 where ᾱ_t = 0, and rounding must not carry it below.
        (1.0 - self.one_minus_alpha_bar * fisher_information / 2.0).max(0.0)
    }
    // ANCHOR_END: bayes_floor

    /// What each x_t says about the place, by Bayes: a place is as likely as its weight times its Gaussian at x_t.
    pub(crate) fn posteriors(&self, xt: &ArrayRef2<f64>) -> Result<Vec<Posterior>> {
        if xt.ncols() != 2 {
            return Err(Error::ShapeMismatch { name: "xt", expected: vec![xt.nrows(), 2], got: xt.shape().to_vec() });
        }
        let mut likelihood = vec![0.0; self.places.len()];
        Ok(xt.rows().into_iter().map(|x| self.posterior([x[0], x[1]], &mut likelihood)).collect())
    }

    /// Bayes' rule for one point: each place of the quadrature by its weight times its Gaussian at x_t.
    // ANCHOR: place_given_xt
    fn posterior(&self, x: [f64; 2], likelihood: &mut [f64]) -> Posterior {
        let signal = self.alpha_bar.sqrt();
        let precision = self.variance.map(f64::recip);
        // Divide by the greatest likelihood before exponentiating, so that far from the curve nothing underflows to 0.
        let mut greatest = f64::NEG_INFINITY;
        for (log, place) in likelihood.iter_mut().zip(&self.places) {
            let [dx, dz] = [x[0] - signal * place[0], x[1] - signal * place[1]];
            *log = -0.5 * (dx * dx * precision[0] + dz * dz * precision[1]);
            greatest = greatest.max(*log);
        }
        let (mut sum, mut first, mut second) = (0.0, [0.0; 2], [0.0; 3]);
        for ((log, [cx, cz]), weight) in likelihood.iter().zip(&self.places).zip(&self.weights) {
            let p = weight * (log - greatest).exp();
            sum += p;
            first = [first[0] + p * cx, first[1] + p * cz];
            second = [second[0] + p * cx * cx, second[1] + p * cx * cz, second[2] + p * cz * cz];
        }
        let place = first.map(|moment| moment / sum);
        let covariance = |moment: f64, i: usize, j: usize| moment / sum - place[i] * place[j];
        let cross = covariance(second[1], 0, 1);
        Posterior {
            log_q: greatest + sum.ln() - TAU.ln() - 0.5 * (self.variance[0].ln() + self.variance[1].ln()),
            place,
            covariance: [[covariance(second[0], 0, 0), cross], [cross, covariance(second[2], 1, 1)]],
        }
    }
    // ANCHOR_END: place_given_xt

    /// ∫ f(q, ∇q) over the plane, by the trapezium rule on a grid that reaches 9 standard deviations beyond the curve.
    ///
    /// Each Gaussian is a product of one factor in x and one in z. So q on the whole grid is a product of two matrices,
    /// (grid in x, places) and (places, grid in z), and few exponentials are needed.
    fn integral(&self, f: impl Fn(f64, [f64; 2]) -> f64) -> f64 {
        let weights = ArrayView1::from(&self.weights);
        let [x, z] = [0, 1].map(|i| self.factors(i));
        let (density_x, derivative_x) = (x.density * weights, x.derivative * weights);
        let q = density_x.dot(&z.density.t());
        let (q_x, q_z) = (derivative_x.dot(&z.density.t()), density_x.dot(&z.derivative.t()));
        let cells = q.iter().zip(&q_x).zip(&q_z).filter(|((q, _), _)| **q > 0.0);
        cells.map(|((&q, &q_x), &q_z)| f(q, [q_x, q_z])).sum::<f64>() * x.spacing * z.spacing
    }

    /// The factors in coordinate i, on a grid with a fifth of a standard deviation between its points.
    fn factors(&self, i: usize) -> Factors {
        let variance = self.variance[i];
        let std = variance.sqrt();
        let means: Vec<f64> = self.places.iter().map(|place| self.alpha_bar.sqrt() * place[i]).collect();
        let end = means.iter().fold(0.0, |end: f64, mean| end.max(mean.abs())) + 9.0 * std;
        let intervals = (2.0 * end / (0.2 * std)).ceil();
        let spacing = 2.0 * end / intervals;
        let to_mean = Array2::from_shape_fn((intervals as usize + 1, means.len()), |(g, k)| {
            means[k] - (g as f64 * spacing - end)
        });
        let density = to_mean.mapv(|d| (-0.5 * d * d / variance).exp() / (TAU * variance).sqrt());
        let derivative = &density * to_mean / variance;
        Factors { density, derivative, spacing }
    }
}

/// The nodes and weights of Gauss–Legendre quadrature: the sum of w f(x) is ∫ f over [−1, 1], exactly where f is a
/// polynomial of degree 2n − 1 or less.
///
/// # Formula
/// P_n(x) = 0, w = 2 / ((1 − x²) P_n′(x)²), P_n the Legendre polynomial of degree n                      (slug `gauss_legendre`)
/// # Shapes
/// result: n pairs (x, w), the greatest x first
/// # Source
/// Abramowitz, Stegun 1964, 25.4.29
/// # Examples
/// ```
/// let rule = literate_diffusion::s_curve::gauss_legendre(2);
/// let integral: f64 = rule.iter().map(|(x, w)| w * (x.powi(3) + x.powi(2))).sum();
/// assert!((integral - 2.0 / 3.0).abs() < 1e-15);
/// ```
// ANCHOR: gauss_legendre
pub fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    // P_n and P_n′, by (k + 1) P_{k+1} = (2k + 1) x P_k − k P_{k−1}.
    let legendre = |x: f64| {
        let (mut before, mut p) = (0.0, 1.0);
        for k in 0..n {
            let k = k as f64;
            (before, p) = (p, ((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0));
        }
        (p, n as f64 * (before - x * p) / (1.0 - x * x))
    };
    let node = |i: usize| {
        let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        // Newton doubles the digits each time, from a start that has at least two.
        for _ in 0..6 {
            let (p, slope) = legendre(x);
            x -= p / slope;
        }
        let (_, slope) = legendre(x);
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(node).collect()
}
// ANCHOR_END: gauss_legendre
