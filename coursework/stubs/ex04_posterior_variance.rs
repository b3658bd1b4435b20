//! Exercise 4: the variance of the posterior.
//!
//! Chapter 5, the equation `posterior_variance` (05-posterior.html#eq-posterior_variance).

use crate::Schedule;

/// β̃_t, the variance of q(x_{t−1} | x_t, x_0). What is it at t = 1?
///
/// 1 ≤ `t` ≤ T
pub fn posterior_variance(schedule: &Schedule, t: usize) -> f64 {
    todo!()
}
