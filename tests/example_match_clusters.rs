//! The example program `match_clusters`, run as a user runs it.

#![allow(clippy::unwrap_used)] // A helper of a test fails like the test, by panicking.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;
use scipar::kernels::chamfer::{Metric, Nearest, Reduction, nearest_clusters};
use scipar::kernels::clusters::Clusters;
use tempfile::TempDir;

use example::{check_svg, program_in, refusal_of, stdout_of};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/points");

fn small(side: &str) -> String {
    format!("{DATA}/small_{side}.csv")
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program_in("match_clusters", dir)
        .args(args)
        .output()
        .unwrap()
}

/// Runs the program, which must succeed and be silent on standard error.
fn run_well(dir: &Path, args: &[&str]) -> String {
    stdout_of(run(dir, args))
}

/// Runs the program with outputs that must not come about; gives its message.
fn refused(dir: &Path, args: &[&str]) -> String {
    refusal_of(dir, || run(dir, args))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// What the program has to write for the small sets.
fn expected(metric: Metric, reduction: Reduction) -> String {
    let read = |side| Clusters::read_csv(small(side)).unwrap();
    let matching = nearest_clusters(&read("L"), &read("R"), metric, reduction).unwrap();
    let mut text = "side,cluster,nearest,distance\n".to_owned();
    for (name, side) in [("L", &matching.left), ("R", &matching.right)] {
        for (
            i,
            Nearest {
                cluster, distance, ..
            },
        ) in side.iter().enumerate()
        {
            text += &format!("{name},{i},{cluster},{distance:?}\n");
        }
    }
    text
}

#[test]
fn rows_are_those_of_the_kernel_for_any_metric_and_number_of_workers() {
    let dir = TempDir::new().unwrap();
    let packed = dir.path().join("l.csv.gz");
    fs::write(&packed, gzip(&fs::read(small("L")).unwrap())).unwrap();
    let cases = [
        (
            "euclidean",
            "max-of-means",
            Metric::Euclidean,
            Reduction::MaxOfMeans,
        ),
        (
            "squared-euclidean",
            "sum-of-means",
            Metric::SquaredEuclidean,
            Reduction::SumOfMeans,
        ),
        (
            "sqrt-dot",
            "max-of-means",
            Metric::SqrtDot,
            Reduction::MaxOfMeans,
        ),
        ("euclidean", "mean", Metric::Euclidean, Reduction::Mean),
    ];
    for (metric_name, reduction_name, metric, reduction) in cases {
        let expected = expected(metric, reduction);
        for workers in ["1", "3"] {
            let right = small("R");
            let args = [
                "--left",
                "l.csv.gz",
                "--right",
                &right,
                "--metric",
                metric_name,
                "--reduction",
                reduction_name,
                "--workers",
                workers,
                "--out",
                "m.csv",
            ];
            let stdout = run_well(dir.path(), &args);
            assert!(stdout.ends_with("\nwrote m.csv\n"), "{stdout}");
            let found = fs::read_to_string(dir.path().join("m.csv")).unwrap();
            assert!(
                found == expected,
                "{metric_name}, {reduction_name}, {workers}"
            );
        }
    }
    // The indices of the reference, through the whole program.
    let reference = fs::read_to_string(format!("{DATA}/small_solve_b.csv")).unwrap();
    run_well(dir.path(), &["--quick", "--out", "q.csv"]);
    let found = fs::read_to_string(dir.path().join("q.csv")).unwrap();
    for (found, expected) in found.lines().zip(reference.lines()).skip(1) {
        assert!(
            found.starts_with(&format!("{expected},")),
            "{found} {expected}"
        );
    }
}

#[test]
fn a_quick_run_prints_a_summary_and_draws() {
    let dir = TempDir::new().unwrap();
    let args = [
        "--quick", "--repeat", "2", "--plot", "m.svg", "--out", "m.csv",
    ];
    let stdout = run_well(dir.path(), &args);
    assert!(
        stdout.starts_with("50 clusters and 30, 1090 points, 2.517e5 pairs of points, "),
        "{stdout}"
    );
    for text in [
        "left to right ",
        "right to left ",
        "Wall time ",
        "CPU time ",
        "Parallelism ",
        "Bound ",
    ] {
        assert!(stdout.contains(&format!("\n{text}")), "{stdout}");
    }
    assert!(
        stdout.contains("\nkernel seconds (best of 2): 0."),
        "{stdout}"
    );
    assert!(stdout.ends_with("\nwrote m.csv\nwrote m.svg\n"), "{stdout}");
    let svg = fs::read_to_string(dir.path().join("m.svg")).unwrap();
    check_svg(
        &svg,
        &[
            "Clusters and their nearest ones",
            "50 left",
            "30 right",
            "centres, seen along z",
        ],
    );
    assert!(svg.matches("<circle").count() >= 80);
    assert!(svg.matches("<polyline").count() >= 80);
}

#[test]
fn a_drawing_survives_clusters_on_one_place_and_far_away() {
    let dir = TempDir::new().unwrap();
    for (name, line) in [
        ("one", "0,1,1,1"),
        ("zero", "0,0,0,0"),
        ("far", "0,1e308,-1e308,0"),
    ] {
        fs::write(
            dir.path().join("c.csv"),
            format!("cluster_id,x,y,z\n{line}\n"),
        )
        .unwrap();
        let plot = format!("{name}.svg");
        run_well(
            dir.path(),
            &["--left", "c.csv", "--right", "c.csv", "--plot", &plot],
        );
        check_svg(
            &fs::read_to_string(dir.path().join(plot)).unwrap(),
            &["1 left"],
        );
    }
}

#[test]
fn bad_files_are_named_by_line_and_column() {
    let dir = TempDir::new().unwrap();
    let good = fs::read_to_string(small("R")).unwrap();
    let right = small("R");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        fs::write(dir.path().join("bad.csv"), good.replacen(from, to, 1)).unwrap();
        let message = refused(
            dir.path(),
            &[
                "--left", "bad.csv", "--right", &right, "--out", "m.csv", "--plot", "m.svg",
            ],
        );
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    let value = "6.221213155960519";
    assert_eq!(
        with(value, "abc"),
        "error: bad.csv: line 2, column \"x\": found \"abc\", expected a finite number\n"
    );
    assert!(with(value, "inf").contains("line 2, column \"x\": found \"inf\""));
    assert!(
        with("\n1,", "\n7,")
            .contains("column \"cluster_id\": found \"7\", expected cluster 0 or the next one, 1")
    );
    assert!(with(value, "1,2").contains("line 2: found 5 fields, expected 4"));
    assert!(with("cluster_id", "id").contains("expected \"cluster_id,x,y,z\""));

    fs::write(dir.path().join("empty.csv"), "cluster_id,x,y,z\n").unwrap();
    let message = refused(dir.path(), &["--left", "empty.csv", "--right", &right]);
    assert_eq!(
        message,
        "error: empty.csv: no clusters, expected at least one\n"
    );
    fs::write(dir.path().join("cut.csv"), &good[..good.len() - 5]).unwrap();
    assert!(
        refused(dir.path(), &["--left", "cut.csv", "--right", &right])
            .contains("no line break at its end")
    );
    let mut cut = gzip(good.as_bytes());
    cut.truncate(cut.len() / 2);
    fs::write(dir.path().join("cut.csv.gz"), cut).unwrap();
    assert!(
        refused(dir.path(), &["--left", "cut.csv.gz", "--right", &right])
            .contains("cannot read cut.csv.gz")
    );
    assert!(
        refused(dir.path(), &["--left", "none.csv", "--right", &right])
            .contains("cannot read none.csv")
    );
    assert!(refused(dir.path(), &["--left", ".", "--right", &right]).contains("is a directory"));
}

#[test]
fn bad_command_lines_are_refused() {
    let dir = TempDir::new().unwrap();
    let left = small("L");
    fs::write(dir.path().join("c.csv"), "cluster_id,x,y,z\n0,1,1,1\n").unwrap();
    for (args, part) in [
        (&["--left", &left][..], "--right"),
        (
            &["--quick", "--left", &left, "--right", &left],
            "cannot be used with",
        ),
        (
            &["--metric", "manhattan"],
            "possible values: euclidean, squared-euclidean, sqrt-dot",
        ),
        (
            &["--reduction", "min"],
            "possible values: max-of-means, sum-of-means, mean",
        ),
        (
            &["--workers", "0"],
            "expected a whole number from 1 to 1024",
        ),
        (&["--repeat", "-1"], "expected a whole number"),
        (
            &["--quick", "--plot", "m.png"],
            "expected a plot name that ends in .svg",
        ),
        (
            &["--quick", "--out", "m.svg", "--plot", "m.svg"],
            "named for two outputs",
        ),
        (&["--quick", "--out", "no/m.csv"], "cannot write no/m.csv"),
        (
            &["--left", "c.csv", "--right", "c.csv", "--out", "c.csv"],
            "it is the input c.csv",
        ),
    ] {
        let message = refused(dir.path(), args);
        assert!(message.contains(part), "{args:?}: {message}");
    }
}
