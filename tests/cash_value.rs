//! The projection of insurance portfolios against the results of the reference model.
//!
//! Agreement is 1e-9 relative to the larger of the reference value and a thousandth of the flows it is made
//! of, since net figures cancel: |a - b| <= 1e-9 max(|b|, 1e-3 scale).

#![allow(clippy::unwrap_used, reason = "without its data the test is to fail")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use scipar::kernels::cash_value::{
    Assumptions, MonthlyFlows, Portfolio, PresentValues, Projection, project, project_serial,
};

const TOLERANCE: f64 = 1e-9;
/// The columns whose magnitudes make the scale of a row.
const GROSS: [&str; 5] = [
    "Premiums",
    "Death",
    "Surrender",
    "Maturity",
    "Investment Income",
];

fn data(name: &str) -> PathBuf {
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

fn assumptions() -> Assumptions {
    Assumptions::read_dir(data("")).unwrap()
}

fn portfolio(name: &str) -> Portfolio {
    Portfolio::read_csv(data(name)).unwrap()
}

/// A reference file, column by column.
fn reference(name: &str) -> HashMap<String, Vec<f64>> {
    let mut text = String::new();
    let file = File::open(data("reference").join(name)).unwrap();
    match name.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap(),
        false => { file }.read_to_string(&mut text).unwrap(),
    };
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut columns = vec![Vec::new(); header.len()];
    for line in lines {
        for (column, field) in columns.iter_mut().zip(line.split(',')) {
            column.push(field.parse().unwrap());
        }
    }
    header.into_iter().map(str::to_owned).zip(columns).collect()
}

/// The scale of each row of a reference table; 0 where it has no money in it.
fn scales(table: &HashMap<String, Vec<f64>>, rows: usize) -> Vec<f64> {
    let gross = |row: usize| {
        GROSS
            .iter()
            .filter_map(|name| table.get(*name))
            .map(move |c| c[row].abs())
    };
    (0..rows).map(|row| gross(row).sum()).collect()
}

fn compare(what: &str, ours: &[f64], theirs: &[f64], scales: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}: length");
    for (row, (&a, &b)) in ours.iter().zip(theirs).enumerate() {
        let bound = TOLERANCE * b.abs().max(1e-3 * scales[row]);
        assert!(
            (a - b).abs() <= bound,
            "{what}, row {row}: {a:e} is not {b:e} within {bound:e}"
        );
    }
}

fn compare_values(set: &str, values: &[PresentValues], table: &HashMap<String, Vec<f64>>) {
    let scales = scales(table, values.len());
    for (index, name) in PresentValues::NAMES.iter().enumerate() {
        let ours: Vec<f64> = values
            .iter()
            .map(|values| values.to_array()[index])
            .collect();
        compare(&format!("{set}: {name}"), &ours, &table[*name], &scales);
    }
}

/// The number of a field of a totals file, in quotes or not.
fn field(totals: &str, name: &str) -> f64 {
    let (_, rest) = totals.split_once(&format!("\"{name}\": ")).unwrap();
    let end = rest.find([',', '\n']).unwrap();
    rest[..end].trim_matches('"').parse().unwrap()
}

fn compare_totals(set: &str, projection: &Projection) {
    let file = data("reference").join(format!("{set}_totals.json"));
    let reference = std::fs::read_to_string(file).unwrap();
    let totals = PresentValues::NAMES.map(|name| field(&reference, name));
    let scale = totals[..4].iter().sum::<f64>() + totals[6].abs();
    compare(
        &format!("{set}: totals"),
        &projection.totals().to_array(),
        &totals,
        &[scale; 9],
    );
    assert_eq!(
        projection.horizon() as f64,
        field(&reference, "max_proj_len")
    );
    assert_eq!(
        projection.present_values().len() as f64,
        field(&reference, "n_points")
    );
}

fn compare_all(set: &str, projection: &Projection) {
    compare_totals(set, projection);
    let suffix = if set == "mp10000" { ".gz" } else { "" };
    compare_values(
        set,
        projection.present_values(),
        &reference(&format!("{set}_pv.csv{suffix}")),
    );
    for (kind, names) in [
        ("cf", MonthlyFlows::NAMES.as_slice()),
        ("pols", MonthlyFlows::POLICY_NAMES.as_slice()),
    ] {
        let table = reference(&format!("{set}_{kind}.csv"));
        assert_eq!(
            table.len(),
            names.len() + 1,
            "the reference has these columns and t"
        );
        let scales = scales(&table, projection.horizon());
        for name in names {
            let ours = projection.cash_flows().column(name).unwrap();
            compare(&format!("{set}: {name}"), ours, &table[*name], &scales);
        }
    }
}

#[test]
fn the_small_portfolio_agrees_with_the_reference() {
    let (portfolio, assumptions) = (portfolio("model_points_small.csv"), assumptions());
    compare_all("small", &project(&portfolio, &assumptions).unwrap());
    compare_all("small", &project_serial(&portfolio, &assumptions).unwrap());
}

#[test]
fn the_mixed_portfolio_agrees_with_the_reference() {
    let (portfolio, assumptions) = (portfolio("model_points_mixed200.csv"), assumptions());
    compare_all("mixed200", &project(&portfolio, &assumptions).unwrap());
    compare_all(
        "mixed200",
        &project_serial(&portfolio, &assumptions).unwrap(),
    );
}

#[test]
fn ten_thousand_points_agree_with_the_reference() {
    let portfolio = portfolio("model_points_10000.csv");
    compare_all("mp10000", &project(&portfolio, &assumptions()).unwrap());
}

#[test]
fn ten_thousand_points_agree_with_the_reference_in_the_serial_projection() {
    let portfolio = portfolio("model_points_10000.csv");
    compare_all(
        "mp10000",
        &project_serial(&portfolio, &assumptions()).unwrap(),
    );
}

#[test]
fn every_scenario_of_the_small_portfolio_agrees_with_the_reference() {
    let portfolio = portfolio("model_points_small.csv");
    let all = reference("small_pv_by_scen.csv");
    let mut assumptions = assumptions();
    for scenario in 1..=10 {
        assumptions = assumptions.with_scenario(scenario).unwrap();
        let rows: Vec<usize> = (0..all["scen_id"].len())
            .filter(|&r| all["scen_id"][r] == f64::from(scenario))
            .collect();
        let pick = |column: &Vec<f64>| rows.iter().map(|&row| column[row]).collect();
        let table = all
            .iter()
            .map(|(name, column)| (name.clone(), pick(column)))
            .collect();
        for projection in [
            project(&portfolio, &assumptions).unwrap(),
            project_serial(&portfolio, &assumptions).unwrap(),
        ] {
            compare_values(
                &format!("scenario {scenario}"),
                projection.present_values(),
                &table,
            );
        }
    }
}
