//! How fast the residual U-Net trains and samples: the loop of `unet_pytorch.py`, and its report.
//!
//! ```text
//! cargo bench --features torch --bench unet_rate -- [--threads 2] [--precision bf16] [--widths 32,64,128]
//! ```
//! It prints JSON on its last line.

use std::time::Instant;

use clap::{Parser, ValueEnum};
use literate_diffusion::data::{Split, digits};
use literate_diffusion::objective::Prediction;
use literate_diffusion::torch::dataset::Dataset;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling};
use literate_diffusion::torch::tch::{self, Kind};
use literate_diffusion::torch::trainer::{Settings, Trainer};
use literate_diffusion::torch::unet::{ImageNetwork, ResidualUnet, ResidualUnetConfig};
use literate_diffusion::torch::{Schedule, parse_device};
use literate_diffusion::{Error, Result, paper};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SIDE: usize = 28;

/// Training and sampling images/s of the residual U-Net, the share of a step that loading takes, the most memory held, and
/// the loss after some steps.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 64)]
    batch: usize,
    #[arg(long, value_delimiter = ',', default_value = "64,128,256")]
    widths: Vec<usize>,
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Keep pictures and weights channel by channel, instead of pixel by pixel
    #[arg(long)]
    contiguous: bool,
    #[arg(long, default_value_t = 2)]
    threads: i32,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Training steps, and sampling steps, that are timed one by one.
    #[arg(long, default_value_t = 12)]
    steps: usize,
    /// Training steps whose mean loss is reported, over the second half of them: the digits of the program, the same t and
    /// noise in each precision.
    #[arg(long, default_value_t = 0)]
    loss_steps: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    Bf16,
}

fn main() -> Result<()> {
    let args = Args::parse();
    tch::set_num_threads(args.threads);
    let device = parse_device(&args.device)?;
    let precision = match args.precision {
        Precision::F32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    };
    let config = ResidualUnetConfig { widths: args.widths.clone(), ..ResidualUnetConfig::plain(1) };
    let mut net = drawn(0, Stream::Weights, 0, || ResidualUnet::new(config, device, Kind::Float))?;
    if !args.contiguous {
        net.parameters_mut().channels_last();
    }
    let schedule = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let settings = Settings { precision, ..Settings::simple(1e-3, 0) };
    let mut trainer = Trainer::new(Box::new(net), &schedule, settings)?;
    let data = Dataset::new(&digits::load(Split::Train)?, device);
    if !(1..=data.count()).contains(&args.batch) {
        let expected = "at least 1 and at most the number of digits, 1500";
        return Err(Error::OutOfRange { name: "--batch", expected, got: args.batch as f64 });
    }
    let (order, batches) = (data.order(0, 1), data.count() / args.batch);
    let batch = |i: usize| data.batch(&order.narrow(0, ((i % batches) * args.batch) as i64, args.batch as i64));

    let mut step = |i: usize| -> Result<f64> {
        let (x0, _) = batch(i);
        let x0 = if args.contiguous { x0.contiguous() } else { x0 };
        // Reading the loss waits for the device.
        Ok(trainer.step(&x0, None)?.double_value(&[]))
    };
    let training = best_seconds(args.steps, &mut step)?;
    let losses = (0..args.loss_steps).map(&mut step).collect::<Result<Vec<f64>>>()?;
    let late = &losses[losses.len() / 2..];
    let loss = (!late.is_empty()).then(|| late.iter().sum::<f64>() / late.len() as f64);
    let loading = best_seconds(args.steps, |i| Ok(batch(i).0.get(0).double_value(&[0, 0, 0])))?;

    let sampling = Sampling {
        prediction: Prediction::Eps,
        method: Method::Ddim(0.0),
        clip: Some((-1.0, 1.0)),
        class: None,
        guidance: 1.0,
        seed: 0,
        precision,
    };
    let sampler = Sampler::new(trainer.net(), &schedule, &[500], sampling)?;
    let shape = [args.batch, 1, SIDE, SIDE].map(|length| length as i64);
    let sampling =
        best_seconds(args.steps, |_| Ok(sampler.sample(0, &shape, |_, _| ())?.get(0).double_value(&[0, 0, 0])))?;

    let rate = |seconds: f64| args.batch as f64 / seconds;
    println!(
        "training {:.1} images/s, of which loading takes {:.2} %; a sampling step {:.1} images/s",
        rate(training),
        100.0 * loading / training,
        rate(sampling)
    );
    let report = serde_json::json!({
        "best_train_images_per_s": rate(training),
        "best_sample_step_images_per_s": rate(sampling),
        "loading_share": loading / training,
        "peak_mib": peak_mib(),
        "loss": loss,
    });
    println!("{report}");
    Ok(())
}

/// The most memory that this process has held, as Linux tells it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// The least time of several runs, after two that do not count.
fn best_seconds(repeats: usize, mut work: impl FnMut(usize) -> Result<f64>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for i in 0..repeats + 2 {
        let start = Instant::now();
        assert!(work(i)?.is_finite());
        if i >= 2 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}
