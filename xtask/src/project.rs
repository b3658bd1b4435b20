//! Where things are, and how other programs are run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The folder of the project and what cargo says of it.
pub struct Project {
    /// The repository's root.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// The main package.
    pub package: Package,
    /// The names of the other packages of the workspace that have tests.
    pub others: Vec<String>,
}

/// A package, as `cargo metadata` describes it (the part that is needed).
#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub features: BTreeMap<String, Vec<String>>,
    pub targets: Vec<Target>,
}

/// A library, test, example or bench.
#[derive(Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
    /// Whether `cargo test` tests it.
    #[serde(default)]
    pub test: bool,
    #[serde(default, rename = "required-features")]
    pub required_features: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

impl Project {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        let xtask = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&xtask).parent().context("xtask/ has no parent folder")?.to_owned();
        let mut command = Command::new(cargo());
        command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(&root).stderr(Stdio::inherit());
        let metadata: Metadata =
            serde_json::from_slice(&output(&mut command)?).context("what cargo metadata says is not as expected")?;
        let main = |package: &Package| package.name == "literate-diffusion";
        let (packages, others): (Vec<_>, Vec<_>) = metadata.packages.into_iter().partition(main);
        let package = packages.into_iter().next().context("the workspace has no package literate-diffusion")?;
        let tested = |package: &Package| package.targets.iter().any(|target| target.test);
        let others = others.into_iter().filter(tested).map(|package| package.name).collect();
        Ok(Self { root, target: metadata.target_directory, package, others })
    }

    /// Where the checks leave their reports.
    pub fn checks(&self) -> PathBuf {
        self.target.join("checks")
    }

    /// Where the examples draw: below the folder in which they are run, also with a target folder elsewhere.
    pub fn figures(&self) -> PathBuf {
        self.root.join("target/figures")
    }

    /// A cargo command, to be run in the root.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// The targets of a kind ("test", "example", "bench") that can be built here.
    pub fn targets(&self, kind: &str) -> impl Iterator<Item = &Target> {
        let of_kind = move |target: &&Target| target.kind.iter().any(|k| k == kind);
        let torch = self.torch().is_ok();
        self.package.targets.iter().filter(of_kind).filter(move |target| torch || target.required_features.is_empty())
    }

    /// Fails, with the reason, where the torch feature cannot be built.
    pub fn torch(&self) -> Result<(), &'static str> {
        if !self.package.features.contains_key("torch") {
            return Err("this version of the crate has no feature `torch`");
        }
        // .cargo/config.toml sets LIBTORCH to the project's own folder, whether or not there is one.
        let folder = std::env::var_os("LIBTORCH").map_or_else(|| self.root.join("libtorch"), PathBuf::from);
        if !folder.join("lib").is_dir() {
            return Err("there is no libtorch; `cargo xtask setup` brings it");
        }
        cpp_compiler()
    }
}

/// Fails, with the reason, where the bindings to libtorch cannot be compiled.
pub fn cpp_compiler() -> Result<(), &'static str> {
    // That of CXX where it is set, as the package that compiles the bindings has it; it may be `ccache g++`.
    let set = std::env::var("CXX").ok();
    let mut words = set.as_deref().unwrap_or("c++").split_whitespace();
    let program = words.next().unwrap_or_default();
    if exists(program, &words.chain(["--version"]).collect::<Vec<_>>()) {
        return Ok(());
    }
    Err(match set {
        Some(_) => {
            "the C++ compiler that the variable CXX names cannot be run, and building the bindings needs one; correct CXX"
        }
        None => "there is no C++ compiler (c++), which building the bindings needs; install g++ or clang, or set CXX",
    })
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// How a command is written in a shell.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let variables =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value?))));
    variables.chain([quoted(program)]).chain(command.get_args().map(quoted)).collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &OsStr) -> String {
    let argument = argument.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_=./,:+@".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) { argument.into() } else { format!("'{argument}'") }
}

/// Runs a command with its output on the terminal, after its text. Fails where it fails.
pub fn run(command: &mut Command) -> Result<Duration> {
    let text = shown(command);
    println!("\n$ {text}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("`{text}` cannot be run"))?;
    if !status.success() {
        bail!("`{text}` failed ({status})");
    }
    Ok(start.elapsed())
}

/// The standard output of a command. Fails where it fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let text = shown(command);
    let output = command.output().with_context(|| format!("`{text}` cannot be run"))?;
    if !output.status.success() {
        let said = [output.stderr, output.stdout].concat();
        bail!("`{text}` failed ({}):\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(output.stdout)
}

/// Whether a file of `src/` is of the mathematics: all but the twin, which is checked against it, and the loaders.
pub fn is_mathematics(file: &str) -> bool {
    !["src/torch", "src/data"].iter().any(|other| file.starts_with(other))
}

/// Fails, with the reason, where the Python track of the coursework cannot be tested.
pub fn numpy() -> Result<(), &'static str> {
    // That of PYTHON where it is set, as the test of it has it.
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    if exists(&python, &["-c", "import numpy"]) {
        return Ok(());
    }
    Err("no NumPy; install it for python3, or let the variable PYTHON name a Python that has it")
}

/// Whether a program can be run.
pub fn exists(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--", "a b"]).env("CHECK_SEED", "7").env_remove("OTHER");
        assert_eq!(shown(&command), "CHECK_SEED=7 cargo test -- 'a b'");
    }

    #[test]
    fn a_command_that_fails_is_an_error_with_its_text() {
        let error = run(Command::new("false").arg("x")).unwrap_err().to_string();
        assert!(error.starts_with("`false x` failed"), "{error}");
        let error = run(&mut Command::new("/no/such/program")).unwrap_err().to_string();
        assert_eq!(error, "`program` cannot be run");
    }

    #[test]
    fn the_project_is_found() {
        let project = Project::find().unwrap();
        assert!(project.root.join("src/lib.rs").is_file());
        assert!(project.others.iter().any(|name| name == "xtask"));
        assert!(project.targets("test").any(|target| target.name == "forward"));
    }
}
