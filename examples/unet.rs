//! Chapter 10: the parts of the networks for images by hand, their shapes, and what it costs not to be told t.
//!
//! `cargo run --release --example unet [SEED]`; it needs no libtorch.

#[path = "support/layers.rs"]
mod layers;
mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use layers::{Layer, plain_unet, residual_unet, time_channel_net, totals};
use literate_diffusion::s_curve::{Marginal, SCurve};
use literate_diffusion::sampler::{LastStep, ancestral};
use literate_diffusion::{Result, Schedule, Step, objective::Variance, paper};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, PURPLE, Panel, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// The number of sines and cosines that stand for t.
const WIDTH: usize = 128;
/// What the three networks of `examples/unet_torch.rs` came to, with seed 0 and with seed 1.
const TRAINED: [&str; 2] = ["unet-trained-0", "unet-trained-1"];

fn main() -> ExitCode {
    cli::seeded("The parts of the networks for images by hand, their shapes, and what it costs not to be told t", run)
}

fn run(seed: u64) -> Outcome<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let folder = support::figures();
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let laws: Value = LAWS.iter().map(|&law| (law.name, hidden_time(law, &ddpm).json())).collect();

    let shapes = shapes();
    write_atomically(&folder.join("unet-shapes.json"), serde_json::to_string(&shapes)?.as_bytes())?;
    let numbers = json!({
        "by_hand": by_hand(),
        "three_times": three_times()?,
        "embedding": of_the_embedding(&ddpm),
        "hidden": laws,
        "normal_samples": normal_samples(&ddpm),
        "s_curve": hidden_on_the_s_curve(&folder, &sound, rng)?,
        "average": of_the_average(),
        "trained": [of_the_trained(TRAINED[0])?, of_the_trained(TRAINED[1])?],
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("unet-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    let figures = [
        layers::figure(&folder)?,
        figure_embedding(&folder)?,
        figure_similarity(&folder)?,
        figure_hidden(&folder, &ddpm)?,
        figure_dimensions(&folder, &ddpm)?,
        figure_trained(&folder)?,
    ];
    figures.iter().for_each(|path| println!("Figure: {}", path.display()));
    Ok(())
}

// ANCHOR: convolve
/// Lays a 3×3 kernel on every `stride`-th pixel, multiplies and adds up. Beyond the edge there is 0.
fn convolve(picture: &ArrayRef2<f64>, kernel: &ArrayRef2<f64>, stride: usize) -> Array2<f64> {
    let (height, width) = picture.dim();
    Array2::from_shape_fn((height.div_ceil(stride), width.div_ceil(stride)), |(row, column)| {
        let mut sum = 0.0;
        for ((i, j), weight) in kernel.indexed_iter() {
            // Pixel (row + i − 1, column + j − 1); an index below 0 wraps around and is not found either.
            let at = [(row * stride + i).wrapping_sub(1), (column * stride + j).wrapping_sub(1)];
            sum += weight * picture.get(at).copied().unwrap_or(0.0);
        }
        sum
    })
}
// ANCHOR_END: convolve

// ANCHOR: up_convolve
/// Puts, for each pixel, the 2×2 kernel times that pixel: twice the height and the width.
fn up_convolve(picture: &ArrayRef2<f64>, kernel: &ArrayRef2<f64>) -> Array2<f64> {
    let (height, width) = picture.dim();
    Array2::from_shape_fn((2 * height, 2 * width), |(i, j)| picture[[i / 2, j / 2]] * kernel[[i % 2, j % 2]])
}
// ANCHOR_END: up_convolve

// ANCHOR: group_norm
/// Brings each group of channels (rows) to mean 0 and variance 1. What is learned, a factor and a shift, comes after it.
fn group_norm(channels: &ArrayRef2<f64>, groups: usize) -> Array2<f64> {
    let mut result = channels.to_owned();
    let per_group = channels.nrows() / groups;
    for mut group in result.axis_chunks_iter_mut(Axis(0), per_group) {
        let (mean, variance) = (group.mean().unwrap_or(0.0), group.var(0.0));
        group.mapv_inplace(|x| (x - mean) / (variance + 1e-5).sqrt());
    }
    result
}
// ANCHOR_END: group_norm

/// A convolution, one of stride 2, a transposed one and a GroupNorm, on pictures of a few pixels.
fn by_hand() -> Value {
    let picture = array![[1.0, 2.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 1.0]];
    let kernel = array![[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]];
    let small = array![[1.0, 2.0], [3.0, 4.0]];
    let up = array![[1.0, 0.5], [0.0, -1.0]];
    let channels = array![[1.0, 3.0], [5.0, 7.0], [0.0, 0.0], [0.0, 8.0]];
    json!({
        "picture": rows(&picture),
        "kernel": rows(&kernel),
        "convolved": rows(&convolve(&picture, &kernel, 1)),
        "strided": rows(&convolve(&picture, &kernel, 2)),
        "small": rows(&small),
        "up_kernel": rows(&up),
        "up": rows(&up_convolve(&small, &up)),
        "channels": rows(&channels),
        "normed": rows(&group_norm(&channels, 2)),
    })
}

fn rows(array: &ArrayRef2<f64>) -> Vec<Vec<f64>> {
    array.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// Sines, then cosines, of the index t − 1, at frequencies from 1 down to 1/10000.
fn embedding(index: f64) -> Array1<f64> {
    let half = WIDTH / 2;
    Array1::from_shape_fn(WIDTH, |i| {
        let angle = index * frequency(i % half);
        if i < half { angle.sin() } else { angle.cos() }
    })
}

/// From one frequency to the next, the same factor.
fn frequency(k: usize) -> f64 {
    10_000_f64.powf(-(k as f64) / (WIDTH / 2 - 1) as f64)
}

/// How alike the embeddings of two indices are: 1 for the same, and 0 on average for any two directions.
fn similarity(a: f64, b: f64) -> f64 {
    embedding(a).dot(&embedding(b)) / (WIDTH / 2) as f64
}

fn of_the_embedding(schedule: &Schedule) -> Value {
    let last = schedule.timesteps() as f64 - 1.0;
    let t = |index: usize| index as f64 / schedule.timesteps() as f64;
    let ones = |feature: &dyn Fn(usize) -> Array1<f64>| {
        let rows: Vec<_> =
            (0..schedule.timesteps()).map(|index| [vec![1.0], feature(index).to_vec()].concat()).collect();
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
    };
    let wanted: Array1<f64> = schedule.steps().iter().map(|step| step.one_minus_alpha_bar.sqrt()).collect();
    let periods = [0, 16, 32, 48, 63].map(|k| std::f64::consts::TAU / frequency(k));
    json!({
        "similarity": { "next": similarity(0.0, 1.0), "ten": similarity(0.0, 10.0), "last": similarity(0.0, last) },
        "scaled": { "next": similarity(0.0, t(1)), "last": similarity(0.0, t(schedule.timesteps() - 1)) },
        "distance": distance(&embedding(0.0), &embedding(1.0)),
        "distance_scaled": distance(&embedding(0.0), &embedding(t(1))),
        "periods": periods,
        "from_t": misfit(&ones(&|index| array![t(index)]), &wanted),
        "from_scaled": misfit(&ones(&|index| embedding(t(index))), &wanted),
        "from_embedding": misfit(&ones(&|index| embedding(index as f64)), &wanted),
        "spread": wanted.std(0.0),
    })
}

fn distance(a: &ArrayRef1<f64>, b: &ArrayRef1<f64>) -> f64 {
    (a - b).pow2().sum().sqrt()
}

/// How far a linear function of the features, fitted with a small penalty on its weights, stays from what is wanted: a root
/// mean square.
fn misfit(features: &ArrayRef2<f64>, wanted: &ArrayRef1<f64>) -> f64 {
    // Solve (FᵀF + λ) w = Fᵀ y by Cholesky's method. The penalty λ keeps w in bounds where features are nearly alike.
    let n = features.ncols();
    let mut l = features.t().dot(features) + Array2::<f64>::eye(n) * 1e-4;
    let mut w = features.t().dot(wanted);
    for j in 0..n {
        for k in 0..j {
            let factor = l[[j, k]];
            for i in j..n {
                l[[i, j]] -= l[[i, k]] * factor;
            }
        }
        let root = l[[j, j]].sqrt();
        (j..n).for_each(|i| l[[i, j]] /= root);
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| l[[i, k]] * w[k]).sum();
        w[i] = (w[i] - known) / l[[i, i]];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| l[[k, i]] * w[k]).sum();
        w[i] = (w[i] - known) / l[[i, i]];
    }
    (features.dot(&w) - wanted).pow2().mean().unwrap_or(0.0).sqrt()
}

/// The large steps of chapter 4 and data from N(0, 1), where x_t says nothing of t: ε* with t, and without.
fn three_times() -> Result<Value> {
    let schedule = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let slopes: Array1<f64> = schedule.steps().iter().map(|step| step.one_minus_alpha_bar.sqrt()).collect();
    let floor: Array1<f64> = schedule.steps().iter().map(|step| step.alpha_bar).collect();
    Ok(json!({
        "slopes": slopes.to_vec(),
        "mean": slopes.mean(),
        "excess": slopes.var(0.0),
        "floor": floor.mean(),
        "blind": floor.mean().unwrap_or(0.0) + slopes.var(0.0),
    }))
}

/// The variance of samples of N(0, 1) by a network that is not told t: its slope is the mean of those that it should have.
fn normal_samples(schedule: &Schedule) -> f64 {
    let slopes: Array1<f64> = schedule.steps().iter().map(|step| step.one_minus_alpha_bar.sqrt()).collect();
    let slope = slopes.mean().unwrap_or(0.0);
    schedule.steps().iter().rev().fold(1.0, |variance, step| {
        let factor = (1.0 - step.beta * slope / step.one_minus_alpha_bar.sqrt()) / step.alpha.sqrt();
        factor * factor * variance + if step.t > 1 { step.beta } else { 0.0 }
    })
}

/// A Gaussian law of the data: of `d` coordinates, `telling` have the variance `v`, and all others 1.
#[derive(Clone, Copy)]
struct Law {
    name: &'static str,
    d: usize,
    telling: usize,
    v: f64,
}

const LAWS: [Law; 5] = [
    Law { name: "normal", d: 784, telling: 784, v: 1.0 },
    Law { name: "small_plane", d: 2, telling: 2, v: 0.25 },
    Law { name: "small_picture", d: 784, telling: 784, v: 0.25 },
    Law { name: "line", d: 2, telling: 1, v: 0.0 },
    Law { name: "half_picture", d: 784, telling: 392, v: 0.0 },
];

/// The least loss at each t, per dimension, of a network that is told t, and what hiding t adds to it.
struct Cost {
    told: Vec<f64>,
    added: Vec<f64>,
}

impl Cost {
    fn json(&self) -> Value {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (told, added) = (mean(&self.told), mean(&self.added));
        json!({ "told": told, "added": added, "hidden": told + added, "share": added / told })
    }
}

// ANCHOR: hidden_time
/// What the best network loses that is not told t. All that x_t says of t is r, the squared length of its telling part.
fn hidden_time(law: Law, schedule: &Schedule) -> Cost {
    let m = law.telling as f64;
    let others = (law.d - law.telling) as f64;
    let steps = schedule.steps();
    let variance: Vec<f64> = steps.iter().map(|step| step.alpha_bar * law.v + step.one_minus_alpha_bar).collect();
    // ε* is a multiple of x_t: slopes for the telling coordinates and for the others.
    let slopes: Vec<[f64; 2]> = (steps.iter().zip(&variance))
        .map(|(step, variance)| [step.one_minus_alpha_bar.sqrt() / variance, step.one_minus_alpha_bar.sqrt()])
        .collect();
    let told = (steps.iter().zip(&variance))
        .map(|(step, variance)| step.alpha_bar * (m * law.v / variance + others) / law.d as f64)
        .collect();

    let mut added = vec![0.0; steps.len()];
    let (grid, width) = grid_of_ln_r(m, &variance);
    for ln_r in grid {
        // Given t, r / V_t is χ² with m degrees of freedom: the density of ln r, for each t.
        let densities: Vec<f64> = variance.iter().map(|variance| density_of_ln_chi2(ln_r - variance.ln(), m)).collect();
        let sum: f64 = densities.iter().sum();
        if sum == 0.0 {
            continue;
        }
        // Not told t, the best slope is the mean of the slopes, weighted by how likely each t is.
        let blind = [0, 1].map(|i| densities.iter().zip(&slopes).map(|(p, slope)| p * slope[i]).sum::<f64>() / sum);
        for ((added, p), slope) in added.iter_mut().zip(&densities).zip(&slopes) {
            let squares = [0, 1].map(|i| (slope[i] - blind[i]).powi(2));
            *added += width * p * (ln_r.exp() * squares[0] + others * squares[1]) / law.d as f64;
        }
    }
    Cost { told, added }
}
// ANCHOR_END: hidden_time

/// Points at which to integrate over ln r, from where it has no weight to where it has none again, and their distance.
fn grid_of_ln_r(m: f64, variance: &[f64]) -> (Vec<f64>, f64) {
    let (least, most) = variance.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
    let spread = (2.0 / m).sqrt();
    let begin = least.ln() + m.ln() - 12.0 * spread - 64.0 / m;
    let end = most.ln() + (m + 12.0 * (2.0 * m).sqrt() + 60.0).ln();
    let width = spread / 8.0;
    let points = (0..((end - begin) / width).ceil() as usize).map(|i| begin + i as f64 * width);
    (points.collect(), width)
}

/// The density of ln u at `ln_u`, where u is χ² with m degrees of freedom.
fn density_of_ln_chi2(ln_u: f64, m: f64) -> f64 {
    (0.5 * m * (ln_u - std::f64::consts::LN_2) - 0.5 * ln_u.exp() - libm::lgamma(0.5 * m)).exp()
}

// ANCHOR: blind_eps
/// The best prediction of ε for the S-curve that does not know t: the best ones of all t, each as likely as x says it is.
fn blind_eps(x: &ArrayRef2<f64>, marginals: &[Marginal]) -> Result<Array2<f64>> {
    let (mut sum, mut total) = (Array2::zeros(x.raw_dim()), Array1::zeros(x.nrows()));
    for marginal in marginals {
        let density = marginal.log_q(x)?.exp();
        sum += &(marginal.optimal_eps(x)? * density.view().insert_axis(Axis(1)));
        total += &density;
    }
    Ok(sum / total.insert_axis(Axis(1)))
}
// ANCHOR_END: blind_eps

/// The S-curve by the best network that is told t, and by the best that is not: the loss, and samples.
fn hidden_on_the_s_curve(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<Value> {
    let curve = SCurve::sound();
    let marginals: Vec<Marginal> = schedule.steps().iter().map(|step| curve.marginal(*step)).collect();
    let told = |x: &ArrayRef2<f64>, step: Step| marginals[step.t - 1].optimal_eps(x);

    // E‖ε*(x_t, t) − ε*(x_t)‖²/2, over t and draws of x_t.
    let mut added = Vec::new();
    for &step in schedule.steps() {
        let (x0, eps) = (curve.points(40, rng), Array2::random_using((40, 2), StandardNormal, rng));
        let xt = literate_diffusion::forward::q_sample(&x0, step, &eps)?;
        added.push((told(&xt, step)? - blind_eps(&xt, &marginals)?).pow2().mean().unwrap_or(0.0));
    }
    let added = Array1::from(added);

    let noise = Array2::random_using((200, 2), StandardNormal, rng);
    let walk = ChaCha8Rng::from_rng(rng);
    let variance = Variance::Beta;
    let of_told = ancestral(&noise, schedule, variance, LastStep::Mean, told, &mut walk.clone())?;
    let blind = |x: &ArrayRef2<f64>, _: Step| blind_eps(x, &marginals);
    let of_blind = ancestral(&noise, schedule, variance, LastStep::Mean, blind, &mut walk.clone())?;
    let data = curve.points(2000, rng);

    Figure {
        folder,
        name: "unet-s-curve",
        alt: "Two panels of 200 samples over grey points on the S-curve. Told t, the samples lie on the S. Not told t, most of \
              them lie beside it, in the two hollows of the S: they are drawn towards the middle, and none reaches its ends.",
    }
    .panels(
        &[
            panel("told t", of_told.view(), data.view()),
            panel("not told t", of_blind.view(), data.view()),
        ],
        2,
        -3.0..3.0,
    )?;
    // How many samples lie where the data hardly ever does: at a density that 99 of 100 data points exceed.
    let mut of_data = curve.data().log_q(&data)?.to_vec();
    of_data.sort_by(f64::total_cmp);
    let rare = of_data[of_data.len() / 100];
    let astray = |x: &ArrayRef2<f64>| -> Result<f64> {
        let log_q = curve.data().log_q(x)?;
        Ok(log_q.iter().filter(|log_q| **log_q < rare).count() as f64 / log_q.len() as f64)
    };
    Ok(json!({
        "added": added.mean(),
        "told": curve.mean_bayes_floor(schedule),
        "astray_told": astray(&of_told)?,
        "astray_blind": astray(&of_blind)?,
        "samples": of_told.nrows(),
    }))
}

fn panel<'a>(title: &str, samples: ndarray::ArrayView2<'a, f64>, data: ndarray::ArrayView2<'a, f64>) -> Panel<'a> {
    Panel {
        title: title.to_owned(),
        clouds: vec![
            Cloud { label: "data", colour: plotters::style::RGBColor(170, 170, 170), points: data },
            Cloud { label: "samples", colour: BLUE, points: samples },
        ],
    }
}

/// What the running average μ θ̄ + (1 − μ) θ keeps.
fn of_the_average() -> Value {
    let decay: f64 = 0.999;
    json!({
        "decay": decay,
        "half_life": 0.5_f64.ln() / decay.ln(),
        "of_the_start_after_100": decay.powi(100),
        "of_the_start_after_5000": decay.powi(5000),
        "variance": (1.0 - decay) / (1.0 + decay),
    })
}

/// How many pixels along a side one pixel sees through so many 3×3 convolutions: one more on each side for each of them.
fn seen_through(convolutions: usize) -> usize {
    1 + 2 * convolutions
}

/// The same for `PlainUnet`: two convolutions on the fine level, two on the coarse one, two on the fine one.
fn seen_by_plain_unet() -> usize {
    // Any five fine pixels in a row lie in three coarse ones.
    let coarse = seen_through(2).div_ceil(2) + seen_through(2) - 1;
    2 * coarse + seen_through(2) - 1
}

/// What comes out of every layer, and how many parameters it has.
fn shapes() -> Value {
    let network = |layers: Vec<Layer>| {
        let parameters: usize = layers.iter().map(|layer| layer.parameters).sum();
        json!({ "rows": totals(&layers), "layers": layers, "parameters": parameters })
    };
    let book = residual_unet(1, &[64, 128, 256], 28);
    let share_of = |part: &str| -> f64 {
        let all: usize = book.iter().map(|layer| layer.parameters).sum();
        let of_part: usize = book.iter().filter(|layer| layer.name.contains(part)).map(|layer| layer.parameters).sum();
        of_part as f64 / all as f64
    };
    json!({
        "bottleneck": { "share": share_of("bottleneck"), "numbers": 256 * 7 * 7 },
        "time_share": share_of("time_mlp"),
        "fully_connected": (28 * 28 + 1) * 28 * 28,
        "residual": network(book),
        "residual_colour": network(residual_unet(3, &[64, 128, 256], 32)),
        "residual_small": network(residual_unet(1, &[32, 64, 128], 28)),
        "plain": network(plain_unet(1, 28)),
        "time_channel": network(time_channel_net(28)),
        "seen": { "plain": seen_by_plain_unet(), "time_channel": seen_through(4) },
    })
}

fn curve<'a>(label: &'a str, colour: plotters::style::RGBColor, points: Vec<(f64, f64)>) -> Curve<'a> {
    Curve { label, colour, points, dashed: false }
}

fn figure_embedding(folder: &Path) -> Outcome<PathBuf> {
    let sine = |k: usize| (0..=333).map(|i| (1.0 + 3.0 * i as f64, (3.0 * i as f64 * frequency(k)).sin())).collect();
    Figure {
        folder,
        name: "unet-embedding",
        alt: "Four sines over t from 1 to 1000. The fastest shown makes about fifteen turns, the next one and a half, the third \
              a seventh of one, and the slowest rises hardly at all.",
    }
    .curves(
        &Axes { x: "t", y: "sin(ω_k (t − 1))", log_y: false },
        &[
            curve("k = 16", VERMILION, sine(16)),
            curve("k = 32", BLUE, sine(32)),
            curve("k = 48", GREEN, sine(48)),
            curve("k = 63", ORANGE, sine(63)),
        ],
    )
}

fn figure_similarity(folder: &Path) -> Outcome<PathBuf> {
    let over = |scale: f64| (0..=200).map(|gap| (f64::from(gap), similarity(0.0, f64::from(gap) * scale))).collect();
    Figure {
        folder,
        name: "unet-similarity",
        alt: "How alike the embeddings of two times are, over the number of steps between them, 0 to 200. It is 1 for the same \
              time, falls to 0.67 within ten steps, to about a half at forty to sixty, and then wavers on its way down. Where t divided by \
              T is put into the sines, it stays at 1 throughout.",
    }
    .curves(
        &Axes { x: "steps between the two times", y: "similarity", log_y: false },
        &[curve("of t", BLUE, over(1.0)), curve("of t/T, T = 1000", ORANGE, over(1e-3))],
    )
}

fn figure_hidden(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let [line, picture] = [LAWS[3], LAWS[4]].map(|law| hidden_time(law, schedule));
    let over_t = |values: &dyn Fn(usize) -> f64| (0..1000).step_by(4).map(|i| (i as f64 + 1.0, values(i))).collect();
    Figure {
        folder,
        name: "unet-hidden",
        alt: "The least loss over t, for data half of whose coordinates are fixed. Told t, it falls from a half at t = 1 to almost 0 \
              at t = 1000. Not told t, in 784 dimensions, it cannot be told from that. In 2 dimensions it is about twice as high for \
              small t, and above the other two up to t = 1000.",
    }
    .curves(
        &Axes { x: "t", y: "least loss", log_y: false },
        &[
            curve("not told, d = 2", VERMILION, over_t(&|i| line.told[i] + line.added[i])),
            curve("not told, d = 784", BLUE, over_t(&|i| picture.told[i] + picture.added[i])),
            Curve { dashed: true, ..curve("told t", INK, over_t(&|i| line.told[i])) },
        ],
    )
}

fn figure_dimensions(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let over_d = |v: f64, telling: &dyn Fn(usize) -> usize| -> Vec<(f64, f64)> {
        let cost = |d| hidden_time(Law { name: "", d, telling: telling(d), v }, schedule).json();
        (1..=10).map(|power| (f64::from(power), cost(1 << power)["added"].as_f64().unwrap_or(f64::NAN))).collect()
    };
    Figure {
        folder,
        name: "unet-dimensions",
        alt: "What hiding t adds to the least loss, over the number of dimensions from 2 to 1024, on a logarithmic scale. For data \
              of variance 1 it is the same for any number of dimensions. For variance 0.25, and for data half of whose coordinates \
              are fixed, it falls steadily as there are more dimensions.",
    }
    .curves(
        &Axes { x: "dimensions, as a power of 2", y: "added by hiding t", log_y: true },
        &[
            curve("variance 1", INK, over_d(1.0, &|d| d)),
            curve("variance 0.25", BLUE, over_d(0.25, &|d| d)),
            curve("half of the coordinates fixed", ORANGE, over_d(0.0, &|d| d / 2)),
        ],
    )
}

/// By how much the losses of the other two networks are above that of the one that is told t.
fn of_the_trained(name: &str) -> Outcome<Value> {
    let trained = support::result(name)?;
    let loss = |network: &str| trained["networks"][network]["loss"].as_f64().unwrap_or(f64::NAN);
    let share = |network: &str| loss(network) / loss("told") - 1.0;
    Ok(json!({ "hidden": share("hidden"), "plain": share("plain") }))
}

/// The losses that the three networks came to.
fn figure_trained(folder: &Path) -> Outcome<PathBuf> {
    let trained = support::result(TRAINED[0])?;
    let losses = |network: &str| -> Vec<(f64, f64)> {
        let tenths = trained["networks"][network]["tenths"].as_array().into_iter().flatten();
        tenths.enumerate().map(|(i, loss)| (100.0 * i as f64 + 50.0, loss.as_f64().unwrap_or(f64::NAN))).collect()
    };
    Figure {
        folder,
        name: "unet-trained",
        alt: "The loss on test pictures over t, a point for each tenth of 1 to 1000, for three networks after the same short \
              training. All fall steeply up to t = 700. After that, the first two hardly change. The U-Net that is told t and the one from which t is hidden are close together; \
              PlainUnet lies above them.",
    }
    .curves(
        &Axes { x: "t", y: "loss on test pictures", log_y: true },
        &[
            curve("told t", BLUE, losses("told")),
            curve("t hidden", ORANGE, losses("hidden")),
            curve("PlainUnet", PURPLE, losses("plain")),
        ],
    )
}
