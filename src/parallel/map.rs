//! Maps: one result per item, or per chunk, in input order.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::buffers::{Input, Output, Parts, Places};
use super::engine::{Flow, Job, Visit, drive, is_serial, plain_loop};
use crate::chunking::{Chunking, Split};
use crate::panic::{HeldVec, discard};
use crate::pool::Pool;
use crate::source::{Chunk, Source};

/// One result per item.
struct Map<'f, S: Source, R, F> {
    input: Input<S>,
    output: Output<R>,
    grains: Split,
    f: &'f F,
}

#[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
impl<S: Source, R: Send, F: Fn(S::Item) -> R + Sync> Job for Map<'_, S, R, F> {
    type Local = ();

    fn attend(&self, _seat: usize, work: impl FnOnce(&mut ())) -> Flow {
        work(&mut ());
        Flow::Go
    }

    unsafe fn run(&self, (): &mut (), units: Range<usize>, visit: &Visit<'_>) -> Flow {
        let mut items = self.grains.items(units);
        // SAFETY: disjoint units have disjoint items, all within the input: the obligations of `run`.
        let mut parts = unsafe { Parts::new(&self.input, items.clone()) };
        // SAFETY: the output has a place per item.
        let mut places = unsafe { Places::new(&self.output, items.clone()) };
        while !items.is_empty() {
            if visit.is_over(items.start) {
                visit.at.set(items.start);
                return Flow::Stop;
            }
            let end = items
                .end
                .min(items.start.saturating_add(visit.stretch.get()));
            places.fill_up_to(end, &visit.at, parts.up_to(end).into_iter().map(self.f));
            items.start = end;
        }
        Flow::Go
    }

    #[inline]
    unsafe fn close(&self, handed: usize) {
        let items = self.grains.start(handed);
        // SAFETY: `run` takes all the items of its units.
        unsafe { self.input.close(items) };
        // SAFETY: and it gives them all to `fill`.
        unsafe { self.output.close(items) };
    }
}

#[inline]
pub(super) fn map<S, R, F>(pool: &Pool, source: S, chunking: Chunking, f: &F) -> Vec<R>
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
{
    let input = Input::new(source);
    if is_serial(pool, chunking, input.len()) {
        return collect(input.all().map(f));
    }
    map_many(pool, input, chunking, f)
}

/// The part of [`map`] that is not worth a place in the caller's code.
#[inline(never)]
fn map_many<S, R, F>(pool: &Pool, input: Input<S>, chunking: Chunking, f: &F) -> Vec<R>
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
{
    let len = input.len();
    if let Some(plain) = plain_loop::<Map<'_, S, R, F>>(pool, len) {
        let results = collect(input.all().map(f));
        plain.ended();
        return results;
    }
    let grains = chunking.grains(len);
    let job = Map {
        input,
        output: Output::new(len),
        grains,
        f,
    };
    drive(pool, grains.num_nonempty(), len, &job).unwrap_or_else(|fault| fault.resume());
    job.output.into_vec()
}

/// The results of a plain loop. Where it unwinds, those that it has made are dropped where nothing can.
#[inline]
fn collect<R>(results: impl Iterator<Item = R>) -> Vec<R> {
    if !std::mem::needs_drop::<R>() {
        return results.collect();
    }
    let mut made = HeldVec::with_capacity(results.size_hint().0);
    made.extend(results);
    made.into_inner()
}

/// One result per item, up to the first error.
struct TryMap<'f, S: Source, R, E, F> {
    input: Input<S>,
    output: Output<R>,
    /// The error with the lowest index so far.
    error: Mutex<Option<(usize, E)>>,
    grains: Split,
    f: &'f F,
}

#[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
impl<S, R, E, F> Job for TryMap<'_, S, R, E, F>
where
    S: Source,
    R: Send,
    E: Send,
    F: Fn(S::Item) -> Result<R, E> + Sync,
{
    type Local = ();

    fn attend(&self, _seat: usize, work: impl FnOnce(&mut ())) -> Flow {
        work(&mut ());
        Flow::Go
    }

    unsafe fn run(&self, (): &mut (), units: Range<usize>, visit: &Visit<'_>) -> Flow {
        let items = self.grains.items(units);
        // SAFETY: disjoint units have disjoint items, all within the input: the obligations of `run`.
        let chunk = unsafe { self.input.take(items.clone()) };
        let at = &visit.at;
        let (mut next, end) = (items.start, items.end);
        let mut error = None;
        let results = chunk.into_iter().map_while(|item| {
            if visit.is_over(next) {
                return None;
            }
            next += 1;
            (self.f)(item).map_err(|e| error = Some(e)).ok()
        });
        // SAFETY: the output has a place per item.
        unsafe { self.output.fill(items, at, results) };
        let Some(error) = error else {
            return if next < end { Flow::Stop } else { Flow::Go };
        };
        let loser = {
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            match &*first {
                Some((index, _)) if *index <= at.get() => Some((at.get(), error)),
                _ => first.replace((at.get(), error)),
            }
        };
        discard(loser); // the user's code, so not under the lock; a plain loop would not have met it
        Flow::Stop
    }

    #[inline]
    unsafe fn close(&self, handed: usize) {
        let items = self.grains.start(handed);
        // SAFETY: `run` takes all the items of its units.
        unsafe { self.input.close(items) };
        // SAFETY: and it gives them all to `fill`.
        unsafe { self.output.close(items) };
    }
}

#[inline]
pub(super) fn try_map<S, R, E, F>(
    pool: &Pool,
    source: S,
    chunking: Chunking,
    f: &F,
) -> Result<Vec<R>, E>
where
    S: Source,
    R: Send,
    E: Send,
    F: Fn(S::Item) -> Result<R, E> + Sync,
{
    let input = Input::new(source);
    let len = input.len();
    let serial = is_serial(pool, chunking, len);
    let plain = if serial {
        None
    } else {
        plain_loop::<TryMap<'_, S, R, E, F>>(pool, len)
    };
    if serial || plain.is_some() {
        let mut error = None;
        let results = input.all().map(f);
        let results = collect(results.map_while(|result| result.map_err(|e| error = Some(e)).ok()));
        let results = match error {
            Some(error) => Err(error),
            None => Ok(results),
        };
        if let (Some(plain), Ok(_)) = (plain, &results) {
            plain.ended();
        }
        return results;
    }
    let grains = chunking.grains(len);
    let job = TryMap {
        input,
        output: Output::new(len),
        error: Mutex::new(None),
        grains,
        f,
    };
    let run = drive(pool, grains.num_nonempty(), len, &job);
    let error = job
        .error
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    match (error, run) {
        // Of an error and a panic the lower index decides, as in a plain loop.
        (Some((at, error)), Err(fault)) if at < fault.index => Err(error),
        (error, Err(fault)) => {
            discard(error); // not while the panic unwinds
            fault.resume()
        }
        (Some((_, error)), Ok(())) => Err(error),
        (None, Ok(())) => Ok(job.output.into_vec()),
    }
}

/// One result per chunk, from a closure that sees the whole chunk.
struct ByChunk<'f, S: Source, R, F> {
    input: Input<S>,
    output: Output<R>,
    leaves: Split,
    f: &'f F,
}

#[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
impl<S, R, F> Job for ByChunk<'_, S, R, F>
where
    S: Source,
    R: Send,
    F: Fn(usize, Chunk<'_, S>) -> R + Sync,
{
    type Local = ();

    fn attend(&self, _seat: usize, work: impl FnOnce(&mut ())) -> Flow {
        work(&mut ());
        Flow::Go
    }

    unsafe fn run(&self, (): &mut (), units: Range<usize>, visit: &Visit<'_>) -> Flow {
        // SAFETY: disjoint units have disjoint items, all within the input: the obligations of `run`.
        let mut parts = unsafe { Parts::new(&self.input, self.leaves.items(units.clone())) };
        let results = units.clone().map(|unit| {
            let items = self.leaves.items(unit..unit + 1);
            (self.f)(items.start, parts.up_to(items.end))
        });
        // SAFETY: the output has a place per unit.
        unsafe { self.output.fill(units, &visit.at, results) };
        Flow::Go
    }

    unsafe fn close(&self, handed: usize) {
        // SAFETY: `run` takes, or drops, all the items of its units.
        unsafe { self.input.close(self.leaves.start(handed)) };
        // SAFETY: and it gives all its units to `fill`.
        unsafe { self.output.close(handed) };
    }
}

pub(super) fn map_by_chunk<S, R, F>(pool: &Pool, source: S, chunking: Chunking, f: &F) -> Vec<R>
where
    S: Source,
    R: Send,
    F: Fn(usize, Chunk<'_, S>) -> R + Sync,
{
    let input = Input::new(source);
    let len = input.len();
    let leaves = chunking.leaves(len);
    let serial = is_serial(pool, chunking, len);
    let plain = if serial {
        None
    } else {
        plain_loop::<ByChunk<'_, S, R, F>>(pool, len)
    };
    if serial || plain.is_some() {
        let mut parts = input.parts();
        let chunk = |items: Range<usize>| f(items.start, parts.up_to(items.end));
        let results = collect(chunking.ranges(len).map(chunk));
        if let Some(plain) = plain {
            plain.ended();
        }
        return results;
    }
    let job = ByChunk {
        input,
        output: Output::new(leaves.num_chunks()),
        leaves,
        f,
    };
    drive(pool, leaves.num_chunks(), len, &job).unwrap_or_else(|fault| fault.resume());
    job.output.into_vec()
}
