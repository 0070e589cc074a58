//! Decodes messages from a socket while they arrive.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use postcard::de_flavors::Flavor;
use serde::de::DeserializeOwned;

use super::arena::{Arena, End};
use super::arrivals::Arrivals;
use super::bounded::{Bound, Meter};
use super::frame::{FrameError, HEADER, Header, Kind, SEGMENT};
use super::{LinkError, Patience, Pull, ValueError, passing};
use crate::panic::discard;
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
    /// Where in the stream the end of the buffer's bytes is.
    position: u64,
    /// What the current segment is to its message; `Last` between messages.
    kind: Kind,
    /// Descriptors that were read and belong to no segment yet.
    arrivals: Arrivals,
    /// Those of the current message.
    descriptors: VecDeque<Descriptor>,
    /// How many have come with the current message.
    brought: u64,
    /// Bytes of the current message so far, and the most there may be.
    len: u64,
    limit: u64,
    /// What the length was when a value was voided last.
    voided: u64,
    /// What came and was no message: where the next one begins is not known.
    refused: Option<FrameError>,
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
            position: 0,
            kind: Kind::Last,
            arrivals: Arrivals::default(),
            descriptors: VecDeque::new(),
            brought: 0,
            len: 0,
            limit,
            voided: 0,
            refused: None,
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

    /// Reads what is there, or waits for it, and makes place for it. Zero bytes: there was nothing.
    fn read(&mut self, waits: bool) -> Result<usize, LinkError> {
        if let Some(error) = &self.refused {
            return Err(error.clone().into());
        }
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
            self.arrivals.waiting(),
        ) {
            Ok(received) => {
                if received.bytes == 0 {
                    return Err(LinkError::Gone);
                }
                let from = self.position;
                self.position += received.bytes as u64;
                self.end += received.bytes;
                let more = (self.end - self.stop).min(self.beyond);
                self.stop += more;
                self.beyond -= more;
                if self.arrivals.has_news(received.lost) {
                    self.note(from, received.lost)?;
                }
                Ok(received.bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes note of descriptors that came with what was read from there on.
    #[cold]
    fn note(&mut self, from: u64, lost: bool) -> Result<(), LinkError> {
        let next = self.position - (self.end - self.stop) as u64 + self.beyond as u64;
        let taken = self.descriptors.len() + passing::num_arrived();
        let noted = self.arrivals.note(from..self.position, next, lost, taken);
        noted.map_err(|error| self.refuse(error))
    }

    /// Nothing that came is of use any more.
    #[cold]
    fn refuse(&mut self, error: FrameError) -> LinkError {
        self.arrivals.refuse();
        self.descriptors.clear();
        self.refused = Some(error.clone());
        error.into()
    }

    /// The most that is read before it is asked for: an answer of the greatest length, and as much
    /// again for its headers where its segments are short.
    fn most_ahead(&self) -> u64 {
        let few = 4 * AHEAD as u64;
        self.limit.saturating_mul(2).saturating_add(few)
    }

    fn make_place(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.stop -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            let most = usize::try_from(self.most_ahead()).unwrap_or(usize::MAX);
            let len = (2 * self.end).min(most).max(self.end + AHEAD);
            self.buffer.resize(len, 0);
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
            patience.reads();
            let bytes = self.read(patience.waits_by_reading())?;
            patience.moved(bytes)?;
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
        (self.len, self.voided, self.brought) = (0, 0, 0);
        self.segment(patience)
    }

    /// Comes to the next segment.
    fn segment(&mut self, patience: &mut dyn Patience) -> Result<(), LinkError> {
        debug_assert!(self.start == self.stop && self.beyond == 0);
        if let Some(error) = &self.refused {
            return Err(error.clone().into());
        }
        while self.end - self.start < HEADER {
            self.fill(patience)?;
        }
        let (bytes, _) = self.buffer[self.start..]
            .split_first_chunk::<HEADER>()
            .expect("as many are there");
        let header = Header::decode(*bytes).and_then(|header| self.fitting(header));
        let header = header.map_err(|error| self.refuse(error))?;
        let at = self.position - (self.end - self.start) as u64;
        self.start += HEADER;
        self.stop = self.start + header.len.min(self.end - self.start);
        self.beyond = header.len - (self.stop - self.start);
        self.kind = header.kind;
        self.len += header.len as u64;
        if self.arrivals.concern(header) {
            self.claim(at, header)?;
        }
        if self.len > self.limit {
            self.descriptors.clear();
            return Err(FrameError::Limit(self.limit).into());
        }
        Ok(())
    }

    /// The header, if it may follow what came before it.
    fn fitting(&mut self, header: Header) -> Result<Header, FrameError> {
        let is_empty = header.len == 0 && header.descriptors == 0;
        match header.kind {
            Kind::More if is_empty => Err(FrameError::Empty),
            Kind::Void if !is_empty || self.voided == self.len => Err(FrameError::Void),
            Kind::Void => {
                self.voided = self.len;
                Ok(header)
            }
            Kind::More | Kind::Last => Ok(header),
        }
    }

    /// Takes the descriptors of a segment.
    #[cold]
    fn claim(&mut self, at: u64, header: Header) -> Result<(), LinkError> {
        let result = self.arrivals.claim(at, header);
        let result = result.map(|those| self.descriptors.extend(those));
        match result {
            Ok(()) => {}
            Err(LinkError::Frame(error)) => return Err(self.refuse(error)),
            Err(error) => return Err(error),
        }
        // Some values take descriptors and no bytes, and each of these is among others that do.
        self.brought += u64::from(header.descriptors);
        let most = os::most_descriptors_of_a_message();
        if self.brought > (most as u64).saturating_add(self.len) {
            return Err(self.refuse(FrameError::Untaken(most)));
        }
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
        let made: u64 = match self.decode(patience) {
            Ok(made) => made,
            Err(error) => {
                discard::<T>(value);
                return Err(error);
            }
        };
        if taken != made {
            discard(value);
            return Err(ValueError::Serde(other_length(made, taken)));
        }
        Ok(value)
    }

    fn decode<T: DeserializeOwned>(
        &mut self,
        patience: &mut dyn Patience,
    ) -> Result<T, ValueError> {
        let arena = Arena::default();
        let meter = Meter::new(self.stop - self.start + self.beyond);
        let mut scratch = Vec::new();
        let decoding = passing::Decoding::begin(&mut self.descriptors);
        let mut deserializer = postcard::Deserializer::from_flavor(Decoder {
            input: self,
            patience,
            kept: arena.end(),
            scratch: &mut scratch,
            meter: &meter,
            failure: None,
        });
        let bounded = Bound::new(&meter).on(&mut deserializer);
        let result = passing::caught(|| T::deserialize(bounded));
        let failure = deserializer.finalize().unwrap_or_default();
        decoding.end(&mut self.descriptors);
        match (result, failure) {
            // Whatever the value's own code made of it.
            (result, Some(failure)) => {
                discard(result);
                Err(failure)
            }
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
    fn pull(&mut self) -> Result<usize, LinkError> {
        let most = self.most_ahead();
        if (self.end - self.start) as u64 >= most {
            return Err(self.refuse(FrameError::Ahead(most)));
        }
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
    meter: &'a Meter,
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
                        self.meter.came(input.stop - input.start + input.beyond);
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
