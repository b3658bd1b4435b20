//! Which network, with which schedule: everything that a checkpoint has to say so that its weights can be used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use literate_diffusion::objective::Prediction;
use literate_diffusion::paper::{DDPM_BETA_1, DDPM_BETA_T, DDPM_TIMESTEPS};
use literate_diffusion::torch::Schedule;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::unet::{ImageNetwork, PlainUnet, ResidualUnet, ResidualUnetConfig, TimeChannelNet};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::DATA_SET;
use crate::support::checkpoint::CheckpointError;
use crate::support::cli::MOST;
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

impl Network {
    /// T unless told otherwise.
    pub fn timesteps(self) -> usize {
        if self == Self::TimeChannel { 300 } else { DDPM_TIMESTEPS }
    }
}

/// The name under which the command line knows a value.
pub trait Name {
    fn name(&self) -> String;
}

impl<V: ValueEnum> Name for V {
    fn name(&self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
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

/// Channels of a level: with more, a network does not fit into memory.
pub const MOST_WIDTH: usize = 4096;

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
    /// The untrained network of a seed.
    pub fn network(&self, seed: u64, device: Device) -> Outcome<Box<dyn ImageNetwork>> {
        let mut net = drawn(seed, Stream::Weights, 0, || self.draw(device))?;
        net.parameters_mut().channels_last();
        Ok(net)
    }

    fn draw(&self, device: Device) -> literate_diffusion::Result<Box<dyn ImageNetwork>> {
        let kind = Kind::Float;
        Ok(match self.network {
            Network::PlainUnet => Box::new(PlainUnet::new(DATA_SET.channels, device, kind)?),
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

    /// What is wrong with a model that a file tells of: one of the command line was checked there, within the same limits.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MOST).contains(&self.timesteps) {
            return Err(format!("its T is {}, but it must lie between 1 and {MOST}", self.timesteps));
        }
        if ![0, DATA_SET.classes].contains(&self.classes) {
            let expected = DATA_SET.classes;
            return Err(format!("it has {} classes, but {} has {expected}, or none", self.classes, DATA_SET.name));
        }
        let widths = if self.network == Network::ResidualUnet { 1..=6 } else { 0..=0 };
        if !widths.contains(&self.widths.len()) {
            return Err(format!("it has {} widths, but {widths:?} were expected", self.widths.len()));
        }
        match self.widths.iter().find(|&&width| width == 0 || width > MOST_WIDTH || width % 8 != 0) {
            Some(width) => Err(format!("a width is {width}, but it must be a multiple of 8, at most {MOST_WIDTH}")),
            None => Ok(()),
        }
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

    /// The model that a file says it holds, or that its tensors tell of where it says nothing.
    fn of_file(path: &Path, file: &Tensors) -> Outcome<Self> {
        let model = match file.word(path, "model") {
            Ok(words) => Self::of_words(path, words)?,
            Err(_) => Self::of_names(path, &file.tensors)?,
        };
        model.check().map_err(|reason| CheckpointError::damaged(path, reason))?;
        Ok(model)
    }

    /// The model that a file says it holds.
    fn of_words(path: &Path, words: &str) -> Outcome<Self> {
        let model: Self = serde_json::from_str(words).map_err(|error| {
            CheckpointError::damaged(path, format!("what it says of its network cannot be read: {error}"))
        })?;
        if model.data != DATA_SET.name {
            let (path, got, expected) = (path.to_owned(), model.data, DATA_SET.name.to_owned());
            return Err(
                CheckpointError::Different { path, what: "data set".to_owned(), got, expected, hint: "" }.into()
            );
        }
        Ok(model)
    }

    /// The model of weights that come from elsewhere: T = 1000, and ε is predicted.
    fn of_names(path: &Path, tensors: &[(String, Tensor)]) -> Outcome<Self> {
        let length = |name: &str, dimension: usize| {
            let tensor = tensors.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
            tensor.and_then(|tensor| usize::try_from(*tensor.size().get(dimension)?).ok())
        };
        let first = ["init_conv.weight", "down1.0.weight", "net.0.weight"];
        let network = match first.map(|name| length(name, 0)) {
            [Some(_), _, _] => Network::ResidualUnet,
            [_, Some(_), _] => Network::PlainUnet,
            [_, _, Some(_)] => Network::TimeChannel,
            _ => {
                let what = format!("array named {}, as the networks of this program do", first.join(" or "));
                return Err(CheckpointError::Missing { path: path.to_owned(), what }.into());
            }
        };
        let coarser = (0..).map_while(|level| length(&format!("down_pools.{level}.weight"), 0));
        Ok(Self {
            data: DATA_SET.name.to_owned(),
            network,
            widths: length("init_conv.weight", 0).into_iter().chain(coarser).collect(),
            // The last row of the table is that of "no class".
            classes: length("class_embedding.weight", 0).map_or(0, |rows| rows.saturating_sub(1)),
            attention: length("attention.qkv.weight", 0).is_some(),
            dropout: 0.0,
            timesteps: network.timesteps(),
            objective: Objective::Eps,
        })
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network.name())?;
        if self.network == Network::ResidualUnet {
            write!(f, " of widths {:?}", self.widths)?;
        }
        if self.classes > 0 {
            write!(f, ", told one of {} classes", self.classes)?;
        }
        write!(f, ", T = {}, predicts {}", self.timesteps, self.objective.name())
    }
}

/// A model with the weights that it was trained to.
pub struct Trained {
    pub model: Model,
    path: PathBuf,
    weights: Vec<(String, Tensor)>,
}

impl Trained {
    /// Fails where a weight is not a finite number.
    fn new(model: Model, path: &Path, weights: Vec<(String, Tensor)>) -> Outcome<Self> {
        let trained = Self { model, path: path.to_owned(), weights };
        trained.check(Kind::Float)?;
        Ok(trained)
    }

    /// From a file of weights, or from a checkpoint, of which it takes the running average where there is one.
    pub fn open(path: &Path) -> Outcome<Self> {
        if !path.exists() {
            let out = super::out();
            let out = out.display();
            let path = path.display();
            return Err(format!(
                "there are no weights at {path}; train with `train`, then give --weights {out}/weights.safetensors"
            )
            .into());
        }
        let file = Tensors::load(path)?;
        let model = Model::of_file(path, &file)?;
        let weights = ["average.", "weights."].into_iter().find_map(|part| file.part(part)).unwrap_or(file.tensors);
        Self::new(model, path, weights)
    }

    /// From a checkpoint, the weights as the last step left them; nothing where the file has no running average beside them.
    pub fn without_average(path: &Path) -> Outcome<Option<Self>> {
        let file = Tensors::load(path)?;
        let model = Model::of_file(path, &file)?;
        let both = file.part("average.").and(file.part("weights."));
        both.map(|weights| Self::new(model, path, weights)).transpose()
    }

    /// Fails where a weight is not a finite number, or too large for a kind of number.
    fn check(&self, kind: Kind) -> Outcome<()> {
        let finite = |tensor: &Tensor| tensor.to_kind(kind).isfinite().all().int64_value(&[]) == 1;
        match self.weights.iter().find(|(_, tensor)| !finite(tensor)) {
            Some((name, _)) => {
                let from = self.path.display();
                Err(format!("{from}: {name} has a number that is not a finite one as {kind:?}; train anew").into())
            }
            None => Ok(()),
        }
    }

    /// Writes the weights alone, with the model in words, rounded to a kind of number. Fails where one is too large for it.
    pub fn save(&self, path: &Path, kind: Kind) -> Outcome<()> {
        self.check(kind)?;
        self.model.save_weights(path, &self.weights, kind)
    }

    /// The network, with these weights.
    pub fn network(&self, device: Device) -> Outcome<Box<dyn ImageNetwork>> {
        let in_file = |error| format!("{}: {error}", self.path.display());
        let mut net = self.model.network(0, device).map_err(|error| format!("{}: {error}", self.path.display()))?;
        net.parameters_mut().assign(&self.weights).map_err(in_file)?;
        Ok(net)
    }
}
