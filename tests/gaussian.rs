//! Checks of chapter 2, Gaussians: one module an equation, named by its slug.

mod support;

use std::f64::consts::{E, PI, TAU};

use literate_diffusion::{Error, gaussian};
#[cfg(feature = "torch")]
use literate_diffusion::{Step, torch::diffusion};
use ndarray::{Array1, ArrayRef1, Ix1, Zip, array, aview1};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::arrays;
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, z_score};

/// (mean, variance).
type Gaussian = (f64, f64);

/// A mean of ordinary size and a variance, uniform in its logarithm, from 0.05 to 20.
fn gaussian() -> impl Strategy<Value = Gaussian> {
    (-5.0..5.0, variance(0.05, 20.0))
}

fn variance(from: f64, to: f64) -> impl Strategy<Value = f64> {
    (from.ln()..to.ln()).prop_map(f64::exp)
}

/// Two arrays of one length, and a variance from 1e-3 to 1e3.
fn pair() -> impl Strategy<Value = ([Array1<f64>; 2], f64)> {
    (arrays(), variance(1e-3, 1e3))
}

/// The interval outside of which none of the Gaussians has more than 1e-32 of its mass.
fn support_of(gaussians: &[Gaussian]) -> (f64, f64) {
    let from = gaussians.iter().map(|(m, v)| m - 12.0 * v.sqrt()).fold(f64::INFINITY, f64::min);
    let to = gaussians.iter().map(|(m, v)| m + 12.0 * v.sqrt()).fold(f64::NEG_INFINITY, f64::max);
    (from, to)
}

/// The mass, mean and variance of a function that need not integrate to 1, on 4000 intervals.
fn moments((from, to): (f64, f64), f: impl Fn(f64) -> f64) -> (f64, f64, f64) {
    let mass = integral(from, to, 4000, &f);
    let mean = integral(from, to, 4000, |x| x * f(x)) / mass;
    (mass, mean, integral(from, to, 4000, |x| (x - mean).powi(2) * f(x)) / mass)
}

/// The distance of two pairs (mean, variance): of the means in standard deviations or relative, of the variances relative.
fn distance_of_gaussians(got: Gaussian, want: Gaussian) -> f64 {
    distance_of_numbers(got.0, want.0, want.1.sqrt()).max(distance_of_numbers(got.1, want.1, 1e-300))
}

fn is_out_of_range<T>(result: literate_diffusion::Result<T>, argument: &str) -> bool {
    matches!(result, Err(Error::OutOfRange { name, .. }) if name == argument)
}

/// What no variance may be; 0 is added where it may not be that either.
const NO_VARIANCE: [f64; 3] = [-1.0, f64::NAN, f64::INFINITY];
const NO_POSITIVE_VARIANCE: [f64; 4] = [0.0, -1.0, f64::NAN, f64::INFINITY];

mod density {
    use super::*;

    /// It integrates to 1 and has the mean and the variance that it was given.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "4000 terms, each rounded a few times")
            .property(gaussian(), |case| moments_are_right(case, |x, m, v| gaussian::density(x, m, v).unwrap()));
    }

    /// The table of the standard normal density, stretched to σ = 2 around 3.
    #[test]
    fn published() {
        let table = [(0.0, 0.398942280401433), (1.0, 0.241970724519143), (2.0, 0.053990966513188)];
        check!(Published)
            .bound(2e-14, "Abramowitz, Stegun 1964, table 26.1: 15 decimals, of which the last is rounded")
            .cases(table, |(z, want)| {
                let got = 2.0 * gaussian::density(3.0 - 2.0 * z, 3.0, 4.0).unwrap();
                distance_of_numbers(got, want, 1e-300)
            });
    }

    #[test]
    fn wrong_variant_std_for_variance() {
        check!(Quadrature).bound(1e-12, "as above").rejects(
            "the standard deviation where the variance belongs",
            gaussian(),
            |case| moments_are_right(case, |x, m, v| gaussian::density(x, m, v.sqrt()).unwrap()),
        );
    }

    #[test]
    fn wrong_variant_normaliser() {
        check!(Quadrature).bound(1e-12, "as above").rejects(
            "divided by the variance times 2 pi, without the root",
            gaussian(),
            |case| moments_are_right(case, |x, m, v| (-0.5 * (x - m).powi(2) / v).exp() / (TAU * v)),
        );
    }

    fn moments_are_right((mean, variance): Gaussian, density: impl Fn(f64, f64, f64) -> f64) -> f64 {
        let (mass, got_mean, got_variance) = moments(support_of(&[(mean, variance)]), |x| density(x, mean, variance));
        larger(distance_of_gaussians((got_mean, got_variance), (mean, variance)), (mass - 1.0).abs())
    }

    /// Far out it is 0, and at the extremes of variance it is neither NaN nor infinite.
    #[test]
    fn extremes() {
        assert_eq!(gaussian::density(1e200, 0.0, 1.0).unwrap(), 0.0);
        assert_eq!(gaussian::density(0.0, 0.0, 1e308).unwrap(), 1.0 / (TAU.sqrt() * 1e154));
        assert!(gaussian::density(1e-150, 0.0, 1e-300).unwrap() > 1e149);
    }

    #[test]
    fn bad_input() {
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::density(0.0, 0.0, variance), "variance"));
        }
    }
}

mod log_density {
    use super::*;

    /// The dimensions are independent: the density is the product of scalar densities.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-14, "exponents are rounded by 1e-16 of themselves, a few times; logarithms of 1 in units of 1")
            .property(close_pair(), |case| product_of_scalars(case, |x, m, v| gaussian::log_density(x, m, v).unwrap()));
    }

    /// Its slope is the score (μ − x)/σ².
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(
                1e-11,
                "differences of a parabola are exact; ln p is rounded by 1e-16, 1e-13 of the scale, a few times",
            )
            .property(pair(), |([x, mean], variance)| {
                let slope = derivative(0.0, variance.sqrt(), |h| {
                    let mut moved = x.clone();
                    moved[0] += h;
                    gaussian::log_density(&moved, &mean, variance).unwrap()
                });
                let normaliser = x.len() as f64 * (TAU * variance).ln().abs();
                let size = gaussian::log_density(&x, &mean, variance).unwrap().abs() + normaliser + 1.0;
                distance_of_numbers(slope, (mean[0] - x[0]) / variance, 1e-3 * size / variance.sqrt())
            });
    }

    #[test]
    fn wrong_variant_normaliser() {
        check!(Identity).bound(2e-14, "as above").rejects(
            "the normaliser counted once for all dimensions",
            close_pair(),
            |case| product_of_scalars(case, |x, m, v| -0.5 * ((x - m).pow2().sum() / v + (TAU * v).ln())),
        );
    }

    #[test]
    fn wrong_variant_mean() {
        check!(Identity).bound(2e-14, "as above").rejects(
            "a mean over the dimensions, not a sum",
            close_pair(),
            |case| product_of_scalars(case, |x, m, v| gaussian::log_density(x, m, v).unwrap() / x.len() as f64),
        );
    }

    /// As [`pair`], but no scalar density is so small that it would not be a number.
    fn close_pair() -> impl Strategy<Value = ([Array1<f64>; 2], f64)> {
        (arrays(), variance(1e-3, 1e3)).prop_map(|([z, mean], variance)| {
            let x = &mean + z.mapv(|z| z.clamp(-30.0, 30.0)) * variance.sqrt();
            ([x, mean], variance)
        })
    }

    fn product_of_scalars(
        ([x, mean], variance): ([Array1<f64>; 2], f64),
        log_density: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, f64) -> f64,
    ) -> f64 {
        let logs = x.iter().zip(&mean).map(|(&x, &m)| gaussian::density(x, m, variance).unwrap().ln());
        distance_of_numbers(log_density(&x, &mean, variance), logs.clone().sum(), logs.map(|log| 1.0 + log.abs()).sum())
    }

    /// Any number of dimensions, zero among them.
    #[test]
    fn shapes() {
        let (one, two) = (array![[0.5], [-0.5]], array![0.5, -0.5]);
        let of_one = gaussian::log_density(&one, &one.mapv(|_| 0.0), 2.0).unwrap();
        assert_eq!(of_one, gaussian::log_density(&two, &array![0.0, 0.0], 2.0).unwrap());
        let nothing = Array1::zeros(0);
        assert_eq!(gaussian::log_density(&nothing, &nothing, 2.0).unwrap(), 0.0);
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let log_density = |[x, m]: [&Array1<f64>; 2], step: Step| gaussian::log_density(x, m, step.beta).unwrap();
        let magnitude = |[x, m]: [&Array1<f64>; 2], step: Step| {
            let normaliser = x.len() as f64 * (TAU * step.beta).ln().abs();
            ((x - m).mapv(|z| z * z).sum() / step.beta + normaliser + 1.0) / 2.0
        };
        twin::agrees_by_sample(check!(Torch), twin::batch(), log_density, magnitude, |[x, m], steps| {
            diffusion::log_density(x, m, &steps.beta).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        let x = array![1.0, 2.0];
        let error = gaussian::log_density(&x, &array![1.0], 1.0).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "mean", expected: vec![2], got: vec![1] });
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::log_density(&x, &x, variance), "variance"));
        }
    }
}

mod reparameterise {
    use super::*;

    /// From x and μ the noise comes back.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(2e-11, "μ up to 1e3 is rounded by 1e-13, over σ ≥ 0.03: 4e-12, a few times").property(
            pair(),
            |([mean, eps], variance)| {
                let x = gaussian::reparameterise(&mean, variance, &eps).unwrap();
                distance(&((x - &mean) / variance.sqrt()), &eps, 1.0)
            },
        );
    }

    /// The draws have the mean and the variance asked for.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            moments_of_draws(rng, |mean, variance, eps| gaussian::reparameterise(mean, variance, eps).unwrap())
        });
    }

    /// Without variance there is no noise.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "0 · ε is 0").property(arrays(), |[mean, eps]| {
            distance(&gaussian::reparameterise(&mean, 0.0, &eps).unwrap(), &mean, 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("the variance as the standard deviation", |rng| {
            moments_of_draws(rng, |mean, variance, eps| eps * variance + mean)
        });
    }

    fn moments_of_draws(
        rng: &mut ChaCha8Rng,
        draw: impl Fn(&ArrayRef1<f64>, f64, &ArrayRef1<f64>) -> Array1<f64>,
    ) -> Vec<f64> {
        let mut scores = Vec::new();
        for (mean, variance) in [(0.0, 0.01), (-3.0, 2.0), (7.0, 100.0)] {
            let x = draw(&Array1::from_elem(100_000, mean), variance, &noise(100_000, rng));
            scores.push(z_score(&x.to_vec(), mean));
            scores.push(z_score(&x.mapv(|x| (x - mean).powi(2)).to_vec(), variance));
        }
        scores
    }

    #[test]
    fn bad_input() {
        let mean = array![1.0, 2.0];
        let error = gaussian::reparameterise(&mean, 1.0, &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "eps", expected: vec![2], got: vec![1] });
        for variance in NO_VARIANCE {
            assert!(is_out_of_range(gaussian::reparameterise(&mean, variance, &mean), "variance"));
        }
    }
}

fn noise(count: usize, rng: &mut ChaCha8Rng) -> Array1<f64> {
    Array1::random_using(count, StandardNormal, rng)
}

/// Both estimators of a gradient are tried on f = sin, where all is known: E sin(μ + σε) = e^{−σ²/2} sin μ.
mod gradients_of_sine {
    use super::*;

    /// ∂/∂μ and ∂/∂σ of e^{−σ²/2} sin μ.
    pub fn exact((mean, variance): Gaussian) -> [f64; 2] {
        let shrunk = (-0.5 * variance).exp();
        [shrunk * mean.cos(), -variance.sqrt() * shrunk * mean.sin()]
    }

    /// The expectation over ε of what an estimator makes of a fine grid of ε.
    pub fn on_a_grid(estimator: impl Fn(&ArrayRef1<f64>) -> gaussian::PerDraw<Ix1>) -> [f64; 2] {
        let eps = Array1::linspace(-12.0, 12.0, 2401);
        let weights = eps.mapv(|eps: f64| 0.01 * (-0.5 * eps * eps).exp() / TAU.sqrt());
        let (by_mu, by_sigma) = estimator(&eps);
        [(by_mu * &weights).sum(), (by_sigma * &weights).sum()]
    }

    /// z-scores of the mean of the estimates, and of their variance.
    pub fn scores(estimates: &Array1<f64>, exact: f64, variance: f64) -> [f64; 2] {
        let squares = estimates.mapv(|g| (g - exact).powi(2));
        [z_score(&estimates.to_vec(), exact), z_score(&squares.to_vec(), variance)]
    }

    pub fn worst_distance(got: [f64; 2], want: [f64; 2]) -> f64 {
        distance(&aview1(&got), &aview1(&want), 1.0)
    }
}

mod pathwise_gradient {
    use super::gradients_of_sine::{exact, on_a_grid, scores, worst_distance};
    use super::*;

    /// On sin, integrated over ε, it is the derivative of the closed form.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-14, "2401 terms of sum 1, each rounded a few times").property(gaussian(), |case| {
            let estimator = |eps: &ArrayRef1<f64>| gaussian::pathwise_gradient(&slope(case, eps), eps).unwrap();
            worst_distance(on_a_grid(estimator), exact(case))
        });
    }

    /// On ln(1 + eˣ), which has no closed form, it is the difference of E f for two μ or σ close by.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(2e-10, "E f up to 20 is the sum of 1000 terms, off by up to 1e-14, over h = 1e-3, a few times")
            .property(gaussian(), |(mean, variance)| {
                let expectation = |mean: f64, sigma: f64| -> f64 {
                    integral(-12.0, 12.0, 1000, |eps: f64| {
                        (mean + sigma * eps).exp().ln_1p() * (-0.5 * eps * eps).exp() / TAU.sqrt()
                    })
                };
                let sigma = variance.sqrt();
                let by_mu = derivative(mean, 1e-3, |mean| expectation(mean, sigma));
                let by_sigma = derivative(sigma, 1e-3, |sigma| expectation(mean, sigma));
                let estimator = |eps: &ArrayRef1<f64>| {
                    let slope = eps.mapv(|eps| 1.0 / (1.0 + (-(mean + sigma * eps)).exp()));
                    gaussian::pathwise_gradient(&slope, eps).unwrap()
                };
                worst_distance(on_a_grid(estimator), [by_mu, by_sigma])
            });
    }

    /// The mean of the draws, and their variance too.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let case = (1.0, 0.25);
            let eps = noise(200_000, rng);
            let (by_mu, by_sigma) = gaussian::pathwise_gradient(&slope(case, &eps), &eps).unwrap();
            let (exact, variances) = (exact(case), variances(case));
            [scores(&by_mu, exact[0], variances[0]), scores(&by_sigma, exact[1], variances[1])].concat()
        });
    }

    /// As σ shrinks, its variance by μ vanishes like σ² f″(μ)², where that of the score-function estimator grows like
    /// f(μ)²/σ².
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "the next terms of either variance are below 8σ² of the first").cases(
            [1e-1, 1e-2, 1e-3],
            |sigma: f64| {
                let case = (1.0, sigma * sigma);
                let [by_mu, _] = exact(case);
                let variance = |estimator: &dyn Fn(&ArrayRef1<f64>) -> gaussian::PerDraw<Ix1>| {
                    let squares = |eps: &ArrayRef1<f64>| {
                        let (of_mu, of_sigma) = estimator(eps);
                        (of_mu.mapv(|g| (g - by_mu).powi(2)), of_sigma)
                    };
                    on_a_grid(squares)[0]
                };
                let pathwise = variance(&|eps| gaussian::pathwise_gradient(&slope(case, eps), eps).unwrap());
                let score_function = variance(&|eps| {
                    let value = eps.mapv(|eps| (1.0 + sigma * eps).sin());
                    gaussian::score_function_gradient(&value, case.1, eps).unwrap()
                });
                let square = 1.0_f64.sin().powi(2); // of f(1), and of f″(1) as well
                let errors = [pathwise / (square * case.1) - 1.0, score_function * case.1 / square - 1.0];
                errors.map(f64::abs).into_iter().fold(0.0, crate::support::larger) / (8.0 * case.1)
            },
        );
    }

    #[test]
    fn wrong_variant_slope_at_the_mean() {
        check!(Quadrature).bound(2e-14, "as above").rejects(
            "the slope at the mean, not at the draw",
            gaussian(),
            |case| {
                let estimator = |eps: &ArrayRef1<f64>| {
                    gaussian::pathwise_gradient(&Array1::from_elem(eps.len(), case.0.cos()), eps).unwrap()
                };
                worst_distance(on_a_grid(estimator), exact(case))
            },
        );
    }

    #[test]
    fn wrong_variant_by_variance() {
        check!(Quadrature).bound(2e-14, "as above").rejects(
            "the derivative by the variance for that by the standard deviation",
            gaussian(),
            |case| {
                let estimator = |eps: &ArrayRef1<f64>| {
                    let slope = slope(case, eps);
                    let by_variance = eps * &*slope / (2.0 * case.1.sqrt());
                    (slope, by_variance)
                };
                worst_distance(on_a_grid(estimator), exact(case))
            },
        );
    }

    fn slope((mean, variance): Gaussian, eps: &ArrayRef1<f64>) -> Array1<f64> {
        eps.mapv(|eps| (mean + variance.sqrt() * eps).cos())
    }

    /// From cos² x = ½ (1 + cos 2x), E cos 2x = e^{−2σ²} cos 2μ and E[ε² cos 2x] = (1 − 4σ²) e^{−2σ²} cos 2μ.
    fn variances((mean, variance): Gaussian) -> [f64; 2] {
        let double = (-2.0 * variance).exp() * (2.0 * mean).cos();
        let [by_mu, by_sigma] = exact((mean, variance));
        let of_by_mu = 0.5 * (1.0 + double) - by_mu * by_mu;
        [of_by_mu, 0.5 * (1.0 + (1.0 - 4.0 * variance) * double) - by_sigma * by_sigma]
    }

    #[test]
    fn bad_input() {
        let error = gaussian::pathwise_gradient(&array![1.0, 2.0], &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "eps", expected: vec![2], got: vec![1] });
    }
}

mod score_function_gradient {
    use super::gradients_of_sine::{exact, on_a_grid, scores, worst_distance};
    use super::*;

    /// On sin, integrated over ε, it is the derivative of the closed form.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, "2401 terms of sum 1/σ ≤ 5, each rounded a few times").property(
            shifted(),
            |(case, shift)| {
                let estimator = |eps: &ArrayRef1<f64>| {
                    gaussian::score_function_gradient(&(value(case, eps) + shift), case.1, eps).unwrap()
                };
                worst_distance(on_a_grid(estimator), exact(case))
            },
        );
    }

    /// The mean of the draws, and the variance of those by μ.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let case = (1.0, 0.25);
            let eps = noise(200_000, rng);
            let (by_mu, by_sigma) = gaussian::score_function_gradient(&value(case, &eps), case.1, &eps).unwrap();
            let exact = exact(case);
            let [mean, variance] = scores(&by_mu, exact[0], variance_by_mu(case));
            vec![mean, variance, z_score(&by_sigma.to_vec(), exact[1])]
        });
    }

    #[test]
    fn wrong_variant_without_minus_one() {
        check!(Quadrature).bound(1e-13, "as above").rejects(
            "eps squared without the minus one",
            shifted(),
            |(case, shift)| {
                let sigma = case.1.sqrt();
                let estimator = |eps: &ArrayRef1<f64>| {
                    let value = value(case, eps) + shift;
                    (eps * &*value / sigma, eps * eps * value / sigma)
                };
                worst_distance(on_a_grid(estimator), exact(case))
            },
        );
    }

    #[test]
    fn wrong_variant_variance() {
        check!(Quadrature).bound(1e-13, "as above").rejects(
            "divided by the variance, not by the standard deviation",
            shifted(),
            |(case, shift)| {
                let estimator = |eps: &ArrayRef1<f64>| {
                    let value = value(case, eps) + shift;
                    gaussian::score_function_gradient(&value, case.1 * case.1, eps).unwrap()
                };
                worst_distance(on_a_grid(estimator), exact(case))
            },
        );
    }

    /// A constant added to f changes no gradient.
    fn shifted() -> impl Strategy<Value = (Gaussian, f64)> {
        (gaussian(), -1.0..1.0)
    }

    fn value((mean, variance): Gaussian, eps: &ArrayRef1<f64>) -> Array1<f64> {
        eps.mapv(|eps| (mean + variance.sqrt() * eps).sin())
    }

    /// From sin² x = ½ (1 − cos 2x) and E[ε² cos 2x] = (1 − 4σ²) e^{−2σ²} cos 2μ; of the part by μ.
    fn variance_by_mu((mean, variance): Gaussian) -> f64 {
        let double = (-2.0 * variance).exp() * (2.0 * mean).cos();
        0.5 * (1.0 - (1.0 - 4.0 * variance) * double) / variance - exact((mean, variance))[0].powi(2)
    }

    #[test]
    fn bad_input() {
        let value = array![1.0, 2.0];
        let error = gaussian::score_function_gradient(&value, 1.0, &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "eps", expected: vec![2], got: vec![1] });
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::score_function_gradient(&value, variance, &value), "variance"));
        }
    }
}

mod affine {
    use super::*;

    /// The change of variables: N(x; μ, σ²) = |a| · N(a·x + b; a·μ + b, a²σ²).
    #[test]
    fn identity() {
        check!(Identity)
            .bound(5e-12, "a·x + b is rounded by 4e-15, where the logarithm has a slope of up to 200")
            .property(case(), |case| change_of_variables(case, |g, a, b| gaussian::affine(g, a, b).unwrap()));
    }

    /// The mean and variance of a·x + b, integrated.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "4000 terms, each rounded a few times").property(case(), |(g, a, b, _)| {
            let mean = |f: &dyn Fn(f64) -> f64| {
                let (from, to) = support_of(&[g]);
                integral(from, to, 4000, |x| f(x) * gaussian::density(x, g.0, g.1).unwrap())
            };
            let first = mean(&|x| a * x + b);
            let second = mean(&|x| (a * x + b - first).powi(2));
            let got = gaussian::affine(g, a, b).unwrap();
            distance_of_numbers(got.0, first, 1.0).max(distance_of_numbers(got.1, second, 1e-6))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(5e-12, "as above").rejects("the variance times a, not a squared", case(), |case| {
            change_of_variables(case, |(m, v), a, b| (a * m + b, a.abs() * v))
        });
    }

    /// A Gaussian, a, b and a point, in standard deviations.
    fn case() -> impl Strategy<Value = (Gaussian, f64, f64, f64)> {
        (gaussian(), prop_oneof![-3.0..-0.1, 0.1..3.0], -3.0..3.0, -4.0..4.0)
    }

    fn change_of_variables(
        ((mean, variance), a, b, z): (Gaussian, f64, f64, f64),
        affine: impl Fn(Gaussian, f64, f64) -> Gaussian,
    ) -> f64 {
        let x = mean + z * variance.sqrt();
        let (new_mean, new_variance) = affine((mean, variance), a, b);
        let before = gaussian::density(x, mean, variance).unwrap();
        let after = gaussian::density(a * x + b, new_mean, new_variance).unwrap() * a.abs();
        distance_of_numbers(after, before, 1e-300)
    }

    #[test]
    fn bad_input() {
        assert_eq!(gaussian::affine((2.0, 0.0), 3.0, 1.0).unwrap(), (7.0, 0.0));
        for variance in NO_VARIANCE {
            assert!(is_out_of_range(gaussian::affine((0.0, variance), 1.0, 0.0), "variance"));
        }
    }
}

mod sum_of_gaussians {
    use super::*;

    /// The density of a sum is the convolution of the densities.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "4000 terms; the point is rounded by 2e-15, where the logarithm has a slope of up to 20")
            .property(case(), |case| convolution(case, |a, b| gaussian::sum_of_gaussians(a, b).unwrap()));
    }

    /// The mean and variance of drawn sums.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let (a, b) = ((1.0, 9.0), (-2.0, 16.0));
            let sums = noise(100_000, rng) * 3.0 + 1.0 + noise(100_000, rng) * 4.0 - 2.0;
            let (mean, variance) = gaussian::sum_of_gaussians(a, b).unwrap();
            vec![z_score(&sums.to_vec(), mean), z_score(&sums.mapv(|x| (x - mean).powi(2)).to_vec(), variance)]
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-12, "as above").rejects(
            "standard deviations added, not variances",
            case(),
            |case| convolution(case, |a, b| (a.0 + b.0, (a.1.sqrt() + b.1.sqrt()).powi(2))),
        );
    }

    /// Two Gaussians and a point, in standard deviations of the sum.
    fn case() -> impl Strategy<Value = (Gaussian, Gaussian, f64)> {
        (gaussian(), gaussian(), -4.0..4.0)
    }

    fn convolution((a, b, z): (Gaussian, Gaussian, f64), sum: impl Fn(Gaussian, Gaussian) -> Gaussian) -> f64 {
        let at = a.0 + b.0 + z * (a.1 + b.1).sqrt();
        let (from, to) = support_of(&[a]);
        let convolved = integral(from, to, 4000, |x| {
            gaussian::density(x, a.0, a.1).unwrap() * gaussian::density(at - x, b.0, b.1).unwrap()
        });
        let (mean, variance) = sum(a, b);
        distance_of_numbers(gaussian::density(at, mean, variance).unwrap(), convolved, 1e-300)
    }

    #[test]
    fn bad_input() {
        for variance in NO_VARIANCE {
            let (good, bad) = ((0.0, 0.0), (0.0, variance));
            assert!(is_out_of_range(gaussian::sum_of_gaussians(bad, good), "variance_1"));
            assert!(is_out_of_range(gaussian::sum_of_gaussians(good, bad), "variance_2"));
        }
    }
}

mod complete_square {
    use super::*;

    /// Both sides of the formula at a point.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-14, "10 roundings, of the largest term")
            .property(case(), |case| both_sides(case, |a, b| gaussian::complete_square(a, b).unwrap()));
    }

    /// ∫ exp(−½ a x² + b x) dx = √(2πσ²) eᶜ, with its mean and variance.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "4000 terms with exponents up to 250, rounded by 3e-14").property(
            case(),
            |(a, b, _)| {
                let (mean, variance, constant) = gaussian::complete_square(a, b).unwrap();
                let found = moments(support_of(&[(mean, variance)]), |x| (-0.5 * a * x * x + b * x).exp());
                distance_of_numbers(found.0, (TAU * variance).sqrt() * constant.exp(), 1e-300)
                    .max(distance_of_gaussians((mean, variance), (found.1, found.2)))
            },
        );
    }

    #[test]
    fn wrong_variant_precision() {
        check!(Identity).bound(2e-14, "as above").rejects("the precision as the variance", case(), |case| {
            both_sides(case, |a, b| (b / a, a, b * b / (2.0 * a)))
        });
    }

    #[test]
    fn wrong_variant_constant() {
        check!(Identity).bound(2e-14, "as above").rejects("the constant without its half", case(), |case| {
            both_sides(case, |a, b| (b / a, 1.0 / a, b * b / a))
        });
    }

    /// a, b and a point.
    fn case() -> impl Strategy<Value = (f64, f64, f64)> {
        (variance(0.05, 20.0), -5.0..5.0, -10.0..10.0)
    }

    fn both_sides((a, b, x): (f64, f64, f64), complete: impl Fn(f64, f64) -> (f64, f64, f64)) -> f64 {
        let (mean, variance, constant) = complete(a, b);
        let completed = -0.5 * (x - mean).powi(2) / variance + constant;
        distance_of_numbers(completed, -0.5 * a * x * x + b * x, 0.5 * a * x * x + (b * x).abs() + constant)
    }

    #[test]
    fn bad_input() {
        for a in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::complete_square(a, 1.0), "a"));
        }
    }
}

mod product_of_gaussians {
    use super::*;

    /// Add the exponents −½ x²/σ² + x μ/σ² and complete the square.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-14, "10 roundings, where means of opposite sign may cancel")
            .property((gaussian(), gaussian()), |case| {
                square_completed(case, |a, b| gaussian::product_of_gaussians(a, b).unwrap())
            });
    }

    /// The mean and variance of the product, integrated.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "4000 terms with exponents up to 500, rounded by 2e-14").property(
            (gaussian(), gaussian()),
            |(a, b)| {
                let (_, mean, variance) = moments(support_of(&[a, b]), |x| {
                    gaussian::density(x, a.0, a.1).unwrap() * gaussian::density(x, b.0, b.1).unwrap()
                });
                distance_of_gaussians(gaussian::product_of_gaussians(a, b).unwrap(), (mean, variance))
            },
        );
    }

    /// A Gaussian that knows nothing (infinite variance) leaves the other one as it is.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-12, "means a few units apart, weighted by at most 20/1e15").property(
            (gaussian(), -5.0..5.0),
            |(known, mean)| {
                let left = gaussian::product_of_gaussians(known, (mean, 1e15)).unwrap();
                let right = gaussian::product_of_gaussians((mean, 1e15), known).unwrap();
                distance_of_gaussians(left, known).max(distance_of_gaussians(right, known))
            },
        );
        let huge = gaussian::product_of_gaussians((1.0, f64::MAX), (3.0, f64::MAX)).unwrap();
        assert_eq!(huge, (2.0, 0.5 * f64::MAX));
        for far_wider in [
            gaussian::product_of_gaussians((1.0, 1e-200), (3.0, 1e200)),
            gaussian::product_of_gaussians((3.0, 1e200), (1.0, 1e-200)),
        ] {
            assert_eq!(far_wider.unwrap(), (1.0, 1e-200));
        }
    }

    #[test]
    fn wrong_variant_inverse() {
        check!(Identity).bound(2e-14, "as above").rejects(
            "the sum of the precisions not inverted",
            (gaussian(), gaussian()),
            |case| {
                square_completed(case, |a, b| {
                    let precision = 1.0 / a.1 + 1.0 / b.1;
                    ((a.0 / a.1 + b.0 / b.1) / precision, precision)
                })
            },
        );
    }

    #[test]
    fn wrong_variant_weights() {
        check!(Identity).bound(2e-14, "as above").rejects(
            "each mean weighted by its own variance",
            (gaussian(), gaussian()),
            |case| {
                square_completed(case, |a, b| {
                    let sum = a.1 + b.1;
                    ((a.0 * a.1 + b.0 * b.1) / sum, a.1 * b.1 / sum)
                })
            },
        );
    }

    fn square_completed((a, b): (Gaussian, Gaussian), product: impl Fn(Gaussian, Gaussian) -> Gaussian) -> f64 {
        let (mean, variance, _) = gaussian::complete_square(1.0 / a.1 + 1.0 / b.1, a.0 / a.1 + b.0 / b.1).unwrap();
        let got = product(a, b);
        distance_of_numbers(got.0, mean, 1.0).max(distance_of_numbers(got.1, variance, 1e-300))
    }

    #[test]
    fn bad_input() {
        for variance in NO_POSITIVE_VARIANCE {
            let (good, bad) = ((0.0, 1.0), (0.0, variance));
            assert!(is_out_of_range(gaussian::product_of_gaussians(bad, good), "variance_1"));
            assert!(is_out_of_range(gaussian::product_of_gaussians(good, bad), "variance_2"));
        }
    }
}

mod log_product_normaliser {
    use super::*;

    /// The product of the densities, integrated.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-13, "4000 terms with exponents up to 500, rounded by 1e-13")
            .property((gaussian(), gaussian()), |case| {
                mass_of_product(case, |a, b| gaussian::log_product_normaliser(a, b).unwrap())
            });
    }

    /// At any one point: ln N_1 + ln N_2 − ln N.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-13, "logarithms up to 1e3, rounded a few times, of which little may be left")
            .property((gaussian(), gaussian(), -10.0..10.0), |(a, b, x)| {
                let log = |(mean, variance): Gaussian| -> f64 {
                    -0.5 * ((x - mean) * (x - mean) / variance + (2.0 * PI * variance).ln())
                };
                let product = log(gaussian::product_of_gaussians(a, b).unwrap());
                let size = log(a).abs() + log(b).abs() + product.abs();
                let got = gaussian::log_product_normaliser(a, b).unwrap();
                distance_of_numbers(got, log(a) + log(b) - product, size)
            });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-13, "as above").rejects(
            "the variance of the product for the sum of the variances",
            (gaussian(), gaussian()),
            |case| {
                mass_of_product(case, |a, b| {
                    let variance = 1.0 / (1.0 / a.1 + 1.0 / b.1);
                    -0.5 * ((a.0 - b.0).powi(2) / variance + (TAU * variance).ln())
                })
            },
        );
    }

    fn mass_of_product((a, b): (Gaussian, Gaussian), log_normaliser: impl Fn(Gaussian, Gaussian) -> f64) -> f64 {
        let (from, to) = support_of(&[a, b]);
        let mass = integral(from, to, 4000, |x| {
            gaussian::density(x, a.0, a.1).unwrap() * gaussian::density(x, b.0, b.1).unwrap()
        });
        distance_of_numbers(log_normaliser(a, b), mass.ln(), 1.0)
    }

    #[test]
    fn bad_input() {
        for variance in NO_POSITIVE_VARIANCE {
            let (good, bad) = ((0.0, 1.0), (0.0, variance));
            assert!(is_out_of_range(gaussian::log_product_normaliser(bad, good), "variance_1"));
            assert!(is_out_of_range(gaussian::log_product_normaliser(good, bad), "variance_2"));
        }
    }
}

mod condition_gaussian {
    use super::*;

    /// Bayes on a grid: prior times likelihood, divided by its integral.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "4000 terms with exponents up to 500, rounded by 2e-14")
            .property(case(), |case| bayes(case, |g, a, s, y| gaussian::condition_gaussian(g, a, s, y).unwrap()));
    }

    /// As a function of x the likelihood N(y; a·x, s) is proportional to N(x; y/a, s/a²).
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, "10 roundings, where means of opposite sign may cancel").property(
            case(),
            |(prior, a, noise, y)| {
                let got = gaussian::condition_gaussian(prior, a, noise, y).unwrap();
                let want = gaussian::product_of_gaussians(prior, (y / a, noise / (a * a))).unwrap();
                distance_of_numbers(got.0, want.0, 1.0).max(distance_of_numbers(got.1, want.1, 1e-300))
            },
        );
    }

    /// Where y says nothing of x, the prior stays.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "a = 0").property((gaussian(), variance(0.05, 20.0), -5.0..5.0), |(prior, s, y)| {
            distance_of_gaussians(gaussian::condition_gaussian(prior, 0.0, s, y).unwrap(), prior)
        });
    }

    #[test]
    fn wrong_variant_square() {
        check!(Quadrature).bound(1e-12, "as above").rejects("a for a squared in the precision", case(), |case| {
            bayes(case, |(m, v), a, s, y| {
                let variance = 1.0 / (1.0 / v + a.abs() / s);
                (variance * (m / v + a * y / s), variance)
            })
        });
    }

    #[test]
    fn wrong_variant_scale_of_y() {
        check!(Quadrature).bound(1e-12, "as above").rejects("y not multiplied by a", case(), |case| {
            bayes(case, |(m, v), a, s, y| {
                let variance = 1.0 / (1.0 / v + a * a / s);
                (variance * (m / v + y / s), variance)
            })
        });
    }

    /// The prior, a, the variance of the noise and y.
    fn case() -> impl Strategy<Value = (Gaussian, f64, f64, f64)> {
        (gaussian(), prop_oneof![-2.0..-0.3, 0.3..2.0], variance(0.05, 20.0), -5.0..5.0)
    }

    fn bayes(
        (prior, a, noise, y): (Gaussian, f64, f64, f64),
        condition: impl Fn(Gaussian, f64, f64, f64) -> Gaussian,
    ) -> f64 {
        let wide = support_of(&[prior, (y / a, noise / (a * a))]);
        let (_, mean, variance) = moments(wide, |x| {
            gaussian::density(x, prior.0, prior.1).unwrap() * gaussian::density(y, a * x, noise).unwrap()
        });
        distance_of_gaussians(condition(prior, a, noise, y), (mean, variance))
    }

    #[test]
    fn bad_input() {
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::condition_gaussian((0.0, variance), 1.0, 1.0, 0.0), "variance"));
            assert!(is_out_of_range(gaussian::condition_gaussian((0.0, 1.0), 1.0, variance, 0.0), "noise_variance"));
        }
        for a in [1e160, f64::INFINITY, f64::NAN] {
            assert!(is_out_of_range(gaussian::condition_gaussian((0.0, 1.0), a, 1.0, 1.0), "the variance of y"));
        }
    }
}

mod kl_scalar {
    use super::*;

    /// ∫ q ln(q/p).
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "4000 terms of logarithms up to 1e4, most of them multiplied by nothing, in units of KL + 1")
            .property((gaussian(), gaussian()), |case| integrated(case, kl));
    }

    /// For equal means and σ_q²/σ_p² = 1 + u it is u²/4 − u³/6 + u⁴/8 − …, with all its digits.
    #[test]
    fn limit() {
        let u = [1e-12, -1e-12, 1e-9, -3e-8, 1e-6, -1e-5, 1e-4, -3e-4, 1e-3, -1e-3];
        check!(Limit).bound(1e-14, "6 terms: the next is below 1e-18 of the first; 20 roundings").cases(u, |u: f64| {
            let variance_q = 1.0 + u;
            let u = variance_q - 1.0; // what is left of u in 1 + u
            let series: f64 = (2..8).map(|k| (-u).powi(k) / f64::from(k)).sum();
            distance_of_numbers(kl((0.5, variance_q), (0.5, 1.0)), 0.5 * series, 1e-300)
        });
    }

    /// The formula as it stands, from ratios where it loses digits to ratios that are no numbers any more.
    #[test]
    fn identity() {
        let far = |from: f64, to: f64| (from..to, any::<bool>()).prop_map(|(ln, up)| if up { ln } else { -ln });
        let log_ratio = prop_oneof![far(0.05, 0.5), far(0.5, 30.0), far(30.0, 650.0)];
        check!(Identity).bound(1e-12, "0.001 is left of logarithms up to 3, which are rounded by 4e-16").property(
            (log_ratio, variance(0.1, 10.0), -2.0..2.0),
            |(log_ratio, variance_p, z): (f64, f64, f64)| {
                let variance_q = variance_p * log_ratio.exp();
                let mean_p = 0.5;
                let mean_q = mean_p + z * variance_p.sqrt();
                let z = (mean_q - mean_p) / variance_p.sqrt();
                let ratio = variance_q / variance_p;
                let want = 0.5 * (ratio - 1.0 - (variance_q.ln() - variance_p.ln()) + z * z);
                distance_of_numbers(kl((mean_q, variance_q), (mean_p, variance_p)), want, 1e-300)
            },
        );
        let tiny = kl((0.0, 1e-300), (0.0, 1e300));
        assert!(distance_of_numbers(tiny, 0.5 * (600.0 * 10.0_f64.ln() - 1.0), 1.0) < 1e-15, "{tiny}");
    }

    #[test]
    fn wrong_variant_swapped() {
        rejects("the arguments swapped", |q, p| kl(p, q));
    }

    #[test]
    fn wrong_variant_half() {
        rejects("without the half", |q, p| 2.0 * kl(q, p));
    }

    #[test]
    fn wrong_variant_std_for_variance() {
        rejects("the standard deviation where the variance belongs", |q, p| kl((q.0, q.1.sqrt()), (p.0, p.1.sqrt())));
    }

    #[test]
    fn wrong_variant_log_of_std() {
        rejects("the logarithm of the standard deviations where that of the variances belongs", |q, p| {
            0.5 * (q.1 / p.1 - 1.0 - 0.5 * (q.1 / p.1).ln() + (q.0 - p.0).powi(2) / p.1)
        });
    }

    #[test]
    fn wrong_variant_minus_one() {
        rejects("without the minus one", |q, p| kl(q, p) + 0.5);
    }

    fn rejects(mistake: &str, wrong: impl Fn(Gaussian, Gaussian) -> f64) {
        check!(Quadrature)
            .bound(1e-12, "as above")
            .rejects(mistake, (gaussian(), gaussian()), |case| integrated(case, &wrong));
    }

    fn kl(q: Gaussian, p: Gaussian) -> f64 {
        gaussian::kl_scalar(q.0, q.1, p.0, p.1).unwrap()
    }

    fn integrated((q, p): (Gaussian, Gaussian), kl: impl Fn(Gaussian, Gaussian) -> f64) -> f64 {
        let log = |x: f64, (mean, variance): Gaussian| -0.5 * ((x - mean).powi(2) / variance + (TAU * variance).ln());
        let (from, to) = support_of(&[q]);
        let want = integral(from, to, 4000, |x| log(x, q).exp() * (log(x, q) - log(x, p)));
        distance_of_numbers(kl(q, p), want, 1.0)
    }

    #[test]
    fn bad_input() {
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::kl_scalar(0.0, variance, 0.0, 1.0), "variance_q"));
            assert!(is_out_of_range(gaussian::kl_scalar(0.0, 1.0, 0.0, variance), "variance_p"));
        }
    }
}

mod kl_isotropic {
    use super::*;

    type Case = ([Array1<f64>; 2], f64, f64);

    /// The dimensions are independent: the divergences of the scalar Gaussians add up.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-14, "6 positive terms, each rounded a few times")
            .property(case(), |case| sum_of_scalars(case, |q, v, p, w| gaussian::kl_isotropic(q, v, p, w).unwrap()));
    }

    /// The mean of ln q − ln p over draws from q.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let (mean_q, mean_p) = (array![0.5, -1.0, 0.0], array![0.0, 0.0, 1.0]);
            let mut scores = Vec::new();
            for (variance_q, variance_p) in [(0.5, 2.0), (2.0, 1.5)] {
                let draw = |_| {
                    let x = gaussian::reparameterise(&mean_q, variance_q, &noise(3, rng)).unwrap();
                    gaussian::log_density(&x, &mean_q, variance_q).unwrap()
                        - gaussian::log_density(&x, &mean_p, variance_p).unwrap()
                };
                let log_ratios: Vec<f64> = (0..100_000).map(draw).collect();
                let kl = gaussian::kl_isotropic(&mean_q, variance_q, &mean_p, variance_p).unwrap();
                scores.push(z_score(&log_ratios, kl));
            }
            scores
        });
    }

    #[test]
    fn wrong_variant_mean() {
        check!(Identity).bound(1e-14, "as above").rejects("a mean over the dimensions, not a sum", case(), |case| {
            let dimensions = case.0[0].len() as f64;
            sum_of_scalars(case, |q, v, p, w| gaussian::kl_isotropic(q, v, p, w).unwrap() / dimensions)
        });
    }

    #[test]
    fn wrong_variant_dimensions() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "the term of the variances counted once for all dimensions",
            case(),
            |case| {
                sum_of_scalars(case, |q, v, p, w| {
                    0.5 * (v / w - 1.0 - (v / w).ln()
                        + Zip::from(q).and(p).fold(0.0, |s, q, p| s + (q - p).powi(2)) / w)
                })
            },
        );
    }

    fn case() -> impl Strategy<Value = Case> {
        (arrays(), variance(1e-3, 1e3), variance(1e-3, 1e3))
    }

    fn sum_of_scalars(
        ([mean_q, mean_p], variance_q, variance_p): Case,
        kl: impl Fn(&ArrayRef1<f64>, f64, &ArrayRef1<f64>, f64) -> f64,
    ) -> f64 {
        let scalars = mean_q.iter().zip(&mean_p);
        let want = scalars.map(|(&q, &p)| gaussian::kl_scalar(q, variance_q, p, variance_p).unwrap()).sum();
        distance_of_numbers(kl(&mean_q, variance_q, &mean_p, variance_p), want, 1e-300)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let variance_p = 0.3;
        let kl = |[q, p]: [&Array1<f64>; 2], step: Step| gaussian::kl_isotropic(q, step.beta, p, variance_p).unwrap();
        let magnitude = |[q, p]: [&Array1<f64>; 2], step: Step| {
            let ratio = step.beta / variance_p;
            let of_variances = q.len() as f64 * (ratio + 1.0 + ratio.ln().abs());
            ((q - p).mapv(|z| z * z).sum() / variance_p + of_variances) / 2.0
        };
        twin::agrees_by_sample(check!(Torch), twin::batch(), kl, magnitude, |[q, p], steps| {
            diffusion::kl_isotropic(q, &steps.beta, p, &steps.beta.full_like(variance_p)).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        let mean = array![1.0, 2.0];
        let error = gaussian::kl_isotropic(&mean, 1.0, &array![1.0], 1.0).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "mean_p", expected: vec![2], got: vec![1] });
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::kl_isotropic(&mean, variance, &mean, 1.0), "variance_q"));
            assert!(is_out_of_range(gaussian::kl_isotropic(&mean, 1.0, &mean, variance), "variance_p"));
        }
        let nothing = Array1::zeros(0);
        assert_eq!(gaussian::kl_isotropic(&nothing, 1.0, &nothing, 2.0).unwrap(), 0.0);
    }
}

mod entropy {
    use super::*;

    /// −∫ p ln p, once for each dimension.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "4000 terms, in units of the number of dimensions")
            .property(case(), |case| integrated(case, |variance, d| gaussian::entropy(variance, d).unwrap()));
    }

    /// dH/dσ² = d/(2σ²).
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(
                2e-11,
                "with h = σ²/1000 the differences are off by 8e-13, and H up to 15 is rounded by 2e-15, over h",
            )
            .property(case(), |(variance, d)| {
                let h = 1e-3 * variance;
                let slope = derivative(variance, h, |variance| gaussian::entropy(variance, d).unwrap());
                distance_of_numbers(slope, d as f64 / (2.0 * variance), 1e-300)
            });
    }

    #[test]
    fn wrong_variant_e() {
        check!(Quadrature).bound(1e-12, "as above").rejects("without the e", case(), |case| {
            integrated(case, |variance, d| gaussian::entropy(variance, d).unwrap() - 0.5 * d as f64 * E.ln())
        });
    }

    #[test]
    fn wrong_variant_std_for_variance() {
        check!(Quadrature).bound(1e-12, "as above").rejects(
            "the standard deviation where the variance belongs",
            case(),
            |case| integrated(case, |variance, d| gaussian::entropy(variance.sqrt(), d).unwrap()),
        );
    }

    fn case() -> impl Strategy<Value = (f64, usize)> {
        (variance(0.05, 20.0), 1..=5_usize)
    }

    fn integrated((variance, d): (f64, usize), entropy: impl Fn(f64, usize) -> f64) -> f64 {
        let (from, to) = support_of(&[(0.0, variance)]);
        let of_one = integral(from, to, 4000, |x| {
            let p = gaussian::density(x, 0.0, variance).unwrap();
            -p * p.ln()
        });
        distance_of_numbers(entropy(variance, d), d as f64 * of_one, d as f64)
    }

    #[test]
    fn bad_input() {
        assert_eq!(gaussian::entropy(2.0, 0).unwrap(), 0.0);
        for variance in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::entropy(variance, 1), "variance"));
        }
    }
}

mod jensen_gap {
    use super::*;

    /// The two sides of the inequality, subtracted.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-14, "two logarithms of up to 3, rounded a few times, in units of 1")
            .property(case(), |case| two_sides(case, |w, v| gaussian::jensen_gap(w, v).unwrap()));
    }

    /// For v = eˣ with x from N(μ, σ²), ln E[v] − E[ln v] = (μ + σ²/2) − μ.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "4001 terms, each rounded a few times").property(
            gaussian(),
            |(mean, variance)| {
                let sigma = variance.sqrt();
                let x = Array1::linspace(mean - 12.0 * sigma, mean + 17.0 * sigma, 4001);
                let weights = x.mapv(|x| gaussian::density(x, mean, variance).unwrap());
                distance_of_numbers(gaussian::jensen_gap(&weights, &x.exp()).unwrap(), 0.5 * variance, 1e-300)
            },
        );
    }

    /// For values m(1 + s z) close together it is Var[v]/(2m²), up to a share of s.
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "the next terms, −s E[z³]/3 and less, are below s/2 of it").property(
            (prop::collection::vec(-0.5..0.5, 3..6), (1e-7_f64.ln()..1e-2_f64.ln()).prop_map(f64::exp)),
            |(z, spread): (Vec<f64>, f64)| {
                let z = Array1::from(z);
                let values = z.mapv(|z| 7.0 * (1.0 + spread * z));
                // Subtract 7 before anything is squared: this is exact.
                let away = values.mapv(|v| (v - 7.0) / 7.0);
                let mean = away.mean().unwrap();
                let variance = away.mapv(|a| (a - mean).powi(2)).mean().unwrap();
                let gap = gaussian::jensen_gap(&Array1::ones(z.len()), &values).unwrap();
                (gap / (0.5 * variance) - 1.0).abs() / (3.0 * spread)
            },
        );
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Identity).bound(2e-14, "as above").rejects("the inequality the other way round", case(), |case| {
            two_sides(case, |w, v| -gaussian::jensen_gap(w, v).unwrap())
        });
    }

    #[test]
    fn wrong_variant_weights() {
        check!(Identity).bound(2e-14, "as above").rejects("the weights not divided by their sum", case(), |case| {
            two_sides(case, |w, v| (w * v).sum().ln() - (w * &*v.ln()).sum())
        });
    }

    fn case() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
        prop::collection::vec((0.01..1.0, variance(0.05, 20.0)), 1..8).prop_map(|pairs| {
            let (weights, values): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            (weights.into(), values.into())
        })
    }

    fn two_sides(
        (weights, values): (Array1<f64>, Array1<f64>),
        gap: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>) -> f64,
    ) -> f64 {
        let probabilities = &weights / weights.sum();
        let want = (&probabilities * &values).sum().ln() - (&probabilities * &values.ln()).sum();
        distance_of_numbers(gap(&weights, &values), want, 1.0)
    }

    /// One value, or equal ones: no gap at all.
    #[test]
    fn bad_input() {
        let one = array![1.0, 1.0];
        assert_eq!(gaussian::jensen_gap(&array![0.0, 2.0], &array![5.0, 3.0]).unwrap(), 0.0);
        let error = gaussian::jensen_gap(&array![1.0], &one).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "weights", expected: vec![2], got: vec![1] });
        let nothing = Array1::zeros(0);
        assert_eq!(gaussian::jensen_gap(&nothing, &nothing).unwrap_err(), Error::Empty { name: "values" });
        for bad in NO_VARIANCE {
            assert!(is_out_of_range(gaussian::jensen_gap(&array![1.0, bad], &one), "weights"));
        }
        for bad in NO_POSITIVE_VARIANCE {
            assert!(is_out_of_range(gaussian::jensen_gap(&one, &array![1.0, bad]), "values"));
        }
        assert!(is_out_of_range(gaussian::jensen_gap(&array![0.0, 0.0], &one), "the sum of the weights"));
    }
}
