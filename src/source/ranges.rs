//! Ranges of integers.

use std::ops::{Range, RangeInclusive};

use super::{Shared, Source, Values, sealed::Sealed};

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

macro_rules! range_sources {
    ($($int:ty)*) => {$(
        impl Sealed for Range<$int> {}
        impl Sealed for RangeInclusive<$int> {}

        impl Source for Range<$int> {
            type Item = $int;
            type Shared = SharedRange<$int>;

            fn into_shared(self) -> SharedRange<$int> {
                let len = if self.is_empty() { 0 } else { self.end.abs_diff(self.start) };
                let len = usize::try_from(len).expect("a range of at most `usize::MAX` integers");
                SharedRange { first: self.start, len }
            }
        }

        impl Source for RangeInclusive<$int> {
            type Item = $int;
            type Shared = SharedInclusive<$int>;

            fn into_shared(self) -> SharedInclusive<$int> {
                let len = if self.is_empty() {
                    Some(0)
                } else {
                    usize::try_from(self.end().abs_diff(*self.start())).ok().and_then(|n| n.checked_add(1))
                };
                SharedInclusive { first: *self.start(), len: len.expect("a range of at most `usize::MAX` integers") }
            }
        }

        #[allow(unsafe_code, reason = "implements the unsafe method of `Shared`; integers need no promise")]
        impl Shared for SharedRange<$int> {
            type Item = $int;
            type Chunk<'a> = Range<$int>;

            fn len(&self) -> usize {
                self.len
            }

            #[inline]
            unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
                // Offsets are below the range's length, so the wrapped sums are the true ones.
                self.first.wrapping_add(range.start as $int)..self.first.wrapping_add(range.end as $int)
            }
        }

        #[allow(unsafe_code, reason = "implements the unsafe method of `Shared`; integers need no promise")]
        impl Shared for SharedInclusive<$int> {
            type Item = $int;
            type Chunk<'a> = RangeInclusive<$int>;

            fn len(&self) -> usize {
                self.len
            }

            #[inline]
            #[allow(clippy::reversed_empty_ranges, reason = "an empty inclusive range of any integer type")]
            unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
                if range.is_empty() {
                    return 1..=0;
                }
                self.first.wrapping_add(range.start as $int)..=self.first.wrapping_add((range.end - 1) as $int)
            }
        }

        impl Values for Range<$int> {
            type Value = $int;

            #[inline]
            fn value(item: $int) -> $int {
                item
            }
        }

        impl Values for RangeInclusive<$int> {
            type Value = $int;

            #[inline]
            fn value(item: $int) -> $int {
                item
            }
        }
    )*};
}

range_sources! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }
