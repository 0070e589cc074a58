use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

/// A reader that gives some bytes at a time, and is interrupted before each time.
struct Drip<'a> {
    bytes: &'a [u8],
    at_once: usize,
    was_interrupted: bool,
}

impl<'a> Drip<'a> {
    fn new(bytes: &'a [u8], at_once: usize) -> Self {
        Drip {
            bytes,
            at_once,
            was_interrupted: false,
        }
    }
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.was_interrupted = !self.was_interrupted;
        if self.was_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let some = self.at_once.min(buffer.len());
        self.bytes.take(some as u64).read(buffer).inspect(|&found| {
            self.bytes = &self.bytes[found..];
        })
    }
}

type Found = (Vec<(u64, Vec<String>)>, Option<String>);

/// All rows, and the fault that ends them.
fn rows_of(reader: impl Read, options: &CsvOptions) -> Found {
    let mut rows = Rows::new(reader, options);
    let mut found = Vec::new();
    loop {
        match rows.next_row() {
            Ok(Some(row)) => found.push((row.line, row.fields().map(str::to_owned).collect())),
            Ok(None) => return (found, None),
            Err(fault) => return (found, Some(format!("{fault:?}"))),
        }
    }
}

fn rows(text: impl AsRef<[u8]>) -> Found {
    rows_of(text.as_ref(), &CsvOptions::new())
}

fn lines(text: &str) -> Vec<u64> {
    let (rows, fault) = rows(text);
    assert_eq!(fault, None, "{text:?}");
    rows.into_iter().map(|(line, _)| line).collect()
}

#[test]
fn rows_are_numbered_by_their_lines() {
    assert_eq!(lines("a\nb\nc\n"), [1, 2, 3]);
    assert_eq!(lines("a\r\nb\r\nc\r\n"), [1, 2, 3]);
    assert_eq!(lines("a\rb\rc\r"), [1, 2, 3]);
    assert_eq!(lines("\n\r\r\na\n \t\nb\n\"\"\n,\n"), [4, 6, 8]);
    assert_eq!(lines("\u{feff}\n\"a\n\nb\"\nc\n"), [2, 5]);
    assert_eq!(lines(""), [0; 0]);
    assert_eq!(lines("\u{feff}\r\n"), [0; 0]);
    let (found, _) = rows("\u{feff} a ,\" b \",\"c\"\"\nd\"\u{a0}\n");
    assert_eq!(found, [(1, ["a", "b", "c\"\nd"].map(str::to_owned).into())]);
}

#[test]
fn what_is_not_text_or_not_whole_is_a_fault_in_its_place() {
    let fault = |text: &[u8]| {
        let (found, fault) = rows(text);
        (found.len(), fault.unwrap())
    };
    assert_eq!(fault(b"a\nb\xff\n"), (1, "NotText(2)".into()));
    assert_eq!(fault(b"a\nb\0\n"), (1, "NotText(2)".into()));
    assert_eq!(fault(b"a\nb\n\xc3"), (2, "NotText(3)".into()));
    assert_eq!(fault(b"\xef\xbb"), (0, "NotText(1)".into()));
    // Two halves of a character are none, although they meet when quotes are taken away.
    assert_eq!(fault(b"\"\xc3\"\"\xa9\"\n"), (0, "NotText(1)".into()));
    assert_eq!(fault(b"a\nb"), (1, "Truncated(2)".into()));
    assert_eq!(fault(b"a\n\"b\nc"), (1, "Truncated(3)".into()));
    let broken = b"a\nb\n".chain(Broken);
    let (found, fault) = rows_of(broken, &CsvOptions::new());
    assert_eq!(found.len(), 2);
    assert!(fault.unwrap().contains("BrokenPipe"));
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn limits_are_exact_whatever_the_reader_gives_at_once() {
    let text = "ab,cd\n\n\nef,gh,ij\n\"k\nl\",\n";
    let len = text.len() as u64;
    for at_once in [1, 2, 3, 7, 100] {
        let read = |options: CsvOptions| rows_of(Drip::new(text.as_bytes(), at_once), &options);
        let whole = rows(text);
        assert_eq!(whole.0.len(), 3);
        let exact = CsvOptions::new().max_input_bytes(len);
        assert_eq!(read(exact.max_row_bytes(9).max_columns(3)), whole);
        for most in 0..len {
            let (found, fault) = read(CsvOptions::new().max_input_bytes(most));
            assert_eq!(fault.unwrap(), format!("TooLarge({most})"), "{at_once}");
            assert!(whole.0.starts_with(&found));
        }
        let (found, fault) = read(CsvOptions::new().max_row_bytes(8));
        assert_eq!(
            (found.len(), fault.unwrap()),
            (1, "RowTooLong(4, 8)".into())
        );
        let (found, fault) = read(CsvOptions::new().max_columns(2));
        assert_eq!(
            (found.len(), fault.unwrap()),
            (1, "TooManyColumns(4, 2)".into())
        );
    }
}

/// Counts what is taken of an endless text.
struct Endless<'a> {
    start: &'a [u8],
    unit: &'a [u8],
    taken: usize,
}

impl<'a> Endless<'a> {
    fn new(start: &'a str, unit: &'a str) -> Self {
        let (start, unit) = (start.as_bytes(), unit.as_bytes());
        Endless {
            start,
            unit,
            taken: 0,
        }
    }
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (byte, at) in buffer.iter_mut().zip(self.taken..) {
            *byte = match at.checked_sub(self.start.len()) {
                None => self.start[at],
                Some(at) => self.unit[at % self.unit.len()],
            };
        }
        self.taken += buffer.len();
        Ok(buffer.len())
    }
}

#[test]
fn no_more_is_taken_of_a_file_than_it_takes_to_refuse_it() {
    use crate::kernels::cash_value::{CashValueError, Portfolio};
    use crate::kernels::clusters::{Clusters, PointsError};

    let header = "point_id,spec_id,age_at_entry,policy_term,policy_count,sum_assured,duration_mth,\
                  premium_pp,av_pp_init\n";
    let open_quote = format!("{header}1,\"");
    let mebibyte = 1 << 20;
    for (start, unit, most) in [
        ("", "a,b\n1,2\n", 0),                     // a wrong header
        ("a,a\n", "1,2\n", 0),                     // a repeated column
        (header, "1,A,30\n", 0),                   // a row with too few fields
        (header, ",,,,,,,,\n", 0),                 // empty rows
        (header, "1,A,30,10,1,1,-900,1,1\n", 0),   // a value outside its domain
        (header, "1,A,30,10,1,1,0,1,\u{e9}\n", 0), // a value that is no number
        ("", "\0", 0),
        ("", "a", mebibyte), // one line
        ("", ",", mebibyte), // one line of columns
        ("a,\"", "b\n", mebibyte),
        (header, "1", mebibyte),
        (&open_quote, "1,A,30\n", mebibyte), // a quote that is never closed
        (header, "1,\"\"", mebibyte),
    ] {
        let mut reader = Endless::new(start, unit);
        let error = Portfolio::from_csv_reader(&mut reader, "points.csv").unwrap_err();
        assert!(
            reader.taken <= most + (1 << 15),
            "{start:?}, {unit:?}: {}",
            reader.taken
        );
        let is_long = matches!(
            error,
            CashValueError::RowTooLong { .. } | CashValueError::TooManyColumns { .. }
        );
        assert_eq!(is_long, most > 0, "{error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    for (start, unit, most) in [
        ("", "cluster_id,x,y\n", 0),
        ("cluster_id,x,y,z\n", ",,,\n", 0),
        ("", "x", mebibyte),
        ("cluster_id,x,y,z\n0,1,2,\"", "3\n", mebibyte),
    ] {
        let mut reader = Endless::new(start, unit);
        let error = Clusters::from_csv_reader(&mut reader, "c.csv").unwrap_err();
        assert!(
            reader.taken <= most + (1 << 15),
            "{start:?}, {unit:?}: {}",
            reader.taken
        );
        assert_eq!(
            matches!(error, PointsError::RowTooLong { .. }),
            most > 0,
            "{error}"
        );
        assert!(error.to_string().len() < 300, "{error}");
    }
    // What is right, or blank, goes on until there is too much of it.
    let options = CsvOptions::new().max_input_bytes(10 << 20);
    for (start, unit) in [
        ("", "\n"),
        (header, " \r\n"),
        (header, "1,A,30,10,1,1,0,1,1\n"),
    ] {
        let mut reader = Endless::new(start, unit);
        let error = Portfolio::from_csv_reader_with(&mut reader, "points.csv", &options);
        assert_eq!(
            error.unwrap_err().to_string(),
            "points.csv: found more than 10485760 bytes, expected no more: \
             `CsvOptions::max_input_bytes` raises the limit"
        );
        assert_eq!(reader.taken, (10 << 20) + 1);
    }
}

#[test]
fn a_file_on_disk_that_is_too_long_is_refused_before_it_is_read() {
    use crate::kernels::cash_value::{Assumptions, Portfolio};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("product_spec_table.csv");
    // A hole in place of bytes: reading it would take long, and find a zero byte first.
    File::create(&path)
        .unwrap()
        .set_len((16 << 30) + 1)
        .unwrap();
    let error = Portfolio::read_csv(&path).unwrap_err().to_string();
    let words = "found more than 17179869184 bytes, expected no more";
    assert!(
        error.contains("spec_table.csv") && error.contains(words),
        "{error}"
    );
    let error = Assumptions::read_dir(folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains(words), "{error}");
    let options = CsvOptions::default().max_input_bytes(1 << 40);
    let error = Assumptions::read_dir_with(folder.path(), &options);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("line 1 is not text")
    );
}

/// The rows as the `csv` crate has them, without those that are blank.
fn oracle(text: &str) -> Vec<Vec<String>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes())
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .filter(|row: &Vec<String>| row.len() > 1 || !row[0].is_empty())
        .collect()
}

proptest! {
    #[test]
    fn rows_are_those_of_the_csv_crate(
        text in "[a0\u{e9},\"\r\n \u{1f600}]{0,80}",
        at_once in 1..9_usize,
    ) {
        let text = text + "\n";
        let (found, fault) = rows_of(Drip::new(text.as_bytes(), at_once), &CsvOptions::new());
        prop_assert_eq!(fault, None);
        let found: Vec<_> = found.into_iter().map(|(_, fields)| fields).collect();
        prop_assert_eq!(found, oracle(&text));
    }

    #[test]
    fn pieces_of_a_file_make_no_difference(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b"\n\r\",,,0a\xc3\xa9\xef\xbb\xbf"[..])],
            0..120,
        ),
        at_once in 1..9_usize,
        most in 0..140_u64,
    ) {
        let options = CsvOptions::new().max_input_bytes(most).max_row_bytes(40).max_columns(6);
        prop_assert_eq!(
            rows_of(Drip::new(&bytes, at_once), &options),
            rows_of(bytes.as_slice(), &options)
        );
    }
}
