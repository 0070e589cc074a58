//! What is sent for the grains of a run: items, leaves, parts of arrays.

use std::ops::Range;

use serde::Serialize;

use crate::chunking::Split;
use crate::process::protocol::Item;
use crate::process::shared::{Pod, SharedMut};
use crate::process::wire::{Meanwhile, Output, ValueError};

/// What is sent for a grain.
pub(super) trait Goods: Sync {
    fn put(
        &self,
        grain: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError>;

    /// How often a task is called for these.
    fn num_calls(&self, grains: Range<usize>) -> usize {
        grains.len()
    }
}

/// The goods of a map: one value per grain.
pub(super) struct Values<'j, T>(pub(super) Vec<&'j T>);

impl<T: Serialize + Sync> Goods for Values<'_, T> {
    fn put(
        &self,
        grain: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        output.value(&Item::Next(self.0[grain]), meanwhile)
    }
}

/// A leaf is its items and an end.
pub(super) struct Leaves<'j, T> {
    pub(super) items: &'j [&'j T],
    pub(super) leaves: Split,
}

impl<T: Serialize + Sync> Goods for Leaves<'_, T> {
    fn put(
        &self,
        leaf: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        for item in &self.items[self.leaves.items(leaf..leaf + 1)] {
            output.value(&Item::Next(item), meanwhile)?;
        }
        output.value(&Item::<()>::Leaf, meanwhile)
    }

    fn num_calls(&self, leaves: Range<usize>) -> usize {
        self.leaves.items(leaves).len()
    }
}

/// Parts of an array, and what goes with them.
pub(super) struct Parts<'j, T, G> {
    pub(super) array: &'j SharedMut<T>,
    pub(super) parts: Split,
    pub(super) arguments: &'j G,
}

impl<T: Pod, A: Serialize, G: Fn(Range<usize>) -> A + Sync> Goods for Parts<'_, T, G> {
    fn put(
        &self,
        part: usize,
        output: &mut Output,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), ValueError> {
        let range = self.parts.items(part..part + 1);
        let lent = self.array.lend(range.clone());
        output.value(&Item::Next((lent, (self.arguments)(range))), meanwhile)
    }
}
