//! Exercise 16: the exact score.
//!
//! Chapter 9, the equations `score` (09-s_curve.html#eq-score) and `optimal_eps` (09-s_curve.html#eq-optimal_eps).
//!
//! Let the data be m points, all equally likely. Then q(x_t) is a mixture of m Gaussians: the closed form of exercise 3,
//! one for each point. No network is needed to know its score.

use ndarray::Array2;

use crate::Schedule;

/// ∇ ln q(x_t) at each x_t.
///
/// # Shapes
/// `xt`, result: (n, d); `points`: (m, d); 1 ≤ `t` ≤ T
pub fn score(xt: &Array2<f64>, points: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    todo!()
}

/// E[ε | x_t]: the best prediction of the noise that can be made from x_t.
///
/// # Shapes
/// as [`score`]
pub fn optimal_eps(xt: &Array2<f64>, points: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    todo!()
}
