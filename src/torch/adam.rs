//! Adam over named parameters, with a state that can be saved.

use tch::{Tensor, no_grad};

use super::weights::Parameters;
use crate::error::{Error, Result};

/// Adam. Source: Kingma, Ba 2015, algorithm 1.
#[derive(Debug)]
pub struct Adam {
    /// The learning rate η.
    pub lr: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    steps: i32,
    /// m and v of each parameter, in the parameters' order.
    moments: Vec<(Tensor, Tensor)>,
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
        let zeros = |tensor: &Tensor| tensor.detach().zeros_like();
        let moments = parameters.named().iter().map(|(_, tensor)| (zeros(tensor), zeros(tensor))).collect();
        Ok(Self { lr, beta_1, beta_2, epsilon, steps: 0, moments })
    }

    /// How many steps were taken.
    pub fn steps(&self) -> i32 {
        self.steps
    }

    /// Moves each parameter that has a gradient, and sets the gradients to 0.
    ///
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − η m̂/(√v̂ + ε), m̂ = m/(1 − β₁^k), v̂ = v/(1 − β₂^k).
    pub fn step(&mut self, parameters: &Parameters) {
        self.steps += 1;
        let correction_1 = 1.0 - self.beta_1.powi(self.steps);
        let correction_2 = 1.0 - self.beta_2.powi(self.steps);
        no_grad(|| {
            for ((_, parameter), (m, v)) in parameters.named().iter().zip(&mut self.moments) {
                let mut gradient = parameter.grad();
                if !gradient.defined() {
                    continue;
                }
                let mut parameter = parameter.shallow_clone();
                let _ = m.lerp_(&gradient, 1.0 - self.beta_1);
                let _ = v.g_mul_scalar_(self.beta_2).addcmul_(&gradient, &(&gradient * (1.0 - self.beta_2)));
                let mut root = (&*v / correction_2).sqrt_();
                let denominator = root.g_add_scalar_(self.epsilon);
                let _ = parameter.addcdiv_(&(&*m * (-self.lr / correction_1)), &denominator);
                let _ = gradient.zero_();
            }
        });
    }

    /// The moments by name, `NAME.m` and `NAME.v`.
    pub fn state(&self, parameters: &Parameters) -> Vec<(String, Tensor)> {
        let pairs = parameters.named().iter().zip(&self.moments);
        let named = pairs.flat_map(|((name, _), (m, v))| {
            [(format!("{name}.m"), m.shallow_clone()), (format!("{name}.v"), v.shallow_clone())]
        });
        named.collect()
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
