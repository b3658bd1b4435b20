//! Exercises 1 to 3: the schedule and the forward process.

use literate_diffusion::{Result, Schedule, Step, forward};
use ndarray::ArrayD;
use ndarray_rand::rand::Rng;

use super::draw::{Draw, cases};
use super::{Function, Tolerance, mistake};
use crate::case::{Arg, Case, Outputs, list, one};

pub fn linear() -> Function {
    Function {
        name: "linear",
        file: "ex01_schedule",
        draw: |rng| {
            cases(rng, "linear", |draw| {
                let timesteps = if draw.index == 0 { 2 } else { draw.timesteps + draw.index };
                let beta_1 =
                    if draw.index < 6 { [0.1, 0.2][draw.index % 2] } else { draw.rng.random_range(0.001..0.2) };
                let beta_end =
                    if draw.index < 6 { [0.5, 0.3, 0.4][draw.index % 3] } else { draw.rng.random_range(0.3..0.8) };
                vec![
                    ("timesteps", Arg::Int(timesteps)),
                    ("beta_1", Arg::Number(beta_1)),
                    ("beta_end", Arg::Number(beta_end)),
                ]
            })
        },
        expected: |c| {
            let schedule = Schedule::linear(c.int("timesteps"), c.number("beta_1"), c.number("beta_end"))?;
            let of = |field: fn(&Step) -> f64| schedule.steps().iter().map(field).collect::<Vec<_>>();
            Ok(lists(&of(|step| step.beta), &of(|step| step.alpha), &of(|step| step.alpha_bar), true))
        },
        mistakes: vec![
            mistake(
                "t/T for (t - 1)/(T - 1)",
                "Your β starts above β_1: at t = 1 nothing of the line is walked yet, so that the share is (t − 1)/(T − 1), not t/T.",
                |c| {
                    let n = c.int("timesteps") as f64;
                    Ok(from_betas(&line(c, |t| t as f64 / n), true))
                },
            ),
            mistake(
                "(t - 1)/T for (t - 1)/(T - 1)",
                "Your β does not reach its end: there are T − 1 gaps between T values, so divide by T − 1, not by T.",
                |c| {
                    let n = c.int("timesteps") as f64;
                    Ok(from_betas(&line(c, |t| (t - 1) as f64 / n), true))
                },
            ),
            mistake(
                "integer division",
                "Your β stays at β_1 until the last step: (t − 1)/(T − 1) is divided as integers. Make them f64 first.",
                |c| {
                    let n = c.int("timesteps");
                    Ok(from_betas(&line(c, |t| ((t - 1) / (n - 1)) as f64), true))
                },
            ),
            mistake(
                "the entry 0 left out",
                "Your lists begin with t = 1. The index is t here, so that the entry 0 is there too: β_0 = 0, α_0 = 1, ᾱ_0 = 1.",
                |c| Ok(from_betas(&right(c), false)),
            ),
            mistake(
                "alpha_bar_0 is 0",
                "Your ᾱ_0 is 0. It is the product of no factor at all, and that is 1: nothing has been done to the data.",
                |c| {
                    let mut outputs = from_betas(&right(c), true);
                    outputs[2].array[0] = 0.0;
                    Ok(outputs)
                },
            ),
            mistake(
                "the product taken one factor short",
                "Your ᾱ_t has one factor too few: it is α_1 ⋯ α_t, and α_t itself belongs to it.",
                |c| {
                    let mut outputs = from_betas(&right(c), true);
                    let shifted: Vec<f64> =
                        (0..=c.int("timesteps")).map(|t| outputs[2].array[t.saturating_sub(1)]).collect();
                    outputs[2] = list("alpha_bar", &shifted);
                    Ok(outputs)
                },
            ),
            mistake(
                "one minus the product of betas",
                "Your ᾱ_t is 1 − β_1 ⋯ β_t. Take 1 − β first and multiply then: ᾱ_t = (1 − β_1) ⋯ (1 − β_t).",
                |c| Ok(accumulated(c, |betas| 1.0 - betas.iter().product::<f64>())),
            ),
            mistake(
                "the product of the betas",
                "Your ᾱ_t is the product of the β. It is that of the α = 1 − β.",
                |c| Ok(accumulated(c, |betas| betas.iter().product())),
            ),
            mistake(
                "one minus the sum of betas",
                "Your ᾱ_t is 1 minus the sum of the β. Each step shrinks what the one before it left, so that the factors multiply.",
                |c| Ok(accumulated(c, |betas| 1.0 - betas.iter().sum::<f64>())),
            ),
            mistake("alpha is beta", "Your α is β. α_t = 1 − β_t.", |c| {
                let mut outputs = from_betas(&right(c), true);
                for t in 1..=c.int("timesteps") {
                    outputs[1].array[t] = outputs[0].array[t];
                }
                Ok(outputs)
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// β along a line on which `along(t)` is the share that is walked at t.
fn line(c: &Case, along: impl Fn(usize) -> f64) -> Vec<f64> {
    let (beta_1, beta_end) = (c.number("beta_1"), c.number("beta_end"));
    (1..=c.int("timesteps")).map(|t| beta_1 + along(t) * (beta_end - beta_1)).collect()
}

fn right(c: &Case) -> Vec<f64> {
    line(c, |t| (t - 1) as f64 / (c.int("timesteps") - 1) as f64)
}

/// The three lists, with the entry 0 or without.
fn lists(beta: &[f64], alpha: &[f64], alpha_bar: &[f64], with_0: bool) -> Outputs {
    let whole = |name: &str, at_0: f64, rest: &[f64]| match with_0 {
        true => list(name, &[&[at_0], rest].concat()),
        false => list(name, rest),
    };
    vec![whole("beta", 0.0, beta), whole("alpha", 1.0, alpha), whole("alpha_bar", 1.0, alpha_bar)]
}

fn from_betas(betas: &[f64], with_0: bool) -> Outputs {
    let alpha: Vec<f64> = betas.iter().map(|beta| 1.0 - beta).collect();
    lists(betas, &alpha, &literate_diffusion::schedule::alpha_bar(betas), with_0)
}

/// The right β and α, and an ᾱ_t that is made of β_1, …, β_t.
fn accumulated(c: &Case, alpha_bar: impl Fn(&[f64]) -> f64) -> Outputs {
    let mut outputs = from_betas(&right(c), true);
    let betas = right(c);
    for t in 1..=betas.len() {
        outputs[2].array[t] = alpha_bar(&betas[..t]);
    }
    outputs
}

/// a · x + b · y, as x_t.
pub fn mixed(a: f64, x: &ArrayD<f64>, b: f64, y: &ArrayD<f64>) -> Result<Outputs> {
    Ok(one("x_t", a * x + b * y))
}

/// β, α, ᾱ at t − 1, which is 0, 1, 1 at t = 1.
pub fn before(c: &Case) -> (f64, f64, f64) {
    c.at(c.int("t") - 1).map_or((0.0, 1.0, 1.0), |step| (step.beta, step.alpha, step.alpha_bar))
}

fn step_args(draw: &mut Draw, x: &'static str) -> Vec<(&'static str, Arg)> {
    vec![draw.betas(), ("t", Arg::Int(draw.t(1))), (x, draw.points()), ("eps", draw.points())]
}

pub fn q_step() -> Function {
    Function {
        name: "q_step",
        file: "ex02_one_step",
        draw: |rng| cases(rng, "q_step", |draw| step_args(draw, "x_prev")),
        expected: |c| Ok(one("x_t", forward::q_step(c.array("x_prev"), c.step(), c.array("eps"))?)),
        mistakes: vec![
            mistake(
                "the variance as the standard deviation",
                "Your noise is multiplied by β_t. That is its variance: multiply by √β_t.",
                |c| mixed(c.step().alpha.sqrt(), c.array("x_prev"), c.step().beta, c.array("eps")),
            ),
            mistake(
                "alpha without the root",
                "Your x_{t−1} is multiplied by α_t. Multiply by √α_t, so that a variance of 1 stays 1.",
                |c| mixed(c.step().alpha, c.array("x_prev"), c.step().beta.sqrt(), c.array("eps")),
            ),
            mistake(
                "no roots at all",
                "Both factors lack their roots: α_t and β_t are variances, and √α_t and √β_t are what one multiplies by.",
                |c| mixed(c.step().alpha, c.array("x_prev"), c.step().beta, c.array("eps")),
            ),
            mistake(
                "x not shrunk",
                "Your x_{t−1} is not shrunk. Without the factor √α_t the variance grows with every step.",
                |c| mixed(1.0, c.array("x_prev"), c.step().beta.sqrt(), c.array("eps")),
            ),
            mistake(
                "index t - 1",
                "Off by one in t: you took β_{t−1} and α_{t−1}. In this schedule the index is t.",
                |c| {
                    let (beta, alpha, _) = before(c);
                    mixed(alpha.sqrt(), c.array("x_prev"), beta.sqrt(), c.array("eps"))
                },
            ),
            mistake(
                "all steps for one",
                "You took ᾱ_t, the product of all steps up to t. One step has α_t and β_t alone.",
                |c| {
                    let step = c.step();
                    mixed(step.alpha_bar.sqrt(), c.array("x_prev"), step.one_minus_alpha_bar.sqrt(), c.array("eps"))
                },
            ),
            mistake(
                "alpha and beta swapped",
                "α_t and β_t are swapped: √α_t is the share of x_{t−1} that stays, √β_t the noise that comes.",
                |c| mixed(c.step().beta.sqrt(), c.array("x_prev"), c.step().alpha.sqrt(), c.array("eps")),
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

pub fn q_sample() -> Function {
    Function {
        name: "q_sample",
        file: "ex03_closed_form",
        draw: |rng| cases(rng, "q_sample", |draw| step_args(draw, "x0")),
        expected: |c| Ok(one("x_t", forward::q_sample(c.array("x0"), c.step(), c.array("eps"))?)),
        mistakes: vec![
            mistake(
                "1 - alpha_bar without the root",
                "Your noise is multiplied by 1 − ᾱ_t. That is its variance: multiply by √(1 − ᾱ_t).",
                |c| mixed(c.step().alpha_bar.sqrt(), c.array("x0"), c.step().one_minus_alpha_bar, c.array("eps")),
            ),
            mistake(
                "alpha_bar without the root",
                "Your x_0 is multiplied by ᾱ_t. Multiply by √ᾱ_t: ᾱ_t is the share of the variance.",
                |c| mixed(c.step().alpha_bar, c.array("x0"), c.step().one_minus_alpha_bar.sqrt(), c.array("eps")),
            ),
            mistake(
                "1 minus the root",
                "Your noise is multiplied by 1 − √ᾱ_t. The variances add up to 1, not the factors: √(1 − ᾱ_t).",
                |c| {
                    let signal = c.step().alpha_bar.sqrt();
                    mixed(signal, c.array("x0"), 1.0 - signal, c.array("eps"))
                },
            ),
            mistake("a plus for a times", "You add √(1 − ᾱ_t) to the noise. It multiplies the noise.", |c| {
                let step = c.step();
                Ok(one("x_t", step.alpha_bar.sqrt() * c.array("x0") + c.array("eps") + step.one_minus_alpha_bar.sqrt()))
            }),
            mistake(
                "alpha_bar of t - 1 for alpha_bar of t",
                "Off by one in t: you took ᾱ_{t−1}. In this schedule the index is t.",
                |c| {
                    let (_, _, alpha_bar) = before(c);
                    mixed(alpha_bar.sqrt(), c.array("x0"), (1.0 - alpha_bar).sqrt(), c.array("eps"))
                },
            ),
            mistake(
                "alpha for alpha_bar",
                "You took α_t, which is a single step. All t steps together have ᾱ_t, the product.",
                |c| mixed(c.step().alpha.sqrt(), c.array("x0"), c.step().beta.sqrt(), c.array("eps")),
            ),
            mistake(
                "beta for 1 - alpha_bar",
                "Your noise has the factor √β_t, that of the last step alone. The noise of all t steps is √(1 − ᾱ_t).",
                |c| mixed(c.step().alpha_bar.sqrt(), c.array("x0"), c.step().beta.sqrt(), c.array("eps")),
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}
