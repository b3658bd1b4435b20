//! Exercise 5: the mean of the posterior.
//!
//! Chapter 5, the equation `posterior_mean` (05-posterior.html#eq-posterior_mean).

use ndarray::Array2;

use crate::Schedule;

/// μ̃, the mean of q(x_{t−1} | x_t, x_0).
///
/// # Shapes
/// `x0`, `xt`, result: (n, d), all equal; 1 ≤ `t` ≤ T
pub fn posterior_mean(x0: &Array2<f64>, xt: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    todo!()
}
