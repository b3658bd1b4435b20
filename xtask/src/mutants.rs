//! `cargo xtask mutants`.

use anyhow::Result;

use crate::project::Project;

/// Change the code in small ways and see that the tests notice (cargo-mutants)
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
