//! `Connection`: one end of a pipe between two processes.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::queue::{leave, take};
use super::{RecvError, SendError};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::os::{self, Descriptor, Want};
use crate::process::wire::passing::refuse;
use crate::process::wire::{Forever, Input, Link, LinkError, Meanwhile, Output, Pull, ValueError};

/// The longest message that a connection takes, in bytes.
const LIMIT: u64 = 16 << 30;

/// One end of a [`pipe`]: sends `A`, receives `B`.
///
/// Messages may have any size; they are encoded and decoded while they travel. When the other end is gone, with its process or dropped,
/// receiving gives what was sent before and then [`RecvError::Disconnected`], and sending gives the message back.
///
/// A connection belongs to one process: send it inside of a message and drop it here, as an end that is open in two places is never gone.
pub struct Connection<A, B> {
    socket: Arc<Descriptor>,
    input: Mutex<Input>,
    output: Mutex<Output>,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads ahead while the input is not being read by somebody else.
struct Ahead<'a>(&'a Mutex<Input>);

impl Pull for Ahead<'_> {
    fn pull(&mut self) -> Result<(), LinkError> {
        match self.0.try_lock() {
            Ok(mut input) => input.pull(),
            Err(TryLockError::Poisoned(input)) => input.into_inner().pull(),
            Err(TryLockError::WouldBlock) => {
                // Somebody is reading; let them.
                std::thread::sleep(Duration::from_micros(50));
                Ok(())
            }
        }
    }
}

impl<A, B> Connection<A, B> {
    fn over(socket: Arc<Descriptor>) -> Self {
        let Link { input, output } = Link::over(Arc::clone(&socket), LIMIT);
        Self {
            socket,
            input: Mutex::new(input),
            output: Mutex::new(output),
            messages: PhantomData,
        }
    }

    /// Whether a message, or the end, can be received without waiting; waits for that for so long at most.
    #[must_use]
    pub fn poll(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.is_readable(&lock(&self.input), until).unwrap_or(true)
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
    /// [`SendError`], with the message: the other end is gone, or the message cannot be encoded.
    pub fn send(&self, message: A) -> Result<(), SendError<A>> {
        let mut output = lock(&self.output);
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
    /// [`RecvError::Disconnected`] at the end; [`RecvError::Failed`] for what is no message.
    pub fn recv(&self) -> Result<B, RecvError> {
        let mut input = lock(&self.input);
        loop {
            if let Some(message) = Self::receive(&mut input)? {
                return Ok(message);
            }
        }
    }

    /// The next message, if one has begun to arrive.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<B>, RecvError> {
        self.recv_within(Some(Instant::now()))
    }

    /// The next message, waiting for its beginning for so long at most.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`], and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<B, RecvError> {
        match self.recv_within(Instant::now().checked_add(timeout))? {
            Some(message) => Ok(message),
            None => Err(RecvError::Timeout),
        }
    }

    fn recv_within(&self, until: Option<Instant>) -> Result<Option<B>, RecvError> {
        let mut input = lock(&self.input);
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

impl<A, B> fmt::Debug for Connection<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<A, B> Serialize for Connection<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let input = match self.input.try_lock() {
            Ok(input) => Some(input),
            Err(TryLockError::Poisoned(input)) => Some(input.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let why = match &input {
            None => "a connection that somebody is receiving from",
            Some(input) if input.has_unused() => {
                "a connection with messages that have been read ahead and not received"
            }
            Some(_) => return leave(&self.socket, serializer),
        };
        Err(S::Error::custom(refuse(why.to_owned())))
    }
}

impl<'de, A, B> Deserialize<'de> for Connection<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self::over)
    }
}
