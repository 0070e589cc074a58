use super::*;

fn samples(values: &[f64]) -> Samples {
    Samples::new(values.to_vec()).unwrap()
}

#[test]
fn statistics_are_those_worked_out_by_hand() {
    // Squares of the distances to 5: 9, 1, 1, 1, 0, 0, 4, 16; their sum 32 by 7.
    let s = samples(&[9.0, 2.0, 4.0, 4.0, 5.0, 7.0, 4.0, 5.0]);
    assert_eq!(s.len(), 8);
    assert_eq!((s.min(), s.max(), s.mean()), (2.0, 9.0, 5.0));
    assert_eq!(s.median(), 4.5);
    assert_eq!(s.sd(), Some((32.0_f64 / 7.0).sqrt()));
    // Distances to 4.5: 4.5 2.5 .5 .5 .5 2.5 .5 .5
    assert_eq!(s.mad(), 0.5);
    assert_eq!(s.values()[0], 9.0, "in the order of measuring");
    // numpy.quantile([2, 4, 4, 4, 5, 5, 7, 9], [0, .1, .5, .9, 1])
    let quantiles = [0.0, 0.1, 0.5, 0.9, 1.0].map(|q| s.quantile(q));
    for (found, expected) in quantiles.into_iter().zip([2.0, 3.4, 4.5, 7.6, 9.0]) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn one_sample_has_no_spread() {
    let s = samples(&[0.25]);
    assert_eq!(
        (s.median(), s.mean(), s.sd(), s.mad()),
        (0.25, 0.25, None, 0.0)
    );
    assert_eq!(s.quantile(0.3), 0.25);
    assert_eq!(
        s.to_string(),
        "median 250.000 ms, mean 250.000 ms, from 250.000 ms to 250.000 ms, MAD 0.000 ns, n = 1"
    );
    assert_eq!(s.spread().to_string(), "0.250");
}

#[test]
fn what_is_no_measurement_is_refused() {
    for (values, word) in [
        (vec![], "none"),
        (vec![1.0, f64::NAN], "NaN"),
        (vec![f64::INFINITY], "inf"),
    ] {
        let message = Samples::new(values).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn times_have_a_unit_that_suits_them() {
    for (seconds, text) in [
        (2.5, "2.500 s"),
        (0.99999, "1.000 s"),
        (1e-3, "1.000 ms"),
        (12.34e-6, "12.340 us"),
        (0.5e-9, "0.500 ns"),
        (0.0, "0.000 ns"),
        (-2e-3, "-2.000 ms"),
    ] {
        assert_eq!(Time(seconds).to_string(), text);
    }
}

#[test]
fn repeat_calls_as_often_as_asked() {
    let mut calls = 0;
    let s = repeat(7, || calls += 1);
    assert_eq!((calls, s.len()), (7, 7));
    assert!(s.min() >= 0.0);
}

#[test]
fn batches_give_the_time_of_one_call() {
    let nap = Duration::from_millis(2);
    let s = repeat_for(3, Duration::from_millis(10), || std::thread::sleep(nap));
    assert_eq!(s.len(), 3);
    assert!(s.min() >= 0.002, "{s}");
    // Calls of a nanosecond or none are batched as well.
    let s = repeat_for(3, Duration::from_micros(100), || black_box(1));
    assert!(s.max() < 1e-4, "{s}");
}

#[test]
#[should_panic(expected = "at least once")]
fn no_repetition_is_no_measurement() {
    repeat(0, || ());
}
