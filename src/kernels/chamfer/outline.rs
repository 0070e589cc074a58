//! What clusters are apart at least, from their boxes and centres alone.
//!
//! The mean distance from the points of L to R is at least that from their centre to the box around R, as the distance to a
//! convex set is a convex function. Few operations per pair of clusters show of most pairs that they are of no use to each other.

use super::packed::{LANES, Lane};
use super::pair::Measure;
use super::tile::{larger, lesser};
use super::{Metric, Reduction};
use crate::kernels::clusters::Clusters;

/// Some times the root of the least positive number, 2.2e-162.
const LEAST_ROOT: f64 = 1e-160;

/// Centres and boxes of clusters.
#[derive(Debug)]
pub(super) struct Outlines {
    dim: usize,
    /// For each cluster its centre, then the least and the largest coordinates.
    rows: Vec<f64>,
    /// The same for eight clusters at a time, as lanes; behind the last one all is at infinity.
    columns: Vec<Lane>,
    /// The number of points of the largest cluster.
    most_points: usize,
    /// The largest coordinate, without its sign.
    largest: f64,
}

impl Outlines {
    pub(super) fn new(clusters: &Clusters) -> Self {
        let dim = clusters.dim();
        let mut outlines = Outlines {
            dim,
            rows: Vec::with_capacity(3 * dim * clusters.len()),
            columns: vec![Lane::FAR; 3 * dim * clusters.len().div_ceil(LANES)],
            most_points: 0,
            largest: 0.0,
        };
        for cluster in 0..clusters.len() {
            outlines.push(cluster, clusters.rows(cluster));
        }
        outlines
    }

    fn push(&mut self, cluster: usize, points: &[f64]) {
        let dim = self.dim;
        let at = self.rows.len();
        self.rows.extend((0..dim).map(|_| 0.0));
        self.rows.extend((0..dim).map(|_| f64::INFINITY));
        self.rows.extend((0..dim).map(|_| f64::NEG_INFINITY));
        let (centre, sides) = self.rows[at..].split_at_mut(dim);
        let (low, high) = sides.split_at_mut(dim);
        for point in points.chunks_exact(dim) {
            let sides = low.iter_mut().zip(high.iter_mut());
            for ((&x, sum), (low, high)) in point.iter().zip(centre.iter_mut()).zip(sides) {
                *sum += x;
                *low = lesser(x, *low);
                *high = larger(x, *high);
            }
        }
        let len = points.len() / dim;
        for (k, centre) in centre.iter_mut().enumerate() {
            // Overflow must not become NaN.
            *centre = (*centre / len as f64).clamp(low[k], high[k]);
            self.largest = self.largest.max(low[k].abs()).max(high[k].abs());
        }
        self.most_points = self.most_points.max(len);
        let lanes = &mut self.columns[cluster / LANES * 3 * dim..][..3 * dim];
        for (lane, &x) in lanes.iter_mut().zip(&self.rows[at..]) {
            lane.0[cluster % LANES] = x;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() / (3 * self.dim)
    }

    /// The centres, one after the other.
    pub(super) fn centres(&self) -> Vec<f64> {
        let rows = self.rows.chunks_exact(3 * self.dim);
        rows.flat_map(|row| &row[..self.dim]).copied().collect()
    }

    /// The least coordinates of a cluster, then the largest.
    pub(super) fn around(&self, cluster: usize) -> &[f64] {
        &self.row(cluster)[self.dim..]
    }

    fn row(&self, cluster: usize) -> &[f64] {
        &self.rows[3 * self.dim * cluster..][..3 * self.dim]
    }
}

/// What rounding may have added to a bound, or taken from a distance, at most.
///
/// A centre is a sum of n numbers, so each of its coordinates is off by n roundings of the largest coordinate; a mean distance by
/// n of itself, which is at most the diagonal of a box. Squares near the least number are off by half of it, so roots of sums of
/// them by [`LEAST_ROOT`] per dimension. `None` where numbers are so large that squares may overflow.
pub(super) fn slack(left: &Outlines, right: &Outlines) -> Option<f64> {
    let largest = left.largest.max(right.largest);
    let dim = left.dim as f64;
    let roundings = left.most_points.max(right.most_points) as f64 + dim + 4.0;
    let of_large = 16.0 * roundings * f64::EPSILON * dim * largest;
    (largest < 1e100).then_some(of_large + dim * LEAST_ROOT)
}

/// For each cluster of `others` a bound: the distance of a cluster to it is not less. As many as fill lanes.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn bounds(
    measure: Measure,
    slack: f64,
    (of, cluster): (&Outlines, usize),
    others: &Outlines,
    bounds: &mut Vec<Lane>,
) {
    bounds.clear();
    if measure.metric == Metric::SqrtDot {
        // Knows nothing of boxes.
        bounds.resize(others.len().div_ceil(LANES), Lane([0.0; LANES]));
        return;
    }
    let row = of.row(cluster);
    match of.dim {
        2 => bounds_instance::<2>(measure, slack, row, &others.columns, bounds),
        3 => bounds_instance::<3>(measure, slack, row, &others.columns, bounds),
        _ => bounds_instance::<0>(measure, slack, row, &others.columns, bounds),
    }
}

#[inline(always)]
fn bounds_instance<const D: usize>(
    measure: Measure,
    slack: f64,
    row: &[f64],
    columns: &[Lane],
    bounds: &mut Vec<Lane>,
) {
    let dim = if D == 0 { row.len() / 3 } else { D };
    let (centre, sides) = row.split_at(dim);
    let (low, high) = sides.split_at(dim);
    for group in columns.chunks_exact(3 * dim) {
        let (mut there, mut back) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..dim {
            let (centre, low, high) = (centre[k], low[k], high[k]);
            let (centres, lows, highs) = (group[k].0, group[dim + k].0, group[2 * dim + k].0);
            for lane in 0..LANES {
                let gap = larger(larger(lows[lane] - centre, centre - highs[lane]), 0.0);
                there[lane] += gap * gap;
            }
            for lane in 0..LANES {
                let gap = larger(larger(low - centres[lane], centres[lane] - high), 0.0);
                back[lane] += gap * gap;
            }
        }
        for side in [&mut there, &mut back] {
            for bound in side.iter_mut() {
                *bound = larger(bound.sqrt() - slack, 0.0);
            }
            if measure.metric == Metric::SquaredEuclidean {
                // The mean of squares is at least the square of the mean.
                for bound in side.iter_mut() {
                    *bound *= *bound;
                }
            }
        }
        let mut bound = [0.0; LANES];
        for lane in 0..LANES {
            bound[lane] = match measure.reduction {
                Reduction::MaxOfMeans => larger(there[lane], back[lane]),
                Reduction::SumOfMeans => there[lane] + back[lane],
                Reduction::Mean => 0.5 * (there[lane] + back[lane]),
            };
        }
        bounds.push(Lane(bound));
    }
}
