//! The work of the studies. A further kernel is a variant of [`Kernel`] and a [`Load`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use ndarray::Axis;
use scipar::kernels::cash_value::{Assumptions, Portfolio, Projector};
use scipar::kernels::chamfer::Chamfer;
use scipar::kernels::clusters::{Clusters, generate};
use scipar::kernels::quartic::{iterations, last_value, spin};
use scipar::{Chunking, Pool};

/// The kernels that there are, by the names of `--kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kernel {
    /// The N^4 loop, executed in full
    Quartic,
    /// The projection of the shipped portfolio
    CashValue,
    /// The matching of clusters of points
    Chamfer,
}

impl Kernel {
    pub(crate) const ALL: [Kernel; 3] = [Kernel::Quartic, Kernel::CashValue, Kernel::Chamfer];

    /// Prepares the work of a strong study, and as many shares as each of the counts says.
    pub(crate) fn load(
        self,
        counts: &[usize],
        quick: bool,
    ) -> Result<Box<dyn Load>, Box<dyn Error>> {
        Ok(match self {
            Kernel::Quartic => Box::new(Quartic::new(quick)),
            Kernel::CashValue => Box::new(CashValue::new(counts, quick)?),
            Kernel::Chamfer => Box::new(Clouds::new(counts, quick)?),
        })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Quartic => "quartic",
            Kernel::CashValue => "cash-value",
            Kernel::Chamfer => "chamfer",
        })
    }
}

/// Work that comes in equal shares.
pub(crate) trait Load {
    /// The shares of a strong study.
    fn strong_shares(&self) -> usize;

    /// What the work of so many shares is, or of one for each worker.
    fn describe(&self, shares: Option<usize>) -> String;

    /// Does so many shares; a message where the answer is not that of a serial run.
    fn run(&self, pool: &Pool, shares: usize) -> Result<(), String>;
}

/// A number of equal N^4 loops for each share.
struct Quartic {
    n: u32,
    /// Loops of a share; with as many shares as a strong study has, a number that many worker counts divide.
    loops: usize,
}

const QUARTIC_SHARES: usize = 4;

impl Quartic {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { n: 24, loops: 12 },
            false => Self { n: 44, loops: 60 },
        }
    }
}

impl Load for Quartic {
    fn strong_shares(&self) -> usize {
        QUARTIC_SHARES
    }

    fn describe(&self, shares: Option<usize>) -> String {
        let runs = iterations(self.n).map_or("too many".to_owned(), |n| n.to_string());
        let (loops, each) = match shares {
            Some(shares) => (shares * self.loops, ""),
            None => (self.loops, " for each worker"),
        };
        format!(
            "{loops} N^4 loops{each}, n = {}, {runs} iterations each",
            self.n
        )
    }

    fn run(&self, pool: &Pool, shares: usize) -> Result<(), String> {
        let values = pool.par_map_chunked(0..shares * self.loops, 1, |_| spin(self.n));
        let expected = last_value(self.n);
        match values.iter().find(|value| **value != expected) {
            None if values.len() == shares * self.loops => Ok(()),
            _ => Err(format!("expected {expected} of each loop")),
        }
    }
}

/// The shipped portfolio, as often as there are shares.
struct CashValue {
    assumptions: Assumptions,
    /// By shares; one share and those of the strong study are always there.
    portfolios: BTreeMap<usize, Portfolio>,
    strong: usize,
    /// The present value of one share's net cash flow, from a serial run.
    expected: f64,
}

impl CashValue {
    fn new(counts: &[usize], quick: bool) -> Result<Self, Box<dyn Error>> {
        let data = shipped_data();
        let (points, strong) = match quick {
            true => ("model_points_mixed200.csv", 2),
            false => ("model_points_10000.csv", 4),
        };
        let text = fs::read_to_string(data.join(points))
            .map_err(|e| format!("cannot read {points}: {e}"))?;
        let (header, lines) = text.split_once('\n').ok_or("expected a header")?;
        let lines = lines.trim_end().to_owned() + "\n";
        let copies = |n: usize| {
            let text = format!("{header}\n{}", lines.repeat(n));
            Portfolio::from_csv_reader(text.as_bytes(), points)
        };
        let mut portfolios = BTreeMap::new();
        for &shares in counts.iter().chain(&[1, strong]) {
            if let Entry::Vacant(place) = portfolios.entry(shares) {
                place.insert(copies(shares)?);
            }
        }
        let assumptions = Assumptions::read_dir(data)?;
        let expected = scipar::kernels::cash_value::project_serial(&portfolios[&1], &assumptions)?
            .totals()
            .net_cashflow;
        Ok(Self {
            assumptions,
            portfolios,
            strong,
            expected,
        })
    }
}

impl Load for CashValue {
    fn strong_shares(&self) -> usize {
        self.strong
    }

    fn describe(&self, shares: Option<usize>) -> String {
        let points = |shares: usize| self.portfolios[&shares].len();
        match shares {
            Some(shares) => format!("{} policies, in blocks of up to 512", points(shares)),
            None => format!(
                "{} policies for each worker, in blocks of up to 512",
                points(1)
            ),
        }
    }

    fn run(&self, pool: &Pool, shares: usize) -> Result<(), String> {
        let projection = Projector::new(&self.portfolios[&shares], &self.assumptions)
            .pool(pool)
            .run()
            .map_err(|error| error.to_string())?;
        let (found, expected) = (projection.totals(), self.expected * shares as f64);
        // Net figures are small differences, so the bound is one of the premiums'.
        if (found.net_cashflow - expected).abs() <= 1e-9 * found.premiums.abs() {
            Ok(())
        } else {
            Err(format!(
                "a net cash flow of {}, not {expected}",
                found.net_cashflow
            ))
        }
    }
}

/// The matrix of distances between clusters, the left ones as often as there are shares. (The matching does less work for copies of clusters
/// that it has seen, so that its shares would not be equal.)
struct Clouds {
    /// By shares; one share and those of the strong study are always there.
    lefts: BTreeMap<usize, Clusters>,
    rights: Clusters,
    strong: usize,
    /// The sum of one share's distances, from a serial run.
    expected: f64,
}

impl Clouds {
    fn new(counts: &[usize], quick: bool) -> Result<Self, Box<dyn Error>> {
        let (left, right) = match quick {
            true => ((6, 30), (5, 40)),
            false => ((40, 200), (50, 450)),
        };
        let left = generate(left.0, left.1, 1)?;
        let rights = generate(right.0, right.1, 2)?;
        let strong = 4;
        let mut lefts = BTreeMap::new();
        for &shares in counts.iter().chain(&[1, strong]) {
            if let Entry::Vacant(place) = lefts.entry(shares) {
                place.insert(copies(&left, shares)?);
            }
        }
        let serial = Chamfer::new().chunking(Chunking::serial());
        let expected = serial.matrix(&left, &rights)?.iter().sum();
        Ok(Self {
            lefts,
            rights,
            strong,
            expected,
        })
    }
}

fn copies(clusters: &Clusters, times: usize) -> Result<Clusters, Box<dyn Error>> {
    let views = vec![clusters.points(); times];
    let points = ndarray::concatenate(Axis(0), &views)?;
    let mut offsets = vec![0];
    for copy in 0..times {
        let first = copy * clusters.num_points();
        offsets.extend(clusters.offsets()[1..].iter().map(|offset| first + offset));
    }
    Ok(Clusters::new("left", points.view(), &offsets)?)
}

impl Load for Clouds {
    fn strong_shares(&self) -> usize {
        self.strong
    }

    fn describe(&self, shares: Option<usize>) -> String {
        let pairs = |shares: usize| self.lefts[&shares].num_points() * self.rights.num_points();
        match shares {
            Some(shares) => format!("{} pairs of points", pairs(shares)),
            None => format!("{} pairs of points for each worker", pairs(1)),
        }
    }

    fn run(&self, pool: &Pool, shares: usize) -> Result<(), String> {
        let matrix = Chamfer::new()
            .pool(pool)
            .matrix(&self.lefts[&shares], &self.rights);
        let found: f64 = matrix.map_err(|error| error.to_string())?.iter().sum();
        let expected = self.expected * shares as f64;
        match (found - expected).abs() <= 1e-9 * expected {
            true => Ok(()),
            false => Err(format!("distances of {found} in all, not {expected}")),
        }
    }
}

/// The data in the repository, or beside a program that was copied into its root.
fn shipped_data() -> PathBuf {
    const FOLDER: &str = "examples/data/cash_value";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    if built.is_dir() {
        built
    } else {
        PathBuf::from(FOLDER)
    }
}
