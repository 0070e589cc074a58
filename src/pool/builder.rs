//! Options of a pool, and the start of its threads.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::home::Home;
use super::inside::PutOff;
use super::placement::{self, Placement};
use super::{GLOBAL, Pool, Threads};
use crate::workers::Workers;

type Hook = Arc<dyn Fn(usize) + Send + Sync>;
type Namer = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// What a pool's threads are started with.
#[derive(Clone, Default)]
pub(super) struct Settings {
    thread_name: Option<Namer>,
    stack_size: Option<usize>,
    on_start: Option<Hook>,
    on_exit: Option<Hook>,
    /// The threads' affinity is left alone.
    keep_affinity: bool,
    /// Each thread has a core of its own.
    pin: bool,
    /// For how long a thread looks for more work before it sleeps.
    pub(super) spin: Duration,
}

/// Options for a new [`Pool`].
///
/// # Examples
///
/// ```
/// use scipar::{Pool, Workers};
///
/// let pool = Pool::builder()
///     .workers(Workers::fraction(0.5))
///     .thread_name(|i| format!("price-{i}"))
///     .stack_size(4 << 20)
///     .build()?;
/// assert!(pool.num_workers() >= 1);
/// # Ok::<(), scipar::PoolError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing before `build`"]
pub struct PoolBuilder {
    workers: Workers,
    settings: Settings,
}

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// How many workers; [`Workers::all`] by default.
    ///
    /// # Panics
    ///
    /// Where the number is zero.
    #[track_caller]
    #[doc(alias = "num_threads")]
    #[doc(alias = "max_workers")]
    #[doc(alias = "n_jobs")]
    pub fn workers(mut self, workers: impl Into<Workers>) -> Self {
        self.workers = workers.into();
        self
    }

    /// Names the threads, by their index from 0; `scipar-0`, `scipar-1` ... by default.
    ///
    /// Called on the thread that starts them, while the pool is being started: it must not use this
    /// very pool, which would wait for its own start for ever.
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.settings.thread_name = Some(Arc::new(name));
        self
    }

    /// Stack size of each thread in bytes; the standard library's default (2 MiB, or `RUST_MIN_STACK`) otherwise.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// Called on each thread, with its index, before it does any work. A panic in it aborts the process.
    #[doc(alias = "initializer")]
    #[doc(alias = "start_handler")]
    pub fn on_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.settings.on_start = Some(Arc::new(hook));
        self
    }

    /// Called on each thread, with its index, after its last work. A panic in it aborts the process.
    #[doc(alias = "exit_handler")]
    pub fn on_exit(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.settings.on_exit = Some(Arc::new(hook));
        self
    }

    /// Leaves the affinity of the threads alone.
    ///
    /// Otherwise, on Linux, a pool of up to 16 threads keeps them off the core of the thread that calls one of its
    /// operations, within the mask that they were started with: the system likes to put a woken thread on the very core that is
    /// busy with waking it. No other thread is touched. Threads may use every core of their mask again during
    /// [`Pool::install`].
    pub fn keep_affinity(mut self) -> Self {
        self.settings.keep_affinity = true;
        self
    }

    /// Pins each thread to one core: thread `i` to the `i`-th core of the mask that the process has when the threads start, round and
    /// round where there are more threads. Off by default. Only on Linux; elsewhere it does nothing.
    ///
    /// It is for memory that is local to a core, on a machine that nobody else uses: a pinned thread waits for its core where
    /// another program has it. Other threads, the caller's among them, are not touched, so a caller may share a core with a helper.
    pub fn pin(mut self) -> Self {
        self.settings.pin = true;
        self
    }

    /// For how long a helper whose work is done looks for more before it sleeps; 10 ms at most. Zero by default: rayon's own few rounds
    /// of looking remain, which bridge the gap between calls that follow each other at once.
    ///
    /// It is for loops of short calls with somewhat longer gaps, which then save the waking of threads. Each helper burns up to this much
    /// CPU time after each call that had helpers, on a core that others could use. As measured by `benches/iterate.rs` on two cores, with
    /// 100 us of serial work between the calls and a spin of 100 us: calls of 50 us of work went from 0.97 to 1.39 times serial speed, of
    /// 200 us from 1.47 to 1.73, and the CPU time of a step from 1.02 to 1.75 and from 1.33 to 1.44 times that of the serial loop.
    pub fn spin(mut self, time: Duration) -> Self {
        self.settings.spin = time.min(Duration::from_millis(10));
        self
    }

    /// Makes the pool and starts its threads. With one worker there is nothing to start.
    ///
    /// # Errors
    ///
    /// Where the system refuses a thread.
    pub fn build(self) -> Result<Pool, PoolError> {
        let pool = Pool::with_settings(self.workers, self.settings);
        if pool.num_workers > 1 {
            pool.threads()?;
        }
        Ok(pool)
    }

    /// Makes this the [global pool](Pool::global).
    ///
    /// # Errors
    ///
    /// Where there is a global pool already, because this was called before or because a free
    /// function has made it, and where the system refuses a thread.
    pub fn build_global(self) -> Result<&'static Pool, PoolError> {
        let pool = self.build()?;
        match GLOBAL.set(pool) {
            Ok(()) => Ok(Pool::global()),
            Err(_) => Err(PoolError(Reason::GlobalExists)),
        }
    }
}

impl Settings {
    /// Starts `num_threads` threads.
    pub(super) fn start(&self, num_threads: usize) -> Result<Threads, PoolError> {
        let most = rayon::max_num_threads();
        if num_threads > most {
            let workers = num_threads;
            return Err(PoolError(Reason::TooMany { workers, most }));
        }
        let handles = Mutex::new(Vec::new());
        let placed = !self.keep_affinity && !self.pin;
        let placement = placed.then(|| Arc::new(Placement::new()));
        let home = Home::new();
        let abandoned = Arc::new(AtomicBool::new(false));
        let put_off = Arc::new(PutOff::default());
        let mut failure = None;
        let mut rayon = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
        if let Some(hook) = self.on_start.clone() {
            rayon = rayon.start_handler(move |index| hook(index));
        }
        if let Some(hook) = self.on_exit.clone() {
            rayon = rayon.exit_handler(move |index| hook(index));
        }
        let spawned = rayon
            .spawn_handler(|thread| {
                let index = thread.index();
                let name = self
                    .thread_name
                    .as_ref()
                    .map_or_else(|| format!("scipar-{index}"), |name| name(index));
                let mut builder = std::thread::Builder::new().name(name);
                if let Some(bytes) = self.stack_size {
                    builder = builder.stack_size(bytes);
                }
                let placement = placement.clone();
                let (home, abandoned) = (home.clone(), Arc::clone(&abandoned));
                let put_off = Arc::clone(&put_off);
                let pin = self.pin;
                let run = move || {
                    home.settle(abandoned);
                    put_off.settle();
                    if pin {
                        placement::pin(index);
                    }
                    if let Some(placement) = placement {
                        placement.register();
                    }
                    thread.run();
                };
                match builder.spawn(run) {
                    Ok(handle) => {
                        handles
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .push(handle);
                        Ok(())
                    }
                    Err(error) => {
                        failure = Some(Reason::Thread {
                            index,
                            num_threads,
                            error: Arc::new(error),
                        });
                        Err(io::Error::other("a thread was refused"))
                    }
                }
            })
            .build();
        match spawned {
            Ok(rayon) => Ok(Threads {
                rayon: Some(rayon),
                handles,
                home,
                abandoned,
                placement,
            }),
            Err(error) => Err(PoolError(
                failure.unwrap_or_else(|| Reason::Other(error.to_string())),
            )),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("settings", &self.settings)
            .finish()
    }
}

/// Why a pool could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct PoolError(Reason);

impl PoolError {
    pub(super) fn forked() -> Self {
        PoolError(Reason::Forked)
    }

    /// Whether this process is a fork of the one that the pool's threads belong to.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        matches!(self.0, Reason::Forked)
    }

    /// Whether there was a global pool already.
    #[must_use]
    pub fn is_global_exists(&self) -> bool {
        matches!(self.0, Reason::GlobalExists)
    }
}

#[derive(Clone, Debug, thiserror::Error)]
enum Reason {
    #[error("the global pool exists already: build it before the first parallel call")]
    GlobalExists,
    #[error("the system refused thread {} of {num_threads}", .index + 1)]
    Thread {
        index: usize,
        num_threads: usize,
        #[source]
        error: Arc<io::Error>,
    },
    #[error("{workers} workers are more than the {most} that a pool can have")]
    TooMany { workers: usize, most: usize },
    #[error(
        "this process is a fork of the one that the pool's threads belong to: make a pool here"
    )]
    Forked,
    #[error("the threads could not be started: {0}")]
    Other(String),
}
