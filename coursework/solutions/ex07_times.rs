//! Exercise 7: times to train at, in pairs.

/// A time for each uniform draw, and then the mirror image of each.
pub fn antithetic_times(uniforms: &[f64], timesteps: usize) -> Vec<usize> {
    let drawn: Vec<usize> = uniforms.iter().map(|u| 1 + (u * timesteps as f64) as usize).collect();
    let mirrored: Vec<usize> = drawn.iter().map(|t| timesteps + 1 - t).collect();
    [drawn, mirrored].concat()
}
