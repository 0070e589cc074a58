//! The long form: one builder where every option composes, and errors instead of panics.

use std::fmt;
use std::time::Duration;

use super::buffers::Input;
use super::control::{CancelToken, Listener, Progress};
use crate::chunking::Chunking;
use crate::pool::Pool;
use crate::source::Source;

mod items;
mod leaves;
mod maps;
mod reductions;
mod run;
mod state;
mod work;

pub use state::{MadeBy, NoState, WorkerState};

/// A map or a reduction with options: which workers, how long, what to tell, what to keep when something fails.
///
/// The short forms, such as [`par_map_chunked`](crate::par_map_chunked), re-raise panics and have no options; this one
/// returns a [`RunError`](crate::RunError) and can be cancelled, limited in time, watched, and given a state per worker.
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
/// Reductions are reproducible: they have the bits of the short forms.
///
/// # Blocking
///
/// Returns when all started work has ended: after a cancel or a deadline that is within one item. May be called from inside a
/// worker or another call's closure without deadlock.
///
/// # When something panics
///
/// Everything that is the caller's code may panic, and no panic is lost. A map or a reduction of the long form is all or
/// nothing, so it ends at once and gives the error; [`outcomes`](Self::outcomes) does what can still be done and says in
/// [`Outcomes::fault`](crate::Outcomes::fault) what could not. Everything is dropped exactly once, and the pool stays usable.
///
/// | what panics | short forms | `map`, `try_map`, `for_each`, `map_reduce` ... | `outcomes` |
/// |---|---|---|---|
/// | the source, when its items are counted | re-raised, before any item | [`SourcePanicked`] | no items; `fault` |
/// | the cost hint | | [`HintPanicked`], before any item | items in input order; `fault` |
/// | making a worker's state | | [`StatePanicked`] | the other workers go on without it, unless it is the caller's; `fault` |
/// | dropping it | | [`StatePanicked`] | `fault` |
/// | the progress listener | | [`ListenerPanicked`] | it is not called again; `fault` |
/// | the closure, or a drop within it, of the item too | re-raised: the lowest index | [`Panicked`]: the lowest index | the item's [`Outcome::Panicked`](crate::Outcome::Panicked) |
/// | the operation of a reduction | re-raised: some one | [`OpPanicked`]: some one | |
/// | the identity of a reduction | re-raised | [`IdentityPanicked`] | |
/// | dropping items that are not run, or results of a run that failed | re-raised where that was an error, not where it was a panic | nothing more | nothing more |
/// | dropping an error with a higher index than another one | nothing more | nothing more | |
/// | dropping the closures themselves | the caller's panic, when all work has ended | the same | the same |
///
/// *Nothing more* is: the panic hook has reported it, and the run's error, which it comes after, is what is returned. Where
/// several things panic, an item goes before all that is no item, and that goes in the order of the table.
///
/// [`SourcePanicked`]: crate::RunError::SourcePanicked
/// [`HintPanicked`]: crate::RunError::HintPanicked
/// [`StatePanicked`]: crate::RunError::StatePanicked
/// [`ListenerPanicked`]: crate::RunError::ListenerPanicked
/// [`Panicked`]: crate::RunError::Panicked
/// [`OpPanicked`]: crate::RunError::OpPanicked
/// [`IdentityPanicked`]: crate::RunError::IdentityPanicked
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

/// Puts down the cost of each item.
type Hint<'a, S> = Box<dyn Fn(&Input<S>, &mut Vec<f64>) + Send + 'a>;

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

    /// Called with the number of finished items about every 50 ms, whatever the chunks, and when the last one is
    /// finished; never twice at once. It is called between two items, on the thread of whichever worker finds that it
    /// is time: an item that takes longer than that delays it, and so do, once, up to 512 items where they
    /// suddenly take much longer than those before.
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'a) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Has the items with the largest estimated cost done first, so that none of them is begun last.
    ///
    /// `cost` is called once per item, before the run begins, on this thread; any unit will do. Items of equal cost, and
    /// those whose cost is NaN, which count as the cheapest, stay in order. The results are in input order all the same.
    /// Items are then handed out singly; in a reduction the leaves with the largest sums of costs come first. Items have to
    /// be `Copy`, such as references, numbers or indices, as they are looked at first and handed out later.
    ///
    /// # Cost
    ///
    /// Sorts the indices: worth it where items cost microseconds and more.
    #[doc(alias = "longest_first")]
    pub fn cost_hint(mut self, cost: impl Fn(S::Item) -> f64 + Send + 'a) -> Self
    where
        S::Item: Copy,
    {
        self.hint = Some(Box::new(move |input: &Input<S>, costs: &mut Vec<f64>| {
            input.peek(|_, item| costs.push(cost(*item)));
        }));
        self
    }

    /// Gives each worker a state of its own: a scratch buffer, a generator, a connection. The closures of the
    /// run get it as `&mut`.
    ///
    /// `make` is called exactly once per worker that takes part, on that worker, with its number from 0; the caller is
    /// number 0. The state is used there alone, and dropped there when the worker is done, so that it need not be
    /// `Send`: an `Rc`, or a handle that is bound to its thread, will do. Only
    /// [`map_and_states`](Self::map_and_states) hands the states over, which have to be `Send` there.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use std::rc::Rc;
    /// use scipar::Parallel;
    ///
    /// let lengths = Parallel::over(&["a", "bc"])
    ///     .worker_state(|_worker| Rc::new(RefCell::new(String::new())))
    ///     .map(|scratch, word| {
    ///         scratch.borrow_mut().push_str(word);
    ///         word.len()
    ///     })?;
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), scipar::RunError>(())
    /// ```
    #[doc(alias = "map_init")]
    #[doc(alias = "using")]
    #[doc(alias = "thread_local")]
    pub fn worker_state<T, M: Fn(usize) -> T + Sync>(self, make: M) -> Parallel<'a, S, MadeBy<M>> {
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

impl<S: Source, W> fmt::Debug for Parallel<'_, S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("chunking", &self.chunking)
            .field("max_workers", &self.max_workers)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
