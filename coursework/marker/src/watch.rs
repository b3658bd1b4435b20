//! Marks again whenever a file is saved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::{Desk, new_seed};

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_millis(300);

/// Goes on until Ctrl-C. Each time has cases of its own, unless there is a seed.
pub fn watch(desk: &Desk, number: Option<usize>, seed: Option<u64>) -> Result<bool> {
    println!("watching {}; Ctrl-C ends it", desk.folder.join("src").display());
    let mut seen = saved(desk)?;
    if let Some(number) = number {
        desk.check(&[number], seed.unwrap_or_else(new_seed))?;
    }
    loop {
        sleep(EVERY);
        let now = saved(desk)?;
        let changed = now.iter().filter(|(path, time)| seen.get(*path) != Some(time));
        let mut numbers: Vec<usize> = match number {
            Some(number) if now != seen => vec![number],
            Some(_) => Vec::new(),
            None => changed.filter_map(|(path, _)| desk.marker.catalogue.number_of(&path.to_string_lossy())).collect(),
        };
        numbers.sort_unstable();
        seen = now;
        if !numbers.is_empty() {
            println!("{}", "─".repeat(60));
            // A file that is half saved may not be there for a moment: that is no reason to end.
            if let Err(error) = desk.check(&numbers, seed.unwrap_or_else(new_seed)) {
                eprintln!("error: {error:#}");
            }
        }
    }
}

/// When each file was saved last.
fn saved(desk: &Desk) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let src = desk.folder.join("src");
    let entries = std::fs::read_dir(&src).with_context(|| format!("{} cannot be read", src.display()))?;
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(rust);
    Ok(paths.filter_map(|path| Some((path.clone(), path.metadata().ok()?.modified().ok()?))).collect())
}
