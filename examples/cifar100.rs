//! Chapter 12: small colour pictures of a hundred classes, learned and sampled with a U-Net in libtorch.
//!
//! `cargo run --release --features torch --example cifar100` samples from the shipped weights; `-- train` trains.

#[path = "support/images.rs"]
mod images;
mod support;

use std::process::ExitCode;

use images::DataSet;
use literate_diffusion::data;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What this example is about: 32×32 colour pictures of a hundred things, which mirrored are as good.
const DATA_SET: DataSet = DataSet {
    name: "cifar100",
    channels: 3,
    side: 32,
    classes: 100,
    epochs: 20,
    flips: true,
    load: data::cifar100,
    shipped: "examples/weights/cifar100-32-64-128.safetensors",
};

fn main() -> ExitCode {
    images::main()
}
