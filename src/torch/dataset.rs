//! Pictures in memory, and batches of them.

use tch::{Device, Kind, Tensor};

use super::random::{Stream, drawn};
use super::schedule::length;
use crate::data::Pictures;

/// A whole data set on a device, a byte a colour, until a batch of it is needed.
#[derive(Debug)]
pub struct Dataset {
    /// (N, height, width, channels), so that a batch comes out with its channels last in memory.
    bytes: Tensor,
    labels: Tensor,
}

impl Dataset {
    /// All the pictures.
    pub fn new(pictures: &Pictures, device: Device) -> Self {
        let size = [pictures.count(), pictures.channels, pictures.height, pictures.width].map(length);
        let bytes = Tensor::from_slice(&pictures.pixels).view(size).permute([0, 2, 3, 1]).contiguous();
        let labels = Tensor::from_slice(&pictures.labels).to_kind(Kind::Int64);
        Self { bytes: bytes.to_device(device), labels: labels.to_device(device) }
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        self.labels.numel()
    }

    /// Tells data sets apart: the number of pictures and the sum of all bytes.
    pub fn fingerprint(&self) -> String {
        format!("{} {}", self.count(), self.bytes.sum(Kind::Int64).int64_value(&[]))
    }

    /// The indices 0..N in the random order of an epoch.
    pub fn order(&self, seed: u64, epoch: usize) -> Tensor {
        let count = length(self.count());
        let order = drawn(seed, Stream::Order, epoch as u64, || Tensor::randperm(count, (Kind::Int64, Device::Cpu)));
        order.to_device(self.labels.device())
    }

    /// The pictures with these indices, scaled to [−1, 1] as b/127.5 − 1 and of shape (n, channels, height, width), and
    /// their labels.
    pub fn batch(&self, indices: &Tensor) -> (Tensor, Tensor) {
        let bytes = self.bytes.index_select(0, indices);
        let x0 = bytes.to_kind(Kind::Float).g_div_scalar_(127.5).g_sub_scalar_(1.0);
        (x0.permute([0, 3, 1, 2]), self.labels.index_select(0, indices))
    }
}

/// Each picture mirrored, left for right, with probability ½.
// ANCHOR: flipped
pub fn flipped(x0: &Tensor) -> Tensor {
    let mirrored = Tensor::rand([x0.size()[0], 1, 1, 1], (Kind::Float, x0.device())).lt(0.5);
    x0.flip([-1]).where_self(&mirrored, x0)
}
// ANCHOR_END: flipped
