//! How good pictures are: the bound of networks that are exact, the Fréchet distance in closed form, nearest neighbours by
//! brute force, and a classifier that learns.

mod support;

use std::f64::consts::{LN_2, TAU};

use literate_diffusion::elbo::{self, DecoderVariance, LinearVae};
use literate_diffusion::objective::{Prediction, Variance};
use literate_diffusion::posterior::VarianceAtOne;
use literate_diffusion::torch::evaluation::{
    Bound, Classifier, Learning, Model, Moments, Seen, frechet_distance, frechet_yardstick, nearest_distances,
    variational_bound,
};
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::unet::ImageNetwork;
use literate_diffusion::torch::weights::Parameters;
use literate_diffusion::torch::{self, diffusion};
use literate_diffusion::{Error, Result, Schedule};
use ndarray::{Array1, array};
use support::torch::{devices, numbers, twin};
use support::{MAX_Z, distance_of_numbers, integral};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Draws from N(0, 1), the same for the same `place`.
fn gaussian(place: u64, size: &[i64]) -> Tensor {
    drawn(0, Stream::Training, place, || Tensor::randn(size, F64))
}

mod bound {
    use super::*;

    const MEAN: f64 = 0.2;
    const VARIANCE: f64 = 0.5;
    const COPIES: i64 = 4000;
    const VARIANCES: [(Variance, VarianceAtOne); 3] = [
        (Variance::Beta, VarianceAtOne::Beta1),
        (Variance::BetaTilde, VarianceAtOne::Beta1),
        (Variance::BetaTilde, VarianceAtOne::BetaTilde2),
    ];

    /// So gentle that L_T is not small.
    fn schedule() -> Schedule {
        Schedule::linear(12, 0.01, 0.12).unwrap()
    }

    fn bytes() -> Tensor {
        Tensor::from_slice(&[0_u8, 60, 128, 255]).view([1, 1, 2, 2])
    }

    fn picture() -> Array1<f64> {
        array![0.0, 60.0, 128.0, 255.0] / 127.5 - 1.0
    }

    /// What predicts best for data from N(`MEAN`, `VARIANCE` I).
    struct Exact {
        parameters: Parameters,
        schedule: torch::Schedule,
        prediction: Prediction,
        /// Added to the index, as by someone who counts wrong.
        off_by: i64,
    }

    impl Exact {
        fn new(prediction: Prediction) -> Self {
            Self {
                parameters: Parameters::new(Device::Cpu, Kind::Double),
                schedule: twin(&schedule()),
                prediction,
                off_by: 0,
            }
        }
    }

    impl ImageNetwork for Exact {
        fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
            let last = self.schedule.timesteps() as i64;
            let times = (index + 1 + self.off_by).clamp(1, last);
            let steps = self.schedule.at(&numbers(&times).into_iter().map(|t| t as usize).collect::<Vec<_>>())?;
            let eps = diffusion::gaussian_eps(x, &steps, &x.full_like(MEAN), VARIANCE)?;
            let x0 = diffusion::x0_from_eps(x, &steps, &eps)?;
            match self.prediction {
                Prediction::Eps => Ok(eps),
                Prediction::X0 => Ok(x0),
                Prediction::V => diffusion::v_target(&x0, &steps, &eps),
            }
        }

        fn parameters(&self) -> &Parameters {
            &self.parameters
        }

        fn parameters_mut(&mut self) -> &mut Parameters {
            &mut self.parameters
        }
    }

    /// The same number for every pixel, whatever x_t is.
    struct Constant(Parameters, f64);

    impl ImageNetwork for Constant {
        fn forward(&self, x: &Tensor, _: &Tensor) -> Result<Tensor> {
            Ok(x.full_like(self.1))
        }

        fn parameters(&self) -> &Parameters {
            &self.0
        }

        fn parameters_mut(&mut self) -> &mut Parameters {
            &mut self.0
        }
    }

    fn model<'a>(net: &'a Exact, (variance, at_one): (Variance, VarianceAtOne)) -> Model<'a> {
        Model { net, schedule: &net.schedule, prediction: net.prediction, variance, at_one, clip: false }
    }

    fn measured(model: Model, ranges: usize, seed: u64) -> Bound {
        let pictures = bytes().expand([COPIES, 1, 2, 2], false);
        variational_bound(model, &pictures, ranges, 1500, seed, |_| {}).unwrap()
    }

    /// The reference's model with the same mean and variances.
    fn linear_vae((variance, at_one): (Variance, VarianceAtOne)) -> LinearVae {
        let choice = match variance {
            Variance::Beta => DecoderVariance::Beta,
            Variance::BetaTilde => DecoderVariance::BetaTilde(at_one),
        };
        LinearVae::for_gaussian_data(&schedule(), MEAN, VARIANCE, choice).unwrap()
    }

    /// L_0 by numerical integration over x_1, a pixel at a time.
    fn reconstruction(vae: &LinearVae) -> f64 {
        let (step, decoder) = (schedule().step(1).unwrap(), vae.decoder(1).unwrap());
        let of_pixel = |&x0: &f64| {
            integral(-9.0, 9.0, 400, |eps| {
                let x1 = step.alpha_bar.sqrt() * x0 + step.one_minus_alpha_bar.sqrt() * eps;
                let mean = array![decoder.slope * x1 + decoder.offset];
                let log_p = elbo::discretised_log_likelihood(&array![x0], &mean, decoder.variance).unwrap();
                -log_p * (-0.5 * eps * eps).exp() / TAU.sqrt()
            })
        };
        picture().iter().map(of_pixel).sum()
    }

    fn bits(nats: f64) -> f64 {
        nats / (4.0 * LN_2)
    }

    /// What the bound should be, in bits per dimension.
    struct Expected {
        prior: f64,
        reconstruction: f64,
        /// L_{t−1} for t = 2, …, T.
        denoising: Vec<f64>,
    }

    impl Expected {
        fn of(choice: (Variance, VarianceAtOne)) -> Self {
            let vae = linear_vae(choice);
            let denoising = (2..=12).map(|t| bits(vae.denoising_term(&picture(), t).unwrap())).collect();
            let prior = bits(elbo::prior_term(&picture(), &schedule()).unwrap());
            Self { prior, reconstruction: bits(reconstruction(&vae)), denoising }
        }

        fn total(&self) -> f64 {
            self.prior + self.reconstruction + self.denoising.iter().sum::<f64>()
        }

        fn mean_denoising(&self, first: usize, last: usize) -> f64 {
            self.denoising[first - 2..=last - 2].iter().sum::<f64>() / (last - first + 1) as f64
        }
    }

    fn z(of: literate_diffusion::torch::evaluation::Estimate, expected: f64) -> f64 {
        ((of.mean - expected) / of.standard_error).abs()
    }

    /// Each term and the whole, for all predictions, variances and numbers of ranges.
    #[test]
    fn is_the_closed_form() {
        for prediction in [Prediction::Eps, Prediction::X0, Prediction::V] {
            let net = Exact::new(prediction);
            for choice in VARIANCES {
                let expected = Expected::of(choice);
                for ranges in [1, 4, 11, 1000] {
                    let bound = measured(model(&net, choice), ranges, 3);
                    assert_eq!(bound.denoising.len(), ranges.min(11));
                    assert!(distance_of_numbers(bound.prior.mean, expected.prior, 1e-3) < 1e-12);
                    assert!(z(bound.reconstruction, expected.reconstruction) < MAX_Z, "{bound:?}");
                    for range in &bound.denoising {
                        assert!(z(range.each, expected.mean_denoising(range.first, range.last)) < MAX_Z, "{bound:?}");
                    }
                    assert!(z(bound.total, expected.total()) < MAX_Z, "{bound:?}, not {}", expected.total());
                }
            }
        }
    }

    /// 2..=T is cut without a gap and without a t in two ranges.
    #[test]
    fn the_ranges_hold_each_t_once() {
        let net = Exact::new(Prediction::Eps);
        for ranges in 1..=12 {
            let bound = measured(model(&net, VARIANCES[0]), ranges, 0);
            let times: Vec<_> = bound.denoising.iter().flat_map(|range| range.first..=range.last).collect();
            assert_eq!(times, (2..=12).collect::<Vec<_>>());
        }
    }

    /// The same check, given mistakes that people make.
    #[test]
    fn wrong_variants_are_rejected() {
        let net = Exact::new(Prediction::Eps);
        for choice in VARIANCES {
            let expected = Expected::of(choice);
            let all = measured(model(&net, choice), 11, 3).total;
            assert!(z(all, expected.total() - expected.prior) > MAX_Z, "L_T forgotten");
            let density = bits(linear_vae(choice).reconstruction_term(&picture()).unwrap());
            assert!(z(all, expected.total() - expected.reconstruction + density) > MAX_Z, "a density for a mass");
            let once = [(2, 3), (4, 6), (7, 9), (10, 12)].map(|(first, last)| expected.mean_denoising(first, last));
            let each_range_once = expected.prior + expected.reconstruction + once.iter().sum::<f64>();
            let total = measured(model(&net, choice), 4, 3).total;
            assert!(z(total, each_range_once) > MAX_Z, "a range counted as one term");

            let off_by_one = Exact { off_by: 1, ..Exact::new(Prediction::Eps) };
            assert!(z(measured(model(&off_by_one, choice), 11, 3).total, expected.total()) > MAX_Z, "t off by one");
            let mistaken = Model { prediction: Prediction::V, ..model(&net, choice) };
            assert!(z(measured(mistaken, 11, 3).total, expected.total()) > MAX_Z, "ε taken for v");
        }
        let other = measured(model(&net, VARIANCES[2]), 11, 3).total;
        assert!(z(other, Expected::of(VARIANCES[1]).total()) > MAX_Z, "the other variance at t = 1");
    }

    /// Over many seeds, the bound scatters by as much as its standard error says.
    #[test]
    fn the_standard_error_is_honest() {
        let net = Exact::new(Prediction::Eps);
        let pictures = bytes().expand([60, 1, 2, 2], false);
        for ranges in [1, 11] {
            let run =
                |seed| variational_bound(model(&net, VARIANCES[0]), &pictures, ranges, 60, seed, |_| {}).unwrap().total;
            let totals: Vec<_> = (0..100).map(run).collect();
            let mean = |x: &dyn Fn(usize) -> f64| (0..100).map(x).sum::<f64>() / 100.0;
            let centre = mean(&|i| totals[i].mean);
            let scatter = mean(&|i| (totals[i].mean - centre).powi(2)).sqrt();
            let said = mean(&|i| totals[i].standard_error);
            // Of 100 draws a scatter is within 7 % (one standard error), and that of skewed ones within twice as much.
            assert!(
                (scatter / said - 1.0).abs() < 0.4,
                "{ranges} ranges: {scatter} by seeds, {said} by the standard error"
            );
        }
    }

    #[test]
    fn clipping_holds_x0_to_where_pictures_are() {
        let schedule = twin(&schedule());
        let of = |value: f64, clip: bool| {
            let net = Constant(Parameters::new(Device::Cpu, Kind::Double), value);
            let (variance, at_one) = VARIANCES[0];
            measured(Model { net: &net, schedule: &schedule, prediction: Prediction::X0, variance, at_one, clip }, 3, 1)
        };
        assert_eq!(of(3.0, true), of(1.0, false));
        assert_ne!(of(3.0, false), of(1.0, false));
    }

    #[test]
    fn repeats_for_a_seed_and_takes_bytes_or_numbers() {
        let net = Exact::new(Prediction::V);
        let model = model(&net, VARIANCES[1]);
        assert_eq!(measured(model, 4, 5), measured(model, 4, 5));
        assert_ne!(measured(model, 4, 5), measured(model, 4, 6));
        let floats = (bytes().to_kind(Kind::Float) / 127.5 - 1.0).expand([COPIES, 1, 2, 2], false);
        let mut done = Vec::new();
        let of_floats = variational_bound(model, &floats, 4, 1500, 5, |pictures| done.push(pictures)).unwrap();
        assert!(distance_of_numbers(of_floats.total.mean, measured(model, 4, 5).total.mean, 1.0) < 1e-5);
        assert_eq!(done, [1500, 3000, 4000]);
    }

    /// T = 1: the picture is all there is to say.
    #[test]
    fn one_step() {
        let schedule = twin(&Schedule::from_betas(&[0.5]).unwrap());
        let net = Constant(Parameters::new(Device::Cpu, Kind::Double), 0.0);
        let (variance, at_one) = VARIANCES[0];
        let model = Model { net: &net, schedule: &schedule, prediction: Prediction::X0, variance, at_one, clip: true };
        let bound = measured(model, 3, 0);
        assert_eq!(bound.denoising, []);
        assert!(distance_of_numbers(bound.total.mean, bound.prior.mean + bound.reconstruction.mean, 1.0) < 1e-12);
        let no_second = Model { variance: Variance::BetaTilde, at_one: VarianceAtOne::BetaTilde2, ..model };
        let error = variational_bound(no_second, &bytes().expand([2, 1, 2, 2], false), 1, 2, 0, |_| {}).unwrap_err();
        assert_eq!(error, Error::StepOutOfRange { t: 2, timesteps: 1 });
    }

    #[test]
    fn bad_input() {
        let net = Exact::new(Prediction::Eps);
        let of = |pictures: &Tensor, ranges, batch| {
            variational_bound(model(&net, VARIANCES[0]), pictures, ranges, batch, 0, |_| {}).unwrap_err()
        };
        let two = bytes().expand([2, 1, 2, 2], false);
        for (pictures, ranges, batch) in [(bytes(), 1, 1), (two.shallow_clone(), 0, 1), (two.shallow_clone(), 1, 0)] {
            assert!(matches!(of(&pictures, ranges, batch), Error::OutOfRange { .. }));
        }
        let between = Tensor::full([2, 1, 2, 2], 0.001, F64);
        assert!(matches!(of(&between, 1, 2), Error::OutOfRange { name: "x0", .. }));
    }
}

mod frechet {
    use super::*;

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        frechet_distance(&Moments::of(a).unwrap(), &Moments::of(b).unwrap()).unwrap()
    }

    /// ± points on the axes: the covariance is diagonal, with these variances.
    fn diagonal(mean: &[f64], variances: &[f64]) -> Tensor {
        let d = variances.len() as f64;
        let scale = Tensor::from_slice(variances).g_mul_scalar(d - 0.5).sqrt();
        let axes = Tensor::eye(variances.len() as i64, F64) * scale;
        Tensor::cat(&[&axes, &-&axes], 0) + Tensor::from_slice(mean)
    }

    /// Points whose covariance is no multiple of I and no diagonal.
    fn cloud(place: u64, count: i64, d: i64) -> Tensor {
        gaussian(place, &[count, d]).matmul(&gaussian(place + 1000, &[d, d])) + gaussian(place + 2000, &[d])
    }

    fn covariance(points: &Tensor) -> Tensor {
        points.tr().cov(1, None::<&Tensor>, None::<&Tensor>)
    }

    fn mean_distance(a: &Tensor, b: &Tensor) -> f64 {
        (a.mean_dim(0, false, None) - b.mean_dim(0, false, None)).square().sum(Kind::Double).double_value(&[])
    }

    /// Covariances that commute: the deviations are compared one by one.
    #[test]
    fn diagonal_covariances() {
        let (m, a) = ([1.0_f64, -2.0, 0.5], [0.5_f64, 2.0, 9.0]);
        for (n, b) in [([0.0, 0.0, 0.0], [3.0_f64, 0.1, 9.0]), ([1.0, 1.0, 4.0], [0.0, 0.0, 1e-6])] {
            let want: f64 = (0..3).map(|i| (m[i] - n[i]).powi(2) + (a[i].sqrt() - b[i].sqrt()).powi(2)).sum();
            let got = distance(&diagonal(&m, &a), &diagonal(&n, &b));
            assert!(distance_of_numbers(got, want, 1.0) < 1e-12, "got {got}, want {want}");
        }
    }

    /// In the plane, tr √M = √(tr M + 2 √det M) for M = A^½ B A^½, which has the trace and the determinant of AB.
    #[test]
    fn in_the_plane() {
        for place in 0..20 {
            let (x, y) = (cloud(place, 10, 2), cloud(place + 100, 15, 2));
            let (a, b) = (covariance(&x), covariance(&y));
            let product = a.matmul(&b);
            let root = (product.trace() + Tensor::linalg_det(&product).sqrt() * 2.0).sqrt();
            let want = mean_distance(&x, &y) + (a.trace() + b.trace() - root * 2.0).double_value(&[]);
            assert!(distance_of_numbers(distance(&x, &y), want, 1.0) < 1e-11);
            let of_product_of_roots = tr_of_product_of_roots(&a, &b);
            let wrong = mean_distance(&x, &y) + (a.trace() + b.trace()).double_value(&[]) - 2.0 * of_product_of_roots;
            assert!(distance_of_numbers(wrong, want, 1.0) > 1e-6, "tr A^½ B^½, right only where A and B commute");
        }
    }

    fn tr_of_product_of_roots(a: &Tensor, b: &Tensor) -> f64 {
        let root = |x: &Tensor| {
            let (values, vectors) = x.linalg_eigh("L");
            (&vectors * values.sqrt()).matmul(&vectors.tr())
        };
        root(a).matmul(&root(b)).trace().double_value(&[])
    }

    /// A^½ B A^½ has the eigenvalues of AB, which is not symmetric and needs another algorithm.
    #[test]
    fn by_the_eigenvalues_of_the_product() {
        for place in 0..10 {
            let (x, y) = (cloud(place, 40, 6), cloud(place + 100, 30, 6));
            let (a, b) = (covariance(&x), covariance(&y));
            let roots = a.matmul(&b).linalg_eigvals().real().sqrt().sum(Kind::Double);
            let want = mean_distance(&x, &y) + (a.trace() + b.trace() - roots * 2.0).double_value(&[]);
            assert!(distance_of_numbers(distance(&x, &y), want, 1.0) < 1e-10);
        }
    }

    /// It does not see how both are turned and moved together; it is symmetric; and 0 for the same points.
    #[test]
    fn symmetries() {
        let (x, y) = (cloud(0, 40, 5), cloud(100, 25, 5));
        let (turn, _) = Tensor::linalg_qr(&gaussian(7, &[5, 5]), "reduced");
        let moved = |points: &Tensor| points.matmul(&turn) + gaussian(8, &[5]) * 10.0;
        let want = distance(&x, &y);
        assert!(want > 0.1);
        assert!(distance_of_numbers(distance(&moved(&x), &moved(&y)), want, 1.0) < 1e-11);
        assert!(distance_of_numbers(distance(&y, &x), want, 1.0) < 1e-12);
        assert!(distance_of_numbers(distance(&(&x * 3.0), &(&y * 3.0)), want * 9.0, 1.0) < 1e-12);
        assert!(distance(&x, &x).abs() < 1e-12);
        // Fewer points than dimensions: a covariance without full rank.
        let few = cloud(3, 4, 9);
        assert!(distance(&few, &few).abs() < 1e-6 * covariance(&few).trace().double_value(&[]));
    }

    /// The yardstick is above 0 although the law is the same, and falls like 1/N.
    #[test]
    fn bias() {
        let points = gaussian(0, &[6000, 8]);
        let mean = |count| (0..10).map(|seed| frechet_yardstick(&points, count, seed).unwrap()).sum::<f64>() / 10.0;
        let (few, many) = (mean(200), mean(2000));
        assert!(many > 0.0 && (7.0..14.0).contains(&(few / many)), "{few} of 200 points, {many} of 2000");
        assert_eq!(frechet_yardstick(&points, 100, 1).unwrap(), frechet_yardstick(&points, 100, 1).unwrap());
        assert_ne!(frechet_yardstick(&points, 100, 1).unwrap(), frechet_yardstick(&points, 100, 2).unwrap());
    }

    #[test]
    fn bad_input() {
        let shape = |points: &Tensor| Moments::of(points).unwrap_err();
        assert!(matches!(shape(&Tensor::zeros([3], F64)), Error::ShapeMismatch { .. }));
        assert!(matches!(shape(&Tensor::zeros([3, 0], F64)), Error::ShapeMismatch { .. }));
        assert!(matches!(shape(&Tensor::zeros([1, 3], F64)), Error::OutOfRange { .. }));
        let of = |points: Tensor| Moments::of(&points).unwrap();
        let (two, three) = (of(gaussian(0, &[5, 2])), of(gaussian(0, &[5, 3])));
        assert!(matches!(frechet_distance(&two, &three), Err(Error::ShapeMismatch { .. })));
        let broken = of(Tensor::full([3, 2], f64::NAN, F64));
        assert!(matches!(frechet_distance(&two, &broken), Err(Error::OutOfRange { .. })));
        assert!(matches!(frechet_yardstick(&gaussian(0, &[9, 2]), 5, 0), Err(Error::OutOfRange { .. })));
        assert!(matches!(frechet_yardstick(&gaussian(0, &[9, 2]), 0, 0), Err(Error::OutOfRange { .. })));
    }
}

mod nearest {
    use super::*;

    fn by_brute_force(points: &Tensor, others: &Tensor) -> Vec<f64> {
        let rows = |x: &Tensor| -> Vec<Vec<f64>> {
            let row = x.numel() / x.size()[0] as usize;
            numbers(x).chunks(row).map(<[f64]>::to_vec).collect()
        };
        let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
        let others = rows(others);
        let of = |x: &Vec<f64>| others.iter().map(|y| distance(x, y)).fold(f64::INFINITY, f64::min);
        rows(points).iter().map(of).collect()
    }

    #[test]
    fn is_brute_force_in_batches_of_any_size() {
        for device in devices() {
            let (points, others) = (gaussian(0, &[23, 1, 3, 4]), gaussian(1, &[41, 1, 3, 4]));
            let want = by_brute_force(&points, &others);
            for batch in [1, 7, 23, 41, 1000] {
                let got = nearest_distances(&points.to_device(device), &others.to_device(device), batch).unwrap();
                assert_eq!(got.len(), 23);
                for (got, want) in got.iter().zip(&want) {
                    assert!(distance_of_numbers(*got, *want, 1e-3) < 1e-13);
                }
            }
            // In f32, as pictures are.
            let in_f32 = |x: &Tensor| x.to_kind(Kind::Float).to_device(device);
            let got = nearest_distances(&in_f32(&points), &in_f32(&others), 10).unwrap();
            assert!(got.iter().zip(&want).all(|(got, want)| distance_of_numbers(*got, *want, 1e-3) < 1e-5));
        }
    }

    /// A picture of the training set is at distance 0, and one that is a shade off at that shade.
    #[test]
    fn a_copy_shows() {
        let others = drawn(0, Stream::Training, 9, || Tensor::randint(256, [50, 3, 8, 8], (Kind::Uint8, Device::Cpu)));
        let points = others.narrow(0, 30, 2).copy();
        let pixel = points.int64_value(&[1, 0, 0, 0]);
        let _ = points.get(1).get(0).get(0).get(0).fill_(if pixel == 0 { 1 } else { pixel - 1 });
        let got = nearest_distances(&points, &others, 16).unwrap();
        assert_eq!(got[0], 0.0);
        assert!(distance_of_numbers(got[1], 2.0 / 255.0, 1e-3) < 1e-4, "{}", got[1]);
    }

    #[test]
    fn bad_input() {
        let of = |points: &[i64], others: &[i64], batch| {
            nearest_distances(&Tensor::zeros(points, F64), &Tensor::zeros(others, F64), batch).unwrap_err()
        };
        assert!(matches!(of(&[2, 3], &[2, 4], 5), Error::ShapeMismatch { .. }));
        assert!(matches!(of(&[2, 3], &[0, 3], 5), Error::Empty { .. }));
        assert!(matches!(of(&[2, 3], &[2, 3], 0), Error::OutOfRange { .. }));
        assert!(nearest_distances(&Tensor::zeros([0, 3], F64), &Tensor::zeros([2, 3], F64), 5).unwrap().is_empty());
    }
}

mod classifier {
    use super::*;

    const CLASSES: i64 = 3;
    const LEARNING: Learning = Learning { epochs: 4, batch: 20, lr: 2e-3, seed: 1 };

    /// Bars that stand, lie, or cross, at any place, with noise: bytes and labels.
    fn bars(place: u64, count: i64) -> (Tensor, Tensor) {
        let label = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
        let pictures: Vec<_> = (0..count)
            .map(|i| {
                drawn(2, Stream::Training, place + i as u64, || {
                    let picture = Tensor::rand([1, 12, 12], (Kind::Float, Device::Cpu)) * 100.0;
                    let at = numbers(&Tensor::randint(10, [2], (Kind::Int64, Device::Cpu)));
                    for (dim, class) in [(1, 0), (2, 1)] {
                        if i % CLASSES == class || i % CLASSES == 2 {
                            let mut bar = picture.narrow(dim, at[class as usize] as i64, 2);
                            bar += 150.0;
                        }
                    }
                    picture.to_kind(Kind::Uint8)
                })
            })
            .collect();
        (Tensor::stack(&pictures, 0), label)
    }

    fn learned(pictures: &Tensor, labels: &Tensor) -> Classifier {
        Classifier::learn(CLASSES as usize, pictures, labels, LEARNING, |_, _, _| {}).unwrap()
    }

    #[test]
    fn learns_and_tells_samples_of_the_wrong_class() {
        let (pictures, labels) = bars(0, 300);
        let mut losses = Vec::new();
        let classifier = Classifier::learn(CLASSES as usize, &pictures, &labels, LEARNING, |step, steps, loss| {
            assert_eq!(steps, 60);
            losses.push((step, loss));
        })
        .unwrap();
        assert_eq!((losses[0].0, losses[59].0, losses.len()), (1, 60, 60));
        assert!(losses[59].1 < 0.3 * losses[0].1, "{losses:?}");

        let (pictures, labels) = bars(1000, 150);
        let report = classifier.report(&pictures, &labels, 64).unwrap();
        assert_eq!((report.all.pictures, report.classes.len()), (150, 3));
        assert!(report.all.accuracy > 0.95 && report.all.confidence > 0.8, "{report:?}");
        let wrong = classifier.report(&pictures, &(&labels + 1).remainder(CLASSES), 64).unwrap();
        assert!(wrong.all.accuracy < 0.05 && wrong.all.confidence < 0.2, "{wrong:?}");

        // In its features, bars are nearer to bars than to noise.
        let features = |pictures: &Tensor| classifier.features(pictures, 50).unwrap();
        assert_eq!(features(&pictures).size(), [150, Classifier::FEATURES as i64]);
        let noise =
            drawn(3, Stream::Training, 0, || Tensor::randint(256, [150, 1, 12, 12], (Kind::Uint8, Device::Cpu)));
        let real = Moments::of(&features(&bars(2000, 150).0)).unwrap();
        let to_real = |pictures: &Tensor| frechet_distance(&Moments::of(&features(pictures)).unwrap(), &real).unwrap();
        assert!(to_real(&noise) > 5.0 * to_real(&pictures), "{} and {}", to_real(&noise), to_real(&pictures));
    }

    /// What is reported is what the probabilities say, picture by picture, whatever the batch.
    #[test]
    fn reports_what_the_probabilities_say() {
        let (pictures, labels) = bars(0, 31);
        let classifier = Classifier::new(1, 4, Device::Cpu, 5).unwrap();
        let probabilities = classifier.probabilities(&pictures, 7).unwrap();
        assert_eq!(probabilities.size(), [31, 4]);
        let whole = classifier.probabilities(&pictures, 100).unwrap();
        assert!((&probabilities - &whole).abs().max().double_value(&[]) < 1e-6);
        let (rows, labels_of) = (numbers(&probabilities), numbers(&labels));
        let (mut right, mut given) = ([0.0; 4], [0.0; 4]);
        for (row, &label) in rows.chunks(4).zip(&labels_of) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            let best = (0..4).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap();
            right[label as usize] += f64::from(u8::from(best == label as usize));
            given[label as usize] += row[label as usize];
        }
        let report = classifier.report(&pictures, &labels, 7).unwrap();
        for (class, count) in [11.0, 10.0, 10.0].into_iter().enumerate() {
            let Seen { pictures, accuracy, confidence } = report.classes[class];
            assert_eq!((pictures as f64, accuracy), (count, right[class] / count));
            assert!((confidence - given[class] / count).abs() < 1e-7);
        }
        let of_none = report.classes[3];
        assert!(of_none.pictures == 0 && of_none.accuracy.is_nan() && of_none.confidence.is_nan());
        assert!((report.all.accuracy - right.iter().sum::<f64>() / 31.0).abs() < 1e-15);
        assert!((report.all.confidence - given.iter().sum::<f64>() / 31.0).abs() < 1e-7);
    }

    #[test]
    fn repeats_for_a_seed() {
        let (pictures, labels) = bars(0, 40);
        let parameters = |classifier: &Classifier| classifier.parameters().tensors();
        let (first, second) = (learned(&pictures, &labels), learned(&pictures, &labels));
        assert_eq!(parameters(&first), parameters(&second));
        let other = Learning { seed: 2, ..LEARNING };
        let other = Classifier::learn(CLASSES as usize, &pictures, &labels, other, |_, _, _| {}).unwrap();
        assert_ne!(parameters(&first), parameters(&other));
    }

    #[test]
    fn bad_input() {
        let (pictures, labels) = bars(0, 6);
        let learn = |pictures: &Tensor, labels: &Tensor, learning| {
            Classifier::learn(CLASSES as usize, pictures, labels, learning, |_, _, _| {}).unwrap_err()
        };
        assert!(matches!(learn(&pictures, &labels.narrow(0, 0, 5), LEARNING), Error::ShapeMismatch { .. }));
        for wrong in [&labels + 1, &labels - 1] {
            assert!(matches!(learn(&pictures, &wrong, LEARNING), Error::OutOfRange { name: "a label", .. }));
        }
        for learning in
            [Learning { epochs: 0, ..LEARNING }, Learning { batch: 0, ..LEARNING }, Learning { lr: 0.0, ..LEARNING }]
        {
            assert!(matches!(learn(&pictures, &labels, learning), Error::OutOfRange { .. }));
        }
        assert!(matches!(Classifier::new(1, 1, Device::Cpu, 0), Err(Error::OutOfRange { .. })));
        assert!(matches!(Classifier::new(0, 2, Device::Cpu, 0), Err(Error::OutOfRange { .. })));
        let classifier = Classifier::new(1, 3, Device::Cpu, 0).unwrap();
        let of = |size: &[i64], batch| {
            classifier.features(&Tensor::zeros(size, (Kind::Float, Device::Cpu)), batch).unwrap_err()
        };
        assert!(matches!(of(&[2, 3, 8, 8], 2), Error::ShapeMismatch { .. }));
        assert!(matches!(of(&[2, 64], 2), Error::ShapeMismatch { .. }));
        assert!(matches!(of(&[2, 1, 3, 8], 2), Error::OutOfRange { .. }));
        assert!(matches!(of(&[2, 1, 8, 8], 0), Error::OutOfRange { .. }));
        assert!(matches!(of(&[0, 1, 8, 8], 2), Error::OutOfRange { .. }));
    }
}
