//! `cargo xtask equations`.

use anyhow::Result;

use crate::project::Project;

/// Print every equation with its checks, worst error and bound; fail where one lacks them
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_project: &Project, _args: &Args) -> Result<()> {
    anyhow::bail!("not written yet")
}
