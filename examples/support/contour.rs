//! Lines of one height in a landscape.

use std::collections::BTreeMap;

use ndarray::ArrayRef2;

/// An edge between two neighbours on the grid: from (row, column) to the next row or to the next column.
type Edge = (usize, usize, bool);

/// The lines along which the landscape has the height `level`, as (row, column) in units of the grid.
///
/// In every cell of the grid, the line enters through one edge and leaves through another, which the next cell shares.
pub fn contours(heights: &ArrayRef2<f64>, level: f64) -> Vec<Vec<(f64, f64)>> {
    let mut joined = joined(heights, level);
    let mut lines = Vec::new();
    // Begin at a loose end where there is one, so that no line is cut in two.
    while let Some(start) = joined.iter().find(|(_, to)| to.len() == 1).or(joined.iter().next()).map(|(edge, _)| *edge)
    {
        let (mut line, mut here) = (vec![start], start);
        while let Some(next) = joined.get_mut(&here).and_then(Vec::pop) {
            if let Some(back) = joined.get_mut(&next) {
                back.retain(|edge| *edge != here);
            }
            line.push(next);
            here = next;
        }
        joined.retain(|_, to| !to.is_empty());
        lines.push(line.into_iter().map(|edge| crossing(heights, level, edge)).collect());
    }
    lines
}

/// Which edges that are crossed follow each other.
fn joined(heights: &ArrayRef2<f64>, level: f64) -> BTreeMap<Edge, Vec<Edge>> {
    let above = |row: usize, column: usize| heights[[row, column]] >= level;
    let is_crossed = |&(row, column, down): &Edge| {
        above(row, column) != if down { above(row + 1, column) } else { above(row, column + 1) }
    };
    let mut joined: BTreeMap<Edge, Vec<Edge>> = BTreeMap::new();
    for row in 0..heights.nrows() - 1 {
        for column in 0..heights.ncols() - 1 {
            let around = [(row, column, false), (row, column, true), (row + 1, column, false), (row, column + 1, true)];
            let crossed: Vec<Edge> = around.into_iter().filter(is_crossed).collect();
            for pair in crossed.chunks_exact(2) {
                joined.entry(pair[0]).or_default().push(pair[1]);
                joined.entry(pair[1]).or_default().push(pair[0]);
            }
        }
    }
    joined
}

/// Where the line crosses an edge, if the landscape is straight along it.
fn crossing(heights: &ArrayRef2<f64>, level: f64, (row, column, down): Edge) -> (f64, f64) {
    let (next_row, next_column) = if down { (row + 1, column) } else { (row, column + 1) };
    let (from, to) = (heights[[row, column]], heights[[next_row, next_column]]);
    let share = (level - from) / (to - from);
    let at = |from: usize, to: usize| from as f64 + share * (to as f64 - from as f64);
    (at(row, next_row), at(column, next_column))
}
