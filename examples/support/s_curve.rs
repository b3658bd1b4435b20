//! What `examples/s_curve.rs` needs and is not the idea: its arguments, its checkpoint, its figures and its report.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use literate_diffusion::evaluation::{directions, energy_distance, sliced_wasserstein};
use literate_diffusion::forward::q_sample;
use literate_diffusion::mlp::{MlpDiffusion, Trainer};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::{Schedule, paper};
use ndarray::{Array1, Array2, ArrayD, Axis, Slice};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::checkpoint::{Checkpoint, CheckpointError};
use crate::support::files::{folder_of, keep_older, write_atomically};
use crate::support::plot::{Axes, BLUE, Cloud, Curve, Figure, ORANGE, Panel};
use crate::support::{cli, figures};

/// Makes the S-curve, trains the noise predictor on it, samples, and shows what happened.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// The setting that this book trusts, or the widespread notebook's
    #[arg(long, value_enum, default_value_t = Preset::Sound)]
    preset: Preset,
    /// Passes over 10,000 points [sound: 600, classic: 4000]
    #[arg(long, value_parser = cli::count)]
    epochs: Option<usize>,
    /// Points in a batch
    #[arg(long, value_parser = cli::count, default_value_t = 128)]
    batch: usize,
    /// Adam's learning rate, at its start where the preset lets it fall (sound) [sound: 2e-3, classic: 1e-3]
    #[arg(long, value_parser = cli::positive)]
    lr: Option<f64>,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// T; where it is not 100, the schedule is rescaled, so that alpha_bar_T stays
    #[arg(long, value_parser = timesteps, default_value_t = 100)]
    timesteps: usize,
    /// The kind of noise schedule [sound: linear, classic: sigmoid]
    #[arg(long, value_enum)]
    schedule: Option<Kind>,
    #[arg(long, help = format!("Folder for figures and checkpoint [default: {}, with --resume: the checkpoint's]", figures().display()))]
    out: Option<PathBuf>,
    /// Go on from this checkpoint, with its settings, as if there had been no stop
    #[arg(long, value_name = "CHECKPOINT",
          conflicts_with_all = ["preset", "epochs", "batch", "lr", "seed", "timesteps", "schedule"])]
    resume: Option<PathBuf>,
}

/// For clap: T. The network has a row for each t in each of its layers, and a sample takes as many steps.
fn timesteps(text: &str) -> Result<usize, String> {
    cli::within(text, 1, 10_000)
}

impl Args {
    fn out(&self) -> PathBuf {
        let of_checkpoint = || Some(folder_of(self.resume.as_ref()?).to_owned());
        self.out.clone().or_else(of_checkpoint).unwrap_or_else(figures)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Each coordinate of variance 1, linear beta from 1e-3 to 0.2: nothing of the data is left at t = T
    Sound,
    /// The notebook as it circulates: data divided by 10, sigmoid beta from 1e-5 to 5e-3: 78 % is left at t = T
    Classic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// From 1e-3 to 0.2, for T = 100
    Linear,
    /// From 1e-5 to 5e-3, for T = 100
    Sigmoid,
    /// Nichol and Dhariwal's
    Cosine,
}

/// Streams of random numbers that have nothing to do with each other.
#[derive(Debug, Clone, Copy)]
pub enum Draws {
    Network,
    Data,
    Figures,
    Path,
    Samples(usize),
    Fresh(usize),
    MoreFresh(usize),
    Truth,
    Epoch(usize),
}

/// The generator of one stream.
pub fn rng(seed: u64, draws: Draws) -> ChaCha8Rng {
    let stream = match draws {
        Draws::Network => 0,
        Draws::Data => 1,
        Draws::Figures => 2,
        Draws::Path => 3,
        Draws::Truth => 4,
        Draws::Samples(i) => 100 + i as u64,
        Draws::Fresh(i) => 200 + i as u64,
        Draws::MoreFresh(i) => 300 + i as u64,
        Draws::Epoch(epoch) => 1000 + epoch as u64,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A preset with all changes to it.
#[derive(Debug, Clone)]
pub struct Setting {
    pub preset: Preset,
    pub curve: SCurve,
    pub kind: Kind,
    pub schedule: Schedule,
    pub epochs: usize,
    pub batch: usize,
    pub lr: f64,
    pub seed: u64,
    /// The decay of the running average of the parameters, where one is kept.
    pub ema: Option<f64>,
}

/// Points in the data set, and in an epoch.
const POINTS: usize = 10_000;

impl Setting {
    fn new(args: &Args) -> literate_diffusion::Result<Self> {
        let (curve, kind, epochs, lr, ema) = match args.preset {
            Preset::Sound => (SCurve::sound(), Kind::Linear, 600, 2e-3, Some(0.999)),
            Preset::Classic => (SCurve::classic(), Kind::Sigmoid, 4000, 1e-3, None),
        };
        let kind = args.schedule.unwrap_or(kind);
        let schedule = schedule(kind, args.timesteps)?;
        let (epochs, lr) = (args.epochs.unwrap_or(epochs), args.lr.unwrap_or(lr));
        Ok(Self { preset: args.preset, curve, kind, schedule, epochs, batch: args.batch, lr, seed: args.seed, ema })
    }

    /// The rate for an epoch, the first of them 1: half a cosine down to 0 for `sound`, constant for `classic`.
    pub fn learning_rate(&self, epoch: usize) -> f64 {
        match self.preset {
            Preset::Sound => {
                let done = (epoch - 1) as f64 / self.epochs as f64;
                self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Preset::Classic => self.lr,
        }
    }

    /// The setting as words, from which [`Setting::from_words`] makes it again.
    fn words(&self) -> BTreeMap<String, String> {
        let words = [
            ("preset", self.preset.name()),
            ("schedule", self.kind.name()),
            ("timesteps", self.schedule.timesteps().to_string()),
            ("epochs", self.epochs.to_string()),
            ("batch", self.batch.to_string()),
            ("lr", format!("{:?}", self.lr)),
            ("seed", self.seed.to_string()),
        ];
        words.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn from_words(path: &Path, words: &BTreeMap<String, String>) -> Result<Self, Box<dyn Error>> {
        let mut command = vec!["s_curve".to_owned()];
        for name in ["preset", "schedule", "timesteps", "epochs", "batch", "lr", "seed"] {
            let missing = || CheckpointError::Missing { path: path.to_owned(), what: format!("setting {name}") };
            command.push(format!("--{name}={}", words.get(name).ok_or_else(missing)?));
        }
        let unusable = |_| CheckpointError::damaged(path, "its settings are not settings");
        Ok(Self::new(&Args::try_parse_from(command).map_err(unusable)?)?)
    }
}

/// The name under which clap knows a value.
trait ValueEnumName {
    fn name(&self) -> String;
}

impl<V: ValueEnum> ValueEnumName for V {
    fn name(&self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The schedules are made for T = 100 (the cosine for any T) and keep their ᾱ_T where T is another.
fn schedule(kind: Kind, timesteps: usize) -> literate_diffusion::Result<Schedule> {
    let for_hundred = match kind {
        Kind::Linear => Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?,
        Kind::Sigmoid => Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?,
        Kind::Cosine => return Schedule::cosine(timesteps, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA),
    };
    if timesteps == for_hundred.timesteps() { Ok(for_hundred) } else { for_hundred.rescaled(timesteps) }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedule, epochs, batch, lr, seed, .. } = self;
        let (preset, kind) = (self.preset.name(), self.kind.name());
        let left = schedule.last().alpha_bar;
        writeln!(f, "preset {preset}: T = {}, {kind} schedule, alpha_bar_T = {left:.2e}", schedule.timesteps())?;
        write!(f, "{epochs} epochs of {POINTS} points, batch {batch}, learning rate {lr}, seed {seed}")
    }
}

/// A training run: what it has done so far and where it is kept.
pub struct Run {
    pub setting: Setting,
    pub trainer: Trainer<f32>,
    pub data: Array2<f64>,
    /// The mean loss of each epoch that is done.
    pub losses: Vec<f32>,
    /// The least mean loss that any network can reach.
    pub floor: f64,
    out: PathBuf,
}

const KIND: &str = "the S-curve example";

impl Run {
    /// A fresh run of the arguments' setting, or the one of `--resume`.
    pub fn begin_or_resume(
        args: &Args,
        new_trainer: impl Fn(&Setting) -> Result<Trainer<f32>, Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let Some(path) = &args.resume else {
            let setting = Setting::new(args)?;
            let run = Self::with(new_trainer(&setting)?, setting, Vec::new(), args.out());
            if let Some(kept) = keep_older(&run.checkpoint_path())? {
                println!("the checkpoint of an earlier run is kept as {}", kept.display());
            }
            run.save()?; // Learn before the work, not after, that the folder cannot be written.
            return Ok(run);
        };
        let checkpoint = Checkpoint::load(path, KIND)?;
        let setting = Setting::from_words(path, &checkpoint.words)?;
        let mut trainer = new_trainer(&setting)?;
        let steps = checkpoint.number(path, "steps")?;
        let in_file = |error| format!("{}: {error}; give a checkpoint that this program wrote", path.display());
        trainer.load(steps, |name| checkpoint.arrays.get(name).cloned()).map_err(in_file)?;
        let losses: Vec<f32> = checkpoint.array(path, "losses")?.iter().copied().collect();
        let steps_per_epoch = POINTS.div_ceil(setting.batch) as u64;
        if losses.len() > setting.epochs || steps != losses.len() as u64 * steps_per_epoch {
            return Err(CheckpointError::damaged(path, "its steps are not those of its epochs").into());
        }
        let run = Self::with(trainer, setting, losses, args.out());
        run.save()?; // As above.
        Ok(run)
    }

    fn with(trainer: Trainer<f32>, setting: Setting, losses: Vec<f32>, out: PathBuf) -> Self {
        let data = setting.curve.points(POINTS, &mut rng(setting.seed, Draws::Data));
        let floor = setting.curve.mean_bayes_floor(&setting.schedule);
        Self { setting, trainer, data, losses, floor, out }
    }

    fn checkpoint_path(&self) -> PathBuf {
        self.out.join("s_curve-checkpoint.safetensors")
    }

    pub fn save(&self) -> std::io::Result<()> {
        let mut words = self.setting.words();
        words.insert("steps".to_owned(), self.trainer.steps().to_string());
        let mut arrays: BTreeMap<String, ArrayD<f32>> = self.trainer.arrays().into_iter().collect();
        arrays.insert("losses".to_owned(), Array1::from(self.losses.clone()).into_dyn());
        Checkpoint { kind: KIND.to_owned(), words, arrays }.save(&self.checkpoint_path())
    }

    pub fn save_and_say_how_to_go_on(&self) -> std::io::Result<()> {
        self.save()?;
        let (done, epochs, path) = (self.losses.len(), self.setting.epochs, self.checkpoint_path());
        println!("Stopped after epoch {done} of {epochs}. To go on: --resume {}", cli::quoted(&path.to_string_lossy()));
        Ok(())
    }

    /// Takes note of an epoch's mean loss, and saves ten times in a run. Fails where the parameters, or what the network
    /// makes of a few points, are not finite numbers: the loss of the last step was that of the step before.
    pub fn end_epoch(&mut self, loss: f64) -> Result<(), Box<dyn Error>> {
        let nets: Vec<_> = [Some(&self.trainer.net), self.trainer.average.as_ref()].into_iter().flatten().collect();
        let parameters = nets.iter().flat_map(|net| net.tensors());
        let mut not_finite = parameters.flat_map(|(_, tensor)| tensor.iter().copied().find(|x| !x.is_finite()));
        if let Some(got) = not_finite.next() {
            let error = literate_diffusion::Error::OutOfRange {
                name: "a parameter",
                expected: "a finite number",
                got: f64::from(got),
            };
            return Err(self.stopped(self.trainer.steps(), &error).into());
        }
        let seen = self.data.slice_axis(Axis(0), Slice::from(..100)).mapv(|x| x as f32);
        let times: Vec<usize> = (0..seen.nrows()).map(|i| i % self.setting.schedule.timesteps() + 1).collect();
        for net in nets {
            let got = f64::from(net.forward(&seen, &times)?.mapv(|eps| eps * eps).sum());
            if !got.is_finite() {
                let error =
                    literate_diffusion::Error::OutOfRange { name: "the loss", expected: "a finite number", got };
                return Err(self.stopped(self.trainer.steps(), &error).into());
            }
        }
        self.losses.push(loss as f32);
        let every = (self.setting.epochs / 10).max(1);
        if self.losses.len().is_multiple_of(every) {
            self.save()?;
        }
        Ok(())
    }

    /// What to say where a step of training fails.
    pub fn stopped(&self, step: u64, error: &literate_diffusion::Error) -> String {
        let (epoch, path) = (self.losses.len() + 1, self.checkpoint_path());
        format!(
            "training stopped in epoch {epoch}, at step {step}: {error}; the last good checkpoint is {}; train anew with a smaller --lr",
            path.display()
        )
    }

    /// Figures and numbers: what the network learned, and how good its samples are.
    ///
    /// `sample` has the number of samples, what they are drawn with, and at which times their states are wanted beside x_0.
    pub fn report(
        &self,
        net: &MlpDiffusion<f32>,
        sample: impl Fn(usize, Draws, &[usize]) -> literate_diffusion::Result<Vec<Array2<f64>>>,
    ) -> Result<(), Box<dyn Error>> {
        let (floors, losses) = self.losses_over_t(net)?;
        let (floor, loss) = (mean(&floors), mean(&losses));
        if !loss.is_finite() {
            return Err(diverged("the mean loss of the network", loss));
        }
        println!("mean loss {loss:.5}, floor {floor:.5}: {:+.2} % above it", 100.0 * (loss / floor - 1.0));

        self.draw_data()?;
        self.draw_forward()?;
        self.draw_losses()?;
        self.draw_losses_over_t(&floors, &losses)?;
        let times = shown_times(self.setting.schedule.timesteps());
        let path = sample(2000, Draws::Path, &times)?;
        if let Some(&x) = path.iter().flatten().find(|x| !x.is_finite()) {
            return Err(diverged("a coordinate of a sample", x));
        }
        self.draw_reverse(&times, &path)?;
        self.draw_samples(&path[path.len() - 1])?;
        let numbers = json!({
            "setting": self.setting.words(),
            "alpha_bar_end": self.setting.schedule.last().alpha_bar,
            "beta_1": self.setting.schedule.steps()[0].beta,
            "parameters": net.parameters(),
            "steps": self.trainer.steps(),
            "epoch_losses": self.epoch_losses(),
            "last_epochs": self.last_epochs(),
            "loss": loss,
            "floor": floor,
            "above_floor": loss / floor - 1.0,
            "above_floor_not_averaged": mean(&self.losses_over_t(&self.trainer.net)?.1) / floor - 1.0,
            "over_t": self.rows_over_t(&floors, &losses),
            "quality": self.quality(sample)?,
        });
        write_atomically(&self.out.join("s_curve-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
        println!("figures and checkpoint: {}", self.out.display());
        Ok(())
    }

    /// The floor and the loss of each t. The loss is the floor plus the mean of (ε_θ − ε*)², which is measured on fresh
    /// points: far more exact than the mean of (ε_θ − ε)², whose noise is that of ε.
    fn losses_over_t(&self, net: &MlpDiffusion<f32>) -> literate_diffusion::Result<(Vec<f64>, Vec<f64>)> {
        let rng = &mut rng(self.setting.seed, Draws::Truth);
        let (mut floors, mut losses) = (Vec::new(), Vec::new());
        for &step in self.setting.schedule.steps() {
            let x0 = self.setting.curve.points(1000, rng);
            let eps = Array2::random_using(x0.dim(), StandardNormal, rng);
            let xt = q_sample(&x0, step, &eps)?;
            let law = self.setting.curve.marginal(step);
            let eps_theta = net.forward(&xt.mapv(|x| x as f32), &vec![step.t; x0.nrows()])?.mapv(f64::from);
            let excess = (eps_theta - law.optimal_eps(&xt)?).mapv(|d| d * d).mean().unwrap_or(f64::NAN);
            floors.push(law.bayes_floor());
            losses.push(law.bayes_floor() + excess);
        }
        Ok((floors, losses))
    }

    /// The training loss of some epochs, by their numbers.
    fn epoch_losses(&self) -> Value {
        let shown = [1, 2, 10, 100, 600, 1000, 4000].into_iter().filter(|&epoch| epoch <= self.losses.len());
        shown.map(|epoch| (epoch.to_string(), json!(self.losses[epoch - 1]))).collect::<serde_json::Map<_, _>>().into()
    }

    /// How much the training loss varies from epoch to epoch, over the last tenth of them.
    fn last_epochs(&self) -> Value {
        let last: Vec<f64> = self.losses[self.losses.len() * 9 / 10..].iter().map(|&loss| f64::from(loss)).collect();
        let std = mean(&last.iter().map(|loss| (loss - mean(&last)).powi(2)).collect::<Vec<_>>()).sqrt();
        json!({ "count": last.len(), "mean": mean(&last), "std": std })
    }

    /// Floor and loss at the first t, at a tenth, a quarter and a half of T, and at the last.
    fn rows_over_t(&self, floors: &[f64], losses: &[f64]) -> Value {
        let end = floors.len();
        let times = [1, end.div_ceil(10), end.div_ceil(4), end.div_ceil(2), end];
        times.into_iter().map(|t| json!({ "t": t, "floor": floors[t - 1], "loss": losses[t - 1] })).collect()
    }

    /// Twenty pairs of 2,000 samples and 2,000 fresh points, and twenty of fresh points alone as the yardstick.
    fn quality(
        &self,
        sample: impl Fn(usize, Draws, &[usize]) -> literate_diffusion::Result<Vec<Array2<f64>>>,
    ) -> Result<Value, Box<dyn Error>> {
        const PAIRS: usize = 20;
        let (count, lines) = (2000, directions(64));
        let mut distances = [(); 4].map(|()| Vec::new());
        for pair in 0..PAIRS {
            let samples = sample(count, Draws::Samples(pair), &[])?.pop().ok_or("sampling gave no state")?;
            let fresh = |draws| self.setting.curve.points(count, &mut rng(self.setting.seed, draws));
            let (fresh, more) = (fresh(Draws::Fresh(pair)), fresh(Draws::MoreFresh(pair)));
            distances[0].push(energy_distance(&samples, &fresh)?);
            distances[1].push(energy_distance(&more, &fresh)?);
            distances[2].push(sliced_wasserstein(&samples, &fresh, &lines)?);
            distances[3].push(sliced_wasserstein(&more, &fresh, &lines)?);
        }
        let [energy, energy_of_data, wasserstein, wasserstein_of_data] = distances.map(|d| mean(&d));
        if !(energy + wasserstein).is_finite() {
            return Err(diverged("the mean distance of samples from data", energy + wasserstein));
        }
        println!("sample quality, mean of {PAIRS} pairs of {count} points:  samples-data  data-data  ratio");
        let row = |name: &str, got: f64, yardstick: f64| {
            println!("  {name:<52} {got:>12.3e} {yardstick:>10.3e} {:>6.2}", got / yardstick);
        };
        row("squared energy distance", energy, energy_of_data);
        row("sliced Wasserstein distance", wasserstein, wasserstein_of_data);
        let numbers = |got: f64, yardstick: f64| json!({ "samples": got, "data": yardstick, "ratio": got / yardstick });
        Ok(json!({
            "pairs": PAIRS,
            "points": count,
            "energy": numbers(energy, energy_of_data),
            "wasserstein": numbers(wasserstein, wasserstein_of_data),
        }))
    }

    fn figure<'a>(&'a self, name: &'a str, alt: &'a str) -> Figure<'a> {
        Figure { folder: &self.out, name, alt }
    }

    fn draw_data(&self) -> Result<(), Box<dyn Error>> {
        let clouds = vec![Cloud { label: "data", colour: BLUE, points: self.data.view() }];
        let panel = Panel { title: "the S-curve".to_owned(), clouds };
        self.figure("s_curve-data", "Points of the S-curve: a band in the shape of the letter S.").panels(
            &[panel],
            1,
            around(&[&self.data]),
        )?;
        Ok(())
    }

    fn draw_forward(&self) -> Result<(), Box<dyn Error>> {
        let schedule = &self.setting.schedule;
        let x0 = first_points(&self.data);
        let eps = Array2::random_using(x0.dim(), StandardNormal, &mut rng(self.setting.seed, Draws::Figures));
        let mut states = vec![(0, x0.clone())];
        for t in evenly_spaced_times(schedule.timesteps(), schedule.timesteps().min(19))? {
            states.push((t, q_sample(&x0, schedule.step(t)?, &eps)?));
        }
        let range = around(&[&states[0].1, &states[states.len() - 1].1]);
        let count = states.len();
        let alt =
            format!("{count} panels of the forward process: the S-curve widens and blurs until it is a round cloud.");
        self.figure("s_curve-forward", &alt).panels(&panels(&states, BLUE), 5, range)?;
        Ok(())
    }

    fn draw_reverse(&self, times: &[usize], path: &[Array2<f64>]) -> Result<(), Box<dyn Error>> {
        let states: Vec<(usize, Array2<f64>)> = times.iter().copied().rev().zip(path.iter().cloned()).collect();
        let count = states.len();
        let alt = format!("{count} panels of the reverse process: a round cloud of noise contracts into the S-curve.");
        let range = around(&[&first_points(&path[0])]);
        self.figure("s_curve-reverse", &alt).panels(&panels(&states, ORANGE), 5, range)?;
        Ok(())
    }

    fn draw_samples(&self, samples: &Array2<f64>) -> Result<(), Box<dyn Error>> {
        let clouds = vec![
            Cloud { label: "data", colour: BLUE, points: self.data.view() },
            Cloud { label: "samples", colour: ORANGE, points: samples.view() },
        ];
        let alt = "Samples of the trained model over points of the data.";
        let panel = Panel { title: "samples over data".to_owned(), clouds };
        self.figure("s_curve-samples", alt).panels(&[panel], 1, around(&[&self.data]))?;
        Ok(())
    }

    fn draw_losses(&self) -> Result<(), Box<dyn Error>> {
        let x = |i: usize| (i + 1) as f64;
        let losses = self.losses.iter().enumerate().map(|(i, &loss)| (x(i), f64::from(loss))).collect();
        let floor = vec![(x(0), self.floor), (x(self.losses.len().max(2) - 1), self.floor)];
        let alt = "The mean loss of each epoch falls towards a floor that is above zero.";
        self.figure("s_curve-loss", alt).curves(
            &Axes { x: "epoch", y: "mean loss", log_y: false },
            &[curve("training loss", BLUE, losses), curve("floor", ORANGE, floor)],
        )?;
        Ok(())
    }

    fn draw_losses_over_t(&self, floors: &[f64], losses: &[f64]) -> Result<(), Box<dyn Error>> {
        let over_t = |values: &[f64]| values.iter().enumerate().map(|(i, &y)| ((i + 1) as f64, y)).collect();
        let alt =
            "The loss of each time t lies just above its floor, which falls from near one to near zero as t grows.";
        self.figure("s_curve-loss-over-t", alt).curves(
            &Axes { x: "t", y: "loss", log_y: true },
            &[curve("loss", BLUE, over_t(losses)), curve("floor", ORANGE, over_t(floors))],
        )?;
        Ok(())
    }
}

fn diverged(what: &str, got: f64) -> Box<dyn Error> {
    format!("{what} is {got}, but it must be a finite number; the training diverged: train anew with a smaller --lr")
        .into()
}

fn curve(label: &str, colour: plotters::style::RGBColor, points: Vec<(f64, f64)>) -> Curve<'_> {
    Curve { label, colour, points, dashed: false }
}

fn panels(states: &[(usize, Array2<f64>)], colour: plotters::style::RGBColor) -> Vec<Panel<'_>> {
    states
        .iter()
        .map(|(t, points)| Panel {
            title: format!("t = {t}"),
            clouds: vec![Cloud { label: "", colour, points: points.view() }],
        })
        .collect()
}

/// The times that the panels of the reverse process show, from 0 to the last.
fn shown_times(last: usize) -> Vec<usize> {
    // Most of the S appears in the last few steps: show more of those.
    let panels_after_first = last.min(9);
    let mut times: Vec<usize> = vec![0];
    for i in 1..=panels_after_first {
        let wanted = (last as f64 * (i as f64 / panels_after_first as f64).powi(2)).round() as usize;
        times.push(wanted.max(times[i - 1] + 1));
    }
    times
}

/// As many points as a panel shows.
fn first_points(points: &Array2<f64>) -> Array2<f64> {
    points.slice_axis(Axis(0), Slice::from(..500)).to_owned()
}

/// A range that shows nearly all points of all clouds, symmetric about 0.
fn around(clouds: &[&Array2<f64>]) -> std::ops::Range<f64> {
    let reach =
        clouds.iter().flat_map(|cloud| cloud.axis_iter(Axis(0))).flatten().fold(0.0, |m: f64, x| m.max(x.abs()));
    -1.05 * reach..1.05 * reach
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
