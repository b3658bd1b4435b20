//! Chapter 9: one step of training of a network small enough to print, its gradient checked number by number.
//!
//! `cargo run --release --example mlp`

mod support;

use std::error::Error;
use std::process::ExitCode;

use literate_diffusion::mlp::{
    AdamSettings, Linear, MlpDiffusion, Trainer, clip_grad_norm, loss_gradient, mlp_backward, mlp_forward,
};
use ndarray::{Array2, Dimension, array};
use serde_json::json;
use support::cli;
use support::files::write_atomically;

fn main() -> ExitCode {
    cli::example("One step of training of a network small enough to print, its gradient checked number by number", run)
}

fn run() -> Result<(), Box<dyn Error>> {
    let net = two_units();
    let (x, times, eps) = (array![[0.5, -1.0]], [1], array![[1.0, 0.0]]);

    let there = mlp_forward(&net, &x, &times)?;
    let (loss, delta) = loss_gradient(&eps, &there.eps_theta)?;
    let mut gradient = mlp_backward(&net, &there, &times, &delta)?;
    println!("hidden layer {:6.3}, prediction {:6.3}", there.h[1], there.eps_theta);
    println!("loss {loss:.4}, its derivative by the prediction {delta:6.3}");
    let worst = against_differences(&net, &gradient, |net| {
        Ok(loss_gradient(&eps, &mlp_forward(net, &x, &times)?.eps_theta)?.0)
    })?;
    println!("the worst of them differ by {worst:.1e}");

    let shown = gradient.clone();
    let norm = clip_grad_norm(&mut gradient.tensors_mut(), 1.0)?;
    let clipped = gradient;
    println!("the norm of the gradient is {norm:.4}, and it is clipped at 1");

    let mut trainer = Trainer::new(net, AdamSettings::kingma_ba(0.05)?, 1.0, None)?;
    let (mut losses, mut after_one_step) = (Vec::new(), Vec::new());
    for step in 1..=60 {
        losses.push(trainer.step(&x, &times, &eps)?);
        if step % 10 == 0 {
            println!("step {step:2}: loss {:.6}", losses[step - 1]);
        }
        if step == 1 {
            after_one_step = rows(&trainer.net.linears[0].weight);
            println!("W_1 after one step of Adam {after_one_step:.4?}");
        }
    }

    let numbers = json!({
        "h": there.h[1].row(0).to_vec(),
        "eps_theta": there.eps_theta.row(0).to_vec(),
        "loss": loss,
        "delta": delta.row(0).to_vec(),
        "gradient": {
            "last_weight": rows(&shown.linears[1].weight),
            "first_weight": rows(&shown.linears[0].weight),
            "first_bias": shown.linears[0].bias.to_vec(),
            "table": rows(&shown.embeddings[0]),
        },
        "differences_agree": worst < 1e-8,
        "norm": norm,
        "clipped_first_weight": rows(&clipped.linears[0].weight),
        "after_one_step": after_one_step,
        "steps": losses.len(),
        "losses": [losses[0], losses[9], losses[29], losses[59]],
    });
    write_atomically(&support::figures().join("mlp-numbers.json"), serde_json::to_string(&numbers)?.as_bytes())?;
    Ok(())
}

fn rows(matrix: &Array2<f64>) -> Vec<Vec<f64>> {
    matrix.rows().into_iter().map(|row| row.to_vec()).collect()
}

// ANCHOR: two_units
/// Two numbers in, two hidden units, two numbers out, and a table with a row for each of T = 2 times.
fn two_units() -> MlpDiffusion<f64> {
    MlpDiffusion {
        linears: vec![
            Linear { weight: array![[1.0, -0.5], [0.5, 1.0]], bias: array![0.1, -0.2] },
            Linear { weight: array![[1.0, 0.5], [-1.0, 2.0]], bias: array![0.0, 0.3] },
        ],
        embeddings: vec![array![[0.2, 0.0], [-0.4, 1.0]]],
    }
}
// ANCHOR_END: two_units

// ANCHOR: against_differences
/// Moves each parameter a little up and down, looks at the loss, and compares. Returns the worst difference.
fn against_differences(
    net: &MlpDiffusion<f64>,
    gradient: &MlpDiffusion<f64>,
    loss: impl Fn(&MlpDiffusion<f64>) -> literate_diffusion::Result<f64>,
) -> literate_diffusion::Result<f64> {
    let mut worst = 0.0_f64;
    for (tensor, (name, by_hand)) in gradient.tensors().into_iter().enumerate() {
        for (index, &slope) in by_hand.indexed_iter() {
            let loss_at = |moved: f64| {
                let mut net = net.clone();
                net.tensors_mut()[tensor][index.clone()] += moved;
                loss(&net)
            };
            let difference = (loss_at(1e-5)? - loss_at(-1e-5)?) / 2e-5;
            worst = worst.max((slope - difference).abs());
            println!("{name:25} {:?} {slope:12.8} {difference:12.8}", index.slice());
        }
    }
    Ok(worst)
}
// ANCHOR_END: against_differences
