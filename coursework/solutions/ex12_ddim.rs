//! Exercise 12: a DDIM step, which may leave out times.

use ndarray::Array2;

use crate::Schedule;

/// x_s, made of x_t for any s < t, the predicted noise and fresh noise.
pub fn ddim_step(
    xt: &Array2<f64>,
    schedule: &Schedule,
    t: usize,
    s: usize,
    eta: f64,
    eps: &Array2<f64>,
    z: &Array2<f64>,
) -> Array2<f64> {
    let (now, then) = (schedule.alpha_bar[t], schedule.alpha_bar[s]);
    let x0_hat = (xt - (1.0 - now).sqrt() * eps) / now.sqrt();
    let beta = 1.0 - now / then;
    let sigma = eta * ((1.0 - then) / (1.0 - now) * beta).sqrt();
    // At s = 0 both are 0, and rounding must not carry their difference below.
    let kept = (1.0 - then - sigma * sigma).max(0.0).sqrt();
    then.sqrt() * x0_hat + kept * eps + sigma * z
}
