//! The example program `bandwidth`, run as a user runs it.

#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use example::{check_svg, num_files, program_in, stdout_of};

use tempfile::TempDir;

const COLUMNS: [&str; 5] = [
    "queue, moved",
    "queue, copied",
    "pipe, moved",
    "pipe, copied",
    "one thread, copied",
];

/// The program, in a directory of its own.
fn program(dir: &Path) -> Command {
    program_in("bandwidth", dir)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// The rows of the table: sizes, and the fields behind each.
fn rows(stdout: &str) -> Vec<(usize, Vec<&str>)> {
    let lines = stdout.lines().skip_while(|line| !line.contains("MB/s  "));
    let mut rows = Vec::new();
    for line in lines.skip(1).take_while(|line| !line.starts_with("wrote")) {
        let mut fields = line.split_whitespace();
        let size = fields.next().unwrap().parse().unwrap();
        rows.push((size, fields.collect()));
    }
    rows
}

#[test]
fn a_quick_run_prints_every_row_and_writes_no_file() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick"]);
    for text in COLUMNS {
        assert!(stdout.contains(text), "no {text} in {stdout}");
    }
    assert!(stdout.contains("1 MB = 10^6 bytes"), "{stdout}");
    let rows = rows(&stdout);
    let sizes: Vec<usize> = rows.iter().map(|(size, _)| *size).collect();
    assert_eq!(
        sizes,
        [0, 1, 4, 16, 64, 256, 1024, 4096, 16384, 65536],
        "{stdout}"
    );
    for (size, fields) in rows {
        // Two numbers for each channel, one for the single thread; an empty message has no bandwidth.
        assert_eq!(fields.len(), 9, "{stdout}");
        for (i, field) in fields.iter().enumerate() {
            if size == 0 && (i % 2 == 1 || i == 8) {
                assert_eq!(*field, "-", "{stdout}");
            } else {
                assert!(field.parse::<f64>().unwrap() > 0.0, "{stdout}");
            }
        }
    }
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn the_table_as_a_file_has_a_line_per_size_and_contender() {
    let dir = TempDir::new().unwrap();
    let args = ["--quick", "--max-bytes", "100", "--out", "table.csv"];
    let stdout = run_well(dir.path(), &args);
    assert!(stdout.ends_with("\nwrote table.csv\n"), "{stdout}");
    assert_eq!(rows(&stdout).len(), 5, "{stdout}");
    let table = fs::read_to_string(dir.path().join("table.csv")).unwrap();
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap(),
        "bytes,channel,content,latency_us,bandwidth_mb_per_s"
    );
    let mut found = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), 5, "{line}");
        let is_missing = [fields[1] == "one thread", fields[0] == "0"];
        for (field, is_missing) in fields[3..].iter().zip(is_missing) {
            match is_missing {
                true => assert_eq!(*field, "", "{line}"),
                false => assert!(field.parse::<f64>().unwrap() > 0.0, "{line}"),
            }
        }
        found.push((fields[0].parse().unwrap(), fields[1..3].join(", ")));
    }
    let expected = [0, 1, 4, 16, 64].map(|size| COLUMNS.map(|name| (size, name.to_owned())));
    assert_eq!(found, expected.concat());
}

#[test]
fn the_plot_is_well_formed() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick", "--plot", "bandwidth.svg"]);
    assert!(stdout.ends_with("\nwrote bandwidth.svg\n"), "{stdout}");
    assert_eq!(num_files(dir.path()), 1);
    let svg = fs::read_to_string(dir.path().join("bandwidth.svg")).unwrap();
    let texts: Vec<&str> = COLUMNS
        .into_iter()
        .chain([
            "size of the message (bytes)",
            "bandwidth (bytes per second)",
            "1 kB",
            "1 GB/s",
        ])
        .collect();
    check_svg(&svg, &texts);
    // A line through ten sizes for each contender.
    let lines = svg.split("<polyline ").skip(1).filter(|line| {
        let points = line.split("points=\"").nth(1).unwrap();
        points.split('"').next().unwrap().trim().split(' ').count() == 9
    });
    assert_eq!(lines.count(), COLUMNS.len());
}

#[test]
fn bad_input_is_refused_with_one_message_and_no_file() {
    let dir = TempDir::new().unwrap();
    for (args, word) in [
        (&["--plot", "speed.png"][..], ".svg"),
        (&["--plot", "none/speed.svg"], "none/speed.svg"),
        (&["--plot", "new\nline/a.svg"], "new\\nline"),
        (&["--out", "none/table.csv"], "none/table.csv"),
        (&["--out", "a.svg", "--plot", "./a.svg"], "two outputs"),
        (&["--max-bytes", "0"], "from 1 to 1073741824"),
        (&["--max-bytes", "-1"], "from 1 to 1073741824"),
        (&["--max-bytes", "1k"], "1k"),
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
        .args(["--quick", "--max-bytes", "1", "--out", "table.csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert!(dir.path().join("table.csv").is_file());
}

#[test]
fn help_names_every_option_and_defines_its_words() {
    let dir = TempDir::new().unwrap();
    let help = run_well(dir.path(), &["--help"]);
    for text in [
        "--max-bytes <N>",
        "--out <FILE.csv>",
        "--plot <FILE.svg>",
        "--quick",
        "half a round trip",
        "until the receiver has confirmed the last byte",
        "10^6 bytes",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
}
