//! `cargo xtask bench`: how fast things are, against what they are measured by, in one run on one machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::columns::{Columns, number, terminal_width};
use crate::project::{self, Project};

/// `q_sample` may take so many times as long as a copy of as many bytes.
const Q_SAMPLE_TIMES_COPY: f64 = 1.5;
/// The hand-written network is to be so many times as fast as PyTorch.
const TIMES_PYTORCH: f64 = 3.0;

/// Measure speed: the benches, and PyTorch beside them where a Python has it
///
/// Says where a goal is missed, and does not fail for it: on a busy machine times mean little.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has torch, to compare with
    #[arg(long, value_name = "PATH", env = "LITERATE_DIFFUSION_PYTHON")]
    python: Option<PathBuf>,
}

/// One line of the comparison.
#[derive(Debug, PartialEq)]
struct Comparison {
    what: &'static str,
    ours: String,
    theirs: String,
    /// `None` where there was nothing to compare with.
    ratio: Option<f64>,
    goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Comparison {
    fn cells(self) -> [String; 6] {
        let (goal, met) = match self.goal {
            Goal::AtMost(goal) => (format!("at most {goal}"), self.ratio.map(|ratio| ratio <= goal)),
            Goal::AtLeast(goal) => (format!("at least {goal}"), self.ratio.map(|ratio| ratio >= goal)),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not run",
        };
        let ratio = self.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"));
        [self.what.into(), self.ours, self.theirs, ratio, goal, verdict.into()]
    }
}

/// What `benches/s_curve_rate.rs` and `benches/s_curve_pytorch.py` print on their last line (the part that is needed).
#[derive(Debug, PartialEq, Deserialize)]
struct Rates {
    best_train_steps_per_s: f64,
    best_sample_s: f64,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    if let Some(python) = &args.python {
        ensure!(
            project::exists(&python.to_string_lossy(), &["-c", "import torch"]),
            "{} cannot import torch; name a Python that can with --python, or leave it out",
            python.display()
        );
    }
    let mut comparisons = Vec::new();
    project::run(&mut project.cargo(&["bench", "--bench", "forward"]))?;
    comparisons.push(q_sample(&project.target.join("criterion/q_sample"))?);

    let ours = rates(&mut project.cargo(&["bench", "--quiet", "--bench", "s_curve_rate"]))?;
    let theirs = match &args.python {
        Some(python) => Some(rates(Command::new(python).arg("benches/s_curve_pytorch.py").current_dir(&project.root))?),
        None => None,
    };
    comparisons.extend(s_curve(&ours, theirs.as_ref()));

    let mut table = Columns::new(&["what", "ours", "theirs", "ratio", "goal", ""]);
    comparisons.into_iter().for_each(|comparison| table.row(comparison.cells()));
    print!("\n{}", table.text(terminal_width()));
    if theirs.is_none() {
        println!("\nPyTorch: not run (name a Python that has torch with --python PATH)");
    }
    Ok(())
}

/// From what criterion left.
fn q_sample(folder: &Path) -> Result<Comparison> {
    let [ours, copy] = [median_seconds(&folder.join("q_sample"))?, median_seconds(&folder.join("copy"))?];
    Ok(Comparison {
        what: "q_sample of 10,000,000 numbers against a copy of as many bytes",
        ours: format!("{:.1} ms", ours * 1e3),
        theirs: format!("{:.1} ms", copy * 1e3),
        ratio: Some(ours / copy),
        goal: Goal::AtMost(Q_SAMPLE_TIMES_COPY),
    })
}

fn median_seconds(folder: &Path) -> Result<f64> {
    let file = folder.join("new/estimates.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let estimates: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let nanoseconds = estimates["median"]["point_estimate"].as_f64();
    Ok(nanoseconds.with_context(|| format!("{} has no median.point_estimate", file.display()))? * 1e-9)
}

fn s_curve(ours: &Rates, theirs: Option<&Rates>) -> [Comparison; 2] {
    let shown = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let goal = Goal::AtLeast(TIMES_PYTORCH);
    [
        Comparison {
            what: "training steps/s of the classic S-curve against PyTorch",
            ours: format!("{:.0} /s", ours.best_train_steps_per_s),
            theirs: shown(theirs.map(|theirs| format!("{:.0} /s", theirs.best_train_steps_per_s))),
            ratio: theirs.map(|theirs| ours.best_train_steps_per_s / theirs.best_train_steps_per_s),
            goal,
        },
        Comparison {
            what: "sampling 10,000 points in 100 steps against PyTorch",
            ours: format!("{} s", number(ours.best_sample_s)),
            theirs: shown(theirs.map(|theirs| format!("{} s", number(theirs.best_sample_s)))),
            ratio: theirs.map(|theirs| theirs.best_sample_s / ours.best_sample_s),
            goal,
        },
    ]
}

/// Runs a program, shows what it prints, and reads its last line.
fn rates(command: &mut Command) -> Result<Rates> {
    println!("\n$ {}", project::shown(command));
    let output = project::output(command.stderr(Stdio::inherit()))?;
    let output = String::from_utf8_lossy(&output);
    print!("{output}");
    parse_rates(&output).with_context(|| format!("what `{}` prints is not as expected", project::shown(command)))
}

fn parse_rates(output: &str) -> Result<Rates> {
    let last = output.lines().rfind(|line| !line.trim().is_empty()).context("it printed nothing")?;
    let rates: Rates = serde_json::from_str(last).context("its last line is not the JSON of its rates")?;
    ensure!(
        rates.best_train_steps_per_s > 0.0 && rates.best_sample_s > 0.0,
        "a rate must be above 0, but is not: {last}"
    );
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Rates = Rates { best_train_steps_per_s: 2000.0, best_sample_s: 0.5 };
    const THEIRS: Rates = Rates { best_train_steps_per_s: 500.0, best_sample_s: 1.0 };

    #[test]
    fn ratios_are_held_to_their_goals() {
        let [train, sample] = s_curve(&OURS, Some(&THEIRS)).map(Comparison::cells);
        assert_eq!(train[1..], ["2000 /s", "500 /s", "4.00", "at least 3", "met"]);
        assert_eq!(sample[1..], ["0.500 s", "1.000 s", "2.00", "at least 3", "MISSED"]);
    }

    #[test]
    fn what_was_not_run_is_said() {
        let [train, _] = s_curve(&OURS, None).map(Comparison::cells);
        assert_eq!(train[2..], ["–", "–", "at least 3", "not run"]);
    }

    #[test]
    fn rates_are_the_last_line() {
        let line = r#"{"best_train_steps_per_s": 2000.0, "best_sample_s": 0.5, "torch": "2.13"}"#;
        assert_eq!(parse_rates(&format!("2000 steps/s\n{line}\n\n")).unwrap(), OURS);
        assert!(parse_rates("").unwrap_err().to_string().contains("printed nothing"));
        assert!(parse_rates("done").unwrap_err().to_string().contains("not the JSON"));
        assert!(parse_rates(&line.replace("0.5", "0")).unwrap_err().to_string().contains("above 0"));
    }

    #[test]
    fn criterion_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, nanoseconds) in [("q_sample", 6e7), ("copy", 3e7)] {
            let new = folder.path().join(name).join("new");
            std::fs::create_dir_all(&new).unwrap();
            let estimates = serde_json::json!({ "median": { "point_estimate": nanoseconds } });
            std::fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
        }
        let cells = q_sample(folder.path()).unwrap().cells();
        assert_eq!(cells[1..], ["60.0 ms", "30.0 ms", "2.00", "at most 1.5", "MISSED"]);
        std::fs::write(folder.path().join("copy/new/estimates.json"), "{}").unwrap();
        assert!(q_sample(folder.path()).unwrap_err().to_string().contains("copy/new/estimates.json has no median"));
    }
}
