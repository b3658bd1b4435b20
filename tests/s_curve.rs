//! Checks of chapter 9, the exact answers on the S-curve: one module an equation, named by its slug.

mod support;

use std::f64::consts::PI;

use literate_diffusion::s_curve::{self, Marginal, ReverseMoments, SCurve};
use literate_diffusion::{Error, Schedule, Step, forward, paper};
use ndarray::{Array1, Array2, ArrayView2, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::step;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, rng, z_score};

/// u runs from −3π/2 to 3π/2.
const END: f64 = 1.5 * PI;

/// An S-curve, a step, and a point that x_t may well be.
#[derive(Debug, Clone)]
struct Case {
    curve: SCurve,
    step: Step,
    xt: [f64; 2],
}

impl Case {
    fn marginal(&self) -> Marginal {
        self.curve.marginal(self.step)
    }

    fn points(&self) -> Array2<f64> {
        array![self.xt]
    }

    fn score(&self) -> Array1<f64> {
        self.marginal().score(&self.points()).unwrap().row(0).to_owned()
    }

    /// c(u)/s.
    fn place(&self, u: f64) -> [f64; 2] {
        let [x, z] = s_curve::curve_point(u);
        [x / self.curve.scale()[0], z / self.curve.scale()[1]]
    }

    /// The mean of x_t given u.
    fn mean(&self, u: f64) -> [f64; 2] {
        self.place(u).map(|place| place * self.step.alpha_bar.sqrt())
    }

    /// The variance of x_t given u.
    fn variance(&self) -> [f64; 2] {
        self.data_variance().map(|variance| self.step.alpha_bar * variance + self.step.one_minus_alpha_bar)
    }

    /// The variance of x_0 given u.
    fn data_variance(&self) -> [f64; 2] {
        self.curve.scale().map(|scale| (self.curve.noise() / scale).powi(2))
    }

    /// q(x_t | u).
    fn likelihood(&self, u: f64) -> f64 {
        normal(self.xt, self.mean(u), self.variance())
    }

    /// Over what length ln q changes its slope, in one coordinate: at most √v, and between two branches of the curve, a
    /// distance D apart, v/D.
    fn shortest_length(&self, i: usize) -> f64 {
        let apart = 2.0 * self.step.alpha_bar.sqrt() / self.curve.scale()[i];
        self.variance()[i].sqrt().min(self.variance()[i] / apart)
    }

    /// The mean of f(u) given x_t, by Bayes.
    fn given_xt(&self, f: impl Fn(f64) -> f64) -> f64 {
        mean_over_places(|u| f(u) * self.likelihood(u)) / mean_over_places(|u| self.likelihood(u))
    }

    /// As [`Case::given_xt`], for both coordinates.
    fn both_given_xt(&self, f: impl Fn(f64) -> [f64; 2]) -> Array1<f64> {
        array![self.given_xt(|u| f(u)[0]), self.given_xt(|u| f(u)[1])]
    }
}

fn normal(x: [f64; 2], mean: [f64; 2], variance: [f64; 2]) -> f64 {
    let one = |i: usize| (-0.5 * (x[i] - mean[i]).powi(2) / variance[i]).exp() / (2.0 * PI * variance[i]).sqrt();
    one(0) * one(1)
}

/// The mean of f(u) over the places, by another rule than that of the crate: tanh–sinh, on each half of the curve.
fn mean_over_places(f: impl Fn(f64) -> f64) -> f64 {
    0.5 * (mean_over_half(1000, -1.0, &f) + mean_over_half(1000, 1.0, &f))
}

/// The mean of f(u) for u from 0 to 3π/2, times `sign`.
fn mean_over_half(intervals: usize, sign: f64, f: impl Fn(f64) -> f64) -> f64 {
    integral(-3.3, 3.3, intervals, |s| {
        let r = 0.5 * PI * s.sinh();
        let share = 0.5 * (1.0 + r.tanh());
        let stretch = 0.25 * PI * s.cosh() / r.cosh().powi(2);
        stretch * f(sign * END * share)
    })
}

fn curve() -> impl Strategy<Value = SCurve> {
    let scale = || (0.5_f64.ln()..10.0_f64.ln()).prop_map(f64::exp);
    (0.05..0.4, scale(), scale()).prop_map(|(noise, x, z)| SCurve::new(noise, [x, z]).expect("a valid curve"))
}

fn case() -> impl Strategy<Value = Case> {
    (curve(), step(50), -END..END, -3.0..3.0, -3.0..3.0).prop_map(|(curve, step, u, eta_x, eta_z)| {
        let mut case = Case { curve, step, xt: [0.0; 2] };
        let ([x, z], [var_x, var_z]) = (case.mean(u), case.variance());
        case.xt = [x + eta_x * var_x.sqrt(), z + eta_z * var_z.sqrt()];
        case
    })
}

/// A case at a last step of β_T = 1, where nothing of the data is left.
fn case_without_signal() -> impl Strategy<Value = Case> {
    (curve(), -4.0..4.0, -4.0..4.0).prop_map(|(curve, x, z)| {
        let step = Schedule::from_betas(&[0.3, 1.0]).expect("a valid schedule").last();
        Case { curve, step, xt: [x, z] }
    })
}

/// The schedule of the preset `sound`.
fn sound() -> Schedule {
    Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T).unwrap()
}

/// The schedule of the preset `classic`.
fn classic() -> Schedule {
    Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T).unwrap()
}

/// Both presets, early, in the middle and at the end of their schedules.
fn presets() -> Vec<(SCurve, Step)> {
    let times = [1, 10, 30, 50, 100];
    let sound = times.map(|t| (SCurve::sound(), sound().step(t).unwrap()));
    let classic = times.map(|t| (SCurve::classic(), classic().step(t).unwrap()));
    sound.into_iter().chain(classic).collect()
}

/// Draws data, noise, and x_t made of both.
fn draw(curve: &SCurve, step: Step, count: usize, rng: &mut ChaCha8Rng) -> [Array2<f64>; 2] {
    let x0 = curve.points(count, rng);
    let eps = Array2::random_using((count, 2), StandardNormal, rng);
    let xt = forward::q_sample(&x0, step, &eps).unwrap();
    [eps, xt]
}

/// A (2, N) array where an (N, 2) array is meant is an error that names both shapes.
fn transposed_points<T: std::fmt::Debug>(f: impl Fn(&Marginal, &Array2<f64>) -> literate_diffusion::Result<T>) {
    let q = SCurve::sound().marginal(sound().step(3).unwrap());
    let error = f(&q, &Array2::zeros((2, 5))).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { name: "xt", expected: vec![2, 2], got: vec![2, 5] });
    assert!(f(&q, &Array2::zeros((0, 2))).is_ok());
}

mod new {
    use super::*;

    #[test]
    fn presets() {
        assert_eq!((SCurve::sound().noise(), SCurve::classic().noise()), (0.1, 0.1));
        assert_eq!(SCurve::sound().scale(), s_curve::population_std(0.1));
        assert_eq!(SCurve::classic().scale(), [10.0, 10.0]);
        assert_eq!(SCurve::new(0.1, [10.0; 2]).unwrap(), SCurve::classic());
        assert_eq!(SCurve::new(0.01, [1.0, 2.0]).unwrap().scale(), [1.0, 2.0]);
        assert_eq!(SCurve::new(0.3, [1.0, 2.0]).unwrap().noise(), 0.3);
        assert_eq!(SCurve::new(0.1, [1e-100, 1e100]).unwrap().scale(), [1e-100, 1e100]);
    }

    #[test]
    fn bad_input() {
        for noise in [0.0, 0.0099, -0.1, 1e51, f64::NAN, f64::INFINITY] {
            assert!(matches!(SCurve::new(noise, [1.0; 2]), Err(Error::OutOfRange { name: "noise", .. })));
        }
        for scale in [0.0, -1.0, 1e-101, 1e101, f64::NAN, f64::INFINITY] {
            assert!(matches!(SCurve::new(0.1, [scale, 1.0]), Err(Error::OutOfRange { name: "scale", .. })));
            assert!(matches!(SCurve::new(0.1, [1.0, scale]), Err(Error::OutOfRange { name: "scale", .. })));
        }
    }
}

mod curve_point {
    use super::*;

    /// `make_s_curve(5, noise=0, random_state=0)` of scikit-learn 1.9.1.
    #[test]
    fn published() {
        check!(Published).bound(1e-15, "a few roundings of numbers up to 2").cases(
            [
                (0.4600564360021799, [0.4439986758792042, -0.10397255855776755]),
                (2.0281119975787063, [0.8972409706619084, -1.4415412104953245]),
                (0.9685220019742846, [0.8240493010793997, -0.43348190726989766]),
                (0.42301403391833253, [0.4105106778010716, -0.08814420909263032]),
                (-0.7195365646012067, [-0.6590361877872426, 0.24788876940517746]),
            ],
            |(u, place)| distance(&Array1::from_iter(s_curve::curve_point(u)), &Array1::from_iter(place), 1.0),
        );
    }

    /// The upper half (u < 0) lies on the circle of radius 1 around (0, 1), the lower half on that around (0, −1).
    #[test]
    fn identity() {
        check!(Identity)
            .bound(2e-15, "ten roundings of numbers up to 4")
            .property(-END..END, |u| off_the_circle(u, s_curve::curve_point));
    }

    #[test]
    fn wrong_variant() {
        check!(Identity)
            .bound(2e-15, "as above")
            .rejects("no sign before the cosine", -END..END, |u| off_the_circle(u, |u| [u.sin(), u.cos() - 1.0]));
    }

    fn off_the_circle(u: f64, curve_point: impl Fn(f64) -> [f64; 2]) -> f64 {
        let [x, z] = curve_point(u);
        let centre = if u < 0.0 { 1.0 } else { -1.0 };
        (x.hypot(z - centre) - 1.0).abs()
    }
}

mod population_std {
    use super::*;

    const WHY: &str = "tanh–sinh with 1,000 places leaves nothing but roundings";

    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-14, WHY).property(0.0..2.0, |noise| against_the_integral(noise, std));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let x0 = SCurve::new(0.3, s_curve::population_std(0.3)).unwrap().points(200_000, rng);
            let column = |i: usize| x0.column(i).to_vec();
            let squares = |i: usize| column(i).iter().map(|x| x * x).collect::<Vec<f64>>();
            (0..2).flat_map(|i| [z_score(&column(i), 0.0), z_score(&squares(i), 1.0)]).collect()
        });
    }

    #[test]
    fn wrong_variant_variance() {
        check!(Quadrature).bound(1e-14, WHY).rejects("the noise added as a variance", 0.0..2.0, |noise| {
            against_the_integral(noise, |noise| std(0.0).map(|std| (std * std + noise).sqrt()))
        });
    }

    #[test]
    fn wrong_variant_of_a_sample() {
        let draws = (0.01..2.0, any::<u64>());
        check!(Quadrature).bound(1e-14, WHY).rejects("that of a sample of 10,000 points", draws, |(noise, seed)| {
            against_the_integral(noise, |noise| {
                let x0 = SCurve::new(noise, [1.0; 2]).unwrap().points(10_000, &mut rng(seed, "sample"));
                [x0.column(0).std(0.0), x0.column(1).std(0.0)]
            })
        });
    }

    fn std(noise: f64) -> [f64; 2] {
        s_curve::population_std(noise)
    }

    fn against_the_integral(noise: f64, std: impl Fn(f64) -> [f64; 2]) -> f64 {
        let second_moment = |i: usize| mean_over_places(|u| s_curve::curve_point(u)[i].powi(2)) + noise * noise;
        let off = |i: usize| distance_of_numbers(std(noise)[i], second_moment(i).sqrt(), 1e-300);
        off(0).max(off(1))
    }
}

mod points {
    use super::*;

    /// The first and second moments, with E[xz], whose sign is that of the S.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let curve = SCurve::new(0.3, [0.5, 4.0]).unwrap();
            let points = curve.points(200_000, rng);
            moments(&points)
        });
    }

    /// With the least noise, every point is close to one of the two circles.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(0.08, "eight standard deviations of the noise, 0.01, which one point in 10¹⁴ exceeds")
            .property(any::<u64>(), |seed| {
                let points = SCurve::new(0.01, [2.0, 3.0]).unwrap().points(100, &mut rng(seed, "points"));
                assert_eq!(points.shape(), [100, 2]);
                let off = |x: f64, z: f64| ((2.0 * x).hypot(3.0 * z.abs() - 1.0) - 1.0).abs();
                points.rows().into_iter().fold(0.0, |worst, point| larger(worst, off(point[0], point[1])))
            });
    }

    #[test]
    fn wrong_variant_variance() {
        check!(MonteCarlo).rejects_z_scores("the variance of the noise for its standard deviation", |rng| {
            moments(&drawn(rng, |r| r - 0.5, 0.3_f64.powi(2), f64::signum))
        });
    }

    #[test]
    fn wrong_variant_range() {
        check!(MonteCarlo).rejects_z_scores("u from 0 to 3 pi", |rng| moments(&drawn(rng, |r| r, 0.3, f64::signum)));
    }

    #[test]
    fn wrong_variant_sign() {
        check!(MonteCarlo)
            .rejects_z_scores("the sign of z turned", |rng| moments(&drawn(rng, |r| r - 0.5, 0.3, |u| -u.signum())));
    }

    fn drawn(rng: &mut ChaCha8Rng, turn: fn(f64) -> f64, noise: f64, sign: fn(f64) -> f64) -> Array2<f64> {
        let mut points = Array2::random_using((200_000, 2), StandardNormal, rng) * noise;
        for mut point in points.rows_mut() {
            let u = 3.0 * PI * turn(rng.random());
            point[0] = (point[0] + u.sin()) / 0.5;
            point[1] = (point[1] + sign(u) * (u.cos() - 1.0)) / 4.0;
        }
        points
    }

    /// For noise 0.3 and scales 0.5 and 4, with E[xz] = −1/(3π) without them.
    fn moments(points: &Array2<f64>) -> Vec<f64> {
        let [var_x, var_z] = [0.5 + 0.09, 1.5 + 4.0 / (3.0 * PI) + 0.09];
        let of = |f: fn(f64, f64) -> f64, want: f64| {
            let draws: Vec<f64> = points.rows().into_iter().map(|point| f(point[0] * 0.5, point[1] * 4.0)).collect();
            z_score(&draws, want)
        };
        vec![
            of(|x, _| x, 0.0),
            of(|_, z| z, 0.0),
            of(|x, _| x * x, var_x),
            of(|_, z| z * z, var_z),
            of(|x, z| x * z, -1.0 / (3.0 * PI)),
        ]
    }
}

mod log_q {
    use super::*;

    const WHY: &str = "both rules leave relative errors of the density of about 1e-11 at worst";

    /// The density integrates to 1 over the plane.
    #[test]
    fn quadrature() {
        let presets = presets().into_iter().map(|(curve, step)| (curve, Some(step)));
        let data = [SCurve::sound(), SCurve::classic()].map(|curve| (curve, None));
        check!(Quadrature).bound(1e-13, "a grid of half a standard deviation, and ten of them beyond the curve").cases(
            presets.chain(data),
            |(curve, step)| {
                let (q, alpha_bar) = step.map_or((curve.data(), 1.0), |s| (curve.marginal(s), s.alpha_bar));
                let spread = |i: usize| (alpha_bar * (0.1 / curve.scale()[i]).powi(2) + (1.0 - alpha_bar)).sqrt();
                let grid = |i: usize, reach: f64| {
                    let end = reach * alpha_bar.sqrt() / curve.scale()[i] + 10.0 * spread(i);
                    Array1::linspace(-end, end, 1 + (2.0 * end / (0.5 * spread(i))).ceil() as usize)
                };
                let (xs, zs) = (grid(0, 1.0), grid(1, 2.0));
                let rows: Vec<[f64; 2]> = xs.iter().flat_map(|&x| zs.iter().map(move |&z| [x, z])).collect();
                let total = q.log_q(&Array2::from(rows)).unwrap().mapv(f64::exp).sum();
                (total * (xs[1] - xs[0]) * (zs[1] - zs[0]) - 1.0).abs()
            },
        );
    }

    /// The same integral over u by another rule of quadrature.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-9, WHY).property(case(), |case| {
            let log_q = case.marginal().log_q(&case.points()).unwrap()[0];
            (log_q - mean_over_places(|u| case.likelihood(u)).ln()).abs()
        });
    }

    /// Where nothing of the data is left, x_t is N(0, I).
    #[test]
    fn limit() {
        check!(Limit).bound(2e-14, "the weights add up to 1 but for roundings").property(
            case_without_signal(),
            |case| {
                let log_q = case.marginal().log_q(&case.points()).unwrap()[0];
                (log_q - normal(case.xt, [0.0; 2], [1.0; 2]).ln()).abs()
            },
        );
    }

    #[test]
    fn wrong_variant_noise() {
        rejects("the noise left undivided by the scale", |case, u| {
            let variance = case.step.alpha_bar * case.curve.noise().powi(2) + case.step.one_minus_alpha_bar;
            normal(case.xt, case.mean(u), [variance; 2])
        });
    }

    #[test]
    fn wrong_variant_shrink() {
        rejects("the curve not shrunk", |case, u| normal(case.xt, case.place(u), case.variance()));
    }

    #[test]
    fn wrong_variant_std() {
        rejects("standard deviations added, not variances", |case, u| {
            let forward = case.step.one_minus_alpha_bar.sqrt();
            let data = case.data_variance().map(|variance| (case.step.alpha_bar * variance).sqrt());
            normal(case.xt, case.mean(u), data.map(|data| (data + forward).powi(2)))
        });
    }

    fn rejects(mistake: &str, likelihood: impl Fn(&Case, f64) -> f64) {
        check!(Identity).bound(1e-9, WHY).rejects(mistake, case(), |case| {
            let log_q = mean_over_places(|u| likelihood(&case, u)).ln();
            (log_q - mean_over_places(|u| case.likelihood(u)).ln()).abs()
        });
    }

    /// Far from the curve nothing underflows.
    #[test]
    fn far_away() {
        for scale in [1e-100, 1e100] {
            let origin = |scale| SCurve::new(0.1, [scale; 2]).unwrap().data().log_q(&array![[0.0, 0.0]]).unwrap()[0];
            let off = origin(scale) - origin(1.0) - 2.0 * scale.ln();
            assert!(off.abs() < 1e-11, "{off}"); // numbers up to 460
        }
        let log_q = SCurve::sound().data().log_q(&array![[1e3, -1e3], [1e6, 0.0]]).unwrap();
        assert!(log_q.iter().all(|log_q| log_q.is_finite() && *log_q < -1e7));
    }

    #[test]
    fn bad_input() {
        transposed_points(|q, xt| q.log_q(xt));
    }
}

mod score {
    use super::*;

    const WHY: &str = "differences of ln q over a hundredth of its shortest length leave about 1e-9 of it";

    /// The gradient of ln q.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-8, WHY)
            .property(case(), |case| against_differences(&case, |case| case.score()));
    }

    /// For any law whose density vanishes far out, E[∇ ln q] = 0 and E[x ∇ ln q] = −I (Stein).
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let mut scores = Vec::new();
            for (curve, step) in
                [(SCurve::sound(), sound().step(20).unwrap()), (SCurve::classic(), classic().step(50).unwrap())]
            {
                let [_, xt] = draw(&curve, step, 20_000, rng);
                let score = curve.marginal(step).score(&xt).unwrap();
                for i in 0..2 {
                    scores.push(z_score(&score.column(i).to_vec(), 0.0));
                    for j in 0..2 {
                        let products = &score.column(i) * &xt.column(j);
                        scores.push(z_score(&products.to_vec(), if i == j { -1.0 } else { 0.0 }));
                    }
                }
            }
            scores
        });
    }

    /// Where nothing of the data is left, the score is that of N(0, I).
    #[test]
    fn limit() {
        check!(Limit)
            .bound(1e-15, "the place has no weight: −x/1")
            .property(case_without_signal(), |case| distance(&case.score(), &-Array1::from_iter(case.xt), 1.0));
    }

    #[test]
    fn wrong_variant_nearest_place() {
        rejects("the pull of the likeliest place alone", |case| {
            let us = Array1::linspace(-END, END, 2000);
            let likelier = |a: &f64, b: &f64| case.likelihood(*a).total_cmp(&case.likelihood(*b));
            let u = us.iter().copied().max_by(likelier).unwrap();
            (0..2).map(|i| (case.mean(u)[i] - case.xt[i]) / case.variance()[i]).collect()
        });
    }

    #[test]
    fn wrong_variant_std() {
        rejects("divided by the standard deviation", |case| case.score() * Array1::from_iter(case.variance()).sqrt());
    }

    #[test]
    fn wrong_variant_isotropic() {
        rejects("one variance for both coordinates", |case| {
            let [var_x, var_z] = case.variance();
            let pull = case.score() * array![var_x, var_z];
            pull / (0.5 * (var_x + var_z))
        });
    }

    fn rejects(mistake: &str, score: impl Fn(&Case) -> Array1<f64>) {
        check!(FiniteDifference).bound(1e-8, WHY).rejects(mistake, case(), |case| against_differences(&case, &score));
    }

    fn against_differences(case: &Case, score: impl Fn(&Case) -> Array1<f64>) -> f64 {
        let (q, score) = (case.marginal(), score(case));
        let off = |i: usize| {
            let std = case.variance()[i].sqrt();
            let slope = derivative(case.xt[i], 0.01 * case.shortest_length(i), |x| {
                let mut point = case.points();
                point[[0, i]] = x;
                q.log_q(&point).unwrap()[0]
            });
            distance_of_numbers(score[i], slope, 1.0 / std)
        };
        off(0).max(off(1))
    }

    #[test]
    fn bad_input() {
        transposed_points(|q, xt| q.score(xt));
    }
}

mod optimal_eps {
    use super::*;

    const WHY: &str = "both rules leave relative errors of the density of about 1e-11 at worst";

    /// The mean of ε given x_t by Bayes over the places: given u, the pair (ε, x_t) is Gaussian.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-9, WHY).property(case(), |case| against_bayes(&case, eps));
    }

    /// No function of x_t says anything about ε − ε*.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| error_against_functions(rng, |q, _, xt| q.optimal_eps(xt).unwrap()));
    }

    /// Where nothing of the data is left, x_t is the noise.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(1e-15, "the score is −x")
            .property(case_without_signal(), |case| distance(&eps(&case), &Array1::from_iter(case.xt), 1.0));
    }

    #[test]
    fn wrong_variant_no_root() {
        rejects("1 - alpha_bar without the root", |case| case.score() * -case.step.one_minus_alpha_bar);
    }

    #[test]
    fn wrong_variant_sign() {
        rejects("no minus", |case| case.score() * case.step.one_minus_alpha_bar.sqrt());
    }

    #[test]
    fn wrong_variant_score() {
        rejects("the score itself, negated", |case| -case.score());
    }

    #[test]
    fn wrong_variant_given_x0() {
        check!(MonteCarlo).rejects_z_scores("the noise that would explain all of x_t", |rng| {
            error_against_functions(rng, |_, step, xt| xt / step.one_minus_alpha_bar.sqrt())
        });
    }

    fn eps(case: &Case) -> Array1<f64> {
        case.marginal().optimal_eps(&case.points()).unwrap().row(0).to_owned()
    }

    fn rejects(mistake: &str, eps: impl Fn(&Case) -> Array1<f64>) {
        check!(Identity).bound(1e-9, WHY).rejects(mistake, case(), |case| against_bayes(&case, &eps));
    }

    fn against_bayes(case: &Case, eps: impl Fn(&Case) -> Array1<f64>) -> f64 {
        let given_place = |u: f64| {
            let gain = case.variance().map(|variance| case.step.one_minus_alpha_bar.sqrt() / variance);
            [0, 1].map(|i| gain[i] * (case.xt[i] - case.mean(u)[i]))
        };
        distance(&eps(case), &case.both_given_xt(given_place), 1.0)
    }

    fn error_against_functions(
        rng: &mut ChaCha8Rng,
        predict: impl Fn(&Marginal, Step, &Array2<f64>) -> Array2<f64>,
    ) -> Vec<f64> {
        let functions: [fn(f64, f64) -> f64; 4] = [|_, _| 1.0, |x, _| x.tanh(), |_, z| z.tanh(), |x, z| (x * z).tanh()];
        let mut scores = Vec::new();
        for (curve, step) in
            [(SCurve::sound(), sound().step(20).unwrap()), (SCurve::classic(), classic().step(50).unwrap())]
        {
            let [eps, xt] = draw(&curve, step, 20_000, rng);
            let error = eps - predict(&curve.marginal(step), step, &xt);
            for function in functions {
                let values: Array1<f64> = xt.rows().into_iter().map(|x| function(x[0], x[1])).collect();
                scores.extend((0..2).map(|i| z_score(&(&error.column(i) * &values).to_vec(), 0.0)));
            }
        }
        scores
    }

    #[test]
    fn bad_input() {
        transposed_points(|q, xt| q.optimal_eps(xt));
    }
}

mod tweedie {
    use super::*;

    const WHY: &str = "both rules leave 1e-11, divided by √ᾱ ≥ 1e-3 in the cases kept";

    /// The mean of x_0 given x_t by Bayes over the places: given u, the pair (x_0, x_t) is Gaussian.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-8, WHY).property(case_with_signal(), |case| {
            against_bayes(&case, |case| case.marginal().tweedie(&case.points()).unwrap().row(0).to_owned())
        });
    }

    /// The best x_0 and the best ε together are x_t again.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(2e-15, "a dozen roundings of numbers up to 10, in units of 10").property(
            case_with_signal(),
            |case| {
                let x0 = case.marginal().tweedie(&case.points()).unwrap();
                let eps = case.marginal().optimal_eps(&case.points()).unwrap();
                distance(&forward::q_sample(&x0, case.step, &eps).unwrap(), &case.points(), 10.0)
            },
        );
    }

    #[test]
    fn wrong_variant_root() {
        rejects("the root of 1 - alpha_bar", |case| {
            let [x, z] = case.xt;
            (case.score() * case.step.one_minus_alpha_bar.sqrt() + array![x, z]) / case.step.alpha_bar.sqrt()
        });
    }

    #[test]
    fn wrong_variant_no_root() {
        rejects("divided by alpha_bar", |case| {
            let [x, z] = case.xt;
            (case.score() * case.step.one_minus_alpha_bar + array![x, z]) / case.step.alpha_bar
        });
    }

    fn case_with_signal() -> impl Strategy<Value = Case> {
        case().prop_filter("some signal is left", |case| case.step.alpha_bar > 1e-6)
    }

    fn rejects(mistake: &str, x0: impl Fn(&Case) -> Array1<f64>) {
        check!(Identity).bound(1e-8, WHY).rejects(mistake, case_with_signal(), |case| against_bayes(&case, &x0));
    }

    fn against_bayes(case: &Case, x0: impl Fn(&Case) -> Array1<f64>) -> f64 {
        let given_place = |u: f64| {
            let (variance, signal) = (case.data_variance(), case.step.alpha_bar.sqrt());
            let gain = [0, 1].map(|i| signal * variance[i] / case.variance()[i]);
            [0, 1].map(|i| case.place(u)[i] + gain[i] * (case.xt[i] - case.mean(u)[i]))
        };
        distance(&x0(case), &case.both_given_xt(given_place), 1.0)
    }

    #[test]
    fn bad_input() {
        transposed_points(|q, xt| q.tweedie(xt));
        let last = Schedule::from_betas(&[0.3, 1.0]).unwrap().last();
        let error = SCurve::sound().marginal(last).tweedie(&array![[0.0, 0.0]]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

mod s_curve_entropy {
    use super::*;

    /// The mean of −ln q over draws.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| surprise_of_draws(rng, Marginal::s_curve_entropy));
    }

    /// Dividing the data by s takes ln s from the entropy, a coordinate at a time.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "the grid is divided as well: roundings of a sum of 10⁵ terms").cases(
            [(0.05, 0.5, 10.0), (0.1, 10.0, 10.0), (0.4, 3.0, 0.7)],
            |(noise, x, z): (f64, f64, f64)| {
                let entropy = |scale| SCurve::new(noise, scale).unwrap().data().s_curve_entropy();
                (entropy([x, z]) - (entropy([1.0; 2]) - x.ln() - z.ln())).abs()
            },
        );
    }

    /// Where nothing of the data is left, the entropy is that of N(0, I), ln 2πe.
    #[test]
    fn limit() {
        check!(Limit).bound(3e-13, "roundings of a sum of 10⁴ terms").property(case_without_signal(), |case| {
            (case.marginal().s_curve_entropy() - (2.0 * PI * 1.0_f64.exp()).ln()).abs()
        });
    }

    /// A thin S is a line of length 3π with a Gaussian across it. What the two ends add is 2/3π · 0.9 σ.
    #[test]
    fn thin_line() {
        for sigma in [0.1_f64, 0.05, 0.025] {
            let line = (3.0 * PI).ln() + 0.5 * (2.0 * PI * 1.0_f64.exp() * sigma.powi(2)).ln();
            let entropy = SCurve::new(sigma, [1.0; 2]).unwrap().data().s_curve_entropy();
            assert!((entropy - line).abs() < 0.25 * sigma, "{entropy} for {line}");
        }
    }

    #[test]
    fn wrong_variant_bits() {
        check!(MonteCarlo)
            .rejects_z_scores("bits for nats", |rng| surprise_of_draws(rng, |q| q.s_curve_entropy() / 2.0_f64.ln()));
    }

    #[test]
    fn wrong_variant_gaussian() {
        check!(MonteCarlo).rejects_z_scores("that of a Gaussian of the same variances", |rng| {
            surprise_of_draws(rng, |_| (2.0 * PI * 1.0_f64.exp()).ln())
        });
    }

    fn surprise_of_draws(rng: &mut ChaCha8Rng, entropy: impl Fn(&Marginal) -> f64) -> Vec<f64> {
        let mut scores = Vec::new();
        for (curve, step) in
            [(SCurve::sound(), sound().step(10).unwrap()), (SCurve::classic(), classic().step(60).unwrap())]
        {
            let x0 = curve.points(5_000, rng);
            let [_, xt] = draw(&curve, step, 5_000, rng);
            for (q, x) in [(curve.data(), x0), (curve.marginal(step), xt)] {
                let surprise = -q.log_q(&x).unwrap();
                scores.push(z_score(&surprise.to_vec(), entropy(&q)));
            }
        }
        scores
    }
}

mod bayes_floor {
    use super::*;

    /// E‖ε*‖² over the places and both noises, with ε* from the formula for single points.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-8, WHY).cases(cases(), |case| {
            distance_of_numbers(case.marginal().bayes_floor(), 1.0 - mean_square_eps(&case) / 2.0, 1e-300)
        });
    }

    /// De Bruijn: with y = x_t/√ᾱ_t = x_0 + √τ ε, the floor is 1 − dH(y)/d ln τ, since dH(y)/dτ is half of the Fisher
    /// information of y.
    #[test]
    fn finite_difference() {
        let curves = [SCurve::sound(), SCurve::classic(), SCurve::new(0.05, [1.0, 3.0]).unwrap()];
        let log_taus = [-6.0, -4.0, -2.0, 0.0, 2.0, 5.0, 10.0];
        let cases = curves.into_iter().flat_map(|curve| log_taus.map(|log_tau| (curve, log_tau)));
        check!(FiniteDifference).bound(1e-7, "a step of 0.02 in ln τ leaves about 1e-8").cases(
            cases,
            |(curve, log_tau)| {
                let marginal = |log_tau: f64| {
                    let beta = 1.0 / (1.0 + (-log_tau).exp());
                    curve.marginal(Schedule::from_betas(&[beta]).unwrap().last())
                };
                let slope =
                    derivative(log_tau, 0.02, |log_tau| marginal(log_tau).s_curve_entropy() + log_tau.exp().ln_1p());
                (marginal(log_tau).bayes_floor() - (1.0 - slope)).abs()
            },
        );
    }

    /// What is left of L_simple when the best function predicts the noise.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| loss_of_the_best(rng, |q, _| q.bayes_floor()));
    }

    /// As ᾱ_t → 0, the floor becomes ᾱ_t times the variance of the data.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, "ᾱ_t = 1e-7, whose square counts for 1e-14 with variances up to 3").property(
            (0.05..0.4, 0.7..3.0, 1.2..3.0),
            |(noise, x, z)| {
                let curve = SCurve::new(noise, [x, z]).unwrap();
                let [std_x, std_z] = s_curve::population_std(noise);
                let variance = 0.5 * ((std_x / x).powi(2) + (std_z / z).powi(2));
                let floor = |alpha_bar: f64| {
                    curve.marginal(Schedule::from_betas(&[1.0 - alpha_bar]).unwrap().last()).bayes_floor()
                };
                let nothing_left = Schedule::from_betas(&[0.5, 1.0]).unwrap().last();
                let at_the_end = curve.marginal(nothing_left).bayes_floor();
                assert!(at_the_end >= 0.0);
                larger((floor(1e-7) - 1e-7 * variance).abs(), at_the_end)
            },
        );
    }

    #[test]
    fn wrong_variant_zero() {
        check!(MonteCarlo).rejects_z_scores("a floor of 0", |rng| loss_of_the_best(rng, |_, _| 0.0));
    }

    #[test]
    fn wrong_variant_sum() {
        check!(MonteCarlo)
            .rejects_z_scores("a sum over the dimensions", |rng| loss_of_the_best(rng, |q, _| 2.0 * q.bayes_floor()));
    }

    #[test]
    fn wrong_variant_score() {
        check!(MonteCarlo).rejects_z_scores("the score for the best noise", |rng| {
            loss_of_the_best(rng, |q, step| 1.0 - (1.0 - q.bayes_floor()) / step.one_minus_alpha_bar)
        });
    }

    const WHY: &str = "rules with a fifth of a standard deviation between the points leave about 1e-9";

    fn cases() -> [Case; 2] {
        let cases = [(SCurve::sound(), 10), (SCurve::new(0.2, [1.0, 3.0]).unwrap(), 40)];
        cases.map(|(curve, t)| Case { curve, step: sound().step(t).unwrap(), xt: [0.0; 2] })
    }

    /// E‖ε*‖², over half of the curve since the other half is its image.
    fn mean_square_eps(case: &Case) -> f64 {
        let (q, std) = (case.marginal(), case.variance().map(f64::sqrt));
        let etas = Array1::linspace(-7.0, 7.0, 71);
        let noises: Vec<[f64; 2]> = etas.iter().flat_map(|&x| etas.iter().map(move |&z| [x, z])).collect();
        mean_over_half(96, 1.0, |u| {
            let at = |i: usize, eta: f64| case.mean(u)[i] + std[i] * eta;
            let xt: Vec<[f64; 2]> = noises.iter().map(|eta| [at(0, eta[0]), at(1, eta[1])]).collect();
            let eps = q.optimal_eps(&Array2::from(xt)).unwrap();
            let rows = eps.rows().into_iter().zip(&noises);
            rows.map(|(eps, eta)| eps.dot(&eps) * normal(*eta, [0.0; 2], [1.0; 2]) * 0.04).sum()
        })
    }

    fn loss_of_the_best(rng: &mut ChaCha8Rng, floor: impl Fn(&Marginal, Step) -> f64) -> Vec<f64> {
        let mut scores = Vec::new();
        for (curve, step) in presets() {
            let [eps, xt] = draw(&curve, step, 5_000, rng);
            let q = curve.marginal(step);
            let squares = (eps - q.optimal_eps(&xt).unwrap()).mapv(|error| error * error);
            scores.push(z_score(&squares.mean_axis(Axis(1)).unwrap().to_vec(), floor(&q, step)));
        }
        scores
    }
}

mod mean_bayes_floor {
    use super::*;

    /// L_simple of the best function, with t drawn too.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo)
            .z_scores(|rng| l_simple_of_the_best(rng, |curve, schedule| curve.mean_bayes_floor(schedule)));
    }

    /// The sum over T steps is that over the first T − 1 and the floor at T.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "roundings of T numbers below 1").cases([1, 2, 3, 10], |timesteps: usize| {
            let curve = SCurve::new(0.3, [1.0, 2.0]).unwrap();
            let betas = [0.01, 0.03, 0.6, 0.1, 0.2, 0.2, 0.3, 0.5, 0.7, 0.9];
            let sum = |count: usize| match count {
                0 => 0.0,
                _ => count as f64 * curve.mean_bayes_floor(&Schedule::from_betas(&betas[..count]).unwrap()),
            };
            let last = Schedule::from_betas(&betas[..timesteps]).unwrap().last();
            (sum(timesteps) - sum(timesteps - 1) - curve.marginal(last).bayes_floor()).abs()
        });
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("the floor in the middle for the mean of the floors", |rng| {
            l_simple_of_the_best(rng, |curve, schedule| curve.marginal(schedule.step(50).unwrap()).bayes_floor())
        });
    }

    fn l_simple_of_the_best(rng: &mut ChaCha8Rng, floor: impl Fn(&SCurve, &Schedule) -> f64) -> Vec<f64> {
        let score = |(curve, schedule): (SCurve, Schedule)| {
            let mut loss = || {
                let step = schedule.step(rng.random_range(1..=schedule.timesteps())).unwrap();
                let [eps, xt] = draw(&curve, step, 1, rng);
                let error = eps - curve.marginal(step).optimal_eps(&xt).unwrap();
                0.5 * error.pow2().sum()
            };
            let losses: Vec<f64> = (0..5_000).map(|_| loss()).collect();
            z_score(&losses, floor(&curve, &schedule))
        };
        [(SCurve::sound(), sound()), (SCurve::classic(), classic())].map(score).into()
    }
}

mod reverse_mean_and_covariance {
    use super::*;

    const WHY: &str = "both routes have the same quadrature, and roundings of their own";

    /// Tweedie's formula for one step: x_t is √α_t x_{t−1} plus noise of variance β_t.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, WHY).property(case(), |case| {
            let moments = case.curve.reverse_mean_and_covariance(&case.points(), case.step).unwrap();
            let [x, z] = case.xt;
            let tweedie = (case.score() * case.step.beta + array![x, z]) / case.step.alpha.sqrt();
            distance(&moments.mean.row(0).to_owned(), &tweedie, 1.0)
        });
    }

    /// Its second order: the covariance is β_t/α_t · (I + β_t ∇∇ ln q(x_t)).
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-8, WHY_DIFFERENCES)
            .property(case(), |case| against_differences(&case, covariance(&case)));
    }

    /// What is left of x_{t−1} after its mean is taken away has the covariance, and x_t says nothing about it.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let mut scores = Vec::new();
            for (curve, t, schedule) in [(SCurve::sound(), 15, sound()), (SCurve::classic(), 60, sound())] {
                let [_, before] = draw(&curve, schedule.step(t - 1).unwrap(), 20_000, rng);
                let eps = Array2::random_using((20_000, 2), StandardNormal, rng);
                let step = schedule.step(t).unwrap();
                let xt = forward::q_step(&before, step, &eps).unwrap();
                let moments = curve.reverse_mean_and_covariance(&xt, step).unwrap();
                let rest = before - moments.mean;
                for i in 0..2 {
                    scores.push(z_score(&rest.column(i).to_vec(), 0.0));
                    scores.push(z_score(&(&rest.column(i) * &xt.column(0).mapv(f64::tanh)).to_vec(), 0.0));
                    for j in 0..2 {
                        let covariance = Array1::from_shape_fn(20_000, |n| moments.covariance[[n, i, j]]);
                        let off = &rest.column(i) * &rest.column(j) - covariance;
                        scores.push(z_score(&off.to_vec(), 0.0));
                        scores.push(z_score(&(off * xt.column(1).mapv(f64::tanh)).to_vec(), 0.0));
                    }
                }
            }
            scores
        });
    }

    /// Where the step leaves nothing of x_{t−1}, x_t says nothing about it, and its own mean and covariance stay.
    #[test]
    fn limit() {
        check!(Limit).bound(2e-14, "a few dozen roundings").property(case_without_signal(), |case| {
            let moments = case.curve.reverse_mean_and_covariance(&case.points(), case.step).unwrap();
            let std = s_curve::population_std(case.curve.noise());
            let [scale_x, scale_z] = case.curve.scale();
            let own = |i: usize| 0.7 * (std[i] / case.curve.scale()[i]).powi(2) + 0.3;
            let cross = -0.7 / (3.0 * PI) / (scale_x * scale_z);
            distance(&moments.covariance, &array![[[own(0), cross], [cross, own(1)]]], 1.0).max(distance(
                &moments.mean,
                &array![[0.0, 0.0]],
                1.0,
            ))
        });
    }

    /// The mass, mean and covariance of q(x_t | x_{t−1}) q(x_{t−1}) / q(x_t), integrated over the plane.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, "a few ten thousand terms, and 9 standard deviations").cases(
            [(0.1, 0.5, [0.3, -0.5]), (0.1, 0.02, [0.3, -0.5]), (0.02, 0.1, [-0.6, 0.4]), (0.7, 0.9, [1.0, 1.0])],
            |(noise_before, beta, [x, z])| {
                let back = Back::new(SCurve::sound(), noise_before, beta, [x, z]);
                let (mut mass, mut mean, mut second) = (0.0, Array1::zeros(2), Array2::zeros((2, 2)));
                back.over_the_plane(9.0, 0.2, |point, log_q, area| {
                    let q = log_q.exp() * area;
                    let off = &point - &back.mean();
                    mass += q;
                    mean.scaled_add(q, &point);
                    second += &Array2::from_shape_fn((2, 2), |(i, j)| q * off[i] * off[j]);
                });
                let covariance = back.covariance().to_owned();
                distance_of_numbers(mass, 1.0, 1.0).max(distance(&mean, &back.mean(), 1.0)).max(distance(
                    &second,
                    &covariance,
                    beta,
                ))
            },
        );
    }

    /// As β shrinks, the distance from q(x_{t−1} | x_t) to the Gaussian with these moments becomes β³/12 times the sum of
    /// the squares of all third derivatives of ln q(x_{t−1}) (chapter 5). Those are third cumulants of the place.
    #[test]
    fn small_steps() {
        for (seen, beta) in [([0.3, -0.5], 1e-3), ([0.3, -0.5], 3e-4), ([0.6, -0.4], 1e-3), ([-0.4, 0.2], 1e-3)] {
            let back = Back::new(SCurve::sound(), 0.1, beta, seen);
            let covariance = back.covariance();
            let determinant = covariance[[0, 0]] * covariance[[1, 1]] - covariance[[0, 1]].powi(2);
            let precision =
                array![[covariance[[1, 1]], -covariance[[0, 1]]], [-covariance[[1, 0]], covariance[[0, 0]]]]
                    / determinant;
            let mut kl = 0.0;
            back.over_the_plane(8.0, 0.1, |point, log_q, area| {
                let off = &point - &back.mean();
                let log_p = -0.5 * off.dot(&precision.dot(&off)) - (2.0 * PI * determinant.sqrt()).ln();
                // q ln(q/p) − q + p, which has the same integral and no rounding to speak of
                let log_ratio = log_q - log_p;
                kl += area * log_p.exp() * (log_ratio * log_ratio.exp() - log_ratio.exp_m1());
            });
            let before = Case { curve: back.curve, step: back.before, xt: seen };
            let place = before.both_given_xt(|u| before.place(u));
            let factor = [0, 1].map(|i| before.step.alpha_bar.sqrt() / before.variance()[i]);
            let mut squares = 0.0;
            for (i, j, k) in (0..8).map(|bits| (bits & 1, (bits >> 1) & 1, bits >> 2)) {
                let off = |u: f64, i: usize| factor[i] * (before.place(u)[i] - place[i]);
                squares += before.given_xt(|u| off(u, i) * off(u, j) * off(u, k)).powi(2);
            }
            let leading = beta.powi(3) * squares / 12.0;
            assert!((kl / leading - 1.0).abs() < 60.0 * beta, "{kl:e} for {leading:e} at {seen:?} with beta = {beta}");
        }
    }

    /// One step back from x_t = √α_t · seen.
    struct Back {
        curve: SCurve,
        before: Step,
        step: Step,
        xt: Array2<f64>,
        moments: ReverseMoments,
    }

    impl Back {
        fn new(curve: SCurve, noise_before: f64, beta: f64, seen: [f64; 2]) -> Self {
            let schedule = Schedule::from_betas(&[noise_before, beta]).unwrap();
            let (before, step) = (schedule.step(1).unwrap(), schedule.last());
            let xt = array![seen] * step.alpha.sqrt();
            let moments = curve.reverse_mean_and_covariance(&xt, step).unwrap();
            Self { curve, before, step, xt, moments }
        }

        fn mean(&self) -> Array1<f64> {
            self.moments.mean.row(0).to_owned()
        }

        fn covariance(&self) -> ArrayView2<'_, f64> {
            self.moments.covariance.index_axis(Axis(0), 0)
        }

        /// Calls `f` with each point of a grid, ln q(x_{t−1} | x_t) by Bayes, and the area of a cell. The grid reaches `reach`
        /// standard deviations far, and its spacing is a `share` of the shortest length.
        fn over_the_plane(&self, reach: f64, share: f64, mut f: impl FnMut(Array1<f64>, f64, f64)) {
            let covariance = self.covariance();
            let end = reach * covariance[[0, 0]].max(covariance[[1, 1]]).sqrt();
            let [v_x, v_z] = Case { curve: self.curve, step: self.before, xt: [0.0; 2] }.variance();
            let spacing = share * v_x.min(v_z).min(self.step.beta / self.step.alpha).sqrt();
            let half = (end / spacing).ceil() as i32;
            let log_qt = self.curve.marginal(self.step).log_q(&self.xt).unwrap()[0];
            let before = self.curve.marginal(self.before);
            for row in -half..=half {
                for column in -half..=half {
                    let point = self.mean() + array![f64::from(column), f64::from(row)] * spacing;
                    let off = &self.xt.row(0) - &(&point * self.step.alpha.sqrt());
                    let forward = -0.5 * off.dot(&off) / self.step.beta - (2.0 * PI * self.step.beta).ln();
                    let log_q = forward + before.log_q(&point.to_shape((1, 2)).unwrap()).unwrap()[0] - log_qt;
                    f(point, log_q, spacing * spacing);
                }
            }
        }
    }

    #[test]
    fn wrong_variant_no_spread_of_means() {
        rejects("the mean of the variances without the variance of the means", |case| {
            let mut covariance = Array2::zeros((2, 2));
            let before = (case.step.alpha_bar_prev, case.step.one_minus_alpha_bar_prev);
            for i in 0..2 {
                let variance_before = before.0 * case.data_variance()[i] + before.1;
                covariance[[i, i]] = case.step.beta * variance_before / case.variance()[i];
            }
            covariance
        });
    }

    #[test]
    fn wrong_variant_beta_tilde() {
        rejects("the posterior variance, as if x_0 were known", |case| Array2::eye(2) * case.step.beta_tilde);
    }

    const WHY_DIFFERENCES: &str = "differences over a hundredth of the shortest length leave about 1e-9";

    fn covariance(case: &Case) -> Array2<f64> {
        case.curve
            .reverse_mean_and_covariance(&case.points(), case.step)
            .unwrap()
            .covariance
            .index_axis_move(Axis(0), 0)
    }

    fn rejects(mistake: &str, covariance: impl Fn(&Case) -> Array2<f64>) {
        check!(FiniteDifference)
            .bound(1e-8, WHY_DIFFERENCES)
            .rejects(mistake, case(), |case| against_differences(&case, covariance(&case)));
    }

    fn against_differences(case: &Case, covariance: Array2<f64>) -> f64 {
        let q = case.marginal();
        let want = Array2::from_shape_fn((2, 2), |(i, j)| {
            let slope = derivative(case.xt[i], 0.01 * case.shortest_length(i), |x| {
                let mut point = case.points();
                point[[0, i]] = x;
                q.score(&point).unwrap()[[0, j]]
            });
            case.step.beta / case.step.alpha * (if i == j { 1.0 } else { 0.0 } + case.step.beta * slope)
        });
        distance(&covariance, &want, case.step.beta / case.step.alpha)
    }

    #[test]
    fn bad_input() {
        transposed_points(|_, xt| SCurve::sound().reverse_mean_and_covariance(xt, sound().step(3).unwrap()));
    }
}

mod gauss_legendre {
    use super::*;

    const WHY: &str = "weights of sum 2, each node right to a few roundings";

    /// Polynomials of degree 2n − 1 or less are integrated exactly.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-14, WHY)
            .property(degrees(), |(n, degree)| off_the_integral(&s_curve::gauss_legendre(n), degree));
    }

    /// Abramowitz, Stegun 1964, table 25.4: some nodes and weights for n = 2, 3 and 16.
    #[test]
    fn published() {
        check!(Published).bound(1e-15, "fifteen digits are printed").cases(
            [
                (2, 0, 0.577350269189626, 1.0),
                (3, 0, 0.774596669241483, 0.555555555555556),
                (3, 1, 0.0, 0.888888888888889),
                (16, 0, 0.989400934991650, 0.027152459411754),
                (16, 7, 0.095012509837637, 0.189450610455069),
                (16, 15, -0.989400934991650, 0.027152459411754),
            ],
            |(n, i, node, weight)| {
                let (x, w) = s_curve::gauss_legendre(n)[i];
                larger((x - node).abs(), (w - weight).abs())
            },
        );
        assert!(s_curve::gauss_legendre(0).is_empty());
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-14, WHY).rejects("equal weights", degrees(), |(n, degree)| {
            let equal: Vec<(f64, f64)> = s_curve::gauss_legendre(n).iter().map(|&(x, _)| (x, 2.0 / n as f64)).collect();
            off_the_integral(&equal, degree)
        });
    }

    fn degrees() -> impl Strategy<Value = (usize, i32)> {
        (1..=40_usize).prop_flat_map(|n| (Just(n), 0..2 * n as i32))
    }

    fn off_the_integral(rule: &[(f64, f64)], degree: i32) -> f64 {
        let integral = if degree % 2 == 0 { 2.0 / f64::from(degree + 1) } else { 0.0 };
        (rule.iter().map(|(x, w)| w * x.powi(degree)).sum::<f64>() - integral).abs()
    }
}
