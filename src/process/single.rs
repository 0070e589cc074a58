//! `Process`: one task in one process.

use std::ffi::OsString;
use std::fmt;
use std::marker::PhantomData;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Stderr;
use super::ask::{Asked, ask, hear};
use super::error::{ProcessError, ProcessErrorKind};
use super::os::{self, Want};
use super::station::{Starter, Station};
use super::task::Task;
use crate::timer::children;

/// A process of its own for one task: [`Worker`](crate::Worker) for code that must not take the program down with it.
///
/// The verbs are those of `Worker`. Dropping it asks it to stop, waits for two seconds, and kills it.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, Process, task};
///
/// task! { fn add(a: u64, b: u64) -> u64 { a + b } }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let process = Process::spawn(add, (2, 3))?;
///     assert!(process.pid() != std::process::id());
///     assert_eq!(process.join()?, 5);
///     Ok(())
/// }
/// ```
#[doc(alias = "Popen")]
pub struct Process<R> {
    /// In a box, as `join_timeout` hands the whole thing back and forth.
    station: Box<Station>,
    name: String,
    asked: Asked,
    /// CPU time, when the task is over.
    cpu: Option<Duration>,
    result: PhantomData<fn() -> R>,
}

/// Options for a new [`Process`].
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing before `spawn`"]
pub struct ProcessBuilder {
    name: Option<String>,
    starter: Starter,
}

impl ProcessBuilder {
    /// What it is called in messages; the task's name by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long it may take until it says that it is a worker; 30 seconds by default.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.starter.start_timeout = limit;
        self
    }

    /// How long the task may take before the process ends it, and itself.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.starter.task_timeout = Some(limit);
        self
    }

    /// Starts it with this program and these arguments; see
    /// [`ProcessPoolBuilder::worker_command`](super::ProcessPoolBuilder::worker_command).
    pub fn worker_command<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.starter.command = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Where its standard error goes; shown by default.
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.starter.stderr = stderr;
        self
    }

    /// The longest message, in bytes, that it may send or be sent; 16 GiB by default.
    pub fn message_limit(mut self, bytes: u64) -> Self {
        self.starter.message_limit = bytes;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where [`init`](super::init) has not been called, the system refuses, or the arguments cannot be encoded.
    pub fn spawn<A, R, F>(
        self,
        task: Task<A, R, F>,
        arguments: A,
    ) -> Result<Process<R>, ProcessError>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        let mut station = self.starter.start()?;
        station.greet()?;
        let asked = ask(&mut station, task.name(), task.signature(), &arguments)?;
        Ok(Process {
            station: Box::new(station),
            name: self.name.unwrap_or_else(|| task.name().to_owned()),
            asked,
            cpu: None,
            result: PhantomData,
        })
    }
}

impl Process<()> {
    /// Options for a new process.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}

impl<R> Process<R> {
    /// Starts a process that runs a task, with its arguments as one value: a tuple where there are several.
    ///
    /// # Errors
    ///
    /// Where [`init`](super::init) has not been called, the system refuses, or the arguments cannot be encoded.
    #[doc(alias = "start")]
    pub fn spawn<A, F>(task: Task<A, R, F>, arguments: A) -> Result<Self, ProcessError>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        Process::builder().spawn(task, arguments)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The system's number for it.
    #[must_use]
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.station.id()
    }

    /// Whether the process has not ended yet. One that has a result to give is alive until that has been taken.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.station.has_ended()
    }

    /// Asks it to stop: [`stop`](super::stop) says so in it from now on. Does not wait, and cannot stop a task that does not look.
    pub fn stop(&self) {
        self.station.ask_to_stop();
    }

    /// Kills it, and what it has started: it can neither refuse nor clean up.
    #[doc(alias = "terminate")]
    pub fn kill(&mut self) {
        // Waits for its end, which is at hand, so that it is known from now on.
        self.station.end_now(Duration::ZERO);
    }

    /// How it ended, if it has and that is known: after a kill, or a death that `join_timeout` has seen.
    #[must_use]
    #[doc(alias = "exitcode")]
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.station.status().is_none() && self.station.has_ended() {
            self.station.end_now(Duration::ZERO);
        }
        self.station.status()
    }

    /// CPU time that it has used so far, all its threads together; `None` where the system does not say.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        match self.station.status() {
            // Its number may be another process's by now.
            Some(_) => self.cpu,
            None => self.cpu.or_else(|| children::of_process(self.pid())),
        }
    }
}

impl<R: DeserializeOwned> Process<R> {
    /// Waits for its task's end, without asking for it, and gives the result.
    ///
    /// # Errors
    ///
    /// [`ProcessError`]: the task panicked, the process died, with the last lines of its standard error, or the result did not get through.
    pub fn join(mut self) -> Result<R, ProcessError> {
        self.take()
    }

    /// As [`join`](Self::join), for so long at most: when the time is over, the process comes back.
    ///
    /// A result that has begun to arrive is waited for.
    ///
    /// # Errors
    ///
    /// `Err(process)` when the time is over; `Ok(Err(error))` as [`join`](Self::join).
    pub fn join_timeout(mut self, timeout: Duration) -> Result<Result<R, ProcessError>, Self> {
        let until = Instant::now().checked_add(timeout);
        loop {
            let socket = self.station.link.socket();
            let end = self.station.end();
            let ready = os::wait(socket, Want::Read, end.as_deref(), until).unwrap_or_default();
            if ready.readable || ready.other || self.station.has_ended() {
                return Ok(self.take());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(self);
            }
        }
    }

    fn take(&mut self) -> Result<R, ProcessError> {
        if !self.station.is_own() {
            return Err(ProcessError::new(ProcessErrorKind::Forked));
        }
        let (result, cpu) = hear(&mut self.station, &self.asked)?;
        self.cpu = Some(cpu);
        self.station.ask_to_stop();
        result
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}
