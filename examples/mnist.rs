//! Chapter 11: handwritten digits, learned and sampled with a U-Net in libtorch.
//!
//! `cargo run --release --features torch --example mnist` samples from the shipped weights; `-- train` trains.

#[path = "support/images.rs"]
mod images;
mod support;

use std::process::ExitCode;

use images::DataSet;
use literate_diffusion::data;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What this example is about: 28×28 grey pictures of the ten digits.
const DATA_SET: DataSet = DataSet {
    name: "mnist",
    channels: 1,
    side: 28,
    classes: 10,
    epochs: 5,
    flips: false,
    load: data::mnist,
    shipped: "examples/weights/mnist-32-64-128.safetensors",
};

fn main() -> ExitCode {
    images::main()
}
