//! Exercise 2: one step of the forward process.
//!
//! Chapter 4, the equation `q_step` (04-forward.html#eq-q_step).

use ndarray::Array2;

use crate::Schedule;

/// x_t, made of x_{t−1} and the noise of that step.
///
/// # Shapes
/// `x_prev`, `eps`, result: (n, d), all equal; 1 ≤ `t` ≤ T
pub fn q_step(x_prev: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    todo!()
}
