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
            let (top, rest) = area.split_vertically(legend as i32);
            if legend > 0 {
                let entries = panels[0].clouds.iter().map(|cloud| (cloud.label, cloud.colour));
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
            let (top, rest) = area.split_vertically(34);
            let named = curves.iter().filter(|curve| !curve.label.is_empty());
            draw_legend(&top, named.map(|curve| (curve.label, curve.colour)))?;
            let x = span(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)));
            let y = span(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)));
            let mut chart = ChartBuilder::on(&rest);
            chart.margin_left(14).margin_right(18).margin_top(4).x_label_area_size(48).y_label_area_size(78);
            if axes.log_y {
                let mut chart = chart.build_cartesian_2d(x, (y.start..y.end * 1.1).log_scale())?;
                configure(&mut chart.configure_mesh(), axes)?;
                curves.iter().try_for_each(|curve| chart.draw_series(line(curve)).map(drop))?;
            } else {
                let margin = 0.05 * (y.end - y.start);
                let mut chart = chart.build_cartesian_2d(x, y.start - margin..y.end + margin)?;
                configure(&mut chart.configure_mesh(), axes)?;
                curves.iter().try_for_each(|curve| chart.draw_series(line(curve)).map(drop))?;
            }
            Ok(())
        })
    }

    /// Anything else, with the JSON of what it shows.
    pub fn draw(
        &self,
        size: (u32, u32),
        shown: Value,
        paint: impl FnOnce(&Area<'_>) -> Outcome<()>,
    ) -> Outcome<PathBuf> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            paint(&area)?;
            area.present()?;
        }
        let path = self.folder.join(format!("{}.svg", self.name));
        write_atomically(&path, themed(&svg, self.alt).as_bytes())?;
        let json = json!({ "figure": self.name, "alt": self.alt, "shows": shown });
        write_atomically(&path.with_extension("json"), serde_json::to_string(&json)?.as_bytes())?;
        Ok(path)
    }
}

fn draw_panel(panel: &Panel, area: &Area<'_>, range: Range<f64>) -> Outcome<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(5)
        .caption(&panel.title, ("sans-serif", 17, &INK))
        .build_cartesian_2d(range.clone(), range.clone())?;
    let (low, high) = (range.start, range.end);
    let frame = [(low, low), (high, low), (high, high), (low, high), (low, low)];
    chart.draw_series(std::iter::once(PathElement::new(frame, FAINT)))?;
    for cloud in &panel.clouds {
        let inside = |point: &(f64, f64)| range.contains(&point.0) && range.contains(&point.1);
        let dots = shown(cloud).filter(inside).map(|point| Circle::new(point, 1, cloud.colour.filled()));
        chart.draw_series(dots)?;
    }
    Ok(())
}

fn shown<'a>(cloud: &'a Cloud) -> impl Iterator<Item = (f64, f64)> + 'a {
    cloud.points.axis_iter(Axis(0)).take(MOST_POINTS).map(|row| (row[0], row[1]))
}

fn draw_legend<'a>(area: &Area<'_>, entries: impl Iterator<Item = (&'a str, RGBColor)>) -> Outcome<()> {
    let mut x = 12;
    for (label, colour) in entries {
        area.draw(&Rectangle::new([(x, 13), (x + 20, 18)], colour.filled()))?;
        area.draw(&Text::new(label.to_owned(), (x + 27, 7), ("sans-serif", 17, &INK).into_text_style(area)))?;
        x += 52 + 8 * label.chars().count() as i32;
    }
    Ok(())
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
        .axis_desc_style(("sans-serif", 17, &INK))
        .label_style(("sans-serif", 15, &INK))
        .axis_style(INK)
        .bold_line_style(FAINT)
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

fn line<'a>(curve: &Curve) -> Vec<DynElement<'static, SVGBackend<'a>, (f64, f64)>> {
    let style = curve.colour.stroke_width(2);
    let points = curve.shown();
    vec![match curve.dashed {
        true => DashedPathElement::new(points, 8, 5, style).into_dyn(),
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
    if low < high { low..high } else { low - 0.5..low + 0.5 }
}

/// Takes the colour of the page for ink, adds the words for those who cannot see it, and writes dots and dashes of one look
/// as one path, a quarter of the size.
fn themed(svg: &str, alt: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut pending: Option<(String, String)> = None;
    for line in svg.lines() {
        if let Some((look, path)) = stroke(line) {
            match &mut pending {
                Some((same, paths)) if *same == look => paths.push_str(&path),
                _ => {
                    flush(&mut out, &mut pending);
                    pending = Some((look, path));
                }
            }
            continue;
        }
        flush(&mut out, &mut pending);
        out.push_str(line);
        out.push('\n');
        if line.starts_with("<svg") {
            let _ = writeln!(out, "<title>{}</title>", escaped(alt));
        }
    }
    flush(&mut out, &mut pending);
    out.replace("<svg ", "<svg role=\"img\" color=\"#777777\" ")
        .replace("\"#000000\"", "\"currentColor\"")
        .replace("opacity=\"1\" fill=\"#010203\"", "opacity=\"0.25\" fill=\"currentColor\"")
        .replace("opacity=\"1\" stroke=\"#010203\"", "opacity=\"0.25\" stroke=\"currentColor\"")
}

/// The look and the path of a dot or of a line, if that is what a line of the SVG draws.
fn stroke(line: &str) -> Option<(String, String)> {
    if line.starts_with("<circle") {
        let (x, y, colour) = (attribute(line, "cx")?, attribute(line, "cy")?, attribute(line, "fill")?);
        let look = "stroke-width=\"2.4\" stroke-linecap=\"round\" stroke-opacity=\"0.75\"";
        return Some((format!("fill=\"none\" stroke=\"{colour}\" {look}"), format!("M{x} {y}h0")));
    }
    let (look, points) = line.strip_prefix("<polyline ")?.split_once(" points=\"")?;
    let points = points.split('"').next()?.trim_end();
    Some((look.to_owned(), format!("M{}", points.replace(' ', "L").replace(',', " "))))
}

fn flush(out: &mut String, pending: &mut Option<(String, String)>) {
    if let Some((look, path)) = pending.take() {
        let _ = writeln!(out, "<path {look} d=\"{path}\"/>");
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
