//! The fixed tree in which leaves are combined: always neighbours, always the same ones, whoever
//! computed them and whenever.
//!
//! A node is a level and an index: `(l, i)` stands for the leaves `i << l .. (i + 1) << l` as far as
//! there are so many. A node without a right neighbour is its parent as it is.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

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

    /// The value of a node, from the leaves up.
    fn value<R>(self, node: Node, leaf: &mut impl FnMut(usize) -> R, op: &impl Fn(R, R) -> R) -> R {
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
        let a = self.value(left, leaf, op);
        let b = self.value(
            Node {
                index: left.index + 1,
                ..left
            },
            leaf,
            op,
        );
        op(a, b)
    }
}

/// A tree that several workers bring leaves to.
#[derive(Debug)]
pub(crate) struct Tree<R> {
    shape: Shape,
    /// One place for each node above the leaves, level by level: the child that came first waits there for the other.
    waiting: OnceLock<Box<[Mutex<Option<R>>]>>,
    root: Mutex<Option<R>>,
}

impl<R> Tree<R> {
    pub(super) fn new(leaves: usize) -> Self {
        Self {
            shape: Shape::new(leaves),
            waiting: OnceLock::new(),
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
            return shape.value(root, &mut leaf, op);
        }
        let mut waiting: [Option<R>; LEVELS] = [const { None }; LEVELS];
        for index in 0..leaves {
            let mut value = leaf(index);
            // As many levels as the index has ones at its end are now complete.
            let level = index.trailing_ones() as usize;
            for left in &mut waiting[..level] {
                let left = left.take().expect("a left neighbour was finished before");
                value = op(left, value);
            }
            waiting[level] = Some(value);
        }
        // What is left over has no right neighbour: it goes up as it is, from the right.
        let right_to_left = waiting.into_iter().flatten();
        right_to_left
            .reduce(|right, left| op(left, right))
            .expect("there is at least one leaf")
    }

    /// Brings the leaves `range`, computed by `leaf` in order.
    #[inline]
    pub(super) fn bring(
        &self,
        range: Range<usize>,
        mut leaf: impl FnMut(usize) -> R,
        op: &impl Fn(R, R) -> R,
    ) {
        let mut start = range.start;
        while start < range.end {
            let node = self.shape.largest(start, range.end);
            let value = self.shape.value(node, &mut leaf, op);
            start = self.shape.end(node);
            self.arrive(node, value, op);
        }
    }

    /// Combines a finished node with its neighbour if that is there, and so on upwards; else leaves it for the neighbour.
    fn arrive(&self, mut node: Node, mut value: R, op: &impl Fn(R, R) -> R) {
        while node.level < self.shape.height {
            let parent = Node {
                level: node.level + 1,
                index: node.index / 2,
            };
            if !self.shape.is_lone(node) {
                let mut place = lock(self.place(parent));
                let Some(other) = place.take() else {
                    *place = Some(value);
                    return;
                };
                drop(place); // the user's `op` never runs under a lock
                value = if node.index.is_multiple_of(2) {
                    op(value, other)
                } else {
                    op(other, value)
                };
            }
            node = parent;
        }
        *lock(&self.root) = Some(value);
    }

    fn place(&self, parent: Node) -> &Mutex<Option<R>> {
        let shape = self.shape;
        let waiting = self.waiting.get_or_init(|| {
            let places = (1..=shape.height).map(|level| shape.width(level)).sum();
            std::iter::repeat_with(|| Mutex::new(None))
                .take(places)
                .collect()
        });
        let below: usize = (1..parent.level).map(|level| shape.width(level)).sum();
        &waiting[below + parent.index]
    }

    /// The value of the root, once all leaves have been brought.
    pub(super) fn into_root(self) -> Option<R> {
        self.root
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The combination written out, which shows the shape.
    fn join(a: String, b: String) -> String {
        format!("({a}{b})")
    }

    fn whole(leaves: usize) -> String {
        let tree = Tree::new(leaves);
        tree.bring(0..leaves, |i| i.to_string(), &join);
        tree.into_root().expect("all leaves were brought")
    }

    #[test]
    fn the_shape_is_balanced_and_in_order() {
        assert_eq!(whole(1), "0");
        assert_eq!(whole(2), "(01)");
        assert_eq!(whole(3), "((01)2)");
        assert_eq!(whole(5), "(((01)(23))4)");
        assert_eq!(whole(6), "(((01)(23))(45))");
        assert_eq!(whole(7), "(((01)(23))((45)6))");
    }

    #[test]
    fn a_tree_is_as_high_as_it_must_be() {
        for leaves in 1..200_usize {
            let tree = Tree::new(leaves);
            tree.bring(0..leaves, |_| 0_u32, &|a: u32, b: u32| a.max(b) + 1);
            assert_eq!(
                tree.into_root().unwrap(),
                leaves.next_power_of_two().ilog2()
            );
        }
    }

    #[test]
    fn one_worker_in_order_makes_the_same_tree() {
        for leaves in 1..300 {
            assert_eq!(Tree::whole(leaves, |i| i.to_string(), &join), whole(leaves));
        }
        // Beyond the fixed number of levels, by the other way.
        let many = (1 << 20) + 3;
        assert_eq!(
            Tree::whole(many, |i| i as u64, &|a, b| a + b),
            (0..many as u64).sum()
        );
    }

    proptest! {
        #[test]
        fn who_brings_what_and_when_never_changes_the_shape(
            leaves in 1..300_usize,
            cuts in proptest::collection::vec(0..300_usize, 0..12),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 14),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % leaves).chain([0, leaves]).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut parts: Vec<Range<usize>> = cuts.windows(2).map(|w| w[0]..w[1]).collect();
            let tree = Tree::new(leaves);
            for pick in order {
                if parts.is_empty() {
                    break;
                }
                let part = parts.swap_remove(pick.index(parts.len()));
                tree.bring(part, |i| i.to_string(), &join);
            }
            prop_assert!(parts.is_empty());
            prop_assert_eq!(tree.into_root().unwrap(), whole(leaves));
        }
    }
}
