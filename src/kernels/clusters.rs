//! Clusters of points: the container, a generator, and CSV files.
//!
//! A [`Clusters`] is a table of n points with d coordinates each, of which the first rows are cluster 0,
//! the next ones cluster 1, and so on. What is in it was checked: at least one cluster, no empty one, and
//! finite coordinates. [`chamfer`](super::chamfer) measures distances between clusters.
//!
//! # Examples
//!
//! ```
//! use ndarray::array;
//! use scipar::kernels::clusters::{Clusters, generate};
//!
//! let points = array![[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]];
//! let clusters = Clusters::new("mine", points.view(), &[0, 2, 3])?;
//! assert_eq!((clusters.len(), clusters.num_points(), clusters.dim()), (2, 3, 2));
//! assert_eq!(clusters.cluster(1), array![[5.0, 5.0]]);
//!
//! assert_eq!(generate(50, 35, 1)?.num_points(), 758);
//! # Ok::<(), scipar::kernels::clusters::PointsError>(())
//! ```

#[cfg(feature = "csv")]
mod csv;
mod error;
mod generate;

use std::ops::Range;

use ndarray::ArrayView2;

pub use error::PointsError;
pub use generate::generate;

/// Clusters of points in d dimensions, checked; at least one cluster, each of at least one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// For messages.
    name: String,
    /// Row by row, n x d.
    points: Vec<f64>,
    /// At least 1.
    dim: usize,
    /// Ascending without repeats, from 0 to n: cluster i has the rows `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
}

impl Clusters {
    /// Copies and checks points, of shape n x d, cluster after cluster.
    ///
    /// `offsets` has the first row of each cluster, then n. `name` stands for the set in messages.
    ///
    /// # Errors
    ///
    /// [`PointsError`] if there is no cluster or an empty one, if offsets do not lead from 0 to n, if there
    /// are no columns, or if a coordinate is not finite.
    pub fn new(
        name: impl Into<String>,
        points: ArrayView2<'_, f64>,
        offsets: &[usize],
    ) -> Result<Self, PointsError> {
        let dim = points.ncols();
        let points = points.iter().copied().collect();
        Self::checked(name.into(), points, dim, offsets.to_vec())
    }

    fn checked(
        name: String,
        points: Vec<f64>,
        dim: usize,
        offsets: Vec<usize>,
    ) -> Result<Self, PointsError> {
        if dim == 0 {
            let (set, expected) = (name, 1);
            return Err(PointsError::Columns {
                set,
                found: 0,
                expected,
            });
        }
        if offsets.len() < 2 {
            return Err(PointsError::NoClusters { set: name });
        }
        let num_points = points.len() / dim;
        let wrong = |at: usize, expected: String| PointsError::Offset {
            set: name.clone(),
            at,
            found: offsets[at],
            expected,
        };
        if offsets[0] != 0 {
            return Err(wrong(0, "0".to_owned()));
        }
        for (cluster, ends) in offsets.windows(2).enumerate() {
            if ends[1] > num_points || ends[1] < ends[0] {
                return Err(wrong(cluster + 1, format!("{} to {num_points}", ends[0])));
            }
            if ends[1] == ends[0] {
                return Err(PointsError::EmptyCluster { set: name, cluster });
            }
        }
        if offsets[offsets.len() - 1] != num_points {
            let expected = format!("{num_points}, the number of points");
            return Err(wrong(offsets.len() - 1, expected));
        }
        if let Some(at) = points.iter().position(|x| !x.is_finite()) {
            let row = at / dim;
            return Err(PointsError::NotFinite {
                set: name,
                cluster: offsets.partition_point(|&first| first <= row) - 1,
                row,
                column: at % dim,
                found: points[at],
            });
        }
        Ok(Clusters {
            name,
            points,
            dim,
            offsets,
        })
    }

    /// What stands for the set in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same clusters under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The number of clusters.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no clusters; never true, since an empty set is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of points of all clusters together.
    pub fn num_points(&self) -> usize {
        self.points.len() / self.dim
    }

    /// The number of coordinates of a point.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All points, n x d, cluster after cluster.
    pub fn points(&self) -> ArrayView2<'_, f64> {
        self.view(0..self.num_points())
    }

    /// The first row of each cluster, then the number of points.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The points of one cluster.
    ///
    /// # Panics
    ///
    /// If there is no such cluster.
    #[track_caller]
    pub fn cluster(&self, index: usize) -> ArrayView2<'_, f64> {
        let len = self.len();
        assert!(index < len, "cluster {index} of {len}");
        self.view(self.offsets[index]..self.offsets[index + 1])
    }

    /// The clusters in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ArrayView2<'_, f64>> {
        (0..self.len()).map(|index| self.cluster(index))
    }

    /// The coordinates of one cluster, point after point.
    pub(super) fn rows(&self, index: usize) -> &[f64] {
        &self.points[self.offsets[index] * self.dim..self.offsets[index + 1] * self.dim]
    }

    fn view(&self, rows: Range<usize>) -> ArrayView2<'_, f64> {
        let shape = (rows.len(), self.dim);
        let points = &self.points[rows.start * self.dim..rows.end * self.dim];
        ArrayView2::from_shape(shape, points).expect("as many numbers as rows and columns make")
    }
}

#[cfg(test)]
mod tests;
