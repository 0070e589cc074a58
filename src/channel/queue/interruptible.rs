//! Waits on threads that a [`Stop`](crate::channel::Stop) can interrupt.

use std::time::Instant;

use super::super::error::{SendTimeoutError, TryRecvError};
use super::super::interrupt::{self, Call, Failed, Way};
use super::super::raw;
use super::shared::Shared;

impl<T> Shared<T> {
    #[inline(never)]
    pub(super) fn send_interruptible(
        &self,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let call = Call {
            channel: self.id,
            way: Way::Send,
            left: || interrupt::room(self.len(), self.capacity()),
            attempt: |message| self.try_send(message).map_err(Failed::from),
            looks: interrupt::looks_at(self.capacity()),
            wait: |message| {
                if !self.is_rendezvous() {
                    return self.sleep_until_sent(message, deadline);
                }
                let plainly = |message, short| {
                    let sent = self.hand_to_hand(message, Some(short));
                    sent.map_err(Failed::from)
                };
                let interruptibly = |message| self.sleep_until_sent(message, deadline);
                interrupt::hand_over(message, deadline, plainly, interruptibly)
            },
        };
        call.run(message).map_err(SendTimeoutError::from)
    }

    #[cold]
    fn sleep_until_sent(&self, message: T, deadline: Option<Instant>) -> Result<(), Failed<T>> {
        let Some(end) = self.end() else {
            return Err(Failed::Never(message));
        };
        let sent = self.pushed(message, |envelope| {
            let _inside = self.is_rendezvous().then(|| self.go_inside());
            // The queue may have been closed before this call was counted.
            if self.is_closed() {
                return Err(raw::TrySendError::Disconnected(envelope));
            }
            interrupt::send(&self.sender, Some(end), envelope, deadline).map_err(|failed| {
                let (Failed::NotNow(envelope) | Failed::Never(envelope)) = failed;
                raw::TrySendError::Full(envelope)
            })
        });
        self.sent_or_late(sent).map_err(Failed::from)
    }

    #[inline(never)]
    pub(super) fn recv_interruptible(&self, deadline: Option<Instant>) -> Result<T, TryRecvError> {
        let call = Call {
            channel: self.id,
            way: Way::Receive,
            left: || self.len(),
            attempt: |()| self.try_recv().map_err(Failed::from),
            looks: interrupt::looks_at(self.capacity()),
            wait: |()| self.sleep_until_received(deadline),
        };
        call.run(()).map_err(TryRecvError::from)
    }

    #[cold]
    fn sleep_until_received(&self, deadline: Option<Instant>) -> Result<T, Failed<()>> {
        let received = self.taken(|receiver| {
            let received = interrupt::recv(receiver, deadline);
            received.map_err(TryRecvError::from)
        });
        received.map_err(Failed::from)
    }
}
