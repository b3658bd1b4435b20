//! A few numbers that can be computed by hand, so that you can begin without the marker.
//!
//! In a folder of your own: `cargo test`. In the project: `cargo test -p coursework --test by_hand`.

use coursework::{Schedule, ex01_schedule, ex02_one_step, ex03_closed_form, ex04_posterior_variance, ex07_times};
use coursework::{ex08_l_simple, ex11_loop};
use ndarray::array;

/// β = 0.36, 0.75: the roots come out well. ᾱ_2 = 0.64 · 0.25 = 0.16.
fn schedule() -> Schedule {
    Schedule { beta: vec![0.0, 0.36, 0.75], alpha: vec![1.0, 0.64, 0.25], alpha_bar: vec![1.0, 0.64, 0.16] }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} should be {b}");
}

#[test]
fn ex01_three_steps() {
    let schedule = ex01_schedule::linear(3, 0.1, 0.5);
    close(schedule.beta[2], 0.3);
    close(schedule.alpha_bar[0], 1.0);
    close(schedule.alpha_bar[3], 0.9 * 0.7 * 0.5);
}

#[test]
fn ex02_one_step() {
    let x1 = ex02_one_step::q_step(&array![[1.0]], &schedule(), 1, &array![[0.5]]);
    close(x1[[0, 0]], 0.8 + 0.6 * 0.5);
}

#[test]
fn ex03_two_steps_at_once() {
    let x2 = ex03_closed_form::q_sample(&array![[1.0]], &schedule(), 2, &array![[0.0]]);
    close(x2[[0, 0]], 0.4);
}

#[test]
fn ex04_at_t_1_nothing_is_open() {
    close(ex04_posterior_variance::posterior_variance(&schedule(), 1), 0.0);
    close(ex04_posterior_variance::posterior_variance(&schedule(), 2), 0.36 / 0.84 * 0.75);
}

#[test]
fn ex07_the_first_and_the_last_time() {
    assert_eq!(ex07_times::antithetic_times(&[0.0, 0.99], 10), [1, 10, 10, 1]);
}

#[test]
fn ex08_the_mean_of_four_squares() {
    close(ex08_l_simple::l_simple(&array![[1.0, 2.0], [0.0, 0.0]], &array![[0.0, 0.0], [0.0, 0.0]]), 1.25);
}

/// Where the network sees no noise, each step only divides by √α_t.
#[test]
fn ex11_no_noise_at_all() {
    let nothing = array![[0.0]];
    let z = vec![nothing.clone(); 3];
    let x0 = ex11_loop::ancestral(&array![[0.4]], &schedule(), &z, |_, _| nothing.clone());
    close(x0[[0, 0]], 1.0);
}
