//! Exercise 4: the variance of the posterior.

use crate::Schedule;

/// β̃_t. At t = 1 it is 0, since ᾱ_0 = 1: x_0 is known.
pub fn posterior_variance(schedule: &Schedule, t: usize) -> f64 {
    (1.0 - schedule.alpha_bar[t - 1]) / (1.0 - schedule.alpha_bar[t]) * schedule.beta[t]
}
