//! Who competes, and how one of them is timed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use paralight::prelude::{
    CpuPinningPolicy, RangeStrategy, ThreadCount, ThreadPool, ThreadPoolBuilder,
};
use scipar::{Chunking, par_map_chunked};

use crate::common::machine::{self, spin};
use crate::common::work::Work;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `iter().map(f).collect()`: the baseline.
    Serial,
    Ours,
    /// `par_iter().map(f).collect()`.
    Rayon,
    /// `par_chunks_mut` zipped with `par_chunks`, four chunks per worker.
    RayonChunks,
    /// `par().map(f).collect()` as it comes: a persistent pool, adaptive chunks.
    Orx,
    /// The same with the pool its manual names for occasional calls: threads that live for one call.
    OrxOnce,
    /// Its own pool, built once, work stealing.
    Paralight,
    /// One part per worker on scoped threads, the first part on the caller's.
    Split,
}

impl Contender {
    pub(crate) const ALL: [Contender; 8] = [
        Contender::Serial,
        Contender::Ours,
        Contender::Rayon,
        Contender::RayonChunks,
        Contender::Orx,
        Contender::OrxOnce,
        Contender::Paralight,
        Contender::Split,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Serial => "serial",
            Contender::Ours => "ours",
            Contender::Rayon => "rayon",
            Contender::RayonChunks => "chunks",
            Contender::Orx => "orx",
            Contender::OrxOnce => "orx-once",
            Contender::Paralight => "paralight",
            Contender::Split => "split",
        }
    }
}

/// What a call returns.
#[derive(Debug)]
pub(crate) enum Answer {
    Items(Vec<f64>),
    Total(f64),
}

impl Answer {
    /// Mapped items have the same bits; totals differ by rounding, as sums are nested differently.
    pub(crate) fn agrees(&self, expected: &Answer) -> bool {
        match (self, expected) {
            (Answer::Items(a), Answer::Items(b)) => a == b,
            (Answer::Total(a), Answer::Total(b)) => (a - b).abs() <= 1e-9 * b.abs(),
            _ => false,
        }
    }
}

/// What is done with the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Map,
    /// Map and add up.
    Sum,
}

/// What the caller does before a timed call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Before {
    /// Nothing: the contender was called just now.
    Nothing,
    Spin(Duration),
    Sleep(Duration),
}

/// How a contender is timed in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) before: Before,
    /// Calls before the first timed one, so that the contender before has left and this one is warm.
    pub(crate) lead_in: usize,
    pub(crate) samples: usize,
    /// Calls per sample.
    pub(crate) batch: usize,
    /// Nanoseconds that an empty timed region lasts.
    pub(crate) clock: f64,
}

impl Plan {
    /// Times calls; adds nanoseconds per call to `out`; returns what the last call returned.
    fn run<T, A>(
        &self,
        items: &[T],
        companion: Option<&[T]>,
        out: &mut Vec<f64>,
        mut call: impl FnMut(&[T]) -> A,
    ) -> Option<A> {
        let mut answers = Vec::with_capacity(self.batch);
        for _ in 0..self.lead_in {
            answers.push(call(black_box(items)));
            answers.clear();
        }
        for _ in 0..self.samples {
            // Results are dropped here, outside the timed region.
            answers.clear();
            if let Some(others) = companion {
                drop(black_box(call(black_box(others))));
            }
            match self.before {
                Before::Nothing => {}
                Before::Spin(time) => spin(time),
                Before::Sleep(time) => std::thread::sleep(time),
            }
            let began = Instant::now();
            for _ in 0..self.batch {
                answers.push(call(black_box(items)));
            }
            let took = began.elapsed().as_nanos() as f64;
            out.push((took - self.clock).max(1.0) / self.batch as f64);
        }
        black_box(answers).pop()
    }
}

/// The contenders' pools that have to be kept.
pub(crate) struct Peers {
    workers: usize,
    paralight: ThreadPool,
}

impl Peers {
    pub(crate) fn new() -> Self {
        let workers = machine::workers();
        rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build_global()
            .expect("nobody has used rayon's global pool yet");
        let paralight = ThreadPoolBuilder {
            num_threads: ThreadCount::try_from(workers).expect("there is a worker"),
            range_strategy: RangeStrategy::WorkStealing,
            cpu_pinning: CpuPinningPolicy::No,
        }
        .build();
        Self { workers, paralight }
    }

    /// Times one contender. `companion` are items that it is called with before each timed call.
    pub(crate) fn time<W: Work>(
        &mut self,
        who: Contender,
        operation: Operation,
        items: &[W::Item],
        companion: Option<&[W::Item]>,
        plan: &Plan,
        out: &mut Vec<f64>,
    ) -> Option<Answer> {
        match operation {
            Operation::Map => self
                .time_map::<W>(who, items, companion, plan, out)
                .map(Answer::Items),
            Operation::Sum => self
                .time_sum::<W>(who, items, companion, plan, out)
                .map(Answer::Total),
        }
    }

    fn time_map<W: Work>(
        &mut self,
        who: Contender,
        items: &[W::Item],
        companion: Option<&[W::Item]>,
        plan: &Plan,
        out: &mut Vec<f64>,
    ) -> Option<Vec<f64>> {
        let workers = self.workers;
        match who {
            Contender::Serial => plan.run(items, companion, out, |items| {
                items.iter().map(W::compute).collect()
            }),
            Contender::Ours => plan.run(items, companion, out, |items| {
                par_map_chunked(items, Chunking::auto(), |item| W::compute(item))
            }),
            Contender::Rayon => plan.run(items, companion, out, rayon_peer::map::<W>),
            Contender::RayonChunks => plan.run(items, companion, out, |items| {
                rayon_peer::map_chunks::<W>(items, workers)
            }),
            Contender::Orx => plan.run(items, companion, out, orx_peer::map::<W>),
            Contender::OrxOnce => plan.run(items, companion, out, orx_peer::map_once::<W>),
            Contender::Paralight => plan.run(items, companion, out, |items| {
                paralight_peer::map::<W>(items, &mut self.paralight)
            }),
            Contender::Split => plan.run(items, companion, out, |items| {
                split_peer::map::<W>(items, workers)
            }),
        }
    }

    fn time_sum<W: Work>(
        &mut self,
        who: Contender,
        items: &[W::Item],
        companion: Option<&[W::Item]>,
        plan: &Plan,
        out: &mut Vec<f64>,
    ) -> Option<f64> {
        let workers = self.workers;
        match who {
            Contender::Serial => plan.run(items, companion, out, |items| {
                items.iter().map(W::compute).sum()
            }),
            Contender::Ours => plan.run(items, companion, out, W::our_sum),
            Contender::Rayon => plan.run(items, companion, out, rayon_peer::sum::<W>),
            Contender::RayonChunks => plan.run(items, companion, out, |items| {
                rayon_peer::sum_chunks::<W>(items, workers)
            }),
            Contender::Orx => plan.run(items, companion, out, orx_peer::sum::<W>),
            Contender::OrxOnce => plan.run(items, companion, out, orx_peer::sum_once::<W>),
            Contender::Paralight => plan.run(items, companion, out, |items| {
                paralight_peer::sum::<W>(items, &mut self.paralight)
            }),
            Contender::Split => plan.run(items, companion, out, |items| {
                split_peer::sum::<W>(items, workers)
            }),
        }
    }
}

/// Items per chunk for four chunks per worker.
fn chunk_len(len: usize, workers: usize) -> usize {
    (len / (4 * workers)).max(1)
}

mod rayon_peer {
    use rayon::prelude::*;

    use super::{Work, chunk_len};

    pub(super) fn map<W: Work>(items: &[W::Item]) -> Vec<f64> {
        items.par_iter().map(W::compute).collect()
    }

    pub(super) fn map_chunks<W: Work>(items: &[W::Item], workers: usize) -> Vec<f64> {
        let len = chunk_len(items.len(), workers);
        let mut out = vec![0.0; items.len()];
        out.par_chunks_mut(len)
            .zip(items.par_chunks(len))
            .for_each(|(out, items)| {
                for (out, item) in out.iter_mut().zip(items) {
                    *out = W::compute(item);
                }
            });
        out
    }

    pub(super) fn sum<W: Work>(items: &[W::Item]) -> f64 {
        items.par_iter().map(W::compute).sum()
    }

    pub(super) fn sum_chunks<W: Work>(items: &[W::Item], workers: usize) -> f64 {
        items
            .par_chunks(chunk_len(items.len(), workers))
            .map(|items| items.iter().map(W::compute).sum::<f64>())
            .sum()
    }
}

mod orx_peer {
    use orx_parallel::{NumThreads, Par, Parallelizable, Pool, Runner};

    use super::Work;

    pub(super) fn map<W: Work>(items: &[W::Item]) -> Vec<f64> {
        items.par().map(W::compute).collect()
    }

    pub(super) fn map_once<W: Work>(items: &[W::Item]) -> Vec<f64> {
        items
            .par()
            .runner(Runner::adaptive_with_pool(Pool::once(NumThreads::Auto)))
            .map(W::compute)
            .collect()
    }

    pub(super) fn sum<W: Work>(items: &[W::Item]) -> f64 {
        items.par().map(W::compute).sum()
    }

    pub(super) fn sum_once<W: Work>(items: &[W::Item]) -> f64 {
        items
            .par()
            .runner(Runner::adaptive_with_pool(Pool::once(NumThreads::Auto)))
            .map(W::compute)
            .sum()
    }
}

mod paralight_peer {
    use paralight::prelude::*;

    use super::Work;

    pub(super) fn map<W: Work>(items: &[W::Item], pool: &mut ThreadPool) -> Vec<f64> {
        let mut out = vec![0.0; items.len()];
        (out.par_iter_mut(), items.par_iter())
            .zip_eq()
            .with_thread_pool(pool)
            .for_each(|(out, item)| *out = W::compute(item));
        out
    }

    pub(super) fn sum<W: Work>(items: &[W::Item], pool: &mut ThreadPool) -> f64 {
        items
            .par_iter()
            .with_thread_pool(pool)
            .map(W::compute)
            .sum()
    }
}

mod split_peer {
    use super::Work;

    pub(super) fn map<W: Work>(items: &[W::Item], workers: usize) -> Vec<f64> {
        let fill = |items: &[W::Item], out: &mut [f64]| {
            for (out, item) in out.iter_mut().zip(items) {
                *out = W::compute(item);
            }
        };
        let len = items.len().div_ceil(workers).max(1);
        let mut out = vec![0.0; items.len()];
        std::thread::scope(|scope| {
            let mut parts = items.chunks(len).zip(out.chunks_mut(len));
            let first = parts.next();
            for (items, out) in parts {
                scope.spawn(move || fill(items, out));
            }
            if let Some((items, out)) = first {
                fill(items, out);
            }
        });
        out
    }

    pub(super) fn sum<W: Work>(items: &[W::Item], workers: usize) -> f64 {
        let add = |items: &[W::Item]| items.iter().map(W::compute).sum::<f64>();
        let mut parts = items.chunks(items.len().div_ceil(workers).max(1));
        std::thread::scope(|scope| {
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || add(part))).collect();
            others
                .into_iter()
                .map(|part| part.join().expect("adding does not panic"))
                .fold(add(first), |total, part| total + part)
        })
    }
}
