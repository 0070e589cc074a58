//! Measurements on real pools, channels and processes: that they are whole and in the right order of size, not how fast.

use std::time::Duration;

use scipar::kernels::quartic::{last_value, spin};
use scipar::measure::{
    MeasureError, Overhead, Scaling, ScalingKind, Usl, bandwidth, latency, repeat, repeat_for,
    strong_scaling, weak_scaling,
};
use scipar::{Pool, Queue, Worker, pipe};

#[test]
fn a_repetition_of_a_sleep_takes_as_long() {
    let samples = repeat(3, || std::thread::sleep(Duration::from_millis(5)));
    assert_eq!(samples.len(), 3);
    assert!(samples.min() >= 0.005, "{samples}");
    let per_call = repeat_for(3, Duration::from_millis(1), || spin(10));
    assert!(per_call.max() < samples.min(), "{per_call}");
}

#[test]
fn a_sleeping_load_scales_on_any_machine() {
    // Sleeping takes no processor, so that this holds on one core as well, and while others use it.
    let nap = |_: usize| std::thread::sleep(Duration::from_millis(20));
    let strong = strong_scaling(&[1, 2, 4], 3, |pool| {
        pool.par_map_chunked(0..4_usize, 1, nap)
    })
    .unwrap();
    let speed_ups: Vec<f64> = strong.rows().iter().map(|row| row.speed_up.mean).collect();
    assert_eq!(speed_ups[0], 1.0);
    assert!(speed_ups[1] > 1.3 && speed_ups[2] > 1.6, "{strong}");
    assert!(strong.rows()[0].wall.min() >= 0.08, "{strong}");
    let fit = strong.fit_usl().unwrap();
    assert!(fit.is_saturated() && fit.degrees_of_freedom() == 6);
    assert!(fit.forecast(8).interval.is_some());

    let weak = weak_scaling(&[1, 2], 3, |pool, shares| {
        assert_eq!(pool.num_workers(), shares);
        pool.par_map_chunked(0..2 * shares, 1, nap)
    });
    let weak = weak.unwrap();
    assert_eq!(weak.kind(), ScalingKind::Weak);
    assert!(weak.rows()[1].efficiency.mean > 0.6, "{weak}");
}

#[test]
fn the_answers_of_a_study_are_the_loads() {
    let mut answers = Vec::new();
    strong_scaling(&[1, 2], 2, |pool| {
        answers.push(pool.par_map_chunked(0..6_u32, 1, |i| spin(10 + i)));
    })
    .unwrap();
    let expected: Vec<f64> = (10..16).map(last_value).collect();
    assert_eq!(answers, vec![expected; 6]);
}

#[test]
fn a_published_table_can_be_read_as_a_study() {
    let table = [(1, vec![60.0]), (2, vec![31.0]), (4, vec![16.5])];
    let study = Scaling::from_times(ScalingKind::Strong, table).unwrap();
    assert_eq!(study.rows()[1].speed_up.mean, 60.0 / 31.0);
    let fit = study.fit_amdahl().unwrap();
    assert!(!fit.is_saturated() && (0.0..0.1).contains(&fit.law().sigma));
    assert!(matches!(
        Usl::fit(&study.points()[..2]),
        Err(MeasureError::TooFewCounts {
            found: 2,
            needed: 3,
            ..
        })
    ));
}

#[test]
fn overheads_of_threads_are_measured() {
    for workers in [1, 2] {
        let overhead = Overhead::measure(&Pool::new(workers), 3).unwrap();
        for samples in [
            &overhead.task,
            &overhead.task_after_pause,
            &overhead.map,
            &overhead.pool,
        ] {
            assert_eq!(samples.len(), 3);
            assert!(samples.min() > 0.0 && samples.max() < 1.0, "{overhead}");
        }
        assert_eq!(overhead.to_string().lines().count(), 4);
    }
}

#[test]
fn latency_and_bandwidth_are_of_any_channel() {
    const NAP: Duration = Duration::from_millis(4);
    let (to, from) = (Queue::<Vec<u8>>::unbounded(), Queue::<usize>::unbounded());
    let (tasks, answers) = (to.clone(), from.clone());
    let slow = Worker::spawn(move |_| {
        while let Ok(message) = tasks.recv() {
            std::thread::sleep(NAP);
            answers.send(message.len()).unwrap();
        }
    });
    let half = latency(
        3,
        || to.send(Vec::new()).unwrap(),
        || assert_eq!(from.recv(), Ok(0)),
    );
    assert!(half.len() == 3 && half.min() >= NAP.as_secs_f64() / 2.0);

    // Three messages of 1,000 bytes, each a nap: 3,000 bytes in at least 12 ms.
    let speed = bandwidth(
        2,
        3_000,
        || (0..3).for_each(|_| to.send(vec![7; 1_000]).unwrap()),
        || (0..3).for_each(|_| assert_eq!(from.recv(), Ok(1_000))),
    );
    assert!(speed.time.len() == 2 && speed.time.min() >= 3.0 * NAP.as_secs_f64());
    assert!(speed.bytes_per_second() <= 250_000.0, "{speed}");
    assert_eq!(speed.megabytes_per_second(), speed.bytes_per_second() / 1e6);
    to.close();
    slow.join().unwrap();

    let (here, there) = pipe::<(), ()>();
    let echo = Worker::spawn(move |_| while there.recv().is_ok_and(|()| there.send(()).is_ok()) {});
    let fast = latency(5, || here.send(()).unwrap(), || here.recv().unwrap());
    assert!(fast.median() > 0.0);
    drop(here);
    echo.join().unwrap();
}

#[cfg(all(unix, feature = "process"))]
mod processes {
    use scipar::measure::ProcessOverhead;
    use scipar::process::{ProcessPool, test_worker};

    test_worker!();

    #[test]
    fn overheads_of_processes_are_measured() {
        let pool = ProcessPool::new(1).unwrap();
        let overhead = ProcessOverhead::measure(&pool, 2).unwrap();
        assert!(
            overhead.call.median() < overhead.start.median(),
            "{overhead}"
        );
        assert_eq!(overhead.to_string().lines().count(), 2);
        // One worker for the calls; the others were processes of their own.
        assert_eq!(pool.num_starts(), 1);
    }
}
