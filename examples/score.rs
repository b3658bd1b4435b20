//! Chapter 13: the score that a noise predictor has learned, the two equations of motion that it drives, and the density
//! that comes with one of them.
//!
//! `cargo run --release --example score`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::elbo::{DecoderVariance, LinearVae};
use literate_diffusion::evaluation::energy_distance;
use literate_diffusion::gaussian::{entropy, kl_scalar, log_density};
use literate_diffusion::objective::{gaussian_eps, x0_from_eps};
use literate_diffusion::posterior::atom_weights;
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::score::{self, ContinuousSchedule, Probe, Solver};
use literate_diffusion::{Result, Schedule, Step, paper};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Area, Axes, BLUE, Curve, Figure, GREEN, INK, ORANGE, PURPLE, PX, VERMILION, dot, font, stroke};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Steps that count as exact.
const FINE: usize = 1000;

fn main() -> ExitCode {
    cli::example("The score that a noise predictor has learned, and the two equations of motion that it drives", run)
}

fn run() -> Outcome<()> {
    let folder = support::figures();
    let schedule = ContinuousSchedule::linear(paper::SDE_BETA_MIN, paper::SDE_BETA_MAX)?;
    let numbers = json!({
        "by_hand": by_hand()?,
        "losses": losses()?,
        "schedule": {
            "alpha_bar_end": schedule.alpha_bar_at(1.0)?,
            "sound_end": Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?.last().alpha_bar,
            "ddpm_end": Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?.last().alpha_bar,
        },
        "forward": forward(&schedule)?,
        "reverse": reverse()?,
        "positions": positions(&folder, &schedule)?,
        "variables": variables(&schedule)?,
        "likelihood": likelihood(&folder, &schedule)?,
        "trace": trace(&schedule)?,
        "gaussian": gaussian(&schedule)?,
        "mistakes": mistakes(&schedule)?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("score-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    field(&folder, &schedule)?;
    paths(&folder, &schedule)?;
    quantiles(&folder, &schedule)?;
    Ok(())
}

// ANCHOR: by_hand
/// Data that is −1 or 1, and ᾱ_t = 0.64: the score at x_t = 0.5, and what it says of the noise and of the data.
fn by_hand() -> Result<Value> {
    let step = Schedule::from_betas(&[0.36])?.step(1)?;
    let (atoms, xt) = (array![-1.0, 1.0], array![0.5]);
    let score = array![score::score_of_atoms(xt[0], &atoms, step)?];
    Ok(json!({
        "weights": atom_weights(&atoms, xt[0], step)?.to_vec(),
        "pulls": score::conditional_score(&atoms, &array![0.5, 0.5], step)?.to_vec(),
        "score": score[0],
        "eps": score::eps_from_score(&score, step)[0],
        "x0": score::x0_from_score(&xt, step, &score)?[0],
    }))
}
// ANCHOR_END: by_hand

// ANCHOR: losses
/// The three losses of three models of that score: none, that of N(0, 1), and the right one.
fn losses() -> Result<Value> {
    let step = Schedule::from_betas(&[0.36])?.step(1)?;
    let atoms = array![-1.0, 1.0];
    // By hand: (0.8 tanh(0.8 x/0.36) − x)/0.36, and its slope.
    let right = |x: f64| {
        let tanh = (0.8 * x / 0.36).tanh();
        ((0.8 * tanh - x) / 0.36, (0.64 * (1.0 - tanh * tanh) / 0.36 - 1.0) / 0.36)
    };
    let row = |model: &dyn Fn(f64) -> (f64, f64)| -> Result<Value> {
        let explicit = score::explicit_loss(|x| model(x).0, &atoms, step)?;
        let denoising = score::denoising_loss(|x| model(x).0, &atoms, step)?;
        let implicit = score::implicit_loss(model, &atoms, step)?;
        Ok(json!({
            "explicit": explicit, "denoising": denoising, "implicit": implicit,
            "more": denoising - explicit, "less": implicit - explicit,
        }))
    };
    Ok(json!({ "none": row(&|_| (0.0, 0.0))?, "normal": row(&|x| (-x, -1.0))?, "right": row(&right)? }))
}
// ANCHOR_END: losses

/// Data of variance 1, whose variance should stay 1, after T steps of Euler and Maruyama; and what is left of the data by
/// β_t = β(t/T)/T.
fn forward(schedule: &ContinuousSchedule) -> Result<Value> {
    let row = |timesteps: usize| {
        let (mut variance, mut chain) = (1.0, 1.0);
        let h = 1.0 / timesteps as f64;
        for t in 1..=timesteps {
            let b = schedule.rate(t as f64 * h)? * h;
            variance = (1.0 - 0.5 * b).powi(2) * variance + b;
            chain = (1.0 - b) * chain + b;
        }
        Ok(
            json!({ "T": timesteps, "euler_maruyama": variance - 1.0, "chain": chain - 1.0, "beta": schedule.rate(1.0)? * h }),
        )
    };
    [50, 100, 200, 1000].into_iter().map(row).collect()
}

/// How far the mean of an ancestral step and that of a step of the reverse equation are apart at x = 1, where the score is 1.
fn reverse() -> Result<Value> {
    let row = |b: f64| {
        let step = Schedule::from_betas(&[b])?.last();
        let one = array![1.0];
        let ancestral = score::ancestral_mean_from_score(&one, step, &one)?;
        let euler = score::euler_maruyama(&one, &score::reverse_drift(&one, b, &one)?, b, -1.0, &array![0.0])?;
        let apart = ancestral[0] - euler[0];
        Ok(json!({ "beta": b, "ancestral": ancestral[0], "euler": euler[0], "apart": apart, "share": apart / (b * b) }))
    };
    [0.2, 0.02, 0.002].into_iter().map(row).collect()
}

// ANCHOR: law
/// What the flow asks of the S-curve: the score, and its divergence.
fn law(x: &ArrayRef2<f64>, step: Step) -> Result<(Array2<f64>, Array1<f64>)> {
    let q = SCurve::sound().marginal(step);
    Ok((q.score(x)?, q.score_divergence(x)?))
}
// ANCHOR_END: law

/// How far from the end of the flow, on average, points of noise arrive with so many steps.
fn positions(folder: &Path, schedule: &ContinuousSchedule) -> Outcome<Value> {
    let noise = normal(60, 1);
    let want = score::carry(&noise, schedule, (1.0, 0.0), FINE, Solver::Heun, law)?.x;
    let off = |x: &Array2<f64>| mean((x - &want).pow2().sum_axis(Axis(1)).mapv(f64::sqrt).iter().copied());
    let (mut rows, mut euler, mut heun, mut ddim) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for power in 3..=8 {
        let steps = 1 << power;
        let carried = |solver| score::carry(&noise, schedule, (1.0, 0.0), steps, solver, law);
        let errors = [
            off(&carried(Solver::Euler)?.x),
            off(&ddim_samples(&noise, &schedule.discretised(steps)?)?),
            off(&carried(Solver::Heun)?.x),
        ];
        for (curve, error) in [&mut euler, &mut ddim, &mut heun].into_iter().zip(errors) {
            curve.push((f64::from(power), error));
        }
        rows.push(json!({ "steps": steps, "euler": errors[0], "ddim": errors[1], "heun": errors[2] }));
    }
    Figure {
        folder,
        name: "score-steps",
        alt: "The mean distance from where the flow ends, over the number of steps from 8 to 256, on logarithmic axes: three \
              falling lines. Those of DDIM and of Euler's method in x become parallel, with DDIM three times above. Heun's \
              falls twice as steeply and ends lowest.",
    }
    .curves(
        &Axes { x: "number of steps, as a power of 2", y: "mean distance", log_y: true },
        &[
            curve("Euler in x", ORANGE, euler),
            curve("Euler in x/√ᾱ: DDIM", BLUE, ddim),
            curve("Heun in x", GREEN, heun),
        ],
    )?;
    Ok(json!(rows))
}

/// From noise to data by Euler's method in the right variables, with the exact ε.
fn ddim_samples(noise: &ArrayRef2<f64>, schedule: &Schedule) -> Result<Array2<f64>> {
    let mut x = noise.to_owned();
    for &step in schedule.steps().iter().rev() {
        let eps = SCurve::sound().marginal(step).optimal_eps(&x)?;
        x = score::ddim_as_euler(&x, step, &eps)?;
    }
    Ok(x)
}

// ANCHOR: variables
/// Where ten steps carry a point of noise at 1, for data N(0, v): the flow ends at √v, or all but there.
fn variables(schedule: &ContinuousSchedule) -> Result<Value> {
    let row = |v: f64| {
        let start = array![1.0];
        let exact = score::gaussian_flow(0.0, v, &start, schedule.at(1.0)?, schedule.at(0.0)?)?;
        let (mut euler, mut ddim) = (start.clone(), start);
        for &step in schedule.discretised(10)?.steps().iter().rev() {
            let mut velocity = |x: &ArrayRef1<f64>, tau: f64| {
                let eps = gaussian_eps(0.0, v, x, schedule.at(tau)?)?;
                score::flow_drift(x, schedule.rate(tau)?, &score::score_from_eps(&eps, schedule.at(tau)?)?)
            };
            euler = score::ode_step(Solver::Euler, &euler, step.t as f64 / 10.0, -0.1, &mut velocity)?;
            ddim = score::ddim_as_euler(&ddim, step, &gaussian_eps(0.0, v, &ddim, step)?)?;
        }
        Ok(json!({ "variance": v, "exact": exact[0], "euler": euler[0], "ddim": ddim[0] }))
    };
    [0.0, 0.01, 0.25, 1.0].into_iter().map(row).collect()
}
// ANCHOR_END: variables

// ANCHOR: likelihood_error
/// The root mean square error of the flow's log-density, in nats, against the exact one.
fn likelihood_error(x0: &ArrayRef2<f64>, schedule: &ContinuousSchedule, steps: usize, solver: Solver) -> Result<f64> {
    let exact = SCurve::sound().data().log_q(x0)?;
    let off = score::flow_log_likelihood(x0, schedule, steps, solver, law)? - exact;
    Ok(mean(off.iter().map(|off| off * off)).sqrt())
}
// ANCHOR_END: likelihood_error

fn likelihood(folder: &Path, schedule: &ContinuousSchedule) -> Outcome<Value> {
    let x0 = SCurve::sound().points(60, &mut ChaCha8Rng::seed_from_u64(2));
    let (mut rows, mut euler, mut heun) = (Vec::new(), Vec::new(), Vec::new());
    for power in 4..=10 {
        let steps = 1 << power;
        let errors = [Solver::Euler, Solver::Heun].map(|solver| likelihood_error(&x0, schedule, steps, solver));
        let [of_euler, of_heun] = errors;
        let (of_euler, of_heun) = (of_euler?, of_heun?);
        euler.push((f64::from(power), of_euler));
        heun.push((f64::from(power), of_heun));
        rows.push(json!({ "steps": steps, "euler": of_euler, "heun": of_heun }));
    }
    let slope = |curve: &[(f64, f64)]| {
        let last = &curve[curve.len() - 2..];
        (last[0].1 / last[1].1).log2()
    };
    let exact = SCurve::sound().data().log_q(&x0)?;
    let flow = score::flow_log_likelihood(&x0, schedule, FINE, Solver::Heun, law)?;
    let carried = score::carry(&x0, schedule, (0.0, 1.0), FINE, Solver::Heun, law)?;
    // What starts from N(0, I) and what starts from the true law of x(1) differ by this much.
    let end = SCurve::sound().marginal(schedule.at(1.0)?).log_q(&carried.x)?;
    let origin = Array1::zeros(2);
    let normal: Array1<f64> =
        carried.x.rows().into_iter().map(|x| log_density(&x, &origin, 1.0)).collect::<Result<Vec<_>>>()?.into();
    let numbers = json!({
        "rows": rows,
        "order": { "euler": slope(&euler), "heun": slope(&heun) },
        "exact": mean(exact.iter().map(|log_q| -log_q)),
        "flow": mean(flow.iter().map(|log_p| -log_p)),
        "without_divergence": mean(normal.iter().map(|log_p| -log_p)),
        "entropy": SCurve::sound().data().s_curve_entropy(),
        "of_the_start": mean((end - normal).iter().map(|off| off * off)).sqrt(),
    });
    Figure {
        folder,
        name: "score-likelihood",
        alt: "The error of the log-density in nats over the number of steps from 16 to 1024, on logarithmic axes: two falling \
              lines. Heun's falls twice as steeply as Euler's.",
    }
    .curves(
        &Axes { x: "number of steps, as a power of 2", y: "error of ln p (nats)", log_y: true },
        &[curve("Euler", ORANGE, euler), curve("Heun", GREEN, heun)],
    )?;
    Ok(numbers)
}

/// Hutchinson's estimate of the score's divergence at one point: the exact one, and the spread of 10,000 estimates.
fn trace(schedule: &ContinuousSchedule) -> Result<Value> {
    let q = SCurve::sound().marginal(schedule.at(0.1)?);
    let (x, h) = (array![[0.9, -0.6]], 1e-4);
    let moved = |i: usize, h: f64| {
        let mut x = x.clone();
        x[[0, i]] += h;
        q.score(&x)
    };
    let mut jacobian = Array2::zeros((2, 2));
    for i in 0..2 {
        let column = (moved(i, h)? - moved(i, -h)?) / (2.0 * h);
        jacobian.column_mut(i).assign(&column.row(0));
    }
    let gaussian = normal(10_000, 3);
    let signs = gaussian.mapv(f64::signum);
    let spread = |z: &Array2<f64>| {
        let estimates = score::hutchinson(z, &z.dot(&jacobian.t()))?;
        Ok((estimates.mean().unwrap_or(f64::NAN), estimates.std(0.0)))
    };
    let (of_gaussian, of_signs) = (spread(&gaussian)?, spread(&signs)?);
    Ok(json!({
        "exact": q.score_divergence(&x)?[0],
        "jacobian": jacobian.iter().collect::<Vec<_>>(),
        "gaussian": {
            "mean": of_gaussian.0, "std": of_gaussian.1,
            "expected": score::hutchinson_variance(&jacobian, Probe::Gaussian)?.sqrt(),
        },
        "signs": {
            "mean": of_signs.0, "std": of_signs.1,
            "expected": score::hutchinson_variance(&jacobian, Probe::Signs)?.sqrt(),
        },
    }))
}

// ANCHOR: gaussian
/// Data N(0.5, 0.25): what the flow and the bound miss of −E ln p, in nats. Both are exact.
fn gaussian(schedule: &ContinuousSchedule) -> Result<Value> {
    let (m, v) = (0.5, 0.25);
    // The flow pulls N(0, 1) back through a straight line.
    let (end, start) = (schedule.at(1.0)?, schedule.at(0.0)?);
    let ends = score::gaussian_flow(m, v, &array![0.0, 1.0], end, start)?;
    let by_flow = kl_scalar(m, v, ends[0], (ends[1] - ends[0]).powi(2))?;
    // −ELBO is a parabola of x_0, so that two points give its mean.
    let bound = |timesteps: usize, choice| {
        let vae = LinearVae::for_gaussian_data(&schedule.discretised(timesteps)?, m, v, choice)?;
        let at = |x0: f64| vae.elbo_posterior_form(&array![x0]);
        Ok(-0.5 * (at(m - v.sqrt())? + at(m + v.sqrt())?) - entropy(v, 1)?)
    };
    let row = |timesteps: usize| {
        let (exact, beta) = (bound(timesteps, DecoderVariance::Exact)?, bound(timesteps, DecoderVariance::Beta)?);
        Ok(json!({ "T": timesteps, "exact": exact, "beta": beta }))
    };
    let rows: Result<Vec<Value>> = [10, 100, 1000].into_iter().map(row).collect();
    let at_point = |x0: f64| -> Result<Value> {
        let exact = log_density(&array![x0], &array![m], v)?;
        let flow = log_density(&array![x0], &array![ends[0]], (ends[1] - ends[0]).powi(2))?;
        let vae = LinearVae::for_gaussian_data(&schedule.discretised(100)?, m, v, DecoderVariance::Exact)?;
        Ok(
            json!({ "exact": exact, "flow": flow, "elbo": vae.elbo_posterior_form(&array![x0])?, "evidence": vae.log_evidence(&array![x0])? }),
        )
    };
    Ok(json!({ "entropy": entropy(v, 1)?, "flow": by_flow, "rows": rows?, "at_1": at_point(1.0)? }))
}
// ANCHOR_END: gaussian

/// A velocity or drift: of x, the rate, and the score.
type Drift = fn(&Array2<f64>, f64, &Array2<f64>) -> Result<Array2<f64>>;

/// From noise at τ = 1 to τ = 0 by short steps, with the exact score and with noise or without.
fn walk(
    noise: &Array2<f64>,
    schedule: &ContinuousSchedule,
    steps: usize,
    drift: Drift,
    noisy: bool,
) -> Result<Vec<Array2<f64>>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let h = -1.0 / steps as f64;
    let mut states = vec![noise.clone()];
    for k in 0..steps {
        let tau = 1.0 + k as f64 * h;
        let (x, beta) = (&states[k], schedule.rate(tau)?);
        let score = SCurve::sound().marginal(schedule.at(tau)?).score(x)?;
        let z = Array2::random_using(x.dim(), StandardNormal, rng);
        states.push(score::euler_maruyama(x, &drift(x, beta, &score)?, if noisy { beta } else { 0.0 }, h, &z)?);
    }
    Ok(states)
}

fn flow(x: &Array2<f64>, beta: f64, score: &Array2<f64>) -> Result<Array2<f64>> {
    score::flow_drift(x, beta, score)
}

fn back(x: &Array2<f64>, beta: f64, score: &Array2<f64>) -> Result<Array2<f64>> {
    score::reverse_drift(x, beta, score)
}

/// What mistakes do to samples of the S-curve: standard deviations, and the squared energy distance from fresh data.
fn mistakes(schedule: &ContinuousSchedule) -> Outcome<Value> {
    let (count, steps) = (1000, 200);
    let noise = normal(count, 5);
    let data = SCurve::sound().points(count, &mut ChaCha8Rng::seed_from_u64(6));
    let cost = |x: &Array2<f64>| -> Result<Value> {
        let far = x.iter().any(|x| !x.is_finite() || x.abs() > 1e6);
        Ok(json!({
            "energy": if far { f64::INFINITY } else { energy_distance(x, &data)? },
            "std": x.std_axis(Axis(0), 0.0).to_vec(),
        }))
    };
    let end = |drift: Drift, noisy: bool| -> Result<Value> {
        let states = walk(&noise, schedule, steps, drift, noisy)?;
        cost(&states[steps])
    };
    let minus_eps =
        |x: &ArrayRef2<f64>, step: Step| law(x, step).map(|(s, d)| (s * step.one_minus_alpha_bar.sqrt(), d));
    let rootless = score::carry(&noise, schedule, (1.0, 0.0), steps, Solver::Heun, minus_eps)?.x;
    Ok(json!({
        "fresh": cost(&SCurve::sound().points(count, &mut ChaCha8Rng::seed_from_u64(7)))?,
        "flow": cost(&score::carry(&noise, schedule, (1.0, 0.0), steps, Solver::Heun, law)?.x)?,
        "reverse": end(back, true)?,
        "minus_eps": cost(&rootless)?,
        "flow_with_whole_score": end(back, false)?,
        "reverse_with_half_score": end(flow, true)?,
        "x0_by_root": x0_by_root()?,
    }))
}

/// Tweedie's formula at the point of the example by hand, with √(1 − ᾱ) where 1 − ᾱ belongs; and by way of the noise.
fn x0_by_root() -> Result<Value> {
    let step = Schedule::from_betas(&[0.36])?.step(1)?;
    let score = score::score_of_atoms(0.5, &array![-1.0, 1.0], step)?;
    let eps = score::eps_from_score(&array![score], step);
    let right = x0_from_eps(&array![0.5], step, &eps)?[0];
    Ok(json!({ "right": right, "wrong": (0.5 + 0.6 * score) / 0.8 }))
}

type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A panel with a frame, for lines and dots within a square.
fn panel<'a, 'b>(area: &'a Area<'b>, title: &str) -> Outcome<Plane<'a, 'b>> {
    let mut chart =
        ChartBuilder::on(area).margin(6 * PX).caption(title, font(17)).build_cartesian_2d(-3.0..3.0, -3.0..3.0)?;
    let frame = [(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0), (-3.0, -3.0)];
    chart.draw_series(std::iter::once(PathElement::new(frame, stroke(INK, 1))))?;
    Ok(chart)
}

/// The score at three times, as short lines that end where they point.
fn field(folder: &Path, schedule: &ContinuousSchedule) -> Outcome<PathBuf> {
    let times = [0.02, 0.2, 0.5];
    let grid = Array2::from_shape_fn((10 * 10, 2), |(n, i)| {
        let k = if i == 0 { n % 10 } else { n / 10 };
        -2.7 + 0.6 * k as f64
    });
    let fields = times.map(|tau| Ok((tau, SCurve::sound().marginal(schedule.at(tau)?).score(&grid)?)));
    let fields: Vec<(f64, Array2<f64>)> = fields.into_iter().collect::<Result<_>>()?;
    let data = SCurve::sound().points(250, &mut ChaCha8Rng::seed_from_u64(8));
    let shown = json!({ "times": times, "mean_length": fields.iter().map(|(_, s)| length(s)).collect::<Vec<_>>() });
    Figure {
        folder,
        name: "score-field",
        alt: "Three panels of short lines on a grid over the plane, with the points of the S-curve below them. Early, each \
              line points to the nearest part of the S. At a fifth of the time the lines between two arms of the S turn. At \
              half of the time all point to the middle.",
    }
    .draw((3 * 260, 284), shown, |area| {
        let areas = area.split_evenly((1, 3));
        for ((tau, scores), area) in fields.iter().zip(&areas) {
            let mut chart = panel(area, &format!("τ = {tau}"))?;
            chart.draw_series(data.rows().into_iter().map(|p| dot((p[0], p[1]), ORANGE)))?;
            for (x, s) in grid.rows().into_iter().zip(scores.rows()) {
                let long = s[0].hypot(s[1]);
                // Half of a mesh at the most, and shorter where the score is small.
                let scale = 0.4 / (long + 1.0);
                let tip = (x[0] + scale * s[0], x[1] + scale * s[1]);
                chart.draw_series(std::iter::once(PathElement::new([(x[0], x[1]), tip], stroke(BLUE, 1))))?;
                chart.draw_series(std::iter::once(dot(tip, BLUE)))?;
            }
        }
        Ok(())
    })
}

/// The same points of noise, carried to the data by the flow and by the reverse equation: paths from τ = 0.4 on.
fn paths(folder: &Path, schedule: &ContinuousSchedule) -> Outcome<PathBuf> {
    let (count, steps, first) = (24, 240, 144);
    let noise = normal(count, 9);
    let of_flow = walk(&noise, schedule, steps, flow, false)?;
    let of_sde = walk(&noise, schedule, steps, back, true)?;
    let data = SCurve::sound().points(300, &mut ChaCha8Rng::seed_from_u64(10));
    let ends = |states: &[Array2<f64>]| states[steps].rows().into_iter().map(|x| [x[0], x[1]]).collect::<Vec<_>>();
    let shown = json!({ "flow": ends(&of_flow), "reverse": ends(&of_sde) });
    Figure {
        folder,
        name: "score-paths",
        alt: "Two panels with the S-curve. On the left 24 paths of the flow, each a short smooth curve from a point nearby \
              to the S. On the right three paths of the reverse equation: long, ragged, and crossing each other on their \
              way to the S.",
    }
    .draw((2 * 380, 404), shown, |area| {
        let areas = area.split_evenly((1, 2));
        for (states, title, paths, area) in
            [(&of_flow, "the flow", count, &areas[0]), (&of_sde, "the reverse equation", 3, &areas[1])]
        {
            let mut chart = panel(area, title)?;
            chart.draw_series(data.rows().into_iter().map(|p| dot((p[0], p[1]), ORANGE)))?;
            for n in 0..paths {
                let colour = if paths == count { BLUE } else { [BLUE, GREEN, PURPLE][n] };
                let way: Vec<(f64, f64)> = states[first..].iter().map(|x| (x[[n, 0]], x[[n, 1]])).collect();
                chart.draw_series(std::iter::once(Circle::new(way[0], 3 * PX, INK.filled())))?;
                chart.draw_series(std::iter::once(PathElement::new(way.clone(), stroke(colour, 1))))?;
                chart.draw_series(std::iter::once(Circle::new(way[way.len() - 1], 3 * PX, VERMILION.filled())))?;
            }
        }
        Ok(())
    })
}

/// Data −1 or 1 with a variance of 0.04, in one dimension: points that cut the probability into equal parts, carried back.
fn quantiles(folder: &Path, schedule: &ContinuousSchedule) -> Outcome<PathBuf> {
    let two_humps = |x: &ArrayRef2<f64>, step: Step| -> Result<(Array2<f64>, Array1<f64>)> {
        let (m, v) = (step.alpha_bar.sqrt(), step.alpha_bar * 0.04 + step.one_minus_alpha_bar);
        let tanh = |x: f64| (m * x / v).tanh();
        let slope = x.column(0).mapv(|x| (m * m * (1.0 - tanh(x).powi(2)) / v - 1.0) / v);
        Ok((x.mapv(|x| (m * tanh(x) - x) / v), slope))
    };
    // The quantiles of N(0, 1) at 1/24, 3/24, …, by bisection of its distribution function.
    let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    let quantile = |p: f64| {
        let (mut low, mut high) = (-6.0, 6.0);
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            if below(middle) < p { low = middle } else { high = middle }
        }
        low
    };
    let mut x = Array2::from_shape_fn((12, 1), |(i, _)| quantile((2 * i + 1) as f64 / 24.0));
    let mut lines = vec![Vec::new(); 12];
    let pieces = 60;
    for k in 0..=pieces {
        let tau = 1.0 - k as f64 / f64::from(pieces);
        for (line, x) in lines.iter_mut().zip(&x) {
            line.push((tau, *x));
        }
        if k < pieces {
            let next = (1.0 - f64::from(k + 1) / f64::from(pieces)).max(0.0);
            x = score::carry(&x, schedule, (tau, next), 4, Solver::Heun, two_humps)?.x;
        }
    }
    let curves: Vec<Curve> = lines.into_iter().map(|points| curve("", BLUE, points)).collect();
    Figure {
        folder,
        name: "score-quantiles",
        alt: "Twelve lines over time. At time 1 they are spread like a Gaussian around 0. Towards time 0 the six upper ones \
              run together near 1 and the six lower ones near −1. No two lines cross.",
    }
    .curves(&Axes { x: "τ", y: "x", log_y: false }, &curves)
}

fn curve(label: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Curve<'_> {
    Curve { label, colour, points, dashed: false }
}

fn normal(count: usize, seed: u64) -> Array2<f64> {
    Array2::random_using((count, 2), StandardNormal, &mut ChaCha8Rng::seed_from_u64(seed))
}

fn length(vectors: &Array2<f64>) -> f64 {
    mean(vectors.pow2().sum_axis(Axis(1)).mapv(f64::sqrt).iter().copied())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
