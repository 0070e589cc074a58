//! What is under a stream's lock, and what it means to hold it and to give it back.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use super::machine::Answer;
use super::state::{Sleep, State};
use crate::panic::Panic;
use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock, wait, wait_until};

/// No result is wanted before others.
pub(super) const NONE: usize = usize::MAX;

/// Any result is.
pub(super) const ANY: usize = usize::MAX - 1;

/// What is under the one lock that a stream has. The locks of pumps' items are taken within it,
/// never the other way round, and one at a time.
pub(super) struct Shared<T, R> {
    pub(super) state: State<R>,
    /// Those of pumps at work.
    locals: Vec<Arc<Mutex<Local<T, R>>>>,
    spare: Vec<Arc<Mutex<Local<T, R>>>>,
}

/// A pump's items and results. Others take items that it has not begun, as it may be long at the one
/// that it has begun, or at asking for another; the consumer takes results.
pub(super) struct Local<T, R> {
    /// The number of the first item.
    first: u64,
    pub(super) items: VecDeque<T>,
    /// The pump asks the source.
    pub(super) asking: bool,
    pub(super) results: Vec<(u64, Result<R, Panic>)>,
}

impl<T, R> Local<T, R> {
    fn new() -> Self {
        Self {
            first: 0,
            items: VecDeque::new(),
            asking: false,
            results: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, number: u64, item: T) {
        // Others may have taken what was before.
        if self.items.is_empty() {
            self.first = number;
        }
        self.items.push_back(item);
    }

    pub(super) fn fill(&mut self, first: u64, items: VecDeque<T>) {
        self.first = first;
        self.items = items;
    }

    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let item = self.items.pop_front()?;
        self.first += 1;
        Some((self.first - 1, item))
    }
}

/// The shared state, locked. On giving it back, wakes the consumer if it is needed.
pub(super) struct Held<'a, T, R> {
    /// `None` only while it is given back.
    guard: Option<MutexGuard<'a, Shared<T, R>>>,
    changed: &'a Condvar,
    wanted: &'a AtomicUsize,
}

impl<'a, T, R> Held<'a, T, R> {
    pub(super) fn new(
        shared: &'a Mutex<Shared<T, R>>,
        changed: &'a Condvar,
        wanted: &'a AtomicUsize,
    ) -> Self {
        Self {
            guard: Some(lock(shared)),
            changed,
            wanted,
        }
    }
}

impl<T, R> Deref for Held<'_, T, R> {
    type Target = Shared<T, R>;

    fn deref(&self) -> &Shared<T, R> {
        self.guard.as_ref().expect("it is locked until the drop")
    }
}

impl<T, R> DerefMut for Held<'_, T, R> {
    fn deref_mut(&mut self) -> &mut Shared<T, R> {
        self.guard.as_mut().expect("it is locked until the drop")
    }
}

impl<T, R> Drop for Held<'_, T, R> {
    fn drop(&mut self) {
        let state = &mut self.state;
        let wake = state.needs_consumer();
        if wake {
            state.sleep = Sleep::Awake; // once is enough, until it sleeps again
            self.wanted.store(NONE, Ordering::Relaxed);
        }
        self.guard = None;
        if wake {
            self.changed.notify_all();
        }
    }
}

impl<T, R> Held<'_, T, R> {
    /// Sleeps until woken, or until then. What pumps have is not looked at.
    pub(super) fn wait(&mut self, sleep: Sleep, until: Option<Instant>) {
        self.state.sleep = sleep;
        let changed = self.changed;
        self.guard = self.guard.take().map(|guard| match until {
            Some(_) => wait_until(changed, guard, until).0,
            None => wait(changed, guard),
        });
        self.state.sleep = Sleep::Awake;
    }

    /// Sleeps until woken, or until then, unless pumps have a result that the consumer can have, or,
    /// where it is to sleep soundly, an item that they have not begun.
    pub(super) fn wait_for_any(&mut self, sleep: Sleep, until: Option<Instant>) {
        let number = self.state.next_number();
        let number = number.map_or(ANY, |number| number as usize);
        // First this: of what a pump adds after it was looked at, it tells.
        self.wanted.store(number, Ordering::Relaxed);
        self.collect();
        let (behind_item, behind_source) = self.waiting_items();
        self.state.set_lying(behind_item || behind_source);
        self.state.sleep = sleep;
        if self.state.has_news() || (sleep == Sleep::Sound && self.state.needs_consumer()) {
            self.state.sleep = Sleep::Awake;
        } else {
            self.wait(sleep, until);
        }
        self.wanted.store(NONE, Ordering::Relaxed);
    }
}

impl<T, R> Shared<T, R> {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            state: State::new(ordered),
            locals: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Room for a pump's items and results.
    pub(super) fn local(&mut self) -> Arc<Mutex<Local<T, R>>> {
        let new = || Arc::new(Mutex::new(Local::new()));
        let local = self.spare.pop().unwrap_or_else(new);
        self.locals.push(Arc::clone(&local));
        local
    }

    pub(super) fn retire(&mut self, local: &Arc<Mutex<Local<T, R>>>) {
        self.locals.retain(|other| !Arc::ptr_eq(other, local));
        self.spare.push(Arc::clone(local));
    }

    pub(super) fn take_locals(&mut self) -> Vec<Arc<Mutex<Local<T, R>>>> {
        let mut locals = std::mem::take(&mut self.locals);
        locals.append(&mut self.spare);
        locals
    }

    /// Takes over what a pump has results of.
    pub(super) fn flush(&mut self, local: &Mutex<Local<T, R>>) {
        for (number, result) in lock(local).results.drain(..) {
            self.state.put(number, result);
        }
    }

    /// Takes over what all pumps have results of.
    pub(super) fn collect(&mut self) {
        for local in &self.locals {
            for (number, result) in lock(local).results.drain(..) {
                self.state.put(number, result);
            }
        }
    }

    /// Whether items are waiting behind one that is being computed, and behind the source.
    pub(super) fn waiting_items(&self) -> (bool, bool) {
        let (mut behind_item, mut behind_source) = (false, false);
        for local in &self.locals {
            let local = lock(local);
            let waiting = !local.items.is_empty();
            behind_item |= waiting && !local.asking;
            behind_source |= waiting && local.asking;
        }
        (behind_item, behind_source)
    }

    /// Takes up to `most` of the items that are waiting, the first ones where there are several such
    /// pumps, and no more than half of what one has, unless it has just one.
    pub(super) fn steal(&mut self, most: usize) -> Option<(u64, VecDeque<T>)> {
        let waiting = self.locals.iter().filter_map(|local| {
            let known = lock(local);
            (!known.items.is_empty()).then_some((known.first, local))
        });
        let (_, local) = waiting.min_by_key(|&(first, _)| first)?;
        let mut local = lock(local);
        let count = local.items.len().div_ceil(2).min(most);
        let rest = local.items.split_off(count);
        let items = std::mem::replace(&mut local.items, rest);
        let first = local.first;
        local.first += count as u64;
        Some((first, items))
    }

    /// Notes what the source gave when asked for up to `most` items.
    pub(super) fn asked(&mut self, most: usize, answer: Answer) {
        let places = answer.taken + usize::from(answer.panic.is_some());
        self.state.asked(most, places, answer.slow, answer.ended);
        if let Some((number, panic)) = answer.panic {
            self.state.put(number, Err(panic));
        }
    }
}
