//! `evaluate`: how good a trained network is, in numbers.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use literate_diffusion::data::shapes::Judge;
use literate_diffusion::data::{Pictures, Split};
use literate_diffusion::objective;
use literate_diffusion::posterior::VarianceAtOne;
use literate_diffusion::schedule::evenly_spaced_times;
use literate_diffusion::torch::evaluation::{
    self, Bound, Classifier, Estimate, Learning, Moments, frechet_distance, frechet_yardstick, nearest_distances,
    variational_bound,
};
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::sampler::{Method, Sampler, Sampling, to_bytes};
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::unet::ImageNetwork;
use serde_json::{Value, json};

use super::model::{Model, Trained};
use super::record::{command, device_name};
use super::sample::{Variance, shape, shipped};
use super::{Machine, Outcome, load, out, usage};
use crate::DATA_SET;
use crate::support::files::{writable, write_atomically};
use crate::support::{cli, data, processor};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long, help = format!("A file of weights, or a checkpoint [default: {}]", DATA_SET.shipped))]
    weights: Option<PathBuf>,
    #[arg(long, help = format!("Folder of the data [default: ${}, else target/data/{}, else pictures that come with the \
                                program]", data::VARIABLE, DATA_SET.name))]
    data: Option<PathBuf>,
    /// Test pictures whose variational bound is measured
    #[arg(long, value_parser = two_or_more, default_value_t = 100)]
    pictures: usize,
    /// Parts of 2..=T, of each of which a picture has one t drawn; with T - 1 of them, all terms are computed
    #[arg(long, value_parser = cli::count, default_value_t = 20)]
    ranges: usize,
    /// sigma² of the bound
    #[arg(long, value_enum, default_value_t = Variance::Beta)]
    variance: Variance,
    /// Samples that are compared with as many test pictures; a network that knows classes makes as many of each class
    #[arg(long, value_parser = two_or_more, default_value_t = 100)]
    samples: usize,
    /// Steps of DDIM, at most T
    #[arg(long, value_parser = cli::count, default_value_t = 50)]
    steps: usize,
    /// The weight of guidance, of a network that knows classes; with several, as in 1,2,4, there are samples for each
    #[arg(long, value_parser = cli::finite, value_delimiter = ',', default_value = "1", allow_negative_numbers = true)]
    guidance: Vec<f64>,
    /// Passes of the classifier over the training data [default: until it has seen 30,000 pictures]
    #[arg(long, value_parser = cli::count)]
    classifier_epochs: Option<usize>,
    /// Pictures at a time
    #[arg(long, value_parser = cli::count, default_value_t = 100)]
    batch: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for evaluation.json
    #[arg(long, default_value_os_t = out())]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

/// For clap: a number of pictures that has a spread.
pub fn two_or_more(text: &str) -> Result<usize, String> {
    cli::within(text, 2, cli::MOST)
}

/// Pictures as bytes, (N, channels, height, width), and the class of each.
pub struct Labelled {
    pub pictures: Tensor,
    labels: Tensor,
}

impl Labelled {
    pub fn new(pictures: &Pictures, device: Device) -> Self {
        let bytes = Tensor::from_slice(&pictures.pixels).view(shape(pictures.count()));
        let labels = Tensor::from_slice(&pictures.labels).to_kind(Kind::Int64);
        Self { pictures: bytes.to_device(device), labels: labels.to_device(device) }
    }

    pub fn count(&self) -> usize {
        self.labels.numel()
    }

    /// So many pictures, drawn without putting any back.
    pub fn drawn(&self, count: usize, seed: u64) -> Tensor {
        let all = self.labels.size()[0];
        let order = drawn(seed, Stream::Order, 0, || Tensor::randperm(all, (Kind::Int64, Device::Cpu)));
        self.pictures.index_select(0, &order.narrow(0, 0, count as i64).to_device(self.pictures.device()))
    }
}

/// Measures, prints a table, and writes all numbers as JSON.
pub fn evaluate(arguments: &Arguments) -> Outcome<()> {
    let began = Instant::now();
    let device = arguments.machine.prepare()?;
    let shipped = shipped();
    let trained = Trained::open(arguments.weights.as_deref().unwrap_or(&shipped))?;
    let (model, net) = (&trained.model, trained.network(device)?);
    if arguments.steps > model.timesteps {
        usage(&format!("--steps is {}, but these weights were trained with T = {}", arguments.steps, model.timesteps));
    }
    if model.classes == 0 && arguments.guidance != [1.0] {
        usage(
            "--guidance is for weights that were trained with classes, and these were not; leave it out, or train with --conditional",
        );
    }
    let of = |split| Ok::<_, Box<dyn Error>>(Labelled::new(&load(arguments.data.as_deref(), split)?, device));
    let (train, test) = (of(Split::Train)?, of(Split::Test)?);
    fits(arguments, model, test.count());
    writable(&arguments.out)?;
    println!("{model}; seed {}", arguments.seed);

    let (bound, bound_seconds) = timed(|| bound_of(arguments, net.as_ref(), model, &test))?;
    let (classifier, classifier_seconds) =
        timed(|| classifier_of(arguments.classifier_epochs, arguments.seed, &train))?;
    let (mut compared, mut sampling_seconds, mut comparing_seconds) = (Vec::new(), 0.0, 0.0);
    for &guidance in &arguments.guidance {
        let (samples, seconds) = timed(|| samples_of(arguments, net.as_ref(), model, guidance))?;
        sampling_seconds += seconds;
        let (mut of_samples, seconds) = timed(|| compare(arguments, model, &classifier, &samples, &train, &test))?;
        comparing_seconds += seconds;
        of_samples["guidance"] = guidance.into();
        compared.push(of_samples);
    }
    let guided = compared.split_off(1);

    let result = json!({
        "command": command(),
        "model": model.to_string(),
        "data": { "name": DATA_SET.name, "train": train.count(), "test": test.count() },
        "seed": arguments.seed,
        "processor": processor(),
        "threads": literate_diffusion::torch::tch::get_num_threads(),
        "device": device_name(device),
        "seconds": {
            "bound": bound_seconds, "classifier": classifier_seconds, "sampling": sampling_seconds,
            "comparing": comparing_seconds, "all": began.elapsed().as_secs_f64(),
        },
        "bound": bound,
        "samples": compared.pop(),
        "guided": guided,
    });
    print_table(&result);
    let path = arguments.out.join("evaluation.json");
    write_atomically(&path, serde_json::to_string_pretty(&result)?.as_bytes())?;
    println!("all numbers: {}", path.display());
    Ok(())
}

/// Ends the program where there are too few test pictures.
fn fits(arguments: &Arguments, model: &Model, test: usize) {
    if arguments.pictures > test {
        usage(&format!("--pictures is {}, but there are {test} test pictures", arguments.pictures));
    }
    let samples = per_class(arguments, model) * model.classes.max(1);
    if 2 * samples > test {
        usage(&format!(
            "{samples} samples need twice as many test pictures, to compare real with real, but there are {test}; \
             give fewer --samples"
        ));
    }
}

/// How many samples there are of a class; all of them where the network knows no classes.
fn per_class(arguments: &Arguments, model: &Model) -> usize {
    arguments.samples.div_ceil(model.classes.max(1))
}

/// The bound in bits per dimension, term by term.
fn bound_of(arguments: &Arguments, net: &dyn ImageNetwork, model: &Model, test: &Labelled) -> Outcome<Value> {
    let schedule = model.schedule()?;
    let likelihood = evaluation::Model {
        net,
        schedule: &schedule,
        prediction: model.objective.into(),
        variance: match arguments.variance {
            Variance::Beta => objective::Variance::Beta,
            Variance::BetaTilde => objective::Variance::BetaTilde,
        },
        at_one: VarianceAtOne::BetaTilde2,
        clip: true,
    };
    let pictures = test.drawn(arguments.pictures, arguments.seed);
    let bar = cli::progress(arguments.pictures as u64, 0, "bound", "pictures");
    let bound = variational_bound(likelihood, &pictures, arguments.ranges, arguments.batch, arguments.seed, |done| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(bound_json(&bound, arguments.pictures))
}

fn bound_json(bound: &Bound, pictures: usize) -> Value {
    let estimate = |of: Estimate| json!({ "mean": of.mean, "standard_error": of.standard_error });
    let ranges: Vec<_> = bound
        .denoising
        .iter()
        .map(|part| json!({ "first": part.first, "last": part.last, "each": estimate(part.each) }))
        .collect();
    let denoising: f64 = bound.denoising.iter().map(|part| (part.last - part.first + 1) as f64 * part.each.mean).sum();
    json!({
        "pictures": pictures,
        "total": estimate(bound.total),
        "reconstruction": estimate(bound.reconstruction),
        "denoising": denoising,
        "prior": estimate(bound.prior),
        "ranges": ranges,
    })
}

/// A classifier that knows the real training pictures.
pub fn classifier_of(epochs: Option<usize>, seed: u64, train: &Labelled) -> Outcome<Classifier> {
    let epochs = epochs.unwrap_or_else(|| 30_000_usize.div_ceil(train.count()));
    let learning = Learning { epochs, batch: 64, lr: 2e-3, seed };
    let bar = cli::progress(0, 0, "classifier", "steps");
    let classifier =
        Classifier::learn(DATA_SET.classes, &train.pictures, &train.labels, learning, |step, steps, loss| {
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}"));
        })?;
    bar.finish_and_clear();
    Ok(classifier)
}

/// Samples as bytes, class by class where the network knows classes.
fn samples_of(arguments: &Arguments, net: &dyn ImageNetwork, model: &Model, guidance: f64) -> Outcome<Tensor> {
    let times = evenly_spaced_times(model.timesteps, arguments.steps)?;
    let (schedule, each) = (model.schedule()?, per_class(arguments, model));
    let bar = cli::progress((each * model.classes.max(1)) as u64, 0, "sampling", "samples");
    let mut parts = Vec::new();
    for class in 0..model.classes.max(1) {
        let sampling = Sampling {
            prediction: model.objective.into(),
            method: Method::Ddim(0.0),
            clip: Some((-1.0, 1.0)),
            class: (model.classes > 0).then_some(class),
            guidance,
            seed: arguments.seed,
            precision: Kind::Float,
        };
        let sampler = Sampler::new(net, &schedule, &times, sampling)?;
        for first in (0..each).step_by(arguments.batch) {
            let count = arguments.batch.min(each - first);
            let samples = sampler.sample(class * each + first, &shape(count), |_, _| ())?;
            parts.push(to_bytes(&samples).permute([0, 3, 1, 2]).to_device(net.parameters().device()));
            bar.inc(count as u64);
        }
    }
    bar.finish_and_clear();
    Ok(Tensor::cat(&parts, 0))
}

/// Samples beside as many real pictures that neither network has seen.
fn compare(
    arguments: &Arguments,
    model: &Model,
    classifier: &Classifier,
    samples: &Tensor,
    train: &Labelled,
    test: &Labelled,
) -> Outcome<Value> {
    let (batch, seed) = (arguments.batch, arguments.seed);
    let count = samples.size()[0] as usize;
    let real = test.drawn(count, seed);

    let features = |pictures: &Tensor| classifier.features(pictures, batch);
    let of_samples = Moments::of(&features(samples)?)?;
    let frechet = frechet_distance(&of_samples, &Moments::of(&features(&real)?)?)?;
    let yardstick = frechet_yardstick(&features(&test.pictures)?, count, seed)?;

    Ok(json!({
        "count": count,
        "steps": arguments.steps,
        "classifier": {
            "accuracy_on_test": classifier.report(&test.pictures, &test.labels, batch)?.all.accuracy,
            "samples": looks(classifier, samples, batch)?,
            "real": looks(classifier, &real, batch)?,
            "samples_of_their_class": of_their_class(classifier, samples, model, batch)?,
        },
        "samples_of_their_class_by_program": by_program(arguments, model, samples)?,
        "frechet": { "samples": frechet, "real": yardstick },
        "nearest": {
            "samples": spread(nearest_distances(samples, &train.pictures, 1000)?),
            "real": spread(nearest_distances(&real, &train.pictures, 1000)?),
        },
    }))
}

/// How sure the classifier is of the class that it finds most probable, and how often it finds each.
pub fn looks(classifier: &Classifier, pictures: &Tensor, batch: usize) -> Outcome<Value> {
    let (most, class) = classifier.probabilities(pictures, batch)?.max_dim(1, false);
    let counts = class.bincount(None::<&Tensor>, DATA_SET.classes as i64);
    let share_of_sure = most.ge(0.9).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    Ok(json!({
        "confidence": most.mean(Kind::Double).double_value(&[]),
        "share_of_sure": share_of_sure,
        "classes": Vec::<i64>::try_from(counts.to_device(Device::Cpu))?,
    }))
}

/// Whether a sample of a class is one to the classifier; nothing where the network knows no classes.
fn of_their_class(classifier: &Classifier, samples: &Tensor, model: &Model, batch: usize) -> Outcome<Value> {
    if model.classes == 0 {
        return Ok(Value::Null);
    }
    let each = samples.size()[0] / model.classes as i64;
    let labels: Vec<_> = (0..samples.size()[0]).map(|sample| sample / each).collect();
    let report = classifier.report(samples, &Tensor::from_slice(&labels), batch)?;
    Ok(json!({ "accuracy": report.all.accuracy, "confidence": report.all.confidence }))
}

/// How many samples of a class the program takes for that class which knows how the drawn pictures are made; nothing for
/// other pictures, and where the network knows no classes.
fn by_program(arguments: &Arguments, model: &Model, samples: &Tensor) -> Outcome<Value> {
    let are_drawn = DATA_SET.channels == 3 && data::folder(arguments.data.as_deref(), DATA_SET.name).is_none();
    if !are_drawn || model.classes == 0 {
        return Ok(Value::Null);
    }
    let judge = Judge::default();
    let bytes = Vec::<u8>::try_from(samples.to_device(Device::Cpu).contiguous().view(-1))?;
    let count = samples.size()[0] as usize;
    let each = count / model.classes;
    let is_right =
        |&(i, picture): &(usize, &[u8])| judge.verdict(picture).is_some_and(|it| usize::from(it.class) == i / each);
    let right = bytes.chunks(bytes.len() / count).enumerate().filter(is_right).count();
    Ok(json!({ "share": right as f64 / count as f64 }))
}

/// The least and the middle one of some distances.
fn spread(mut distances: Vec<f64>) -> Value {
    distances.sort_by(f64::total_cmp);
    json!({ "least": distances.first(), "median": distances.get(distances.len() / 2) })
}

fn print_table(result: &Value) {
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let two = |name: &str, part: &str, pointer: &str| {
        let of = |who: &str| number(&format!("/samples/{part}/{who}{pointer}"));
        println!("{name:<52}{:>10.3}{:>10.3}", of("samples"), of("real"));
    };
    println!("variational bound, bits per dimension");
    for part in ["total", "reconstruction", "prior"] {
        let of = |what: &str| number(&format!("/bound/{part}/{what}"));
        println!("{part:<52}{:>10.4} ± {:.4}", of("mean"), of("standard_error"));
    }
    println!("{:<52}{:>10.4}", "denoising, all T - 1 terms", number("/bound/denoising"));
    println!("{:<52}{:>10}{:>10}", "", "samples", "real");
    two("confidence of the classifier", "classifier", "/confidence");
    two("share of which it is sure (above 0.9)", "classifier", "/share_of_sure");
    two("Fréchet distance from real pictures", "frechet", "");
    two("distance from the nearest training picture, median", "nearest", "/median");
    two("distance from the nearest training picture, least", "nearest", "/least");
    println!(
        "{:<62}{:>10.3}",
        "accuracy of the classifier on real pictures",
        number("/samples/classifier/accuracy_on_test")
    );
    if result.pointer("/samples/classifier/samples_of_their_class").is_some_and(|of| !of.is_null()) {
        let accuracy = number("/samples/classifier/samples_of_their_class/accuracy");
        println!("{:<52}{accuracy:>10.3}", "its accuracy on samples of a class");
    }
    if result.pointer("/samples/samples_of_their_class_by_program").is_some_and(|of| !of.is_null()) {
        let share = number("/samples/samples_of_their_class_by_program/share");
        println!("{:<52}{share:>10.3}", "share of samples of a class that show its shape");
    }
    for guided in result["guided"].as_array().into_iter().flatten() {
        let number = |pointer: &str| guided.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
        println!(
            "guidance {}: accuracy on samples of a class {:.3}, confidence {:.3}, Fréchet distance {:.3}",
            number("/guidance"),
            number("/classifier/samples_of_their_class/accuracy"),
            number("/classifier/samples/confidence"),
            number("/frechet/samples")
        );
    }
}

/// What was done, and how many seconds it took.
fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let began = Instant::now();
    Ok((work()?, began.elapsed().as_secs_f64()))
}
