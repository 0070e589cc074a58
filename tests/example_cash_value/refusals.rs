//! What the program refuses: exit code 2, one message, no file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Outcome, gzip, names, run, run_well, shipped};

/// A directory with good inputs: four points, and tables with one scenario.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn path(&self) -> &Path {
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

/// The lines of a table: a case, what it is about, and words of the message.
fn cases(table: &str) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    table.trim().lines().map(|line| {
        let mut parts = line.split(" | ");
        (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.collect(),
        )
    })
}

/// What stands in the first row instead, and what the message says.
const BAD_ROWS: &str = r#"
unknown product | 1,Z,20,M,10,100,500000,0,500000,0,0 | spec_id | "Z" | expected
no product | 1,,20,M,10,100,500000,0,500000,0,0 | spec_id | "" | expected
text as count | 1,A,20,M,10,abc,500000,0,500000,0,0 | policy_count | "abc" | expected
text as age | 1,A,x,M,10,100,500000,0,500000,0,0 | age_at_entry | "x" | expected
broken age | 1,A,20.5,M,10,100,500000,0,500000,0,0 | age_at_entry | 20.5 | whole
huge age | 1,A,99999999999,M,10,100,500000,0,500000,0,0 | age_at_entry | 99999999999 | expected
negative age | 1,A,-1,M,10,100,500000,0,500000,0,0 | age_at_entry | -1 | at least 0
empty number | 1,A,20,M,10,100,,0,500000,0,0 | sum_assured | "" | expected
not a number | 1,A,20,M,10,100,NaN,0,500000,0,0 | sum_assured | NaN | finite
infinite | 1,A,20,M,10,100,500000,0,inf,0,0 | premium_pp | inf | finite
overflow | 1,A,20,M,10,100,500000,0,1e999,0,0 | premium_pp | 1e999 | finite
negative count | 1,A,20,M,10,-3,500000,0,500000,0,0 | policy_count | -3 | at least 0
early issue | 1,A,20,M,10,100,500000,-541,500000,0,0 | duration_mth | -541 | -540
beyond the tables | 1,A,20,M,151,100,500000,0,500000,0,0 | 1813 | 1801
extreme term | 1,A,20,M,2147483647,100,500000,0,500000,0,0 | 25769803765 | 1801
too few fields | 1,A,20,M,10,100 | 6 fields | expected 11
too many fields | 1,A,20,M,10,100,500000,0,500000,0,0,7 | 12 fields | expected 11
open quote | 1,"A,20,M,10,100,500000,0,500000,0,0 | 2 fields | expected 11
"#;

#[test]
fn bad_points_are_refused_with_file_line_column_and_value() {
    let bench = Bench::new();
    let good = fs::read_to_string(bench.path().join("points.csv")).unwrap();
    let first = "1,A,20,M,10,100,500000,0,500000,0,0";
    assert!(good.contains(first));
    let refuse = |case: &str, content: &str, words: &[&str]| {
        bench.refuse_content(case, "points.csv", content.as_bytes(), words);
    };
    for (case, row, words) in cases(BAD_ROWS) {
        refuse(
            case,
            &good.replace(first, row),
            &[&["line 2"], &words[..]].concat(),
        );
    }
    let last = good.replace("\n4,D,", "\n4,E,");
    refuse("last line", &last, &["line 5", "spec_id", "\"E\""]);
    let missing = good.replace("premium_pp,", "premium,");
    refuse("missing column", &missing, &["line 1", "\"premium_pp\""]);
    let repeated = good.replace("accum_prem_init_pp", "spec_id");
    refuse("repeated column", &repeated, &["line 1", "\"spec_id\""]);
    let (header, _) = good.split_once('\n').unwrap();
    refuse(
        "no point",
        &format!("{header}\n"),
        &["expected at least one"],
    );
    refuse("empty", "", &["expected at least one"]);
    refuse("blank", "\n\n", &["expected at least one"]);
    refuse("zero bytes", &"\0".repeat(64), &["line 1", "expected"]);
    // Cut anywhere but at the end of a line.
    for end in (1..good.len()).step_by(13).chain([good.len() - 1]) {
        if !good[..end].ends_with('\n') {
            refuse(&format!("cut after {end} bytes"), &good[..end], &["line "]);
        }
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (case, content) in [("binary", &b"\x89PNG\xff\0\x01"[..]), ("UTF-16", &utf16)] {
        bench.refuse_content(case, "points.csv", content, &["line 1", "expected"]);
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

/// What is replaced first in which table, by what, and what the message says.
const BAD_CELLS: &str = r#"
product_spec_table.csv | SINGLE > ONCE | line 2 | premium_type | "ONCE" | LEVEL
product_spec_table.csv | type_1 > type_9 | line 3 | surr_charge_id | "type_9" | expected
product_spec_table.csv | False > maybe | line 2 | has_surr_charge | "maybe" | "True"
product_spec_table.csv | B,SINGLE > A,SINGLE | line 3 | spec_id | "A" | expected
product_spec_table.csv | 0.1 > 1.5 | line 2 | load_prem_rate | 1.5 | from 0 to 1
mort_table.csv | 0.0002310671048780701 > 1.5 | line 2 | "0" | 1.5 | from 0 to 1
mort_table.csv | 0.0002310671048780701 > NaN | line 2 | "0" | NaN | from 0 to 1
mort_table.csv | 19,0.00 > 20,0.00 | line 3 | age | 20 | expected 19
surr_charge_table.csv | 0.08 > x | line 2 | type_2 | "x" | expected
disc_rate_ann.csv | zero_spot > spot | line 1 | "zero_spot"
disc_rate_ann.csv | 0.00555 > -1 | line 3 | zero_spot | -1 | expected
disc_rate_ann.csv | 1,0.00555 > 2,0.00555 | line 3 | year | 2 | expected 1
std_norm_rand.csv | -0.44330390652468 > inf | line 2 | std_norm_rand | inf | finite
std_norm_rand.csv | 1,1, > 1,2, | line 3 | "t" | 2 | expected 1
std_norm_rand.csv | scen_id,t > t,t | line 1 | "t"
"#;

#[test]
fn bad_tables_are_refused_with_file_line_column_and_value() {
    let bench = Bench::new();
    for (file, change, words) in cases(BAD_CELLS) {
        let path = format!("tables/{file}");
        let good = fs::read_to_string(bench.path().join(&path)).unwrap();
        let (from, to) = change.split_once(" > ").unwrap();
        assert!(good.contains(from), "{file}: {from}");
        let content = good.replacen(from, to, 1);
        bench.refuse_content(
            &format!("{file}: {change}"),
            &path,
            content.as_bytes(),
            &words,
        );
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

/// Arguments that are added to good ones, and what the message says.
const BAD_ARGUMENTS: &str = r#"
--workers 0 | --workers | '0' | from 1 to 1024
--workers -1 | --workers | '-1' | from 1 to 1024
--workers two | --workers | 'two' | from 1 to 1024
--workers 100000 | --workers | '100000' | from 1 to 1024
--workers 99999999999999999999 | --workers | from 1 to 1024
--workers | a value is required for '--workers
--repeat 0 | --repeat | '0' | from 1 to
--scenario 11 | 11 | expected one of [1]
--scenario -1 | --scenario | '-1' | from 0 to
--scenario x | --scenario | 'x' | from 0 to
--scenario= | --scenario | found "" | from 0 to | 1,3,5-10
--scenario , | --scenario | found "" | from 0 to | 1,3,5-10
--scenario 1, | '1,' | found "" | from 0 to
--scenario 1,,2 | '1,,2' | found "" | from 0 to
--scenario 1,x | '1,x' | found "x" | from 0 to
--scenario 1,all | '1,all' | found "all" | from 0 to | "all" by itself
--scenario ALL | found "ALL" | "all" by itself
--scenario 1,2.5 | found "2.5" | from 0 to
--scenario 3- | found "3-" | from 0 to
--scenario 1--3 | found "1--3" | from 0 to
--scenario 1-2-3 | found "1-2-3" | from 0 to
--scenario 4294967296 | found "4294967296" | from 0 to 4294967295
--scenario 5-3 | found "5-3" | lower number first, 3-5
--scenario 1,1 | found 1 twice | expected each scenario once
--scenario 1-3,7,2-2 | found 2 twice | expected each scenario once
--scenario 1-5,3-9 | found 3 twice | expected each scenario once
--scenario 1-11 | scenario 2 is not | expected one of [1]
--scenario 1,0-4294967295 | found 1 twice
--scenario 1-4294967295 | scenario 2 is not | expected one of [1]
--scenario 7,1 | scenario 7 is not | expected one of [1]
--unknown | --unknown
points.csv | points.csv
--points= | --points
--points none.csv | none.csv | No such file
--points tables | tables | directory | expected a file
--out= | --out
--out none/pv.csv | none/pv.csv | directory none
--out points.csv/pv.csv | points.csv/pv.csv
--out tables | tables | not a file
--out tables/.. | tables/.. | expected the name of a file
--out values/ | values/ | expected the name of a file
--out old.csv | old.csv | read-only
--out points.csv | points.csv | input
--out tables/../points.csv | points.csv | input
--out tables/mort_table.csv | tables/mort_table.csv | input
--cash-flows none/cf.csv | none/cf.csv | directory none
--cash-flows pv.csv | pv.csv | two outputs
--cash-flows tables/../pv.csv | pv.csv | two outputs
--cash-flows cf.svg | cf.svg | two outputs
--plot flows.png | flows.png | .svg
--plot directory.svg | directory.svg | not a file
"#;

#[test]
fn bad_arguments_are_refused() {
    let bench = Bench::new();
    fs::create_dir(bench.path().join("directory.svg")).unwrap();
    let old = bench.path().join("old.csv");
    fs::write(&old, "old").unwrap();
    let mut permissions = fs::metadata(&old).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&old, permissions).unwrap();
    for line in BAD_ARGUMENTS.trim().lines() {
        let mut parts = line.split(" | ");
        let arguments: Vec<&str> = parts.next().unwrap().split(' ').collect();
        bench.refuse(line, arguments, &parts.collect::<Vec<_>>());
    }
    bench.refuse(
        "a line break",
        ["--points", "two\nlines.csv"],
        &["two\\nlines.csv"],
    );
    assert_eq!(fs::read_to_string(&old).unwrap(), "old");

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
