//! The first stage: a file of policies as blocks of lines, so that no more of it is in memory than the blocks in flight.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scipar::kernels::CsvOptions;
use scipar::kernels::cash_value::{CashValueError, Portfolio};

use crate::policies::{Lines, is_blank, short_header};

/// Some lines of a file that follow each other, with the file's header.
#[derive(Debug)]
pub(crate) struct Block {
    /// As it is in the file, for messages.
    header: Arc<[u8]>,
    /// With the names that matter.
    short_header: Arc<[u8]>,
    /// Number of the first line, counted from 1, the header being the first line of the file.
    first_line: u64,
    lines: Vec<u8>,
}

impl Block {
    /// The policies of the block, with the lines counted from the header's: quick, and enough where nothing is wrong.
    ///
    /// # Errors
    ///
    /// Those of the crate's reader, with lines of the block.
    pub(crate) fn portfolio(&self, path: &Path) -> Result<Portfolio, CashValueError> {
        read(&self.short_header, 0, &self.lines, path)
    }

    /// The same policies, with the lines counted as in the file: blank lines, which the crate's reader counts and skips, stand for the
    /// blocks before. That is one byte for each line, so it is for files in which something is wrong.
    ///
    /// # Errors
    ///
    /// Those of the crate's reader, with lines of the file.
    pub(crate) fn portfolio_in_place(&self, path: &Path) -> Result<Portfolio, CashValueError> {
        let blank_lines = self.first_line.saturating_sub(2);
        read(&self.header, blank_lines, &self.lines, path)
    }

    /// The lines one by one, each as a block of its own and with its number.
    ///
    /// # Errors
    ///
    /// None: what is read is in memory.
    pub(crate) fn single_lines(
        &self,
        path: &Path,
    ) -> Result<impl Iterator<Item = (u64, Result<Block, CashValueError>)>, CashValueError> {
        let text = self.short_header.chain(self.lines.as_slice());
        let mut lines = Blocks::new(text, path, 1, u64::MAX)?;
        Ok(std::iter::from_fn(move || {
            let single = lines.next()?;
            // The header is line 1 of `text`, and this block's first line the second one.
            Some((lines.lines.count + self.first_line - 2, single))
        }))
    }
}

fn read(
    header: &[u8],
    blank_lines: u64,
    lines: &[u8],
    path: &Path,
) -> Result<Portfolio, CashValueError> {
    // Not LF, which would be one line break together with a header's CR.
    let blank_lines = io::repeat(b'\r').take(blank_lines);
    let text = header.chain(blank_lines).chain(lines);
    // What is in memory was limited when it was read.
    let options = CsvOptions::new().max_input_bytes(u64::MAX);
    Portfolio::from_csv_reader_with(text, path, &options)
}

/// Reads a file block by block.
pub(crate) struct Blocks<R> {
    path: PathBuf,
    lines: Lines<R>,
    header: Arc<[u8]>,
    short_header: Arc<[u8]>,
    lines_per_block: usize,
    /// Lines that are still to be read, at most.
    left: u64,
    /// A block was handed out: a file with a header and nothing else is one block without lines, and refused as such.
    begun: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Reads the header, and then up to `most` policies.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has another header.
    pub(crate) fn new(
        reader: R,
        path: &Path,
        lines_per_block: usize,
        most: u64,
    ) -> Result<Self, CashValueError> {
        let mut blocks = Self {
            path: path.to_owned(),
            lines: Lines::new(reader),
            header: Arc::new([]),
            short_header: Arc::new([]),
            lines_per_block,
            left: most,
            begun: false,
            ended: false,
        };
        let mut header = Vec::new();
        while is_blank(&header) {
            header.clear();
            if !blocks.read_line(&mut header)? {
                break;
            }
            if blocks.lines.count == 1 && header.starts_with(b"\xEF\xBB\xBF") {
                header.drain(..3);
            }
        }
        blocks.short_header = short_header(&header, path)?.into();
        blocks.header = header.into();
        Ok(blocks)
    }

    fn read_line(&mut self, text: &mut Vec<u8>) -> Result<bool, CashValueError> {
        self.lines.read(text).map_err(|source| {
            let path = self.path.clone();
            CashValueError::Read { path, source }
        })
    }

    fn read_block(&mut self) -> Result<Option<Block>, CashValueError> {
        let (mut lines, mut count, mut first_line) = (Vec::new(), 0, self.lines.count + 1);
        // A quote that is not closed goes on in the next line. The crate's reader refuses that, and has to see it: so such a line is not
        // the last one of a block.
        let mut is_open = false;
        while self.left > 0 && (count < self.lines_per_block || is_open) {
            let start = lines.len();
            if !self.read_line(&mut lines)? {
                self.ended = true;
                break;
            }
            if is_blank(&lines[start..]) {
                if start == 0 {
                    lines.clear();
                    first_line = self.lines.count + 1;
                    continue;
                }
            } else {
                let quotes = lines[start..].iter().filter(|b| **b == b'"').count();
                is_open = count < self.lines_per_block && !quotes.is_multiple_of(2);
                self.left -= 1;
            }
            count += 1;
        }
        if lines.is_empty() && self.begun {
            return Ok(None);
        }
        self.begun = true;
        Ok(Some(Block {
            header: Arc::clone(&self.header),
            short_header: Arc::clone(&self.short_header),
            first_line,
            lines,
        }))
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = Result<Block, CashValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let block = self.read_block();
        self.ended |= !matches!(block, Ok(Some(_)));
        block.transpose()
    }
}
