//! The bytes around a message. Pure: no socket, no clock.
//!
//! A message is a row of segments, so that it is encoded and decoded while it travels and is never in memory as a whole. Each
//! segment begins with a header of eight bytes: two that never change, flags, the number of descriptors that come with it, and
//! the length of what follows, little-endian.
//!
//! A segment in the middle of a message has bytes or descriptors, and one that voids a value has
//! neither and comes after bytes: no message is a row of segments without end and without bytes,
//! which no limit in bytes would notice.

/// Bytes of a header.
pub(in crate::process) const HEADER: usize = 8;

/// Bytes that a segment can have after its header. A reader never makes room for more on a header's word.
pub(in crate::process) const SEGMENT: usize = 64 << 10;

const MARK: [u8; 2] = [0x5c, 0xa9];

/// What stands before a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Header {
    /// Bytes that follow.
    pub(in crate::process) len: usize,
    /// Descriptors that came with it.
    pub(in crate::process) descriptors: u8,
    /// What the segment is to its message.
    pub(in crate::process) kind: Kind,
}

/// What a segment is to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Kind {
    /// More follows.
    More,
    /// The last one.
    Last,
    /// More follows, and the value that was being sent is void: it could not be encoded to its end.
    Void,
}

/// Why bytes are not a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::process) enum FrameError {
    #[error("bytes {0:02x?} where a message should begin: whatever sent them is no worker")]
    Mark([u8; 2]),
    #[error("a segment of kind {0}, which there is not")]
    Kind(u8),
    #[error("a segment of {0} bytes, {SEGMENT} are the most")]
    Length(u32),
    #[error("a segment with neither bytes nor descriptors in the middle of a message")]
    Empty,
    #[error("a segment that voids a value where there is none")]
    Void,
    #[error("{announced} descriptors were to come with a segment, {arrived} did")]
    Descriptors { announced: u8, arrived: usize },
    #[error("{0} descriptors that no segment announced")]
    Unannounced(usize),
    #[error(
        "more than {0} descriptors that no value has taken, half of what this process may have open"
    )]
    Untaken(usize),
    #[error("the message is longer than {0} bytes")]
    Limit(u64),
    #[error("more than {0} bytes came before they were asked for")]
    Ahead(u64),
}

impl Header {
    pub(in crate::process) fn encode(self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::More => 0,
            Kind::Last => 1,
            Kind::Void => 2,
        };
        let len = u32::try_from(self.len).expect("a segment is short");
        let [a, b, c, d] = len.to_le_bytes();
        [MARK[0], MARK[1], kind, self.descriptors, a, b, c, d]
    }

    pub(in crate::process) fn decode(bytes: [u8; HEADER]) -> Result<Self, FrameError> {
        let [m, n, kind, descriptors, a, b, c, d] = bytes;
        if [m, n] != MARK {
            return Err(FrameError::Mark([m, n]));
        }
        let kind = match kind {
            0 => Kind::More,
            1 => Kind::Last,
            2 => Kind::Void,
            other => return Err(FrameError::Kind(other)),
        };
        let len = u32::from_le_bytes([a, b, c, d]);
        if len as usize > SEGMENT {
            return Err(FrameError::Length(len));
        }
        Ok(Self {
            len: len as usize,
            descriptors,
            kind,
        })
    }
}
