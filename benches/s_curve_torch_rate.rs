//! How fast the S-curve's network trains in libtorch: the loop of `s_curve_pytorch.py`, and its report.
//!
//! ```text
//! cargo bench --features torch --bench s_curve_torch_rate -- [--steps 2000] [--repeats 5] [--threads 1,2]
//! ```
//! It prints JSON on its last line.

use std::time::Instant;

use clap::Parser;
use literate_diffusion::objective::{Prediction, Variance};
use literate_diffusion::sampler::LastStep;
use literate_diffusion::torch::mlp::MlpDiffusion;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling};
use literate_diffusion::torch::tch::{Device, Kind, Tensor, set_num_threads};
use literate_diffusion::torch::trainer::{Settings, Trainer};
use literate_diffusion::torch::{Schedule, parse_device};
use literate_diffusion::{Result, paper};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: i64 = 128;
const POINTS: i64 = 10_000;

/// Training steps/s and sampling time of the network in libtorch.
#[derive(Parser)]
struct Args {
    /// Training steps a repeat.
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// How often each measurement is made.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Each number of threads is tried [default: 1, 2, 4, … as many as there are].
    #[arg(long, value_delimiter = ',')]
    threads: Vec<i32>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let there = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    let all = (0..).map(|power| 1 << power).take_while(|&threads| threads <= there);
    let tried = if args.threads.is_empty() { all.collect() } else { args.threads };
    let (mut best_rate, mut best_time) = (0.0_f64, f64::INFINITY);
    for threads in tried {
        set_num_threads(threads);
        let mut run = Run::new(parse_device(&args.device)?)?;
        run.train(200)?;
        run.sample(1000)?;
        let (mut rate, mut time) = (0.0_f64, f64::INFINITY);
        for _ in 0..args.repeats {
            rate = rate.max(args.steps as f64 / seconds(|| run.train(args.steps))?);
            time = time.min(seconds(|| run.sample(POINTS))?);
        }
        let steps = paper::CLASSIC_TIMESTEPS;
        println!("{threads} threads: {rate:.0} steps/s, sampling 10,000 x {steps} in {time:.3} s");
        (best_rate, best_time) = (best_rate.max(rate), best_time.min(time));
    }
    println!("{}", serde_json::json!({ "best_train_steps_per_s": best_rate, "best_sample_s": best_time }));
    Ok(())
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The preset `classic`.
struct Run {
    schedule: Schedule,
    trainer: Trainer,
    /// Points whose places do not matter.
    data: Tensor,
    epochs: u64,
}

impl Run {
    fn new(device: Device) -> Result<Self> {
        let timesteps = paper::CLASSIC_TIMESTEPS;
        let schedule = Schedule::sigmoid(timesteps, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?;
        let net =
            drawn(0, Stream::Weights, 0, || MlpDiffusion::new(&paper::CLASSIC_WIDTHS, timesteps, device, Kind::Float))?;
        let settings =
            Settings { max_norm: Some(paper::CLASSIC_MAX_NORM), antithetic: true, ..Settings::simple(1e-3, 0) };
        let trainer = Trainer::new(Box::new(net), &schedule, settings)?;
        let data = drawn(0, Stream::Training, 0, || Tensor::randn([POINTS, 2], (Kind::Float, device))) * 0.1;
        Ok(Self { schedule, trainer, data, epochs: 0 })
    }

    /// Goes over the shuffled data in batches, the last short one left out, for as many epochs as it takes.
    fn train(&mut self, steps: usize) -> Result<()> {
        let mut left = steps;
        while left > 0 {
            self.epochs += 1;
            let order = drawn(0, Stream::Order, self.epochs, || Tensor::randperm(POINTS, (Kind::Int64, Device::Cpu)))
                .to_device(self.data.device());
            for batch in order.split(BATCH, 0).iter().take((POINTS / BATCH) as usize).take(left) {
                let _ = self.trainer.step(&self.data.index_select(0, batch), None)?;
                left -= 1;
            }
        }
        self.trainer.check()
    }

    fn sample(&self, points: i64) -> Result<()> {
        let times: Vec<_> = (1..=self.schedule.timesteps()).collect();
        let sampling = Sampling {
            prediction: Prediction::Eps,
            method: Method::Ancestral(Variance::Beta, LastStep::Mean),
            clip: None,
            class: None,
            guidance: 1.0,
            seed: 0,
            precision: Kind::Float,
        };
        let sampler = Sampler::new(self.trainer.net(), &self.schedule, &times, sampling)?;
        let samples = sampler.sample(0, &[points, 2], |_, _| ())?;
        assert!(samples.sum(Kind::Double).double_value(&[]).is_finite());
        Ok(())
    }
}
