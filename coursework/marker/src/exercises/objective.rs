//! Exercises 6 to 9 and 13: the conversions, the times, the loss, its weight, and the bound in bits.

use std::f64::consts::{LN_2, LN_10};

use literate_diffusion::{Result, elbo, objective};
use ndarray_rand::rand::Rng;

use super::draw::cases;
use super::forward::before;
use super::{Function, Tolerance, mistake};
use crate::case::{Arg, Case, Outputs, list, number, one};

/// a · first + b · second, as the output of that name.
fn sum(c: &Case, output: &str, (a, first): (f64, &str), (b, second): (f64, &str)) -> Result<Outputs> {
    Ok(one(output, a * c.array(first) + b * c.array(second)))
}

/// √ᾱ_t and √(1 − ᾱ_t).
fn roots(c: &Case) -> (f64, f64) {
    (c.step().alpha_bar.sqrt(), c.step().one_minus_alpha_bar.sqrt())
}

pub fn x0_from_eps() -> Function {
    Function {
        name: "x0_from_eps",
        file: "ex06_conversions",
        draw: |rng| {
            cases(rng, "x0_from_eps", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(1))), ("xt", draw.points()), ("eps", draw.points())]
            })
        },
        expected: |c| Ok(one("x_0", objective::x0_from_eps(c.array("xt"), c.step(), c.array("eps"))?)),
        mistakes: vec![
            mistake("not divided", "Your x_0 is x_t without its noise, but still shrunk: divide by √ᾱ_t.", |c| {
                sum(c, "x_0", (1.0, "xt"), (-roots(c).1, "eps"))
            }),
            mistake(
                "divided by alpha_bar",
                "You divide by ᾱ_t. x_0 was multiplied by √ᾱ_t: divide by that.",
                |c| {
                    let (signal, noise) = roots(c);
                    sum(c, "x_0", (1.0 / signal / signal, "xt"), (-noise / signal / signal, "eps"))
                },
            ),
            mistake(
                "1 - alpha_bar without the root",
                "The noise in x_t is √(1 − ᾱ_t) ε, not (1 − ᾱ_t) ε.",
                |c| {
                    let (signal, noise) = roots(c);
                    sum(c, "x_0", (1.0 / signal, "xt"), (-noise * noise / signal, "eps"))
                },
            ),
            mistake("alpha for alpha_bar", "You undo a single step (α_t). Undo all t of them: ᾱ_t.", |c| {
                let (signal, noise) = (c.step().alpha.sqrt(), c.step().beta.sqrt());
                sum(c, "x_0", (1.0 / signal, "xt"), (-noise / signal, "eps"))
            }),
            mistake(
                "the noise added",
                "The sign of the noise: x_t has it added, so that it is taken away here.",
                |c| sum(c, "x_0", (1.0 / roots(c).0, "xt"), (roots(c).1 / roots(c).0, "eps")),
            ),
            mistake("index t - 1", "Off by one in t: you took ᾱ_{t−1}. In this schedule the index is t.", |c| {
                let (_, _, alpha_bar) = before(c);
                let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
                sum(c, "x_0", (1.0 / signal, "xt"), (-noise / signal, "eps"))
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

pub fn eps_from_x0() -> Function {
    Function {
        name: "eps_from_x0",
        file: "ex06_conversions",
        draw: |rng| {
            cases(rng, "eps_from_x0", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(1))), ("x0", draw.points()), ("xt", draw.points())]
            })
        },
        expected: |c| Ok(one("eps", objective::eps_from_x0(c.array("x0"), c.array("xt"), c.step())?)),
        mistakes: vec![
            mistake(
                "divided by the variance of the noise",
                "You divide by 1 − ᾱ_t, the variance of the noise. ε was multiplied by √(1 − ᾱ_t): divide by that.",
                |c| {
                    let (signal, noise) = roots(c);
                    sum(c, "eps", (1.0 / noise / noise, "xt"), (-signal / noise / noise, "x0"))
                },
            ),
            mistake(
                "not divided",
                "Your ε is the noise as it stands in x_t: divide by √(1 − ᾱ_t), so that its variance is 1.",
                |c| sum(c, "eps", (1.0, "xt"), (-roots(c).0, "x0")),
            ),
            mistake("x_0 not shrunk", "You take x_0 itself from x_t. In x_t it is shrunk: √ᾱ_t x_0.", |c| {
                sum(c, "eps", (1.0 / roots(c).1, "xt"), (-1.0 / roots(c).1, "x0"))
            }),
            mistake(
                "the sign turned round",
                "The sign: ε is x_t − √ᾱ_t x_0 divided, not √ᾱ_t x_0 − x_t.",
                |c| sum(c, "eps", (-1.0 / roots(c).1, "xt"), (roots(c).0 / roots(c).1, "x0")),
            ),
            mistake(
                "alpha for alpha_bar",
                "You took α_t, which is a single step. From x_0 to x_t it is ᾱ_t.",
                |c| {
                    let (signal, noise) = (c.step().alpha.sqrt(), c.step().beta.sqrt());
                    sum(c, "eps", (1.0 / noise, "xt"), (-signal / noise, "x0"))
                },
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

pub fn v_target() -> Function {
    Function {
        name: "v_target",
        file: "ex06_conversions",
        draw: |rng| {
            cases(rng, "v_target", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(1))), ("x0", draw.points()), ("eps", draw.points())]
            })
        },
        expected: |c| Ok(one("v", objective::v_target(c.array("x0"), c.step(), c.array("eps"))?)),
        mistakes: vec![
            mistake(
                "v with the opposite sign",
                "Your v has the opposite sign: it points from the data to the noise, √ᾱ_t ε − √(1 − ᾱ_t) x_0.",
                |c| sum(c, "v", (-roots(c).0, "eps"), (roots(c).1, "x0")),
            ),
            mistake(
                "a plus for the minus",
                "v has a minus before x_0: it is the derivative of x_t by the angle, and cos becomes −sin.",
                |c| sum(c, "v", (roots(c).0, "eps"), (roots(c).1, "x0")),
            ),
            mistake(
                "the coefficients swapped",
                "The two factors are swapped: in v it is ε that has √ᾱ_t, and x_0 that has √(1 − ᾱ_t).",
                |c| sum(c, "v", (roots(c).1, "eps"), (-roots(c).0, "x0")),
            ),
            mistake("the coefficients of x_t", "That is x_t itself. v is its derivative by the angle.", |c| {
                sum(c, "v", (roots(c).1, "eps"), (roots(c).0, "x0"))
            }),
            mistake("no roots", "Both factors lack their roots: √ᾱ_t and √(1 − ᾱ_t).", |c| {
                sum(c, "v", (roots(c).0.powi(2), "eps"), (-roots(c).1.powi(2), "x0"))
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// The times that `time(u, T)` and `mirror(t, T)` give.
fn times(c: &Case, time: fn(f64, f64) -> f64, mirror: fn(f64, f64) -> f64) -> Result<Outputs> {
    let timesteps = c.int("timesteps") as f64;
    let drawn: Vec<f64> = c.array("uniforms").iter().map(|&u| time(u, timesteps)).collect();
    let mirrored: Vec<f64> = drawn.iter().map(|&t| mirror(t, timesteps)).collect();
    Ok(vec![list("times", &[drawn, mirrored].concat())])
}

pub fn antithetic_times() -> Function {
    Function {
        name: "antithetic_times",
        file: "ex07_times",
        draw: |rng| {
            cases(rng, "antithetic_times", |draw| {
                let n = if draw.index < 2 { 1 } else { 2 * draw.n };
                let mut uniforms: Vec<f64> = (0..n).map(|_| draw.rng.random_range(0..100) as f64 / 100.0).collect();
                // Both ends are met.
                match draw.index {
                    1 => uniforms[0] = 0.0,
                    2 => uniforms[0] = 0.999,
                    _ => {}
                }
                let uniforms = ndarray::Array1::from(uniforms).into_dyn();
                vec![("uniforms", Arg::Array(uniforms)), ("timesteps", Arg::Int(draw.timesteps + 2))]
            })
        },
        expected: |c| {
            let uniforms: Vec<f64> = c.array("uniforms").iter().copied().collect();
            let times = objective::antithetic_times(&uniforms, c.int("timesteps"))?;
            Ok(vec![list("times", &times.iter().map(|&t| t as f64).collect::<Vec<_>>())])
        },
        mistakes: vec![
            mistake(
                "times from 0",
                "Your times run over 0..=T−1. Here they run over 1..=T: add 1, and mirror with T + 1 − t.",
                |c| times(c, |u, n| (u * n).floor(), |t, n| n - 1.0 - t),
            ),
            mistake(
                "T - t, from code that counts from 0",
                "Your mirror image is T − t, which is 0 at t = T and never T. Over 1..=T it is T + 1 − t.",
                |c| times(c, |u, n| (u * n).floor() + 1.0, |t, n| n - t),
            ),
            mistake(
                "T - 1 - t, from code that counts from 0",
                "Your mirror image is T − 1 − t, as where times run over 0..=T−1. Over 1..=T it is T + 1 − t.",
                |c| times(c, |u, n| (u * n).floor() + 1.0, |t, n| (n - 1.0 - t).max(0.0)),
            ),
            mistake(
                "rounded, so that the ends are half as likely",
                "You round 1 + u(T − 1). Then 1 and T are half as likely as the rest: take ⌊uT⌋ + 1.",
                |c| times(c, |u, n| (1.0 + u * (n - 1.0)).round(), |t, n| n + 1.0 - t),
            ),
            mistake(
                "T never drawn",
                "Your times never reach T: ⌊u(T − 1)⌋ + 1 ends at T − 1. Take ⌊uT⌋ + 1.",
                |c| times(c, |u, n| (u * (n - 1.0)).floor() + 1.0, |t, n| n + 1.0 - t),
            ),
            mistake(
                "rounded up",
                "You round uT up. At u = 0 that is 0, which is no time to train at: take ⌊uT⌋ + 1.",
                |c| times(c, |u, n| (u * n).ceil(), |t, n| n + 1.0 - t),
            ),
            mistake(
                "interleaved",
                "Your pairs stand side by side. First come all drawn times, and then, in the same order, their mirror images.",
                |c| {
                    let n = c.int("timesteps");
                    let drawn = c.array("uniforms").iter().map(|u| ((u * n as f64) as usize + 1) as f64);
                    let pairs: Vec<f64> = drawn.flat_map(|t| [t, n as f64 + 1.0 - t]).collect();
                    Ok(vec![list("times", &pairs)])
                },
            ),
            mistake("no mirror images", "Your list has no mirror images: after the n drawn times come n more.", |c| {
                let n = c.int("timesteps") as f64;
                let drawn: Vec<f64> = c.array("uniforms").iter().map(|u| (u * n).floor() + 1.0).collect();
                Ok(vec![list("times", &drawn)])
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

fn errors(c: &Case) -> ndarray::ArrayD<f64> {
    c.array("eps") - c.array("eps_theta")
}

fn loss(value: f64) -> Result<Outputs> {
    Ok(number("loss", value))
}

pub fn l_simple() -> Function {
    Function {
        name: "l_simple",
        file: "ex08_l_simple",
        draw: |rng| {
            cases(rng, "l_simple", |draw| {
                // From the fourth on, n is not 2, so that a mean over the wrong one of the two is seen.
                let shape = [if draw.index < 3 { draw.n } else { draw.n + 2 }, draw.d];
                vec![("eps", draw.array(&shape)), ("eps_theta", draw.array(&shape))]
            })
        },
        expected: |c| loss(objective::l_simple(c.array("eps"), c.array("eps_theta"))?),
        mistakes: vec![
            mistake("the sum for the mean", "Your loss is a sum. Divide by the number of all elements, n · d.", |c| {
                loss(errors(c).mapv(|e| e * e).sum())
            }),
            mistake(
                "the sum over dimensions",
                "You divide by the number of points only. L_simple is a mean over the dimensions too: divide by n · d.",
                |c| loss(errors(c).mapv(|e| e * e).sum() / c.array("eps").shape()[0] as f64),
            ),
            mistake(
                "the sum over points",
                "You divide by the number of dimensions only. L_simple is a mean over the points too: divide by n · d.",
                |c| loss(errors(c).mapv(|e| e * e).sum() / c.array("eps").shape()[1] as f64),
            ),
            mistake(
                "the absolute error for the square",
                "Your loss takes the absolute error. L_simple takes its square.",
                |c| loss(errors(c).mapv(f64::abs).mean().unwrap_or_default()),
            ),
            mistake("the root of the mean", "Your loss is the root of the mean square. L_simple has no root.", |c| {
                loss(errors(c).mapv(|e| e * e).mean().unwrap_or_default().sqrt())
            }),
            mistake(
                "errors added with their signs",
                "Your errors are added with their signs, so that they cancel. Square each of them first.",
                |c| loss(errors(c).mean().unwrap_or_default()),
            ),
            mistake(
                "the square of the mean",
                "You square the mean error. Square each error first, and take the mean then.",
                |c| loss(errors(c).mean().unwrap_or_default().powi(2)),
            ),
            mistake("half of it", "Your loss is half of L_simple: there is no ½ in it.", |c| {
                loss(errors(c).mapv(|e| e * e).mean().unwrap_or_default() / 2.0)
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

fn weight(value: f64) -> Result<Outputs> {
    Ok(number("w", value))
}

pub fn eps_weight() -> Function {
    Function {
        name: "eps_weight",
        file: "ex09_weight",
        draw: |rng| {
            cases(rng, "eps_weight", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(1))), ("variance", Arg::Number(draw.positive()))]
            })
        },
        expected: |c| weight(objective::eps_weight(c.step(), c.number("variance"))?),
        mistakes: vec![
            mistake(
                "alpha_bar for alpha",
                "Below the line you have ᾱ_t where α_t belongs: the mean of one step divides by √α_t.",
                |c| weight(right_weight(c) * c.step().alpha / c.step().alpha_bar),
            ),
            mistake(
                "sigma for its square",
                "You divide by σ_t. The KL of two Gaussians divides by 2σ_t², and `variance` is σ_t² already.",
                |c| weight(right_weight(c) * c.number("variance").sqrt()),
            ),
            mistake("the variance squared", "You square `variance`. It is σ_t² already.", |c| {
                weight(right_weight(c) / c.number("variance"))
            }),
            mistake(
                "without the half",
                "The half is missing: the KL of two Gaussians has 2σ_t² below the line.",
                |c| weight(2.0 * right_weight(c)),
            ),
            mistake(
                "beta for its square",
                "β_t is squared in w(t): an error in ε is multiplied by β_t, and then squared.",
                |c| weight(right_weight(c) / c.step().beta),
            ),
            mistake(
                "alpha_bar of t - 1 for that of t",
                "You took ᾱ_{t−1}. The error in ε enters through the noise in x_t, which is 1 − ᾱ_t.",
                |c| weight(right_weight(c) * c.step().one_minus_alpha_bar / c.step().one_minus_alpha_bar_prev),
            ),
            mistake(
                "1 - alpha_bar with a root",
                "You have √(1 − ᾱ_t) below the line. It is squared with the rest: 1 − ᾱ_t.",
                |c| weight(right_weight(c) * c.step().one_minus_alpha_bar.sqrt()),
            ),
            mistake(
                "the weight of x_0",
                "That is what the bound charges for an error in x_0. For one in ε, divide by the SNR, ᾱ_t/(1 − ᾱ_t).",
                |c| weight(right_weight(c) * c.step().snr()),
            ),
            mistake("weight 1", "A weight of 1 is what L_simple takes. The bound has another one at each t.", |_| {
                weight(1.0)
            }),
        ],
        tolerance: Tolerance::Exact,
    }
}

fn right_weight(c: &Case) -> f64 {
    let step = c.step();
    step.beta.powi(2) / (2.0 * c.number("variance") * step.alpha * step.one_minus_alpha_bar)
}

/// KL(N(m, v) ‖ N(n, w)) in nats.
fn kl(m: f64, v: f64, n: f64, w: f64) -> f64 {
    0.5 * (v / w - 1.0 - (v / w).ln() + (m - n).powi(2) / w)
}

fn bits(value: f64) -> Result<Outputs> {
    Ok(number("bits", value))
}

/// L_T in nats, where the KL of one number is `one(mean, variance)`.
fn prior_nats(c: &Case, one: impl Fn(f64, f64) -> f64) -> f64 {
    let last = c.schedule().last();
    c.array("x0").iter().map(|x| one(last.alpha_bar.sqrt() * x, last.one_minus_alpha_bar)).sum()
}

fn right_prior(c: &Case) -> f64 {
    prior_nats(c, |mean, variance| kl(mean, variance, 0.0, 1.0))
}

pub fn prior_bits() -> Function {
    Function {
        name: "prior_bits",
        file: "ex13_bound",
        draw: |rng| cases(rng, "prior_bits", |draw| vec![draw.betas(), ("x0", draw.points())]),
        expected: |c| {
            let (x0, schedule) = (c.array("x0"), c.schedule());
            bits(elbo::bits_per_dim(elbo::prior_term(x0, schedule)?, x0.len())?)
        },
        mistakes: vec![
            mistake("nats called bits", "Your number is in nats. Divide by ln 2.", |c| {
                bits(right_prior(c) / c.array("x0").len() as f64)
            }),
            mistake("log10 for log2", "You divide by ln 10. A bit is ln 2 nats.", |c| {
                bits(right_prior(c) / c.array("x0").len() as f64 / LN_10)
            }),
            mistake("multiplied by ln 2", "You multiply by ln 2. Nats become bits by a division.", |c| {
                bits(right_prior(c) / c.array("x0").len() as f64 * LN_2)
            }),
            mistake(
                "the sum over dimensions",
                "Your number is for all dimensions together. Divide by their number, n · d.",
                |c| bits(right_prior(c) / LN_2),
            ),
            mistake(
                "the mean over points only",
                "You divide by the number of points only. Bits per dimension divide by n · d.",
                |c| bits(right_prior(c) / LN_2 / c.array("x0").shape()[0] as f64),
            ),
            mistake("the KL from p to q", "Your KL goes from N(0, I) to q(x_T | x_0). It goes the other way.", |c| {
                bits(per_bit(c, "x0", prior_nats(c, |mean, variance| kl(0.0, 1.0, mean, variance))))
            }),
            mistake(
                "the standard deviation for the variance",
                "Your KL takes √(1 − ᾱ_T) for the variance of x_T. It is 1 − ᾱ_T.",
                |c| bits(per_bit(c, "x0", prior_nats(c, |mean, variance| kl(mean, variance.sqrt(), 0.0, 1.0)))),
            ),
            mistake("the mean without the root", "The mean of x_T is √ᾱ_T x_0, not ᾱ_T x_0.", |c| {
                let root = c.schedule().last().alpha_bar.sqrt();
                bits(per_bit(c, "x0", prior_nats(c, |mean, variance| kl(root * mean, variance, 0.0, 1.0))))
            }),
            mistake("without the half", "The half is missing: every part of the KL of two Gaussians has a ½.", |c| {
                bits(2.0 * per_bit(c, "x0", right_prior(c)))
            }),
            mistake(
                "the logarithm left out",
                "The logarithm of the ratio of the variances is missing in your KL.",
                |c| {
                    let no_log = |mean: f64, variance: f64| 0.5 * (variance - 1.0 + mean * mean);
                    bits(per_bit(c, "x0", prior_nats(c, no_log)))
                },
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// Nats as bits per dimension of an argument.
fn per_bit(c: &Case, array: &str, nats: f64) -> f64 {
    nats / (c.array(array).len() as f64 * LN_2)
}

/// The KL of a reverse step in nats, for the two variances.
fn step_nats(c: &Case, variance: f64, of_model: f64) -> f64 {
    let pairs = c.array("mu_tilde").iter().zip(c.array("mu_theta"));
    pairs.map(|(&m, &n)| kl(m, variance, n, of_model)).sum()
}

fn step_bits(c: &Case, nats: f64) -> Result<Outputs> {
    bits(per_bit(c, "mu_tilde", nats))
}

pub fn reverse_step_bits() -> Function {
    Function {
        name: "reverse_step_bits",
        file: "ex13_bound",
        draw: |rng| {
            cases(rng, "reverse_step_bits", |draw| {
                vec![draw.betas(), ("t", Arg::Int(draw.t(2))), ("mu_tilde", draw.points()), ("mu_theta", draw.points())]
            })
        },
        expected: |c| {
            let (mu_tilde, step) = (c.array("mu_tilde"), c.step());
            let nats = objective::kl_reverse_step(mu_tilde, step, c.array("mu_theta"), step.beta)?;
            bits(elbo::bits_per_dim(nats, mu_tilde.len())?)
        },
        mistakes: vec![
            mistake("nats called bits", "Your number is in nats. Divide by ln 2.", |c| {
                step_bits(c, LN_2 * step_nats(c, c.step().beta_tilde, c.step().beta))
            }),
            mistake(
                "the constant left out where sigma^2 = beta",
                "Your KL has the squared error only. Where σ_t² is β_t and not β̃_t, ½(r − 1 − ln r) with r = β̃_t/β_t stays.",
                |c| step_bits(c, step_nats(c, c.step().beta, c.step().beta)),
            ),
            mistake("beta_tilde for both", "Your model has the variance β̃_t. Here it is σ_t² = β_t.", |c| {
                step_bits(c, step_nats(c, c.step().beta_tilde, c.step().beta_tilde))
            }),
            mistake(
                "the KL from p to q",
                "Your KL goes from the model to the posterior. It goes the other way: E_q[ln q − ln p].",
                |c| step_bits(c, step_nats(c, c.step().beta, c.step().beta_tilde)),
            ),
            mistake("sigma for its square", "Your KL divides by √β_t. It divides by the variance β_t.", |c| {
                step_bits(c, step_nats(c, c.step().beta_tilde.sqrt(), c.step().beta.sqrt()))
            }),
            mistake("without the half", "The half is missing: every part of the KL of two Gaussians has a ½.", |c| {
                step_bits(c, 2.0 * step_nats(c, c.step().beta_tilde, c.step().beta))
            }),
            mistake(
                "the sum over dimensions",
                "Your number is for all dimensions together. Divide by their number, n · d.",
                |c| bits(step_nats(c, c.step().beta_tilde, c.step().beta) / LN_2),
            ),
            mistake(
                "the constant once, not once a dimension",
                "The part of the variances is in your KL once. Each of the n · d dimensions has it.",
                |c| {
                    let (error, whole) =
                        (step_nats(c, c.step().beta, c.step().beta), c.step().beta_tilde / c.step().beta);
                    step_bits(c, error + 0.5 * (whole - 1.0 - whole.ln()))
                },
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}
