//! The S-curve's network, with gradients by autograd.

use tch::{Device, Kind, Tensor};

use super::layers::{Embedding, Linear};
use super::schedule::length;
use super::unet::ImageNetwork;
use super::weights::Parameters;
use crate::error::{Error, Result};

/// ε_θ(x_t, t) for points: linear layers with ReLU between them, and a table row for t added before each ReLU.
#[derive(Debug)]
pub struct MlpDiffusion {
    parameters: Parameters,
    inputs: i64,
    linears: Vec<Linear>,
    embeddings: Vec<Embedding>,
}

impl MlpDiffusion {
    /// A network with the given widths, from the input's to the output's, drawn as PyTorch draws it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than three widths and for a width of 0; [`Error::NoTimesteps`] where T = 0
    /// # Examples
    /// ```
    /// use literate_diffusion::{paper, torch::{mlp::MlpDiffusion, tch::{Device, Kind}, unet::ImageNetwork}};
    /// let net = MlpDiffusion::new(&paper::CLASSIC_WIDTHS, 100, Device::Cpu, Kind::Float)?;
    /// assert_eq!(net.parameters().count(), 72_066);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn new(widths: &[usize], timesteps: usize, device: Device, kind: Kind) -> Result<Self> {
        if widths.len() < 3 {
            let got = widths.len() as f64;
            return Err(Error::OutOfRange { name: "the number of widths", expected: "3 or more", got });
        }
        if widths.contains(&0) {
            return Err(Error::OutOfRange { name: "a width", expected: "1 or more", got: 0.0 });
        }
        if timesteps == 0 {
            return Err(Error::NoTimesteps);
        }
        let mut parameters = Parameters::new(device, kind);
        let layers = widths.windows(2).enumerate();
        // The ReLUs have the odd numbers.
        let linears =
            layers.map(|(i, pair)| Linear::new(&mut parameters, &format!("linears.{}", 2 * i), pair[0], pair[1]));
        let linears = linears.collect();
        let hidden = widths[1..widths.len() - 1].iter().enumerate();
        let embeddings = hidden
            .map(|(i, &width)| Embedding::new(&mut parameters, &format!("step_embeddings.{i}"), timesteps, width));
        let embeddings = embeddings.collect();
        Ok(Self { parameters, inputs: length(widths[0]), linears, embeddings })
    }
}

impl ImageNetwork for MlpDiffusion {
    /// ε_θ for x of shape (N, 2) and N indices t − 1.
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        let samples = x.size().first().copied().unwrap_or(0);
        super::has_shape("x", &[samples, self.inputs], x)?;
        super::has_shape("index", &[samples], index)?;
        // In place: for so small a network, making room for another result takes as long as computing it.
        let mut h = x.shallow_clone();
        for (linear, table) in self.linears.iter().zip(&self.embeddings) {
            let mut sum = linear.forward(&h);
            sum += table.forward("the index", index)?;
            h = sum.relu_();
        }
        Ok(self.linears.last().map_or_else(|| h.shallow_clone(), |linear| linear.forward(&h)))
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}
