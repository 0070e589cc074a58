//! Weak and strong scaling of the kernels over worker counts, and what a scaling law makes of it for more cores.
//!
//! ```sh
//! cargo run --release --example scaling -- --plot scaling.svg
//! ```
//!
//! The counts take turns, 1 2 4, 1 2 4, so that what else the machine does hits all alike; speed-ups are of one turn. Every answer is
//! compared with that of a serial run. How to read the tables: the page `scaling` of the crate's documentation.

#[allow(dead_code)] // The half that reads is for other examples.
#[path = "common/files.rs"]
mod files;
#[path = "scaling/loads.rs"]
mod loads;
#[path = "scaling/plot.rs"]
mod plot;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use scipar::Workers;
use scipar::measure::{Scaling, UslFit, strong_scaling, weak_scaling};

use files::Output;
use loads::{Kernel, Load};
use terminal::whole;

/// Measures strong and weak scaling of kernels over worker counts, and forecasts for more cores.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Worker counts, with 1 among them, as 1,2,4 [default: 1,2,3,4,6,8,12 ... up to the number of processors]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true,
          value_parser = whole(1..=1024))]
    workers: Vec<u32>,

    /// Turns of each count [default: 7, with --quick 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=10_000))]
    repeat: Option<u32>,

    /// The work; may be given more than once [default: every kernel]
    #[arg(long, value_name = "NAME")]
    kernel: Vec<Kernel>,

    /// Draw speed-up over workers, with the fitted laws
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Little work and three turns: a second, to see that it runs
    #[arg(long)]
    quick: bool,
}

const AFTER_HELP: &str = "\
Definitions:
  strong scaling  the same work on more workers; speed-up is T(1)/T(N)
  weak scaling    N times the work on N workers; scaled speed-up is N T(1)/T(N)
  relative        speed-up against the row before
  efficiency      speed-up per worker
  +-              standard deviation over the turns
  law             X(N) = lambda N / (1 + sigma (N-1) + kappa N(N-1)), the universal scalability law;
                  it takes three worker counts, and four to be checked
  95 %            where one further measurement would be if the law holds so far out

Rows with more workers than processors say how processors are shared, not how a program scales.

Exit code: 0 if everything was written, 2 with one message otherwise.";

/// Cores that laws are asked about.
const FORECASTS: [usize; 3] = [8, 16, 64];

/// What was found for a load.
struct Study {
    kernel: Kernel,
    strong: Scaling,
    weak: Scaling,
    /// None where there are too few worker counts.
    strong_fit: Option<UslFit>,
    weak_fit: Option<UslFit>,
}

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let output = match &args.plot {
        Some(path)
            if path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("svg")) =>
        {
            Some(Output::new(path, [])?)
        }
        Some(path) => {
            let message = "expected a plot name that ends in .svg";
            return Err(format!("{}: {message}", path.display()).into());
        }
        None => None,
    };
    let processors = Workers::all().count();
    let counts: Vec<usize> = match args.workers.is_empty() {
        true => default_counts(processors),
        false => args.workers.iter().map(|n| *n as usize).collect(),
    };
    if !counts.contains(&1) {
        return Err("expected 1 among the worker counts: speed-up is against one worker".into());
    }
    let repetitions = match (args.repeat, args.quick) {
        (Some(n), _) => n as usize,
        (None, true) => 3,
        (None, false) => 7,
    };
    let mut kernels = args.kernel.clone();
    if kernels.is_empty() {
        kernels = Kernel::ALL.to_vec();
    }
    kernels.sort_unstable();
    kernels.dedup();

    let most = counts.iter().copied().max().unwrap_or(1);
    let mut studies = Vec::new();
    for kernel in kernels {
        let load = kernel.load(&counts, args.quick)?;
        let study = study(kernel, load.as_ref(), &counts, repetitions)?;
        terminal::print(&report(&study, load.as_ref())?)?;
        studies.push(study);
    }
    if most > processors {
        terminal::print(&format!(
            "note: {} here; rows with more workers say how they are shared, and so do the laws fitted to them\n",
            terminal::counted(processors, "processor")
        ))?;
    }
    if let Some(output) = output {
        let svg = plot::svg(&studies)?;
        let staged = output.stage(|file| file.write_all(svg.as_bytes()))?;
        for path in files::commit(vec![staged])? {
            terminal::print(&format!("wrote {}\n", path.display()))?;
        }
    }
    Ok(())
}

/// Powers of two and what lies halfway between them, and the number of processors: few enough for a machine with many.
fn default_counts(processors: usize) -> Vec<usize> {
    let powers = (0..usize::BITS - 1).map(|power| 1 << power);
    powers
        .flat_map(|power: usize| [power, power + power / 2])
        .take_while(|count| *count < processors)
        .chain([processors])
        .collect()
}

/// Strong and weak scaling of a load; fails where an answer is not that of the serial run.
fn study(
    kernel: Kernel,
    load: &dyn Load,
    counts: &[usize],
    repetitions: usize,
) -> Result<Study, Box<dyn Error>> {
    let mut wrong = None;
    let mut check = |workers: usize, answer: Result<(), String>| {
        if let Err(message) = answer {
            wrong.get_or_insert(format!("{kernel} on {workers} workers: {message}"));
        }
    };
    let strong = strong_scaling(counts, repetitions, |pool| {
        check(pool.num_workers(), load.run(pool, load.strong_shares()));
    })?;
    let weak = weak_scaling(counts, repetitions, |pool, shares| {
        check(shares, load.run(pool, shares));
    })?;
    match wrong {
        Some(message) => Err(message.into()),
        None => Ok(Study {
            kernel,
            strong_fit: strong.fit_usl().ok(),
            weak_fit: weak.fit_usl().ok(),
            strong,
            weak,
        }),
    }
}

/// Both tables, each with its law and forecasts.
fn report(study: &Study, load: &dyn Load) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for (scaling, shares) in [
        (&study.strong, Some(load.strong_shares())),
        (&study.weak, None),
    ] {
        writeln!(text, "{}: {}", study.kernel, load.describe(shares))?;
        writeln!(text, "{scaling}")?;
        match scaling.fit_usl() {
            Ok(fit) => {
                writeln!(text, "law: {fit}")?;
                for workers in FORECASTS {
                    writeln!(text, "  {}", fit.forecast(workers))?;
                }
                if let (None, Ok(fit)) = (shares, scaling.fit_gustafson()) {
                    writeln!(text, "  Gustafson's serial share: {}", fit.serial)?;
                }
            }
            Err(error) => writeln!(text, "no forecast: {error}")?,
        }
        writeln!(text)?;
    }
    Ok(text)
}
