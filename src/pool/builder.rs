//! Options of a pool, and the start of its threads.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::home::Lease;
use super::placement::Placement;
use super::start::{Starting, Threads};
use super::{GLOBAL, Pool};
use crate::affinity;
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
    /// Called on the thread that starts the pool's, once for each of them; again where the system refuses
    /// threads and is asked once more. For the closure the pool has no threads yet: what it gives to this very
    /// pool runs right there.
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
    ///
    /// What it gives to this very pool while that is being started runs right there. It may set the
    /// thread's affinity: the pool then keeps to that mask.
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
    /// operations, within the mask that they had when they were started and [`on_start`](Self::on_start) had
    /// run: the system likes to put a woken thread on the very core that is busy with waking it. No other
    /// thread is touched, and one whose mask has been changed by anything else, such as `taskset -a -p`, is
    /// left alone from then on. Threads may use every core of their mask again for tasks and during
    /// [`Pool::install`].
    ///
    /// Threads and processes that a closure starts on one of these threads inherit its mask of the moment,
    /// except the threads of pools, and [`Workers::all`] counts all cores.
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
            pool.threads.start_all(&pool.settings, pool.num_workers)?;
        }
        Ok(pool)
    }

    /// Makes this the [global pool](Pool::global).
    ///
    /// It is the global pool when this returns. A closure given to [`thread_name`](Self::thread_name) or
    /// [`on_start`](Self::on_start) that uses the global pool before makes one, and this fails.
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

/// Why threads could not be started, and those that had been and are told to end.
pub(super) struct Refused {
    pub(super) error: PoolError,
    pub(super) begun: Vec<thread::JoinHandle<()>>,
}

impl Settings {
    /// The names of so many threads.
    pub(super) fn names(&self, num_threads: usize) -> Result<Vec<String>, PoolError> {
        let most = rayon::max_num_threads();
        if num_threads > most {
            let workers = num_threads;
            return Err(PoolError(Reason::TooMany { workers, most }));
        }
        let name = |index| match &self.thread_name {
            Some(name) => name(index),
            None => format!("scipar-{index}"),
        };
        Ok((0..num_threads).map(name).collect())
    }

    /// Starts a thread for each name, for the pool of this number.
    pub(super) fn start(&self, names: &[String], pool: u64) -> Result<Threads, Refused> {
        let handles = Mutex::new(Vec::new());
        let placed = !self.keep_affinity && !self.pin;
        let placement = placed.then(|| Arc::new(Placement::new()));
        let lease = Lease::new();
        let mut failure = None;
        let mut rayon = rayon::ThreadPoolBuilder::new().num_threads(names.len());
        if let Some(hook) = self.on_exit.clone() {
            rayon = rayon.exit_handler(move |index| hook(index));
        }
        let mask = affinity::unplaced_mask();
        let spawned = rayon
            .spawn_handler(|thread| {
                let index = thread.index();
                let mut builder = thread::Builder::new().name(names[index].clone());
                if let Some(bytes) = self.stack_size {
                    builder = builder.stack_size(bytes);
                }
                let (lease, mask, pin) = (Arc::clone(&lease), mask, self.pin);
                let run = move || {
                    let _settled = lease.settle(index);
                    affinity::adopt(mask);
                    if pin {
                        affinity::pin(index);
                    }
                    Starting::begin_thread(pool);
                    thread.run();
                };
                match builder.spawn(run) {
                    Ok(handle) => {
                        handles
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(handle);
                        Ok(())
                    }
                    Err(error) => {
                        failure = Some(Reason::Thread {
                            index,
                            num_threads: names.len(),
                            error: Arc::new(error),
                        });
                        Err(io::Error::other("a thread was refused"))
                    }
                }
            })
            .start_handler({
                let (hook, placement) = (self.on_start.clone(), placement.clone());
                move |index| {
                    if let Some(hook) = &hook {
                        hook(index);
                    }
                    Starting::end_thread();
                    // After the hook, which may have a mask of its own for the thread.
                    if let Some(placement) = &placement {
                        placement.register();
                    }
                }
            })
            .build();
        match spawned {
            Ok(rayon) => Ok(Threads {
                rayon: Some(rayon),
                handles,
                lease,
                placement,
            }),
            Err(error) => Err(Refused {
                error: PoolError(failure.unwrap_or_else(|| Reason::Other(error.to_string()))),
                begun: handles.into_inner().unwrap_or_else(PoisonError::into_inner),
            }),
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

    pub(super) fn starting() -> Self {
        PoolError(Reason::Starting)
    }

    /// Whether asking again later is of no use.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.0, Reason::TooMany { .. })
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
    #[error("the pool's threads are being started, which what asks for them has a part in")]
    Starting,
    #[error("the threads could not be started: {0}")]
    Other(String),
}
