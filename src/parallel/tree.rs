//! The fixed tree in which leaves are combined: always neighbours, always the same ones, whoever
//! computed them and whenever.
//!
//! A node is a level and an index: `(l, i)` stands for the leaves `i << l .. (i + 1) << l` as far as
//! there are so many. A node without a right neighbour is its parent as it is.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::panic::{Held, discard};

/// The shape of a tree over some leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    leaves: usize,
    /// Level of the root.
    height: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    level: u32,
    index: usize,
}

impl Shape {
    /// At least one leaf.
    pub(super) fn new(leaves: usize) -> Self {
        debug_assert!(leaves > 0);
        Self {
            leaves,
            height: usize::BITS - (leaves - 1).leading_zeros(),
        }
    }

    /// Number of nodes on a level.
    fn width(self, level: u32) -> usize {
        ((self.leaves - 1) >> level) + 1
    }

    /// Whether the node has no neighbour to be combined with, so that it stands for its parent too.
    fn is_lone(self, node: Node) -> bool {
        node.index.is_multiple_of(2) && node.index + 1 == self.width(node.level)
    }

    /// The largest node that begins with leaf `start` and stays within `end`.
    fn largest(self, start: usize, end: usize) -> Node {
        let mut node = Node {
            level: 0,
            index: start,
        };
        while node.level < self.height && node.index.is_multiple_of(2) {
            let last = ((node.index + 2) << node.level).min(self.leaves);
            if last > end {
                break;
            }
            node = Node {
                level: node.level + 1,
                index: node.index / 2,
            };
        }
        node
    }

    /// One past the last leaf of a node.
    fn end(self, node: Node) -> usize {
        ((node.index + 1) << node.level).min(self.leaves)
    }

    /// The value of a node, from the leaves up; `None` where a leaf has none.
    fn value<R>(
        self,
        node: Node,
        leaf: &mut impl FnMut(usize) -> Option<R>,
        op: &impl Fn(R, R) -> R,
    ) -> Option<R> {
        if node.level == 0 {
            return leaf(node.index);
        }
        let left = Node {
            level: node.level - 1,
            index: 2 * node.index,
        };
        if self.is_lone(left) {
            return self.value(left, leaf, op);
        }
        let right = Node {
            index: left.index + 1,
            ..left
        };
        let a = Held::new(self.value(left, leaf, op)?);
        let b = self.value(right, leaf, op)?;
        Some(op(a.into_inner(), b))
    }
}

/// A tree that several workers bring leaves to.
///
/// It holds the finished nodes whose neighbours are not: in the leaves that have been brought these are
/// at most two per level for each gap, and there are no more gaps than workers that are at work on one.
/// So it stays small whatever the number of leaves, unless they are brought in an order that leaves
/// many gaps.
#[derive(Debug)]
pub(crate) struct Tree<R> {
    shape: Shape,
    /// Finished nodes, each where its parent is looked for. Made when the first one has to wait.
    waiting: OnceLock<Box<[Waiting<R>]>>,
    /// Into how many parts these are split: a power of two.
    parts: usize,
    root: Mutex<Option<R>>,
}

/// Finished nodes of some parents, in cache lines of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Waiting<R>(Mutex<Vec<(Node, R)>>);

/// Enough that workers seldom meet, and that each part is a short list.
const PARTS: usize = 64;

impl<R> Tree<R> {
    /// A tree whose leaves are brought in order, but for those that workers are at.
    pub(super) fn new(leaves: usize) -> Self {
        Self::with_parts(leaves, PARTS.min(leaves).next_power_of_two())
    }

    /// A tree whose leaves are brought in any order, so that up to half of them wait for another one.
    pub(super) fn in_any_order(leaves: usize) -> Self {
        /// Nodes that a part is expected to have at most.
        const NODES: usize = 4;
        Self::with_parts(leaves, (leaves / NODES).next_power_of_two().max(PARTS))
    }

    fn with_parts(leaves: usize, parts: usize) -> Self {
        Self {
            shape: Shape::new(leaves),
            waiting: OnceLock::new(),
            parts,
            root: Mutex::new(None),
        }
    }

    /// The value of the root, for one worker that computes all leaves in order.
    #[inline]
    pub(crate) fn whole(
        leaves: usize,
        mut leaf: impl FnMut(usize) -> R,
        op: &impl Fn(R, R) -> R,
    ) -> R {
        /// Finished nodes waiting for their right neighbours: at most one per level.
        const LEVELS: usize = 20;
        if leaves == 1 {
            return leaf(0);
        }
        let shape = Shape::new(leaves);
        if shape.height as usize >= LEVELS {
            let root = Node {
                level: shape.height,
                index: 0,
            };
            let value = shape.value(root, &mut |index| Some(leaf(index)), op);
            return value.expect("every leaf has a value");
        }
        let mut waiting: [Option<Held<R>>; LEVELS] = [const { None }; LEVELS];
        for index in 0..leaves {
            let mut value = leaf(index);
            // As many levels as the index has ones at its end are now complete.
            let level = index.trailing_ones() as usize;
            for left in &mut waiting[..level] {
                let left = left.take().expect("a left neighbour was finished before");
                value = op(left.into_inner(), value);
            }
            waiting[level] = Some(Held::new(value));
        }
        // What is left over has no right neighbour: it goes up as it is, from the right.
        let right_to_left = waiting.into_iter().flatten();
        right_to_left
            .reduce(|right, left| Held::new(op(left.into_inner(), right.into_inner())))
            .expect("there is at least one leaf")
            .into_inner()
    }

    /// Brings the leaves `range`, computed by `leaf` in order, up to the first that has no value. Says
    /// whether all of them had one.
    #[inline]
    pub(super) fn bring(
        &self,
        range: Range<usize>,
        mut leaf: impl FnMut(usize) -> Option<R>,
        op: &impl Fn(R, R) -> R,
    ) -> bool {
        let mut start = range.start;
        while start < range.end {
            let node = self.shape.largest(start, range.end);
            let Some(value) = self.shape.value(node, &mut leaf, op) else {
                return false;
            };
            start = self.shape.end(node);
            self.arrive(node, value, op);
        }
        true
    }

    /// Combines a finished node with its neighbour if that is there, and so on upwards; else leaves it for the neighbour.
    fn arrive(&self, mut node: Node, mut value: R, op: &impl Fn(R, R) -> R) {
        while node.level < self.shape.height {
            if !self.shape.is_lone(node) {
                let neighbour = Node {
                    index: node.index ^ 1,
                    ..node
                };
                let mut waiting = lock(self.part(node));
                let Some(place) = waiting.iter().position(|(other, _)| *other == neighbour) else {
                    waiting.push((node, value));
                    return;
                };
                let (_, other) = waiting.swap_remove(place);
                drop(waiting); // the user's `op` never runs under a lock
                value = if node.index.is_multiple_of(2) {
                    op(value, other)
                } else {
                    op(other, value)
                };
            }
            node = Node {
                level: node.level + 1,
                index: node.index / 2,
            };
        }
        *lock(&self.root) = Some(value);
    }

    /// Where a node waits for its neighbour, and the neighbour for it.
    fn part(&self, node: Node) -> &Mutex<Vec<(Node, R)>> {
        let waiting = self.waiting.get_or_init(|| {
            std::iter::repeat_with(|| Waiting(Mutex::new(Vec::new())))
                .take(self.parts)
                .collect()
        });
        // Nodes of one level have parts in turn; the levels begin at different ones.
        let turn = (node.index / 2).wrapping_add(11 * node.level as usize);
        &waiting[turn & (self.parts - 1)].0
    }

    /// The value of the root, once all leaves have been brought.
    pub(super) fn into_root(self) -> Option<R> {
        lock(&self.root).take()
    }
}

impl<R> Drop for Tree<R> {
    /// What waits for a neighbour now is left over from a run that has failed.
    fn drop(&mut self) {
        for part in self.waiting.take().into_iter().flatten() {
            let nodes = part.0.into_inner().unwrap_or_else(PoisonError::into_inner);
            nodes.into_iter().for_each(|(_, value)| discard(value));
        }
        discard(lock(&self.root).take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests;
