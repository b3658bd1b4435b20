//! What the command lines of the examples share: checked numbers, a progress bar, Ctrl-C, exit codes.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Arg, Command, value_parser};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::figures;
use super::files::writable;

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

/// Runs an example that takes no argument and draws figures. `--help` says `about`.
pub fn example(about: &'static str, main: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    Command::new(env!("CARGO_CRATE_NAME")).about(about).get_matches();
    run(|| {
        writable(&figures())?;
        main()
    })
}

/// The same for an example that takes a seed.
pub fn seeded(about: &'static str, main: impl FnOnce(u64) -> Result<(), Box<dyn Error>>) -> ExitCode {
    let seed = Arg::new("SEED").help("Everything random follows from it").default_value("0");
    let arguments = Command::new(env!("CARGO_CRATE_NAME")).about(about).arg(seed.value_parser(value_parser!(u64)));
    let seed = arguments.get_matches().get_one::<u64>("SEED").copied().unwrap_or_default();
    run(|| {
        writable(&figures())?;
        main(seed)
    })
}

/// For clap: a finite number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("it must be a finite number above 0".to_owned()),
    }
}

/// The largest count of a command line: with more of anything, a run would not end.
pub const MOST: usize = 1_000_000;

/// For clap: a whole number, 1 or above.
pub fn count(text: &str) -> Result<usize, String> {
    within(text, 1, MOST)
}

/// For clap: a whole number from the least to the most.
pub fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(format!("it must be a whole number from {least} to {most}")),
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

/// A flag that Ctrl-C raises, so that a long run can save before it ends. A second Ctrl-C ends it at once, and so does the
/// first one after the flag was dropped: then nothing is left to save.
pub fn stop_flag() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::downgrade(&flag);
    ctrlc::set_handler(move || match raised.upgrade() {
        Some(flag) if !flag.swap(true, Ordering::SeqCst) => (),
        Some(_) => std::process::exit(130),
        None => {
            eprintln!("stopped by Ctrl-C; the training is done and its checkpoint is saved");
            std::process::exit(130);
        }
    })?;
    Ok(flag)
}
