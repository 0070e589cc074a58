//! What the tests of this module share: the shipped tables, points in memory, comparison.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::{
    Assumptions, CashValueError, Columns, Portfolio, PremiumType, Product, Projection, Scalars,
    Tables,
};

pub(super) fn data(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "examples",
        "data",
        "cash_value",
        name,
    ]
    .iter()
    .collect()
}

/// The shipped tables.
pub(super) fn shipped() -> &'static Assumptions {
    static SHIPPED: OnceLock<Assumptions> = OnceLock::new();
    SHIPPED.get_or_init(|| Assumptions::read_dir(data("")).unwrap())
}

/// The shipped tables, with all eight kinds of product, `S` or `L` for the premium, `T` or `W` for term or whole
/// life, `C` where there is a surrender charge; and with draws and spot rates for 2,400 months.
pub(super) fn extended() -> &'static Assumptions {
    static EXTENDED: OnceLock<Assumptions> = OnceLock::new();
    EXTENDED.get_or_init(|| {
        let mut tables: Tables = shipped().tables().clone();
        for scenario in &mut tables.normal_draws {
            scenario.draws = scenario.draws.iter().copied().cycle().take(2400).collect();
        }
        tables.spot_rates.resize(200, 0.03);
        for (id, premium_type, surrender_charge, premium_load, is_whole_life) in [
            ("ST", PremiumType::Single, None, 0.07, false),
            ("STC", PremiumType::Single, Some("type_2"), 0.0, false),
            ("SW", PremiumType::Single, None, 0.02, true),
            ("SWC", PremiumType::Single, Some("type_1"), 0.03, true),
            ("LT", PremiumType::Level, None, 0.1, false),
            ("LTC", PremiumType::Level, Some("type_3"), 0.04, false),
            ("LW", PremiumType::Level, None, 0.08, true),
            ("LWC", PremiumType::Level, Some("type_2"), 0.05, true),
        ] {
            let surrender_charge = surrender_charge.map(str::to_owned);
            let id = id.to_owned();
            tables.products.push(Product {
                id,
                premium_type,
                surrender_charge,
                premium_load,
                is_whole_life,
            });
        }
        Assumptions::new(tables, Scalars::default()).unwrap()
    })
}

/// One point of a portfolio.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) spec: &'static str,
    pub(super) age: i32,
    pub(super) term: i32,
    pub(super) count: f64,
    pub(super) sum_assured: f64,
    pub(super) duration: i32,
    pub(super) premium: f64,
    pub(super) account: f64,
}

/// Points are changed from this one: new business for ten years, single premium.
pub(super) const POINT: Point = Point {
    spec: "A",
    age: 40,
    term: 10,
    count: 100.0,
    sum_assured: 500_000.0,
    duration: 0,
    premium: 500_000.0,
    account: 0.0,
};

pub(super) fn columns(points: &[Point]) -> Columns {
    Columns {
        point_id: (1..=points.len() as i64).collect(),
        spec_id: points.iter().map(|p| p.spec.to_owned()).collect(),
        age_at_entry: points.iter().map(|p| p.age).collect(),
        policy_term: points.iter().map(|p| p.term).collect(),
        policy_count: points.iter().map(|p| p.count).collect(),
        sum_assured: points.iter().map(|p| p.sum_assured).collect(),
        duration_mth: points.iter().map(|p| p.duration).collect(),
        premium_pp: points.iter().map(|p| p.premium).collect(),
        av_pp_init: points.iter().map(|p| p.account).collect(),
    }
}

pub(super) fn portfolio(points: &[Point]) -> Portfolio {
    Portfolio::new(columns(points)).unwrap()
}

/// Both projections of the points under the extended tables, which must agree; the serial one is returned.
pub(super) fn both(points: &[Point]) -> Projection {
    let portfolio = portfolio(points);
    let serial = super::project_serial(&portfolio, extended()).unwrap();
    let fast = super::project(&portfolio, extended()).unwrap();
    if let Err(difference) = compare(&fast, &serial) {
        panic!("{difference}\n{points:?}");
    }
    serial
}

/// Compares two projections to 1e-10 of the larger of the value and a thousandth of the flows of its row.
pub(super) fn compare(a: &Projection, b: &Projection) -> Result<(), String> {
    if a.horizon() != b.horizon() {
        return Err(format!("horizon {} is not {}", a.horizon(), b.horizon()));
    }
    for (point, (a, b)) in a
        .present_values()
        .iter()
        .zip(b.present_values())
        .enumerate()
    {
        let b_row = b.to_array();
        let scale: f64 = [0, 1, 2, 3, 6]
            .iter()
            .map(|&column| b_row[column].abs())
            .sum();
        compare_row(&format!("point {point}"), &a.to_array(), &b_row, scale)?;
    }
    for month in 0..a.horizon() {
        let row = b.cash_flows().row(month);
        let scale: f64 = [0, 5, 6, 7, 8]
            .iter()
            .map(|&column| row[column].abs())
            .sum();
        compare_row(
            &format!("month {month}"),
            &a.cash_flows().row(month),
            &row,
            scale,
        )?;
        let (a, b) = (
            a.cash_flows().policy_row(month),
            b.cash_flows().policy_row(month),
        );
        compare_row(&format!("policies of month {month}"), &a, &b, 0.0)?;
    }
    Ok(())
}

fn compare_row(what: &str, a: &[f64], b: &[f64], scale: f64) -> Result<(), String> {
    for (column, (a, b)) in a.iter().zip(b).enumerate() {
        let bound = 1e-10 * b.abs().max(1e-3 * scale);
        let is_close = (a - b).abs() <= bound; // false for NaN
        if !is_close {
            return Err(format!(
                "{what}, column {column}: {a:e} is not {b:e} within {bound:e}"
            ));
        }
    }
    Ok(())
}

/// One column of the monthly totals.
pub(super) fn flow<'a>(projection: &'a Projection, name: &str) -> &'a [f64] {
    projection.cash_flows().column(name).unwrap()
}

/// Whether two numbers agree to 1e-12.
#[track_caller]
pub(super) fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs(), "{a:?} is not {b:?}");
}

// A portfolio as text: the header and two lines.
pub(super) const HEADER: &str = "point_id,spec_id,age_at_entry,sex,policy_term,policy_count,sum_assured,\
                      duration_mth,premium_pp,av_pp_init";
pub(super) const FIRST: &str = "1,A,20,M,10,100,500000,0,500000,0";
pub(super) const SECOND: &str = "2,B,50,M,20,100,500000,-3,500000,0";

/// The portfolio of a text, called `points.csv`.
pub(super) fn read(text: impl AsRef<[u8]>) -> Result<Portfolio, CashValueError> {
    Portfolio::from_csv_reader(text.as_ref(), "points.csv")
}

/// The portfolio of the header, the first line, and this one.
pub(super) fn with(line: &str) -> Result<Portfolio, CashValueError> {
    read(format!("{HEADER}\n{FIRST}\n{line}\n"))
}

/// The message of a refusal, which must be one line.
pub(super) fn refusal(result: Result<Portfolio, CashValueError>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(!message.contains(['\n', '\r']), "{message:?} is one line");
    message
}

#[cfg(feature = "csv")]
impl<'a> super::sheet::Sheet<'a> {
    pub(super) fn read(
        reader: impl std::io::Read + 'a,
        path: PathBuf,
    ) -> Result<Self, CashValueError> {
        Self::open(reader, path, &Default::default())
    }
}
