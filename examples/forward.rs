//! Chapter 4: noise added a step at a time, or all at once.
//!
//! `cargo run --release --example forward`

mod support;

use std::error::Error;

use literate_diffusion::forward::{merge_noise, q_chain, q_sample, q_step};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::{Schedule, paper};
use ndarray::{Array1, Array2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, PURPLE, Panel, SKY, VERMILION};

fn main() -> Result<(), Box<dyn Error>> {
    by_hand()?;
    paths()?;
    s_curve()
}

/// T = 3, one number, noises 1, −1 and 0.5: three steps, and the same with one merged noise.
fn by_hand() -> Result<(), Box<dyn Error>> {
    let schedule = Schedule::from_betas(&[0.1, 0.2, 0.5])?;
    let eps = [array![1.0], array![-1.0], array![0.5]];
    println!("step by step: x_0 = 2");
    let mut xt = array![2.0];
    let mut merged = eps[0].clone();
    for (&step, eps) in schedule.steps().iter().zip(&eps) {
        xt = q_step(&xt, step, eps)?;
        if step.t > 1 {
            // The steps so far count as one step with β = 1 − ᾱ_{t−1}.
            let so_far = Schedule::from_betas(&[step.one_minus_alpha_bar_prev])?.step(1)?;
            merged = merge_noise(so_far, &merged, step, eps)?;
        }
        println!("x_{} = {:.4}   with the merged noise {:.4}", step.t, xt[0], merged[0]);
    }
    let at_once = q_sample(&array![2.0], schedule.last(), &merged)?;
    println!("at once: x_3 = {:.4}, and the two differ by {:.1e}", at_once[0], (at_once[0] - xt[0]).abs());
    Ok(())
}

/// A few paths of one number from x_0 = 2, between the mean and two standard deviations of q(x_t | x_0).
fn paths() -> Result<(), Box<dyn Error>> {
    let schedule = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut curves = Vec::new();
    for colour in [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY] {
        let eps: Vec<Array1<f64>> =
            schedule.steps().iter().map(|_| Array1::random_using(1, StandardNormal, &mut rng)).collect();
        let path = q_chain(&array![2.0], &schedule, &eps)?;
        let points = path.iter().enumerate().map(|(t, x)| (t as f64, x[0])).collect();
        curves.push(Curve { label: "", colour, points, dashed: false });
    }
    for (label, sigmas) in [("mean ± 2 standard deviations", -2.0), ("", 0.0), ("", 2.0)] {
        let at =
            |step: &literate_diffusion::Step| 2.0 * step.alpha_bar.sqrt() + sigmas * step.one_minus_alpha_bar.sqrt();
        let points = schedule.steps().iter().map(|step| (step.t as f64, at(step))).collect();
        curves.push(Curve { label, colour: INK, points, dashed: true });
    }
    let alt = "Six random paths start at 2, spread, and end in a band around 0 that is four standard deviations wide.";
    Figure { folder: &support::figures(), name: "forward-paths", alt }
        .curves(&Axes { x: "t", y: "x_t", log_y: false }, &curves)?;
    Ok(())
}

/// The S-curve at five times.
fn s_curve() -> Result<(), Box<dyn Error>> {
    let schedule = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let x0 = SCurve::sound().points(500, &mut rng);
    let eps = Array2::random_using(x0.dim(), StandardNormal, &mut rng);
    let mut states = vec![(0, x0.clone())];
    for t in [10, 25, 50, 100] {
        states.push((t, q_sample(&x0, schedule.step(t)?, &eps)?));
    }
    let panels: Vec<Panel> = states
        .iter()
        .map(|(t, points)| Panel {
            title: format!("t = {t}"),
            clouds: vec![Cloud { label: "", colour: BLUE, points: points.view() }],
        })
        .collect();
    let alt = "The S-curve at t = 0, 10, 25, 50 and 100: it blurs and shrinks into a round cloud.";
    let path = Figure { folder: &support::figures(), name: "forward-s_curve", alt }.panels(&panels, 5, -3.3..3.3)?;
    println!("figures: {}", path.with_file_name("forward-*.svg").display());
    Ok(())
}
