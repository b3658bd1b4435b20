//! Checks against the twin in libtorch: the same formula, for a batch with a time for each sample.
//!
//! The error is measured in units of a budget, so that the bound is 1: of the summed magnitudes of the formula's terms,
//! 1e-12 + 2⁻⁵²/min β in `f64` (two right routes differ by so much in 1 − ᾱ_1), and in `f32` 2⁻²⁴ more for each rounding
//! on the longest way of a number through the twin: four in a sum of three terms (a coefficient, a product and two sums),
//! more where the twin goes by way of another formula. Where there is a CUDA device, every check that asks for its
//! [`device`] runs on it too.

use std::cell::Cell;
use std::fmt::Debug;

use literate_diffusion::torch::tch::{Cuda, Device, Kind, Tensor};
use literate_diffusion::torch::{self, Steps};
use literate_diffusion::{Schedule, Step};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;

use super::strategies::{array, schedule};
use super::{Check, larger};

/// Why the bound of a check against the twin is 1.
pub const REASON: &str = "in units of the budget: 1e-12 + 2⁻⁵²/min β of the summed magnitudes of the terms in f64, 2⁻²⁴ a rounding more in f32";

/// Samples, each with its time and a row of each array.
#[derive(Debug, Clone)]
pub struct Batch<const COUNT: usize> {
    pub schedule: Schedule,
    pub times: Vec<usize>,
    pub arrays: [Array2<f64>; COUNT],
}

impl<const COUNT: usize> Batch<COUNT> {
    /// The steps of the reference, one a sample.
    pub fn steps(&self) -> Vec<Step> {
        self.times.iter().map(|&t| self.schedule.step(t).unwrap()).collect()
    }

    /// The steps of the twin.
    pub fn twin_steps(&self) -> Steps {
        twin(&self.schedule).at(&self.times).unwrap()
    }

    /// N samples as rows or as pictures, by turns.
    fn shape(&self) -> Vec<i64> {
        let (samples, dimensions) = (self.times.len() as i64, (self.arrays[0].len() / self.times.len()) as i64);
        if self.schedule.timesteps().is_multiple_of(2) {
            vec![samples, dimensions]
        } else {
            vec![samples, 1, dimensions, 1]
        }
    }

    /// 1e-12 + 2⁻⁵²/min β.
    pub fn budget(&self) -> f64 {
        budget(&self.schedule)
    }
}

/// 1e-12 + 2⁻⁵²/min β.
pub fn budget(schedule: &Schedule) -> f64 {
    let least = schedule.steps().iter().fold(1.0_f64, |least, step| least.min(step.beta));
    1e-12 + f64::EPSILON / least
}

/// The twin's schedule of the same betas.
pub fn twin(schedule: &Schedule) -> torch::Schedule {
    let betas: Vec<f64> = schedule.steps().iter().map(|step| step.beta).collect();
    torch::Schedule::from_betas(&betas).unwrap()
}

/// Up to 4 samples of up to 4 dimensions, at times of a schedule of up to 40 steps.
pub fn batch<const COUNT: usize>() -> impl Strategy<Value = Batch<COUNT>> {
    (schedule(40), 1..=4_usize, 1..=4_usize).prop_flat_map(|(schedule, samples, dimensions)| {
        let times = prop::collection::vec(1..=schedule.timesteps(), samples);
        let rows = move || {
            array(samples * dimensions)
                .prop_map(move |numbers| numbers.into_shape_with_order((samples, dimensions)).unwrap())
        };
        (Just(schedule), times, std::array::from_fn::<_, COUNT, _>(|_| rows()))
            .prop_map(|(schedule, times, arrays)| Batch { schedule, times, arrays })
    })
}

/// The CPU, and CUDA where it is there.
pub fn devices() -> Vec<Device> {
    if Cuda::is_available() { vec![Device::Cpu, Device::Cuda(0)] } else { vec![Device::Cpu] }
}

thread_local! {
    /// The device that the check of this thread is to run on, and whether it has asked.
    static DEVICE: Cell<Device> = const { Cell::new(Device::Cpu) };
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Where a check is to compute.
pub fn device() -> Device {
    ASKED.set(true);
    DEVICE.get()
}

/// Runs a check on one device after the other; the names of those that it ran on, of which CUDA is one only if it asked.
pub fn on_each_device(mut run: impl FnMut()) -> Vec<String> {
    let mut ran_on = Vec::new();
    for device in devices() {
        DEVICE.set(device);
        ASKED.set(false);
        run();
        match device {
            Device::Cuda(number) if ASKED.get() => ran_on.push(format!("CUDA device {number}")),
            Device::Cpu => ran_on.push("the CPU".to_owned()),
            _ => {}
        }
    }
    DEVICE.set(Device::Cpu);
    ran_on
}

/// A tensor with the numbers of an array, on the device of the check.
pub fn tensor(array: &Array2<f64>, kind: Kind) -> Tensor {
    let size = [array.nrows() as i64, array.ncols() as i64];
    Tensor::from_slice(&array.iter().copied().collect::<Vec<_>>()).view(size).to_kind(kind).to_device(device())
}

/// A batch of one sample, on the device of the check.
pub fn row(x: &Array1<f64>) -> Tensor {
    tensor(&x.clone().insert_axis(Axis(0)), Kind::Double)
}

/// The numbers of a tensor, in order.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_kind(Kind::Double).to_device(Device::Cpu).contiguous().view(-1);
    Vec::try_from(flat).unwrap()
}

/// A formula that is linear in its arrays, and so has a term for each of them: in the twin, one sum of at most three terms.
///
/// The magnitude of a term is what the reference gives with 0 for the other arrays.
pub fn agrees<const COUNT: usize>(
    check: Check,
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> literate_diffusion::Result<Array1<f64>>,
    twin: impl Fn([&Tensor; COUNT], &Steps) -> literate_diffusion::Result<Tensor>,
) {
    agrees_by_way(check, 4, reference, twin);
}

/// As [`agrees`], for a twin in which so many roundings lie on the way of a number from an array to the result.
pub fn agrees_by_way<const COUNT: usize>(
    check: Check,
    roundings: u8,
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> literate_diffusion::Result<Array1<f64>>,
    twin: impl Fn([&Tensor; COUNT], &Steps) -> literate_diffusion::Result<Tensor>,
) {
    let in_f32 = f64::from(roundings) * 2_f64.powi(-24);
    agrees_in(check, &[(Kind::Double, 0.0), (Kind::Float, in_f32)], reference, twin);
}

/// As [`agrees`], for a twin that computes in `f64` alone.
pub fn agrees_in_f64<const COUNT: usize>(
    check: Check,
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> literate_diffusion::Result<Array1<f64>>,
    twin: impl Fn([&Tensor; COUNT], &Steps) -> literate_diffusion::Result<Tensor>,
) {
    agrees_in(check, &[(Kind::Double, 0.0)], reference, twin);
}

fn agrees_in<const COUNT: usize>(
    check: Check,
    kinds: &[(Kind, f64)],
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> literate_diffusion::Result<Array1<f64>>,
    twin: impl Fn([&Tensor; COUNT], &Steps) -> literate_diffusion::Result<Tensor>,
) {
    check.bound(1.0, REASON).property(batch::<COUNT>(), |batch| {
        let mut worst = 0.0;
        for &(kind, rounding) in kinds {
            let tensors = batch.arrays.each_ref().map(|array| tensor(array, kind).view(batch.shape().as_slice()));
            let rounded = tensors
                .each_ref()
                .map(|tensor| Array2::from_shape_vec(batch.arrays[0].raw_dim(), numbers(tensor)).unwrap());
            let got = twin(tensors.each_ref(), &batch.twin_steps()).unwrap();
            assert_eq!((got.kind(), got.size()), (kind, tensors[0].size()));
            let (want, magnitude) = by_sample(&reference, &rounded, &batch.steps());
            let budget = batch.budget() + rounding;
            for ((got, want), magnitude) in numbers(&got).into_iter().zip(want).zip(magnitude) {
                worst = larger(worst, in_units(got, want, budget * magnitude));
            }
        }
        worst
    });
}

/// The reference, sample by sample: its results, and the summed magnitudes of its terms.
fn by_sample<const COUNT: usize>(
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> literate_diffusion::Result<Array1<f64>>,
    arrays: &[Array2<f64>; COUNT],
    steps: &[Step],
) -> (Vec<f64>, Vec<f64>) {
    let (mut want, mut magnitude) = (Vec::new(), Vec::new());
    for (i, &step) in steps.iter().enumerate() {
        let rows = arrays.each_ref().map(|array| array.index_axis(Axis(0), i).to_owned());
        want.extend(reference(rows.each_ref(), step).unwrap());
        let mut sum = Array1::<f64>::zeros(rows[0].len());
        for term in 0..COUNT {
            let mut alone = rows.clone().map(|row| row * 0.0);
            alone[term] = rows[term].clone();
            sum += &reference(alone.each_ref(), step).unwrap().mapv(f64::abs);
        }
        magnitude.extend(sum);
    }
    (want, magnitude)
}

/// A formula with a number for each step; `magnitude` is that of its terms.
pub fn agrees_by_step(
    check: Check,
    reference: impl Fn(Step) -> f64,
    magnitude: impl Fn(Step) -> f64,
    twin: impl Fn(&Steps) -> Tensor,
) {
    check.bound(1.0, REASON).property(batch::<0>(), |batch| {
        let got = numbers(&twin(&batch.twin_steps()));
        let compare = |(got, step): (f64, Step)| in_units(got, reference(step), batch.budget() * magnitude(step));
        got.into_iter().zip(batch.steps()).map(compare).fold(0.0, larger)
    });
}

/// A formula with a number for each sample, such as a KL; `magnitude` is that of its terms.
pub fn agrees_by_sample<const COUNT: usize>(
    check: Check,
    batches: impl Strategy<Value = Batch<COUNT>>,
    reference: impl Fn([&Array1<f64>; COUNT], Step) -> f64,
    magnitude: impl Fn([&Array1<f64>; COUNT], Step) -> f64,
    twin: impl Fn([&Tensor; COUNT], &Steps) -> Tensor,
) {
    check.bound(1.0, REASON).property(batches, |batch| {
        let mut worst = 0.0;
        let tensors = batch.arrays.each_ref().map(|array| tensor(array, Kind::Double));
        let got = numbers(&twin(tensors.each_ref(), &batch.twin_steps()));
        for (i, (got, step)) in got.into_iter().zip(batch.steps()).enumerate() {
            let rows = batch.arrays.each_ref().map(|array| array.index_axis(Axis(0), i).to_owned());
            let scale = batch.budget() * magnitude(rows.each_ref(), step);
            worst = larger(worst, in_units(got, reference(rows.each_ref(), step), scale));
        }
        worst
    });
}

/// |got − want| in units of what is allowed. Where nothing is allowed, only 0 will do.
pub fn in_units(got: f64, want: f64, allowed: f64) -> f64 {
    if got == want { 0.0 } else { (got - want).abs() / allowed }
}

/// Compares β, ᾱ and 1 − ᾱ of two schedules, each relative to itself, in units of the budget.
///
/// A β_s that is rounded by 2⁻⁵² changes ᾱ by 2⁻⁵²/α_s of itself, which is much where α_s is small.
pub fn schedules_differ(reference: &Schedule, twin: &torch::Schedule) -> f64 {
    let budget = budget(reference);
    let [beta, alpha_bar, one_minus_alpha_bar] =
        [twin.beta(), &twin.alpha_bar(), &twin.one_minus_alpha_bar()].map(numbers);
    assert_eq!(beta.len(), reference.timesteps() + 1);
    let (mut worst, mut of_betas) = (0.0, 0.0);
    for step in reference.steps() {
        of_betas += f64::EPSILON / step.alpha;
        worst = larger(worst, in_units(beta[step.t], step.beta, budget * step.beta));
        worst = larger(worst, in_units(alpha_bar[step.t], step.alpha_bar, (budget + of_betas) * step.alpha_bar));
        let variance = step.one_minus_alpha_bar;
        worst = larger(worst, in_units(one_minus_alpha_bar[step.t], variance, budget * variance));
    }
    worst
}
