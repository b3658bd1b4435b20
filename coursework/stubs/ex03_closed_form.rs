//! Exercise 3: all steps at once.
//!
//! Chapter 4, the equation `q_sample` (04-forward.html#eq-q_sample).

use ndarray::Array2;

use crate::Schedule;

/// x_t, made of x_0 and one noise that does the work of all t steps.
///
/// # Shapes
/// `x0`, `eps`, result: (n, d), all equal; 1 ≤ `t` ≤ T
pub fn q_sample(x0: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    todo!()
}
