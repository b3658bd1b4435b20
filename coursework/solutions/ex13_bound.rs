//! Exercise 13: two terms of the bound, in bits.

use std::f64::consts::LN_2;

use ndarray::Array2;

use crate::Schedule;

/// L_T: the KL from q(x_T | x_0) to N(0, I).
pub fn prior_bits(x0: &Array2<f64>, schedule: &Schedule) -> f64 {
    let alpha_bar = schedule.alpha_bar[schedule.timesteps()];
    let nats = x0.mapv(|x| kl(alpha_bar.sqrt() * x, 1.0 - alpha_bar, 0.0, 1.0)).sum();
    nats / (x0.len() as f64 * LN_2)
}

/// L_{t−1}: the KL from the posterior to the model's reverse step.
pub fn reverse_step_bits(mu_tilde: &Array2<f64>, mu_theta: &Array2<f64>, schedule: &Schedule, t: usize) -> f64 {
    let beta = schedule.beta[t];
    let beta_tilde = (1.0 - schedule.alpha_bar[t - 1]) / (1.0 - schedule.alpha_bar[t]) * beta;
    let pairs = mu_tilde.iter().zip(mu_theta);
    let nats: f64 = pairs.map(|(&mu_tilde, &mu_theta)| kl(mu_tilde, beta_tilde, mu_theta, beta)).sum();
    nats / (mu_tilde.len() as f64 * LN_2)
}

/// KL(N(m, v) ‖ N(n, w)) of two numbers, in nats.
fn kl(m: f64, v: f64, n: f64, w: f64) -> f64 {
    0.5 * (v / w - 1.0 - (v / w).ln() + (m - n).powi(2) / w)
}
