//! Input that can be measured.

use ndarray::ArrayView2;

use crate::kernels::clusters::{Clusters, PointsError};

/// Refuses points that are none, or not in `dim` dimensions, or not finite.
pub(super) fn check_points(
    set: &str,
    points: ArrayView2<'_, f64>,
    dim: usize,
) -> Result<(), PointsError> {
    let set = || set.to_owned();
    if points.ncols() != dim || dim == 0 {
        return Err(PointsError::Columns {
            set: set(),
            found: points.ncols(),
            expected: dim.max(1),
        });
    }
    if points.nrows() == 0 {
        let (set, cluster) = (set(), 0);
        return Err(PointsError::EmptyCluster { set, cluster });
    }
    // Zero times infinity is no number, and stays none in the sum: a loop without branches for the usual case.
    if points.iter().map(|x| 0.0 * x).sum::<f64>() == 0.0 {
        return Ok(());
    }
    match points.indexed_iter().find(|(_, x)| !x.is_finite()) {
        None => Ok(()),
        Some(((row, column), &found)) => Err(PointsError::NotFinite {
            set: set(),
            cluster: 0,
            row,
            column,
            found,
        }),
    }
}

/// Refuses sets of clusters whose points differ in dimension.
pub(super) fn check_dims(lefts: &Clusters, rights: &Clusters) -> Result<(), PointsError> {
    match rights.dim() == lefts.dim() {
        true => Ok(()),
        false => Err(PointsError::Columns {
            set: rights.name().to_owned(),
            found: rights.dim(),
            expected: lefts.dim(),
        }),
    }
}
