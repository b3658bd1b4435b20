//! A fresh start: the whole folder, or one exercise of it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::progress::write_whole;
use crate::submission::Submission;

/// What a new folder gets besides the stubs, from the project's `coursework/`.
const FILES: [&str; 4] = ["README.md", "open/A.md", "open/B.md", "tests/by_hand.rs"];
/// The Python track.
const PYTHON: &str = "python";

const MANIFEST: &str = r#"[package]
name = "coursework"
version = "0.1.0"
edition = "2024"
publish = false

# A workspace of its own, wherever this folder stands.
[workspace]

[dependencies]
ndarray = "=0.17.2"

[profile.dev]
opt-level = 2
"#;

/// Makes a folder for a student: stubs, no solutions.
pub fn new(root: &Path, stubs: &Submission, folder: &Path) -> Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: give a folder that is not there yet", folder.display());
    }
    let coursework = root.join("coursework");
    for (name, text) in &stubs.files {
        write(&folder.join("src").join(name), text)?;
    }
    for file in FILES {
        copy(&coursework.join(file), &folder.join(file))?;
    }
    let python = coursework.join(PYTHON);
    for entry in fs::read_dir(&python).with_context(|| format!("{} cannot be read", python.display()))? {
        let path = entry?.path();
        if path.is_file() {
            copy(&path, &folder.join(PYTHON).join(path.file_name().unwrap_or_default()))?;
        }
    }
    write(&folder.join("Cargo.toml"), MANIFEST)?;
    write(&folder.join(".gitignore"), "/target\n__pycache__/\n")
}

/// Puts a stub back. What was there is kept beside it.
pub fn reset(folder: &Path, stubs: &Submission, stem: &str) -> Result<()> {
    let name = format!("{stem}.rs");
    let path = folder.join("src").join(&name);
    if path.exists() {
        let kept = path.with_extension("rs.old");
        fs::rename(&path, &kept).with_context(|| format!("{} cannot be renamed", path.display()))?;
        println!("{} is kept as {}", path.display(), kept.display());
    }
    write_whole(&path, &stubs.files[&name])?;
    println!("{} is as it was at the beginning", path.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read_to_string(from).with_context(|| format!("{} cannot be read", from.display()))?;
    write(to, &text)
}
