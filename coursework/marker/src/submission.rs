//! What a student hands in: the source files of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::catalogue::Catalogue;

/// The Rust files below `src/`, by their path in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    pub files: BTreeMap<String, String>,
}

impl Submission {
    /// The files of a student's folder. One that is missing counts as not started.
    pub fn read(folder: &Path, stubs: &Self) -> Result<Self> {
        let src = folder.join("src");
        if !src.is_dir() {
            bail!("{} has no folder src/: give the folder that `new` made with --dir", folder.display());
        }
        let mut files = stubs.files.clone();
        read_folder(&src, Path::new(""), &mut files)?;
        // What is given is the marker's own.
        files.insert("given.rs".into(), stubs.files["given.rs"].clone());
        Ok(Self { files })
    }

    /// The fresh start. In `coursework/src` somebody may be at work, so that it is kept in a folder of its own.
    pub fn stubs(root: &Path) -> Result<Self> {
        Ok(Self { files: Self::folder(&root.join("coursework/stubs"))? })
    }

    /// The Rust files below a folder, by their path in it.
    pub fn folder(folder: &Path) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        read_folder(folder, Path::new(""), &mut files)?;
        Ok(files)
    }

    /// The solutions.
    pub fn solutions(root: &Path, catalogue: &Catalogue) -> Result<Self> {
        let mut solved = Self::stubs(root)?;
        for entry in &catalogue.exercises {
            let path = root.join(format!("coursework/solutions/{}.rs", entry.file));
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            solved.files.insert(format!("{}.rs", entry.file), text);
        }
        Ok(solved)
    }
}

fn read_folder(src: &Path, inner: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let folder = src.join(inner);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let name = PathBuf::from(entry?.file_name());
        let path = inner.join(&name);
        if src.join(&path).is_dir() {
            read_folder(src, &path, files)?;
        } else if name.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(src.join(&path));
            let text = text.with_context(|| format!("{} cannot be read", src.join(&path).display()))?;
            files.insert(path.to_string_lossy().into_owned(), text);
        }
    }
    Ok(())
}
