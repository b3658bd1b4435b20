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

/// What the system calls its processor, or else the kind that the program was built for.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let built_for = || format!("{} on {}", std::env::consts::ARCH, std::env::consts::OS);
    name.map_or_else(built_for, |(_, name)| name.trim().to_owned())
}
