//! Waiting for a worker, and for how long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process::os::{self, Child, Descriptor, Ready, Want};
use crate::process::wire::{LinkError, Patience, SEGMENT};

/// Waits for a worker as long as it lives, until a time, and while it is not silent, or owes what
/// it was asked, for too long.
#[derive(Debug)]
pub(in crate::process) struct Watch {
    end: Option<Arc<Descriptor>>,
    pub(in crate::process) until: Option<Instant>,
    /// The longest wait for one word. It begins anew with each.
    silence: Option<Duration>,
    /// Items that it has not answered. Each may take as long as a silence, and so may each
    /// [`PIECE`](Self::PIECE), so that long messages have the time they need; but not each word.
    owed: u32,
    /// How much longer is waited, in all, for what it owes.
    patience: Duration,
    /// Bytes since the last whole piece.
    bytes: usize,
    /// When the read began that is under way.
    reads_since: Option<Instant>,
    /// Looked at now and then; the wait is over when it is set.
    pub(in crate::process) cancelled: Option<crate::parallel::CancelToken>,
    ended: bool,
}

impl Watch {
    /// How long is read without looking whether the process has ended. Its end is the end of what
    /// it sends, unless something that it has started holds the socket as well.
    pub(super) const LOOK: Duration = Duration::from_millis(100);

    /// Bytes that a worker has as much time for as for an item. It sends so many at once when it
    /// has so many to send.
    const PIECE: usize = SEGMENT;

    pub(super) fn new(child: &Child) -> Self {
        Self {
            end: child.end().cloned(),
            until: None,
            silence: None,
            owed: 0,
            patience: Duration::MAX,
            bytes: 0,
            reads_since: None,
            cancelled: None,
            ended: false,
        }
    }

    /// While it works on items that may take so long each.
    pub(super) fn of_task(child: &Child, limit: Option<Duration>) -> Self {
        let mut watch = Self::new(child);
        watch.silence = limit.map(silence_beyond);
        watch.be_patient();
        watch
    }

    /// It is asked for so many items more.
    pub(in crate::process) fn owes(&mut self, items: usize) {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_add(items);
        self.be_patient();
    }

    /// It has answered so many of them, or is not going to.
    pub(in crate::process) fn has_paid(&mut self, items: usize) {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_sub(items);
        self.be_patient();
    }

    fn be_patient(&mut self) {
        if let Some(silence) = self.silence {
            // One more for the way.
            self.patience = silence.saturating_mul(self.owed.saturating_add(1));
        }
    }

    fn is_over(&self) -> bool {
        let is_late = |until| Instant::now() >= until;
        self.until.is_some_and(is_late)
            || self
                .cancelled
                .as_ref()
                .is_some_and(|token| token.is_cancelled())
    }
}

impl Patience for Watch {
    fn waits_by_reading(&self) -> bool {
        self.until.is_none() && self.cancelled.is_none() && !self.ended
    }

    fn reads(&mut self) {
        if self.silence.is_some() {
            self.reads_since = Some(Instant::now());
        }
    }

    fn moved(&mut self, bytes: usize) -> Result<(), LinkError> {
        if let Some(began) = self.reads_since.take() {
            self.patience = self.patience.saturating_sub(began.elapsed());
        }
        self.bytes += bytes;
        if self.bytes >= Self::PIECE {
            self.bytes = 0;
            let piece = self.silence.unwrap_or_default();
            self.patience = self.patience.saturating_add(piece);
            // What never has to be waited for is to end as well.
            if self.is_over() {
                return Err(LinkError::Interrupted);
            }
        }
        match self.patience.is_zero() {
            true => Err(LinkError::Interrupted),
            false => Ok(()),
        }
    }

    fn wait(&mut self, socket: &Descriptor, want: Want) -> Result<Ready, LinkError> {
        self.reads();
        let result = self.wait_for_a_word(socket, want);
        self.moved(0)?;
        result
    }
}

impl Watch {
    fn wait_for_a_word(&mut self, socket: &Descriptor, want: Want) -> Result<Ready, LinkError> {
        /// How often is looked whether somebody has cancelled.
        const LOOK: Duration = Duration::from_millis(10);
        let silent = self
            .silence
            .and_then(|most| Instant::now().checked_add(most.min(self.patience)));
        let limit = match (self.until, silent) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        loop {
            // What it sent before its end has been read: there was nothing more.
            if self.ended {
                return Err(LinkError::Gone);
            }
            let now = Instant::now();
            if limit.is_some_and(|limit| now >= limit) || self.is_over() {
                return Err(LinkError::Interrupted);
            }
            let until = match self.cancelled {
                Some(_) => Some(limit.map_or(now + LOOK, |limit| limit.min(now + LOOK))),
                None => limit,
            };
            let ready = os::wait(socket, want, self.end.as_deref(), until)?;
            self.ended = ready.other;
            if ready.readable || ready.writable || ready.other {
                return Ok(ready);
            }
        }
    }
}

/// How long a worker with a limit for its tasks may neither say nor hear anything before it is
/// ended from here. It is to see to the limit itself, so this is for workers that are stopped, or
/// stuck where they cannot look.
fn silence_beyond(limit: Duration) -> Duration {
    limit + limit / 4 + Duration::from_secs(1)
}
