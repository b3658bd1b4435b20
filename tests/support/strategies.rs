//! Where the cases of the property tests come from. All randomness is drawn here, so that failures shrink and replay.

use literate_diffusion::{Schedule, Step, paper};
use ndarray::Array1;
use proptest::prelude::*;

/// A schedule of any kind, with T up to `max_timesteps`, from gentle (β = 1e-6) to violent (β = 0.95).
pub fn schedule(max_timesteps: usize) -> impl Strategy<Value = Schedule> {
    let timesteps = 1..=max_timesteps;
    let straight = (timesteps.clone(), beta(), beta()).prop_map(|(t, a, b)| Schedule::linear(t, a, b));
    let logistic = (timesteps.clone(), beta(), beta()).prop_map(|(t, a, b)| Schedule::sigmoid(t, a, b));
    let cosine = (timesteps, 1e-3..0.1).prop_map(|(t, s)| Schedule::cosine(t, s, paper::COSINE_MAX_BETA));
    let arbitrary = prop::collection::vec(beta(), 1..=max_timesteps).prop_map(|betas| Schedule::from_betas(&betas));
    prop_oneof![straight, logistic, cosine, arbitrary].prop_map(|made| made.expect("these are valid schedules"))
}

/// A β, uniform in its logarithm from 1e-6 to 0.95.
pub fn beta() -> impl Strategy<Value = f64> {
    (1e-6_f64.ln()..0.95_f64.ln()).prop_map(f64::exp)
}

/// A schedule of up to `max_timesteps` steps and one of its steps.
pub fn step(max_timesteps: usize) -> impl Strategy<Value = Step> {
    schedule(max_timesteps).prop_flat_map(|schedule| prop::sample::select(schedule.steps().to_vec()))
}

/// As [`step`], but t ≥ 2, where β̃_t > 0.
pub fn step_after_first(max_timesteps: usize) -> impl Strategy<Value = Step> {
    schedule(max_timesteps)
        .prop_filter("needs two steps", |schedule| schedule.timesteps() >= 2)
        .prop_flat_map(|schedule| prop::sample::select(schedule.steps()[1..].to_vec()))
}

/// An array of `len` numbers of ordinary size, zeros and extremes among them.
pub fn array(len: usize) -> impl Strategy<Value = Array1<f64>> {
    let number = prop_oneof![8 => -4.0..4.0, 1 => Just(0.0), 1 => -1e3..1e3];
    prop::collection::vec(number, len).prop_map(Array1::from)
}

/// `count` arrays of one length between 1 and 6.
pub fn arrays<const COUNT: usize>() -> impl Strategy<Value = [Array1<f64>; COUNT]> {
    (1..=6_usize).prop_flat_map(|len| std::array::from_fn::<_, COUNT, _>(|_| array(len)))
}
