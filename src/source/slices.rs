//! Slices, shared and mutable, and what derefs to them.

use std::marker::PhantomData;
use std::ops::Range;

use super::{Shared, Source, Values, sealed::Sealed};

impl<T> Sealed for &[T] {}
impl<T> Sealed for &Vec<T> {}
impl<T, const N: usize> Sealed for &[T; N] {}
impl<T> Sealed for &mut [T] {}
impl<T> Sealed for &mut Vec<T> {}
impl<T, const N: usize> Sealed for &mut [T; N] {}

#[allow(
    unsafe_code,
    reason = "implements the unsafe method of `Shared`; shared slices need no promise"
)]
impl<'s, T: Sync> Shared for &'s [T] {
    type Item = &'s T;
    type Chunk<'a> = &'s [T];

    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        let slice: &'s [T] = self;
        &slice[range]
    }
}

/// A mutable slice that several threads take disjoint parts of.
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedMut<'s, T> {
    start: *mut T,
    len: usize,
    /// The slice is borrowed for `'s`, so nobody else reaches its items.
    slice: PhantomData<&'s mut [T]>,
}

impl<'s, T> SharedMut<'s, T> {
    fn new(slice: &'s mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }
}

#[allow(unsafe_code, reason = "a raw pointer has to be shared between workers")]
// SAFETY: through `&SharedMut` an item is reached only by `take`, by one thread, as each index is
// handed out once; that is sending a `&mut T` to that thread, for which `T: Send` suffices.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

#[allow(unsafe_code, reason = "disjoint mutable parts of one slice")]
impl<'s, T: Send> Shared for SharedMut<'s, T> {
    type Item = &'s mut T;
    type Chunk<'a> = &'s mut [T];

    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        // SAFETY: `range.start <= self.len` (obligation 1), so the pointer stays in the slice.
        let start = unsafe { self.start.add(range.start) };
        // SAFETY: the items lie in a slice borrowed mutably for `'s` (the field's promise) and are
        // handed out once (obligation 2), so no other reference to them exists or will.
        unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
    }
}

macro_rules! slice_sources {
    ($($shared:ty, $unique:ty, [$($n:tt)*];)*) => {$(
        impl<'s, T: Sync, $($n)*> Source for &'s $shared {
            type Item = &'s T;
            type Shared = &'s [T];

            fn into_shared(self) -> &'s [T] {
                self
            }
        }

        impl<'s, T: Sync + Clone, $($n)*> Values for &'s $shared {
            type Value = T;

            #[inline]
            fn value(item: &'s T) -> T {
                item.clone()
            }
        }

        impl<'s, T: Send, $($n)*> Source for &'s mut $unique {
            type Item = &'s mut T;
            type Shared = SharedMut<'s, T>;

            fn into_shared(self) -> SharedMut<'s, T> {
                SharedMut::new(self)
            }
        }
    )*};
}

slice_sources! {
    [T], [T], [];
    Vec<T>, Vec<T>, [];
    [T; N], [T; N], [const N: usize];
}
