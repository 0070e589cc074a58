//! Read, parse, compute, write in order: a file of policies of any length through a bounded stream.
//!
//! ```sh
//! cargo run --release --example pipeline -- --compare
//! ```
//!
//! A reader cuts the file into blocks of lines. The workers of a pool parse and price one block each, with the kernel of the example
//! `cash_value` on one thread. This thread takes the results in the order of the file, adds them up and writes them. At most `--window`
//! blocks are in flight, that is read and not yet written, so memory is bounded whatever the file's length, and a slow disk at either end holds
//! up the rest. For the same reason `--max-input-size` is large here: it only ends what has no end.
//!
//! Rows and totals have the same bits for any number of workers and any size of block. One kind of policy could break that: if it is past its
//! term when the projection begins, the model ends it with the last month of whatever it is projected with, here its block. It is refused,
//! unless nobody is left of it by then. The example `cash_value` takes the last month of the whole file; the shipped files have no such policy.

#[path = "pipeline/blocks.rs"]
mod blocks;
#[allow(dead_code)] // A part is for programs with several outputs.
#[path = "common/files.rs"]
mod files;
#[path = "common/policies.rs"]
mod policies;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use scipar::kernels::cash_value::{
    Assumptions, CashValueError, Portfolio, PresentValues, Projection, Projector,
};
use scipar::{Chunking, Pool, Timer, Timing, Workers};

use blocks::{Block, Blocks};
use files::{Output, Staged};
use terminal::{counted, whole};

/// The points that are priced unless `--points` names others.
const DEFAULT_POINTS: &str = "model_points_10000.csv";

/// What `Assumptions::read_dir` reads; here only so that the output does not overwrite one of them.
const TABLES: [&str; 5] = [
    "product_spec_table.csv",
    "mort_table.csv",
    "surr_charge_table.csv",
    "disc_rate_ann.csv",
    "std_norm_rand.csv",
];

/// Policies that `--quick` reads.
const FEW: u64 = 1_000;

/// Prices a file of savings policies block by block, in parallel and in order.
///
/// Prints the totals of the present values, how many blocks were in flight, and what the clocks say. The
/// numbers are the same, bit for bit, for any number of workers and any size of block.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Policy points, .csv or .csv.gz [default: model_points_10000.csv, in DIR if there, else shipped]
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,

    /// Directory of the assumption tables [default: the shipped examples/data/cash_value]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,

    /// Worker threads, 1 to 1024 [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=1024))]
    workers: Option<u32>,

    /// Lines per block
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "256",
          value_parser = whole(1..=10_000_000))]
    block: u32,

    /// Blocks in flight: read and not yet written [default: 4 per worker]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=1_000_000))]
    window: Option<u32>,

    /// Bytes of the points that are read at most, unpacked: 500MB, 64GiB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, default_value = "1TiB",
          value_parser = files::size)]
    max_input_size: u64,

    /// Write the nine present values of every point, in the order of the points
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// Do the same work again in a plain loop over the blocks, and report the speed-up
    #[arg(long)]
    compare: bool,

    /// The first 1000 points only
    #[arg(long)]
    quick: bool,
}

const AFTER_HELP: &str = "\
Files:
  DIR and FILE of --points are those of the example cash_value. The output is written whole or not
  at all; one whose name ends in .gz is compressed. A policy that is past its term when the
  projection begins is refused, unless nobody is left of it by the last month of its block, with
  which the model ends it.

Examples:
  pipeline
  pipeline --points portfolio.csv.gz --out values.csv.gz
  pipeline --workers 4 --block 1000 --window 6 --compare

Exit code: 0 if everything was written, 2 with one message otherwise.";

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let shipped = shipped_data();
    let tables = args.tables.clone().unwrap_or_else(|| shipped.clone());
    let points = args.points.clone().unwrap_or_else(|| {
        let beside = tables.join(DEFAULT_POINTS);
        match beside.exists() {
            true => beside,
            false => shipped.join(DEFAULT_POINTS),
        }
    });
    let inputs: Vec<PathBuf> = TABLES.iter().map(|name| tables.join(name)).collect();
    let output = || -> Result<Option<Output>, Box<dyn Error>> {
        let taken = inputs.iter().chain([&points]).map(PathBuf::as_path);
        let path = args.out.as_deref();
        path.map(|path| Output::new(path, taken)).transpose()
    };
    let first_output = output()?;
    if args.compare
        && std::fs::metadata(&points).is_ok_and(|data| !data.is_file() && !data.is_dir())
    {
        let message = "is not a file, expected one that --compare can read twice";
        return Err(format!("{}: {message}", points.display()).into());
    }

    let assumptions = Assumptions::read_dir(&tables)?;
    let workers = args
        .workers
        .map_or(Workers::all(), |n| Workers::exactly(n as usize));
    let pool = Pool::builder().workers(workers).build()?;
    let task = Task {
        points: &points,
        assumptions: &assumptions,
        pool: &pool,
        block: args.block as usize,
        window: args
            .window
            .map_or(4 * pool.num_workers(), |blocks| blocks as usize),
        most: if args.quick { FEW } else { u64::MAX },
        most_bytes: args.max_input_size,
        keeps_rows: args.out.is_some(),
    };

    let (summary, staged) = written(first_output, |out| task.stream(out))?;
    let paths = files::commit(staged.into_iter().collect())?;
    let mut report = task.report(&summary);
    if args.compare {
        // With a file of its own, which nobody will see: the same work to the last byte.
        let (serial, _) = written(output()?, |out| task.plain_loop(out))?;
        if serial.totals.map(f64::to_bits) != summary.totals.map(f64::to_bits) {
            return Err(format!("{}: changed while it was read", points.display()).into());
        }
        let seconds = serial.timing.wall.as_secs_f64();
        let times = seconds / summary.timing.wall.as_secs_f64().max(f64::MIN_POSITIVE);
        let value = format!("{times:.2} over a plain loop over the same blocks ({seconds:.6} s)");
        let _ = writeln!(report, "{:<17} {value}", "Speed-up");
    }
    for path in paths {
        let _ = writeln!(report, "wrote {}", path.display());
    }
    terminal::print(&report)
}

/// What is to be done.
struct Task<'a> {
    points: &'a Path,
    assumptions: &'a Assumptions,
    pool: &'a Pool,
    block: usize,
    window: usize,
    most: u64,
    most_bytes: u64,
    /// Somebody wants the rows, and not only their sums.
    keeps_rows: bool,
}

/// Why a block cannot be priced.
type Refusal = Box<dyn Error + Send + Sync>;

/// What becomes of a block.
struct Priced {
    values: Vec<PresentValues>,
    /// As they are written.
    rows: Vec<u8>,
    /// Nobody is left after the last month.
    all_end: bool,
}

/// What becomes of a file.
struct Summary {
    policies: usize,
    blocks: usize,
    totals: [f64; 9],
    /// The most blocks that were in flight at once.
    peak: usize,
    timing: Timing,
}

/// Why there is no summary: bad input, or an output that cannot be written.
enum Failure {
    Input(Box<dyn Error>),
    Output(io::Error),
}

impl From<CashValueError> for Failure {
    fn from(error: CashValueError) -> Self {
        Failure::Input(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(error: Refusal) -> Self {
        Failure::Input(error)
    }
}

impl Task<'_> {
    /// The pipeline: one thread at a time reads, all of them parse and price, this one adds up and writes.
    fn stream(&self, out: &mut dyn Write) -> Result<Summary, Failure> {
        let (in_flight, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let blocks = self.blocks()?.inspect(|_| {
            let now = in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            peak.fetch_max(now, Ordering::Relaxed);
        });
        let mut summary = self.pool.scope(|scope| {
            let priced = scope.stream(blocks, |block| self.price(&block?));
            let arrived = priced.window(self.window).inspect(|_| {
                in_flight.fetch_sub(1, Ordering::Relaxed);
            });
            self.collect(arrived, out)
        })?;
        summary.peak = peak.load(Ordering::Relaxed);
        Ok(summary)
    }

    /// The same on this thread alone.
    fn plain_loop(&self, out: &mut dyn Write) -> Result<Summary, Failure> {
        self.collect(self.blocks()?.map(|block| self.price(&block?)), out)
    }

    fn blocks(&self) -> Result<Blocks<impl io::Read + Send>, Failure> {
        let file = files::open(self.points, self.most_bytes).map_err(Failure::Input)?;
        Ok(Blocks::new(file, self.points, self.block, self.most)?)
    }

    /// Parses and prices a block. Errors name lines of the block; if there is one, all is done again to have it name the line of the file.
    fn price(&self, block: &Block) -> Result<Priced, Refusal> {
        let price = |portfolio: Result<Portfolio, CashValueError>| match portfolio {
            Ok(portfolio) => self.price_portfolio(&portfolio),
            // Lines, but no policies on them. The file may have some elsewhere.
            Err(CashValueError::Empty { .. }) => Ok(Priced {
                values: Vec::new(),
                rows: Vec::new(),
                all_end: true,
            }),
            Err(error) => Err(error),
        };
        let priced = price(block.portfolio(self.points))
            .or_else(|_| price(block.portfolio_in_place(self.points)))?;
        match priced.all_end {
            true => Ok(priced),
            false => Err(self.endless(block)?),
        }
    }

    /// The refusal of a block with a policy that is past its term: looks for it line by line.
    fn endless(&self, block: &Block) -> Result<Refusal, CashValueError> {
        for (line, single) in block.single_lines(self.points)? {
            let portfolio = single?.portfolio(self.points)?;
            if !self.price_portfolio(&portfolio)?.all_end {
                let (file, point) = (self.points.display(), portfolio.point_ids()[0]);
                let message = format!(
                    "{file}: line {line}: point {point} is past its term when the projection begins, expected one that ends: \
                     its values would depend on the size of the block"
                );
                return Ok(message.into());
            }
        }
        Ok("a policy without an end, in no line".into())
    }

    fn price_portfolio(&self, portfolio: &Portfolio) -> Result<Priced, CashValueError> {
        let projection = Projector::new(portfolio, self.assumptions)
            .pool(self.pool)
            .chunking(Chunking::serial())
            .run()?;
        let mut rows = Vec::new();
        if self.keeps_rows {
            for (id, values) in portfolio
                .point_ids()
                .iter()
                .zip(projection.present_values())
            {
                let _ = write!(rows, "{id}");
                for value in values.to_array() {
                    // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
                    let _ = write!(rows, ",{value:?}");
                }
                rows.push(b'\n');
            }
        }
        Ok(Priced {
            values: projection.present_values().to_vec(),
            rows,
            all_end: all_end(&projection),
        })
    }

    /// The last stage. Totals are added up from the first policy to the last, as in a projection of the whole file.
    fn collect(
        &self,
        priced: impl Iterator<Item = Result<Priced, Refusal>>,
        out: &mut dyn Write,
    ) -> Result<Summary, Failure> {
        // On a terminal only.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} policies {elapsed}") {
            bar.set_style(style);
        }
        let timer = Timer::start();
        let (mut policies, mut blocks, mut totals) = (0, 0, [0.0; 9]);
        if self.keeps_rows {
            writeln!(out, "point_id,{}", PresentValues::NAMES.join(","))
                .map_err(Failure::Output)?;
        }
        for priced in priced {
            let Priced { values, rows, .. } = priced?;
            for values in &values {
                for (total, value) in totals.iter_mut().zip(values.to_array()) {
                    *total += value;
                }
            }
            out.write_all(&rows).map_err(Failure::Output)?;
            policies += values.len();
            blocks += 1;
            bar.set_position(policies as u64);
        }
        bar.finish_and_clear();
        if policies == 0 {
            let table = self.points.display().to_string();
            return Err(CashValueError::Empty { table }.into());
        }
        for (name, total) in PresentValues::NAMES.iter().zip(totals) {
            if !total.is_finite() {
                let what = format!("total present value \"{name}\"");
                return Err(CashValueError::NotFinite { what, found: total }.into());
            }
        }
        Ok(Summary {
            policies,
            blocks,
            totals,
            peak: 1,
            timing: timer.elapsed(),
        })
    }

    /// What was done, the totals one line each, and what the clocks say.
    fn report(&self, summary: &Summary) -> String {
        let Summary {
            policies,
            blocks,
            totals,
            peak,
            timing,
        } = summary;
        let workers = self.pool.num_workers();
        let mut report = format!(
            "{}, {} of up to {}, {}\n\n{:<17} {:>24}\n",
            match policies {
                1 => "1 policy".to_owned(),
                n => format!("{n} policies"),
            },
            counted(*blocks, "block"),
            counted(self.block, "line"),
            counted(workers, "worker"),
            "Present value",
            "Total"
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
            "In flight",
            format!(
                "{} at most, window {}",
                counted(*peak, "block"),
                self.window
            ),
        );
        line("Wall time", format!("{:.6} s", timing.wall.as_secs_f64()));
        line("CPU time", format!("{:.6} s", timing.cpu.as_secs_f64()));
        line(
            "Parallelism",
            format!("{:.2} of {workers}", timing.parallelism()),
        );
        report
    }
}

/// Whether nobody is left after the last month: so it is where each policy matures, in the last month at the latest.
fn all_end(projection: &Projection) -> bool {
    let flows = projection.cash_flows();
    let Some(last) = flows.len().checked_sub(1) else {
        return false;
    };
    let [in_force, maturing, issued, dying, lapsing] = flows.policy_row(last);
    // Sums of the same numbers in different orders differ in their last digits.
    in_force + issued - maturing - dying - lapsing <= 1e-12 * (in_force + issued)
}

/// Does the work with an output that has no name yet, or with none.
fn written(
    output: Option<Output>,
    work: impl FnOnce(&mut dyn Write) -> Result<Summary, Failure>,
) -> Result<(Summary, Option<Staged>), Box<dyn Error>> {
    let Some(output) = output else {
        return match work(&mut io::sink()) {
            Ok(summary) => Ok((summary, None)),
            Err(Failure::Input(error)) => Err(error),
            Err(Failure::Output(error)) => Err(error.into()),
        };
    };
    let (mut summary, mut bad_input) = (None, None);
    let staged = output.stage(|file| match work(file) {
        Ok(done) => {
            summary = Some(done);
            Ok(())
        }
        Err(Failure::Output(error)) => Err(error),
        Err(Failure::Input(error)) => {
            let message = error.to_string();
            bad_input = Some(error);
            Err(io::Error::other(message))
        }
    });
    match (bad_input, summary) {
        (Some(error), _) => Err(error),
        (None, Some(summary)) => Ok((summary, Some(staged?))),
        (None, None) => Err(staged.err().unwrap_or_else(|| "nothing was done".into())),
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
