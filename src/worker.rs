//! `Worker`: a thread with the life cycle of a process.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, TryRecvError};

use crate::channel::{Receives, Register};
use crate::error::JoinError;
use crate::fork;
use crate::panic::{caught, discard};
use crate::timer::try_thread_time;

/// A thread of its own for work that goes on for long: a server of requests, a reader, a simulation. It has a name, can be
/// asked to stop, waited for, and watched; dropping it stops it and waits for its end.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use scipar::Worker;
///
/// let worker = Worker::spawn(|stop| {
///     let mut ticks = 0;
///     while !stop.wait_timeout(Duration::from_millis(1)) {
///         ticks += 1;
///     }
///     ticks
/// });
/// worker.stop();
/// assert!(worker.join().unwrap() >= 0);
/// ```
#[doc(alias = "Thread")]
#[doc(alias = "Process")]
pub struct Worker<R> {
    name: String,
    shared: Arc<Shared>,
    /// The result, once; disconnected when the thread is over.
    result: Receiver<Result<R, JoinError>>,
    /// The process whose thread it is; a fork has none of it.
    process: u32,
    /// `None` when it has been waited for, or let go.
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    /// Dropped to stop.
    go_on: Mutex<Option<Sender<Infallible>>>,
    /// Of the thread, for the system.
    #[cfg(target_os = "linux")]
    id: OnceLock<i32>,
    /// CPU time, when it is over.
    spent: OnceLock<Option<Duration>>,
}

/// Options for a new [`Worker`].
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing before `spawn`"]
pub struct WorkerBuilder {
    name: Option<String>,
    stack_size: Option<usize>,
}

impl WorkerBuilder {
    /// Its name, also the thread's; `worker` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Stack size in bytes; the standard library's default otherwise.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where the system refuses a thread, or the name has a NUL byte in it.
    pub fn spawn<R, F>(self, f: F) -> io::Result<Worker<R>>
    where
        F: FnOnce(&Stop) -> R + Send + 'static,
        R: Send + 'static,
    {
        let name = self.name.unwrap_or_else(|| "worker".to_owned());
        if name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a worker's name has a NUL byte in it",
            ));
        }
        let (go_on, stopped) = crossbeam_channel::bounded(0);
        let shared = Arc::new(Shared {
            go_on: Mutex::new(Some(go_on)),
            #[cfg(target_os = "linux")]
            id: OnceLock::new(),
            spent: OnceLock::new(),
        });
        let (send, result) = crossbeam_channel::bounded(1);
        let mut builder = thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let inside = Arc::clone(&shared);
        let thread = builder.spawn(move || {
            #[cfg(target_os = "linux")]
            let _ = inside
                .id
                .set(rustix::thread::gettid().as_raw_nonzero().get());
            let stop = Stop(stopped);
            let result = caught(|| f(&stop)).map_err(JoinError::Panicked);
            discard(send.send(result)); // it comes back where the worker was let go
            // From now on it is not alive: its result is there.
            let _ = inside.spent.set(try_thread_time());
        })?;
        Ok(Worker {
            name,
            shared,
            result,
            process: fork::generation(),
            thread: Some(thread),
        })
    }
}

impl Worker<()> {
    /// Options for a new worker.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }
}

impl<R> Worker<R> {
    /// Starts `f` on a thread of its own. It is given a [`Stop`], which it should look at, or wait on, now and then.
    ///
    /// # Panics
    ///
    /// Where the system refuses a thread; [`WorkerBuilder::spawn`] gives an error.
    #[track_caller]
    #[doc(alias = "start")]
    pub fn spawn<F>(f: F) -> Self
    where
        F: FnOnce(&Stop) -> R + Send + 'static,
        R: Send + 'static,
    {
        match Worker::builder().spawn(f) {
            Ok(worker) => worker,
            Err(error) => panic!("the system refused a thread: {error}"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its closure has neither returned nor panicked yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.spent.get().is_none()
    }

    /// Asks it to stop: its [`Stop`] says so from now on. Does not wait, and cannot stop a closure that does not look.
    #[doc(alias = "terminate")]
    pub fn stop(&self) {
        let go_on = self
            .shared
            .go_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(go_on);
    }

    /// CPU time of its thread so far; `None` where the system does not say. While the worker is alive only Linux does, with a lag of some
    /// milliseconds.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        if let Some(spent) = self.shared.spent.get() {
            return *spent;
        }
        let so_far = self.time_so_far();
        // The thread may have ended between the two looks.
        self.shared.spent.get().copied().unwrap_or(so_far)
    }

    #[cfg(target_os = "linux")]
    fn time_so_far(&self) -> Option<Duration> {
        let Some(id) = self.shared.id.get() else {
            return Some(Duration::ZERO); // it has not come to life yet
        };
        let path = format!("/proc/self/task/{id}/schedstat");
        let text = std::fs::read_to_string(path).ok()?;
        let nanos = text.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }

    #[cfg(not(target_os = "linux"))]
    fn time_so_far(&self) -> Option<Duration> {
        None
    }

    /// Waits for its end, without asking for it, and gives its result.
    ///
    /// # Errors
    ///
    /// When it panicked, with the payload.
    ///
    /// # Panics
    ///
    /// On the worker's own thread, where the wait would not end.
    #[track_caller]
    pub fn join(mut self) -> Result<R, JoinError> {
        if self.is_elsewhere() {
            return self.result_here();
        }
        assert!(!self.is_own_thread(), "a worker cannot wait for itself");
        let result = self.result.recv();
        self.wait_for_thread();
        result.unwrap_or(Err(JoinError::Forked))
    }

    /// As [`join`](Self::join), for so long at most: when the time is over, the worker comes back.
    ///
    /// # Errors
    ///
    /// `Err(worker)` when the time is over; `Ok(Err(error))` as [`join`](Self::join).
    ///
    /// # Panics
    ///
    /// On the worker's own thread.
    #[track_caller]
    pub fn join_timeout(mut self, timeout: Duration) -> Result<Result<R, JoinError>, Self> {
        if self.is_elsewhere() {
            return Ok(self.result_here());
        }
        assert!(!self.is_own_thread(), "a worker cannot wait for itself");
        // A time so long that no clock shows it is no limit.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return Ok(self.join());
        };
        match self.result.recv_deadline(deadline) {
            Ok(result) => {
                self.wait_for_thread();
                Ok(result)
            }
            Err(RecvTimeoutError::Timeout) => Err(self),
            Err(RecvTimeoutError::Disconnected) => Ok(Err(JoinError::Forked)),
        }
    }

    /// Lets it go: it runs on by itself, and nobody can stop it or have its result.
    #[doc(alias = "daemon")]
    pub fn detach(mut self) {
        self.thread = None;
    }

    /// Whether this process is a fork of the one whose thread this is.
    fn is_elsewhere(&self) -> bool {
        self.process != fork::generation()
    }

    /// In a fork: the result, if the worker was over when the process was forked.
    fn result_here(&self) -> Result<R, JoinError> {
        self.result.try_recv().unwrap_or(Err(JoinError::Forked))
    }

    fn is_own_thread(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| thread.thread().id() == thread::current().id())
    }

    fn wait_for_thread(&mut self) {
        if self.is_elsewhere() {
            std::mem::forget(self.thread.take()); // there is no such thread, and nothing to be done about its handle
        }
        let own = self.is_own_thread();
        if let Some(thread) = self.thread.take()
            && !own
        {
            let _ = thread.join(); // its closure's panic has been caught
        }
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
            self.wait_for_thread();
        }
        // A result that is there is dropped with the channel. It is the user's, and may panic, while this
        // is dropped by a panic.
        discard(std::mem::replace(
            &mut self.result,
            crossbeam_channel::never(),
        ));
    }
}

impl<R> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}

/// What tells a [`Worker`]'s closure to stop: [`Worker::stop`] was called, or the worker dropped.
///
/// It can be waited for together with queues and pipes: see [`wait_ready`](crate::channel::wait_ready).
#[derive(Clone, Debug)]
#[doc(alias = "Event")]
pub struct Stop(Receiver<Infallible>);

impl Stop {
    /// Whether it is time to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits until it is time to stop.
    pub fn wait(&self) {
        let _ = self.0.recv(); // nothing is ever sent
    }

    /// Waits for so long at most; says whether it is time to stop.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => matches!(
                self.0.recv_deadline(deadline),
                Err(RecvTimeoutError::Disconnected)
            ),
            None => {
                self.wait();
                true
            }
        }
    }
}

/// What sets a [`Stop`], by being dropped.
#[cfg(feature = "process")]
#[derive(Debug)]
pub(crate) struct Stopper(
    #[expect(dead_code, reason = "is there to be dropped")] Sender<Infallible>,
);

#[cfg(feature = "process")]
impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (go_on, stopped) = crossbeam_channel::bounded(0);
        (Self(go_on), Stop(stopped))
    }
}

impl Register for Stop {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        select.recv(&self.0);
        1
    }
}

impl Receives for Stop {}
