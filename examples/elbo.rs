//! Chapter 6: the bound written in two ways, what each of its terms costs to estimate, and what it misses.
//!
//! `cargo run --release --example elbo [SEED]`

mod support;

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::elbo::{self, Decoder, DecoderVariance, LinearVae, bits_per_dim};
use literate_diffusion::posterior::{self, VarianceAtOne};
use literate_diffusion::{Result, Schedule, forward, gaussian, paper};
use ndarray::{Array1, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use plotters::style::RGBColor;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use support::cli;
use support::files::write_atomically;
use support::plot::{Axes, BLUE, Curve, Figure, GREEN, INK, ORANGE, VERMILION};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;
type Draws = Vec<Vec<Array1<f64>>>;

/// The data is N(MEAN, VARIANCE), and X0 is the sample of it that is looked at.
const MEAN: f64 = 0.5;
const VARIANCE: f64 = 0.25;
const X0: f64 = 0.8;
const PATHS: usize = 20_000;

fn main() -> ExitCode {
    cli::seeded("The bound written in two ways, what each of its terms costs to estimate, and what it misses", run)
}

fn run(seed: u64) -> Outcome<()> {
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let by_hand_schedule = Schedule::from_betas(&[0.36, 0.51, 0.75])?;

    let numbers = json!({
        "data": { "mean": MEAN, "variance": VARIANCE, "x0": X0 },
        "by_hand": {
            "exact": by_hand(&by_hand_schedule, DecoderVariance::Exact)?,
            "beta_tilde": by_hand(&by_hand_schedule, BETA_TILDE)?,
        },
        "bounds": bounds(&sound)?,
        "terms": terms(&sound)?,
        "draws": draws(&sound, seed)?,
        "mistakes": mistakes(&sound)?,
        "pixel": pixel()?,
        "ddpm": ddpm()?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("elbo-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    for figure in [
        figure_bound(&folder, &sound)?,
        figure_terms(&folder, &sound)?,
        figure_draws(&folder, &sound)?,
        figure_steps(&folder)?,
        figure_pixel(&folder)?,
    ] {
        println!("Figure: {}", figure.display());
    }
    Ok(())
}

const BETA_TILDE: DecoderVariance = DecoderVariance::BetaTilde(VarianceAtOne::Beta1);

fn choices() -> [(&'static str, DecoderVariance); 3] {
    [("beta", DecoderVariance::Beta), ("beta_tilde", BETA_TILDE), ("exact", DecoderVariance::Exact)]
}

// ANCHOR: by_hand
/// The three steps of chapters 4 and 5, for data N(0, 1) and x_0 = 1: every term of both forms.
fn by_hand(schedule: &Schedule, choice: DecoderVariance) -> Result<Value> {
    let vae = LinearVae::for_gaussian_data(schedule, 0.0, 1.0, choice)?;
    let x0 = array![1.0];
    Ok(json!({
        "reconstruction": vae.reconstruction_term(&x0)?,
        "denoising": { "1": vae.denoising_term(&x0, 2)?, "2": vae.denoising_term(&x0, 3)? },
        "prior": elbo::prior_term(&x0, schedule)?,
        "posterior_form": vae.elbo_posterior_form(&x0)?,
        "consistency": { "1": vae.consistency_term(&x0, 1)?, "2": vae.consistency_term(&x0, 2)? },
        "last_step": elbo::last_step_term(&x0, schedule)?,
        "consistency_form": vae.elbo_consistency_form(&x0)?,
        "log_evidence": vae.log_evidence(&x0)?,
        "gap": vae.elbo_gap(&x0)?,
        "third_step": ingredients(&vae)?,
    }))
}
// ANCHOR_END: by_hand

/// What L_2 is made of at x_0 = 1.
fn ingredients(vae: &LinearVae) -> Result<Value> {
    let (step, decoder) = (vae.schedule().step(3)?, vae.decoder(3)?);
    let slope = posterior::posterior_mean(&array![0.0], &array![1.0], step)?[0];
    let mean_left = step.alpha_bar_prev.sqrt() - decoder.slope * step.alpha_bar.sqrt();
    Ok(json!({
        "beta_tilde": step.beta_tilde,
        "ratio": step.beta_tilde / decoder.variance,
        "mean_left": mean_left,
        "square": mean_left.powi(2) / decoder.variance,
        "slope": slope,
        "slope_left": slope - decoder.slope,
        "spread": (slope - decoder.slope).powi(2) * step.one_minus_alpha_bar / (2.0 * decoder.variance),
    }))
}

/// The mean over the data of a quadratic in x_0: a quadratic has the same mean over the two points m ± √v.
fn over_data(f: impl Fn(&Array1<f64>) -> Result<f64>) -> Result<f64> {
    let two = array![MEAN - VARIANCE.sqrt(), MEAN + VARIANCE.sqrt()];
    Ok(0.5 * f(&two)?)
}

/// Both forms, what they bound and by how much they miss it, as means over the data.
fn bounds(schedule: &Schedule) -> Result<Value> {
    let mut rows = Map::new();
    for (name, choice) in choices() {
        let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, choice)?;
        let bound = over_data(|x0| vae.elbo_posterior_form(x0))?;
        rows.insert(
            name.into(),
            json!({
                "consistency_form": over_data(|x0| vae.elbo_consistency_form(x0))?,
                "posterior_form": bound,
                "log_evidence": over_data(|x0| vae.log_evidence(x0))?,
                "gap": over_data(|x0| vae.elbo_gap(x0))?,
                "lost": -gaussian::entropy(VARIANCE, 1)? - bound,
            }),
        );
    }
    let (mean, variance) = forward::marginal_moments(MEAN, VARIANCE, schedule.last())?;
    Ok(json!({
        "rows": rows,
        "minus_entropy": -gaussian::entropy(VARIANCE, 1)?,
        "kl_of_the_end": gaussian::kl_scalar(mean, variance, 0.0, 1.0)?,
        "prior": over_data(|x0| elbo::prior_term(x0, schedule))?,
    }))
}

/// The consistency term of t, the mean KL that is taken for it, and the denoising term of the same decoder.
fn terms_at(vae: &LinearVae, t: usize) -> Result<[f64; 3]> {
    let (step, next, decoder) = (vae.schedule().step(t)?, vae.schedule().step(t + 1)?, vae.decoder(t + 1)?);
    let x0 = array![X0];
    let consistency = vae.consistency_term(&x0, t)?;
    let too_large_by = decoder.slope * next.alpha.sqrt() * step.beta / decoder.variance;
    Ok([consistency, consistency + too_large_by, vae.denoising_term(&x0, t + 1)?])
}

fn terms(schedule: &Schedule) -> Result<Value> {
    let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Beta)?;
    let x0 = array![X0];
    let (mut rows, mut excess) = (Map::new(), 0.0);
    for t in 1..schedule.timesteps() {
        let [consistency, mean_kl, denoising] = terms_at(&vae, t)?;
        excess += mean_kl - consistency;
        rows.insert(
            t.to_string(),
            json!({
                "consistency": consistency,
                "consistency_std": vae.consistency_variance(&x0, t)?.sqrt(),
                "mean_kl": mean_kl,
                "denoising": denoising,
                "denoising_std": vae.denoising_variance(&x0, t + 1)?.sqrt(),
            }),
        );
    }
    let kept = |t: &&str| rows.get(*t).map(|row| (t.to_string(), row.clone()));
    let few: Map<_, _> = ["1", "2", "10", "50", "99"].iter().filter_map(kept).collect();
    let bound = vae.jensen_bound(&x0)?;
    Ok(json!({
        "rows": few,
        "bound": bound,
        "excess": excess,
        "excess_bits": bits_per_dim(excess, 1)?,
        "bound_by_mean_kls": bound - excess,
    }))
}

/// The bound at x_0 estimated on paths, and at one t.
fn draws(schedule: &Schedule, seed: u64) -> Result<Value> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let x0 = array![X0];
    let paths: Draws =
        (0..PATHS).map(|_| forward::q_chain(&x0, schedule, &noise(schedule, rng))).collect::<Result<_>>()?;
    let apart: Draws =
        (0..PATHS).map(|_| each_on_its_own(&x0, schedule, &noise(schedule, rng))).collect::<Result<_>>()?;
    let mut rows = Map::new();
    for (name, choice) in choices() {
        let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, choice)?;
        let by_consistency = |path: &Vec<Array1<f64>>| vae.elbo_consistency_estimate(path);
        let by_posterior = |path: &Vec<Array1<f64>>| vae.elbo_posterior_estimate(path);
        let of_consistency = |t| Ok((vae.consistency_term(&x0, t)?, vae.consistency_variance(&x0, t)?));
        let of_denoising = |t| Ok((vae.denoising_term(&x0, t)?, vae.denoising_variance(&x0, t)?));
        let last = schedule.timesteps();
        rows.insert(
            name.into(),
            json!({
                "bound": vae.jensen_bound(&x0)?,
                "consistency": mean_and_std(&paths, by_consistency)?,
                "consistency_exact_std": vae.elbo_consistency_variance(&x0)?.sqrt(),
                "posterior": mean_and_std(&paths, by_posterior)?,
                "posterior_exact_std": vae.elbo_posterior_variance(&x0)?.sqrt(),
                "consistency_apart": mean_and_std(&apart, by_consistency)?,
                "posterior_apart": mean_and_std(&apart, by_posterior)?,
                "consistency_at_one_t": std_at_one_t(1..last, of_consistency)?,
                "posterior_at_one_t": std_at_one_t(2..last + 1, of_denoising)?,
            }),
        );
    }
    let factor = |name: &str| {
        let std = |key: &str| rows[name][key].as_f64();
        std("consistency_at_one_t").zip(std("posterior_at_one_t")).map(|(first, second)| (first / second).powi(2))
    };
    Ok(json!({ "paths": PATHS, "as_many_draws": factor("beta"), "rows": rows }))
}

fn noise(schedule: &Schedule, rng: &mut ChaCha8Rng) -> Vec<Array1<f64>> {
    schedule.steps().iter().map(|_| Array1::random_using(1, StandardNormal, rng)).collect()
}

/// x_0, and each x_t drawn from q(x_t | x_0) on its own: not a path.
fn each_on_its_own(x0: &Array1<f64>, schedule: &Schedule, eps: &[Array1<f64>]) -> Result<Vec<Array1<f64>>> {
    let draws = schedule.steps().iter().zip(eps).map(|(&step, eps)| forward::q_sample(x0, step, eps));
    std::iter::once(Ok(x0.clone())).chain(draws).collect()
}

fn mean_and_std(paths: &Draws, estimate: impl Fn(&Vec<Array1<f64>>) -> Result<f64>) -> Result<Value> {
    let draws = paths.iter().map(estimate).collect::<Result<Vec<f64>>>()?;
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Ok(json!({ "mean": mean, "std": variance.sqrt() }))
}

/// The standard deviation of (number of terms) × (one draw of the term at a t that is uniform over `times`).
fn std_at_one_t(times: Range<usize>, mean_and_variance: impl Fn(usize) -> Result<(f64, f64)>) -> Result<f64> {
    let terms = times.map(mean_and_variance).collect::<Result<Vec<_>>>()?;
    let (means, variances): (Vec<f64>, Vec<f64>) = terms.into_iter().unzip();
    Ok(elbo::variance_at_one_t(&means, &variances)?.sqrt())
}

/// What mistakes do to the bound, as means over the data.
fn mistakes(schedule: &Schedule) -> Result<Value> {
    let exact = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Exact)?;
    let ends = |x0: &Array1<f64>| Ok(-exact.reconstruction_term(x0)? - elbo::prior_term(x0, schedule)?);
    Ok(json!({
        // Were q(x_{t−1} | x_t, x_0) = q(x_{t−1} | x_t), the exact decoder would match it, and no KL would be left.
        "x0_dropped": over_data(ends)?,
        "too_good_by": over_data(ends)? + gaussian::entropy(VARIANCE, 1)?,
        "at_one": {
            "beta_1": with_variance_at_one(schedule, schedule.step(1)?.beta)?,
            "beta_tilde_2": with_variance_at_one(schedule, schedule.step(2)?.beta_tilde)?,
            "exact": with_variance_at_one(schedule, exact.decoder(1)?.variance)?,
            "clipped": with_variance_at_one(schedule, 1e-20)?,
        },
    }))
}

/// The bound in bits, where s_t = β̃_t for t ≥ 2, and s_1 is given.
fn with_variance_at_one(schedule: &Schedule, s_1: f64) -> Result<Value> {
    let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, BETA_TILDE)?;
    let mut decoders = (1..=schedule.timesteps()).map(|t| vae.decoder(t)).collect::<Result<Vec<_>>>()?;
    decoders[0].variance = s_1;
    let vae = LinearVae::new(schedule, decoders)?;
    let bits = over_data(|x0| bits_per_dim(-vae.elbo_posterior_form(x0)?, 1))?;
    Ok(json!({ "variance": s_1, "bits": bits }))
}

/// A grey pixel, level 140 of 0..=255, whose decoder has the mean right: bits by bin, and by density.
fn pixel_bits(sigma: f64) -> Result<(f64, f64)> {
    let (x0, variance) = (array![140.0 / 127.5 - 1.0], sigma * sigma);
    let bin = bits_per_dim(-elbo::discretised_log_likelihood(&x0, &x0, variance)?, 1)?;
    Ok((bin, bits_per_dim(-gaussian::log_density(&x0, &x0, variance)?, 1)?))
}

fn pixel() -> Result<Value> {
    let mut rows = Vec::new();
    for sigma in [1.0, 0.1, 0.01, 0.001] {
        let (bin, density) = pixel_bits(sigma)?;
        rows.push(json!({ "sigma": sigma, "bin": bin, "density": density }));
    }
    Ok(json!({ "rows": rows, "width_bits": -(2.0 * paper::PIXEL_HALF_BIN).log2() }))
}

/// The ends of the two forms with the schedule of DDPM, for pixels that are uniform on [−1, 1].
fn ddpm() -> Result<Value> {
    let schedule = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T)?;
    let x0 = array![(1.0_f64 / 3.0).sqrt()];
    Ok(json!({
        "prior_bits": bits_per_dim(elbo::prior_term(&x0, &schedule)?, 1)?,
        "last_step_bits": bits_per_dim(elbo::last_step_term(&x0, &schedule)?, 1)?,
    }))
}

fn curve<'a>(label: &'a str, colour: RGBColor, points: Vec<(f64, f64)>) -> Curve<'a> {
    Curve { label, colour, points, dashed: false }
}

/// The bound below what it bounds, as the variances of the decoder are multiplied by a factor.
fn figure_bound(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let exact = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Exact)?;
    let (mut evidence, mut bound) = (Vec::new(), Vec::new());
    for percent in 70..=150 {
        let factor = f64::from(percent) / 100.0;
        let scaled = |t| exact.decoder(t).map(|d| Decoder { variance: d.variance * factor, ..d });
        let vae = LinearVae::new(schedule, (1..=schedule.timesteps()).map(scaled).collect::<Result<_>>()?)?;
        evidence.push((factor, over_data(|x0| vae.log_evidence(x0))?));
        bound.push((factor, over_data(|x0| vae.elbo_posterior_form(x0))?));
    }
    Figure {
        folder,
        name: "elbo-bound",
        alt: "Two curves over the factor by which the decoder's variances are wrong. The bound is a hill, with its top \
              where the factor is one. The log-density that it bounds is a much flatter hill above it. The two all but \
              touch at the top.",
    }
    .curves(
        &Axes { x: "factor on all s_t", y: "nats, mean over the data", log_y: false },
        &[curve("ln p(x_0)", ORANGE, evidence), curve("the bound", BLUE, bound)],
    )
}

/// The terms of both forms along the schedule, and the mean KL that is taken for C_t.
fn figure_terms(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Beta)?;
    let values = (1..schedule.timesteps()).map(|t| Ok((t as f64, terms_at(&vae, t)?))).collect::<Result<Vec<_>>>()?;
    let of = |i: usize| values.iter().map(|(t, terms)| (*t, terms[i])).collect();
    Figure {
        folder,
        name: "elbo-terms",
        alt: "Three curves over t. The consistency term C_t and the denoising term L_t begin above one half and fall to \
              nearly zero within a dozen steps, close to each other. The mean KL that is often written for C_t stays \
              between 0.79 and 0.89.",
    }
    .curves(
        &Axes { x: "t", y: "nats", log_y: false },
        &[curve("C_t", BLUE, of(0)), curve("L_t", GREEN, of(2)), curve("the mean KL taken for C_t", VERMILION, of(1))],
    )
}

/// The standard deviation of one draw of each term.
fn figure_draws(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let vae = LinearVae::for_gaussian_data(schedule, MEAN, VARIANCE, DecoderVariance::Beta)?;
    let x0 = array![X0];
    let times = 1..schedule.timesteps();
    let consistency = times.clone().map(|t| Ok((t as f64, vae.consistency_variance(&x0, t)?.sqrt())));
    let denoising = times.map(|t| Ok((t as f64, vae.denoising_variance(&x0, t + 1)?.sqrt())));
    Figure {
        folder,
        name: "elbo-draws",
        alt: "Two curves over t, on a logarithmic scale. The standard deviation of a draw of C_t stays near one. That of \
              a draw of L_t begins at one half and falls by many powers of ten.",
    }
    .curves(
        &Axes { x: "t", y: "standard deviation of one draw, nats", log_y: true },
        &[
            curve("a draw of C_t", BLUE, consistency.collect::<Result<_>>()?),
            curve("a draw of L_t", GREEN, denoising.collect::<Result<_>>()?),
        ],
    )
}

/// The gap as T grows and β shrinks with it, so that ᾱ_T stays about the same.
fn figure_steps(folder: &Path) -> Outcome<PathBuf> {
    let gap = |timesteps: usize, choice| {
        let whole = timesteps as f64;
        let schedule = Schedule::linear(timesteps, 0.1 / whole, 20.0 / whole)?;
        let vae = LinearVae::for_gaussian_data(&schedule, MEAN, VARIANCE, choice)?;
        Ok((whole, over_data(|x0| vae.elbo_gap(x0))?))
    };
    let along = |choice| (1..=40).map(|i| gap(25 * i, choice)).collect::<Result<Vec<_>>>();
    Figure {
        folder,
        name: "elbo-steps",
        alt: "The mean gap over the number of steps T, on a logarithmic scale, for three choices of the decoder's \
              variances. With beta it falls from 0.04 to 0.001, as one over T. With the variance of the posterior it falls from \
              3 to below one half, ever more slowly. With the exact variance it is never above one in 100,000.",
    }
    .curves(
        &Axes { x: "T", y: "mean of ln p(x_0) − bound, nats", log_y: true },
        &[
            curve("s_t = β_t", BLUE, along(DecoderVariance::Beta)?),
            curve("s_t of the posterior, s_1 = β_1", VERMILION, along(BETA_TILDE)?),
            curve("s_t exact", INK, along(DecoderVariance::Exact)?),
        ],
    )
}

/// Bits of a pixel whose decoder has the mean right, as its σ shrinks.
fn figure_pixel(folder: &Path) -> Outcome<PathBuf> {
    let (mut bins, mut densities) = (Vec::new(), Vec::new());
    for i in 0..=60 {
        let digits = 0.05 * f64::from(i);
        let (bin, density) = pixel_bits(10.0_f64.powf(-digits))?;
        bins.push((digits, bin));
        densities.push((digits, density));
    }
    Figure {
        folder,
        name: "elbo-pixel",
        alt: "Bits of one pixel as the decoder's sigma shrinks from 1 to 0.001. By the probability of its bin they fall \
              from about eight to zero, and stay there. By the density they fall on a straight line, through zero and on.",
    }
    .curves(
        &Axes { x: "−log₁₀ σ", y: "bits", log_y: false },
        &[curve("by the bin", BLUE, bins), curve("by the density", VERMILION, densities)],
    )
}
