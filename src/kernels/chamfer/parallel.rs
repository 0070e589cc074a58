//! The fast versions, on all workers of a pool.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, ArrayView2};

use super::check::{check_dims, check_points};
use super::matching::Sides;
use super::packed::{Lane, Packed, ROWS, Set};
use super::pair::{Measure, Scratch, full_distance};
use super::tile;
use super::tree::{self, Tree};
use super::{Matching, Metric, Nearest, Neighbour, Reduction};
use crate::chunking::Chunking;
use crate::kernels::clusters::{Clusters, PointsError};
use crate::pool::Pool;

/// Pairs of points below which handing work to other threads costs more than it saves.
const FEW_PAIRS: usize = 100_000;

/// The same for a matching, which looks at few of them.
const FEW_PAIRS_TO_MATCH: usize = 400_000;

/// Rows, or places in a tree, of one piece of work; a multiple of [`ROWS`].
const BLOCK: usize = 512;

/// Lanes of columns that stay in the inner cache while a block's rows are compared with them.
const STRIPE: usize = 256;

/// Pairs of points that make a piece of a matching worth handing out; most of them are never compared.
const PAIRS: usize = 50_000;

/// The most pieces into which a matching is cut: each has a result for every right cluster.
const PIECES: usize = 512;

/// Chamfer distances with all options: metric, reduction, pool, chunking, a report of progress.
///
/// Choose the free functions of the [module](super) for the global pool.
///
/// # Examples
///
/// ```
/// use scipar::Pool;
/// use scipar::kernels::chamfer::{Chamfer, Metric, Reduction};
/// use scipar::kernels::clusters::generate;
///
/// let (lefts, rights) = (generate(50, 35, 1)?, generate(30, 23, 2)?);
/// let pool = Pool::new(2);
/// let open3d = Chamfer::new().metric(Metric::Euclidean).reduction(Reduction::SumOfMeans).pool(&pool);
/// let matching = open3d.nearest_clusters(&lefts, &rights)?;
/// let nearest = matching.left[0];
/// let again = open3d.distance(lefts.cluster(0), rights.cluster(nearest.cluster))?;
/// assert_eq!(nearest.distance, again);
/// # Ok::<(), scipar::kernels::clusters::PointsError>(())
/// ```
#[derive(Default)]
#[must_use = "options do nothing until something is computed"]
pub struct Chamfer<'a> {
    measure: Measure,
    /// `None` is the global pool.
    pool: Option<&'a Pool>,
    /// `None` is one piece at a time, or the caller's thread alone for little work.
    chunking: Option<Chunking>,
    progress: Option<Progress<'a>>,
}

/// Is told the number of left clusters finished so far.
type Progress<'a> = Box<dyn Fn(usize) + Send + Sync + 'a>;

impl<'a> Chamfer<'a> {
    /// Euclidean distances, the larger of the means, on the global pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures points like this.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.measure.metric = metric;
        self
    }

    /// Makes one number of the two means like this.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.measure.reduction = reduction;
        self
    }

    /// Uses this pool.
    pub fn pool(mut self, pool: &'a Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Decides how pieces of work are handed out; the result has the same bits in any case.
    ///
    /// A piece is a left cluster (for a matching some of them, if they are small or more than 512) or a block of 512 points.
    /// [`Chunking::serial`] computes on the caller's thread.
    pub fn chunking(mut self, chunking: Chunking) -> Self {
        self.chunking = Some(chunking);
        self
    }

    /// Calls `report` with the number of left clusters finished so far.
    ///
    /// [`matrix`](Self::matrix) and [`nearest_clusters`](Self::nearest_clusters) do. Workers call it, at the same
    /// time and not in the order of the numbers; each number comes once at most, the last one is the number of left clusters.
    pub fn progress(mut self, report: impl Fn(usize) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// The Chamfer distance of two sets of points, as [`chamfer`].
    ///
    /// # Errors
    ///
    /// As [`chamfer`].
    pub fn distance(
        &self,
        left: ArrayView2<'_, f64>,
        right: ArrayView2<'_, f64>,
    ) -> Result<f64, PointsError> {
        let dim = left.ncols();
        check_points("left", left, dim)?;
        check_points("right", right, dim)?;
        let points = [numbers(left), numbers(right)];
        let [there, back] = if self.walks(dim, left.nrows(), right.nrows()) {
            let trees = self.trees(dim, &points);
            [(&trees[0], &trees[1]), (&trees[1], &trees[0])].map(|(from, to)| self.walk(from, to))
        } else {
            let packed = Packed::new(dim, points.iter().map(Vec::as_slice));
            let (left, right) = (packed.set(0), packed.set(1));
            if self.pairs_are_few(left.len, right.len) {
                return Ok(full_distance(
                    self.measure,
                    left,
                    right,
                    &mut Scratch::default(),
                ));
            }
            self.all_pairs(left, right)
        };
        let Measure { metric, reduction } = self.measure;
        let mean = |least: Vec<f64>| {
            let sum = least
                .iter()
                .fold(0.0, |sum, &least| sum + metric.finish(least));
            sum / least.len() as f64
        };
        Ok(reduction.reduce(mean(there), mean(back)))
    }

    /// The Chamfer distance of each left cluster and each right one, as [`chamfer_matrix`].
    ///
    /// # Errors
    ///
    /// As [`chamfer_matrix`].
    ///
    /// # Panics
    ///
    /// Re-raises a panic of the closure given to [`progress`](Self::progress).
    pub fn matrix(&self, lefts: &Clusters, rights: &Clusters) -> Result<Array2<f64>, PointsError> {
        check_dims(lefts, rights)?;
        let (left, right) = (Packed::of_clusters(lefts), Packed::of_clusters(rights));
        let chunking = self.chunking_for(lefts.num_points(), rights.num_points());
        let finished = AtomicUsize::new(0);
        let mut matrix = Array2::zeros((left.len(), right.len()));
        let entries = matrix.as_slice_mut().expect("a new array is contiguous");
        let rows: Vec<(usize, &mut [f64])> = entries.chunks_mut(right.len()).enumerate().collect();
        self.on()
            .par_for_each_chunked(rows, chunking, |(i, row): (usize, &mut [f64])| {
                let mut scratch = Scratch::default();
                for (j, entry) in row.iter_mut().enumerate() {
                    let (left, right) = (left.set(i), right.set(j));
                    *entry = full_distance(self.measure, left, right, &mut scratch);
                }
                self.report(&finished, 1);
            });
        Ok(matrix)
    }

    /// Matches clusters with their nearest ones in both directions, as [`nearest_clusters`].
    ///
    /// # Errors
    ///
    /// As [`nearest_clusters`].
    ///
    /// # Panics
    ///
    /// Re-raises a panic of the closure given to [`progress`](Self::progress).
    pub fn nearest_clusters(
        &self,
        lefts: &Clusters,
        rights: &Clusters,
    ) -> Result<Matching, PointsError> {
        check_dims(lefts, rights)?;
        if lefts.len() == 1 && rights.len() == 1 {
            // Nothing to choose from, and perhaps large enough for trees.
            let mut nearest = Nearest::NONE;
            nearest.offer(0, self.distance(lefts.cluster(0), rights.cluster(0))?);
            self.report(&AtomicUsize::new(0), 1);
            let (left, right) = (vec![nearest], vec![nearest]);
            return Ok(Matching { left, right });
        }
        let all = pairs(lefts.num_points(), rights.num_points());
        let chunking = self.chunking.unwrap_or(match all < FEW_PAIRS_TO_MATCH {
            true => Chunking::serial(),
            false => Chunking::size(1),
        });
        let sides = Sides::new(self.measure, lefts, rights);
        let known = sides.likely(self.on(), chunking);
        let finished = AtomicUsize::new(0);
        let pairs_of_one = all / lefts.len();
        let piece = lefts.len().div_ceil(PIECES);
        let piece = piece.max(PAIRS / pairs_of_one.max(1)).min(lefts.len());
        let starts: Vec<usize> = (0..lefts.len()).step_by(piece).collect();
        let parts = self.on().par_map_chunked(&starts, chunking, |&start| {
            let range = start..(start + piece).min(lefts.len());
            sides.search(&known, range, || self.report(&finished, 1))
        });
        let mut matching = Matching {
            left: Vec::with_capacity(lefts.len()),
            right: vec![Nearest::NONE; rights.len()],
        };
        // In the order of the pieces, so that the lowest index stays.
        for part in parts {
            matching.left.extend(part.left);
            for (nearest, offer) in matching.right.iter_mut().zip(part.right) {
                nearest.offer(offer.cluster, offer.distance);
            }
        }
        Ok(matching)
    }

    /// The nearest point of `to` for each point of `from`, as [`nearest_neighbours`]; the reduction has no say.
    ///
    /// # Errors
    ///
    /// As [`nearest_neighbours`].
    pub fn nearest_neighbours(
        &self,
        from: ArrayView2<'_, f64>,
        to: ArrayView2<'_, f64>,
    ) -> Result<Vec<Neighbour>, PointsError> {
        let dim = from.ncols();
        check_points("from", from, dim)?;
        check_points("to", to, dim)?;
        let metric = self.measure.metric;
        let points = [numbers(from), numbers(to)];
        // The negative zero of a product is a zero.
        let neighbour = |index, least: f64| Neighbour {
            index,
            distance: metric.finish(least) + 0.0,
        };
        if self.walks(dim, from.nrows(), to.nrows()) {
            let trees = self.trees(dim, &points);
            let found = self.walk_to_rows(&trees[0], &trees[1]);
            return Ok(found
                .into_iter()
                .map(|(least, row)| neighbour(row as usize, least))
                .collect());
        }
        let packed = Packed::new(dim, points.iter().map(Vec::as_slice));
        let (from, to) = (packed.set(0), packed.set(1));
        let chunking = self.chunking_for(from.len, to.len);
        let blocks: Vec<&[f64]> = from.rows.chunks(BLOCK * dim).collect();
        let found = self.on().par_map_chunked(blocks, chunking, |rows: &[f64]| {
            let mut least = vec![f64::INFINITY; rows.len() / dim];
            for stripe in to.columns.chunks(STRIPE * dim) {
                tile::lower(metric, dim, rows, stripe, &mut least, None);
            }
            let points = rows.chunks(dim).zip(least);
            points
                .map(|(point, least)| {
                    neighbour(tile::first(metric, point, to.columns, least), least)
                })
                .collect::<Vec<_>>()
        });
        let mut found: Vec<Neighbour> = found.into_iter().flatten().collect();
        found.truncate(from.len);
        Ok(found)
    }
}

impl Chamfer<'_> {
    fn on(&self) -> &Pool {
        match self.pool {
            Some(pool) => pool,
            None => Pool::global(),
        }
    }

    fn report(&self, finished: &AtomicUsize, more: usize) {
        if let Some(report) = &self.progress {
            report(finished.fetch_add(more, Ordering::Relaxed) + more);
        }
    }

    fn pairs_are_few(&self, left: usize, right: usize) -> bool {
        pairs(left, right) < FEW_PAIRS
    }

    fn chunking_for(&self, left: usize, right: usize) -> Chunking {
        self.chunking
            .unwrap_or(match self.pairs_are_few(left, right) {
                true => Chunking::serial(),
                false => Chunking::size(1),
            })
    }

    fn walks(&self, dim: usize, left: usize, right: usize) -> bool {
        self.measure.metric != Metric::SqrtDot && Tree::pays(dim, left, right)
    }

    /// The trees of both sets, at the same time.
    fn trees(&self, dim: usize, points: &[Vec<f64>; 2]) -> Vec<Tree> {
        let chunking = self.chunking.unwrap_or(Chunking::size(1));
        let build = |points: &Vec<f64>| Tree::new(dim, points);
        self.on().par_map_chunked(&points[..], chunking, build)
    }

    /// For each point of `from`, in rows, the least square to a point of `to`.
    fn walk(&self, from: &Tree, to: &Tree) -> Vec<f64> {
        self.walk_blocks(from, |points, least| tree::nearest(to, points, least, None))
    }

    /// The same, and the row of the nearest point of `to`.
    fn walk_to_rows(&self, from: &Tree, to: &Tree) -> Vec<(f64, u32)> {
        self.walk_blocks(from, |points, found: &mut [(f64, u32)]| {
            let mut least = vec![f64::INFINITY; found.len()];
            let mut rows = vec![u32::MAX; found.len()];
            tree::nearest(to, points, &mut least, Some(&mut rows));
            for ((found, least), row) in found.iter_mut().zip(least).zip(rows) {
                // At an infinite distance all are the same, and none was looked for.
                *found = (least, if least == f64::INFINITY { 0 } else { row });
            }
        })
    }

    /// Has `search` fill in a result for each point of a block; gives them in the order of the rows.
    fn walk_blocks<T: Copy + Send + Sync + Unset>(
        &self,
        from: &Tree,
        search: impl Fn(&[f64], &mut [T]) + Sync,
    ) -> Vec<T> {
        let Set { dim, rows, .. } = from.set();
        let chunking = self.chunking.unwrap_or(Chunking::size(1));
        let mut found = vec![T::UNSET; rows.len() / dim];
        let points = rows.chunks(BLOCK * dim);
        let blocks: Vec<(&[f64], &mut [T])> = points.zip(found.chunks_mut(BLOCK)).collect();
        self.on()
            .par_for_each_chunked(blocks, chunking, |(points, found): (&[f64], &mut [T])| {
                search(points, found);
            });
        let mut by_row = vec![T::UNSET; from.rows().len()];
        for (&row, found) in from.rows().iter().zip(found) {
            by_row[row as usize] = found;
        }
        by_row
    }

    /// The least square, or product, of each point of either set, from all pairs.
    fn all_pairs(&self, left: Set<'_>, right: Set<'_>) -> [Vec<f64>; 2] {
        let dim = left.dim;
        let chunking = self.chunking_for(left.len, right.len);
        let nothing = || vec![Lane::FAR; right.columns.len() / dim];
        // As many pieces as make the columns' results, one per piece, cheap beside the work.
        let piece = left.len.div_ceil(64).next_multiple_of(ROWS).max(BLOCK);
        let mut least_of_rows = vec![f64::INFINITY; left.rows.len() / dim];
        let pieces: Vec<(&[f64], &mut [f64])> = left
            .rows
            .chunks(piece * dim)
            .zip(least_of_rows.chunks_mut(piece))
            .collect();
        let compare = |(rows, least_of_rows): (&[f64], &mut [f64])| {
            let mut least_of_columns: Vec<Lane> = nothing();
            let stripes = right.columns.chunks(STRIPE * dim);
            for (stripe, lanes) in stripes.zip(least_of_columns.chunks_mut(STRIPE)) {
                tile::lower(
                    self.measure.metric,
                    dim,
                    rows,
                    stripe,
                    least_of_rows,
                    Some(lanes),
                );
            }
            least_of_columns
        };
        let lower = |mut a: Vec<Lane>, b: Vec<Lane>| {
            for (a, b) in a.iter_mut().zip(&b) {
                for (a, b) in a.0.iter_mut().zip(b.0) {
                    *a = a.min(b);
                }
            }
            a
        };
        let least_of_columns = self
            .on()
            .par_map_reduce_chunked(pieces, chunking, compare, nothing, lower);
        least_of_rows.truncate(left.len);
        let least_of_columns = Lane::numbers(&least_of_columns, right.len).collect();
        [least_of_rows, least_of_columns]
    }
}

impl fmt::Debug for Chamfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chamfer")
            .field("metric", &self.measure.metric)
            .field("reduction", &self.measure.reduction)
            .field("chunking", &self.chunking)
            .finish_non_exhaustive()
    }
}

/// A value of a result that has not been found yet.
trait Unset {
    const UNSET: Self;
}

impl Unset for f64 {
    const UNSET: f64 = f64::INFINITY;
}

impl Unset for (f64, u32) {
    const UNSET: (f64, u32) = (f64::INFINITY, 0);
}

fn pairs(left: usize, right: usize) -> usize {
    left.saturating_mul(right)
}

/// The coordinates, row by row.
fn numbers(points: ArrayView2<'_, f64>) -> Vec<f64> {
    points.iter().copied().collect()
}

/// The Chamfer distance of two sets of points, of shapes n x d and m x d, on the global pool.
///
/// Choose [`Chamfer`] for another pool, and [`plain::chamfer`](super::plain::chamfer) for the plain formulas.
///
/// # Examples
///
/// See the [module](super).
///
/// # Ordering and determinism
///
/// Exact: the bits of the plain version, for any number of workers.
///
/// # Blocking
///
/// Until the distance is known; the caller computes too.
///
/// # Errors
///
/// [`PointsError`] naming the set (`left`, `right`) if one has no points, if they differ in d or have none, or if a
/// coordinate is not finite.
///
/// # Cost
///
/// From about 1,500 points in the smaller set on, in up to 8 dimensions (3,000 in 5, 40,000 in 8), k-d trees: (n + m) log(n + m). Else, and for
/// [`Metric::SqrtDot`], n·m pairs, each once for both directions. Memory: some copies of the points.
pub fn chamfer(
    left: ArrayView2<'_, f64>,
    right: ArrayView2<'_, f64>,
    metric: Metric,
    reduction: Reduction,
) -> Result<f64, PointsError> {
    Chamfer::new()
        .metric(metric)
        .reduction(reduction)
        .distance(left, right)
}

/// The Chamfer distance of each left cluster (rows) and each right one (columns), on the global pool.
///
/// Choose [`nearest_clusters`] if only the nearest ones are wanted: it does less.
///
/// # Examples
///
/// ```
/// use scipar::kernels::chamfer::{Metric, Reduction, chamfer_matrix};
/// use scipar::kernels::clusters::generate;
///
/// let (lefts, rights) = (generate(50, 35, 1)?, generate(30, 23, 2)?);
/// let matrix = chamfer_matrix(&lefts, &rights, Metric::Euclidean, Reduction::MaxOfMeans)?;
/// assert_eq!(matrix.dim(), (50, 30));
/// # Ok::<(), scipar::kernels::clusters::PointsError>(())
/// ```
///
/// # Ordering and determinism
///
/// Exact: the bits of [`plain::chamfer_matrix`](super::plain::chamfer_matrix), for any number of workers.
///
/// # Blocking
///
/// As [`chamfer`].
///
/// # Errors
///
/// [`PointsError::Columns`] if the sets' points differ in dimension.
///
/// # Cost
///
/// Each pair of points once. Memory: the matrix and two copies of the points.
pub fn chamfer_matrix(
    lefts: &Clusters,
    rights: &Clusters,
    metric: Metric,
    reduction: Reduction,
) -> Result<Array2<f64>, PointsError> {
    Chamfer::new()
        .metric(metric)
        .reduction(reduction)
        .matrix(lefts, rights)
}

/// For each cluster of either set the nearest one of the other, and how far it is, on the global pool.
///
/// Of several at one distance the lowest index is taken; if all are infinitely far, 0.
///
/// # Examples
///
/// See the [module](super).
///
/// # Ordering and determinism
///
/// Exact: the indices and bits of [`plain::nearest_clusters`](super::plain::nearest_clusters), for any number of workers.
///
/// # Blocking
///
/// As [`chamfer`].
///
/// # Errors
///
/// [`PointsError::Columns`] if the sets' points differ in dimension.
///
/// # Cost
///
/// Each pair of clusters is looked at once, for both directions, and given up as soon as the sum over its first points shows
/// that it is the nearest of neither. Memory: copies of the points, and the results of the right set once per left cluster, but
/// 512 times at most.
pub fn nearest_clusters(
    lefts: &Clusters,
    rights: &Clusters,
    metric: Metric,
    reduction: Reduction,
) -> Result<Matching, PointsError> {
    Chamfer::new()
        .metric(metric)
        .reduction(reduction)
        .nearest_clusters(lefts, rights)
}

/// The nearest point of `to`, m x d, for each point of `from`, n x d, on the global pool.
///
/// Of several nearest points the one with the lowest row is taken. Nearest by [`Metric::SquaredEuclidean`] are the same as
/// by [`Metric::Euclidean`]: rows are compared by squares, so that no tie comes from rounding a root.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use scipar::kernels::chamfer::{Metric, nearest_neighbours};
///
/// let (from, to) = (array![[0.0], [9.0]], array![[7.0], [3.0], [-3.0]]);
/// let found = nearest_neighbours(from.view(), to.view(), Metric::Euclidean)?;
/// assert_eq!((found[0].index, found[0].distance), (1, 3.0)); // and not row 2, as far away
/// assert_eq!((found[1].index, found[1].distance), (0, 2.0));
/// # Ok::<(), scipar::kernels::clusters::PointsError>(())
/// ```
///
/// # Ordering and determinism
///
/// In the order of `from`. Exact: the rows and bits of [`plain::nearest_neighbours`](super::plain::nearest_neighbours), for any
/// number of workers.
///
/// # Blocking
///
/// As [`chamfer`].
///
/// # Errors
///
/// [`PointsError`] naming the set (`from`, `to`), as [`chamfer`].
///
/// # Cost
///
/// As [`chamfer`].
pub fn nearest_neighbours(
    from: ArrayView2<'_, f64>,
    to: ArrayView2<'_, f64>,
    metric: Metric,
) -> Result<Vec<Neighbour>, PointsError> {
    Chamfer::new().metric(metric).nearest_neighbours(from, to)
}

#[cfg(test)]
mod tests;
