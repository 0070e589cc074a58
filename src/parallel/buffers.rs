//! Where items come from and where results go, while several threads are at them.
//!
//! Both buffers rest on one promise of the [engine](super::engine): it hands out every index at most
//! once, in order, and says at the end up to where it came.

use std::cell::Cell;
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::panic::drop_each;
use crate::source::{Chunk, Shared, Source};

/// A source while its items are handed out. Drops the items that were not.
pub(crate) struct Input<S: Source> {
    shared: S::Shared,
    /// The indices before this one have been handed out.
    handed: AtomicUsize,
}

impl<S: Source> Input<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            shared: source.into_shared(),
            handed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    /// The items `range`.
    ///
    /// # Safety
    ///
    /// 1. `range` lies within `0..self.len()`.
    /// 2. No index is handed out twice.
    #[inline]
    #[allow(unsafe_code, reason = "passes its obligations on")]
    pub(crate) unsafe fn take(&self, range: Range<usize>) -> Chunk<'_, S> {
        // SAFETY: the obligations are the same, and the chunk borrows `self`.
        unsafe { self.shared.take(range) }
    }

    /// Looks at every item before any is handed out.
    #[allow(unsafe_code, reason = "takes items that will be taken again")]
    pub(crate) fn peek(&self, mut look: impl FnMut(usize, &S::Item))
    where
        S::Item: Copy,
    {
        assert!(
            self.handed.load(Ordering::Relaxed) == 0,
            "items are looked at before they are handed out"
        );
        // SAFETY: the whole input. The items are `Copy`: neither mutable borrows nor values that are dropped, so
        // that a second copy, when they are handed out, takes nothing away and harms nobody.
        let items = unsafe { self.shared.take(0..self.len()) };
        items
            .into_iter()
            .enumerate()
            .for_each(|(index, item)| look(index, &item));
    }

    /// All items, for one worker. Nothing may have been taken before.
    #[inline]
    pub(crate) fn all(&self) -> <Chunk<'_, S> as IntoIterator>::IntoIter {
        let len = self.len();
        self.parts().up_to(len).into_iter()
    }

    /// All items, for one worker that takes them chunk by chunk. Nothing may have been taken before.
    #[inline]
    #[allow(unsafe_code, reason = "hands everything to the only worker")]
    pub(crate) fn parts(&self) -> Parts<'_, S> {
        assert!(
            self.handed.load(Ordering::Relaxed) == 0,
            "items are handed out once"
        );
        self.handed.store(self.len(), Ordering::Relaxed); // by the one thread that has the input
        // SAFETY: the whole input, which nobody has had anything of.
        unsafe { Parts::new(self, 0..self.len()) }
    }

    /// Ends the handing out.
    ///
    /// # Safety
    ///
    /// Exactly the indices `0..handed` were handed out or will be before `self` is dropped.
    #[allow(unsafe_code, reason = "declares what `drop` relies on")]
    pub(crate) unsafe fn close(&self, handed: usize) {
        self.handed.store(handed, Ordering::Relaxed);
    }
}

/// Items handed to one worker that takes them chunk by chunk. What it does not come to is dropped.
pub(crate) struct Parts<'a, S: Source> {
    input: &'a Input<S>,
    rest: Range<usize>,
}

impl<'a, S: Source> Parts<'a, S> {
    /// # Safety
    ///
    /// 1. `range` lies within the input.
    /// 2. No index is handed out twice.
    #[inline]
    #[allow(unsafe_code, reason = "takes over the obligations of `Input::take`")]
    pub(crate) unsafe fn new(input: &'a Input<S>, range: Range<usize>) -> Self {
        Self { input, rest: range }
    }

    /// The next items, up to index `end`.
    #[inline]
    #[allow(unsafe_code, reason = "hands out a stretch once")]
    pub(crate) fn up_to(&mut self, end: usize) -> Chunk<'a, S> {
        let range = self.rest.start..end.clamp(self.rest.start, self.rest.end);
        self.rest.start = range.end;
        // SAFETY: within the range of `new`, whose items are handed out by this value alone, and never
        // twice, as `rest` has just moved on.
        unsafe { self.input.take(range) }
    }
}

impl<S: Source> Drop for Parts<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            drop(self.up_to(self.rest.end));
        }
    }
}

impl<S: Source> Drop for Input<S> {
    #[allow(
        unsafe_code,
        reason = "passes on up to where the items were handed out"
    )]
    fn drop(&mut self) {
        let handed = *self.handed.get_mut();
        // SAFETY: the promise of `close`; without a call of it nothing was handed out.
        unsafe { self.shared.close(handed) };
    }
}

impl<S: Source> fmt::Debug for Input<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Results of known number, written in place by several threads, each index once.
pub(crate) struct Output<R> {
    /// An allocation of `capacity` results, owned by this value.
    start: *mut R,
    len: usize,
    capacity: usize,
    /// The indices before this one were handed out to be filled, and all of them were, but for `holes`.
    handed: AtomicUsize,
    /// What was handed out and not filled, because a closure panicked or ended early.
    holes: Mutex<Vec<Range<usize>>>,
}

#[allow(unsafe_code, reason = "a raw pointer has to be shared between workers")]
// SAFETY: through `&Output` a result is reached only by `fill`, by one thread, as each index is handed
// out once: sending an `R` from that thread, for which `R: Send` suffices.
unsafe impl<R: Send> Sync for Output<R> {}

impl<R> Output<R> {
    pub(crate) fn new(len: usize) -> Self {
        let mut buffer = ManuallyDrop::new(Vec::with_capacity(len));
        Self {
            start: buffer.as_mut_ptr(),
            len,
            capacity: buffer.capacity(),
            handed: AtomicUsize::new(0),
            holes: Mutex::new(Vec::new()),
        }
    }

    /// Writes `results` to the indices `range`, and at an unwinding leaves the index it came to in `at`.
    ///
    /// # Safety
    ///
    /// 1. `range` lies within `0..len`.
    /// 2. No index is handed out twice.
    #[inline]
    #[allow(unsafe_code, reason = "writes to disjoint parts of one buffer")]
    pub(crate) unsafe fn fill(
        &self,
        range: Range<usize>,
        at: &Cell<usize>,
        results: impl Iterator<Item = R>,
    ) {
        let mut filling = Filling {
            output: self,
            next: range.start,
            end: range.end,
            at,
        };
        // SAFETY: `range.start <= len` (obligation 1), so the pointer stays in the allocation.
        let start = unsafe { self.start.add(range.start) }.cast::<MaybeUninit<R>>();
        // SAFETY: the allocation has `len` places, `range` lies within (obligation 1), anything is a
        // valid `MaybeUninit`, and no other thread reaches these places (obligation 2).
        let places = unsafe { std::slice::from_raw_parts_mut(start, range.len()) };
        for (place, result) in places.iter_mut().zip(results) {
            place.write(result);
            filling.next += 1;
        }
    }

    /// Leaves the indices `range` without results.
    ///
    /// # Safety
    ///
    /// As [`fill`](Self::fill), in place of which it is called.
    #[allow(unsafe_code, reason = "declares what `drop` and `into_vec` rely on")]
    pub(crate) unsafe fn skip(&self, range: Range<usize>) {
        self.holes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(range);
    }

    /// Ends the handing out.
    ///
    /// # Safety
    ///
    /// Exactly the indices `0..handed` were given to `fill` or `skip`, or will be before `self` is used again.
    #[allow(unsafe_code, reason = "declares what `drop` and `into_vec` rely on")]
    pub(crate) unsafe fn close(&self, handed: usize) {
        self.handed.store(handed, Ordering::Relaxed);
    }

    /// The results, where every one was written.
    ///
    /// # Panics
    ///
    /// Where one was not: a mistake of the engine.
    #[allow(unsafe_code, reason = "hands the filled buffer over")]
    pub(crate) fn into_vec(mut self) -> Vec<R> {
        assert!(
            *self.handed.get_mut() == self.len && self.holes().is_empty(),
            "every result was written"
        );
        drop(std::mem::take(self.holes())); // empty, but it may own an allocation
        let this = ManuallyDrop::new(self);
        // SAFETY: the parts are those of the vector that `new` took apart, and by the line above and the
        // promise of `close` all `len` results are initialised. `holes` owns nothing.
        unsafe { Vec::from_raw_parts(this.start, this.len, this.capacity) }
    }

    /// The results, with `missing` in the places of those that were not written.
    #[allow(unsafe_code, reason = "writes to the holes of the buffer")]
    pub(crate) fn into_vec_or(mut self, missing: impl Fn() -> R) -> Vec<R> {
        let (start, handed, len) = (self.start, *self.handed.get_mut(), self.len);
        // A hole is forgotten once it is filled, so that a panic in `missing` drops what is there and nothing else.
        while let Some(hole) = self.holes().last_mut() {
            match hole.end.checked_sub(1).filter(|last| *last >= hole.start) {
                Some(last) => {
                    let value = missing();
                    // SAFETY: holes lie within the allocation.
                    let place = unsafe { start.add(last) };
                    // SAFETY: nothing was written there, so nothing is overwritten.
                    unsafe { place.write(value) };
                    hole.end = last;
                }
                None => drop(self.holes().pop()),
            }
        }
        for index in handed..len {
            let value = missing();
            // SAFETY: `index < len`, the number of places.
            let place = unsafe { start.add(index) };
            // SAFETY: what was not handed out was not written.
            unsafe { place.write(value) };
            *self.handed.get_mut() = index + 1;
        }
        self.into_vec()
    }

    fn holes(&mut self) -> &mut Vec<Range<usize>> {
        self.holes.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Drop for Output<R> {
    /// Drops the results that were written: the run has failed.
    #[allow(
        unsafe_code,
        reason = "drops the initialised part of the buffer, and frees it"
    )]
    fn drop(&mut self) {
        // SAFETY: the parts are those of the vector that `new` took apart, and length zero makes this
        // value responsible for the allocation alone.
        let _allocation = unsafe { Vec::from_raw_parts(self.start, 0, self.capacity) };
        let (start, handed) = (self.start, *self.handed.get_mut());
        let holes = self.holes();
        holes.sort_unstable_by_key(|hole| hole.start);
        let mut written = Written {
            start,
            next: 0,
            handed,
            holes: holes.iter(),
        };
        written.drop_all();
    }
}

/// The stretches between the holes of an output that has failed.
struct Written<'a, R> {
    start: *mut R,
    /// Results from here on are still to be dropped.
    next: usize,
    handed: usize,
    /// Holes from `next` on, in order.
    holes: std::slice::Iter<'a, Range<usize>>,
}

impl<R> Written<'_, R> {
    #[allow(unsafe_code, reason = "drops the initialised part of a buffer")]
    fn drop_all(&mut self) {
        while self.next < self.handed {
            let end = self.handed..self.handed;
            let hole = self.holes.next().unwrap_or(&end);
            // SAFETY: `next <= handed <= len`, so the pointer stays in the allocation.
            let first = unsafe { self.start.add(self.next) };
            let len = hole.start - self.next;
            self.next = hole.end; // before the drop, which may unwind
            // SAFETY: between two holes everything was written (the promise of `close`), and each
            // result is dropped once, as the stretches are disjoint.
            unsafe { drop_each(first, len) };
        }
    }
}

impl<R> Drop for Written<'_, R> {
    /// Where a result has panicked while it was dropped, drops the others.
    fn drop(&mut self) {
        self.drop_all();
    }
}

impl<R> fmt::Debug for Output<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Places handed to one worker that fills them stretch by stretch. What it does not come to stays empty.
pub(crate) struct Places<'a, R> {
    output: &'a Output<R>,
    rest: Range<usize>,
}

impl<'a, R> Places<'a, R> {
    /// # Safety
    ///
    /// 1. `range` lies within the output.
    /// 2. No index is handed out twice.
    #[inline]
    #[allow(unsafe_code, reason = "takes over the obligations of `Output::fill`")]
    pub(crate) unsafe fn new(output: &'a Output<R>, range: Range<usize>) -> Self {
        Self {
            output,
            rest: range,
        }
    }

    /// Writes `results` to the next places, up to index `end`, as [`Output::fill`] does.
    #[inline]
    #[allow(unsafe_code, reason = "hands out a stretch once")]
    pub(crate) fn fill_up_to(
        &mut self,
        end: usize,
        at: &Cell<usize>,
        results: impl Iterator<Item = R>,
    ) {
        let range = self.rest.start..end.clamp(self.rest.start, self.rest.end);
        self.rest.start = range.end;
        // SAFETY: within the range of `new`, whose places are filled by this value alone, and never
        // twice, as `rest` has just moved on.
        unsafe { self.output.fill(range, at, results) };
    }
}

impl<R> Drop for Places<'_, R> {
    #[inline]
    #[allow(unsafe_code, reason = "marks what was handed out as not filled")]
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            // SAFETY: as in `fill_up_to`, in place of it.
            unsafe { self.output.skip(self.rest.clone()) };
        }
    }
}

/// A stretch of the output that is being filled.
struct Filling<'a, R> {
    output: &'a Output<R>,
    /// Before this index the stretch is filled.
    next: usize,
    end: usize,
    at: &'a Cell<usize>,
}

impl<R> Drop for Filling<'_, R> {
    fn drop(&mut self) {
        if self.next < self.end {
            self.note();
        }
    }
}

impl<R> Filling<'_, R> {
    #[cold]
    fn note(&self) {
        self.at.set(self.next);
        self.output
            .holes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.next..self.end);
    }
}
