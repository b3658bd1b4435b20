//! The Python track: cases are handed out in a file, and outputs are marked that were written to another.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exercises::Function;
use crate::judge::{Finding, Outcome, judge};
use crate::marking::{Marked, Marker};
use crate::progress::write_whole;

/// Writes the cases of all exercises.
pub fn hand_out(marker: &Marker, seed: u64, path: &Path) -> Result<()> {
    let mut exercises = serde_json::Map::new();
    for exercise in &marker.exercises {
        let cases: Vec<Value> = exercise.cases(seed)?.iter().map(|case| case.to_json()).collect();
        exercises.insert(exercise.number.to_string(), cases.into());
    }
    write_whole(path, &(serde_json::to_string(&json!({ "seed": seed, "exercises": exercises }))? + "\n"))
}

/// What `run.py` writes.
#[derive(Deserialize)]
struct File {
    seed: u64,
    /// By number: an outcome for each case.
    exercises: BTreeMap<usize, Vec<Value>>,
}

/// Marks a file of outputs. With `seed`, it has to be of the cases of that seed. Returns the seed too.
pub fn mark(marker: &Marker, path: &Path, seed: Option<u64>) -> Result<(u64, Vec<Marked>)> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let file: File = serde_json::from_str(&text)
        .with_context(|| format!("{} is not what run.py writes; run it again", path.display()))?;
    if let Some(seed) = seed.filter(|&seed| seed != file.seed) {
        bail!(
            "{} is of seed {}, and seed {seed} was asked for: hand out the cases of that one",
            path.display(),
            file.seed
        );
    }
    let mut marked = Vec::new();
    for exercise in &marker.exercises {
        let cases = exercise.cases(file.seed)?;
        let given = file.exercises.get(&exercise.number).map(Vec::as_slice).unwrap_or_default();
        let mut outcomes: Vec<Outcome> = given.iter().map(Outcome::read).collect();
        outcomes.resize(cases.len(), Outcome::NotReached);
        // A stub's panic names its function; the marker knows exercises by their files.
        for outcome in &mut outcomes {
            if let Outcome::Panicked { file, .. } = outcome
                && let Some(function) = functions(marker).find(|function| function.name == file)
            {
                *file = function.file.to_owned();
            }
        }
        let finding = if given.is_empty() { Finding::NotStarted } else { judge(exercise, &cases, &outcomes)? };
        marked.push(Marked { number: exercise.number, finding, printed: String::new(), seconds: 0.0 });
    }
    Ok((file.seed, marked))
}

fn functions(marker: &Marker) -> impl Iterator<Item = &Function> {
    marker.exercises.iter().flat_map(|exercise| &exercise.functions)
}
