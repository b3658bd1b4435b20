//! Exercise 11: from noise to a sample.

use ndarray::Array2;

use crate::Schedule;
use crate::ex10_ancestral_step::ancestral_step;

/// Walks back from x_T to x_0 with the step of exercise 10.
pub fn ancestral(
    x_end: &Array2<f64>,
    schedule: &Schedule,
    z: &[Array2<f64>],
    eps_theta: impl Fn(&Array2<f64>, usize) -> Array2<f64>,
) -> Array2<f64> {
    let mut x = x_end.clone();
    for t in (1..=schedule.timesteps()).rev() {
        let eps = eps_theta(&x, t);
        x = ancestral_step(&x, schedule, t, &eps, &z[t]);
    }
    x
}
