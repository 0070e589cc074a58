//! The example program `cash_value`, run as a user runs it.

#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use example::check_svg;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

#[allow(dead_code)] // The half that reads is tested through the program.
#[path = "../examples/common/files.rs"]
mod files;
#[path = "example_cash_value/refusals.rs"]
mod refusals;
#[path = "example_cash_value/scenarios.rs"]
mod scenarios;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/cash_value");

fn program() -> Command {
    example::program("cash_value")
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program in a directory of its own.
fn run<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Outcome {
    let output = program().args(args).current_dir(dir).output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> String {
    let outcome = run(dir, args);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(0), ""),
        "{}",
        outcome.stdout
    );
    outcome.stdout
}

fn shipped(name: &str) -> String {
    format!("{DATA}/{name}")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// The first 1500 points of the shipped portfolio: several blocks of work, and quick without
/// optimisation.
fn some_points(dir: &Path) -> &'static str {
    let all = fs::read_to_string(shipped("model_points_10000.csv")).unwrap();
    let some: String = all.split_inclusive('\n').take(1 + 1500).collect();
    fs::write(dir.join("some.csv"), some).unwrap();
    "some.csv"
}

/// Every name in a directory, hidden ones too.
fn names(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    names
}

/// A header and rows of numbers.
fn numbers(csv: &str) -> (&str, Vec<Vec<f64>>) {
    let (header, rows) = csv.split_once('\n').unwrap();
    let row = |line: &str| {
        line.split(',')
            .map(|field| field.parse().unwrap())
            .collect()
    };
    (header, rows.lines().map(row).collect())
}

/// The same header, and numbers that agree to 1e-9 of themselves, or of a billionth of the largest
/// in their row: a net figure may be the small difference of large ones.
fn assert_close(found: &str, reference: &str) {
    let ((found_header, found), (header, reference)) = (numbers(found), numbers(reference));
    assert_eq!(found_header, header);
    assert_eq!(found.len(), reference.len());
    for (line, (found, reference)) in found.iter().zip(&reference).enumerate() {
        assert_eq!(found.len(), reference.len());
        let largest = reference
            .iter()
            .fold(0.0_f64, |largest, x| largest.max(x.abs()));
        for (a, b) in found.iter().zip(reference) {
            let bound = 1e-9 * b.abs().max(1e-3 * largest);
            assert!(
                (a - b).abs() <= bound,
                "line {}: {a} instead of {b}",
                line + 2
            );
        }
    }
}

/// The number on the line that begins with `name`.
fn figure(stdout: &str, name: &str) -> f64 {
    let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..]
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn without_arguments_it_reports_the_shipped_portfolio() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), [""; 0]);
    let totals = [
        ("Premiums", 308153080514.3382),
        ("Death", 77752889446.7537),
        ("Surrender", 127100297692.2294),
        ("Maturity", 71255115441.0475),
        ("Expenses", 6865501056.5464),
        ("Commissions", 15407654025.7169),
        ("Investment Income", 112162285563.65),
        ("Change in AV", 70749812399.447),
        ("Net Cashflow", 51184096016.2473),
    ];
    for (name, total) in totals {
        // The last printed decimal is the 16th digit: it depends on the rounding of powers.
        let found = figure(&stdout, name);
        assert!((found - total).abs() <= 1e-13 * total, "{name} {found}");
        let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
        let (_, decimals) = line.rsplit_once('.').unwrap();
        assert!(decimals.len() == 4 && !line.contains(['_', '\'']), "{line}");
    }
    let mut lines = stdout
        .lines()
        .skip_while(|line| !line.starts_with("Net Cashflow"))
        .skip(2);
    for name in ["Wall time", "CPU time", "Parallelism", "Speed-up", "Bound"] {
        assert!(lines.next().unwrap().starts_with(name), "{stdout}");
    }
    assert_eq!(lines.next(), None);
    assert!(figure(&stdout, "Wall time") > 0.0 && figure(&stdout, "Speed-up") > 0.0);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn present_values_and_cash_flows_equal_the_reference() {
    let dir = TempDir::new().unwrap();
    for portfolio in ["small", "mixed200"] {
        let points = shipped(&format!("model_points_{portfolio}.csv"));
        let args = [
            "--points",
            &points,
            "--out",
            "pv.csv",
            "--cash-flows",
            "cf.csv",
        ];
        let stdout = run_well(dir.path(), args);
        assert!(stdout.ends_with("wrote pv.csv\nwrote cf.csv\n"), "{stdout}");
        for (file, kind) in [("pv.csv", "pv"), ("cf.csv", "cf")] {
            let found = fs::read_to_string(dir.path().join(file)).unwrap();
            let reference = shipped(&format!("reference/{portfolio}_{kind}.csv"));
            assert_close(&found, &fs::read_to_string(reference).unwrap());
        }
    }
    assert_eq!(names(dir.path()), ["cf.csv", "pv.csv"]);
}

#[test]
fn numbers_are_the_shortest_that_read_back_the_same() {
    let dir = TempDir::new().unwrap();
    run_well(
        dir.path(),
        [
            "--points",
            &shipped("model_points_small.csv"),
            "--out",
            "pv.csv",
        ],
    );
    let content = fs::read_to_string(dir.path().join("pv.csv")).unwrap();
    for field in content
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').skip(1))
    {
        assert_eq!(format!("{:?}", field.parse::<f64>().unwrap()), field);
    }
}

#[test]
fn any_number_of_workers_writes_the_same_bytes() {
    let dir = TempDir::new().unwrap();
    let mut written = Vec::new();
    for workers in ["1", "2", "5"] {
        let args = ["--points", some_points(dir.path()), "--workers", workers];
        let outputs = "--out pv.csv --cash-flows cf.csv --plot cf.svg".split(' ');
        let stdout = run_well(dir.path(), args.into_iter().chain(outputs));
        let (first, _) = stdout.split_once('\n').unwrap();
        assert!(first.contains(&format!(", {workers} worker")), "{first}");
        let read = |name| fs::read(dir.path().join(name)).unwrap();
        written.push((read("pv.csv"), read("cf.csv"), read("cf.svg")));
    }
    assert!(written[0] == written[1] && written[1] == written[2]);
}

#[test]
fn compressed_points_and_compressed_outputs() {
    let dir = TempDir::new().unwrap();
    let plain = fs::read(shipped("model_points_small.csv")).unwrap();
    // Two gzip members, as `cat a.gz b.gz` makes them; and a name that does not tell.
    let members = [gzip(&plain[..100]), gzip(&plain[100..])].concat();
    fs::write(dir.path().join("points.csv.gz"), &members).unwrap();
    fs::write(dir.path().join("points.csv"), &members).unwrap();
    run_well(
        dir.path(),
        ["--points", "points.csv.gz", "--out", "a.csv.gz"],
    );
    run_well(dir.path(), ["--points", "points.csv", "--out", "b.csv"]);
    let mut found = String::new();
    let packed = fs::File::open(dir.path().join("a.csv.gz")).unwrap();
    GzDecoder::new(packed).read_to_string(&mut found).unwrap();
    assert_eq!(found, fs::read_to_string(dir.path().join("b.csv")).unwrap());
    assert_close(
        &found,
        &fs::read_to_string(shipped("reference/small_pv.csv")).unwrap(),
    );
}

#[test]
fn a_scenario_equals_the_reference() {
    let dir = TempDir::new().unwrap();
    let reference = fs::read_to_string(shipped("reference/small_pv_by_scen.csv")).unwrap();
    let (_, reference) = numbers(&reference);
    for scenario in [1, 3, 10] {
        let points = shipped("model_points_small.csv");
        let number = scenario.to_string();
        let stdout = run_well(
            dir.path(),
            [
                "--points",
                &points,
                "--scenario",
                &number,
                "--out",
                "pv.csv",
            ],
        );
        assert!(
            stdout.contains(&format!("scenario {scenario},")),
            "{stdout}"
        );
        let found = fs::read_to_string(dir.path().join("pv.csv")).unwrap();
        let rows = reference.iter().filter(|row| row[1] == f64::from(scenario));
        for (found, row) in numbers(&found).1.iter().zip(rows) {
            for (a, b) in found[1..].iter().zip(&row[2..]) {
                assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} instead of {b}");
            }
        }
    }
}

#[test]
fn repeats_print_the_seconds_of_the_projection() {
    let dir = TempDir::new().unwrap();
    let points = shipped("model_points_small.csv");
    let stdout = run_well(dir.path(), ["--points", &points, "--repeat", "3"]);
    let seconds = figure(&stdout, "kernel seconds (best of 3):");
    assert!(seconds > 0.0 && seconds < 60.0);
    assert_eq!(seconds, figure(&stdout, "Wall time"));
}

#[test]
fn the_plot_is_well_formed() {
    let dir = TempDir::new().unwrap();
    run_well(
        dir.path(),
        [
            "--points",
            &shipped("model_points_small.csv"),
            "--plot",
            "flows.svg",
        ],
    );
    let svg = fs::read_to_string(dir.path().join("flows.svg")).unwrap();
    check_svg(
        &svg,
        &[
            "Premiums",
            "Claims",
            "Expenses",
            "Commissions",
            "Net Cashflow",
            "years",
            "millions",
        ],
    );
}

#[test]
fn the_shipped_points_go_with_tables_that_have_none() {
    let bench = refusals::Bench::new();
    let stdout = run_well(bench.path(), ["--tables", "tables"]);
    assert!(stdout.starts_with("10000 points"), "{stdout}");
    let small = fs::read(bench.path().join("points.csv")).unwrap();
    fs::write(bench.path().join("tables/model_points_10000.csv"), small).unwrap();
    let stdout = run_well(bench.path(), ["--tables", "tables"]);
    assert!(stdout.starts_with("4 points"), "{stdout}");
}

#[test]
fn help_names_every_option() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), ["--help"]);
    let options = [
        "tables",
        "points",
        "scenario",
        "workers",
        "out",
        "cash-flows",
        "repeat",
        "plot",
    ];
    for option in options {
        assert!(help.contains(&format!("--{option} <")), "{option}: {help}");
    }
    assert!(
        help.contains("Examples:") && help.contains(".csv.gz") && help.contains("1,3,5-10"),
        "{help}"
    );
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let mut child = program()
        .args([
            "--points",
            &shipped("model_points_small.csv"),
            "--out",
            "pv.csv",
        ])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert!(dir.path().join("pv.csv").is_file());
}

#[test]
fn a_killed_run_leaves_the_old_file_or_the_whole_new_one() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("pv.csv");
    let args = ["--points", some_points(dir.path()), "--out", "pv.csv"];
    let start = Instant::now();
    run_well(dir.path(), args);
    let length = start.elapsed();
    let whole = fs::read(&out).unwrap();
    for tenth in 0..12 {
        fs::write(&out, "old\n").unwrap();
        let mut command = program();
        command
            .args(args)
            .current_dir(dir.path())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(length * tenth / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        let found = fs::read(&out).unwrap();
        let whole = found == b"old\n" || found == whole;
        assert!(whole, "killed after {tenth} tenths: {} bytes", found.len());
    }
}

#[test]
fn files_get_their_names_together_or_the_message_says_which_did() {
    let dir = TempDir::new().unwrap();
    let stage = |name: &str| {
        let output = files::Output::new(&dir.path().join(name), []).unwrap();
        output.stage(|file| file.write_all(b"new")).unwrap()
    };
    let staged = vec![stage("a.csv"), stage("b.csv"), stage("c.csv")];
    fs::create_dir(dir.path().join("b.csv")).unwrap();
    let message = files::commit(staged).unwrap_err().to_string();
    let path = |name| dir.path().join(name).display().to_string();
    assert!(
        message.contains(&format!("cannot write {}", path("b.csv"))),
        "{message}"
    );
    assert!(
        message.ends_with(&format!("(written: {})", path("a.csv"))),
        "{message}"
    );
    assert_eq!(names(dir.path()), ["a.csv", "b.csv"]);

    let output = files::Output::new(&dir.path().join("d.csv"), []).unwrap();
    let failure = output.stage(|_| Err(std::io::Error::other("no more space")));
    let message = failure.unwrap_err().to_string();
    assert!(
        message.contains("d.csv") && message.contains("no more space"),
        "{message}"
    );
    assert_eq!(names(dir.path()), ["a.csv", "b.csv"]);
}
