//! The first stage: a file of policies as blocks of lines, so that no more of it is in memory than the blocks in flight.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scipar::kernels::cash_value::{CashValueError, Portfolio};

/// Bytes of a line. One that is longer is no policy, and would be in memory as a whole.
const LONGEST_LINE: usize = 1 << 20;

/// Some lines of a file that follow each other, with the file's header.
#[derive(Debug)]
pub(crate) struct Block {
    header: Arc<[u8]>,
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
        self.read(path, 0)
    }

    /// The same policies, with the lines counted as in the file: blank lines, which the crate's reader counts and skips, stand for the
    /// blocks before. That is one byte for each line, so it is for files in which something is wrong.
    ///
    /// # Errors
    ///
    /// Those of the crate's reader, with lines of the file.
    pub(crate) fn portfolio_in_place(&self, path: &Path) -> Result<Portfolio, CashValueError> {
        self.read(path, self.first_line.saturating_sub(2))
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
        let text = self.header.chain(self.lines.as_slice());
        let mut lines = Blocks::new(text, path, 1, u64::MAX)?;
        Ok(std::iter::from_fn(move || {
            let single = lines.next()?;
            // The header is line 1 of `text`, and this block's first line the second one.
            Some((lines.line + self.first_line - 2, single))
        }))
    }

    fn read(&self, path: &Path, blank_lines: u64) -> Result<Portfolio, CashValueError> {
        // Not LF, which would be one line break together with a header's CR.
        let blank_lines = io::repeat(b'\r').take(blank_lines);
        let text = self.header.chain(blank_lines).chain(self.lines.as_slice());
        Portfolio::from_csv_reader(text, path)
    }
}

/// Reads a file block by block.
pub(crate) struct Blocks<R> {
    path: PathBuf,
    reader: BufReader<R>,
    header: Arc<[u8]>,
    lines_per_block: usize,
    /// Lines that are still to be read, at most.
    left: u64,
    /// Lines read so far.
    line: u64,
    /// A block was handed out: a file with a header and nothing else is one block without lines, and refused as such.
    begun: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Reads the header, and then up to `most` policies.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn new(
        reader: R,
        path: &Path,
        lines_per_block: usize,
        most: u64,
    ) -> Result<Self, CashValueError> {
        let mut blocks = Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, reader),
            header: Arc::new([]),
            lines_per_block,
            left: most,
            line: 0,
            begun: false,
            ended: false,
        };
        let mut header = Vec::new();
        while is_blank(&header) {
            header.clear();
            if !blocks.read_line(&mut header)? {
                break;
            }
            if blocks.line == 1 && header.starts_with(b"\xEF\xBB\xBF") {
                header.drain(..3);
            }
        }
        blocks.header = header.into();
        Ok(blocks)
    }

    /// Appends a line with its line break, LF, CRLF or CR; says whether there was one more.
    fn read_line(&mut self, text: &mut Vec<u8>) -> Result<bool, CashValueError> {
        let start = text.len();
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(self.unreadable(source)),
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
                let line = self.line + 1;
                let message = format!("line {line} is longer than {LONGEST_LINE} bytes");
                return Err(self.unreadable(io::Error::other(message)));
            }
            if is_whole {
                let found = text.len() > start;
                self.line += u64::from(found);
                return Ok(found);
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> CashValueError {
        let path = self.path.clone();
        CashValueError::Read { path, source }
    }

    fn read_block(&mut self) -> Result<Option<Block>, CashValueError> {
        let (mut lines, mut count, mut first_line) = (Vec::new(), 0, self.line + 1);
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
                    first_line = self.line + 1;
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

/// Whether a line is one that the crate's reader skips. The last line of a file without a line break is none: the file may have been
/// cut short.
fn is_blank(line: &[u8]) -> bool {
    line.is_empty()
        || (line.ends_with(b"\n") || line.ends_with(b"\r")) && line.trim_ascii().is_empty()
}
