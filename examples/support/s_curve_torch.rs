//! What `examples/s_curve_torch.rs` needs and is not the idea: its arguments, its checkpoint and its report.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use literate_diffusion::evaluation::energy_distance;
use literate_diffusion::paper::CLASSIC_TIMESTEPS;
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::parse_device;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor, set_num_threads};
use literate_diffusion::torch::trainer::Trainer;
use ndarray::Array2;
use ndarray_rand::rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::support::checkpoint::CheckpointError;
use crate::support::files::{lock, write_atomically};
use crate::support::plot::{Axes, BLUE, Cloud, Curve, Figure, ORANGE, Panel};
use crate::support::tensors::Tensors;
use crate::support::{cli, figures};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Trains the S-curve's noise predictor in libtorch, and samples from it. Without a command, it does both.
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
}

/// Where to compute.
#[derive(Args)]
struct Machine {
    /// cpu, cuda, cuda:N, or auto: CUDA where there is one
    #[arg(long, value_parser = cli::device, default_value = "cpu")]
    device: String,
    /// Threads on the CPU: for so small a network, one is fastest
    #[arg(long, value_parser = cli::count, default_value_t = 1)]
    threads: usize,
}

impl Machine {
    fn prepare(&self) -> Outcome<Device> {
        set_num_threads(i32::try_from(self.threads)?);
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
    /// Folder for the checkpoint and the figures
    #[arg(long, default_value_os_t = figures())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Go on from this checkpoint, with its settings, as if there had been no stop
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["epochs", "batch", "lr", "seed"])]
    resume: Option<PathBuf>,
}

#[derive(Args)]
pub struct SampleArguments {
    #[arg(long, help = format!("A checkpoint [default: {}]", checkpoint_path(&figures()).display()))]
    weights: Option<PathBuf>,
    /// Points to make
    #[arg(long, value_parser = cli::count, default_value_t = 2000)]
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
    out: PathBuf,
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
        let (mut setting, mut losses, mut checkpoint) = (Setting { epochs, batch, lr, seed }, Vec::new(), None);
        if let Some(path) = &arguments.resume {
            let file = load(path)?;
            let damaged = |error| damaged(path, &error);
            setting = serde_json::from_str(file.word(path, "setting")?).map_err(damaged)?;
            losses = serde_json::from_str(file.word(path, "losses")?).map_err(damaged)?;
            checkpoint = Some((path, file));
        }
        let lock = lock(&arguments.out)?;
        let mut trainer = new_trainer(&setting, device)?;
        if let Some((path, file)) = checkpoint {
            let steps = serde_json::from_str(file.word(path, "steps")?).map_err(|error| damaged(path, &error))?;
            trainer.load(&file.tensors, steps).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let data = points(setting.seed, 0).to_device(device);
        let run = Self { setting, trainer, data, losses, out: arguments.out.clone(), _lock: lock };
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
            format!("training stopped: {error}; the last good checkpoint is {}; try a smaller --lr", last.display())
        })?;
        self.losses.push(loss);
        let every = (self.setting.epochs / 10).max(1);
        if self.losses.len().is_multiple_of(every) { self.save() } else { Ok(()) }
    }

    pub fn save(&self) -> Outcome<()> {
        let words = [
            ("setting", serde_json::to_string(&self.setting)?),
            ("losses", serde_json::to_string(&self.losses)?),
            ("steps", self.trainer.steps().to_string()),
        ];
        let words: BTreeMap<_, _> = words.into_iter().map(|(name, word)| (name.to_owned(), word)).collect();
        let file = Tensors { kind: KIND.to_owned(), words, tensors: self.trainer.state() };
        Ok(file.save(&checkpoint_path(&self.out))?)
    }

    pub fn save_and_say_how_to_go_on(&self) -> Outcome<()> {
        self.save()?;
        let (done, epochs, out) = (self.losses.len(), self.setting.epochs, self.out.display());
        let path = checkpoint_path(&self.out);
        println!("Stopped after epoch {done} of {epochs}. To go on: train --resume {} --out {out}", path.display());
        Ok(())
    }

    /// The loss of each epoch, as a figure and as a table.
    pub fn report(&self) -> Outcome<()> {
        let points = self.losses.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss)).collect();
        let curve = Curve { label: "training loss", colour: BLUE, points, dashed: false };
        let alt = "The mean loss of each epoch falls, and stays above zero.";
        let axes = Axes { x: "epoch", y: "mean loss", log_y: false };
        Figure { folder: &self.out, name: "s_curve_torch-loss", alt }.curves(&axes, &[curve])?;
        let rows = self.losses.iter().enumerate().map(|(i, loss)| format!("{},{loss:.6}\n", i + 1));
        let csv = format!("epoch,loss\n{}", rows.collect::<String>());
        write_atomically(&self.out.join("s_curve_torch-metrics.csv"), csv.as_bytes())?;
        let last = self.losses.last().copied().unwrap_or(f64::NAN);
        println!("loss {last:.5} in epoch {}; checkpoint and figures: {}", self.losses.len(), self.out.display());
        Ok(())
    }
}

impl SampleArguments {
    pub fn device(&self) -> Outcome<Device> {
        self.machine.prepare()
    }

    fn path(&self) -> PathBuf {
        self.weights.clone().unwrap_or_else(|| checkpoint_path(&figures()))
    }

    /// The network's parameters, by name.
    pub fn weights(&self) -> Outcome<Vec<(String, Tensor)>> {
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

    pub fn times(&self) -> literate_diffusion::Result<Vec<usize>> {
        evenly_spaced_times(CLASSIC_TIMESTEPS, self.steps)
    }

    /// The samples over the data, the way back, and how far the samples are from fresh points.
    pub fn report(&self, samples: &Tensor, states: &[(usize, Tensor)]) -> Outcome<()> {
        let fresh = |stream| array(&points(self.seed, stream).narrow(0, 0, self.count.min(10_000) as i64));
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

/// 10,000 points of the notebook's S-curve.
fn points(seed: u64, stream: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let points = SCurve::classic().points(10_000, &mut rng);
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
    CheckpointError::Damaged { path: path.to_owned(), reason: format!("its settings cannot be read: {error}") }
}
