//! How far apart are two sets of points? Chapter 13: a distance means something only beside its yardstick.
//!
//! `cargo run --release --example evaluation -- --seed 0`

use clap::Parser;
use literate_diffusion::evaluation::{directions, energy_distance, sliced_wasserstein};
use literate_diffusion::s_curve::{SCurve, population_std};
use literate_diffusion::{Result, paper};
use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Compares the S-curve with itself and with three imitations.
#[derive(Parser)]
struct Arguments {
    /// The same seed prints the same numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

const POINTS: usize = 2_000;
const PAIRS: usize = 20;

fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(Arguments::parse().seed);
    let sound = SCurve::sound();
    // The noise of a last step that should have been the mean alone: more noise, the same scale.
    let blurred = SCurve::new(0.15, population_std(paper::S_CURVE_NOISE))?;

    println!("{PAIRS} pairs of {POINTS} points: fresh data against…   energy distance²   sliced Wasserstein");
    let mut report = |name: &str, imitation: &mut dyn FnMut(&mut ChaCha8Rng) -> Array2<f64>| -> Result<()> {
        let (mut energy, mut sliced) = (0.0, 0.0);
        for _ in 0..PAIRS {
            let (data, samples) = (sound.points(POINTS, &mut rng), imitation(&mut rng));
            energy += energy_distance(&samples, &data)? / PAIRS as f64;
            sliced += sliced_wasserstein(&samples, &data, &directions(64))? / PAIRS as f64;
        }
        println!("{name:<48}{energy:>18.5}{sliced:>21.4}");
        Ok(())
    };
    report("fresh data (the yardstick)", &mut |rng| sound.points(POINTS, rng))?;
    report("the curve with noise 0.15 for 0.1", &mut |rng| blurred.points(POINTS, rng))?;
    report("the curve shrunk by 10 %", &mut |rng| sound.points(POINTS, rng) * 0.9)?;
    report("a Gaussian of the same variances", &mut |rng| Array2::random_using((POINTS, 2), StandardNormal, rng))
}
