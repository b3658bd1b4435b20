//! The noise schedule as tables, and what a batch needs of them.

use tch::{Device, Kind, Tensor};

use super::{has_shape, lengths};
use crate::error::{Error, Result};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);
/// What a β′ is that would be rounded to 1 although some signal is left.
const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

/// A noise schedule: tables of T + 1 numbers in `f64`. Entry t belongs to time t, entry 0 to the data (β_0 = 0, ᾱ_0 = 1).
///
/// Python code has tables of T numbers, whose first entry belongs to t = 1: [`zero_based`](Self::zero_based) makes one.
#[derive(Debug)]
pub struct Schedule {
    timesteps: usize,
    beta: Tensor,
    /// ln ᾱ_t = Σ_s ln(1 − β_s).
    log_alpha_bar: Tensor,
}

/// What the formulas need to know of the times t_1, …, t_N of a batch: each field has N numbers in `f64`.
#[derive(Debug)]
pub struct Steps {
    /// t − 1, as the networks want it: whole numbers.
    index: Tensor,
    /// β_t.
    pub beta: Tensor,
    /// α_t.
    pub alpha: Tensor,
    /// ᾱ_t.
    pub alpha_bar: Tensor,
    /// ᾱ_{t−1}.
    pub alpha_bar_prev: Tensor,
    /// 1 − ᾱ_t.
    pub one_minus_alpha_bar: Tensor,
    /// 1 − ᾱ_{t−1}; 0 at t = 1.
    pub one_minus_alpha_bar_prev: Tensor,
    /// β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t); 0 at t = 1.
    pub beta_tilde: Tensor,
}

impl Schedule {
    /// A schedule from its betas, the first of them β_1.
    ///
    /// # Errors
    /// [`Error::NoTimesteps`] where there are none; [`Error::BetaOutOfRange`] unless 0 < β_t < 1 (β_T may be 1)
    pub fn from_betas(betas: &[f64]) -> Result<Self> {
        let timesteps = betas.len();
        if timesteps == 0 {
            return Err(Error::NoTimesteps);
        }
        for (i, &got) in betas.iter().enumerate() {
            let inside = 0.0 < got && got < 1.0;
            let last_and_one = i + 1 == timesteps && got == 1.0;
            if !inside && !last_and_one {
                return Err(Error::BetaOutOfRange { t: i + 1, timesteps, got });
            }
        }
        let beta = Tensor::cat(&[Tensor::zeros([1], F64), Tensor::from_slice(betas)], 0);
        let log_alpha_bar = (-&beta).log1p().cumsum(0, None);
        Ok(Self { timesteps, beta, log_alpha_bar })
    }

    fn from_tensor(betas: &Tensor) -> Result<Self> {
        Self::from_betas(&numbers(betas))
    }

    /// β on a straight line from `beta_1` to `beta_end`. Source: Ho, Jain, Abbeel 2020, section 4.
    ///
    /// # Errors
    /// As [`Schedule::from_betas`]
    pub fn linear(timesteps: usize, beta_1: f64, beta_end: f64) -> Result<Self> {
        Self::from_tensor(&Tensor::linspace(beta_1, beta_end, length(timesteps), F64))
    }

    /// β along a logistic curve over [−6, 6].
    ///
    /// # Errors
    /// As [`Schedule::from_betas`]
    pub fn sigmoid(timesteps: usize, beta_1: f64, beta_end: f64) -> Result<Self> {
        Self::from_tensor(&(Tensor::linspace(-6, 6, length(timesteps), F64).sigmoid() * (beta_end - beta_1) + beta_1))
    }

    /// ᾱ_t proportional to cos² of an angle that grows evenly. Source: Nichol, Dhariwal 2021, eq. 17.
    ///
    /// 1 − cos²a/cos²b = sin(a + b) sin(a − b)/cos²b, which subtracts no two numbers that are nearly equal.
    ///
    /// # Errors
    /// As [`Schedule::from_betas`]; [`Error::OutOfRange`] unless `offset` is a finite number, 0 or above
    pub fn cosine(timesteps: usize, offset: f64, max_beta: f64) -> Result<Self> {
        if !(offset.is_finite() && offset >= 0.0) {
            return Err(Error::OutOfRange { name: "offset", expected: "a finite number, 0 or above", got: offset });
        }
        let quarter_turn = std::f64::consts::FRAC_PI_2 / (1.0 + offset);
        let before = (Tensor::arange(length(timesteps), F64) / timesteps as f64 + offset) * quarter_turn;
        let turn = quarter_turn / timesteps as f64;
        let betas: Tensor = (&before * 2.0 + turn).sin() * turn.sin() / before.cos().square();
        Self::from_tensor(&betas.clamp_max(max_beta))
    }

    /// The same curve of ln ᾱ over t/T, walked in another number of steps. Source: Nichol, Dhariwal 2021, section 4.
    ///
    /// # Errors
    /// [`Error::NoTimesteps`] where `timesteps` is 0; [`Error::NoSignal`] where ᾱ_T = 0
    pub fn rescaled(&self, timesteps: usize) -> Result<Self> {
        if self.beta.double_value(&[-1]) == 1.0 {
            return Err(Error::NoSignal { t: self.timesteps, what: "rescaled" });
        }
        if timesteps == 0 {
            return Err(Error::NoTimesteps);
        }
        // Count time in units of 1/(T T′), so that old step s covers ((s − 1) T′, s T′] and new step k ((k − 1) T, k T],
        // in whole numbers. Each new step takes its share of ln α_s by the length that they have in common.
        let (old, new) = (length(self.timesteps), length(timesteps));
        let old_end = Tensor::arange_start(1, old + 1, F64) * new;
        let new_end = (Tensor::arange_start(1, new + 1, F64) * old).unsqueeze(1);
        let common = new_end.minimum(&old_end) - (&new_end - old).maximum(&(&old_end - new));
        let overlap = common.clamp_min(0.0) / timesteps as f64;
        let log_alpha = (-self.zero_based(&self.beta)).log1p();
        Self::from_tensor(&(-overlap.matmul(&log_alpha).expm1()).clamp_max(BELOW_ONE))
    }

    /// A schedule that visits only some of the times, with the same ᾱ at each. Source: Song, Meng, Ermon 2021, appendix C.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::StepOutOfRange`] and [`Error::TimesNotIncreasing`] for a bad list
    pub fn respaced(&self, times: &[usize]) -> Result<Self> {
        if times.is_empty() {
            return Err(Error::Empty { name: "times" });
        }
        let mut betas = Vec::with_capacity(times.len());
        let log_alpha = (-&self.beta).log1p();
        let mut previous = 0;
        for &next in times {
            self.check(next)?;
            if next <= previous {
                return Err(Error::TimesNotIncreasing { previous, next });
            }
            let passed = log_alpha.narrow(0, length(previous) + 1, length(next - previous));
            let beta = -passed.sum(Kind::Double).expm1().double_value(&[]);
            let keeps_signal = self.beta.double_value(&[length(next)]) < 1.0;
            betas.push(if keeps_signal { beta.min(BELOW_ONE) } else { beta });
            previous = next;
        }
        Self::from_betas(&betas)
    }

    /// √ᾱ moved and stretched so that ᾱ_T = 0 and ᾱ_1 stays. Source: Lin, Liu, Li, Yang 2024, algorithm 1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where T = 1
    pub fn rescale_zero_terminal_snr(&self) -> Result<Self> {
        if self.timesteps == 1 {
            return Err(Error::OutOfRange { name: "T", expected: "2 or more", got: 1.0 });
        }
        let root = self.zero_based(&self.alpha_bar().sqrt());
        let (first, last) = (root.double_value(&[0]), root.double_value(&[-1]));
        let stretched = (root - last) * (first / (first - last));
        let (before, after) = (stretched.narrow(0, 0, length(self.timesteps) - 1), stretched.slice(0, 1, None, 1));
        // 1 − (a/b)² = (b − a)(b + a)/b².
        let later = (&before - &after) * (&before + &after) / before.square();
        Self::from_tensor(&Tensor::cat(&[self.beta.narrow(0, 1, 1), later], 0))
    }

    /// The mean over the data of KL(q(x_T | x_0) ‖ N(0, I)), in nats. Source: Ho, Jain, Abbeel 2020, eq. 5, the term L_T.
    ///
    /// # Errors
    /// [`Error::Empty`] where `data` has no element
    pub fn terminal_gap(&self, data: &Tensor) -> Result<f64> {
        if data.numel() == 0 || data.dim() == 0 {
            return Err(Error::Empty { name: "data" });
        }
        let kl = super::diffusion::prior_kl(data, &self.at(&vec![self.timesteps; lengths(&data.size())[0]])?)?;
        Ok(kl.mean(Kind::Double).double_value(&[]))
    }

    /// T.
    pub fn timesteps(&self) -> usize {
        self.timesteps
    }

    /// β_0 = 0, β_1, …, β_T.
    pub fn beta(&self) -> &Tensor {
        &self.beta
    }

    /// ᾱ_0 = 1, ᾱ_1, …, ᾱ_T.
    pub fn alpha_bar(&self) -> Tensor {
        self.log_alpha_bar.exp()
    }

    /// 1 − ᾱ_0 = 0, 1 − ᾱ_1, …, 1 − ᾱ_T.
    pub fn one_minus_alpha_bar(&self) -> Tensor {
        one_minus_exp(&self.log_alpha_bar)
    }

    /// A table as Python code has it: without the entry of t = 0.
    pub fn zero_based(&self, table: &Tensor) -> Tensor {
        table.narrow(0, 1, length(self.timesteps))
    }

    /// What the formulas need at the times of a batch.
    ///
    /// # Errors
    /// [`Error::StepOutOfRange`] unless each t is one of 1..=T
    /// # Examples
    /// ```
    /// use literate_diffusion::torch::{Schedule, tch::Tensor};
    /// let schedule = Schedule::from_betas(&[0.5, 0.5])?;
    /// assert_eq!(schedule.at(&[1, 2])?.index(), Tensor::from_slice(&[0_i64, 1]));
    /// assert!(schedule.at(&[0]).is_err());
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn at(&self, times: &[usize]) -> Result<Steps> {
        times.iter().try_for_each(|&t| self.check(t))?;
        let index = Tensor::from_slice(&times.iter().map(|&t| length(t) - 1).collect::<Vec<_>>());
        let now = &index + 1;
        let beta = self.beta.index_select(0, &now);
        let log_alpha_bar = self.log_alpha_bar.index_select(0, &now);
        let log_alpha_bar_prev = self.log_alpha_bar.index_select(0, &index);
        let one_minus_alpha_bar = one_minus_exp(&log_alpha_bar);
        let one_minus_alpha_bar_prev = one_minus_exp(&log_alpha_bar_prev);
        Ok(Steps {
            index,
            alpha: 1.0 - &beta,
            alpha_bar: log_alpha_bar.exp(),
            alpha_bar_prev: log_alpha_bar_prev.exp(),
            beta_tilde: &beta * &one_minus_alpha_bar_prev / &one_minus_alpha_bar,
            one_minus_alpha_bar,
            one_minus_alpha_bar_prev,
            beta,
        })
    }

    fn check(&self, t: usize) -> Result<()> {
        if (1..=self.timesteps).contains(&t) {
            return Ok(());
        }
        Err(Error::StepOutOfRange { t, timesteps: self.timesteps })
    }
}

impl Steps {
    /// N, the number of samples in the batch.
    pub fn samples(&self) -> usize {
        self.index.numel()
    }

    /// t − 1 for each sample, as the networks want it.
    pub fn index(&self) -> Tensor {
        self.index.shallow_clone()
    }

    /// SNR(t) = ᾱ_t/(1 − ᾱ_t). Source: Kingma, Salimans, Poole, Ho 2021, eq. 2.
    pub fn snr(&self) -> Tensor {
        &self.alpha_bar / &self.one_minus_alpha_bar
    }

    /// ln SNR(t).
    pub fn log_snr(&self) -> Tensor {
        self.alpha_bar.log() - self.one_minus_alpha_bar.log()
    }

    /// Fails, with the first such time, where a field of these steps is 0 since no signal is left.
    pub(super) fn none_zero(&self, field: &Tensor) -> Result<()> {
        match numbers(field).iter().position(|&number| number == 0.0) {
            Some(i) => Err(Error::ZeroSnr { t: numbers(&self.index)[i] as usize + 1 }),
            None => Ok(()),
        }
    }

    /// Fails unless `x` has a first dimension of N samples.
    pub(super) fn fit(&self, name: &'static str, x: &Tensor) -> Result<()> {
        let mut expected = x.size();
        match expected.first_mut() {
            Some(first) => *first = length(self.samples()),
            None => expected.push(length(self.samples())),
        }
        has_shape(name, &expected, x)
    }
}

/// 1 − e^x for x ≤ 0; +0 for x = 0, since it is divided by.
fn one_minus_exp(x: &Tensor) -> Tensor {
    x.expm1().abs()
}

/// The numbers of a tensor, in order.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).to_device(Device::Cpu).contiguous().view(-1);
    let mut numbers = vec![0.0; flat.numel()];
    flat.copy_data(&mut numbers, flat.numel());
    numbers
}

/// A count as libtorch wants it.
pub(super) fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
