//! Which network, with which schedule: everything that a checkpoint has to say so that its weights can be used.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use literate_diffusion::objective::Prediction;
use literate_diffusion::paper::{DDPM_BETA_1, DDPM_BETA_T};
use literate_diffusion::torch::Schedule;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::unet::{ImageNetwork, PlainUnet, ResidualUnet, ResidualUnetConfig, TimeChannelNet};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::DATA_SET;
use crate::support::checkpoint::CheckpointError;
use crate::support::tensors::Tensors;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The U-Net of the book: residual blocks, each of which is told t
    ResidualUnet,
    /// A U-Net that ignores t, to show what that costs
    PlainUnet,
    /// Four convolutions that take t/T as a second channel; T = 300, batch 128, 10 epochs, 16 samples
    TimeChannel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Predict the noise
    Eps,
    /// Predict the data
    X0,
    /// Predict the velocity
    V,
}

impl From<Objective> for Prediction {
    fn from(objective: Objective) -> Self {
        match objective {
            Objective::Eps => Self::Eps,
            Objective::X0 => Self::X0,
            Objective::V => Self::V,
        }
    }
}

/// A network, its schedule and what it predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub data: String,
    pub network: Network,
    pub widths: Vec<usize>,
    /// Classes that the network is told; 0 for none.
    pub classes: usize,
    pub attention: bool,
    pub dropout: f64,
    pub timesteps: usize,
    pub objective: Objective,
}

impl Model {
    /// The untrained network of a seed, its convolutions' channels last in memory.
    pub fn network(&self, seed: u64, device: Device) -> Outcome<Box<dyn ImageNetwork>> {
        let mut net = drawn(seed, Stream::Weights, 0, || self.draw(device))?;
        net.parameters_mut().channels_last();
        Ok(net)
    }

    fn draw(&self, device: Device) -> literate_diffusion::Result<Box<dyn ImageNetwork>> {
        let kind = Kind::Float;
        Ok(match self.network {
            Network::PlainUnet => Box::new(PlainUnet::new(DATA_SET.channels, device, kind)),
            Network::TimeChannel => Box::new(TimeChannelNet::new(self.timesteps, device, kind)?),
            Network::ResidualUnet => {
                let config = ResidualUnetConfig {
                    channels: DATA_SET.channels,
                    widths: self.widths.clone(),
                    classes: self.classes,
                    attention: self.attention,
                    dropout: self.dropout,
                };
                Box::new(ResidualUnet::new(config, device, kind)?)
            }
        })
    }

    /// β from 1e-4 to 0.02 on a straight line, whatever T is.
    pub fn schedule(&self) -> literate_diffusion::Result<Schedule> {
        Schedule::linear(self.timesteps, DDPM_BETA_1, DDPM_BETA_T)
    }

    /// Writes weights alone, with the model in words, rounded to a kind of number.
    pub fn save_weights(&self, path: &Path, weights: &[(String, Tensor)], kind: Kind) -> Outcome<()> {
        let tensors = weights.iter().map(|(name, tensor)| (name.clone(), tensor.to_kind(kind))).collect();
        let words = BTreeMap::from([("model".to_owned(), serde_json::to_string(self)?)]);
        Ok(Tensors { kind: format!("weights of {}", DATA_SET.name), words, tensors }.save(path)?)
    }

    /// The model that a file says it holds.
    pub fn of_file(path: &Path, file: &Tensors) -> Result<Self, CheckpointError> {
        let damaged = |error: serde_json::Error| CheckpointError::Damaged {
            path: path.to_owned(),
            reason: format!("what it says of its network cannot be read: {error}"),
        };
        serde_json::from_str(file.word(path, "model")?).map_err(damaged)
    }
}
