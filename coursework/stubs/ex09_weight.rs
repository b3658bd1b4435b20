//! Exercise 9: what the bound charges for an error in ε.
//!
//! Chapter 7, the equation `eps_weight` (07-objective.html#eq-eps_weight).

use crate::Schedule;

/// w(t), the factor of ‖ε − ε_θ‖² in the bound. `variance` is σ_t², the variance of the model's reverse step.
///
/// 1 ≤ `t` ≤ T
pub fn eps_weight(schedule: &Schedule, t: usize, variance: f64) -> f64 {
    todo!()
}
