//! Chapter 14: the best variance and a learned one, the weights of losses against the bound, and flow matching.
//!
//! `cargo run --release --example variants [SEED]`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::elbo::bits_per_dim;
use literate_diffusion::evaluation::energy_distance;
use literate_diffusion::forward::q_sample;
use literate_diffusion::objective::{
    Prediction, eps_from_v, eps_weight, gaussian_floor, min_snr_weight, v_target, x0_from_v,
};
use literate_diffusion::posterior::{VarianceAtOne, atom_weights, posterior_log_variance};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::sampler::{ancestral_step, ddim_moments, ddim_step};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::variants::{
    angle, bound_from_losses, euler, euler_step, flow_elbo_weight, flow_eps_weight, flow_scale, flow_time,
    hybrid_gradient, learned_variance, nu_from_variance, optimal_variance, relative_weight, rotation_step,
    straight_path, straight_schedule, straightness, variance_cost, velocity_floor, velocity_from_eps, velocity_from_v,
    velocity_target,
};
use literate_diffusion::{Result, Schedule, Step, gaussian, paper};
use ndarray::{Array2, ArrayRef2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, INK, ORANGE, PURPLE, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// The choice at t = 1 wherever β̃_1 would be needed.
const AT_ONE: VarianceAtOne = VarianceAtOne::BetaTilde2;
/// The variance of the Gaussian data.
const VARIANCE: f64 = 0.25;
const STEPS: [usize; 5] = [5, 10, 20, 50, 100];

fn main() -> ExitCode {
    cli::seeded("The best variance and a learned one, the weights of losses against the bound, and flow matching", run)
}

fn run(seed: u64) -> Outcome<()> {
    let rng = |stream| ChaCha8Rng::seed_from_u64(seed.wrapping_add(stream));
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let three = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let floors = s_curve_floors(&sound);
    let learned = learn(&sound, 200, 32, &mut rng(0))?;
    let runs = on_the_s_curve(&sound, &mut rng(1))?;

    let numbers = json!({
        "by_hand": by_hand(&three)?,
        "bits": bits(&sound, &floors)?,
        "learned": about_learned(&sound, &floors, &learned)?,
        "samples": samples(&sound, &floors, &mut rng(2))?,
        "hybrid": hybrid(&ddpm)?,
        "weights": weights(&ddpm)?,
        "turns": turns(&sound)?,
        "floors": velocity_floors(&sound)?,
        "flow": runs.numbers,
        "mistakes": mistakes(&sound, &floors, &mut rng(3))?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("variants-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for path in [
        figure_nu(&folder, &sound, &floors, &learned)?,
        figure_cost(&folder, &sound, &floors)?,
        figure_bits(&folder, &sound, &floors)?,
        figure_weights(&folder, &ddpm)?,
        figure_times(&folder, &sound, &ddpm)?,
        figure_lines(&folder, &mut rng(4))?,
        figure_steps(&folder, &runs)?,
    ] {
        println!("Figure: {}", path.display());
    }
    Ok(())
}

// ANCHOR: by_hand
/// The second of three steps, for data N(0, 0.25), and for one pair of data and noise.
fn by_hand(schedule: &Schedule) -> Result<Value> {
    let step = schedule.step(2)?;
    let floor = gaussian_floor(VARIANCE, step)?;
    let best = optimal_variance(step, floor)?;

    let (x0, eps) = (array![1.0], array![-0.5]);
    let (xt, v) = (q_sample(&x0, step, &eps)?, v_target(&x0, step, &eps)?);
    let (s, k) = (flow_time(step), flow_scale(step));
    let xs = straight_path(&x0, s, &eps)?;
    let before = schedule.step(1)?;
    let x_prev = rotation_step(&xt, step, &v)?;
    let by_euler = euler_step(&xs, s, flow_time(before), &velocity_target(&x0, &eps)?)?;
    Ok(json!({
        "beta_tilde": step.beta_tilde, "floor": floor, "best": best,
        "nu": nu_from_variance(schedule, 2, best, AT_ONE)?,
        "cost_beta": variance_cost(best, step.beta)?,
        "cost_beta_tilde": variance_cost(best, step.beta_tilde)?,
        "angles": schedule.steps().iter().map(|&step| angle(step).to_degrees()).collect::<Vec<_>>(),
        "turn": (angle(step) - angle(before)).to_degrees(),
        "xt": xt[0], "v": v[0], "x_prev": x_prev[0],
        "s": s, "s_prev": flow_time(before), "k": k, "k_prev": flow_scale(before), "xs": xs[0],
        "u": velocity_from_eps(&xs, s, &eps)?[0],
        "u_from_v": velocity_from_v(&xt, step, &v)?[0],
        "xs_prev": by_euler[0],
        "x_prev_by_euler": by_euler[0] * flow_scale(before),
    }))
}
// ANCHOR_END: by_hand

/// The Bayes floor of the S-curve at each t.
fn s_curve_floors(schedule: &Schedule) -> Vec<f64> {
    schedule.steps().iter().map(|&step| SCurve::sound().marginal(step).bayes_floor()).collect()
}

fn gaussian_floors(schedule: &Schedule) -> Result<Vec<f64>> {
    schedule.steps().iter().map(|&step| gaussian_floor(VARIANCE, step)).collect()
}

/// A schedule through some of the times, with the floors there.
fn respaced(schedule: &Schedule, floors: &[f64], steps: usize) -> Result<(Schedule, Vec<f64>)> {
    let times = evenly_spaced_times(schedule.timesteps(), steps)?;
    Ok((schedule.respaced(&times)?, times.iter().map(|&t| floors[t - 1]).collect()))
}

/// σ_t² at each t, by four rules.
struct Variances {
    beta: Vec<f64>,
    beta_tilde: Vec<f64>,
    best: Vec<f64>,
}

fn variances(schedule: &Schedule, floors: &[f64]) -> Result<Variances> {
    let steps = schedule.steps();
    let beta_tilde = |step: &Step| posterior_log_variance(schedule, step.t, AT_ONE).map(f64::exp);
    let best = |(step, &floor): (&Step, &f64)| optimal_variance(*step, floor);
    Ok(Variances {
        beta: steps.iter().map(|step| step.beta).collect(),
        beta_tilde: steps.iter().map(beta_tilde).collect::<Result<_>>()?,
        best: steps.iter().zip(floors).map(best).collect::<Result<_>>()?,
    })
}

/// The bound in bits per dimension, by the rule for the variance and the number of steps.
fn bits(schedule: &Schedule, floors: &[f64]) -> Result<Value> {
    let gaussian = rows_of_bits(schedule, &gaussian_floors(schedule)?, VARIANCE)?;
    let entropy = SCurve::sound().data().s_curve_entropy();
    Ok(json!({
        "gaussian": gaussian,
        "gaussian_entropy": bits_per_dim(gaussian::entropy(VARIANCE, 1)?, 1)?,
        "s_curve": rows_of_bits(schedule, floors, 1.0)?,
        "s_curve_entropy": bits_per_dim(entropy, 2)?,
    }))
}

fn rows_of_bits(schedule: &Schedule, floors: &[f64], mean_square: f64) -> Result<Value> {
    let every_nu = nus(schedule, &variances(schedule, floors)?.best)?;
    let mut rows = Vec::new();
    for steps in STEPS {
        let (few, floors) = respaced(schedule, floors, steps)?;
        let rules = variances(&few, &floors)?;
        let bound = |variances: &[f64]| {
            bound_from_losses(&few, &floors, variances, mean_square).and_then(|nats| bits_per_dim(nats, 1))
        };
        // The ν of all the steps, between the ends of the long ones.
        let times = evenly_spaced_times(schedule.timesteps(), steps)?;
        let reused = |(i, &t): (usize, &usize)| learned_variance(&few, i + 1, every_nu[t - 1], AT_ONE);
        let reused = times.iter().enumerate().map(reused).collect::<Result<Vec<_>>>()?;
        rows.push(json!({
            "steps": steps,
            "beta": bound(&rules.beta)?,
            "beta_tilde": bound(&rules.beta_tilde)?,
            "best": bound(&rules.best)?,
            "reused": bound(&reused)?,
        }));
    }
    Ok(rows.into())
}

/// The ν of each of these variances.
fn nus(schedule: &Schedule, variances: &[f64]) -> Result<Vec<f64>> {
    let nu = |(i, &variance): (usize, &f64)| nu_from_variance(schedule, i + 1, variance, AT_ONE);
    variances.iter().enumerate().map(nu).collect()
}

// ANCHOR: learn
/// Learns one ν for each t, beside the best mean for the S-curve, by the gradient of the hybrid loss.
fn learn(schedule: &Schedule, rounds: usize, batch: usize, rng: &mut impl Rng) -> Result<Vec<f64>> {
    let (curve, lambda) = (SCurve::sound(), paper::HYBRID_LAMBDA);
    let mut nu = vec![0.5; schedule.timesteps()];
    for &step in schedule.steps() {
        let marginal = curve.marginal(step);
        let range = step.beta.ln() - posterior_log_variance(schedule, step.t, AT_ONE)?;
        for round in 0..rounds {
            let x0 = curve.points(batch, rng);
            let eps = Array2::random_using((batch, 2), StandardNormal, rng);
            let eps_theta = marginal.optimal_eps(&q_sample(&x0, step, &eps)?)?;

            let variance = learned_variance(schedule, step.t, nu[step.t - 1], AT_ONE)?;
            let gradient = hybrid_gradient(&eps, schedule, step.t, &eps_theta, variance, lambda)?;
            let by_nu = gradient.log_variance * range;
            // Divide by the curvature at the best ν, so that one rate does for all t.
            let curvature = 0.5 * lambda * schedule.timesteps() as f64 * range * range;
            let rate = 1.0 / (round as f64 + 4.0);
            nu[step.t - 1] -= rate * by_nu / curvature;
        }
    }
    Ok(nu)
}
// ANCHOR_END: learn

/// What was learned, at some t, and what it costs above the best.
fn about_learned(schedule: &Schedule, floors: &[f64], learned: &[f64]) -> Result<Value> {
    let rules = variances(schedule, floors)?;
    let best = nus(schedule, &rules.best)?;
    let small_steps: Vec<f64> =
        floors.iter().zip(schedule.steps()).map(|(floor, step)| floor / step.alpha_bar).collect();
    let at = |t: usize| {
        (t.to_string(), json!({ "best": best[t - 1], "learned": learned[t - 1], "small_steps": small_steps[t - 1] }))
    };
    let mut cost = 0.0;
    for (t, &nu) in (1..).zip(learned) {
        cost += variance_cost(rules.best[t - 1], learned_variance(schedule, t, nu, AT_ONE)?)?;
    }
    let linear: f64 = (2..=schedule.timesteps())
        .map(|t| {
            let step = schedule.steps()[t - 1];
            let mixed = best[t - 1] * step.beta + (1.0 - best[t - 1]) * step.beta_tilde;
            variance_cost(rules.best[t - 1], mixed)
        })
        .sum::<Result<f64>>()?;
    let sum = |variances: &[f64]| {
        rules.best.iter().zip(variances).map(|(&best, &other)| variance_cost(best, other)).sum::<Result<f64>>()
    };
    Ok(json!({
        "at": object([1, 2, 5, 10, 20, 50, 100].map(at).to_vec()),
        "cost_bits": bits_per_dim(cost, 1)?,
        "cost_beta_bits": bits_per_dim(sum(&rules.beta)?, 1)?,
        "cost_beta_tilde_bits": bits_per_dim(sum(&rules.beta_tilde)?, 1)?,
        "cost_linear_bits": bits_per_dim(linear, 1)?,
    }))
}

/// The best denoiser of the S-curve, σ² by each rule and 2000 samples: their squared energy distance to data.
fn samples(schedule: &Schedule, floors: &[f64], rng: &mut ChaCha8Rng) -> Result<Value> {
    let curve = SCurve::sound();
    let (points, others) = (curve.points(2000, rng), curve.points(2000, rng));
    let noise = Array2::random_using(points.raw_dim(), StandardNormal, rng);
    let mut rows = Vec::new();
    for steps in [5, 10, 20, 50] {
        let (few, floors) = respaced(schedule, floors, steps)?;
        let rules = variances(&few, &floors)?;
        let mut distance = |variances: &[f64]| {
            let x0 = ancestral_with(&few, variances, &noise, rng)?;
            energy_distance(&x0, &points)
        };
        rows.push(json!({
            "steps": steps,
            "beta": distance(&rules.beta)?,
            "beta_tilde": distance(&rules.beta_tilde)?,
            "best": distance(&rules.best)?,
        }));
    }
    Ok(json!({ "rows": rows, "data": energy_distance(&others, &points)?, "gaussian": gaussian_samples(schedule)? }))
}

/// Algorithm 2 on the S-curve with any variances; the last step is the mean.
fn ancestral_with(
    schedule: &Schedule,
    variances: &[f64],
    noise: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<Array2<f64>> {
    let curve = SCurve::sound();
    let mut x = noise.clone();
    for (&step, &variance) in schedule.steps().iter().zip(variances).rev() {
        let z = Array2::random_using(x.raw_dim(), StandardNormal, rng);
        let sigma = if step.t == 1 { 0.0 } else { variance.sqrt() };
        x = ancestral_step(&x, step, &curve.marginal(step).optimal_eps(&x)?, sigma, &z)?;
    }
    Ok(x)
}

/// The variance of samples for data N(0, 0.25), noise at the last step too: a closed form, by each rule.
fn gaussian_samples(schedule: &Schedule) -> Result<Value> {
    let all = gaussian_floors(schedule)?;
    let mut rows = Vec::new();
    for steps in STEPS {
        let (few, floors) = respaced(schedule, &all, steps)?;
        let rules = variances(&few, &floors)?;
        let variance = |variances: &[f64]| {
            few.steps().iter().zip(variances).rev().fold(1.0, |before, (step, variance)| {
                let now = step.alpha_bar * VARIANCE + step.one_minus_alpha_bar;
                let prev = step.alpha_bar_prev * VARIANCE + step.one_minus_alpha_bar_prev;
                before * step.alpha * (prev / now).powi(2) + variance
            })
        };
        rows.push(json!({
            "steps": steps,
            "beta": variance(&rules.beta),
            "beta_tilde": variance(&rules.beta_tilde),
            "best": variance(&rules.best),
        }));
    }
    Ok(rows.into())
}

/// What the bound adds to the weight of the mean where its gradient is not stopped: 1 + λ T w(t).
fn hybrid(ddpm: &Schedule) -> Result<Value> {
    let factor = paper::HYBRID_LAMBDA * ddpm.timesteps() as f64;
    let weight = |t: usize| -> Result<(String, f64)> {
        let step = ddpm.step(t)?;
        let variance = posterior_log_variance(ddpm, t, AT_ONE)?.exp();
        Ok((t.to_string(), 1.0 + factor * eps_weight(step, variance)?))
    };
    let rows = [1, 2, 10, 100, 1000].into_iter().map(weight).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "lambda_t": factor, "weight": object(rows) }))
}

fn object<T: serde::Serialize>(rows: Vec<(String, T)>) -> Value {
    rows.into_iter().map(|(key, value)| (key, json!(value))).collect()
}

/// A loss, as a weight on the squared error of one prediction at each step.
type Loss<'a> = (&'a str, Prediction, &'a dyn Fn(Step) -> Result<f64>);

// ANCHOR: weights
/// The losses in use, each relative to the bound, with t uniform; and whether the weight grows with t.
fn weights(ddpm: &Schedule) -> Result<Value> {
    let min_snr = |step| min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps);
    let min_snr_v = |step| min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::V);
    let flow = |step| flow_eps_weight(flow_time(step));
    let losses: [Loss; 7] = [
        ("bound_beta", Prediction::Eps, &|step| Ok(eps_weight(step, step.beta)? * 1000.0)),
        ("eps", Prediction::Eps, &|_| Ok(1.0)),
        ("x0", Prediction::X0, &|_| Ok(1.0)),
        ("v", Prediction::V, &|_| Ok(1.0)),
        ("min_snr", Prediction::Eps, &min_snr),
        ("min_snr_v", Prediction::V, &min_snr_v),
        ("flow", Prediction::Eps, &flow),
    ];
    let mut rows = serde_json::Map::new();
    for (name, prediction, weight) in losses {
        let relative = |step: &Step| relative_weight(*step, weight(*step)? / 1000.0, prediction);
        let all = ddpm.steps()[1..].iter().map(relative).collect::<Result<Vec<_>>>()?;
        rows.insert(name.into(), row(&all));
    }
    let uniform_s =
        ddpm.steps()[1..].iter().map(|&step| flow_elbo_weight(flow_time(step))).collect::<Result<Vec<_>>>()?;
    rows.insert("flow_uniform_s".into(), row(&uniform_s));
    Ok(rows.into())
}
// ANCHOR_END: weights

/// The weights at some t, the first of the list being that at t = 2.
fn row(weights: &[f64]) -> Value {
    let at = [2, 10, 100, 500, 1000].map(|t| (t.to_string(), weights[t - 2])).to_vec();
    let grows = weights.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-9));
    let largest =
        (2..).zip(weights).fold((0, 0.0), |most: (usize, f64), (t, &w)| if w > most.1 { (t, w) } else { most });
    json!({ "at": object(at), "grows": if grows { "yes" } else { "no" }, "largest_at": largest.0 })
}

/// The variance of samples without noise on the way: S turns that are chosen in three ways, for N(0, 1) and N(0, 0.25).
fn turns(sound: &Schedule) -> Result<Value> {
    let mut rows = Vec::new();
    for steps in [1, 2, 3, 5, 10, 20, 50] {
        let even_t = sound.respaced(&evenly_spaced_times(sound.timesteps(), steps)?)?;
        let of = |data: f64| -> Result<Value> {
            let variance = |schedule: &Schedule| ddim_moments(0.0, data, schedule, 0.0).map(|(_, variance)| variance);
            Ok(json!({
                "t": variance(&even_t)?,
                "s": variance(&straight_schedule(steps)?)?,
                "angle": variance(&even_angles(steps)?)?,
            }))
        };
        rows.push(json!({ "steps": steps, "normal": of(1.0)?, "narrow": of(VARIANCE)? }));
    }
    Ok(rows.into())
}

/// ᾱ = cos² of an angle that grows by equal parts to a right angle.
fn even_angles(steps: usize) -> Result<Schedule> {
    Schedule::cosine(steps, 0.0, 1.0)
}

/// The least loss of a velocity network, for N(0, 1), N(0, 0.25) and the S-curve.
fn velocity_floors(sound: &Schedule) -> Result<Value> {
    let curve = SCurve::sound();
    let mut rows = Vec::new();
    for t in [1, 10, 30, 60, 100] {
        let step = sound.step(t)?;
        let s = flow_time(step);
        let floor = curve.marginal(step).bayes_floor();
        rows.push(json!({
            "t": t, "s": s, "k": flow_scale(step),
            "weight": flow_eps_weight(s)?,
            "normal": velocity_floor(gaussian_floor(1.0, step)?, s)?,
            "s_curve": velocity_floor(floor, s)?,
            "s_curve_eps": floor,
        }));
    }
    Ok(rows.into())
}

/// What the runs on the S-curve gave: numbers, and the errors over the number of steps for the figure.
struct Runs {
    numbers: Value,
    curves: [Vec<(f64, f64)>; 3],
}

/// The velocity u*(x_s, s) of the S-curve at a step, from the best ε.
fn best_velocity(xs: &ArrayRef2<f64>, step: Step) -> Result<Array2<f64>> {
    if step.alpha_bar == 0.0 {
        return Ok(xs.to_owned()); // x_1 is the noise, and the mean of the data is 0
    }
    let eps = SCurve::sound().marginal(step).optimal_eps(&(xs * flow_scale(step)))?;
    velocity_from_eps(xs, flow_time(step), &eps)
}

// ANCHOR: walk
/// Euler's method along the straight path, through the times of any schedule; all states, x_0 first.
fn walk(noise: &Array2<f64>, schedule: &Schedule) -> Result<Vec<Array2<f64>>> {
    let steps = schedule.steps();
    let times: Vec<f64> = steps.iter().map(|&step| flow_time(step)).collect();
    let mut states = Vec::new();
    let x0 = euler(noise, &times, |xs, _| {
        states.push(xs.to_owned());
        best_velocity(xs, steps[steps.len() - states.len()])
    })?;
    states.push(x0);
    states.reverse();
    Ok(states)
}
// ANCHOR_END: walk

/// How far a walk of few steps ends from where it should, by the times that it visits.
fn on_the_s_curve(sound: &Schedule, rng: &mut ChaCha8Rng) -> Result<Runs> {
    let curve = SCurve::sound();
    let (points, others) = (curve.points(1000, rng), curve.points(1000, rng));
    let noise = Array2::random_using(points.raw_dim(), StandardNormal, rng);
    let fine = straight_schedule(3000)?;
    let exact = walk(&noise, &fine)?;
    let times: Vec<f64> = fine.steps().iter().map(|&step| flow_time(step)).collect();
    let off = |x0: &Array2<f64>| ((x0 - &exact[0]).mapv(|d| d * d).sum() / 1000.0).sqrt();

    let mut rows = Vec::new();
    let mut curves = [vec![], vec![], vec![]];
    for steps in [1, 2, 3, 5, 7, 10, 15, 20, 30, 50] {
        let even_t = sound.respaced(&evenly_spaced_times(sound.timesteps(), steps)?)?;
        let schedules = [even_t, straight_schedule(steps)?, even_angles(steps)?];
        let mut row = serde_json::Map::new();
        for ((name, schedule), points_of_curve) in ["t", "s", "angle"].into_iter().zip(schedules).zip(&mut curves) {
            let x0 = walk(&noise, &schedule)?.swap_remove(0);
            points_of_curve.push((steps as f64, off(&x0)));
            row.insert(name.into(), json!({ "off": off(&x0), "energy": energy_distance(&x0, &points)? }));
        }
        row.insert("steps".into(), steps.into());
        rows.push(Value::from(row));
    }
    let way = (&noise - &exact[0]).mapv(|d| d * d).sum() / 2000.0;
    // Scaled by its mean square, one draw is as good as all of them.
    let unit = &noise / (noise.pow2().sum() / 2000.0).sqrt();
    let gaussian: Vec<Array2<f64>> = std::iter::once(0.0)
        .chain(times.iter().copied())
        .map(|s| &unit * (f64::powi(1.0 - s, 2) * VARIANCE + s * s).sqrt())
        .collect();
    let numbers = json!({
        "rows": rows,
        "data": energy_distance(&others, &points)?,
        "exact": energy_distance(&exact[0], &points)?,
        "straightness": straightness(&exact, &times)?,
        "way": way,
        "gaussian_straightness": straightness(&gaussian, &times)?,
        "same": ddim_is_euler(sound, &noise)?,
    });
    Ok(Runs { numbers, curves })
}

/// The largest difference between x_0 by DDIM, by turns, and by Euler's method, through ten times of one schedule.
fn ddim_is_euler(sound: &Schedule, noise: &Array2<f64>) -> Result<Value> {
    let (few, curve) = (sound.respaced(&evenly_spaced_times(100, 10)?)?, SCurve::sound());
    let (mut by_ddim, mut by_turns) = (noise.clone(), noise.clone());
    for &step in few.steps().iter().rev() {
        let marginal = curve.marginal(step);
        let (x0, eps) = (marginal.tweedie(&by_ddim)?, marginal.optimal_eps(&by_ddim)?);
        by_ddim = ddim_step(&x0, step, &eps, 0.0, &eps)?;
        let v = v_target(&marginal.tweedie(&by_turns)?, step, &marginal.optimal_eps(&by_turns)?)?;
        by_turns = rotation_step(&by_turns, step, &v)?;
    }
    let by_euler = walk(&(noise / flow_scale(few.last())), &few)?.swap_remove(0);
    let apart = |x: &Array2<f64>| (x - &by_ddim).fold(0.0, |most: f64, d| most.max(d.abs()));
    Ok(json!({ "turns": apart(&by_turns), "euler": apart(&by_euler) }))
}

/// A velocity, right or wrong, at x_s and its step.
type Velocity<'a> = &'a dyn Fn(&ArrayRef2<f64>, Step) -> Result<Array2<f64>>;

/// What mistakes of flow matching make of the S-curve, in 50 steps: squared energy distances.
fn mistakes(sound: &Schedule, floors: &[f64], rng: &mut ChaCha8Rng) -> Result<Value> {
    let curve = SCurve::sound();
    let points = curve.points(1000, rng);
    let noise = Array2::random_using(points.raw_dim(), StandardNormal, rng);
    let schedule = straight_schedule(50)?;
    let walk = |velocity: Velocity| -> Result<f64> {
        let mut x = noise.clone();
        for &step in schedule.steps().iter().rev() {
            let s_next = (step.t - 1) as f64 / 50.0;
            x = euler_step(&x, flow_time(step), s_next, &velocity(&x, step)?)?;
        }
        energy_distance(&x, &points)
    };
    // A network for v: the best prediction at x_t.
    let v = |xt: &ArrayRef2<f64>, step: Step| -> Result<Array2<f64>> {
        if step.alpha_bar == 0.0 {
            return Ok(Array2::zeros(xt.raw_dim())); // −E[x_0]
        }
        let marginal = curve.marginal(step);
        v_target(&marginal.tweedie(xt)?, step, &marginal.optimal_eps(xt)?)
    };
    let turned = |xs: &ArrayRef2<f64>, step: Step| -> Result<Array2<f64>> {
        // Trained with the data at s = 1: it is told s, and believes that the noise is at 0.
        let mirror = schedule.step(50 - step.t.min(49))?;
        Ok(-best_velocity(xs, mirror)?)
    };
    let right = |xs: &ArrayRef2<f64>, step: Step| {
        velocity_from_v(&(xs * flow_scale(step)), step, &v(&(xs * flow_scale(step)), step)?)
    };
    let ten = sound.respaced(&evenly_spaced_times(100, 10)?)?;
    let tenth = |t: usize| floors[t - 1];
    Ok(json!({
        "right": walk(&right)?,
        "v_as_it_is": walk(&|xs, step| v(&(xs * flow_scale(step)), step))?,
        "v_unscaled_point": walk(&|xs, step| velocity_from_v(xs, step, &v(xs, step)?))?,
        "turned": walk(&turned)?,
        "wrong_sign": walk(&|xs, step| Ok(-best_velocity(xs, step)?))?,
        "beta_over_alpha": { "beta": ten.step(10)?.beta, "bound": ten.step(10)?.beta / ten.step(10)?.alpha },
        "floor_at_10": tenth(10),
        "at_one": at_one(sound)?,
        "min_snr_v": min_snr_for_v()?,
        "both_ways": both_ways(sound)?,
    }))
}

/// ν between ln β_1 and a ln β̃_1 that was clipped: σ_1 for ν = 0.5, and what it costs on the S-curve.
fn at_one(sound: &Schedule) -> Result<Value> {
    let first = sound.step(1)?;
    let best = optimal_variance(first, SCurve::sound().marginal(first).bayes_floor())?;
    let clipped = (0.5 * first.beta.ln() + 0.5 * 1e-20_f64.ln()).exp();
    let named = learned_variance(sound, 1, 0.5, AT_ONE)?;
    Ok(json!({
        "best": best,
        "clipped": clipped,
        "clipped_bits": bits_per_dim(variance_cost(best, clipped)?, 1)?,
        "named": named,
        "named_bits": bits_per_dim(variance_cost(best, named)?, 1)?,
        "nu_of_best": nu_from_variance(sound, 1, best, AT_ONE)?,
    }))
}

/// The min-SNR weight of ε used for v, over the right one: at the first step and at the last of the DDPM schedule.
fn min_snr_for_v() -> Result<Value> {
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let ratio = |t: usize| -> Result<f64> {
        let step = ddpm.step(t)?;
        let of = |prediction| min_snr_weight(step, paper::MIN_SNR_GAMMA, prediction);
        Ok(of(Prediction::Eps)? / of(Prediction::V)?)
    };
    Ok(json!({ "1": ratio(1)?, "1000": ratio(1000)? }))
}

/// v, ε and u of one network are one: the largest difference after a round trip.
fn both_ways(sound: &Schedule) -> Result<f64> {
    let step = sound.step(40)?;
    let (xt, v) = (array![0.3, -1.2], array![0.8, 0.1]);
    let u = velocity_from_v(&xt, step, &v)?;
    let (x0, eps) = (x0_from_v(&xt, step, &v)?, eps_from_v(&xt, step, &v)?);
    Ok((velocity_target(&x0, &eps)? - u).fold(0.0, |most: f64, d| most.max(d.abs())))
}

fn curve<'a>(label: &'a str, colour: plotters::style::RGBColor, points: Vec<(f64, f64)>) -> Curve<'a> {
    Curve { label, colour, points, dashed: false }
}

fn figure_nu(folder: &Path, sound: &Schedule, floors: &[f64], learned: &[f64]) -> Outcome<PathBuf> {
    let over_t = |nu: Vec<f64>| (1..).zip(nu).map(|(t, nu)| (f64::from(t), nu)).collect::<Vec<_>>();
    let best = |floors: &[f64]| -> Result<Vec<(f64, f64)>> { Ok(over_t(nus(sound, &variances(sound, floors)?.best)?)) };
    let small_steps = floors.iter().zip(sound.steps()).map(|(floor, step)| floor / step.alpha_bar).collect();
    let unit = sound.steps().iter().map(|&step| gaussian_floor(1.0, step)).collect::<Result<Vec<_>>>()?;
    Figure {
        folder,
        name: "variants-nu",
        alt: "The place nu of the best variance between beta tilde (0) and beta (1), over t from 1 to 100. For data N(0, 1) \
              it is 1 throughout, but for t = 1. For variance 0.25 it falls smoothly from 1 towards 0.25. For the S-curve it \
              falls steeply to a minimum near 0.66 around t = 7 and rises again to 1. What was learned lies on that curve, \
              with a little noise. The floor over alpha bar is close to it, and below it at the smallest t.",
    }
    .curves(
        &Axes { x: "t", y: "ν", log_y: false },
        &[
            curve("S-curve, learned", ORANGE, over_t(learned.to_vec())),
            curve("S-curve, best", BLUE, best(floors)?),
            Curve { dashed: true, ..curve("floor/ᾱ", INK, over_t(small_steps)) },
            curve("N(0, 0.25)", GREEN, best(&gaussian_floors(sound)?)?),
            curve("N(0, 1)", VERMILION, best(&unit)?),
        ],
    )
}

fn figure_cost(folder: &Path, sound: &Schedule, floors: &[f64]) -> Outcome<PathBuf> {
    let rules = variances(sound, floors)?;
    let cost =
        |variances: &[f64]| -> Result<Vec<(f64, f64)>> {
            let each =
                rules.best.iter().zip(variances).enumerate().skip(1).map(|(i, (&best, &variance))| {
                    Ok(((i + 1) as f64, bits_per_dim(variance_cost(best, variance)?, 1)?))
                });
            each.filter(|point| point.as_ref().is_ok_and(|(_, bits)| *bits > 1e-6)).collect()
        };
    Figure {
        folder,
        name: "variants-cost",
        alt: "What the variance costs at each t from 2 to 100, in bits per dimension on a logarithmic axis, for the S-curve. \
              With beta tilde it is nearly 1 bit at t = 2, falls at first steeply and then slowly, and is 0.000001 near t = 65. \
              With beta it is highest near t = 3, at 0.008, and falls much faster.",
    }
    .curves(
        &Axes { x: "t", y: "cost, bits per dimension", log_y: true },
        &[curve("σ² = β̃", VERMILION, cost(&rules.beta_tilde)?), curve("σ² = β", BLUE, cost(&rules.beta)?)],
    )
}

fn figure_bits(folder: &Path, sound: &Schedule, floors: &[f64]) -> Outcome<PathBuf> {
    let entropy = bits_per_dim(SCurve::sound().data().s_curve_entropy(), 2)?;
    let mut curves = [vec![], vec![], vec![], vec![]];
    for steps in [4, 5, 10, 20, 25, 50, 100] {
        let (few, floors) = respaced(sound, floors, steps)?;
        let rules = variances(&few, &floors)?;
        for (curve, variances) in curves.iter_mut().zip([&rules.beta, &rules.beta_tilde, &rules.best]) {
            curve.push((steps as f64, bits_per_dim(bound_from_losses(&few, &floors, variances, 1.0)?, 1)?));
        }
        curves[3].push((steps as f64, entropy));
    }
    let [beta, beta_tilde, best, entropy] = curves;
    Figure {
        folder,
        name: "variants-bits",
        alt: "The bound for the S-curve with a perfect mean, in bits per dimension over the number of steps, 4 to 100. With \
              the best variance it falls from 2.0 towards the entropy, 1.0. Beta lies a little above it throughout. Beta tilde \
              lies far above, between 2.2 and 2.7, and does not come closer with more steps.",
    }
    .curves(
        &Axes { x: "number of steps", y: "bound, bits per dimension", log_y: false },
        &[
            curve("σ² = β̃", VERMILION, beta_tilde),
            curve("σ² = β", BLUE, beta),
            curve("best", GREEN, best),
            Curve { dashed: true, ..curve("entropy", INK, entropy) },
        ],
    )
}

/// Over ln SNR, each loss relative to the bound, and 1 where there is as much noise as data.
fn figure_weights(folder: &Path, ddpm: &Schedule) -> Outcome<PathBuf> {
    let steps: Vec<Step> = ddpm.steps()[1..].iter().copied().filter(|step| step.log_snr().abs() < 8.0).collect();
    let Some(middle) = steps.iter().position(|step| step.log_snr() < 0.0) else {
        return Err("the schedule never reaches ln SNR = 0".into());
    };
    let relative = |weight: &dyn Fn(Step) -> Result<f64>, prediction| -> Result<Vec<(f64, f64)>> {
        let all =
            steps.iter().map(|&step| relative_weight(step, weight(step)?, prediction)).collect::<Result<Vec<_>>>()?;
        Ok(steps.iter().zip(&all).step_by(10).map(|(step, weight)| (step.log_snr(), weight / all[middle])).collect())
    };
    let min_snr = |step: Step| min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps);
    let flow = steps.iter().step_by(10).map(|&step| Ok((step.log_snr(), flow_elbo_weight(flow_time(step))?)));
    Figure {
        folder,
        name: "variants-weights",
        alt: "The weight of five losses relative to the bound, over the logarithm of the signal-to-noise ratio from minus 8 \
              to 8, all 1 at 0. The bound is 1 throughout. Flow matching falls on a straight line from about 50, where \
              there is much noise, to about 0.02. The loss in v rises more steeply on the side of noise. The simple loss and \
              min-SNR fall to both sides, min-SNR much more steeply where there is little noise.",
    }
    .curves(
        &Axes { x: "ln SNR (data on the right, noise on the left)", y: "weight relative to the bound", log_y: true },
        &[
            Curve { dashed: true, ..curve("bound", INK, steps.iter().step_by(10).map(|step| (step.log_snr(), 1.0)).collect()) },
            curve("L_simple", BLUE, relative(&|_| Ok(1.0), Prediction::Eps)?),
            curve("v", GREEN, relative(&|_| Ok(1.0), Prediction::V)?),
            curve("min-SNR", ORANGE, relative(&min_snr, Prediction::Eps)?),
            curve("flow, s uniform", VERMILION, flow.collect::<Result<_>>()?),
        ],
    )
}

/// s over t/T for three schedules.
fn figure_times(folder: &Path, sound: &Schedule, ddpm: &Schedule) -> Outcome<PathBuf> {
    let cosine = Schedule::cosine(1000, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA)?;
    let times = |schedule: &Schedule| -> Vec<(f64, f64)> {
        let count = schedule.timesteps() as f64;
        let all = schedule.steps().iter().map(|&step| (step.t as f64 / count, flow_time(step)));
        all.step_by((count / 50.0) as usize).collect()
    };
    Figure {
        folder,
        name: "variants-times",
        alt: "The time s of the straight path over t/T. Flow matching is the diagonal. The cosine schedule is close to it. The \
              linear schedules of DDPM and of the S-curve, nearly one curve, rise above it: half-way, s is near 0.78.",
    }
    .curves(
        &Axes { x: "t/T", y: "s", log_y: false },
        &[
            curve("linear β, T = 1000", BLUE, times(ddpm)),
            curve("linear β, T = 100", ORANGE, times(sound)),
            curve("cosine", GREEN, times(&cosine)),
            Curve { dashed: true, ..curve("s itself", INK, (0..=100).map(|i| (f64::from(i) / 100.0, f64::from(i) / 100.0)).collect()) },
        ],
    )
}

/// Data at −1 and 1: the straight lines that the network is shown, and the curves along which the best network moves.
fn figure_lines(folder: &Path, rng: &mut ChaCha8Rng) -> Outcome<PathBuf> {
    let (schedule, atoms) = (straight_schedule(100)?, array![-1.0, 1.0]);
    let mut curves = Vec::new();
    for i in 0..14 {
        let (x0, eps): (f64, f64) = (if i % 2 == 0 { -1.0 } else { 1.0 }, rng.sample(StandardNormal));
        curves.push(curve(if i == 0 { "pairs of data and noise" } else { "" }, ORANGE, vec![(0.0, x0), (1.0, eps)]));
    }
    for (i, start) in [-2.1, -1.5, -0.9, -0.3, 0.3, 0.9, 1.5, 2.1].into_iter().enumerate() {
        let mut x = start;
        let mut path = vec![(1.0, x)];
        for &step in schedule.steps().iter().rev() {
            let (s, s_next) = (flow_time(step), (step.t - 1) as f64 / 100.0);
            let x0 = atom_weights(&atoms, x * flow_scale(step), step)?.dot(&atoms);
            let u = (x - x0) / s; // ε − x_0 with ε = (x_s − (1 − s) x_0)/s
            x += (s_next - s) * u;
            path.push((s_next, x));
        }
        let path = path.into_iter().step_by(2).collect();
        curves.push(curve(if i == 0 { "the velocity followed" } else { "" }, BLUE, path));
    }
    Figure {
        folder,
        name: "variants-lines",
        alt: "Over s from 0 to 1, fourteen straight lines from minus 1 or 1 at s = 0 to scattered places at s = 1; they cross \
              each other everywhere. Eight curves begin at s = 1 at places between minus 2.1 and 2.1. They run towards the \
              middle at first, then bend away and end at minus 1 or at 1, and never cross.",
    }
    .curves(&Axes { x: "s (sampling runs from right to left)", y: "x_s", log_y: false }, &curves)
}

fn figure_steps(folder: &Path, runs: &Runs) -> Outcome<PathBuf> {
    let [t, s, angle] = runs.curves.clone();
    Figure {
        folder,
        name: "variants-steps",
        alt: "How far samples of the S-curve end from where the exact path leads, over the number of steps, 1 to 50, on a \
              logarithmic axis. All begin near 1.4 at one step and fall. Even t is above the others throughout; even angles \
              are a little below even s.",
    }
    .curves(
        &Axes { x: "number of steps", y: "distance from the end of the exact path", log_y: true },
        &[curve("even t", BLUE, t), curve("even s", VERMILION, s), curve("even angles", PURPLE, angle)],
    )
}
