//! Exercise 12: a DDIM step, which may leave out times.
//!
//! Chapter 8, the equations `ddim_step` (08-sampler.html#eq-ddim_step) and `ddim_sigma` (08-sampler.html#eq-ddim_sigma).

use ndarray::Array2;

use crate::Schedule;

/// x_s, made of x_t for any s < t, the predicted noise `eps` and fresh noise `z`.
///
/// σ is `eta` times the standard deviation of q(x_s | x_t, x_0), so that `eta` = 0 adds no fresh noise at all. Where s is
/// not t − 1, every β of the step is that of the whole jump: 1 − ᾱ_t/ᾱ_s.
///
/// # Shapes
/// `xt`, `eps`, `z`, result: (n, d), all equal; 0 ≤ `s` < `t` ≤ T; 0 ≤ `eta` ≤ 1
pub fn ddim_step(
    xt: &Array2<f64>,
    schedule: &Schedule,
    t: usize,
    s: usize,
    eta: f64,
    eps: &Array2<f64>,
    z: &Array2<f64>,
) -> Array2<f64> {
    todo!()
}
