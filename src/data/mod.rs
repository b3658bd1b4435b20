//! Pictures in files: reading them, checking them, and scaling them to [−1, 1].
//!
//! No byte of a file is trusted: not its header, not its length, not its labels. What is wrong is an
//! [`Error::Malformed`] with the file and the byte where it was seen. Memory grows with what is there, never with what a
//! header promises. A `.gz` has a checksum, so that no damage to it goes unseen. A bare file has none: there, a changed
//! pixel is a pixel like any other (`cargo xtask data` compares hashes).
//!
//! [`mnist`] and [`cifar100`](fn@cifar100) always have pictures to learn from: those of a folder or, without one, those that
//! come with the program ([`digits`], [`shapes`]).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

pub mod cifar100;
pub mod digits;
pub mod idx;
pub mod shapes;
mod source;

pub use source::{Source, cifar100, mnist};

/// No data set here is larger than this when it is unpacked (256 MiB); what goes on longer is refused.
const MOST_BYTES: u64 = 1 << 28;

/// Pictures of one size, 8 bits a colour, each with the number of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// Colours: 1 or 3.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Picture by picture, colour by colour, row by row.
    pub pixels: Vec<u8>,
    /// The class of each picture.
    pub labels: Vec<u8>,
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To measure with.
    Test,
}

impl Pictures {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// How many bytes a picture has.
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The bytes of picture `i`; none where there is no such picture.
    pub fn picture(&self, i: usize) -> Option<&[u8]> {
        self.pixels.chunks_exact(self.size().max(1)).nth(i)
    }
}

/// A byte 0..=255 as a number in [−1, 1]: b/127.5 − 1.
///
/// # Source
/// Ho, Jain, Abbeel 2020, section 3.3
/// # Examples
/// ```
/// use literate_diffusion::data::{from_byte, to_byte};
/// assert_eq!([from_byte(0), from_byte(255)], [-1.0, 1.0]);
/// assert_eq!(to_byte(from_byte(77)), 77);
/// ```
pub fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// The byte nearest to a number; 0 and 255 for what lies outside [−1, 1], 0 for NaN.
pub fn to_byte(x: f32) -> u8 {
    ((x + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8
}

/// The bytes of a file, unpacked where its name ends in `.gz`.
///
/// # Errors
/// [`Error::File`] where it cannot be read; [`Error::Malformed`] where it is not what `gzip` makes, or far too large
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |error: io::Error| Error::File { path: path.to_owned(), reason: error.to_string() };
    let file = BufReader::new(File::open(path).map_err(cannot)?);
    if path.extension().is_some_and(|extension| extension == "gz") {
        return unpack(path, file);
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    not_too_large(path, bytes)
}

/// What `gzip` packed; the path is for messages.
///
/// # Errors
/// [`Error::Malformed`] where it is not what `gzip` makes, or far too large; the offset is that within the packed file
fn unpack(path: &Path, packed: impl BufRead) -> Result<Vec<u8>> {
    let mut unpacking = MultiGzDecoder::new(Counting { inner: packed, count: 0 });
    let mut bytes = Vec::new();
    let result = unpacking.by_ref().take(MOST_BYTES + 1).read_to_end(&mut bytes);
    let offset = unpacking.get_ref().count;
    result.map_err(|error| malformed(path, offset, format!("this .gz is damaged or incomplete ({error})")))?;
    // Of an empty file, flate2 makes no bytes and no error.
    if offset == 0 {
        return Err(malformed(path, 0, "the file is empty"));
    }
    not_too_large(path, bytes)
}

fn not_too_large(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() as u64 > MOST_BYTES {
        let reason = "the data goes on after 256 MiB, but no data set here is as large";
        return Err(malformed(path, MOST_BYTES, reason));
    }
    Ok(bytes)
}

/// The file of one of several names in a folder.
fn find(folder: &Path, names: &[String]) -> Result<PathBuf> {
    let there = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    there.ok_or_else(|| {
        let reason = if folder.is_dir() {
            format!("there is none of the files {}", names.join(", "))
        } else {
            "there is no such folder".to_owned()
        };
        Error::File { path: folder.to_owned(), reason }
    })
}

/// The first of several folders below a folder that has a file of one of the names; the folder itself where none has.
fn home(folder: &Path, below: &[&str], names: &[String]) -> PathBuf {
    let has = |home: &PathBuf| names.iter().any(|name| home.join(name).is_file());
    below.iter().map(|below| folder.join(below)).find(has).unwrap_or_else(|| folder.to_owned())
}

fn malformed(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
    Error::Malformed { path: path.to_owned(), offset, reason: reason.into() }
}

/// Counts the bytes that pass through it.
struct Counting<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
