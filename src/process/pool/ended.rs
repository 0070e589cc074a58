//! One run from beginning to end, and what is made of what it brings.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::desk::{Cut, Desk};
use super::fleet::Fleet;
use super::goods::Goods;
use super::run::{Failure, Haul, Piece, Run, Words};
use crate::error::Panic;
use crate::parallel::{CancelToken, Control, Listener, Outcome, Outcomes, Report, RunError, Stop};
use crate::process::error::ProcessError;

pub(super) struct Options<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) max_workers: usize,
    pub(super) cancel: Option<CancelToken>,
    pub(super) deadline: Option<Duration>,
    pub(super) listener: Option<Listener<'a>>,
    pub(super) stops: bool,
    pub(super) repeatable: bool,
}

/// What a run has brought.
pub(super) struct Ended<'a, R> {
    pub(super) pieces: Vec<Piece<R>>,
    pub(super) failures: Vec<(usize, Failure)>,
    pub(super) fault: Option<ProcessError>,
    pub(super) control: Control<'a>,
    /// Grains, and the first item of each.
    pub(super) grains: usize,
    pub(super) starts: Vec<usize>,
    pub(super) report: Report,
}

pub(super) fn run<'a, G: Goods, R: DeserializeOwned + Send>(
    options: Options<'a>,
    words: Words<'_>,
    goods: G,
    cut: Cut,
    grains: usize,
    span: &(dyn Fn(usize) -> Range<usize> + Sync),
) -> Ended<'a, R> {
    let items = if grains == 0 { 0 } else { span(grains - 1).end };
    let control = Control::new(options.cancel, options.deadline, options.listener, items);
    let run = Run {
        fleet: options.fleet,
        words,
        goods,
        control: &control,
        desk: Mutex::new(Desk::new(cut, grains, options.fleet.retries)),
        stops: options.stops,
        repeatable: options.repeatable,
        span,
        max_workers: options.max_workers,
        over: AtomicBool::new(false),
        failures: Mutex::new(Vec::new()),
        fault: Mutex::new(None),
    };
    let hauls: Vec<Haul<R>> = match grains {
        0 => Vec::new(),
        _ => run.drive_all(),
    };
    let into = PoisonError::into_inner;
    let mut failures = run.failures.into_inner().unwrap_or_else(into);
    failures.sort_by_key(|(grain, _)| *grain);
    let fault = run
        .fault
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let report = report(&hauls, &control, options.max_workers, items);
    let mut pieces: Vec<_> = hauls.into_iter().flat_map(|haul| haul.pieces).collect();
    pieces.sort_by_key(|piece| piece.start);
    let starts = match failures.first() {
        None if fault.is_none() => Vec::new(),
        _ => (0..grains).map(|grain| span(grain).start).collect(),
    };
    Ended {
        pieces,
        failures,
        fault,
        control,
        grains,
        starts,
        report,
    }
}

fn report<R>(hauls: &[Haul<R>], control: &Control<'_>, max_workers: usize, total: usize) -> Report {
    let took_part = || hauls.iter().filter(|haul| haul.units > 0);
    let busy: Duration = took_part().map(|haul| haul.busy).sum();
    let workers = took_part().count();
    let mean = busy.as_secs_f64() / workers.max(1) as f64;
    let most = took_part()
        .map(|haul| haul.busy.as_secs_f64())
        .fold(0.0, f64::max);
    Report {
        wall: control.elapsed(),
        serial_estimate: busy,
        cpu: Some(took_part().map(|haul| haul.cpu).sum()),
        workers,
        max_workers,
        imbalance: if mean > 0.0 { most / mean } else { 1.0 },
        chunks: took_part().map(|haul| haul.units).sum(),
        finished: control.finished(),
        total,
        longest: Vec::new(),
    }
}

impl<R> Ended<'_, R> {
    pub(super) fn into_results(mut self) -> Result<Vec<R>, RunError<ProcessError>> {
        let index = |grain: usize| self.starts.get(grain).copied().unwrap_or(grain);
        if !self.failures.is_empty() {
            let (grain, failure) = self.failures.swap_remove(0);
            let index = index(grain);
            return Err(match failure {
                Failure::Panicked { message, .. } => RunError::Panicked {
                    index,
                    panic: panic_of(message),
                },
                Failure::Failed(error) => RunError::Failed { index, error },
            });
        }
        let (finished, total) = (self.report.finished, self.report.total);
        if finished < total {
            if let Some(error) = self.fault.take() {
                let index = index(self.first_missing());
                return Err(RunError::Failed { index, error });
            }
            return Err(match self.control.stop() {
                Some(Stop::Deadline) => RunError::DeadlineExceeded { finished, total },
                _ => RunError::Cancelled { finished, total },
            });
        }
        let mut pieces = self.pieces.into_iter();
        let mut results = pieces.next().map(|piece| piece.results).unwrap_or_default();
        results.reserve(self.grains.saturating_sub(results.len()));
        results.extend(pieces.flat_map(|piece| piece.results));
        Ok(results)
    }

    /// The first grain without a result.
    fn first_missing(&self) -> usize {
        let mut next = 0;
        for piece in &self.pieces {
            if piece.start != next {
                break;
            }
            next += piece.results.len();
        }
        next
    }

    /// One outcome per grain, which is an item.
    pub(super) fn into_outcomes(self) -> Outcomes<R, ProcessError> {
        let mut items: Vec<Outcome<R, ProcessError>> = Vec::new();
        items.resize_with(self.grains, || Outcome::NotRun);
        for piece in self.pieces {
            for (place, result) in items[piece.start..].iter_mut().zip(piece.results) {
                *place = Outcome::Done(result);
            }
        }
        for (grain, failure) in self.failures {
            items[grain] = match failure {
                Failure::Panicked { message, .. } => Outcome::Panicked(panic_of(message)),
                Failure::Failed(error) => Outcome::Failed(error),
            };
        }
        if let (Some(error), Some(place)) = (
            self.fault,
            items.iter_mut().find(|outcome| outcome.is_not_run()),
        ) {
            *place = Outcome::Failed(error);
        }
        let (finished, total) = (self.report.finished, self.report.total);
        let fault = match self.control.stop() {
            Some(Stop::Deadline) if finished < total => {
                Some(RunError::DeadlineExceeded { finished, total })
            }
            Some(Stop::Cancelled) if finished < total => {
                Some(RunError::Cancelled { finished, total })
            }
            _ => None,
        };
        Outcomes {
            items,
            report: self.report,
            fault,
        }
    }
}

/// The panic of a task, as one of this process: its payload is its message.
pub(super) fn panic_of(message: String) -> Panic {
    Panic::new(Box::new(message))
}
