//! Tasks that borrow: they end before what they borrow does.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::handle::ScopedJoinHandle;
use super::home::{Home, is_on_a_pool};
use super::task::{Runs, Task};
use super::{Pool, Threads};
use crate::panic::{NoUnwind, Panic};
use crate::sync::{Condvar, Mutex, lock, wait};

/// Where tasks can be spawned that borrow from outside; see [`Pool::scope`].
pub struct Scope<'a, 'scope> {
    pub(super) pool: &'a Pool,
    /// `None` where the pool has no threads: tasks then run as they are spawned.
    pub(super) threads: Option<&'a Threads>,
    pub(super) group: Arc<Group<'scope>>,
    /// Neither longer nor shorter than what the tasks borrow.
    exactly: PhantomData<fn(&'scope ()) -> &'scope ()>,
}

/// The tasks of a scope.
pub(super) struct Group<'s> {
    home: Home,
    state: Mutex<State<'s>>,
    changed: Condvar,
}

struct State<'s> {
    /// Tasks that are not over.
    unfinished: BTreeMap<u64, Arc<dyn Runs + 's>>,
    next: u64,
    /// The first panic of a task whose handle was dropped.
    panic: Option<Panic>,
}

impl<'s> Group<'s> {
    pub(super) fn new(home: Home) -> Self {
        Self {
            home,
            state: Mutex::new(State {
                unfinished: BTreeMap::new(),
                next: 0,
                panic: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Makes a task of this group.
    pub(super) fn task<R, F>(self: &Arc<Self>, f: F) -> Arc<Task<'s, R>>
    where
        F: FnOnce() -> R + Send + 's,
        R: Send + 's,
    {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        let group = Some((Arc::clone(self), number));
        let task = Arc::new(Task::new(f, self.home.clone(), group));
        state.unfinished.insert(number, task.clone());
        drop(state);
        self.changed.notify_all();
        task
    }

    /// Notes that a task is over: nothing of it will be touched any more that it borrowed.
    pub(super) fn remove(&self, number: u64) {
        let task = lock(&self.state).unfinished.remove(&number);
        self.changed.notify_all();
        drop(task);
    }

    /// Keeps a panic that nobody can join.
    pub(super) fn take_in(&self, panic: Panic) {
        let mut state = lock(&self.state);
        let loser = match &state.panic {
            Some(_) => Some(panic),
            None => state.panic.replace(panic),
        };
        drop(state);
        drop(loser); // the user's payload, so not under the lock; the drop of a panic never unwinds
    }

    pub(super) fn take_panic(&self) -> Option<Panic> {
        lock(&self.state).panic.take()
    }

    /// Waits until all tasks are over. On a thread of a pool, which may be the one that would run them, it runs those that have not started.
    fn wait(&self) {
        let helps = is_on_a_pool();
        let mut begun = 0; // tasks with lower numbers have been
        let mut state = lock(&self.state);
        while !state.unfinished.is_empty() {
            match state.unfinished.range(begun..).next() {
                Some((number, task)) if helps => {
                    begun = number + 1;
                    let task = Arc::clone(task);
                    drop(state);
                    task.run();
                    drop(task);
                    state = lock(&self.state);
                }
                _ => state = wait(&self.changed, state),
            }
        }
    }
}

/// Waits when dropped, so that not even a panic frees what tasks borrow.
struct Waiting<'a, 's>(&'a Group<'s>);

impl Drop for Waiting<'_, '_> {
    fn drop(&mut self) {
        // It runs tasks, and while it does other threads use what this frame and those below it own.
        let borrowed = NoUnwind::begin("the end of a scope, whose tasks borrow from its caller");
        self.0.wait();
        borrowed.end();
    }
}

/// A task that the pool's threads can hold for as long as they like.
#[allow(
    unsafe_code,
    reason = "erases the lifetime of a task that the scope waits for"
)]
pub(super) fn erased<'s>(task: Arc<dyn Runs + 's>) -> Arc<dyn Runs> {
    // SAFETY: only the lifetime changes, which has no part in the layout of the pointer. Whoever holds the result can run the task
    // or drop it, no more.
    //
    // * Run: the task's group has it as unfinished from before this call until what it borrowed is no longer touched
    //   (`Task::finish` removes it last of all), and `Waiting` keeps the scope's frame, which the borrows outlive, until no task of
    //   the group is unfinished. Run later, it finds that it has been run or cancelled, and does nothing.
    // * Dropped: once the task is over its closure is gone. Its result belongs to the handle, which cannot outlive `'scope`, and takes it
    //   out when it is dropped; where the handle is leaked, the task is never freed. So no value that could borrow is dropped here.
    unsafe { std::mem::transmute::<Arc<dyn Runs + 's>, Arc<dyn Runs + 'static>>(task) }
}

impl Pool {
    /// Runs `f` on this thread, with a [`Scope`] in which it can spawn tasks that borrow from outside; returns when `f` has returned
    /// and all its tasks are over. Tasks can spawn more in the same scope: see [`Scope::spawn_with`].
    ///
    /// Where the system refuses threads, tasks run on this thread as they are spawned.
    ///
    /// # Panics
    ///
    /// With the panic of `f`, or of a task whose handle was dropped without [`join`](ScopedJoinHandle::join), when all tasks are over. A handle
    /// that leaves the scope takes its task's panic along.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// let text = String::from("to be or not to be");
    /// let (words, letters) = pool.scope(|scope| {
    ///     let words = scope.spawn(|| text.split(' ').count());
    ///     let letters = scope.spawn(|| text.chars().filter(|c| c.is_alphabetic()).count());
    ///     (words.join(), letters.join())
    /// });
    /// assert_eq!((words.unwrap(), letters.unwrap()), (6, 13));
    /// ```
    pub fn scope<'a, 'scope, R>(&'a self, f: impl FnOnce(&Scope<'a, 'scope>) -> R) -> R {
        let threads = self.threads().ok();
        let home = threads.map_or_else(Home::default, |threads| threads.home().clone());
        let group = Arc::new(Group::new(home));
        if let Some(threads) = threads {
            threads.release();
        }
        let waiting = Waiting(&group);
        let result = f(&Scope {
            pool: self,
            threads,
            group: Arc::clone(&group),
            exactly: PhantomData,
        });
        drop(waiting);
        if let Some(panic) = group.take_panic() {
            panic.resume();
        }
        result
    }
}

impl<'a, 'scope> Scope<'a, 'scope> {
    /// Gives a task to the pool; it may borrow what outlives the scope. See [`Pool::spawn`].
    ///
    /// A task that is to spawn others in the same scope comes from [`spawn_with`](Self::spawn_with).
    #[doc(alias = "submit")]
    pub fn spawn<R, F>(&self, f: F) -> ScopedJoinHandle<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
        R: Send + 'scope,
    {
        let task = self.group.task(f);
        self.give(task.clone());
        ScopedJoinHandle::new(task)
    }

    /// Gives a task to the pool that is lent this scope when it runs, so that it can spawn more tasks in
    /// it: the walk through a tree, say, with a task for each node. As [`spawn`](Self::spawn) otherwise.
    ///
    /// The scope ends when all its tasks are over, those included that tasks have spawned. The pool has
    /// to outlive what the tasks may borrow, hence `'a: 'scope`; a function that takes a scope and
    /// calls this needs the same bound.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use scipar::{Pool, Scope};
    ///
    /// struct Node { value: u64, children: Vec<Node> }
    ///
    /// fn add_up<'a: 's, 's>(scope: &Scope<'a, 's>, node: &'s Node, sum: &'s AtomicU64) {
    ///     sum.fetch_add(node.value, Ordering::Relaxed);
    ///     for child in &node.children {
    ///         drop(scope.spawn_with(|scope| add_up(scope, child, sum)));
    ///     }
    /// }
    ///
    /// let leaf = |value| Node { value, children: Vec::new() };
    /// let tree = Node { value: 1, children: vec![leaf(2), leaf(3)] };
    /// let sum = AtomicU64::new(0);
    /// Pool::new(2).scope(|scope| add_up(scope, &tree, &sum));
    /// assert_eq!(sum.into_inner(), 6);
    /// ```
    ///
    /// The scope that is lent does not outlive the task:
    ///
    /// ```compile_fail,E0521
    /// let pool = scipar::Pool::new(2);
    /// let kept = std::sync::Mutex::new(None);
    /// pool.scope(|scope| {
    ///     drop(scope.spawn_with(|inner| *kept.lock().unwrap() = Some(inner)));
    /// });
    /// ```
    pub fn spawn_with<R, F>(&self, f: F) -> ScopedJoinHandle<'scope, R>
    where
        'a: 'scope,
        F: FnOnce(&Scope<'a, 'scope>) -> R + Send + 'scope,
        R: Send + 'scope,
    {
        // Sound without a count of its own: `f` cannot keep what it is lent, and while it runs, its task
        // is unfinished, so that the scope has not ended.
        let lent = Scope {
            pool: self.pool,
            threads: self.threads,
            group: Arc::clone(&self.group),
            exactly: PhantomData,
        };
        self.spawn(move || f(&lent))
    }

    /// Gives a task of the scope's group to the pool's threads; where there are none, runs it.
    pub(super) fn give(&self, task: Arc<dyn Runs + 'scope>) {
        match self.threads {
            Some(threads) => {
                let task = erased(task);
                threads.rayon().spawn_fifo(move || {
                    task.run();
                });
            }
            None => {
                task.run();
            }
        }
    }

    pub(super) fn home(&self) -> Home {
        self.pool.home()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
