//! Where things are, and how other programs are run.

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
    /// The features of the main package.
    pub features: Vec<String>,
}

/// The part of `cargo metadata` that is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    features: std::collections::BTreeMap<String, Vec<String>>,
}

impl Project {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        let xtask = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&xtask).parent().context("xtask/ has no parent folder")?.to_owned();
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(&root)
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be run; install Rust (https://rustup.rs)")?;
        if !output.status.success() {
            bail!("cargo metadata failed in {} ({})", root.display(), output.status);
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")?;
        let package = metadata.packages.into_iter().find(|package| package.name == "literate-diffusion");
        let features = package.context("the workspace has no package literate-diffusion")?.features;
        Ok(Self { root, target: metadata.target_directory, features: features.into_keys().collect() })
    }

    /// Where the checks leave their reports.
    pub fn checks(&self) -> PathBuf {
        self.target.join("checks")
    }

    /// A cargo command, to be run in the root.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(&self.root);
        // `cargo xtask` sets these for itself; they would confuse the packages that are built from here.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
        command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
        command
    }

    /// Whether the torch feature can be built here, or why not.
    pub fn torch(&self) -> Result<(), &'static str> {
        if !self.features.iter().any(|feature| feature == "torch") {
            return Err("this version of the crate has no feature `torch`");
        }
        if std::env::var_os("LIBTORCH").is_some() || self.root.join("libtorch").is_dir() {
            return Ok(());
        }
        Err("no libtorch: LIBTORCH is not set and there is no folder libtorch/")
    }
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// How a command is written in a shell, as far as a reader needs it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let quoted = |argument: &std::ffi::OsStr| {
        let argument = argument.to_string_lossy().into_owned();
        if argument.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"') {
            format!("{argument:?}")
        } else {
            argument
        }
    };
    let variables =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    variables.chain([program]).chain(command.get_args().map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Runs a command with its output on the terminal; fails where it fails. Says which command, and how long it took.
pub fn run(command: &mut Command) -> Result<Duration> {
    let text = shown(command);
    println!("$ {text}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("`{text}` cannot be run"))?;
    let took = start.elapsed();
    if !status.success() {
        bail!("`{text}` failed ({status}, after {:.1} s)", took.as_secs_f64());
    }
    Ok(took)
}
