//! The Chamfer distance of two sets, as far as it is wanted.

use super::packed::{LANES, Lane, ROWS, Set};
use super::tile::{Kind, Vector, instance, larger, sweep};
use super::{Metric, Reduction};

/// How clusters are compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) metric: Metric,
    pub(super) reduction: Reduction,
}

/// Vectors for what is found on the way, kept so that each pair does not allocate.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For each column the least.
    columns: Vec<Lane>,
    /// For each group of rows the sum of their distances to the box around the columns.
    gaps: Vec<f64>,
}

/// Two sets, and the boxes around them where they are known: the least coordinates, then the largest.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) left: Set<'a>,
    pub(super) right: Set<'a>,
    pub(super) boxes: Option<[&'a [f64]; 2]>,
}

/// The Chamfer distance of two sets.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn full_distance(
    measure: Measure,
    left: Set<'_>,
    right: Set<'_>,
    scratch: &mut Scratch,
) -> f64 {
    instance!(
        measure.metric,
        left.dim,
        widest full_instance(measure, left, right, scratch)
    )
}

#[inline(always)]
fn full_instance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    measure: Measure,
    left: Set<'_>,
    right: Set<'_>,
    scratch: &mut Scratch,
) -> f64 {
    let boxes = None;
    let pair = Pair { left, right, boxes };
    distance::<K, V, D, W>(v, measure, pair, f64::INFINITY, scratch)
        .expect("nothing exceeds infinity")
}

/// The Chamfer distance of two sets, or `None` if it is more than `limit`.
#[inline(always)]
pub(super) fn distance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    measure: Measure,
    pair: Pair<'_>,
    limit: f64,
    scratch: &mut Scratch,
) -> Option<f64> {
    let Pair { left, right, boxes } = pair;
    // The distance has the same bits either way. The more rows there are the sooner a few of them decide.
    let (rows, columns, around) = match left.len >= right.len {
        true => (left, right, boxes.map(|[_, right]| right)),
        false => (right, left, boxes.map(|[left, _]| left)),
    };
    let dim = if D == 0 { rows.dim } else { D };
    let Measure { metric, reduction } = measure;
    let (mut sum, mut left, len) = (0.0, rows.len, rows.len as f64);
    // With room for the rounding of the sums, so that none is given up that reaches the limit and no more.
    let most = reduction.most(limit) * len;
    let most = most * (1.0 + 4.0 * (len + 2.0) * f64::EPSILON) + f64::MIN_POSITIVE;
    let mut ahead = 0.0;
    let around = around.filter(|_| K::GROWS);
    if let Some(around) = around {
        ahead = gaps::<D>(metric, rows, around, &mut scratch.gaps);
        if ahead > most {
            return None;
        }
    }
    let least = &mut scratch.columns;
    least.clear();
    least.resize(columns.len.div_ceil(LANES), Lane::FAR);
    // The sum over rows grows from row to row, also as it is rounded: as soon as it is too much, with the least that the rest can add,
    // nothing can make it less.
    for (i, group) in rows.rows.chunks_exact(ROWS * dim).enumerate() {
        let mut of_rows = sweep::<K, V, D, W>(v, dim, group, columns.columns, Some(least));
        finish(metric, &mut of_rows);
        for &least in &of_rows[..left.min(ROWS)] {
            sum += least;
        }
        left -= left.min(ROWS);
        if around.is_some() {
            ahead -= scratch.gaps[i];
        }
        if sum + ahead > most {
            return None;
        }
    }
    let there = sum / len;
    for least in least.iter_mut() {
        finish(metric, &mut least.0);
    }
    let mut sum = 0.0;
    for distance in Lane::numbers(least, columns.len) {
        sum += distance;
    }
    let distance = reduction.reduce(there, sum / columns.len as f64);
    (distance <= limit).then_some(distance)
}

/// For each group of rows the sum of the distances to a box; the sum of all.
///
/// Rounded operation by operation as distances to points are, and rounding keeps order: no point in the box is nearer.
#[inline(always)]
fn gaps<const D: usize>(metric: Metric, rows: Set<'_>, around: &[f64], sums: &mut Vec<f64>) -> f64 {
    let dim = if D == 0 { rows.dim } else { D };
    let (low, high) = around.split_at(dim);
    let mut total = 0.0;
    sums.clear();
    for group in rows.columns.chunks_exact(dim) {
        let mut gaps = [0.0; LANES];
        for k in 0..dim {
            let (low, high, x) = (low[k], high[k], group[k].0);
            for lane in 0..LANES {
                let gap = larger(larger(low - x[lane], x[lane] - high), 0.0);
                gaps[lane] += gap * gap;
            }
        }
        finish(metric, &mut gaps);
        for gap in &mut gaps {
            // Groups that are not full end in points at infinity.
            *gap = if *gap < f64::INFINITY { *gap } else { 0.0 };
        }
        let [a, b, c, d, e, f, g, h] = gaps;
        let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
        sums.push(sum);
        total += sum;
    }
    total
}

/// Takes the roots, several at a time.
#[inline(always)]
pub(super) fn finish(metric: Metric, least: &mut [f64]) {
    if metric != Metric::SquaredEuclidean {
        for least in least {
            *least = least.sqrt();
        }
    }
}

#[cfg(test)]
mod tests;
