//! What the examples share and what is not the idea: figures, files, checkpoints, command lines.
#![allow(dead_code, reason = "each example uses its own part of this module")]

pub mod checkpoint;
pub mod cli;
pub mod contour;
pub mod data;
pub mod files;
pub mod play;
pub mod plot;
#[cfg(feature = "torch")]
pub mod tensors;

use std::path::PathBuf;

/// Where figures go unless `--out` says otherwise.
pub fn figures() -> PathBuf {
    PathBuf::from("target/figures")
}
