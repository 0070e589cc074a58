//! The reductions of the long form.

use super::{MadeBy, NoState, Parallel, WorkerState};
use crate::parallel::outcome::RunError;
use crate::source::{Source, Values};

impl<S: Source> Parallel<'_, S, NoState> {
    /// Maps every item and combines the results; `identity` is the answer for an empty source. The answer has the bits
    /// of [`par_map_reduce_chunked`](crate::par_map_reduce_chunked), whose algebra holds here too,
    /// whatever the options and the workers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use scipar::Parallel;
    ///
    /// let sum_of_squares = Parallel::over(0..1000_u64)
    ///     .deadline(Duration::from_secs(30))
    ///     .progress(|p| eprintln!("{} of {}", p.finished, p.total))
    ///     .map_reduce(|i| i * i, || 0, |a, b| a + b)?;
    /// assert_eq!(sum_of_squares, 332_833_500);
    /// # Ok::<(), scipar::RunError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError`], where something [panicked](Parallel#when-something-panics) or the run was ended; what was
    /// combined until then is dropped.
    #[doc(alias = "tmapreduce")]
    pub fn map_reduce<R, F, I, O>(self, map: F, identity: I, op: O) -> Result<R, RunError>
    where
        R: Send,
        F: Fn(S::Item) -> R + Sync,
        I: FnOnce() -> R,
        O: Fn(R, R) -> R + Sync,
    {
        self.reduce_with(&|(), item| map(item), identity, &op)
    }

    /// Combines the items; `identity` is the answer for an empty source. The answer has the bits of
    /// [`par_reduce_chunked`](crate::par_reduce_chunked).
    ///
    /// # Errors
    ///
    /// As [`map_reduce`](Self::map_reduce).
    pub fn reduce<I, O>(self, identity: I, op: O) -> Result<S::Value, RunError>
    where
        S: Values,
        S::Value: Send,
        I: FnOnce() -> S::Value,
        O: Fn(S::Value, S::Value) -> S::Value + Sync,
    {
        self.reduce_with(&|(), item| S::value(item), identity, &op)
    }
}

impl<S: Source, M> Parallel<'_, S, MadeBy<M>>
where
    MadeBy<M>: WorkerState,
{
    /// Maps every item with the state of the worker that does it, and combines the results; see
    /// [`Parallel::map_reduce`]. Where the results of `map` do not depend on the state that they
    /// find, neither does the answer depend on the workers.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_reduce<R, F, I, O>(self, map: F, identity: I, op: O) -> Result<R, RunError>
    where
        R: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> R + Sync,
        I: FnOnce() -> R,
        O: Fn(R, R) -> R + Sync,
    {
        self.reduce_with(&map, identity, &op)
    }
}
