//! `cargo xtask figures`: runs the examples, which draw what the book shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::columns::{Columns, terminal_width};
use crate::project::{self, Project, Target};

/// The largest SVG that a page of the book can bear.
const MAX_BYTES: u64 = 150_000;

/// Examples that train for long, and how they are told to be quick. All others are quick as they are.
const SLOW: [(&str, &[&str]); 4] = [
    ("s_curve", &["--epochs", "20", "--out", "target/quick"]),
    ("s_curve_torch", &["train", "--epochs", "4", "--out", "target/quick"]),
    ("mnist", &quick_training("target/quick/mnist")),
    ("cifar100", &quick_training("target/quick/cifar100")),
];

/// A small network, one pass over the data, four samples.
const fn quick_training(out: &str) -> [&str; 12] {
    ["train", "--widths", "8,8", "--batch", "256", "--epochs", "1", "--samples", "4", "--overwrite", "--out", out]
}

/// How far a number of the book may be from the one that an example writes, as a share of the larger: figures keep six
/// digits, and the last bits of a sum or of an exponential differ among processors.
const TOLERANCE: f64 = 1e-5;
/// The same beside a number that is exactly 0, of which there is no share: a few roundings of numbers up to 10.
const NEXT_TO_ZERO: f64 = 1e-14;
/// Numbers that would be 0 if nothing were rounded. They have no digit that another processor must find again.
const ROUNDING: [&str; 9] = [
    // Means of numbers on both sides of 0.
    "guidance-numbers.json/mistakes/right/0/mean",
    "objective-numbers.json/pixels/symmetric/mean",
    "objective-numbers.json/pixels/symmetric/mean_at_end",
    // One number by two routes, and how far apart they end.
    "schedule-numbers.json/digits/double",
    "schedule-numbers.json/stretched/end_ratio_from_one",
    "score-numbers.json/losses/right/explicit",
    "variants-numbers.json/flow/same/euler",
    "variants-numbers.json/flow/same/turns",
    "variants-numbers.json/mistakes/both_ways",
];
/// What such a number stays below: the largest of them is 3e-13.
const MOST_ROUNDING: f64 = 1e-12;

/// Make the figures of the book again, by running the examples
///
/// Without names, those that need libtorch are run with --quick only: the book's figures of long trainings are in
/// book/src/results.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Train little, and write what is trained to target/quick/ instead
    #[arg(long)]
    quick: bool,
    /// Draw nothing: compare the numbers in the book with those that the examples wrote last (but for slow examples)
    #[arg(long, conflicts_with_all = ["quick", "examples"])]
    check: bool,
    /// Only these examples
    #[arg(value_name = "EXAMPLE")]
    examples: Vec<String>,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    if args.check {
        return check(&project.root.join("book/src/figures"), &project.figures());
    }
    let examples: Vec<&Target> = project.targets("example").collect();
    let known: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    if let Some(unknown) = args.examples.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no example `{unknown}`; the examples are: {}", known.join(", "));
    }
    let by_itself = |example: &Target| args.examples.is_empty() && (args.quick || example.required_features.is_empty());
    let wanted = |example: &&Target| by_itself(example) || args.examples.contains(&example.name);
    for example in examples.into_iter().filter(wanted) {
        project::run(&mut command(project, example, args.quick))?;
    }
    list(project)
}

/// The command that runs an example.
pub fn command(project: &Project, example: &Target, quick: bool) -> Command {
    let mut command = project.cargo(&["run", "--quiet", "--release"]);
    if !example.required_features.is_empty() {
        command.args(["--features", &example.required_features.join(",")]);
    }
    command.args(["--example", &example.name]);
    let slow = SLOW.iter().find(|(name, _)| *name == example.name);
    if let Some((_, arguments)) = slow.filter(|_| quick) {
        command.arg("--").args(*arguments);
    }
    command
}

/// Lists the figures with their sizes; fails for one that is too large.
pub fn list(project: &Project) -> Result<()> {
    let folder = project.figures();
    let mut table = Columns::new(&["KB", "figure"]);
    let mut too_large = Vec::new();
    for file in svg_files(&folder)? {
        let bytes = file.metadata()?.len();
        let name = file.strip_prefix(&project.root).unwrap_or(&file).display().to_string();
        if bytes > MAX_BYTES {
            too_large.push(format!("{name} has {} KB", kilobytes(bytes)));
        }
        table.row([kilobytes(bytes), name]);
    }
    print!("\n{}", table.text(terminal_width()));
    if !too_large.is_empty() {
        bail!("{}, but at most {} KB are allowed; draw fewer points", too_large.join(" and "), kilobytes(MAX_BYTES));
    }
    Ok(())
}

/// Compares the JSON of the book's figures with what the examples wrote.
fn check(book: &Path, made: &Path) -> Result<()> {
    let mut compared = 0;
    let mut problems = Vec::new();
    for file in files(book, "json")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SLOW.iter().any(|(example, _)| name.starts_with(&format!("{example}-"))) {
            continue;
        }
        let fresh = made.join(&name);
        if !fresh.exists() {
            problems.push(format!("{name}: no example wrote it"));
            continue;
        }
        compared += 1;
        problems.extend(difference(&read(&file)?, &read(&fresh)?, &name));
    }
    ensure!(
        problems.is_empty(),
        "the book does not show what the examples draw; run `cargo xtask figures` and `cargo xtask book --figures`:\n{}",
        problems.join("\n")
    );
    println!(
        "the numbers of {compared} figures of the book are those that the examples wrote, within {TOLERANCE:e} of each"
    );
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

/// The first place where two values differ by more than the tolerance; `at` is where they stand: the file, and the keys.
fn difference(book: &Value, made: &Value, at: &str) -> Option<String> {
    match (book, made) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            (!near(a, b, at)).then(|| format!("at {at} the book has {a}, the example {b}"))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(a, b, &format!("{at}/{i}")))
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(value, &b[key], &format!("{at}/{key}")))
        }
        (a, b) => (a != b).then(|| format!("at {at} the book has {}, the example {}", short(a), short(b))),
    }
}

fn near(a: f64, b: f64, at: &str) -> bool {
    let largest = a.abs().max(b.abs());
    if ROUNDING.contains(&at) {
        return largest <= MOST_ROUNDING;
    }
    let allowed = if a == 0.0 || b == 0.0 { NEXT_TO_ZERO } else { TOLERANCE * largest };
    (a - b).abs() <= allowed
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => format!("the keys {:?}", map.keys().collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

fn svg_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    files(folder, "svg")
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rounding_is_no_difference() {
        assert_eq!(difference(&json!({ "x": [1.00000, 2e5] }), &json!({ "x": [1.000001, 2.00001e5] }), ""), None);
    }

    /// However small they are, two numbers may differ by a share only.
    #[test]
    fn a_small_number_is_as_exact_as_a_large_one() {
        let compare = |a: f64, b: f64| difference(&json!([a]), &json!([b]), "kl.json");
        assert_eq!(compare(2.5e-19, 2.500001e-19), None);
        assert!(compare(2.5e-19, 2.6e-19).unwrap().starts_with("at kl.json/0 the book has"));
        assert_eq!(compare(0.0, -1e-17), None);
        assert!(compare(0.0, 1e-9).is_some());
    }

    /// A number that is nothing but rounding may be another one, but no larger than rounding.
    #[test]
    fn rounding_alone_need_not_be_found_again() {
        let name = "score-numbers.json";
        let loss = |loss: f64| json!({ "losses": { "right": { "explicit": loss } } });
        assert_eq!(difference(&loss(4.7e-32), &loss(1e-31), name), None);
        assert!(difference(&loss(4.7e-32), &loss(1e-9), name).is_some());
        assert!(difference(&loss(4.7e-32), &loss(1e-31), "another.json").is_some());
    }

    #[test]
    fn a_difference_is_said_with_its_place() {
        let found = difference(&json!({ "x": [1.0, 2.0] }), &json!({ "x": [1.0, 2.1] }), "");
        assert_eq!(found.as_deref(), Some("at /x/1 the book has 2, the example 2.1"));
        let found = difference(&json!({ "x": [1.0] }), &json!({ "x": [] }), "");
        assert_eq!(found.as_deref(), Some("at /x the book has a list of 1, the example a list of 0"));
        let found = difference(&json!({ "label": "a" }), &json!({ "label": "b" }), "");
        assert_eq!(found.as_deref(), Some("at /label the book has \"a\", the example \"b\""));
    }

    #[test]
    fn a_figure_that_no_example_wrote_is_a_problem() {
        let (book, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(book.path().join("forward-paths.json"), "{}").unwrap();
        std::fs::write(book.path().join("s_curve-loss.json"), "{}").unwrap();
        let error = check(book.path(), made.path()).unwrap_err().to_string();
        assert!(error.ends_with("\nforward-paths.json: no example wrote it"), "{error}");
        std::fs::write(made.path().join("forward-paths.json"), "{}").unwrap();
        check(book.path(), made.path()).unwrap();
    }
}
