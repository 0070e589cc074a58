//! What the program prints and writes.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use scipar::Timing;
use scipar::kernels::cash_value::{MonthlyFlows, Portfolio, PresentValues, Projection};
use scipar::measure::{MeasureError, Samples};

use crate::terminal::counted;

/// A scenario and the portfolio projected under it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scenario: u32,
    pub(crate) projection: Projection,
}

/// What was projected.
pub(crate) fn heading(num_points: usize, runs: &[Run], workers: usize) -> String {
    let horizon = runs.first().map_or(0, |run| run.projection.horizon());
    format!(
        "{}, {}, {}, {}\n\n",
        counted(num_points, "point"),
        counted(horizon, "month"),
        scenarios(runs),
        counted(workers, "worker"),
    )
}

/// Which scenario, or how many.
pub(crate) fn scenarios(runs: &[Run]) -> String {
    match runs {
        [run] => format!("scenario {}", run.scenario),
        _ => counted(runs.len(), "scenario"),
    }
}

/// The totals: one line for each of one scenario, or one line for each scenario.
pub(crate) fn totals(runs: &[Run]) -> Result<String, MeasureError> {
    match runs {
        [run] => Ok(totals_of_one(&run.projection)),
        _ => totals_of_several(runs),
    }
}

fn totals_of_one(projection: &Projection) -> String {
    let mut table = format!("{:<17} {:>24}\n", "Present value", "Total");
    for (name, total) in PresentValues::NAMES
        .iter()
        .zip(projection.totals().to_array())
    {
        // Adding zero turns a negative zero into a plain one.
        let _ = writeln!(table, "{name:<17} {:>24.4}", total + 0.0);
    }
    table
}

fn totals_of_several(runs: &[Run]) -> Result<String, MeasureError> {
    let mut table = format!(
        "{:>10} {:>21} {:>21} {:>21} {:>21}\n",
        "Scenario", "Premiums", "Claims", "Investment Income", "Net Cashflow"
    );
    for Run {
        scenario,
        projection,
    } in runs
    {
        let totals = projection.totals();
        let claims = totals.death + totals.surrender + totals.maturity;
        let _ = writeln!(
            table,
            "{scenario:>10} {:>21.4} {:>21.4} {:>21.4} {:>21.4}",
            totals.premiums + 0.0,
            claims + 0.0,
            totals.investment_income + 0.0,
            totals.net_cashflow + 0.0,
        );
    }
    let net = runs.iter().map(|run| run.projection.totals().net_cashflow);
    let net = Samples::new(net.collect())?;
    table += "\n";
    for (name, value) in [
        ("Mean", Some(net.mean())),
        ("Standard deviation", net.sd()),
        ("Least", Some(net.min())),
        ("Largest", Some(net.max())),
    ] {
        if let Some(value) = value {
            // Under the column of the net cash flow.
            let _ = writeln!(table, "{name:<18} {:>79.4}", value + 0.0);
        }
    }
    Ok(table)
}

/// What the clocks say, against the same kernel on one worker.
pub(crate) fn timing(parallel: &Timing, serial: &Timing, workers: usize) -> String {
    let seconds = serial.wall.as_secs_f64();
    let speed_up = seconds / parallel.wall.as_secs_f64().max(f64::MIN_POSITIVE);
    let mut lines = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(lines, "{name:<17} {value}");
    };
    line("Wall time", format!("{:.6} s", parallel.wall.as_secs_f64()));
    line("CPU time", format!("{:.6} s", parallel.cpu.as_secs_f64()));
    line(
        "Parallelism",
        format!("{:.2} of {workers}", parallel.parallelism()),
    );
    line(
        "Speed-up",
        format!("{speed_up:.2} over the serial run ({seconds:.6} s, same kernel, no pool)"),
    );
    line("Bound", parallel.bound(workers).to_string());
    lines
}

/// One line per point: its number and its nine present values, so that reading gives the same bits.
pub(crate) fn write_present_values(
    out: &mut dyn Write,
    portfolio: &Portfolio,
    runs: &[Run],
) -> io::Result<()> {
    let names = PresentValues::NAMES.join(",");
    writeln!(out, "{}point_id,{names}", lead(runs, "scenario"))?;
    for run in runs {
        let lead = lead(runs, run.scenario);
        let values = run.projection.present_values();
        for (id, values) in portfolio.point_ids().iter().zip(values) {
            write_row(out, format_args!("{lead}{id}"), values.to_array())?;
        }
    }
    Ok(())
}

/// One line per month: undiscounted sums over the points, so that reading gives the same bits.
pub(crate) fn write_cash_flows(out: &mut dyn Write, runs: &[Run]) -> io::Result<()> {
    let names = MonthlyFlows::NAMES.join(",");
    writeln!(out, "{}t,{names}", lead(runs, "scenario"))?;
    for run in runs {
        let lead = lead(runs, run.scenario);
        let flows = run.projection.cash_flows();
        for month in 0..flows.len() {
            write_row(out, format_args!("{lead}{month}"), flows.row(month))?;
        }
    }
    Ok(())
}

/// What lines begin with where there are several scenarios.
fn lead(runs: &[Run], scenario: impl Display) -> String {
    match runs {
        [_] => String::new(),
        _ => format!("{scenario},"),
    }
}

fn write_row<const N: usize>(
    out: &mut dyn Write,
    key: impl Display,
    values: [f64; N],
) -> io::Result<()> {
    write!(out, "{key}")?;
    for value in values {
        // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
        write!(out, ",{value:?}")?;
    }
    writeln!(out)
}
