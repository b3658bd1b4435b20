//! Chapter 7: what the bound charges for an error, at each t, and what loss is the best that there can be.
//!
//! `cargo run --release --example objective [SEED]`

mod support;

use std::error::Error;
use std::f64::consts::LN_2;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::forward::{q_chain, q_sample};
use literate_diffusion::objective::{self, Prediction, Variance};
use literate_diffusion::s_curve::SCurve;
use literate_diffusion::sampler::{Denoiser, LastStep, ancestral};
use literate_diffusion::{Result, Schedule, Step, paper};
use ndarray::{Array1, Array2, ArrayRef2, Ix2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Cloud, Curve, Figure, GREEN, ORANGE, PURPLE, Panel, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    cli::seeded("What the bound charges for an error, at each t, and what loss is the best that there can be", run)
}

fn run(seed: u64) -> Outcome<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let folder = support::figures();
    let ddpm = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let by_hand = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let losses = Losses::measure(&sound, rng)?;

    let numbers = json!({
        "by_hand": one_error(&by_hand)?,
        "signal": signal(&by_hand)?,
        "weights": weights(&ddpm)?,
        "constants": { "ddpm": constants(&ddpm)?, "sound": constants(&sound)? },
        "floors": { "by_hand": floors(&by_hand)?, "ddpm": floors(&ddpm)? },
        "pixels": pixels(&ddpm)?,
        "times": { "2": times(&ddpm, 2)?, "3072": times(&ddpm, 3072)? },
        "s_curve": losses.numbers(&sound)?,
        "mistakes": mistakes(&ddpm, &sound)?,
        "reshaped": reshaped(&sound, rng)?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("objective-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for figure in [
        figure_weights(&folder, &ddpm)?,
        figure_forms(&folder, &ddpm)?,
        figure_floors(&folder, &ddpm)?,
        losses.figure(&folder)?,
        figure_samples(&folder, &sound, rng)?,
        figure_min_snr(&folder, &ddpm)?,
    ] {
        println!("Figure: {}", figure.display());
    }
    Ok(())
}

// ANCHOR: one_error
/// The second step of chapter 4's example, with a network that guesses −0.4 for the noise: one error in four forms.
fn one_error(schedule: &Schedule) -> Result<Value> {
    let (x0, step) = (array![1.0], schedule.step(2)?);
    let xt = &q_chain(&x0, schedule, &[array![0.5], array![-1.0], array![0.2]])?[2];

    let eps = objective::eps_from_x0(&x0, xt, step)?;
    let v = objective::v_target(&x0, step, &eps)?;
    let mean = objective::mean_from_eps(xt, step, &eps)?;

    let eps_theta = array![-0.4];
    let x0_theta = objective::x0_from_eps(xt, step, &eps_theta)?;
    let v_theta = objective::v_target(&x0_theta, step, &eps_theta)?;
    let mean_theta = objective::mean_from_eps(xt, step, &eps_theta)?;

    let variance = Variance::Beta.of(step);
    let row = |truth: f64, guess: f64, weight: f64| {
        let error = guess - truth;
        json!({ "truth": truth, "guess": guess, "error": error, "weight": weight, "charge": weight * error * error })
    };
    Ok(json!({
        "x_t": xt[0],
        "eps": row(eps[0], eps_theta[0], objective::eps_weight(step, variance)?),
        "x0": row(x0[0], x0_theta[0], objective::x0_weight(step, variance)?),
        "v": row(v[0], v_theta[0], objective::v_weight(step, variance)?),
        "mean": row(mean[0], mean_theta[0], 0.5 / variance),
        "kl": objective::kl_reverse_step(&mean, step, &mean_theta, variance)?,
        "kl_beta_tilde": objective::kl_reverse_step(&mean, step, &mean_theta, step.beta_tilde)?,
        "l_simple": objective::l_simple(&eps, &eps_theta)?,
        "x0_by_the_wrong_sign": objective::x0_from_v(xt, step, &-&v_theta)?[0],
    }))
}
// ANCHOR_END: one_error

/// The signal that the same step destroys.
fn signal(schedule: &Schedule) -> Result<Value> {
    let step = schedule.step(2)?;
    Ok(json!({
        "before": schedule.step(1)?.snr(),
        "after": step.snr(),
        "beta_tilde": step.beta_tilde,
        "snr_weight": objective::snr_weight(step)?,
    }))
}

/// The weights at some times of a schedule, and how they are spread over it.
fn weights(schedule: &Schedule) -> Result<Value> {
    let mut at = Map::new();
    for t in [1, 2, 3, 10, 100, 300, 600, 1000] {
        let step = schedule.step(t)?;
        let variance = Variance::Beta.of(step);
        at.insert(
            t.to_string(),
            json!({
                "snr": step.snr(),
                "eps": objective::eps_weight(step, variance)?,
                "x0": objective::x0_weight(step, variance)?,
                "v": objective::v_weight(step, variance)?,
                "x0_beta_tilde": objective::snr_weight(step).ok(),
                "eps_beta_tilde": objective::snr_weight(step).ok().map(|weight| weight / step.snr()),
                "min_snr_eps": objective::min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps)?,
                "min_snr_v": objective::min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::V)?,
                "x0_from_eps": 1.0 / step.snr().sqrt(),
                "eps_from_mean": step.one_minus_alpha_bar.sqrt() * step.alpha.sqrt() / step.beta,
            }),
        );
    }
    let eps_weights: Vec<f64> =
        schedule.steps().iter().map(|&step| objective::eps_weight(step, step.beta)).collect::<Result<_>>()?;
    let total: f64 = eps_weights.iter().sum();
    let share = |first: usize, last: usize| eps_weights[first - 1..last].iter().sum::<f64>() / total;
    let above_gamma = schedule.steps().iter().filter(|step| step.snr() > paper::MIN_SNR_GAMMA).count();
    Ok(json!({
        "at": at,
        "first_over_last": eps_weights[0] / eps_weights[eps_weights.len() - 1],
        "share_of_first_ten": share(1, 10),
        "share_of_first_tenth": share(1, schedule.timesteps() / 10),
        "share_of_last_half": share(schedule.timesteps() / 2 + 1, schedule.timesteps()),
        "gamma": paper::MIN_SNR_GAMMA,
        "times_above_gamma": above_gamma,
    }))
}

/// What the bound charges where σ² = β though no network could change it: the constants of all t ≥ 2, per dimension.
fn constants(schedule: &Schedule) -> Result<Value> {
    let mut nats = Vec::new();
    for &step in &schedule.steps()[1..] {
        let nothing = array![0.0];
        nats.push(objective::kl_reverse_step(&nothing, step, &nothing, Variance::Beta.of(step))?);
    }
    let sum: f64 = nats.iter().sum();
    Ok(json!({
        "nats": sum,
        "bits": sum / LN_2,
        "share_of_first_ten": nats[..9.min(nats.len())].iter().sum::<f64>() / sum,
    }))
}

/// The floors of L_simple for Gaussian data: at some times, and in the mean.
fn floors(schedule: &Schedule) -> Result<Value> {
    let mut rows = Map::new();
    for variance in [0.01, 1.0, 100.0] {
        let mut row = Map::new();
        for t in [1, 2, 3, 10, 100, 300, 1000] {
            if let Ok(step) = schedule.step(t) {
                row.insert(t.to_string(), json!(objective::gaussian_floor(variance, step)?));
            }
        }
        row.insert("mean".to_owned(), json!(objective::gaussian_floor_mean(variance, schedule)?));
        rows.insert(variance.to_string().replace('.', "_"), Value::Object(row));
    }
    Ok(Value::Object(rows))
}

/// Independent pixels, each value from 0 to 255 equally likely, on three scales. Their best *linear* prediction has the
/// floor of Gaussian data of the same variance.
fn pixels(schedule: &Schedule) -> Result<Value> {
    let raw = Array2::from_shape_fn((256, 1), |(value, _)| value as f64);
    let mut rows = Map::new();
    for (name, scaled) in [("raw", raw.clone()), ("unit", &raw / 255.0), ("symmetric", &raw / 127.5 - 1.0)] {
        let variance = scaled.var(0.0);
        let more_signal = schedule.steps().iter().filter(|step| step.alpha_bar * variance > step.one_minus_alpha_bar);
        rows.insert(
            name.to_owned(),
            json!({
                "mean": scaled.mean(),
                "variance": variance,
                "floor": objective::gaussian_floor_mean(variance, schedule)?,
                "times_with_more_signal": more_signal.count(),
                "gap_bits": schedule.terminal_gap(&scaled)? / LN_2,
                "mean_at_end": schedule.last().alpha_bar.sqrt() * scaled.mean().unwrap_or(f64::NAN),
                "variance_at_end": schedule.last().alpha_bar * variance + schedule.last().one_minus_alpha_bar,
            }),
        );
    }
    Ok(Value::Object(rows))
}

/// The variance of the loss of a batch with mirrored times, over that with independent ones, for N(0, I) in d dimensions
/// and the perfect network. Given t, each coordinate's error is N(0, f(t)), f the floor, and its square has variance 2f².
fn times(schedule: &Schedule, d: usize) -> Result<Value> {
    let floor: Vec<f64> =
        schedule.steps().iter().map(|&step| objective::gaussian_floor(1.0, step)).collect::<Result<_>>()?;
    let mean = |values: &dyn Fn(usize) -> f64| (0..floor.len()).map(values).sum::<f64>() / floor.len() as f64;
    let middle = mean(&|i| floor[i]);
    let of_noise = mean(&|i| 2.0 * floor[i].powi(2)) / d as f64;
    let of_time = mean(&|i| (floor[i] - middle).powi(2));
    let with_mirror = mean(&|i| (floor[i] - middle) * (floor[floor.len() - 1 - i] - middle));
    let (mirrored, independent) = (of_noise + of_time + with_mirror, of_noise + of_time);
    Ok(json!({ "ratio": mirrored / independent, "times_fewer": independent / mirrored }))
}

/// The S-curve as a predictor may know it.
struct Knowledge {
    sharp: SCurve,
    blurred: SCurve,
}

impl Knowledge {
    fn new() -> Result<Self> {
        let sharp = SCurve::sound();
        Ok(Self { sharp, blurred: SCurve::new(2.0 * sharp.noise(), sharp.scale())? })
    }

    /// Knows the mean and the variance of the data, and takes it for Gaussian.
    fn two_numbers(&self, xt: &ArrayRef2<f64>, step: Step) -> Result<Array2<f64>> {
        objective::gaussian_eps(0.0, 1.0, xt, step)
    }

    /// Knows the S, but takes its line to be twice as thick as it is.
    fn thick(&self, xt: &ArrayRef2<f64>, step: Step) -> Result<Array2<f64>> {
        self.blurred.marginal(step).optimal_eps(xt)
    }

    /// Knows all that there is to know.
    fn perfect(&self, xt: &ArrayRef2<f64>, step: Step) -> Result<Array2<f64>> {
        self.sharp.marginal(step).optimal_eps(xt)
    }
}

/// The losses of three predictors on the S-curve, at each t. That of the fourth, who always says 0, is 1.
struct Losses {
    floor: Vec<f64>,
    two_numbers: Vec<f64>,
    thick: Vec<f64>,
    /// The standard deviation of the loss of a batch, with the perfect predictor.
    of_batch: f64,
}

const BATCH: usize = 128;

impl Losses {
    /// The loss is the floor plus the mean of (ε_θ − ε*)², which says more from few points than the mean of (ε_θ − ε)².
    fn measure(schedule: &Schedule, rng: &mut ChaCha8Rng) -> Result<Self> {
        let knowledge = Knowledge::new()?;
        let (mut floor, mut two_numbers, mut thick, mut draws) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &step in schedule.steps() {
            let x0 = knowledge.sharp.points(2000, rng);
            let eps = Array2::random_using(x0.raw_dim(), StandardNormal, rng);
            let xt = q_sample(&x0, step, &eps)?;
            let best = knowledge.perfect(&xt, step)?;
            let here = knowledge.sharp.marginal(step).bayes_floor();
            floor.push(here);
            two_numbers.push(objective::gaussian_floor(1.0, step)?); // a straight line has the same loss on all such data
            thick.push(here + objective::l_simple(&best, &knowledge.thick(&xt, step)?)?);
            for (eps, best) in eps.rows().into_iter().zip(best.rows()) {
                draws.push(objective::l_simple(&eps, &best)?);
            }
        }
        let of_one = Array1::from(draws).std(1.0);
        Ok(Self { floor, two_numbers, thick, of_batch: of_one / (BATCH as f64).sqrt() })
    }

    fn numbers(&self, schedule: &Schedule) -> Result<Value> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let nothing = vec![1.0; self.floor.len()];
        let mut rows = Map::new();
        for (name, loss) in [
            ("nothing", &nothing),
            ("two_numbers", &self.two_numbers),
            ("thick", &self.thick),
            ("perfect", &self.floor),
        ] {
            // What the bound charges for it more than for the perfect predictor, for one point, with σ² = β.
            let mut nats = Vec::new();
            for ((step, loss), floor) in schedule.steps().iter().zip(loss).zip(&self.floor) {
                nats.push(objective::eps_weight(*step, step.beta)? * 2.0 * (loss - floor));
            }
            let at: Map<String, Value> =
                [1, 2, 5, 10, 20, 50, 100].into_iter().map(|t| (t.to_string(), json!(loss[t - 1]))).collect();
            rows.insert(
                name.to_owned(),
                json!({
                    "mean": mean(loss),
                    "above": mean(loss) - mean(&self.floor),
                    "share_of_way": (1.0 - mean(loss)) / (1.0 - mean(&self.floor)),
                    "bits": nats.iter().sum::<f64>() / LN_2,
                    "share_of_first_ten": nats[..10].iter().sum::<f64>() / nats.iter().sum::<f64>(),
                    "at": at,
                }),
            );
        }
        // So many batches until the excess of the thick S is two standard errors of the mean of their losses.
        let batches = (2.0 * self.of_batch / (mean(&self.thick) - mean(&self.floor))).powi(2);
        rows.insert(
            "batch".to_owned(),
            json!({ "size": BATCH, "deviation": self.of_batch, "batches_to_see": batches }),
        );
        Ok(Value::Object(rows))
    }

    fn figure(&self, folder: &Path) -> Outcome<PathBuf> {
        Figure {
            folder,
            name: "objective-losses",
            alt: "The loss over t, of three predictors of the noise on the S-curve. All three fall from nearly 1 to nearly \
                  0. The floor is the lowest. The predictor that knows the S, but too thick, is only a little above it. \
                  The one that knows nothing but mean and variance is above both, most of all in the first third.",
        }
        .curves(
            &Axes { x: "t", y: "loss", log_y: false },
            &[
                over_t("mean and variance", VERMILION, &self.two_numbers),
                over_t("the S, too thick", ORANGE, &self.thick),
                over_t("floor", BLUE, &self.floor),
            ],
        )
    }
}

/// What two mistakes cost.
fn mistakes(ddpm: &Schedule, sound: &Schedule) -> Result<Value> {
    // √ᾱ_t for √α_t in the mean. For data N(0, 1) the best ε_θ is √(1 − ᾱ_t) x_t, so that each step is a multiple of x_t.
    let walk = |variance: f64, step: &Step| variance * step.alpha.powi(2) / step.alpha_bar + step.beta;
    let after_all = sound.steps().iter().rev().fold(1.0, walk);
    // ½(SNR(t − 1) − SNR(t)) as the weight where σ² = β: the bound on N(0, 1), t ≥ 2, for a perfect network.
    let (mut right, mut wrong) = (0.0, 0.0);
    for &step in &ddpm.steps()[1..] {
        let squared_error = objective::gaussian_floor(1.0, step)? / step.snr(); // of x_0
        right += objective::x0_weight(step, step.beta)? * squared_error;
        wrong += objective::snr_weight(step)? * squared_error;
    }
    let second = ddpm.step(2)?;
    let constants = constants(ddpm)?["nats"].as_f64().unwrap_or(f64::NAN);
    Ok(json!({
        "root_of_alpha_bar": { "log10_std": after_all.log10() / 2.0, "std_after_one": walk(1.0, &sound.last()).sqrt() },
        "snr_weight": {
            "at_2": objective::snr_weight(second)?,
            "right_at_2": objective::x0_weight(second, second.beta)?,
            "ratio_at_2": objective::snr_weight(second)? / objective::x0_weight(second, second.beta)?,
            "right": right,
            "wrong": wrong,
            "constants": constants,
            "off": wrong - right - constants,
        },
        "min_snr": {
            "right": objective::min_snr_weight(ddpm.last(), paper::MIN_SNR_GAMMA, Prediction::V)?,
            "wrong": (ddpm.last().snr() + 1.0).min(paper::MIN_SNR_GAMMA) / (ddpm.last().snr() + 1.0),
        },
    }))
}

/// Points of the S-curve kept as (2, N) and read as (N, 2): what the perfect predictor of the S loses on them.
fn reshaped(schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<Value> {
    let knowledge = Knowledge::new()?;
    let mut sum = 0.0;
    for &step in schedule.steps() {
        let x0 =
            knowledge.sharp.points(500, rng).t().as_standard_layout().to_owned().into_shape_with_order((500, 2))?;
        let eps = Array2::random_using(x0.raw_dim(), StandardNormal, rng);
        let xt = q_sample(&x0, step, &eps)?;
        sum += objective::l_simple(&eps, &knowledge.perfect(&xt, step)?)?;
    }
    Ok(json!({ "perfect_for_the_s": sum / schedule.timesteps() as f64 }))
}

fn over_t<'a>(label: &'a str, colour: plotters::style::RGBColor, values: &[f64]) -> Curve<'a> {
    let points = values.iter().enumerate().map(|(i, &y)| ((i + 1) as f64, y)).collect();
    Curve { label, colour, points, dashed: false }
}

/// A curve of a formula, over the steps of a schedule: the first hundred, and then every tenth.
fn curve<'a>(
    label: &'a str,
    colour: plotters::style::RGBColor,
    steps: &[Step],
    formula: impl Fn(Step) -> Result<f64>,
) -> Result<Curve<'a>> {
    let shown = steps.iter().filter(|step| step.t <= 100 || step.t % 10 == 0);
    let points = shown.map(|&step| Ok((step.t as f64, formula(step)?))).collect::<Result<_>>()?;
    Ok(Curve { label, colour, points, dashed: false })
}

fn figure_weights(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let steps = schedule.steps();
    let curve = |label, colour, steps, formula: fn(Step) -> Result<f64>| -> Result<Curve> {
        let mut curve = curve(label, colour, steps, formula)?;
        curve.points.iter_mut().for_each(|(t, _)| *t = t.log10());
        Ok(curve)
    };
    Figure {
        folder,
        name: "objective-weights",
        alt: "Weights of an error in the noise over the logarithm of t. Where sigma squared is beta, the weight of the bound \
              begins at a half, falls to a hundredth at t = 100 and stays about there. Where sigma squared is beta tilde, it \
              begins at t = 2, at twice the other, and the two meet near t = 30. The weight of L_simple is 1 all along.",
    }
    .curves(
        &Axes { x: "log10 of t", y: "weight of ‖ε − ε_θ‖²", log_y: true },
        &[
            curve("bound, σ² = β tilde", PURPLE, &steps[1..], |step| objective::eps_weight(step, step.beta_tilde))?,
            curve("bound, σ² = β", BLUE, steps, |step| objective::eps_weight(step, step.beta))?,
            curve("L_simple", ORANGE, steps, |_| Ok(1.0))?,
        ],
    )
}

fn figure_forms(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let steps = schedule.steps();
    Figure {
        folder,
        name: "objective-forms",
        alt: "What the bound charges for an error in the data, in the noise and in v, on a logarithmic axis. The weight of \
              the data falls from several thousand to less than a millionth. That of the noise falls from a half to a \
              hundredth. That of v goes with the noise at the start and with the data at the end.",
    }
    .curves(
        &Axes { x: "t", y: "weight, σ² = β", log_y: true },
        &[
            curve("of x_0", GREEN, steps, |step| objective::x0_weight(step, step.beta))?,
            curve("of ε", BLUE, steps, |step| objective::eps_weight(step, step.beta))?,
            curve("of v", PURPLE, steps, |step| objective::v_weight(step, step.beta))?,
        ],
    )
}

fn figure_floors(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let floor = |variance: f64| move |step: Step| objective::gaussian_floor(variance, step);
    Figure {
        folder,
        name: "objective-floors",
        alt: "The Bayes floor of L_simple over t for Gaussian data of three variances. Each falls from nearly 1 to 0. For \
              variance 1 it is at a half near t = 260. For variance 0.01 it falls at once, for variance 100 only in the \
              second half.",
    }
    .curves(
        &Axes { x: "t", y: "floor", log_y: false },
        &[
            curve("variance 100", VERMILION, schedule.steps(), floor(100.0))?,
            curve("variance 1", BLUE, schedule.steps(), floor(1.0))?,
            curve("variance 0.01", GREEN, schedule.steps(), floor(0.01))?,
        ],
    )
}

fn figure_min_snr(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let steps = schedule.steps();
    let min_snr = |step| objective::min_snr_weight(step, paper::MIN_SNR_GAMMA, Prediction::Eps);
    Figure {
        folder,
        name: "objective-min-snr",
        alt: "Three weights of an error in the noise over t, on a logarithmic axis. That of the bound falls from a half to \
              a hundredth. That of L_simple is 1. The min-SNR weight begins far below both, rises, and is 1 from t = 131 on.",
    }
    .curves(
        &Axes { x: "t", y: "weight of ‖ε − ε_θ‖²", log_y: true },
        &[
            curve("bound, σ² = β", BLUE, steps, |step| objective::eps_weight(step, step.beta))?,
            curve("L_simple", ORANGE, steps, |_| Ok(1.0))?,
            curve("min-SNR, γ = 5", GREEN, steps, min_snr)?,
        ],
    )
}

/// What a predictor makes of noise. The generator is copied, so that all predictors have the same draws.
fn sample(
    noise: &Array2<f64>,
    schedule: &Schedule,
    predictor: impl Denoiser<Ix2>,
    rng: &ChaCha8Rng,
) -> Result<Array2<f64>> {
    ancestral(noise, schedule, Variance::Beta, LastStep::Mean, predictor, &mut rng.clone())
}

/// What the three predictors make of one and the same noise.
fn figure_samples(folder: &Path, schedule: &Schedule, rng: &mut ChaCha8Rng) -> Outcome<PathBuf> {
    let knowledge = Knowledge::new()?;
    let noise = Array2::random_using((500, 2), StandardNormal, rng);
    let clouds = [
        ("mean and variance", VERMILION, sample(&noise, schedule, |xt, step| knowledge.two_numbers(xt, step), rng)?),
        ("the S, too thick", ORANGE, sample(&noise, schedule, |xt, step| knowledge.thick(xt, step), rng)?),
        ("perfect", BLUE, sample(&noise, schedule, |xt, step| knowledge.perfect(xt, step), rng)?),
    ];
    let panels: Vec<Panel> = clouds
        .iter()
        .map(|(title, colour, points)| Panel {
            title: (*title).to_owned(),
            clouds: vec![Cloud { label: "", colour: *colour, points: points.view() }],
        })
        .collect();
    Figure {
        folder,
        name: "objective-samples",
        alt: "Three clouds of samples. With mean and variance known, a round blob. With the S known but too thick, a thick S. \
              With the perfect predictor, a clear and thin S.",
    }
    .panels(&panels, 3, -3.0..3.0)
}
