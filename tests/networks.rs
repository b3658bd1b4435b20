//! The networks in libtorch: against PyTorch, against the network by hand, and what they make of wrong input.

mod support;

use std::path::Path;

use literate_diffusion::mlp::{self, AdamSettings};
use literate_diffusion::torch::adam::Adam;
use literate_diffusion::torch::mlp::MlpDiffusion;
use literate_diffusion::torch::parse_device;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Reduction, Tensor, no_grad};
use literate_diffusion::torch::unet::{ImageNetwork, PlainUnet, ResidualUnet, ResidualUnetConfig, TimeChannelNet};
use literate_diffusion::torch::weights::{Average, Parameters, clip_grad_norm, read_tensors, write_tensors};
use literate_diffusion::{Error, Schedule, paper};
use ndarray::{Array1, Array2, ArrayD, Axis};
use ndarray_rand::rand::SeedableRng;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::strategies::array;
use support::torch::{device, devices, numbers, row, tensor};
use support::{check, distance_of_numbers, larger};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

/// An untrained network, the same for the same `place`: it is drawn in its turn, since libtorch has one generator.
fn untrained<N>(place: u64, new: impl FnOnce() -> literate_diffusion::Result<N>) -> N {
    drawn(0, Stream::Weights, place, new).unwrap()
}

fn residual(place: u64, config: ResidualUnetConfig, kind: Kind) -> ResidualUnet {
    untrained(place, || ResidualUnet::new(config, Device::Cpu, kind))
}

/// Draws from N(0, 1), the same each time.
fn gaussian(size: &[i64], kind: Kind) -> Tensor {
    drawn(0, Stream::Training, 0, || Tensor::randn(size, (kind, Device::Cpu)))
}

/// The largest |a − b|.
fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// What PyTorch gave, for the same weights and inputs; tests/fixtures/networks.py made it.
mod pytorch {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Fixture {
        parameters: usize,
        names: Vec<String>,
        shape: Vec<i64>,
        index: Vec<i64>,
        output: Vec<f64>,
    }

    fn fixture(name: &str) -> Fixture {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/networks.json");
        let text = std::fs::read_to_string(path).unwrap();
        let mut all: std::collections::HashMap<String, Fixture> = serde_json::from_str(&text).unwrap();
        all.remove(name).unwrap()
    }

    /// scale · sin(0.7 k + ordinal).
    fn waves(size: &[i64], ordinal: usize, scale: f64) -> Tensor {
        let k = Tensor::arange(size.iter().product::<i64>(), F64);
        ((k * 0.7 + ordinal as f64).sin() * scale).reshape(size)
    }

    fn check_network<N: ImageNetwork>(name: &str, new: impl Fn(Device) -> literate_diffusion::Result<N>) {
        let fixture = fixture(name);
        for device in devices() {
            let mut net = untrained(0, || new(device));
            fill(&fixture, net.parameters_mut());
            let (x, index) = (waves(&fixture.shape, 0, 1.5), Tensor::from_slice(&fixture.index));
            let y = net.forward(&x.to_device(device), &index.to_device(device)).unwrap();
            // The angles of the sines and cosines of t are in f32, up to 1000: on a CPU, the same to the last bit on both sides.
            // Elsewhere the exponential may be rounded otherwise: by 2⁻²⁴ of a frequency, 6e-5 of an angle, and less of y.
            compare(&fixture, &y, if device == Device::Cpu { 1e-9 } else { 1e-5 });
        }
    }

    fn fill(fixture: &Fixture, parameters: &mut Parameters) {
        let mut names: Vec<_> = parameters.named().iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        assert_eq!(names, fixture.names);
        assert_eq!(parameters.count(), fixture.parameters);
        let shape_of = |name: &String| parameters.named().iter().find(|(other, _)| other == name).unwrap().1.size();
        let values: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (name.clone(), waves(&shape_of(name), i, 0.2))).collect();
        parameters.assign(&values).unwrap();
    }

    fn compare(fixture: &Fixture, y: &Tensor, bound: f64) {
        let got = numbers(y);
        assert_eq!(got.len(), fixture.output.len());
        for (got, &want) in got.into_iter().zip(&fixture.output) {
            assert!(distance_of_numbers(got, want, 1e-3) < bound, "got {got}, want {want}");
        }
    }

    #[test]
    fn mlp() {
        check_network("mlp", |device| MlpDiffusion::new(&paper::CLASSIC_WIDTHS, 100, device, Kind::Double));
    }

    #[test]
    fn time_channel() {
        check_network("time_channel", |device| TimeChannelNet::new(300, device, Kind::Double));
    }

    #[test]
    fn plain() {
        check_network("plain", |device| PlainUnet::new(1, device, Kind::Double));
        check_network("plain_colour", |device| PlainUnet::new(3, device, Kind::Double));
    }

    #[test]
    fn residual() {
        let small = ResidualUnetConfig { widths: vec![32, 64, 128], ..ResidualUnetConfig::plain(1) };
        let configs = [ResidualUnetConfig::plain(1), ResidualUnetConfig::plain(3), small];
        for (name, config) in ["residual", "residual_colour", "residual_small"].into_iter().zip(configs) {
            check_network(name, |device| ResidualUnet::new(config.clone(), device, Kind::Double));
        }
    }
}

mod options {
    use super::*;

    fn small() -> ResidualUnetConfig {
        ResidualUnetConfig { widths: vec![8, 16], ..ResidualUnetConfig::plain(1) }
    }

    /// A network with every option, and pictures for it.
    fn with_all() -> (ResidualUnet, Tensor, Tensor) {
        let config = ResidualUnetConfig { classes: 10, attention: true, dropout: 0.5, ..small() };
        let index = Tensor::from_slice(&[0_i64, 500, 999]);
        (residual(7, config, Kind::Float), gaussian(&[3, 1, 4, 4], Kind::Float), index)
    }

    #[test]
    fn the_class_matters_and_no_class_is_the_null_class() {
        let (net, x, index) = with_all();
        let of_class = |class: i64| net.forward_t(&x, &index, Some(&index.full_like(class)), false).unwrap();
        assert!(largest_difference(&of_class(0), &of_class(1)) > 1e-4);
        assert_eq!(net.forward(&x, &index).unwrap(), of_class(10));
    }

    /// bf16 keeps 8 bits of each number, and where the numbers lie in memory is of no account.
    #[test]
    fn bf16_and_layout_change_only_roundings() {
        let config = ResidualUnetConfig { widths: vec![32, 64, 128], ..ResidualUnetConfig::plain(1) };
        let (mut net, x) = (residual(3, config, Kind::Float), gaussian(&[2, 1, 8, 8], Kind::Float));
        let index = Tensor::from_slice(&[0_i64, 999]);
        let output =
            |net: &ResidualUnet, kind| no_grad(|| net.forward(&x.to_kind(kind), &index)).unwrap().to_kind(Kind::Float);
        let want = output(&net, Kind::Float);
        let scale = want.abs().max().double_value(&[]);
        assert!(largest_difference(&output(&net, Kind::BFloat16), &want) < 0.05 * scale);
        net.parameters_mut().channels_last();
        assert!(largest_difference(&output(&net, Kind::Float), &want) < 1e-5 * scale);
        assert!(largest_difference(&output(&net, Kind::BFloat16), &want) < 0.05 * scale);
    }

    #[test]
    fn dropout_is_for_training_alone() {
        let (net, x, index) = with_all();
        let run = |place: u64, train: bool| {
            drawn(0, Stream::Training, place, || net.forward_t(&x, &index, None, train)).unwrap()
        };
        assert_eq!(run(1, false), run(2, false));
        assert!(largest_difference(&run(1, true), &run(2, true)) > 1e-4);
    }

    /// Where attention adds nothing (its last convolution is 0) the network is the one without.
    #[test]
    fn attention_is_around_a_shortcut() {
        let plain = residual(3, small(), Kind::Double);
        let mut attending = residual(4, ResidualUnetConfig { attention: true, ..small() }, Kind::Double);
        let mut values = plain.parameters().named().iter().map(|(n, t)| (n.clone(), t.detach())).collect::<Vec<_>>();
        for (name, tensor) in attending.parameters().named().iter().filter(|(name, _)| name.starts_with("attention")) {
            let keep = if name.starts_with("attention.out") { 0.0 } else { 1.0 };
            values.push((name.clone(), tensor.detach() * keep));
        }
        attending.parameters_mut().assign(&values).unwrap();
        let (x, index) = (gaussian(&[2, 1, 4, 4], Kind::Double), Tensor::from_slice(&[3_i64, 4]));
        assert_eq!(plain.forward(&x, &index).unwrap(), attending.forward(&x, &index).unwrap());
    }

    /// Weights and biases are drawn from U(−1/√n, 1/√n), which has variance 1/(3n).
    #[test]
    fn drawn_as_pytorch_draws() {
        let net = residual(1, ResidualUnetConfig::plain(1), Kind::Double);
        let inputs = [("bottleneck.conv1.weight", 256.0 * 9.0), ("up_convs.0.weight", 128.0 * 4.0)];
        for (name, inputs) in inputs {
            let (_, weight) = net.parameters().named().iter().find(|(other, _)| other == name).unwrap();
            let ratio = weight.square().mean(Kind::Double).double_value(&[]) * 3.0 * inputs;
            // x² of a uniform x has a relative spread of 0.9; there are 131,072 of them or more.
            assert!((ratio - 1.0).abs() < 6.5 * 0.9 / 131_072_f64.sqrt(), "{name}: {ratio}");
            assert!(weight.abs().max().double_value(&[]) <= 1.0 / inputs.sqrt());
        }
    }

    #[test]
    fn bad_input() {
        let bad = |config: ResidualUnetConfig| ResidualUnet::new(config, Device::Cpu, Kind::Float).unwrap_err();
        assert!(matches!(bad(ResidualUnetConfig { channels: 0, ..small() }), Error::OutOfRange { .. }));
        assert_eq!(bad(ResidualUnetConfig { widths: vec![], ..small() }), Error::Empty { name: "widths" });
        assert!(matches!(bad(ResidualUnetConfig { widths: vec![8, 12], ..small() }), Error::OutOfRange { .. }));
        assert!(matches!(bad(ResidualUnetConfig { dropout: 1.0, ..small() }), Error::OutOfRange { .. }));
        let net = residual(1, small(), Kind::Float);
        let run = |size: &[i64], index: &[i64]| {
            net.forward(&Tensor::zeros(size, (Kind::Float, Device::Cpu)), &Tensor::from_slice(index)).unwrap_err()
        };
        assert!(matches!(run(&[1, 1, 3, 4], &[0]), Error::OutOfRange { .. }));
        assert!(matches!(run(&[1, 3, 4, 4], &[0]), Error::ShapeMismatch { name: "x", .. }));
        assert!(matches!(run(&[4, 4], &[0]), Error::ShapeMismatch { name: "x", .. }));
        assert!(matches!(run(&[2, 1, 4, 4], &[0]), Error::ShapeMismatch { name: "index", .. }));
        let class = Tensor::from_slice(&[0_i64]);
        let x = Tensor::zeros([1, 1, 4, 4], (Kind::Float, Device::Cpu));
        assert!(matches!(net.forward_t(&x, &class, Some(&class), false), Err(Error::OutOfRange { got: 0.0, .. })));
        assert!(matches!(PlainUnet::new(0, Device::Cpu, Kind::Float), Err(Error::OutOfRange { name: "channels", .. })));
    }

    /// A class for each sample, and none that the network does not have; the class after the last is "no class".
    #[test]
    fn bad_classes() {
        let net = residual(1, ResidualUnetConfig { classes: 10, ..small() }, Kind::Float);
        let x = Tensor::zeros([2, 1, 4, 4], (Kind::Float, Device::Cpu));
        let index = Tensor::from_slice(&[0_i64, 5]);
        let run = |classes: &[i64]| net.forward_t(&x, &index, Some(&Tensor::from_slice(classes)), false);
        assert!(run(&[0, 10]).is_ok());
        assert!(matches!(run(&[1]), Err(Error::ShapeMismatch { name: "classes", .. })));
        assert!(matches!(run(&[1, 11]), Err(Error::OutOfRange { name: "the class", got: 11.0, .. })));
        assert!(matches!(run(&[-1, 3]), Err(Error::OutOfRange { name: "the class", got: -1.0, .. })));
    }

    #[test]
    fn bad_input_of_the_s_curve() {
        let new = |widths: &[usize], timesteps| MlpDiffusion::new(widths, timesteps, Device::Cpu, Kind::Float);
        assert!(matches!(new(&[2, 2], 10), Err(Error::OutOfRange { name: "the number of widths", .. })));
        assert!(matches!(new(&[2, 0, 2], 10), Err(Error::OutOfRange { name: "a width", .. })));
        assert!(matches!(new(&[2, 8, 2], 0), Err(Error::NoTimesteps)));
        let net = untrained(1, || new(&[2, 8, 2], 10));
        let run =
            |index: i64| net.forward(&Tensor::zeros([1, 2], (Kind::Float, Device::Cpu)), &Tensor::from_slice(&[index]));
        assert!(run(9).is_ok());
        assert!(matches!(run(10), Err(Error::OutOfRange { name: "the index", got: 10.0, .. })));
        assert!(matches!(run(-1), Err(Error::OutOfRange { name: "the index", got: -1.0, .. })));
    }
}

mod files {
    use super::*;

    fn small(place: u64) -> ResidualUnet {
        residual(place, ResidualUnetConfig { widths: vec![8, 16], ..ResidualUnetConfig::plain(1) }, Kind::Float)
    }

    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let (net, mut other) = (small(1), small(2));
        net.parameters().save(&path, Kind::Float).unwrap();
        other.parameters_mut().load(&path).unwrap();
        for ((name, a), (_, b)) in net.parameters().named().iter().zip(other.parameters().named()) {
            assert_eq!(a, b, "{name}");
        }
        // In half precision, each number is off by 2⁻¹¹ of itself at most.
        net.parameters().save(&path, Kind::Half).unwrap();
        other.parameters_mut().load(&path).unwrap();
        for ((name, a), (_, b)) in net.parameters().named().iter().zip(other.parameters().named()) {
            let off = (a - b).abs() - (a.abs() * 2_f64.powi(-11) + 1e-7);
            assert!(off.max().double_value(&[]) <= 0.0, "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left over");
    }

    #[test]
    fn bad_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let mut net = small(1);
        let before = net.parameters().tensors().iter().map(Tensor::copy).collect::<Vec<_>>();
        let message = |net: &mut ResidualUnet| net.parameters_mut().load(&path).unwrap_err().to_string();
        assert!(message(&mut net).contains("No such file"), "no file");

        let mut tensors: Vec<_> = net.parameters().named().iter().map(|(n, t)| (n.clone(), t.detach() + 1.0)).collect();
        let (name, _) = tensors.remove(3);
        write_tensors(&path, &tensors).unwrap();
        assert!(message(&mut net).contains(&format!("{name:?} should have shape [8], but there is none")));

        tensors.push((name.clone(), Tensor::zeros([5], (Kind::Float, Device::Cpu))));
        write_tensors(&path, &tensors).unwrap();
        assert!(message(&mut net).contains(&format!("{name:?} should have shape [8], but has [5]")));

        tensors.push(("lm_head.weight".into(), Tensor::zeros([5], (Kind::Float, Device::Cpu))));
        write_tensors(&path, &tensors).unwrap();
        assert!(message(&mut net).contains("\"lm_head.weight\" belongs to another network"));

        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 7, 8, 100, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(message(&mut net).starts_with(&path.display().to_string()), "{length} bytes of it");
        }
        for (before, after) in before.iter().zip(net.parameters().tensors()) {
            assert_eq!(*before, after, "a failed load has changed the network");
        }
        assert!(write_tensors(&folder.path().join("no/such/folder.safetensors"), &tensors).is_err());
        assert!(read_tensors(folder.path()).is_err());
    }
}

/// What chapter 10 says, which an example counted and computed without libtorch, is what libtorch does.
mod the_book {
    use literate_diffusion::torch::unet::time_embedding;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Layer {
        name: String,
        shape: [i64; 3],
        parameters: usize,
    }

    fn json(name: &str) -> serde_json::Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/figures").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn layers(network: &str) -> Vec<Layer> {
        serde_json::from_value(json("unet-shapes.json")[network]["layers"].clone()).unwrap()
    }

    /// Goes through a network by the names of its parameters alone, and notes what comes out of each layer.
    struct Walk<'a> {
        parameters: &'a Parameters,
        seen: Vec<Layer>,
    }

    impl Walk<'_> {
        fn find(&self, name: &str) -> Option<Tensor> {
            let mut named = self.parameters.named().iter();
            named.find(|(other, _)| other == name).map(|(_, tensor)| tensor.shallow_clone())
        }

        /// Notes the layer, whose result is `y`, and hands `y` on.
        fn layer(&mut self, name: &str, run: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Tensor {
            let [weight, bias] = ["weight", "bias"].map(|part| self.find(&format!("{name}.{part}")).unwrap());
            let y = run(&weight, &bias);
            let side = |dimension: usize| y.size().get(dimension).copied().unwrap_or(1);
            let (shape, parameters) = ([side(1), side(2), side(3)], weight.numel() + bias.numel());
            self.seen.push(Layer { name: name.to_owned(), shape, parameters });
            y
        }

        fn conv(&mut self, name: &str, x: &Tensor, stride: i64) -> Tensor {
            self.layer(name, |weight, bias| {
                let padding = weight.size()[2] / 2;
                x.conv2d(weight, Some(bias), [stride; 2], [padding; 2], [1, 1], 1)
            })
        }

        fn up(&mut self, name: &str, x: &Tensor) -> Tensor {
            self.layer(name, |weight, bias| x.conv_transpose2d(weight, Some(bias), [2, 2], [0, 0], [0, 0], 1, [1, 1]))
        }

        fn norm(&mut self, name: &str, x: &Tensor) -> Tensor {
            self.layer(name, |weight, bias| x.group_norm(8, Some(weight), Some(bias), 1e-5, false))
        }

        fn block(&mut self, name: &str, x: &Tensor, embedding: &Tensor) -> Tensor {
            let part = |layer: &str| format!("{name}.{layer}");
            let h = self.conv(&part("conv1"), x, 1);
            let h = self.norm(&part("norm1"), &h);
            let time = self.layer(&part("time_mlp.1"), |weight, bias| embedding.silu().linear(weight, Some(bias)));
            let h = self.conv(&part("conv2"), &(h + time.unsqueeze(-1).unsqueeze(-1)).silu(), 1);
            let h = self.norm(&part("norm2"), &h);
            let has_shortcut = self.find(&part("shortcut.weight")).is_some();
            let shortcut = if has_shortcut { self.conv(&part("shortcut"), x, 1) } else { x.shallow_clone() };
            (h + shortcut).silu()
        }

        fn residual_unet(&mut self, levels: usize, x: &Tensor, index: &Tensor) -> Tensor {
            let embedding = time_embedding(index, 128).to_kind(x.kind());
            let mut skips = Vec::new();
            let mut h = self.conv("init_conv", x, 1);
            for i in 0..levels {
                h = self.block(&format!("down_blocks.{i}"), &h, &embedding);
                skips.push(h.shallow_clone());
                h = self.conv(&format!("down_pools.{i}"), &h, 2);
            }
            h = self.block("bottleneck", &h, &embedding);
            for i in 0..levels {
                h = Tensor::cat(&[self.up(&format!("up_convs.{i}"), &h), skips.pop().unwrap()], 1);
                h = self.block(&format!("up_blocks.{i}"), &h, &embedding);
            }
            h = self.block("final_block", &h, &embedding);
            self.conv("out_conv", &h, 1)
        }
    }

    // ANCHOR: every_layer
    #[test]
    fn residual_unet_layer_by_layer() {
        for (name, channels, widths, side) in [
            ("residual", 1, vec![64, 128, 256], 28),
            ("residual_small", 1, vec![32, 64, 128], 28),
            ("residual_colour", 3, vec![64, 128, 256], 32),
        ] {
            let config = ResidualUnetConfig { widths, ..ResidualUnetConfig::plain(channels) };
            let net = super::residual(5, config, Kind::Double);
            let x = gaussian(&[1, channels as i64, side, side], Kind::Double);
            let index = Tensor::from_slice(&[700_i64]);
            let mut walk = Walk { parameters: net.parameters(), seen: Vec::new() };
            let y = no_grad(|| walk.residual_unet(2, &x, &index));
            assert_eq!(walk.seen, layers(name));
            assert!(largest_difference(&y, &no_grad(|| net.forward(&x, &index)).unwrap()) < 1e-12);
        }
    }
    // ANCHOR_END: every_layer

    #[test]
    fn the_others_layer_by_layer() {
        let x = gaussian(&[1, 1, 28, 28], Kind::Double);
        let index = Tensor::from_slice(&[30_i64]);
        let net = untrained(5, || PlainUnet::new(1, Device::Cpu, Kind::Double));
        let mut walk = Walk { parameters: net.parameters(), seen: Vec::new() };
        let y = no_grad(|| {
            let mut h = walk.conv("down1.0", &x, 1).relu();
            h = walk.conv("down1.2", &h, 1).relu().max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            h = walk.conv("down2.1", &h, 1).relu();
            h = walk.conv("down2.3", &h, 1).relu();
            h = walk.up("up1.0", &h);
            h = walk.conv("up1.1", &h, 1).relu();
            h = walk.conv("up1.3", &h, 1).relu();
            walk.conv("out", &h, 1)
        });
        assert_eq!(walk.seen, layers("plain"));
        assert!(largest_difference(&y, &no_grad(|| net.forward(&x, &index)).unwrap()) < 1e-12);

        let net = untrained(5, || TimeChannelNet::new(300, Device::Cpu, Kind::Double));
        let mut walk = Walk { parameters: net.parameters(), seen: Vec::new() };
        let y = no_grad(|| {
            let mut h = Tensor::cat(&[&x, &(x.zeros_like() + 0.1)], 1);
            for i in 0..3 {
                h = walk.conv(&format!("net.{}", 2 * i), &h, 1).relu();
            }
            walk.conv("net.6", &h, 1)
        });
        assert_eq!(walk.seen, layers("time_channel"));
        assert!(largest_difference(&y, &no_grad(|| net.forward(&x, &index)).unwrap()) < 1e-12);
    }

    // ANCHOR: the_time_matters
    /// The same picture at two times: another output, but for the network that ignores t.
    #[test]
    fn the_time_matters() {
        let x = gaussian(&[1, 1, 28, 28], Kind::Double);
        let change = |net: &dyn ImageNetwork| {
            let at = |index: i64| no_grad(|| net.forward(&x, &Tensor::from_slice(&[index]))).unwrap();
            largest_difference(&at(10), &at(200))
        };
        assert!(change(&super::residual(5, ResidualUnetConfig::plain(1), Kind::Double)) > 1e-4);
        assert!(change(&untrained(5, || TimeChannelNet::new(300, Device::Cpu, Kind::Double))) > 1e-4);
        assert_eq!(change(&untrained(5, || PlainUnet::new(1, Device::Cpu, Kind::Double))), 0.0);
    }
    // ANCHOR_END: the_time_matters

    /// How many pixels of the picture one pixel of the result depends on, along a side.
    fn seen_by_a_pixel(net: &mut impl ImageNetwork, at: i64) -> i64 {
        // With all weights and the picture above 0, no ReLU is shut and no two ways cancel.
        let ones = net.parameters().named().iter().map(|(name, tensor)| (name.clone(), tensor.ones_like() * 0.01));
        let ones = ones.collect::<Vec<_>>();
        net.parameters_mut().assign(&ones).unwrap();
        // Different pixels, so that which of four is the largest is no matter of chance.
        let mut reached = Tensor::zeros([28], (Kind::Bool, Device::Cpu));
        for peak in 0..4 {
            let k = Tensor::arange(28, F64);
            let (row, column) = (k.remainder(2.0).eq((peak / 2) as f64), k.remainder(2.0).eq((peak % 2) as f64));
            let x = row.unsqueeze(1).logical_and(&column.unsqueeze(0)).to_kind(Kind::Double) + 1.0;
            let x = x.view([1, 1, 28, 28]).set_requires_grad(true);
            let y =
                net.forward(&x, &Tensor::from_slice(&[0_i64])).unwrap().select(2, at).select(2, at).sum(Kind::Double);
            let gradient = Tensor::run_backward(&[y], &[&x], false, false).remove(0);
            reached = reached.logical_or(&gradient.ne(0.0).any_dim(2, false).view([28]));
        }
        reached.to_kind(Kind::Int64).sum(Kind::Int64).int64_value(&[])
    }

    #[test]
    fn what_a_pixel_sees() {
        let seen = &json("unet-shapes.json")["seen"];
        let mut plain = untrained(0, || PlainUnet::new(1, Device::Cpu, Kind::Double));
        let mut time_channel = untrained(0, || TimeChannelNet::new(300, Device::Cpu, Kind::Double));
        assert_eq!(seen["plain"], seen_by_a_pixel(&mut plain, 14));
        assert_eq!(seen["plain"], seen_by_a_pixel(&mut plain, 13));
        assert_eq!(seen["time_channel"], seen_by_a_pixel(&mut time_channel, 14));
    }

    fn matrix(value: &serde_json::Value) -> Tensor {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        let size = [rows.len() as i64, rows[0].len() as i64];
        Tensor::from_slice(&rows.concat()).reshape(size)
    }

    #[test]
    fn by_hand() {
        let numbers = &json("unet-numbers.json")["by_hand"];
        let of = |name: &str| matrix(&numbers[name]);
        let picture = |name: &str| of(name).unsqueeze(0).unsqueeze(0);
        let conv = |stride: i64| {
            let result = picture("picture").conv2d(&picture("kernel"), None::<&Tensor>, [stride; 2], [1, 1], [1, 1], 1);
            result.squeeze()
        };
        assert!(largest_difference(&conv(1), &of("convolved")) < 1e-12);
        assert!(largest_difference(&conv(2), &of("strided")) < 1e-12);
        let none = None::<&Tensor>;
        let up = picture("small").conv_transpose2d(&picture("up_kernel"), none, [2, 2], [0, 0], [0, 0], 1, [1, 1]);
        assert!(largest_difference(&up.squeeze(), &of("up")) < 1e-12);
        let normed = of("channels").unsqueeze(0).group_norm(2, none, none, 1e-5, false);
        assert!(largest_difference(&normed.squeeze(), &of("normed")) < 1e-12);
    }

    #[test]
    fn the_time_embedding() {
        let numbers = &json("unet-numbers.json")["embedding"];
        let rows = time_embedding(&Tensor::from_slice(&[0_i64, 1, 10, 999]), 128).to_kind(Kind::Double);
        let alike = |i: i64| (rows.get(0) * rows.get(i)).sum(Kind::Double).double_value(&[]) / 64.0;
        for (i, name) in [(1, "next"), (2, "ten"), (3, "last")] {
            // The twin computes the angles, up to 1000, in f32.
            assert!((alike(i) - numbers["similarity"][name].as_f64().unwrap()).abs() < 1e-5, "{name}");
        }
    }
}

/// A network by hand and its twin with the same weights, points, times and noise, all in `f64`.
struct Pair {
    by_hand: mlp::MlpDiffusion<f64>,
    twin: MlpDiffusion,
    x: Array2<f64>,
    times: Vec<usize>,
    eps: Array2<f64>,
}

fn pair((seed, x, eps, times): (u64, Array1<f64>, Array1<f64>, Vec<usize>)) -> Pair {
    let by_hand = mlp::MlpDiffusion::new(&paper::CLASSIC_WIDTHS, 10, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    let mut twin = untrained(0, || MlpDiffusion::new(&paper::CLASSIC_WIDTHS, 10, device(), Kind::Double));
    twin.parameters_mut().assign(&named(&by_hand)).unwrap();
    let points = |array: Array1<f64>| array.into_shape_with_order((4, 2)).unwrap();
    Pair { by_hand, twin, x: points(x), times, eps: points(eps) }
}

/// The parameters of the network by hand as tensors.
fn named(net: &mlp::MlpDiffusion<f64>) -> Vec<(String, Tensor)> {
    let as_tensor = |array: ndarray::ArrayViewD<f64>| {
        let size: Vec<i64> = array.shape().iter().map(|&length| length as i64).collect();
        Tensor::from_slice(&array.iter().copied().collect::<Vec<_>>()).reshape(size)
    };
    net.tensors().into_iter().map(|(name, array)| (name, as_tensor(array))).collect()
}

fn pairs() -> impl Strategy<Value = (u64, Array1<f64>, Array1<f64>, Vec<usize>)> {
    (any::<u64>(), array(8), array(8), prop::collection::vec(1..=10_usize, 4))
}

impl Pair {
    fn twin_output(&self) -> Tensor {
        let index = Schedule::linear(10, 0.1, 0.2).unwrap();
        let index = support::torch::twin(&index).at(&self.times).unwrap().index().to_device(device());
        self.twin.forward(&tensor(&self.x, Kind::Double), &index).unwrap()
    }
}

/// The worst difference of two lists, relative to the largest number in the second.
fn relative(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-300_f64, |most, x| most.max(x.abs()));
    got.iter().zip(want).map(|(got, want)| (got - want).abs() / scale).fold(0.0, larger)
}

/// Four rows of three numbers, of two, and what a layer between them has.
fn layer() -> impl Strategy<Value = [Array2<f64>; 4]> {
    let rows = |rows: usize, columns: usize| {
        array(rows * columns).prop_map(move |numbers| numbers.into_shape_with_order((rows, columns)).unwrap())
    };
    (rows(4, 3), rows(2, 3), rows(1, 2), rows(4, 2)).prop_map(|(x, weight, bias, delta)| [x, weight, bias, delta])
}

/// Numbers by hand against tensors that may ask for gradients.
fn by_hand_and_there<const COUNT: usize>(
    arrays: &[Array2<f64>; COUNT],
    want: &[&[f64]],
    twin: impl Fn([Tensor; COUNT]) -> Vec<Tensor>,
) -> f64 {
    let largest = arrays.iter().flatten().fold(1.0_f64, |most, x| most.max(x.abs()));
    let got = twin(arrays.each_ref().map(|array| tensor(array, Kind::Double).set_requires_grad(true)));
    assert_eq!(got.len(), want.len());
    let pairs = got.into_iter().zip(want).flat_map(|(got, want)| {
        let got = numbers(&got);
        assert_eq!(got.len(), want.len());
        got.into_iter().zip(want.to_vec()).collect::<Vec<_>>()
    });
    pairs.map(|(got, want)| (got - want).abs() / (largest * largest)).fold(0.0, larger)
}

const A_FEW_PRODUCTS: &str = "four products of the two largest numbers, in another order";

mod linear_forward {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, A_FEW_PRODUCTS).property(layer(), |[x, weight, bias, _]| {
            let want = mlp::linear_forward(&x, &weight, &bias.row(0)).unwrap().into_raw_vec_and_offset().0;
            by_hand_and_there(&[x, weight, bias], &[&want], |[x, weight, bias]| {
                vec![x.linear(&weight, Some(&bias.squeeze()))]
            })
        });
    }
}

mod linear_backward {
    use super::*;

    /// Autograd of (layer · delta).
    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, A_FEW_PRODUCTS).property(layer(), |[x, weight, _, delta]| {
            let want = mlp::linear_backward(&x, &weight, &delta).unwrap();
            let want = [want.x.flatten(), want.weight.flatten(), want.bias.flatten()].map(|array| array.to_vec());
            let bias = Array2::zeros((1, 2));
            by_hand_and_there(
                &[x, weight, bias, delta],
                &want.each_ref().map(Vec::as_slice),
                |[x, weight, bias, delta]| {
                    let loss = (x.linear(&weight, Some(&bias.squeeze())) * delta).sum(Kind::Double);
                    Tensor::run_backward(&[loss], &[x, weight, bias], false, false)
                },
            )
        });
    }
}

mod relu_backward {
    use super::*;

    /// At 0, too, both take the slope as 0.
    #[test]
    fn torch() {
        check!(Torch).bound(0.0, "a choice, and no arithmetic").property(layer(), |[mut x, ..]| {
            x[[0, 0]] = 0.0;
            let delta = x.mapv(|x| 1.0 - x);
            let want = mlp::relu_backward(&x, &delta).unwrap().into_raw_vec_and_offset().0;
            by_hand_and_there(&[x, delta], &[&want], |[x, delta]| {
                Tensor::run_backward(&[(x.relu() * delta).sum(Kind::Double)], &[x], false, false)
            })
        });
    }
}

mod embedding_backward {
    use super::*;

    /// The rows that are looked up twice add up.
    #[test]
    fn torch() {
        let times = prop::collection::vec(1..=4_usize, 4);
        check!(Torch).bound(1e-14, "four numbers added").property((layer(), times), |([table, _, _, delta], times)| {
            let want = mlp::embedding_backward(4, &times, &delta).unwrap().into_raw_vec_and_offset().0;
            let table = table.slice_axis(Axis(1), (..2).into()).to_owned();
            by_hand_and_there(&[table, delta], &[&want], |[table, delta]| {
                let index: Vec<i64> = times.iter().map(|&t| t as i64 - 1).collect();
                let index = Tensor::from_slice(&index).to_device(table.device());
                let rows = Tensor::embedding(&table, &index, -1, false, false);
                Tensor::run_backward(&[(rows * delta).sum(Kind::Double)], &[table], false, false)
            })
        });
    }
}

mod loss_gradient {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).bound(1e-14, "eight squares added").property(layer(), |[eps, ..]| {
            let eps_theta = eps.mapv(|eps| 1.0 - 0.3 * eps);
            let (loss, gradient) = mlp::loss_gradient(&eps, &eps_theta).unwrap();
            let gradient = gradient.into_raw_vec_and_offset().0;
            by_hand_and_there(&[eps, eps_theta], &[&[loss], &gradient], |[eps, eps_theta]| {
                let loss = eps_theta.mse_loss(&eps, Reduction::Mean);
                let gradient = Tensor::run_backward(&[&loss], &[eps_theta], false, false);
                vec![loss].into_iter().chain(gradient).collect()
            })
        });
    }
}

mod mlp_forward {
    use super::*;

    #[test]
    fn torch() {
        check!(Torch).bound(1e-12, "sums of 128 products in another order, four layers deep").property(
            pairs(),
            |case| {
                let pair = pair(case);
                let want = pair.by_hand.forward(&pair.x, &pair.times).unwrap();
                relative(&numbers(&pair.twin_output()), &want.iter().copied().collect::<Vec<_>>())
            },
        );
    }
}

mod mlp_backward {
    use super::*;

    /// Autograd against the backward pass by hand, for every parameter.
    #[test]
    fn torch() {
        check!(Torch).bound(1e-10, "sums of 128 products in another order, eight layers deep").property(
            pairs(),
            |case| {
                let pair = pair(case);
                let there = mlp::mlp_forward(&pair.by_hand, &pair.x, &pair.times).unwrap();
                let (_, delta) = mlp::loss_gradient(&pair.eps, &there.eps_theta).unwrap();
                let gradient = mlp::mlp_backward(&pair.by_hand, &there, &pair.times, &delta).unwrap();
                let loss = (pair.twin_output() - tensor(&pair.eps, Kind::Double)).square().mean(Kind::Double);
                let got = pair.twin.parameters().gradient(&loss);
                let of_each = pair.twin.parameters().split(&got).into_iter().zip(named(&gradient));
                of_each.map(|(got, (_, want))| relative(&numbers(&got), &numbers(&want))).fold(0.0, larger)
            },
        );
    }
}

/// One parameter that is `theta`.
fn parameter(theta: &Array1<f64>) -> MlpDiffusion {
    let mut net = untrained(0, || MlpDiffusion::new(&[1, theta.len(), 1], 1, device(), Kind::Double));
    let values: Vec<_> = net.parameters().named().iter().map(|(n, t)| (n.clone(), t.zeros_like())).collect();
    let of = |array: &Array1<f64>| Tensor::from_slice(&array.to_vec()).unsqueeze(0);
    let with_theta =
        values.into_iter().map(|(n, t)| if n == "step_embeddings.0.weight" { (n, of(theta)) } else { (n, t) });
    net.parameters_mut().assign(&with_theta.collect::<Vec<_>>()).unwrap();
    net
}

fn the_parameter(net: &MlpDiffusion) -> Tensor {
    net.parameters().named().iter().find(|(name, _)| name == "step_embeddings.0.weight").unwrap().1.shallow_clone()
}

/// The gradient of a loss for which that of the one parameter is `wanted`, and that of all others 0.
fn gradient(net: &MlpDiffusion, wanted: &Array1<f64>) -> Tensor {
    let loss = (the_parameter(net) * row(wanted)).sum(Kind::Double);
    net.parameters().gradient(&loss)
}

mod adam_step {
    use super::*;

    /// Five steps with other gradients, of sizes that differ widely.
    #[test]
    fn torch() {
        let case = (array(6), prop::collection::vec((array(6), -6..3), 5));
        let settings = AdamSettings::kingma_ba(0.01).unwrap();
        check!(Torch).bound(1e-12, "five steps of a dozen roundings").property(case, |(mut theta, gradients)| {
            let net = parameter(&theta);
            let AdamSettings { lr, beta_1, beta_2, epsilon } = settings;
            let mut adam = Adam::new(net.parameters(), lr, beta_1, beta_2, epsilon).unwrap();
            let (mut m, mut v) = (Array1::zeros(6), Array1::zeros(6));
            for (k, (wanted, power)) in (1..).zip(gradients) {
                let wanted = wanted * 10_f64.powi(power);
                mlp::adam_step(&mut theta, &wanted, &mut m, &mut v, k, settings).unwrap();
                adam.step(net.parameters(), &gradient(&net, &wanted)).unwrap();
            }
            relative(&numbers(&the_parameter(&net)), &theta.to_vec())
        });
    }

    /// Saved after two steps and loaded into another optimiser, it goes on as if nothing had happened.
    #[test]
    fn resumes_bit_for_bit() {
        let gradients = [[1.0, -2.0], [0.5, 0.1], [-3.0, 1e-3]].map(|g| Array1::from(g.to_vec()));
        let theta = Array1::from(vec![1.0, 2.0]);
        let net = parameter(&theta);
        let new = |net: &MlpDiffusion| Adam::new(net.parameters(), 0.1, 0.9, 0.999, 1e-8).unwrap();
        let mut adam = new(&net);
        let mut other = None;
        for (k, wanted) in gradients.iter().enumerate() {
            if k == 2 {
                let copy = parameter(&Array1::from(numbers(&the_parameter(&net))));
                let mut resumed = new(&copy);
                resumed.load(copy.parameters(), &adam.state(net.parameters()), adam.steps()).unwrap();
                resumed.step(copy.parameters(), &gradient(&copy, wanted)).unwrap();
                other = Some(copy);
            }
            adam.step(net.parameters(), &gradient(&net, wanted)).unwrap();
        }
        assert_eq!(the_parameter(&net), the_parameter(&other.unwrap()));
    }

    #[test]
    fn bad_input() {
        let net = parameter(&Array1::zeros(2));
        for (lr, beta_1, beta_2, epsilon) in [
            (0.0, 0.9, 0.999, 1e-8),
            (f64::NAN, 0.9, 0.999, 1e-8),
            (0.1, 1.0, 0.999, 1e-8),
            (0.1, 0.9, -0.1, 1e-8),
            (0.1, 0.9, 0.999, 0.0),
        ] {
            assert!(matches!(Adam::new(net.parameters(), lr, beta_1, beta_2, epsilon), Err(Error::OutOfRange { .. })));
        }
        let mut adam = Adam::new(net.parameters(), 0.1, 0.9, 0.999, 1e-8).unwrap();
        let mut state = adam.state(net.parameters());
        state.pop();
        assert!(matches!(adam.load(net.parameters(), &state, 3), Err(Error::NamedArray { got: None, .. })));
        let short = gradient(&net, &Array1::zeros(2)).slice(0, 1, None, 1);
        assert!(matches!(adam.step(net.parameters(), &short), Err(Error::ShapeMismatch { .. })));
        assert_eq!(adam.steps(), 0);
    }
}

mod ema_update {
    use super::*;

    #[test]
    fn torch() {
        let case = (array(4), prop::collection::vec(array(4), 1..5), 0.0..0.9999);
        let reason = "a handful of roundings, in units of the largest weight";
        check!(Torch).bound(1e-14, reason).property(case, |(theta, path, decay)| {
            let mut want = theta.clone();
            let largest = path.iter().chain([&theta]).flatten().fold(1e-300, |most: f64, x| most.max(x.abs()));
            let mut net = parameter(&theta);
            let mut average = Average::new(net.parameters(), decay).unwrap();
            for theta in path {
                mlp::ema_update(&mut want, &theta, decay).unwrap();
                let values = net.parameters().named().iter().map(|(name, tensor)| {
                    let new = row(&theta);
                    (name.clone(), if name == "step_embeddings.0.weight" { new } else { tensor.detach() })
                });
                let values: Vec<_> = values.collect();
                net.parameters_mut().assign(&values).unwrap();
                average.update(net.parameters());
            }
            let (_, got) = average.named().iter().find(|(name, _)| name == "step_embeddings.0.weight").unwrap();
            numbers(got).iter().zip(&want).map(|(got, want)| (got - want).abs() / largest).fold(0.0, larger)
        });
    }

    #[test]
    fn bad_input() {
        let net = parameter(&Array1::zeros(2));
        for decay in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(Average::new(net.parameters(), decay), Err(Error::OutOfRange { .. })));
        }
    }
}

mod clip_grad_norm {
    use super::*;

    #[test]
    fn torch() {
        let case = (array(5), 1e-3..1e3);
        check!(Torch).bound(1e-13, "a norm and a product").property(case, |(wanted, max_norm)| {
            let mut got = gradient(&parameter(&Array1::zeros(5)), &wanted);
            let norm = super::clip_grad_norm(&mut got, max_norm).unwrap();
            let mut want: ArrayD<f64> = wanted.into_dyn();
            let want_norm = mlp::clip_grad_norm(&mut [want.view_mut()], max_norm).unwrap();
            // All other parameters have a gradient of 0.
            let got = numbers(&got.masked_select(&got.ne(0.0)));
            let want: Vec<_> = want.iter().copied().filter(|&x| x != 0.0).collect();
            let off = relative(&got, &want);
            off.max(distance_of_numbers(norm.double_value(&[]), want_norm, 1e-12))
        });
    }

    #[test]
    fn bad_input() {
        for max_norm in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let got = super::clip_grad_norm(&mut Tensor::ones([2], F64), max_norm);
            assert!(matches!(got, Err(Error::OutOfRange { .. })));
        }
    }
}

mod devices {
    use super::*;
    use literate_diffusion::torch::device::cuda_is_linked;

    #[test]
    fn names() {
        assert_eq!(parse_device("cpu").unwrap(), Device::Cpu);
        for wrong in ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "mps"] {
            let message = parse_device(wrong).unwrap_err().to_string();
            assert!(message.contains("it must be cpu, cuda, cuda:N"), "{wrong:?}: {message}");
        }
        assert!(parse_device("cuda:99").is_err());
        assert!(parse_device(&format!("cuda:{}", u64::MAX)).is_err());
    }

    #[test]
    fn what_is_there() {
        let (there, auto) = (parse_device("cuda"), parse_device("auto").unwrap());
        println!("CUDA is linked: {}; it is there: {}", cuda_is_linked(), there.is_ok());
        match there {
            Ok(device) => assert_eq!(device, auto),
            Err(error) => {
                assert_eq!(auto, Device::Cpu);
                let reason = if cuda_is_linked() { "no NVIDIA driver that works" } else { "xtask setup --cuda" };
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
    }

    /// A network runs where its parameters are.
    #[test]
    fn a_network_runs_on_each() {
        for device in super::devices() {
            let net = untrained(0, || PlainUnet::new(1, device, Kind::Float));
            let (x, index) =
                (Tensor::zeros([1, 1, 4, 4], (Kind::Float, device)), Tensor::zeros([1], (Kind::Int64, device)));
            assert_eq!(no_grad(|| net.forward(&x, &index)).unwrap().device(), device);
        }
    }
}
