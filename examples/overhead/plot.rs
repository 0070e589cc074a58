//! The speed-up against the amount of work, in numbers and as an SVG drawing.

use std::error::Error;

use plotters::prelude::*;

/// What a map of some length takes in a serial loop, and how many times faster the others are.
pub(crate) struct Point {
    pub(crate) serial: f64,
    pub(crate) auto: f64,
    pub(crate) rayon: f64,
}

/// Which number of a point a line shows.
type Height = fn(&Point) -> f64;

/// The points of the plot in numbers.
pub(crate) fn listing(points: &[Point]) -> String {
    let mut table = format!(
        "{:<24}{:>12}{:>14}\n",
        "speed-up, serial = 1", "auto()", "rayon"
    );
    for Point {
        serial,
        auto,
        rayon,
    } in points
    {
        table += &format!("{:>15.1} us work{auto:>16.2}{rayon:>14.2}\n", serial * 1e6);
    }
    table
}

/// Speed-up against serial time, both on logarithmic scales: half as fast is as far from 1 as twice as fast.
pub(crate) fn svg(points: &[Point], workers: usize) -> Result<String, Box<dyn Error>> {
    let all = || points.iter().flat_map(|p| [p.auto, p.rayon]);
    let (bottom, top) = (all().fold(0.5, f64::min), all().fold(2.0, f64::max));
    let (left, right) = (points[0].serial.min(1e-7), points[points.len() - 1].serial);
    let (grey, blue, orange) = (
        RGBColor(90, 90, 90),
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
    );
    let title = format!("Speed-up of a map over a serial loop, in a pool of {workers}");

    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (900, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (0.8 * left..1.4 * right).log_scale(),
            (0.8 * bottom..1.25 * top).log_scale().base(2.0),
        )?;
    chart
        .configure_mesh()
        .x_desc("time of the serial loop, at about 100 ns per item")
        .y_desc("times faster than serial")
        .x_label_formatter(&|seconds| match (seconds * 1e9).round() {
            ns if ns < 1e3 => format!("{ns} ns"),
            ns if ns < 1e6 => format!("{} µs", ns / 1e3),
            ns => format!("{} ms", ns / 1e6),
        })
        .y_label_formatter(&|times| match times.log2().round() {
            power if power < 0.0 => format!("1/{}", (-power).exp2()),
            power => power.exp2().to_string(),
        })
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    let lines: [(_, _, Height); 3] = [
        ("serial", grey, |_| 1.0),
        ("rayon par_iter", orange, |p| p.rayon),
        ("scipar auto()", blue, |p| p.auto),
    ];
    for (name, color, y) in lines {
        let line = points.iter().map(|p| (p.serial, y(p)));
        let style = color.stroke_width(3);
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(grey)
        .label_font(("sans-serif", 17))
        .draw()?;
    root.present()?;
    drop((chart, root));
    Ok(svg)
}
