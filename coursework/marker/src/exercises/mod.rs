//! The exercises: how cases are drawn, what is right, and which mistakes are known.
//!
//! What is right always comes from the reference, the crate `literate_diffusion`. A mistake is written out here.

mod draw;
mod forward;
mod network;
mod objective;
mod posterior;
mod sampler;

use literate_diffusion::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::case::{Case, Outputs};

/// An exercise: one file of the student's, with one or more functions.
pub struct Exercise {
    pub number: usize,
    pub functions: Vec<Function>,
}

/// A function that the student writes.
pub struct Function {
    pub name: &'static str,
    /// The stem of its file.
    pub file: &'static str,
    pub draw: fn(&mut ChaCha8Rng) -> Result<Vec<Case>>,
    pub expected: fn(&Case) -> Result<Outputs>,
    pub mistakes: Vec<Mistake>,
    pub tolerance: Tolerance,
}

/// How far from the reference is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// As far as rounding goes.
    Exact,
    /// The mean squared difference is at most this.
    MeanSquare(f64),
}

/// A mistake that people make.
pub struct Mistake {
    pub name: &'static str,
    /// What is said to the student who makes it.
    pub sentence: &'static str,
    /// What the mistaken formula gives.
    pub outputs: fn(&Case) -> Result<Outputs>,
}

fn mistake(name: &'static str, sentence: &'static str, outputs: fn(&Case) -> Result<Outputs>) -> Mistake {
    Mistake { name, sentence, outputs }
}

/// All exercises, in order.
pub fn all() -> Vec<Exercise> {
    let exercise = |(i, functions)| Exercise { number: i + 1, functions };
    let functions = [
        vec![forward::linear()],
        vec![forward::q_step()],
        vec![forward::q_sample()],
        vec![posterior::posterior_variance()],
        vec![posterior::posterior_mean()],
        vec![objective::x0_from_eps(), objective::eps_from_x0(), objective::v_target()],
        vec![objective::antithetic_times()],
        vec![objective::l_simple()],
        vec![objective::eps_weight()],
        vec![sampler::ancestral_step()],
        vec![sampler::ancestral()],
        vec![sampler::ddim_step()],
        vec![objective::prior_bits(), objective::reverse_step_bits()],
        vec![network::forward(), network::backward()],
        vec![network::train()],
        vec![network::score(), network::optimal_eps()],
    ];
    functions.into_iter().enumerate().map(exercise).collect()
}

impl Exercise {
    /// The cases of a seed, the smallest first. Each exercise draws from a stream of its own.
    pub fn cases(&self, seed: u64) -> Result<Vec<Case>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self.number as u64);
        let mut cases = Vec::new();
        for function in &self.functions {
            cases.extend((function.draw)(&mut rng)?);
        }
        Ok(cases)
    }
}
