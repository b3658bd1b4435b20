//! Exercise 16: the exact score.

use ndarray::{Array1, Array2, ArrayView1};

use crate::Schedule;

/// ∇ ln q(x_t) at each x_t: the mean of (√ᾱ_t x_i − x_t)/(1 − ᾱ_t) over the points, weighted by how likely each is.
pub fn score(xt: &Array2<f64>, points: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar[t];
    let means = alpha_bar.sqrt() * points;
    let mut score = Array2::zeros(xt.raw_dim());
    for (x, mut score) in xt.rows().into_iter().zip(score.rows_mut()) {
        let mean = weights(x, &means, 1.0 - alpha_bar).dot(&means);
        score.assign(&((mean - x) / (1.0 - alpha_bar)));
    }
    score
}

/// How likely each mean is, given x: the largest exponent is taken off, so that not all of them underflow.
fn weights(x: ArrayView1<'_, f64>, means: &Array2<f64>, variance: f64) -> Array1<f64> {
    let exponents: Array1<f64> =
        means.rows().into_iter().map(|mean| -0.5 * (&x - &mean).mapv(|d| d * d).sum() / variance).collect();
    let largest = exponents.fold(f64::NEG_INFINITY, |largest, &exponent| largest.max(exponent));
    let weights = exponents.mapv(|exponent| (exponent - largest).exp());
    &weights / weights.sum()
}

/// E[ε | x_t].
pub fn optimal_eps(xt: &Array2<f64>, points: &Array2<f64>, schedule: &Schedule, t: usize) -> Array2<f64> {
    -(1.0 - schedule.alpha_bar[t]).sqrt() * score(xt, points, schedule, t)
}
