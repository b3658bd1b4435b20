//! What `examples/mnist.rs` and `examples/cifar100.rs` share: the command line, and what a network and its training are.

#[path = "images/compare.rs"]
mod compare;
#[path = "images/evaluate.rs"]
mod evaluate;
#[path = "images/export.rs"]
mod export;
#[path = "images/figure.rs"]
mod figure;
#[path = "images/grid.rs"]
mod grid;
#[path = "images/model.rs"]
mod model;
#[path = "images/record.rs"]
mod record;
#[path = "images/run.rs"]
mod run;
#[path = "images/sample.rs"]
mod sample;
#[path = "images/train.rs"]
mod train;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use literate_diffusion::data::{Pictures, Source, Split};

use crate::DATA_SET;
use crate::support::{cli, data};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Pictures of a folder or, without one, those that come with the program; and which they are.
type Load = fn(Option<&Path>, Split) -> literate_diffusion::Result<(Pictures, Source)>;

/// The data set of one example, and what follows from it.
pub struct DataSet {
    pub name: &'static str,
    pub channels: usize,
    pub side: usize,
    pub classes: usize,
    /// Passes over the data unless told otherwise.
    pub epochs: usize,
    /// Whether a mirrored picture is as good as the picture.
    pub flips: bool,
    /// The pictures of a folder, or those that come with the program.
    pub load: Load,
    /// Where the weights are that come with the project.
    pub shipped: &'static str,
}

/// Trains a diffusion model of small pictures, samples from it, and measures it. Without a command, it samples.
#[derive(Parser)]
#[command(name = DATA_SET.name, version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    sample: sample::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; Ctrl-C saves, and --resume goes on
    Train(Box<train::Arguments>),
    /// Make pictures with trained weights
    Sample(sample::Arguments),
    /// Measure trained weights: bits per dimension, and samples beside real pictures
    Evaluate(evaluate::Arguments),
    /// Measure what single choices of sampling cost
    Compare(compare::Arguments),
    /// Write the weights of a checkpoint alone, in half precision, as those are that come with the project
    Export(export::Arguments),
    /// Put the pictures of long runs into a figure of the book
    Figure(figure::Arguments),
}

/// Where to compute.
#[derive(Debug, Clone, Args)]
pub struct Machine {
    /// cpu, cuda, cuda:N, or auto: CUDA where there is one
    #[arg(long, value_parser = cli::device, default_value = "auto")]
    device: String,
    /// Threads on the CPU; libtorch's own choice where it is not given
    #[arg(long, value_parser = cli::threads)]
    threads: Option<i32>,
}

impl Machine {
    /// The flags, as they are given again where a run goes on to the same result.
    fn given(&self) -> Vec<(&'static str, String)> {
        let threads = self.threads.map(|threads| ("--threads", threads.to_string()));
        [("--device", self.device.clone())].into_iter().chain(threads).collect()
    }

    /// The device, once the number of threads is set.
    fn prepare(&self) -> Outcome<literate_diffusion::torch::tch::Device> {
        if let Some(threads) = self.threads {
            literate_diffusion::torch::tch::set_num_threads(threads);
        }
        Ok(literate_diffusion::torch::parse_device(&self.device)?)
    }
}

/// Runs the command line of one example.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::run(|| match &cli.command {
        Some(Command::Train(arguments)) => train::train(arguments),
        Some(Command::Sample(arguments)) => sample::sample(arguments),
        Some(Command::Evaluate(arguments)) => evaluate::evaluate(arguments),
        Some(Command::Compare(arguments)) => compare::compare(arguments),
        Some(Command::Export(arguments)) => export::export(arguments),
        Some(Command::Figure(arguments)) => figure::figure(arguments),
        None => sample::sample(&cli.sample),
    })
}

/// Ends the program as clap does where a value is wrong that clap cannot judge: one sentence, and exit status 2.
fn usage(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}

/// The pictures to learn from or to measure with. Says which they are.
fn load(asked: Option<&Path>, split: Split) -> Outcome<Pictures> {
    let folder = data::folder(asked, DATA_SET.name);
    let (pictures, source) = (DATA_SET.load)(folder.as_deref(), split)?;
    println!("{source}");
    Ok(pictures)
}

/// Where an example writes unless `--out` says otherwise.
fn out() -> PathBuf {
    Path::new("target").join(DATA_SET.name)
}
