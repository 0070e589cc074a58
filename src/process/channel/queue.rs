//! `Queue`: many processes send, many receive, and every message is received once.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{LONGEST, RecvError, SendError};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::os::{self, Descriptor, Want};
use crate::process::wire::{alone, passing};

/// Longer messages travel as shared memory, and a descriptor of it in the queue.
const LONGEST_PACKET: usize = 32 << 10;

/// What the first byte of a packet says of the rest.
const INLINE: u8 = 0;
const SPILLED: u8 = 1;

/// A queue between processes: any number of them sends and receives, and each message is received by one. Linux.
///
/// A handle can be cloned and sent inside of messages, so tasks get theirs as an argument. It holds
/// about 200 KiB of small messages, or some hundreds of large ones; [`send`](Self::send) waits for
/// room. A message is at most 16 GiB long.
///
/// # The end
///
/// After [`close`](Self::close), by anybody, receivers get what is there and then [`RecvError::Disconnected`]. Without it the end comes when
/// the last handle that can send is gone, by being dropped or with its process. A `Queue` can do both, so whoever only receives keeps a
/// [`receiver`](Self::receiver) and drops the queue: then the death of the senders ends the wait.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, Process, Queue, Sender, task};
///
/// task! {
///     fn produce(to: Sender<u64>, n: u64) {
///         for i in 0..n { to.send(i).unwrap(); }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let queue = Queue::new()?;
///     let producer = Process::spawn(produce, (queue.sender(), 100))?;
///     let receiver = queue.receiver();
///     drop(queue); // now the producer alone can send
///     assert_eq!(receiver.iter().sum::<u64>(), 4950);
///     producer.join()?;
///     Ok(())
/// }
/// ```
#[doc(alias = "SimpleQueue")]
pub struct Queue<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

/// The sending end of a [`Queue`].
pub struct Sender<T> {
    socket: Arc<Descriptor>,
    messages: PhantomData<fn(T)>,
}

/// The receiving end of a [`Queue`].
pub struct Receiver<T> {
    socket: Arc<Descriptor>,
    messages: PhantomData<fn() -> T>,
}

impl<T> Queue<T> {
    /// A new queue.
    ///
    /// # Errors
    ///
    /// Where the system has no such sockets, or no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (sender, receiver) = os::packet_pair()?;
        Ok(Self {
            sender: Sender::over(Arc::new(sender)),
            receiver: Receiver::over(Arc::new(receiver)),
        })
    }

    /// A handle that can send and not receive.
    #[must_use]
    pub fn sender(&self) -> Sender<T> {
        self.sender.clone()
    }

    /// A handle that can receive and not send.
    #[must_use]
    pub fn receiver(&self) -> Receiver<T> {
        self.receiver.clone()
    }

    /// Ends the queue for all: nothing more is sent, and receivers get what is there.
    pub fn close(&self) {
        self.sender.close();
    }
}

impl<T: Serialize> Queue<T> {
    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "put")]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message)
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receiver.recv()
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<Option<T>, RecvError> {
        self.receiver.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.receiver.recv_timeout(timeout)
    }
}

impl<T> Sender<T> {
    fn over(socket: Arc<Descriptor>) -> Self {
        Self {
            socket,
            messages: PhantomData,
        }
    }

    /// Ends the queue for all: nothing more is sent, and receivers get what is there.
    pub fn close(&self) {
        os::finish(&self.socket);
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends a message, waiting for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the message: nobody is left to receive it, the queue is closed, or it cannot be encoded.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.try_to_send(&message) {
            Ok(()) => Ok(()),
            Err(error) => Err(SendError::new(message, error)),
        }
    }

    fn try_to_send(&self, message: &T) -> Result<(), Option<ProcessError>> {
        let refused = |error: io::Error| match os::is_gone(&error) {
            true => None,
            false => Some(ProcessError::because(ProcessErrorKind::Io, error)),
        };
        let (mut bytes, mut descriptors) = alone::encode(message, vec![INLINE])
            .map_err(|why| Some(ProcessError::saying(ProcessErrorKind::Encode, why)))?;
        if bytes.len() > LONGEST_PACKET {
            let memory = os::spill(&bytes[1..]).map_err(refused)?;
            descriptors.push(Arc::new(memory));
            bytes = vec![SPILLED];
        }
        if descriptors.len() > os::DESCRIPTORS_AT_ONCE {
            let why = format!(
                "more than {} descriptors in one message",
                os::DESCRIPTORS_AT_ONCE - 1
            );
            return Err(Some(ProcessError::saying(ProcessErrorKind::Encode, why)));
        }
        loop {
            match os::send(&self.socket, [&bytes, &[]], &descriptors) {
                Ok(_) => return Ok(()), // a packet goes as a whole
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    os::wait(&self.socket, Want::WriteOnly, None, None).map_err(refused)?;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

impl<T> Receiver<T> {
    fn over(socket: Arc<Descriptor>) -> Self {
        Self {
            socket,
            messages: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// The next message, waiting for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] at the end; [`RecvError::Failed`] for what is no message, after which others may follow.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// The next message, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<T>, RecvError> {
        let mut space = vec![0; LONGEST_PACKET + 1];
        let mut descriptors = VecDeque::new();
        let failed = |error| RecvError::Failed(ProcessError::because(ProcessErrorKind::Io, error));
        let received = match os::receive(&self.socket, &mut space, &mut descriptors) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if os::is_gone(&error) => return Err(RecvError::Disconnected),
            Err(error) => return Err(failed(error)),
        };
        if received.bytes == 0 {
            return Err(RecvError::Disconnected);
        }
        if received.lost {
            return Err(failed(os::too_many_files()));
        }
        if received.cut {
            return Err(nonsense("a packet that is longer than any message in one"));
        }
        let spilled;
        let bytes = match space[..received.bytes] {
            [INLINE, ref bytes @ ..] => bytes,
            [SPILLED] => {
                let memory = descriptors.pop_back();
                let memory = memory.ok_or_else(|| nonsense("a message without its memory"))?;
                spilled = os::unspill(memory, LONGEST).map_err(|error| match error.kind() {
                    io::ErrorKind::InvalidData => protocol(error),
                    _ => failed(error),
                })?;
                &spilled[..]
            }
            _ => return Err(nonsense("a packet of a kind that there is not")),
        };
        let decoded = alone::decode(bytes, descriptors);
        decoded
            .map(Some)
            .map_err(|why| RecvError::Failed(ProcessError::saying(ProcessErrorKind::Decode, why)))
    }

    /// The next message, waiting for it for so long at most.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`], and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&self, until: Option<Instant>) -> Result<T, RecvError> {
        loop {
            if let Some(message) = self.try_recv()? {
                return Ok(message);
            }
            let ready = os::wait(&self.socket, Want::Read, None, until).map_err(|error| {
                RecvError::Failed(ProcessError::because(ProcessErrorKind::Io, error))
            })?;
            if !ready.readable && until.is_some_and(|until| Instant::now() >= until) {
                return Err(RecvError::Timeout);
            }
        }
    }

    /// Messages until the end, waiting for each. What is no message ends it as well.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::over(Arc::clone(&self.socket))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::over(Arc::clone(&self.socket))
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// What is no packet of a queue.
fn nonsense(what: &'static str) -> RecvError {
    protocol(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn protocol(error: io::Error) -> RecvError {
    RecvError::Failed(ProcessError::because(ProcessErrorKind::Protocol, error))
}

/// Sends a socket with the value that is being encoded.
pub(super) fn leave<S: Serializer>(
    socket: &Arc<Descriptor>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match passing::leave(socket) {
        true => serializer.serialize_unit(),
        false => Err(S::Error::custom(passing::ONLY_IN_MESSAGES)),
    }
}

/// Takes a socket that came with the value that is being decoded.
pub(super) fn take<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<Descriptor>, D::Error> {
    <()>::deserialize(deserializer)?;
    let socket = passing::take();
    socket
        .map(Arc::new)
        .ok_or_else(|| D::Error::custom(passing::refuse("a channel without its socket".to_owned())))
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        leave(&self.socket, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self::over)
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        leave(&self.socket, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self::over)
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.sender, &self.receiver).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (sender, receiver) = Deserialize::deserialize(deserializer)?;
        Ok(Self { sender, receiver })
    }
}
