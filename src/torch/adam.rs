//! Adam over named parameters, with a state that can be saved.
//!
//! The parameters, the gradient and both moments are one vector each, all parameters after one another: a step then takes a
//! handful of operations of libtorch, instead of a handful for each parameter.

use tch::{Device, Kind, Tensor, no_grad};

use super::schedule::length;
use super::weights::Parameters;
use crate::error::{Error, Result};

/// On a CPU, so many numbers go through the whole step before the next ones do, so that they stay in its cache.
const PART: i64 = 1 << 17;

/// What is added to each number of the gradient: nothing beside the ε of Adam, but its square is a number of full precision.
///
/// Where a unit is dead its gradient is 0, and the moments would shrink for ever. A processor computes some hundred times
/// more slowly with numbers that are too small for full precision, and libtorch takes the root of 0 slowly.
fn tiny(kind: Kind) -> f64 {
    if kind == Kind::Double { 1e-150 } else { 1e-17 }
}

/// Adam. Source: Kingma, Ba 2015, algorithm 1.
#[derive(Debug)]
pub struct Adam {
    /// The learning rate λ.
    pub lr: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    steps: i32,
    /// θ: the parameters lie in it.
    theta: Tensor,
    /// The mean m of the gradients and that of their squares, v, in the parameters' order.
    m: Tensor,
    v: Tensor,
}

impl Adam {
    /// Both moments begin at 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 < `lr`, 0 ≤ β₁ < 1, 0 ≤ β₂ < 1 and 0 < ε
    pub fn new(parameters: &Parameters, lr: f64, beta_1: f64, beta_2: f64, epsilon: f64) -> Result<Self> {
        for (name, got) in [("the learning rate", lr), ("epsilon", epsilon)] {
            if !(got.is_finite() && got > 0.0) {
                return Err(Error::OutOfRange { name, expected: "a finite number above 0", got });
            }
        }
        for (name, got) in [("beta_1 of Adam", beta_1), ("beta_2 of Adam", beta_2)] {
            if !(0.0..1.0).contains(&got) {
                return Err(Error::OutOfRange { name, expected: "0 or above, below 1", got });
            }
        }
        let zeros = || Tensor::zeros([length(parameters.count())], (parameters.kind(), parameters.device()));
        let theta = parameters.in_one_vector();
        Ok(Self { lr, beta_1, beta_2, epsilon, steps: 0, theta, m: zeros(), v: zeros() })
    }

    /// How many steps were taken.
    pub fn steps(&self) -> i32 {
        self.steps
    }

    /// Moves all parameters, by a [gradient](Parameters::gradient) of them.
    ///
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − λ m̂/(√v̂ + ε), m̂ = m/(1 − β₁^k), v̂ = v/(1 − β₂^k).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless the gradient has a number for each parameter
    pub fn step(&mut self, parameters: &Parameters, gradient: &Tensor) -> Result<()> {
        super::same_shape("the gradient", &self.m, gradient)?;
        if !parameters.are_in(&self.theta) {
            self.theta = parameters.in_one_vector();
        }
        self.steps += 1;
        let correction_1 = 1.0 - self.beta_1.powi(self.steps);
        // √v̂ + ε = (√v + ε′)/√(1 − β₂^k), with ε′ = ε √(1 − β₂^k).
        let root_2 = (1.0 - self.beta_2.powi(self.steps)).sqrt();
        let part = if self.theta.device() == Device::Cpu { PART } else { length(self.theta.numel()).max(1) };
        let parts = |vector: &Tensor| vector.split(part, 0).into_iter();
        let all = parts(&self.theta).zip(parts(gradient)).zip(parts(&self.m).zip(parts(&self.v)));
        no_grad(|| {
            for ((mut theta, gradient), (mut m, mut v)) in all {
                let gradient = gradient + tiny(theta.kind());
                let _ = m.lerp_(&gradient, 1.0 - self.beta_1);
                let _ = v.lerp_(&(&gradient * &gradient), 1.0 - self.beta_2);
                let mut divisor = v.sqrt().g_add_scalar_(self.epsilon * root_2);
                let _ = theta.addcdiv_(&m, &divisor.g_mul_scalar_(-correction_1 / (self.lr * root_2)));
            }
        });
        Ok(())
    }

    /// The moments by name, `NAME.m` and `NAME.v`.
    pub fn state(&self, parameters: &Parameters) -> Vec<(String, Tensor)> {
        let pairs = parameters.split(&self.m).into_iter().zip(parameters.split(&self.v));
        let named = parameters.named().iter().zip(pairs);
        named.flat_map(|((name, _), (m, v))| [(format!("{name}.m"), m), (format!("{name}.v"), v)]).collect()
    }

    /// Goes on from a saved [`state`](Self::state), after that many steps. Where it fails, nothing has changed.
    ///
    /// # Errors
    /// [`Error::NamedArray`] where a moment is missing or has another shape
    pub fn load(&mut self, parameters: &Parameters, state: &[(String, Tensor)], steps: i32) -> Result<()> {
        let expected = self.state(parameters);
        let found = expected.iter().map(|(name, mine)| match state.iter().find(|(other, _)| other == name) {
            Some((_, value)) if value.size() == mine.size() => Ok(value),
            other => Err(Error::NamedArray {
                name: name.clone(),
                expected: super::lengths(&mine.size()),
                got: other.map(|(_, value)| super::lengths(&value.size())),
            }),
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        no_grad(|| expected.into_iter().zip(found).for_each(|((_, mut mine), value)| mine.copy_(value)));
        self.steps = steps;
        Ok(())
    }
}
