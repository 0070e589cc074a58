//! The example program `cash_value`, run as a user runs it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

#[allow(dead_code)] // The half that reads is tested through the program.
#[path = "../examples/common/files.rs"]
mod files;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/cash_value");

/// `cargo test` builds the examples beside the tests.
fn program() -> Command {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    let program = target
        .join("examples")
        .join(format!("cash_value{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "missing {}: cargo build --example cash_value",
        program.display()
    );
    Command::new(program)
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
        ("Investment Income", 112162285563.6500),
        ("Change in AV", 70749812399.4470),
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
        let points = shipped("model_points_10000.csv");
        let outputs = [
            "--out",
            "pv.csv",
            "--cash-flows",
            "cf.csv",
            "--plot",
            "cf.svg",
        ];
        let args = ["--points", &points, "--workers", workers];
        let stdout = run_well(dir.path(), args.into_iter().chain(outputs));
        assert!(
            stdout.contains(&format!(" {workers} workers\n")) || workers == "1",
            "{stdout}"
        );
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
    assert!(svg.starts_with("<svg ") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    for text in [
        "Premiums",
        "Claims",
        "Expenses",
        "Commissions",
        "Net Cashflow",
        "years",
        "millions",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn the_shipped_points_go_with_tables_that_have_none() {
    let bench = Bench::new();
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
        help.contains("Examples:") && help.contains(".csv.gz"),
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
    let args = [
        "--points",
        &shipped("model_points_10000.csv"),
        "--out",
        "pv.csv",
    ];
    run_well(dir.path(), args);
    let whole = fs::read(&out).unwrap();
    for millis in (0..10).map(|i| 60 * i) {
        fs::write(&out, "old\n").unwrap();
        let mut command = program();
        command
            .args(args)
            .current_dir(dir.path())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = fs::read(&out).unwrap();
        assert!(
            found == b"old\n" || found == whole,
            "after {millis} ms: {} bytes",
            found.len()
        );
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

/// A directory with good inputs: four points, and tables with one scenario.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let tables = dir.path().join("tables");
        fs::create_dir(&tables).unwrap();
        let names = [
            "product_spec_table",
            "mort_table",
            "surr_charge_table",
            "disc_rate_ann",
        ];
        for name in names.map(|name| format!("{name}.csv")) {
            fs::write(tables.join(&name), fs::read(shipped(&name)).unwrap()).unwrap();
        }
        let draws = fs::read_to_string(shipped("std_norm_rand.csv")).unwrap();
        let draws: String = draws.split_inclusive('\n').take(1 + 1801).collect();
        fs::write(tables.join("std_norm_rand.csv"), draws).unwrap();
        let points = fs::read(shipped("model_points_small.csv")).unwrap();
        fs::write(dir.path().join("points.csv"), points).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs with every output asked for and `extra` arguments, which go last. The run must fail
    /// with one message that has all `words`, and leave everything as it was.
    fn refuse<S: AsRef<OsStr>>(
        &self,
        case: &str,
        extra: impl IntoIterator<Item = S>,
        words: &[&str],
    ) {
        let mut args: Vec<OsString> = ["--tables", "tables"].map(OsString::from).into();
        args.extend(extra.into_iter().map(|arg| arg.as_ref().to_owned()));
        for (option, value) in [
            ("--points", "points.csv"),
            ("--out", "pv.csv"),
            ("--plot", "cf.svg"),
        ] {
            if !args.iter().any(|arg| arg == option) {
                args.extend([option, value].map(OsString::from));
            }
        }
        let before = (names(self.path()), names(&self.path().join("tables")));
        let outcome = run(self.path(), &args);
        let Outcome {
            code,
            stdout,
            stderr,
        } = &outcome;
        assert_eq!((*code, stdout.as_str()), (Some(2), ""), "{case}: {stderr}");
        assert!(stderr.starts_with("error: "), "{case}: {stderr}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{case}: {stderr}");
        assert!(!stderr.contains("panicked"), "{case}: {stderr}");
        // Our messages are one line; those about the command line may add a hint.
        let hint = stderr.contains("try '--help'");
        assert!(hint || stderr.lines().count() == 1, "{case}: {stderr}");
        println!("{case}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{case}: no {word} in {stderr}");
        }
        let after = (names(self.path()), names(&self.path().join("tables")));
        assert_eq!(before, after, "{case}");
    }

    /// Replaces the content of `file` for one refused run.
    fn refuse_content(&self, case: &str, file: &str, content: &[u8], words: &[&str]) {
        let path = self.path().join(file);
        let good = fs::read(&path).ok();
        fs::write(&path, content).unwrap();
        let extra = if file.ends_with(".gz") {
            vec!["--points", file]
        } else {
            vec![]
        };
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        self.refuse(case, extra, &[&[name], words].concat());
        match good {
            Some(good) => fs::write(&path, good).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}

#[test]
fn bad_points_are_refused_with_file_line_column_and_value() {
    let bench = Bench::new();
    let good = fs::read_to_string(bench.path().join("points.csv")).unwrap();
    let first = "1,A,20,M,10,100,500000,0,500000,0,0";
    assert!(good.contains(first));
    // What stands in the first row instead, and what the message says.
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "unknown product",
            "1,Z,20,M,10,100,500000,0,500000,0,0",
            &["spec_id", "\"Z\"", "expected"],
        ),
        (
            "no product",
            "1,,20,M,10,100,500000,0,500000,0,0",
            &["spec_id", "expected"],
        ),
        (
            "text",
            "1,A,20,M,10,abc,500000,0,500000,0,0",
            &["policy_count", "\"abc\"", "expected"],
        ),
        (
            "text age",
            "1,A,x,M,10,100,500000,0,500000,0,0",
            &["age_at_entry", "\"x\"", "expected"],
        ),
        (
            "broken age",
            "1,A,20.5,M,10,100,500000,0,500000,0,0",
            &["age_at_entry", "20.5", "whole"],
        ),
        (
            "huge age",
            "1,A,99999999999,M,10,100,500000,0,500000,0,0",
            &["age_at_entry", "99999999999"],
        ),
        (
            "negative age",
            "1,A,-1,M,10,100,500000,0,500000,0,0",
            &["age_at_entry", "-1", "at least 0"],
        ),
        (
            "empty number",
            "1,A,20,M,10,100,,0,500000,0,0",
            &["sum_assured", "\"\"", "expected"],
        ),
        (
            "NaN",
            "1,A,20,M,10,100,NaN,0,500000,0,0",
            &["sum_assured", "NaN", "finite"],
        ),
        (
            "infinite",
            "1,A,20,M,10,100,500000,0,inf,0,0",
            &["premium_pp", "inf", "finite"],
        ),
        (
            "overflow",
            "1,A,20,M,10,100,500000,0,1e999,0,0",
            &["premium_pp", "1e999", "finite"],
        ),
        (
            "negative count",
            "1,A,20,M,10,-3,500000,0,500000,0,0",
            &["policy_count", "-3", "at least 0"],
        ),
        (
            "early issue",
            "1,A,20,M,10,100,500000,-541,500000,0,0",
            &["duration_mth", "-541", "-540"],
        ),
        (
            "beyond the tables",
            "1,A,20,M,151,100,500000,0,500000,0,0",
            &["1813", "1801"],
        ),
        (
            "extreme term",
            "1,A,20,M,2147483647,100,500000,0,500000,0,0",
            &["25769803765"],
        ),
        ("too few fields", "1,A,20,M,10,100", &["6 fields", "11"]),
        (
            "too many fields",
            "1,A,20,M,10,100,500000,0,500000,0,0,7",
            &["12 fields", "11"],
        ),
        ("open quote", "1,\"A,20,M,10,100,500000,0,500000,0,0", &[]),
    ];
    for (case, row, words) in rows {
        let content = good.replace(first, row);
        let line = if *case == "open quote" {
            "line"
        } else {
            "line 2"
        };
        bench.refuse_content(
            case,
            "points.csv",
            content.as_bytes(),
            &[&[line], *words].concat(),
        );
    }
    let last = good.trim_end().rsplit_once('\n').unwrap().1;
    let content = good.replace(last, &last.replace("D", "E"));
    bench.refuse_content(
        "last line",
        "points.csv",
        content.as_bytes(),
        &["line 5", "spec_id", "\"E\""],
    );

    let (header, body) = good.split_once('\n').unwrap();
    let headers = [
        (
            "missing column",
            header.replace("premium_pp", "premium"),
            "premium_pp",
        ),
        (
            "repeated column",
            header.replace("accum_prem_init_pp", "spec_id"),
            "spec_id",
        ),
    ];
    for (case, header, column) in headers {
        let content = format!("{header}\n{body}");
        bench.refuse_content(case, "points.csv", content.as_bytes(), &["line 1", column]);
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let whole: &[(&str, &[u8], &[&str])] = &[
        (
            "no point",
            format!("{header}\n").as_bytes().to_vec().leak(),
            &["expected at least one"],
        ),
        ("empty", b"", &["expected at least one"]),
        ("blank", b"\n\n", &[]),
        (
            "binary",
            &[0x89, b'P', b'N', b'G', 0xff, 0, 1, 2],
            &["line 1", "expected"],
        ),
        ("zero bytes", &[0; 64], &["line 1", "expected"]),
        ("UTF-16", &utf16, &["line 1", "expected"]),
    ];
    for (case, content, words) in whole {
        bench.refuse_content(case, "points.csv", content, words);
    }
    // A file cut anywhere but at the end of a line.
    for end in (1..good.len()).step_by(13).chain([good.len() - 1]) {
        if !good[..end].ends_with('\n') {
            let case = format!("cut after {end} bytes");
            bench.refuse_content(&case, "points.csv", &good.as_bytes()[..end], &["line "]);
        }
    }
}

#[test]
fn bad_compressed_points_are_refused() {
    let bench = Bench::new();
    let good = fs::read(bench.path().join("points.csv")).unwrap();
    let packed = gzip(&good);
    let mut corrupt = packed.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0x55;
    let cases: &[(&str, &[u8])] = &[
        ("cut", &packed[..packed.len() - 20]),
        ("header only", &packed[..4]),
        ("corrupt", &corrupt),
        ("no gzip", &good),
        ("empty", b""),
        (
            "rest after the end",
            &[&packed[..], b"\x1f\x8brest"].concat(),
        ),
        ("packed twice", &gzip(&packed)),
        ("packed nothing", &gzip(b"")),
        ("packed cut text", &gzip(&good[..100])),
    ];
    for (case, content) in cases {
        bench.refuse_content(case, "points.csv.gz", content, &[]);
    }
}

#[test]
fn bad_tables_are_refused_with_file_line_column_and_value() {
    let bench = Bench::new();
    // The file, what is replaced first in it, by what, and what the message says.
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "product_spec_table.csv",
            "SINGLE",
            "ONCE",
            &["line 2", "premium_type", "\"ONCE\"", "LEVEL"],
        ),
        (
            "product_spec_table.csv",
            "type_1",
            "type_9",
            &["line 3", "surr_charge_id", "type_9"],
        ),
        (
            "product_spec_table.csv",
            "False",
            "maybe",
            &["line 2", "has_surr_charge", "maybe", "True"],
        ),
        (
            "product_spec_table.csv",
            "B,SINGLE",
            "A,SINGLE",
            &["line 3", "spec_id", "\"A\""],
        ),
        (
            "product_spec_table.csv",
            "0.1",
            "1.5",
            &["line 2", "load_prem_rate", "1.5"],
        ),
        (
            "mort_table.csv",
            "0.0002310671048780701",
            "1.5",
            &["line 2", "\"0\"", "1.5", "0 to 1"],
        ),
        (
            "mort_table.csv",
            "0.0002310671048780701",
            "NaN",
            &["line 2", "\"0\"", "NaN"],
        ),
        ("mort_table.csv", "\n19,", "\n20,", &["line 3", "age", "20"]),
        (
            "surr_charge_table.csv",
            "0.08",
            "x",
            &["line 2", "type_2", "\"x\""],
        ),
        (
            "disc_rate_ann.csv",
            "zero_spot",
            "spot",
            &["line 1", "zero_spot"],
        ),
        (
            "disc_rate_ann.csv",
            "0.00555",
            "-1",
            &["line 3", "zero_spot", "-1"],
        ),
        (
            "disc_rate_ann.csv",
            "\n1,",
            "\n2,",
            &["line 3", "year", "2"],
        ),
        (
            "std_norm_rand.csv",
            "-0.44330390652468",
            "inf",
            &["line 2", "std_norm_rand", "inf"],
        ),
        (
            "std_norm_rand.csv",
            "1,1,",
            "1,2,",
            &["line 3", "\"t\"", "2"],
        ),
        (
            "std_norm_rand.csv",
            "scen_id,t",
            "t,t",
            &["line 1", "\"t\""],
        ),
    ];
    for (file, from, to, words) in cases {
        let path = format!("tables/{file}");
        let good = fs::read_to_string(bench.path().join(&path)).unwrap();
        assert!(good.contains(from), "{file}: {from}");
        let content = good.replacen(from, to, 1);
        bench.refuse_content(&format!("{file}: {to}"), &path, content.as_bytes(), words);
    }
    for file in names(&bench.path().join("tables")) {
        let (from, aside) = (
            bench.path().join("tables").join(&file),
            bench.path().join("aside"),
        );
        let good = fs::read(&from).unwrap();
        let name = file.to_str().unwrap();
        bench.refuse_content(
            "empty",
            &format!("tables/{name}"),
            b"",
            &["expected at least one"],
        );
        let cut = &good[..good.len() - 2];
        bench.refuse_content("cut", &format!("tables/{name}"), cut, &["line"]);
        fs::rename(&from, &aside).unwrap();
        bench.refuse("missing", [""; 0], &[name]);
        fs::rename(&aside, &from).unwrap();
    }
}

#[test]
fn bad_arguments_are_refused() {
    let bench = Bench::new();
    fs::create_dir(bench.path().join("directory.svg")).unwrap();
    fs::write(bench.path().join("old.csv"), "old").unwrap();
    let mut permissions = fs::metadata(bench.path().join("old.csv"))
        .unwrap()
        .permissions();
    permissions.set_readonly(true);
    fs::set_permissions(bench.path().join("old.csv"), permissions).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--workers", "0"], &["--workers", "'0'", "from 1 to 1024"]),
        (&["--workers", "-1"], &["--workers", "-1", "from 1 to 1024"]),
        (
            &["--workers", "two"],
            &["--workers", "two", "from 1 to 1024"],
        ),
        (
            &["--workers", "100000"],
            &["--workers", "100000", "from 1 to 1024"],
        ),
        (&["--workers", "99999999999999999999"], &["--workers"]),
        (&["--repeat", "0"], &["--repeat", "'0'", "from 1 to"]),
        (&["--scenario", "11"], &["11", "[1]"]),
        (&["--scenario", "-1"], &["--scenario", "-1"]),
        (&["--scenario", "x"], &["--scenario", "'x'"]),
        (&["--unknown"], &["--unknown"]),
        (&["--repeat"], &["--repeat"]),
        (&["points.csv"], &["points.csv"]),
        (&["--points", "none.csv"], &["none.csv", "No such file"]),
        (&["--points", "tables"], &["tables", "directory"]),
        (&["--points", ""], &["--points"]),
        (&["--points", "two\nlines.csv"], &["two\\nlines.csv"]),
        (&["--out", ""], &["--out"]),
        (
            &["--out", "none/pv.csv"],
            &["none/pv.csv", "directory none"],
        ),
        (&["--out", "points.csv/pv.csv"], &["points.csv/pv.csv"]),
        (&["--out", "tables"], &["tables", "not a file"]),
        (&["--out", "tables/.."], &["expected the name of a file"]),
        (&["--out", "old.csv"], &["old.csv", "read-only"]),
        (&["--out", "points.csv"], &["points.csv", "input"]),
        (&["--out", "tables/../points.csv"], &["points.csv", "input"]),
        (
            &["--out", "tables/mort_table.csv"],
            &["tables/mort_table.csv", "input"],
        ),
        (&["--cash-flows", "none/cf.csv"], &["none/cf.csv"]),
        (&["--cash-flows", "pv.csv"], &["pv.csv", "two outputs"]),
        (
            &["--cash-flows", "tables/../pv.csv"],
            &["pv.csv", "two outputs"],
        ),
        (&["--cash-flows", "cf.svg"], &["cf.svg", "two outputs"]),
        (&["--plot", "flows.png"], &["flows.png", ".svg"]),
        (
            &["--plot", "directory.svg"],
            &["directory.svg", "not a file"],
        ),
    ];
    for (args, words) in cases {
        bench.refuse(&args.join(" "), *args, words);
    }
    assert_eq!(
        fs::read_to_string(bench.path().join("old.csv")).unwrap(),
        "old"
    );

    let with_tables = |tables| run(bench.path(), ["--tables", tables, "--points", "points.csv"]);
    for tables in ["none", "points.csv"] {
        let outcome = with_tables(tables);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
        assert!(outcome.stderr.contains(tables), "{}", outcome.stderr);
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_not_text_links_and_devices() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let bench = Bench::new();
    let at = |name: &OsStr| bench.path().join(name);
    let odd = OsStr::from_bytes(b"p\xff.csv");
    let odd_out = OsStr::from_bytes(b"out\xfe.csv");
    bench.refuse(
        "a missing file",
        [OsStr::new("--points"), odd],
        &["p\u{fffd}.csv"],
    );
    fs::copy(at(OsStr::new("points.csv")), at(odd)).unwrap();
    let points = [OsStr::new("--points"), odd, OsStr::new("--out"), odd_out];
    run_well(bench.path(), points);
    assert!(at(odd_out).is_file());

    bench.refuse(
        "a device",
        ["--out", "/dev/null"],
        &["/dev/null", "not a file"],
    );
    symlink("nowhere", bench.path().join("dangling.csv")).unwrap();
    bench.refuse(
        "a dangling link",
        ["--out", "dangling.csv"],
        &["dangling.csv", "link"],
    );
    symlink("points.csv", bench.path().join("link.csv")).unwrap();
    bench.refuse(
        "a link to an input",
        ["--out", "link.csv"],
        &["link.csv", "input"],
    );

    // The target of a link is replaced, not the link; and it keeps its permissions.
    let target: PathBuf = bench.path().join("target.csv");
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("target.csv", bench.path().join("latest.csv")).unwrap();
    run_well(
        bench.path(),
        ["--points", "points.csv", "--out", "latest.csv"],
    );
    assert!(bench.path().join("latest.csv").is_symlink());
    assert!(
        fs::read_to_string(&target)
            .unwrap()
            .starts_with("point_id,")
    );
    assert_eq!(
        fs::metadata(&target).unwrap().permissions().mode() & 0o777,
        0o640
    );
}
