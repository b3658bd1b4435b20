//! `figure`: from the PNGs of long runs to a figure of the book, an SVG with the pictures inside and its JSON.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Args;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder, Rgba, RgbaImage};
use serde_json::{Map, Value, json};

use super::record::command;
use super::{Outcome, cli, grid};
use crate::DATA_SET;
use crate::support::files::write_atomically;
use crate::support::plot::escaped;

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The figure's name, which begins with the stem of its chapter
    #[arg(value_parser = name)]
    name: String,
    /// What is to be seen, for those who cannot see it
    #[arg(long)]
    alt: String,
    /// A panel: its title, and a PNG that `sample` or `train` wrote, with the JSON of its making beside it
    #[arg(required = true, value_name = "TITLE=PNG", value_parser = panel)]
    panels: Vec<(String, PathBuf)>,
    /// Show only the first pictures of each PNG
    #[arg(long, value_parser = cli::count)]
    pictures: Option<usize>,
    /// Pictures in a row of a panel [default: as in the PNG]
    #[arg(long, value_parser = cli::count)]
    columns: Option<usize>,
    /// Panels beside each other
    #[arg(long, value_parser = cli::count, default_value_t = 1)]
    across: usize,
    /// Folder for NAME.svg and NAME.json
    #[arg(long, default_value = "book/src/results")]
    out: PathBuf,
}

/// For clap: a name that is no path.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a name has letters, digits, - and _ only; give the folder with --out".to_owned()),
    }
}

/// For clap: a title and a file.
fn panel(text: &str) -> Result<(String, PathBuf), String> {
    match text.rsplit_once('=') {
        Some((title, path)) if !path.is_empty() => Ok((title.to_owned(), path.into())),
        _ => Err("a panel is TITLE=PNG".to_owned()),
    }
}

/// The most that a page of the book can bear.
const MOST_BYTES: usize = 150_000;
/// The widest that a figure may be, in pixels of the page.
const WIDEST: f64 = 760.0;
/// What of a training's JSON is too long to be said again.
const TABLES: [&str; 2] = ["losses_over_t", "rows"];
/// Between panels, and for the title of each.
const GAP: f64 = 22.0;
const TITLE: f64 = 26.0;

/// Writes the SVG and its JSON.
pub fn figure(arguments: &Arguments) -> Outcome<()> {
    let mut shows = Vec::new();
    let mut sheets = Vec::new();
    for (title, png) in &arguments.panels {
        let mut made = made(png)?;
        made.insert("title".to_owned(), json!(title));
        shows.push(Value::Object(made));
        sheets.push((title.as_str(), sheet(png, arguments)?));
    }
    let svg = svg(&sheets, arguments)?;
    if svg.len() > MOST_BYTES {
        return Err(format!(
            "{} would have {} bytes, at most {MOST_BYTES} are allowed; give fewer --pictures",
            arguments.name,
            svg.len()
        )
        .into());
    }
    let json = json!({ "figure": arguments.name, "alt": arguments.alt, "command": command(), "shows": shows });
    let path = arguments.out.join(format!("{}.svg", arguments.name));
    write_atomically(&path, svg.as_bytes())?;
    write_atomically(&path.with_extension("json"), (serde_json::to_string_pretty(&json)? + "\n").as_bytes())?;
    println!("{}: {} bytes", path.display(), svg.len());
    Ok(())
}

/// How a PNG was made: the JSON of the same name or, of a training, training.json. Without its tables.
fn made(png: &Path) -> Outcome<Map<String, Value>> {
    if !png.is_file() {
        return Err(format!("there is no picture {}; make it with `sample` or `train`", png.display()).into());
    }
    let candidates = [png.with_extension("json"), png.with_file_name("training.json")];
    let Some(path) = candidates.iter().find(|path| path.exists()) else {
        let [own, training] = candidates.map(|path| path.display().to_string());
        return Err(format!(
            "nothing says how {} was made: there is neither {own} nor {training}; make it anew with `sample` or `train`, \
             which write one of them",
            png.display()
        )
        .into());
    };
    let anew = "make it anew with `sample` or `train`";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| format!("{} is no JSON ({error}); {anew}", path.display()))?;
    if json.get("command").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(format!("{} has no \"command\"; {anew}", path.display()).into());
    }
    let fields = json.as_object().into_iter().flatten().filter(|(key, _)| !TABLES.contains(&key.as_str()));
    Ok(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The pictures of a PNG, one pixel each, in the columns asked for; what is between them lets the page show through.
fn sheet(png: &Path, arguments: &Arguments) -> Outcome<RgbaImage> {
    let image = image::open(png)
        .map_err(|error| format!("{} cannot be read ({error}); give a PNG of `sample` or `train`", png.display()))?
        .into_rgba8();
    let side = u32::try_from(DATA_SET.side)?;
    let (zoom, gap) = (grid::ZOOM as u32, grid::GAP as u32);
    let cell = side * zoom + gap;
    let (wide, high) = image.dimensions();
    if wide <= gap || high <= gap || (wide - gap) % cell != 0 || (high - gap) % cell != 0 {
        return Err(
            format!("{} is no grid of {side}×{side} pictures: it has {wide}×{high} pixels", png.display()).into()
        );
    }
    let across = (wide - gap) / cell;
    let all = across * ((high - gap) / cell);
    let count = arguments.pictures.map_or(Ok(all), u32::try_from)?.min(all);
    let columns = arguments.columns.map_or(Ok(across), u32::try_from)?.min(count);

    let clear = Rgba([0, 0, 0, 0]);
    let (wide, high) = (columns * (side + 1) - 1, count.div_ceil(columns) * (side + 1) - 1);
    let mut sheet = RgbaImage::from_pixel(wide, high, clear);
    for i in 0..count {
        let (left, top) = (gap + i % across * cell, gap + i / across * cell);
        let (to_left, to_top) = (i % columns * (side + 1), i / columns * (side + 1));
        for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
            sheet.put_pixel(to_left + x, to_top + y, *image.get_pixel(left + x * zoom, top + y * zoom));
        }
    }
    Ok(sheet)
}

/// Panels in rows, each a title over its pictures, in the manner of the other figures.
fn svg(panels: &[(&str, RgbaImage)], arguments: &Arguments) -> Outcome<String> {
    let across = arguments.across.min(panels.len());
    let sizes = panels.iter().map(|(_, sheet)| sheet.dimensions());
    let (wide, high) = sizes.fold((0, 0), |(wide, high), (w, h)| (wide.max(w), high.max(h)));
    let zoom = 3.0_f64.min((WIDEST - GAP * (across - 1) as f64) / (across as f64 * f64::from(wide)));
    let (step_x, step_y) = (f64::from(wide) * zoom + GAP, f64::from(high) * zoom + GAP + TITLE);
    let size = (step_x * across as f64 - GAP, step_y * panels.len().div_ceil(across) as f64 - GAP);

    let mut svg = format!(
        "<svg width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\" role=\"img\" color=\"#777777\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n<title>{2}</title>\n",
        size.0,
        size.1,
        escaped(&arguments.alt)
    );
    for (i, (title, sheet)) in panels.iter().enumerate() {
        let (x, y) = ((i % across) as f64 * step_x, (i / across) as f64 * step_y);
        let (w, h) = (f64::from(sheet.width()) * zoom, f64::from(sheet.height()) * zoom);
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" font-family=\"sans-serif\" font-size=\"16\" fill=\"currentColor\">{}</text>",
            y + 17.0,
            escaped(title)
        )?;
        writeln!(
            svg,
            "<image x=\"{x:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{}\"/>",
            y + TITLE,
            BASE64_STANDARD.encode(png(sheet)?)
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// As small as it gets.
fn png(sheet: &RgbaImage) -> Outcome<Vec<u8>> {
    let image = DynamicImage::ImageRgba8(sheet.clone());
    let image = if DATA_SET.channels == 1 { DynamicImage::ImageLumaA8(image.into_luma_alpha8()) } else { image };
    let mut png = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive);
    encoder.write_image(image.as_bytes(), image.width(), image.height(), image.color().into())?;
    Ok(png.into_inner())
}
