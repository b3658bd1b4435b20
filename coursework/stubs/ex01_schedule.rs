//! Exercise 1: the schedule.
//!
//! Chapter 3, the equations `linear` (03-schedule.html#eq-linear) and `alpha_bar` (03-schedule.html#eq-alpha_bar).

use crate::Schedule;

/// A schedule whose β grows on a straight line, from `beta_1` at t = 1 to `beta_end` at t = T.
///
/// `timesteps` is T, and at least 2.
///
/// # Shapes
/// result: three lists of T + 1 numbers, the index is t; see [`Schedule`] for the entry 0
pub fn linear(timesteps: usize, beta_1: f64, beta_end: f64) -> Schedule {
    todo!()
}
