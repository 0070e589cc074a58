//! The example program `scaling`, run as a user runs it.

#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;
use std::process::Output;

use example::{check_svg, num_files, program_in, stdout_of};

use tempfile::TempDir;

/// Runs the program in a directory of its own.
fn run(dir: &Path, args: &[&str]) -> Output {
    program_in("scaling", dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// The rows of all tables: workers, then what stands behind them.
fn rows(stdout: &str) -> Vec<(usize, Vec<&str>)> {
    let mut rows = Vec::new();
    for line in stdout.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Workers, a time with a unit, and one or more spreads.
        if fields.len() > 4
            && fields[2].ends_with('s')
            && let Ok(workers) = fields[0].parse()
        {
            rows.push((workers, fields[1..].to_vec()));
        }
    }
    rows
}

#[test]
fn a_quick_run_has_both_tables_of_every_kernel() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick", "--workers", "1,2"]);
    for text in [
        "quartic: 48 N^4 loops, n = 24, 10626 iterations each",
        "quartic: 12 N^4 loops for each worker",
        "cash-value: 400 policies, in blocks",
        "cash-value: 200 policies for each worker",
        "chamfer: ",
        "pairs of points for each worker",
        "strong scaling, mean +- standard deviation of 3 turns",
        "weak scaling, mean",
        "no forecast: a scaling law takes measurements with at least 3 different worker counts, found 2",
    ] {
        assert!(stdout.contains(text), "no {text} in {stdout}");
    }
    assert!(!stdout.contains("law:"), "{stdout}");
    let rows = rows(&stdout);
    let workers: Vec<usize> = rows.iter().map(|(workers, _)| *workers).collect();
    assert_eq!(workers, [1, 2].repeat(6), "{stdout}");
    for (workers, fields) in rows {
        // The time and its unit, the speed-up and its deviation, relative, efficiency.
        assert_eq!(fields[3], "+-", "{stdout}");
        let speed_up: f64 = fields[2].parse().unwrap();
        assert!(
            speed_up > 0.0 && (workers > 1 || speed_up == 1.0),
            "{stdout}"
        );
    }
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn three_counts_make_a_law_and_its_forecasts() {
    let dir = TempDir::new().unwrap();
    let args = ["--quick", "--workers", "4,2,1,2", "--repeat", "2"];
    let args = [&args[..], &["--kernel", "quartic"]].concat();
    let stdout = run_well(dir.path(), &args);
    assert_eq!(stdout.matches("law: X(N) = ").count(), 2, "{stdout}");
    for workers in [8, 16, 64] {
        let start = format!("  {workers} workers: ");
        let lines: Vec<&str> = stdout.lines().filter(|l| l.starts_with(&start)).collect();
        assert_eq!(lines.len(), 2, "{stdout}");
        for line in lines {
            assert!(line.contains("(95 %: "), "{stdout}");
        }
    }
    assert!(
        stdout.contains("as many parameters as worker counts (3)"),
        "{stdout}"
    );
    assert!(stdout.contains("Gustafson's serial share: "), "{stdout}");
    assert!(!stdout.contains("cash-value"), "{stdout}");
    assert_eq!(rows(&stdout).len(), 6, "{stdout}");
}

#[test]
fn more_workers_than_processors_are_remarked_on() {
    let dir = TempDir::new().unwrap();
    let args = ["--quick", "--repeat", "1", "--kernel", "quartic"];
    let stdout = run_well(dir.path(), &[&args[..], &["--workers", "1,300"]].concat());
    assert!(stdout.contains("\nnote: "), "{stdout}");
}

#[test]
fn the_plot_is_well_formed() {
    let dir = TempDir::new().unwrap();
    let args = ["--quick", "--workers", "1,2,3", "--plot", "scaling.svg"];
    let stdout = run_well(dir.path(), &args);
    assert!(stdout.ends_with("\nwrote scaling.svg\n"), "{stdout}");
    assert_eq!(num_files(dir.path()), 1);
    let svg = fs::read_to_string(dir.path().join("scaling.svg")).unwrap();
    check_svg(
        &svg,
        &[
            "Strong scaling",
            "Weak scaling",
            "scaled speed-up",
            "workers",
            "ideal",
            "quartic, measured",
            "quartic, law",
            "quartic, forecast, 95 %",
            "cash-value, measured",
            "64",
        ],
    );
}

#[test]
fn a_plot_without_a_law_has_none() {
    let dir = TempDir::new().unwrap();
    for workers in ["1", "1,2", "1,3"] {
        let args = ["--quick", "--workers", workers, "--kernel", "cash-value"];
        run_well(dir.path(), &[&args[..], &["--plot", "few.svg"]].concat());
        let svg = fs::read_to_string(dir.path().join("few.svg")).unwrap();
        check_svg(&svg, &["cash-value, measured", "ideal"]);
        assert!(!svg.contains("law"));
        // The labels of the axes are powers of two.
        let labels: Vec<&str> = svg
            .lines()
            .filter(|line| line.parse::<f64>().is_ok())
            .collect();
        assert_eq!(
            labels,
            ["0.5", "1", "2", "4", "1", "2", "4"].repeat(2),
            "{workers}"
        );
    }
}

#[test]
fn bad_input_is_refused_with_one_message_and_no_file() {
    let dir = TempDir::new().unwrap();
    for (args, word) in [
        (["--plot", "speed.png"], ".svg"),
        (["--plot", "none/speed.svg"], "none/speed.svg"),
        (["--workers", "2,4"], "1 among"),
        (["--workers", "0"], "from 1 to 1024"),
        (["--workers", "1,-2"], "from 1 to 1024"),
        (["--workers", "1,two"], "two"),
        (["--repeat", "0"], "from 1 to 10000"),
        (["--kernel", "linpack"], "linpack"),
        (["--rounds", "3"], "--rounds"),
    ] {
        let output = run(dir.path(), &args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{stderr}"
        );
        assert!(
            stderr.starts_with("error: ") && stderr.contains(word),
            "{stderr}"
        );
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    }
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn help_names_every_option_and_defines_its_words() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), &["--help"]);
    for text in [
        "--workers <LIST>",
        "--repeat <N>",
        "--kernel <NAME>",
        "--plot <FILE.svg>",
        "--quick",
        "quartic",
        "cash-value",
        "T(1)/T(N)",
        "[default: 1,2,3,4,6",
        "universal scalability law",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
}
