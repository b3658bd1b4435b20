//! `cargo xtask coverage`.

use anyhow::Result;

use crate::project::Project;

/// Measure which lines of src/ the tests reach
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
