//! `Queue`: many senders, many receivers, closed by hand.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use super::raw::{self, Receiver, Sender};
use super::ready::{Receives, Register};
use crate::sync::{
    AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock, looks, wait_until,
    yield_now,
};

mod iter;

pub use iter::{IntoIter, Iter, TryIter};

/// A first-in, first-out queue between threads. One kind of handle both sends and receives; clones are handles of the same
/// queue.
///
/// The messages of one sender arrive in the order in which they were sent, and each goes to one receiver.
///
/// [`close`](Self::close) ends a queue: whoever is blocked wakes up, sending fails and hands the message back, and receivers get what was
/// sent before and then the end. Without `close` a receiver waits for as long as a handle exists, its own included, as it
/// could be sent something. When the last handle is dropped, so are the messages that are left.
///
/// # Examples
///
/// ```
/// use scipar::Queue;
///
/// let queue = Queue::bounded(2);
/// std::thread::scope(|scope| {
///     let consumer = scope.spawn(|| queue.iter().sum::<u64>());
///     for i in 0..1000 {
///         queue.send(i).expect("nobody has closed it");
///     }
///     queue.close();
///     assert_eq!(consumer.join().unwrap(), 499_500);
/// });
/// ```
///
/// # Cost
///
/// Messages go through a channel of crossbeam-channel, each with a number of eight bytes; sending and receiving look at a flag besides.
#[doc(alias = "SimpleQueue")]
#[doc(alias = "channel")]
#[doc(alias = "mpmc")]
pub struct Queue<T> {
    sender: Sender<Envelope<T>>,
    receiver: Receiver<Envelope<T>>,
    shared: Arc<Shared<T>>,
}

/// A message and its number, which no other message has; `None` is the *bell*.
///
/// The bell wakes receivers of a closed queue. There is at most one, in the channel or in the hands of a receiver that will put it back, so that
/// nobody falls asleep on a closed queue.
type Envelope<T> = Option<(NonZeroU64, T)>;

/// What all handles have in common, beside the channel.
///
/// # Closing against sending
///
/// A sender looks whether the queue is closed, pushes, and looks again. Where it is still open, the message came before the end:
/// receivers will find it. Where it is not, they may have been told of the end before the message was there. So the end is declared
/// under a lock, and only when the channel is empty. If it has not been declared by the time the sender has the lock, the message
/// will be found. If it has, the sender takes back what is in the channel: messages of senders like itself, for each to find its own by the number. If
/// its own is not there, a receiver that began before the queue was closed has it.
///
/// # Memory ordering
///
/// `closed` and `attention` are `SeqCst`, and so are the channel's steps to take and to fill a place, which are also read-modify-write
/// operations. A sender that pushes and then reads `closed`, against a closer that writes it and a receiver that then finds the channel empty: one
/// of them sees the other. The same for a sender that counts itself in `attention` and then finds the channel full, against a receiver
/// that takes a message and then reads `attention`.
struct Shared<T> {
    closed: AtomicBool,
    /// [`BELL`] and [`BLOCKED`]: whether receivers have something to do after taking a message.
    attention: AtomicUsize,
    /// Calls that are in a channel without room of its own, which knows no taking without waiting. Not counted for others.
    inside: AtomicUsize,
    slow: Mutex<Slow<T>>,
    /// There is room, or the queue is closed.
    room: Condvar,
    /// For who waits until a channel without room is ready, where no bell can lie: disconnected when the queue is closed. `None` for
    /// others.
    end: Option<crossbeam_channel::Receiver<Infallible>>,
}

/// The bell could not be put into a full channel: whoever makes room puts it there.
const BELL: usize = 1;
/// A sender is asleep, or about to be.
const BLOCKED: usize = 2;

/// What is only for closed queues and sleeping senders.
struct Slow<T> {
    /// A receiver was told that nothing will come.
    ended: bool,
    /// Dropped when a channel without room is closed.
    open: Option<crossbeam_channel::Sender<Infallible>>,
    /// Messages that came too late, until their senders take them back.
    late: Vec<(NonZeroU64, T)>,
}

/// A number for a message. Threads have ranges of their own.
#[inline]
fn next_number() -> NonZeroU64 {
    thread_local! { static NEXT: Cell<u64> = const { Cell::new(0) } }
    const RANGE: u64 = 1 << 40;
    #[cold]
    fn new_range() -> u64 {
        static RANGES: AtomicU64 = AtomicU64::new(0);
        RANGES.fetch_add(1, Ordering::Relaxed) * RANGE
    }
    let mut last = NEXT.get();
    if last.is_multiple_of(RANGE) {
        last = new_range();
    }
    NEXT.set(last + 1);
    NonZeroU64::new(last + 1).unwrap_or(NonZeroU64::MAX)
}

fn unsent<T>(envelope: Envelope<T>) -> T {
    envelope.expect("only messages are sent this way").1
}

impl<T> Queue<T> {
    /// A queue that holds up to `capacity` messages; sending blocks while it is full. With a capacity of 0 a message goes from hand to hand: sending
    /// blocks until somebody receives.
    #[must_use]
    #[doc(alias = "maxsize")]
    pub fn bounded(capacity: usize) -> Self {
        Self::of(raw::bounded(capacity))
    }

    /// A queue without a limit; sending never blocks.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(raw::unbounded())
    }

    fn of((sender, receiver): (Sender<Envelope<T>>, Receiver<Envelope<T>>)) -> Self {
        let (open, end) = match receiver.capacity() {
            Some(0) => {
                let (open, end) = crossbeam_channel::bounded(0);
                (Some(open), Some(end))
            }
            _ => (None, None),
        };
        Self {
            sender,
            receiver,
            shared: Arc::new(Shared {
                closed: AtomicBool::new(false),
                attention: AtomicUsize::new(0),
                inside: AtomicUsize::new(0),
                slow: Mutex::new(Slow {
                    ended: false,
                    open,
                    late: Vec::new(),
                }),
                room: Condvar::new(),
                end,
            }),
        }
    }

    /// Sends a message; blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// When the queue is closed, also while this waits. The message is in the error.
    #[inline]
    #[doc(alias = "put")]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_by(message, || None)
            .map_err(|error| SendError(error.into_inner()))
    }

    /// Sends a message if that is possible at once.
    ///
    /// # Errors
    ///
    /// When the queue is full, or closed. The message is in the error.
    #[inline]
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.pushed(message, |envelope| self.sender.try_send(envelope))
    }

    /// Sends a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When the queue was full all the time, or is closed. The message is in the error.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        // A time so long that no clock shows it is no limit.
        self.send_by(message, || Instant::now().checked_add(timeout))
    }

    #[inline]
    fn send_by(
        &self,
        message: T,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        if self.is_rendezvous() {
            return self.hand_to_hand(message, deadline());
        }
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(message)) => {
                Err(SendTimeoutError::Disconnected(message))
            }
            Err(TrySendError::Full(message)) => self.wait_for_room(message, deadline()),
        }
    }

    /// Whether messages go from hand to hand.
    #[inline]
    fn is_rendezvous(&self) -> bool {
        self.receiver.capacity() == Some(0)
    }

    /// Pushes a message, unless the queue is closed.
    #[inline]
    fn pushed(
        &self,
        message: T,
        push: impl FnOnce(Envelope<T>) -> Result<(), raw::TrySendError<Envelope<T>>>,
    ) -> Result<(), TrySendError<T>> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(TrySendError::Disconnected(message));
        }
        let number = next_number();
        match push(Some((number, message))) {
            Ok(()) if self.shared.closed.load(Ordering::SeqCst) => self.settle(number),
            Ok(()) => Ok(()),
            Err(error) => Err(TrySendError::Full(unsent(error.into_inner()))),
        }
    }

    /// The queue was closed while a message was pushed: was it in time?
    #[cold]
    fn settle(&self, number: NonZeroU64) -> Result<(), TrySendError<T>> {
        let mut slow = lock(&self.shared.slow);
        if slow.ended {
            let mut bell = false;
            while let Ok(envelope) = self.receiver.try_recv() {
                bell |= envelope.is_none();
                slow.late.extend(envelope);
            }
            if bell || self.shared.attention.load(Ordering::SeqCst) & BELL != 0 {
                self.ring(&slow);
            }
        }
        match slow.late.iter().position(|(late, _)| *late == number) {
            Some(place) => Err(TrySendError::Disconnected(slow.late.swap_remove(place).1)),
            None => Ok(()),
        }
    }

    /// Looks again and again, and then sleeps, until there is room.
    #[cold]
    fn wait_for_room(
        &self,
        mut message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        // Twice as long as others look: who sleeps here is woken under a lock.
        for () in looks(2) {
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(message)) => {
                    return Err(SendTimeoutError::Disconnected(message));
                }
                Err(TrySendError::Full(message)) => message,
            };
        }
        let shared = &*self.shared;
        let mut slow = lock(&shared.slow);
        shared.attention.fetch_add(BLOCKED, Ordering::SeqCst);
        let mut in_time = true;
        let number = next_number();
        let mut envelope = Some((number, message));
        let result = loop {
            // The queue is closed under this lock, so there is no doubt here.
            if shared.closed.load(Ordering::SeqCst) {
                break Err(SendTimeoutError::Disconnected(unsent(envelope)));
            }
            match self.sender.try_send(envelope) {
                Ok(()) => break Ok(()),
                Err(full) => envelope = full.into_inner(),
            }
            if !in_time {
                break Err(SendTimeoutError::Timeout(unsent(envelope)));
            }
            (slow, in_time) = wait_until(&shared.room, slow, deadline);
        };
        shared.attention.fetch_sub(BLOCKED, Ordering::SeqCst);
        result
    }

    /// Sends on a channel without room.
    fn hand_to_hand(
        &self,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = self.pushed(message, |envelope| {
            let _inside = self.go_inside();
            // The queue may have been closed before this call was counted.
            if self.shared.closed.load(Ordering::SeqCst) {
                return Err(raw::TrySendError::Disconnected(envelope));
            }
            match deadline {
                None => self
                    .sender
                    .send(envelope)
                    .map_err(|error| raw::TrySendError::Disconnected(error.0)),
                Some(deadline) => self
                    .sender
                    .send_deadline(envelope, deadline)
                    .map_err(|error| raw::TrySendError::Full(error.into_inner())),
            }
        });
        match sent {
            Ok(()) => Ok(()),
            Err(error) if self.is_closed() => {
                Err(SendTimeoutError::Disconnected(error.into_inner()))
            }
            Err(error) => Err(SendTimeoutError::Timeout(error.into_inner())),
        }
    }

    /// Counts this call as one in a channel without room.
    fn go_inside(&self) -> Inside<'_> {
        self.shared.inside.fetch_add(1, Ordering::SeqCst);
        Inside(&self.shared.inside)
    }

    /// Receives a message; blocks while there is none.
    ///
    /// # Errors
    ///
    /// When the queue is closed and nothing is left in it.
    #[inline]
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        let taken = self.taken(|receiver| receiver.recv().map_err(|_| TryRecvError::Disconnected));
        taken.map_err(|_| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    #[inline]
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.taken(|receiver| {
            receiver.try_recv().map_err(|error| match error {
                raw::TryRecvError::Empty => TryRecvError::Empty,
                raw::TryRecvError::Disconnected => TryRecvError::Disconnected,
            })
        })
    }

    /// Receives a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When none came in time, or none will come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // A time so long that no clock shows it is no limit.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return self.recv().map_err(RecvTimeoutError::from);
        };
        let taken = self.taken(|receiver| {
            receiver
                .recv_deadline(deadline)
                .map_err(|error| match error {
                    raw::RecvTimeoutError::Timeout => TryRecvError::Empty,
                    raw::RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                })
        });
        taken.map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Takes a message from the channel; `take` may wait for one.
    #[inline]
    fn taken(
        &self,
        take: impl FnOnce(&Receiver<Envelope<T>>) -> Result<Envelope<T>, TryRecvError>,
    ) -> Result<T, TryRecvError> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return self.take_last(false);
        }
        let envelope = if self.is_rendezvous() {
            let _inside = self.go_inside();
            // The queue may have been closed before this call was counted.
            if self.shared.closed.load(Ordering::SeqCst) {
                return Err(TryRecvError::Disconnected);
            }
            take(&self.receiver)?
        } else {
            take(&self.receiver)?
        };
        match envelope {
            Some((_, message)) => {
                if self.shared.attention.load(Ordering::SeqCst) != 0 {
                    self.attend();
                }
                Ok(message)
            }
            None => self.take_last(true),
        }
    }

    /// Receives from a closed queue: what is left, or the end. With the bell in hand, puts it back.
    #[cold]
    fn take_last(&self, mut bell: bool) -> Result<T, TryRecvError> {
        if self.is_rendezvous() {
            return Err(TryRecvError::Disconnected); // nothing is ever left, and closing rings for everybody
        }
        let mut slow = lock(&self.shared.slow);
        let message = loop {
            if slow.ended {
                // What is there came too late: its senders take it back.
                break Err(TryRecvError::Disconnected);
            }
            match self.receiver.try_recv() {
                Ok(Some((_, message))) => break Ok(message),
                Ok(None) => bell = true,
                Err(_) => slow.ended = true,
            }
        };
        if bell || self.shared.attention.load(Ordering::SeqCst) & BELL != 0 {
            self.ring(&slow);
        }
        message
    }

    /// After a message was taken: wakes a sender that waits for the room, or puts the bell there.
    #[cold]
    fn attend(&self) {
        let slow = lock(&self.shared.slow);
        if self.shared.attention.load(Ordering::SeqCst) & BELL != 0 {
            self.ring(&slow);
        }
        drop(slow);
        self.shared.room.notify_one();
    }

    /// Puts the bell into the channel, or has it put there by whoever makes room.
    fn ring(&self, _: &MutexGuard<'_, Slow<T>>) {
        self.shared.attention.fetch_or(BELL, Ordering::SeqCst);
        if self.sender.try_send(None).is_ok() {
            self.shared.attention.fetch_and(!BELL, Ordering::SeqCst);
        }
    }

    /// Appends up to `max` messages to `buffer`: waits for the first one, and takes with it what is there, without waiting
    /// for more. Says how many it took, which is 0 only where `max` is.
    ///
    /// # Errors
    ///
    /// When the queue is closed and nothing is left in it. `buffer` is as it was.
    #[doc(alias = "drain")]
    pub fn recv_many(&self, buffer: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        let before = buffer.len();
        buffer.push(self.recv()?);
        while buffer.len() - before < max {
            match self.try_recv() {
                Ok(message) => buffer.push(message),
                Err(_) => break,
            }
        }
        Ok(buffer.len() - before)
    }

    /// Messages in the queue at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        let shared = &self.shared;
        let bell = shared.closed.load(Ordering::SeqCst)
            && shared.attention.load(Ordering::SeqCst) & BELL == 0;
        self.receiver.len().saturating_sub(usize::from(bell))
    }

    /// Whether no message is in the queue at this moment.
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the queue has no room at this moment. Always so with a capacity of 0.
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.capacity().is_some_and(|most| self.len() >= most)
    }

    /// How many messages it holds; `None` without a limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.receiver.capacity()
    }

    /// Closes the queue for good. Whoever is blocked wakes up; sending fails; receivers get what was sent before, and then the end. Closing
    /// again does nothing.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        let mut slow = lock(&self.shared.slow);
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.is_rendezvous() {
            slow.ended = true;
            slow.open = None;
            // Whoever is inside is waiting, or about to: for a message, or for somebody to take one. Both are had here.
            while self.shared.inside.load(Ordering::SeqCst) > 0 {
                while let Ok(envelope) = self.receiver.try_recv() {
                    slow.late.extend(envelope);
                }
                while self.sender.try_send(None).is_ok() {}
                yield_now();
            }
        } else {
            self.ring(&slow);
        }
        drop(slow);
        self.shared.room.notify_all();
    }

    /// Whether somebody has closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// The messages, as they come, until the queue is closed and empty. The iterator blocks.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { queue: self }
    }

    /// The messages that are there; the iterator ends where it would have to wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { queue: self }
    }
}

/// Counts a call out.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> Clone for Queue<T> {
    /// Another handle of the same queue.
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl<T> Register for Queue<T> {
    fn register<'a>(&'a self, select: &mut raw::Select<'a>) -> usize {
        #[cfg(not(loom))]
        select.recv(&self.receiver);
        self.shared.end.as_ref().map_or(1, |end| {
            select.recv(end);
            2
        })
    }
}

impl<T> Receives for Queue<T> {}

#[cfg(all(test, loom))]
mod tests;
