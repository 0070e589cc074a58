//! Worker processes where the system refuses what they like to have: memory that is sealed, shared
//! mappings of it, threads, clocks of CPU time. Each kind of refusal is put on a child process,
//! which is this binary again, running one ignored test.

#![cfg(all(target_os = "linux", target_pointer_width = "64", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "puts filters on calls of the system")]

mod common;
#[path = "common/seccomp.rs"]
mod seccomp;

use std::process::Command;
use std::time::Duration;

use common::watched;
use scipar::process::{ProcessErrorKind, ProcessPool, Shared, SharedMut, Stderr, task};
use scipar::{Chunking, Clock, Pool, Timer, Worker};
use seccomp::{Refusal, refuse};

scipar::process::test_worker!();

const LEN: usize = 1000;

task! {
    fn total(data: Shared<u64>) -> u64 { data.iter().sum() }
    fn ones(n: usize) -> Shared<u64> { Shared::build(n, |items| items.fill(1)).unwrap() }
    fn bump(part: &mut [u64], by: u64) { for x in part { *x += by; } }
    fn can_make_no_memory_files() { refuse(&[no_memory_files(libc::EPERM)]).unwrap(); }
    fn spins(ms: u64) -> u64 { common::spin(Duration::from_millis(ms)); ms }
}

fn pool(workers: usize) -> ProcessPool {
    let builder = ProcessPool::builder().workers(workers).stderr(Stderr::Kept);
    builder.build().unwrap()
}

fn no_memory_files(error: i32) -> Refusal {
    Refusal::of(libc::SYS_memfd_create, error)
}

/// Runs an ignored test of this file in a process of its own.
fn in_child(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{text}{errors}",
        output.status
    );
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        println!("{line}");
    }
}

/// Whether the calls are refused from now on; the machine may not allow to.
fn are_refused(refusals: &[Refusal]) -> bool {
    match refuse(refusals) {
        Ok(()) => true,
        Err(error) => {
            println!("skipped: no filter can be put on calls of the system: {error}");
            false
        }
    }
}

/// Arrays of all kinds, there and back.
fn arrays_work() {
    watched("arrays", || {
        let pool = pool(2);
        let data = Shared::from_slice(&[1_u64; LEN]).unwrap();
        assert_eq!(pool.call(total, &data).unwrap(), LEN as u64);
        let made = pool.call(ones, &LEN).unwrap();
        assert_eq!(pool.call(total, &made).unwrap(), LEN as u64);
        let mut array = SharedMut::<u64>::zeroed(LEN).unwrap();
        pool.par_update_chunked(&mut array, 100, bump, |_| 2)
            .unwrap();
        let frozen = array.freeze().unwrap();
        assert_eq!(pool.call(total, &frozen).unwrap(), 2 * LEN as u64);
        // What a call needs that is too long for a message of a queue.
        let queue = scipar::process::Queue::new().unwrap();
        queue.send("x".repeat(1 << 20)).unwrap();
        assert_eq!(queue.recv().unwrap().len(), 1 << 20);
    });
}

#[test]
fn without_memory_files_arrays_are_temporary_files() {
    in_child("part_without_memory_files");
    in_child("part_with_memory_files_forbidden");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_without_memory_files() {
    if are_refused(&[no_memory_files(libc::ENOSYS)]) {
        arrays_work();
    }
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_with_memory_files_forbidden() {
    if are_refused(&[no_memory_files(libc::EPERM)]) {
        arrays_work();
    }
}

/// Linux before 6.7 refuses shared read-only mappings of what is sealed.
#[test]
fn arrays_need_no_shared_read_only_mapping() {
    in_child("part_without_shared_read_only_mappings");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_without_shared_read_only_mappings() {
    let (protection, flags) = (2, 3);
    let refusal = Refusal::of(libc::SYS_mmap, libc::EPERM)
        .with(protection, u32::MAX, libc::PROT_READ as u32)
        .with(flags, libc::MAP_SHARED as u32, libc::MAP_SHARED as u32);
    if are_refused(&[refusal]) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1).unwrap();
        // SAFETY: nothing is done with it.
        let mapping = unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
            libc::mmap(
                std::ptr::null_mut(),
                1,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        assert_eq!(mapping, libc::MAP_FAILED);
        arrays_work();
    }
}

/// As between a worker in a stricter sandbox and its parent.
#[test]
fn a_process_that_can_seal_takes_no_temporary_file() {
    watched("one side", || {
        let pool = pool(1);
        if let Err(error) = pool.call(can_make_no_memory_files, &()) {
            println!("skipped: no filter can be put on calls of the system: {error}");
            return;
        }
        let error = pool.call(ones, &LEN).unwrap_err();
        assert_eq!(error.kind(), ProcessErrorKind::Decode, "{error}");
        let why = "may come from a process that cannot make memory that is, as this one can";
        assert!(error.to_string().contains(why), "{error}");
        // The other way round it is the kernel's word that counts, and that is there.
        let data = Shared::from_slice(&[1_u64; LEN]).unwrap();
        assert_eq!(pool.call(total, &data).unwrap(), LEN as u64);
        let mut array = SharedMut::<u64>::zeroed(LEN).unwrap();
        pool.par_update_chunked(&mut array, 100, bump, |_| 2)
            .unwrap();
        assert_eq!(array.freeze().unwrap()[LEN - 1], 2);
        assert_eq!(pool.num_starts(), 1);
    });
}

#[test]
fn threads_can_be_refused_after_the_workers_have_started() {
    in_child("part_without_threads");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_without_threads() {
    watched("without threads", || {
        let pool = pool(2);
        let thread = libc::CLONE_THREAD as u32;
        let refusals = [
            // Its flags are in memory, which no filter sees; without it there is the older call.
            Refusal::of(libc::SYS_clone3, libc::ENOSYS),
            Refusal::of(libc::SYS_clone, libc::EAGAIN).with(0, thread, thread),
        ];
        if !are_refused(&refusals) {
            return;
        }
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        let handles = [1_u64, 2, 3].map(|ms| pool.spawn(spins, ms));
        let times = handles.map(|handle| handle.join().unwrap().unwrap());
        assert_eq!(times, [1, 2, 3]);
        let streamed = pool.stream(0..20_u64, spins).map(Result::unwrap);
        assert!(streamed.eq(0..20));
        assert_eq!(pool.par_map_chunked(&[1_u64, 2], 1, spins).unwrap(), [1, 2]);
        assert_eq!(pool.num_starts(), 2);
    });
}

#[test]
fn clocks_of_cpu_time_can_be_missing() {
    in_child("part_without_clocks");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_without_clocks() {
    let clock = |id: libc::clockid_t| {
        Refusal::of(libc::SYS_clock_gettime, libc::EPERM).with(0, u32::MAX, id as u32)
    };
    let refusals = [
        clock(libc::CLOCK_PROCESS_CPUTIME_ID),
        clock(libc::CLOCK_THREAD_CPUTIME_ID),
    ];
    if !are_refused(&refusals) {
        return;
    }
    watched("without clocks", || {
        for clock in [Clock::Process, Clock::Thread, Clock::WithChildren] {
            let timer = Timer::start_with(clock);
            common::spin(Duration::from_millis(5));
            let timing = timer.elapsed();
            assert!(timing.wall >= Duration::from_millis(5));
            assert_eq!(timing.cpu, Duration::ZERO, "{clock:?}");
        }
        // Helpers look at their own clocks.
        let pool = common::started(2);
        let seen = common::Seen::default();
        let (out, timing) = pool.time(|| {
            pool.par_map_chunked(0..100_u64, 1, |x| {
                seen.note();
                common::spin(Duration::from_micros(300));
                x
            })
        });
        assert!(out.into_iter().eq(0..100));
        assert!(seen.count() >= 1 && timing.cpu == Duration::ZERO);
        assert_eq!(pool.install(|| 7).unwrap(), 7);
        assert_eq!(pool.spawn(|| 8).join().unwrap(), 8);
        let auto = Pool::new(2).par_map_chunked(0..100_000_u64, Chunking::auto(), |x| x);
        assert_eq!(auto.len(), 100_000);
        let worker = Worker::spawn(|_stop| 9);
        assert!(common::eventually(|| !worker.is_alive()));
        assert_eq!(worker.cpu_time(), None);
        assert_eq!(worker.join().unwrap(), 9);

        let pool = self::pool(1);
        let run = pool.over([1_u64, 2].to_vec()).outcomes(spins);
        assert!(run.items.iter().all(scipar::Outcome::is_done));
        assert_eq!(run.report.cpu, Some(Duration::ZERO));
        assert_eq!(pool.num_starts(), 1);
    });
}
