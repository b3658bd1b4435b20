//! What a student has tried so far: a file in the student's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const FILE: &str = "progress.json";

/// How often each exercise was tried, and what was shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// By number: how often `check` found something wrong, or all right.
    #[serde(default)]
    pub attempts: BTreeMap<usize, u32>,
    /// By number: how many hints were shown, 0 to 3.
    #[serde(default)]
    pub hints: BTreeMap<usize, usize>,
    /// By number: whether the solution was shown.
    #[serde(default)]
    pub solutions: BTreeMap<usize, bool>,
}

impl Progress {
    /// Empty where there is no file yet.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is not as expected; remove it to start anew", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        write_whole(&folder.join(FILE), &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Writes to a temporary name, syncs and renames.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    let write = || {
        fs::write(&part, text)?;
        fs::File::open(&part)?.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
