use super::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn speed_ups_are_taken_turn_by_turn() {
    // The machine is twice as slow in the second turn: no speed-up feels it.
    let times = [
        (4, vec![3.0, 6.0]),
        (1, vec![9.0, 18.0]),
        (2, vec![4.5, 10.0]),
    ];
    let study = Scaling::from_times(ScalingKind::Strong, times).unwrap();
    let [one, two, four] = study.rows() else {
        panic!("{study}");
    };
    assert_eq!([one.workers, two.workers, four.workers], [1, 2, 4]);
    assert_eq!((one.speed_up.mean, one.speed_up.sd), (1.0, Some(0.0)));
    assert_eq!(one.relative, None);
    // 9/4.5 and 18/10.
    assert!(close(two.speed_up.mean, 1.9));
    assert!(close(two.speed_up.sd.unwrap(), 0.1 * 2.0_f64.sqrt()));
    assert!(close(four.speed_up.mean, 3.0) && four.speed_up.sd == Some(0.0));
    // 4.5/3 and 10/6.
    assert!(close(four.relative.unwrap().mean, (1.5 + 10.0 / 6.0) / 2.0));
    assert!(close(four.efficiency.mean, 0.75));
    assert_eq!(two.wall.values(), [4.5, 10.0]);
}

#[test]
fn a_weak_study_counts_the_work() {
    let times = [(1, vec![2.0]), (3, vec![2.5])];
    let study = Scaling::from_times(ScalingKind::Weak, times).unwrap();
    let row = &study.rows()[1];
    assert!(close(row.speed_up.mean, 3.0 * 2.0 / 2.5));
    assert!(close(row.efficiency.mean, 0.8));
    assert!(close(row.relative.unwrap().mean, 2.4));
    assert_eq!(row.speed_up.sd, None);
    assert_eq!(study.points(), [(1, 1.0), (3, 2.4)]);
}

#[test]
fn the_table_has_a_row_for_each_count() {
    let times = [(1, vec![0.2, 0.2, 0.2]), (2, vec![0.1, 0.125, 0.1])];
    let study = Scaling::from_times(ScalingKind::Strong, times).unwrap();
    let expected = "\
strong scaling, mean +- standard deviation of 3 turns
workers   median wall          speed-up          relative        efficiency
      1    200.000 ms    1.000 +- 0.000                 -    1.000 +- 0.000
      2    100.000 ms    1.867 +- 0.231    1.867 +- 0.231    0.933 +- 0.115";
    assert_eq!(study.to_string(), expected);
}

#[test]
fn a_law_that_made_the_times_is_found() {
    let law = Usl::new(1.0, 0.04, 0.0);
    let times = [1, 2, 4, 8].map(|n| (n, vec![1.0 / law.speed_up(n as f64); 3]));
    let study = Scaling::from_times(ScalingKind::Strong, times).unwrap();
    for fit in [study.fit_usl().unwrap(), study.fit_amdahl().unwrap()] {
        assert!((fit.law().sigma - 0.04).abs() < 1e-9, "{fit}");
    }
    let times = [1, 2, 4].map(|n| (n, vec![1.0 / (1.0 - 0.25 * (n as f64 - 1.0) / n as f64)]));
    let study = Scaling::from_times(ScalingKind::Weak, times).unwrap();
    assert!((study.fit_gustafson().unwrap().serial.value - 0.25).abs() < 1e-12);
}

#[test]
fn counts_take_turns_after_a_first_one_that_does_not_count() {
    let mut calls = Vec::new();
    let study = strong_scaling(&[3, 1, 3, 2], 2, |pool| calls.push(pool.num_workers())).unwrap();
    assert_eq!(calls, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    assert_eq!(study.repetitions(), 2);
    assert_eq!(study.kind(), ScalingKind::Strong);

    let mut calls = Vec::new();
    let record = |pool: &Pool, shares| calls.push((pool.num_workers(), shares));
    let study = weak_scaling(&[1, 2], 1, record).unwrap();
    assert_eq!(calls, [(1, 1), (2, 2), (1, 1), (2, 2)]);
    assert!(study.to_string().contains("of 1 turn\n"), "{study}");
    assert!(study.fit_usl().unwrap_err().is_too_few_counts());
}

#[test]
fn bad_counts_and_times_are_refused() {
    let error = strong_scaling(&[2, 4], 1, |_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker counts [2, 4] lack 1, which speed-up is measured against"
    );
    let error = weak_scaling(&[1, 0], 1, |_, _| ()).unwrap_err();
    assert!(matches!(error, MeasureError::ZeroWorkers { .. }));
    assert!(strong_scaling(&[], 1, |_| ()).is_err());
    for times in [
        vec![(1, vec![1.0, 2.0]), (2, vec![1.0])],
        vec![(1, vec![])],
        vec![(1, vec![0.0])],
        vec![(1, vec![1.0]), (2, vec![f64::NAN])],
        vec![(1, vec![1.0]), (1, vec![1.0])],
        vec![(1, vec![1.0]), (2, vec![1.0]), (2, vec![1.0])],
    ] {
        assert!(Scaling::from_times(ScalingKind::Weak, times).is_err());
    }
}
