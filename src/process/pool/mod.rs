//! `ProcessPool`: the maps of a pool, on processes.

mod builder;
mod desk;
mod ended;
mod executor;
mod fleet;
mod goods;
mod over;
mod run;
mod talk;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use builder::ProcessPoolBuilder;
pub use executor::Executor;
pub use over::{Context, NoContext, ProcessRun};

use super::error::ProcessError;
use super::shared::{Pod, SharedMut};
use super::task::{PartTask, Task};
use crate::chunking::Chunking;
use crate::parallel::RunError;
use crate::pool::{JoinHandle, Pool, Stream};
use crate::source::Source;
use crate::workers::Workers;
use fleet::Fleet;

/// A pool of worker processes: [`Pool`](crate::Pool) for code that crashes, leaks, holds global locks or is not thread-safe.
///
/// The methods have the names of the pool's on threads and do the same, with three differences: the function is a
/// [`Task`], as another process cannot have a closure; items and results are serialised, as it cannot have references either; and results
/// come as `Result`, because a process can die.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, ProcessPool, task};
///
/// task! {
///     fn risky(x: i32) -> i32 {
///         if x == 3 { std::process::abort() }
///         x * x
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(); // the first line of `main`
///     let pool = ProcessPool::new(2)?;
///
///     let outcomes = pool.over(0..10).outcomes(risky);
///     let lost: Vec<usize> = outcomes.items.iter().enumerate()
///         .filter(|(_, outcome)| !outcome.is_done()).map(|(i, _)| i).collect();
///     assert_eq!(lost, [3]); // and all the others are there
///     Ok(())
/// }
/// ```
///
/// # What a failure costs
///
/// | what happens | what it costs |
/// |---|---|
/// | a task panics | that item; the worker goes on |
/// | a worker dies: a signal, `exit`, `abort`, out of memory, `kill` | the items in flight are tried again, in halves, until the one that kills is alone: it fails, with the signal or exit code and the last lines of the worker's standard error |
/// | a task takes longer than [`task_timeout`](ProcessPoolBuilder::task_timeout) | that item; the worker is killed and replaced |
/// | a result or an item cannot be encoded | that item |
/// | the program ends, or is killed | nothing is left behind: workers see the end of their connection and go |
///
/// # Ordering and determinism
///
/// Maps are exact: result `i` is that of item `i`. Reductions have the bits that the same reduction has on threads, for any number of
/// workers. An item whose worker died may have been run more than once.
///
/// # Blocking
///
/// Methods return when all their items are done. Dropping the pool waits for spawned tasks and for the workers to end.
#[doc(alias = "ProcessPoolExecutor")]
#[doc(alias = "multiprocessing")]
#[doc(alias = "Executor")]
pub struct ProcessPool {
    // Fields are dropped in order: the threads use the fleet.
    threads: OnceLock<Pool>,
    fleet: Arc<Fleet>,
}

impl ProcessPool {
    /// A pool of so many workers, which are started at once.
    ///
    /// # Errors
    ///
    /// Where [`init`](super::init) has not been called, the system refuses, or there are to be more
    /// workers than a pool can have.
    ///
    /// # Panics
    ///
    /// Where the number is zero.
    #[track_caller]
    pub fn new(workers: impl Into<Workers>) -> Result<Self, ProcessError> {
        Self::builder().workers(workers).build()
    }

    /// Options for a new pool.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::default()
    }

    /// How many workers it has.
    #[must_use]
    pub fn num_workers(&self) -> usize {
        self.fleet.workers
    }

    /// How many worker processes it has started so far: as many as it has workers, and one for each that had to be replaced.
    #[must_use]
    pub fn num_starts(&self) -> usize {
        self.fleet.starts()
    }

    /// The process identifiers of the workers that are idle now.
    #[must_use]
    pub fn idle_pids(&self) -> Vec<u32> {
        self.fleet.ids()
    }

    /// A map with options: cancelling, a deadline, progress, a context, and outcomes for every item.
    pub fn over<S: Source>(&self, source: S) -> ProcessRun<'_, S> {
        ProcessRun::new(&self.fleet, source)
    }

    /// Maps every item on the workers; see [`par_map_chunked`](crate::par_map_chunked).
    ///
    /// Items are what the task takes, or references to it. A chunk is what is sent at once; [`Chunking::auto`] measures how long
    /// items and messages take, and sends as much as makes messages cheap.
    ///
    /// # Errors
    ///
    /// [`RunError`] of the lowest item that failed: it panicked, or it failed with a [`ProcessError`]. To keep the other results use
    /// [`over`](Self::over) and [`outcomes`](ProcessRun::outcomes).
    #[doc(alias = "map")]
    #[doc(alias = "starmap")]
    pub fn par_map_chunked<S, A, R, F>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        task: Task<A, R, F>,
    ) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S: Source,
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.over(source).chunking(chunking).map(task)
    }

    /// Maps every item and combines the results, leaf by leaf on the workers and the leaves here, with the bits that
    /// [`par_map_reduce_chunked`](crate::par_map_reduce_chunked) gives on threads with the same chunking.
    ///
    /// `op` is associative, and a task as well. `identity` is the result where there is no item.
    ///
    /// # Errors
    ///
    /// [`RunError`], with the first item of the lowest leaf that failed.
    pub fn par_map_reduce_chunked<S, A, R, F, G>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        map: Task<A, R, F>,
        identity: impl FnOnce() -> R,
        op: Task<(R, R), R, G>,
    ) -> Result<R, RunError<ProcessError>>
    where
        S: Source,
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.over(source)
            .chunking(chunking)
            .map_reduce(map, identity, op)
    }

    /// Has the workers change an array in place, part by part; what the task returns comes back in order.
    ///
    /// `chunking` cuts the array into parts, one for each call of the task; `arguments` makes what a call gets beside its part
    /// from the part's place in the array.
    ///
    /// # Errors
    ///
    /// [`RunError`], with the first element of the lowest part that failed. What had been begun may be half done, and is not tried again.
    pub fn par_update_chunked<T, A, R>(
        &self,
        array: &mut SharedMut<T>,
        chunking: impl Into<Chunking>,
        task: PartTask<T, A, R>,
        arguments: impl Fn(Range<usize>) -> A + Sync,
    ) -> Result<Vec<R>, RunError<ProcessError>>
    where
        T: Pod,
        A: Serialize,
        R: DeserializeOwned + Send,
    {
        over::update(&self.fleet, array, chunking.into(), task, arguments)
    }

    /// Runs a task on a worker, by itself; its result is had from the handle.
    ///
    /// A panic of the task is the handle's panic; what else goes wrong is a [`ProcessError`] in its result.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::process::{self, ProcessPool, task};
    ///
    /// task! { fn half(x: f64) -> f64 { x / 2.0 } }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     process::init();
    ///     let pool = ProcessPool::new(1)?;
    ///     let handle = pool.spawn(half, 3.0);
    ///     assert_eq!(handle.join()??, 1.5);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "submit")]
    #[doc(alias = "apply_async")]
    pub fn spawn<A, R, F>(
        &self,
        task: Task<A, R, F>,
        arguments: A,
    ) -> JoinHandle<Result<R, ProcessError>>
    where
        A: Serialize + Send + Sync + 'static,
        R: DeserializeOwned + Send + 'static,
        F: 'static,
    {
        let fleet = Arc::clone(&self.fleet);
        let task = task.erased();
        self.threads()
            .spawn(move || over::one(&fleet, task, &arguments))
    }

    /// Runs a task on a worker and waits for it.
    ///
    /// # Errors
    ///
    /// [`ProcessError`], also for a panic.
    #[doc(alias = "apply")]
    pub fn call<A, R, F>(&self, task: Task<A, R, F>, arguments: &A) -> Result<R, ProcessError>
    where
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        over::one_or_error(&self.fleet, task.erased(), arguments)
    }

    /// Maps an iterator, lazily and in order, with a bounded number of items in flight; see [`Pool::stream`].
    ///
    /// Each item is a message of its own: where items cost less than some 100 us make the iterator one of vectors of items.
    #[doc(alias = "imap")]
    pub fn stream<I, A, R, F>(
        &self,
        source: I,
        task: Task<A, R, F>,
    ) -> Stream<'_, Result<R, ProcessError>>
    where
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
        A: Serialize + Send + Sync + 'static,
        R: DeserializeOwned + Send + 'static,
        F: 'static,
    {
        let (fleet, task) = (Arc::clone(&self.fleet), task.erased());
        self.threads().stream(source, move |item: A| {
            over::one_or_error(&fleet, task, &item)
        })
    }

    /// As [`stream`](Self::stream), with the results in the order in which they come.
    #[doc(alias = "imap_unordered")]
    pub fn stream_unordered<I, A, R, F>(
        &self,
        source: I,
        task: Task<A, R, F>,
    ) -> Stream<'_, Result<R, ProcessError>>
    where
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
        A: Serialize + Send + Sync + 'static,
        R: DeserializeOwned + Send + 'static,
        F: 'static,
    {
        let (fleet, task) = (Arc::clone(&self.fleet), task.erased());
        self.threads().stream_unordered(source, move |item: A| {
            over::one_or_error(&fleet, task, &item)
        })
    }

    /// Ends the pool: waits for spawned tasks and for the workers to end. Dropping does the same.
    pub fn shutdown(self) {}

    /// Ends the pool at once: kills the workers, whatever they are at. Handles of tasks that were not done give an error of kind
    /// [`Killed`](super::ProcessErrorKind::Killed).
    #[doc(alias = "terminate")]
    pub fn kill(self) {
        self.fleet.kill();
    }

    /// Threads that drive a worker each for tasks that are not waited for here. Where the system
    /// refuses some, fewer workers are driven at once; where it refuses all, tasks run before their
    /// handle is given back.
    fn threads(&self) -> &Pool {
        self.threads.get_or_init(|| {
            let mut workers = self.fleet.workers;
            loop {
                let builder = Pool::builder()
                    .workers(workers)
                    .thread_name(|index| format!("scipar-process-{index}"));
                match builder.build() {
                    Ok(threads) => return threads,
                    Err(_) if workers > 1 => workers /= 2,
                    Err(_) => return Pool::new(1),
                }
            }
        })
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("workers", &self.fleet.workers)
            .field("starts", &self.fleet.starts())
            .finish_non_exhaustive()
    }
}
