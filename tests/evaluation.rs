//! Checks of chapter 11, the distances between two sets of points: one module an equation, named by its slug.

mod support;

use std::f64::consts::PI;

use literate_diffusion::evaluation::{self, Moments, directions};
use literate_diffusion::{Error, Result};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView1, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use support::{check, distance_of_numbers, integral, larger, z_score};

/// Numbers of ordinary size, some of them equal.
fn numbers(count: usize) -> impl Strategy<Value = Array1<f64>> {
    let number = prop_oneof![4 => -4.0..4.0, 1 => (-2..=2).prop_map(f64::from)];
    prop::collection::vec(number, count).prop_map(Array1::from)
}

/// (n, d) points.
fn points(count: usize, d: usize) -> impl Strategy<Value = Array2<f64>> {
    let shape = (count, d);
    numbers(count * d).prop_map(move |numbers| numbers.into_shape_with_order(shape).expect("count · d numbers"))
}

mod energy_distance {
    use super::*;

    const WHY: &str = "a few hundred terms up to 10";

    /// In one dimension it is 2 ∫ (F − G)², F and G the shares of the points below.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(5e-14, WHY)
            .property(two_sets(1), |case| against_distribution_functions(case, evaluation::energy_distance));
    }

    /// In the plane, ‖v‖ is π/2 times the mean of |v·θ| over all directions, so it is that mean of the one-dimensional
    /// distances.
    #[test]
    fn quadrature() {
        check!(Quadrature)
            .bound(1e-4, "1,000 directions, where |cos| has a corner: (π/1000)² times the length of the v, 10")
            .property(two_sets(2), |(x, y)| {
                let mean = integral(0.0, PI, 1000, |angle| {
                    let direction = array![angle.cos(), angle.sin()];
                    evaluation::energy_distance(&shadow(&x, &direction), &shadow(&y, &direction)).unwrap()
                }) / PI;
                (evaluation::energy_distance(&x, &y).unwrap() - 0.5 * PI * mean).abs()
            });
    }

    /// The distance of x and x is 0, that of two lumps twice the way between them, and none is below 0.
    #[test]
    fn limit() {
        check!(Limit).bound(5e-14, WHY).property(two_sets(3), |(x, y)| {
            let [lump_x, lump_y] = [&x, &y].map(|points| points.slice_axis(Axis(0), (0..1).into()).to_owned());
            let repeated = ndarray::concatenate(Axis(0), &[lump_x.view(), lump_x.view()]).unwrap();
            let way = (&lump_x - &lump_y).pow2().sum().sqrt();
            let lumps = evaluation::energy_distance(&repeated, &lump_y).unwrap();
            let below_0 = -evaluation::energy_distance(&x, &y).unwrap();
            let itself = evaluation::energy_distance(&x, &x).unwrap().abs();
            [(lumps - 2.0 * way).abs(), below_0, itself].into_iter().fold(0.0, larger)
        });
    }

    /// Gaussian points in the plane: ‖X − Y‖ has the mean √(π/2) · std of a coordinate of X − Y.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| of_gaussians(rng, |x, y| evaluation::energy_distance(x, y).unwrap()));
    }

    #[test]
    fn wrong_variant_u_statistic() {
        check!(MonteCarlo).rejects_z_scores("a point not paired with itself", |rng| {
            of_gaussians(rng, |x, y| {
                let own = |x: &Array2<f64>| mean_distance(x, x) * x.nrows() as f64 / (x.nrows() - 1) as f64;
                2.0 * mean_distance(x, y) - own(x) - own(y)
            })
        });
    }

    #[test]
    fn wrong_variant_no_2() {
        check!(Identity).bound(5e-14, WHY).rejects("the pairs of x and y counted once", two_sets(1), |case| {
            against_distribution_functions(case, |x, y| {
                Ok(mean_distance(x, y) - 0.5 * mean_distance(x, x) - 0.5 * mean_distance(y, y))
            })
        });
    }

    #[test]
    fn wrong_variant_squares() {
        check!(Identity).bound(5e-14, WHY).rejects(
            "squared distances, which see only the means",
            two_sets(1),
            |case| {
                against_distribution_functions(case, |x, y| {
                    let off = x.mean_axis(Axis(0)).unwrap() - y.mean_axis(Axis(0)).unwrap();
                    Ok(2.0 * off.pow2().sum())
                })
            },
        );
    }

    #[test]
    fn wrong_variant_root() {
        check!(Identity).bound(5e-14, WHY).rejects("the root of it", two_sets(1), |case| {
            against_distribution_functions(case, |x, y| Ok(evaluation::energy_distance(x, y)?.sqrt()))
        });
    }

    /// The same points in another order are at no distance, and rounding does not carry it below 0.
    #[test]
    fn another_order() {
        let [x, y] = [array![[0.1], [0.2], [0.3]], array![[0.1], [0.3], [0.2]]];
        assert_eq!(evaluation::energy_distance(&x, &y), Ok(0.0));
        assert!(evaluation::energy_distance(&array![[f64::NAN]], &y).unwrap().is_nan());
    }

    fn two_sets(d: usize) -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (1..=8_usize, 1..=8_usize).prop_flat_map(move |(n, m)| (points(n, d), points(m, d)))
    }

    fn shadow(points: &Array2<f64>, direction: &Array1<f64>) -> Array2<f64> {
        points.dot(direction).insert_axis(Axis(1))
    }

    fn mean_distance(x: &ArrayRef2<f64>, y: &ArrayRef2<f64>) -> f64 {
        let pairs = x.rows().into_iter().flat_map(|x| y.rows().into_iter().map(move |y| (&x - &y).pow2().sum().sqrt()));
        pairs.sum::<f64>() / (x.nrows() * y.nrows()) as f64
    }

    fn against_distribution_functions(
        (x, y): (Array2<f64>, Array2<f64>),
        energy_distance: impl Fn(&ArrayRef2<f64>, &ArrayRef2<f64>) -> Result<f64>,
    ) -> f64 {
        let mut places: Vec<f64> = x.iter().chain(&y).copied().collect();
        places.sort_by(f64::total_cmp);
        let share = |of: &Array2<f64>, place: f64| of.iter().filter(|x| **x <= place).count() as f64 / of.len() as f64;
        let piece = |ends: &[f64]| (share(&x, ends[0]) - share(&y, ends[0])).powi(2) * (ends[1] - ends[0]);
        let area: f64 = places.windows(2).map(piece).sum();
        (energy_distance(&x, &y).unwrap() - 2.0 * area).abs()
    }

    fn of_gaussians(rng: &mut ChaCha8Rng, energy_distance: impl Fn(&Array2<f64>, &Array2<f64>) -> f64) -> Vec<f64> {
        let score = |(n, m, std): (usize, usize, f64)| {
            let distances: Vec<f64> = (0..1000)
                .map(|_| {
                    let x = Array2::random_using((n, 2), StandardNormal, rng);
                    let y = Array2::random_using((m, 2), StandardNormal, rng) * std;
                    energy_distance(&x, &y)
                })
                .collect();
            let mean = |variance: f64| (0.5 * PI * variance).sqrt();
            let own = |count: usize, std: f64| (1.0 - 1.0 / count as f64) * mean(2.0 * std * std);
            z_score(&distances, 2.0 * mean(1.0 + std * std) - own(n, 1.0) - own(m, std))
        };
        [(20, 20, 1.0), (20, 30, 1.0), (40, 20, 2.0)].map(score).into()
    }

    #[test]
    fn bad_input() {
        let some = array![[1.0, 2.0]];
        let none = Array2::zeros((0, 2));
        assert_eq!(evaluation::energy_distance(&none, &some), Err(Error::Empty { name: "x" }));
        assert_eq!(evaluation::energy_distance(&some, &none), Err(Error::Empty { name: "y" }));
        assert_eq!(
            evaluation::energy_distance(&some, &Array2::zeros((3, 1))),
            Err(Error::ShapeMismatch { name: "y", expected: vec![3, 2], got: vec![3, 1] })
        );
    }
}

mod wasserstein {
    use super::*;

    const WHY: &str = "a dozen roundings of terms up to 64";

    /// The least over all ways to pair the numbers.
    #[test]
    fn identity() {
        check!(Identity)
            .bound(1e-14, WHY)
            .property(two_sets(), |case| against_all_pairings(case, evaluation::wasserstein));
    }

    /// x moved by b is |b| away, and x stretched by a is |a − 1| times its root mean square away from x (a ≥ 0).
    #[test]
    fn limit() {
        let cases = (numbers(6), -4.0..4.0, 0.0..4.0);
        check!(Limit).bound(1e-14, "a dozen roundings of numbers up to 16").property(cases, |(x, b, a)| {
            let to = |y: &Array1<f64>| evaluation::wasserstein(&x, y).unwrap();
            let stretched = f64::abs(a - 1.0) * x.pow2().mean().unwrap().sqrt();
            distance_of_numbers(to(&(&x + b)), f64::abs(b), 1.0).max(distance_of_numbers(to(&(&x * a)), stretched, 1.0))
        });
    }

    #[test]
    fn wrong_variant_order() {
        rejects("the numbers left in their order", |x, y| Ok((x - y).pow2().mean().unwrap().sqrt()));
    }

    #[test]
    fn wrong_variant_w1() {
        rejects("W_1 for W_2", |x, y| {
            let [x, y] = [x, y].map(|x| {
                let mut numbers = x.to_vec();
                numbers.sort_by(f64::total_cmp);
                Array1::from(numbers)
            });
            Ok((x - y).abs().mean().unwrap())
        });
    }

    #[test]
    fn wrong_variant_root() {
        rejects("no root", |x, y| Ok(evaluation::wasserstein(x, y)?.powi(2)));
    }

    fn two_sets() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
        (1..=5_usize).prop_flat_map(|n| (numbers(n), numbers(n)))
    }

    fn rejects(mistake: &str, wasserstein: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>) -> Result<f64>) {
        check!(Identity)
            .bound(1e-14, WHY)
            .rejects(mistake, two_sets(), |case| against_all_pairings(case, &wasserstein));
    }

    fn against_all_pairings(
        (x, y): (Array1<f64>, Array1<f64>),
        wasserstein: impl Fn(&ArrayRef1<f64>, &ArrayRef1<f64>) -> Result<f64>,
    ) -> f64 {
        let least = least_cost(x.as_slice().unwrap(), &y.to_vec()) / x.len() as f64;
        (wasserstein(&x, &y).unwrap() - least.sqrt()).abs()
    }

    /// The least Σ (x_i − y_π(i))² over all permutations π.
    fn least_cost(x: &[f64], y: &[f64]) -> f64 {
        let Some((first, others)) = x.split_first() else { return 0.0 };
        let cost = |j: usize| {
            let rest = [&y[..j], &y[j + 1..]].concat();
            (first - y[j]).powi(2) + least_cost(others, &rest)
        };
        (0..y.len()).map(cost).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn bad_input() {
        let none = Array1::zeros(0);
        assert_eq!(evaluation::wasserstein(&none, &none), Err(Error::Empty { name: "x" }));
        assert_eq!(
            evaluation::wasserstein(&array![1.0, 2.0], &array![1.0]),
            Err(Error::ShapeMismatch { name: "y", expected: vec![2], got: vec![1] })
        );
    }
}

mod directions {
    use super::*;

    /// Σ θ θᵀ/L = I/2: no direction is preferred. And neighbours are π/L apart, the first along x.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-14, WHY).property(2..100_usize, |count| unevenness(evaluation::directions(count)));
    }

    #[test]
    fn shape() {
        assert_eq!([0, 1, 5].map(|count| evaluation::directions(count).dim()), [(0, 2), (1, 2), (5, 2)]);
    }

    /// Each angle comes back.
    #[test]
    fn round_trip() {
        check!(RoundTrip)
            .bound(1e-14, "roundings of numbers up to π")
            .property(1..100_usize, |count| off_the_angles(evaluation::directions(count)));
    }

    #[test]
    fn wrong_variant_whole_turn() {
        check!(RoundTrip).bound(1e-14, "as above").rejects("spread over a whole turn", 1..100_usize, |count| {
            off_the_angles(at_angles(count, |l| 2.0 * PI * l as f64 / count as f64))
        });
    }

    #[test]
    fn wrong_variant_both_ends() {
        check!(Identity).bound(1e-14, WHY).rejects("the first direction again as the last", 2..100_usize, |count| {
            unevenness(at_angles(count, |l| PI * l as f64 / (count - 1) as f64))
        });
    }

    const WHY: &str = "roundings of numbers up to 1, a hundred of them averaged";

    fn at_angles(count: usize, angle: impl Fn(usize) -> f64) -> Array2<f64> {
        Array2::from_shape_fn((count, 2), |(l, i)| if i == 0 { angle(l).cos() } else { angle(l).sin() })
    }

    fn off_the_angles(directions: Array2<f64>) -> f64 {
        let step = PI / directions.nrows() as f64;
        let angles = directions.rows().into_iter().map(|direction| direction[1].atan2(direction[0]));
        angles.enumerate().fold(0.0, |worst, (l, angle)| larger(worst, (angle - step * l as f64).abs()))
    }

    fn unevenness(directions: Array2<f64>) -> f64 {
        let mean = directions.t().dot(&directions) / directions.nrows() as f64;
        (mean - Array2::<f64>::eye(2) * 0.5).abs().into_iter().fold(0.0, larger)
    }
}

mod sliced_wasserstein {
    use super::*;

    const WHY: &str = "a hundred roundings of numbers up to 10";

    /// Points moved by b are ‖b‖/√2 away, since a direction sees ½ ‖b‖² of it on average.
    #[test]
    fn identity() {
        check!(Identity).bound(2e-14, WHY).property(moved(), |case| {
            against_the_move(case, |x, y, along| evaluation::sliced_wasserstein(x, y, along).unwrap())
        });
    }

    /// Two points ±a and two points ±b, an angle φ apart. With |cos| known at every angle, the mean over all directions is
    /// ½ (a² + b²) − (2ab/π) (sin φ + (π/2 − φ) cos φ).
    #[test]
    fn quadrature() {
        check!(Quadrature).bound(1e-4, "1,000 directions, where |cos| has a corner: (π/1000)² times 10").property(
            (0.1..3.0, 0.1..3.0, 0.0..0.5 * PI),
            |(a, b, angle): (f64, f64, f64)| {
                let x = array![[a, 0.0], [-a, 0.0]];
                let y = array![[-1.0], [1.0]].dot(&array![[b * angle.cos(), b * angle.sin()]]);
                let together = (angle.sin() + (0.5 * PI - angle) * angle.cos()) / PI;
                let square = 0.5 * (a * a + b * b) - 2.0 * a * b * together;
                let distance = evaluation::sliced_wasserstein(&x, &y, &directions(1000)).unwrap();
                (distance.powi(2) - square).abs()
            },
        );
    }

    /// With one direction, along a coordinate, it is W_2 of that coordinate, whatever the number of dimensions.
    #[test]
    fn limit() {
        let cases = (1..=6_usize, 1..=3_usize).prop_flat_map(|(n, d)| (points(n, d), points(n, d), 0..d));
        check!(Limit).bound(1e-15, "a square and its root").property(cases, |(x, y, i)| {
            let along = Array2::eye(x.ncols()).select(Axis(0), &[i]);
            let distance = evaluation::sliced_wasserstein(&x, &y, &along).unwrap();
            let [x, y] = [x, y].map(|points| points.column(i).to_owned());
            distance_of_numbers(distance, evaluation::wasserstein(&x, &y).unwrap(), 1.0)
        });
    }

    #[test]
    fn wrong_variant_mean_of_roots() {
        check!(Identity).bound(2e-14, WHY).rejects(
            "the mean of W_2, not the root of the mean of its square",
            moved(),
            |case| {
                against_the_move(case, |x, y, along| {
                    let one = |direction: ArrayView1<f64>| {
                        evaluation::wasserstein(&x.dot(&direction), &y.dot(&direction)).unwrap()
                    };
                    along.rows().into_iter().map(one).sum::<f64>() / along.nrows() as f64
                })
            },
        );
    }

    #[test]
    fn wrong_variant_sum() {
        check!(Identity).bound(2e-14, WHY).rejects("a sum over the directions", moved(), |case| {
            against_the_move(case, |x, y, along| {
                evaluation::sliced_wasserstein(x, y, along).unwrap() * (along.nrows() as f64).sqrt()
            })
        });
    }

    type Move = (Array2<f64>, f64, f64, usize);

    fn moved() -> impl Strategy<Value = Move> {
        (1..=6_usize).prop_flat_map(|n| (points(n, 2), -4.0..4.0, -4.0..4.0, 2..40_usize))
    }

    fn against_the_move(
        (x, b_x, b_z, count): Move,
        distance: impl Fn(&Array2<f64>, &Array2<f64>, &Array2<f64>) -> f64,
    ) -> f64 {
        // Turned upside down, since the order of the points must not matter.
        let mut y = &x + &array![[b_x, b_z]];
        y.invert_axis(Axis(0));
        (distance(&x, &y, &directions(count)) - b_x.hypot(b_z) / 2.0_f64.sqrt()).abs()
    }

    #[test]
    fn bad_input() {
        let (two, none) = (Array2::<f64>::ones((2, 2)), Array2::<f64>::zeros((0, 2)));
        let along = directions(3);
        let distance = evaluation::sliced_wasserstein;
        assert_eq!(distance(&none, &none, &along), Err(Error::Empty { name: "x" }));
        assert_eq!(distance(&two, &two, &none), Err(Error::Empty { name: "directions" }));
        assert_eq!(
            distance(&two, &Array2::ones((3, 2)), &along),
            Err(Error::ShapeMismatch { name: "y", expected: vec![2, 2], got: vec![3, 2] })
        );
        assert_eq!(
            distance(&two, &two, &Array2::ones((3, 1))),
            Err(Error::ShapeMismatch { name: "directions", expected: vec![3, 2], got: vec![3, 1] })
        );
        for length in [0.0, 0.999, 1.001, f64::NAN] {
            let error = distance(&two, &two, &array![[length, 0.0]]).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { name: "the length of a direction", .. }));
        }
    }
}

mod frechet_distance {
    use super::*;

    const WHY: &str = "a few hundred roundings, relative to the traces";

    /// Gaussian x, stretched by a symmetric T of positive eigenvalues and moved by b: y = T x + b. No way from x to y is
    /// shorter than this one, so that the distance is ‖m_y − m_x‖² + tr((T − I) A (T − I)), and no root is in it.
    #[test]
    fn identity() {
        check!(Identity).bound(1e-13, WHY).property(stretched(), |case| against_the_stretch(case, distance));
    }

    /// Covariances along the axes: each coordinate by itself, (√a − √b)². Some of the variances are 0.
    #[test]
    fn limit() {
        let variance = || prop_oneof![4 => 0.0..9.0, 1 => Just(0.0)];
        let cases = (1..=5_usize).prop_flat_map(move |d| {
            let variances = move || prop::collection::vec(variance(), d).prop_map(Array1::from);
            (numbers(d), numbers(d), variances(), variances())
        });
        check!(Limit).bound(1e-13, "a dozen roundings, relative to the traces").property(cases, |(m, n, a, b)| {
            let want = (&m - &n).pow2().sum() + (a.sqrt() - b.sqrt()).pow2().sum();
            let moments = |mean: &Array1<f64>, variances: &Array1<f64>| {
                Moments::new(mean.clone(), Array2::from_diag(variances)).unwrap()
            };
            let got = evaluation::frechet_distance(&moments(&m, &a), &moments(&n, &b)).unwrap();
            distance_of_numbers(got, want, 1.0 + a.sum() + b.sum())
        });
    }

    /// The mean of ‖x − (T x + b)‖² over draws of x.
    #[test]
    fn monte_carlo() {
        check!(MonteCarlo).z_scores(|rng| of_draws(rng, distance));
    }

    /// It does not see which comes first, nor a turn of both, here by 0.7, nor the unit of length, here 2⁴⁰ times longer.
    #[test]
    fn round_trip() {
        check!(RoundTrip).bound(1e-13, WHY).property(stretched(), |case| {
            let Stretched { x, y, .. } = case.sets();
            let mut turn = Array2::eye(x.ncols());
            let (sin, cos) = 0.7_f64.sin_cos();
            turn.assign(&array![[cos, -sin], [sin, cos]]);
            let there = distance(&x, &y);
            let scale = 1.0 + there.abs() + trace(&x) + trace(&y);
            let turned = distance(&y.dot(&turn), &x.dot(&turn));
            let unit = 2.0_f64.powi(40);
            let in_units = distance(&(&x / unit), &(&y / unit)) * unit.powi(2);
            larger((turned - there).abs(), (in_units - there).abs()) / scale
        });
    }

    #[test]
    fn wrong_variant_product_of_roots() {
        check!(Identity).bound(1e-13, WHY).rejects(
            "tr(A^½ B^½), right only where A and B commute",
            stretched(),
            |case| {
                against_the_stretch(case, |x, y| {
                    let roots = root_in_the_plane(&covariance(x)).dot(&root_in_the_plane(&covariance(y)));
                    of_means(x, y) + trace(x) + trace(y) - 2.0 * roots.diag().sum()
                })
            },
        );
    }

    #[test]
    fn wrong_variant_no_2() {
        check!(Identity).bound(1e-13, WHY).rejects("the root's trace counted once", stretched(), |case| {
            against_the_stretch(case, |x, y| 0.5 * (distance(x, y) + of_means(x, y) + trace(x) + trace(y)))
        });
    }

    #[test]
    fn wrong_variant_root() {
        check!(MonteCarlo).rejects_z_scores("the root of it", |rng| of_draws(rng, |x, y| distance(x, y).sqrt()));
    }

    #[test]
    fn wrong_variant_second_moments() {
        check!(MonteCarlo).rejects_z_scores("second moments for covariances", |rng| {
            of_draws(rng, |x, y| {
                let about_0 = |points: &Array2<f64>| {
                    let moments = points.t().dot(points) / (points.nrows() - 1) as f64;
                    Moments::new(points.mean_axis(Axis(0)).unwrap(), moments).unwrap()
                };
                evaluation::frechet_distance(&about_0(x), &about_0(y)).unwrap()
            })
        });
    }

    /// The twin, which takes its roots from eigenvectors and its singular values from LAPACK.
    #[cfg(feature = "torch")]
    #[test]
    fn torch() {
        use literate_diffusion::torch::evaluation::{Moments as TwinMoments, frechet_distance as twin};
        use literate_diffusion::torch::tch::Kind;
        use support::torch::tensor;
        let cases = (2..=6_usize, 1..=6_usize, 2..=20_usize).prop_flat_map(|(n, d, m)| (points(n, d), points(m, d)));
        let why = "a thousand roundings, and in the twin the root of an eigenvalue that is 0 up to 2⁻⁵²: 2⁻²⁶";
        check!(Torch).bound(2e-7, why).property(cases, |(x, y)| {
            let twins = [&x, &y].map(|points| TwinMoments::of(&tensor(points, Kind::Double)).unwrap());
            (distance(&x, &y) - twin(&twins[0], &twins[1]).unwrap()).abs() / (1.0 + trace(&x) + trace(&y))
        });
    }

    /// Points of the plane, a symmetric T = 0.1 S Sᵀ + 0.3 I, and a move.
    #[derive(Debug, Clone)]
    struct Case {
        points: Array2<f64>,
        root: Array2<f64>,
        b: Array1<f64>,
    }

    struct Stretched {
        x: Array2<f64>,
        y: Array2<f64>,
        way: f64,
    }

    impl Case {
        fn sets(&self) -> Stretched {
            // Away from 0, where a rounding of 2⁻⁵² of a variance is one of 2⁻²⁶ of its root.
            let stretch = self.root.dot(&self.root.t()) * 0.1 + Array2::<f64>::eye(2) * 0.3;
            let y = self.points.dot(&stretch) + &self.b;
            let off = self.points.dot(&stretch) - &self.points;
            let way = of_means(&self.points, &y) + trace(&off);
            Stretched { x: self.points.clone(), y, way }
        }
    }

    fn stretched() -> impl Strategy<Value = Case> {
        (2..=9_usize, points(2, 2), numbers(2))
            .prop_flat_map(|(n, root, b)| (points(n, 2), Just(root), Just(b)))
            .prop_map(|(points, root, b)| Case { points, root, b })
    }

    fn against_the_stretch(case: Case, distance: impl Fn(&Array2<f64>, &Array2<f64>) -> f64) -> f64 {
        let Stretched { x, y, way } = case.sets();
        (distance(&x, &y) - way).abs() / (1.0 + way + trace(&x) + trace(&y))
    }

    fn distance(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
        evaluation::frechet_distance(&Moments::of(x).unwrap(), &Moments::of(y).unwrap()).unwrap()
    }

    fn of_means(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
        (x.mean_axis(Axis(0)).unwrap() - y.mean_axis(Axis(0)).unwrap()).pow2().sum()
    }

    fn covariance(points: &Array2<f64>) -> Array2<f64> {
        let off = points - &points.mean_axis(Axis(0)).unwrap();
        off.t().dot(&off) / (points.nrows() - 1) as f64
    }

    fn trace(points: &Array2<f64>) -> f64 {
        points.var_axis(Axis(0), 1.0).sum()
    }

    /// (A + √det A · I) / √(tr A + 2 √det A).
    fn root_in_the_plane(a: &Array2<f64>) -> Array2<f64> {
        let root = (a[[0, 0]] * a[[1, 1]] - a[[0, 1]] * a[[1, 0]]).max(0.0).sqrt();
        let scale = (a.diag().sum() + 2.0 * root).sqrt().max(f64::MIN_POSITIVE);
        (a + Array2::<f64>::eye(2) * root) / scale
    }

    /// Three dimensions: 2,000 draws of x, whose moments are those of the sample, and y = T x + b.
    fn of_draws(rng: &mut ChaCha8Rng, distance: impl Fn(&Array2<f64>, &Array2<f64>) -> f64) -> Vec<f64> {
        let one = |[b_1, b_2, b_3]: [f64; 3], rng: &mut ChaCha8Rng| {
            let mix = array![[1.0, 0.0, 0.0], [0.7, 1.3, 0.0], [-0.4, 0.2, 0.5]];
            let stretch = array![[1.5, 0.4, 0.0], [0.4, 0.7, -0.2], [0.0, -0.2, 1.0]];
            let mut draw = || Array2::random_using((2000, 3), StandardNormal, rng).dot(&mix) + 1.0;
            let to = |x: &Array2<f64>| x.dot(&stretch) + &array![b_1, b_2, b_3];
            let (x, fresh) = (draw(), draw());
            let ways = (to(&fresh) - &fresh).pow2().sum_axis(Axis(1));
            let of_sample = (to(&x) - &x).pow2().sum_axis(Axis(1));
            // The distance is that of x's own moments, the ways are those of fresh draws: both vary, and alike.
            let differences: Vec<f64> = ways.iter().zip(&of_sample).map(|(fresh, own)| fresh - own).collect();
            let mean = of_sample.mean().unwrap();
            z_score(&differences.iter().map(|d| d + mean).collect::<Vec<_>>(), distance(&x, &to(&x)))
        };
        [[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.0, 3.0, 0.0]].map(|b| one(b, rng)).into()
    }

    #[test]
    fn bad_input() {
        let unit = || Moments::new(array![0.0], array![[1.0]]).unwrap();
        let two = Moments::of(&array![[1.0, 2.0], [0.0, 5.0]]).unwrap();
        assert_eq!(
            evaluation::frechet_distance(&unit(), &two),
            Err(Error::ShapeMismatch { name: "the other mean", expected: vec![1], got: vec![2] })
        );
        assert_eq!(Moments::of(&Array2::zeros((0, 2))), Err(Error::Empty { name: "points" }));
        assert_eq!(Moments::new(array![], Array2::zeros((0, 0))), Err(Error::Empty { name: "the covariance" }));
        assert!(matches!(Moments::of(&array![[1.0, 2.0]]), Err(Error::OutOfRange { got: 1.0, .. })));
        assert!(matches!(Moments::of(&array![[1.0], [f64::NAN]]), Err(Error::OutOfRange { .. })));
        assert_eq!(
            Moments::new(array![0.0, 1.0], array![[1.0]]),
            Err(Error::ShapeMismatch { name: "the covariance", expected: vec![2, 2], got: vec![1, 1] })
        );
        for covariance in [
            array![[1.0, 2.0], [2.0, 1.0]],
            array![[1.0, 0.5], [0.0, 1.0]],
            array![[-1.0, 0.0], [0.0, 1.0]],
            array![[1.0, 0.0], [0.0, f64::INFINITY]],
        ] {
            assert!(matches!(Moments::new(array![0.0, 0.0], covariance), Err(Error::OutOfRange { .. })));
        }
        assert!(matches!(Moments::new(array![f64::NAN], array![[1.0]]), Err(Error::OutOfRange { .. })));
        // One point twice has no spread, and that is no error.
        let lump = Moments::of(&array![[2.0], [2.0]]).unwrap();
        assert_eq!(evaluation::frechet_distance(&unit(), &lump).unwrap(), 5.0);
    }
}
