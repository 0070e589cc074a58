//! The plain formulas, one pair of points at a time on the caller's thread: the oracle of the fast versions.
//!
//! Choose these to check, to debug or to read. The functions of the [module above](super) give the same bits,
//! about ten times faster on one core.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::check::{check_dims, check_points};
use super::{Matching, Metric, Nearest, Neighbour, Reduction};
use crate::kernels::clusters::{Clusters, PointsError};

/// The Chamfer distance of two sets of points, n x d and m x d: [`chamfer`](super::chamfer).
///
/// # Ordering and determinism
///
/// Exact: every sum runs in the order of coordinates and points.
///
/// # Errors
///
/// As [`chamfer`](super::chamfer).
pub fn chamfer(
    left: ArrayView2<'_, f64>,
    right: ArrayView2<'_, f64>,
    metric: Metric,
    reduction: Reduction,
) -> Result<f64, PointsError> {
    check_points("left", left, left.ncols())?;
    check_points("right", right, left.ncols())?;
    Ok(distance(left, right, metric, reduction))
}

/// The Chamfer distance of each cluster of one set and each of another: [`chamfer_matrix`](super::chamfer_matrix).
///
/// # Ordering and determinism
///
/// Exact.
///
/// # Errors
///
/// As [`chamfer_matrix`](super::chamfer_matrix).
pub fn chamfer_matrix(
    lefts: &Clusters,
    rights: &Clusters,
    metric: Metric,
    reduction: Reduction,
) -> Result<Array2<f64>, PointsError> {
    check_dims(lefts, rights)?;
    let entry = |(i, j)| distance(lefts.cluster(i), rights.cluster(j), metric, reduction);
    Ok(Array2::from_shape_fn((lefts.len(), rights.len()), entry))
}

/// Matches clusters with their nearest ones: [`nearest_clusters`](super::nearest_clusters).
///
/// # Ordering and determinism
///
/// Exact.
///
/// # Errors
///
/// As [`nearest_clusters`](super::nearest_clusters).
pub fn nearest_clusters(
    lefts: &Clusters,
    rights: &Clusters,
    metric: Metric,
    reduction: Reduction,
) -> Result<Matching, PointsError> {
    let matrix = chamfer_matrix(lefts, rights, metric, reduction)?;
    let nearest = |distances: ArrayView1<'_, f64>| {
        let mut nearest = Nearest::NONE;
        for (cluster, &distance) in distances.iter().enumerate() {
            nearest.offer(cluster, distance);
        }
        nearest
    };
    Ok(Matching {
        left: matrix.rows().into_iter().map(nearest).collect(),
        right: matrix.columns().into_iter().map(nearest).collect(),
    })
}

/// The nearest point of `to` for each point of `from`: [`nearest_neighbours`](super::nearest_neighbours).
///
/// # Ordering and determinism
///
/// Exact.
///
/// # Errors
///
/// As [`nearest_neighbours`](super::nearest_neighbours).
pub fn nearest_neighbours(
    from: ArrayView2<'_, f64>,
    to: ArrayView2<'_, f64>,
    metric: Metric,
) -> Result<Vec<Neighbour>, PointsError> {
    check_points("from", from, from.ncols())?;
    check_points("to", to, from.ncols())?;
    let nearest = |point| {
        let (mut index, mut least) = (0, f64::INFINITY);
        for (row, other) in to.rows().into_iter().enumerate() {
            let d = before_root(point, other, metric);
            if d < least {
                (index, least) = (row, d);
            }
        }
        let distance = metric.finish(least);
        Neighbour { index, distance }
    };
    Ok(from.rows().into_iter().map(nearest).collect())
}

fn distance(
    left: ArrayView2<'_, f64>,
    right: ArrayView2<'_, f64>,
    metric: Metric,
    reduction: Reduction,
) -> f64 {
    let there = mean_of_least(left, right, metric);
    let back = mean_of_least(right, left, metric);
    reduction.reduce(there, back)
}

/// The mean distance from a point of `from` to the nearest of `to`.
fn mean_of_least(from: ArrayView2<'_, f64>, to: ArrayView2<'_, f64>, metric: Metric) -> f64 {
    let mut sum = 0.0;
    for point in from.rows() {
        let mut least = f64::INFINITY;
        for other in to.rows() {
            let distance = metric.finish(before_root(point, other, metric));
            // False for NaN, the root of a negative product.
            if distance < least {
                least = distance;
            }
        }
        sum += least;
    }
    sum / from.nrows() as f64
}

/// The squared distance, or the product where it is not negative and infinity where it is.
fn before_root(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>, metric: Metric) -> f64 {
    let mut sum = 0.0;
    for (x, y) in a.iter().zip(b) {
        sum += match metric {
            Metric::Euclidean | Metric::SquaredEuclidean => (x - y) * (x - y),
            Metric::SqrtDot => x * y,
        };
    }
    match metric == Metric::SqrtDot && sum < 0.0 {
        true => f64::INFINITY,
        false => sum,
    }
}
