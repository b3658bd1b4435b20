//! Chapter 10: the S-curve again, in libtorch, with the widespread notebook's setting.
//!
//! `cargo run --release --features torch --example s_curve_torch` trains, then samples; `-- train`, `-- sample` and
//! `-- evaluate` do one thing.

#[path = "support/s_curve_torch.rs"]
mod run;
mod support;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use literate_diffusion::objective::{Prediction, Variance};
use literate_diffusion::paper::{CLASSIC_BETA_1, CLASSIC_BETA_T, CLASSIC_MAX_NORM, CLASSIC_TIMESTEPS, CLASSIC_WIDTHS};
use literate_diffusion::sampler::LastStep;
use literate_diffusion::torch::Schedule;
use literate_diffusion::torch::mlp::MlpDiffusion;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling};
use literate_diffusion::torch::tch::{Device, Kind, Tensor, no_grad};
use literate_diffusion::torch::trainer::{Settings, Trainer};
use literate_diffusion::torch::unet::ImageNetwork;
use mimalloc::MiMalloc;
use run::{Arguments, Command, EvaluateArguments, Run, SampleArguments, Setting, Weights};
use support::cli;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let commands = Arguments::parse().commands();
    cli::run(|| {
        for command in &commands {
            let done = match command {
                Command::Train(arguments) => train(&mut Run::begin(arguments, new_trainer)?)?,
                Command::Sample(arguments) => sample(arguments).map(|()| true)?,
                Command::Evaluate(arguments) => evaluate(arguments).map(|()| true)?,
            };
            if !done {
                break; // stopped by Ctrl-C, and saved
            }
        }
        Ok(())
    })
}

fn schedule() -> literate_diffusion::Result<Schedule> {
    Schedule::sigmoid(CLASSIC_TIMESTEPS, CLASSIC_BETA_1, CLASSIC_BETA_T)
}

fn network(seed: u64, device: Device) -> literate_diffusion::Result<MlpDiffusion> {
    let new = || MlpDiffusion::new(&CLASSIC_WIDTHS, CLASSIC_TIMESTEPS, device, Kind::Float);
    drawn(seed, Stream::Weights, 0, new)
}

/// The untrained network of a setting, with its optimiser.
fn new_trainer(setting: &Setting, device: Device) -> literate_diffusion::Result<Trainer> {
    let settings =
        Settings { max_norm: Some(CLASSIC_MAX_NORM), antithetic: true, ..Settings::simple(setting.lr, setting.seed) };
    Trainer::new(Box::new(network(setting.seed, device)?), &schedule()?, settings)
}

/// Algorithm 1, epoch by epoch: each goes over the points once, in an order of its own. False where Ctrl-C ended it.
fn train(run: &mut Run) -> Result<bool, Box<dyn Error>> {
    let stop = cli::stop_flag()?;
    let steps_per_epoch = run.data.size()[0].unsigned_abs().div_ceil(run.setting.batch as u64);
    let bar =
        cli::progress(run.setting.epochs as u64 * steps_per_epoch, run.trainer.steps() as u64, "training", "steps");
    while run.losses.len() < run.setting.epochs {
        if stop.load(Ordering::SeqCst) {
            bar.abandon();
            run.save_and_say_how_to_go_on()?;
            return Ok(false);
        }
        let order = run.order();
        let mut sum = Tensor::zeros([], (Kind::Float, order.device()));
        for indices in order.split(run.setting.batch as i64, 0) {
            let loss = run.trainer.step(&run.data.index_select(0, &indices), None)?;
            sum += loss * indices.size()[0];
        }
        let loss = sum.double_value(&[]) / run.data.size()[0] as f64;
        run.end_epoch(loss)?;
        bar.set_message(format!("loss {loss:.4}"));
        bar.inc(steps_per_epoch);
    }
    bar.finish();
    run.save()?;
    drop(stop); // From here on, Ctrl-C ends the program.
    run.report()?;
    Ok(true)
}

/// Algorithm 2, or DDIM, from noise to points.
fn sample(arguments: &SampleArguments) -> Result<(), Box<dyn Error>> {
    let net = trained(&arguments.weights, arguments.begin()?)?;
    let sampling = sampling(arguments.eta.map_or(notebook(), Method::Ddim), arguments.seed);
    let sampler = Sampler::new(&net, &schedule()?, &arguments.times()?, sampling)?;
    let mut states = Vec::new();
    let shape = [arguments.count as i64, 2];
    let samples = sampler.sample(0, &shape, |t, xt| states.push((t, xt.to_device(Device::Cpu))))?;
    arguments.report(&samples.to_device(Device::Cpu), &states)
}

/// The loss over t beside its floor, and sets of samples beside fresh points.
fn evaluate(arguments: &EvaluateArguments) -> Result<(), Box<dyn Error>> {
    let device = arguments.begin()?;
    let net = trained(&arguments.weights, device)?;
    let predict = |xt: &Tensor, t: usize| {
        let index = Tensor::full([xt.size()[0]], t as i64 - 1, (Kind::Int64, device));
        Ok(no_grad(|| net.forward(&xt.to_device(device), &index))?.to_device(Device::Cpu))
    };
    let times: Vec<usize> = (1..=CLASSIC_TIMESTEPS).collect();
    let sampler = Sampler::new(&net, &schedule()?, &times, sampling(notebook(), arguments.seed))?;
    let shape = [arguments.count as i64, 2];
    let sample = |set: usize| Ok(sampler.sample(set * arguments.count, &shape, |_, _| ())?.to_device(Device::Cpu));
    arguments.report(predict, sample)
}

/// The network of a checkpoint.
fn trained(weights: &Weights, device: Device) -> Result<MlpDiffusion, Box<dyn Error>> {
    let mut net = network(0, device)?;
    net.parameters_mut().assign(&weights.load()?).map_err(|error| weights.in_file(&error))?;
    Ok(net)
}

/// How the notebook samples: it adds noise in the last step, too.
fn notebook() -> Method {
    Method::Ancestral(Variance::Beta, LastStep::Noise)
}

fn sampling(method: Method, seed: u64) -> Sampling {
    Sampling {
        prediction: Prediction::Eps,
        method,
        clip: None, // The data is not cut off anywhere.
        class: None,
        guidance: 1.0,
        seed,
        precision: Kind::Float,
    }
}
