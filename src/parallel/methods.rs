//! The same operations as methods of a pool.

use super::reduce::Summand;
use super::{map, reduce};
use crate::chunking::Chunking;
use crate::pool::Pool;
use crate::source::{Chunk, Source, Values, Zip};

/// The chunked operations on this pool. Each is described with the free function of its name.
impl Pool {
    /// [`par_map_chunked`](crate::par_map_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_map_chunked<S, R, F>(&self, source: S, chunking: impl Into<Chunking>, f: F) -> Vec<R>
    where
        S: Source,
        R: Send,
        F: Fn(S::Item) -> R + Sync,
    {
        map::map(self, source, chunking.into(), &f)
    }

    /// [`par_map_into_chunked`](crate::par_map_into_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_map_into_chunked<S, R, F>(
        &self,
        source: S,
        out: &mut [R],
        chunking: impl Into<Chunking>,
        f: F,
    ) where
        S: Source,
        R: Send,
        F: Fn(S::Item) -> R + Sync,
    {
        let pair = Zip::new(source, out);
        map::map(self, pair, chunking.into(), &|(item, place)| {
            *place = f(item)
        });
    }

    /// [`par_for_each_chunked`](crate::par_for_each_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_for_each_chunked<S, F>(&self, source: S, chunking: impl Into<Chunking>, f: F)
    where
        S: Source,
        F: Fn(S::Item) + Sync,
    {
        map::map(self, source, chunking.into(), &f);
    }

    /// [`par_try_map_chunked`](crate::par_try_map_chunked) on this pool.
    ///
    /// # Errors
    ///
    /// As the free function.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_try_map_chunked<S, R, E, F>(
        &self,
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
        map::try_map(self, source, chunking.into(), &f)
    }

    /// [`par_map_by_chunk`](crate::par_map_by_chunk) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_map_by_chunk<S, R, F>(
        &self,
        source: S,
        chunking: impl Into<Chunking>,
        f: F,
    ) -> Vec<R>
    where
        S: Source,
        R: Send,
        F: Fn(usize, Chunk<'_, S>) -> R + Sync,
    {
        map::map_by_chunk(self, source, chunking.into(), &f)
    }

    /// [`par_map_reduce_chunked`](crate::par_map_reduce_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_map_reduce_chunked<S, R, F, I, O>(
        &self,
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
        reduce::map_reduce(self, source, chunking.into(), &map, identity, &op)
    }

    /// [`par_reduce_chunked`](crate::par_reduce_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_reduce_chunked<S, I, O>(
        &self,
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
        reduce::map_reduce(self, source, chunking.into(), &S::value, identity, &op)
    }

    /// [`par_sum_chunked`](crate::par_sum_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_sum_chunked<S>(&self, source: S, chunking: impl Into<Chunking>) -> S::Value
    where
        S: Values,
        S::Value: Summand,
    {
        reduce::sum(self, source, chunking.into())
    }

    /// [`par_argmin_chunked`](crate::par_argmin_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_argmin_chunked<S>(&self, source: S, chunking: impl Into<Chunking>) -> Option<usize>
    where
        S: Values,
        S::Value: PartialOrd + Send,
    {
        reduce::arg_best(self, source, chunking.into(), |a, b| a < b)
    }

    /// [`par_argmax_chunked`](crate::par_argmax_chunked) on this pool.
    ///
    /// # Panics
    ///
    /// As the free function.
    #[inline]
    #[track_caller]
    pub fn par_argmax_chunked<S>(&self, source: S, chunking: impl Into<Chunking>) -> Option<usize>
    where
        S: Values,
        S::Value: PartialOrd + Send,
    {
        reduce::arg_best(self, source, chunking.into(), |a, b| a > b)
    }
}
