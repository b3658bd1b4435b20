//! Exercise 1: the schedule.

use crate::Schedule;

/// A schedule whose β grows on a straight line.
pub fn linear(timesteps: usize, beta_1: f64, beta_end: f64) -> Schedule {
    let (mut beta, mut alpha, mut alpha_bar) = (vec![0.0], vec![1.0], vec![1.0]);
    for t in 1..=timesteps {
        let along = (t - 1) as f64 / (timesteps - 1) as f64;
        beta.push(beta_1 + along * (beta_end - beta_1));
        alpha.push(1.0 - beta[t]);
        alpha_bar.push(alpha_bar[t - 1] * alpha[t]);
    }
    Schedule { beta, alpha, alpha_bar }
}
