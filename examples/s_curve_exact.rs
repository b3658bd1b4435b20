//! Chapter 9: what can be known of the S-curve before anything is trained, and what mistakes cost a perfect network.
//!
//! `cargo run --release --example s_curve_exact [POINTS]`
//!
//! With a number of points it measures what the mistakes cost, which takes minutes for 20,000.

mod support;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use literate_diffusion::evaluation::energy_distance;
use literate_diffusion::forward::q_sample;
use literate_diffusion::gaussian::entropy;
use literate_diffusion::objective::Variance;
use literate_diffusion::posterior::atom_weights;
use literate_diffusion::s_curve::{Marginal, SCurve, gauss_legendre, population_std};
use literate_diffusion::sampler::{LastStep, ancestral};
use literate_diffusion::{Result, Schedule, Step, paper};
use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice, array, concatenate};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::{writable, write_atomically};
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, ORANGE, PURPLE, Panel, SKY};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Times at which numbers are shown.
const SHOWN: [usize; 5] = [1, 10, 25, 50, 100];
/// Points of a set of samples, where only pictures are wanted.
const POINTS: usize = 180;
/// Sets of samples over which a distance is averaged.
const SETS: usize = 2;

/// What can be known of the S-curve before anything is trained, and what mistakes cost a perfect network
#[derive(Parser)]
struct Arguments {
    /// Measure the cost of the mistakes with so many points, and nothing else: minutes for 20,000
    #[arg(value_parser = cli::count)]
    points: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::run(|| run(&arguments))
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let folder = support::figures();
    writable(&folder)?;
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let classic = Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)?;
    let curve = SCurve::sound();
    if let Some(points) = arguments.points {
        let numbers = costs(&samples(points, &sound, &classic)?)?;
        println!("{numbers:#}");
        write_atomically(&folder.join("s_curve-costs.json"), serde_json::to_string(&numbers)?.as_bytes())?;
        return Ok(());
    }
    let losses = losses(&curve, &sound)?;
    let numbers = json!({
        "quadrature": quadrature(),
        "two_points": two_points()?,
        "data": data(&curve)?,
        "floors": {
            "rows": rows(&losses, &sound)?,
            "mean": curve.mean_bayes_floor(&sound),
            "mean_straight": mean(&losses.straight),
            "to_straight": 1.0 - mean(&losses.straight),
            "mean_without_t": mean(&losses.without_t),
            "classic_mean": SCurve::classic().mean_bayes_floor(&classic),
            "antithetic": antithetic(&losses.floor),
        },
        "reverse": reverse(&curve, &sound)?,
        "scales": scales(&sound)?,
        "gap": gap(&classic),
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("s_curve_exact-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    section(&folder, &curve, &sound)?;
    losses.draw(&folder)?;
    draw(&folder, &samples(POINTS, &sound, &classic)?)
}

/// The integral of the cosine over [−1, 1] by few nodes, against 2 sin 1.
fn quadrature() -> Value {
    let by = |n: usize| {
        let sum: f64 = gauss_legendre(n).iter().map(|(x, w)| w * x.cos()).sum();
        json!({ "n": n, "integral": sum, "error": (sum - 2.0 * 1_f64.sin()).abs() })
    };
    json!({ "exact": 2.0 * 1_f64.sin(), "rows": [by(2), by(3), by(5)] })
}

// ANCHOR: two_points
/// ε* by hand: data that is −1 or 1, and ᾱ_t = 0.64.
fn two_points() -> Result<Value> {
    let step = Schedule::from_betas(&[0.36])?.step(1)?;
    let (atoms, xt) = ([-1.0, 1.0], 0.5);
    let weights = atom_weights(&Array1::from(atoms.to_vec()), xt, step)?;
    let x0: f64 = weights.iter().zip(atoms).map(|(weight, atom)| weight * atom).sum();
    let eps = (xt - step.alpha_bar.sqrt() * x0) / step.one_minus_alpha_bar.sqrt();
    Ok(json!({
        "xt": xt, "weights": weights.to_vec(), "x0": x0, "eps": eps,
        "score": -eps / step.one_minus_alpha_bar.sqrt(),
        "if_1": (xt - 0.8) / 0.6, "if_minus_1": (xt + 0.8) / 0.6,
    }))
}
// ANCHOR_END: two_points

/// The law of the data in numbers.
fn data(curve: &SCurve) -> Result<Value> {
    Ok(json!({
        "noise": curve.noise(),
        "std": population_std(curve.noise()),
        "entropy": curve.data().s_curve_entropy(),
        "gaussian_entropy": entropy(1.0, 2)?,
        "log_q_on_and_off": curve.data().log_q(&array![[0.0, 0.0], [0.0, 0.7]])?.to_vec(),
    }))
}

/// What is left open of x_{t−1} at the middle of the S, along the curve (the first coordinate) and across it.
fn reverse(curve: &SCurve, schedule: &Schedule) -> Result<Value> {
    let row = |t: usize| {
        let step = schedule.step(t)?;
        let covariance = curve.reverse_mean_and_covariance(&array![[0.0, 0.0]], step)?.covariance;
        let [along, across] = [covariance[[0, 0, 0]], covariance[[0, 1, 1]]];
        Ok(json!({ "t": t, "along": along, "across": across, "beta": step.beta, "beta_tilde": step.beta_tilde }))
    };
    [2, 10, 50].into_iter().map(row).collect()
}

/// The loss of each t for three predictors: the best of all, the best straight line in each coordinate, and the best of
/// those that are not told t.
struct Losses {
    floor: Vec<f64>,
    straight: Vec<f64>,
    without_t: Vec<f64>,
}

fn losses(curve: &SCurve, schedule: &Schedule) -> Result<Losses> {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let blind = WithoutT::new(curve, schedule);
    let (mut floor, mut without_t) = (Vec::new(), Vec::new());
    for (&step, law) in schedule.steps().iter().zip(&blind.laws) {
        let x0 = curve.points(100, rng);
        let xt = q_sample(&x0, step, &noise(100, rng))?;
        let lost = (law.optimal_eps(&xt)? - blind.eps(&xt)?).mapv(|d| d * d).mean().unwrap_or(f64::NAN);
        floor.push(law.bayes_floor());
        without_t.push(law.bayes_floor() + lost);
    }
    // √(1 − ᾱ) x_t, for data of variance 1: its loss is 1 − (1 − ᾱ).
    let straight = schedule.steps().iter().map(|step| step.alpha_bar).collect();
    Ok(Losses { floor, straight, without_t })
}

fn rows(losses: &Losses, schedule: &Schedule) -> Result<Value> {
    let row = |t: usize| {
        let Losses { floor, straight, without_t } = losses;
        let alpha_bar = schedule.step(t)?.alpha_bar;
        let (floor, straight, without_t) = (floor[t - 1], straight[t - 1], without_t[t - 1]);
        Ok(json!({ "t": t, "alpha_bar": alpha_bar, "floor": floor, "straight": straight, "without_t": without_t }))
    };
    SHOWN.into_iter().map(row).collect()
}

/// The variance over t of the floor, and of the mean of two floors, at t and at its mirror image T + 1 − t.
fn antithetic(floor: &[f64]) -> Value {
    let pairs: Vec<f64> = floor.iter().zip(floor.iter().rev()).map(|(a, b)| (a + b) / 2.0).collect();
    let variance = |values: &[f64]| mean(&values.iter().map(|v| (v - mean(values)).powi(2)).collect::<Vec<_>>());
    let (one, pair) = (variance(floor), variance(&pairs));
    json!({ "of_one": one, "of_two": one / 2.0, "of_mirrored": pair, "ratio": 2.0 * pair / one })
}

// ANCHOR: without_t
/// The best prediction of the noise by a network that is not told t: for it, x is a draw from one of T laws.
struct WithoutT {
    laws: Vec<Marginal>,
}

impl WithoutT {
    fn new(curve: &SCurve, schedule: &Schedule) -> Self {
        Self { laws: schedule.steps().iter().map(|&step| curve.marginal(step)).collect() }
    }

    /// The mean of ε*(x, t) over t, each weighed by how probable x makes it.
    fn eps(&self, x: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let mut sum = Array2::zeros(x.raw_dim());
        let mut weights = Array1::zeros(x.nrows());
        for law in &self.laws {
            let q = law.log_q(x)?.exp();
            sum += &(law.optimal_eps(x)? * q.view().insert_axis(Axis(1)));
            weights += &q;
        }
        Ok(sum / weights.insert_axis(Axis(1)))
    }
}
// ANCHOR_END: without_t

/// The S-curve with its standard deviations times a factor.
fn stretched(factor: f64) -> Result<SCurve> {
    let sound = SCurve::sound();
    SCurve::new(sound.noise(), sound.scale().map(|scale| scale / factor))
}

/// The mean loss of the best network and of the best straight line, for data of other sizes.
fn scales(schedule: &Schedule) -> Result<Value> {
    let row = |factor: f64| {
        // For data of variance v, the straight line's loss is ᾱ v/(ᾱ v + 1 − ᾱ).
        let straight = schedule.steps().iter().map(|step| {
            let signal = step.alpha_bar * factor * factor;
            signal / (signal + step.one_minus_alpha_bar)
        });
        let straight = mean(&straight.collect::<Vec<_>>());
        let floor = stretched(factor)?.mean_bayes_floor(schedule);
        Ok(json!({ "factor": factor, "straight": straight, "floor": floor, "between": straight - floor }))
    };
    [0.1, 1.0, 100.0].into_iter().map(row).collect()
}

/// What is left at t = 0 of a start that is too wide, for Gaussian data of the S-curve's variances: by how much the
/// variance of each coordinate is too large, as a share of it.
fn gap(classic: &Schedule) -> Value {
    let last = classic.last();
    let too_wide = population_std(paper::S_CURVE_NOISE).map(|std| {
        let u0 = (std / paper::CLASSIC_SCALE).powi(2);
        let u = last.alpha_bar * u0 + last.one_minus_alpha_bar;
        last.alpha_bar * u0 * (1.0 - u) / (u * u)
    });
    json!({ "gaussian": too_wide })
}

/// Samples with the exact ε*, and with one mistake or another, in units of the data's standard deviations.
struct Samples {
    name: &'static str,
    sets: Vec<Array2<f64>>,
}

fn samples(points: usize, sound: &Schedule, classic: &Schedule) -> Result<Vec<Samples>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let curve = SCurve::sound();
    let short = Schedule::linear(100, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let straight = |xt: &ArrayRef2<f64>, step: Step| Ok(xt * step.one_minus_alpha_bar.sqrt());
    let blind = WithoutT::new(&curve, sound);
    let without_t = |xt: &ArrayRef2<f64>, _: Step| blind.eps(xt);
    let fresh = |rng: &mut ChaCha8Rng| (0..SETS).map(|_| curve.points(points, rng)).collect();
    Ok(vec![
        Samples { name: "data", sets: fresh(rng) },
        Samples { name: "more_data", sets: fresh(rng) },
        Samples { name: "exact", sets: exact(curve, sound, false, points, rng)? },
        Samples { name: "classic", sets: exact(SCurve::classic(), classic, false, points, rng)? },
        Samples { name: "classic_from_xt", sets: exact(SCurve::classic(), classic, true, points, rng)? },
        Samples { name: "ddpm_100", sets: exact(curve, &short, false, points, rng)? },
        Samples { name: "ddpm_100_from_xt", sets: exact(curve, &short, true, points, rng)? },
        Samples { name: "divided_by_10", sets: exact(stretched(0.1)?, sound, false, points, rng)? },
        Samples { name: "times_100", sets: exact(stretched(100.0)?, sound, false, points, rng)? },
        Samples { name: "straight", sets: vec![from_noise(points, sound, straight, rng)?] },
        // Every step of it asks all T laws: fewer points will do.
        Samples { name: "without_t", sets: vec![from_noise(points.min(1000), sound, without_t, rng)?] },
        Samples { name: "reshaped", sets: vec![reshaped(&curve.points(points, rng))] },
    ])
}

fn from_noise(
    points: usize,
    schedule: &Schedule,
    eps: impl FnMut(&ArrayRef2<f64>, Step) -> Result<Array2<f64>>,
    rng: &mut ChaCha8Rng,
) -> Result<Array2<f64>> {
    ancestral(&noise(points, rng), schedule, Variance::Beta, LastStep::Mean, eps, rng)
}

/// The squared energy distance of samples from fresh data, and their standard deviations.
fn costs(samples: &[Samples]) -> Result<Value> {
    let data = &samples[0].sets;
    let cost = |Samples { name, sets }: &Samples| {
        let distances = sets.iter().zip(data).map(|(a, b)| energy_distance(a, b)).collect::<Result<Vec<_>>>()?;
        let std = sets[0].std_axis(Axis(0), 0.0).to_vec();
        Ok(((*name).to_owned(), json!({ "energy": mean(&distances), "points": sets[0].nrows(), "std": std })))
    };
    samples[1..].iter().map(cost).collect()
}

// ANCHOR: exact
/// Samples by a perfect network, from pure noise or from the true law of x_T, in units of the data's standard deviations.
fn exact(
    curve: SCurve,
    schedule: &Schedule,
    from_xt: bool,
    points: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Array2<f64>>> {
    let laws: Vec<Marginal> = schedule.steps().iter().map(|&step| curve.marginal(step)).collect();
    let eps = |xt: &ArrayRef2<f64>, step: Step| laws[step.t - 1].optimal_eps(xt);
    let std = population_std(curve.noise());
    let to_units = array![curve.scale()[0] / std[0], curve.scale()[1] / std[1]];
    let mut sets = Vec::new();
    for _ in 0..SETS {
        let mut start = noise(points, rng);
        if from_xt {
            start = q_sample(&curve.points(points, rng), schedule.last(), &start)?;
        }
        let x0 = ancestral(&start, schedule, Variance::Beta, LastStep::Mean, eps, rng)?;
        sets.push(x0 * &to_units);
    }
    Ok(sets)
}
// ANCHOR_END: exact

// ANCHOR: reshaped
/// Data of shape (2, N), its numbers taken in their order as N pairs: two neighbours' x, or two neighbours' z.
fn reshaped(points: &Array2<f64>) -> Array2<f64> {
    let [x, z] = [0, 1].map(|i| points.column(i));
    let numbers = concatenate![Axis(0), x, z];
    Array2::from_shape_fn(points.dim(), |(n, i)| numbers[2 * n + i])
}
// ANCHOR_END: reshaped

fn noise(count: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    Array2::random_using((count, 2), StandardNormal, rng)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The density along the line x = 0, which cuts the S three times.
fn section(folder: &Path, curve: &SCurve, schedule: &Schedule) -> Outcome<()> {
    let z = Array1::linspace(-3.0, 3.0, 241);
    let points = Array2::from_shape_fn((z.len(), 2), |(n, i)| if i == 0 { 0.0 } else { z[n] });
    let along = |label, colour, law: Marginal| -> Result<Curve<'static>> {
        let q = law.log_q(&points)?.exp();
        Ok(Curve { label, colour, points: z.iter().copied().zip(q).collect(), dashed: false })
    };
    let curves = [
        along("t = 0", BLUE, curve.data())?,
        along("t = 10", ORANGE, curve.marginal(schedule.step(10)?))?,
        along("t = 25", GREEN, curve.marginal(schedule.step(25)?))?,
        along("t = 100", PURPLE, curve.marginal(schedule.last()))?,
    ];
    Figure {
        folder,
        name: "s_curve_exact-section",
        alt: "Four curves over z. At t = 0 there are three sharp peaks, near −1.4, 0 and 1.4, and nearly nothing between \
              them. At t = 10 the peaks are lower and wider, at t = 25 they run into each other, and at t = 100 there is \
              one wide hump, that of a Gaussian.",
    }
    .curves(&Axes { x: "z, at x = 0", y: "density", log_y: false }, &curves)?;
    Ok(())
}

impl Losses {
    fn draw(&self, folder: &Path) -> Outcome<()> {
        let over_t = |label, colour, losses: &[f64]| Curve {
            label,
            colour,
            points: losses.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss)).collect(),
            dashed: false,
        };
        Figure {
            folder,
            name: "s_curve_exact-floor",
            alt: "Loss over t from 1 to 100. The floor begins near 1 and is near 0 from t = 60 on. The straight line's \
                  loss lies above it, most of all around t = 6. The loss without t lies far above both at the first \
                  times, and a little above the floor later.",
        }
        .curves(
            &Axes { x: "t", y: "loss", log_y: false },
            &[
                over_t("without t", ORANGE, &self.without_t),
                over_t("straight line", SKY, &self.straight),
                over_t("floor", BLUE, &self.floor),
            ],
        )?;
        Ok(())
    }
}

/// Samples over data, with what was done above each panel.
fn draw(folder: &Path, samples: &[Samples]) -> Outcome<()> {
    let shown = [
        ("exact", "nothing wrong"),
        ("classic", "classic"),
        ("ddpm_100", "betas for T = 1000"),
        ("straight", "straight line"),
        ("without_t", "without t"),
        ("reshaped", "(2, N) reshaped"),
    ];
    let first = Slice::from(..POINTS);
    let cloud = |name: &str, label: &'static str, colour| {
        let found = samples.iter().find(|samples| samples.name == name)?;
        Some(Cloud { label, colour, points: found.sets[0].slice_axis(Axis(0), first) })
    };
    let panel = |(name, title): (&str, &str)| {
        let clouds = vec![cloud("data", "data", BLUE)?, cloud(name, "samples", ORANGE)?];
        Some(Panel { title: title.to_owned(), clouds })
    };
    let panels: Vec<Panel> = shown.into_iter().filter_map(panel).collect();
    Figure {
        folder,
        name: "s_curve_exact-mistakes",
        alt: "Six panels of samples over data. In the first three, the exact one, the classic preset and the betas made for \
              T = 1000, the samples lie on the S. For the straight line they are a round cloud that fills the S and its \
              surroundings; without t they huddle in the middle; reshaped, they lie along the edges of a square and all \
              over it.",
    }
    .panels(&panels, 3, -3.0..3.0)?;
    Ok(())
}
