//! What the program prints and writes.

use std::fmt::Write as _;
use std::io::{self, Write};

use scipar::Timing;
use scipar::kernels::cash_value::{MonthlyFlows, Portfolio, PresentValues, Projection};

/// What was projected.
pub(crate) fn heading(
    num_points: usize,
    projection: &Projection,
    scenario: u32,
    workers: usize,
) -> String {
    format!(
        "{}, {}, scenario {scenario}, {}\n\n",
        counted(num_points, "point"),
        counted(projection.horizon(), "month"),
        counted(workers, "worker"),
    )
}

/// A number and what it counts.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The totals, one line each.
pub(crate) fn totals(projection: &Projection) -> String {
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
    projection: &Projection,
) -> io::Result<()> {
    writeln!(out, "point_id,{}", PresentValues::NAMES.join(","))?;
    for (id, values) in portfolio
        .point_ids()
        .iter()
        .zip(projection.present_values())
    {
        write_row(out, id, values.to_array())?;
    }
    Ok(())
}

/// One line per month: undiscounted sums over the points, so that reading gives the same bits.
pub(crate) fn write_cash_flows(out: &mut dyn Write, flows: &MonthlyFlows) -> io::Result<()> {
    writeln!(out, "t,{}", MonthlyFlows::NAMES.join(","))?;
    (0..flows.len()).try_for_each(|month| write_row(out, month, flows.row(month)))
}

fn write_row<const N: usize>(
    out: &mut dyn Write,
    key: impl std::fmt::Display,
    values: [f64; N],
) -> io::Result<()> {
    write!(out, "{key}")?;
    for value in values {
        // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
        write!(out, ",{value:?}")?;
    }
    writeln!(out)
}
