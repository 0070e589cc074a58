//! Files of policies, line by line: for programs that price them in parts.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use scipar::kernels::cash_value::{CashValueError, Portfolio};

/// Bytes of a line. One that is longer is no policy, and would be in memory as a whole.
const LONGEST_LINE: usize = 1 << 20;

/// The columns that the crate's reader takes.
const COLUMNS: [&str; 9] = [
    "point_id",
    "spec_id",
    "age_at_entry",
    "policy_term",
    "policy_count",
    "sum_assured",
    "duration_mth",
    "premium_pp",
    "av_pp_init",
];

/// The lines of a reader, which end in LF, CRLF or CR.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    /// Lines read so far.
    pub(crate) count: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 16, reader),
            count: 0,
        }
    }

    /// Appends a line with its line break; says whether there was one more.
    ///
    /// # Errors
    ///
    /// What the reader gives, or that the line is too long.
    pub(crate) fn read(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let start = text.len();
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let after_cr = text.len() > start && text.last() == Some(&b'\r');
            let (length, is_whole) = match bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
                _ if bytes.is_empty() => (0, true),
                _ if after_cr => (usize::from(bytes[0] == b'\n'), true),
                Some(end) => (end + 1, bytes[end] == b'\n'),
                None => (bytes.len(), false),
            };
            text.extend_from_slice(&bytes[..length]);
            self.reader.consume(length);
            if text.len() - start > LONGEST_LINE {
                let line = self.count + 1;
                let message = format!("line {line} is longer than {LONGEST_LINE} bytes");
                return Err(io::Error::other(message));
            }
            if is_whole {
                let found = text.len() > start;
                self.count += u64::from(found);
                return Ok(found);
            }
        }
    }
}

/// Whether a line is one that the crate's reader skips. The last line of a file without a line
/// break is none: the file may have been cut short.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.is_empty()
        || (line.ends_with(b"\n") || line.ends_with(b"\r")) && line.trim_ascii().is_empty()
}

/// A header with the names left out that the crate's reader takes no notice of. Each part of a file
/// is read with a header, and with the whole one that would take as long as the names are many and
/// long.
///
/// # Errors
///
/// What is wrong with the header, said by the crate's reader.
pub(crate) fn short_header(header: &[u8], path: &Path) -> Result<Vec<u8>, CashValueError> {
    match Portfolio::from_csv_reader(header, path) {
        Ok(_) | Err(CashValueError::Empty { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut names = csv::StringRecord::new();
    let mut parser = csv::ReaderBuilder::new();
    let mut parser = parser.has_headers(false).from_reader(header);
    if let Err(error) = parser.read_record(&mut names) {
        let (path, source) = (path.to_owned(), io::Error::other(error));
        return Err(CashValueError::Read { path, source });
    }
    let known = |name: &str| COLUMNS.into_iter().find(|known| *known == name.trim());
    let names: Vec<&str> = names.iter().map(|name| known(name).unwrap_or("")).collect();
    Ok((names.join(",") + "\n").into_bytes())
}
