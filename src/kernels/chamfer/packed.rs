//! Points laid out for the kernels.

use crate::kernels::clusters::Clusters;

/// Points that one instruction takes, of the widest set.
pub(super) const LANES: usize = 8;

/// Points that are compared with each other set's points at once.
pub(super) const ROWS: usize = 8;

/// One coordinate of some points, or another number for each of them; a whole line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lane(pub(super) [f64; LANES]);

impl Lane {
    /// Infinity everywhere.
    pub(super) const FAR: Lane = Lane([f64::INFINITY; LANES]);

    /// The first `len` numbers of some lanes, one after the other.
    #[inline(always)]
    pub(super) fn numbers(lanes: &[Lane], len: usize) -> impl Iterator<Item = f64> {
        lanes.iter().flat_map(|lane| lane.0).take(len)
    }
}

/// Sets of points one after the other, as rows and as columns.
///
/// As rows: point after point, the last one repeated to fill up a group of [`ROWS`]. As columns: for each
/// group of [`LANES`] points their first coordinates, then their second ones, and so on; the last group is filled
/// up with points at infinity, which are nearest to nothing.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) dim: usize,
    rows: Vec<f64>,
    columns: Vec<Lane>,
    /// For each set, then once more.
    starts: Vec<Start>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Start {
    point: usize,
    row: usize,
    column: usize,
}

/// One set of points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set<'a> {
    pub(super) dim: usize,
    /// The number of points.
    pub(super) len: usize,
    /// A multiple of `ROWS * dim` numbers.
    pub(super) rows: &'a [f64],
    /// A multiple of `dim` lanes.
    pub(super) columns: &'a [Lane],
}

impl Packed {
    pub(super) fn of_clusters(clusters: &Clusters) -> Self {
        let sets = (0..clusters.len()).map(|i| clusters.rows(i));
        Packed::with_room(clusters.dim(), clusters.num_points(), sets)
    }

    /// Packs sets of points, each given as coordinates point after point.
    pub(super) fn new<'a>(
        dim: usize,
        sets: impl ExactSizeIterator<Item = &'a [f64]> + Clone,
    ) -> Self {
        let points = sets.clone().map(|points| points.len() / dim).sum();
        Packed::with_room(dim, points, sets)
    }

    /// The same, with the number of points known.
    fn with_room<'a>(
        dim: usize,
        points: usize,
        sets: impl ExactSizeIterator<Item = &'a [f64]>,
    ) -> Self {
        // Sets that do not fill their last group take more.
        let most = points + sets.len() * (ROWS - 1);
        let mut starts = Vec::with_capacity(sets.len() + 1);
        starts.push(Start::default());
        let mut packed = Packed {
            dim,
            rows: Vec::with_capacity(most * dim),
            columns: Vec::with_capacity(most.div_ceil(LANES) * dim),
            starts,
        };
        for points in sets {
            packed.push(points);
        }
        packed
    }

    fn push(&mut self, points: &[f64]) {
        let dim = self.dim;
        let len = points.len() / dim;
        self.rows.extend_from_slice(points);
        for _ in len..len.next_multiple_of(ROWS) {
            self.rows.extend_from_slice(&points[points.len() - dim..]);
        }
        for group in points.chunks(LANES * dim) {
            let first = self.columns.len();
            self.columns.resize(first + dim, Lane::FAR);
            let lanes = &mut self.columns[first..];
            for (lane, point) in group.chunks_exact(dim).enumerate() {
                for (column, &x) in lanes.iter_mut().zip(point) {
                    column.0[lane] = x;
                }
            }
        }
        let before = self.starts.last().map_or(0, |start| start.point);
        self.starts.push(Start {
            point: before + len,
            row: self.rows.len(),
            column: self.columns.len(),
        });
    }

    /// The number of sets.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    #[inline(always)]
    pub(super) fn set(&self, index: usize) -> Set<'_> {
        let (from, to) = (self.starts[index], self.starts[index + 1]);
        Set {
            dim: self.dim,
            len: to.point - from.point,
            rows: &self.rows[from.row..to.row],
            columns: &self.columns[from.column..to.column],
        }
    }
}
