//! Vectors by value: every item is moved to one worker, and dropped exactly once whatever happens.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;

use super::{Shared, Source, Values, sealed::Sealed};
use crate::panic::drop_each;

impl<T> Sealed for Vec<T> {}

impl<T: Send> Source for Vec<T> {
    type Item = T;
    type Shared = SharedVec<T>;

    fn into_shared(self) -> SharedVec<T> {
        let mut items = ManuallyDrop::new(self);
        SharedVec {
            start: items.as_mut_ptr(),
            len: items.len(),
            capacity: items.capacity(),
            taken: 0,
        }
    }
}

impl<T: Send> Values for Vec<T> {
    type Value = T;

    #[inline]
    fn value(item: T) -> T {
        item
    }
}

/// A vector whose items are being moved out.
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedVec<T> {
    /// The allocation of a `Vec<T>` with `len` items and `capacity`, owned by this value.
    start: *mut T,
    len: usize,
    capacity: usize,
    /// Items before this index belong to chunks; `Drop` drops the others. Set by `close`.
    taken: usize,
}

#[allow(unsafe_code, reason = "a raw pointer has to be shared between workers")]
// SAFETY: through `&SharedVec` an item is reached only by `take`, which moves it to one thread, as
// each index is handed out once: sending a `T`, for which `T: Send` suffices.
unsafe impl<T: Send> Sync for SharedVec<T> {}

#[allow(unsafe_code, reason = "moves items out of a vector by index")]
impl<T: Send> Shared for SharedVec<T> {
    type Item = T;
    type Chunk<'a> = VecChunk<'a, T>;

    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
        // SAFETY: `range` is within the vector (obligation 1).
        let start = unsafe { self.start.add(range.start) };
        VecChunk {
            start,
            len: range.len(),
            items: PhantomData,
        }
    }

    unsafe fn close(&mut self, end: usize) {
        self.taken = end;
    }
}

impl<T> Drop for SharedVec<T> {
    #[allow(
        unsafe_code,
        reason = "drops what was not moved out, and frees the allocation"
    )]
    fn drop(&mut self) {
        // SAFETY: the parts are those of the vector that `into_shared` took apart, and length zero
        // makes this value responsible for the allocation alone.
        let _allocation = unsafe { Vec::from_raw_parts(self.start, 0, self.capacity) };
        // SAFETY: `taken <= len` (obligation of `close`), so the pointer stays in the allocation.
        let rest = unsafe { self.start.add(self.taken) };
        // SAFETY: the items from `taken` on were never handed out, so they are initialised and
        // owned here; they are dropped before `_allocation` is freed.
        unsafe { drop_each(rest, self.len - self.taken) };
    }
}

/// Some items of a vector, by value; what is not taken out is dropped with it.
///
/// Iterating moves the items out; [`as_slice`](Self::as_slice) looks at those still there.
pub struct VecChunk<'a, T> {
    /// The first item that is still here; `len` initialised items follow, owned by this value.
    start: *mut T,
    len: usize,
    items: PhantomData<(&'a (), T)>,
}

#[allow(unsafe_code, reason = "holds a raw pointer to items that it owns")]
// SAFETY: a chunk owns its items as a `Vec<T>` would, and nothing else reaches them.
unsafe impl<T: Send> Send for VecChunk<'_, T> {}
#[allow(unsafe_code, reason = "holds a raw pointer to items that it owns")]
// SAFETY: a shared chunk gives out `&T` only.
unsafe impl<T: Sync> Sync for VecChunk<'_, T> {}

impl<T> VecChunk<'_, T> {
    /// The items that have not been taken out yet.
    #[must_use]
    #[allow(unsafe_code, reason = "a view of items behind a raw pointer")]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: `len` initialised items, owned by `self`, lie at `start`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// The items that have not been taken out yet, mutable.
    #[must_use]
    #[allow(unsafe_code, reason = "a view of items behind a raw pointer")]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: `len` initialised items, owned by `self`, lie at `start`; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Iterator for VecChunk<'_, T> {
    type Item = T;

    #[inline]
    #[allow(unsafe_code, reason = "moves an item out from behind a raw pointer")]
    fn next(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let first = self.start;
        // SAFETY: there is an item at `start`, so the next address is in the allocation or one past it.
        self.start = unsafe { first.add(1) };
        self.len -= 1;
        // SAFETY: the item is initialised and owned, and after the step above this value no longer
        // counts it as its own.
        Some(unsafe { first.read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<T> ExactSizeIterator for VecChunk<'_, T> {}
impl<T> std::iter::FusedIterator for VecChunk<'_, T> {}

impl<T> Drop for VecChunk<'_, T> {
    #[allow(unsafe_code, reason = "drops the items that were not taken out")]
    fn drop(&mut self) {
        // SAFETY: these are exactly the items that this value owns, and it is not used again.
        unsafe { drop_each(self.start, self.len) };
    }
}

impl<T: fmt::Debug> fmt::Debug for VecChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VecChunk").field(&self.as_slice()).finish()
    }
}
