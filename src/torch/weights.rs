//! The parameters of a network by name, and the files that they live in.

use std::fs::{self, File};
use std::path::Path;

use tch::{Device, Kind, Tensor, no_grad};

use super::schedule::length;
use super::{in_file, lengths};
use crate::error::{Error, Result};
use crate::paper::CLIP_EPSILON;

/// The parameters θ of a network, in the order in which they were made, by the names that PyTorch would give them.
#[derive(Debug)]
pub struct Parameters {
    named: Vec<(String, Tensor)>,
    device: Device,
    kind: Kind,
    channels_last: bool,
}

impl Parameters {
    /// None yet.
    pub fn new(device: Device, kind: Kind) -> Self {
        Self { named: Vec::new(), device, kind, channels_last: false }
    }

    /// A new parameter, drawn from U(−`bound`, `bound`).
    pub(super) fn uniform(&mut self, name: String, shape: &[i64], bound: f64) -> Tensor {
        let tensor = self.drawn_uniformly(shape, bound);
        self.add(name, tensor)
    }

    /// The same for a matrix, whose columns then lie in memory as its rows would: a layer multiplies by its transpose.
    pub(super) fn uniform_by_columns(&mut self, name: String, shape: &[i64; 2], bound: f64) -> Tensor {
        let tensor = self.drawn_uniformly(shape, bound).tr().contiguous().tr();
        self.add(name, tensor)
    }

    fn drawn_uniformly(&self, shape: &[i64], bound: f64) -> Tensor {
        Tensor::zeros(shape, (self.kind, self.device)).uniform_(-bound, bound)
    }

    /// A new parameter, drawn from N(0, 1).
    pub(super) fn normal(&mut self, name: String, shape: &[i64]) -> Tensor {
        let tensor = Tensor::randn(shape, (self.kind, self.device));
        self.add(name, tensor)
    }

    /// A new parameter, all of whose numbers are `value`.
    pub(super) fn constant(&mut self, name: String, shape: &[i64], value: f64) -> Tensor {
        let tensor = Tensor::full(shape, value, (self.kind, self.device));
        self.add(name, tensor)
    }

    fn add(&mut self, name: String, tensor: Tensor) -> Tensor {
        let tensor = tensor.set_requires_grad(true);
        self.named.push((name, tensor.shallow_clone()));
        tensor
    }

    /// All of them.
    pub fn named(&self) -> &[(String, Tensor)] {
        &self.named
    }

    /// Only the tensors.
    pub fn tensors(&self) -> Vec<Tensor> {
        self.named.iter().map(|(_, tensor)| tensor.shallow_clone()).collect()
    }

    /// How many numbers θ has.
    pub fn count(&self) -> usize {
        self.named.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// The gradient of `loss`, all parameters after one another in one vector, each in the order in which it lies in memory
    /// (see [`split`](Self::split)): 0 for those that it does not depend on.
    pub fn gradient(&self, loss: &Tensor) -> Tensor {
        let tensors = self.tensors();
        let gradients = Tensor::run_backward(&[loss], &tensors, false, false);
        let flat = gradients.iter().zip(&tensors).map(|(gradient, tensor)| {
            if gradient.defined() { flat(gradient, tensor) } else { flat(&tensor.detach().zeros_like(), tensor) }
        });
        Tensor::cat(&flat.collect::<Vec<_>>(), 0)
    }

    /// Moves them into one vector, after one another, which the tensor returned shares: what is done to it is done to all.
    pub(super) fn in_one_vector(&self) -> Tensor {
        let numbers: Vec<_> = self.named.iter().map(|(_, tensor)| flat(&tensor.detach(), tensor)).collect();
        let vector = Tensor::cat(&numbers, 0);
        for ((_, tensor), part) in self.named.iter().zip(self.split(&vector)) {
            tensor.shallow_clone().set_data(&part);
        }
        vector
    }

    /// Whether they lie in this vector.
    pub(super) fn are_in(&self, vector: &Tensor) -> bool {
        self.named.first().is_none_or(|(_, first)| first.data_ptr() == vector.data_ptr())
    }

    /// Cuts a vector with a number for each parameter, such as a [gradient](Self::gradient), into tensors of their shapes, which
    /// share its memory.
    pub fn split(&self, vector: &Tensor) -> Vec<Tensor> {
        let lengths: Vec<_> = self.named.iter().map(|(_, tensor)| length(tensor.numel())).collect();
        let parts = vector.split_with_sizes(lengths.as_slice(), 0);
        let shaped = parts.iter().zip(&self.named);
        shaped.map(|(part, (_, tensor))| part.as_strided(tensor.size(), tensor.stride(), None)).collect()
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What kind of number they are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Writes them to a `.safetensors` file, as they are or rounded to another kind (`Kind::Half` for half the size).
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written; the old file is then still there
    pub fn save(&self, path: &Path, kind: Kind) -> Result<()> {
        let rounded: Vec<_> = self.named.iter().map(|(name, tensor)| (name, tensor.detach().to_kind(kind))).collect();
        write_tensors(path, &rounded)
    }

    /// Takes over the values in a `.safetensors` file. Where that fails, nothing has changed.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, and where a tensor in it is missing, too much or of another shape
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let found = read_tensors(path)?;
        self.assign(&found).map_err(|error| in_file(path, error))
    }

    /// Takes over the values of named tensors, each of which must be there, and no other.
    ///
    /// # Errors
    /// [`Error::NamedArray`] and [`Error::UnknownArray`]
    pub fn assign(&mut self, found: &[(String, Tensor)]) -> Result<()> {
        assign(&mut self.named, found)
    }

    /// Stores the weights of convolutions with their channels last, which is faster where libtorch's convolutions work that
    /// way inside. No value changes. This comes before an optimiser is made, since its moments follow the parameters' order.
    pub fn channels_last(&mut self) {
        self.channels_last = true;
        no_grad(|| {
            for (_, tensor) in self.named.iter_mut().filter(|(_, tensor)| tensor.dim() == 4) {
                let last = channels_last(tensor);
                tensor.set_data(&last);
            }
        });
    }

    /// The same numbers in the memory order of the parameters.
    pub(super) fn laid_out(&self, x: &Tensor) -> Tensor {
        if self.channels_last && x.dim() == 4 { channels_last(x) } else { x.contiguous() }
    }
}

/// The numbers of a tensor in the order in which those of a parameter of its shape lie in memory.
fn flat(tensor: &Tensor, parameter: &Tensor) -> Tensor {
    let count = [length(parameter.numel())];
    if tensor.stride() == parameter.stride() {
        return tensor.as_strided(count, [1], None);
    }
    let mut moved = parameter.detach().empty_like();
    moved.copy_(tensor);
    moved.as_strided(count, [1], None)
}

/// The same tensor (N, channels, height, width), with the channels next to each other in memory.
pub(super) fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Copies the values of the `found` tensors into those of the same names. Where that fails, nothing has changed.
fn assign(named: &mut [(String, Tensor)], found: &[(String, Tensor)]) -> Result<()> {
    if let Some((name, _)) = found.iter().find(|(name, _)| !named.iter().any(|(mine, _)| mine == name)) {
        return Err(Error::UnknownArray { name: name.clone() });
    }
    let pairs = named.iter_mut().map(|(name, tensor)| {
        let expected = lengths(&tensor.size());
        match found.iter().find(|(other, _)| other == name) {
            Some((_, value)) if value.size() == tensor.size() => Ok((tensor, value)),
            other => {
                let got = other.map(|(_, value)| lengths(&value.size()));
                Err(Error::NamedArray { name: name.clone(), expected, got })
            }
        }
    });
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    no_grad(|| pairs.into_iter().for_each(|(tensor, value)| tensor.copy_(value)));
    Ok(())
}

/// All tensors of a `.safetensors` file, sorted by name.
///
/// # Errors
/// [`Error::File`] where it cannot be read or is not such a file
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut tensors = Tensor::read_safetensors(path).map_err(|error| in_file(path, error))?;
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

/// Writes a `.safetensors` file under a temporary name, and renames it when it is complete.
///
/// # Errors
/// [`Error::File`] where it cannot be written; the old file is then still there
pub fn write_tensors<S: AsRef<str>>(path: &Path, tensors: &[(S, Tensor)]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let on_cpu: Vec<_> =
        tensors.iter().map(|(name, tensor)| (name.as_ref(), tensor.to_device(Device::Cpu).contiguous())).collect();
    let write = || -> std::result::Result<(), tch::TchError> {
        Tensor::write_safetensors(&on_cpu, &part)?;
        File::open(&part)?.sync_all()?;
        Ok(fs::rename(&part, path)?)
    };
    write().map_err(|error| {
        // The half-written file is of no use, and what went wrong with it matters more than whether it can be removed.
        let _ = fs::remove_file(&part);
        in_file(path, error)
    })
}

/// A moving average of the parameters: θ̄ ← μ θ̄ + (1 − μ) θ.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    named: Vec<(String, Tensor)>,
}

impl Average {
    /// An average that begins at the present parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 ≤ `decay` (μ) < 1
    pub fn new(parameters: &Parameters, decay: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::OutOfRange {
                name: "the decay of the average",
                expected: "0 or above, below 1",
                got: decay,
            });
        }
        let named = parameters.named.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy())).collect();
        Ok(Self { decay, named })
    }

    /// Moves on towards the present parameters.
    // ANCHOR: average_update
    pub fn update(&mut self, parameters: &Parameters) {
        no_grad(|| {
            for ((_, average), (_, tensor)) in self.named.iter_mut().zip(&parameters.named) {
                let _ = average.lerp_(tensor, 1.0 - self.decay);
            }
        });
    }
    // ANCHOR_END: average_update

    /// Takes over the values of named tensors, each of which must be there, and no other.
    ///
    /// # Errors
    /// [`Error::NamedArray`] and [`Error::UnknownArray`]
    pub fn assign(&mut self, found: &[(String, Tensor)]) -> Result<()> {
        assign(&mut self.named, found)
    }

    /// θ̄ by name.
    pub fn named(&self) -> &[(String, Tensor)] {
        &self.named
    }
}

/// Scales a [gradient](Parameters::gradient) down so that its norm is at most `max_norm`; the norm before that, still on the
/// device.
///
/// Source: Pascanu, Mikolov, Bengio 2013, algorithm 1; what is added to the norm is PyTorch's.
///
/// # Errors
/// [`Error::OutOfRange`] unless `max_norm` is a finite number above 0
pub fn clip_grad_norm(gradient: &mut Tensor, max_norm: f64) -> Result<Tensor> {
    if !(max_norm.is_finite() && max_norm > 0.0) {
        return Err(Error::OutOfRange { name: "max_norm", expected: "a finite number above 0", got: max_norm });
    }
    let norm = gradient.norm();
    let scale = ((&norm + CLIP_EPSILON).reciprocal() * max_norm).clamp_max(1.0);
    *gradient *= &scale;
    Ok(norm)
}
