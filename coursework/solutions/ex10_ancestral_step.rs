//! Exercise 10: one step of sampling.

use ndarray::Array2;

use crate::Schedule;

/// x_{t−1}, made of x_t, the predicted noise and fresh noise.
pub fn ancestral_step(
    xt: &Array2<f64>,
    schedule: &Schedule,
    t: usize,
    eps: &Array2<f64>,
    z: &Array2<f64>,
) -> Array2<f64> {
    let (alpha, beta) = (schedule.alpha[t], schedule.beta[t]);
    let mean = (xt - beta / (1.0 - schedule.alpha_bar[t]).sqrt() * eps) / alpha.sqrt();
    let sigma = if t == 1 { 0.0 } else { beta.sqrt() };
    mean + sigma * z
}
