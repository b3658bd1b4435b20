//! Sampling in libtorch, with networks that know the answer: against the reference, and against what must come out.

#[path = "support/oracle.rs"]
mod oracle;
mod support;

use literate_diffusion::objective::{Prediction, Variance, gaussian_eps};
use literate_diffusion::sampler::{self, LastStep, ancestral_moments, ddim_moments};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::Schedule;
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling, to_bytes};
use literate_diffusion::torch::tch::{Kind, Tensor};
use literate_diffusion::{Error, Step};
use ndarray::{Array1, Array2, ArrayRef2};
use ndarray_rand::rand::{Rng, SeedableRng};
use oracle::{Oracle, oracle, oracle_on};
use proptest::prelude::{any, prop};
use rand_chacha::ChaCha8Rng;
use support::torch::{self as twin, numbers};
use support::{check, distance, z_score};

const T: usize = 40;
const BETA: (f64, f64) = (1e-3, 0.3);
/// The data is N(0.3, 0.5²) in each pixel.
const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.25;

fn reference() -> literate_diffusion::Schedule {
    literate_diffusion::Schedule::linear(T, BETA.0, BETA.1).unwrap()
}

fn twin_schedule() -> Schedule {
    Schedule::linear(T, BETA.0, BETA.1).unwrap()
}

/// The best there is for that data: what it predicts is a straight line in x_t, by the reference's own numbers.
fn gaussian(kind: Kind, prediction: Prediction) -> Oracle {
    oracle_on(twin::device(), kind, move |x, index, _| {
        let step = reference().step(usize::try_from(index.int64_value(&[0])).unwrap() + 1).unwrap();
        let at = |xt: f64| gaussian_eps(MEAN, VARIANCE, &Array1::from(vec![xt]), step).unwrap()[0];
        let eps = x * (at(1.0) - at(0.0)) + at(0.0);
        let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
        let x0 = (x - &eps * noise) / signal;
        match prediction {
            Prediction::Eps => eps,
            Prediction::X0 => x0,
            Prediction::V => eps * signal - x0 * noise,
        }
    })
}

fn sampling(method: Method) -> Sampling {
    Sampling {
        prediction: Prediction::Eps,
        method,
        clip: None,
        class: None,
        guidance: 1.0,
        seed: 5,
        precision: Kind::Double,
    }
}

/// How far mean and variance of 40,000 numbers are from what the reference says must come out, in standard errors.
fn scores(seed: u64, method: Method, times: &[usize], prediction: Prediction, want: (f64, f64)) -> [f64; 2] {
    let net = gaussian(Kind::Double, prediction);
    let sampler =
        Sampler::new(&net, &twin_schedule(), times, Sampling { prediction, seed, ..sampling(method) }).unwrap();
    let samples = numbers(&sampler.sample(0, &[100, 1, 20, 20], |_, _| ()).unwrap());
    let squares: Vec<f64> = samples.iter().map(|x| (x - want.0).powi(2)).collect();
    [z_score(&samples, want.0), z_score(&squares, want.1)]
}

/// Both variances and both last steps.
fn scores_of_ancestral(seed: u64, times: &[usize]) -> Vec<f64> {
    let visited = reference().respaced(times).unwrap();
    let choices = [Variance::Beta, Variance::BetaTilde]
        .map(|variance| [LastStep::Mean, LastStep::Noise].map(|last| (variance, last)));
    let score = |(variance, last_step)| {
        let want = ancestral_moments(MEAN, VARIANCE, &visited, variance, last_step).unwrap();
        scores(seed, Method::Ancestral(variance, last_step), times, Prediction::Eps, want)
    };
    choices.into_iter().flatten().flat_map(score).collect()
}

mod ancestral {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).z_scores(|rng| scores_of_ancestral(rng.random(), &(1..=T).collect::<Vec<_>>()));
    }
}

mod respaced_ancestral {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).z_scores(|rng| scores_of_ancestral(rng.random(), &evenly_spaced_times(T, 8).unwrap()));
    }
}

mod ddim_moments {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).z_scores(|rng| {
            let times = evenly_spaced_times(T, 10).unwrap();
            let visited = reference().respaced(&times).unwrap();
            let choices =
                [0.0, 0.4, 1.0].map(|eta| [Prediction::Eps, Prediction::X0, Prediction::V].map(|of| (eta, of)));
            let score = |(eta, prediction)| {
                let want = ddim_moments(MEAN, VARIANCE, &visited, eta).unwrap();
                scores(rng.random(), Method::Ddim(eta), &times, prediction, want)
            };
            choices.into_iter().flatten().flat_map(score).collect()
        });
    }
}

mod ddim {
    use super::*;

    /// Without noise, from the same x_T, the reference and the twin arrive at the same x_0.
    #[test]
    fn torch() {
        let times = prop::sample::subsequence((1..T).collect::<Vec<_>>(), 0..T - 1);
        check!(Torch).bound(1e-12, "up to 40 steps of a dozen roundings").property(
            (any::<u64>(), times),
            |(seed, times)| {
                let times = [times, vec![T]].concat();
                let net = gaussian(Kind::Double, Prediction::Eps);
                let sampling = Sampling { seed, ..sampling(Method::Ddim(0.0)) };
                let sampler = Sampler::new(&net, &twin_schedule(), &times, sampling).unwrap();
                let mut begin = Vec::new();
                let keep_first = |t, xt: &Tensor| {
                    if t == T {
                        begin = numbers(xt);
                    }
                };
                let x0 = sampler.sample(0, &[4, 6], keep_first).unwrap();
                let begin = Array2::from_shape_vec((4, 6), begin).unwrap();
                let eps = |xt: &ArrayRef2<f64>, step: Step| gaussian_eps(MEAN, VARIANCE, xt, step);
                let rng = &mut ChaCha8Rng::seed_from_u64(0);
                let want = sampler::ddim(&begin, &reference(), &times, 0.0, eps, rng).unwrap();
                distance(&Array2::from_shape_vec((4, 6), numbers(&x0)).unwrap(), &want, 1.0)
            },
        );
    }

    #[test]
    fn repeats_for_a_seed() {
        let net = gaussian(Kind::Double, Prediction::Eps);
        let sample = |seed: u64| {
            let sampling = Sampling { seed, ..sampling(Method::Ddim(0.0)) };
            Sampler::new(&net, &twin_schedule(), &[10, 25, T], sampling).unwrap().sample(0, &[3, 5], |_, _| ()).unwrap()
        };
        assert_eq!(sample(1), sample(1));
        assert_ne!(sample(1), sample(2));
    }
}

mod noise {
    use super::*;

    /// A sample is the same in whatever batch it is made, with noise at each step too. Noise is drawn for 64 small pictures
    /// at once, or for one large one: the batches lie across that border.
    #[test]
    fn belongs_to_the_sample() {
        let net = gaussian(Kind::Float, Prediction::Eps);
        for method in [Method::Ddim(0.7), Method::Ancestral(Variance::Beta, LastStep::Noise)] {
            let sampling = Sampling { precision: Kind::Float, ..sampling(method) };
            let sampler = Sampler::new(&net, &twin_schedule(), &[5, 20, T], sampling).unwrap();
            for side in [4, 32] {
                let sample = |first, count: i64| sampler.sample(first, &[count, 1, side, side], |_, _| ()).unwrap();
                let apart = Tensor::cat(&[sample(61, 2), sample(63, 1), sample(64, 4)], 0);
                assert_eq!(sample(61, 7), apart);
                assert_ne!(apart.get(0), apart.get(1));
            }
        }
    }

    /// What is drawn at one time is not drawn again at another, nor for the next sample.
    #[test]
    fn is_drawn_once() {
        let net = oracle(Kind::Double, |x, _, _| x.zeros_like());
        let sampling = sampling(Method::Ancestral(Variance::Beta, LastStep::Noise));
        let all: Vec<usize> = (1..=T).collect();
        let sampler = Sampler::new(&net, &twin_schedule(), &all, sampling).unwrap();
        assert_eq!(sampler.sample(3, &[0, 2], |_, _| ()).unwrap().size(), [0, 2]);
        let mut states = Vec::new();
        sampler.sample(0, &[3, 1, 2, 2], |t, xt| states.push((t, xt.copy()))).map(drop).unwrap();
        assert_eq!(states.iter().map(|(t, _)| *t).collect::<Vec<_>>(), (0..=T).rev().collect::<Vec<_>>());
        // With ε_θ = 0, x_{t−1} = x_t/√α_t + √β_t z.
        let mut noises = vec![numbers(&states[0].1)];
        for pair in states.windows(2) {
            let step = reference().step(pair[0].0).unwrap();
            noises.push(numbers(&((&pair[1].1 - &pair[0].1 / step.alpha.sqrt()) / step.beta.sqrt())));
        }
        let mut firsts: Vec<i64> =
            noises.iter().flat_map(|noise| noise.chunks(4).map(|z| (z[0] * 1e9).round() as i64)).collect();
        firsts.sort_unstable();
        let count = firsts.len();
        firsts.dedup();
        assert_eq!((count, firsts.len()), (3 * (T + 1), 3 * (T + 1)));
    }
}

mod guidance {
    use super::*;

    /// One step from x_T with ε that only the class decides: ε = no class + w (class − no class).
    #[test]
    fn goes_from_no_class_to_the_class_and_beyond() {
        let net = oracle(Kind::Double, |x, _, classes| {
            let class = classes.map_or(10, |classes| classes.int64_value(&[0]));
            x.full_like(if class == 10 { 0.5 } else { 0.1 * class as f64 })
        });
        let net = net.with_classes(10);
        let sample = |class: Option<usize>, guidance: f64| {
            let sampling = Sampling { class, guidance, ..sampling(Method::Ddim(0.0)) };
            let sampler = Sampler::new(&net, &twin_schedule(), &[T], sampling).unwrap();
            let mut begin = None;
            let x0 = sampler
                .sample(0, &[2, 3], |t, xt| {
                    if t == T {
                        begin = Some(xt.copy())
                    }
                })
                .unwrap();
            let last = reference().last();
            let eps = (begin.unwrap() - x0 * last.alpha_bar.sqrt()) / last.one_minus_alpha_bar.sqrt();
            numbers(&eps)[0]
        };
        for (class, guidance, want) in
            [(None, 1.0, 0.5), (Some(3), 1.0, 0.3), (Some(3), 0.0, 0.5), (Some(3), 4.0, -0.3), (Some(9), -1.0, 0.1)]
        {
            let got = sample(class, guidance);
            assert!((got - want).abs() < 1e-12, "{class:?}, {guidance}: {got}, not {want}");
        }
    }
}

mod clip {
    use super::*;

    #[test]
    fn keeps_the_prediction_in_its_range() {
        // A predicted x_0 of 3 in one half and −3 in the other.
        let net = oracle(Kind::Double, |x, _, _| x.sign() * 3.0);
        let sample = |clip: Option<(f64, f64)>| {
            let sampling = Sampling { prediction: Prediction::X0, clip, ..sampling(Method::Ddim(0.0)) };
            let sampler = Sampler::new(&net, &twin_schedule(), &[10, T], sampling).unwrap();
            numbers(&sampler.sample(0, &[2, 50], |_, _| ()).unwrap())
        };
        assert!(sample(None).iter().all(|x| (x.abs() - 3.0).abs() < 1e-12));
        assert!(sample(Some((-1.0, 0.5))).iter().all(|&x| x == -1.0 || x == 0.5));
    }

    #[test]
    fn bytes_are_the_nearest() {
        let x0 = Tensor::from_slice(&[-1.0, 1.0, 0.0, -7.0, 7.0, 0.996]).view([1, 1, 2, 3]);
        let bytes = to_bytes(&x0);
        assert_eq!(bytes.size(), [1, 2, 3, 1]);
        assert_eq!(numbers(&bytes), [0.0, 255.0, 128.0, 0.0, 255.0, 254.0]);
    }
}

#[test]
fn bad_input() {
    let net = gaussian(Kind::Double, Prediction::Eps);
    let new = |net: &Oracle, times: &[usize], sampling| Sampler::new(net, &twin_schedule(), times, sampling).map(drop);
    let good = sampling(Method::Ddim(0.0));
    assert_eq!(new(&net, &[], good.clone()), Err(Error::Empty { name: "times" }));
    assert_eq!(new(&net, &[T + 1], good.clone()), Err(Error::StepOutOfRange { t: T + 1, timesteps: T }));
    assert!(matches!(new(&net, &[5, 5], good.clone()), Err(Error::TimesNotIncreasing { .. })));
    for eta in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(new(&net, &[T], sampling(Method::Ddim(eta))), Err(Error::OutOfRange { name: "eta", .. })));
    }
    let sampler = Sampler::new(&net, &twin_schedule(), &[T], good.clone()).unwrap();
    assert!(matches!(sampler.sample(0, &[], |_, _| ()), Err(Error::Empty { name: "shape" })));
    let class = |class| Sampling { class: Some(class), ..good.clone() };
    assert!(matches!(new(&net, &[T], class(0)), Err(Error::OutOfRange { name: "the class", .. })));
    let net = net.with_classes(3);
    new(&net, &[T], class(2)).unwrap();
    assert!(matches!(new(&net, &[T], class(3)), Err(Error::OutOfRange { name: "the class", .. })));
    for guided in [Sampling { guidance: 2.0, ..good.clone() }, Sampling { guidance: f64::NAN, ..class(1) }] {
        assert!(matches!(new(&net, &[T], guided), Err(Error::OutOfRange { name: "the guidance", .. })));
    }
}
