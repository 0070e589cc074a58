//! The workers of a pool: who is free, who has to be started again.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fork;
use crate::parallel::CancelToken;
use crate::process::ask::{Asked, hear};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::station::{GRACE, Starter, Station};

thread_local! {
    /// The fleets of which this thread holds a place, by their addresses. Foreign code that runs on
    /// it then (what makes arguments, what encodes items and decodes results) may ask for another
    /// place.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// What is done with every new worker before anything else.
pub(super) type Initializer =
    Arc<dyn Fn(&mut Station) -> Result<Asked, ProcessError> + Send + Sync>;

/// A fixed number of places for workers.
pub(super) struct Fleet {
    starter: Starter,
    initializer: Option<Initializer>,
    /// Items after which a worker is replaced.
    pub(super) max_tasks: usize,
    /// Deaths that a single item may be part of.
    pub(super) retries: u32,
    pub(super) workers: usize,
    kill_on_drop: bool,
    /// Set when the pool is killed: tasks that nobody waits for end.
    killed: CancelToken,
    /// Places that nobody is at; `None` where there is no worker now.
    free: Mutex<Vec<Option<Station>>>,
    freed: Condvar,
    /// How many wait for a place.
    waiting: AtomicUsize,
    /// Workers started so far.
    starts: AtomicUsize,
    generation: u32,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// Starts all workers side by side.
    pub(super) fn start(
        starter: Starter,
        initializer: Option<Initializer>,
        workers: usize,
        max_tasks: usize,
        retries: u32,
        kill_on_drop: bool,
    ) -> Result<Self, ProcessError> {
        let fleet = Self {
            starter,
            initializer,
            max_tasks,
            retries,
            workers,
            kill_on_drop,
            killed: CancelToken::new(),
            free: Mutex::new(Vec::new()),
            freed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            starts: AtomicUsize::new(0),
            generation: fork::generation(),
        };
        // It grows as workers are started: so many as were asked for may be far more than the
        // system allows.
        let mut stations = Vec::new();
        for _ in 0..workers {
            stations.push(fleet.starter.start()?);
        }
        // All are at it before the first is waited for.
        let mut asked = Vec::with_capacity(stations.len());
        for station in &mut stations {
            asked.push(fleet.greet(station)?);
        }
        for (station, asked) in stations.iter_mut().zip(asked) {
            initialized(station, asked)?;
        }
        *fleet.free() = stations.into_iter().map(Some).collect();
        Ok(fleet)
    }

    fn free(&self) -> MutexGuard<'_, Vec<Option<Station>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears that it is a worker, and has it run the initializer.
    fn greet(&self, station: &mut Station) -> Result<Option<Asked>, ProcessError> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        station.greet()?;
        let initialize = self.initializer.as_ref();
        let asked = initialize.map(|initialize| initialize(station));
        asked.transpose().map_err(not_initialized)
    }

    fn new_station(&self) -> Result<Station, ProcessError> {
        let mut station = self.starter.start()?;
        let asked = self.greet(&mut station)?;
        initialized(&mut station, asked)?;
        Ok(station)
    }

    /// Takes a place, waiting for one to be free, and looking now and then whether it is still worth waiting.
    ///
    /// A thread that holds a place already does not wait: the place might never be free, as it is
    /// this thread that would have to let go of it. It gets one beyond the number, whose worker
    /// ends with it.
    pub(super) fn lease(
        &self,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Option<Lease<'_>>, ProcessError> {
        const LOOK: Duration = Duration::from_millis(10);
        if self.generation != fork::generation() {
            return Err(ProcessError::new(ProcessErrorKind::Forked));
        }
        let mut free = self.free();
        if free.is_empty() && HELD.with_borrow(|held| held.contains(&self.address())) {
            return Ok(Some(Lease::new(self, None, true)));
        }
        if free.is_empty() {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            while free.is_empty() && go_on() {
                (free, _) = self
                    .freed
                    .wait_timeout(free, LOOK)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        // A place with a worker before one without.
        let place = free
            .iter()
            .rposition(Option::is_some)
            .or(free.len().checked_sub(1));
        Ok(place.map(|place| Lease::new(self, free.swap_remove(place), false)))
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// A place, if one is free now.
    pub(super) fn lease_now(&self) -> Option<Lease<'_>> {
        self.lease(|| false).ok().flatten()
    }

    /// Whether somebody waits for a place.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Has everybody at work here end.
    pub(super) fn kill(&self) {
        self.killed.cancel();
    }

    /// Set when the pool is killed.
    pub(super) fn killed(&self) -> &CancelToken {
        &self.killed
    }

    pub(super) fn starts(&self) -> usize {
        self.starts.load(Ordering::Relaxed)
    }

    /// Numbers of the processes that nobody is using now.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.free().iter().flatten().map(Station::id).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return;
        }
        let mut free = self.free();
        // All are told before the first is waited for.
        for station in free.iter_mut().flatten() {
            if self.kill_on_drop || self.killed.is_cancelled() {
                station.kill();
            }
            station.ask_to_stop();
        }
        // They have this time together, not one after the other.
        let until = Instant::now() + GRACE;
        for station in free.iter_mut().flatten() {
            station.end_now(until.saturating_duration_since(Instant::now()));
        }
        free.clear();
    }
}

/// Waits for the initializer.
fn initialized(station: &mut Station, asked: Option<Asked>) -> Result<(), ProcessError> {
    match asked {
        Some(asked) => hear::<()>(station, &asked)
            .and_then(|(result, _)| result)
            .map_err(not_initialized),
        None => Ok(()),
    }
}

fn not_initialized(error: ProcessError) -> ProcessError {
    error.during("the pool's initializer")
}

/// Whether a worker has been at work a moment ago. To look whether it has ended since would cost a good part of a small call,
/// and a worker that ends at such a moment is one that ends during the call.
fn just_left(station: &Station) -> bool {
    const MOMENT: Duration = Duration::from_millis(1);
    station.left.is_some_and(|left| left.elapsed() < MOMENT)
}

/// A place in a fleet, for one who works with it.
#[derive(Debug)]
pub(super) struct Lease<'f> {
    fleet: &'f Fleet,
    station: Option<Station>,
    /// Beyond the number of the fleet's places.
    extra: bool,
    /// Belongs to the thread that took it.
    not_send: PhantomData<*const ()>,
}

impl<'f> Lease<'f> {
    fn new(fleet: &'f Fleet, station: Option<Station>, extra: bool) -> Self {
        HELD.with_borrow_mut(|held| held.push(fleet.address()));
        Self {
            fleet,
            station,
            extra,
            not_send: PhantomData,
        }
    }

    /// The worker, started if there is none, and replaced if it has ended or has done what one worker may do.
    pub(super) fn station(&mut self) -> Result<&mut Station, ProcessError> {
        let of_use = |station: &Station| {
            station.served < self.fleet.max_tasks && (just_left(station) || !station.has_ended())
        };
        if !self.station.as_ref().is_some_and(of_use) {
            self.station = None;
            self.station = Some(self.fleet.new_station()?);
        }
        Ok(self.station.as_mut().expect("it has just been put there"))
    }

    /// The worker as it is.
    pub(super) fn current(&mut self) -> Option<&mut Station> {
        self.station.as_mut()
    }

    /// Ends the worker; another one is started when there is something to do.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut station) = self.station.take() {
            station.kill();
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Code of the user's has panicked on this side, in the middle of a message or with units
        // out: the worker is no longer in step, and may have a part of an array that is about to be
        // somebody else's. A worker that says what nobody has asked for is not in step either.
        let has_more_to_say = |station: &Station| station.link.input.has_unused();
        if std::thread::panicking() || self.station.as_ref().is_some_and(has_more_to_say) {
            self.dismiss();
        }
        let address = self.fleet.address();
        HELD.with_borrow_mut(|held| {
            held.iter()
                .rposition(|held| *held == address)
                .map(|place| held.swap_remove(place))
        });
        let mut station = self.station.take();
        if self.extra {
            return; // the worker ends
        }
        if let Some(station) = &mut station {
            station.left = Some(Instant::now());
        }
        let mut free = self.fleet.free();
        free.push(station);
        // Who waits has said so under the same lock; telling nobody costs a call of the system.
        if self.fleet.is_wanted() {
            self.fleet.freed.notify_one();
        }
    }
}
