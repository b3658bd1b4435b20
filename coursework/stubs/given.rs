//! What you are given. The marker uses its own copy of this file: change nothing here.

use ndarray::{Array1, Array2};

/// A noise schedule. In each list the index is t, so that there are T + 1 entries.
///
/// The entry 0 belongs to the data, to which nothing has been done: β_0 = 0, α_0 = 1, ᾱ_0 = 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// β_t, the variance that step t adds.
    pub beta: Vec<f64>,
    /// α_t = 1 − β_t.
    pub alpha: Vec<f64>,
    /// ᾱ_t, how much of the data's variance is left after step t.
    pub alpha_bar: Vec<f64>,
}

impl Schedule {
    /// T, the number of steps.
    pub fn timesteps(&self) -> usize {
        self.beta.len() - 1
    }
}

/// A network that predicts the noise: one hidden layer of H units, and a row of numbers for each t.
///
/// ε_θ(x, t) = W_2 · relu(W_1 · x + b_1 + E_t) + b_2. A gradient by all of its numbers has the same form.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    /// W_1, of shape (H, 2).
    pub w1: Array2<f64>,
    /// b_1, of shape (H).
    pub b1: Array1<f64>,
    /// E, of shape (T + 1, H): row t belongs to t, and row 0 to no time at all.
    pub e: Array2<f64>,
    /// W_2, of shape (2, H).
    pub w2: Array2<f64>,
    /// b_2, of shape (2).
    pub b2: Array1<f64>,
}

/// Random numbers that repeat for a seed (the generator SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that begins at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A draw from the uniform law on [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A draw from N(0, 1), by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
