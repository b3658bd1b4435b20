//! Exercise 10: one step of sampling.
//!
//! Chapter 8, the equation `ancestral_step` (08-sampler.html#eq-ancestral_step).

use ndarray::Array2;

use crate::Schedule;

/// x_{t−1}, made of x_t, the predicted noise `eps` and fresh noise `z`.
///
/// Take σ_t² = β_t. The last step, t = 1, adds no noise.
///
/// # Shapes
/// `xt`, `eps`, `z`, result: (n, d), all equal; 1 ≤ `t` ≤ T
pub fn ancestral_step(
    xt: &Array2<f64>,
    schedule: &Schedule,
    t: usize,
    eps: &Array2<f64>,
    z: &Array2<f64>,
) -> Array2<f64> {
    todo!()
}
