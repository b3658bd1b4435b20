//! Chapter 12: guidance on data that is known exactly: what it asks for, and what it makes.
//!
//! `cargo run --release --example guidance`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::guidance::{self, Classes};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::{Result, Schedule, Step, forward, objective, paper, sampler};
use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, Axis, array, concatenate};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, INK, ORANGE, Panel, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;
type Moments = (f64, f64);

/// One prediction made of x_t, the prediction without a class, and the one with it.
trait Rule: Fn(&ArrayRef2<f64>, &ArrayRef2<f64>, &ArrayRef2<f64>, Step) -> Result<Array2<f64>> {}
impl<F: Fn(&ArrayRef2<f64>, &ArrayRef2<f64>, &ArrayRef2<f64>, Step) -> Result<Array2<f64>>> Rule for F {}

/// All of the data, and the class within it, in the example of two Gaussians.
const ALL: Moments = (0.0, 1.0);
const CLASS: Moments = (1.0, 0.25);
const WEIGHTS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

fn main() -> ExitCode {
    cli::example("Guidance on data that is known exactly: what it asks for, and what it makes", run)
}

fn run() -> Outcome<()> {
    let folder = support::figures();
    let schedule = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let two = two_classes()?;

    let numbers = json!({
        "by_hand": by_hand(&two)?,
        "midway": midway(&two)?,
        "pair": pair(&schedule)?,
        "noised": noised(&schedule)?,
        "two": guided_two(&two, &schedule)?,
        "plane": guided_plane(&schedule)?,
        "worth": worth(&two, &schedule)?,
        "mistakes": mistakes(&two, &schedule)?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("guidance-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    println!("Figure: {}", figure_worth(&folder, &two, &schedule)?.display());
    println!("Figure: {}", figure_variance(&folder, &schedule)?.display());
    println!("Figure: {}", figure_noised(&folder, &schedule)?.display());
    println!("Figure: {}", figure_densities(&folder, &two, &schedule)?.display());
    println!("Figure: {}", figure_plane(&folder, &schedule)?.display());
    Ok(())
}

/// Two classes on a line, as many of each: at −1 and at 1, with a standard deviation of ½.
fn two_classes() -> Result<Classes> {
    Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![0.25, 0.25])
}

/// Three classes in the plane that overlap.
fn three_classes() -> Result<Classes> {
    let shares = Array1::from_elem(3, 1.0 / 3.0);
    Classes::new(shares, array![[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]], Array1::from_elem(3, 0.3))
}

// ANCHOR: guided_by_hand
/// The second step of the schedule of three, at x_2 = 0.5, with w = 2.
fn by_hand(data: &Classes) -> Result<Value> {
    let (xt, weight) = (array![[0.5]], 2.0);
    let step = Schedule::from_betas(&[0.36, 0.51, 0.75])?.step(2)?;
    let law = data.marginal(step);
    let none = data.mixture_eps(&xt, step)?;
    let [other, class] = [data.class_eps(&xt, step, 0)?, data.class_eps(&xt, step, 1)?];
    let classifier = law.classifier_score(&xt, 1)?;
    let guided = guidance::guided_prediction(&none, &class, weight)?;
    let by_classifier = guidance::classifier_guided_eps(&none, &classifier, step, weight)?;
    let x0 = |eps: &Array2<f64>| objective::x0_from_eps(&xt, step, eps).map(|x0| x0[[0, 0]]);
    Ok(json!({
        "alpha_bar": step.alpha_bar,
        "place": step.alpha_bar.sqrt(),
        "noise": step.one_minus_alpha_bar.sqrt(),
        "variance": forward::marginal_moments(1.0, 0.25, step)?.1,
        "probability": law.class_probabilities(&xt)?[[0, 1]],
        "none": none[[0, 0]],
        "class": class[[0, 0]],
        "other": other[[0, 0]],
        "classifier": classifier[[0, 0]],
        "guided": guided[[0, 0]],
        "by_classifier": by_classifier[[0, 0]],
        "x0": { "none": x0(&none)?, "class": x0(&class)?, "guided": x0(&guided)? },
    }))
}
// ANCHOR_END: guided_by_hand

/// The same step at x_2 = 0, midway between the classes, for an exercise.
fn midway(data: &Classes) -> Result<Value> {
    let xt = array![[0.0]];
    let step = Schedule::from_betas(&[0.36, 0.51, 0.75])?.step(2)?;
    let class = data.class_eps(&xt, step, 1)?;
    let guided = guidance::guided_prediction(&data.mixture_eps(&xt, step)?, &class, 2.0)?;
    let x0 = |eps: &Array2<f64>| objective::x0_from_eps(&xt, step, eps).map(|x0| x0[[0, 0]]);
    Ok(json!({
        "class": class[[0, 0]],
        "guided": guided[[0, 0]],
        "x0": { "class": x0(&class)?, "guided": x0(&guided)? },
    }))
}

// ANCHOR: guided_pair
/// What is asked for, and what two samplers make, where all is Gaussian.
fn pair(schedule: &Schedule) -> Result<Value> {
    let mut rows = Vec::new();
    for weight in WEIGHTS {
        let (tilted_mean, tilted) = guidance::tilted_moments(ALL, CLASS, weight)?;
        let (ddim_mean, ddim) = guidance::guided_moments(ALL, CLASS, weight, schedule, 0.0)?;
        let (ancestral_mean, ancestral) = guidance::guided_moments(ALL, CLASS, weight, schedule, 1.0)?;
        rows.push(json!({
            "w": weight,
            "tilted": { "mean": tilted_mean, "variance": tilted },
            "ddim": { "mean": ddim_mean, "variance": ddim },
            "ancestral": { "mean": ancestral_mean, "variance": ancestral },
            "flow": guidance::guided_flow_variance(ALL.1, CLASS.1, weight)?,
        }));
    }
    Ok(json!(rows))
}
// ANCHOR_END: guided_pair

/// What the guided score at t belongs to, and what it would have to belong to: two Gaussians, w = 4.
fn tilted_and_noised(step: Step) -> Result<[Moments; 2]> {
    let [all, class] = [ALL, CLASS].map(|(mean, variance)| forward::marginal_moments(mean, variance, step));
    let noised_first = guidance::tilted_moments(all?, class?, 4.0)?;
    let (mean, variance) = guidance::tilted_moments(ALL, CLASS, 4.0)?;
    Ok([noised_first, forward::marginal_moments(mean, variance, step)?])
}

/// The time at which the two variances differ most.
fn noised(schedule: &Schedule) -> Result<Value> {
    let mut most = json!(null);
    let mut ratio = 1.0;
    for &step in schedule.steps() {
        let [followed, needed] = tilted_and_noised(step)?;
        if followed.1 / needed.1 < ratio {
            ratio = followed.1 / needed.1;
            most = json!({ "t": step.t, "followed": followed.1, "needed": needed.1, "ratio": ratio });
        }
    }
    Ok(most)
}

/// DDIM or ancestral sampling with guidance towards class 1, or any other rule that makes one prediction of two.
fn sample(data: &Classes, schedule: &Schedule, eta: f64, begin: &Array2<f64>, rule: impl Rule) -> Result<Array2<f64>> {
    let times = evenly_spaced_times(schedule.timesteps(), 200)?;
    let denoiser = |xt: &ArrayRef2<f64>, step: Step| {
        let none = data.mixture_eps(xt, step)?;
        let class = data.class_eps(xt, step, 1)?;
        rule(xt, &none, &class, step)
    };
    sampler::ddim(begin, schedule, &times, eta, denoiser, &mut ChaCha8Rng::seed_from_u64(1))
}

/// The rule of guidance, with this weight.
fn guide(weight: f64) -> impl Rule {
    move |_, none, class, _| guidance::guided_prediction(none, class, weight)
}

/// Draws of x_T.
fn noise(count: usize, dimensions: usize) -> Array2<f64> {
    Array2::random_using((count, dimensions), StandardNormal, &mut ChaCha8Rng::seed_from_u64(0))
}

/// Values of x_T on a grid, and how probable each is: draws without their chance.
fn grid() -> (Array2<f64>, Array1<f64>) {
    let x = Array1::linspace(-6.0, 6.0, 601);
    let weights = x.mapv(|x| 0.02 * normal(x));
    (x.insert_axis(Axis(1)), weights)
}

/// The density of N(0, 1).
fn normal(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// Mean, standard deviation, and how sure one may be of class 1, of points on a line, each with its weight.
fn summary(data: &Classes, x0: &ArrayRef2<f64>, weights: &Array1<f64>) -> Result<Value> {
    let points = x0.column(0);
    let mean = points.dot(weights);
    let variance = points.mapv(|x| (x - mean).powi(2)).dot(weights);
    let probability = data.class_probabilities(x0)?.column(1).dot(weights);
    Ok(json!({ "mean": mean, "std": variance.sqrt(), "probability": probability }))
}

/// Two classes on a line: the tilted density, and what the samplers make.
fn guided_two(data: &Classes, schedule: &Schedule) -> Result<Value> {
    let (begin, weights) = grid();
    let alike = Array1::from_elem(5000, 1.0 / 5000.0);
    let mut rows = Vec::new();
    for weight in WEIGHTS {
        let ddim = sample(data, schedule, 0.0, &begin, guide(weight))?;
        let ancestral = sample(data, schedule, 1.0, &noise(5000, 1), guide(weight))?;
        let (x, density) = tilted_density(data, weight)?;
        rows.push(json!({
            "w": weight,
            "tilted": summary(data, &x.view().insert_axis(Axis(1)), &(density * (x[1] - x[0])))?,
            "ddim": summary(data, &ddim, &weights)?,
            "ancestral": summary(data, &ancestral, &alike)?,
        }));
    }
    Ok(json!(rows))
}

/// A grid on the line, and the tilted density there, of area 1.
fn tilted_density(data: &Classes, weight: f64) -> Result<(Array1<f64>, Array1<f64>)> {
    let x = Array1::linspace(-6.0, 6.0, 2401);
    let density = data.tilted_log_density(&x.view().insert_axis(Axis(1)), 1, weight)?.mapv(f64::exp);
    let area = density.sum() * (x[1] - x[0]);
    Ok((x, density / area))
}

/// Three classes in the plane: how far the samples are from the middle of all, how far they spread, how sure their class is.
fn guided_plane(schedule: &Schedule) -> Result<Value> {
    let data = three_classes()?;
    let mut rows = Vec::new();
    for weight in WEIGHTS {
        let x0 = sample(&data, schedule, 0.0, &noise(1000, 2), guide(weight))?;
        let mean = x0.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(2));
        rows.push(json!({
            "w": weight,
            "from_centre": mean.dot(&mean).sqrt(),
            "std": x0.var_axis(Axis(0), 0.0).mean().map(f64::sqrt),
            "probability": data.class_probabilities(&x0)?.column(1).mean(),
        }));
    }
    Ok(json!(rows))
}

/// The least loss at t without the class and with it, for the two classes on a line.
fn floors(data: &Classes, step: Step) -> Result<[f64; 2]> {
    let grid = Array1::linspace(-8.0, 8.0, 801).insert_axis(Axis(1));
    let density = data.marginal(step).tilted_log_density(&grid, 1, 0.0)?.mapv(f64::exp);
    let squares = data.mixture_eps(&grid, step)?.column(0).mapv(|eps| eps * eps);
    Ok([1.0 - 0.02 * density.dot(&squares), objective::gaussian_floor(0.25, step)?])
}

/// What the class is worth: the least loss without it and with it, over all t, and with some classes dropped.
fn worth(data: &Classes, schedule: &Schedule) -> Result<Value> {
    let mut sums = [0.0; 2];
    let mut most = (0, 0.0);
    for &step in schedule.steps() {
        let [none, class] = floors(data, step)?;
        sums = [sums[0] + none, sums[1] + class];
        most = if none - class > most.1 { (step.t, none - class) } else { most };
    }
    let [none, class] = sums.map(|sum| sum / schedule.timesteps() as f64);
    Ok(json!({
        "none": none,
        "class": class,
        "dropped": { "a_tenth": guidance::class_dropout_floor(0.1, none, class)?, "half": guidance::class_dropout_floor(0.5, none, class)? },
        "most": { "t": most.0, "gain": most.1 },
    }))
}

/// What mistakes do to samples of class 1 of the two on a line.
fn mistakes(data: &Classes, schedule: &Schedule) -> Result<Value> {
    let (begin, weights) = grid();
    let of = |rule: &dyn Rule| summary(data, &sample(data, schedule, 0.0, &begin, rule)?, &weights);
    let clean_classifier = |xt: &ArrayRef2<f64>, none: &ArrayRef2<f64>, _: &ArrayRef2<f64>, step| {
        guidance::classifier_guided_eps(none, &data.classifier_score(xt, 1)?, step, 1.0)
    };
    Ok(json!({
        "right": { "0": of(&guide(0.0))?, "1": of(&guide(1.0))?, "2": of(&guide(2.0))?, "3": of(&guide(3.0))? },
        "beyond_0": of(&|_, none, class, _| guidance::guided_prediction_beyond(none, class, 0.0))?,
        "swapped": of(&|_, none, class, _| guidance::guided_prediction(class, none, 2.0))?,
        "sum": of(&|_, none, class, _| Ok(&none.view() + &(&class.view() * 2.0)))?,
        "clean_classifier": of(&clean_classifier)?,
    }))
}

fn figure_worth(folder: &Path, data: &Classes, schedule: &Schedule) -> Outcome<PathBuf> {
    let curve = |label, colour, which: usize| -> Result<Curve> {
        let every_fifth = schedule.steps().iter().step_by(5);
        let points = every_fifth.map(|&step| Ok((step.t as f64, floors(data, step)?[which]))).collect::<Result<_>>()?;
        Ok(Curve { label, colour, points, dashed: false })
    };
    let curves = [curve("without the class", VERMILION, 0)?, curve("with it", BLUE, 1)?];
    let alt = "The least loss over t for two classes on a line. Both curves begin together near 1 and end together near 0. \
               Between t = 50 and t = 600, the one without the class lies clearly above.";
    Figure { folder, name: "guidance-worth", alt }.curves(&Axes { x: "t", y: "least loss", log_y: false }, &curves)
}

fn figure_variance(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let curve = |label, colour, variance: &dyn Fn(f64) -> Result<f64>, dashed| -> Result<Curve> {
        let weights = (0..=80).map(|i| 0.1 * f64::from(i));
        let points = weights.map(|weight| Ok((weight, variance(weight)?))).collect::<Result<_>>()?;
        Ok(Curve { label, colour, points, dashed })
    };
    let made = |weight, eta| Ok(guidance::guided_moments(ALL, CLASS, weight, schedule, eta)?.1);
    let curves = [
        curve("asked for: the tilted density", INK, &|w| Ok(guidance::tilted_moments(ALL, CLASS, w)?.1), false)?,
        curve("made by ancestral sampling", ORANGE, &|w| made(w, 1.0), false)?,
        curve("made by DDIM", BLUE, &|w| made(w, 0.0), false)?,
    ];
    let alt = "The variance over the weight w from 0 to 8, on a logarithmic scale. All three curves meet at w = 0 and w = 1. \
               Beyond 1, that of the tilted density falls slowly, that of ancestral sampling faster, and that of DDIM in a \
               straight line, to less than a thousandth of the first.";
    Figure { folder, name: "guidance-variance", alt }
        .curves(&Axes { x: "weight w", y: "variance of x_0", log_y: true }, &curves)
}

fn figure_noised(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let curve = |label, colour, which: usize| -> Result<Curve> {
        let point = |&step: &Step| Ok((step.t as f64, tilted_and_noised(step)?[which].1));
        let points = schedule.steps().iter().step_by(5).map(point).collect::<Result<_>>()?;
        Ok(Curve { label, colour, points, dashed: false })
    };
    let curves = [curve("tilted, then noised: needed", INK, 1)?, curve("noised, then tilted: followed", BLUE, 0)?];
    let alt = "Two variances over t, both from less than a tenth up to 1. They agree at both ends. In between, that of the \
               density that a guided sampler follows lies below that of the noised tilted density.";
    Figure { folder, name: "guidance-noised", alt }.curves(&Axes { x: "t", y: "variance at t", log_y: false }, &curves)
}

fn figure_densities(folder: &Path, data: &Classes, schedule: &Schedule) -> Outcome<PathBuf> {
    let begin = Array1::linspace(-4.0, 4.0, 401).insert_axis(Axis(1));
    let mut curves = Vec::new();
    for (weight, colour, [asked, made]) in
        [(1.0, INK, ["the class (w = 1)", ""]), (2.0, BLUE, ["", "made, w = 2"]), (4.0, VERMILION, ["", "made, w = 4"])]
    {
        let (x, density) = tilted_density(data, weight)?;
        let inside = |(x, _): &(f64, f64)| (-0.5..=3.2).contains(x);
        let tilted = x.iter().copied().zip(density).step_by(if weight > 1.0 { 8 } else { 2 }).filter(inside).collect();
        curves.push(Curve { label: asked, colour, points: tilted, dashed: weight > 1.0 });
        if weight > 1.0 {
            // DDIM stretches a small interval of x_T; its probability stays.
            let made_of = sample(data, schedule, 0.0, &begin, guide(weight))?;
            let ends = (1..400).map(|i| (begin[[i, 0]], made_of[[i, 0]], made_of[[i + 1, 0]] - made_of[[i - 1, 0]]));
            let points = ends.map(|(from, to, width)| (to, normal(from) * 0.04 / width)).filter(inside).collect();
            curves.push(Curve { label: made, colour, points, dashed: false });
        }
    }
    let alt = "Densities on a line. The class is a bell around 1. Dashed, the tilted densities for weights 2 and 4 are \
               nearly that bell, with its left side cut. Solid, what DDIM makes is higher, narrower, and further right.";
    Figure { folder, name: "guidance-densities", alt }.curves(&Axes { x: "x_0", y: "density", log_y: false }, &curves)
}

fn figure_plane(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let data = three_classes()?;
    let begin = noise(300, 2);
    let spread = noise(600, 2) * 0.3_f64.sqrt();
    let centres = [[-0.87, -0.5], [0.0, 1.0], [0.87, -0.5]];
    let chunks = spread.axis_chunks_iter(Axis(0), 200).zip(centres);
    let around = |(chunk, centre): (ArrayView2<f64>, [f64; 2])| &chunk + &Array1::from_iter(centre);
    let clouds: Vec<Array2<f64>> = chunks.map(around).collect();
    let others = concatenate![Axis(0), clouds[1], clouds[2]];
    let made = WEIGHTS.map(|weight| sample(&data, schedule, 0.0, &begin, guide(weight)));
    let mut panels = Vec::new();
    let made = made.into_iter().collect::<Result<Vec<_>>>()?;
    for (weight, made) in WEIGHTS.iter().zip(&made) {
        let clouds = vec![
            Cloud { label: "two other classes", colour: ORANGE, points: others.view() },
            Cloud { label: "the class", colour: INK, points: clouds[0].view() },
            Cloud { label: "made", colour: BLUE, points: made.view() },
        ];
        panels.push(Panel { title: format!("w = {weight}"), clouds });
    }
    let alt = "Four panels with three overlapping clouds. With w = 1 the samples lie over the cloud of their class. As w grows \
               to 2, 4 and 8 they draw together, and move to the outer side of it, away from the other two.";
    Figure { folder, name: "guidance-plane", alt }.panels(&panels, 4, -3.4..2.8)
}
