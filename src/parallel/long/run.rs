//! A run of the long form from its beginning to its end.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::items::Items;
use super::leaves::Leaves;
use super::state::{Dropped, Keep, Seats, Tally, WorkerState};
use super::work::Work;
use super::{Hint, Parallel};
use crate::chunking::{Chunking, Split};
use crate::panic::{Panic, caught, discard};
use crate::parallel::buffers::{Input, Output};
use crate::parallel::control::{Control, Thrown};
use crate::parallel::engine::{Fault, drive_with};
use crate::parallel::outcome::{Outcome, Outcomes, Report, RunError};
use crate::parallel::tree::Tree;
use crate::pool::Pool;
use crate::source::Source;

/// A run whose source and options are known to be usable.
struct Prepared<'a, S: Source, W> {
    pool: &'a Pool,
    work: Work<S>,
    len: usize,
    max_workers: usize,
    control: Control<'a>,
    state: W,
}

/// What the units of a run are, and in which order they are done.
struct Units {
    /// How the items are cut.
    cut: fn(Chunking, usize) -> Split,
    /// The order of the units, by the costs of their items, where there is a hint.
    order: fn(&Split, &[f64]) -> Vec<usize>,
    /// How the items are cut where there is a hint.
    hinted: fn(Chunking, usize) -> Split,
}

/// Units of a map: items as they are handed out, singly where there is a hint.
const GRAINS: Units = Units {
    cut: Chunking::grains,
    order: |_, costs| longest_first(costs),
    hinted: |_, len| Chunking::size(1).grains(len),
};

/// Units of a reduction: its leaves, whatever the order.
const LEAVES: Units = Units {
    cut: Chunking::leaves,
    order: |leaves, costs| {
        let known = |unit| costs[leaves.items(unit..unit + 1)].iter();
        let cost = |unit| known(unit).filter(|cost| !cost.is_nan()).sum();
        longest_first(&(0..leaves.num_nonempty()).map(cost).collect::<Vec<f64>>())
    },
    hinted: Chunking::leaves,
};

/// Indices in the order of falling costs; equal ones, and NaN as the lowest, stay in order.
fn longest_first(costs: &[f64]) -> Vec<usize> {
    let cost = |index: usize| match costs[index] {
        cost if cost.is_nan() => f64::NEG_INFINITY,
        cost => cost,
    };
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| cost(b).total_cmp(&cost(a)));
    order
}

impl<'a, S: Source, W: WorkerState> Parallel<'a, S, W> {
    /// `all_or_nothing`: no item's result is of use where anything fails.
    fn prepare(self, units: &Units, all_or_nothing: bool) -> Result<Prepared<'a, S, W>, Panic> {
        let source = self.source;
        let (input, len) = caught(|| {
            let input = Input::new(source);
            let len = input.len();
            (input, len)
        })?;
        let max_workers = if self.chunking.is_serial() {
            1
        } else {
            self.max_workers.min(self.pool.num_workers())
        };
        let mut work = Work {
            units: (units.cut)(self.chunking, len),
            input,
            order: None,
        };
        let mut thrown = None;
        if let Some(hint) = self.hint {
            match costs(&hint, &work.input)? {
                Ok(costs) => {
                    work.units = (units.hinted)(self.chunking, len);
                    work.order = Some((units.order)(&work.units, &costs));
                }
                Err(panic) => thrown = Some(panic),
            }
        }
        let control = Control::new(self.cancel, self.deadline, self.listener, len)
            .ends_on_fault(all_or_nothing);
        if let Some(thrown) = thrown {
            control.threw(thrown);
        }
        Ok(Prepared {
            pool: self.pool,
            work,
            len,
            max_workers,
            control,
            state: self.state,
        })
    }

    /// A map, and what was kept of its states.
    fn run<R, E, K, F>(self, all_or_nothing: bool, keep: K, f: &F) -> Result<Ended<R, E, K>, Panic>
    where
        R: Send,
        E: Send,
        K: Keep<W::State>,
        F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
    {
        let run = self.prepare(&GRAINS, all_or_nothing)?;
        let (len, pool, max_workers) = (run.len, run.pool, run.max_workers);
        let output = caught(|| Output::new(len))?;
        let job = Items {
            output,
            control: run.control,
            seats: Seats::new(&run.state, keep),
            error: Mutex::new(None),
            timed: !all_or_nothing,
            f,
            work: run.work,
        };
        let units = job.work.units.num_nonempty();
        let fault = match job.control.fault_stop() {
            Some(_) => None,
            None => caught(|| drive_with(pool, max_workers - 1, units, len, &job).err())?,
        };
        let (wall, finished) = (job.control.elapsed(), job.control.finished());
        let (keep, tallies) = job.seats.into_parts();
        let error = job.error.into_inner();
        let failure = match (error.unwrap_or_else(PoisonError::into_inner), fault) {
            // Of an error and a panic the lower index decides, as in a plain loop.
            (Some((index, error)), None) => Some(RunError::Failed { index, error }),
            (Some((index, error)), Some(fault)) if index < fault.index => {
                Some(RunError::Failed { index, error })
            }
            (error, Some(Fault { index, panic })) => {
                discard(error);
                Some(RunError::Panicked { index, panic })
            }
            (None, None) => job.control.fault(),
        };
        discard(job.work); // items that were not run: the run has ended, and says why
        Ok(Ended {
            output: job.output,
            failure,
            keep,
            report: Tally::report(&tallies, wall, max_workers, finished, len),
        })
    }

    /// A map that is all or nothing. Where anything fails, what was kept is given to `discard_kept`.
    pub(super) fn results<R, E, K, F>(
        self,
        keep: K,
        discard_kept: impl FnOnce(K),
        f: &F,
    ) -> Result<(Vec<R>, K), RunError<E>>
    where
        R: Send,
        E: Send,
        K: Keep<W::State>,
        F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
    {
        let ended = self.run(true, keep, f).map_err(unusable)?;
        match ended.failure {
            Some(failure) => {
                discard(ended.output);
                discard_kept(ended.keep);
                Err(failure)
            }
            None => Ok((ended.output.into_vec(), ended.keep)),
        }
    }

    /// A map that keeps everything.
    pub(super) fn everything<R, E, F>(self, f: &F) -> Outcomes<R, E>
    where
        R: Send,
        E: Send,
        F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
    {
        let outcome = |state: &mut W::State, item| {
            Ok::<_, Infallible>(match caught(|| f(state, item)) {
                Ok(Ok(result)) => Outcome::Done(result),
                Ok(Err(error)) => Outcome::Failed(error),
                Err(panic) => Outcome::Panicked(panic),
            })
        };
        let max_workers = self.max_workers;
        match self.run(false, Dropped, &outcome) {
            Ok(ended) => Outcomes {
                items: ended.output.into_vec_or(|| Outcome::NotRun),
                report: ended.report,
                fault: ended.failure,
            },
            Err(panic) => Outcomes {
                items: Vec::new(),
                report: Tally::report(&[], Duration::ZERO, max_workers, 0, 0),
                fault: Some(unusable(panic)),
            },
        }
    }

    /// A reduction.
    pub(super) fn reduce_with<R, I, F, O>(self, map: &F, identity: I, op: &O) -> Result<R, RunError>
    where
        R: Send,
        I: FnOnce() -> R,
        F: Fn(&mut W::State, S::Item) -> R + Sync,
        O: Fn(R, R) -> R + Sync,
    {
        let run = self.prepare(&LEAVES, true).map_err(unusable)?;
        let (len, pool, max_workers) = (run.len, run.pool, run.max_workers);
        let units = run.work.units.num_nonempty();
        if units == 0 {
            return caught(identity).map_err(|panic| RunError::IdentityPanicked { panic });
        }
        let tree = match run.work.order {
            None => Tree::new(units),
            Some(_) => Tree::in_any_order(units),
        };
        let job = Leaves {
            tree,
            control: run.control,
            seats: Seats::new(&run.state, Dropped),
            map,
            op,
            op_panics: Mutex::new(Vec::new()),
            work: run.work,
        };
        let fault = match job.control.fault_stop() {
            Some(_) => None,
            None => {
                let drive = || drive_with(pool, max_workers - 1, units, len, &job).err();
                caught(drive).map_err(unusable)?
            }
        };
        let failure = match fault {
            Some(Fault { index, panic }) => {
                let by_op = job.op_panics.into_inner();
                let by_op = by_op.unwrap_or_else(PoisonError::into_inner);
                Some(match by_op.contains(&index) {
                    true => RunError::OpPanicked { panic },
                    false => RunError::Panicked { index, panic },
                })
            }
            None => job.control.fault(),
        };
        discard(job.work);
        match failure {
            Some(failure) => {
                discard(job.tree);
                Err(failure)
            }
            None => Ok(job.tree.into_root().expect("all leaves were brought")),
        }
    }
}

/// What a hint says of each item.
fn costs<S: Source>(
    hint: &Hint<'_, S>,
    input: &Input<S>,
) -> Result<Result<Vec<f64>, Thrown>, Panic> {
    let mut costs = caught(|| Vec::with_capacity(input.len()))?;
    let hinted = caught(|| hint(input, &mut costs));
    Ok(match hinted {
        Ok(()) => Ok(costs),
        Err(panic) => Err(Thrown::Hint {
            index: costs.len(),
            panic,
        }),
    })
}

/// A run that has ended.
struct Ended<R, E, K> {
    output: Output<R>,
    failure: Option<RunError<E>>,
    keep: K,
    report: Report,
}

/// The error of a run whose source is of no use.
fn unusable<E>(panic: Panic) -> RunError<E> {
    RunError::SourcePanicked { panic }
}
