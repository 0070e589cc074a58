//! Reductions have the same bits for any number of workers and any timing, in the documented shape.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::{spin, started};
use scipar::{Chunking, Pool};

const LEN: usize = 100_003;
const WORKERS: [usize; 5] = [1, 2, 3, 7, 64];

/// Numbers between 0 and 1, the same in every run.
fn noise(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    for _ in 0..3 {
        x ^= x >> 31;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

/// Signs and magnitudes over thirty decades: any other order of addition has other bits.
fn nasty(len: usize) -> Vec<f64> {
    (0..len)
        .map(|i| (noise(i) - 0.5) * 10_f64.powi((noise(i + 7 * len) * 30.0) as i32 - 15))
        .collect()
}

/// Now and then takes a while, each time elsewhere.
fn dither() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS
        .fetch_add(1, Relaxed)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        >> 32;
    if call.is_multiple_of(128) {
        spin(Duration::from_micros(call / 128 % 32));
    }
}

fn chunkings() -> [Chunking; 9] {
    [
        Chunking::auto(),
        Chunking::auto().min_len(1_000),
        Chunking::size(1),
        Chunking::size(17),
        Chunking::size(4_096),
        Chunking::count(3),
        Chunking::count(1_000),
        Chunking::count(2 * LEN),
        Chunking::serial(),
    ]
}

/// The documented tree over some leaves: neighbours level by level, an odd one out goes up as it is.
fn tree<T: Clone>(mut level: Vec<T>, op: impl Fn(T, T) -> T) -> Option<T> {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => op(a.clone(), b.clone()),
                rest => rest[0].clone(),
            })
            .collect();
    }
    level.pop()
}

/// What `par_map_reduce_chunked` says it computes.
fn documented_fold(xs: &[f64], chunking: Chunking, op: impl Fn(f64, f64) -> f64) -> f64 {
    let leaves = chunking.ranges(xs.len()).filter(|r| !r.is_empty());
    tree(
        leaves
            .map(|r| xs[r].iter().copied().reduce(&op).unwrap())
            .collect(),
        &op,
    )
    .unwrap()
}

/// What `par_sum_chunked` says it computes.
fn documented_sum(xs: &[f64], chunking: Chunking) -> f64 {
    // Items of a sum are cheap, so the leaves of `auto` are longer.
    let chunking = if chunking == Chunking::auto() {
        chunking.min_len(128)
    } else {
        chunking
    };
    let leaf = |r: std::ops::Range<usize>| {
        let mut sums = [0.0; 8];
        xs[r].iter().enumerate().for_each(|(i, x)| sums[i % 8] += x);
        let [a, b, c, d, e, f, g, h] = sums;
        ((a + b) + (c + d)) + ((e + f) + (g + h))
    };
    tree(
        chunking
            .ranges(xs.len())
            .filter(|r| !r.is_empty())
            .map(leaf)
            .collect(),
        |a, b| a + b,
    )
    .unwrap_or(0.0)
}

#[test]
fn a_reduction_has_the_same_documented_bits_for_any_workers_and_any_timing() {
    let xs = nasty(LEN);
    // Associative only in exact arithmetic, and not commutative.
    let op = |a: f64, b: f64| a + b * 0.999;
    let pools = WORKERS.map(started);
    for chunking in chunkings() {
        let want = documented_fold(&xs, chunking, op).to_bits();
        for pool in &pools {
            for _ in 0..2 {
                let map = |x: &f64| {
                    dither();
                    *x
                };
                let got = pool.par_map_reduce_chunked(&xs, chunking, map, || 0.0, op);
                assert_eq!(
                    got.to_bits(),
                    want,
                    "{chunking}, {} workers",
                    pool.num_workers()
                );
            }
            let slow_op = |a, b| {
                dither();
                op(a, b)
            };
            let got = pool.par_reduce_chunked(&xs, chunking, || 0.0, slow_op);
            assert_eq!(
                got.to_bits(),
                want,
                "{chunking}, {} workers, slow operation",
                pool.num_workers()
            );
        }
    }
}

/// The long form has the bits of the short one, whatever its options.
#[test]
fn a_reduction_with_options_has_the_same_documented_bits() {
    let xs = nasty(20_011);
    let op = |a: f64, b: f64| a + b * 0.999;
    let pools = WORKERS.map(started);
    for chunking in chunkings() {
        let want = documented_fold(&xs, chunking, op).to_bits();
        let short = scipar::par_reduce_chunked(&xs, chunking, || 0.0, op).to_bits();
        assert_eq!(short, want, "{chunking}");
        for pool in &pools {
            let check = |how: &str, got: Result<f64, scipar::RunError>| {
                let got = got.unwrap().to_bits();
                assert_eq!(
                    got,
                    want,
                    "{how}, {chunking}, {} workers",
                    pool.num_workers()
                );
            };
            let run = || pool.over(&xs).chunking(chunking);
            let map = |x: &f64| {
                dither();
                *x
            };
            check("plain", run().map_reduce(map, || 0.0, op));
            check("values", run().reduce(|| 0.0, op));
            let options = run()
                .max_workers(3)
                .cancel_on(&scipar::CancelToken::new())
                .deadline(Duration::from_secs(1_000))
                .progress(|_| dither());
            check("options", options.map_reduce(map, || 0.0, op));
            let hinted = run().cost_hint(|x| x.abs());
            check("hint", hinted.map_reduce(map, || 0.0, op));
            let backwards = run().cost_hint(|x| -x).worker_state(|worker| worker);
            let with_state = |worker: &mut usize, x: &f64| {
                *worker += 1;
                map(x)
            };
            check("state", backwards.map_reduce(with_state, || 0.0, op));
        }
    }
}

#[test]
fn a_sum_has_the_same_documented_bits_for_any_workers_and_any_timing() {
    let xs = nasty(LEN);
    let pools = WORKERS.map(started);
    for chunking in chunkings() {
        let want = documented_sum(&xs, chunking).to_bits();
        for pool in &pools {
            // Two callers at once, so that each has helpers at other times.
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..3 {
                            let got = pool.par_sum_chunked(&xs, chunking).to_bits();
                            assert_eq!(got, want, "{chunking}, {} workers", pool.num_workers());
                        }
                    });
                }
            });
        }
        let free = scipar::par_sum_chunked(&xs, chunking).to_bits();
        assert_eq!(free, want, "{chunking}, free function");
    }
}

#[test]
fn sums_of_every_small_length_have_the_documented_bits() {
    let xs = nasty(300);
    let pool = started(2);
    for len in 0..xs.len() {
        for chunking in [
            Chunking::auto(),
            Chunking::size(1),
            Chunking::size(9),
            Chunking::count(5),
            Chunking::serial(),
        ] {
            let got = pool.par_sum_chunked(&xs[..len], chunking);
            assert_eq!(
                got.to_bits(),
                documented_sum(&xs[..len], chunking).to_bits(),
                "{len} items, {chunking}"
            );
        }
    }
}

#[test]
fn the_tree_is_written_out_as_documented() {
    let pool = started(3);
    let written = |len: usize, chunking| {
        pool.par_map_reduce_chunked(
            0..len,
            chunking,
            |i| i.to_string(),
            String::new,
            |a, b| format!("({a}{b})"),
        )
    };
    assert_eq!(written(0, Chunking::size(1)), "");
    assert_eq!(written(1, Chunking::size(1)), "0");
    assert_eq!(written(5, Chunking::size(1)), "(((01)(23))4)");
    assert_eq!(written(7, Chunking::size(1)), "(((01)(23))((45)6))");
    assert_eq!(written(8, Chunking::size(3)), "((((01)2)((34)5))(67))");
    assert_eq!(written(5, Chunking::count(2)), "(((01)2)(34))");
    assert_eq!(written(3, Chunking::count(9)), "((01)2)");
    assert_eq!(written(5, Chunking::serial()), "((((01)2)3)4)");
    assert_eq!(written(5, Chunking::size(9)), "((((01)2)3)4)");
}

/// The leaves of `auto` are part of the contract: other leaves are other bits.
#[test]
fn the_leaves_of_auto_depend_on_the_length_alone() {
    let leaf = |len: usize| Chunking::auto().ranges(len).next().map(|r| r.len());
    let lengths = [
        (0, None),
        (1, Some(1)),
        (63, Some(1)),
        (1_000, Some(8)),
        (100_000, Some(128)),
        (1_000_000, Some(512)),
    ];
    for (len, want) in lengths {
        assert_eq!(leaf(len), want, "{len} items");
        // By-chunk maps have the same ones, with any workers.
        for pool in [Pool::new(1), Pool::new(64)] {
            let lens = pool.par_map_by_chunk(0..len, Chunking::auto(), |_, chunk| chunk.len());
            assert_eq!(lens.first().copied(), want);
        }
    }
}

#[test]
fn serial_is_the_plain_loop_bit_for_bit() {
    let xs = nasty(LEN);
    let op = |a: f64, b: f64| a + b * 0.999;
    let plain = xs.iter().map(|x| x * 3.0).reduce(op).unwrap();
    let serial = scipar::par_map_reduce_chunked(&xs, Chunking::serial(), |x| x * 3.0, || 0.0, op);
    assert_eq!(serial.to_bits(), plain.to_bits());
    let plain = xs.iter().copied().reduce(op).unwrap();
    assert_eq!(
        scipar::par_reduce_chunked(&xs, Chunking::serial(), || 0.0, op).to_bits(),
        plain.to_bits()
    );
}

/// A sum with an error far below that of any sum under test, by Neumaier.
fn exact(xs: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut rest) = (0.0_f64, 0.0_f64);
    for x in xs {
        let next = sum + x;
        rest += if sum.abs() >= x.abs() {
            (sum - next) + x
        } else {
            (x - next) + sum
        };
        sum = next;
    }
    sum + rest
}

#[test]
fn the_error_of_a_sum_is_within_that_of_pairwise_summation() {
    let n = LEN as f64;
    // Additions that an item goes through in pairwise summation with blocks of 128 in eight lanes: the bound of its error.
    let depth = 16.0 + 3.0 + (n / 128.0).log2().ceil();
    let cases: [(&str, Vec<f64>); 4] = [
        ("thirty decades", nasty(LEN)),
        ("a tenth", vec![0.1; LEN]),
        (
            "one big",
            (0..LEN).map(|i| if i == 0 { 1e16 } else { 1.0 }).collect(),
        ),
        (
            "cancelling",
            (0..LEN)
                .map(|i| if i % 2 == 0 { 1e8 + noise(i) } else { -1e8 })
                .collect(),
        ),
    ];
    for (name, xs) in &cases {
        let want = exact(xs.iter().copied());
        let bound = depth * (f64::EPSILON / 2.0) * xs.iter().map(|x| x.abs()).sum::<f64>() * 1.0001;
        let error = (scipar::par_sum_chunked(xs, Chunking::auto()) - want).abs();
        assert!(error <= bound, "{name}: {error:e} above {bound:e}");
    }
    // Where a plain loop is visibly wrong, this is not.
    let tenths = vec![0.1_f32; 1_000_000];
    let want = f64::from(0.1_f32) * 1e6;
    let relative = |sum: f32| (f64::from(sum) - want).abs() / want;
    let plain = relative(tenths.iter().fold(0.0, |a, b| a + b));
    let ours = relative(scipar::par_sum_chunked(&tenths, Chunking::auto()));
    assert!(plain > 1e-3, "{plain:e}");
    assert!(ours < 1e-6, "{ours:e}");
}

#[test]
fn sums_of_special_values_are_those_of_arithmetic() {
    for chunking in chunkings() {
        let sum = |xs: &[f64]| scipar::par_sum_chunked(xs, chunking);
        assert_eq!(sum(&[]).to_bits(), 0.0_f64.to_bits());
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum(&[1.0, f64::NAN, 2.0]).is_nan());
        assert_eq!(sum(&[f64::MIN_POSITIVE / 4.0; 8]), f64::MIN_POSITIVE * 2.0);
    }
}
