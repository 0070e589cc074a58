//! The matrix: every operation, under every chunking, with every number of workers, at every length, against std.
//!
//! A new operation is one line in the table at the end.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::{Seen, chunkings, spin, started};
use scipar::{Chunking, Pool};

/// One cell of the matrix.
struct Case<'a> {
    operation: &'a str,
    /// `None` is the free function, that is the global pool.
    pool: Option<&'a Pool>,
    chunking: Chunking,
    /// What each item costs.
    weight: Duration,
    ints: &'a [i64],
    /// With ties, both zeros, infinities and NaN.
    floats: &'a [f64],
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operation,
            chunking,
            weight,
            ..
        } = self;
        write!(
            f,
            "{operation}, {chunking}, {} items of {weight:?}, ",
            self.ints.len()
        )?;
        match self.pool {
            Some(pool) => write!(f, "{} workers", pool.num_workers()),
            None => write!(f, "the global pool"),
        }
    }
}

impl Case<'_> {
    fn len(&self) -> usize {
        self.ints.len()
    }

    fn weigh(&self) {
        if self.weight > Duration::ZERO {
            spin(self.weight);
        }
    }

    #[track_caller]
    fn check<T: PartialEq>(&self, got: T, want: T) {
        assert!(
            got == want,
            "{self}: the answer is not that of the serial loop"
        );
    }
}

/// Calls an operation as the method of the case's pool, or as the free function.
macro_rules! call {
    ($case:ident, $name:ident($source:expr, $($rest:expr),+)) => {
        match $case.pool {
            Some(pool) => pool.$name($source, $($rest),+),
            None => scipar::$name($source, $($rest),+),
        }
    };
}

const WORKERS: [usize; 4] = [1, 2, 7, 120];
const LENGTHS: [usize; 5] = [0, 1, 2, 997, 100_000];
/// Below the largest number of workers, so that there is one with more workers than items.
const HEAVY_LENGTHS: [usize; 5] = [0, 1, 2, 13, 97];

fn pools() -> &'static [Pool; 4] {
    static POOLS: OnceLock<[Pool; 4]> = OnceLock::new();
    POOLS.get_or_init(|| WORKERS.map(started))
}

fn ints(len: usize) -> Vec<i64> {
    (0..len as i64).map(|i| (i * 7919) % 1009 - 500).collect()
}

fn floats(len: usize) -> Vec<f64> {
    let special = [
        f64::NAN,
        3.5,
        -3.5,
        0.0,
        -0.0,
        3.5,
        -3.5,
        1.0,
        f64::NAN,
        -1.0,
    ];
    (0..len)
        .map(|i| {
            if i % 97 == 41 {
                special[i / 97 % special.len()]
            } else {
                special[i * i % special.len()]
            }
        })
        .collect()
}

type Operation = (&'static str, fn(&Case));

fn fill(operations: &[Operation], lengths: &[usize], weight: Duration) {
    for &len in lengths {
        let (ints, floats) = (ints(len), floats(len));
        for pool in pools().iter().map(Some).chain([None]) {
            for chunking in chunkings(len) {
                for &(operation, check) in operations {
                    check(&Case {
                        operation,
                        pool,
                        chunking,
                        weight,
                        ints: &ints,
                        floats: &floats,
                    });
                }
            }
        }
    }
}

fn map(case: &Case) {
    let f = |x: &i64| {
        case.weigh();
        x * 3 - 1
    };
    case.check(
        call!(case, par_map_chunked(case.ints, case.chunking, f)),
        case.ints.iter().map(f_light).collect(),
    );
    fn f_light(x: &i64) -> i64 {
        x * 3 - 1
    }
}

fn map_to_owned_memory(case: &Case) {
    let got = call!(
        case,
        par_map_chunked(case.ints.to_vec(), case.chunking, |x| {
            case.weigh();
            Box::new(x)
        })
    );
    case.check(got, case.ints.iter().copied().map(Box::new).collect());
}

fn map_to_nothing(case: &Case) {
    let calls = AtomicUsize::new(0);
    let got: Vec<()> = call!(
        case,
        par_map_chunked(0..case.len(), case.chunking, |_| {
            case.weigh();
            calls.fetch_add(1, Relaxed);
        })
    );
    case.check((got.len(), calls.into_inner()), (case.len(), case.len()));
}

fn map_into(case: &Case) {
    let mut out = vec![String::from("before"); case.len()];
    call!(
        case,
        par_map_into_chunked(case.ints, &mut out, case.chunking, |x| {
            case.weigh();
            x.to_string()
        })
    );
    case.check(out, case.ints.iter().map(i64::to_string).collect());
}

fn for_each(case: &Case) {
    let mut items = case.ints.to_vec();
    call!(
        case,
        par_for_each_chunked(&mut items, case.chunking, |x| {
            case.weigh();
            *x = *x * 2 + 1;
        })
    );
    case.check(items, case.ints.iter().map(|x| x * 2 + 1).collect());
}

fn for_each_sees_every_item_once(case: &Case) {
    let seen: Vec<AtomicUsize> = (0..case.len()).map(|_| AtomicUsize::new(0)).collect();
    call!(
        case,
        par_for_each_chunked(0..case.len(), case.chunking, |i| {
            case.weigh();
            seen[i].fetch_add(1, Relaxed);
        })
    );
    case.check(seen.into_iter().all(|n| n.into_inner() == 1), true);
}

/// A fallible map that fails at some indices.
fn try_map_failing_at(case: &Case, bad: &[usize]) {
    let f = |i: usize| {
        case.weigh();
        if bad.contains(&i) {
            Err(format!("item {i}"))
        } else {
            Ok(case.ints[i].to_string())
        }
    };
    let got = call!(case, par_try_map_chunked(0..case.len(), case.chunking, f));
    let want = match bad.iter().min() {
        Some(first) => Err(format!("item {first}")),
        None => Ok(case.ints.iter().map(i64::to_string).collect()),
    };
    case.check(got, want);
}

fn try_map_without_error(case: &Case) {
    try_map_failing_at(case, &[]);
}

fn try_map_failing_first(case: &Case) {
    try_map_failing_at(case, &[0][..case.len().min(1)]);
}

fn try_map_failing_in_the_middle(case: &Case) {
    try_map_failing_at(case, &[case.len() / 2][..case.len().min(1)]);
}

fn try_map_failing_last(case: &Case) {
    try_map_failing_at(case, &[case.len().saturating_sub(1)][..case.len().min(1)]);
}

fn try_map_failing_often(case: &Case) {
    let len = case.len();
    // Not in order, and among them two neighbours and the last.
    let bad = [len * 2 / 3, len / 3 + 1, len / 3, len.saturating_sub(1)];
    let bad: Vec<usize> = bad.into_iter().filter(|&i| i < len).collect();
    try_map_failing_at(case, &bad);
}

fn map_by_chunk(case: &Case) {
    let got = call!(
        case,
        par_map_by_chunk(case.ints, case.chunking, |start, chunk| {
            chunk.iter().for_each(|_| case.weigh());
            (start, chunk.to_vec())
        })
    );
    let want: Vec<_> = case
        .chunking
        .ranges(case.len())
        .map(|r| (r.start, case.ints[r].to_vec()))
        .collect();
    case.check(got, want);
}

fn map_reduce_lists(case: &Case) {
    let got = call!(
        case,
        par_map_reduce_chunked(
            0..case.len(),
            case.chunking,
            |i| {
                case.weigh();
                vec![i]
            },
            Vec::new,
            |mut a, mut b| {
                a.append(&mut b);
                a
            }
        )
    );
    case.check(got, (0..case.len()).collect());
}

/// Affine maps `x -> a x + b` modulo 2^64: composing them is associative and not commutative.
fn map_reduce_compositions(case: &Case) {
    let affine = |x: &i64| ((*x as u64) << 1 | 1, *x as u64 ^ 5);
    let then = |(a, b): (u64, u64), (c, d): (u64, u64)| {
        (a.wrapping_mul(c), b.wrapping_mul(c).wrapping_add(d))
    };
    let got = call!(
        case,
        par_map_reduce_chunked(
            case.ints,
            case.chunking,
            affine,
            || (1, 0),
            |f, g| {
                case.weigh();
                then(f, g)
            }
        )
    );
    case.check(got, case.ints.iter().map(affine).fold((1, 0), then));
}

fn reduce(case: &Case) {
    let words: Vec<String> = case
        .ints
        .iter()
        .map(|x| char::from(b'a' + (x.unsigned_abs() % 26) as u8).to_string())
        .collect();
    let got = call!(
        case,
        par_reduce_chunked(&words, case.chunking, String::new, |a, b| {
            case.weigh();
            a + &b
        })
    );
    case.check(got, words.concat());
}

fn reduce_calls_the_identity_for_nothing_only(case: &Case) {
    let mut calls = 0;
    let got = call!(
        case,
        par_reduce_chunked(
            case.ints,
            case.chunking,
            || {
                calls += 1;
                i64::MIN
            },
            i64::max
        )
    );
    case.check(
        (got, calls),
        (
            case.ints.iter().copied().max().unwrap_or(i64::MIN),
            usize::from(case.len() == 0),
        ),
    );
}

fn sum_of_integers(case: &Case) {
    case.check(
        call!(case, par_sum_chunked(case.ints, case.chunking)),
        case.ints.iter().sum(),
    );
    case.check(
        call!(case, par_sum_chunked(0..case.len(), case.chunking)),
        (0..case.len()).sum(),
    );
}

/// Whole numbers, whose sum is exact in whatever order.
fn sum_of_floats(case: &Case) {
    let xs: Vec<f64> = case.ints.iter().map(|&x| x as f64).collect();
    case.check(
        call!(case, par_sum_chunked(&xs, case.chunking)),
        case.ints.iter().sum::<i64>() as f64,
    );
}

/// A number that takes its time to be compared.
#[derive(Clone, Copy)]
struct Slow<'a>(f64, &'a Case<'a>);

impl PartialEq for Slow<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl PartialOrd for Slow<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.1.weigh();
        self.0.partial_cmp(&other.0)
    }
}

fn first_best(xs: &[f64], beats: impl Fn(f64, f64) -> bool) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, &x) in xs.iter().enumerate() {
        if !x.is_nan() && best.is_none_or(|b| beats(x, xs[b])) {
            best = Some(i);
        }
    }
    best
}

fn argmin(case: &Case) {
    let xs: Vec<Slow> = case.floats.iter().map(|&x| Slow(x, case)).collect();
    case.check(
        call!(case, par_argmin_chunked(&xs, case.chunking)),
        first_best(case.floats, |a, b| a < b),
    );
}

fn argmax(case: &Case) {
    let xs: Vec<Slow> = case.floats.iter().map(|&x| Slow(x, case)).collect();
    case.check(
        call!(case, par_argmax_chunked(&xs, case.chunking)),
        first_best(case.floats, |a, b| a > b),
    );
}

fn arg_best_of_ties_is_the_first(case: &Case) {
    let (zeros, first) = (
        vec![Slow(0.0, case); case.len()],
        (case.len() > 0).then_some(0),
    );
    case.check(
        call!(case, par_argmin_chunked(&zeros, case.chunking)),
        first,
    );
    case.check(
        call!(case, par_argmax_chunked(&zeros, case.chunking)),
        first,
    );
}

fn arg_best_of_nan_is_none(case: &Case) {
    let nans = vec![f64::NAN; case.len()];
    case.check(call!(case, par_argmin_chunked(&nans, case.chunking)), None);
    case.check(call!(case, par_argmax_chunked(&nans, case.chunking)), None);
}

fn arg_best_at_the_end(case: &Case) {
    let len = case.len();
    case.check(
        call!(case, par_argmax_chunked(0..len, case.chunking)),
        len.checked_sub(1),
    );
    case.check(
        call!(
            case,
            par_argmin_chunked((0..len).rev().collect::<Vec<_>>(), case.chunking)
        ),
        len.checked_sub(1),
    );
}

const MAPS: &[Operation] = &[
    ("map", map),
    ("map to boxes, by value", map_to_owned_memory),
    ("map to nothing", map_to_nothing),
    ("map into", map_into),
    ("for each", for_each),
    ("for each, once", for_each_sees_every_item_once),
    ("map by chunk", map_by_chunk),
];

const FALLIBLE: &[Operation] = &[
    ("try map, no error", try_map_without_error),
    ("try map, first fails", try_map_failing_first),
    ("try map, middle fails", try_map_failing_in_the_middle),
    ("try map, last fails", try_map_failing_last),
    ("try map, several fail", try_map_failing_often),
];

const REDUCTIONS: &[Operation] = &[
    ("map reduce, lists", map_reduce_lists),
    ("map reduce, compositions", map_reduce_compositions),
    ("reduce", reduce),
    (
        "reduce, identity",
        reduce_calls_the_identity_for_nothing_only,
    ),
    ("sum of integers", sum_of_integers),
    ("sum of floats", sum_of_floats),
];

const EXTREMES: &[Operation] = &[
    ("argmin", argmin),
    ("argmax", argmax),
    ("argmin and argmax, ties", arg_best_of_ties_is_the_first),
    ("argmin and argmax, NaN", arg_best_of_nan_is_none),
    ("argmin and argmax, last", arg_best_at_the_end),
];

/// Items that a processor is done with before a helper is awake.
const CHEAP: Duration = Duration::ZERO;
/// Items of which a few pay for a helper.
const HEAVY: Duration = Duration::from_micros(10);

#[test]
fn maps_of_cheap_items_are_those_of_std() {
    fill(MAPS, &LENGTHS, CHEAP);
}

#[test]
fn fallible_maps_of_cheap_items_are_those_of_std() {
    fill(FALLIBLE, &LENGTHS, CHEAP);
}

#[test]
fn reductions_of_cheap_items_are_those_of_std() {
    fill(REDUCTIONS, &LENGTHS, CHEAP);
}

#[test]
fn extremes_of_cheap_items_are_those_of_std() {
    fill(EXTREMES, &LENGTHS, CHEAP);
}

#[test]
fn operations_on_heavy_items_are_those_of_std() {
    for operations in [MAPS, FALLIBLE, REDUCTIONS, EXTREMES] {
        fill(operations, &HEAVY_LENGTHS, HEAVY);
    }
}

/// Runs `operation` on a pool of two, again and again on a busy machine, until two threads took part in one call.
fn assert_shared(name: &str, chunking: Chunking, operation: impl Fn(&Pool, &Seen)) {
    let pool = started(2);
    for _ in 0..100 {
        let seen = Seen::default();
        operation(&pool, &seen);
        match seen.count() {
            1 => {}
            2 => return,
            more => panic!("{name}, {chunking}: {more} threads in a pool of two workers"),
        }
    }
    panic!("{name}, {chunking}: one thread did all the work in each of 100 calls");
}

#[test]
fn heavy_work_is_shared_by_both_workers() {
    let item = |seen: &Seen| {
        spin(Duration::from_micros(100));
        seen.note();
    };
    let chunkings = [
        Chunking::auto(),
        Chunking::auto().min_len(8),
        Chunking::size(1),
        Chunking::size(16),
        Chunking::count(4),
    ];
    for chunking in chunkings {
        assert_shared("map", chunking, |pool, seen| {
            drop(pool.par_map_chunked(0..200, chunking, |_| item(seen)))
        });
        assert_shared("for each", chunking, |pool, seen| {
            pool.par_for_each_chunked(vec![(); 200], chunking, |()| item(seen));
        });
        assert_shared("map into", chunking, |pool, seen| {
            pool.par_map_into_chunked(0..200, &mut [(); 200], chunking, |_| item(seen));
        });
        assert_shared("try map", chunking, |pool, seen| {
            let _ = pool.par_try_map_chunked(0..200, chunking, |_| {
                item(seen);
                Ok::<_, ()>(1)
            });
        });
        assert_shared("map by chunk", chunking, |pool, seen| {
            pool.par_map_by_chunk(0..200_i32, chunking, |_, chunk| {
                chunk.for_each(|_| item(seen))
            });
        });
        assert_shared("map reduce", chunking, |pool, seen| {
            pool.par_map_reduce_chunked(0..200, chunking, |_| item(seen), || (), |(), ()| ());
        });
    }
}

#[test]
fn serial_work_stays_with_the_caller() {
    let pool = started(2);
    let caller = std::thread::current().id();
    let threads = pool.par_map_chunked(0..100, Chunking::serial(), |_| {
        spin(Duration::from_micros(100));
        std::thread::current().id()
    });
    assert!(threads.into_iter().all(|thread| thread == caller));
}

#[test]
fn a_chunk_of_a_stated_size_is_done_by_one_thread() {
    let pool = started(2);
    let chunk = 16;
    for _ in 0..200 {
        let by_thread = std::sync::Mutex::new(BTreeMap::new());
        pool.par_for_each_chunked(0..chunk * 20, Chunking::size(chunk), |i| {
            spin(Duration::from_micros(20));
            let thread = format!("{:?}", std::thread::current().id());
            by_thread
                .lock()
                .unwrap()
                .entry(thread)
                .or_insert_with(Vec::new)
                .push(i / chunk);
        });
        let chunks: Vec<Vec<usize>> = by_thread.into_inner().unwrap().into_values().collect();
        for chunk in 0..20 {
            let owners = chunks.iter().filter(|list| list.contains(&chunk)).count();
            assert_eq!(owners, 1, "chunk {chunk} was torn apart");
        }
        if chunks.len() == 2 {
            return;
        }
    }
    panic!("no call was shared");
}
