//! What is said between a driver and its worker: units out, answers in.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::desk::Unit;
use super::goods::Goods;
use super::run::{Failure, Flight, Haul, Piece, Run, lock};
use crate::process::error::{ProcessError, ProcessErrorKind};
use crate::process::protocol::{Answer, Entry, Item, Order};
use crate::process::station::{Station, Watch};
use crate::process::wire::{LinkError, Meanwhile, ValueError};

impl<G: Goods> Run<'_, G> {
    /// Has the worker let go of what this run alone has to do with. `false`: it is of no more use.
    pub(super) fn forget_context(&self, station: &mut Station, watch: &mut Watch) -> bool {
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

    /// Sends a unit, as far as it can be encoded.
    pub(super) fn send(
        &self,
        station: &mut Station,
        mut unit: Unit,
        watch: &mut Watch,
    ) -> Result<(u64, Unit), (Unit, LinkError)> {
        station.last += 1;
        let id = station.last;
        watch.owes(self.goods.num_calls(unit.grains.clone()));
        match self.send_all(station, id, &unit, watch) {
            Ok(None) => Ok((id, unit)),
            Ok(Some((grain, why))) => {
                let error = ProcessError::saying(ProcessErrorKind::Encode, why);
                let unsent = grain + 1..unit.grains.end;
                watch.has_paid(self.goods.num_calls(unsent.clone()));
                lock(&self.desk).give_back(Unit {
                    grains: unsent,
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
    pub(super) fn receive<R: DeserializeOwned>(
        &self,
        station: &mut Station,
        flight: &mut Flight,
        watch: &mut Watch,
        haul: &mut Haul<R>,
    ) -> Result<bool, LinkError> {
        let input = &mut station.link.input;
        let grains: &mut Range<usize> = &mut flight.unit.grains;
        let all = grains.len();
        let calls = self.goods.num_calls(grains.clone());
        let mut surplus = 0;
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
                self.control.count(std::mem::take(finished));
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
                Entry::Working => continue,
                // One more than items were sent to their ends: the sender knows. More than that,
                // nobody has asked for.
                _ if grains.start == grains.end && surplus == 0 => {
                    surplus = 1;
                    continue;
                }
                _ if grains.start == grains.end => {
                    let why = "more results than there were items";
                    return Err(LinkError::Io(std::io::Error::new(
                        std::io::ErrorKind::InvalidData,
                        why,
                    )));
                }
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
        watch.has_paid(calls);
        tell(&mut lag);
        Ok(on)
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
