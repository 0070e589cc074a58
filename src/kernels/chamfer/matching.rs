//! Matching clusters: which pairs are worth comparing, and the search.

use std::ops::Range;

use super::outline::{Outlines, bounds, slack};
use super::packed::{LANES, Lane, Packed};
use super::pair::{Measure, Pair, Scratch, distance, full_distance};
use super::tile::{Kind, Vector, instance};
use super::{Matching, Nearest, tile};
use crate::chunking::Chunking;
use crate::kernels::clusters::Clusters;
use crate::pool::Pool;

/// Pairs of clusters that are compared in one piece of work.
const FEW: usize = 16;

/// Both sets of clusters, laid out for the search.
pub(super) struct Sides {
    measure: Measure,
    left: Packed,
    right: Packed,
    outlines: [Outlines; 2],
    /// See [`slack`]; `None` if bounds are of no use.
    slack: Option<f64>,
}

/// Pairs that were compared before the search, one for each cluster: the nearest one is not farther.
pub(super) struct Known {
    left: Vec<Nearest>,
    right: Vec<Nearest>,
}

impl Sides {
    pub(super) fn new(measure: Measure, lefts: &Clusters, rights: &Clusters) -> Self {
        let outlines = [lefts, rights].map(Outlines::new);
        Sides {
            measure,
            left: Packed::of_clusters(lefts),
            right: Packed::of_clusters(rights),
            slack: slack(&outlines[0], &outlines[1]),
            outlines,
        }
    }

    /// Compares each cluster with that of the other side whose centre is nearest.
    pub(super) fn likely(&self, pool: &Pool, chunking: Chunking) -> Known {
        let [left, right] = &self.outlines;
        let centres = [left.centres(), right.centres()];
        let packed = Packed::new(self.left.dim, centres.iter().map(Vec::as_slice));
        let to_right = tile::nearest(packed.set(0), packed.set(1));
        let to_left = tile::nearest(packed.set(1), packed.set(0));
        let of_lefts = to_right.iter().copied().enumerate();
        let of_rights = to_left.iter().copied().enumerate();
        // A pair that is likely for both is compared once.
        let of_rights = of_rights
            .map(|(j, i)| (i, j))
            .filter(|&(i, j)| to_right[i] != j);
        let pairs: Vec<(usize, usize)> = of_lefts.chain(of_rights).collect();
        let pieces: Vec<&[(usize, usize)]> = pairs.chunks(FEW).collect();
        let compare = |pairs: &[(usize, usize)]| -> Vec<f64> {
            let mut scratch = Scratch::default();
            let distance = |&(i, j): &(usize, usize)| {
                full_distance(
                    self.measure,
                    self.left.set(i),
                    self.right.set(j),
                    &mut scratch,
                )
            };
            pairs.iter().map(distance).collect()
        };
        let distances = pool.par_map_chunked(pieces, chunking, compare);
        let mut known = Known {
            left: vec![Nearest::NONE; self.left.len()],
            right: vec![Nearest::NONE; self.right.len()],
        };
        for (&(i, j), distance) in pairs.iter().zip(distances.into_iter().flatten()) {
            known.left[i].offer(j, distance);
            known.right[j].offer(i, distance);
        }
        known
    }

    /// Compares some left clusters with all right ones, as far as they may be of use to each other.
    ///
    /// `report` is called after each.
    pub(super) fn search(&self, known: &Known, lefts: Range<usize>, report: impl Fn()) -> Matching {
        let mut matching = Matching {
            left: vec![Nearest::NONE; lefts.len()],
            right: vec![Nearest::NONE; self.right.len()],
        };
        let mut scratch = (Scratch::default(), Vec::new());
        for (index, nearest) in lefts.zip(&mut matching.left) {
            let search = Search {
                index,
                nearest,
                nearest_of_rights: &mut matching.right,
            };
            search_one(self, known, search, &mut scratch);
            report();
        }
        matching
    }

    /// Bounds of the distances of a left cluster to all right ones.
    fn bounds(&self, index: usize, of_rights: &mut Vec<Lane>) {
        let [left, right] = &self.outlines;
        match self.slack {
            Some(slack) => bounds(self.measure, slack, (left, index), right, of_rights),
            None => {
                of_rights.clear();
                of_rights.resize(right.len().div_ceil(LANES), Lane([0.0; LANES]));
            }
        }
    }
}

/// A left cluster in search of its nearest right one, and the other way round.
struct Search<'a> {
    /// The left cluster.
    index: usize,
    nearest: &'a mut Nearest,
    nearest_of_rights: &'a mut [Nearest],
}

/// One call for all right clusters: choosing an instruction set takes as long as comparing two very small clusters.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
fn search_one(
    sides: &Sides,
    known: &Known,
    search: Search<'_>,
    scratch: &mut (Scratch, Vec<Lane>),
) {
    instance!(
        sides.measure.metric,
        sides.left.dim,
        widest search_instance(sides, known, search, scratch)
    );
}

#[inline(always)]
fn search_instance<K: Kind, V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    sides: &Sides,
    all_known: &Known,
    search: Search<'_>,
    (scratch, bounds): &mut (Scratch, Vec<Lane>),
) {
    let Search {
        index,
        nearest,
        nearest_of_rights,
    } = search;
    let left = sides.left.set(index);
    sides.bounds(index, bounds);
    let [of_lefts, of_rights] = &sides.outlines;
    let of_left = all_known.left[index];
    let both = nearest_of_rights.iter_mut().zip(&all_known.right);
    for (j, (nearest_of_right, of_right)) in both.enumerate() {
        // More than this is of use to neither.
        let to_right = tile::lesser(nearest.distance, of_left.distance);
        let to_left = tile::lesser(nearest_of_right.distance, of_right.distance);
        let limit = tile::larger(to_right, to_left);
        if bounds[j / LANES].0[j % LANES] > limit {
            continue;
        }
        let known = of_left.if_it_is(j).or(of_right.if_it_is(index));
        let found = match known {
            Some(distance) => Some(distance),
            // No closure: it would not be compiled for the instruction set.
            None => {
                let boxes = [of_lefts.around(index), of_rights.around(j)];
                let pair = Pair {
                    left,
                    right: sides.right.set(j),
                    boxes: sides.slack.is_some().then_some(boxes),
                };
                distance::<K, V, D, W>(v, sides.measure, pair, limit, scratch)
            }
        };
        if let Some(distance) = found {
            nearest.offer(j, distance);
            nearest_of_right.offer(index, distance);
        }
    }
}
