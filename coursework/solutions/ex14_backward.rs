//! Exercise 14: a network by hand, forward and backward.

use ndarray::{Array2, Axis};

use crate::Net;

/// ε_θ(x, t) for each point x, which has a time of its own.
pub fn forward(net: &Net, x: &Array2<f64>, times: &[usize]) -> Array2<f64> {
    hidden(net, x, times).dot(&net.w2.t()) + &net.b2
}

/// relu(W_1 · x + b_1 + E_t).
fn hidden(net: &Net, x: &Array2<f64>, times: &[usize]) -> Array2<f64> {
    let a = x.dot(&net.w1.t()) + &net.b1 + net.e.select(Axis(0), times);
    a.mapv(|a| a.max(0.0))
}

/// L_simple of a batch, and its gradient by every number of the network.
pub fn backward(net: &Net, x: &Array2<f64>, times: &[usize], eps: &Array2<f64>) -> (f64, Net) {
    let h = hidden(net, x, times);
    let error = h.dot(&net.w2.t()) + &net.b2 - eps;
    let m = error.len() as f64;
    let loss = error.mapv(|error| error * error).sum() / m;

    let delta_2 = error * (2.0 / m);
    let mut delta_1 = delta_2.dot(&net.w2);
    delta_1.zip_mut_with(&h, |delta, &h| *delta = if h > 0.0 { *delta } else { 0.0 });
    // A time that is there several times gathers from each of its points.
    let mut e = Array2::zeros(net.e.raw_dim());
    for (&t, delta) in times.iter().zip(delta_1.rows()) {
        let mut row = e.row_mut(t);
        row += &delta;
    }
    let gradient = Net {
        w1: delta_1.t().dot(x),
        b1: delta_1.sum_axis(Axis(0)),
        e,
        w2: delta_2.t().dot(&h),
        b2: delta_2.sum_axis(Axis(0)),
    };
    (loss, gradient)
}
