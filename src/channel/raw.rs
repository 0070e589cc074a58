//! The channels underneath: crossbeam's, and under loom, which cannot look into those, a plain one
//! of the same interface.

#[cfg(not(loom))]
pub(super) use crossbeam_channel::{
    Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};

#[cfg(loom)]
pub(super) use model::*;

#[cfg(loom)]
mod model {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Instant;

    use crate::sync::{Condvar, Mutex, lock, wait};

    pub(in crate::channel) use crossbeam_channel::{
        RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    };

    struct Channel<T> {
        capacity: Option<usize>,
        messages: Mutex<VecDeque<T>>,
        arrived: Condvar,
        hands: Mutex<Hands<T>>,
        /// Something in `hands` has changed.
        moved: Condvar,
    }

    /// A channel without room: a message goes from a sender that waits to a receiver that comes, or
    /// the other way round.
    struct Hands<T> {
        /// Of senders that wait, with a number of each.
        offered: VecDeque<(usize, T)>,
        next: usize,
        /// Receivers that wait.
        waiting: usize,
        /// For them.
        given: VecDeque<T>,
    }

    pub(in crate::channel) struct Sender<T>(Arc<Channel<T>>);
    pub(in crate::channel) struct Receiver<T>(Arc<Channel<T>>);

    pub(in crate::channel) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        of(Some(capacity))
    }

    pub(in crate::channel) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        of(None)
    }

    fn of<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Channel {
            capacity,
            messages: Mutex::new(VecDeque::new()),
            arrived: Condvar::new(),
            hands: Mutex::new(Hands {
                offered: VecDeque::new(),
                next: 0,
                waiting: 0,
                given: VecDeque::new(),
            }),
            moved: Condvar::new(),
        });
        (Sender(channel.clone()), Receiver(channel))
    }

    impl<T> Sender<T> {
        pub(in crate::channel) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
            if self.0.capacity == Some(0) {
                let mut hands = lock(&self.0.hands);
                if hands.waiting <= hands.given.len() {
                    return Err(TrySendError::Full(message));
                }
                hands.given.push_back(message);
                drop(hands);
                self.0.moved.notify_all();
                return Ok(());
            }
            let mut messages = lock(&self.0.messages);
            if self.0.capacity.is_some_and(|most| messages.len() >= most) {
                return Err(TrySendError::Full(message));
            }
            messages.push_back(message);
            drop(messages);
            self.0.arrived.notify_one();
            Ok(())
        }

        /// Waits where there is no room at all; elsewhere there has to be some.
        pub(in crate::channel) fn send(&self, message: T) -> Result<(), SendError<T>> {
            let message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(error) if self.0.capacity != Some(0) => {
                    return Err(SendError(error.into_inner()));
                }
                Err(error) => error.into_inner(),
            };
            let mut hands = lock(&self.0.hands);
            // A receiver may have come in between.
            if hands.waiting > hands.given.len() {
                hands.given.push_back(message);
                self.0.moved.notify_all();
                return Ok(());
            }
            let number = hands.next;
            hands.next += 1;
            hands.offered.push_back((number, message));
            while hands.offered.iter().any(|(offered, _)| *offered == number) {
                hands = wait(&self.0.moved, hands);
            }
            Ok(())
        }

        pub(in crate::channel) fn send_deadline(
            &self,
            message: T,
            _: Instant,
        ) -> Result<(), SendTimeoutError<T>> {
            self.try_send(message)
                .map_err(|error| SendTimeoutError::Timeout(error.into_inner()))
        }
    }

    impl<T> Receiver<T> {
        pub(in crate::channel) fn try_recv(&self) -> Result<T, TryRecvError> {
            if self.0.capacity == Some(0) {
                let offered = lock(&self.0.hands).offered.pop_front();
                self.0.moved.notify_all();
                return offered
                    .map(|(_, message)| message)
                    .ok_or(TryRecvError::Empty);
            }
            lock(&self.0.messages)
                .pop_front()
                .ok_or(TryRecvError::Empty)
        }

        pub(in crate::channel) fn recv(&self) -> Result<T, RecvError> {
            if self.0.capacity == Some(0) {
                let mut hands = lock(&self.0.hands);
                if let Some((_, message)) = hands.offered.pop_front() {
                    self.0.moved.notify_all();
                    return Ok(message);
                }
                hands.waiting += 1;
                loop {
                    if let Some(message) = hands.given.pop_front() {
                        hands.waiting -= 1;
                        return Ok(message);
                    }
                    hands = wait(&self.0.moved, hands);
                }
            }
            let mut messages = lock(&self.0.messages);
            loop {
                if let Some(message) = messages.pop_front() {
                    return Ok(message);
                }
                messages = wait(&self.0.arrived, messages);
            }
        }

        pub(in crate::channel) fn recv_deadline(&self, _: Instant) -> Result<T, RecvTimeoutError> {
            self.try_recv().map_err(|_| RecvTimeoutError::Timeout)
        }

        pub(in crate::channel) fn len(&self) -> usize {
            lock(&self.0.messages).len()
        }

        pub(in crate::channel) fn capacity(&self) -> Option<usize> {
            self.0.capacity
        }
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
}
