//! `train`: the arguments, and algorithm 1 from batch to batch.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use literate_diffusion::data::Split;
use literate_diffusion::paper::MIN_SNR_GAMMA;
use literate_diffusion::torch::dataset::Dataset;
use literate_diffusion::torch::tch::Kind;
use literate_diffusion::torch::trainer::{Settings, Weighting};
use serde::{Deserialize, Serialize};

use super::model::{MOST_WIDTH, Model, Name, Network, Objective};
use super::run::{Run, Start, checkpoint_path};
use super::sample::MOST_PICTURES;
use super::{Machine, Outcome, load, out, usage};
use crate::DATA_SET;
use crate::support::files::folder_of;
use crate::support::{cli, data};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The network to train
    #[arg(long, value_enum, default_value_t = Network::ResidualUnet)]
    network: Network,
    /// Channels at each level of residual-unet, from fine to coarse; multiples of 8 [default: 64,128,256]
    #[arg(long, value_delimiter = ',', value_parser = width)]
    widths: Option<Vec<usize>>,
    /// Tell residual-unet the class of each picture, so that classes can be asked for
    #[arg(long)]
    conditional: bool,
    /// Self-attention at the coarsest level of residual-unet
    #[arg(long)]
    attention: bool,
    /// The share of residual-unet's activations that are dropped
    #[arg(long, value_parser = cli::less_than_one, default_value_t = 0.0)]
    dropout: f64,
    /// T; beta rises from 1e-4 to 0.02 [default: 1000, time-channel: 300]
    #[arg(long, value_parser = cli::count)]
    timesteps: Option<usize>,
    #[arg(long, help = format!("Passes over the data [default: {}, time-channel: 10]", DATA_SET.epochs),
          value_parser = cli::count)]
    epochs: Option<usize>,
    /// Pictures in a batch [default: 64, time-channel: 128]
    #[arg(long, value_parser = cli::count)]
    batch: Option<usize>,
    /// Adam's learning rate
    #[arg(long, value_parser = cli::positive, default_value_t = 1e-3)]
    lr: f64,
    /// What the network predicts
    #[arg(long, value_enum, default_value_t = Objective::Eps)]
    objective: Objective,
    /// How the errors at different t are weighted
    #[arg(long, value_enum, default_value_t = Weights::Simple)]
    weighting: Weights,
    /// The decay of the running average of the weights, which samples are made with; 0 for none
    #[arg(long, value_parser = cli::less_than_one, default_value_t = 0.999)]
    ema: f64,
    /// The share of pictures whose class is kept from the network, for guidance
    #[arg(long, value_parser = cli::share, default_value_t = 0.1)]
    class_dropout: f64,
    /// Clip the gradient's norm to this [default: not clipped]
    #[arg(long, value_parser = cli::positive)]
    max_norm: Option<f64>,
    #[arg(long, help = format!("Mirror each picture with probability 1/2 [default: {}]", DATA_SET.flips))]
    flips: Option<bool>,
    /// The numbers that the network computes with; its weights are f32 in any case
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, help = format!("Folder of the data [default: ${}, else target/data/{}, else pictures that come with the \
                                program]", data::VARIABLE, DATA_SET.name))]
    data: Option<PathBuf>,
    #[arg(long, help = format!("Folder for checkpoints, pictures and metrics [default: {}, with --resume: the \
                                checkpoint's]", out().display()))]
    out: Option<PathBuf>,
    /// Write over the checkpoint of another run in the folder
    #[arg(long)]
    overwrite: bool,
    /// Samples to show after each epoch [default: 64, time-channel: 16]
    #[arg(long, value_parser = shown)]
    samples: Option<usize>,
    /// Minutes between checkpoints within an epoch
    #[arg(long, value_parser = minutes, default_value = "5")]
    save_every: Duration,
    #[command(flatten)]
    machine: Machine,
    /// Go on from this checkpoint, with its settings, as if there had been no stop
    #[arg(long, value_name = "CHECKPOINT",
          conflicts_with_all = ["network", "widths", "conditional", "attention", "dropout", "timesteps", "epochs",
                                "batch", "lr", "objective", "weighting", "ema", "class_dropout", "max_norm", "flips",
                                "precision", "seed"])]
    resume: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// All alike: L_simple
    Simple,
    /// As the variational bound does
    Elbo,
    /// By the signal-to-noise ratio, cut at 5
    MinSnr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits
    F32,
    /// 16 bits with the range of 32
    Bf16,
}

impl Precision {
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// For clap: the channels of a level.
fn width(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(width) if (1..=MOST_WIDTH).contains(&width) && width % 8 == 0 => Ok(width),
        _ => Err(format!("a width must be a multiple of 8, since GroupNorm makes 8 groups, and at most {MOST_WIDTH}")),
    }
}

/// For clap: a number of samples to show, or none.
fn shown(text: &str) -> Result<usize, String> {
    cli::within(text, 0, MOST_PICTURES)
}

/// For clap: a time, given in minutes.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = cli::positive(text)?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|_| "it is too long a time".to_owned())
}

/// The model that the arguments ask for.
fn model(arguments: &Arguments) -> Model {
    let network = arguments.network;
    if network != Network::ResidualUnet {
        let only = [
            ("--widths", arguments.widths.is_some()),
            ("--conditional", arguments.conditional),
            ("--attention", arguments.attention),
            ("--dropout", arguments.dropout > 0.0),
        ];
        if let Some((flag, _)) = only.iter().find(|(_, given)| *given) {
            usage(&format!("{flag} is for --network residual-unet, but {} was asked for", network.name()));
        }
    }
    if network == Network::TimeChannel && DATA_SET.channels != 1 {
        usage(&format!(
            "time-channel takes pictures of one colour, but those of {} have {}",
            DATA_SET.name, DATA_SET.channels
        ));
    }
    let widths = match (&arguments.widths, network) {
        (Some(widths), _) => widths.clone(),
        (None, Network::ResidualUnet) => vec![64, 128, 256],
        (None, _) => Vec::new(),
    };
    let side = DATA_SET.side;
    let most = 1 + side.trailing_zeros() as usize;
    if widths.len() > most {
        usage(&format!("a side of {side} pixels can be halved {} times, so give at most {most} --widths", most - 1));
    }
    Model {
        data: DATA_SET.name.to_owned(),
        network,
        widths,
        classes: if arguments.conditional { DATA_SET.classes } else { 0 },
        attention: arguments.attention,
        dropout: arguments.dropout,
        timesteps: arguments.timesteps.unwrap_or(network.timesteps()),
        objective: arguments.objective,
    }
}

/// All that a run's result follows from, but for the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub model: Model,
    pub epochs: usize,
    pub batch: usize,
    pub lr: f64,
    pub weighting: Weights,
    pub ema: f64,
    pub class_dropout: f64,
    pub max_norm: Option<f64>,
    pub flips: bool,
    pub precision: Precision,
    pub seed: u64,
}

impl Setting {
    pub fn new(arguments: &Arguments) -> Self {
        let (epochs, batch) = match arguments.network {
            Network::TimeChannel => (10, 128),
            Network::ResidualUnet | Network::PlainUnet => (DATA_SET.epochs, 64),
        };
        let model = model(arguments);
        Self {
            model,
            epochs: arguments.epochs.unwrap_or(epochs),
            batch: arguments.batch.unwrap_or(batch),
            lr: arguments.lr,
            weighting: arguments.weighting,
            ema: arguments.ema,
            class_dropout: arguments.class_dropout,
            max_norm: arguments.max_norm,
            flips: arguments.flips.unwrap_or(DATA_SET.flips),
            precision: arguments.precision,
            seed: arguments.seed,
        }
    }

    /// What is wrong with a setting that a file holds: one of the command line was checked there, within the same limits.
    pub fn check(&self) -> Result<(), String> {
        self.model.check()?;
        let shares = [("class_dropout", self.class_dropout, 1.0), ("ema", self.ema, 1.0_f64.next_down())];
        if let Some((name, got, _)) = shares.into_iter().find(|(_, got, most)| !(0.0..=*most).contains(got)) {
            return Err(format!("its {name} is {got}, but it must lie between 0 and 1"));
        }
        let counts = [("epochs", self.epochs), ("batch", self.batch)];
        if let Some((name, got)) = counts.into_iter().find(|(_, got)| !(1..=cli::MOST).contains(got)) {
            return Err(format!("its {name} is {got}, but it must lie between 1 and {}", cli::MOST));
        }
        Ok(())
    }

    pub fn for_trainer(&self) -> Settings {
        Settings {
            prediction: self.model.objective.into(),
            weighting: match self.weighting {
                Weights::Simple => Weighting::Simple,
                Weights::Elbo => Weighting::Elbo,
                Weights::MinSnr => Weighting::MinSnr(MIN_SNR_GAMMA),
            },
            lr: self.lr,
            ema: (self.ema != 0.0).then_some(self.ema),
            max_norm: self.max_norm,
            class_dropout: self.class_dropout,
            antithetic: false,
            flips: self.flips,
            precision: self.precision.kind(),
            seed: self.seed,
        }
    }
}

/// Whether two paths lead to one file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Arguments {
    /// What a checkpoint does not know, to be given again where a run goes on.
    fn repeated(&self) -> String {
        let data = self.data.as_ref().map(|data| ("--data", data.display().to_string()));
        let samples = self.samples.map(|samples| ("--samples", samples.to_string()));
        let minutes = self.save_every.as_secs_f64() / 60.0;
        let save_every = (minutes != 5.0).then(|| ("--save-every", minutes.to_string()));
        let flags = [data, samples, save_every].into_iter().flatten().chain(self.machine.given());
        flags.map(|(flag, value)| format!(" {flag} {}", cli::quoted(&value))).collect()
    }
}

/// Trains, from the beginning or from a checkpoint.
pub fn train(arguments: &Arguments) -> Outcome<()> {
    let device = arguments.machine.prepare()?;
    let start = match &arguments.resume {
        None => Start::new(Setting::new(arguments)),
        Some(path) => Start::of_checkpoint(path)?,
    };
    let of_checkpoint = arguments.resume.as_ref().map(|path| folder_of(path).to_owned());
    let out = arguments.out.clone().or(of_checkpoint).unwrap_or_else(out);
    let checkpoint = checkpoint_path(&out);
    let resumed = |path: &PathBuf| same_file(path, &checkpoint);
    if checkpoint.exists() && !arguments.overwrite && !arguments.resume.as_ref().is_some_and(resumed) {
        let checkpoint = checkpoint.display();
        return Err(format!(
            "{checkpoint} is there already; go on from it with --resume, choose another --out, or give --overwrite"
        )
        .into());
    }
    let data = Dataset::new(&load(arguments.data.as_deref(), Split::Train)?, device);
    let mut run = Run::begin(start, &out, data, device, arguments.samples)?;
    println!("{run}");
    if learn(&mut run, arguments.save_every)? {
        println!("done: {} has the checkpoint, the weights, the samples and the metrics", out.display());
    } else {
        println!("{}{}", run.how_to_go_on(), arguments.repeated());
    }
    Ok(())
}

/// Algorithm 1, batch by batch. False where Ctrl-C ended it; all is saved in either case.
// ANCHOR: learn
fn learn(run: &mut Run, every: Duration) -> Outcome<bool> {
    let stop = cli::stop_flag()?;
    let bar = cli::progress(run.total_steps() as u64, run.trainer.steps() as u64, "training", "steps");
    let mut order = run.order();
    let mut saved = Instant::now();
    while run.trainer.steps() < run.total_steps() {
        if stop.load(Ordering::SeqCst) {
            bar.abandon();
            run.save()?;
            return Ok(false);
        }
        let (x0, labels) = run.data.batch(&run.indices(&order));
        let conditional = run.setting.model.classes > 0;
        let loss = run.trainer.step(&x0, conditional.then_some(&labels))?;
        run.note(&loss, x0.size()[0])?;
        bar.set_message(run.message());
        bar.inc(1);
        if run.at_end_of_epoch() {
            run.end_epoch()?;
            order = run.order();
            saved = Instant::now();
        } else if saved.elapsed() >= every {
            run.save()?;
            saved = Instant::now();
        }
    }
    bar.finish();
    Ok(true)
}
// ANCHOR_END: learn
