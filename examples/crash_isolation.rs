//! Code that crashes, in processes of its own: every policy but the poisoned ones is priced.
//!
//! ```sh
//! cargo run --release --example crash_isolation
//! ```
//!
//! The portfolio of the example `cash_value` is priced policy by policy on worker processes. Three policies are poisoned: one aborts, one
//! reads from a null pointer, one never comes back. On threads the first two take the program with them, and the third keeps it for ever. Here
//! each of them costs a worker, which is replaced; what else the worker had before it is tried again, in halves, until the policy that kills
//! is alone. The program then says which policies failed and how, and compares the present values of all others, bit by bit, with those
//! that it computes itself on threads.
//!
//! Two ways of giving workers what every item needs:
//!
//! * The assumption tables cannot be serialised, so each worker reads them itself when it starts: the pool's *initializer*.
//! * What can be is sent once to each worker that takes part: the *context* of the run.

#[path = "crash_isolation/book.rs"]
mod book;
#[allow(dead_code)] // A part is for programs with several outputs.
#[path = "common/files.rs"]
mod files;
#[path = "crash_isolation/poison.rs"]
mod poison;
#[path = "common/policies.rs"]
mod policies;
#[path = "common/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use scipar::kernels::cash_value::{Assumptions, Portfolio, PresentValues, Projector};
use scipar::process::{self, ProcessError, ProcessPool, Stderr, task};
use scipar::{Chunking, Clock, Outcome, Outcomes, Pool, Timer, Timing, Workers};

use book::{Book, Policy};
use files::Output;
use poison::{Fault, Poisons};
use terminal::whole;

/// The points that are priced unless `--points` names others.
const DEFAULT_POINTS: &str = "model_points_10000.csv";

/// Policies that `--quick` prices.
const FEW: usize = 1_000;

/// Prices savings policies on worker processes while three of the policies crash or hang them.
///
/// Prints the policies that failed and how, the totals of the others, and how many workers it took. Every
/// present value is compared, bit by bit, with what this process computes on threads.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Policy points, .csv or .csv.gz, one line each [default: the shipped model_points_10000.csv]
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,

    /// Directory of the assumption tables [default: the shipped examples/data/cash_value]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,

    /// Worker processes, 1 to 256 [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=256))]
    workers: Option<u32>,

    /// How long a policy may take before its worker is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value = "1",
          value_parser = seconds)]
    timeout: Duration,

    /// Which points go wrong, and how: abort, segfault, exit, panic, hang; or none
    #[arg(long, value_name = "FAULT=ID,...", default_value = "abort=137,segfault=502,hang=771",
          value_parser = Poisons::parse)]
    poison: Poisons,

    /// Bytes of the points that are read at most, unpacked: 500MB, 64GiB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, default_value = "16GiB",
          value_parser = files::size)]
    max_input_size: u64,

    /// Write a line per point: its nine present values, or why it has none
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// The first 1000 points only
    #[arg(long)]
    quick: bool,
}

const AFTER_HELP: &str = "\
Files:
  DIR and FILE of --points are those of the example cash_value. The output is written whole or not
  at all; one whose name ends in .gz is compressed.

Examples:
  crash_isolation
  crash_isolation --workers 4 --timeout 0.5 --out values.csv
  crash_isolation --poison segfault=1,segfault=2,panic=3,exit=10000

Exit code: 0 if everything but the poisoned points was priced, 2 with one message otherwise.";

/// What every worker needs, sent once to each.
#[derive(Serialize, Deserialize)]
struct Job {
    /// The first line of the file, with the names that matter.
    header: String,
    /// Faults by the point's place in the file.
    faults: BTreeMap<usize, Fault>,
}

/// What a worker has for as long as it lives.
struct Model {
    assumptions: Assumptions,
    /// This thread alone: there is a worker for each processor already.
    pool: Pool,
}

static MODEL: OnceLock<Model> = OnceLock::new();

task! {
    /// Reads the tables: the first thing that a new worker does. A panic here is an error where the pool is built.
    fn load_model(tables: PathBuf) {
        let assumptions = Assumptions::read_dir(&tables).unwrap_or_else(|error| panic!("{error}"));
        let pool = Pool::new(1);
        MODEL.get_or_init(|| Model { assumptions, pool });
    }

    /// Prices one policy, or meets its fault.
    fn price(job: &Job, policy: Policy) -> Result<[f64; 9], String> {
        price_one(job, &policy).map_err(|error| error.to_string())
    }
}

fn price_one(job: &Job, policy: &Policy) -> Result<[f64; 9], Box<dyn Error>> {
    let model = MODEL.get().ok_or("the initializer has not run")?;
    let text = job.header.as_bytes().chain(policy.line.as_bytes());
    let portfolio = Portfolio::from_csv_reader(text, "a policy")?;
    if let Some(fault) = job.faults.get(&policy.index) {
        fault.strike(portfolio.point_ids()[0]);
    }
    let projection = Projector::new(&portfolio, &model.assumptions)
        .pool(&model.pool)
        .chunking(Chunking::serial())
        .run()?;
    Ok(projection.present_values()[0].to_array())
}

fn main() -> ExitCode {
    process::init(); // in a worker it serves, and does not return
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let shipped = shipped_data();
    let tables = args.tables.clone().unwrap_or_else(|| shipped.clone());
    let points = args.points.clone();
    let points = points.unwrap_or_else(|| shipped.join(DEFAULT_POINTS));
    let path = args.out.as_deref();
    let output = path
        .map(|path| Output::new(path, [points.as_path()]))
        .transpose()?;

    let file = files::open(&points, args.max_input_size)?;
    let book = Book::read(file, &points, if args.quick { FEW } else { usize::MAX })?;
    let faults = book.faults(&args.poison, &points)?;
    let assumptions = Assumptions::read_dir(&tables)?;
    let timer = Timer::start();
    let here = Projector::new(&book.portfolio, &assumptions).run()?;
    let threads = timer.elapsed();

    let job = Job {
        header: book.header.clone(),
        faults,
    };
    let run = priced_on_processes(args, &tables, &job, &book.policies)?;
    let rows = judged(&run.outcomes, &book, here.present_values())?;

    let mut report = report(&job, &run, &rows, threads);
    if let Some(output) = output {
        let staged = output.stage(|file| write_csv(file, &rows))?;
        for path in files::commit(vec![staged])? {
            let _ = writeln!(report, "wrote {}", path.display());
        }
    }
    terminal::print(&report)
}

/// What the processes brought.
struct Run {
    outcomes: Outcomes<Result<[f64; 9], String>, ProcessError>,
    workers: usize,
    starts: usize,
    /// Of this process and all workers, from the start of the first to the end of the last.
    timing: Timing,
}

fn priced_on_processes(
    args: &Args,
    tables: &Path,
    job: &Job,
    policies: &[Policy],
) -> Result<Run, Box<dyn Error>> {
    // On a terminal only.
    let bar = ProgressBar::new(policies.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} policies {elapsed}")
    {
        bar.set_style(style);
    }
    let timer = Timer::start_with(Clock::WithChildren);
    let workers = args
        .workers
        .map_or(Workers::all(), |n| Workers::exactly(n as usize));
    let pool = ProcessPool::builder()
        .workers(workers)
        .task_timeout(args.timeout)
        .stderr(Stderr::Kept) // for the errors, and off the bar
        .initializer(load_model, std::path::absolute(tables)?)
        .build()?;
    let outcomes = pool
        .over(policies)
        .progress(|progress| bar.set_position(progress.finished as u64))
        .context(job)
        .outcomes(price);
    let (workers, starts) = (pool.num_workers(), pool.num_starts());
    pool.shutdown(); // the CPU time of a worker is known when it has ended
    let timing = timer.elapsed();
    bar.finish_and_clear();
    Ok(Run {
        outcomes,
        workers,
        starts,
        timing,
    })
}

/// What became of one point.
struct Row {
    index: usize,
    point: i64,
    /// Or why there are none.
    values: Result<[f64; 9], String>,
}

/// Names what failed, and compares the rest with what this process has computed.
fn judged(
    outcomes: &Outcomes<Result<[f64; 9], String>, ProcessError>,
    book: &Book,
    here: &[PresentValues],
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::with_capacity(here.len());
    let points = book.portfolio.point_ids();
    for (index, (outcome, here)) in outcomes.items.iter().zip(here).enumerate() {
        let point = points[index];
        let values = match outcome {
            Outcome::Done(values) => values.clone(),
            Outcome::Failed(error) => Err(error.to_string()),
            Outcome::Panicked(panic) => Err(format!("panicked: {panic}")),
            _ => Err("not run".to_owned()),
        };
        if let Ok(values) = &values
            && values.map(f64::to_bits) != here.to_array().map(f64::to_bits)
        {
            let message = "has other present values by itself than in its portfolio, expected the same bits: it may be past its term";
            return Err(format!("point {point} (index {index}) {message}").into());
        }
        rows.push(Row {
            index,
            point,
            values,
        });
    }
    Ok(rows)
}

/// Who failed and how, the totals of the others, and what it took.
fn report(job: &Job, run: &Run, rows: &[Row], threads: Timing) -> String {
    let failed: Vec<(&Row, &String)> = rows
        .iter()
        .filter_map(|row| Some((row, row.values.as_ref().err()?)))
        .collect();
    let priced = rows.len() - failed.len();
    let mut report = format!(
        "{} on {}: {} poisoned, {} failed, {priced} priced\n\n",
        match rows.len() {
            1 => "1 policy".to_owned(),
            n => format!("{n} policies"),
        },
        match run.workers {
            1 => "1 worker process".to_owned(),
            n => format!("{n} worker processes"),
        },
        job.faults.len(),
        failed.len(),
    );
    for (Row { index, point, .. }, why) in &failed {
        let _ = writeln!(report, "point {point} (index {index}): {why}");
    }
    if !failed.is_empty() {
        report += "\n";
    }

    let mut totals = [0.0; 9];
    for values in rows.iter().flat_map(|row| &row.values) {
        for (total, value) in totals.iter_mut().zip(values) {
            *total += value;
        }
    }
    let _ = writeln!(
        report,
        "{:<17} {:>24}",
        "Present value", "Total of the priced"
    );
    for (name, total) in PresentValues::NAMES.iter().zip(totals) {
        // Adding zero turns a negative zero into a plain one.
        let _ = writeln!(report, "{name:<17} {:>24.4}", total + 0.0);
    }
    report += "\n";

    let mut line = |name: &str, value: String| {
        let _ = writeln!(report, "{name:<17} {value}");
    };
    line(
        "Check",
        format!("all {priced} have the bits of the same projection on threads"),
    );
    line(
        "Worker starts",
        format!(
            "{}: {} at first, {} for those that were lost",
            run.starts,
            run.workers,
            run.starts - run.workers
        ),
    );
    line(
        "Messages",
        format!(
            "{}, {:.0} policies each on average",
            run.outcomes.report.chunks,
            rows.len() as f64 / run.outcomes.report.chunks.max(1) as f64
        ),
    );
    line(
        "Wall time",
        format!(
            "{:.6} s, of which {:.6} s start and end workers",
            run.timing.wall.as_secs_f64(),
            run.timing
                .wall
                .saturating_sub(run.outcomes.report.wall)
                .as_secs_f64()
        ),
    );
    line(
        "CPU time",
        format!(
            "{:.6} s, of this process and all its workers",
            run.timing.cpu.as_secs_f64()
        ),
    );
    line(
        "On threads",
        format!(
            "{:.6} s wall time, {:.6} s CPU time, without poison and in blocks",
            threads.wall.as_secs_f64(),
            threads.cpu.as_secs_f64()
        ),
    );
    report
}

/// One line per point, the numbers so that reading gives the same bits.
fn write_csv(file: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    writeln!(
        file,
        "index,point_id,{},failure",
        PresentValues::NAMES.join(",")
    )?;
    for Row {
        index,
        point,
        values,
    } in rows
    {
        write!(file, "{index},{point}")?;
        match values {
            Ok(values) => {
                for value in values {
                    // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
                    write!(file, ",{value:?}")?;
                }
                writeln!(file, ",")?;
            }
            Err(why) => {
                let why = why.replace('"', "\"\"");
                writeln!(file, ",,,,,,,,,,\"{why}\"")?;
            }
        }
    }
    Ok(())
}

/// Reads a number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected a number of seconds from 0.01 to 3600".to_owned()),
    }
}

/// The data in the repository: found from any directory by the user who built the program, and from the repository's root by one who
/// copied it.
fn shipped_data() -> PathBuf {
    const FOLDER: &str = "examples/data/cash_value";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    match built.is_dir() {
        true => built,
        false => PathBuf::from(FOLDER),
    }
}
