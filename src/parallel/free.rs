//! The free functions: each operation on the [global pool](Pool::global), with its page.

use super::reduce::Summand;
use crate::chunking::Chunking;
use crate::pool::Pool;
use crate::source::{Chunk, Source, Values};

/// Maps every item of a source; the results are in input order.
///
/// The first choice for independent work on many items. Where the closure can fail, see [`par_try_map_chunked`]; where it
/// gains from seeing neighbours together, [`par_map_by_chunk`]; where the results are only combined, [`par_map_reduce_chunked`].
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_map_chunked};
///
/// let xs = vec![1.0_f64, 2.0, 3.0];
/// assert_eq!(par_map_chunked(&xs, Chunking::auto(), |x| x.powi(10)), [1.0, 1024.0, 59049.0]);
/// assert_eq!(par_map_chunked(0..4, 2, |i| i * i), [0, 1, 4, 9]); // chunks of two
/// ```
///
/// Rows of an ndarray matrix:
///
/// ```
/// use ndarray::array;
/// use scipar::{Chunking, par_map_chunked};
///
/// let points = array![[3.0_f64, 4.0], [6.0, 8.0]];
/// let norms = par_map_chunked(points.view(), Chunking::auto(), |row| row.dot(&row).sqrt());
/// assert_eq!(norms, [5.0, 10.0]);
/// ```
///
/// # Ordering and determinism
///
/// Exact: result `i` is `f` of item `i`, for any chunking and any number of workers. In which order `f` is called is not specified.
///
/// # Blocking
///
/// Returns when all started work has ended. May be called from inside a worker or another call's closure without deadlock.
///
/// # Panics
///
/// With the payload of the lowest panicking index. A panic or an error stops what lies behind it: chunks that had been
/// started are left at the next item, or soon after, where items are short; items before it are finished, as
/// one of them could fail too. The pool stays usable. Results already made are dropped, and so are the items of an owned
/// source that were not mapped, each exactly once. What becomes of each panic is
/// [one table](crate::Parallel#when-something-panics) for all forms.
///
/// # Cost
///
/// One allocation, that of the result, as long as no helper is woken.
#[doc(alias = "pmap")]
#[doc(alias = "starmap")]
#[doc(alias = "parallel_map")]
#[doc(alias = "tmap")]
#[inline]
#[track_caller]
pub fn par_map_chunked<S, R, F>(source: S, chunking: impl Into<Chunking>, f: F) -> Vec<R>
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
{
    Pool::global().par_map_chunked(source, chunking, f)
}

/// Maps every item into a buffer of the caller's: `out[i]` becomes `f` of item `i`.
///
/// For loops that would otherwise allocate their result anew in every step. What was in a place before is dropped when the
/// new value is written.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_map_into_chunked};
///
/// let mut doubled = [0; 3];
/// par_map_into_chunked(&[1, 2, 3], &mut doubled, Chunking::auto(), |x| 2 * x);
/// assert_eq!(doubled, [2, 4, 6]);
/// ```
///
/// # Ordering and determinism
///
/// Exact, as [`par_map_chunked`].
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics). Places already written keep their new value, the others their old one. Also panics where `out` is
/// not as long as the source.
#[doc(alias = "tmap!")]
#[doc(alias = "out")]
#[inline]
#[track_caller]
pub fn par_map_into_chunked<S, R, F>(source: S, out: &mut [R], chunking: impl Into<Chunking>, f: F)
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
{
    Pool::global().par_map_into_chunked(source, out, chunking, f);
}

/// Calls a closure with every item, for its effects.
///
/// With a mutable source this changes data in place.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_for_each_chunked};
///
/// let mut xs = vec![1, 2, 3];
/// par_for_each_chunked(&mut xs, Chunking::auto(), |x| *x *= 10);
/// assert_eq!(xs, [10, 20, 30]);
/// ```
///
/// # Ordering and determinism
///
/// Every item once; in which order is not specified.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[doc(alias = "tforeach")]
#[inline]
#[track_caller]
pub fn par_for_each_chunked<S, F>(source: S, chunking: impl Into<Chunking>, f: F)
where
    S: Source,
    F: Fn(S::Item) + Sync,
{
    Pool::global().par_for_each_chunked(source, chunking, f);
}

/// Maps every item with a closure that can fail; stops at the first error.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_try_map_chunked};
///
/// let parse = |s: &&str| s.parse::<i32>();
/// assert_eq!(par_try_map_chunked(&["1", "2"], Chunking::auto(), parse), Ok(vec![1, 2]));
/// assert!(par_try_map_chunked(&["1", "x", "3"], Chunking::auto(), parse).is_err());
/// ```
///
/// # Ordering and determinism
///
/// Exact: the results in input order, or the error of the lowest failing index, whoever met which error first.
///
/// # Errors
///
/// The error of the lowest failing index; what lies behind it is not run, and results already made are dropped.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[doc(alias = "fail_fast")]
#[inline]
#[track_caller]
pub fn par_try_map_chunked<S, R, E, F>(
    source: S,
    chunking: impl Into<Chunking>,
    f: F,
) -> Result<Vec<R>, E>
where
    S: Source,
    R: Send,
    E: Send,
    F: Fn(S::Item) -> Result<R, E> + Sync,
{
    Pool::global().par_try_map_chunked(source, chunking, f)
}

/// Calls a closure with the start index of each chunk and the whole chunk; one result per chunk, in order.
///
/// For work that shares a set-up or a buffer among neighbours. What a chunk is depends on the source: see [`Chunk`].
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_map_by_chunk};
///
/// let xs = [1, 2, 3, 4, 5];
/// let sums = par_map_by_chunk(&xs, 2, |start, chunk| (start, chunk.iter().sum::<i32>()));
/// assert_eq!(sums, [(0, 3), (2, 7), (4, 5)]);
/// ```
///
/// # Ordering and determinism
///
/// The chunks are [`Chunking::ranges`] of the length, whatever the number of workers; under [`Chunking::auto`] those are the
/// leaves of a reduction. [`Chunking::count`] gives as many results as it has chunks, with empty chunks last.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[doc(alias = "chunks")]
#[inline]
#[track_caller]
pub fn par_map_by_chunk<S, R, F>(source: S, chunking: impl Into<Chunking>, f: F) -> Vec<R>
where
    S: Source,
    R: Send,
    F: Fn(usize, Chunk<'_, S>) -> R + Sync,
{
    Pool::global().par_map_by_chunk(source, chunking, f)
}

/// Maps every item and combines the results; `identity` is the answer for an empty source.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_map_reduce_chunked};
///
/// let sum_of_squares = par_map_reduce_chunked(0..1000_u64, Chunking::auto(), |i| i * i, || 0, |a, b| a + b);
/// assert_eq!(sum_of_squares, 332_833_500);
/// ```
///
/// # Ordering and determinism
///
/// Reproducible: the same bits for any number of workers and any timing. The leaves are [`Chunking::ranges`] of the length, each is
/// folded from left to right, and neighbours are combined in a balanced tree whose shape follows from the number of leaves.
/// Under [`Chunking::serial`] there is one leaf, so that the answer is that of a plain loop.
///
/// # Algebra
///
/// `op` has to be associative, as far as the answer is to be that of a plain loop; it need not be commutative. `identity` is
/// called at most once, for an empty source, and takes part in nothing else.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics). Of panics in `op` some one is re-raised.
#[doc(alias = "fold")]
#[doc(alias = "tmapreduce")]
#[inline]
#[track_caller]
pub fn par_map_reduce_chunked<S, R, F, I, O>(
    source: S,
    chunking: impl Into<Chunking>,
    map: F,
    identity: I,
    op: O,
) -> R
where
    S: Source,
    R: Send,
    F: Fn(S::Item) -> R + Sync,
    I: FnOnce() -> R,
    O: Fn(R, R) -> R + Sync,
{
    Pool::global().par_map_reduce_chunked(source, chunking, map, identity, op)
}

/// Combines the items of a source; `identity` is the answer for an empty one.
///
/// Items of a borrowed source are cloned, so that `op` sees values; see [`Values`].
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_reduce_chunked};
///
/// let longest = par_reduce_chunked(&[3, 1, 4, 1, 5], Chunking::auto(), || i32::MIN, i32::max);
/// assert_eq!(longest, 5);
/// ```
///
/// # Ordering and determinism
///
/// Reproducible, as [`par_map_reduce_chunked`], whose algebra holds here too.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[doc(alias = "treduce")]
#[inline]
#[track_caller]
pub fn par_reduce_chunked<S, I, O>(
    source: S,
    chunking: impl Into<Chunking>,
    identity: I,
    op: O,
) -> S::Value
where
    S: Values,
    S::Value: Send,
    I: FnOnce() -> S::Value,
    O: Fn(S::Value, S::Value) -> S::Value + Sync,
{
    Pool::global().par_reduce_chunked(source, chunking, identity, op)
}

/// Adds numbers; 0 for an empty source.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_sum_chunked};
///
/// assert_eq!(par_sum_chunked(&[0.5, 0.25], Chunking::auto()), 0.75);
/// assert_eq!(par_sum_chunked(1..=100, Chunking::auto()), 5050);
/// ```
///
/// # Ordering and determinism
///
/// Reproducible: the same bits for any number of workers and any timing. Floating-point leaves ([`Chunking::ranges`] of the
/// length; under `auto` those of `auto().min_len(128)`, as items are cheap) keep eight running sums, item `i` of the leaf going to sum `i % 8`, which are added pairwise; leaves are added in the tree of
/// [`par_map_reduce_chunked`]. So the error of a sum of `n` numbers grows like `(m / 8 + log2(n / m)) eps` with leaves of `m` items
/// (under `auto` 128, or between `n^(2/3) / 16` and `n^(2/3) / 8` where that is more), where a plain loop's grows like `n eps`; pairwise summation with the usual
/// blocks of 128 has `(16 + log2(n / 128)) eps`.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics). An integer sum that overflows panics where overflow checks are
/// on, as in a plain loop.
#[doc(alias = "fsum")]
#[inline]
#[track_caller]
pub fn par_sum_chunked<S>(source: S, chunking: impl Into<Chunking>) -> S::Value
where
    S: Values,
    S::Value: Summand,
{
    Pool::global().par_sum_chunked(source, chunking)
}

/// Index of the smallest item; the lowest index among equals.
///
/// Values that do not compare with themselves, which are the NaNs, are left out (NumPy would return the first of them). `None` where nothing is left.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_argmin_chunked};
///
/// assert_eq!(par_argmin_chunked(&[2.0, f64::NAN, 1.0, 1.0, 2.0], Chunking::auto()), Some(2));
/// assert_eq!(par_argmin_chunked(&[f64::NAN], Chunking::auto()), None);
/// ```
///
/// # Ordering and determinism
///
/// Exact: the index that a plain loop finds.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[inline]
#[track_caller]
pub fn par_argmin_chunked<S>(source: S, chunking: impl Into<Chunking>) -> Option<usize>
where
    S: Values,
    S::Value: PartialOrd + Send,
{
    Pool::global().par_argmin_chunked(source, chunking)
}

/// Index of the largest item; the lowest index among equals.
///
/// Values that do not compare with themselves, which are the NaNs, are left out (NumPy would return the first of them). `None` where nothing is left.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_argmax_chunked};
///
/// assert_eq!(par_argmax_chunked(&[2.0, f64::NAN, 1.0, 1.0, 2.0], Chunking::auto()), Some(0));
/// assert_eq!(par_argmax_chunked(&[f64::NAN], Chunking::auto()), None);
/// ```
///
/// # Ordering and determinism
///
/// Exact: the index that a plain loop finds.
///
/// # Blocking and panics
///
/// As [`par_map_chunked`](par_map_chunked#panics).
#[inline]
#[track_caller]
pub fn par_argmax_chunked<S>(source: S, chunking: impl Into<Chunking>) -> Option<usize>
where
    S: Values,
    S::Value: PartialOrd + Send,
{
    Pool::global().par_argmax_chunked(source, chunking)
}
