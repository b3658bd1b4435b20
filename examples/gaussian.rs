//! Chapter 2: Gaussians by hand, the product of two of them, and why gradients go through the draw.
//!
//! `cargo run --release --example gaussian`

mod support;

use std::error::Error;

use literate_diffusion::gaussian;
use ndarray::{Array1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, ORANGE, VERMILION};

fn main() -> Result<(), Box<dyn Error>> {
    let (one, two) = ((0.0, 3.0), (4.0, 1.0));
    println!("N(0, 3) and N(4, 1), as (mean, variance)");
    println!("  sum of a draw from each   {:?}", gaussian::sum_of_gaussians(one, two)?);
    println!("  2x + 1 for x from N(4, 1) {:?}", gaussian::affine(two, 2.0, 1.0)?);
    let product = gaussian::product_of_gaussians(one, two)?;
    let (a, b) = (1.0 / one.1 + 1.0 / two.1, one.0 / one.1 + two.0 / two.1);
    println!("  product of the densities  {product:?}");
    println!("    its exponent is −½ a x² + b x + …, a = {a:.4}, b = {b:.4}: mean b/a, variance 1/a");
    println!("    it integrates to N(0; 4, 3 + 1) = {:.4}", gaussian::log_product_normaliser(one, two)?.exp());
    let seen = gaussian::condition_gaussian((0.0, 1.0), 2.0, 4.0, 6.0)?;
    println!("  x from N(0, 1), y from N(2x, 4), y = 6 seen: x is now {seen:?}");

    println!("\nKL, in nats: it is no distance, for it depends on the order");
    println!("  KL(N(0, 3) || N(4, 1)) = {:.4}", gaussian::kl_scalar(one.0, one.1, two.0, two.1)?);
    println!("  KL(N(4, 1) || N(0, 3)) = {:.4}", gaussian::kl_scalar(two.0, two.1, one.0, one.1)?);
    println!("  entropy of N(0, 3)     = {:.4}", gaussian::entropy(one.1, 1)?);
    let gap = gaussian::jensen_gap(&array![0.5, 0.5], &array![1.0, 3.0])?;
    println!("  Jensen: ln of the mean of 1 and 3 is above the mean of their ln by {gap:.4}");

    let variances = estimator_variances(&[1.0, 0.3, 0.1, 0.03, 0.01])?;
    println!("\nVariance of one draw's estimate of d/dμ E sin(μ + σε) at μ = 1, from 100000 draws");
    println!("   sigma   slope of f   value of f");
    for (sigma, pathwise, score_function) in &variances {
        println!("  {sigma:6.2}   {pathwise:10.2e}   {score_function:10.2e}");
    }

    let density = |label, colour, (mean, variance): (f64, f64), factor: f64| -> Result<_, Box<dyn Error>> {
        let point = |i: i32| {
            let x = -6.0 + f64::from(i) * 0.04;
            Ok((x, factor * gaussian::density(x, mean, variance)?))
        };
        let points = (0..=350).map(point).collect::<literate_diffusion::Result<_>>()?;
        Ok(Curve { label, colour, points, dashed: false })
    };
    let factor = gaussian::log_product_normaliser(one, two)?.exp();
    let folder = support::figures();
    let product_figure = Figure {
        folder: &folder,
        name: "gaussian-product",
        alt: "Two bell curves, N(0, 3) and N(4, 1), their product, which is low, and the product divided by its integral: \
              a bell curve around 3, nearer to the narrower of the two and narrower than both.",
    }
    .curves(
        &Axes { x: "x", y: "density", log_y: false },
        &[
            density("N(x; 0, 3)", BLUE, one, 1.0)?,
            density("N(x; 4, 1)", ORANGE, two, 1.0)?,
            density("product", VERMILION, product, factor)?,
            density("N(x; 3, 0.75)", GREEN, product, 1.0)?,
        ],
    )?;
    let curve = |label, colour, points| Curve { label, colour, points, dashed: false };
    let gradients_figure = Figure {
        folder: &folder,
        name: "gaussian-gradients",
        alt: "The variance of two estimators of a gradient over ln σ, on a logarithmic scale: with the slope of f it falls \
              as σ shrinks, with the value of f alone it rises without bound.",
    }
    .curves(
        &Axes { x: "ln σ", y: "variance of one draw", log_y: true },
        &[
            curve("slope of f (pathwise)", BLUE, variances.iter().map(|v| (v.0.ln(), v.1)).collect()),
            curve("value of f (score function)", VERMILION, variances.iter().map(|v| (v.0.ln(), v.2)).collect()),
        ],
    )?;
    println!("\nFigures: {}, {}", product_figure.display(), gradients_figure.display());
    Ok(())
}

/// (σ, variance of the pathwise estimates, variance of the score-function estimates) for f = sin around μ = 1.
fn estimator_variances(sigmas: &[f64]) -> literate_diffusion::Result<Vec<(f64, f64, f64)>> {
    let eps: Array1<f64> = Array1::random_using(100_000, StandardNormal, &mut ChaCha8Rng::seed_from_u64(0));
    let of = |&sigma: &f64| {
        let x = gaussian::reparameterise(&Array1::ones(eps.len()), sigma * sigma, &eps)?;
        let (pathwise, _) = gaussian::pathwise_gradient(&x.cos(), &eps)?;
        let (score_function, _) = gaussian::score_function_gradient(&x.sin(), sigma * sigma, &eps)?;
        Ok((sigma, pathwise.var(1.0), score_function.var(1.0)))
    };
    sigmas.iter().map(of).collect()
}
