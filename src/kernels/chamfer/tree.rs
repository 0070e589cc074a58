//! A k-d tree of points, asked for the neighbours of eight points at a time.
//!
//! Both sets of points are put into the order of their trees, so eight points that follow each other are close
//! together, and one walk through the other tree serves them all: it compares the box around the eight with the boxes of the
//! nodes, and the eight with the 32 points of a leaf in the vectorised loop that compares small sets as well.
//!
//! Distances to boxes are rounded as distances to points are, operation by operation, and rounding keeps order: no node is
//! passed over that has a nearer point, so results have the bits of the plain formulas.
//!
//! (The published trees do not fit: kiddo's dimension is a constant of the program, which of several nearest points it
//! gives is not defined, and its growing tree panics where 33 points share a coordinate.)

use super::packed::{LANES, Lane, Packed, ROWS, Set};
use super::tile::{Narrow, Vector, lower_squares, squares};
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use super::wide::wide;

/// Points of a leaf: a multiple of [`ROWS`] and [`LANES`].
const LEAF: usize = 32;

/// For each dimension the number of points in the smaller set from which on trees are faster, where they are.
///
/// Measured with points in a cube, both sets of one size, trees built anew each time, AVX-512, by the ignored test
/// `crossover_of_trees_and_all_pairs`. The time of trees to that of all pairs was, in one run,
///
/// | dimensions | 500 | 1,000 | 2,000 | 4,000 | 8,000 | 16,000 points |
/// |---|---|---|---|---|---|---|
/// | 1 | 2.2 | 1.27 | 0.75 | 0.45 | 0.27 | 0.14 |
/// | 2 | 2.1 | 1.23 | 0.81 | 0.58 | 0.25 | 0.15 |
/// | 3 | 2.4 | 1.43 | 0.85 | 0.56 | 0.33 | 0.18 |
/// | 4 | 2.3 | 1.42 | 0.92 | 0.58 | 0.30 | 0.20 |
/// | 5 | 2.9 | 2.1 | 1.29 | 0.80 | 0.46 | 0.33 |
/// | 6 | 2.9 | 2.7 | 2.1 | 1.28 | 0.74 | 0.44 |
/// | 8 | 2.8 | 2.7 | 2.6 | 2.5 | 2.0 | 1.52 |
/// | 10 | 2.7 | 2.6 | 2.6 | 2.5 | 2.5 | 2.5 |
///
/// Points in clusters favour trees more. Leaves of 16, 24, 48 and 64 points were as fast as those of 32.
const FEWEST: [Option<usize>; 9] = [
    None,
    Some(1_500),
    Some(1_500),
    Some(1_600),
    Some(1_800),
    Some(3_000),
    Some(6_000),
    Some(15_000),
    Some(40_000),
];

/// A tree over at least one point.
pub(super) struct Tree {
    dim: usize,
    /// The points in the order of the tree, as one set.
    packed: Packed,
    /// For each place in the tree the row of the point.
    rows: Vec<u32>,
    /// A node's left child follows it.
    nodes: Vec<Node>,
    /// For each node the least coordinates, then the largest.
    boxes: Vec<f64>,
}

struct Node {
    /// The right child; 0 for a leaf.
    right: u32,
    /// Its points' first place in the tree; a multiple of [`LEAF`].
    start: u32,
    end: u32,
    /// The lowest of its points' rows.
    lowest_row: u32,
}

/// The points of a tree that is being built.
struct Builder<'a> {
    dim: usize,
    /// Point after point, in rows.
    points: &'a [f64],
    nodes: Vec<Node>,
    boxes: Vec<f64>,
}

impl Tree {
    /// The most points: their rows are kept in 32 bits.
    pub(super) const MOST: usize = u32::MAX as usize;

    /// Builds a tree of points given row by row.
    pub(super) fn new(dim: usize, points: &[f64]) -> Self {
        let len = points.len() / dim;
        let mut rows: Vec<u32> = (0..len as u32).collect();
        let mut builder = Builder {
            dim,
            points,
            nodes: Vec::with_capacity(2 * len.div_ceil(LEAF)),
            boxes: Vec::with_capacity(4 * dim * len.div_ceil(LEAF)),
        };
        builder.node(&mut rows, 0);
        let mut ordered = Vec::with_capacity(points.len());
        for &row in &rows {
            let at = row as usize * dim;
            ordered.extend_from_slice(&points[at..at + dim]);
        }
        Tree {
            dim,
            packed: Packed::new(dim, std::iter::once(ordered.as_slice())),
            rows,
            nodes: builder.nodes,
            boxes: builder.boxes,
        }
    }

    /// The points in the order of the tree.
    pub(super) fn set(&self) -> Set<'_> {
        self.packed.set(0)
    }

    /// For each place in the tree the row of the point.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The square of the distance from the box to a node's box, or less.
    #[inline(always)]
    fn gap<const D: usize>(&self, node: u32, group: &[f64]) -> f64 {
        let dim = if D == 0 { self.dim } else { D };
        let node = &self.boxes[2 * dim * node as usize..][..2 * dim];
        let group = &group[..2 * dim];
        let mut sum = 0.0;
        for k in 0..dim {
            let (below, above) = (node[k] - group[dim + k], group[k] - node[dim + k]);
            let gap = below.max(above).max(0.0);
            sum = if k == 0 { gap * gap } else { sum + gap * gap };
        }
        sum
    }

    fn columns(&self, node: &Node) -> &[Lane] {
        let from = node.start as usize / LANES * self.dim;
        let to = (node.end as usize).div_ceil(LANES) * self.dim;
        &self.set().columns[from..to]
    }

    /// Lowers the least squares of eight points.
    #[inline(always)]
    fn lower<V: Vector<W>, const D: usize, const W: usize>(
        &self,
        v: V,
        points: &[f64],
        bounds: &[f64],
        least: &mut [f64],
        stack: &mut Vec<(u32, f64)>,
    ) {
        let mut limit = largest(least);
        stack.clear();
        stack.push((0, self.gap::<D>(0, bounds)));
        while let Some((mut index, gap)) = stack.pop() {
            if gap >= limit {
                continue;
            }
            loop {
                let node = &self.nodes[index as usize];
                if node.right == 0 {
                    lower_squares::<V, D, W>(v, self.dim, points, self.columns(node), least);
                    limit = largest(least);
                    break;
                }
                let mut near = (index + 1, self.gap::<D>(index + 1, bounds));
                let mut far = (node.right, self.gap::<D>(node.right, bounds));
                if far.1 < near.1 {
                    std::mem::swap(&mut near, &mut far);
                }
                if far.1 < limit {
                    stack.push(far);
                }
                if near.1 >= limit {
                    break;
                }
                index = near.0;
            }
        }
    }

    /// Finds, for eight points whose least squares are known, the lowest rows that have them.
    #[inline(always)]
    fn lowest_rows<const D: usize>(
        &self,
        points: &[f64],
        bounds: &[f64],
        least: &[f64],
        rows: &mut [u32],
        stack: &mut Vec<(u32, f64)>,
    ) {
        let limit = largest(least);
        let mut highest = u32::MAX;
        stack.clear();
        stack.push((0, self.gap::<D>(0, bounds)));
        while let Some((index, gap)) = stack.pop() {
            let node = &self.nodes[index as usize];
            if gap > limit || node.lowest_row >= highest {
                continue;
            }
            if node.right != 0 {
                let mut first = index + 1;
                let mut last = node.right;
                if self.nodes[last as usize].lowest_row < self.nodes[first as usize].lowest_row {
                    std::mem::swap(&mut first, &mut last);
                }
                stack.push((last, self.gap::<D>(last, bounds)));
                stack.push((first, self.gap::<D>(first, bounds)));
                continue;
            }
            let groups = self.columns(node).chunks_exact(self.dim);
            for (place, group) in (node.start as usize..).step_by(LANES).zip(groups) {
                for (i, point) in points.chunks_exact(self.dim).enumerate() {
                    let squares = squares::<D>(point, group);
                    // One branch for all lanes first: hits are rare.
                    let mut any = false;
                    for square in squares {
                        any |= square == least[i];
                    }
                    if any {
                        self.take_lowest(place, squares, least[i], &mut rows[i]);
                    }
                }
            }
            highest = 0;
            for &row in rows.iter() {
                highest = highest.max(row);
            }
        }
    }

    #[inline(never)]
    fn take_lowest(&self, place: usize, squares: [f64; LANES], least: f64, lowest: &mut u32) {
        // The last group may be filled up.
        let rows = &self.rows[place..self.rows.len().min(place + LANES)];
        for (&row, square) in rows.iter().zip(squares) {
            if square == least {
                *lowest = row.min(*lowest);
            }
        }
    }

    /// Whether walks pay: below, all pairs are compared.
    pub(super) fn pays(dim: usize, left: usize, right: usize) -> bool {
        let fewest = FEWEST.get(dim).copied().flatten();
        let (fewer, more) = (left.min(right), left.max(right));
        fewest.is_some_and(|fewest| fewer >= fewest) && more < Tree::MOST
    }
}

impl Builder<'_> {
    /// Brings the rows into the order of the tree, the first of which has this place.
    fn node(&mut self, rows: &mut [u32], start: usize) {
        let node = self.nodes.len();
        self.nodes.push(Node {
            right: 0,
            start: start as u32,
            end: (start + rows.len()) as u32,
            lowest_row: rows.iter().copied().min().unwrap_or(0),
        });
        let axis = self.enclose(rows);
        if rows.len() <= LEAF {
            return self.arrange(rows);
        }
        let half = (rows.len() / 2).next_multiple_of(LEAF);
        self.split(rows, half, axis);
        let (left, right) = rows.split_at_mut(half);
        self.node(left, start);
        self.nodes[node].right = self.nodes.len() as u32;
        self.node(right, start + half);
    }

    /// Adds the box around some points; its longest side.
    fn enclose(&mut self, rows: &[u32]) -> usize {
        let at = self.boxes.len();
        self.boxes.resize(at + self.dim, f64::INFINITY);
        self.boxes.resize(at + 2 * self.dim, f64::NEG_INFINITY);
        let (low, high) = self.boxes[at..].split_at_mut(self.dim);
        for &row in rows {
            let point = &self.points[row as usize * self.dim..][..self.dim];
            for ((low, high), &x) in low.iter_mut().zip(high.iter_mut()).zip(point) {
                *low = if x < *low { x } else { *low };
                *high = if x > *high { x } else { *high };
            }
        }
        let sides = low.iter().zip(high.iter()).map(|(low, high)| high - low);
        let longest = sides.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        longest.map_or(0, |(axis, _)| axis)
    }

    /// Brings the points of a leaf into groups of eight that are close together.
    fn arrange(&mut self, rows: &mut [u32]) {
        if rows.len() <= ROWS {
            return;
        }
        let at = self.boxes.len();
        let axis = self.enclose(rows);
        self.boxes.truncate(at);
        let half = (rows.len() / 2).next_multiple_of(ROWS);
        self.split(rows, half, axis);
        let (left, right) = rows.split_at_mut(half);
        self.arrange(left);
        self.arrange(right);
    }

    /// The lesser coordinates come first; rows decide between equal ones, so that the tree is the points' alone.
    fn split(&self, rows: &mut [u32], half: usize, axis: usize) {
        let x = |row: u32| self.points[row as usize * self.dim + axis];
        rows.select_nth_unstable_by(half, |&a, &b| x(a).total_cmp(&x(b)).then(a.cmp(&b)));
    }
}

/// Lowers the least squares of points to those of a tree, eight points in one walk.
///
/// `points` and `least` are whole groups of [`ROWS`]; `rows`, where wanted, become the rows of the nearest.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
pub(super) fn nearest(tree: &Tree, points: &[f64], least: &mut [f64], rows: Option<&mut [u32]>) {
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    if let Some(wide) = wide!() {
        return nearest_in(wide, tree, points, least, rows);
    }
    nearest_in(Narrow, tree, points, least, rows);
}

#[inline(always)]
fn nearest_in<V: Vector<W>, const W: usize>(
    v: V,
    tree: &Tree,
    points: &[f64],
    least: &mut [f64],
    rows: Option<&mut [u32]>,
) {
    match tree.dim {
        2 => nearest_instance::<V, 2, W>(v, tree, points, least, rows),
        3 => nearest_instance::<V, 3, W>(v, tree, points, least, rows),
        _ => nearest_instance::<V, 0, W>(v, tree, points, least, rows),
    }
}

#[inline(always)]
fn nearest_instance<V: Vector<W>, const D: usize, const W: usize>(
    v: V,
    tree: &Tree,
    points: &[f64],
    least: &mut [f64],
    mut rows: Option<&mut [u32]>,
) {
    let dim = if D == 0 { tree.dim } else { D };
    let mut stack = Vec::new();
    let mut bounds = vec![0.0; 2 * dim];
    let groups = points.chunks_exact(ROWS * dim);
    for (i, (group, least)) in groups.zip(least.chunks_exact_mut(ROWS)).enumerate() {
        let (low, high) = bounds.split_at_mut(dim);
        low.fill(f64::INFINITY);
        high.fill(f64::NEG_INFINITY);
        for point in group.chunks_exact(dim) {
            for k in 0..dim {
                low[k] = low[k].min(point[k]);
                high[k] = high[k].max(point[k]);
            }
        }
        tree.lower::<V, D, W>(v, group, &bounds, least, &mut stack);
        if let Some(rows) = rows.as_deref_mut() {
            let rows = &mut rows[i * ROWS..(i + 1) * ROWS];
            tree.lowest_rows::<D>(group, &bounds, least, rows, &mut stack);
        }
    }
}

#[inline(always)]
fn largest(least: &[f64]) -> f64 {
    let mut largest = 0.0;
    for &value in least {
        largest = if value > largest { value } else { largest };
    }
    largest
}
