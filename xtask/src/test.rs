//! `cargo xtask test`: everything that this machine can run.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::columns::{Columns, terminal_width};
use crate::project::{self, Project};
use crate::{equations, figures, reports, setup};

/// Run everything that this machine can: tests, doctests, examples, the table of equations
///
/// Goes on after a failure, and sums up at the end. What cannot be run here is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fail where there are fewer equations
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least: usize,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    let mut summary = Summary::default();
    reports::remove(&project.checks())?;
    summary.step("tests and doctests", || project::run(&mut project.cargo(&["test"])));
    if let Err(why) = setup::run(project, &setup::Args::default()) {
        println!("libtorch cannot be brought: {why:#}");
    }
    match project.torch() {
        Ok(()) => {
            summary.step("the same with torch", || project::run(&mut project.cargo(&["test", "--features", "torch"])))
        }
        Err(why) => summary.not_run("torch", why),
    }
    for package in &project.others {
        summary
            .step(&format!("tests of {package}"), || project::run(&mut project.cargo(&["test", "--package", package])));
    }
    // A test of the coursework's, which passes without it: it must not look as if it had been run.
    if let Err(why) = project::numpy() {
        summary.not_run("the coursework in Python", why);
    }
    for example in project.targets("example") {
        let name = format!("example {}", example.name);
        summary.step(&name, || project::run(&mut figures::command(project, example, true)));
    }
    summary.step("equations", || timed(|| equations::run(project, &equations::Args::of_last_run(args.at_least))));
    print!("\n{}", summary.steps.text(terminal_width()));
    match summary.failed.as_slice() {
        [] => Ok(()),
        failed => bail!("failed: {}", failed.join(", ")),
    }
}

fn timed(step: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    step().map(|()| start.elapsed())
}

/// What was run, how long it took and how it ended.
struct Summary {
    steps: Columns,
    failed: Vec<String>,
}

impl Default for Summary {
    fn default() -> Self {
        Self { steps: Columns::new(&["step", "seconds", "result"]), failed: Vec::new() }
    }
}

impl Summary {
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Duration>) {
        match run() {
            Ok(took) => self.steps.row([name.into(), format!("{:.1}", took.as_secs_f64()), "passed".into()]),
            Err(error) => {
                eprintln!("error: {error:#}");
                self.steps.row([name.into(), "–".into(), "FAILED".into()]);
                self.failed.push(name.into());
            }
        }
    }

    fn not_run(&mut self, name: &str, why: &str) {
        println!("\n{name}: not run ({why})");
        self.steps.row([name.into(), "–".into(), format!("not run ({why})")]);
    }
}
