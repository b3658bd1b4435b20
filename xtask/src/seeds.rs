//! `cargo xtask seeds`.

use anyhow::Result;

use crate::project::Project;

/// Run the tests under many seeds
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
