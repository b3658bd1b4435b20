//! Chapter 5: one step undone by hand, and how far q(x_{t−1} | x_t) is from a Gaussian.
//!
//! `cargo run --release --example posterior`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};

use literate_diffusion::forward::q_chain;
use literate_diffusion::posterior::{self, VarianceAtOne};
use literate_diffusion::{Result, Schedule, Step, gaussian, objective, paper};
use ndarray::{Array1, array};
use serde_json::{Value, json};
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, ORANGE, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let by_hand = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let atoms = array![-1.0, 1.0];

    let numbers = json!({
        "by_hand": undone(&by_hand)?,
        "unknown": unknown(&by_hand, &atoms)?,
        "limits": limits(&sound)?,
        "gaussian": nearly_gaussian(&atoms)?,
        "at_one": at_one(&sound)?,
        "mistakes": mistakes(&sound)?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("posterior-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    println!("Figure: {}", figure_product(&folder, &by_hand)?.display());
    println!("Figure: {}", figure_reverse(&folder, &atoms)?.display());
    Ok(())
}

/// The path of chapter 4: x_0 = 1, and the noises 0.5, −1 and 0.2.
fn path(schedule: &Schedule) -> Result<Vec<Array1<f64>>> {
    q_chain(&array![1.0], schedule, &[array![0.5], array![-1.0], array![0.2]])
}

// ANCHOR: undone
/// The three steps of chapter 4, undone with x_0 known.
fn undone(schedule: &Schedule) -> Result<Value> {
    let x0 = array![1.0];
    let path = path(schedule)?;
    let mut rows = Vec::new();
    for &step in schedule.steps() {
        let xt = &path[step.t];
        let eps = objective::eps_from_x0(&x0, xt, step)?;
        rows.push(json!({
            "beta": step.beta,
            "alpha_bar": step.alpha_bar,
            "xt": xt[0],
            "eps": eps[0],
            "precision": posterior::posterior_precision(step),
            "variance": posterior::posterior_variance(step),
            "std": posterior::posterior_variance(step).sqrt(),
            "mean": posterior::posterior_mean(&x0, xt, step)?[0],
            "mean_from_eps": posterior::posterior_mean_from_eps(xt, step, &eps)?[0],
            "x_prev": path[step.t - 1][0],
        }));
    }
    Ok(json!(rows))
}
// ANCHOR_END: undone

/// The second of these steps, undone where x_0 may be −1 or 1.
fn unknown(schedule: &Schedule, atoms: &Array1<f64>) -> Result<Value> {
    let second = schedule.step(2)?;
    let xt = path(schedule)?[2][0];
    let weights = posterior::atom_weights(atoms, xt, second)?;
    let means = posterior::posterior_mean(atoms, &Array1::from_elem(2, xt), second)?;
    let (mean, variance) = posterior::reverse_moments(atoms, xt, second)?;
    // KL(q(x_{t−1} | x_t, x_0 = 1) ‖ q(x_{t−1} | x_t)), integrated.
    let known_variance = posterior::posterior_variance(second);
    let h = 0.005 * known_variance.sqrt();
    let integrand = |i: i32| {
        let x_prev = means[1] + h * f64::from(i);
        let known = gaussian::density(x_prev, means[1], known_variance)?;
        Ok(known * (known / posterior::reverse_density(x_prev, atoms, xt, second)?).ln())
    };
    let kl = h * (-2000..=2000).map(integrand).sum::<Result<f64>>()?;
    Ok(json!({
        "weights": weights.to_vec(),
        "means": means.to_vec(),
        "mean": mean,
        "variance": variance,
        "kl_bits": kl / std::f64::consts::LN_2,
    }))
}

/// How β̃ compares with β along a schedule.
fn limits(schedule: &Schedule) -> Result<Value> {
    let ratio = |t| schedule.step(t).map(|step| posterior::posterior_variance(step) / step.beta);
    Ok(json!({ "ratio": { "1": ratio(1)?, "2": ratio(2)?, "5": ratio(5)?, "20": ratio(20)?, "100": ratio(100)? } }))
}

/// How far q(x_{t−1} | x_t) is from a Gaussian as β shrinks; 1 − ᾱ_{t−1} is 0.1, and x_t/√α_t is 0.4.
fn nearly_gaussian(atoms: &Array1<f64>) -> Result<Value> {
    let mut rows = Vec::new();
    for beta in [0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001] {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        let xt = 0.4 * step.alpha.sqrt();
        let (mean, variance) = posterior::reverse_moments(atoms, xt, step)?;
        rows.push(json!({
            "beta": beta,
            "mean": mean,
            "variance": variance,
            "kl": misfit(atoms, xt, step, variance)?,
            "kl_beta": misfit(atoms, xt, step, beta)?,
        }));
    }
    let ratio = |key: &str| rows[8][key].as_f64().zip(rows[9][key].as_f64()).map(|(long, short)| long / short);
    Ok(json!({ "halved": ratio("kl"), "halved_beta": ratio("kl_beta"), "rows": rows }))
}

/// What a prediction of x_0 that is off by 0.01 costs at t = 1, in bits, for three choices of the variance.
fn at_one(schedule: &Schedule) -> Result<Value> {
    let bits = |log_variance: f64| -> Result<f64> {
        let log = gaussian::log_density(&array![0.01], &array![0.0], log_variance.exp())?;
        Ok(-log / std::f64::consts::LN_2)
    };
    let beta_1 = posterior::posterior_log_variance(schedule, 1, VarianceAtOne::Beta1)?;
    let beta_tilde_2 = posterior::posterior_log_variance(schedule, 1, VarianceAtOne::BetaTilde2)?;
    let clipped = 1e-20_f64.ln();
    Ok(json!({
        "beta_1": { "log_variance": beta_1, "bits": bits(beta_1)? },
        "beta_tilde_2": { "log_variance": beta_tilde_2, "bits": bits(beta_tilde_2)? },
        "clipped": { "log_variance": clipped, "bits": bits(clipped)? },
    }))
}

/// The weights of x_0 and x_t in the mean, and the variance.
type Undo = (f64, f64, f64);

/// What mistakes do to a walk back from x_T to x_1 with x_0 known, and to the step at t = 1.
fn mistakes(schedule: &Schedule) -> Result<Value> {
    let right = |s: Step| -> Undo {
        let over = s.one_minus_alpha_bar;
        let of_xt = s.alpha.sqrt() * s.one_minus_alpha_bar_prev / over;
        (s.alpha_bar_prev.sqrt() * s.beta / over, of_xt, posterior::posterior_variance(s))
    };
    let wrap = Step {
        alpha_bar_prev: schedule.last().alpha_bar,
        one_minus_alpha_bar_prev: schedule.last().one_minus_alpha_bar,
        ..schedule.step(1)?
    };
    Ok(json!({
        "right": worst(schedule, right),
        "root_of_alpha_bar": worst(schedule, |s| {
            let (of_x0, of_xt, variance) = right(s);
            (of_x0, of_xt * s.alpha_bar_prev.sqrt(), variance)
        }),
        "off_by_one": worst(schedule, |s| {
            let (of_x0, of_xt, variance) = right(s);
            (of_x0 * s.alpha.sqrt(), of_xt, variance)
        }),
        "beta": worst(schedule, |s| (right(s).0, right(s).1, s.beta)),
        "wrapped": { "of_xt": right(wrap).1, "variance": right(wrap).2 },
    }))
}

/// The variance of x_t, for data of variance 1, that is farthest from 1 on a walk back from x_T to x_1.
fn worst(schedule: &Schedule, undo: impl Fn(Step) -> Undo) -> f64 {
    let last = schedule.last();
    // x_t = signal · x_0 + noise, the noise of the variance given.
    let (mut signal, mut noise, mut worst) = (last.alpha_bar.sqrt(), last.one_minus_alpha_bar, 1.0_f64);
    for &step in schedule.steps()[1..].iter().rev() {
        let (of_x0, of_xt, variance) = undo(step);
        signal = of_x0 + of_xt * signal;
        noise = of_xt.powi(2) * noise + variance;
        let here = signal.powi(2) + noise;
        if (here - 1.0).abs() > (worst - 1.0).abs() {
            worst = here;
        }
    }
    worst
}

/// KL(q(x_{t−1} | x_t) ‖ N(its mean, variance)), integrated.
fn misfit(atoms: &Array1<f64>, xt: f64, step: Step, variance: f64) -> Result<f64> {
    let (mean, own_variance) = posterior::reverse_moments(atoms, xt, step)?;
    let h = 0.005 * own_variance.max(variance).sqrt();
    let integrand = |i: i32| {
        let x_prev = mean + h * f64::from(i);
        let q = posterior::reverse_density(x_prev, atoms, xt, step)?;
        let p = gaussian::density(x_prev, mean, variance)?;
        // q ln(q/p) − q + p has the same integral, and loses no digits where q is close to p.
        Ok(if q > 0.0 && p > 0.0 { q * (q / p).ln() - q + p } else { p })
    };
    (-2000..=2000).map(integrand).sum::<Result<f64>>().map(|sum| h * sum)
}

fn curve<'a>(
    label: &'a str,
    colour: plotters::style::RGBColor,
    density: impl Fn(f64) -> Result<f64>,
) -> Result<Curve<'a>> {
    let points = (-120..=120).map(|i| 0.025 * f64::from(i)).map(|x| Ok((x, density(x)?))).collect::<Result<_>>()?;
    Ok(Curve { label, colour, points, dashed: false })
}

fn figure_product(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let step = schedule.step(2)?;
    let (x0, xt) = (1.0, path(schedule)?[2][0]);
    let mean = posterior::posterior_mean(&array![x0], &array![xt], step)?[0];
    Figure {
        folder,
        name: "posterior-product",
        alt: "Three bell curves over x_{t-1}: what x_0 says of it, what x_t says of it, and the posterior, their product, \
              which lies between the two and is narrower than either.",
    }
    .curves(
        &Axes { x: "x_{t−1}", y: "density", log_y: false },
        &[
            curve("q(x_{t−1} | x_0)", BLUE, |x| {
                gaussian::density(x, step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev)
            })?,
            curve("q(x_t | x_{t−1})", ORANGE, |x| gaussian::density(xt, step.alpha.sqrt() * x, step.beta))?,
            curve("q(x_{t−1} | x_t, x_0)", GREEN, |x| gaussian::density(x, mean, posterior::posterior_variance(step)))?,
        ],
    )
}

fn figure_reverse(folder: &Path, atoms: &Array1<f64>) -> Outcome<PathBuf> {
    let mut curves = Vec::new();
    for (beta, colour, label, of_gaussian) in
        [(0.9, VERMILION, "β = 0.9", "its Gaussian"), (0.02, BLUE, "β = 0.02", "its Gaussian")]
    {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        let xt = 0.4 * step.alpha.sqrt();
        let (mean, variance) = posterior::reverse_moments(atoms, xt, step)?;
        curves.push(curve(label, colour, |x| posterior::reverse_density(x, atoms, xt, step))?);
        let gaussian = curve(of_gaussian, colour, |x| gaussian::density(x, mean, variance))?;
        curves.push(Curve { dashed: true, ..gaussian });
    }
    Figure {
        folder,
        name: "posterior-reverse",
        alt: "The density of x_{t-1} given x_t for data at minus one and one, each beside the Gaussian of the same mean \
              and variance. Where beta is 0.9 the density has two humps, and the Gaussian is one wide bell. Where beta is \
              0.02 the two curves cannot be told apart.",
    }
    .curves(&Axes { x: "x_{t−1}", y: "q(x_{t−1} | x_t)", log_y: false }, &curves)
}
