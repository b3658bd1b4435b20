//! How good the samples are: distances between two sets of points, neither of which comes with a density.
//!
//! Neither distance is 0 for two independent sets of points of one law. So a distance means something only beside the
//! same distance between fresh data and fresh data.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::error::{Error, Result, same_shape};

/// The squared energy distance between two sets of points.
///
/// All pairs count, a point with itself among them (the V-statistic). So the result is never below 0, and it is 0 only
/// where the two sets are one. Two sets of n and m points of one law are (1/n + 1/m) · E‖X − X′‖ apart on average.
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
    Ok(2.0 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y))
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
/// Peyré, Cuturi 2019, eq. 2.33
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
