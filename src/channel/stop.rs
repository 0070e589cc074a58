//! `Stop`: what tells a worker to stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender};

use super::interrupt::{self, Id, Way};
use super::ready::{Receives, Register};

/// What tells a [`Worker`](crate::Worker)'s closure to stop: [`Worker::stop`](crate::Worker::stop)
/// was called, or the worker dropped.
///
/// It can be waited for together with queues and pipes: see [`wait_ready`](super::wait_ready).
///
/// # Interrupted waits
///
/// A closure need not look at it in order to be told: on the worker's thread the calls that wait on
/// a [`Queue`](crate::Queue), an end of one, a [`JoinableQueue`](crate::JoinableQueue) or a
/// [`Connection`](crate::Connection) are interruptible: `recv`, `recv_many`, `recv_timeout`, the
/// iterators, `send`, `send_timeout`, and the `join` of a
/// [`JoinableSender`](crate::channel::JoinableSender). From the stop on they no longer wait.
/// Receiving gives what is in the channel and then the end; sending takes as many messages as there
/// is room for, and then fails as on a closed channel, with the message in the error. Both are
/// counted once, at the first call after the stop. So a loop that ends with its queue ends with its
/// worker as well, even where other threads go on sending or receiving.
///
/// Not interruptible are `try_recv` and `try_send`, which do not wait;
/// [`wait_ready`](super::wait_ready), which takes the stop as one of its sources;
/// [`JoinableQueue::join`](crate::JoinableQueue::join), which promises that all is done; and
/// whatever is not of this crate. A closure that computes without end, or that sends without end to
/// a queue without a limit, has to look at its stop.
///
/// Threads that a worker starts by itself are not told: they call
/// [`interruptible`](Self::interruptible). A last message that may have to wait for room is sent
/// under [`uninterruptible`](Self::uninterruptible).
#[derive(Clone)]
#[doc(alias = "Event")]
pub struct Stop {
    state: Arc<State>,
    /// Disconnected when `state` says that it is set; nothing is ever sent.
    stopped: Receiver<Infallible>,
}

#[derive(Debug, Default)]
struct State {
    set: AtomicBool,
    /// How many messages the channels that were used since then still give and take. Without such a
    /// number a worker whose peers go on would receive, or send, for ever.
    left: Mutex<BTreeMap<(Id, Way), usize>>,
}

impl Stop {
    /// Whether it is time to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.set.load(Ordering::Acquire)
    }

    /// Waits until it is time to stop.
    pub fn wait(&self) {
        let _ = self.stopped.recv(); // nothing is ever sent
    }

    /// Waits for so long at most; says whether it is time to stop.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => matches!(
                self.stopped.recv_deadline(deadline),
                Err(RecvTimeoutError::Disconnected)
            ),
            None => {
                self.wait();
                true
            }
        }
    }

    /// Runs `f`, in which this thread's waits on queues and pipes are interrupted by this stop, [as
    /// those of a worker's own thread are](#interrupted-waits). Which of the two an error means,
    /// the end or the stop, is for [`is_set`](Self::is_set) to say.
    ///
    /// Calls may be nested: a wait ends with the first of their stops.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::{Queue, Worker};
    ///
    /// let (sender, receiver) = Queue::bounded(8).into_ends();
    /// let server = Worker::spawn(move |stop| {
    ///     std::thread::scope(|scope| {
    ///         for _ in 0..2 {
    ///             scope.spawn(|| stop.interruptible(|| receiver.iter().map(u64::from).sum::<u64>()));
    ///         }
    ///     });
    /// });
    /// sender.send(1_u32)?;
    /// drop(server); // both threads end, though `sender` is there
    /// # Ok::<(), scipar::channel::SendError<u32>>(())
    /// ```
    #[doc(alias = "recv_or_stop")]
    #[doc(alias = "send_or_stop")]
    #[doc(alias = "run_until_cancelled")]
    pub fn interruptible<R>(&self, f: impl FnOnce() -> R) -> R {
        interrupt::with(self, f)
    }

    /// Runs `f`, in which no stop interrupts this thread's waits. For what a closure has to say or
    /// to hear after its stop: the thread that joins or drops the worker waits for that as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::{Queue, Worker};
    ///
    /// let (sender, receiver) = Queue::bounded(0).into_ends();
    /// let counter = Worker::spawn(move |stop| {
    ///     stop.wait();
    ///     stop.uninterruptible(|| sender.send("a last word"))
    /// });
    /// counter.stop();
    /// assert_eq!(receiver.recv(), Ok("a last word"));
    /// ```
    #[doc(alias = "shield")]
    pub fn uninterruptible<R>(&self, f: impl FnOnce() -> R) -> R {
        interrupt::without(f)
    }

    /// Takes one off what a channel has left, which is `now` where this was not asked before. Says
    /// whether there was any.
    pub(super) fn take(&self, channel: (Id, Way), now: usize) -> bool {
        let mut left = self.state.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = left.entry(channel).or_insert(now);
        let any = *left > 0;
        *left = left.saturating_sub(1);
        any
    }

    /// What is disconnected at the stop.
    pub(super) fn signal(&self) -> &Receiver<Infallible> {
        &self.stopped
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("set", &self.is_set()).finish()
    }
}

impl Register for Stop {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        select.recv(&self.stopped);
        1
    }
}

impl Receives for Stop {}

/// What sets a [`Stop`], by being dropped.
#[derive(Debug)]
pub(crate) struct Stopper {
    state: Arc<State>,
    #[expect(dead_code, reason = "is there to be dropped, after the stop has been set")]
    go_on: Sender<Infallible>,
}

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (go_on, stopped) = crossbeam_channel::bounded(0);
        let state = Arc::new(State::default());
        let stopper = Self {
            state: Arc::clone(&state),
            go_on,
        };
        (stopper, Stop { state, stopped })
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.state.set.store(true, Ordering::SeqCst);
        interrupt::announce();
    }
}
