//! Chapter 5: one step undone by hand, and how far q(x_{t−1} | x_t) is from a Gaussian.
//!
//! `cargo run --release --example posterior`

mod support;

use std::error::Error;

use literate_diffusion::posterior::{self, VarianceAtOne};
use literate_diffusion::{Result, Schedule, Step, gaussian};
use ndarray::{Array1, array};
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, ORANGE, VERMILION};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let schedule = Schedule::from_betas(&[0.1, 0.2, 0.5])?;
    let (x0, xt, x_prev) = (array![1.0], array![0.2], array![0.5]);
    println!(
        "T = 3 by hand: x_0 = 1, x_t = 0.2\n t  beta  alpha_bar  precision  beta_tilde  mu_tilde  ln q(0.5 | x_t, x_0) by Bayes"
    );
    for &step in schedule.steps() {
        let mean = posterior::posterior_mean(&x0, &xt, step)?[0];
        let by_bayes = posterior::log_posterior_by_bayes(&x_prev, &x0, &xt, step)
            .map_or_else(|error| error.to_string(), |log| format!("{log:.4}"));
        let (precision, beta_tilde) = (posterior::posterior_precision(step), posterior::posterior_variance(step));
        let Step { t, beta, alpha_bar, .. } = step;
        println!("{t:2} {beta:5.2} {alpha_bar:10.3} {precision:10.3} {beta_tilde:11.4} {mean:9.4}  {by_bayes}");
    }
    for at_one in [VarianceAtOne::Beta1, VarianceAtOne::BetaTilde2] {
        let log_variance = posterior::posterior_log_variance(&schedule, 1, at_one)?;
        println!("in place of ln beta_tilde_1 = -inf, {at_one:?} gives {log_variance:.4}");
    }

    let atoms = array![-1.0, 1.0];
    println!(
        "\nData: -1 or 1. Without x_0, x_t = 0.4 √α_t and 1 − ᾱ_(t−1) = 0.1: how far q(x_(t−1) | x_t) is from a Gaussian"
    );
    println!("  beta    mean  variance  KL to that Gaussian, nats   KL to N(mean, beta)");
    for beta in [0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002] {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        let xt = 0.4 * step.alpha.sqrt();
        let (mean, variance) = posterior::reverse_moments(&atoms, xt, step)?;
        let (best, fixed) = (misfit(&atoms, xt, step, variance)?, misfit(&atoms, xt, step, beta)?);
        println!("{beta:6.3} {mean:7.3} {variance:9.4} {best:27.2e} {fixed:21.2e}");
    }

    let folder = support::figures();
    let product = figure_product(&folder)?;
    let reverse = figure_reverse(&folder, &atoms)?;
    println!("\nFigures: {}, {}", product.display(), reverse.display());
    Ok(())
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
    let points = (-300..=300).map(|i| 0.01 * f64::from(i)).map(|x| Ok((x, density(x)?))).collect::<Result<_>>()?;
    Ok(Curve { label, colour, points, dashed: false })
}

fn figure_product(folder: &std::path::Path) -> std::result::Result<std::path::PathBuf, Box<dyn Error>> {
    let step = Schedule::from_betas(&[0.1, 0.2, 0.5])?.step(2)?;
    let (x0, xt) = (1.0, 0.2);
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

fn figure_reverse(
    folder: &std::path::Path,
    atoms: &Array1<f64>,
) -> std::result::Result<std::path::PathBuf, Box<dyn Error>> {
    let reverse = |label, colour, beta: f64| -> Result<Curve> {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        curve(label, colour, |x| posterior::reverse_density(x, atoms, 0.4 * step.alpha.sqrt(), step))
    };
    Figure {
        folder,
        name: "posterior-reverse",
        alt: "The density of x_{t-1} given x_t for data at minus one and one: two humps where beta is 0.9 or 0.2, and one \
              that looks like a bell curve where beta is 0.02.",
    }
    .curves(
        &Axes { x: "x_{t−1}", y: "q(x_{t−1} | x_t)", log_y: false },
        &[
            reverse("β = 0.9", VERMILION, 0.9)?,
            reverse("β = 0.2", ORANGE, 0.2)?,
            reverse("β = 0.02", BLUE, 0.02)?,
        ],
    )
}
