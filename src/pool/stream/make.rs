//! How streams are made: on a pool and in a scope, in order and without, with states and without.

use std::sync::Arc;

use super::launch::{InScope, OnPool};
use super::machine::{Core, Pumps};
use super::work::{Stateful, Stateless, Work};
use super::{Pool, Scope, Stream};

impl Pool {
    /// Maps a closure over an iterator of any length, in parallel; the results come in the order of the items, as they are asked for.
    ///
    /// The source is pulled by the pool's threads, one at a time and only as far as the [window](Stream::window) allows, so it may be longer than
    /// memory, or endless. Results of what it has given do not wait for what it gives next: while it blocks, and no other thread is there, the
    /// consumer computes them. [`Scope::stream`] is the same for closures and sources that borrow,
    /// [`stream_with`](Self::stream_with) for closures that need a buffer, a connection or a generator of their own.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// let squares = pool.stream(1_u64.., |n| n * n);
    /// assert_eq!(squares.take_while(|&n| n < 1000).sum::<u64>(), 10_416);
    /// ```
    #[doc(alias = "imap")]
    pub fn stream<I, R, F>(&self, source: I, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), Stateless(f), true)
    }

    /// As [`stream`](Self::stream), with the results in the order in which they come.
    #[doc(alias = "imap_unordered")]
    pub fn stream_unordered<I, R, F>(&self, source: I, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), Stateless(f), false)
    }

    /// As [`stream`](Self::stream), with a state for each thread that computes: a buffer, a
    /// generator, a connection. The closure gets it as `&mut`.
    ///
    /// `make` is called with the thread's number when the thread comes to its first item, on that
    /// thread. Numbers count from 0 in the order in which threads come. There are as many as the pool
    /// has workers at most, and one more for each other thread that consumes the stream, if it
    /// has to compute. A state stays with its thread, also after a panic of the closure, and is dropped with
    /// the stream. Of [`Parallel::worker_state`](crate::Parallel::worker_state), which is the same
    /// for a map, this differs by who has number 0.
    ///
    /// # Ordering and determinism
    ///
    /// Which thread computes an item, and what its state has seen before, is different each time. So
    /// results must not depend on it: a state is for what makes the work cheaper, not for what
    /// decides its result. A generator of random numbers belongs there only if the closure seeds it
    /// for each item.
    ///
    /// # Panics
    ///
    /// A panic of `make` comes in the place of the item for which the state was made; the thread
    /// calls it again for the next one.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// let lines = (0..100).map(|n| format!("{n} {n}"));
    /// let lengths = pool.stream_with(lines, |_worker| String::new(), |buffer, line| {
    ///     buffer.clear();
    ///     buffer.extend(line.chars().filter(|c| !c.is_whitespace()));
    ///     buffer.len()
    /// });
    /// assert_eq!(lengths.sum::<usize>(), 10 * 2 + 90 * 4);
    /// ```
    #[doc(alias = "map_init")]
    #[doc(alias = "worker_state")]
    pub fn stream_with<I, S, M, R, F>(&self, source: I, make: M, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        S: Send + 'static,
        M: Fn(usize) -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), Stateful::new(make, f), true)
    }

    /// As [`stream_with`](Self::stream_with), with the results in the order in which they come.
    pub fn stream_unordered_with<I, S, M, R, F>(&self, source: I, make: M, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        S: Send + 'static,
        M: Fn(usize) -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), Stateful::new(make, f), false)
    }

    fn stream_of<I, W>(&self, source: I, work: W, ordered: bool) -> Stream<'_, W::Result>
    where
        I: Iterator + Send + 'static,
        I::Item: Send + 'static,
        W: Work<I::Item> + 'static,
    {
        let machine = Arc::new(Core::new(source, work, ordered));
        let pumps: Arc<dyn Pumps> = machine.clone();
        let launch = OnPool {
            pool: self,
            pumps: Arc::downgrade(&pumps),
        };
        Stream::new(machine, Box::new(launch), self)
    }
}

impl<'scope> Scope<'_, 'scope> {
    /// As [`Pool::stream`], for a closure and a source that borrow from outside the scope.
    ///
    /// # Examples
    ///
    /// ```
    /// let text = String::from("3\n4\n5\n");
    /// let pool = scipar::Pool::new(2);
    /// let numbers: Vec<i32> = pool.scope(|scope| {
    ///     let numbers = scope.stream(text.lines(), |line| line.parse().unwrap());
    ///     numbers.collect()
    /// });
    /// assert_eq!(numbers, [3, 4, 5]);
    /// ```
    pub fn stream<'s, I, R, F>(&'s self, source: I, f: F) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), Stateless(f), true)
    }

    /// As [`stream`](Self::stream), with the results in the order in which they come.
    pub fn stream_unordered<'s, I, R, F>(&'s self, source: I, f: F) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), Stateless(f), false)
    }

    /// As [`Pool::stream_with`], for closures, states and a source that borrow from outside the scope.
    pub fn stream_with<'s, I, S, M, R, F>(&'s self, source: I, make: M, f: F) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        M: Fn(usize) -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), Stateful::new(make, f), true)
    }

    /// As [`stream_with`](Self::stream_with), with the results in the order in which they come.
    pub fn stream_unordered_with<'s, I, S, M, R, F>(
        &'s self,
        source: I,
        make: M,
        f: F,
    ) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        M: Fn(usize) -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), Stateful::new(make, f), false)
    }

    fn stream_of<'s, I, W>(&'s self, source: I, work: W, ordered: bool) -> Stream<'s, W::Result>
    where
        I: Iterator + Send + 'scope,
        I::Item: Send + 'scope,
        W: Work<I::Item> + 'scope,
        W::Result: 'scope,
    {
        let machine = Arc::new(Core::new(source, work, ordered));
        let pumps: Arc<dyn Pumps + 'scope> = machine.clone();
        let launch = InScope::new(self, Arc::downgrade(&pumps));
        Stream::new(machine, Box::new(launch), self.pool)
    }
}
