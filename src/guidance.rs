//! Guidance: how a sample is asked for by its class, and what it does to the samples to ask louder.
//!
//! The rules of guidance take any prediction of any shape: [`guided_prediction`], [`classifier_guided_eps`]. To see what they
//! do, two kinds of data are solved exactly: [`Classes`], each a Gaussian, and a pair of Gaussians, one for all of the data
//! and a narrower one for the class, for which the law of the guided samples is known: [`guided_moments`].
//!
//! The weight w is counted as in this crate's samplers: 0 asks for no class, 1 for the class, and more goes beyond it.

use ndarray::{Array, Array1, Array2, ArrayRef, ArrayRef2, ArrayView1, Axis, Dimension, Zip};

use crate::error::{Error, Result, finite, positive, same_shape};
use crate::forward::{marginal_moments, weighted_sum};
use crate::gaussian::log_density;
use crate::sampler::{ddim_sigma, kept_noise};
use crate::schedule::{Schedule, Step};

/// A Gaussian: its mean, and its variance.
type Moments = (f64, f64);

/// A law in classes: class c is a share π_c of it, and is N(m_c, s_c² I).
///
/// The law of x_t is one of this kind as well, so that all methods serve at every t, and for the data itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    shares: Array1<f64>,
    means: Array2<f64>,
    variances: Array1<f64>,
}

impl Classes {
    /// K classes in d dimensions.
    ///
    /// # Shapes
    /// `shares` (π), `variances` (s²): (K); `means` (m): (K, d)
    /// # Errors
    /// [`Error::Empty`] where there is no class, or no dimension; [`Error::ShapeMismatch`] where K differs;
    /// [`Error::OutOfRange`] unless the variances and the shares are finite numbers above 0, and the shares add up to 1
    /// # Examples
    /// ```
    /// use literate_diffusion::guidance::Classes;
    /// use ndarray::array;
    /// assert!(Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![0.25, 0.25]).is_ok());
    /// assert!(Classes::new(array![0.5, 0.4], array![[-1.0], [1.0]], array![0.25, 0.25]).is_err());
    /// ```
    pub fn new(shares: Array1<f64>, means: Array2<f64>, variances: Array1<f64>) -> Result<Self> {
        if means.is_empty() {
            return Err(Error::Empty { name: "means" });
        }
        for (name, array) in [("shares", &shares), ("variances", &variances)] {
            if array.len() != means.nrows() {
                return Err(Error::ShapeMismatch { name, expected: vec![means.nrows()], got: vec![array.len()] });
            }
            array.iter().try_for_each(|&number| positive(name, number))?;
        }
        let sum = shares.sum();
        if (sum - 1.0).abs() > 1e-9 {
            return Err(Error::OutOfRange { name: "the sum of the shares", expected: "1", got: sum });
        }
        Ok(Self { shares, means, variances })
    }

    /// The law of x_t where this is the law of x_0: each class moves as [`marginal_moments`] says, and keeps its share.
    ///
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, guidance::Classes};
    /// use ndarray::array;
    /// let data = Classes::new(array![1.0], array![[8.0]], array![4.0])?;
    /// let step = Schedule::from_betas(&[0.75])?.step(1)?;
    /// assert_eq!(data.marginal(step), Classes::new(array![1.0], array![[4.0]], array![1.75])?);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: class_marginal
    pub fn marginal(&self, step: Step) -> Self {
        Self {
            shares: self.shares.clone(),
            means: &self.means * step.alpha_bar.sqrt(),
            variances: &self.variances * step.alpha_bar + step.one_minus_alpha_bar,
        }
    }
    // ANCHOR_END: class_marginal

    /// The number of classes.
    pub fn count(&self) -> usize {
        self.shares.len()
    }

    /// How probable each class is once x_t is seen: what the best classifier of x_t would say.
    ///
    /// These are the classes of x_t: where they are those of the data, take [`Classes::marginal`] of the step first.
    ///
    /// # Formula
    /// q(c | x_t) = π_c q(x_t | c) / Σ_k π_k q(x_t | k)                      (slug `class_probabilities`)
    /// # Shapes
    /// `xt`: (n, d), one point a row; result: (n, K), whose rows add up to 1
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs
    /// # Source
    /// Bayes' rule
    /// # Examples
    /// ```
    /// use literate_diffusion::guidance::Classes;
    /// use ndarray::array;
    /// let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![0.25, 0.25])?;
    /// let midway = data.class_probabilities(&array![[0.0]])?;
    /// assert!((midway[[0, 0]] - 0.5).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: class_probabilities
    pub fn class_probabilities(&self, xt: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let mut rows = self.log_joint(xt)?;
        for mut row in rows.rows_mut() {
            let all = log_sum_exp(row.view());
            row.mapv_inplace(|log| (log - all).exp());
        }
        Ok(rows)
    }
    // ANCHOR_END: class_probabilities

    /// The best prediction of the noise where the class is known.
    ///
    /// # Formula
    /// ε*(x_t, t, c) = E[ε | x_t, c] = √(1 − ᾱ_t) (x_t − √ᾱ_t m_c) / (ᾱ_t s_c² + 1 − ᾱ_t)                      (slug `class_eps`)
    /// # Shapes
    /// `xt`, result: (n, d)
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs; [`Error::OutOfRange`] where there is no such class
    /// # Source
    /// The conditional mean of two jointly Gaussian variables; Bishop 2006, eq. 2.81
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, guidance::Classes};
    /// use ndarray::array;
    /// let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![1.0, 1.0])?;
    /// let step = Schedule::from_betas(&[0.75])?.step(1)?;
    /// assert_eq!(data.class_eps(&array![[0.5]], step, 1)?, array![[0.0]]); // just where √ᾱ_t m_c is
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: class_eps
    pub fn class_eps(&self, xt: &ArrayRef2<f64>, step: Step, class: usize) -> Result<Array2<f64>> {
        self.known(class)?;
        self.same_dimensions(xt)?;
        let variance = step.alpha_bar * self.variances[class] + step.one_minus_alpha_bar;
        let off = &xt.view() - &(&self.means.row(class) * step.alpha_bar.sqrt());
        Ok(off * (step.one_minus_alpha_bar.sqrt() / variance))
    }
    // ANCHOR_END: class_eps

    /// The best prediction of the noise where the class is not known: those of the classes, each as probable as x_t makes it.
    ///
    /// # Formula
    /// ε*(x_t, t) = E[ε | x_t] = Σ_c q(c | x_t) · ε*(x_t, t, c)                      (slug `mixture_eps`)
    /// # Shapes
    /// `xt`, result: (n, d)
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs
    /// # Source
    /// The law of total expectation
    /// # Examples
    /// ```
    /// use literate_diffusion::{Schedule, guidance::Classes};
    /// use ndarray::array;
    /// let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![1.0, 1.0])?;
    /// let step = Schedule::from_betas(&[0.75])?.step(1)?;
    /// assert!(data.mixture_eps(&array![[0.0]], step)?[[0, 0]].abs() < 1e-15); // midway, the two cancel
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: mixture_eps
    pub fn mixture_eps(&self, xt: &ArrayRef2<f64>, step: Step) -> Result<Array2<f64>> {
        let probabilities = self.marginal(step).class_probabilities(xt)?;
        let mut eps = Array2::zeros(xt.raw_dim());
        for (class, probability) in probabilities.columns().into_iter().enumerate() {
            eps += &(self.class_eps(xt, step, class)? * probability.insert_axis(Axis(1)));
        }
        Ok(eps)
    }
    // ANCHOR_END: mixture_eps

    /// The score of the best classifier: which way x_t has to go so that the class becomes more probable.
    ///
    /// These are the classes of x_t: where they are those of the data, take [`Classes::marginal`] of the step first.
    ///
    /// # Formula
    /// ∇ ln q(c | x_t) = ∇ ln q(x_t | c) − Σ_k q(k | x_t) · ∇ ln q(x_t | k)                      (slug `classifier_score`)
    /// # Shapes
    /// `xt`, result: (n, d)
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs; [`Error::OutOfRange`] where there is no such class
    /// # Source
    /// The derivative of [`Classes::class_probabilities`]
    /// # Examples
    /// ```
    /// use literate_diffusion::guidance::Classes;
    /// use ndarray::array;
    /// let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![0.5, 0.5])?;
    /// let score = data.classifier_score(&array![[0.0]], 1)?; // ½ · (m_1 − m_0)/s²
    /// assert!((score[[0, 0]] - 2.0).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: classifier_score
    pub fn classifier_score(&self, xt: &ArrayRef2<f64>, class: usize) -> Result<Array2<f64>> {
        let mut score = self.class_score(xt, class)?;
        for (other, probability) in self.class_probabilities(xt)?.columns().into_iter().enumerate() {
            score -= &(self.class_score(xt, other)? * probability.insert_axis(Axis(1)));
        }
        Ok(score)
    }
    // ANCHOR_END: classifier_score

    /// The logarithm of the density whose score a guided sampler follows, but for a constant.
    ///
    /// With q(x_t | c) = q(c | x_t) q(x_t) / π_c it is q(x_t) q(c | x_t)^w: all that is like the data, and more of it the more
    /// it is like the class. As in [`Classes::class_probabilities`], the classes are those of x_t.
    ///
    /// # Formula
    /// ln q_w(x_t | c) = (1 − w) ln q(x_t) + w ln q(x_t | c) + const                      (slug `tilted_log_density`)
    /// # Shapes
    /// `xt`: (n, d); result: n numbers, without the constant
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs; [`Error::OutOfRange`] where there is no such class, or `weight` (w) is not finite
    /// # Source
    /// Ho, Salimans 2022, section 3
    /// # Examples
    /// ```
    /// use literate_diffusion::{gaussian::density, guidance::Classes};
    /// use ndarray::array;
    /// let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![0.5, 0.5])?;
    /// let at = |w| Ok::<_, literate_diffusion::Error>(data.tilted_log_density(&array![[0.3]], 1, w)?[0]);
    /// assert!((at(1.0)?.exp() - density(0.3, 1.0, 0.5)?).abs() < 1e-15);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    // ANCHOR: tilted_log_density
    pub fn tilted_log_density(&self, xt: &ArrayRef2<f64>, class: usize, weight: f64) -> Result<Array1<f64>> {
        self.known(class)?;
        finite("the weight of guidance", weight)?;
        let tilted = |row: ArrayView1<f64>| {
            let of_class = row[class] - self.shares[class].ln();
            (1.0 - weight) * log_sum_exp(row) + weight * of_class
        };
        Ok(self.log_joint(xt)?.rows().into_iter().map(tilted).collect())
    }
    // ANCHOR_END: tilted_log_density

    /// The score of one class, (m_c − x_t)/s_c²; as in [`Classes::class_probabilities`], the classes are those of x_t.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where d differs; [`Error::OutOfRange`] where there is no such class
    pub fn class_score(&self, xt: &ArrayRef2<f64>, class: usize) -> Result<Array2<f64>> {
        self.known(class)?;
        self.same_dimensions(xt)?;
        Ok((&xt.view() - &self.means.row(class)) / -self.variances[class])
    }

    /// ln π_c q(x_t | c) for each point and class: (n, K).
    fn log_joint(&self, xt: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        self.same_dimensions(xt)?;
        let mut joint = Array2::zeros((xt.nrows(), self.count()));
        for ((n, class), log) in joint.indexed_iter_mut() {
            let of_class = log_density(&xt.row(n), &self.means.row(class), self.variances[class])?;
            *log = self.shares[class].ln() + of_class;
        }
        Ok(joint)
    }

    fn known(&self, class: usize) -> Result<()> {
        if class < self.count() {
            return Ok(());
        }
        let expected = "0 or above, and below the number of classes";
        Err(Error::OutOfRange { name: "the class", expected, got: class as f64 })
    }

    fn same_dimensions(&self, xt: &ArrayRef2<f64>) -> Result<()> {
        if xt.ncols() == self.means.ncols() {
            return Ok(());
        }
        let expected = vec![xt.nrows(), self.means.ncols()];
        Err(Error::ShapeMismatch { name: "xt", expected, got: xt.shape().to_vec() })
    }
}

/// Bayes' rule for scores: the score given the class is the score without it, and the classifier's.
///
/// In ln q(x_t | c) = ln q(x_t) + ln q(c | x_t) − ln q(c), the last term does not depend on x_t.
///
/// # Formula
/// ∇ ln q(x_t | c) = ∇ ln q(x_t) + ∇ ln q(c | x_t)                      (slug `bayes_score`)
/// # Shapes
/// `score`, `classifier_score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ
/// # Source
/// Dhariwal, Nichol 2021, section 4.2
/// # Examples
/// ```
/// use literate_diffusion::guidance::bayes_score;
/// use ndarray::array;
/// assert_eq!(bayes_score(&array![-1.0], &array![3.0])?, array![2.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: bayes_score
pub fn bayes_score<D: Dimension>(
    score: &ArrayRef<f64, D>,
    classifier_score: &ArrayRef<f64, D>,
) -> Result<Array<f64, D>> {
    same_shape("classifier_score", score, classifier_score)?;
    Ok(weighted_sum(1.0, score, 1.0, classifier_score))
}
// ANCHOR_END: bayes_score

/// Classifier guidance: a prediction without the class, moved by w times the score of a classifier of x_t.
///
/// # Formula
/// ε_w = ε*(x_t, t) − w √(1 − ᾱ_t) · ∇ ln q(c | x_t)                      (slug `classifier_guided_eps`)
/// # Shapes
/// `eps`, `classifier_score`, result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] where `weight` (w) is not finite
/// # Source
/// Dhariwal, Nichol 2021, algorithm 2
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, guidance::classifier_guided_eps};
/// use ndarray::array;
/// let step = Schedule::from_betas(&[0.64])?.step(1)?;
/// let eps = classifier_guided_eps(&array![1.0], &array![0.5], step, 2.0)?;
/// assert!((eps[0] - 0.2).abs() < 1e-15); // 1 − 2 · 0.8 · 0.5
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: classifier_guided_eps
pub fn classifier_guided_eps<D: Dimension>(
    eps: &ArrayRef<f64, D>,
    classifier_score: &ArrayRef<f64, D>,
    step: Step,
    weight: f64,
) -> Result<Array<f64, D>> {
    same_shape("classifier_score", eps, classifier_score)?;
    finite("the weight of guidance", weight)?;
    Ok(weighted_sum(1.0, eps, -weight * step.one_minus_alpha_bar.sqrt(), classifier_score))
}
// ANCHOR_END: classifier_guided_eps

/// Classifier-free guidance: from what is predicted without the class towards what is predicted with it, and beyond.
///
/// The prediction may be ε, x_0 or v: each is, at a given x_t, a line in any other, and a line keeps such weighted means.
///
/// # Formula
/// ε_w = ε_∅ + w (ε_c − ε_∅)                      (slug `guided_prediction`)
/// # Shapes
/// `none` (ε_∅), `class` (ε_c), result: any, all equal
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes differ; [`Error::OutOfRange`] where `weight` (w) is not finite
/// # Source
/// Ho, Salimans 2022, eq. 6, whose weight is w − 1
/// # Examples
/// ```
/// use literate_diffusion::guidance::guided_prediction;
/// use ndarray::array;
/// assert_eq!(guided_prediction(&array![0.5], &array![0.25], 3.0)?, array![-0.25]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "guidance_scale")]
#[doc(alias = "cfg")]
// ANCHOR: guided_prediction
pub fn guided_prediction<D: Dimension>(
    none: &ArrayRef<f64, D>,
    class: &ArrayRef<f64, D>,
    weight: f64,
) -> Result<Array<f64, D>> {
    same_shape("class", none, class)?;
    finite("the weight of guidance", weight)?;
    Ok(Zip::from(none).and(class).map_collect(|&none, &class| none + weight * (class - none)))
}
// ANCHOR_END: guided_prediction

/// Classifier-free guidance in the other count, that of its paper: how far to go *beyond* the class.
///
/// # Formula
/// ε_w = (1 + w′) ε_c − w′ ε_∅, w′ = w − 1                      (slug `guided_prediction_beyond`)
/// # Shapes
/// `none` (ε_∅), `class` (ε_c), result: any, all equal
/// # Errors
/// As [`guided_prediction`]; `beyond` is w′
/// # Source
/// Ho, Salimans 2022, eq. 6
/// # Examples
/// ```
/// use literate_diffusion::guidance::guided_prediction_beyond;
/// use ndarray::array;
/// assert_eq!(guided_prediction_beyond(&array![0.5], &array![0.25], 0.0)?, array![0.25]); // 0 is the class
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: guided_prediction_beyond
pub fn guided_prediction_beyond<D: Dimension>(
    none: &ArrayRef<f64, D>,
    class: &ArrayRef<f64, D>,
    beyond: f64,
) -> Result<Array<f64, D>> {
    same_shape("class", none, class)?;
    finite("the weight of guidance", beyond)?;
    Ok(weighted_sum(1.0 + beyond, class, -beyond, none))
}
// ANCHOR_END: guided_prediction_beyond

/// The least loss of one network that is told the class, except for a share p of the samples, which it is told "none".
///
/// The network sees which of the two it is, and so it may answer both as well as can be: with ε*(x_t, t) and ε*(x_t, t, c).
/// The share p does not change the best answers. It only says how often each is asked for.
///
/// # Formula
/// floor_t = p · E‖ε − ε*(x_t, t)‖²/d + (1 − p) · E‖ε − ε*(x_t, t, c)‖²/d                      (slug `class_dropout_floor`)
/// # Errors
/// [`Error::OutOfRange`] unless `dropout` (p) lies between 0 and 1
/// # Source
/// Ho, Salimans 2022, algorithm 1
/// # Examples
/// ```
/// use literate_diffusion::guidance::class_dropout_floor;
/// assert_eq!(class_dropout_floor(0.25, 0.5, 0.125)?, 0.21875);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: class_dropout_floor
pub fn class_dropout_floor(dropout: f64, floor_of_none: f64, floor_of_class: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&dropout) {
        return Err(Error::OutOfRange { name: "the class dropout", expected: "between 0 and 1", got: dropout });
    }
    Ok(dropout * floor_of_none + (1.0 - dropout) * floor_of_class)
}
// ANCHOR_END: class_dropout_floor

/// The tilted density of two Gaussians, one for all of the data and one for the class, is a Gaussian: its mean and variance.
///
/// In the exponent, precisions are added with the weights 1 − w and w.
///
/// # Formula
/// N(x; M, V)^{1−w} · N(x; m, v)^w ∝ N(x; μ_w, v_w),  1/v_w = (1 − w)/V + w/v,  μ_w = v_w [(1 − w) M/V + w m/v]   (slug `tilted_moments`)
/// # Shapes
/// `all` (M, V), `class` (m, v), result (μ_w, v_w): a mean and a variance each
/// # Errors
/// [`Error::OutOfRange`] unless the variances are finite numbers above 0 and 1/v_w is above 0
/// # Source
/// Bradley, Nakkiran 2024, for the example; completing the square
/// # Examples
/// ```
/// use literate_diffusion::guidance::tilted_moments;
/// let (mean, variance) = tilted_moments((0.0, 1.0), (1.0, 0.5), 2.0)?;
/// assert!((variance - 1.0 / 3.0).abs() < 1e-15); // precision −1 + 4
/// assert!((mean - 4.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: tilted_moments
pub fn tilted_moments(all: Moments, class: Moments, weight: f64) -> Result<Moments> {
    positive("the variance of all", all.1)?;
    positive("the variance of the class", class.1)?;
    let (of_all, of_class) = ((1.0 - weight) / all.1, weight / class.1);
    positive("the precision of the tilted density", of_all + of_class)?;
    let variance = 1.0 / (of_all + of_class);
    Ok((variance * (of_all * all.0 + of_class * class.0), variance))
}
// ANCHOR_END: tilted_moments

/// What a guided sampler really makes, where all of the data is one Gaussian and the class another: its mean and variance.
///
/// Both predictions are lines in x_t, and so is the guided one, ε_w = a x_t − b. A step of DDIM then turns a Gaussian into a
/// Gaussian, and only its two numbers have to be carried from T to 0. It begins at N(0, 1), and steps with the given η.
///
/// # Formula
/// x_{t−1} = x_t/√α_t + k (a x_t − b) + σ_t z,  k = √(1 − ᾱ_{t−1} − σ_t²) − √(1 − ᾱ_t)/√α_t,
/// a = √(1 − ᾱ_t) [(1 − w)/V_t + w/v_t],  b = √(1 − ᾱ_t) [(1 − w) M_t/V_t + w m_t/v_t]                      (slug `guided_moments`)
/// # Shapes
/// `all` (M, V), `class` (m, v), result: a mean and a variance each
/// # Errors
/// [`Error::OutOfRange`] unless the variances are finite numbers, 0 or above, `weight` (w) is finite and η lies between 0
/// and 1; [`Error::ZeroSnr`] where ᾱ_t = 0
/// # Source
/// Song, Meng, Ermon 2021, eq. 12, with Ho, Salimans 2022, eq. 6
/// # Examples
/// ```
/// use literate_diffusion::{Schedule, guidance::guided_moments};
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let (mean, variance) = guided_moments((0.0, 1.0), (1.0, 0.25), 1.0, &schedule, 0.0)?;
/// assert!((mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01); // w = 1: the class itself
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: guided_moments
pub fn guided_moments(all: Moments, class: Moments, weight: f64, schedule: &Schedule, eta: f64) -> Result<Moments> {
    finite("the weight of guidance", weight)?;
    let (mut mean, mut variance) = (0.0, 1.0);
    for &step in schedule.steps().iter().rev() {
        if step.alpha_bar == 0.0 {
            return Err(Error::ZeroSnr { t: step.t });
        }
        let sigma = ddim_sigma(step, eta)?;
        let (mean_of_all, variance_of_all) = marginal_moments(all.0, all.1, step)?;
        let (mean_of_class, variance_of_class) = marginal_moments(class.0, class.1, step)?;
        let (of_all, of_class) = ((1.0 - weight) / variance_of_all, weight / variance_of_class);
        let noise = step.one_minus_alpha_bar.sqrt();
        let (a, b) = (noise * (of_all + of_class), noise * (of_all * mean_of_all + of_class * mean_of_class));

        let kept = kept_noise(step, sigma)?;
        let k = kept - noise / step.alpha.sqrt();
        let slope = 1.0 / step.alpha.sqrt() + k * a;
        (mean, variance) = (slope * mean - k * b, slope * slope * variance + sigma * sigma);
    }
    Ok((mean, variance))
}
// ANCHOR_END: guided_moments

/// The variance of what DDIM makes with guidance, in the limit of many steps from pure noise, for two Gaussians.
///
/// The tilted density has the weighted harmonic mean of V and v ([`tilted_moments`]); the sampler comes to the geometric one.
/// That holds for v > V too, where there may be no tilted density.
///
/// # Formula
/// Var[x_0] = V^{1−w} · v^w = V · (v/V)^w                      (slug `guided_flow_variance`)
/// # Errors
/// [`Error::OutOfRange`] unless both variances are finite numbers above 0, and `weight` (w) is finite
/// # Source
/// Derived here
/// # Examples
/// ```
/// use literate_diffusion::guidance::{guided_flow_variance, tilted_moments};
/// assert_eq!(guided_flow_variance(1.0, 0.25, 2.0)?, 0.0625);
/// assert_eq!(tilted_moments((0.0, 1.0), (1.0, 0.25), 2.0)?.1, 1.0 / 7.0); // more than twice as much
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: guided_flow_variance
pub fn guided_flow_variance(variance_of_all: f64, variance_of_class: f64, weight: f64) -> Result<f64> {
    positive("the variance of all", variance_of_all)?;
    positive("the variance of the class", variance_of_class)?;
    finite("the weight of guidance", weight)?;
    Ok(variance_of_all * (variance_of_class / variance_of_all).powf(weight))
}
// ANCHOR_END: guided_flow_variance

/// ln Σ e^{x_i}, without overflow.
fn log_sum_exp(logs: ArrayView1<f64>) -> f64 {
    let largest = logs.fold(f64::NEG_INFINITY, |largest, &log| largest.max(log));
    largest + logs.fold(0.0, |sum, &log| sum + (log - largest).exp()).ln()
}
