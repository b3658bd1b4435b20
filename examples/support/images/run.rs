//! A training run: where it stands, what it writes, and how it goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use literate_diffusion::torch::dataset::Dataset;
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::trainer::{TENTHS, Trainer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::model::{Name, Network};
use super::record::{command, record};
use super::train::Setting;
use super::{Outcome, grid, sample};
use crate::DATA_SET;
use crate::support::checkpoint::CheckpointError;
use crate::support::cli::quoted;
use crate::support::files::{lock, write_atomically};
use crate::support::plot::{Axes, BLUE, Curve, Figure, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use crate::support::tensors::Tensors;

/// Steps between rows of the metrics, and between looks at the loss where the device does not wait for the host.
const ROW: usize = 50;

pub struct Run {
    pub setting: Setting,
    pub trainer: Trainer,
    pub data: Dataset,
    out: PathBuf,
    device: Device,
    /// How many samples are shown after each epoch.
    samples: usize,
    progress: Progress,
    /// The sum of the losses since the last row, on the device.
    recent: Tensor,
    recent_steps: usize,
    recent_pictures: i64,
    row_began: Instant,
    /// Of the pictures of the present row, those that this run has not seen itself.
    pictures_before: i64,
    began: Instant,
    last_loss: f64,
    rate: f64,
    /// Held as long as the run goes on.
    _lock: File,
}

/// What a run has found so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    /// What was typed to begin.
    #[serde(default)]
    command: String,
    /// For each epoch that is done, the mean loss over each tenth of 1..=T, where it had a sample.
    losses_over_t: Vec<[Option<f64>; TENTHS]>,
    rows: Vec<Row>,
    /// Of the steps that no row has yet.
    recent_loss: f64,
    recent_steps: usize,
    recent_pictures: i64,
    seconds: f64,
}

/// A row of the metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    step: usize,
    epoch: usize,
    loss: f64,
    rate: f64,
    seconds: f64,
}

/// Where a run begins: afresh, or at a checkpoint.
pub struct Start {
    setting: Setting,
    progress: Progress,
    checkpoint: Option<(PathBuf, Tensors)>,
}

impl Start {
    pub fn new(setting: Setting) -> Self {
        Self { setting, progress: Progress { command: command(), ..Progress::default() }, checkpoint: None }
    }

    pub fn of_checkpoint(path: &Path) -> Outcome<Self> {
        let file = Tensors::load(path)?;
        if file.kind != kind() {
            let (path, got) = (path.to_owned(), file.kind);
            return Err(CheckpointError::Foreign { path, got, expected: kind() }.into());
        }
        let damaged =
            |error: serde_json::Error| CheckpointError::damaged(path, format!("its settings cannot be read: {error}"));
        let setting: Setting = serde_json::from_str(file.word(path, "setting")?).map_err(damaged)?;
        setting.check().map_err(|reason| CheckpointError::damaged(path, reason))?;
        Ok(Self {
            setting,
            progress: serde_json::from_str(file.word(path, "progress")?).map_err(damaged)?,
            checkpoint: Some((path.to_owned(), file)),
        })
    }
}

impl Run {
    /// Begins, once the folder is this run's alone and the data is that of the checkpoint.
    pub fn begin(start: Start, out: &Path, data: Dataset, device: Device, samples: Option<usize>) -> Outcome<Self> {
        let lock = lock(out)?;
        let Start { setting, progress, checkpoint } = start;
        let net = setting.model.network(setting.seed, device)?;
        let mut trainer = Trainer::new(net, &setting.model.schedule()?, setting.for_trainer())?;
        if let Some((path, file)) = &checkpoint {
            same_pictures(path, file, &data)?;
            let steps = file.word(path, "steps")?;
            let steps = steps.parse().map_err(|_| format!("{}: the step is {steps:?}", path.display()))?;
            trainer.load(&file.tensors, steps).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let run = Self {
            trainer,
            data,
            out: out.to_owned(),
            device,
            samples: samples.unwrap_or(if setting.model.network == Network::TimeChannel { 16 } else { 64 }),
            recent: Tensor::zeros([], (Kind::Double, device)) + progress.recent_loss,
            recent_steps: progress.recent_steps,
            recent_pictures: progress.recent_pictures,
            row_began: Instant::now(),
            pictures_before: progress.recent_pictures,
            began: Instant::now(),
            last_loss: f64::NAN,
            rate: f64::NAN,
            progress,
            setting,
            _lock: lock,
        };
        run.save()?; // Learn before the work, not after, that the folder cannot be written.
        Ok(run)
    }

    fn steps_per_epoch(&self) -> usize {
        self.data.count().div_ceil(self.setting.batch)
    }

    pub fn total_steps(&self) -> usize {
        self.setting.epochs * self.steps_per_epoch()
    }

    /// The epoch of the next step, from 1.
    fn epoch(&self) -> usize {
        self.trainer.steps() / self.steps_per_epoch() + 1
    }

    pub fn at_end_of_epoch(&self) -> bool {
        self.trainer.steps().is_multiple_of(self.steps_per_epoch())
    }

    /// The order of the data in the present epoch.
    pub fn order(&self) -> Tensor {
        self.data.order(self.setting.seed, self.epoch())
    }

    /// The indices of the next batch; the last one of an epoch has what is left.
    pub fn indices(&self, order: &Tensor) -> Tensor {
        let begin = (self.trainer.steps() % self.steps_per_epoch()) * self.setting.batch;
        let length = self.setting.batch.min(self.data.count() - begin);
        order.narrow(0, begin as i64, length as i64)
    }

    /// Takes note of a step's loss, and writes a row of the metrics now and then.
    pub fn note(&mut self, loss: &Tensor, pictures: i64) -> Outcome<()> {
        self.recent += loss;
        self.recent_steps += 1;
        self.recent_pictures += pictures;
        if self.device == Device::Cpu {
            self.last_loss = loss.double_value(&[]);
            if !self.last_loss.is_finite() {
                self.check()?;
            }
        }
        if self.recent_steps == ROW || self.at_end_of_epoch() {
            self.end_row()?;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Outcome<()> {
        self.check()?;
        let step = self.trainer.steps();
        self.last_loss = self.recent.double_value(&[]) / self.recent_steps as f64;
        self.rate = (self.recent_pictures - self.pictures_before) as f64 / self.row_began.elapsed().as_secs_f64();
        let epoch = (step - 1) / self.steps_per_epoch() + 1;
        let seconds = self.seconds();
        self.progress.rows.push(Row { step, epoch, loss: self.last_loss, rate: self.rate, seconds });
        self.write_metrics()?;
        let _ = self.recent.zero_();
        (self.recent_steps, self.recent_pictures, self.pictures_before, self.row_began) = (0, 0, 0, Instant::now());
        Ok(())
    }

    /// Stops, with the step and what is left to go on from, where the loss is no longer a number.
    fn check(&self) -> Outcome<()> {
        let last = self.checkpoint_path();
        self.trainer.check().map_err(|error| {
            format!(
                "training stopped: {error}; the last good checkpoint is {}; train anew with a smaller --lr",
                last.display()
            )
            .into()
        })
    }

    /// Seconds of work, those before a stop included.
    fn seconds(&self) -> f64 {
        self.progress.seconds + self.began.elapsed().as_secs_f64()
    }

    pub fn message(&self) -> String {
        let epoch = self.epoch().min(self.setting.epochs);
        // There is none before the first row.
        let rate = if self.rate.is_finite() { format!("  {:.0} images/s", self.rate) } else { String::new() };
        format!("epoch {epoch}  loss {:.4}{rate}", self.last_loss)
    }

    fn checkpoint_path(&self) -> PathBuf {
        checkpoint_path(&self.out)
    }

    /// Writes the checkpoint.
    pub fn save(&self) -> Outcome<()> {
        self.check()?;
        let progress = Progress {
            recent_loss: self.recent.double_value(&[]),
            recent_steps: self.recent_steps,
            recent_pictures: self.recent_pictures,
            seconds: self.seconds(),
            ..self.progress.clone()
        };
        let words = [
            ("setting", serde_json::to_string(&self.setting)?),
            ("model", serde_json::to_string(&self.setting.model)?),
            ("progress", serde_json::to_string(&progress)?),
            ("steps", self.trainer.steps().to_string()),
            ("pictures", self.data.fingerprint()),
        ];
        let words = words.into_iter().map(|(name, word)| (name.to_owned(), word)).collect::<BTreeMap<_, _>>();
        Ok(Tensors { kind: kind(), words, tensors: self.trainer.state() }.save(&self.checkpoint_path())?)
    }

    /// The losses over t, samples, the weights and the checkpoint.
    pub fn end_epoch(&mut self) -> Outcome<()> {
        self.check()?;
        let losses = self.trainer.losses().map(|loss| loss.is_finite().then_some(loss));
        self.progress.losses_over_t.push(losses);
        self.trainer.forget_losses();
        self.write_losses_over_t()?;
        self.write_record()?;
        let model = &self.setting.model;
        model.save_weights(&self.out.join("weights.safetensors"), &self.trainer.best(), Kind::Float)?;
        self.save()?;
        self.draw_samples()?;
        self.row_began = Instant::now();
        Ok(())
    }

    /// A grid of samples, by DDIM in 50 steps, from the same noise after each epoch.
    fn draw_samples(&mut self) -> Outcome<()> {
        if self.samples == 0 {
            return Ok(());
        }
        let model = &self.setting.model;
        let mut net = model.network(self.setting.seed, self.device)?;
        net.parameters_mut().assign(&self.trainer.best())?;
        let samples = sample::quick(net.as_ref(), model, self.setting.seed, self.setting.precision, self.samples)?;
        let path = self.out.join(format!("samples-epoch-{:02}.png", self.progress.losses_over_t.len()));
        grid::write(&path, &samples, self.samples.isqrt())
    }

    fn write_metrics(&self) -> Outcome<()> {
        let rows = self
            .progress
            .rows
            .iter()
            .map(|row| format!("{},{},{:.6},{:.1},{:.1}\n", row.step, row.epoch, row.loss, row.rate, row.seconds));
        let csv = format!("step,epoch,loss,images_per_second,seconds\n{}", rows.collect::<String>());
        Ok(write_atomically(&self.out.join("metrics.csv"), csv.as_bytes())?)
    }

    /// The mean loss of each tenth of 1..=T after each epoch, as a figure with its JSON.
    fn write_losses_over_t(&self) -> Outcome<()> {
        let colours = [SKY, BLUE, GREEN, ORANGE, VERMILION, PURPLE];
        let middle = |tenth: usize| (tenth as f64 + 0.5) * self.setting.model.timesteps as f64 / TENTHS as f64;
        let epochs = &self.progress.losses_over_t;
        let labels: Vec<String> = (1..=epochs.len()).map(|epoch| format!("epoch {epoch}")).collect();
        let shown = shown_epochs(epochs.len()).into_iter().zip(colours);
        let curves = shown.map(|(epoch, colour)| {
            let losses = epochs[epoch - 1].iter().enumerate();
            let points = losses.filter_map(|(tenth, loss)| Some((middle(tenth), (*loss)?))).collect();
            Curve { label: &labels[epoch - 1], colour, points, dashed: false }
        });
        let alt = "The mean squared error of each tenth of the times, one curve for an epoch.";
        let name = format!("{}-loss-over-t", DATA_SET.name);
        let axes = Axes { x: "t", y: "mean squared error", log_y: true };
        Figure { folder: &self.out, name: &name, alt }.curves(&axes, &curves.collect::<Vec<_>>())?;
        let json = serde_json::to_string(&self.progress.losses_over_t)?;
        Ok(write_atomically(&self.out.join("losses-over-t.json"), json.as_bytes())?)
    }

    /// What was typed, how long it took, and what came of it, for the book.
    fn write_record(&self) -> Outcome<()> {
        let Setting { model, epochs, batch, lr, class_dropout, precision, seed, .. } = &self.setting;
        let epochs_over_t = &self.progress.losses_over_t;
        let means: Vec<f64> = epochs_over_t.iter().map(mean_of_tenths).collect();
        let more = json!({
            "command": self.progress.command,
            "data": { "name": DATA_SET.name, "train": self.data.count() },
            "parameters": self.trainer.net().parameters().count(),
            "timesteps": model.timesteps,
            "epochs": epochs,
            "batch": batch,
            "lr": lr,
            "class_dropout": (model.classes > 0).then_some(class_dropout),
            "losses_over_t": { "tenths_of": model.timesteps, "epochs": epochs_over_t, "mean_of_epoch": means },
            "rows": self.progress.rows,
        });
        let record = record(self.device, &model.to_string(), *seed, self.seconds(), &precision.name(), more);
        let json = serde_json::to_string_pretty(&record)?;
        Ok(write_atomically(&self.out.join("training.json"), json.as_bytes())?)
    }

    pub fn how_to_go_on(&self) -> String {
        let (done, total, path) = (self.trainer.steps(), self.total_steps(), self.checkpoint_path());
        format!("Stopped after step {done} of {total}. To go on: train --resume {}", quoted(&path.to_string_lossy()))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { model, epochs, batch, lr, seed, .. } = &self.setting;
        let count = self.trainer.net().parameters().count();
        writeln!(f, "{model}; {count} parameters, on {:?}", self.device)?;
        write!(f, "{epochs} epochs, batch {batch}, learning rate {lr}, seed {seed}, from step {}", self.trainer.steps())
    }
}

/// The mean over those tenths that have a loss.
fn mean_of_tenths(losses: &[Option<f64>; TENTHS]) -> f64 {
    let there: Vec<f64> = losses.iter().copied().flatten().collect();
    there.iter().sum::<f64>() / there.len() as f64
}

/// Fails unless a checkpoint was trained with these very pictures.
fn same_pictures(path: &Path, file: &Tensors, data: &Dataset) -> Result<(), CheckpointError> {
    let (got, expected) = (file.word(path, "pictures")?.to_owned(), data.fingerprint());
    if got == expected {
        return Ok(());
    }
    let (path, what) = (path.to_owned(), "pictures (their number, the sum of their bytes)".to_owned());
    Err(CheckpointError::Different { path, what, got, expected, hint: "; give the --data of its training" })
}

/// Where a run in a folder has its checkpoint.
pub fn checkpoint_path(out: &Path) -> PathBuf {
    out.join("checkpoint.safetensors")
}

/// What a checkpoint of this program says that it is.
fn kind() -> String {
    format!("training {}", DATA_SET.name)
}

/// At most six epochs, the first and the last among them.
fn shown_epochs(epochs: usize) -> Vec<usize> {
    let count = epochs.min(6);
    let last = count.max(2) - 1;
    (0..count).map(|i| 1 + i * (epochs - 1) / last).collect()
}
