//! `Connection`: one end of a pipe between two processes.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::queue::{leave, take};
use super::turn::{Busy, Turn, Wait};
use super::{LONGEST, RecvError, SendError};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::os::{self, Descriptor, Want};
use crate::process::wire::passing::refuse;
use crate::process::wire::{Forever, Input, Link, LinkError, Meanwhile, Output, Pull, ValueError};

/// One end of a [`pipe`]: sends `A`, receives `B`.
///
/// Messages may have any size; they are encoded and decoded while they travel. When the other end is gone, with its process or dropped,
/// receiving gives what was sent before and then [`RecvError::Disconnected`], and sending gives the message back.
///
/// A connection belongs to one process: send it inside of a message and drop it here, as an end that is open in two places is never gone.
///
/// # Threads
///
/// Several threads can use it; in each direction one message goes at a time, and the others wait
/// for it. No lock is held while the message's own code (`Serialize`, `Deserialize`) runs, but its
/// direction is in use. If that code uses the same direction of the same connection, by itself or
/// in work that its thread does for a thread pool, it gets an error of kind
/// [`Reentrant`](ProcessErrorKind::Reentrant) at once. It must not wait for another thread that
/// does: both would wait for ever.
pub struct Connection<A, B> {
    socket: Arc<Descriptor>,
    input: Turn<Input>,
    output: Turn<Output>,
    messages: PhantomData<fn(A) -> B>,
}

/// A pipe between two processes: two connected ends, each of which can send and receive. One of them is sent to the other process inside of a
/// message, such as an argument.
///
/// # Errors
///
/// Where the system has no descriptors left.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, Connection, Process, task};
///
/// task! {
///     fn echo(peer: Connection<String, String>) {
///         while let Ok(text) = peer.recv() { peer.send(text.to_uppercase()).unwrap(); }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let (here, there) = process::pipe()?;
///     let child = Process::spawn(echo, there)?;
///     here.send("hello".to_owned())?;
///     assert_eq!(here.recv()?, "HELLO");
///     drop(here); // the other side sees the end
///     child.join()?;
///     Ok(())
/// }
/// ```
#[doc(alias = "Pipe")]
#[allow(clippy::type_complexity, reason = "the two ends of a pipe")]
pub fn pipe<A, B>() -> io::Result<(Connection<A, B>, Connection<B, A>)> {
    let (a, b) = os::stream_pair()?;
    Ok((Connection::over(Arc::new(a)), Connection::over(Arc::new(b))))
}

/// Reads ahead while no other thread reads.
struct Ahead<'a>(&'a Turn<Input>);

impl Pull for Ahead<'_> {
    fn pull(&mut self) -> Result<usize, LinkError> {
        match self.0.take(Wait::No) {
            Ok(mut input) => input.pull(),
            Err(Busy::Here | Busy::Elsewhere) => {
                // It reads what there is.
                std::thread::sleep(Duration::from_micros(50));
                Ok(0)
            }
        }
    }
}

impl<A, B> Connection<A, B> {
    fn over(socket: Arc<Descriptor>) -> Self {
        let Link { input, output } = Link::over(Arc::clone(&socket), LONGEST);
        Self {
            socket,
            input: Turn::new(input),
            output: Turn::new(output),
            messages: PhantomData,
        }
    }

    /// Whether a message, or the end, can be received without waiting; waits for that for so long
    /// at most. While another thread receives, or a message that this one receives asks, none can
    /// be.
    #[must_use]
    pub fn poll(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        match self.input.take(until.into()) {
            Ok(input) => self.is_readable(&input, until).unwrap_or(true),
            Err(_) => false,
        }
    }

    fn is_readable(&self, input: &Input, until: Option<Instant>) -> io::Result<bool> {
        if input.has_unused() {
            return Ok(true);
        }
        loop {
            let ready = os::wait(&self.socket, Want::Read, None, until)?;
            if ready.readable {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
        }
    }
}

impl<A: Serialize, B> Connection<A, B> {
    /// Sends a message, waiting until the system has taken it.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the message: the other end is gone, the message cannot be encoded, or it
    /// is sent by the code of one that is being sent ([`Reentrant`](ProcessErrorKind::Reentrant)).
    pub fn send(&self, message: A) -> Result<(), SendError<A>> {
        let Ok(mut output) = self.output.take(Wait::ForEver) else {
            return Err(SendError::new(message, Some(reentrant())));
        };
        let mut ahead = Ahead(&self.input);
        let mut meanwhile = Meanwhile {
            input: Some(&mut ahead),
            patience: &mut Forever,
        };
        let value = output.value(&message, &mut meanwhile);
        // A message without its value is passed over by the other side.
        let end = match &value {
            Ok(()) | Err(ValueError::Serde(_)) => output.finish(&mut meanwhile),
            Err(_) => Ok(()),
        };
        drop(output);
        let error = match (value, end) {
            (Ok(()), Ok(())) => return Ok(()),
            (Err(ValueError::Link(error)), _) | (_, Err(error)) => error,
            (Err(ValueError::Serde(why)), _) => {
                let error = ProcessError::saying(ProcessErrorKind::Encode, why);
                return Err(SendError::new(message, Some(error)));
            }
            (Err(ValueError::Void | ValueError::End), _) => LinkError::Gone,
        };
        let error = match error {
            LinkError::Gone => None,
            error => Some(ProcessError::link(error)),
        };
        Err(SendError::new(message, error))
    }
}

impl<A, B: DeserializeOwned> Connection<A, B> {
    /// The next message, waiting for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] at the end; [`RecvError::Failed`] for what is no message, and in
    /// the code of a message that is being received ([`Reentrant`](ProcessErrorKind::Reentrant)).
    pub fn recv(&self) -> Result<B, RecvError> {
        let Ok(mut input) = self.input.take(Wait::ForEver) else {
            return Err(RecvError::Failed(reentrant()));
        };
        loop {
            if let Some(message) = Self::receive(&mut input)? {
                return Ok(message);
            }
        }
    }

    /// The next message, if one has begun to arrive; the rest of it is waited for. `None` also
    /// while another thread receives.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<B>, RecvError> {
        self.recv_within(Wait::No, Some(Instant::now()))
    }

    /// The next message, waiting for its beginning for so long at most, and for the threads that
    /// receive before this one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`], and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<B, RecvError> {
        let until = Instant::now().checked_add(timeout);
        match self.recv_within(until.into(), until)? {
            Some(message) => Ok(message),
            None => Err(RecvError::Timeout),
        }
    }

    fn recv_within(&self, wait: Wait, until: Option<Instant>) -> Result<Option<B>, RecvError> {
        let mut input = match self.input.take(wait) {
            Ok(input) => input,
            Err(Busy::Elsewhere) => return Ok(None),
            Err(Busy::Here) => return Err(RecvError::Failed(reentrant())),
        };
        let failed = |error| RecvError::Failed(ProcessError::because(ProcessErrorKind::Io, error));
        while self.is_readable(&input, until).map_err(failed)? {
            if let Some(message) = Self::receive(&mut input)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// `None` for a message that its sender could not encode.
    fn receive(input: &mut Input) -> Result<Option<B>, RecvError> {
        let broken = |error| match error {
            LinkError::Gone => RecvError::Disconnected,
            error => RecvError::Failed(ProcessError::link(error)),
        };
        input.begin(&mut Forever).map_err(broken)?;
        let value = input.value(&mut Forever);
        if let Err(ValueError::Link(error)) = value {
            return Err(broken(error));
        }
        input.finish(&mut Forever).map_err(broken)?;
        match value {
            Ok(value) => Ok(Some(value)),
            Err(ValueError::Serde(why)) => Err(RecvError::Failed(ProcessError::saying(
                ProcessErrorKind::Decode,
                why,
            ))),
            Err(_) => Ok(None),
        }
    }
}

/// The error of a message whose own code uses the connection that it is on.
fn reentrant() -> ProcessError {
    ProcessError::new(ProcessErrorKind::Reentrant)
}

impl<A, B> fmt::Debug for Connection<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<A, B> Serialize for Connection<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let why = match (self.input.take(Wait::No), self.output.take(Wait::No)) {
            (Err(_), _) => "a connection that a thread is receiving from",
            (_, Err(_)) => "a connection that a thread is sending on",
            (Ok(input), _) if input.has_unused() => {
                "a connection with messages that have been read ahead and not received"
            }
            (Ok(_), Ok(_)) => return leave(&self.socket, serializer),
        };
        Err(S::Error::custom(refuse(why.to_owned())))
    }
}

impl<'de, A, B> Deserialize<'de> for Connection<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self::over)
    }
}
