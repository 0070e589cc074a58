//! The matching as an SVG drawing.

use std::error::Error;
use std::ops::Range;

use plotters::prelude::*;

use scipar::kernels::chamfer::{Matching, Nearest};
use scipar::kernels::clusters::Clusters;

const LEFT: RGBColor = RGBColor(0, 114, 178);
const RIGHT: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(90, 90, 90);
const FONT: &str = "sans-serif";

/// Draws centres of clusters, seen along the last axis, and a line from each cluster to its nearest one.
pub(crate) fn svg(
    lefts: &Clusters,
    rights: &Clusters,
    matching: &Matching,
) -> Result<String, Box<dyn Error>> {
    let (left, right) = (Dot::all(lefts), Dot::all(rights));
    let both = || left.iter().chain(&right);
    let (x, y) = (
        extent(both().map(|dot| dot.at.0)),
        extent(both().map(|dot| dot.at.1)),
    );
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1000, 1000)).into_drawing_area();
        root.fill(&WHITE)?;
        let title = (FONT, 26).into_text_style(&root).color(&BLACK);
        root.draw_text("Clusters and their nearest ones", &title, (20, 14))?;
        let legend = [
            (format!("{} left", left.len()), LEFT, 20),
            (format!("{} right", right.len()), RIGHT, 160),
        ];
        for (text, color, at) in legend {
            let style = (FONT, 16).into_text_style(&root).color(&color);
            root.draw_text(&text, &style, (at, 46))?;
        }
        let note = "centres, seen along z; areas as numbers of points; a line to the nearest of the other side";
        let style = (FONT, 15).into_text_style(&root).color(&GREY);
        root.draw_text(note, &style, (300, 47))?;

        let (_, area) = root.split_vertically(72);
        let mut chart = ChartBuilder::on(&area)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc("x")
            .y_desc("y")
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .axis_style(GREY)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .draw()?;
        let lines = |from: &[Dot], to: &[Dot], side: &[Nearest], color: RGBColor| {
            let pairs = from.iter().zip(side);
            let line = |(dot, nearest): (&Dot, &Nearest)| {
                PathElement::new([dot.at, to[nearest.cluster].at], color.mix(0.45))
            };
            pairs.map(line).collect::<Vec<_>>()
        };
        chart.draw_series(lines(&left, &right, &matching.left, LEFT))?;
        chart.draw_series(lines(&right, &left, &matching.right, RIGHT))?;
        let largest = both().map(|dot| dot.points).max().unwrap_or(1) as f64;
        for (dots, color) in [(&left, LEFT), (&right, RIGHT)] {
            chart.draw_series(dots.iter().map(|dot| {
                let radius = 2.0 + 10.0 * (dot.points as f64 / largest).sqrt();
                Circle::new(dot.at, radius as i32, color.mix(0.6).filled())
            }))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// A cluster in the drawing.
struct Dot {
    at: (f64, f64),
    points: usize,
}

impl Dot {
    fn all(clusters: &Clusters) -> Vec<Dot> {
        let dot = |points: ndarray::ArrayView2<'_, f64>| {
            // Each is divided first, so that no sum overflows.
            let len = points.nrows() as f64;
            let mean = |axis| points.column(axis).iter().map(|x| x / len).sum();
            Dot {
                at: (mean(0), mean(1)),
                points: points.nrows(),
            }
        };
        clusters.iter().map(dot).collect()
    }
}

/// From the least to the largest value, and some room.
fn extent(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value);
        high = high.max(value);
    }
    // What a drawing can show: halves, so that the length of the axis does not overflow either.
    let room = (0.04 * (high / 2.0 - low / 2.0) * 2.0)
        .max(low.abs().max(high.abs()) * 1e-6)
        .max(1e-300);
    (low - room).max(-f64::MAX / 4.0)..(high + room).min(f64::MAX / 4.0)
}
