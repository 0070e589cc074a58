//! Reductions: leaves cut by length and chunking alone, folded left to right, combined in a fixed tree.

use std::ops::Range;

use super::buffers::{Input, Parts};
use super::engine::{Flow, Job, Visit, drive, is_serial, plain_loop};
use super::tree::Tree;
use crate::chunking::{Chunking, Split};
use crate::panic::{Held, discard};
use crate::pool::Pool;
use crate::source::{Chunk, Source, Values};

/// Leaves of a tree, each computed from a chunk.
struct Reduce<'f, S: Source, R, L, O> {
    input: Input<S>,
    tree: Tree<R>,
    leaves: Split,
    leaf: &'f L,
    op: &'f O,
}

/// How a leaf is computed.
pub(super) trait Leaf<S: Source, R>: Sync {
    /// Whether a leaf can be computed stretch by stretch, so that a worker that is at a long one looks
    /// now and then whether it is still wanted.
    const CUTS: bool;

    /// Adds the next items of a leaf, of which there is one at least, to what came of those before them.
    /// `start` is the index of the first of them.
    fn add(&self, before: Option<R>, start: usize, chunk: Chunk<'_, S>) -> R;
}

#[allow(unsafe_code, reason = "takes what the engine hands out")]
impl<S, R, L, O> Job for Reduce<'_, S, R, L, O>
where
    S: Source,
    R: Send,
    L: Leaf<S, R>,
    O: Fn(R, R) -> R + Sync,
{
    type Local = ();

    fn attend(&self, _seat: usize, work: impl FnOnce(&mut ())) -> Flow {
        work(&mut ());
        Flow::Go
    }

    unsafe fn run(&self, (): &mut (), units: Range<usize>, visit: &Visit<'_>) -> Flow {
        // SAFETY: disjoint units have disjoint items, all within the input: the obligations of `run`.
        let mut parts = unsafe { Parts::new(&self.input, self.leaves.items(units.clone())) };
        let stretch = if L::CUTS {
            visit.stretch.get()
        } else {
            usize::MAX
        };
        let leaf = |unit| {
            let Range { mut start, end } = self.leaves.items(unit..unit + 1);
            let mut before = None;
            loop {
                visit.at.set(start);
                if visit.is_over(start) {
                    discard(before);
                    return None;
                }
                let next = end.min(start.saturating_add(stretch));
                let sum = self.leaf.add(before, start, parts.up_to(next));
                if next == end {
                    return Some(sum);
                }
                before = Some(sum);
                start = next;
            }
        };
        if self.tree.bring(units, leaf, self.op) {
            Flow::Go
        } else {
            Flow::Stop
        }
    }

    #[inline]
    unsafe fn close(&self, handed: usize) {
        // SAFETY: `run` takes, or drops, all the items of its units.
        unsafe { self.input.close(self.leaves.start(handed)) };
    }
}

/// Combines what `leaf` makes of each chunk and its start index; `None` where there is no item.
#[inline]
pub(super) fn reduce_leaves<S, R, L, O>(
    pool: &Pool,
    source: S,
    chunking: Chunking,
    leaf: &L,
    op: &O,
) -> Option<R>
where
    S: Source,
    R: Send,
    L: Leaf<S, R>,
    O: Fn(R, R) -> R + Sync,
{
    let input = Input::new(source);
    let len = input.len();
    let leaves = chunking.leaves(len);
    let units = leaves.num_nonempty();
    if units == 0 {
        return None;
    }
    let serial = is_serial(pool, chunking, len);
    let plain = if serial {
        None
    } else {
        plain_loop::<Reduce<'_, S, R, L, O>>(pool, len)
    };
    if serial || plain.is_some() {
        let mut parts = input.parts();
        let root = Tree::whole(
            units,
            |unit| {
                let chunk = parts.up_to(leaves.start(unit + 1));
                leaf.add(None, leaves.start(unit), chunk)
            },
            op,
        );
        if let Some(plain) = plain {
            plain.ended();
        }
        return Some(root);
    }
    let job = Reduce {
        input,
        tree: Tree::new(units),
        leaves,
        leaf,
        op,
    };
    drive(pool, units, len, &job).unwrap_or_else(|fault| fault.resume());
    job.tree.into_root()
}

#[inline]
pub(super) fn map_reduce<S, R, F, I, O>(
    pool: &Pool,
    source: S,
    chunking: Chunking,
    map: &F,
    identity: I,
    op: &O,
) -> R
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
    I: FnOnce() -> R,
    O: Fn(R, R) -> R + Sync,
{
    reduce_leaves(pool, source, chunking, &Fold { map, op }, op).unwrap_or_else(identity)
}

/// Leaves that are folded from left to right.
struct Fold<'f, F, O> {
    map: &'f F,
    op: &'f O,
}

impl<S, R, F, O> Leaf<S, R> for Fold<'_, F, O>
where
    S: Source,
    F: Fn(S::Item) -> R + Sync,
    O: Fn(R, R) -> R + Sync,
{
    const CUTS: bool = true;

    #[inline]
    fn add(&self, before: Option<R>, _start: usize, chunk: Chunk<'_, S>) -> R {
        let mut results = chunk.into_iter().map(self.map);
        let first = match before {
            Some(before) => before,
            None => results.next().expect("there is an item"),
        };
        if !std::mem::needs_drop::<R>() {
            return results.fold(first, self.op);
        }
        // Where the closure panics, what was folded until then is dropped where nothing can unwind.
        let mut sum = Held::new(first);
        results.for_each(|result| sum.update(|sum| (self.op)(sum, result)));
        sum.into_inner()
    }
}

/// Numbers that [`par_sum_chunked`](crate::par_sum_chunked) adds: the primitive ones.
///
/// Floating-point numbers are added pairwise over fixed blocks, integers one by one. The trait is sealed.
pub trait Summand: Copy + Send + sealed::Sum {}

#[allow(unnameable_types, reason = "the trait is sealed")]
mod sealed {
    /// How one leaf is added, and two sums.
    pub trait Sum: Sized {
        const ZERO: Self;
        fn sum(items: impl Iterator<Item = Self>) -> Self;
        fn plus(self, other: Self) -> Self;
    }
}

macro_rules! float_summands {
    ($($float:ty)*) => {$(
        impl Summand for $float {}

        impl sealed::Sum for $float {
            const ZERO: Self = 0.0;

            /// Eight running sums, item `i` going to sum `i % 8`, added pairwise at the end. They begin at -0, which
            /// changes no number it is added to, so that the first items can be taken as they are.
            #[inline]
            fn sum(mut items: impl Iterator<Item = Self>) -> Self {
                fn pairwise([a, b, c, d, e, f, g, h]: [$float; 8]) -> $float {
                    ((a + b) + (c + d)) + ((e + f) + (g + h))
                }
                let Some(a) = items.next() else { return Self::ZERO };
                let Some(b) = items.next() else { return a };
                let Some(c) = items.next() else { return a + b };
                let mut lanes = [a, b, c, -0.0, -0.0, -0.0, -0.0, -0.0];
                for lane in &mut lanes[3..] {
                    match items.next() {
                        Some(item) => *lane = item,
                        None => return pairwise(lanes),
                    }
                }
                loop {
                    for lane in &mut lanes {
                        match items.next() {
                            Some(item) => *lane += item,
                            None => return pairwise(lanes),
                        }
                    }
                }
            }

            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    )*};
}

macro_rules! integer_summands {
    ($($int:ty)*) => {$(
        impl Summand for $int {}

        impl sealed::Sum for $int {
            const ZERO: Self = 0;

            #[inline]
            fn sum(items: impl Iterator<Item = Self>) -> Self {
                items.sum()
            }

            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    )*};
}

float_summands! { f32 f64 }
integer_summands! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

/// The chunking for items that cost next to nothing: under `auto`, leaves of at least `min_len` items.
const fn with_cheap_items(chunking: Chunking, min_len: usize) -> Chunking {
    if chunking.is_plain_auto() {
        chunking.min_len(min_len)
    } else {
        chunking
    }
}

#[inline]
pub(super) fn sum<S>(pool: &Pool, source: S, chunking: Chunking) -> S::Value
where
    S: Values,
    S::Value: Summand,
{
    let chunking = with_cheap_items(chunking, 128);
    reduce_leaves(pool, source, chunking, &Sum, &sealed::Sum::plus).unwrap_or(sealed::Sum::ZERO)
}

/// Leaves that are added up.
struct Sum;

impl<S> Leaf<S, S::Value> for Sum
where
    S: Values,
    S::Value: Summand,
{
    /// Numbers in several running sums, whose items cost next to nothing.
    const CUTS: bool = false;

    #[inline]
    fn add(&self, _before: Option<S::Value>, _start: usize, chunk: Chunk<'_, S>) -> S::Value {
        sealed::Sum::sum(chunk.into_iter().map(S::value))
    }
}

/// Index of the first value that no other one beats, where `beats(a, b)` says that `a` is better than `b`.
/// Values that do not compare with themselves (NaN) are left out.
#[inline]
pub(super) fn arg_best<S>(
    pool: &Pool,
    source: S,
    chunking: Chunking,
    beats: impl Fn(&S::Value, &S::Value) -> bool + Sync,
) -> Option<usize>
where
    S: Values,
    S::Value: PartialOrd + Send,
{
    let chunking = with_cheap_items(chunking, 1_024);
    type Best<V> = Option<(usize, V)>;
    // The earlier one stays unless the later one is better: the lowest index wins ties.
    let better = |first: Best<S::Value>, second: Best<S::Value>| match (&first, &second) {
        (Some((_, a)), Some((_, b))) if !beats(b, a) => first,
        (Some(_), None) => first,
        _ => second,
    };
    reduce_leaves(pool, source, chunking, &First { beats: &beats }, &better)
        .flatten()
        .map(|(index, _)| index)
}

/// Leaves whose first value is wanted that no other one beats, with its index.
struct First<'f, B> {
    beats: &'f B,
}

impl<S, B> Leaf<S, Option<(usize, S::Value)>> for First<'_, B>
where
    S: Values,
    S::Value: PartialOrd,
    B: Fn(&S::Value, &S::Value) -> bool + Sync,
{
    const CUTS: bool = true;

    #[inline]
    fn add(
        &self,
        before: Option<Option<(usize, S::Value)>>,
        start: usize,
        chunk: Chunk<'_, S>,
    ) -> Option<(usize, S::Value)> {
        let mut best = before.flatten();
        for (offset, item) in chunk.into_iter().enumerate() {
            let value = S::value(item);
            if value.partial_cmp(&value).is_some()
                && best
                    .as_ref()
                    .is_none_or(|(_, old)| (self.beats)(&value, old))
            {
                best = Some((start + offset, value));
            }
        }
        best
    }
}
