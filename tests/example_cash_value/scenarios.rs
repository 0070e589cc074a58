//! Several scenarios in one run.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::refusals::Bench;
use super::{check_svg, figure, run_well, shipped, some_points};

/// The report on the small portfolio.
fn report(dir: &Path, scenarios: &str) -> String {
    let points = shipped("model_points_small.csv");
    run_well(dir, ["--points", &points, "--scenario", scenarios])
}

/// The part of a report that does not depend on the clock.
fn without_times(report: &str) -> &str {
    report.split_once("Wall time").unwrap().0
}

/// A scenario and its premiums, claims, investment income and net cash flow.
type Line = (u32, [f64; 4]);

fn lines(report: &str) -> Vec<Line> {
    let (_, table) = report.split_once("Net Cashflow\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let scenario = fields.next().unwrap().parse().unwrap();
        let amounts: Vec<f64> = fields.map(|field| field.parse().unwrap()).collect();
        (scenario, amounts.try_into().unwrap())
    };
    table.lines().map(line).collect()
}

/// Whether two printed amounts are equal, up to the last decimal of each that was added.
fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() < 3e-4
}

#[test]
fn lists_and_ranges_are_projected_in_the_order_given() {
    let dir = TempDir::new().unwrap();
    for (list, expected) in [
        ("1,3,5-10", vec![1, 3, 5, 6, 7, 8, 9, 10]),
        ("all", (1..=10).collect()),
        ("4,2", vec![4, 2]),
        ("9-10,3,1-2", vec![9, 10, 3, 1, 2]),
    ] {
        let report = report(dir.path(), list);
        let heading = format!("4 points, 1141 months, {} scenarios, ", expected.len());
        assert!(report.starts_with(&heading), "{report}");
        let found: Vec<u32> = lines(&report).iter().map(|(id, _)| *id).collect();
        assert_eq!(found, expected, "{list}");
        for name in ["Wall time", "CPU time", "Parallelism", "Speed-up", "Bound"] {
            assert_eq!(report.matches(&format!("\n{name} ")).count(), 1, "{report}");
        }
        assert!(
            report.lines().all(|line| line.chars().count() <= 100),
            "{report}"
        );
    }
}

#[test]
fn a_list_of_one_is_reported_as_one() {
    let dir = TempDir::new().unwrap();
    let three = report(dir.path(), "3");
    assert!(three.contains(", scenario 3, "), "{three}");
    let same = report(dir.path(), "3-3");
    assert_eq!(without_times(&same), without_times(&three));

    let bench = Bench::new();
    let with = ["--tables", "tables", "--points", "points.csv"];
    let outputs = ["--out", "pv.csv", "--cash-flows", "cf.csv"];
    let written = |scenarios: &[&str]| {
        let stdout = run_well(bench.path(), [&with, &outputs, scenarios].concat());
        let read = |name| fs::read_to_string(bench.path().join(name)).unwrap();
        (
            without_times(&stdout).to_owned(),
            read("pv.csv"),
            read("cf.csv"),
        )
    };
    assert_eq!(written(&["--scenario", "all"]), written(&[]));
}

#[test]
fn the_lines_are_the_totals_of_single_runs_and_the_statistics_theirs() {
    let dir = TempDir::new().unwrap();
    let list = "2,7-8";
    let several = report(dir.path(), list);
    let lines = lines(&several);
    for (id, [premiums, claims, income, net]) in &lines {
        let single = report(dir.path(), &id.to_string());
        let figure = |name| figure(&single, name);
        assert!(is_close(*premiums, figure("Premiums")));
        let paid = figure("Death") + figure("Surrender") + figure("Maturity");
        assert!(is_close(*claims, paid), "{claims} {paid}");
        assert!(is_close(*income, figure("Investment Income")));
        assert!(is_close(*net, figure("Net Cashflow")));
    }
    let net: Vec<f64> = lines.iter().map(|(_, amounts)| amounts[3]).collect();
    let mean = net.iter().sum::<f64>() / 3.0;
    let squares: f64 = net.iter().map(|x| (x - mean) * (x - mean)).sum();
    let least = net.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = net.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for (name, expected) in [
        ("Mean", mean),
        ("Standard deviation", (squares / 2.0).sqrt()),
        ("Least", least),
        ("Largest", largest),
    ] {
        let found = figure(&several, name);
        assert!(is_close(found, expected), "{name}: {found} {expected}");
    }
}

#[test]
fn files_have_the_rows_of_single_runs_under_their_numbers() {
    let dir = TempDir::new().unwrap();
    let points = shipped("model_points_mixed200.csv");
    let written = |scenarios: &str| {
        let args = ["--points", &points, "--scenario", scenarios];
        let outputs = "--out pv.csv --cash-flows cf.csv".split(' ');
        run_well(dir.path(), args.into_iter().chain(outputs));
        ["pv.csv", "cf.csv"].map(|name| fs::read_to_string(dir.path().join(name)).unwrap())
    };
    for list in ["1,2", "2,1"] {
        let mut expected = [String::new(), String::new()];
        for id in list.split(',') {
            for (expected, single) in expected.iter_mut().zip(written(id)) {
                let (header, rows) = single.split_once('\n').unwrap();
                if expected.is_empty() {
                    *expected = format!("scenario,{header}\n");
                }
                for row in rows.split_inclusive('\n') {
                    *expected += &format!("{id},{row}");
                }
            }
        }
        assert!(written(list) == expected, "{list}");
    }
}

#[test]
fn any_number_of_workers_writes_the_same_bytes_of_several_scenarios() {
    let dir = TempDir::new().unwrap();
    let points = some_points(dir.path());
    let written = |workers: &str| {
        let args = ["--points", points, "--workers", workers];
        let outputs = "--scenario 1,2 --out pv.csv --cash-flows cf.csv --plot cf.svg".split(' ');
        let stdout = run_well(dir.path(), args.into_iter().chain(outputs));
        let files = ["pv.csv", "cf.csv", "cf.svg"];
        let (_, totals) = without_times(&stdout).split_once('\n').unwrap();
        (
            totals.to_owned(),
            files.map(|name| fs::read(dir.path().join(name)).unwrap()),
        )
    };
    assert!(written("1") == written("2"));
}

#[test]
fn repeats_are_of_all_scenarios() {
    let dir = TempDir::new().unwrap();
    let points = shipped("model_points_small.csv");
    let args = ["--points", &points, "--scenario", "1-4", "--repeat", "2"];
    let stdout = run_well(dir.path(), args);
    let seconds = figure(&stdout, "kernel seconds (best of 2):");
    assert_eq!(seconds, figure(&stdout, "Wall time"));
    assert_eq!(lines(&stdout).len(), 4);
}

#[test]
fn the_plot_has_a_line_for_each_and_their_mean() {
    let dir = TempDir::new().unwrap();
    let points = shipped("model_points_small.csv");
    let args = ["--points", &points, "--scenario", "2-4", "--plot", "a.svg"];
    run_well(dir.path(), args);
    let svg = fs::read_to_string(dir.path().join("a.svg")).unwrap();
    let texts = [
        "Net cash flow per projection year",
        "4 points, 3 scenarios; sums over twelve months",
        "each scenario",
        "mean",
        "years",
        "millions",
    ];
    check_svg(&svg, &texts);
    assert!(!svg.contains("Premiums"));
    // Each line of the drawing, and one in the legend.
    let drawn = |color: &str| {
        let lines = svg.split("<polyline ").skip(1);
        lines.filter(|line| line.contains(color)).count()
    };
    assert_eq!((drawn("#0072B2"), drawn("#009E73")), (3 + 1, 1 + 1));
}
