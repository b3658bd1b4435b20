//! IDX, the format of MNIST and Fashion-MNIST.
//!
//! Two zero bytes, a byte for the kind of number (8: a byte), a byte for the number of dimensions, each length as four
//! bytes (the most significant first), then the numbers.

use std::path::Path;

use super::{Pictures, Split, find, home, malformed, read};
use crate::error::Result;

/// Pixels along each side.
pub const SIDE: usize = 28;
/// Classes of MNIST: the digits.
const CLASSES: u8 = 10;

/// MNIST, or what has its files and format, from a folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
/// `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, each with `.gz` or without. They may be in its subfolder `mnist` or
/// `MNIST/raw` as well. Any number of pictures will do.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where a file is not there or cannot be read;
/// [`Error::Malformed`](crate::Error::Malformed) where one is not what it should be
pub fn load(folder: &Path, split: Split) -> Result<Pictures> {
    let start = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let names = |what: &str| {
        let name = format!("{start}-{what}-ubyte");
        let dotted = name.replacen("-idx", ".idx", 1);
        [format!("{name}.gz"), name, format!("{dotted}.gz"), dotted]
    };
    let (image_names, label_names) = (names("images-idx3"), names("labels-idx1"));
    let home = home(folder, &["", "mnist", "MNIST/raw"], &[image_names.as_slice(), &label_names].concat());
    let (images, labels) = (find(&home, &image_names)?, find(&home, &label_names)?);
    let pictures = pictures(&images, &read(&images)?, &labels, &read(&labels)?)?;
    for (length, at) in [(pictures.height, 8), (pictures.width, 12)] {
        if length != SIDE {
            let reason = format!("a side of the pictures has {length} pixels, but {SIDE} are expected");
            return Err(malformed(&images, at, reason));
        }
    }
    Ok(pictures)
}

/// Pictures from the bytes of a file of images and a file of labels; the paths are for messages.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed)
pub fn pictures(images_path: &Path, images: &[u8], labels_path: &Path, labels: &[u8]) -> Result<Pictures> {
    let ([count, height, width], pixels) = parse::<3>(images_path, images)?;
    let ([label_count], labels) = parse::<1>(labels_path, labels)?;
    if label_count != count {
        return Err(malformed(labels_path, 4, format!("there are {label_count} labels, but {count} images")));
    }
    if let Some(i) = labels.iter().position(|&label| label >= CLASSES) {
        let reason = format!("label {i} is {}, but it must be below {CLASSES}", labels[i]);
        return Err(malformed(labels_path, header(1) + i as u64, reason));
    }
    Ok(Pictures { channels: 1, height, width, pixels: pixels.to_vec(), labels: labels.to_vec() })
}

/// The lengths and the numbers of an IDX file of bytes with so many dimensions. None of the lengths is 0.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed)
pub fn parse<'a, const DIMENSIONS: usize>(path: &Path, bytes: &'a [u8]) -> Result<([usize; DIMENSIONS], &'a [u8])> {
    let start = header(DIMENSIONS);
    if (bytes.len() as u64) < start {
        let reason = format!("the file ends within its header, which has {start} bytes");
        return Err(malformed(path, bytes.len() as u64, reason));
    }
    let magic = [0, 0, 8, DIMENSIONS as u8];
    if let Some(i) = (0..4).find(|&i| bytes[i] != magic[i]) {
        let reason = format!("the file begins with {:?}, but an IDX file of this kind with {magic:?}", &bytes[..4]);
        return Err(malformed(path, i as u64, reason));
    }
    let mut lengths = [0; DIMENSIONS];
    let mut promised = 1_u64;
    for (i, length) in lengths.iter_mut().enumerate() {
        let at = 4 + 4 * i;
        let number = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if number == 0 {
            return Err(malformed(path, at as u64, format!("length {} of {DIMENSIONS} is 0", i + 1)));
        }
        *length = number as usize;
        promised = promised.saturating_mul(u64::from(number));
    }
    let numbers = &bytes[start as usize..];
    let there = numbers.len() as u64;
    if there < promised {
        let reason = format!("the file ends here, with {there} bytes of data where its header promises {promised}");
        return Err(malformed(path, bytes.len() as u64, reason));
    }
    if there > promised {
        let reason = format!("the file goes on here, but its header promises {promised} bytes of data, not {there}");
        return Err(malformed(path, start + promised, reason));
    }
    Ok((lengths, numbers))
}

/// How many bytes come before the numbers.
fn header(dimensions: usize) -> u64 {
    4 + 4 * dimensions as u64
}
