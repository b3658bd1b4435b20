//! What `examples/s_curve_torch.rs` needs and is not the idea: its arguments, its checkpoint and its report.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use literate_diffusion::Schedule;
use literate_diffusion::evaluation::{directions, energy_distance, sliced_wasserstein};
use literate_diffusion::forward::q_sample;
use literate_diffusion::paper::{CLASSIC_BETA_1, CLASSIC_BETA_T, CLASSIC_TIMESTEPS};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::parse_device;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor, set_num_threads};
use literate_diffusion::torch::trainer::{TENTHS, Trainer};
use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::checkpoint::CheckpointError;
use crate::support::files::{folder_of, keep_older, lock, writable, write_atomically};
use crate::support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, ORANGE, Panel};
use crate::support::tensors::Tensors;
use crate::support::{cli, figures};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Trains the S-curve's noise predictor in libtorch, samples from it, and measures it. Without a command, it trains and
/// samples.
#[derive(Parser)]
#[command(name = "s_curve_torch", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    /// What is to be done: the command, or both of them with their defaults.
    pub fn commands(self) -> Vec<Command> {
        let default = |name: &str| Self::parse_from(["s_curve_torch", name]).command;
        match self.command {
            Some(command) => vec![command],
            None => ["train", "sample"].into_iter().filter_map(default).collect(),
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Train with the notebook's setting: T = 100, sigmoid beta from 1e-5 to 5e-3; Ctrl-C saves
    Train(TrainArguments),
    /// Make points with a trained network
    Sample(SampleArguments),
    /// Measure a trained network: its loss over t beside the least possible, and samples beside fresh points
    Evaluate(EvaluateArguments),
}

/// Where to compute.
#[derive(Args)]
struct Machine {
    /// cpu, cuda, cuda:N, or auto: CUDA where there is one
    #[arg(long, value_parser = cli::device, default_value = "cpu")]
    device: String,
    /// Threads on the CPU: for so small a network, one is fastest
    #[arg(long, value_parser = cli::threads, default_value_t = 1)]
    threads: i32,
}

impl Machine {
    fn prepare(&self) -> Outcome<Device> {
        set_num_threads(self.threads);
        Ok(parse_device(&self.device)?)
    }
}

#[derive(Args)]
pub struct TrainArguments {
    /// Passes over 10,000 points
    #[arg(long, value_parser = cli::count, default_value_t = 4000)]
    epochs: usize,
    /// Points in a batch
    #[arg(long, value_parser = cli::count, default_value_t = 128)]
    batch: usize,
    /// Adam's learning rate
    #[arg(long, value_parser = cli::positive, default_value_t = 1e-3)]
    lr: f64,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, help = format!("Folder for the checkpoint and the figures [default: {}, with --resume: the checkpoint's]", figures().display()))]
    out: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Go on from this checkpoint, with its settings, as if there had been no stop
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["epochs", "batch", "lr", "seed"])]
    resume: Option<PathBuf>,
}

impl TrainArguments {
    fn out(&self) -> PathBuf {
        let of_checkpoint = || Some(folder_of(self.resume.as_ref()?).to_owned());
        self.out.clone().or_else(of_checkpoint).unwrap_or_else(figures)
    }
}

/// The weights to use.
#[derive(Args)]
pub struct Weights {
    #[arg(long, help = format!("A checkpoint [default: {}]", checkpoint_path(&figures()).display()))]
    weights: Option<PathBuf>,
}

#[derive(Args)]
pub struct EvaluateArguments {
    #[command(flatten)]
    pub weights: Weights,
    /// Points in a set that is compared with another
    #[arg(long, value_parser = points_of_a_set, default_value_t = 2000)]
    pub count: usize,
    /// Pairs of sets, of which the mean is taken
    #[arg(long, value_parser = cli::count, default_value_t = 20)]
    pub pairs: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for the figure and the numbers
    #[arg(long, default_value_os_t = figures())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Args)]
pub struct SampleArguments {
    #[command(flatten)]
    pub weights: Weights,
    /// Points to make
    #[arg(long, value_parser = points_of_a_set, default_value_t = 2000)]
    pub count: usize,
    /// Sampling steps, at most T = 100 [default: 100]
    #[arg(long, value_parser = steps, default_value_t = CLASSIC_TIMESTEPS)]
    steps: usize,
    /// Sample by DDIM with this share of an ancestral step's noise, 0 to 1 [default: ancestral sampling]
    #[arg(long, value_parser = cli::share)]
    pub eta: Option<f64>,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for the figures
    #[arg(long, default_value_os_t = figures())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

/// For clap: a number of points. Each is compared with each, and 10,000 is as many as the data has.
fn points_of_a_set(text: &str) -> Result<usize, String> {
    cli::within(text, 1, POINTS)
}

/// For clap: a number of sampling steps.
fn steps(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(steps) if (1..=CLASSIC_TIMESTEPS).contains(&steps) => Ok(steps),
        _ => Err(format!("it must be a whole number from 1 to T = {CLASSIC_TIMESTEPS}")),
    }
}

/// All that a run's result follows from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setting {
    pub epochs: usize,
    pub batch: usize,
    pub lr: f64,
    pub seed: u64,
}

/// A training run: what it has done so far and where it is kept.
pub struct Run {
    pub setting: Setting,
    pub trainer: Trainer,
    /// The points, (n, 2).
    pub data: Tensor,
    /// The mean loss of each epoch that is done.
    pub losses: Vec<f64>,
    /// After each part of the run, the mean loss over each tenth of 1..=T, where it had a sample.
    over_t: Vec<[Option<f64>; TENTHS]>,
    out: PathBuf,
    /// As the command line had them, to be given again.
    machine: String,
    /// Held as long as the run goes on.
    _lock: File,
}

const KIND: &str = "the S-curve in libtorch";

impl Run {
    /// A fresh run, or the one of `--resume`.
    pub fn begin(
        arguments: &TrainArguments,
        new_trainer: impl Fn(&Setting, Device) -> literate_diffusion::Result<Trainer>,
    ) -> Outcome<Self> {
        let device = arguments.machine.prepare()?;
        let TrainArguments { epochs, batch, lr, seed, .. } = *arguments;
        let (mut setting, mut losses, mut over_t) = (Setting { epochs, batch, lr, seed }, Vec::new(), Vec::new());
        let mut checkpoint = None;
        if let Some(path) = &arguments.resume {
            let file = load(path)?;
            let damaged = |error| damaged(path, &error);
            setting = serde_json::from_str(file.word(path, "setting")?).map_err(damaged)?;
            losses = serde_json::from_str(file.word(path, "losses")?).map_err(damaged)?;
            over_t = serde_json::from_str(file.word(path, "over_t")?).map_err(damaged)?;
            let Setting { epochs, batch, .. } = setting;
            if ![epochs, batch].iter().all(|count| (1..=cli::MOST).contains(count)) {
                let reason = format!("{epochs} epochs, batch {batch}: both must lie between 1 and {}", cli::MOST);
                return Err(CheckpointError::damaged(path, reason).into());
            }
            checkpoint = Some((path, file));
        }
        let out = arguments.out();
        let lock = lock(&out)?;
        let mut trainer = new_trainer(&setting, device)?;
        if let Some((path, file)) = checkpoint {
            let steps = serde_json::from_str(file.word(path, "steps")?).map_err(|error| damaged(path, &error))?;
            trainer.load(&file.tensors, steps).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let data = points(setting.seed, 0).to_device(device);
        let Machine { device, threads } = &arguments.machine;
        let machine = format!("--device {device} --threads {threads}");
        let run = Self { setting, trainer, data, losses, over_t, out, machine, _lock: lock };
        if arguments.resume.is_none()
            && let Some(kept) = keep_older(&checkpoint_path(&run.out))?
        {
            println!("the checkpoint of an earlier run is kept as {}", kept.display());
        }
        run.save()?; // Learn before the work, not after, that the folder cannot be written.
        Ok(run)
    }

    /// The order of the points in the present epoch.
    pub fn order(&self) -> Tensor {
        let options = (Kind::Int64, Device::Cpu);
        let draw = || Tensor::randperm(self.data.size()[0], options);
        drawn(self.setting.seed, Stream::Order, self.losses.len() as u64, draw).to_device(self.data.device())
    }

    /// Takes note of an epoch's mean loss, and saves ten times in a run.
    pub fn end_epoch(&mut self, loss: f64) -> Outcome<()> {
        let last = checkpoint_path(&self.out);
        self.trainer.check().map_err(|error| {
            format!(
                "training stopped: {error}; the last good checkpoint is {}; train anew with a smaller --lr",
                last.display()
            )
        })?;
        self.losses.push(loss);
        let every = (self.setting.epochs / 10).max(1);
        if self.losses.len().is_multiple_of(every) {
            self.over_t.push(self.trainer.losses().map(|loss| loss.is_finite().then_some(loss)));
            self.trainer.forget_losses();
            self.write_metrics()?;
            self.save()?;
        }
        Ok(())
    }

    pub fn save(&self) -> Outcome<()> {
        let words = [
            ("setting", serde_json::to_string(&self.setting)?),
            ("losses", serde_json::to_string(&self.losses)?),
            ("over_t", serde_json::to_string(&self.over_t)?),
            ("steps", self.trainer.steps().to_string()),
        ];
        let words: BTreeMap<_, _> = words.into_iter().map(|(name, word)| (name.to_owned(), word)).collect();
        let file = Tensors { kind: KIND.to_owned(), words, tensors: self.trainer.state() };
        Ok(file.save(&checkpoint_path(&self.out))?)
    }

    pub fn save_and_say_how_to_go_on(&self) -> Outcome<()> {
        self.save()?;
        let (done, epochs, path) = (self.losses.len(), self.setting.epochs, checkpoint_path(&self.out));
        let path = cli::quoted(&path.to_string_lossy());
        println!("Stopped after epoch {done} of {epochs}. To go on: train --resume {path} {}", self.machine);
        Ok(())
    }

    fn write_metrics(&self) -> Outcome<()> {
        let rows = self.losses.iter().enumerate().map(|(i, loss)| format!("{},{loss:.6}\n", i + 1));
        let csv = format!("epoch,loss\n{}", rows.collect::<String>());
        Ok(write_atomically(&self.out.join("s_curve_torch-metrics.csv"), csv.as_bytes())?)
    }

    /// The first and the last part of the run, above what no network can go below.
    fn draw_losses_over_t(&self) -> Outcome<()> {
        let middle = |tenth: usize| (tenth as f64 + 0.5) * CLASSIC_TIMESTEPS as f64 / TENTHS as f64;
        let curve = |label, colour, losses: &[Option<f64>]| {
            let points = losses.iter().enumerate().filter_map(|(tenth, loss)| Some((middle(tenth), (*loss)?)));
            Curve { label, colour, points: points.collect(), dashed: false }
        };
        let each = CLASSIC_TIMESTEPS / TENTHS;
        let floors: Vec<_> = floors()?.chunks(each).map(|part| Some(part.iter().sum::<f64>() / each as f64)).collect();
        let mut curves = Vec::new();
        if let [first, .., last] = self.over_t.as_slice() {
            curves.push(curve("first part of the run", GREEN, first));
            curves.push(curve("last part", BLUE, last));
        }
        curves.push(curve("floor", ORANGE, &floors));
        let alt = "The mean loss of each tenth of the times, at the beginning of the run and at its end, and the floor below.";
        let axes = Axes { x: "t", y: "mean loss", log_y: true };
        Figure { folder: &self.out, name: "s_curve_torch-loss-over-t", alt }.curves(&axes, &curves)?;
        Ok(())
    }

    /// The loss of each epoch, as a figure and as a table.
    pub fn report(&self) -> Outcome<()> {
        let points = self.losses.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss)).collect();
        let curve = Curve { label: "training loss", colour: BLUE, points, dashed: false };
        let alt = "The mean loss of each epoch falls, and stays above zero.";
        let axes = Axes { x: "epoch", y: "mean loss", log_y: false };
        Figure { folder: &self.out, name: "s_curve_torch-loss", alt }.curves(&axes, &[curve])?;
        self.write_metrics()?;
        self.draw_losses_over_t()?;
        let last = self.losses.last().copied().unwrap_or(f64::NAN);
        println!("loss {last:.5} in epoch {}; checkpoint and figures: {}", self.losses.len(), self.out.display());
        Ok(())
    }
}

impl Weights {
    fn path(&self) -> PathBuf {
        self.weights.clone().unwrap_or_else(|| checkpoint_path(&figures()))
    }

    /// The network's parameters, by name.
    pub fn load(&self) -> Outcome<Vec<(String, Tensor)>> {
        let path = self.path();
        if !path.exists() {
            return Err(format!("there are no weights at {}; train with `train` first", path.display()).into());
        }
        let missing = || CheckpointError::Missing { path: path.clone(), what: "weights".to_owned() };
        Ok(load(&path)?.part("weights.").ok_or_else(missing)?)
    }

    pub fn in_file(&self, error: &literate_diffusion::Error) -> String {
        format!("{}: {error}", self.path().display())
    }
}

impl EvaluateArguments {
    /// The device, once it is known that the folder can be written to.
    pub fn begin(&self) -> Outcome<Device> {
        writable(&self.out)?;
        self.machine.prepare()
    }

    /// The loss at each t, which is the floor plus the mean of (ε_θ − ε*)², and how far samples are from fresh points.
    ///
    /// `predict` has x_t and t, `sample` the number of the set that it makes.
    pub fn report(
        &self,
        predict: impl Fn(&Tensor, usize) -> Outcome<Tensor>,
        sample: impl Fn(usize) -> Outcome<Tensor>,
    ) -> Outcome<()> {
        let (floors, losses) = (floors()?, self.losses_over_t(predict)?);
        let (floor, loss) = (mean(&floors), mean(&losses));
        println!("mean loss {loss:.5}, floor {floor:.5}: {:+.2} % above it", 100.0 * (loss / floor - 1.0));
        let over_t = |values: &[f64]| values.iter().zip(1..).map(|(&y, t)| (f64::from(t), y)).collect();
        let curve = |label, colour, points| Curve { label, colour, points, dashed: false };
        let curves = [curve("loss", BLUE, over_t(&losses)), curve("floor", ORANGE, over_t(&floors))];
        let alt = "The loss of each time t lies just above its floor.";
        let axes = Axes { x: "t", y: "loss", log_y: true };
        Figure { folder: &self.out, name: "s_curve_torch-evaluation", alt }.curves(&axes, &curves)?;

        let numbers = json!({ "loss": loss, "floor": floor, "over_t": losses, "quality": self.quality(sample)? });
        let path = self.out.join("s_curve_torch-evaluation-numbers.json");
        write_atomically(&path, serde_json::to_string_pretty(&numbers)?.as_bytes())?;
        println!("all numbers: {}", path.display());
        Ok(())
    }

    fn losses_over_t(&self, predict: impl Fn(&Tensor, usize) -> Outcome<Tensor>) -> Outcome<Vec<f64>> {
        let curve = SCurve::classic();
        let mut losses = Vec::new();
        for &step in classic_schedule()?.steps() {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(1000 + step.t as u64);
            let x0 = curve.points(1000, &mut rng);
            let eps = Array2::random_using(x0.dim(), StandardNormal, &mut rng);
            let (xt, law) = (q_sample(&x0, step, &eps)?, curve.marginal(step));
            let numbers = xt.iter().map(|&x| x as f32).collect::<Vec<_>>();
            let eps_theta = array(&predict(&Tensor::from_slice(&numbers).view([-1, 2]), step.t)?)?;
            let excess = (eps_theta - law.optimal_eps(&xt)?).mapv(|d| d * d).mean().unwrap_or(f64::NAN);
            losses.push(law.bayes_floor() + excess);
        }
        Ok(losses)
    }

    fn quality(&self, sample: impl Fn(usize) -> Outcome<Tensor>) -> Outcome<Value> {
        let lines = directions(64);
        let mut distances = [(); 4].map(|()| Vec::new());
        for pair in 0..self.pairs {
            let samples = array(&sample(pair)?)?;
            let fresh = |stream: usize| array(&points(self.seed, stream as u64).narrow(0, 0, self.count as i64));
            let (fresh, more) = (fresh(1 + 2 * pair)?, fresh(2 + 2 * pair)?);
            distances[0].push(energy_distance(&samples, &fresh)?);
            distances[1].push(energy_distance(&more, &fresh)?);
            distances[2].push(sliced_wasserstein(&samples, &fresh, &lines)?);
            distances[3].push(sliced_wasserstein(&more, &fresh, &lines)?);
        }
        let [energy, energy_of_data, wasserstein, wasserstein_of_data] = distances.map(|d| mean(&d));
        let rows = [
            ("squared energy distance", "energy", energy, energy_of_data),
            ("sliced Wasserstein distance", "wasserstein", wasserstein, wasserstein_of_data),
        ];
        println!("mean of {} pairs of {} points:  samples-data  data-data  ratio", self.pairs, self.count);
        let mut numbers = json!({ "pairs": self.pairs, "points": self.count });
        for (title, name, got, yardstick) in rows {
            println!("  {title:<28} {got:>12.3e} {yardstick:>10.3e} {:>6.2}", got / yardstick);
            numbers[name] = json!({ "samples": got, "data": yardstick, "ratio": got / yardstick });
        }
        Ok(numbers)
    }
}

impl SampleArguments {
    /// The device, once it is known that the folder can be written to.
    pub fn begin(&self) -> Outcome<Device> {
        writable(&self.out)?;
        self.machine.prepare()
    }

    pub fn times(&self) -> literate_diffusion::Result<Vec<usize>> {
        evenly_spaced_times(CLASSIC_TIMESTEPS, self.steps)
    }

    /// The samples over the data, the way back, and how far the samples are from fresh points.
    pub fn report(&self, samples: &Tensor, states: &[(usize, Tensor)]) -> Outcome<()> {
        let fresh = |stream| array(&points(self.seed, stream).narrow(0, 0, self.count as i64));
        let (fresh, more, samples) = (fresh(1)?, fresh(2)?, array(samples)?);
        let (got, yardstick) = (energy_distance(&samples, &fresh)?, energy_distance(&more, &fresh)?);
        println!(
            "{} samples; squared energy distance to fresh data {got:.3e}, of fresh data {yardstick:.3e}",
            self.count
        );

        let clouds = vec![
            Cloud { label: "data", colour: BLUE, points: fresh.view() },
            Cloud { label: "samples", colour: ORANGE, points: samples.view() },
        ];
        let alt = "Samples of the trained model over points of the data.";
        let panel = Panel { title: "samples over data".to_owned(), clouds };
        let range = -0.35..0.35;
        Figure { folder: &self.out, name: "s_curve_torch-samples", alt }.panels(&[panel], 1, range)?;

        let last = states.len() - 1;
        let shown = (0..10).map(|i| &states[i * last / 9]);
        let shown = shown.map(|(t, xt)| Ok((*t, array(xt)?))).collect::<Outcome<Vec<_>>>()?;
        let panels: Vec<Panel> = shown
            .iter()
            .map(|(t, points)| Panel {
                title: format!("t = {t}"),
                clouds: vec![Cloud { label: "", colour: ORANGE, points: points.view() }],
            })
            .collect();
        let alt = "Ten panels of the reverse process: a round cloud of noise contracts into the S-curve.";
        Figure { folder: &self.out, name: "s_curve_torch-reverse", alt }.panels(&panels, 5, -4.0..4.0)?;
        println!("figures: {}", self.out.display());
        Ok(())
    }
}

/// The notebook's schedule, as the reference has it.
fn classic_schedule() -> literate_diffusion::Result<Schedule> {
    Schedule::sigmoid(CLASSIC_TIMESTEPS, CLASSIC_BETA_1, CLASSIC_BETA_T)
}

/// The least loss at each t that any network can reach.
fn floors() -> literate_diffusion::Result<Vec<f64>> {
    let curve = SCurve::classic();
    Ok(classic_schedule()?.steps().iter().map(|&step| curve.marginal(step).bayes_floor()).collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How many points the data has.
const POINTS: usize = 10_000;

/// The points of the notebook's S-curve.
fn points(seed: u64, stream: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let points = SCurve::classic().points(POINTS, &mut rng);
    Tensor::from_slice(&points.iter().map(|&x| x as f32).collect::<Vec<_>>()).view([-1, 2])
}

fn array(points: &Tensor) -> Outcome<Array2<f64>> {
    let numbers: Vec<f64> = points.to_kind(Kind::Double).contiguous().view(-1).iter::<f64>()?.collect();
    Ok(Array2::from_shape_vec((numbers.len() / 2, 2), numbers)?)
}

fn checkpoint_path(out: &Path) -> PathBuf {
    out.join("s_curve_torch-checkpoint.safetensors")
}

fn load(path: &Path) -> Result<Tensors, CheckpointError> {
    let file = Tensors::load(path)?;
    if file.kind == KIND {
        return Ok(file);
    }
    Err(CheckpointError::Foreign { path: path.to_owned(), got: file.kind, expected: KIND.to_owned() })
}

fn damaged(path: &Path, error: &serde_json::Error) -> CheckpointError {
    CheckpointError::damaged(path, format!("its settings cannot be read: {error}"))
}
