//! The messages of a queue as iterators.

use std::fmt;

use super::Queue;

/// The messages of a [`Queue`], as they come.
pub struct Iter<'a, T> {
    pub(super) queue: &'a Queue<T>,
}

/// The messages that are in a [`Queue`].
pub struct TryIter<'a, T> {
    pub(super) queue: &'a Queue<T>,
}

/// The messages of a [`Queue`], as they come, through a handle of the iterator's own.
pub struct IntoIter<T> {
    queue: Queue<T>,
}

macro_rules! debug_as_queue {
    ($($name:ident: $type:ty)*) => {$(
        impl<T> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.queue).finish()
            }
        }
    )*};
}

debug_as_queue! { Iter: Iter<'_, T> TryIter: TryIter<'_, T> IntoIter: IntoIter<T> }

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Queue<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Queue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { queue: self }
    }
}
