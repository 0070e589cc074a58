//! How CSV files are read, and how much of them.

mod rows;
mod text;

use std::fs::File;
use std::io;
use std::path::Path;

pub(super) use rows::{Row, Rows};

/// How much a reader of CSV files takes before it refuses.
///
/// Files come from elsewhere: one may be the wrong one, not what its name says, or made to exhaust
/// a machine, as a few kilobytes of gzip become gigabytes of text. Readers take a file row by row
/// and keep the values only, so memory grows with what is kept, and time with the length of the
/// text. They refuse a wrong header before they read on, and whatever exceeds one of these limits
/// as soon as it does:
///
/// | Limit | Default | Why |
/// |---|---|---|
/// | [`max_input_bytes`](Self::max_input_bytes) | 16 GiB | 10⁸ policies of 170 bytes each |
/// | [`max_row_bytes`](Self::max_row_bytes) | 1 MiB | a policy has about 40 bytes |
/// | [`max_columns`](Self::max_columns) | 131,072 | eight times those of a spreadsheet |
///
/// A field is a part of its row, so the limit on rows is the one on fields.
///
/// # Examples
///
/// ```
/// use scipar::kernels::CsvOptions;
/// use scipar::kernels::clusters::{Clusters, PointsError};
///
/// let text = "cluster_id,x,y,z\n0,1,2,3\n0,4,5,6\n";
/// let options = CsvOptions::new().max_input_bytes(20);
/// let error = Clusters::from_csv_reader_with(text.as_bytes(), "c.csv", &options).unwrap_err();
/// assert!(matches!(error, PointsError::TooLarge { limit: 20, .. }));
/// assert_eq!(
///     error.to_string(),
///     "c.csv: found more than 20 bytes, expected no more: \
///      `CsvOptions::max_input_bytes` raises the limit"
/// );
///
/// let options = options.max_input_bytes(1 << 40);
/// assert_eq!(Clusters::from_csv_reader_with(text.as_bytes(), "c.csv", &options)?.num_points(), 2);
/// # Ok::<(), PointsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CsvOptions {
    max_input_bytes: u64,
    max_row_bytes: usize,
    max_columns: usize,
}

impl CsvOptions {
    /// The limits of the table above.
    pub const fn new() -> Self {
        CsvOptions {
            max_input_bytes: 16 << 30,
            max_row_bytes: 1 << 20,
            max_columns: 1 << 17,
        }
    }

    /// The most bytes of a file, or of whatever a reader yields: of a compressed file those of the
    /// text in it.
    ///
    /// A longer file on disk is refused before it is read.
    pub const fn max_input_bytes(mut self, bytes: u64) -> Self {
        self.max_input_bytes = bytes;
        self
    }

    /// The most bytes of a row, its line break included.
    ///
    /// A row is a line, or several where a quoted field has line breaks. A quote that is never
    /// closed makes one row of the rest of the file, which this limit ends.
    pub const fn max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes;
        self
    }

    /// The most columns of a file.
    pub const fn max_columns(mut self, columns: usize) -> Self {
        self.max_columns = columns;
        self
    }

    /// Opens a file that is not longer than it may be, as far as can be known without reading it.
    pub(super) fn open(&self, path: &Path) -> Result<File, Fault> {
        let file = File::open(path).map_err(Fault::Io)?;
        let is_too_large =
            |data: std::fs::Metadata| data.is_file() && data.len() > self.max_input_bytes;
        match file.metadata().is_ok_and(is_too_large) {
            true => Err(Fault::TooLarge(self.max_input_bytes)),
            false => Ok(file),
        }
    }
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the rows of a file cannot be had; the error that is made of it adds which file it is.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the system said.
    Io(io::Error),
    /// Line of a byte that is not text.
    NotText(u64),
    /// The last line, where it has no line break.
    Truncated(u64),
    /// More bytes than so many.
    TooLarge(u64),
    /// Line of a row, and the bytes that it may have.
    RowTooLong(u64, usize),
    /// Line of a row, and the columns that there may be.
    TooManyColumns(u64, usize),
}

#[cfg(test)]
mod tests;
