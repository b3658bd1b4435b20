//! Exercise 15: training.

use ndarray::{Array, Array1, Array2, ArrayViewMutD, Axis};

use crate::ex03_closed_form::q_sample;
use crate::ex07_times::antithetic_times;
use crate::ex14_backward::{backward, forward};
use crate::{Net, Rng, Schedule};

/// A network's prediction of the noise: all points (n, 2) at one time t.
pub type EpsTheta = Box<dyn Fn(&Array2<f64>, usize) -> Array2<f64>>;

const HIDDEN: usize = 64;
const STEPS: usize = 3000;
const BATCH: usize = 128;
const LEARNING_RATE: f64 = 0.01;

/// Trains a network on points of the S-curve, and returns its ε_θ(x_t, t).
pub fn train(points: &Array2<f64>, schedule: &Schedule, rng: &mut Rng) -> EpsTheta {
    let mut net = new_net(schedule.timesteps(), rng);
    let mut m = zeros_like(&net);
    let mut v = zeros_like(&net);
    for k in 1..=STEPS {
        let (xt, times, eps) = batch(points, schedule, rng);
        let (_, mut gradient) = backward(&net, &xt, &times, &eps);
        // The learning rate falls to 0 along a straight line.
        let rate = LEARNING_RATE * (1.0 - k as f64 / STEPS as f64);
        let moments = tensors(&mut m).into_iter().zip(tensors(&mut v));
        for ((theta, gradient), (m, v)) in tensors(&mut net).into_iter().zip(tensors(&mut gradient)).zip(moments) {
            adam(theta, gradient, m, v, k as i32, rate);
        }
    }
    Box::new(move |xt, t| forward(&net, xt, &vec![t; xt.nrows()]))
}

/// A batch of x_t, their times and their noises.
fn batch(points: &Array2<f64>, schedule: &Schedule, rng: &mut Rng) -> (Array2<f64>, Vec<usize>, Array2<f64>) {
    let uniforms: Vec<f64> = (0..BATCH / 2).map(|_| rng.uniform()).collect();
    let times = antithetic_times(&uniforms, schedule.timesteps());
    let rows: Vec<usize> = (0..BATCH).map(|_| (rng.uniform() * points.nrows() as f64) as usize).collect();
    let x0 = points.select(Axis(0), &rows);
    let eps = normal((BATCH, 2), 1.0, rng);
    let mut xt = Array2::zeros((BATCH, 2));
    for (i, &t) in times.iter().enumerate() {
        let one = |array: &Array2<f64>| array.select(Axis(0), &[i]);
        xt.row_mut(i).assign(&q_sample(&one(&x0), schedule, t, &one(&eps)).row(0));
    }
    (xt, times, eps)
}

fn new_net(timesteps: usize, rng: &mut Rng) -> Net {
    Net {
        w1: normal((HIDDEN, 2), 1.0, rng),
        b1: Array1::zeros(HIDDEN),
        e: normal((timesteps + 1, HIDDEN), 1.0, rng),
        w2: normal((2, HIDDEN), (1.0 / HIDDEN as f64).sqrt(), rng),
        b2: Array1::zeros(2),
    }
}

fn normal(shape: (usize, usize), std: f64, rng: &mut Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || std * rng.normal())
}

fn zeros_like(net: &Net) -> Net {
    Net {
        w1: Array::zeros(net.w1.raw_dim()),
        b1: Array::zeros(net.b1.raw_dim()),
        e: Array::zeros(net.e.raw_dim()),
        w2: Array::zeros(net.w2.raw_dim()),
        b2: Array::zeros(net.b2.raw_dim()),
    }
}

fn tensors(net: &mut Net) -> [ArrayViewMutD<'_, f64>; 5] {
    [
        net.w1.view_mut().into_dyn(),
        net.b1.view_mut().into_dyn(),
        net.e.view_mut().into_dyn(),
        net.w2.view_mut().into_dyn(),
        net.b2.view_mut().into_dyn(),
    ]
}

/// One step of Adam. Kingma, Ba 2015, algorithm 1.
fn adam(
    mut theta: ArrayViewMutD<'_, f64>,
    gradient: ArrayViewMutD<'_, f64>,
    mut m: ArrayViewMutD<'_, f64>,
    mut v: ArrayViewMutD<'_, f64>,
    k: i32,
    rate: f64,
) {
    let (beta_1, beta_2, epsilon) = (0.9_f64, 0.999_f64, 1e-8);
    m.zip_mut_with(&gradient, |m, g| *m = beta_1 * *m + (1.0 - beta_1) * g);
    v.zip_mut_with(&gradient, |v, g| *v = beta_2 * *v + (1.0 - beta_2) * g * g);
    let (grown_1, grown_2) = (1.0 - beta_1.powi(k), 1.0 - beta_2.powi(k));
    ndarray::Zip::from(&mut theta)
        .and(&m)
        .and(&v)
        .for_each(|theta, m, v| *theta -= rate * (m / grown_1) / ((v / grown_2).sqrt() + epsilon));
}
