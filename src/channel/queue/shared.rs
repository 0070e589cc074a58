//! The channel of a queue, and how it ends.

use std::cell::Cell;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::super::error::{SendTimeoutError, TryRecvError, TrySendError};
#[cfg(not(loom))]
use super::super::interrupt;
use super::super::raw::{self, Receiver, Sender};
use super::super::unfinished::Unfinished;
use crate::sync::{
    AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, lock, looks, wait_until,
};

/// A message and its number, which no other message has; `None` is the *bell*.
///
/// The bell wakes receivers of a closed queue. There is at most one, in the channel or in the hands
/// of a receiver that will put it back, so that no receiver falls asleep on a closed queue.
pub(super) type Envelope<T> = Option<(NonZeroU64, T)>;

/// What all handles of a queue have in common.
///
/// # Closing against sending
///
/// A sender looks whether the queue is closed, pushes, and looks again. Where it is still open, the
/// message came before the end: receivers will find it. Where it is not, they may have been told of
/// the end before the message was there. So the end is declared under a lock, and only when the
/// channel is empty. If it has not been declared by the time the sender has the lock, the message
/// will be found. If it has, the sender takes back what is in the channel: messages of senders like
/// itself, for each to find its own by the number. If its own is not there, a receiver that began
/// before the queue was closed has it.
///
/// # The last sender, the last receiver
///
/// Handles are counted where they are cloned and dropped, and nowhere else. The last one that can
/// send closes the queue. So does the last one that can receive, and drops the messages that are
/// left, as no other handle could: a message may hold what another thread waits for, such as the
/// sender of its answer. Then it declares the end. A sender that pushed before that has had its
/// message accepted, and dropped with the others; a later one takes its message back.
///
/// # Memory ordering
///
/// `closed` and `attention` are `SeqCst`, and so are the channel's steps to take and to fill a
/// place, which are also read-modify-write operations. A sender that pushes and then reads
/// `closed`, against a closer that writes it and a receiver that then finds the channel empty: one
/// of them sees the other. The same for a sender that counts itself in `attention` and then finds
/// the channel full, against a receiver that takes a message and then reads `attention`.
///
/// The counts of handles are `AcqRel` where they fall, so that the last handle sees what the others
/// did.
pub(in crate::channel) struct Shared<T> {
    pub(super) sender: Sender<Envelope<T>>,
    pub(super) receiver: Receiver<Envelope<T>>,
    /// Whether messages go from hand to hand.
    rendezvous: bool,
    pub(super) closed: AtomicBool,
    /// [`BELL`] and [`BLOCKED`]: whether receivers have something to do after taking a message.
    pub(super) attention: AtomicUsize,
    /// Calls that are in a channel without room of its own, which knows no taking without waiting.
    /// Not counted for others.
    pub(super) inside: AtomicUsize,
    pub(super) slow: Mutex<Slow<T>>,
    /// There is room, or the queue is closed.
    pub(super) room: Condvar,
    /// For those who sleep where no bell can reach them: disconnected when the queue is closed.
    /// They wait until a channel without room is ready, or for room on a thread that can be
    /// interrupted.
    pub(super) end: OnceLock<crossbeam_channel::Receiver<Infallible>>,
    /// Handles that can send.
    senders: AtomicUsize,
    /// Handles that can receive.
    receivers: AtomicUsize,
    /// The tasks that the messages are, if they are.
    pub(super) tasks: Option<Arc<Unfinished>>,
    #[cfg(not(loom))]
    pub(super) id: interrupt::Id,
}

/// The bell could not be put into a full channel: a receiver that makes room puts it there.
pub(super) const BELL: usize = 1;
/// A sender is asleep, or about to be.
const BLOCKED: usize = 2;

/// What is only for closed queues and sleeping senders.
pub(super) struct Slow<T> {
    /// A receiver was told that nothing will come.
    pub(super) ended: bool,
    /// Dropped when the queue is closed, if there is an `end`.
    pub(super) open: Option<crossbeam_channel::Sender<Infallible>>,
    /// Messages that came too late, until their senders take them back.
    pub(super) late: Vec<(NonZeroU64, T)>,
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

impl<T> Shared<T> {
    /// A channel with one handle that can send and one that can receive.
    pub(super) fn new(capacity: Option<usize>, tasks: Option<Arc<Unfinished>>) -> Self {
        let (sender, receiver) = capacity.map_or_else(raw::unbounded, raw::bounded);
        let shared = Self {
            sender,
            receiver,
            rendezvous: capacity == Some(0),
            closed: AtomicBool::new(false),
            attention: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            slow: Mutex::new(Slow {
                ended: false,
                open: None,
                late: Vec::new(),
            }),
            room: Condvar::new(),
            end: OnceLock::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            tasks,
            #[cfg(not(loom))]
            id: interrupt::Id::new(),
        };
        if shared.is_rendezvous() {
            shared.end();
        }
        shared
    }

    // Handles.

    pub(super) fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_sender(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    /// # Panics
    ///
    /// Where the drop of a message does that was left.
    pub(super) fn remove_receiver(&self) {
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.discard();
        }
    }

    // Sending.

    #[inline]
    pub(super) fn send(
        &self,
        message: T,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        #[cfg(not(loom))]
        if interrupt::is_possible() {
            return self.send_interruptible(message, deadline());
        }
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

    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.pushed(message, |envelope| self.sender.try_send(envelope))
    }

    /// Whether messages go from hand to hand.
    #[inline]
    pub(super) fn is_rendezvous(&self) -> bool {
        self.rendezvous
    }

    /// Pushes a message, unless the queue is closed.
    #[inline]
    pub(super) fn pushed(
        &self,
        message: T,
        push: impl FnOnce(Envelope<T>) -> Result<(), raw::TrySendError<Envelope<T>>>,
    ) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Disconnected(message));
        }
        let number = next_number();
        match push(Some((number, message))) {
            Ok(()) if self.is_closed() => self.settle(number),
            Ok(()) => Ok(()),
            Err(error) => Err(TrySendError::Full(unsent(error.into_inner()))),
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
        let mut slow = lock(&self.slow);
        self.attention.fetch_add(BLOCKED, Ordering::SeqCst);
        let mut in_time = true;
        let number = next_number();
        let mut envelope = Some((number, message));
        let result = loop {
            // The queue is closed under this lock, so there is no doubt here.
            if self.is_closed() {
                break Err(SendTimeoutError::Disconnected(unsent(envelope)));
            }
            match self.sender.try_send(envelope) {
                Ok(()) => break Ok(()),
                Err(full) => envelope = full.into_inner(),
            }
            if !in_time {
                break Err(SendTimeoutError::Timeout(unsent(envelope)));
            }
            (slow, in_time) = wait_until(&self.room, slow, deadline);
        };
        self.attention.fetch_sub(BLOCKED, Ordering::SeqCst);
        result
    }

    /// Sends on a channel without room.
    pub(super) fn hand_to_hand(
        &self,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = self.pushed(message, |envelope| {
            let _inside = self.go_inside();
            // The queue may have been closed before this call was counted.
            if self.is_closed() {
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
        self.sent_or_late(sent)
    }

    /// What became of a push that waited: where it came to nothing, the queue is closed or the time
    /// over.
    pub(super) fn sent_or_late(
        &self,
        sent: Result<(), TrySendError<T>>,
    ) -> Result<(), SendTimeoutError<T>> {
        match sent {
            Ok(()) => Ok(()),
            Err(error) if self.is_closed() => {
                Err(SendTimeoutError::Disconnected(error.into_inner()))
            }
            Err(error) => Err(SendTimeoutError::Timeout(error.into_inner())),
        }
    }

    /// Counts this call as one in a channel without room.
    pub(super) fn go_inside(&self) -> Inside<'_> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        Inside(&self.inside)
    }

    // Receiving. `Empty` is also for a time that is over.

    #[inline]
    pub(super) fn recv(&self) -> Result<T, TryRecvError> {
        #[cfg(not(loom))]
        if interrupt::is_possible() {
            return self.recv_interruptible(None);
        }
        self.taken(|receiver| receiver.recv().map_err(|_| TryRecvError::Disconnected))
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.taken(|receiver| {
            receiver.try_recv().map_err(|error| match error {
                raw::TryRecvError::Empty => TryRecvError::Empty,
                raw::TryRecvError::Disconnected => TryRecvError::Disconnected,
            })
        })
    }

    pub(super) fn recv_deadline(&self, deadline: Instant) -> Result<T, TryRecvError> {
        #[cfg(not(loom))]
        if interrupt::is_possible() {
            return self.recv_interruptible(Some(deadline));
        }
        self.taken(|receiver| {
            let received = receiver.recv_deadline(deadline);
            received.map_err(|error| match error {
                raw::RecvTimeoutError::Timeout => TryRecvError::Empty,
                raw::RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
        })
    }

    /// Takes a message from the channel; `take` may wait for one.
    #[inline]
    pub(super) fn taken(
        &self,
        take: impl FnOnce(&Receiver<Envelope<T>>) -> Result<Envelope<T>, TryRecvError>,
    ) -> Result<T, TryRecvError> {
        if self.is_closed() {
            return self.take_last(false);
        }
        let envelope = if self.is_rendezvous() {
            let _inside = self.go_inside();
            // The queue may have been closed before this call was counted.
            if self.is_closed() {
                return Err(TryRecvError::Disconnected);
            }
            take(&self.receiver)?
        } else {
            take(&self.receiver)?
        };
        match envelope {
            Some((_, message)) => {
                if self.attention.load(Ordering::SeqCst) != 0 {
                    self.attend();
                }
                Ok(message)
            }
            None => self.take_last(true),
        }
    }

    // What there is.

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn len(&self) -> usize {
        let bell = self.is_closed() && self.attention.load(Ordering::SeqCst) & BELL == 0;
        self.receiver.len().saturating_sub(usize::from(bell))
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.receiver.capacity()
    }

    pub(super) fn is_full(&self) -> bool {
        self.capacity().is_some_and(|most| self.len() >= most)
    }
}

/// Counts a call out.
pub(super) struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
