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

use std::error::Error;
use std::path::{Path, PathBuf};

/// Where figures go unless `--out` says otherwise.
pub fn figures() -> PathBuf {
    PathBuf::from("target/figures")
}

/// The JSON of a long run, by its name in `book/src/results`.
pub fn result(name: &str) -> Result<serde_json::Value, Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/results").join(format!("{name}.json"));
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read ({error})", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{} is no JSON ({error})", path.display()))?)
}

/// What the system calls its processor, or else the kind that the program was built for.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let built_for = || format!("{} on {}", std::env::consts::ARCH, std::env::consts::OS);
    name.map_or_else(built_for, |(_, name)| name.trim().to_owned())
}
