//! Denoising diffusion, derived, written in Rust and checked.
//!
//! Every numbered equation of the book *Denoising Diffusion, Checked* is a function of this crate.
//! The function, the anchor around it, the label of the equation in its chapter and the module of its
//! tests share one word, the *slug*, so that `cargo test q_sample` runs the checks of [`forward::q_sample`].
//!
//! | chapter | module | what it answers |
//! |---|---|---|
//! | 2 | [`gaussian`] | what we need of Gaussians |
//! | 3 | [`schedule`] | how much noise, and when |
//! | 4 | [`forward`] | how data becomes noise |
//! | 5 | [`posterior`] | how one step is undone when the data is known |
//! | 6 | [`elbo`] | what is maximised |
//! | 7 | [`objective`] | what is minimised in practice |
//! | 8 | [`sampler`] | how noise becomes data |
//! | 9 | [`s_curve`], [`mlp`] | the two-dimensional toy, solved exactly and learned |
//! | 11 | [`evaluation`] | how good the samples are |
//! | 12 | [`guidance`] | how a class is asked for, and louder |
//! | 13 | [`score`] | the slope of the log-density, and the flow that it drives |
//! | 14 | [`variants`] | what else is done: learned variances, other weights, flow matching |
//!
//! Chapter 10, and the pictures of chapters 11 and 12, need libtorch: `cargo xtask setup`, and the feature `torch`, whose module
//! of that name is a second implementation of the formulas. `data` reads pictures, and [`paper`] has the constants of the papers.
//!
//! # Examples
//! Noise data of one value, and walk back with the best prediction of the noise. Every sample is that value again.
//! ```
//! use literate_diffusion::objective::{Variance, eps_from_x0};
//! use literate_diffusion::sampler::{LastStep, ancestral};
//! use literate_diffusion::{Schedule, forward::q_sample};
//! use ndarray::array;
//! use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
//!
//! let schedule = Schedule::linear(100, 1e-3, 0.2)?;
//! let x0 = array![1.5, 1.5];
//! let xt = q_sample(&x0, schedule.step(50)?, &array![0.3, -1.1])?;
//! assert!(xt[0] > xt[1]);
//!
//! let (noise, rng) = (array![-0.4, 0.9], &mut StdRng::seed_from_u64(0));
//! let best = |xt: &_, step| eps_from_x0(&x0, xt, step);
//! let samples = ancestral(&noise, &schedule, Variance::BetaTilde, LastStep::Mean, best, rng)?;
//! assert!((samples - x0).iter().all(|off| off.abs() < 1e-12));
//! # Ok::<(), literate_diffusion::Error>(())
//! ```
//!
//! # Conventions
//! Time runs over t = 1, …, T and ᾱ_0 = 1. Noise is an argument (`eps`), never drawn inside a formula.
//! Arrays are `f64` and of any dimension, unless a function says otherwise.

pub mod data;
pub mod elbo;
pub mod error;
pub mod evaluation;
pub mod forward;
pub mod gaussian;
pub mod guidance;
pub mod mlp;
pub mod objective;
pub mod paper;
pub mod posterior;
pub mod s_curve;
pub mod sampler;
pub mod schedule;
pub mod score;
#[cfg(feature = "torch")]
pub mod torch;
pub mod variants;

pub use error::{Error, Result};
pub use schedule::{Schedule, Step};
