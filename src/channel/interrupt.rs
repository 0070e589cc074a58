//! Waits that a [`Stop`] interrupts.
//!
//! A thread has a list of stops, nearly always empty. The calls that wait look whether it is, which costs them one byte
//! of the thread's own. Where it is not they sleep in crossbeam's `Select`, on their channel and on every stop, so that
//! there is no protocol here that could lose a wake-up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Select, SelectedOperation, Sender};

use super::error::{SendTimeoutError, TryRecvError, TrySendError};
use super::stop::Stop;
use crate::sync::looks;

thread_local! {
    /// Whether `THREAD` has any stops.
    static ANY: Cell<bool> = const { Cell::new(false) };
    static THREAD: RefCell<Thread> = const { RefCell::new(Thread::NEW) };
}

/// What interrupts the waits of a thread.
struct Thread {
    stops: Vec<Stop>,
    /// What the channels that were used since the stop still give and take.
    left: BTreeMap<(Id, Way), usize>,
}

impl Thread {
    const NEW: Self = Self {
        stops: Vec::new(),
        left: BTreeMap::new(),
    };
}

/// Puts back what was there before, also on the way out of a panic.
struct Restore(Option<Thread>);

impl Restore {
    fn after(now: Thread) -> Self {
        ANY.set(!now.stops.is_empty());
        Self(Some(THREAD.replace(now)))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            ANY.set(!before.stops.is_empty());
            THREAD.set(before);
        }
    }
}

/// Runs `f` with one stop more.
pub(super) fn with<R>(stop: &Stop, f: impl FnOnce() -> R) -> R {
    let mut stops = THREAD.with_borrow(|thread| thread.stops.clone());
    stops.push(stop.clone());
    let left = BTreeMap::new();
    let _restore = Restore::after(Thread { stops, left });
    f()
}

/// Runs `f` without any stop.
pub(super) fn without<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::after(Thread::NEW);
    f()
}

/// Whether a stop can interrupt the waits of this thread.
#[inline]
pub(super) fn is_possible() -> bool {
    ANY.get()
}

/// Whether a stop has.
fn is_interrupted() -> bool {
    THREAD.with_borrow(|thread| thread.stops.iter().any(Stop::is_set))
}

/// One of the channels of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

impl Id {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a call does with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Send,
    Receive,
}

/// The room of a channel.
pub(super) fn room(len: usize, capacity: Option<usize>) -> usize {
    capacity.map_or(usize::MAX, |most| most.saturating_sub(len))
}

/// Whether a stopped thread may send or receive one message more: there was room for it, or it was there, when this was first
/// asked of this channel. Without that limit a thread whose peers go on would receive, or send, for ever.
fn take(channel: Id, way: Way, left: impl FnOnce() -> usize) -> bool {
    let now = left();
    THREAD.with_borrow_mut(|thread| {
        let left = thread.left.entry((channel, way)).or_insert(now);
        let any = *left > 0;
        *left = left.saturating_sub(1);
        any
    })
}

/// Why a call did not do what it was to do, with what it was given.
pub(super) enum Failed<M> {
    /// The time was over; of an attempt: not now.
    NotNow(M),
    /// It never will: the channel has ended.
    Never(M),
}

/// A call on a channel that waits, on a thread that can be interrupted.
pub(super) struct Call<L, A, W> {
    pub(super) channel: Id,
    pub(super) way: Way,
    /// How many messages are there now, or how much room.
    pub(super) left: L,
    /// Does it if that is possible at once.
    pub(super) attempt: A,
    /// Waits until it can be done, until the deadline, or until a stop. `NotNow` where that came first.
    pub(super) wait: W,
}

impl<L: FnOnce() -> usize, A, W> Call<L, A, W> {
    pub(super) fn run<M, R>(mut self, mut given: M) -> Result<R, Failed<M>>
    where
        A: FnMut(M) -> Result<R, Failed<M>>,
        W: FnOnce(M) -> Result<R, Failed<M>>,
    {
        if !is_interrupted() {
            // As long as crossbeam looks before it sleeps.
            for () in std::iter::once(()).chain(looks(1)) {
                match (self.attempt)(given) {
                    Err(Failed::NotNow(back)) => given = back,
                    other => return other,
                }
            }
            match (self.wait)(given) {
                Err(Failed::NotNow(back)) if is_interrupted() => given = back,
                other => return other,
            }
        }
        if !take(self.channel, self.way, self.left) {
            return Err(Failed::Never(given));
        }
        match (self.attempt)(given) {
            Err(Failed::NotNow(back)) => Err(Failed::Never(back)),
            other => other,
        }
    }
}

impl<M> From<TrySendError<M>> for Failed<M> {
    fn from(error: TrySendError<M>) -> Self {
        match error {
            TrySendError::Full(message) => Failed::NotNow(message),
            TrySendError::Disconnected(message) => Failed::Never(message),
        }
    }
}

impl<M> From<SendTimeoutError<M>> for Failed<M> {
    fn from(error: SendTimeoutError<M>) -> Self {
        match error {
            SendTimeoutError::Timeout(message) => Failed::NotNow(message),
            SendTimeoutError::Disconnected(message) => Failed::Never(message),
        }
    }
}

impl<M> From<Failed<M>> for SendTimeoutError<M> {
    fn from(failed: Failed<M>) -> Self {
        match failed {
            Failed::NotNow(message) => SendTimeoutError::Timeout(message),
            Failed::Never(message) => SendTimeoutError::Disconnected(message),
        }
    }
}

impl From<TryRecvError> for Failed<()> {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Failed::NotNow(()),
            TryRecvError::Disconnected => Failed::Never(()),
        }
    }
}

impl From<Failed<()>> for TryRecvError {
    fn from(failed: Failed<()>) -> Self {
        match failed {
            Failed::NotNow(()) => TryRecvError::Empty,
            Failed::Never(()) => TryRecvError::Disconnected,
        }
    }
}

/// What ended a sleep.
enum Slept<'a> {
    /// The operation can be done, and has to be.
    Operation(SelectedOperation<'a>),
    /// One of what was disconnected, by its place.
    End(usize),
    /// The time was over.
    Late,
}

/// Sleeps on whichever of `ends` is disconnected, and on the operation that `add` adds.
fn sleep<'a>(
    ends: &[&'a Receiver<Infallible>],
    add: impl FnOnce(&mut Select<'a>),
    deadline: Option<Instant>,
) -> Slept<'a> {
    // The ends go first: a sender that is told of the end does not send into the room that the end makes.
    let mut select = Select::new_biased();
    for end in ends {
        select.recv(end);
    }
    add(&mut select);
    let selected = match deadline {
        None => select.select(),
        Some(deadline) => match select.select_deadline(deadline) {
            Ok(selected) => selected,
            Err(_) => return Slept::Late,
        },
    };
    let place = selected.index();
    match ends.get(place) {
        None => Slept::Operation(selected),
        Some(end) => {
            let _ = selected.recv(end); // nothing is ever sent
            Slept::End(place)
        }
    }
}

/// Receives from a channel of crossbeam.
pub(super) fn recv<T>(channel: &Receiver<T>, deadline: Option<Instant>) -> Result<T, Failed<()>> {
    THREAD.with_borrow(|thread| {
        let ends: Vec<_> = thread.stops.iter().map(Stop::signal).collect();
        match sleep(&ends, |select| _ = select.recv(channel), deadline) {
            Slept::Operation(selected) => selected.recv(channel).map_err(|_| Failed::Never(())),
            Slept::End(_) | Slept::Late => Err(Failed::NotNow(())),
        }
    })
}

/// Sends to a channel of crossbeam, unless `end` is disconnected.
pub(super) fn send<T>(
    channel: &Sender<T>,
    end: Option<&Receiver<Infallible>>,
    message: T,
    deadline: Option<Instant>,
) -> Result<(), Failed<T>> {
    THREAD.with_borrow(|thread| {
        let signals = thread.stops.iter().map(Stop::signal);
        let ends: Vec<_> = end.into_iter().chain(signals).collect();
        match sleep(&ends, |select| _ = select.send(channel), deadline) {
            Slept::Operation(selected) => {
                let sent = selected.send(channel, message);
                sent.map_err(|error| Failed::Never(error.0))
            }
            Slept::End(_) | Slept::Late => Err(Failed::NotNow(message)),
        }
    })
}

/// How a wait for an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    ByEvent,
    ByStop,
    Late,
}

/// Waits until `event` is disconnected.
pub(super) fn wait(event: &Receiver<Infallible>, deadline: Option<Instant>) -> Woken {
    THREAD.with_borrow(|thread| {
        let signals = thread.stops.iter().map(Stop::signal);
        let ends: Vec<_> = std::iter::once(event).chain(signals).collect();
        match sleep(&ends, |_| {}, deadline) {
            Slept::End(0) => Woken::ByEvent,
            Slept::End(_) => Woken::ByStop,
            Slept::Operation(_) | Slept::Late => Woken::Late,
        }
    })
}
