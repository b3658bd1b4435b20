//! How good the samples are: distances between two sets of points, neither of which comes with a density.
//!
//! No distance is 0 for two independent sets of points of one law. So a distance means something only beside the
//! same distance between fresh data and fresh data.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use crate::error::{Error, Result, same_shape};

/// The squared energy distance between two sets of points.
///
/// All pairs count, a point with itself among them (the V-statistic). So the result is never below 0, and it is 0 only
/// where each point has the same share in both sets. Two sets of n and m points of one law are (1/n + 1/m) · E‖X − X′‖ apart on average.
///
/// # Formula
/// D²(x, y) = (2/nm) Σ_i Σ_j ‖x_i − y_j‖ − (1/n²) Σ_i Σ_j ‖x_i − x_j‖ − (1/m²) Σ_i Σ_j ‖y_i − y_j‖   (slug `energy_distance`)
/// # Shapes
/// `x`: (n, d); `y`: (m, d), one point a row
/// # Errors
/// [`Error::Empty`] where there are no points; [`Error::ShapeMismatch`] where d differs
/// # Source
/// Székely, Rizzo 2013, with means over the points for the expectations
/// # Examples
/// ```
/// use literate_diffusion::evaluation::energy_distance;
/// use ndarray::array;
/// let square = energy_distance(&array![[0.0, 0.0]], &array![[3.0, 4.0], [3.0, 4.0]])?;
/// assert_eq!(square, 10.0); // two lumps at a distance of 5
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: energy_distance
pub fn energy_distance(x: &ArrayRef2<f64>, y: &ArrayRef2<f64>) -> Result<f64> {
    not_empty("x", x)?;
    not_empty("y", y)?;
    same_columns("y", x.ncols(), y)?;
    let square = 2.0 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y);
    Ok(square.clamp(0.0, f64::INFINITY)) // rounding may carry it a little below 0
}
// ANCHOR_END: energy_distance

/// The Wasserstein distance W_2 between two sets of as many numbers.
///
/// Of all ways to carry the numbers of x to those of y, one by one, it takes the one with the least mean squared way: the
/// smallest to the smallest, and so on upwards.
///
/// # Formula
/// W_2(x, y) = √[(1/n) Σ_i (x_(i) − y_(i))²], x_(1) ≤ ⋯ ≤ x_(n) the numbers of x in order                      (slug `wasserstein`)
/// # Shapes
/// `x`, `y`: n
/// # Errors
/// [`Error::Empty`] where there are no numbers; [`Error::ShapeMismatch`] where there are not as many in `y` as in `x`
/// # Source
/// Peyré, Cuturi 2019
/// # Examples
/// ```
/// use literate_diffusion::evaluation::wasserstein;
/// use ndarray::array;
/// assert_eq!(wasserstein(&array![1.0, 2.0], &array![5.0, 4.0])?, 3.0);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: wasserstein
pub fn wasserstein(x: &ArrayRef1<f64>, y: &ArrayRef1<f64>) -> Result<f64> {
    if x.is_empty() {
        return Err(Error::Empty { name: "x" });
    }
    same_shape("y", x, y)?;
    let squares = (sorted(x) - sorted(y)).mapv(|d| d * d);
    Ok((squares.sum() / x.len() as f64).sqrt())
}
// ANCHOR_END: wasserstein

/// Directions in the plane, spread evenly over half a turn: a direction and its opposite see the same.
///
/// # Formula
/// θ_l = (cos(π l/L), sin(π l/L)), l = 0, …, L − 1                      (slug `directions`)
/// # Shapes
/// result: (L, 2), one direction a row
/// # Source
/// Bonneel, Rabin, Peyré, Pfister 2015, with even directions for random ones
/// # Examples
/// ```
/// let two = literate_diffusion::evaluation::directions(2);
/// assert!((two[[0, 0]] - 1.0).abs() < 1e-15 && (two[[1, 1]] - 1.0).abs() < 1e-15);
/// ```
// ANCHOR: directions
pub fn directions(count: usize) -> Array2<f64> {
    Array2::from_shape_fn((count, 2), |(l, i)| {
        let angle = PI * l as f64 / count as f64;
        if i == 0 { angle.cos() } else { angle.sin() }
    })
}
// ANCHOR_END: directions

/// The sliced Wasserstein distance between two sets of as many points: W_2 of their shadows, over all directions.
///
/// # Formula
/// SW_2(x, y) = √[(1/L) Σ_l W_2(x·θ_l, y·θ_l)²]                      (slug `sliced_wasserstein`)
/// # Shapes
/// `x`, `y`: (n, d), one point a row; `directions`: (L, d), one unit vector a row
/// # Errors
/// [`Error::Empty`] where there are no points or no directions; [`Error::ShapeMismatch`] where the shapes do not fit;
/// [`Error::OutOfRange`] where a direction is not of length 1
/// # Source
/// Bonneel, Rabin, Peyré, Pfister 2015
/// # Examples
/// ```
/// use literate_diffusion::evaluation::{directions, sliced_wasserstein};
/// use ndarray::array;
/// let distance = sliced_wasserstein(&array![[0.0, 0.0]], &array![[3.0, 4.0]], &directions(8))?;
/// assert!((distance - (25.0_f64 / 2.0).sqrt()).abs() < 1e-12); // a shadow keeps half of a squared length
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: sliced_wasserstein
pub fn sliced_wasserstein(x: &ArrayRef2<f64>, y: &ArrayRef2<f64>, directions: &ArrayRef2<f64>) -> Result<f64> {
    not_empty("x", x)?;
    same_shape("y", x, y)?;
    not_empty("directions", directions)?;
    same_columns("directions", x.ncols(), directions)?;
    let mut squares = 0.0;
    for direction in directions.rows() {
        let length = direction.dot(&direction).sqrt();
        let is_unit = (length - 1.0).abs() <= 1e-9;
        if !is_unit {
            return Err(Error::OutOfRange { name: "the length of a direction", expected: "1", got: length });
        }
        squares += wasserstein(&x.dot(&direction), &y.dot(&direction))?.powi(2);
    }
    Ok((squares / directions.nrows() as f64).sqrt())
}
// ANCHOR_END: sliced_wasserstein

/// Mean and covariance of points, which is all that the Fréchet distance sees of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Moments {
    /// Those of a Gaussian.
    ///
    /// # Shapes
    /// `mean`: d; `covariance`: (d, d)
    /// # Errors
    /// [`Error::Empty`] where d = 0; [`Error::ShapeMismatch`] where the shapes do not fit; [`Error::OutOfRange`] where the
    /// covariance is not symmetric, or has a variance below 0 in some direction, by more than 1e-9 of d times its trace in
    /// the sum over all entries
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self> {
        not_empty("the covariance", &covariance)?;
        let expected = vec![mean.len(), mean.len()];
        if covariance.shape() != expected {
            return Err(Error::ShapeMismatch { name: "the covariance", expected, got: covariance.shape().to_vec() });
        }
        let factor = factor(&covariance);
        let off = (factor.dot(&factor.t()) - &covariance).abs().sum() + mean.sum() * 0.0;
        let is_covariance = off <= 1e-9 * covariance.diag().sum() * mean.len() as f64;
        if !is_covariance {
            let expected = "0: it is symmetric, finite and without negative variances";
            return Err(Error::OutOfRange { name: "the distance of the covariance from one", expected, got: off });
        }
        Ok(Self { mean, covariance })
    }

    /// Those of a sample; the covariance is divided by n − 1.
    ///
    /// # Shapes
    /// `points`: (n, d), one point a row
    /// # Errors
    /// [`Error::Empty`] where there are no points; [`Error::OutOfRange`] for a single one, and where a number is not finite
    pub fn of(points: &ArrayRef2<f64>) -> Result<Self> {
        not_empty("points", points)?;
        if points.nrows() == 1 {
            return Err(Error::OutOfRange { name: "the number of points", expected: "2 or more", got: 1.0 });
        }
        let n = points.nrows() as f64;
        let mean = points.sum_axis(Axis(0)) / n;
        let off = points.to_owned() - &mean;
        let covariance = off.t().dot(&off) / (n - 1.0);
        Self::new(mean, covariance)
    }
}

/// The squared Fréchet distance of two Gaussians: the least mean squared way from x to y, over all ways to draw both together.
///
/// With any F_A F_Aᵀ = A and F_B F_Bᵀ = B, the trace of the root is the sum of the singular values of F_Aᵀ F_B. So no root of
/// a difference is drawn, where rounding would be worst.
///
/// Of two finite samples of one law it is above 0, and falls like 1/n: compare only samples of one size.
///
/// # Formula
/// F² = ‖m_A − m_B‖² + tr A + tr B − 2 tr (A^½ B A^½)^½                      (slug `frechet_distance`)
/// # Shapes
/// `a`, `b`: moments in d dimensions
/// # Errors
/// [`Error::ShapeMismatch`] where d differs
/// # Source
/// Dowson, Landau 1982
/// # Examples
/// ```
/// use literate_diffusion::evaluation::{Moments, frechet_distance};
/// use ndarray::array;
/// let a = Moments::new(array![0.0], array![[1.0]])?;
/// let b = Moments::new(array![3.0], array![[4.0]])?;
/// assert_eq!(frechet_distance(&a, &b)?, 10.0); // (0 − 3)² + (√1 − √4)²
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: frechet_distance
pub fn frechet_distance(a: &Moments, b: &Moments) -> Result<f64> {
    same_shape("the other mean", &a.mean, &b.mean)?;
    let of_means = (&a.mean - &b.mean).pow2().sum();
    let of_roots = lengths(&perpendicular(&factor(&a.covariance).t().dot(&factor(&b.covariance)))).sum();
    Ok(of_means + a.covariance.diag().sum() + b.covariance.diag().sum() - 2.0 * of_roots)
}
// ANCHOR_END: frechet_distance

/// F with F Fᵀ = A, for a covariance A: its columns, turned until they are perpendicular, are λ_i v_i, and F has √λ_i v_i.
// ANCHOR: factor
fn factor(covariance: &ArrayRef2<f64>) -> Array2<f64> {
    let columns = perpendicular(covariance);
    let scale = lengths(&columns).mapv(|length| if length > 0.0 { 1.0 / length.sqrt() } else { 0.0 });
    columns * scale
}
// ANCHOR_END: factor

/// Turns pairs of columns in their plane until all are perpendicular (Jacobi's method). Their lengths are then the singular
/// values of the matrix, since a turn of the columns is an orthogonal matrix on its right.
// ANCHOR: perpendicular
fn perpendicular(matrix: &ArrayRef2<f64>) -> Array2<f64> {
    let mut columns: Vec<Vec<f64>> = matrix.columns().into_iter().map(|column| column.to_vec()).collect();
    for _ in 0..MOST_SWEEPS {
        let mut turned = false;
        for i in 1..columns.len() {
            let (before, rest) = columns.split_at_mut(i);
            before.iter_mut().for_each(|other| turned |= turn(&mut rest[0], other));
        }
        if !turned {
            break;
        }
    }
    Array2::from_shape_fn(matrix.dim(), |(row, column)| columns[column][row])
}

/// Makes two vectors perpendicular by a turn in their plane. False where they were so already, up to rounding.
fn turn(x: &mut [f64], y: &mut [f64]) -> bool {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let (xx, yy, xy) = (dot(x, x), dot(y, y), dot(x, y));
    let is_apart = xy.abs() > 1e-15 * (xx * yy).sqrt();
    if !is_apart {
        return false;
    }
    let (sin, cos) = (0.5 * (2.0 * xy).atan2(xx - yy)).sin_cos();
    x.iter_mut().zip(y).for_each(|(x, y)| (*x, *y) = (cos * *x + sin * *y, cos * *y - sin * *x));
    true
}
// ANCHOR_END: perpendicular

/// How often all pairs are turned at most; ten is usual.
const MOST_SWEEPS: usize = 60;

/// The length of each column.
fn lengths(matrix: &ArrayRef2<f64>) -> Array1<f64> {
    matrix.pow2().sum_axis(Axis(0)).sqrt()
}

/// The mean of ‖x_i − y_j‖ over all pairs.
fn mean_distance(x: &ArrayRef2<f64>, y: &ArrayRef2<f64>) -> f64 {
    // Lay y out a coordinate at a time and keep one sum for each y_j, so that the loops over j have no order to keep.
    let columns: Vec<Vec<f64>> = y.columns().into_iter().map(|column| column.to_vec()).collect();
    let mut sums = vec![0.0; y.nrows()];
    let mut squares = vec![0.0; y.nrows()];
    for point in x.rows() {
        squares.fill(0.0);
        for (coordinate, column) in point.iter().zip(&columns) {
            squares.iter_mut().zip(column).for_each(|(square, y)| *square += (coordinate - y) * (coordinate - y));
        }
        sums.iter_mut().zip(&squares).for_each(|(sum, square)| *sum += square.sqrt());
    }
    sums.iter().sum::<f64>() / (x.nrows() * y.nrows()) as f64
}

fn sorted(x: &ArrayRef1<f64>) -> Array1<f64> {
    let mut numbers = x.to_vec();
    numbers.sort_by(f64::total_cmp);
    Array1::from_vec(numbers)
}

fn not_empty(name: &'static str, array: &ArrayRef2<f64>) -> Result<()> {
    if array.is_empty() { Err(Error::Empty { name }) } else { Ok(()) }
}

fn same_columns(name: &'static str, columns: usize, got: &ArrayRef2<f64>) -> Result<()> {
    if got.ncols() == columns {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name, expected: vec![got.nrows(), columns], got: got.shape().to_vec() })
}
