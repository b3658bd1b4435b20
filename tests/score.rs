//! Checks of chapter 13, the score and the flow: one module an equation, named by its slug.

mod support;

use std::f64::consts::{PI, SQRT_2, TAU};

use literate_diffusion::elbo::exact_reverse;
use literate_diffusion::s_curve::{Marginal, SCurve};
use literate_diffusion::score::{self, Carried, ContinuousSchedule, Probe, Solver};
#[cfg(feature = "torch")]
use literate_diffusion::torch::{
    score as torch_score,
    tch::{Kind, Tensor},
};
use literate_diffusion::{Error, Result, Schedule, Step, forward, gaussian, objective, sampler};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{arrays, step};
#[cfg(feature = "torch")]
use support::{Check, torch as twin};
use support::{check, derivative, distance, distance_of_numbers, integral, larger, z_score};

/// A step and two arrays of one length.
type Case = (Step, [Array1<f64>; 2]);

fn case() -> impl Strategy<Value = Case> {
    (step(50), arrays())
}

/// The largest |x|, and at least 1.
fn largest(arrays: &[&Array1<f64>]) -> f64 {
    arrays.iter().flat_map(|array| array.iter()).fold(1.0, |most, x| most.max(x.abs()))
}

/// Data N(m, v), a step, and x_t as a number of standard deviations from its mean.
#[derive(Debug, Clone)]
struct Normal {
    mean: f64,
    variance: f64,
    step: Step,
    xt: f64,
}

impl Normal {
    /// The mean and variance of x_t.
    fn moments(&self) -> (f64, f64) {
        let Step { alpha_bar, one_minus_alpha_bar, .. } = self.step;
        (alpha_bar.sqrt() * self.mean, alpha_bar * self.variance + one_minus_alpha_bar)
    }

    /// The score at x_t.
    fn score(&self) -> Array1<f64> {
        let (mean, variance) = self.moments();
        array![(mean - self.xt) / variance]
    }
}

fn normal() -> impl Strategy<Value = Normal> {
    (-2.0..2.0, 0.1..4.0, step(50), -3.0..3.0).prop_map(|(mean, variance, step, z)| {
        let mut case = Normal { mean, variance, step, xt: 0.0 };
        let (mean_of_xt, variance_of_xt) = case.moments();
        case.xt = mean_of_xt + z * variance_of_xt.sqrt();
        case
    })
}

/// A drift of the reference, of x, the rate and the score, and that of its twin.
#[cfg(feature = "torch")]
fn drift_agrees(
    check: Check,
    right: fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>,
    twin: fn(&Tensor, f64, &Tensor) -> Tensor,
) {
    check.bound(1e-15, "four roundings").property((0.0..20.0, arrays()), |(beta, [x, score])| {
        let [x_there, score_there] = [&x, &score].map(twin::row);
        let want = mixture::numbers(&twin(&x_there, beta, &score_there));
        distance(&right(&x, beta, &score), &want, beta * largest(&[&x, &score]))
    });
}

/// Up to four atoms, a step that leaves 1 − ᾱ_t of at least 0.01, and x_t in units of its noise from one of them.
#[derive(Debug, Clone)]
struct Atoms {
    atoms: Array1<f64>,
    step: Step,
    xt: f64,
}

impl Atoms {
    /// ln q(x), a sum over the atoms.
    fn log_q(&self, x: f64) -> f64 {
        self.q(x).ln()
    }

    fn q(&self, x: f64) -> f64 {
        let Step { alpha_bar, one_minus_alpha_bar, .. } = self.step;
        let of_atom = |atom: &f64| gaussian::density(x, alpha_bar.sqrt() * atom, one_minus_alpha_bar).unwrap();
        self.atoms.iter().map(of_atom).sum::<f64>() / self.atoms.len() as f64
    }

    /// (√ᾱ a − x)/(1 − ᾱ) for each atom, averaged with the probability of each given x; and the same squared.
    fn pulls(&self, x: f64) -> [f64; 2] {
        let Step { alpha_bar, one_minus_alpha_bar, .. } = self.step;
        let mut sums = [0.0; 3];
        for atom in &self.atoms {
            let pull = (alpha_bar.sqrt() * atom - x) / one_minus_alpha_bar;
            let weight = gaussian::density(x, alpha_bar.sqrt() * atom, one_minus_alpha_bar).unwrap();
            sums = [sums[0] + weight, sums[1] + weight * pull, sums[2] + weight * pull * pull];
        }
        [sums[1] / sums[0], sums[2] / sums[0]]
    }

    /// The score and its derivative, q″/q − (q′/q)².
    fn score_and_slope(&self, x: f64) -> [f64; 2] {
        let [first, second] = self.pulls(x);
        [first, second - 1.0 / self.step.one_minus_alpha_bar - first * first]
    }

    /// ∫ q f over all x, by one grid for the whole mixture.
    fn mean(&self, f: impl Fn(f64) -> f64) -> f64 {
        let sigma = self.step.one_minus_alpha_bar.sqrt();
        let end = 2.0 * self.step.alpha_bar.sqrt() + 12.0 * sigma;
        integral(-end, end, (2.0 * end / (0.1 * sigma)).ceil() as usize, |x| {
            let q = self.q(x);
            if q > 1e-300 { q * f(x) } else { 0.0 }
        })
    }

    /// ∫ q (d ln q/dx)²: the Fisher information.
    fn fisher_information(&self) -> f64 {
        self.mean(|x| self.pulls(x)[0].powi(2))
    }
}

fn atoms() -> impl Strategy<Value = Atoms> {
    let atoms = prop::collection::vec(-2.0..2.0, 1..=4);
    let late = step(50).prop_filter("not too sharp", |step| step.one_minus_alpha_bar > 0.01);
    (atoms, late, -3.0..3.0).prop_map(|(atoms, step, z)| {
        let xt = step.alpha_bar.sqrt() * atoms[0] + z * step.one_minus_alpha_bar.sqrt();
        Atoms { atoms: Array1::from(atoms), step, xt }
    })
}

/// A model of the score that is not right: p (c − x) + r sin x.
#[derive(Debug, Clone, Copy)]
struct Model {
    p: f64,
    c: f64,
    r: f64,
}

impl Model {
    fn at(self, x: f64) -> f64 {
        self.p * (self.c - x) + self.r * x.sin()
    }

    fn with_slope(self, x: f64) -> (f64, f64) {
        (self.at(x), -self.p + self.r * x.cos())
    }
}

fn model() -> impl Strategy<Value = Model> {
    (0.0..4.0, -1.0..1.0, -1.0..1.0).prop_map(|(p, c, r)| Model { p, c, r })
}

/// One atom, and a model that is a straight line: all integrals are those of a Gaussian.
fn line() -> impl Strategy<Value = (Atoms, Model)> {
    (atoms(), model())
        .prop_map(|(atoms, model)| (Atoms { atoms: array![atoms.atoms[0]], ..atoms }, Model { r: 0.0, ..model }))
}

/// A schedule in continuous time, and a time that is not too near its ends for differences.
fn timed() -> impl Strategy<Value = (ContinuousSchedule, f64)> {
    (0.05..4.0, 0.05..20.0, 0.05..0.95)
        .prop_map(|(start, end, tau)| (ContinuousSchedule::linear(start, end).unwrap(), tau))
}

fn sde() -> ContinuousSchedule {
    ContinuousSchedule::linear(0.1, 20.0).unwrap()
}

/// Data N(m, v) in continuous time, and a point some standard deviations from the mean.
#[derive(Debug, Clone)]
struct Moving {
    schedule: ContinuousSchedule,
    tau: f64,
    mean: f64,
    variance: f64,
    z: f64,
}

impl Moving {
    fn at(&self, tau: f64) -> Normal {
        let step = self.schedule.at(tau).unwrap();
        let mut normal = Normal { mean: self.mean, variance: self.variance, step, xt: 0.0 };
        let (mean, variance) = normal.moments();
        normal.xt = mean + self.z * variance.sqrt();
        normal
    }

    fn rate(&self) -> f64 {
        self.schedule.rate(self.tau).unwrap()
    }
}

fn moving() -> impl Strategy<Value = Moving> {
    (timed(), -2.0..2.0, 0.2..4.0, -3.0..3.0).prop_map(|((schedule, tau), mean, variance, z)| Moving {
        schedule,
        tau,
        mean,
        variance,
        z,
    })
}

/// The S-curve at a time, and a point that x may well be there.
#[derive(Debug, Clone)]
struct Point {
    tau: f64,
    x: [f64; 2],
}

impl Point {
    fn law(&self) -> Marginal {
        SCurve::sound().marginal(sde().at(self.tau).unwrap())
    }

    fn x(&self) -> Array2<f64> {
        array![self.x]
    }

    fn rate(&self) -> f64 {
        sde().rate(self.tau).unwrap()
    }

    fn score(&self) -> Array2<f64> {
        self.law().score(&self.x()).unwrap()
    }

    fn divergence(&self) -> Array1<f64> {
        self.law().score_divergence(&self.x()).unwrap()
    }

    /// Σ_i ∂f_i/∂x_i by differences.
    fn divergence_of(&self, f: impl Fn(&Self) -> Array2<f64>) -> f64 {
        let along = |i: usize| {
            derivative(self.x[i], 1e-3, |value| {
                let mut moved = self.clone();
                moved.x[i] = value;
                f(&moved)[[0, i]]
            })
        };
        along(0) + along(1)
    }
}

fn point() -> impl Strategy<Value = Point> {
    (0.05..0.95, -1.5 * PI..1.5 * PI, -2.0..2.0, -2.0..2.0).prop_map(|(tau, u, eta_x, eta_z)| {
        let step = sde().at(tau).unwrap();
        let ([x, z], [scale_x, scale_z]) = (literate_diffusion::s_curve::curve_point(u), SCurve::sound().scale());
        let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
        Point { tau, x: [signal * x / scale_x + noise * eta_x, signal * z / scale_z + noise * eta_z] }
    })
}

/// The score of each point, and its divergence.
type Scores = (Array2<f64>, Array1<f64>);

/// They, on the S-curve.
fn s_curve_law(x: &ArrayRef2<f64>, step: Step) -> Result<Scores> {
    let law = SCurve::sound().marginal(step);
    Ok((law.score(x)?, law.score_divergence(x)?))
}

/// The same for data whose coordinates are N(m, v).
fn gaussian_law(mean: f64, variance: f64) -> impl Fn(&ArrayRef2<f64>, Step) -> Result<Scores> {
    move |x, step| {
        let (m, v) = forward::marginal_moments(mean, variance, step)?;
        Ok((x.mapv(|x| (m - x) / v), Array1::from_elem(x.nrows(), -(x.ncols() as f64) / v)))
    }
}

/// A step at which nothing is left of the data.
fn zero_snr() -> Step {
    Schedule::from_betas(&[0.3, 1.0]).unwrap().last()
}

/// The twin in libtorch, for what the modules below have in common.
#[cfg(feature = "torch")]
mod mixture {
    use super::*;

    pub const REASON: &str = "the same numbers by automatic differentiation; sums of up to 2,000 terms";

    pub fn tensor(x: &Array2<f64>) -> Tensor {
        twin::tensor(x, Kind::Double)
    }

    pub fn numbers(x: &Tensor) -> Array1<f64> {
        Array1::from(twin::numbers(x))
    }

    /// The S-curve as a mixture, by the tanh–sinh rule on each half: other places than those of the crate.
    pub fn s_curve() -> torch_score::Mixture {
        let (mut weights, mut places) = (Vec::new(), Vec::new());
        let [scale_x, scale_z] = SCurve::sound().scale();
        for sign in [-1.0, 1.0] {
            for k in -165..=165 {
                let s = 0.02 * f64::from(k);
                let r = 0.5 * PI * s.sinh();
                let [x, z] = literate_diffusion::s_curve::curve_point(sign * 0.75 * PI * (1.0 + r.tanh()));
                weights.push(0.5 * 0.02 * 0.25 * PI * s.cosh() / r.cosh().powi(2));
                places.extend([x / scale_x, z / scale_z]);
            }
        }
        let variance = SCurve::sound().scale().map(|scale| (SCurve::sound().noise() / scale).powi(2));
        let means = there(&places).view([-1, 2]);
        torch_score::Mixture::new(&there(&weights), &means, &there(&variance)).unwrap()
    }

    /// Atoms, which have no variance of their own.
    pub fn of_atoms(atoms: &Array1<f64>) -> torch_score::Mixture {
        let weights = vec![1.0 / atoms.len() as f64; atoms.len()];
        let means = there(&atoms.to_vec()).view([-1, 1]);
        torch_score::Mixture::new(&there(&weights), &means, &there(&[0.0])).unwrap()
    }

    pub fn scalar(x: f64) -> Tensor {
        there(&[x])
    }

    /// Numbers, on the device of the check.
    fn there(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).to_device(twin::device())
    }

    /// A grid for the integral of a law of atoms, and q at each of its points times the spacing.
    pub fn grid(case: &Atoms) -> (Tensor, Tensor) {
        let sigma = case.step.one_minus_alpha_bar.sqrt();
        let end = 2.0 * case.step.alpha_bar.sqrt() + 12.0 * sigma;
        let count = (2.0 * end / (0.1 * sigma)).ceil() as i64;
        let x = Tensor::linspace(-end, end, count, (Kind::Double, twin::device())).view([-1, 1]);
        let log_q = of_atoms(&case.atoms).log_density(&x, &scalar(case.step.alpha_bar));
        (x, log_q.exp() * (2.0 * end / (count - 1) as f64))
    }

    /// The model in the twin.
    pub fn model(model: Model, x: &Tensor) -> Tensor {
        (-x + model.c) * model.p + x.sin() * model.r
    }

    pub fn sum(x: &Tensor) -> f64 {
        x.sum(Kind::Double).double_value(&[])
    }
}

mod score_from_eps {
    use super::*;

    /// The derivative of ln q(x_t | x_0), where x_t was made with the noise ε. It is a parabola: differences are exact.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-9, REASON)
            .property(known_x0(), |case| by_differences(case, score::score_from_eps));
    }

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-15, "four roundings").property(case(), |(step, [eps, _])| {
            let back = score::eps_from_score(&score::score_from_eps(&eps, step).unwrap(), step);
            distance(&back, &eps, 1e-300)
        });
    }

    #[test]
    fn wrong_variant_no_root() {
        check!(FiniteDifference)
            .bound(1e-9, REASON)
            .rejects("minus the noise, not divided", known_x0(), |case| by_differences(case, |eps, _| Ok(-eps)));
    }

    #[test]
    fn wrong_variant_variance() {
        check!(FiniteDifference).bound(1e-9, REASON).rejects("divided by 1 - alpha_bar", known_x0(), |case| {
            by_differences(case, |eps, step| Ok(eps / -step.one_minus_alpha_bar))
        });
    }

    const REASON: &str = "x_t is rounded by 4e-16, up to 4e-13 of √(1 − ᾱ_t); the parabola makes ten of it";

    fn known_x0() -> impl Strategy<Value = (Step, f64, f64)> {
        (step(50), -2.0..2.0, -4.0..4.0)
    }

    fn by_differences(
        (step, x0, eps): (Step, f64, f64),
        score_from_eps: fn(&ArrayRef1<f64>, Step) -> Result<Array1<f64>>,
    ) -> f64 {
        let sigma = step.one_minus_alpha_bar.sqrt();
        let xt = forward::q_sample(&array![x0], step, &array![eps]).unwrap()[0];
        let mean = array![step.alpha_bar.sqrt() * x0];
        let want = derivative(xt, sigma, |x| gaussian::log_density(&array![x], &mean, sigma * sigma).unwrap());
        distance_of_numbers(score_from_eps(&array![eps], step).unwrap()[0], want, 1.0 / sigma)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[eps], step| score::score_from_eps(eps, step),
            |[eps], steps| torch_score::score_from_eps(eps, steps),
        );
    }

    #[test]
    fn bad_input() {
        let error = score::score_from_eps(&array![1.0], sde().at(0.0).unwrap()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "1 - alpha_bar", .. }));
    }
}

mod eps_from_score {
    use super::*;

    /// For Gaussian data: the regression line of ε on x_t.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, REASON).property(normal(), |case| by_regression(case, score::eps_from_score));
    }

    /// E[ε | x_t] for atoms, by Bayes: the noise that leads from each to x_t, averaged.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-10, "the score by differences of fourth order").property(atoms(), |case| {
            let sigma = case.step.one_minus_alpha_bar.sqrt();
            let score = derivative(case.xt, 2e-3 * sigma, |x| case.log_q(x));
            let eps = score::eps_from_score(&array![score], case.step)[0];
            distance_of_numbers(eps, -sigma * case.pulls(case.xt)[0], 1.0) * 1e-1
        });
    }

    #[test]
    fn wrong_variant_no_root() {
        check!(Identity).bound(1e-12, REASON).rejects("1 - alpha_bar without the root", normal(), |case| {
            by_regression(case, |score, step| score * -step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Identity).bound(1e-12, REASON).rejects("the sign forgotten", normal(), |case| {
            by_regression(case, |score, step| score * step.one_minus_alpha_bar.sqrt())
        });
    }

    const REASON: &str = "x_t − √ᾱ_t m loses up to two digits";

    fn by_regression(case: Normal, eps_from_score: fn(&ArrayRef1<f64>, Step) -> Array1<f64>) -> f64 {
        let want = objective::gaussian_eps(case.mean, case.variance, &array![case.xt], case.step).unwrap();
        distance(&eps_from_score(&case.score(), case.step), &want, 1e-2)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[score], step| Ok(score::eps_from_score(score, step)),
            |[score], steps| torch_score::eps_from_score(score, steps),
        );
    }
}

mod x0_from_score {
    use super::*;

    /// By way of the noise.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "six roundings").property(case(), |(step, [xt, score])| {
            let eps = score::eps_from_score(&score, step);
            let want = objective::x0_from_eps(&xt, step, &eps).unwrap();
            let got = score::x0_from_score(&xt, step, &score).unwrap();
            distance(&got, &want, largest(&[&xt, &score]) / step.alpha_bar.sqrt())
        });
    }

    /// E[x_0 | x_t] for Gaussian data, by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, REASON).property(normal(), |case| by_bayes(case, right));
    }

    #[test]
    fn wrong_variant_root() {
        check!(Quadrature).bound(1e-12, REASON).rejects("the root of 1 - alpha_bar", normal(), |case| {
            by_bayes(case, |xt, step, score| (xt + score * step.one_minus_alpha_bar.sqrt()) / step.alpha_bar.sqrt())
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Quadrature).bound(1e-12, REASON).rejects("the score subtracted, like noise", normal(), |case| {
            by_bayes(case, |xt, step, score| (xt - score * step.one_minus_alpha_bar) / step.alpha_bar.sqrt())
        });
    }

    const REASON: &str = "the trapezium rule is exact to rounding here; x_t and the score nearly cancel, and what is left is divided by √ᾱ_t";

    fn right(xt: &Array1<f64>, step: Step, score: &Array1<f64>) -> Array1<f64> {
        score::x0_from_score(xt, step, score).unwrap()
    }

    fn by_bayes(case: Normal, x0_from_score: fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>) -> f64 {
        let Step { alpha_bar, one_minus_alpha_bar, .. } = case.step;
        // As a function of x_0, the likelihood is a Gaussian of this mean and precision; the product has the sum of both.
        let precision = 1.0 / case.variance + alpha_bar / one_minus_alpha_bar;
        let middle = (case.mean / case.variance + alpha_bar.sqrt() * case.xt / one_minus_alpha_bar) / precision;
        let end = 14.0 / precision.sqrt();
        let joint = |x0: f64| {
            let prior = -0.5 * (x0 - case.mean).powi(2) / case.variance;
            let likelihood = -0.5 * (case.xt - alpha_bar.sqrt() * x0).powi(2) / one_minus_alpha_bar;
            prior + likelihood
        };
        let top = joint(middle);
        let moment = |k: i32| integral(middle - end, middle + end, 400, |x0| x0.powi(k) * (joint(x0) - top).exp());
        let got = x0_from_score(&array![case.xt], case.step, &case.score())[0];
        distance_of_numbers(got, moment(1) / moment(0), 1.0 / alpha_bar.sqrt())
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        // The score goes through the noise (a coefficient and a product) and a sum of two terms (three more).
        twin::agrees_by_way(
            check!(Torch),
            5,
            |[xt, score], step| score::x0_from_score(xt, step, score),
            |[xt, score], steps| torch_score::x0_from_score(xt, steps, score),
        );
    }

    #[test]
    fn bad_input() {
        let error = score::x0_from_score(&array![1.0], zero_snr(), &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
        let error = score::x0_from_score(&array![1.0], zero_snr(), &array![1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![1], got: vec![2] });
    }
}

mod conditional_score {
    use super::*;

    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, REASON).property(known(), |case| by_differences(case, right));
    }

    /// x_t made from x_0 and ε: the noise, turned round.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "a few roundings, of the largest number divided by 1 − ᾱ_t").property(
            case(),
            |(step, [x0, eps])| {
                let xt = forward::q_sample(&x0, step, &eps).unwrap();
                let got = score::conditional_score(&x0, &xt, step).unwrap();
                let want = score::score_from_eps(&eps, step).unwrap();
                distance(&got, &want, largest(&[&x0, &eps]) / step.one_minus_alpha_bar)
            },
        );
    }

    #[test]
    fn wrong_variant_unshrunk() {
        check!(FiniteDifference).bound(1e-9, REASON).rejects("x_0 that is not shrunk", known(), |case| {
            by_differences(case, |x0, xt, step| (x0 - xt) / step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_std() {
        check!(FiniteDifference).bound(1e-9, REASON).rejects("divided by the standard deviation", known(), |case| {
            by_differences(case, |x0, xt, step| (x0 * step.alpha_bar.sqrt() - xt) / step.one_minus_alpha_bar.sqrt())
        });
    }

    const REASON: &str = "x_t is rounded by 4e-16, up to 4e-13 of √(1 − ᾱ_t); the parabola makes ten of it";

    fn known() -> impl Strategy<Value = (Step, f64, f64)> {
        (step(50), -2.0..2.0, -4.0..4.0)
    }

    fn right(x0: &Array1<f64>, xt: &Array1<f64>, step: Step) -> Array1<f64> {
        score::conditional_score(x0, xt, step).unwrap()
    }

    fn by_differences(
        (step, x0, z): (Step, f64, f64),
        conditional_score: fn(&Array1<f64>, &Array1<f64>, Step) -> Array1<f64>,
    ) -> f64 {
        let sigma = step.one_minus_alpha_bar.sqrt();
        let mean = array![step.alpha_bar.sqrt() * x0];
        let xt = mean[0] + sigma * z;
        let want = derivative(xt, sigma, |x| gaussian::log_density(&array![x], &mean, sigma * sigma).unwrap());
        distance_of_numbers(conditional_score(&array![x0], &array![xt], step)[0], want, 1.0 / sigma)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees_in_f64(
            check!(Torch),
            |[x0, xt], step| score::conditional_score(x0, xt, step),
            |[x0, xt], steps| torch_score::conditional_score(x0, xt, steps),
        );
    }

    #[test]
    fn bad_input() {
        let step = sde().at(0.5).unwrap();
        let error = score::conditional_score(&array![1.0], &array![1.0, 2.0], step).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "xt", expected: vec![1], got: vec![2] });
        let error = score::conditional_score(&array![1.0], &array![1.0], sde().at(0.0).unwrap()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "1 - alpha_bar", .. }));
    }
}

mod score_of_atoms {
    use super::*;

    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-8, REASON).property(atoms(), |case| by_differences(case, right));
    }

    /// Two atoms ±a: the mean of x_0 is a tanh(√ᾱ a x/(1 − ᾱ)).
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "exponents of up to a few hundred").property(atoms(), |case| {
            let (a, signal, variance) = (case.atoms[0], case.step.alpha_bar.sqrt(), case.step.one_minus_alpha_bar);
            let want = (signal * a * (signal * a * case.xt / variance).tanh() - case.xt) / variance;
            let got = right(&Atoms { atoms: array![-a, a], ..case });
            distance_of_numbers(got, want, 1.0 / variance)
        });
    }

    #[test]
    fn wrong_variant_nearest() {
        check!(FiniteDifference).bound(1e-8, REASON).rejects("the pull of the nearest atom alone", atoms(), |case| {
            by_differences(case, |case| {
                let pulls =
                    score::conditional_score(&case.atoms, &Array1::from_elem(case.atoms.len(), case.xt), case.step);
                pulls
                    .unwrap()
                    .iter()
                    .fold(f64::INFINITY, |least, &pull| if pull.abs() < least.abs() { pull } else { least })
            })
        });
    }

    #[test]
    fn wrong_variant_all_alike() {
        check!(FiniteDifference).bound(1e-8, REASON).rejects("the mean over all atoms, however far", atoms(), |case| {
            by_differences(case, |case| right(&Atoms { atoms: array![case.atoms.mean().unwrap()], ..case.clone() }))
        });
    }

    const REASON: &str = "differences of fourth order over 0.002 of √(1 − ᾱ_t), between atoms up to 40 of these apart";

    fn right(case: &Atoms) -> f64 {
        score::score_of_atoms(case.xt, &case.atoms, case.step).unwrap()
    }

    fn by_differences(case: Atoms, score: fn(&Atoms) -> f64) -> f64 {
        let sigma = case.step.one_minus_alpha_bar.sqrt();
        let want = derivative(case.xt, 2e-3 * sigma, |x| case.log_q(x));
        distance_of_numbers(score(&case), want, 1.0 / sigma)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-11, mixture::REASON).property(atoms(), |case| {
            let law = mixture::of_atoms(&case.atoms);
            let log_density = |x: &Tensor| law.log_density(x, &mixture::scalar(case.step.alpha_bar));
            let want = torch_score::score(log_density, &mixture::scalar(case.xt).view([1, 1])).double_value(&[0, 0]);
            distance_of_numbers(right(&case), want, 1.0 / case.step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn bad_input() {
        let error = score::score_of_atoms(0.0, &Array1::zeros(0), sde().at(0.5).unwrap()).unwrap_err();
        assert_eq!(error, Error::Empty { name: "atoms" });
    }
}

/// What a loss asks of its data.
fn bad_loss(loss: impl Fn(&Array1<f64>, Step) -> Result<f64>) {
    assert_eq!(loss(&Array1::zeros(0), sde().at(0.5).unwrap()).unwrap_err(), Error::Empty { name: "atoms" });
    let error = loss(&array![1.0], sde().at(0.0).unwrap()).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { name: "1 - alpha_bar", .. }));
}

const LOSS_REASON: &str = "sums of a few hundred terms; losses of up to 1e4, whose differences are of the order of 1";

mod explicit_loss {
    use super::*;

    /// One atom and a straight line: with μ and w the mean and variance of x_t, ½ [p² (c − μ)² + (1/√w − p √w)²].
    #[test]
    fn identity() {
        check!(Identity).bound(1e-11, LOSS_REASON).property(line(), |case| in_closed_form(case, right));
    }

    /// By one grid for the whole mixture, with the score by Bayes there.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).property((atoms(), model()), |(atoms, model)| {
            let want = atoms.mean(|x| 0.5 * (model.at(x) - atoms.pulls(x)[0]).powi(2));
            distance_of_numbers(right(&atoms, model), want, 1.0)
        });
    }

    #[test]
    fn wrong_variant_half() {
        check!(Identity).bound(1e-11, LOSS_REASON).rejects("the half forgotten", line(), |case| {
            in_closed_form(case, |atoms, model| 2.0 * right(atoms, model))
        });
    }

    #[test]
    fn wrong_variant_absolute() {
        check!(Identity).bound(1e-11, LOSS_REASON).rejects("at x = 0 alone, not averaged", line(), |case| {
            in_closed_form(case, |atoms, model| 0.5 * (model.at(0.0) - atoms.pulls(0.0)[0]).powi(2))
        });
    }

    fn right(atoms: &Atoms, model: Model) -> f64 {
        score::explicit_loss(|x| model.at(x), &atoms.atoms, atoms.step).unwrap()
    }

    fn in_closed_form((atoms, model): (Atoms, Model), loss: fn(&Atoms, Model) -> f64) -> f64 {
        let (mean, variance) = (atoms.step.alpha_bar.sqrt() * atoms.atoms[0], atoms.step.one_minus_alpha_bar);
        let off = model.p * (model.c - mean);
        let slope = 1.0 / variance.sqrt() - model.p * variance.sqrt();
        distance_of_numbers(loss(&atoms, model), 0.5 * (off * off + slope * slope), 1.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, LOSS_REASON).property((atoms(), model()), |(atoms, model)| {
            let (x, q) = mixture::grid(&atoms);
            let law = mixture::of_atoms(&atoms.atoms);
            let score = torch_score::score(|x| law.log_density(x, &mixture::scalar(atoms.step.alpha_bar)), &x);
            let want = mixture::sum(&((mixture::model(model, &x) - score).square().view([-1]) * q)) * 0.5;
            distance_of_numbers(right(&atoms, model), want, 1.0)
        });
    }

    #[test]
    fn bad_input() {
        bad_loss(|atoms, step| score::explicit_loss(|x| -x, atoms, step));
    }
}

mod denoising_loss {
    use super::*;

    /// Vincent's identity: J_D − J_E = ½ [1/(1 − ᾱ) − I], with the Fisher information I, whatever the model.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).property((atoms(), model()), |case| against_explicit(case, right));
    }

    /// The mean over draws of x_0 and ε, as training takes it.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let model = Model { p: 1.5, c: 0.3, r: 0.8 };
            [0.1, 0.4].map(|tau| drawn(rng, sde().at(tau).unwrap(), model)).to_vec()
        });
    }

    #[test]
    fn wrong_variant_constant() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).rejects(
            "taken for the distance from the score itself",
            (atoms(), model()),
            |case| {
                against_explicit(case, |atoms, model| {
                    score::explicit_loss(|x| model.at(x), &atoms.atoms, atoms.step).unwrap()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_unshrunk() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).rejects(
            "the pull to x_0 that is not shrunk",
            (atoms(), model()),
            |case| {
                against_explicit(case, |atoms, model| {
                    // A pull that is too strong by (1 − √ᾱ) a/(1 − ᾱ) is a model that is too weak by as much.
                    let share = (1.0 - atoms.step.alpha_bar.sqrt()) / atoms.step.one_minus_alpha_bar;
                    let of_atom = |&atom: &f64| {
                        score::denoising_loss(|x| model.at(x) - share * atom, &array![atom], atoms.step).unwrap()
                    };
                    atoms.atoms.iter().map(of_atom).sum::<f64>() / atoms.atoms.len() as f64
                })
            },
        );
    }

    fn right(atoms: &Atoms, model: Model) -> f64 {
        score::denoising_loss(|x| model.at(x), &atoms.atoms, atoms.step).unwrap()
    }

    fn against_explicit((atoms, model): (Atoms, Model), loss: fn(&Atoms, Model) -> f64) -> f64 {
        let explicit = atoms.mean(|x| 0.5 * (model.at(x) - atoms.pulls(x)[0]).powi(2));
        let constant = 0.5 * (1.0 / atoms.step.one_minus_alpha_bar - atoms.fisher_information());
        distance_of_numbers(loss(&atoms, model), explicit + constant, 1.0)
    }

    fn drawn(rng: &mut ChaCha8Rng, step: Step, model: Model) -> f64 {
        let atoms = array![-1.0, 0.5, 1.0];
        let x0 = Array1::from_shape_fn(30_000, |i| atoms[i % 3]);
        let eps = Array1::random_using(30_000, StandardNormal, rng);
        let xt = forward::q_sample(&x0, step, &eps).unwrap();
        let losses =
            xt.iter().zip(&eps).map(|(&xt, eps)| 0.5 * (model.at(xt) + eps / step.one_minus_alpha_bar.sqrt()).powi(2));
        z_score(&losses.collect::<Vec<_>>(), score::denoising_loss(|x| model.at(x), &atoms, step).unwrap())
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, LOSS_REASON).property((atoms(), model()), |(atoms, model)| {
            let of_atom = |&atom: &f64| {
                let alone = Atoms { atoms: array![atom], ..atoms.clone() };
                let (x, q) = mixture::grid(&alone);
                let law = mixture::of_atoms(&alone.atoms);
                let pull = torch_score::score(|x| law.log_density(x, &mixture::scalar(atoms.step.alpha_bar)), &x);
                mixture::sum(&((mixture::model(model, &x) - pull).square().view([-1]) * q)) * 0.5
            };
            let want = atoms.atoms.iter().map(of_atom).sum::<f64>() / atoms.atoms.len() as f64;
            distance_of_numbers(right(&atoms, model), want, 1.0)
        });
    }

    #[test]
    fn bad_input() {
        bad_loss(|atoms, step| score::denoising_loss(|x| -x, atoms, step));
    }
}

mod implicit_loss {
    use super::*;

    /// One atom and a straight line: ½ p² [w + (c − μ)²] − p.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-11, LOSS_REASON).property(line(), |(atoms, model)| {
            let (mean, variance) = (atoms.step.alpha_bar.sqrt() * atoms.atoms[0], atoms.step.one_minus_alpha_bar);
            let want = 0.5 * model.p.powi(2) * (variance + (model.c - mean).powi(2)) - model.p;
            distance_of_numbers(right(&atoms, model), want, 1.0)
        });
    }

    /// Hyvärinen's identity: J_I = J_E − ½ I, whatever the model.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).property((atoms(), model()), |case| against_explicit(case, right));
    }

    #[test]
    fn wrong_variant_no_slope() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).rejects(
            "without the slope of the model",
            (atoms(), model()),
            |case| {
                against_explicit(case, |atoms, model| {
                    score::implicit_loss(|x| (model.at(x), 0.0), &atoms.atoms, atoms.step).unwrap()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_half() {
        check!(Quadrature).bound(1e-10, LOSS_REASON).rejects(
            "the half before the slope too",
            (atoms(), model()),
            |case| {
                against_explicit(case, |atoms, model| {
                    let halved = |x| (model.at(x), 0.5 * model.with_slope(x).1);
                    score::implicit_loss(halved, &atoms.atoms, atoms.step).unwrap()
                })
            },
        );
    }

    fn right(atoms: &Atoms, model: Model) -> f64 {
        score::implicit_loss(|x| model.with_slope(x), &atoms.atoms, atoms.step).unwrap()
    }

    fn against_explicit((atoms, model): (Atoms, Model), loss: fn(&Atoms, Model) -> f64) -> f64 {
        let explicit = atoms.mean(|x| 0.5 * (model.at(x) - atoms.pulls(x)[0]).powi(2));
        distance_of_numbers(loss(&atoms, model), explicit - 0.5 * atoms.fisher_information(), 1.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, LOSS_REASON).property((atoms(), model()), |(atoms, model)| {
            let (x, q) = mixture::grid(&atoms);
            // The slope of the model, as that of a log-density whose gradient it is.
            let potential = |x: &Tensor| ((-x + model.c).square() * (-0.5 * model.p) - x.cos() * model.r).view([-1]);
            let (score, slope) = torch_score::score_and_divergence(potential, &x);
            let want = mixture::sum(&((score.square().view([-1]) * 0.5 + slope) * q));
            distance_of_numbers(right(&atoms, model), want, 1.0)
        });
    }

    #[test]
    fn bad_input() {
        bad_loss(|atoms, step| score::implicit_loss(|x| (-x, -1.0), atoms, step));
    }
}

mod l_simple_by_score {
    use super::*;

    /// With ε and ε_θ in place of the scores.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(case(), |case| by_eps(case, right));
    }

    /// The loss of the best model of Gaussian data is its floor.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let of_time = |tau: f64| {
                let step = sde().at(tau).unwrap();
                let losses = (0..20_000).map(|_| {
                    let [x0, eps]: [f64; 2] =
                        [0.3 + 0.7 * rng.sample::<f64, _>(StandardNormal), rng.sample(StandardNormal)];
                    let xt = forward::q_sample(&array![x0], step, &array![eps]).unwrap();
                    let best = Normal { mean: 0.3, variance: 0.49, step, xt: xt[0] }.score();
                    let pull = score::conditional_score(&array![x0], &xt, step).unwrap();
                    score::l_simple_by_score(&pull, &best, step).unwrap()
                });
                z_score(&losses.collect::<Vec<_>>(), objective::gaussian_floor(0.49, step).unwrap())
            };
            [0.05, 0.2, 0.5].map(of_time).to_vec()
        });
    }

    #[test]
    fn wrong_variant_unweighted() {
        check!(Identity).bound(1e-13, REASON).rejects("the weight 1 at every t", case(), |case| {
            by_eps(case, |pull, model, step| right(pull, model, step) / step.one_minus_alpha_bar)
        });
    }

    #[test]
    fn wrong_variant_squared() {
        check!(Identity).bound(1e-13, REASON).rejects("the square of 1 - alpha_bar", case(), |case| {
            by_eps(case, |pull, model, step| right(pull, model, step) * step.one_minus_alpha_bar)
        });
    }

    const REASON: &str = "a few roundings, of the largest number squared";

    fn right(pull: &Array1<f64>, model: &Array1<f64>, step: Step) -> f64 {
        score::l_simple_by_score(pull, model, step).unwrap()
    }

    fn by_eps((step, [eps, eps_theta]): Case, loss: fn(&Array1<f64>, &Array1<f64>, Step) -> f64) -> f64 {
        let [pull, model] = [&eps, &eps_theta].map(|eps| score::score_from_eps(eps, step).unwrap());
        let want = objective::l_simple(&eps, &eps_theta).unwrap();
        distance_of_numbers(loss(&pull, &model, step), want, largest(&[&eps, &eps_theta]).powi(2))
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let check = check!(Torch).bound(1.0, twin::REASON);
        check.property(twin::batch::<2>(), |batch| {
            let [pull, model] = batch.arrays.each_ref().map(mixture::tensor);
            let got = twin::numbers(&torch_score::l_simple_by_score(&pull, &model, &batch.twin_steps()).unwrap());
            let mut worst = 0.0;
            for (i, step) in batch.steps().into_iter().enumerate() {
                let [pull, model] = batch.arrays.each_ref().map(|array| array.row(i).to_owned());
                let size = step.one_minus_alpha_bar * largest(&[&pull, &model]).powi(2);
                worst = larger(worst, twin::in_units(got[i], right(&pull, &model, step), batch.budget() * size));
            }
            worst
        });
    }

    #[test]
    fn bad_input() {
        let step = sde().at(0.5).unwrap();
        let error = score::l_simple_by_score(&Array1::zeros(0), &Array1::zeros(0), step).unwrap_err();
        assert!(matches!(error, Error::Empty { .. }));
        assert!(score::l_simple_by_score(&array![1.0], &array![1.0, 2.0], step).is_err());
    }
}

mod rate {
    use super::*;

    /// T β_t of the schedule of T steps on a straight line.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "a few roundings, times T").property(steps_of(), |case| by_steps(case, right));
    }

    /// The ends are what was asked for.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "three roundings, of rates up to 20").property(
            (0.05..4.0, 0.05..20.0),
            |(start, end)| {
                let schedule = ContinuousSchedule::linear(start, end).unwrap();
                let [first, last] = [0.0, 1.0].map(|tau| schedule.rate(tau).unwrap());
                distance_of_numbers(first, start, 20.0).max(distance_of_numbers(last, end, 20.0))
            },
        );
    }

    #[test]
    fn wrong_variant_per_step() {
        check!(Identity).bound(1e-13, "as above").rejects("beta of one step, not times T", steps_of(), |case| {
            by_steps(case, |schedule, tau, timesteps| right(schedule, tau, timesteps) / timesteps as f64)
        });
    }

    #[test]
    fn wrong_variant_turned() {
        check!(Identity).bound(1e-13, "as above").rejects("time turned round", steps_of(), |case| {
            by_steps(case, |schedule, tau, timesteps| right(schedule, 1.0 - tau, timesteps))
        });
    }

    fn steps_of() -> impl Strategy<Value = (usize, f64, f64)> {
        (30..200_usize, 0.05..4.0, 0.05..20.0)
    }

    fn right(schedule: &ContinuousSchedule, tau: f64, _: usize) -> f64 {
        schedule.rate(tau).unwrap()
    }

    fn by_steps((timesteps, start, end): (usize, f64, f64), rate: fn(&ContinuousSchedule, f64, usize) -> f64) -> f64 {
        let schedule = ContinuousSchedule::linear(start, end).unwrap();
        let t = timesteps as f64;
        let discrete = Schedule::linear(timesteps, start / t, end / t).unwrap();
        let off = |step: &Step| {
            let tau = (step.t - 1) as f64 / (t - 1.0);
            distance_of_numbers(rate(&schedule, tau, timesteps), t * step.beta, 1e-300)
        };
        discrete.steps().iter().map(off).fold(0.0, larger)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-15, "six roundings, of numbers up to the larger end").property(
            timed(),
            |(schedule, tau)| {
                let [start, end] = [0.0, 1.0].map(|tau| schedule.rate(tau).unwrap());
                let want = torch_score::rate(start, end, &mixture::scalar(tau)).double_value(&[0]);
                distance_of_numbers(schedule.rate(tau).unwrap(), want, start.max(end))
            },
        );
    }

    #[test]
    fn bad_input() {
        for tau in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(sde().rate(tau), Err(Error::OutOfRange { name: "tau", .. })));
        }
        for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(ContinuousSchedule::linear(beta, 1.0), Err(Error::OutOfRange { name: "beta_start", .. })));
            assert!(matches!(ContinuousSchedule::linear(1.0, beta), Err(Error::OutOfRange { name: "beta_end", .. })));
        }
    }
}

mod alpha_bar_at {
    use super::*;

    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-12, "a thousand terms of the trapezium rule, which is exact for a straight line")
            .property(timed(), |case| by_integral(case, right));
    }

    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-8, "differences of fourth order over 0.001").property(
            timed(),
            |(schedule, tau)| {
                let slope = derivative(tau, 1e-3, |tau| right(&schedule, tau).ln());
                distance_of_numbers(slope, -schedule.rate(tau).unwrap(), 1.0)
            },
        );
    }

    /// What is left after T steps of β(t/T)/T: as T grows, the exponential of minus the sum.
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "ln(1 − β) is −β − β²/2, and the sum is off by half a step at both ends").cases(
            [100, 1000, 10_000],
            |timesteps: usize| {
                let t = timesteps as f64;
                let product: f64 = (1..=timesteps).map(|k| 1.0 - sde().rate(k as f64 / t).unwrap() / t).product();
                // Σ β²/2 is 134/2T, half a step more at the end and less at the start 19.9/2T.
                (product.ln() - sde().alpha_bar_at(1.0).unwrap().ln()).abs() * t / 90.0
            },
        );
    }

    #[test]
    fn wrong_variant_last_rate() {
        check!(Quadrature).bound(1e-12, "as above").rejects("the last rate for all of the time", timed(), |case| {
            by_integral(case, |schedule, tau| (-tau * schedule.rate(tau).unwrap()).exp())
        });
    }

    #[test]
    fn wrong_variant_root() {
        check!(Quadrature).bound(1e-12, "as above").rejects(
            "the share of x for that of its variance",
            timed(),
            |case| by_integral(case, |schedule, tau| right(schedule, tau).sqrt()),
        );
    }

    fn right(schedule: &ContinuousSchedule, tau: f64) -> f64 {
        schedule.alpha_bar_at(tau).unwrap()
    }

    fn by_integral((schedule, tau): (ContinuousSchedule, f64), alpha_bar: fn(&ContinuousSchedule, f64) -> f64) -> f64 {
        let want = (-integral(0.0, tau, 1000, |r| schedule.rate(r).unwrap())).exp();
        let step = schedule.at(tau).unwrap();
        distance_of_numbers(alpha_bar(&schedule, tau), want, 1e-300)
            .max(distance_of_numbers(step.alpha_bar, want, 1e-300))
            .max(distance_of_numbers(step.one_minus_alpha_bar, 1.0 - want, 1.0))
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, "exponents of up to 20").property(timed(), |(schedule, tau)| {
            let [start, end] = [0.0, 1.0].map(|tau| schedule.rate(tau).unwrap());
            let want = torch_score::alpha_bar_at(start, end, &mixture::scalar(tau)).double_value(&[0]);
            distance_of_numbers(right(&schedule, tau), want, 1e-300)
        });
    }

    #[test]
    fn bad_input() {
        for tau in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(sde().alpha_bar_at(tau), Err(Error::OutOfRange { name: "tau", .. })));
            assert!(matches!(sde().at(tau), Err(Error::OutOfRange { name: "tau", .. })));
        }
        let start = sde().at(0.0).unwrap();
        assert_eq!((start.alpha_bar, start.one_minus_alpha_bar, start.beta, start.t), (1.0, 0.0, 0.0, 1));
        let small = sde().at(1e-12).unwrap();
        assert!((small.one_minus_alpha_bar / 1e-13 - 1.0).abs() < 1e-9, "no digits are lost near the data");
    }
}

mod discretised {
    use super::*;

    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, REASON).property(steps_of(), |case| at_each_time(case, right));
    }

    /// T β_t is the rate in the middle of the step, up to a share of β_t/2.
    #[test]
    fn limit() {
        check!(Limit).bound(0.5, "1 − e^{−b} is b − b²/2 + …").cases([100, 1000, 10_000], |timesteps: usize| {
            let t = timesteps as f64;
            let off = |step: &Step| {
                let b = sde().rate((step.t as f64 - 0.5) / t).unwrap() / t;
                (step.beta / b - 1.0).abs() / b
            };
            right(&sde(), timesteps).steps().iter().map(off).fold(0.0, larger)
        });
    }

    #[test]
    fn wrong_variant_first_order() {
        check!(Identity).bound(1e-12, REASON).rejects("the rate times the length of the step", steps_of(), |case| {
            at_each_time(case, |schedule, timesteps| {
                let t = timesteps as f64;
                let betas: Vec<f64> = (1..=timesteps).map(|k| schedule.rate(k as f64 / t).unwrap() / t).collect();
                Schedule::from_betas(&betas).unwrap()
            })
        });
    }

    #[test]
    fn wrong_variant_no_division() {
        check!(Identity).bound(1e-12, REASON).rejects("1 - alpha_bar for beta", steps_of(), |case| {
            at_each_time(case, |schedule, timesteps| {
                let beta = |k: usize| schedule.at(k as f64 / timesteps as f64).unwrap().one_minus_alpha_bar;
                Schedule::from_betas(&(1..=timesteps).map(beta).collect::<Vec<_>>()).unwrap()
            })
        });
    }

    const REASON: &str = "a product of up to a hundred factors, of exponents up to 20";

    fn steps_of() -> impl Strategy<Value = (ContinuousSchedule, usize)> {
        (timed(), 25..100_usize).prop_map(|((schedule, _), timesteps)| (schedule, timesteps))
    }

    fn right(schedule: &ContinuousSchedule, timesteps: usize) -> Schedule {
        schedule.discretised(timesteps).unwrap()
    }

    fn at_each_time(
        (schedule, timesteps): (ContinuousSchedule, usize),
        discretised: fn(&ContinuousSchedule, usize) -> Schedule,
    ) -> f64 {
        let discrete = discretised(&schedule, timesteps);
        assert_eq!(discrete.timesteps(), timesteps);
        let betas: Vec<f64> = discrete.steps().iter().map(|step| step.beta).collect();
        let products = literate_diffusion::schedule::alpha_bar(&betas);
        let off = |step: &Step| {
            let want = schedule.alpha_bar_at(step.t as f64 / timesteps as f64).unwrap();
            let off = |got| distance_of_numbers(got, want, 1e-300);
            off(step.alpha_bar).max(off(products[step.t - 1]))
        };
        discrete.steps().iter().map(off).fold(0.0, larger)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-11, "differences of ln ᾱ of up to 20, of steps with β_t down to 1e-3").property(
            steps_of(),
            |case| {
                let (schedule, timesteps) = case;
                let [start, end] = [0.0, 1.0].map(|tau| schedule.rate(tau).unwrap());
                let tau = Tensor::linspace(0.0, 1.0, timesteps as i64 + 1, (Kind::Double, twin::device()));
                let betas = -torch_score::alpha_bar_at(start, end, &tau)
                    .log()
                    .diff(1, -1, None::<Tensor>, None::<Tensor>)
                    .expm1();
                let got = right(&schedule, timesteps).steps().iter().map(|step| step.beta).collect::<Array1<f64>>();
                distance(&got, &mixture::numbers(&betas), 1e-3)
            },
        );
    }

    #[test]
    fn bad_input() {
        assert_eq!(sde().discretised(0).unwrap_err(), Error::NoTimesteps);
        assert!(sde().discretised(1).is_ok());
    }

    /// Where β_t rounds to 1, what is left of the data is still known.
    #[test]
    fn long_steps() {
        let violent = ContinuousSchedule::linear(1e3, 1e3).unwrap();
        for step in right(&violent, 20).steps() {
            assert_eq!(step.beta, 1.0_f64.next_down());
            // The exponent is 50, a difference of numbers up to 1000 with a last digit of 1e-13.
            assert!(distance_of_numbers(step.alpha, (-50.0_f64).exp(), 1e-300) < 1e-12, "{step:?}");
        }
    }

    /// Rates whose sum is beyond the largest number.
    #[test]
    fn huge_rates() {
        assert_eq!(ContinuousSchedule::linear(1e308, 1e308).unwrap().alpha_bar_at(0.0), Ok(1.0));
    }
}

mod forward_drift {
    use super::*;

    /// The mean of x for data at one place is √ᾱ of it.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-8, REASON).property(timed(), |case| of_the_mean(case, score::forward_drift));
    }

    /// A step of the chain of chapter 4 without its noise, divided by its length.
    #[test]
    fn limit() {
        check!(Limit).bound(0.126, "√(1 − b) is 1 − b/2 − b²/8 − …, in units of b²").cases([1e-2, 1e-3, 1e-4], |b| {
            let step = Schedule::from_betas(&[b]).unwrap().last();
            let moved = forward::q_step(&array![3.0], step, &array![0.0]).unwrap() - array![3.0];
            (moved[0] - score::forward_drift(&array![3.0], b)[0]).abs() / (3.0 * b * b)
        });
    }

    #[test]
    fn wrong_variant_half() {
        check!(FiniteDifference)
            .bound(1e-8, REASON)
            .rejects("the half forgotten", timed(), |case| of_the_mean(case, |x, beta| x * -beta));
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference)
            .bound(1e-8, REASON)
            .rejects("away from 0", timed(), |case| of_the_mean(case, |x, beta| x * (0.5 * beta)));
    }

    const REASON: &str = "differences of fourth order over 0.001, with rates up to 20";

    fn of_the_mean((schedule, tau): (ContinuousSchedule, f64), drift: fn(&ArrayRef1<f64>, f64) -> Array1<f64>) -> f64 {
        let mean = |tau: f64| 3.0 * schedule.alpha_bar_at(tau).unwrap().sqrt();
        let want = derivative(tau, 1e-3, mean);
        distance_of_numbers(drift(&array![mean(tau)], schedule.rate(tau).unwrap())[0], want, 1.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-15, "two roundings").property((0.0..20.0, arrays()), |(beta, [x])| {
            let want = torch_score::forward_drift(&twin::row(&x), beta);
            distance(&score::forward_drift(&x, beta), &mixture::numbers(&want), 1e-300)
        });
    }
}

mod euler_maruyama {
    use super::*;

    /// One step of it and one of the chain of chapter 4, with the same noise: they part by b²/8 of x.
    #[test]
    fn limit() {
        check!(Limit).bound(0.13, REASON).cases(LENGTHS, |h| against_the_chain(h, right));
    }

    /// The variance after twenty steps, forward and with negative h: a geometric sum.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| [0.05, -0.02].map(|h| variance(rng, h)).to_vec());
    }

    #[test]
    fn wrong_variant_h() {
        check!(Limit).bound(0.13, REASON).rejects("the noise times h and not its root", lengths(), |h| {
            against_the_chain(h, |x, drift, beta, h, z| x + &(drift * h) + &(z * (beta.sqrt() * h)))
        });
    }

    #[test]
    fn wrong_variant_beta() {
        check!(Limit).bound(0.13, REASON).rejects("the rate for its root", lengths(), |h| {
            against_the_chain(h, |x, drift, beta, h, z| x + &(drift * h) + &(z * (beta * h.sqrt())))
        });
    }

    const REASON: &str = "√(1 − b) is 1 − b/2 − b²/8 − …, in units of b² x; the noise is the same";
    const LENGTHS: [f64; 3] = [1e-2, 1e-3, 1e-4];

    fn lengths() -> impl Strategy<Value = f64> {
        prop::sample::select(LENGTHS.to_vec())
    }

    type Step = fn(&Array1<f64>, &Array1<f64>, f64, f64, &Array1<f64>) -> Array1<f64>;

    fn right(x: &Array1<f64>, drift: &Array1<f64>, beta: f64, h: f64, z: &Array1<f64>) -> Array1<f64> {
        score::euler_maruyama(x, drift, beta, h, z).unwrap()
    }

    fn against_the_chain(h: f64, step: Step) -> f64 {
        let (x, z, beta) = (array![3.0], array![-1.3], 4.0);
        let chain = forward::q_step(&x, Schedule::from_betas(&[beta * h]).unwrap().last(), &z).unwrap();
        let got = step(&x, &score::forward_drift(&x, beta), beta, h, &z);
        (got[0] - chain[0]).abs() / (3.0 * (beta * h).powi(2))
    }

    fn variance(rng: &mut ChaCha8Rng, h: f64) -> f64 {
        let beta = 2.0;
        let mut x = Array1::from_elem(20_000, 0.0);
        for _ in 0..20 {
            let z = Array1::random_using(20_000, StandardNormal, rng);
            x = score::euler_maruyama(&x, &score::forward_drift(&x, beta), beta, h, &z).unwrap();
        }
        let keep = (1.0 - 0.5 * beta * h).powi(2);
        let want = beta * h.abs() * (1.0 - keep.powi(20)) / (1.0 - keep);
        z_score(&x.iter().map(|x| x * x).collect::<Vec<_>>(), want)
    }

    #[test]
    fn bad_input() {
        let (one, two) = (array![1.0], array![1.0, 2.0]);
        let error = score::euler_maruyama(&one, &two, 1.0, 0.1, &one).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "drift", expected: vec![1], got: vec![2] });
        let error = score::euler_maruyama(&one, &one, 1.0, 0.1, &two).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "z", expected: vec![1], got: vec![2] });
        for beta in [-1.0, f64::NAN] {
            assert!(matches!(
                score::euler_maruyama(&one, &one, beta, 0.1, &one),
                Err(Error::OutOfRange { name: "beta", .. })
            ));
        }
        assert!(score::euler_maruyama(&one, &one, 0.0, 0.1, &one).is_ok());
    }
}

mod reverse_drift {
    use super::*;

    /// Followed back with its noise, the mean and variance of Gaussian data are those of the forward process: with the
    /// drift a x + b, dV/dτ = 2aV − β.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-7, REASON).property(moving(), |case| of_moments(case, right));
    }

    /// The exact reverse of a short step, for Gaussian data: its mean moves by −h times the drift.
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "the next term, in units of (β h)² times 1/V² + 1").cases([1e-2, 1e-3, 1e-4], |b| {
            let step = Schedule::from_betas(&[0.3, b]).unwrap().last();
            let case = Normal { mean: 0.7, variance: 0.4, step, xt: -0.4 };
            let decoder = exact_reverse(case.mean, case.variance, step).unwrap();
            let moved = decoder.slope * case.xt + decoder.offset - case.xt;
            let drift = right(&array![case.xt], b, &case.score())[0];
            let v = case.moments().1;
            (moved + drift).abs() / (b * b * (1.0 / (v * v) + 1.0))
        });
    }

    #[test]
    fn wrong_variant_half() {
        check!(FiniteDifference).bound(1e-7, REASON).rejects("half of the score, as in the flow", moving(), |case| {
            of_moments(case, |x, beta, score| x * (-0.5 * beta) - score * (0.5 * beta))
        });
    }

    #[test]
    fn wrong_variant_no_score() {
        check!(FiniteDifference).bound(1e-7, REASON).rejects("the drift of the way there", moving(), |case| {
            of_moments(case, |x, beta, _| score::forward_drift(x, beta))
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference).bound(1e-7, REASON).rejects("the score added", moving(), |case| {
            of_moments(case, |x, beta, score| x * (-0.5 * beta) + score * beta)
        });
    }

    const REASON: &str = "differences of fourth order over 0.001, with rates up to 20 and variances up to 4";

    type Drift = fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>;

    fn right(x: &Array1<f64>, beta: f64, score: &Array1<f64>) -> Array1<f64> {
        score::reverse_drift(x, beta, score).unwrap()
    }

    fn of_moments(case: Moving, drift: Drift) -> f64 {
        let here = case.at(case.tau);
        let (mean, variance) = here.moments();
        let at = |x: f64| drift(&array![x], case.rate(), &Normal { xt: x, ..here.clone() }.score())[0];
        let slope = at(mean + 1.0) - at(mean);
        let want_mean = derivative(case.tau, 1e-3, |tau| case.at(tau).moments().0);
        let want_variance = derivative(case.tau, 1e-3, |tau| case.at(tau).moments().1);
        let of_mean = distance_of_numbers(at(mean), want_mean, 1.0);
        of_mean.max(distance_of_numbers(2.0 * slope * variance - case.rate(), want_variance, 1.0 + case.rate()))
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        drift_agrees(check!(Torch), right, torch_score::reverse_drift);
    }

    #[test]
    fn bad_input() {
        let error = score::reverse_drift(&array![1.0], 1.0, &array![1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![1], got: vec![2] });
    }
}

mod ancestral_mean_from_score {
    use super::*;

    /// By way of the noise: the mean of algorithm 2.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(case(), |case| by_eps(case, right));
    }

    /// A step of the reverse equation differs from it by b² (3x/8 + s/2), and by less than 2b³ more.
    #[test]
    fn limit() {
        check!(Limit).bound(1.0, "the next term, in units of b³ (|x| + |s|), is 5/16 and 3/8").cases(
            [0.1, 1e-2, 1e-3],
            |b| {
                let step = Schedule::from_betas(&[0.3, b]).unwrap().last();
                let (x, s) = (array![-1.7], array![2.4]);
                let euler = score::euler_maruyama(&x, &score::reverse_drift(&x, b, &s).unwrap(), b, -1.0, &array![0.0]);
                let apart = right(&x, step, &s) - euler.unwrap();
                (apart[0] / (b * b) - (0.375 * x[0] + 0.5 * s[0])).abs() / (b * (1.7 + 2.4))
            },
        );
    }

    #[test]
    fn wrong_variant_euler() {
        check!(Identity).bound(1e-14, REASON).rejects(
            "a step of the reverse equation, to first order",
            case(),
            |case| by_eps(case, |xt, step, score| xt - &score::reverse_drift(xt, step.beta, score).unwrap()),
        );
    }

    #[test]
    fn wrong_variant_root() {
        check!(Identity).bound(1e-14, REASON).rejects("the score taken for the noise", case(), |case| {
            by_eps(case, |xt, step, score| objective::mean_from_eps(xt, step, score).unwrap())
        });
    }

    const REASON: &str = "eight roundings, of the largest number divided by √α_t";

    type Mean = fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>;

    fn right(xt: &Array1<f64>, step: Step, score: &Array1<f64>) -> Array1<f64> {
        score::ancestral_mean_from_score(xt, step, score).unwrap()
    }

    fn by_eps((step, [xt, score]): Case, mean: Mean) -> f64 {
        let want = objective::mean_from_eps(&xt, step, &score::eps_from_score(&score, step)).unwrap();
        distance(&mean(&xt, step, &score), &want, largest(&[&xt, &score]) / step.alpha.sqrt())
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        // The score goes through the noise (a coefficient and a product) and two sums of two terms (three each).
        twin::agrees_by_way(
            check!(Torch),
            8,
            |[xt, score], step| score::ancestral_mean_from_score(xt, step, score),
            |[xt, score], steps| torch_score::ancestral_mean_from_score(xt, steps, score),
        );
    }

    #[test]
    fn bad_input() {
        let error = score::ancestral_mean_from_score(&array![1.0], zero_snr(), &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
        let error = score::ancestral_mean_from_score(&array![1.0], zero_snr(), &array![1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![1], got: vec![2] });
    }
}

mod log_density_rate {
    use super::*;

    /// The exact log-density of the S-curve at a fixed point, a little before and a little after.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-6, REASON).property(point(), |point| over_time(point, right));
    }

    /// Probability is neither made nor lost: ∫ q ∂ ln q/∂τ = 0, for atoms.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-10, "in units of the mean square of the score").property(atoms(), |case| {
            let lost = case.mean(|x| {
                let [score, slope] = case.score_and_slope(x);
                score::log_density_rate(&array![[x]], 1.0, &array![[score]], &array![slope]).unwrap()[0]
            });
            lost.abs() / (1.0 + case.fisher_information())
        });
    }

    #[test]
    fn wrong_variant_square() {
        check!(FiniteDifference).bound(1e-6, REASON).rejects("the square of the score forgotten", point(), |point| {
            over_time(point, |point| {
                right(point) - 0.5 * point.rate() * point.score().iter().map(|s| s * s).sum::<f64>()
            })
        });
    }

    #[test]
    fn wrong_variant_shrinking() {
        check!(FiniteDifference).bound(1e-6, REASON).rejects(
            "the shrinking forgotten, noise alone",
            point(),
            |point| {
                over_time(point, |point| {
                    let square = point.score().iter().map(|s| s * s).sum::<f64>();
                    0.5 * point.rate() * (point.divergence()[0] + square)
                })
            },
        );
    }

    const REASON: &str = "differences of fourth order over 0.001, of a density with rates up to 20";

    fn right(point: &Point) -> f64 {
        score::log_density_rate(&point.x(), point.rate(), &point.score(), &point.divergence()).unwrap()[0]
    }

    fn over_time(point: Point, rate: fn(&Point) -> f64) -> f64 {
        let log_q = |tau: f64| Point { tau, ..point.clone() }.law().log_q(&point.x()).unwrap()[0];
        distance_of_numbers(rate(&point), derivative(point.tau, 1e-3, log_q), 10.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, mixture::REASON).property(point(), |point| {
            let law = mixture::s_curve();
            let want = law.log_density_rate(&mixture::tensor(&point.x()), 0.1, 20.0, point.tau).double_value(&[0]);
            distance_of_numbers(right(&point), want, 10.0)
        });
    }

    #[test]
    fn bad_input() {
        let x = Array2::zeros((3, 2));
        let error = score::log_density_rate(&x, 1.0, &Array2::zeros((2, 2)), &Array1::zeros(3)).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![3, 2], got: vec![2, 2] });
        let error = score::log_density_rate(&x, 1.0, &x, &Array1::zeros(2)).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "divergence", expected: vec![3], got: vec![2] });
    }
}

mod flow_drift {
    use super::*;

    /// What flows past x: d/dτ of the probability below x is −q v, for atoms.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-8, REASON).property(moving_atoms(), |case| past_x(case, right));
    }

    /// Half-way between the way there and the way back.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-15, "four roundings").property((0.0..20.0, arrays()), |(beta, [x, score])| {
            let there = score::forward_drift(&x, beta);
            let back = score::reverse_drift(&x, beta, &score).unwrap();
            distance(&right(&x, beta, &score), &((there + back) * 0.5), beta * largest(&[&x, &score]))
        });
    }

    #[test]
    fn wrong_variant_whole_score() {
        check!(FiniteDifference).bound(1e-8, REASON).rejects(
            "the drift of the reverse equation",
            moving_atoms(),
            |case| past_x(case, |x, beta, score| score::reverse_drift(x, beta, score).unwrap()),
        );
    }

    #[test]
    fn wrong_variant_no_score() {
        check!(FiniteDifference).bound(1e-8, REASON).rejects("the drift of the way there", moving_atoms(), |case| {
            past_x(case, |x, beta, _| score::forward_drift(x, beta))
        });
    }

    #[test]
    fn wrong_variant_eps() {
        check!(FiniteDifference).bound(1e-8, REASON).rejects("minus the noise for the score", moving_atoms(), |case| {
            let root = sde().at(case.tau).unwrap().one_minus_alpha_bar.sqrt();
            past_x(case, |x, beta, score| right(x, beta, &(score * root)))
        });
    }

    const REASON: &str = "differences of fourth order over 0.001, with rates up to 20";

    #[derive(Debug, Clone)]
    struct MovingAtoms {
        atoms: Array1<f64>,
        tau: f64,
        z: f64,
    }

    fn moving_atoms() -> impl Strategy<Value = MovingAtoms> {
        (prop::collection::vec(-2.0..2.0, 1..=4), 0.2..0.95, -3.0..3.0).prop_map(|(atoms, tau, z)| MovingAtoms {
            atoms: Array1::from(atoms),
            tau,
            z,
        })
    }

    fn right(x: &Array1<f64>, beta: f64, score: &Array1<f64>) -> Array1<f64> {
        score::flow_drift(x, beta, score).unwrap()
    }

    fn past_x(case: MovingAtoms, drift: impl Fn(&Array1<f64>, f64, &Array1<f64>) -> Array1<f64>) -> f64 {
        let step = sde().at(case.tau).unwrap();
        let x = step.alpha_bar.sqrt() * case.atoms[0] + case.z * step.one_minus_alpha_bar.sqrt();
        let below = |tau: f64| {
            let step = sde().at(tau).unwrap();
            let of_atom = |atom: &f64| {
                let z = (x - step.alpha_bar.sqrt() * atom) / step.one_minus_alpha_bar.sqrt();
                0.5 * libm::erfc(-z / SQRT_2)
            };
            case.atoms.iter().map(of_atom).sum::<f64>() / case.atoms.len() as f64
        };
        let law = Atoms { atoms: case.atoms.clone(), step, xt: x };
        let v = drift(&array![x], sde().rate(case.tau).unwrap(), &array![law.pulls(x)[0]])[0];
        distance_of_numbers(-law.q(x) * v, derivative(case.tau, 1e-3, below), 1.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        drift_agrees(check!(Torch), right, torch_score::flow_drift);
    }

    #[test]
    fn bad_input() {
        let error = score::flow_drift(&array![1.0], 1.0, &array![1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![1], got: vec![2] });
    }
}

mod ddim_as_euler {
    use super::*;

    /// The step of chapter 8, without noise.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(case(), |case| against_ddim(case, right));
    }

    /// With the best ε for Gaussian data, many short steps lead where the flow leads: twice as many, half the error.
    #[test]
    fn limit() {
        check!(Limit).bound(0.1, "the next term, a share of one step of 1/200 at a rate of 4").cases(
            [200, 400],
            |timesteps: usize| {
                let schedule = ContinuousSchedule::linear(0.5, 4.0).unwrap();
                let [end, start] = [1.0, 0.0].map(|tau| schedule.at(tau).unwrap());
                let error = |timesteps: usize| {
                    let mut x = array![1.3, -0.4];
                    for &step in schedule.discretised(timesteps).unwrap().steps().iter().rev() {
                        x = right(&x, step, &objective::gaussian_eps(0.5, 0.3, &x, step).unwrap());
                    }
                    (x - score::gaussian_flow(0.5, 0.3, &array![1.3, -0.4], end, start).unwrap())[0]
                };
                distance_of_numbers(error(timesteps) / error(2 * timesteps), 2.0, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_in_x() {
        check!(Identity).bound(1e-13, REASON).rejects("Euler in x and in beta", case(), |case| {
            against_ddim(case, |xt, step, eps| {
                let score = score::score_from_eps(eps, step).unwrap();
                xt - &score::flow_drift(xt, step.beta, &score).unwrap()
            })
        });
    }

    #[test]
    fn wrong_variant_variance() {
        check!(Identity).bound(1e-13, REASON).rejects("noise-to-signal ratios of variances", case(), |case| {
            against_ddim(case, |xt, step, eps| {
                let now = step.one_minus_alpha_bar / step.alpha_bar;
                let before = step.one_minus_alpha_bar_prev / step.alpha_bar_prev;
                (xt / step.alpha_bar.sqrt() + eps * (before - now)) * step.alpha_bar_prev.sqrt()
            })
        });
    }

    const REASON: &str = "a few roundings, of the largest number divided by √α_t";

    type Euler = fn(&Array1<f64>, Step, &Array1<f64>) -> Array1<f64>;

    fn right(xt: &Array1<f64>, step: Step, eps: &Array1<f64>) -> Array1<f64> {
        score::ddim_as_euler(xt, step, eps).unwrap()
    }

    fn against_ddim((step, [xt, eps]): Case, euler: Euler) -> f64 {
        let x0 = objective::x0_from_eps(&xt, step, &eps).unwrap();
        let want = sampler::ddim_step(&x0, step, &eps, 0.0, &eps).unwrap();
        distance(&euler(&xt, step, &eps), &want, largest(&[&xt, &eps]) / step.alpha.sqrt())
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        // In units of the larger of both, since the twin goes by way of x_0, and so do its roundings.
        check!(Torch).bound(1.0, twin::REASON).property(twin::batch::<2>(), |batch| {
            let [xt, eps] = batch.arrays.each_ref().map(mixture::tensor);
            let got = torch_score::ddim_as_euler(&xt, &batch.twin_steps(), &eps).unwrap();
            let got = Array2::from_shape_vec(batch.arrays[0].raw_dim(), twin::numbers(&got)).unwrap();
            let mut worst = 0.0;
            for (i, step) in batch.steps().into_iter().enumerate() {
                let [xt, eps] = batch.arrays.each_ref().map(|array| array.row(i).to_owned());
                let size = largest(&[&xt, &eps]) / step.alpha.sqrt();
                let off = distance(&got.row(i).to_owned(), &right(&xt, step, &eps), size);
                worst = larger(worst, off / batch.budget());
            }
            worst
        });
    }

    #[test]
    fn bad_input() {
        let error = score::ddim_as_euler(&array![1.0], zero_snr(), &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
        let error = score::ddim_as_euler(&array![1.0], zero_snr(), &array![1.0, 2.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "eps", expected: vec![1], got: vec![2] });
    }
}

mod gaussian_flow {
    use super::*;

    /// Its velocity is that of the flow.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-7, REASON).property(moving(), |case| velocity(case, right));
    }

    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-12, "variances down to 0.2 of a larger one").property(moving(), |case| {
            let [here, data] = [case.tau, 0.0].map(|tau| case.schedule.at(tau).unwrap());
            let back = right(&case, case.at(case.tau).xt, here, data);
            distance_of_numbers(right(&case, back, data, here), case.at(case.tau).xt, 1.0)
        });
    }

    #[test]
    fn wrong_variant_variance() {
        check!(FiniteDifference).bound(1e-7, REASON).rejects(
            "stretched by the variances, without the root",
            moving(),
            |case| {
                velocity(case, |case, x, from, to| {
                    let moments = |step| Normal { mean: case.mean, variance: case.variance, step, xt: x }.moments();
                    moments(to).0 + moments(to).1 / moments(from).1 * (x - moments(from).0)
                })
            },
        );
    }

    #[test]
    fn wrong_variant_mean() {
        check!(FiniteDifference).bound(1e-7, REASON).rejects("the mean left where it is", moving(), |case| {
            velocity(case, |case, x, from, to| {
                let moments = |step| Normal { mean: case.mean, variance: case.variance, step, xt: x }.moments();
                moments(from).0 + (moments(to).1 / moments(from).1).sqrt() * (x - moments(from).0)
            })
        });
    }

    const REASON: &str = "differences of fourth order over 0.001, with rates up to 20";

    fn right(case: &Moving, x: f64, from: Step, to: Step) -> f64 {
        score::gaussian_flow(case.mean, case.variance, &array![x], from, to).unwrap()[0]
    }

    fn velocity(case: Moving, flow: fn(&Moving, f64, Step, Step) -> f64) -> f64 {
        let here = case.at(case.tau);
        let position = |tau: f64| flow(&case, here.xt, here.step, case.schedule.at(tau).unwrap());
        let want = score::flow_drift(&array![here.xt], case.rate(), &here.score()).unwrap()[0];
        distance_of_numbers(derivative(case.tau, 1e-3, position), want, 1.0)
    }

    #[test]
    fn bad_input() {
        let [start, end] = [0.0, 1.0].map(|tau| sde().at(tau).unwrap());
        let x = array![1.0];
        assert!(matches!(
            score::gaussian_flow(0.0, -1.0, &x, start, end),
            Err(Error::OutOfRange { name: "variance", .. })
        ));
        let error = score::gaussian_flow(0.0, 0.0, &x, start, end).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "the variance of x", .. }));
        assert_eq!(score::gaussian_flow(2.0, 0.0, &x, end, start).unwrap(), array![2.0]);
    }
}

mod score_divergence {
    use super::*;

    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-5, REASON).property(point(), |point| by_differences(point, right));
    }

    /// Integration by parts: the mean of ∇·s is minus the mean of ‖s‖².
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let of_time = |tau: f64| {
                let step = sde().at(tau).unwrap();
                let law = SCurve::sound().marginal(step);
                let eps = Array2::random_using((3000, 2), StandardNormal, rng);
                let xt = forward::q_sample(&SCurve::sound().points(3000, rng), step, &eps).unwrap();
                let square = law.score(&xt).unwrap().pow2().sum_axis(Axis(1));
                z_score(&(law.score_divergence(&xt).unwrap() + square).to_vec(), 0.0)
            };
            [0.0, 0.1, 0.3].map(of_time).to_vec()
        });
    }

    /// Where nothing is left of the data, x is N(0, I).
    #[test]
    fn limit() {
        check!(Limit).bound(1e-12, "the sum over the places is a mean of equal numbers").property(
            (-4.0..4.0, -4.0..4.0),
            |(x, z)| {
                let divergence = SCurve::sound().marginal(zero_snr()).score_divergence(&array![[x, z]]).unwrap();
                distance_of_numbers(divergence[0], -2.0, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_place_known() {
        check!(FiniteDifference).bound(1e-5, REASON).rejects("as if the place were known", point(), |point| {
            by_differences(point, |point| {
                let data = SCurve::sound().scale().map(|scale| (0.1 / scale).powi(2));
                let step = sde().at(point.tau).unwrap();
                -data.iter().map(|v| 1.0 / (step.alpha_bar * v + step.one_minus_alpha_bar)).sum::<f64>()
            })
        });
    }

    #[test]
    fn wrong_variant_square() {
        check!(FiniteDifference).bound(1e-5, REASON).rejects(
            "minus the square of the score, point by point",
            point(),
            |point| by_differences(point, |point| -point.score().iter().map(|s| s * s).sum::<f64>()),
        );
    }

    const REASON: &str = "differences of fourth order over 0.001, where the score bends within 0.02, in units of 100";

    fn right(point: &Point) -> f64 {
        point.divergence()[0]
    }

    fn by_differences(point: Point, divergence: fn(&Point) -> f64) -> f64 {
        distance_of_numbers(divergence(&point), point.divergence_of(Point::score), 100.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, mixture::REASON).property(point(), |point| {
            let law = mixture::s_curve();
            let log_density = |x: &Tensor| law.log_density(x, &mixture::scalar(sde().at(point.tau).unwrap().alpha_bar));
            let (score, divergence) = torch_score::score_and_divergence(log_density, &mixture::tensor(&point.x()));
            let off = distance(&point.score().flatten().to_owned(), &mixture::numbers(&score), 10.0);
            off.max(distance_of_numbers(right(&point), divergence.double_value(&[0]), 100.0))
        });
    }

    #[test]
    fn bad_input() {
        let error = SCurve::sound().data().score_divergence(&Array2::zeros((2, 3))).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "xt", expected: vec![2, 2], got: vec![2, 3] });
    }
}

mod flow_divergence {
    use super::*;

    /// The trace of the Jacobian of the velocity, by differences.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-5, REASON).property(point(), |point| by_differences(point, right));
    }

    /// For Gaussian data the volume grows as the root of the variance does: ∇·v = ½ d V′/V, V′ = β (1 − V).
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "a few roundings").property((moving(), 1..=5_usize), |(case, d)| {
            let v = case.at(case.tau).moments().1;
            let got = score::flow_divergence(&array![-(d as f64) / v], d, case.rate())[0];
            let want = 0.5 * d as f64 * case.rate() * (1.0 - v) / v;
            distance_of_numbers(got, want, d as f64 * case.rate() / v)
        });
    }

    #[test]
    fn wrong_variant_dimensions() {
        check!(FiniteDifference).bound(1e-5, REASON).rejects("the d of the shrinking forgotten", point(), |point| {
            by_differences(point, |point| score::flow_divergence(&point.divergence(), 0, point.rate())[0])
        });
    }

    #[test]
    fn wrong_variant_half() {
        check!(FiniteDifference).bound(1e-5, REASON).rejects("that of the reverse equation", point(), |point| {
            by_differences(point, |point| -0.5 * point.rate() * (2.0 + 2.0 * point.divergence()[0]))
        });
    }

    const REASON: &str = "differences of fourth order over 0.001, where the score bends within 0.02, in units of 100";

    fn right(point: &Point) -> f64 {
        score::flow_divergence(&point.divergence(), 2, point.rate())[0]
    }

    fn by_differences(point: Point, divergence: fn(&Point) -> f64) -> f64 {
        let velocity = |point: &Point| score::flow_drift(&point.x(), point.rate(), &point.score()).unwrap();
        distance_of_numbers(divergence(&point), point.divergence_of(velocity), 100.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, mixture::REASON).property(point(), |point| {
            let law = mixture::s_curve();
            // The velocity is the gradient of −½ β (½ ‖x‖² + ln q).
            let potential = |x: &Tensor| {
                let square = x.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
                let log_q = law.log_density(x, &mixture::scalar(sde().at(point.tau).unwrap().alpha_bar));
                (square * 0.5 + log_q) * (-0.5 * point.rate())
            };
            let (_, divergence) = torch_score::score_and_divergence(potential, &mixture::tensor(&point.x()));
            distance_of_numbers(right(&point), divergence.double_value(&[0]), 100.0)
        });
    }
}

/// A square matrix of up to four rows.
fn jacobian() -> impl Strategy<Value = Array2<f64>> {
    (1..=4_usize).prop_flat_map(|d| {
        prop::collection::vec(-3.0..3.0, d * d)
            .prop_map(move |numbers| Array2::from_shape_vec((d, d), numbers).expect("d × d numbers"))
    })
}

/// All vectors of signs, one a row.
fn all_signs(d: usize) -> Array2<f64> {
    Array2::from_shape_fn((1 << d, d), |(n, i)| if n >> i & 1 == 0 { 1.0 } else { -1.0 })
}

/// One matrix for the checks by Monte Carlo.
fn some_jacobian() -> Array2<f64> {
    array![[1.0, 2.5, -0.3], [-1.0, 0.4, 0.9], [2.0, 0.1, -2.2]]
}

mod hutchinson {
    use super::*;

    /// The mean over all vectors of signs is the trace.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(jacobian(), |jacobian| over_all_signs(&jacobian, right));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| {
            let z = Array2::random_using((50_000, 3), StandardNormal, rng);
            vec![of_draws(&z)]
        });
    }

    #[test]
    fn wrong_variant_norm() {
        check!(Identity).bound(1e-14, REASON).rejects("the length of J z", jacobian(), |jacobian| {
            over_all_signs(&jacobian, |_, jz| jz.pow2().sum_axis(Axis(1)).sqrt())
        });
    }

    #[test]
    fn wrong_variant_sphere() {
        check!(MonteCarlo).rejects_z_scores("directions of length 1", |rng| {
            let mut z: Array2<f64> = Array2::random_using((50_000, 3), StandardNormal, rng);
            for mut row in z.rows_mut() {
                let length = row.pow2().sum().sqrt();
                row /= length;
            }
            vec![of_draws(&z)]
        });
    }

    #[test]
    fn wrong_variant_uniform() {
        check!(MonteCarlo).rejects_z_scores("coordinates from 0 to 1, neither centred nor of variance 1", |rng| {
            let z = Array2::from_shape_fn((50_000, 3), |_| rng.random::<f64>());
            vec![of_draws(&z)]
        });
    }

    const REASON: &str = "sums of up to 16 × 16 terms, in units of 10";

    fn right(z: &Array2<f64>, jz: &Array2<f64>) -> Array1<f64> {
        score::hutchinson(z, jz).unwrap()
    }

    fn over_all_signs(jacobian: &Array2<f64>, estimate: fn(&Array2<f64>, &Array2<f64>) -> Array1<f64>) -> f64 {
        let z = all_signs(jacobian.nrows());
        let mean = estimate(&z, &z.dot(&jacobian.t())).mean().unwrap();
        distance_of_numbers(mean, jacobian.diag().sum(), 10.0)
    }

    fn of_draws(z: &Array2<f64>) -> f64 {
        z_score(&right(z, &z.dot(&some_jacobian().t())).to_vec(), -0.8)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-6, "J z by differences of fourth order over 0.001").property(
            (point(), -2.0..2.0, -2.0..2.0),
            |(point, a, b)| {
                let law = mixture::s_curve();
                let along = |i: usize| {
                    derivative(0.0, 1e-3, |h| {
                        let [x, z] = point.x;
                        Point { x: [x + h * a, z + h * b], ..point.clone() }.score()[[0, i]]
                    })
                };
                let z = array![[a, b]];
                let got = right(&z, &array![[along(0), along(1)]])[0];
                let log_density =
                    |x: &Tensor| law.log_density(x, &mixture::scalar(sde().at(point.tau).unwrap().alpha_bar));
                let want = torch_score::hutchinson(log_density, &mixture::tensor(&point.x()), &mixture::tensor(&z));
                distance_of_numbers(got, want.double_value(&[0]), 100.0) * 0.1
            },
        );
    }

    #[test]
    fn bad_input() {
        let error = score::hutchinson(&Array2::zeros((3, 2)), &Array2::zeros((3, 1))).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "jz", expected: vec![3, 2], got: vec![3, 1] });
    }
}

mod hutchinson_variance {
    use super::*;

    /// Over all vectors of signs, it is the mean square of what is off.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, REASON).property(jacobian(), |jacobian| over_all_signs(&jacobian, right));
    }

    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| vec![of_draws(rng, right)]);
    }

    #[test]
    fn wrong_variant_diagonal() {
        check!(Identity).bound(1e-13, REASON).rejects("the diagonal counted for signs too", jacobian(), |jacobian| {
            over_all_signs(&jacobian, |jacobian, _| right(jacobian, Probe::Gaussian))
        });
    }

    #[test]
    fn wrong_variant_not_symmetric() {
        check!(MonteCarlo).rejects_z_scores("the Jacobian for its symmetric part", |rng| {
            vec![of_draws(rng, |jacobian, _| 2.0 * jacobian.pow2().sum())]
        });
    }

    /// With signs, a diagonal matrix has no variance at all, not even one below 0 by a rounding.
    #[test]
    fn signs_on_a_diagonal() {
        let diagonal = Array2::from_diag(&array![0.7, 0.8, 0.6, 0.7, 0.6]);
        assert_eq!(right(&diagonal, Probe::Signs), 0.0);
    }

    const REASON: &str = "sums of squares of up to 16 × 16 terms, in units of 100";

    fn right(jacobian: &Array2<f64>, probe: Probe) -> f64 {
        score::hutchinson_variance(jacobian, probe).unwrap()
    }

    fn over_all_signs(jacobian: &Array2<f64>, variance: fn(&Array2<f64>, Probe) -> f64) -> f64 {
        let z = all_signs(jacobian.nrows());
        let off = score::hutchinson(&z, &z.dot(&jacobian.t())).unwrap() - jacobian.diag().sum();
        distance_of_numbers(variance(jacobian, Probe::Signs), off.pow2().mean().unwrap(), 100.0)
    }

    fn of_draws(rng: &mut ChaCha8Rng, variance: fn(&Array2<f64>, Probe) -> f64) -> f64 {
        let z = Array2::random_using((50_000, 3), StandardNormal, rng);
        let off = score::hutchinson(&z, &z.dot(&some_jacobian().t())).unwrap() + 0.8;
        z_score(&off.pow2().to_vec(), variance(&some_jacobian(), Probe::Gaussian))
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, REASON).property(jacobian(), |jacobian| {
            let off = |probe, signs| {
                let want = torch_score::hutchinson_variance(&mixture::tensor(&jacobian), signs);
                distance_of_numbers(right(&jacobian, probe), want, 100.0)
            };
            off(Probe::Gaussian, false).max(off(Probe::Signs, true))
        });
    }

    #[test]
    fn bad_input() {
        let error = score::hutchinson_variance(&Array2::zeros((2, 3)), Probe::Signs).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "jacobian", expected: vec![2, 2], got: vec![2, 3] });
    }
}

mod ode_step {
    use super::*;

    /// Along dx/dτ = a x + b τ, in closed form.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, REASON).property(straight(), |case| in_closed_form(case, right));
    }

    /// Along dx/dτ = −(1 + τ) x, the error at τ = 1 falls by 2 and by 4 where the steps are halved.
    #[test]
    fn limit() {
        check!(Limit).bound(0.05, "the next term, a share of one step of 1/100 or 1/200").cases(
            [(Solver::Euler, 2.0), (Solver::Heun, 4.0)],
            |(solver, ratio)| {
                let error = |steps: usize| {
                    let h = 1.0 / steps as f64;
                    let mut x = array![1.0];
                    for k in 0..steps {
                        let mut velocity = |x: &ArrayRef1<f64>, tau: f64| Ok(x * -(1.0 + tau));
                        x = score::ode_step(solver, &x, k as f64 * h, h, &mut velocity).unwrap();
                    }
                    x[0] - (-1.5_f64).exp()
                };
                distance_of_numbers(error(100) / error(200), ratio, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant_same_time() {
        check!(Identity).bound(1e-14, REASON).rejects("the second look at the first time", straight(), |case| {
            in_closed_form(case, |case| {
                let here = case.velocity(case.x, case.tau);
                let there = case.velocity(case.x + case.h * here, case.tau);
                [case.x + case.h * here, case.x + 0.5 * case.h * (here + there)]
            })
        });
    }

    #[test]
    fn wrong_variant_same_place() {
        check!(Identity).bound(1e-14, REASON).rejects("the second look at the first place", straight(), |case| {
            in_closed_form(case, |case| {
                let here = case.velocity(case.x, case.tau);
                let there = case.velocity(case.x, case.tau + case.h);
                [case.x + case.h * here, case.x + 0.5 * case.h * (here + there)]
            })
        });
    }

    #[test]
    fn wrong_variant_whole() {
        check!(Identity).bound(1e-14, REASON).rejects("both velocities, each for the whole step", straight(), |case| {
            in_closed_form(case, |case| {
                let [euler, heun] = right(case);
                [euler, 2.0 * heun - case.x]
            })
        });
    }

    const REASON: &str = "a dozen roundings, in units of 10";

    #[derive(Debug, Clone, Copy)]
    struct Straight {
        a: f64,
        b: f64,
        x: f64,
        tau: f64,
        h: f64,
    }

    impl Straight {
        fn velocity(&self, x: f64, tau: f64) -> f64 {
            self.a * x + self.b * tau
        }
    }

    fn straight() -> impl Strategy<Value = Straight> {
        (-2.0..2.0, -2.0..2.0, -2.0..2.0, 0.0..1.0, -0.5..0.5).prop_map(|(a, b, x, tau, h)| Straight {
            a,
            b,
            x,
            tau,
            h,
        })
    }

    fn right(case: &Straight) -> [f64; 2] {
        [Solver::Euler, Solver::Heun].map(|solver| {
            let mut velocity = |x: &ArrayRef1<f64>, tau: f64| Ok(x.mapv(|x| case.velocity(x, tau)));
            score::ode_step(solver, &array![case.x], case.tau, case.h, &mut velocity).unwrap()[0]
        })
    }

    fn in_closed_form(case: Straight, step: fn(&Straight) -> [f64; 2]) -> f64 {
        let Straight { a, b, x, tau, h } = case;
        let euler = (1.0 + a * h) * x + b * h * tau;
        let heun = (1.0 + a * h + 0.5 * (a * h).powi(2)) * x + b * h * (tau + 0.5 * h + 0.5 * a * h * tau);
        let got = step(&case);
        distance_of_numbers(got[0], euler, 10.0).max(distance_of_numbers(got[1], heun, 10.0))
    }

    #[test]
    fn bad_input() {
        let mut wider = |_: &ArrayRef1<f64>, _| Ok(array![1.0, 2.0]);
        let error = score::ode_step(Solver::Heun, &array![1.0], 0.0, 0.1, &mut wider).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "the velocity", expected: vec![1], got: vec![2] });
        for late in [array![1.0, 2.0, 3.0], array![1.0]] {
            let mut later = |_: &ArrayRef1<f64>, tau| Ok(if tau == 0.0 { array![1.0, 2.0] } else { late.clone() });
            let error = score::ode_step(Solver::Heun, &array![1.0, 2.0], 0.0, 0.5, &mut later).unwrap_err();
            let got = late.shape().to_vec();
            assert_eq!(error, Error::ShapeMismatch { name: "the velocity", expected: vec![2], got });
        }
        let mut failing = |_: &ArrayRef1<f64>, _| Err(Error::NoTimesteps);
        assert_eq!(score::ode_step(Solver::Heun, &array![1.0], 0.0, 0.1, &mut failing), Err(Error::NoTimesteps));
    }
}

/// Data that is N(−1, 0.2) or N(1, 0.2), equally often, in one dimension: the mean and variance of a hump at `step`.
fn hump(step: Step) -> (f64, f64) {
    (step.alpha_bar.sqrt(), step.alpha_bar * 0.2 + step.one_minus_alpha_bar)
}

/// Its score and the derivative of that.
fn two_humps(x: &ArrayRef2<f64>, step: Step) -> Result<Scores> {
    let (m, v) = hump(step);
    let tanh = |x: f64| (m * x / v).tanh();
    let slope = x.column(0).mapv(|x| (m * m * (1.0 - tanh(x).powi(2)) / v - 1.0) / v);
    Ok((x.mapv(|x| (m * tanh(x) - x) / v), slope))
}

/// Its log-density.
fn log_two_humps(x: f64, tau: f64) -> f64 {
    let (m, v) = hump(sde().at(tau).unwrap());
    (0.5 * gaussian::density(x, m, v).unwrap() + 0.5 * gaussian::density(x, -m, v).unwrap()).ln()
}

mod carry {
    use super::*;

    /// The density of two humps is known at both ends: ln q there is ln q here and the change.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-3, REASON).property(spans(), |case| of_two_humps(case, right));
    }

    /// The same on the S-curve, whose density is an integral over the place.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(0.03, "150 steps of Heun's method over a curve with a width of 0.07, where the first steps are long")
            .cases([(0.0, 1.0), (1.0, 0.0), (0.2, 0.6)], |(from, to)| {
                let x = array![[0.5, 0.1], [-1.1, 0.9], [0.1, -1.5]];
                let log_q =
                    |x: &Array2<f64>, tau: f64| SCurve::sound().marginal(sde().at(tau).unwrap()).log_q(x).unwrap();
                let carried = score::carry(&x, &sde(), (from, to), 150, Solver::Heun, s_curve_law).unwrap();
                let want = log_q(&carried.x, to) - log_q(&x, from);
                (carried.log_density_change - want).iter().fold(0.0, |worst, off| larger(worst, off.abs()))
            });
    }

    /// Gaussian data, where the way is known: the error falls by 2 with Euler and by 4 with Heun where steps are halved.
    #[test]
    fn limit() {
        check!(Limit).bound(0.1, "the next term, a share of one step of 1/100 or 1/200 at a rate of 4").cases(
            [(Solver::Euler, 2.0), (Solver::Heun, 4.0)],
            |(solver, ratio)| {
                let [coarse, fine] = [100, 200].map(|steps| off_the_gaussian(solver, steps));
                distance_of_numbers(coarse[0] / fine[0], ratio, 1.0).max(distance_of_numbers(
                    coarse[1] / fine[1],
                    ratio,
                    1.0,
                ))
            },
        );
    }

    /// Back and there again.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(5e-3, REASON).property(-1.5..1.5, |x| {
            let x = array![[x]];
            let back = right(&x, (1.0, 0.0));
            let there = right(&back.x, (0.0, 1.0));
            let change = back.log_density_change + there.log_density_change;
            larger(distance(&there.x, &x, 1.0), change[0].abs())
        });
    }

    #[test]
    fn wrong_variant_no_divergence() {
        check!(Identity).bound(5e-3, REASON).rejects("the density carried unchanged", spans(), |case| {
            of_two_humps(case, |x, span| Carried { log_density_change: array![0.0], ..right(x, span) })
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Identity).bound(5e-3, REASON).rejects("the divergence added", spans(), |case| {
            of_two_humps(case, |x, span| {
                let carried = right(x, span);
                Carried { log_density_change: -carried.log_density_change, ..carried }
            })
        });
    }

    #[test]
    fn wrong_variant_whole_score() {
        check!(Identity).bound(5e-3, REASON).rejects("the drift of the reverse equation", spans(), |case| {
            of_two_humps(case, |x, span| {
                // −½β (x + 2s) is −½βx − βs.
                let doubled = |x: &ArrayRef2<f64>, step: Step| two_humps(x, step).map(|(s, d)| (s * 2.0, d * 2.0));
                score::carry(x, &sde(), span, 100, Solver::Heun, doubled).unwrap()
            })
        });
    }

    const REASON: &str = "100 steps of Heun's method, of rates up to 20 between humps 0.4 wide";

    fn spans() -> impl Strategy<Value = (f64, f64, f64)> {
        (0.0..1.0, 0.0..1.0, -1.5..1.5)
    }

    fn right(x: &Array2<f64>, span: (f64, f64)) -> Carried {
        score::carry(x, &sde(), span, 100, Solver::Heun, two_humps).unwrap()
    }

    fn of_two_humps((from, to, x): (f64, f64, f64), carry: fn(&Array2<f64>, (f64, f64)) -> Carried) -> f64 {
        let carried = carry(&array![[x]], (from, to));
        let want = log_two_humps(carried.x[[0, 0]], to) - log_two_humps(x, from);
        (carried.log_density_change[0] - want).abs()
    }

    /// How far x and the change of the log-density are off.
    fn off_the_gaussian(solver: Solver, steps: usize) -> [f64; 2] {
        let schedule = ContinuousSchedule::linear(0.5, 4.0).unwrap();
        let x = array![[1.3, -0.4, 0.2]];
        let carried = score::carry(&x, &schedule, (0.0, 1.0), steps, solver, gaussian_law(0.5, 0.3)).unwrap();
        let [start, end] = [0.0, 1.0].map(|tau| schedule.at(tau).unwrap());
        let want = score::gaussian_flow(0.5, 0.3, &x, start, end).unwrap();
        let stretch = (forward::marginal_moments(0.5, 0.3, end).unwrap().1 / 0.3).sqrt();
        [distance(&carried.x, &want, 1.0), (carried.log_density_change[0] + 3.0 * stretch.ln()).abs()]
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, mixture::REASON).cases([4, 16], |steps| {
            let law = mixture::s_curve();
            let x = array![[0.5, 0.1], [-1.1, 0.9], [0.1, -1.5]];
            let (want, _) = law.flow_log_likelihood(&mixture::tensor(&x), 0.1, 20.0, steps);
            let got = score::carry(&x, &sde(), (0.0, 1.0), steps, Solver::Heun, s_curve_law).unwrap();
            distance(&got.x.flatten().to_owned(), &mixture::numbers(&want), 1.0)
        });
    }

    #[test]
    fn bad_input() {
        let x = Array2::zeros((2, 2));
        let carry = |span, steps| score::carry(&x, &sde(), span, steps, Solver::Euler, s_curve_law);
        assert!(matches!(carry((0.0, 1.5), 4), Err(Error::OutOfRange { name: "tau", .. })));
        assert!(matches!(carry((-0.5, 1.0), 4), Err(Error::OutOfRange { name: "tau", .. })));
        assert!(matches!(carry((0.0, 1.0), 0), Err(Error::OutOfRange { name: "steps", .. })));
        let short = |x: &ArrayRef2<f64>, _: Step| Ok((-x, Array1::zeros(1)));
        let error = score::carry(&x, &sde(), (0.0, 1.0), 4, Solver::Euler, short).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "divergence", expected: vec![2], got: vec![1] });
        let narrow = |_: &ArrayRef2<f64>, _: Step| Ok((Array2::zeros((2, 1)), Array1::zeros(2)));
        let error = score::carry(&x, &sde(), (0.0, 1.0), 4, Solver::Euler, narrow).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "score", expected: vec![2, 2], got: vec![2, 1] });
    }
}

mod flow_log_likelihood {
    use super::*;

    /// The density of two humps, in closed form.
    #[test]
    fn identity() {
        check!(Identity).bound(5e-3, REASON).property(-1.8..1.8, |x| of_two_humps(x, right));
    }

    /// On the S-curve, it tends to the exact density of the data: twice as many steps, a quarter of the error.
    #[test]
    fn limit() {
        check!(Limit).bound(0.3, "a ratio of 4, once the steps are short; what N(0, I) misses at τ = 1 is 1e-5").cases(
            [150],
            |steps: usize| {
                let x = array![[0.5, 0.1], [-1.1, 0.9], [0.1, -1.5]];
                let want = SCurve::sound().data().log_q(&x).unwrap();
                let error = |steps: usize| {
                    let got = score::flow_log_likelihood(&x, &sde(), steps, Solver::Heun, s_curve_law).unwrap();
                    (got - &want).mapv(f64::abs).sum()
                };
                distance_of_numbers(error(steps) / error(2 * steps), 4.0, 1.0)
            },
        );
    }

    /// It is a density: its integral is 1. The data is N(±1, 0.2) in one dimension.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-3, "what Heun's method with 60 steps leaves").cases([60], |steps| {
            let x = Array2::from_shape_fn((161, 1), |(i, _)| 0.05 * (i as f64 - 80.0));
            let log_p = score::flow_log_likelihood(&x, &sde(), steps, Solver::Heun, two_humps).unwrap();
            (0.05 * log_p.exp().sum() - 1.0).abs()
        });
    }

    #[test]
    fn wrong_variant_no_divergence() {
        check!(Identity).bound(5e-3, REASON).rejects(
            "the density of the noise alone, without the divergence",
            -1.8..1.8,
            |x| of_two_humps(x, |x| right(x) + change(x)),
        );
    }

    #[test]
    fn wrong_variant_sign() {
        check!(Identity)
            .bound(5e-3, REASON)
            .rejects("the divergence subtracted", -1.8..1.8, |x| of_two_humps(x, |x| right(x) + 2.0 * change(x)));
    }

    const REASON: &str = "100 steps of Heun's method, of rates up to 20 between humps 0.4 wide";

    fn right(x: f64) -> f64 {
        score::flow_log_likelihood(&array![[x]], &sde(), 100, Solver::Heun, two_humps).unwrap()[0]
    }

    fn change(x: f64) -> f64 {
        score::carry(&array![[x]], &sde(), (0.0, 1.0), 100, Solver::Heun, two_humps).unwrap().log_density_change[0]
    }

    fn of_two_humps(x: f64, log_likelihood: fn(f64) -> f64) -> f64 {
        (log_likelihood(x) - log_two_humps(x, 0.0)).abs()
    }

    /// N(0, I) is the start: with nothing to do, its density is all there is.
    #[test]
    fn normal_data() {
        let x = array![[0.3, -1.1, 0.4]];
        let log_p = score::flow_log_likelihood(&x, &sde(), 3, Solver::Euler, gaussian_law(0.0, 1.0)).unwrap();
        let want = -0.5 * (0.09 + 1.21 + 0.16) - 1.5 * TAU.ln();
        assert!((log_p[0] - want).abs() < 1e-12);
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-9, mixture::REASON).cases([4, 16], |steps| {
            let law = mixture::s_curve();
            let x = array![[0.5, 0.1], [-1.1, 0.9], [0.1, -1.5]];
            let (_, want) = law.flow_log_likelihood(&mixture::tensor(&x), 0.1, 20.0, steps);
            let got = score::flow_log_likelihood(&x, &sde(), steps, Solver::Heun, s_curve_law).unwrap();
            distance(&got, &mixture::numbers(&want), 1.0)
        });
    }
}
