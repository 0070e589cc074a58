//! How a queue ends: see [`Shared`], where the argument is.

use std::convert::Infallible;
use std::num::NonZeroU64;

use crossbeam_channel::Select;

use super::super::error::{TryRecvError, TrySendError};
use super::discard::Discard;
use super::shared::{BELL, Shared, Slow};
use crate::sync::{MutexGuard, Ordering, lock, yield_now};

impl<T> Shared<T> {
    /// Closes the queue for good, once.
    pub(super) fn close(&self) {
        let mut slow = lock(&self.slow);
        if self.shut(&mut slow) && !self.is_rendezvous() {
            self.ring(&slow);
        }
        drop(slow);
        self.room.notify_all();
    }

    /// Closes the queue but for the bell. Says whether it was open.
    fn shut(&self, slow: &mut MutexGuard<'_, Slow<T>>) -> bool {
        if self.closed.swap(true, Ordering::SeqCst) {
            return false;
        }
        slow.open = None;
        if self.is_rendezvous() {
            slow.ended = true;
            // A thread that is inside waits, or is about to: for a message, or for a receiver to
            // take one. Both are had here.
            while self.inside.load(Ordering::SeqCst) > 0 {
                while let Ok(envelope) = self.receiver.try_recv() {
                    slow.late.extend(envelope);
                }
                while self.sender.try_send(None).is_ok() {}
                yield_now();
            }
        }
        true
    }

    /// When there is no receiver any more: closes the queue, and drops the messages that are left.
    ///
    /// No lock is held while they are dropped, as their drops are foreign code, and may come back
    /// here.
    #[cold]
    pub(super) fn discard(&self) {
        self.shut(&mut lock(&self.slow));
        self.room.notify_all();
        let mut discard = Discard::new(self.tasks.as_deref());
        while let Ok(envelope) = self.receiver.try_recv() {
            discard.extend(envelope.map(|(_, message)| message));
        }
        // From now on senders take back what they push. What they pushed in between is still here.
        let left: Vec<_> = {
            let mut slow = lock(&self.slow);
            slow.ended = true;
            std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
        };
        discard.extend(left.into_iter().flatten().map(|(_, message)| message));
        discard.finish();
    }

    /// Disconnected when the queue is closed; `None` where it is closed already.
    pub(super) fn end(&self) -> Option<&crossbeam_channel::Receiver<Infallible>> {
        if let Some(end) = self.end.get() {
            return Some(end);
        }
        let mut slow = lock(&self.slow);
        if self.is_closed() {
            return None;
        }
        Some(self.end.get_or_init(|| {
            let (open, end) = crossbeam_channel::bounded(0);
            slow.open = Some(open);
            end
        }))
    }

    /// Adds what makes the queue ready to be received from.
    pub(super) fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        #[cfg(not(loom))]
        select.recv(&self.receiver);
        // A channel with room has the bell as well, which is enough; there is no harm in both.
        self.end.get().map_or(1, |end| {
            select.recv(end);
            2
        })
    }

    /// The queue was closed while a message was pushed: was it in time?
    #[cold]
    pub(super) fn settle(&self, number: NonZeroU64) -> Result<(), TrySendError<T>> {
        let mut slow = lock(&self.slow);
        if slow.ended {
            let mut bell = false;
            while let Ok(envelope) = self.receiver.try_recv() {
                bell |= envelope.is_none();
                slow.late.extend(envelope);
            }
            if bell || self.attention.load(Ordering::SeqCst) & BELL != 0 {
                self.ring(&slow);
            }
        }
        match slow.late.iter().position(|(late, _)| *late == number) {
            Some(place) => Err(TrySendError::Disconnected(slow.late.swap_remove(place).1)),
            None => Ok(()),
        }
    }

    /// Receives from a closed queue: what is left, or the end. With the bell in hand, puts it back.
    #[cold]
    pub(super) fn take_last(&self, mut bell: bool) -> Result<T, TryRecvError> {
        if self.is_rendezvous() {
            // Nothing is ever left, and closing rings for every receiver.
            return Err(TryRecvError::Disconnected);
        }
        let mut slow = lock(&self.slow);
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
        if bell || self.attention.load(Ordering::SeqCst) & BELL != 0 {
            self.ring(&slow);
        }
        message
    }

    /// After a message was taken: wakes a sender that waits for the room, or puts the bell there.
    #[cold]
    pub(super) fn attend(&self) {
        let slow = lock(&self.slow);
        if self.attention.load(Ordering::SeqCst) & BELL != 0 {
            self.ring(&slow);
        }
        drop(slow);
        self.room.notify_one();
    }

    /// Puts the bell into the channel, or has it put there by a receiver that makes room.
    fn ring(&self, _: &MutexGuard<'_, Slow<T>>) {
        self.attention.fetch_or(BELL, Ordering::SeqCst);
        if self.sender.try_send(None).is_ok() {
            self.attention.fetch_and(!BELL, Ordering::SeqCst);
        }
    }
}
