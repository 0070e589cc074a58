//! The command line, and which files it means.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;

use scipar::Workers;
use scipar::kernels::cash_value::{Assumptions, CashValueError};

use crate::files::{self, Output};
use crate::scenarios::Scenarios;
use crate::terminal::whole;

/// The points that are projected unless `--points` names others.
const DEFAULT_POINTS: &str = "model_points_10000.csv";

/// What `Assumptions::read_dir` reads; here only so that no output overwrites one of them.
const TABLES: [&str; 5] = [
    "product_spec_table.csv",
    "mort_table.csv",
    "surr_charge_table.csv",
    "disc_rate_ann.csv",
    "std_norm_rand.csv",
];

/// Projects a portfolio of savings policies month by month, in parallel.
///
/// Prints the totals of the present values, then how long the projection took and what the
/// clocks say about it. The numbers are the same, bit for bit, for any number of workers.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Directory of the assumption tables [default: the shipped examples/data/cash_value]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,

    /// Policy points, .csv or .csv.gz [default: model_points_10000.csv, in DIR if there, else shipped]
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,

    /// Investment scenarios of std_norm_rand.csv: a number, a list with ranges such as 1,3,5-10, or all
    /// [default: 1, or the lowest number where there is no 1]
    #[arg(long, value_name = "LIST", allow_negative_numbers = true, value_parser = Scenarios::parse)]
    scenario: Option<Scenarios>,

    /// Worker threads, 1 to 1024 [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = whole(1..=1024))]
    workers: Option<u32>,

    /// Bytes of the points that are read at most, unpacked: 500MB, 64GiB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, default_value = "16GiB",
          value_parser = files::size)]
    pub(crate) max_input_size: u64,

    /// Write the nine present values of every point
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// Write the cash flows of every month, summed over the points
    #[arg(long, value_name = "FILE.csv")]
    cash_flows: Option<PathBuf>,

    /// Draw the cash flows over time; of several scenarios the net cash flow, and its mean
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Project N times, report the fastest and print its seconds, without reading and writing
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = whole(1..=1_000_000))]
    pub(crate) repeat: Option<u32>,
}

const AFTER_HELP: &str = "\
Files:
  DIR holds product_spec_table.csv, mort_table.csv, surr_charge_table.csv, disc_rate_ann.csv
  and std_norm_rand.csv, with the columns of the shipped ones.
  FILE of --points has a header with point_id, spec_id, age_at_entry, policy_term, policy_count,
  sum_assured, duration_mth, premium_pp and av_pp_init in any order; other columns are ignored.
  Numbers are written so that reading them back gives the same bits. An output is written whole
  or not at all; one whose name ends in .gz is compressed.

Scenarios:
  With several of them the report has one line for each, then mean, standard deviation (n - 1),
  least and largest of the net cash flow; files have a first column scenario, and one scenario
  after the other, in the order of LIST.

Examples:
  cash_value
  cash_value --points portfolio.csv.gz --out values.csv --plot flows.svg
  cash_value --tables my_tables --scenario 3 --cash-flows flows.csv
  cash_value --scenario 1,3,5-10 --out values.csv
  cash_value --scenario all --plot scenarios.svg
  cash_value --workers 4 --repeat 10

Exit code: 0 if everything was written, 2 with one message otherwise.";

/// What the program reads.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) tables: PathBuf,
    pub(crate) points: PathBuf,
}

/// What the program writes, checked to be writable.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) present_values: Option<Output>,
    pub(crate) cash_flows: Option<Output>,
    pub(crate) plot: Option<Output>,
}

impl Args {
    /// As many as asked for, else all.
    pub(crate) fn workers(&self) -> Workers {
        self.workers
            .map_or(Workers::all(), |n| Workers::exactly(n as usize))
    }

    /// The numbers of the scenarios asked for, else the one that is selected.
    pub(crate) fn scenarios(&self, assumptions: &Assumptions) -> Result<Vec<u32>, CashValueError> {
        match &self.scenario {
            None => Ok(vec![assumptions.scenario()]),
            Some(scenarios) => scenarios.numbers(assumptions),
        }
    }

    /// Fills in the defaults.
    pub(crate) fn inputs(&self) -> Inputs {
        let shipped = shipped_data();
        let tables = self.tables.clone().unwrap_or_else(|| shipped.clone());
        let points = self.points.clone().unwrap_or_else(|| {
            let beside = tables.join(DEFAULT_POINTS);
            if beside.exists() {
                beside
            } else {
                shipped.join(DEFAULT_POINTS)
            }
        });
        Inputs { tables, points }
    }

    /// Refuses what could not be written in the end: unwritable places, an input, one file twice.
    pub(crate) fn outputs(&self, inputs: &Inputs) -> Result<Outputs, Box<dyn Error>> {
        let tables: Vec<_> = TABLES.iter().map(|name| inputs.tables.join(name)).collect();
        let taken = || tables.iter().chain([&inputs.points]).map(PathBuf::as_path);
        let checked = |path: &Option<PathBuf>| match path {
            Some(path) => Output::new(path, taken()).map(Some),
            None => Ok(None),
        };
        if let Some(path) = &self.plot
            && !path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("svg"))
        {
            let message = "expected a plot name that ends in .svg";
            return Err(format!("{}: {message}", path.display()).into());
        }
        let outputs = Outputs {
            present_values: checked(&self.out)?,
            cash_flows: checked(&self.cash_flows)?,
            plot: checked(&self.plot)?,
        };
        let all = [&outputs.present_values, &outputs.cash_flows, &outputs.plot];
        let all: Vec<&Output> = all.into_iter().flatten().collect();
        for (i, output) in all.iter().enumerate() {
            if all[..i].iter().any(|earlier| earlier.is_same_file(output)) {
                let message = "named for two outputs, expected a file for each";
                return Err(format!("{}: {message}", output.path().display()).into());
            }
        }
        Ok(outputs)
    }
}

/// The data in the repository: found from any directory by the user who built the program,
/// and from the repository's root by one who copied it.
fn shipped_data() -> PathBuf {
    const FOLDER: &str = "examples/data/cash_value";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    if built.is_dir() {
        built
    } else {
        PathBuf::from(FOLDER)
    }
}
