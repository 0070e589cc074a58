//! The inner loops: eight points against four or eight at a time, compiled for several instruction sets.
//!
//! Written on arrays of fixed length, which the compiler turns into vector instructions; `multiversion` compiles it
//! for the baseline (SSE2, NEON), for AVX2 and for AVX-512, and picks one at run time. Nothing here is fused or
//! reordered, and a minimum is the same in any order, so all of them give the bits of the plain formulas.

use super::Metric;
use super::packed::{LANES, Lane, ROWS, Set};

/// `W` numbers at a time.
pub(super) trait Vector<const W: usize>: Copy {
    /// The lesser ones of numbers that are neither negative nor NaN.
    fn lesser(self, a: [f64; W], b: [f64; W]) -> [f64; W];
}

/// What fits into sixteen registers of four numbers: AVX2, and whatever has less.
#[derive(Clone, Copy)]
pub(super) struct Narrow;

impl Vector<4> for Narrow {
    #[inline(always)]
    fn lesser(self, a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        let mut least = b;
        for lane in 0..4 {
            least[lane] = lesser(a[lane], b[lane]);
        }
        least
    }
}

/// What is minimised, before any root is taken.
pub(super) trait Kind {
    /// Whether it grows with the distance, so that boxes bound it.
    const GROWS: bool;

    /// From the terms of a point to what is minimised.
    fn term(x: f64, y: f64) -> f64;

    /// Infinity for what does not take part in the minimum.
    fn value(sum: f64) -> f64;
}

/// Sums of squared differences: never NaN, as coordinates of one side are finite.
pub(super) struct Squares;

impl Kind for Squares {
    const GROWS: bool = true;

    #[inline(always)]
    fn term(x: f64, y: f64) -> f64 {
        let difference = x - y;
        difference * difference
    }

    #[inline(always)]
    fn value(sum: f64) -> f64 {
        sum
    }
}

/// Scalar products; negative ones and NaN do not take part.
pub(super) struct Products;

impl Kind for Products {
    const GROWS: bool = false;

    #[inline(always)]
    fn term(x: f64, y: f64) -> f64 {
        x * y
    }

    #[inline(always)]
    fn value(sum: f64) -> f64 {
        if sum >= 0.0 { sum } else { f64::INFINITY }
    }
}

/// The lesser of two numbers in one instruction; `b` if `a` is NaN.
#[inline(always)]
pub(super) fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The larger of two numbers in one instruction.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Eight rows against all columns: lowers `least_of_columns`, returns the least of each row.
///
/// `D` is the dimension, or 0 where it is known at run time only.
#[inline(always)]
pub(super) fn sweep<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    dim: usize,
    rows: &[f64],
    columns: &[Lane],
    least_of_columns: Option<&mut [Lane]>,
) -> [f64; ROWS] {
    let dim = if D == 0 { dim } else { D };
    assert_eq!(rows.len(), ROWS * dim);
    let mut least = [[f64::INFINITY; W]; ROWS];
    match least_of_columns {
        Some(lanes) => {
            if W == LANES {
                // Half the rows at a time, so that their minima stay in registers beside their coordinates.
                let (first, second) = least.split_at_mut(ROWS / 2);
                let (upper, lower) = rows.split_at(ROWS / 2 * dim);
                pass::<K, V, D, W, 4>(v, dim, upper, columns, first, lanes);
                pass::<K, V, D, W, 4>(v, dim, lower, columns, second, lanes);
            } else {
                pass::<K, V, D, W, ROWS>(v, dim, rows, columns, &mut least, lanes);
            }
        }
        None => {
            for column in columns.chunks_exact(dim) {
                let mut of_column = Lane::FAR;
                compare::<K, V, D, W, ROWS>(v, dim, rows, column, &mut least, &mut of_column);
            }
        }
    }
    let mut lowest = [f64::INFINITY; ROWS];
    for (lowest, lanes) in lowest.iter_mut().zip(least) {
        *lowest = lowest_of(lanes);
    }
    lowest
}

/// `R` rows against all columns.
#[inline(always)]
fn pass<K: Kind, V: Vector<W>, const D: usize, const W: usize, const R: usize>(
    v: V,
    dim: usize,
    rows: &[f64],
    columns: &[Lane],
    least: &mut [[f64; W]],
    least_of_columns: &mut [Lane],
) {
    let dim = if D == 0 { dim } else { D };
    let mut of_rows = [[f64::INFINITY; W]; R];
    for (column, of_column) in columns.chunks_exact(dim).zip(least_of_columns) {
        compare::<K, V, D, W, R>(v, dim, rows, column, &mut of_rows, of_column);
    }
    least.copy_from_slice(&of_rows);
}

/// The least of some numbers: halves against halves.
#[inline(always)]
fn lowest_of<const W: usize>(mut lanes: [f64; W]) -> f64 {
    let mut width = W / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = lesser(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// `R` rows against a group of columns.
///
/// A function, as a closure would not be compiled for the instruction set of its caller.
#[inline(always)]
fn compare<K: Kind, V: Vector<W>, const D: usize, const W: usize, const R: usize>(
    v: V,
    dim: usize,
    rows: &[f64],
    column: &[Lane],
    least: &mut [[f64; W]; R],
    least_of_column: &mut Lane,
) {
    let dim = if D == 0 { dim } else { D };
    for at in (0..LANES).step_by(W) {
        // Groups that are not full end in points at infinity.
        if at > 0 && column[0].0[at] == f64::INFINITY {
            break;
        }
        let mut of_column = [0.0; W];
        of_column.copy_from_slice(&least_of_column.0[at..at + W]);
        for (row, least) in least.iter_mut().enumerate() {
            let mut sum = [0.0; W];
            for k in 0..dim {
                let x = rows[row * dim + k];
                for (lane, sum) in sum.iter_mut().enumerate() {
                    let term = K::term(x, column[k].0[at + lane]);
                    *sum = if k == 0 { term } else { *sum + term };
                }
            }
            for value in &mut sum {
                *value = K::value(*value);
            }
            *least = v.lesser(sum, *least);
            of_column = v.lesser(sum, of_column);
        }
        least_of_column.0[at..at + W].copy_from_slice(&of_column);
    }
}

/// Calls a generic function for a metric, a dimension and the instruction set for which its caller is compiled.
macro_rules! instance {
    ($metric:expr, $dim:expr, widest $function:ident ($($argument:expr),*)) => {{
        #[cfg(all(feature = "simd", target_arch = "x86_64"))]
        if let Some(wide) = $crate::kernels::chamfer::wide::wide!() {
            return instance!($metric, $dim, $function(wide, $($argument),*));
        }
        instance!($metric, $dim, $function($crate::kernels::chamfer::tile::Narrow, $($argument),*))
    }};
    ($metric:expr, $dim:expr, $function:ident ($($argument:expr),*)) => {
        match ($metric, $dim) {
            ($crate::kernels::chamfer::Metric::SqrtDot, 3) => $function::<$crate::kernels::chamfer::tile::Products, _, 3, _>($($argument),*),
            ($crate::kernels::chamfer::Metric::SqrtDot, _) => $function::<$crate::kernels::chamfer::tile::Products, _, 0, _>($($argument),*),
            (_, 2) => $function::<$crate::kernels::chamfer::tile::Squares, _, 2, _>($($argument),*),
            (_, 3) => $function::<$crate::kernels::chamfer::tile::Squares, _, 3, _>($($argument),*),
            (_, _) => $function::<$crate::kernels::chamfer::tile::Squares, _, 0, _>($($argument),*),
        }
    };
}
pub(super) use instance;

/// Lowers the least of each row and, where wanted, of each column: squares or products, no roots.
///
/// Both have room for the filled-up groups: a multiple of [`ROWS`] numbers and of [`LANES`].
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn lower(
    metric: Metric,
    dim: usize,
    rows: &[f64],
    columns: &[Lane],
    least_of_rows: &mut [f64],
    least_of_columns: Option<&mut [Lane]>,
) {
    instance!(
        metric,
        dim,
        widest lower_instance(dim, rows, columns, least_of_rows, least_of_columns)
    );
}

#[inline(always)]
fn lower_instance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    dim: usize,
    rows: &[f64],
    columns: &[Lane],
    least_of_rows: &mut [f64],
    mut least_of_columns: Option<&mut [Lane]>,
) {
    let dim = if D == 0 { dim } else { D };
    let groups = rows.chunks_exact(ROWS * dim);
    for (group, lowest) in groups.zip(least_of_rows.chunks_exact_mut(ROWS)) {
        let least = sweep::<K, V, D, W>(v, dim, group, columns, least_of_columns.as_deref_mut());
        for (lowest, least) in lowest.iter_mut().zip(least) {
            *lowest = lesser(least, *lowest);
        }
    }
}

/// Lowers the least squares of eight rows; for callers that are compiled for an instruction set themselves.
#[inline(always)]
pub(super) fn lower_squares<V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    dim: usize,
    rows: &[f64],
    columns: &[Lane],
    least: &mut [f64],
) {
    let squares = sweep::<Squares, V, D, W>(v, dim, rows, columns, None);
    for (lowest, least) in least.iter_mut().zip(squares) {
        *lowest = lesser(least, *lowest);
    }
}

/// The squared distances of a point from a group of columns.
#[inline(always)]
pub(super) fn squares<const D: usize>(point: &[f64], group: &[Lane]) -> [f64; LANES] {
    values::<Squares, D>(point, group)
}

#[inline(always)]
fn values<K: Kind, const D: usize>(point: &[f64], group: &[Lane]) -> [f64; LANES] {
    let dim = if D == 0 { point.len() } else { D };
    let mut sum = [0.0; LANES];
    for k in 0..dim {
        for (sum, &x) in sum.iter_mut().zip(&group[k].0) {
            let term = K::term(point[k], x);
            *sum = if k == 0 { term } else { *sum + term };
        }
    }
    for value in &mut sum {
        *value = K::value(*value);
    }
    sum
}

/// The first row of the columns at the least square, or product, of a point; 0 if that is infinite.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn first(metric: Metric, point: &[f64], columns: &[Lane], least: f64) -> usize {
    instance!(metric, point.len(), widest first_instance(point, columns, least))
}

#[inline(always)]
fn first_instance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    _: V,
    point: &[f64],
    columns: &[Lane],
    least: f64,
) -> usize {
    if least == f64::INFINITY {
        return 0;
    }
    for (i, group) in columns.chunks_exact(point.len()).enumerate() {
        let values = values::<K, D>(point, group);
        for (lane, &value) in values.iter().enumerate() {
            if value == least {
                return i * LANES + lane;
            }
        }
    }
    0
}

/// For each point of a set the index of the nearest point of another, by squared distances.
pub(super) fn nearest(from: Set<'_>, to: Set<'_>) -> Vec<usize> {
    let (metric, dim) = (Metric::SquaredEuclidean, from.dim);
    let mut least = vec![f64::INFINITY; from.rows.len() / dim];
    lower(metric, dim, from.rows, to.columns, &mut least, None);
    let points = from.rows.chunks(dim).zip(least).take(from.len);
    points
        .map(|(point, least)| first(metric, point, to.columns, least))
        .collect()
}
