//! Chapter 4: data becomes noise, a step at a time and all at once.
//!
//! `cargo run --release --example forward [SEED]`

mod support;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use literate_diffusion::forward::{marginal_moments, merge_noise, q_chain, q_sample, q_step};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::{Schedule, paper};
use ndarray::{Array1, Array2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, ORANGE, Panel, SKY};

fn main() -> ExitCode {
    cli::seeded("Data becomes noise, a step at a time and all at once", run)
}

fn run(seed: u64) -> Result<(), Box<dyn Error>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;

    let numbers = json!({ "by_hand": by_hand()?, "mistakes": mistakes(&sound)?, "ends": ends(&sound)? });
    println!("{numbers:#}");
    write_atomically(&folder.join("forward-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    println!("Figure: {}", paths(&folder, &sound, rng)?.display());
    println!("Figure: {}", s_curve(&folder, &sound, rng)?.display());
    Ok(())
}

// ANCHOR: by_hand
/// Three steps by hand, then in one.
fn by_hand() -> literate_diffusion::Result<Value> {
    let schedule = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let [first, second, third] = [schedule.step(1)?, schedule.step(2)?, schedule.step(3)?];
    let (x0, eps) = (array![1.0], [array![0.5], array![-1.0], array![0.2]]);

    let x1 = q_step(&x0, first, &eps[0])?;
    let x2 = q_step(&x1, second, &eps[1])?;
    let x3 = q_step(&x2, third, &eps[2])?;

    let two_noises = merge_noise(first, &eps[0], second, &eps[1])?;
    let x2_at_once = q_sample(&x0, second, &two_noises)?;

    Ok(json!({
        "beta": [first.beta, second.beta, third.beta],
        "alpha": [first.alpha, second.alpha, third.alpha],
        "alpha_bar": [first.alpha_bar, second.alpha_bar, third.alpha_bar],
        "x": [x0[0], x1[0], x2[0], x3[0]],
        "merged": two_noises[0],
        "x2_at_once": x2_at_once[0],
    }))
}
// ANCHOR_END: by_hand

/// How much of the data is left at the end, and how close x_T is to N(0, 1) for a point of the data far out.
fn ends(schedule: &Schedule) -> literate_diffusion::Result<Value> {
    let (mean, variance) = marginal_moments(3.0, 0.0, schedule.last())?;
    Ok(json!({
        "timesteps": schedule.timesteps(),
        "alpha_bar": schedule.last().alpha_bar,
        "mean_from_3": mean,
        "one_minus_variance": 1.0 - variance,
    }))
}

/// What two mistakes do to data of variance 1, whose variance should stay 1: the worst over t.
fn mistakes(schedule: &Schedule) -> literate_diffusion::Result<Value> {
    let steps = schedule.steps().iter();
    // The variance of √ᾱ x_0 + (1 − ᾱ) ε, and of √ᾱ x_0 + √(1 − ᾱ) + ε.
    let no_root = steps.clone().map(|s| s.alpha_bar + s.one_minus_alpha_bar.powi(2)).fold(1.0, f64::min);
    let plus = steps.map(|s| s.alpha_bar + 1.0).fold(1.0, f64::max);
    // β as a standard deviation, all the way down the chain.
    let beta_std = schedule.steps().iter().fold(1.0, |variance, s| s.alpha * variance + s.beta.powi(2));
    Ok(json!({ "no_root_variance": no_root, "plus_variance": plus, "beta_as_std_variance": beta_std }))
}

/// Paths of the chain from two points, and where the mean goes.
fn paths(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let mut path = |x0: f64| -> literate_diffusion::Result<Vec<(f64, f64)>> {
        let eps: Vec<Array1<f64>> =
            schedule.steps().iter().map(|_| Array1::random_using(1, StandardNormal, rng)).collect();
        let path = q_chain(&array![x0], schedule, &eps)?;
        Ok(path.iter().enumerate().map(|(t, x)| (t as f64, x[0])).collect())
    };
    let mut mean = vec![(0.0, 3.0)];
    for step in schedule.steps() {
        mean.push((step.t as f64, marginal_moments(3.0, 0.0, *step)?.0));
    }
    let curves = [
        Curve { label: "from 3", colour: BLUE, points: path(3.0)?, dashed: false },
        Curve { label: "from 3, other noise", colour: SKY, points: path(3.0)?, dashed: false },
        Curve { label: "from −3", colour: ORANGE, points: path(-3.0)?, dashed: false },
        Curve { label: "mean of all paths from 3", colour: BLUE, points: mean, dashed: true },
    ];
    Figure {
        folder,
        name: "forward-paths",
        alt: "Three jagged paths over 100 steps. Two start at 3, one at −3. All come down to about 0, as noise of \
              standard deviation 1, where nobody can tell which started where. The mean of the paths from 3 falls \
              smoothly to 0.",
    }
    .curves(&Axes { x: "t", y: "x", log_y: false }, &curves)
}

/// The S-curve at five times, each in one go from x_0.
fn s_curve(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let x0 = SCurve::sound().points(500, rng);
    let eps = Array2::random_using(x0.raw_dim(), StandardNormal, rng);
    let mut clouds = vec![(0, x0.clone())];
    for t in [10, 25, 50, 100] {
        clouds.push((t, q_sample(&x0, schedule.step(t)?, &eps)?));
    }
    let panels: Vec<Panel> = clouds
        .iter()
        .map(|(t, xt)| Panel {
            title: format!("t = {t}"),
            clouds: vec![Cloud { label: "x_t", colour: BLUE, points: xt.view() }],
        })
        .collect();
    Figure {
        folder,
        name: "forward-s-curve",
        alt: "Five clouds of points, left to right: a clear letter S, the same a little blurred, a smear in which the S \
              can be guessed, an oval smear, and a round cloud of noise.",
    }
    .panels(&panels, 5, -3.5..3.5)
}
