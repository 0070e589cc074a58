//! The bandwidth over the size of the message as an SVG drawing.

use std::error::Error;

use plotters::prelude::*;

use crate::{CONTENDERS, Row};

/// By contender: a color for each channel, pale where messages are moved.
const COLORS: [RGBColor; 5] = [
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(90, 90, 90),
];

/// Bandwidth over size, both on logarithmic scales: a cost per message is a straight line, a bound of the memory a level one.
pub(crate) fn svg(rows: &[Row]) -> Result<String, Box<dyn Error>> {
    let line = |contender: usize| {
        rows.iter().filter_map(move |row| {
            let bandwidth = row.cells[contender].bandwidth?;
            Some((row.bytes as f64, bandwidth))
        })
    };
    let all = || (0..CONTENDERS.len()).flat_map(line);
    let largest = all().fold(4.0, |most: f64, (bytes, _)| most.max(bytes));
    let bottom = all().fold(1e6, |least: f64, (_, bandwidth)| least.min(bandwidth));
    let top = all().fold(1e9, |most: f64, (_, bandwidth)| most.max(bandwidth));
    let grey = RGBColor(90, 90, 90);

    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (900, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Bandwidth of Queue and pipe between two threads",
            ("sans-serif", 24),
        )
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(
            (0.8..1.4 * largest).log_scale(),
            (0.7 * bottom..1.5 * top).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("size of the message (bytes)")
        .y_desc("bandwidth (bytes per second)")
        .x_label_formatter(&|bytes| with_unit(*bytes, "B"))
        .y_label_formatter(&|bandwidth| with_unit(*bandwidth, "B/s"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    for (contender, color) in COLORS.into_iter().enumerate() {
        let style = color.stroke_width(3);
        chart
            .draw_series(LineSeries::new(line(contender), style))?
            .label(CONTENDERS[contender].name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(grey)
        .label_font(("sans-serif", 17))
        .draw()?;
    root.present()?;
    drop((chart, root));
    Ok(svg)
}

/// A number of bytes with a decimal prefix: 1 kB is 1000 bytes.
fn with_unit(number: f64, unit: &str) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P"];
    let power = (number.log10() + 1e-9).div_euclid(3.0);
    let index = power.clamp(0.0, 5.0);
    let scaled = number / 1000_f64.powf(index);
    // Down to one digit, so that 0.1 is not 0.1000001.
    let digits = if scaled < 0.95 { 1 } else { 0 };
    format!("{scaled:.digits$} {}{unit}", prefixes[index as usize])
}
