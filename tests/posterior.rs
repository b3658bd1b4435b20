//! Checks of chapter 5, the posterior: one module an equation, named by its slug.

mod support;

use literate_diffusion::posterior::VarianceAtOne;
#[cfg(feature = "torch")]
use literate_diffusion::torch::diffusion;
use literate_diffusion::{Error, Schedule, Step, forward, gaussian, posterior};
use ndarray::{Array1, ArrayRef1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{arrays, schedule, step, step_after_first};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, derivative, distance, distance_of_numbers, integral, z_score};

/// (mean, variance).
type Gaussian = (f64, f64);

/// Three states of one path, at t ≥ 2, with all noise within 4 standard deviations.
#[derive(Debug, Clone, Copy)]
struct Path {
    step: Step,
    x0: f64,
    x_prev: f64,
    xt: f64,
}

fn path() -> impl Strategy<Value = Path> {
    (step_after_first(50), -4.0..4.0, -4.0..4.0, -4.0..4.0).prop_map(|(step, x0, eps_prev, eps)| {
        let x_prev = step.alpha_bar_prev.sqrt() * x0 + step.one_minus_alpha_bar_prev.sqrt() * eps_prev;
        Path { step, x0, x_prev, xt: step.alpha.sqrt() * x_prev + step.beta.sqrt() * eps }
    })
}

/// The mean and variance of q(x_{t−1} | x_t, x_0) as the conditioned Gaussian of chapter 2.
fn conditioned(path: Path) -> Gaussian {
    let step = path.step;
    let prior = (step.alpha_bar_prev.sqrt() * path.x0, step.one_minus_alpha_bar_prev);
    gaussian::condition_gaussian(prior, step.alpha.sqrt(), step.beta, path.xt).unwrap()
}

/// The mean and variance of q(x_t | x_{t−1}) · q(x_{t−1} | x_0), integrated over x_{t−1}.
///
/// The product is narrower than either factor and at most 6 standard deviations of the narrower factor from its mean.
fn integrated(path: Path) -> Gaussian {
    let step = path.step;
    let prior = (step.alpha_bar_prev.sqrt() * path.x0, step.one_minus_alpha_bar_prev);
    let likelihood = (path.xt / step.alpha.sqrt(), step.beta / step.alpha);
    let narrower = if prior.1 < likelihood.1 { prior } else { likelihood };
    moments(narrower, |x| {
        gaussian::density(x, prior.0, prior.1).unwrap()
            * gaussian::density(path.xt, step.alpha.sqrt() * x, step.beta).unwrap()
    })
}

/// Mean and variance of an f that need not integrate to 1 and is next to 0 twenty standard deviations from `around`.
fn moments(around: Gaussian, f: impl Fn(f64) -> f64) -> Gaussian {
    let sigma = around.1.sqrt();
    let over = |f: &dyn Fn(f64) -> f64| integral(-20.0, 20.0, 2000, |z| f(around.0 + sigma * z));
    let mass = over(&f);
    // Take the mean of the distance from the middle, which loses no digits where σ is small.
    let shift = over(&|x| (x - around.0) * f(x)) / mass;
    (around.0 + shift, over(&|x| (x - around.0 - shift).powi(2) * f(x)) / mass)
}

fn two_steps() -> Schedule {
    Schedule::from_betas(&[0.5, 0.25]).unwrap()
}

fn noise(count: usize, rng: &mut ChaCha8Rng) -> Array1<f64> {
    Array1::random_using(count, StandardNormal, rng)
}

fn shape_mismatch(name: &'static str) -> Error {
    Error::ShapeMismatch { name, expected: vec![2], got: vec![1] }
}

mod log_posterior_by_bayes {
    use super::*;

    /// The square completed: it is the Gaussian of mean μ̃ and variance β̃.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(5e-11, "x up to 20 is rounded by 4e-15, which is 4e-12 of √β ≥ 1e-3, with slopes of up to 10")
            .property(path(), |path| completed(path, log_posterior));
    }

    /// As a density of x_{t−1} it integrates to 1.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(5e-11, "as for identity, over 2000 terms")
            .property(path(), |path| mass(path, log_posterior));
    }

    /// In several dimensions it is the sum over them.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-13, "the same roundings, added in another order").property(
            (step_after_first(50), arrays()),
            |(step, [x_prev, x0, xt])| {
                let together = posterior::log_posterior_by_bayes(&x_prev, &x0, &xt, step).unwrap();
                let each = (0..x0.len()).map(|i| log_posterior(x_prev[i], x0[i], xt[i], step));
                let size = (0..x0.len()).map(|i| sizes(x_prev[i], x0[i], xt[i], step)).sum();
                distance_of_numbers(together, each.sum(), size)
            },
        );
    }

    #[test]
    fn wrong_variant_off_by_one() {
        rejects("alpha_bar of t where that of t - 1 belongs", |x_prev, x0, xt, step| {
            log(xt, step.alpha.sqrt() * x_prev, step.beta)
                + log(x_prev, step.alpha_bar.sqrt() * x0, step.one_minus_alpha_bar)
                - log(xt, step.alpha_bar.sqrt() * x0, step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_evidence() {
        rejects("not divided by q(x_t | x_0)", |x_prev, x0, xt, step| {
            log_posterior(x_prev, x0, xt, step) + log(xt, step.alpha_bar.sqrt() * x0, step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_markov() {
        check!(Identity).bound(5e-11, "as above").rejects("x_t given x_0 where given x_t-1 belongs", path(), |path| {
            completed(path, |x_prev, x0, _, step| {
                log(x_prev, step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev)
            })
        });
    }

    fn rejects(mistake: &str, wrong: impl Fn(f64, f64, f64, Step) -> f64) {
        check!(Quadrature).bound(5e-11, "as above").rejects(mistake, path(), |path| mass(path, &wrong));
    }

    fn log(x: f64, mean: f64, variance: f64) -> f64 {
        gaussian::log_density(&array![x], &array![mean], variance).unwrap()
    }

    fn log_posterior(x_prev: f64, x0: f64, xt: f64, step: Step) -> f64 {
        posterior::log_posterior_by_bayes(&array![x_prev], &array![x0], &array![xt], step).unwrap()
    }

    fn sizes(x_prev: f64, x0: f64, xt: f64, step: Step) -> f64 {
        log(xt, step.alpha.sqrt() * x_prev, step.beta).abs()
            + log(x_prev, step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev).abs()
            + log(xt, step.alpha_bar.sqrt() * x0, step.one_minus_alpha_bar).abs()
    }

    fn completed(path: Path, log_posterior: impl Fn(f64, f64, f64, Step) -> f64) -> f64 {
        let (x0, xt) = (array![path.x0], array![path.xt]);
        let mean = posterior::posterior_mean(&x0, &xt, path.step).unwrap();
        let variance = posterior::posterior_variance(path.step);
        let want = log(path.x_prev, mean[0], variance);
        distance_of_numbers(log_posterior(path.x_prev, path.x0, path.xt, path.step), want, 1.0)
    }

    fn mass(path: Path, log_posterior: impl Fn(f64, f64, f64, Step) -> f64) -> f64 {
        let (mean, variance) = conditioned(path);
        let sigma = variance.sqrt();
        let density = |z: f64| sigma * log_posterior(mean + sigma * z, path.x0, path.xt, path.step).exp();
        distance_of_numbers(integral(-12.0, 12.0, 2000, density), 1.0, 1.0)
    }

    #[test]
    fn bad_input() {
        let (one, two) = (array![1.0], array![1.0, 2.0]);
        let [first, second] = [1, 2].map(|t| two_steps().step(t).unwrap());
        let bayes = |x_prev, x0, xt, step| posterior::log_posterior_by_bayes(x_prev, x0, xt, step).unwrap_err();
        assert_eq!(bayes(&two, &one, &two, second), shape_mismatch("x0"));
        assert_eq!(bayes(&two, &two, &one, second), shape_mismatch("xt"));
        assert_eq!(bayes(&one, &one, &one, first), Error::PointMass { t: 1 });
    }
}

mod posterior_precision {
    use super::*;

    /// One over the variance of the conditioned Gaussian.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-14, "10 roundings")
            .property(path(), |path| conditioned_precision(path, posterior::posterior_precision));
    }

    /// The curvature of the logarithm of the density, −d²/dx_{t−1}².
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(5e-11, "differences of a parabola are exact; logarithms are off by 4e-12, a few times over")
            .property(path(), |path| {
                let [x_prev, x0, xt] = [path.x_prev, path.x0, path.xt];
                let h = conditioned(path).1.sqrt();
                let log_density = |x_prev: f64| {
                    posterior::log_posterior_by_bayes(&array![x_prev], &array![x0], &array![xt], path.step).unwrap()
                };
                let slope = |x_prev| derivative(x_prev, h, log_density);
                distance_of_numbers(posterior::posterior_precision(path.step), -derivative(x_prev, h, slope), 1e-300)
            });
    }

    /// At t = 1 x_{t−1} is known without doubt. Where β_T = 1, x_T says nothing.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "1/0 and 0/1").cases([0.1, 0.5, 1.0], |beta| {
            let first = Schedule::from_betas(&[beta]).unwrap().last();
            let last = Schedule::from_betas(&[0.5, 1.0]).unwrap().last();
            let known = if posterior::posterior_precision(first) == f64::INFINITY { 0.0 } else { 1.0 };
            distance_of_numbers(posterior::posterior_precision(last), 2.0, 1.0) + known
        });
    }

    #[test]
    fn wrong_variant_inverse() {
        check!(Identity).bound(1e-14, "as above").rejects("the sum inverted term by term", path(), |path| {
            conditioned_precision(path, |s| 1.0 / (s.beta / s.alpha + s.one_minus_alpha_bar_prev))
        });
    }

    #[test]
    fn wrong_variant_off_by_one() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "alpha_bar of t where that of t - 1 belongs",
            path(),
            |path| conditioned_precision(path, |s| s.alpha / s.beta + 1.0 / s.one_minus_alpha_bar),
        );
    }

    fn conditioned_precision(path: Path, precision: impl Fn(Step) -> f64) -> f64 {
        distance_of_numbers(precision(path.step), 1.0 / conditioned(path).1, 1e-300)
    }
}

mod posterior_variance {
    use super::*;

    /// One over the precision.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property(step(50), |step| {
            let got = posterior::posterior_variance(step);
            distance_of_numbers(got, 1.0 / posterior::posterior_precision(step), 1e-300)
        });
    }

    /// Bayes on a grid.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-11, "x up to 20 is rounded by 4e-15, which is 4e-12 of √β ≥ 1e-3; 2000 terms")
            .property(path(), |path| by_bayes(path, posterior::posterior_variance));
    }

    #[test]
    fn wrong_variant_beta() {
        rejects("beta for beta tilde", |step| step.beta);
    }

    #[test]
    fn wrong_variant_inverse() {
        rejects("the fraction upside down", |step| {
            step.one_minus_alpha_bar / step.one_minus_alpha_bar_prev * step.beta
        });
    }

    #[test]
    fn wrong_variant_log_variance() {
        rejects("the log-variance for the variance", |step| posterior::posterior_variance(step).ln());
    }

    fn rejects(mistake: &str, wrong: impl Fn(Step) -> f64) {
        check!(Quadrature).bound(1e-11, "as above").rejects(mistake, path(), |path| by_bayes(path, &wrong));
    }

    fn by_bayes(path: Path, variance: impl Fn(Step) -> f64) -> f64 {
        distance_of_numbers(variance(path.step), integrated(path).1, 1e-300)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let variance = posterior::posterior_variance;
        twin::agrees_by_step(check!(Torch), variance, variance, |steps| steps.beta_tilde.copy());
    }
}

mod posterior_mean {
    use super::*;

    /// The mean of the conditioned Gaussian.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property(path(), |path| {
            let got = posterior::posterior_mean(&array![path.x0], &array![path.xt], path.step).unwrap();
            distance_of_numbers(got[0], conditioned(path).0, 1.0)
        });
    }

    /// Bayes on a grid.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "10 roundings of terms up to 20; 2000 terms")
            .property(path(), |path| by_bayes(path, |x0, xt, s| posterior::posterior_mean(x0, xt, s).unwrap()));
    }

    /// What x_t and x_0 leave open of x_{t−1} has the variance β̃ and nothing to do with either.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo)
            .z_scores(|rng| residuals(rng, |x0, xt, step| posterior::posterior_mean(x0, xt, step).unwrap()));
    }

    /// At t = 1 it is x_0, whatever x_1. Where β_T = 1, x_T says nothing.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "β_1/β_1 is 1, 0 · x is 0, and √0.25 is exact").property(
            (schedule(50), arrays()),
            |(schedule, [x0, xt])| {
                let first = posterior::posterior_mean(&x0, &xt, schedule.steps()[0]).unwrap();
                let last = Schedule::from_betas(&[0.75, 1.0]).unwrap().last();
                let blind = posterior::posterior_mean(&x0, &xt, last).unwrap();
                distance(&first, &x0, 1e-300).max(distance(&blind, &(&x0 * 0.5), 1e-300))
            },
        );
    }

    #[test]
    fn wrong_variant_alpha_bar() {
        rejects("the root of alpha_bar where that of alpha belongs", |x0, xt, s| {
            let of_xt = s.alpha_bar.sqrt() * s.one_minus_alpha_bar_prev / s.one_minus_alpha_bar;
            x0 * (s.alpha_bar_prev.sqrt() * s.beta / s.one_minus_alpha_bar) + xt * of_xt
        });
    }

    #[test]
    fn wrong_variant_off_by_one() {
        rejects("alpha_bar of t where that of t - 1 belongs", |x0, xt, s| {
            let of_x0 = s.alpha_bar.sqrt() * s.beta / s.one_minus_alpha_bar;
            x0 * of_x0 + xt * (s.alpha.sqrt() * s.one_minus_alpha_bar_prev / s.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_swapped() {
        rejects("x_0 and x_t swapped", |x0, xt, s| posterior::posterior_mean(xt, x0, s).unwrap());
    }

    #[test]
    fn wrong_variant_by_draws() {
        check!(MonteCarlo).rejects_z_scores("x_t only rescaled", |rng| residuals(rng, |_, xt, s| xt / s.alpha.sqrt()));
    }

    fn rejects(mistake: &str, wrong: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, Step) -> Array1<f64>) {
        check!(Quadrature).bound(1e-12, "as above").rejects(mistake, path(), |path| by_bayes(path, &wrong));
    }

    fn by_bayes(path: Path, mean: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, Step) -> Array1<f64>) -> f64 {
        distance_of_numbers(mean(&array![path.x0], &array![path.xt], path.step)[0], integrated(path).0, 1.0)
    }

    fn residuals(
        rng: &mut ChaCha8Rng,
        mean: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, Step) -> Array1<f64>,
    ) -> Vec<f64> {
        let schedule = Schedule::linear(4, 0.1, 0.6).unwrap();
        let x0 = noise(100_000, rng) * 0.5 + 1.0;
        let eps: Vec<_> = (0..4).map(|_| noise(100_000, rng)).collect();
        let states = forward::q_chain(&x0, &schedule, &eps).unwrap();
        let mut scores = Vec::new();
        for &step in &schedule.steps()[1..] {
            let residual = &states[step.t - 1] - mean(&x0, &states[step.t], step);
            scores.push(z_score(&residual.to_vec(), 0.0));
            scores.push(z_score(&(&residual * &x0).to_vec(), 0.0));
            scores.push(z_score(&(&residual * &states[step.t]).to_vec(), 0.0));
            scores.push(z_score(&(&residual * &residual).to_vec(), posterior::posterior_variance(step)));
        }
        scores
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, xt], step| posterior::posterior_mean(x0, xt, step),
            |[x0, xt], steps| diffusion::posterior_mean(x0, xt, steps),
        );
    }

    #[test]
    fn bad_input() {
        let error = posterior::posterior_mean(&array![1.0, 2.0], &array![1.0], two_steps().last()).unwrap_err();
        assert_eq!(error, shape_mismatch("xt"));
    }
}

mod posterior_mean_from_eps {
    use super::*;

    /// With the ε that led from x_0 to x_t it is the mean from x_0 and x_t, at t = 1 too.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property(case(), |case| {
            from_x0_and_xt(case, |xt, s, eps| posterior::posterior_mean_from_eps(xt, s, eps).unwrap())
        });
    }

    /// What ε and x_t leave open of x_{t−1} has the variance β̃ and nothing to do with ε.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo)
            .z_scores(|rng| residuals(rng, |xt, step, eps| posterior::posterior_mean_from_eps(xt, step, eps).unwrap()));
    }

    #[test]
    fn wrong_variant_alpha_bar() {
        rejects("the root of alpha_bar where that of alpha belongs", |xt, s, eps| {
            (eps * (-s.beta / s.one_minus_alpha_bar.sqrt()) + xt) / s.alpha_bar.sqrt()
        });
    }

    #[test]
    fn wrong_variant_root() {
        rejects("1 - alpha_bar without the root", |xt, s, eps| {
            (eps * (-s.beta / s.one_minus_alpha_bar) + xt) / s.alpha.sqrt()
        });
    }

    #[test]
    fn wrong_variant_forward() {
        rejects("the forward formula used as a sampler", |xt, s, eps| forward::q_step(xt, s, eps).unwrap());
    }

    #[test]
    fn wrong_variant_by_draws() {
        check!(MonteCarlo).rejects_z_scores("the root of beta for beta", |rng| {
            residuals(rng, |xt, s, eps| (eps * (-s.beta.sqrt() / s.one_minus_alpha_bar.sqrt()) + xt) / s.alpha.sqrt())
        });
    }

    type Case = (Step, [Array1<f64>; 2]);

    fn case() -> impl Strategy<Value = Case> {
        (step(50), arrays())
    }

    fn rejects(mistake: &str, wrong: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Array1<f64>) {
        check!(Identity).bound(1e-14, "as above").rejects(mistake, case(), |case| from_x0_and_xt(case, &wrong));
    }

    /// In units of x_t/√α_t, of which the rest is subtracted.
    fn from_x0_and_xt(
        (step, [x0, eps]): Case,
        mean: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Array1<f64>,
    ) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let size = x0.iter().chain(&eps).fold(1.0, |most: f64, x| most.max(x.abs())) / step.alpha.sqrt();
        distance(&mean(&xt, step, &eps), &posterior::posterior_mean(&x0, &xt, step).unwrap(), size)
    }

    fn residuals(
        rng: &mut ChaCha8Rng,
        mean: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Array1<f64>,
    ) -> Vec<f64> {
        let schedule = Schedule::linear(4, 0.1, 0.6).unwrap();
        let mut scores = Vec::new();
        for pair in schedule.steps().windows(2) {
            let (before, step) = (pair[0], pair[1]);
            let x0 = Array1::from_elem(100_000, 1.5);
            let x_prev = forward::q_sample(&x0, before, &noise(100_000, rng)).unwrap();
            let xt = forward::q_step(&x_prev, step, &noise(100_000, rng)).unwrap();
            let eps = (&xt - &x0 * step.alpha_bar.sqrt()) / step.one_minus_alpha_bar.sqrt();
            let residual = x_prev - mean(&xt, step, &eps);
            scores.push(z_score(&residual.to_vec(), 0.0));
            scores.push(z_score(&(&residual * &eps).to_vec(), 0.0));
            scores.push(z_score(&(&residual * &residual).to_vec(), posterior::posterior_variance(step)));
        }
        scores
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, eps], step| posterior::posterior_mean_from_eps(xt, step, eps),
            |[xt, eps], steps| diffusion::mean_from_eps(xt, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        let (one, two) = (array![1.0], array![1.0, 2.0]);
        let error = posterior::posterior_mean_from_eps(&two, two_steps().last(), &one).unwrap_err();
        assert_eq!(error, shape_mismatch("eps"));
        let blind = Schedule::from_betas(&[0.5, 1.0]).unwrap().last();
        let error = posterior::posterior_mean_from_eps(&one, blind, &one).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
        // The formula divides by √α_t alone: ᾱ_t may be too small for a number.
        let underflow = Schedule::from_betas(&[0.9999; 100]).unwrap().last();
        assert!(underflow.alpha_bar == 0.0);
        assert!(posterior::posterior_mean_from_eps(&one, underflow, &one).unwrap()[0].is_finite());
    }
}

mod posterior_log_variance {
    use super::*;

    /// For t ≥ 2 it is minus the logarithm of the precision, whatever is chosen for t = 1.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property(case(), |case| {
            minus_log_precision(case, |s, t, at_one| posterior::posterior_log_variance(s, t, at_one).unwrap())
        });
    }

    /// The variance that Bayes gives on a grid.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-11, "variances by 2000 terms, with √β ≥ 1e-3 as for posterior_variance").property(
            (case(), -4.0..4.0, -4.0..4.0),
            |((schedule, t, at_one), x0, xt)| {
                let step = schedule.step(t).unwrap();
                // The variance does not depend on x_0 and x_t, but the grid has to hold both factors.
                let xt = step.alpha_bar.sqrt() * x0 + step.one_minus_alpha_bar.sqrt() * xt;
                let want = integrated(Path { step, x0, x_prev: f64::NAN, xt }).1.ln();
                let got = posterior::posterior_log_variance(&schedule, t, at_one).unwrap();
                distance_of_numbers(got, want, 1.0)
            },
        );
    }

    /// At t = 1, where β̃_1 = 0 has no logarithm, it is what was chosen.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "10 roundings").property(
            schedule(50).prop_filter("needs two steps", |s| s.timesteps() >= 2),
            |schedule| {
                let at = |t, at_one| posterior::posterior_log_variance(&schedule, t, at_one).unwrap();
                let [first, second] = [1, 2].map(|t| schedule.step(t).unwrap());
                // 1/β̃_2 with ᾱ_1 = 1 − β_1, by hand
                let precision = (1.0 - second.beta) / second.beta + 1.0 / first.beta;
                let of_beta_1 = distance_of_numbers(at(1, VarianceAtOne::Beta1), first.beta.ln(), 1.0);
                let of_beta_tilde_2 = distance_of_numbers(at(1, VarianceAtOne::BetaTilde2), -precision.ln(), 1.0);
                of_beta_1.max(of_beta_tilde_2)
            },
        );
    }

    #[test]
    fn wrong_variant_variance() {
        rejects("the variance for the log-variance", |s, t, at_one| {
            posterior::posterior_log_variance(s, t, at_one).unwrap().exp()
        });
    }

    #[test]
    fn wrong_variant_beta() {
        rejects("beta for beta tilde", |s, t, _| s.step(t).unwrap().beta.ln());
    }

    #[test]
    fn wrong_variant_std() {
        rejects("the logarithm of the standard deviation", |s, t, at_one| {
            0.5 * posterior::posterior_log_variance(s, t, at_one).unwrap()
        });
    }

    type Case = (Schedule, usize, VarianceAtOne);

    fn case() -> impl Strategy<Value = Case> {
        let at_one = prop_oneof![Just(VarianceAtOne::Beta1), Just(VarianceAtOne::BetaTilde2)];
        (schedule(50).prop_filter("needs two steps", |s| s.timesteps() >= 2), any::<prop::sample::Index>(), at_one)
            .prop_map(|(schedule, index, at_one)| {
                let t = 2 + index.index(schedule.timesteps() - 1);
                (schedule, t, at_one)
            })
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Schedule, usize, VarianceAtOne) -> f64) {
        check!(Identity).bound(1e-14, "as above").rejects(mistake, case(), |case| minus_log_precision(case, &wrong));
    }

    fn minus_log_precision(
        (schedule, t, at_one): Case,
        log_variance: impl Fn(&Schedule, usize, VarianceAtOne) -> f64,
    ) -> f64 {
        let want = -posterior::posterior_precision(schedule.step(t).unwrap()).ln();
        distance_of_numbers(log_variance(&schedule, t, at_one), want, 1.0)
    }

    #[test]
    fn bad_input() {
        let log_variance = |betas: &[f64], t, at_one| {
            posterior::posterior_log_variance(&Schedule::from_betas(betas).unwrap(), t, at_one)
        };
        for (t, at_one) in [(0, VarianceAtOne::Beta1), (3, VarianceAtOne::BetaTilde2)] {
            let error = log_variance(&[0.5, 0.5], t, at_one).unwrap_err();
            assert_eq!(error, Error::StepOutOfRange { t, timesteps: 2 });
        }
        let no_second = log_variance(&[0.5], 1, VarianceAtOne::BetaTilde2).unwrap_err();
        assert_eq!(no_second, Error::StepOutOfRange { t: 2, timesteps: 1 });
        assert_eq!(log_variance(&[0.5], 1, VarianceAtOne::Beta1).unwrap(), 0.5_f64.ln());
    }
}

/// A few points, a step at t ≥ 2 with 1 − ᾱ_{t−1} and β of at least 0.01, and an x_t.
fn atoms_and_step() -> impl Strategy<Value = (Array1<f64>, f64, Step)> {
    let step = (0.01..0.9, 0.01..0.9).prop_map(|(a, b)| Schedule::from_betas(&[a, b]).unwrap().last());
    (prop::collection::vec(-2.0..2.0, 1..5).prop_map(Array1::from), -2.0..2.0, step)
}

/// The density of x_{t−1} or x_t: one Gaussian an atom, with the share of signal and the variance given.
fn marginal(x: f64, atoms: &Array1<f64>, alpha_bar: f64, variance: f64) -> f64 {
    atoms.mapv(|atom| gaussian::density(x, alpha_bar.sqrt() * atom, variance).unwrap()).mean().unwrap()
}

mod atom_weights {
    use super::*;

    /// Bayes' rule: each weight is the likelihood of its atom over the density of x_t.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "exponents up to 400 are rounded by 5e-14, a few times over")
            .property(atoms_and_step(), |case| {
                by_bayes(case, |atoms, xt, step| posterior::atom_weights(atoms, xt, step).unwrap())
            });
    }

    /// Of the x_t near any one place, the share that came from an atom is its weight.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let (atoms, step) = (array![-1.0, 0.5, 1.0], two_steps().last());
            let x0 = Array1::from_shape_fn(30_000, |i| atoms[i % 3]);
            let xt = forward::q_sample(&x0, step, &noise(30_000, rng)).unwrap();
            let mut scores = Vec::new();
            for (i, &atom) in atoms.iter().enumerate() {
                let surprise = Array1::from_shape_fn(30_000, |k| {
                    f64::from(u8::from(x0[k] == atom)) - posterior::atom_weights(&atoms, xt[k], step).unwrap()[i]
                });
                scores.push(z_score(&surprise.to_vec(), 0.0));
                scores.push(z_score(&(&surprise * &xt).to_vec(), 0.0));
            }
            scores
        });
    }

    /// Where nothing of x_0 is left all weigh the same; far away from all of them the nearest weighs everything.
    #[test]
    fn limit() {
        let atoms = array![-1.0, 0.0, 2.0, 2.5];
        let blind = Schedule::from_betas(&[0.5, 1.0]).unwrap().last();
        check!(Limit).bound(1e-20, "the second nearest weighs e⁻⁴⁸ or less").cases([1e2, 1e4, 1e8], |far| {
            let equal = posterior::atom_weights(&atoms, far, blind).unwrap();
            let right = posterior::atom_weights(&atoms, far, two_steps().last()).unwrap();
            let left = posterior::atom_weights(&atoms, -far, two_steps().last()).unwrap();
            distance(&equal, &Array1::from_elem(4, 0.25), 1.0)
                .max(distance(&right, &array![0.0, 0.0, 0.0, 1.0], 1.0))
                .max(distance(&left, &array![1.0, 0.0, 0.0, 0.0], 1.0))
        });
    }

    #[test]
    fn wrong_variant_std() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "the standard deviation where the variance belongs",
            atoms_and_step(),
            |case| {
                by_bayes(case, |atoms, xt, step| {
                    let std = step.one_minus_alpha_bar.sqrt();
                    posterior::atom_weights(atoms, xt, Step { one_minus_alpha_bar: std, ..step }).unwrap()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_unshrunk() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "x_t compared with x_0 that is not shrunk",
            atoms_and_step(),
            |case| {
                by_bayes(case, |atoms, xt, step| {
                    posterior::atom_weights(atoms, xt, Step { alpha_bar: 1.0, ..step }).unwrap()
                })
            },
        );
    }

    fn by_bayes(
        (atoms, xt, step): (Array1<f64>, f64, Step),
        weights: impl Fn(&ArrayRef1<f64>, f64, Step) -> Array1<f64>,
    ) -> f64 {
        let likelihood = |atom| gaussian::density(xt, step.alpha_bar.sqrt() * atom, step.one_minus_alpha_bar).unwrap();
        let evidence = atoms.len() as f64 * marginal(xt, &atoms, step.alpha_bar, step.one_minus_alpha_bar);
        distance(&weights(&atoms, xt, step), &(atoms.mapv(likelihood) / evidence), 1e-6)
    }

    #[test]
    fn bad_input() {
        let error = posterior::atom_weights(&Array1::zeros(0), 0.0, two_steps().last()).unwrap_err();
        assert_eq!(error, Error::Empty { name: "atoms" });
        assert_eq!(posterior::atom_weights(&array![3.0], 0.0, two_steps().step(1).unwrap()).unwrap(), array![1.0]);
    }
}

mod reverse_density {
    use super::*;

    /// Bayes' rule without x_0: q(x_t | x_{t−1}) q(x_{t−1}) / q(x_t), with the two marginals in closed form.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "exponents up to 400 are rounded by 5e-14, a few times over")
            .property((atoms_and_step(), -3.0..3.0), |case| by_bayes(case, reverse));
    }

    /// The same with an integral below: q(x_t) = ∫ q(x_t | x_{t−1}) q(x_{t−1}) dx_{t−1}.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "as above, and 2000 terms").property(
            (atoms_and_step(), -3.0..3.0),
            |((atoms, xt, step), x_prev)| {
                let joint = |x_prev: f64| {
                    gaussian::density(xt, step.alpha.sqrt() * x_prev, step.beta).unwrap()
                        * marginal(x_prev, &atoms, step.alpha_bar_prev, step.one_minus_alpha_bar_prev)
                };
                let want = joint(x_prev) / integral(-14.0, 14.0, 2000, joint);
                distance_of_numbers(reverse(x_prev, &atoms, xt, step), want, 1e-6)
            },
        );
    }

    /// A single atom is a known x_0.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(1e-10, "x up to 20 is rounded by 4e-15, 4e-12 of √β̃ ≥ 1e-3, with slopes of up to 10")
            .property(path(), |path| {
                let got = reverse(path.x_prev, &array![path.x0], path.xt, path.step);
                let [x_prev, x0, xt] = [path.x_prev, path.x0, path.xt].map(|x| array![x]);
                let log_want = posterior::log_posterior_by_bayes(&x_prev, &x0, &xt, path.step).unwrap();
                distance_of_numbers(got, log_want.exp(), 1e-300)
            });
    }

    #[test]
    fn wrong_variant_weights() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "the atoms weighted as before x_t was seen",
            (atoms_and_step(), -3.0..3.0),
            |case| {
                by_bayes(case, |x_prev, atoms, xt, step| {
                    atoms.mapv(|atom| reverse(x_prev, &array![atom], xt, step)).mean().unwrap()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_gaussian() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "one Gaussian, however large beta is",
            (atoms_and_step(), -3.0..3.0),
            |case| {
                by_bayes(case, |x_prev, atoms, xt, step| {
                    let (mean, variance) = posterior::reverse_moments(atoms, xt, step).unwrap();
                    gaussian::density(x_prev, mean, variance).unwrap()
                })
            },
        );
    }

    fn reverse(x_prev: f64, atoms: &ArrayRef1<f64>, xt: f64, step: Step) -> f64 {
        posterior::reverse_density(x_prev, atoms, xt, step).unwrap()
    }

    fn by_bayes(
        ((atoms, xt, step), x_prev): ((Array1<f64>, f64, Step), f64),
        density: impl Fn(f64, &ArrayRef1<f64>, f64, Step) -> f64,
    ) -> f64 {
        let forward = gaussian::density(xt, step.alpha.sqrt() * x_prev, step.beta).unwrap();
        let before = marginal(x_prev, &atoms, step.alpha_bar_prev, step.one_minus_alpha_bar_prev);
        let after = marginal(xt, &atoms, step.alpha_bar, step.one_minus_alpha_bar);
        distance_of_numbers(density(x_prev, &atoms, xt, step), forward * before / after, 1e-6)
    }

    #[test]
    fn bad_input() {
        let [first, second] = [1, 2].map(|t| two_steps().step(t).unwrap());
        let at_one = posterior::reverse_density(0.0, &array![1.0], 0.0, first).unwrap_err();
        assert_eq!(at_one, Error::PointMass { t: 1 });
        let no_atom = posterior::reverse_density(0.0, &Array1::zeros(0), 0.0, second).unwrap_err();
        assert_eq!(no_atom, Error::Empty { name: "atoms" });
    }
}

mod reverse_moments {
    use super::*;

    /// The moments of the density, integrated.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(5e-13, "2000 terms, of distances up to 14")
            .property(atoms_and_step(), |case| of_density(case, moments_of));
    }

    /// As β shrinks, q(x_{t−1} | x_t) becomes the Gaussian with these moments. What is left is its skewness γ, of which a
    /// nearly Gaussian density has KL = γ²/12. Near x the density q(x_{t−1}) e^{−(x − x_{t−1})²/2β} has γ² = β³ l‴(x)²,
    /// l = ln q(x_{t−1}); for the atoms ±1 and s = 1 − ᾱ_{t−1}, l = −x²/2s + ln cosh(x √ᾱ_{t−1}/s) + constant.
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "the next terms are a share of 20β at most").cases([1e-2, 3e-3, 1e-3], |beta| {
            let step = Schedule::from_betas(&[0.5, beta]).unwrap().last();
            let (atoms, x) = (array![-1.0, 1.0], 0.4);
            let (mean, variance) = moments_of(&atoms, step.alpha.sqrt() * x, step);
            let kl = integral(-12.0, 12.0, 2000, |z| {
                let x_prev = mean + z * variance.sqrt();
                let q = posterior::reverse_density(x_prev, &atoms, step.alpha.sqrt() * x, step).unwrap();
                let gaussian = gaussian::density(x_prev, mean, variance).unwrap();
                // q ln(q/p) − q + p, which has the same integral and no rounding to speak of
                let r = (q - gaussian) / gaussian;
                variance.sqrt() * gaussian * ((1.0 + r) * r.ln_1p() - r)
            });
            let slope = 0.5_f64.sqrt() / 0.5;
            let tanh = (slope * x).tanh();
            let third = slope.powi(3) * -2.0 * tanh * (1.0 - tanh * tanh);
            (kl / (beta.powi(3) * third * third / 12.0) - 1.0).abs() / (20.0 * beta)
        });
    }

    #[test]
    fn wrong_variant_spread() {
        check!(Quadrature).bound(5e-13, "as above").rejects(
            "the variance beta tilde, as if x_0 were known",
            atoms_and_step(),
            |case| {
                of_density(case, |atoms, xt, step| (moments_of(atoms, xt, step).0, posterior::posterior_variance(step)))
            },
        );
    }

    #[test]
    fn wrong_variant_weights() {
        check!(Quadrature).bound(5e-13, "as above").rejects(
            "the mean over all atoms, however far from x_t",
            atoms_and_step(),
            |case| {
                of_density(case, |atoms, xt, step| {
                    let x0 = array![atoms.mean().unwrap()];
                    let mean = posterior::posterior_mean(&x0, &array![xt], step).unwrap();
                    (mean[0], moments_of(atoms, xt, step).1)
                })
            },
        );
    }

    fn moments_of(atoms: &ArrayRef1<f64>, xt: f64, step: Step) -> Gaussian {
        posterior::reverse_moments(atoms, xt, step).unwrap()
    }

    fn of_density(
        (atoms, xt, step): (Array1<f64>, f64, Step),
        moments_of: impl Fn(&ArrayRef1<f64>, f64, Step) -> Gaussian,
    ) -> f64 {
        let want = moments((0.0, 0.49), |x_prev| posterior::reverse_density(x_prev, &atoms, xt, step).unwrap());
        let got = moments_of(&atoms, xt, step);
        distance_of_numbers(got.0, want.0, 1.0).max(distance_of_numbers(got.1, want.1, 1e-300))
    }

    #[test]
    fn bad_input() {
        let error = posterior::reverse_moments(&Array1::zeros(0), 0.0, two_steps().last()).unwrap_err();
        assert_eq!(error, Error::Empty { name: "atoms" });
        // At t = 1 it is the data that x_1 leaves possible.
        let (mean, variance) = moments_of(&array![-3.0, 3.0], 0.0, two_steps().step(1).unwrap());
        assert_eq!((mean, variance), (0.0, 9.0));
    }
}
