//! Pictures that are always there, because they are drawn here: 10 shapes in 10 colours, 32×32 pixels, in CIFAR-100's format.
//!
//! They stand in for CIFAR-100 where it was not fetched; no result on them is one on CIFAR-100. Their class can be read by
//! eye, and by a program ([`Judge`]), so that the samples of a model can be counted as right or wrong.

use std::path::Path;

use libm::{cos, sin};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Pictures, Split, cifar100};
use crate::error::Result;

mod judge;

pub use judge::{Judge, Verdict};

/// Pixels along each side, as a number.
const SIDE: f64 = cifar100::SIDE as f64;
/// The largest distance of a shape's points from its centre, in sizes.
const REACH: f64 = 1.05;
/// The largest angle, in degrees, by which a shape is turned to either side.
const TURN: f64 = 20.0;

/// A shape of size 1 around the origin; x points to the right, y down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A full circle.
    Disc,
    /// A circle with a hole.
    Ring,
    /// A square.
    Square,
    /// A triangle of equal sides, on one of them.
    Triangle,
    /// A flat rectangle.
    Bar,
    /// A plus sign.
    Cross,
    /// Five points.
    Star,
    /// A heart.
    Heart,
    /// A moon, open to the right.
    Crescent,
    /// It points to the right.
    Arrow,
}

/// The shapes, in the order of the classes.
pub const SHAPES: [(&str, Shape); 10] = [
    ("disc", Shape::Disc),
    ("ring", Shape::Ring),
    ("square", Shape::Square),
    ("triangle", Shape::Triangle),
    ("bar", Shape::Bar),
    ("cross", Shape::Cross),
    ("star", Shape::Star),
    ("heart", Shape::Heart),
    ("crescent", Shape::Crescent),
    ("arrow", Shape::Arrow),
];

/// The colours, in the order of the classes: red, green and blue of 0..=255.
pub const COLOURS: [(&str, [f64; 3]); 10] = [
    ("red", [214.0, 39.0, 40.0]),
    ("orange", [255.0, 140.0, 0.0]),
    ("yellow", [250.0, 225.0, 40.0]),
    ("green", [40.0, 160.0, 60.0]),
    ("cyan", [40.0, 205.0, 215.0]),
    ("blue", [45.0, 80.0, 215.0]),
    ("purple", [130.0, 50.0, 180.0]),
    ("pink", [255.0, 130.0, 190.0]),
    ("white", [245.0, 245.0, 245.0]),
    ("black", [25.0, 25.0, 25.0]),
];

/// The name of a class, such as "red disc"; none where there is no such class.
///
/// Class 10s + c is shape s in colour c, and its coarse class is half of a shape's: ⌊class / 5⌋.
///
/// # Examples
/// ```
/// use literate_diffusion::data::shapes::name;
/// assert_eq!(name(0).as_deref(), Some("red disc"));
/// assert_eq!(name(63).as_deref(), Some("green star"));
/// assert_eq!(name(100), None);
/// ```
pub fn name(class: u8) -> Option<String> {
    let (shape, _) = SHAPES.get(usize::from(class / 10))?;
    Some(format!("{} {shape}", COLOURS[usize::from(class % 10)].0))
}

/// The generated pictures: 100 of each class to train, 20 of each to test, always the same.
///
/// # Errors
/// None is expected: the pictures pass through the reader of CIFAR-100's format.
pub fn load(split: Split) -> Result<Pictures> {
    let (per_class, seed) = match split {
        Split::Train => (100, 1),
        Split::Test => (20, 2),
    };
    cifar100::pictures(Path::new("shapes (in the program)"), &records(per_class, seed))
}

/// So many pictures of each class in CIFAR-100's binary format; picture i has class i mod 100.
///
/// Place, size, turn, light and background are drawn at random, the same for the same seed.
pub fn records(per_class: usize, seed: u64) -> Vec<u8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = Vec::new();
    for _ in 0..per_class {
        for class in 0..cifar100::CLASSES {
            bytes.extend([class / 5, class]);
            bytes.extend(draw(class, rng));
        }
    }
    bytes
}

/// A picture of a class: its bytes of red, of green, of blue.
fn draw(class: u8, rng: &mut impl Rng) -> Vec<u8> {
    let (_, shape) = SHAPES[usize::from(class / 10)];
    let (_, colour) = COLOURS[usize::from(class % 10)];
    let size = rng.random_range(9.0..13.0);
    let room = f64::min(3.0, SIDE / 2.0 - 1.0 - REACH * size);
    let middle = SIDE / 2.0;
    let place = Place {
        centre: [middle + rng.random_range(-room..room), middle + rng.random_range(-room..room)],
        size,
        turn: rng.random_range(-TURN..TURN).to_radians(),
    };
    let cover = place.cover(shape);
    let light = Light { level: rng.random_range(0.92..1.08), slope: slope(0.10, rng) };
    let grey = rng.random_range(105.0..160.0);
    let background = [0.0; 3].map(|_: f64| grey + rng.random_range(-8.0..8.0));
    let background_light = Light { level: 1.0, slope: slope(0.12, rng) };

    let mut bytes = Vec::with_capacity(3 * cover.len());
    for channel in 0..3 {
        for (i, &alpha) in cover.iter().enumerate() {
            let front = colour[channel] * light.at(i);
            let back = background[channel] * background_light.at(i);
            bytes.push((alpha * front + (1.0 - alpha) * back).round().clamp(0.0, 255.0) as u8);
        }
    }
    bytes
}

/// How far the light may rise along x and y from the middle of the picture to its edge.
fn slope(most: f64, rng: &mut impl Rng) -> [f64; 2] {
    [rng.random_range(-most..most), rng.random_range(-most..most)]
}

/// Light that changes evenly over the picture.
struct Light {
    level: f64,
    slope: [f64; 2],
}

impl Light {
    fn at(&self, pixel: usize) -> f64 {
        let [x, y] = centre_of(pixel).map(|along| 2.0 * along / SIDE - 1.0);
        self.level + self.slope[0] * x + self.slope[1] * y
    }
}

/// Where a pixel's centre is, in pixels from the upper left corner.
fn centre_of(pixel: usize) -> [f64; 2] {
    [(pixel % cifar100::SIDE) as f64 + 0.5, (pixel / cifar100::SIDE) as f64 + 0.5]
}

/// Where a shape stands in a picture.
struct Place {
    /// In pixels from the upper left corner.
    centre: [f64; 2],
    /// In pixels.
    size: f64,
    /// In radians, clockwise.
    turn: f64,
}

impl Place {
    /// How much of each pixel the shape covers, 0 to 1.
    fn cover(&self, shape: Shape) -> Vec<f64> {
        let (sine, cosine) = (sin(self.turn), cos(self.turn));
        let of_pixel = |pixel| {
            let [x, y] = centre_of(pixel);
            let (x, y) = ((x - self.centre[0]) / self.size, (y - self.centre[1]) / self.size);
            // An edge at a distance of d pixels leaves 1/2 − d of the pixel covered.
            let edge = shape.distance([cosine * x + sine * y, cosine * y - sine * x]);
            (0.5 - self.size * edge).clamp(0.0, 1.0)
        };
        (0..cifar100::SIDE * cifar100::SIDE).map(of_pixel).collect()
    }
}

impl Shape {
    /// How far a point is from the edge of the shape; negative within.
    fn distance(self, point: [f64; 2]) -> f64 {
        match self {
            Self::Disc => from_disc(point, [0.0, 0.0], 0.9),
            Self::Ring => from_disc(point, [0.0, 0.0], 0.72).abs() - 0.24,
            Self::Square => from_rectangle(point, 0.78, 0.78),
            Self::Triangle => from_polygon(point, &TRIANGLE),
            Self::Bar => from_rectangle(point, 1.0, 0.32),
            Self::Cross => f64::min(from_rectangle(point, 1.0, 0.3), from_rectangle(point, 0.3, 1.0)),
            Self::Star => from_polygon(point, &STAR),
            Self::Heart => {
                let halves = [-0.45, 0.45].map(|x| from_disc(point, [x, -0.35], 0.5));
                from_polygon(point, &HEART).min(halves[0]).min(halves[1])
            }
            Self::Crescent => f64::max(from_disc(point, [0.0, 0.0], 0.98), -from_disc(point, [0.45, 0.0], 0.78)),
            Self::Arrow => from_polygon(point, &ARROW),
        }
    }
}

const TRIANGLE: [[f64; 2]; 3] = [[0.0, -1.0], [0.866, 0.5], [-0.866, 0.5]];

/// Corners at distances 1.05 and 0.45 in turn, 36° apart.
#[rustfmt::skip]
const STAR: [[f64; 2]; 10] = [
    [0.0, -1.05], [0.2645, -0.3641], [0.9986, -0.3245], [0.4280, 0.1391], [0.6172, 0.8495],
    [0.0, 0.45], [-0.6172, 0.8495], [-0.4280, 0.1391], [-0.9986, -0.3245], [-0.2645, -0.3641],
];

/// The tip, where the lines from it touch the two discs, and the centres of those.
const HEART: [[f64; 2]; 5] = [[0.0, 0.95], [0.8307, -0.0259], [0.45, -0.35], [-0.45, -0.35], [-0.8307, -0.0259]];

const ARROW: [[f64; 2]; 7] =
    [[1.0, 0.0], [0.15, -0.75], [0.15, -0.28], [-1.0, -0.28], [-1.0, 0.28], [0.15, 0.28], [0.15, 0.75]];

fn from_disc([x, y]: [f64; 2], centre: [f64; 2], radius: f64) -> f64 {
    length([x - centre[0], y - centre[1]]) - radius
}

fn from_rectangle([x, y]: [f64; 2], half_width: f64, half_height: f64) -> f64 {
    let (beyond_x, beyond_y) = (x.abs() - half_width, y.abs() - half_height);
    length([beyond_x.max(0.0), beyond_y.max(0.0)]) + beyond_x.max(beyond_y).min(0.0)
}

fn from_polygon(point: [f64; 2], corners: &[[f64; 2]]) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut inside = false;
    for (i, &a) in corners.iter().enumerate() {
        let b = corners[(i + 1) % corners.len()];
        let (edge, from_a) = ([b[0] - a[0], b[1] - a[1]], [point[0] - a[0], point[1] - a[1]]);
        let along = (dot(from_a, edge) / dot(edge, edge)).clamp(0.0, 1.0);
        nearest = nearest.min(length([from_a[0] - along * edge[0], from_a[1] - along * edge[1]]));
        // A ray to the right crosses an odd number of edges where it starts inside.
        let crosses = (a[1] > point[1]) != (b[1] > point[1]);
        if crosses && from_a[0] < edge[0] * from_a[1] / edge[1] {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn length(a: [f64; 2]) -> f64 {
    dot(a, a).sqrt()
}
