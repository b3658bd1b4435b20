//! Chapter 3: schedules, how much signal each leaves, and what a change of T alone does.
//!
//! `cargo run --release --example schedule`

mod support;

use std::error::Error;
use std::f64::consts::{FRAC_PI_2, LN_2};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::schedule::{alpha_bar, evenly_spaced_times};
use literate_diffusion::{Result, Schedule, Step, paper, s_curve};
use ndarray::array;
use plotters::style::RGBColor;
use serde_json::{Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, ORANGE, PURPLE, VERMILION};

fn main() -> ExitCode {
    cli::example("Schedules, how much signal each leaves, and what a change of T alone does", run)
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let folder = support::figures();
    let numbers = json!({
        "by_hand": by_hand()?,
        "growth": growth()?,
        "cosine": cosine_numbers()?,
        "ends": ends()?,
        "classic": classic_numbers()?,
        "stretched": stretched()?,
        "visited": visited()?,
        "digits": digits()?,
        "mistakes": mistakes()?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("schedule-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for path in [alpha_bar_figure(&folder)?, log_snr_figure(&folder)?, terminal_gap_figure(&folder)?] {
        println!("Figure: {}", path.display());
    }
    Ok(())
}

fn ddpm() -> Result<Schedule> {
    Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)
}

/// The betas of DDPM run from end to end in another number of steps.
fn ends_kept(timesteps: usize) -> Result<Schedule> {
    Schedule::linear(timesteps, paper::DDPM_BETA_1, paper::DDPM_BETA_T)
}

fn cosine(timesteps: usize) -> Result<Schedule> {
    Schedule::cosine(timesteps, paper::COSINE_OFFSET, paper::COSINE_MAX_BETA)
}

fn classic() -> Result<Schedule> {
    Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T)
}

fn sound() -> Result<Schedule> {
    Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)
}

/// One β for all steps, with which ᾱ_T is that of DDPM.
fn constant() -> Result<Schedule> {
    let share = ddpm()?.last().alpha_bar.ln() / paper::DDPM_TIMESTEPS as f64;
    Schedule::from_betas(&vec![-share.exp_m1(); paper::DDPM_TIMESTEPS])
}

fn all(schedule: &Schedule, value: fn(&Step) -> f64) -> Vec<f64> {
    schedule.steps().iter().map(value).collect()
}

// ANCHOR: by_hand
/// Three steps by hand, then the same schedule stretched, thinned out and brought down to zero.
fn by_hand() -> Result<Value> {
    let schedule = Schedule::from_betas(&[0.1, 0.2, 0.5])?;
    let halves = schedule.rescaled(2)?;
    let first_and_last = schedule.respaced(&[1, 3])?;
    let to_zero = schedule.rescale_zero_terminal_snr()?;

    Ok(json!({
        "beta": all(&schedule, |step| step.beta),
        "alpha": all(&schedule, |step| step.alpha),
        "alpha_bar": all(&schedule, |step| step.alpha_bar),
        "one_minus_alpha_bar": all(&schedule, |step| step.one_minus_alpha_bar),
        "root": all(&schedule, |step| step.alpha_bar.sqrt()),
        "snr": all(&schedule, |step| step.snr()),
        "log_snr": all(&schedule, |step| step.log_snr()),
        "gap_bits": schedule.terminal_gap(&array![[1.0], [-1.0]])? / LN_2,
        "linear": all(&Schedule::linear(3, 0.1, 0.5)?, |step| step.beta),
        "sigmoid": all(&Schedule::sigmoid(3, 0.1, 0.5)?, |step| step.beta),
        "cosine_beta": all(&Schedule::cosine(3, 0.0, 0.999)?, |step| step.beta),
        "cosine_alpha_bar": all(&Schedule::cosine(3, 0.0, 0.999)?, |step| step.alpha_bar),
        "rescaled_beta": all(&halves, |step| step.beta),
        "rescaled_alpha_bar": all(&halves, |step| step.alpha_bar),
        "respaced_beta": all(&first_and_last, |step| step.beta),
        "respaced_alpha_bar": all(&first_and_last, |step| step.alpha_bar),
        "zero_root": all(&to_zero, |step| step.alpha_bar.sqrt()),
        "zero_beta": all(&to_zero, |step| step.beta),
        "times": evenly_spaced_times(10, 4)?,
    }))
}
// ANCHOR_END: by_hand

/// The terminal gap for data of variance 1, in bits a dimension.
fn gap_bits(schedule: &Schedule) -> Result<f64> {
    Ok(schedule.terminal_gap(&array![[1.0], [-1.0]])? / LN_2)
}

/// Why β grows: what a constant β costs at the beginning, or in steps.
fn growth() -> Result<Value> {
    let (growing, constant) = (ddpm()?, constant()?);
    let grey_levels = |schedule: &Schedule| schedule.steps()[0].beta.sqrt() * 127.5;
    let size = |schedule: &Schedule, t| -> Result<f64> {
        let step = schedule.step(t)?;
        Ok(step.beta / step.one_minus_alpha_bar)
    };
    Ok(json!({
        "timesteps": growing.timesteps(),
        "beta_1": paper::DDPM_BETA_1,
        "beta_end": paper::DDPM_BETA_T,
        "constant_beta": constant.last().beta,
        "grey_levels": grey_levels(&growing),
        "constant_grey_levels": grey_levels(&constant),
        "steps_at_beta_1": (growing.last().alpha_bar.ln() / (-paper::DDPM_BETA_1).ln_1p()).ceil(),
        "share_of_noise_at_10": size(&growing, 10)?,
        "share_of_noise_at_end": size(&growing, 1000)?,
        "total": -growing.last().alpha_bar.ln(),
        "mean_beta": (paper::DDPM_BETA_1 + paper::DDPM_BETA_T) / 2.0,
        "estimate_1000": (-500.0 * (paper::DDPM_BETA_1 + paper::DDPM_BETA_T)).exp(),
        "estimate_300": (-150.0 * (paper::DDPM_BETA_1 + paper::DDPM_BETA_T)).exp(),
    }))
}

/// What the offset, the square and the cut-off do, and where half of the signal is left.
fn cosine_numbers() -> Result<Value> {
    let (with, linear) = (cosine(1000)?, ddpm()?);
    let without = Schedule::cosine(1000, 0.0, paper::COSINE_MAX_BETA)?;
    let first_below = |schedule: &Schedule, level: f64| schedule.steps().iter().position(|s| s.alpha_bar < level);
    let share_below = |schedule: &Schedule| {
        let below = schedule.steps().iter().filter(|step| step.alpha_bar < 0.01).count();
        below as f64 / schedule.timesteps() as f64
    };
    Ok(json!({
        "offset": paper::COSINE_OFFSET,
        "max_beta": paper::COSINE_MAX_BETA,
        "timesteps": with.timesteps(),
        "levels": 256,
        "pixel": 1.0 / 127.5,
        "beta_1": with.steps()[0].beta,
        "std_1": with.steps()[0].beta.sqrt(),
        "beta_1_without": without.steps()[0].beta,
        "std_1_without": without.steps()[0].beta.sqrt(),
        "f_0": (paper::COSINE_OFFSET / (1.0 + paper::COSINE_OFFSET) * FRAC_PI_2).cos().powi(2),
        "beta_999": with.step(999)?.beta,
        "alpha_bar_500": with.step(500)?.alpha_bar,
        "half_at": first_below(&with, 0.5).map(|i| i + 1),
        "linear_half_at": first_below(&linear, 0.5).map(|i| i + 1),
        "linear_alpha_bar_500": linear.step(500)?.alpha_bar,
        "below_one_per_cent": share_below(&with),
        "linear_below_one_per_cent": share_below(&linear),
    }))
}

/// ᾱ_T, the SNR at the end and the terminal gap of each schedule, for data of variance 1.
fn ends() -> Result<Value> {
    let row = |schedule: Schedule| -> Result<Value> {
        let last = schedule.last();
        Ok(json!({
            "timesteps": last.t,
            "alpha_bar": last.alpha_bar,
            "root": last.alpha_bar.sqrt(),
            "snr": last.snr(),
            "log_snr": last.log_snr(),
            "gap_bits": gap_bits(&schedule)?,
        }))
    };
    Ok(json!({
        "linear": row(ddpm()?)?,
        "cosine": row(cosine(1000)?)?,
        "hundred": row(ends_kept(100)?)?,
        "short": row(ends_kept(300)?)?,
        "rescaled": row(ddpm()?.rescaled(300)?)?,
        "cosine_short": row(cosine(300)?)?,
        "classic": row(classic()?)?,
        "sound": row(sound()?)?,
        "zero": row(ddpm()?.rescale_zero_terminal_snr()?)?,
        "rescaled_beta_300": ddpm()?.rescaled(300)?.last().beta,
        "times_short": gap_bits(&ends_kept(300)?)? / gap_bits(&ddpm()?)?,
        "colour_image": 3072.0 * gap_bits(&ends_kept(300)?)?,
        "colour_image_long": 3072.0 * gap_bits(&ddpm()?)?,
    }))
}

/// The classic S-curve: its own data, in one dimension after the other, and where sampling starts instead.
fn classic_numbers() -> Result<Value> {
    let (schedule, [x, z]) = (classic()?, s_curve::population_std(paper::S_CURVE_NOISE));
    let last = schedule.last();
    let scaled = [x / paper::CLASSIC_SCALE, z / paper::CLASSIC_SCALE];
    let variance = scaled.map(|std| last.alpha_bar * std * std + last.one_minus_alpha_bar);
    // KL(N(0, v) ‖ N(0, 1)): what the two laws of x_T differ by if only their variances do.
    let of_variance = variance.map(|v| 0.5 * (v - 1.0 - v.ln()) / LN_2);
    Ok(json!({
        "beta_1": paper::CLASSIC_BETA_1,
        "beta_end": paper::CLASSIC_BETA_T,
        "scale": paper::CLASSIC_SCALE,
        "data_std": scaled,
        "gap_bits": schedule.terminal_gap(&array![scaled])? / 2.0 / LN_2,
        "end_std": variance.map(f64::sqrt),
        "variance_bits": (of_variance[0] + of_variance[1]) / 2.0,
        "noise_too_large": variance.map(|v| 1.0 / v.sqrt()),
    }))
}

/// DDPM rescaled to 300 steps: every β about 1000/300 times as large.
fn stretched() -> Result<Value> {
    let new = ddpm()?.rescaled(300)?;
    Ok(json!({
        "times": 1000.0 / 300.0,
        "beta_1": new.steps()[0].beta,
        "beta_end": new.last().beta,
        "beta_1_ratio": new.steps()[0].beta / paper::DDPM_BETA_1,
        "beta_end_ratio": new.last().beta / paper::DDPM_BETA_T,
        "end_ratio_from_one": (new.last().alpha_bar / ddpm()?.last().alpha_bar - 1.0).abs(),
    }))
}

/// Fifty of a thousand times, with the betas made anew and with the old ones.
fn visited() -> Result<Value> {
    let schedule = ddpm()?;
    let times = evenly_spaced_times(1000, 50)?;
    let mut old = Vec::new();
    for &t in &times {
        old.push(schedule.step(t)?.beta);
    }
    let (right, wrong) = (schedule.respaced(&times)?, Schedule::from_betas(&old)?);
    let missing = evenly_spaced_times(1000, 300)?;
    Ok(json!({
        "count": times.len(),
        "alpha_bar": right.last().alpha_bar,
        "beta_end": right.last().beta,
        "old_alpha_bar": wrong.last().alpha_bar,
        "old_gap_bits": gap_bits(&wrong)?,
        "whole_stride": 1000 / missing.len(),
        "whole_stride_count": missing.len(),
        "whole_stride_last": missing.len() * (1000 / missing.len()),
        "whole_stride_alpha_bar": schedule.step(missing.len() * (1000 / missing.len()))?.alpha_bar,
    }))
}

/// The digits of 1 − ᾱ: the worst relative error of the subtraction, in single and in double precision.
fn digits() -> Result<Value> {
    let exact = ddpm()?;
    let mut single = 1.0_f32;
    let (mut worst_single, mut worst_double) = (0.0_f64, 0.0_f64);
    let mut first_single = 0.0;
    for step in exact.steps() {
        single *= 1.0 - step.beta as f32;
        let error = |got: f64| (got / step.one_minus_alpha_bar - 1.0).abs();
        if step.t == 1 {
            first_single = error(f64::from(1.0 - single));
        }
        worst_single = worst_single.max(error(f64::from(1.0 - single)));
        worst_double = worst_double.max(error(1.0 - step.alpha_bar));
    }
    let tiny = 1e-9_f64;
    Ok(json!({
        "single": worst_single,
        "single_at_1": first_single,
        "single_epsilon": f64::from(f32::EPSILON) / 2.0,
        "double": worst_double,
        "tiny_beta": tiny,
        "tiny_single": f64::from(1.0_f32 - (1.0_f32 - tiny as f32)),
        "tiny_double": ((1.0 - (1.0 - tiny)) / tiny - 1.0).abs(),
    }))
}

/// What the mistakes of this chapter cost.
fn mistakes() -> Result<Value> {
    let n = 1000;
    let f = |r: f64, power| ((r + paper::COSINE_OFFSET) / (1.0 + paper::COSINE_OFFSET) * FRAC_PI_2).cos().powi(power);

    // i / n of whole numbers: 0 until i = n.
    let whole: Vec<f64> =
        (1..=n).map(|t| (1.0 - f((t / n) as f64, 2) / f(((t - 1) / n) as f64, 2)).min(0.999)).collect();
    let one_minus = literate_diffusion::schedule::one_minus_alpha_bar(&whole);
    let nan = (1..n).filter(|&i| (whole[i] * one_minus[i - 1] / one_minus[i]).is_nan()).count();

    // The cosine, not its square, and the last β with no cut-off.
    let r = |t: usize| t as f64 / n as f64;
    let no_square: Vec<f64> = (1..=n).map(|t| (1.0 - f(r(t), 1) / f(r(t - 1), 1)).min(0.999)).collect();
    let no_square = alpha_bar(&no_square);
    let kept = f(1.0, 2) / f(r(n - 1), 2);

    // The product that starts one step late, and ᾱ_0 = 0 in β̃_1 = β_1 (1 − ᾱ_0)/(1 − ᾱ_1).
    let schedule = ddpm()?;
    let first = schedule.step(1)?;
    let one_late = |t: usize| -> Result<f64> { Ok(schedule.step(t)?.alpha_bar_prev) };
    Ok(json!({
        "whole_zeros": whole.iter().filter(|beta| **beta == 0.0).count(),
        "whole_nan": nan + usize::from((whole[0] * 0.0 / one_minus[0]).is_nan()),
        "whole_last": whole[n - 1],
        "no_square_500": no_square[499],
        "no_square_half_at": no_square.iter().position(|a| *a < 0.5).map(|i| i + 1),
        "uncut_beta": 1.0 - kept,
        "uncut_kept": kept,
        "uncut_amplifies": 1.0 / kept.sqrt(),
        "cut_amplifies": 1.0 / (1.0 - paper::COSINE_MAX_BETA).sqrt(),
        "beta_tilde_1": first.beta_tilde,
        "beta_tilde_1_from_0": first.beta * (1.0 - 0.0) / first.one_minus_alpha_bar,
        "one_late_1": one_late(1)?,
        "one_late_noise_error_2": 1.0 - (1.0 - one_late(2)?) / schedule.step(2)?.one_minus_alpha_bar,
    }))
}

/// A value at each step, over t/T.
fn over_time(label: &'static str, colour: RGBColor, schedule: &Schedule, y: fn(&Step) -> f64) -> Curve<'static> {
    let time = |step: &Step| step.t as f64 / schedule.timesteps() as f64;
    let points = schedule.steps().iter().map(|step| (time(step), y(step))).collect();
    Curve { label, colour, points, dashed: false }
}

fn alpha_bar_figure(folder: &Path) -> std::result::Result<PathBuf, Box<dyn Error>> {
    let alpha_bar = |step: &Step| step.alpha_bar;
    Figure {
        folder,
        name: "schedule-alpha-bar",
        alt: "The share of signal over the time t/T. The linear schedule falls early and is flat near zero for its last \
              quarter. The cosine schedule falls evenly. The linear schedule with its ends kept and T = 300 ends at \
              0.05, and the classic sigmoid schedule at 0.78.",
    }
    .curves(
        &Axes { x: "t / T", y: "ᾱ_t", log_y: false },
        &[
            over_time("linear", BLUE, &ddpm()?, alpha_bar),
            over_time("cosine", ORANGE, &cosine(1000)?, alpha_bar),
            over_time("linear, ends kept, T = 300", VERMILION, &ends_kept(300)?, alpha_bar),
            over_time("classic sigmoid", PURPLE, &classic()?, alpha_bar),
        ],
    )
}

fn log_snr_figure(folder: &Path) -> std::result::Result<PathBuf, Box<dyn Error>> {
    let log_snr = |step: &Step| step.log_snr();
    Figure {
        folder,
        name: "schedule-log-snr",
        alt: "The log-SNR over the time t/T, falling from left to right. Linear and cosine begin near 10. The constant \
              beta begins near 5, half as high. Linear and constant end at −10, the cosine plunges to −20 in its last \
              steps, and the classic sigmoid ends above 1, so that it never has more noise than signal.",
    }
    .curves(
        &Axes { x: "t / T", y: "log-SNR λ_t, nats", log_y: false },
        &[
            over_time("linear", BLUE, &ddpm()?, log_snr),
            over_time("cosine", ORANGE, &cosine(1000)?, log_snr),
            over_time("constant β", GREEN, &constant()?, log_snr),
            over_time("classic sigmoid", PURPLE, &classic()?, log_snr),
        ],
    )
}

fn terminal_gap_figure(folder: &Path) -> std::result::Result<PathBuf, Box<dyn Error>> {
    let long = ddpm()?;
    let (mut kept, mut rescaled) = (Vec::new(), Vec::new());
    for timesteps in (20..=1500).step_by(20) {
        kept.push((timesteps as f64, gap_bits(&ends_kept(timesteps)?)?));
        rescaled.push((timesteps as f64, gap_bits(&long.rescaled(timesteps)?)?));
    }
    Figure {
        folder,
        name: "schedule-terminal-gap",
        alt: "The terminal gap in bits per dimension, on a logarithmic axis, over the number of steps T. With the betas \
              kept at 0.0001 and 0.02 it falls from more than 1 bit at 20 steps, through 0.04 at 300, to less than \
              0.000001 at 1500. With the betas rescaled it stays at 0.00003 for every T. The two cross at T = 1000.",
    }
    .curves(
        &Axes { x: "T", y: "terminal gap, bits per dimension", log_y: true },
        &[
            Curve { label: "ends of β kept", colour: VERMILION, points: kept, dashed: false },
            Curve { label: "rescaled", colour: BLUE, points: rescaled, dashed: false },
        ],
    )
}
