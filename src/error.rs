//! The one error type of the crate: each variant names what was met and what was expected.

use std::fmt::Debug;
use std::path::PathBuf;

use ndarray::{ArrayRef, Dimension};

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with an argument.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A schedule with no step at all.
    #[error("a schedule needs at least one step, but T = 0; give T >= 1")]
    NoTimesteps,

    /// A β_t outside (0, 1), or β_t = 1 before the last step.
    #[error(
        "beta at t = {t} of T = {timesteps} is {got}, but it must lie strictly between 0 and 1 \
         (exactly 1 is allowed at t = T alone, for zero terminal SNR)"
    )]
    BetaOutOfRange {
        /// Where it stands, 1..=T.
        t: usize,
        /// T.
        timesteps: usize,
        /// The value met.
        got: f64,
    },

    /// A time outside 1..=T.
    #[error("t = {t} is not a step of this schedule: t runs over 1..={timesteps}")]
    StepOutOfRange {
        /// The time asked for.
        t: usize,
        /// T.
        timesteps: usize,
    },

    /// Two arrays that must have the same shape.
    #[error("{name} has shape {got:?}, but {expected:?} was expected")]
    ShapeMismatch {
        /// The argument that is off.
        name: &'static str,
        /// The shape that was expected.
        expected: Vec<usize>,
        /// The shape met.
        got: Vec<usize>,
    },

    /// An array or a list with nothing in it.
    #[error("{name} is empty, but at least one element is needed")]
    Empty {
        /// The argument that is off.
        name: &'static str,
    },

    /// A number outside the range that its meaning allows.
    #[error("{name} is {got}, but it must be {expected}")]
    OutOfRange {
        /// The argument that is off.
        name: &'static str,
        /// What it must be, in words.
        expected: &'static str,
        /// The value met.
        got: f64,
    },

    /// x_0 asked from ε where ᾱ_t = 0: x_t carries nothing of x_0 there.
    #[error(
        "alpha_bar is 0 at t = {t} (zero terminal SNR), so x_0 cannot be had from x_t and eps; predict v or x_0 instead"
    )]
    ZeroSnr {
        /// The time at which ᾱ_t = 0.
        t: usize,
    },

    /// Other times asked of a schedule with ᾱ_t = 0, where there is no ratio of ᾱ from there on.
    #[error(
        "alpha_bar is 0 at t = {t}, so the schedule cannot be {what}; take one that keeps some signal to the end, and \
         rescale to zero terminal SNR afterwards"
    )]
    NoSignal {
        /// The time at which ᾱ_t = 0.
        t: usize,
        /// `respaced` or `rescaled`.
        what: &'static str,
    },

    /// A named array, such as one of a checkpoint, that is missing or has another shape.
    #[error("the array {name:?} should have shape {expected:?}, but {}",
        got.as_ref().map_or("there is none".to_string(), |got| format!("has {got:?}")))]
    NamedArray {
        /// Its name.
        name: String,
        /// The shape that was expected.
        expected: Vec<usize>,
        /// The shape met; none where the array is missing.
        got: Option<Vec<usize>>,
    },

    /// A number that has become infinite or NaN.
    #[error("{name} is not a finite number at step {step}")]
    NotFinite {
        /// What it is.
        name: &'static str,
        /// The step at which it was seen first, from 1.
        step: u64,
    },

    /// A density asked for where there is none: x_0 is known, so that q(x_0 | x_1, x_0) is a point mass.
    #[error("q(x_{{t-1}} | x_t, x_0) at t = {t} is a point mass on x_0, which has no density; ask for t >= 2")]
    PointMass {
        /// The time asked for.
        t: usize,
    },

    /// A list of times that is not strictly increasing within 1..=T.
    #[error("the times must increase strictly, but {next} follows {previous}")]
    TimesNotIncreasing {
        /// An entry.
        previous: usize,
        /// The entry after it.
        next: usize,
    },

    /// A named array that belongs to nothing here.
    #[error("the array {name:?} belongs to another network")]
    UnknownArray {
        /// Its name.
        name: String,
    },

    /// A tensor that holds another kind of number.
    #[error("{name} holds {got}, but {expected} was expected")]
    WrongKind {
        /// The argument that is off.
        name: &'static str,
        /// The kind that was expected.
        expected: String,
        /// The kind met.
        got: String,
    },

    /// A device that is not there, or that is not one at all.
    #[error("the device {asked:?} cannot be had: {reason}")]
    Device {
        /// What was asked for.
        asked: String,
        /// Why it cannot be had, and what to do.
        reason: String,
    },

    /// A data file whose bytes are not what its format asks for.
    #[error("{}, byte {offset}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The byte at which it was seen, the first one being 0.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },

    /// A file that cannot be read or written, or that does not hold what it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place in the file where there is one.
        reason: String,
    },
}

/// Fails where `got` does not have the shape of `expected`.
pub(crate) fn same_shape<A, B, D: Dimension>(
    name: &'static str,
    expected: &ArrayRef<A, D>,
    got: &ArrayRef<B, D>,
) -> Result<()> {
    if expected.shape() == got.shape() {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name, expected: expected.shape().to_vec(), got: got.shape().to_vec() })
}

/// Fails unless `got` is a finite number.
pub(crate) fn finite(name: &'static str, got: f64) -> Result<()> {
    if got.is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange { name, expected: "a finite number", got })
}

/// Fails unless `got` is a finite number above 0.
pub(crate) fn positive(name: &'static str, got: f64) -> Result<()> {
    if got.is_finite() && got > 0.0 {
        return Ok(());
    }
    Err(Error::OutOfRange { name, expected: "a finite number above 0", got })
}

/// Fails unless `got` is a finite number, 0 or above.
pub(crate) fn not_negative(name: &'static str, got: f64) -> Result<()> {
    if got.is_finite() && got >= 0.0 {
        return Ok(());
    }
    Err(Error::OutOfRange { name, expected: "a finite number, 0 or above", got })
}
