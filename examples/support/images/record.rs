//! What the JSON beside a result says of how it came to be: the command, the seed, the seconds, the processor, the device.

use literate_diffusion::torch::tch::Device;
use serde_json::{Value, json};

use crate::DATA_SET;
use crate::support::cli::quoted;
use crate::support::processor;

/// The keys that every result has. `more` is an object with the others.
pub fn record(device: Device, model: &str, seed: u64, seconds: f64, precision: &str, more: Value) -> Value {
    let mut record = json!({
        "command": command(),
        "model": model,
        "seed": seed,
        "seconds": (10.0 * seconds).round() / 10.0,
        "precision": precision,
        "processor": processor(),
        "device": device_name(device),
        "threads": literate_diffusion::torch::tch::get_num_threads(),
    });
    if let (Some(record), Value::Object(more)) = (record.as_object_mut(), more) {
        record.extend(more);
    }
    record
}

/// `cpu`, or the number of a CUDA device with what NVIDIA's driver calls it, where it does.
pub fn device_name(device: Device) -> String {
    let Device::Cuda(number) = device else { return "cpu".to_owned() };
    let folders = std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut cards: Vec<_> = folders.map(|folder| folder.path().join("information")).collect();
    cards.sort();
    let text = cards.get(number).and_then(|card| std::fs::read_to_string(card).ok()).unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("Model:"));
    model.map_or_else(|| format!("cuda:{number}"), |model| format!("cuda:{number}, {}", model.trim()))
}

/// What was typed, so that it can be typed again.
pub fn command() -> String {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|argument| quoted(&argument.to_string_lossy())).collect();
    let profile = if cfg!(debug_assertions) { "" } else { "--release " };
    format!("cargo run {profile}--features torch --example {} -- {}", DATA_SET.name, arguments.join(" "))
}
