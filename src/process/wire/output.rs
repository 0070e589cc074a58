//! Encodes messages into a socket, a segment at a time.

use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::frame::{HEADER, Header, Kind, SEGMENT};
use super::{LinkError, Patience, Pull, ValueError, passing};
use crate::process::os::{self, DESCRIPTORS_AT_ONCE, Descriptor, Want};

/// A segment and its header.
const FULL: usize = HEADER + SEGMENT;

/// The sending direction of a socket.
#[derive(Debug)]
pub(in crate::process) struct Output {
    socket: Arc<Descriptor>,
    /// Room for a segment and its header. The segment that is being filled is `buffer[HEADER..len]`.
    buffer: Box<[u8]>,
    len: usize,
    /// What goes with it.
    descriptors: Vec<Arc<Descriptor>>,
    /// Some of the message has been sent, and not all.
    midway: bool,
    /// Bytes of values in segments that have gone.
    gone: u64,
    /// That will not change: what follows would be taken for its rest.
    broken: bool,
}

/// What an output does while it waits: whom it reads from, and how patient it is.
pub(in crate::process) struct Meanwhile<'a> {
    pub(in crate::process) input: Option<&'a mut dyn Pull>,
    pub(in crate::process) patience: &'a mut dyn Patience,
}

impl Meanwhile<'_> {
    fn again(&mut self) -> Meanwhile<'_> {
        Meanwhile {
            input: match &mut self.input {
                Some(input) => Some(&mut **input),
                None => None,
            },
            patience: self.patience,
        }
    }
}

impl Output {
    pub(super) fn new(socket: Arc<Descriptor>) -> Self {
        Self {
            socket,
            buffer: vec![0; FULL].into_boxed_slice(),
            len: HEADER,
            descriptors: Vec::new(),
            midway: false,
            gone: 0,
            broken: false,
        }
    }

    /// Whether there is something that has not been sent.
    pub(in crate::process) fn is_empty(&self) -> bool {
        self.len == HEADER && self.descriptors.is_empty()
    }

    /// Adds a value to the message.
    ///
    /// A value that cannot be encoded leaves nothing behind: [`ValueError::Serde`], and the message can go on.
    pub(in crate::process) fn value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        self.last_of(value, meanwhile)
    }

    /// Adds a value to the message and drops it. One that panics then is as one that cannot be
    /// encoded.
    pub(in crate::process) fn last_of<T: Serialize>(
        &mut self,
        value: T,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        let (start, descriptors) = (self.len, self.descriptors.len());
        let encoding = passing::Encoding::begin();
        let mut serializer = postcard::Serializer {
            output: Encoder {
                output: self,
                meanwhile: meanwhile.again(),
                start,
                begun: false,
                failure: None,
            },
        };
        let before = serializer.output.made();
        let result = passing::caught(|| {
            let value = value; // it is dropped in here, whatever happens
            value.serialize(&mut serializer)?;
            // The receiver takes the value only if it takes as many bytes.
            let made = serializer.output.made() - before;
            made.serialize(&mut serializer)?;
            drop(value);
            Ok(())
        });
        let Encoder {
            start,
            begun,
            failure,
            ..
        } = serializer.output;
        if let Some(failure) = failure {
            // Whatever the value's own code made of it.
            return Err(ValueError::Link(failure));
        }
        if result.is_ok() {
            passing::leaving_into(&mut self.descriptors);
            // They go with their values: the receiver is to keep few of them before it comes to
            // those.
            if self.descriptors.len() >= DESCRIPTORS_AT_ONCE {
                self.segment(Kind::More, meanwhile)?;
            }
            return Ok(());
        }
        drop(encoding);
        if !begun {
            self.len = start;
            self.descriptors.truncate(descriptors);
        } else {
            self.len = HEADER;
            self.descriptors.clear();
            self.segment(Kind::Void, meanwhile)?;
        }
        let why = match (passing::refusal(), result) {
            (Some(why), _) => why,
            (None, Err(error)) => error.to_string(),
            (None, Ok(())) => String::new(),
        };
        Err(ValueError::Serde(why))
    }

    /// Sends what there is of the message.
    pub(in crate::process) fn flush(
        &mut self,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), LinkError> {
        if self.is_empty() {
            return Ok(());
        }
        self.segment(Kind::More, meanwhile)
    }

    /// Ends the message.
    pub(in crate::process) fn finish(
        &mut self,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), LinkError> {
        self.segment(Kind::Last, meanwhile)
    }

    /// Sends the buffer as a segment. Whatever goes wrong, the buffer is empty after it.
    fn segment(&mut self, kind: Kind, meanwhile: &mut Meanwhile<'_>) -> Result<(), LinkError> {
        if self.broken {
            self.len = HEADER;
            self.descriptors.clear();
            return Err(LinkError::Gone);
        }
        let mut result = Ok(());
        while self.descriptors.len() > DESCRIPTORS_AT_ONCE && result.is_ok() {
            let some: Vec<_> = self.descriptors.drain(..DESCRIPTORS_AT_ONCE).collect();
            result = self.write(Kind::More, &mut [0; HEADER], &some, meanwhile);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let descriptors = std::mem::take(&mut self.descriptors);
        if result.is_ok() {
            result = self.write(kind, &mut buffer[..self.len], &descriptors, meanwhile);
        }
        self.buffer = buffer;
        self.gone += (self.len - HEADER) as u64;
        self.len = HEADER;
        match result {
            Ok(()) => self.midway = kind != Kind::Last,
            Err(_) => self.broken = self.midway,
        }
        result
    }

    /// Sends bytes that begin with the place for their header.
    fn write(
        &mut self,
        kind: Kind,
        bytes: &mut [u8],
        mut descriptors: &[Arc<Descriptor>],
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), LinkError> {
        let header = Header {
            len: bytes.len() - HEADER,
            descriptors: u8::try_from(descriptors.len()).expect("few go at once"),
            kind,
        };
        bytes[..HEADER].copy_from_slice(&header.encode());
        let mut done = 0;
        while done < bytes.len() {
            match os::send(&self.socket, [&bytes[done..], &[]], descriptors) {
                Ok(0) => return Err(LinkError::Gone),
                Ok(some) => {
                    done += some;
                    self.midway = true;
                    descriptors = &[];
                    meanwhile.patience.moved(some)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    // Who does not read must not be woken by what there is to read: it would turn in circles.
                    let want = match meanwhile.input {
                        Some(_) => Want::Write,
                        None => Want::WriteOnly,
                    };
                    let ready = meanwhile.patience.wait(&self.socket, want)?;
                    if let (true, Some(input)) = (ready.readable, &mut meanwhile.input) {
                        let bytes = input.pull()?;
                        meanwhile.patience.moved(bytes)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Where postcard puts its bytes.
struct Encoder<'a, 'm> {
    output: &'a mut Output,
    meanwhile: Meanwhile<'m>,
    /// Where in the buffer the value begins.
    start: usize,
    /// Whether some of the value has been sent.
    begun: bool,
    failure: Option<LinkError>,
}

impl Encoder<'_, '_> {
    /// Bytes so far, of this value and of others.
    fn made(&self) -> u64 {
        self.output.gone + (self.output.len - HEADER) as u64
    }

    /// Adds bytes that need more than the room that is left.
    #[cold]
    fn extend_on(&mut self, mut bytes: &[u8]) -> postcard::Result<()> {
        while !bytes.is_empty() {
            if self.output.len == FULL {
                self.make_room()?;
            }
            let output = &mut *self.output;
            let now = bytes.len().min(FULL - output.len);
            let (first, others) = bytes.split_at(now);
            output.buffer[output.len..][..now].copy_from_slice(first);
            output.len += now;
            bytes = others;
        }
        Ok(())
    }

    fn make_room(&mut self) -> postcard::Result<()> {
        // What goes with a value goes with its first byte at the earliest, so that a value that fails before is as if it had never been.
        if self.output.len > self.start {
            self.begun = true;
            passing::leaving_into(&mut self.output.descriptors);
        }
        self.start = HEADER;
        let result = self.output.segment(Kind::More, &mut self.meanwhile);
        result.map_err(|failure| {
            self.failure = Some(failure);
            postcard::Error::SerializeBufferFull
        })
    }
}

impl Flavor for Encoder<'_, '_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // For a number this is one comparison and one store.
        let output = &mut *self.output;
        let end = output.len + bytes.len();
        match output.buffer.get_mut(output.len..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                output.len = end;
                Ok(())
            }
            None => self.extend_on(bytes),
        }
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
