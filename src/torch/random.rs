//! Random numbers that can be drawn again: libtorch has one generator for all, so each draw sets it first.
//!
//! What is drawn depends on a seed, on what it is for and on a position, never on what was drawn before. So a run that was
//! stopped goes on to the same result with no state of a generator saved, and a picture is the same in any batch.

use std::sync::{Mutex, PoisonError};

/// What random numbers are for. Streams have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The parameters of an untrained network.
    Weights,
    /// The order of the data in an epoch; the position is the epoch.
    Order,
    /// What a step of training draws; the position is the step.
    Training,
    /// The noise of samples; the position is made of the sample and its t.
    Samples,
    /// What an evaluation draws.
    Evaluation,
}

/// The generator belongs to one drawing at a time.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Runs `draw` with libtorch's generators set to a place of their own. `draw` must not call this function again.
///
/// The generator of a CPU heeds 32 bits of its seed. Within a stream, places that are less than 2³² apart have different
/// ones.
/// # Examples
/// ```
/// use literate_diffusion::torch::{random::{Stream, drawn}, tch::{Device, Kind, Tensor}};
/// let noise = |position| drawn(7, Stream::Training, position, || Tensor::randn([3], (Kind::Float, Device::Cpu)));
/// assert_eq!(noise(1), noise(1));
/// assert_ne!(noise(1), noise(2));
/// ```
pub fn drawn<T>(seed: u64, stream: Stream, position: u64, draw: impl FnOnce() -> T) -> T {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let place = mixed(mixed(seed) ^ stream as u64).wrapping_add(position);
    tch::manual_seed(place.cast_signed());
    draw()
}

/// A number whose every bit depends on all bits of `x`. Source: Steele, Lea, Flood 2014, figure 16 (SplitMix64).
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
