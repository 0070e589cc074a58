//! The long form: one builder where every option composes, and errors instead of panics.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::buffers::{Input, Output};
use super::control::{CancelToken, Control, Listener, Progress, Stop};
use super::engine::drive_with;
use super::job::{Long, Seat};
use super::outcome::{Outcome, Outcomes, Report, RunError};
use crate::chunking::Chunking;
use crate::panic::{caught, discard};
use crate::pool::Pool;
use crate::source::Source;
use crate::sync::Slot;

/// A map with options: which workers, how long, what to tell, what to keep when something fails.
///
/// The short forms, such as [`par_map_chunked`](crate::par_map_chunked), re-raise panics and have no options; this one
/// returns a [`RunError`] and can be cancelled, limited in time, watched, and given a state per worker.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use scipar::{CancelToken, Chunking, Pool};
///
/// let pool = Pool::new(4);
/// let points: Vec<f64> = (0..1_000).map(f64::from).collect();
/// let token = CancelToken::new();
///
/// let roots = pool
///     .over(&points)
///     .chunking(Chunking::auto())
///     .max_workers(2)
///     .cancel_on(&token)
///     .deadline(Duration::from_secs(30))
///     .progress(|p| eprintln!("{} of {}", p.finished, p.total))
///     .worker_state(|_worker| Vec::with_capacity(16)) // a scratch buffer, once per worker
///     .map(|scratch: &mut Vec<f64>, x| {
///         scratch.clear();
///         scratch.push(x.sqrt());
///         scratch[0]
///     })?;
/// assert_eq!(roots[81], 9.0);
/// # Ok::<(), scipar::RunError>(())
/// ```
///
/// # Ordering and determinism
///
/// Exact: result `i` is that of item `i`. Of several failing items the lowest index is reported, whoever failed first; with a
/// [cost hint](Self::cost_hint), which changes the order of the work, the lowest of those that were come to.
///
/// # Blocking
///
/// Returns when all started work has ended: after a cancel or a deadline that is within one item.
#[must_use = "options do nothing before `map` or one of its siblings"]
pub struct Parallel<'a, S: Source, W = NoState> {
    pool: &'a Pool,
    source: S,
    chunking: Chunking,
    max_workers: usize,
    cancel: Option<CancelToken>,
    deadline: Option<Duration>,
    listener: Option<Listener<'a>>,
    hint: Option<Hint<'a, S>>,
    state: W,
}

type Hint<'a, S> = Box<dyn Fn(&Input<S>) -> Vec<usize> + Send + 'a>;

/// How a worker's state is made.
pub trait WorkerState: Sync + sealed::Sealed {
    /// What each worker has.
    type State: Send;

    #[doc(hidden)]
    fn make(&self, worker: usize) -> Self::State;
}

#[allow(unnameable_types, reason = "the trait is sealed")]
mod sealed {
    pub trait Sealed {}
}

/// Workers have no state.
#[derive(Clone, Copy, Debug)]
pub struct NoState;

impl sealed::Sealed for NoState {}

impl WorkerState for NoState {
    type State = ();

    fn make(&self, _worker: usize) {}
}

/// Workers have a state, made by a closure.
pub struct MadeBy<M>(M);

impl<M> fmt::Debug for MadeBy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeBy")
    }
}

impl<M> sealed::Sealed for MadeBy<M> {}

impl<T: Send, M: Fn(usize) -> T + Sync> WorkerState for MadeBy<M> {
    type State = T;

    fn make(&self, worker: usize) -> T {
        (self.0)(worker)
    }
}

impl Pool {
    /// A map over `source` with options, on this pool.
    pub fn over<S: Source>(&self, source: S) -> Parallel<'_, S> {
        Parallel {
            pool: self,
            source,
            chunking: Chunking::auto(),
            max_workers: self.num_workers(),
            cancel: None,
            deadline: None,
            listener: None,
            hint: None,
            state: NoState,
        }
    }
}

impl<S: Source> Parallel<'static, S> {
    /// A map over `source` with options, on the [global pool](Pool::global).
    pub fn over(source: S) -> Self {
        Pool::global().over(source)
    }
}

impl<'a, S: Source, W> Parallel<'a, S, W> {
    /// How the items are cut; [`Chunking::auto`] by default.
    pub fn chunking(mut self, chunking: impl Into<Chunking>) -> Self {
        self.chunking = chunking.into();
        self
    }

    /// At most so many workers, the caller included, in this call. More than the pool has are not had.
    ///
    /// # Panics
    ///
    /// Where `workers` is zero.
    #[track_caller]
    #[doc(alias = "n_jobs")]
    pub fn max_workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "a run has at least one worker");
        self.max_workers = workers;
        self
    }

    /// Ends the run when the token is cancelled. What had been begun is finished: that is within one item.
    pub fn cancel_on(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Ends the run when this time has passed since it began. What had been begun is finished: that is within one
    /// item. Costs a clock reading per item.
    #[doc(alias = "timeout")]
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Called with the number of finished items about every 50 ms, and when the last one is finished, on the thread of
    /// whichever worker finds that it is time; never twice at once.
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'a) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Has the items with the largest estimated cost done first, so that none of them is begun last.
    ///
    /// `cost` is called once per item, before the run begins, on this thread; any unit will do. Items of equal cost, and
    /// those whose cost is NaN, which count as the cheapest, stay in order. The results are in input order all the same.
    /// Items are then handed out singly. Items have to be `Copy`, such as references, numbers or indices, as they are
    /// looked at first and handed out later.
    ///
    /// # Cost
    ///
    /// Sorts the indices: worth it where items cost microseconds and more.
    #[doc(alias = "longest_first")]
    pub fn cost_hint(mut self, cost: impl Fn(S::Item) -> f64 + Send + 'a) -> Self
    where
        S::Item: Copy,
    {
        self.hint = Some(Box::new(move |input: &Input<S>| {
            let mut costs = vec![f64::NEG_INFINITY; input.len()];
            input.peek(|index, item| {
                let cost = cost(*item);
                costs[index] = if cost.is_nan() {
                    f64::NEG_INFINITY
                } else {
                    cost
                };
            });
            let mut order: Vec<usize> = (0..costs.len()).collect();
            order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]));
            order
        }));
        self
    }

    /// Gives each worker a state of its own: a scratch buffer, a generator, a connection. The closures of the
    /// run get it as `&mut`.
    ///
    /// `make` is called exactly once per worker that takes part, on that worker, with its number from 0; the caller is
    /// number 0.
    #[doc(alias = "map_init")]
    #[doc(alias = "using")]
    pub fn worker_state<T: Send, M: Fn(usize) -> T + Sync>(
        self,
        make: M,
    ) -> Parallel<'a, S, MadeBy<M>> {
        Parallel {
            pool: self.pool,
            source: self.source,
            chunking: self.chunking,
            max_workers: self.max_workers,
            cancel: self.cancel,
            deadline: self.deadline,
            listener: self.listener,
            hint: self.hint,
            state: MadeBy(make),
        }
    }
}

impl<S: Source> Parallel<'_, S, NoState> {
    /// Maps every item.
    ///
    /// # Errors
    ///
    /// [`RunError`], where an item panicked or the run was ended; results made until then are dropped.
    pub fn map<R, F>(self, f: F) -> Result<Vec<R>, RunError>
    where
        R: Send,
        F: Fn(S::Item) -> R + Sync,
    {
        self.run(false, &|(), item| Ok(f(item)))
            .into_results()
            .map(|(results, _)| results)
    }

    /// Maps every item with a closure that can fail; stops at the first error.
    ///
    /// # Errors
    ///
    /// [`RunError::Failed`] with the lowest failing index, and those of [`map`](Self::map).
    pub fn try_map<R, E, F>(self, f: F) -> Result<Vec<R>, RunError<E>>
    where
        R: Send,
        E: Send,
        F: Fn(S::Item) -> Result<R, E> + Sync,
    {
        self.run(false, &|(), item| f(item))
            .into_results()
            .map(|(results, _)| results)
    }

    /// Calls a closure with every item, for its effects.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn for_each<F>(self, f: F) -> Result<(), RunError>
    where
        F: Fn(S::Item) + Sync,
    {
        self.map(f).map(drop)
    }

    /// Maps every item and keeps everything: results, errors, panics, and which items a cancel or a deadline left out.
    /// No failing item stops the others.
    ///
    /// # Cost
    ///
    /// Two clock readings per item, for [`Report::longest`].
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::{Outcome, Parallel};
    ///
    /// let outcomes = Parallel::over(0..4).outcomes(|i| if i == 2 { Err("two") } else { Ok(i * i) });
    /// assert!(matches!(outcomes.items[2], Outcome::Failed("two")));
    /// assert_eq!(outcomes.items.into_iter().filter_map(Outcome::done).collect::<Vec<_>>(), [0, 1, 9]);
    /// assert_eq!(outcomes.report.finished, 4);
    /// ```
    #[doc(alias = "return_exceptions")]
    pub fn outcomes<R, E, F>(self, f: F) -> Outcomes<R, E>
    where
        R: Send,
        E: Send,
        F: Fn(S::Item) -> Result<R, E> + Sync,
    {
        self.run(true, &|(), item| Ok::<_, Infallible>(outcome(|| f(item))))
            .into_outcomes()
    }
}

impl<S: Source, M> Parallel<'_, S, MadeBy<M>>
where
    MadeBy<M>: WorkerState,
{
    /// Maps every item with the state of the worker that does it.
    ///
    /// # Errors
    ///
    /// [`RunError`], where an item panicked or the run was ended; results made until then are dropped. A panic
    /// in making a state counts as that of the worker's first item.
    pub fn map<R, F>(self, f: F) -> Result<Vec<R>, RunError>
    where
        R: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> R + Sync,
    {
        self.map_and_states(f).map(|(results, _)| results)
    }

    /// As [`map`](Self::map), and hands the states back, in the order of the workers' numbers: counts, caches,
    /// histograms to be merged.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    #[allow(clippy::type_complexity, reason = "results and states")]
    pub fn map_and_states<R, F>(
        self,
        f: F,
    ) -> Result<(Vec<R>, Vec<<MadeBy<M> as WorkerState>::State>), RunError>
    where
        R: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> R + Sync,
    {
        self.run(false, &|state, item| Ok(f(state, item)))
            .into_results()
    }

    /// Maps every item with a closure that can fail; stops at the first error.
    ///
    /// # Errors
    ///
    /// [`RunError::Failed`] with the lowest failing index, and those of [`map`](Self::map).
    pub fn try_map<R, E, F>(self, f: F) -> Result<Vec<R>, RunError<E>>
    where
        R: Send,
        E: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> Result<R, E> + Sync,
    {
        self.run(false, &f)
            .into_results()
            .map(|(results, _)| results)
    }

    /// Calls a closure with every item, for its effects.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn for_each<F>(self, f: F) -> Result<(), RunError>
    where
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) + Sync,
    {
        self.map(f).map(drop)
    }

    /// Maps every item and keeps everything; see [`Parallel::outcomes`]. After a panic the worker's state is
    /// used on, as it was left.
    pub fn outcomes<R, E, F>(self, f: F) -> Outcomes<R, E>
    where
        R: Send,
        E: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> Result<R, E> + Sync,
    {
        self.run(true, &|state, item| {
            Ok::<_, Infallible>(outcome(|| f(state, item)))
        })
        .into_outcomes()
    }
}

/// An item's outcome, whatever it does.
fn outcome<R, E>(f: impl FnOnce() -> Result<R, E>) -> Outcome<R, E> {
    match caught(f) {
        Ok(Ok(result)) => Outcome::Done(result),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(panic) => Outcome::Panicked(panic),
    }
}

impl<S: Source, W: WorkerState> Parallel<'_, S, W> {
    fn run<R, E, F>(self, timed: bool, f: &F) -> Ended<R, E, W::State>
    where
        R: Send,
        E: Send,
        F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
    {
        let input = Input::new(self.source);
        let order = self.hint.map(|hint| hint(&input));
        let len = input.len();
        let grains = if order.is_some() {
            Chunking::size(1).grains(len)
        } else {
            self.chunking.grains(len)
        };
        let max_workers = if self.chunking.is_serial() {
            1
        } else {
            self.max_workers.min(self.pool.num_workers())
        };
        let job = Long {
            input,
            output: Output::new(len),
            order,
            grains,
            control: Control::new(self.cancel, self.deadline, self.listener, len),
            seats: (0..max_workers).map(|_| Slot::new(Seat::new())).collect(),
            stopped: Mutex::new(None),
            error: Mutex::new(None),
            state: &self.state,
            timed,
            f,
        };
        let fault = drive_with(self.pool, max_workers - 1, grains.num_nonempty(), len, &job).err();
        let (control, total) = (job.control, len);
        let (wall, finished) = (control.elapsed(), control.finished());
        let seats: Vec<Seat<W::State>> =
            job.seats.into_iter().filter_map(Slot::into_inner).collect();
        let error = job
            .error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let failure = match (error, fault) {
            // Of an error and a panic the lower index decides, as in a plain loop.
            (Some((at, error)), Some(fault)) if at < fault.index => {
                Some(RunError::Failed { index: at, error })
            }
            (error, Some(fault)) => {
                discard(error);
                Some(RunError::Panicked {
                    index: fault.index,
                    panic: fault.panic,
                })
            }
            (Some((index, error)), None) => Some(RunError::Failed { index, error }),
            (None, None) => job
                .stopped
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .map(|stop| match stop {
                    Stop::Cancelled => RunError::Cancelled { finished, total },
                    Stop::Deadline => RunError::DeadlineExceeded { finished, total },
                }),
        };
        let report = Seat::report(&seats, wall, max_workers, finished, total);
        Ended {
            output: job.output,
            failure,
            states: seats.into_iter().filter_map(|seat| seat.state).collect(),
            report,
        }
    }
}

/// A run that has ended.
struct Ended<R, E, T> {
    output: Output<R>,
    failure: Option<RunError<E>>,
    states: Vec<T>,
    report: Report,
}

impl<R, E, T> Ended<R, E, T> {
    fn into_results(self) -> Result<(Vec<R>, Vec<T>), RunError<E>> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok((self.output.into_vec(), self.states)),
        }
    }
}

impl<R, E, T> Ended<Outcome<R, E>, Infallible, T> {
    /// What the failure was is in the outcomes: items that were not run.
    fn into_outcomes(self) -> Outcomes<R, E> {
        Outcomes {
            items: self.output.into_vec_or(|| Outcome::NotRun),
            report: self.report,
        }
    }
}

impl<S: Source, W> fmt::Debug for Parallel<'_, S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("chunking", &self.chunking)
            .field("max_workers", &self.max_workers)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
