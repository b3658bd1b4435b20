//! `sample`: from a file of weights to pictures.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use literate_diffusion::objective;
use literate_diffusion::sampler::LastStep;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling};
use literate_diffusion::torch::tch::Tensor;
use literate_diffusion::torch::unet::ImageNetwork;
use serde_json::json;

use super::model::{Model, Name, Trained};
use super::record::record;
use super::train::Precision;
use super::{Machine, Outcome, cli, grid, out, usage};
use crate::DATA_SET;
use crate::support::files::{writable, write_atomically};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long, help = format!("A file of weights, or a checkpoint [default: {}]", DATA_SET.shipped))]
    weights: Option<PathBuf>,
    /// Pictures to make
    #[arg(long, value_parser = pictures, default_value_t = 64)]
    count: usize,
    /// Sampling steps, at most T [default: 50, with --variance: T]
    #[arg(long, value_parser = cli::count)]
    steps: Option<usize>,
    /// Sample by DDIM with this share of an ancestral step's noise, 0 to 1
    #[arg(long, value_parser = cli::share, default_value_t = 0.0)]
    eta: f64,
    /// Ancestral sampling with this variance, in place of DDIM
    #[arg(long, value_enum, conflicts_with = "eta")]
    variance: Option<Variance>,
    #[arg(long, value_parser = class, help = format!("A class, 0 to {}, of a network trained with --conditional", DATA_SET.classes - 1))]
    class: Option<usize>,
    /// How far to go from "no class" to the class: 1 is there, more is beyond
    #[arg(long, value_parser = cli::finite, default_value_t = 1.0, requires = "class", allow_negative_numbers = true)]
    guidance: f64,
    /// Let a predicted x_0 lie outside [-1, 1]
    #[arg(long)]
    no_clip: bool,
    /// Pictures made at a time: fewer need less memory, and come out the same
    #[arg(long, value_parser = cli::count, default_value_t = BATCH)]
    batch: usize,
    /// The numbers that the network computes with
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the pictures
    #[arg(long, default_value_os_t = out())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variance {
    /// beta_t
    Beta,
    /// The posterior's, which is less
    BetaTilde,
}

/// For clap: a number of pictures that one PNG can show.
fn pictures(text: &str) -> Result<usize, String> {
    cli::within(text, 1, MOST_PICTURES)
}

/// For clap: a class of the data set.
fn class(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(class) if class < DATA_SET.classes => Ok(class),
        _ => Err(format!("{} has the classes 0 to {}", DATA_SET.name, DATA_SET.classes - 1)),
    }
}

/// Pictures made at a time unless told otherwise.
const BATCH: usize = 64;

/// Pictures in one PNG: more would not fit on any screen, and hardly into memory.
pub const MOST_PICTURES: usize = 10_000;

/// Columns of a grid and of a strip.
const COLUMNS: usize = 10;

/// Samples, and writes a grid of all samples and a strip of how the first ones came to be.
pub fn sample(arguments: &Arguments) -> Outcome<()> {
    let device = arguments.machine.prepare()?;
    let shipped = shipped();
    let trained = Trained::open(arguments.weights.as_deref().unwrap_or(&shipped))?;
    let (times, sampling) = choices(arguments, &trained.model)?;
    writable(&arguments.out)?;
    let net = trained.network(device)?;
    println!("{}; {} steps, seed {}", trained.model, times.len(), arguments.seed);

    let began = Instant::now();
    let sampler = Sampler::new(net.as_ref(), &trained.model.schedule()?, &times, sampling)?;
    let (samples, strip) = in_batches(&sampler, &times, arguments)?;
    let seconds = began.elapsed().as_secs_f64();
    let grid_path = arguments.out.join("samples.png");
    grid::write(&grid_path, &samples, columns(arguments.count))?;
    let strip_path = arguments.out.join("reverse.png");
    grid::write(&strip_path, &strip, shown(&times).len())?;
    let shown_times: Vec<_> = shown(&times).into_iter().rev().collect();
    let more = json!({ "count": arguments.count, "steps": times.len(), "times_of_the_strip": shown_times });
    let record = record(device, &trained.model.to_string(), arguments.seed, seconds, &arguments.precision.name(), more);
    for path in [&grid_path, &strip_path] {
        write_atomically(&path.with_extension("json"), serde_json::to_string_pretty(&record)?.as_bytes())?;
    }
    println!("{} samples: {}; from noise to picture: {}", arguments.count, grid_path.display(), strip_path.display());
    Ok(())
}

/// The visited times, and how to step from one to the next.
fn choices(arguments: &Arguments, model: &Model) -> Outcome<(Vec<usize>, Sampling)> {
    let steps = match (arguments.steps, arguments.variance) {
        (Some(steps), _) => steps,
        (None, Some(_)) => model.timesteps,
        (None, None) => model.timesteps.min(50),
    };
    if steps > model.timesteps {
        usage(&format!(
            "--steps is {steps}, but these weights were trained with T = {}; give at most that",
            model.timesteps
        ));
    }
    if let (Some(class), 0) = (arguments.class, model.classes) {
        usage(&format!(
            "--class is {class}, but these weights were trained without classes; leave it out, or train with --conditional"
        ));
    }
    let method = match arguments.variance {
        None => Method::Ddim(arguments.eta),
        Some(Variance::Beta) => Method::Ancestral(objective::Variance::Beta, LastStep::Mean),
        Some(Variance::BetaTilde) => Method::Ancestral(objective::Variance::BetaTilde, LastStep::Mean),
    };
    let sampling = Sampling {
        prediction: model.objective.into(),
        method,
        clip: (!arguments.no_clip).then_some((-1.0, 1.0)),
        class: arguments.class,
        guidance: arguments.guidance,
        seed: arguments.seed,
        precision: arguments.precision.kind(),
    };
    Ok((evenly_spaced_times(model.timesteps, steps)?, sampling))
}

/// All samples, and the first few of them at some times on their way, each sample a row.
fn in_batches(sampler: &Sampler, times: &[usize], arguments: &Arguments) -> Outcome<(Tensor, Tensor)> {
    let shown = shown(times);
    let bar = cli::progress((arguments.count.div_ceil(arguments.batch) * times.len()) as u64, 0, "sampling", "steps");
    let (mut samples, mut states) = (Vec::new(), Vec::new());
    for first in (0..arguments.count).step_by(arguments.batch) {
        let count = arguments.batch.min(arguments.count - first);
        let batch = sampler.sample(first, &shape(count), |t, xt| {
            if first == 0 && shown.contains(&t) {
                states.push(xt.narrow(0, 0, count.min(4) as i64));
            }
            bar.inc(u64::from(t > 0));
        })?;
        samples.push(batch);
    }
    bar.finish_and_clear();
    let strip = Tensor::stack(&states, 1).flatten(0, 1);
    Ok((Tensor::cat(&samples, 0), strip))
}

/// The shape of so many pictures.
pub fn shape(count: usize) -> [i64; 4] {
    [count, DATA_SET.channels, DATA_SET.side, DATA_SET.side].map(|length| length as i64)
}

/// The times that a strip shows, from the first to 0: more of the late ones, at which most is seen to happen.
fn shown(times: &[usize]) -> Vec<usize> {
    let all: Vec<usize> = std::iter::once(0).chain(times.iter().copied()).collect();
    let place = |i: usize| (i * i * (all.len() - 1)).div_ceil((COLUMNS - 1).pow(2));
    let mut shown: Vec<usize> = (0..COLUMNS).map(|i| all[place(i)]).collect();
    shown.dedup();
    shown
}

/// Nearly a square.
fn columns(count: usize) -> usize {
    count.isqrt().max(1)
}

/// Where the shipped weights are in the project, wherever the program is started.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA_SET.shipped)
}

/// A grid of samples by DDIM in 50 steps, as [`sample`] makes it.
pub fn quick(net: &dyn ImageNetwork, model: &Model, seed: u64, precision: Precision, count: usize) -> Outcome<Tensor> {
    let times = evenly_spaced_times(model.timesteps, model.timesteps.min(50))?;
    let sampling = Sampling {
        prediction: model.objective.into(),
        method: Method::Ddim(0.0),
        clip: Some((-1.0, 1.0)),
        class: None,
        guidance: 1.0,
        seed,
        precision: precision.kind(),
    };
    let sampler = Sampler::new(net, &model.schedule()?, &times, sampling)?;
    let batch = |first: usize| sampler.sample(first, &shape(BATCH.min(count - first)), |_, _| ());
    let samples = (0..count).step_by(BATCH).map(batch).collect::<literate_diffusion::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&samples, 0))
}
