//! Figures: SVG for the book and the terminal user alike, each with the JSON of what it shows.
//!
//! A figure has no background, and its text and axes take the colour of the page (`currentColor`), so that it is right in
//! light and dark themes. Data colours are those of Okabe and Ito, which the colour-blind can tell apart.

use std::error::Error;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, Axis};
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use serde_json::{Value, json};

use super::files::write_atomically;

pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub const PURPLE: RGBColor = RGBColor(204, 121, 167);
pub const SKY: RGBColor = RGBColor(86, 180, 233);

/// Drawn black, and turned into the colour of the page's text when the file is written.
pub const INK: RGBColor = BLACK;
/// As [`INK`], for grid lines; any colour that nothing else has.
const FAINT: RGBColor = RGBColor(1, 2, 3);

/// All lengths of a drawing are in tenths of a pixel, since plotters rounds to whole units: so a curve has no steps.
pub const PX: i32 = 10;

/// A cloud of points shows at most this many of them.
const MOST_POINTS: usize = 500;

type Outcome<T> = Result<T, Box<dyn Error>>;
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One small picture of points in the plane; later clouds lie over earlier ones.
pub struct Panel<'a> {
    pub title: String,
    pub clouds: Vec<Cloud<'a>>,
}

/// Points of one colour: an array (n, 2). The first [`MOST_POINTS`] of them are shown.
pub struct Cloud<'a> {
    pub label: &'a str,
    pub colour: RGBColor,
    pub points: ArrayView2<'a, f64>,
}

/// A curve with a name. At most [`MOST_POINTS`] of its points are shown, evenly picked.
pub struct Curve<'a> {
    pub label: &'a str,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
    pub dashed: bool,
}

/// The axes of a [`curves`] figure.
pub struct Axes<'a> {
    pub x: &'a str,
    pub y: &'a str,
    pub log_y: bool,
}

/// Where figures go: `name` is the stem of the file, `alt` says in words what is to be seen.
pub struct Figure<'a> {
    pub folder: &'a Path,
    pub name: &'a str,
    pub alt: &'a str,
}

impl Figure<'_> {
    /// Panels of point clouds, `columns` to a row, all over the square `range` × `range`. The labels of the first panel's
    /// clouds make the legend where there is more than one cloud.
    pub fn panels(&self, panels: &[Panel], columns: usize, range: Range<f64>) -> Outcome<PathBuf> {
        let rows = panels.len().div_ceil(columns);
        let side: u32 = if columns == 1 { 460 } else { 190 };
        let legend = if panels[0].clouds.len() > 1 { 34 } else { 0 };
        let size = (side * columns as u32, (side + 24) * rows as u32 + legend);
        self.draw(size, clouds_json(panels), |area| {
            let (top, rest) = area.split_vertically(legend as i32 * PX);
            if legend > 0 {
                let entries = panels[0].clouds.iter().map(|cloud| (cloud.label, cloud.colour, false));
                draw_legend(&top, entries)?;
            }
            for (panel, area) in panels.iter().zip(rest.split_evenly((rows, columns))) {
                draw_panel(panel, &area, range.clone())?;
            }
            Ok(())
        })
    }

    /// Curves over one pair of axes.
    pub fn curves(&self, axes: &Axes, curves: &[Curve]) -> Outcome<PathBuf> {
        self.draw((760, 460), curves_json(axes, curves), |area| {
            let (top, rest) = area.split_vertically(34 * PX);
            let named = curves.iter().filter(|curve| !curve.label.is_empty());
            draw_legend(&top, named.map(|curve| (curve.label, curve.colour, curve.dashed)))?;
            let x = span(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)));
            // A logarithm of 0 would stretch the axis without end.
            let shown = |y: &f64| y.is_finite() && !(axes.log_y && *y <= 0.0);
            let y = span(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).filter(shown));
            let mut chart = ChartBuilder::on(&rest);
            chart.margin_left(14 * PX).margin_right(18 * PX).margin_top(4 * PX);
            chart.x_label_area_size(48 * PX).y_label_area_size(78 * PX);
            if axes.log_y {
                let mut chart = chart.build_cartesian_2d(x, (y.start..y.end * 1.1).log_scale())?;
                configure(&mut chart.configure_mesh(), axes)?;
                curves.iter().try_for_each(|curve| chart.draw_series(line(curve, y.start)).map(drop))?;
            } else {
                let margin = 0.05 * (y.end - y.start);
                let mut chart = chart.build_cartesian_2d(x, y.start - margin..y.end + margin)?;
                configure(&mut chart.configure_mesh(), axes)?;
                curves.iter().try_for_each(|curve| chart.draw_series(line(curve, f64::NEG_INFINITY)).map(drop))?;
            }
            Ok(())
        })
    }

    /// Anything else, with the JSON of what it shows: `size` is in pixels, what is painted in units of [`PX`].
    pub fn draw(
        &self,
        size: (u32, u32),
        shown: Value,
        paint: impl FnOnce(&Area<'_>) -> Outcome<()>,
    ) -> Outcome<PathBuf> {
        let mut svg = String::new();
        {
            let units = (size.0 * PX as u32, size.1 * PX as u32);
            let area = SVGBackend::with_string(&mut svg, units).into_drawing_area();
            paint(&area)?;
            area.present()?;
        }
        let path = self.folder.join(format!("{}.svg", self.name));
        write_atomically(&path, themed(&svg, size, self.alt).as_bytes())?;
        let json = json!({ "figure": self.name, "alt": self.alt, "shows": shown });
        write_atomically(&path.with_extension("json"), serde_json::to_string(&json)?.as_bytes())?;
        Ok(path)
    }
}

fn draw_panel(panel: &Panel, area: &Area<'_>, range: Range<f64>) -> Outcome<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(5 * PX)
        .caption(&panel.title, font(17))
        .build_cartesian_2d(range.clone(), range.clone())?;
    let (low, high) = (range.start, range.end);
    let frame = [(low, low), (high, low), (high, high), (low, high), (low, low)];
    chart.draw_series(std::iter::once(PathElement::new(frame, stroke(FAINT, 1))))?;
    for cloud in &panel.clouds {
        let inside = |point: &(f64, f64)| range.contains(&point.0) && range.contains(&point.1);
        let dots = shown(cloud).filter(inside).map(|point| dot(point, cloud.colour));
        chart.draw_series(dots)?;
    }
    Ok(())
}

fn shown<'a>(cloud: &'a Cloud) -> impl Iterator<Item = (f64, f64)> + 'a {
    cloud.points.axis_iter(Axis(0)).take(MOST_POINTS).map(|row| (row[0], row[1]))
}

fn draw_legend<'a>(area: &Area<'_>, entries: impl Iterator<Item = (&'a str, RGBColor, bool)>) -> Outcome<()> {
    let mut x = 12;
    for (label, colour, dashed) in entries {
        let dashes: &[(i32, i32)] = if dashed { &[(0, 8), (13, 21)] } else { &[(0, 21)] };
        for (from, to) in dashes {
            area.draw(&Rectangle::new([((x + from) * PX, 13 * PX), ((x + to) * PX, 17 * PX)], colour.filled()))?;
        }
        area.draw(&Text::new(label.to_owned(), ((x + 28) * PX, 7 * PX), font(17).into_text_style(area)))?;
        x += 53 + 8 * label.chars().count() as i32;
    }
    Ok(())
}

/// Text of so many pixels.
pub fn font(size: i32) -> (&'static str, i32, &'static RGBColor) {
    ("sans-serif", size * PX, &INK)
}

/// A line so many pixels wide.
pub fn stroke(colour: RGBColor, width: u32) -> ShapeStyle {
    colour.stroke_width(width * PX as u32)
}

/// A point of a cloud; its look is given in [`path_of`].
pub fn dot(at: (f64, f64), colour: RGBColor) -> Circle<(f64, f64), i32> {
    Circle::new(at, PX, colour.filled())
}

fn configure<'a, X, Y>(
    mesh: &mut plotters::chart::MeshStyle<'a, '_, X, Y, SVGBackend<'_>>,
    axes: &'a Axes,
) -> Outcome<()>
where
    X: plotters::coord::ranged1d::ValueFormatter<f64> + Ranged<ValueType = f64>,
    Y: plotters::coord::ranged1d::ValueFormatter<f64> + Ranged<ValueType = f64>,
{
    mesh.x_desc(axes.x)
        .y_desc(axes.y)
        .axis_desc_style(font(17))
        .label_style(font(15))
        .set_all_tick_mark_size(5 * PX)
        .axis_style(stroke(INK, 1))
        .bold_line_style(stroke(FAINT, 1))
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|y| format_number(*y))
        .x_label_formatter(&|x| format_number(*x))
        .draw()?;
    Ok(())
}

impl Curve<'_> {
    fn shown(&self) -> Vec<(f64, f64)> {
        let stride = self.points.len().div_ceil(MOST_POINTS).max(1);
        let last = self.points.len().saturating_sub(1);
        let picked = self.points.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last);
        picked.map(|(_, point)| *point).collect()
    }
}

/// The curve as a line that does not fall below `lowest`.
fn line<'a>(curve: &Curve, lowest: f64) -> Vec<DynElement<'static, SVGBackend<'a>, (f64, f64)>> {
    let style = stroke(curve.colour, 2);
    let points: Vec<_> = curve.shown().into_iter().map(|(x, y)| (x, y.max(lowest))).collect();
    vec![match curve.dashed {
        true => DashedPathElement::new(points, 8 * PX, 5 * PX, style).into_dyn(),
        false => PathElement::new(points, style).into_dyn(),
    }]
}

/// Short, and free of the noise of binary fractions.
fn format_number(x: f64) -> String {
    if x.abs() < 1e-12 {
        return "0".to_owned(); // what is left of 0 where steps of 0.2 are added up
    }
    if !(1e-3..1e5).contains(&x.abs()) {
        return format!("{x:.0e}");
    }
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low < high {
        low..high
    } else if low == high {
        low - 0.5..low + 0.5
    } else {
        0.5..1.5 // nothing to show
    }
}

/// Takes the colour of the page for ink, adds the words for those who cannot see it, and writes dots and dashes of one look
/// as one path, a quarter of the size.
fn themed(svg: &str, (width, height): (u32, u32), alt: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut pending: Option<(String, Pen)> = None;
    for line in svg.lines() {
        if let Some((look, points)) = path_of(line) {
            match &mut pending {
                Some((same, pen)) if *same == look => pen.draw(&points),
                _ => {
                    flush(&mut out, &mut pending);
                    let mut pen = Pen::default();
                    pen.draw(&points);
                    pending = Some((look, pen));
                }
            }
            continue;
        }
        flush(&mut out, &mut pending);
        if let Some((_, rest)) = line.split_once("viewBox") {
            let _ = writeln!(
                out,
                "<svg role=\"img\" color=\"#777777\" width=\"{width}\" height=\"{height}\" viewBox{rest}"
            );
            let _ = writeln!(out, "<title>{}</title>", escaped(alt));
        } else {
            let _ = writeln!(out, "{line}");
        }
    }
    flush(&mut out, &mut pending);
    out.replace("\"#000000\"", "\"currentColor\"")
        .replace("opacity=\"1\" fill=\"#010203\"", "opacity=\"0.25\" fill=\"currentColor\"")
        .replace("opacity=\"1\" stroke=\"#010203\"", "opacity=\"0.25\" stroke=\"currentColor\"")
}

/// The look and the points of a line or of a small dot, if that is what a line of the SVG draws.
fn path_of(line: &str) -> Option<(String, Vec<[i32; 2]>)> {
    let number = |text: &str| text.parse::<i32>().ok();
    if line.starts_with("<circle") && attribute(line, "r").and_then(number) == Some(PX) {
        let (x, y, colour) = (attribute(line, "cx")?, attribute(line, "cy")?, attribute(line, "fill")?);
        let look = "stroke-width=\"24\" stroke-linecap=\"round\" stroke-opacity=\"0.75\"";
        return Some((format!("fill=\"none\" stroke=\"{colour}\" {look}"), vec![[number(x)?, number(y)?]; 2]));
    }
    let (look, points) = line.strip_prefix("<polyline ")?.split_once(" points=\"")?;
    let points = points.split('"').next()?.split_whitespace().map(|point| {
        let (x, y) = point.split_once(',')?;
        Some([number(x)?, number(y)?])
    });
    Some((look.to_owned(), points.collect::<Option<_>>()?))
}

/// Writes a path with each place relative to the one before, which is shorter.
#[derive(Default)]
struct Pen {
    path: String,
    at: [i32; 2],
}

impl Pen {
    /// A line through the points, apart from what was drawn before.
    fn draw(&mut self, points: &[[i32; 2]]) {
        for (i, point) in points.iter().enumerate() {
            let [dx, dy] = [point[0] - self.at[0], point[1] - self.at[1]];
            let gap = |step: i32| if step < 0 { "" } else { " " };
            let before = if i == 0 { "m" } else { gap(dx) };
            let _ = write!(self.path, "{before}{dx}{}{dy}", gap(dy));
            self.at = *point;
        }
    }
}

fn flush(out: &mut String, pending: &mut Option<(String, Pen)>) {
    if let Some((look, pen)) = pending.take() {
        let _ = writeln!(out, "<path {look} d=\"{}\"/>", pen.path);
    }
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}=\""))? + name.len() + 3;
    line[start..].split('"').next()
}

/// As text of an SVG.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn clouds_json(panels: &[Panel]) -> Value {
    let cloud = |cloud: &Cloud| {
        let points: Vec<[f64; 2]> = shown(cloud).map(|(x, y)| [rounded(x), rounded(y)]).collect();
        json!({ "label": cloud.label, "points": points })
    };
    let panel =
        |panel: &Panel| json!({ "title": panel.title, "clouds": panel.clouds.iter().map(cloud).collect::<Vec<_>>() });
    panels.iter().map(panel).collect()
}

fn curves_json(axes: &Axes, curves: &[Curve]) -> Value {
    let curve = |curve: &Curve| {
        let points: Vec<[f64; 2]> = curve.shown().iter().map(|&(x, y)| [rounded(x), rounded(y)]).collect();
        json!({ "label": curve.label, "points": points })
    };
    json!({ "x": axes.x, "y": axes.y, "curves": curves.iter().map(curve).collect::<Vec<_>>() })
}

/// Six significant digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}
