//! Who takes which items, and when: pure decisions over an abstract clock. No thread is started
//! and no clock is read here, so that the tests simulate runs with up to 1,024 workers.
//!
//! `README.md` beside this file explains the decisions and the evidence for them.

mod hand;
mod lead;
mod site;
mod wake;

pub(crate) use hand::{Dispenser, Hand};
pub(crate) use lead::{Lead, Step, Verdict};
pub(crate) use site::{Experience, Key, Sites};
pub(crate) use wake::{Wake, WakeLog};

/// Nanoseconds since some fixed moment, or between two.
pub(crate) type Nanos = u64;

/// The cost of one reading of the clock: the yardstick for everything that is to be small
/// beside it or large against it. Measured by the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick(pub(crate) f64);

impl Tick {
    /// A stretch shorter than this says little about its items: the clock's own cost and a cold
    /// cache are a large part of it.
    fn telling(self) -> f64 {
        10.0 * self.0
    }

    /// The shortest chunk worth a visit to the dispenser, which costs a few clock readings.
    fn shortest_chunk(self) -> f64 {
        40.0 * self.0
    }

    /// Longer chunks save nothing more: a visit is then half a per cent of the chunk.
    pub(crate) fn longest_chunk(self) -> f64 {
        800.0 * self.0
    }

    /// A call predicted to be shorter than this is not worth a single reading. Two readings cost far more than themselves where a
    /// program comes from elsewhere: what they and the memory of wake-ups touch is no longer in the caches.
    pub(crate) fn negligible(self) -> f64 {
        150.0 * self.0
    }
}

#[cfg(test)]
mod tests;
