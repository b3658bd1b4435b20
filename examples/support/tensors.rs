//! Checkpoints of tensors: as [`Checkpoint`](super::checkpoint::Checkpoint), for what libtorch computes with.

use std::path::Path;

use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use safetensors::tensor::Dtype;

use super::checkpoint::{CheckpointError, Part, Words, read, write};

/// Named tensors and a few words, in one `.safetensors` file; `kind` tells the programs apart.
pub struct Tensors {
    pub kind: String,
    /// A file of another program has none.
    pub words: Words,
    pub tensors: Vec<(String, Tensor)>,
}

/// The kinds of number that are written as they are, by their names in the file.
const KINDS: [(Kind, Dtype); 5] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
];

impl Tensors {
    pub fn save(&self, path: &Path) -> Result<(), std::io::Error> {
        let parts = self.tensors.iter().map(|(name, tensor)| {
            let dtype = KINDS.iter().find(|(kind, _)| *kind == tensor.kind()).map(|(_, dtype)| *dtype);
            let dtype = dtype.ok_or_else(|| std::io::Error::other(format!("{name} holds {:?}", tensor.kind())))?;
            let shape: Vec<usize> = tensor.size().iter().filter_map(|&length| usize::try_from(length).ok()).collect();
            Ok(Part { name: name.clone(), dtype, shape, bytes: bytes(tensor) })
        });
        write(path, &self.kind, &self.words, &parts.collect::<Result<Vec<_>, std::io::Error>>()?)
    }

    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (kind, words, parts) = read(path)?;
        let tensors = parts.into_iter().map(|Part { name, dtype, shape, bytes }| {
            let kind = KINDS.iter().find(|(_, other)| *other == dtype).map(|(kind, _)| *kind);
            let kind = kind.ok_or_else(|| CheckpointError::damaged(path, format!("{name} holds {dtype:?}")))?;
            let shape: Vec<i64> = shape.iter().filter_map(|&length| i64::try_from(length).ok()).collect();
            let tensor = Tensor::f_from_data_size(&bytes, &shape, kind)
                .map_err(|error| CheckpointError::damaged(path, format!("{name}: {error}")))?;
            Ok((name, tensor))
        });
        let mut tensors = tensors.collect::<Result<Vec<_>, CheckpointError>>()?;
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { kind, words, tensors })
    }

    /// The tensors whose names begin with `start`, under what follows it; none where there is none.
    pub fn part(&self, start: &str) -> Option<Vec<(String, Tensor)>> {
        let named = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(start)?, tensor)));
        let part: Vec<_> = named.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
        (!part.is_empty()).then_some(part)
    }

    /// The word that stands under this name, or an error that names it.
    pub fn word(&self, path: &Path, name: &str) -> Result<&str, CheckpointError> {
        let missing = || CheckpointError::Missing { path: path.to_owned(), what: name.to_owned() };
        self.words.get(name).map(String::as_str).ok_or_else(missing)
    }
}

/// The numbers of a tensor in their order, little-endian as every machine here is.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}
