//! The one fast routine: a product of two `f32` matrices, written for the sizes of this network.
//!
//! Nearly all the work of training is in six products of 128×128 matrices a step. Two things make a product fast. Both are
//! about how often a number is fetched for how many multiplications.
//!
//! - **Registers.** A tile of 4 rows and 4 vectors of the result (2 where there are few registers) stays in registers while the sum runs over k. For each k it fetches 4 numbers of `a` and 4 vectors of `b`, and does 16 vector multiply-adds with them.
//! - **Cache.** The columns of `b` that a tile needs are copied once, in the order in which they are read (a *panel*), so
//!   that they lie aligned and side by side while all rows of `a` go past them.
//!
//! The vectors are those of the processor that the program runs on, chosen at run time by the crate `pulp`: 16 numbers
//! with AVX-512, 8 with AVX2, 4 with NEON, 1 elsewhere. The sum over k is taken in the same order whatever the size of
//! the tile, so that an element of the result does not depend on how many rows the matrices have.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use pulp::{Arch, Simd, WithSimd, bytemuck};

/// c = a · b. Matrices with gaps in memory are left to ndarray.
pub(super) fn matmul_into(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, mut c: ArrayViewMut2<'_, f32>) {
    let (rows, inner, columns) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!((inner, c.dim()), (b.nrows(), (rows, columns)), "the shapes do not fit together");
    match (Strided::of(a), Strided::of(b), c.as_slice_mut()) {
        (Some(a), Some(b), Some(c)) => {
            Arch::new().dispatch(Product { a, b, c, rows, inner, columns });
        }
        _ => general_mat_mul(1.0, &a, &b, 0.0, &mut c),
    }
}

/// Does some work with the widest vectors that the processor has.
#[inline]
pub(super) fn widely(work: impl FnOnce()) {
    Arch::new().dispatch(work);
}

/// A matrix in memory without gaps: element (i, j) at i · row + j · column.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Strided<'a> {
    /// None where rows or columns do not lie side by side.
    fn of(matrix: ArrayView2<'a, f32>) -> Option<Self> {
        let (rows, columns) = matrix.dim();
        if let Some(data) = matrix.to_slice() {
            return Some(Self { data, row: columns, column: 1 });
        }
        matrix.reversed_axes().to_slice().map(|data| Self { data, row: 1, column: rows })
    }
}

struct Product<'a> {
    a: Strided<'a>,
    b: Strided<'a>,
    c: &'a mut [f32],
    rows: usize,
    inner: usize,
    columns: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut from = 0;
        while from < self.columns {
            let left = self.columns - from;
            // 4 × 4 sums, 4 vectors of b and a number of a fit into 32 registers, 4 × 2 sums into 16.
            from += match S::REGISTER_COUNT {
                _ if left <= S::F32_LANES => self.columns::<S, 8, 1>(simd, from),
                32.. => self.columns::<S, 4, 4>(simd, from),
                _ => self.columns::<S, 4, 2>(simd, from),
            };
        }
    }
}

impl Product<'_> {
    /// Computes up to `VECTORS` vectors of columns, and says how many columns that were.
    #[inline(always)]
    fn columns<S: Simd, const ROWS: usize, const VECTORS: usize>(&mut self, simd: S, from: usize) -> usize {
        let width = (VECTORS * S::F32_LANES).min(self.columns - from);
        let panel = self.panel::<S, VECTORS>(simd, from, width);
        for i in (0..self.rows).step_by(ROWS) {
            let tile = self.tile::<S, ROWS, VECTORS>(simd, i, &panel);
            for (i, sums) in (i..self.rows).zip(tile) {
                let to = &mut self.c[i * self.columns + from..][..width];
                to.copy_from_slice(&bytemuck::cast_slice(&sums)[..width]);
            }
        }
        width
    }

    /// Copies some columns of b, for each k side by side.
    #[inline(always)]
    fn panel<S: Simd, const VECTORS: usize>(&self, simd: S, from: usize, width: usize) -> Vec<S::f32s> {
        let Strided { data, row, column } = self.b;
        let mut panel = vec![simd.splat_f32s(0.0); self.inner * VECTORS];
        let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut panel);
        let stride = VECTORS * S::F32_LANES;
        if column == 1 {
            for (k, to) in numbers.chunks_exact_mut(stride).enumerate() {
                to[..width].copy_from_slice(&data[k * row + from..][..width]);
            }
        } else {
            for j in 0..width {
                let column = &data[(from + j) * column..][..self.inner];
                numbers[j..].iter_mut().step_by(stride).zip(column).for_each(|(to, &b)| *to = b);
            }
        }
        panel
    }

    /// The sums over k of `ROWS` rows of a, from row i on, times a panel. Past the last row it repeats that row.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        i: usize,
        panel: &[S::f32s],
    ) -> [[S::f32s; VECTORS]; ROWS] {
        let Strided { data, row, column } = self.a;
        let rows: [usize; ROWS] = std::array::from_fn(|r| (i + r).min(self.rows - 1) * row);
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (k, b) in panel.chunks_exact(VECTORS).enumerate() {
            for r in 0..ROWS {
                let a = simd.splat_f32s(data[rows[r] + k * column]);
                for v in 0..VECTORS {
                    sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use pulp::Scalar;

    use super::*;

    /// Most processors never take the way without vectors, which has the small tiles of one with 16 registers.
    #[test]
    fn without_vectors() {
        for (rows, inner, columns) in [(1, 1, 1), (3, 5, 2), (4, 7, 3), (9, 16, 12), (13, 4, 17)] {
            let a = Array2::from_shape_fn((rows, inner), |(i, j)| ((1 + i + 7 * j) as f32).sin());
            let b = Array2::from_shape_fn((inner, columns), |(i, j)| ((2 + 5 * i + j) as f32).cos());
            let mut c = Array2::from_elem((rows, columns), f32::NAN);
            let [from, by] = [&a, &b].map(|matrix| Strided::of(matrix.view()).unwrap());
            let to = c.as_slice_mut().unwrap();
            Scalar::new().vectorize(Product { a: from, b: by, c: to, rows, inner, columns });
            let error = (&c - &a.dot(&b)).fold(0.0_f32, |worst, d| worst.max(d.abs()));
            // Each sum of at most 16 products below 1 is rounded 16 times, here and there.
            assert!(error <= 32.0 * 16.0 * f32::EPSILON, "{rows}×{inner}×{columns}: off by {error}");
        }
    }
}
