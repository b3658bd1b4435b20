//! Checks of chapter 12, guidance: one module an equation, named by its slug.

mod support;

use literate_diffusion::guidance::{self, Classes};
#[cfg(feature = "torch")]
use literate_diffusion::torch::{self, diffusion, tch};
use literate_diffusion::{Error, Result, Schedule, Step, forward, gaussian, objective, sampler};
use ndarray::{Array1, Array2, ArrayRef1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::{arrays, step};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, z_score};

/// Up to four classes in one dimension, a step, one of the classes, a value of x_t and a weight.
#[derive(Debug, Clone)]
struct Case {
    shares: Vec<f64>,
    means: Vec<f64>,
    variances: Vec<f64>,
    step: Step,
    class: usize,
    xt: f64,
    weight: f64,
}

fn case() -> impl Strategy<Value = Case> {
    let class = (0.1..1.0, -2.0..2.0, 0.1..2.0);
    let steps = Schedule::linear(12, 0.02, 0.8).unwrap().steps().to_vec();
    let rest = (prop::sample::select(steps), any::<prop::sample::Index>(), -3.0..3.0, -1.0..8.0);
    (prop::collection::vec(class, 1..=4), rest).prop_map(|(classes, (step, index, xt, weight))| {
        let total: f64 = classes.iter().map(|(share, _, _)| share).sum();
        Case {
            shares: classes.iter().map(|(share, _, _)| share / total).collect(),
            means: classes.iter().map(|&(_, mean, _)| mean).collect(),
            variances: classes.iter().map(|&(_, _, variance)| variance).collect(),
            class: index.index(classes.len()),
            step,
            xt,
            weight,
        }
    })
}

impl Case {
    fn data(&self) -> Classes {
        let means = Array2::from_shape_vec((self.means.len(), 1), self.means.clone()).unwrap();
        Classes::new(self.shares.clone().into(), means, self.variances.clone().into()).unwrap()
    }

    /// The law of x_t.
    fn law(&self) -> Classes {
        self.data().marginal(self.step)
    }

    fn at(&self) -> Array2<f64> {
        array![[self.xt]]
    }

    fn noise(&self) -> f64 {
        self.step.one_minus_alpha_bar.sqrt()
    }

    /// The integral of f(x_0) q(x_0 | k) q(x_t | x_0) on a grid of x_0, wide enough for an x_t far from the class.
    fn joint(&self, k: usize, f: impl Fn(f64) -> f64) -> f64 {
        let (mean, sigma) = (self.means[k], self.variances[k].sqrt());
        integral(mean - 30.0 * sigma, mean + 30.0 * sigma, 1200, |x0| {
            let of_xt = gaussian::density(self.xt, self.step.alpha_bar.sqrt() * x0, self.step.one_minus_alpha_bar);
            f(x0) * gaussian::density(x0, mean, sigma * sigma).unwrap() * of_xt.unwrap()
        })
    }

    /// The noise that leads from x_0 to x_t.
    fn eps(&self, x0: f64) -> f64 {
        (self.xt - self.step.alpha_bar.sqrt() * x0) / self.noise()
    }

    /// ln q(x_t | k), with x_t at another place.
    fn log_of_class(&self, k: usize, xt: f64) -> f64 {
        let (mean, variance) = forward::marginal_moments(self.means[k], self.variances[k], self.step).unwrap();
        gaussian::log_density(&array![xt], &array![mean], variance).unwrap()
    }

    /// ln q(x_t), with x_t at another place.
    fn log_of_all(&self, xt: f64) -> f64 {
        let parts = (0..self.shares.len()).map(|k| self.shares[k] * self.log_of_class(k, xt).exp());
        parts.sum::<f64>().ln()
    }

    /// ln q(c | x_t), with x_t at another place.
    fn log_probability(&self, xt: f64) -> f64 {
        self.shares[self.class].ln() + self.log_of_class(self.class, xt) - self.log_of_all(xt)
    }

    /// The derivative at x_t, by differences.
    fn slope(&self, f: impl Fn(f64) -> f64) -> f64 {
        derivative(self.xt, 1e-4, f)
    }

    /// ε*(x_t, t) and ε*(x_t, t, c).
    fn best(&self) -> (f64, f64) {
        let none = self.data().mixture_eps(&self.at(), self.step).unwrap();
        let class = self.data().class_eps(&self.at(), self.step, self.class).unwrap();
        (none[[0, 0]], class[[0, 0]])
    }
}

const DIFFERENCES: &str =
    "h = 1e-4: rounding by 1e-14/h where |ln q| is 100, and h⁴/30 times a fifth derivative of 1e7";
const GRID: &str = "the trapezium rule is exact to rounding here";

/// Points of three classes in the plane: their classes, the noise, and x_t.
struct Draws {
    data: Classes,
    step: Step,
    classes: Vec<usize>,
    eps: Array2<f64>,
    xt: Array2<f64>,
}

const SHARES: [f64; 3] = [0.5, 0.3, 0.2];

fn three_classes() -> Classes {
    let means = array![[-1.0, 0.5], [1.0, 0.0], [0.3, -1.2]];
    Classes::new(SHARES.to_vec().into(), means, array![0.2, 0.5, 1.0]).unwrap()
}

fn draw(step: Step, count: usize, rng: &mut ChaCha8Rng) -> Draws {
    let data = three_classes();
    let classes: Vec<usize> = (0..count).map(|_| class_of(rng.random_range(0.0..1.0))).collect();
    let [place, eps] = [(); 2].map(|()| Array2::random_using((count, 2), StandardNormal, rng));
    let (means, variances) = (array![[-1.0, 0.5], [1.0, 0.0], [0.3, -1.2]], [0.2_f64, 0.5, 1.0]);
    let x0 = Array2::from_shape_fn((count, 2), |(n, i)| {
        means[[classes[n], i]] + variances[classes[n]].sqrt() * place[[n, i]]
    });
    let xt = forward::q_sample(&x0, step, &eps).unwrap();
    Draws { data, step, classes, eps, xt }
}

/// The class that a uniform draw picks.
fn class_of(uniform: f64) -> usize {
    usize::from(uniform >= SHARES[0]) + usize::from(uniform >= SHARES[0] + SHARES[1])
}

fn few_steps() -> Vec<Step> {
    Schedule::linear(5, 0.05, 0.8).unwrap().steps().to_vec()
}

/// A law of x_t that has two dimensions, for errors.
fn wrong_dimensions() -> Array2<f64> {
    array![[0.0, 1.0, 2.0]]
}

fn assert_no_such_class<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::OutOfRange { name: "the class", .. })), "{result:?}");
}

fn assert_wrong_dimensions<T: std::fmt::Debug>(result: Result<T>) {
    let expected = Error::ShapeMismatch { name: "xt", expected: vec![1, 2], got: vec![1, 3] };
    assert_eq!(result.unwrap_err(), expected);
}

#[test]
fn bad_input() {
    let new = |shares: Array1<f64>, variances: Array1<f64>| Classes::new(shares, array![[-1.0], [1.0]], variances);
    assert!(new(array![0.5, 0.5], array![1.0, 1.0]).is_ok());
    let expected = Error::ShapeMismatch { name: "shares", expected: vec![2], got: vec![1] };
    assert_eq!(new(array![1.0], array![1.0, 1.0]), Err(expected));
    let expected = Error::ShapeMismatch { name: "variances", expected: vec![2], got: vec![3] };
    assert_eq!(new(array![0.5, 0.5], array![1.0, 1.0, 1.0]), Err(expected));
    assert!(matches!(new(array![1.0, 0.0], array![1.0, 1.0]), Err(Error::OutOfRange { name: "shares", .. })));
    assert!(matches!(new(array![0.5, 0.5], array![1.0, -1.0]), Err(Error::OutOfRange { name: "variances", .. })));
    let sum = new(array![0.5, 0.4], array![1.0, 1.0]);
    assert!(matches!(sum, Err(Error::OutOfRange { name: "the sum of the shares", .. })));
    let none = Classes::new(Array1::zeros(0), Array2::zeros((0, 1)), Array1::zeros(0));
    assert_eq!(none, Err(Error::Empty { name: "means" }));
    assert_eq!(three_classes().count(), 3);
}

mod class_probabilities {
    use super::*;

    /// Bayes' rule, with q(x_t | k) integrated over x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(case(), |case| by_bayes(&case, right));
    }

    /// Of the points at which a class has the probability p, it is p of them.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| hits(rng, |draws| right_at(&draws.law(), &draws.xt)));
    }

    /// Where nothing of the data is left, x_t says nothing of the class.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "a sum of logarithms and its exponential").property(case(), |case| {
            let step = Schedule::from_betas(&[case.step.beta, 1.0]).unwrap().last();
            distance(&Array1::from(right(&Case { step, ..case.clone() })), &Array1::from(case.shares), 1.0)
        });
    }

    #[test]
    fn wrong_variant_shares() {
        check!(Quadrature).bound(1e-12, GRID).rejects("the shares of the classes forgotten", case(), |case| {
            by_bayes(&case, |case| {
                let even = vec![1.0 / case.shares.len() as f64; case.shares.len()];
                right(&Case { shares: even, ..case.clone() })
            })
        });
    }

    #[test]
    fn wrong_variant_clean() {
        check!(MonteCarlo).rejects_z_scores("the classifier of clean data, asked about x_t", |rng| {
            hits(rng, |draws| right_at(&draws.data, &draws.xt))
        });
    }

    fn right(case: &Case) -> Vec<f64> {
        right_at(&case.law(), &case.at()).into_raw_vec_and_offset().0
    }

    fn right_at(law: &Classes, xt: &Array2<f64>) -> Array2<f64> {
        law.class_probabilities(xt).unwrap()
    }

    fn by_bayes(case: &Case, probabilities: impl Fn(&Case) -> Vec<f64>) -> f64 {
        let joint: Array1<f64> = (0..case.shares.len()).map(|k| case.shares[k] * case.joint(k, |_| 1.0)).collect();
        distance(&Array1::from(probabilities(case)), &(&joint / joint.sum()), 1.0)
    }

    fn hits(rng: &mut ChaCha8Rng, probabilities: impl Fn(&Draws) -> Array2<f64>) -> Vec<f64> {
        let mut scores = Vec::new();
        for step in few_steps() {
            let draws = draw(step, 20_000, rng);
            let said = probabilities(&draws);
            for k in 0..3 {
                let off = |n: usize| f64::from(u8::from(draws.classes[n] == k)) - said[[n, k]];
                let off: Vec<f64> = (0..draws.classes.len()).map(off).collect();
                let weighted: Vec<f64> = off.iter().zip(draws.xt.column(0)).map(|(off, x)| off * x).collect();
                scores.extend([z_score(&off, 0.0), z_score(&weighted, 0.0)]);
            }
        }
        scores
    }

    /// The softmax of the joint logarithms.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let got = case.log_joint(&case.xt()).softmax(-1, tch::Kind::Double);
            let want = case.by_point(|law, xt, _| law.class_probabilities(xt));
            (got, want)
        });
    }

    #[test]
    fn bad_input() {
        assert_wrong_dimensions(three_classes().class_probabilities(&wrong_dimensions()));
    }
}

impl Draws {
    fn law(&self) -> Classes {
        self.data.marginal(self.step)
    }
}

mod class_eps {
    use super::*;

    /// E[ε | x_t, c], by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(case(), |case| by_bayes(&case, right));
    }

    /// −√(1 − ᾱ_t) times the derivative of ln q(x_t | c).
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| {
            let score = case.slope(|xt| case.log_of_class(case.class, xt));
            distance_of_numbers(right(&case), -case.noise() * score, 1.0)
        });
    }

    #[test]
    fn wrong_variant_mean() {
        check!(Quadrature).bound(1e-12, GRID).rejects("the mean of the class not shrunk", case(), |case| {
            by_bayes(&case, |case| {
                let law = case.law();
                let centre = array![[case.means[case.class] * (1.0 - case.step.alpha_bar.sqrt())]];
                law.class_score(&(case.at() - centre), case.class).unwrap()[[0, 0]] * -case.noise()
            })
        });
    }

    #[test]
    fn wrong_variant_variance() {
        check!(Quadrature).bound(1e-12, GRID).rejects("the noise of x_t forgotten in its variance", case(), |case| {
            by_bayes(&case, |case| {
                let (k, root) = (case.class, case.step.alpha_bar.sqrt());
                case.noise() * (case.xt - root * case.means[k]) / (case.step.alpha_bar * case.variances[k])
            })
        });
    }

    fn right(case: &Case) -> f64 {
        case.best().1
    }

    fn by_bayes(case: &Case, class_eps: impl Fn(&Case) -> f64) -> f64 {
        let want = case.joint(case.class, |x0| case.eps(x0)) / case.joint(case.class, |_| 1.0);
        distance_of_numbers(class_eps(case), want, 1.0)
    }

    /// By autograd.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let got = case.eps_of(&case.of_class(&case.log_joint(&xt)), &xt);
            (got, case.by_step(|step, xt| case.data.class_eps(xt, step, case.class)))
        });
    }

    #[test]
    fn bad_input() {
        let step = few_steps()[0];
        assert_wrong_dimensions(three_classes().class_eps(&wrong_dimensions(), step, 0));
        assert_no_such_class(three_classes().class_eps(&array![[0.0, 0.0]], step, 3));
    }
}

mod mixture_eps {
    use super::*;

    /// E[ε | x_t], by Bayes on a grid of x_0.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(case(), |case| by_bayes(&case, |case| case.best().0));
    }

    /// What is left of the noise, ε − ε*, has mean 0 whatever x_t is.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo)
            .z_scores(|rng| left_over(rng, |draws| draws.data.mixture_eps(&draws.xt, draws.step).unwrap()));
    }

    #[test]
    fn wrong_variant_shares() {
        check!(Quadrature).bound(1e-12, GRID).rejects(
            "the classes by their shares, whatever x_t says",
            case(),
            |case| {
                by_bayes(&case, |case| {
                    let of_class = |k| case.data().class_eps(&case.at(), case.step, k).unwrap()[[0, 0]];
                    (0..case.shares.len()).map(|k| case.shares[k] * of_class(k)).sum()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_most_probable() {
        check!(MonteCarlo).rejects_z_scores("the most probable class alone", |rng| {
            left_over(rng, |draws| {
                let probabilities = draws.law().class_probabilities(&draws.xt).unwrap();
                let most = |n: usize| (0..3).max_by(|&a, &b| probabilities[[n, a]].total_cmp(&probabilities[[n, b]]));
                let eps = [0, 1, 2].map(|k| draws.data.class_eps(&draws.xt, draws.step, k).unwrap());
                Array2::from_shape_fn(draws.xt.raw_dim(), |(n, i)| eps[most(n).unwrap()][[n, i]])
            })
        });
    }

    fn by_bayes(case: &Case, mixture_eps: impl Fn(&Case) -> f64) -> f64 {
        let all =
            |f: &dyn Fn(f64) -> f64| -> f64 { (0..case.shares.len()).map(|k| case.shares[k] * case.joint(k, f)).sum() };
        let want = all(&|x0| case.eps(x0)) / all(&|_| 1.0);
        distance_of_numbers(mixture_eps(case), want, 1.0)
    }

    fn left_over(rng: &mut ChaCha8Rng, mixture_eps: impl Fn(&Draws) -> Array2<f64>) -> Vec<f64> {
        let mut scores = Vec::new();
        for step in few_steps() {
            let draws = draw(step, 20_000, rng);
            let left = &draws.eps - mixture_eps(&draws);
            scores.extend(left.columns().into_iter().map(|column| z_score(&column.to_vec(), 0.0)));
            let weighted = &left * &draws.xt;
            scores.extend(weighted.columns().into_iter().map(|column| z_score(&column.to_vec(), 0.0)));
        }
        scores
    }

    /// By autograd.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let got = case.eps_of(&case.log_joint(&xt).logsumexp([-1], false), &xt);
            (got, case.by_step(|step, xt| case.data.mixture_eps(xt, step)))
        });
    }

    #[test]
    fn bad_input() {
        assert_wrong_dimensions(three_classes().mixture_eps(&wrong_dimensions(), few_steps()[0]));
    }
}

mod classifier_score {
    use super::*;

    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| by_differences(&case, right));
    }

    /// The probabilities always add up to 1, so that their changes add up to 0.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "K² products, each of a score of up to 50").property(case(), |case| {
            let (law, xt) = (case.law(), case.at());
            let probabilities = law.class_probabilities(&xt).unwrap();
            let change = |k: usize| probabilities[[0, k]] * law.classifier_score(&xt, k).unwrap()[[0, 0]];
            (0..law.count()).map(change).sum::<f64>().abs()
        });
    }

    /// A single class is certain everywhere.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "its probability is 1 within a rounding").property(case(), |case| {
            let alone = Case { shares: vec![1.0], means: vec![case.xt], variances: vec![0.5], class: 0, ..case };
            right(&alone).abs()
        });
    }

    #[test]
    fn wrong_variant_probability() {
        let mistake = "the gradient of the probability, not of its logarithm";
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects(mistake, case(), |case| {
            by_differences(&case, |case| right(case) * case.log_probability(case.xt).exp())
        });
    }

    #[test]
    fn wrong_variant_clean() {
        let mistake = "the classifier of clean data, asked about x_t";
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects(mistake, case(), |case| {
            by_differences(&case, |case| case.data().classifier_score(&case.at(), case.class).unwrap()[[0, 0]])
        });
    }

    fn right(case: &Case) -> f64 {
        case.law().classifier_score(&case.at(), case.class).unwrap()[[0, 0]]
    }

    fn by_differences(case: &Case, classifier_score: impl Fn(&Case) -> f64) -> f64 {
        distance_of_numbers(classifier_score(case), case.slope(|xt| case.log_probability(xt)), 1.0)
    }

    /// By autograd, through the logarithm of the softmax.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let log = case.of_class(&case.log_joint(&xt).log_softmax(-1, tch::Kind::Double));
            (gradient(&log, &xt), case.by_point(|law, xt, class| law.classifier_score(xt, class)))
        });
    }

    #[test]
    fn bad_input() {
        assert_wrong_dimensions(three_classes().classifier_score(&wrong_dimensions(), 0));
        assert_no_such_class(three_classes().classifier_score(&array![[0.0, 0.0]], 3));
    }
}

mod bayes_score {
    use super::*;

    /// All three scores by differences of logarithms of densities.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| by_differences(&case, right));
    }

    /// The scores of ε*(x_t, t), of the best classifier, and of ε*(x_t, t, c).
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "30 roundings, in units of the largest score").property(case(), |case| {
            let (none, class) = case.best();
            let classifier = case.law().classifier_score(&case.at(), case.class).unwrap()[[0, 0]];
            let largest = (none.abs().max(class.abs()) / case.noise()).max(1.0);
            distance_of_numbers(right(-none / case.noise(), classifier), -class / case.noise(), largest)
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects("the classifier subtracted", case(), |case| {
            by_differences(&case, |score, classifier| score - classifier)
        });
    }

    #[test]
    fn wrong_variant_classifier_alone() {
        check!(FiniteDifference)
            .bound(1e-9, DIFFERENCES)
            .rejects("the classifier alone", case(), |case| by_differences(&case, |_, classifier| classifier));
    }

    fn right(score: f64, classifier: f64) -> f64 {
        guidance::bayes_score(&array![score], &array![classifier]).unwrap()[0]
    }

    fn by_differences(case: &Case, bayes_score: impl Fn(f64, f64) -> f64) -> f64 {
        let score = case.slope(|xt| case.log_of_all(xt));
        let classifier = case.slope(|xt| case.log_probability(xt));
        let want = case.slope(|xt| case.log_of_class(case.class, xt));
        distance_of_numbers(bayes_score(score, classifier), want, 1.0)
    }

    /// The twin's scores of all and of the classifier, both by autograd, make that of the class.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let [all, classifier] = [
                case.log_joint(&xt).logsumexp([-1], false),
                case.of_class(&case.log_joint(&xt).log_softmax(-1, tch::Kind::Double)),
            ]
            .map(|log| gradient(&log, &xt));
            let sum = guidance::bayes_score(&flat(&all), &flat(&classifier)).unwrap();
            let want = case.by_point(|law, xt, class| law.class_score(xt, class));
            (tch::Tensor::from_slice(&sum.to_vec()), want)
        });
    }

    #[test]
    fn bad_input() {
        let error = guidance::bayes_score(&array![1.0, 2.0], &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "classifier_score", expected: vec![2], got: vec![1] });
    }
}

mod classifier_guided_eps {
    use super::*;

    /// −√(1 − ᾱ_t) times the derivative of ln q(x_t) + w ln q(c | x_t).
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| by_differences(&case, right));
    }

    /// With the best predictions, it is classifier-free guidance.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, UNITS).property(case(), |case| without_classifier(&case, right));
    }

    /// Weight 0 changes nothing; weight 1 gives the prediction for the class.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-13, UNITS).property(case(), |case| {
            let (none, class) = case.best();
            let largest = none.abs().max(class.abs()).max(1.0);
            let off = |weight, want| distance_of_numbers(right(&Case { weight, ..case.clone() }), want, largest);
            off(0.0, none).max(off(1.0, class))
        });
    }

    #[test]
    fn wrong_variant_root() {
        check!(Identity).bound(1e-13, UNITS).rejects("the root of 1 - alpha_bar left out", case(), |case| {
            without_classifier(&case, |case| {
                let classifier = case.law().classifier_score(&case.at(), case.class).unwrap()[[0, 0]];
                case.best().0 - case.weight * classifier
            })
        });
    }

    #[test]
    fn wrong_variant_sign() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects("a plus: away from the class", case(), |case| {
            by_differences(&case, |case| right(&Case { weight: -case.weight, ..case.clone() }))
        });
    }

    const UNITS: &str = "50 roundings, in units of the largest of the predictions times 1 + |w|";

    fn right(case: &Case) -> f64 {
        let eps = array![case.best().0];
        let classifier = array![case.law().classifier_score(&case.at(), case.class).unwrap()[[0, 0]]];
        guidance::classifier_guided_eps(&eps, &classifier, case.step, case.weight).unwrap()[0]
    }

    fn by_differences(case: &Case, guided: impl Fn(&Case) -> f64) -> f64 {
        let slope = case.slope(|xt| case.log_of_all(xt) + case.weight * case.log_probability(xt));
        distance_of_numbers(guided(case), -case.noise() * slope, 1.0)
    }

    fn without_classifier(case: &Case, guided: impl Fn(&Case) -> f64) -> f64 {
        let (none, class) = case.best();
        let want = guidance::guided_prediction(&array![none], &array![class], case.weight).unwrap()[0];
        let largest = none.abs().max(class.abs()).max(1.0) * (1.0 + case.weight.abs());
        distance_of_numbers(guided(case), want, largest)
    }

    /// By autograd of ln q(x_t) + w ln q(c | x_t).
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let joint = case.log_joint(&xt);
            let of_class = case.of_class(&joint.log_softmax(-1, tch::Kind::Double));
            let got = case.eps_of(&(joint.logsumexp([-1], false) + of_class * case.weight), &xt);
            let want = case.by_step(|step, xt| {
                let eps = case.data.mixture_eps(xt, step)?;
                let classifier = case.data.marginal(step).classifier_score(xt, case.class)?;
                guidance::classifier_guided_eps(&eps, &classifier, step, case.weight)
            });
            (got, want)
        });
    }

    #[test]
    fn bad_input() {
        let step = few_steps()[0];
        let error = guidance::classifier_guided_eps(&array![1.0, 2.0], &array![1.0], step, 1.0).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "classifier_score", expected: vec![2], got: vec![1] });
        let not_finite = guidance::classifier_guided_eps(&array![1.0], &array![1.0], step, f64::INFINITY);
        assert!(matches!(not_finite, Err(Error::OutOfRange { name: "the weight of guidance", .. })));
    }
}

mod guided_prediction {
    use super::*;

    /// With the best predictions, it is −√(1 − ᾱ_t) times the derivative of (1 − w) ln q(x_t) + w ln q(x_t | c).
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| by_differences(&case, right));
    }

    /// Guided as x_0 or as v, and turned into ε afterwards, it is the same.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(1e-13, "40 roundings, in units of the largest number times 1 + |w|, divided by √(ᾱ_t (1 − ᾱ_t))")
            .property((step(50), arrays(), -1.0..8.0), |(step, [xt, none, class], weight)| {
                let guide =
                    |none: &Array1<f64>, class: &Array1<f64>| guidance::guided_prediction(none, class, weight).unwrap();
                let want = guide(&none, &class);
                let x0 = |eps: &Array1<f64>| objective::x0_from_eps(&xt, step, eps).unwrap();
                let v = |eps: &Array1<f64>| objective::v_target(&x0(eps), step, eps).unwrap();
                let through_x0 = objective::eps_from_x0(&guide(&x0(&none), &x0(&class)), &xt, step).unwrap();
                let through_v = objective::eps_from_v(&xt, step, &guide(&v(&none), &v(&class))).unwrap();
                let numbers = [&xt, &none, &class].into_iter().flatten();
                let largest = numbers.fold(1.0_f64, |most, x| most.max(x.abs())) * (1.0 + weight.abs());
                let scale = largest / (step.alpha_bar * step.one_minus_alpha_bar).sqrt();
                distance(&through_x0, &want, scale).max(distance(&through_v, &want, scale))
            });
    }

    /// Weight 0 is no class, weight 1 is the class.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "2 roundings, in units of the largest number").property(
            arrays(),
            |[none, class]| {
                let at = |weight| guidance::guided_prediction(&none, &class, weight).unwrap();
                let largest = none.iter().chain(&class).fold(1.0_f64, |most, x| most.max(x.abs()));
                distance(&at(0.0), &none, largest).max(distance(&at(1.0), &class, largest))
            },
        );
    }

    #[test]
    fn wrong_variant_swapped() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects("the two predictions swapped", case(), |case| {
            by_differences(&case, |none, class, weight| right(class, none, weight))
        });
    }

    #[test]
    fn wrong_variant_count() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).rejects("w counted from the class", case(), |case| {
            by_differences(&case, |none, class, weight| right(none, class, weight + 1.0))
        });
    }

    #[test]
    fn wrong_variant_sum() {
        let mistake = "weights that do not add up to 1";
        check!(FiniteDifference)
            .bound(1e-9, DIFFERENCES)
            .rejects(mistake, case(), |case| by_differences(&case, |none, class, weight| none + weight * class));
    }

    fn right(none: f64, class: f64, weight: f64) -> f64 {
        guidance::guided_prediction(&array![none], &array![class], weight).unwrap()[0]
    }

    fn by_differences(case: &Case, guided: impl Fn(f64, f64, f64) -> f64) -> f64 {
        let (none, class) = case.best();
        let tilted = |xt| (1.0 - case.weight) * case.log_of_all(xt) + case.weight * case.log_of_class(case.class, xt);
        distance_of_numbers(guided(none, class, case.weight), -case.noise() * case.slope(tilted), 1.0)
    }

    /// Linear interpolation, which may go beyond its end.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees(
            check!(Torch),
            |[none, class], _| guidance::guided_prediction(none, class, 2.5),
            |[none, class], _| Ok(none.lerp(class, 2.5)),
        );
    }

    #[test]
    fn bad_input() {
        shapes_and_weights(guidance::guided_prediction);
    }
}

/// Shapes that differ, and weights that are not finite, are errors.
fn shapes_and_weights(guided: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>, f64) -> Result<Array1<f64>>) {
    let error = guided(&array![1.0, 2.0], &array![1.0], 1.0).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { name: "class", expected: vec![2], got: vec![1] });
    for weight in [f64::NAN, f64::INFINITY] {
        let error = guided(&array![1.0], &array![1.0], weight).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "the weight of guidance", .. }));
    }
}

mod guided_prediction_beyond {
    use super::*;

    /// One less, counted from the class.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, UNITS).property((arrays(), -1.0..8.0), |case| one_less(case, right));
    }

    /// 0 is the class, and −1 no class.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "products with 0 and 1, and sums with 0, are exact").property(
            arrays(),
            |[none, class]| {
                distance(&right(&none, &class, 0.0), &class, 1.0).max(distance(&right(&none, &class, -1.0), &none, 1.0))
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-14, UNITS).rejects("w' taken for w", (arrays(), -1.0..8.0), |case| {
            one_less(case, |none, class, beyond| right(none, class, beyond + 1.0))
        });
    }

    const UNITS: &str = "6 roundings, in units of the largest number times 1 + |w|";

    fn right(none: &Array1<f64>, class: &Array1<f64>, beyond: f64) -> Array1<f64> {
        guidance::guided_prediction_beyond(none, class, beyond).unwrap()
    }

    fn one_less(
        ([none, class], weight): ([Array1<f64>; 2], f64),
        guided: impl Fn(&Array1<f64>, &Array1<f64>, f64) -> Array1<f64>,
    ) -> f64 {
        let largest = none.iter().chain(&class).fold(1.0_f64, |most, x| most.max(x.abs()));
        let want = guidance::guided_prediction(&none, &class, weight).unwrap();
        distance(&guided(&none, &class, weight - 1.0), &want, largest * (1.0 + weight.abs()))
    }

    /// From the class, away from no class.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        // At a weight of −1.5, libtorch's lerp goes by way of the other end: a difference, a product with 2.5 and a difference.
        twin::agrees_by_way(
            check!(Torch),
            5,
            |[none, class], _| guidance::guided_prediction_beyond(none, class, 1.5),
            |[none, class], _| Ok(class.lerp(none, -1.5)),
        );
    }

    #[test]
    fn bad_input() {
        shapes_and_weights(guidance::guided_prediction_beyond);
    }
}

mod tilted_log_density {
    use super::*;

    /// q(x_t) times the probability of the class to the power w, divided by the class's share to that power.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, UNITS).property(case(), |case| by_classifier(&case, right));
    }

    /// Weights 0 and 1 are densities: their integrals are 1.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(case(), |case| {
            let area =
                |weight| integral(-20.0, 20.0, 1000, |xt| right(&Case { xt, weight, ..case.clone() }).exp()) - 1.0;
            larger(area(0.0).abs(), area(1.0).abs())
        });
    }

    /// Its derivative is the guided score.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-9, DIFFERENCES).property(case(), |case| {
            let (none, class) = case.best();
            let eps = guidance::guided_prediction(&array![none], &array![class], case.weight).unwrap()[0];
            let slope = case.slope(|xt| right(&Case { xt, ..case.clone() }));
            distance_of_numbers(eps, -case.noise() * slope, 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        let mistake = "q(x) q(x | c)^w, whose weights do not add up to 1";
        check!(Identity).bound(1e-12, UNITS).rejects(mistake, case(), |case| {
            by_classifier(&case, |case| right(case) + case.weight * case.log_of_all(case.xt))
        });
    }

    const UNITS: &str = "sums of logarithms of up to 100, times 1 + |w|";

    fn right(case: &Case) -> f64 {
        case.law().tilted_log_density(&case.at(), case.class, case.weight).unwrap()[0]
    }

    fn by_classifier(case: &Case, tilted: impl Fn(&Case) -> f64) -> f64 {
        let likelihood = case.log_probability(case.xt) - case.shares[case.class].ln();
        let want = case.log_of_all(case.xt) + case.weight * likelihood;
        distance_of_numbers(tilted(case), want, 10.0)
    }

    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        agrees(check!(Torch), |case| {
            let xt = case.xt();
            let joint = case.log_joint(&xt);
            let of_class = case.of_class(&joint) - case.shares[case.class].ln();
            let want = case.by_point(|law, xt, class| {
                Ok(law.tilted_log_density(xt, class, case.weight)?.insert_axis(ndarray::Axis(1)))
            });
            (joint.logsumexp([-1], false).lerp(&of_class, case.weight), want)
        });
    }

    #[test]
    fn bad_input() {
        let law = three_classes();
        assert_wrong_dimensions(law.tilted_log_density(&wrong_dimensions(), 0, 1.0));
        assert_no_such_class(law.tilted_log_density(&array![[0.0, 0.0]], 3, 1.0));
        let not_finite = law.tilted_log_density(&array![[0.0, 0.0]], 0, f64::NAN);
        assert!(matches!(not_finite, Err(Error::OutOfRange { name: "the weight of guidance", .. })));
    }
}

mod class_dropout_floor {
    use super::*;

    /// The loss of the best answers, with some classes dropped at random.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| loss_of_the_best(rng, right));
    }

    /// Dropped never, or always.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "products with 0 and 1 are exact").property((0.0..1.0, 0.0..1.0), |(none, class)| {
            distance_of_numbers(right(0.0, none, class), class, 1.0).max(distance_of_numbers(
                right(1.0, none, class),
                none,
                1.0,
            ))
        });
    }

    #[test]
    fn wrong_variant_class_alone() {
        check!(MonteCarlo).rejects_z_scores("the floor of the class, whatever is dropped", |rng| {
            loss_of_the_best(rng, |_, _, class| class)
        });
    }

    #[test]
    fn wrong_variant_exchanged() {
        check!(MonteCarlo).rejects_z_scores("the share of the told taken for that of the dropped", |rng| {
            loss_of_the_best(rng, |dropout, none, class| right(dropout, class, none))
        });
    }

    fn right(dropout: f64, none: f64, class: f64) -> f64 {
        guidance::class_dropout_floor(dropout, none, class).unwrap()
    }

    /// Two classes in one dimension, so that the floors can be integrated.
    fn loss_of_the_best(rng: &mut ChaCha8Rng, floor: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let (dropout, variance) = (0.3, 0.25);
        let data = Classes::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![variance, variance]).unwrap();
        let mut scores = Vec::new();
        for step in few_steps() {
            let law = data.marginal(step);
            let of_none = 1.0
                - integral(-12.0, 12.0, 2000, |x| {
                    let xt = array![[x]];
                    let density = law.tilted_log_density(&xt, 0, 0.0).unwrap()[0].exp();
                    density * data.mixture_eps(&xt, step).unwrap()[[0, 0]].powi(2)
                });
            let of_class = objective::gaussian_floor(variance, step).unwrap();
            let losses: Vec<f64> = (0..20_000)
                .map(|_| {
                    let (class, told) = (rng.random_range(0..2_usize), rng.random_range(0.0..1.0) >= dropout);
                    let [place, eps]: [f64; 2] = [(); 2].map(|()| rng.sample(StandardNormal));
                    let x0 = array![[2.0 * class as f64 - 1.0 + variance.sqrt() * place]];
                    let xt = forward::q_sample(&x0, step, &array![[eps]]).unwrap();
                    let best =
                        if told { data.class_eps(&xt, step, class) } else { data.mixture_eps(&xt, step) }.unwrap();
                    (eps - best[[0, 0]]).powi(2)
                })
                .collect();
            scores.push(z_score(&losses, floor(dropout, of_none, of_class)));
        }
        scores
    }

    /// The twin's floors of a wide Gaussian and of a narrow one.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let floor = |step: Step| {
            let [none, class] = [1.3, 0.4].map(|variance| objective::gaussian_floor(variance, step).unwrap());
            right(0.2, none, class)
        };
        twin::agrees_by_step(check!(Torch), floor, floor, |steps| {
            diffusion::gaussian_floor(0.4, steps).lerp(&diffusion::gaussian_floor(1.3, steps), 0.2)
        });
    }

    #[test]
    fn bad_input() {
        for dropout in [-0.1, 1.1, f64::NAN] {
            let error = guidance::class_dropout_floor(dropout, 0.5, 0.5).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "the class dropout", .. }));
        }
    }
}

/// A Gaussian for all of the data, a narrower one for the class, and a weight.
fn pair() -> impl Strategy<Value = ((f64, f64), (f64, f64), f64)> {
    (-1.0..1.0, 0.5..2.0, -1.0..1.0, 0.1..0.9, 0.0..8.0).prop_map(
        |(mean_of_all, variance, mean, share, weight): (f64, f64, f64, f64, f64)| {
            ((mean_of_all, variance), (mean, share * variance), weight)
        },
    )
}

mod tilted_moments {
    use super::*;

    /// The moments of N(x; M, V)^{1−w} N(x; m, v)^w, integrated.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(pair(), |case| by_integrals(case, right));
    }

    /// The square completed.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "a dozen roundings, of precisions of up to 160").property(
            pair(),
            |(all, class, weight)| {
                let square = (1.0 - weight) / all.1 + weight / class.1;
                let line = (1.0 - weight) * all.0 / all.1 + weight * class.0 / class.1;
                let (mean, variance, _) = gaussian::complete_square(square, line).unwrap();
                let (got_mean, got_variance) = right(all, class, weight);
                distance_of_numbers(got_mean, mean, 1.0).max(distance_of_numbers(got_variance, variance, 1e-3))
            },
        );
    }

    /// Weight 0 is all of the data, weight 1 the class.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, "a few roundings").property(pair(), |(all, class, _)| {
            apart(right(all, class, 0.0), all).max(apart(right(all, class, 1.0), class))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-12, GRID).rejects("variances added in place of precisions", pair(), |case| {
            by_integrals(case, |all, class, weight| {
                ((1.0 - weight) * all.0 + weight * class.0, (1.0 - weight) * all.1 + weight * class.1)
            })
        });
    }

    fn right(all: (f64, f64), class: (f64, f64), weight: f64) -> (f64, f64) {
        guidance::tilted_moments(all, class, weight).unwrap()
    }

    fn apart(got: (f64, f64), want: (f64, f64)) -> f64 {
        distance_of_numbers(got.0, want.0, 1.0).max(distance_of_numbers(got.1, want.1, 1e-3))
    }

    fn by_integrals(
        (all, class, weight): ((f64, f64), (f64, f64), f64),
        tilted: impl Fn((f64, f64), (f64, f64), f64) -> (f64, f64),
    ) -> f64 {
        let log = |x: f64| {
            let square = |(mean, variance): (f64, f64)| -0.5 * (x - mean).powi(2) / variance;
            (1.0 - weight) * square(all) + weight * square(class)
        };
        // The variance of the class is at most 0.9 V, so that the mean lies within 20 of 0.
        let area = |f: &dyn Fn(f64) -> f64| integral(-30.0, 30.0, 12_000, |x| f(x) * log(x).exp());
        let total = area(&|_| 1.0);
        let mean = area(&|x| x) / total;
        let variance = area(&|x| (x - mean).powi(2)) / total;
        apart(tilted(all, class, weight), (mean, variance))
    }

    /// A parabola has its mean where its slope is 0, and its precision is minus its second derivative: both by autograd.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        use tch::Tensor;
        check!(Torch).bound(1e-12, "a dozen roundings, of precisions of up to 160").property(
            pair(),
            |(all, class, weight)| {
                let x = Tensor::from_slice(&[0.0_f64]).to_device(twin::device()).set_requires_grad(true);
                let log = |(mean, variance): (f64, f64)| (&x - mean).square() * (-0.5 / variance);
                let tilted = log(all).lerp(&log(class), weight);
                let slope = Tensor::run_backward(&[tilted], &[&x], true, true).remove(0);
                let curvature = Tensor::run_backward(&[&slope], &[&x], false, false).remove(0);
                let (slope, curvature) = (slope.double_value(&[0]), curvature.double_value(&[0]));
                apart(right(all, class, weight), (-slope / curvature, -1.0 / curvature))
            },
        );
    }

    #[test]
    fn bad_input() {
        for variance in [0.0, -1.0, f64::NAN] {
            assert!(matches!(right_or(1.0, variance, 1.0), Err(Error::OutOfRange { .. })));
            assert!(matches!(right_or(variance, 1.0, 1.0), Err(Error::OutOfRange { .. })));
        }
        // A class that is wider than all: too much weight, and nothing is left that has an area.
        let wide = right_or(1.0, 2.0, 3.0);
        assert!(matches!(wide, Err(Error::OutOfRange { name: "the precision of the tilted density", .. })), "{wide:?}");
        assert!(right_or(1.0, 1.0, f64::NAN).is_err());
    }

    fn right_or(variance_of_all: f64, variance: f64, weight: f64) -> Result<(f64, f64)> {
        guidance::tilted_moments((0.0, variance_of_all), (0.0, variance), weight)
    }
}

mod guided_moments {
    use super::*;

    /// The sampler itself, at two places: DDIM makes a line of a line.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-10, UNITS).property(case(), |case| by_sampler(case, right));
    }

    /// The sampler itself, with the noise of an ancestral step.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| moments_of_samples(rng, right));
    }

    /// Weight 0 samples all of the data, and weight 1 the class, as without guidance.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-11, UNITS).property((case(), 0.0..1.0), |((all, class, _, schedule), eta)| {
            let without = |(mean, variance)| sampler::ddim_moments(mean, variance, &schedule, eta).unwrap();
            let guided = |weight| guidance::guided_moments(all, class, weight, &schedule, eta).unwrap();
            apart(guided(0.0), without(all)).max(apart(guided(1.0), without(class)))
        });
    }

    #[test]
    fn wrong_variant_tilted() {
        check!(MonteCarlo).rejects_z_scores("the moments of the tilted density", |rng| {
            moments_of_samples(rng, |all, class, weight, _, _| guidance::tilted_moments(all, class, weight).unwrap())
        });
    }

    #[test]
    fn wrong_variant_swapped() {
        check!(Identity).bound(1e-10, UNITS).rejects("all and the class swapped", case(), |case| {
            by_sampler(case, |all, class, weight, schedule, eta| right(class, all, weight, schedule, eta))
        });
    }

    const UNITS: &str = "a few hundred roundings, which each step multiplies by at most a few";

    type Pair = ((f64, f64), (f64, f64), f64, Schedule);

    fn case() -> impl Strategy<Value = Pair> {
        let schedules = (4..=40_usize, 0.1..0.4).prop_map(|(t, last)| Schedule::linear(t, 0.01, last).unwrap());
        (pair(), schedules).prop_map(|((all, class, weight), schedule)| (all, class, weight, schedule))
    }

    fn right(all: (f64, f64), class: (f64, f64), weight: f64, schedule: &Schedule, eta: f64) -> (f64, f64) {
        guidance::guided_moments(all, class, weight, schedule, eta).unwrap()
    }

    fn apart(got: (f64, f64), want: (f64, f64)) -> f64 {
        distance_of_numbers(got.0, want.0, 1.0).max(distance_of_numbers(got.1, want.1, 1e-3))
    }

    fn guided_samples(
        begin: Array1<f64>,
        (all, class, weight): ((f64, f64), (f64, f64), f64),
        schedule: &Schedule,
        eta: f64,
        rng: &mut ChaCha8Rng,
    ) -> Array1<f64> {
        let times: Vec<usize> = (1..=schedule.timesteps()).collect();
        let denoiser = |xt: &ArrayRef1<f64>, step: Step| {
            let none = objective::gaussian_eps(all.0, all.1, xt, step)?;
            let of_class = objective::gaussian_eps(class.0, class.1, xt, step)?;
            guidance::guided_prediction(&none, &of_class, weight)
        };
        sampler::ddim(&begin, schedule, &times, eta, denoiser, rng).unwrap()
    }

    fn by_sampler(
        (all, class, weight, schedule): Pair,
        moments: impl Fn((f64, f64), (f64, f64), f64, &Schedule, f64) -> (f64, f64),
    ) -> f64 {
        let rng = &mut support::rng(0, "not used");
        let ends = guided_samples(array![0.0, 1.0], (all, class, weight), &schedule, 0.0, rng);
        apart(moments(all, class, weight, &schedule, 0.0), (ends[0], (ends[1] - ends[0]).powi(2)))
    }

    fn moments_of_samples(
        rng: &mut ChaCha8Rng,
        moments: impl Fn((f64, f64), (f64, f64), f64, &Schedule, f64) -> (f64, f64),
    ) -> Vec<f64> {
        let schedule = Schedule::linear(40, 0.005, 0.4).unwrap();
        let (all, class) = ((0.2, 1.0), (1.0, 0.3));
        let mut scores = Vec::new();
        for (weight, eta) in [(2.0, 1.0), (4.0, 1.0), (2.0, 0.0), (1.0, 0.5)] {
            let begin = Array1::random_using(50_000, StandardNormal, rng);
            let samples = guided_samples(begin, (all, class, weight), &schedule, eta, rng);
            let (mean, variance) = moments(all, class, weight, &schedule, eta);
            let squares: Vec<f64> = samples.iter().map(|x| (x - mean).powi(2)).collect();
            scores.extend([z_score(&samples.to_vec(), mean), z_score(&squares, variance)]);
        }
        scores
    }

    /// The twin's own step, at two places.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1e-10, UNITS).property(case(), |(all, class, weight, schedule)| {
            let ends = walk(&twin::twin(&schedule), all, class, weight);
            apart(right(all, class, weight, &schedule, 0.0), (ends[0], (ends[1] - ends[0]).powi(2)))
        });
    }

    #[test]
    fn bad_input() {
        let schedule = Schedule::linear(3, 0.1, 0.5).unwrap();
        let moments =
            |variance, weight, eta| guidance::guided_moments((0.0, variance), (0.0, 0.5), weight, &schedule, eta);
        assert!(moments(1.0, 2.0, 1.0).is_ok());
        assert!(matches!(moments(-1.0, 2.0, 1.0), Err(Error::OutOfRange { name: "variance", .. })));
        assert!(matches!(moments(1.0, f64::NAN, 1.0), Err(Error::OutOfRange { name: "the weight of guidance", .. })));
        assert!(matches!(moments(1.0, 2.0, 1.5), Err(Error::OutOfRange { name: "eta", .. })));
        let no_signal = Schedule::from_betas(&[0.5, 1.0]).unwrap();
        let error = guidance::guided_moments((0.0, 1.0), (0.0, 0.5), 2.0, &no_signal, 0.0).unwrap_err();
        assert_eq!(error, Error::ZeroSnr { t: 2 });
    }
}

/// The numbers to which the twin's DDIM with guidance carries 0 and 1.
#[cfg(feature = "torch")]
fn walk(schedule: &torch::Schedule, all: (f64, f64), class: (f64, f64), weight: f64) -> Vec<f64> {
    let mut x = tch::Tensor::from_slice(&[0.0_f64, 1.0]).view([2, 1]).to_device(twin::device());
    for t in (1..=schedule.timesteps()).rev() {
        let steps = schedule.at(&[t, t]).unwrap();
        let best =
            |(mean, variance): (f64, f64)| diffusion::gaussian_eps(&x, &steps, &x.full_like(mean), variance).unwrap();
        let eps = best(all).lerp(&best(class), weight);
        let x0 = diffusion::x0_from_eps(&x, &steps, &eps).unwrap();
        x = diffusion::ddim_step(&x0, &eps, &steps, 0.0, &x.zeros_like()).unwrap();
    }
    twin::numbers(&x)
}

mod guided_flow_variance {
    use super::*;

    /// The flow of y = x_t/√ᾱ_t as σ² = (1 − ᾱ_t)/ᾱ_t falls: a distance grows by the integral of its rate.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-12, GRID).property(pair(), |case| by_flow(case, right));
    }

    /// Weight 0 is all of the data, weight 1 the class.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "two powers").property(pair(), |((_, all), (_, class), _)| {
            distance_of_numbers(right(all, class, 0.0), all, 1e-3).max(distance_of_numbers(
                right(all, class, 1.0),
                class,
                1e-3,
            ))
        });
    }

    /// 8,000 steps of DDIM come near, also where the class is wider than all of the data and has no tilted density.
    #[test]
    fn identity() {
        assert!(guidance::tilted_moments((0.0, 1.0), (1.0, 2.0), 3.0).is_err());
        check!(Identity)
            .bound(0.02, "what the steps and the end of the schedule leave")
            .cases([(0.25, 0.0), (0.25, 0.5), (0.25, 1.0), (0.25, 2.0), (0.25, 3.0), (2.0, 3.0)], many_steps);
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-12, GRID).rejects("the variance of the tilted density", pair(), |case| {
            by_flow(case, |all, class, weight| guidance::tilted_moments((0.0, all), (0.0, class), weight).unwrap().1)
        });
    }

    fn right(all: f64, class: f64, weight: f64) -> f64 {
        guidance::guided_flow_variance(all, class, weight).unwrap()
    }

    fn by_flow(
        ((_, all), (_, class), weight): ((f64, f64), (f64, f64), f64),
        variance: impl Fn(f64, f64, f64) -> f64,
    ) -> f64 {
        // With σ² = e^u, ln Var falls by ∫ [(1 − w) σ²/(V + σ²) + w σ²/(v + σ²)] du from u = 40, where it is 40, to 0.
        let rate = |u: f64| {
            let r = u.exp();
            (1.0 - weight) * r / (all + r) + weight * r / (class + r)
        };
        let log_variance = 40.0 - integral(-40.0, 40.0, 1600, rate);
        distance_of_numbers(variance(all, class, weight).ln(), log_variance, 1.0)
    }

    fn many_steps((class, weight): (f64, f64)) -> f64 {
        let schedule = Schedule::linear(8000, 1e-4 / 8.0, 0.02 / 8.0).unwrap();
        let (_, got) = guidance::guided_moments((0.0, 1.0), (1.0, class), weight, &schedule, 0.0).unwrap();
        distance_of_numbers(right(1.0, class, weight), got, 1e-3)
    }

    /// 500 steps of the twin's DDIM.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(0.05, "what the steps and the end of the schedule leave").cases([0.5, 2.0], |weight| {
            let schedule = torch::Schedule::linear(500, 1e-4 * 2.0, 0.02 * 2.0).unwrap();
            let ends = walk(&schedule, (0.0, 1.0), (1.0, 0.25), weight);
            distance_of_numbers(right(1.0, 0.25, weight), (ends[1] - ends[0]).powi(2), 1e-3)
        });
    }

    #[test]
    fn bad_input() {
        for (all, class, weight) in [(0.0, 1.0, 1.0), (1.0, f64::NAN, 1.0), (1.0, 1.0, f64::INFINITY)] {
            let result = guidance::guided_flow_variance(all, class, weight);
            assert!(matches!(result, Err(Error::OutOfRange { .. })), "{result:?}");
        }
    }

    /// Where V^{1−w} is too large for a number, the result need not be.
    #[test]
    fn small_variances() {
        for (all, class, weight, want) in [(1e-10, 1e-12, 40.0, 1e-90), (1e-200, 1e-200, 3.0, 1e-200)] {
            let got = guidance::guided_flow_variance(all, class, weight).unwrap();
            assert!((got / want - 1.0).abs() < 1e-13, "{got}");
        }
    }
}

/// For the twin: classes in several dimensions, and points with a time each.
#[cfg(feature = "torch")]
#[derive(Debug, Clone)]
struct Batch {
    data: Classes,
    shares: Array1<f64>,
    means: Array2<f64>,
    variances: Array1<f64>,
    schedule: Schedule,
    times: Vec<usize>,
    points: Array2<f64>,
    class: usize,
    weight: f64,
}

#[cfg(feature = "torch")]
fn batch() -> impl Strategy<Value = Batch> {
    use prop::collection::vec;
    let lengths = (1..=4_usize, 1..=3_usize, 1..=4_usize);
    lengths.prop_flat_map(|(classes, dimensions, points)| {
        let numbers = |count, range| vec(range, count);
        (
            numbers(classes, 0.1..1.0),
            numbers(classes * dimensions, -2.0..2.0),
            numbers(classes, 0.1..2.0),
            vec(1..=12_usize, points),
            numbers(points * dimensions, -3.0..3.0),
            (0..classes, -1.0..8.0),
        )
            .prop_map(move |(shares, means, variances, times, xt, (class, weight))| {
                let total: f64 = shares.iter().sum();
                let shares: Array1<f64> = shares.iter().map(|share| share / total).collect();
                let means = Array2::from_shape_vec((classes, dimensions), means).unwrap();
                let variances = Array1::from(variances);
                let data = Classes::new(shares.clone(), means.clone(), variances.clone()).unwrap();
                let points = Array2::from_shape_vec((points, dimensions), xt).unwrap();
                let schedule = Schedule::linear(12, 0.02, 0.8).unwrap();
                Batch { data, shares, means, variances, schedule, times, points, class, weight }
            })
    })
}

#[cfg(feature = "torch")]
impl Batch {
    fn steps(&self) -> torch::Steps {
        twin::twin(&self.schedule).at(&self.times).unwrap()
    }

    /// x_t, of which derivatives can be taken.
    fn xt(&self) -> tch::Tensor {
        twin::tensor(&self.points, tch::Kind::Double).set_requires_grad(true)
    }

    /// ln of the share and of the density of each class at each point: (N, K).
    fn log_joint(&self, xt: &tch::Tensor) -> tch::Tensor {
        let (kind, device) = (tch::Kind::Double, twin::device());
        let (steps, dimensions) = (self.steps(), self.points.ncols() as f64);
        let by_step = |numbers: &tch::Tensor| numbers.unsqueeze(1).to_device(device);
        let signal = by_step(&steps.alpha_bar);
        let variance = &signal * twin::row(&self.variances) + by_step(&steps.one_minus_alpha_bar);
        let means = twin::tensor(&self.means, kind).unsqueeze(0) * signal.sqrt().unsqueeze(2);
        let squares = (xt.unsqueeze(1) - means).square().sum_dim_intlist([2_i64].as_slice(), false, kind);
        let log_density = (squares / &variance + (variance * std::f64::consts::TAU).log() * dimensions) * -0.5;
        log_density + twin::row(&self.shares).log()
    }

    /// The column of the class asked for.
    fn of_class(&self, columns: &tch::Tensor) -> tch::Tensor {
        columns.select(1, self.class as i64)
    }

    /// −√(1 − ᾱ_t) times the gradient of a logarithm.
    fn eps_of(&self, log: &tch::Tensor, xt: &tch::Tensor) -> tch::Tensor {
        gradient(log, xt) * -self.steps().one_minus_alpha_bar.sqrt().unsqueeze(1).to_device(xt.device())
    }

    /// What the reference says, point by point.
    fn by_step(&self, reference: impl Fn(Step, &Array2<f64>) -> Result<Array2<f64>>) -> Vec<f64> {
        let rows = self.times.iter().zip(self.points.rows());
        rows.flat_map(|(&t, row)| {
            let xt = row.to_owned().insert_axis(ndarray::Axis(0));
            reference(self.schedule.step(t).unwrap(), &xt).unwrap()
        })
        .collect()
    }

    /// What the law of x_t says, point by point.
    fn by_point(&self, reference: impl Fn(&Classes, &Array2<f64>, usize) -> Result<Array2<f64>>) -> Vec<f64> {
        self.by_step(|step, xt| reference(&self.data.marginal(step), xt, self.class))
    }
}

/// The gradient of each number by the row of x_t that it was made of.
#[cfg(feature = "torch")]
fn gradient(of: &tch::Tensor, xt: &tch::Tensor) -> tch::Tensor {
    tch::Tensor::run_backward(&[of.sum(tch::Kind::Double)], &[xt], true, false).remove(0)
}

#[cfg(feature = "torch")]
fn flat(tensor: &tch::Tensor) -> Array1<f64> {
    Array1::from(twin::numbers(tensor))
}

/// What the twin derives, beside the reference.
#[cfg(feature = "torch")]
fn agrees(check: support::Check, both: impl Fn(&Batch) -> (tch::Tensor, Vec<f64>)) {
    check.bound(1e-11, "sums of scores of up to 50, weighted by up to 8, each to a few roundings").property(
        batch(),
        |batch| {
            let (got, want) = both(&batch);
            distance(&flat(&got), &Array1::from(want), 1.0)
        },
    );
}
