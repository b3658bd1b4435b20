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
/// The tests that run built examples, which are not built here.
const OF_EXAMPLES: [&str; 2] = ["image_examples", "s_curve_examples"];

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
    segments: Vec<Segment>,
}

/// From here on to the next: line, column, count, whether it has a count, whether it begins a region, whether that is a
/// gap.
#[derive(Clone, Copy, Deserialize)]
#[expect(dead_code, reason = "the column holds its place")]
struct Segment(u64, u64, u64, bool, bool, bool);

impl Segment {
    fn line(self) -> u64 {
        self.0
    }

    /// How often it was run; none for what is no code.
    fn count(self) -> Option<u64> {
        self.3.then_some(self.2)
    }

    /// Whether a piece of code begins here.
    fn begins_code(self) -> bool {
        self.3 && self.4 && !self.5
    }
}

/// A file of `src/`.
#[derive(Debug, PartialEq)]
struct Module {
    name: String,
    /// How many lines have code.
    lines: usize,
    /// Those of them that were never run.
    missed: Vec<u64>,
}

pub fn run(project: &Project, _args: &Args) -> Result<()> {
    ensure!(
        project::exists("cargo", &["llvm-cov", "--version"]),
        "cargo-llvm-cov is not installed; install it with `cargo install --locked cargo-llvm-cov`"
    );
    let out = project.target.join("coverage.json");
    let mut command = project.cargo(&["llvm-cov", "--json", "--output-path"]);
    command.arg(&out).arg("--lib");
    for test in project.targets("test").filter(|test| !OF_EXAMPLES.contains(&test.name.as_str())) {
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
        let lines = lines(&file.segments);
        let missed = lines.iter().filter(|(_, count)| *count == 0).map(|(line, _)| *line).collect();
        modules.push(Module { name: name.display().to_string(), lines: lines.len(), missed });
    }
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    ensure!(!modules.is_empty(), "it has no file of src/");
    Ok(modules)
}

/// The lines with code, and how often each was run: the most often run piece of code that it holds, as
/// `llvm-cov show` counts.
///
/// The totals that LLVM gives with them are not of use here. They take the best single instance of a generic function, and
/// call a line missed that only another one runs.
fn lines(segments: &[Segment]) -> Vec<(u64, u64)> {
    let mut lines = Vec::new();
    let mut before: Option<Segment> = None;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return lines };
    for line in first.line()..=last.line() {
        let here: Vec<Segment> = segments.iter().copied().filter(|segment| segment.line() == line).collect();
        let begun = here.iter().filter(|segment| segment.begins_code()).filter_map(|segment| segment.count());
        let counts = before.and_then(Segment::count).into_iter().chain(begun);
        lines.extend(counts.max().map(|count| (line, count)));
        before = here.last().copied().or(before);
    }
    lines
}

fn percent(lines: usize, missed: usize) -> f64 {
    if lines == 0 { 100.0 } else { 100.0 * (lines - missed) as f64 / lines as f64 }
}

fn all(modules: &[Module]) -> (usize, usize) {
    let sum = |of: fn(&Module) -> usize| modules.iter().map(of).sum();
    (sum(|module| module.lines), sum(|module| module.missed.len()))
}

fn table(modules: &[Module]) -> Columns {
    let mut table = Columns::new(&["file", "lines", "not reached", "percent", "which"]);
    let mut row = |name: &str, lines: usize, missed: usize, which: &[u64]| {
        let more = if which.len() > SHOWN { ", …" } else { "" };
        let which: Vec<String> = which.iter().take(SHOWN).map(u64::to_string).collect();
        table.row([
            name.into(),
            lines.to_string(),
            missed.to_string(),
            format!("{:.2}", percent(lines, missed)),
            which.join(", ") + more,
        ]);
    };
    for Module { name, lines, missed } in modules {
        row(name, *lines, missed.len(), missed);
    }
    let (lines, missed) = all(modules);
    row("all", lines, missed, &[]);
    table
}

fn judge(modules: &[Module]) -> Result<()> {
    let mut problems = Vec::new();
    for module in modules.iter().filter(|module| project::is_mathematics(&module.name)) {
        let percent = percent(module.lines, module.missed.len());
        if percent < MODULE {
            problems.push(format!(
                "{}: the tests reach {percent:.2} % of the lines, but {MODULE} % are expected; see the lines above",
                module.name
            ));
        }
    }
    let (lines, missed) = all(modules);
    let percent = percent(lines, missed);
    if percent < ALL {
        problems.push(format!("src/: the tests reach {percent:.2} % of the lines, but {ALL} % are expected"));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An export of one file of three lines of code, the middle one never run.
    fn export(file: &str) -> String {
        let segments = serde_json::json!([
            [1, 1, 5, true, true, false],
            [1, 20, 0, true, true, false],
            [3, 1, 5, true, true, false],
            [3, 20, 0, false, false, false]
        ]);
        serde_json::json!({ "data": [{ "files": [
            { "filename": file, "segments": segments },
            { "filename": "/project/tests/forward.rs", "segments": [] },
        ] }] })
        .to_string()
    }

    #[test]
    fn lines_are_counted() {
        // Code from line 1; a branch of line 2 that goes on in line 3; a gap, and code again; after line 6 none.
        let segments = [
            Segment(1, 1, 5, true, true, false),
            Segment(2, 9, 0, true, true, false),
            Segment(4, 2, 0, true, true, true),
            Segment(5, 1, 5, true, true, false),
            Segment(6, 2, 0, false, false, false),
            Segment(9, 1, 0, true, true, false),
            Segment(9, 9, 0, false, false, false),
        ];
        assert_eq!(lines(&segments), [(1, 5), (2, 5), (3, 0), (4, 0), (5, 5), (6, 5), (9, 0)]);
        assert_eq!(lines(&[]), []);
    }

    #[test]
    fn files_of_src_are_read() {
        let modules = modules(&export("/project/src/forward.rs"), Path::new("/project")).unwrap();
        assert_eq!(modules, [Module { name: "src/forward.rs".into(), lines: 3, missed: vec![2] }]);
        assert!(super::modules("{}", Path::new("/project")).is_err());
    }

    #[test]
    fn mathematics_needs_every_line() {
        let judged =
            |name: &str, missed: &[u64]| judge(&[Module { name: name.into(), lines: 10, missed: missed.to_vec() }]);
        judged("src/forward.rs", &[]).unwrap();
        let error = judged("src/forward.rs", &[8]).unwrap_err().to_string();
        assert!(
            error.starts_with("src/forward.rs: the tests reach 90.00 % of the lines, but 100 % are expected"),
            "{error}"
        );
        let error = judged("src/torch/unet.rs", &[8]).unwrap_err().to_string();
        assert_eq!(error, "src/: the tests reach 90.00 % of the lines, but 95 % are expected");
    }
}
