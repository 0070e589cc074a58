//! The grid: length x cost per item x shape, every contender in every cell.
//!
//! ```text
//! cargo bench --bench grid                      all cells, back to back and after pauses of 300 us (about 8 minutes)
//! cargo bench --bench grid -- --quick           fewer cells and rounds (a minute or two)
//! cargo bench --bench grid -- --sleep-ms 10     the caller sleeps before every call
//! cargo bench --bench grid -- --cold            one call site sees cheap and dear work in turn
//! cargo bench --bench grid -- --reduce          sums instead of maps
//! cargo bench --bench grid -- --filter 'tail 100 us'
//! ```
//!
//! Absolute times mean nothing between runs. Contenders are therefore interleaved: a round calls each of
//! them a few times, in an order shuffled anew, and there are rounds until a cell's time is spent. Medians are compared. Every
//! contender maps the same slice to a `Vec<f64>` with the same function, its answers are compared with the serial ones, and
//! results are dropped outside the timed region.
//!
//! Our schedule remembers what it saw at a call site, and tells sites apart by the type of the closure. All cells from 10 ns per item on use
//! one closure type, so one site sees all costs, cheap ones first; the warm-up of a cell (up to 40 calls of each contender) lets it
//! adapt, as at a real site that sees one kind of work. Cells of 1 ns have a closure of their own: arithmetic that vectorises and therefore
//! has no cost per item that could vary. `--cold` shows what a wrong memory costs.

#[path = "../common/mod.rs"]
mod common;
mod contenders;
mod report;

use std::time::{Duration, Instant};

use clap::Parser;

use common::machine;
use common::stats::{Random, median, percentile};
use common::work::{Chain, Light, Link, Plain, Shape, Work, numbers, steps_for};
use contenders::{Answer, Before, Contender, Operation, Peers, Plan};

/// Races this crate against serial code, rayon, orx-parallel, paralight and a static split.
#[derive(Parser, Debug)]
struct Options {
    /// Fewer cells and rounds: one or two minutes
    #[arg(long)]
    quick: bool,
    /// Every contender once on tiny inputs, to see that the answers are right
    #[arg(long)]
    test: bool,
    /// Only cells whose name contains this, as in "tail 100 us x 3000" or "x 16"
    #[arg(long, value_name = "SUBSTR")]
    filter: Option<String>,
    /// Only contenders whose names are in this list; serial and ours are always there
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Option<Vec<String>>,
    /// Which passes: calls back to back, calls after a pause, or both
    #[arg(long, value_enum, default_value_t = Passes::Both)]
    passes: Passes,
    /// How long the caller spins before each call in the second pass
    #[arg(long, value_name = "US", default_value_t = 300)]
    pause: u64,
    /// One pass instead, in which the caller sleeps for so long before each call
    #[arg(long, value_name = "MS")]
    sleep_ms: Option<u64>,
    /// Before each timed call, a call of the same site with items a thousand times dearer or cheaper
    #[arg(long)]
    cold: bool,
    /// Sums instead of maps
    #[arg(long)]
    reduce: bool,
    /// Seconds per cell and pass, where the least number of rounds does not take longer
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone, and on measuring disturbed cells again
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Passes {
    Tight,
    Paused,
    Both,
}

impl Options {
    fn passes(&self) -> Vec<Before> {
        if let Some(ms) = self.sleep_ms {
            return vec![Before::Sleep(Duration::from_millis(ms))];
        }
        let paused = Before::Spin(Duration::from_micros(self.pause));
        match self.passes {
            Passes::Tight => vec![Before::Nothing],
            Passes::Paused => vec![paused],
            Passes::Both => vec![Before::Nothing, paused],
        }
    }

    fn contenders(&self) -> Vec<Contender> {
        Contender::ALL
            .into_iter()
            .filter(|who| {
                matches!(who, Contender::Serial | Contender::Ours)
                    || self
                        .only
                        .as_ref()
                        .is_none_or(|names| names.iter().any(|name| name == who.name()))
            })
            .collect()
    }

    fn seconds_per_cell(&self) -> f64 {
        self.seconds.unwrap_or(match (self.quick, self.sleep_ms) {
            (_, Some(_)) => 2.5,
            (true, None) => 0.4,
            (false, None) => 1.2,
        })
    }
}

/// Work of a cell; the number is the nominal cost of an item in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Light,
    Plain,
    Chain(f64),
}

/// A point of the grid.
#[derive(Clone, Copy, Debug)]
struct Cell {
    len: usize,
    kind: Kind,
    shape: Shape,
}

impl Cell {
    fn name(&self) -> String {
        let cost = match self.kind {
            Kind::Light => "1 ns".to_owned(),
            Kind::Plain => "no f".to_owned(),
            Kind::Chain(ns) if ns < 1e3 => format!("{ns} ns"),
            Kind::Chain(ns) if ns < 1e6 => format!("{} us", ns / 1e3),
            Kind::Chain(ns) => format!("{} ms", ns / 1e6),
        };
        format!("{} {cost} x {}", self.shape.name(), self.len)
    }

    fn nominal(&self) -> f64 {
        self.len as f64
            * match self.kind {
                Kind::Light | Kind::Plain => 1.0,
                Kind::Chain(ns) => ns,
            }
    }
}

const LENGTHS: [usize; 6] = [1, 16, 100, 3_000, 100_000, 1_000_000];
const COSTS: [f64; 6] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/// The cells of a run, cheap items first.
fn cells(options: &Options) -> Vec<Cell> {
    let shapes: &[Shape] = if options.quick || options.test {
        &[Shape::Flat, Shape::Tail]
    } else {
        &Shape::ALL
    };
    let longest = match options {
        Options { test: true, .. } => 50e3,
        Options { quick: true, .. } => 31e6,
        Options {
            sleep_ms: Some(_), ..
        } => 110e6,
        _ => 310e6,
    };
    // Sleeping is about waking up: nothing is woken for less.
    let shortest = if options.sleep_ms.is_some() { 5e3 } else { 0.0 };
    let flat = |kind| {
        move |len| Cell {
            len,
            kind,
            shape: Shape::Flat,
        }
    };
    let mut cells = Vec::new();
    if options.reduce {
        cells.extend(LENGTHS.map(flat(Kind::Plain)));
    }
    if !options.cold {
        cells.extend(LENGTHS.map(flat(Kind::Light)));
    }
    for kind in COSTS.map(Kind::Chain) {
        for &shape in shapes {
            let lengths = LENGTHS
                .iter()
                .filter(|&&len| shape == Shape::Flat || len > 1);
            cells.extend(lengths.map(|&len| Cell { len, kind, shape }));
        }
    }
    cells.retain(|cell| {
        (shortest..=longest).contains(&cell.nominal())
            && options
                .filter
                .as_ref()
                .is_none_or(|part| cell.name().contains(part.as_str()))
    });
    cells
}

/// What was measured in a cell: nanoseconds per call of each contender.
struct Measured {
    cell: Cell,
    before: Before,
    samples: Vec<(Contender, Vec<f64>)>,
    rounds: usize,
    /// The share of the cores that other programs used meanwhile.
    others: Option<f64>,
}

impl Measured {
    fn time(&self, who: Contender) -> f64 {
        self.share(who, 0.5)
    }

    /// The time that a share `p` of the calls did not exceed.
    fn share(&self, who: Contender, p: f64) -> f64 {
        self.samples
            .iter()
            .find(|(other, _)| *other == who)
            .map_or(f64::NAN, |(_, samples)| percentile(samples, p))
    }

    /// Whether other programs disturbed it.
    fn is_disturbed(&self) -> bool {
        self.others.is_some_and(|share| share >= machine::DISTURBED)
    }

    /// The fastest of the others.
    fn best(&self) -> (Contender, f64) {
        self.samples
            .iter()
            .filter(|(who, _)| *who != Contender::Ours)
            .map(|(who, samples)| (*who, median(samples)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((Contender::Serial, f64::NAN))
    }

    /// How much faster ours is than the fastest of the others.
    fn against_best(&self) -> f64 {
        self.best().1 / self.time(Contender::Ours)
    }
}

/// Measures cells.
struct Grid {
    options: Options,
    contenders: Vec<Contender>,
    peers: Peers,
    clock: f64,
    /// Steps of a chain per cost class.
    steps: Vec<(f64, f64)>,
    random: Random,
    /// What is left of it.
    patience: Duration,
}

impl Grid {
    fn new(options: Options) -> Self {
        let steps = COSTS.map(|cost| {
            (
                cost,
                if options.test {
                    cost / 3.0
                } else {
                    steps_for(cost)
                },
            )
        });
        Self {
            contenders: options.contenders(),
            peers: Peers::new(),
            clock: machine::clock_cost(),
            steps: steps.to_vec(),
            random: Random::new(1),
            patience: Duration::from_secs_f64(options.patience),
            options,
        }
    }

    fn links(&self, shape: Shape, cost: f64, len: usize) -> Vec<Link> {
        let steps = self.steps.iter().find(|(of, _)| *of == cost);
        shape.links(len, steps.map_or(1.0, |(_, steps)| *steps))
    }

    /// Measures a cell; again, as long as there is patience, where other programs disturbed it.
    fn measure(&mut self, cell: Cell, before: Before, seconds: f64, least: usize) -> Measured {
        let mut patience = self.patience;
        let (mut measured, others) = machine::in_quiet(&mut patience, || {
            self.measure_now(cell, before, seconds, least)
        });
        self.patience = patience;
        measured.others = others;
        measured
    }

    fn measure_now(&mut self, cell: Cell, before: Before, seconds: f64, least: usize) -> Measured {
        match cell.kind {
            Kind::Light => {
                self.measure_items::<Light>(cell, before, &numbers(cell.len), None, seconds, least)
            }
            Kind::Plain => {
                self.measure_items::<Plain>(cell, before, &numbers(cell.len), None, seconds, least)
            }
            Kind::Chain(cost) => {
                let links = self.links(cell.shape, cost, cell.len);
                let companion = self.options.cold.then(|| match cost {
                    ..=1e3 => self.links(Shape::Flat, 1e4, 100),
                    _ => self.links(Shape::Flat, 1e1, 3_000),
                });
                self.measure_items::<Chain>(
                    cell,
                    before,
                    &links,
                    companion.as_deref(),
                    seconds,
                    least,
                )
            }
        }
    }

    fn measure_items<W: Work>(
        &mut self,
        cell: Cell,
        before: Before,
        items: &[W::Item],
        companion: Option<&[W::Item]>,
        seconds: f64,
        least: usize,
    ) -> Measured {
        let operation = if self.options.reduce {
            Operation::Sum
        } else {
            Operation::Map
        };
        let expected = if operation == Operation::Map {
            Answer::Items(items.iter().map(W::compute).collect())
        } else {
            Answer::Total(items.iter().map(W::compute).sum())
        };
        let mut plan = Plan {
            before,
            lead_in: 0,
            samples: 1,
            batch: 1,
            clock: self.clock,
        };
        let one = |grid: &mut Self, who, plan: &Plan, out: &mut Vec<f64>, is_checked: bool| {
            let answer = grid.time::<W>(who, operation, items, companion, plan, out);
            assert!(
                !is_checked || answer.is_some_and(|answer| answer.agrees(&expected)),
                "{} gave a wrong answer in {}",
                who.name(),
                cell.name()
            );
        };

        // Warm-up: each contender until its call site has adapted, or for a quarter of a second.
        let contenders = self.contenders.clone();
        let mut quickest = f64::INFINITY;
        let warm = Plan {
            before: Before::Nothing,
            ..plan
        };
        for &who in &contenders {
            let began = Instant::now();
            let mut times = Vec::new();
            for call in 0..if self.options.test { 1 } else { 40 } {
                one(self, who, &warm, &mut times, call == 0);
                if call >= 2 && began.elapsed() > Duration::from_millis(150) {
                    break;
                }
            }
            if who == Contender::Serial {
                quickest = percentile(&times, 0.2);
            }
        }

        // A call's own steady state shows after one like it; several short calls share two clock readings.
        if before == Before::Nothing && companion.is_none() && quickest < 5e6 {
            plan.lead_in = 1;
            plan.samples = if quickest < 1e6 { 4 } else { 2 };
            plan.batch = if quickest < 2e3 { 16 } else { 1 };
        }
        let mut samples: Vec<(Contender, Vec<f64>)> =
            contenders.iter().map(|&who| (who, Vec::new())).collect();
        let least = if quickest > 30e6 {
            least.div_ceil(2)
        } else {
            least
        };
        let began = Instant::now();
        let mut rounds = 0;
        while rounds < least || (rounds < 3_000 && began.elapsed().as_secs_f64() < seconds) {
            self.random.shuffle(&mut samples);
            for (who, times) in &mut samples {
                one(self, *who, &plan, times, rounds % 8 == 0);
            }
            rounds += 1;
        }
        Measured {
            cell,
            before,
            samples,
            rounds,
            others: None,
        }
    }

    fn time<W: Work>(
        &mut self,
        who: Contender,
        operation: Operation,
        items: &[W::Item],
        companion: Option<&[W::Item]>,
        plan: &Plan,
        out: &mut Vec<f64>,
    ) -> Option<Answer> {
        self.peers
            .time::<W>(who, operation, items, companion, plan, out)
    }
}

fn main() {
    let mut options = Options::parse();
    // `cargo test --all-targets` builds without optimisation and is no measurement.
    options.test |= cfg!(debug_assertions);
    let cells = cells(&options);
    let passes = options.passes();
    let seconds = options.seconds_per_cell();
    let least = match (options.test, options.sleep_ms, options.quick) {
        (true, _, _) => 1,
        (_, Some(_), _) => 25,
        (_, _, true) => 7,
        _ => 15,
    };
    let began = Instant::now();
    let mut grid = Grid::new(options);
    report::heading(&grid);

    let mut all = Vec::new();
    for before in passes {
        report::pass(&grid, before);
        for &cell in &cells {
            let (seconds, least) = if grid.options.test {
                (0.0, 1)
            } else {
                (seconds, least)
            };
            // Waking up does not matter to a call this long.
            if matches!(before, Before::Spin(_)) && cell.nominal() > 20e6 {
                continue;
            }
            let first = grid.measure(cell, before, seconds, least);
            let again = (!grid.options.test && first.against_best() < report::NO_CELL_UNDER)
                .then(|| grid.measure(cell, before, 2.0 * seconds, 2 * least));
            report::line(&grid, &first, again.as_ref());
            all.push((first, again));
        }
    }
    if !grid.options.test {
        report::summary(&grid, &all);
    }
    println!(
        "\n{} cells in {:.0} s",
        all.len(),
        began.elapsed().as_secs_f64()
    );
}
