//! Clusters from and to CSV files (feature `csv`).

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Clusters, PointsError};
use crate::kernels::csv::{CsvOptions, Row, Rows};

const HEADER: [&str; 4] = ["cluster_id", "x", "y", "z"];

impl Clusters {
    /// Reads clusters of points in three dimensions from a CSV file.
    ///
    /// The header is `cluster_id,x,y,z`. Lines are in the order of the clusters, whose numbers
    /// begin at 0 and have no gaps. Text is UTF-8, with or without a byte-order mark; fields may be
    /// quoted and surrounded by spaces; every line ends in a line break, LF, CRLF or CR; blank
    /// lines are skipped. The path becomes the set's name.
    ///
    /// The file is read row by row, and no more of it than [`CsvOptions`] allow.
    ///
    /// # Errors
    ///
    /// [`PointsError`] naming the file, line, column, the value found and what was expected. It is
    /// the first one in the file: what comes after it is not read.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self, PointsError> {
        Self::read_csv_with(path, &CsvOptions::new())
    }

    /// [`read_csv`](Self::read_csv) with other limits.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn read_csv_with(
        path: impl AsRef<Path>,
        options: &CsvOptions,
    ) -> Result<Self, PointsError> {
        let path = path.as_ref();
        match options.open(path) {
            Ok(file) => Self::from_csv_reader_with(file, path, options),
            Err(fault) => Err(PointsError::unreadable(path, fault)),
        }
    }

    /// Reads clusters from anything that yields CSV text; `name` stands for the file in messages.
    ///
    /// The format is that of [`read_csv`](Self::read_csv). A reader need not be buffered.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader(
        reader: impl Read,
        name: impl Into<PathBuf>,
    ) -> Result<Self, PointsError> {
        Self::from_csv_reader_with(reader, name, &CsvOptions::new())
    }

    /// [`from_csv_reader`](Self::from_csv_reader) with other limits.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader_with(
        reader: impl Read,
        name: impl Into<PathBuf>,
        options: &CsvOptions,
    ) -> Result<Self, PointsError> {
        parse(Rows::new(reader, options), &name.into())
    }

    /// Writes clusters of points in three dimensions as [`read_csv`](Self::read_csv) reads them, with the
    /// fewest digits that read back to the same bits.
    ///
    /// # Errors
    ///
    /// What the writer gives; [`io::ErrorKind::InvalidInput`] if points have not three coordinates.
    pub fn write_csv(&self, mut writer: impl Write) -> io::Result<()> {
        if self.dim != 3 {
            let message = format!("found {} columns, expected 3", self.dim);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        writeln!(writer, "{}", HEADER.join(","))?;
        for cluster in 0..self.len() {
            for row in self.rows(cluster).chunks(3) {
                // `Debug`, unlike `Display`, writes 1e-7 and 1e20 with an exponent.
                writeln!(writer, "{cluster},{:?},{:?},{:?}", row[0], row[1], row[2])?;
            }
        }
        Ok(())
    }
}

fn parse(mut rows: Rows<'_>, path: &Path) -> Result<Clusters, PointsError> {
    let unreadable = |fault| PointsError::unreadable(path, fault);
    let (mut points, mut offsets) = (Vec::new(), Vec::new());
    if let Some(header) = rows.next_row().map_err(unreadable)?
        && !header.fields().eq(HEADER)
    {
        let found = header.fields().collect::<Vec<_>>().join(",");
        let (path, line) = (path.to_owned(), header.line);
        return Err(PointsError::Header { path, line, found });
    }
    while let Some(row) = rows.next_row().map_err(unreadable)? {
        if row.len() != HEADER.len() {
            return Err(PointsError::FieldCount {
                path: path.to_owned(),
                line: row.line,
                found: row.len(),
                expected: HEADER.len(),
            });
        }
        let next = offsets.len();
        match row.field(0).parse::<usize>() {
            Ok(id) if Some(id) == next.checked_sub(1) => {}
            Ok(id) if id == next => offsets.push(points.len() / 3),
            _ if next == 0 => return Err(wrong(path, row, 0, "0, the first cluster")),
            _ => {
                let expected = format!("cluster {} or the next one, {next}", next - 1);
                return Err(wrong(path, row, 0, expected));
            }
        }
        for column in 1..HEADER.len() {
            match row.field(column).parse::<f64>() {
                Ok(value) if value.is_finite() => points.push(value),
                _ => return Err(wrong(path, row, column, "a finite number")),
            }
        }
    }
    offsets.push(points.len() / 3);
    Clusters::checked(path.display().to_string(), points, 3, offsets)
}

fn wrong(path: &Path, row: Row<'_>, column: usize, expected: impl Into<String>) -> PointsError {
    PointsError::Value {
        path: path.to_owned(),
        line: row.line,
        column: HEADER[column],
        found: row.field(column).to_owned(),
        expected: expected.into(),
    }
}
