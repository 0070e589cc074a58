//! What can be wrong with the data of a projection, and where.

use std::fmt;
use std::path::PathBuf;

use crate::error::excerpt;
#[cfg(feature = "csv")]
use crate::kernels::csv::Fault;

/// Why a table, a portfolio or a projection was refused.
///
/// Messages are one line, lower case, and name the place (file and line, or table and row), the
/// column, the value found and what was expected:
///
/// ```text
/// points.csv: line 17, column "policy_count": found "abc", expected a finite number of at least 0
/// ```
///
/// The reason the system gave for an unreadable file is the error's
/// [`source`](std::error::Error::source), not part of the message.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CashValueError {
    /// A file is missing, is a directory, or could not be read.
    #[error("cannot read {}", excerpt::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds bytes that are not text: invalid UTF-8, or a zero byte.
    #[error(
        "{}: line {line} is not text, expected comma-separated values in UTF-8",
        excerpt::path(path)
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line of the first such byte, counted from 1.
        line: u64,
    },
    /// The last line of a file has no line break.
    ///
    /// A number that was cut short is still a number, so a file without its last line break is
    /// refused: nobody can tell whether it is complete.
    #[error(
        "{}: line {line} has no line break at its end: the file may have been cut short, \
         expected a line break after every line",
        excerpt::path(path)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The last line, counted from 1.
        line: u64,
    },
    /// A file has more bytes than are read, or the text that is packed in it has.
    #[error(
        "{}: found more than {limit} bytes, expected no more: \
         `CsvOptions::max_input_bytes` raises the limit",
        excerpt::path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// A row of a file is longer than rows may be.
    #[error(
        "{}: line {line}: found a row of more than {limit} bytes, expected no more: \
         a quote may not be closed, else `CsvOptions::max_row_bytes` raises the limit",
        excerpt::path(path)
    )]
    RowTooLong {
        /// The file.
        path: PathBuf,
        /// The line on which the row begins, counted from 1.
        line: u64,
        /// The most bytes that a row may have.
        limit: usize,
    },
    /// A row of a file has more columns than there may be.
    #[error(
        "{}: line {line}: found more than {limit} columns, expected no more: \
         `CsvOptions::max_columns` raises the limit",
        excerpt::path(path)
    )]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// The line on which the row begins, counted from 1.
        line: u64,
        /// The most columns that there may be.
        limit: usize,
    },
    /// A table or a portfolio has no rows.
    #[error("{}: no rows, expected at least one", excerpt::name(table))]
    Empty {
        /// The file, or the name of the table in memory.
        table: String,
    },
    /// A column is not in the header.
    #[error(
        "{}: line 1: no column {}, expected it in the header",
        excerpt::path(path),
        excerpt::quoted(column)
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that is needed.
        column: String,
    },
    /// A column is in the header more than once.
    #[error(
        "{}: line 1: column {} appears more than once",
        excerpt::path(path),
        excerpt::quoted(column)
    )]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column is in the header that has no meaning in this table.
    #[error(
        "{}: line 1: column {} is unknown, expected {expected}",
        excerpt::path(path),
        excerpt::quoted(column)
    )]
    UnexpectedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns that have one.
        expected: String,
    },
    /// A line has more or fewer fields than the header.
    #[error(
        "{}: line {line}: found {found} fields, expected {expected} as in the header",
        excerpt::path(path)
    )]
    FieldCount {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Fields of this line.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// Columns in memory differ in length.
    #[error("column \"{column}\" has {found} values, expected {expected} as in the first column")]
    ColumnLength {
        /// The column.
        column: &'static str,
        /// Its length.
        found: usize,
        /// The length of the first column.
        expected: usize,
    },
    /// A value is outside its domain, or is not a value of its kind at all.
    #[error(
        "{place}, column {}: found {found}, expected {expected}",
        excerpt::quoted(column)
    )]
    Value {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// The value; text is in quotes, and only the beginning of a long one.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A scalar assumption is outside its domain.
    #[error("scalar \"{name}\": found {found}, expected {expected}")]
    Scalar {
        /// Name of the field in [`Scalars`](super::Scalars).
        name: &'static str,
        /// Its value.
        found: f64,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// The scenario is not in the table of normal draws.
    #[error(
        "scenario {id} is not in the table of normal draws, expected one of {}",
        excerpt::few(known)
    )]
    UnknownScenario {
        /// The scenario asked for.
        id: u32,
        /// The scenarios of the table.
        known: Vec<u32>,
    },
    /// The portfolio reaches further into the future than the tables.
    #[error(
        "{place}, column \"{column}\": found {found}, which with duration_mth {duration_mth} makes {months} months for point {point_id}, \
         expected at most {limit}, where the tables end (the last {table})"
    )]
    Horizon {
        /// Where the point that reaches furthest stands.
        place: Place,
        /// The column that sets its end: `policy_term`, or `age_at_entry` for whole-life products.
        column: &'static str,
        /// The value there.
        found: i64,
        /// Its label.
        point_id: i64,
        /// Months since its issue at the start of the projection.
        duration_mth: i64,
        /// The months it needs.
        months: i64,
        /// The months the tables have.
        limit: usize,
        /// The table that ends first.
        table: &'static str,
    },
    /// A result is infinite or not a number: the inputs are so large that sums or products overflow.
    #[error(
        "{what} is {found}, expected a finite number: the inputs are too large to compute with"
    )]
    NotFinite {
        /// The quantity, and the point or month it belongs to.
        what: String,
        /// Infinity or NaN.
        found: f64,
    },
}

impl CashValueError {
    /// The error for a file whose rows cannot be had.
    #[cfg(feature = "csv")]
    pub(super) fn unreadable(path: impl Into<PathBuf>, fault: Fault) -> Self {
        let path = path.into();
        match fault {
            Fault::Io(source) => CashValueError::Read { path, source },
            Fault::NotText(line) => CashValueError::NotText { path, line },
            Fault::Truncated(line) => CashValueError::Truncated { path, line },
            Fault::TooLarge(limit) => CashValueError::TooLarge { path, limit },
            Fault::RowTooLong(line, limit) => CashValueError::RowTooLong { path, line, limit },
            Fault::TooManyColumns(line, limit) => {
                CashValueError::TooManyColumns { path, line, limit }
            }
        }
    }

    /// The same, with the scenario where it is of one among several.
    pub(super) fn under(self, scenario: u32) -> Self {
        match self {
            CashValueError::NotFinite { what, found } => CashValueError::NotFinite {
                what: format!("{what} under scenario {scenario}"),
                found,
            },
            other => other,
        }
    }
}

/// Where in the data a value stands.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; the header is line 1.
        line: u64,
    },
    /// A row of data in memory.
    Row {
        /// The table, or `portfolio`.
        table: String,
        /// The row, counted from 0.
        row: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { path, line } => write!(f, "{}: line {line}", excerpt::path(path)),
            Place::Row { table, row } => write!(f, "{table}: row {row}"),
        }
    }
}

/// Where rows came from: turns a row's index into a [`Place`].
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Built in memory; the name of the table.
    Memory(String),
    /// Read from a file; the line of each row.
    #[cfg_attr(not(feature = "csv"), allow(dead_code))]
    File { path: PathBuf, lines: Lines },
}

impl Origin {
    pub(super) fn memory(table: &str) -> Self {
        Origin::Memory(table.to_owned())
    }

    pub(super) fn place(&self, row: usize) -> Place {
        match self {
            Origin::Memory(table) => Place::Row {
                table: table.clone(),
                row,
            },
            Origin::File { path, lines } => Place::Line {
                path: path.clone(),
                line: lines.of(row),
            },
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Origin::Memory(table) => table.clone(),
            Origin::File { path, .. } => path.display().to_string(),
        }
    }

    /// The error for a number in one row.
    pub(super) fn number(
        &self,
        row: usize,
        column: &str,
        found: impl fmt::Debug + Copy,
        expected: impl Into<String>,
    ) -> CashValueError {
        self.place(row)
            .refused(column, format!("{found:?}"), expected)
    }

    /// The error for a text in one row.
    pub(super) fn text(
        &self,
        row: usize,
        column: &str,
        found: &str,
        expected: impl Into<String>,
    ) -> CashValueError {
        self.place(row)
            .refused(column, excerpt::quoted(found).to_string(), expected)
    }
}

impl Place {
    /// The error for one value there; `found` is what its message says, so no text of any length.
    pub(super) fn refused(
        self,
        column: &str,
        found: String,
        expected: impl Into<String>,
    ) -> CashValueError {
        CashValueError::Value {
            place: self,
            column: column.to_owned(),
            found,
            expected: expected.into(),
        }
    }
}

/// The lines of rows, in order: as a rule each on the line after the one before, so only where that
/// is not so something is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Rows, and the lines they are on, from which on lines are consecutive.
    runs: Vec<(usize, u64)>,
    /// How many rows there are.
    len: usize,
}

#[cfg_attr(not(feature = "csv"), allow(dead_code))]
impl Lines {
    /// Adds a row.
    pub(super) fn push(&mut self, line: u64) {
        if self.len == 0 || self.of(self.len) != line {
            self.runs.push((self.len, line));
        }
        self.len += 1;
    }

    /// The line of a row, counted from 1; where there is no such row, the line that the next one
    /// would be on.
    pub(super) fn of(&self, row: usize) -> u64 {
        let run = self.runs.partition_point(|&(first, _)| first <= row);
        match run.checked_sub(1).map(|run| self.runs[run]) {
            Some((first, line)) => line + (row - first) as u64,
            None => 1,
        }
    }
}
