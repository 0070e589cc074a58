//! Messages over a socket: rows of segments, values by postcard, descriptors beside them.
//!
//! Both directions are driven by one thread. Whoever finds no room to write reads meanwhile what the other side has to say,
//! so that two sides that both have much to say never wait for each other.
//!
//! # What a peer can cost
//!
//! A peer may be corrupt, or mean harm. Whatever it sends, what this process keeps for it has a
//! bound, and so has the number of words that it can send before something is complete:
//!
//! | | bound | else |
//! |---|---|---|
//! | bytes of a message | the limit that was set: `message_limit`, or 16 GiB | [`FrameError::Limit`] |
//! | segments of a message | as many as bytes and descriptors: in its middle each has some, and each that voids a value comes after some | [`FrameError::Empty`], [`FrameError::Void`] |
//! | bytes read before they are asked for, while this side waits for room | twice the limit and 256 KiB: answers and their headers | [`FrameError::Ahead`] |
//! | descriptors | each announced by the segment that it came with, at most 64 by one segment | [`FrameError::Unannounced`], [`FrameError::Descriptors`] |
//! | descriptors that no value has taken | half of what this process may have open; of a message in all, one more for each of its bytes | [`FrameError::Untaken`] |
//! | values inside of values | 500 levels | [`ValueError::Serde`] |
//! | elements of lists and maps in a value | one for each byte, and 2^20 | [`ValueError::Serde`] |
//! | room for text, bytes and lists | what has come, doubled as it grows, and 1 MiB; not what was announced | |
//! | waiting for a worker whose tasks have a time limit | for each item that it owes, and for each 64 KiB that come or go, as long as an item may take and a quarter of that and a second | `TimedOut` |
//!
//! An error of the first three kinds of descriptors and of reading ahead is for good: where the
//! next message begins, and whose the next descriptors are, is not known. What had come by then is
//! closed.

use std::io;
use std::sync::Arc;

use super::os::{self, Descriptor, Ready, Want};

pub(super) mod alone;
mod arena;
mod arrivals;
mod bounded;
pub(super) mod frame;
mod input;
mod output;
pub(super) mod passing;

pub(super) use frame::{FrameError, SEGMENT};
pub(super) use input::Input;
pub(super) use output::{Meanwhile, Output};

#[cfg(test)]
mod tests;

/// Why a message did not get through.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The peer is gone.
    Gone,
    /// Whoever waits has had enough.
    Interrupted,
    /// What came is no message.
    Frame(FrameError),
    /// The system refused.
    Io(io::Error),
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        LinkError::Frame(error)
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        if os::is_gone(&error) {
            LinkError::Gone
        } else {
            LinkError::Io(error)
        }
    }
}

/// Why a value did not get through, in either direction.
#[derive(Debug)]
pub(super) enum ValueError {
    /// The sender could not encode it to its end; the message goes on.
    Void,
    /// It could not be encoded or decoded, and why. When encoding, the message goes on without it.
    Serde(String),
    /// The message is at its end.
    End,
    Link(LinkError),
}

impl From<LinkError> for ValueError {
    fn from(error: LinkError) -> Self {
        ValueError::Link(error)
    }
}

/// How to wait for a socket, and for how long.
pub(super) trait Patience {
    /// Waits until it is worth trying again.
    fn wait(&mut self, socket: &Descriptor, want: Want) -> Result<Ready, LinkError>;

    /// Whether a reader may as well wait by reading: nothing else but the peer can end the wait, at least for a while. It spares two
    /// of three calls of the system for each message.
    fn waits_by_reading(&self) -> bool {
        false
    }

    /// A read begins, which may wait.
    fn reads(&mut self) {}

    /// So many bytes have come or gone, perhaps none.
    fn moved(&mut self, _bytes: usize) -> Result<(), LinkError> {
        Ok(())
    }
}

/// Whom a sender reads from while it waits for room.
pub(super) trait Pull {
    /// Reads what is there, and says how much that was.
    fn pull(&mut self) -> Result<usize, LinkError>;
}

/// Waits for as long as it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forever;

impl Patience for Forever {
    fn wait(&mut self, socket: &Descriptor, want: Want) -> Result<Ready, LinkError> {
        Ok(os::wait(socket, want, None, None)?)
    }

    fn waits_by_reading(&self) -> bool {
        true
    }
}

/// Both directions of a socket.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) input: Input,
    pub(super) output: Output,
}

impl Link {
    /// Messages of more than `limit` bytes are refused on arrival.
    pub(super) fn new(socket: Descriptor, limit: u64) -> Self {
        Self::over(Arc::new(socket), limit)
    }

    pub(super) fn over(socket: Arc<Descriptor>, limit: u64) -> Self {
        Self {
            input: Input::new(Arc::clone(&socket), limit),
            output: Output::new(socket),
        }
    }

    pub(super) fn socket(&self) -> &Arc<Descriptor> {
        self.input.socket()
    }
}
