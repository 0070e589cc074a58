//! What can be wrong with points, and where.

use std::path::PathBuf;

use crate::error::excerpt;
#[cfg(feature = "csv")]
use crate::kernels::csv::Fault;

/// Why points were refused.
///
/// Messages are one line, lower case, and name the set (or the file and line), the cluster and the row, the value
/// found and what was expected. The reason the system gave for an unreadable file is the error's
/// [`source`](std::error::Error::source), not part of the message.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PointsError {
    /// A set has no clusters.
    #[error("{}: no clusters, expected at least one", excerpt::name(set))]
    NoClusters {
        /// The set, or the file.
        set: String,
    },
    /// A cluster has no points, so that no mean over them exists.
    #[error(
        "{}: cluster {cluster} is empty, expected at least one point",
        excerpt::name(set)
    )]
    EmptyCluster {
        /// The set.
        set: String,
        /// The cluster, counted from 0.
        cluster: usize,
    },
    /// Points have no coordinates, or not as many as those they are compared with.
    #[error("{}: found {found} columns, expected {expected}", excerpt::name(set))]
    Columns {
        /// The set.
        set: String,
        /// Its coordinates per point.
        found: usize,
        /// The coordinates per point of the other set, or at least that many.
        expected: usize,
    },
    /// Offsets do not lead from 0 to the number of points.
    #[error(
        "{}: offset {at}: found {found}, expected {expected}",
        excerpt::name(set)
    )]
    Offset {
        /// The set.
        set: String,
        /// The place among the offsets, counted from 0.
        at: usize,
        /// The offset there.
        found: usize,
        /// What would have been accepted.
        expected: String,
    },
    /// A coordinate is infinite or not a number.
    #[error(
        "{}: cluster {cluster}, row {row}, column {column}: found {found}, \
         expected a finite number",
        excerpt::name(set)
    )]
    NotFinite {
        /// The set.
        set: String,
        /// The cluster, counted from 0.
        cluster: usize,
        /// The row of the whole set, counted from 0.
        row: usize,
        /// The coordinate, counted from 0.
        column: usize,
        /// Infinity or NaN.
        found: f64,
    },
    /// [`generate`](super::generate) cannot make such clusters.
    #[error("{name}: found {found}, expected {expected}")]
    Generator {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: u64,
        /// What would have been accepted.
        expected: &'static str,
    },
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
    /// The last line of a file has no line break: a number that was cut short is still a number, so nobody can
    /// tell whether the file is complete.
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
    /// The first line of a file is not the expected header.
    #[error(
        "{}: line {line}: found columns {}, expected \"cluster_id,x,y,z\"",
        excerpt::path(path),
        excerpt::quoted(found)
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What stands there.
        found: String,
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
    /// A field is not a value of its kind, or breaks the order of the clusters.
    #[error(
        "{}: line {line}, column \"{column}\": found {}, expected {expected}",
        excerpt::path(path),
        excerpt::quoted(found)
    )]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// The text of the field.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
}

impl PointsError {
    /// The error for a file whose rows cannot be had.
    #[cfg(feature = "csv")]
    pub(super) fn unreadable(path: impl Into<PathBuf>, fault: Fault) -> Self {
        let path = path.into();
        match fault {
            Fault::Io(source) => PointsError::Read { path, source },
            Fault::NotText(line) => PointsError::NotText { path, line },
            Fault::Truncated(line) => PointsError::Truncated { path, line },
            Fault::TooLarge(limit) => PointsError::TooLarge { path, limit },
            Fault::RowTooLong(line, limit) => PointsError::RowTooLong { path, line, limit },
            Fault::TooManyColumns(line, limit) => PointsError::TooManyColumns { path, line, limit },
        }
    }
}
