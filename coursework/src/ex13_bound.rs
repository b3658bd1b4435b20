//! Exercise 13: two terms of the bound, in bits.
//!
//! Chapter 6, the equations `prior_term` (06-elbo.html#eq-prior_term) and `bits_per_dim` (06-elbo.html#eq-bits_per_dim);
//! chapter 7, the equation `kl_reverse_step` (07-objective.html#eq-kl_reverse_step).
//!
//! Arrays are (n, d). Both results are in bits, a KL with log₂, and per dimension: divided by n · d, not summed.

use ndarray::Array2;

use crate::Schedule;

/// L_T: the KL from q(x_T | x_0) to N(0, I).
pub fn prior_bits(x0: &Array2<f64>, schedule: &Schedule) -> f64 {
    todo!()
}

/// L_{t−1}: the KL from q(x_{t−1} | x_t, x_0), whose mean is `mu_tilde`, to the model's reverse step, whose mean is
/// `mu_theta` and whose variance is σ_t² = β_t.
///
/// 2 ≤ `t` ≤ T
pub fn reverse_step_bits(mu_tilde: &Array2<f64>, mu_theta: &Array2<f64>, schedule: &Schedule, t: usize) -> f64 {
    todo!()
}
