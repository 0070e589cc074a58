//! The N^4 loop: four nested loops around next to nothing, the load of many a scaling study.
//!
//! For 0 ≤ i < j < l < m < n, a notebook on parallel Python ran `out = ((i + 4) ** 0.5) ** 2`. The body runs C(n, 4) times, about n⁴/24,
//! and every run overwrites `out`, so the answer is that of the last one: i + 4 = n, and (√n)² rounded.
//! An optimiser sees that too: compiled by LLVM, the loop as written takes O(n²), as the two inner loops are removed. A load for
//! measurements must resist that. So there are
//!
//! | | what it gives | how often a body is executed |
//! |---|---|---|
//! | [`last_value`] | what the last run gives | never: closed form |
//! | [`spin`] | the same, its oracle | C(n, 4) times, and no optimiser may leave one out |
//! | [`sum`] | Σ √(i+4)·√(i+4), added one by one | C(n, 4) times, as no order of rounded additions may be changed |
//! | [`par_sum`] | the same sum on a pool, rounded otherwise | C(n, 4) times |
//! | [`exact_sum`] | that sum without rounding | never: C(n, 5) + 4·C(n, 4) |
//! | [`iterations`] | C(n, 4) | |
//!
//! # Examples
//!
//! ```
//! use scipar::Pool;
//! use scipar::kernels::quartic;
//!
//! assert_eq!(quartic::iterations(50)?, 230_300);
//! assert_eq!(quartic::last_value(50), 50.00000000000001); // √50 is rounded, and so is its square
//! assert_eq!(quartic::spin(50), quartic::last_value(50));
//!
//! let exact = quartic::exact_sum(50)? as f64;
//! assert_eq!(quartic::sum(50), exact);
//! assert_eq!(quartic::par_sum(&Pool::new(2), 50), exact);
//! # Ok::<(), quartic::Overflow>(())
//! ```

use std::hint::black_box;

use crate::chunking::Chunking;
use crate::pool::Pool;

/// A number of the loop that is too large for 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} of the loop for n = {n} is more than 64 bits can hold")]
pub struct Overflow {
    what: &'static str,
    n: u32,
}

impl Overflow {
    /// The n that was asked for.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.n
    }
}

/// How often the body runs: C(n, 4) = n(n-1)(n-2)(n-3)/24.
///
/// # Examples
///
/// ```
/// use scipar::kernels::quartic::iterations;
///
/// assert_eq!(iterations(5), Ok(5));
/// assert_eq!(iterations(1000), Ok(41_417_124_750));
/// assert_eq!(
///     iterations(200_000).unwrap_err().to_string(),
///     "the number of iterations of the loop for n = 200000 is more than 64 bits can hold",
/// );
/// ```
///
/// # Errors
///
/// [`Overflow`] from n = 145,057 on.
pub fn iterations(n: u32) -> Result<u64, Overflow> {
    binomial(n, 4).ok_or(Overflow {
        what: "number of iterations",
        n,
    })
}

/// The sum of i + 4 over the loop, without rounding: C(n, 5) + 4·C(n, 4).
///
/// The first term is Σ i: a choice of five numbers below n is one of the four largest of them as (i, j, l, m) and one below i, for which there are i
/// ways. What [`sum`] and [`par_sum`] give is rounded; how close it is, they say.
///
/// # Errors
///
/// [`Overflow`] from n = 18,577 on.
pub fn exact_sum(n: u32) -> Result<u64, Overflow> {
    let sum = || binomial(n, 5)?.checked_add(binomial(n, 4)?.checked_mul(4)?);
    sum().ok_or(Overflow { what: "sum", n })
}

/// C(n, k) for a small k, where it fits.
fn binomial(n: u32, k: u32) -> Option<u64> {
    // Each division is exact: after step i the value is C(n, i + 1).
    let wide = (0..k).try_fold(1_u128, |value, i| {
        let product = value.checked_mul(u128::from(n.saturating_sub(i)))?;
        Some(product / u128::from(i + 1))
    });
    u64::try_from(wide?).ok()
}

/// What the last run of the body gives: √n·√n for n ≥ 4, and 0 where the body never runs.
///
/// The product of the rounded root, which differs from n by an ulp for some n, and not `powf(0.5)` and `powi(2)`, which round
/// otherwise for a few. [`spin`] executes the loop and gives the same bits.
#[must_use]
pub fn last_value(n: u32) -> f64 {
    if n < 4 { 0.0 } else { square_of_root(n - 4) }
}

/// Runs the body C(n, 4) times, root and square and all, and gives what the last one gave: a load.
///
/// The value that goes into each body, and the one that comes out, pass through [`black_box`], so that
/// no compiler may leave out a run, or take the root out of the inner loops. The time is proportional to [`iterations`], nothing is read from
/// memory but what is in the first cache, and nothing is shared between threads: work that scales as well as work can.
///
/// # Cost
///
/// 3.4 ns per iteration where this was written: the root, its square, and a store and a load on either side.
#[must_use]
pub fn spin(n: u32) -> f64 {
    let mut out = 0.0;
    for i in 0..n {
        for j in i + 1..n {
            for l in j + 1..n {
                for _m in l + 1..n {
                    out = black_box(square_of_root(black_box(i)));
                }
            }
        }
    }
    out
}

/// Adds √(i+4)·√(i+4) up over the loop, one by one in the loop's order: the oracle of [`par_sum`].
///
/// # Ordering and determinism
///
/// Exactly this order, so the same bits everywhere. The sum is rounded C(n, 4) times, and yet it is [`exact_sum`] for
/// every n up to 260, and for n = 400: soon the sum so far is so large that the error of the next term is less than half of its last bit.
#[must_use]
pub fn sum(n: u32) -> f64 {
    let mut out = 0.0;
    for i in 0..n {
        for j in i + 1..n {
            for l in j + 1..n {
                for _m in l + 1..n {
                    out += square_of_root(i);
                }
            }
        }
    }
    out
}

/// The sum of [`sum`] on the workers of a pool.
///
/// The pairs (i, j) are the items of a map and reduce; the two inner loops of a pair are added in eight interleaved running sums, so that an
/// addition does not wait for the one before. All C(n, 4) additions are executed.
///
/// # Ordering and determinism
///
/// Reproducible: the same bits for any number of workers, as the shape of the tree that pairs are combined in depends on n alone. The order of the additions is not that of
/// [`sum`], so the last bit may be another: up to n = 260 it is [`exact_sum`] but for n = 19 and n = 25, where it is one ulp more; for n = 400 it is
/// [`exact_sum`].
///
/// # Blocking
///
/// Until the sum is there; the caller computes too.
#[must_use]
pub fn par_sum(pool: &Pool, n: u32) -> f64 {
    // Above j there must be room for l and m.
    let ends = u64::from(n).saturating_sub(2);
    let pairs = ends * ends.saturating_sub(1) / 2;
    pool.par_map_reduce_chunked(
        0..pairs,
        Chunking::auto(),
        |rank| {
            let (i, j) = pair(rank, pairs, ends);
            sum_of_pair(i, j, n)
        },
        || 0.0,
        |a, b| a + b,
    )
}

/// The body: the root of i + 4, times itself.
#[inline(always)]
fn square_of_root(i: u32) -> f64 {
    let root = (f64::from(i) + 4.0).sqrt();
    root * root
}

/// The pair i < j < `ends` number `rank` in the loop's order, of `pairs` in all.
fn pair(rank: u64, pairs: u64, ends: u64) -> (u32, u32) {
    // From the last pair backwards, the pairs with the same i are groups of 1, 2, 3 ...: group k begins at k(k+1)/2.
    let back = pairs - 1 - rank;
    let k = ((8 * u128::from(back) + 1).isqrt() as u64 - 1) / 2;
    let i = ends - 2 - k;
    let j = ends - 1 - (back - k * (k + 1) / 2);
    (i as u32, j as u32)
}

/// The two inner loops.
fn sum_of_pair(i: u32, j: u32, n: u32) -> f64 {
    let term = square_of_root(i);
    let mut lanes = [0.0; 8];
    for l in j + 1..n {
        let runs = n - 1 - l; // of m
        for _ in 0..runs / 8 {
            for lane in &mut lanes {
                *lane += term;
            }
        }
        for lane in &mut lanes[..runs as usize % 8] {
            *lane += term;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_enumerate_the_pairs_in_the_order_of_the_loop() {
        for ends in 2..40_u64 {
            let pairs = ends * (ends - 1) / 2;
            let mut rank = 0;
            for i in 0..ends as u32 {
                for j in i + 1..ends as u32 {
                    assert_eq!(pair(rank, pairs, ends), (i, j), "{rank} of {pairs}");
                    rank += 1;
                }
            }
            assert_eq!(rank, pairs);
        }
        // The first and the last pair of the longest loop there is.
        let ends = u64::from(u32::MAX) - 2;
        let pairs = ends * (ends - 1) / 2;
        assert_eq!(pair(0, pairs, ends), (0, 1));
        assert_eq!(
            pair(pairs - 1, pairs, ends),
            (ends as u32 - 2, ends as u32 - 1)
        );
    }

    #[test]
    fn binomials_are_those_of_pascals_triangle() {
        let mut row = vec![1_u64];
        for n in 0..60 {
            for k in 0..=5 {
                let expected = row.get(k as usize).copied().unwrap_or(0);
                assert_eq!(binomial(n, k), Some(expected), "C({n}, {k})");
            }
            let next = |k: usize| row.get(k).unwrap_or(&0) + if k > 0 { row[k - 1] } else { 0 };
            row = (0..=row.len()).map(next).collect();
        }
        assert_eq!(binomial(u32::MAX, 5), None);
        assert_eq!(binomial(u32::MAX, 4), None);
        assert_eq!(binomial(u32::MAX, 1), Some(u64::from(u32::MAX)));
    }

    #[test]
    fn the_limits_of_64_bits_are_where_the_pages_say() {
        assert!(iterations(145_056).is_ok() && iterations(145_057).is_err());
        assert!(exact_sum(18_576).is_ok() && exact_sum(18_577).is_err());
    }
}
