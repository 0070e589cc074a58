//! The inner loops: eight points against four or eight at a time, compiled for several instruction sets.
//!
//! Written on arrays of fixed length, which the compiler turns into vector instructions; `multiversion` compiles it
//! for the baseline (SSE2, NEON), for AVX2 and for AVX-512, and picks one at run time. Nothing here is fused or
//! reordered, and a minimum is the same in any order, so all of them give the bits of the plain formulas.

use super::packed::{LANES, Lane, Packed, ROWS, Set};
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use super::wide::wide;
use super::{Metric, Nearest, Reduction};

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
trait Kind {
    /// From the terms of a point to what is minimised.
    fn term(x: f64, y: f64) -> f64;

    /// Infinity for what does not take part in the minimum.
    fn value(sum: f64) -> f64;
}

/// Sums of squared differences: never NaN, as coordinates of one side are finite.
struct Squares;

impl Kind for Squares {
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
struct Products;

impl Kind for Products {
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
fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// Eight rows against all columns: lowers `least_of_columns`, returns the least of each row.
///
/// `D` is the dimension, or 0 where it is known at run time only.
#[inline(always)]
fn sweep<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
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
                let mut of_column = [f64::INFINITY; LANES];
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
        if at > 0 && column[0][at] == f64::INFINITY {
            break;
        }
        let mut of_column = [0.0; W];
        of_column.copy_from_slice(&least_of_column[at..at + W]);
        for (row, least) in least.iter_mut().enumerate() {
            let mut sum = [0.0; W];
            for k in 0..dim {
                let x = rows[row * dim + k];
                for lane in 0..W {
                    let term = K::term(x, column[k][at + lane]);
                    sum[lane] = if k == 0 { term } else { sum[lane] + term };
                }
            }
            for value in &mut sum {
                *value = K::value(*value);
            }
            *least = v.lesser(sum, *least);
            of_column = v.lesser(sum, of_column);
        }
        least_of_column[at..at + W].copy_from_slice(&of_column);
    }
}

/// How clusters are compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) metric: Metric,
    pub(super) reduction: Reduction,
}

/// Calls a generic function for a metric, a dimension and the instruction set for which its caller is compiled.
macro_rules! instance {
    ($metric:expr, $dim:expr, widest $function:ident ($($argument:expr),*)) => {{
        #[cfg(all(feature = "simd", target_arch = "x86_64"))]
        if let Some(wide) = wide!() {
            return instance!($metric, $dim, $function(wide, $($argument),*));
        }
        instance!($metric, $dim, $function(Narrow, $($argument),*))
    }};
    ($metric:expr, $dim:expr, $function:ident ($($argument:expr),*)) => {
        match ($metric, $dim) {
            (Metric::SqrtDot, 3) => $function::<Products, _, 3, _>($($argument),*),
            (Metric::SqrtDot, _) => $function::<Products, _, 0, _>($($argument),*),
            (_, 2) => $function::<Squares, _, 2, _>($($argument),*),
            (_, 3) => $function::<Squares, _, 3, _>($($argument),*),
            (_, _) => $function::<Squares, _, 0, _>($($argument),*),
        }
    };
}

/// The Chamfer distance of two sets.
pub(super) fn full_distance(
    measure: Measure,
    left: Set<'_>,
    right: Set<'_>,
    scratch: &mut Vec<Lane>,
) -> f64 {
    distance(measure, left, right, f64::INFINITY, scratch).expect("nothing exceeds infinity")
}

/// The Chamfer distance of two sets, or `None` if it is more than `limit`.
///
/// `scratch` is any vector: it saves an allocation.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn distance(
    measure: Measure,
    left: Set<'_>,
    right: Set<'_>,
    limit: f64,
    scratch: &mut Vec<Lane>,
) -> Option<f64> {
    instance!(
        measure.metric,
        left.dim,
        widest either_way(measure, left, right, limit, scratch)
    )
}

/// A left cluster in search of its nearest right one, and the other way round.
pub(super) struct Search<'a> {
    /// The left cluster.
    pub(super) index: usize,
    /// Its nearest cluster is not farther than this.
    pub(super) limit: f64,
    pub(super) nearest: &'a mut Nearest,
    /// For each right cluster: its nearest is not farther than this.
    pub(super) limits: &'a [f64],
    pub(super) nearest_of_rights: &'a mut [Nearest],
}

/// Compares a left cluster with all right ones, as far as they may be of use to each other.
///
/// One call for all of them: choosing an instruction set takes as long as comparing two very small clusters.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn search(
    measure: Measure,
    left: Set<'_>,
    rights: &Packed,
    search: Search<'_>,
    scratch: &mut Vec<Lane>,
) {
    instance!(
        measure.metric,
        left.dim,
        widest search_instance(measure, left, rights, search, scratch)
    );
}

#[inline(always)]
fn search_instance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    measure: Measure,
    left: Set<'_>,
    rights: &Packed,
    search: Search<'_>,
    scratch: &mut Vec<Lane>,
) {
    let Search {
        index,
        limit: of_left,
        nearest,
        limits,
        nearest_of_rights,
    } = search;
    let both = nearest_of_rights.iter_mut().zip(limits);
    for (j, (nearest_of_right, of_right)) in both.enumerate() {
        // More than this is of use to neither.
        let of_left = lesser(nearest.distance, of_left);
        let of_right = lesser(nearest_of_right.distance, *of_right);
        let limit = if of_left > of_right {
            of_left
        } else {
            of_right
        };
        let right = rights.set(j);
        if let Some(distance) = either_way::<K, V, D, W>(v, measure, left, right, limit, scratch) {
            nearest.offer(j, distance);
            nearest_of_right.offer(index, distance);
        }
    }
}

#[inline(always)]
fn either_way<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    measure: Measure,
    left: Set<'_>,
    right: Set<'_>,
    limit: f64,
    scratch: &mut Vec<Lane>,
) -> Option<f64> {
    // The distance has the same bits either way. The more rows there are the sooner a few of them decide.
    let (rows, columns) = match left.len >= right.len {
        true => (left, right),
        false => (right, left),
    };
    both_means::<K, V, D, W>(v, measure, rows, columns, limit, scratch)
}

#[inline(always)]
fn both_means<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    measure: Measure,
    rows: Set<'_>,
    columns: Set<'_>,
    limit: f64,
    scratch: &mut Vec<Lane>,
) -> Option<f64> {
    let Measure { metric, reduction } = measure;
    let dim = if D == 0 { rows.dim } else { D };
    scratch.clear();
    scratch.resize(columns.len.div_ceil(LANES), [f64::INFINITY; LANES]);
    // The sum over rows grows from row to row, also as it is rounded: as soon as it is too much, the rest can only make it more.
    let (mut sum, mut left, len) = (0.0, rows.len, rows.len as f64);
    let most = measure.reduction.most(limit) * len;
    // With room for the rounding of this product and of the mean, so that none is given up that reaches the limit and no more.
    let most = most * (1.0 + 4.0 * f64::EPSILON) + f64::MIN_POSITIVE;
    for group in rows.rows.chunks_exact(ROWS * dim) {
        let mut least = sweep::<K, V, D, W>(v, dim, group, columns.columns, Some(scratch));
        finish(metric, &mut least);
        for &least in &least[..left.min(ROWS)] {
            sum += least;
        }
        left -= left.min(ROWS);
        if sum > most {
            return None;
        }
    }
    let there = sum / len;
    finish(metric, scratch.as_flattened_mut());
    let mut sum = 0.0;
    for &distance in &scratch.as_flattened()[..columns.len] {
        sum += distance;
    }
    let distance = reduction.reduce(there, sum / columns.len as f64);
    (distance <= limit).then_some(distance)
}

/// Takes the roots, several at a time.
#[inline(always)]
fn finish(metric: Metric, least: &mut [f64]) {
    if metric != Metric::SquaredEuclidean {
        for least in least {
            *least = least.sqrt();
        }
    }
}

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
pub(super) fn squares<const D: usize>(point: &[f64], group: &[Lane]) -> Lane {
    values::<Squares, D>(point, group)
}

#[inline(always)]
fn values<K: Kind, const D: usize>(point: &[f64], group: &[Lane]) -> Lane {
    let dim = if D == 0 { point.len() } else { D };
    let mut sum = [0.0; LANES];
    for k in 0..dim {
        for lane in 0..LANES {
            let term = K::term(point[k], group[k][lane]);
            sum[lane] = if k == 0 { term } else { sum[lane] + term };
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
