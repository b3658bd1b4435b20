//! Exercise 5: the mean of the posterior.

use ndarray::Array2;

use crate::Schedule;

/// μ̃, the mean of q(x_{t−1} | x_t, x_0).
pub fn posterior_mean(x0: &Array2<f64>, xt: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    let (alpha_bar, alpha_bar_prev) = (schedule.alpha_bar[t], schedule.alpha_bar[t - 1]);
    let of_x0 = alpha_bar_prev.sqrt() * schedule.beta[t] / (1.0 - alpha_bar);
    let of_xt = schedule.alpha[t].sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar);
    of_x0 * x0 + of_xt * xt
}
