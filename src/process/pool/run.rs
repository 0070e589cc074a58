//! Drives workers through the grains of a run: sends units, two at a time, reads answers, and sees to those that die.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use serde::de::DeserializeOwned;

use super::desk::{Desk, Unit};
use super::fleet::{Fleet, Lease};
use super::goods::Goods;
use crate::panic::{Panic, caught};
use crate::parallel::Control;
use crate::process::error::ProcessError;
use crate::process::os::{self, Want};
use crate::process::station::Station;
use crate::process::wire::{LinkError, Meanwhile, Output, ValueError};

/// Sends a context; the other half of [`Words`].
pub(super) type SendContext<'j> =
    dyn Fn(&mut Output, &mut Meanwhile<'_>) -> Result<(), ValueError> + Sync + 'j;

/// What all units of a run have in common.
pub(super) struct Words<'j> {
    pub(super) task: &'static str,
    pub(super) signature: &'static str,
    pub(super) reduce: Option<(&'static str, &'static str)>,
    pub(super) context: Option<(u64, &'j SendContext<'j>)>,
    /// Whether the CPU time is of interest.
    pub(super) cpu: bool,
}

/// What became of a grain that has no result.
#[derive(Debug)]
pub(super) enum Failure {
    Panicked {
        message: String,
        place: Option<String>,
    },
    Failed(ProcessError),
}

/// Results of grains side by side.
#[derive(Debug)]
pub(super) struct Piece<R> {
    pub(super) start: usize,
    pub(super) results: Vec<R>,
}

/// A run, shared by those who drive its workers.
pub(super) struct Run<'j, G> {
    pub(super) fleet: &'j Fleet,
    pub(super) words: Words<'j>,
    pub(super) goods: G,
    pub(super) control: &'j Control<'j>,
    pub(super) desk: Mutex<Desk>,
    /// Whether a failure ends the run.
    pub(super) stops: bool,
    /// Whether a grain whose worker died may be tried again.
    pub(super) repeatable: bool,
    /// Items per grain, for progress: grain `g` has the items `span(g)`.
    pub(super) span: &'j (dyn Fn(usize) -> Range<usize> + Sync),
    pub(super) max_workers: usize,
    pub(super) over: AtomicBool,
    pub(super) failures: Mutex<Vec<(usize, Failure)>>,
    /// Why no worker could be had.
    pub(super) fault: Mutex<Option<ProcessError>>,
}

/// What one driver brings home.
#[derive(Debug)]
pub(super) struct Haul<R> {
    pub(super) pieces: Vec<Piece<R>>,
    /// Units answered, time workers spent on them, CPU time of that.
    pub(super) units: usize,
    pub(super) busy: Duration,
    pub(super) cpu: Duration,
    /// How long its last unit took.
    pub(super) last_wall: Option<Duration>,
}

/// A unit that a worker has been given.
pub(super) struct Flight {
    pub(super) id: u64,
    pub(super) unit: Unit,
    pub(super) sent: Instant,
    /// Whether the worker had nothing else to do then.
    pub(super) alone: bool,
}

/// Units that a worker has at once: one that it works on, and one that waits for it.
const IN_FLIGHT: usize = 2;

/// Units that take so long are not queued at a worker that is busy: another one may be free before it.
const LONG_UNIT: Duration = Duration::from_millis(10);

/// After so many workers that died without an answer, one after the other, no further one is started.
const FRUITLESS: usize = 3;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread, if the system has one.
fn thread<'scope, T: Send + 'scope>(
    name: &str,
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn_scoped(scope, run)
}

/// What a thread that catches its panics comes to.
fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, Panic>>) -> Result<T, Panic> {
    thread
        .join()
        .unwrap_or_else(|thrown| Err(Panic::new(thrown)))
}

impl<G: Goods> Run<'_, G> {
    /// Drives with this thread, and with others as soon as there is work enough for them.
    pub(super) fn drive_all<R: DeserializeOwned + Send>(&self) -> Vec<Haul<R>> {
        let workers = self.max_workers.min(lock(&self.desk).total()).max(1);
        let heard = self.control.is_heard();
        if workers == 1 && !heard {
            return vec![self.drive(true, &mut || ())];
        }
        // Panics come back as results: what a scope finds in threads that it joins by itself it
        // drops, and a payload that panics then ends the process.
        std::thread::scope(|scope| {
            // The listener has a thread of its own, so that it can do what it likes, even wait for
            // a worker of this pool: no driver holds one while it runs.
            let (running, over) = crossbeam_channel::bounded(0);
            let teller = heard.then(|| {
                let over = over.clone();
                thread("scipar-progress", scope, move || self.tell(&over))
            });
            let mut others = Vec::new();
            let mut hire = || {
                while others.len() + 1 < workers {
                    let drive = || caught(|| self.drive(false, &mut || ()));
                    match thread("scipar-process", scope, drive) {
                        Ok(other) => others.push(other),
                        Err(_) => break, // fewer do it as well
                    }
                }
            };
            let own = caught(|| self.drive(true, &mut hire));
            let others = others.into_iter().map(joined);
            let hauls: Vec<Result<Haul<R>, Panic>> = std::iter::once(own).chain(others).collect();
            drop(running);
            let told = match teller {
                Some(Ok(teller)) => joined(teller),
                Some(Err(_)) => self.tell(&over), // no thread was to be had: of the end alone
                None => Ok(()),
            };
            let hauls = hauls.into_iter().collect::<Result<Vec<_>, _>>();
            match told.and(hauls) {
                Ok(hauls) => hauls,
                Err(panic) => panic.resume(),
            }
        })
    }

    /// Tells the listener until the drivers have ended. A panic of it ends the run.
    fn tell(&self, over: &Receiver<Infallible>) -> Result<(), Panic> {
        let told = caught(|| self.control.tell_until(over));
        if told.is_err() {
            self.over.store(true, Ordering::Relaxed);
        }
        told
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.control.stop().is_some()
    }

    /// Drives one worker after the other until there is nothing left to do.
    fn drive<R: DeserializeOwned>(&self, first: bool, hire: &mut dyn FnMut()) -> Haul<R> {
        let mut haul = Haul {
            pieces: Vec::new(),
            units: 0,
            busy: Duration::ZERO,
            cpu: Duration::ZERO,
            last_wall: None,
        };
        let mut fruitless = 0;
        while !self.is_over() && !lock(&self.desk).is_empty() {
            let lease = match first {
                true => self.fleet.lease(|| !self.is_over()),
                // Others help where there is a worker to help with.
                false => Ok(self.fleet.lease_now()),
            };
            let mut lease = match lease {
                Ok(Some(lease)) => lease,
                Ok(None) if first => continue,
                Ok(None) => break,
                Err(error) => {
                    self.no_worker(error);
                    break;
                }
            };
            match lease.station() {
                Ok(_) => {}
                Err(error) => {
                    fruitless += 1;
                    if fruitless >= FRUITLESS {
                        self.no_worker(error);
                        break;
                    }
                    continue;
                }
            }
            fruitless = 0;
            if !self.serve(&mut lease, &mut haul, hire) {
                lease.dismiss();
            }
        }
        haul
    }

    fn no_worker(&self, error: ProcessError) {
        lock(&self.fault).get_or_insert(error);
        self.over.store(true, Ordering::Relaxed);
    }

    /// Works with one worker until there is nothing left or somebody else wants it. `false`: the worker is of no more use.
    ///
    /// Every worker that is lost here has cost a grain a try, so that a run ends whatever its items do.
    fn serve<R: DeserializeOwned>(
        &self,
        lease: &mut Lease<'_>,
        haul: &mut Haul<R>,
        hire: &mut dyn FnMut(),
    ) -> bool {
        let Some(station) = lease.current() else {
            return false;
        };
        let mut watch = station.watch();
        watch.until = self.control.deadline();
        watch.cancelled = self.control.token().cloned();
        let mut flights: VecDeque<Flight> = VecDeque::with_capacity(IN_FLIGHT);
        let began = Instant::now();
        // A unit that did not get through, and why; what the worker has answered before is read first.
        let mut unsent: Option<(Unit, LinkError)> = None;
        loop {
            // Where a unit takes long, the next one is kept for whoever is free first: its way is lost in it.
            let room_for = if haul.last_wall.is_some_and(|wall| wall < LONG_UNIT) {
                IN_FLIGHT
            } else {
                1
            };
            let wanted = self.fleet.is_wanted() && began.elapsed() > Duration::from_millis(50);
            while unsent.is_none() && !wanted && flights.len() < room_for && !self.is_over() {
                let room = self.fleet.max_tasks.saturating_sub(station.served);
                if room == 0 {
                    break;
                }
                let taken = lock(&self.desk).take(self.max_workers, room);
                let Some(unit) = taken else { break };
                let alone = flights.is_empty();
                station.served += unit.grains.len();
                let sent = Instant::now();
                match self.send(station, unit, &mut watch) {
                    Ok((id, unit)) => flights.push_back(Flight {
                        id,
                        unit,
                        sent,
                        alone,
                    }),
                    Err(failed) => unsent = Some(failed),
                }
                hire_if_worth(&self.desk, &mut *hire);
            }
            let Some(flight) = flights.front_mut() else {
                break;
            };
            if self.is_worth_help_unmeasured(station) {
                hire();
            }
            match self.receive(station, flight, &mut watch, haul) {
                Ok(true) => {
                    let done = flights.pop_front().expect("it was there");
                    // What came back without an answer is tried again.
                    lock(&self.desk).give_back(done.unit);
                }
                Ok(false) => {
                    // The worker has ended a task that took too long, and itself.
                    self.give_all_back(flights, unsent);
                    return false;
                }
                Err(error) => {
                    let blamed = flights.pop_front().map(|flight| flight.unit);
                    self.give_all_back(flights, unsent);
                    self.lost(station, error, blamed);
                    return false;
                }
            }
        }
        match unsent {
            None => self.forget_context(station, &mut watch),
            Some((unit, error)) => {
                self.lost(station, error, Some(unit));
                false
            }
        }
    }

    /// Whether the very first unit takes so long that others are wanted before it is known how long it takes.
    fn is_worth_help_unmeasured(&self, station: &Station) -> bool {
        let wanted = {
            let desk = lock(&self.desk);
            desk.is_measuring() && !desk.is_empty()
        };
        let soon = Some(Instant::now() + WORTH_HELP);
        wanted
            && os::wait(station.link.socket(), Want::Read, None, soon)
                .is_ok_and(|ready| !ready.readable)
    }

    /// Nobody has begun these.
    fn give_all_back(&self, flights: VecDeque<Flight>, unsent: Option<(Unit, LinkError)>) {
        let mut desk = lock(&self.desk);
        let units = flights.into_iter().map(|flight| flight.unit);
        for unit in units.chain(unsent.map(|(unit, _)| unit)) {
            desk.give_back(unit);
        }
    }

    /// The worker is of no more use, and this is the unit that it was at.
    fn lost(&self, station: &mut Station, error: LinkError, unit: Option<Unit>) {
        let stopped = self.is_over();
        let error = station.broken(error);
        let Some(unit) = unit.filter(|_| !stopped) else {
            return; // it was ended from here, and nobody is to blame
        };
        let blamed = if error.is_timeout() && unit.grains.len() == 1 {
            Some(unit.grains.start) // it would take as long again
        } else if self.repeatable {
            lock(&self.desk).died(unit)
        } else {
            // What was half done cannot be done again.
            let grain = unit.grains.start;
            lock(&self.desk).give_back(Unit {
                grains: grain + 1..unit.grains.end,
                deaths: 0,
            });
            (!unit.grains.is_empty()).then_some(grain)
        };
        if let Some(grain) = blamed {
            self.fail(grain, Failure::Failed(error));
        }
    }

    pub(super) fn fail(&self, grain: usize, failure: Failure) {
        lock(&self.failures).push((grain, failure));
        if self.stops {
            lock(&self.desk).cut_at(grain);
        }
        self.control.count((self.span)(grain).len());
    }
}

/// What it takes to hire others.
const WORTH_HELP: Duration = Duration::from_micros(300);

/// Others are worth hiring where the cut is the user's, or where what is left takes longer than to hire them.
fn hire_if_worth(desk: &Mutex<Desk>, hire: &mut dyn FnMut()) {
    let desk = lock(desk);
    let worth = match desk.work_left() {
        Some(left) => left > WORTH_HELP,
        None => !desk.is_measuring(),
    };
    let worth = worth && !desk.is_empty();
    drop(desk);
    if worth {
        hire();
    }
}
