//! What can be mapped: slices, vectors, ranges, ndarray views.

#![allow(
    unnameable_types,
    reason = "the trait is sealed: what it needs of a source is nobody's to name"
)]

use std::ops::Range;

mod arrays;
mod pointers;
mod ranges;
#[cfg(doctest)]
mod refused;
mod slices;
mod vector;

pub use arrays::{Outer, OuterIter, OuterIterMut, OuterMut};
pub use vector::VecChunk;

/// Data that a parallel operation can cut into chunks and hand out by index.
///
/// | source | items |
/// |---|---|
/// | `&[T]`, `&Vec<T>`, `&[T; N]` | `&T` |
/// | `&mut [T]`, `&mut Vec<T>`, `&mut [T; N]` | `&mut T` |
/// | `Vec<T>`, `Box<[T]>` | `T`, by value; what a panic leaves over is dropped exactly once |
/// | `Range` and `RangeInclusive` of integers | the integers, `i32` where nothing else says so |
/// | `ArrayView1`, `&Array1` | `&T` |
/// | `ArrayView`, `&Array` of 2 to 6 dimensions or `IxDyn` | subviews along the outer axis, as `outer_iter` |
/// | `ArrayViewMut`, `&mut Array` | the same, mutable |
/// | `&Arc<A>`, `&Rc<A>`, `&Box<A>`, `&Cow<A>`, `&&A` | those of `&A`, such as an `Arc<Vec<T>>` or an `Rc<[T]>` |
/// | `&mut Box<A>`, `&mut &mut A` | those of `&mut A` |
///
/// The trait is sealed: handing out items of arbitrary foreign types by index, from many threads,
/// would need an unsafe contract, and every case met so far is served by mapping over `0..n` and
/// indexing in the closure.
///
/// # Panics
///
/// Turning an array without any dimension (`IxDyn` of length 0) into a source, or a range of more than
/// `usize::MAX` integers, panics at the start of the operation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something whose items can be handed out by index",
    note = "sources are `&xs` and `&mut xs` of a slice, an array, a vector or a `Box`, `&xs` of an `Arc`, `Rc` or `Cow` of one, \
            a vector by value, a range of integers, and `array.view()` or `&array` of ndarray; for anything else map over \
            `0..n` and index in the closure"
)]
pub trait Source: Sized + sealed::Sealed {
    /// What the closure gets.
    type Item;

    /// The source in the form in which workers share it.
    #[doc(hidden)]
    type Shared: Shared<Item = Self::Item>;

    #[doc(hidden)]
    fn into_shared(self) -> Self::Shared;
}

/// Some neighbouring items of a source; what the closure of
/// [`par_map_by_chunk`](crate::par_map_by_chunk) gets. It iterates over the items.
///
/// | source | chunk |
/// |---|---|
/// | slices, mutable slices and what derefs to them | `&[T]`, `&mut [T]` |
/// | `Vec<T>` | [`VecChunk`] |
/// | ranges | a range of the same type |
/// | one-dimensional views and arrays | `ArrayView1`, `ArrayViewMut1` |
/// | views and arrays of more dimensions | [`Outer`], [`OuterMut`] |
pub type Chunk<'a, S> = <<S as Source>::Shared as Shared>::Chunk<'a>;

/// A source's items, to be taken by index from several threads.
#[doc(hidden)]
#[allow(
    unsafe_code,
    reason = "declares the obligation that the implementations rely on"
)]
pub trait Shared: Sync {
    type Item;

    type Chunk<'a>: IntoIterator<Item = Self::Item>;

    /// Number of items.
    fn len(&self) -> usize;

    /// The items `range`.
    ///
    /// # Safety
    ///
    /// 1. `range` lies within `0..self.len()`.
    /// 2. No index is handed out twice over the life of `self`.
    /// 3. `'a` does not outlive `self`. (A bound would say so, and would make closures over chunks of
    ///    borrowed data impossible to write: their type has to hold for every `'a`.)
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a>;

    /// Tells an owning source that the items before `end` were handed out and those from `end` on
    /// were not, so that it drops the latter and only the latter.
    ///
    /// # Safety
    ///
    /// Exactly the indices `0..end` were handed out, and none will be from now on.
    unsafe fn close(&mut self, _end: usize) {}
}

/// Sources whose items can be had by value, whatever they are borrowed from: what
/// [`par_reduce_chunked`](crate::par_reduce_chunked) and
/// [`par_sum_chunked`](crate::par_sum_chunked) take.
///
/// A `&[f64]` has the values `f64`, cloned, and so has a one-dimensional array or view; a `Vec<f64>` or a range gives its
/// items. Arrays of more dimensions have none.
#[diagnostic::on_unimplemented(
    message = "the items of `{Self}` cannot be had by value",
    note = "slices, vectors, ranges and one-dimensional arrays have values; give others to `par_map_reduce_chunked`"
)]
pub trait Values: Source {
    /// The item by value.
    type Value;

    /// Makes the value of an item.
    #[doc(hidden)]
    fn value(item: Self::Item) -> Self::Value;
}

mod sealed {
    pub trait Sealed {}
}

/// Two sources of equal length, item by item: how results reach a caller's buffer.
pub(crate) struct Zip<A: Source, B: Source>(ZipShared<A::Shared, B::Shared>);

impl<A: Source, B: Source> Zip<A, B> {
    /// # Panics
    ///
    /// Where the lengths differ.
    #[track_caller]
    pub(crate) fn new(items: A, buffer: B) -> Self {
        let (items, buffer) = (items.into_shared(), buffer.into_shared());
        let (len, places) = (items.len(), buffer.len());
        assert!(len == places, "{len} items do not fit a buffer of {places}");
        Self(ZipShared(items, buffer))
    }
}

impl<A: Source, B: Source> sealed::Sealed for Zip<A, B> {}

impl<A: Source, B: Source> Source for Zip<A, B> {
    type Item = (A::Item, B::Item);
    type Shared = ZipShared<A::Shared, B::Shared>;

    fn into_shared(self) -> Self::Shared {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct ZipShared<A, B>(A, B);

#[allow(unsafe_code, reason = "passes its own obligations on to both sides")]
impl<A: Shared, B: Shared> Shared for ZipShared<A, B> {
    type Item = (A::Item, B::Item);
    type Chunk<'a> = std::iter::Zip<
        <A::Chunk<'a> as IntoIterator>::IntoIter,
        <B::Chunk<'a> as IntoIterator>::IntoIter,
    >;

    fn len(&self) -> usize {
        self.0.len().min(self.1.len())
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        // SAFETY: `range` is within the shorter side and handed out once, by the caller's promise.
        let left = unsafe { self.0.take(range.clone()) };
        // SAFETY: as above.
        let right = unsafe { self.1.take(range) };
        left.into_iter().zip(right)
    }

    unsafe fn close(&mut self, end: usize) {
        // SAFETY: both sides handed out what this one did.
        unsafe { self.0.close(end) };
        // SAFETY: as above.
        unsafe { self.1.close(end) };
    }
}

#[cfg(test)]
mod tests;
