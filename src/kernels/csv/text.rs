//! The bytes of a file, checked to be text while they come in.

use std::io::{ErrorKind, Read};

use super::Fault;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Bytes that are read at once: few, so that little is taken of a file whose header is wrong.
const CHUNK: usize = 1 << 14;

/// The text of a reader, piece by piece, with the number of the line.
pub(super) struct Text<'a> {
    reader: Box<dyn Read + 'a>,
    buffer: Box<[u8]>,
    /// `buffer[start..valid]` is text that was not taken yet.
    start: usize,
    valid: usize,
    /// `buffer[valid..filled]` is the beginning of a character, or begins with a byte that is not
    /// text.
    filled: usize,
    /// `buffer[valid]` is not text.
    is_bad: bool,
    /// The reader has given its last byte.
    ended: bool,
    /// Bytes that the reader may still give, and how many those were at first.
    left: u64,
    most: u64,
    /// Line of the next byte, counted from 1.
    line: u64,
    /// The last byte that was taken.
    last: Option<u8>,
    /// Nothing was peeked at yet, so that a byte-order mark may come.
    is_first: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(reader: impl Read + 'a, most: u64) -> Self {
        Text {
            reader: Box::new(reader),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            start: 0,
            valid: 0,
            filled: 0,
            is_bad: false,
            ended: false,
            left: most,
            most,
            line: 1,
            last: None,
            is_first: true,
        }
    }

    /// Text that comes next, at least one byte; none at the end, which is that of a line.
    pub(super) fn peek(&mut self) -> Result<&[u8], Fault> {
        while self.start == self.valid {
            if self.is_bad {
                return Err(Fault::NotText(self.line));
            }
            if self.ended {
                return match (self.valid == self.filled, self.is_at_line_start()) {
                    (false, _) => Err(Fault::NotText(self.line)), // a part of a character
                    (true, false) => Err(Fault::Truncated(self.line)),
                    (true, true) => Ok(&[]),
                };
            }
            self.fill()?;
            if self.is_first && self.valid > 0 {
                self.is_first = false;
                // A mark is one character, so all of it is there if any of it is valid.
                if self.buffer[..self.valid].starts_with(BYTE_ORDER_MARK) {
                    self.start = BYTE_ORDER_MARK.len();
                }
            }
        }
        Ok(&self.buffer[self.start..self.valid])
    }

    /// Takes so many bytes of what was peeked at, and counts their lines, which end in LF, CRLF or
    /// CR.
    pub(super) fn take(&mut self, len: usize) {
        for &byte in &self.buffer[self.start..self.start + len] {
            let is_break = byte == b'\r' || byte == b'\n' && self.last != Some(b'\r');
            self.line += u64::from(is_break);
            self.last = Some(byte);
        }
        self.start += len;
    }

    /// Line of the next byte, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    fn is_at_line_start(&self) -> bool {
        matches!(self.last, None | Some(b'\n' | b'\r'))
    }

    /// Reads once; what was valid has been taken.
    fn fill(&mut self) -> Result<(), Fault> {
        self.buffer.copy_within(self.valid..self.filled, 0);
        self.filled -= self.valid;
        (self.start, self.valid) = (0, 0);
        // One byte too many is looked for where no more may come: the file may be just as long as
        // it may be.
        let room = self.buffer.len() - self.filled;
        let room = room.min(usize::try_from(self.left).unwrap_or(room).max(1));
        let free = &mut self.buffer[self.filled..self.filled + room];
        let found = loop {
            match self.reader.read(free) {
                Ok(found) => break found,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        };
        if found as u64 > self.left {
            return Err(Fault::TooLarge(self.most));
        }
        self.ended = found == 0;
        self.left -= found as u64;
        self.filled += found;
        self.check();
        Ok(())
    }

    /// Finds out how much of what was read is text; a zero byte is none.
    fn check(&mut self) {
        let bytes = &self.buffer[..self.filled];
        let (valid, is_bad) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        // `contains` is a search of many bytes at once, `position` one of byte by byte.
        let zero = match bytes[..valid].contains(&0) {
            true => bytes.iter().position(|&byte| byte == 0),
            false => None,
        };
        (self.valid, self.is_bad) = zero.map_or((valid, is_bad), |zero| (zero, true));
    }
}
