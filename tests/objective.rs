//! Checks of chapter 7, the objective: one module an equation, named by its slug.

mod support;

use literate_diffusion::objective::{self, Prediction, Variance};
#[cfg(feature = "torch")]
use literate_diffusion::torch::{self, diffusion};
use literate_diffusion::{Error, Result, Schedule, Step, forward, gaussian};
use ndarray::{Array1, ArrayRef1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::{StandardNormal, StandardUniform};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{arrays, schedule, step, step_after_first};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, z_score};

/// A formula of two arrays and a step: the right one, or a wrong variant of it.
trait Formula: Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Result<Array1<f64>> {}
impl<F: Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Result<Array1<f64>>> Formula for F {}

/// A step, data and noise.
type Case = (Step, [Array1<f64>; 2]);

fn case() -> impl Strategy<Value = Case> {
    (step(50), arrays())
}

/// A step whose β_t is 1, so that ᾱ_t = 0, after one with this β.
fn zero_snr(beta: f64) -> Step {
    Schedule::from_betas(&[beta, 1.0]).unwrap().last()
}

fn step_of(betas: &[f64]) -> Step {
    Schedule::from_betas(betas).unwrap().last()
}

/// The largest |x|, and at least 1.
fn largest(arrays: &[&Array1<f64>]) -> f64 {
    arrays.iter().flat_map(|array| array.iter()).fold(1.0, |most, x| most.max(x.abs()))
}

/// Two arrays whose shapes differ are an error that names both shapes.
fn shapes_differ(name: &'static str, formula: impl Formula) {
    let error = formula(&array![1.0, 2.0], step_of(&[0.5]), &array![1.0]).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { name, expected: vec![2], got: vec![1] });
}

/// A number that is not above 0, or not finite, is an error.
fn not_positive<T: std::fmt::Debug>(formula: impl Fn(f64) -> Result<T>) {
    for got in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(formula(got), Err(Error::OutOfRange { .. })), "{got}");
    }
}

mod eps_from_x0 {
    use super::*;

    /// From x_t, made with ε, that ε comes back.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, right));
    }

    /// Where nothing of the data is left, x_T is the noise.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "√ᾱ_T is exactly 0, and 1 − ᾱ_T exactly 1").cases([1e-6, 0.3, 0.95], |beta| {
            let xt = array![0.0, -2.5, 1e3];
            distance(&right(&array![7.0, -1e3, 0.0], zero_snr(beta), &xt).unwrap(), &xt, 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("divided by the variance of the noise", case(), |case| {
            there_and_back(case, |x0, step, xt| Ok((xt - x0 * step.alpha_bar.sqrt()) / step.one_minus_alpha_bar))
        });
    }

    const REASON: &str = "6 roundings, in units of the largest number divided by √(1 − ᾱ_t)";

    fn right(x0: &ArrayRef1<f64>, step: Step, xt: &ArrayRef1<f64>) -> Result<Array1<f64>> {
        objective::eps_from_x0(x0, xt, step)
    }

    fn there_and_back((step, [x0, eps]): Case, eps_from_x0: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let back = eps_from_x0(&x0, step, &xt).unwrap();
        distance(&back, &eps, largest(&[&x0, &eps]) / step.one_minus_alpha_bar.sqrt())
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, xt], step| objective::eps_from_x0(x0, xt, step),
            |[x0, xt], steps| diffusion::eps_from_x0(x0, xt, steps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("xt", right);
    }
}

mod x0_from_eps {
    use super::*;

    /// From x_t, made from x_0, that x_0 comes back.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, objective::x0_from_eps));
    }

    /// Given E[ε | x_t] it gives E[x_0 | x_t], here by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "the trapezium rule is exact to rounding here; the division by √ᾱ_t costs up to two digits")
            .property(gaussian_case(), |case| {
                let xt = array![case.xt];
                let eps = objective::gaussian_eps(case.mean, case.variance, &xt, case.step).unwrap();
                let x0 = objective::x0_from_eps(&xt, case.step, &eps).unwrap()[0];
                distance_of_numbers(x0, case.expectation_given_xt(|x0| x0), 1.0)
            });
    }

    #[test]
    fn wrong_variant_variance_for_root() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("1 - alpha_bar without the root", case(), |case| {
            there_and_back(case, |xt, step, eps| Ok((xt - eps * step.one_minus_alpha_bar) / step.alpha_bar.sqrt()))
        });
    }

    #[test]
    fn wrong_variant_alpha_for_alpha_bar() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("alpha for alpha_bar", case(), |case| {
            there_and_back(case, |xt, step, eps| Ok((xt - eps * step.one_minus_alpha_bar.sqrt()) / step.alpha.sqrt()))
        });
    }

    const REASON: &str = "6 roundings, in units of the largest number divided by √ᾱ_t";

    fn there_and_back((step, [x0, eps]): Case, x0_from_eps: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let back = x0_from_eps(&xt, step, &eps).unwrap();
        distance(&back, &x0, largest(&[&x0, &eps]) / step.alpha_bar.sqrt())
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, eps], step| objective::x0_from_eps(xt, step, eps),
            |[xt, eps], steps| diffusion::x0_from_eps(xt, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("eps", objective::x0_from_eps);
        let error = objective::x0_from_eps(&array![1.0], zero_snr(0.5), &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

mod v_target {
    use super::*;

    /// v is the derivative of x_t = cos φ x_0 + sin φ ε by the angle φ.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-11, REASON).property(case(), |case| by_angle(case, objective::v_target));
    }

    /// (x_t, v) is (x_0, ε) turned: the length stays.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings, in units of the largest square").property(
            case(),
            |(step, [x0, eps])| {
                let xt = forward::q_sample(&x0, step, &eps).unwrap();
                let v = objective::v_target(&x0, step, &eps).unwrap();
                let (turned, before) = (&xt * &xt + &v * &v, &x0 * &x0 + &eps * &eps);
                distance(&turned, &before, largest(&[&before]))
            },
        );
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference).bound(1e-11, REASON).rejects("the sign turned round", case(), |case| {
            by_angle(case, |x0, step, eps| Ok(-objective::v_target(x0, step, eps)?))
        });
    }

    #[test]
    fn wrong_variant_swapped() {
        check!(FiniteDifference).bound(1e-11, REASON).rejects(
            "the coefficients of x_t, a plus and all",
            case(),
            |case| by_angle(case, forward::q_sample),
        );
    }

    const REASON: &str = "h = 1e-3: rounding by 1e-16/h and h⁴/30, in units of the largest number";

    fn by_angle((step, [x0, eps]): Case, v_target: impl Formula) -> f64 {
        let angle = step.one_minus_alpha_bar.sqrt().atan2(step.alpha_bar.sqrt());
        let differences: Array1<f64> = x0
            .iter()
            .zip(&eps)
            .map(|(x0, eps)| derivative(angle, 1e-3, |angle| angle.cos() * x0 + angle.sin() * eps))
            .collect();
        distance(&v_target(&x0, step, &eps).unwrap(), &differences, largest(&[&x0, &eps]))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, eps], step| objective::v_target(x0, step, eps),
            |[x0, eps], steps| diffusion::v_target(x0, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("eps", objective::v_target);
    }
}

mod x0_from_v {
    use super::*;

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, objective::x0_from_v));
    }

    /// Where nothing of the data is left in x_T, v is −x_0 and x_T does not matter.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "√ᾱ_T is exactly 0, and 1 − ᾱ_T exactly 1").cases([1e-6, 0.3, 0.95], |beta| {
            let v = array![0.0, -2.5, 1e3];
            distance(&objective::x0_from_v(&array![7.0, -1e3, 0.0], zero_snr(beta), &v).unwrap(), &(-v), 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("v with the opposite sign", case(), |case| {
            there_and_back(case, |xt, step, v| objective::x0_from_v(xt, step, &-v))
        });
    }

    const REASON: &str = "8 roundings, in units of the largest number";

    fn there_and_back((step, [x0, eps]): Case, x0_from_v: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let v = objective::v_target(&x0, step, &eps).unwrap();
        distance(&x0_from_v(&xt, step, &v).unwrap(), &x0, largest(&[&x0, &eps]))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, v], step| objective::x0_from_v(xt, step, v),
            |[xt, v], steps| diffusion::x0_from_v(xt, steps, v),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("v", objective::x0_from_v);
    }
}

mod eps_from_v {
    use super::*;

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, objective::eps_from_v));
    }

    /// Where nothing of the data is left, x_T is the noise, whatever v is.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "√ᾱ_T is exactly 0, and 1 − ᾱ_T exactly 1").cases([1e-6, 0.3, 0.95], |beta| {
            let xt = array![0.0, -2.5, 1e3];
            distance(&objective::eps_from_v(&xt, zero_snr(beta), &array![7.0, -1e3, 0.0]).unwrap(), &xt, 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("v with the opposite sign", case(), |case| {
            there_and_back(case, |xt, step, v| objective::eps_from_v(xt, step, &-v))
        });
    }

    const REASON: &str = "8 roundings, in units of the largest number";

    fn there_and_back((step, [x0, eps]): Case, eps_from_v: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let v = objective::v_target(&x0, step, &eps).unwrap();
        distance(&eps_from_v(&xt, step, &v).unwrap(), &eps, largest(&[&x0, &eps]))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, v], step| objective::eps_from_v(xt, step, v),
            |[xt, v], steps| diffusion::eps_from_v(xt, steps, v),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("v", objective::eps_from_v);
    }
}

mod mean_from_eps {
    use super::*;

    /// Bayes: what x_t says of x_{t−1}, N(x_t/√α_t, β_t/α_t), times what x_0 says, N(√ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}).
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(later(), |case| by_bayes(case, objective::mean_from_eps));
    }

    /// At t = 1 the mean is x_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "8 roundings, in units of the largest number divided by √α_1").property(
            (schedule(5), arrays()),
            |(schedule, [x0, eps])| {
                let first = schedule.step(1).unwrap();
                let x1 = forward::q_sample(&x0, first, &eps).unwrap();
                let mean = objective::mean_from_eps(&x1, first, &eps).unwrap();
                distance(&mean, &x0, largest(&[&x0, &eps]) / first.alpha.sqrt())
            },
        );
    }

    #[test]
    fn wrong_variant_alpha_bar_for_alpha() {
        check!(Identity).bound(1e-14, REASON).rejects("the root of alpha_bar for that of alpha", later(), |case| {
            by_bayes(case, |xt, step, eps| {
                let mean = objective::mean_from_eps(xt, step, eps)?;
                Ok(mean * step.alpha.sqrt() / step.alpha_bar.sqrt())
            })
        });
    }

    #[test]
    fn wrong_variant_variance_for_root() {
        check!(Identity).bound(1e-14, REASON).rejects("1 - alpha_bar without the root", later(), |case| {
            by_bayes(case, |xt, step, eps| Ok((xt - eps * (step.beta / step.one_minus_alpha_bar)) / step.alpha.sqrt()))
        });
    }

    const REASON: &str = "20 roundings, in units of the largest number divided by √α_t";

    fn later() -> impl Strategy<Value = Case> {
        (step_after_first(50), arrays())
    }

    fn by_bayes((step, [x0, eps]): Case, mean_from_eps: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let product = |x0: f64, xt: f64| {
            let from_xt = (xt / step.alpha.sqrt(), step.beta / step.alpha);
            let from_x0 = (step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev);
            gaussian::product_of_gaussians(from_xt, from_x0).unwrap().0
        };
        let want: Array1<f64> = x0.iter().zip(&xt).map(|(&x0, &xt)| product(x0, xt)).collect();
        distance(&mean_from_eps(&xt, step, &eps).unwrap(), &want, largest(&[&x0, &eps]) / step.alpha.sqrt())
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, eps], step| objective::mean_from_eps(xt, step, eps),
            |[xt, eps], steps| diffusion::mean_from_eps(xt, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("eps", objective::mean_from_eps);
        let error = objective::mean_from_eps(&array![1.0], zero_snr(0.5), &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

mod x0_from_mean {
    use super::*;

    /// From the mean of x_{t−1}, made with ε, the x_0 that belongs to that ε.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, objective::x0_from_mean));
    }

    /// At t = 1 the mean is x_0 itself; where α_T = 0 it is √ᾱ_{T−1} x_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "2 to 4 roundings").cases([1e-6, 0.3, 0.95], |beta| {
            let (xt, mean) = (array![7.0, -1e3, 0.0], array![0.0, -2.5, 1e3]);
            let at_first = objective::x0_from_mean(&xt, step_of(&[beta]), &mean).unwrap();
            let at_zero_snr = objective::x0_from_mean(&xt, zero_snr(beta), &mean).unwrap();
            distance(&at_first, &mean, 1e-300).max(distance(&at_zero_snr, &(&mean / (1.0 - beta).sqrt()), 1e-300))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("alpha_bar of t for that of t - 1", case(), |case| {
            there_and_back(case, |xt, step, mean| {
                objective::x0_from_mean(xt, Step { alpha_bar_prev: step.alpha_bar, ..step }, mean)
            })
        });
    }

    const REASON: &str =
        "12 roundings, in units of the largest number divided by √ᾱ_t β_t, what the division makes of it";

    fn there_and_back((step, [x0, eps]): Case, x0_from_mean: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let mean = objective::mean_from_eps(&xt, step, &eps).unwrap();
        let scale = largest(&[&x0, &eps]) / (step.alpha_bar.sqrt() * step.beta);
        distance(&x0_from_mean(&xt, step, &mean).unwrap(), &x0, scale)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, mean], step| objective::x0_from_mean(xt, step, mean),
            |[xt, mean], steps| diffusion::x0_from_mean(xt, steps, mean),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("mean", objective::x0_from_mean);
        let nothing_left = Step { alpha_bar_prev: 0.0, ..zero_snr(0.5) };
        let error = objective::x0_from_mean(&array![1.0], nothing_left, &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

mod eps_from_mean {
    use super::*;

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(case(), |case| there_and_back(case, objective::eps_from_mean));
    }

    /// At t = 1 the mean is x_0; where α_T = 0 the noise is x_T.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "5 roundings, and a cancellation of one digit").cases([1e-6, 0.3, 0.95], |beta| {
            let (xt, mean) = (array![7.0, -1e3, 0.0], array![0.0, -2.5, 1e3]);
            let first = step_of(&[beta]);
            let at_first = objective::eps_from_mean(&xt, first, &mean).unwrap();
            let at_zero_snr = objective::eps_from_mean(&xt, zero_snr(beta), &mean).unwrap();
            let noise = objective::eps_from_x0(&mean, &xt, first).unwrap();
            distance(&at_first, &noise, 1e-300).max(distance(&at_zero_snr, &xt, 1e-300))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-14, REASON).rejects("the root of alpha_bar for that of alpha", case(), |case| {
            there_and_back(case, |xt, step, mean| {
                objective::eps_from_mean(xt, Step { alpha: step.alpha_bar, ..step }, mean)
            })
        });
    }

    const REASON: &str = "12 roundings, in units of the largest number times √(1 − ᾱ_t)/β_t, which multiplies it";

    fn there_and_back((step, [x0, eps]): Case, eps_from_mean: impl Formula) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let mean = objective::mean_from_eps(&xt, step, &eps).unwrap();
        let scale = largest(&[&x0, &eps]) * step.one_minus_alpha_bar.sqrt() / step.beta;
        distance(&eps_from_mean(&xt, step, &mean).unwrap(), &eps, scale)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, mean], step| objective::eps_from_mean(xt, step, mean),
            |[xt, mean], steps| diffusion::eps_from_mean(xt, steps, mean),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ("mean", objective::eps_from_mean);
    }
}

mod kl_equal_variance {
    use super::*;

    /// ∫ q ln(q/p), coordinate by coordinate.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(means(), |case| {
            by_integral(case, |q, p, variance| objective::kl_equal_variance(q, p, variance).unwrap())
        });
    }

    /// The gradient by μ_p is (μ_p − μ_q)/σ².
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-11, "a parabola has no higher derivative; h = 1e-2, so that rounding is 1e-15/h")
            .property(means(), |([q, p], variance)| {
                let slope = derivative(p[0], 1e-2, |x| {
                    let mut moved = p.clone();
                    moved[0] = x;
                    objective::kl_equal_variance(&q, &moved, variance).unwrap()
                });
                distance_of_numbers(slope, (p[0] - q[0]) / variance, 1.0)
            });
    }

    #[test]
    fn wrong_variant_half() {
        check!(Quadrature).bound(1e-13, REASON).rejects("without the half", means(), |case| {
            by_integral(case, |q, p, variance| 2.0 * objective::kl_equal_variance(q, p, variance).unwrap())
        });
    }

    #[test]
    fn wrong_variant_mean() {
        check!(Quadrature).bound(1e-13, REASON).rejects("the mean over dimensions for the sum", means(), |case| {
            by_integral(case, |q, p, variance| objective::kl_equal_variance(q, p, variance).unwrap() / q.len() as f64)
        });
    }

    #[test]
    fn wrong_variant_deviation() {
        check!(Quadrature).bound(1e-13, REASON).rejects("sigma for its square", means(), |case| {
            by_integral(case, |q, p, variance| objective::kl_equal_variance(q, p, variance.sqrt()).unwrap())
        });
    }

    const REASON: &str = "the trapezium rule is exact to rounding here, and the terms cancel by a factor of 10";

    fn means() -> impl Strategy<Value = ([Array1<f64>; 2], f64)> {
        let array = || prop::collection::vec(-3.0..3.0, 3).prop_map(Array1::from);
        ([array(), array()], 0.1..4.0)
    }

    fn by_integral(
        ([q, p], variance): ([Array1<f64>; 2], f64),
        kl: impl Fn(&Array1<f64>, &Array1<f64>, f64) -> f64,
    ) -> f64 {
        let integrals = q.iter().zip(&p).map(|(&q, &p)| kl_by_integral((q, variance), (p, variance)));
        distance_of_numbers(kl(&q, &p, variance), integrals.sum(), 1.0)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let kl = |[q, p]: [&Array1<f64>; 2], step: Step| objective::kl_equal_variance(q, p, step.beta).unwrap();
        twin::agrees_by_sample(check!(Torch), twin::batch(), kl, kl, |[q, p], steps| {
            diffusion::kl_equal_variance(q, p, &steps.beta).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        shapes_differ("mean_p", |q, _, p| objective::kl_equal_variance(q, p, 1.0).map(|kl| array![kl]));
        not_positive(|variance| objective::kl_equal_variance(&array![1.0], &array![1.0], variance));
        assert_eq!(objective::kl_equal_variance(&Array1::zeros(0), &Array1::zeros(0), 1.0), Ok(0.0));
    }
}

mod kl_reverse_step {
    use super::*;

    /// ∫ q ln(q/p), coordinate by coordinate, with q = N(μ̃, β̃) and p = N(μ_θ, σ²).
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(reverse(), |case| by_integral(case, right));
    }

    /// With σ² = β̃ the KL is the weighted squared error alone.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "the constant is exactly 0 where its two variances are one number").property(
            (step_after_first(50), arrays::<2>()),
            |(step, [q, p])| {
                let kl = objective::kl_reverse_step(&q, step, &p, step.beta_tilde).unwrap();
                let squared_error = objective::kl_equal_variance(&q, &p, step.beta_tilde).unwrap();
                distance_of_numbers(kl, squared_error, 1e-300)
            },
        );
    }

    #[test]
    fn wrong_variant_no_constant() {
        check!(Quadrature).bound(1e-13, REASON).rejects(
            "the constant left out where sigma^2 = beta",
            reverse(),
            |case| by_integral(case, |q, _, p, variance| objective::kl_equal_variance(q, p, variance).unwrap()),
        );
    }

    #[test]
    fn wrong_variant_ratio_upside_down() {
        check!(Quadrature).bound(1e-13, REASON).rejects("sigma^2/beta_tilde for its inverse", reverse(), |case| {
            by_integral(case, |q, step, p, variance| {
                let r = variance / step.beta_tilde;
                let constant = 0.5 * (r - 1.0 - r.ln());
                objective::kl_equal_variance(q, p, variance).unwrap() + q.len() as f64 * constant
            })
        });
    }

    #[test]
    fn wrong_variant_constant_once() {
        check!(Quadrature).bound(1e-13, REASON).rejects("the constant once, not once a dimension", reverse(), |case| {
            by_integral(case, |q, step, p, variance| {
                let squared_error = objective::kl_equal_variance(q, p, variance).unwrap();
                squared_error + (right(q, step, p, variance) - squared_error) / q.len() as f64
            })
        });
    }

    const REASON: &str = "the trapezium rule is exact to rounding here, and the terms cancel by a factor of 10";

    /// A step, a variance choice, and by how many σ the means differ.
    fn reverse() -> impl Strategy<Value = (Step, Variance, [Array1<f64>; 2])> {
        let variance = prop_oneof![Just(Variance::Beta), Just(Variance::BetaTilde)];
        let array = || prop::collection::vec(-3.0..3.0, 3).prop_map(Array1::from);
        (step_after_first(50), variance, [array(), array()])
    }

    fn right(mu_tilde: &Array1<f64>, step: Step, mu_theta: &Array1<f64>, variance: f64) -> f64 {
        objective::kl_reverse_step(mu_tilde, step, mu_theta, variance).unwrap()
    }

    fn by_integral(
        (step, variance, [mu_tilde, mu_theta]): (Step, Variance, [Array1<f64>; 2]),
        kl: impl Fn(&Array1<f64>, Step, &Array1<f64>, f64) -> f64,
    ) -> f64 {
        let variance = variance.of(step);
        let (mu_tilde, mu_theta) = (mu_tilde * variance.sqrt(), mu_theta * variance.sqrt());
        let integrals =
            mu_tilde.iter().zip(&mu_theta).map(|(&q, &p)| kl_by_integral((q, step.beta_tilde), (p, variance)));
        distance_of_numbers(kl(&mu_tilde, step, &mu_theta, variance), integrals.sum(), 1.0)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let kl = |[q, p]: [&Array1<f64>; 2], step: Step| objective::kl_reverse_step(q, step, p, step.beta).unwrap();
        let magnitude = |[q, p]: [&Array1<f64>; 2], step: Step| {
            let ratio = step.beta_tilde / step.beta;
            let of_variances = q.len() as f64 * (ratio + 1.0 + ratio.ln().abs());
            objective::kl_equal_variance(q, p, step.beta).unwrap() + of_variances
        };
        let after_first = twin::batch().prop_filter("needs t ≥ 2", |batch| batch.times.iter().all(|&t| t >= 2));
        twin::agrees_by_sample(check!(Torch), after_first, kl, magnitude, |[q, p], steps| {
            diffusion::kl_reverse_step(q, p, steps, &steps.beta).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        let kl = |q: &ArrayRef1<f64>, p: &ArrayRef1<f64>, step, variance| {
            objective::kl_reverse_step(q, step, p, variance).map(|kl| array![kl])
        };
        shapes_differ("mean_p", |q, _, p| kl(q, p, step_of(&[0.5, 0.5]), 1.0));
        not_positive(|variance| kl(&array![1.0], &array![1.0], step_of(&[0.5, 0.5]), variance));
        let error = kl(&array![1.0], &array![1.0], step_of(&[0.5]), 1.0).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "t", got: 1.0, .. }));
    }
}

/// w ‖a − b‖² against the KL of the means of x_{t−1} that belong to the predictions a and b.
///
/// The part of the means that comes from x_t is the same on both sides of the KL, so that x_t = 0 is as good as any.
fn charge(
    (step, [a, b]): Case,
    mean: impl Fn(&Array1<f64>, &Array1<f64>) -> Result<Array1<f64>>,
    weight: impl Fn(Step, f64) -> f64,
) -> f64 {
    let xt = Array1::zeros(a.len());
    let [mean_a, mean_b] = [&a, &b].map(|prediction| mean(&xt, prediction).unwrap());
    let error = |variance| {
        let kl = objective::kl_equal_variance(&mean_a, &mean_b, variance).unwrap();
        let weight = weight(step, variance);
        let scale = weight * largest(&[&a, &b]).powi(2);
        distance_of_numbers(weight * (&a - &b).mapv(|x| x * x).sum(), kl, scale)
    };
    error(step.beta).max(error(0.3))
}

const CHARGE: &str = "30 roundings, in units of the weight times the largest square";

mod eps_weight {
    use super::*;

    /// The KL of the means that belong to two predictions of ε.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, CHARGE).property(case(), |case| by_the_means(case, right));
    }

    /// At t = 1 with σ² = β, 1 − ᾱ_1 = β_1 and w(1) = 1/(2α_1).
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "5 roundings").cases([1e-6, 1e-4, 0.3, 0.95], |beta| {
            distance_of_numbers(right(step_of(&[beta]), beta), 0.5 / (1.0 - beta), 1e-300)
        });
    }

    #[test]
    fn wrong_variant_alpha_bar_for_alpha() {
        check!(Identity).bound(1e-14, CHARGE).rejects("alpha_bar for alpha", case(), |case| {
            by_the_means(case, |step, variance| right(Step { alpha: step.alpha_bar, ..step }, variance))
        });
    }

    #[test]
    fn wrong_variant_deviation() {
        check!(Identity).bound(1e-14, CHARGE).rejects("sigma for its square", case(), |case| {
            by_the_means(case, |step, variance| right(step, variance.sqrt()))
        });
    }

    fn right(step: Step, variance: f64) -> f64 {
        objective::eps_weight(step, variance).unwrap()
    }

    fn by_the_means(case: Case, weight: impl Fn(Step, f64) -> f64) -> f64 {
        let step = case.0;
        charge(case, |xt, eps| objective::mean_from_eps(xt, step, eps), weight)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let weight = |step: Step| objective::eps_weight(step, step.beta).unwrap();
        let twin = |steps: &torch::Steps| diffusion::eps_weight(steps, &steps.beta).unwrap();
        twin::agrees_by_step(check!(Torch), weight, weight, twin);
    }

    #[test]
    fn bad_input() {
        not_positive(|variance| objective::eps_weight(step_of(&[0.5]), variance));
        assert_eq!(objective::eps_weight(zero_snr(0.5), 1.0), Err(Error::ZeroSnr { t: 2 }));
    }
}

mod x0_weight {
    use super::*;

    /// The KL of the means that belong to two predictions of x_0.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, CHARGE).property(case(), |case| by_the_means(case, right));
    }

    /// At t = 1 the mean is x_0 itself, and where ᾱ_T = 0 it is √ᾱ_{T−1} x_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "3 roundings").cases([1e-6, 1e-4, 0.3, 0.95], |beta| {
            let at_first = distance_of_numbers(right(step_of(&[beta]), 0.25), 2.0, 1e-300);
            at_first.max(distance_of_numbers(right(zero_snr(beta), 0.25), 2.0 * (1.0 - beta), 1e-300))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-14, CHARGE).rejects("alpha_bar of t for that of t - 1", case(), |case| {
            by_the_means(case, |step, variance| right(Step { alpha_bar_prev: step.alpha_bar, ..step }, variance))
        });
    }

    fn right(step: Step, variance: f64) -> f64 {
        objective::x0_weight(step, variance).unwrap()
    }

    fn by_the_means(case: Case, weight: impl Fn(Step, f64) -> f64) -> f64 {
        let step = case.0;
        let mean = |xt: &Array1<f64>, x0: &Array1<f64>| {
            objective::mean_from_eps(xt, step, &objective::eps_from_x0(x0, xt, step)?)
        };
        charge(case, mean, weight)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let weight = |step: Step| objective::x0_weight(step, step.beta).unwrap();
        let twin = |steps: &torch::Steps| diffusion::x0_weight(steps, &steps.beta);
        twin::agrees_by_step(check!(Torch), weight, weight, twin);
    }

    #[test]
    fn bad_input() {
        not_positive(|variance| objective::x0_weight(step_of(&[0.5]), variance));
    }
}

mod v_weight {
    use super::*;

    /// The KL of the means that belong to two predictions of v.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, CHARGE).property(case(), |case| by_the_means(case, right));
    }

    /// Where ᾱ_T = 0, v = −x_0, so that v is charged like x_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "3 roundings").cases([1e-6, 1e-4, 0.3, 0.95], |beta| {
            distance_of_numbers(right(zero_snr(beta), 0.25), 2.0 * (1.0 - beta), 1e-300)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-14, CHARGE).rejects("the weight of x_0", case(), |case| {
            by_the_means(case, |step, variance| objective::x0_weight(step, variance).unwrap())
        });
    }

    fn right(step: Step, variance: f64) -> f64 {
        objective::v_weight(step, variance).unwrap()
    }

    fn by_the_means(case: Case, weight: impl Fn(Step, f64) -> f64) -> f64 {
        let step = case.0;
        let mean = |xt: &Array1<f64>, v: &Array1<f64>| {
            objective::mean_from_eps(xt, step, &objective::eps_from_v(xt, step, v)?)
        };
        charge(case, mean, weight)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let weight = |step: Step| objective::v_weight(step, step.beta).unwrap();
        let twin = |steps: &torch::Steps| diffusion::v_weight(steps, &steps.beta);
        twin::agrees_by_step(check!(Torch), weight, weight, twin);
    }

    #[test]
    fn bad_input() {
        not_positive(|variance| objective::v_weight(step_of(&[0.5]), variance));
    }
}

mod snr_weight {
    use super::*;

    /// It is the weight of x_0 for σ² = β̃, and half the difference of the SNRs.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, REASON).property(two_steps(), |steps| as_x0_weight(steps, right));
    }

    /// Where ᾱ_T = 0, all that was left of the SNR is lost.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "4 roundings").cases([1e-6, 1e-4, 0.3, 0.95], |beta| {
            distance_of_numbers(right(zero_snr(beta)), 0.5 * step_of(&[beta]).snr(), 1e-300)
        });
    }

    #[test]
    fn wrong_variant_for_beta() {
        check!(Identity).bound(2e-14, REASON).rejects("the weight where sigma^2 = beta", two_steps(), |steps| {
            as_x0_weight(steps, |step| objective::x0_weight(step, Variance::Beta.of(step)).unwrap())
        });
    }

    #[test]
    fn wrong_variant_half() {
        check!(Identity)
            .bound(2e-14, REASON)
            .rejects("without the half", two_steps(), |steps| as_x0_weight(steps, |step| 2.0 * right(step)));
    }

    const REASON: &str = "20 roundings; the difference of the SNRs, 50 roundings old, in units of the first of them";

    fn two_steps() -> impl Strategy<Value = [Step; 2]> {
        (schedule(50), 0.0..1.0).prop_filter_map("needs two steps", |(schedule, share)| {
            let t = 2 + (share * schedule.timesteps().saturating_sub(1) as f64) as usize;
            Some([schedule.step(t - 1).ok()?, schedule.step(t).ok()?])
        })
    }

    fn right(step: Step) -> f64 {
        objective::snr_weight(step).unwrap()
    }

    fn as_x0_weight([before, step]: [Step; 2], weight: impl Fn(Step) -> f64) -> f64 {
        let x0_weight = objective::x0_weight(step, Variance::BetaTilde.of(step)).unwrap();
        let difference = 0.5 * (before.snr() - step.snr());
        distance_of_numbers(weight(step), x0_weight, 1e-300).max(distance_of_numbers(
            weight(step),
            difference,
            before.snr(),
        ))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let weight = |step: Step| objective::snr_weight(step).unwrap_or(f64::INFINITY); // at t = 1 it is an error
        twin::agrees_by_step(check!(Torch), weight, weight, diffusion::snr_weight);
    }

    #[test]
    fn bad_input() {
        let error = objective::snr_weight(step_of(&[0.5])).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "t", got: 1.0, .. }));
    }
}

mod min_snr_weight {
    use super::*;

    /// The same error is charged the same, be it of x_0, of ε or of v.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(errors(), |case| three_forms(case, right));
    }

    /// With a high γ the weights are those of the SNR; a low one cuts off; at SNR 0 none is infinite.
    #[test]
    fn limit() {
        let nine = step_of(&[0.1]);
        let cases =
            [(nine, 1e9, [9.0, 1.0, 0.9]), (nine, 3.0, [3.0, 1.0 / 3.0, 0.3]), (zero_snr(0.5), 5.0, [0.0, 1.0, 0.0])];
        check!(Limit).bound(1e-15, "5 roundings").cases(cases, |(step, gamma, want)| {
            let got = [Prediction::X0, Prediction::Eps, Prediction::V].map(|kind| right(step, gamma, kind));
            distance(&array![got[0], got[1], got[2]], &array![want[0], want[1], want[2]], 1.0)
        });
    }

    /// huggingface/diffusers, 2023-10 to 2024-01 (pull request 5238, mended by 6307).
    #[test]
    fn wrong_variant_one_too_early() {
        check!(Identity).bound(1e-14, REASON).rejects("min(SNR + 1, gamma)/(SNR + 1) for v", errors(), |case| {
            three_forms(case, |step, gamma, prediction| match prediction {
                Prediction::V => (step.snr() + 1.0).min(gamma) / (step.snr() + 1.0),
                _ => right(step, gamma, prediction),
            })
        });
    }

    #[test]
    fn wrong_variant_eps_for_v() {
        check!(Identity).bound(1e-14, REASON).rejects("the weight of eps for v", errors(), |case| {
            three_forms(case, |step, gamma, prediction| match prediction {
                Prediction::V => right(step, gamma, Prediction::Eps),
                _ => right(step, gamma, prediction),
            })
        });
    }

    const REASON: &str = "30 roundings";

    fn errors() -> impl Strategy<Value = (Step, f64, f64)> {
        (step(50), 0.01..20.0, 0.1..4.0)
    }

    fn right(step: Step, gamma: f64, prediction: Prediction) -> f64 {
        objective::min_snr_weight(step, gamma, prediction).unwrap()
    }

    /// At x_t = 0 the predictions 0 and `x0` of x_0 differ by `x0`, and so on for the ε and v that belong to them.
    fn three_forms((step, gamma, x0): (Step, f64, f64), weight: impl Fn(Step, f64, Prediction) -> f64) -> f64 {
        let (x0, xt) = (array![x0], array![0.0]);
        let eps = objective::eps_from_x0(&x0, &xt, step).unwrap();
        let v = objective::v_target(&x0, step, &eps).unwrap();
        let charge = |prediction, error: &Array1<f64>| weight(step, gamma, prediction) * error[0].powi(2);
        let of_x0 = charge(Prediction::X0, &x0);
        let of_eps = distance_of_numbers(charge(Prediction::Eps, &eps), of_x0, 1e-300);
        of_eps.max(distance_of_numbers(charge(Prediction::V, &v), of_x0, 1e-300))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let all = [(Prediction::Eps, 1.0), (Prediction::X0, 2.0), (Prediction::V, 3.0)];
        let weight = |step: Step| -> f64 {
            all.iter().map(|&(of, share)| share * objective::min_snr_weight(step, 5.0, of).unwrap()).sum()
        };
        let twin = |steps: &torch::Steps| {
            all.iter().map(|&(of, share)| diffusion::min_snr_weight(steps, 5.0, of) * share).sum()
        };
        twin::agrees_by_step(check!(Torch), weight, weight, twin);
    }

    #[test]
    fn bad_input() {
        not_positive(|gamma| objective::min_snr_weight(step_of(&[0.5]), gamma, Prediction::X0));
    }
}

mod l_simple {
    use super::*;

    /// The square multiplied out: mean of ε² − 2 ε ε_θ + ε_θ².
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(arrays(), |case| multiplied_out(case, right));
    }

    /// A network that always says 0 has the loss E ε² = 1.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let losses: Vec<f64> = (0..20_000)
                .map(|_| right(&Array1::random_using(10, StandardNormal, rng), &Array1::zeros(10)))
                .collect();
            vec![z_score(&losses, 1.0)]
        });
    }

    #[test]
    fn wrong_variant_sum() {
        check!(Identity).bound(1e-14, REASON).rejects("the sum over dimensions for the mean", arrays(), |case| {
            multiplied_out(case, |eps, eps_theta| right(eps, eps_theta) * eps.len() as f64)
        });
    }

    #[test]
    fn wrong_variant_absolute() {
        check!(Identity).bound(1e-14, REASON).rejects("the absolute error for the square", arrays(), |case| {
            multiplied_out(case, |eps, eps_theta| (eps - eps_theta).mapv(f64::abs).sum() / eps.len() as f64)
        });
    }

    const REASON: &str = "30 roundings, in units of the largest square";

    fn right(eps: &Array1<f64>, eps_theta: &Array1<f64>) -> f64 {
        objective::l_simple(eps, eps_theta).unwrap()
    }

    fn multiplied_out([eps, eps_theta]: [Array1<f64>; 2], loss: impl Fn(&Array1<f64>, &Array1<f64>) -> f64) -> f64 {
        let want = (eps.dot(&eps) - 2.0 * eps.dot(&eps_theta) + eps_theta.dot(&eps_theta)) / eps.len() as f64;
        distance_of_numbers(loss(&eps, &eps_theta), want, largest(&[&eps, &eps_theta]).powi(2))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let loss = |[eps, eps_theta]: [&Array1<f64>; 2], _: Step| objective::l_simple(eps, eps_theta).unwrap();
        twin::agrees_by_sample(check!(Torch), twin::batch(), loss, loss, |[eps, eps_theta], _| {
            diffusion::l_simple(eps, eps_theta).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        shapes_differ("eps_theta", |eps, _, eps_theta| objective::l_simple(eps, eps_theta).map(|loss| array![loss]));
        assert_eq!(objective::l_simple(&Array1::zeros(0), &Array1::zeros(0)), Err(Error::Empty { name: "eps" }));
    }
}

mod antithetic_times {
    use super::*;

    /// A draw from the middle of the t-th of T equal parts of [0, 1) gives t, and its mirror image makes T + 1 with it.
    #[test]
    fn identity() {
        check!(Identity).bound(0.0, "whole numbers").property(parts(), |case| mirrored(case, right));
    }

    /// The ends of [0, 1) give the ends of 1..=T.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "whole numbers").cases([1, 2, 3, 100, 1000, 1024, 1_000_003], |timesteps| {
            let ends = [0.0, 1.0 - f64::EPSILON / 2.0];
            f64::from(u8::from(right(&ends, timesteps) != [1, timesteps, timesteps, 1]))
        });
    }

    /// Each time is equally likely in both halves.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| equally_likely(rng, right));
    }

    #[test]
    fn wrong_variant_mirror() {
        check!(Identity).bound(0.0, "whole numbers").rejects("T - t, from code that counts from 0", parts(), |case| {
            mirrored(case, |uniforms, timesteps| {
                let mut times = right(uniforms, timesteps);
                times[uniforms.len()..].iter_mut().for_each(|t| *t -= 1);
                times
            })
        });
    }

    #[test]
    fn wrong_variant_rounded() {
        check!(MonteCarlo).rejects_z_scores("rounded, so that the ends are half as likely", |rng| {
            equally_likely(rng, |uniforms, timesteps| {
                let round = |u: &f64| (u * (timesteps - 1) as f64).round() as usize + 1;
                let times: Vec<usize> = uniforms.iter().map(round).collect();
                times.iter().copied().chain(times.iter().map(|t| timesteps + 1 - t)).collect()
            })
        });
    }

    #[test]
    fn wrong_variant_first_left_out() {
        check!(MonteCarlo).rejects_z_scores("from 2 on, so that the first time is never trained", |rng| {
            equally_likely(rng, |uniforms, timesteps| {
                let from_2 = |u: &f64| (u * (timesteps - 1) as f64) as usize + 2;
                let times: Vec<usize> = uniforms.iter().map(from_2).collect();
                times.iter().copied().chain(times.iter().map(|t| timesteps + 2 - t)).collect()
            })
        });
    }

    fn right(uniforms: &[f64], timesteps: usize) -> Vec<usize> {
        objective::antithetic_times(uniforms, timesteps).unwrap()
    }

    fn parts() -> impl Strategy<Value = (usize, Vec<usize>)> {
        (1..=1000_usize).prop_flat_map(|timesteps| (Just(timesteps), prop::collection::vec(1..=timesteps, 0..10)))
    }

    fn mirrored(
        (timesteps, times): (usize, Vec<usize>),
        antithetic_times: impl Fn(&[f64], usize) -> Vec<usize>,
    ) -> f64 {
        let uniforms: Vec<f64> = times.iter().map(|&t| (t as f64 - 0.5) / timesteps as f64).collect();
        let got = antithetic_times(&uniforms, timesteps);
        let (drawn, mirrored) = got.split_at(times.len());
        let as_drawn = drawn == times;
        let as_mirrored = drawn.iter().zip(mirrored).all(|(t, mirror)| t + mirror == timesteps + 1);
        f64::from(u8::from(!(as_drawn && as_mirrored && mirrored.len() == times.len())))
    }

    fn equally_likely(rng: &mut ChaCha8Rng, antithetic_times: impl Fn(&[f64], usize) -> Vec<usize>) -> Vec<f64> {
        let uniforms: Vec<f64> = rng.sample_iter(StandardUniform).take(100_000).collect();
        let times = antithetic_times(&uniforms, 8);
        let score = |half: &[usize], t: usize| {
            let hits: Vec<f64> = half.iter().map(|&drawn| f64::from(u8::from(drawn == t))).collect();
            z_score(&hits, 1.0 / 8.0)
        };
        let (drawn, mirrored) = times.split_at(uniforms.len());
        (1..=8).flat_map(|t| [score(drawn, t), score(mirrored, t)]).collect()
    }

    #[test]
    fn bad_input() {
        assert_eq!(objective::antithetic_times(&[0.0], usize::MAX), Ok(vec![1, usize::MAX]));
        assert_eq!(objective::antithetic_times(&[0.5], 0), Err(Error::NoTimesteps));
        for u in [1.0, -0.1, f64::NAN] {
            let error = objective::antithetic_times(&[0.5, u], 10).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "a uniform draw", .. }));
        }
    }
}

/// Data N(mean, variance) in one dimension, a step, and a value of x_t.
#[derive(Debug, Clone, Copy)]
struct GaussianCase {
    mean: f64,
    variance: f64,
    step: Step,
    xt: f64,
}

/// Moderate steps, and x_t within a few standard deviations of where it can be.
fn gaussian_case() -> impl Strategy<Value = GaussianCase> {
    let steps = Schedule::linear(12, 0.02, 0.8).unwrap().steps().to_vec();
    (-2.0..2.0, 0.1..2.0, prop::sample::select(steps), -3.0..3.0, -3.0..3.0).prop_map(
        |(mean, variance, step, of_x0, eps): (f64, f64, Step, f64, f64)| {
            let x0 = mean + variance.sqrt() * of_x0;
            let xt = step.alpha_bar.sqrt() * x0 + step.one_minus_alpha_bar.sqrt() * eps;
            GaussianCase { mean, variance, step, xt }
        },
    )
}

impl GaussianCase {
    /// p(x_t), and the integral of f(x_0) p(x_0, x_t), on a grid of x_0.
    fn joint_integral(self, xt: f64, f: impl Fn(f64) -> f64) -> f64 {
        let reach = 10.0 * self.variance.sqrt();
        let noise = self.step.one_minus_alpha_bar;
        integral(self.mean - reach, self.mean + reach, 600, |x0| {
            let prior = (-0.5 * (x0 - self.mean).powi(2) / self.variance).exp();
            let likelihood = (-0.5 * (xt - self.step.alpha_bar.sqrt() * x0).powi(2) / noise).exp();
            f(x0) * prior * likelihood
        })
    }

    /// E[f(x_0) | x_t] by Bayes.
    fn expectation_given_xt(self, f: impl Fn(f64) -> f64) -> f64 {
        self.joint_integral(self.xt, f) / self.joint_integral(self.xt, |_| 1.0)
    }

    /// The noise that leads from x_0 to x_t.
    fn eps(self, x0: f64) -> f64 {
        (self.xt - self.step.alpha_bar.sqrt() * x0) / self.step.one_minus_alpha_bar.sqrt()
    }
}

/// ∫ q ln(q/p) of two Gaussians in one dimension, each a mean and a variance.
fn kl_by_integral((mean_q, variance_q): (f64, f64), (mean_p, variance_p): (f64, f64)) -> f64 {
    let log_density = |x: f64, mean: f64, variance: f64| -0.5 * ((x - mean).powi(2) / variance + variance.ln());
    let sigma = variance_q.sqrt();
    // In units of σ_q about μ_q; the factor 2π cancels in the logarithm.
    integral(-12.0, 12.0, 200, |u| {
        let x = mean_q + sigma * u;
        let q = (-0.5 * u * u).exp() / std::f64::consts::TAU.sqrt();
        q * (log_density(x, mean_q, variance_q) - log_density(x, mean_p, variance_p))
    })
}

mod gaussian_eps {
    use super::*;

    /// E[ε | x_t], by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(5e-13, REASON).property(gaussian_case(), |case| by_bayes(case, right));
    }

    /// ε* = −√(1 − ᾱ_t) times the derivative of ln p(x_t), the score.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-11, "ln p is a parabola; h = 1e-2, so that rounding is 1e-15/h").property(
            gaussian_case(),
            |case| {
                let score = derivative(case.xt, 1e-2, |xt| case.joint_integral(xt, |_| 1.0).ln());
                distance_of_numbers(right(case), -case.step.one_minus_alpha_bar.sqrt() * score, 1.0)
            },
        );
    }

    /// Data of one point m: the noise is what leads from m to x_t.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "8 roundings, in units of the largest number divided by √(1 − ᾱ_t)").property(
            (case(), -3.0..3.0),
            |((step, [xt, _]), mean)| {
                let point = Array1::from_elem(xt.len(), mean);
                let got = objective::gaussian_eps(mean, 0.0, &xt, step).unwrap();
                let want = objective::eps_from_x0(&point, &xt, step).unwrap();
                distance(&got, &want, largest(&[&xt, &point]) / step.one_minus_alpha_bar.sqrt())
            },
        );
    }

    #[test]
    fn wrong_variant_mean() {
        check!(Quadrature).bound(5e-13, REASON).rejects("the mean of the data forgotten", gaussian_case(), |case| {
            by_bayes(case, |case| right(GaussianCase { mean: 0.0, ..case }))
        });
    }

    #[test]
    fn wrong_variant_for_any_data() {
        check!(Quadrature).bound(5e-13, REASON).rejects("variance 1 for every data", gaussian_case(), |case| {
            by_bayes(case, |case| right(GaussianCase { variance: 1.0, ..case }))
        });
    }

    const REASON: &str = "the trapezium rule is exact to rounding here";

    fn right(case: GaussianCase) -> f64 {
        objective::gaussian_eps(case.mean, case.variance, &array![case.xt], case.step).unwrap()[0]
    }

    fn by_bayes(case: GaussianCase, gaussian_eps: impl Fn(GaussianCase) -> f64) -> f64 {
        distance_of_numbers(gaussian_eps(case), case.expectation_given_xt(|x0| case.eps(x0)), 1.0)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt], step| objective::gaussian_eps(0.0, 0.7, xt, step),
            |[xt], steps| diffusion::gaussian_eps(xt, steps, &xt.zeros_like(), 0.7),
        );
    }

    #[test]
    fn bad_input() {
        for variance in [-1.0, f64::NAN, f64::INFINITY] {
            let error = objective::gaussian_eps(0.0, variance, &array![1.0], step_of(&[0.5])).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "variance", .. }));
        }
    }
}

mod gaussian_floor {
    use super::*;

    /// The variance of ε given x_t, by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(5e-13, "the trapezium rule is exact to rounding here").property(
            gaussian_case(),
            |case| {
                let eps = case.expectation_given_xt(|x0| case.eps(x0));
                let variance = case.expectation_given_xt(|x0| (case.eps(x0) - eps).powi(2));
                distance_of_numbers(objective::gaussian_floor(case.variance, case.step).unwrap(), variance, 1.0)
            },
        );
    }

    /// It is the L_simple of the best prediction.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| loss_of_the_best(rng, right));
    }

    /// No floor for a point; ᾱ_t for variance 1; 0 where nothing of the data is left.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "ᾱ_t and 1 − ᾱ_t add up to 1 within 50 roundings").property(step(50), |step| {
            let of_normal = distance_of_numbers(right(1.0, step), step.alpha_bar, 1e-300);
            [right(0.0, step).abs(), right(3.0, zero_snr(step.beta)).abs(), of_normal].into_iter().fold(0.0, larger)
        });
    }

    #[test]
    fn wrong_variant_zero() {
        check!(MonteCarlo).rejects_z_scores("a perfect network has no loss", |rng| loss_of_the_best(rng, |_, _| 0.0));
    }

    #[test]
    fn wrong_variant_for_any_data() {
        check!(MonteCarlo)
            .rejects_z_scores("alpha_bar whatever the data", |rng| loss_of_the_best(rng, |_, step| step.alpha_bar));
    }

    fn right(variance: f64, step: Step) -> f64 {
        objective::gaussian_floor(variance, step).unwrap()
    }

    fn loss_of_the_best(rng: &mut ChaCha8Rng, floor: impl Fn(f64, Step) -> f64) -> Vec<f64> {
        let (mean, variance): (f64, f64) = (1.5, 0.4);
        let mut scores = Vec::new();
        for &step in Schedule::linear(5, 0.05, 0.8).unwrap().steps() {
            let x0 = Array1::random_using(100_000, StandardNormal, rng) * variance.sqrt() + mean;
            let eps = Array1::random_using(100_000, StandardNormal, rng);
            let xt = forward::q_sample(&x0, step, &eps).unwrap();
            let best = objective::gaussian_eps(mean, variance, &xt, step).unwrap();
            scores.push(z_score(&(eps - best).mapv(|error| error * error).to_vec(), floor(variance, step)));
        }
        scores
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let floor = |step: Step| objective::gaussian_floor(0.7, step).unwrap();
        twin::agrees_by_step(check!(Torch), floor, floor, |steps| diffusion::gaussian_floor(0.7, steps));
    }

    #[test]
    fn bad_input() {
        for variance in [-1.0, f64::NAN, f64::INFINITY] {
            let error = objective::gaussian_floor(variance, step_of(&[0.5])).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "variance", .. }));
        }
    }
}

mod gaussian_floor_mean {
    use super::*;

    /// For data of variance 1 it is the mean of ᾱ_t.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, REASON).property(schedule(50), |schedule| mean_of_alpha_bar(&schedule, right));
    }

    /// Times, data and noise all drawn at random, as in training.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let schedule = Schedule::linear(10, 0.05, 0.5).unwrap();
            let variance: f64 = 0.4;
            let losses: Vec<f64> = (0..100_000)
                .map(|_| {
                    let step = schedule.step(rng.random_range(1..=10)).unwrap();
                    let [x0, eps]: [f64; 2] = [(); 2].map(|()| rng.sample(StandardNormal));
                    let eps = array![eps];
                    let xt = forward::q_sample(&array![x0 * variance.sqrt()], step, &eps).unwrap();
                    let best = objective::gaussian_eps(0.0, variance, &xt, step).unwrap();
                    objective::l_simple(&eps, &best).unwrap()
                })
                .collect();
            vec![z_score(&losses, right(variance, &schedule))]
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(5e-14, REASON).rejects("the floor at the mean t", schedule(50), |schedule| {
            mean_of_alpha_bar(&schedule, |variance, schedule| {
                let middle = schedule.step(schedule.timesteps().div_ceil(2)).unwrap();
                objective::gaussian_floor(variance, middle).unwrap()
            })
        });
    }

    const REASON: &str = "50 roundings of ᾱ_t, and as many of the sum";

    fn right(variance: f64, schedule: &Schedule) -> f64 {
        objective::gaussian_floor_mean(variance, schedule).unwrap()
    }

    fn mean_of_alpha_bar(schedule: &Schedule, floor_mean: impl Fn(f64, &Schedule) -> f64) -> f64 {
        let alpha_bars = schedule.steps().iter().map(|step| step.alpha_bar);
        let mean = alpha_bars.sum::<f64>() / schedule.timesteps() as f64;
        distance_of_numbers(floor_mean(1.0, schedule), mean, 1e-300)
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5]).unwrap();
        assert!(matches!(objective::gaussian_floor_mean(-1.0, &schedule), Err(Error::OutOfRange { .. })));
    }
}
