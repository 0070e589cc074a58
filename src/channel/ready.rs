//! Waiting for the first of several.

use std::time::{Duration, Instant};

use crossbeam_channel::Select;

/// What can be waited for with [`wait_ready`]: a [`Queue`](super::Queue), a
/// [`JoinableQueue`](super::JoinableQueue), a receiving end of one, a
/// [`Connection`](super::Connection), a worker's [`Stop`](crate::Stop). Implemented by this crate
/// alone.
pub trait Receives: Register {}

/// The part of [`Receives`] that is not for the public.
#[allow(unnameable_types, reason = "the trait is sealed")]
pub trait Register {
    /// Adds what makes it ready, and says how many operations that are.
    #[doc(hidden)]
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize;
}

/// Waits until one of several has a message or has ended, and says which one, by its place in
/// `sources`. If several have, it is a random one of them.
///
/// It takes nothing: another thread may be faster, so the message is best fetched with a
/// `try_recv`, and the wait begun again where that finds nothing. Messages may be of different
/// types.
///
/// ```
/// use scipar::{Queue, wait_ready};
///
/// let (numbers, words) = (Queue::unbounded(), Queue::unbounded());
/// words.send("seven").unwrap();
/// match wait_ready(&[&numbers, &words]) {
///     0 => println!("{:?}", numbers.try_recv().map(|n: i32| n + 1)),
///     _ => assert_eq!(words.try_recv(), Ok("seven")),
/// }
/// ```
///
/// # Blocking
///
/// On the thread of a worker the stop has to be one of the sources, as in `wait_ready(&[stop,
/// &numbers])`: this wait is not interrupted otherwise, as the answer is always one of the sources.
///
/// # Panics
///
/// Without sources: the wait would not end.
#[must_use]
#[track_caller]
#[doc(alias = "select")]
pub fn wait_ready(sources: &[&dyn Receives]) -> usize {
    assert!(!sources.is_empty(), "nothing to wait for");
    wait_by(sources, None).unwrap_or(0)
}

/// As [`wait_ready`], for so long at most. `None` when the time is over.
#[must_use]
#[doc(alias = "select")]
pub fn wait_ready_timeout(sources: &[&dyn Receives], timeout: Duration) -> Option<usize> {
    // A time so long that no clock shows it is no limit.
    match Instant::now().checked_add(timeout) {
        None if sources.is_empty() => loop {
            std::thread::park();
        },
        deadline => wait_by(sources, deadline),
    }
}

fn wait_by(sources: &[&dyn Receives], deadline: Option<Instant>) -> Option<usize> {
    let mut select = Select::new();
    // The source of each operation.
    let mut places = Vec::with_capacity(sources.len());
    for (place, source) in sources.iter().enumerate() {
        let operations = source.register(&mut select);
        places.extend(std::iter::repeat_n(place, operations));
    }
    let ready = match deadline {
        None => select.ready(),
        Some(deadline) => select.ready_deadline(deadline).ok()?,
    };
    Some(places[ready])
}
