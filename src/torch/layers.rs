//! The layers of the networks, drawn as PyTorch draws them and named as PyTorch names them.
//!
//! A layer computes in the kind of number of its input: where its parameters are of another (`f32`, with an input in `bf16`),
//! it computes with a copy, through which the gradient finds back to the parameters themselves.

use tch::{Device, Kind, Tensor};

use super::schedule::length;
use super::weights::{Parameters, channels_last};
use crate::error::{Error, Result};

/// PyTorch draws a layer's weight and bias from U(−1/√n, 1/√n), n the number of inputs that one output sees.
fn bound(inputs: i64) -> f64 {
    1.0 / (inputs as f64).sqrt()
}

/// y = x Wᵀ + b.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `NAME.weight` and `NAME.bias`.
    pub fn new(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Self {
        let (inputs, outputs) = (length(inputs), length(outputs));
        Self {
            weight: parameters.uniform_by_columns(format!("{name}.weight"), &[outputs, inputs], bound(inputs)),
            bias: parameters.uniform(format!("{name}.bias"), &[outputs], bound(inputs)),
        }
    }

    /// x of shape (…, inputs).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight.to_kind(x.kind()), Some(&self.bias.to_kind(x.kind())))
    }
}

/// A table with a row for each index.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// `NAME.weight`.
    pub fn new(parameters: &mut Parameters, name: &str, rows: usize, width: usize) -> Self {
        Self { weight: parameters.normal(format!("{name}.weight"), &[length(rows), length(width)]) }
    }

    /// The rows of N indices. On a CPU, `name` is what an index is called that has no row.
    pub fn forward(&self, name: &'static str, index: &Tensor) -> Result<Tensor> {
        Tensor::f_embedding(&self.weight, index, -1, false, false).map_err(|_| {
            let (least, most) = (index.min().double_value(&[]), index.max().double_value(&[]));
            let expected = "0 or above, and below the number of rows of the network's table";
            Error::OutOfRange { name, expected, got: if least < 0.0 { least } else { most } }
        })
    }
}

/// A convolution.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// `NAME.weight` and `NAME.bias`; the picture is padded so that with stride 1 it keeps its size (odd kernels).
    // ANCHOR: conv_layer
    pub fn new(parameters: &mut Parameters, name: &str, channels: [usize; 2], kernel: i64, stride: i64) -> Self {
        let [inputs, outputs] = channels.map(length);
        let bound = bound(inputs * kernel * kernel);
        Self {
            weight: parameters.uniform(format!("{name}.weight"), &[outputs, inputs, kernel, kernel], bound),
            bias: parameters.uniform(format!("{name}.bias"), &[outputs], bound),
            stride,
            padding: kernel / 2,
        }
    }
    // ANCHOR_END: conv_layer

    /// x of shape (N, inputs, height, width).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.to_kind(x.kind()), self.bias.to_kind(x.kind()));
        x.conv2d(&weight, Some(&bias), [self.stride; 2], [self.padding; 2], [1, 1], 1)
    }
}

/// A 2×2 transposed convolution of stride 2: doubles height and width.
#[derive(Debug)]
pub struct UpConv {
    weight: Tensor,
    bias: Tensor,
}

impl UpConv {
    /// `NAME.weight` and `NAME.bias`.
    pub fn new(parameters: &mut Parameters, name: &str, channels: [usize; 2]) -> Self {
        let [inputs, outputs] = channels.map(length);
        // PyTorch counts the fan-in of a transposed convolution along the second dimension, that of the outputs.
        let bound = bound(outputs * 4);
        Self {
            weight: parameters.uniform(format!("{name}.weight"), &[inputs, outputs, 2, 2], bound),
            bias: parameters.uniform(format!("{name}.bias"), &[outputs], bound),
        }
    }

    /// x of shape (N, inputs, height, width).
    ///
    /// Each pixel becomes a patch of 2×2, so it is a linear layer from a pixel to a patch, whose gradient libtorch takes
    /// faster than that of `conv_transpose2d`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.to_kind(x.kind()), self.bias.to_kind(x.kind()));
        let (samples, inputs, height, width) = x.size4().unwrap_or_default();
        let outputs = weight.size()[1];
        let weight = weight.permute([2, 3, 1, 0]).reshape([4 * outputs, inputs]);
        let patches = x.permute([0, 2, 3, 1]).linear(&weight, Some(&bias.repeat([4])));
        let patches = patches.view([samples, height, width, 2, 2, outputs]).permute([0, 1, 3, 2, 4, 5]);
        patches.reshape([samples, 2 * height, 2 * width, outputs]).permute([0, 3, 1, 2])
    }
}

/// Each sample's channels in 8 groups, each brought to mean 0 and variance 1, then scaled and moved.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
}

impl GroupNorm {
    /// The number of groups.
    pub const GROUPS: i64 = 8;

    /// `NAME.weight` and `NAME.bias`.
    pub fn new(parameters: &mut Parameters, name: &str, channels: usize) -> Self {
        Self {
            weight: parameters.constant(format!("{name}.weight"), &[length(channels)], 1.0),
            bias: parameters.constant(format!("{name}.bias"), &[length(channels)], 0.0),
        }
    }

    /// x of shape (N, channels, …).
    // ANCHOR: group_norm_layer
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.to_kind(x.kind()), self.bias.to_kind(x.kind()));
        let norm = |x: &Tensor| x.group_norm(Self::GROUPS, Some(&weight), Some(&bias), 1e-5, true);
        // On a CPU, in half precision and with the channels last, libtorch's norm takes ten times as long where a group has 8
        // channels, so that two copies cost less.
        let slow = x.kind() == Kind::BFloat16 && x.device() == Device::Cpu && x.size()[1] <= 8 * Self::GROUPS;
        if slow && !x.is_contiguous() { channels_last(&norm(&x.contiguous())) } else { norm(x) }
    }
    // ANCHOR_END: group_norm_layer
}
