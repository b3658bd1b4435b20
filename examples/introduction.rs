//! Chapter 1: from data to noise and back, with the best network that there can be, and what it means to learn.
//!
//! `cargo run --release --example introduction`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::forward::q_sample;
use literate_diffusion::gaussian::density;
use literate_diffusion::objective::{Variance, eps_from_x0};
use literate_diffusion::posterior::atom_weights;
use literate_diffusion::s_curve::{SCurve, curve_point};
use literate_diffusion::sampler::{LastStep, ancestral};
use literate_diffusion::{Result, Schedule, Step, paper};
use ndarray::{Array2, ArrayRef2, ArrayView1, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use plotters::style::RGBColor;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, Panel, VERMILION};

const POINTS: usize = 2000;
/// So many points are counted, since few of them are far from the curve.
const COUNTED: usize = 20_000;
/// The size of the training set that is learned by heart.
const FEW: usize = 20;
const SHOWN: [usize; 5] = [0, 5, 10, 25, 100];

fn main() -> ExitCode {
    cli::example(
        "From data to noise and back, with the best network that there can be, and what it means to learn",
        run,
    )
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let folder = support::figures();
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let schedule = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let curve = SCurve::sound();
    let data = curve.points(POINTS, rng);

    let forward = forward(&data, &schedule, rng)?;
    let best = |xt: &ArrayRef2<f64>, step: Step| curve.marginal(step).optimal_eps(xt);
    let generated = backward(POINTS, &schedule, best, rng)?;
    let few = data.slice_axis(Axis(0), (..FEW).into()).to_owned();
    let by_heart = backward_to(&few, &schedule, rng)?;

    let counting = &mut ChaCha8Rng::seed_from_u64(1);
    let numbers = json!({
        "by_hand": by_hand()?,
        "variance_of_guesses": variance_of_guesses()?,
        "timesteps": schedule.timesteps(),
        "points": COUNTED,
        "few": FEW,
        "far_from_curve": {
            "data": far_from_curve(&curve, &curve.points(COUNTED, counting)),
            "generated": far_from_curve(&curve, &backward(COUNTED, &schedule, best, counting)?[0]),
            "noise": far_from_curve(&curve, &Array2::random_using((COUNTED, 2), StandardNormal, counting)),
        },
        "nearest_of_few": {
            "by_heart": mean_distance_to_nearest(&by_heart, &few),
            "generated": mean_distance_to_nearest(&generated[0], &few),
        },
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("introduction-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for path in [
        there_and_back(&folder, &forward, &generated)?,
        two_values(&folder)?,
        learned_by_heart(&folder, &few, &by_heart, &generated[0])?,
    ] {
        println!("Figure: {}", path.display());
    }
    Ok(())
}

// ANCHOR: by_hand
/// One number, −1 or 1. One large step of noise led to 0.5. Which of the two was it?
fn by_hand() -> Result<Value> {
    let step = Schedule::from_betas(&[0.64])?.step(1)?; // √ᾱ = 0.6, √(1 − ᾱ) = 0.8
    let (values, seen) = (array![-1.0, 1.0], 0.5);
    let weights = atom_weights(&values, seen, step)?;

    Ok(json!({
        "noisy": q_sample(&array![1.0], step, &array![-0.125])?[0],
        "densities": [density(seen, -0.6, 0.64)?, density(seen, 0.6, 0.64)?],
        "weights": weights.to_vec(),
        "guess": weights.dot(&values),
    }))
}
// ANCHOR_END: by_hand

/// The variance of the best guess of the number, over all that may be seen. The number itself has variance 1.
fn variance_of_guesses() -> Result<f64> {
    let step = Schedule::from_betas(&[0.64])?.step(1)?;
    let values = array![-1.0, 1.0];
    let width = 0.01;
    let at = |i: i32| {
        let seen = f64::from(i) * width;
        let probability = 0.5 * width * (density(seen, -0.6, 0.64)? + density(seen, 0.6, 0.64)?);
        Ok(probability * atom_weights(&values, seen, step)?.dot(&values).powi(2))
    };
    (-800..=800).map(at).sum()
}

/// The data at the times that are shown.
fn forward(x0: &Array2<f64>, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<Vec<Array2<f64>>> {
    let eps = Array2::random_using(x0.raw_dim(), StandardNormal, rng);
    let at = |&t: &usize| if t == 0 { Ok(x0.clone()) } else { q_sample(x0, schedule.step(t)?, &eps) };
    SHOWN.iter().map(at).collect()
}

// ANCHOR: backward
/// From noise to data, led by a denoiser; the states at the times that are shown, from t = 0 on.
fn backward(
    points: usize,
    schedule: &Schedule,
    denoiser: impl Fn(&ArrayRef2<f64>, Step) -> Result<Array2<f64>>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Array2<f64>>> {
    let noise = Array2::random_using((points, 2), StandardNormal, rng);
    let mut states = Vec::new();
    let watched = |xt: &ArrayRef2<f64>, step: Step| {
        if SHOWN.contains(&step.t) {
            states.push(xt.to_owned());
        }
        denoiser(xt, step)
    };
    let x0 = ancestral(&noise, schedule, Variance::Beta, LastStep::Mean, watched, rng)?;
    states.push(x0);
    states.reverse();
    Ok(states)
}
// ANCHOR_END: backward

// ANCHOR: backward_to
/// The same, with the best denoiser for data that is nothing but a few points.
fn backward_to(few: &Array2<f64>, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<Array2<f64>> {
    let denoiser = |xt: &ArrayRef2<f64>, step: Step| {
        let mut x0 = Array2::zeros(xt.dim());
        for (x, mut x0) in xt.rows().into_iter().zip(x0.rows_mut()) {
            let exponents = few.map_axis(Axis(1), |point| {
                -0.5 * squared_distance(x, (&point * step.alpha_bar.sqrt()).view()) / step.one_minus_alpha_bar
            });
            let largest = exponents.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let weights = exponents.mapv(|e| (e - largest).exp());
            x0.assign(&(weights.dot(few) / weights.sum()));
        }
        eps_from_x0(&x0, xt, step)
    };
    Ok(backward(POINTS, schedule, denoiser, rng)?.swap_remove(0))
}
// ANCHOR_END: backward_to

fn squared_distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn distance_to_nearest(point: ArrayView1<f64>, others: &Array2<f64>) -> f64 {
    others.rows().into_iter().map(|other| squared_distance(point, other)).fold(f64::INFINITY, f64::min).sqrt()
}

fn mean_distance_to_nearest(points: &Array2<f64>, others: &Array2<f64>) -> f64 {
    points.rows().into_iter().map(|point| distance_to_nearest(point, others)).sum::<f64>() / points.nrows() as f64
}

/// The share of points that are more than three standard deviations of its noise away from the S.
fn far_from_curve(curve: &SCurve, points: &Array2<f64>) -> f64 {
    let u = |i: usize| 1.5 * std::f64::consts::PI * (i as f64 / 500.0 - 1.0);
    let line = Array2::from_shape_fn((1001, 2), |(i, axis)| curve_point(u(i))[axis]);
    let unscaled = points * &array![curve.scale()[0], curve.scale()[1]];
    let far = unscaled.rows().into_iter().filter(|point| distance_to_nearest(*point, &line) > 3.0 * curve.noise());
    far.count() as f64 / points.nrows() as f64
}

type Drawn = std::result::Result<PathBuf, Box<dyn Error>>;

fn panel<'a>(title: String, colour: RGBColor, points: &'a Array2<f64>) -> Panel<'a> {
    Panel { title, clouds: vec![Cloud { label: "", colour, points: points.view() }] }
}

/// Above, data becomes noise; below, noise becomes data.
fn there_and_back(folder: &Path, forward: &[Array2<f64>], backward: &[Array2<f64>]) -> Drawn {
    let there = SHOWN.iter().zip(forward).map(|(t, points)| panel(format!("t = {t} →"), BLUE, points));
    let back = SHOWN.iter().zip(backward).rev().map(|(t, points)| panel(format!("t = {t} →"), ORANGE, points));
    let mut panels: Vec<Panel> = there.chain(back).collect();
    for last in [4, 9] {
        panels[last].title = format!("t = {}", if last == 4 { SHOWN[4] } else { SHOWN[0] });
    }
    Figure {
        folder,
        name: "introduction-there-and-back",
        alt: "Two rows of five panels. Above, a clear letter S of points blurs until it is a round cloud. Below, another \
              round cloud contracts until it is a clear letter S.",
    }
    .panels(&panels, 5, -3.5..3.5)
}

/// The density of one number that was −1 or 1, for several shares of the data that are left.
fn two_values(folder: &Path) -> Drawn {
    let density_at = |alpha_bar: f64| -> Result<Vec<(f64, f64)>> {
        let at = |x: f64| -> Result<f64> {
            let (place, variance) = (alpha_bar.sqrt(), 1.0 - alpha_bar);
            Ok(0.5 * (density(x, -place, variance)? + density(x, place, variance)?))
        };
        (0..=120).map(|i| -3.0 + 0.05 * f64::from(i)).map(|x| Ok((x, at(x)?))).collect()
    };
    let curve = |label, colour, points| Curve { label, colour, points, dashed: false };
    let standard = (0..=120).map(|i| -3.0 + 0.05 * f64::from(i)).map(|x| Ok((x, density(x, 0.0, 1.0)?)));
    Figure {
        folder,
        name: "introduction-two-values",
        alt: "Densities of one number. With little noise there are two narrow peaks at −1 and 1. With more they widen \
              and move together; in the end there is one hump, which lies on the standard bell curve.",
    }
    .curves(
        &Axes { x: "x", y: "density", log_y: false },
        &[
            curve("little noise", BLUE, density_at(0.95)?),
            curve("more", GREEN, density_at(0.7)?),
            curve("the example", ORANGE, density_at(0.36)?),
            curve("nearly all noise", VERMILION, density_at(0.05)?),
            Curve { label: "N(0, 1)", colour: INK, points: standard.collect::<Result<_>>()?, dashed: true },
        ],
    )
}

fn learned_by_heart(folder: &Path, few: &Array2<f64>, by_heart: &Array2<f64>, generated: &Array2<f64>) -> Drawn {
    let panels = [
        panel(format!("{FEW} points of data"), BLUE, few),
        panel("learned by heart".to_owned(), ORANGE, by_heart),
        panel("the distribution".to_owned(), ORANGE, generated),
    ];
    Figure {
        folder,
        name: "introduction-by-heart",
        alt: "Three panels. Twenty points of the S-curve; five hundred samples of a model that has learned them by heart, \
              which lie on the same twenty places; five hundred samples of the distribution, which fill the letter S.",
    }
    .panels(&panels, 3, -3.0..3.0)
}
