//! [`mlp_forward`](super::mlp_forward) for many rows at once: the same numbers, without keeping what lies between.
//!
//! The rows are shared out among the cores. Each core takes its share in chunks so small that what lies between two
//! layers stays in its cache, and goes over that once a layer.

use std::thread;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, Axis, azip};

use super::{MlpDiffusion, Real, has_shape, mlp_forward, relu_of_number, within_table};
use crate::error::Result;

/// The rows of a chunk.
const CHUNK: usize = 256;

/// ε_θ for each row.
pub(super) fn predict<F: Real>(net: &MlpDiffusion<F>, x: &ArrayRef2<F>, times: &[usize]) -> Result<Array2<F>> {
    if x.nrows() <= CHUNK {
        return Ok(mlp_forward(net, x, times)?.eps_theta);
    }
    has_shape("times", &[x.nrows()], &[times.len()])?;
    net.embeddings.iter().try_for_each(|table| within_table(times, table.nrows()))?;
    // A single row shows whether the network and x fit together.
    let first = mlp_forward(net, &x.slice_axis(Axis(0), (..1).into()), &times[..1])?;

    let predictor = &Predictor::new(net);
    let mut eps_theta = Array2::zeros((x.nrows(), first.eps_theta.ncols()));
    let share = x.nrows().div_ceil(thread::available_parallelism().map_or(1, usize::from));
    let shares = eps_theta.axis_chunks_iter_mut(Axis(0), share).zip(x.axis_chunks_iter(Axis(0), share));
    thread::scope(|scope| {
        for ((to, x), times) in shares.zip(times.chunks(share)) {
            scope.spawn(move || predictor.share(to, x, times));
        }
    });
    Ok(eps_theta)
}

struct Predictor<'a, F> {
    net: &'a MlpDiffusion<F>,
    /// Wᵀ of each layer, in the order in which a product reads it.
    weights: Vec<Array2<F>>,
}

impl<'a, F: Real> Predictor<'a, F> {
    fn new(net: &'a MlpDiffusion<F>) -> Self {
        let weights = net.linears.iter().map(|linear| linear.weight.t().as_standard_layout().into_owned()).collect();
        Self { net, weights }
    }

    fn share(&self, mut to: ArrayViewMut2<'_, F>, x: ArrayView2<'_, F>, times: &[usize]) {
        let hidden = self.net.embeddings.iter().map(|table| table.ncols());
        let mut memory: Vec<_> = hidden.map(|width| Array2::zeros((CHUNK, width))).collect();
        let chunks = to.axis_chunks_iter_mut(Axis(0), CHUNK).zip(x.axis_chunks_iter(Axis(0), CHUNK));
        for ((to, x), times) in chunks.zip(times.chunks(CHUNK)) {
            self.chunk(to, x, times, &mut memory);
        }
    }

    fn chunk<'b>(
        &self,
        mut to: ArrayViewMut2<'_, F>,
        x: ArrayView2<'b, F>,
        times: &[usize],
        memory: &'b mut [Array2<F>],
    ) {
        let layers = self.net.linears.iter().zip(&self.weights);
        let mut h = x;
        for (((linear, weight), table), memory) in layers.zip(&self.net.embeddings).zip(memory) {
            let mut next = memory.slice_axis_mut(Axis(0), (..times.len()).into());
            F::matmul_into(h, weight.view(), next.view_mut());
            for (mut a, &t) in next.rows_mut().into_iter().zip(times) {
                azip!((a in &mut a, &b in &linear.bias, &e in table.row(t - 1)) *a = relu_of_number(*a + b + e));
            }
            h = memory.slice_axis(Axis(0), (..times.len()).into());
        }
        let last = self.net.linears.len() - 1;
        F::matmul_into(h, self.weights[last].view(), to.view_mut());
        to += &self.net.linears[last].bias;
    }
}
