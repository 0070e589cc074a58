//! Cash value of a savings portfolio: ten thousand policies, projected month by month, in parallel.
//!
//! ```sh
//! cargo run --release --example cash_value -- --help
//! ```

#[path = "cash_value/args.rs"]
mod args;
#[path = "common/files.rs"]
mod files;
#[path = "cash_value/plot.rs"]
mod plot;
#[path = "cash_value/report.rs"]
mod report;
#[path = "cash_value/scenarios.rs"]
mod scenarios;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use scipar::kernels::CsvOptions;
use scipar::kernels::cash_value::{Assumptions, CashValueError, Portfolio, Projection, Projector};
use scipar::{Chunking, Pool, Timer, Timing};

use args::{Args, Outputs};
use report::Run;

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let inputs = args.inputs();
    let outputs = args.outputs(&inputs)?;

    let assumptions = Assumptions::read_dir(&inputs.tables)?;
    let scenarios = args.scenarios(&assumptions)?;
    let points = files::open(&inputs.points, args.max_input_size)?;
    let options = CsvOptions::new().max_input_bytes(args.max_input_size);
    let portfolio = Portfolio::from_csv_reader_with(points, &inputs.points, &options)?;
    let pool = Pool::builder().workers(args.workers()).build()?;
    let repeat = args.repeat.unwrap_or(1);
    let num_points = portfolio.len() * scenarios.len();

    // The projection itself, on all workers.
    let (projections, parallel) = fastest(repeat, num_points, |bar| {
        let projector = Projector::new(&portfolio, &assumptions).pool(&pool);
        pool.time(|| {
            projector
                .progress(|done| bar.set_position(done as u64))
                .run_scenarios(&scenarios)
        })
    })?;
    let runs: Vec<Run> = scenarios
        .iter()
        .zip(projections)
        .map(|(&scenario, projection)| Run {
            scenario,
            projection,
        })
        .collect();
    let written = write_outputs(outputs, &portfolio, &runs)?;

    // The same kernel on this thread alone, to know what the pool is worth.
    let (_, serial) = fastest(repeat, num_points, |bar| {
        let projector = Projector::new(&portfolio, &assumptions).chunking(Chunking::serial());
        let timer = Timer::start();
        let projections = projector
            .progress(|done| bar.set_position(done as u64))
            .run_scenarios(&scenarios);
        (projections, timer.elapsed())
    })?;

    let workers = pool.num_workers();
    let mut report = report::heading(portfolio.len(), &runs, workers);
    report += &report::totals(&runs)?;
    report += "\n";
    report += &report::timing(&parallel, &serial, workers);
    if args.repeat.is_some() {
        let seconds = parallel.wall.as_secs_f64();
        report += &format!("kernel seconds (best of {repeat}): {seconds:.6}\n");
    }
    for path in written {
        report += &format!("wrote {}\n", path.display());
    }
    terminal::print(&report)
}

/// Runs `repeat` times under a progress bar, which shows itself on a terminal only. Keeps the
/// timing of the fastest run; the projections are the same each time.
fn fastest(
    repeat: u32,
    num_points: usize,
    run: impl Fn(&ProgressBar) -> (Result<Vec<Projection>, CashValueError>, Timing),
) -> Result<(Vec<Projection>, Timing), CashValueError> {
    let bar = ProgressBar::new(num_points as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} points {elapsed}") {
        bar.set_style(style);
    }
    let once = || -> Result<(Vec<Projection>, Timing), CashValueError> {
        bar.reset();
        let (projections, timing) = run(&bar);
        Ok((projections?, timing))
    };
    let mut best = once()?;
    for _ in 1..repeat {
        let next = once()?;
        if next.1.wall < best.1.wall {
            best = next;
        }
    }
    bar.finish_and_clear();
    Ok(best)
}

/// Writes what was asked for: first every file beside its target, then all get their names.
fn write_outputs(
    outputs: Outputs,
    portfolio: &Portfolio,
    runs: &[Run],
) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut staged = Vec::new();
    if let Some(output) = outputs.present_values {
        let content = |file: &mut dyn Write| report::write_present_values(file, portfolio, runs);
        staged.push(output.stage(content)?);
    }
    if let Some(output) = outputs.cash_flows {
        let content = |file: &mut dyn Write| report::write_cash_flows(file, runs);
        staged.push(output.stage(content)?);
    }
    if let Some(output) = outputs.plot {
        let subtitle = format!(
            "{}, {}; sums over twelve months, in the currency of the portfolio, not discounted",
            terminal::counted(portfolio.len(), "point"),
            report::scenarios(runs),
        );
        let svg = plot::svg(runs, &subtitle)?;
        staged.push(output.stage(|file| file.write_all(svg.as_bytes()))?);
    }
    files::commit(staged)
}
