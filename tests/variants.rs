//! Checks of chapter 14, variants: one module an equation, named by its slug.

mod support;

use literate_diffusion::elbo::{self, DecoderVariance, LinearVae};
use literate_diffusion::objective::{self, Prediction};
use literate_diffusion::posterior::{self, VarianceAtOne};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::schedule::evenly_spaced_times;
#[cfg(feature = "torch")]
use literate_diffusion::torch::tch::{Kind, Tensor};
#[cfg(feature = "torch")]
use literate_diffusion::torch::{self, diffusion};
use literate_diffusion::{Error, Result, Schedule, Step, forward, gaussian, sampler, schedule, variants};
use ndarray::{Array1, Array2, ArrayRef1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{arrays, beta, schedule as any_schedule, step, step_after_first};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, z_score};

const AT_ONE: VarianceAtOne = VarianceAtOne::Beta1;

/// A schedule and one of its times.
fn schedule_and_time() -> impl Strategy<Value = (Schedule, usize)> {
    any_schedule(50).prop_flat_map(|schedule| {
        let times = 1..=schedule.timesteps();
        (Just(schedule), times)
    })
}

/// As [`schedule_and_time`], but t ≥ 2.
fn schedule_and_later_time() -> impl Strategy<Value = (Schedule, usize)> {
    schedule_and_time().prop_filter("needs t ≥ 2", |(_, t)| *t >= 2)
}

/// A schedule of one to four steps, each with β from 0.05 to 0.9, so that no density is too narrow for a grid.
fn wide_schedule() -> impl Strategy<Value = Schedule> {
    prop::collection::vec(0.05..0.9, 1..=4_usize).prop_map(|betas| Schedule::from_betas(&betas).unwrap())
}

/// One to four points in [−2, 2], equally probable.
fn atoms() -> impl Strategy<Value = Array1<f64>> {
    prop::collection::vec(-2.0..2.0, 1..=4_usize).prop_map(Array1::from)
}

/// A time on the straight path, and two arrays.
fn on_path() -> impl Strategy<Value = (f64, [Array1<f64>; 2])> {
    (0.0..0.99, arrays())
}

/// The largest |x|, and at least 1.
fn largest(arrays: &[&Array1<f64>]) -> f64 {
    arrays.iter().flat_map(|array| array.iter()).fold(1.0, |most, x| most.max(x.abs()))
}

fn step_of(betas: &[f64]) -> Step {
    Schedule::from_betas(betas).unwrap().last()
}

/// The step before, as a step of its own; t ≥ 2.
fn previous(step: Step) -> Step {
    Step { t: step.t - 1, alpha_bar: step.alpha_bar_prev, one_minus_alpha_bar: step.one_minus_alpha_bar_prev, ..step }
}

fn out_of_range<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::OutOfRange { .. })), "{result:?}");
}

fn shape_mismatch<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::ShapeMismatch { .. })), "{result:?}");
}

/// The mean of f(x_0, x_t) over data that is a list of atoms and over the noise, on a grid of noises.
fn mean_over(atoms: &Array1<f64>, step: Step, f: impl Fn(f64, f64) -> f64) -> f64 {
    let of_atom = |x0: f64| {
        integral(-10.0, 10.0, 400, |eps| {
            gaussian::density(eps, 0.0, 1.0).unwrap()
                * f(x0, step.alpha_bar.sqrt() * x0 + step.one_minus_alpha_bar.sqrt() * eps)
        })
    };
    atoms.iter().map(|&x0| of_atom(x0)).sum::<f64>() / atoms.len() as f64
}

/// E[x_0 | x_t], by Bayes' rule.
fn best_x0(atoms: &Array1<f64>, step: Step, xt: f64) -> f64 {
    posterior::atom_weights(atoms, xt, step).unwrap().dot(atoms)
}

/// The floor of L_simple for these atoms: the mean of (ε − E[ε | x_t])².
fn floor_of(atoms: &Array1<f64>, step: Step) -> f64 {
    let noise = |x0: f64, xt: f64| (xt - step.alpha_bar.sqrt() * x0) / step.one_minus_alpha_bar.sqrt();
    mean_over(atoms, step, |x0, xt| (noise(x0, xt) - noise(best_x0(atoms, step, xt), xt)).powi(2))
}

mod learned_variance {
    use super::*;

    const REASON: &str = "exponents up to 3 · 28, rounded by 2⁻⁵² of themselves a few times over";

    /// A product of powers.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, REASON).property(cases(), |case| by_powers(case, right));
    }

    /// ν = 0 is β̃ and ν = 1 is β; at t = 1 the named choice stands for β̃.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "a logarithm of up to 28, and its exponential").property(
            schedule_and_later_time(),
            |(schedule, t)| {
                let [first, second] = [1, 2].map(|t| schedule.step(t).unwrap());
                let at_one = |nu, choice| variants::learned_variance(&schedule, 1, nu, choice).unwrap();
                let step = schedule.step(t).unwrap();
                [
                    (right(&schedule, t, 0.0), step.beta_tilde),
                    (right(&schedule, t, 1.0), step.beta),
                    (at_one(0.3, VarianceAtOne::Beta1), first.beta),
                    (at_one(0.0, VarianceAtOne::BetaTilde2), second.beta_tilde),
                    (at_one(1.0, VarianceAtOne::BetaTilde2), first.beta),
                ]
                .into_iter()
                .fold(0.0, |worst, (got, want)| larger(worst, distance_of_numbers(got, want, 1e-300)))
            },
        );
    }

    #[test]
    fn wrong_variant_linear() {
        rejects("the variance on a straight line, not its logarithm", |schedule, t, nu| {
            let step = schedule.step(t).unwrap();
            nu * step.beta + (1.0 - nu) * step.beta_tilde
        });
    }

    #[test]
    fn wrong_variant_swapped() {
        rejects("the two ends swapped", |schedule, t, nu| right(schedule, t, 1.0 - nu));
    }

    #[test]
    fn wrong_variant_minus_infinity() {
        check!(Limit).bound(1e-13, "as above").rejects("ln beta tilde at t = 1 taken as it is", beta(), |beta| {
            let first = step_of(&[beta]);
            let variance = (1.0 * first.beta.ln() + 0.0 * first.beta_tilde.ln()).exp(); // ν = 1
            distance_of_numbers(variance, first.beta, 1e-300)
        });
    }

    fn cases() -> impl Strategy<Value = ((Schedule, usize), f64)> {
        (schedule_and_later_time(), -1.0..2.0)
    }

    fn right(schedule: &Schedule, t: usize, nu: f64) -> f64 {
        variants::learned_variance(schedule, t, nu, AT_ONE).unwrap()
    }

    fn by_powers(
        ((schedule, t), nu): ((Schedule, usize), f64),
        variance: impl Fn(&Schedule, usize, f64) -> f64,
    ) -> f64 {
        let step = schedule.step(t).unwrap();
        let want = step.beta.powf(nu) * step.beta_tilde.powf(1.0 - nu);
        distance_of_numbers(variance(&schedule, t, nu), want, 1e-300)
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Schedule, usize, f64) -> f64) {
        check!(Identity).bound(5e-14, REASON).rejects(mistake, cases(), |case| by_powers(case, &wrong));
    }

    /// β̃ times a power of β/β̃ = (1 − ᾱ_t)/(1 − ᾱ_{t−1}), over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let batches = (twin::batch::<0>(), -1.0..2.0);
        check!(Torch).bound(1.0, twin::REASON).property(batches, |(batch, nu)| {
            let steps = batch.twin_steps();
            let growth = &steps.one_minus_alpha_bar / &steps.one_minus_alpha_bar_prev;
            let between = &steps.beta_tilde * growth.pow_tensor_scalar(nu);
            let got = twin::numbers(&steps.beta.where_self(&steps.beta_tilde.eq(0.0), &between));
            let compare = |(&t, got): (&usize, f64)| {
                let want = right(&batch.schedule, t, nu);
                twin::in_units(got, want, 3.0 * batch.budget() * want)
            };
            batch.times.iter().zip(got).map(compare).fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5]).unwrap();
        let variance = |t, nu, at_one| variants::learned_variance(&schedule, t, nu, at_one);
        out_of_range(variance(1, f64::NAN, AT_ONE));
        out_of_range(variance(1, f64::INFINITY, AT_ONE));
        assert!(matches!(variance(2, 0.5, AT_ONE), Err(Error::StepOutOfRange { t: 2, .. })));
        assert!(matches!(variance(1, 0.5, VarianceAtOne::BetaTilde2), Err(Error::StepOutOfRange { t: 2, .. })));
    }
}

mod nu_from_variance {
    use super::*;

    const REASON: &str = "in units of ln(β/β̃), by which the difference of two logarithms of up to 28 is divided";

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-13, REASON).property(cases(), |case| {
            there_and_back(case, |schedule, t, variance| {
                variants::nu_from_variance(schedule, t, variance, AT_ONE).unwrap()
            })
        });
    }

    /// As steps shrink, the ν of the best variance tends to the Bayes floor over ᾱ.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(2e-4, "of the order of β/(1 − ᾱ) = 1e-5, times the variance of the data, below 9")
            .property((0.1..0.9, 0.0..9.0), |(alpha_bar, data)| {
                let schedule = Schedule::from_betas(&[1.0 - alpha_bar, 1e-6]).unwrap();
                let step = schedule.last();
                let floor = objective::gaussian_floor(data, step).unwrap();
                let best = variants::optimal_variance(step, floor).unwrap();
                let nu = variants::nu_from_variance(&schedule, 2, best, AT_ONE).unwrap();
                distance_of_numbers(nu, floor / step.alpha_bar, 1.0)
            });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip).bound(1e-13, REASON).rejects(
            "the place between the variances, not their logarithms",
            cases(),
            |case| {
                there_and_back(case, |schedule, t, variance| {
                    let step = schedule.step(t).unwrap();
                    (variance - step.beta_tilde) / (step.beta - step.beta_tilde)
                })
            },
        );
    }

    fn cases() -> impl Strategy<Value = ((Schedule, usize), f64)> {
        // So far apart that their logarithms are, too.
        let apart = |(schedule, t): &(Schedule, usize)| {
            let step = schedule.step(*t).unwrap();
            step.beta > step.beta_tilde * (1.0 + 1e-12)
        };
        (schedule_and_later_time().prop_filter("needs two ends", apart), -1.0..2.0)
    }

    fn there_and_back(
        ((schedule, t), nu): ((Schedule, usize), f64),
        nu_from_variance: impl Fn(&Schedule, usize, f64) -> f64,
    ) -> f64 {
        let step = schedule.step(t).unwrap();
        let variance = variants::learned_variance(&schedule, t, nu, AT_ONE).unwrap();
        (nu_from_variance(&schedule, t, variance) - nu).abs() * (step.beta.ln() - step.beta_tilde.ln())
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 0.5]).unwrap();
        let nu = |t, variance| variants::nu_from_variance(&schedule, t, variance, AT_ONE);
        out_of_range(nu(2, 0.0));
        out_of_range(nu(2, f64::INFINITY));
        assert!(nu(1, 0.5).unwrap_err().to_string().contains("every nu"));
        assert!(matches!(nu(3, 0.5), Err(Error::StepOutOfRange { t: 3, .. })));
    }
}

/// A time, true and predicted noise, and the ν of the variance.
type HybridCase = ((Schedule, usize), [Array1<f64>; 2], f64);

fn hybrid_cases() -> impl Strategy<Value = HybridCase> {
    let readable = |(schedule, t): &(Schedule, usize)| schedule.step(*t).unwrap().alpha_bar > 1e-3;
    (schedule_and_time().prop_filter("x_0 must be readable", readable), arrays(), 0.0..1.0)
}

fn variance_at(schedule: &Schedule, t: usize, nu: f64) -> f64 {
    variants::learned_variance(schedule, t, nu, AT_ONE).unwrap()
}

/// What the terms of L_{t−1} add up to without their signs, with an error as large as it can be.
fn size_of_bound(step: Step, variance: f64, eps: &Array1<f64>, eps_theta: &Array1<f64>) -> f64 {
    let weight = objective::eps_weight(step, variance).unwrap();
    weight * largest(&[eps, eps_theta]).powi(2) + variance.ln().abs() + step.beta_tilde / variance + 1.0
}

mod hybrid_loss {
    use super::*;

    const LAMBDA: f64 = 0.1;
    const REASON: &str = "30 roundings, in units of all terms";

    /// The terms of the bound as chapters 6 and 7 have them, from the means of x_{t−1}.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(hybrid_cases(), |case| by_the_means(case, right));
    }

    /// With λ = 0 it is L_simple; with no error and the variance β̃ it is 0.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "the same function, and ln 1").property(
            hybrid_cases(),
            |((schedule, t), [a, b], nu)| {
                let variance = variance_at(&schedule, t, nu);
                let without = variants::hybrid_loss(&a, &schedule, t, &b, variance, 0.0).unwrap();
                let simple = distance_of_numbers(without, objective::l_simple(&a, &b).unwrap(), 1.0);
                if t == 1 {
                    return simple;
                }
                let beta_tilde = schedule.step(t).unwrap().beta_tilde;
                larger(simple, variants::hybrid_loss(&a, &schedule, t, &a, beta_tilde, 1.0).unwrap())
            },
        );
    }

    #[test]
    fn wrong_variant_one_term() {
        rejects("one term for the sum of T", |eps, schedule, t, eps_theta, variance| {
            let lambda = LAMBDA / schedule.timesteps() as f64;
            variants::hybrid_loss(eps, schedule, t, eps_theta, variance, lambda).unwrap()
        });
    }

    #[test]
    fn wrong_variant_deviation() {
        rejects("the standard deviation for the variance", |eps, schedule, t, eps_theta, variance| {
            right(eps, schedule, t, eps_theta, variance.sqrt())
        });
    }

    #[test]
    fn wrong_variant_constant() {
        rejects("the part without the network dropped", |eps, schedule, t, eps_theta, variance| {
            let weight = objective::eps_weight(schedule.step(t).unwrap(), variance).unwrap();
            (1.0 + LAMBDA * schedule.timesteps() as f64 * weight) * objective::l_simple(eps, eps_theta).unwrap()
        });
    }

    fn right(eps: &Array1<f64>, schedule: &Schedule, t: usize, eps_theta: &Array1<f64>, variance: f64) -> f64 {
        variants::hybrid_loss(eps, schedule, t, eps_theta, variance, LAMBDA).unwrap()
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, &Schedule, usize, &Array1<f64>, f64) -> f64) {
        check!(Identity).bound(1e-14, REASON).rejects(mistake, hybrid_cases(), |case| by_the_means(case, &wrong));
    }

    fn by_the_means(
        ((schedule, t), [eps, eps_theta], nu): HybridCase,
        loss: impl Fn(&Array1<f64>, &Schedule, usize, &Array1<f64>, f64) -> f64,
    ) -> f64 {
        let step = schedule.step(t).unwrap();
        let variance = variance_at(&schedule, t, nu);
        let xt = Array1::zeros(eps.len());
        let x0 = objective::x0_from_eps(&xt, step, &eps).unwrap();
        let mu_tilde = posterior::posterior_mean(&x0, &xt, step).unwrap();
        let mu_theta = objective::mean_from_eps(&xt, step, &eps_theta).unwrap();
        let bound = match t {
            1 => -gaussian::log_density(&x0, &mu_theta, variance).unwrap(),
            _ => objective::kl_reverse_step(&mu_tilde, step, &mu_theta, variance).unwrap(),
        };
        let steps = schedule.timesteps() as f64;
        let want = objective::l_simple(&eps, &eps_theta).unwrap() + LAMBDA * steps * bound / eps.len() as f64;
        let scale =
            largest(&[&eps, &eps_theta]).powi(2) + LAMBDA * steps * size_of_bound(step, variance, &eps, &eps_theta);
        distance_of_numbers(loss(&eps, &schedule, t, &eps_theta, variance), want, scale)
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 1.0]).unwrap();
        let one = array![1.0];
        let loss = |t, variance, lambda| variants::hybrid_loss(&one, &schedule, t, &one, variance, lambda);
        out_of_range(loss(1, 0.0, 1.0));
        out_of_range(loss(1, 1.0, -1.0));
        assert_eq!(loss(2, 1.0, 1.0), Err(Error::ZeroSnr { t: 2 }));
        assert!(matches!(loss(3, 1.0, 1.0), Err(Error::StepOutOfRange { t: 3, .. })));
        shape_mismatch(variants::hybrid_loss(&one, &schedule, 1, &array![1.0, 2.0], 1.0, 1.0));
    }
}

mod hybrid_gradient {
    use super::*;

    const LAMBDA: f64 = 0.1;
    const REASON: &str = "h = 1e-3: rounding by 1e-16/h and h⁴/30, in units of all terms";

    /// Differences of the loss: by ln σ² with all its terms, by ε_θ with λ = 0.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-11, REASON).property(hybrid_cases(), |case| by_differences(case, right));
    }

    /// It stands still at the best variance for a network with this loss, and there alone.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "30 roundings, in units of all terms").property(hybrid_cases(), |case| {
            let ((schedule, t), [eps, eps_theta], _) = case;
            let step = schedule.step(t).unwrap();
            let best = variants::optimal_variance(step, objective::l_simple(&eps, &eps_theta).unwrap()).unwrap();
            if best == 0.0 {
                return 0.0; // t = 1, and no error
            }
            let slope = |variance| right(&eps, &schedule, t, &eps_theta, variance).1;
            let scale = LAMBDA * schedule.timesteps() as f64 * size_of_bound(step, best, &eps, &eps_theta);
            let turns = slope(0.9 * best) < 0.0 && slope(1.1 * best) > 0.0;
            slope(best).abs() / scale + if turns { 0.0 } else { 1.0 }
        });
    }

    #[test]
    fn wrong_variant_mean() {
        rejects("the gradient of the bound by the mean not stopped", |eps, schedule, t, eps_theta, variance| {
            let (by_eps, by_variance) = right(eps, schedule, t, eps_theta, variance);
            let weight = objective::eps_weight(schedule.step(t).unwrap(), variance).unwrap();
            (by_eps * (1.0 + LAMBDA * schedule.timesteps() as f64 * weight), by_variance)
        });
    }

    #[test]
    fn wrong_variant_by_the_variance() {
        rejects("the slope by the variance, not by its logarithm", |eps, schedule, t, eps_theta, variance| {
            let (by_eps, by_variance) = right(eps, schedule, t, eps_theta, variance);
            (by_eps, by_variance / variance)
        });
    }

    #[test]
    fn wrong_variant_no_error() {
        rejects("the error of the mean forgotten", |eps, schedule, t, eps_theta, variance| {
            let (by_eps, _) = right(eps, schedule, t, eps_theta, variance);
            (by_eps, right(eps, schedule, t, eps, variance).1)
        });
    }

    fn right(
        eps: &Array1<f64>,
        schedule: &Schedule,
        t: usize,
        eps_theta: &Array1<f64>,
        variance: f64,
    ) -> (Array1<f64>, f64) {
        let gradient = variants::hybrid_gradient(eps, schedule, t, eps_theta, variance, LAMBDA).unwrap();
        (gradient.eps_theta, gradient.log_variance)
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, &Schedule, usize, &Array1<f64>, f64) -> (Array1<f64>, f64)) {
        check!(FiniteDifference)
            .bound(1e-11, REASON)
            .rejects(mistake, hybrid_cases(), |case| by_differences(case, &wrong));
    }

    fn by_differences(
        ((schedule, t), [eps, eps_theta], nu): HybridCase,
        gradient: impl Fn(&Array1<f64>, &Schedule, usize, &Array1<f64>, f64) -> (Array1<f64>, f64),
    ) -> f64 {
        let step = schedule.step(t).unwrap();
        let variance = variance_at(&schedule, t, nu);
        let (by_eps, by_variance) = gradient(&eps, &schedule, t, &eps_theta, variance);

        let loss = |log: f64| variants::hybrid_loss(&eps, &schedule, t, &eps_theta, log.exp(), LAMBDA).unwrap();
        let largest = largest(&[&eps, &eps_theta]);
        let scale =
            largest.powi(2) + LAMBDA * schedule.timesteps() as f64 * size_of_bound(step, variance, &eps, &eps_theta);
        let error = distance_of_numbers(by_variance, derivative(variance.ln(), 1e-3, loss), scale);

        let slopes = Array1::from_shape_fn(eps.len(), |i| {
            derivative(eps_theta[i], 1e-3, |moved| {
                let mut theta = eps_theta.clone();
                theta[i] = moved;
                objective::l_simple(&eps, &theta).unwrap()
            })
        });
        larger(error, distance(&by_eps, &slopes, largest.powi(2)))
    }

    /// Autograd, with the prediction detached within the bound.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch)
            .bound(1e-13, "means of x_{t−1} are rounded by 1e-15/√ᾱ, and ᾱ > 1e-3; in units of all terms")
            .property(hybrid_cases(), |((schedule, t), [eps, eps_theta], nu)| {
                let variance = variance_at(&schedule, t, nu);
                let (by_eps, by_variance) = right(&eps, &schedule, t, &eps_theta, variance);
                let steps = twin::twin(&schedule).at(&[t]).unwrap();
                let (truth, guess) = (twin::row(&eps), twin::row(&eps_theta).set_requires_grad(true));
                let log = Tensor::from_slice(&[variance.ln()]).set_requires_grad(true);

                let xt = truth.zeros_like();
                let x0 = diffusion::x0_from_eps(&xt, &steps, &truth).unwrap();
                let mean = diffusion::mean_from_eps(&xt, &steps, &guess.detach()).unwrap();
                let target = diffusion::posterior_mean(&x0, &xt, &steps).unwrap();
                let bound = match t {
                    1 => -diffusion::log_density(&x0, &mean, &log.exp()).unwrap(),
                    _ => diffusion::kl_reverse_step(&target, &mean, &steps, &log.exp()).unwrap(),
                };
                let factor = LAMBDA * schedule.timesteps() as f64;
                let simple = diffusion::l_simple(&truth, &guess).unwrap().to_device(bound.device());
                let loss = simple + bound * (factor / eps.len() as f64);
                loss.sum(Kind::Double).backward();

                let largest = largest(&[&eps, &eps_theta]);
                let scale = factor * size_of_bound(schedule.step(t).unwrap(), variance, &eps, &eps_theta);
                let error = distance_of_numbers(by_variance, twin::numbers(&log.grad())[0], scale);
                larger(error, distance(&by_eps, &Array1::from(twin::numbers(&guess.grad())), largest))
            });
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 1.0]).unwrap();
        let one = array![1.0];
        let gradient = |t, variance, lambda| variants::hybrid_gradient(&one, &schedule, t, &one, variance, lambda);
        out_of_range(gradient(1, 0.0, 1.0));
        out_of_range(gradient(1, 1.0, f64::NAN));
        assert_eq!(gradient(2, 1.0, 1.0), Err(Error::ZeroSnr { t: 2 }));
        assert!(matches!(gradient(3, 1.0, 1.0), Err(Error::StepOutOfRange { t: 3, .. })));
        shape_mismatch(variants::hybrid_gradient(&one, &schedule, 1, &array![1.0, 2.0], 1.0, 1.0));
    }
}

mod optimal_variance {
    use super::*;

    /// For Gaussian data it is the variance of the exact way back, of chapter 6.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "30 roundings of positive numbers").property(
            (step(50), 0.0..9.0),
            |(step, data)| {
                let exact = elbo::exact_reverse(0.0, data, step).unwrap().variance;
                distance_of_numbers(right(step, objective::gaussian_floor(data, step).unwrap()), exact, 1e-300)
            },
        );
    }

    /// For data that is a list of atoms, the variance of x_{t−1} given x_t, averaged over x_t.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(cases(), |case| over_atoms(case, right));
    }

    /// On the S-curve, the mean squared distance of x_{t−1} from its mean given x_t.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let schedule = Schedule::linear(20, 1e-2, 0.5).unwrap();
            let curve = SCurve::sound();
            let draw = |rng: &mut ChaCha8Rng| Array2::random_using((5000, 2), StandardNormal, rng);
            let mut scores = Vec::new();
            for t in [2, 6, 14] {
                let step = schedule.step(t).unwrap();
                let x_prev = forward::q_sample(&curve.points(5000, rng), previous(step), &draw(rng)).unwrap();
                let xt = forward::q_step(&x_prev, step, &draw(rng)).unwrap();
                let mean = curve.reverse_mean_and_covariance(&xt, step).unwrap().mean;
                let squares: Vec<f64> = (&x_prev - &mean).rows().into_iter().map(|row| 0.5 * row.dot(&row)).collect();
                scores.push(z_score(&squares, right(step, curve.marginal(step).bayes_floor())));
            }
            scores
        });
    }

    /// Nothing left open gives β̃, and everything β/α.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "20 roundings").property(step(50), |step| {
            let all_open = distance_of_numbers(right(step, 1.0), step.beta / step.alpha, 1e-300);
            larger(all_open, distance_of_numbers(right(step, 0.0), step.beta_tilde, 1e-300))
        });
    }

    #[test]
    fn wrong_variant_square() {
        rejects("the coefficient of eps not squared", |step, floor| {
            step.beta_tilde + step.beta / (step.alpha * step.one_minus_alpha_bar).sqrt() * floor
        });
    }

    #[test]
    fn wrong_variant_x0() {
        rejects("the floor of x_0 for that of eps", |step, floor| right(step, floor / step.snr()));
    }

    #[test]
    fn wrong_variant_known() {
        rejects("as if x_0 were known", |step, _| step.beta_tilde);
    }

    const REASON: &str = "posterior weights are rounded by 1e-15; 400 terms";

    fn cases() -> impl Strategy<Value = (Array1<f64>, Schedule)> {
        (atoms(), wide_schedule())
    }

    fn right(step: Step, floor: f64) -> f64 {
        variants::optimal_variance(step, floor).unwrap()
    }

    fn over_atoms((atoms, schedule): (Array1<f64>, Schedule), variance: impl Fn(Step, f64) -> f64) -> f64 {
        let step = schedule.last();
        let want = mean_over(&atoms, step, |_, xt| posterior::reverse_moments(&atoms, xt, step).unwrap().1);
        distance_of_numbers(variance(step, floor_of(&atoms, step)), want, 1e-3)
    }

    fn rejects(mistake: &str, wrong: impl Fn(Step, f64) -> f64) {
        check!(Quadrature).bound(1e-13, REASON).rejects(mistake, cases(), |case| over_atoms(case, &wrong));
    }

    /// Bao's form: the loss enters by the difference of two ways to put ε into x_{t−1}, squared.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let of = |step: Step| right(step, 0.3);
        twin::agrees_by_step(
            check!(Torch),
            of,
            |step| 10.0 * (step.beta / step.alpha),
            |steps| {
                let kept = steps.alpha.sqrt() * &steps.one_minus_alpha_bar_prev / steps.one_minus_alpha_bar.sqrt();
                let through_x0 = (&steps.one_minus_alpha_bar / &steps.alpha).sqrt();
                (through_x0 - kept).square() * 0.3 + &steps.beta_tilde
            },
        );
    }

    #[test]
    fn bad_input() {
        for loss in [-1e-9, f64::NAN, f64::INFINITY] {
            out_of_range(variants::optimal_variance(step_of(&[0.5]), loss));
        }
        assert_eq!(variants::optimal_variance(step_of(&[0.5, 1.0]), 0.5), Err(Error::ZeroSnr { t: 2 }));
    }
}

mod variance_cost {
    use super::*;

    /// The mean code length with the variance σ² less that with the variance σ*², the entropy.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings, in units of the fraction and the logarithms").property(
            cases(),
            |(a, b)| {
                let length = 0.5 * (std::f64::consts::TAU * b).ln() + 0.5 * a / b;
                let want = length - gaussian::entropy(a, 1).unwrap();
                distance_of_numbers(right(a, b), want, a / b + 4.0)
            },
        );
    }

    /// What a code for a law with two humps costs above the best Gaussian code: only its variance counts.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(cases(), |case| of_two_humps(case, right));
    }

    #[test]
    fn wrong_variant_upside_down() {
        rejects("the fraction upside down", |optimal, variance| right(variance, optimal));
    }

    #[test]
    fn wrong_variant_deviation() {
        rejects("standard deviations for variances", |optimal, variance| right(optimal.sqrt(), variance.sqrt()));
    }

    const REASON: &str = "2000 terms, in units of the fraction and its logarithm";

    fn cases() -> impl Strategy<Value = (f64, f64)> {
        (0.1..4.0, 0.1..4.0)
    }

    fn right(optimal: f64, variance: f64) -> f64 {
        variants::variance_cost(optimal, variance).unwrap()
    }

    fn of_two_humps((optimal, variance): (f64, f64), cost: impl Fn(f64, f64) -> f64) -> f64 {
        // Humps at ±√(0.8 σ*²), each of variance 0.2 σ*².
        let (place, narrow) = ((0.8 * optimal).sqrt(), 0.2 * optimal);
        let humps =
            |x| 0.5 * (gaussian::density(x, place, narrow).unwrap() + gaussian::density(x, -place, narrow).unwrap());
        let log = |x: f64, variance| gaussian::log_density(&array![x], &array![0.0], variance).unwrap();
        let end = place + 12.0 * narrow.sqrt();
        let want = integral(-end, end, 2000, |x| humps(x) * (log(x, optimal) - log(x, variance)));
        distance_of_numbers(cost(optimal, variance), want, optimal / variance + 1.0)
    }

    fn rejects(mistake: &str, wrong: impl Fn(f64, f64) -> f64) {
        check!(Quadrature).bound(1e-13, REASON).rejects(mistake, cases(), |case| of_two_humps(case, &wrong));
    }

    /// The cost of β where 1 − ᾱ would be best, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let size = |step: Step| 1.0 + step.one_minus_alpha_bar / step.beta;
        twin::agrees_by_step(
            check!(Torch),
            |step| right(step.one_minus_alpha_bar, step.beta),
            size,
            |steps| {
                let ratio = &steps.one_minus_alpha_bar / &steps.beta;
                (&ratio - ratio.log() - 1.0) / 2.0
            },
        );
    }

    #[test]
    fn bad_input() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            out_of_range(variants::variance_cost(wrong, 1.0));
            out_of_range(variants::variance_cost(1.0, wrong));
        }
    }
}

mod bound_from_losses {
    use super::*;

    /// The bound of chapter 6 for Gaussian data, averaged over the data: it is a parabola in x_0, so that two values do.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(gaussian_cases(), |case| of_gaussian_data(case, right));
    }

    /// Two steps for data that is a list of atoms: each term by its definition, on a grid.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, "posterior weights are rounded by 1e-15; 400 terms").property(
            (atoms(), 0.05..0.9, 0.05..0.9, 0.1..1.0, 0.1..1.0),
            |(atoms, beta_1, beta_2, variance_1, variance_2)| {
                let schedule = Schedule::from_betas(&[beta_1, beta_2]).unwrap();
                let [first, second] = [1, 2].map(|t| schedule.step(t).unwrap());
                let reconstruction = mean_over(&atoms, first, |x0, x1| {
                    let mean = best_x0(&atoms, first, x1);
                    -gaussian::log_density(&array![x0], &array![mean], variance_1).unwrap()
                });
                let denoising = mean_over(&atoms, second, |x0, x2| {
                    let mean = |x0: f64| posterior::posterior_mean(&array![x0], &array![x2], second).unwrap()[0];
                    let model = mean(best_x0(&atoms, second, x2));
                    gaussian::kl_scalar(mean(x0), second.beta_tilde, model, variance_2).unwrap()
                });
                let prior: Array1<f64> = atoms.mapv(|x0| elbo::prior_term(&array![x0], &schedule).unwrap());
                let want = reconstruction + denoising + prior.mean().unwrap();
                let floors = [floor_of(&atoms, first), floor_of(&atoms, second)];
                let square = atoms.mapv(|x| x * x).mean().unwrap();
                let got = variants::bound_from_losses(&schedule, &floors, &[variance_1, variance_2], square).unwrap();
                distance_of_numbers(got, want, 1.0)
            },
        );
    }

    /// With the exact way back of Gaussian data nothing is lost but the end: the entropy, and KL(q(x_T) ‖ N(0, I)).
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, REASON).property((any_schedule(30), 0.1..4.0), |(schedule, data)| {
            let floors = floors(&schedule, data);
            let best: Vec<f64> = schedule
                .steps()
                .iter()
                .zip(&floors)
                .map(|(&step, &floor)| variants::optimal_variance(step, floor).unwrap())
                .collect();
            let (_, at_end) = forward::marginal_moments(0.0, data, schedule.last()).unwrap();
            let want = gaussian::entropy(data, 1).unwrap() + gaussian::kl_scalar(0.0, at_end, 0.0, 1.0).unwrap();
            distance_of_numbers(right(&schedule, &floors, &best, data), want, size(&schedule, &floors, &best))
        });
    }

    #[test]
    fn wrong_variant_end() {
        rejects("the term L_T left out", |schedule, losses, variances, square| {
            let last = schedule.last();
            let at_end = last.alpha_bar * square - last.alpha_bar - last.one_minus_alpha_bar.ln();
            right(schedule, losses, variances, square) - 0.5 * at_end
        });
    }

    #[test]
    fn wrong_variant_constants() {
        rejects("the weighted losses alone", |schedule, losses, variances, _| {
            let weights = schedule.steps().iter().zip(variances).map(|(&s, &v)| objective::eps_weight(s, v).unwrap());
            weights.zip(losses).map(|(weight, loss)| weight * loss).sum()
        });
    }

    const REASON: &str = "up to 50 terms with logarithms of up to 28, in units of all terms";

    type Case = (Schedule, f64, f64, usize);

    fn gaussian_cases() -> impl Strategy<Value = Case> {
        (any_schedule(50), -3.0..3.0, 0.01..9.0, 0..3_usize)
    }

    fn right(schedule: &Schedule, losses: &[f64], variances: &[f64], square: f64) -> f64 {
        variants::bound_from_losses(schedule, losses, variances, square).unwrap()
    }

    fn floors(schedule: &Schedule, data: f64) -> Vec<f64> {
        schedule.steps().iter().map(|&step| objective::gaussian_floor(data, step).unwrap()).collect()
    }

    fn size(schedule: &Schedule, losses: &[f64], variances: &[f64]) -> f64 {
        let terms = schedule.steps().iter().zip(losses).zip(variances).map(|((&step, loss), &variance)| {
            objective::eps_weight(step, variance).unwrap() * loss
                + variance.ln().abs()
                + step.beta_tilde / variance
                + 1.0
        });
        terms.sum()
    }

    fn of_gaussian_data(
        (schedule, mean, data, choice): Case,
        bound: impl Fn(&Schedule, &[f64], &[f64], f64) -> f64,
    ) -> f64 {
        let choice = [DecoderVariance::Beta, DecoderVariance::BetaTilde(AT_ONE), DecoderVariance::Exact][choice];
        let vae = LinearVae::for_gaussian_data(&schedule, mean, data, choice).unwrap();
        let variances: Vec<f64> = (1..=schedule.timesteps()).map(|t| vae.decoder(t).unwrap().variance).collect();
        let at = |x0: f64| vae.elbo_posterior_form(&array![x0]).unwrap();
        let want = -0.5 * (at(mean + data.sqrt()) + at(mean - data.sqrt()));
        let floors = floors(&schedule, data);
        let scale = size(&schedule, &floors, &variances) + 10.0;
        distance_of_numbers(bound(&schedule, &floors, &variances, mean * mean + data), want, scale)
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Schedule, &[f64], &[f64], f64) -> f64) {
        check!(Identity).bound(1e-13, REASON).rejects(mistake, gaussian_cases(), |case| of_gaussian_data(case, &wrong));
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 0.5]).unwrap();
        let bound = |losses: &[f64], variances: &[f64], square| {
            variants::bound_from_losses(&schedule, losses, variances, square)
        };
        shape_mismatch(bound(&[0.1], &[0.1, 0.1], 1.0));
        shape_mismatch(bound(&[0.1, 0.1], &[0.1], 1.0));
        out_of_range(bound(&[0.1, -0.1], &[0.1, 0.1], 1.0));
        out_of_range(bound(&[0.1, 0.1], &[0.1, 0.0], 1.0));
        out_of_range(bound(&[0.1, 0.1], &[0.1, 0.1], -1.0));
        let zero = Schedule::from_betas(&[0.5, 1.0]).unwrap();
        let result = variants::bound_from_losses(&zero, &[0.1, 0.1], &[0.1, 0.1], 1.0);
        assert_eq!(result, Err(Error::ZeroSnr { t: 2 }));
    }
}

mod relative_weight {
    use super::*;

    const ALL: [Prediction; 3] = [Prediction::X0, Prediction::Eps, Prediction::V];

    /// The weights of the bound itself are 1, whatever is predicted; min-SNR is the same weight three times.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "30 roundings").property(step_after_first(50), |step| {
            bound_is_one(step, right).max(min_snr_agrees(step, |p| min_snr(step, p)))
        });
    }

    /// In small steps, the bound charges for ε half the fall of ln SNR.
    #[test]
    fn limit() {
        check!(Limit).bound(2e-5, "of the order of β/(1 − ᾱ) = 1e-5").property(0.1..0.99, |noise| {
            let schedule = Schedule::from_betas(&[noise, 1e-6]).unwrap();
            let fall = schedule.steps()[0].log_snr() - schedule.last().log_snr();
            distance_of_numbers(right(schedule.last(), 1.0, Prediction::Eps), 2.0 / fall, 1e-300)
        });
    }

    #[test]
    fn wrong_variant_min_snr() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "the min-SNR weight of eps used for v",
            step_after_first(50),
            |step| min_snr_agrees(step, |p| min_snr(step, if p == Prediction::V { Prediction::Eps } else { p })),
        );
    }

    #[test]
    fn wrong_variant_all_alike() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "the same weight for every prediction",
            step_after_first(50),
            |step| bound_is_one(step, |step, weight, _| right(step, weight, Prediction::Eps)),
        );
    }

    fn right(step: Step, weight: f64, prediction: Prediction) -> f64 {
        variants::relative_weight(step, weight, prediction).unwrap()
    }

    fn bound_is_one(step: Step, relative: impl Fn(Step, f64, Prediction) -> f64) -> f64 {
        let weights = [objective::x0_weight, objective::eps_weight, objective::v_weight];
        let each = ALL.into_iter().zip(weights).map(|(prediction, weight)| {
            distance_of_numbers(relative(step, weight(step, step.beta_tilde).unwrap(), prediction), 1.0, 1.0)
        });
        each.fold(0.0, larger)
    }

    fn min_snr(step: Step, prediction: Prediction) -> f64 {
        objective::min_snr_weight(step, 5.0, prediction).unwrap()
    }

    fn min_snr_agrees(step: Step, weight: impl Fn(Prediction) -> f64) -> f64 {
        let [x0, eps, v] = ALL.map(|prediction| right(step, weight(prediction), prediction));
        distance_of_numbers(x0, eps, 1e-300).max(distance_of_numbers(x0, v, 1e-300))
    }

    /// For v, over batches: by the variance 1/(1 − ᾱ) of which an error in x_0 is that of v.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let of = |step: Step| if step.t == 1 { 0.0 } else { right(step, 2.0, Prediction::V) };
        twin::agrees_by_step(check!(Torch), of, of, |steps| {
            let weight = diffusion::v_weight(steps, &steps.beta_tilde);
            (weight.reciprocal() * 2.0).where_self(&steps.beta_tilde.gt(0.0), &weight.zeros_like())
        });
    }

    #[test]
    fn bad_input() {
        let second = step_of(&[0.5, 0.5]);
        out_of_range(variants::relative_weight(second, -1.0, Prediction::Eps));
        out_of_range(variants::relative_weight(second, f64::NAN, Prediction::V));
        out_of_range(variants::relative_weight(step_of(&[0.5]), 1.0, Prediction::X0));
    }
}

mod angle {
    use super::*;

    /// Its cosine and its sine.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(6e-15, "50 steps of 4 roundings, by which ᾱ + (1 − ᾱ) may miss 1; a root shows half of it")
            .property(step(50), |s| roots(s, variants::angle));
    }

    /// It begins as √(1 − ᾱ), and ends at a right angle.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-6, "the sine is φ (1 − φ²/6)").cases([1e-12, 1e-9, 1e-6], |beta| {
            let small = distance_of_numbers(variants::angle(step_of(&[beta])), beta.sqrt(), 1e-300);
            larger(small, (variants::angle(step_of(&[beta, 1.0])) - std::f64::consts::FRAC_PI_2).abs())
        });
    }

    #[test]
    fn wrong_variant_root() {
        check!(Identity)
            .bound(6e-15, "as above")
            .rejects("the root forgotten", step(50), |s| roots(s, |s| s.alpha_bar.acos()));
    }

    #[test]
    fn wrong_variant_alpha() {
        check!(Identity)
            .bound(6e-15, "as above")
            .rejects("alpha for alpha_bar", step(50), |s| roots(s, |s| s.alpha.sqrt().acos()));
    }

    fn roots(step: Step, angle: impl Fn(Step) -> f64) -> f64 {
        let angle = angle(step);
        let cosine = (angle.cos() - step.alpha_bar.sqrt()).abs();
        larger(cosine, (angle.sin() - step.one_minus_alpha_bar.sqrt()).abs())
    }

    /// By ln SNR, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let size = |step: Step| 10.0 * variants::angle(step);
        twin::agrees_by_step(check!(Torch), variants::angle, size, |steps| (steps.log_snr() * -0.5).exp().atan());
    }
}

mod rotation_step {
    use super::*;

    const REASON: &str = "an angle is rounded by 2e-16; in units of the largest number";

    /// DDIM without noise, from the x̂_0 and the ε_θ that belong to v.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(cases(), |case| by_ddim(case, right));
    }

    /// With the true v, it comes to the x_{t−1} of the same data and noise.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property((step_after_first(50), arrays()), |(step, [x0, eps])| {
            let xt = forward::q_sample(&x0, step, &eps).unwrap();
            let v = objective::v_target(&x0, step, &eps).unwrap();
            let want = forward::q_sample(&x0, previous(step), &eps).unwrap();
            distance(&right(&xt, step, &v), &want, largest(&[&x0, &eps]))
        });
    }

    #[test]
    fn wrong_variant_sign() {
        rejects("turned the other way", |xt, step, v| right(xt, step, &-v));
    }

    #[test]
    fn wrong_variant_tangent() {
        rejects("along the tangent: Euler's step in the angle", |xt, step, v| {
            let turn = variants::angle(step) - variants::angle(previous(step));
            xt - &(v * turn)
        });
    }

    fn cases() -> impl Strategy<Value = (Step, [Array1<f64>; 2])> {
        (step(50), arrays())
    }

    fn right(xt: &Array1<f64>, step: Step, v: &Array1<f64>) -> Array1<f64> {
        variants::rotation_step(xt, step, v).unwrap()
    }

    fn by_ddim(
        (step, [xt, v]): (Step, [Array1<f64>; 2]),
        rotate: impl Fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let x0 = objective::x0_from_v(&xt, step, &v).unwrap();
        let eps = objective::eps_from_v(&xt, step, &v).unwrap();
        let want = sampler::ddim_step(&x0, step, &eps, 0.0, &Array1::zeros(xt.len())).unwrap();
        distance(&rotate(&xt, step, &v), &want, largest(&[&xt, &v]))
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>) {
        check!(Identity).bound(1e-14, REASON).rejects(mistake, cases(), |case| by_ddim(case, &wrong));
    }

    /// The twin's DDIM, over batches. Its size is that of x_t and of v, each turned by nothing.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property(twin::batch::<2>(), |batch| {
            let steps = batch.twin_steps();
            let [xt, v] = batch.arrays.each_ref().map(|array| twin::tensor(array, Kind::Double));
            let x0 = diffusion::x0_from_v(&xt, &steps, &v).unwrap();
            let eps = diffusion::eps_from_v(&xt, &steps, &v).unwrap();
            let got = twin::numbers(&diffusion::ddim_step(&x0, &eps, &steps, 0.0, &xt).unwrap());
            let rows = batch.steps().into_iter().enumerate().flat_map(|(i, step)| {
                let [xt, v] = batch.arrays.each_ref().map(|array| array.row(i).to_owned());
                let size = largest(&[&xt, &v]);
                right(&xt, step, &v).into_iter().map(move |want| (want, size))
            });
            got.into_iter().zip(rows).fold(0.0, |worst, (got, (want, size))| {
                larger(worst, twin::in_units(got, want, 4.0 * batch.budget() * size))
            })
        });
    }

    #[test]
    fn bad_input() {
        shape_mismatch(variants::rotation_step(&array![1.0], step_of(&[0.5]), &array![1.0, 2.0]));
    }
}

mod straight_path {
    use super::*;

    /// Data at s = 0 and noise at s = 1.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "1 · x + 0 · y").property(arrays(), |[x0, eps]| ends(&x0, &eps, right));
    }

    /// It is x_t, where the two share one ratio of noise to data, but for the scale.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property((step(50), arrays()), |(step, [x0, eps])| {
            let xt = forward::q_sample(&x0, step, &eps).unwrap();
            let xs = right(&x0, variants::flow_time(step), &eps);
            distance(&(xs * variants::flow_scale(step)), &xt, largest(&[&x0, &eps]))
        });
    }

    #[test]
    fn wrong_variant_time() {
        check!(Limit).bound(0.0, "as above").rejects("the time turned round: data at s = 1", arrays(), |[x0, eps]| {
            ends(&x0, &eps, |x0, s, eps| right(x0, 1.0 - s, eps))
        });
    }

    #[test]
    fn wrong_variant_roots() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "the roots of 1 - s and s",
            (step(50), arrays()),
            |(step, [x0, eps])| {
                let s = variants::flow_time(step);
                let xs = &x0 * (1.0 - s).sqrt() + &eps * s.sqrt();
                let xt = forward::q_sample(&x0, step, &eps).unwrap();
                distance(&(xs * variants::flow_scale(step)), &xt, largest(&[&x0, &eps]))
            },
        );
    }

    fn right(x0: &Array1<f64>, s: f64, eps: &Array1<f64>) -> Array1<f64> {
        variants::straight_path(x0, s, eps).unwrap()
    }

    fn ends(x0: &Array1<f64>, eps: &Array1<f64>, path: impl Fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>) -> f64 {
        distance(&path(x0, 0.0, eps), x0, 1.0).max(distance(&path(x0, 1.0, eps), eps, 1.0))
    }

    /// Linear interpolation by the library, at the time of each step.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-13, TWIN).property((readable(), arrays()), |(step, [x0, eps])| {
            let got = right(&x0, variants::flow_time(step), &eps);
            let want =
                twin::row(&x0).lerp_tensor(&twin::row(&eps), &twin_time(&one_of(step)).to_device(twin::device()));
            distance(&got, &Array1::from(twin::numbers(&want)), largest(&[&x0, &eps]))
        });
    }

    #[test]
    fn bad_input() {
        for s in [-0.1, 1.1, f64::NAN] {
            out_of_range(variants::straight_path(&array![1.0], s, &array![1.0]));
        }
        shape_mismatch(variants::straight_path(&array![1.0], 0.5, &array![1.0, 2.0]));
    }
}

/// s by the logistic function of −½ ln SNR.
#[cfg(feature = "torch")]
fn twin_time(steps: &torch::Steps) -> Tensor {
    (steps.log_snr() * -0.5).sigmoid()
}

mod velocity_target {
    use super::*;

    const REASON: &str = "differences of a straight line are exact; rounding by 1e-16/h, h = 1e-2";

    /// The derivative of the path by s.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-13, REASON).property(cases(), |case| by_differences(case, right));
    }

    /// From x_s it leads back to the data and on to the noise.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-15, "5 roundings, in units of the largest number").property(
            cases(),
            |(s, [x0, eps])| {
                let xs = variants::straight_path(&x0, s, &eps).unwrap();
                let u = right(&x0, &eps);
                let size = 2.0 * largest(&[&x0, &eps]);
                distance(&(&xs - &(&u * s)), &x0, size).max(distance(&(&xs + &(&u * (1.0 - s))), &eps, size))
            },
        );
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference).bound(1e-13, REASON).rejects("the time turned round: x_0 - eps", cases(), |case| {
            by_differences(case, |x0, eps| -right(x0, eps))
        });
    }

    #[test]
    fn wrong_variant_v() {
        check!(FiniteDifference).bound(1e-13, REASON).rejects("the v of the quarter circle", cases(), |case| {
            let (s, _) = case;
            by_differences(case, |x0, eps| eps * (1.0 - s) - x0 * s)
        });
    }

    fn cases() -> impl Strategy<Value = (f64, [Array1<f64>; 2])> {
        (0.05..0.95, arrays())
    }

    fn right(x0: &Array1<f64>, eps: &Array1<f64>) -> Array1<f64> {
        variants::velocity_target(x0, eps).unwrap()
    }

    fn by_differences(
        (s, [x0, eps]): (f64, [Array1<f64>; 2]),
        velocity: impl Fn(&Array1<f64>, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let slope = |i: usize| derivative(s, 1e-2, |s| variants::straight_path(&x0, s, &eps).unwrap()[i]);
        distance(&velocity(&x0, &eps), &Array1::from_shape_fn(x0.len(), slope), largest(&[&x0, &eps]))
    }

    /// Autograd of the path by s, a number after the other.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, "5 roundings, in units of the largest number").property(
            cases(),
            |(s, [x0, eps])| {
                let slopes = x0.iter().zip(&eps).map(|(&x0, &eps)| {
                    let s = Tensor::from_slice(&[s]).to_device(twin::device()).set_requires_grad(true);
                    ((&s - 1.0) * -x0 + &s * eps).sum(Kind::Double).backward();
                    twin::numbers(&s.grad())[0]
                });
                distance(&right(&x0, &eps), &slopes.collect::<Array1<f64>>(), largest(&[&x0, &eps]))
            },
        );
    }

    #[test]
    fn bad_input() {
        shape_mismatch(variants::velocity_target(&array![1.0], &array![1.0, 2.0]));
    }
}

mod gaussian_velocity {
    use super::*;

    const REASON: &str = "4000 terms up to 30; (x_s − (1 − s) x_0)/s with s ≥ 0.05";

    /// The mean of ε − x_0 over all data, by Bayes' rule on a grid.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, REASON).property(cases(), |case| by_bayes(case, right));
    }

    /// The best ε of chapter 7, as a velocity.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "divided by 1 − s ≥ 1/40 and multiplied by k").property(
            (2..40_usize, -3.0..3.0, 0.01..9.0, -4.0..4.0),
            |(steps, mean, variance, xs): (usize, f64, f64, f64)| {
                let schedule = variants::straight_schedule(steps).unwrap();
                let each = schedule.steps()[..steps - 1].iter().map(|&step| {
                    let (s, xs) = (variants::flow_time(step), array![xs]);
                    let xt = &xs * variants::flow_scale(step);
                    let eps = objective::gaussian_eps(mean, variance, &xt, step).unwrap();
                    let want = variants::velocity_from_eps(&xs, s, &eps).unwrap();
                    distance_of_numbers(right((mean, variance), xs[0], s), want[0], 1.0)
                });
                each.fold(0.0, larger)
            },
        );
    }

    /// At s = 0 the noise is not yet to be seen, at s = 1 the data no more.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "a few roundings of numbers up to 10").property(
            (-3.0..3.0, 0.01..9.0, -4.0..4.0),
            |(mean, variance, x)| {
                let at_data = distance_of_numbers(right((mean, variance), x, 0.0), -x, 10.0);
                larger(at_data, distance_of_numbers(right((mean, variance), x, 1.0), x - mean, 10.0))
            },
        );
    }

    #[test]
    fn wrong_variant_time() {
        rejects("the time turned round", |law, xs, s| right(law, xs, 1.0 - s));
    }

    #[test]
    fn wrong_variant_mean() {
        rejects("the mean of the data forgotten", |(_, variance), xs, s| right((0.0, variance), xs, s));
    }

    type Case = ((f64, f64), f64, f64);

    fn cases() -> impl Strategy<Value = Case> {
        ((-2.0..2.0, 0.1..4.0), -2.0..2.0, 0.05..1.0)
    }

    fn right((mean, variance): (f64, f64), xs: f64, s: f64) -> f64 {
        variants::gaussian_velocity(mean, variance, &array![xs], s).unwrap()[0]
    }

    fn by_bayes((law, xs, s): Case, velocity: impl Fn((f64, f64), f64, f64) -> f64) -> f64 {
        let (mean, variance) = law;
        let weight = |x0: f64| {
            gaussian::density(x0, mean, variance).unwrap() * gaussian::density(xs, (1.0 - s) * x0, s * s).unwrap()
        };
        let over = |f: &dyn Fn(f64) -> f64| {
            let sigma = variance.sqrt();
            // x_s may put x_0 up to 13 standard deviations of the data from their mean.
            integral(mean - 24.0 * sigma, mean + 24.0 * sigma, 4000, |x0| weight(x0) * f(x0))
        };
        let want = over(&|x0| (xs - (1.0 - s) * x0) / s - x0) / over(&|_| 1.0);
        distance_of_numbers(velocity(law, xs, s), want, 1.0)
    }

    fn rejects(mistake: &str, wrong: impl Fn((f64, f64), f64, f64) -> f64) {
        check!(Quadrature).bound(1e-12, REASON).rejects(mistake, cases(), |case| by_bayes(case, &wrong));
    }

    #[test]
    fn bad_input() {
        let velocity = |variance, s| variants::gaussian_velocity(0.0, variance, &array![1.0], s);
        out_of_range(velocity(-1.0, 0.5));
        out_of_range(velocity(1.0, 1.5));
        out_of_range(velocity(0.0, 0.0));
    }
}

mod flow_time {
    use super::*;

    /// Noise and data stand in the same ratio on both paths.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, "10 roundings of numbers up to 1, in units of 0.01 at least")
            .property(step(50), |step| ratios(step, variants::flow_time));
    }

    /// Small at first as √(1 − ᾱ) is, and 1 where nothing of the data is left.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-5, "the next term is the first times √(1 − ᾱ)").cases([1e-14, 1e-12, 1e-10], |beta| {
            let small = distance_of_numbers(variants::flow_time(step_of(&[beta])), beta.sqrt(), 1e-300);
            larger(small, (variants::flow_time(step_of(&[beta, 1.0])) - 1.0).abs())
        });
    }

    #[test]
    fn wrong_variant_variances() {
        check!(Identity).bound(1e-13, "as above").rejects(
            "variances for standard deviations: s = 1 - alpha_bar",
            step(50),
            |step| ratios(step, |step| step.one_minus_alpha_bar),
        );
    }

    #[test]
    fn wrong_variant_time() {
        check!(Identity).bound(1e-13, "as above").rejects("t/T for s", any_schedule(50), |schedule| {
            let t_over_big_t = |step: Step| step.t as f64 / schedule.timesteps() as f64;
            schedule.steps().iter().map(|&step| ratios(step, t_over_big_t)).fold(0.0, larger)
        });
    }

    fn ratios(step: Step, time: impl Fn(Step) -> f64) -> f64 {
        let s = time(step);
        distance_of_numbers(s * step.alpha_bar.sqrt(), (1.0 - s) * step.one_minus_alpha_bar.sqrt(), 1e-2)
    }

    /// The logistic function of −½ ln SNR, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let size = |step: Step| 10.0 * variants::flow_time(step);
        twin::agrees_by_step(check!(Torch), variants::flow_time, size, twin_time);
    }
}

mod flow_scale {
    use super::*;

    /// x_t, by the data and the noise in it.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "10 roundings").property(cases(), |case| scaled(case, variants::flow_scale));
    }

    /// 1 where all is data or all is noise, and √2 where there is as much of each.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "3 roundings").cases([(1e-40, 1.0), (0.5, 2.0_f64.sqrt())], |(beta, want)| {
            let at_end = variants::flow_scale(step_of(&[0.5, 1.0])) - 1.0;
            larger(at_end, distance_of_numbers(variants::flow_scale(step_of(&[beta])), want, 1e-300))
        });
    }

    #[test]
    fn wrong_variant_none() {
        check!(Identity).bound(1e-14, "as above").rejects("x_t taken for x_s", cases(), |case| scaled(case, |_| 1.0));
    }

    #[test]
    fn wrong_variant_inverse() {
        check!(Identity)
            .bound(1e-14, "as above")
            .rejects("divided where multiplied", cases(), |case| scaled(case, |step| 1.0 / variants::flow_scale(step)));
    }

    fn cases() -> impl Strategy<Value = (Step, [Array1<f64>; 2])> {
        (step(50), arrays())
    }

    fn scaled((step, [x0, eps]): (Step, [Array1<f64>; 2]), scale: impl Fn(Step) -> f64) -> f64 {
        let ratio = (step.one_minus_alpha_bar / step.alpha_bar).sqrt();
        let s = ratio / (1.0 + ratio);
        let xs = variants::straight_path(&x0, s, &eps).unwrap();
        distance(&(xs * scale(step)), &forward::q_sample(&x0, step, &eps).unwrap(), largest(&[&x0, &eps]))
    }

    /// √2 cos(φ − π/4), over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let size = |step: Step| 10.0 * variants::flow_scale(step);
        twin::agrees_by_step(check!(Torch), variants::flow_scale, size, |steps| {
            let angle = (steps.log_snr() * -0.5).exp().atan();
            (angle - std::f64::consts::FRAC_PI_4).cos() * 2.0_f64.sqrt()
        });
    }
}

mod velocity_from_eps {
    use super::*;

    const REASON: &str = "10 roundings, divided by 1 − s; in units of the largest number over 1 − s";

    /// With the noise that is in x_s, it is ε − x_0.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(on_path(), |case| of_the_truth(case, right));
    }

    /// The same from the predictions of v at x_t.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property((readable(), arrays()), |(step, [xt, v])| {
            let (s, k) = (variants::flow_time(step), variants::flow_scale(step));
            let eps = objective::eps_from_v(&xt, step, &v).unwrap();
            let want = variants::velocity_from_v(&xt, step, &v).unwrap();
            distance(&right(&(&xt / k), s, &eps), &want, largest(&[&xt, &v]) / (1.0 - s))
        });
    }

    #[test]
    fn wrong_variant_undivided() {
        rejects("not divided by 1 - s", |xs, _, eps| eps - xs);
    }

    #[test]
    fn wrong_variant_time() {
        rejects("the time turned round", |xs, s, eps| right(xs, 1.0 - s, eps));
    }

    fn right(xs: &Array1<f64>, s: f64, eps: &Array1<f64>) -> Array1<f64> {
        variants::velocity_from_eps(xs, s.min(0.999_999), eps).unwrap()
    }

    fn of_the_truth(
        (s, [x0, eps]): (f64, [Array1<f64>; 2]),
        velocity: impl Fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let xs = variants::straight_path(&x0, s, &eps).unwrap();
        distance(&velocity(&xs, s, &eps), &(&eps - &x0), largest(&[&x0, &eps]) / (1.0 - s))
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>) {
        check!(RoundTrip).bound(1e-14, REASON).rejects(mistake, on_path(), |case| of_the_truth(case, &wrong));
    }

    /// The noise less the predicted data, by the twin's formulas at x_t.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-12, TWIN).property((readable(), arrays()), |(step, [xt, eps])| {
            let steps = one_of(step);
            let (s, k) = (variants::flow_time(step), variants::flow_scale(step));
            let [x, noise] = [&xt, &eps].map(twin::row);
            let u = &noise - diffusion::x0_from_eps(&x, &steps, &noise).unwrap();
            let got = right(&(&xt / k), s, &eps);
            distance(&got, &Array1::from(twin::numbers(&u)), largest(&[&xt, &eps]) / (1.0 - s))
        });
    }

    #[test]
    fn bad_input() {
        for s in [-0.1, 1.0, f64::NAN] {
            out_of_range(variants::velocity_from_eps(&array![1.0], s, &array![1.0]));
        }
        shape_mismatch(variants::velocity_from_eps(&array![1.0], 0.5, &array![1.0, 2.0]));
    }
}

/// A step at which some of the data is left.
fn readable() -> impl Strategy<Value = Step> {
    step(50).prop_filter("some data must be left", |step| step.alpha_bar > 0.01)
}

/// Why a twin that is given 1 − ᾱ alone may differ.
#[cfg(feature = "torch")]
const TWIN: &str = "ᾱ is had from 1 − ᾱ, off by 1e-16 of 0.01; in units of the largest number";

/// A step of the twin with the same ᾱ, as the only step of a schedule.
#[cfg(feature = "torch")]
fn one_of(step: Step) -> torch::Steps {
    torch::Schedule::from_betas(&[step.one_minus_alpha_bar]).unwrap().at(&[1]).unwrap()
}

mod eps_from_velocity {
    use super::*;

    const REASON: &str = "10 roundings, in units of the largest number";

    /// Back from the velocity.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property(on_path(), |case| there_and_back(case, right));
    }

    /// At s = 1, x_s is the noise, whatever the velocity.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "x + 0 · u").property(arrays(), |[xs, u]| distance(&right(&xs, 1.0, &u), &xs, 1.0));
    }

    #[test]
    fn wrong_variant_x0() {
        check!(RoundTrip)
            .bound(1e-14, REASON)
            .rejects("the data, x_s - s u", on_path(), |case| there_and_back(case, |xs, s, u| xs - &(u * s)));
    }

    #[test]
    fn wrong_variant_undivided() {
        check!(RoundTrip)
            .bound(1e-14, REASON)
            .rejects("not multiplied by 1 - s", on_path(), |case| there_and_back(case, |xs, _, u| xs + u));
    }

    fn right(xs: &Array1<f64>, s: f64, u: &Array1<f64>) -> Array1<f64> {
        variants::eps_from_velocity(xs, s, u).unwrap()
    }

    fn there_and_back(
        (s, [xs, eps]): (f64, [Array1<f64>; 2]),
        back: impl Fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let u = variants::velocity_from_eps(&xs, s, &eps).unwrap();
        distance(&back(&xs, s, &u), &eps, largest(&[&xs, &eps]))
    }

    /// From the x_0 that the velocity implies, by the twin's formulas at x_t.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-12, "as above, divided by √(1 − ᾱ) ≥ 1e-3").property(
            (readable(), arrays()),
            |(step, [xs, u])| {
                let (s, k) = (variants::flow_time(step), variants::flow_scale(step));
                let x0 = twin::row(&xs) - twin::row(&u) * s;
                let eps = diffusion::eps_from_x0(&x0, &(twin::row(&xs) * k), &one_of(step)).unwrap();
                distance(&right(&xs, s, &u), &Array1::from(twin::numbers(&eps)), largest(&[&xs, &u]))
            },
        );
    }

    #[test]
    fn bad_input() {
        for s in [-0.1, 1.1, f64::NAN] {
            out_of_range(variants::eps_from_velocity(&array![1.0], s, &array![1.0]));
        }
        shape_mismatch(variants::eps_from_velocity(&array![1.0], 0.5, &array![1.0, 2.0]));
    }
}

mod velocity_from_v {
    use super::*;

    const REASON: &str = "10 roundings, in units of the largest number";

    /// The noise less the data, both from v.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(cases(), |case| by_both(case, right));
    }

    /// The slope of x_s by s, where both are followed by the angle.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-11, "h = 1e-3: h⁴/30 times fifth derivatives of up to 100, and 1e-16/h")
            .property((0.05..1.5, arrays()), |(angle, [x0, eps])| {
                let noise: f64 = f64::sin(angle).powi(2);
                let step = step_of(&[noise]);
                let scale = |angle: f64| angle.cos() + angle.sin();
                let slope_of_s = derivative(angle, 1e-3, |angle| angle.sin() / scale(angle));
                let slope_of_x = |i: usize| {
                    derivative(angle, 1e-3, |angle| (angle.cos() * x0[i] + angle.sin() * eps[i]) / scale(angle))
                };
                let xt = forward::q_sample(&x0, step, &eps).unwrap();
                let v = objective::v_target(&x0, step, &eps).unwrap();
                let want = Array1::from_shape_fn(x0.len(), |i| slope_of_x(i) / slope_of_s);
                distance(&right(&xt, step, &v), &want, largest(&[&x0, &eps]))
            });
    }

    #[test]
    fn wrong_variant_as_it_is() {
        rejects("v taken for the velocity as it is", |_, _, v| v.clone());
    }

    #[test]
    fn wrong_variant_scale() {
        rejects("v in the other scale, and no more", |_, step, v| v * variants::flow_scale(step));
    }

    fn cases() -> impl Strategy<Value = (Step, [Array1<f64>; 2])> {
        (step(50), arrays())
    }

    fn right(xt: &Array1<f64>, step: Step, v: &Array1<f64>) -> Array1<f64> {
        variants::velocity_from_v(xt, step, v).unwrap()
    }

    fn by_both(
        (step, [xt, v]): (Step, [Array1<f64>; 2]),
        velocity: impl Fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let eps = objective::eps_from_v(&xt, step, &v).unwrap();
        let want = eps - objective::x0_from_v(&xt, step, &v).unwrap();
        distance(&velocity(&xt, step, &v), &want, largest(&[&xt, &v]))
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>) {
        check!(Identity).bound(1e-14, REASON).rejects(mistake, cases(), |case| by_both(case, &wrong));
    }

    /// The twin's ε and x_0, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-13, TWIN).property((readable(), arrays()), |(step, [xt, v])| {
            let steps = one_of(step);
            let [x, velocity] = [&xt, &v].map(twin::row);
            let eps = diffusion::eps_from_v(&x, &steps, &velocity).unwrap();
            let u = eps - diffusion::x0_from_v(&x, &steps, &velocity).unwrap();
            distance(&right(&xt, step, &v), &Array1::from(twin::numbers(&u)), largest(&[&xt, &v]))
        });
    }

    #[test]
    fn bad_input() {
        shape_mismatch(variants::velocity_from_v(&array![1.0], step_of(&[0.5]), &array![1.0, 2.0]));
    }
}

mod flow_eps_weight {
    use super::*;

    /// Two predictions of the noise, as velocities.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(on_path(), |case| of_two(case, right));
    }

    /// 1 at the data, and (1 + 1/√SNR)².
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "1 − s is rounded by 1e-16, and 0.03 or above").cases(
            [1e-30, 0.1, 0.5, 0.999],
            |noise| {
                let step = step_of(&[noise]);
                let want = (1.0 + step.snr().sqrt().recip()).powi(2);
                distance_of_numbers(right(variants::flow_time(step)), want, 1e-300)
            },
        );
    }

    #[test]
    fn wrong_variant_square() {
        check!(Identity)
            .bound(1e-13, REASON)
            .rejects("not squared", on_path(), |case| of_two(case, |s| right(s).sqrt()));
    }

    #[test]
    fn wrong_variant_x0() {
        check!(Identity).bound(1e-13, REASON).rejects("the weight of an error in x_0, 1/s^2", on_path(), |case| {
            of_two(case, |s| right((1.0 - s).min(0.999)))
        });
    }

    const REASON: &str = "squares of numbers that are rounded a few times, in units of the largest over 1 − s, squared";

    fn right(s: f64) -> f64 {
        variants::flow_eps_weight(s).unwrap()
    }

    fn of_two((s, [a, b]): (f64, [Array1<f64>; 2]), weight: impl Fn(f64) -> f64) -> f64 {
        let xs = Array1::from_elem(a.len(), 0.7);
        let [u_a, u_b] = [&a, &b].map(|eps| variants::velocity_from_eps(&xs, s, eps).unwrap());
        let of_u = objective::l_simple(&u_a, &u_b).unwrap();
        let scale = (largest(&[&a, &b]) / (1.0 - s)).powi(2);
        distance_of_numbers(weight(s) * objective::l_simple(&a, &b).unwrap(), of_u, scale)
    }

    /// By ln SNR, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-12, TWIN).property(readable(), |step| {
            let root = (one_of(step).log_snr() * -0.5).exp();
            let want = twin::numbers(&(root + 1.0).square())[0];
            distance_of_numbers(right(variants::flow_time(step)), want, 1e-300)
        });
    }

    #[test]
    fn bad_input() {
        for s in [-0.1, 1.0, f64::NAN] {
            out_of_range(variants::flow_eps_weight(s));
        }
    }
}

mod flow_elbo_weight {
    use super::*;

    /// The loss of flow matching over s, and the weighted bound over ln SNR, for an error that depends on s anyhow.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(cases(), |case| over_both(case, right));
    }

    /// In many steps of the straight schedule, the weight of each against the bound.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-3, "of the order of 1/S over s (1 − s), S = 20 000").cases(
            [0.1, 0.25, 0.5, 0.75, 0.9],
            |s| {
                let steps = 20_000;
                let schedule = variants::straight_schedule(steps).unwrap();
                let step = schedule.step((s * steps as f64) as usize).unwrap();
                let loss = variants::flow_eps_weight(s).unwrap() / steps as f64;
                let relative = variants::relative_weight(step, loss, Prediction::Eps).unwrap();
                distance_of_numbers(right(s), relative, 1e-300)
            },
        );
    }

    #[test]
    fn wrong_variant_time() {
        rejects("the time turned round", |s| 1.0 / right(s));
    }

    #[test]
    fn wrong_variant_bound() {
        rejects("1, as in the bound", |_| 1.0);
    }

    #[test]
    fn wrong_variant_only_the_loss() {
        rejects("1/(1 - s)^2, as if ln SNR fell evenly", |s| variants::flow_eps_weight(s).unwrap());
    }

    const REASON: &str = "the tails beyond |λ| = 60 are e⁻⁶⁰; 6000 terms";

    fn cases() -> impl Strategy<Value = [f64; 3]> {
        [0.1..1.0, -1.0..1.0, -1.0..1.0]
    }

    fn right(s: f64) -> f64 {
        variants::flow_elbo_weight(s).unwrap()
    }

    fn over_both([a, b, c]: [f64; 3], weight: impl Fn(f64) -> f64) -> f64 {
        // ‖ε_θ − ε‖², which must vanish at s = 1, where the velocity is ill-determined, faster than (1 − s)².
        let error = |s: f64| s * (1.0 - s).powi(3) * (a + b * s + c * s * s).powi(2);
        let rule = literate_diffusion::s_curve::gauss_legendre(20);
        let of_flow = rule.iter().map(|(x, w)| {
            let s = 0.5 * (1.0 + x);
            0.5 * w * variants::flow_eps_weight(s).unwrap() * error(s)
        });
        let of_bound = 0.5
            * integral(-60.0, 60.0, 6000, |lambda| {
                let s = 1.0 / (1.0 + (0.5 * lambda).exp());
                weight(s) * error(s)
            });
        distance_of_numbers(of_bound, of_flow.sum(), 1e-3)
    }

    fn rejects(mistake: &str, wrong: impl Fn(f64) -> f64) {
        check!(Quadrature).bound(1e-13, REASON).rejects(mistake, cases(), |case| over_both(case, &wrong));
    }

    #[test]
    fn bad_input() {
        for s in [-0.1, 1.0, f64::NAN] {
            out_of_range(variants::flow_elbo_weight(s));
        }
    }
}

mod velocity_floor {
    use super::*;

    /// For Gaussian data, the variance that x_s leaves of ε − x_0.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "1 − s ≥ 0.03, squared; in units of 1 + v").property(
            (0.001..0.999, 0.01..9.0),
            |(noise, data): (f64, f64)| {
                let step = step_of(&[noise]);
                let s = variants::flow_time(step);
                let covariance = s - (1.0 - s) * data;
                let want = 1.0 + data - covariance.powi(2) / ((1.0 - s).powi(2) * data + s * s);
                let got = right(objective::gaussian_floor(data, step).unwrap(), s);
                distance_of_numbers(got, want, 1.0 + data)
            },
        );
    }

    /// For atoms and any function f: the loss with the target ε − x_0, less the loss with the target u*.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, REASON).property(cases(), |case| of_any_network(case, right));
    }

    #[test]
    fn wrong_variant_eps() {
        rejects("the floor of eps itself", |floor, _| floor);
    }

    #[test]
    fn wrong_variant_square() {
        rejects("divided by 1 - s, not by its square", |floor, s| floor / (1.0 - s));
    }

    #[test]
    fn wrong_variant_none() {
        rejects("no constant: as if the target could be reached", |_, _| 0.0);
    }

    const REASON: &str = "400 terms, in units of the loss";

    fn cases() -> impl Strategy<Value = (Array1<f64>, f64, [f64; 3])> {
        (atoms(), 0.1..0.9, [-2.0..2.0, -2.0..2.0, -2.0..2.0])
    }

    fn right(floor: f64, s: f64) -> f64 {
        variants::velocity_floor(floor, s).unwrap()
    }

    fn of_any_network(
        (atoms, noise, [a, b, c]): (Array1<f64>, f64, [f64; 3]),
        constant: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        let step = step_of(&[noise]);
        let (s, k) = (variants::flow_time(step), variants::flow_scale(step));
        let network = |xs: f64| a + b * xs + c * (3.0 * xs).sin();
        let velocity = |x0: f64, xs: f64| (xs - (1.0 - s) * x0) / s - x0;
        let conditional = mean_over(&atoms, step, |x0, xt| (network(xt / k) - velocity(x0, xt / k)).powi(2));
        let marginal =
            mean_over(&atoms, step, |_, xt| (network(xt / k) - velocity(best_x0(&atoms, step, xt), xt / k)).powi(2));
        let got = constant(floor_of(&atoms, step), s);
        distance_of_numbers(got, conditional - marginal, 1.0 + conditional)
    }

    fn rejects(mistake: &str, wrong: impl Fn(f64, f64) -> f64) {
        check!(Quadrature).bound(1e-13, REASON).rejects(mistake, cases(), |case| of_any_network(case, &wrong));
    }

    #[test]
    fn bad_input() {
        out_of_range(variants::velocity_floor(-0.1, 0.5));
        out_of_range(variants::velocity_floor(0.1, 1.0));
    }
}

mod straight_schedule {
    use super::*;

    /// Its times on the straight path.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-13, REASON).property(1..60_usize, |steps| times(steps, right));
    }

    /// ᾱ by the definition, and nothing left at the end.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(1..60_usize, |steps| {
            let schedule = right(steps);
            let each = schedule.steps().iter().map(|step| {
                let s = step.t as f64 / steps as f64;
                let want = (1.0 - s).powi(2) / ((1.0 - s).powi(2) + s * s);
                distance_of_numbers(step.alpha_bar, want, 1e-4)
            });
            larger(each.fold(0.0, larger), schedule.last().alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_variance_exploding() {
        check!(RoundTrip).bound(1e-13, REASON).rejects("sqrt(alpha_bar) = 1 - s", 1..60_usize, |steps| {
            times(steps, |steps| {
                let alpha_bar = |i: usize| ((steps - i) as f64 / steps as f64).powi(2);
                let betas: Vec<f64> = (1..=steps).map(|i| 1.0 - alpha_bar(i) / alpha_bar(i - 1)).collect();
                Schedule::from_betas(&betas).unwrap()
            })
        });
    }

    const REASON: &str = "up to 60 factors 1 − β, and ᾱ as small as 3e-4";

    fn right(steps: usize) -> Schedule {
        variants::straight_schedule(steps).unwrap()
    }

    fn times(steps: usize, schedule: impl Fn(usize) -> Schedule) -> f64 {
        let schedule = schedule(steps);
        let each = schedule
            .steps()
            .iter()
            .map(|&step| distance_of_numbers(variants::flow_time(step), step.t as f64 / steps as f64, 1e-300));
        each.fold(0.0, larger)
    }

    #[test]
    fn bad_input() {
        assert_eq!(variants::straight_schedule(0), Err(Error::NoTimesteps));
    }
}

mod euler_step {
    use super::*;

    const REASON: &str = "30 roundings, in units of the largest number";

    /// DDIM without noise, from x_t to x_{t−1}, in another scale.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(cases(), |case| by_ddim(case, right));
    }

    /// With the true velocity, it comes to the point of the same path.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-14, REASON).property((0.0..1.0, on_path()), |(s_next, (s, [x0, eps]))| {
            let [from, to] = [s, s_next].map(|s| variants::straight_path(&x0, s, &eps).unwrap());
            let u = variants::velocity_target(&x0, &eps).unwrap();
            distance(&right(&from, s, s_next, &u), &to, 2.0 * largest(&[&x0, &eps]))
        });
    }

    #[test]
    fn wrong_variant_sign() {
        rejects("the time turned round: the wrong way", |xs, s, s_next, u| right(xs, s, s_next, &-u));
    }

    #[test]
    fn wrong_variant_whole() {
        rejects("the whole way for the step", |xs, s, _, u| right(xs, s, 0.0, u));
    }

    fn cases() -> impl Strategy<Value = (Step, [Array1<f64>; 2])> {
        (step(50), arrays())
    }

    fn right(xs: &Array1<f64>, s: f64, s_next: f64, u: &Array1<f64>) -> Array1<f64> {
        variants::euler_step(xs, s, s_next, u).unwrap()
    }

    fn by_ddim(
        (step, [x0, eps]): (Step, [Array1<f64>; 2]),
        euler: impl Fn(&Array1<f64>, f64, f64, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let before = previous(step);
        let x_prev = sampler::ddim_step(&x0, step, &eps, 0.0, &Array1::zeros(x0.len())).unwrap();
        let xs = forward::q_sample(&x0, step, &eps).unwrap() / variants::flow_scale(step);
        let (s, s_next) = (variants::flow_time(step), variants::flow_time(before));
        let got = euler(&xs, s, s_next, &variants::velocity_target(&x0, &eps).unwrap());
        distance(&(got * variants::flow_scale(before)), &x_prev, largest(&[&x0, &eps]))
    }

    fn rejects(mistake: &str, wrong: impl Fn(&Array1<f64>, f64, f64, &Array1<f64>) -> Array1<f64>) {
        check!(Identity).bound(1e-14, REASON).rejects(mistake, cases(), |case| by_ddim(case, &wrong));
    }

    /// The twin's DDIM, in another scale.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-13, REASON).property((any_schedule(30), arrays()), |(schedule, [x0, eps])| {
            let each = schedule.steps().iter().map(|&step| {
                let steps = twin::twin(&schedule).at(&[step.t]).unwrap();
                let [data, noise] = [&x0, &eps].map(twin::row);
                let x_prev = diffusion::ddim_step(&data, &noise, &steps, 0.0, &noise).unwrap();
                let scale_of =
                    |alpha_bar: &Tensor, noise: &Tensor| twin::numbers(&(alpha_bar.sqrt() + noise.sqrt()))[0];
                let before = scale_of(&steps.alpha_bar_prev, &steps.one_minus_alpha_bar_prev);
                let xs = forward::q_sample(&x0, step, &eps).unwrap() / variants::flow_scale(step);
                let u = &eps - &x0;
                let got = right(&xs, variants::flow_time(step), variants::flow_time(previous(step)), &u);
                distance(&(got * before), &Array1::from(twin::numbers(&x_prev)), largest(&[&x0, &eps]))
            });
            each.fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        out_of_range(variants::euler_step(&array![1.0], 1.1, 0.5, &array![1.0]));
        out_of_range(variants::euler_step(&array![1.0], 0.5, -0.1, &array![1.0]));
        shape_mismatch(variants::euler_step(&array![1.0], 0.5, 0.4, &array![1.0, 2.0]));
    }
}

mod euler {
    use super::*;

    const REASON: &str = "up to 20 steps of 30 roundings, in units of the largest number";

    /// DDIM through any times, from its x_T: the same samples, where the ε-network is asked for velocities.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, REASON)
            .property(cases(), |case| by_ddim(case, |noise, times, velocity| variants::euler(noise, times, velocity)));
    }

    /// The exact solution for N(m, v) is x_0 = m + √v x_1. Euler's error falls as 1/S, so that 2 x(2S) − x(S) has none of it.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-3, "of the order of 1/S², S = 200").property(
            (-2.0..2.0, 0.1..2.0),
            |(mean, variance): (f64, f64)| {
                let noise = array![-1.5, 0.3, 2.0];
                let walk = |steps: usize| {
                    let times: Vec<f64> = (1..=steps).map(|i| i as f64 / steps as f64).collect();
                    variants::euler(&noise, &times, |xs, s| variants::gaussian_velocity(mean, variance, xs, s)).unwrap()
                };
                distance(&(walk(400) * 2.0 - walk(200)), &(&noise * variance.sqrt() + mean), 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_time() {
        check!(Identity).bound(1e-13, REASON).rejects("the network told 1 - s", cases(), |case| {
            by_ddim(case, |noise, times, velocity| {
                variants::euler(noise, times, |xs, s| velocity(xs, (1.0 - s).min(0.99)))
            })
        });
    }

    #[test]
    fn wrong_variant_next() {
        check!(Identity).bound(1e-13, REASON).rejects("the network told the time of the next state", cases(), |case| {
            by_ddim(case, |noise, times, velocity| {
                let next = |s: f64| times.iter().rev().find(|time| **time < s).copied().unwrap_or(times[0] / 2.0);
                variants::euler(noise, times, |xs, s| velocity(xs, next(s)))
            })
        });
    }

    type Velocity<'a> = &'a mut dyn FnMut(&ArrayRef1<f64>, f64) -> Result<Array1<f64>>;

    fn cases() -> impl Strategy<Value = (usize, f64, f64, Array1<f64>)> {
        let noise = prop::collection::vec(-3.0..3.0, 1..4_usize).prop_map(Array1::from);
        (1..20_usize, -2.0..2.0, 0.1..4.0, noise)
    }

    fn by_ddim(
        (count, mean, variance, noise): (usize, f64, f64, Array1<f64>),
        euler: impl Fn(&Array1<f64>, &[f64], Velocity) -> Result<Array1<f64>>,
    ) -> f64 {
        let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
        let times = evenly_spaced_times(100, count).unwrap();
        let best = |xt: &ArrayRef1<f64>, step| objective::gaussian_eps(mean, variance, xt, step);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let want = sampler::ddim(&noise, &schedule, &times, 0.0, best, &mut rng).unwrap();

        let steps: Vec<Step> = times.iter().map(|&t| schedule.step(t).unwrap()).collect();
        let flow_times: Vec<f64> = steps.iter().map(|&step| variants::flow_time(step)).collect();
        let x_end = noise / variants::flow_scale(schedule.last());
        let got = euler(&x_end, &flow_times, &mut |xs, s| variants::gaussian_velocity(mean, variance, xs, s)).unwrap();
        distance(&got, &want, 10.0)
    }

    #[test]
    fn bad_input() {
        let one = array![1.0];
        let walk = |times: &[f64]| variants::euler(&one, times, |xs, _| Ok(xs.to_owned()));
        assert_eq!(walk(&[]), Err(Error::Empty { name: "times" }));
        out_of_range(walk(&[0.5, 0.5, 1.0]));
        out_of_range(walk(&[0.0, 1.0]));
        out_of_range(walk(&[0.5, 1.5]));
        shape_mismatch(variants::euler(&one, &[1.0], |_, _| Ok(array![1.0, 2.0])));
        let refused = variants::euler(&one, &[1.0], |xs, s| variants::velocity_from_eps(xs, s, xs));
        out_of_range(refused);
    }
}

mod straightness {
    use super::*;

    /// The action of the path less that of the straight line between its ends.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(cases(), |case| by_action(case, right));
    }

    /// For N(m, v) every path is a point that keeps its place in the crowd: the crowd's width says how fast it moves.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-4, "of the order of 1/S², S = 400, where v ≥ 0.1").property(
            (0.1..4.0, 0.5..2.0),
            |(variance, noise): (f64, f64)| {
                let width = |s: f64| ((1.0 - s).powi(2) * variance + s * s).sqrt();
                let times: Vec<f64> = (1..=400).map(|i| f64::from(i) / 400.0).collect();
                let path: Vec<Array1<f64>> =
                    std::iter::once(0.0).chain(times.iter().copied()).map(|s| array![noise * width(s)]).collect();
                let slope = |s: f64| (s - (1.0 - s) * variance) / width(s);
                let squares = literate_diffusion::s_curve::gauss_legendre(40)
                    .into_iter()
                    .map(|(x, w)| 0.5 * w * slope(0.5 * (1.0 + x)).powi(2));
                let want = noise * noise * (squares.sum::<f64>() - (1.0 - variance.sqrt()).powi(2));
                distance_of_numbers(right(&path, &times), want, 1.0)
            },
        );
    }

    /// A straight line at an even pace has none.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-24, "squares of 1e-13").property(
            (1..20_usize, -3.0..3.0, -3.0..3.0),
            |(steps, from, to)| {
                let times: Vec<f64> = (1..=steps).map(|i| i as f64 / steps as f64).collect();
                let path: Vec<Array1<f64>> =
                    std::iter::once(0.0).chain(times.iter().copied()).map(|s| array![from + s * (to - from)]).collect();
                right(&path, &times)
            },
        );
    }

    #[test]
    fn wrong_variant_increments() {
        rejects("the increments, not divided by the time they take", |path, times| {
            let whole = &path[times.len()] - &path[0];
            let squares = path.windows(2).map(|pair| objective::l_simple(&(&pair[1] - &pair[0]), &whole).unwrap());
            squares.sum::<f64>() / times.len() as f64
        });
    }

    #[test]
    fn wrong_variant_even_pace() {
        rejects("every step counted alike", |path, times| {
            let whole = &path[times.len()] - &path[0];
            let starts = std::iter::once(0.0).chain(times.iter().copied());
            let squares =
                path.windows(2).zip(starts).zip(times).map(|((pair, from), to)| {
                    objective::l_simple(&((&pair[1] - &pair[0]) / (to - from)), &whole).unwrap()
                });
            squares.sum::<f64>() / times.len() as f64
        });
    }

    const REASON: &str = "up to 8 terms with 10 roundings each, in units of the action";

    type Case = (Vec<f64>, Vec<f64>);

    fn cases() -> impl Strategy<Value = Case> {
        (2..8_usize).prop_flat_map(|steps| {
            (prop::collection::vec(0.1..1.0, steps), prop::collection::vec(-2.0..2.0, steps + 1))
        })
    }

    fn right(path: &[Array1<f64>], times: &[f64]) -> f64 {
        variants::straightness(path, times).unwrap()
    }

    fn by_action((gaps, places): Case, measure: impl Fn(&[Array1<f64>], &[f64]) -> f64) -> f64 {
        let whole: f64 = gaps.iter().sum();
        let (mut times, mut sum) = (Vec::new(), 0.0);
        for gap in &gaps[..gaps.len() - 1] {
            sum += gap / whole;
            times.push(sum);
        }
        times.push(1.0);
        let path: Vec<Array1<f64>> = places.iter().map(|&place| array![place]).collect();
        let starts = std::iter::once(0.0).chain(times.iter().copied());
        let action: f64 = places
            .windows(2)
            .zip(starts)
            .zip(&times)
            .map(|((pair, from), to)| (pair[1] - pair[0]).powi(2) / (to - from))
            .sum();
        let want = action - (places[places.len() - 1] - places[0]).powi(2);
        distance_of_numbers(measure(&path, &times), want, action.max(1.0))
    }

    fn rejects(mistake: &str, wrong: impl Fn(&[Array1<f64>], &[f64]) -> f64) {
        check!(Identity).bound(1e-14, REASON).rejects(mistake, cases(), |case| by_action(case, &wrong));
    }

    #[test]
    fn bad_input() {
        let measure = |path: &[Array1<f64>], times: &[f64]| variants::straightness(path, times);
        let three = [array![0.0], array![1.0], array![2.0]];
        shape_mismatch(measure(&three, &[1.0]));
        shape_mismatch(measure(&[array![0.0], array![1.0, 2.0]], &[1.0]));
        out_of_range(measure(&three, &[0.5, 0.9]));
        out_of_range(measure(&three, &[0.0, 1.0]));
        out_of_range(measure(&[array![0.0], array![1.0], array![2.0], array![3.0]], &[0.6, 0.4, 1.0]));
        assert_eq!(measure(&three[..1], &[]), Err(Error::Empty { name: "path" }));
        assert_eq!(measure(&[array![], array![]], &[1.0]), Err(Error::Empty { name: "path" }));
    }
}

/// On the S-curve too, one predictor of ε serves DDIM and Euler's method through the same times.
#[test]
fn one_network_for_both() {
    let (curve, rng) = (SCurve::sound(), &mut ChaCha8Rng::seed_from_u64(0));
    let straight = variants::straight_schedule(8).unwrap();
    let noise = Array2::random_using((50, 2), StandardNormal, rng);
    let all: Vec<usize> = (1..=8).collect();
    let by_ddim = |xt: &ndarray::ArrayRef2<f64>, step: Step| match step.alpha_bar {
        0.0 => Ok(Array2::zeros(xt.raw_dim())), // nothing is known of x_0, whose mean is 0
        _ => curve.marginal(step).tweedie(xt),
    };
    let ddim = sampler::ddim_from_x0(&noise, &straight, &all, 0.0, by_ddim, rng).unwrap();
    let times: Vec<f64> = straight.steps().iter().map(|&step| variants::flow_time(step)).collect();
    let euler = variants::euler(&noise, &times, |xs, s| {
        let step = straight.steps()[times.iter().position(|&time| time == s).unwrap()];
        if s == 1.0 {
            return Ok(xs.to_owned()); // ε less the mean of x_0
        }
        let eps = curve.marginal(step).optimal_eps(&(xs * variants::flow_scale(step)))?;
        variants::velocity_from_eps(xs, s, &eps)
    });
    assert!(distance(&euler.unwrap(), &ddim, 1.0) < 1e-10);
}

/// The table of the times of two schedules is that of `schedule`.
#[test]
fn flow_times_of_a_respaced_schedule() {
    let all = Schedule::linear(100, 1e-3, 0.2).unwrap();
    let times = schedule::evenly_spaced_times(100, 10).unwrap();
    for (step, &t) in all.respaced(&times).unwrap().steps().iter().zip(&times) {
        let error = variants::flow_time(*step) - variants::flow_time(all.step(t).unwrap());
        assert!(error.abs() < 1e-12, "{error:e}");
    }
}
