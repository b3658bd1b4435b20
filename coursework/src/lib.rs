//! Coursework: denoising diffusion for the S-curve, built by you.
//!
//! One file, one exercise. Each begins as `todo!()`. README.md says how to have them marked.
//!
//! # Conventions
//! Time is t = 1, …, T. In a [`Schedule`] the index is t, and the entry 0 belongs to the data. Arrays are (n, d): n points
//! of d numbers, a point a row. Noise is an argument, never drawn inside a formula.

// What a stub does not use yet is no mistake.
#![allow(unused_variables)]

pub mod ex01_schedule;
pub mod ex02_one_step;
pub mod ex03_closed_form;
pub mod ex04_posterior_variance;
pub mod ex05_posterior_mean;
pub mod ex06_conversions;
pub mod ex07_times;
pub mod ex08_l_simple;
pub mod ex09_weight;
pub mod ex10_ancestral_step;
pub mod ex11_loop;
pub mod ex12_ddim;
pub mod ex13_bound;
pub mod ex14_backward;
pub mod ex15_training;
pub mod ex16_exact_score;
pub mod given;

pub use given::{Net, Rng, Schedule};
