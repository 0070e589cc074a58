//! Shared arrays between processes: there and back, updates in place, and what deaths leave behind.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::watched;
use scipar::RunError;
use scipar::process::{Process, ProcessPool, Queue, Shared, SharedMut, Stderr, task};
use serde::{Deserialize, Serialize};

scipar::process::test_worker!();

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Frame {
    name: String,
    data: Option<Shared<f64>>,
    more: Vec<(u8, Shared<u32>)>,
}

task! {
    fn same(frame: Frame) -> Frame { frame }
    fn total(data: Shared<f64>) -> f64 { data.iter().sum() }
    fn as_bytes(data: Shared<u8>) -> usize { data.len() }
    fn ramp(n: usize) -> Shared<f64> {
        Shared::build(n, |items| for (i, x) in items.iter_mut().enumerate() { *x = i as f64; }).unwrap()
    }
    fn hold(data: Vec<Shared<f64>>, ready: Queue<u32>) {
        assert_eq!(data[0][0], 1.5);
        ready.send(std::process::id()).unwrap();
        loop { std::thread::park(); }
    }
    fn bump(part: &mut [u64], start: usize) -> usize {
        for (x, i) in part.iter_mut().zip(start..) { *x += 1 + i as u64; }
        part.len()
    }
    fn fragile(part: &mut [u64], at: (usize, usize)) {
        let (start, bad) = at;
        let len = part.len();
        for (i, x) in part.iter_mut().enumerate() {
            if start <= bad && bad < start + len && i == len / 2 { std::process::abort() }
            *x += 1;
        }
    }
    fn panicky(part: &mut [u64], start: usize) { assert!(start != 30, "meant: {start}"); part.fill(1) }
    fn late(part: &mut [u64], ends: (scipar::process::Receiver<u8>, scipar::process::Sender<u8>)) {
        let (go, begun) = ends;
        begun.send(1).unwrap();
        let _ = go.recv();
        part.fill(7);
    }
}

/// Tests that count what the whole process has are alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Mappings of shared arrays in this process.
fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains("memfd:scipar"))
        .count()
}

fn pool() -> ProcessPool {
    let builder = ProcessPool::builder().workers(2).stderr(Stderr::Kept);
    builder.build().unwrap()
}

#[test]
fn there_and_back_nested() {
    let _alone = alone();
    watched("there and back", || {
        let pool = pool();
        let data = Shared::from_slice(&[0.5; 10_000]).unwrap();
        let more = Shared::from_slice(&[1_u32, 2, 3]).unwrap();
        for data in [
            None,
            Some(data.clone()),
            Some(Shared::from_slice(&[]).unwrap()),
        ] {
            let frame = Frame {
                name: "frame".to_owned(),
                data,
                more: (0..70).map(|i| (i, more.clone())).collect(), // more than fit one segment
            };
            assert_eq!(pool.call(same, &frame).unwrap(), frame);
        }
        assert_eq!(pool.call(total, &data).unwrap(), 5000.0);
        assert_eq!(
            pool.par_map_chunked(vec![data; 20], 3, total).unwrap(),
            [5000.0; 20]
        );
        let made = pool.call(ramp, &100_000).unwrap();
        assert_eq!(made[99_999], 99_999.0);
        // A result of one worker for another.
        assert_eq!(pool.call(total, &made).unwrap(), 4_999_950_000.0);
        let error = pool.call(as_bytes, &Shared::from_slice(&[1_u8; 9]).unwrap());
        assert_eq!(error.unwrap(), 9);
    });
}

#[test]
fn a_hundred_arrays_leave_nothing_behind() {
    let _alone = alone();
    watched("a hundred arrays", || {
        let pool = pool();
        pool.call(total, &Shared::from_slice(&[1.0]).unwrap())
            .unwrap();
        let before = (open_files(), mappings());
        for round in 0..10 {
            let arrays: Vec<Shared<f64>> = (0..10)
                .map(|_| Shared::from_slice(&[1.5; 1000]).unwrap())
                .collect();
            assert!(open_files() >= before.0 + 10);
            let clones = arrays.clone();
            assert_eq!(
                pool.par_map_chunked(&arrays, 2, total).unwrap(),
                [1500.0; 10]
            );
            let back = pool
                .par_map_chunked(vec![100 + round; 10], 2, ramp)
                .unwrap();
            drop((arrays, clones, back));
            let caught = std::panic::catch_unwind(|| {
                common::quiet();
                Shared::<u64>::build(10, |_| std::panic::panic_any(common::Meant(1)))
            });
            assert!(caught.is_err());
        }
        assert_eq!((open_files(), mappings()), before);
    });
}

#[test]
fn killed_holders_leave_nothing_behind() {
    let _alone = alone();
    watched("killed holders", || {
        let before = (open_files(), mappings());
        let arrays: Vec<_> = (0..100)
            .map(|_| Shared::from_slice(&[1.5; 1000]).unwrap())
            .collect();
        let ready = Queue::new().unwrap();
        let mut holders = Vec::new();
        for _ in 0..3 {
            holders.push(Process::spawn(hold, (arrays.clone(), ready.clone())).unwrap());
        }
        for _ in &holders {
            ready.recv().unwrap();
        }
        for mut holder in holders {
            holder.kill();
            assert!(holder.join().unwrap_err().is_death());
        }
        assert_eq!(arrays[99][999], 1.5);
        drop((arrays, ready));
        assert_eq!((open_files(), mappings()), before);
    });
}

#[test]
fn updates_with_every_chunking() {
    let _alone = alone();
    watched("updates", || {
        let pool = pool();
        let len = 1000;
        let mut array = SharedMut::<u64>::zeroed(len).unwrap();
        let mut rounds = 0;
        for chunking in common::chunkings(len) {
            let lens = pool
                .par_update_chunked(&mut array, chunking, bump, |range| range.start)
                .unwrap();
            rounds += 1;
            assert_eq!(lens.iter().sum::<usize>(), len, "{chunking:?}");
            assert!(
                array.iter().zip(1..).all(|(x, i)| *x == rounds * i),
                "{chunking:?}"
            );
        }
        let mut none = SharedMut::<u64>::zeroed(0).unwrap();
        let lens = pool
            .par_update_chunked(&mut none, 10, bump, |range| range.start)
            .unwrap();
        assert!(lens.is_empty());
        let frozen = array.freeze().unwrap();
        assert_eq!(frozen[len - 1], rounds * len as u64);
    });
}

#[test]
fn a_worker_that_aborts_in_the_middle_of_a_part() {
    let _alone = alone();
    watched("abort in a part", || {
        let pool = pool();
        let before = (open_files(), mappings());
        let mut array = SharedMut::<u64>::zeroed(100).unwrap();
        let result =
            pool.par_update_chunked(&mut array, 10, fragile, |range| (range.start, 42_usize));
        match result {
            Err(RunError::Failed { index, error }) => {
                assert_eq!(index, 40);
                assert_eq!(error.signal(), Some(6), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // What is before it is done; it is half done and was not begun again; nothing was done twice.
        assert_eq!(array[..40], [1; 40]);
        assert_eq!(array[40..50], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
        assert!(
            array[50..]
                .chunks(10)
                .all(|part| part == [0; 10] || part == [1; 10])
        );
        array.fill(0);
        pool.par_update_chunked(&mut array, 10, bump, |range| range.start)
            .unwrap();
        assert_eq!(array[99], 100);
        let result = pool.par_update_chunked(&mut array, 10, panicky, |range| range.start);
        assert!(
            matches!(result, Err(RunError::Panicked { index: 30, .. })),
            "{result:?}"
        );
        array[0] = 5;
        assert_eq!(array.freeze().unwrap()[0], 5);
        drop(pool);
        assert!(common::eventually(|| open_files() <= before.0));
        assert_eq!(mappings(), before.1);
    });
}

/// A panic of the caller's own code must not give the array back while a worker still has a part of it.
#[test]
fn a_panic_in_the_callers_code_waits_for_the_parts_that_are_out() {
    let _alone = alone();
    watched("panic with parts out", || {
        common::quiet();
        let pool = ProcessPool::new(1).unwrap();
        let mut array = SharedMut::<u64>::zeroed(3).unwrap();
        let (go, begun) = (Queue::<u8>::new().unwrap(), Queue::<u8>::new().unwrap());
        go.send(1).unwrap(); // the first part ends at once
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.par_update_chunked(&mut array, 1, late, |range| {
                if range.start == 2 {
                    // The second part is out, and being worked on.
                    begun.recv().unwrap();
                    begun.recv().unwrap();
                    std::panic::panic_any(common::Meant(1));
                }
                (go.receiver(), begun.sender())
            })
        }));
        caught.unwrap_err();
        let seen = array[1];
        // Nobody writes any more, or has done so before.
        drop(go.send(1));
        let until = std::time::Instant::now() + Duration::from_millis(200);
        while std::time::Instant::now() < until {
            assert_eq!(
                array.as_slice()[1],
                seen,
                "a worker writes what the owner looks at"
            );
            std::thread::yield_now();
        }
        assert!(array.freeze().is_ok(), "nobody has it mapped");
    });
}
