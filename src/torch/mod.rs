//! The twin: the same mathematics in batched tensors of libtorch, on a CPU or a CUDA device, and the image models.
//!
//! Everything here is derived again from the papers; nothing calls the reference in ndarray. So where the tests find that
//! the two agree, that means something. This is also the half that is fast enough for images.
//!
//! # Conventions
//! - A batch has a time for each sample, t in 1..=T as everywhere in this crate. [`Schedule::at`] checks the times once and
//!   hands out [`Steps`], which the formulas of [`diffusion`] take where the reference takes one [`Step`](crate::Step).
//! - The networks alone count as Python code does: `forward(x, index)` with index = t − 1, which is [`Steps::index`].
//! - Coefficients are computed in `f64` on the CPU, whatever the tensors are, and rounded once, when they meet a tensor.
//! - A result per sample has shape (N); a sum over dimensions leaves out the first one.

use std::path::Path;

pub use tch;
use tch::{Kind, Tensor};

use crate::error::{Error, Result};

pub mod adam;
pub mod dataset;
pub mod device;
pub mod diffusion;
pub mod evaluation;
mod layers;
pub mod mlp;
pub mod random;
pub mod sampler;
pub mod schedule;
pub mod score;
pub mod trainer;
pub mod unet;
pub mod weights;

pub use device::parse_device;
pub use schedule::{Schedule, Steps};

/// Fails unless `got` has the shape of `expected`.
fn same_shape(name: &'static str, expected: &Tensor, got: &Tensor) -> Result<()> {
    has_shape(name, &expected.size(), got)
}

/// Fails unless `got` has the given shape.
fn has_shape(name: &'static str, expected: &[i64], got: &Tensor) -> Result<()> {
    if expected == got.size() {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name, expected: lengths(expected), got: lengths(&got.size()) })
}

/// Fails unless `got` holds numbers of the given kind.
fn has_kind(name: &'static str, expected: Kind, got: &Tensor) -> Result<()> {
    if expected == got.kind() {
        return Ok(());
    }
    Err(Error::WrongKind { name, expected: format!("{expected:?}"), got: format!("{:?}", got.kind()) })
}

fn lengths(size: &[i64]) -> Vec<usize> {
    size.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
}

/// An error about a file.
fn in_file(path: &Path, reason: impl ToString) -> Error {
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}
