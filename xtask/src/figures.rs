//! `cargo xtask figures`.

use anyhow::Result;

use crate::project::Project;

/// Make the figures again, by running the examples
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
