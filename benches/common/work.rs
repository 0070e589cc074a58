//! Work of a known cost.
//!
//! [`Chain`] is a chain of dependent floating-point operations: neither removed nor vectorised, and its
//! length is its cost. [`Light`] is plain arithmetic that vectorises, for everybody alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use scipar::{Chunking, par_map_reduce_chunked, par_sum_chunked};

use super::stats::Random;

/// A function of one item.
pub(crate) trait Work: Copy + Send + Sync + 'static {
    type Item: Copy + Send + Sync;

    fn compute(item: &Self::Item) -> f64;

    /// The sum over all items, as this crate's users would write it.
    fn our_sum(items: &[Self::Item]) -> f64 {
        let add = |a, b| a + b;
        par_map_reduce_chunked(items, Chunking::auto(), |i| Self::compute(i), || 0.0, add)
    }
}

/// Some steps of a recurrence that cannot be shortened.
#[inline]
pub(crate) fn chain(seed: f64, steps: u32) -> f64 {
    let mut x = seed;
    for _ in 0..steps {
        x = x * 0.999_9 + 0.01;
    }
    // The recurrence forgets its start; the sum does not, so that an answer in the wrong place shows.
    x + seed
}

/// An item of [`Chain`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) seed: f32,
    pub(crate) steps: u32,
}

/// From about 10 ns per item on.
#[derive(Clone, Copy)]
pub(crate) struct Chain;

impl Work for Chain {
    type Item = Link;

    #[inline]
    fn compute(item: &Link) -> f64 {
        chain(f64::from(item.seed), item.steps)
    }
}

/// About 1 ns per item. The square root is what takes the nanosecond.
#[derive(Clone, Copy)]
pub(crate) struct Light;

impl Work for Light {
    type Item = f64;

    #[inline]
    fn compute(item: &f64) -> f64 {
        (item * 1.000_000_1 + 0.1).sqrt()
    }
}

/// No work: the items themselves, for sums.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Work for Plain {
    type Item = f64;

    #[inline]
    fn compute(item: &f64) -> f64 {
        *item
    }

    fn our_sum(items: &[f64]) -> f64 {
        par_sum_chunked(items, Chunking::auto())
    }
}

/// How the cost is spread over the items. The mean is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Flat,
    /// From 0 to twice the mean.
    Ramp,
    /// The last 2 % of the items, at least one, cost 50 times the others.
    Tail,
    /// Exponentially distributed, in no order.
    Exponential,
}

impl Shape {
    pub(crate) const ALL: [Shape; 4] = [Shape::Flat, Shape::Ramp, Shape::Tail, Shape::Exponential];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Flat => "flat",
            Shape::Ramp => "ramp",
            Shape::Tail => "tail",
            Shape::Exponential => "exponential",
        }
    }

    /// Weights of `len` items, with mean 1.
    fn weights(self, len: usize) -> Vec<f64> {
        let heavy = len - len.div_ceil(50);
        let mut random = Random::new(len as u64);
        let mut weights: Vec<f64> = (0..len)
            .map(|i| match self {
                Shape::Flat => 1.0,
                Shape::Ramp => i as f64 + 0.5,
                Shape::Tail if i >= heavy => 50.0,
                Shape::Tail => 1.0,
                Shape::Exponential => -random.uniform().ln(),
            })
            .collect();
        let mean = weights.iter().sum::<f64>() / len as f64;
        weights.iter_mut().for_each(|w| *w /= mean);
        weights
    }

    /// Items that take `steps` on average.
    pub(crate) fn links(self, len: usize, steps: f64) -> Vec<Link> {
        self.weights(len)
            .into_iter()
            .enumerate()
            .map(|(i, weight)| Link {
                seed: (i % 1_000) as f32,
                steps: (weight * steps).round() as u32,
            })
            .collect()
    }
}

/// Items of [`Light`] and [`Plain`].
pub(crate) fn numbers(len: usize) -> Vec<f64> {
    (0..len).map(|i| (i % 1_000) as f64).collect()
}

/// The mean number of steps that makes a flat [`Chain`] item cost `nanos`, in a loop over items that
/// overlap as far as the processor lets them.
pub(crate) fn steps_for(nanos: f64) -> f64 {
    let len = ((200_000.0 / nanos) as usize).clamp(1, 4_096);
    let mut steps = (nanos / 3.0).max(1.0);
    for _ in 0..6 {
        let links = Shape::Flat.links(len, steps);
        let fastest = (0..7)
            .map(|_| {
                let began = Instant::now();
                for link in &links {
                    black_box(Chain::compute(black_box(link)));
                }
                began.elapsed()
            })
            .min()
            .unwrap_or(Duration::ZERO);
        let per_item = fastest.as_nanos() as f64 / len as f64;
        steps = (steps * (nanos / per_item.max(0.1)).clamp(0.2, 5.0)).max(1.0);
    }
    steps
}
