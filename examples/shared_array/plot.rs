//! The time to hand an array over, by its size, as an SVG drawing.

use std::error::Error;

use plotters::prelude::*;

use crate::HandOver;

struct Line {
    name: &'static str,
    color: RGBColor,
    seconds: fn(&HandOver) -> f64,
}

/// Three lines over the size, both axes logarithmic: what is copied rises with the size, what is not stays level.
pub(crate) fn svg(rows: &[HandOver]) -> Result<String, Box<dyn Error>> {
    let lines = [
        Line {
            name: "Vec<f64>, copied",
            color: RGBColor(213, 94, 0),
            seconds: |row| row.vector,
        },
        Line {
            name: "Shared<f64>, not copied",
            color: RGBColor(0, 114, 178),
            seconds: |row| row.shared,
        },
        Line {
            name: "nothing: an empty call",
            color: RGBColor(120, 120, 120),
            seconds: |row| row.empty,
        },
    ];
    let times = || lines.iter().flat_map(|line| rows.iter().map(line.seconds));
    let bottom = times().fold(f64::MAX, f64::min);
    let top = times().fold(0.0, f64::max);
    let least = rows.first().map_or(1e6, |row| row.bytes as f64);
    let most = rows.last().map_or(1e6, |row| row.bytes as f64);

    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (900, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Handing an array to a worker process", ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(
            (0.8 * least..1.3 * most).log_scale(),
            (0.5 * bottom..3.0 * top).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("size of the array (bytes)")
        .y_desc("round trip of a call that reads one element")
        .x_label_formatter(&|bytes| bytes_of(*bytes))
        .y_label_formatter(&|seconds| time_of(*seconds))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    for Line {
        name,
        color,
        seconds,
    } in lines
    {
        let style = color.stroke_width(3);
        let points = || rows.iter().map(move |row| (row.bytes as f64, seconds(row)));
        chart
            .draw_series(LineSeries::new(points(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(points().map(|point| Circle::new(point, 4, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(90, 90, 90))
        .label_font(("sans-serif", 17))
        .draw()?;
    root.present()?;
    drop((chart, root));
    Ok(svg)
}

/// 1 MB is 10^6 bytes.
fn bytes_of(bytes: f64) -> String {
    match bytes {
        b if b < 0.95e6 => format!("{:.0} kB", b / 1e3),
        b if b < 0.95e9 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} GB", b / 1e9),
    }
}

fn time_of(seconds: f64) -> String {
    match seconds {
        s if s < 0.95e-3 => format!("{:.0} us", s * 1e6),
        s if s < 0.95 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}
