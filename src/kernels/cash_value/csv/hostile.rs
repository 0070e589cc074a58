//! Files that are made to take long, to take much, or to be quoted at length.
//!
//! Time is that of this thread on a processor, so that other tests do not count. The bound leaves
//! room for linear code without optimisation; scans for names and scenarios, which are quadratic,
//! take 20 s and more on these tables.

use std::fmt::Write;
use std::io::Read;
use std::time::Duration;

use super::super::testing::{HEADER, refusal, shipped};
use super::super::{Projector, project};
use super::*;
use crate::timer::{Clock, Timer};

const LINEAR: Duration = Duration::from_secs(5);

#[track_caller]
fn quick<T>(work: impl FnOnce() -> T) -> T {
    let timer = Timer::start_with(Clock::Thread);
    let done = work();
    let took = timer.elapsed().cpu;
    assert!(took < LINEAR, "{took:?}");
    done
}

/// A table, which may be as long and as wide as it is.
fn sheet<'a>(text: impl Read + 'a) -> Sheet<'a> {
    let options = CsvOptions::new()
        .max_row_bytes(usize::MAX)
        .max_columns(usize::MAX);
    Sheet::open(text, "table.csv".into(), &options).unwrap()
}

fn table_refusal(text: &str) -> String {
    let options = CsvOptions::new()
        .max_row_bytes(usize::MAX)
        .max_columns(usize::MAX);
    let sheet = Sheet::open(text.as_bytes(), "table.csv".into(), &options);
    let error = sheet.and_then(|sheet| read_mortality(&sheet)).unwrap_err();
    let message = error.to_string();
    assert!(message.len() < 400 && !message.contains('\n'), "{message}");
    message
}

/// The shipped tables, changed.
fn assumptions(change: impl FnOnce(&mut Tables)) -> Result<Assumptions, CashValueError> {
    let mut tables = shipped().tables().clone();
    change(&mut tables);
    Assumptions::new(tables, Scalars::default())
}

fn numbered(n: usize, one: impl Fn(&mut String, usize)) -> String {
    let mut text = String::new();
    (0..n).for_each(|i| one(&mut text, i));
    text
}

#[test]
fn many_policy_years_are_read_in_linear_time() {
    const N: usize = 100_000;
    let names = numbered(N, |text, i| write!(text, ",{}", N - 1 - i).unwrap());
    let rates = numbered(N, |text, i| {
        write!(text, ",{}", 1.0 / (N - i) as f64).unwrap()
    });
    let text = format!("age{names}\n18{rates}\n19{rates}\n");
    let table = quick(|| read_mortality(&sheet(text.as_bytes())).unwrap());
    assert_eq!(table.rates.len(), 2);
    // The columns were in descending order.
    assert_eq!(table.rates[1][..2], [1.0, 0.5]);
    assert_eq!(table.rates[1].len(), N);
    let known = quick(|| assumptions(|tables| tables.mortality = table).unwrap());
    assert_eq!(known.tables().mortality.first_age, 18);

    let stranger = text.replacen(",0\n", ",x\n", 1);
    let message = quick(|| table_refusal(&stranger));
    assert!(message.contains("column \"x\" is unknown"), "{message}");
    let repeated = text.replacen(",0\n", ",99999\n", 1);
    let message = quick(|| table_refusal(&repeated));
    assert!(
        message.ends_with("column \"99999\" appears more than once"),
        "{message}"
    );
    // As it is, the default limits have room for it; more columns they refuse.
    let names = numbered(1 << 17, |text, i| write!(text, ",{i}").unwrap());
    let text = format!("age{names}\n");
    let error = Sheet::open(text.as_bytes(), "table.csv".into(), &CsvOptions::new());
    let message = error.err().unwrap().to_string();
    assert_eq!(
        message,
        "table.csv: line 1: found more than 131072 columns, expected no more: \
         `CsvOptions::max_columns` raises the limit"
    );
}

#[test]
fn many_scenarios_are_read_in_linear_time() {
    const N: usize = 200_000;
    let text = numbered(N, |text, i| writeln!(text, "{},0,0.5", N - i).unwrap());
    let text = format!("scen_id,t,std_norm_rand\n{text}");
    let draws = quick(|| read_draws(&sheet(text.as_bytes())).unwrap());
    assert_eq!((draws.len(), draws[7].id), (N, 199_993));
    let mut known = quick(|| assumptions(|tables| tables.normal_draws = draws).unwrap());
    assert_eq!(known.scenario(), 1);
    quick(|| {
        for id in 1..=N as u32 {
            assert_eq!(known.scenario_of(id).unwrap().id, id);
        }
    });
    known = known.with_scenario(N as u32).unwrap();
    let message = known.with_scenario(0).unwrap_err().to_string();
    assert!(
        message.ends_with("199989] and 199988 more") && message.len() < 200,
        "{message}"
    );
}

#[test]
fn scenarios_that_alternate_are_read_in_linear_time() {
    const SCENARIOS: usize = 50_000;
    let text = numbered(8 * SCENARIOS, |text, i| {
        writeln!(text, "{},{},0", i % SCENARIOS, i / SCENARIOS).unwrap();
    });
    let text = format!("scen_id,t,std_norm_rand\n{text}");
    let draws = quick(|| read_draws(&sheet(text.as_bytes())).unwrap());
    assert_eq!(draws.len(), SCENARIOS);
    assert!(draws.iter().all(|scenario| scenario.draws.len() == 8));
}

#[test]
fn many_products_with_as_many_charges_are_read_in_linear_time() {
    const N: usize = 100_000;
    let names = numbered(N, |text, i| write!(text, ",c{i}").unwrap());
    let text = format!("duration{names}\n0{}\n", ",0.25".repeat(N));
    let charges = quick(|| read_charges(&sheet(text.as_bytes())).unwrap());
    assert_eq!((charges.len(), charges[N - 1].rates[0]), (N, 0.25));
    let text = numbered(N, |text, i| {
        writeln!(text, "p{i},LEVEL,True,c{},0,False", N - 1 - i).unwrap();
    });
    let header = "spec_id,premium_type,has_surr_charge,surr_charge_id,load_prem_rate,is_wl";
    let text = format!("{header}\n{text}");
    let products = quick(|| read_products(&sheet(text.as_bytes())).unwrap());
    let assumptions = quick(|| {
        assumptions(|tables| {
            tables.surrender_charges = charges;
            tables.products = products;
        })
        .unwrap()
    });

    let lines = numbered(N, |text, i| {
        writeln!(text, "{i},p{},30,M,1,1,1,0,1,0", N - 1 - i).unwrap();
    });
    let text = format!("{HEADER}\n{lines}");
    let portfolio = quick(|| Portfolio::from_csv_reader(text.as_bytes(), "points.csv").unwrap());
    let values = quick(|| {
        let pool = crate::pool::Pool::new(1);
        let projector = Projector::new(&portfolio, &assumptions).pool(&pool);
        projector.present_values().unwrap()
    });
    assert_eq!(values.len(), N);
    let stranger = format!("{text}0,q,30,M,1,1,1,0,1,0\n");
    let stranger = Portfolio::from_csv_reader(stranger.as_bytes(), "points.csv").unwrap();
    let message = project(&stranger, &assumptions).unwrap_err().to_string();
    assert!(message.starts_with("points.csv: line 100002, column \"spec_id\": found \"q\""));
    assert!(
        message.ends_with("\"p11\"] and 99988 more") && message.len() < 300,
        "{message}"
    );
}

#[test]
fn lines_of_any_shape_are_read_in_linear_time() {
    const MANY: usize = 3_000_000;
    let point = "1,A,20,M,10,100,500000,0,500000,0";
    let options = CsvOptions::new().max_row_bytes(usize::MAX);
    let read = |text: String| {
        quick(|| Portfolio::from_csv_reader_with(text.as_bytes(), "points.csv", &options))
    };
    for blank in ["\n", "\r", "\r\n", " \n"] {
        let blanks = blank.repeat(MANY / 10);
        let portfolio = read(format!("{blanks}{HEADER}\n{blanks}{point}\n{blanks}")).unwrap();
        assert_eq!(portfolio.len(), 1);
        let line = MANY / 5 + 2;
        assert_eq!(
            portfolio.origin.place(0).to_string(),
            format!("points.csv: line {line}")
        );
    }
    // Each field of the last column, which is ignored, has some of these; then one has all of them.
    for part in ["x", " ", "\u{1f600}", "\"\"", "\\"] {
        let fields = [part.repeat(3), part.repeat(MANY / part.len())];
        let [short, long] = fields.map(|field| format!("{point},\"{field}\"\n"));
        let portfolio = read(format!("{HEADER},note\n{}{long}", short.repeat(3))).unwrap();
        assert_eq!(portfolio.len(), 4);
    }
    let tail = "x\n".repeat(MANY / 2);
    let message = refusal(read(format!("{HEADER},note\n{point},\"{tail}")));
    assert!(
        message.contains("column \"note\": found 2999999 bytes \"x\\nx\\n"),
        "{message}"
    );
    let message = refusal(read(format!("{HEADER}\n{point}\n{}", ",\n".repeat(MANY))));
    assert_eq!(
        message,
        "points.csv: line 3: found 2 fields, expected 10 as in the header"
    );
    let message = refusal(read(format!("{}\n", ",".repeat(MANY / 30))));
    assert!(message.contains("no column \"point_id\""), "{message}");
}

#[test]
fn a_message_is_short_whatever_a_file_has() {
    let long = "x".repeat(5_000_000);
    let cut = format!("5000000 bytes \"{}...\"", &long[..60]);
    assert_eq!(
        table_refusal(&format!("age,{long}\n")),
        format!(
            "table.csv: line 1: column {cut} is unknown, \
             expected \"age\", or a policy year \"0\", \"1\", ... without gaps"
        )
    );
    assert_eq!(
        table_refusal(&format!("{long},{long}\n")),
        format!("table.csv: line 1: column {cut} appears more than once")
    );
    assert_eq!(
        table_refusal(&format!("age,0\n18,{long}\n")),
        format!("table.csv: line 2, column \"0\": found {cut}, expected a probability from 0 to 1")
    );
    let text = format!("duration,{long}\n0,y\n");
    let message = read_charges(&sheet(text.as_bytes()))
        .unwrap_err()
        .to_string();
    let wrong = format!("table.csv: line 2, column {cut}: found \"y\", expected a finite number");
    assert_eq!(message, wrong);
    let faces = "\u{1f600}".repeat(1_000);
    let message = table_refusal(&format!("age,{faces}\n"));
    let cut = format!("4000 bytes \"{}...\"", "\u{1f600}".repeat(60));
    assert!(message.contains(&cut), "{message}");
    let message = table_refusal("age,\u{202e}\u{1b}[31m\r\n");
    assert!(
        message.contains(r#"column "\u{202e}\u{1b}[31m" is unknown"#),
        "{message}"
    );
    // Fifty million bytes are refused before they are a name.
    let text = format!("age,{}\n", "x".repeat(50_000_000));
    for reader in [text.as_bytes(), &text.as_bytes()[..text.len() - 1]] {
        let error = Sheet::open(reader, "table.csv".into(), &CsvOptions::new());
        assert_eq!(
            error.err().unwrap().to_string(),
            "table.csv: line 1: found a row of more than 1048576 bytes, expected no more: \
             a quote may not be closed, else `CsvOptions::max_row_bytes` raises the limit"
        );
    }
    // What a file is called is cut too; the end says most.
    let name = format!("{}/points.csv", "folder/".repeat(1_000));
    let message = Portfolio::from_csv_reader(&b""[..], &name)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("7011 bytes ...") && message.len() < 300,
        "{message}"
    );
    assert!(
        message.ends_with("/points.csv: no rows, expected at least one"),
        "{message}"
    );
}

#[test]
fn a_message_is_short_whatever_is_in_memory() {
    let known = (0..1_000_000).collect();
    let unknown = CashValueError::UnknownScenario { id: 7, known };
    assert_eq!(
        unknown.to_string(),
        "scenario 7 is not in the table of normal draws, expected one of \
         [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] and 999988 more"
    );
    let long = "\u{1f600}\n".repeat(10_000_000);
    let message = |change: &dyn Fn(&mut Tables)| {
        let message = assumptions(|tables| change(tables))
            .unwrap_err()
            .to_string();
        assert!(
            message.len() < 1_000 && !message.contains('\n'),
            "{message}"
        );
        message
    };
    let cut = format!("50000000 bytes \"{}...\"", "\u{1f600}\\n".repeat(30));
    let twice = message(&|tables| {
        tables.products[0].id = long.clone();
        tables.products[1].id = long.clone();
    });
    assert!(
        twice.contains(&format!("found {cut}, expected a product")),
        "{twice}"
    );
    let unknown = message(&|tables| tables.products[1].surrender_charge = Some(long.clone()));
    assert!(unknown.contains(&cut), "{unknown}");
    let known = message(&|tables| tables.surrender_charges[0].id = long.clone());
    assert!(
        known.contains(&format!("charge of [{cut}, \"type_2\"")),
        "{known}"
    );
    let empty = message(&|tables| {
        tables.surrender_charges[0].id = long.clone();
        tables.surrender_charges[0].rates.clear();
    });
    assert!(empty.contains("bytes ..."), "{empty}");
    let rate = message(&|tables| {
        tables.surrender_charges[0].id = long.clone();
        tables.surrender_charges[0].rates[0] = 2.0;
    });
    assert!(rate.contains(&format!("column {cut}: found 2.0")), "{rate}");
}
