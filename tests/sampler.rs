//! Checks of chapter 8, the samplers: one module an equation, named by its slug.
//!
//! On data N(m, v) the best denoiser is known, and with it the law of what a sampler makes: the samplers are checked
//! against it by random draws, and the law against what must be true of it.

mod support;

use literate_diffusion::objective::{self, Variance};
use literate_diffusion::sampler::{self, Denoiser, LastStep};
use literate_diffusion::schedule::evenly_spaced_times;
#[cfg(feature = "torch")]
use literate_diffusion::torch::{Steps, diffusion};
use literate_diffusion::{Error, Result, Schedule, Step, forward, gaussian, posterior};
use ndarray::{Array1, ArrayRef1, Ix1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{array, arrays, schedule, step, step_after_first};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, distance, distance_of_numbers, larger, z_score};

/// Data that is neither centred nor of variance 1: for N(0, 1), much that is wrong comes out right.
const MEAN: f64 = 1.5;
const VARIANCE: f64 = 0.25;

/// Eight steps to ᾱ_T = 0.04, coarse enough for σ² to matter.
fn coarse() -> Schedule {
    Schedule::linear(8, 0.05, 0.6).unwrap()
}

/// The same, until nothing of the data is left.
fn coarse_to_zero_snr() -> Schedule {
    coarse().rescale_zero_terminal_snr().unwrap()
}

/// The best prediction of ε.
fn best_eps(xt: &ArrayRef1<f64>, step: Step) -> Result<Array1<f64>> {
    objective::gaussian_eps(MEAN, VARIANCE, xt, step)
}

/// The best prediction of x_0: the regression line of x_0 on x_t.
fn best_x0(xt: &ArrayRef1<f64>, step: Step) -> Result<Array1<f64>> {
    let signal = step.alpha_bar.sqrt();
    let slope = signal * VARIANCE / (step.alpha_bar * VARIANCE + step.one_minus_alpha_bar);
    Ok((xt - signal * MEAN) * slope + MEAN)
}

const DRAWS: usize = 40_000;

fn noise(rng: &mut impl Rng) -> Array1<f64> {
    Array1::random_using(DRAWS, StandardNormal, rng)
}

/// The mean and the variance of draws, against those of the law that they should have.
fn scores(draws: &Array1<f64>, (mean, variance): (f64, f64)) -> Vec<f64> {
    vec![z_score(&draws.to_vec(), mean), z_score(&draws.mapv(|x| (x - mean).powi(2)).to_vec(), variance)]
}

fn step_of(betas: &[f64]) -> Step {
    Schedule::from_betas(betas).unwrap().last()
}

/// The largest |x|, and at least 1.
fn largest(arrays: &[&Array1<f64>]) -> f64 {
    arrays.iter().flat_map(|array| array.iter()).fold(1.0, |most, x| most.max(x.abs()))
}

fn choices() -> [(Variance, LastStep); 4] {
    let both = |variance| [(variance, LastStep::Mean), (variance, LastStep::Noise)];
    let [[a, b], [c, d]] = [both(Variance::Beta), both(Variance::BetaTilde)];
    [a, b, c, d]
}

/// A step of a sampler: two predictions or states, the step, σ and the fresh noise.
type StepCase = (Step, [Array1<f64>; 3]);

/// σ that is not a finite number, 0 or above, is an error, and so are shapes that differ.
fn step_errors(formula: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, f64, &ArrayRef1<f64>) -> Result<Array1<f64>>) {
    let (one, two) = (array![1.0], array![1.0, 2.0]);
    assert!(matches!(formula(&one, &two, 0.0, &one), Err(Error::ShapeMismatch { .. })));
    let error = formula(&one, &one, 0.0, &two).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { name: "z", expected: vec![1], got: vec![2] });
    for sigma in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(formula(&one, &one, sigma, &one), Err(Error::OutOfRange { name: "sigma", .. })));
    }
}

mod ancestral_sigma {
    use super::*;

    /// σ² is β_t = 1 − α_t, or one over the precision of the posterior; the last step is of no account after t = 1.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, REASON).property(step_after_first(50), |step| by_precision(step, right));
    }

    /// At t = 1.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "the root of 0.25 is exact").cases(choices(), |(variance, last_step)| {
            let want = if (variance, last_step) == (Variance::Beta, LastStep::Noise) { 0.5 } else { 0.0 };
            (right(step_of(&[0.25]), variance, last_step) - want).abs()
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(2e-14, REASON).rejects("the variance for its root", step_after_first(50), |step| {
            by_precision(step, |step, variance, _| variance.of(step))
        });
    }

    const REASON: &str =
        "1 − α_t is off by 1e-16, which is 1e-16/β_t of it; in units of 1/β_t, and for the precision 50 roundings";

    fn right(step: Step, variance: Variance, last_step: LastStep) -> f64 {
        sampler::ancestral_sigma(step, variance, last_step)
    }

    fn by_precision(step: Step, sigma: impl Fn(Step, Variance, LastStep) -> f64) -> f64 {
        let error = |(variance, last_step)| {
            let want: f64 = match variance {
                Variance::Beta => 1.0 - step.alpha,
                Variance::BetaTilde => 1.0 / posterior::posterior_precision(step),
            };
            distance_of_numbers(sigma(step, variance, last_step).powi(2), want, 1e-300) * step.beta
        };
        choices().map(error).into_iter().fold(0.0, crate::support::larger)
    }

    #[test]
    fn the_default_is_the_mean() {
        assert_eq!(LastStep::default(), LastStep::Mean);
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let all = [
            (Variance::Beta, LastStep::Mean, 1.0),
            (Variance::Beta, LastStep::Noise, 2.0),
            (Variance::BetaTilde, LastStep::Noise, 3.0),
        ];
        let sigma = |step: Step| -> f64 {
            all.iter().map(|&(variance, last, share)| share * sampler::ancestral_sigma(step, variance, last)).sum()
        };
        let twin = |steps: &Steps| {
            all.iter().map(|&(variance, last, share)| diffusion::ancestral_sigma(steps, variance, last) * share).sum()
        };
        twin::agrees_by_step(check!(Torch), sigma, sigma, twin);
    }
}

mod ancestral_step {
    use super::*;

    /// The noise gives x_0, and x_0 the posterior mean.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, "30 roundings, in units of the largest number divided by √α_t").property(
            (step(50), arrays()),
            |(step, [xt, eps, z]): StepCase| {
                let x0 = objective::x0_from_eps(&xt, step, &eps).unwrap();
                let want = sampler::ancestral_step_from_x0(&x0, &xt, step, 0.5, &z).unwrap();
                let got = sampler::ancestral_step(&xt, step, &eps, 0.5, &z).unwrap();
                distance(&got, &want, largest(&[&xt, &eps, &z]) / step.alpha.sqrt())
            },
        );
    }

    /// With the best prediction and the true variance of x_{t−1} given x_t, x_{t−1} has the marginal of its time.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| marginals(rng, right));
    }

    #[test]
    fn wrong_variant_alpha_bar_for_alpha() {
        check!(MonteCarlo).rejects_z_scores("the root of alpha_bar for that of alpha", |rng| {
            marginals(rng, |xt, step, eps, sigma, z| {
                let mean = objective::mean_from_eps(xt, step, eps)?;
                Ok(mean * step.alpha.sqrt() / step.alpha_bar.sqrt() + z * sigma)
            })
        });
    }

    #[test]
    fn wrong_variant_variance_for_root() {
        check!(MonteCarlo).rejects_z_scores("1 - alpha_bar without the root", |rng| {
            marginals(rng, |xt, step, eps, sigma, z| {
                Ok((xt - eps * (step.beta / step.one_minus_alpha_bar)) / step.alpha.sqrt() + z * sigma)
            })
        });
    }

    #[test]
    fn wrong_variant_sigma_squared() {
        check!(MonteCarlo).rejects_z_scores("the variance as the standard deviation", |rng| {
            marginals(rng, |xt, step, eps, sigma, z| right(xt, step, eps, sigma * sigma, z))
        });
    }

    /// On data N(0, 1) nobody would notice: there the reverse step is the forward step.
    #[test]
    fn wrong_variant_forward() {
        check!(MonteCarlo).rejects_z_scores("the forward formula", |rng| {
            marginals(rng, |xt, step, _, _, z| forward::q_step(xt, step, z))
        });
    }

    fn right(
        xt: &ArrayRef1<f64>,
        step: Step,
        eps: &ArrayRef1<f64>,
        sigma: f64,
        z: &ArrayRef1<f64>,
    ) -> Result<Array1<f64>> {
        sampler::ancestral_step(xt, step, eps, sigma, z)
    }

    fn marginals(
        rng: &mut ChaCha8Rng,
        step_back: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>, f64, &ArrayRef1<f64>) -> Result<Array1<f64>>,
    ) -> Vec<f64> {
        let mut all = Vec::new();
        for &step in coarse().steps() {
            let (mean, variance) = forward::marginal_moments(MEAN, VARIANCE, step).unwrap();
            let variance_prev = step.alpha_bar_prev * VARIANCE + step.one_minus_alpha_bar_prev;
            // Var(x_{t−1} | x_t) = Var(x_{t−1}) − Cov²/Var(x_t), with Cov = √α_t Var(x_{t−1}).
            let sigma = (variance_prev - step.alpha * variance_prev.powi(2) / variance).sqrt();
            let xt = noise(rng) * variance.sqrt() + mean;
            let x_prev = step_back(&xt, step, &best_eps(&xt, step).unwrap(), sigma, &noise(rng)).unwrap();
            all.extend(scores(&x_prev, (step.alpha_bar_prev.sqrt() * MEAN, variance_prev)));
        }
        all
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[xt, eps, z], step| sampler::ancestral_step(xt, step, eps, step.beta.sqrt(), z),
            |[xt, eps, z], steps| {
                let mean = diffusion::mean_from_eps(xt, steps, eps)?;
                diffusion::ancestral_step(&mean, steps, &steps.beta.sqrt(), z)
            },
        );
    }

    #[test]
    fn bad_input() {
        step_errors(|xt, eps, sigma, z| sampler::ancestral_step(xt, step_of(&[0.5]), eps, sigma, z));
        let one = array![1.0];
        let error = sampler::ancestral_step(&one, step_of(&[0.5, 1.0]), &one, 0.0, &one).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

mod ancestral_step_from_x0 {
    use super::*;

    /// Bayes: what x_t says of x_{t−1}, N(x_t/√α_t, β_t/α_t), times what x_0 says, N(√ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}).
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(case(), |case| by_bayes(case, right));
    }

    /// At t = 1 it returns x̂_0, and where α_T = 0 it starts afresh from √ᾱ_{T−1} x̂_0.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "3 roundings").cases([1e-6, 0.3, 0.95], |beta| {
            let (x0, xt, z) = (array![0.0, -2.5, 1e3], array![7.0, -1e3, 0.0], array![0.0, 0.0, 0.0]);
            let at_first = right(&x0, &xt, step_of(&[beta]), 1.0, &z).unwrap();
            let at_zero_snr = right(&x0, &xt, step_of(&[beta, 1.0]), 1.0, &z).unwrap();
            distance(&at_first, &x0, 1e-300).max(distance(&at_zero_snr, &(&x0 * (1.0 - beta).sqrt()), 1e-300))
        });
    }

    #[test]
    fn wrong_variant_alpha_bar_for_alpha() {
        check!(Identity).bound(1e-14, REASON).rejects("the root of alpha_bar for that of alpha", case(), |case| {
            by_bayes(case, |x0, xt, step, sigma, z| right(x0, xt, Step { alpha: step.alpha_bar, ..step }, sigma, z))
        });
    }

    #[test]
    fn wrong_variant_off_by_one() {
        check!(Identity).bound(1e-14, REASON).rejects("alpha_bar of t for that of t - 1", case(), |case| {
            by_bayes(case, |x0, xt, step, sigma, z| {
                right(x0, xt, Step { alpha_bar_prev: step.alpha_bar, ..step }, sigma, z)
            })
        });
    }

    const REASON: &str = "30 roundings, in units of the largest number";

    fn case() -> impl Strategy<Value = StepCase> {
        (step_after_first(50), arrays())
    }

    fn right(
        x0: &ArrayRef1<f64>,
        xt: &ArrayRef1<f64>,
        step: Step,
        sigma: f64,
        z: &ArrayRef1<f64>,
    ) -> Result<Array1<f64>> {
        sampler::ancestral_step_from_x0(x0, xt, step, sigma, z)
    }

    fn by_bayes(
        (step, [x0, eps, z]): StepCase,
        step_back: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, Step, f64, &ArrayRef1<f64>) -> Result<Array1<f64>>,
    ) -> f64 {
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let product = |x0: f64, xt: f64| {
            let from_xt = (xt / step.alpha.sqrt(), step.beta / step.alpha);
            let from_x0 = (step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev);
            gaussian::product_of_gaussians(from_xt, from_x0).unwrap().0
        };
        let mean: Array1<f64> = x0.iter().zip(&xt).map(|(&x0, &xt)| product(x0, xt)).collect();
        let got = step_back(&x0, &xt, step, 0.7, &z).unwrap();
        distance(&got, &(mean + &z * 0.7), largest(&[&x0, &eps, &z]) / step.alpha.sqrt())
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, xt, z], step| sampler::ancestral_step_from_x0(x0, xt, step, step.beta_tilde.sqrt(), z),
            |[x0, xt, z], steps| {
                let mean = diffusion::posterior_mean(x0, xt, steps)?;
                diffusion::ancestral_step(&mean, steps, &steps.beta_tilde.sqrt(), z)
            },
        );
    }

    #[test]
    fn bad_input() {
        step_errors(|x0, xt, sigma, z| sampler::ancestral_step_from_x0(x0, xt, step_of(&[0.5]), sigma, z));
    }
}

/// A sampler of every step, with the noise that it starts from and its generator.
trait EveryStep: Fn(&Array1<f64>, Variance, LastStep, &mut ChaCha8Rng) -> Result<Array1<f64>> {}
impl<F: Fn(&Array1<f64>, Variance, LastStep, &mut ChaCha8Rng) -> Result<Array1<f64>>> EveryStep for F {}

/// Draws of each choice of variance and last step, against the law that they have on this schedule.
fn every_choice(rng: &mut ChaCha8Rng, schedule: &Schedule, sampler: impl EveryStep) -> Vec<f64> {
    let mut all = Vec::new();
    for (variance, last_step) in choices() {
        let draws = sampler(&noise(rng), variance, last_step, rng).unwrap();
        let law = sampler::ancestral_moments(MEAN, VARIANCE, schedule, variance, last_step).unwrap();
        all.extend(scores(&draws, law));
    }
    all
}

type AnyDenoiser = dyn FnMut(&ArrayRef1<f64>, Step) -> Result<Array1<f64>>;

/// What comes of a denoiser that returns another shape, or fails.
fn loop_errors(sampler: impl Fn(&mut AnyDenoiser) -> Result<Array1<f64>>) {
    let error = sampler(&mut |_, _| Ok(array![1.0, 2.0, 3.0])).unwrap_err();
    let name = "the prediction of the denoiser";
    assert_eq!(error, Error::ShapeMismatch { name, expected: vec![2], got: vec![3] });
    let error = sampler(&mut |_, _| Err(Error::NoTimesteps)).unwrap_err();
    assert_eq!(error, Error::NoTimesteps);
}

mod ancestral {
    use super::*;

    /// The draws have the law that the steps compose to.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            every_choice(rng, &coarse(), |x_end, variance, last_step, rng| {
                sampler::ancestral(x_end, &coarse(), variance, last_step, best_eps, rng)
            })
        });
    }

    /// If all the data is one point, every sample is that point.
    #[test]
    fn limit() {
        check!(Limit).bound(2e-14, "100 roundings, in units of the largest number divided by √α_1").property(
            (schedule(20), array(3), -5.0..5.0, any::<u64>()),
            |(schedule, x_end, point, seed)| {
                let denoiser = |xt: &ArrayRef1<f64>, step| objective::gaussian_eps(point, 0.0, xt, step);
                let error = |variance| {
                    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
                    let x0 = sampler::ancestral(&x_end, &schedule, variance, LastStep::Mean, denoiser, rng).unwrap();
                    let scale = largest(&[&x_end]) / schedule.step(1).unwrap().alpha.sqrt();
                    distance(&x0, &Array1::from_elem(3, point), scale)
                };
                error(Variance::Beta).max(error(Variance::BetaTilde))
            },
        );
    }

    #[test]
    fn wrong_variant_forward() {
        check!(MonteCarlo).rejects_z_scores("the forward formula", |rng| {
            every_choice(rng, &coarse(), |x_end, _, _, rng| {
                coarse().steps().iter().try_fold(x_end.clone(), |x, &step| forward::q_step(&x, step, &noise(rng)))
            })
        });
    }

    #[test]
    fn wrong_variant_no_noise() {
        check!(MonteCarlo).rejects_z_scores("no noise at any step", |rng| {
            every_choice(rng, &coarse(), |x_end, _, _, _| {
                let back = coarse().steps().iter().rev().copied().collect::<Vec<Step>>();
                back.into_iter()
                    .try_fold(x_end.clone(), |x, step| objective::mean_from_eps(&x, step, &best_eps(&x, step)?))
            })
        });
    }

    #[test]
    fn wrong_variant_noise_at_the_last_step() {
        check!(MonteCarlo).rejects_z_scores("noise at the last step where the mean was meant", |rng| {
            every_choice(rng, &coarse(), |x_end, variance, _, rng| {
                sampler::ancestral(x_end, &coarse(), variance, LastStep::Noise, best_eps, rng)
            })
        });
    }

    #[test]
    fn wrong_variant_other_variance() {
        check!(MonteCarlo).rejects_z_scores("beta_tilde where beta was meant", |rng| {
            every_choice(rng, &coarse(), |x_end, _, last_step, rng| {
                sampler::ancestral(x_end, &coarse(), Variance::BetaTilde, last_step, best_eps, rng)
            })
        });
    }

    #[test]
    fn wrong_variant_time_off_by_one() {
        check!(MonteCarlo).rejects_z_scores("the denoiser told of t - 1", |rng| {
            every_choice(rng, &coarse(), |x_end, variance, last_step, rng| {
                let early = |xt: &ArrayRef1<f64>, step: Step| best_eps(xt, coarse().step((step.t - 1).max(1))?);
                sampler::ancestral(x_end, &coarse(), variance, last_step, early, rng)
            })
        });
    }

    #[test]
    fn wrong_variant_upwards() {
        check!(MonteCarlo).rejects_z_scores("t from 1 up to T", |rng| {
            every_choice(rng, &coarse(), |x_end, variance, last_step, rng| {
                coarse().steps().iter().try_fold(x_end.clone(), |x, &step| {
                    let sigma = sampler::ancestral_sigma(step, variance, last_step);
                    sampler::ancestral_step(&x, step, &best_eps(&x, step)?, sigma, &noise(rng))
                })
            })
        });
    }

    /// The denoiser sees x_T, …, x_1 with their steps, and what it saw last leads to the result.
    #[test]
    fn the_denoiser_may_record() {
        let mut seen = Vec::new();
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let record = |xt: &ArrayRef1<f64>, step: Step| {
            seen.push((step, xt.to_owned()));
            best_eps(xt, step)
        };
        let x_end = array![0.3, -1.0];
        let x0 = sampler::ancestral(&x_end, &coarse(), Variance::Beta, LastStep::Mean, record, rng).unwrap();
        assert!(seen.iter().map(|(step, _)| *step).eq(coarse().steps().iter().rev().copied()));
        assert_eq!(seen[0].1, x_end);
        let (first, x1) = &seen[seen.len() - 1];
        assert_eq!(x0, objective::mean_from_eps(x1, *first, &best_eps(x1, *first).unwrap()).unwrap());
    }

    /// No draw is made for a step that adds no noise.
    #[test]
    fn a_mean_draws_nothing() {
        let schedule = Schedule::from_betas(&[0.5]).unwrap();
        let [mut rng, mut untouched] = [(); 2].map(|()| ChaCha8Rng::seed_from_u64(0));
        let x_end = array![0.3, -1.0];
        sampler::ancestral(&x_end, &schedule, Variance::Beta, LastStep::Mean, best_eps, &mut rng).unwrap();
        assert_eq!(rng.random::<u64>(), untouched.random::<u64>());
    }

    #[test]
    fn bad_input() {
        let draw = |schedule: &Schedule, denoiser: &mut AnyDenoiser| {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            sampler::ancestral(&array![0.3, -1.0], schedule, Variance::Beta, LastStep::Mean, denoiser, rng)
        };
        loop_errors(|denoiser| draw(&coarse(), denoiser));
        let at_zero_snr = draw(&coarse_to_zero_snr(), &mut |xt, step| best_eps(xt, step));
        assert_eq!(at_zero_snr, Err(Error::ZeroSnr { t: 8 }));
    }
}

mod ancestral_from_x0 {
    use super::*;

    /// The same draws lead to the same samples as in `ancestral`.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, "8 steps of 30 roundings each, on numbers up to 1e3").property(
            (array(3), any::<u64>()),
            |(x_end, seed)| {
                let error = |(variance, last_step)| {
                    let [from_eps, from_x0] = &mut [(); 2].map(|()| ChaCha8Rng::seed_from_u64(seed));
                    let want = sampler::ancestral(&x_end, &coarse(), variance, last_step, best_eps, from_eps);
                    let got = sampler::ancestral_from_x0(&x_end, &coarse(), variance, last_step, best_x0, from_x0);
                    distance(&got.unwrap(), &want.unwrap(), largest(&[&x_end]))
                };
                choices().map(error).into_iter().fold(0.0, crate::support::larger)
            },
        );
    }

    /// Where ᾱ_T = 0 the start is the right one, and the law of the draws is still known.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| from_zero_snr(rng, best_x0));
    }

    #[test]
    fn wrong_variant_eps_for_x0() {
        check!(MonteCarlo)
            .rejects_z_scores("a prediction of eps taken for one of x_0", |rng| from_zero_snr(rng, best_eps));
    }

    #[test]
    fn wrong_variant_mean_of_the_data() {
        check!(MonteCarlo).rejects_z_scores("the mean of the data at every t", |rng| {
            from_zero_snr(rng, |xt, _| Ok(Array1::from_elem(xt.len(), MEAN)))
        });
    }

    fn from_zero_snr(rng: &mut ChaCha8Rng, denoiser: impl Denoiser<Ix1> + Copy) -> Vec<f64> {
        let schedule = coarse_to_zero_snr();
        every_choice(rng, &schedule, |x_end, variance, last_step, rng| {
            sampler::ancestral_from_x0(x_end, &schedule, variance, last_step, denoiser, rng)
        })
    }

    #[test]
    fn bad_input() {
        loop_errors(|denoiser| {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            let x_end = array![0.3, -1.0];
            sampler::ancestral_from_x0(&x_end, &coarse(), Variance::Beta, LastStep::Mean, denoiser, rng)
        });
    }
}

/// Times that a sampler may visit: all of the coarse schedule, and two choices of some.
fn visits() -> [Vec<usize>; 3] {
    [(1..=8).collect(), vec![2, 3, 6, 8], vec![1, 8]]
}

mod respaced_ancestral {
    use super::*;

    /// Through every time it is `ancestral`.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, "β′ is β up to 1e-15; 8 steps of 30 roundings each").property(
            (array(3), any::<u64>()),
            |(x_end, seed)| {
                let every_time: Vec<usize> = (1..=8).collect();
                let error = |(variance, last_step)| {
                    let [all, some] = &mut [(); 2].map(|()| ChaCha8Rng::seed_from_u64(seed));
                    let want = sampler::ancestral(&x_end, &coarse(), variance, last_step, best_eps, all).unwrap();
                    let got = respaced(&x_end, &every_time, variance, last_step, best_eps, some).unwrap();
                    distance(&got, &want, largest(&[&x_end]))
                };
                choices().map(error).into_iter().fold(0.0, crate::support::larger)
            },
        );
    }

    /// The draws have the law of the longer steps.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| every_visit(rng, respaced));
    }

    #[test]
    fn wrong_variant_old_beta() {
        check!(MonteCarlo).rejects_z_scores("the old beta, not 1 - alpha_bar/alpha_bar_prev", |rng| {
            every_visit(rng, |x_end, times, variance, last_step, denoiser, rng| {
                let mut x = x_end.clone();
                for &t in times.iter().rev() {
                    let step = coarse().step(t)?;
                    let sigma = sampler::ancestral_sigma(step, variance, last_step);
                    x = sampler::ancestral_step(&x, step, &denoiser(&x, step)?, sigma, &noise(rng))?;
                }
                Ok(x)
            })
        });
    }

    #[test]
    fn wrong_variant_new_time() {
        check!(MonteCarlo).rejects_z_scores("the denoiser told of i, not of tau_i", |rng| {
            every_visit(rng, |x_end, times, variance, last_step, denoiser, rng| {
                let told_of_i = |xt: &ArrayRef1<f64>, step: Step| {
                    let i = times.iter().position(|&t| t == step.t).unwrap() + 1;
                    denoiser(xt, coarse().step(i)?)
                };
                respaced(x_end, times, variance, last_step, told_of_i, rng)
            })
        });
    }

    /// The denoiser sees steps of the schedule that it was trained on.
    #[test]
    fn the_denoiser_sees_the_old_steps() {
        let mut seen = Vec::new();
        let record = |xt: &ArrayRef1<f64>, step: Step| {
            seen.push(step);
            best_eps(xt, step)
        };
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        respaced(&array![0.3], &[2, 3, 6, 8], Variance::Beta, LastStep::Mean, record, rng).unwrap();
        assert_eq!(seen, [8, 6, 3, 2].map(|t| coarse().step(t).unwrap()));
    }

    fn respaced(
        x_end: &Array1<f64>,
        times: &[usize],
        variance: Variance,
        last_step: LastStep,
        denoiser: impl Denoiser<Ix1>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Array1<f64>> {
        sampler::respaced_ancestral(x_end, &coarse(), times, variance, last_step, denoiser, rng)
    }

    fn every_visit(
        rng: &mut ChaCha8Rng,
        sampler: impl Fn(&Array1<f64>, &[usize], Variance, LastStep, BestEps, &mut ChaCha8Rng) -> Result<Array1<f64>>,
    ) -> Vec<f64> {
        let mut all = Vec::new();
        for times in visits() {
            let schedule = coarse().respaced(&times).unwrap();
            all.extend(every_choice(rng, &schedule, |x_end, variance, last_step, rng| {
                sampler(x_end, &times, variance, last_step, best_eps, rng)
            }));
        }
        all
    }

    type BestEps = fn(&ArrayRef1<f64>, Step) -> Result<Array1<f64>>;

    #[test]
    fn bad_input() {
        let x_end = array![0.3, -1.0];
        let draw = |times: &[usize], denoiser: &mut AnyDenoiser| {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            respaced(&x_end, times, Variance::Beta, LastStep::Mean, denoiser, rng)
        };
        loop_errors(|denoiser| draw(&[1, 8], denoiser));
        bad_times(|times| draw(times, &mut |xt, step| best_eps(xt, step)));
    }
}

/// Lists of times that are no way back.
fn bad_times(sampler: impl Fn(&[usize]) -> Result<Array1<f64>>) {
    assert_eq!(sampler(&[]), Err(Error::Empty { name: "times" }));
    assert_eq!(sampler(&[0, 8]), Err(Error::StepOutOfRange { t: 0, timesteps: 8 }));
    assert_eq!(sampler(&[1, 9]), Err(Error::StepOutOfRange { t: 9, timesteps: 8 }));
    assert_eq!(sampler(&[8, 1]), Err(Error::TimesNotIncreasing { previous: 8, next: 1 }));
}

mod ddim_sigma {
    use super::*;

    /// As the paper writes it, with ᾱ alone.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-15, REASON).property(case(), |case| by_alpha_bar(case, right));
    }

    /// No noise for η = 0, and that of an ancestral step with β̃ for η = 1.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "0 and 1 multiply exactly").property(step(50), |step| {
            let ancestral = sampler::ancestral_sigma(step, Variance::BetaTilde, LastStep::Noise);
            larger(right(step, 0.0).abs(), (right(step, 1.0) - ancestral).abs())
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-15, REASON).rejects("eta as the factor of the variance", case(), |case| {
            by_alpha_bar(case, |step, eta| (eta * step.beta_tilde).sqrt())
        });
    }

    const REASON: &str = "1 − ᾱ_t/ᾱ_{t−1} is off by 1e-16, which is 1e-16/β_t of it, in units of which";

    fn case() -> impl Strategy<Value = (Step, f64)> {
        (step_after_first(50), 0.0..=1.0)
    }

    fn right(step: Step, eta: f64) -> f64 {
        sampler::ddim_sigma(step, eta).unwrap()
    }

    fn by_alpha_bar((step, eta): (Step, f64), sigma: impl Fn(Step, f64) -> f64) -> f64 {
        let (before, now) = (step.alpha_bar_prev, step.alpha_bar);
        let noise_before = (step.one_minus_alpha_bar_prev / step.one_minus_alpha_bar).sqrt();
        let want = eta * noise_before * (1.0 - now / before).sqrt();
        distance_of_numbers(sigma(step, eta), want, 1e-300) * step.beta
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let sigma = |step: Step| sampler::ddim_sigma(step, 0.6).unwrap();
        twin::agrees_by_step(check!(Torch), sigma, sigma, |steps| diffusion::ddim_sigma(steps, 0.6).unwrap());
    }

    #[test]
    fn bad_input() {
        for eta in [-0.1, 1.1, f64::NAN] {
            let error = sampler::ddim_sigma(step_of(&[0.5]), eta).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "eta", .. }));
        }
    }
}

mod ddim_step {
    use super::*;

    /// With the σ of η = 1, and the ε that belongs to x̂_0, it is the ancestral step.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-13, "σ² and 1 − ᾱ_{t−1} cancel where α_t is small, by at most 20, under a root")
            .property((step(50), arrays()), |(step, [x0, xt, z]): StepCase| {
                let sigma = sampler::ddim_sigma(step, 1.0).unwrap();
                let eps = objective::eps_from_x0(&x0, &xt, step).unwrap();
                let got = sampler::ddim_step(&x0, step, &eps, sigma, &z).unwrap();
                let want = sampler::ancestral_step_from_x0(&x0, &xt, step, sigma, &z).unwrap();
                distance(&got, &want, largest(&[&x0, &xt, &z, &eps]))
            });
    }

    /// With σ = 0 and the true x_0 and ε, x_{t−1} is what the same ε makes of x_0 at t − 1.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, LIMIT).property(two_steps(), |case| same_noise(case, right));
    }

    /// For every σ, x_{t−1} has its marginal given x_0.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| marginals(rng, right));
    }

    #[test]
    fn wrong_variant_all_noise_kept() {
        check!(MonteCarlo).rejects_z_scores("sigma^2 not taken off 1 - alpha_bar", |rng| {
            marginals(rng, |x0, step, eps, sigma, z| Ok(right(x0, step, eps, 0.0, z)? + z * sigma))
        });
    }

    #[test]
    fn wrong_variant_off_by_one() {
        check!(Limit).bound(1e-14, LIMIT).rejects("alpha_bar of t for that of t - 1", two_steps(), |case| {
            same_noise(case, |x0, step, eps, sigma, z| {
                let late =
                    Step { alpha_bar_prev: step.alpha_bar, one_minus_alpha_bar_prev: step.one_minus_alpha_bar, ..step };
                right(x0, late, eps, sigma, z)
            })
        });
    }

    const LIMIT: &str = "10 roundings, in units of the largest number";

    fn two_steps() -> impl Strategy<Value = ([Step; 2], [Array1<f64>; 3])> {
        let of_schedule = |(schedule, share): (Schedule, f64)| {
            let t = 2 + (share * schedule.timesteps().saturating_sub(1) as f64) as usize;
            Some([schedule.step(t - 1).ok()?, schedule.step(t).ok()?])
        };
        ((schedule(50), 0.0..1.0).prop_filter_map("needs two steps", of_schedule), arrays())
    }

    fn right(
        x0: &ArrayRef1<f64>,
        step: Step,
        eps: &ArrayRef1<f64>,
        sigma: f64,
        z: &ArrayRef1<f64>,
    ) -> Result<Array1<f64>> {
        sampler::ddim_step(x0, step, eps, sigma, z)
    }

    fn same_noise(
        ([before, step], [x0, eps, z]): ([Step; 2], [Array1<f64>; 3]),
        ddim_step: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>, f64, &ArrayRef1<f64>) -> Result<Array1<f64>>,
    ) -> f64 {
        let want = forward::q_sample(&x0, before, &eps).unwrap();
        distance(&ddim_step(&x0, step, &eps, 0.0, &z).unwrap(), &want, largest(&[&x0, &eps]))
    }

    fn marginals(
        rng: &mut ChaCha8Rng,
        ddim_step: impl Fn(&ArrayRef1<f64>, Step, &ArrayRef1<f64>, f64, &ArrayRef1<f64>) -> Result<Array1<f64>>,
    ) -> Vec<f64> {
        let mut all = Vec::new();
        let x0 = Array1::from_elem(DRAWS, MEAN);
        for &step in coarse().steps() {
            for share in [0.0, 0.5, 1.0] {
                let sigma = share * step.one_minus_alpha_bar_prev.sqrt();
                let x_prev = ddim_step(&x0, step, &noise(rng), sigma, &noise(rng)).unwrap();
                // At t = 1 there is no noise whose variance could be scored.
                if step.t > 1 {
                    all.extend(scores(&x_prev, (step.alpha_bar_prev.sqrt() * MEAN, step.one_minus_alpha_bar_prev)));
                }
            }
        }
        all
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[x0, eps, z], step| sampler::ddim_step(x0, step, eps, sampler::ddim_sigma(step, 0.6)?, z),
            |[x0, eps, z], steps| diffusion::ddim_step(x0, eps, steps, 0.6, z),
        );
    }

    #[test]
    fn bad_input() {
        let step = step_of(&[0.36, 0.5]); // 1 − ᾱ_1 = 0.6²
        step_errors(|x0, eps, sigma, z| sampler::ddim_step(x0, step, eps, sigma, z));
        let one = array![1.0];
        assert!(sampler::ddim_step(&one, step, &one, 0.6, &one).is_ok());
        let error = sampler::ddim_step(&one, step, &one, 0.6001, &one).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "sigma", got: 0.6001, .. }));
    }
}

/// Draws for several η and lists of times, against the law that they have on this schedule.
fn every_eta(
    rng: &mut ChaCha8Rng,
    schedule: &Schedule,
    ddim: impl Fn(&Array1<f64>, &[usize], f64, &mut ChaCha8Rng) -> Result<Array1<f64>>,
) -> Vec<f64> {
    let mut all = Vec::new();
    for times in visits() {
        for eta in [0.0, 0.5, 1.0] {
            let draws = ddim(&noise(rng), &times, eta, rng).unwrap();
            let law = sampler::ddim_moments(MEAN, VARIANCE, &schedule.respaced(&times).unwrap(), eta).unwrap();
            all.extend(scores(&draws, law));
        }
    }
    all
}

mod ddim {
    use super::*;

    /// With η = 1, through every time or some, it is the ancestral sampler with σ² = β̃.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, "8 steps of 40 roundings each, x_0 divided by √ᾱ_T = 0.2").property(
            (array(3), any::<u64>(), prop::sample::select(visits().to_vec())),
            |(x_end, seed, times)| {
                let [first, second] = &mut [(); 2].map(|()| ChaCha8Rng::seed_from_u64(seed));
                let (variance, last) = (Variance::BetaTilde, LastStep::Mean);
                let want =
                    sampler::respaced_ancestral(&x_end, &coarse(), &times, variance, last, best_eps, first).unwrap();
                let got = sampler::ddim(&x_end, &coarse(), &times, 1.0, best_eps, second).unwrap();
                distance(&got, &want, largest(&[&x_end]))
            },
        );
    }

    /// The draws have the law that the steps compose to.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            every_eta(rng, &coarse(), |x_end, times, eta, rng| {
                sampler::ddim(x_end, &coarse(), times, eta, best_eps, rng)
            })
        });
    }

    /// If all the data is one point, every sample is that point, through whatever times and with whatever noise.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(2e-14, "100 roundings, in units of the largest number divided by √ᾱ_τ, τ the first time")
            .property(
                (schedule(20), array(3), -5.0..5.0, 0.0..=1.0, any::<(u64, u64)>()),
                |(schedule, x_end, point, eta, (seed, chosen))| {
                    let last = schedule.timesteps();
                    let times: Vec<usize> = (1..=last).filter(|&t| t == last || chosen >> t & 1 == 1).collect();
                    let denoiser = |xt: &ArrayRef1<f64>, step| objective::gaussian_eps(point, 0.0, xt, step);
                    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
                    let x0 = sampler::ddim(&x_end, &schedule, &times, eta, denoiser, rng).unwrap();
                    let scale = largest(&[&x_end]) / schedule.step(times[0]).unwrap().alpha_bar.sqrt();
                    distance(&x0, &Array1::from_elem(3, point), scale)
                },
            );
    }

    /// With η = 0 and many steps, each sample lies as many standard deviations from the mean at t = 0 as it did at T.
    /// Twice as many steps, half the error.
    #[test]
    fn finer_steps() {
        let x_end = array![-2.0, 0.5, 3.0];
        let error = |timesteps: usize| {
            let schedule = Schedule::linear(timesteps, 0.1 / timesteps as f64, 20.0 / timesteps as f64).unwrap();
            let (times, rng): (Vec<usize>, _) = ((1..=timesteps).collect(), &mut ChaCha8Rng::seed_from_u64(0));
            let x0 = sampler::ddim(&x_end, &schedule, &times, 0.0, best_eps, rng).unwrap();
            let (mean, variance) = forward::marginal_moments(MEAN, VARIANCE, schedule.last()).unwrap();
            distance(&x0, &((&x_end - mean) * (VARIANCE / variance).sqrt() + MEAN), 1.0)
        };
        let ratio = error(1000) / error(2000);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn wrong_variant_neighbour() {
        check!(MonteCarlo).rejects_z_scores("alpha_bar of tau - 1, not of the time visited next", |rng| {
            every_eta(rng, &coarse(), |x_end, times, eta, rng| {
                let mut x = x_end.clone();
                for &t in times.iter().rev() {
                    let step = coarse().step(t)?;
                    let eps = best_eps(&x, step)?;
                    let x0 = objective::x0_from_eps(&x, step, &eps)?;
                    x = sampler::ddim_step(&x0, step, &eps, sampler::ddim_sigma(step, eta)?, &noise(rng))?;
                }
                Ok(x)
            })
        });
    }

    #[test]
    fn wrong_variant_eta_ignored() {
        check!(MonteCarlo).rejects_z_scores("no noise for any eta", |rng| {
            every_eta(rng, &coarse(), |x_end, times, _, rng| sampler::ddim(x_end, &coarse(), times, 0.0, best_eps, rng))
        });
    }

    /// With η = 0 the noise that it starts from decides alone.
    #[test]
    fn no_chance_for_eta_0() {
        let [mut rng, mut untouched] = [(); 2].map(|()| ChaCha8Rng::seed_from_u64(0));
        sampler::ddim(&array![0.3], &coarse(), &[2, 5, 8], 0.0, best_eps, &mut rng).unwrap();
        assert_eq!(rng.random::<u64>(), untouched.random::<u64>());
    }

    #[test]
    fn bad_input() {
        let draw = |schedule: &Schedule, times: &[usize], eta: f64, denoiser: &mut AnyDenoiser| {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            sampler::ddim(&array![0.3, -1.0], schedule, times, eta, denoiser, rng)
        };
        loop_errors(|denoiser| draw(&coarse(), &[1, 8], 0.0, denoiser));
        bad_times(|times| draw(&coarse(), times, 0.0, &mut |xt, step| best_eps(xt, step)));
        let bad_eta = draw(&coarse(), &[1, 8], 1.5, &mut |xt, step| best_eps(xt, step)).unwrap_err();
        assert!(matches!(bad_eta, Error::OutOfRange { name: "eta", .. }));
        let at_zero_snr = draw(&coarse_to_zero_snr(), &[2, 8], 0.0, &mut |xt, step| best_eps(xt, step));
        assert_eq!(at_zero_snr, Err(Error::ZeroSnr { t: 8 }));
    }

    /// Where all the data is one point, one jump finds it, however little of it is left.
    #[test]
    fn one_jump_from_almost_nothing() {
        let schedule = Schedule::from_betas(&[0.9; 20]).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let one_point = |xt: &_, step| objective::gaussian_eps(5.0, 0.0, xt, step);
        let x0 = sampler::ddim(&array![0.5], &schedule, &[20], 0.0, one_point, rng).unwrap();
        // x̂_0 is a difference of two numbers near 0.5, divided by √ᾱ = 1e-10.
        assert!((x0[0] - 5.0).abs() < 1e-5, "{x0}");
    }
}

mod ddim_from_x0 {
    use super::*;

    /// The same draws lead to the same samples as in `ddim`.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-14, "8 steps of 40 roundings each, x_0 divided by √ᾱ_T = 0.2").property(
            (array(3), any::<u64>(), prop::sample::select(visits().to_vec()), 0.0..=1.0),
            |(x_end, seed, times, eta)| {
                let [first, second] = &mut [(); 2].map(|()| ChaCha8Rng::seed_from_u64(seed));
                let want = sampler::ddim(&x_end, &coarse(), &times, eta, best_eps, first).unwrap();
                let got = sampler::ddim_from_x0(&x_end, &coarse(), &times, eta, best_x0, second).unwrap();
                distance(&got, &want, largest(&[&x_end]))
            },
        );
    }

    /// Where ᾱ_T = 0 the start is the right one, and the law of the draws is still known.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let schedule = coarse_to_zero_snr();
            every_eta(rng, &schedule, |x_end, times, eta, rng| {
                sampler::ddim_from_x0(x_end, &schedule, times, eta, best_x0, rng)
            })
        });
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("x_t for the eps that belongs to x_0", |rng| {
            let schedule = coarse_to_zero_snr();
            every_eta(rng, &schedule, |x_end, times, eta, rng| {
                let respaced = schedule.respaced(times)?;
                let mut x = x_end.clone();
                for (&step, &t) in respaced.steps().iter().zip(times).rev() {
                    let x0 = best_x0(&x, schedule.step(t)?)?;
                    x = sampler::ddim_step(&x0, step, &x, sampler::ddim_sigma(step, eta)?, &noise(rng))?;
                }
                Ok(x)
            })
        });
    }

    #[test]
    fn bad_input() {
        let draw = |times: &[usize], eta: f64, denoiser: &mut AnyDenoiser| {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            sampler::ddim_from_x0(&array![0.3, -1.0], &coarse(), times, eta, denoiser, rng)
        };
        loop_errors(|denoiser| draw(&[1, 8], 0.0, denoiser));
        bad_times(|times| draw(times, 0.0, &mut |xt, step| best_x0(xt, step)));
        let bad_eta = draw(&[1, 8], f64::NAN, &mut |xt, step| best_x0(xt, step)).unwrap_err();
        assert!(matches!(bad_eta, Error::OutOfRange { name: "eta", .. }));
    }
}

mod clip_x0 {
    use super::*;

    /// The median of the number and the two ends, found by sorting.
    #[test]
    fn identity() {
        check!(Identity).bound(0.0, "one of the three numbers is returned").property(
            (array(5), -3.0..0.0, 0.1..3.0),
            |(x0, low, width): (Array1<f64>, f64, f64)| {
                let median = |x0: f64| {
                    let mut three = [x0, low, low + width];
                    three.sort_by(f64::total_cmp);
                    three[1]
                };
                distance(&sampler::clip_x0(&x0, low, low + width).unwrap(), &x0.mapv(median), 1e-300)
            },
        );
    }

    /// Data in a range that includes all that the denoiser predicts is sampled as without clipping.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| clipped(rng, -20.0, 20.0));
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo)
            .rejects_z_scores("clipped to [-1, 1] where the data is not there", |rng| clipped(rng, -1.0, 1.0));
    }

    fn clipped(rng: &mut ChaCha8Rng, low: f64, high: f64) -> Vec<f64> {
        every_choice(rng, &coarse(), |x_end, variance, last_step, rng| {
            let denoiser = |xt: &ArrayRef1<f64>, step| sampler::clip_x0(&best_x0(xt, step)?, low, high);
            sampler::ancestral_from_x0(x_end, &coarse(), variance, last_step, denoiser, rng)
        })
    }

    #[test]
    fn bad_input() {
        for (low, high) in [(1.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (0.0, f64::NAN)] {
            let error = sampler::clip_x0(&array![0.5], low, high).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "low", .. }));
        }
        assert!(sampler::clip_x0(&array![f64::NAN], -1.0, 1.0).unwrap()[0].is_nan());
    }
}

mod ancestral_moments {
    use super::*;

    /// Three things that are known without following the steps. The slopes multiply to √ᾱ_T v/V_T, which gives the mean.
    /// σ² = β is exact for data N(0, 1), and σ² = β̃ for a point.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(case(), |case| known(case, right));
    }

    /// From pure noise in one step: x_T says nothing, and the sample is the mean of the data and the noise of the step.
    #[test]
    fn limit() {
        let one_step = Schedule::from_betas(&[1.0]).unwrap();
        check!(Limit).bound(0.0, "0 and 1 multiply exactly").property(
            (-3.0..3.0, 0.0..4.0, prop::sample::select(choices().to_vec())),
            |(mean, data_variance, (variance, last_step))| {
                let noise = if (variance, last_step) == (Variance::Beta, LastStep::Noise) { 1.0 } else { 0.0 };
                let got = right(mean, data_variance, &one_step, variance, last_step);
                larger((got.0 - mean).abs(), (got.1 - noise).abs())
            },
        );
    }

    /// With many small steps both variances give the law of the data. Twice as many steps, half the error.
    #[test]
    fn finer_steps() {
        for (variance, last_step) in choices() {
            let error = |timesteps: usize| {
                let schedule = Schedule::linear(timesteps, 0.1 / timesteps as f64, 20.0 / timesteps as f64).unwrap();
                right(0.0, VARIANCE, &schedule, variance, last_step).1 - VARIANCE
            };
            let ratio = error(1000) / error(2000);
            assert!((1.8..2.2).contains(&ratio), "{variance:?}, {last_step:?}: {ratio}");
        }
    }

    #[test]
    fn wrong_variant_beta_tilde() {
        check!(Identity).bound(1e-13, REASON).rejects("sigma^2 = beta_tilde for data N(0, 1)", case(), |case| {
            known(case, |mean, data_variance, schedule, _, last_step| {
                right(mean, data_variance, schedule, Variance::BetaTilde, last_step)
            })
        });
    }

    #[test]
    fn wrong_variant_beta() {
        check!(Identity).bound(1e-13, REASON).rejects("sigma^2 = beta for a point", case(), |case| {
            known(case, |mean, data_variance, schedule, _, last_step| {
                right(mean, data_variance, schedule, Variance::Beta, last_step)
            })
        });
    }

    const REASON: &str = "50 steps of 10 roundings each, all of positive numbers";

    fn case() -> impl Strategy<Value = (Schedule, f64, f64)> {
        (schedule(50), -3.0..3.0, 0.1..4.0)
    }

    fn right(mean: f64, data_variance: f64, schedule: &Schedule, variance: Variance, last: LastStep) -> (f64, f64) {
        sampler::ancestral_moments(mean, data_variance, schedule, variance, last).unwrap()
    }

    fn known(
        (schedule, mean, data_variance): (Schedule, f64, f64),
        moments: impl Fn(f64, f64, &Schedule, Variance, LastStep) -> (f64, f64),
    ) -> f64 {
        let end = schedule.last();
        let off = end.alpha_bar * data_variance / (end.alpha_bar * data_variance + end.one_minus_alpha_bar);
        let means = choices().map(|(variance, last_step)| {
            let (got, _) = moments(mean, data_variance, &schedule, variance, last_step);
            distance_of_numbers(got, mean * (1.0 - off), 1.0)
        });
        let (_, of_normal) = moments(0.0, 1.0, &schedule, Variance::Beta, LastStep::Noise);
        let (_, of_point) = moments(mean, 0.0, &schedule, Variance::BetaTilde, LastStep::Noise);
        means.into_iter().chain([(of_normal - 1.0).abs(), of_point.abs()]).fold(0.0, larger)
    }

    /// What is left of the mean's distance falls with ᾱ_T, and the last step's noise is β_1 or nothing.
    #[test]
    fn last_step() {
        let schedule = coarse();
        let variance = |choice, last_step| right(MEAN, VARIANCE, &schedule, choice, last_step).1;
        let added = variance(Variance::Beta, LastStep::Noise) - variance(Variance::Beta, LastStep::Mean);
        assert!((added - schedule.step(1).unwrap().beta).abs() < 1e-15);
        assert_eq!(variance(Variance::BetaTilde, LastStep::Noise), variance(Variance::BetaTilde, LastStep::Mean));
    }

    #[test]
    fn bad_input() {
        for variance in [-1.0, f64::NAN, f64::INFINITY] {
            let error = sampler::ancestral_moments(0.0, variance, &coarse(), Variance::Beta, LastStep::Mean);
            assert!(matches!(error, Err(Error::OutOfRange { name: "data_variance", .. })));
        }
    }
}

mod ddim_moments {
    use super::*;

    /// With η = 1 the law is that of the ancestral sampler with σ² = β̃, on any schedule.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-13, REASON).property(case(), |case| as_ancestral(case, right));
    }

    /// From pure noise in one step, x_T says nothing, and every sample is the mean of the data.
    #[test]
    fn limit() {
        let one_step = Schedule::from_betas(&[1.0]).unwrap();
        check!(Limit).bound(0.0, "0 and 1 multiply exactly").property(
            (-3.0..3.0, 0.0..4.0, 0.0..=1.0),
            |(mean, variance, eta)| {
                let got = right(mean, variance, &one_step, eta);
                larger((got.0 - mean).abs(), got.1.abs())
            },
        );
    }

    /// With η = 0 and many small steps, mean and deviation of x_T as it should be become those of the data. Twice as many
    /// steps, half the error.
    #[test]
    fn finer_steps() {
        let error = |timesteps: usize| {
            let schedule = Schedule::linear(timesteps, 0.1 / timesteps as f64, 20.0 / timesteps as f64).unwrap();
            let (mean_of_xt, variance_of_xt) = forward::marginal_moments(MEAN, VARIANCE, schedule.last()).unwrap();
            let (mean, variance) = right(MEAN, VARIANCE, &schedule, 0.0);
            let shrunk = (VARIANCE / variance_of_xt).sqrt();
            (mean - (MEAN - shrunk * mean_of_xt), variance - shrunk * shrunk)
        };
        let (coarse, fine) = (error(1000), error(2000));
        for ratio in [coarse.0 / fine.0, coarse.1 / fine.1] {
            assert!((1.9..2.1).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(2e-13, REASON).rejects("the law for eta = 0 whatever eta", case(), |case| {
            as_ancestral(case, |mean, variance, schedule, _| right(mean, variance, schedule, 0.0))
        });
    }

    const REASON: &str = "50 steps of 20 roundings each, and a cancellation of 20 where β_t is near 1";

    fn case() -> impl Strategy<Value = (Schedule, f64, f64)> {
        (schedule(50), -3.0..3.0, 0.0..4.0)
    }

    fn right(mean: f64, variance: f64, schedule: &Schedule, eta: f64) -> (f64, f64) {
        sampler::ddim_moments(mean, variance, schedule, eta).unwrap()
    }

    fn as_ancestral(
        (schedule, mean, variance): (Schedule, f64, f64),
        moments: impl Fn(f64, f64, &Schedule, f64) -> (f64, f64),
    ) -> f64 {
        let got = moments(mean, variance, &schedule, 1.0);
        let want = sampler::ancestral_moments(mean, variance, &schedule, Variance::BetaTilde, LastStep::Mean).unwrap();
        distance_of_numbers(got.0, want.0, 1.0).max(distance_of_numbers(got.1, want.1, 1e-3))
    }

    #[test]
    fn bad_input() {
        for (variance, eta) in [(-1.0, 0.0), (f64::NAN, 0.0), (1.0, -0.1), (1.0, f64::NAN)] {
            let error = sampler::ddim_moments(0.0, variance, &coarse(), eta);
            assert!(matches!(error, Err(Error::OutOfRange { .. })));
        }
    }

    /// Fifty evenly spaced steps of a thousand lose a tenth of the variance.
    #[test]
    fn fewer_steps_cost_variance() {
        let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
        let variance = |steps| {
            let times = evenly_spaced_times(1000, steps).unwrap();
            right(0.0, VARIANCE, &schedule.respaced(&times).unwrap(), 0.0).1
        };
        assert!(variance(10) < variance(50) && variance(50) < variance(1000) && variance(1000) < VARIANCE);
    }
}
