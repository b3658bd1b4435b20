//! Pictures in files: reading them, checking them, and scaling them to [−1, 1].
//!
//! No byte of a file is trusted: not its header, not its length, not its labels. What is wrong is an
//! [`Error::Malformed`] with the file and the byte where it was seen. Memory grows with what is there, never with what a
//! header promises.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

pub mod cifar100;
pub mod idx;

/// No data set here is larger than this when it is unpacked; a .gz that claims to be is refused.
const MOST_BYTES: u64 = 1 << 30;

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
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    if path.extension().is_none_or(|extension| extension != "gz") {
        BufReader::new(file).take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        let mut unpacking = MultiGzDecoder::new(Counting { inner: BufReader::new(file), count: 0 });
        let result = unpacking.by_ref().take(MOST_BYTES + 1).read_to_end(&mut bytes);
        result.map_err(|error| {
            let reason = format!("this .gz is damaged or incomplete ({error})");
            malformed(path, unpacking.get_ref().count, reason)
        })?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(malformed(path, MOST_BYTES, "the data goes on after 1 GiB, but no data set here is as large"));
    }
    Ok(bytes)
}

/// The first of several names of a file that is in a folder.
fn find(folder: &Path, names: &[&str]) -> Result<PathBuf> {
    let there = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    there.ok_or_else(|| {
        let reason = format!("there is none of the files {}", names.join(", "));
        Error::File { path: folder.to_owned(), reason }
    })
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
