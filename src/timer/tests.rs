use super::*;

fn timing(wall_ms: u64, cpu_ms: u64) -> Timing {
    Timing::exact(
        Duration::from_millis(wall_ms),
        Duration::from_millis(cpu_ms),
    )
}

/// Computes until this thread has used `cpu` of CPU time.
fn burn(cpu: Duration) {
    let start = thread_time();
    let mut x = 1_u64;
    while thread_time() - start < cpu {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

#[test]
fn the_ratio_names_the_bound() {
    assert_eq!(timing(100, 190).bound(2), Bound::Parallel);
    assert_eq!(timing(100, 120).bound(2), Bound::Parallel);
    assert_eq!(timing(100, 100).bound(2), Bound::Serial);
    assert_eq!(timing(100, 81).bound(2), Bound::Serial);
    assert_eq!(timing(100, 79).bound(2), Bound::Waiting);
    assert_eq!(timing(100, 0).bound(2), Bound::Waiting);
    assert_eq!(
        timing(100, 130).bound(1),
        Bound::Serial,
        "one worker cannot be parallel"
    );
    assert_eq!(timing(0, 0).parallelism(), 0.0);
}

#[test]
fn a_busy_thread_spends_cpu_time_on_every_clock() {
    for clock in [Clock::Process, Clock::Thread, Clock::WithChildren] {
        let timer = Timer::start_with(clock);
        burn(Duration::from_millis(30));
        let timing = timer.elapsed();
        assert!(
            timing.cpu + timing.resolution >= Duration::from_millis(30),
            "{clock:?}: {timing}"
        );
    }
}

#[test]
fn the_thread_clock_leaves_other_threads_out() {
    let timer = Timer::start_with(Clock::Thread);
    std::thread::spawn(|| burn(Duration::from_millis(50)))
        .join()
        .unwrap();
    assert!(timer.elapsed().cpu < Duration::from_millis(40));
}

#[test]
fn laps_add_up_to_the_whole() {
    let mut timer = Timer::start_with(Clock::Thread);
    let mut sum = Duration::ZERO;
    for _ in 0..3 {
        burn(Duration::from_millis(2));
        sum += timer.lap().wall;
    }
    assert_eq!(sum, timer.lap.wall - timer.start.wall);
}

#[cfg(unix)]
#[test]
fn children_count_once_they_have_been_waited_for() {
    let timer = Timer::start_with(Clock::WithChildren);
    let own = Timer::start();
    let status = std::process::Command::new("sh")
        .args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"])
        .status()
        .unwrap();
    assert!(status.success());
    assert!(timer.elapsed().cpu > own.elapsed().cpu + Duration::from_millis(5));
}
