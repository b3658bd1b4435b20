//! The binary format of CIFAR-100: per picture a byte for one of 20 coarse classes, a byte for one of 100 fine classes,
//! then 32×32 bytes of red, of green and of blue.

use std::path::Path;

use super::{Pictures, Split, find, home, malformed, read};
use crate::error::Result;

/// Pixels along each side.
pub const SIDE: usize = 32;
/// Fine classes, which are the labels of the [`Pictures`].
pub const CLASSES: u8 = 100;
/// Coarse classes.
const COARSE_CLASSES: u8 = 20;
/// Bytes of a picture with its two labels.
const RECORD: usize = 2 + 3 * SIDE * SIDE;

/// CIFAR-100, or what has its files and format, from a folder with `train.bin` and `test.bin` in it, or in its
/// subfolder `cifar-100-binary` or `cifar100`. Any number of pictures will do.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where the file is not there or cannot be read;
/// [`Error::Malformed`](crate::Error::Malformed) where it is not what it should be
pub fn load(folder: &Path, split: Split) -> Result<Pictures> {
    let name = match split {
        Split::Train => "train.bin",
        Split::Test => "test.bin",
    };
    let names = [name.to_owned()];
    let path = find(&home(folder, &["", "cifar-100-binary", "cifar100"], &names), &names)?;
    pictures(&path, &read(&path)?)
}

/// Pictures from the bytes of such a file; the path is for messages.
///
/// All pictures of a fine class must be of the same coarse class, by which most damage to a label is seen.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed)
pub fn pictures(path: &Path, bytes: &[u8]) -> Result<Pictures> {
    let rest = bytes.len() % RECORD;
    if rest > 0 || bytes.is_empty() {
        let reason = format!("the file ends {rest} bytes into a record of {RECORD}");
        return Err(malformed(path, bytes.len() as u64, reason));
    }
    // For each fine class: its coarse class, and the picture that said so.
    let mut coarse_class = [None; CLASSES as usize];
    let mut labels = Vec::with_capacity(bytes.len() / RECORD);
    let mut pixels = Vec::with_capacity(bytes.len());
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        for (at, (name, classes)) in [("coarse", COARSE_CLASSES), ("fine", CLASSES)].into_iter().enumerate() {
            if record[at] >= classes {
                let reason =
                    format!("the {name} class of picture {i} is {}, but it must be below {classes}", record[at]);
                return Err(malformed(path, (i * RECORD + at) as u64, reason));
            }
        }
        let (coarse, fine) = (record[0], record[1]);
        let (known, first) = *coarse_class[usize::from(fine)].get_or_insert((coarse, i));
        if coarse != known {
            let reason = format!(
                "picture {i}, of the fine class {fine}, is of the coarse class {coarse}, but picture {first}, of the same \
                 fine class, is of {known}"
            );
            return Err(malformed(path, (i * RECORD) as u64, reason));
        }
        labels.push(fine);
        pixels.extend_from_slice(&record[2..]);
    }
    Ok(Pictures { channels: 3, height: SIDE, width: SIDE, pixels, labels })
}
