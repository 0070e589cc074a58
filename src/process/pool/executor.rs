//! One interface over threads and processes, for programs that choose when they run.

use std::borrow::Borrow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ProcessPool;
use crate::chunking::Chunking;
use crate::parallel::RunError;
use crate::pool::Pool;
use crate::process::error::ProcessError;
use crate::process::task::Task;
use crate::source::Source;

/// A pool that maps tasks: of threads or of processes, whichever the program has chosen.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, Pool};
/// use scipar::process::{self, Executor, ProcessPool, task};
///
/// task! { fn cube(x: i64) -> i64 { x * x * x } }
///
/// fn total(on: &impl Executor) -> Result<i64, Box<dyn std::error::Error>> {
///     Ok(on.map_tasks(0..100_i64, Chunking::auto(), cube)?.into_iter().sum())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     assert_eq!(total(&Pool::new(2))?, total(&ProcessPool::new(2)?)?);
///     Ok(())
/// }
/// ```
#[doc(alias = "concurrent.futures")]
pub trait Executor {
    /// Maps every item, in order. On threads each item is cloned for its call, as the task takes it by value.
    ///
    /// # Errors
    ///
    /// [`RunError`] of the lowest item that failed.
    fn map_tasks<S, A, R, F>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        task: Task<A, R, F>,
    ) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S: Source,
        S::Item: Borrow<A>,
        A: Clone + Serialize + Sync,
        R: DeserializeOwned + Send;
}

impl Executor for Pool {
    fn map_tasks<S, A, R, F>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        task: Task<A, R, F>,
    ) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S: Source,
        S::Item: Borrow<A>,
        A: Clone + Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        let task = task.erased();
        let run = self.over(source).chunking(chunking);
        run.try_map(|item| Ok(task.call(item.borrow().clone())))
    }
}

impl Executor for ProcessPool {
    fn map_tasks<S, A, R, F>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        task: Task<A, R, F>,
    ) -> Result<Vec<R>, RunError<ProcessError>>
    where
        S: Source,
        S::Item: Borrow<A>,
        A: Clone + Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        self.par_map_chunked(source, chunking, task)
    }
}
