//! Linear least squares with few unknowns, some of which may not be negative; and Student's t.

/// The solution of a least-squares problem with `P` unknowns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solution<const P: usize> {
    pub(super) coefficients: [f64; P],
    /// The sum of the squared residuals.
    pub(super) squares: f64,
    /// The inverse of A^T A, with all unknowns free; none where the rows do not determine them.
    pub(super) inverse: Option<[[f64; P]; P]>,
}

/// Finds x with the least Σ (row · x - right)², where all unknowns but the first are at least zero.
///
/// The problem is convex and has at most three unknowns, so each subset of them is tried as the one that is not held at
/// zero; the best of those solutions that are allowed is the optimum.
pub(super) fn nonnegative<const P: usize>(rows: &[([f64; P], f64)]) -> Option<Solution<P>> {
    let mut matrix = [[0.0; P]; P];
    let mut right = [0.0; P];
    for (row, value) in rows {
        for i in 0..P {
            right[i] += row[i] * value;
            for j in 0..P {
                matrix[i][j] += row[i] * row[j];
            }
        }
    }
    let squares = |x: &[f64; P]| -> f64 {
        let residual = |(row, value): &([f64; P], f64)| {
            row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - value
        };
        rows.iter().map(|row| residual(row).powi(2)).sum()
    };
    let all = (1 << P) - 1;
    let (squares, coefficients) = (0..1 << (P - 1))
        .map(|subset: usize| subset << 1 | 1)
        .filter_map(|free| solve(&matrix, &right, free))
        .filter(|x| x[1..].iter().all(|x| *x >= 0.0))
        .map(|x| (squares(&x), x))
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let mut inverse = [[0.0; P]; P];
    let mut is_regular = true;
    for (i, column) in inverse.iter_mut().enumerate() {
        let mut unit = [0.0; P];
        unit[i] = 1.0;
        match solve(&matrix, &unit, all) {
            Some(x) => *column = x, // the matrix is symmetric
            None => is_regular = false,
        }
    }
    Some(Solution {
        coefficients,
        squares,
        inverse: is_regular.then_some(inverse),
    })
}

/// Solves for the unknowns whose bits are set in `free`, the others being zero; none where they are not determined.
fn solve<const P: usize>(
    matrix: &[[f64; P]; P],
    right: &[f64; P],
    free: usize,
) -> Option<[f64; P]> {
    let is_free = |i: usize| free >> i & 1 == 1;
    // Columns differ by powers of the number of workers: scaled to a diagonal of ones they can be compared with rounding.
    let mut scale = [0.0; P];
    for i in (0..P).filter(|i| is_free(*i)) {
        scale[i] = 1.0 / matrix[i][i].sqrt();
        if !scale[i].is_finite() {
            return None;
        }
    }
    let mut a = [[0.0; P]; P];
    let mut b = [0.0; P];
    for i in 0..P {
        b[i] = right[i] * scale[i];
        for j in 0..P {
            a[i][j] = matrix[i][j] * scale[i] * scale[j];
        }
        if !is_free(i) {
            a[i][i] = 1.0;
        }
    }
    // Symmetric and positive definite, so no pivoting is needed.
    for k in 0..P {
        if a[k][k] < 1e-12 {
            return None;
        }
        let (pivot, pivot_right) = (a[k], b[k]);
        for i in k + 1..P {
            let factor = a[i][k] / pivot[k];
            for (entry, above) in a[i].iter_mut().zip(pivot) {
                *entry -= factor * above;
            }
            b[i] -= factor * pivot_right;
        }
    }
    let mut x = [0.0; P];
    for i in (0..P).rev() {
        let known: f64 = (i + 1..P).map(|j| a[i][j] * x[j]).sum();
        x[i] = (b[i] - known) / a[i][i];
    }
    for i in 0..P {
        x[i] *= scale[i];
    }
    Some(x)
}

/// The 97.5 % quantile of Student's t: half the width, in standard errors, of a 95 % interval. `freedom` is at least 1.
pub(super) fn student_t(freedom: usize) -> f64 {
    // Where the series below is off by more than 5e-4.
    const FEW: [f64; 4] = [12.7062, 4.3027, 3.1824, 2.7764];
    if let Some(t) = FEW.get(freedom - 1) {
        return *t;
    }
    // Abramowitz and Stegun, 26.7.5.
    let (n, x) = (freedom as f64, 1.959_964_f64);
    let series = [
        (x.powi(3) + x) / 4.0,
        (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / 96.0,
        (3.0 * x.powi(7) + 19.0 * x.powi(5) + 17.0 * x.powi(3) - 15.0 * x) / 384.0,
        (79.0 * x.powi(9) + 776.0 * x.powi(7) + 1482.0 * x.powi(5)
            - 1920.0 * x.powi(3)
            - 945.0 * x)
            / 92160.0,
    ];
    series.iter().rev().fold(0.0, |sum, term| (sum + term) / n) + x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_optimum_is_found_where_it_is_allowed() {
        // 2 + 3x + 0.5x² at five places.
        let rows: Vec<_> = (0..5)
            .map(f64::from)
            .map(|x| ([1.0, x, x * x], 2.0 + 3.0 * x + 0.5 * x * x))
            .collect();
        let solution = nonnegative(&rows).unwrap();
        for (found, expected) in solution.coefficients.into_iter().zip([2.0, 3.0, 0.5]) {
            assert!((found - expected).abs() < 1e-10, "{solution:?}");
        }
        assert!(solution.squares < 1e-18 && solution.inverse.is_some());
    }

    #[test]
    fn what_would_be_negative_is_held_at_zero() {
        // The line of the best fit falls: with slope zero the mean is left.
        let rows = [([1.0, 0.0], 3.0), ([1.0, 1.0], 2.0), ([1.0, 2.0], 1.0)];
        let solution = nonnegative(&rows).unwrap();
        assert!((solution.coefficients[0] - 2.0).abs() < 1e-12);
        assert_eq!(solution.coefficients[1], 0.0);
        assert!((solution.squares - 2.0).abs() < 1e-12);
        // The variance factor of a slope: one by the sum of squared distances to the mean, 1 + 0 + 1.
        assert!((solution.inverse.unwrap()[1][1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn rows_that_leave_an_unknown_open_have_no_inverse() {
        let rows = [([1.0, 2.0], 3.0), ([1.0, 2.0], 3.0)];
        let solution = nonnegative(&rows).unwrap();
        assert!(solution.inverse.is_none());
        assert!(solution.squares < 1e-20);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, t) in [
            (1, 12.7062),
            (3, 3.1824),
            (5, 2.5706),
            (6, 2.4469),
            (10, 2.2281),
            (30, 2.0423),
            (120, 1.9799),
            (1_000_000, 1.9600),
        ] {
            assert!(
                (student_t(freedom) - t).abs() < 5e-4,
                "{freedom}: {}",
                student_t(freedom)
            );
        }
    }
}
