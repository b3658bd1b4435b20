//! How far apart are two sets of points, or of pictures? Chapter 11: a distance means something only beside its yardstick.
//!
//! `cargo run --release --example evaluation -- --seed 0`

mod support;

use std::error::Error;
use std::f64::consts::LN_2;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use literate_diffusion::data::{Split, digits, from_byte};
use literate_diffusion::elbo::{bits_per_dim, prior_term};
use literate_diffusion::evaluation::{
    Moments, directions, energy_distance, frechet_distance, sliced_wasserstein, wasserstein,
};
use literate_diffusion::objective::eps_weight;
use literate_diffusion::s_curve::{SCurve, population_std};
use literate_diffusion::{Schedule, Step, paper};
use ndarray::{Array1, Array2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Map, Value, json};
use support::files::{writable, write_atomically};
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, PURPLE, Panel, SKY, VERMILION};
use support::{cli, result};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Compares the S-curve with itself and with three imitations, and draws the results of the long runs on digits.
#[derive(Parser)]
struct Arguments {
    /// The same seed prints the same numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the figures and numbers
    #[arg(long, default_value = "target/figures")]
    out: PathBuf,
}

const POINTS: usize = 2_000;
const PAIRS: usize = 20;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::run(|| run(&arguments))
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let (folder, rng) = (arguments.out.as_path(), &mut ChaCha8Rng::seed_from_u64(arguments.seed));
    writable(folder)?;
    let training = result("mnist-training")?;
    let numbers = json!({
        "by_hand": by_hand()?,
        "points": POINTS,
        "pairs": PAIRS,
        "s_curve": imitations(rng)?,
        "bias": bias(folder, rng)?,
        "gaps": gaps()?,
        "training": of_the_training(&training),
        "networks": of_the_networks(&training)?,
        "lazy": of_the_lazy()?,
        "mean_square_of_digits": mean_square_of_digits()?,
        "bits": of_the_bits(&result("mnist-evaluation")?)?,
    });
    write_atomically(&folder.join("evaluation-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for figure in [
        figure_imitations(folder, rng)?,
        figure_mean_loss(folder, &training)?,
        figure_loss_over_t(folder, &training)?,
        figure_networks(folder, &training)?,
        figure_bits(folder, &result("mnist-evaluation")?)?,
    ] {
        println!("Figure: {}", figure.display());
    }
    Ok(())
}

/// Sets of a few points, and Gaussians on a line.
fn by_hand() -> literate_diffusion::Result<Value> {
    let line = |mean: f64, variance: f64| Moments::new(array![mean], array![[variance]]);
    Ok(json!({
        "energy": energy_distance(&array![[0.0], [2.0]], &array![[1.0]])?,
        "wasserstein": wasserstein(&array![1.0, 2.0], &array![5.0, 4.0])?,
        "unsorted": (array![1.0, 2.0] - array![5.0, 4.0]).pow2().mean().unwrap_or(f64::NAN).sqrt(),
        "frechet": frechet_distance(&line(0.0, 1.0)?, &line(3.0, 4.0)?)?,
    }))
}

/// The S-curve itself, and what is mistaken for it.
const IMITATIONS: [(&str, &str); 4] = [
    ("fresh", "fresh data"),
    ("blurred", "noise 0.15 for 0.1"),
    ("shrunk", "shrunk by 10 %"),
    ("gaussian", "a Gaussian"),
];

fn imitation(name: &str, count: usize, rng: &mut ChaCha8Rng) -> literate_diffusion::Result<Array2<f64>> {
    let sound = SCurve::sound();
    Ok(match name {
        // The noise of a last step that should have been the mean alone: more noise, the same scale.
        "blurred" => SCurve::new(0.15, population_std(paper::S_CURVE_NOISE))?.points(count, rng),
        "shrunk" => sound.points(count, rng) * 0.9,
        "gaussian" => gaussian_alike(&sound.points(20_000, rng)).draw(count, rng),
        _ => sound.points(count, rng),
    })
}

/// A Gaussian with the mean and the covariance of some points of the plane.
struct Alike {
    mean: Array1<f64>,
    root: Array2<f64>,
}

fn gaussian_alike(points: &Array2<f64>) -> Alike {
    let mean = points.sum_axis(ndarray::Axis(0)) / points.nrows() as f64;
    let off = points - &mean;
    let c = off.t().dot(&off) / points.nrows() as f64;
    let corner = c[[0, 1]] / c[[0, 0]].sqrt();
    let root = array![[c[[0, 0]].sqrt(), 0.0], [corner, (c[[1, 1]] - corner * corner).sqrt()]];
    Alike { mean, root }
}

impl Alike {
    fn draw(&self, count: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
        Array2::random_using((count, 2), StandardNormal, rng).dot(&self.root.t()) + &self.mean
    }
}

/// Each distance of each imitation from fresh data: the mean over some pairs, and the standard deviation of one.
fn imitations(rng: &mut ChaCha8Rng) -> literate_diffusion::Result<Value> {
    println!(
        "{PAIRS} pairs of {POINTS} points: fresh data against…   energy distance²   sliced Wasserstein   Fréchet²"
    );
    let mut rows = Map::new();
    for (name, label) in IMITATIONS {
        let mut found = Array2::zeros((PAIRS, 3));
        for mut pair in found.rows_mut() {
            let (data, samples) = (SCurve::sound().points(POINTS, rng), imitation(name, POINTS, rng)?);
            pair[0] = energy_distance(&samples, &data)?;
            pair[1] = sliced_wasserstein(&samples, &data, &directions(64))?;
            pair[2] = frechet_distance(&Moments::of(&samples)?, &Moments::of(&data)?)?;
        }
        let mean = |i: usize| found.column(i).mean().unwrap_or(f64::NAN);
        let spread = |i: usize| found.column(i).std(1.0);
        println!("{label:<48}{:>18.5}{:>21.4}{:>11.5}", mean(0), mean(1), mean(2));
        let of = |i: usize| json!({ "mean": mean(i), "spread": spread(i) });
        rows.insert(name.to_owned(), json!({ "energy": of(0), "sliced": of(1), "frechet": of(2) }));
    }
    Ok(Value::Object(rows))
}

/// The Fréchet distance of two samples of N(0, I), where 0 would be right, over their size.
fn bias(folder: &Path, rng: &mut ChaCha8Rng) -> Outcome<Value> {
    const DIMENSIONS: usize = 32;
    let mut measured = Vec::new();
    for count in [50, 100, 200, 300, 400, 500, 700, 1000] {
        let mut of_a_pair = || {
            let mut moments = || Moments::of(&Array2::random_using((count, DIMENSIONS), StandardNormal, rng));
            frechet_distance(&moments()?, &moments()?)
        };
        let distances: Array1<f64> = (0..10).map(|_| of_a_pair()).collect::<literate_diffusion::Result<_>>()?;
        measured.push((count as f64, distances.mean().unwrap_or(f64::NAN)));
    }
    let expected: Vec<_> =
        (5..=100).map(|tens| (10.0 * f64::from(tens), rule(DIMENSIONS, 10 * tens as usize))).collect();
    let figure = Figure {
        folder,
        name: "evaluation-bias",
        alt: "The measured Fréchet distance of two samples of one law in 32 dimensions, over the size of a sample: from more \
              than ten at 50 points it falls like one over the size to about a half at 1000, close to the curve of the rule.",
    }
    .curves(
        &Axes { x: "points in each sample", y: "Fréchet distance", log_y: true },
        &[
            Curve { label: "measured", colour: BLUE, points: measured.clone(), dashed: false },
            Curve { label: "d(d + 5)/2n", colour: ORANGE, points: expected, dashed: true },
        ],
    )?;
    println!("Figure: {}", figure.display());
    Ok(
        json!({ "dimensions": DIMENSIONS, "measured": measured, "rule_200": rule(DIMENSIONS, 200), "rule_128_500": rule(128, 500) }),
    )
}

/// d(d + 5)/2n.
fn rule(dimensions: usize, count: usize) -> f64 {
    (dimensions * (dimensions + 5)) as f64 / (2 * count) as f64
}

/// What is left of a digit at t = T, in bits: for 1000 and 300 steps with the same ends of β, and on three scales.
fn gaps() -> Outcome<Value> {
    let pictures = digits::load(Split::Test)?;
    let symmetric = Array1::from_iter(pictures.pixels.iter().map(|&byte| f64::from(from_byte(byte))));
    let scales =
        [("symmetric", symmetric.clone()), ("unit", (&symmetric + 1.0) / 2.0), ("raw", (&symmetric + 1.0) * 127.5)];
    let mut rows = Map::new();
    for (name, pixels) in &scales {
        let mut row = Map::new();
        for timesteps in [1000, 300] {
            let schedule = Schedule::linear(timesteps, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
            let each = bits_per_dim(prior_term(pixels, &schedule)?.abs(), pixels.len())?;
            let of_a_picture = each * pictures.size() as f64;
            row.insert(timesteps.to_string(), json!({ "bits_per_dim": each, "bits": of_a_picture }));
        }
        // White minus black, in units of the noise: at the first step and at the last.
        let white = pixels.iter().fold(f64::MIN, |a, &b| a.max(b)) - pixels.iter().fold(f64::MAX, |a, &b| a.min(b));
        let ddpm = Schedule::linear(1000, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
        let grey_levels = ddpm.step(1)?.one_minus_alpha_bar.sqrt() * 255.0 / white;
        let last = ddpm.last();
        row.insert("grey_levels_at_1".to_owned(), json!(grey_levels));
        row.insert("stroke_at_end".to_owned(), json!(last.alpha_bar.sqrt() * white / last.one_minus_alpha_bar.sqrt()));
        rows.insert((*name).to_owned(), Value::Object(row));
    }
    Ok(Value::Object(rows))
}

fn floats(list: &Value) -> Vec<f64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// The mean loss of each epoch, and how much of what each later epoch gained is at small t.
fn of_the_training(training: &Value) -> Value {
    let epochs: Vec<Vec<f64>> =
        training["losses_over_t"]["epochs"].as_array().into_iter().flatten().map(floats).collect();
    let means: Vec<f64> = epochs.iter().map(|tenths| tenths.iter().sum::<f64>() / tenths.len() as f64).collect();
    let (second, last) = (&epochs[1], &epochs[epochs.len() - 1]);
    let gain: Vec<f64> = second.iter().zip(last).map(|(before, after)| 1.0 - after / before).collect();
    json!({
        "means": means,
        "share_of_first_tenth": last[0] / last.iter().sum::<f64>(),
        "gain_since_second_epoch": gain,
        "gain_of_the_mean": 1.0 - means[means.len() - 1] / means[1],
    })
}

/// The mean losses of the networks that were trained for comparison.
fn of_the_networks(residual: &Value) -> Outcome<Value> {
    let [plain, time_channel] = ["mnist-plain-training", "mnist-time-channel-training"].map(result);
    let (plain, time_channel) = (last_tenths(&plain?), last_tenths(&time_channel?));
    let mean = |tenths: &[f64]| tenths.iter().sum::<f64>() / tenths.len() as f64;
    let second = floats(&residual["losses_over_t"]["epochs"][1]);
    Ok(json!({
        "plain": mean(&plain),
        "time_channel": mean(&time_channel),
        "plain_over_residual_at_end": plain[9] / second[9],
        "plain_over_residual_at_start": plain[0] / second[0],
    }))
}

/// The loss of each tenth of the times in the last epoch.
fn last_tenths(training: &Value) -> Vec<f64> {
    let epochs = training["losses_over_t"]["epochs"].as_array();
    epochs.and_then(|epochs| epochs.last()).map(floats).unwrap_or_default()
}

/// How the bits are spread over t.
fn of_the_bits(evaluation: &Value) -> Outcome<Value> {
    let bound = &evaluation["bound"];
    let part = |range: &Value| {
        let count = range["last"].as_f64().unwrap_or(f64::NAN) - range["first"].as_f64().unwrap_or(f64::NAN) + 1.0;
        count * range["each"]["mean"].as_f64().unwrap_or(f64::NAN)
    };
    let ranges = bound["ranges"].as_array().cloned().unwrap_or_default();
    let late: f64 = ranges.iter().filter(|range| range["first"].as_f64() > Some(100.0)).map(part).sum();
    let mut lazy = 0.0;
    for (step, error) in lazy_errors()?.into_iter().filter(|(step, _)| step.t > 700) {
        lazy += eps_weight(step, step.beta)? * error / LN_2;
    }
    Ok(json!({ "first_range": ranges.first().map(part), "after_100": late, "lazy_after_700": lazy }))
}

/// What a network that answers x_t in place of ε has for a loss, over each tenth of the times.
fn of_the_lazy() -> Outcome<Value> {
    let errors = lazy_errors()?;
    let tenths = errors.chunks(errors.len() / 10);
    Ok(tenths.map(|tenth| tenth.iter().map(|(_, error)| error).sum::<f64>() / tenth.len() as f64).collect())
}

fn mean_square_of_digits() -> Outcome<f64> {
    let pixels = digits::load(Split::Test)?.pixels;
    Ok(pixels.iter().map(|&byte| f64::from(from_byte(byte)).powi(2)).sum::<f64>() / pixels.len() as f64)
}

/// The mean square of x_t − ε at each step, for pixels of the digits' mean square.
fn lazy_errors() -> Outcome<Vec<(Step, f64)>> {
    let mean_square = mean_square_of_digits()?;
    let ddpm = Schedule::linear(1000, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let error = |step: &Step| (1.0 - step.one_minus_alpha_bar.sqrt()).powi(2) + step.alpha_bar * mean_square;
    Ok(ddpm.steps().iter().map(|step| (*step, error(step))).collect())
}

fn figure_networks(folder: &Path, residual: &Value) -> Outcome<PathBuf> {
    let curve = |label, colour, tenths: Vec<f64>| {
        let points = tenths.into_iter().enumerate().map(|(i, loss)| (0.1 * i as f64 + 0.05, loss)).collect();
        Curve { label, colour, points, dashed: false }
    };
    Figure {
        folder,
        name: "evaluation-networks",
        alt: "The loss over the share of T, a point for each tenth, on a logarithmic scale, for three networks. ResidualUnet is \
              lowest and falls by a factor of a hundred towards large t. PlainUnet and TimeChannelNet \
              are above it everywhere, and stay above 0.015 at large t.",
    }
    .curves(
        &Axes { x: "t/T", y: "mean squared error", log_y: true },
        &[
            curve("ResidualUnet", BLUE, floats(&residual["losses_over_t"]["epochs"][1])),
            curve("PlainUnet", ORANGE, last_tenths(&result("mnist-plain-training")?)),
            curve("TimeChannelNet, T = 300", GREEN, last_tenths(&result("mnist-time-channel-training")?)),
        ],
    )
}

fn figure_imitations(folder: &Path, rng: &mut ChaCha8Rng) -> Outcome<PathBuf> {
    let clouds: Vec<_> =
        IMITATIONS.iter().map(|(name, _)| imitation(name, 500, rng)).collect::<literate_diffusion::Result<_>>()?;
    let panels: Vec<Panel> = IMITATIONS
        .iter()
        .zip(&clouds)
        .map(|((_, title), points)| Panel {
            title: (*title).to_owned(),
            clouds: vec![Cloud { label: "", colour: BLUE, points: points.view() }],
        })
        .collect();
    Figure {
        folder,
        name: "evaluation-imitations",
        alt: "Four clouds of points: the S-curve; the S-curve with more noise; the S-curve a little smaller; and a round \
              cloud without any S.",
    }
    .panels(&panels, 4, -2.7..2.7)
}

fn figure_mean_loss(folder: &Path, training: &Value) -> Outcome<PathBuf> {
    let rows = training["rows"].as_array().into_iter().flatten();
    let point = |row: &Value| Some((row["step"].as_f64()?, row["loss"].as_f64()?));
    Figure {
        folder,
        name: "evaluation-mean-loss",
        alt: "The mean loss over the steps of training. It falls steeply within the first few hundred of 4690 steps and then \
              looks nearly flat, with noise.",
    }
    .curves(
        &Axes { x: "step of training", y: "loss, mean of 50 steps", log_y: false },
        &[Curve { label: "all t together", colour: INK, points: rows.filter_map(point).collect(), dashed: false }],
    )
}

fn figure_loss_over_t(folder: &Path, training: &Value) -> Outcome<PathBuf> {
    let epochs = training["losses_over_t"]["epochs"].as_array().cloned().unwrap_or_default();
    let labels: Vec<String> = (1..=epochs.len()).map(|epoch| format!("epoch {epoch}")).collect();
    let colours = [SKY, BLUE, GREEN, ORANGE, VERMILION, PURPLE];
    let curves: Vec<Curve> = epochs
        .iter()
        .zip(&labels)
        .zip(colours)
        .map(|((tenths, label), colour)| {
            let points = floats(tenths).into_iter().enumerate().map(|(i, loss)| (100.0 * i as f64 + 50.0, loss));
            Curve { label, colour, points: points.collect(), dashed: false }
        })
        .collect();
    Figure {
        folder,
        name: "evaluation-loss-over-t",
        alt: "The loss of each tenth of the times, one curve for an epoch, on a logarithmic scale. At small t it is a hundred \
              times larger than at large t and hardly falls after the second epoch; at large t it falls from epoch to epoch.",
    }
    .curves(&Axes { x: "t", y: "mean squared error", log_y: true }, &curves)
}

fn figure_bits(folder: &Path, evaluation: &Value) -> Outcome<PathBuf> {
    let ranges = evaluation["bound"]["ranges"].as_array().into_iter().flatten();
    let point = |range: &Value| {
        Some((0.5 * (range["first"].as_f64()? + range["last"].as_f64()?), range["each"]["mean"].as_f64()?))
    };
    Figure {
        folder,
        name: "evaluation-bits",
        alt: "The bits per dimension of one term L at t minus 1, over t, on a logarithmic scale. The terms of the first few \
              times are a thousand times larger than those beyond t = 700.",
    }
    .curves(
        &Axes { x: "t", y: "bits per dimension of one term", log_y: true },
        &[Curve { label: "L(t − 1)", colour: BLUE, points: ranges.filter_map(point).collect(), dashed: false }],
    )
}
