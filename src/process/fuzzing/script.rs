//! What the fuzzer's bytes mean: what a peer sends, how it is cut into pieces, and which
//! descriptors go with them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::descriptor;
use crate::process::os::{self, Descriptor, Ready, Want};
use crate::process::wire::frame::{Header, Kind, SEGMENT};
use crate::process::wire::{LinkError, Patience};

/// The most that a peer sends: less than a socket holds without anybody reading.
const MOST: usize = 96 << 10;

/// The fuzzer's bytes, taken from the front. After their end come zeros.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes, or what is left.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A count below 16, and as many bytes.
    pub(super) fn list(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte() % 16);
        self.take(count)
    }

    /// A length of two bytes, and as many bytes, which may be repeated so that little makes much.
    fn string(&mut self, doublings: u8) -> Vec<u8> {
        let len = u16::from_le_bytes([self.byte(), self.byte()]);
        let bytes = self.take(usize::from(len));
        let times = (1 << doublings.min(12))
            .min(SEGMENT / bytes.len().max(1))
            .max(1);
        bytes.repeat(times)
    }

    fn descriptors(&mut self, count: u8) -> Vec<Arc<Descriptor>> {
        (0..count).map(|_| descriptor(self.byte())).collect()
    }

    /// A packet of a queue.
    pub(super) fn packet(&mut self) -> Option<Piece> {
        if self.is_over() {
            return None;
        }
        let how = self.byte();
        let mut descriptors = self.descriptors(how & 3);
        let mut bytes = self.string(how >> 4);
        if how & 4 != 0 {
            // As a long message travels.
            descriptors.push(Arc::new(os::spill(&bytes).expect("a descriptor")));
            bytes = vec![how >> 3 & 1];
        }
        Some(Piece { bytes, descriptors })
    }
}

/// What a peer sends at once.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<Arc<Descriptor>>,
}

/// The other end of a socket: sends the next piece when its reader waits, and after the last one is
/// gone.
pub(super) struct Peer {
    socket: Option<Descriptor>,
    pieces: VecDeque<Piece>,
}

impl Peer {
    fn new(pieces: VecDeque<Piece>) -> Self {
        Self {
            socket: None,
            pieces,
        }
    }

    /// Bytes as they are.
    pub(super) fn raw(script: &mut Script<'_>) -> Self {
        let how = script.byte();
        let descriptors = script.descriptors(how & 3);
        let bytes = script.take(MOST).to_vec();
        Self::new([Piece { bytes, descriptors }].into())
    }

    /// Segments with a header that fits.
    pub(super) fn framed(script: &mut Script<'_>) -> Self {
        Self::messages(script, |_| Vec::new())
    }

    /// The same, where a message begins with something that does not come from the fuzzer.
    pub(super) fn messages(
        script: &mut Script<'_>,
        beginning: impl Fn(&mut Script<'_>) -> Vec<u8>,
    ) -> Self {
        let mut pieces = VecDeque::new();
        let mut len = 0;
        let mut last = Kind::Last;
        while !script.is_over() && len < MOST {
            let how = script.byte();
            let descriptors = script.descriptors(how & 3);
            let kind = match how >> 2 & 3 {
                0 => Kind::Last,
                1 | 2 => Kind::More,
                _ => Kind::Void,
            };
            let mut content = match last {
                Kind::Last => beginning(script),
                Kind::More | Kind::Void => Vec::new(),
            };
            content.extend(script.string(how >> 4));
            content.truncate(SEGMENT);
            last = kind;
            let header = Header {
                len: content.len(),
                descriptors: how & 3,
                kind,
            };
            let mut bytes = header.encode().to_vec();
            bytes.extend(content);
            bytes.truncate(MOST - len);
            len += bytes.len();
            pieces.push_back(Piece { bytes, descriptors });
        }
        Self::new(pieces)
    }

    /// Cuts what is sent into pieces of some lengths.
    pub(super) fn cut(&mut self, cuts: &[u8]) {
        // Each piece costs a call of the system or two.
        let least = (self.len() / 256).max(1);
        let mut cuts = cuts.iter().map(|cut| usize::from(*cut)).cycle();
        for mut piece in std::mem::take(&mut self.pieces) {
            loop {
                let now = match cuts.next() {
                    None | Some(0) => piece.bytes.len(),
                    Some(some) => some.max(least).min(piece.bytes.len()),
                };
                let rest = piece.bytes.split_off(now);
                let descriptors = std::mem::take(&mut piece.descriptors);
                let bytes = std::mem::replace(&mut piece.bytes, rest);
                self.pieces.push_back(Piece { bytes, descriptors });
                if piece.bytes.is_empty() {
                    break;
                }
            }
        }
    }

    /// Bytes that are to be sent.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    pub(super) fn connect(&mut self, socket: Descriptor) {
        self.socket = Some(socket);
    }

    /// Sends all and is gone.
    pub(super) fn send_all(&mut self) -> usize {
        let sent = self.len();
        while self.socket.is_some() {
            self.next();
        }
        sent
    }

    fn next(&mut self) {
        let (Some(socket), Some(piece)) = (&self.socket, self.pieces.pop_front()) else {
            self.socket = None;
            return;
        };
        if !piece.bytes.is_empty() {
            // Without a byte descriptors do not go.
            let sent = os::send(socket, [&piece.bytes, &[]], &piece.descriptors);
            assert_eq!(sent.expect("there is room"), piece.bytes.len());
        }
    }
}

impl Patience for Peer {
    fn wait(&mut self, _: &Descriptor, _: Want) -> Result<Ready, LinkError> {
        assert!(self.socket.is_some(), "the reader waits after the end");
        self.next();
        Ok(Ready::default())
    }
}

/// The patience of a sender whose peer reads whenever there is no room.
pub(super) struct Busy;

impl Patience for Busy {
    fn wait(&mut self, _: &Descriptor, _: Want) -> Result<Ready, LinkError> {
        Ok(Ready {
            readable: true,
            ..Ready::default()
        })
    }
}

/// The patience of a reader to whom everything has been sent.
pub(super) struct Never;

impl Patience for Never {
    fn wait(&mut self, _: &Descriptor, _: Want) -> Result<Ready, LinkError> {
        panic!("the reader waits for what has not been sent");
    }
}
