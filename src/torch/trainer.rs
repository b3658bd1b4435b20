//! Training: algorithm 1 in batches, with its choices.
//!
//! Nothing in a step waits for the device: the loss stays there, and so do the sums behind the loss over t.

use tch::{Kind, Reduction, Tensor, no_grad};

use super::adam::Adam;
use super::dataset::flipped;
use super::diffusion::{eps_weight, min_snr_weight, v_weight, variance, x0_weight};
use super::random::{Stream, drawn};
use super::schedule::{Schedule, Steps, length, numbers};
use super::unet::ImageNetwork;
use super::weights::{Average, clip_grad_norm};
use crate::error::{Error, Result};
use crate::objective::{Prediction, Variance};
use crate::paper::{ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON};

/// What the squared error at t is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weighting {
    /// 1: L_simple. Source: Ho, Jain, Abbeel 2020, eq. 14.
    Simple,
    /// What the bound charges where σ² = β_t, in nats per dimension. Source: Ho, Jain, Abbeel 2020, eq. 12.
    Elbo,
    /// The min-SNR weight with this γ. Source: Hang et al. 2023, section 3.4.
    MinSnr(f64),
}

/// The choices of a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the network predicts.
    pub prediction: Prediction,
    /// How the errors at different t are weighted.
    pub weighting: Weighting,
    /// Adam's learning rate.
    pub lr: f64,
    /// The decay of the running average of the parameters, where one is kept.
    pub ema: Option<f64>,
    /// The norm at which a gradient is clipped, where it is.
    pub max_norm: Option<f64>,
    /// The share of samples that are told no class, so that guidance has something to compare with.
    pub class_dropout: f64,
    /// Whether the second half of a batch has the times T + 1 − t of the first, so that their mean varies less.
    pub antithetic: bool,
    /// Whether each picture is mirrored with probability ½.
    pub flips: bool,
    /// The kind of number that the network computes in; its parameters stay in theirs.
    pub precision: Kind,
    /// All that is random follows from it.
    pub seed: u64,
}

impl Settings {
    /// L_simple by Adam, in single precision, and nothing else.
    pub const fn simple(lr: f64, seed: u64) -> Self {
        Self {
            prediction: Prediction::Eps,
            weighting: Weighting::Simple,
            lr,
            ema: None,
            max_norm: None,
            class_dropout: 0.0,
            antithetic: false,
            flips: false,
            precision: Kind::Float,
            seed,
        }
    }
}

/// Parts of 1..=T over which the loss is reported.
pub const TENTHS: usize = 10;

/// A network in training.
pub struct Trainer {
    net: Box<dyn ImageNetwork>,
    settings: Settings,
    /// From t = 1: what x_0 and ε are multiplied by in x_t, the weight of the error, and which tenth of 1..=T it is.
    signal: Tensor,
    noise: Tensor,
    weights: Option<Tensor>,
    tenths: Tensor,
    adam: Adam,
    average: Option<Average>,
    notes: Notes,
    /// The steps that the notes do not have yet: taking note of one by one would take a tenth of a small network's time.
    unnoted: Vec<Step>,
}

/// What is known of the losses.
#[derive(Debug)]
struct Notes {
    /// For each tenth of 1..=T, the sum of the samples' losses and their number.
    losses: Tensor,
    /// The sum of the losses, which is not finite from the first one on that is not, and how many steps it was.
    sum: Tensor,
    good_steps: Tensor,
}

/// A step: the indices t − 1, the loss of each sample, and the mean.
#[derive(Debug)]
struct Step {
    index: Tensor,
    losses: Tensor,
    loss: Tensor,
}

/// After so many steps the notes are brought up to date.
const NOTED_AT_ONCE: usize = 64;

impl Trainer {
    /// Begins with the network as it is.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a setting that cannot be
    pub fn new(net: Box<dyn ImageNetwork>, schedule: &Schedule, settings: Settings) -> Result<Self> {
        if !(0.0..=1.0).contains(&settings.class_dropout) {
            let expected = "between 0 and 1";
            return Err(Error::OutOfRange { name: "the class dropout", expected, got: settings.class_dropout });
        }
        let device = net.parameters().device();
        let adam = Adam::new(net.parameters(), settings.lr, ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON)?;
        let average = settings.ema.map(|decay| Average::new(net.parameters(), decay)).transpose()?;
        let timesteps = length(schedule.timesteps());
        let steps = schedule.at(&(1..=schedule.timesteps()).collect::<Vec<_>>())?;
        let on_device = |table: &Tensor| table.to_kind(net.parameters().kind()).to_device(device);
        let weights = match settings.weighting {
            Weighting::Simple => None,
            weighting => Some(weights(&steps, settings.prediction, weighting)?),
        };
        let tenths = (steps.index() * length(TENTHS)).divide_scalar_mode(timesteps, "floor");
        Ok(Self {
            signal: on_device(&steps.alpha_bar.sqrt()),
            noise: on_device(&steps.one_minus_alpha_bar.sqrt()),
            weights: weights.map(|weights| on_device(&weights)),
            tenths: tenths.to_device(device),
            notes: Notes {
                losses: Tensor::zeros([length(TENTHS), 2], (Kind::Double, device)),
                sum: Tensor::zeros([1], (Kind::Double, device)),
                good_steps: Tensor::zeros([], (Kind::Int64, device)),
            },
            unnoted: Vec::new(),
            net,
            settings,
            adam,
            average,
        })
    }

    /// One step with data x_0 of shape (N, …) and, for a network with classes, N labels. Returns the mean of the weighted
    /// squared errors, still on the device.
    ///
    /// # Errors
    /// As the network's; [`Error::OutOfRange`] where the bound of the norm is not above 0
    // ANCHOR: one_training_step
    pub fn step(&mut self, x0: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let step = u64::from(self.adam.steps().unsigned_abs()) + 1;
        let (index, squares) = drawn(self.settings.seed, Stream::Training, step, || self.squares(x0, labels))?;
        let loss = match &self.weights {
            None => squares.mean(None),
            Some(weights) => (of_samples(&squares) * weights.index_select(0, &index)).mean(None),
        };
        let mut gradient = self.net.parameters().gradient(&loss);
        if let Some(max_norm) = self.settings.max_norm {
            let _ = clip_grad_norm(&mut gradient, max_norm)?;
        }
        self.adam.step(self.net.parameters(), &gradient)?;
        if let Some(average) = &mut self.average {
            average.update(self.net.parameters());
        }
        let loss = loss.detach();
        let losses = no_grad(|| of_samples(&squares));
        self.take_note(Step { index, losses, loss: loss.shallow_clone() });
        Ok(loss)
    }
    // ANCHOR_END: one_training_step

    /// Draws t and ε, and has the network predict: the indices t − 1 and the squares of all errors.
    // ANCHOR: training_errors
    fn squares(&self, x0: &Tensor, labels: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let index = self.indices(x0);
        let columns: Vec<i64> = (0..x0.dim()).map(|dimension| if dimension == 0 { -1 } else { 1 }).collect();
        let at_t = |table: &Tensor| table.index_select(0, &index).view(columns.as_slice());
        let (signal, noise) = (at_t(&self.signal), at_t(&self.noise));
        let x0 = self.net.parameters().laid_out(x0);
        let x0 = if self.settings.flips { flipped(&x0) } else { x0 };
        let eps = x0.randn_like();
        let labels = labels.map(|labels| self.some_without_class(labels));

        let xt = (&x0 * &signal).addcmul_(&eps, &noise);
        let predicted = self.net.forward_t(&xt.to_kind(self.settings.precision), &index, labels.as_ref(), true)?;
        let target = match self.settings.prediction {
            Prediction::Eps => eps,
            Prediction::X0 => x0,
            Prediction::V => eps * signal - x0 * noise,
        };
        Ok((index, predicted.to_kind(target.kind()).mse_loss(&target, Reduction::None)))
    }
    // ANCHOR_END: training_errors

    /// An index t − 1 for each sample.
    fn indices(&self, x0: &Tensor) -> Tensor {
        let (samples, timesteps) = (x0.size().first().copied().unwrap_or(0), length(self.signal.numel()));
        let uniform = |count| Tensor::randint(timesteps, [count], (Kind::Int64, x0.device()));
        if !self.settings.antithetic {
            return uniform(samples);
        }
        let half = uniform((samples + 1) / 2);
        Tensor::cat(&[&half, &(timesteps - 1 - &half)], 0).narrow(0, 0, samples)
    }

    /// Replaces some of the labels, at random, by the class that means "no class".
    // ANCHOR: some_without_class
    fn some_without_class(&self, labels: &Tensor) -> Tensor {
        let dropped = Tensor::rand(labels.size(), (Kind::Float, labels.device())).lt(self.settings.class_dropout);
        labels.masked_fill(&dropped, length(self.net.classes()))
    }
    // ANCHOR_END: some_without_class

    fn take_note(&mut self, step: Step) {
        self.unnoted.push(step);
        if self.unnoted.len() == NOTED_AT_ONCE {
            self.bring_up_to_date();
        }
    }

    fn bring_up_to_date(&mut self) {
        self.notes = self.notes();
        self.unnoted.clear();
    }

    /// The notes with all steps so far.
    fn notes(&self) -> Notes {
        let Notes { losses, sum, good_steps } = &self.notes;
        if self.unnoted.is_empty() {
            let [losses, sum, good_steps] = [losses, sum, good_steps].map(Tensor::copy);
            return Notes { losses, sum, good_steps };
        }
        let all = |of: fn(&Step) -> Tensor| Tensor::cat(&self.unnoted.iter().map(of).collect::<Vec<_>>(), 0);
        no_grad(|| {
            let index = self.tenths.index_select(0, &all(|step| step.index.shallow_clone()));
            let of_samples = all(|step| step.losses.to_kind(Kind::Double));
            let rows = Tensor::stack(&[&of_samples, &of_samples.ones_like()], 1);
            let sums = sum + all(|step| step.loss.to_kind(Kind::Double).view(1)).cumsum(0, Kind::Double);
            Notes {
                losses: losses.index_add(0, &index, &rows),
                sum: sums.narrow(0, -1, 1),
                good_steps: good_steps + sums.isfinite().sum(Kind::Int64),
            }
        })
    }

    /// Fails where the loss of some step so far was not finite, or a parameter is not. This waits for the device.
    ///
    /// # Errors
    /// [`Error::NotFinite`], with the first step of such a loss, or with this step
    pub fn check(&self) -> Result<()> {
        let good_steps = self.notes().good_steps.int64_value(&[]).unsigned_abs();
        if good_steps < self.steps() as u64 {
            return Err(Error::NotFinite { name: "the loss", step: good_steps + 1 });
        }
        let sums: Vec<_> = self.net.parameters().tensors().iter().map(|tensor| tensor.detach().sum(None)).collect();
        if Tensor::stack(&sums, 0).isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::NotFinite { name: "a parameter", step: good_steps });
        }
        Ok(())
    }

    /// The mean squared error over each tenth of 1..=T since the last [`Trainer::forget_losses`]; NaN where no t was drawn.
    pub fn losses(&self) -> [f64; TENTHS] {
        let rows = numbers(&self.notes().losses);
        std::array::from_fn(|tenth| rows[2 * tenth] / rows[2 * tenth + 1])
    }

    /// Begins the sums behind [`Trainer::losses`] anew.
    pub fn forget_losses(&mut self) {
        self.bring_up_to_date();
        let _ = self.notes.losses.zero_();
    }

    /// The network.
    pub fn net(&self) -> &dyn ImageNetwork {
        self.net.as_ref()
    }

    /// How many steps were taken.
    pub fn steps(&self) -> usize {
        usize::try_from(self.adam.steps()).unwrap_or(0)
    }

    /// The running average of the parameters where one is kept, otherwise the parameters, by name.
    pub fn best(&self) -> Vec<(String, Tensor)> {
        let named = self.average.as_ref().map_or(self.net.parameters().named(), Average::named);
        named.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect()
    }

    /// All that changes in training, by name: `weights.…`, `average.…`, `adam.…`, and the sums behind the losses.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of = |part: &'static str, named: &[(String, Tensor)]| -> Vec<(String, Tensor)> {
            named.iter().map(|(name, tensor)| (format!("{part}.{name}"), tensor.detach())).collect()
        };
        let mut state = of("weights", self.net.parameters().named());
        state.extend(self.average.iter().flat_map(|average| of("average", average.named())));
        state.extend(of("adam", &self.adam.state(self.net.parameters())));
        state.push(("losses".to_owned(), self.notes().losses));
        state
    }

    /// Goes on from a saved [`state`](Self::state), after that many steps.
    ///
    /// # Errors
    /// [`Error::NamedArray`] and [`Error::UnknownArray`] where the state is that of another network or other settings
    pub fn load(&mut self, state: &[(String, Tensor)], steps: usize) -> Result<()> {
        let part = |part: &str| -> Vec<(String, Tensor)> {
            let start = format!("{part}.");
            let named = state.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&start)?, tensor)));
            named.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect()
        };
        self.net.parameters_mut().assign(&part("weights"))?;
        if let Some(average) = &mut self.average {
            average.assign(&part("average"))?;
        }
        self.adam.load(self.net.parameters(), &part("adam"), i32::try_from(steps).unwrap_or(i32::MAX))?;
        match state.iter().find(|(name, _)| name == "losses") {
            Some((_, losses)) if losses.size() == self.notes.losses.size() => self.notes.losses.copy_(losses),
            other => {
                let got = other.map(|(_, losses)| super::lengths(&losses.size()));
                return Err(Error::NamedArray { name: "losses".to_owned(), expected: vec![TENTHS, 2], got });
            }
        }
        let _ = self.notes.sum.zero_();
        let _ = self.notes.good_steps.fill_(length(steps));
        self.unnoted.clear();
        Ok(())
    }
}

/// The mean over all but the first dimension.
fn of_samples(squares: &Tensor) -> Tensor {
    let rest: Vec<i64> = (1..length(squares.dim())).collect();
    squares.mean_dim(rest.as_slice(), false, None)
}

/// The weight of each t, from t = 1, for a squared error that is a mean over the dimensions.
fn weights(steps: &Steps, prediction: Prediction, weighting: Weighting) -> Result<Tensor> {
    let variance = variance(steps, Variance::Beta);
    Ok(match (weighting, prediction) {
        (Weighting::Simple, _) => steps.beta.ones_like(),
        (Weighting::MinSnr(gamma), _) => min_snr_weight(steps, gamma, prediction),
        (Weighting::Elbo, Prediction::Eps) => eps_weight(steps, &variance)?,
        (Weighting::Elbo, Prediction::X0) => x0_weight(steps, &variance),
        (Weighting::Elbo, Prediction::V) => v_weight(steps, &variance),
    })
}
