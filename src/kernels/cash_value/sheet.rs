//! A CSV file as text: header, rows, and the line of each row (feature `csv`).

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::PathBuf;

use super::error::{CashValueError, Origin};

/// A CSV file taken apart: a header and rows with as many fields.
pub(super) struct Sheet {
    path: PathBuf,
    /// Trimmed names.
    pub(super) header: Vec<String>,
    rows: Vec<csv::StringRecord>,
    /// Line of each row, counted from 1.
    lines: Vec<u64>,
}

impl Sheet {
    pub(super) fn read(mut reader: impl Read, path: PathBuf) -> Result<Self, CashValueError> {
        let mut bytes = Vec::new();
        if let Err(source) = reader.read_to_end(&mut bytes) {
            return Err(CashValueError::Read { path, source });
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let valid = bytes[..valid]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(valid);
        if valid < bytes.len() {
            return Err(CashValueError::NotText {
                path,
                line: line_of(bytes, valid),
            });
        }
        match bytes.last() {
            None => {
                return Err(CashValueError::Empty {
                    table: path.display().to_string(),
                });
            }
            Some(b'\n' | b'\r') => {}
            Some(_) => {
                let line = line_of(bytes, bytes.len());
                return Err(CashValueError::Truncated { path, line });
            }
        }
        Self::parse(bytes, path)
    }

    fn parse(bytes: &[u8], path: PathBuf) -> Result<Self, CashValueError> {
        let mut parser = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let mut sheet = Sheet {
            path,
            header: Vec::new(),
            rows: Vec::new(),
            lines: Vec::new(),
        };
        // Lines are counted here: the parser's own count takes blank lines and CR amiss.
        let (mut counted, mut line) = (0, 1);
        for record in parser.records() {
            let record = record.map_err(|error| CashValueError::Read {
                path: sheet.path.clone(),
                source: io::Error::other(error),
            })?;
            let start = record
                .position()
                .map_or(0, |position| position.byte() as usize);
            let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
            let start = start + bytes[start..].iter().take_while(blank).count();
            line += line_of(&bytes[counted..], start - counted) - 1;
            counted = start;
            if record.iter().all(str::is_empty) && record.len() == 1 {
                continue;
            }
            if sheet.header.is_empty() {
                sheet.header = record.iter().map(str::to_owned).collect();
                continue;
            }
            if record.len() != sheet.header.len() {
                let (found, expected) = (record.len(), sheet.header.len());
                return Err(CashValueError::FieldCount {
                    path: sheet.path,
                    line,
                    found,
                    expected,
                });
            }
            sheet.lines.push(line);
            sheet.rows.push(record);
        }
        sheet.check()?;
        Ok(sheet)
    }

    fn check(&self) -> Result<(), CashValueError> {
        let mut seen = HashSet::new();
        if let Some(name) = self
            .header
            .iter()
            .find(|name| !name.is_empty() && !seen.insert(*name))
        {
            let (path, column) = (self.path.clone(), name.clone());
            return Err(CashValueError::RepeatedColumn { path, column });
        }
        if self.rows.is_empty() {
            return Err(CashValueError::Empty {
                table: self.path.display().to_string(),
            });
        }
        // A stray quote joins lines into one field; in a column that is ignored nobody would notice.
        for (row, record) in self.rows.iter().enumerate() {
            if let Some(index) = record.iter().position(|field| field.contains(['\n', '\r'])) {
                let name = &self.header[index];
                let found = excerpt(&record[index]);
                return Err(self.origin().value(row, name, found, "a field on one line"));
            }
        }
        Ok(())
    }

    /// The error for a column that does not belong.
    pub(super) fn unexpected_column(&self, column: &str, expected: &str) -> CashValueError {
        CashValueError::UnexpectedColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            expected: expected.to_owned(),
        }
    }

    pub(super) fn origin(&self) -> Origin {
        Origin::File {
            path: self.path.clone(),
            lines: self.lines.clone(),
        }
    }

    /// One column, each field converted.
    pub(super) fn map<T>(
        &self,
        column: &str,
        expected: &str,
        convert: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, CashValueError> {
        let index = self
            .header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| CashValueError::MissingColumn {
                path: self.path.clone(),
                column: column.to_owned(),
            })?;
        let rows = self.rows.iter().enumerate();
        rows.map(|(row, record)| {
            convert(&record[index]).ok_or_else(|| {
                self.origin()
                    .value(row, column, excerpt(&record[index]), expected)
            })
        })
        .collect()
    }

    /// Checks that a column counts the rows from 0.
    pub(super) fn check_count(&self, column: &str) -> Result<(), CashValueError> {
        let counts: Vec<i64> = self.map(column, WHOLE, whole)?;
        match (0..).zip(&counts).position(|(row, &count)| count != row) {
            None => Ok(()),
            Some(row) => Err(self
                .origin()
                .value(row, column, counts[row], format!("{row}"))),
        }
    }
}

/// The line, counted from 1, on which byte `end` stands; lines end in LF, CRLF or CR.
fn line_of(bytes: &[u8], end: usize) -> u64 {
    let breaks = (0..end).filter(|&i| match bytes[i] {
        b'\n' => true,
        b'\r' => bytes.get(i + 1) != Some(&b'\n'),
        _ => false,
    });
    breaks.count() as u64 + 1
}

/// The first characters of a field, so that a message stays one line.
fn excerpt(field: &str) -> String {
    const LONGEST: usize = 40;
    match field.char_indices().nth(LONGEST) {
        None => field.to_owned(),
        Some((end, _)) => format!("{}...", &field[..end]),
    }
}

// What a converter below accepts, in words.
pub(super) const NUMBER: &str = "a finite number";
pub(super) const WHOLE: &str = "a whole number";
pub(super) const KEY: &str = "a name that is not empty";
pub(super) const FLAG: &str = "\"True\" or \"False\"";

pub(super) fn number(field: &str) -> Option<f64> {
    field.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A whole number, also one written as a float.
pub(super) fn whole<T: TryFrom<i64>>(field: &str) -> Option<T> {
    let exact =
        |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    let value = field
        .parse::<i64>()
        .ok()
        .or_else(|| number(field).and_then(exact))?;
    T::try_from(value).ok()
}

pub(super) fn key(field: &str) -> Option<String> {
    (!field.is_empty()).then(|| field.to_owned())
}

pub(super) fn flag(field: &str) -> Option<bool> {
    match field {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
