//! Checks of chapter 6, the evidence lower bound: one module an equation, named by its slug.

mod support;

use literate_diffusion::elbo::{self, Decoder, DecoderVariance, LinearVae};
use literate_diffusion::gaussian::{self, condition_gaussian, density, kl_scalar};
use literate_diffusion::posterior::VarianceAtOne;
#[cfg(feature = "torch")]
use literate_diffusion::torch::{diffusion, tch::Kind};
use literate_diffusion::{Error, Result, Schedule, Step, forward, paper};
#[cfg(feature = "torch")]
use ndarray::ArrayView1;
use ndarray::{Array1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{schedule, step, step_after_first};
use support::{check, distance_of_numbers, integral, z_score};
#[cfg(feature = "torch")]
use support::{larger, torch as twin};

type Path = Vec<Array1<f64>>;

/// A model of up to `max_timesteps` steps. Each decoder is near the exact one of some Gaussian data: off by up to 0.3
/// noise standard deviations in slope and in offset, and by a factor of up to e in the variance.
fn vae(max_timesteps: usize) -> impl Strategy<Value = LinearVae> {
    schedule(max_timesteps).prop_flat_map(|schedule| {
        let off = (-0.3..0.3, -0.3..0.3, -1.0..1.0_f64);
        let off = prop::collection::vec(off, schedule.timesteps());
        (Just(schedule), -1.0..1.0, 0.1..2.0, off).prop_map(|(schedule, mean, variance, off)| {
            let decoder = |(step, (slope, offset, log_factor)): (&Step, (f64, f64, f64))| {
                let exact = elbo::exact_reverse(mean, variance, *step).unwrap();
                let sigma = step.beta.sqrt();
                Decoder {
                    slope: exact.slope + slope * sigma,
                    offset: exact.offset + offset * sigma,
                    variance: step.beta * log_factor.exp(),
                }
            };
            LinearVae::new(&schedule, schedule.steps().iter().zip(off).map(decoder).collect()).unwrap()
        })
    })
}

/// As [`vae`], with two steps or more.
fn vae_of_two(max_timesteps: usize) -> impl Strategy<Value = LinearVae> {
    vae(max_timesteps).prop_filter("needs two steps", |vae| vae.schedule().timesteps() >= 2)
}

/// One to four numbers between −3 and 3, zero among them.
fn data() -> impl Strategy<Value = Array1<f64>> {
    let number = prop_oneof![9 => -3.0..3.0, 1 => Just(0.0)];
    prop::collection::vec(number, 1..=4).prop_map(Array1::from)
}

/// The noise of a path for each model, and where it starts.
fn noisy(vae: impl Strategy<Value = LinearVae>) -> impl Strategy<Value = (LinearVae, Array1<f64>, Path)> {
    (vae, data()).prop_flat_map(|(vae, x0)| {
        let eps = prop::collection::vec(
            prop::collection::vec(-3.0..3.0, x0.len()).prop_map(Array1::from),
            vae.schedule().timesteps(),
        );
        (Just(vae), Just(x0), eps)
    })
}

/// A small model for fixed cases: nothing in it is exact, small or round.
fn example(timesteps: usize) -> LinearVae {
    let schedule = Schedule::linear(timesteps, 0.3, 0.6).unwrap();
    let decoder = |step: &Step| {
        let exact = elbo::exact_reverse(0.4, 0.5, *step).unwrap();
        Decoder { slope: exact.slope + 0.1, offset: exact.offset - 0.15, variance: step.beta * 1.3 }
    };
    LinearVae::new(&schedule, schedule.steps().iter().map(decoder).collect()).unwrap()
}

/// E f over paths of one dimension from x_0, by Gauss–Hermite with three nodes for the noise of each step. It is exact
/// where f is a polynomial of degree 5 or less in each noise: log-densities have degree 2, their squares degree 4.
fn over_paths(schedule: &Schedule, x0: f64, f: &dyn Fn(&[Array1<f64>]) -> f64) -> f64 {
    fn onward(schedule: &Schedule, path: &mut Path, f: &dyn Fn(&[Array1<f64>]) -> f64) -> f64 {
        let t = path.len();
        let Ok(step) = schedule.step(t) else { return f(path) };
        let nodes = [(-(3.0_f64.sqrt()), 1.0 / 6.0), (0.0, 2.0 / 3.0), (3.0_f64.sqrt(), 1.0 / 6.0)];
        let mut mean = 0.0;
        for (eps, weight) in nodes {
            path.push(forward::q_step(&path[t - 1], step, &array![eps]).unwrap());
            mean += weight * onward(schedule, path, f);
            path.pop();
        }
        mean
    }
    onward(schedule, &mut vec![array![x0]], f)
}

/// The same for many dimensions, where f is a sum over them.
fn over_paths_summed(schedule: &Schedule, x0: &Array1<f64>, f: &dyn Fn(&[Array1<f64>]) -> f64) -> f64 {
    x0.iter().map(|&x0| over_paths(schedule, x0, f)).sum()
}

/// The variance of f over paths of one dimension from x_0, for an f of degree 2 in each noise.
fn variance_over_paths(vae: &LinearVae, x0: f64, f: &dyn Fn(&[Array1<f64>]) -> f64) -> f64 {
    let mean = over_paths(vae.schedule(), x0, f);
    over_paths(vae.schedule(), x0, &|path| (f(path) - mean).powi(2))
}

/// ln p(x_0 | x_1), of one dimension.
fn reconstruction(vae: &LinearVae, path: &[Array1<f64>]) -> f64 {
    let decoder = vae.decoder(1).unwrap();
    gaussian::log_density(&path[0], &array![mean_of(decoder, path[1][0])], decoder.variance).unwrap()
}

/// How far a number for the variance of an estimate of the whole bound is from its mean square about its mean.
fn off_over_paths(
    (vae, x0): (LinearVae, Array1<f64>),
    estimate: fn(&LinearVae, &[Array1<f64>]) -> Result<f64>,
    variance: impl Fn(&LinearVae, &Array1<f64>) -> f64,
) -> f64 {
    let estimate = |path: &[Array1<f64>]| estimate(&vae, path).unwrap();
    let want = x0.iter().map(|&x| variance_over_paths(&vae, x, &estimate)).sum();
    distance_of_numbers(variance(&vae, &x0), want, 1.0)
}

/// The same on paths that are drawn, in standard errors. The mean of the estimate is the bound.
fn score_over_paths(
    rng: &mut ChaCha8Rng,
    estimate: fn(&LinearVae, &[Array1<f64>]) -> Result<f64>,
    variance: impl Fn(&LinearVae, &Array1<f64>) -> f64,
) -> Vec<f64> {
    let (vae, x0) = (example(3), array![0.8]);
    let mean = vae.jensen_bound(&x0).unwrap();
    let paths = draw_paths(200_000, vae.schedule(), x0[0], rng);
    let squares: Vec<f64> = paths.iter().map(|path| (estimate(&vae, path).unwrap() - mean).powi(2)).collect();
    vec![z_score(&squares, variance(&vae, &x0))]
}

/// Paths of one dimension drawn from the forward process.
fn draw_paths(count: usize, schedule: &Schedule, x0: f64, rng: &mut ChaCha8Rng) -> Vec<Path> {
    let mut draw = || {
        let eps: Path = schedule.steps().iter().map(|_| Array1::random_using(1, StandardNormal, rng)).collect();
        forward::q_chain(&array![x0], schedule, &eps).unwrap()
    };
    (0..count).map(|_| draw()).collect()
}

/// The mean of f over an interval of a Gaussian times its density: ∫ N(x; mean, variance) f(x) dx by the trapezium rule.
fn gaussian_mean(mean: f64, variance: f64, f: impl Fn(f64) -> f64) -> f64 {
    let sigma = variance.sqrt();
    integral(mean - 10.0 * sigma, mean + 10.0 * sigma, 60, |x| density(x, mean, variance).unwrap() * f(x))
}

/// q(x_{t−1} | x_t, x_0) of one dimension, by conditioning q(x_{t−1} | x_0) on one more step.
fn posterior(x0: f64, xt: f64, step: Step) -> (f64, f64) {
    let before = (step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev);
    condition_gaussian(before, step.alpha.sqrt(), step.beta, xt).unwrap()
}

fn mean_of(decoder: Decoder, xt: f64) -> f64 {
    decoder.slope * xt + decoder.offset
}

/// L_{t−1} at one x_t, of one dimension.
fn kl_to_posterior(vae: &LinearVae, x0: f64, xt: f64, t: usize) -> f64 {
    let decoder = vae.decoder(t).unwrap();
    let (mean, variance) = posterior(x0, xt, vae.schedule().step(t).unwrap());
    kl_scalar(mean, variance, mean_of(decoder, xt), decoder.variance).unwrap()
}

/// A path that is too short, and one with a shape that differs.
fn bad_paths(log_p: impl Fn(&[Array1<f64>]) -> Result<f64>) {
    let short = log_p(&[array![0.0], array![0.0]]).unwrap_err();
    assert_eq!(short, Error::ShapeMismatch { name: "path", expected: vec![3], got: vec![2] });
    let uneven = log_p(&[array![0.0], array![0.0], array![0.0, 0.0]]).unwrap_err();
    assert_eq!(uneven, Error::ShapeMismatch { name: "path", expected: vec![1], got: vec![2] });
}

/// The terms of t that a model of two steps does not have.
fn bad_times(term: impl Fn(usize) -> Result<f64>, bad: [usize; 3], expected: &'static str) {
    for t in bad {
        assert_eq!(term(t).unwrap_err(), Error::OutOfRange { name: "t", expected, got: t as f64 });
    }
}

const NOT_BETWEEN: &str = "at least 1 and at most T - 1";
const NOT_AFTER_FIRST: &str = "at least 2 and at most T";
const ROUNDINGS: &str = "T terms of some 20 roundings, and squares of numbers divided by σ ≥ 1e-3, so rounded by 1e-13";

mod linear_vae {
    use super::*;

    #[test]
    fn bad_input() {
        let schedule = Schedule::from_betas(&[0.5, 0.5]).unwrap();
        let good = Decoder { slope: 1.0, offset: 0.0, variance: 1.0 };
        let made = |bad: Decoder| LinearVae::new(&schedule, vec![good, bad]).unwrap_err();
        let too_few = LinearVae::new(&schedule, vec![good]).unwrap_err();
        assert_eq!(too_few, Error::ShapeMismatch { name: "decoders", expected: vec![2], got: vec![1] });
        let infinite = made(Decoder { slope: f64::INFINITY, ..good });
        assert_eq!(infinite, Error::OutOfRange { name: "slope", expected: "a finite number", got: f64::INFINITY });
        assert!(matches!(made(Decoder { offset: f64::NAN, ..good }), Error::OutOfRange { name: "offset", .. }));
        for variance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(made(Decoder { variance, ..good }), Error::OutOfRange { name: "variance", .. }));
        }
        let vae = LinearVae::new(&schedule, vec![good; 2]).unwrap();
        for t in [0, 3] {
            assert_eq!(vae.decoder(t).unwrap_err(), Error::StepOutOfRange { t, timesteps: 2 });
        }
    }

    /// Over no dimension at all, every sum is 0.
    #[test]
    fn empty() {
        let (vae, nothing) = (example(2), Array1::zeros(0));
        let bounds =
            [vae.jensen_bound(&nothing), vae.elbo_consistency_form(&nothing), vae.elbo_posterior_form(&nothing)];
        bounds
            .into_iter()
            .chain([vae.log_evidence(&nothing), vae.elbo_gap(&nothing)])
            .for_each(|sum| assert_eq!(sum, Ok(0.0)));
    }

    /// The variance at t = 1 is never β̃_1 = 0 by accident.
    #[test]
    fn bad_input_at_one() {
        let schedule = Schedule::from_betas(&[0.5, 0.5]).unwrap();
        let error = LinearVae::for_gaussian_data(&schedule, 0.0, 0.0, DecoderVariance::Exact).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "variance", got: 0.0, .. }));
        let (short, choice) =
            (Schedule::from_betas(&[0.5]).unwrap(), DecoderVariance::BetaTilde(VarianceAtOne::BetaTilde2));
        let error = LinearVae::for_gaussian_data(&short, 0.0, 1.0, choice).unwrap_err();
        assert_eq!(error, Error::StepOutOfRange { t: 2, timesteps: 1 });
        assert!(LinearVae::for_gaussian_data(&schedule, f64::NAN, 1.0, DecoderVariance::Beta).is_err());
        assert!(LinearVae::for_gaussian_data(&schedule, 0.0, -1.0, DecoderVariance::Beta).is_err());
    }

    /// Each choice has its variances, all with the one exact mean.
    #[test]
    fn choices() {
        let schedule = Schedule::linear(3, 0.2, 0.5).unwrap();
        let made = |choice| LinearVae::for_gaussian_data(&schedule, 0.5, 2.0, choice).unwrap();
        for &step in schedule.steps() {
            let exact = elbo::exact_reverse(0.5, 2.0, step).unwrap();
            let decoder = |choice| made(choice).decoder(step.t).unwrap();
            assert_eq!(decoder(DecoderVariance::Exact), exact);
            assert_eq!(decoder(DecoderVariance::Beta), Decoder { variance: step.beta, ..exact });
            for (at_one, first) in
                [(VarianceAtOne::Beta1, 0.2), (VarianceAtOne::BetaTilde2, schedule.step(2).unwrap().beta_tilde)]
            {
                let tilde = decoder(DecoderVariance::BetaTilde(at_one));
                assert_eq!(Decoder { variance: exact.variance, ..tilde }, exact);
                let want = if step.t == 1 { first } else { step.beta_tilde };
                assert!((tilde.variance / want - 1.0).abs() < 1e-14);
            }
        }
    }
}

mod exact_reverse {
    use super::*;

    /// Bayes on a grid: the mean and variance of q(x_{t−1}) q(x_t | x_{t−1}) as a function of x_{t−1}.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "1200 positive terms, spaced by a third of the narrowest standard deviation or less")
            .property(wide(), |case| against_bayes(case, elbo::exact_reverse));
    }

    /// Over x_0: the posterior mean at E[x_0 | x_t], and the law of total variance.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, "a mean of numbers up to 3, relative to at least 1; variances to their own size")
            .property((step_after_first(40), -2.0..2.0, 0.01..3.0, -3.0..3.0), |(step, mean, variance, xt)| {
                let decoder = elbo::exact_reverse(mean, variance, step).unwrap();
                let to_xt = step.alpha_bar.sqrt();
                let (x0, variance_x0) =
                    condition_gaussian((mean, variance), to_xt, step.one_minus_alpha_bar, xt).unwrap();
                let (through_x0, beta_tilde) = posterior(x0, xt, step);
                let weight_of_x0 = posterior(x0 + 1.0, xt, step).0 - through_x0;
                let total = beta_tilde + weight_of_x0 * weight_of_x0 * variance_x0;
                let of_means = distance_of_numbers(mean_of(decoder, xt), through_x0, 1.0);
                of_means.max(distance_of_numbers(decoder.variance, total, 1e-300))
            });
    }

    /// β is exact for data of variance 1, and β̃ for a single point.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "a dozen roundings").property((step(40), -2.0..2.0), |(step, mean)| {
            let unit = elbo::exact_reverse(mean, 1.0, step).unwrap();
            let point = elbo::exact_reverse(mean, 0.0, step).unwrap();
            let offset = step.alpha_bar_prev.sqrt() * mean * step.beta;
            [(unit.slope, step.alpha.sqrt()), (unit.variance, step.beta), (unit.offset, offset)]
                .into_iter()
                .chain([(point.variance, step.beta_tilde)])
                .fold(0.0, |worst, (got, want)| distance_of_numbers(got, want, 1e-300).max(worst))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-12, "as above").rejects("alpha_bar in the place of alpha", wide(), |case| {
            against_bayes(case, |mean, variance, step| {
                let right = elbo::exact_reverse(mean, variance, step)?;
                Ok(Decoder { slope: right.slope / step.alpha.sqrt() * step.alpha_bar.sqrt(), ..right })
            })
        });
    }

    type Case = (Step, f64, f64, f64);

    fn wide() -> impl Strategy<Value = Case> {
        let step =
            prop::collection::vec(0.05..0.9_f64, 1..6).prop_map(|betas| Schedule::from_betas(&betas).unwrap().last());
        (step, -1.0..1.0, 0.1..3.0, -2.0..2.0)
    }

    fn against_bayes((step, mean, variance, xt): Case, reverse: impl Fn(f64, f64, Step) -> Result<Decoder>) -> f64 {
        let variance_prev = step.alpha_bar_prev * variance + 1.0 - step.alpha_bar_prev;
        let joint = |x: f64| {
            density(x, step.alpha_bar_prev.sqrt() * mean, variance_prev).unwrap()
                * density(xt, step.alpha.sqrt() * x, step.beta).unwrap()
        };
        let moment = |f: &dyn Fn(f64) -> f64| integral(-15.0, 15.0, 1200, |x| joint(x) * f(x));
        let total = moment(&|_| 1.0);
        let mean_prev = moment(&|x| x) / total;
        let variance_prev = moment(&|x| (x - mean_prev).powi(2)) / total;
        let got = reverse(mean, variance, step).unwrap();
        distance_of_numbers(mean_of(got, xt), mean_prev, 1.0).max(distance_of_numbers(
            got.variance,
            variance_prev,
            1e-9,
        ))
    }

    #[test]
    fn bad_input() {
        let step = Schedule::from_betas(&[0.5]).unwrap().step(1).unwrap();
        for variance in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                elbo::exact_reverse(0.0, variance, step),
                Err(Error::OutOfRange { name: "variance", .. })
            ));
        }
    }
}

mod log_joint_q {
    use super::*;

    /// The path is as likely as its noise, but for the factors √β_t.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-11, ROUNDINGS).property(noisy(vae(12)), |case| {
            as_likely_as_its_noise(case, |schedule, path| elbo::log_joint_q(schedule, path).unwrap())
        });
    }

    /// The density of (x_1, x_2) integrates to 1.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-13, "10⁴ positive terms, spaced by a third of the narrowest standard deviation")
            .cases([(0.3, 0.5, 1.0), (0.9, 0.2, -2.0), (0.4, 1.0, 0.0)], |(beta_1, beta_2, x0)| {
                let schedule = Schedule::from_betas(&[beta_1, beta_2]).unwrap();
                let total = integral(-9.0, 9.0, 120, |x1| {
                    integral(-9.0, 9.0, 120, |x2| {
                        elbo::log_joint_q(&schedule, &[array![x0], array![x1], array![x2]]).unwrap().exp()
                    })
                });
                (total - 1.0).abs()
            });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(2e-11, "as above").rejects("beta as the standard deviation", noisy(vae(12)), |case| {
            as_likely_as_its_noise(case, |schedule, path| {
                let log_q = |step: &Step| {
                    let mean = &path[step.t - 1] * step.alpha.sqrt();
                    gaussian::log_density(&path[step.t], &mean, step.beta * step.beta).unwrap()
                };
                schedule.steps().iter().map(log_q).sum()
            })
        });
    }

    fn as_likely_as_its_noise(
        (vae, x0, eps): (LinearVae, Array1<f64>, Path),
        log_q: impl Fn(&Schedule, &[Array1<f64>]) -> f64,
    ) -> f64 {
        let schedule = vae.schedule();
        let path = forward::q_chain(&x0, schedule, &eps).unwrap();
        let squares: f64 = eps.iter().flatten().map(|eps| eps * eps).sum();
        let log_variances: f64 = schedule.steps().iter().map(|step| (std::f64::consts::TAU * step.beta).ln()).sum();
        let want = -0.5 * squares - 0.5 * x0.len() as f64 * log_variances;
        distance_of_numbers(log_q(schedule, &path), want, 1.0)
    }

    #[test]
    fn bad_input() {
        bad_paths(|path| elbo::log_joint_q(example(2).schedule(), path));
    }
}

mod log_joint_q_reversed {
    use super::*;

    /// Up and down, one density.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-10, ROUNDINGS).property(noisy(vae(12)), |case| {
            up_and_down(case, |schedule, path| elbo::log_joint_q_reversed(schedule, path).unwrap())
        });
    }

    /// With x_1 integrated out, x_2 has the density of the closed form.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-13, "120 positive terms, spaced by a third of the narrowest standard deviation")
            .cases([(0.3, 0.5, 1.0), (0.9, 0.2, -2.0), (0.4, 1.0, 0.0)], |(beta_1, beta_2, x0)| {
                let schedule = Schedule::from_betas(&[beta_1, beta_2]).unwrap();
                let alpha_bar = (1.0 - beta_1) * (1.0 - beta_2);
                let joint = |x1| elbo::log_joint_q_reversed(&schedule, &[array![x0], array![x1], array![0.4]]).unwrap();
                let got = integral(-9.0, 9.0, 120, |x1| joint(x1).exp());
                distance_of_numbers(got, density(0.4, alpha_bar.sqrt() * x0, 1.0 - alpha_bar).unwrap(), 1e-300)
            });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-10, "as above").rejects(
            "q(x_{t-1} | x_t) as if x_0 did not change it",
            noisy(vae(12)),
            |case| {
                up_and_down(case, |schedule, path| {
                    let last = schedule.last();
                    let closed_form = &path[0] * last.alpha_bar.sqrt();
                    let log_last =
                        gaussian::log_density(&path[last.t], &closed_form, last.one_minus_alpha_bar).unwrap();
                    let backward = |step: &Step| {
                        let reverse = elbo::exact_reverse(0.0, 1.0, *step).unwrap();
                        let mean = path[step.t].mapv(|x| mean_of(reverse, x));
                        gaussian::log_density(&path[step.t - 1], &mean, reverse.variance).unwrap()
                    };
                    log_last + schedule.steps()[1..].iter().map(backward).sum::<f64>()
                })
            },
        );
    }

    fn up_and_down(
        (vae, x0, eps): (LinearVae, Array1<f64>, Path),
        down: impl Fn(&Schedule, &[Array1<f64>]) -> f64,
    ) -> f64 {
        let path = forward::q_chain(&x0, vae.schedule(), &eps).unwrap();
        distance_of_numbers(down(vae.schedule(), &path), elbo::log_joint_q(vae.schedule(), &path).unwrap(), 1.0)
    }

    #[test]
    fn bad_input() {
        bad_paths(|path| elbo::log_joint_q_reversed(example(2).schedule(), path));
    }
}

mod log_joint_p {
    use super::*;

    /// A path drawn from the decoder is as likely as its noise, but for the factors √s_t.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-11, ROUNDINGS)
            .property(noisy(vae(12)), |case| as_likely_as_its_noise(case, |vae, path| vae.log_joint_p(path).unwrap()));
    }

    /// The density of (x_0, x_1, x_2) integrates to 1.
    #[test]
    fn quadrature() {
        let vae = example(2);
        check!(Quadrature).bound(1e-13, "10⁵ positive terms, spaced by 0.6 of the narrowest standard deviation").cases(
            [()],
            |()| {
                let whole = |f: &dyn Fn(f64) -> f64| integral(-9.0, 9.0, 50, f);
                let joint = |x: [f64; 3]| vae.log_joint_p(&x.map(|x| array![x])).unwrap().exp();
                (whole(&|x0| whole(&|x1| whole(&|x2| joint([x0, x1, x2])))) - 1.0).abs()
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(2e-11, "as above").rejects("p(x_T) left out", noisy(vae(12)), |case| {
            as_likely_as_its_noise(case, |vae, path| {
                let last = &path[vae.schedule().timesteps()];
                let nothing = Array1::zeros(last.len());
                vae.log_joint_p(path).unwrap() - gaussian::log_density(last, &nothing, 1.0).unwrap()
            })
        });
    }

    fn as_likely_as_its_noise(
        (vae, start, eps): (LinearVae, Array1<f64>, Path),
        log_p: impl Fn(&LinearVae, &[Array1<f64>]) -> f64,
    ) -> f64 {
        let mut path = vec![start.clone()];
        let squares: f64 = eps.iter().chain([&start]).flatten().map(|z| z * z).sum();
        let mut variances = std::f64::consts::TAU;
        let mut want = -0.5 * squares - 0.5 * start.len() as f64 * variances.ln();
        for (t, z) in (1..=vae.schedule().timesteps()).rev().zip(&eps) {
            let decoder = vae.decoder(t).unwrap();
            path.insert(0, path[0].mapv(|x| mean_of(decoder, x)) + z * decoder.variance.sqrt());
            variances = std::f64::consts::TAU * decoder.variance;
            want -= 0.5 * start.len() as f64 * variances.ln();
        }
        distance_of_numbers(log_p(&vae, &path), want, 1.0)
    }

    #[test]
    fn bad_input() {
        bad_paths(|path| example(2).log_joint_p(path));
    }
}

mod jensen_bound {
    use super::*;

    /// The mean of ln p − ln q over all paths.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property((vae(4), data()), |case| over_all_paths(case, |vae, x0| vae.jensen_bound(x0).unwrap()));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let vae = example(3);
            let log_ratio =
                |path: &Path| vae.log_joint_p(path).unwrap() - elbo::log_joint_q(vae.schedule(), path).unwrap();
            let draws: Vec<f64> = draw_paths(50_000, vae.schedule(), 0.8, rng).iter().map(log_ratio).collect();
            vec![z_score(&draws, vae.jensen_bound(&array![0.8]).unwrap())]
        });
    }

    /// Where the decoder undoes the encoder exactly and the data has variance 1, the bound is ln p(x_0) itself.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-12, "T terms of size ln β that cancel").property(
            (schedule(40), data()),
            |(schedule, x0)| {
                let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact).unwrap();
                let want = gaussian::log_density(&x0, &Array1::zeros(x0.len()), 1.0).unwrap();
                distance_of_numbers(vae.jensen_bound(&x0).unwrap(), want, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_no_entropy() {
        check!(Quadrature).bound(2e-11, "as above").rejects("ln q left out", (vae(4), data()), |case| {
            over_all_paths(case, |vae, x0| {
                let entropies =
                    vae.schedule().steps().iter().map(|step| gaussian::entropy(step.beta, x0.len()).unwrap());
                vae.jensen_bound(x0).unwrap() - entropies.sum::<f64>()
            })
        });
    }

    #[test]
    fn wrong_variant_plus_ln_q() {
        check!(Quadrature).bound(2e-11, "as above").rejects("plus ln q for minus", (vae(4), data()), |case| {
            over_all_paths(case, |vae, x0| {
                let entropies =
                    vae.schedule().steps().iter().map(|step| gaussian::entropy(step.beta, x0.len()).unwrap());
                vae.jensen_bound(x0).unwrap() - 2.0 * entropies.sum::<f64>()
            })
        });
    }

    fn over_all_paths((vae, x0): (LinearVae, Array1<f64>), bound: impl Fn(&LinearVae, &Array1<f64>) -> f64) -> f64 {
        let want = over_paths_summed(vae.schedule(), &x0, &|path| {
            vae.log_joint_p(path).unwrap() - elbo::log_joint_q(vae.schedule(), path).unwrap()
        });
        distance_of_numbers(bound(&vae, &x0), want, 1.0)
    }
}

mod reconstruction_term {
    use super::*;

    /// The mean over x_1.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property((vae(1), data()), |case| over_x1(case, |vae, x0| vae.reconstruction_term(x0).unwrap()));
    }

    /// A decoder that does not look at x_1 pays for x_0 as any Gaussian does.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "a dozen roundings").property(
            (schedule(5), data(), -1.0..1.0, 0.1..2.0),
            |(schedule, x0, offset, variance)| {
                let blind = vec![Decoder { slope: 0.0, offset, variance }; schedule.timesteps()];
                let vae = LinearVae::new(&schedule, blind).unwrap();
                let want = -gaussian::log_density(&x0, &Array1::from_elem(x0.len(), offset), variance).unwrap();
                distance_of_numbers(vae.reconstruction_term(&x0).unwrap(), want, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects("x_1 put at its mean", (vae(1), data()), |case| {
            over_x1(case, |vae, x0| {
                let decoder = vae.decoder(1).unwrap();
                let x1 = x0 * vae.schedule().last().alpha.sqrt();
                -gaussian::log_density(x0, &x1.mapv(|x| mean_of(decoder, x)), decoder.variance).unwrap()
            })
        });
    }

    fn over_x1((vae, x0): (LinearVae, Array1<f64>), term: impl Fn(&LinearVae, &Array1<f64>) -> f64) -> f64 {
        let (step, decoder) = (vae.schedule().last(), vae.decoder(1).unwrap());
        let cost = |x0: f64| {
            gaussian_mean(step.alpha.sqrt() * x0, step.beta, |x1| {
                -gaussian::log_density(&array![x0], &array![mean_of(decoder, x1)], decoder.variance).unwrap()
            })
        };
        distance_of_numbers(term(&vae, &x0), x0.iter().map(|&x| cost(x)).sum(), 1.0)
    }
}

mod consistency_term {
    use super::*;

    /// The mean over all three of (x_{t−1}, x_t, x_{t+1}).
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property(case(), |case| over_three(case, |vae, x0, t| vae.consistency_term(x0, t).unwrap()));
    }

    /// It is the denoising term one further on, and a constant that no decoder can change.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-10, ROUNDINGS).property((vae_of_two(12), data()), |(vae, x0)| {
            let worst = |worst: f64, pair: &[Step]| {
                let constant = 0.5 * x0.len() as f64 * (pair[1].beta_tilde / pair[0].beta).ln();
                let want = vae.denoising_term(&x0, pair[1].t).unwrap() + constant;
                distance_of_numbers(vae.consistency_term(&x0, pair[0].t).unwrap(), want, 1.0).max(worst)
            };
            vae.schedule().steps().windows(2).fold(0.0, worst)
        });
    }

    /// The circulating formula, where x_t is drawn again without a look at x_{t+1}.
    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects(
            "the mean of KL(q(x_t | x_{t-1}) || p(x_t | x_{t+1}))",
            case(),
            |case| over_three(case, mean_kl),
        );
    }

    /// By how much the circulating formula is too large: d a √α β_t / s, with a, s and α of t + 1.
    #[test]
    fn wrong_variant_is_too_large_by_a_known_amount() {
        let vae = example(4);
        let x0 = array![0.8, -1.0];
        for t in 1..4 {
            let (step, next) = (vae.schedule().step(t).unwrap(), vae.schedule().step(t + 1).unwrap());
            let decoder = vae.decoder(t + 1).unwrap();
            let excess = 2.0 * decoder.slope * next.alpha.sqrt() * step.beta / decoder.variance;
            let right = vae.consistency_term(&x0, t).unwrap();
            assert!((mean_kl(&vae, &x0, t) - right - excess).abs() < 1e-12);
        }
    }

    /// No KL is below 0, but this is.
    #[test]
    fn below_zero() {
        let schedule = Schedule::from_betas(&[0.3, 0.3]).unwrap();
        let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact).unwrap();
        assert!(vae.consistency_term(&array![0.0], 1).unwrap() < -0.1);
    }

    fn case() -> impl Strategy<Value = (LinearVae, Array1<f64>)> {
        (vae_of_two(4), data())
    }

    fn mean_kl(vae: &LinearVae, x0: &Array1<f64>, t: usize) -> f64 {
        let (step, decoder) = (vae.schedule().step(t).unwrap(), vae.decoder(t + 1).unwrap());
        over_paths_summed(vae.schedule(), x0, &|path| {
            let (mean_q, mean_p) = (step.alpha.sqrt() * path[t - 1][0], mean_of(decoder, path[t + 1][0]));
            kl_scalar(mean_q, step.beta, mean_p, decoder.variance).unwrap()
        })
    }

    fn over_three((vae, x0): (LinearVae, Array1<f64>), term: impl Fn(&LinearVae, &Array1<f64>, usize) -> f64) -> f64 {
        let want = |t: usize| {
            let (step, decoder) = (vae.schedule().step(t).unwrap(), vae.decoder(t + 1).unwrap());
            over_paths_summed(vae.schedule(), &x0, &|path| {
                let up = gaussian::log_density(&path[t], &(&path[t - 1] * step.alpha.sqrt()), step.beta).unwrap();
                let mean = path[t + 1].mapv(|x| mean_of(decoder, x));
                up - gaussian::log_density(&path[t], &mean, decoder.variance).unwrap()
            })
        };
        (1..vae.schedule().timesteps())
            .fold(0.0, |worst: f64, t| distance_of_numbers(term(&vae, &x0, t), want(t), 1.0).max(worst))
    }

    #[test]
    fn bad_input() {
        bad_times(|t| example(2).consistency_term(&array![0.0], t), [0, 2, 3], NOT_BETWEEN);
    }
}

mod elbo_consistency_form {
    use super::*;

    /// The same number as the bound before it was taken apart.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "the same terms, added up in another order").property(
            (vae(40), data()),
            |(vae, x0)| {
                distance_of_numbers(vae.elbo_consistency_form(&x0).unwrap(), vae.jensen_bound(&x0).unwrap(), 1.0)
            },
        );
    }

    /// The mean over all paths of the estimate on one.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property((vae(4), data()), |case| over_all_paths(case, |vae, x0| vae.elbo_consistency_form(x0).unwrap()));
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects("consistency terms added", (vae(4), data()), |case| {
            over_all_paths(case, |vae, x0| {
                let terms = (1..vae.schedule().timesteps()).map(|t| vae.consistency_term(x0, t).unwrap());
                vae.elbo_consistency_form(x0).unwrap() + 2.0 * terms.sum::<f64>()
            })
        });
    }

    #[test]
    fn wrong_variant_prior_term() {
        check!(Quadrature).bound(2e-11, "as above").rejects("L_T of the other form", (vae(4), data()), |case| {
            over_all_paths(case, |vae, x0| {
                let (theirs, ours) = (elbo::prior_term(x0, vae.schedule()), elbo::last_step_term(x0, vae.schedule()));
                vae.elbo_consistency_form(x0).unwrap() + ours.unwrap() - theirs.unwrap()
            })
        });
    }

    fn over_all_paths((vae, x0): (LinearVae, Array1<f64>), bound: impl Fn(&LinearVae, &Array1<f64>) -> f64) -> f64 {
        let want = over_paths_summed(vae.schedule(), &x0, &|path| {
            vae.log_joint_p(path).unwrap() - elbo::log_joint_q(vae.schedule(), path).unwrap()
        });
        distance_of_numbers(bound(&vae, &x0), want, 1.0)
    }
}

mod prior_term {
    use super::*;

    /// ∫ q ln(q/p) over x_T.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-12, "60 terms up to 20 each, the smallest results taken relative to 1")
            .property((schedule(40), data()), |case| by_integral(case, |x0, schedule| elbo::prior_term(x0, schedule)));
    }

    /// Where nothing of x_0 is left, there is nothing to pay.
    #[test]
    fn limit() {
        let schedule = Schedule::linear(10, 0.1, 0.2).unwrap().rescale_zero_terminal_snr().unwrap();
        check!(Limit).bound(0.0, "ᾱ_T is exactly 0").property(data(), |x0| elbo::prior_term(&x0, &schedule).unwrap());
    }

    /// "L_T ≈ 1e-5 bits per dimension" (Ho, Jain, Abbeel 2020, section 4), for pixels that are uniform on [−1, 1].
    #[test]
    fn published() {
        check!(Published)
            .bound(0.5, "half a digit, in powers of 2: one digit is given, and that for other images")
            .cases([1e-5], |bits| {
                let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T).unwrap();
                let x0 = array![(1.0_f64 / 3.0).sqrt()];
                let got = elbo::bits_per_dim(elbo::prior_term(&x0, &ddpm).unwrap(), 1).unwrap();
                (got / bits).log2().abs()
            });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-12, "as above").rejects(
            "the mean over dimensions",
            (schedule(40), data()),
            |case| by_integral(case, |x0, schedule| Ok(elbo::prior_term(x0, schedule)? / x0.len() as f64)),
        );
    }

    fn by_integral(
        (schedule, x0): (Schedule, Array1<f64>),
        term: impl Fn(&Array1<f64>, &Schedule) -> Result<f64>,
    ) -> f64 {
        let alpha_bar: f64 = schedule.steps().iter().map(|step| step.alpha).product();
        let variance = schedule.last().one_minus_alpha_bar;
        let log_ratio = |x: f64, mean: f64| 0.5 * (x * x - (x - mean).powi(2) / variance - variance.ln());
        let kl = |x0: f64| {
            let mean = alpha_bar.sqrt() * x0;
            gaussian_mean(mean, variance, |x| log_ratio(x, mean))
        };
        distance_of_numbers(term(&x0, &schedule).unwrap(), x0.iter().map(|&x| kl(x)).sum(), 1.0)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property(twin::batch::<1>(), |batch| {
            let ([data], last) = (&batch.arrays, batch.schedule.last());
            let at_the_end = vec![last.t; data.nrows()];
            let steps = twin::twin(&batch.schedule).at(&at_the_end).unwrap();
            let got = diffusion::prior_kl(&twin::tensor(data, Kind::Double), &steps).unwrap();
            let units = |(got, x0): (f64, ArrayView1<f64>)| {
                let of_variance = last.alpha_bar - last.one_minus_alpha_bar.ln();
                let magnitude = (last.alpha_bar * x0.dot(&x0) + x0.len() as f64 * of_variance) / 2.0;
                twin::in_units(got, elbo::prior_term(&x0, &batch.schedule).unwrap(), batch.budget() * magnitude)
            };
            twin::numbers(&got).into_iter().zip(data.rows()).map(units).fold(0.0, larger)
        });
    }
}

mod last_step_term {
    use super::*;

    /// It is L_T, and what x_{T−1} tells of x_T.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "a few dozen roundings of numbers up to 10").property(
            (schedule(40), data()),
            |(schedule, x0)| {
                let information =
                    0.5 * x0.len() as f64 * (schedule.last().one_minus_alpha_bar / schedule.last().beta).ln();
                let want = elbo::prior_term(&x0, &schedule).unwrap() + information;
                distance_of_numbers(elbo::last_step_term(&x0, &schedule).unwrap(), want, 1.0)
            },
        );
    }

    /// The mean over x_{T−1}.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, "81 terms up to 20 each").property((schedule(4), data()), |case| {
            over_last_but_one(case, |x0, schedule| elbo::last_step_term(x0, schedule).unwrap())
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-13, "as above").rejects("x_{T-1} put at its mean", (schedule(4), data()), |case| {
            over_last_but_one(case, |x0, schedule| {
                let last = schedule.last();
                let kl = |x0: &f64| kl_scalar(last.alpha_bar.sqrt() * x0, last.beta, 0.0, 1.0).unwrap();
                x0.iter().map(kl).sum()
            })
        });
    }

    fn over_last_but_one(
        (schedule, x0): (Schedule, Array1<f64>),
        term: impl Fn(&Array1<f64>, &Schedule) -> f64,
    ) -> f64 {
        let last = schedule.last();
        let want = over_paths_summed(&schedule, &x0, &|path| {
            kl_scalar(last.alpha.sqrt() * path[last.t - 1][0], last.beta, 0.0, 1.0).unwrap()
        });
        distance_of_numbers(term(&x0, &schedule), want, 1.0)
    }
}

mod denoising_term {
    use super::*;

    /// The mean over x_t of the KL to the posterior.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-10, ROUNDINGS)
            .property((vae_of_two(12), data()), |case| over_xt(case, |vae, x0, t| vae.denoising_term(x0, t).unwrap()));
    }

    /// On a single point with β̃, the decoder is the posterior.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-23, "the square of (a dozen roundings over σ ≥ 1e-3), 40 times").property(
            (schedule(40), -2.0..2.0),
            |(schedule, x0)| {
                let choice = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);
                let vae = LinearVae::for_gaussian_data(&schedule, x0, 0.0, choice).unwrap();
                let term = |t| vae.denoising_term(&array![x0], t).unwrap();
                (2..=schedule.timesteps()).map(term).sum()
            },
        );
    }

    #[test]
    fn wrong_variant_other_way_round() {
        check!(Quadrature).bound(1e-10, "as above").rejects("the KL from p to q", (vae_of_two(12), data()), |case| {
            over_xt(case, |vae, x0, t| {
                let (step, decoder) = (vae.schedule().step(t).unwrap(), vae.decoder(t).unwrap());
                mean_over_xt(x0, step, |x0, xt| {
                    let (mean, variance) = posterior(x0, xt, step);
                    kl_scalar(mean_of(decoder, xt), decoder.variance, mean, variance).unwrap()
                })
            })
        });
    }

    #[test]
    fn wrong_variant_no_spread() {
        check!(Quadrature).bound(1e-10, "as above").rejects("x_t put at its mean", (vae_of_two(12), data()), |case| {
            over_xt(case, |vae, x0, t| {
                let to_xt = vae.schedule().step(t).unwrap().alpha_bar.sqrt();
                x0.iter().map(|x| kl_to_posterior(vae, *x, to_xt * x, t)).sum()
            })
        });
    }

    fn mean_over_xt(x0: &Array1<f64>, step: Step, f: impl Fn(f64, f64) -> f64) -> f64 {
        let mean = |x0: &f64| gaussian_mean(step.alpha_bar.sqrt() * x0, step.one_minus_alpha_bar, |xt| f(*x0, xt));
        x0.iter().map(mean).sum()
    }

    fn over_xt((vae, x0): (LinearVae, Array1<f64>), term: impl Fn(&LinearVae, &Array1<f64>, usize) -> f64) -> f64 {
        let worst = |worst: f64, step: &Step| {
            let want = mean_over_xt(&x0, *step, |x0, xt| kl_to_posterior(&vae, x0, xt, step.t));
            distance_of_numbers(term(&vae, &x0, step.t), want, 1.0).max(worst)
        };
        vae.schedule().steps()[1..].iter().fold(0.0, worst)
    }

    #[test]
    fn bad_input() {
        bad_times(|t| example(2).denoising_term(&array![0.0], t), [0, 1, 3], NOT_AFTER_FIRST);
    }
}

mod elbo_posterior_form {
    use super::*;

    /// The same number as the consistency terms give.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-11, ROUNDINGS).property((vae(40), data()), |case| {
            against_consistency(case, |vae, x0| vae.elbo_posterior_form(x0).unwrap())
        });
    }

    /// The mean over all paths of ln p − ln q.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae(4), data()), |(vae, x0)| {
            let want = over_paths_summed(vae.schedule(), &x0, &|path| {
                vae.log_joint_p(path).unwrap() - elbo::log_joint_q(vae.schedule(), path).unwrap()
            });
            distance_of_numbers(vae.elbo_posterior_form(&x0).unwrap(), want, 1.0)
        });
    }

    #[test]
    fn wrong_variant_prior_term() {
        check!(Identity).bound(2e-11, "as above").rejects("L_T left out", (vae(40), data()), |case| {
            against_consistency(case, |vae, x0| {
                vae.elbo_posterior_form(x0).unwrap() + elbo::prior_term(x0, vae.schedule()).unwrap()
            })
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Identity).bound(2e-11, "as above").rejects("plus L_T for minus L_T", (vae(40), data()), |case| {
            against_consistency(case, |vae, x0| {
                vae.elbo_posterior_form(x0).unwrap() + 2.0 * elbo::prior_term(x0, vae.schedule()).unwrap()
            })
        });
    }

    #[test]
    fn wrong_variant_mean_over_t() {
        check!(Identity).bound(2e-11, "as above").rejects("the mean over t for the sum", (vae(40), data()), |case| {
            against_consistency(case, |vae, x0| {
                let timesteps = vae.schedule().timesteps();
                let terms: f64 = (2..=timesteps).map(|t| vae.denoising_term(x0, t).unwrap()).sum();
                vae.elbo_posterior_form(x0).unwrap() + terms - terms / timesteps as f64
            })
        });
    }

    fn against_consistency(
        (vae, x0): (LinearVae, Array1<f64>),
        bound: impl Fn(&LinearVae, &Array1<f64>) -> f64,
    ) -> f64 {
        distance_of_numbers(bound(&vae, &x0), vae.elbo_consistency_form(&x0).unwrap(), 1.0)
    }
}

mod log_evidence {
    use super::*;

    /// p(x_{0:T}) with x_1 and x_2 integrated out.
    #[test]
    fn quadrature() {
        let vae = example(2);
        check!(Quadrature)
            .bound(1e-13, "10⁴ positive terms, spaced by a third of the narrowest standard deviation")
            .cases([0.0, 0.8, -2.0], |x0| integrated_out(&vae, x0, vae.log_evidence(&array![x0]).unwrap()));
    }

    /// From pure noise, the exact decoder gives the density of the data.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "10 steps of 3 roundings each, on squares up to 100").property(
            (data(), -1.0..1.0, 0.1..2.0),
            |(x0, mean, variance)| {
                let schedule = Schedule::linear(10, 0.1, 0.2).unwrap().rescale_zero_terminal_snr().unwrap();
                let vae = LinearVae::for_gaussian_data(&schedule, mean, variance, DecoderVariance::Exact).unwrap();
                let want = gaussian::log_density(&x0, &Array1::from_elem(x0.len(), mean), variance).unwrap();
                distance_of_numbers(vae.log_evidence(&x0).unwrap(), want, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_bound() {
        let vae = example(2);
        check!(Quadrature).bound(1e-13, "as above").rejects("the bound for the evidence", -2.0..2.0, |x0| {
            integrated_out(&vae, x0, vae.jensen_bound(&array![x0]).unwrap())
        });
    }

    #[test]
    fn wrong_variant_slope() {
        let vae = example(2);
        check!(Quadrature).bound(1e-13, "as above").rejects("variance times the slope, not squared", -2.0..2.0, |x0| {
            let down = |(mean, variance): (f64, f64), t: usize| {
                let decoder = vae.decoder(t).unwrap();
                (mean_of(decoder, mean), decoder.slope * variance + decoder.variance)
            };
            let (mean, variance) = [2, 1].into_iter().fold((0.0, 1.0), down);
            integrated_out(&vae, x0, density(x0, mean, variance).unwrap().ln())
        });
    }

    fn integrated_out(vae: &LinearVae, x0: f64, log_evidence: f64) -> f64 {
        let whole = |f: &dyn Fn(f64) -> f64| integral(-9.0, 9.0, 100, f);
        let joint = |x1: f64, x2: f64| vae.log_joint_p(&[array![x0], array![x1], array![x2]]).unwrap().exp();
        distance_of_numbers(log_evidence, whole(&|x1| whole(&|x2| joint(x1, x2))).ln(), 1.0)
    }
}

mod elbo_gap {
    use super::*;

    /// What is missing from the evidence.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-11, ROUNDINGS)
            .property((vae(40), data()), |case| missing(case, |vae, x0| vae.elbo_gap(x0).unwrap()));
    }

    /// For data of variance 1 the exact decoder leaves no gap, whatever is left of the data at T; and L_T is not it.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-21, "the square of (40 rounded steps over σ ≥ 1e-3), 40 times").property(
            (schedule(40), data()),
            |(schedule, x0)| {
                let vae = LinearVae::for_gaussian_data(&schedule, 0.0, 1.0, DecoderVariance::Exact).unwrap();
                vae.elbo_gap(&x0).unwrap()
            },
        );
    }

    /// With the exact decoder, q(x_{1:T} | x_0) and p(x_{1:T} | x_0) differ by the marginals at both ends alone:
    /// gap = ln p(x_0) − ln q(x_0) + E_{q(x_T|x_0)}[ln q(x_T) − ln p(x_T)].
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, "logarithms of densities up to 1e2, and T terms").property(
            (schedule(40), data(), -1.0..1.0, 0.1..2.0),
            |(schedule, x0, mean, variance)| {
                let vae = LinearVae::for_gaussian_data(&schedule, mean, variance, DecoderVariance::Exact).unwrap();
                let last = schedule.last();
                let (mean_t, variance_t) = forward::marginal_moments(mean, variance, last).unwrap();
                let log = |x: f64, mean: f64, variance: f64| {
                    gaussian::log_density(&array![x], &array![mean], variance).unwrap()
                };
                let gap = |&x0: &f64| {
                    let of_the_end = gaussian_mean(last.alpha_bar.sqrt() * x0, last.one_minus_alpha_bar, |x| {
                        log(x, mean_t, variance_t) - log(x, 0.0, 1.0)
                    });
                    vae.log_evidence(&array![x0]).unwrap() - log(x0, mean, variance) + of_the_end
                };
                distance_of_numbers(vae.elbo_gap(&x0).unwrap(), x0.iter().map(gap).sum(), 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_prior_term() {
        check!(Identity).bound(2e-11, "as above").rejects("L_T taken for the gap", (vae(40), data()), |case| {
            missing(case, |vae, x0| elbo::prior_term(x0, vae.schedule()).unwrap())
        });
    }

    #[test]
    fn wrong_variant_other_way_round() {
        check!(Identity).bound(2e-11, "as above").rejects("the KL from p to q", (vae(1), data()), |case| {
            missing(case, |vae, x0| {
                let (step, decoder) = (vae.schedule().last(), vae.decoder(1).unwrap());
                let kl = |&x0: &f64| {
                    let (mean, variance) =
                        condition_gaussian((0.0, 1.0), decoder.slope, decoder.variance, x0 - decoder.offset).unwrap();
                    kl_scalar(mean, variance, step.alpha.sqrt() * x0, step.beta).unwrap()
                };
                x0.iter().map(kl).sum()
            })
        });
    }

    fn missing((vae, x0): (LinearVae, Array1<f64>), gap: impl Fn(&LinearVae, &Array1<f64>) -> f64) -> f64 {
        let want = vae.log_evidence(&x0).unwrap() - vae.elbo_posterior_form(&x0).unwrap();
        distance_of_numbers(gap(&vae, &x0), want, 1.0)
    }
}

/// The consistency term of t at one path.
fn draw_at(vae: &LinearVae, path: &[Array1<f64>], t: usize) -> f64 {
    vae.consistency_estimate(&path[t - 1], &path[t], &path[t + 1], t).unwrap()
}

mod consistency_estimate {
    use super::*;

    /// Its mean is the term.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae_of_two(4), data()), |(vae, x0)| {
            let mean = |t| over_paths_summed(vae.schedule(), &x0, &|path| draw_at(&vae, path, t));
            let off = |t| distance_of_numbers(mean(t), vae.consistency_term(&x0, t).unwrap(), 1.0);
            (1..vae.schedule().timesteps()).map(off).fold(0.0, crate::support::larger)
        });
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let vae = example(3);
            scores(&vae, &draw_paths(50_000, vae.schedule(), 0.8, rng))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("x_{t+1} drawn without a look at x_t", |rng| {
            let vae = example(3);
            let [mut paths, others] = [(); 2].map(|()| draw_paths(50_000, vae.schedule(), 0.8, rng));
            paths.iter_mut().zip(&others).for_each(|(path, other)| path[2].assign(&other[2]));
            scores(&vae, &paths)
        });
    }

    fn scores(vae: &LinearVae, paths: &[Path]) -> Vec<f64> {
        let score = |t| {
            let draws: Vec<f64> = paths.iter().map(|path| draw_at(vae, path, t)).collect();
            z_score(&draws, vae.consistency_term(&array![0.8], t).unwrap())
        };
        [1, 2].map(score).to_vec()
    }

    #[test]
    fn bad_input() {
        let (vae, one, two) = (example(2), array![0.0], array![0.0, 0.0]);
        bad_times(|t| vae.consistency_estimate(&one, &one, &one, t), [0, 2, 3], NOT_BETWEEN);
        for (name, result) in [
            ("x_prev", vae.consistency_estimate(&two, &one, &one, 1)),
            ("x_next", vae.consistency_estimate(&one, &one, &two, 1)),
        ] {
            assert_eq!(result.unwrap_err(), Error::ShapeMismatch { name, expected: vec![1], got: vec![2] });
        }
    }
}

mod denoising_estimate {
    use super::*;

    /// The KL to the posterior by conditioning, a dimension at a time.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-10, ROUNDINGS).property(noisy(vae_of_two(12)), |case| {
            by_conditioning(case, |vae, x0, xt, t| vae.denoising_estimate(x0, xt, t).unwrap())
        });
    }

    /// Its mean is the term.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae_of_two(4), data()), |(vae, x0)| {
            let mean = |t: usize| {
                let estimate = |path: &[Array1<f64>]| vae.denoising_estimate(&path[0], &path[t], t).unwrap();
                over_paths_summed(vae.schedule(), &x0, &estimate)
            };
            let off = |t| distance_of_numbers(mean(t), vae.denoising_term(&x0, t).unwrap(), 1.0);
            (2..=vae.schedule().timesteps()).map(off).fold(0.0, crate::support::larger)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-10, "as above").rejects(
            "beta in the place of beta_tilde",
            noisy(vae_of_two(12)),
            |case| {
                by_conditioning(case, |vae, x0, xt, t| {
                    let (step, decoder) = (vae.schedule().step(t).unwrap(), vae.decoder(t).unwrap());
                    let kl = |(&x0, &xt): (&f64, &f64)| {
                        kl_scalar(posterior(x0, xt, step).0, step.beta, mean_of(decoder, xt), decoder.variance).unwrap()
                    };
                    x0.iter().zip(xt).map(kl).sum()
                })
            },
        );
    }

    fn by_conditioning(
        (vae, x0, eps): (LinearVae, Array1<f64>, Path),
        estimate: impl Fn(&LinearVae, &Array1<f64>, &Array1<f64>, usize) -> f64,
    ) -> f64 {
        let path = forward::q_chain(&x0, vae.schedule(), &eps).unwrap();
        let want = |t: usize| x0.iter().zip(&path[t]).map(|(&x0, &xt)| kl_to_posterior(&vae, x0, xt, t)).sum();
        let off = |t: usize| distance_of_numbers(estimate(&vae, &x0, &path[t], t), want(t), 1.0);
        (2..=vae.schedule().timesteps()).map(off).fold(0.0, crate::support::larger)
    }

    #[test]
    fn bad_input() {
        let vae = example(2);
        bad_times(|t| vae.denoising_estimate(&array![0.0], &array![0.0], t), [0, 1, 3], NOT_AFTER_FIRST);
        let error = vae.denoising_estimate(&array![0.0], &array![0.0, 0.0], 2).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "xt", expected: vec![1], got: vec![2] });
    }
}

mod elbo_consistency_estimate {
    use super::*;

    /// Its mean is the bound.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae(4), data()), |(vae, x0)| {
            let mean = over_paths_summed(vae.schedule(), &x0, &|path| vae.elbo_consistency_estimate(path).unwrap());
            distance_of_numbers(mean, vae.elbo_posterior_form(&x0).unwrap(), 1.0)
        });
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let vae = example(3);
            score(&vae, &draw_paths(50_000, vae.schedule(), 0.8, rng))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("each x_t drawn on its own from q(x_t | x_0)", |rng| {
            let vae = example(3);
            score(&vae, &draw_apart(50_000, vae.schedule(), 0.8, rng))
        });
    }

    fn score(vae: &LinearVae, paths: &[Path]) -> Vec<f64> {
        let draws: Vec<f64> = paths.iter().map(|path| vae.elbo_consistency_estimate(path).unwrap()).collect();
        vec![z_score(&draws, vae.jensen_bound(&array![0.8]).unwrap())]
    }

    #[test]
    fn bad_input() {
        bad_paths(|path| example(2).elbo_consistency_estimate(path));
    }
}

/// "Paths" whose x_t are drawn from q(x_t | x_0), each on its own.
fn draw_apart(count: usize, schedule: &Schedule, x0: f64, rng: &mut ChaCha8Rng) -> Vec<Path> {
    let x0 = array![x0];
    let mut draw = |step: &Step| forward::q_sample(&x0, *step, &Array1::random_using(1, StandardNormal, rng)).unwrap();
    let mut path = || [x0.clone()].into_iter().chain(schedule.steps().iter().map(&mut draw)).collect();
    (0..count).map(|_| path()).collect()
}

mod elbo_posterior_estimate {
    use super::*;

    /// Its mean is the bound.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae(4), data()), |(vae, x0)| {
            let mean = over_paths_summed(vae.schedule(), &x0, &|path| vae.elbo_posterior_estimate(path).unwrap());
            distance_of_numbers(mean, vae.elbo_consistency_form(&x0).unwrap(), 1.0)
        });
    }

    /// Its mean is the bound for x_t drawn on their own as well: no term needs two of them.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| scores(rng, |vae, path| vae.elbo_posterior_estimate(path).unwrap()));
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("the last step of the other form for L_T", |rng| {
            scores(rng, |vae, path| {
                let (right, wrong) =
                    (elbo::prior_term(&path[0], vae.schedule()), elbo::last_step_term(&path[0], vae.schedule()));
                vae.elbo_posterior_estimate(path).unwrap() + right.unwrap() - wrong.unwrap()
            })
        });
    }

    fn scores(rng: &mut ChaCha8Rng, estimate: impl Fn(&LinearVae, &Path) -> f64) -> Vec<f64> {
        let vae = example(3);
        let want = vae.jensen_bound(&array![0.8]).unwrap();
        [draw_paths(50_000, vae.schedule(), 0.8, rng), draw_apart(50_000, vae.schedule(), 0.8, rng)]
            .iter()
            .map(|paths| z_score(&paths.iter().map(|path| estimate(&vae, path)).collect::<Vec<_>>(), want))
            .collect()
    }

    #[test]
    fn bad_input() {
        bad_paths(|path| example(2).elbo_posterior_estimate(path));
    }
}

mod consistency_variance {
    use super::*;

    /// The mean square of the estimate less its mean.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-11, ROUNDINGS).property((vae_of_two(4), data()), |case| {
            about_the_mean(case, |vae, x0, t| vae.consistency_variance(x0, t).unwrap())
        });
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let vae = example(3);
            let paths = draw_paths(200_000, vae.schedule(), 0.8, rng);
            let score = |t| {
                let mean = vae.consistency_term(&array![0.8], t).unwrap();
                let square = |path: &Path| (draw_at(&vae, path, t) - mean).powi(2);
                let squares: Vec<f64> = paths.iter().map(square).collect();
                z_score(&squares, vae.consistency_variance(&array![0.8], t).unwrap())
            };
            [1, 2].map(score).to_vec()
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects(
            "as if the two log-densities were independent",
            (vae_of_two(4), data()),
            |case| {
                about_the_mean(case, |vae, x0, t| {
                    let (step, next) = (vae.schedule().step(t).unwrap(), vae.schedule().step(t + 1).unwrap());
                    let decoder = vae.decoder(t + 1).unwrap();
                    let k = 1.0 - decoder.slope * next.alpha.sqrt();
                    let covariance = x0.len() as f64 * k * k * step.beta / decoder.variance;
                    vae.consistency_variance(x0, t).unwrap() + covariance
                })
            },
        );
    }

    fn about_the_mean(
        (vae, x0): (LinearVae, Array1<f64>),
        variance: impl Fn(&LinearVae, &Array1<f64>, usize) -> f64,
    ) -> f64 {
        let want = |x0: f64, t: usize| {
            let mean = vae.consistency_term(&array![x0], t).unwrap();
            over_paths(vae.schedule(), x0, &|path| (draw_at(&vae, path, t) - mean).powi(2))
        };
        let off = |t| distance_of_numbers(variance(&vae, &x0, t), x0.iter().map(|&x| want(x, t)).sum(), 1.0);
        (1..vae.schedule().timesteps()).map(off).fold(0.0, crate::support::larger)
    }

    #[test]
    fn bad_input() {
        bad_times(|t| example(2).consistency_variance(&array![0.0], t), [0, 2, 3], NOT_BETWEEN);
    }
}

mod denoising_variance {
    use super::*;

    /// The mean square of the estimate less its mean.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(2e-10, ROUNDINGS).property((vae_of_two(4), data()), |case| {
            about_the_mean(case, |vae, x0, t| vae.denoising_variance(x0, t).unwrap())
        });
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let vae = example(3);
            let paths = draw_apart(200_000, vae.schedule(), 0.8, rng);
            let score = |t: usize| {
                let mean = vae.denoising_term(&array![0.8], t).unwrap();
                let square = |path: &Path| (vae.denoising_estimate(&path[0], &path[t], t).unwrap() - mean).powi(2);
                let squares: Vec<f64> = paths.iter().map(square).collect();
                z_score(&squares, vae.denoising_variance(&array![0.8], t).unwrap())
            };
            [2, 3].map(score).to_vec()
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-10, "as above").rejects(
            "as if the means of q and p were equal on average",
            (vae_of_two(4), data()),
            |case| about_the_mean(case, |vae, x0, t| vae.denoising_variance(&Array1::zeros(x0.len()), t).unwrap()),
        );
    }

    fn about_the_mean(
        (vae, x0): (LinearVae, Array1<f64>),
        variance: impl Fn(&LinearVae, &Array1<f64>, usize) -> f64,
    ) -> f64 {
        let want = |x0: f64, t: usize| {
            let mean = vae.denoising_term(&array![x0], t).unwrap();
            over_paths(vae.schedule(), x0, &|path| (kl_to_posterior(&vae, x0, path[t][0], t) - mean).powi(2))
        };
        let off = |t| distance_of_numbers(variance(&vae, &x0, t), x0.iter().map(|&x| want(x, t)).sum(), 1e-3);
        (2..=vae.schedule().timesteps()).map(off).fold(0.0, crate::support::larger)
    }

    #[test]
    fn bad_input() {
        bad_times(|t| example(2).denoising_variance(&array![0.0], t), [0, 1, 3], NOT_AFTER_FIRST);
    }
}

mod elbo_consistency_variance {
    use super::*;

    /// The mean square of the estimate less its mean.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property((vae(4), data()), |case| off_over_paths(case, LinearVae::elbo_consistency_estimate, right));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| score_over_paths(rng, LinearVae::elbo_consistency_estimate, right));
    }

    /// With the exact decoder the whole is ln q(x_0) + ln p(x_T) − ln q(x_T), but for ln p(x_T) − ln q(x_T | x_{T−1}), in
    /// whose place stands its mean. Where nothing of the data is left in x_T, all is 0 but ln q(x_0), which does not scatter.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-26, "squares of numbers that cancel to some 100 roundings").cases(
            [0.1, 0.5, 2.0],
            |variance| {
                let schedule = Schedule::linear(20, 0.05, 0.5).unwrap().rescale_zero_terminal_snr().unwrap();
                let vae = LinearVae::for_gaussian_data(&schedule, 0.4, variance, DecoderVariance::Exact).unwrap();
                right(&vae, &array![0.3, -1.0])
            },
        );
    }

    /// ε_t² occurs in two neighbouring terms, with opposite signs.
    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects(
            "the terms' own variances alone",
            (vae(4), data()),
            |case| {
                off_over_paths(case, LinearVae::elbo_consistency_estimate, |vae, x0| {
                    x0.iter().map(|&x| alone(vae, x)).sum()
                })
            },
        );
    }

    fn right(vae: &LinearVae, x0: &Array1<f64>) -> f64 {
        vae.elbo_consistency_variance(x0).unwrap()
    }

    fn alone(vae: &LinearVae, x0: f64) -> f64 {
        let last = vae.schedule().last();
        let first = variance_over_paths(vae, x0, &|path| reconstruction(vae, path));
        let end = variance_over_paths(vae, x0, &|path| {
            kl_scalar(last.alpha.sqrt() * path[last.t - 1][0], last.beta, 0.0, 1.0).unwrap()
        });
        let terms = (1..last.t).map(|t| vae.consistency_variance(&array![x0], t).unwrap());
        first + end + terms.sum::<f64>()
    }
}

mod elbo_posterior_variance {
    use super::*;

    /// The mean square of the estimate less its mean.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(2e-11, ROUNDINGS)
            .property((vae(4), data()), |case| off_over_paths(case, LinearVae::elbo_posterior_estimate, right));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| score_over_paths(rng, LinearVae::elbo_posterior_estimate, right));
    }

    /// That of x_t drawn on their own: on a path, the KLs are large together or small together.
    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(2e-11, "as above").rejects(
            "the terms' own variances alone",
            (vae(4), data()),
            |case| {
                off_over_paths(case, LinearVae::elbo_posterior_estimate, |vae, x0| {
                    x0.iter().map(|&x| alone(vae, x)).sum()
                })
            },
        );
    }

    fn right(vae: &LinearVae, x0: &Array1<f64>) -> f64 {
        vae.elbo_posterior_variance(x0).unwrap()
    }

    fn alone(vae: &LinearVae, x0: f64) -> f64 {
        let first = variance_over_paths(vae, x0, &|path| reconstruction(vae, path));
        let terms = (2..=vae.schedule().timesteps()).map(|t| vae.denoising_variance(&array![x0], t).unwrap());
        first + terms.sum::<f64>()
    }
}

mod variance_at_one_t {
    use super::*;

    /// The variance is the mean of the variances and the variance of the means, once t is given.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, "a dozen positive terms, once the means are taken from their mean")
            .property(terms(), |case| by_total_variance(case, right));
    }

    /// One t a draw, for the terms of both forms.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(scores);
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-13, "as above").rejects("the terms' own variances alone", terms(), |case| {
            by_total_variance(case, |means, variances| means.len() as f64 * variances.iter().sum::<f64>())
        });
    }

    fn right(means: &[f64], variances: &[f64]) -> f64 {
        elbo::variance_at_one_t(means, variances).unwrap()
    }

    fn terms() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-5.0..5.0, 0.0..9.0), 1..12)
    }

    fn by_total_variance(terms: Vec<(f64, f64)>, variance: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
        let n = terms.len() as f64;
        let (means, variances): (Vec<f64>, Vec<f64>) = terms.into_iter().unzip();
        let mean_of = |numbers: &[f64]| numbers.iter().sum::<f64>() / n;
        // The pairs of an independent draw each: half the mean square of their difference is the variance.
        let pairs = means.iter().flat_map(|a| means.iter().map(move |b| 0.5 * (a - b).powi(2)));
        let of_means = pairs.sum::<f64>() / (n * n);
        distance_of_numbers(variance(&means, &variances), n * n * (of_means + mean_of(&variances)), 1.0)
    }

    /// The square of (3 × one of three terms − their sum), over paths and t.
    fn scores(rng: &mut ChaCha8Rng) -> Vec<f64> {
        let (vae, x0) = (example(4), array![0.8]);
        let paths = draw_paths(100_000, vae.schedule(), 0.8, rng);
        let drawn: Vec<usize> = paths.iter().map(|_| rng.random_range(0..3)).collect();
        let score = |first: usize, draw: &dyn Fn(&Path, usize) -> f64, term: &dyn Fn(usize) -> (f64, f64)| {
            let (means, variances): (Vec<f64>, Vec<f64>) = (first..first + 3).map(term).unzip();
            let sum: f64 = means.iter().sum();
            let square = |(path, &i): (&Path, &usize)| (3.0 * draw(path, first + i) - sum).powi(2);
            let squares: Vec<f64> = paths.iter().zip(&drawn).map(square).collect();
            z_score(&squares, right(&means, &variances))
        };
        let of_consistency = score(1, &|path, t| draw_at(&vae, path, t), &|t| {
            (vae.consistency_term(&x0, t).unwrap(), vae.consistency_variance(&x0, t).unwrap())
        });
        let of_denoising = score(2, &|path, t| vae.denoising_estimate(&path[0], &path[t], t).unwrap(), &|t| {
            (vae.denoising_term(&x0, t).unwrap(), vae.denoising_variance(&x0, t).unwrap())
        });
        vec![of_consistency, of_denoising]
    }

    #[test]
    fn bad_input() {
        assert_eq!(elbo::variance_at_one_t(&[], &[]), Err(Error::Empty { name: "means" }));
        let error = elbo::variance_at_one_t(&[1.0], &[1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "variances", expected: vec![1], got: vec![2] });
    }
}

mod discretised_log_likelihood {
    use super::*;

    /// The probabilities of the 256 values add up to 1.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-12, "256 positive terms, each right to a few roundings of its logarithm").property(
            (-2.0..2.0, log_variance()),
            |(mean, variance)| {
                let probability = |level| log_probability(level, mean, variance).exp();
                ((0..256).map(probability).sum::<f64>() - 1.0).abs()
            },
        );
    }

    /// ∫ over the bin, with the largest value of the density taken out so that nothing underflows.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-10, "Simpson's rule on 4000 intervals; edges rounded by 1e-16 and divided by σ ≥ 1e-3")
            .property((0..256_u32, -2.0..2.0, log_variance()), |case| by_integral(case, log_probability));
    }

    /// Values by mpmath 1.3 with 400 digits: the difference of two cdfs there is exact.
    #[test]
    fn published() {
        check!(Published).bound(1e-13, "bin edges rounded by 1e-16 and divided by σ ≥ 1e-3").cases(
            [
                (128, 0.0, 1e-4, -1.2602893038887104),
                (200, -0.25, 1e-4, -3324.0477049136034),
                (0, 0.5, 1e-4, -11197.180364788252),
                (255, -1.0, 1e-4, -19927.860839240817),
                (255, 0.875, 0.01, -2.180464462428835),
                (1, 1.0, 1e-6, -1976548.3063290669),
                (100, 0.0, 1.0, -5.790317626185833),
                (100, 0.0, 1e12, -19.58256545576745),
                (254, -3.0, 100.0, -8.14932659442726),
                (0, -1.0, 0.25, -0.6869088256567265),
                (140, 0.0, 0.0001220703125, -39.3591286003057),
            ],
            |(level, mean, variance, want)| distance_of_numbers(log_probability(level, mean, variance), want, 1e-300),
        );
    }

    /// Far away it falls as the square of the distance, without an end; and where even the square overflows it is −∞.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-6, "the next term of the tail, ln x over x²").cases([1e4, 1e8, 1e150], |mean| {
            let edge = mean + 254.0 / 255.0;
            distance_of_numbers(log_probability(255, -mean, 1.0), -0.5 * edge * edge, 1e-300)
        });
        assert_eq!(log_probability(255, -1e200, 1.0), f64::NEG_INFINITY);
        assert!(log_probability(255, f64::NAN, 1.0).is_nan());
    }

    /// Two numbers: a sum, each with its own mean.
    #[test]
    fn sums_over_dimensions() {
        let both = elbo::discretised_log_likelihood(&array![-1.0, 1.0], &array![-0.5, 0.9], 0.1).unwrap();
        assert_eq!(both, log_probability(0, -0.5, 0.1) + log_probability(255, 0.9, 0.1));
    }

    #[test]
    fn wrong_variant_density() {
        check!(Quadrature).bound(1e-10, "as above").rejects(
            "the density at the value for the probability of its bin",
            (0..256_u32, -2.0..2.0, log_variance()),
            |case| {
                by_integral(case, |level, mean, variance| {
                    gaussian::log_density(&array![pixel(level)], &array![mean], variance).unwrap()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_closed_ends() {
        check!(Quadrature).bound(1e-10, "as above").rejects(
            "the outermost bins as wide as the others",
            (prop::sample::select(vec![0, 255]), -2.0..2.0, log_variance()),
            |case| {
                by_integral(case, |level, mean, variance| {
                    let sigma = f64::sqrt(variance);
                    let edge = |side: f64| (pixel(level) + side / 255.0 - mean) / sigma;
                    log_integral(edge(-1.0), edge(1.0))
                })
            },
        );
    }

    fn log_variance() -> impl Strategy<Value = f64> {
        (1e-6_f64.ln()..1e4_f64.ln()).prop_map(f64::exp)
    }

    fn pixel(level: u32) -> f64 {
        f64::from(level) / 127.5 - 1.0
    }

    fn log_probability(level: u32, mean: f64, variance: f64) -> f64 {
        elbo::discretised_log_likelihood(&array![pixel(level)], &array![mean], variance).unwrap()
    }

    fn by_integral((level, mean, variance): (u32, f64, f64), log_p: impl Fn(u32, f64, f64) -> f64) -> f64 {
        let edge = |side: f64| (pixel(level) + side / 255.0 - mean) / variance.sqrt();
        let from = if level == 0 { f64::NEG_INFINITY } else { edge(-1.0) };
        let to = if level == 255 { f64::INFINITY } else { edge(1.0) };
        distance_of_numbers(log_p(level, mean, variance), log_integral(from, to), 1.0)
    }

    /// ln ∫ φ over an interval, by Simpson's rule from the point where φ is largest to where it has fallen by e⁻⁴⁵.
    fn log_integral(from: f64, to: f64) -> f64 {
        let top = 0.0_f64.clamp(from, to);
        let reach = (top * top + 90.0).sqrt() - top.abs();
        let (from, to) = (from.max(top - reach), to.min(top + reach));
        let relative = |x: f64| (0.5 * (top - x) * (top + x)).exp();
        let simpson = |from: f64, to: f64| {
            let coarse = integral(from, to, 2000, relative);
            (4.0 * integral(from, to, 4000, relative) - coarse) / 3.0
        };
        (simpson(from, top) + simpson(top, to)).ln() - 0.5 * (top * top + std::f64::consts::TAU.ln())
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let levels = twin::batch().prop_map(|mut batch| {
            batch.arrays[0].mapv_inplace(|x| (x * 50.0).round().rem_euclid(256.0) / 127.5 - 1.0);
            batch
        });
        let log_p =
            |[x0, mean]: [&Array1<f64>; 2], step: Step| elbo::discretised_log_likelihood(x0, mean, step.beta).unwrap();
        // A logarithm is off by the relative error of its argument.
        let magnitude = |x: [&Array1<f64>; 2], step: Step| log_p(x, step).abs() + x[0].len() as f64;
        twin::agrees_by_sample(check!(Torch), levels, log_p, magnitude, |[x0, mean], steps| {
            diffusion::discretised_log_likelihood(x0, mean, &steps.beta).unwrap()
        });
    }

    #[test]
    fn bad_input() {
        let log_p = |x0: f64| elbo::discretised_log_likelihood(&array![1.0, x0], &array![0.0, 0.0], 1.0);
        for x0 in [0.0, 0.5, -1.0 + 1.0 / 255.0, 1.0 + 2.0 / 255.0, -1.0 - 2.0 / 255.0, 255.0, f64::INFINITY] {
            let expected = "one of the 256 values -1, -1 + 2/255, ..., 1";
            assert_eq!(log_p(x0).unwrap_err(), Error::OutOfRange { name: "x0", expected, got: x0 });
        }
        assert!(log_p(f64::NAN).is_err());
        for level in 0..256 {
            assert!(log_p(f64::from(pixel(level) as f32)).is_ok(), "rounded to f32, level {level} is still itself");
        }
        for variance in [0.0, -1.0, f64::NAN] {
            assert!(elbo::discretised_log_likelihood(&array![1.0], &array![0.0], variance).is_err());
        }
        let error = elbo::discretised_log_likelihood(&array![1.0], &array![0.0, 0.0], 1.0).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "mean", expected: vec![1], got: vec![2] });
    }
}

mod bits_per_dim {
    use super::*;

    /// The mean over dimensions of −log₂ P.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "a few dozen roundings").property(probabilities(), |p| {
            mean_bits(p, |nats, dimensions| elbo::bits_per_dim(nats, dimensions).unwrap())
        });
    }

    /// 256 values that are all alike take 8 bits.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "one rounding").cases([1_usize, 3, 3072], |dimensions| {
            let nats = dimensions as f64 * 256.0_f64.ln();
            distance_of_numbers(elbo::bits_per_dim(nats, dimensions).unwrap(), 8.0, 1.0)
        });
    }

    #[test]
    fn wrong_variant_log10() {
        check!(Identity).bound(1e-13, "as above").rejects("log10 for log2", probabilities(), |p| {
            mean_bits(p, |nats, dimensions| nats / (dimensions as f64 * std::f64::consts::LN_10))
        });
    }

    #[test]
    fn wrong_variant_nats() {
        check!(Identity).bound(1e-13, "as above").rejects("nats called bits", probabilities(), |p| {
            mean_bits(p, |nats, dimensions| nats / dimensions as f64)
        });
    }

    #[test]
    fn wrong_variant_sum() {
        check!(Identity).bound(1e-13, "as above").rejects("the sum over dimensions", probabilities(), |p| {
            mean_bits(p, |nats, _| nats / std::f64::consts::LN_2)
        });
    }

    fn probabilities() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(1e-9..0.9_f64, 1..20)
    }

    fn mean_bits(p: Vec<f64>, bits_per_dim: impl Fn(f64, usize) -> f64) -> f64 {
        let nats: f64 = p.iter().map(|p| -p.ln()).sum();
        let want = p.iter().map(|p| -p.log2()).sum::<f64>() / p.len() as f64;
        distance_of_numbers(bits_per_dim(nats, p.len()), want, 1e-300)
    }

    #[test]
    fn bad_input() {
        let error = elbo::bits_per_dim(1.0, 0).unwrap_err();
        assert_eq!(error, Error::OutOfRange { name: "dimensions", expected: "at least 1", got: 0.0 });
    }
}
