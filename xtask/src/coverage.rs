//! `cargo xtask coverage`: which lines of `src/` the tests reach.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::columns::{Columns, terminal_width};
use crate::project::{self, Project};

/// What all of `src/` needs, in percent of its lines.
const ALL: f64 = 95.0;
/// What each mathematical module needs.
const MODULE: f64 = 100.0;
/// Not mathematics: the twin, which is covered where torch is, and the loaders.
const NOT_MATHEMATICS: [&str; 2] = ["src/torch", "src/data"];

/// The tests that run built examples, which are not built here.
const OF_EXAMPLES: &str = "image_examples";

/// How many lines are shown of a file.
const SHOWN: usize = 12;

/// Measure which lines of src/ the tests reach (cargo-llvm-cov); 100 % of the mathematics, 95 % of all
#[derive(Debug, clap::Args)]
pub struct Args {}

/// What `cargo llvm-cov --json` says (the part that is needed).
#[derive(Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: PathBuf,
    summary: Summary,
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

/// Line, column, count, whether it has a count, whether it begins a region, whether that is a gap.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the column holds its place")]
struct Segment(u64, u64, u64, bool, bool, bool);

impl Lines {
    fn percent(self) -> f64 {
        if self.count == 0 { 100.0 } else { 100.0 * self.covered as f64 / self.count as f64 }
    }
}

/// A file of `src/`.
#[derive(Debug, PartialEq)]
struct Module {
    name: String,
    lines: Lines,
    /// Lines at which a piece of code begins that was never run.
    missed: Vec<u64>,
}

impl Module {
    fn is_mathematics(&self) -> bool {
        !NOT_MATHEMATICS.iter().any(|prefix| self.name.starts_with(prefix))
    }
}

pub fn run(project: &Project, _args: &Args) -> Result<()> {
    ensure!(
        project::exists("cargo", &["llvm-cov", "--version"]),
        "cargo-llvm-cov is not installed; install it with `cargo install --locked cargo-llvm-cov`"
    );
    let out = project.target.join("coverage.json");
    let mut command = project.cargo(&["llvm-cov", "--json", "--output-path"]);
    command.arg(&out).arg("--lib");
    for test in project.targets("test").filter(|test| test.name != OF_EXAMPLES) {
        command.args(["--test", &test.name]);
    }
    if project.torch().is_ok() {
        command.args(["--features", "torch"]);
    }
    if let Some((cov, profdata)) = llvm_tools()? {
        command.env("LLVM_COV", cov).env("LLVM_PROFDATA", profdata);
    }
    project::run(&mut command)?;
    let text = std::fs::read_to_string(&out).with_context(|| format!("{} cannot be read", out.display()))?;
    let modules = modules(&text, &project.root).with_context(|| format!("{} is not as expected", out.display()))?;
    print!("{}", table(&modules).text(terminal_width()));
    judge(&modules)
}

/// Where LLVM's tools are, unless cargo-llvm-cov finds them by itself.
fn llvm_tools() -> Result<Option<(PathBuf, PathBuf)>> {
    if std::env::var_os("LLVM_COV").is_some() && std::env::var_os("LLVM_PROFDATA").is_some() {
        return Ok(None);
    }
    let rustc = |arguments: &[&str]| -> Result<String> {
        Ok(String::from_utf8_lossy(&project::output(Command::new("rustc").args(arguments))?).into_owned())
    };
    let version = rustc(&["-vV"])?;
    let line =
        |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let component =
        Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib").join(line("host:")).join("bin/llvm-cov");
    if component.is_file() {
        return Ok(None);
    }
    let major = line("LLVM version:").split('.').next().unwrap_or_default().to_owned();
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin"));
    let tools = (debian.join("llvm-cov"), debian.join("llvm-profdata"));
    if tools.0.is_file() && tools.1.is_file() {
        return Ok(Some(tools));
    }
    bail!(
        "LLVM's coverage tools are missing; install them with `rustup component add llvm-tools` or Debian's package \
         llvm-{major}, or say where they are with LLVM_COV and LLVM_PROFDATA"
    )
}

/// The files of `src/`, in alphabetical order.
fn modules(export: &str, root: &Path) -> Result<Vec<Module>> {
    let export: Export = serde_json::from_str(export)?;
    let mut modules = Vec::new();
    for file in export.data.into_iter().flat_map(|data| data.files) {
        let Ok(name) = file.filename.strip_prefix(root) else { continue };
        if !name.starts_with("src") {
            continue;
        }
        let never_run =
            |&&Segment(_, _, count, counted, begins, gap): &&Segment| count == 0 && counted && begins && !gap;
        let mut missed: Vec<u64> = file.segments.iter().filter(never_run).map(|segment| segment.0).collect();
        missed.dedup();
        modules.push(Module { name: name.display().to_string(), lines: file.summary.lines, missed });
    }
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    ensure!(!modules.is_empty(), "it has no file of src/");
    Ok(modules)
}

fn all(modules: &[Module]) -> Lines {
    let sum = |of: fn(Lines) -> u64| modules.iter().map(|module| of(module.lines)).sum();
    Lines { count: sum(|lines| lines.count), covered: sum(|lines| lines.covered) }
}

fn table(modules: &[Module]) -> Columns {
    let mut table =
        Columns::new(&["file", "lines", "not reached", "percent", "code that was never run begins in lines"]);
    let mut row = |name: &str, lines: Lines, missed: &[u64]| {
        let more = if missed.len() > SHOWN { ", …" } else { "" };
        let missed: Vec<String> = missed.iter().take(SHOWN).map(u64::to_string).collect();
        table.row([
            name.into(),
            lines.count.to_string(),
            (lines.count - lines.covered).to_string(),
            format!("{:.2}", lines.percent()),
            missed.join(", ") + more,
        ]);
    };
    for module in modules {
        row(&module.name, module.lines, &module.missed);
    }
    row("all", all(modules), &[]);
    table
}

fn judge(modules: &[Module]) -> Result<()> {
    let mut problems = Vec::new();
    for Module { name, lines, .. } in modules.iter().filter(|module| module.is_mathematics()) {
        if lines.percent() < MODULE {
            problems.push(format!(
                "{name}: the tests reach {:.2} % of the lines, but {MODULE} % are expected; see the lines above",
                lines.percent()
            ));
        }
    }
    let percent = all(modules).percent();
    if percent < ALL {
        problems.push(format!("src/: the tests reach {percent:.2} % of the lines, but {ALL} % are expected"));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An export of one file, with one region of line 8 that was not run.
    fn export(file: &str, covered: u64) -> String {
        let segments = serde_json::json!([
            [1, 1, 5, true, true, false],
            [8, 1, 0, true, true, false],
            [9, 1, 0, true, true, true]
        ]);
        let lines = serde_json::json!({ "count": 10, "covered": covered, "percent": 0.0 });
        serde_json::json!({ "data": [{ "files": [
            { "filename": file, "summary": { "lines": lines }, "segments": segments },
            { "filename": "/home/tests/forward.rs", "summary": { "lines": lines }, "segments": [] },
        ] }] })
        .to_string()
    }

    #[test]
    fn files_of_src_are_read() {
        let modules = modules(&export("/home/src/forward.rs", 9), Path::new("/home")).unwrap();
        let expected =
            Module { name: "src/forward.rs".into(), lines: Lines { count: 10, covered: 9 }, missed: vec![8] };
        assert_eq!(modules, [expected]);
        assert!(modules[0].lines.percent() == 90.0 && super::modules("{}", Path::new("/home")).is_err());
    }

    #[test]
    fn mathematics_needs_every_line() {
        let judged = |file, covered| judge(&modules(&export(file, covered), Path::new("/home")).unwrap());
        judged("/home/src/forward.rs", 10).unwrap();
        let error = judged("/home/src/forward.rs", 9).unwrap_err().to_string();
        assert!(
            error.starts_with("src/forward.rs: the tests reach 90.00 % of the lines, but 100 % are expected"),
            "{error}"
        );
        let error = judged("/home/src/torch/unet.rs", 9).unwrap_err().to_string();
        assert_eq!(error, "src/: the tests reach 90.00 % of the lines, but 95 % are expected");
    }
}
