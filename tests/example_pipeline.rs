//! The example program `pipeline`, run as a user runs it.

#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use example::{num_files, program_in, refusal_of, stdout_of};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use scipar::kernels::cash_value::{Assumptions, Portfolio, PresentValues, project};
use tempfile::TempDir;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/cash_value");
const MIXED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/data/cash_value/model_points_mixed200.csv"
);

/// The program, in a directory of its own.
fn program(dir: &Path) -> Command {
    program_in("pipeline", dir)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// Runs the program with an output that must not come about; gives its one line on standard error.
fn refused(dir: &Path, args: &[&str]) -> String {
    refusal_of(dir, || run(dir, args))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// What the program has to write for a file, and the totals: from the crate's own projection of the whole.
fn expected(points: &str) -> (String, [f64; 9]) {
    let portfolio = Portfolio::read_csv(points).unwrap();
    let projection = project(&portfolio, &Assumptions::read_dir(DATA).unwrap()).unwrap();
    let mut rows = format!("point_id,{}\n", PresentValues::NAMES.join(","));
    for (id, values) in portfolio
        .point_ids()
        .iter()
        .zip(projection.present_values())
    {
        write!(rows, "{id}").unwrap();
        for value in values.to_array() {
            write!(rows, ",{value:?}").unwrap();
        }
        rows.push('\n');
    }
    (rows, projection.totals().to_array())
}

/// The number behind a name at the start of a line.
fn figure(stdout: &str, name: &str) -> f64 {
    let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
    let rest = line[name.len()..].split_whitespace().next().unwrap();
    rest.parse().unwrap()
}

#[test]
fn rows_are_those_of_the_whole_projection_for_any_workers_blocks_and_window() {
    let dir = TempDir::new().unwrap();
    let (rows, totals) = expected(MIXED);
    for workers in [1, 2, 3] {
        for (block, window) in [(1, 5), (7, 1), (64, 2), (200, 3), (256, 1)] {
            let options = format!(
                "--workers {workers} --block {block} --window {window} --out pv.csv --points"
            );
            let args: Vec<&str> = options.split(' ').chain([MIXED]).collect();
            let stdout = run_well(dir.path(), &args);
            assert!(stdout.ends_with("\nwrote pv.csv\n"), "{stdout}");
            let found = fs::read_to_string(dir.path().join("pv.csv")).unwrap();
            assert!(found == rows, "{options}: other rows");

            let blocks = 200_usize.div_ceil(block);
            let first = stdout.lines().next().unwrap();
            assert!(
                first.starts_with(&format!("200 policies, {blocks} block")),
                "{first}"
            );
            for (name, total) in PresentValues::NAMES.into_iter().zip(totals) {
                // Printed with four decimals.
                let printed = figure(&stdout, name);
                assert!((printed - total).abs() <= 5e-5 + 1e-15 * total.abs());
            }
            let peak = figure(&stdout, "In flight");
            assert!(peak >= 1.0 && peak <= f64::from(window), "{stdout}");
        }
    }
    assert_eq!(num_files(dir.path()), 1);
}

#[test]
fn a_quick_run_reads_a_thousand_points_of_the_shipped_file() {
    let dir = TempDir::new().unwrap();
    let stdout = run_well(dir.path(), &["--quick"]);
    assert!(
        stdout.starts_with("1000 policies, 4 blocks of up to 256 lines, "),
        "{stdout}"
    );
    let mut lines = stdout
        .lines()
        .skip_while(|line| !line.starts_with("Net Cashflow"))
        .skip(2);
    for name in ["In flight", "Wall time", "CPU time", "Parallelism"] {
        assert!(lines.next().unwrap().starts_with(name), "{stdout}");
    }
    assert_eq!(lines.next(), None);
    assert_eq!(num_files(dir.path()), 0);
}

#[test]
fn a_comparison_prints_the_speed_up() {
    let dir = TempDir::new().unwrap();
    let args = ["--points", MIXED, "--compare", "--out", "pv.csv"];
    let stdout = run_well(dir.path(), &args);
    assert!(
        figure(&stdout, "Speed-up") > 0.0 && figure(&stdout, "Wall time") > 0.0,
        "{stdout}"
    );
    // The loop's own output is gone.
    assert_eq!(num_files(dir.path()), 1);
}

#[test]
fn compressed_files_and_other_line_breaks_give_the_same() {
    let dir = TempDir::new().unwrap();
    let (rows, _) = expected(MIXED);
    let plain = fs::read_to_string(MIXED).unwrap();
    let spaced = plain.replace('\n', "\n\n \r\n");
    let files = [
        ("packed.csv.gz", gzip(plain.as_bytes())),
        ("mac.csv", plain.replace('\n', "\r").into_bytes()),
        ("windows.csv", plain.replace('\n', "\r\n").into_bytes()),
        ("mark.csv", format!("\u{feff}{plain}").into_bytes()),
        ("blank.csv", format!("\n\n{spaced}").into_bytes()),
    ];
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
        let args = "--block 37 --out pv.csv.gz --points".split(' ');
        let args: Vec<&str> = args.chain([name]).collect();
        run_well(dir.path(), &args);
        let packed = fs::File::open(dir.path().join("pv.csv.gz")).unwrap();
        let mut found = String::new();
        GzDecoder::new(packed).read_to_string(&mut found).unwrap();
        assert!(found == rows, "{name}: other rows");
    }
}

#[test]
fn a_bad_line_is_named_by_its_number_in_the_file() {
    let dir = TempDir::new().unwrap();
    let good = fs::read_to_string(format!("{DATA}/model_points_10000.csv")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let fields: Vec<&str> = lines[4999].split(',').collect();
    let with = |column: usize, value: &str| {
        let mut fields = fields.clone();
        fields[column] = value;
        fields.join(",")
    };
    let last = fields.len() - 1;
    let open_quote = format!("\"{}", fields[last]);
    let cases = [
        // The number of the field that is replaced, its value, and what the message has.
        (
            1,
            "Z",
            "line 5000, column \"spec_id\": found \"Z\", expected a product of",
        ),
        (
            2,
            "x",
            "line 5000, column \"age_at_entry\": found \"x\", expected a whole number",
        ),
        (
            2,
            "-4",
            "line 5000, column \"age_at_entry\": found -4, expected an age of at least 0",
        ),
        (
            5,
            "inf",
            "line 5000, column \"policy_count\": found \"inf\", expected a finite number",
        ),
        (4, "1,2", "line 5000: found 11 fields, expected 10"),
        (3, "\"M", "line 5000: found 4 fields, expected 10"),
        (last, &open_quote, "expected a field on one line"),
        (3, "M\0", "line 5000 is not text"),
    ];
    for (column, value, words) in cases {
        let bad = with(column, value);
        // Short files are quicker without optimisation; the blocks before line 4900 are the same.
        let content = [&lines[..4999], &[bad.as_str()], &lines[5000..5010]].concat();
        fs::write(dir.path().join("bad.csv"), content.join("\n") + "\n").unwrap();
        // With the line inside of a block, and for quotes, which go on in the next line, at its end too.
        let blocks = ["1000", "4999"];
        let some = if value.contains('"') { 2 } else { 1 };
        for block in &blocks[..some] {
            let args = ["--points", "bad.csv", "--out", "pv.csv", "--block", block];
            let message = refused(dir.path(), &args);
            assert!(
                message.starts_with("error: bad.csv: line 5000") && message.contains(words),
                "{message}"
            );
        }
    }
}

#[test]
fn a_policy_past_its_term_is_refused_or_has_the_values_of_the_whole_file() {
    let dir = TempDir::new().unwrap();
    let good = fs::read_to_string(MIXED).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let path = dir.path().join("past.csv");
    // Of product A with a term of ten years: past it, just past it, at its end, and with no term at all.
    let cases = [
        (10, 300, true),
        (10, 121, true),
        (10, 120, false),
        (0, 0, true),
    ];
    for (term, duration, is_past) in cases {
        let row = format!("150,A,40,F,{term},27,799000.0,{duration},1113200.0,500000.0");
        let content = [&lines[..150], &[row.as_str()], &lines[151..]].concat();
        fs::write(&path, content.join("\n") + "\n").unwrap();
        let (rows, _) = expected(path.to_str().unwrap());
        for block in ["1", "3", "40", "200"] {
            let args = ["--points", "past.csv", "--block", block, "--out", "pv.csv"];
            let output = run(dir.path(), &args);
            let message = String::from_utf8(output.stderr).unwrap();
            if output.status.success() {
                assert!(!is_past || block != "1", "a block of its own");
                let found = fs::read_to_string(dir.path().join("pv.csv")).unwrap();
                assert!(found == rows, "{row} in blocks of {block}: other rows");
            } else {
                assert!(is_past, "{message}");
                let expected = "error: past.csv: line 151: point 150 is past its term";
                assert!(message.starts_with(expected), "{message}");
                assert_eq!(
                    (output.status.code(), message.lines().count()),
                    (Some(2), 1)
                );
            }
        }
    }
}

#[test]
fn files_that_are_cut_or_empty_are_refused() {
    let dir = TempDir::new().unwrap();
    let good = fs::read_to_string(MIXED).unwrap();
    let header = &good[..=good.find('\n').unwrap()];
    let packed = gzip(good.as_bytes());
    let cases: [(&[u8], &str); 9] = [
        (b"", "no rows, expected at least one"),
        (b"\n\n", "no rows, expected at least one"),
        (header.as_bytes(), "no rows, expected at least one"),
        (
            &good.as_bytes()[..good.len() - 1],
            "line 201 has no line break",
        ),
        (&header.as_bytes()[..9], "line 1 has no line break"),
        (&packed[..packed.len() / 2], "cannot read bad.csv: "),
        (b"\x89PNG\xff\0\x01\n", "line 1 is not text"),
        (&[b'x'; 2 << 20], "line 1 is longer than"),
        (&good.as_bytes()[header.len()..], "line 1"),
    ];
    for (content, words) in cases {
        fs::write(dir.path().join("bad.csv"), content).unwrap();
        let args = ["--points", "bad.csv", "--out", "pv.csv", "--block", "50"];
        let message = refused(dir.path(), &args);
        assert!(
            message.contains("bad.csv") && message.contains(words),
            "{words}: {message}"
        );
    }
}

#[test]
fn bad_arguments_are_refused() {
    let dir = TempDir::new().unwrap();
    let none = &["--points", "none.csv"][..];
    for (args, word) in [
        (
            none,
            "error: cannot read none.csv: No such file or directory",
        ),
        (&["--points", "."], "is a directory, expected a file"),
        (&["--tables", "none"], "none/product_spec_table.csv"),
        (&["--block", "0"], "from 1 to 10000000"),
        (&["--block", "-1"], "from 1 to 10000000"),
        (&["--window", "0"], "from 1 to 1000000"),
        (&["--workers", "0"], "from 1 to 1024"),
        (&["--workers", "two"], "from 1 to 1024"),
        (
            &["--out", "none/pv.csv"],
            "cannot write none/pv.csv: its directory none",
        ),
        (&["--out", "."], "cannot write ."),
        (&["--out", MIXED, "--points", MIXED], "it is the input"),
        (&["--frob"], "--frob"),
        (&["--points", "two\nlines.csv"], "two\\nlines.csv"),
    ] {
        let message = refused(dir.path(), args);
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let mut child = program(dir.path())
        .args(["--points", MIXED, "--out", "pv.csv"])
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
        "--block <N>",
        "--window <N>",
        "--out <FILE.csv>",
        "--compare",
        "--quick",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
