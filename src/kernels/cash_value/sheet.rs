//! A table in a CSV file: its header, then its rows one by one (feature `csv`).

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{CashValueError, Lines, Origin, Place};
use crate::error::excerpt;
use crate::kernels::csv::{CsvOptions, Row, Rows};

/// A CSV file of which the header was read; [`each`](Self::each) reads the rest, once, as reading a
/// file does.
pub(super) struct Sheet<'a> {
    path: PathBuf,
    /// Trimmed names.
    pub(super) header: Vec<String>,
    rows: RefCell<Rows<'a>>,
    /// Those of the rows that were read.
    lines: RefCell<Lines>,
}

/// A row with as many fields as the header.
pub(super) struct Line<'s> {
    path: &'s Path,
    header: &'s [String],
    row: Row<'s>,
}

impl<'a> Sheet<'a> {
    /// Reads the header.
    pub(super) fn open(
        reader: impl Read + 'a,
        path: PathBuf,
        options: &CsvOptions,
    ) -> Result<Self, CashValueError> {
        let mut rows = Rows::new(reader, options);
        let header: Vec<String> = match rows.next_row() {
            Ok(Some(row)) => row.fields().map(str::to_owned).collect(),
            Ok(None) => {
                return Err(CashValueError::Empty {
                    table: path.display().to_string(),
                });
            }
            Err(fault) => return Err(CashValueError::unreadable(path, fault)),
        };
        let mut seen = HashSet::with_capacity(header.len());
        let mut names = header.iter().filter(|name| !name.is_empty());
        if let Some(name) = names.find(|name| !seen.insert(name.as_str())) {
            let column = name.clone();
            return Err(CashValueError::RepeatedColumn { path, column });
        }
        Ok(Sheet {
            path,
            header,
            rows: RefCell::new(rows),
            lines: RefCell::default(),
        })
    }

    /// The place of a column among the fields.
    pub(super) fn column(&self, column: &str) -> Result<usize, CashValueError> {
        let found = self.header.iter().position(|name| name == column);
        found.ok_or_else(|| CashValueError::MissingColumn {
            path: self.path.clone(),
            column: column.to_owned(),
        })
    }

    /// The error for a column that does not belong.
    pub(super) fn unexpected_column(&self, column: &str, expected: &str) -> CashValueError {
        CashValueError::UnexpectedColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            expected: expected.to_owned(),
        }
    }

    /// Where the rows came from that were read.
    pub(super) fn origin(&self) -> Origin {
        Origin::File {
            path: self.path.clone(),
            lines: self.lines.borrow().clone(),
        }
    }

    /// Reads the rows, at least one, with their numbers, counted from 0; ends with the first error.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(usize, &Line<'_>) -> Result<(), CashValueError>,
    ) -> Result<(), CashValueError> {
        let mut rows = self.rows.borrow_mut();
        let mut count = 0;
        loop {
            let row = match rows.next_row() {
                Ok(Some(row)) => row,
                Ok(None) if count == 0 => {
                    return Err(CashValueError::Empty {
                        table: self.path.display().to_string(),
                    });
                }
                Ok(None) => return Ok(()),
                Err(fault) => return Err(CashValueError::unreadable(&self.path, fault)),
            };
            let (found, expected) = (row.len(), self.header.len());
            if found != expected {
                return Err(CashValueError::FieldCount {
                    path: self.path.clone(),
                    line: row.line,
                    found,
                    expected,
                });
            }
            let line = Line {
                path: &self.path,
                header: &self.header,
                row,
            };
            // A stray quote joins lines into one field; in a column that is ignored it would go
            // unnoticed.
            let mut fields = row.fields();
            if let Some(index) = fields.position(|field| field.contains(['\n', '\r'])) {
                return Err(line.wrong(index, "a field on one line"));
            }
            self.lines.borrow_mut().push(row.line);
            take(count, &line)?;
            count += 1;
        }
    }
}

impl<'s> Line<'s> {
    /// One field as it is.
    pub(super) fn text(&self, index: usize) -> &'s str {
        self.row.field(index)
    }

    /// One field, converted.
    pub(super) fn field<T>(
        &self,
        index: usize,
        expected: &str,
        convert: impl Fn(&'s str) -> Option<T>,
    ) -> Result<T, CashValueError> {
        convert(self.row.field(index)).ok_or_else(|| self.wrong(index, expected))
    }

    /// The error for the text of a field.
    fn wrong(&self, index: usize, expected: &str) -> CashValueError {
        let found = excerpt::quoted(self.row.field(index)).to_string();
        self.refused(index, found, expected)
    }

    /// The error for the number in a field.
    pub(super) fn number(
        &self,
        index: usize,
        found: impl std::fmt::Debug + Copy,
        expected: impl Into<String>,
    ) -> CashValueError {
        self.refused(index, format!("{found:?}"), expected)
    }

    fn refused(&self, index: usize, found: String, expected: impl Into<String>) -> CashValueError {
        self.place().refused(&self.header[index], found, expected)
    }

    /// Checks that a column counts the rows from 0.
    pub(super) fn check_count(&self, index: usize, row: usize) -> Result<(), CashValueError> {
        let count: i64 = self.field(index, WHOLE, whole)?;
        match usize::try_from(count) == Ok(row) {
            true => Ok(()),
            false => Err(self.number(index, count, row.to_string())),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::Line {
            path: self.path.to_owned(),
            line: self.row.line,
        }
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

pub(super) fn key(field: &str) -> Option<&str> {
    (!field.is_empty()).then_some(field)
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
