//! Chapter 5: one step undone by hand, and how far q(x_{t−1} | x_t) is from a Gaussian, for one number and on the S-curve.
//!
//! `cargo run --release --example posterior`

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use literate_diffusion::forward::q_chain;
use literate_diffusion::posterior::{self, VarianceAtOne};
use literate_diffusion::s_curve::{Marginal, SCurve};
use literate_diffusion::{Result, Schedule, Step, gaussian, objective, paper};
use ndarray::{Array1, Array2, ArrayRef2, array};
use plotters::prelude::{ChartBuilder, PathElement};
use serde_json::{Value, json};
use support::cli;
use support::contour::contours;
use support::files::write_atomically;
use support::plot::{Area, Axes, BLUE, Curve, Figure, GREEN, INK, ORANGE, PX, VERMILION, font, stroke};

/// The steps on the S-curve: the share of noise in x_{t−1}, and where x_t/√α_t is. The second is beside the lower arc.
const NOISE_BEFORE: f64 = 0.1;
const SEEN: [f64; 2] = [0.3, -0.5];
/// The sizes of the steps that are drawn.
const DRAWN: [f64; 3] = [0.5, 0.1, 0.01];

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    cli::example("One step undone by hand, and how far the step back is from a Gaussian", run)
}

fn run() -> Outcome<()> {
    let folder = support::figures();
    let sound = Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T)?;
    let by_hand = Schedule::from_betas(&[0.36, 0.51, 0.75])?;
    let atoms = array![-1.0, 1.0];

    let numbers = json!({
        "by_hand": undone(&by_hand)?,
        "unknown": unknown(&by_hand, &atoms)?,
        "limits": limits(&sound)?,
        "gaussian": nearly_gaussian(&atoms)?,
        "s_curve": nearly_gaussian_in_the_plane()?,
        "at_one": at_one(&sound)?,
        "mistakes": mistakes(&sound)?,
    });
    println!("{numbers:#}");
    write_atomically(&folder.join("posterior-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    println!("Figure: {}", figure_product(&folder, &by_hand)?.display());
    println!("Figure: {}", figure_reverse(&folder, &atoms)?.display());
    println!("Figure: {}", figure_s_curve(&folder)?.display());
    println!("Figure: {}", figure_misfit(&folder, &numbers["s_curve"]["rows"])?.display());
    Ok(())
}

/// The path of chapter 4: x_0 = 1, and the noises 0.5, −1 and 0.2.
fn path(schedule: &Schedule) -> Result<Vec<Array1<f64>>> {
    q_chain(&array![1.0], schedule, &[array![0.5], array![-1.0], array![0.2]])
}

// ANCHOR: undone
/// The three steps of chapter 4, undone with x_0 known.
fn undone(schedule: &Schedule) -> Result<Value> {
    let x0 = array![1.0];
    let path = path(schedule)?;
    let mut rows = Vec::new();
    for &step in schedule.steps() {
        let xt = &path[step.t];
        let eps = objective::eps_from_x0(&x0, xt, step)?;
        rows.push(json!({
            "beta": step.beta,
            "alpha_bar": step.alpha_bar,
            "xt": xt[0],
            "eps": eps[0],
            "precision": posterior::posterior_precision(step),
            "variance": posterior::posterior_variance(step),
            "std": posterior::posterior_variance(step).sqrt(),
            "mean": posterior::posterior_mean(&x0, xt, step)?[0],
            "mean_from_eps": posterior::posterior_mean_from_eps(xt, step, &eps)?[0],
            "x_prev": path[step.t - 1][0],
        }));
    }
    Ok(json!(rows))
}
// ANCHOR_END: undone

/// The second of these steps, undone where x_0 may be −1 or 1.
fn unknown(schedule: &Schedule, atoms: &Array1<f64>) -> Result<Value> {
    let second = schedule.step(2)?;
    let xt = path(schedule)?[2][0];
    let weights = posterior::atom_weights(atoms, xt, second)?;
    let means = posterior::posterior_mean(atoms, &Array1::from_elem(2, xt), second)?;
    let (mean, variance) = posterior::reverse_moments(atoms, xt, second)?;
    // KL(q(x_{t−1} | x_t, x_0 = 1) ‖ q(x_{t−1} | x_t)), integrated.
    let known_variance = posterior::posterior_variance(second);
    let h = 0.005 * known_variance.sqrt();
    let integrand = |i: i32| {
        let x_prev = means[1] + h * f64::from(i);
        let known = gaussian::density(x_prev, means[1], known_variance)?;
        Ok(known * (known / posterior::reverse_density(x_prev, atoms, xt, second)?).ln())
    };
    let kl = h * (-2000..=2000).map(integrand).sum::<Result<f64>>()?;
    Ok(json!({
        "weights": weights.to_vec(),
        "means": means.to_vec(),
        "mean": mean,
        "variance": variance,
        "kl_bits": kl / std::f64::consts::LN_2,
    }))
}

/// How β̃ compares with β along a schedule.
fn limits(schedule: &Schedule) -> Result<Value> {
    let ratio = |t| schedule.step(t).map(|step| posterior::posterior_variance(step) / step.beta);
    Ok(json!({ "ratio": { "1": ratio(1)?, "2": ratio(2)?, "5": ratio(5)?, "20": ratio(20)?, "100": ratio(100)? } }))
}

/// How far q(x_{t−1} | x_t) is from a Gaussian as β shrinks; 1 − ᾱ_{t−1} is 0.1, and x_t/√α_t is 0.4.
fn nearly_gaussian(atoms: &Array1<f64>) -> Result<Value> {
    let mut rows = Vec::new();
    for beta in [0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001] {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        let xt = 0.4 * step.alpha.sqrt();
        let (mean, variance) = posterior::reverse_moments(atoms, xt, step)?;
        rows.push(json!({
            "beta": beta,
            "mean": mean,
            "variance": variance,
            "kl": misfit(atoms, xt, step, variance)?,
            "kl_beta": misfit(atoms, xt, step, beta)?,
        }));
    }
    let ratio = |key: &str| rows[8][key].as_f64().zip(rows[9][key].as_f64()).map(|(long, short)| long / short);
    Ok(json!({ "halved": ratio("kl"), "halved_beta": ratio("kl_beta"), "rows": rows }))
}

/// What a prediction of x_0 that is off by 0.01 costs at t = 1, in bits, for three choices of the variance.
fn at_one(schedule: &Schedule) -> Result<Value> {
    let bits = |log_variance: f64| -> Result<f64> {
        let log = gaussian::log_density(&array![0.01], &array![0.0], log_variance.exp())?;
        Ok(-log / std::f64::consts::LN_2)
    };
    let beta_1 = posterior::posterior_log_variance(schedule, 1, VarianceAtOne::Beta1)?;
    let beta_tilde_2 = posterior::posterior_log_variance(schedule, 1, VarianceAtOne::BetaTilde2)?;
    let clipped = 1e-20_f64.ln();
    Ok(json!({
        "beta_1": { "log_variance": beta_1, "bits": bits(beta_1)? },
        "beta_tilde_2": { "log_variance": beta_tilde_2, "bits": bits(beta_tilde_2)? },
        "clipped": { "log_variance": clipped, "bits": bits(clipped)? },
    }))
}

/// The weights of x_0 and x_t in the mean, and the variance.
type Undo = (f64, f64, f64);

/// What mistakes do to a walk back from x_T to x_1 with x_0 known, and to the step at t = 1.
fn mistakes(schedule: &Schedule) -> Result<Value> {
    let right = |s: Step| -> Undo {
        let over = s.one_minus_alpha_bar;
        let of_xt = s.alpha.sqrt() * s.one_minus_alpha_bar_prev / over;
        (s.alpha_bar_prev.sqrt() * s.beta / over, of_xt, posterior::posterior_variance(s))
    };
    let wrap = Step {
        alpha_bar_prev: schedule.last().alpha_bar,
        one_minus_alpha_bar_prev: schedule.last().one_minus_alpha_bar,
        ..schedule.step(1)?
    };
    Ok(json!({
        "right": worst(schedule, right),
        "root_of_alpha_bar": worst(schedule, |s| {
            let (of_x0, of_xt, variance) = right(s);
            (of_x0, of_xt * s.alpha_bar_prev.sqrt(), variance)
        }),
        "off_by_one": worst(schedule, |s| {
            let (of_x0, of_xt, variance) = right(s);
            (of_x0 * s.alpha.sqrt(), of_xt, variance)
        }),
        "beta": worst(schedule, |s| (right(s).0, right(s).1, s.beta)),
        "wrapped": { "of_xt": right(wrap).1, "variance": right(wrap).2 },
    }))
}

/// The variance of x_t, for data of variance 1, that is farthest from 1 on a walk back from x_T to x_1.
fn worst(schedule: &Schedule, undo: impl Fn(Step) -> Undo) -> f64 {
    let last = schedule.last();
    // x_t = signal · x_0 + noise, the noise of the variance given.
    let (mut signal, mut noise, mut worst) = (last.alpha_bar.sqrt(), last.one_minus_alpha_bar, 1.0_f64);
    for &step in schedule.steps()[1..].iter().rev() {
        let (of_x0, of_xt, variance) = undo(step);
        signal = of_x0 + of_xt * signal;
        noise = of_xt.powi(2) * noise + variance;
        let here = signal.powi(2) + noise;
        if (here - 1.0).abs() > (worst - 1.0).abs() {
            worst = here;
        }
    }
    worst
}

/// KL(q(x_{t−1} | x_t) ‖ N(its mean, variance)), integrated.
fn misfit(atoms: &Array1<f64>, xt: f64, step: Step, variance: f64) -> Result<f64> {
    let (mean, own_variance) = posterior::reverse_moments(atoms, xt, step)?;
    let h = 0.005 * own_variance.max(variance).sqrt();
    let integrand = |i: i32| {
        let x_prev = mean + h * f64::from(i);
        let q = posterior::reverse_density(x_prev, atoms, xt, step)?;
        let p = gaussian::density(x_prev, mean, variance)?;
        // q ln(q/p) − q + p has the same integral, and loses no digits where q is close to p.
        Ok(if q > 0.0 && p > 0.0 { q * (q / p).ln() - q + p } else { p })
    };
    (-2000..=2000).map(integrand).sum::<Result<f64>>().map(|sum| h * sum)
}

fn curve<'a>(
    label: &'a str,
    colour: plotters::style::RGBColor,
    density: impl Fn(f64) -> Result<f64>,
) -> Result<Curve<'a>> {
    let points = (-120..=120).map(|i| 0.025 * f64::from(i)).map(|x| Ok((x, density(x)?))).collect::<Result<_>>()?;
    Ok(Curve { label, colour, points, dashed: false })
}

fn figure_product(folder: &Path, schedule: &Schedule) -> Outcome<PathBuf> {
    let step = schedule.step(2)?;
    let (x0, xt) = (1.0, path(schedule)?[2][0]);
    let mean = posterior::posterior_mean(&array![x0], &array![xt], step)?[0];
    Figure {
        folder,
        name: "posterior-product",
        alt: "Three bell curves over x_{t-1}: what x_0 says of it, what x_t says of it, and the posterior, their product, \
              which lies between the two and is narrower than either.",
    }
    .curves(
        &Axes { x: "x_{t−1}", y: "density", log_y: false },
        &[
            curve("q(x_{t−1} | x_0)", BLUE, |x| {
                gaussian::density(x, step.alpha_bar_prev.sqrt() * x0, step.one_minus_alpha_bar_prev)
            })?,
            curve("q(x_t | x_{t−1})", ORANGE, |x| gaussian::density(xt, step.alpha.sqrt() * x, step.beta))?,
            curve("q(x_{t−1} | x_t, x_0)", GREEN, |x| gaussian::density(x, mean, posterior::posterior_variance(step)))?,
        ],
    )
}

fn figure_reverse(folder: &Path, atoms: &Array1<f64>) -> Outcome<PathBuf> {
    let mut curves = Vec::new();
    for (beta, colour, label, of_gaussian) in
        [(0.9, VERMILION, "β = 0.9", "its Gaussian"), (0.02, BLUE, "β = 0.02", "its Gaussian")]
    {
        let step = Schedule::from_betas(&[0.1, beta])?.last();
        let xt = 0.4 * step.alpha.sqrt();
        let (mean, variance) = posterior::reverse_moments(atoms, xt, step)?;
        curves.push(curve(label, colour, |x| posterior::reverse_density(x, atoms, xt, step))?);
        let gaussian = curve(of_gaussian, colour, |x| gaussian::density(x, mean, variance))?;
        curves.push(Curve { dashed: true, ..gaussian });
    }
    Figure {
        folder,
        name: "posterior-reverse",
        alt: "The density of x_{t-1} given x_t for data at minus one and one, each beside the Gaussian of the same mean \
              and variance. Where beta is 0.9 the density has two humps, and the Gaussian is one wide bell. Where beta is \
              0.02 the two curves cannot be told apart.",
    }
    .curves(&Axes { x: "x_{t−1}", y: "q(x_{t−1} | x_t)", log_y: false }, &curves)
}

/// A step back on the S-curve: what x_{t−1} was, if all that is known is x_t.
struct StepBack {
    before: Marginal,
    after: Marginal,
    step: Step,
    /// (1, 2)
    xt: Array2<f64>,
    mean: [f64; 2],
    covariance: Symmetric,
}

/// The entries xx, xz, zz of a symmetric matrix.
type Symmetric = [f64; 3];

impl StepBack {
    fn new(beta: f64) -> Result<Self> {
        let curve = SCurve::sound();
        let schedule = Schedule::from_betas(&[NOISE_BEFORE, beta])?;
        let step = schedule.last();
        let xt = array![SEEN] * step.alpha.sqrt();
        let moments = curve.reverse_mean_and_covariance(&xt, step)?;
        let (mean, c) = (moments.mean, moments.covariance);
        Ok(Self {
            before: curve.marginal(schedule.step(1)?),
            after: curve.marginal(step),
            step,
            xt,
            mean: [mean[[0, 0]], mean[[0, 1]]],
            covariance: [c[[0, 0, 0]], c[[0, 0, 1]], c[[0, 1, 1]]],
        })
    }

    // ANCHOR: reverse_by_bayes
    /// ln q(x_{t−1} | x_t) = ln q(x_t | x_{t−1}) + ln q(x_{t−1}) − ln q(x_t), for each row of `x_prev`.
    fn log_density(&self, x_prev: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        let Step { alpha, beta, .. } = self.step;
        let xt = self.xt.row(0);
        let forward = x_prev.rows().into_iter().map(|x| gaussian::log_density(&xt, &(&x * alpha.sqrt()), beta));
        let forward = forward.collect::<Result<Array1<f64>>>()?;
        Ok(forward + self.before.log_q(x_prev)? - self.after.log_q(&self.xt)?[0])
    }
    // ANCHOR_END: reverse_by_bayes

    /// KL(q(x_{t−1} | x_t) ‖ N(its mean, covariance)), integrated.
    fn misfit(&self, covariance: Symmetric) -> Result<f64> {
        let reach = 7.0;
        let (grid, cell) = self.grid(70, reach);
        let log_q = self.log_density(&grid)?;
        let log_p =
            grid.rows().into_iter().map(|x| log_gaussian([x[0] - self.mean[0], x[1] - self.mean[1]], covariance));
        // As in one dimension: q ln(q/p) − q + p.
        Ok(log_q.iter().zip(log_p).map(|(q, p)| q.exp() * (q - p) - q.exp() + p.exp()).sum::<f64>() * cell)
    }

    /// The points of a square grid about the mean, `half` on each side of it, row by row, and the area of a cell. It
    /// reaches `reach` standard deviations far.
    fn grid(&self, half: usize, reach: f64) -> (Array2<f64>, f64) {
        let [xx, _, zz] = self.covariance;
        let spacing = reach * xx.max(zz).sqrt() / half as f64;
        let side = 2 * half + 1;
        let place = |i: usize, axis: usize| {
            let steps = if axis == 0 { i % side } else { i / side };
            self.mean[axis] + spacing * (steps as f64 - half as f64)
        };
        (Array2::from_shape_fn((side * side, 2), |(i, axis)| place(i, axis)), spacing * spacing)
    }
}

/// ln N(x; 0, covariance) in the plane.
fn log_gaussian([x, z]: [f64; 2], [xx, xz, zz]: Symmetric) -> f64 {
    let determinant = xx * zz - xz * xz;
    let square = (zz * x * x - 2.0 * xz * x * z + xx * z * z) / determinant;
    -0.5 * square - (std::f64::consts::TAU * determinant.sqrt()).ln()
}

/// As [`nearly_gaussian`], for the S-curve.
fn nearly_gaussian_in_the_plane() -> Result<Value> {
    let mut rows = Vec::new();
    let third = squared_third_derivatives()?;
    for beta in [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005] {
        let back = StepBack::new(beta)?;
        rows.push(json!({
            "beta": beta,
            "mean": back.mean,
            "covariance": back.covariance,
            "kl": back.misfit(back.covariance)?,
            "kl_beta": back.misfit([beta, 0.0, beta])?,
            "leading": beta.powi(3) * third / 12.0,
        }));
    }
    let [.., long, short] = &rows[..] else { return Ok(Value::Null) };
    let ln = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN).ln();
    let slope = |key: &str| (ln(long, key) - ln(short, key)) / (ln(long, "beta") - ln(short, "beta"));
    Ok(json!({
        "noise_before": NOISE_BEFORE,
        "seen": SEEN,
        "third": third,
        "slope": slope("kl"),
        "slope_beta": slope("kl_beta"),
        "rows": rows,
    }))
}

/// The sum of the squares of all eight third derivatives of ln q(x_{t−1}) at x_t/√α_t, by differences of the score.
fn squared_third_derivatives() -> Result<f64> {
    let before = SCurve::sound().marginal(Schedule::from_betas(&[NOISE_BEFORE])?.step(1)?);
    let h = 0.001;
    let second_difference = |axis: usize| {
        let mut around = Array2::from_shape_fn((3, 2), |(_, axis)| SEEN[axis]);
        around[[0, axis]] -= h;
        around[[2, axis]] += h;
        let score = before.score(&around)?;
        Ok((&score.row(0) - &score.row(1) * 2.0 + score.row(2)) / (h * h))
    };
    // The derivatives xxx, xxz and xzz, zzz; those that are mixed occur three times.
    let (along_x, along_z) = (second_difference(0)?, second_difference(1)?);
    let [xxx, xxz, xzz, zzz] = [along_x[0], along_x[1], along_z[0], along_z[1]];
    Ok(xxx.powi(2) + 3.0 * xxz.powi(2) + 3.0 * xzz.powi(2) + zzz.powi(2))
}

/// Lines of one density, and the share of the probability that lies within them.
const WITHIN: [f64; 3] = [0.25, 0.6, 0.95];

/// One panel: x_{t−1} after a step, its lines in the truth and in the Gaussian.
struct Landscape {
    title: String,
    /// The square that is shown: its centre and half its side.
    window: ([f64; 2], f64),
    truth: Vec<Vec<(f64, f64)>>,
    gaussian: Vec<Vec<(f64, f64)>>,
}

fn landscape(beta: f64) -> Result<Landscape> {
    let back = StepBack::new(beta)?;
    let (half, reach) = (30, 3.2);
    let (grid, cell) = back.grid(half, reach);
    let side = 2 * half + 1;
    let density = back.log_density(&grid)?.exp();
    let spacing = cell.sqrt();
    let place = |(row, column): (f64, f64)| {
        let [x, z] = back.mean;
        (x + spacing * (column - half as f64), z + spacing * (row - half as f64))
    };
    let heights = Array2::from_shape_fn((side, side), |(row, column)| density[row * side + column]);
    let (mut truth, mut gaussian) = (Vec::new(), Vec::new());
    for share in WITHIN {
        let lines = contours(&heights, level(density.to_vec(), share / cell));
        truth.extend(lines.into_iter().map(|line| line.into_iter().map(place).collect::<Vec<_>>()));
        gaussian.push(ellipse(back.mean, back.covariance, (-2.0 * (1.0 - share).ln()).sqrt()));
    }
    Ok(Landscape { title: format!("β = {beta}"), window: (back.mean, spacing * half as f64), truth, gaussian })
}

/// The density above which the densities add up to `sum`.
fn level(mut densities: Vec<f64>, sum: f64) -> f64 {
    densities.sort_by(|a, b| b.total_cmp(a));
    let mut left = sum;
    let passed = densities.iter().find(|density| {
        left -= **density;
        left <= 0.0
    });
    passed.copied().unwrap_or(0.0)
}

/// The points that are `radius` standard deviations away from the mean.
fn ellipse([x, z]: [f64; 2], [xx, xz, zz]: Symmetric, radius: f64) -> Vec<(f64, f64)> {
    // Cholesky: (a, 0; b, c) times its transpose is the covariance.
    let a = xx.sqrt();
    let b = xz / a;
    let c = (zz - b * b).sqrt();
    let angles = (0..=96).map(|i| std::f64::consts::TAU * f64::from(i) / 96.0);
    angles.map(|at| (x + radius * a * at.cos(), z + radius * (b * at.cos() + c * at.sin()))).collect()
}

fn figure_s_curve(folder: &Path) -> Outcome<PathBuf> {
    let panels = DRAWN.map(landscape).into_iter().collect::<Result<Vec<_>>>()?;
    let shown = |lines: &[Vec<(f64, f64)>]| {
        let digits = |x: f64| (x * 1e7).round() / 1e7;
        json!(
            lines
                .iter()
                .map(|line| line.iter().map(|&(x, z)| [digits(x), digits(z)]).collect())
                .collect::<Vec<Vec<_>>>()
        )
    };
    let json = panels.iter().map(|panel| {
        json!({ "title": panel.title, "within": WITHIN, "truth": shown(&panel.truth), "gaussian": shown(&panel.gaussian) })
    });
    Figure {
        folder,
        name: "posterior-s-curve",
        alt: "Three maps of the density of x_{t-1} given x_t on the S-curve, each with the ellipses of the Gaussian of the \
              same mean and covariance. For beta 0.5 the density fills the whole letter S, and the ellipses cover the \
              empty places in it. For beta 0.1 it is an arc around one of them. For beta 0.01 it is a round hill, and \
              its lines lie on the ellipses.",
    }
    .draw((780, 256), json.collect(), |area| {
        let areas = area.split_evenly((1, panels.len()));
        panels.iter().zip(areas).try_for_each(|(panel, area)| draw_landscape(panel, &area))
    })
}

fn draw_landscape(panel: &Landscape, area: &Area<'_>) -> Outcome<()> {
    let ([x, z], half) = panel.window;
    let mut chart = ChartBuilder::on(area)
        .margin(8 * PX)
        .caption(&panel.title, font(17))
        .x_label_area_size(26 * PX)
        .y_label_area_size(44 * PX)
        .build_cartesian_2d(x - half..x + half, z - half..z + half)?;
    let label = |x: &f64| format!("{}", (x * 1e3).round() / 1e3);
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(4)
        .y_labels(4)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .set_all_tick_mark_size(5 * PX)
        .axis_style(stroke(INK, 1))
        .label_style(font(14))
        .draw()?;
    let both = [(&panel.truth, stroke(BLUE, 3)), (&panel.gaussian, stroke(ORANGE, 1))];
    for (lines, style) in both {
        chart.draw_series(lines.iter().map(|line| PathElement::new(line.clone(), style)))?;
    }
    Ok(())
}

fn figure_misfit(folder: &Path, rows: &Value) -> Outcome<PathBuf> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let curve = |label, colour, key: &str, dashed| {
        let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let points = rows.iter().map(|row| (number(row, "beta").log10(), number(row, key)));
        Curve { label, colour, points: points.collect(), dashed }
    };
    Figure {
        folder,
        name: "posterior-misfit",
        alt: "Two curves over the logarithm of beta, falling to the left: the distance from the truth to the Gaussian with \
              its mean and covariance, and to the one with its mean and the variance beta. For small beta both are straight, \
              the first steeper than the second.",
    }
    .curves(
        &Axes { x: "log₁₀ β", y: "KL divergence, nats", log_y: true },
        &[curve("its covariance", BLUE, "kl", false), curve("variance β", ORANGE, "kl_beta", false)],
    )
}
