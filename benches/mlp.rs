//! Where the time of a training step goes: each part of it, for the network of the classic notebook and a batch of 128.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use literate_diffusion::mlp::{
    AdamSettings, MlpDiffusion, Real, Trainer, adam_step, clip_grad_norm, loss_gradient, mlp_backward, mlp_forward,
};
use literate_diffusion::{Result, paper};
use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;

const BATCH: usize = 128;

fn training_step(criterion: &mut Criterion) -> Result<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let timesteps = paper::CLASSIC_TIMESTEPS;
    let mut net = MlpDiffusion::<f32>::new(&paper::CLASSIC_WIDTHS, timesteps, rng)?;
    let [xt, eps] = [(); 2].map(|()| Array2::<f32>::random_using((BATCH, 2), StandardNormal, rng));
    let times: Vec<usize> = (0..BATCH).map(|n| n % timesteps + 1).collect();
    let there = mlp_forward(&net, &xt, &times)?;
    let (_, delta) = loss_gradient(&eps, &there.eps_theta)?;
    let mut gradient = mlp_backward(&net, &there, &times, &delta)?;
    let settings = AdamSettings::kingma_ba(1e-3)?;
    let mut trainer = Trainer::new(net.clone(), settings, paper::CLASSIC_MAX_NORM, None)?;
    let many = Array2::<f32>::random_using((10_000, 2), StandardNormal, rng);
    let one_time = vec![50; many.nrows()];

    let mut group = criterion.benchmark_group("mlp");
    group.bench_function("product of 128 x 128 matrices", |b| {
        let [x, weight] = [&there.h[1], &net.linears[1].weight];
        let mut y = Array2::zeros(x.raw_dim());
        b.iter(|| f32::matmul_into(black_box(x).view(), weight.t(), y.view_mut()));
    });
    group.bench_function("mlp_forward", |b| b.iter(|| mlp_forward(&net, black_box(&xt), &times)));
    group.bench_function("mlp_backward", |b| b.iter(|| mlp_backward(&net, black_box(&there), &times, &delta)));
    group.bench_function("clip_grad_norm", |b| b.iter(|| clip_grad_norm(&mut gradient.tensors_mut(), 1.0)));
    group.bench_function("step", |b| b.iter(|| trainer.step(black_box(&xt), &times, &eps)));
    group.bench_function("predict 10,000", |b| b.iter(|| net.forward(black_box(&many), &one_time)));
    group.bench_function("adam_step", |b| {
        let (mut m, mut v) = (net.zeros_like(), net.zeros_like());
        b.iter(|| {
            let moments = m.tensors_mut().into_iter().zip(v.tensors_mut());
            let tensors = net.tensors_mut().into_iter().zip(gradient.tensors()).zip(moments);
            for (((mut theta, (_, g)), (mut m, mut v)), k) in tensors.zip(std::iter::repeat(1)) {
                let _ = black_box(adam_step(&mut theta, &g, &mut m, &mut v, k, settings));
            }
        });
    });
    group.finish();
    Ok(())
}

fn mlp(criterion: &mut Criterion) {
    training_step(criterion).expect("the network of the notebook and its batch fit together");
}

criterion_group!(benches, mlp);
criterion_main!(benches);
