//! Drawing cases: small ones with plain numbers first, so that a counter-example can be followed by hand.

use literate_diffusion::Result;
use ndarray::{ArrayD, IxDyn};
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;

use crate::case::{Arg, Case};

/// T, n and d of the plain cases. The first two have one number in them.
const PLAIN: [(usize, usize, usize); 6] = [(2, 1, 1), (2, 1, 1), (3, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2)];
/// How many cases are drawn after them.
const MORE: usize = 10;
const PLAIN_BETAS: [f64; 7] = [0.1, 0.2, 0.25, 0.36, 0.5, 0.64, 0.75];
const PLAIN_NUMBERS: [f64; 8] = [-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0];

/// Where the numbers of one case come from.
pub struct Draw<'a> {
    pub rng: &'a mut ChaCha8Rng,
    /// The number of the case, from 0.
    pub index: usize,
    pub timesteps: usize,
    pub n: usize,
    pub d: usize,
    plain: bool,
}

/// The cases of a function: `args` draws the arguments of one.
pub fn cases(
    rng: &mut ChaCha8Rng,
    function: &'static str,
    args: impl Fn(&mut Draw) -> Vec<(&'static str, Arg)>,
) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for index in 0..PLAIN.len() + MORE {
        let drawn = (rng.random_range(3..=9), rng.random_range(2..=5), rng.random_range(1..=3));
        let plain = PLAIN.get(index);
        let (timesteps, n, d) = *plain.unwrap_or(&drawn);
        let plain = plain.is_some();
        let mut draw = Draw { rng, index, timesteps, n, d, plain };
        cases.push(Case::new(function, args(&mut draw))?);
    }
    Ok(cases)
}

impl Draw<'_> {
    /// T different values of β.
    pub fn betas(&mut self) -> (&'static str, Arg) {
        let mut left = PLAIN_BETAS.to_vec();
        let betas: Vec<f64> = (0..self.timesteps)
            .map(|_| match self.plain {
                true => left.swap_remove(self.rng.random_range(0..left.len())),
                false => self.rng.random_range(0.02..0.6),
            })
            .collect();
        ("betas", Arg::Array(ArrayD::from_shape_vec(IxDyn(&[betas.len()]), betas).unwrap_or_default()))
    }

    /// A time from `least` to T: T first, then `least`, then any.
    pub fn t(&mut self, least: usize) -> usize {
        match self.index {
            0 => self.timesteps,
            1 => least,
            _ => self.rng.random_range(least..=self.timesteps),
        }
    }

    /// A number.
    pub fn number(&mut self) -> f64 {
        match self.plain {
            true => PLAIN_NUMBERS[self.rng.random_range(0..PLAIN_NUMBERS.len())],
            false => self.rng.sample(StandardNormal),
        }
    }

    /// A number above 0.
    pub fn positive(&mut self) -> f64 {
        match self.plain {
            true => PLAIN_BETAS[self.rng.random_range(0..PLAIN_BETAS.len())],
            false => self.rng.random_range(0.05..0.95),
        }
    }

    /// An array of any shape.
    pub fn array(&mut self, shape: &[usize]) -> Arg {
        Arg::Array(ArrayD::from_shape_simple_fn(IxDyn(shape), || self.number()))
    }

    /// An array (n, d).
    pub fn points(&mut self) -> Arg {
        self.array(&[self.n, self.d])
    }
}
