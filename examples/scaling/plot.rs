//! Speed-up over workers as an SVG drawing: measurements with error bars, the ideal, and the fitted laws.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use scipar::measure::{Scaling, UslFit};

use crate::{FORECASTS, Study};

/// By kernel.
const COLORS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];
const GREY: RGBColor = RGBColor(90, 90, 90);

/// Strong scaling on the left, weak scaling on the right.
pub(crate) fn svg(studies: &[Study]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (1240, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(620);
    let lines = |pick: fn(&Study) -> (&Scaling, Option<&UslFit>)| {
        let of_study = move |study| {
            let (scaling, fit) = pick(study);
            (study.kernel.to_string(), scaling, fit)
        };
        studies.iter().map(of_study).collect::<Vec<_>>()
    };
    let strong = lines(|study| (&study.strong, study.strong_fit.as_ref()));
    let weak = lines(|study| (&study.weak, study.weak_fit.as_ref()));
    panel(&left, "Strong scaling", "speed-up", &strong)?;
    panel(&right, "Weak scaling", "scaled speed-up", &weak)?;
    root.present()?;
    drop((left, right, root));
    Ok(svg)
}

type Line<'a> = (String, &'a Scaling, Option<&'a UslFit>);

/// Both axes are logarithmic: the ideal is a straight line, and doubling is the same step everywhere.
fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    y_name: &str,
    lines: &[Line<'_>],
) -> Result<(), Box<dyn Error>> {
    let measured = lines.iter().flat_map(|(_, scaling, _)| scaling.rows());
    let most = measured.map(|row| row.workers).max().unwrap_or(1);
    let has_fit = lines.iter().any(|(_, _, fit)| fit.is_some());
    let furthest = if has_fit {
        FORECASTS[FORECASTS.len() - 1]
    } else {
        4 // on less, plotters names fractions between the powers of two, one over the other
    };
    let right = most.max(furthest) as f64;
    let (bottom, top) = (0.5, right * 1.4);
    let within = |y: f64| y.clamp(bottom, top);

    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (0.85..1.3 * right).log_scale().base(2.0),
            (bottom..top).log_scale().base(2.0),
        )?;
    let label = |value: &f64| value.to_string();
    chart
        .configure_mesh()
        .x_desc("workers")
        .y_desc(y_name)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    let ideal = GREY.stroke_width(1);
    chart
        .draw_series(LineSeries::new([(1.0, 1.0), (right, right)], ideal))?
        .label("ideal")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], ideal));

    for (index, (name, scaling, fit)) in lines.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let thick = color.stroke_width(3);
        // A little aside for each kernel, so that bars do not hide each other.
        let aside = move |workers: usize| workers as f64 * (1.0 + 0.05 * index as f64);
        // A mean and one standard deviation on either side.
        let bars = scaling.rows().iter().map(|row| {
            let (x, sd) = (aside(row.workers), row.speed_up.sd.unwrap_or(0.0));
            let (low, high) = (row.speed_up.mean - sd, row.speed_up.mean + sd);
            PathElement::new([(x, within(low)), (x, within(high))], thick)
        });
        chart.draw_series(bars)?;
        let dots = scaling.rows().iter().map(|row| {
            let at = (aside(row.workers), within(row.speed_up.mean));
            Circle::new(at, 5, color.filled())
        });
        chart
            .draw_series(dots)?
            .label(format!("{name}, measured"))
            .legend(move |(x, y)| Circle::new((x + 9, y), 5, color.filled()));
        let Some(fit) = fit else { continue };
        // Solid as far as it was measured, dashed beyond; no further down than the drawing goes.
        let curve = |from: f64, to: f64| {
            let steps = 96;
            let law = fit.law();
            (0..=steps)
                .map(move |step| from * (to / from).powf(f64::from(step) / f64::from(steps)))
                .map(move |x| (x, law.throughput(x)))
                .filter(move |(_, y)| (bottom..top).contains(y))
        };
        let thin = color.stroke_width(2);
        let last = fit.largest_count() as f64;
        chart
            .draw_series(LineSeries::new(curve(1.0, last), thin))?
            .label(format!("{name}, law"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], thin));
        chart.draw_series(DashedLineSeries::new(curve(last, right), 6, 4, thin))?;
        let pale = color.mix(0.35).stroke_width(8);
        let mut has_interval = false;
        for workers in FORECASTS.into_iter().filter(|n| *n > fit.largest_count()) {
            let forecast = fit.forecast(workers);
            if let Some((low, high)) = forecast.interval {
                let x = aside(workers);
                let ends = [(x, within(low)), (x, within(high))];
                chart.draw_series([PathElement::new(ends, pale)])?;
                has_interval = true;
            }
        }
        if has_interval {
            let nothing: [PathElement<(f64, f64)>; 0] = [];
            chart
                .draw_series(nothing)?
                .label(format!("{name}, forecast, 95 %"))
                .legend(move |(x, y)| PathElement::new([(x + 9, y - 8), (x + 9, y + 8)], pale));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(GREY)
        .label_font(("sans-serif", 16))
        .draw()?;
    Ok(())
}
