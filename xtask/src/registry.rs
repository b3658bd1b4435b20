//! The equations of the crate, read from its sources.
