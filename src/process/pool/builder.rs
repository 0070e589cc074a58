//! How a pool is made.

use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

use super::ProcessPool;
use super::fleet::{Fleet, Initializer};
use crate::process::Stderr;
use crate::process::ask::ask;
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::station::Starter;
use crate::process::task::Task;
use crate::workers::Workers;

/// Options for a new [`ProcessPool`].
#[must_use = "options do nothing before `build`"]
pub struct ProcessPoolBuilder {
    workers: Workers,
    starter: Starter,
    initializer: Option<Initializer>,
    max_tasks: usize,
    retries: u32,
    kill_on_drop: bool,
}

impl Default for ProcessPoolBuilder {
    fn default() -> Self {
        Self {
            workers: Workers::all(),
            starter: Starter::default(),
            initializer: None,
            max_tasks: usize::MAX,
            retries: 1,
            kill_on_drop: false,
        }
    }
}

impl ProcessPoolBuilder {
    /// How many worker processes; as many as there are processors by default.
    ///
    /// # Panics
    ///
    /// Where the number is zero.
    #[doc(alias = "processes")]
    #[doc(alias = "max_workers")]
    #[track_caller]
    pub fn workers(mut self, workers: impl Into<Workers>) -> Self {
        self.workers = workers.into();
        self
    }

    /// How long one item may take before its worker is killed and the item fails. No limit by default.
    ///
    /// The time is that of one item, whatever the chunking. It is looked at about every eighth of it.
    #[doc(alias = "timeout")]
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.starter.task_timeout = Some(limit);
        self
    }

    /// Replaces a worker after so many items: a remedy for code that leaks. Never by default.
    ///
    /// # Panics
    ///
    /// Where `items` is zero.
    #[doc(alias = "maxtasksperchild")]
    #[track_caller]
    pub fn max_tasks_per_worker(mut self, items: usize) -> Self {
        assert!(items > 0, "a worker does at least one item");
        self.max_tasks = items;
        self
    }

    /// How often an item is tried again after a worker died of it, or beside it; 1 by default. An item that panics or takes too long is never
    /// tried again.
    ///
    /// An item that has died with others in its chunk has used up one try: it is to blame if it dies once more when it is alone.
    pub fn retries(mut self, times: u32) -> Self {
        self.retries = times;
        self
    }

    /// How long a new worker may take until it says that it is one; 30 seconds by default.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.starter.start_timeout = limit;
        self
    }

    /// Kills the workers when the pool is dropped, instead of letting them end. What they were at is over by then in any case; this is for
    /// libraries that take long to clean up.
    pub fn kill_on_drop(mut self) -> Self {
        self.kill_on_drop = true;
        self
    }

    /// Starts workers with this program and these arguments, instead of this program: another executable, an interpreter that loads the
    /// library that this code is in, a wrapper such as `nice`. It is to call [`init`](crate::process::init) and to have the same tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use scipar::process::ProcessPool;
    /// let builder = ProcessPool::builder()
    ///     .worker_command(["python3", "-c", "import ctypes; ctypes.CDLL('./libmine.so').my_worker()"]);
    /// ```
    pub fn worker_command<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.starter.command = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Where the workers' standard error goes; shown by default, where this program's goes.
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.starter.stderr = stderr;
        self
    }

    /// The longest message, in bytes, that a worker may send or be sent; 16 GiB by default. Longer ones are an error, and the worker is replaced.
    pub fn message_limit(mut self, bytes: u64) -> Self {
        self.starter.message_limit = bytes;
        self
    }

    /// Runs a task in every worker before anything else: loads a model, opens a file, sets a seed. It fails by panicking. The workers of a
    /// new pool run it side by side.
    ///
    /// # Errors of the pool
    ///
    /// A pool whose initializer fails is not built; a worker that has to be replaced and whose initializer fails ends the run that needs it.
    #[doc(alias = "initargs")]
    pub fn initializer<A, F>(mut self, task: Task<A, (), F>, arguments: A) -> Self
    where
        A: Serialize + Send + Sync + 'static,
        F: 'static,
    {
        let task = task.erased();
        self.initializer = Some(Arc::new(move |station| {
            ask(station, task.name(), task.signature(), &arguments)
        }));
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// Where [`init`](crate::process::init) has not been called, a worker cannot be started or does
    /// not say in time that it is one, or the initializer fails. What had been started by then is
    /// ended. More workers than a pool of threads can have are refused before the first is started.
    pub fn build(self) -> Result<ProcessPool, ProcessError> {
        let (workers, most) = (self.workers.count(), rayon::max_num_threads());
        if workers > most {
            let why = format!("{workers} workers are more than the {most} that a pool can have");
            return Err(ProcessError::saying(ProcessErrorKind::Start, why));
        }
        let fleet = Fleet::start(
            self.starter,
            self.initializer,
            workers,
            self.max_tasks,
            self.retries,
            self.kill_on_drop,
        )?;
        Ok(ProcessPool {
            threads: OnceLock::new(),
            fleet: Arc::new(fleet),
        })
    }
}

impl fmt::Debug for ProcessPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolBuilder")
            .field("workers", &self.workers)
            .field("starter", &self.starter)
            .field("max_tasks", &self.max_tasks)
            .field("retries", &self.retries)
            .field("kill_on_drop", &self.kill_on_drop)
            .finish_non_exhaustive()
    }
}
