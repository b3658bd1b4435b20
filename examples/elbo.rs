//! Chapter 6: the bound written in two ways, what each of its terms costs to estimate, and what it misses.
//!
//! `cargo run --release --example elbo`

use std::ops::Range;

use literate_diffusion::elbo::{self, DecoderVariance, LinearVae, bits_per_dim};
use literate_diffusion::posterior::VarianceAtOne;
use literate_diffusion::{Result, Schedule, forward, gaussian, paper};
use ndarray::{Array1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;

const MEAN: f64 = 0.5;
const VARIANCE: f64 = 0.25;
const PATHS: usize = 2000;

fn main() -> Result<()> {
    let schedule = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    compare_bounds(&schedule)?;
    compare_terms(&schedule)?;
    compare_estimators(&schedule)?;
    compare_decoders()
}

/// The bound is a quadratic in x_0, so that its mean over N(m, v) is its mean over the two points m ± √v.
fn compare_bounds(schedule: &Schedule) -> Result<()> {
    let x0 = array![MEAN - VARIANCE.sqrt(), MEAN + VARIANCE.sqrt()];
    println!("Data N(0.5, 0.25), T = 100, beta 0.001 to 0.2. Nats, mean over the data:");
    println!("{:>12} {:>12} {:>12} {:>12} {:>12}", "s_t", "consistency", "posterior", "ln p(x_0)", "gap");
    for (name, choice) in choices() {
        let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, choice)?;
        let numbers = [
            vae.elbo_consistency_form(&x0)?,
            vae.elbo_posterior_form(&x0)?,
            vae.log_evidence(&x0)?,
            vae.elbo_gap(&x0)?,
        ];
        print!("{name:>12}");
        numbers.iter().for_each(|sum| print!(" {:>12.6}", 0.5 * sum));
        println!();
    }
    let (mean, variance) = forward::marginal_moments(MEAN, VARIANCE, schedule.last())?;
    let best = -gaussian::entropy(VARIANCE, 1)?;
    println!("No model can beat minus the entropy of the data: {best:.6}.");
    println!("Exact misses it by KL(q(x_T) || N(0, 1)) = {:.1e},", gaussian::kl_scalar(mean, variance, 0.0, 1.0)?);
    println!("not by the mean of L_T = {:.1e}.\n", 0.5 * elbo::prior_term(&x0, schedule)?);
    Ok(())
}

fn compare_terms(schedule: &Schedule) -> Result<()> {
    let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Beta)?;
    let x0 = array![0.8];
    println!("Terms at x_0 = 0.8, s_t = beta_t, with the standard deviation of one draw:");
    println!("{:>4} {:>19} {:>12} {:>21}", "t", "consistency C_t", "mean KL", "denoising L_t");
    let mut excess = 0.0;
    for t in 1..schedule.timesteps() {
        let (step, next, decoder) = (schedule.step(t)?, schedule.step(t + 1)?, vae.decoder(t + 1)?);
        let consistency = vae.consistency_term(&x0, t)?;
        let too_large_by = decoder.slope * next.alpha.sqrt() * step.beta / decoder.variance;
        excess += too_large_by;
        if [1, 2, 5, 10, 20, 50, 99].contains(&t) {
            let std = vae.consistency_variance(&x0, t)?.sqrt();
            let (denoising, its_std) = (vae.denoising_term(&x0, t + 1)?, vae.denoising_variance(&x0, t + 1)?.sqrt());
            print!("{t:>4} {consistency:>10.4} ± {std:>6.3} {:>12.4}", consistency + too_large_by);
            println!(" {denoising:>11.6} ± {its_std:>8.6}");
        }
    }
    let bits = bits_per_dim(excess, 1)?;
    println!("Mean KLs in the place of the C_t make the cost {excess:.1} nats ({bits:.1} bits/dim) too large.\n");
    Ok(())
}

fn compare_estimators(schedule: &Schedule) -> Result<()> {
    let x0 = array![0.8];
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || {
        let eps: Vec<_> = schedule.steps().iter().map(|_| Array1::random_using(1, StandardNormal, &mut rng)).collect();
        forward::q_chain(&x0, schedule, &eps)
    };
    let paths = (0..PATHS).map(|_| draw()).collect::<Result<Vec<_>>>()?;
    println!("The bound at x_0 = 0.8, estimated on {PATHS} paths: mean ± standard deviation of one estimate;");
    println!("and the standard deviation (exact) of its sum over t, estimated at one t drawn at random.");
    let words = ["s_t", "exact", "consistency", "posterior", "at one t", "at one t"];
    println!("{:>10} {:>8} {:>17} {:>17} {:>9} {:>9}", words[0], words[1], words[2], words[3], words[4], words[5]);
    for (name, choice) in choices() {
        let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, choice)?;
        let consistency = paths.iter().map(|path| vae.elbo_consistency_estimate(path)).collect::<Result<_>>()?;
        let posterior = paths.iter().map(|path| vae.elbo_posterior_estimate(path)).collect::<Result<_>>()?;
        let of_consistency = |t| Ok((vae.consistency_term(&x0, t)?, vae.consistency_variance(&x0, t)?));
        let of_denoising = |t| Ok((vae.denoising_term(&x0, t)?, vae.denoising_variance(&x0, t)?));
        print!("{name:>10} {:>8.4}", vae.jensen_bound(&x0)?);
        print!(" {:>17} {:>17}", mean_and_std(consistency), mean_and_std(posterior));
        let terms = schedule.timesteps();
        println!(
            " {:>9.3} {:>9.3}",
            std_at_one_t(1..terms, of_consistency)?,
            std_at_one_t(2..terms + 1, of_denoising)?
        );
    }
    println!();
    Ok(())
}

/// The standard deviation of (number of terms) × (one draw of the term at a t that is uniform over `times`).
fn std_at_one_t(times: Range<usize>, mean_and_variance: impl Fn(usize) -> Result<(f64, f64)>) -> Result<f64> {
    let count = times.len() as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    for t in times {
        let (mean, variance) = mean_and_variance(t)?;
        sum += mean;
        squares += mean * mean + variance;
    }
    Ok((count * squares - sum * sum).sqrt())
}

fn compare_decoders() -> Result<()> {
    println!("A grey pixel (level 140 of 0..=255) whose decoder has the mean right: bits by bin, and by density");
    let x0 = array![140.0 / 127.5 - 1.0];
    for sigma in [0.1, 0.01, 0.003, 0.001] {
        let variance = sigma * sigma;
        let bin = bits_per_dim(-elbo::discretised_log_likelihood(&x0, &x0, variance)?, 1)?;
        let density = bits_per_dim(-gaussian::log_density(&x0, &x0, variance)?, 1)?;
        println!("sigma = {sigma:<5}  {bin:>10.4} {density:>10.4}");
    }
    println!("No probability takes fewer than 0 bits. A density can take any number, and pays for a smaller sigma.");
    Ok(())
}

fn choices() -> [(&'static str, DecoderVariance); 3] {
    let tilde = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);
    [("beta", DecoderVariance::Beta), ("beta_tilde", tilde), ("exact", DecoderVariance::Exact)]
}

fn mean_and_std(draws: Vec<f64>) -> String {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (n - 1.0);
    format!("{mean:.4} ± {:.4}", variance.sqrt())
}
