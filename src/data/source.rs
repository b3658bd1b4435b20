//! Pictures to learn from: those of a folder or, without one, those that come with the program.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Pictures, Split, digits, idx, shapes};
use crate::error::Result;

/// Which pictures were taken. It writes itself as one line, with how to get the real ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The folder that they were read from; none where they came with the program.
    pub folder: Option<PathBuf>,
    line: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// The pictures of a folder in MNIST's format (see [`idx::load`]); without a folder, the [`digits`] of the program.
///
/// # Errors
/// Those of [`idx::load`]: a folder that is given is taken, or it is an error.
/// # Examples
/// ```
/// use literate_diffusion::data::{self, Split};
/// let (pictures, source) = data::mnist(None, Split::Train)?;
/// assert_eq!((pictures.count(), pictures.height, pictures.width), (1500, 28, 28));
/// assert!(source.to_string().contains("cargo xtask data mnist"));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
pub fn mnist(folder: Option<&Path>, split: Split) -> Result<(Pictures, Source)> {
    let Some(folder) = folder else {
        let pictures = digits::load(split)?;
        let what = "digits that come with the program (UCI optical digits)";
        let line = format!("{} {what}; `cargo xtask data mnist` brings MNIST", thousands(pictures.count()));
        return Ok((pictures, Source { folder: None, line }));
    };
    let pictures = idx::load(folder, split)?;
    let whole = match split {
        Split::Train => 60_000,
        Split::Test => 10_000,
    };
    let source = Source::of_folder(folder, pictures.count(), "MNIST", whole);
    Ok((pictures, source))
}

/// The pictures of a folder in CIFAR-100's format (see [`cifar100::load`](super::cifar100::load)); without a folder, the
/// [`shapes`] of the program.
///
/// # Errors
/// Those of [`cifar100::load`](super::cifar100::load): a folder that is given is taken, or it is an error.
pub fn cifar100(folder: Option<&Path>, split: Split) -> Result<(Pictures, Source)> {
    let Some(folder) = folder else {
        let pictures = shapes::load(split)?;
        let what = "pictures that the program draws (10 shapes in 10 colours)";
        let line = format!("{} {what}; `cargo xtask data cifar100` brings CIFAR-100", thousands(pictures.count()));
        return Ok((pictures, Source { folder: None, line }));
    };
    let pictures = super::cifar100::load(folder, split)?;
    let whole = match split {
        Split::Train => 50_000,
        Split::Test => 10_000,
    };
    let source = Source::of_folder(folder, pictures.count(), "CIFAR-100", whole);
    Ok((pictures, source))
}

impl Source {
    /// A folder may hold another set of the same format, so that only its format is said, and how many it lacks.
    fn of_folder(folder: &Path, count: usize, format: &str, whole: usize) -> Self {
        let mut line = format!("{} pictures in {format}'s format from {}", thousands(count), folder.display());
        if count != whole {
            line += &format!(" ({format} itself has {})", thousands(whole));
        }
        Self { folder: Some(folder.to_owned()), line }
    }
}

/// A number with a comma before its thousands, as 60,000.
fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1000), number % 1000) }
}
