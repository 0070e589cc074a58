//! Streams: a closure over an iterator of any length, with a bounded number of items in flight.
//!
//! A *pump* is a job of the pool that takes some items from the source, computes them, and puts the results where the consumer
//! finds them, again and again. It never waits for room: when the window is full it ends, and the consumer starts pumps anew as it makes
//! room. So a stream that no thread consumes holds no thread.
//!
//! * `state.rs`: what is going on, and what follows from it: who does what next, and when the consumer may sleep.
//! * `shared.rs`: the lock that all this is under. `machine.rs`: the source and the pumps.
//! * `consumer.rs`: the consumer's side.
//! * `launch.rs`: how pumps come to threads. `work.rs`: what is done with an item.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pool;
use super::home::is_on_a_pool;
use super::scope::Scope;
use crate::channel::RecvTimeoutError;
use crate::panic::{Panic, discard};

mod consumer;
mod launch;
mod machine;
mod make;
mod shared;
mod state;
#[cfg(all(test, loom))]
mod tests;
mod work;

use consumer::Consumer;
use launch::Launch;
use machine::Machine;

/// Items in flight per worker, where the program does not say otherwise.
const WINDOW_PER_WORKER: usize = 128;

/// The results of a closure over an iterator, computed by the threads of a [`Pool`] while they are consumed. Made by
/// [`Pool::stream`] and its relatives.
///
/// Nothing happens before the first call of `next`. From then on at most [`window`](Self::window) items are in flight: taken
/// from the source and not yet handed out. A stream may be sent to another thread and consumed there.
///
/// # Blocking
///
/// `next` waits for a result, and for nothing else: a result that is there is handed out whatever happens to other items, and
/// without order an item that no thread has begun does not wait for one that takes long while another thread is free.
/// Where the stream is consumed on a thread of a pool, that thread computes items that no other thread has begun.
/// Elsewhere it does so when the pool's threads do not come to the stream, because they are busy with other work or because
/// they wait, perhaps for what the consumer does next. So streams, tasks and scopes that wait for each other
/// without a cycle do not deadlock.
///
/// Dropping the stream stops it and waits for the items that are being computed, and for the source if it is just
/// being asked for an item. What panics in the drops of the source, of items and of results then, on
/// whichever thread, ends there.
///
/// # Panics
///
/// `next` goes on with a panic of the closure when it comes to that item, and of the source after all items before; further
/// calls go on with the items behind, of which there are none after a panic of the source.
#[must_use = "a stream computes nothing before it is consumed"]
pub struct Stream<'a, R> {
    /// `None` only while the stream is dropped.
    source: Option<Pumped<'a, R>>,
    consumer: Consumer,
    /// Results that are handed out next.
    near: VecDeque<Result<R, Panic>>,
    ended: bool,
}

/// Where a stream's results come from.
struct Pumped<'a, R> {
    machine: Arc<dyn Machine<R> + 'a>,
    launch: Box<dyn Launch + 'a>,
}

impl<'a, R> Stream<'a, R> {
    fn new(machine: Arc<dyn Machine<R> + 'a>, launch: Box<dyn Launch + 'a>, pool: &Pool) -> Self {
        let workers = pool.num_workers();
        let arrival = pool.wakes.expect(u64::MAX).arrival;
        let arrival = Duration::from_nanos(arrival as u64);
        Self {
            source: Some(Pumped { machine, launch }),
            consumer: Consumer::new(WINDOW_PER_WORKER * workers, workers, arrival),
            near: VecDeque::new(),
            ended: false,
        }
    }

    /// How many items may be in flight: taken from the source and not yet handed out. 128 per worker by default; with 1, one item is computed after the
    /// other.
    ///
    /// # Panics
    ///
    /// Where it is 0.
    #[track_caller]
    #[doc(alias = "buffersize")]
    pub fn window(mut self, items: usize) -> Self {
        assert!(items > 0, "a window of no items");
        self.consumer.window = items;
        self
    }

    /// The next result, if it comes within this time.
    ///
    /// A result that is there when the time is over is handed out: `Timeout` says that there is none, or, in order, that the one which is
    /// next is not there. It takes longer only by what this thread does itself, which is one item per call: on a thread of a pool, or where
    /// the pool's threads do not come to the stream. If that item has to be asked for, it takes as long as the source does; the thread asks
    /// only after it has waited in vain for others to do so, over several calls if need be. So calls with however little time
    /// get on with the stream.
    ///
    /// # Errors
    ///
    /// When none came in time, or the stream has ended.
    ///
    /// # Panics
    ///
    /// As `next`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<R, RecvTimeoutError> {
        // A time so long that no clock shows it is no limit.
        match self.next_by(Instant::now().checked_add(timeout)) {
            Some(result) => Ok(result),
            None if self.ended => Err(RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    fn next_by(&mut self, deadline: Option<Instant>) -> Option<R> {
        let due = self.near.is_empty() || self.consumer.handed_out > self.consumer.window / 4;
        if due
            && !self.ended
            && let Some(source) = &self.source
        {
            self.consumer.on_pool = is_on_a_pool();
            let launch = || source.launch.launch();
            let (near, consumer) = (&mut self.near, &mut self.consumer);
            self.ended = source.machine.fetch(near, consumer, deadline, &launch);
        }
        let result = self.near.pop_front()?;
        self.consumer.handed_out += 1;
        match result {
            Ok(result) => Some(result),
            Err(panic) => panic.resume(),
        }
    }
}

impl<R> Iterator for Stream<'_, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.next_by(None)
    }
}

impl<R> std::iter::FusedIterator for Stream<'_, R> {}

impl<R> Drop for Stream<'_, R> {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        source.machine.stop();
        source.launch.withdraw();
        // All of this is the user's, may panic, and may be dropped by a panic.
        self.near.drain(..).for_each(discard);
        source.machine.clear();
        discard(source);
    }
}

impl<R> fmt::Debug for Stream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("window", &self.consumer.window)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
