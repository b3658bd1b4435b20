//! What the command lines of the examples share: checked numbers, a progress bar, Ctrl-C, exit codes.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Exit status 0, or 1 with one sentence on standard error. (clap itself ends with 2 where the usage is wrong.)
pub fn run(main: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// For clap: a finite number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("it must be a finite number above 0".to_owned()),
    }
}

/// For clap: a whole number, 1 or above.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("it must be a whole number, 1 or above".to_owned()),
    }
}

/// For clap: a number of threads.
pub fn threads(text: &str) -> Result<i32, String> {
    match text.parse::<i32>() {
        Ok(n) if (1..=4096).contains(&n) => Ok(n),
        _ => Err("it must be a whole number from 1 to 4096".to_owned()),
    }
}

/// For clap: a finite number.
pub fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => Err("it must be a finite number".to_owned()),
    }
}

/// For clap: a number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        _ => Err("it must be a number from 0 to 1".to_owned()),
    }
}

/// For clap: a number from 0 up to 1, but less.
pub fn less_than_one(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err("it must be a number from 0 up to, but less than, 1".to_owned()),
    }
}

/// For clap: the name of a device, whether it is there or not.
pub fn device(text: &str) -> Result<String, String> {
    let numbered = text.strip_prefix("cuda:").is_some_and(|number| number.parse::<usize>().is_ok());
    if numbered || ["cpu", "cuda", "auto"].contains(&text) {
        return Ok(text.to_owned());
    }
    Err("it must be cpu, cuda, cuda:N with a whole number N, or auto".to_owned())
}

/// For clap: a number of timesteps. More than a million would not end.
pub fn timesteps(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if (1..=MOST_TIMESTEPS).contains(&n) => Ok(n),
        _ => Err(format!("it must be a whole number from 1 to {MOST_TIMESTEPS}")),
    }
}

/// The largest T of a command line.
pub const MOST_TIMESTEPS: usize = 1_000_000;

/// As a shell takes it for one word.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A bar with the rate, the time left and a message; it shows nothing where standard error is not a terminal. `unit` says
/// what it counts.
pub fn progress(count: u64, done: u64, what: &str, unit: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}  {rate}  {eta} left");
    let rate = move |state: &ProgressState, out: &mut dyn Write| {
        let rate = state.per_sec();
        // Nothing can be done about an error here.
        let _ = if rate < 10.0 { write!(out, "{rate:.1} {unit}/s") } else { write!(out, "{rate:.0} {unit}/s") };
    };
    let bar = ProgressBar::new(count).with_position(done).with_prefix(what.to_owned());
    bar.reset_eta();
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate))
}

/// A flag that Ctrl-C raises, so that a long run can save before it ends. A second Ctrl-C ends it at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(flag)
}
