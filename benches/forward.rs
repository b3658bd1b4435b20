//! How fast `q_sample` is: against a memory copy of the same traffic.
//!
//! `q_sample` reads x_0 and ε and writes x_t, 24 bytes an element in all. The copy moves as many bytes: it reads 12 and
//! writes 12 for each. Both write to memory that they allocate.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use literate_diffusion::{Schedule, forward, paper};
use ndarray::Array1;

const ELEMENTS: usize = 10_000_000;

fn q_sample(criterion: &mut Criterion) {
    let schedule = Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T);
    let step = schedule.and_then(|schedule| schedule.step(500)).expect("t = 500 is a step of DDPM's schedule");
    let x0 = Array1::from_shape_fn(ELEMENTS, |i| (i as f64).sin());
    let eps = Array1::from_shape_fn(ELEMENTS, |i| (i as f64).cos());
    let as_many_bytes = vec![1.0_f64; ELEMENTS * 3 / 2];

    let mut group = criterion.benchmark_group("q_sample");
    group.sample_size(20).throughput(Throughput::Elements(ELEMENTS as u64));
    group.bench_function("copy", |b| b.iter(|| black_box(&as_many_bytes).clone()));
    group.bench_function("q_sample", |b| b.iter(|| forward::q_sample(black_box(&x0), step, black_box(&eps))));
    group.finish();
}

criterion_group!(benches, q_sample);
criterion_main!(benches);
