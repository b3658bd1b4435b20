//! Sampling: from noise to pictures, by ancestral sampling or DDIM, with all or some of the steps.

use tch::{Device, Kind, Tensor, no_grad};

use super::diffusion::{
    ancestral_sigma, ancestral_step, ddim_step, eps_from_v, eps_from_x0, posterior_mean, x0_from_eps, x0_from_v,
};
use super::random::{Stream, drawn};
use super::schedule::{Schedule, Steps, length};
use super::unet::ImageNetwork;
use crate::error::{Error, Result};
use crate::objective::{Prediction, Variance};
use crate::sampler::LastStep;

/// How a step goes from x_t to the time before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Ancestral sampling with this variance. Source: Ho, Jain, Abbeel 2020, algorithm 2.
    Ancestral(Variance, LastStep),
    /// DDIM with this η: 0 adds no noise. Source: Song, Meng, Ermon 2021, eq. 12.
    Ddim(f64),
}

/// The choices of sampling.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// What the network predicts.
    pub prediction: Prediction,
    /// How a step is taken.
    pub method: Method,
    /// The range to which a predicted x_0 is cut, where it is.
    pub clip: Option<(f64, f64)>,
    /// The class asked for, where one is.
    pub class: Option<usize>,
    /// The weight w of guidance: ε of no class + w (ε of the class − ε of no class). 1 is no guidance, and one prediction
    /// a step instead of two. Source: Ho, Salimans 2022, eq. 6, whose w is one less.
    pub guidance: f64,
    /// The seed of all noise.
    pub seed: u64,
    /// The kind of number that the network computes in.
    pub precision: Kind,
}

/// How many numbers of noise are drawn at once where a sample has fewer: 512 points of the plane, or one picture.
const BLOCK: usize = 1024;

/// Draws samples with a network.
pub struct Sampler<'a> {
    net: &'a dyn ImageNetwork,
    /// The schedule of the visited times alone.
    schedule: Schedule,
    /// The visited times, in the network's own count.
    times: Vec<usize>,
    sampling: Sampling,
}

impl<'a> Sampler<'a> {
    /// A sampler that visits these `times` of the schedule that the network was trained with, in increasing order.
    ///
    /// # Errors
    /// As [`Schedule::respaced`]; [`Error::OutOfRange`] for η outside [0, 1], a class that the network does not have, a
    /// guidance that is not a finite number, and one other than 1 without a class
    pub fn new(net: &'a dyn ImageNetwork, schedule: &Schedule, times: &[usize], sampling: Sampling) -> Result<Self> {
        if let Method::Ddim(eta) = sampling.method
            && !(0.0..=1.0).contains(&eta)
        {
            return Err(Error::OutOfRange { name: "eta", expected: "between 0 and 1", got: eta });
        }
        check_class(sampling.class, net.classes())?;
        if !sampling.guidance.is_finite() || (sampling.guidance != 1.0 && sampling.class.is_none()) {
            let expected = "a finite number, and 1 where no class is given";
            return Err(Error::OutOfRange { name: "the guidance", expected, got: sampling.guidance });
        }
        Ok(Self { net, schedule: schedule.respaced(times)?, times: times.to_vec(), sampling })
    }

    /// Samples number `first`, `first` + 1, … of the given shape (N, …), in one batch. `visit` sees each x_t with its t,
    /// from x_T to x_0.
    ///
    /// A sample's noise follows from the seed and its number alone, not from the batch that it is in.
    ///
    /// # Errors
    /// As the network's; [`Error::Empty`] where the shape has no N
    pub fn sample(&self, first: usize, shape: &[i64], mut visit: impl FnMut(usize, &Tensor)) -> Result<Tensor> {
        let samples = *super::lengths(shape).first().ok_or(Error::Empty { name: "shape" })?;
        no_grad(|| {
            let mut x = self.noise(first, shape, 0);
            for (k, &t) in self.times.iter().enumerate().rev() {
                visit(t, &x);
                let steps = self.schedule.at(&vec![k + 1; samples])?;
                x = self.step(&x, t, &steps, first)?;
            }
            visit(0, &x);
            Ok(x)
        })
    }

    /// From x_t to the visited time before t.
    fn step(&self, xt: &Tensor, t: usize, steps: &Steps, first: usize) -> Result<Tensor> {
        let (x0, eps) = self.predict(xt, t, steps)?;
        match self.sampling.method {
            Method::Ddim(eta) => {
                let z = if eta > 0.0 { self.noise(first, &xt.size(), t) } else { xt.zeros_like() };
                ddim_step(&x0, &eps, steps, eta, &z)
            }
            Method::Ancestral(variance, last_step) => {
                let sigma = ancestral_sigma(steps, variance, last_step);
                ancestral_step(&posterior_mean(&x0, xt, steps)?, steps, &sigma, &self.noise(first, &xt.size(), t))
            }
        }
    }

    /// x̂_0, cut where that is wanted, and the ε that belongs to it.
    fn predict(&self, xt: &Tensor, t: usize, steps: &Steps) -> Result<(Tensor, Tensor)> {
        let predicted = self.guided(xt, t)?;
        let x0 = match self.sampling.prediction {
            Prediction::Eps => x0_from_eps(xt, steps, &predicted)?,
            Prediction::X0 => predicted.shallow_clone(),
            Prediction::V => x0_from_v(xt, steps, &predicted)?,
        };
        if let Some((low, high)) = self.sampling.clip {
            let x0 = x0.clamp(low, high);
            let eps = eps_from_x0(&x0, xt, steps)?;
            return Ok((x0, eps));
        }
        let eps = match self.sampling.prediction {
            Prediction::Eps => predicted,
            Prediction::X0 => eps_from_x0(&x0, xt, steps)?,
            Prediction::V => eps_from_v(xt, steps, &predicted)?,
        };
        Ok((x0, eps))
    }

    /// The network's prediction, with guidance where it is wanted.
    // ANCHOR: guided
    fn guided(&self, xt: &Tensor, t: usize) -> Result<Tensor> {
        let samples = xt.size().first().copied().unwrap_or(0);
        let index = Tensor::full([samples], length(t) - 1, (Kind::Int64, xt.device()));
        let predict = |class: Option<usize>| {
            let classes = class.map(|class| index.full_like(length(class)));
            let x = xt.to_kind(self.sampling.precision);
            Ok(self.net.forward_t(&x, &index, classes.as_ref(), false)?.to_kind(xt.kind()))
        };
        let of_class = predict(self.sampling.class)?;
        if self.sampling.guidance == 1.0 {
            return Ok(of_class);
        }
        let of_none = predict(None)?;
        Ok(&of_none + (of_class - &of_none) * self.sampling.guidance)
    }
    // ANCHOR_END: guided

    /// The noise of samples `first`, `first` + 1, … at t, or that which they begin with (t = 0).
    ///
    /// It is drawn in blocks that begin at fixed numbers, so that small samples do not cost a draw each.
    fn noise(&self, first: usize, shape: &[i64], t: usize) -> Tensor {
        let (parameters, times) = (self.net.parameters(), self.times.last().map_or(1, |last| last + 1));
        let lengths = super::lengths(shape);
        let (samples, each) = (lengths[0], lengths[1..].iter().product::<usize>());
        let block = (BLOCK / each.max(1)).max(1);
        let mut block_shape = shape.to_vec();
        block_shape[0] = length(block);
        let blocks = first / block..=(first + samples.max(1) - 1) / block;
        let draws = blocks.clone().map(|block| {
            let draw = || Tensor::randn(&block_shape, (Kind::Float, parameters.device()));
            drawn(self.sampling.seed, Stream::Samples, (block * times + t) as u64, draw)
        });
        let noise = Tensor::cat(&draws.collect::<Vec<_>>(), 0);
        let noise = noise.narrow(0, length(first - blocks.start() * block), length(samples));
        parameters.laid_out(&noise.to_kind(parameters.kind()))
    }
}

/// Fails where a class is not one of the network's.
fn check_class(class: Option<usize>, classes: usize) -> Result<()> {
    match class {
        Some(got) if classes == 0 => {
            let expected = "absent, since the network was trained without classes";
            Err(Error::OutOfRange { name: "the class", expected, got: got as f64 })
        }
        Some(got) if got >= classes => {
            let expected = "0 or above, and below the number of classes";
            Err(Error::OutOfRange { name: "the class", expected, got: got as f64 })
        }
        _ => Ok(()),
    }
}

/// Pictures in [−1, 1] as bytes, on the CPU: (N, height, width, channels).
pub fn to_bytes(x0: &Tensor) -> Tensor {
    let bytes = ((x0.to_kind(Kind::Float) + 1.0) * 127.5).round().clamp(0.0, 255.0).to_kind(Kind::Uint8);
    bytes.permute([0, 2, 3, 1]).contiguous().to_device(Device::Cpu)
}
