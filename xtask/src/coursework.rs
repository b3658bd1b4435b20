//! `cargo xtask coursework`: hands over to the marker, a program of its own.
//!
//! The marker links the whole library. As a part of this program it would make every `cargo xtask` wait for that.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::project::{self, Project};

/// Mark the exercises of the coursework, and help with them (`cargo xtask coursework --help` says how)
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// What the marker is to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Ends in the marker's exit status: 0 where all that was asked for is right, 1 where not, 2 for usage.
pub fn run(project: &Project, args: &Args) -> Result<()> {
    let manifest = project.root.join("Cargo.toml");
    let mut marker = project.cargo(&["run", "--quiet", "--package", "coursework-marker", "--manifest-path"]);
    marker.arg(manifest).arg("--").arg("--target").arg(&project.target).args(&args.arguments);
    // Folders are named from where the user stands.
    marker.current_dir(std::env::current_dir().context("the current folder is not there")?);
    let status = marker.status().with_context(|| format!("`{}` cannot be run", project::shown(&marker)))?;
    if status.success() {
        return Ok(());
    }
    std::process::exit(status.code().unwrap_or(1))
}
