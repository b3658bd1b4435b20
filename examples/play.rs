//! The frames of the book's interactive figures, one figure after another.
//!
//! `cargo run --release --example play`

mod support;

use std::error::Error;
use std::f64::consts::LN_2;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::data::{Pictures, Split, digits, from_byte, to_byte};
use literate_diffusion::forward::{marginal_moments, q_sample};
use literate_diffusion::objective::{Variance, eps_from_x0};
use literate_diffusion::posterior::{posterior_mean, posterior_variance};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::sampler::{LastStep, ancestral, ddim};
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::{Result, Schedule, Step, gaussian, paper};
use ndarray::{Array2, ArrayRef2, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use support::cli;
use support::play::{Control, Panel, Play, bell, cloud, frame, line, picture};

const SEED: u64 = 0;
/// Points of the S-curve in a cloud.
const POINTS: usize = 200;
/// Points of the S-curve whose way is shown.
const PATHS: usize = 12;
/// Which of the digits that are not for training is diffused.
const FRESH_DIGIT: usize = 4;
/// Points of a curve.
const GRID: usize = 31;

type Outcome = std::result::Result<PathBuf, Box<dyn Error>>;

fn main() -> ExitCode {
    cli::example("The frames of the book's interactive figures, one figure after another", run)
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    for path in [
        schedules(&folder)?,
        both_ways(&folder, &sound)?,
        digit(&folder, &sound)?,
        product(&folder)?,
        samplers(&folder, &sound)?,
    ] {
        println!("{}", path.display());
    }
    Ok(())
}

fn slider(label: &'static str, values: impl IntoIterator<Item = impl ToString>, start: usize) -> Control {
    let values = values.into_iter().map(|value| value.to_string()).collect();
    Control { label, values, start, handle: None, runs: false }
}

fn plane(title: &'static str) -> Panel {
    Panel { title, x: ("", [-3.5, 3.5]), y: ("", [-3.5, 3.5]), square: true, ticks: true }
}

/// Chapter 3: β_t, ᾱ_t and ln SNR for a kind of schedule, its length and its ends.
fn schedules(folder: &Path) -> Outcome {
    let lengths = [10, 50, 100, 300, 1000, 4000];
    let firsts = [1e-5, 1e-4, 1e-3];
    let lasts = [0.005, 0.02, 0.2];
    let over_time = ("t/T", [0.0, 1.0]);
    let play = Play {
        folder,
        name: "play-schedule",
        alt: "Three curves over t/T: the logarithm of β, the share ᾱ of the data that is left, and the logarithm of the \
              signal-to-noise ratio. They change with the kind of schedule, with T and with the ends of β.",
        panels: vec![
            Panel { title: "log₁₀ β", x: over_time, y: ("", [-6.0, 0.0]), square: false, ticks: true },
            Panel { title: "ᾱ", x: over_time, y: ("", [0.0, 1.0]), square: false, ticks: true },
            Panel { title: "ln SNR", x: over_time, y: ("", [-12.0, 12.0]), square: false, ticks: true },
        ],
        controls: vec![
            slider("kind", ["linear", "sigmoid", "cosine"], 0),
            slider("T", lengths, 4),
            slider("β at t = 1", firsts, 1),
            slider("β at t = T", lasts, 1),
        ],
        fixed: vec![],
    };
    play.write(|places| {
        let &[kind, length, first, last] = places else { return Ok(Value::Null) };
        let (timesteps, beta_1, beta_end) = (lengths[length], firsts[first], lasts[last]);
        let schedule = match kind {
            0 => Schedule::linear(timesteps, beta_1, beta_end)?,
            1 => Schedule::sigmoid(timesteps, beta_1, beta_end)?,
            _ => Schedule::cosine(timesteps, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA)?,
        };
        let curve = |panel: usize, colour: &str, of: fn(Step) -> f64| {
            let times = (0..GRID).map(|i| 1 + i * (timesteps - 1) / (GRID - 1));
            let point = |t: usize| Ok((t as f64 / timesteps as f64, of(schedule.step(t)?)));
            Ok(line(panel, colour, "", times.map(point).collect::<Result<Vec<_>>>()?))
        };
        // Data of mean 0 and variance 1.
        let bits = schedule.terminal_gap(&array![[-1.0], [1.0]])? / LN_2;
        let alpha_bar = schedule.last().alpha_bar;
        let judged =
            if bits < 0.01 { "almost nothing of the data is left" } else { "sampling from N(0, I) misses this" };
        let ends = if kind == 2 { " (the cosine schedule has no ends to choose)" } else { "" };
        let says = format!("At t = T: ᾱ = {alpha_bar:.2e}, terminal gap {bits:.4} bits per dimension: {judged}.{ends}");
        Ok(frame(
            says,
            [
                curve(0, "blue", |step| step.beta.log10())?,
                curve(1, "green", |step| step.alpha_bar)?,
                curve(2, "red", Step::log_snr)?,
            ],
        ))
    })
}

/// Chapter 4: the S-curve diffused, and beside it the way back, by the exact ε*.
fn both_ways(folder: &Path, schedule: &Schedule) -> Outcome {
    let curve = SCurve::sound();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let x0 = curve.points(POINTS, &mut rng);
    let eps = Array2::random_using((POINTS, 2), StandardNormal, &mut rng);
    let noise = Array2::random_using((POINTS, 2), StandardNormal, &mut rng);
    let mut back = Vec::new();
    let exact = |xt: &ArrayRef2<f64>, step: Step| {
        back.push(xt.to_owned());
        curve.marginal(step).optimal_eps(xt)
    };
    let samples = ancestral(&noise, schedule, Variance::Beta, LastStep::Mean, exact, &mut rng)?;
    back.push(samples);
    back.reverse(); // now back[t] is x_t

    let times: Vec<usize> = (0..=schedule.timesteps()).step_by(5).collect();
    let mut control = slider("t", &times, 4);
    control.runs = true;
    let play = Play {
        folder,
        name: "play-s-curve",
        alt: "Two clouds of points at the same t. On the left the S-curve dissolves into a round cloud as t grows; on the \
              right a round cloud gathers into the S-curve as t falls.",
        panels: vec![plane("data, diffused"), plane("noise, denoised")],
        controls: vec![control],
        fixed: vec![],
    };
    play.write(|places| {
        let t = times[places[0]];
        let (xt, left) = match t {
            0 => (x0.clone(), 1.0),
            t => (q_sample(&x0, schedule.step(t)?, &eps)?, schedule.step(t)?.alpha_bar),
        };
        let says = format!("t = {t}: {:.1} % of the variance is data.", 100.0 * left);
        Ok(frame(says, [cloud(0, "blue", "", &xt), cloud(1, "red", "", &back[t])]))
    })
}

/// Chapter 4: a digit diffused; the way back from noise, led by the best denoiser for the digits at hand; and its guess.
fn digit(folder: &Path, schedule: &Schedule) -> Outcome {
    let (known, fresh) = (digits::load(Split::Train)?, digits::load(Split::Test)?);
    let numbers = |pictures: &Pictures| {
        let pixels = pictures.pixels.iter().map(|&byte| f64::from(from_byte(byte)));
        Array2::from_shape_vec((pictures.count(), pictures.size()), pixels.collect())
    };
    let (known, fresh) = (numbers(&known)?, numbers(&fresh)?);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let x0 = fresh.select(Axis(0), &[FRESH_DIGIT]);
    let eps = Array2::random_using(x0.dim(), StandardNormal, &mut rng);
    let noise = Array2::random_using(x0.dim(), StandardNormal, &mut rng);

    let mut back = Vec::new();
    let best = |xt: &ArrayRef2<f64>, step: Step| {
        let (guess, possible) = best_guess(&known, xt, step);
        let eps = eps_from_x0(&guess, xt, step)?;
        back.push((xt.to_owned(), guess, possible));
        Ok(eps)
    };
    let times: Vec<usize> = (1..=schedule.timesteps()).collect();
    let end = ddim(&noise, schedule, &times, 0.0, best, &mut rng)?;
    let (copied, pixels_off) = nearest(&known, &end);
    back.push((end.clone(), end, 1.0));
    back.reverse(); // now back[t] has x_t and what is guessed from it

    let shown = [0, 5, 10, 20, 30, 40, 45, 50, 55, 60, 65, 70, 80, 90, 100];
    let mut control = slider("t", shown, 5);
    control.runs = true;
    let side = (x0.len() as f64).sqrt();
    let panel = |title| Panel { title, x: ("", [0.0, side]), y: ("", [0.0, side]), square: true, ticks: false };
    let play = Play {
        folder,
        name: "play-digit",
        alt: "Three small pictures at the same t. On the left a written digit drowns in noise as t grows. In the middle noise \
              becomes a digit as t falls. On the right is what the denoiser takes that digit for: at first a grey blur, the \
              mean of all digits, and, long before the end, one of the digits that it knows.",
        panels: vec![panel("a digit, diffused"), panel("noise, denoised"), panel("guessed from the noise")],
        controls: vec![control],
        fixed: vec![],
    };
    play.write(|places| {
        let t = shown[places[0]];
        let (from_noise, guess, possible) = &back[t];
        let (xt, says) = match t {
            0 => {
                let says = format!(
                    "t = 0: what was made of noise differs from training digit {} of {} in {pixels_off} of {} pixels.",
                    copied + 1,
                    known.nrows(),
                    x0.len()
                );
                (x0.clone(), says)
            }
            t => {
                let step = schedule.step(t)?;
                let (signal, noise) = (step.alpha_bar.sqrt(), step.one_minus_alpha_bar.sqrt());
                let says = format!(
                    "t = {t}: {signal:.2} of the digit and {noise:.2} of noise. In the middle, x_t leaves about {possible:.0} of the \
                     {} training digits possible.",
                    known.nrows()
                );
                (q_sample(&x0, step, &eps)?, says)
            }
        };
        let pictures = [&xt, from_noise, guess];
        Ok(frame(says, pictures.into_iter().enumerate().map(|(panel, x)| picture(panel, x.iter().copied()))))
    })
}

/// E[x_0 | x_t] if the data is a list of pictures and nothing else, and how many of them x_t leaves possible: e to the
/// entropy of their weights.
fn best_guess(known: &Array2<f64>, xt: &ArrayRef2<f64>, step: Step) -> (Array2<f64>, f64) {
    let to_picture = known * step.alpha_bar.sqrt() - xt;
    let log_weights = to_picture.map_axis(Axis(1), |d| -0.5 * d.dot(&d) / step.one_minus_alpha_bar);
    let largest = log_weights.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let weights = (log_weights - largest).exp();
    let weights = &weights / weights.sum();
    let entropy = -weights.iter().filter(|&&w| w > 0.0).map(|w| w * w.ln()).sum::<f64>();
    (weights.dot(known).insert_axis(Axis(0)), entropy.exp())
}

/// The picture nearest to `x`, and how many of its pixels have another of 256 levels.
fn nearest(known: &Array2<f64>, x: &Array2<f64>) -> (usize, usize) {
    let distances = (known - x).map_axis(Axis(1), |d| d.dot(&d));
    let (nearest, _) = distances.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap_or((0, &0.0));
    let byte = |x: &f64| to_byte(*x as f32);
    let differs = known.row(nearest).iter().zip(x).filter(|(a, b)| byte(a) != byte(b)).count();
    (nearest, differs)
}

/// Chapter 5: the posterior as a product of two Gaussians in x_{t−1}.
fn product(folder: &Path) -> Outcome {
    let schedule = Schedule::linear(10, 0.05, 0.5)?;
    let times = [2, 3, 5, 7, 10];
    let x0s: Vec<f64> = (-4..=4).map(|i| f64::from(i) / 2.0).collect();
    let xts: Vec<f64> = (-6..=6).map(|i| f64::from(i) / 2.0).collect();
    let dragged = |label, places: &[f64], start| {
        let mut control = slider(label, places, start);
        control.handle = Some(places.to_vec());
        control
    };
    let play = Play {
        folder,
        name: "play-posterior",
        alt: "Three bells over x_{t−1}: what x_0 says of it, what x_t says of it, and their product, which is narrower \
              than both and lies between them.",
        panels: vec![Panel {
            title: "", x: ("x_{t−1}", [-4.0, 4.0]), y: ("", [0.0, 1.2]), square: false, ticks: true
        }],
        controls: vec![slider("t", times, 2), dragged("x_0", &x0s, 2), dragged("x_t", &xts, 10)],
        fixed: vec![],
    };
    play.write(|places| {
        let &[t, x0, xt] = places else { return Ok(Value::Null) };
        let (t, x0, xt) = (times[t], x0s[x0], xts[xt]);
        let step = schedule.step(t)?;
        // The two densities of Bayes' rule as functions of x_{t−1}, and what their product is.
        let from_x0 = marginal_moments(x0, 0.0, schedule.step(t - 1)?)?;
        let from_xt = (xt / step.alpha.sqrt(), step.beta / step.alpha);
        let both = (posterior_mean(&array![x0], &array![xt], step)?[0], posterior_variance(step));
        let bell = |colour, label, (mean, variance): (f64, f64)| {
            Ok(bell(0, colour, label, [mean, variance.sqrt(), gaussian::density(mean, mean, variance)?]))
        };
        let says = format!(
            "x_0 puts x_{{t−1}} at {:.2} ± {:.2}, x_t at {:.2} ± {:.2}; together {:.2} ± {:.2}.",
            from_x0.0,
            from_x0.1.sqrt(),
            from_xt.0,
            from_xt.1.sqrt(),
            both.0,
            both.1.sqrt()
        );
        Ok(frame(
            says,
            [bell("blue", "from x_0", from_x0)?, bell("orange", "from x_t", from_xt)?, bell("ink", "posterior", both)?],
        ))
    })
}

/// Chapter 8: the ways of twelve points of the S-curve from noise to data, and where two hundred end.
fn samplers(folder: &Path, schedule: &Schedule) -> Outcome {
    let curve = SCurve::sound();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let data = curve.points(POINTS, &mut rng);
    let noise = Array2::random_using((POINTS, 2), StandardNormal, &mut rng);
    let counts = [5, 10, 20, 50, 100];
    let play = Play {
        folder,
        name: "play-sampler",
        alt: "Twelve ways from noise to the S-curve, and where two hundred such ways end. Ancestral ways are jagged, those of \
              DDIM smooth; with few steps the ancestral ends are far from the curve.",
        panels: vec![plane("ways from noise (T) to data (0)"), plane("where they end")],
        controls: vec![
            slider("sampler", ["ancestral, σ² = β", "ancestral, σ² = β̃", "DDIM, η = 0.5", "DDIM, η = 0"], 0),
            slider("steps", counts, 2),
        ],
        fixed: vec![cloud(1, "grey", "data", &data)],
    };
    play.write(|places| {
        let &[sampler, count] = places else { return Ok(Value::Null) };
        let times = evenly_spaced_times(schedule.timesteps(), counts[count])?;
        let visited = schedule.respaced(&times)?;
        let mut path = Vec::new();
        let exact = |xt: &ArrayRef2<f64>, step: Step| {
            path.push(some(xt));
            curve.marginal(step).optimal_eps(xt)
        };
        // Every choice gets the same noise.
        let rng = &mut ChaCha8Rng::seed_from_u64(SEED + 1);
        let x0 = match sampler {
            0 => ancestral(&noise, &visited, Variance::Beta, LastStep::Mean, exact, rng)?,
            1 => ancestral(&noise, &visited, Variance::BetaTilde, LastStep::Mean, exact, rng)?,
            2 => ddim(&noise, schedule, &times, 0.5, exact, rng)?,
            _ => ddim(&noise, schedule, &times, 0.0, exact, rng)?,
        };
        path.push(some(&x0));
        let every = path.len().div_ceil(25);
        let shown: Vec<&Array2<f64>> =
            path.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == path.len()).map(|(_, x)| x).collect();
        let ways = (0..PATHS).map(|i| line(0, "blue", "", shown.iter().map(|x| (x[[i, 0]], x[[i, 1]]))));
        let ends = [cloud(0, "red", "", &some(&x0)), cloud(1, "red", "samples", &x0)];
        let log_q = curve.data().log_q(&x0)?.mean().unwrap_or(f64::NAN);
        let says = format!("{} steps. Mean log density of the samples under the data: {log_q:.2} nats.", counts[count]);
        Ok(frame(says, ways.chain(ends)))
    })
}

/// The points whose way is shown.
fn some(points: &ArrayRef2<f64>) -> Array2<f64> {
    points.slice_axis(Axis(0), (..PATHS).into()).to_owned()
}
