//! Exercise 11: from noise to a sample.
//!
//! Chapter 8, the equation `ancestral` (08-sampler.html#eq-ancestral).

use ndarray::Array2;

use crate::Schedule;

/// Walks back from x_T to x_0 with the step of exercise 10.
///
/// `eps_theta(x_t, t)` predicts the noise. `z[t]` is the fresh noise for the step from x_t; `z[0]` is not for use.
///
/// # Shapes
/// `x_end` (x_T), each `z[t]`, result: (n, d), all equal; `z`: T + 1 arrays
pub fn ancestral(
    x_end: &Array2<f64>,
    schedule: &Schedule,
    z: &[Array2<f64>],
    eps_theta: impl Fn(&Array2<f64>, usize) -> Array2<f64>,
) -> Array2<f64> {
    todo!()
}
