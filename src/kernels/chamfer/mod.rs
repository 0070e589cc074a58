//! Distances between sets of points: Chamfer distance, matching of clusters, nearest neighbours.
//!
//! With p the distance of two points ([`Metric`]), the mean distance from a set L of n points to a set R is
//!
//! ```text
//! h(L→R) = 1/n · Σ_l min_r p(l, r)
//! ```
//!
//! and the Chamfer distance of L and R is the larger of h(L→R) and h(R→L), their sum, or half of it ([`Reduction`]). Some combinations
//! have names:
//!
//! | | metric | reduction |
//! |---|---|---|
//! | the default | [`Euclidean`](Metric::Euclidean) | [`MaxOfMeans`](Reduction::MaxOfMeans) |
//! | PyTorch3D, `chamfer_distance` | [`SquaredEuclidean`](Metric::SquaredEuclidean) | [`SumOfMeans`](Reduction::SumOfMeans) |
//! | Open3D, `ComputeMetrics` | [`Euclidean`](Metric::Euclidean) | [`SumOfMeans`](Reduction::SumOfMeans) |
//! | the notebook "Accelerating Python for Scientific Computing" | [`SqrtDot`](Metric::SqrtDot), no metric | [`MaxOfMeans`](Reduction::MaxOfMeans) |
//!
//! [`chamfer`] compares two sets, [`chamfer_matrix`] all pairs of [`Clusters`](super::clusters::Clusters), [`nearest_clusters`] matches
//! clusters in both directions, [`nearest_neighbours`] points. [`Chamfer`] has the options. [`plain`] has the formulas.
//!
//! Points have any number of coordinates; two and three have loops of their own. Units are the caller's.
//!
//! # Examples
//!
//! ```
//! use ndarray::array;
//! use scipar::kernels::chamfer::{Metric, Reduction, chamfer, nearest_clusters};
//! use scipar::kernels::clusters::generate;
//!
//! let (left, right) = (array![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], array![[0.0, 3.0, 0.0]]);
//! let distance = chamfer(left.view(), right.view(), Metric::SquaredEuclidean, Reduction::SumOfMeans)?;
//! assert_eq!(distance, (9.0 + 10.0) / 2.0 + 9.0);
//!
//! let (lefts, rights) = (generate(50, 35, 1)?, generate(30, 23, 2)?);
//! let matching = nearest_clusters(&lefts, &rights, Metric::Euclidean, Reduction::MaxOfMeans)?;
//! assert_eq!((matching.left.len(), matching.right.len()), (50, 30));
//! assert_eq!(matching.left[0].cluster, 5);
//! # Ok::<(), scipar::kernels::clusters::PointsError>(())
//! ```
//!
//! # Determinism
//!
//! Exact: every result has the bits of the plain version, for any number of workers and any instruction set. Minima do not depend on the
//! order of comparing, sums run in index order, nothing is fused. Ties go to the lowest index.
//!
//! # How it is fast
//!
//! *Each pair once.* A distance serves the minimum of its row and that of its column: 3 subtractions, 3 multiplications, 2 additions and 2
//! comparisons in three dimensions, 10 operations instead of the 18 of two separate passes. Roots are taken of the minima.
//!
//! *In registers.* With AVX-512 four rows are compared with eight columns at a time, else eight with four (AVX2) or two. Clusters of hundreds of
//! points stay in the innermost cache, so the loop is bound by arithmetic. Two of the four units of a core such as Zen 4 add, subtract and compare
//! floating-point numbers: 7 of the 10 operations, so four pairs take 3.5 cycles. Squares are not negative, so their bits may be compared as integers,
//! on other units; AVX-512 has an instruction for it, and four pairs take 2.5 cycles, which is 5.9 G pairs per second at 3.67 GHz.
//!
//! *No pair to its end without need.* A matching wants the nearest clusters only. The distances to the clusters with the nearest centres bound what can
//! be of use. Most pairs of clusters are seen to be of no use from their boxes and centres alone; of the others a pair is given up as soon as
//! the sum over its first points, with the least that the box of the other cluster leaves for the rest, exceeds the bound. Bounds have room for
//! rounding, so nothing is given up that could have won or tied.
//!
//! *Trees.* Large sets of points are compared through k-d trees, from about 1,500 points on in up to four dimensions.
//!
//! What that gives, on one core and on two of a Zen 4 at 3.67 GHz (`cargo bench --bench kernels`, 83,219 points in 600 clusters):
//!
//! | | one core | two | pairs per second, one core | of the peak |
//! |---|---|---|---|---|
//! | all distances, AVX-512 | 0.39 s | 0.20 s | 4.4 G | 75 % |
//! | all distances, AVX2 | 0.53 s | 0.28 s | 3.3 G | 78 % of 4.2 G |
//! | the matching, AVX-512 | 0.071 s | 0.036 s | 24 G, most of them never looked at | |

mod check;
mod matching;
mod outline;
mod packed;
mod pair;
mod parallel;
pub mod plain;
mod tile;
mod tree;
mod types;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod wide;

pub use parallel::{Chamfer, chamfer, chamfer_matrix, nearest_clusters, nearest_neighbours};
pub use types::{Matching, Metric, Nearest, Neighbour, Reduction};
