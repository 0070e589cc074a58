use super::*;

fn on(usable: usize, physical: usize, workers: Workers) -> usize {
    workers.resolve(usable, || physical)
}

#[test]
fn every_rule_gives_at_least_one_worker() {
    for rule in [
        Workers::all(),
        Workers::all_but(0),
        Workers::all_but(1),
        Workers::all_but(usize::MAX),
        Workers::fraction(f64::MIN_POSITIVE),
        Workers::fraction(1.0),
        Workers::physical(),
        Workers::exactly(1),
    ] {
        for (usable, physical) in [(1, 1), (1, 8), (2, 1), (64, 32), (1, 0)] {
            assert!(on(usable, physical, rule) >= 1, "{rule} of {usable}");
        }
    }
}

#[test]
fn rules_count_what_they_say() {
    assert_eq!(on(8, 4, Workers::all()), 8);
    assert_eq!(on(8, 4, Workers::all_but(1)), 7);
    assert_eq!(on(8, 4, Workers::fraction(0.8)), 6);
    assert_eq!(on(8, 4, Workers::fraction(0.5)), 4);
    assert_eq!(on(8, 4, Workers::physical()), 4);
    assert_eq!(on(8, 4, Workers::exactly(100)), 100);
}

#[test]
fn physical_cores_never_exceed_what_the_mask_leaves() {
    assert_eq!(on(2, 32, Workers::physical()), 2);
}

#[test]
#[should_panic(expected = "at least one worker")]
fn exactly_zero_is_refused() {
    let _ = Workers::from(0);
}

#[test]
fn fractions_outside_the_unit_interval_are_refused() {
    for share in [0.0, -0.5, 1.0001, f64::NAN, f64::INFINITY] {
        assert!(
            std::panic::catch_unwind(|| Workers::fraction(share)).is_err(),
            "{share}"
        );
    }
}
