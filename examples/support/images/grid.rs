//! Many pictures in one PNG.

use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use literate_diffusion::torch::sampler::to_bytes;
use literate_diffusion::torch::tch::{Kind, Tensor};

use super::Outcome;
use crate::support::files::write_atomically;

/// Pixels between pictures.
pub const GAP: usize = 2;
/// A pixel of a picture is so many wide and high.
pub const ZOOM: usize = 2;

/// Writes pictures of shape (N, channels, height, width) in [−1, 1], `columns` to a row.
pub fn write(path: &Path, pictures: &Tensor, columns: usize) -> Outcome<()> {
    let bytes = to_bytes(pictures);
    let size: Vec<usize> = bytes.size().iter().filter_map(|&length| usize::try_from(length).ok()).collect();
    let &[count, height, width, channels] = size.as_slice() else {
        return Err("pictures have four dimensions".into());
    };
    let mut pixels = vec![0; bytes.numel()];
    bytes.to_kind(Kind::Uint8).copy_data(&mut pixels, bytes.numel());

    let rows = count.div_ceil(columns);
    let side = |pictures: usize, length: usize| pictures * (length * ZOOM + GAP) + GAP;
    let (wide, high) = (side(columns, width), side(rows, height));
    let mut sheet = vec![255; wide * high * channels];
    for (i, picture) in pixels.chunks_exact(height * width * channels).enumerate() {
        let (left, top) = (side(i % columns, width), side(i / columns, height));
        for y in 0..height * ZOOM {
            for x in 0..width * ZOOM {
                let from = ((y / ZOOM) * width + x / ZOOM) * channels;
                let to = ((top + y) * wide + left + x) * channels;
                sheet[to..to + channels].copy_from_slice(&picture[from..from + channels]);
            }
        }
    }

    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new(&mut png).write_image(&sheet, u32::try_from(wide)?, u32::try_from(high)?, colour)?;
    Ok(write_atomically(path, png.get_ref())?)
}
