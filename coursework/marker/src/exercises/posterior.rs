//! Exercises 4 and 5: the posterior.

use literate_diffusion::{Result, posterior};
use ndarray::ArrayD;

use super::draw::cases;
use super::forward::before;
use super::{Function, Tolerance, mistake};
use crate::case::{Arg, Case, Outputs, number, one};

pub fn posterior_variance() -> Function {
    Function {
        name: "posterior_variance",
        file: "ex04_posterior_variance",
        draw: |rng| cases(rng, "posterior_variance", |draw| vec![draw.betas(), ("t", Arg::Int(draw.t(1)))]),
        expected: |c| beta_tilde(posterior::posterior_variance(c.step())),
        mistakes: vec![
            mistake(
                "beta for beta tilde",
                "Your variance is β_t, that of the step forward. Here x_0 is known, so that less is open: β̃_t is smaller.",
                |c| beta_tilde(c.step().beta),
            ),
            mistake(
                "the standard deviation",
                "Your number is the root of the variance. β̃_t itself is asked for.",
                |c| beta_tilde(c.step().beta_tilde.sqrt()),
            ),
            mistake(
                "the fraction upside down",
                "Your fraction is upside down: 1 − ᾱ_{t−1} is above, 1 − ᾱ_t below, so that β̃_t < β_t.",
                |c| {
                    let step = c.step();
                    beta_tilde(step.one_minus_alpha_bar / step.one_minus_alpha_bar_prev * step.beta)
                },
            ),
            mistake(
                "alpha_bar for 1 - alpha_bar",
                "Your fraction is ᾱ_{t−1}/ᾱ_t. It is made of the noise, not of the signal: (1 − ᾱ_{t−1})/(1 − ᾱ_t).",
                |c| beta_tilde(c.step().alpha_bar_prev / c.step().alpha_bar * c.step().beta),
            ),
            mistake(
                "alpha for alpha_bar",
                "You took α where ᾱ belongs: it is the noise of all steps that counts, not that of one.",
                |c| {
                    let (beta_prev, _, _) = before(c);
                    beta_tilde(beta_prev / c.step().beta * c.step().beta)
                },
            ),
            mistake(
                "the variance at t = 1 replaced by beta",
                "At t = 1 your variance is β_1. With x_0 known, nothing is left open there: it is 0, since ᾱ_0 = 1.",
                |c| beta_tilde(if c.int("t") == 1 { c.step().beta } else { c.step().beta_tilde }),
            ),
            mistake("the log-variance for the variance", "Your number is the logarithm of the variance.", |c| {
                beta_tilde(c.step().beta_tilde.ln())
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

fn beta_tilde(value: f64) -> Result<Outputs> {
    Ok(number("beta_tilde", value))
}

/// a · x_0 + b · x_t, as μ̃.
fn mean(c: &Case, of_x0: f64, of_xt: f64) -> Result<Outputs> {
    let weighted: ArrayD<f64> = of_x0 * c.array("x0") + of_xt * c.array("xt");
    Ok(one("mu_tilde", weighted))
}

/// The right weights of x_0 and of x_t.
fn weights(c: &Case) -> (f64, f64) {
    let step = c.step();
    let of_x0 = step.alpha_bar_prev.sqrt() * step.beta / step.one_minus_alpha_bar;
    (of_x0, step.alpha.sqrt() * step.one_minus_alpha_bar_prev / step.one_minus_alpha_bar)
}

pub fn posterior_mean() -> Function {
    Function {
        name: "posterior_mean",
        file: "ex05_posterior_mean",
        draw: |rng| {
            cases(rng, "posterior_mean", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(1))), ("x0", draw.points()), ("xt", draw.points())]
            })
        },
        expected: |c| Ok(one("mu_tilde", posterior::posterior_mean(c.array("x0"), c.array("xt"), c.step())?)),
        mistakes: vec![
            mistake(
                "the root of alpha_bar where that of alpha belongs",
                "The weight of x_t has √ᾱ_t where √α_t belongs: it comes from one step, q(x_t | x_{t−1}).",
                |c| mean(c, weights(c).0, weights(c).1 / c.step().alpha.sqrt() * c.step().alpha_bar.sqrt()),
            ),
            mistake(
                "alpha_bar of t where that of t - 1 belongs",
                "The weight of x_0 has √ᾱ_t where √ᾱ_{t−1} belongs: x_0 tells where x_{t−1} is, by the closed form at t − 1.",
                |c| mean(c, weights(c).0 / c.step().alpha_bar_prev.sqrt() * c.step().alpha_bar.sqrt(), weights(c).1),
            ),
            mistake(
                "1 - alpha_bar of t in the weight of x_t",
                "The weight of x_t has 1 − ᾱ_t above the line where 1 − ᾱ_{t−1} belongs.",
                |c| mean(c, weights(c).0, c.step().alpha.sqrt()),
            ),
            mistake("x_0 and x_t swapped", "x_0 and x_t are swapped: each has the weight of the other.", |c| {
                mean(c, weights(c).1, weights(c).0)
            }),
            mistake("no roots", "Both weights lack their roots: √ᾱ_{t−1} with x_0, √α_t with x_t.", |c| {
                let step = c.step();
                mean(c, weights(c).0 * step.alpha_bar_prev.sqrt(), weights(c).1 * step.alpha.sqrt())
            }),
            mistake(
                "x_t only rescaled",
                "Your mean is x_t/√α_t, which undoes the shrinking and leaves all the noise in. x_0 has to pull.",
                |c| mean(c, 0.0, 1.0 / c.step().alpha.sqrt()),
            ),
            mistake("x_0 only", "Your mean is √ᾱ_{t−1} x_0, which forgets x_t.", |c| {
                mean(c, c.step().alpha_bar_prev.sqrt(), 0.0)
            }),
            mistake("not divided by 1 - alpha_bar", "Both weights lack the division by 1 − ᾱ_t.", |c| {
                mean(c, weights(c).0 * c.step().one_minus_alpha_bar, weights(c).1 * c.step().one_minus_alpha_bar)
            }),
            mistake("the root of beta for beta", "The weight of x_0 has √β_t where β_t belongs.", |c| {
                mean(c, weights(c).0 / c.step().beta.sqrt(), weights(c).1)
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}
