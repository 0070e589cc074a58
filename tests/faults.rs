//! Where the panic of each foreign piece of code goes: the rows of the table on the page of `Parallel`.
//! Nothing is lost without a trace, nothing unwinds out of the long form, everything is dropped once.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::{Counted, Drops, Meant, quiet, spin, started};
use scipar::{CancelToken, Chunking, Outcome, Pool, RunError};

const MICRO: Duration = Duration::from_micros(1);
const LEN: usize = 200;

fn message<E>(error: &RunError<E>) -> usize {
    let panic = error.panic().expect("it is a panic");
    assert!(error.is_panic());
    panic
        .to_string()
        .trim_start_matches(common::MEANT)
        .parse()
        .unwrap()
}

/// Panics with a text, as users do.
fn fail(number: usize) -> ! {
    panic!("{}{number}", common::MEANT)
}

fn chunkings() -> [Chunking; 4] {
    [
        Chunking::auto(),
        Chunking::size(1),
        Chunking::count(2),
        Chunking::serial(),
    ]
}

/// Each number of workers, each chunking, items in order and by a hint.
fn for_each_setting(mut check: impl FnMut(&Pool, Chunking, &str)) {
    quiet();
    for workers in [1, 2, 7] {
        let pool = started(workers);
        for chunking in chunkings() {
            check(&pool, chunking, &format!("{workers} workers, {chunking}"));
        }
    }
}

/// Panics when it is dropped, if it is armed.
#[derive(Debug)]
struct Touchy(Counted, bool);

impl Drop for Touchy {
    fn drop(&mut self) {
        if self.1 {
            panic_any(Meant(self.0.index));
        }
    }
}

fn touchy(drops: &std::sync::Arc<Drops>, armed: impl Fn(usize) -> bool) -> Vec<Touchy> {
    let all = drops.all().into_iter();
    all.map(|item| {
        let armed = armed(item.index);
        Touchy(item, armed)
    })
    .collect()
}

#[test]
fn a_closure_that_panics_is_its_item_s() {
    for_each_setting(|pool, chunking, what| {
        let bad = |i: usize| {
            spin(5 * MICRO);
            if i % 100 == 77 {
                fail(i)
            }
            i
        };
        let error = pool.over(0..LEN).chunking(chunking).map(bad).unwrap_err();
        assert_eq!((error.index(), message(&error)), (Some(77), 77), "{what}");
        let error = pool
            .over(0..LEN)
            .chunking(chunking)
            .for_each(|i| _ = bad(i));
        assert_eq!(error.unwrap_err().index(), Some(77), "{what}");
        let run = pool.over(0..LEN).chunking(chunking);
        let error = run.map_reduce(bad, || 0, |a, b| a + b).unwrap_err();
        assert_eq!((error.index(), message(&error)), (Some(77), 77), "{what}");
        assert!(matches!(error, RunError::Panicked { .. }), "{what}");
        let run = pool.over(0..LEN).chunking(chunking);
        let error = run
            .cost_hint(|i| i as f64)
            .map_reduce(bad, || 0, |a, b| a + b);
        assert!(
            matches!(error.unwrap_err().index(), Some(77 | 177)),
            "{what}"
        );
        let run = pool
            .over(0..LEN)
            .chunking(chunking)
            .worker_state(|_| 0_usize);
        let reduced = run.map_reduce(
            |calls, i| {
                *calls += 1;
                bad(i)
            },
            || 0,
            |a, b| a + b,
        );
        assert_eq!(reduced.unwrap_err().index(), Some(77), "{what}");
        let all = pool
            .over(0..LEN)
            .chunking(chunking)
            .outcomes(|i| Ok::<_, ()>(bad(i)));
        assert!(all.fault.is_none(), "{what}");
        for (i, outcome) in all.items.iter().enumerate() {
            match outcome {
                Outcome::Done(result) => assert!(*result == i && i % 100 != 77, "{what}"),
                Outcome::Panicked(_) => assert_eq!(i % 100, 77, "{what}"),
                _ => panic!("{what}: {outcome:?}"),
            }
        }
    });
}

#[test]
fn outcomes_go_on_without_a_helper_whose_state_cannot_be_made() {
    quiet();
    let mut failed = 0;
    for chunking in [Chunking::auto(), Chunking::size(1), Chunking::count(2)] {
        for hinted in [false, true] {
            for _ in 0..10 {
                let pool = started(3);
                let run = pool.over(0..LEN).chunking(chunking);
                let run = if hinted {
                    run.cost_hint(|i| i as f64)
                } else {
                    run
                };
                let run = run.worker_state(|worker| {
                    if worker > 0 {
                        fail(worker)
                    }
                });
                let all = run.outcomes(|(), i| {
                    spin(100 * MICRO);
                    Ok::<_, ()>(i)
                });
                assert!(all.items.iter().all(Outcome::is_done), "{chunking}");
                assert_eq!((all.report.finished, all.report.workers), (LEN, 1));
                if let Some(fault) = all.fault {
                    failed += 1;
                    let RunError::StatePanicked { worker, .. } = &fault else {
                        panic!("{fault}");
                    };
                    assert_eq!(message(&fault), *worker);
                    assert_eq!(
                        fault.to_string(),
                        format!("the state of worker {worker} panicked: meant:{worker}")
                    );
                }
            }
        }
    }
    assert!(failed > 0, "no helper ever came");
}

#[test]
fn outcomes_say_why_nothing_ran_where_no_state_can_be_made() {
    for_each_setting(|pool, chunking, what| {
        let drops = Drops::new(LEN);
        let run = pool.over(drops.all()).chunking(chunking);
        let run = run.worker_state(|worker| -> Rc<usize> { fail(worker) });
        let all = run.outcomes(|_, item| Ok::<_, ()>(item.index));
        assert_eq!(all.items.len(), LEN, "{what}");
        assert_eq!(all.not_run().count(), LEN, "{what}");
        let fault = all.fault.expect(what);
        assert!(
            matches!(fault, RunError::StatePanicked { worker: 0, .. }),
            "{what}"
        );
        drops.assert_each_once(&what);
        let drops = Drops::new(LEN);
        let run = pool.over(drops.all()).chunking(chunking);
        let error = run
            .worker_state(|worker| -> Rc<usize> { fail(worker) })
            .map(|_, item| item.index)
            .unwrap_err();
        assert!(
            matches!(error, RunError::StatePanicked { worker: 0, .. }),
            "{what}"
        );
        assert_eq!(message(&error), 0);
        drops.assert_each_once(&what);
        let run = pool.over(0..LEN).chunking(chunking);
        let run = run.worker_state(|worker| -> usize { fail(worker) });
        let error = run.map_reduce(|_, i| i, || 0, |a, b| a + b).unwrap_err();
        assert!(
            matches!(error, RunError::StatePanicked { worker: 0, .. }),
            "{what}"
        );
    });
}

/// All or nothing: the items that are left are not run for nothing.
#[test]
fn a_map_ends_where_a_helper_s_state_cannot_be_made() {
    quiet();
    let mut ended = 0;
    for _ in 0..20 {
        let pool = started(2);
        let ran = AtomicUsize::new(0);
        let run = pool
            .over(0..2_000_usize)
            .chunking(1)
            .worker_state(|worker| {
                if worker > 0 {
                    fail(worker)
                }
            });
        let result = run.map(|(), i| {
            ran.fetch_add(1, SeqCst);
            spin(50 * MICRO);
            i
        });
        if let Err(error) = result {
            assert!(matches!(error, RunError::StatePanicked { worker: 1, .. }));
            ended += usize::from(ran.into_inner() < 1_500);
        }
    }
    assert!(ended > 0, "no run ended before its last items");
}

/// A state that panics when it is dropped.
struct Tender(usize);

impl Drop for Tender {
    fn drop(&mut self) {
        fail(self.0)
    }
}

#[test]
fn a_state_that_panics_when_it_is_dropped_is_told() {
    for_each_setting(|pool, chunking, what| {
        let run = || pool.over(0..LEN).chunking(chunking).worker_state(Tender);
        let slow = |state: &mut Tender, i: usize| {
            spin(5 * MICRO);
            i + 0 * state.0
        };
        let error = run().map(slow).unwrap_err();
        assert!(matches!(error, RunError::StatePanicked { .. }), "{what}");
        let all = run().outcomes(|state, i| Ok::<_, ()>(slow(state, i)));
        assert!(all.items.iter().all(Outcome::is_done), "{what}");
        let fault = all.fault.expect(what);
        assert!(
            matches!(fault, RunError::StatePanicked { worker: 0, .. }),
            "{what}"
        );
        let error = run().map_reduce(slow, || 0, |a, b| a + b).unwrap_err();
        assert!(matches!(error, RunError::StatePanicked { .. }), "{what}");
        // Handed over, they are the caller's to drop; in a run that fails they are dropped all the same.
        let (results, states) = run().map_and_states(slow).unwrap();
        assert!(results.into_iter().eq(0..LEN), "{what}");
        states.into_iter().for_each(std::mem::forget);
        let failed = run().map_and_states(|_, i| if i == 50 { fail(i) } else { i });
        let Err(error) = failed else { panic!("{what}") };
        assert_eq!(error.index(), Some(50), "{what}");
        // An item's panic comes before that of a state.
        let error = run()
            .map(|_, i| if i == 50 { fail(i) } else { i })
            .unwrap_err();
        assert_eq!(error.index(), Some(50), "{what}");
    });
}

#[test]
fn a_state_is_made_used_and_dropped_on_its_worker() {
    struct Bound(ThreadId, Rc<RefCell<usize>>);
    impl Drop for Bound {
        fn drop(&mut self) {
            assert_eq!(self.0, thread::current().id(), "dropped elsewhere");
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    quiet();
    let mut threads = HashSet::new();
    for workers in [1, 3] {
        let pool = started(workers);
        for chunking in chunkings() {
            let made = Mutex::new(Vec::new());
            DROPPED.store(0, SeqCst);
            let run = || {
                let run = pool.over(0..LEN).chunking(chunking);
                run.worker_state(|_| {
                    made.lock().unwrap().push(thread::current().id());
                    Bound(thread::current().id(), Rc::new(RefCell::new(0)))
                })
            };
            let work = |state: &mut Bound, i: usize| {
                assert_eq!(state.0, thread::current().id(), "used elsewhere");
                *state.1.borrow_mut() += 1;
                spin(20 * MICRO);
                i
            };
            assert!(run().map(work).unwrap().into_iter().eq(0..LEN));
            run().for_each(|state, i| _ = work(state, i)).unwrap();
            let sum = run().map_reduce(work, || 0, |a, b| a + b).unwrap();
            assert_eq!(sum, LEN * (LEN - 1) / 2);
            let all = run().outcomes(|state, i| match i {
                7 => fail(7),
                i => Ok::<_, ()>(work(state, i)),
            });
            assert_eq!(all.items.iter().filter(|o| o.is_done()).count(), LEN - 1);
            let error = run().try_map(|state, i| match i {
                120 => Err("no"),
                i => Ok(work(state, i)),
            });
            assert_eq!(error.unwrap_err().index(), Some(120));
            let made = made.into_inner().unwrap();
            assert_eq!(DROPPED.load(SeqCst), made.len());
            threads.extend(made);
        }
    }
    assert!(threads.len() > 1, "no helper ever came");
}

#[test]
fn a_listener_that_panics_ends_a_map_and_costs_outcomes_nothing() {
    for_each_setting(|pool, chunking, what| {
        let calls = AtomicUsize::new(0);
        let listener = |_| {
            calls.fetch_add(1, SeqCst);
            fail(5)
        };
        let drops = Drops::new(LEN);
        let run = pool.over(drops.all()).chunking(chunking).progress(listener);
        let all = run.outcomes(|item| {
            spin(500 * MICRO);
            Ok::<_, ()>(item.index)
        });
        assert!(all.items.iter().all(Outcome::is_done), "{what}");
        assert_eq!(all.report.finished, LEN, "{what}");
        let fault = all.fault.expect(what);
        assert!(matches!(fault, RunError::ListenerPanicked { .. }), "{what}");
        assert_eq!(fault.to_string(), "the progress listener panicked: meant:5");
        assert_eq!(calls.swap(0, SeqCst), 1, "{what}: it is not called again");
        drops.assert_each_once(&what);
        let ran = AtomicUsize::new(0);
        let run = pool.over(0..LEN).chunking(chunking).progress(listener);
        let error = run.map(|i| {
            ran.fetch_add(1, SeqCst);
            spin(500 * MICRO);
            i
        });
        let error = error.unwrap_err();
        assert!(
            matches!(error, RunError::ListenerPanicked { .. }),
            "{what}: {error}"
        );
        assert_eq!(error.index(), None);
        assert_eq!(calls.swap(0, SeqCst), 1, "{what}");
        if pool.num_workers() <= 2 {
            // After 50 ms of 100 or of 50.
            assert!(ran.into_inner() <= LEN, "{what}");
        }
        let run = pool.over(0..LEN).chunking(chunking).progress(listener);
        let error = run.map_reduce(
            |i| {
                spin(500 * MICRO);
                i
            },
            || 0,
            |a, b| a + b,
        );
        assert!(
            matches!(error, Err(RunError::ListenerPanicked { .. })),
            "{what}"
        );
        // One that panics at the end alone: it is told as well.
        let run = pool.over(0..LEN).chunking(chunking);
        let run = run.progress(|p| {
            if p.finished == p.total {
                fail(6)
            }
        });
        let all = run.outcomes(|i| Ok::<_, ()>(i));
        assert_eq!(message(&all.fault.expect(what)), 6, "{what}");
        let run = pool.over(0..LEN).chunking(chunking);
        let run = run.progress(|p| {
            if p.finished == p.total {
                fail(6)
            }
        });
        assert_eq!(message(&run.map(|i| i).unwrap_err()), 6, "{what}");
    });
}

#[test]
fn a_hint_that_panics_is_told_with_its_item() {
    for_each_setting(|pool, chunking, what| {
        let hint = |i: usize| if i == 33 { fail(i) } else { i as f64 };
        let ran = AtomicUsize::new(0);
        let run = || pool.over(0..LEN).chunking(chunking).cost_hint(hint);
        let count = |i: usize| {
            ran.fetch_add(1, SeqCst);
            i
        };
        let error = run().map(count).unwrap_err();
        assert!(
            matches!(error, RunError::HintPanicked { index: 33, .. }),
            "{what}"
        );
        assert_eq!((error.index(), message(&error)), (Some(33), 33));
        let error = run().map_reduce(count, || 0, |a, b| a + b).unwrap_err();
        assert!(
            matches!(error, RunError::HintPanicked { index: 33, .. }),
            "{what}"
        );
        assert_eq!(ran.swap(0, SeqCst), 0, "{what}: nothing is run");
        let order = Mutex::new(Vec::new());
        let all = run().outcomes(|i| {
            order.lock().unwrap().push(i);
            Ok::<_, ()>(i)
        });
        assert!(all.items.iter().all(Outcome::is_done), "{what}");
        let fault = all.fault.expect(what);
        assert!(
            matches!(fault, RunError::HintPanicked { index: 33, .. }),
            "{what}"
        );
        if pool.num_workers() == 1 {
            assert!(order.into_inner().unwrap().into_iter().eq(0..LEN), "{what}");
        }
    });
}

#[test]
fn a_source_that_cannot_be_used_is_told() {
    quiet();
    let pool = started(2);
    let array = ndarray::arr0(1.0).into_dyn();
    let too_long = || pool.over(0..=u64::MAX);
    let error = too_long().map(|i| i).unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    assert!(
        error.to_string().contains("`usize::MAX` integers"),
        "{error}"
    );
    assert!(error.is_panic() && error.index().is_none());
    let error = too_long()
        .worker_state(|_| ())
        .for_each(|(), _| ())
        .unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    let error = too_long()
        .map_reduce(|i| i, || 0, |a, b| a + b)
        .unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    let error = too_long().reduce(|| 0, |a, b| a + b).unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    let all = too_long().outcomes(|i| Ok::<_, ()>(i));
    assert!(all.items.is_empty() && all.report.total == 0);
    assert!(matches!(all.fault, Some(RunError::SourcePanicked { .. })));
    let error = pool.over(&array).map(|view| view.len()).unwrap_err();
    assert!(
        error.to_string().contains("without any dimension"),
        "{error}"
    );
    // More items than can be counted, and more results than can be stored.
    let error = pool.over(0..usize::MAX).for_each(|_| ()).unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    let error = pool.over(0..usize::MAX / 4).map(|i| i).unwrap_err();
    assert!(matches!(error, RunError::SourcePanicked { .. }));
    let error = pool
        .over(0..usize::MAX / 4)
        .cost_hint(|_| 1.0)
        .for_each(|_| ());
    assert!(matches!(error, Err(RunError::SourcePanicked { .. })));
    // The short forms re-raise.
    let raised = catch_unwind(AssertUnwindSafe(|| {
        pool.par_for_each_chunked(0..=u64::MAX, Chunking::auto(), |_| ())
    }));
    assert!(raised.is_err());
}

#[test]
fn an_operation_and_an_identity_that_panic_are_told() {
    for_each_setting(|pool, chunking, what| {
        let op = |a: usize, b: usize| {
            spin(MICRO);
            if a == 50 || b == 50 {
                fail(8)
            } else {
                a.max(b)
            }
        };
        let error = pool
            .over(0..LEN)
            .chunking(chunking)
            .reduce(|| 0, op)
            .unwrap_err();
        assert!(
            matches!(error, RunError::OpPanicked { .. }),
            "{what}: {error}"
        );
        assert_eq!((error.index(), message(&error)), (None, 8));
        let run = pool
            .over(0..LEN)
            .chunking(chunking)
            .worker_state(|_| Rc::new(1));
        let error = run.map_reduce(|one, i| i * **one, || 0, op).unwrap_err();
        assert!(
            matches!(error, RunError::OpPanicked { .. }),
            "{what}: {error}"
        );
        let empty = pool.over(0..0).chunking(chunking);
        let error = empty.reduce(|| fail(9), |a: i32, _| a).unwrap_err();
        assert!(
            matches!(error, RunError::IdentityPanicked { .. }),
            "{what}: {error}"
        );
        assert_eq!((error.index(), message(&error)), (None, 9));
        let raised = common::meant_panic_in(|| {
            let op = |a: usize, b: usize| {
                if a == 50 || b == 50 {
                    panic_any(Meant(8))
                } else {
                    a.max(b)
                }
            };
            pool.par_reduce_chunked(0..LEN, chunking, || 0, op);
        });
        assert_eq!(raised, Some(8), "{what}");
    });
}

/// Results that are dropped after a panic, and items that are not run, and both panic: the first panic is
/// what the caller gets, and everything is dropped once. With the drop of a slice, or while the first panic
/// unwinds, that would end the process.
#[test]
fn drops_that_panic_after_another_panic_end_there() {
    for_each_setting(|pool, chunking, what| {
        for armed in [0, 1, 3, LEN] {
            let is_armed = |i: usize| i % 10 < armed;
            let (items, results) = (Drops::new(LEN), Drops::new(LEN));
            let made = AtomicUsize::new(0);
            let f = |mut item: Touchy| {
                spin(5 * MICRO);
                item.1 = false;
                let index = item.0.index;
                if index == 95 {
                    panic_any(Meant(index));
                }
                made.fetch_add(1, SeqCst);
                Touchy(results.counted(index), is_armed(index))
            };
            let raised = common::meant_panic_in(|| {
                pool.par_map_chunked(touchy(&items, is_armed), chunking, f)
                    .into_iter()
                    .for_each(std::mem::forget);
            });
            assert_eq!(raised, Some(95), "{what}, {armed} armed");
            items.assert_each_once(&what);
            let dropped: usize = (0..LEN).map(|i| results.of(i)).sum();
            assert_eq!(dropped, made.into_inner(), "{what}: results");
        }
    });
}

#[test]
fn drops_that_panic_after_a_run_of_the_long_form_end_there() {
    for_each_setting(|pool, chunking, what| {
        for (hows, armed) in [0, 1, 2].into_iter().flat_map(|how| [(how, 1), (how, LEN)]) {
            let is_armed = |i: usize| i % 10 < armed;
            let (items, results) = (Drops::new(LEN), Drops::new(LEN));
            let made = AtomicUsize::new(0);
            let token = CancelToken::new();
            let run = pool.over(touchy(&items, is_armed)).chunking(chunking);
            let result = run.cancel_on(&token).try_map(|mut item| {
                spin(5 * MICRO);
                item.1 = false;
                let index = item.0.index;
                if index == 95 {
                    match hows {
                        0 => panic_any(Meant(index)),
                        1 => return Err(Touchy(results.counted(index), false)),
                        _ => token.cancel(),
                    }
                }
                made.fetch_add(1, SeqCst);
                Ok(Touchy(results.counted(index), is_armed(index)))
            });
            let Err(error) = result else {
                panic!("{what}: it ended well");
            };
            match hows {
                0 => assert!(
                    matches!(error, RunError::Panicked { index: 95, .. }),
                    "{what}"
                ),
                1 => assert!(
                    matches!(error, RunError::Failed { index: 95, .. }),
                    "{what}"
                ),
                _ => assert!(error.is_cancelled(), "{what}"),
            }
            drop(error);
            items.assert_each_once(&what);
            let dropped: usize = (0..LEN).map(|i| results.of(i)).sum();
            let made = made.into_inner() + usize::from(hows == 1);
            assert_eq!(dropped, made, "{what}: results");
        }
        // Everything is kept that was finished, and what was not is named.
        let items = Drops::new(LEN);
        let token = CancelToken::new();
        let run = pool.over(touchy(&items, |_| true)).chunking(chunking);
        let all = run.cancel_on(&token).outcomes(|mut item| {
            item.1 = false;
            if item.0.index == 20 {
                token.cancel();
            }
            spin(5 * MICRO);
            Ok::<_, ()>(item.0.index)
        });
        assert!(all.items[20].is_done(), "{what}");
        let all_ran = all.not_run().next().is_none();
        match &all.fault {
            Some(fault) => assert!(fault.is_cancelled() && !all_ran, "{what}"),
            None => assert!(all_ran, "{what}"),
        }
        items.assert_each_once(&what);
    });
}

#[test]
fn drops_that_panic_in_a_reduction_that_panics_end_there() {
    for_each_setting(|pool, chunking, what| {
        for long in [false, true] {
            let results = Drops::new(LEN);
            let made = AtomicUsize::new(0);
            let map = |i: usize| {
                spin(5 * MICRO);
                if i == 95 {
                    panic_any(Meant(i));
                }
                made.fetch_add(1, SeqCst);
                Touchy(results.counted(i), true)
            };
            // Of two results one goes on: nothing is dropped but what is left over.
            let op = |a: Touchy, mut b: Touchy| {
                b.1 = false;
                drop(b);
                a
            };
            let none = || unreachable!("there are items");
            if long {
                let run = pool.over(0..LEN).chunking(chunking);
                let error = run.map_reduce(map, none, op).unwrap_err();
                assert_eq!(error.index(), Some(95), "{what}");
            } else {
                let raised = common::meant_panic_in(|| {
                    drop(pool.par_map_reduce_chunked(0..LEN, chunking, map, none, op));
                });
                assert_eq!(raised, Some(95), "{what}");
            }
            let dropped: usize = (0..LEN).map(|i| results.of(i)).sum();
            assert_eq!(dropped, made.into_inner(), "{what}, {long}: results");
        }
    });
}

/// An error that loses against one with a lower index, and panics when it is dropped.
#[test]
fn an_error_that_loses_and_panics_does_not_win() {
    quiet();
    let mut lost = 0;
    for long in [false, true] {
        for _ in 0..20 {
            let pool = started(2);
            let errors = Drops::new(LEN);
            let high_failed = AtomicBool::new(false);
            let f = |i: usize| {
                spin(50 * MICRO);
                match i {
                    60 => {
                        let began = std::time::Instant::now();
                        while !high_failed.load(SeqCst) && began.elapsed() < 5_000 * MICRO {
                            std::hint::spin_loop();
                        }
                        spin(20 * MICRO);
                        Err(Touchy(errors.counted(60), false))
                    }
                    61 => {
                        high_failed.store(true, SeqCst);
                        Err(Touchy(errors.counted(61), true))
                    }
                    i => Ok(i),
                }
            };
            let error = if long {
                match pool.over(0..LEN).chunking(1).try_map(f).unwrap_err() {
                    RunError::Failed { index, error } => {
                        assert_eq!(index, error.0.index);
                        error
                    }
                    error => panic!("{error}"),
                }
            } else {
                pool.par_try_map_chunked(0..LEN, 1, f).unwrap_err()
            };
            assert_eq!(error.0.index, 60);
            lost += usize::from(high_failed.into_inner());
        }
    }
    assert!(lost > 0, "no error ever lost");
}

/// What the caller passes is dropped on its thread, when all work has ended: a panic of that is the
/// caller's, as with any function.
#[test]
fn a_closure_that_panics_when_it_is_dropped_panics_on_the_caller_s_thread() {
    quiet();
    let pool = started(2);
    let caller = thread::current().id();
    let results = Drops::new(LEN);
    let raised = catch_unwind(AssertUnwindSafe(|| {
        struct OnCaller(ThreadId);
        impl Drop for OnCaller {
            fn drop(&mut self) {
                assert_eq!(self.0, thread::current().id());
                panic_any(Meant(1))
            }
        }
        let own = OnCaller(caller);
        let _ = pool.over(0..LEN).map(|i| {
            let _ = &own;
            results.counted(i)
        });
    }));
    assert_eq!(raised.unwrap_err().downcast_ref(), Some(&Meant(1)));
    results.assert_each_once(&"results");
}
