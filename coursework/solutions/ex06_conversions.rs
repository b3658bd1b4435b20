//! Exercise 6: what the network may predict.

use ndarray::Array2;

use crate::Schedule;

/// The data x_0 from which the noise leads to x_t.
pub fn x0_from_eps(xt: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar[t];
    (xt - (1.0 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
}

/// The noise ε that leads from x_0 to x_t.
pub fn eps_from_x0(x0: &Array2<f64>, xt: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar[t];
    (xt - alpha_bar.sqrt() * x0) / (1.0 - alpha_bar).sqrt()
}

/// The velocity v that belongs to x_0 and ε: the derivative of x_t by φ, where √ᾱ_t = cos φ and √(1 − ᾱ_t) = sin φ.
pub fn v_target(x0: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar[t];
    alpha_bar.sqrt() * eps - (1.0 - alpha_bar).sqrt() * x0
}
