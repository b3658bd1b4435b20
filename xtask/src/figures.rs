//! `cargo xtask figures`: runs the examples, which draw what the book shows.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

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

/// Make the figures of the book again, by running the examples
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Train little, and write what is trained to target/quick/ instead
    #[arg(long)]
    quick: bool,
    /// Only these examples
    #[arg(value_name = "EXAMPLE")]
    examples: Vec<String>,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    let examples: Vec<&Target> = project.targets("example").collect();
    let known: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    if let Some(unknown) = args.examples.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no example `{unknown}`; the examples are: {}", known.join(", "));
    }
    let wanted = |example: &&Target| args.examples.is_empty() || args.examples.contains(&example.name);
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
    let folder = project.target.join("figures");
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

fn svg_files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "svg"));
    files.sort();
    Ok(files)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e3)
}
