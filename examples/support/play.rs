//! The frames of a figure that a reader can move. All that it shows is computed here; the page only picks the frame.

use std::error::Error;
use std::path::{Path, PathBuf};

use literate_diffusion::Result;
use literate_diffusion::gaussian::density;
use ndarray::ArrayRef2;
use serde_json::{Value, json};

use super::files::write_atomically;

/// A figure with one frame for each combination of its controls' values.
pub struct Play<'a> {
    pub folder: &'a Path,
    pub name: &'a str,
    /// In words what is to be seen.
    pub alt: &'a str,
    pub panels: Vec<Panel>,
    pub controls: Vec<Control>,
    /// What every frame shows.
    pub fixed: Vec<Value>,
}

/// A pair of axes.
pub struct Panel {
    pub title: &'static str,
    pub x: (&'static str, [f64; 2]),
    pub y: (&'static str, [f64; 2]),
    /// Whether one unit is as long upwards as it is sideways.
    pub square: bool,
    /// Whether numbers stand along the axes.
    pub ticks: bool,
}

/// A slider.
pub struct Control {
    pub label: &'static str,
    /// What it shows at each place.
    pub values: Vec<String>,
    /// The place at first.
    pub start: usize,
    /// Where its handle is along the horizontal axis of the first panel, if it can be dragged there.
    pub handle: Option<Vec<f64>>,
    /// Whether a button lets it run.
    pub runs: bool,
}

impl Play<'_> {
    /// Writes the frames. `frame` is given the place of each control.
    pub fn write(
        &self,
        mut frame: impl FnMut(&[usize]) -> Result<Value>,
    ) -> std::result::Result<PathBuf, Box<dyn Error>> {
        let lengths: Vec<usize> = self.controls.iter().map(|control| control.values.len()).collect();
        let mut frames = Vec::new();
        for mut i in 0..lengths.iter().product() {
            // The last control runs fastest.
            let mut places = vec![0; lengths.len()];
            for (place, length) in places.iter_mut().zip(&lengths).rev() {
                (*place, i) = (i % length, i / length);
            }
            frames.push(frame(&places)?);
        }
        // The one shape of all bells: the density of N(0, 1), its top at 1.
        let shape = |i: i32| {
            let u = f64::from(i) / 5.0;
            Ok([u, density(u, 0.0, 1.0)? / density(0.0, 0.0, 1.0)?].map(|x| rounded(x, 1e4)))
        };
        let bell = (-20..=20).map(shape).collect::<Result<Vec<_>>>()?;
        let panel = |panel: &Panel| {
            let axis = |(label, [from, to]): (&str, [f64; 2])| json!({ "label": label, "from": from, "to": to });
            let Panel { title, square, ticks, .. } = panel;
            json!({ "title": title, "x": axis(panel.x), "y": axis(panel.y), "square": square, "ticks": ticks })
        };
        let control = |control: &Control| {
            let Control { label, values, start, handle, runs } = control;
            json!({ "label": label, "values": values, "start": start, "handle": handle, "runs": runs })
        };
        let play = json!({
            "figure": self.name,
            "alt": self.alt,
            "panels": self.panels.iter().map(panel).collect::<Vec<_>>(),
            "controls": self.controls.iter().map(control).collect::<Vec<_>>(),
            "fixed": self.fixed,
            "bell": bell,
            "frames": frames,
        });
        let path = self.folder.join(self.name).with_extension("json");
        write_atomically(&path, serde_json::to_string(&play)?.as_bytes())?;
        Ok(path)
    }
}

/// What a frame shows, and what it says in words.
pub fn frame(says: String, marks: impl IntoIterator<Item = Value>) -> Value {
    json!({ "says": says, "marks": marks.into_iter().collect::<Vec<_>>() })
}

/// Points of the plane.
pub fn cloud(panel: usize, colour: &str, label: &str, points: &ArrayRef2<f64>) -> Value {
    let flat: Vec<Value> = points.iter().map(|&x| rounded(x, 100.0)).collect();
    json!({ "panel": panel, "colour": colour, "label": label, "cloud": flat })
}

/// A line through points of the plane.
pub fn line(panel: usize, colour: &str, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Value {
    let flat: Vec<Value> = points.into_iter().flat_map(|(x, y)| [rounded(x, 1000.0), rounded(y, 1000.0)]).collect();
    json!({ "panel": panel, "colour": colour, "label": label, "line": flat })
}

/// A Gaussian: its mean, its standard deviation and the height of its top.
pub fn bell(panel: usize, colour: &str, label: &str, bell: [f64; 3]) -> Value {
    json!({ "panel": panel, "colour": colour, "label": label, "bell": bell.map(|x| rounded(x, 1000.0)) })
}

/// A square picture of numbers in [−1, 1], row by row: from paper (−1) to ink (1) in sixteen levels, a letter a pixel.
pub fn picture(panel: usize, pixels: impl IntoIterator<Item = f64>) -> Value {
    let level = |x: f64| ((x + 1.0) * 7.5).round().clamp(0.0, 15.0) as u32;
    let letters: String = pixels.into_iter().filter_map(|x| char::from_digit(level(x), 16)).collect();
    json!({ "panel": panel, "colour": "ink", "label": "", "picture": letters })
}

/// A number with few digits: what a page can show.
fn rounded(x: f64, per_unit: f64) -> Value {
    let x = (x * per_unit).round() / per_unit;
    if x == x.trunc() && x.abs() < 1e6 { json!(x as i64) } else { json!(x) }
}
