//! The example program `shared_array`, run as a user runs it.

#![cfg(all(unix, feature = "process"))]
#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use example::{check_svg, num_files, program_in, stdout_of};

use tempfile::TempDir;

/// The program, in a directory of its own.
fn program(dir: &Path) -> Command {
    program_in("shared_array", dir)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// The numbers at the end of the line that begins so.
fn numbers(stdout: &str, start: &str) -> Vec<f64> {
    let line = stdout.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start}: {stdout}"));
    let words = line[start.len()..].split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The rows of the table of hand-overs.
fn hand_overs(stdout: &str) -> Vec<Vec<f64>> {
    let lines = stdout
        .lines()
        .skip_while(|line| !line.contains("empty call"));
    let rows = lines.skip(1).take_while(|line| !line.is_empty());
    rows.map(|row| {
        let fields = row.split_whitespace();
        fields.map(|field| field.parse().unwrap()).collect()
    })
    .collect()
}

#[test]
fn sums_agree_and_there_is_one_copy() {
    let dir = TempDir::new().unwrap();
    let mut sums = Vec::new();
    for workers in [1, 3] {
        let option = workers.to_string();
        let stdout = run_well(dir.path(), &["--quick", "--mb", "12", "--workers", &option]);
        assert!(stdout.starts_with("An array of 12 MB, "), "{stdout}");
        // One and a half million numbers from 0 to 1: their sum is half of that, give or take.
        let sum = numbers(&stdout, "sum on threads")[2];
        assert!((sum - 0.75e6).abs() < 1e4, "{stdout}");
        sums.push(sum.to_bits());
        assert_eq!(stdout.matches("the same bits").count(), workers, "{stdout}");
        assert!(stdout.contains("  the same elements\n"), "{stdout}");

        if cfg!(target_os = "linux") {
            let lines = stdout.lines().filter(|line| line.starts_with("process "));
            assert_eq!(lines.count(), workers, "{stdout}");
            let all = numbers(&stdout, "together");
            let [resident, shared, proportional] = all[..] else {
                panic!("{stdout}");
            };
            // The array is in every process as a whole, and there once.
            let everywhere = 12.0 * (workers + 1) as f64;
            assert!(shared >= everywhere && shared <= resident, "{stdout}");
            assert!(proportional >= 12.0, "{stdout}");
            assert!(proportional < resident - everywhere + 13.0, "{stdout}");
        }
    }
    assert_eq!(sums[0], sums[1]);
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn a_quick_run_has_a_row_for_each_size() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick"]);
    let rows = hand_overs(&stdout);
    let sizes: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(sizes, [1.0, 2.0, 4.0, 8.0], "{stdout}");
    for row in rows {
        assert_eq!(row.len(), 5, "{stdout}");
        assert!(row[1..4].iter().all(|time| *time > 0.0), "{stdout}");
        // What is printed with one digit.
        assert!((row[2] - row[1] - row[4]).abs() < 0.21, "{stdout}");
    }
    let stdout = run_well(dir.path(), &["--quick", "--mb", "3"]);
    let sizes: Vec<f64> = hand_overs(&stdout).iter().map(|row| row[0]).collect();
    assert_eq!(sizes, [1.0, 2.0, 3.0], "{stdout}");
}

#[test]
fn the_plot_is_well_formed() {
    let dir = TempDir::new().unwrap();
    let args = ["--quick", "--mb", "4", "--plot", "hand_over.svg"];
    let stdout = run_well(dir.path(), &args);
    assert!(stdout.ends_with("\nwrote hand_over.svg\n"), "{stdout}");
    assert_eq!(num_files(dir.path()), 1);
    let svg = fs::read_to_string(dir.path().join("hand_over.svg")).unwrap();
    let texts = [
        "Handing an array to a worker process",
        "size of the array (bytes)",
        "round trip of a call that reads one element",
        "Vec&lt;f64&gt;, copied",
        "Shared&lt;f64&gt;, not copied",
        "nothing: an empty call",
        "1 MB",
    ];
    check_svg(&svg, &texts);
    // Three sizes for each of three lines.
    assert_eq!(svg.matches("<circle ").count(), 9);
    // With one size it is a plot as well.
    run_well(dir.path(), &["--quick", "--mb", "1", "--plot", "one.svg"]);
    let svg = fs::read_to_string(dir.path().join("one.svg")).unwrap();
    check_svg(&svg, &texts);
}

#[test]
fn bad_input_is_refused_with_one_message_and_no_file() {
    let dir = TempDir::new().unwrap();
    for (args, word) in [
        (&["--plot", "speed.png"][..], ".svg"),
        (&["--plot", "none/speed.svg"], "none/speed.svg"),
        (&["--plot", "new\nline/a.svg"], "new\\nline"),
        (&["--mb", "0"], "from 1 to 65536"),
        (&["--mb", "-1"], "from 1 to 65536"),
        (&["--mb", "1G"], "1G"),
        (&["--workers", "0"], "from 1 to 256"),
        (&["--workers", "many"], "many"),
        (&["--rounds", "3"], "--rounds"),
        (&["table.csv"], "table.csv"),
    ] {
        let output = run(dir.path(), args);
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
        let hint = stderr.contains("try '--help'");
        assert!(hint || stderr.lines().count() == 1, "{stderr}");
    }
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let mut child = program(dir.path())
        .args(["--quick", "--mb", "1", "--plot", "a.svg"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert!(dir.path().join("a.svg").is_file());
}

#[test]
fn help_names_every_option_and_defines_its_words() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), &["--help"]);
    for text in [
        "--mb <N>",
        "--workers <N>",
        "--plot <FILE.svg>",
        "--quick",
        "10^6 bytes",
        "reads one element",
        "divided by the number of processes",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
}
