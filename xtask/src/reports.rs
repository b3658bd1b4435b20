//! What the checks wrote to `target/checks`.
