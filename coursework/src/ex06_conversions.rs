//! Exercise 6: what the network may predict.
//!
//! Chapter 7, the equations `x0_from_eps` (07-objective.html#eq-x0_from_eps), `eps_from_x0`
//! (07-objective.html#eq-eps_from_x0) and `v_target` (07-objective.html#eq-v_target).
//!
//! All arrays are (n, d), and equal in shape; 1 ≤ `t` ≤ T.

use ndarray::Array2;

use crate::Schedule;

/// The data x_0 from which the noise leads to x_t.
pub fn x0_from_eps(xt: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    todo!()
}

/// The noise ε that leads from x_0 to x_t.
pub fn eps_from_x0(x0: &Array2<f64>, xt: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    todo!()
}

/// The velocity v that belongs to x_0 and ε: the derivative of x_t by φ, where √ᾱ_t = cos φ and √(1 − ᾱ_t) = sin φ.
pub fn v_target(x0: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    todo!()
}
