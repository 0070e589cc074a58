//! Which cluster is nearest to which: two sets of point clusters matched with each other, in both directions.
//!
//! ```sh
//! cargo run --release --example match_clusters -- --plot matching.svg
//! ```
//!
//! Without files, the clusters are those of the notebook "Accelerating Python for Scientific Computing": 400 and 200 of them, 83,219 points,
//! 1.7 billion pairs. Indices and distances have the same bits for any number of workers.

#[path = "common/files.rs"]
mod files;
#[path = "match_clusters/plot.rs"]
mod plot;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use scipar::kernels::CsvOptions;
use scipar::kernels::chamfer::{self, Chamfer, Matching, Nearest};
use scipar::kernels::clusters::{Clusters, PointsError, generate};
use scipar::{Pool, Timing, Workers};

use files::Output;
use terminal::{counted, whole};

/// Matches clusters of points with their nearest ones, in parallel.
///
/// Prints how far the nearest clusters are, how long it took and what the clocks say about it.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Clusters of the left side, .csv or .csv.gz [default: 400 random ones]
    #[arg(long, value_name = "FILE", requires = "right")]
    left: Option<PathBuf>,

    /// Clusters of the right side, .csv or .csv.gz [default: 200 random ones]
    #[arg(long, value_name = "FILE", requires = "left")]
    right: Option<PathBuf>,

    /// Bytes of a file that are read at most, unpacked: 500MB, 64GiB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, default_value = "16GiB",
          value_parser = files::size)]
    max_input_size: u64,

    /// The distance of two points
    #[arg(long, value_enum, default_value = "euclidean")]
    metric: Metric,

    /// What becomes of the two mean distances
    #[arg(long, value_enum, default_value = "max-of-means")]
    reduction: Reduction,

    /// Worker threads, 1 to 1024 [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=1024))]
    workers: Option<u32>,

    /// Write the nearest cluster of every cluster
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// Draw the clusters and their nearest ones
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Match N times, report the fastest and print its seconds, without reading and writing
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=1_000_000))]
    repeat: Option<u32>,

    /// Fewer random clusters: 50 and 30
    #[arg(long, conflicts_with_all = ["left", "right"])]
    quick: bool,
}

const AFTER_HELP: &str = "\
Files:
  Clusters have the columns cluster_id,x,y,z, one line per point. Numbers of clusters begin at 0 and
  ascend without gaps. The output has the columns side,cluster,nearest,distance: first the clusters
  of the left side (L), then those of the right (R). Numbers are written so that reading them back
  gives the same bits. An output is written whole or not at all; one whose name ends in .gz is
  compressed.

Examples:
  match_clusters
  match_clusters --left l.csv.gz --right r.csv --metric squared-euclidean --reduction sum-of-means
  match_clusters --workers 4 --repeat 10 --out nearest.csv --plot matching.svg

Exit code: 0 if everything was written, 2 with one message otherwise.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Metric {
    Euclidean,
    SquaredEuclidean,
    /// The root of the scalar product, as in the notebook
    SqrtDot,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reduction {
    /// The larger one
    MaxOfMeans,
    SumOfMeans,
    /// Half their sum
    Mean,
}

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let [out, plot] = args.outputs()?;
    let (lefts, rights) = args.clusters()?;
    let workers = args
        .workers
        .map_or(Workers::all(), |n| Workers::exactly(n as usize));
    let pool = Pool::builder().workers(workers).build()?;
    let (matching, timing) = fastest(args, &lefts, &rights, &pool)?;

    let mut staged = Vec::new();
    if let Some(output) = out {
        staged.push(output.stage(|file| write_rows(file, &matching))?);
    }
    if let Some(output) = plot {
        let svg = plot::svg(&lefts, &rights, &matching)?;
        staged.push(output.stage(|file| file.write_all(svg.as_bytes()))?);
    }
    let written = files::commit(staged)?;

    let mut report = summary(&lefts, &rights, &matching, &timing, pool.num_workers());
    if let Some(repeat) = args.repeat {
        let seconds = timing.wall.as_secs_f64();
        let _ = writeln!(report, "kernel seconds (best of {repeat}): {seconds:.6}");
    }
    for path in written {
        let _ = writeln!(report, "wrote {}", path.display());
    }
    terminal::print(&report)
}

impl Args {
    /// Refuses what could not be written in the end: unwritable places, an input, one file twice.
    fn outputs(&self) -> Result<[Option<Output>; 2], Box<dyn Error>> {
        if let Some(path) = &self.plot
            && !path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("svg"))
        {
            let message = "expected a plot name that ends in .svg";
            return Err(format!("{}: {message}", path.display()).into());
        }
        let checked = |path: &Option<PathBuf>| {
            let taken = [&self.left, &self.right].into_iter().flatten();
            path.as_ref()
                .map(|path| Output::new(path, taken.map(PathBuf::as_path)))
                .transpose()
        };
        let (out, plot) = (checked(&self.out)?, checked(&self.plot)?);
        if let (Some(out), Some(plot)) = (&out, &plot)
            && out.is_same_file(plot)
        {
            let message = "named for two outputs, expected a file for each";
            return Err(format!("{}: {message}", plot.path().display()).into());
        }
        Ok([out, plot])
    }

    fn clusters(&self) -> Result<(Clusters, Clusters), Box<dyn Error>> {
        let read = |path: &Path| -> Result<Clusters, Box<dyn Error>> {
            let file = files::open(path, self.max_input_size)?;
            let options = CsvOptions::new().max_input_bytes(self.max_input_size);
            Ok(Clusters::from_csv_reader_with(file, path, &options)?)
        };
        match (&self.left, &self.right) {
            (Some(left), Some(right)) => Ok((read(left)?, read(right)?)),
            _ if self.quick => Ok((generate(50, 35, 1)?, generate(30, 23, 2)?)),
            _ => Ok((generate(400, 200, 1)?, generate(200, 450, 2)?)),
        }
    }

    fn chamfer(&self) -> Chamfer<'_> {
        let metric = match self.metric {
            Metric::Euclidean => chamfer::Metric::Euclidean,
            Metric::SquaredEuclidean => chamfer::Metric::SquaredEuclidean,
            Metric::SqrtDot => chamfer::Metric::SqrtDot,
        };
        let reduction = match self.reduction {
            Reduction::MaxOfMeans => chamfer::Reduction::MaxOfMeans,
            Reduction::SumOfMeans => chamfer::Reduction::SumOfMeans,
            Reduction::Mean => chamfer::Reduction::Mean,
        };
        Chamfer::new().metric(metric).reduction(reduction)
    }
}

/// Matches as often as asked for, under a progress bar, which shows itself on a terminal only. Keeps the timing of the fastest run; the
/// matching is the same each time.
fn fastest(
    args: &Args,
    lefts: &Clusters,
    rights: &Clusters,
    pool: &Pool,
) -> Result<(Matching, Timing), PointsError> {
    let bar = ProgressBar::new(lefts.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} clusters {elapsed}")
    {
        bar.set_style(style);
    }
    let once = || -> Result<(Matching, Timing), PointsError> {
        bar.reset();
        let mut options = args.chamfer().pool(pool);
        if !bar.is_hidden() {
            options = options.progress(|finished| bar.set_position(finished as u64));
        }
        let (matching, timing) = pool.time(|| options.nearest_clusters(lefts, rights));
        Ok((matching?, timing))
    };
    let mut best = once()?;
    for _ in 1..args.repeat.unwrap_or(1) {
        let next = once()?;
        if next.1.wall < best.1.wall {
            best = next;
        }
    }
    bar.finish_and_clear();
    Ok(best)
}

/// How far the nearest clusters are, and what the clocks say.
fn summary(
    lefts: &Clusters,
    rights: &Clusters,
    matching: &Matching,
    timing: &Timing,
    workers: usize,
) -> String {
    let pairs = lefts.num_points() as f64 * rights.num_points() as f64;
    let mut report = format!(
        "{} and {}, {}, {pairs:.3e} pairs of points, {}\n\n{:<17} {:>12} {:>12} {:>12} {:>8}\n",
        counted(lefts.len(), "cluster"),
        rights.len(),
        counted(lefts.num_points() + rights.num_points(), "point"),
        counted(workers, "worker"),
        "Nearest distance",
        "least",
        "median",
        "largest",
        "mutual",
    );
    let sides = [
        ("left to right", &matching.left, &matching.right),
        ("right to left", &matching.right, &matching.left),
    ];
    for (name, side, other) in sides {
        let mut distances: Vec<f64> = side.iter().map(|nearest| nearest.distance).collect();
        distances.sort_by(f64::total_cmp);
        let last = distances.len() - 1;
        let mutual = side.iter().enumerate();
        let mutual = mutual.filter(|(i, nearest)| other[nearest.cluster].cluster == *i);
        let _ = writeln!(
            report,
            "{name:<17} {:>12.6} {:>12.6} {:>12.6} {:>8}",
            distances[0],
            distances[last / 2],
            distances[last],
            mutual.count(),
        );
    }
    let mut line = |name: &str, value: String| {
        let _ = writeln!(report, "{name:<17} {value}");
    };
    line(
        "\nWall time",
        format!(" {:.6} s", timing.wall.as_secs_f64()),
    );
    line("CPU time", format!("{:.6} s", timing.cpu.as_secs_f64()));
    line(
        "Parallelism",
        format!("{:.2} of {workers}", timing.parallelism()),
    );
    line("Bound", timing.bound(workers).to_string());
    report
}

fn write_rows(out: &mut dyn Write, matching: &Matching) -> io::Result<()> {
    writeln!(out, "side,cluster,nearest,distance")?;
    let mut side = |name: &str, side: &[Nearest]| {
        side.iter().enumerate().try_for_each(|(i, nearest)| {
            // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
            writeln!(out, "{name},{i},{},{:?}", nearest.cluster, nearest.distance)
        })
    };
    side("L", &matching.left)?;
    side("R", &matching.right)
}
