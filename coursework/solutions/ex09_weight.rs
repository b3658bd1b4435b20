//! Exercise 9: what the bound charges for an error in ε.

use crate::Schedule;

/// w(t), the factor of ‖ε − ε_θ‖² in the bound.
pub fn eps_weight(schedule: &Schedule, t: usize, variance: f64) -> f64 {
    schedule.beta[t].powi(2) / (2.0 * variance * schedule.alpha[t] * (1.0 - schedule.alpha_bar[t]))
}
