//! `compare`: what single choices of sampling cost, with one classifier and the same noise for all.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use literate_diffusion::data::Split;
use literate_diffusion::objective::Variance::{Beta, BetaTilde};
use literate_diffusion::sampler::LastStep;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::evaluation::{Classifier, Moments, frechet_distance, frechet_yardstick};
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling, to_bytes};
use literate_diffusion::torch::tch::{Kind, Tensor, no_grad};
use literate_diffusion::torch::unet::ImageNetwork;
use serde_json::{Value, json};

use super::evaluate::{Labelled, classifier_of, looks, two_or_more};
use super::model::{Model, Objective, Trained};
use super::record::record;
use super::sample::{shape, shipped};
use super::{Machine, Outcome, grid, load, out, usage};
use crate::DATA_SET;
use crate::support::files::{writable, write_atomically};
use crate::support::{cli, data};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long, help = format!("A file of weights, or a checkpoint, of which the weights without their running average are \
                                measured too [default: {}]", DATA_SET.shipped))]
    weights: Option<PathBuf>,
    #[arg(long, help = format!("Folder of the data [default: ${}, else target/data/{}, else pictures that come with the \
                                program]", data::VARIABLE, DATA_SET.name))]
    data: Option<PathBuf>,
    /// Samples of each kind
    #[arg(long, value_parser = two_or_more, default_value_t = 200)]
    samples: usize,
    /// Passes of the classifier over the training data [default: until it has seen 30,000 pictures]
    #[arg(long, value_parser = cli::count)]
    classifier_epochs: Option<usize>,
    /// Pictures at a time
    #[arg(long, value_parser = cli::count, default_value_t = 100)]
    batch: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for compare.json and a PNG of each kind
    #[arg(long, default_value_os_t = out())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

/// One way to sample.
struct Way {
    name: &'static str,
    steps: usize,
    method: Method,
    clip: bool,
}

fn ways() -> Vec<Way> {
    let ddim = |name, steps| Way { name, steps, method: Method::Ddim(0.0), clip: true };
    let ancestral =
        |name, steps, variance, last| Way { name, steps, method: Method::Ancestral(variance, last), clip: true };
    vec![
        ddim("ddim-5", 5),
        ddim("ddim-10", 10),
        ddim("ddim-20", 20),
        ddim("ddim-50", 50),
        ancestral("ancestral-5", 5, Beta, LastStep::Mean),
        ancestral("ancestral-10", 10, Beta, LastStep::Mean),
        ancestral("ancestral-20", 20, Beta, LastStep::Mean),
        ancestral("ancestral-50", 50, Beta, LastStep::Mean),
        ancestral("beta-tilde-50", 50, BetaTilde, LastStep::Mean),
        ancestral("last-noise-50", 50, Beta, LastStep::Noise),
        Way { clip: false, ..ddim("ddim-20-not-clipped", 20) },
        Way { clip: false, ..ancestral("ancestral-20-not-clipped", 20, Beta, LastStep::Mean) },
    ]
}

/// The pictures that a way is judged by, and who judges.
struct Judge {
    classifier: Classifier,
    real: Moments,
    batch: usize,
}

impl Judge {
    fn judge(&self, samples: &Tensor) -> Outcome<Value> {
        let moments = Moments::of(&self.classifier.features(samples, self.batch)?)?;
        Ok(json!({
            "frechet": frechet_distance(&moments, &self.real)?,
            "classifier": looks(&self.classifier, samples, self.batch)?,
        }))
    }
}

/// Samples in each way, and writes what the classifier makes of it.
pub fn compare(arguments: &Arguments) -> Outcome<()> {
    let began = Instant::now();
    let device = arguments.machine.prepare()?;
    let path = arguments.weights.clone().unwrap_or_else(shipped);
    let trained = Trained::open(&path)?;
    let (model, net) = (&trained.model, trained.network(device)?);
    if model.timesteps < 50 {
        usage(&format!("these weights were trained with T = {}, but 50 steps are compared", model.timesteps));
    }
    let train = Labelled::new(&load(arguments.data.as_deref(), Split::Train)?, device);
    let test = Labelled::new(&load(arguments.data.as_deref(), Split::Test)?, device);
    if 2 * arguments.samples > test.count() {
        usage(&format!(
            "--samples is {}, but there are {} test pictures, half of which is the most",
            arguments.samples,
            test.count()
        ));
    }
    writable(&arguments.out)?;
    let classifier = classifier_of(arguments.classifier_epochs, arguments.seed, &train)?;
    let real = classifier.features(&test.drawn(arguments.samples, arguments.seed), arguments.batch)?;
    let yardstick =
        frechet_yardstick(&classifier.features(&test.pictures, arguments.batch)?, arguments.samples, arguments.seed)?;
    let of_real = looks(&classifier, &test.drawn(arguments.samples, arguments.seed), arguments.batch)?;
    let judge = Judge { classifier, real: Moments::of(&real)?, batch: arguments.batch };

    let mut found = serde_json::Map::new();
    found.insert("real".to_owned(), json!({ "frechet": yardstick, "classifier": of_real }));
    for way in ways() {
        found.insert(way.name.to_owned(), measure(&way, net.as_ref(), model, &judge, arguments)?);
    }
    if let Some(raw) = Trained::without_average(&path)? {
        let way = Way { name: "raw-weights-20", steps: 20, method: Method::Ddim(0.0), clip: true };
        found.insert(way.name.to_owned(), measure(&way, raw.network(device)?.as_ref(), model, &judge, arguments)?);
    }

    let more = json!({
        "data": { "name": DATA_SET.name, "train": train.count(), "test": test.count() },
        "samples": arguments.samples,
        "ways": found,
        "index_off_by_one": off_by_one(net.as_ref(), model, &test, arguments)?,
    });
    let record = record(device, &model.to_string(), arguments.seed, began.elapsed().as_secs_f64(), "f32", more);
    let path = arguments.out.join("compare.json");
    write_atomically(&path, serde_json::to_string_pretty(&record)?.as_bytes())?;
    println!("all numbers: {}", path.display());
    Ok(())
}

/// Samples in one way, writes the first of them as PNG, and has them judged.
fn measure(way: &Way, net: &dyn ImageNetwork, model: &Model, judge: &Judge, arguments: &Arguments) -> Outcome<Value> {
    let began = Instant::now();
    let times = evenly_spaced_times(model.timesteps, way.steps)?;
    let sampling = Sampling {
        prediction: model.objective.into(),
        method: way.method,
        clip: way.clip.then_some((-1.0, 1.0)),
        class: None,
        guidance: 1.0,
        seed: arguments.seed,
        precision: Kind::Float,
    };
    let sampler = Sampler::new(net, &model.schedule()?, &times, sampling)?;
    let mut parts = Vec::new();
    for first in (0..arguments.samples).step_by(arguments.batch) {
        let count = arguments.batch.min(arguments.samples - first);
        parts.push(sampler.sample(first, &shape(count), |_, _| ())?);
    }
    let samples = Tensor::cat(&parts, 0);
    let seconds = began.elapsed().as_secs_f64();
    let device = net.parameters().device();
    let path = arguments.out.join(format!("{}.png", way.name));
    grid::write(&path, &samples.narrow(0, 0, arguments.samples.min(64) as i64), 8)?;
    let of_the_png = record(device, &model.to_string(), arguments.seed, seconds, "f32", json!({ "steps": way.steps }));
    write_atomically(&path.with_extension("json"), serde_json::to_string_pretty(&of_the_png)?.as_bytes())?;

    let mut judged = judge.judge(&to_bytes(&samples).permute([0, 3, 1, 2]).to_device(device))?;
    judged["steps"] = json!(way.steps);
    judged["seconds"] = json!(seconds);
    println!("{}: {judged}", way.name);
    Ok(judged)
}

/// The mean squared error at some t, with the index t − 1 and with t in its place, for the same pictures and noise.
fn off_by_one(net: &dyn ImageNetwork, model: &Model, test: &Labelled, arguments: &Arguments) -> Outcome<Value> {
    let device = net.parameters().device();
    let x0 = test.drawn(arguments.batch.min(test.count()), arguments.seed).to_kind(Kind::Float) / 127.5 - 1.0;
    let eps = drawn(arguments.seed, Stream::Evaluation, 0, || x0.randn_like());
    let mut found = serde_json::Map::new();
    // Beyond T − 1 there is no index one too far.
    for t in [1, 2, 3, 5, 10, 30, 100, 300].into_iter().filter(|&t| t < model.timesteps) {
        let steps = model.schedule()?.at(&[t])?;
        let column = |table: Tensor| table.to_kind(Kind::Float).to_device(device).view([1, 1, 1, 1]);
        let xt = &x0 * column(steps.alpha_bar.sqrt()) + &eps * column(steps.one_minus_alpha_bar.sqrt());
        let target = match model.objective {
            Objective::Eps => eps.shallow_clone(),
            Objective::X0 => x0.shallow_clone(),
            Objective::V => &eps * column(steps.alpha_bar.sqrt()) - &x0 * column(steps.one_minus_alpha_bar.sqrt()),
        };
        let error = |index: usize| {
            let index = Tensor::full([x0.size()[0]], index as i64, (Kind::Int64, device));
            let predicted = no_grad(|| net.forward(&xt, &index))?;
            Ok::<_, literate_diffusion::Error>((predicted - &target).square().mean(Kind::Double).double_value(&[]))
        };
        found.insert(t.to_string(), json!({ "right": error(t - 1)?, "one_too_far": error(t)? }));
    }
    Ok(Value::Object(found))
}
