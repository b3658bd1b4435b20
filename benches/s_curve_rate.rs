//! How fast the hand-written network trains and samples: the loop of `s_curve_pytorch.py`, and its report.
//!
//! ```text
//! cargo bench --bench s_curve_rate -- [--steps 2000] [--repeats 5]
//! ```
//! It prints JSON on its last line.

use std::time::Instant;

use clap::Parser;
use literate_diffusion::mlp::{AdamSettings, MlpDiffusion, Trainer};
use literate_diffusion::{Result, Schedule, paper};
use ndarray::{Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng, seq::SliceRandom};
use ndarray_rand::rand_distr::{Distribution, StandardNormal};
use rand_chacha::ChaCha8Rng;

const BATCH: usize = 128;
const POINTS: usize = 10_000;

/// Training steps/s and sampling time of the hand-written network.
#[derive(Parser)]
struct Args {
    /// Training steps a repeat.
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// How often each measurement is made.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut run = Run::new()?;
    run.train(200)?;
    run.sample(1000)?;
    let mut rates = Vec::new();
    let mut times = Vec::new();
    for _ in 0..args.repeats {
        rates.push(args.steps as f64 / seconds(|| run.train(args.steps))?);
        times.push(seconds(|| run.sample(POINTS))?);
    }
    let best_rate = rates.iter().copied().fold(0.0, f64::max);
    let best_time = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{best_rate:.0} steps/s, sampling 10,000 x {} in {best_time:.3} s", paper::CLASSIC_TIMESTEPS);
    let report = serde_json::json!({
        "train_steps_per_s": rates, "sample_s": times,
        "best_train_steps_per_s": best_rate, "best_sample_s": best_time,
    });
    println!("{report}");
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
    data: Array2<f32>,
    trainer: Trainer<f32>,
    rng: ChaCha8Rng,
}

impl Run {
    fn new() -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let schedule = Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?;
        let net = MlpDiffusion::new(&paper::CLASSIC_WIDTHS, schedule.timesteps(), &mut rng)?;
        let trainer = Trainer::new(net, AdamSettings::kingma_ba(1e-3)?, paper::CLASSIC_MAX_NORM, None)?;
        let data = s_curve(POINTS, &mut rng);
        Ok(Self { schedule, data, trainer, rng })
    }

    /// Goes over the shuffled data in batches, the last short one left out, for as many epochs as it takes.
    fn train(&mut self, steps: usize) -> Result<()> {
        let mut order: Vec<usize> = (0..POINTS).collect();
        let mut done = 0;
        loop {
            order.shuffle(&mut self.rng);
            for batch in order.chunks_exact(BATCH) {
                if done == steps {
                    return Ok(());
                }
                self.step(batch)?;
                done += 1;
            }
        }
    }

    fn step(&mut self, batch: &[usize]) -> Result<f64> {
        let timesteps = self.schedule.timesteps();
        let mut times: Vec<usize> = (0..BATCH / 2).map(|_| self.rng.random_range(1..=timesteps)).collect();
        times.extend_from_within(..);
        times[BATCH / 2..].iter_mut().for_each(|t| *t = timesteps + 1 - *t);
        let eps = Array2::random_using((BATCH, 2), StandardNormal, &mut self.rng);
        let mut xt = self.data.select(Axis(0), batch);
        for ((mut xt, eps), &t) in xt.rows_mut().into_iter().zip(eps.rows()).zip(&times) {
            let step = self.schedule.step(t)?;
            xt *= step.alpha_bar.sqrt() as f32;
            xt.scaled_add(step.one_minus_alpha_bar.sqrt() as f32, &eps);
        }
        self.trainer.step(&xt, &times, &eps)
    }

    fn sample(&mut self, points: usize) -> Result<()> {
        let mut x = Array2::<f32>::random_using((points, 2), StandardNormal, &mut self.rng);
        for step in self.schedule.steps().iter().rev() {
            let eps_theta = self.trainer.net.forward(&x, &vec![step.t; points])?;
            x.scaled_add(-(step.beta / step.one_minus_alpha_bar.sqrt()) as f32, &eps_theta);
            x /= step.alpha.sqrt() as f32;
            if step.t > 1 {
                let z = Array2::<f32>::random_using((points, 2), StandardNormal, &mut self.rng);
                x.scaled_add(step.beta.sqrt() as f32, &z);
            }
        }
        assert!(x.iter().all(|x| x.is_finite()));
        Ok(())
    }
}

fn s_curve(points: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let mut data = Array2::zeros((points, 2));
    for mut row in data.rows_mut() {
        let u: f32 = 3.0 * std::f32::consts::PI * (rng.random::<f32>() - 0.5);
        let noise: [f32; 2] = [(); 2].map(|()| StandardNormal.sample(rng));
        row[0] = (u.sin() + 0.1 * noise[0]) / 10.0;
        row[1] = (u.signum() * (u.cos() - 1.0) + 0.1 * noise[1]) / 10.0;
    }
    data
}
