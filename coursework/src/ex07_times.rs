//! Exercise 7: times to train at, in pairs.
//!
//! Chapter 7, the equation `antithetic_times` (07-objective.html#eq-antithetic_times).

/// A time for each uniform draw, and then, in the same order, the mirror image of each: where t is near 1, its mirror image
/// is near T. A draw u near 0 gives a t near 1.
///
/// # Shapes
/// `uniforms`: n numbers, 0 ≤ u < 1; result: 2n times within 1..=T, all of them equally likely
pub fn antithetic_times(uniforms: &[f64], timesteps: usize) -> Vec<usize> {
    todo!()
}
