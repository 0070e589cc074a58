//! One message that a worker acts on: items in, results out.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{Answer, Entry, Item, Order};
use super::serve::{PANICKED_AT, SEND_EVERY, Watched, alone, or_broken};
use super::shared::{Part, Pod};
use super::task::{self, Task};
use super::wire::{Forever, Input, LinkError, ValueError};
use crate::panic::{caught, discard};
use crate::timer::process_time;

/// Why a worker does not go on with a message.
#[derive(Debug)]
pub(super) enum CallError {
    /// The other side is gone.
    Link(LinkError),
    /// The message is at its end, or of no use.
    Over,
}

impl From<LinkError> for CallError {
    fn from(error: LinkError) -> Self {
        CallError::Link(error)
    }
}

/// One message that a worker is to act on.
pub(super) struct Call<'a> {
    pub(super) input: &'a mut Input,
    pub(super) watched: &'a Watched,
    pub(super) contexts: &'a mut Contexts,
    pub(super) order: &'a Order,
    pub(super) timed: bool,
    /// CPU time when the last answer ended, if that was looked at: this call begins with its message.
    pub(super) cpu: &'a mut Option<Duration>,
    /// When results were sent last.
    pub(super) sent: Instant,
}

/// Data that tasks share, or why it is not there.
pub(super) type Contexts = HashMap<u64, Result<Box<dyn Any>, String>>;

impl Call<'_> {
    pub(super) fn serve(&mut self) -> Result<(), CallError> {
        let (task, signature) = match self.order {
            Order::Run {
                task, signature, ..
            }
            | Order::Context {
                task, signature, ..
            } => (task, signature),
            Order::Forget { context } => {
                discard(self.contexts.remove(context));
                return Ok(());
            }
        };
        match task::find(task, signature) {
            Ok(registration) => (registration.run)(self),
            // Whoever sends a context sends a run after it, which is answered.
            Err(_) if matches!(self.order, Order::Context { .. }) => Ok(()),
            Err(why) => self.answer(|call| call.put(&Entry::<()>::Unknown(why))),
        }
    }

    /// Runs a plain task on every item, or on those of every leaf.
    pub(super) fn each<A, R>(&mut self, function: fn(A) -> R) -> Result<(), CallError>
    where
        A: DeserializeOwned,
        R: Serialize + 'static,
    {
        let Order::Run { reduce, .. } = self.order else {
            return Err(CallError::Over);
        };
        let Some((name, signature)) = reduce else {
            return self.answer(|call| call.items(function));
        };
        let op = task::find(name, signature).and_then(|found| {
            let task = found.task.as_ref();
            let op = task.and_then(|task| task.downcast_ref::<Task<(R, R), R>>());
            op.ok_or_else(|| format!("`{name}` combines other values"))
        });
        match op {
            Ok(op) => self.answer(|call| call.leaves(function, |a, b| op.call((a, b)))),
            Err(why) => self.answer(|call| call.put(&Entry::<()>::Unknown(why))),
        }
    }

    /// Runs a task that has a context, or keeps its context.
    pub(super) fn each_with<C, A, R>(&mut self, function: fn(&C, A) -> R) -> Result<(), CallError>
    where
        C: DeserializeOwned + 'static,
        A: DeserializeOwned,
        R: Serialize,
    {
        match self.order {
            Order::Context { context, .. } => {
                let value = match self.input.value::<C>(&mut Forever) {
                    Ok(value) => Ok(Box::new(value) as Box<dyn Any>),
                    Err(ValueError::Link(error)) => return Err(error.into()),
                    Err(ValueError::Serde(why)) => Err(why),
                    Err(ValueError::Void | ValueError::End) => {
                        Err("it was not sent to its end".to_owned())
                    }
                };
                discard(self.contexts.insert(*context, value));
                Ok(())
            }
            Order::Run { context, .. } => {
                let kept = context.and_then(|context| self.contexts.remove(&context));
                let result = match &kept {
                    Some(Ok(value)) => match value.downcast_ref::<C>() {
                        Some(value) => self.answer(|call| call.items(|item| function(value, item))),
                        None => self.unusable("it is of another type"),
                    },
                    Some(Err(why)) => self.unusable(why),
                    None => self.unusable("the task needs one, and there is none"),
                };
                if let (Some(context), Some(kept)) = (context, kept) {
                    self.contexts.insert(*context, kept);
                }
                result
            }
            Order::Forget { .. } => Err(CallError::Over),
        }
    }

    fn unusable(&mut self, why: &str) -> Result<(), CallError> {
        let entry = Entry::<()>::Unknown(format!("the context: {why}"));
        self.answer(|call| call.put(&entry))
    }

    /// Runs a task on parts of shared arrays.
    pub(super) fn each_part<T, A, R>(
        &mut self,
        function: fn(&mut [T], A) -> R,
    ) -> Result<(), CallError>
    where
        T: Pod,
        A: DeserializeOwned,
        R: Serialize,
    {
        // The part is given back before the answer leaves: the closure has ended by then.
        let function = |(mut part, arguments): (Part<T>, A)| function(part.items(), arguments);
        self.answer(|call| call.items(function))
    }

    /// Begins an answer, lets it be written, and ends it.
    fn answer(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let Order::Run {
            id, cpu: wanted, ..
        } = self.order
        else {
            return Err(CallError::Over);
        };
        let began = Instant::now();
        let before = self.cpu.take();
        let before = wanted.then(|| before.unwrap_or_else(process_time));
        self.sent = began;
        self.put(&Answer { id: *id })?;
        write(self)?;
        let cpu = before.map_or(Duration::ZERO, |before| {
            let now = process_time();
            *self.cpu = Some(now);
            now.saturating_sub(before)
        });
        let wall = began.elapsed();
        self.put(&Entry::<()>::End { wall, cpu })?;
        Ok(self.watched.output().finish(&mut alone(&mut Forever))?)
    }

    /// Adds something of the protocol's own to the answer.
    fn put<T: Serialize>(&mut self, value: &T) -> Result<(), CallError> {
        let mut output = self.watched.output();
        Ok(or_broken(output.value(value, &mut alone(&mut Forever)))?)
    }

    /// Adds what became of an item. A result that cannot be encoded, or dropped, is that item's
    /// failure.
    fn outcome<R: Serialize>(&mut self, outcome: Entry<R>) -> Result<(), CallError> {
        let mut forever = Forever;
        let mut wait = alone(&mut forever);
        // The result's own code runs under this lock, and cannot get at it: the process's only
        // other thread that uses it does not wait.
        let mut output = self.watched.output();
        match output.last_of(outcome, &mut wait) {
            Err(ValueError::Serde(why)) => {
                or_broken(output.value(&Entry::<()>::Unencoded(why), &mut wait))?;
            }
            result => or_broken(result)?,
        }
        if self.sent.elapsed() >= SEND_EVERY {
            output.flush(&mut wait)?;
            self.sent = Instant::now();
        }
        Ok(())
    }

    /// The next item, an end of a leaf, or the end; `None` where the message ends early.
    fn next<A: DeserializeOwned>(&mut self) -> Result<Option<Item<A>>, CallError> {
        loop {
            match self.input.value::<Item<A>>(&mut Forever) {
                Ok(item) => return Ok(Some(item)),
                // The item before it, or this one, was not sent to its end; the sender knows, and says what is next.
                Err(ValueError::Void) => {}
                Err(ValueError::End) => return Ok(None),
                Err(ValueError::Link(error)) => return Err(error.into()),
                Err(ValueError::Serde(why)) => {
                    // Where the next item would begin is not known.
                    self.put(&Entry::<()>::Undecoded(why))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Lets the other side know that there is progress where no result does, now and then.
    fn working(&mut self) -> Result<(), CallError> {
        const EVERY: Duration = Duration::from_millis(100);
        if self.timed && self.sent.elapsed() >= EVERY {
            self.put(&Entry::<()>::Working)?;
            self.watched.output().flush(&mut alone(&mut Forever))?;
            self.sent = Instant::now();
        }
        Ok(())
    }

    /// Calls user code for an item.
    fn run<R>(&mut self, function: impl FnOnce() -> R) -> Entry<R> {
        if self.timed {
            let now = self.watched.now();
            self.watched.item_began.store(now, Ordering::Release);
        }
        let result = caught(function);
        if self.timed {
            self.watched.item_began.store(0, Ordering::Release);
        }
        match result {
            Ok(value) => Entry::Value(value),
            Err(panic) => {
                let message = panic.to_string();
                let place = PANICKED_AT.take();
                Entry::Panicked { message, place }
            }
        }
    }

    fn items<A: DeserializeOwned, R: Serialize>(
        &mut self,
        mut function: impl FnMut(A) -> R,
    ) -> Result<(), CallError> {
        loop {
            match self.next()? {
                Some(Item::Next(item)) => {
                    let outcome = self.run(|| function(item));
                    self.outcome(outcome)?;
                }
                Some(Item::Leaf) => {}
                Some(Item::End) | None => return Ok(()),
            }
        }
    }

    /// Folds every leaf from left to right, as a leaf on threads is folded.
    fn leaves<A: DeserializeOwned, R: Serialize>(
        &mut self,
        map: fn(A) -> R,
        op: impl Fn(R, R) -> R,
    ) -> Result<(), CallError> {
        let mut so_far: Option<Entry<R>> = None;
        loop {
            let next = match self.next() {
                Ok(next) => next,
                Err(error) => {
                    discard(so_far);
                    return Err(error);
                }
            };
            match next {
                Some(Item::Next(item)) => {
                    so_far = Some(match so_far {
                        None => self.run(|| map(item)),
                        Some(Entry::Value(left)) => self.run(|| op(left, map(item))),
                        Some(failed) => {
                            discard(item);
                            failed
                        }
                    });
                    self.working()?;
                }
                Some(Item::Leaf) => {
                    if let Some(outcome) = so_far.take() {
                        self.outcome(outcome)?;
                    }
                }
                Some(Item::End) | None => {
                    discard(so_far);
                    return Ok(());
                }
            }
        }
    }
}
