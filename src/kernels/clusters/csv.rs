//! Clusters from and to CSV files (feature `csv`).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Clusters, PointsError};

const HEADER: [&str; 4] = ["cluster_id", "x", "y", "z"];

impl Clusters {
    /// Reads clusters of points in three dimensions from a CSV file.
    ///
    /// The header is `cluster_id,x,y,z`. Lines are in the order of the clusters, whose numbers begin at 0 and
    /// have no gaps. Text is UTF-8, with or without a byte-order mark; fields may be quoted and surrounded
    /// by spaces; every line ends in a line break; blank lines are skipped. The path becomes the set's name.
    ///
    /// # Errors
    ///
    /// [`PointsError`] naming the file, line, column, the value found and what was expected.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self, PointsError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| PointsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_csv_reader(file, path)
    }

    /// Reads clusters from anything that yields CSV text; `name` stands for the file in messages.
    ///
    /// The format is that of [`read_csv`](Self::read_csv).
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader(
        mut reader: impl Read,
        name: impl Into<PathBuf>,
    ) -> Result<Self, PointsError> {
        let path = name.into();
        let mut bytes = Vec::new();
        if let Err(source) = reader.read_to_end(&mut bytes) {
            return Err(PointsError::Read { path, source });
        }
        parse(text(&bytes, &path)?, &path)
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

/// The file as text, without a byte-order mark.
fn text<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, PointsError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let line = |end: usize| 1 + bytes[..end].iter().filter(|&&byte| byte == b'\n').count() as u64;
    let path = path.to_owned();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line(error.valid_up_to());
            return Err(PointsError::NotText { path, line });
        }
    };
    if let Some(zero) = bytes.iter().position(|&byte| byte == 0) {
        let line = line(zero);
        return Err(PointsError::NotText { path, line });
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let line = line(bytes.len());
        return Err(PointsError::Truncated { path, line });
    }
    Ok(text)
}

fn parse(text: &str, path: &Path) -> Result<Clusters, PointsError> {
    let mut parser = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let owned = || path.to_owned();
    let mut record = csv::StringRecord::new();
    let (mut has_header, mut points, mut offsets) = (false, Vec::new(), Vec::new());
    // Lines are counted here, as the parser's own count is that of the line before where lines are blank.
    let (mut counted, mut line) = (0, 1);
    loop {
        let more = parser
            .read_record(&mut record)
            .map_err(|error| PointsError::Read {
                path: owned(),
                source: io::Error::other(error),
            })?;
        if !more {
            break;
        }
        let bytes = text.as_bytes();
        let start = record.position().map_or(0, |at| at.byte() as usize);
        let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
        let start = start + bytes[start..].iter().take_while(blank).count();
        line += bytes[counted..start]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64;
        counted = start;
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        if !has_header {
            if record != HEADER[..] {
                let found = record.iter().collect::<Vec<_>>().join(",");
                let path = owned();
                return Err(PointsError::Header { path, line, found });
            }
            has_header = true;
            continue;
        }
        if record.len() != HEADER.len() {
            return Err(PointsError::FieldCount {
                path: owned(),
                line,
                found: record.len(),
                expected: HEADER.len(),
            });
        }
        let wrong = |column: usize, expected: String| PointsError::Value {
            path: owned(),
            line,
            column: HEADER[column],
            found: excerpt(&record[column]),
            expected,
        };
        let next = offsets.len();
        match record[0].parse::<usize>() {
            Ok(id) if id + 1 == next => {}
            Ok(id) if id == next => offsets.push(points.len() / 3),
            _ if next == 0 => return Err(wrong(0, "0, the first cluster".to_owned())),
            _ => {
                let expected = format!("cluster {} or the next one, {next}", next - 1);
                return Err(wrong(0, expected));
            }
        }
        for column in 1..HEADER.len() {
            match record[column].parse::<f64>() {
                Ok(value) if value.is_finite() => points.push(value),
                _ => return Err(wrong(column, "a finite number".to_owned())),
            }
        }
    }
    offsets.push(points.len() / 3);
    Clusters::checked(path.display().to_string(), points, 3, offsets)
}

/// A field for a message: a stray quote can make one of the rest of a file.
fn excerpt(field: &str) -> String {
    const MOST: usize = 60;
    match field.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &field[..end]),
        None => field.to_owned(),
    }
}
