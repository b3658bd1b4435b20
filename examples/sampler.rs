//! Chapter 8: both algorithms, the samplers on data whose best denoiser is known, and what each mistake costs.
//!
//! `cargo run --release --example sampler [SEED]`

mod support;

use std::error::Error;
use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::evaluation::energy_distance;
use literate_diffusion::forward::{marginal_moments, q_sample, q_step};
use literate_diffusion::objective::{
    Variance, eps_from_x0, gaussian_eps, gaussian_floor_mean, mean_from_eps, x0_from_eps,
};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::sampler::{
    LastStep, ancestral, ancestral_from_x0, ancestral_moments, ancestral_sigma, ancestral_step, clip_x0, ddim,
    ddim_from_x0, ddim_moments, ddim_step, respaced_ancestral,
};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::{Result, Schedule, Step, paper, posterior};
use ndarray::{Array1, Array2, ArrayRef, Dimension, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{Rng, SeedableRng};
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, INK, ORANGE, Panel, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// The data is N(1.5, 0.25), unless another is named.
const MEAN: f64 = 1.5;
const VARIANCE: f64 = 0.25;

fn main() -> ExitCode {
    cli::seeded("Both algorithms, the samplers on data whose best denoiser is known, and what each mistake costs", run)
}

fn run(seed: u64) -> Outcome<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let three = Schedule::from_betas(&[0.36, 0.51, 0.75])?;

    let numbers = json!({
        "variance_of_x3": marginal_moments(MEAN, VARIANCE, three.last())?.1,
        "by_hand": by_hand(&three)?,
        "by_hand_ddim": by_hand_ddim(&three)?,
        "trained": trained(&sound, rng)?,
        "variance": which_variance(&sound)?,
        "steps": how_many_steps(&sound)?,
        "s_curve": steps_on_the_s_curve(&sound, &mut ChaCha8Rng::seed_from_u64(seed.wrapping_add(2)))?,
        "mistakes": mistakes(&sound)?,
        "no_noise_two_points": two_points_without_noise(&sound)?,
        "clipping": clipping(&sound, rng)?,
        "last_noise": last_noise(&sound)?,
        "alpha_bar": { "10": sound.step(10)?.alpha_bar, "90": sound.step(90)?.alpha_bar, "100": sound.last().alpha_bar },
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("sampler-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    println!("Figure: {}", figure_step_variance(&folder, &sound)?.display());
    println!("Figure: {}", figure_steps(&folder, &sound)?.display());
    println!("Figure: {}", figure_old_betas(&folder, &sound)?.display());
    for path in figures_of_paths(&folder, &sound, &mut ChaCha8Rng::seed_from_u64(seed.wrapping_add(1)))? {
        println!("Figure: {}", path.display());
    }
    println!("Figure: {}", figure_last_step(&folder, &sound, rng)?.display());
    println!("Figure: {}", figure_mistakes(&folder, &sound, rng)?.display());
    Ok(())
}

/// The best prediction of ε for data N(1.5, 0.25).
fn best_eps<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step) -> Result<ndarray::Array<f64, D>> {
    gaussian_eps(MEAN, VARIANCE, xt, step)
}

// ANCHOR: by_hand
/// Three steps back by Algorithm 2, with σ² = β.
fn by_hand(schedule: &Schedule) -> Result<Value> {
    let z = [array![0.0], array![-1.0], array![0.5]]; // z_1 is not used
    let mut x = array![0.4];
    let mut rows = serde_json::Map::new();
    for (&step, z) in schedule.steps().iter().zip(&z).rev() {
        let eps = best_eps(&x, step)?;
        let mean = mean_from_eps(&x, step, &eps)?;
        let sigma = ancestral_sigma(step, Variance::Beta, LastStep::Mean);
        let x_prev = ancestral_step(&x, step, &eps, sigma, z)?;
        rows.insert(step.t.to_string(), json!({ "eps": eps[0], "mean": mean[0], "x_prev": x_prev[0] }));
        x = x_prev;
    }
    Ok(rows.into())
}
// ANCHOR_END: by_hand

// ANCHOR: by_hand_ddim
/// The same, by DDIM with η = 0.
fn by_hand_ddim(schedule: &Schedule) -> Result<Value> {
    let no_z = array![0.0];
    let mut x = array![0.4];
    let mut rows = serde_json::Map::new();
    for &step in schedule.steps().iter().rev() {
        let eps = best_eps(&x, step)?;
        let x0_hat = x0_from_eps(&x, step, &eps)?;
        let x_prev = ddim_step(&x0_hat, step, &eps, 0.0, &no_z)?;
        rows.insert(step.t.to_string(), json!({ "x0": x0_hat[0], "x_prev": x_prev[0] }));
        x = x_prev;
    }
    Ok(rows.into())
}
// ANCHOR_END: by_hand_ddim

// ANCHOR: algorithm_1
/// Algorithm 1, for the smallest network there is: ε_θ(x_t, t) = w_t x_t + c_t, two numbers for each t.
fn algorithm_1(schedule: &Schedule, rounds: usize, batch: usize, rng: &mut impl Rng) -> Result<Vec<(f64, f64)>> {
    let mut net = vec![(0.0, 0.0); schedule.timesteps()];
    for round in 0..rounds {
        let x0 = Array1::random_using(batch, StandardNormal, rng) * VARIANCE.sqrt() + MEAN;
        let t = rng.random_range(1..=schedule.timesteps());
        let eps = Array1::random_using(batch, StandardNormal, rng);

        let xt = q_sample(&x0, schedule.step(t)?, &eps)?;
        let (w, c) = net[t - 1];
        let error = &xt * w + c - eps;
        let gradient = (2.0 * (&error * &xt).mean().unwrap_or(0.0), 2.0 * error.mean().unwrap_or(0.0));
        let rate = 0.1 * (1.0 - round as f64 / rounds as f64);
        net[t - 1] = (w - rate * gradient.0, c - rate * gradient.1);
    }
    Ok(net)
}
// ANCHOR_END: algorithm_1

/// Trains, and draws samples with what was learned.
fn trained(schedule: &Schedule, rng: &mut impl Rng) -> Result<Value> {
    let (rounds, batch) = (100_000, 64);
    let net = algorithm_1(schedule, rounds, batch, rng)?;
    let eps_theta = |xt: &ndarray::ArrayRef1<f64>, step: Step| {
        let (w, c) = net[step.t - 1];
        Ok(xt * w + c)
    };
    let noise = Array1::random_using(20_000, StandardNormal, rng);
    let x0 = ancestral(&noise, schedule, Variance::Beta, LastStep::Mean, eps_theta, rng)?;
    let law = ancestral_moments(MEAN, VARIANCE, schedule, Variance::Beta, LastStep::Mean)?;
    let at = |t: usize| -> Result<Value> {
        let best = best_eps(&array![0.0, 1.0], schedule.step(t)?)?;
        Ok(json!({ "w": net[t - 1].0, "c": net[t - 1].1, "best_w": best[1] - best[0], "best_c": best[0] }))
    };
    // The mean square of (w − w*) x_t + (c − c*), by the mean and the variance of x_t.
    let mut over_the_floor = 0.0;
    for (step, (w, c)) in schedule.steps().iter().zip(&net) {
        let best = best_eps(&array![0.0, 1.0], *step)?;
        let (mean, variance) = marginal_moments(MEAN, VARIANCE, *step)?;
        let (off_w, off_c) = (w - (best[1] - best[0]), c - best[0]);
        over_the_floor += (off_w * mean + off_c).powi(2) + off_w * off_w * variance;
    }
    Ok(json!({
        "rounds": rounds,
        "batch": batch,
        "samples": x0.len(),
        "learned": { "1": at(1)?, "30": at(30)?, "100": at(100)? },
        "floor": gaussian_floor_mean(VARIANCE, schedule)?,
        "over_the_floor": over_the_floor / schedule.timesteps() as f64,
        "mean": x0.mean(),
        "variance": x0.var(0.0),
        "law_mean": law.0,
        "law_variance": law.1,
    }))
}

/// σ² = β is exact for data N(0, 1), σ² = β̃ for a point, and neither in between.
fn which_variance(schedule: &Schedule) -> Result<Value> {
    let mut rows = Vec::new();
    for data in [0.0, 0.01, 0.25, 1.0, 4.0] {
        let ancestral = |variance, last_step| ancestral_moments(0.0, data, schedule, variance, last_step);
        rows.push(json!({
            "data": data,
            "beta": ancestral(Variance::Beta, LastStep::Mean)?.1,
            "beta_noise": ancestral(Variance::Beta, LastStep::Noise)?.1,
            "beta_tilde": ancestral(Variance::BetaTilde, LastStep::Mean)?.1,
            "ddim": ddim_moments(0.0, data, schedule, 0.0)?.1,
        }));
    }
    Ok(rows.into())
}

/// Fewer steps, through times that are spread evenly: the variance of the samples.
fn how_many_steps(schedule: &Schedule) -> Result<Value> {
    let mut rows = Vec::new();
    for steps in [5, 10, 20, 50, 100] {
        let [beta, beta_tilde, ddim] = by_steps(VARIANCE, schedule, steps)?.map(|(_, variance)| variance);
        rows.push(json!({ "steps": steps, "beta": beta, "beta_tilde": beta_tilde, "ddim": ddim }));
    }
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let [_, _, fifty_of_ddpm] = by_steps(VARIANCE, &ddpm, 50)?.map(|(_, variance)| variance);
    let sharp = by_steps(0.01, schedule, 10)?.map(|(_, variance)| variance);
    let loss = |row: usize| rows[row]["ddim"].as_f64().map(|variance| VARIANCE - variance);
    let times = times_of_equal_angles(schedule, 10);
    let (_, equal_angles) = ddim_moments(MEAN, VARIANCE, &schedule.respaced(&times)?, 0.0)?;
    Ok(json!({
        "rows": rows,
        "halved": loss(3).zip(loss(4)).map(|(long, short)| long / short),
        "fifty_of_ddpm": fifty_of_ddpm,
        "sharp": { "beta": sharp[0], "beta_tilde": sharp[1], "ddim": sharp[2] },
        "equal_angles": { "times": times, "variance": equal_angles },
    }))
}

/// The same three on the S-curve, with its best denoiser: the energy distance of 2000 samples from as many points.
fn steps_on_the_s_curve(schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<Value> {
    let curve = SCurve::sound();
    let best = |xt: &ndarray::ArrayRef2<f64>, step: Step| curve.marginal(step).optimal_eps(xt);
    let (points, others) = (curve.points(2000, rng), curve.points(2000, rng));
    let noise = Array2::random_using(points.raw_dim(), StandardNormal, rng);
    let mut rows = Vec::new();
    for steps in [5, 10, 20, 50, 100] {
        let times = evenly_spaced_times(schedule.timesteps(), steps)?;
        let mut ancestral =
            |variance| respaced_ancestral(&noise, schedule, &times, variance, LastStep::Mean, best, rng);
        let (beta, beta_tilde) = (ancestral(Variance::Beta)?, ancestral(Variance::BetaTilde)?);
        let deterministic = ddim(&noise, schedule, &times, 0.0, best, rng)?;
        rows.push(json!({
            "steps": steps,
            "beta": energy_distance(&beta, &points)?,
            "beta_tilde": energy_distance(&beta_tilde, &points)?,
            "ddim": energy_distance(&deterministic, &points)?,
        }));
    }
    Ok(json!({ "rows": rows, "data": energy_distance(&others, &points)? }))
}

/// The times at which the angle between the data and the noise in x_t has grown by equal parts, as nearly as may be.
fn times_of_equal_angles(schedule: &Schedule, count: usize) -> Vec<usize> {
    let angle = |step: &Step| step.one_minus_alpha_bar.sqrt().atan2((step.alpha_bar * VARIANCE).sqrt());
    let nearest = |wanted: f64| {
        let off = |step: &&Step| (angle(step) - wanted).abs();
        schedule.steps().iter().min_by(|a, b| off(a).total_cmp(&off(b))).map(|step| step.t)
    };
    (1..=count).filter_map(|i| nearest(FRAC_PI_2 * i as f64 / count as f64)).collect()
}

/// The law of the samples after so many steps: σ² = β′, σ² = β̃′, DDIM.
fn by_steps(data: f64, schedule: &Schedule, steps: usize) -> Result<[(f64, f64); 3]> {
    let visited = schedule.respaced(&evenly_spaced_times(schedule.timesteps(), steps)?)?;
    Ok([
        ancestral_moments(MEAN, data, &visited, Variance::Beta, LastStep::Mean)?,
        ancestral_moments(MEAN, data, &visited, Variance::BetaTilde, LastStep::Mean)?,
        ddim_moments(MEAN, data, &visited, 0.0)?,
    ])
}

// ANCHOR: law
/// The mean and the variance of samples, for any sampler whose steps are x → slope · x + shift + σ z.
fn law(
    steps: impl Iterator<Item = Step>,
    mean_of_step: impl Fn(&Array1<f64>, Step) -> Result<Array1<f64>>,
    sigma: impl Fn(Step) -> f64,
) -> Result<(f64, f64)> {
    let (mut mean, mut variance) = (0.0, 1.0); // of x_T
    for step in steps {
        let at_0_and_1 = mean_of_step(&array![0.0, 1.0], step)?;
        let (shift, slope) = (at_0_and_1[0], at_0_and_1[1] - at_0_and_1[0]);
        (mean, variance) = (slope * mean + shift, slope * slope * variance + sigma(step).powi(2));
    }
    Ok((mean, variance))
}
// ANCHOR_END: law

/// What mistakes make of N(1.5, 0.25).
fn mistakes(schedule: &Schedule) -> Result<Value> {
    let back = || schedule.steps().iter().rev().copied();
    let right = |x: &Array1<f64>, step| mean_from_eps(x, step, &best_eps(x, step)?);
    let sigma = |step| ancestral_sigma(step, Variance::Beta, LastStep::Mean);
    let told = |x: &Array1<f64>, step: Step, t: usize| mean_from_eps(x, step, &best_eps(x, schedule.step(t)?)?);
    let times = evenly_spaced_times(schedule.timesteps(), 10)?;
    let few = schedule.respaced(&times)?;
    // The step by x̂_0, with its two coefficients in view, so that each can be wrong.
    let by_x0 = |x: &Array1<f64>, step: Step, alpha: f64, alpha_bar_prev: f64| -> Result<Array1<f64>> {
        let x0 = x0_from_eps(x, step, &best_eps(x, step)?)?;
        let of_xt = alpha.sqrt() * step.one_minus_alpha_bar_prev;
        Ok((x0 * (alpha_bar_prev.sqrt() * step.beta) + x * of_xt) / step.one_minus_alpha_bar)
    };
    let noise_kept = |x: &Array1<f64>, step: Step| -> Result<Array1<f64>> {
        let eps = best_eps(x, step)?;
        let x0 = x0_from_eps(x, step, &eps)?;
        Ok(x0 * step.alpha_bar_prev.sqrt() + eps * step.one_minus_alpha_bar_prev.sqrt())
    };
    let ddim_neighbour = |x: &Array1<f64>, step| {
        let eps = best_eps(x, step)?;
        ddim_step(&x0_from_eps(x, step, &eps)?, step, &eps, 0.0, &array![0.0, 0.0])
    };
    let all = [
        ("right", law(back(), right, sigma)?),
        ("forward", law(back(), |x, step| Ok(x * step.alpha.sqrt()), |step| step.beta.sqrt())?),
        ("no_noise", law(back(), right, |_| 0.0)?),
        ("sigma_squared", law(back(), right, |step| sigma(step).powi(2))?),
        ("told_early", law(back(), |x, step| told(x, step, (step.t - 1).max(1)), sigma)?),
        ("alpha_bar", law(back(), |x, s| Ok(right(x, s)? * (s.alpha / s.alpha_bar).sqrt()), sigma)?),
        ("upwards", law(schedule.steps().iter().copied(), right, |step| step.beta.sqrt())?),
        ("root_of_alpha_bar", law(back(), |x, s| by_x0(x, s, s.alpha_bar, s.alpha_bar_prev), sigma)?),
        ("alpha_bar_of_t", law(back(), |x, s| by_x0(x, s, s.alpha, s.alpha_bar), sigma)?),
        ("eps_for_x0", law(back(), |x, step| posterior::posterior_mean(&best_eps(x, step)?, x, step), sigma)?),
        ("all_noise_kept", law(back(), noise_kept, |step| step.beta_tilde.sqrt())?),
        ("old_betas", old_betas(schedule, 10)?),
        ("told_of_i", law(few.steps().iter().rev().copied(), |x, s| told(x, s, s.t), sigma)?),
        ("few", by_steps(VARIANCE, schedule, 10)?[0]),
        ("ddim_few", by_steps(VARIANCE, schedule, 10)?[2]),
        ("ddim_neighbour", law(steps_at(schedule, &times)?.into_iter().rev(), ddim_neighbour, |_| 0.0)?),
    ];
    Ok(all.map(|(name, (mean, variance))| (name, json!({ "mean": mean, "variance": variance }))).into_iter().collect())
}

/// Respaced to so many steps, but with the β of the times visited; no noise at the last visit.
fn old_betas(schedule: &Schedule, steps: usize) -> Result<(f64, f64)> {
    let times = evenly_spaced_times(schedule.timesteps(), steps)?;
    law(
        steps_at(schedule, &times)?.into_iter().rev(),
        |x, step| mean_from_eps(x, step, &best_eps(x, step)?),
        |step| sigma_but_at(times[0], step),
    )
}

/// √β_t, and 0 at the last time that is visited.
fn sigma_but_at(last: usize, step: Step) -> f64 {
    if step.t == last { 0.0 } else { step.beta.sqrt() }
}

fn steps_at(schedule: &Schedule, times: &[usize]) -> Result<Vec<Step>> {
    times.iter().map(|&t| schedule.step(t)).collect()
}

/// The best x̂_0 if every coordinate of the data is −1 or 1.
fn best_x0<D: Dimension>(xt: &ArrayRef<f64, D>, step: Step) -> Result<ndarray::Array<f64, D>> {
    let atoms = array![-1.0, 1.0];
    let mut x0 = xt.to_owned();
    for x in &mut x0 {
        *x = posterior::atom_weights(&atoms, *x, step)?.dot(&atoms);
    }
    Ok(x0)
}

/// Data at −1 and 1, and no noise at any step: where do 10,000 walks end?
fn two_points_without_noise(schedule: &Schedule) -> Result<Value> {
    let noise = Array1::random_using(10_000, StandardNormal, &mut ChaCha8Rng::seed_from_u64(3));
    let ends = schedule.steps().iter().rev().try_fold(noise, |x, &step| -> Result<_> {
        mean_from_eps(&x, step, &eps_from_x0(&best_x0(&x, step)?, &x, step)?)
    })?;
    let above = ends.iter().filter(|x| **x > 0.0).count() as f64 / ends.len() as f64;
    Ok(json!({ "above": above, "variance": ends.var(0.0) }))
}

/// Clipping where the data is not in the range, and where it is and the network errs.
fn clipping(schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<Value> {
    let noise = Array1::random_using(10_000, StandardNormal, rng);
    let of_gaussian =
        |xt: &ndarray::ArrayRef1<f64>, step: Step| clip_x0(&x0_from_eps(xt, step, &best_eps(xt, step)?)?, -1.0, 1.0);
    let x0 = ancestral_from_x0(&noise, schedule, Variance::Beta, LastStep::Mean, of_gaussian, rng)?;

    // Data at −1 and 1, and a network whose ε is always 0.1 too large: what share of the samples is above 0? Without noise
    // on the way, x_T says where a sample ends, and a grid of x_T takes the place of draws.
    let error = 0.1;
    let grid = Array1::linspace(-8.0, 8.0, 16_001);
    let weights = grid.mapv(|x: f64| (-0.5 * x * x).exp());
    let times = evenly_spaced_times(schedule.timesteps(), 10)?;
    let mut above = |range: f64| -> Result<f64> {
        let denoiser = |xt: &ndarray::ArrayRef1<f64>, step: Step| {
            let eps = eps_from_x0(&best_x0(xt, step)?, xt, step)?;
            clip_x0(&x0_from_eps(xt, step, &(eps + error))?, -range, range)
        };
        let x0 = ddim_from_x0(&grid, schedule, &times, 0.0, denoiser, rng)?;
        let above = x0.iter().zip(&weights).filter(|(x, _)| **x > 0.0).map(|(_, weight)| weight);
        Ok(above.sum::<f64>() / weights.sum())
    };
    let last = schedule.last();
    Ok(json!({
        "mean": x0.mean(),
        "variance": x0.var(0.0),
        "amplified": (last.one_minus_alpha_bar / last.alpha_bar).sqrt(),
        "error": error,
        "above": above(f64::INFINITY)?,
        "above_clipped": above(1.0)?,
    }))
}

/// What noise at the last step costs: its deviation, and how many of the 256 grey levels that is for the schedule of DDPM.
fn last_noise(schedule: &Schedule) -> Result<Value> {
    let beta_1 = schedule.step(1)?.beta;
    let of_ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?.step(1)?.beta;
    let grey_levels = of_ddpm.sqrt() / (2.0 * paper::PIXEL_HALF_BIN);
    Ok(json!({ "beta_1": beta_1, "std": beta_1.sqrt(), "ddpm_std": of_ddpm.sqrt(), "grey_levels": grey_levels }))
}

fn curve<'a>(label: &'a str, colour: plotters::style::RGBColor, points: Vec<(f64, f64)>) -> Curve<'a> {
    Curve { label, colour, points, dashed: false }
}

/// The variance of x_{t−1} given x_t, in units of β_t: V_{t−1}/V_t.
fn figure_step_variance(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let ratio = |data: f64| -> Result<Vec<(f64, f64)>> {
        let mut before = data;
        let mut points = Vec::new();
        for &step in schedule.steps() {
            let (_, now) = marginal_moments(0.0, data, step)?;
            points.push((step.t as f64, before / now));
            before = now;
        }
        Ok(points.into_iter().step_by(2).collect())
    };
    Figure {
        folder,
        name: "sampler-step-variance",
        alt: "The true variance of one step back, divided by beta_t, over t. For data of variance 1 it is 1 throughout. For \
              one point it rises from 0 at t = 1 towards 1. For data of variance 0.25 it lies between these two. For data \
              of variance 4 it lies above 1 on the whole way. All come close to 1 at large t.",
    }
    .curves(
        &Axes { x: "t", y: "Var(x_{t−1} | x_t) / β_t", log_y: false },
        &[
            curve("variance 4", ORANGE, ratio(4.0)?),
            curve("1: σ² = β", BLUE, ratio(1.0)?),
            curve("0.25", GREEN, ratio(0.25)?),
            curve("0: σ² = β̃", VERMILION, ratio(0.0)?),
        ],
    )
}

fn figure_steps(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let mut points = [vec![], vec![], vec![]];
    for steps in (2..=schedule.timesteps()).step_by(2) {
        for (points, (_, variance)) in points.iter_mut().zip(by_steps(VARIANCE, schedule, steps)?) {
            points.push((steps as f64, variance));
        }
    }
    let [beta, beta_tilde, ddim] = points;
    let data = (2..=schedule.timesteps()).step_by(2).map(|steps| (steps as f64, VARIANCE)).collect();
    Figure {
        folder,
        name: "sampler-steps",
        alt: "The variance of the samples over the number of steps, 2 to 100, for data of variance 0.25. With sigma squared \
              = beta it overshoots to 0.27 at about 20 steps and comes down towards 0.25. DDIM stays below 0.25 and rises \
              towards it. Sigma squared = beta tilde is lowest of the three throughout.",
    }
    .curves(
        &Axes { x: "number of steps", y: "variance of the samples", log_y: false },
        &[
            curve("σ² = β′", BLUE, beta),
            curve("DDIM, η = 0", ORANGE, ddim),
            curve("σ² = β̃′", VERMILION, beta_tilde),
            Curve { dashed: true, ..curve("data", INK, data) },
        ],
    )
}

fn figure_old_betas(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let over = |value: &dyn Fn(usize) -> Result<f64>| -> Result<Vec<(f64, f64)>> {
        (2..=schedule.timesteps()).step_by(2).map(|steps| Ok((steps as f64, value(steps)?))).collect()
    };
    Figure {
        folder,
        name: "sampler-old-betas",
        alt: "Mean and standard deviation of the samples over the number of steps, for data with mean 1.5 and deviation 0.5. \
              With the betas of the long steps both are right from about ten steps on. With the old betas the mean is near \
              0.4 and the deviation near 0.9 for ten steps, and both come right only as the steps near 100.",
    }
    .curves(
        &Axes { x: "number of steps", y: "mean and deviation of the samples", log_y: false },
        &[
            curve("mean, β′", BLUE, over(&|steps| Ok(by_steps(VARIANCE, schedule, steps)?[0].0))?),
            curve("mean, old β", VERMILION, over(&|steps| Ok(old_betas(schedule, steps)?.0))?),
            Curve { dashed: true, ..curve("deviation, β′", BLUE, over(&|steps| Ok(by_steps(VARIANCE, schedule, steps)?[0].1.sqrt()))?) },
            Curve { dashed: true, ..curve("deviation, old β", VERMILION, over(&|steps| Ok(old_betas(schedule, steps)?.1.sqrt()))?) },
        ],
    )
}

/// Ways from noise to data at −1 and 1: ancestral from one place, DDIM from several.
fn figures_of_paths(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<[PathBuf; 2]> {
    let end = schedule.timesteps();
    let every_time: Vec<usize> = (1..=end).collect();
    let mut path = |x_end: f64, eta: f64| -> Result<Vec<(f64, f64)>> {
        let mut points = Vec::new();
        let record = |xt: &ndarray::ArrayRef1<f64>, step: Step| {
            points.push((step.t as f64, xt[0]));
            best_x0(xt, step)
        };
        let x0 = ddim_from_x0(&array![x_end], schedule, &every_time, eta, record, rng)?;
        points.push((0.0, x0[0]));
        points.reverse();
        Ok(points)
    };
    let axes = Axes { x: "t (sampling runs from right to left)", y: "x_t", log_y: false };
    let colours = [BLUE, ORANGE, GREEN, VERMILION];
    let mut ancestral = Vec::new();
    for (i, colour) in colours.into_iter().enumerate() {
        ancestral.push(curve(if i == 0 { "ancestral, four runs from x_T = 0.3" } else { "" }, colour, path(0.3, 1.0)?));
    }
    let mut deterministic = Vec::new();
    for (i, x_end) in [-2.1, -1.5, -0.9, -0.3, 0.3, 0.9, 1.5, 2.1].into_iter().enumerate() {
        let label = if i == 0 { "DDIM, η = 0, from eight x_T" } else { "" };
        deterministic.push(curve(label, BLUE, path(x_end, 0.0)?.into_iter().step_by(2).collect()));
    }
    let first = Figure {
        folder,
        name: "sampler-ancestral-paths",
        alt: "Four jagged paths that begin at 0.3 at t = 100 and part at once. They wander between minus 2 and 2, and in the \
              last thirty steps each of them settles at minus 1 or at 1.",
    }
    .curves(&axes, &ancestral)?;
    let second = Figure {
        folder,
        name: "sampler-ddim-paths",
        alt: "Eight smooth curves that begin at places between minus 2.1 and 2.1 at t = 100. They never cross. Those that \
              begin below 0 end at minus 1, those above 0 at 1.",
    }
    .curves(&axes, &deterministic)?;
    Ok([first, second])
}

/// Four sharp points of data, without and with noise at the last step.
fn figure_last_step(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<PathBuf> {
    let noise = Array2::random_using((250, 2), StandardNormal, rng);
    let mut panels = Vec::new();
    let mut draws = Vec::new();
    for (title, last_step) in [("the mean", LastStep::Mean), ("noise", LastStep::Noise)] {
        draws.push((title, ancestral_from_x0(&noise, schedule, Variance::Beta, last_step, best_x0, rng)?));
    }
    for (title, points) in &draws {
        panels.push(Panel {
            title: (*title).into(),
            clouds: vec![Cloud { label: "x_0", colour: BLUE, points: points.view() }],
        });
    }
    Figure {
        folder,
        name: "sampler-last-step",
        alt: "Two panels of 250 samples for data at four points. Where the last step returns the mean, there are four sharp \
              dots. Where it adds noise, there are four small clouds.",
    }
    .panels(&panels, 2, -1.3..1.3)
}

/// The S-curve by its best denoiser: as it should be, and by five mistakes, all but the data from the same noise.
fn figure_mistakes(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<PathBuf> {
    let curve = SCurve::sound();
    let best = |xt: &ndarray::ArrayRef2<f64>, step: Step| curve.marginal(step).optimal_eps(xt);
    let clipped = |xt: &ndarray::ArrayRef2<f64>, step| clip_x0(&x0_from_eps(xt, step, &best(xt, step)?)?, -1.0, 1.0);
    let noise = Array2::random_using((200, 2), StandardNormal, rng);
    let fresh = |rng: &mut ChaCha8Rng| Array2::random_using(noise.raw_dim(), StandardNormal, rng);
    let times = evenly_spaced_times(schedule.timesteps(), 10)?;
    let mut steps = schedule.steps().iter().copied();
    let (beta, last) = (Variance::Beta, LastStep::Mean);

    let clouds = [
        ("Algorithm 2", ancestral(&noise, schedule, beta, last, best, rng)?),
        ("DDIM, 10 steps", ddim(&noise, schedule, &times, 0.0, best, rng)?),
        ("data", curve.points(200, rng)),
        ("no noise added", steps.clone().rev().try_fold(noise.clone(), |x, s| mean_from_eps(&x, s, &best(&x, s)?))?),
        ("forward formula", steps.clone().rev().try_fold(noise.clone(), |x, s| q_step(&x, s, &fresh(rng)))?),
        ("clipped to [−1, 1]", ancestral_from_x0(&noise, schedule, beta, last, clipped, rng)?),
        (
            "old β, 10 steps",
            steps_at(schedule, &times)?.into_iter().rev().try_fold(noise.clone(), |x, step| {
                ancestral_step(&x, step, &best(&x, step)?, sigma_but_at(times[0], step), &fresh(rng))
            })?,
        ),
        (
            "t from 1 to 100",
            steps.try_fold(noise.clone(), |x, step| {
                ancestral_step(&x, step, &best(&x, step)?, ancestral_sigma(step, beta, last), &fresh(rng))
            })?,
        ),
    ];
    let panels: Vec<Panel> = clouds
        .iter()
        .map(|(title, points)| Panel {
            title: (*title).into(),
            clouds: vec![Cloud { label: "x_0", colour: BLUE, points: points.view() }],
        })
        .collect();
    Figure {
        folder,
        name: "sampler-mistakes",
        alt: "Eight panels of points. Algorithm 2 and the data show the letter S. DDIM in 10 steps shows it with some points \
              astray within its bows. Without noise, all points are one dot in the middle. The forward formula gives a round \
              cloud of noise. Clipped to [-1, 1], the S becomes a small square one. With the old betas there is a cloud, and \
              with t running upwards another.",
    }
    .panels(&panels, 4, -3.0..3.0)
}
