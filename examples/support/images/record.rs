//! What the JSON beside a result says of how it came to be: the command, the seed, the seconds, the processor.

use serde_json::{Value, json};

use crate::DATA_SET;
use crate::support::cli::quoted;
use crate::support::processor;

/// The keys that every result has. `more` is an object with the others.
pub fn record(model: &str, seed: u64, seconds: f64, precision: &str, more: Value) -> Value {
    let mut record = json!({
        "command": command(),
        "model": model,
        "seed": seed,
        "seconds": (10.0 * seconds).round() / 10.0,
        "precision": precision,
        "processor": processor(),
        "threads": literate_diffusion::torch::tch::get_num_threads(),
    });
    if let (Some(record), Value::Object(more)) = (record.as_object_mut(), more) {
        record.extend(more);
    }
    record
}

/// What was typed, so that it can be typed again.
pub fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).map(|argument| quoted(&argument)).collect();
    let profile = if cfg!(debug_assertions) { "" } else { "--release " };
    format!("cargo run {profile}--features torch --example {} -- {}", DATA_SET.name, arguments.join(" "))
}
