//! Exercise 15: training.
//!
//! Chapter 9, the equation `mean_bayes_floor` (09-s_curve.html#eq-mean_bayes_floor): the least loss that any network can
//! reach, which is not 0.

use ndarray::Array2;

use crate::{Rng, Schedule};

/// A network's prediction of the noise: all points (n, 2) at one time t.
pub type EpsTheta = Box<dyn Fn(&Array2<f64>, usize) -> Array2<f64>>;

/// Trains a network on points of the S-curve, and returns its ε_θ(x_t, t).
///
/// Its loss on fresh points, averaged over all t, must come within 0.05 of the Bayes floor, in under 30 seconds. How, is up
/// to you: [`Net`](crate::Net) with 64 hidden units and Adam is enough. All your random draws come from `rng`.
///
/// The marker calls it with 2,000 points and T = 20 steps, built with optimisation. It then asks for ε at fresh points, at
/// each t, and compares with the exact E[ε | x_t].
///
/// # Shapes
/// `points`: (n, 2), a point a row
pub fn train(points: &Array2<f64>, schedule: &Schedule, rng: &mut Rng) -> EpsTheta {
    todo!()
}
