//! Exercises 14 to 16: the network, its training, and the exact score.

use literate_diffusion::gaussian::log_density;
use literate_diffusion::mlp::{Linear, MlpDiffusion, loss_gradient, mlp_backward, mlp_forward};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::{Result, Schedule, objective};
use ndarray::{Array, Array1, Array2, ArrayD, ArrayView1, Axis, Dimension, Ix1, Ix2, Slice, concatenate};
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;

use super::draw::{Draw, cases};
use super::{Function, Tolerance, mistake};
use crate::case::{Arg, Case, Output, Outputs, number, one};

/// How far above the Bayes floor the loss of exercise 15 may be.
const ABOVE_FLOOR: f64 = 0.05;

/// An argument as an array of a known dimension.
fn array<D: Dimension>(c: &Case, name: &str) -> Array<f64, D> {
    let array = c.array(name).clone().into_dimensionality();
    array.unwrap_or_else(|error| panic!("{name} of {}: {error}", c.function))
}

fn output<D: Dimension>(name: &str, array: Array<f64, D>) -> Output {
    Output { name: name.to_owned(), array: array.into_dyn() }
}

/// A network with 1 to 4 hidden units, and a batch in which a time may come twice.
fn net_args(draw: &mut Draw) -> Vec<(&'static str, Arg)> {
    let hidden = 1 + draw.index % 4;
    let n = draw.n + draw.index % 3;
    let timesteps = draw.timesteps;
    let mut normal =
        |shape: &[usize]| Arg::Array(ArrayD::from_shape_simple_fn(shape, || draw.rng.sample::<f64, _>(StandardNormal)));
    let mut args = vec![
        ("w1", normal(&[hidden, 2])),
        ("b1", normal(&[hidden])),
        ("e", normal(&[timesteps + 1, hidden])),
        ("w2", normal(&[2, hidden])),
        ("b2", normal(&[2])),
    ];
    args.push(("x", draw.array(&[n, 2])));
    args.push(("times", Arg::Ints((0..n).map(|_| draw.rng.random_range(1..=timesteps)).collect())));
    args
}

/// The reference's network: its table has no row for t = 0.
fn net(c: &Case) -> MlpDiffusion<f64> {
    let linear = |weight, bias| Linear { weight: array(c, weight), bias: array(c, bias) };
    let table = array::<Ix2>(c, "e").slice_axis(Axis(0), Slice::from(1..)).to_owned();
    MlpDiffusion { linears: vec![linear("w1", "b1"), linear("w2", "b2")], embeddings: vec![table] }
}

/// ε_θ and the hidden layer before the ReLU, for a table row and an activation that may be wrong.
fn wrong_forward(c: &Case, row: impl Fn(usize) -> Option<usize>, relu: fn(f64) -> f64) -> (Array2<f64>, Array2<f64>) {
    let e = array::<Ix2>(c, "e");
    let mut a = array::<Ix2>(c, "x").dot(&array::<Ix2>(c, "w1").t()) + &array::<Ix1>(c, "b1");
    for (mut a, &t) in a.rows_mut().into_iter().zip(c.ints("times")) {
        if let Some(row) = row(t) {
            a += &e.row(row);
        }
    }
    let eps_theta = a.mapv(relu).dot(&array::<Ix2>(c, "w2").t()) + &array::<Ix1>(c, "b2");
    (eps_theta, a)
}

fn relu(a: f64) -> f64 {
    a.max(0.0)
}

fn eps_theta(array: Array2<f64>) -> Result<Outputs> {
    Ok(one("eps_theta", array.into_dyn()))
}

pub fn forward() -> Function {
    Function {
        name: "forward",
        file: "ex14_backward",
        draw: |rng| cases(rng, "forward", net_args),
        expected: |c| eps_theta(mlp_forward(&net(c), &array(c, "x"), c.ints("times"))?.eps_theta),
        mistakes: vec![
            mistake("the time never used", "Your network never looks at t: the row E_t is missing.", |c| {
                eps_theta(wrong_forward(c, |_| None, relu).0)
            }),
            mistake(
                "row t - 1 for row t",
                "Off by one in t: you take the row t − 1 of E. Here row t belongs to t, and row 0 to no time.",
                |c| eps_theta(wrong_forward(c, |t| Some(t - 1), relu).0),
            ),
            mistake(
                "no ReLU between the layers",
                "There is no ReLU in your network, so that it is one linear map.",
                |c| eps_theta(wrong_forward(c, Some, |a| a).0),
            ),
            mistake("a leak of 0.01 below 0", "Your ReLU leaks: below 0 it is 0, not 0.01 a.", |c| {
                eps_theta(wrong_forward(c, Some, |a| if a > 0.0 { a } else { 0.01 * a }).0)
            }),
            mistake("a tanh for the ReLU", "Your hidden layer has a tanh. It is a ReLU.", |c| {
                eps_theta(wrong_forward(c, Some, f64::tanh).0)
            }),
            mistake(
                "a ReLU at the end",
                "Your output goes through a ReLU. Noise is negative as often as positive: the last layer is linear.",
                |c| eps_theta(wrong_forward(c, Some, relu).0.mapv(relu)),
            ),
            mistake("no bias at the end", "The bias b_2 is missing.", |c| {
                eps_theta(wrong_forward(c, Some, relu).0 - &array::<Ix1>(c, "b2"))
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// What may go wrong on the way back.
#[derive(Clone, Copy)]
struct WayBack {
    /// ∂L/∂ε_θ for an error, the number of all elements and the number of points.
    delta: fn(f64, f64, f64) -> f64,
    /// What a ReLU lets through, for a and δ.
    mask: fn(f64, f64) -> f64,
    /// What the row of a time becomes, for what it holds and what comes.
    gather: fn(f64, f64) -> f64,
    /// What the sum over n points is divided by, in the biases.
    shared: fn(f64) -> f64,
    /// The row of a time.
    row: fn(usize) -> usize,
}

const RIGHT: WayBack = WayBack {
    delta: |error, m, _| 2.0 * error / m,
    mask: |a, delta| if a > 0.0 { delta } else { 0.0 },
    gather: |row, delta| row + delta,
    shared: |_| 1.0,
    row: |t| t,
};

fn gradient(c: &Case, way: WayBack) -> Result<Outputs> {
    let (eps_theta, a) = wrong_forward(c, Some, relu);
    let error = eps_theta - array::<Ix2>(c, "eps");
    let (m, n) = (error.len() as f64, error.nrows() as f64);
    let delta_2 = error.mapv(|error| (way.delta)(error, m, n));
    let mut delta_1 = delta_2.dot(&array::<Ix2>(c, "w2"));
    delta_1.zip_mut_with(&a, |delta, &a| *delta = (way.mask)(a, *delta));
    let mut e = Array2::zeros(array::<Ix2>(c, "e").raw_dim());
    for (&t, delta) in c.ints("times").iter().zip(delta_1.rows()) {
        e.row_mut((way.row)(t)).zip_mut_with(&delta, |row, &delta| *row = (way.gather)(*row, delta));
    }
    let mut outputs = number("loss", error.mapv(|error| error * error).sum() / m);
    outputs.extend([
        output("w1", delta_1.t().dot(&array::<Ix2>(c, "x"))),
        output("b1", delta_1.sum_axis(Axis(0)) / (way.shared)(n)),
        output("e", e),
        output("w2", delta_2.t().dot(&a.mapv(relu))),
        output("b2", delta_2.sum_axis(Axis(0)) / (way.shared)(n)),
    ]);
    Ok(outputs)
}

pub fn backward() -> Function {
    Function {
        name: "backward",
        file: "ex14_backward",
        draw: |rng| {
            cases(rng, "backward", |draw| {
                let mut args = net_args(draw);
                let n = if let Some((_, Arg::Array(x))) = args.iter().find(|(name, _)| *name == "x") {
                    x.shape()[0]
                } else {
                    0
                };
                args.push(("eps", draw.array(&[n, 2])));
                args
            })
        },
        expected: |c| {
            let (net, times) = (net(c), c.ints("times"));
            let there = mlp_forward(&net, &array(c, "x"), times)?;
            let (loss, delta) = loss_gradient(&array::<Ix2>(c, "eps"), &there.eps_theta)?;
            let MlpDiffusion { linears, embeddings } = mlp_backward(&net, &there, times, &delta)?;
            let [first, second] = linears.try_into().unwrap_or_else(|_| panic!("two layers went in"));
            let no_time = Array2::zeros((1, first.bias.len()));
            let e = concatenate(Axis(0), &[no_time.view(), embeddings[0].view()]);
            let mut outputs = number("loss", loss);
            outputs.extend([
                output("w1", first.weight),
                output("b1", first.bias),
                output("e", e.unwrap_or_else(|error| panic!("a row is added: {error}"))),
                output("w2", second.weight),
                output("b2", second.bias),
            ]);
            Ok(outputs)
        },
        mistakes: vec![
            mistake(
                "the factor 2/M forgotten",
                "The derivative of the loss lacks 2/M, where M = n · d is the number of all elements.",
                |c| gradient(c, WayBack { delta: |error, _, _| error, ..RIGHT }),
            ),
            mistake("the 2 forgotten", "The derivative of a square has a factor 2, which is missing.", |c| {
                gradient(c, WayBack { delta: |error, m, _| error / m, ..RIGHT })
            }),
            mistake(
                "divided by the points only",
                "Your derivative is divided by the number of points. L_simple is a mean over the dimensions too: 2/(n · d).",
                |c| gradient(c, WayBack { delta: |error, _, n| 2.0 * error / n, ..RIGHT }),
            ),
            mistake(
                "the sign of the error",
                "Your gradient has the opposite sign: by ε_θ, the derivative is 2/M (ε_θ − ε).",
                |c| gradient(c, WayBack { delta: |error, m, _| -2.0 * error / m, ..RIGHT }),
            ),
            mistake(
                "no mask on the way back",
                "The ReLU is missing on the way back: where its input was below 0, nothing passes.",
                |c| gradient(c, WayBack { mask: |_, delta| delta, ..RIGHT }),
            ),
            mistake(
                "the mask taken from the gradient, not from a",
                "Your mask looks at the gradient. It has to look at what the ReLU saw on the way there.",
                |c| gradient(c, WayBack { mask: |_, delta| relu(delta), ..RIGHT }),
            ),
            mistake(
                "the last of equal times wins",
                "Where a time is in the batch twice, its row keeps the last gradient. The gradients add up.",
                |c| gradient(c, WayBack { gather: |_, delta| delta, ..RIGHT }),
            ),
            mistake(
                "the mean over the batch where the sum belongs",
                "The gradients of your biases are divided by n once more: they are sums over the points, since 2/M is in them.",
                |c| gradient(c, WayBack { shared: |n| n, ..RIGHT }),
            ),
            mistake(
                "row t - 1 for row t",
                "Off by one in t: the gradient of E goes into row t − 1. Here row t belongs to t.",
                |c| gradient(c, WayBack { row: |t| t - 1, ..RIGHT }),
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// T, and β_1 and β_T of exercise 15: ᾱ_T = 8e-4.
const TRAINING: (usize, f64, f64) = (20, 0.01, 0.55);

fn train_cases(rng: &mut ChaCha8Rng) -> Result<Vec<Case>> {
    let schedule = Schedule::linear(TRAINING.0, TRAINING.1, TRAINING.2)?;
    let curve = SCurve::sound();
    let points = curve.points(2000, rng);
    let mut x = ndarray::Array3::zeros((TRAINING.0, 50, 2));
    for (mut x, step) in x.outer_iter_mut().zip(schedule.steps()) {
        let x0 = curve.points(50, rng);
        let eps = Array2::from_shape_simple_fn((50, 2), || rng.sample::<f64, _>(StandardNormal));
        x.assign(&literate_diffusion::forward::q_sample(&x0, *step, &eps)?);
    }
    let betas: Array1<f64> = schedule.steps().iter().map(|step| step.beta).collect();
    let seed = rng.random_range(0..1_000_000_usize);
    let args = vec![
        ("points", Arg::Array(points.into_dyn())),
        ("betas", Arg::Array(betas.into_dyn())),
        ("seed", Arg::Int(seed)),
        ("x", Arg::Array(x.into_dyn())),
    ];
    Ok(vec![Case::new("train", args)?])
}

/// What `predict` gives for the points at each time.
fn at_each_t(
    c: &Case,
    predict: impl Fn(&Array2<f64>, literate_diffusion::Step) -> Result<Array2<f64>>,
) -> Result<Outputs> {
    let x = array::<ndarray::Ix3>(c, "x");
    let mut eps_theta = ndarray::Array3::zeros(x.raw_dim());
    for ((x, mut eps_theta), step) in x.outer_iter().zip(eps_theta.outer_iter_mut()).zip(c.schedule().steps()) {
        eps_theta.assign(&predict(&x.to_owned(), *step)?);
    }
    Ok(one("the loss", eps_theta.into_dyn()))
}

pub fn train() -> Function {
    Function {
        name: "train",
        file: "ex15_training",
        draw: train_cases,
        expected: |c| at_each_t(c, |x, step| SCurve::sound().marginal(step).optimal_eps(x)),
        mistakes: vec![
            mistake(
                "always 0",
                "Your network predicts 0 whatever it sees: has it been trained at all, and do its weights change?",
                |c| at_each_t(c, |x, _| Ok(Array2::zeros(x.raw_dim()))),
            ),
            mistake(
                "the opposite sign",
                "Your network predicts −ε: look at the sign of the error or of the update.",
                |c| at_each_t(c, |x, step| Ok(-SCurve::sound().marginal(step).optimal_eps(x)?)),
            ),
            mistake("x_0 predicted", "Your network predicts x_0. Train it on ε.", |c| {
                at_each_t(c, |x, step| SCurve::sound().marginal(step).tweedie(x))
            }),
            mistake("the velocity predicted", "Your network predicts the velocity v. Train it on ε.", |c| {
                at_each_t(c, |x, step| {
                    let q = SCurve::sound().marginal(step);
                    objective::v_target(&q.tweedie(x)?, step, &q.optimal_eps(x)?)
                })
            }),
            mistake(
                "the score predicted",
                "Your network predicts the score. ε is −√(1 − ᾱ_t) times it.",
                |c| at_each_t(c, |x, step| SCurve::sound().marginal(step).score(x)),
            ),
            mistake(
                "no better than a straight line",
                "Your network does no better than a linear one: is there a ReLU between its layers?",
                |c| at_each_t(c, |x, step| objective::gaussian_eps(0.0, 1.0, x, step)),
            ),
            mistake(
                "no better than one straight line",
                "Your network does no better than a linear one: is there a ReLU between its layers?",
                |c| {
                    // The slope that is best over all t, for data of variance 1.
                    let steps = c.schedule().steps();
                    let slope =
                        steps.iter().map(|step| step.one_minus_alpha_bar.sqrt()).sum::<f64>() / steps.len() as f64;
                    at_each_t(c, |x, _| Ok(slope * x))
                },
            ),
            mistake(
                "the time never used",
                "Your network does as well as one can that does not know t: is t used, in training and afterwards?",
                |c| at_each_t(c, |x, _| without_time(c, x)),
            ),
        ],
        tolerance: Tolerance::MeanSquare(ABOVE_FLOOR),
    }
}

/// The best prediction of ε that can be made from x_t where t is not known: the mean over t, given x_t.
fn without_time(c: &Case, x: &Array2<f64>) -> Result<Array2<f64>> {
    let (mut sum, mut whole) = (Array2::<f64>::zeros(x.raw_dim()), Array1::<f64>::zeros(x.nrows()));
    for step in c.schedule().steps() {
        let marginal = SCurve::sound().marginal(*step);
        let density = marginal.log_q(x)?.mapv(f64::exp);
        sum += &(marginal.optimal_eps(x)? * density.view().insert_axis(Axis(1)));
        whole += &density;
    }
    Ok(sum / whole.insert_axis(Axis(1)))
}

/// The mean of (√ᾱ_t x_i − x_t)/(1 − ᾱ_t) with the weights that `weigh` makes of each ln N(x_t; √ᾱ_t x_i, 1 − ᾱ_t).
fn mixture(
    c: &Case,
    shrink: fn(f64) -> f64,
    weigh: fn(&Array1<f64>) -> Array1<f64>,
    divisor: fn(f64) -> f64,
) -> Result<ArrayD<f64>> {
    let (xt, step) = (array::<Ix2>(c, "xt"), c.step());
    let means = array::<Ix2>(c, "points") * shrink(step.alpha_bar);
    let mut score = Array2::zeros(xt.raw_dim());
    for (x, mut score) in xt.rows().into_iter().zip(score.rows_mut()) {
        let log_n = |mean: ArrayView1<f64>| log_density(&x.to_owned(), &mean, step.one_minus_alpha_bar);
        let log_n: Array1<f64> = means.rows().into_iter().map(log_n).collect::<Result<_>>()?;
        score.assign(&((weigh(&log_n).dot(&means) - x) / divisor(step.one_minus_alpha_bar)));
    }
    Ok(score.into_dyn())
}

/// Their shares, with the largest taken off so that not all of them underflow.
fn shares(log_n: &Array1<f64>) -> Array1<f64> {
    let largest = log_n.fold(f64::NEG_INFINITY, |largest, &x| largest.max(x));
    let weights = log_n.mapv(|x| (x - largest).exp());
    &weights / weights.sum()
}

fn underflowing(log_n: &Array1<f64>) -> Array1<f64> {
    let weights = log_n.mapv(f64::exp);
    &weights / weights.sum()
}

fn equal(log_n: &Array1<f64>) -> Array1<f64> {
    Array1::from_elem(log_n.len(), 1.0 / log_n.len() as f64)
}

fn nearest(log_n: &Array1<f64>) -> Array1<f64> {
    let largest = log_n.fold(f64::NEG_INFINITY, |largest, &x| largest.max(x));
    log_n.mapv(|x| if x == largest { 1.0 } else { 0.0 })
}

fn right_score(c: &Case) -> Result<ArrayD<f64>> {
    mixture(c, f64::sqrt, shares, |v| v)
}

fn score_args(draw: &mut Draw) -> Vec<(&'static str, Arg)> {
    let betas = draw.betas();
    let t = draw.t(1);
    // One x_t is so far out that every weight underflows, unless the largest exponent is taken off.
    let far = if draw.index == 5 { 100.0 } else { 1.0 };
    let xt = match draw.points() {
        Arg::Array(xt) => Arg::Array(far * xt),
        other => other,
    };
    let m = 2 + draw.index % 5;
    vec![betas, ("t", Arg::Int(t)), ("xt", xt), ("points", draw.array(&[m, draw.d]))]
}

pub fn score() -> Function {
    Function {
        name: "score",
        file: "ex16_exact_score",
        draw: |rng| cases(rng, "score", score_args),
        expected: |c| Ok(one("score", right_score(c)?)),
        mistakes: vec![
            mistake(
                "every weight underflows",
                "Far from all points every weight underflows to 0, and 0/0 is NaN: take the largest exponent off all of them first.",
                |c| Ok(one("score", mixture(c, f64::sqrt, underflowing, |v| v)?)),
            ),
            mistake(
                "equal weights",
                "All points pull alike. Each has the weight N(x_t; √ᾱ_t x_i, 1 − ᾱ_t), divided by the sum of all.",
                |c| Ok(one("score", mixture(c, f64::sqrt, equal, |v| v)?)),
            ),
            mistake(
                "the pull of the likeliest place alone",
                "Only the nearest point pulls. All do, each with its weight.",
                |c| Ok(one("score", mixture(c, f64::sqrt, nearest, |v| v)?)),
            ),
            mistake(
                "the points not shrunk",
                "Your points are not shrunk: at time t, the point x_i stands at √ᾱ_t x_i.",
                |c| Ok(one("score", mixture(c, |_| 1.0, shares, |v| v)?)),
            ),
            mistake("alpha_bar without the root", "Your points are shrunk by ᾱ_t. It is √ᾱ_t.", |c| {
                Ok(one("score", mixture(c, |alpha_bar| alpha_bar, shares, |v| v)?))
            }),
            mistake(
                "divided by the standard deviation",
                "You divide by √(1 − ᾱ_t). The gradient of a squared distance over 2v divides by v = 1 − ᾱ_t.",
                |c| Ok(one("score", mixture(c, f64::sqrt, shares, f64::sqrt)?)),
            ),
            mistake("not divided", "Your score is not divided by 1 − ᾱ_t.", |c| {
                Ok(one("score", mixture(c, f64::sqrt, shares, |_| 1.0)?))
            }),
            mistake(
                "the sign turned round",
                "Your score points away from the data. It points to where the density grows: √ᾱ_t x_i − x_t.",
                |c| Ok(one("score", -right_score(c)?)),
            ),
            mistake("the noise for the score", "That is the best noise. The score is asked for.", |c| {
                Ok(one("score", -c.step().one_minus_alpha_bar.sqrt() * right_score(c)?))
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

pub fn optimal_eps() -> Function {
    Function {
        name: "optimal_eps",
        file: "ex16_exact_score",
        draw: |rng| cases(rng, "optimal_eps", score_args),
        expected: |c| Ok(one("eps", -c.step().one_minus_alpha_bar.sqrt() * right_score(c)?)),
        mistakes: vec![
            mistake(
                "every weight underflows",
                "Far from all points every weight underflows to 0, and 0/0 is NaN: take the largest exponent off all of them first.",
                |c| {
                    let score = mixture(c, f64::sqrt, underflowing, |v| v)?;
                    Ok(one("eps", -c.step().one_minus_alpha_bar.sqrt() * score))
                },
            ),
            mistake(
                "no minus",
                "The minus is missing: the noise led away from the data, and the score leads back.",
                |c| Ok(one("eps", c.step().one_minus_alpha_bar.sqrt() * right_score(c)?)),
            ),
            mistake(
                "1 - alpha_bar without the root",
                "The factor is −√(1 − ᾱ_t), not −(1 − ᾱ_t).",
                |c| Ok(one("eps", -c.step().one_minus_alpha_bar * right_score(c)?)),
            ),
            mistake(
                "the score itself, negated",
                "That is minus the score. The factor √(1 − ᾱ_t) is missing.",
                |c| Ok(one("eps", -right_score(c)?)),
            ),
            mistake(
                "the score for the best noise",
                "That is the score. The best noise is −√(1 − ᾱ_t) times it.",
                |c| Ok(one("eps", right_score(c)?)),
            ),
            mistake("divided by the root", "You divide by √(1 − ᾱ_t) where you multiply by it.", |c| {
                Ok(one("eps", -right_score(c)? / c.step().one_minus_alpha_bar.sqrt()))
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}
