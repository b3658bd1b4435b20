//! What every file of tests shares: checks that leave a report, one notion of closeness, and proptest strategies.
//!
//! A check belongs to an equation (its slug is the name of the test module) and is of one [`Kind`]. It measures an error
//! over many cases, compares the worst with a bound that it justifies, and writes what it found to
//! `target/checks/<slug>/<kind>.json`, from where the book and `cargo xtask equations` print it.
//!
//! Seeds: `PROPTEST_RNG_SEED` for properties, `CHECK_SEED` for Monte Carlo; both are 0 unless they are set, so that a
//! plain run repeats exactly. `PROPTEST_CASES` sets the number of cases (256 unless it is set). With `CHECK_FAIL_FAST`, the
//! first failure ends the run, which is all that `cargo xtask mutants` wants to know.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its own part of this module")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, Once};

use ndarray::{ArrayRef, Dimension};
use ndarray_rand::rand::SeedableRng;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use rand_chacha::ChaCha8Rng;

pub mod strategies;
#[cfg(feature = "torch")]
pub mod torch;

/// How an equation is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Algebra: two routes, one value.
    Identity,
    /// There and back again.
    RoundTrip,
    /// What the formula becomes at an end of its range.
    Limit,
    /// An integral (a normalisation, Bayes, an expectation) done numerically on a grid.
    Quadrature,
    /// A mean over random draws, in units of its standard error.
    MonteCarlo,
    /// A derivative against differences of the function.
    FiniteDifference,
    /// The independent implementation in libtorch.
    Torch,
    /// A number from a paper or from widespread code, cited in the test.
    Published,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::RoundTrip => "round-trip",
            Self::Limit => "limit",
            Self::Quadrature => "quadrature",
            Self::MonteCarlo => "monte-carlo",
            Self::FiniteDifference => "finite-difference",
            Self::Torch => "torch",
            Self::Published => "published",
        }
    }

    /// Runs a check: once, or against torch on each device that is there, whose names it returns.
    fn on_each_device(self, mut run: impl FnMut()) -> Vec<String> {
        match self {
            #[cfg(feature = "torch")]
            Self::Torch => torch::on_each_device(run),
            _ => {
                run();
                Vec::new()
            }
        }
    }
}

/// A Monte Carlo mean may be this many standard errors from what it estimates.
///
/// A right formula is beyond it once in 10¹⁰ statistics (two-sided, Gaussian), and the suite has a few hundred, so that
/// a run of it gives a false alarm less than once in 10⁶: a nominal rate, which `cargo xtask equations` adds up. A mean of
/// skewed draws, divided by its own standard error, is only nearly Gaussian, and its real rate is another.
pub const MAX_Z: f64 = 6.5;
/// The probability that |z| > [`MAX_Z`] for a standard Gaussian z.
pub const FALSE_ALARM: f64 = 8.03e-11;

/// Begins a check of the equation whose slug is the name of the enclosing module.
macro_rules! check {
    ($kind:ident) => {
        $crate::support::Check::new(module_path!(), $crate::support::Kind::$kind)
    };
}
pub(crate) use check;

/// One check of one equation: `check!(Identity).bound(…, "why").property(strategy, error)`.
#[must_use]
pub struct Check {
    slug: &'static str,
    kind: Kind,
    bound: f64,
    reason: &'static str,
}

impl Check {
    /// Use [`check!`], which fills in the module path.
    pub fn new(module_path: &'static str, kind: Kind) -> Self {
        FAIL_FAST.call_once(fail_fast);
        let slug = module_path.rsplit("::").next().expect("a path has a last part");
        Self { slug, kind, bound: f64::NAN, reason: "" }
    }

    /// The largest error that is accepted, and why that much.
    pub fn bound(mut self, bound: f64, reason: &'static str) -> Self {
        (self.bound, self.reason) = (bound, reason);
        self
    }

    /// Draws cases from `strategy` and measures the error of each; shrinks a case that fails.
    pub fn property<S: Strategy>(self, strategy: S, error: impl Fn(S::Value) -> f64) {
        let (cases, worst) = (Cell::new(0), Cell::new(0.0));
        let seed = seed("PROPTEST_RNG_SEED");
        let devices = self.kind.on_each_device(|| {
            cases.set(0);
            let result = TestRunner::new(config()).run(&strategy, |case| {
                let error = error(case);
                cases.set(cases.get() + 1);
                worst.set(larger(worst.get(), error.abs()));
                if within(error, self.bound) {
                    return Ok(());
                }
                Err(TestCaseError::fail(format!("the error is {error:e}, above the bound {:e}", self.bound)))
            });
            if let Err(failure) = result {
                panic!(
                    "{} by {}: {failure}\n(bound: {}; replay with PROPTEST_RNG_SEED={seed})",
                    self.slug,
                    self.kind.name(),
                    self.reason
                );
            }
        });
        self.report(cases.get(), worst.get(), seed, 0.0, &devices);
    }

    /// Measures the error of each of a fixed list of cases.
    pub fn cases<T: Debug + Clone>(self, cases: impl IntoIterator<Item = T>, error: impl Fn(T) -> f64) {
        let cases: Vec<T> = cases.into_iter().collect();
        let mut worst = 0.0;
        let devices = self.kind.on_each_device(|| {
            for case in &cases {
                let error = error(case.clone());
                assert!(
                    within(error, self.bound),
                    "{} by {}: the error is {error:e}, above the bound {:e} ({}), for {case:?}",
                    self.slug,
                    self.kind.name(),
                    self.bound,
                    self.reason
                );
                worst = larger(worst, error.abs());
            }
        });
        self.report(cases.len(), worst, 0, 0.0, &devices);
    }

    /// Takes z-scores (estimate minus expectation, in standard errors; see [`z_score`]) and holds them to [`MAX_Z`].
    pub fn z_scores(self, draw: impl Fn(&mut ChaCha8Rng) -> Vec<f64>) {
        let seed = seed("CHECK_SEED");
        let mut scores = Vec::new();
        let devices = self.kind.on_each_device(|| scores.extend(draw(&mut rng(seed, self.slug))));
        let worst = scores.iter().fold(0.0, |worst, z| larger(worst, z.abs()));
        assert!(
            within(worst, MAX_Z),
            "{} by {}: an estimate is {worst:.1} standard errors off, more than {MAX_Z} (CHECK_SEED={seed}); all: {scores:?}",
            self.slug,
            self.kind.name()
        );
        let false_alarm = FALSE_ALARM * scores.len() as f64;
        Self { bound: MAX_Z, reason: "standard errors", ..self }.report(
            scores.len(),
            worst,
            seed,
            false_alarm,
            &devices,
        );
    }

    /// Shows that this check, given a wrong formula, fails: of the cases at least one has an error above the bound.
    pub fn rejects<S: Strategy>(self, mistake: &str, strategy: S, error: impl Fn(S::Value) -> f64) {
        let (cases, rejected, worst) = (Cell::new(0), Cell::new(0), Cell::new(0.0));
        let result = TestRunner::new(config()).run(&strategy, |case| {
            let error = error(case);
            cases.set(cases.get() + 1);
            rejected.set(rejected.get() + usize::from(!within(error, self.bound)));
            worst.set(larger(worst.get(), error.abs()));
            Ok(())
        });
        assert!(result.is_ok(), "{}, wrong variant ({mistake}): {result:?}", self.slug);
        self.report_rejection(mistake, cases.get(), rejected.get(), worst.get());
    }

    /// Shows that a Monte Carlo check, given a wrong formula, fails: at least one z-score is above [`MAX_Z`].
    pub fn rejects_z_scores(self, mistake: &str, draw: impl FnOnce(&mut ChaCha8Rng) -> Vec<f64>) {
        let scores = draw(&mut rng(seed("CHECK_SEED"), self.slug));
        let rejected = scores.iter().filter(|z| !within(z.abs(), MAX_Z)).count();
        let worst = scores.iter().fold(0.0, |worst, z| larger(worst, z.abs()));
        Self { bound: MAX_Z, reason: "standard errors", ..self }.report_rejection(
            mistake,
            scores.len(),
            rejected,
            worst,
        );
    }

    fn report(&self, cases: usize, worst: f64, seed: u64, false_alarm: f64, devices: &[String]) {
        assert!(cases > 0, "{} by {}: there was no case", self.slug, self.kind.name());
        assert!(!self.reason.is_empty(), "{} by {}: the bound has no reason", self.slug, self.kind.name());
        let report = serde_json::json!({
            "slug": self.slug, "kind": self.kind.name(), "file": env!("CARGO_CRATE_NAME"),
            "cases": cases, "worst": worst, "bound": self.bound, "reason": self.reason,
            "seed": seed, "false_alarm": false_alarm, "devices": devices,
        });
        write_report(self.slug, self.kind.name(), &report);
    }

    fn report_rejection(&self, mistake: &str, cases: usize, rejected: usize, worst: f64) {
        assert!(
            rejected > 0,
            "{}: the mistake \"{mistake}\" gets through {}: the worst of {cases} errors is {worst:e}, within {:e}",
            self.slug,
            self.kind.name(),
            self.bound
        );
        let report = serde_json::json!({
            "slug": self.slug, "kind": "wrong-variant", "by": self.kind.name(), "file": env!("CARGO_CRATE_NAME"),
            "mistake": mistake, "cases": cases, "rejected": rejected,
            // JSON has no infinity: an error that is not a number at all counts as infinite.
            "worst": if worst.is_finite() { worst.into() } else { serde_json::Value::from("infinite") },
            "bound": self.bound,
        });
        let words: Vec<String> =
            mistake.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
        write_report(self.slug, &format!("wrong-variant.{}", words.join("-")), &report);
    }
}

/// The distance of two arrays: the worst |got − want| over the elements, each divided by the larger of `scale`, |got| and
/// |want|. So it is a relative error, except below `scale`, where it is an absolute one in units of `scale`.
/// A number that is not finite on one side alone makes it infinite. Panics where the shapes differ.
pub fn distance<D: Dimension>(got: &ArrayRef<f64, D>, want: &ArrayRef<f64, D>, scale: f64) -> f64 {
    assert_eq!(got.shape(), want.shape(), "the shapes differ (left: got, right: want)");
    got.iter().zip(want).fold(0.0, |worst, (&got, &want)| larger(worst, distance_of_numbers(got, want, scale)))
}

/// [`distance`] of two numbers.
pub fn distance_of_numbers(got: f64, want: f64, scale: f64) -> f64 {
    if got == want {
        return 0.0;
    }
    let error = (got - want).abs() / scale.max(got.abs()).max(want.abs());
    if error.is_finite() { error } else { f64::INFINITY }
}

/// How far apart two numbers may be, and why.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// The largest |got − want|, whatever their size.
    pub absolute: f64,
    /// The largest |got − want| as a share of the larger of the two.
    pub relative: f64,
    /// Why that much.
    pub reason: &'static str,
}

/// Equal up to a few roundings.
pub const ROUNDING: Tolerance = Tolerance { absolute: 1e-15, relative: 1e-14, reason: "a few dozen roundings" };

/// Fails unless the arrays have one shape and every element is close in the sense of `approx::relative_eq`.
#[track_caller]
pub fn assert_close<D: Dimension>(got: &ArrayRef<f64, D>, want: &ArrayRef<f64, D>, tolerance: Tolerance) {
    assert_eq!(got.shape(), want.shape(), "the shapes differ (left: got, right: want)");
    for ((index, &got), &want) in got.indexed_iter().zip(want) {
        let close = approx::relative_eq!(got, want, epsilon = tolerance.absolute, max_relative = tolerance.relative);
        assert!(close, "at {index:?}: got {got}, want {want}, which is not within {tolerance:?}");
    }
}

/// The mean of `draws` minus `expected`, in units of the standard error of that mean.
pub fn z_score(draws: &[f64], expected: f64) -> f64 {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean - expected) / (variance / n).sqrt()
}

/// A generator for a Monte Carlo check: one stream a slug.
pub fn rng(seed: u64, slug: &str) -> ChaCha8Rng {
    let stream = slug
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// ∫ f over [from, to], by the trapezium rule on `intervals` equal intervals.
///
/// For a smooth f that is zero with all its derivatives at both ends (a Gaussian, ten standard deviations out) the error
/// falls faster than any power of the spacing.
pub fn integral(from: f64, to: f64, intervals: usize, f: impl Fn(f64) -> f64) -> f64 {
    let h = (to - from) / intervals as f64;
    let inside: f64 = (1..intervals).map(|i| f(from + i as f64 * h)).sum();
    h * (inside + 0.5 * (f(from) + f(to)))
}

/// f′(x) by central differences of fourth order, with a step of h. The error is about h⁴ f⁗′/30 + ε|f|/h.
pub fn derivative(x: f64, h: f64, f: impl Fn(f64) -> f64) -> f64 {
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

/// The value of an environment variable that holds a seed, 0 where it is not set.
pub fn seed(variable: &str) -> u64 {
    let Ok(text) = std::env::var(variable) else { return 0 };
    u64::from_str(&text).unwrap_or_else(|_| panic!("{variable} is {text:?}, but it must be a whole number, 0 or above"))
}

/// How proptest is run: a plain run repeats exactly.
pub fn config() -> Config {
    let rng_seed = RngSeed::Fixed(seed("PROPTEST_RNG_SEED"));
    Config { rng_seed, failure_persistence: None, ..Config::default() }
}

static FAIL_FAST: Once = Once::new();

fn fail_fast() {
    if std::env::var_os("CHECK_FAIL_FAST").is_some() {
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            std::process::exit(101);
        }));
    }
}

/// False for NaN, and for an error below 0 just as for one above: a check may hand in a difference.
fn within(error: f64, bound: f64) -> bool {
    error.abs() <= bound
}

/// The larger of two errors, where NaN counts as infinite.
pub fn larger(worst: f64, error: f64) -> f64 {
    if error.is_nan() { f64::INFINITY } else { worst.max(error) }
}

/// Writes to a temporary name and renames, since tests run side by side.
fn write_report(slug: &str, name: &str, report: &serde_json::Value) {
    static WRITTEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let new = WRITTEN.lock().is_ok_and(|mut written| written.insert(format!("{slug}/{name}")));
    assert!(new, "{slug}: there are two reports {name}, and one would hide the other; merge the checks");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("checks").join(slug);
    std::fs::create_dir_all(&folder).expect("target/checks can be made");
    let mut file = tempfile::NamedTempFile::new_in(&folder).expect("target/checks can be written");
    serde_json::to_writer_pretty(&mut file, report).expect("a report is JSON");
    file.persist(folder.join(format!("{name}.json"))).expect("target/checks can be written");
}
