//! ndarray views and arrays: elements of one-dimensional ones, outer-axis subviews of the others.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{
    Array, ArrayView, ArrayView1, ArrayViewMut, ArrayViewMut1, Axis, Dimension, Ix1, Ix2, Ix3, Ix4,
    Ix5, Ix6, IxDyn, RawArrayViewMut, RemoveAxis, Slice,
};

use super::{Shared, Source, Values, sealed::Sealed};

const OUTER: Axis = Axis(0);

impl<T, D: Dimension> Sealed for ArrayView<'_, T, D> {}
impl<T, D: Dimension> Sealed for ArrayViewMut<'_, T, D> {}
impl<T, D: Dimension> Sealed for &Array<T, D> {}
impl<T, D: Dimension> Sealed for &mut Array<T, D> {}

/// Arrays whose number of dimensions is known when the program runs may have none.
fn assert_dimension(dimensions: usize) {
    assert!(
        dimensions > 0,
        "an array without any dimension has no items by index"
    );
}

fn outer_slice(range: Range<usize>) -> Slice {
    // An ndarray's length fits an isize, so the casts keep the values.
    Slice::new(range.start as isize, Some(range.end as isize), 1)
}

/// The part `range` of a view along its outer axis.
fn outer_part<'s, T, D: Dimension>(
    view: &ArrayView<'s, T, D>,
    range: Range<usize>,
) -> ArrayView<'s, T, D> {
    let mut part = view.clone();
    part.slice_axis_inplace(OUTER, outer_slice(range));
    part
}

/// A mutable view that several threads take disjoint parts of.
#[doc(hidden)]
pub struct SharedArrayMut<'s, T, D> {
    view: RawArrayViewMut<T, D>,
    /// The elements are borrowed for `'s`, so nobody else reaches them.
    elements: PhantomData<&'s mut T>,
}

impl<'s, T, D: Dimension> SharedArrayMut<'s, T, D> {
    fn new(mut view: ArrayViewMut<'s, T, D>) -> Self {
        assert_dimension(view.ndim());
        Self {
            view: view.raw_view_mut(),
            elements: PhantomData,
        }
    }

    fn len(&self) -> usize {
        self.view.len_of(OUTER)
    }

    /// The part `range` along the outer axis.
    ///
    /// # Safety
    ///
    /// 1. `range` lies within the axis.
    /// 2. No index is handed out twice over the life of `self`.
    #[allow(unsafe_code, reason = "disjoint mutable parts of one view")]
    unsafe fn part(&self, range: Range<usize>) -> ArrayViewMut<'s, T, D> {
        let mut part = self.view.clone();
        part.slice_axis_inplace(OUTER, outer_slice(range));
        // SAFETY: the elements are borrowed mutably for `'s` (the field's promise), a mutable
        // view has no two indices for one element, and this part is handed out once
        // (obligation 2), so no other reference to its elements exists or will.
        unsafe { part.deref_into_view_mut() }
    }
}

impl<T, D> fmt::Debug for SharedArrayMut<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArrayMut").finish_non_exhaustive()
    }
}

#[allow(unsafe_code, reason = "a raw view has to be shared between workers")]
// SAFETY: through `&SharedArrayMut` an element is reached only by `part`, by one thread, as each
// index is handed out once: sending a `&mut T`, for which `T: Send` suffices.
unsafe impl<T: Send, D: Sync> Sync for SharedArrayMut<'_, T, D> {}

/// Some neighbouring subviews along the outer axis of an array; iterates over them.
#[derive(Clone, Debug)]
pub struct Outer<'s, T, D: Dimension>(ArrayView<'s, T, D>);

impl<'s, T, D: Dimension> Outer<'s, T, D> {
    /// All the subviews as one view, of the dimension of the source.
    #[must_use]
    pub fn view(&self) -> ArrayView<'_, T, D> {
        self.0.view()
    }

    /// The same view, for as long as the source is borrowed.
    #[must_use]
    pub fn into_view(self) -> ArrayView<'s, T, D> {
        self.0
    }
}

/// Some neighbouring mutable subviews along the outer axis of an array; iterates over them.
#[derive(Debug)]
pub struct OuterMut<'s, T, D: Dimension>(ArrayViewMut<'s, T, D>);

impl<'s, T, D: Dimension> OuterMut<'s, T, D> {
    /// All the subviews as one view, of the dimension of the source.
    #[must_use]
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.0.view_mut()
    }

    /// The same view, for as long as the source is borrowed.
    #[must_use]
    pub fn into_view(self) -> ArrayViewMut<'s, T, D> {
        self.0
    }
}

/// Subviews along the outer axis, in order.
#[derive(Clone, Debug)]
pub struct OuterIter<'s, T, D: Dimension> {
    view: ArrayView<'s, T, D>,
    at: Range<usize>,
}

impl<'s, T, D: RemoveAxis> Iterator for OuterIter<'s, T, D> {
    type Item = ArrayView<'s, T, D::Smaller>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.next()?;
        Some(self.view.clone().index_axis_move(OUTER, at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.at.size_hint()
    }
}

impl<T, D: RemoveAxis> ExactSizeIterator for OuterIter<'_, T, D> {}

impl<'s, T, D: RemoveAxis> IntoIterator for Outer<'s, T, D> {
    type Item = ArrayView<'s, T, D::Smaller>;
    type IntoIter = OuterIter<'s, T, D>;

    fn into_iter(self) -> OuterIter<'s, T, D> {
        OuterIter {
            at: 0..self.0.len_of(OUTER),
            view: self.0,
        }
    }
}

/// Mutable subviews along the outer axis, in order.
#[derive(Debug)]
pub struct OuterIterMut<'s, T, D: Dimension> {
    /// What has not been given out yet; `None` only while a step is under way.
    rest: Option<ArrayViewMut<'s, T, D>>,
}

impl<'s, T, D: RemoveAxis> Iterator for OuterIterMut<'s, T, D> {
    type Item = ArrayViewMut<'s, T, D::Smaller>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        if rest.len_of(OUTER) == 0 {
            return None;
        }
        let (first, rest) = rest.split_at(OUTER, 1);
        self.rest = Some(rest);
        Some(first.index_axis_move(OUTER, 0))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.as_ref().map_or(0, |rest| rest.len_of(OUTER));
        (left, Some(left))
    }
}

impl<T, D: RemoveAxis> ExactSizeIterator for OuterIterMut<'_, T, D> {}

impl<'s, T, D: RemoveAxis> IntoIterator for OuterMut<'s, T, D> {
    type Item = ArrayViewMut<'s, T, D::Smaller>;
    type IntoIter = OuterIterMut<'s, T, D>;

    fn into_iter(self) -> OuterIterMut<'s, T, D> {
        OuterIterMut { rest: Some(self.0) }
    }
}

/// Implements the four sources of one dimension: the item, the chunk, and how a view becomes one.
macro_rules! array_sources {
    ($dim:ty, $item:ty, $item_mut:ty, $chunk:ty, $chunk_mut:ty, $wrap:expr, $wrap_mut:expr) => {
        impl<'s, T: Sync> Source for ArrayView<'s, T, $dim> {
            type Item = $item;
            type Shared = ArrayView<'s, T, $dim>;

            fn into_shared(self) -> Self::Shared {
                assert_dimension(self.ndim());
                self
            }
        }

        impl<'s, T: Sync> Source for &'s Array<T, $dim> {
            type Item = $item;
            type Shared = ArrayView<'s, T, $dim>;

            fn into_shared(self) -> Self::Shared {
                assert_dimension(self.ndim());
                self.view()
            }
        }

        impl<'s, T: Send> Source for ArrayViewMut<'s, T, $dim> {
            type Item = $item_mut;
            type Shared = SharedArrayMut<'s, T, $dim>;

            fn into_shared(self) -> Self::Shared {
                SharedArrayMut::new(self)
            }
        }

        impl<'s, T: Send> Source for &'s mut Array<T, $dim> {
            type Item = $item_mut;
            type Shared = SharedArrayMut<'s, T, $dim>;

            fn into_shared(self) -> Self::Shared {
                SharedArrayMut::new(self.view_mut())
            }
        }

        #[allow(
            unsafe_code,
            reason = "implements the unsafe method of `Shared`; shared views need no promise"
        )]
        impl<'s, T: Sync> Shared for ArrayView<'s, T, $dim> {
            type Item = $item;
            type Chunk<'a> = $chunk;

            fn len(&self) -> usize {
                self.len_of(OUTER)
            }

            #[inline]
            unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
                $wrap(outer_part(self, range))
            }
        }

        #[allow(unsafe_code, reason = "passes its own obligations on")]
        impl<'s, T: Send> Shared for SharedArrayMut<'s, T, $dim> {
            type Item = $item_mut;
            type Chunk<'a> = $chunk_mut;

            fn len(&self) -> usize {
                SharedArrayMut::len(self)
            }

            #[inline]
            unsafe fn take<'a>(&self, range: Range<usize>) -> Self::Chunk<'a> {
                // SAFETY: the obligations of `part` are those of `take`.
                $wrap_mut(unsafe { self.part(range) })
            }
        }
    };
}

array_sources!(
    Ix1,
    &'s T,
    &'s mut T,
    ArrayView1<'s, T>,
    ArrayViewMut1<'s, T>,
    std::convert::identity,
    std::convert::identity
);

macro_rules! outer_sources {
    ($($dim:ty)*) => {$(
        array_sources!(
            $dim,
            ArrayView<'s, T, <$dim as Dimension>::Smaller>,
            ArrayViewMut<'s, T, <$dim as Dimension>::Smaller>,
            Outer<'s, T, $dim>,
            OuterMut<'s, T, $dim>,
            Outer,
            OuterMut
        );
    )*};
}

outer_sources! { Ix2 Ix3 Ix4 Ix5 Ix6 IxDyn }

impl<'s, T: Sync + Clone> Values for ArrayView1<'s, T> {
    type Value = T;

    #[inline]
    fn value(item: &'s T) -> T {
        item.clone()
    }
}

impl<'s, T: Sync + Clone> Values for &'s Array<T, Ix1> {
    type Value = T;

    #[inline]
    fn value(item: &'s T) -> T {
        item.clone()
    }
}
