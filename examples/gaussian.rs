//! Chapter 2: Gaussians by hand, what mistakes about them cost, and why gradients go through the draw.
//!
//! `cargo run --release --example gaussian`

mod support;

use std::error::Error;
use std::f64::consts::{E, LN_2, LN_10, TAU};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::{Result, Schedule, gaussian, paper};
use ndarray::{Array1, Array2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use plotters::style::RGBColor;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, Panel, VERMILION};

/// (mean, variance) of the two Gaussians that the chapter works with.
const ONE: (f64, f64) = (0.0, 3.0);
const TWO: (f64, f64) = (4.0, 1.0);
/// The numbers in a small colour picture, 32 × 32 × 3.
const PICTURE: usize = 3072;
const DRAWS: usize = 100_000;

fn main() -> ExitCode {
    cli::example("Gaussians by hand, what mistakes about them cost, and why gradients go through the draw", run)
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let folder = support::figures();
    let numbers = json!({
        "by_hand": by_hand()?,
        "density": density_numbers()?,
        "picture": picture()?,
        "gradients": gradients()?,
        "kl": kl_numbers()?,
        "mistakes": mistakes()?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("gaussian-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    let figures = [
        density_figure(&folder)?,
        clouds_figure(&folder)?,
        gradients_figure(&folder)?,
        product_figure(&folder)?,
        sum_figure(&folder)?,
        kl_figure(&folder)?,
        jensen_figure(&folder)?,
    ];
    for path in figures {
        println!("Figure: {}", path.display());
    }
    Ok(())
}

// ANCHOR: by_hand
/// Two Gaussians by hand, N(0, 3) and N(4, 1), each as (mean, variance).
fn by_hand() -> Result<Value> {
    let (one, two) = ((0.0, 3.0), (4.0, 1.0));
    let (a, b) = (1.0 / one.1 + 1.0 / two.1, one.0 / one.1 + two.0 / two.1);

    Ok(json!({
        "draw": gaussian::reparameterise(&array![4.0, 4.0], 1.0, &array![0.5, -1.0])?.to_vec(),
        "affine": gaussian::affine(two, 2.0, 1.0)?,
        "exponent": [a, b],
        "square": gaussian::complete_square(a, b)?,
        "product": gaussian::product_of_gaussians(one, two)?,
        "factor": gaussian::log_product_normaliser(one, two)?.exp(),
        "sum": gaussian::sum_of_gaussians(one, two)?,
        "seen": gaussian::condition_gaussian((0.0, 1.0), 2.0, 4.0, 6.0)?,
        "entropy": [gaussian::entropy(one.1, 1)?, gaussian::entropy(two.1, 1)?],
        "kl": gaussian::kl_scalar(one.0, one.1, two.0, two.1)?,
        "kl_back": gaussian::kl_scalar(two.0, two.1, one.0, one.1)?,
        "jensen_gap": gaussian::jensen_gap(&array![0.5, 0.5], &array![1.0, 3.0])?,
    }))
}
// ANCHOR_END: by_hand

/// Peaks, and how much of the area lies within one, two and three standard deviations.
fn density_numbers() -> Result<Value> {
    let share = |reach: f64| -> Result<f64> {
        let width = 2.0 * reach / 1000.0;
        (0..1000).map(|i| Ok(width * gaussian::density(-reach + (f64::from(i) + 0.5) * width, 0.0, 1.0)?)).sum()
    };
    Ok(json!({
        "peaks": [gaussian::density(ONE.0, ONE.0, ONE.1)?, gaussian::density(TWO.0, TWO.0, TWO.1)?],
        "one_off": gaussian::density(TWO.0 + 1.0, TWO.0, TWO.1)?,
        "narrow_peak": gaussian::density(0.0, 0.0, 0.01)?,
        "within": [share(1.0)?, share(2.0)?, share(3.0)?],
    }))
}

/// A whole picture of noise: its log-density, and how far a draw lies from the mean.
fn picture() -> Result<Value> {
    let zero = Array1::zeros(PICTURE);
    let at_mean = gaussian::log_density(&zero, &zero, 1.0)?;
    let eps: Array2<f64> = Array2::random_using((1000, PICTURE), StandardNormal, &mut ChaCha8Rng::seed_from_u64(0));
    let lengths: Array1<f64> = eps.rows().into_iter().map(|eps| eps.dot(&eps).sqrt()).collect();
    let nearest = lengths.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(json!({
        "dimensions": PICTURE,
        "log_density_at_mean": at_mean,
        "powers_of_ten": at_mean / LN_10,
        "product_of_densities": gaussian::density(0.0, 0.0, 1.0)?.powi(PICTURE as i32),
        "root_of_dimensions": (PICTURE as f64).sqrt(),
        "draws": eps.nrows(),
        "length": lengths.mean(),
        "length_std": lengths.std(1.0),
        "nearest": nearest,
    }))
}

fn noise() -> Array1<f64> {
    Array1::random_using(DRAWS, StandardNormal, &mut ChaCha8Rng::seed_from_u64(0))
}

// ANCHOR: estimators
/// The variance of one draw's estimate of d/dμ E sin(μ + σε) at μ = 1: by the slope of sin, by its value, and by its
/// value with sin μ taken off.
fn estimator_variances(sigma: f64, eps: &Array1<f64>) -> Result<[f64; 3]> {
    let variance = sigma * sigma;
    let x = gaussian::reparameterise(&Array1::ones(eps.len()), variance, eps)?;
    let (by_slope, _) = gaussian::pathwise_gradient(&x.cos(), eps)?;
    let (by_value, _) = gaussian::score_function_gradient(&x.sin(), variance, eps)?;
    let (by_difference, _) = gaussian::score_function_gradient(&(x.sin() - 1.0_f64.sin()), variance, eps)?;
    Ok([by_slope, by_value, by_difference].map(|estimates| estimates.var(1.0)))
}
// ANCHOR_END: estimators

/// Two draws by hand for f(x) = x², the variances for f = sin, and a step, which has no slope.
fn gradients() -> Result<Value> {
    let by_hand_eps = array![1.0, -1.0];
    let x = gaussian::reparameterise(&array![1.0, 1.0], 4.0, &by_hand_eps)?;
    let pathwise = gaussian::pathwise_gradient(&(&x * 2.0), &by_hand_eps)?;
    let score_function = gaussian::score_function_gradient(&(&x * &x), 4.0, &by_hand_eps)?;

    let eps = noise();
    let row = |&sigma: &f64| Ok(json!({ "sigma": sigma, "variances": estimator_variances(sigma, &eps)? }));
    let rows = [2.0, 1.0, 0.3, 0.1, 0.03, 0.01].iter().map(row).collect::<Result<Vec<_>>>()?;

    let above = eps.mapv(|eps| if 1.0 + eps > 0.0 { 1.0 } else { 0.0 });
    let (of_step, _) = gaussian::score_function_gradient(&above, 1.0, &eps)?;
    let one_sigma = (-0.5_f64).exp();
    Ok(json!({
        "by_hand": {
            "x": x.to_vec(),
            "pathwise": [pathwise.0.to_vec(), pathwise.1.to_vec()],
            "score_function": [score_function.0.to_vec(), score_function.1.to_vec()],
        },
        "draws": DRAWS,
        "rows": rows,
        "exact_at_one": [one_sigma * 1.0_f64.cos(), -one_sigma * 1.0_f64.sin()],
        "slope_at_the_mean": 1.0_f64.cos(),
        "step": { "exact": gaussian::density(0.0, 1.0, 1.0)?, "score_function": of_step.mean() },
    }))
}

/// KL(N(0, 3) || N(4, 1)) and what mistakes make of it; and where the formula as it stands loses its digits.
fn kl_numbers() -> Result<Value> {
    let ((mean_q, variance_q), (mean_p, variance_p)) = (ONE, TWO);
    let right = gaussian::kl_scalar(mean_q, variance_q, mean_p, variance_p)?;
    let ratio = variance_q / variance_p;
    let square = (mean_q - mean_p).powi(2);
    let close: f64 = 1.0 + 1e-9;
    let zero = Array1::zeros(PICTURE);
    let tenth = Array1::from_elem(PICTURE, 0.1);
    Ok(json!({
        "swapped": gaussian::kl_scalar(mean_p, variance_p, mean_q, variance_q)?,
        "without_half": 2.0 * right,
        "std_for_variance": gaussian::kl_scalar(mean_q, variance_q.sqrt(), mean_p, variance_p.sqrt())?,
        "log_of_std": 0.5 * (ratio - 1.0 - 0.5 * ratio.ln() + square / variance_p),
        "without_minus_one": right + 0.5,
        "close_ratio": close - 1.0,
        "close": gaussian::kl_scalar(0.0, close, 0.0, 1.0)?,
        "close_as_written": 0.5 * (-1.0 - close.ln() + close),
        "picture": gaussian::kl_isotropic(&tenth, 1.0, &zero, 1.0)?,
        "one_number": gaussian::kl_scalar(0.1, 1.0, 0.0, 1.0)?,
        "without_variance_d_times": 0.5 * (2.0 - 1.0 - LN_2),
        "with_variance_d_times": gaussian::kl_isotropic(&zero, 2.0, &zero, 1.0)?,
    }))
}

fn mistakes() -> Result<Value> {
    // σ = 0.1, read as a variance; and the variance 0.01, read as a standard deviation.
    let wide = gaussian::kl_scalar(0.0, 0.01, 0.0, 0.1)?;
    let narrow = gaussian::kl_scalar(0.0, 0.01, 0.0, 0.0001)?;
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let chain = ddpm.steps().iter().fold(1.0, |variance, step| step.alpha.sqrt() * variance + step.beta);
    let of_product = 0.75;
    let roots = ONE.1.sqrt() + TWO.1.sqrt();
    Ok(json!({
        "std_as_variance_bits": wide / LN_2,
        "variance_as_std_bits": narrow / LN_2,
        "no_root_area": 1.0 / TAU.sqrt(),
        "normaliser_once_nats": 0.5 * (PICTURE - 1) as f64 * TAU.ln(),
        "a_for_a_squared_chain": chain,
        "stds_added": roots * roots,
        "precision_not_inverted": 1.0 / ONE.1 + 1.0 / TWO.1,
        "own_variance": (ONE.0 * ONE.1 + TWO.0 * TWO.1) / (ONE.1 + TWO.1),
        "factor_by_variance_of_product": gaussian::density(ONE.0, TWO.0, of_product)?,
        "mixture": [2.0, 0.5 * (ONE.1 + TWO.1) + 4.0],
        "seen_a_for_a_squared": 1.0 / (1.0 + 2.0 / 4.0),
        "seen_y_not_times_a": 0.5 * 6.0 / 4.0,
        "entropy_without_e": gaussian::entropy(ONE.1, 1)? - 0.5 * E.ln(),
        "no_entropy_below": (TAU * E).recip(),
    }))
}

fn curve(label: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Curve<'_> {
    Curve { label, colour, points, dashed: false }
}

/// (x, f(x)) at 121 points.
fn points(from: f64, to: f64, f: impl Fn(f64) -> Result<f64>) -> Result<Vec<(f64, f64)>> {
    let x = |i: i32| from + (to - from) * f64::from(i) / 120.0;
    (0..=120).map(|i| Ok((x(i), f(x(i))?))).collect()
}

/// A density, times a factor, over the range in which the chapter's two Gaussians lie.
fn bell(label: &str, colour: RGBColor, (mean, variance): (f64, f64), factor: f64) -> Result<Curve<'_>> {
    let density = |x| Ok(factor * gaussian::density(x, mean, variance)?);
    Ok(curve(label, colour, points(-6.0, 10.0, density)?))
}

const DENSITY: Axes = Axes { x: "x", y: "density", log_y: false };

type Drawn = std::result::Result<PathBuf, Box<dyn Error>>;

fn density_figure(folder: &Path) -> Drawn {
    Figure {
        folder,
        name: "gaussian-density",
        alt: "Three bell curves. The one with variance 3 is low and wide, the one with variance 1 higher and narrower, \
              the one with variance a quarter the highest and the narrowest.",
    }
    .curves(
        &DENSITY,
        &[
            bell("N(x; 0, 3)", BLUE, ONE, 1.0)?,
            bell("N(x; 4, 1)", ORANGE, TWO, 1.0)?,
            bell("N(x; −2, ¼)", GREEN, (-2.0, 0.25), 1.0)?,
        ],
    )
}

/// Two dimensions: two clouds that one σ describes, and one that it does not.
fn clouds_figure(folder: &Path) -> Drawn {
    let eps: Array2<f64> = Array2::random_using((500, 2), StandardNormal, &mut ChaCha8Rng::seed_from_u64(0));
    let mean = Array2::zeros(eps.dim()) + array![1.0, -1.0];
    let small = gaussian::reparameterise(&mean, 0.25, &eps)?;
    let stretched = &eps * &array![1.5, 0.4];
    let panel = |title: &str, points| Panel {
        title: title.to_owned(),
        clouds: vec![Cloud { label: "", colour: BLUE, points }],
    };
    let panels =
        [panel("N(0, I)", eps.view()), panel("N(μ, ¼ I)", small.view()), panel("not isotropic", stretched.view())];
    Figure {
        folder,
        name: "gaussian-clouds",
        alt: "Three clouds of points: a round one about the origin, a smaller round one below and to the right of it, and \
              a flat one, much wider than it is high.",
    }
    .panels(&panels, 3, -4.0..4.0)
}

fn gradients_figure(folder: &Path) -> Drawn {
    let eps = noise();
    let mut lines = [(); 3].map(|()| Vec::new());
    for i in -16..=4 {
        let log_sigma = f64::from(i) / 8.0;
        for (line, variance) in lines.iter_mut().zip(estimator_variances(10_f64.powf(log_sigma), &eps)?) {
            line.push((log_sigma, variance));
        }
    }
    let [by_slope, by_value, by_difference] = lines;
    Figure {
        folder,
        name: "gaussian-gradients",
        alt: "The variance of three estimators of a gradient over log σ, on a logarithmic scale. With the slope of f it \
              falls as σ shrinks; with the value of f alone it rises without bound; with f(μ) taken off it stays level. \
              For σ above 1 the value of f alone has the smallest variance.",
    }
    .curves(
        &Axes { x: "log₁₀ σ", y: "variance of one draw", log_y: true },
        &[
            curve("slope of f", BLUE, by_slope),
            curve("value of f", VERMILION, by_value),
            curve("value of f, less f(μ)", GREEN, by_difference),
        ],
    )
}

fn product_figure(folder: &Path) -> Drawn {
    let product = gaussian::product_of_gaussians(ONE, TWO)?;
    let factor = gaussian::log_product_normaliser(ONE, TWO)?.exp();
    Figure {
        folder,
        name: "gaussian-product",
        alt: "Two bell curves, N(0, 3) and N(4, 1), their product, which is low, and the product divided by its integral: \
              a bell curve around 3, nearer to the narrower of the two and narrower than both.",
    }
    .curves(
        &DENSITY,
        &[
            bell("N(x; 0, 3)", BLUE, ONE, 1.0)?,
            bell("N(x; 4, 1)", ORANGE, TWO, 1.0)?,
            bell("their product", VERMILION, product, factor)?,
            bell("the same with area 1", GREEN, product, 1.0)?,
        ],
    )
}

fn sum_figure(folder: &Path) -> Drawn {
    let mixture = |x| Ok(0.5 * (gaussian::density(x, ONE.0, ONE.1)? + gaussian::density(x, TWO.0, TWO.1)?));
    Figure {
        folder,
        name: "gaussian-sum",
        alt: "Two bell curves around 0 and 4. The density of the sum of a draw from each is a wide bell around 4. The \
              mean of the two densities is a curve with two humps.",
    }
    .curves(
        &DENSITY,
        &[
            bell("x from N(0, 3)", BLUE, ONE, 1.0)?,
            bell("y from N(4, 1)", ORANGE, TWO, 1.0)?,
            bell("x + y", GREEN, gaussian::sum_of_gaussians(ONE, TWO)?, 1.0)?,
            curve("x or y, at random", VERMILION, points(-6.0, 10.0, mixture)?),
        ],
    )
}

fn kl_figure(folder: &Path) -> Drawn {
    let to_standard = |log_sigma: f64| gaussian::kl_scalar(0.0, 10_f64.powf(2.0 * log_sigma), 0.0, 1.0);
    let from_standard = |log_sigma: f64| gaussian::kl_scalar(0.0, 1.0, 0.0, 10_f64.powf(2.0 * log_sigma));
    Figure {
        folder,
        name: "gaussian-kl",
        alt: "Two curves over log σ that touch 0 at σ = 1. With N(0, σ²) as the first argument, the divergence grows \
              slowly for small σ and fast for large σ; as the second argument it is the other way round.",
    }
    .curves(
        &Axes { x: "log₁₀ σ", y: "KL in nats", log_y: false },
        &[
            curve("from N(0, σ²) to N(0, 1)", BLUE, points(-0.5, 0.5, to_standard)?),
            curve("from N(0, 1) to N(0, σ²)", ORANGE, points(-0.5, 0.5, from_standard)?),
        ],
    )
}

fn jensen_figure(folder: &Path) -> Drawn {
    let straight = |from: f64, to: f64, line: &dyn Fn(f64) -> f64| vec![(from, line(from)), (to, line(to))];
    let tangent = |v: f64| LN_2 + (v - 2.0) / 2.0;
    let chord = |v: f64| (v - 1.0) / 2.0 * 3.0_f64.ln();
    Figure {
        folder,
        name: "gaussian-jensen",
        alt: "The curve of the logarithm. A straight line touches it at 2 and lies above it everywhere else. Another \
              one joins its points at 1 and 3, and lies below it between them; at 2, a short upright line marks the gap.",
    }
    .curves(
        &Axes { x: "v", y: "logarithm", log_y: false },
        &[
            curve("ln v", BLUE, points(0.4, 4.0, |v| Ok(v.ln()))?),
            curve("tangent at the mean, 2", GREEN, straight(0.4, 4.0, &tangent)),
            curve("from 1 to 3", ORANGE, straight(1.0, 3.0, &chord)),
            curve("the gap", INK, vec![(2.0, chord(2.0)), (2.0, LN_2)]),
        ],
    )
}
