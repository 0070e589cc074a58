use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(5))
}

#[test]
fn without_tasks_there_is_nothing_to_wait_for() {
    let tally = Tally::new();
    for _ in 0..5 {
        assert!(tally.wait(None));
        assert!(tally.wait(Some(Instant::now())));
    }
    tally.wait_empty();
    assert!(tally.close(), "it says so once");
    assert!(!tally.tell());
}

#[test]
fn a_wait_lasts_until_the_task_is_over_whoever_counts_it() {
    for (giver, runner) in [(OUTSIDE, 0), (0, 1), (3, OUTSIDE), (2, 2)] {
        let tally = Tally::new();
        let shift = tally.begin(giver, None);
        assert!(!tally.wait(soon()), "a task is open");
        assert!(!tally.end(runner, shift), "no thread waits any more");
        assert!(tally.wait(soon()));
    }
}

/// Tasks given after the call are not waited for; those that an earlier task gives are.
#[test]
fn a_wait_is_for_what_came_before_and_what_that_gave() {
    let tally = Arc::new(Tally::new());
    let first = tally.begin(OUTSIDE, None);
    assert!(!tally.wait(soon())); // the shift has changed
    let later = tally.begin(OUTSIDE, None);
    let given = tally.begin(0, Some(first));
    assert_eq!((given, later), (first, 1 - first));
    let over = Arc::new(AtomicBool::new(false));
    let waiter = std::thread::spawn({
        let (tally, over) = (tally.clone(), over.clone());
        move || {
            assert!(tally.wait(None));
            assert!(over.load(Ordering::SeqCst), "before the end");
        }
    });
    while tally.watchers.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(tally.end(1, first), "a thread waits");
    tally.tell();
    tally.end(1, given);
    tally.tell();
    // The waiter came after `later` was given, so it waits for that, too.
    over.store(true, Ordering::SeqCst);
    tally.end(2, later);
    tally.tell();
    waiter.join().unwrap();
}

#[test]
fn a_wait_ends_though_tasks_are_given_without_end() {
    let tally = Tally::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut open = tally.begin(OUTSIDE, None);
            while !stop.load(Ordering::SeqCst) {
                let next = tally.begin(OUTSIDE, None);
                if tally.end(0, std::mem::replace(&mut open, next)) {
                    tally.tell();
                }
            }
            tally.end(0, open);
        });
        let ended = tally.wait(Some(Instant::now() + Duration::from_secs(20)));
        stop.store(true, Ordering::SeqCst);
        assert!(ended);
    });
}

#[test]
fn the_last_end_after_the_closing_says_so() {
    let tally = Tally::new();
    let (first, second) = (tally.begin(0, None), tally.begin(1, None));
    assert!(!tally.close());
    assert!(tally.end(OUTSIDE, first) && !tally.tell());
    assert!(tally.end(OUTSIDE, second) && tally.tell());
    assert!(!tally.tell(), "once");
    assert_eq!(tally.watchers.load(Ordering::SeqCst), 0);
}
