//! The example program `overhead`, run as a user runs it.

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
    program_in("overhead", dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

#[test]
fn a_quick_run_prints_every_row_and_writes_no_file() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick", "--workers", "3"]);
    assert!(stdout.contains("3000 items, a pool of 3,"), "{stdout}");
    for name in [
        "serial iterator",
        "rayon par_iter",
        "rayon with_max_len(1)",
        "scipar size(1)",
        "scipar size(375)",
        "scipar count(6)",
        "scipar auto()",
    ] {
        let row = stdout.lines().find_map(|line| line.strip_prefix(name));
        let numbers: Vec<f64> = row
            .unwrap_or_else(|| panic!("no {name} in {stdout}"))
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(
            numbers.len() == 2 && numbers.iter().all(|n| *n > 0.0),
            "{stdout}"
        );
        assert!(name != "serial iterator" || numbers[1] == 1.0, "{stdout}");
    }
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn the_plot_is_well_formed() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick", "--plot", "speed.svg"]);
    assert!(stdout.ends_with("\nwrote speed.svg\n"), "{stdout}");
    assert_eq!(num_files(dir.path()), 1);
    let svg = fs::read_to_string(dir.path().join("speed.svg")).unwrap();
    check_svg(
        &svg,
        &[
            "serial",
            "rayon par_iter",
            "scipar auto()",
            "100 ns",
            "1 ms",
        ],
    );
}

#[test]
fn bad_input_is_refused_with_one_message_and_no_file() {
    let dir = TempDir::new().unwrap();
    for (args, word) in [
        (["--plot", "speed.png"], ".svg"),
        (["--plot", "none/speed.svg"], "none/speed.svg"),
        (["--plot", "new\nline/a.svg"], "new\\nline"),
        (["--workers", "0"], "1..=1024"),
        (["--workers", "-1"], "1..=1024"),
        (["--workers", "two"], "two"),
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
fn help_names_every_option() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), &["--help"]);
    for option in ["--plot <FILE.svg>", "--workers <N>", "--quick"] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
