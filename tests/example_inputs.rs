//! Inputs that are made to exhaust a machine, given to every example program that reads a file:
//! refused with one short message, in little memory.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(unix)]

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use example::{program, refusal_of, stdout_of};

/// The programs, and the option that names their input.
const PROGRAMS: [(&str, &str); 4] = [
    ("cash_value", "--points"),
    ("pipeline", "--points"),
    ("crash_isolation", "--points"),
    ("match_clusters", "--left"),
];

const POINTS: &str = "point_id,spec_id,age_at_entry,policy_term,policy_count,sum_assured,\
                      duration_mth,premium_pp,\
                      av_pp_init\n";

/// A gigabyte or so: parts that are packed one by one, which makes one file, and quickly.
fn bomb(start: &str, unit: &str) -> Vec<u8> {
    let packed = |text: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    let mebibyte = packed(unit.repeat((1 << 20) / unit.len()).as_bytes());
    let mut file = packed(start.as_bytes());
    (0..1024).for_each(|_| file.extend_from_slice(&mebibyte));
    file
}

/// Runs a program on a file, with at most so many kilobytes of memory.
fn run(
    dir: &Path,
    (name, option): (&str, &str),
    file: &str,
    args: &[&str],
    kilobytes: u64,
) -> Output {
    let built = program(name);
    let limit = format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.current_dir(dir).args(["-c", &limit]);
    command.arg(built.get_program());
    command.args(["--workers", "1", option, file]);
    if name == "match_clusters" {
        command.args(["--right", file]);
    }
    command.args(args).output().unwrap()
}

#[test]
fn a_gigabyte_in_a_small_packed_file_is_refused_in_little_memory() {
    let dir = TempDir::new().unwrap();
    let header = |name: &str| match name {
        "match_clusters" => "cluster_id,x,y,z\n",
        _ => POINTS,
    };
    for program in PROGRAMS {
        let (points, quoted) = (header(program.0), format!("{}0,\"", header(program.0)));
        for (start, unit, words) in [
            ("", "\0", "line 1"),
            ("", "x", "line 1"),
            ("", ",", "line 1"),
            (points, "0", "line 2"),
            (points, ",,,,,,,,\n", "line 2"),
            (&quoted, "x\n", "line "),
        ] {
            let file = bomb(start, unit);
            assert!(file.len() < 6 << 20, "{} bytes", file.len());
            fs::write(dir.path().join("bomb.csv.gz"), file).unwrap();
            let message = refusal_of(dir.path(), || {
                run(dir.path(), program, "bomb.csv.gz", &[], 400_000)
            });
            assert!(
                message.starts_with("error: ") && message.contains(words),
                "{message}"
            );
            assert!(
                message.contains("bomb.csv.gz") && message.len() < 300,
                "{message}"
            );
        }
        // What is right, or blank, goes on until there is too much of it.
        let row = match program.0 {
            "match_clusters" => "0,1,2,3\n",
            _ => "1,A,30,10,1,1,0,1,1\n",
        };
        for unit in ["\n", row] {
            if (program.0, unit) == ("pipeline", row) {
                continue; // it would be priced
            }
            fs::write(dir.path().join("bomb.csv.gz"), bomb(points, unit)).unwrap();
            let message = refusal_of(dir.path(), || {
                let args = ["--max-input-size", "2MB"];
                run(dir.path(), program, "bomb.csv.gz", &args, 400_000)
            });
            assert_eq!(
                message,
                "error: cannot read bomb.csv.gz: found more than 2000000 bytes, \
                 expected no more: --max-input-size raises the limit\n"
            );
        }
    }
}

#[test]
fn a_file_may_be_as_long_as_it_may_be() {
    let dir = TempDir::new().unwrap();
    for program in PROGRAMS {
        let text = match program.0 {
            "match_clusters" => "cluster_id,x,y,z\n0,1,2,3\n".to_owned(),
            _ => format!("{POINTS}1,A,30,10,1,1,0,1,1\n"),
        };
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        fs::write(dir.path().join("p.csv.gz"), packer.finish().unwrap()).unwrap();
        fs::write(dir.path().join("p.csv"), &text).unwrap();
        for file in ["p.csv", "p.csv.gz"] {
            let run = |most: usize| {
                let most = most.to_string();
                let args = ["--max-input-size", &most];
                let none = ["--poison", "none"];
                let more = if program.0 == "crash_isolation" {
                    &none[..]
                } else {
                    &[]
                };
                run(
                    dir.path(),
                    program,
                    file,
                    &[&args, more].concat(),
                    4_000_000,
                )
            };
            stdout_of(run(text.len()));
            let message = refusal_of(dir.path(), || run(text.len() - 1));
            assert!(
                message.contains("--max-input-size raises the limit"),
                "{message}"
            );
            assert!(
                message.starts_with(&format!("error: cannot read {file}: ")),
                "{message}"
            );
        }
    }
}

#[test]
fn sizes_are_numbers_of_bytes() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("p.csv"), "\n".repeat(2_000)).unwrap();
    let run = |size: &str| {
        run(
            dir.path(),
            PROGRAMS[0],
            "p.csv",
            &["--max-input-size", size],
            400_000,
        )
    };
    for (size, is_enough) in [
        ("1999", false),
        ("2000", true),
        ("2000B", true),
        ("1KiB", false),
        ("2kb", true),
        ("2KiB", true),
        ("1MB", true),
        ("3TiB", true),
    ] {
        let message = refusal_of(dir.path(), || run(size));
        assert_eq!(
            message.contains("no rows, expected"),
            is_enough,
            "{size}: {message}"
        );
        assert_eq!(
            message.contains("--max-input-size"),
            !is_enough,
            "{size}: {message}"
        );
    }
    for size in [
        "",
        "0",
        "-1",
        "x",
        "1.5GB",
        "GB",
        "5 GB",
        "99999999999999999999",
        "99999999TB",
    ] {
        let message = refusal_of(dir.path(), || run(size));
        assert!(message.contains("500MB or 16GiB"), "{size}: {message}");
    }
}

#[test]
fn a_header_is_not_read_again_for_each_block() {
    let dir = TempDir::new().unwrap();
    let (note, row) = ("x".repeat(1_000_000), "1,A,30,10,1,1,0,1,1,\n");
    let points = POINTS.trim_end();
    let text = format!("{points},{note}\n{}", row.repeat(2_000));
    fs::write(dir.path().join("p.csv"), &text).unwrap();
    let output = run(
        dir.path(),
        PROGRAMS[1],
        "p.csv",
        &["--block", "1"],
        4_000_000,
    );
    let report = stdout_of(output);
    let time = report
        .lines()
        .find(|line| line.starts_with("CPU time"))
        .unwrap();
    let seconds: f64 = time.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!(seconds < 20.0, "{report}");
    // The whole header is there for messages.
    let stray = text + "1,A,30,10,1,1,0,1,1,\"a\nb\"\n";
    fs::write(dir.path().join("p.csv"), stray).unwrap();
    let message = refusal_of(dir.path(), || {
        run(
            dir.path(),
            PROGRAMS[1],
            "p.csv",
            &["--block", "500"],
            4_000_000,
        )
    });
    let words = "line 2002, column 1000000 bytes \"xxx";
    assert!(message.contains(words) && message.len() < 300, "{message}");
}
