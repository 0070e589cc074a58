use super::*;

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * b.abs().max(1e-12)
}

/// Pseudo-random numbers that are about normal, mean 0 and standard deviation 1: sums of twelve uniform ones.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let uniform = |_| {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(uniform).sum::<f64>() - 6.0
    }
}

fn measured(law: Usl, counts: &[usize], rounds: usize, noise: f64, seed: u64) -> Vec<(usize, f64)> {
    let mut random = Noise(seed);
    let mut points = Vec::new();
    for _ in 0..rounds {
        for &n in counts {
            points.push((n, law.throughput(n as f64) * (1.0 + noise * random.next())));
        }
    }
    points
}

#[test]
fn exact_data_give_the_parameters_back() {
    for (lambda, sigma, kappa) in [
        (1.0, 0.05, 0.0002),
        (1e6, 0.0, 0.001),
        (3e-4, 0.3, 0.0),
        (20.0, 0.0, 0.0),
    ] {
        let law = Usl::new(lambda, sigma, kappa);
        for counts in [&[1, 2, 4, 8, 16, 64][..], &[1, 2, 3], &[2, 5, 100, 1024]] {
            let fit = Usl::fit(&measured(law, counts, 1, 0.0, 1)).unwrap();
            assert!(close(fit.law().lambda, lambda, 1e-7), "{fit}");
            assert!((fit.law().sigma - sigma).abs() < 1e-6, "{fit}");
            assert!((fit.law().kappa - kappa).abs() < 1e-7, "{fit}");
            assert!(fit.law().sigma >= 0.0 && fit.law().kappa >= 0.0);
        }
    }
}

#[test]
fn the_law_is_what_is_worked_out_by_hand() {
    // N = 4, sigma = 0.1, kappa = 0.01: 4/(1 + 0.3 + 0.12).
    let law = Usl::new(10.0, 0.1, 0.01);
    assert!(close(law.speed_up(4.0), 4.0 / 1.42, 1e-15));
    assert!(close(law.throughput(4.0), 40.0 / 1.42, 1e-15));
    assert!(close(law.efficiency(4.0), 1.0 / 1.42, 1e-15));
    assert_eq!(law.speed_up(1.0), 1.0);
    // The peak of a function that has one: sqrt(0.9/0.01).
    assert!(close(law.peak().unwrap(), 90.0_f64.sqrt(), 1e-15));
    let peak = law.peak().unwrap();
    assert!(law.speed_up(peak) > law.speed_up(peak - 0.1));
    assert!(law.speed_up(peak) > law.speed_up(peak + 0.1));
    assert!(close(law.limit().unwrap(), law.speed_up(peak), 1e-15));
    // Without coherency it is Amdahl's; with nothing, a straight line.
    assert!(close(
        Usl::amdahl(0.1).speed_up(10.0),
        amdahl_speed_up(0.1, 10.0),
        1e-15
    ));
    assert!(close(
        amdahl_speed_up(0.1, 10.0),
        1.0 / (0.1 + 0.9 / 10.0),
        1e-15
    ));
    assert_eq!(
        (Usl::amdahl(0.0).peak(), Usl::amdahl(0.0).limit()),
        (None, None)
    );
    assert_eq!(Usl::amdahl(0.0).speed_up(7.0), 7.0);
    // More serial than work: no number of workers is better than one.
    assert_eq!(Usl::new(1.0, 1.5, 0.1).peak(), Some(1.0));
}

#[test]
fn parameters_lie_within_their_errors() {
    let law = Usl::new(1.0, 0.05, 0.001);
    let (mut inside, mut covered, mut all) = ([0; 3], 0, 0);
    for seed in 0..200 {
        let points = measured(law, &[1, 2, 4, 8, 16], 6, 0.03, seed * 7919 + 3);
        let fit = Usl::fit(&points).unwrap();
        assert_eq!(fit.degrees_of_freedom(), 27);
        let estimates = [
            (fit.lambda(), 1.0),
            (fit.sigma(), 0.05),
            (fit.kappa(), 0.001),
        ];
        for (inside, (estimate, truth)) in inside.iter_mut().zip(estimates) {
            let error = estimate.standard_error.unwrap();
            *inside += usize::from((estimate.value - truth).abs() < 2.05 * error);
        }
        let truth = law.throughput(32.0) * (1.0 + 0.03 * Noise(seed + 99).next());
        let (low, high) = fit.forecast(32).interval.unwrap();
        covered += usize::from(low < truth && truth < high);
        assert!(fit.scatter().unwrap() < 0.06);
        all += 1;
    }
    // 95 % of 200 is 190, give or take 3.
    for inside in inside {
        assert!((178..=199).contains(&inside), "{inside} of {all}");
    }
    assert!((178..=200).contains(&covered), "{covered} of {all}");
}

#[test]
fn superlinear_data_are_a_straight_line_to_the_law() {
    let points = [(1, 1.0), (2, 2.2), (4, 4.8), (8, 10.0)];
    let fit = Usl::fit(&points).unwrap();
    assert_eq!((fit.law().sigma, fit.law().kappa), (0.0, 0.0));
    assert!(fit.to_string().contains("no limit"), "{fit}");
    // Held at zero, and yet it could have been more.
    assert!(fit.kappa().standard_error.unwrap() > 0.0);
}

#[test]
fn a_fit_of_fewer_than_three_counts_is_refused() {
    let points = [(1, 1.0), (2, 1.9), (1, 1.0), (2, 1.8)];
    for result in [Usl::fit(&points), Usl::fit_amdahl(&points)] {
        let error = result.unwrap_err();
        assert!(error.is_too_few_counts());
        assert_eq!(
            error.to_string(),
            "a scaling law takes measurements with at least 3 different worker counts, found 2"
        );
    }
    assert!(GustafsonFit::new(&points).unwrap_err().is_too_few_counts());
    assert!(Usl::fit(&[]).unwrap_err().is_too_few_counts());
}

#[test]
fn what_is_no_throughput_is_refused() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let points = [(1, 1.0), (2, bad), (3, 1.0), (4, 1.0)];
        let error = Usl::fit(&points).unwrap_err();
        assert!(matches!(
            error,
            MeasureError::BadThroughput { workers: 2, .. }
        ));
    }
    let error = Usl::fit(&[(0, 1.0)]).unwrap_err();
    assert!(matches!(error, MeasureError::ZeroWorkers { .. }), "{error}");
}

#[test]
fn a_fit_without_a_check_says_so() {
    let law = Usl::new(1.0, 0.05, 0.001);
    let once = Usl::fit(&measured(law, &[1, 2, 4], 1, 0.0, 1)).unwrap();
    assert!(once.is_saturated());
    assert_eq!(once.degrees_of_freedom(), 0);
    assert_eq!(once.sigma().standard_error, None);
    assert_eq!(once.forecast(64).interval, None);
    let text = once.to_string();
    assert!(
        text.contains("as many parameters as worker counts (3)"),
        "{text}"
    );
    assert!(
        text.contains("as many parameters as measurements"),
        "{text}"
    );
    // Repetitions give the scatter, and no check of the law.
    let often = Usl::fit(&measured(law, &[1, 2, 4], 5, 0.01, 1)).unwrap();
    assert!(often.is_saturated() && often.forecast(64).interval.is_some());
    // Amdahl's law has a parameter less.
    let amdahl = Usl::fit_amdahl(&measured(law, &[1, 2, 4], 1, 0.0, 1)).unwrap();
    assert!(!amdahl.is_saturated() && amdahl.degrees_of_freedom() == 1);
    assert_eq!(amdahl.law().kappa, 0.0);
}

#[test]
fn a_forecast_further_away_is_less_sure() {
    let law = Usl::new(1.0, 0.05, 0.001);
    let fit = Usl::fit(&measured(law, &[1, 2, 4, 8], 5, 0.02, 5)).unwrap();
    let widths: Vec<f64> = [8, 16, 64]
        .into_iter()
        .map(|n| {
            let forecast = fit.forecast(n);
            let (low, high) = forecast.interval.unwrap();
            assert!(0.0 < low && low <= forecast.throughput && forecast.throughput <= high);
            (high - low) / forecast.throughput
        })
        .collect();
    assert!(widths[0] < widths[1] && widths[1] < widths[2], "{widths:?}");
    assert_eq!(fit.largest_count(), 8);
    let text = fit.forecast(64).to_string();
    assert!(
        text.starts_with("64 workers: ") && text.contains("(95 %: "),
        "{text}"
    );
}

#[test]
fn gustafsons_share_is_found_and_stays_a_share() {
    let points: Vec<_> = [1, 2, 4, 8]
        .map(|n| (n, gustafson_speed_up(0.2, n as f64)))
        .into();
    let fit = GustafsonFit::new(&points).unwrap();
    assert!(close(fit.serial.value, 0.2, 1e-12));
    assert!(fit.serial.standard_error.unwrap() < 1e-12);
    let superlinear = [(1, 1.0), (2, 2.2), (4, 4.8)];
    assert_eq!(GustafsonFit::new(&superlinear).unwrap().serial.value, 0.0);
    let hopeless = [(1, 1.0), (2, 0.5), (4, 0.2)];
    assert_eq!(GustafsonFit::new(&hopeless).unwrap().serial.value, 1.0);
}

#[test]
fn numbers_are_written_with_the_digits_that_matter() {
    let law = Usl::new(1.0, 0.05, 0.00031);
    assert_eq!(
        law.to_string(),
        "X(N) = 1.0000 N / (1 + 0.0500 (N-1) + 3.10e-4 N(N-1))"
    );
    let estimate = Estimate {
        value: 0.0,
        standard_error: Some(0.0123),
    };
    assert_eq!(estimate.to_string(), "0 (standard error 0.0123)");
}
