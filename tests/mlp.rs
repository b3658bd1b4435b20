//! Checks of chapter 9, the network by hand: one module an equation, named by its slug.

mod support;

use literate_diffusion::mlp::{
    self, AdamSettings, Linear, MlpDiffusion, Trainer, loss_gradient, mlp_backward, mlp_forward,
};
use literate_diffusion::{Error, Result, objective, paper};
use ndarray::{Array1, Array2, ArrayD, ArrayRef2, array};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::{check, derivative, distance, distance_of_numbers, integral, larger, rng, seed, z_score};

/// A matrix of ordinary numbers.
fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    let numbers = prop::collection::vec(-3.0..3.0, rows * columns);
    numbers.prop_map(move |numbers| Array2::from_shape_vec((rows, columns), numbers).unwrap())
}

fn vector(len: usize) -> impl Strategy<Value = Array1<f64>> {
    prop::collection::vec(-3.0..3.0, len).prop_map(Array1::from)
}

/// The sum of the products of all elements.
fn inner(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a * b).sum()
}

/// A row for each time, with a 1 in the column of that time: E_t as a product of matrices.
fn one_hot(times: &[usize], timesteps: usize) -> Array2<f64> {
    Array2::from_shape_fn((times.len(), timesteps), |(n, row)| f64::from(u8::from(times[n] == row + 1)))
}

const ROUNDING: &str = "sums of at most 8 products of numbers up to 3, and their roundings";

mod linear_forward {
    use super::*;

    /// Element by element.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, ROUNDING).property(layer(), |(x, weight, bias)| {
            distance(&mlp::linear_forward(&x, &weight, &bias).unwrap(), &by_loops(&x, &weight, &bias), 1.0)
        });
    }

    /// Its derivative by x_i is the column W_·i.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-11, "a difference of numbers up to 80 over 0.1, linear in x").property(
            layer(),
            |(x, weight, bias)| {
                let y = |delta: f64| {
                    let mut moved = x.clone();
                    moved[[0, 0]] += delta;
                    mlp::linear_forward(&moved, &weight, &bias).unwrap().row(0).to_owned()
                };
                distance(&((y(0.1) - y(-0.1)) / 0.2), &weight.column(0), 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant() {
        let square = (matrix(2, 3), matrix(3, 3), vector(3));
        check!(Identity).bound(1e-13, ROUNDING).rejects("the weights not transposed", square, |(x, weight, bias)| {
            distance(&(x.dot(&weight) + &bias), &by_loops(&x, &weight, &bias), 1.0)
        });
    }

    /// In f32, the fast product agrees with the plain one for every odd size, and for matrices that lie transposed.
    #[test]
    fn fast_product() {
        for (n, inputs, outputs) in [(0, 3, 2), (1, 1, 1), (3, 2, 128), (5, 130, 7), (17, 33, 65), (128, 128, 128)] {
            let x = Array2::from_shape_fn((n, inputs), |(i, j)| ((7 * i + 3 * j) % 11) as f32 / 11.0 - 0.5);
            let weight = Array2::from_shape_fn((outputs, inputs), |(i, j)| ((5 * i + 2 * j) % 13) as f32 / 13.0 - 0.5);
            let bias = Array1::from_shape_fn(outputs, |i| i as f32 / 100.0);
            let x_transposed = x.t().as_standard_layout().into_owned().reversed_axes();
            let every_other = Array2::from_shape_fn((2 * n, inputs), |(i, j)| x[[i / 2, j]]);
            let gaps = every_other.slice_axis(ndarray::Axis(0), ndarray::Slice::new(0, None, 2));
            let expected = by_loops(&x.mapv(f64::from), &weight.mapv(f64::from), &bias.mapv(f64::from));
            for x in [x.view(), x_transposed.view(), gaps] {
                let y = mlp::linear_forward(&x, &weight, &bias).unwrap();
                assert!(distance(&y.mapv(f64::from), &expected, 1.0) < 1e-5, "{n} × {inputs} × {outputs}");
                let back = mlp::linear_backward(&x, &weight, &y).unwrap();
                let exact =
                    mlp::linear_backward(&x.mapv(f64::from), &weight.mapv(f64::from), &y.mapv(f64::from)).unwrap();
                assert!(distance(&back.weight.mapv(f64::from), &exact.weight, 10.0) < 1e-5);
                assert!(distance(&back.x.mapv(f64::from), &exact.x, 10.0) < 1e-5);
            }
        }
    }

    fn layer() -> impl Strategy<Value = (Array2<f64>, Array2<f64>, Array1<f64>)> {
        (1..5_usize, 1..8_usize, 1..6_usize)
            .prop_flat_map(|(n, inputs, outputs)| (matrix(n, inputs), matrix(outputs, inputs), vector(outputs)))
    }

    fn by_loops(x: &Array2<f64>, weight: &Array2<f64>, bias: &Array1<f64>) -> Array2<f64> {
        Array2::from_shape_fn((x.nrows(), bias.len()), |(n, j)| {
            bias[j] + (0..x.ncols()).map(|i| x[[n, i]] * weight[[j, i]]).sum::<f64>()
        })
    }

    #[test]
    fn bad_input() {
        let error = mlp::linear_forward(&array![[1.0, 2.0]], &array![[1.0]], &array![0.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "weight", expected: vec![1, 2], got: vec![1, 1] });
        assert!(mlp::linear_forward(&array![[1.0]], &array![[1.0], [2.0]], &array![0.0]).is_err());
    }
}

mod linear_backward {
    use super::*;

    type Case = (Array2<f64>, Array2<f64>, Array2<f64>, Array2<f64>, Array2<f64>);

    /// The way back is the transpose of the way there: ⟨δ, x′Wᵀ⟩ = ⟨∂x, x′⟩ and ⟨δ, xW′ᵀ⟩ = ⟨∂W, W′⟩.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, ROUNDING).property(case(), |case| transposed(case, mlp::linear_backward));
    }

    /// The bias goes into every row once.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-14, ROUNDING).property(case(), |(x, weight, delta, ..)| {
            let back = mlp::linear_backward(&x, &weight, &delta).unwrap();
            distance(&back.bias, &Array1::ones(delta.nrows()).dot(&delta), 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-13, ROUNDING).rejects(
            "the mean over the batch where the sum belongs",
            case(),
            |case| {
                transposed(case, |x, weight, delta| {
                    let mut back = mlp::linear_backward(x, weight, delta)?;
                    back.weight /= delta.nrows() as f64;
                    Ok(back)
                })
            },
        );
    }

    fn case() -> impl Strategy<Value = Case> {
        (1..5_usize, 1..5_usize, 1..5_usize).prop_flat_map(|(n, inputs, outputs)| {
            let weights = (matrix(outputs, inputs), matrix(outputs, inputs));
            (matrix(n, inputs), matrix(n, inputs), weights, matrix(n, outputs))
                .prop_map(|(x, other_x, (weight, other), delta)| (x, weight, delta, other_x, other))
        })
    }

    fn transposed(
        (x, weight, delta, other_x, other_weight): Case,
        backward: impl Fn(&ArrayRef2<f64>, &ArrayRef2<f64>, &ArrayRef2<f64>) -> Result<mlp::LinearGradient<f64>>,
    ) -> f64 {
        let back = backward(&x, &weight, &delta).unwrap();
        let by_x = distance_of_numbers(inner(&delta, &other_x.dot(&weight.t())), inner(&back.x, &other_x), 100.0);
        let there = inner(&delta, &x.dot(&other_weight.t()));
        by_x.max(distance_of_numbers(there, inner(&back.weight, &other_weight), 100.0))
    }

    #[test]
    fn bad_input() {
        let (x, weight) = (array![[1.0, 2.0]], array![[1.0, 2.0]]);
        let error = mlp::linear_backward(&x, &weight, &array![[1.0, 2.0]]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "delta", expected: vec![1, 1], got: vec![1, 2] });
        assert!(mlp::linear_backward(&x, &array![[1.0]], &array![[1.0]]).is_err());
    }
}

mod relu {
    use super::*;

    /// (a + |a|)/2.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(0.0, "a sum with itself, halved, is exact")
            .property(vector(6), |a| distance(&mlp::relu(&a), &by_absolute_value(&a), 1.0));
    }

    /// relu(a) − relu(−a) = a.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(0.0, "one of the two is 0")
            .property(vector(6), |a| distance(&(mlp::relu(&a) - mlp::relu(&-&a)), &a, 1.0));
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(0.0, "as above").rejects("a leak of 0.01 below 0", vector(6), |a| {
            distance(&a.mapv(|a| if a > 0.0 { a } else { 0.01 * a }), &by_absolute_value(&a), 1.0)
        });
    }

    fn by_absolute_value(a: &Array1<f64>) -> Array1<f64> {
        (a + &a.mapv(f64::abs)) * 0.5
    }

    /// What is not a number does not become 0, and 0 stays.
    #[test]
    fn nan_stays() {
        let out = mlp::relu(&array![f64::NAN, 0.0, -0.0, f64::NEG_INFINITY, f64::INFINITY]);
        assert!(out[0].is_nan());
        assert_eq!(out.to_vec()[1..], [0.0, 0.0, 0.0, f64::INFINITY]);
    }
}

mod relu_backward {
    use super::*;

    /// The slope of δ · relu away from 0.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-9, "linear on either side: roundings of 1e-16 over 1e-6")
            .property(pair(), |case| slope(case, |a, delta| mlp::relu_backward(a, delta).unwrap()));
    }

    /// At 0 the slope is taken as 0.
    #[test]
    fn limit() {
        check!(Limit)
            .bound(0.0, "by definition")
            .cases([0.0, -0.0], |a| mlp::relu_backward(&array![a], &array![7.0]).unwrap()[0]);
    }

    #[test]
    fn wrong_variant() {
        check!(FiniteDifference).bound(1e-9, "as above").rejects(
            "the mask taken from the gradient, not from a",
            pair(),
            |case| slope(case, |_, delta| delta.mapv(|delta: f64| delta.max(0.0))),
        );
    }

    fn pair() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
        let away_from_zero = prop_oneof![-3.0..-1e-3, 1e-3..3.0];
        (prop::collection::vec(away_from_zero, 4).prop_map(Array1::from), vector(4))
    }

    fn slope(
        (a, delta): (Array1<f64>, Array1<f64>),
        backward: impl Fn(&Array1<f64>, &Array1<f64>) -> Array1<f64>,
    ) -> f64 {
        let difference = (mlp::relu(&(&a + 1e-6)) - mlp::relu(&(&a - 1e-6))) / 2e-6;
        distance(&backward(&a, &delta), &(difference * &delta), 1.0)
    }

    #[test]
    fn bad_input() {
        let error = mlp::relu_backward(&array![1.0, 2.0], &array![1.0]).unwrap_err();
        assert_eq!(error, Error::ShapeMismatch { name: "delta", expected: vec![2], got: vec![1] });
    }
}

/// A table, times in it, and what the rows are told on the way back.
fn looked_up() -> impl Strategy<Value = (Array2<f64>, Vec<usize>, Array2<f64>)> {
    (2..6_usize, 1..4_usize, 1..8_usize).prop_flat_map(|(timesteps, width, n)| {
        (matrix(timesteps, width), prop::collection::vec(1..=timesteps, n), matrix(n, width))
    })
}

mod embedding {
    use super::*;

    /// A product with one-hot rows.
    #[test]
    fn identity() {
        check!(Identity).bound(0.0, "a copy, and a sum of one number and zeros").property(
            looked_up(),
            |(table, times, _)| {
                distance(&mlp::embedding(&table, &times).unwrap(), &one_hot(&times, table.nrows()).dot(&table), 1.0)
            },
        );
    }

    /// The times 1, …, T give the table itself: t = 1 is its first row.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(0.0, "a copy").property(looked_up(), |(table, ..)| {
            let every_time: Vec<usize> = (1..=table.nrows()).collect();
            distance(&mlp::embedding(&table, &every_time).unwrap(), &table, 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(0.0, "as above").rejects("row t for row t - 1", looked_up(), |(table, times, _)| {
            let one_on: Vec<usize> = times.iter().map(|t| t % table.nrows() + 1).collect();
            distance(&mlp::embedding(&table, &one_on).unwrap(), &one_hot(&times, table.nrows()).dot(&table), 1.0)
        });
    }

    #[test]
    fn bad_input() {
        for t in [0, 3] {
            let error = mlp::embedding(&array![[1.0], [2.0]], &[1, t]).unwrap_err();
            assert_eq!(error, Error::StepOutOfRange { t, timesteps: 2 });
        }
    }
}

mod embedding_backward {
    use super::*;

    /// The transposed one-hot rows times δ.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, "sums of up to 8 numbers").property(looked_up(), |(table, times, delta)| {
            let back = mlp::embedding_backward(table.nrows(), &times, &delta).unwrap();
            distance(&back, &one_hot(&times, table.nrows()).t().dot(&delta), 1.0)
        });
    }

    /// The slope of ⟨δ, rows⟩ by each number of the table.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference).bound(1e-11, "linear: roundings of sums up to 200 over 0.1").property(
            looked_up(),
            |(table, times, delta)| {
                let back = mlp::embedding_backward(table.nrows(), &times, &delta).unwrap();
                let slope = Array2::from_shape_fn(table.raw_dim(), |index| {
                    let told = |x: f64| {
                        let mut table = table.clone();
                        table[index] = x;
                        inner(&delta, &mlp::embedding(&table, &times).unwrap())
                    };
                    (told(0.1) - told(-0.1)) / 0.2
                });
                distance(&back, &slope, 1.0)
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-14, "as above").rejects(
            "the last of equal times wins",
            looked_up(),
            |(table, times, delta)| {
                let mut wrong = Array2::zeros(table.raw_dim());
                times.iter().zip(delta.rows()).for_each(|(&t, delta)| wrong.row_mut(t - 1).assign(&delta));
                distance(&wrong, &one_hot(&times, table.nrows()).t().dot(&delta), 1.0)
            },
        );
    }

    #[test]
    fn bad_input() {
        assert_eq!(
            mlp::embedding_backward(2, &[1, 2], &array![[1.0]]).unwrap_err(),
            Error::ShapeMismatch { name: "delta", expected: vec![2, 1], got: vec![1, 1] }
        );
        for t in [0, 3] {
            let error = mlp::embedding_backward(2, &[t], &array![[1.0]]).unwrap_err();
            assert_eq!(error, Error::StepOutOfRange { t, timesteps: 2 });
        }
    }
}

mod loss_gradient {
    use super::*;

    /// The loss is L_simple, and the gradient its slope by every number of the prediction.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-10, "quadratic, so that differences are exact but for roundings over 0.01")
            .property(pair(), |(eps_theta, eps)| {
                slopes(&eps_theta, &eps, mlp::loss_gradient(&eps, &eps_theta).unwrap().1)
            });
    }

    #[test]
    fn identity() {
        check!(Identity).bound(1e-15, "the same sum in another order").property(pair(), |(eps_theta, eps)| {
            let (loss, _) = mlp::loss_gradient(&eps, &eps_theta).unwrap();
            distance_of_numbers(loss, objective::l_simple(&eps, &eps_theta).unwrap(), 1e-3)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(FiniteDifference).bound(1e-10, "as above").rejects(
            "the factor 2/M forgotten",
            pair(),
            |(eps_theta, eps)| slopes(&eps_theta, &eps, &eps_theta - &eps),
        );
    }

    fn pair() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (1..5_usize, 1..4_usize).prop_flat_map(|(n, d)| (matrix(n, d), matrix(n, d)))
    }

    fn slopes(eps_theta: &Array2<f64>, eps: &Array2<f64>, gradient: Array2<f64>) -> f64 {
        let slope = Array2::from_shape_fn(eps.raw_dim(), |index| {
            let loss = |x: f64| {
                let mut moved = eps_theta.clone();
                moved[index] = x;
                mlp::loss_gradient(eps, &moved).unwrap().0
            };
            (loss(eps_theta[index] + 0.01) - loss(eps_theta[index] - 0.01)) / 0.02
        });
        distance(&gradient, &slope, 1.0)
    }

    #[test]
    fn bad_input() {
        let nothing = Array2::<f64>::zeros((0, 2));
        assert_eq!(mlp::loss_gradient(&nothing, &nothing).unwrap_err(), Error::Empty { name: "eps" });
        assert!(mlp::loss_gradient(&array![1.0], &array![1.0, 2.0]).is_err());
    }
}

mod linear_init {
    use super::*;

    /// Mean 0, variance 1/(3 in) and fourth moment 1/(5 in²): those of the uniform law on ±1/√in.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| moments(&all(&mlp::linear_init(40_000, 7, rng).unwrap()), 7.0));
    }

    /// None is beyond 1/√in, and the largest of 320,000 comes close.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-3, "the largest of n is short of it by about 2/n, ten times below this").cases(
            [1, 2, 3],
            |seed| {
                let bound = 1.0 / 7.0_f64.sqrt();
                let drawn = all(&mlp::linear_init(40_000, 7, &mut rng(seed, "linear_init")).unwrap());
                let largest = drawn.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
                if largest <= bound { 1.0 - largest / bound } else { f64::INFINITY }
            },
        );
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores(
            "the bound of a network whose ReLUs keep the variance, sqrt(6/in)",
            |rng| {
                let wider: Vec<f64> =
                    all(&mlp::linear_init(40_000, 7, rng).unwrap()).iter().map(|w| w * 6.0_f64.sqrt()).collect();
                moments(&wider, 7.0)
            },
        );
    }

    fn all((weight, bias): &(Array2<f64>, Array1<f64>)) -> Vec<f64> {
        weight.iter().chain(bias).copied().collect()
    }

    fn moments(drawn: &[f64], inputs: f64) -> Vec<f64> {
        let powers = |k: i32| drawn.iter().map(|w| w.powi(k)).collect::<Vec<f64>>();
        vec![
            z_score(&powers(1), 0.0),
            z_score(&powers(2), 1.0 / (3.0 * inputs)),
            z_score(&powers(4), 1.0 / (5.0 * inputs * inputs)),
        ]
    }

    #[test]
    fn shapes_and_bad_input() {
        let (weight, bias) = mlp::linear_init::<f32>(3, 4, &mut rng(0, "linear_init")).unwrap();
        assert_eq!((weight.dim(), bias.dim()), ((3, 4), 3));
        for (outputs, inputs) in [(0, 4), (3, 0)] {
            assert!(mlp::linear_init::<f64>(outputs, inputs, &mut rng(0, "linear_init")).is_err());
        }
    }
}

mod embedding_init {
    use super::*;

    /// The first four moments of N(0, 1).
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| moments(&mlp::embedding_init(1000, 300, rng).unwrap()));
    }

    /// The share of the numbers below x is the integral of the density up to x.
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(5e-3, MASSART).cases([seed("CHECK_SEED")], |seed| {
            by_density(mlp::embedding_init(1000, 1000, &mut rng(seed, "embedding_init by quadrature")).unwrap())
        });
    }

    const MASSART: &str =
        "a share of n = 10⁶ draws; a right table is further off less than once in 10²¹, 2 exp(−2nε²) (Massart 1990)";

    /// How far the two are apart at most, for x from −4 to 4.
    fn by_density(table: Array2<f64>) -> f64 {
        let mut sorted = table.into_raw_vec_and_offset().0;
        sorted.sort_by(f64::total_cmp);
        let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let apart = |x: f64| {
            let share = sorted.partition_point(|&drawn| drawn < x) as f64 / sorted.len() as f64;
            (share - integral(-10.0, x, 1000, density)).abs()
        };
        (-40..=40).map(|tenths| apart(f64::from(tenths) / 10.0)).fold(0.0, larger)
    }

    #[test]
    fn wrong_variant() {
        check!(MonteCarlo).rejects_z_scores("as small as the weights of a linear layer", |rng| {
            moments(&(mlp::embedding_init::<f64>(1000, 300, rng).unwrap() / 300.0_f64.sqrt()))
        });
    }

    fn moments(table: &Array2<f64>) -> Vec<f64> {
        let powers = |k: i32| table.iter().map(|x| x.powi(k)).collect::<Vec<f64>>();
        [0.0, 1.0, 0.0, 3.0].iter().zip(1..).map(|(&moment, k)| z_score(&powers(k), moment)).collect()
    }

    #[test]
    fn shapes_and_bad_input() {
        assert_eq!(mlp::embedding_init::<f32>(5, 2, &mut rng(0, "")).unwrap().dim(), (5, 2));
        assert_eq!(mlp::embedding_init::<f32>(0, 2, &mut rng(0, "")).unwrap_err(), Error::NoTimesteps);
    }
}

/// A small network, a batch for it, and the noise to predict.
#[derive(Debug, Clone)]
struct Case {
    net: MlpDiffusion<f64>,
    x: Array2<f64>,
    times: Vec<usize>,
    eps: Array2<f64>,
}

/// Widths 2, 3, 4, 2 and T = 3, with no ReLU so close to its kink that a difference would step over it.
fn small_network() -> impl Strategy<Value = Case> {
    let layers = ((matrix(3, 2), vector(3)), (matrix(4, 3), vector(4)), (matrix(2, 4), vector(2)));
    let tables = (matrix(3, 3), matrix(3, 4));
    let batch = (1..4_usize).prop_flat_map(|n| (matrix(n, 2), prop::collection::vec(1..=3_usize, n), matrix(n, 2)));
    let case = (layers, tables, batch).prop_map(|((a, b, c), tables, (x, times, eps))| {
        let linears = [a, b, c].map(|(weight, bias)| Linear { weight, bias }).into();
        Case { net: MlpDiffusion { linears, embeddings: vec![tables.0, tables.1] }, x, times, eps }
    });
    case.prop_filter("a ReLU near its kink", |case| by_loops(case, |a| a.max(0.0)).1 > 1e-2)
}

/// The network number by number: its predictions, and how close to 0 any ReLU's argument was.
fn by_loops(case: &Case, relu: impl Fn(f64) -> f64) -> (Array2<f64>, f64) {
    let (mut eps_theta, mut nearest) = (Array2::zeros((0, 2)), f64::INFINITY);
    for (x, &t) in case.x.rows().into_iter().zip(&case.times) {
        let mut h = x.to_vec();
        for (l, Linear { weight, bias }) in case.net.linears.iter().enumerate() {
            let sum = |j: usize| bias[j] + h.iter().enumerate().map(|(i, h)| weight[[j, i]] * h).sum::<f64>();
            let mut a: Vec<f64> = (0..bias.len()).map(sum).collect();
            if let Some(table) = case.net.embeddings.get(l) {
                a.iter_mut().enumerate().for_each(|(j, a)| *a += table[[t - 1, j]]);
                nearest = a.iter().fold(nearest, |nearest: f64, a| nearest.min(a.abs()));
                a.iter_mut().for_each(|a| *a = relu(*a));
            }
            h = a;
        }
        eps_theta.push_row(ndarray::aview1(&h)).unwrap();
    }
    (eps_theta, nearest)
}

/// The network 2, 4, 3, 2 with T = 4 whose parameters, numbered from 1 in PyTorch's order, are sin 1, sin 2, …, sin 63.
fn sines() -> Case {
    let mut net = MlpDiffusion::new(&[2, 4, 3, 2], 4, &mut rng(0, "sines")).unwrap();
    let numbers = net.tensors_mut().into_iter().flat_map(|tensor| tensor.into_iter());
    numbers.zip(1..).for_each(|(number, i)| *number = f64::from(i).sin());
    let x = array![[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5]];
    let eps = array![[1.0, 0.0], [-0.5, 0.5], [0.25, -2.0]];
    Case { net, x, times: vec![1, 4, 2], eps }
}

mod mlp_forward {
    use super::*;

    /// The network number by number.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "sums of 4 products, three layers deep").property(small_network(), |case| {
            let there = mlp::mlp_forward(&case.net, &case.x, &case.times).unwrap();
            distance(&there.eps_theta, &by_loops(&case, |a| a.max(0.0)).0, 100.0)
        });
    }

    /// Where every ReLU is open the network is a product of matrices, in which x and the biases are told apart by
    /// differences: ε_θ(x) − ε_θ(y) = (x − y) W_1ᵀ W_2ᵀ W_3ᵀ.
    #[test]
    fn limit() {
        check!(Limit).bound(1e-11, "differences of numbers up to 1e4 against results of about 10").property(
            small_network(),
            |case| {
                let mut open = case.net.clone();
                open.linears[0].bias.fill(100.0);
                open.linears[1].bias.fill(1e4);
                let predict = |x: &Array2<f64>| mlp::mlp_forward(&open, x, &case.times).unwrap().eps_theta;
                let product = open.linears.iter().fold(case.x.clone(), |h, linear| h.dot(&linear.weight.t()));
                distance(&(predict(&case.x) - predict(&(&case.x * 0.0))), &product, 100.0)
            },
        );
    }

    /// PyTorch 2.13 with the same weights, `nn.Linear` and `nn.Embedding` in f64.
    #[test]
    fn published() {
        check!(Published).bound(1e-14, "a few roundings").cases([()], |()| {
            let Case { net, x, times, .. } = sines();
            let expected = array![
                [-0.4011264255127426, 0.2630283343425678],
                [-0.4002233814963422, 0.5030846070800818],
                [-2.4092069846250737, 2.545437423794066]
            ];
            distance(&mlp::mlp_forward(&net, &x, &times).unwrap().eps_theta, &expected, 1.0)
        });
    }

    #[test]
    fn wrong_variant_no_time() {
        check!(Identity).bound(1e-13, "as above").rejects("the time never used", small_network(), |case| {
            let mut blind = case.net.clone();
            blind.embeddings.iter_mut().for_each(|table| table.fill(0.0));
            let there = mlp::mlp_forward(&blind, &case.x, &case.times).unwrap();
            distance(&there.eps_theta, &by_loops(&case, |a| a.max(0.0)).0, 100.0)
        });
    }

    #[test]
    fn wrong_variant_no_relu() {
        check!(Identity).bound(1e-13, "as above").rejects("no ReLU between the layers", small_network(), |case| {
            let there = mlp::mlp_forward(&case.net, &case.x, &case.times).unwrap();
            distance(&there.eps_theta, &by_loops(&case, |a| a).0, 100.0)
        });
    }

    /// Many rows at once are the same, bit for bit, as each alone.
    #[test]
    fn many_rows() {
        let net = MlpDiffusion::<f32>::new(&[2, 16, 8, 2], 10, &mut rng(0, "many_rows")).unwrap();
        for n in [0, 1, 255, 256, 257, 513, 1500, 2049] {
            let x = Array2::from_shape_fn((n, 2), |(i, j)| ((3 * i + j) % 17) as f32 / 5.0 - 1.5);
            let times: Vec<usize> = (0..n).map(|i| i % 10 + 1).collect();
            let at_once = net.forward(&x, &times).unwrap();
            assert_eq!(at_once.dim(), (n, 2));
            for i in 0..n {
                let row = x.row(i).insert_axis(ndarray::Axis(0)).to_owned();
                assert_eq!(net.forward(&row, &times[i..=i]).unwrap().row(0), at_once.row(i), "row {i} of {n}");
            }
        }
    }

    #[test]
    fn bad_input() {
        let net = MlpDiffusion::<f64>::new(&[2, 4, 2], 10, &mut rng(0, "bad_input")).unwrap();
        let one_time = Error::ShapeMismatch { name: "times", expected: vec![2], got: vec![1] };
        assert_eq!(net.forward(&array![[1.0, 2.0], [3.0, 4.0]], &[1]).unwrap_err(), one_time);
        assert!(matches!(net.forward(&array![[1.0]], &[1]), Err(Error::ShapeMismatch { name: "weight", .. })));
        let many = Array2::zeros((2000, 2));
        assert!(net.forward(&many, &[1; 1999]).is_err());
        for t in [0, 11] {
            let out_of_range = Error::StepOutOfRange { t, timesteps: 10 };
            assert_eq!(net.forward(&array![[1.0, 2.0]], &[t]).unwrap_err(), out_of_range);
            let mut times = vec![1; 2000];
            times[1999] = t;
            assert_eq!(net.forward(&many, &times).unwrap_err(), out_of_range);
        }
    }
}

mod mlp_backward {
    use super::*;

    /// The slope of the loss by every single parameter.
    #[test]
    fn finite_difference() {
        check!(FiniteDifference)
            .bound(1e-7, "losses up to 1e5, rounded by 1e-11 and divided by 1e-4, on gradients in units of 10")
            .property(small_network(), |case| slopes(&case, &gradient(&case)));
    }

    /// With neither biases nor tables the network is linear in each W_l, so that ⟨∂L/∂W_l, W_l⟩ = ⟨δ, ε_θ⟩ for every l.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "sums of up to 16 products, three layers deep").property(
            small_network(),
            |mut case| {
                case.net.linears.iter_mut().for_each(|linear| linear.bias.fill(0.0));
                case.net.embeddings.iter_mut().for_each(|table| table.fill(0.0));
                let there = mlp::mlp_forward(&case.net, &case.x, &case.times).unwrap();
                let (_, delta) = mlp::loss_gradient(&case.eps, &there.eps_theta).unwrap();
                let whole = inner(&delta, &there.eps_theta);
                let scale = inner(&delta.mapv(f64::abs), &there.eps_theta.mapv(f64::abs)) + 1.0;
                let layers = gradient(&case).linears.into_iter().zip(&case.net.linears);
                let shares = layers.map(|(gradient, linear)| inner(&gradient.weight, &linear.weight));
                shares.map(|share| distance_of_numbers(share, whole, 100.0 * scale)).fold(0.0, crate::support::larger)
            },
        );
    }

    /// PyTorch 2.13, `loss.backward()` for the mean squared error, in f64.
    #[test]
    fn published() {
        check!(Published).bound(1e-14, "a few dozen roundings").cases([()], |()| {
            let got = gradient(&sines());
            let [row_1, row_2] = [[0.0, 0.0, 0.0, 0.0], [2.0002811490998393, 0.0, 0.0, 0.0]];
            let table = array![row_1, row_2, row_1, [-0.005958413332246973, 0.0, 0.0, 0.00919436284417125]];
            let weight = array![
                [-0.398982818941027, -0.5385112085782956, -2.7921762739162967],
                [0.07489958392509544, 0.10165015396857766, 4.5416381869238265]
            ];
            let bias = array![-0.16194886922784507, 0.3367872010897969, 2.908093878277986];
            let first = array![
                [-1.5121276884893735, 2.9989321203166974],
                [0.0, 0.0],
                [0.0, 0.0],
                [0.0183887256883425, 0.0022985907110428124]
            ];
            distance(&got.embeddings[0], &table, 1.0)
                .max(distance(&got.linears[2].weight, &weight, 1.0))
                .max(distance(&got.linears[1].bias, &bias, 1.0))
                .max(distance(&got.linears[0].weight, &first, 1.0))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(FiniteDifference).bound(1e-7, "as above").rejects("no mask on the way back", small_network(), |case| {
            let open = {
                let mut there = mlp::mlp_forward(&case.net, &case.x, &case.times).unwrap();
                let (_, delta) = mlp::loss_gradient(&case.eps, &there.eps_theta).unwrap();
                // No mask: every activation counts as above 0. In a product, 1e-300 is nothing.
                there.h[1..].iter_mut().for_each(|h| h.mapv_inplace(|h| if h > 0.0 { h } else { 1e-300 }));
                mlp::mlp_backward(&case.net, &there, &case.times, &delta).unwrap()
            };
            slopes(&case, &open)
        });
    }

    fn gradient(case: &Case) -> MlpDiffusion<f64> {
        let there = mlp::mlp_forward(&case.net, &case.x, &case.times).unwrap();
        let (_, delta) = mlp::loss_gradient(&case.eps, &there.eps_theta).unwrap();
        mlp::mlp_backward(&case.net, &there, &case.times, &delta).unwrap()
    }

    fn slopes(case: &Case, gradient: &MlpDiffusion<f64>) -> f64 {
        let mut worst = 0.0_f64;
        for (tensor, (_, gradient)) in gradient.tensors().into_iter().enumerate() {
            for (index, &slope) in gradient.indexed_iter() {
                let loss = |moved: f64| {
                    let mut net = case.net.clone();
                    net.tensors_mut()[tensor][index.clone()] += moved;
                    let eps_theta = mlp::mlp_forward(&net, &case.x, &case.times).unwrap().eps_theta;
                    mlp::loss_gradient(&case.eps, &eps_theta).unwrap().0
                };
                worst = worst.max(distance_of_numbers(slope, derivative(0.0, 1e-4, loss), 10.0));
            }
        }
        worst
    }

    /// In f32, the gradient of the whole network is that in f64 but for roundings.
    #[test]
    fn single_precision() {
        let exact = MlpDiffusion::<f64>::new(&paper::CLASSIC_WIDTHS, 100, &mut rng(1, "single")).unwrap();
        let mut rounded = MlpDiffusion::<f32>::new(&paper::CLASSIC_WIDTHS, 100, &mut rng(1, "single")).unwrap();
        for (mut to, (_, from)) in rounded.tensors_mut().into_iter().zip(exact.tensors()) {
            to.assign(&from.mapv(|x| x as f32));
        }
        let case = Case {
            net: exact,
            x: Array2::from_shape_fn((128, 2), |(i, j)| ((7 * i + 3 * j) % 19) as f64 / 8.0 - 1.0),
            times: (0..128).map(|i| i % 100 + 1).collect(),
            eps: Array2::from_shape_fn((128, 2), |(i, j)| ((5 * i + j) % 23) as f64 / 9.0 - 1.2),
        };
        let there = mlp::mlp_forward(&rounded, &case.x.mapv(|x| x as f32), &case.times).unwrap();
        let (_, delta) = mlp::loss_gradient(&case.eps.mapv(|x| x as f32), &there.eps_theta).unwrap();
        let single = mlp::mlp_backward(&rounded, &there, &case.times, &delta).unwrap();
        for ((name, got), (_, want)) in single.tensors().iter().zip(gradient(&case).tensors()) {
            let size = want.iter().fold(0.0, |size: f64, g| size.max(g.abs()));
            assert!(distance(&got.mapv(f64::from), &want, size) < 1e-3, "{name}");
        }
    }

    #[test]
    fn bad_input() {
        let net = MlpDiffusion::<f64>::new(&[2, 4, 2], 10, &mut rng(0, "bad_input")).unwrap();
        let there = mlp::mlp_forward(&net, &array![[1.0, 2.0]], &[1]).unwrap();
        assert!(mlp::mlp_backward(&net, &there, &[1], &array![[1.0, 2.0, 3.0]]).is_err());
        assert!(mlp::mlp_backward(&net, &there, &[1, 2], &array![[1.0, 2.0]]).is_err());
        assert!(mlp::mlp_backward(&net, &there, &[11], &array![[1.0, 2.0]]).is_err());
    }
}

mod clip_grad_norm {
    use super::*;

    type Gradient = (Array1<f64>, Array1<f64>);

    /// Afterwards the norm is the smaller of the two, and the direction is what it was.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-6, "PyTorch divides by the norm plus 1e-6").property(case(), |case| {
            length_and_direction(case, |(mut a, mut b), max_norm| {
                mlp::clip_grad_norm(&mut [a.view_mut().into_dyn(), b.view_mut().into_dyn()], max_norm).unwrap();
                (a, b)
            })
        });
    }

    /// A gradient that is short enough is not touched.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "not touched").property((vector(3), 10.0..20.0), |(gradient, max_norm)| {
            let mut clipped = gradient.clone();
            let norm = mlp::clip_grad_norm(&mut [clipped.view_mut().into_dyn()], max_norm).unwrap();
            let root = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            distance(&clipped, &gradient, 1.0) + if (norm - root).abs() < 1e-12 { 0.0 } else { 1.0 }
        });
    }

    /// PyTorch 2.13, `clip_grad_norm_` with 2 on the tensors (3, 4) and (12).
    #[test]
    fn published() {
        check!(Published).bound(1e-15, "a few roundings").cases([()], |()| {
            let (mut a, mut b) = (array![3.0, 4.0], array![12.0]);
            let norm = mlp::clip_grad_norm(&mut [a.view_mut().into_dyn(), b.view_mut().into_dyn()], 2.0).unwrap();
            assert_eq!(norm, 13.0);
            let got = array![a[0], a[1], b[0]];
            distance(&got, &array![0.46153842603550577, 0.615384568047341, 1.846153704142023], 1.0)
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(2e-6, "as above").rejects("each tensor clipped by itself", case(), |case| {
            length_and_direction(case, |(a, b), max_norm| {
                let clipped = |g: Array1<f64>| {
                    let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
                    g * (max_norm / (norm + 1e-6)).min(1.0)
                };
                (clipped(a), clipped(b))
            })
        });
    }

    fn case() -> impl Strategy<Value = (Gradient, f64)> {
        let not_tiny = |g: &Gradient| g.0.iter().chain(&g.1).any(|g| g.abs() > 0.5);
        ((vector(2), vector(3)).prop_filter("a gradient of 0 has no direction", not_tiny), 0.5..5.0)
    }

    fn length_and_direction((gradient, max_norm): (Gradient, f64), clip: impl Fn(Gradient, f64) -> Gradient) -> f64 {
        let flat = |g: &Gradient| g.0.iter().chain(&g.1).copied().collect::<Array1<f64>>();
        let norm = |g: &Array1<f64>| g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let before = flat(&gradient);
        let after = flat(&clip(gradient, max_norm));
        let length = distance_of_numbers(norm(&after), norm(&before).min(max_norm), 1.0);
        length.max(distance(&(&after / norm(&after)), &(&before / norm(&before)), 1.0))
    }

    #[test]
    fn bad_input() {
        for max_norm in [0.0, -1.0, f64::NAN] {
            let mut gradient = array![1.0];
            assert!(mlp::clip_grad_norm(&mut [gradient.view_mut().into_dyn()], max_norm).is_err());
        }
    }
}

mod adam_step {
    use super::*;

    /// With the moments written out as sums over all gradients so far.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-12, "8 steps of a few roundings").property(case(), |case| {
            written_out(&case, |theta, g, m, v, k| {
                mlp::adam_step(theta, g, m, v, k, AdamSettings::kingma_ba(0.1).unwrap()).unwrap();
            })
        });
    }

    /// PyTorch 2.13, `optim.Adam` with lr 0.1 in f64, from (1, −2, 0.5, 3) with three gradients.
    #[test]
    fn published() {
        check!(Published).bound(1e-14, "a few roundings").cases([()], |()| {
            let gradients = [[0.3, -1.0, 1e-6, 0.0], [0.1, 2.0, -1e-6, 0.0], [-0.5, 0.25, 3e-6, 1e-9]];
            let (mut theta, mut m, mut v) = (array![1.0, -2.0, 0.5, 3.0], Array1::zeros(4), Array1::zeros(4));
            for (gradient, k) in gradients.into_iter().zip(1..) {
                let settings = AdamSettings::kingma_ba(0.1).unwrap();
                mlp::adam_step(&mut theta, &Array1::from(gradient.to_vec()), &mut m, &mut v, k, settings).unwrap();
            }
            distance(
                &theta,
                &array![0.8309310332981612, -1.9718369581894204, 0.3504352480495485, 2.996511473989783],
                1.0,
            )
        });
    }

    /// Where the gradient stays 0 the moments reach 0, and never linger among the subnormal numbers.
    #[test]
    fn no_subnormal_moments() {
        let (mut theta, mut m, mut v) = (array![1.0_f32], array![1e-3_f32], array![1e-37_f32]);
        let settings = AdamSettings::kingma_ba(0.1).unwrap();
        for k in 1..5000 {
            mlp::adam_step(&mut theta, &array![0.0], &mut m, &mut v, k, settings).unwrap();
            assert!(!m[0].is_subnormal() && !v[0].is_subnormal(), "after step {k}: {m}, {v}");
        }
        assert_eq!((m[0], v[0]), (0.0, 0.0));
        // The smallest normal number is kept.
        let (mut m, mut v) = (array![f64::MIN_POSITIVE / 0.9], array![f64::MIN_POSITIVE / 0.999 * (1.0 + 1e-15)]);
        m[0] *= 1.0 + 1e-15;
        mlp::adam_step(&mut array![1.0], &array![0.0], &mut m, &mut v, 1, settings).unwrap();
        assert!(m[0] >= f64::MIN_POSITIVE && v[0] >= f64::MIN_POSITIVE, "{m}, {v}");
        // What is not a number is not hidden.
        mlp::adam_step(&mut array![1.0], &array![f64::NAN], &mut m, &mut v, 1, settings).unwrap();
        assert!(m[0].is_nan() && v[0].is_nan());
    }

    /// Arrays that do not lie in order in memory move the same way.
    #[test]
    fn any_layout() {
        let numbers = |k: f64| Array2::from_shape_fn((3, 4), |(i, j)| (k * (1 + 4 * i + j) as f64).sin());
        let settings = AdamSettings::kingma_ba(0.1).unwrap();
        let (mut theta, mut m, mut v) = (numbers(1.0), numbers(2.0), numbers(3.0).mapv(f64::abs));
        let in_rows = |of: &Array2<f64>| of.t().as_standard_layout().into_owned();
        let (mut theta_t, mut m_t, mut v_t) = (in_rows(&theta), in_rows(&m), in_rows(&v));
        mlp::adam_step(&mut theta, &numbers(4.0), &mut m, &mut v, 3, settings).unwrap();
        let mut transposed = theta_t.view_mut().reversed_axes();
        assert!(!transposed.is_standard_layout());
        mlp::adam_step(
            &mut transposed,
            &numbers(4.0),
            &mut m_t.view_mut().reversed_axes(),
            &mut v_t.view_mut().reversed_axes(),
            3,
            settings,
        )
        .unwrap();
        assert_eq!((theta_t.t(), m_t.t(), v_t.t()), (theta.view(), m.view(), v.view()));
    }

    #[test]
    fn wrong_variant_no_correction() {
        check!(Identity).bound(1e-12, "as above").rejects(
            "the moments not corrected for their start at 0",
            case(),
            |case| {
                written_out(&case, |theta, g, m, v, _| {
                    mlp::adam_step(theta, g, m, v, 1_000_000, AdamSettings::kingma_ba(0.1).unwrap()).unwrap();
                })
            },
        );
    }

    #[test]
    fn wrong_variant_epsilon_in_the_root() {
        check!(Identity).bound(1e-12, "as above").rejects("epsilon inside the root", case(), |case| {
            written_out(&case, |theta, g, m, v, k| {
                let k = k as i32;
                *m = &*m * 0.9 + g * 0.1;
                *v = &*v * 0.999 + g.mapv(|g| g * g) * 0.001;
                let root = v.mapv(|v| (v / (1.0 - 0.999_f64.powi(k)) + 1e-8).sqrt());
                *theta -= &(&*m * (0.1 / (1.0 - 0.9_f64.powi(k))) / root);
            })
        });
    }

    type Case = (Array1<f64>, Vec<Array1<f64>>);

    fn case() -> impl Strategy<Value = Case> {
        (vector(3), prop::collection::vec(vector(3), 1..8))
    }

    fn written_out(
        (start, gradients): &Case,
        step: impl Fn(&mut Array1<f64>, &Array1<f64>, &mut Array1<f64>, &mut Array1<f64>, u64),
    ) -> f64 {
        let (mut theta, mut m, mut v) = (start.clone(), Array1::zeros(3), Array1::zeros(3));
        let mut expected = start.clone();
        for k in 1..=gradients.len() {
            step(&mut theta, &gradients[k - 1], &mut m, &mut v, k as u64);
            // A mean whose weights fall by β a step and add up to 1.
            let mean = |beta: f64, power: i32| {
                let weight = |i: usize| (1.0 - beta) * beta.powi((k - i) as i32) / (1.0 - beta.powi(k as i32));
                (1..=k)
                    .fold(Array1::<f64>::zeros(3), |sum, i| sum + gradients[i - 1].mapv(|g| g.powi(power)) * weight(i))
            };
            expected -= &(mean(0.9, 1) * 0.1 / (mean(0.999, 2).mapv(f64::sqrt) + 1e-8));
        }
        distance(&theta, &expected, 1.0)
    }

    #[test]
    fn bad_input() {
        let settings = AdamSettings::kingma_ba(0.1).unwrap();
        let zeros = |n| Array1::<f64>::zeros(n);
        let step = |g, m, v, k| mlp::adam_step(&mut zeros(2), &zeros(g), &mut zeros(m), &mut zeros(v), k, settings);
        assert!(step(2, 2, 2, 1).is_ok());
        assert!(matches!(step(1, 2, 2, 1), Err(Error::ShapeMismatch { name: "gradient", .. })));
        assert!(matches!(step(2, 1, 2, 1), Err(Error::ShapeMismatch { name: "m", .. })));
        assert!(matches!(step(2, 2, 1, 1), Err(Error::ShapeMismatch { name: "v", .. })));
        assert!(step(2, 2, 2, 0).is_err());
        for lr in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(AdamSettings::kingma_ba(lr).is_err());
        }
        let wrong = [
            AdamSettings { lr: 0.0, ..settings },
            AdamSettings { epsilon: 0.0, ..settings },
            AdamSettings { beta_1: 1.0, ..settings },
            AdamSettings { beta_1: -0.1, ..settings },
            AdamSettings { beta_2: 1.0, ..settings },
            AdamSettings { beta_2: f64::NAN, ..settings },
        ];
        for settings in wrong {
            let moved =
                mlp::adam_step(&mut zeros(1), &zeros(1), &mut zeros(1), &mut zeros(1), 1, settings).unwrap_err();
            assert!(matches!(moved, Error::OutOfRange { .. }), "{settings:?}");
        }
    }
}

mod ema_update {
    use super::*;

    /// After k steps: μ^k θ̄_0 + (1 − μ) Σ μ^{k−i} θ_i.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, "8 steps of a few roundings").property(case(), |case| {
            written_out(&case, |average, theta, decay| mlp::ema_update(average, theta, decay).unwrap())
        });
    }

    /// With μ = 1 nothing moves, with μ = 0 the average is the last θ.
    #[test]
    fn limit() {
        check!(Limit).bound(0.0, "products with 0 and 1").property((vector(3), vector(3)), |(start, theta)| {
            let (mut stays, mut goes) = (start.clone(), start.clone());
            mlp::ema_update(&mut stays, &theta, 1.0).unwrap();
            mlp::ema_update(&mut goes, &theta, 0.0).unwrap();
            distance(&stays, &start, 1.0).max(distance(&goes, &theta, 1.0))
        });
    }

    #[test]
    fn wrong_variant() {
        check!(Identity).bound(1e-13, "as above").rejects("the two weights swapped", case(), |case| {
            written_out(&case, |average, theta, decay| mlp::ema_update(average, theta, 1.0 - decay).unwrap())
        });
    }

    type Case = (Array1<f64>, Vec<Array1<f64>>, f64);

    fn case() -> impl Strategy<Value = Case> {
        (vector(3), prop::collection::vec(vector(3), 1..8), 0.0..1.0)
    }

    fn written_out((start, thetas, decay): &Case, update: impl Fn(&mut Array1<f64>, &Array1<f64>, f64)) -> f64 {
        let mut average = start.clone();
        thetas.iter().for_each(|theta| update(&mut average, theta, *decay));
        let k = thetas.len();
        let shares = thetas.iter().zip(1..).map(|(theta, i)| theta * ((1.0 - decay) * decay.powi((k - i) as i32)));
        let expected = shares.fold(start * decay.powi(k as i32), |sum, share| sum + share);
        distance(&average, &expected, 1.0)
    }

    #[test]
    fn bad_input() {
        assert!(mlp::ema_update(&mut array![1.0], &array![1.0, 2.0], 0.5).is_err());
        for decay in [-0.1, 1.1, f64::NAN] {
            assert!(mlp::ema_update(&mut array![1.0], &array![1.0], decay).is_err());
        }
    }
}

/// The network as a whole: its size, its names, its files.
mod network {
    use super::*;

    #[test]
    fn size_and_names() {
        let net = MlpDiffusion::<f32>::new(&paper::CLASSIC_WIDTHS, 100, &mut rng(0, "network")).unwrap();
        assert_eq!((net.parameters(), net.timesteps()), (72_066, 100));
        let names: Vec<String> = net.tensors().into_iter().map(|(name, _)| name).collect();
        let layers = [0, 2, 4, 6].iter().flat_map(|i| [format!("linears.{i}.weight"), format!("linears.{i}.bias")]);
        let expected: Vec<String> = layers.chain((0..3).map(|i| format!("step_embeddings.{i}.weight"))).collect();
        assert_eq!(names, expected);
        assert_eq!(net.zeros_like().tensors().iter().map(|(_, tensor)| tensor.sum()).sum::<f32>(), 0.0);
        assert_eq!(net.zeros_like().parameters(), 72_066);
    }

    #[test]
    fn bad_input() {
        let new = |widths: &[usize], timesteps| MlpDiffusion::<f32>::new(widths, timesteps, &mut rng(0, "network"));
        assert!(matches!(new(&[2, 2], 10), Err(Error::OutOfRange { .. })));
        assert!(matches!(new(&[2, 0, 2], 10), Err(Error::OutOfRange { .. })));
        assert_eq!(new(&[2, 4, 2], 0), Err(Error::NoTimesteps));
    }

    /// Its fields are open, so that what does not fit together is an error and not a panic.
    #[test]
    fn parts_that_do_not_fit() {
        let net = MlpDiffusion::<f64>::new(&[2, 3, 3, 2], 4, &mut rng(0, "network")).unwrap();
        let (x, delta) = (array![[1.0, 2.0]], array![[1.0, 1.0]]);
        let there = mlp_forward(&net, &x, &[1]).unwrap();
        let fails = |change: fn(&mut MlpDiffusion<f64>)| {
            let mut wrong = net.clone();
            change(&mut wrong);
            let many = Array2::zeros((300, 2));
            assert_eq!(wrong.forward(&many, &[1; 300]).unwrap_err(), wrong.forward(&x, &[1]).unwrap_err());
            wrong.forward(&x, &[1]).unwrap_err()
        };
        assert_eq!(fails(|net| net.linears.clear()), Error::Empty { name: "linears" });
        let one_table = Error::ShapeMismatch { name: "embeddings", expected: vec![2], got: vec![1] };
        assert_eq!(fails(|net| net.embeddings.truncate(1)), one_table);
        let narrow = Error::ShapeMismatch { name: "the rows of a table", expected: vec![1, 3], got: vec![1, 1] };
        assert_eq!(fails(|net| net.embeddings[1] = Array2::zeros((4, 1))), narrow);
        assert!(matches!(fails(|net| net.linears[1].weight = Array2::zeros((3, 2))), Error::ShapeMismatch { .. }));

        let mut fewer = net.clone();
        fewer.embeddings.truncate(1);
        assert_eq!(mlp_backward(&fewer, &there, &[1], &delta).unwrap_err(), one_table);
        let mut short = there.clone();
        short.h.pop();
        let layers = Error::ShapeMismatch { name: "h", expected: vec![3], got: vec![2] };
        assert_eq!(mlp_backward(&net, &short, &[1], &delta).unwrap_err(), layers);
        assert_eq!(MlpDiffusion::<f64> { linears: vec![], embeddings: vec![] }.timesteps(), 0);
    }

    #[test]
    fn load_changes_all_or_nothing() {
        let mut net = MlpDiffusion::<f64>::new(&[2, 3, 2], 4, &mut rng(0, "network")).unwrap();
        let other = MlpDiffusion::<f64>::new(&[2, 3, 2], 4, &mut rng(1, "network")).unwrap();
        let find =
            |name: &str| other.tensors().into_iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor.to_owned());
        let before = net.clone();
        let missing = net.load(|name| (name != "step_embeddings.0.weight").then(|| find(name)).flatten()).unwrap_err();
        let name = "step_embeddings.0.weight".to_owned();
        assert_eq!(missing, Error::NamedArray { name, expected: vec![4, 3], got: None });
        let misshapen = net.load(|_| Some(ArrayD::zeros(vec![1]))).unwrap_err();
        assert!(matches!(misshapen, Error::NamedArray { got: Some(got), .. } if got == [1]));
        assert_eq!(net, before);
        net.load(find).unwrap();
        assert_eq!(net, other);
    }
}

/// The state of a training run.
mod trainer {
    use super::*;

    fn batch(seed: u64) -> (Array2<f64>, Vec<usize>, Array2<f64>) {
        let draw = |rng: &mut ChaCha8Rng| mlp::embedding_init::<f64>(8, 2, rng).unwrap();
        let rng = &mut rng(seed, "batch");
        (draw(rng), vec![1, 2, 3, 4, 4, 3, 2, 1], draw(rng))
    }

    fn new(decay: Option<f64>) -> Trainer<f64> {
        let net = MlpDiffusion::new(&[2, 16, 2], 4, &mut rng(0, "trainer")).unwrap();
        Trainer::new(net, AdamSettings::kingma_ba(1e-2).unwrap(), 1.0, decay).unwrap()
    }

    fn step(trainer: &mut Trainer<f64>, seed: u64) -> f64 {
        let (x, times, eps) = batch(seed);
        trainer.step(&x, &times, &eps).unwrap()
    }

    /// Three steps of PyTorch 2.13's loop: forward, backward, `clip_grad_norm_` at 1, `optim.Adam` with lr 0.1, in f64.
    #[test]
    fn trains_as_pytorch() {
        let Case { net, x, times, eps } = sines();
        let mut trainer = Trainer::new(net, AdamSettings::kingma_ba(0.1).unwrap(), 1.0, None).unwrap();
        for expected in [4.962447869007403, 2.6309151651527634, 1.4938922566618276] {
            let loss = trainer.step(&x, &times, &eps).unwrap();
            assert!(distance_of_numbers(loss, expected, 1.0) < 1e-13, "got {loss}, want {expected}");
        }
        let bias = &trainer.net.linears[2].bias;
        assert!(distance(bias, &array![0.8200937942335548, -0.7285346823362441], 1.0) < 1e-13, "{bias}");
    }

    #[test]
    fn bad_input() {
        let net = || MlpDiffusion::<f64>::new(&[2, 3, 2], 4, &mut rng(0, "trainer")).unwrap();
        let adam = AdamSettings::kingma_ba(0.1).unwrap();
        for (max_norm, decay) in [(0.0, None), (f64::NAN, None), (1.0, Some(1.1)), (1.0, Some(f64::NAN))] {
            assert!(matches!(Trainer::new(net(), adam, max_norm, decay), Err(Error::OutOfRange { .. })));
        }
        let mut trainer = Trainer::new(net(), adam, 1.0, Some(0.0)).unwrap();
        trainer.adam.lr = f64::NAN;
        let before = trainer.arrays();
        assert!(trainer.step(&array![[1.0, 2.0]], &[1], &array![[0.0, 0.0]]).is_err());
        assert_eq!((trainer.steps(), trainer.arrays()), (0, before));
    }

    /// A step is forward, backward, clip, Adam and average, one after the other.
    #[test]
    fn step_is_the_sum_of_its_parts() {
        let mut trainer = new(Some(0.9));
        let (mut theta, mut average) = (trainer.net.clone(), trainer.net.clone());
        let (mut m, mut v) = (theta.zeros_like(), theta.zeros_like());
        for k in 1..=5 {
            let (x, times, eps) = batch(k);
            let there = mlp_forward(&theta, &x, &times).unwrap();
            let (loss, delta) = loss_gradient(&eps, &there.eps_theta).unwrap();
            let mut gradient = mlp_backward(&theta, &there, &times, &delta).unwrap();
            mlp::clip_grad_norm(&mut gradient.tensors_mut(), 1.0).unwrap();
            let moments = m.tensors_mut().into_iter().zip(v.tensors_mut());
            for (((mut theta, (_, g)), (mut m, mut v)), mut average) in
                theta.tensors_mut().into_iter().zip(gradient.tensors()).zip(moments).zip(average.tensors_mut())
            {
                mlp::adam_step(&mut theta, &g, &mut m, &mut v, k, AdamSettings::kingma_ba(1e-2).unwrap()).unwrap();
                mlp::ema_update(&mut average, &theta, 0.9).unwrap();
            }
            assert_eq!(step(&mut trainer, k), loss);
            assert_eq!(trainer.steps(), k);
        }
        for (got, want) in [(&trainer.net, &theta), (trainer.average.as_ref().unwrap(), &average)] {
            for ((name, got), (_, want)) in got.tensors().iter().zip(want.tensors()) {
                assert!(distance(got, &want, 1.0) < 1e-14, "{name}");
            }
        }
    }

    /// Loading what was saved goes on to the same result, bit for bit.
    #[test]
    fn resumes_bit_for_bit() {
        let mut whole = new(Some(0.99));
        (1..=3).for_each(|k| assert!(step(&mut whole, k).is_finite()));
        let saved = whole.arrays();
        let find = |name: &str| saved.iter().find(|(n, _)| n == name).map(|(_, array)| array.clone());
        let mut resumed = new(Some(0.99));
        resumed.load(3, find).unwrap();
        assert_eq!(resumed, whole);
        (4..=6).for_each(|k| assert_eq!(step(&mut whole, k), step(&mut resumed, k)));
        assert_eq!(resumed, whole);
        assert_eq!(new(None).arrays().len() * 4 / 3, saved.len());
    }

    /// Where an array is missing or the loss is no number, nothing has changed.
    #[test]
    fn fails_without_a_trace() {
        let mut trainer = new(Some(0.99));
        step(&mut trainer, 1);
        let before = trainer.clone();
        let saved = trainer.arrays();
        let all_but_one = |name: &str| {
            let found = saved.iter().find(|(n, _)| n == name && !n.starts_with("adam.v.step"));
            found.map(|(_, array)| array.clone())
        };
        assert!(matches!(trainer.load(7, all_but_one), Err(Error::NamedArray { .. })));
        assert_eq!(trainer, before);
        let (mut x, times, eps) = batch(2);
        x[[0, 0]] = f64::NAN;
        let error = trainer.step(&x, &times, &eps).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { name: "the loss", .. }), "{error}");
        assert_eq!(trainer, before);
        x[[0, 0]] = 1e200;
        assert!(trainer.step(&x, &times, &eps).is_err());
        assert_eq!(trainer, before);
    }
}
