//! A program that says what a picture shows, so that samples can be counted as right or wrong.
//!
//! It knows how the pictures are made and nothing of any network: it takes the background away, reads the colour, draws each
//! shape where the picture has its mass, and takes the one that fits best.

use super::{COLOURS, Place, SHAPES, Shape, TURN, centre_of};
use crate::data::cifar100::SIDE;

const PIXELS: usize = SIDE * SIDE;
/// Turns that are tried for each shape.
const TURNS: [f64; 5] = [-TURN * 0.8, -TURN * 0.4, 0.0, TURN * 0.4, TURN * 0.8];
/// Shapes that cover fewer pixels than this are taken for none.
const LEAST_MASS: f64 = 20.0;

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The class that is nearest: 10 × the shape's place in [`SHAPES`] + the colour's place in [`COLOURS`].
    pub class: u8,
    /// How well that shape fits: 1 − Σ(seen − drawn)² / Σ seen². It is 1 for a perfect picture, and near 0 or below where
    /// there is no such shape.
    pub fit: f64,
}

/// The program. It read 10,000 of 10,000 fresh pictures right (`shapes::records(100, 123)`); `tests/data.rs` repeats this with
/// fewer, and with noise.
pub struct Judge {
    /// The area of each shape of size 1, and the point that its mass is balanced on.
    shapes: Vec<(Shape, f64, [f64; 2])>,
}

impl Default for Judge {
    fn default() -> Self {
        Self { shapes: SHAPES.iter().map(|&(_, shape)| measured(shape)).collect() }
    }
}

impl Judge {
    /// What a picture of 3×32×32 bytes shows; none where there is nothing on its background, or the length is another.
    pub fn verdict(&self, picture: &[u8]) -> Option<Verdict> {
        let difference = without_background(picture)?;
        let (colour, step) = colour(picture, &difference)?;
        let seen = cover(&difference, step);
        let mass: f64 = seen.iter().sum();
        if mass.is_nan() || mass < LEAST_MASS {
            return None;
        }
        let moment = |axis: usize| seen.iter().enumerate().map(|(i, a)| a * centre_of(i)[axis]).sum::<f64>();
        let balance = [moment(0) / mass, moment(1) / mass];

        let mut best = Verdict { class: 0, fit: f64::NEG_INFINITY };
        for (i, &(shape, area, own_balance)) in self.shapes.iter().enumerate() {
            for turn in TURNS.map(f64::to_radians) {
                let place = Place::balanced(balance, (mass / area).sqrt(), turn, own_balance);
                let fit = fit(&seen, &place.cover(shape));
                if fit > best.fit {
                    best = Verdict { class: 10 * i as u8 + colour, fit };
                }
            }
        }
        Some(best)
    }
}

impl Place {
    /// The place of a shape of which the mass, balanced on `own_balance` at size 1, is to be balanced on `balance`.
    fn balanced(balance: [f64; 2], size: f64, turn: f64, own_balance: [f64; 2]) -> Self {
        let ([x, y], sine, cosine) = (own_balance, libm::sin(turn), libm::cos(turn));
        let centre = [balance[0] - size * (cosine * x - sine * y), balance[1] - size * (sine * x + cosine * y)];
        Self { centre, size, turn }
    }
}

/// Area and balance of a shape of size 1, by counting points of a fine grid.
fn measured(shape: Shape) -> (Shape, f64, [f64; 2]) {
    const HALF: i32 = 110;
    const STEP: f64 = 0.01;
    let (mut area, mut x, mut y) = (0.0, 0.0, 0.0);
    for i in -HALF..HALF {
        for j in -HALF..HALF {
            let point = [(f64::from(i) + 0.5) * STEP, (f64::from(j) + 0.5) * STEP];
            if shape.distance(point) < 0.0 {
                area += STEP * STEP;
                x += STEP * STEP * point[0];
                y += STEP * STEP * point[1];
            }
        }
    }
    (shape, area, [x / area, y / area])
}

/// Takes away the plane (in each colour) that fits the outermost pixels best. None where the length is wrong.
fn without_background(picture: &[u8]) -> Option<Vec<[f64; 3]>> {
    if picture.len() != 3 * PIXELS {
        return None;
    }
    let at = |i: usize| centre_of(i).map(|along| along - SIDE as f64 / 2.0);
    let edge = |i: &usize| at(*i).iter().any(|along| along.abs() > SIDE as f64 / 2.0 - 1.0);
    let border: Vec<usize> = (0..PIXELS).filter(edge).collect();
    let mut difference = vec![[0.0; 3]; PIXELS];
    for channel in 0..3 {
        let value = |i: usize| f64::from(picture[channel * PIXELS + i]);
        // The border is symmetric, so that the three terms of the plane are fitted one by one.
        let level = border.iter().map(|&i| value(i)).sum::<f64>() / border.len() as f64;
        let slope = [0, 1].map(|axis| {
            let product: f64 = border.iter().map(|&i| at(i)[axis] * value(i)).sum();
            product / border.iter().map(|&i| at(i)[axis].powi(2)).sum::<f64>()
        });
        for (i, difference) in difference.iter_mut().enumerate() {
            difference[channel] = value(i) - level - slope[0] * at(i)[0] - slope[1] * at(i)[1];
        }
    }
    Some(difference)
}

/// The place of the shape's colour in [`COLOURS`], and how it differs from the background: means over the pixels, of which
/// those count most that differ most. None where none differs.
fn colour(picture: &[u8], difference: &[[f64; 3]]) -> Option<(u8, [f64; 3])> {
    let weights: Vec<f64> = difference.iter().map(|d| squared(*d).powi(2)).collect();
    let whole: f64 = weights.iter().sum();
    if whole == 0.0 {
        return None;
    }
    let mean = |value: &dyn Fn(usize) -> f64| (0..PIXELS).map(|i| weights[i] * value(i)).sum::<f64>() / whole;
    let step = [0, 1, 2].map(|channel| mean(&|i| difference[i][channel]));
    let colour = [0, 1, 2].map(|channel| mean(&|i| f64::from(picture[channel * PIXELS + i])));
    let apart = |k: &usize| squared([0, 1, 2].map(|channel| colour[channel] - COLOURS[*k].1[channel]));
    let nearest = (0..COLOURS.len()).min_by(|a, b| apart(a).total_cmp(&apart(b)))?;
    Some((nearest as u8, step))
}

/// How far each pixel is on the way from the background to the shape's colour, 0 to 1.
fn cover(difference: &[[f64; 3]], step: [f64; 3]) -> Vec<f64> {
    let along = |d: &[f64; 3]| (d[0] * step[0] + d[1] * step[1] + d[2] * step[2]) / squared(step);
    difference.iter().map(|d| along(d).clamp(0.0, 1.0)).collect()
}

fn fit(seen: &[f64], drawn: &[f64]) -> f64 {
    let off: f64 = seen.iter().zip(drawn).map(|(a, b)| (a - b).powi(2)).sum();
    1.0 - off / seen.iter().map(|a| a * a).sum::<f64>()
}

fn squared([a, b, c]: [f64; 3]) -> f64 {
    a * a + b * b + c * c
}
