//! What the machinery costs where there is nothing to do.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use super::error::MeasureError;
use super::samples::{Samples, repeat, repeat_for};
use crate::chunking::Chunking;
use crate::pool::Pool;
#[cfg(feature = "process")]
use crate::process::{Process, ProcessError, ProcessPool, task};

/// Calls that are over soon are timed in batches of about this length.
const BATCH: Duration = Duration::from_micros(500);

/// After which threads without work sleep.
const PAUSE: Duration = Duration::from_millis(1);

/// What threads cost, in seconds, where there is nothing to do.
///
/// It says from which size on a task is worth one: work of a hundred times its overhead loses a hundredth.
///
/// # Examples
///
/// ```
/// use scipar::Pool;
/// use scipar::measure::Overhead;
///
/// let overhead = Overhead::measure(&Pool::new(2), 5)?;
/// println!("{overhead}");
/// assert!(overhead.task.median() < overhead.pool.median() * 100.0);
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overhead {
    /// [`Pool::spawn`] of an empty task and the join of its handle, one task after the other: the threads have no time to fall asleep.
    pub task: Samples,
    /// The same after a pause of a millisecond, when they sleep: waking a thread, and on many machines an idle core, is most of it.
    pub task_after_pause: Samples,
    /// A map with [`Chunking::auto`](crate::Chunking::auto) over an empty function, one item for each worker: no helper is woken for it.
    pub map: Samples,
    /// The start of a pool with as many workers, and its end.
    pub pool: Samples,
}

impl Overhead {
    /// Measures on this pool, `n` times each; tasks without a pause and maps, in `n` batches of half a millisecond.
    ///
    /// # Errors
    ///
    /// Where the system refuses the threads of another pool.
    ///
    /// # Panics
    ///
    /// Where `n` is zero.
    #[track_caller]
    pub fn measure(pool: &Pool, n: usize) -> Result<Self, MeasureError> {
        let workers = pool.num_workers();
        let another = || {
            let started = Pool::builder().workers(workers).build();
            started.map_err(|source| MeasureError::Pool { workers, source })
        };
        drop(another()?);
        Ok(Self {
            task: repeat_for(n, BATCH, || pool.spawn(|| ()).join()),
            task_after_pause: after_pauses(n, || pool.spawn(|| ()).join()),
            map: repeat_for(n, BATCH, || {
                pool.par_map_chunked(0..workers, Chunking::auto(), |i| i)
            }),
            // With its end in the time, as the result would be dropped outside of it.
            pool: repeat(n, || another().map(drop).is_ok()),
        })
    }
}

/// Times `f` once after each of `n` pauses.
fn after_pauses<R>(n: usize, mut f: impl FnMut() -> R) -> Samples {
    let once = |_| {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        let result = black_box(f());
        let took = start.elapsed();
        drop(result);
        took.as_secs_f64()
    };
    Samples::sorted_from((0..n).map(once).collect())
}

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "task, spawn and join   {}", self.task)?;
        writeln!(f, "task after a pause     {}", self.task_after_pause)?;
        writeln!(f, "map of empty items     {}", self.map)?;
        write!(f, "pool, start and end    {}", self.pool)
    }
}

#[cfg(feature = "process")]
task! {
    /// Nothing, in another process.
    fn nothing() {}
}

/// What worker processes cost, in seconds, where there is nothing to do.
///
/// # Examples
///
/// ```
/// use scipar::measure::ProcessOverhead;
/// use scipar::process::{self, ProcessPool};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(); // the first line of `main`
///     let overhead = ProcessOverhead::measure(&ProcessPool::new(1)?, 3)?;
///     println!("{overhead}");
///     assert!(overhead.call.median() < overhead.start.median());
///     Ok(())
/// }
/// ```
#[cfg(feature = "process")]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessOverhead {
    /// A [`Process`] for an empty task: its start, the task, its end.
    pub start: Samples,
    /// [`ProcessPool::call`] of an empty task, in a worker that is there: two messages.
    pub call: Samples,
}

#[cfg(feature = "process")]
impl ProcessOverhead {
    /// Measures calls on this pool and starts of further processes, `n` times each; calls in batches of half a millisecond.
    ///
    /// # Errors
    ///
    /// Where [`init`](crate::process::init) has not been called, or a process fails.
    ///
    /// # Panics
    ///
    /// Where `n` is zero.
    #[track_caller]
    pub fn measure(pool: &ProcessPool, n: usize) -> Result<Self, ProcessError> {
        let mut failure = None;
        let mut note = |result: Result<(), ProcessError>| {
            if let Err(error) = result {
                failure.get_or_insert(error);
            }
        };
        // Once without a clock, which also says whether it works at all.
        Process::spawn(nothing, ())?.join()?;
        pool.call(nothing, &())?;
        let start = repeat(n, || {
            note(Process::spawn(nothing, ()).and_then(Process::join));
        });
        let call = repeat_for(n, BATCH, || note(pool.call(nothing, &())));
        match failure {
            Some(error) => Err(error),
            None => Ok(Self { start, call }),
        }
    }
}

#[cfg(feature = "process")]
impl fmt::Display for ProcessOverhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "process, start to end  {}", self.start)?;
        write!(f, "process, call          {}", self.call)
    }
}
