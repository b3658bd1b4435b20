//! What the layers of the networks for images do to a shape, counted without running them, and the drawing of the U-Net.
//!
//! tests/networks.rs runs the networks and compares.

use std::error::Error;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::support::plot::{BLUE, Figure, GREEN, INK, ORANGE, PX, VERMILION, stroke};

/// A layer by its name in PyTorch: the shape of what comes out of it (channels, height, width), and its parameters.
#[derive(Clone, Serialize)]
pub struct Layer {
    pub name: String,
    pub shape: [usize; 3],
    pub parameters: usize,
}

fn layer(name: impl Into<String>, shape: [usize; 3], parameters: usize) -> Layer {
    Layer { name: name.into(), shape, parameters }
}

// ANCHOR: count
/// A convolution: a kernel for each pair of channels, and a bias for each output.
fn conv([inputs, outputs]: [usize; 2], kernel: usize) -> usize {
    (inputs * kernel * kernel + 1) * outputs
}

/// GroupNorm: a factor and a shift for each channel.
fn norm(channels: usize) -> usize {
    2 * channels
}

/// A residual block, layer by layer.
fn block(name: &str, [inputs, outputs]: [usize; 2], side: usize) -> Vec<Layer> {
    let out = [outputs, side, side];
    let mut layers = vec![
        layer(format!("{name}.conv1"), out, conv([inputs, outputs], 3)),
        layer(format!("{name}.norm1"), out, norm(outputs)),
        layer(format!("{name}.time_mlp.1"), [outputs, 1, 1], (128 + 1) * outputs),
        layer(format!("{name}.conv2"), out, conv([outputs, outputs], 3)),
        layer(format!("{name}.norm2"), out, norm(outputs)),
    ];
    if inputs != outputs {
        layers.push(layer(format!("{name}.shortcut"), out, conv([inputs, outputs], 1)));
    }
    layers
}

/// `ResidualUnet`, in the order in which a picture goes through it.
pub fn residual_unet(channels: usize, widths: &[usize], side: usize) -> Vec<Layer> {
    let (levels, finest) = (widths.len() - 1, widths[0]);
    let side_at = |level: usize| side >> level;
    let mut layers = vec![layer("init_conv", [finest, side, side], conv([channels, finest], 3))];
    for level in 0..levels {
        let [fine, coarse] = [widths[level], widths[level + 1]];
        let half = side_at(level + 1);
        layers.extend(block(&format!("down_blocks.{level}"), [fine, fine], side_at(level)));
        layers.push(layer(format!("down_pools.{level}"), [coarse, half, half], conv([fine, coarse], 3)));
    }
    layers.extend(block("bottleneck", [widths[levels], widths[levels]], side_at(levels)));
    for (i, level) in (0..levels).rev().enumerate() {
        let [fine, coarse] = [widths[level], widths[level + 1]];
        let double = side_at(level);
        layers.push(layer(format!("up_convs.{i}"), [fine, double, double], conv([coarse, fine], 2)));
        layers.extend(block(&format!("up_blocks.{i}"), [2 * fine, fine], double));
    }
    layers.extend(block("final_block", [finest, finest], side));
    layers.push(layer("out_conv", [channels, side, side], conv([finest, channels], 1)));
    layers
}
// ANCHOR_END: count

/// `PlainUnet`.
pub fn plain_unet(channels: usize, side: usize) -> Vec<Layer> {
    let half = side / 2;
    vec![
        layer("down1.0", [64, side, side], conv([channels, 64], 3)),
        layer("down1.2", [64, side, side], conv([64, 64], 3)),
        layer("down2.1", [128, half, half], conv([64, 128], 3)),
        layer("down2.3", [128, half, half], conv([128, 128], 3)),
        layer("up1.0", [64, side, side], conv([128, 64], 2)),
        layer("up1.1", [64, side, side], conv([64, 64], 3)),
        layer("up1.3", [64, side, side], conv([64, 64], 3)),
        layer("out", [channels, side, side], conv([64, channels], 1)),
    ]
}

/// `TimeChannelNet`.
pub fn time_channel_net(side: usize) -> Vec<Layer> {
    let channels = [[2, 32], [32, 64], [64, 32], [32, 1]];
    let layers = channels.iter().enumerate();
    layers.map(|(i, &[a, b])| layer(format!("net.{}", 2 * i), [b, side, side], conv([a, b], 3))).collect()
}

/// The same with one row for each block: the last shape in it, and the sum of its parameters.
pub fn totals(layers: &[Layer]) -> Vec<Layer> {
    let mut rows: Vec<Layer> = Vec::new();
    for layer in layers {
        let mut parts = layer.name.split('.');
        let first = parts.next().unwrap_or_default();
        let name = match parts.next() {
            Some(number) if number.parse::<usize>().is_ok() => format!("{first}.{number}"),
            _ => first.to_owned(),
        };
        match rows.last_mut() {
            Some(row) if row.name == name => {
                row.shape = layer.shape;
                row.parameters += layer.parameters;
            }
            _ => rows.push(Layer { name, ..layer.clone() }),
        }
    }
    rows
}

/// Where each part of the U-Net is drawn: its left side, and its level.
const PLACES: [(&str, i32, i32); 8] = [
    ("init_conv", 10, 0),
    ("down_blocks.0", 140, 0),
    ("down_blocks.1", 190, 1),
    ("bottleneck", 325, 2),
    ("up_blocks.0", 460, 1),
    ("up_blocks.1", 510, 0),
    ("final_block", 640, 0),
    ("out_conv", 770, 0),
];
const BOX: (i32, i32) = (120, 46);

fn top(level: i32) -> i32 {
    62 + 118 * level
}

/// The U-Net of the book for MNIST, with the shape that leaves each part.
pub fn figure(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let rows = totals(&residual_unet(1, &[64, 128, 256], 28));
    let shape = |name: &str| rows.iter().find(|row| row.name == name).map_or([0; 3], |row| row.shape);
    let shown: Value = PLACES.iter().map(|(name, _, _)| json!({ "name": name, "shape": shape(name) })).collect();
    let figure = Figure {
        folder,
        name: "unet-diagram",
        alt: "The U-Net, drawn as a U. At the top left a picture of 1 by 28 by 28 enters init_conv, then down_blocks.0, both with 64 \
              channels. An arrow, down_pools.0, leads down to down_blocks.1 with 128 channels of 14 by 14, and another, \
              down_pools.1, to the bottleneck with 256 channels of 7 by 7. Arrows up_convs.0 and up_convs.1 lead up again to \
              up_blocks.0 and up_blocks.1, then final_block and out_conv. Dashed arrows, the skips, lead across from \
              down_blocks to up_blocks at each level. The six residual blocks, the bottleneck among them, are told t.",
    };
    let units = |(x, y): (i32, i32)| (x * PX, y * PX);
    figure.draw((900, 404), shown, |area| {
        let text = |text: &str, at: (i32, i32), size: i32, colour: RGBColor| {
            let style = ("sans-serif", size * PX, &colour).into_text_style(area);
            area.draw(&Text::new(text.to_owned(), units(at), style))
        };
        let arrow = |from: (i32, i32), to: (i32, i32), colour: RGBColor| -> Result<(), Box<dyn Error>> {
            area.draw(&PathElement::new([units(from), units(to)], stroke(colour, 2)))?;
            let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
            let length = dx.hypot(dy);
            let (ux, uy) = (dx / length, dy / length);
            let corner = |side: f64| {
                let x = f64::from(to.0) - 9.0 * ux - side * 4.5 * uy;
                let y = f64::from(to.1) - 9.0 * uy + side * 4.5 * ux;
                ((x * f64::from(PX)).round() as i32, (y * f64::from(PX)).round() as i32)
            };
            area.draw(&Polygon::new([units(to), corner(1.0), corner(-1.0)], colour.filled()))?;
            Ok(())
        };
        for (name, left, level) in PLACES {
            let [channels, height, width] = shape(name);
            let told = !name.ends_with("conv");
            let colour = if told { BLUE } else { ORANGE };
            let (right, above, below) = (left + BOX.0, top(level), top(level) + BOX.1);
            let frame = [(left, above), (right, above), (right, below), (left, below), (left, above)];
            area.draw(&PathElement::new(frame.map(units), stroke(colour, 2)))?;
            text(name, (left + 9, top(level) + 6), 16, INK)?;
            text(&format!("{channels} × {height} × {width}"), (left + 9, top(level) + 26), 15, INK)?;
        }
        let middle = |level: i32| top(level) + BOX.1 / 2;
        let below = |level: i32| top(level) + BOX.1;
        text("x_t: 1 × 28 × 28", (10, 20), 15, INK)?;
        arrow((70, 40), (70, top(0) - 2), INK)?;
        text("prediction", (795, 20), 15, INK)?;
        arrow((830, top(0)), (830, 40), INK)?;
        arrow((130, middle(0)), (138, middle(0)), INK)?;
        arrow((630, middle(0)), (638, middle(0)), INK)?;
        arrow((760, middle(0)), (768, middle(0)), INK)?;
        for (name, from, to, at) in [
            ("down_pools.0", (225, below(0)), (225, top(1) - 2), (128, below(0) + 26)),
            ("down_pools.1", (285, below(1)), (350, top(2) - 2), (205, below(1) + 26)),
            ("up_convs.0", (420, top(2)), (485, below(1) + 2), (470, below(1) + 26)),
            ("up_convs.1", (545, top(1)), (545, below(0) + 2), (554, below(0) + 26)),
        ] {
            arrow(from, to, VERMILION)?;
            text(name, at, 15, INK)?;
        }
        for (level, from, to) in [(0, 260, 510), (1, 310, 460)] {
            let [channels, ..] = shape(&format!("down_blocks.{level}"));
            for x in (from + 4..to - 16).step_by(14) {
                let dash = [(x, middle(level)), (x + 7, middle(level))].map(units);
                area.draw(&PathElement::new(dash, stroke(GREEN, 2)))?;
            }
            arrow((to - 16, middle(level)), (to - 2, middle(level)), GREEN)?;
            text(&format!("skip: {channels} channels"), ((from + to) / 2 - 62, middle(level) - 22), 15, INK)?;
        }
        text("t", (10, 372), 16, INK)?;
        arrow((22, 380), (48, 380), INK)?;
        text("64 sines, 64 cosines", (56, 372), 15, INK)?;
        arrow((190, 380), (216, 380), INK)?;
        text("SiLU", (224, 372), 15, INK)?;
        arrow((262, 380), (288, 380), INK)?;
        text("a Linear of its own in each block with a blue frame, added to every pixel", (296, 372), 15, INK)?;
        Ok(())
    })
}
