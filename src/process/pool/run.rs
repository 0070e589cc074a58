//! Drives workers through the grains of a run: sends units, two at a time, reads answers, and sees to those that die.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::{Desk, Unit};
use super::fleet::{Fleet, Lease};
use crate::parallel::Control;
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::os::{self, Want};
use crate::process::protocol::{Answer, Entry, Item, Order};
use crate::process::station::{Station, Watch};
use crate::process::wire::{LinkError, Meanwhile, Output, ValueError};

/// What is sent for a grain.
pub(super) trait Goods: Sync {
    fn put(
        &self,
        grain: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError>;
}

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
    pub(super) in_flight: usize,
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
    last_wall: Option<Duration>,
}

/// A unit that a worker has been given.
struct Flight {
    id: u64,
    unit: Unit,
    sent: Instant,
    /// Whether the worker had nothing else to do then.
    alone: bool,
}

/// Units that a worker has at once: one that it works on, and one that waits for it.
pub(super) const IN_FLIGHT: usize = 2;

/// Units that take so long are not queued at a worker that is busy: another one may be free before it.
const LONG_UNIT: Duration = Duration::from_millis(10);

/// After so many workers that died without an answer, one after the other, no further one is started.
const FRUITLESS: usize = 3;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<G: Goods> Run<'_, G> {
    /// Drives with this thread, and with others as soon as there is work enough for them.
    pub(super) fn drive_all<R: DeserializeOwned + Send>(&self) -> Vec<Haul<R>> {
        let workers = self.max_workers.min(lock(&self.desk).total()).max(1);
        std::thread::scope(|scope| {
            let mut others = Vec::new();
            let mut hire = || {
                while others.len() + 1 < workers {
                    let other = std::thread::Builder::new()
                        .name("scipar-process".to_owned())
                        .spawn_scoped(scope, || self.drive(false, &mut || ()));
                    match other {
                        Ok(other) => others.push(other),
                        Err(_) => break, // fewer do it as well
                    }
                }
            };
            let own = self.drive(true, &mut hire);
            let mut hauls = vec![own];
            for other in others {
                match other.join() {
                    Ok(haul) => hauls.push(haul),
                    Err(payload) => std::panic::resume_unwind(payload),
                }
            }
            hauls
        })
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
                self.in_flight
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

    /// Has the worker let go of what this run alone has to do with. `false`: it is of no more use.
    fn forget_context(&self, station: &mut Station, watch: &mut Watch) -> bool {
        let Some(context) = station.context.take() else {
            return true;
        };
        let link = &mut station.link;
        let mut meanwhile = Meanwhile {
            input: Some(&mut link.input),
            patience: watch,
        };
        let order = Order::Forget { context };
        plain(link.output.value(&order, &mut meanwhile)).is_ok()
            && link.output.finish(&mut meanwhile).is_ok()
    }

    /// Nobody has begun these.
    fn give_all_back(&self, flights: VecDeque<Flight>, unsent: Option<(Unit, LinkError)>) {
        let mut desk = lock(&self.desk);
        let units = flights.into_iter().map(|flight| flight.unit);
        for unit in units.chain(unsent.map(|(unit, _)| unit)) {
            desk.give_back(unit);
        }
    }

    /// Sends a unit, as far as it can be encoded.
    fn send(
        &self,
        station: &mut Station,
        mut unit: Unit,
        watch: &mut Watch,
    ) -> Result<(u64, Unit), (Unit, LinkError)> {
        station.last += 1;
        let id = station.last;
        match self.send_all(station, id, &unit, watch) {
            Ok(None) => Ok((id, unit)),
            Ok(Some((grain, why))) => {
                let error = ProcessError::saying(ProcessErrorKind::Encode, why);
                lock(&self.desk).give_back(Unit {
                    grains: grain + 1..unit.grains.end,
                    deaths: unit.deaths,
                });
                self.fail(grain, Failure::Failed(error));
                unit.grains.end = grain;
                Ok((id, unit))
            }
            Err(error) => Err((unit, error)),
        }
    }

    /// Says which grain could not be encoded, and why; what comes after it has not been sent.
    fn send_all(
        &self,
        station: &mut Station,
        id: u64,
        unit: &Unit,
        watch: &mut Watch,
    ) -> Result<Option<(usize, String)>, LinkError> {
        let link = &mut station.link;
        let mut meanwhile = Meanwhile {
            input: Some(&mut link.input),
            patience: watch,
        };
        let output = &mut link.output;
        if let Some((context, send)) = &self.words.context
            && station.context != Some(*context)
        {
            if let Some(old) = station.context.take() {
                plain(output.value(&Order::Forget { context: old }, &mut meanwhile))?;
                output.finish(&mut meanwhile)?;
            }
            let order = Order::Context {
                context: *context,
                task: self.words.task.into(),
                signature: self.words.signature.into(),
            };
            plain(output.value(&order, &mut meanwhile))?;
            let result = send(output, &mut meanwhile);
            output.finish(&mut meanwhile)?;
            match result {
                Ok(()) => station.context = Some(*context),
                Err(ValueError::Link(error)) => return Err(error),
                Err(ValueError::Serde(why)) => {
                    return Ok(Some((unit.grains.start, format!("the context: {why}"))));
                }
                Err(ValueError::Void | ValueError::End) => {}
            }
        }
        let own = |(name, signature): (&str, &str)| (name.to_owned(), signature.to_owned());
        let order = Order::Run {
            id,
            task: self.words.task.into(),
            signature: self.words.signature.into(),
            reduce: self.words.reduce.map(own),
            context: self.words.context.map(|(context, _)| context),
            cpu: self.words.cpu,
        };
        plain(output.value(&order, &mut meanwhile))?;
        let mut failed = None;
        for grain in unit.grains.clone() {
            match self.goods.put(grain, output, &mut meanwhile) {
                Ok(()) => {}
                Err(ValueError::Serde(why)) => {
                    failed = Some((grain, why));
                    break;
                }
                Err(other) => plain(Err(other))?,
            }
        }
        plain(output.value(&Item::<()>::End, &mut meanwhile))?;
        output.finish(&mut meanwhile)?;
        Ok(failed)
    }

    /// Reads the answer to a unit, taking from it what is answered. `false`: the worker has ended a task that took too long.
    fn receive<R: DeserializeOwned>(
        &self,
        station: &mut Station,
        flight: &mut Flight,
        watch: &mut Watch,
        haul: &mut Haul<R>,
    ) -> Result<bool, LinkError> {
        let input = &mut station.link.input;
        let grains: &mut Range<usize> = &mut flight.unit.grains;
        let all = grains.len();
        input.begin(watch)?;
        let answer: Answer = plain(input.value(watch))?;
        if answer.id != flight.id {
            let text = format!("an answer to run {} instead of {}", answer.id, flight.id);
            return Err(LinkError::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                text,
            )));
        }
        let mut next = haul.pieces.len();
        let mut lag = 0_usize;
        let tell = |finished: &mut usize| {
            if *finished > 0 {
                self.control.finish(std::mem::take(finished));
            }
        };
        let on = loop {
            let entry = match input.value::<Entry<R>>(watch) {
                Ok(entry) => entry,
                // This result was not encoded to its end; what became of it is said next.
                Err(ValueError::Void) => continue,
                Err(ValueError::Serde(why)) => {
                    // Where the next one begins is not known: this one fails, what comes after it is run again.
                    input.finish(watch)?;
                    if grains.start < grains.end {
                        self.fail(
                            grains.start,
                            Failure::Failed(ProcessError::saying(ProcessErrorKind::Decode, why)),
                        );
                        grains.start += 1;
                    }
                    break true;
                }
                Err(ValueError::End) => {
                    let why = std::io::Error::new(
                        std::io::ErrorKind::InvalidData,
                        "an answer without an end",
                    );
                    return Err(LinkError::Io(why));
                }
                Err(ValueError::Link(error)) => {
                    tell(&mut lag);
                    return Err(error);
                }
            };
            let failure = match entry {
                Entry::End { wall, cpu } => {
                    input.finish(watch)?;
                    haul.units += 1;
                    haul.busy += wall;
                    haul.last_wall = Some(wall);
                    haul.cpu += cpu;
                    // Any other unit waits for the one before it, which is no part of its way.
                    let way = flight
                        .alone
                        .then(|| flight.sent.elapsed().saturating_sub(wall));
                    lock(&self.desk).measured(all, wall, way);
                    if all > 0 && grains.len() == all {
                        let why = "a worker answered without a result";
                        let error = ProcessError::saying(ProcessErrorKind::Protocol, why);
                        self.fail(grains.start, Failure::Failed(error));
                        grains.start += 1;
                    }
                    break true;
                }
                // More results than items were sent to their ends: the sender knows.
                _ if grains.start == grains.end => continue,
                Entry::Value(result) => {
                    let grain = grains.start;
                    grains.start += 1;
                    lag += (self.span)(grain).len();
                    match haul.pieces.get_mut(next) {
                        Some(piece) => piece.results.push(result),
                        None => {
                            let mut results = Vec::with_capacity(all.min(1 << 12));
                            results.push(result);
                            haul.pieces.push(Piece {
                                start: grain,
                                results,
                            });
                        }
                    }
                    continue;
                }
                Entry::Panicked { message, place } => Failure::Panicked { message, place },
                Entry::Unencoded(why) => {
                    Failure::Failed(ProcessError::saying(ProcessErrorKind::Encode, why))
                }
                Entry::Undecoded(why) => {
                    Failure::Failed(ProcessError::saying(ProcessErrorKind::Decode, why))
                }
                Entry::Unknown(why) => {
                    let error = ProcessError::saying(ProcessErrorKind::UnknownTask, why);
                    self.fail(grains.start, Failure::Failed(error));
                    // So it is with all the others.
                    self.over.store(true, Ordering::Relaxed);
                    grains.start = grains.end;
                    continue;
                }
                Entry::TimedOut => {
                    let error = station.timed_out(Duration::from_secs(1));
                    self.fail(grains.start, Failure::Failed(error));
                    grains.start += 1;
                    break false;
                }
            };
            self.fail(grains.start, failure);
            grains.start += 1;
            next = haul.pieces.len();
        };
        tell(&mut lag);
        Ok(on)
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

    fn fail(&self, grain: usize, failure: Failure) {
        lock(&self.failures).push((grain, failure));
        if self.stops {
            lock(&self.desk).cut_at(grain);
        }
        self.control.finish((self.span)(grain).len());
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

/// For what is always encoded to its end.
fn plain<T>(result: Result<T, ValueError>) -> Result<T, LinkError> {
    result.map_err(|error| match error {
        ValueError::Link(error) => error,
        other => LinkError::Io(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("words of the protocol were not understood: {other:?}"),
        )),
    })
}

/// The goods of a map: one value per grain.
pub(super) struct Values<'j, T>(pub(super) Vec<&'j T>);

impl<T: Serialize + Sync> Goods for Values<'_, T> {
    fn put(
        &self,
        grain: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        output.value(&Item::Next(self.0[grain]), meanwhile)
    }
}
