//! Chapter 8: what the samplers make of data whose best denoiser is known, and what each choice costs.
//!
//! `cargo run --release --example sampler`

use literate_diffusion::objective::{Variance, gaussian_eps};
use literate_diffusion::sampler::{LastStep, ancestral, ancestral_moments, ddim, ddim_moments};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::{Result, Schedule, Step, paper};
use ndarray::{Array2, ArrayRef2};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;

const SEED: u64 = 0;
const POINTS: usize = 10_000;

fn main() -> Result<()> {
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    which_variance(&sound)?;
    how_many_steps(&sound)?;
    draws_agree(&sound)
}

/// σ² = β is exact for data N(0, 1), σ² = β̃ for a point, and neither in between.
fn which_variance(schedule: &Schedule) -> Result<()> {
    println!("Variance of the samples, T = {}, best denoiser:", schedule.timesteps());
    println!("{:>10} {:>12} {:>12} {:>12} {:>12}", "data", "beta", "beta, noise", "beta_tilde", "DDIM");
    for data in [0.0, 0.01, 0.25, 1.0, 4.0] {
        let ancestral = |variance, last_step| ancestral_moments(0.0, data, schedule, variance, last_step);
        let (_, beta) = ancestral(Variance::Beta, LastStep::Mean)?;
        let (_, beta_noise) = ancestral(Variance::Beta, LastStep::Noise)?;
        let (_, beta_tilde) = ancestral(Variance::BetaTilde, LastStep::Mean)?;
        let (_, deterministic) = ddim_moments(0.0, data, schedule, 0.0)?;
        println!("{data:>10} {beta:>12.6} {beta_noise:>12.6} {beta_tilde:>12.6} {deterministic:>12.6}");
    }
    println!("(\"noise\": noise also at the last step)\n");
    Ok(())
}

/// Fewer steps, through times that are spread evenly.
fn how_many_steps(schedule: &Schedule) -> Result<()> {
    println!("Variance of the samples for data of variance 0.25, by the number of steps:");
    println!("{:>10} {:>12} {:>12} {:>12}", "steps", "beta", "beta_tilde", "DDIM");
    for steps in [5, 10, 20, 50, 100] {
        let visited = schedule.respaced(&evenly_spaced_times(schedule.timesteps(), steps)?)?;
        let (_, beta) = ancestral_moments(0.0, 0.25, &visited, Variance::Beta, LastStep::Mean)?;
        let (_, beta_tilde) = ancestral_moments(0.0, 0.25, &visited, Variance::BetaTilde, LastStep::Mean)?;
        let (_, deterministic) = ddim_moments(0.0, 0.25, &visited, 0.0)?;
        println!("{steps:>10} {beta:>12.6} {beta_tilde:>12.6} {deterministic:>12.6}");
    }
    println!();
    Ok(())
}

/// Draws have these means and variances.
fn draws_agree(schedule: &Schedule) -> Result<()> {
    let (mean, variance) = (1.5, 0.25);
    let denoiser = |xt: &ArrayRef2<f64>, step: Step| gaussian_eps(mean, variance, xt, step);
    let times = evenly_spaced_times(schedule.timesteps(), 10)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let noise = Array2::random_using((POINTS, 2), StandardNormal, &mut rng);

    let all = ancestral(&noise, schedule, Variance::Beta, LastStep::Mean, denoiser, &mut rng)?;
    let few = ddim(&noise, schedule, &times, 0.0, denoiser, &mut rng)?;
    let law_of_all = ancestral_moments(mean, variance, schedule, Variance::Beta, LastStep::Mean)?;
    let law_of_few = ddim_moments(mean, variance, &schedule.respaced(&times)?, 0.0)?;

    println!("{POINTS} points of data N({mean}, {variance}) in two dimensions, as drawn and as computed:");
    for (name, drawn, law) in [("100 ancestral steps", all, law_of_all), ("10 DDIM steps", few, law_of_few)] {
        let drawn_mean = drawn.mean().unwrap_or(f64::NAN);
        println!("{name:>20}: mean {drawn_mean:.4} ({:.4}), variance {:.4} ({:.4})", law.0, drawn.var(0.0), law.1);
    }
    Ok(())
}
