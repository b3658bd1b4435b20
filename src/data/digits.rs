//! The digits that are always there: 1,797 of them, written by 13 people.
//!
//! They are the test part of *Optical Recognition of Handwritten Digits* (E. Alpaydin, C. Kaynak 1998, UCI Machine Learning
//! Repository, [doi:10.24432/C50P49](https://doi.org/10.24432/C50P49), CC BY 4.0), 8×8 pixels with 17 levels. Here they are
//! drawn as large as MNIST's. They stand in for MNIST where it was not fetched; no result on them is one on MNIST.

use std::path::Path;

use super::{Pictures, Split, idx, unpack};
use crate::error::Result;

/// The first so many are to learn from, the others to measure with.
pub const TRAIN: usize = 1500;
/// Pixels along each side as they are stored, and as MNIST has them.
const SMALL: usize = 8;
/// The highest of the 17 levels, times the weights along rows and columns, which are in tenths.
const FULL: f64 = 16.0 * 10.0 * 10.0;

/// The digits at 28×28 pixels, 256 levels: the first 1,500 to train, the last 297 to test.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) where the program itself is damaged
pub fn load(split: Split) -> Result<Pictures> {
    let small = stored()?;
    let digits = match split {
        Split::Train => 0..TRAIN,
        Split::Test => TRAIN..small.count(),
    };
    let pixels = small.pixels[digits.start * small.size()..].chunks_exact(small.size()).take(digits.len());
    let pixels = pixels.flat_map(enlarge).collect();
    let labels = small.labels[digits].to_vec();
    Ok(Pictures { channels: 1, height: idx::SIDE, width: idx::SIDE, pixels, labels })
}

/// All the digits as they are stored: 8×8 pixels, levels 0..=16.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) where the program itself is damaged
pub fn stored() -> Result<Pictures> {
    let images = Path::new("digits-images-idx3-ubyte.gz (in the program)");
    let labels = Path::new("digits-labels-idx1-ubyte.gz (in the program)");
    let image_bytes = unpack(images, include_bytes!("digits-images-idx3-ubyte.gz").as_slice())?;
    let label_bytes = unpack(labels, include_bytes!("digits-labels-idx1-ubyte.gz").as_slice())?;
    idx::pictures(images, &image_bytes, labels, &label_bytes)
}

/// A digit of 8×8 pixels and levels 0..=16, drawn with 28×28 pixels and levels 0..=255.
///
/// As in MNIST, the digit fills 20×20 pixels amid a border of 4. The levels in between come from linear interpolation along
/// rows and columns, with empty paper around the 8×8 pixels. That blurs, so the contrast is doubled about the middle:
/// a quarter of the full level and less becomes 0, three quarters and more becomes 255. (The soft edge of a stroke reaches
/// one pixel into the border.)
pub fn enlarge(digit: &[u8]) -> Vec<u8> {
    let byte = |row, column| {
        let mut level = 0;
        for (i, &pixel) in digit.iter().enumerate() {
            level += weight(row, i / SMALL) * weight(column, i % SMALL) * i64::from(pixel);
        }
        (255.0 * (2.0 * level as f64 / FULL - 0.5)).round().clamp(0.0, 255.0) as u8
    };
    (0..idx::SIDE * idx::SIDE).map(|i| byte(i / idx::SIDE, i % idx::SIDE)).collect()
}

/// How much of the small pixel `i` there is in the large pixel `r`, in tenths: all where their centres meet, nothing from one
/// small pixel away.
fn weight(r: usize, i: usize) -> i64 {
    // A small pixel is 20/8 = 5/2 large ones wide, and the border has 4: the centre of r is that of i = (4r − 19)/10.
    let tenths_away = (4 * r as i64 - 19 - 10 * i as i64).abs();
    (10 - tenths_away).max(0)
}
