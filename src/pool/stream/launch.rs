//! How pumps come to a pool's threads.

use std::sync::{Arc, Weak};

use super::super::Pool;
use super::super::home::Home;
use super::super::scope::{Group, Scope, erased};
use super::super::task::Task;
use super::machine::Pumps;
use crate::panic::discard;
use crate::sync::{Mutex, lock};

/// Launches a stream's pumps. They know the machine weakly: one that comes when the stream is gone
/// keeps nothing of it.
pub(super) trait Launch: Send + Sync {
    /// Starts a pump, if there are threads; says whether there are.
    fn launch(&self) -> bool;
    /// Forgets pumps that have not begun. The stream is over.
    fn withdraw(&self);
}

/// On a pool.
pub(super) struct OnPool<'a> {
    pub(super) pool: &'a Pool,
    pub(super) pumps: Weak<dyn Pumps>,
}

impl Launch for OnPool<'_> {
    fn launch(&self) -> bool {
        fn pump(pumps: &Weak<dyn Pumps>) {
            let Some(machine) = pumps.upgrade() else {
                return;
            };
            machine.pump(&|| {
                let pumps = Weak::clone(pumps);
                rayon::spawn_fifo(move || pump(&pumps));
                true
            });
            discard(machine); // the last one drops the closure, which is the user's
        }
        let Ok(threads) = self.pool.threads() else {
            return false;
        };
        threads.release();
        let pumps = Weak::clone(&self.pumps);
        threads.rayon().spawn_fifo(move || pump(&pumps));
        true
    }

    fn withdraw(&self) {}
}

/// In a scope, where a pump is a task, so that the scope waits for it.
pub(super) struct InScope<'s, 'a, 'scope> {
    scope: &'s Scope<'a, 'scope>,
    tasks: Arc<Tasks<'scope>>,
}

struct Tasks<'scope> {
    group: Arc<Group<'scope>>,
    home: Home,
    pumps: Weak<dyn Pumps + 'scope>,
    /// Those that were given to the pool, if there is something left of them.
    given: Mutex<Vec<Weak<Task<'scope, ()>>>>,
}

impl<'s, 'a, 'scope> InScope<'s, 'a, 'scope> {
    pub(super) fn new(scope: &'s Scope<'a, 'scope>, pumps: Weak<dyn Pumps + 'scope>) -> Self {
        let tasks = Arc::new(Tasks {
            group: Arc::clone(&scope.group),
            home: scope.home(),
            pumps,
            given: Mutex::new(Vec::new()),
        });
        Self { scope, tasks }
    }
}

impl<'scope> Tasks<'scope> {
    fn another(self: &Arc<Self>) -> Arc<Task<'scope, ()>> {
        let tasks = Arc::clone(self);
        let task = self.group.task(move || {
            let Some(machine) = tasks.pumps.upgrade() else {
                return;
            };
            machine.pump(&|| {
                // At the scope's end tasks run on its thread, which has no others to call.
                let here = tasks.home.is_here();
                if here {
                    let task = erased(tasks.another());
                    rayon::spawn_fifo(move || {
                        task.run();
                    });
                }
                here
            });
            discard(machine);
        });
        let mut given = lock(&self.given);
        given.retain(|task| task.strong_count() > 0);
        given.push(Arc::downgrade(&task));
        drop(given);
        task
    }
}

impl Launch for InScope<'_, '_, '_> {
    fn launch(&self) -> bool {
        let there = self.scope.threads.is_some();
        if there {
            self.scope.give(self.tasks.another());
        }
        there
    }

    fn withdraw(&self) {
        let given = std::mem::take(&mut *lock(&self.tasks.given));
        for task in given.iter().filter_map(Weak::upgrade) {
            let _ = task.cancel(); // drops nothing of the user's
        }
    }
}
