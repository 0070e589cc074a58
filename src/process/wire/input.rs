//! Decodes messages from a socket while they arrive.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use postcard::de_flavors::Flavor;
use serde::de::DeserializeOwned;

use super::arena::{Arena, End};
use super::frame::{FrameError, HEADER, Header, Kind, SEGMENT};
use super::{LinkError, Patience, Pull, ValueError, passing};
use crate::process::os::{self, Descriptor, Want};

/// Bytes that are read ahead as a rule.
const AHEAD: usize = SEGMENT + HEADER;

/// The receiving direction of a socket.
#[derive(Debug)]
pub(in crate::process) struct Input {
    socket: Arc<Descriptor>,
    buffer: Vec<u8>,
    /// What has been read and not been used: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// What of that belongs to the current segment: `buffer[start..stop]`.
    stop: usize,
    /// What of the current segment has not been read.
    beyond: usize,
    /// What the current segment is to its message; `Last` between messages.
    kind: Kind,
    /// Descriptors that were read and belong to no segment yet.
    arrived: VecDeque<Descriptor>,
    /// Those of the current message.
    descriptors: VecDeque<Descriptor>,
    /// The system dropped descriptors: there was no place for them.
    lost: bool,
    /// Bytes of the current message so far, and the most there may be.
    len: u64,
    limit: u64,
}

impl Input {
    pub(super) fn new(socket: Arc<Descriptor>, limit: u64) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            stop: 0,
            beyond: 0,
            kind: Kind::Last,
            arrived: VecDeque::new(),
            descriptors: VecDeque::new(),
            lost: false,
            len: 0,
            limit,
        }
    }

    pub(in crate::process) fn socket(&self) -> &Arc<Descriptor> {
        &self.socket
    }

    pub(in crate::process) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Whether anything has been read that no message has used.
    pub(in crate::process) fn has_unused(&self) -> bool {
        self.start < self.end || self.kind != Kind::Last
    }

    /// Reads what is there, or waits for it, and makes place for it.
    fn read(&mut self, waits: bool) -> Result<(), LinkError> {
        if self.end == self.buffer.len() {
            self.make_place();
        }
        let receive = if waits {
            os::receive_waiting
        } else {
            os::receive
        };
        match receive(
            &self.socket,
            &mut self.buffer[self.end..],
            &mut self.arrived,
        ) {
            Ok(received) => {
                self.lost |= received.cut;
                if received.bytes == 0 {
                    return Err(LinkError::Gone);
                }
                self.end += received.bytes;
                let more = (self.end - self.stop).min(self.beyond);
                self.stop += more;
                self.beyond -= more;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn make_place(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.stop -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.end).max(AHEAD), 0);
        }
    }

    /// Has more in `buffer[start..end]` than there was.
    fn fill(&mut self, patience: &mut dyn Patience) -> Result<(), LinkError> {
        if self.start == self.end {
            (self.start, self.end, self.stop) = (0, 0, 0);
            if self.buffer.len() > 2 * AHEAD {
                self.buffer = Vec::new(); // it was read far ahead, and has caught up
            }
        }
        let had = self.end - self.start;
        loop {
            self.read(patience.waits_by_reading())?;
            if self.end - self.start > had {
                return Ok(());
            }
            patience.wait(&self.socket, Want::Read)?;
        }
    }

    /// Waits for the next message and begins it, passing over what an error has left of the one before.
    pub(in crate::process) fn begin(
        &mut self,
        patience: &mut dyn Patience,
    ) -> Result<(), LinkError> {
        self.finish(patience)?;
        self.len = 0;
        self.segment(patience)
    }

    /// Comes to the next segment.
    fn segment(&mut self, patience: &mut dyn Patience) -> Result<(), LinkError> {
        debug_assert!(self.start == self.stop && self.beyond == 0);
        while self.end - self.start < HEADER {
            self.fill(patience)?;
        }
        let (bytes, _) = self.buffer[self.start..]
            .split_first_chunk::<HEADER>()
            .expect("as many are there");
        let header = Header::decode(*bytes)?;
        self.start += HEADER;
        self.stop = self.start + header.len.min(self.end - self.start);
        self.beyond = header.len - (self.stop - self.start);
        self.kind = header.kind;
        self.len += header.len as u64;
        if self.len > self.limit {
            return Err(FrameError::Limit(self.limit).into());
        }
        // They come with the first byte of what they were sent with.
        let (announced, there) = (usize::from(header.descriptors), self.arrived.len());
        // Once some are lost, nobody knows whose the others are.
        if announced > 0 && self.lost {
            return Err(LinkError::Io(os::too_many_files()));
        }
        if announced > there {
            return Err(FrameError::Descriptors {
                announced: header.descriptors,
                arrived: there,
            }
            .into());
        }
        self.descriptors.extend(self.arrived.drain(..announced));
        Ok(())
    }

    /// Bytes of the message that have been used.
    fn used(&self) -> u64 {
        self.len - (self.stop - self.start + self.beyond) as u64
    }

    /// The next value of the message, if it takes as many bytes as its sender has made of it.
    ///
    /// Types that leave fields out (`skip_serializing_if`) would else take what follows for these fields.
    pub(in crate::process) fn value<T: DeserializeOwned>(
        &mut self,
        patience: &mut dyn Patience,
    ) -> Result<T, ValueError> {
        let before = self.used();
        let value = self.decode(patience)?;
        let taken = self.used() - before;
        let made: u64 = self.decode(patience)?;
        if taken != made {
            return Err(ValueError::Serde(other_length(made, taken)));
        }
        Ok(value)
    }

    fn decode<T: DeserializeOwned>(
        &mut self,
        patience: &mut dyn Patience,
    ) -> Result<T, ValueError> {
        let arena = Arena::default();
        let mut scratch = Vec::new();
        let decoding = passing::Decoding::begin(&mut self.descriptors);
        let mut deserializer = postcard::Deserializer::from_flavor(Decoder {
            input: self,
            patience,
            kept: arena.end(),
            scratch: &mut scratch,
            failure: None,
        });
        let result = passing::caught(|| T::deserialize(&mut deserializer));
        let failure = deserializer.finalize().unwrap_or_default();
        decoding.end(&mut self.descriptors);
        match (result, failure) {
            // Whatever the value's own code made of it.
            (_, Some(failure)) => Err(failure),
            (Ok(value), None) => Ok(value),
            (Err(error), None) => Err(ValueError::Serde(
                passing::refusal().unwrap_or_else(|| error.to_string()),
            )),
        }
    }

    /// Passes over what is left of the message.
    pub(in crate::process) fn finish(
        &mut self,
        patience: &mut dyn Patience,
    ) -> Result<(), LinkError> {
        loop {
            self.start = self.stop;
            while self.beyond > 0 {
                self.fill(patience)?;
                self.start = self.stop;
            }
            self.descriptors.clear();
            if self.kind == Kind::Last {
                return Ok(());
            }
            self.segment(patience)?;
        }
    }
}

/// What it means that a value takes more or fewer bytes than were made of it.
pub(super) fn other_length(made: u64, taken: impl std::fmt::Display) -> String {
    format!(
        "{made} bytes were made of it and {taken} are taken for it: fields that are left out (`#[serde(skip_serializing_if)]`) \
         cannot be sent, as the format does not name fields"
    )
}

impl Pull for Input {
    fn pull(&mut self) -> Result<(), LinkError> {
        self.read(false)
    }
}

/// Where postcard takes its bytes from.
struct Decoder<'a> {
    input: &'a mut Input,
    patience: &'a mut dyn Patience,
    kept: End<'a>,
    /// Holds what lies in two segments.
    scratch: &'a mut Vec<u8>,
    failure: Option<ValueError>,
}

impl Decoder<'_> {
    /// Has a byte of the message in `buffer[start..stop]`.
    #[cold]
    fn more(&mut self) -> postcard::Result<()> {
        let input = &mut *self.input;
        while input.start == input.stop {
            let result = if input.beyond > 0 {
                input.fill(self.patience).map_err(ValueError::Link)
            } else if input.kind == Kind::Last {
                Err(ValueError::End)
            } else {
                input
                    .segment(self.patience)
                    .map_err(ValueError::Link)
                    .and_then(|()| {
                        if input.kind == Kind::Void {
                            passing::forget(); // what came with the value that is void
                        }
                        passing::arrived(input.descriptors.drain(..));
                        match input.kind {
                            Kind::Void => Err(ValueError::Void),
                            Kind::More | Kind::Last => Ok(()),
                        }
                    })
            };
            if let Err(failure) = result {
                self.failure = Some(failure);
                return Err(postcard::Error::DeserializeUnexpectedEnd);
            }
        }
        Ok(())
    }

    /// `count` bytes that do not lie in one piece. What is kept for them grows as they arrive, whatever was announced.
    #[cold]
    fn assemble(&mut self, mut count: usize) -> postcard::Result<Vec<u8>> {
        let mut bytes = std::mem::take(self.scratch);
        bytes.clear();
        while count > 0 {
            if self.input.start == self.input.stop {
                self.more()?;
            }
            let input = &mut *self.input;
            let now = count.min(input.stop - input.start);
            bytes.extend_from_slice(&input.buffer[input.start..input.start + now]);
            input.start += now;
            count -= now;
        }
        Ok(bytes)
    }

    /// As [`assemble`](Self::assemble). Out of the way of numbers that lie in one piece.
    #[cold]
    #[inline(never)]
    fn assembled(&mut self, count: usize) -> postcard::Result<&[u8]> {
        *self.scratch = self.assemble(count)?;
        Ok(self.scratch)
    }
}

impl<'a> Flavor<'a> for Decoder<'a> {
    type Remainder = Option<ValueError>;
    type Source = &'a [u8];

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        if self.input.start == self.input.stop {
            self.more()?;
        }
        let byte = self.input.buffer[self.input.start];
        self.input.start += 1;
        Ok(byte)
    }

    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'a [u8]> {
        let bytes = self.assemble(count)?;
        Ok(self.kept.keep(bytes))
    }

    #[inline]
    fn try_take_n_temp<'t>(&'t mut self, count: usize) -> postcard::Result<&'t [u8]>
    where
        'a: 't,
    {
        let (start, stop) = (self.input.start, self.input.stop);
        if stop - start < count {
            return self.assembled(count);
        }
        self.input.start = start + count;
        Ok(&self.input.buffer[start..start + count])
    }

    fn finalize(self) -> postcard::Result<Self::Remainder> {
        Ok(self.failure)
    }
}
