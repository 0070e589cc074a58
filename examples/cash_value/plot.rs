//! The cash flows over time as an SVG drawing.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use scipar::kernels::cash_value::MonthlyFlows;

use crate::report::Run;

/// The two panels of one scenario. What policyholders pay and get is tens of times what the company spends and keeps.
const PANELS: [(&str, &[Line]); 2] = [
    (
        "Premiums and claims",
        &[
            Line {
                name: "Premiums",
                color: RGBColor(0, 114, 178),
                width: 2,
            },
            Line {
                name: "Claims",
                color: RGBColor(213, 94, 0),
                width: 2,
            },
        ],
    ),
    (
        "Expenses, commissions and net cash flow",
        &[
            Line {
                name: "Expenses",
                color: RGBColor(204, 121, 167),
                width: 2,
            },
            Line {
                name: "Commissions",
                color: RGBColor(230, 159, 0),
                width: 2,
            },
            Line {
                name: NET,
                color: RGBColor(0, 158, 115),
                width: 3,
            },
        ],
    ),
];

struct Line {
    name: &'static str,
    color: RGBColor,
    width: u32,
}

const NET: &str = "Net Cashflow";
const FONT: &str = "sans-serif";
const GREY: RGBColor = RGBColor(90, 90, 90);

/// A panel with a scale of its own.
struct Panel {
    title: String,
    curves: Vec<Curve>,
}

/// Yearly sums of monthly flows, as stairs.
struct Curve {
    name: String,
    /// What the legend calls it; `None` where it stands under the name of an earlier curve.
    legend: Option<String>,
    style: ShapeStyle,
    sums: Vec<f64>,
}

/// Draws the flows of one scenario, or the net cash flow of several and its mean.
pub(crate) fn svg(runs: &[Run], subtitle: &str) -> Result<String, Box<dyn Error>> {
    let (title, panels) = match runs {
        [run] => {
            let flows = run.projection.cash_flows();
            let panels = PANELS.map(|(title, lines)| panel(title, lines, flows));
            ("Cash flows per projection year", Vec::from(panels))
        }
        _ => ("Net cash flow per projection year", vec![fan(runs)]),
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1000, 760)).into_drawing_area();
        root.fill(&WHITE)?;
        text(&root, title, (20, 14), 26, &BLACK)?;
        text(&root, subtitle, (20, 46), 15, &GREY)?;
        let (_, charts) = root.split_vertically(72);
        for (area, panel) in charts.split_evenly((panels.len(), 1)).iter().zip(&panels) {
            draw(area, panel)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// Some flows of one scenario.
fn panel(title: &str, lines: &[Line], flows: &MonthlyFlows) -> Panel {
    let curve = |line: &Line| Curve {
        name: line.name.to_owned(),
        legend: Some(line.name.to_owned()),
        style: line.color.stroke_width(line.width),
        sums: yearly_sums(flows, line.name),
    };
    Panel {
        title: title.to_owned(),
        curves: lines.iter().map(curve).collect(),
    }
}

/// The net cash flow of several scenarios: thin lines, which share one name in the legend, and their mean.
fn fan(runs: &[Run]) -> Panel {
    let mut mean: Vec<f64> = Vec::new();
    let mut curves = Vec::new();
    for run in runs {
        let sums = yearly_sums(run.projection.cash_flows(), NET);
        mean.resize(sums.len(), 0.0);
        for (mean, sum) in mean.iter_mut().zip(&sums) {
            // Each is divided first, so that no sum overflows.
            *mean += sum / runs.len() as f64;
        }
        curves.push(Curve {
            name: format!("scenario {}", run.scenario),
            legend: curves.is_empty().then(|| "each scenario".to_owned()),
            style: RGBColor(0, 114, 178).mix(0.7).stroke_width(1),
            sums,
        });
    }
    curves.push(Curve {
        name: "mean".to_owned(),
        legend: Some("mean".to_owned()),
        style: RGBColor(0, 158, 115).stroke_width(4),
        sums: mean,
    });
    Panel {
        title: "The scenarios and their mean".to_owned(),
        curves,
    }
}

fn draw(area: &DrawingArea<SVGBackend, Shift>, panel: &Panel) -> Result<(), Box<dyn Error>> {
    let Panel { title, curves } = panel;
    let scale = Scale::of(curves.iter().flat_map(|curve| curve.sums.iter().copied()));
    let years = curves
        .iter()
        .map(|curve| curve.sums.len())
        .max()
        .unwrap_or(0)
        .max(1);

    let beyond: Vec<String> = curves
        .iter()
        .flat_map(|curve| {
            curve
                .sums
                .iter()
                .enumerate()
                .map(|(year, &sum)| (&curve.name, year + 1, sum))
        })
        .filter(|(_, _, sum)| !scale.range.contains(sum))
        .map(|(name, year, sum)| format!("{name} of year {year}, {}", scale.tick(sum)))
        .collect();
    let title = match beyond.as_slice() {
        [] => title.to_owned(),
        _ => format!(
            "{title} (off the scale: {} {})",
            beyond.join("; "),
            scale.unit_name
        ),
    };

    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 17).into_font().color(&BLACK))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..years as f64, scale.range.clone())?;
    chart
        .configure_mesh()
        .x_desc("years from the start of the projection")
        .y_desc(scale.label())
        .x_labels(years.min(11) + 1)
        .y_labels(7)
        .x_label_formatter(&|year| format!("{year:.0}"))
        .y_label_formatter(&|amount| scale.tick(*amount))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(GREY)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (years as f64, 0.0)], GREY))?;

    for curve in curves {
        let stairs = curve.sums.iter().enumerate().flat_map(|(year, &sum)| {
            let sum = sum.clamp(scale.range.start, scale.range.end);
            [(year as f64, sum), (year as f64 + 1.0, sum)]
        });
        let style = curve.style;
        let drawn = chart.draw_series(LineSeries::new(stairs, style))?;
        if let Some(name) = &curve.legend {
            drawn
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

fn text(
    area: &DrawingArea<SVGBackend, Shift>,
    text: &str,
    at: (i32, i32),
    size: u32,
    color: &RGBColor,
) -> Result<(), Box<dyn Error>> {
    Ok(area.draw_text(text, &(FONT, size).into_text_style(area).color(color), at)?)
}

fn yearly_sums(flows: &MonthlyFlows, name: &str) -> Vec<f64> {
    let months = flows.column(name).unwrap_or_default();
    months.chunks(12).map(|year| year.iter().sum()).collect()
}

/// A vertical axis and the unit of its labels.
struct Scale {
    range: Range<f64>,
    unit: f64,
    unit_name: &'static str,
}

impl Scale {
    /// Fits the values and zero, but for one that dwarfs all others: single premiums fall due in
    /// the first year, and on their scale every later year would be a flat line.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let top = reach(values.clone());
        let bottom = reach(values.map(|value| -value));
        let range = if top + bottom > 0.0 {
            -1.08 * bottom..1.08 * top
        } else {
            0.0..1.0
        };
        let (unit, unit_name) = [
            (1e12, "trillions"),
            (1e9, "billions"),
            (1e6, "millions"),
            (1e3, "thousands"),
        ]
        .into_iter()
        .find(|(unit, _)| top.max(bottom) >= *unit)
        .unwrap_or((1.0, "units"));
        Self {
            range,
            unit,
            unit_name,
        }
    }

    fn label(&self) -> String {
        format!("{} per year", self.unit_name)
    }

    fn tick(&self, amount: f64) -> String {
        // Adding zero turns the negative zero that rounding leaves into a plain one.
        format!("{:.1}", (amount / self.unit * 10.0).round() / 10.0 + 0.0)
    }
}

/// The largest value, or the second if the largest is more than twice that; at least 0.
fn reach(values: impl Iterator<Item = f64>) -> f64 {
    let (mut first, mut second) = (0.0, 0.0);
    for value in values {
        if value > first {
            (first, second) = (value, first);
        } else if value > second {
            second = value;
        }
    }
    if second > 0.0 && first > 2.0 * second {
        second
    } else {
        first
    }
}
