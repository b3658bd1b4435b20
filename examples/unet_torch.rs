//! Chapter 10: what it costs a network not to be told t. Three networks, the same pictures, the same noise.
//!
//! `cargo run --release --features torch --example unet_torch -- --data DIR --steps 400`; without arguments it is a trial of
//! a few steps on boxes that it draws itself.

mod support;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use literate_diffusion::data::{Pictures, Split, idx};
use literate_diffusion::paper::{DDPM_BETA_1, DDPM_BETA_T, DDPM_TIMESTEPS};
use literate_diffusion::torch::dataset::Dataset;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{self, Device, Kind, Tensor, no_grad};
use literate_diffusion::torch::trainer::{Settings, TENTHS, Trainer};
use literate_diffusion::torch::unet::{ImageNetwork, PlainUnet, ResidualUnet, ResidualUnetConfig};
use literate_diffusion::torch::weights::Parameters;
use literate_diffusion::torch::{Schedule, parse_device};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::{writable, write_atomically};
use support::processor;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Trains a U-Net that is told t, the same U-Net with t hidden, and one that has no place for t
#[derive(Parser)]
struct Arguments {
    /// Folder of MNIST's files; without it, boxes are drawn
    #[arg(long)]
    data: Option<PathBuf>,
    /// Steps of training
    #[arg(long, value_parser = cli::count, default_value_t = 4)]
    steps: usize,
    /// Pictures in a batch
    #[arg(long, value_parser = cli::count, default_value_t = 64)]
    batch: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads
    #[arg(long, value_parser = cli::threads, default_value_t = 1)]
    threads: i32,
    /// cpu, cuda, cuda:N, or auto: CUDA where there is one
    #[arg(long, value_parser = cli::device, default_value = "cpu")]
    device: String,
    /// Folder for what was measured
    #[arg(long, default_value = "target/unet")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::run(|| compare(&arguments))
}

// ANCHOR: hidden
/// The same network with t hidden: it is told index 0, whatever t is.
struct Hidden(ResidualUnet);

impl ImageNetwork for Hidden {
    fn forward(&self, x: &Tensor, index: &Tensor) -> literate_diffusion::Result<Tensor> {
        self.0.forward(x, &index.zeros_like())
    }

    fn parameters(&self) -> &Parameters {
        self.0.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.0.parameters_mut()
    }
}
// ANCHOR_END: hidden

/// The untrained network of a name.
fn network(name: &str, seed: u64, device: Device) -> literate_diffusion::Result<Box<dyn ImageNetwork>> {
    let residual = || {
        let config = ResidualUnetConfig { widths: vec![32, 64], ..ResidualUnetConfig::plain(1) };
        ResidualUnet::new(config, device, Kind::Float)
    };
    drawn(seed, Stream::Weights, 0, || -> literate_diffusion::Result<Box<dyn ImageNetwork>> {
        Ok(match name {
            "told" => Box::new(residual()?),
            "hidden" => Box::new(Hidden(residual()?)),
            _ => Box::new(PlainUnet::new(1, device, Kind::Float)?),
        })
    })
}

fn compare(arguments: &Arguments) -> Outcome<()> {
    tch::set_num_threads(arguments.threads);
    let device = parse_device(&arguments.device)?;
    writable(&arguments.out)?;
    let (train, test) = match &arguments.data {
        Some(folder) => (idx::load(folder, Split::Train)?, idx::load(folder, Split::Test)?),
        None => (boxes(1000, 0)?, boxes(1000, 1)?),
    };
    println!("{} pictures to train, {} to test, 14×14 pixels", train.count(), test.count());
    if test.count() < DDPM_TIMESTEPS || train.count() < arguments.batch {
        let (of_train, of_test) = (train.count(), test.count());
        return Err(format!(
            "there are {of_train} training and {of_test} test pictures, but --batch {} needs as many, and {DDPM_TIMESTEPS} \
             are tested; give a smaller --batch or more --data",
            arguments.batch
        )
        .into());
    }
    let (train, test) = (Dataset::new(&train, device), Dataset::new(&test, device));

    let mut rows = serde_json::Map::new();
    let mut errors = Vec::new();
    for name in ["told", "hidden", "plain"] {
        let began = Instant::now();
        let mut trainer = trainer(network(name, arguments.seed, device)?, arguments.seed)?;
        let (curve, of_pictures) = learn(&mut trainer, &train, &test, arguments)?;
        let tenths: Vec<f64> = of_pictures.chunk(TENTHS as i64, 0).iter().map(mean).collect();
        let row = json!({
            "parameters": trainer.net().parameters().count(),
            "loss": mean(&of_pictures),
            "tenths": tenths,
            "curve": curve,
            "seconds": began.elapsed().as_secs_f64().round(),
        });
        println!("{name}: {row}");
        rows.insert(name.to_owned(), row);
        errors.push(of_pictures);
    }
    let result = json!({
        "command": command(arguments),
        "data": arguments.data.as_ref().map_or("boxes", |_| "MNIST, halved to 14×14"),
        "networks": rows,
        "hidden_minus_told": difference(&errors[1], &errors[0]),
        "plain_minus_told": difference(&errors[2], &errors[0]),
        "plain_minus_hidden": difference(&errors[2], &errors[1]),
        "timesteps": DDPM_TIMESTEPS,
        "test_pictures": errors[0].numel(),
        "train_pictures": arguments.steps * arguments.batch,
        "steps": arguments.steps,
        "batch": arguments.batch,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "processor": processor(),
    });
    let path = arguments.out.join(format!("unet-trained-{}.json", arguments.seed));
    write_atomically(&path, serde_json::to_string_pretty(&result)?.as_bytes())?;
    println!("Written: {}", path.display());
    Ok(())
}

fn schedule() -> literate_diffusion::Result<Schedule> {
    Schedule::linear(DDPM_TIMESTEPS, DDPM_BETA_1, DDPM_BETA_T)
}

/// The network with its optimiser.
fn trainer(net: Box<dyn ImageNetwork>, seed: u64) -> literate_diffusion::Result<Trainer> {
    let settings = Settings::simple(1e-3, seed);
    Trainer::new(net, &schedule()?, settings)
}

/// Trains: the loss on the test pictures now and then, and that of each of them in the end.
fn learn(
    trainer: &mut Trainer,
    train: &Dataset,
    test: &Dataset,
    arguments: &Arguments,
) -> Outcome<(Vec<(usize, f64)>, Tensor)> {
    let order = train.order(arguments.seed, 1);
    let mut curve = Vec::new();
    for step in 1..=arguments.steps {
        let begin = (step * arguments.batch) % (train.count() - arguments.batch).max(1);
        let x0 = halved(&train.batch(&order.narrow(0, begin as i64, arguments.batch as i64)).0);
        let _loss = trainer.step(&x0, None)?;
        if step * 8 % arguments.steps == 0 {
            curve.push((step, mean(&measure(trainer.net(), test, arguments.seed)?)));
        }
    }
    trainer.check()?;
    Ok((curve, measure(trainer.net(), test, arguments.seed)?))
}

/// The squared error of a test picture at each t, in the order of t: the same pictures and noise for all networks.
fn measure(net: &dyn ImageNetwork, test: &Dataset, seed: u64) -> Outcome<Tensor> {
    let times: Vec<usize> = (1..=DDPM_TIMESTEPS).collect();
    let steps = schedule()?.at(&times)?;
    let x0 = halved(&test.batch(&test.order(seed, 1).narrow(0, 0, times.len() as i64)).0);
    let eps = drawn(seed, Stream::Evaluation, 0, || x0.randn_like());
    let column = |table: Tensor| table.to_kind(Kind::Float).to_device(x0.device()).view([-1, 1, 1, 1]);
    let xt = &x0 * column(steps.alpha_bar.sqrt()) + &eps * column(steps.one_minus_alpha_bar.sqrt());
    let index = steps.index().to_device(x0.device());
    let mut errors = Vec::new();
    for begin in (0..times.len() as i64).step_by(100) {
        let part = |tensor: &Tensor| tensor.narrow(0, begin, 100);
        let predicted = no_grad(|| net.forward(&part(&xt), &part(&index)))?;
        errors.push((predicted - part(&eps)).square().mean_dim([1, 2, 3].as_slice(), false, Kind::Double));
    }
    Ok(Tensor::cat(&errors, 0))
}

/// Every 2×2 pixels by their mean.
fn halved(x: &Tensor) -> Tensor {
    x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)
}

fn mean(x: &Tensor) -> f64 {
    x.mean(Kind::Double).double_value(&[])
}

/// The mean of a − b, pair by pair, and its standard error.
fn difference(a: &Tensor, b: &Tensor) -> Value {
    let pairs = a - b;
    let error = pairs.std(true).double_value(&[]) / (pairs.numel() as f64).sqrt();
    json!({ "mean": mean(&pairs), "standard_error": error })
}

/// White boxes on black, with corners anywhere.
fn boxes(count: usize, seed: u64) -> Outcome<Pictures> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let side = 28;
    let mut pixels = Vec::with_capacity(count * side * side);
    for _ in 0..count {
        let mut corner = || rng.random_range(4..side - 4);
        let (a, b, c, d) = (corner(), corner(), corner(), corner());
        let inside =
            |i: usize| (a.min(b)..=a.max(b)).contains(&(i / side)) && (c.min(d)..=c.max(d)).contains(&(i % side));
        pixels.extend((0..side * side).map(|i| if inside(i) { 255 } else { 0 }));
    }
    Ok(Pictures { channels: 1, height: side, width: side, pixels, labels: vec![0; count] })
}

/// The command line, without the folders of this machine.
fn command(arguments: &Arguments) -> String {
    let Arguments { data, steps, batch, seed, threads, .. } = arguments;
    let data = if data.is_some() { " --data data/mnist" } else { "" };
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let run = format!("cargo run{release} --features torch --example unet_torch --");
    format!("{run}{data} --steps {steps} --batch {batch} --seed {seed} --threads {threads}")
}
