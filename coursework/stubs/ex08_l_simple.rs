//! Exercise 8: the loss.
//!
//! Chapter 7, the equation `l_simple` (07-objective.html#eq-l_simple).

use ndarray::Array2;

/// L_simple of a batch: a mean over the points and over the dimensions.
///
/// # Shapes
/// `eps`, `eps_theta`: (n, d), both equal
pub fn l_simple(eps: &Array2<f64>, eps_theta: &Array2<f64>) -> f64 {
    todo!()
}
