//! How threads of rayon's wait: by doing a piece of their pool's work now and then.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, lock, park, park_timeout, wait_until};

/// The wait of one thread for others, which may in turn need a thread of its own rayon pool: to run
/// what they `install` there, say. A thread that slept would then wait for ever.
///
/// It sleeps first, for longer than nearly all waits last, as what it steals lies on top of its
/// stack and holds it up; then it steals and sleeps by turns. Nothing tells a thread that sleeps
/// here of work in its pool, so it looks at intervals.
#[derive(Debug)]
pub(super) struct Steal {
    turn: Turn,
    /// How long the next sleep is.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Sleep,
    Work,
}

impl Steal {
    const FIRST: Duration = Duration::from_millis(1);
    const SHORTEST: Duration = Duration::from_micros(100);
    const LONGEST: Duration = Duration::from_millis(2);

    pub(super) fn new() -> Self {
        Self {
            turn: Turn::Sleep,
            pause: Self::FIRST,
        }
    }

    /// Sleeps until this thread is unparked; on a thread of rayon's for a moment at most, or it
    /// does a piece of work instead.
    pub(super) fn or_park(&mut self) {
        match (is_on_rayon(), self.turn) {
            (false, _) => park(),
            (true, Turn::Work) => self.work(),
            (true, Turn::Sleep) => park_timeout(self.slept()),
        }
    }

    /// Waits to be notified, or for the deadline, if there is one; says `false` when it has passed.
    /// On a thread of rayon's it waits for a moment at most, or does a piece of work, without the
    /// lock.
    pub(super) fn or_wait<'a, T>(
        &mut self,
        mutex: &'a Mutex<T>,
        changed: &Condvar,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        match (is_on_rayon(), self.turn) {
            (false, _) => wait_until(changed, guard, deadline),
            (true, Turn::Work) => {
                drop(guard);
                self.work();
                (lock(mutex), true) // whatever is waited for may have come
            }
            (true, Turn::Sleep) => {
                let wake = Instant::now() + self.slept();
                let until = deadline.map_or(wake, |deadline| deadline.min(wake));
                let is_last = deadline.is_some_and(|deadline| deadline <= Instant::now());
                let (guard, _) = wait_until(changed, guard, Some(until));
                (guard, !is_last)
            }
        }
    }

    /// How long to sleep now; work comes next.
    fn slept(&mut self) -> Duration {
        self.turn = Turn::Work;
        self.pause
    }

    fn work(&mut self) {
        if let Some(rayon::Yield::Executed) = rayon::yield_now() {
            self.pause = Self::SHORTEST;
        } else {
            self.turn = Turn::Sleep;
            self.pause = match self.pause {
                Self::FIRST => Self::SHORTEST,
                pause => (2 * pause).min(Self::LONGEST),
            };
        }
    }
}

fn is_on_rayon() -> bool {
    rayon::current_thread_index().is_some()
}
