//! Chapter 3: three schedules, how much signal each leaves, and what a change of T alone does.
//!
//! `cargo run --release --example schedule`

mod support;

use std::error::Error;

use literate_diffusion::{Schedule, paper};
use ndarray::array;
use support::plot::{Axes, BLUE, Curve, Figure, ORANGE, VERMILION};

fn main() -> Result<(), Box<dyn Error>> {
    let by_hand = Schedule::from_betas(&[0.1, 0.2, 0.5])?;
    println!("T = 3 by hand\n t  beta  alpha  alpha_bar  beta_tilde    SNR");
    for step in by_hand.steps() {
        println!(
            "{:2} {:5.2} {:6.2} {:10.3} {:11.4} {:6.3}",
            step.t,
            step.beta,
            step.alpha,
            step.alpha_bar,
            step.beta_tilde,
            step.snr()
        );
    }

    let linear = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let cosine = Schedule::cosine(paper::DDPM_TIMESTEPS, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA)?;
    let short = Schedule::linear(300, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let classic = Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?;
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;

    println!("\nWhat is left of the data at t = T, and how far x_T is from N(0, 1), for data of variance 1:");
    let unit = array![[1.0], [-1.0]];
    for (name, schedule) in [
        ("linear, T = 1000 (DDPM)", &linear),
        ("cosine, T = 1000", &cosine),
        ("the DDPM ends, T = 300", &short),
        ("the same, rescaled", &linear.rescaled(300)?),
        ("sigmoid, T = 100 (classic)", &classic),
        ("linear, T = 100 (sound)", &sound),
    ] {
        let bits = schedule.terminal_gap(&unit)? / std::f64::consts::LN_2;
        println!("{name:28} alpha_bar_T = {:9.3e}   gap = {bits:9.3e} bits/dim", schedule.last().alpha_bar);
    }

    let alpha_bar = |label, colour, schedule: &Schedule| {
        let relative_time = |t: usize| t as f64 / schedule.timesteps() as f64;
        let points = schedule.steps().iter().map(|step| (relative_time(step.t), step.alpha_bar)).collect();
        Curve { label, colour, points, dashed: false }
    };
    let path = Figure {
        folder: &support::figures(),
        name: "schedule-alpha-bar",
        alt: "The share of signal over the time t/T: the linear schedule falls early, the cosine schedule evenly, and the \
              linear schedule with its ends kept and T = 300 does not reach zero.",
    }
    .curves(
        &Axes { x: "t / T", y: "ᾱ_t", log_y: false },
        &[
            alpha_bar("linear, T = 1000", BLUE, &linear),
            alpha_bar("cosine, T = 1000", ORANGE, &cosine),
            alpha_bar("linear, ends kept, T = 300", VERMILION, &short),
        ],
    )?;
    println!("\nFigure: {}", path.display());
    Ok(())
}
