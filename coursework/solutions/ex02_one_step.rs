//! Exercise 2: one step of the forward process.

use ndarray::Array2;

use crate::Schedule;

/// x_t, made of x_{t−1} and the noise of that step.
pub fn q_step(x_prev: &Array2<f64>, schedule: &Schedule, t: usize, eps: &Array2<f64>) -> Array2<f64> {
    schedule.alpha[t].sqrt() * x_prev + schedule.beta[t].sqrt() * eps
}
