//! One question to one worker, for those who drive it themselves.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ProcessError, ProcessErrorKind};
use super::protocol::{Answer, Entry, Item, Order};
use super::station::Station;
use super::wire::{LinkError, Meanwhile, ValueError};

/// A question that has been asked.
#[derive(Debug)]
pub(super) struct Asked {
    id: u64,
}

/// Has a worker run a task once.
pub(super) fn ask<A: Serialize>(
    station: &mut Station,
    task: &'static str,
    signature: &'static str,
    arguments: &A,
) -> Result<Asked, ProcessError> {
    station.last += 1;
    station.served += 1;
    let id = station.last;
    let order = Order::Run {
        id,
        task: task.into(),
        signature: signature.into(),
        reduce: None,
        context: None,
        cpu: true,
    };
    let mut watch = station.watch();
    watch.owes(1);
    let link = &mut station.link;
    let mut meanwhile = Meanwhile {
        input: Some(&mut link.input),
        patience: &mut watch,
    };
    let output = &mut link.output;
    let mut send = || {
        output.value(&order, &mut meanwhile)?;
        output.value(&Item::Next(arguments), &mut meanwhile)?;
        output.value(&Item::<()>::End, &mut meanwhile)?;
        Ok(output.finish(&mut meanwhile)?)
    };
    match send() {
        Ok(()) => Ok(Asked { id }),
        Err(error) => Err(fault(station, error, ProcessErrorKind::Encode)),
    }
}

/// The worker's answer: the result, and the CPU time that it took.
pub(super) fn hear<R: DeserializeOwned>(
    station: &mut Station,
    asked: &Asked,
) -> Result<(Result<R, ProcessError>, Duration), ProcessError> {
    match hear_all(station, asked) {
        Ok(answer) => Ok(answer),
        Err(error) => Err(fault(station, error, ProcessErrorKind::Decode)),
    }
}

type Heard<R> = (Result<R, ProcessError>, Duration);

fn hear_all<R: DeserializeOwned>(
    station: &mut Station,
    asked: &Asked,
) -> Result<Heard<R>, ValueError> {
    let mut watch = station.watch();
    watch.owes(1);
    let input = &mut station.link.input;
    input.begin(&mut watch)?;
    let answer: Answer = input.value(&mut watch)?;
    if answer.id != asked.id {
        return Err(nonsense(format!(
            "an answer to run {} instead of {}",
            answer.id, asked.id
        )));
    }
    let mut result = None;
    loop {
        let saying = ProcessError::saying;
        let entry = input.value::<Entry<R>>(&mut watch);
        if result.is_some() && !matches!(entry, Err(_) | Ok(Entry::End { .. } | Entry::TimedOut)) {
            return Err(nonsense("more results than one".to_owned()));
        }
        result = Some(match entry {
            Ok(Entry::Value(value)) => Ok(value),
            Ok(Entry::Panicked { message, place }) => Err(ProcessError::panicked(message, place)),
            Ok(Entry::Unencoded(why)) => Err(saying(ProcessErrorKind::Encode, why)),
            Ok(Entry::Undecoded(why)) => Err(saying(ProcessErrorKind::Decode, why)),
            Ok(Entry::Unknown(why)) => Err(saying(ProcessErrorKind::UnknownTask, why)),
            // The worker ends itself.
            Ok(Entry::TimedOut) => {
                let error = station.timed_out(Duration::from_secs(1));
                return Ok((Err(error), station.task_timeout().unwrap_or_default()));
            }
            Ok(Entry::End { cpu, .. }) => {
                input.finish(&mut watch)?;
                let result = result.ok_or_else(|| nonsense("no result".to_owned()))?;
                return Ok((result, cpu));
            }
            Ok(Entry::Working) => return Err(nonsense("a sign of life in between".to_owned())),
            Err(ValueError::Void) => continue,
            Err(error) => return Err(error),
        });
    }
}

/// What no worker says.
fn nonsense(what: String) -> ValueError {
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    ValueError::Link(LinkError::Io(error))
}

fn fault(station: &mut Station, error: ValueError, kind: ProcessErrorKind) -> ProcessError {
    match error {
        ValueError::Link(error) => station.broken(error),
        ValueError::Serde(why) => ProcessError::saying(kind, why),
        ValueError::Void | ValueError::End => {
            station.broken(LinkError::Io(std::io::ErrorKind::UnexpectedEof.into()))
        }
    }
}
