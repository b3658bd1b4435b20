//! `export`: weights alone, in half precision, as those are that come with the project.

use std::path::PathBuf;

use clap::Args;
use literate_diffusion::torch::tch::Kind;

use super::model::Trained;
use super::{Outcome, out};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long, help = format!("A checkpoint, of which it takes the running average, or a file of weights [default: {}]",
                               out().join("checkpoint.safetensors").display()))]
    weights: Option<PathBuf>,
    /// The file to write
    #[arg(long)]
    to: PathBuf,
}

pub fn export(arguments: &Arguments) -> Outcome<()> {
    let from = arguments.weights.clone().unwrap_or_else(|| out().join("checkpoint.safetensors"));
    Trained::open(&from)?.save(&arguments.to, Kind::Half)?;
    let bytes = std::fs::metadata(&arguments.to)?.len();
    println!("{} has {:.2} MB", arguments.to.display(), bytes as f64 / 1e6);
    Ok(())
}
