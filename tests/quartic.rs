//! The N^4 loop against the values that two Python implementations gave, and against itself.

use std::fs;
use std::path::Path;

use scipar::Pool;
use scipar::kernels::quartic::{exact_sum, iterations, last_value, par_sum, spin, sum};

/// The loop as written, with a count of its runs.
fn written_out(n: u32) -> (f64, u64) {
    let (mut out, mut runs) = (0.0, 0);
    for i in 0..n {
        for j in i + 1..n {
            for l in j + 1..n {
                for _m in l + 1..n {
                    out = f64::from(i + 4).sqrt() * f64::from(i + 4).sqrt();
                    runs += 1;
                }
            }
        }
    }
    (out, runs)
}

#[test]
fn values_and_counts_are_those_of_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/points/n4_loop.csv");
    let text = fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [n, numba, python, count, counted] = fields[..] else {
            panic!("{line}");
        };
        let n: u32 = n.parse().unwrap();
        assert_eq!(last_value(n), numba.parse::<f64>().unwrap(), "{line}");
        if let Ok(value) = python.parse::<f64>() {
            assert_eq!(last_value(n), value, "{line}");
        }
        assert_eq!(iterations(n), Ok(count.parse().unwrap()), "{line}");
        if let Ok(counted) = counted.parse::<u64>() {
            assert_eq!(written_out(n), (last_value(n), counted), "{line}");
        }
        rows += 1;
    }
    assert_eq!(rows, 11);
}

#[test]
fn the_executed_loop_gives_the_value_of_the_closed_form() {
    for n in 0..=60 {
        assert_eq!(spin(n), last_value(n), "n = {n}");
    }
    // 1 ulp from what `powf` would give.
    assert_eq!(last_value(238), 237.99999999999997);
}

#[test]
fn sums_are_the_exact_one_to_the_last_bit() {
    for (n, expected) in [(50, 3_039_960), (100, 90_972_420), (200, 2_794_389_840)] {
        assert_eq!(exact_sum(n), Ok(expected));
    }
    assert_eq!(exact_sum(400), Ok(87_421_559_680));
    let pool = Pool::new(2);
    for n in 0..=80 {
        let exact = exact_sum(n).unwrap() as f64;
        assert_eq!(sum(n), exact, "n = {n}");
        // The page names the two that are not.
        let expected = if n == 19 || n == 25 {
            exact.next_up()
        } else {
            exact
        };
        assert_eq!(par_sum(&pool, n), expected, "n = {n}");
    }
}

#[test]
fn a_parallel_sum_has_the_same_bits_for_any_number_of_workers() {
    for n in [0, 3, 4, 5, 37, 90, 121] {
        let expected = par_sum(&Pool::new(1), n).to_bits();
        for workers in [2, 3, 7] {
            let pool = Pool::new(workers);
            assert_eq!(par_sum(&pool, n).to_bits(), expected, "n = {n}, {workers}");
        }
    }
}
