//! How good pictures are, with nothing to download.
//!
//! - [`variational_bound`]: how many bits per dimension the model needs for pictures that it has not seen.
//! - [`Classifier`]: a small network, trained on the real data within minutes. It says whether samples of a class look like
//!   that class to something that knows only real ones.
//! - [`frechet_distance`]: how far the classifier's features of samples are, as a cloud, from those of real pictures.
//! - [`nearest_distances`]: how far each sample is from the training set, so that a copy would show.
//!
//! The last two mean something only beside the same number for real pictures that are new: see [`frechet_yardstick`], and
//! give [`nearest_distances`] a test set.
//!
//! Pictures are tensors of shape (N, channels, height, width), either bytes or numbers in [−1, 1]. All of it works in batches,
//! so that memory is bounded, and no gradient is kept except where the classifier learns.

use tch::{Device, Kind, Tensor, no_grad};

use super::adam::Adam;
use super::diffusion::{
    discretised_log_likelihood, kl_reverse_step, posterior_mean, prior_kl, q_sample, variance, x0_from_eps, x0_from_v,
};
use super::layers::{Conv, GroupNorm, Linear};
use super::random::{Stream, drawn};
use super::schedule::{Schedule, Steps, length, numbers};
use super::unet::ImageNetwork;
use super::weights::Parameters;
use super::{has_shape, lengths};
use crate::error::{Error, Result};
use crate::objective::{Prediction, Variance};
use crate::paper::{ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON};
use crate::posterior::VarianceAtOne;

/// A network, and what makes a likelihood of its output.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// The network.
    pub net: &'a dyn ImageNetwork,
    /// The forward process that it was trained with.
    pub schedule: &'a Schedule,
    /// What it predicts.
    pub prediction: Prediction,
    /// σ_t², the variance of p(x_{t−1} | x_t).
    pub variance: Variance,
    /// What stands at t = 1 for β̃_1, which is 0 and no variance; of no account where σ² = β.
    pub at_one: VarianceAtOne,
    /// Whether the x_0 that it implies is held to [−1, 1], where pictures are. It is another model then, mostly a better one.
    pub clip: bool,
}

impl Model<'_> {
    /// L_0 of each picture, in nats: −ln p(x_0 | x_1), the mass of each number's bin.
    fn reconstruction(&self, x0: &Tensor, eps: &Tensor) -> Result<Tensor> {
        let steps = self.schedule.at(&vec![1; samples(x0)])?;
        let xt = q_sample(x0, &steps, eps)?;
        Ok(-discretised_log_likelihood(x0, &self.mean(&xt, &steps)?, &self.variance_at_one(&steps)?)?)
    }

    /// L_{t−1} of each picture, in nats, at times t ≥ 2: the KL at one draw of x_t.
    fn denoising(&self, x0: &Tensor, times: &[usize], eps: &Tensor) -> Result<Tensor> {
        let steps = self.schedule.at(times)?;
        let xt = q_sample(x0, &steps, eps)?;
        let mean_q = posterior_mean(x0, &xt, &steps)?;
        kl_reverse_step(&mean_q, &self.mean(&xt, &steps)?, &steps, &variance(&steps, self.variance))
    }

    /// μ_θ(x_t, t), in `f64`: the posterior mean for the x_0 that the network implies.
    fn mean(&self, xt: &Tensor, steps: &Steps) -> Result<Tensor> {
        let input = xt.to_kind(self.net.parameters().kind());
        let output = self.net.forward(&input, &steps.index().to_device(xt.device()))?.to_kind(Kind::Double);
        let x0 = match self.prediction {
            Prediction::Eps => x0_from_eps(xt, steps, &output)?,
            Prediction::X0 => output,
            Prediction::V => x0_from_v(xt, steps, &output)?,
        };
        posterior_mean(&if self.clip { x0.clamp(-1.0, 1.0) } else { x0 }, xt, steps)
    }

    /// σ_1².
    fn variance_at_one(&self, steps: &Steps) -> Result<Tensor> {
        match (self.variance, self.at_one) {
            (Variance::Beta, _) | (_, VarianceAtOne::Beta1) => Ok(steps.beta.shallow_clone()),
            (Variance::BetaTilde, VarianceAtOne::BetaTilde2) => {
                Ok(self.schedule.at(&vec![2; steps.samples()])?.beta_tilde)
            }
        }
    }
}

/// A mean over pictures, and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error: from the choice of pictures, of noise and of times, which are new for each picture.
    pub standard_error: f64,
}

/// The terms L_{t−1} with `first` ≤ t ≤ `last`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Denoising {
    /// The first t.
    pub first: usize,
    /// The last t.
    pub last: usize,
    /// The mean of such a term, in bits per dimension. The bound has `last` − `first` + 1 of them.
    pub each: Estimate,
}

/// The variational bound and its terms, in bits per dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// L_T: what is left of the picture in x_T.
    pub prior: Estimate,
    /// L_0: the picture itself, once x_1 is known.
    pub reconstruction: Estimate,
    /// All L_{t−1}, 2 ≤ t ≤ T, in ranges of t.
    pub denoising: Vec<Denoising>,
    /// L_0 + Σ L_{t−1} + L_T: an upper bound of the bits that the model needs.
    pub total: Estimate,
}

/// The variational bound of pictures made of bytes, in bits per dimension.
///
/// It has T terms, each of which asks the network once for each picture. Where that is too much, 2..=T is cut into fewer
/// `ranges` of nearly equal length, and each picture has one t drawn from each range, which stands for all in it. The
/// expectation is the same and the standard error tells what it costs. With T − 1 ranges (or more) there is no choice left.
///
/// `seen` is told, after each batch, how many pictures are done.
///
/// # Formula
/// L_0 + Σ_{t=2}^{T} L_{t−1} + L_T, over d ln 2
/// # Shapes
/// `pictures`: (N, channels, height, width), N ≥ 2
/// # Errors
/// [`Error::OutOfRange`] where there are fewer than 2 pictures, no range or no batch, and where a number of a picture is not
/// one of 256; and what the network finds wrong
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 5 and 13; drawing t in ranges: this book
pub fn variational_bound(
    model: Model,
    pictures: &Tensor,
    ranges: usize,
    batch: usize,
    seed: u64,
    mut seen: impl FnMut(usize),
) -> Result<Bound> {
    let count = samples(pictures);
    at_least("the number of pictures", 2, count)?;
    at_least("the number of ranges", 1, ranges)?;
    let ranges = cut(model.schedule.timesteps(), ranges);
    let bits = std::f64::consts::LN_2 * (pictures.numel() / count) as f64;

    // A row for each term and a column for each picture.
    let mut costs = Vec::new();
    let mut position = 0..;
    for x0 in batches(pictures, batch)? {
        let x0 = normalised(&x0, Kind::Double);
        let mut draw = |[first, last]: [usize; 2]| {
            drawn(seed, Stream::Evaluation, position.next().unwrap_or(0), || {
                let size = [length(samples(&x0))];
                let times = Tensor::randint_low(length(first), length(last) + 1, size, (Kind::Int64, Device::Cpu));
                (numbers(&times).iter().map(|&t| t as usize).collect::<Vec<_>>(), x0.randn_like())
            })
        };
        let rows = no_grad(|| {
            let last = model.schedule.at(&vec![model.schedule.timesteps(); samples(&x0)])?;
            let mut rows = vec![prior_kl(&x0, &last)?, model.reconstruction(&x0, &draw([1, 1]).1)?];
            for &range in &ranges {
                let (times, eps) = draw(range);
                rows.push(model.denoising(&x0, &times, &eps)?);
            }
            Ok(Tensor::stack(&rows, 0))
        })?;
        costs.push(rows / bits);
        seen(costs.iter().map(|rows| rows.size()[1] as usize).sum());
    }
    let costs = Tensor::cat(&costs, 1);

    let how_many = ranges.iter().map(|[first, last]| (last - first + 1) as f64);
    let how_many = Tensor::from_slice(&[1.0, 1.0].into_iter().chain(how_many).collect::<Vec<_>>());
    let of_row = |row| estimate(&costs.get(row));
    let denoising = ranges.iter().zip(2..).map(|(&[first, last], row)| Denoising { first, last, each: of_row(row) });
    Ok(Bound {
        prior: of_row(0),
        reconstruction: of_row(1),
        denoising: denoising.collect(),
        total: estimate(&how_many.matmul(&costs)),
    })
}

/// Cuts 2..=T into ranges of nearly equal length, the first and the last t of each.
fn cut(timesteps: usize, ranges: usize) -> Vec<[usize; 2]> {
    let terms = timesteps - 1;
    let ranges = ranges.min(terms);
    let end = |k: usize| 1 + k * terms / ranges;
    (0..ranges).map(|k| [end(k) + 1, end(k + 1)]).collect()
}

/// Of a number for each picture.
fn estimate(of_each: &Tensor) -> Estimate {
    let mean = of_each.mean(Kind::Double).double_value(&[]);
    let standard_error = of_each.std(true).double_value(&[]) / (of_each.numel() as f64).sqrt();
    Estimate { mean, standard_error }
}

/// How the classifier learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learning {
    /// How often it sees each picture.
    pub epochs: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Adam's learning rate at the start; it falls evenly to 0.
    pub lr: f64,
    /// The weights at the start and the order of the pictures follow from it.
    pub seed: u64,
}

/// A small convolutional network that says what a picture shows.
///
/// Three 3×3 convolutions (32, 64 and 128 wide, the first two of stride 2, each with GroupNorm and SiLU), the mean over
/// quarters of the picture, 128 features, and a number for each class.
#[derive(Debug)]
pub struct Classifier {
    parameters: Parameters,
    channels: usize,
    classes: usize,
    convs: [(Conv, GroupNorm); 3],
    hidden: Linear,
    out: Linear,
}

impl Classifier {
    /// The number of features.
    pub const FEATURES: usize = 128;

    /// A classifier that has learned nothing yet.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where there is no channel or fewer than 2 classes
    pub fn new(channels: usize, classes: usize, device: Device, seed: u64) -> Result<Self> {
        at_least("the number of channels", 1, channels)?;
        at_least("the number of classes", 2, classes)?;
        Ok(drawn(seed, Stream::Weights, 0, || {
            let mut parameters = Parameters::new(device, Kind::Float);
            let p = &mut parameters;
            let mut conv = |name: &str, widths: [usize; 2], stride| {
                (Conv::new(p, name, widths, 3, stride), GroupNorm::new(p, &format!("{name}_norm"), widths[1]))
            };
            let convs = [conv("conv1", [channels, 32], 2), conv("conv2", [32, 64], 2), conv("conv3", [64, 128], 1)];
            let hidden = Linear::new(p, "hidden", 4 * 128, Self::FEATURES);
            let out = Linear::new(p, "out", Self::FEATURES, classes);
            p.channels_last();
            Self { parameters, channels, classes, convs, hidden, out }
        }))
    }

    /// A classifier that has learned from labelled pictures. `seen` is told each step's number, of how many, and loss.
    ///
    /// # Errors
    /// As [`Classifier::new`]; [`Error::ShapeMismatch`] unless each picture has a label, and [`Error::OutOfRange`] where one
    /// is not the number of a class
    pub fn learn(
        classes: usize,
        pictures: &Tensor,
        labels: &Tensor,
        learning: Learning,
        mut seen: impl FnMut(usize, usize, f64),
    ) -> Result<Self> {
        at_least("the number of epochs", 1, learning.epochs)?;
        let channels = lengths(&pictures.size()).get(1).copied().unwrap_or(0);
        let this = Self::new(channels, classes, pictures.device(), learning.seed)?;
        let labels = this.checked(pictures, labels)?.to_device(pictures.device());
        let mut adam = Adam::new(&this.parameters, learning.lr, ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON)?;
        let steps = learning.epochs * samples(pictures).div_ceil(learning.batch.max(1));
        for epoch in 0..learning.epochs {
            let order = drawn(learning.seed, Stream::Order, epoch as u64, || {
                Tensor::randperm(labels.size()[0], (Kind::Int64, Device::Cpu)).to_device(pictures.device())
            });
            for some in batches(&order, learning.batch)? {
                let done = adam.steps() as usize;
                adam.lr = learning.lr * (1.0 - done as f64 / steps as f64);
                let scores = this.scores(&this.features_of(&pictures.index_select(0, &some))?);
                let loss = scores.cross_entropy_for_logits(&labels.index_select(0, &some));
                adam.step(&this.parameters, &this.parameters.gradient(&loss))?;
                seen(done + 1, steps, loss.double_value(&[]));
            }
        }
        Ok(this)
    }

    /// The probability of each class for each picture, (N, classes).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where the pictures have other channels
    pub fn probabilities(&self, pictures: &Tensor, batch: usize) -> Result<Tensor> {
        self.in_batches(pictures, batch, |features| self.scores(features).softmax(-1, Kind::Float))
    }

    /// What the last layer looks at, (N, [`Self::FEATURES`]).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where the pictures have other channels
    pub fn features(&self, pictures: &Tensor, batch: usize) -> Result<Tensor> {
        self.in_batches(pictures, batch, Tensor::shallow_clone)
    }

    /// How the pictures look that are said to show `labels`.
    ///
    /// # Errors
    /// As [`Classifier::learn`]
    pub fn report(&self, pictures: &Tensor, labels: &Tensor, batch: usize) -> Result<Report> {
        let labels = self.checked(pictures, labels)?.to_device(Device::Cpu);
        let probabilities = self.probabilities(pictures, batch)?.to_device(Device::Cpu).to_kind(Kind::Double);
        let right = probabilities.argmax(-1, false).eq_tensor(&labels).to_kind(Kind::Double);
        let given = probabilities.gather(1, &labels.unsqueeze(1), false).squeeze_dim(1);
        let zeros = || Tensor::zeros([length(self.classes)], (Kind::Double, Device::Cpu));
        let sum = |of_each: &Tensor| numbers(&zeros().index_add(0, &labels, of_each));
        let (counts, right, given) = (sum(&right.ones_like()), sum(&right), sum(&given));
        let of_class = |class: usize| Seen {
            pictures: counts[class] as usize,
            accuracy: right[class] / counts[class],
            confidence: given[class] / counts[class],
        };
        let classes = (0..self.classes).map(of_class).collect();
        let all = counts.iter().sum::<f64>();
        let mean = |sums: &[f64]| sums.iter().sum::<f64>() / all;
        Ok(Report { all: Seen { pictures: all as usize, accuracy: mean(&right), confidence: mean(&given) }, classes })
    }

    /// θ, to save.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// θ, to load.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn in_batches(&self, pictures: &Tensor, batch: usize, work: impl Fn(&Tensor) -> Tensor) -> Result<Tensor> {
        at_least("the number of pictures", 1, samples(pictures))?;
        let parts = no_grad(|| {
            let some = batches(pictures, batch)?;
            some.iter().map(|some| Ok(work(&self.features_of(some)?))).collect::<Result<Vec<_>>>()
        })?;
        Ok(Tensor::cat(&parts, 0))
    }

    fn features_of(&self, pictures: &Tensor) -> Result<Tensor> {
        let size = lengths(&pictures.size());
        if size.len() != 4 || size[1] != self.channels {
            return Err(Error::ShapeMismatch { name: "pictures", expected: vec![0, self.channels, 0, 0], got: size });
        }
        if let Some(&got) = size[2..].iter().find(|&&side| side < 4) {
            let expected = "4 or more, since it is halved twice";
            return Err(Error::OutOfRange { name: "a side of the picture", expected, got: got as f64 });
        }
        let x = self.parameters.laid_out(&normalised(pictures, Kind::Float).to_device(self.parameters.device()));
        let h = self.convs.iter().fold(x, |h, (conv, norm)| norm.forward(&conv.forward(&h)).silu());
        Ok(self.hidden.forward(&h.adaptive_avg_pool2d([2, 2]).flatten(1, -1)).silu())
    }

    fn scores(&self, features: &Tensor) -> Tensor {
        self.out.forward(features)
    }

    /// The labels, where there is one for each picture and each is the number of a class.
    fn checked(&self, pictures: &Tensor, labels: &Tensor) -> Result<Tensor> {
        has_shape("labels", &[length(samples(pictures))], labels)?;
        match numbers(labels).into_iter().find(|&label| !(0.0..self.classes as f64).contains(&label)) {
            Some(got) => Err(Error::OutOfRange { name: "a label", expected: "the number of a class", got }),
            None => Ok(labels.to_kind(Kind::Int64)),
        }
    }
}

/// What a classifier makes of some pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// How many there are.
    pub pictures: usize,
    /// The share of those whose most probable class is the one asked for; NaN where there is no picture.
    pub accuracy: f64,
    /// The mean probability of the class asked for; NaN where there is no picture.
    pub confidence: f64,
}

/// What a classifier makes of labelled pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// All of them.
    pub all: Seen,
    /// Those of each class.
    pub classes: Vec<Seen>,
}

/// Mean and covariance of N points in d dimensions.
#[derive(Debug)]
pub struct Moments {
    mean: Tensor,
    covariance: Tensor,
}

impl Moments {
    /// Those of a sample; the covariance is divided by N − 1.
    ///
    /// # Shapes
    /// `points`: (N, d), N ≥ 2
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `points` has two dimensions; [`Error::OutOfRange`] where N < 2
    pub fn of(points: &Tensor) -> Result<Self> {
        let size = lengths(&points.size());
        if size.len() != 2 || size[1] == 0 {
            return Err(Error::ShapeMismatch { name: "points", expected: vec![0, 0], got: size });
        }
        at_least("the number of points", 2, size[0])?;
        no_grad(|| {
            let points = points.to_kind(Kind::Double).to_device(Device::Cpu);
            let mean = points.mean_dim(0, false, None);
            let off = points - &mean;
            Ok(Self { covariance: off.tr().matmul(&off) / (size[0] - 1) as f64, mean })
        })
    }
}

/// The squared Fréchet distance of two Gaussians with these moments: the least mean square distance of x and y over all ways
/// to draw them together.
///
/// The trace of a root is the sum of the singular values of A^½ B^½, since (A^½ B A^½)^½ is the symmetric factor of that
/// product's polar decomposition. So nothing is rounded and then drawn a root of, except for A and B themselves.
///
/// From samples it is biased: of two samples of one law it is above 0, and falls like 1/N. Compare only numbers that come from
/// samples of one size, such as [`frechet_yardstick`].
///
/// # Formula
/// ‖m_A − m_B‖² + tr A + tr B − 2 tr (A^½ B A^½)^½
/// # Errors
/// [`Error::ShapeMismatch`] where the dimensions differ; [`Error::OutOfRange`] where a covariance is not finite
/// # Source
/// Dowson, Landau 1982; as a measure of samples: Heusel et al. 2017, eq. 6
/// # Examples
/// ```
/// use literate_diffusion::torch::{evaluation::{Moments, frechet_distance}, tch::Tensor};
/// let [a, b] = [[-1.0, 1.0], [1.0, 5.0]].map(|points| Tensor::from_slice(&points).unsqueeze(1));
/// let distance = frechet_distance(&Moments::of(&a)?, &Moments::of(&b)?)?;
/// assert!((distance - (9.0 + 2.0)).abs() < 1e-14); // (0 − 3)² + (√2 − √8)²
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
pub fn frechet_distance(a: &Moments, b: &Moments) -> Result<f64> {
    super::same_shape("the other mean", &a.mean, &b.mean)?;
    for moments in [a, b] {
        let sum = moments.covariance.sum(Kind::Double).double_value(&[]);
        if !sum.is_finite() {
            return Err(Error::OutOfRange { name: "a covariance", expected: "finite", got: sum });
        }
    }
    let root = |covariance: &Tensor| {
        let (values, vectors) = covariance.linalg_eigh("L");
        (&vectors * values.clamp_min(0.0).sqrt()).matmul(&vectors.tr())
    };
    let product = root(&a.covariance).matmul(&root(&b.covariance));
    let singular_values = product.linalg_norm_ord_str("nuc", [0_i64, 1].as_slice(), false, Kind::Double);
    let of_means = (&a.mean - &b.mean).square().sum(Kind::Double);
    let traces = a.covariance.trace() + b.covariance.trace();
    Ok((of_means + traces - singular_values * 2.0).double_value(&[]))
}

/// The Fréchet distance of real points from real points: of two samples without a point in common, `count` points each.
///
/// It is what samples that are as good as real ones would reach.
///
/// # Errors
/// [`Error::OutOfRange`] where there are fewer than 2 · `count` points; as [`Moments::of`]
pub fn frechet_yardstick(points: &Tensor, count: usize, seed: u64) -> Result<f64> {
    at_least("the number of points", 2 * count, samples(points))?;
    let order = drawn(seed, Stream::Evaluation, 0, || {
        Tensor::randperm(length(samples(points)), (Kind::Int64, Device::Cpu)).to_device(points.device())
    });
    let [a, b] =
        [0, count].map(|first| Moments::of(&points.index_select(0, &order.narrow(0, length(first), length(count)))));
    frechet_distance(&a?, &b?)
}

/// How far each of some points (pictures, or their features) is from the nearest of others: N Euclidean distances.
///
/// Which one is nearest is found with ‖x − y‖² = ‖x‖² + ‖y‖² − 2 x·y, a product of matrices, and the distance is then taken
/// anew, so that it is exactly 0 for a copy. Of two that are equally near up to rounding, either may be taken.
///
/// # Shapes
/// `points`: (N, …), `others`: (M, …), alike but for the first dimension
/// # Errors
/// [`Error::ShapeMismatch`] where the shapes do not fit; [`Error::Empty`] where there are no others
pub fn nearest_distances(points: &Tensor, others: &Tensor, batch: usize) -> Result<Vec<f64>> {
    let mut expected = points.size();
    expected.splice(..1, others.size().first().copied());
    has_shape("the others", &expected, others)?;
    if others.numel() == 0 {
        return Err(Error::Empty { name: "the list of others" });
    }
    let mut distances = Vec::with_capacity(samples(points));
    no_grad(|| {
        for some in batches(points, batch)? {
            let x = rows(&some);
            let mut least: Option<Tensor> = None;
            for some in batches(others, batch)? {
                let y = rows(&some);
                let half_square = y.square().sum_dim_intlist([1_i64].as_slice(), false, None) / 2.0;
                let (_, index) = (half_square - x.matmul(&y.tr())).min_dim(1, false);
                let off = x.to_kind(Kind::Double) - y.index_select(0, &index).to_kind(Kind::Double);
                let squares = off.square().sum_dim_intlist([1_i64].as_slice(), false, None);
                least = Some(least.map_or_else(|| squares.shallow_clone(), |least| least.minimum(&squares)));
            }
            distances.extend(least.iter().flat_map(|squares| numbers(&squares.sqrt())));
        }
        Ok(distances)
    })
}

/// Each picture as a row of numbers.
fn rows(pictures: &Tensor) -> Tensor {
    let kind = if pictures.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    normalised(pictures, kind).flatten(1, -1)
}

/// Pictures as numbers: bytes 0..=255 become −1..=1.
fn normalised(pictures: &Tensor, kind: Kind) -> Tensor {
    let bytes = pictures.kind() == Kind::Uint8;
    let numbers = pictures.to_kind(kind);
    if bytes { numbers / 127.5 - 1.0 } else { numbers }
}

/// The samples of a tensor, `batch` of them at a time.
fn batches(x: &Tensor, batch: usize) -> Result<Vec<Tensor>> {
    at_least("the size of a batch", 1, batch)?;
    Ok(if samples(x) == 0 { Vec::new() } else { x.split(length(batch), 0) })
}

/// N.
fn samples(x: &Tensor) -> usize {
    lengths(&x.size()).first().copied().unwrap_or(0)
}

fn at_least(name: &'static str, least: usize, got: usize) -> Result<()> {
    if got >= least {
        return Ok(());
    }
    let expected = match least {
        1 => "1 or more",
        2 => "2 or more",
        _ => "enough for two samples of the size asked for",
    };
    Err(Error::OutOfRange { name, expected, got: got as f64 })
}
