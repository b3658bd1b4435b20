//! `cargo xtask test`.

use anyhow::Result;

use crate::project::Project;

/// Run everything that this machine can: tests, examples, the table of equations
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
