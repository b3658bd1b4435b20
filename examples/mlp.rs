//! Chapter 9: one step of training of a network small enough to print, its gradient checked number by number.
//!
//! `cargo run --release --example mlp`

use std::error::Error;

use literate_diffusion::mlp::{AdamSettings, Linear, MlpDiffusion, Trainer, loss_gradient, mlp_backward, mlp_forward};
use ndarray::{Dimension, array};

fn main() -> Result<(), Box<dyn Error>> {
    // Two numbers in, two hidden units, two numbers out, and a table with a row for each of T = 2 times.
    let net = MlpDiffusion {
        linears: vec![
            Linear { weight: array![[1.0, -0.5], [0.5, 1.0]], bias: array![0.1, -0.2] },
            Linear { weight: array![[1.0, 0.5], [-1.0, 2.0]], bias: array![0.0, 0.3] },
        ],
        embeddings: vec![array![[0.2, 0.0], [-0.4, 1.0]]],
    };
    let (x, times, eps) =
        (array![[0.5, -1.0], [1.5, 0.2], [-0.3, 0.8]], [1, 2, 1], array![[1.0, -1.0], [0.5, 2.0], [-0.2, 0.4]]);

    let there = mlp_forward(&net, &x, &times)?;
    println!("hidden layer after the ReLU\n{:6.3}", there.h[1]);
    println!("prediction\n{:6.3}", there.eps_theta);
    let (loss, delta) = loss_gradient(&there.eps_theta, &eps)?;
    println!("loss {loss:.6}, and its derivative by the prediction\n{delta:6.3}");

    let gradient = mlp_backward(&net, &there, &times, &delta)?;
    println!("\nderivative of the loss by every parameter, by hand and by differences");
    let mut worst = 0.0_f64;
    for (tensor, (name, by_hand)) in gradient.tensors().into_iter().enumerate() {
        for (index, &slope) in by_hand.indexed_iter() {
            let loss_at = |moved: f64| -> literate_diffusion::Result<f64> {
                let mut net = net.clone();
                net.tensors_mut()[tensor][index.clone()] += moved;
                Ok(loss_gradient(&mlp_forward(&net, &x, &times)?.eps_theta, &eps)?.0)
            };
            let difference = (loss_at(1e-5)? - loss_at(-1e-5)?) / 2e-5;
            worst = worst.max((slope - difference).abs());
            println!("{name:25} {:?} {slope:12.8} {difference:12.8}", index.slice());
        }
    }
    println!("the worst of them differ by {worst:.1e}");

    let mut trainer = Trainer::new(net, AdamSettings::kingma_ba(0.05)?, 1.0, None)?;
    for step in 1..=200 {
        let loss = trainer.step(&x, &times, &eps)?;
        if step == 1 || step % 50 == 0 {
            println!("step {step:3}: loss {loss:.6}");
        }
    }
    Ok(())
}
