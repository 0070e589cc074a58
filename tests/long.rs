//! The long form: every option, alone and with others, and what is kept when something fails.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::HashSet;
use std::panic::panic_any;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use common::{quiet, spin, started};
use scipar::{CancelToken, Chunking, Outcome, Parallel, Pool, RunError};

const MICRO: Duration = Duration::from_micros(1);

/// An item that counts how often it is dropped.
struct Counted<'a>(usize, &'a [AtomicUsize]);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1[self.0].fetch_add(1, SeqCst);
    }
}

fn counters(len: usize) -> Vec<AtomicUsize> {
    (0..len).map(|_| AtomicUsize::new(0)).collect()
}

#[test]
fn results_are_those_of_a_plain_loop_whatever_the_options() {
    for workers in [1, 2, 7] {
        let pool = started(workers);
        for chunking in [
            Chunking::auto(),
            Chunking::size(3),
            Chunking::count(5),
            Chunking::serial(),
        ] {
            for len in [0, 1, 2, 97, 5_000] {
                let want: Vec<usize> = (0..len).map(|i| i * i).collect();
                let plain = pool.over(0..len).chunking(chunking).map(|i| i * i).unwrap();
                assert_eq!(plain, want, "{workers} {chunking} {len}");
                let all = pool
                    .over(0..len)
                    .chunking(chunking)
                    .max_workers(3)
                    .cancel_on(&CancelToken::new())
                    .deadline(Duration::from_secs(100))
                    .progress(|_| ())
                    .cost_hint(|i| (i % 7) as f64)
                    .worker_state(|worker| worker)
                    .map(|_, i| i * i)
                    .unwrap();
                assert_eq!(all, want, "{workers} {chunking} {len}");
            }
        }
    }
    assert_eq!(
        Parallel::over(&[1, 2, 3]).map(|x| x + 1).unwrap(),
        [2, 3, 4]
    );
}

#[test]
fn the_lowest_failing_index_is_reported_as_error_or_as_panic() {
    quiet();
    let pool = started(2);
    for chunking in [Chunking::auto(), Chunking::size(1), Chunking::serial()] {
        let failed = pool.over(0..500).chunking(chunking).try_map(|i| {
            spin(5 * MICRO);
            if i % 100 == 77 {
                Err(format!("no {i}"))
            } else {
                Ok(i)
            }
        });
        let error = failed.unwrap_err();
        assert_eq!(error.index(), Some(77));
        assert_eq!(error.to_string(), "item 77 failed");
        assert_eq!(
            std::error::Error::source(&RunError::Failed {
                index: 1,
                error: std::fmt::Error
            })
            .unwrap()
            .to_string(),
            std::fmt::Error.to_string()
        );
        let panicked = pool.over(0..500).chunking(chunking).map(|i| {
            spin(5 * MICRO);
            assert!(i % 100 != 77, "item {i} is wrong");
        });
        let error = panicked.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "item 77 panicked: item 77 is wrong");
    }
}

#[test]
fn a_cancel_is_seen_within_an_item_and_loses_no_finished_one() {
    let pool = started(2);
    let token = CancelToken::new();
    let cancelled_at = Mutex::new(None);
    let items = counters(100_000);
    let source: Vec<Counted> = (0..items.len()).map(|i| Counted(i, &items)).collect();
    let run = pool.over(source).cancel_on(&token).outcomes(|item| {
        spin(20 * MICRO);
        if item.0 == 300 {
            *cancelled_at.lock().unwrap() = Some(Instant::now());
            token.cancel();
        }
        Ok::<_, ()>(item.0)
    });
    let late = cancelled_at.lock().unwrap().unwrap().elapsed();
    assert!(late < Duration::from_secs(1), "{late:?}");
    let done: Vec<usize> = run
        .items
        .iter()
        .enumerate()
        .filter(|(_, o)| o.is_done())
        .map(|(i, _)| i)
        .collect();
    let not_run: Vec<usize> = run.not_run().collect();
    assert!(done.contains(&300) && done.len() < 5_000, "{}", done.len());
    assert_eq!(done.len() + not_run.len(), items.len());
    assert_eq!(run.report.finished, done.len());
    assert!(
        items.iter().all(|n| n.load(SeqCst) == 1),
        "every item is dropped once"
    );
    let error = pool.over(0..10).cancel_on(&token).map(|i| i).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.to_string(), "cancelled after 0 of 10 items");
}

#[test]
fn a_deadline_ends_the_run_within_an_item_on_any_number_of_workers() {
    const LEN: usize = 20_000;
    for workers in [1, 2] {
        let pool = started(workers);
        // A site that is known to be cheap, and then is not.
        for cost in [Duration::ZERO, 300 * MICRO] {
            let time = if cost.is_zero() {
                Duration::from_secs(300)
            } else {
                Duration::from_millis(30)
            };
            let began = Instant::now();
            let run = pool.over(0..LEN).deadline(time).outcomes(|i| {
                spin(cost);
                Ok::<_, ()>(i)
            });
            let finished = run.report.finished;
            assert_eq!(run.items.iter().filter(|o| o.is_done()).count(), finished);
            assert_eq!(run.not_run().count(), LEN - finished);
            if cost.is_zero() {
                assert_eq!(finished, LEN);
            } else {
                // All of it would take three seconds on two workers, and six on one.
                assert!(
                    began.elapsed() < Duration::from_secs(2),
                    "{:?}",
                    began.elapsed()
                );
                assert!(finished > 0 && finished < LEN / 2, "{finished}");
            }
        }
        let error = pool
            .over(0..10)
            .deadline(Duration::ZERO)
            .map(|i| i)
            .unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        assert!(pool.over(0..10).deadline(Duration::MAX).map(|i| i).is_ok());
    }
}

#[test]
fn progress_counts_finished_items_up_to_the_last() {
    let pool = started(2);
    let seen = Mutex::new(Vec::new());
    let inside = AtomicBool::new(false);
    pool.over(0..400)
        .progress(|p| {
            assert!(!inside.swap(true, SeqCst), "called twice at once");
            seen.lock().unwrap().push((p.finished, p.total));
            inside.store(false, SeqCst);
        })
        .for_each(|_| spin(500 * MICRO))
        .unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.last(), Some(&(400, 400)));
    assert!(seen.windows(2).all(|w| w[0].0 <= w[1].0), "{seen:?}");
    assert!(seen.len() < 40, "rate-limited: {}", seen.len());
}

/// A promise of time: it counts items within chunks too, on any number of workers.
#[test]
fn progress_is_told_by_time_whatever_the_chunks() {
    const LEN: usize = 3_000;
    // Cheap items first, so that the looks at the clock are far apart when the dear ones come.
    const CHEAP: usize = 20_000;
    let slow = |i: usize| {
        if i >= CHEAP {
            spin(100 * MICRO);
        }
        i
    };
    for (workers, chunking) in [
        (1, Chunking::auto()),
        (1, Chunking::size(usize::MAX)),
        (2, Chunking::serial()),
        (2, Chunking::count(2)),
        (2, Chunking::size(10_000)),
        (2, Chunking::auto()),
    ] {
        let pool = started(workers);
        for how in ["map", "outcomes", "hint", "reduce", "reduce with a hint"] {
            let told = Mutex::new(vec![(0, Duration::ZERO)]);
            let began = Instant::now();
            let run = pool.over(0..CHEAP + LEN).chunking(chunking).progress(|p| {
                assert_eq!(p.total, CHEAP + LEN);
                told.lock().unwrap().push((p.finished, p.elapsed));
            });
            match how {
                "map" => drop(run.map(slow).unwrap()),
                "outcomes" => drop(run.outcomes(|i| Ok::<_, ()>(slow(i)))),
                "hint" => drop(run.cost_hint(|i| i as f64).map(slow).unwrap()),
                "reduce" => _ = run.map_reduce(slow, || 0, usize::max).unwrap(),
                _ => {
                    let run = run.cost_hint(|i| i as f64);
                    let most = run.map_reduce(slow, || 0, usize::max);
                    assert_eq!(most.unwrap(), CHEAP + LEN - 1);
                }
            }
            let took = began.elapsed();
            let what = format!("{how}, {workers} workers, {chunking}, {took:?}");
            let told = told.into_inner().unwrap();
            assert_eq!(told.last().unwrap().0, CHEAP + LEN, "{what}: the end");
            assert!(
                told.is_sorted_by(|a, b| a.0 < b.0 || a.0 == 0),
                "{what}: {told:?}"
            );
            // 150 ms or 300 ms of work; where other programs take the processor away for long, fewer.
            let least = (took.as_millis() / 150) as usize;
            assert!(told.len() > least.max(1), "{what}: {told:?}");
            let most = (took.as_millis() / 50) as usize + 2;
            assert!(told.len() <= most + 1, "{what}: {told:?}");
        }
    }
}

#[test]
fn a_state_is_made_once_per_worker_that_takes_part_and_handed_back() {
    let pool = started(3);
    for work in [Duration::ZERO, 20 * MICRO] {
        let made = Mutex::new(Vec::new());
        let (results, counts) = pool
            .over(0..2_000)
            .worker_state(|worker| {
                made.lock().unwrap().push((worker, thread::current().id()));
                0_usize
            })
            .map_and_states(|count, i| {
                spin(work);
                *count += 1;
                i
            })
            .unwrap();
        assert!(results.into_iter().eq(0..2_000));
        assert_eq!(counts.iter().sum::<usize>(), 2_000);
        let made = made.into_inner().unwrap();
        assert_eq!(counts.len(), made.len());
        assert!(made.len() <= 3);
        let workers: HashSet<_> = made.iter().map(|(worker, _)| worker).collect();
        let threads: HashSet<_> = made.iter().map(|(_, thread)| thread).collect();
        assert_eq!((workers.len(), threads.len()), (made.len(), made.len()));
    }
}

#[test]
fn a_panic_in_making_a_state_is_an_error_and_drops_every_item_once() {
    quiet();
    let pool = started(2);
    let items = counters(300);
    let source: Vec<Counted> = (0..300).map(|i| Counted(i, &items)).collect();
    let error = pool
        .over(source)
        .worker_state(|_| -> usize { panic_any("no state") })
        .map(|_, item| item.0)
        .unwrap_err();
    assert!(error.is_panic());
    assert!(items.iter().all(|n| n.load(SeqCst) == 1));
}

/// Results that own memory are there when a helper's state cannot be made: the helper's items have no
/// results, and nothing is dropped in their places.
#[test]
fn a_panic_in_making_a_state_leaves_places_without_results() {
    quiet();
    let mut helped = 0;
    for round in 0..20 {
        let pool = started(2);
        let drops = common::Drops::new(300);
        let by_helper = AtomicBool::new(false);
        let run = pool.over(drops.all()).chunking(Chunking::size(1));
        let error = run
            .worker_state(|worker| {
                if worker > 0 || round == 0 {
                    by_helper.store(worker > 0, SeqCst);
                    panic_any("no state");
                }
            })
            .map(|(), item: common::Counted| {
                spin(50 * MICRO);
                item
            });
        helped += usize::from(by_helper.into_inner());
        assert_eq!(
            error.is_err(),
            round == 0 || error.as_ref().is_err_and(RunError::is_panic)
        );
        drop(error);
        drops.assert_each_once(&format!("round {round}"));
    }
    assert!(helped > 0, "no helper ever came");
}

/// A listener on a thread of the pool that uses rayon takes up a helper's part of its own run, and
/// finishes the last item on top of itself: it waits for no other thread, and the end is told once.
#[test]
fn a_listener_may_use_rayon_and_the_pool() {
    common::watched("a_listener_may_use_rayon_and_the_pool", || {
        let pool = started(2);
        let mut on_top = 0;
        for round in 0..10 {
            // The other thread is busy, so that the call for help is there to be taken up.
            let over = std::sync::Arc::new(AtomicBool::new(round == 0));
            let other = std::sync::Arc::clone(&over);
            let busy = pool.spawn(move || {
                while !other.load(SeqCst) {
                    thread::yield_now();
                }
            });
            let told = Mutex::new(Vec::new());
            let inside = AtomicUsize::new(0);
            let result = pool.install(|| {
                let run = pool.over(0..200_usize).chunking(Chunking::size(1));
                let run = run.progress(|p| {
                    inside.fetch_add(1, SeqCst);
                    rayon::scope(|scope| scope.spawn(|_| spin(100 * MICRO)));
                    while let Some(rayon::Yield::Executed) = rayon::yield_now() {}
                    rayon::join(|| spin(200 * MICRO), || spin(200 * MICRO));
                    pool.par_for_each_chunked(0..20, 1, |_| spin(10 * MICRO));
                    let nested = pool.over(0..20).progress(|_| ()).map(|i| i);
                    assert!(nested.unwrap().into_iter().eq(0..20));
                    told.lock().unwrap().push(p.finished);
                    inside.fetch_sub(1, SeqCst);
                });
                let caller = thread::current().id();
                run.worker_state(|worker| worker).map(|worker, i| {
                    let by_caller = thread::current().id() == caller;
                    if *worker > 0 && by_caller && inside.load(SeqCst) > 0 {
                        ON_TOP.fetch_add(1, SeqCst);
                    }
                    spin(1_000 * MICRO);
                    i
                })
            });
            over.store(true, SeqCst);
            busy.join().unwrap();
            assert!(result.unwrap().unwrap().into_iter().eq(0..200));
            let told = told.into_inner().unwrap();
            assert_eq!(told.iter().filter(|n| **n == 200).count(), 1, "{told:?}");
            assert_eq!(told.last(), Some(&200));
            on_top += ON_TOP.swap(0, SeqCst);
        }
        assert!(
            on_top > 0,
            "no helper's part was ever taken up by a listener"
        );
    });
}

static ON_TOP: AtomicUsize = AtomicUsize::new(0);

/// Seconds of a few calls of the same place.
fn seconds(call: impl Fn()) -> Vec<f64> {
    let timed = |_| {
        let began = Instant::now();
        call();
        began.elapsed().as_secs_f64()
    };
    (0..4).map(timed).collect()
}

/// What a run that stopped early teaches is the cost of the items that it came to; and no worker goes
/// on with what lies behind a failure.
#[test]
fn a_run_that_stops_early_is_no_slower_the_next_time() {
    let pool = started(2);
    let milli = 1_000 * MICRO;
    let fails = |i: usize| {
        spin(milli);
        if i == 40 { Err(i) } else { Ok(i) }
    };
    for chunking in [
        Chunking::auto(),
        Chunking::size(16),
        Chunking::size(65_536),
        Chunking::count(2),
    ] {
        let short = seconds(|| {
            assert!(
                pool.par_try_map_chunked(0..100_000_usize, chunking, fails)
                    .is_err()
            )
        });
        let long = seconds(|| {
            let run = pool
                .over(0..100_000_usize)
                .chunking(chunking)
                .try_map(fails);
            assert_eq!(run.unwrap_err().index(), Some(40));
        });
        let hinted = seconds(|| {
            let run = pool
                .over(0..1_000_usize)
                .chunking(chunking)
                .cost_hint(|_| 1.0);
            assert_eq!(run.try_map(fails).unwrap_err().index(), Some(40));
        });
        let panics = seconds(|| {
            let run = pool.over(0..100_000_usize).chunking(chunking);
            run.map(|i| fails(i).map_err(|i| panic_any(common::Meant(i))))
                .unwrap_err();
        });
        quiet();
        let map = seconds(|| {
            let index = common::meant_panic_in(|| {
                pool.par_for_each_chunked(0..100_000_usize, chunking, |i| {
                    if fails(i).is_err() {
                        panic_any(common::Meant(i));
                    }
                });
            });
            assert_eq!(index, Some(40));
        });
        for (what, times) in [
            ("try", short),
            ("long", long),
            ("hint", hinted),
            ("panic", panics),
            ("map", map),
        ] {
            // 41 ms of work; a helper that cannot be stopped needs 65 s, one that is taught wrongly more
            // with each call.
            assert!(
                times.iter().all(|s| *s < 0.5),
                "{what}, {chunking}: {times:?}"
            );
        }
    }
    // Cheap items without end: the error is 20 million items ahead.
    let cheap = seconds(|| {
        let run = pool.par_try_map_chunked(0..1_u64 << 48, Chunking::auto(), |i| match i {
            2_000_000 => Err(i),
            _ => Ok(()),
        });
        assert_eq!(run, Err(2_000_000));
    });
    let first = cheap[0];
    assert!(cheap.iter().all(|s| *s < 5.0 * first + 0.2), "{cheap:?}");
}

#[test]
fn a_cost_hint_has_the_dear_items_begun_first_and_keeps_the_order_of_results() {
    let order = Mutex::new(Vec::new());
    let results = Pool::new(1)
        .over(&[3.0, f64::NAN, 9.0, 3.0, 7.0])
        .cost_hint(|cost| *cost)
        .map(|cost| {
            order.lock().unwrap().push(cost.to_string());
            cost.to_string()
        })
        .unwrap();
    assert_eq!(order.into_inner().unwrap(), ["9", "7", "3", "3", "NaN"]);
    assert_eq!(results, ["3", "NaN", "9", "3", "7"]);
}

#[test]
fn a_run_with_a_hint_that_stops_early_keeps_and_names_the_right_items() {
    quiet();
    for workers in [1, 2] {
        let pool = started(workers);
        let results = counters(200);
        let token = CancelToken::new();
        let run = pool
            .over(0..200_usize)
            .cost_hint(|i| i as f64)
            .cancel_on(&token)
            .outcomes(|i| {
                spin(20 * MICRO);
                if i == 150 {
                    token.cancel();
                }
                if i == 190 {
                    panic_any("meant");
                }
                Ok::<_, ()>(Counted(i, &results))
            });
        for (i, outcome) in run.items.iter().enumerate() {
            match outcome {
                Outcome::Done(result) => assert_eq!(result.0, i),
                Outcome::Panicked(panic) => assert_eq!((i, panic.message()), (190, Some("meant"))),
                // Alone, the dear ones are all done by then; a second worker may have been interrupted over any of them.
                Outcome::NotRun => assert!(i < 150 || workers > 1, "{i} was not run"),
                Outcome::Failed(()) => unreachable!(),
            }
        }
        assert!(run.items[199].is_done() && run.items[0].is_not_run());
        drop(run);
        assert!(
            results.iter().all(|n| n.load(SeqCst) <= 1),
            "no result is dropped twice"
        );
        // The same with a panic that ends the run: results are dropped, once each.
        let results = counters(200);
        let made = AtomicUsize::new(0);
        let error = pool.over(0..200_usize).cost_hint(|i| i as f64).map(|i| {
            spin(20 * MICRO);
            if i == 100 {
                panic_any("meant");
            }
            made.fetch_add(1, SeqCst);
            Counted(i, &results)
        });
        assert_eq!(error.err().unwrap().index(), Some(100));
        assert_eq!(
            results.iter().map(|n| n.load(SeqCst)).sum::<usize>(),
            made.into_inner()
        );
    }
}

#[test]
fn no_more_workers_take_part_than_allowed() {
    let pool = started(4);
    for max in [1, 2] {
        let threads = Mutex::new(HashSet::new());
        pool.over(0..2_000)
            .max_workers(max)
            .for_each(|_| {
                spin(10 * MICRO);
                threads.lock().unwrap().insert(thread::current().id());
            })
            .unwrap();
        assert!(threads.into_inner().unwrap().len() <= max);
    }
}

#[test]
fn a_report_says_what_the_run_was_worth() {
    let pool = started(2);
    let run = pool.over(0..200).outcomes(|i| {
        spin(if i == 123 { 3_000 * MICRO } else { 20 * MICRO });
        if i == 7 { Err(i) } else { Ok(i) }
    });
    let report = run.report;
    assert!(matches!(run.items[7], Outcome::Failed(7)));
    assert_eq!(
        (report.finished, report.total, report.max_workers),
        (200, 200, 2)
    );
    assert_eq!(report.longest.len(), 5);
    assert!(
        report.longest.iter().any(|(index, _)| *index == 123),
        "{:?}",
        report.longest
    );
    assert!(report.serial_estimate >= Duration::from_micros(199 * 20 + 3_000));
    assert!(report.imbalance >= 1.0 && report.chunks > 0 && report.speed_up() > 0.0);
    assert!(report.to_string().contains("200 of 200 items"));
}

/// Everything at once, over and over: panics, errors, cancels, deadlines, hints, states, nested runs.
#[test]
fn random_runs_lose_nothing_and_drop_everything_once() {
    quiet();
    let pool = started(3);
    let mut random = 12_345_u64;
    let mut draw = |n: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    for round in 0..300 {
        let len = draw(200) as usize;
        let (bad, kind) = (draw(400) as usize, draw(4));
        let cost = Duration::from_nanos(draw(30_000));
        let items = counters(len);
        let results = counters(len);
        let made = AtomicUsize::new(0);
        let token = CancelToken::new();
        let chunking = [
            Chunking::auto(),
            Chunking::size(4),
            Chunking::count(3),
            Chunking::serial(),
        ][draw(4) as usize];
        let source: Vec<Counted> = (0..len).map(|i| Counted(i, &items)).collect();
        let run = pool
            .over(source)
            .chunking(chunking)
            .cancel_on(&token)
            .deadline(Duration::from_micros(if draw(4) == 0 {
                draw(2_000)
            } else {
                10_000_000
            }))
            .worker_state(|_| 0)
            .try_map(|calls, item| {
                *calls += 1;
                spin(cost);
                let i = item.0;
                if i == bad {
                    match kind {
                        0 => panic_any("meant"),
                        1 => return Err(i),
                        2 => token.cancel(),
                        _ => assert_eq!(pool.over(0..50).map(|x| x + 1).unwrap().len(), 50),
                    }
                }
                made.fetch_add(1, SeqCst);
                Ok(Counted(i, &results))
            });
        match &run {
            Ok(all) => assert!(all.iter().enumerate().all(|(i, r)| r.0 == i) && all.len() == len),
            Err(error) if error.is_panic() => assert!(kind == 0 && error.index() == Some(bad)),
            Err(RunError::Failed { index, error }) => {
                assert!(kind == 1 && *index == bad && *error == bad)
            }
            Err(error) if error.is_cancelled() => assert_eq!(kind, 2),
            Err(error) => assert!(error.is_deadline_exceeded()),
        }
        drop(run);
        assert!(
            items.iter().all(|n| n.load(SeqCst) == 1),
            "round {round}: items"
        );
        let dropped: usize = results.iter().map(|n| n.load(SeqCst)).sum();
        assert_eq!(dropped, made.into_inner(), "round {round}: results");
    }
}

/// Cheap items are handed out many at a time; what a chunk has not come to when it unwinds was never made.
#[test]
fn a_panic_in_the_middle_of_a_chunk_with_a_hint_drops_what_was_made_and_nothing_else() {
    quiet();
    for workers in [1, 2] {
        let pool = started(workers);
        for round in 0..100 {
            let results = counters(500);
            let made = AtomicUsize::new(0);
            let fails = |i| round > 20 && i == 250;
            let run = pool.over(0..500_usize).cost_hint(|i| i as f64).map(|i| {
                if fails(i) {
                    panic_any("meant");
                }
                made.fetch_add(1, SeqCst);
                Counted(i, &results)
            });
            assert_eq!(run.is_err(), fails(250));
            drop(run);
            let dropped: usize = results.iter().map(|n| n.load(SeqCst)).sum();
            assert_eq!(dropped, made.into_inner());
        }
    }
}
