//! A task: a closure that a thread of the pool will run, and its handle.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::home::Home;
use super::scope::Group;
use super::tally::Shift;
use crate::error::JoinError;
use crate::panic::{Panic, caught, discard};
use crate::sync::{Condvar, Mutex, lock, looks, wait_until};

/// A closure on its way to a thread, and what became of it.
pub(super) struct Task<'s, R> {
    state: Mutex<State<'s, R>>,
    changed: Condvar,
    /// The pool that it was given to, which counts it as open until it is over.
    home: Home,
    shift: Shift,
    /// Who waits for the task whatever becomes of its handle, and its number there.
    group: Option<(Arc<Group<'s>>, u64)>,
}

struct State<'s, R> {
    phase: Phase<'s, R>,
    /// The handle was dropped: nobody will ask for the result.
    detached: bool,
    /// Who waits for this task among others, and its place there.
    watchers: Vec<(Weak<Watch>, usize)>,
}

enum Phase<'s, R> {
    Queued(Box<dyn FnOnce() -> R + Send + 's>),
    Running,
    Done(Result<R, JoinError>),
    Taken,
}

/// Whatever can be run once, by whoever comes first.
pub(super) trait Runs: Send + Sync {
    /// Runs it on this thread if nobody has started or cancelled it; says whether it did.
    fn run(&self) -> bool;
}

impl<R: Send> Runs for Task<'_, R> {
    fn run(&self) -> bool {
        Task::run(self)
    }
}

impl<'s, R> Task<'s, R> {
    pub(super) fn new(
        f: impl FnOnce() -> R + Send + 's,
        home: Home,
        group: Option<(Arc<Group<'s>>, u64)>,
    ) -> Self {
        Self {
            shift: home.begin(),
            home,
            state: Mutex::new(State {
                phase: Phase::Queued(Box::new(f)),
                detached: false,
                watchers: Vec::new(),
            }),
            changed: Condvar::new(),
            group,
        }
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Runs the task on this thread if nobody has started or cancelled it; says whether it did.
    pub(super) fn run(&self) -> bool {
        // A scope's tasks are safe from it: the scope borrows the pool, which is still whole then.
        if self.group.is_none() && self.home.is_abandoned() {
            // What panics in dropping what it had captured does so on a thread of the pool, unheard.
            let _ = self.cancel();
            return false;
        }
        let f = {
            let mut state = lock(&self.state);
            match std::mem::replace(&mut state.phase, Phase::Running) {
                Phase::Queued(f) => f,
                other => {
                    state.phase = other;
                    return false;
                }
            }
        };
        let _running = self.home.running(self.shift);
        self.finish(caught(f).map_err(JoinError::Panicked));
        true
    }

    /// Cancels the task if it has not started; says whether it did. The panic is one of dropping what the task had captured.
    pub(super) fn cancel(&self) -> Result<bool, Panic> {
        let f = {
            let mut state = lock(&self.state);
            match std::mem::replace(&mut state.phase, Phase::Running) {
                Phase::Queued(f) => f,
                other => {
                    state.phase = other;
                    return Ok(false);
                }
            }
        };
        // Not under the lock: what it captured is the user's, perhaps the last handle of the pool.
        let _running = self.home.running(self.shift);
        let dropped = caught(|| drop(f));
        self.finish(Err(JoinError::Cancelled));
        dropped.map(|()| true)
    }

    fn finish(&self, result: Result<R, JoinError>) {
        let mut unwanted = None;
        let mut state = lock(&self.state);
        if state.detached {
            unwanted = Some(result);
        } else {
            state.phase = Phase::Done(result);
        }
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        self.changed.notify_all();
        for (watch, place) in watchers {
            if let Some(watch) = watch.upgrade() {
                watch.note(place);
            }
        }
        if let Some(result) = unwanted {
            self.discard(result);
        }
        self.home.end(self.shift);
        // Last of all: what the task borrowed may be gone from now on.
        if let Some((group, number)) = &self.group {
            group.remove(*number);
        }
    }

    /// Lets go of a result that nobody asks for.
    fn discard(&self, result: Result<R, JoinError>) {
        match (result, &self.group) {
            (Err(JoinError::Panicked(panic)), Some((group, _))) => group.take_in(panic),
            (result, _) => discard(result),
        }
    }

    pub(super) fn detach(&self) {
        let mut state = lock(&self.state);
        state.detached = true;
        if let Phase::Done(_) = state.phase
            && let Phase::Done(result) = std::mem::replace(&mut state.phase, Phase::Taken)
        {
            drop(state);
            self.discard(result);
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Done(_) | Phase::Taken)
    }

    /// The result, if there is one and nobody took it.
    pub(super) fn take(&self) -> Option<Result<R, JoinError>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.phase, Phase::Taken) {
            Phase::Done(result) => Some(result),
            other => {
                state.phase = other;
                None
            }
        }
    }

    /// Waits until the task is finished, or for the deadline. Looks again and again for some microseconds before it sleeps, as
    /// crossbeam's channels do: a task that is as short as its hand-over ends meanwhile.
    pub(super) fn wait(&self, deadline: Option<Instant>) {
        if self.is_finished() || looks(1).any(|()| self.is_finished()) {
            return;
        }
        let mut state = lock(&self.state);
        while !matches!(state.phase, Phase::Done(_) | Phase::Taken) {
            let in_time;
            (state, in_time) = wait_until(&self.changed, state, deadline);
            if !in_time {
                return;
            }
        }
    }

    /// Has `watch` told of the end of this task, at once if it is over.
    pub(super) fn watch(&self, watch: &Arc<Watch>, place: usize) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Done(_) | Phase::Taken) {
            drop(state);
            watch.note(place);
            return;
        }
        // Those that have given up would pile up where somebody asks again and again.
        state.watchers.retain(|(watch, _)| watch.strong_count() > 0);
        state.watchers.push((Arc::downgrade(watch), place));
    }
}

/// Hears of the ends of several tasks.
#[derive(Debug)]
pub(super) struct Watch {
    ended: Mutex<VecDeque<usize>>,
    changed: Condvar,
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            ended: Mutex::new(VecDeque::new()),
            changed: Condvar::new(),
        })
    }

    fn note(&self, place: usize) {
        lock(&self.ended).push_back(place);
        self.changed.notify_one();
    }

    /// The place of a task that has ended, if one has.
    pub(super) fn first(&self) -> Option<usize> {
        lock(&self.ended).pop_front()
    }

    /// The place of a task that has ended, the first that did first.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Option<usize> {
        let mut ended = lock(&self.ended);
        loop {
            if let Some(place) = ended.pop_front() {
                return Some(place);
            }
            let in_time;
            (ended, in_time) = wait_until(&self.changed, ended, deadline);
            if !in_time {
                return None;
            }
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::sync::{AtomicUsize, Ordering};
    use loom::sync::Arc;

    /// A task is run or cancelled, never both, and whoever joins hears of it.
    #[test]
    fn run_against_cancel_against_join() {
        loom::model(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let task = Arc::new(Task::new(
                {
                    let ran = ran.clone();
                    move || ran.fetch_add(1, Ordering::Relaxed)
                },
                Home::default(),
                None,
            ));
            let runner = {
                let task = task.clone();
                loom::thread::spawn(move || task.run())
            };
            let canceller = {
                let task = task.clone();
                loom::thread::spawn(move || task.cancel())
            };
            task.wait(None);
            let result = task.take().expect("it is over");
            let (did_run, did_cancel) =
                (runner.join().unwrap(), canceller.join().unwrap().unwrap());
            assert!(did_run != did_cancel);
            assert_eq!(result.is_ok(), did_run);
            assert_eq!(ran.load(Ordering::Relaxed), usize::from(did_run));
        });
    }

    /// The end of a task reaches who watches it, also when it comes while the watch is set up.
    #[test]
    fn a_watch_hears_of_the_end() {
        loom::model(|| {
            let task = Arc::new(Task::new(|| 7, Home::default(), None));
            let runner = {
                let task = task.clone();
                loom::thread::spawn(move || task.run())
            };
            let watch = Watch::new();
            task.watch(&watch, 3);
            assert_eq!(watch.wait(None), Some(3));
            assert!(matches!(task.take(), Some(Ok(7))));
            assert!(runner.join().unwrap());
        });
    }

    /// A handle that is dropped while its task ends loses nothing: the panic is taken in, once.
    #[test]
    fn detaching_against_finishing() {
        loom::model(|| {
            let group = std::sync::Arc::new(Group::new(Home::default()));
            let task = Arc::new(Task::<()>::new(
                || std::panic::resume_unwind(Box::new(1)),
                Home::default(),
                Some((group.clone(), 0)),
            ));
            let runner = {
                let task = task.clone();
                loom::thread::spawn(move || task.run())
            };
            task.detach();
            assert!(runner.join().unwrap());
            assert!(group.take_panic().is_some());
        });
    }
}
