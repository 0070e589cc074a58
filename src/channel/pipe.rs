//! Pipes: two ends, each of which sends to the other.

use std::fmt;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender};

use super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, received,
    sent, timed_received, timed_sent, try_received, try_sent,
};
use super::interrupt::{self, Call, Failed, Id, Way};
use super::ready::{Receives, Register, wait_ready_timeout};

/// Two connected ends without a limit to the messages on their way: sending never blocks.
///
/// The first end sends `A` and receives `B`, the second one the other way round.
///
/// # Examples
///
/// ```
/// let (ours, theirs) = scipar::pipe::<u32, String>();
/// let worker = std::thread::spawn(move || {
///     while let Ok(n) = theirs.recv() {
///         if theirs.send(format!("{n} squared is {}", n * n)).is_err() {
///             break;
///         }
///     }
/// });
/// ours.send(12).unwrap();
/// assert_eq!(ours.recv().unwrap(), "12 squared is 144");
/// drop(ours); // the worker sees the end
/// worker.join().unwrap();
/// ```
#[must_use]
#[doc(alias = "Pipe")]
#[doc(alias = "duplex")]
pub fn pipe<A, B>() -> (Connection<A, B>, Connection<B, A>) {
    ends(
        crossbeam_channel::unbounded(),
        crossbeam_channel::unbounded(),
    )
}

/// Two connected ends with up to `capacity` messages on their way in each direction: sending blocks
/// while there are so many.
#[must_use]
pub fn pipe_bounded<A, B>(capacity: usize) -> (Connection<A, B>, Connection<B, A>) {
    ends(
        crossbeam_channel::bounded(capacity),
        crossbeam_channel::bounded(capacity),
    )
}

/// Two connected ends without room between them: a message goes from hand to hand, and sending
/// blocks until the other end receives (the synchronous send of MPI).
#[must_use]
#[doc(alias = "Ssend")]
pub fn rendezvous<A, B>() -> (Connection<A, B>, Connection<B, A>) {
    pipe_bounded(0)
}

fn ends<A, B>(
    there: (Sender<A>, Receiver<A>),
    back: (Sender<B>, Receiver<B>),
) -> (Connection<A, B>, Connection<B, A>) {
    let ours = Connection {
        sender: there.0,
        receiver: back.1,
        id: Id::new(),
    };
    let theirs = Connection {
        sender: back.0,
        receiver: there.1,
        id: Id::new(),
    };
    (ours, theirs)
}

/// One end of a [`pipe`]: sends `S` and receives `R`.
///
/// It ends when the other end is dropped: sending fails and hands the message back, and receiving
/// gives what was sent before, and then the end. Messages that the other end has not received when
/// it is dropped are dropped with it.
pub struct Connection<S, R> {
    sender: Sender<S>,
    receiver: Receiver<R>,
    id: Id,
}

impl<S, R> Connection<S, R> {
    /// Sends a message; blocks while there is no room.
    ///
    /// # Errors
    ///
    /// When the other end is gone, also while this waits; on the thread of a worker that [was asked
    /// to stop](crate::Stop#interrupted-waits) where it would wait. The message is in the error.
    pub fn send(&self, message: S) -> Result<(), SendError<S>> {
        if interrupt::is_possible() {
            let sent = self.send_interruptible(message, None);
            return sent.map_err(|error| SendError(error.into_inner()));
        }
        self.sender.send(message).map_err(sent)
    }

    /// Sends a message if that is possible at once.
    ///
    /// # Errors
    ///
    /// When there is no room, or the other end is gone. The message is in the error.
    pub fn try_send(&self, message: S) -> Result<(), TrySendError<S>> {
        self.sender.try_send(message).map_err(try_sent)
    }

    /// Sends a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When there was no room all the time, and as [`send`](Self::send). The message is in the
    /// error.
    pub fn send_timeout(&self, message: S, timeout: Duration) -> Result<(), SendTimeoutError<S>> {
        // A time so long that no clock shows it is no limit.
        match Instant::now().checked_add(timeout) {
            Some(deadline) if interrupt::is_possible() => {
                self.send_interruptible(message, Some(deadline))
            }
            Some(deadline) => self
                .sender
                .send_deadline(message, deadline)
                .map_err(timed_sent),
            None => self.send(message).map_err(SendTimeoutError::from),
        }
    }

    /// Receives a message; blocks while there is none.
    ///
    /// # Errors
    ///
    /// When the other end is gone and nothing of it is left; on the thread of a worker that [was
    /// asked to stop](crate::Stop#interrupted-waits) where it would wait.
    pub fn recv(&self) -> Result<R, RecvError> {
        if interrupt::is_possible() {
            return self.recv_interruptible(None).map_err(|_| RecvError);
        }
        self.receiver.recv().map_err(received)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    pub fn try_recv(&self) -> Result<R, TryRecvError> {
        self.receiver.try_recv().map_err(try_received)
    }

    /// Receives a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When none came in time, and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, RecvTimeoutError> {
        // A time so long that no clock shows it is no limit.
        match Instant::now().checked_add(timeout) {
            Some(deadline) if interrupt::is_possible() => self.recv_interruptible(Some(deadline)),
            Some(deadline) => self
                .receiver
                .recv_deadline(deadline)
                .map_err(timed_received),
            None => self.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// Waits for so long at most until there is something to receive: a message, or the end. With a
    /// timeout of zero it looks and does not wait.
    #[must_use]
    pub fn poll(&self, timeout: Duration) -> bool {
        wait_ready_timeout(&[self], timeout).is_some()
    }

    /// The messages, as they come, until the end, as [`recv`](Self::recv) knows it. The iterator
    /// blocks.
    pub fn iter(&self) -> impl Iterator<Item = R> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    fn send_interruptible(
        &self,
        message: S,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<S>> {
        let sender = &self.sender;
        let interruptibly = |message| interrupt::send(sender, None, message, deadline);
        let call = Call {
            channel: self.id,
            way: Way::Send,
            left: || interrupt::room(sender.len(), sender.capacity()),
            attempt: |message| self.try_send(message).map_err(Failed::from),
            looks: interrupt::looks_at(sender.capacity()),
            wait: |message| match sender.capacity() {
                Some(0) => {
                    let plainly = |message, short| {
                        let sent = sender.send_deadline(message, short);
                        sent.map_err(|error| timed_sent(error).into())
                    };
                    interrupt::hand_over(message, deadline, plainly, interruptibly)
                }
                _ => interruptibly(message),
            },
        };
        call.run(message).map_err(SendTimeoutError::from)
    }

    fn recv_interruptible(&self, deadline: Option<Instant>) -> Result<R, RecvTimeoutError> {
        let call = Call {
            channel: self.id,
            way: Way::Receive,
            left: || self.receiver.len(),
            attempt: |()| self.try_recv().map_err(Failed::from),
            looks: interrupt::looks_at(self.receiver.capacity()),
            wait: |()| interrupt::recv(&self.receiver, deadline),
        };
        call.run(()).map_err(RecvTimeoutError::from)
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("to_send", &self.sender.len())
            .field("to_receive", &self.receiver.len())
            .finish()
    }
}

impl<S, R> Register for Connection<S, R> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        select.recv(&self.receiver);
        1
    }
}

impl<S, R> Receives for Connection<S, R> {}
