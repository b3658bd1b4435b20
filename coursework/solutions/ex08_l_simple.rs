//! Exercise 8: the loss.

use ndarray::Array2;

/// L_simple of a batch: a mean over the points and over the dimensions.
pub fn l_simple(eps: &Array2<f64>, eps_theta: &Array2<f64>) -> f64 {
    (eps - eps_theta).mapv(|error| error * error).sum() / eps.len() as f64
}
