//! Exercise 3: all steps at once.

use ndarray::Array2;

use crate::Schedule;

/// x_t, made of x_0 and one noise that does the work of all t steps.
pub fn q_sample(x0: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar[t];
    alpha_bar.sqrt() * x0 + (1.0 - alpha_bar).sqrt() * eps
}
