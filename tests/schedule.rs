//! Checks of chapter 3, noise schedules: one module an equation, named by its slug.

mod support;

#[cfg(feature = "torch")]
use literate_diffusion::torch::{self, tch::Kind};
use literate_diffusion::{Error, Result, Schedule, Step, paper, schedule};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;
use support::strategies::{beta, schedule as any_schedule, step};
#[cfg(feature = "torch")]
use support::torch as twin;
use support::{ROUNDING, assert_close, check, distance_of_numbers, integral, larger};

/// The relative distance of two numbers, the larger of them at least 1e-290.
fn relative(got: f64, want: f64) -> f64 {
    distance_of_numbers(got, want, 1e-290)
}

/// ᾱ_t as the product of 1 − β.
fn products(schedule: &Schedule) -> Vec<f64> {
    let betas: Vec<f64> = schedule.steps().iter().map(|step| step.beta).collect();
    schedule::alpha_bar(&betas)
}

fn ddpm() -> Schedule {
    Schedule::linear(paper::DDPM_TIMESTEPS, paper::DDPM_BETA_1, paper::DDPM_BETA_T).unwrap()
}

fn classic() -> Schedule {
    Schedule::sigmoid(paper::CLASSIC_TIMESTEPS, paper::CLASSIC_BETA_1, paper::CLASSIC_BETA_T).unwrap()
}

fn sound() -> Schedule {
    Schedule::linear(paper::SOUND_TIMESTEPS, paper::SOUND_BETA_1, paper::SOUND_BETA_T).unwrap()
}

mod from_betas {
    use super::*;

    /// Every field of every step follows from the betas.
    #[test]
    fn fields() {
        let steps = Schedule::from_betas(&[0.1, 0.2, 0.5]).unwrap().steps().to_vec();
        let expected = [
            // t, β, α, ᾱ, ᾱ_prev, 1 − ᾱ, 1 − ᾱ_prev, β̃, by hand
            (1, [0.1, 0.9, 0.9, 1.0, 0.1, 0.0, 0.0]),
            (2, [0.2, 0.8, 0.72, 0.9, 0.28, 0.1, 0.2 * 0.1 / 0.28]),
            (3, [0.5, 0.5, 0.36, 0.72, 0.64, 0.28, 0.5 * 0.28 / 0.64]),
        ];
        for (step, (t, fields)) in steps.iter().zip(expected) {
            assert_eq!(step.t, t);
            let Step { beta, alpha, alpha_bar, alpha_bar_prev, beta_tilde, .. } = *step;
            let (now, before) = (step.one_minus_alpha_bar, step.one_minus_alpha_bar_prev);
            let got = array![beta, alpha, alpha_bar, alpha_bar_prev, now, before, beta_tilde];
            assert_close(&got, &Array1::from(fields.to_vec()), ROUNDING);
        }
    }

    #[test]
    fn steps_are_found_by_t() {
        let schedule = sound();
        assert_eq!(schedule.timesteps(), 100);
        assert_eq!(schedule.step(1).unwrap(), schedule.steps()[0]);
        assert_eq!(schedule.step(100).unwrap(), schedule.last());
        for t in [0, 101, usize::MAX] {
            assert_eq!(schedule.step(t), Err(Error::StepOutOfRange { t, timesteps: 100 }));
        }
    }

    /// Every field in the twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        for schedule in [ddpm(), classic(), sound()] {
            assert!(twin::schedules_differ(&schedule, &twin::twin(&schedule)) <= 1.0, "{}", twin::REASON);
        }
    }

    #[test]
    fn bad_input() {
        assert_eq!(Schedule::from_betas(&[]), Err(Error::NoTimesteps));
        for got in [0.0, -0.1, 1.0, 1.1, f64::INFINITY] {
            assert_eq!(
                Schedule::from_betas(&[0.1, got, 0.1]),
                Err(Error::BetaOutOfRange { t: 2, timesteps: 3, got }),
                "{got}"
            );
        }
        assert!(matches!(Schedule::from_betas(&[f64::NAN]), Err(Error::BetaOutOfRange { t: 1, timesteps: 1, .. })));
        assert!(Schedule::from_betas(&[0.1, 1.1]).is_err());
        // At t = T alone, β may be 1.
        assert_eq!(Schedule::from_betas(&[0.1, 1.0]).unwrap().last().alpha_bar, 0.0);
    }
}

mod alpha_bar {
    use super::*;

    /// The logarithm of a product is the sum of the logarithms.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "a sum of 100 logarithms up to 300, each rounded, then exponentiated")
            .property(betas(), |betas| worst_over_t(&schedule::alpha_bar(&betas), &betas));
    }

    /// ᾱ_1000 of DDPM, as everybody's `alphas_cumprod[-1]` shows it: 4.0358e-05. The digits here are from 40-digit
    /// arithmetic.
    #[test]
    fn published() {
        check!(Published).bound(1e-12, "a product of 1000 rounded factors").cases(
            [
                (ddpm(), 1000, 4.035829765375684e-5),
                (ddpm(), 500, 0.07858724288177824),
                (sound(), 100, 2.0390089755640776e-5),
            ],
            |(schedule, t, expected)| relative(schedule.step(t).unwrap().alpha_bar, expected),
        );
    }

    /// ᾱ_0 = 1.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(0.0, "by definition")
            .cases([ddpm(), classic(), sound()], |schedule| (schedule.step(1).unwrap().alpha_bar_prev - 1.0).abs());
    }

    #[test]
    fn wrong_variant_starts_one_late() {
        check!(Identity).bound(1e-12, "as above").rejects("the product taken one factor short", betas(), |betas| {
            let mut late = vec![1.0];
            late.extend(&schedule::alpha_bar(&betas)[..betas.len() - 1]);
            worst_over_t(&late, &betas)
        });
    }

    #[test]
    fn wrong_variant_product_of_betas() {
        check!(Identity).bound(1e-12, "as above").rejects("one minus the product of betas", betas(), |betas| {
            let mut product = 1.0;
            let wrong: Vec<f64> = betas
                .iter()
                .map(|beta| {
                    product *= beta;
                    1.0 - product
                })
                .collect();
            worst_over_t(&wrong, &betas)
        });
    }

    fn betas() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(beta(), 1..100)
    }

    fn worst_over_t(alpha_bar: &[f64], betas: &[f64]) -> f64 {
        assert_eq!(alpha_bar.len(), betas.len());
        let by_logarithms = |t: usize| betas[..t].iter().map(|beta| (-beta).ln_1p()).sum::<f64>().exp();
        let errors = alpha_bar.iter().enumerate().map(|(i, got)| relative(*got, by_logarithms(i + 1)));
        errors.fold(0.0, larger)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees_by_step(
            check!(Torch),
            |step| step.alpha_bar,
            |step| step.alpha_bar,
            |steps| steps.alpha_bar.copy(),
        );
    }
}

mod one_minus_alpha_bar {
    use super::*;

    /// With ᾱ from [`schedule::alpha_bar`]: ᾱ + (1 − ᾱ) = 1.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, "100 steps of 3 roundings, on numbers up to 1").property(betas(), |betas| {
            let sums = schedule::alpha_bar(&betas).into_iter().zip(schedule::one_minus_alpha_bar(&betas));
            sums.map(|(alpha_bar, rest)| (alpha_bar + rest - 1.0).abs()).fold(0.0, larger)
        });
    }

    /// For one small β, −expm1(t · ln(1 − β)) has all its digits, and so has the recursion.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(1e-13, "100 steps of 3 roundings, all of positive numbers")
            .property(small(), |(beta, t)| digits_lost(schedule::one_minus_alpha_bar(&vec![beta; t])[t - 1], beta, t));
    }

    #[test]
    fn wrong_variant() {
        check!(Limit).bound(1e-13, "as above").rejects("subtracting alpha_bar from 1", small(), |(beta, t)| {
            digits_lost(1.0 - schedule::alpha_bar(&vec![beta; t])[t - 1], beta, t)
        });
    }

    fn digits_lost(got: f64, beta: f64, t: usize) -> f64 {
        relative(got, -(t as f64 * (-beta).ln_1p()).exp_m1())
    }

    fn betas() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(beta(), 1..100)
    }

    fn small() -> impl Strategy<Value = (f64, usize)> {
        ((1e-12_f64.ln()..1e-4_f64.ln()).prop_map(f64::exp), 1..100_usize)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let variance = |step: Step| step.one_minus_alpha_bar;
        twin::agrees_by_step(check!(Torch), variance, variance, |steps| steps.one_minus_alpha_bar.copy());
    }
}

mod snr {
    use super::*;

    /// 1/SNR + 1 = 1/ᾱ.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-14, "40 steps of 3 roundings; well conditioned")
            .property(step(40), |step| one_over(step, step.snr()));
    }

    /// The ratio of what was put in: the variance of √ᾱ x_0 over that of √(1−ᾱ) ε, both by quadrature of a Gaussian.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-13, "the trapezium rule is exact to rounding on a Gaussian").property(
            step(10),
            |step| {
                let variance = |std: f64| {
                    let pdf = |x: f64| (-0.5 * (x / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
                    integral(-12.0 * std, 12.0 * std, 400, |x| x * x * pdf(x))
                };
                relative(step.snr(), variance(step.alpha_bar.sqrt()) / variance(step.one_minus_alpha_bar.sqrt()))
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity)
            .bound(1e-14, "as above")
            .rejects("a ratio of standard deviations", step(40), |step| one_over(step, step.snr().sqrt()));
    }

    fn one_over(step: Step, snr: f64) -> f64 {
        relative(1.0 / snr + 1.0, 1.0 / step.alpha_bar)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees_by_step(check!(Torch), Step::snr, Step::snr, torch::Steps::snr);
    }
}

mod log_snr {
    use super::*;

    /// e^λ/(1 + e^λ) = ᾱ: ᾱ is the logistic function of the log-SNR.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(2e-13, "λ up to 120 is rounded by 1e-14 and exponentiated")
            .property(step(40), |step| back_to_alpha_bar(step, step.log_snr()));
    }

    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-13, "two logarithms of size up to 120")
            .property(step(40), |step| distance_of_numbers(step.log_snr(), step.snr().ln(), 1.0));
    }

    /// Where nothing of the data is left, it is −∞, not NaN.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "ln 0 = −∞").cases([ddpm(), sound()], |schedule| {
            let last = schedule.rescale_zero_terminal_snr().unwrap().last();
            if last.log_snr() == f64::NEG_INFINITY { 0.0 } else { f64::INFINITY }
        });
    }

    #[test]
    fn wrong_variant() {
        check!(RoundTrip)
            .bound(2e-13, "as above")
            .rejects("the logarithm to base 10", step(40), |step| back_to_alpha_bar(step, step.snr().log10()));
    }

    fn back_to_alpha_bar(step: Step, log_snr: f64) -> f64 {
        relative(1.0 / (1.0 + (-log_snr).exp()), step.alpha_bar)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        twin::agrees_by_step(
            check!(Torch),
            Step::log_snr,
            |step| step.alpha_bar.ln().abs() + step.one_minus_alpha_bar.ln().abs(),
            torch::Steps::log_snr,
        );
    }
}

/// How far the betas of a schedule are from expected ones.
fn worst_beta(schedule: &Schedule, expected: impl Fn(usize) -> f64) -> f64 {
    schedule.steps().iter().map(|step| relative(step.beta, expected(step.t))).fold(0.0, larger)
}

mod linear {
    use super::*;

    /// Equal distances, and the ends are where they were put.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "a few roundings, relative to the smallest β").property(case(), |case| {
            let (timesteps, beta_1, beta_end) = case;
            ends_and_distances(&Schedule::linear(timesteps, beta_1, beta_end).unwrap(), beta_1, beta_end)
        });
    }

    /// DDPM's ᾱ_T, and what the same ends leave after 300 steps: 4.8 % of the signal's variance instead of 0.004 %.
    #[test]
    fn published() {
        let short = Schedule::linear(300, paper::DDPM_BETA_1, paper::DDPM_BETA_T).unwrap();
        check!(Published).bound(1e-12, "a product of up to 1000 rounded factors").cases(
            [(ddpm(), 4.035829765375684e-5), (short, 0.04805842894429397), (sound(), 2.0390089755640776e-5)],
            |(schedule, expected)| relative(schedule.last().alpha_bar, expected),
        );
    }

    /// One step has one β, the first end.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "no arithmetic").cases([(0.1, 0.9), (0.5, 1e-6)], |(beta_1, beta_end)| {
            (Schedule::linear(1, beta_1, beta_end).unwrap().last().beta - beta_1).abs()
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-12, "as above").rejects("t/T for (t - 1)/(T - 1)", case(), |case| {
            let (timesteps, beta_1, beta_end) = case;
            let beta = |t: usize| beta_1 + t as f64 / timesteps as f64 * (beta_end - beta_1);
            let wrong = Schedule::from_betas(&(1..=timesteps).map(beta).collect::<Vec<_>>()).unwrap();
            ends_and_distances(&wrong, beta_1, beta_end)
        });
    }

    fn case() -> impl Strategy<Value = (usize, f64, f64)> {
        (2..300_usize, 1e-3..0.9, 1e-3..0.9)
    }

    fn ends_and_distances(schedule: &Schedule, beta_1: f64, beta_end: f64) -> f64 {
        let distance = (beta_end - beta_1) / (schedule.timesteps() as f64 - 1.0);
        let uneven =
            schedule.steps().windows(2).map(|pair| (pair[1].beta - pair[0].beta - distance).abs() / pair[0].beta);
        let ends = [relative(schedule.steps()[0].beta, beta_1), relative(schedule.last().beta, beta_end)];
        uneven.chain(ends).fold(0.0, larger)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property((1..=40_usize, beta(), beta()), |(t, a, b)| {
            twin::schedules_differ(&Schedule::linear(t, a, b).unwrap(), &torch::Schedule::linear(t, a, b).unwrap())
        });
    }

    #[test]
    fn bad_input() {
        assert_eq!(Schedule::linear(0, 0.1, 0.2), Err(Error::NoTimesteps));
        assert!(matches!(Schedule::linear(3, 0.1, 1.5), Err(Error::BetaOutOfRange { t: 3, .. })));
        assert!(matches!(Schedule::linear(3, f64::NAN, 0.1), Err(Error::BetaOutOfRange { t: 1, .. })));
    }
}

mod sigmoid {
    use super::*;

    /// The logistic function as a hyperbolic tangent: 1/(1 + e^{−s}) = (1 + tanh(s/2))/2.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-12, "the small β come from 1 − tanh 3 = 5e-3, which costs 3 digits")
            .property(case(), |case| by_tanh(&Schedule::sigmoid(case.0, case.1, case.2).unwrap(), case));
    }

    /// The classic notebook keeps 78 % of the data's variance to the end (40-digit arithmetic).
    #[test]
    fn published() {
        check!(Published)
            .bound(1e-12, "a product of 100 rounded factors")
            .cases([classic()], |schedule| relative(schedule.last().alpha_bar, 0.7780034315676704));
    }

    /// In the middle of the steps β is in the middle of its ends.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "e⁰ = 1").cases(
            [(3, 0.1, 0.3), (101, 0.01, 0.5)],
            |(timesteps, beta_1, beta_end)| {
                let schedule = Schedule::sigmoid(timesteps, beta_1, beta_end).unwrap();
                relative(schedule.step(timesteps.div_ceil(2)).unwrap().beta, 0.5 * (beta_1 + beta_end))
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-12, "as above").rejects("the logistic of 0 to 1, not of -6 to 6", case(), |case| {
            let (timesteps, beta_1, beta_end) = case;
            let r = |t: usize| (t - 1) as f64 / (timesteps as f64 - 1.0);
            let beta = |t| beta_1 + (beta_end - beta_1) / (1.0 + (-r(t)).exp());
            by_tanh(&Schedule::from_betas(&(1..=timesteps).map(beta).collect::<Vec<_>>()).unwrap(), case)
        });
    }

    type Case = (usize, f64, f64);

    fn case() -> impl Strategy<Value = Case> {
        (2..300_usize, beta(), beta())
    }

    fn by_tanh(schedule: &Schedule, (timesteps, beta_1, beta_end): Case) -> f64 {
        worst_beta(schedule, |t| {
            let s = -6.0 + 12.0 * (t as f64 - 1.0) / (timesteps as f64 - 1.0);
            beta_1 + (beta_end - beta_1) * 0.5 * (1.0 + (0.5 * s).tanh())
        })
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property((1..=40_usize, beta(), beta()), |(t, a, b)| {
            twin::schedules_differ(&Schedule::sigmoid(t, a, b).unwrap(), &torch::Schedule::sigmoid(t, a, b).unwrap())
        });
    }

    #[test]
    fn bad_input() {
        assert_eq!(Schedule::sigmoid(0, 0.1, 0.2), Err(Error::NoTimesteps));
        assert!(matches!(Schedule::sigmoid(3, -0.1, 0.2), Err(Error::BetaOutOfRange { t: 1, .. })));
    }
}

mod cosine {
    use super::*;
    use std::f64::consts::PI;

    /// Until β is cut off, ᾱ_t = f(t)/f(0), with cos² x = (1 + cos 2x)/2.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-9, "β_t = 1 − f(t)/f(t−1) loses up to 4 digits of 1e-16 a step, over 300 steps and a steep end")
            .property(case(), |case| curve(&cosine(case), case));
    }

    /// β_1, β_999 and ᾱ_500 of improved-diffusion's `betas_for_alpha_bar` with T = 1000 (40-digit arithmetic).
    #[test]
    fn published() {
        let schedule = cosine((1000, paper::COSINE_OFFSET));
        let numbers = [
            (schedule.step(1).unwrap().beta, 4.12842248217778e-5),
            (schedule.step(500).unwrap().alpha_bar, 0.4938435904406377),
            (schedule.step(999).unwrap().beta, 0.749999392901162),
            (schedule.step(1000).unwrap().beta, 0.999),
        ];
        check!(Published)
            .bound(1e-11, "β_1 is a difference of numbers 2e4 times as large")
            .cases(numbers, |(got, expected)| relative(got, expected));
    }

    #[test]
    fn wrong_variant_integer_division() {
        check!(Identity).bound(1e-9, "as above").rejects("integer division: i / n is 0 until i = n", case(), |case| {
            // f(t) is constant until t = T, so that every β but the last is 0, and no schedule at all.
            let betas = wrong_betas(case, |t, timesteps| (t / timesteps) as f64, 2);
            Schedule::from_betas(&betas).map_or(f64::INFINITY, |schedule| curve(&schedule, case))
        });
    }

    #[test]
    fn wrong_variant_missing_square() {
        check!(Identity).bound(1e-9, "as above").rejects("the cosine not squared", case(), |case| {
            let betas = wrong_betas(case, |t, timesteps| t as f64 / timesteps as f64, 1);
            curve(&Schedule::from_betas(&betas).unwrap(), case)
        });
    }

    #[test]
    fn wrong_variant_last_beta_not_cut_off() {
        check!(Published).bound(1e-12, "as above").rejects("the last beta not cut off", Just(()), |()| {
            let betas = wrong_betas((1000, paper::COSINE_OFFSET), |t, timesteps| t as f64 / timesteps as f64, 2);
            relative(1.0 - (1.0 - betas[999]).max(1e-30), 0.999)
        });
    }

    type Case = (usize, f64);

    fn case() -> impl Strategy<Value = Case> {
        (2..300_usize, 1e-3..0.1)
    }

    fn cosine((timesteps, offset): Case) -> Schedule {
        Schedule::cosine(timesteps, offset, paper::COSINE_MAX_BETA).unwrap()
    }

    fn wrong_betas((timesteps, s): Case, r: impl Fn(usize, usize) -> f64, power: i32) -> Vec<f64> {
        let f = |t| ((r(t, timesteps) + s) / (1.0 + s) * PI / 2.0).cos().powi(power);
        (1..=timesteps).map(|t| (1.0 - f(t) / f(t - 1)).min(if power == 1 { 0.999 } else { 1.0 })).collect()
    }

    /// The worst relative error of ᾱ_t for all t at which no β was cut off yet.
    fn curve(schedule: &Schedule, (timesteps, s): Case) -> f64 {
        let f = |t: usize| 0.5 * (1.0 + ((t as f64 / timesteps as f64 + s) / (1.0 + s) * PI).cos());
        let whole = schedule.steps().iter().take_while(|step| step.beta < paper::COSINE_MAX_BETA);
        whole.map(|step| relative(step.alpha_bar, f(step.t) / f(0))).fold(0.0, larger)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property((1..=40_usize, 1e-3..0.1), |(t, s)| {
            twin::schedules_differ(
                &Schedule::cosine(t, s, paper::COSINE_MAX_BETA).unwrap(),
                &torch::Schedule::cosine(t, s, paper::COSINE_MAX_BETA).unwrap(),
            )
        });
    }

    #[test]
    fn bad_input() {
        assert_eq!(Schedule::cosine(0, 0.008, 0.999), Err(Error::NoTimesteps));
        let no_cut_off = Schedule::cosine(10, 0.008, f64::NAN);
        assert!(matches!(no_cut_off, Err(Error::OutOfRange { name: "max_beta", .. })));
        for offset in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(Schedule::cosine(10, offset, 0.999), Err(Error::OutOfRange { name: "offset", .. })));
        }
        // Without a cut-off, β_T is 1: zero terminal SNR.
        assert_eq!(Schedule::cosine(10, 0.008, 1.5).unwrap().last().beta, 1.0);
        assert!(matches!(Schedule::cosine(10, 0.008, 0.0), Err(Error::BetaOutOfRange { t: 1, .. })));
    }
}

mod respaced {
    use super::*;

    /// The times whose turn came up, and T.
    #[cfg(feature = "torch")]
    fn chosen_times(schedule: &Schedule, chosen: &[bool]) -> Vec<usize> {
        let last = schedule.timesteps();
        (1..=last).filter(|&t| t == last || chosen[t - 1]).collect()
    }

    /// The new ᾱ at each visited time is the old one.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "40 quotients and a product of them; in units of 1e-3 where ᾱ is smaller, since β′ = 1 − α′ rounds there").property(case(), |(schedule, times)| {
            same_alpha_bar(&schedule, &times, &schedule.respaced(&times).unwrap())
        });
    }

    /// Visiting every time changes nothing.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(1e-12, "β comes back from a difference of numbers up to 1, or of 1 − ᾱ up to 40 β")
            .property(any_schedule(40), |schedule| {
                let times: Vec<usize> = (1..=schedule.timesteps()).collect();
                let same = schedule.respaced(&times).unwrap();
                same.steps().iter().zip(schedule.steps()).map(|(a, b)| (a.beta - b.beta).abs()).fold(0.0, larger)
            });
    }

    /// Two times are merged into 1 − α_t α_{t−1}, and small betas keep their digits.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-15, "a few roundings of positive numbers").cases([1e-3, 1e-6, 1e-9, 1e-12], |beta| {
            let schedule = Schedule::from_betas(&[beta, beta]).unwrap();
            relative(schedule.respaced(&[2]).unwrap().last().beta, beta * (2.0 - beta))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "the old betas at the visited times",
            case(),
            |(schedule, times)| {
                let betas: Vec<f64> = times.iter().map(|&t| schedule.step(t).unwrap().beta).collect();
                same_alpha_bar(&schedule, &times, &Schedule::from_betas(&betas).unwrap())
            },
        );
    }

    fn case() -> impl Strategy<Value = (Schedule, Vec<usize>)> {
        any_schedule(40).prop_flat_map(|schedule| {
            let all: Vec<usize> = (1..=schedule.timesteps()).collect();
            let some = prop::sample::subsequence(all.clone(), 1..=all.len());
            (Just(schedule), some)
        })
    }

    fn same_alpha_bar(old: &Schedule, times: &[usize], new: &Schedule) -> f64 {
        assert_eq!(new.timesteps(), times.len());
        let visited = times.iter().map(|&t| old.step(t).unwrap());
        let pairs = visited.zip(products(new)).zip(new.steps());
        pairs
            .map(|((old, product), new)| {
                let handed_on = relative(new.alpha_bar, old.alpha_bar);
                handed_on.max(distance_of_numbers(product, old.alpha_bar, 1e-3))
            })
            .fold(0.0, larger)
    }

    /// One step over many: the data is still there where β′ has rounded to 1, and its share is known to all digits.
    #[test]
    fn a_share_below_the_last_digit_of_beta() {
        let schedule = Schedule::from_betas(&[0.9; 20]).unwrap();
        let step = schedule.respaced(&[20]).unwrap().last();
        assert_eq!(step.beta, 1.0_f64.next_down());
        // 46 in the exponent, of which the last digit is 7e-15.
        assert!(relative(step.alpha, 1e-20) < 1e-13 && relative(step.alpha_bar, 1e-20) < 1e-14, "{step:?}");
        let again = schedule.respaced(&[10, 20]).unwrap().respaced(&[2]).unwrap().last();
        assert!(relative(again.alpha, 1e-20) < 1e-13, "{again:?}");
    }

    /// A β of which 1 − β shows nothing is not lost.
    #[test]
    fn a_beta_below_the_last_digit_of_alpha() {
        let schedule = Schedule::from_betas(&[0.3, 1e-17]).unwrap();
        assert_eq!(schedule.respaced(&[1, 2]).unwrap().last().beta, 1e-17);
    }

    /// Where β′ would round to 1, it is the largest number below 1: some signal is left, and the schedule may go on.
    #[test]
    fn almost_no_signal_is_not_none() {
        let schedule = Schedule::from_betas(&[0.5, 1.0 - 1e-12, 1.0 - 1e-12, 0.1]).unwrap();
        let respaced = schedule.respaced(&[3, 4]).unwrap();
        assert_eq!(respaced.step(1).unwrap().beta, 1.0_f64.next_down());
        assert!(respaced.last().alpha_bar > 0.0);
    }

    /// Respacing down to zero terminal SNR keeps the zero.
    #[test]
    fn zero_terminal_snr() {
        let schedule = sound().rescale_zero_terminal_snr().unwrap().respaced(&[50, 100]).unwrap();
        assert_eq!((schedule.last().beta, schedule.last().alpha_bar), (1.0, 0.0));
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch)
            .bound(8.0, "in units of the budget; β′ is a difference of numbers up to 1 that are rounded several times")
            .property((any_schedule(40), prop::collection::vec(any::<bool>(), 40)), |(schedule, chosen)| {
                twin::schedules_differ(
                    &schedule.respaced(&chosen_times(&schedule, &chosen)).unwrap(),
                    &twin::twin(&schedule).respaced(&chosen_times(&schedule, &chosen)).unwrap(),
                )
            });
    }

    #[test]
    fn bad_input() {
        let schedule = sound();
        assert_eq!(schedule.respaced(&[]), Err(Error::Empty { name: "times" }));
        let underflow = Schedule::from_betas(&[0.9999; 100]).unwrap();
        assert_eq!(underflow.respaced(&[10, 90, 100]), Err(Error::NoSignal { t: 90, what: "respaced" }));
        assert_eq!(schedule.respaced(&[1, 5, 5]), Err(Error::TimesNotIncreasing { previous: 5, next: 5 }));
        assert_eq!(schedule.respaced(&[5, 3]), Err(Error::TimesNotIncreasing { previous: 5, next: 3 }));
        assert_eq!(schedule.respaced(&[0, 3]), Err(Error::StepOutOfRange { t: 0, timesteps: 100 }));
        assert_eq!(schedule.respaced(&[3, 101]), Err(Error::StepOutOfRange { t: 101, timesteps: 100 }));
    }
}

mod rescaled {
    use super::*;

    /// ᾱ_T stays, whatever the new T.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-11, "up to 200 factors; in units of 1e-3 where ᾱ is smaller, since β′ = 1 − α′ rounds there")
            .property(case(), |(schedule, timesteps)| same_end(&schedule, &schedule.rescaled(timesteps).unwrap()));
    }

    /// A divisor of T visits old times only, so that it is a respaced schedule.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-9, "the β to compare with is a difference of ᾱ: 1e-16 of 1e-6").property(
            divisor(),
            |(schedule, times)| {
                let by_visiting = schedule.respaced(&times).unwrap();
                let rescaled = schedule.rescaled(times.len()).unwrap();
                worst_beta(&rescaled, |t| by_visiting.step(t).unwrap().beta)
            },
        );
    }

    /// Splitting each step in k and visiting every kth time gives the old schedule back.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-9, "the β to compare with is a difference of ᾱ: 1e-16 of 1e-6").property(
            (any_schedule(20), 1..6_usize),
            |(schedule, k)| {
                let split = schedule.rescaled(k * schedule.timesteps()).unwrap();
                let times: Vec<usize> = (1..=schedule.timesteps()).map(|t| k * t).collect();
                worst_beta(&split.respaced(&times).unwrap(), |t| schedule.step(t).unwrap().beta)
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-11, "as above").rejects("another T with the old ends of beta", Just(()), |()| {
            same_end(&ddpm(), &Schedule::linear(300, paper::DDPM_BETA_1, paper::DDPM_BETA_T).unwrap())
        });
    }

    fn case() -> impl Strategy<Value = (Schedule, usize)> {
        (any_schedule(40), 1..200_usize)
    }

    fn divisor() -> impl Strategy<Value = (Schedule, Vec<usize>)> {
        let steps = (1..8_usize, 1..6_usize);
        steps.prop_flat_map(|(count, stride)| {
            let betas = prop::collection::vec(beta(), count * stride);
            (betas.prop_map(|b| Schedule::from_betas(&b).unwrap()), Just((1..=count).map(|i| i * stride).collect()))
        })
    }

    fn same_end(old: &Schedule, new: &Schedule) -> f64 {
        let product = *products(new).last().unwrap();
        let handed_on = relative(new.last().alpha_bar, old.last().alpha_bar);
        handed_on.max(distance_of_numbers(product, old.last().alpha_bar, 1e-3))
    }

    /// Between two old times, ᾱ′ is on the straight line of ln ᾱ, and 1 − ᾱ′ belongs to it.
    #[test]
    fn between_old_times() {
        let schedule = Schedule::from_betas(&[0.1, 0.2, 0.5]).unwrap();
        let half_way = schedule.rescaled(2).unwrap().step(1).unwrap();
        let alpha_bar = 0.9 * 0.8_f64.sqrt();
        assert!(relative(half_way.alpha_bar, alpha_bar) < 1e-15, "{half_way:?}");
        assert!(relative(half_way.one_minus_alpha_bar, 1.0 - alpha_bar) < 1e-15, "{half_way:?}");
        assert!(relative(half_way.alpha, alpha_bar) < 1e-15, "{half_way:?}");
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property((any_schedule(40), 1..=80_usize), |(schedule, t)| {
            twin::schedules_differ(&schedule.rescaled(t).unwrap(), &twin::twin(&schedule).rescaled(t).unwrap())
        });
    }

    /// So does the twin go on where β′ would be rounded to 1.
    #[cfg(feature = "torch")]
    #[test]
    fn torch_of_almost_no_signal() {
        let schedule = Schedule::from_betas(&[1.0 - 1e-12; 4]).unwrap();
        let twin = twin::twin(&schedule);
        for twin in [twin.rescaled(2).unwrap(), twin.respaced(&[2, 4]).unwrap()] {
            assert_eq!(twin::numbers(twin.beta())[1..], [1.0_f64.next_down(); 2]);
        }
        let nothing_left = twin::twin(&Schedule::from_betas(&[0.5, 1.0]).unwrap());
        assert_eq!(twin::numbers(nothing_left.respaced(&[2]).unwrap().beta())[1..], [1.0]);
    }

    /// As in `respaced`: fewer steps may each keep almost nothing, but not nothing.
    #[test]
    fn almost_no_signal_is_not_none() {
        let schedule = Schedule::from_betas(&[1.0 - 1e-12; 4]).unwrap();
        for step in schedule.rescaled(2).unwrap().steps() {
            assert_eq!(step.beta, 1.0_f64.next_down());
            // 1 − (1 − 1e-12) is 1e-12 but for its last five digits.
            assert!(relative(step.alpha, 1e-24) < 1e-3, "{step:?}");
        }
    }

    #[test]
    fn bad_input() {
        assert_eq!(sound().rescaled(0), Err(Error::NoTimesteps));
        let nothing_left = sound().rescale_zero_terminal_snr().unwrap();
        assert_eq!(nothing_left.rescaled(50), Err(Error::NoSignal { t: 100, what: "rescaled" }));
    }
}

mod rescale_zero_terminal_snr {
    use super::*;

    /// √ᾱ is moved and stretched on a straight line: ratios of its differences stay.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-9, "√ᾱ′ from a product of 40 factors, each from a quotient of differences")
            .property(case(), |schedule| straight_line(&schedule, &schedule.rescale_zero_terminal_snr().unwrap()));
    }

    /// The first ᾱ stays, the last is exactly 0, and doing it again changes nothing.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-10, "each β passes twice through a quotient of differences").property(
            case(),
            |schedule| {
                let once = schedule.rescale_zero_terminal_snr().unwrap();
                let twice = once.rescale_zero_terminal_snr().unwrap();
                assert_eq!((once.last().alpha_bar, once.last().beta), (0.0, 1.0));
                assert_eq!(once.steps()[0].beta, schedule.steps()[0].beta);
                twice.steps().iter().zip(once.steps()).map(|(a, b)| (a.beta - b.beta).abs()).fold(0.0, larger)
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-9, "as above").rejects("alpha_bar moved, not its root", case(), |schedule| {
            let (first, last) = (schedule.steps()[0].alpha_bar, schedule.last().alpha_bar);
            let moved = |step: &Step| (step.alpha_bar - last) * first / (first - last);
            let mut betas = vec![schedule.steps()[0].beta];
            betas.extend(schedule.steps().windows(2).map(|pair| 1.0 - moved(&pair[1]) / moved(&pair[0])));
            straight_line(&schedule, &Schedule::from_betas(&betas).unwrap())
        });
    }

    fn case() -> impl Strategy<Value = Schedule> {
        prop::collection::vec(1e-3..0.5, 3..40).prop_map(|betas| Schedule::from_betas(&betas).unwrap())
    }

    fn straight_line(old: &Schedule, new: &Schedule) -> f64 {
        let root = |schedule: &Schedule, t: usize| schedule.step(t).unwrap().alpha_bar.sqrt();
        let share = |schedule: &Schedule, t| {
            let (first, last) = (root(schedule, 1), schedule.last().alpha_bar.sqrt());
            (root(schedule, t) - last) / (first - last)
        };
        (1..=old.timesteps()).map(|t| (share(new, t) - share(old, t)).abs()).fold(0.0, larger)
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        let several = any_schedule(40).prop_filter("needs two steps", |s| s.timesteps() >= 2);
        check!(Torch).bound(1.0, twin::REASON).property(several, |schedule| {
            let want = schedule.rescale_zero_terminal_snr().unwrap();
            let got = twin::numbers(&twin::twin(&schedule).rescale_zero_terminal_snr().unwrap().alpha_bar());
            let [first, last] = [schedule.steps()[0], schedule.last()].map(|step| step.alpha_bar.sqrt());
            let mut of_betas = 0.0;
            let units = |(old, new): (&Step, &Step)| {
                // As in `schedules_differ`: a β′_s that is rounded changes ᾱ′ by 2⁻⁵²/α′_s of itself.
                of_betas += f64::EPSILON / new.alpha;
                let magnitude = (old.alpha_bar.sqrt() + last) * first / (first - last);
                let root = new.alpha_bar.sqrt();
                twin::in_units(got[new.t].sqrt(), root, twin::budget(&schedule) * magnitude + of_betas * root)
            };
            schedule.steps().iter().zip(want.steps()).map(units).fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        let one_step = Schedule::from_betas(&[0.5]).unwrap();
        assert!(matches!(one_step.rescale_zero_terminal_snr(), Err(Error::OutOfRange { name: "T", .. })));
    }
}

mod terminal_gap {
    use super::*;

    /// The KL of q(x_T | x_0) from N(0, 1), integrated on a grid, summed over dimensions and averaged over samples.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-11, "the trapezium rule on a Gaussian; the KL is a difference of terms up to 10")
            .property((any_schedule(20), data()), |(schedule, data)| {
                let by_grid = data.mapv(|x0| kl_by_grid(x0, schedule.last())).sum() / data.nrows() as f64;
                distance_of_numbers(schedule.terminal_gap(&data).unwrap(), by_grid, 1.0)
            });
    }

    /// Nothing left, no gap.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "ᾱ_T is exactly 0").property((any_schedule(20), data()), |(schedule, data)| {
            let Ok(schedule) = schedule.rescale_zero_terminal_snr() else { return 0.0 };
            schedule.terminal_gap(&data).unwrap().abs()
        });
    }

    /// "≈ 10⁻⁵ bits per dimension" for DDPM on CIFAR-10 (Ho, Jain, Abbeel 2020, section 4). Its pixels have a mean square
    /// of about 1/4 on [−1, 1].
    #[test]
    fn published() {
        check!(Published).bound(0.5, "the paper gives a power of ten: half of one to either side").cases(
            [0.25_f64],
            |square| {
                let gap = ddpm().terminal_gap(&array![[square.sqrt()]]).unwrap();
                ((gap / std::f64::consts::LN_2).log10() + 5.0).abs()
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Quadrature).bound(1e-11, "as above").rejects(
            "the log term left out",
            (any_schedule(20), data()),
            |(schedule, data)| {
                let by_grid = data.mapv(|x0| kl_by_grid(x0, schedule.last())).sum() / data.nrows() as f64;
                let alpha_bar = schedule.last().alpha_bar;
                let wrong = 0.5 * alpha_bar * (data.mapv(|x| x * x - 1.0)).sum() / data.nrows() as f64;
                distance_of_numbers(wrong, by_grid, 1.0)
            },
        );
    }

    fn data() -> impl Strategy<Value = Array2<f64>> {
        (1..4_usize, 1..3_usize).prop_flat_map(|(samples, d)| {
            let numbers = prop::collection::vec(-2.0..2.0, samples * d);
            numbers.prop_map(move |numbers| Array2::from_shape_vec((samples, d), numbers).unwrap())
        })
    }

    fn kl_by_grid(x0: f64, last: Step) -> f64 {
        let (mean, variance) = (last.alpha_bar.sqrt() * x0, last.one_minus_alpha_bar);
        let log_q = |x: f64| -0.5 * (x - mean).powi(2) / variance - 0.5 * (std::f64::consts::TAU * variance).ln();
        let log_p = |x: f64| -0.5 * x * x - 0.5 * std::f64::consts::TAU.ln();
        let reach = 12.0 * variance.sqrt();
        integral(mean - reach, mean + reach, 400, |x| log_q(x).exp() * (log_q(x) - log_p(x)))
    }

    /// The twin, over batches.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        check!(Torch).bound(1.0, twin::REASON).property(twin::batch::<1>(), |batch| {
            let [data] = &batch.arrays;
            let want = batch.schedule.terminal_gap(data).unwrap();
            let got = twin::twin(&batch.schedule).terminal_gap(&twin::tensor(data, Kind::Double)).unwrap();
            let last = batch.schedule.last();
            let of_data = last.alpha_bar * data.mapv(|x| x * x).sum() / data.nrows() as f64;
            let of_variance = last.alpha_bar - last.one_minus_alpha_bar.ln();
            twin::in_units(got, want, batch.budget() * (of_data + data.ncols() as f64 * of_variance))
        });
    }

    #[test]
    fn bad_input() {
        assert_eq!(sound().terminal_gap(&Array2::zeros((0, 2))), Err(Error::Empty { name: "data" }));
        let number = ndarray::arr0(1.0).into_dyn();
        let error = sound().terminal_gap(&number).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "the number of dimensions of data", .. }), "{error}");
    }
}

mod evenly_spaced_times {
    use super::*;

    /// No two gaps differ by more than 1, the first counted from t = 0, and the last time is T.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1.0, "whole numbers: gaps of ⌊T/S⌋ and ⌈T/S⌉")
            .property(case(), |case| spread(case, schedule::evenly_spaced_times(case.0, case.1).unwrap()));
    }

    /// All times, and one time.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "whole numbers").cases([1, 2, 7, 1000], |timesteps| {
            let all: Vec<usize> = (1..=timesteps).collect();
            assert_eq!(schedule::evenly_spaced_times(timesteps, timesteps), Ok(all));
            assert_eq!(schedule::evenly_spaced_times(timesteps, 1), Ok(vec![timesteps]));
            0.0
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1.0, "as above").rejects(
            "a whole stride of T / S, so that T is missed",
            case(),
            |case| spread(case, (1..=case.1).map(|i| i * (case.0 / case.1)).collect()),
        );
    }

    fn case() -> impl Strategy<Value = (usize, usize)> {
        (1..500_usize).prop_flat_map(|timesteps| (Just(timesteps), 1..=timesteps))
    }

    fn spread((timesteps, count): (usize, usize), times: Vec<usize>) -> f64 {
        assert_eq!(times.len(), count);
        let before = std::iter::once(0).chain(times.iter().copied());
        let gaps: Vec<usize> = before.zip(&times).map(|(a, b)| b - a).collect();
        let uneven = gaps.iter().max().unwrap() - gaps.iter().min().unwrap();
        let missed = timesteps - times[count - 1];
        if missed == 0 { uneven as f64 } else { f64::INFINITY }
    }

    #[test]
    fn bad_input() -> Result<()> {
        assert_eq!(schedule::evenly_spaced_times(usize::MAX, 2)?, [usize::MAX / 2 + 1, usize::MAX]);
        for (timesteps, count) in [(10, 0), (10, 11), (0, 0)] {
            let error = schedule::evenly_spaced_times(timesteps, count).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "count", .. }));
        }
        Ok(())
    }
}
