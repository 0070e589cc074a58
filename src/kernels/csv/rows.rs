//! A CSV file row by row.

use std::io::Read;

use csv_core::ReadRecordResult;

use super::text::Text;
use super::{CsvOptions, Fault};

/// The rows of a CSV file, the header among them; blank lines are none.
///
/// In memory are a piece of the file and the row that is being read.
pub(in crate::kernels) struct Rows<'a> {
    text: Text<'a>,
    parser: csv_core::Reader,
    /// The fields of the row, one after the other; longer than they are.
    fields: Vec<u8>,
    /// Where each of them ends; longer than they are many.
    ends: Vec<usize>,
    max_row_bytes: usize,
    max_columns: usize,
}

/// Where the row in the buffers begins, and how much of them it is.
struct Extent {
    line: u64,
    len: usize,
    columns: usize,
}

impl<'a> Rows<'a> {
    pub(in crate::kernels) fn new(reader: impl Read + 'a, options: &CsvOptions) -> Self {
        Rows {
            text: Text::new(reader, options.max_input_bytes),
            parser: csv_core::Reader::new(),
            fields: vec![0; 256],
            ends: vec![0; 16],
            max_row_bytes: options.max_row_bytes,
            max_columns: options.max_columns,
        }
    }

    /// The next row that is not blank.
    pub(in crate::kernels) fn next_row(&mut self) -> Result<Option<Row<'_>>, Fault> {
        let Some(Extent { line, len, columns }) = self.advance()? else {
            return Ok(None);
        };
        // Without quotes, which are characters of one byte, text is text still.
        let text = std::str::from_utf8(&self.fields[..len]).map_err(|_| Fault::NotText(line))?;
        let ends = &self.ends[..columns];
        Ok(Some(Row { line, text, ends }))
    }

    fn advance(&mut self) -> Result<Option<Extent>, Fault> {
        loop {
            let row = self.read()?;
            let is_blank = |len| {
                let text = std::str::from_utf8(&self.fields[..len]);
                text.is_ok_and(|text| text.trim().is_empty())
            };
            match row {
                Some(Extent {
                    len, columns: 1, ..
                }) if is_blank(len) => {}
                row => return Ok(row),
            }
        }
    }

    /// Reads a row into the buffers, a blank one too.
    fn read(&mut self) -> Result<Option<Extent>, Fault> {
        let (mut len, mut columns, mut bytes) = (0, 0, 0);
        let mut line = self.text.line();
        loop {
            let input = self.text.peek()?;
            let (result, taken, written, ended) =
                self.parser
                    .read_record(input, &mut self.fields[len..], &mut self.ends[columns..]);
            let is_break = |byte: &&u8| matches!(byte, b'\n' | b'\r');
            if bytes == 0 {
                // Line breaks before a row are not part of it.
                let breaks = input[..taken].iter().take_while(is_break).count();
                self.text.take(breaks);
                line = self.text.line();
                self.text.take(taken - breaks);
                bytes = taken - breaks;
            } else {
                self.text.take(taken);
                bytes += taken;
            }
            len += written;
            columns += ended;
            if bytes > self.max_row_bytes {
                return Err(Fault::RowTooLong(line, self.max_row_bytes));
            }
            if columns > self.max_columns {
                return Err(Fault::TooManyColumns(line, self.max_columns));
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => return Ok(Some(Extent { line, len, columns })),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }
}

/// One row of a CSV file.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Row<'r> {
    /// The line that it begins on, counted from 1.
    pub(in crate::kernels) line: u64,
    text: &'r str,
    ends: &'r [usize],
}

impl<'r> Row<'r> {
    /// The number of fields, at least 1.
    pub(in crate::kernels) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One field, without quotes and without white space around it.
    pub(in crate::kernels) fn field(&self, index: usize) -> &'r str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text[start..self.ends[index]].trim()
    }

    pub(in crate::kernels) fn fields(self) -> impl Iterator<Item = &'r str> {
        (0..self.len()).map(move |index| self.field(index))
    }
}
