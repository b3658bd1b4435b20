//! Chapter 9: the S-curve, from data to samples, with nothing but ndarray.
//!
//! `cargo run --release --example s_curve`

#[path = "support/s_curve.rs"]
mod run;
mod support;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use literate_diffusion::mlp::{AdamSettings, MlpDiffusion, Trainer};
use literate_diffusion::objective::{Variance, antithetic_times};
use literate_diffusion::sampler::{LastStep, ancestral};
use literate_diffusion::{Schedule, Step, paper};
use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::{StandardNormal, StandardUniform};
use run::{Args, Draws, Preset, Run, Setting, rng};
use support::cli;

fn main() -> ExitCode {
    let args = Args::parse();
    cli::run(|| {
        let mut run = Run::begin_or_resume(&args, new_trainer)?;
        println!("{}", run.setting);
        if !train(&mut run)? {
            return Ok(()); // stopped by Ctrl-C, and saved
        }
        let net = run.trainer.average.as_ref().unwrap_or(&run.trainer.net);
        let Setting { preset, ref schedule, seed, .. } = run.setting;
        // The notebook adds noise in the last step, too.
        let last_step = match preset {
            Preset::Sound => LastStep::Mean,
            Preset::Classic => LastStep::Noise,
        };
        let sample = |count: usize, draws: Draws, shown: &[usize]| {
            generate(net, schedule, last_step, count, shown, &mut rng(seed, draws))
        };
        run.report(net, sample)
    })
}

/// The untrained network of a setting, with its optimiser.
fn new_trainer(setting: &Setting) -> Result<Trainer<f32>, Box<dyn Error>> {
    let rng = &mut rng(setting.seed, Draws::Network);
    let net = MlpDiffusion::new(&paper::CLASSIC_WIDTHS, setting.schedule.timesteps(), rng)?;
    let adam = AdamSettings::kingma_ba(setting.lr)?;
    Ok(Trainer::new(net, adam, paper::CLASSIC_MAX_NORM, setting.ema)?)
}

/// Algorithm 1, epoch by epoch. Each epoch draws from a stream of its own, so that a resumed run repeats exactly.
fn train(run: &mut Run) -> Result<bool, Box<dyn Error>> {
    let stop = cli::stop_flag()?;
    let setting = run.setting.clone();
    let steps_per_epoch = run.data.nrows().div_ceil(setting.batch) as u64;
    let bar = cli::progress(setting.epochs as u64 * steps_per_epoch, run.trainer.steps(), "training", "steps");
    while run.losses.len() < setting.epochs {
        if stop.load(Ordering::SeqCst) {
            bar.abandon();
            run.save_and_say_how_to_go_on()?;
            return Ok(false);
        }
        let epoch = run.losses.len() + 1;
        run.trainer.adam.lr = setting.learning_rate(epoch);
        let rng = &mut rng(setting.seed, Draws::Epoch(epoch));
        let loss = train_epoch(&mut run.trainer, &setting, &run.data, rng)
            .map_err(|error| run.stopped(run.trainer.steps() + 1, &error))?;
        run.end_epoch(loss)?;
        bar.set_message(format!("loss {loss:.4}, floor {:.4}", run.floor));
        bar.inc(steps_per_epoch);
    }
    bar.finish();
    run.save()?;
    Ok(true)
}

/// One pass over 10,000 points: `sound` draws them anew, `classic` shuffles the ones that it has. Returns the mean loss.
// ANCHOR: train_epoch
fn train_epoch(
    trainer: &mut Trainer<f32>,
    setting: &Setting,
    data: &Array2<f64>,
    rng: &mut impl Rng,
) -> literate_diffusion::Result<f64> {
    let points = match setting.preset {
        Preset::Sound => setting.curve.points(data.nrows(), rng),
        Preset::Classic => data.select(Axis(0), &shuffled(data.nrows(), rng)),
    };
    let mut sum = 0.0;
    for x0 in points.axis_chunks_iter(Axis(0), setting.batch) {
        let uniforms = Array1::random_using(x0.nrows().div_ceil(2), StandardUniform, rng);
        let mut times = antithetic_times(&uniforms.to_vec(), setting.schedule.timesteps())?;
        times.truncate(x0.nrows());
        let eps = Array2::random_using(x0.dim(), StandardNormal, rng);
        let xt = noised(x0, &setting.schedule, &times, &eps)?;
        let loss = trainer.step(&xt, &times, &eps.mapv(|eps| eps as f32))?;
        sum += loss * x0.nrows() as f64;
    }
    Ok(sum / data.nrows() as f64)
}
// ANCHOR_END: train_epoch

/// x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, with a time of its own for each row.
fn noised(
    x0: ArrayView2<f64>,
    schedule: &Schedule,
    times: &[usize],
    eps: &Array2<f64>,
) -> literate_diffusion::Result<Array2<f32>> {
    let mut xt = Array2::zeros(x0.dim());
    for (i, &t) in times.iter().enumerate() {
        let step = schedule.step(t)?;
        let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
        for j in 0..2 {
            xt[[i, j]] = (signal * x0[[i, j]] + noise * eps[[i, j]]) as f32;
        }
    }
    Ok(xt)
}

/// Algorithm 2, from noise to samples, in f32 where the network computes and f64 elsewhere. Returns the x_t of the times
/// `shown`, the largest t first, and x_0.
// ANCHOR: generate
fn generate(
    net: &MlpDiffusion<f32>,
    schedule: &Schedule,
    last_step: LastStep,
    count: usize,
    shown: &[usize],
    rng: &mut impl Rng,
) -> literate_diffusion::Result<Vec<Array2<f64>>> {
    let mut path = Vec::new();
    let eps_theta = |xt: &ArrayRef2<f64>, step: Step| {
        if shown.contains(&step.t) {
            path.push(xt.to_owned());
        }
        Ok(net.forward(&xt.mapv(|x| x as f32), &vec![step.t; count])?.mapv(f64::from))
    };
    let noise = Array2::random_using((count, 2), StandardNormal, rng);
    let x0 = ancestral(&noise, schedule, Variance::Beta, last_step, eps_theta, rng)?;
    path.push(x0);
    Ok(path)
}
// ANCHOR_END: generate

/// The numbers 0, …, n − 1 in random order.
fn shuffled(n: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}
