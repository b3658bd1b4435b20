//! Chapter 7: what the bound charges for an error, at each t, and what loss is the best that there can be.
//!
//! `cargo run --release --example objective`

use literate_diffusion::objective::{
    Prediction, Variance, eps_weight, gaussian_floor, gaussian_floor_mean, min_snr_weight, snr_weight, v_weight,
    x0_weight,
};
use literate_diffusion::{Result, Schedule, paper};

fn main() -> Result<()> {
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;

    println!("What the bound charges for an error, T = 1000, sigma^2 = beta:");
    println!(
        "{:>5} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "t", "SNR", "eps", "x0", "v", "snr_weight", "min-SNR eps"
    );
    for t in [1, 2, 10, 100, 300, 600, 1000] {
        let step = ddpm.step(t)?;
        let variance = Variance::Beta.of(step);
        print!("{t:>5} {:>11.3e} {:>11.3e}", step.snr(), eps_weight(step, variance)?);
        print!(" {:>11.3e} {:>11.3e}", x0_weight(step, variance)?, v_weight(step, variance)?);
        // The weight of x_0 for σ² = β̃, which is 0 at t = 1.
        match snr_weight(step) {
            Ok(weight) => print!(" {weight:>11.3e}"),
            Err(_) => print!(" {:>11}", "none"),
        }
        println!(" {:>11.3e}", min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps)?);
    }

    println!("\nThe floor of L_simple, for data of variance v in every direction:");
    println!("{:>5} {:>11} {:>11} {:>11}", "t", "v = 0.01", "v = 1", "v = 100");
    for t in [1, 10, 100, 300, 1000] {
        print!("{t:>5}");
        for variance in [0.01, 1.0, 100.0] {
            print!(" {:>11.3e}", gaussian_floor(variance, ddpm.step(t)?)?);
        }
        println!();
    }
    print!(" mean");
    for variance in [0.01, 1.0, 100.0] {
        print!(" {:>11.3e}", gaussian_floor_mean(variance, &ddpm)?);
    }
    println!("\nA perfect network has this loss. Far from 0 does not mean badly trained.");
    Ok(())
}
