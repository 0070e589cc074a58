//! `Chunking` and the arithmetic of cutting a length into chunks. Pure: no thread, no clock.

use std::fmt;
use std::iter::FusedIterator;
use std::num::NonZeroUsize;
use std::ops::Range;

/// How a parallel operation cuts its input into chunks.
///
/// | | chunks |
/// |---|---|
/// | [`auto()`](Self::auto) | chosen while the work runs; the right one unless you know better |
/// | [`size(n)`](Self::size), or just `n` | `n` items each, the last one the rest |
/// | [`count(n)`](Self::count) | `n` chunks whose lengths differ by at most one, as `numpy.array_split` |
/// | [`serial()`](Self::serial) | one chunk on the caller's thread, no pool: the oracle, the debug mode, the baseline |
///
/// A chunking is a plain value: pass it around, keep it in a configuration.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, par_map_chunked};
///
/// let xs = [1.0, 2.0, 3.0];
/// let a = par_map_chunked(&xs, Chunking::auto(), |x| x * 10.0);
/// let b = par_map_chunked(&xs, 2, |x| x * 10.0); // chunks of two items
/// assert_eq!(a, b);
///
/// let lengths: Vec<_> = Chunking::count(3).ranges(8).map(|r| r.len()).collect();
/// assert_eq!(lengths, [3, 3, 2]);
/// ```
///
/// # Ordering and determinism
///
/// The chunking never changes the result of a map. The shape of a reduction's tree is a function
/// of the length and the chunking alone, never of timing or of the number of workers.
#[doc(alias = "chunksize")]
#[doc(alias = "schedule")]
#[doc(alias = "batch_size")]
#[doc(alias = "array_split")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chunking {
    /// The size or the count; 1 for the kinds without a number.
    number: usize,
    /// The kind in the lowest two bits, the minimum length above them. Two words in all, so that a chunking
    /// travels in registers: it is handed down on the way to loops of a few nanoseconds.
    kind_and_min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Auto = 0,
    Size = 1,
    Count = 2,
    Serial = 3,
}

/// The largest minimum length that can be kept; no data is longer.
const LONGEST_MIN: usize = usize::MAX >> 2;

#[track_caller]
const fn nonzero(n: usize, what: &str) -> usize {
    if n == 0 {
        panic!("{}", what);
    }
    n
}

impl Chunking {
    const fn new(kind: Kind, number: usize) -> Self {
        Self {
            number,
            kind_and_min: kind as usize | 1 << 2,
        }
    }

    const fn kind(self) -> Kind {
        match self.kind_and_min & 3 {
            0 => Kind::Auto,
            1 => Kind::Size,
            2 => Kind::Count,
            _ => Kind::Serial,
        }
    }

    /// The minimum length, at least 1.
    const fn min(self) -> usize {
        self.kind_and_min >> 2
    }

    /// Chunks chosen by the schedule while the work runs.
    #[must_use]
    pub const fn auto() -> Self {
        Self::new(Kind::Auto, 1)
    }

    /// Chunks of `len` items; the last one may be shorter.
    ///
    /// # Panics
    ///
    /// Where `len` is zero.
    #[must_use]
    #[track_caller]
    #[doc(alias = "chunks")]
    pub const fn size(len: usize) -> Self {
        Self::new(Kind::Size, nonzero(len, "a chunk has at least one item"))
    }

    /// `num_chunks` chunks whose lengths differ by at most one, the longer ones first.
    ///
    /// The boundaries are those of `numpy.array_split`; as there, chunks beyond the number of
    /// items are empty.
    ///
    /// # Panics
    ///
    /// Where `num_chunks` is zero.
    #[must_use]
    #[track_caller]
    #[doc(alias = "static")]
    pub const fn count(num_chunks: usize) -> Self {
        Self::new(
            Kind::Count,
            nonzero(num_chunks, "there is at least one chunk"),
        )
    }

    /// One chunk, on the caller's thread; no pool is touched.
    #[must_use]
    #[doc(alias = "sequential")]
    pub const fn serial() -> Self {
        Self::new(Kind::Serial, 1)
    }

    /// Makes every chunk at least `len` items long, as far as there are so many.
    ///
    /// Larger than what [`size`](Self::size) asks, it replaces that; with [`count`](Self::count) there
    /// are fewer chunks; with [`auto`](Self::auto) items are handed out `len` at a time or more.
    ///
    /// # Panics
    ///
    /// Where `len` is zero.
    #[must_use]
    #[track_caller]
    #[doc(alias = "with_min_len")]
    pub const fn min_len(mut self, len: usize) -> Self {
        let len = nonzero(len, "a chunk has at least one item");
        let len = if len < LONGEST_MIN { len } else { LONGEST_MIN };
        self.kind_and_min = self.kind_and_min & 3 | len << 2;
        self
    }

    /// Whether this is [`Chunking::serial`].
    #[must_use]
    pub const fn is_serial(&self) -> bool {
        matches!(self.kind(), Kind::Serial)
    }

    /// Whether this is [`Chunking::auto`], with or without a minimum length.
    #[must_use]
    pub const fn is_auto(&self) -> bool {
        matches!(self.kind(), Kind::Auto)
    }

    /// Whether this is `auto` without a minimum length.
    pub(crate) const fn is_plain_auto(&self) -> bool {
        self.is_auto() && self.min() == 1
    }

    /// The chunks of `len` items, in order: disjoint, and together the whole of `0..len`.
    ///
    /// For [`auto`](Self::auto), whose chunks in a map depend on timing, these are the leaves of a
    /// reduction, which do not.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::Chunking;
    ///
    /// assert_eq!(Chunking::size(4).ranges(10).collect::<Vec<_>>(), [0..4, 4..8, 8..10]);
    /// assert_eq!(Chunking::count(4).ranges(2).collect::<Vec<_>>(), [0..1, 1..2, 2..2, 2..2]);
    /// ```
    #[must_use]
    pub fn ranges(self, len: usize) -> Ranges {
        let split = self.leaves(len);
        Ranges {
            split,
            at: 0..split.num_chunks(),
        }
    }

    /// The grains that a map may be handed out in: single items for `auto`.
    pub(crate) const fn grains(self, len: usize) -> Split {
        match self.kind() {
            Kind::Auto => Split::by_size(len, self.min()),
            _ => self.leaves(len),
        }
    }

    /// The chunks that stand for themselves in the result: leaves of a reduction, arguments of
    /// a closure that sees whole chunks.
    pub(crate) const fn leaves(self, len: usize) -> Split {
        let min = self.min();
        match self.kind() {
            Kind::Auto => Split::by_size(len, max(auto_leaf_len(len), min)),
            Kind::Size => Split::by_size(len, max(self.number, min)),
            Kind::Count if min == 1 => Split::by_count(len, self.number),
            // As many as asked for, unless they would be shorter than the minimum.
            Kind::Count if self.number <= len / min => Split::by_count(len, self.number),
            Kind::Count => Split::by_count(len, max(len / min, 1)),
            Kind::Serial => Split::by_size(len, max(len, 1)),
        }
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Leaf length of a reduction under `auto`: about `len^(2/3) / 8`, rounded down to a power of two.
///
/// Few items make single-item leaves, which balance heavy items over many workers; many items
/// make leaves long enough that a leaf's fixed cost (a call, a combination) is lost in
/// even the cheapest loop, while there stay leaves enough for a thousand workers. It is a function
/// of the length alone, so that the bits of a sum are.
const fn auto_leaf_len(len: usize) -> usize {
    // floor(log2(len)) * 2/3 - 3, never below zero, in integers.
    let log = match len.checked_ilog2() {
        Some(log) => log,
        None => return 1,
    };
    1 << (log * 2 / 3).saturating_sub(3)
}

impl Default for Chunking {
    /// [`Chunking::auto`].
    fn default() -> Self {
        Self::auto()
    }
}

impl From<usize> for Chunking {
    /// [`Chunking::size`].
    #[track_caller]
    fn from(len: usize) -> Self {
        Self::size(len)
    }
}

impl From<NonZeroUsize> for Chunking {
    /// [`Chunking::size`].
    fn from(len: NonZeroUsize) -> Self {
        Self::size(len.get())
    }
}

impl fmt::Display for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Auto => write!(f, "auto")?,
            Kind::Size => write!(f, "size {}", self.number)?,
            Kind::Count => write!(f, "count {}", self.number)?,
            Kind::Serial => write!(f, "serial")?,
        }
        if self.min() > 1 {
            write!(f, ", at least {} items", self.min())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunking({self})")
    }
}

/// A length cut into numbered chunks: any chunk's boundaries in constant time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    len: usize,
    /// Length of every chunk but the first `longer`, which have one item more.
    base: usize,
    longer: usize,
    num_chunks: usize,
}

impl Split {
    /// Chunks of `size`, the last one the rest. `size` is above zero.
    const fn by_size(len: usize, size: usize) -> Self {
        // A division costs more than a short call's whole loop, so the common length of 1 goes without.
        let num_chunks = if size == 1 { len } else { len.div_ceil(size) };
        Self {
            len,
            base: size,
            longer: 0,
            num_chunks,
        }
    }

    /// `count` chunks with lengths that differ by at most one. `count` is above zero.
    const fn by_count(len: usize, count: usize) -> Self {
        Self {
            len,
            base: len / count,
            longer: len % count,
            num_chunks: count,
        }
    }

    pub(crate) const fn num_chunks(&self) -> usize {
        self.num_chunks
    }

    /// Chunks that have an item. Empty ones, which only `count` makes, come last.
    pub(crate) const fn num_nonempty(&self) -> usize {
        if self.base == 0 {
            self.longer
        } else {
            self.num_chunks
        }
    }

    /// Index of the first item of chunk `chunk`, or the length where there is no such chunk.
    #[inline]
    pub(crate) const fn start(&self, chunk: usize) -> usize {
        if chunk >= self.num_chunks {
            return self.len; // also keeps the product below from overflowing
        }
        self.base * chunk
            + if chunk < self.longer {
                chunk
            } else {
                self.longer
            }
    }

    /// The items of the chunks `chunks`, which lie side by side.
    #[inline]
    pub(crate) const fn items(&self, chunks: Range<usize>) -> Range<usize> {
        self.start(chunks.start)..self.start(chunks.end)
    }
}

/// The chunks of a length, in order; made by [`Chunking::ranges`].
#[derive(Clone, Debug)]
pub struct Ranges {
    split: Split,
    at: Range<usize>,
}

impl Ranges {
    fn range(&self, chunk: usize) -> Range<usize> {
        self.split.items(chunk..chunk + 1)
    }
}

impl Iterator for Ranges {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.at.next().map(|chunk| self.range(chunk))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.at.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Range<usize>> {
        self.at.nth(n).map(|chunk| self.range(chunk))
    }
}

impl DoubleEndedIterator for Ranges {
    fn next_back(&mut self) -> Option<Range<usize>> {
        self.at.next_back().map(|chunk| self.range(chunk))
    }
}

impl ExactSizeIterator for Ranges {}
impl FusedIterator for Ranges {}

#[cfg(test)]
mod tests;
