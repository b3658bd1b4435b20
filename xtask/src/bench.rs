//! `cargo xtask bench`.

use anyhow::Result;

use crate::project::Project;

/// Measure speed: the benches, and PyTorch beside them where a Python has it
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
