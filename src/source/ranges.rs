//! Ranges of integers.

use std::ops::{Range, RangeInclusive};

use super::{Shared, Source, Values, sealed::Sealed};

/// Integers whose ranges are sources: all primitive ones.
///
/// The sources are implemented for all of them at once, so that a range of literals such as `0..50` is
/// known to give its own integer type, and that type is `i32` where nothing else says so, as in a
/// plain loop. With one implementation per type the compiler would have to be told which.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a range of `{Self}` has no items that can be handed out by index",
    label = "not a range of integers",
    note = "ranges of integers are sources; for anything else map over `0..n` and compute the value \
            in the closure"
)]
pub trait RangeItem: Copy + Ord + Send + Sync {
    /// How many integers there are from `self` up to `end`, without it; `None` where a `usize` cannot
    /// count them.
    fn count_to(self, end: Self) -> Option<usize>;

    /// The integer so many after this one, which exists.
    fn after(self, offset: usize) -> Self;

    /// The inclusive range without integers.
    fn none() -> RangeInclusive<Self>;
}

macro_rules! range_items {
    ($($int:ty)*) => {$(
        impl RangeItem for $int {
            #[inline]
            fn count_to(self, end: Self) -> Option<usize> {
                usize::try_from(end.abs_diff(self)).ok()
            }

            #[inline]
            fn after(self, offset: usize) -> Self {
                // The integer exists, so the wrapped sum is the true one.
                self.wrapping_add(offset as $int)
            }

            #[inline]
            #[allow(clippy::reversed_empty_ranges, reason = "an empty inclusive range")]
            fn none() -> RangeInclusive<Self> {
                1..=0
            }
        }
    )*};
}

range_items! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

/// A range of integers as its first one and their number.
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedRange<I> {
    first: I,
    len: usize,
}

/// The same for ranges that include their end, whose end may be the largest integer.
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedInclusive<I> {
    first: I,
    len: usize,
}

const TOO_LONG: &str = "a range of at most `usize::MAX` integers";

impl<I: RangeItem> Sealed for Range<I> {}
impl<I: RangeItem> Sealed for RangeInclusive<I> {}

impl<I: RangeItem> Source for Range<I>
where
    Range<I>: Iterator<Item = I>,
{
    type Item = I;
    type Shared = SharedRange<I>;

    fn into_shared(self) -> SharedRange<I> {
        let len = if self.is_empty() {
            0
        } else {
            self.start.count_to(self.end).expect(TOO_LONG)
        };
        SharedRange {
            first: self.start,
            len,
        }
    }
}

impl<I: RangeItem> Source for RangeInclusive<I>
where
    RangeInclusive<I>: Iterator<Item = I>,
{
    type Item = I;
    type Shared = SharedInclusive<I>;

    fn into_shared(self) -> SharedInclusive<I> {
        let len = if self.is_empty() {
            Some(0)
        } else {
            let before_last = self.start().count_to(*self.end());
            before_last.and_then(|n| n.checked_add(1))
        };
        SharedInclusive {
            first: *self.start(),
            len: len.expect(TOO_LONG),
        }
    }
}

#[allow(
    unsafe_code,
    reason = "implements the unsafe method of `Shared`; integers need no promise"
)]
impl<I: RangeItem> Shared for SharedRange<I>
where
    Range<I>: Iterator<Item = I>,
{
    type Item = I;
    type Chunk<'a> = Range<I>;

    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        self.first.after(range.start)..self.first.after(range.end)
    }
}

#[allow(
    unsafe_code,
    reason = "implements the unsafe method of `Shared`; integers need no promise"
)]
impl<I: RangeItem> Shared for SharedInclusive<I>
where
    RangeInclusive<I>: Iterator<Item = I>,
{
    type Item = I;
    type Chunk<'a> = RangeInclusive<I>;

    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        if range.is_empty() {
            return I::none();
        }
        self.first.after(range.start)..=self.first.after(range.end - 1)
    }
}

impl<I: RangeItem> Values for Range<I>
where
    Range<I>: Iterator<Item = I>,
{
    type Value = I;

    #[inline]
    fn value(item: I) -> I {
        item
    }
}

impl<I: RangeItem> Values for RangeInclusive<I>
where
    RangeInclusive<I>: Iterator<Item = I>,
{
    type Value = I;

    #[inline]
    fn value(item: I) -> I {
        item
    }
}
