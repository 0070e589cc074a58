//! The example program `crash_isolation`, run as a user runs it.

#![cfg(all(unix, feature = "process"))]
#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use example::{num_files, program_in, stdout_of};

use scipar::kernels::cash_value::{Assumptions, Portfolio, PresentValues, project};
use tempfile::TempDir;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/cash_value");
const MIXED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/data/cash_value/model_points_mixed200.csv"
);

/// The program, in a directory of its own.
fn program(dir: &Path) -> Command {
    program_in("crash_isolation", dir)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// The number behind a name at the start of a line.
fn figure(stdout: &str, name: &str) -> f64 {
    let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
    let rest = line[name.len()..].split_whitespace().next().unwrap();
    rest.trim_end_matches(':').parse().unwrap()
}

/// The lines that say who failed.
fn failures(stdout: &str) -> Vec<&str> {
    let lines = stdout.lines().filter(|line| line.starts_with("point "));
    lines.collect()
}

/// Labels and values of the shipped portfolio of 200, from the crate's own projection.
fn expected() -> (Vec<i64>, Vec<[f64; 9]>) {
    let portfolio = Portfolio::read_csv(MIXED).unwrap();
    let projection = project(&portfolio, &Assumptions::read_dir(DATA).unwrap()).unwrap();
    let values = projection.present_values().iter();
    (
        portfolio.point_ids().to_vec(),
        values.map(PresentValues::to_array).collect(),
    )
}

#[test]
fn everything_but_the_poisoned_policies_is_priced_and_written() {
    let dir = TempDir::new().unwrap();
    let (points, values) = expected();
    // By index: abort, exit and a panic, and next to each other two that read from nowhere.
    let poisoned = [0, 7, 99, 100, 199];
    let poison = format!(
        "abort={},exit={},segfault={},segfault={},panic={}",
        points[0], points[7], points[99], points[100], points[199]
    );
    for workers in ["1", "2", "3"] {
        let args = ["--points", MIXED, "--workers", workers, "--out", "pv.csv"];
        let args = [&args[..], &["--timeout", "60", "--poison", &poison]].concat();
        let stdout = run_well(dir.path(), &args);
        assert!(stdout.ends_with("\nwrote pv.csv\n"), "{stdout}");
        let first = stdout.lines().next().unwrap();
        assert!(first.starts_with("200 policies on "), "{first}");
        assert!(
            first.ends_with(": 5 poisoned, 5 failed, 195 priced"),
            "{first}"
        );

        let failures = failures(&stdout);
        assert_eq!(failures.len(), 5, "{stdout}");
        let words = [
            "signal 6 (SIGABRT)",
            "exit code 7",
            "signal 11 (SIGSEGV)",
            "signal 11 (SIGSEGV)",
            "is poisoned",
        ];
        for ((line, index), words) in failures.iter().zip(poisoned).zip(words) {
            let start = format!("point {} (index {index}): ", points[index]);
            assert!(line.starts_with(&start) && line.contains(words), "{line}");
            let last_words = format!("point {} is poisoned", points[index]);
            assert!(line.contains(&last_words), "{line}");
        }
        // Four died, each at least once; the one that panicked cost nothing.
        let starts = figure(&stdout, "Worker starts");
        assert!(
            starts >= f64::from(workers.parse::<u32>().unwrap()) + 3.0,
            "{stdout}"
        );

        let mut totals = [0.0; 9];
        let rows = fs::read_to_string(dir.path().join("pv.csv")).unwrap();
        let mut rows = rows.lines();
        let header = format!("index,point_id,{},failure", PresentValues::NAMES.join(","));
        assert_eq!(rows.next().unwrap(), header);
        for (index, row) in rows.by_ref().take(200).enumerate() {
            let fields: Vec<&str> = row.splitn(12, ',').collect();
            assert_eq!(fields[0].parse(), Ok(index), "{row}");
            assert_eq!(fields[1].parse(), Ok(points[index]), "{row}");
            if poisoned.contains(&index) {
                assert_eq!(fields[2..11], [""; 9], "{row}");
                assert!(fields[11].len() > 10, "{row}");
                continue;
            }
            assert_eq!(fields[11], "", "{row}");
            for ((field, value), total) in fields[2..11].iter().zip(values[index]).zip(&mut totals)
            {
                let found: f64 = field.parse().unwrap();
                assert_eq!(found.to_bits(), value.to_bits(), "{row}");
                *total += found;
            }
        }
        assert_eq!(rows.next(), None);
        for (name, total) in PresentValues::NAMES.into_iter().zip(totals) {
            // Printed with four decimals.
            let printed = figure(&stdout, name);
            assert!((printed - total).abs() <= 5e-5 + 1e-15 * total.abs());
        }
    }
    assert_eq!(num_files(dir.path()), 1);
}

#[test]
fn a_quick_run_names_the_three_that_were_poisoned_and_writes_no_file() {
    let dir = TempDir::new().unwrap();
    // Long enough for a busy machine: it is the time that one policy takes.
    let stdout = run_well(dir.path(), &["--quick", "--timeout", "2"]);
    let failures = failures(&stdout);
    assert_eq!(failures.len(), 3, "{stdout}");
    for (line, words) in failures.into_iter().zip([
        [
            "point 137 (index 136)",
            "was ended by signal 6 (SIGABRT)",
            "point 137 is poisoned",
        ],
        [
            "point 502 (index 501)",
            "was ended by signal 11 (SIGSEGV)",
            "point 502 is poisoned",
        ],
        ["point 771 (index 770)", "took longer than 2s", "killed"],
    ]) {
        for words in words {
            assert!(line.contains(words), "{words}: {line}");
        }
    }
    assert!(stdout.contains("all 997 have the bits"), "{stdout}");
    assert!(figure(&stdout, "Wall time") >= 2.0, "{stdout}");
    assert!(figure(&stdout, "CPU time") > 0.0, "{stdout}");
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn without_poison_nobody_fails_and_no_worker_is_replaced() {
    let dir = TempDir::new().unwrap();
    let args = ["--points", MIXED, "--poison", "none", "--workers", "2"];
    let stdout = run_well(dir.path(), &[&args[..], &["--timeout", "60"]].concat());
    let first = stdout.lines().next().unwrap();
    let all = "200 policies on 2 worker processes: 0 poisoned, 0 failed, 200 priced";
    assert_eq!(first, all);
    assert!(failures(&stdout).is_empty(), "{stdout}");
    assert!(
        stdout.contains("2: 2 at first, 0 for those that were lost"),
        "{stdout}"
    );
}

#[test]
fn a_compressed_output_and_other_line_breaks_are_taken() {
    let dir = TempDir::new().unwrap();
    let plain = fs::read_to_string(MIXED).unwrap();
    let spaced = plain.replace('\n', "\r\n\r\n");
    fs::write(dir.path().join("points.csv"), spaced).unwrap();
    let args = ["--points", "points.csv", "--poison", "none"];
    let args = [&args[..], &["--out", "pv.csv.gz"]].concat();
    let stdout = run_well(dir.path(), &args);
    assert!(stdout.contains("200 priced"), "{stdout}");
    let packed = fs::read(dir.path().join("pv.csv.gz")).unwrap();
    assert_eq!(packed[..2], [0x1f, 0x8b]);
}

#[test]
fn bad_input_is_refused_with_one_message_and_no_file() {
    let dir = TempDir::new().unwrap();
    let good = fs::read_to_string(MIXED).unwrap();
    fs::write(dir.path().join("cut.csv"), &good[..good.len() - 1]).unwrap();
    let before = num_files(dir.path());
    for (args, word) in [
        (
            &["--points", "none.csv"][..],
            "error: cannot read none.csv: No such file or directory",
        ),
        (&["--points", "."], "is a directory, expected a file"),
        (
            &["--points", "cut.csv"],
            "cut.csv: line 201 has no line break",
        ),
        (&["--tables", "none"], "none/product_spec_table.csv"),
        (&["--workers", "0"], "from 1 to 256"),
        (&["--workers", "two"], "two"),
        (&["--timeout", "0"], "from 0.01 to 3600"),
        (&["--timeout", "-1"], "from 0.01 to 3600"),
        (&["--timeout", "soon"], "soon"),
        (&["--poison", "abort"], "found \"abort\", expected FAULT=ID"),
        (&["--poison", "abort=x"], "found \"abort=x\""),
        (&["--poison", "abort=1,melt=2"], "found \"melt=2\""),
        (
            &["--poison", "hang=10001"],
            "no point 10001 among the first 10000",
        ),
        (
            &["--quick", "--poison", "hang=1001"],
            "no point 1001 among the first 1000",
        ),
        (&["--poison", "hang=1,exit=1"], "point 1 has two faults"),
        (&["--out", "none/pv.csv"], "cannot write none/pv.csv"),
        (&["--out", MIXED, "--points", MIXED], "it is the input"),
        (&["--points", "two\nlines.csv"], "two\\nlines.csv"),
        (&["--frob"], "--frob"),
    ] {
        let output = run(dir.path(), args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{args:?}: {stderr}"
        );
        assert!(
            stderr.starts_with("error: ") && stderr.contains(word),
            "{word}: {stderr}"
        );
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
        let hint = stderr.contains("try '--help'");
        assert!(hint || stderr.lines().count() == 1, "{stderr}");
    }
    assert_eq!(num_files(dir.path()), before);
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let mut child = program(dir.path())
        .args(["--points", MIXED, "--poison", "none", "--out", "pv.csv"])
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
fn help_names_every_option() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), &["--help"]);
    for option in [
        "--points <FILE>",
        "--tables <DIR>",
        "--workers <N>",
        "--timeout <SECONDS>",
        "--poison <FAULT=ID,...>",
        "--out <FILE.csv>",
        "--quick",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
