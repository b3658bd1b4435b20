//! Exercises 10 to 12: sampling.

use literate_diffusion::objective::{Variance, x0_from_eps};
use literate_diffusion::sampler::{self, LastStep};
use literate_diffusion::{Result, Step};
use ndarray::{ArrayD, Axis};

use super::draw::cases;
use super::{Function, Tolerance, mistake};
use crate::case::{Arg, Case, Outputs, one};

/// μ, made of x_t and ε with the right weights.
fn mean(xt: &ArrayD<f64>, step: Step, eps: &ArrayD<f64>) -> ArrayD<f64> {
    (xt - step.beta / step.one_minus_alpha_bar.sqrt() * eps) / step.alpha.sqrt()
}

/// σ_t² = β_t, and no noise at t = 1.
fn sigma(step: Step) -> f64 {
    sampler::ancestral_sigma(step, Variance::Beta, LastStep::Mean)
}

/// `of_xt` · x_t + `of_eps` · ε + `sigma` · z.
fn mixed(c: &Case, of_xt: f64, of_eps: f64, sigma: f64) -> Result<Outputs> {
    Ok(one("x_prev", of_xt * c.array("xt") + of_eps * c.array("eps") + sigma * c.array("z")))
}

/// The right weights of x_t and of ε.
fn weights(step: Step) -> (f64, f64) {
    (1.0 / step.alpha.sqrt(), -step.beta / step.one_minus_alpha_bar.sqrt() / step.alpha.sqrt())
}

pub fn ancestral_step() -> Function {
    Function {
        name: "ancestral_step",
        file: "ex10_ancestral_step",
        draw: |rng| {
            cases(rng, "ancestral_step", |draw| {
                let (betas, t) = (draw.betas(), draw.t(1));
                vec![betas, ("t", Arg::Int(t)), ("xt", draw.points()), ("eps", draw.points()), ("z", draw.points())]
            })
        },
        expected: |c| {
            let step = c.step();
            let x = sampler::ancestral_step(c.array("xt"), step, c.array("eps"), sigma(step), c.array("z"))?;
            Ok(one("x_prev", x))
        },
        mistakes: vec![
            mistake(
                "noise at the last step",
                "Noise is added at t = 1. The last step gives the mean itself: after it, nothing takes the noise away.",
                |c| mixed(c, weights(c.step()).0, weights(c.step()).1, c.step().beta.sqrt()),
            ),
            mistake(
                "the variance as the standard deviation",
                "Your noise is multiplied by β_t. That is σ_t²: multiply by σ_t = √β_t.",
                |c| mixed(c, weights(c.step()).0, weights(c.step()).1, sigma(c.step()).powi(2)),
            ),
            mistake(
                "no noise at any step",
                "You add no noise at all. That is the mean; a draw needs σ_t z as well (except at t = 1).",
                |c| mixed(c, weights(c.step()).0, weights(c.step()).1, 0.0),
            ),
            mistake("beta_tilde where beta was meant", "Your σ_t² is β̃_t. Here it is β_t.", |c| {
                mixed(c, weights(c.step()).0, weights(c.step()).1, c.step().beta_tilde.sqrt())
            }),
            mistake(
                "the root of alpha_bar for that of alpha",
                "You divide by √ᾱ_t. One step back divides by √α_t.",
                |c| {
                    let step = c.step();
                    let wrong = (step.alpha / step.alpha_bar).sqrt();
                    mixed(c, wrong * weights(step).0, wrong * weights(step).1, sigma(step))
                },
            ),
            mistake("alpha without the root", "You divide by α_t. Divide by √α_t.", |c| {
                let (step, wrong) = (c.step(), 1.0 / c.step().alpha.sqrt());
                mixed(c, wrong * weights(step).0, wrong * weights(step).1, sigma(step))
            }),
            mistake(
                "1 - alpha_bar without the root",
                "ε has the factor β_t/(1 − ᾱ_t). It is β_t/√(1 − ᾱ_t).",
                |c| {
                    let step = c.step();
                    mixed(c, weights(step).0, weights(step).1 / step.one_minus_alpha_bar.sqrt(), sigma(step))
                },
            ),
            mistake(
                "the root of beta for beta",
                "ε has the factor √β_t/√(1 − ᾱ_t). It is β_t/√(1 − ᾱ_t).",
                |c| mixed(c, weights(c.step()).0, weights(c.step()).1 / c.step().beta.sqrt(), sigma(c.step())),
            ),
            mistake(
                "the noise added",
                "The sign of ε: what was added on the way there is taken away on the way back.",
                |c| mixed(c, weights(c.step()).0, -weights(c.step()).1, sigma(c.step())),
            ),
            mistake(
                "all the noise taken away",
                "You take away all the noise of x_t, √(1 − ᾱ_t) ε. One step takes β_t/√(1 − ᾱ_t) of ε.",
                |c| {
                    let step = c.step();
                    mixed(c, weights(step).0, -step.one_minus_alpha_bar.sqrt() / step.alpha.sqrt(), sigma(step))
                },
            ),
            mistake(
                "the forward formula",
                "That is a step of the forward process, from x_t on to x_{t+1}. Sampling goes back: it divides by √α_t and takes away noise.",
                |c| mixed(c, c.step().alpha.sqrt(), 0.0, c.step().beta.sqrt()),
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// A denoiser that both sides can compute: ε_θ(x, t) = a_t x + b_t.
fn eps_theta(c: &Case, x: &ArrayD<f64>, t: usize) -> ArrayD<f64> {
    c.array("a")[t] * x + c.array("b")[t]
}

/// Walks over some times. Each of them has a time that the denoiser is told, an index of z, and a σ.
fn walk(
    c: &Case,
    times: impl Iterator<Item = usize>,
    told: fn(usize) -> usize,
    sigma: fn(Step) -> f64,
) -> Result<Outputs> {
    let mut x = c.array("x_end").clone();
    for t in times {
        let step = c.schedule().step(t)?;
        x = mean(&x, step, &eps_theta(c, &x, told(t))) + sigma(step) * &c.array("z").index_axis(Axis(0), t);
    }
    Ok(one("x_0", x))
}

fn same_time(t: usize) -> usize {
    t
}

pub fn ancestral() -> Function {
    Function {
        name: "ancestral",
        file: "ex11_loop",
        draw: |rng| {
            cases(rng, "ancestral", |draw| {
                let betas = draw.betas();
                let (x_end, coefficients) = (draw.points(), [draw.timesteps + 1]);
                let z = draw.array(&[draw.timesteps + 1, draw.n, draw.d]);
                let (a, b) = (draw.array(&coefficients), draw.array(&coefficients));
                vec![betas, ("x_end", x_end), ("z", z), ("a", a), ("b", b)]
            })
        },
        expected: |c| {
            let mut x = c.array("x_end").clone();
            for &step in c.schedule().steps().iter().rev() {
                let z = c.array("z").index_axis(Axis(0), step.t).to_owned();
                x = sampler::ancestral_step(&x, step, &eps_theta(c, &x, step.t), sigma(step), &z)?;
            }
            Ok(one("x_0", x))
        },
        mistakes: vec![
            mistake(
                "the step to x_0 left out",
                "Your loop ends at t = 2, so that you return x_1. The step at t = 1 leads to x_0.",
                |c| walk(c, (2..=c.schedule().timesteps()).rev(), same_time, sigma),
            ),
            mistake("begun at T - 1", "Your loop begins at T − 1: the step at t = T is missing.", |c| {
                walk(c, (1..c.schedule().timesteps()).rev(), same_time, sigma)
            }),
            mistake("forward in time", "Your loop runs from t = 1 up to T. Sampling begins at T and goes down.", |c| {
                walk(c, 1..=c.schedule().timesteps(), same_time, sigma)
            }),
            mistake(
                "the denoiser told of t - 1",
                "You tell the network t − 1 where it sees x_t: it is told the time of what it sees.",
                |c| walk(c, (1..=c.schedule().timesteps()).rev(), |t| t - 1, sigma),
            ),
            mistake("noise at the last step", "Noise is added at t = 1. The last step gives the mean itself.", |c| {
                walk(c, (1..=c.schedule().timesteps()).rev(), same_time, |step| step.beta.sqrt())
            }),
            mistake(
                "no noise at any step",
                "You add no noise at all: each step but the last is a draw, and needs σ_t z.",
                |c| walk(c, (1..=c.schedule().timesteps()).rev(), same_time, |_| 0.0),
            ),
            mistake("beta_tilde where beta was meant", "Your σ_t² is β̃_t. Here it is β_t.", |c| {
                walk(c, (1..=c.schedule().timesteps()).rev(), same_time, |step| step.beta_tilde.sqrt())
            }),
            mistake(
                "the denoiser shown x_T at every step",
                "You ask the network about x_T at every step. Ask it about the x_t that you have reached.",
                |c| {
                    let mut x = c.array("x_end").clone();
                    for &step in c.schedule().steps().iter().rev() {
                        let eps = eps_theta(c, c.array("x_end"), step.t);
                        x = mean(&x, step, &eps) + sigma(step) * &c.array("z").index_axis(Axis(0), step.t);
                    }
                    Ok(one("x_0", x))
                },
            ),
            mistake(
                "z of t - 1",
                "You take z[t − 1] for the step from x_t. The index of z is t, and z[0] is not for use.",
                |c| {
                    let mut x = c.array("x_end").clone();
                    for &step in c.schedule().steps().iter().rev() {
                        let z = c.array("z").index_axis(Axis(0), step.t - 1).to_owned();
                        x = mean(&x, step, &eps_theta(c, &x, step.t)) + sigma(step) * &z;
                    }
                    Ok(one("x_0", x))
                },
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}

/// What a DDIM step is made of: ᾱ_t, ᾱ_s, β of the jump, and σ.
struct Jump {
    now: f64,
    then: f64,
    beta: f64,
    sigma: f64,
}

fn jump(c: &Case) -> Jump {
    let now = c.step().alpha_bar;
    let then = c.at(c.int("s")).map_or(1.0, |step| step.alpha_bar);
    let beta = 1.0 - now / then;
    Jump { now, then, beta, sigma: c.number("eta") * ((1.0 - then) / (1.0 - now) * beta).sqrt() }
}

/// √`then` · x̂_0 + `kept` · ε + `sigma` · z.
fn jumped(c: &Case, x0_hat: ArrayD<f64>, then: f64, kept: f64, sigma: f64) -> Result<Outputs> {
    Ok(one("x_s", then.sqrt() * x0_hat + kept * c.array("eps") + sigma * c.array("z")))
}

fn x0_hat(c: &Case) -> Result<ArrayD<f64>> {
    x0_from_eps(c.array("xt"), c.step(), c.array("eps"))
}

/// √(a − b), where rounding may have carried it below 0.
fn root_of_rest(a: f64, b: f64) -> f64 {
    (a - b).max(0.0).sqrt()
}

pub fn ddim_step() -> Function {
    Function {
        name: "ddim_step",
        file: "ex12_ddim",
        draw: |rng| {
            cases(rng, "ddim_step", |draw| {
                use ndarray_rand::rand::Rng;
                // From the seventh on, a time is left out and x_0 is not reached: there the β of the jump is another one.
                let (betas, t) = (draw.betas(), draw.t(if draw.index < 6 { 1 } else { 3 }));
                let s = match draw.index {
                    0 => t - 1,
                    1..6 => draw.rng.random_range(0..t),
                    _ => draw.rng.random_range(1..t - 1),
                };
                let eta = [0.5, 0.0, 1.0][draw.index % 3];
                let (xt, eps, z) = (draw.points(), draw.points(), draw.points());
                vec![
                    betas,
                    ("t", Arg::Int(t)),
                    ("s", Arg::Int(s)),
                    ("eta", Arg::Number(eta)),
                    ("xt", xt),
                    ("eps", eps),
                    ("z", z),
                ]
            })
        },
        expected: |c| {
            let (s, t) = (c.int("s"), c.int("t"));
            let times = if s == 0 { vec![t] } else { vec![s, t] };
            let step = c.schedule().respaced(&times)?.last();
            let sigma = sampler::ddim_sigma(step, c.number("eta"))?;
            Ok(one("x_s", sampler::ddim_step(&x0_hat(c)?, step, c.array("eps"), sigma, c.array("z"))?))
        },
        mistakes: vec![
            mistake(
                "the old beta, not 1 - alpha_bar_t/alpha_bar_s",
                "Your σ is made of the old β_t. A jump from t to s has β = 1 − ᾱ_t/ᾱ_s.",
                |c| {
                    let j = jump(c);
                    let sigma = c.number("eta") * ((1.0 - j.then) / (1.0 - j.now) * c.step().beta).sqrt();
                    jumped(c, x0_hat(c)?, j.then, root_of_rest(1.0 - j.then, sigma * sigma), sigma)
                },
            ),
            mistake(
                "alpha_bar of t - 1, not of s",
                "You go to t − 1 and not to s: ᾱ_s belongs where you have ᾱ_{t−1}.",
                |c| {
                    let step = c.step();
                    let sigma = c.number("eta") * step.beta_tilde.sqrt();
                    let kept = root_of_rest(step.one_minus_alpha_bar_prev, sigma * sigma);
                    jumped(c, x0_hat(c)?, step.alpha_bar_prev, kept, sigma)
                },
            ),
            mistake(
                "eta as the factor of the variance",
                "You multiply the variance by η. η is the factor of the standard deviation: σ = η √β̃.",
                |c| {
                    let j = jump(c);
                    let sigma = (c.number("eta") * (1.0 - j.then) / (1.0 - j.now) * j.beta).sqrt();
                    jumped(c, x0_hat(c)?, j.then, root_of_rest(1.0 - j.then, sigma * sigma), sigma)
                },
            ),
            mistake(
                "sigma^2 not taken off 1 - alpha_bar",
                "σ² is not taken off: of the noise 1 − ᾱ_s, the part σ² is drawn anew, and only the rest, 1 − ᾱ_s − σ², is kept.",
                |c| {
                    let j = jump(c);
                    jumped(c, x0_hat(c)?, j.then, (1.0 - j.then).sqrt(), j.sigma)
                },
            ),
            mistake(
                "sigma taken off, not its square",
                "You keep √(1 − ᾱ_s) − σ of the noise. Variances are subtracted: √(1 − ᾱ_s − σ²).",
                |c| {
                    let j = jump(c);
                    jumped(c, x0_hat(c)?, j.then, (1.0 - j.then).sqrt() - j.sigma, j.sigma)
                },
            ),
            mistake("no noise for any eta", "You add no fresh noise for any η. Only for η = 0 there is none.", |c| {
                let j = jump(c);
                jumped(c, x0_hat(c)?, j.then, (1.0 - j.then).sqrt(), 0.0)
            }),
            mistake(
                "the noise drawn anew forgotten",
                "σ² is taken off the noise that is kept, but σ z is not added.",
                |c| {
                    let j = jump(c);
                    jumped(c, x0_hat(c)?, j.then, root_of_rest(1.0 - j.then, j.sigma * j.sigma), 0.0)
                },
            ),
            mistake("eta ignored", "You add as much noise as for η = 1, whatever η is.", |c| {
                let j = jump(c);
                let sigma = ((1.0 - j.then) / (1.0 - j.now) * j.beta).sqrt();
                jumped(c, x0_hat(c)?, j.then, root_of_rest(1.0 - j.then, sigma * sigma), sigma)
            }),
            mistake(
                "x_t for x_0",
                "You shrink x_t where the predicted x_0 belongs: x̂_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t.",
                |c| {
                    let j = jump(c);
                    jumped(c, c.array("xt").clone(), j.then, root_of_rest(1.0 - j.then, j.sigma * j.sigma), j.sigma)
                },
            ),
            mistake("x_0 not divided", "Your x̂_0 is not divided by √ᾱ_t.", |c| {
                let j = jump(c);
                let x0 = x0_hat(c)? * j.now.sqrt();
                jumped(c, x0, j.then, root_of_rest(1.0 - j.then, j.sigma * j.sigma), j.sigma)
            }),
            mistake(
                "alpha_bar of t for that of s",
                "Your x̂_0 is shrunk by √ᾱ_t. It goes to the time s: √ᾱ_s.",
                |c| {
                    let j = jump(c);
                    jumped(c, x0_hat(c)?, j.now, root_of_rest(1.0 - j.then, j.sigma * j.sigma), j.sigma)
                },
            ),
        ],
        tolerance: Tolerance::Exact,
    }
}
