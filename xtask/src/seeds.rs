//! `cargo xtask seeds`: the tests under many seeds, since a check that holds for one seed may hold by luck.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::columns::{Columns, count, number, terminal_width};
use crate::project::{self, Project};
use crate::reports::{self, Check};

/// Files of tests that heed no seed of ours: they run programs, or have seeds of their own.
const UNSEEDED: [&str; 4] = ["image_evaluation", "image_examples", "s_curve_examples", "trainer"];
/// Tests that draw nothing.
const WITHOUT_SEED: [&str; 2] = ["::bad_input", "::published"];
/// A check that uses more of its bound than this, under any seed, is listed.
const CLOSE: f64 = 0.5;

/// Run the property and Monte Carlo tests under many seeds
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many seeds
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Only these files of tests
    #[arg(value_name = "STEM")]
    stems: Vec<String>,
    /// The first seed
    #[arg(long, value_name = "K", default_value_t = 1)]
    from: u64,
}

/// A built file of tests.
struct Binary {
    stem: String,
    path: PathBuf,
}

/// A test that failed, and under which seed.
#[derive(Debug, PartialEq)]
struct Failure {
    seed: u64,
    stem: String,
    test: String,
}

impl Failure {
    fn replay(&self, features: &[&str]) -> String {
        let Self { seed, stem, test } = self;
        let test_of = [&["cargo", "test"], features, &["--test", stem]].concat().join(" ");
        format!("PROPTEST_RNG_SEED={seed} CHECK_SEED={seed} {test_of} -- --exact {test}")
    }
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    let last = args.from.checked_add(args.count - 1).context("the last seed is above 2^64; give a smaller --from")?;
    let torch = project.torch();
    let features: &[&str] = if torch.is_ok() { &["--features", "torch"] } else { &[] };
    let binaries = build(project, features, &args.stems)?;
    let (mut failures, mut runs) = (Vec::new(), 0);
    let mut worst: BTreeMap<(String, String), (Check, u64)> = BTreeMap::new();
    let start = Instant::now();
    for seed in args.from..=last {
        let (seed_start, before) = (Instant::now(), failures.len());
        reports::remove(&project.checks())?;
        for binary in &binaries {
            runs += run_binary(project, binary, seed, &mut failures)?;
        }
        keep_worst(
            &mut worst,
            reports::read(&project.checks())?.into_values().flat_map(|reports| reports.checks),
            seed,
        );
        let failed = count((failures.len() - before) as u64, "failure");
        println!("seed {seed} of {}..={last}: {failed}, {:.1} s", args.from, seed_start.elapsed().as_secs_f64());
        failures[before..].iter().for_each(|failure| println!("  {}", failure.replay(features)));
    }
    // These reports are of the last seed: the table is of seed 0.
    reports::remove(&project.checks())?;

    print!("{}", closest(&worst));
    let summary = format!(
        "{} under {} in {:.0} s ({})",
        count(runs, "test run"),
        count(args.count, "seed"),
        start.elapsed().as_secs_f64(),
        torch.map_or_else(|why| format!("torch: not run, {why}"), |()| "with the checks against torch".into())
    );
    if failures.is_empty() {
        println!("\n{summary}: no failure.");
        return Ok(());
    }
    let replays: Vec<String> = failures.iter().map(|failure| failure.replay(features)).collect();
    bail!("{summary}: {}. Replay with\n  {}", count(failures.len() as u64, "failure"), replays.join("\n  "))
}

/// Builds the tests once.
fn build(project: &Project, features: &[&str], stems: &[String]) -> Result<Vec<Binary>> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let mut command = project.cargo(&["test", "--tests", "--no-run", "--message-format=json"]);
    let messages = project::output(command.args(features))?;
    let mut binaries = Vec::new();
    for line in String::from_utf8_lossy(&messages).lines() {
        let message: Message = serde_json::from_str(line).context("what cargo test says is not as expected")?;
        if let (Some(target), Some(path)) = (message.target, message.executable)
            && target.kind == ["test"]
            && !UNSEEDED.contains(&target.name.as_str())
        {
            binaries.push(Binary { stem: target.name, path });
        }
    }
    let known: Vec<String> = binaries.iter().map(|binary| binary.stem.clone()).collect();
    if let Some(unknown) = stems.iter().find(|stem| !known.contains(stem)) {
        bail!("there is no tests/{unknown}.rs that heeds a seed here; those that do: {}", known.join(", "));
    }
    binaries.retain(|binary| stems.is_empty() || stems.contains(&binary.stem));
    ensure!(!binaries.is_empty(), "there is no file of tests in tests/");
    Ok(binaries)
}

/// Runs one file of tests under one seed. Returns how many tests ran.
fn run_binary(project: &Project, binary: &Binary, seed: u64, failures: &mut Vec<Failure>) -> Result<u64> {
    let mut command = Command::new(&binary.path);
    command.current_dir(&project.root).env("CARGO_MANIFEST_DIR", &project.root);
    command.env("PROPTEST_RNG_SEED", seed.to_string()).env("CHECK_SEED", seed.to_string());
    command.args(WITHOUT_SEED.iter().flat_map(|name| ["--skip", name]));
    let output = command.output().with_context(|| format!("{} cannot be run", binary.path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = failed_tests(&text);
    ensure!(
        output.status.success() || !failed.is_empty(),
        "tests/{}.rs ended with {} under seed {seed}:\n{}",
        binary.stem,
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    failures.extend(failed.into_iter().map(|test| Failure { seed, stem: binary.stem.clone(), test }));
    Ok(text.lines().filter(|line| line.starts_with("test ") && line.contains(" ... ")).count() as u64)
}

/// The names in what a file of tests printed.
fn failed_tests(text: &str) -> Vec<String> {
    let name = |line: &str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// Of each check, keeps the run that came closest to its bound.
fn keep_worst(worst: &mut BTreeMap<(String, String), (Check, u64)>, checks: impl Iterator<Item = Check>, seed: u64) {
    for check in checks {
        let key = (check.slug.clone(), check.kind.clone());
        let closer = worst.get(&key).is_none_or(|(before, _)| check.share() > before.share());
        if closer {
            worst.insert(key, (check, seed));
        }
    }
}

/// Lists the checks that came close to their bounds.
fn closest(worst: &BTreeMap<(String, String), (Check, u64)>) -> String {
    let mut close: Vec<&(Check, u64)> = worst.values().filter(|(check, _)| check.share() > CLOSE).collect();
    close.sort_by(|(a, _), (b, _)| b.share().total_cmp(&a.share()));
    if close.is_empty() {
        return format!("\nNo check used more than {CLOSE} of its bound.\n");
    }
    let mut table = Columns::new(&["slug", "kind", "share", "worst", "bound", "seed"]);
    table.heading(&format!("checks that used more than {CLOSE} of their bound"));
    for (check, seed) in close {
        table.row([
            check.slug.clone(),
            check.kind.clone(),
            format!("{:.2}", check.share()),
            number(check.worst),
            number(check.bound),
            seed.to_string(),
        ]);
    }
    table.text(terminal_width())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::tests::check;

    #[test]
    fn a_failure_can_be_replayed() {
        let text =
            "running 2 tests\ntest q_sample::identity ... ok\ntest q_sample::limit ... FAILED\n\ntest result: FAILED.";
        assert_eq!(failed_tests(text), ["q_sample::limit"]);
        let failure = Failure { seed: 7, stem: "forward".into(), test: "q_sample::limit".into() };
        let replay = "PROPTEST_RNG_SEED=7 CHECK_SEED=7 cargo test --test forward -- --exact q_sample::limit";
        assert_eq!(failure.replay(&[]), replay);
        let replay = failure.replay(&["--features", "torch"]);
        assert!(replay.contains(" cargo test --features torch --test forward -- "), "{replay}");
    }

    #[test]
    fn the_worst_run_of_a_check_is_kept() {
        let mut worst = BTreeMap::new();
        for (seed, error) in [(1, 1e-13), (2, 8e-13), (3, 2e-13)] {
            keep_worst(&mut worst, [Check { worst: error, ..check("identity") }].into_iter(), seed);
        }
        let (kept, seed) = worst.values().next().unwrap();
        assert_eq!((kept.worst, *seed, worst.len()), (8e-13, 2, 1));
        assert!(closest(&worst).contains("q_sample  identity   0.80  8.0e-13  1.0e-12  2"), "{}", closest(&worst));
    }
}
