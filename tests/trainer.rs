//! Training in libtorch: what a step draws, what it minimises, and that a run that stopped goes on as if it had not.

#[path = "support/oracle.rs"]
mod oracle;
mod support;

use std::cell::RefCell;
use std::rc::Rc;

use literate_diffusion::data::Pictures;
use literate_diffusion::objective::{Prediction, eps_weight, min_snr_weight, v_weight, x0_weight};
use literate_diffusion::torch::dataset::{Dataset, flipped};
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor, set_num_threads};
use literate_diffusion::torch::trainer::{Settings, TENTHS, Trainer, Weighting};
use literate_diffusion::torch::unet::{ImageNetwork, ResidualUnet, ResidualUnetConfig};
use literate_diffusion::torch::{self, Schedule};
use literate_diffusion::{Error, paper};
use oracle::oracle;
use support::torch::devices;

const SETTINGS: Settings = Settings::simple(2e-3, 3);

fn schedule(timesteps: usize) -> Schedule {
    Schedule::linear(timesteps, 1e-3, 0.2).unwrap()
}

fn in_f32(prediction: Prediction, weighting: Weighting) -> Settings {
    Settings { prediction, weighting, ..SETTINGS }
}

/// Pictures of 8×8 pixels: a bright half, at a side that the label tells.
fn halves(count: usize) -> Pictures {
    let side = |i: usize| i % 2;
    let pixels = (0..count * 64).map(|at| if (at % 8) / 4 == side(at / 64) { 230 } else { 20 });
    let labels = (0..count).map(|i| side(i) as u8).collect();
    Pictures { channels: 1, height: 8, width: 8, pixels: pixels.collect(), labels }
}

fn unet(config: ResidualUnetConfig) -> Box<dyn ImageNetwork> {
    unet_on(Device::Cpu, config)
}

fn unet_on(device: Device, config: ResidualUnetConfig) -> Box<dyn ImageNetwork> {
    drawn(1, Stream::Weights, 0, || Box::new(ResidualUnet::new(config, device, Kind::Float).unwrap()))
}

fn small(classes: usize) -> ResidualUnetConfig {
    ResidualUnetConfig { widths: vec![8, 16], classes, ..ResidualUnetConfig::plain(1) }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// Steps over the data in batches of 16; the loss of each.
fn train(trainer: &mut Trainer, data: &Dataset, steps: usize, conditional: bool) -> Vec<f64> {
    set_num_threads(1); // More are slower for so small a network.
    let step = |_| {
        let per_epoch = data.count() / 16;
        let (epoch, place) = (trainer.steps() / per_epoch, trainer.steps() % per_epoch);
        let (x0, labels) = data.batch(&data.order(3, epoch).narrow(0, 16 * place as i64, 16));
        trainer.step(&x0, conditional.then_some(&labels)).unwrap().double_value(&[])
    };
    (0..steps).map(step).collect()
}

mod loss {
    use super::*;

    /// 200 steps take the loss below 0.4 of what it was.
    #[test]
    fn falls_on_a_toy_set() {
        for device in devices() {
            let data = Dataset::new(&halves(64), device);
            for prediction in [Prediction::Eps, Prediction::X0, Prediction::V] {
                let settings = Settings { prediction, max_norm: Some(1.0), ..SETTINGS };
                let mut trainer = Trainer::new(unet_on(device, small(0)), &schedule(50), settings).unwrap();
                let losses = train(&mut trainer, &data, 200, false);
                let (first, last) = (mean(&losses[..5]), mean(&losses[180..]));
                assert!(last < 0.4 * first, "{device:?}, {prediction:?}: {first} to {last}");
                trainer.check().unwrap();
            }
        }
    }

    /// With x_0 = 0, x_t = √(1 − ᾱ_t) ε: a network that knows this has no error, whatever it predicts.
    #[test]
    fn is_zero_for_who_knows_the_answer() {
        for prediction in [Prediction::Eps, Prediction::X0, Prediction::V] {
            let net = oracle(Kind::Float, move |x, index, _| {
                let times: Vec<usize> =
                    index.iter::<i64>().unwrap().map(|index| usize::try_from(index).unwrap() + 1).collect();
                let steps = schedule(20).at(&times).unwrap();
                let factor = match prediction {
                    Prediction::Eps => steps.one_minus_alpha_bar.rsqrt(),
                    Prediction::X0 => steps.beta.zeros_like(),
                    Prediction::V => (&steps.alpha_bar / &steps.one_minus_alpha_bar).sqrt(),
                };
                x * factor.to_kind(x.kind()).view([-1, 1, 1, 1])
            });
            let mut trainer =
                Trainer::new(Box::new(net), &schedule(20), in_f32(prediction, Weighting::Simple)).unwrap();
            let x0 = Tensor::zeros([64, 1, 4, 4], (Kind::Float, Device::Cpu));
            let loss = trainer.step(&x0, None).unwrap().double_value(&[]);
            assert!(loss < 1e-9, "{prediction:?}: {loss}");
        }
    }

    /// A network that says 0 where x_0 = 0.5 has the error 0.25; with T = 1, only one weight is there to multiply it.
    #[test]
    fn is_weighted_as_the_reference_weights() {
        let beta = 0.3;
        let step = literate_diffusion::Schedule::from_betas(&[beta]).unwrap().step(1).unwrap();
        let gamma = paper::MIN_SNR_GAMMA;
        let cases = [
            (Weighting::Simple, 1.0),
            (Weighting::Elbo, x0_weight(step, step.beta).unwrap()),
            (Weighting::MinSnr(gamma), min_snr_weight(step, gamma, Prediction::X0).unwrap()),
        ];
        for (weighting, weight) in cases {
            let net = oracle(Kind::Float, |x, _, _| x.zeros_like());
            let twin = Schedule::from_betas(&[beta]).unwrap();
            let mut trainer = Trainer::new(Box::new(net), &twin, in_f32(Prediction::X0, weighting)).unwrap();
            let x0 = Tensor::full([8, 1, 4, 4], 0.5, (Kind::Float, Device::Cpu));
            let loss = trainer.step(&x0, None).unwrap().double_value(&[]);
            assert!((loss / (0.25 * weight) - 1.0).abs() < 1e-6, "{weighting:?}: {loss}, not {}", 0.25 * weight);
        }
    }

    /// The other two predictions: the weighted loss over the plain one is the reference's weight.
    #[test]
    fn is_weighted_for_each_prediction() {
        let beta = 0.3;
        let step = literate_diffusion::Schedule::from_betas(&[beta]).unwrap().step(1).unwrap();
        let gamma = 0.5;
        let weights = [
            (Prediction::Eps, eps_weight(step, step.beta).unwrap()),
            (Prediction::V, v_weight(step, step.beta).unwrap()),
        ];
        for (prediction, elbo) in weights {
            let loss = |weighting| {
                let net = oracle(Kind::Float, |x, _, _| x.zeros_like());
                let twin = Schedule::from_betas(&[beta]).unwrap();
                let mut trainer = Trainer::new(Box::new(net), &twin, in_f32(prediction, weighting)).unwrap();
                let x0 = Tensor::full([8, 1, 4, 4], 0.5, (Kind::Float, Device::Cpu));
                trainer.step(&x0, None).unwrap().double_value(&[])
            };
            let min_snr = min_snr_weight(step, gamma, prediction).unwrap();
            for (weighting, weight) in [(Weighting::Elbo, elbo), (Weighting::MinSnr(gamma), min_snr)] {
                let ratio = loss(weighting) / loss(Weighting::Simple);
                assert!((ratio / weight - 1.0).abs() < 1e-5, "{prediction:?}, {weighting:?}: {ratio}, not {weight}");
            }
        }
    }

    /// A network whose error is a known function of t: each tenth of 1..=T has the mean of its times.
    #[test]
    fn is_summed_by_tenths_of_t() {
        for timesteps in [30, 25] {
            let net = oracle(Kind::Float, |x, index, _| x.zeros_like() + index.view([-1, 1, 1, 1]));
            let settings = in_f32(Prediction::X0, Weighting::Simple);
            let mut trainer = Trainer::new(Box::new(net), &schedule(timesteps), settings).unwrap();
            let x0 = Tensor::zeros([40_000, 1, 2, 2], (Kind::Float, Device::Cpu));
            trainer.step(&x0, None).map(drop).unwrap();
            for (tenth, loss) in trainer.losses().into_iter().enumerate() {
                let of_tenth = (0..timesteps).filter(|index| index * TENTHS / timesteps == tenth);
                let squares: Vec<f64> = of_tenth.map(|index| (index * index) as f64).collect();
                let expected = mean(&squares);
                let variance = mean(&squares.iter().map(|x| (x - expected).powi(2)).collect::<Vec<_>>());
                // 3,200 draws of t or more are expected in a tenth. By Bernstein's inequality, their sum is off by eight
                // standard errors less than once in 10¹², and there are 20 of them; nor are a fifth of the draws missing.
                let draws = (40_000 * squares.len() / timesteps) as f64;
                let bound = 8.0 * (variance / draws).sqrt() / 0.8;
                assert!(
                    (loss - expected).abs() <= bound,
                    "T = {timesteps}, tenth {tenth}: {loss} is not within {bound} of {expected}"
                );
            }
            trainer.forget_losses();
            assert!(trainer.losses().iter().all(|loss| loss.is_nan()));
        }
    }

    #[test]
    fn that_is_no_number_is_found_with_its_step() {
        let count = Rc::new(RefCell::new(0));
        let net = oracle(Kind::Float, move |x, _, _| {
            *count.borrow_mut() += 1;
            if *count.borrow() >= 3 { x.full_like(f64::NAN) } else { x.zeros_like() }
        });
        let mut trainer = Trainer::new(Box::new(net), &schedule(5), SETTINGS).unwrap();
        let x0 = Tensor::zeros([2, 1, 2, 2], (Kind::Float, Device::Cpu));
        for step in 1..=4 {
            trainer.step(&x0, None).map(drop).unwrap();
            let found = trainer.check();
            if step < 3 {
                found.unwrap();
            } else {
                assert_eq!(found.unwrap_err(), Error::NotFinite { name: "the loss", step: 3 });
            }
        }
    }
}

/// A gradient may be infinite where the loss is not: the parameters tell, before they are saved.
#[test]
fn a_parameter_that_is_no_number_is_found() {
    let mut trainer = Trainer::new(unet(small(0)), &schedule(5), SETTINGS).unwrap();
    trainer.check().unwrap();
    let mut state = trainer.state();
    let at = state.iter().position(|(name, _)| name == "weights.out_conv.bias").unwrap();
    state[at].1 = state[at].1.full_like(f64::INFINITY);
    trainer.load(&state, 0).unwrap();
    assert_eq!(trainer.check().unwrap_err(), Error::NotFinite { name: "a parameter", step: 0 });
}

mod classes {
    use super::*;

    /// Of 4,000 labels, each is replaced by the class after the last one with the probability asked for.
    #[test]
    fn are_dropped_as_often_as_asked() {
        for share in [0.0, 0.25, 1.0] {
            let seen = Rc::new(RefCell::new(Vec::<i64>::new()));
            let noted = seen.clone();
            let net = oracle(Kind::Float, move |x, _, classes| {
                noted.borrow_mut().extend(classes.unwrap().iter::<i64>().unwrap());
                x.zeros_like()
            });
            let settings = Settings { class_dropout: share, ..SETTINGS };
            let mut trainer = Trainer::new(Box::new(net.with_classes(7)), &schedule(5), settings).unwrap();
            let x0 = Tensor::zeros([4000, 1, 2, 2], (Kind::Float, Device::Cpu));
            let labels = Tensor::full([4000], 2, (Kind::Int64, Device::Cpu));
            trainer.step(&x0, Some(&labels)).map(drop).unwrap();
            let dropped = seen.borrow().iter().filter(|&&class| class == 7).count();
            assert!(seen.borrow().iter().all(|&class| class == 2 || class == 7));
            let deviation = (4000.0 * share * (1.0 - share)).sqrt();
            assert!((dropped as f64 - 4000.0 * share).abs() <= 6.5 * deviation, "{share}: {dropped} of 4000");
        }
    }

    #[test]
    fn are_refused_by_a_network_without() {
        let mut trainer = Trainer::new(unet(small(0)), &schedule(5), SETTINGS).unwrap();
        let x0 = Tensor::zeros([2, 1, 8, 8], (Kind::Float, Device::Cpu));
        let labels = Tensor::zeros([2], (Kind::Int64, Device::Cpu));
        assert!(matches!(trainer.step(&x0, Some(&labels)), Err(Error::OutOfRange { .. })));
    }
}

mod resume {
    use super::*;

    /// Six steps at once, and three and three with the state taken over between: the same numbers, bit for bit, with all
    /// that is random (t, noise, flips, dropped classes, dropout) and all that is kept (the average, Adam's moments).
    #[test]
    fn is_bit_for_bit() {
        let data = Dataset::new(&halves(64), Device::Cpu);
        let settings =
            Settings { ema: Some(0.9), max_norm: Some(0.5), class_dropout: 0.3, flips: true, ..SETTINGS.clone() };
        let new = || {
            let mut net = unet(ResidualUnetConfig { dropout: 0.2, attention: true, ..small(2) });
            net.parameters_mut().channels_last();
            Trainer::new(net, &schedule(50), settings.clone()).unwrap()
        };
        let mut at_once = new();
        let losses = train(&mut at_once, &data, 6, true);

        let mut first = new();
        train(&mut first, &data, 3, true);
        let mut second = new();
        train(&mut second, &data, 1, true); // What it was before is of no matter.
        second.load(&first.state(), first.steps()).unwrap();
        assert_eq!(second.steps(), 3);
        assert_eq!(train(&mut second, &data, 3, true), losses[3..]);
        for ((name, want), (other, got)) in at_once.state().into_iter().zip(second.state()) {
            assert_eq!((&name, &want), (&other, &got), "{name}");
        }
        assert_eq!(at_once.best(), second.best());
    }

    #[test]
    fn refuses_what_is_missing_or_foreign() {
        let ema = Settings { ema: Some(0.9), ..SETTINGS };
        let without = Trainer::new(unet(small(0)), &schedule(5), SETTINGS).unwrap().state();
        let mut trainer = Trainer::new(unet(small(0)), &schedule(5), ema).unwrap();
        assert!(matches!(trainer.load(&without, 1), Err(Error::NamedArray { got: None, .. })));
        let mut state = trainer.state();
        state.pop();
        assert!(matches!(trainer.load(&state, 1), Err(Error::NamedArray { name, .. }) if name == "losses"));
        let wider = ResidualUnetConfig { widths: vec![16, 16], ..small(0) };
        let wider = Trainer::new(unet(wider), &schedule(5), SETTINGS).unwrap().state();
        assert!(matches!(trainer.load(&wider, 1), Err(Error::NamedArray { got: Some(_), .. })));
    }
}

mod memory {
    use super::*;

    /// The order of numbers in memory is no matter of what they are: in f64, all parameters are the same after three steps.
    #[test]
    fn order_changes_nothing() {
        for device in devices() {
            order_changes_nothing_on(device);
        }
    }

    fn order_changes_nothing_on(device: Device) {
        let data = Dataset::new(&halves(64), device);
        let run = |channels_last: bool| {
            let kind = Kind::Double;
            let new = || ResidualUnet::new(small(0), device, kind).unwrap();
            let mut net = drawn(1, Stream::Weights, 0, new);
            if channels_last {
                net.parameters_mut().channels_last();
            }
            let settings = Settings { max_norm: Some(1.0), ema: Some(0.5), precision: kind, ..SETTINGS };
            let mut trainer = Trainer::new(Box::new(net), &schedule(50), settings).unwrap();
            for place in 0..3 {
                let (x0, _) = data.batch(&Tensor::arange_start(16 * place, 16 * (place + 1), (Kind::Int64, device)));
                trainer.step(&x0.to_kind(kind), None).map(drop).unwrap();
            }
            trainer.best()
        };
        for ((name, a), (_, b)) in run(false).iter().zip(&run(true)) {
            let off = (a - b).abs().max().double_value(&[]);
            assert!(off < 1e-8, "{device:?}: {name} is off by {off}");
        }
    }

    /// In bf16, a number has 8 bits: the loss of the first steps is off by less than 2 %, and the parameters stay in f32.
    #[test]
    fn of_sixteen_bits_is_enough() {
        for device in devices() {
            let data = Dataset::new(&halves(64), device);
            let run = |precision: Kind| {
                let settings = Settings { precision, ..SETTINGS };
                let mut trainer = Trainer::new(unet_on(device, small(0)), &schedule(50), settings).unwrap();
                let losses = train(&mut trainer, &data, 4, false);
                assert!(trainer.best().iter().all(|(_, tensor)| tensor.kind() == Kind::Float));
                losses
            };
            let (wide, narrow) = (run(Kind::Float), run(Kind::BFloat16));
            let close = |(a, b): (&f64, &f64)| a != b && (a / b - 1.0).abs() < 0.02;
            assert!(wide.iter().zip(&narrow).all(close), "{device:?}: {wide:?}, {narrow:?}");
        }
    }
}

mod dataset {
    use super::*;

    #[test]
    fn has_the_pictures_and_labels_asked_for() {
        let pictures = Pictures {
            channels: 3,
            height: 2,
            width: 2,
            pixels: (0..24).map(|i| i * 10).collect(),
            labels: vec![4, 9],
        };
        let data = Dataset::new(&pictures, Device::Cpu);
        let (x0, labels) = data.batch(&Tensor::from_slice(&[1_i64, 0, 1]));
        assert_eq!(labels, Tensor::from_slice(&[9_i64, 4, 9]));
        for (row, picture) in [1, 0, 1].into_iter().enumerate() {
            let want: Vec<f32> =
                pictures.picture(picture).unwrap().iter().map(|&b| literate_diffusion::data::from_byte(b)).collect();
            assert_eq!(x0.get(row as i64).contiguous(), Tensor::from_slice(&want).view([3, 2, 2]));
        }
    }

    /// Each picture once in an epoch, in another order in the next.
    #[test]
    fn has_an_order_for_each_epoch() {
        let data = Dataset::new(&halves(64), Device::Cpu);
        let order = |epoch: usize| data.order(1, epoch).iter::<i64>().unwrap().collect::<Vec<_>>();
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn is_told_from_another() {
        let fingerprint = |pictures: &Pictures| Dataset::new(pictures, Device::Cpu).fingerprint();
        let mut other = halves(64);
        other.pixels[100] += 1;
        assert_ne!(fingerprint(&halves(64)), fingerprint(&other));
    }

    /// About half of the pictures come out mirrored, and the others as they are.
    #[test]
    fn is_mirrored_half_the_time() {
        let x0 = Tensor::arange(4 * 1000, (Kind::Float, Device::Cpu)).view([1000, 1, 2, 2]);
        let mirrored = drawn(0, Stream::Training, 0, || flipped(&x0));
        let count = (0..1000).filter(|&i| {
            let (before, after) = (x0.get(i), mirrored.get(i));
            assert!(after == before || after == before.flip([-1]));
            after != before
        });
        let count = count.count();
        assert!((count as f64 - 500.0).abs() < 6.5 * 250_f64.sqrt(), "{count} of 1000");
    }
}

#[test]
fn bad_input() {
    let new = |settings| Trainer::new(unet(small(0)), &schedule(5), settings).map(drop);
    for settings in [
        Settings { class_dropout: 1.5, ..SETTINGS },
        Settings { class_dropout: f64::NAN, ..SETTINGS },
        Settings { lr: 0.0, ..SETTINGS },
        Settings { ema: Some(1.0), ..SETTINGS },
    ] {
        assert!(matches!(new(settings), Err(Error::OutOfRange { .. })));
    }
    let mut trainer = Trainer::new(unet(small(0)), &schedule(5), Settings { max_norm: Some(0.0), ..SETTINGS }).unwrap();
    let x0 = |side| Tensor::zeros([2, 1, side, side], (Kind::Float, Device::Cpu));
    assert!(matches!(trainer.step(&x0(8), None), Err(Error::OutOfRange { .. })));
    assert!(matches!(trainer.step(&x0(7), None), Err(Error::OutOfRange { .. })));
    let three = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
    assert!(matches!(trainer.step(&three, None), Err(Error::ShapeMismatch { .. })));
    assert!(torch::parse_device("gpu").is_err());
}
