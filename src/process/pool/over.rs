//! The long form on processes, and what all forms have in common: one run, and what is made of what it brings.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::{Cut, Portions};
use super::ended::{Ended, Options, panic_of, run};
use super::fleet::Fleet;
use super::goods::{Leaves, Parts, Values};
use super::run::{Failure, Words};
use crate::chunking::Chunking;
use crate::parallel::{CancelToken, Input, Listener, Outcomes, Progress, RunError, Tree};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::shared::{Pod, SharedMut};
use crate::process::task::{ContextTask, PartTask, Task};
use crate::process::wire::{Meanwhile, Output};
use crate::source::Source;

/// A map on processes with options; made by [`ProcessPool::over`](super::ProcessPool::over). The options are those of
/// [`Parallel`](crate::Parallel), and [`context`](Self::context).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use scipar::process::{self, ProcessPool, task};
///
/// task! {
///     fn lookup(table: &Vec<f64>, i: usize) -> f64 { table[i] }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let table: Vec<f64> = (0..100).map(f64::from).collect();
///     let pool = ProcessPool::new(2)?;
///     let found = pool
///         .over(0..100_usize)
///         .deadline(Duration::from_secs(30))
///         .context(&table) // sent once to each worker
///         .map(lookup)?;
///     assert_eq!(found, table);
///     Ok(())
/// }
/// ```
#[must_use = "options do nothing before `map` or one of its siblings"]
pub struct ProcessRun<'a, S: Source, C = NoContext> {
    fleet: &'a Fleet,
    source: S,
    chunking: Chunking,
    max_workers: usize,
    cancel: Option<CancelToken>,
    deadline: Option<Duration>,
    listener: Option<Listener<'a>>,
    context: C,
}

/// Tasks have no context.
#[derive(Clone, Copy, Debug)]
pub struct NoContext;

/// Tasks have a context.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a, C>(&'a C);

impl<'a, S: Source> ProcessRun<'a, S> {
    pub(super) fn new(fleet: &'a Fleet, source: S) -> Self {
        Self {
            fleet,
            source,
            chunking: Chunking::auto(),
            max_workers: fleet.workers,
            cancel: None,
            deadline: None,
            listener: None,
            context: NoContext,
        }
    }

    /// Data that every call needs: sent once to each worker that takes part, not once per item. The task gets it as its first argument.
    #[doc(alias = "initargs")]
    pub fn context<C>(self, context: &'a C) -> ProcessRun<'a, S, Context<'a, C>> {
        ProcessRun {
            fleet: self.fleet,
            source: self.source,
            chunking: self.chunking,
            max_workers: self.max_workers,
            cancel: self.cancel,
            deadline: self.deadline,
            listener: self.listener,
            context: Context(context),
        }
    }

    /// Maps every item.
    ///
    /// # Errors
    ///
    /// [`RunError`] of the lowest item that failed, or of what ended the run; the other results are dropped.
    pub fn map<A, R, F>(self, task: Task<A, R, F>) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.run_values(words(task.name(), task.signature()), true)
            .into_results()
    }

    /// Maps every item and keeps everything: results, panics, errors, and which items a cancel or a deadline left out.
    ///
    /// Where workers die and no new ones can be had, the first item that was not run has the error that says why.
    #[doc(alias = "return_exceptions")]
    pub fn outcomes<A, R, F>(self, task: Task<A, R, F>) -> Outcomes<R, ProcessError>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.run_values(words(task.name(), task.signature()), false)
            .into_outcomes()
    }

    /// Maps every item and combines the results; see [`ProcessPool::par_map_reduce_chunked`](super::ProcessPool::par_map_reduce_chunked).
    ///
    /// # Errors
    ///
    /// [`RunError`], with the first item of the lowest leaf that failed.
    pub fn map_reduce<A, R, F, G>(
        self,
        map: Task<A, R, F>,
        identity: impl FnOnce() -> R,
        op: Task<(R, R), R, G>,
    ) -> Result<R, RunError<ProcessError>>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        let input = Input::new(self.source);
        let items: Vec<S::Item> = input.all().collect();
        let leaves = self.chunking.leaves(items.len());
        let num_leaves = leaves.num_nonempty();
        if num_leaves == 0 {
            return Ok(identity());
        }
        let mut words = words(map.name(), map.signature());
        words.reduce = Some((op.name(), op.signature()));
        let options = Options {
            fleet: self.fleet,
            max_workers: self.max_workers,
            cancel: self.cancel,
            deadline: self.deadline,
            listener: self.listener,
            stops: true,
            repeatable: true,
        };
        let items: Vec<&A> = items.iter().map(Borrow::borrow).collect();
        let cut = Cut::Measured(Portions::default(), 1);
        let span = |leaf: usize| leaves.items(leaf..leaf + 1);
        let goods = Leaves {
            items: &items,
            leaves,
        };
        let ended = run(options, words, goods, cut, num_leaves, &span);
        Ok(combined(ended.into_results()?, |a, b| op.call((a, b))))
    }
}

impl<'a, S: Source, C: Serialize + Sync> ProcessRun<'a, S, Context<'a, C>> {
    /// Maps every item with a task that has the context.
    ///
    /// # Errors
    ///
    /// [`RunError`] of the lowest item that failed, or of what ended the run; the other results are dropped.
    pub fn map<A, R>(self, task: ContextTask<C, A, R>) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.run_with(task, true).into_results()
    }

    /// Maps every item with a task that has the context, and keeps everything.
    #[doc(alias = "return_exceptions")]
    pub fn outcomes<A, R>(self, task: ContextTask<C, A, R>) -> Outcomes<R, ProcessError>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.run_with(task, false).into_outcomes()
    }

    fn run_with<A, R>(self, task: ContextTask<C, A, R>, stops: bool) -> Ended<'a, R>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        /// The number of the last context; no two runs have the same.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let context = self.context.0;
        let send =
            |output: &mut Output, meanwhile: &mut Meanwhile<'_>| output.value(context, meanwhile);
        let mut words = words(task.name(), task.signature());
        words.context = Some((number, &send));
        self.run_values(words, stops)
    }
}

impl<'a, S: Source, C> ProcessRun<'a, S, C> {
    /// What is sent at once; [`Chunking::auto`] by default.
    pub fn chunking(mut self, chunking: impl Into<Chunking>) -> Self {
        self.chunking = chunking.into();
        self
    }

    /// At most so many workers in this call.
    ///
    /// # Panics
    ///
    /// Where `workers` is zero.
    #[track_caller]
    pub fn max_workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "a run has at least one worker");
        self.max_workers = workers.min(self.fleet.workers);
        self
    }

    /// Ends the run when the token is cancelled: workers that are at an item are killed, within some 10 ms.
    pub fn cancel_on(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Ends the run when this time has passed: workers that are at an item are killed.
    #[doc(alias = "timeout")]
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Called with the number of finished items about every 50 ms while it grows, and when the last
    /// one is finished, on a thread of its own; never twice at once. It may use this pool: where it
    /// waits for a worker it gets one when the run has let go of it, and the run returns when it
    /// has returned.
    ///
    /// Where the system refuses that thread, it is called once, on this thread, at the end. A panic
    /// of it ends the run, and goes on on this thread.
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'a) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    fn run_values<A, R>(self, words: Words<'_>, stops: bool) -> Ended<'a, R>
    where
        S::Item: Borrow<A>,
        A: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        let input = Input::new(self.source);
        let items: Vec<S::Item> = input.all().collect();
        let values = Values(items.iter().map(Borrow::borrow).collect());
        let total = items.len();
        let cut = if self.chunking.is_auto() {
            Cut::Measured(
                Portions::default(),
                self.chunking.grains(total).items(0..1).len(),
            )
        } else {
            Cut::Fixed(self.chunking.grains(total))
        };
        let options = Options {
            fleet: self.fleet,
            // One chunk, one worker: the debug mode.
            max_workers: if self.chunking.is_serial() {
                1
            } else {
                self.max_workers
            },
            cancel: self.cancel,
            deadline: self.deadline,
            listener: self.listener,
            stops,
            repeatable: true,
        };
        run(options, words, values, cut, total, &|item| item..item + 1)
    }
}

impl<S: Source, C> fmt::Debug for ProcessRun<'_, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRun")
            .field("chunking", &self.chunking)
            .field("max_workers", &self.max_workers)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

fn words<'j>(task: &'static str, signature: &'static str) -> Words<'j> {
    Words {
        task,
        signature,
        reduce: None,
        context: None,
        cpu: true,
    }
}

/// The value of the tree over these leaves, of which there is one at least.
fn combined<R>(leaves: Vec<R>, op: impl Fn(R, R) -> R) -> R {
    let count = leaves.len();
    let mut leaves = leaves.into_iter();
    let next = |_| leaves.next().expect("as many results as leaves");
    Tree::whole(count, next, &op)
}

/// The array is borrowed mutably for as long as parts of it are out: `run` returns when every worker that has had one has
/// answered, having unmapped it, or is known to have ended.
pub(super) fn update<T, A, R>(
    fleet: &Fleet,
    array: &mut SharedMut<T>,
    chunking: Chunking,
    task: PartTask<T, A, R>,
    arguments: impl Fn(Range<usize>) -> A + Sync,
) -> Result<Vec<R>, RunError<ProcessError>>
where
    T: Pod,
    A: Serialize,
    R: DeserializeOwned + Send,
{
    let parts = chunking.leaves(array.len());
    let span = |part: usize| parts.items(part..part + 1);
    let goods = Parts {
        array,
        parts,
        arguments: &arguments,
    };
    let options = Options {
        fleet,
        max_workers: fleet.workers,
        cancel: None,
        deadline: None,
        listener: None,
        stops: true,
        repeatable: false,
    };
    let total = parts.num_nonempty();
    let cut = Cut::Fixed(Chunking::size(1).grains(total));
    run(
        options,
        words(task.name(), task.signature()),
        goods,
        cut,
        total,
        &span,
    )
    .into_results()
}

/// One item, by itself.
///
/// It cannot be cancelled, as whoever waits for it has the pool: so its answer can be waited for by reading.
pub(super) fn one_or_error<A, R>(
    fleet: &Fleet,
    task: Task<A, R>,
    arguments: &A,
) -> Result<R, ProcessError>
where
    A: Serialize + Sync,
    R: DeserializeOwned + Send,
{
    one_unless(None, fleet, task, arguments)
}

fn one_unless<A, R>(
    cancel: Option<CancelToken>,
    fleet: &Fleet,
    task: Task<A, R>,
    arguments: &A,
) -> Result<R, ProcessError>
where
    A: Serialize + Sync,
    R: DeserializeOwned + Send,
{
    let options = Options {
        fleet,
        max_workers: 1,
        cancel,
        deadline: None,
        listener: None,
        stops: false,
        repeatable: true,
    };
    let cut = Cut::Fixed(Chunking::size(1).grains(1));
    let mut words = words(task.name(), task.signature());
    words.cpu = false; // there is no report
    let mut ended = run::<_, R>(options, words, Values(vec![arguments]), cut, 1, &|item| {
        item..item + 1
    });
    if let Some((_, failure)) = ended.failures.pop() {
        return Err(match failure {
            Failure::Failed(error) => error,
            Failure::Panicked { message, place } => ProcessError::panicked(message, place),
        });
    }
    let result = ended.pieces.pop().and_then(|mut piece| piece.results.pop());
    result.ok_or_else(|| {
        ended
            .fault
            .unwrap_or_else(|| ProcessError::new(ProcessErrorKind::Killed))
    })
}

/// As [`one_or_error`], until the pool is killed, and with the task's panic as a panic of this thread.
pub(super) fn one<A, R>(fleet: &Fleet, task: Task<A, R>, arguments: &A) -> Result<R, ProcessError>
where
    A: Serialize + Sync,
    R: DeserializeOwned + Send,
{
    let result = one_unless(Some(fleet.killed().clone()), fleet, task, arguments);
    match result {
        Err(error) if error.is_panic() => panic_of(error.panic_text()).resume(),
        result => result,
    }
}
