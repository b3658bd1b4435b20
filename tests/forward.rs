//! Checks of chapter 4, the forward process: one module an equation, named by its slug.

mod support;

#[cfg(feature = "torch")]
use literate_diffusion::torch::{diffusion, tch::Tensor};
use literate_diffusion::{Error, Result, Schedule, Step, forward};
use ndarray::{Array1, ArrayRef1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::{Distribution, StandardNormal, StandardUniform};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{array, arrays, schedule, step};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, distance, distance_of_numbers, larger, z_score};

/// A formula with the signature of `q_step` and `q_sample`: the right one, or a wrong variant of it.
trait Noising: Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Result<Array1<f64>> {}
impl<F: Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>) -> Result<Array1<f64>>> Noising for F {}

/// Two arrays whose shapes differ are an error that names both shapes.
fn shapes_differ(noising: impl Noising) {
    let step = Schedule::from_betas(&[0.5]).unwrap().step(1).unwrap();
    let error = noising(&array![1.0, 2.0], step, &array![1.0]).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { name: "eps", expected: vec![2], got: vec![1] });
}

mod q_step {
    use super::*;

    /// From x_t and x_{t−1} the noise comes back.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(2e-9, "x_t up to 1e3 is rounded by 1e-13 and divided by √β ≥ 1e-3, a few times over")
            .property((step(50), arrays()), |(step, [x, eps])| {
                let xt = forward::q_step(&x, step, &eps).unwrap();
                let back = (&xt - &x * step.alpha.sqrt()) / step.beta.sqrt();
                distance(&back, &eps, 1.0)
            });
    }

    /// Data of variance 1 keeps variance 1.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| variance_one_stays(rng, forward::q_step));
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("the variance beta as the standard deviation", |rng| {
            variance_one_stays(rng, |x, step, eps| Ok(x * step.alpha.sqrt() + eps * step.beta))
        });
    }

    fn variance_one_stays(rng: &mut ChaCha8Rng, q_step: impl Noising) -> Vec<f64> {
        let schedule = Schedule::linear(4, 0.05, 0.9).unwrap();
        let mut scores = Vec::new();
        for &step in schedule.steps() {
            let x = Array1::random_using(100_000, StandardNormal, rng);
            let eps = Array1::random_using(100_000, StandardNormal, rng);
            let xt = q_step(&x, step, &eps).unwrap();
            scores.push(z_score(&xt.to_vec(), 0.0));
            scores.push(z_score(&xt.mapv(|x| x * x).to_vec(), 1.0));
        }
        scores
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x, eps], step| forward::q_step(x, step, eps),
            |[x, eps], steps| diffusion::q_step(x, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ(forward::q_step);
    }
}

mod q_chain {
    use super::*;

    /// Written out as a sum: x_t = √ᾱ_t x_0 + Σ_s √(ᾱ_t/ᾱ_s) √β_s ε_s.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "40 steps of 4 roundings each, on terms up to 1e3 and results scaled by at least 1")
            .property(path(), |(schedule, x0, eps)| {
                let path = forward::q_chain(&x0, &schedule, &eps).unwrap();
                distance(&path[schedule.timesteps()], &written_out(&schedule, &x0, &eps), magnitude(&x0, &eps))
            });
    }

    /// Without noise the chain only shrinks: x_T = √ᾱ_T x_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "40 products").property((schedule(40), array(3)), |(schedule, x0)| {
            let silence = vec![Array1::zeros(3); schedule.timesteps()];
            let path = forward::q_chain(&x0, &schedule, &silence).unwrap();
            distance(&path[schedule.timesteps()], &(&x0 * schedule.last().alpha_bar.sqrt()), 1e-300)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "each noise added without being shrunk later",
            path(),
            |case| {
                let (schedule, x0, eps) = case;
                let mut wrong = &x0 * schedule.last().alpha_bar.sqrt();
                schedule.steps().iter().zip(&eps).for_each(|(step, eps)| wrong.scaled_add(step.beta.sqrt(), eps));
                distance(&wrong, &written_out(&schedule, &x0, &eps), magnitude(&x0, &eps))
            },
        );
    }

    fn path() -> impl Strategy<Value = (Schedule, Array1<f64>, Vec<Array1<f64>>)> {
        schedule(40).prop_flat_map(|schedule| {
            let eps = prop::collection::vec(array(3), schedule.timesteps());
            (Just(schedule), array(3), eps)
        })
    }

    fn written_out(schedule: &Schedule, x0: &Array1<f64>, eps: &[Array1<f64>]) -> Array1<f64> {
        let alphas: Vec<f64> = schedule.steps().iter().map(|step| step.alpha).collect();
        let left_after = |t: usize| alphas[t..].iter().product::<f64>().sqrt();
        let mut xt = x0 * left_after(0);
        schedule.steps().iter().zip(eps).for_each(|(s, eps)| xt.scaled_add(left_after(s.t) * s.beta.sqrt(), eps));
        xt
    }

    fn magnitude(x0: &Array1<f64>, eps: &[Array1<f64>]) -> f64 {
        eps.iter().chain([x0]).flatten().fold(1.0, |most, x| most.max(x.abs()))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property(
            (schedule(40), array(3), prop::collection::vec(array(3), 40)),
            |case| {
                let (schedule, x0, mut eps) = case;
                eps.truncate(schedule.timesteps());
                let path = forward::q_chain(&x0, &schedule, &eps).unwrap();
                let noises: Vec<_> = eps.iter().map(twin::row).collect();
                let twin_path = diffusion::q_chain(&twin::row(&x0), &twin::twin(&schedule), &noises).unwrap();
                assert_eq!(twin_path.len(), path.len());
                let allowed = twin::budget(&schedule) * magnitude(&x0, &eps) * (1 + eps.len()) as f64;
                let numbers = twin_path.iter().flat_map(twin::numbers).zip(path.iter().flatten());
                numbers.map(|(got, &want)| twin::in_units(got, want, allowed)).fold(0.0, larger)
            },
        );
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 0.5]).unwrap();
        let too_few = forward::q_chain(&array![1.0], &schedule, &[array![0.0]]).unwrap_err();
        assert_eq!(too_few, Error::ShapeMismatch { name: "eps", expected: vec![2], got: vec![1] });
        assert!(forward::q_chain(&array![1.0], &schedule, &[array![0.0], array![0.0, 0.0]]).is_err());
    }
}

mod merge_noise {
    use super::*;

    /// Two steps, and one step of α_t α_{t−1} with the merged noise, arrive at the same x_t.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "10 roundings of terms up to 1e3").property(two_steps(), |case| {
            two_steps_at_once(case, |a, e, b, f| forward::merge_noise(a, e, b, f).unwrap())
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-13, "as above").rejects(
            "standard deviations added, not variances",
            two_steps(),
            |case| {
                two_steps_at_once(case, |first, eps_prev, second, eps| {
                    let (a, b) = ((second.alpha * first.beta).sqrt(), second.beta.sqrt());
                    (eps_prev * a + eps * b) / (a + b)
                })
            },
        );
    }

    /// Merged on from step to step, the noise is that of the closed form.
    #[test]
    fn merged_on() {
        let schedule = Schedule::linear(20, 0.05, 0.4).unwrap();
        let eps: Vec<_> = (0..20).map(|i| array![f64::from(i).sin(), 0.3 * f64::from(i) - 2.0]).collect();
        let x0 = array![1.5, -0.5];
        let path = forward::q_chain(&x0, &schedule, &eps).unwrap();
        let mut merged = eps[0].clone();
        for t in 2..=20 {
            let all_before = schedule.respaced(&[t - 1]).unwrap().step(1).unwrap();
            merged = forward::merge_noise(all_before, &merged, schedule.step(t).unwrap(), &eps[t - 1]).unwrap();
        }
        let at_once = forward::q_sample(&x0, schedule.last(), &merged).unwrap();
        assert!(distance(&at_once, &path[20], 1.0) < 1e-13);
    }

    /// The merged noise is again of mean 0 and variance 1.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let schedule = Schedule::linear(2, 0.3, 0.6).unwrap();
            let [eps_prev, eps] = [(); 2].map(|()| Array1::random_using(200_000, StandardNormal, rng));
            let [first, second] = [1, 2].map(|t| schedule.step(t).unwrap());
            let merged = forward::merge_noise(first, &eps_prev, second, &eps).unwrap();
            vec![z_score(&merged.to_vec(), 0.0), z_score(&merged.mapv(|x| x * x).to_vec(), 1.0)]
        });
    }

    type Case = (Schedule, [Array1<f64>; 3]);

    fn two_steps() -> impl Strategy<Value = Case> {
        (schedule(40).prop_filter("needs two steps", |s| s.timesteps() >= 2), arrays())
    }

    fn two_steps_at_once(
        (schedule, [x, eps_prev, eps]): Case,
        merge: impl Fn(Step, &Array1<f64>, Step, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let [first, second] = [schedule.steps()[schedule.timesteps() - 2], schedule.last()];
        let by_steps = forward::q_step(&forward::q_step(&x, first, &eps_prev).unwrap(), second, &eps).unwrap();
        let alpha = first.alpha * second.alpha;
        let variance = first.beta + second.beta - first.beta * second.beta;
        let at_once = x * alpha.sqrt() + merge(first, &eps_prev, second, &eps) * variance.sqrt();
        distance(&by_steps, &at_once, 1e3)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let before_last = |schedule: &Schedule| schedule.steps()[schedule.timesteps() - 2];
        check!(Torch).bound(1.0, twin::REASON).property(two_steps(), |(schedule, [eps_prev, eps, _])| {
            let want = forward::merge_noise(before_last(&schedule), &eps_prev, schedule.last(), &eps).unwrap();
            let at = |t: usize| twin::twin(&schedule).at(&[t]).unwrap();
            let [first, second] = [at(schedule.timesteps() - 1), at(schedule.timesteps())];
            let got = diffusion::merge_noise(&first, &twin::row(&eps_prev), &second, &twin::row(&eps)).unwrap();
            let allowed = eps_prev.mapv(f64::abs) + eps.mapv(f64::abs);
            let numbers = twin::numbers(&got).into_iter().zip(want).zip(allowed);
            numbers.map(|((got, want), sum)| twin::in_units(got, want, twin::budget(&schedule) * sum)).fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        shapes_differ(|eps_prev, step, eps| forward::merge_noise(step, eps_prev, step, eps));
    }
}

mod q_sample {
    use super::*;

    /// The closed form with the noises of the chain merged one by one is the chain itself.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "40 merges of 10 roundings each, on terms up to 1e3")
            .property(path(), |case| end_of_the_chain(case, forward::q_sample));
    }

    /// x_t has the mean and variance of its marginal.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| moments_of_draws(rng, StandardNormal));
    }

    #[test]
    fn wrong_variant_uniform_noise() {
        check!(MonteCarlo).rejects_z_scores("noise from rand, uniform in [0, 1), for noise from randn", |rng| {
            moments_of_draws(rng, StandardUniform)
        });
    }

    fn moments_of_draws(rng: &mut ChaCha8Rng, noise: impl Distribution<f64>) -> Vec<f64> {
        let step = Schedule::linear(10, 0.02, 0.4).unwrap().step(6).unwrap();
        let x0 = Array1::random_using(200_000, StandardNormal, rng) * 0.5 + 1.5;
        let eps = Array1::random_using(200_000, noise, rng);
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let (mean, variance) = forward::marginal_moments(1.5, 0.25, step).unwrap();
        vec![z_score(&xt.to_vec(), mean), z_score(&xt.mapv(|x| (x - mean).powi(2)).to_vec(), variance)]
    }

    #[test]
    fn wrong_variant_noise_is_not_scaled_by_a_root() {
        check!(Identity).bound(1e-12, "as above").rejects("1 - alpha_bar without the root", path(), |case| {
            end_of_the_chain(case, |x0, step, eps| Ok(x0 * step.alpha_bar.sqrt() + eps * step.one_minus_alpha_bar))
        });
    }

    #[test]
    fn wrong_variant_plus_for_times() {
        check!(Identity).bound(1e-12, "as above").rejects("a plus for a times", path(), |case| {
            end_of_the_chain(case, |x0, step, eps| {
                Ok(x0 * step.alpha_bar.sqrt() + (eps + step.one_minus_alpha_bar.sqrt()))
            })
        });
    }

    #[test]
    fn wrong_variant_off_by_one() {
        check!(Identity).bound(1e-12, "as above").rejects("alpha_bar of t - 1 for alpha_bar of t", path(), |case| {
            end_of_the_chain(case, |x0, step, eps| {
                Ok(x0 * step.alpha_bar_prev.sqrt() + eps * step.one_minus_alpha_bar_prev.sqrt())
            })
        });
    }

    type Case = (Schedule, Array1<f64>, Vec<Array1<f64>>);

    fn path() -> impl Strategy<Value = Case> {
        schedule(40).prop_flat_map(|schedule| {
            let eps = prop::collection::vec(array(2), schedule.timesteps());
            (Just(schedule), array(2), eps)
        })
    }

    fn end_of_the_chain((schedule, x0, eps): Case, q_sample: impl Noising) -> f64 {
        let by_steps = forward::q_chain(&x0, &schedule, &eps).unwrap().pop().unwrap();
        // Merge ε̄_t = [√(α_t (1 − ᾱ_{t−1})) ε̄_{t−1} + √β_t ε_t] / √(1 − ᾱ_t), from ε̄_1 = ε_1.
        let mut merged = eps[0].clone();
        for step in &schedule.steps()[1..] {
            let before = (step.alpha * step.one_minus_alpha_bar_prev).sqrt();
            merged = (merged * before + &eps[step.t - 1] * step.beta.sqrt()) / step.one_minus_alpha_bar.sqrt();
        }
        let at_once = q_sample(&x0, schedule.last(), &merged).unwrap();
        distance(&at_once, &by_steps, 1e3)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, eps], step| forward::q_sample(x0, step, eps),
            |[x0, eps], steps| diffusion::q_sample(x0, steps, eps),
        );
    }

    #[test]
    fn bad_input() {
        shapes_differ(forward::q_sample);
    }
}

mod marginal_moments {
    use super::*;

    /// Moment by moment along the chain: each step shrinks the mean by √α and makes α·variance + β of the variance.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, "40 steps of 3 roundings each, all of positive numbers")
            .property(case(), |case| {
                along_the_chain(case, |m, v, step| forward::marginal_moments(m, v, step).unwrap())
            });
    }

    /// Where nothing of the data is left, x_T is N(0, 1) whatever the data was.
    #[test]
    fn limit() {
        let schedule = Schedule::linear(10, 0.1, 0.2).unwrap().rescale_zero_terminal_snr().unwrap();
        check!(Limit).bound(0.0, "ᾱ_T is exactly 0").cases(
            [(0.0, 1.0), (3.0, 0.0), (-1e6, 1e6)],
            |(mean, variance)| {
                let (mean, variance) = forward::marginal_moments(mean, variance, schedule.last()).unwrap();
                larger(mean.abs(), (variance - 1.0).abs())
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-13, "as above").rejects(
            "the variance of the data shrunk by the root",
            case(),
            |case| {
                along_the_chain(case, |m, v, s| {
                    (s.alpha_bar.sqrt() * m, s.alpha_bar.sqrt() * v + s.one_minus_alpha_bar)
                })
            },
        );
    }

    fn case() -> impl Strategy<Value = (Schedule, f64, f64)> {
        (schedule(40), -5.0..5.0, 0.0..5.0)
    }

    fn along_the_chain(
        (schedule, mean, variance): (Schedule, f64, f64),
        moments: impl Fn(f64, f64, Step) -> (f64, f64),
    ) -> f64 {
        let step_on = |(m, v): (f64, f64), step: &Step| (step.alpha.sqrt() * m, step.alpha * v + step.beta);
        let by_steps = schedule.steps().iter().fold((mean, variance), step_on);
        let at_once = moments(mean, variance, schedule.last());
        distance_of_numbers(at_once.0, by_steps.0, 1e-6).max(distance_of_numbers(at_once.1, by_steps.1, 1e-6))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property((twin::batch::<0>(), -5.0..5.0, 0.0..5.0), |(batch, m, v)| {
            let numbers = |x: f64| Tensor::from_slice(&vec![x; batch.times.len()]);
            let (means, variances) =
                diffusion::marginal_moments(&numbers(m), &numbers(v), &batch.twin_steps()).unwrap();
            let got = twin::numbers(&means).into_iter().zip(twin::numbers(&variances));
            let differ = |((mean, variance), step): ((f64, f64), Step)| {
                let want = forward::marginal_moments(m, v, step).unwrap();
                let of_mean = twin::in_units(mean, want.0, batch.budget() * want.0.abs());
                larger(of_mean, twin::in_units(variance, want.1, batch.budget() * want.1))
            };
            got.zip(batch.steps()).map(differ).fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        let step = Schedule::from_betas(&[0.5]).unwrap().step(1).unwrap();
        for variance in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(forward::marginal_moments(0.0, variance, step), Err(Error::OutOfRange { .. })));
        }
    }
}
