//! The maps of the long form.

use super::state::{Dropped, Kept};
use super::{MadeBy, NoState, Parallel, WorkerState};
use crate::panic::discard;
use crate::parallel::outcome::{Outcomes, RunError};
use crate::source::Source;

impl<S: Source> Parallel<'_, S, NoState> {
    /// Maps every item.
    ///
    /// # Errors
    ///
    /// [`RunError`], where something [panicked](Parallel#when-something-panics) or the run was ended; results made
    /// until then are dropped.
    pub fn map<R, F>(self, f: F) -> Result<Vec<R>, RunError>
    where
        R: Send,
        F: Fn(S::Item) -> R + Sync,
    {
        self.results(Dropped, drop, &|(), item| Ok(f(item)))
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
        self.results(Dropped, drop, &|(), item| f(item))
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

    /// Maps every item and keeps everything: results, errors, panics, and which items were left out, and why. No
    /// failing item stops the others, nor does a listener that panics.
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
        self.everything(&|(), item| f(item))
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
    /// [`RunError`], where something [panicked](Parallel#when-something-panics) or the run was ended; results made
    /// until then are dropped.
    pub fn map<R, F>(self, f: F) -> Result<Vec<R>, RunError>
    where
        R: Send,
        F: Fn(&mut <MadeBy<M> as WorkerState>::State, S::Item) -> R + Sync,
    {
        self.results(Dropped, drop, &|state, item| Ok(f(state, item)))
            .map(|(results, _)| results)
    }

    /// As [`map`](Self::map), and hands the states back, in the order of the workers' numbers: counts, caches,
    /// histograms to be merged. They have to be `Send`, as they come from other threads.
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
        <MadeBy<M> as WorkerState>::State: Send,
    {
        let discard_all = |kept: Kept<_>| kept.into_states().for_each(discard);
        self.results(Kept::new(), discard_all, &|state, item| Ok(f(state, item)))
            .map(|(results, kept)| (results, kept.into_states().collect()))
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
        self.results(Dropped, drop, &f).map(|(results, _)| results)
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
        self.everything(&f)
    }
}
