//! Runs the readers of CSV files, and what they accept through the kernels. The first byte of an
//! input says which reader.

use std::cell::RefCell;
use std::error::Error;
use std::path::PathBuf;

use scipar::Chunking;
use scipar::kernels::cash_value::{Assumptions, Portfolio, Projector, project_serial};
use scipar::kernels::chamfer::Chamfer;
use scipar::kernels::clusters::Clusters;

/// A message is one line that can be read, whatever is in the file.
const LONGEST_MESSAGE: usize = 2 << 10;

/// The tables of assumptions, and the letter that stands for each.
const TABLES: [(u8, &str); 5] = [
    (b'p', "product_spec_table.csv"),
    (b'm', "mort_table.csv"),
    (b's', "surr_charge_table.csv"),
    (b'd', "disc_rate_ann.csv"),
    (b'n', "std_norm_rand.csv"),
];

/// One file: `v` a portfolio of policies, `c` clusters, or one of the tables, where the others are
/// good ones.
pub(crate) fn run(data: &[u8]) {
    let Some((&which, text)) = data.split_first() else {
        return;
    };
    match which {
        b'v' => portfolio(text),
        b'c' => clusters(text),
        _ => {
            if let Some((_, name)) = TABLES.iter().find(|(letter, _)| *letter == which) {
                table(name, text);
            }
        }
    }
}

fn portfolio(text: &[u8]) {
    match Portfolio::from_csv_reader(text, "policies.csv") {
        Ok(portfolio) => GOOD.with_borrow(|good| project(&portfolio, &good.assumptions)),
        Err(error) => check(&error),
    }
}

fn table(name: &str, text: &[u8]) {
    GOOD.with_borrow(|good| match good.with(name, text) {
        Ok(assumptions) => project(&good.portfolio, &assumptions),
        Err(error) => check(&error),
    });
}

fn project(portfolio: &Portfolio, assumptions: &Assumptions) {
    // The fast way and the plain one refuse alike. Their numbers are compared by the library's own
    // tests, with inputs that do not overflow.
    let fast = Projector::new(portfolio, assumptions).chunking(Chunking::serial());
    match (fast.run(), project_serial(portfolio, assumptions)) {
        (Ok(fast), Ok(plain)) => {
            assert_eq!(fast.horizon(), plain.horizon());
            assert_eq!(fast.present_values().len(), portfolio.len());
        }
        (Err(fast), Err(plain)) => {
            check(&fast);
            check(&plain);
        }
        // Sums in another order may overflow or not.
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
            check(&error);
            assert!(
                error.to_string().contains("expected a finite number"),
                "{error}"
            );
        }
    }
}

fn clusters(text: &[u8]) {
    let clusters = match Clusters::from_csv_reader(text, "points.csv") {
        Ok(clusters) => clusters,
        Err(error) => return check(&error),
    };
    let mut written = Vec::new();
    clusters
        .write_csv(&mut written)
        .expect("memory can be written");
    let again = Clusters::from_csv_reader(&written[..], "points.csv");
    assert_eq!(again.expect("what was written can be read"), clusters);
    if clusters.num_points() <= 300 {
        let chamfer = Chamfer::new().chunking(Chunking::serial());
        let matching = chamfer.nearest_clusters(&clusters, &clusters);
        assert_eq!(
            matching.expect("they can be compared").left.len(),
            clusters.len()
        );
    }
}

/// An error and its sources are each one short line.
fn check(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        assert!(
            message.len() <= LONGEST_MESSAGE,
            "{} bytes of message",
            message.len()
        );
        assert!(!message.contains(['\n', '\r']), "{message:?}");
        next = error.source();
    }
}

/// A folder of good tables, one of which is replaced.
struct Good {
    dir: PathBuf,
    assumptions: Assumptions,
    portfolio: Portfolio,
}

thread_local!(static GOOD: RefCell<Good> = RefCell::new(Good::new()));

impl Good {
    fn new() -> Self {
        let name = format!("scipar-fuzz-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a folder");
        for (_, name) in TABLES {
            std::fs::write(dir.join(name), good(name)).expect("a file");
        }
        let portfolio = Portfolio::from_csv_reader(good("policies.csv").as_bytes(), "policies.csv");
        Self {
            assumptions: Assumptions::read_dir(&dir).expect("good tables"),
            portfolio: portfolio.expect("a good portfolio"),
            dir,
        }
    }

    fn with(&self, name: &str, text: &[u8]) -> Result<Assumptions, impl Error + use<>> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).expect("a file");
        let result = Assumptions::read_dir(&self.dir);
        std::fs::write(&path, good(name)).expect("a file");
        result
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A good file of each kind: tables for a year or ten, so that a projection is short.
fn good(name: &str) -> String {
    let rows = |header: &str, count: usize, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..count).map(|i| row(i) + "\n").collect();
        format!("{header}\n{rows}")
    };
    match name {
        "product_spec_table.csv" => PRODUCTS.to_owned(),
        "mort_table.csv" => rows("age,0,1", 11, &|i| {
            let rate = 0.1 * i as f64;
            format!("{},{rate},{rate}", 90 + i)
        }),
        "surr_charge_table.csv" => rows("duration,type_1,type_2,type_3", 3, &|i| {
            format!("{i},0.1,0.05,0")
        }),
        "disc_rate_ann.csv" => rows("year,zero_spot", 13, &|i| format!("{i},0.01")),
        "std_norm_rand.csv" => rows("scen_id,t,std_norm_rand", 150, &|i| {
            format!("1,{i},{}", 0.5 - (i % 2) as f64)
        }),
        _ => POLICIES.to_owned(),
    }
}

const PRODUCTS: &str = "\
spec_id,premium_type,has_surr_charge,surr_charge_id,load_prem_rate,is_wl
A,SINGLE,False,,0.1,False
B,SINGLE,True,type_1,0.0,False
C,LEVEL,False,,0.1,True
D,LEVEL,True,type_3,0.05,True
";

const POLICIES: &str = "\
point_id,spec_id,age_at_entry,policy_term,policy_count,\
sum_assured,duration_mth,premium_pp,av_pp_init
1,A,90,5,100,500000,0,500000,0
2,B,91,9,50,400000,36,0,390000
3,C,92,9999,10,1000,-4,10,0
4,D,95,9999,1,1000,12,100,5
";
