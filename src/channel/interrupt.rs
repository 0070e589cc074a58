//! Waits that a [`Stop`] interrupts.
//!
//! A thread has a list of stops, nearly always empty. The calls that wait look whether it is, which
//! costs them a word of the thread's own. Where it is not they sleep in crossbeam's `Select`, on
//! their channel and on every stop, so that there is no protocol here that could lose a wake-up.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, SelectedOperation, Sender};

use super::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use super::stop::Stop;
use crate::sync::looks;

/// How many stops of this process have been set: while it stays the same, a thread need not look at
/// its own.
static SET: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What [`SET`] was when none of this thread's stops was set, or [`NONE`] or [`UNKNOWN`].
    static SEEN: Cell<u64> = const { Cell::new(NONE) };
    /// What interrupts the waits of this thread.
    static STOPS: RefCell<Vec<Stop>> = const { RefCell::new(Vec::new()) };
}

/// This thread has no stops.
const NONE: u64 = u64::MAX;
/// This thread has to look at its stops.
const UNKNOWN: u64 = u64::MAX - 1;

/// Gives the thread other stops, and returns those that it had.
fn swap(stops: Vec<Stop>) -> Vec<Stop> {
    SEEN.set(if stops.is_empty() { NONE } else { UNKNOWN });
    STOPS.replace(stops)
}

/// Puts back what was there before, also on the way out of a panic.
struct Restore(Vec<Stop>);

impl Drop for Restore {
    fn drop(&mut self) {
        swap(std::mem::take(&mut self.0));
    }
}

/// Runs `f` with one stop more.
pub(super) fn with<R>(stop: &Stop, f: impl FnOnce() -> R) -> R {
    let mut stops = STOPS.with_borrow(Vec::clone);
    stops.push(stop.clone());
    let _restore = Restore(swap(stops));
    f()
}

/// Runs `f` without any stop.
pub(super) fn without<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(swap(Vec::new()));
    f()
}

/// Says that a stop was set.
pub(super) fn announce() {
    SET.fetch_add(1, Ordering::SeqCst);
}

/// Whether a stop can interrupt the waits of this thread.
#[inline]
pub(super) fn is_possible() -> bool {
    SEEN.get() != NONE
}

/// Whether a stop has, of a thread of which it can.
#[inline]
fn has_happened() -> bool {
    SEEN.get() != SET.load(Ordering::SeqCst) && look()
}

#[cold]
fn look() -> bool {
    let set = SET.load(Ordering::SeqCst);
    let any = STOPS.with_borrow(|stops| stops.iter().any(Stop::is_set));
    if !any {
        SEEN.set(set);
    }
    any
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

/// Whether a thread that was stopped may send or receive one message more.
fn take(channel: Id, way: Way, left: impl FnOnce() -> usize) -> bool {
    let now = left();
    STOPS.with_borrow(|stops| {
        let mut set = stops.iter().filter(|stop| stop.is_set());
        set.next().is_some_and(|stop| stop.take((channel, way), now))
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
    /// How often to look again before sleeping, in [`looks`].
    pub(super) looks: u32,
    /// Waits until it can be done, until the deadline, or until a stop. `NotNow` where that came
    /// first.
    pub(super) wait: W,
}

/// As crossbeam looks before it sleeps; not at a channel without room, where one side can do
/// nothing unless the other waits.
pub(super) fn looks_at(capacity: Option<usize>) -> u32 {
    u32::from(capacity != Some(0))
}

impl<L: FnOnce() -> usize, A, W> Call<L, A, W> {
    #[inline]
    pub(super) fn run<M, R>(mut self, given: M) -> Result<R, Failed<M>>
    where
        A: FnMut(M) -> Result<R, Failed<M>>,
        W: Fn(M) -> Result<R, Failed<M>>,
    {
        if has_happened() {
            return self.after_the_stop(given);
        }
        match (self.attempt)(given) {
            Err(Failed::NotNow(back)) => self.waiting(back),
            other => other,
        }
    }

    #[cold]
    fn waiting<M, R>(mut self, mut given: M) -> Result<R, Failed<M>>
    where
        A: FnMut(M) -> Result<R, Failed<M>>,
        W: Fn(M) -> Result<R, Failed<M>>,
    {
        for () in looks(self.looks) {
            match (self.attempt)(given) {
                Err(Failed::NotNow(back)) => given = back,
                other => return other,
            }
        }
        match (self.wait)(given) {
            Err(Failed::NotNow(back)) if look() => self.after_the_stop(back),
            other => other,
        }
    }

    #[cold]
    fn after_the_stop<M, R>(mut self, given: M) -> Result<R, Failed<M>>
    where
        A: FnMut(M) -> Result<R, Failed<M>>,
    {
        if !take(self.channel, self.way, self.left) {
            return Err(Failed::Never(given));
        }
        match (self.attempt)(given) {
            Err(Failed::NotNow(back)) => Err(Failed::Never(back)),
            other => other,
        }
    }
}

/// Sends from hand to hand for a short time as on other threads, and only then in a way that a stop
/// interrupts: a sender in a `Select` holds its message back until it has woken up, so that the
/// receiver has to wait for that each time.
pub(super) fn hand_over<M>(
    message: M,
    deadline: Option<Instant>,
    plainly: impl FnOnce(M, Instant) -> Result<(), Failed<M>>,
    interruptibly: impl FnOnce(M) -> Result<(), Failed<M>>,
) -> Result<(), Failed<M>> {
    /// What a stop may have to wait for.
    const SHORT: Duration = Duration::from_millis(2);
    let short = Instant::now() + SHORT;
    match plainly(
        message,
        deadline.map_or(short, |deadline| deadline.min(short)),
    ) {
        Err(Failed::NotNow(message)) => interruptibly(message),
        other => other,
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

impl From<Failed<()>> for RecvTimeoutError {
    fn from(failed: Failed<()>) -> Self {
        match failed {
            Failed::NotNow(()) => RecvTimeoutError::Timeout,
            Failed::Never(()) => RecvTimeoutError::Disconnected,
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
    // The ends go first: a sender that is told of the end does not send into the room that the end
    // makes.
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
    STOPS.with_borrow(|stops| {
        let ends: Vec<_> = stops.iter().map(Stop::signal).collect();
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
    STOPS.with_borrow(|stops| {
        let signals = stops.iter().map(Stop::signal);
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
    STOPS.with_borrow(|stops| {
        let signals = stops.iter().map(Stop::signal);
        let ends: Vec<_> = std::iter::once(event).chain(signals).collect();
        match sleep(&ends, |_| {}, deadline) {
            Slept::End(0) => Woken::ByEvent,
            Slept::End(_) => Woken::ByStop,
            Slept::Operation(_) | Slept::Late => Woken::Late,
        }
    })
}
