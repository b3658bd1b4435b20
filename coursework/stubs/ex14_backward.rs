//! Exercise 14: a network by hand, forward and backward.
//!
//! Chapter 9, the equations `mlp_forward` (09-s_curve.html#eq-mlp_forward), `loss_gradient`
//! (09-s_curve.html#eq-loss_gradient) and `mlp_backward` (09-s_curve.html#eq-mlp_backward).

use ndarray::Array2;

use crate::Net;

/// ε_θ(x, t) for each point x, which has a time of its own. [`Net`] has the formula.
///
/// # Shapes
/// `x`, result: (n, 2); `times`: n values
pub fn forward(net: &Net, x: &Array2<f64>, times: &[usize]) -> Array2<f64> {
    todo!()
}

/// L_simple of a batch, and its gradient by every number of the network.
///
/// # Shapes
/// `x`, `eps`: (n, 2); `times`: n values, some of which may be equal; the gradient: as `net`, with 0 in each row of `e` whose
/// time does not occur. Where the ReLU is given 0, its slope is taken as 0.
pub fn backward(net: &Net, x: &Array2<f64>, times: &[usize], eps: &Array2<f64>) -> (f64, Net) {
    todo!()
}
