//! What waking helpers costs, learned from every wake-up.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Nanos;

/// What a wake-up is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wake {
    /// The caller's own time for waking one helper, in nanoseconds.
    pub(crate) cost: f64,
    /// From the caller's decision until the first helper starts on an item, in nanoseconds.
    pub(crate) arrival: f64,
}

impl Wake {
    /// Expected before the first measurement. Hopeful, so that a pool tries, and then knows;
    /// a wrong hope costs a few calls a few microseconds each.
    const HOPE: Wake = Wake {
        cost: 2_000.0,
        arrival: 10_000.0,
    };

    /// Expected time for `rest` nanoseconds of work in `units` pieces by the caller and `helpers`.
    pub(crate) fn time_together(self, rest: f64, units: usize, helpers: usize) -> f64 {
        let workers = helpers as f64 + 1.0;
        // Helpers wake each other beyond the second, so the caller pays for two at most.
        let paid = self.cost * helpers.min(2) as f64;
        let fluid = (rest + paid + helpers as f64 * self.arrival) / workers;
        // Pieces are not fluid: somebody does the rounded-up share of them.
        let whole = units.div_ceil(helpers + 1) as f64 * (rest / units.max(1) as f64) + paid;
        fluid.max(whole)
    }

    /// How many helpers are worth waking for `rest` nanoseconds of work in `units` pieces: 0 where
    /// going on alone is as good. `care` above 1 asks for a larger gain.
    pub(crate) fn helpers_for(
        self,
        rest: f64,
        units: usize,
        max_helpers: usize,
        care: f64,
    ) -> usize {
        if units < 2 || max_helpers == 0 {
            return 0;
        }
        // Each helper has to bring at least what its coming costs.
        let worth = (rest / (self.arrival + self.cost)) as usize;
        let helpers = worth.clamp(1, max_helpers.min(units - 1));
        let gain = rest - self.time_together(rest, units, helpers);
        // The fewer items each worker has, the more depends on which of them are the dear ones.
        let chance = (helpers + 1) as f64 / units as f64;
        if gain > rest * ((0.1 + 0.2 * chance) * care).min(0.45) {
            helpers
        } else {
            0
        }
    }
}

/// How long the helpers had been idle, in classes: hot ones still spin, cold ones sleep deeply.
const CLASSES: usize = 6;

fn class(idle: Nanos) -> usize {
    match idle / 1_000 {
        0..=7 => 0,
        8..=31 => 1,
        32..=127 => 2,
        128..=511 => 3,
        512..=4_095 => 4,
        _ => 5,
    }
}

/// What a pool has learned about its wake-ups. Shared by all callers; races lose a sample at worst.
#[derive(Debug, Default)]
pub(crate) struct WakeLog {
    /// Per class of idle time the estimates as bits of an `f32`; 0 is "never measured".
    cost: [AtomicU32; CLASSES],
    arrival: [AtomicU32; CLASSES],
}

impl WakeLog {
    /// What to expect after `idle` nanoseconds without work. A class without a sample of its own
    /// borrows from the nearest longer idle time, then from the nearest shorter one.
    pub(crate) fn expect(&self, idle: Nanos) -> Wake {
        let class = class(idle);
        let known = |cells: &[AtomicU32; CLASSES], hope: f64| {
            (class..CLASSES)
                .chain((0..class).rev())
                .map(|c| read(&cells[c]))
                .find(|&v| v > 0.0)
                .unwrap_or(hope)
        };
        Wake {
            cost: known(&self.cost, Wake::HOPE.cost),
            arrival: known(&self.arrival, Wake::HOPE.arrival),
        }
    }

    /// Learns from a wake-up after `idle` nanoseconds.
    pub(crate) fn learn(&self, idle: Nanos, seen: Wake) {
        let class = class(idle);
        update(&self.cost[class], seen.cost);
        update(&self.arrival[class], seen.arrival);
    }

    /// Forgets a little of a cost that kept a caller from waking helpers, so that one bad day is
    /// not for ever: after some dozens of refusals the wake-up is tried, and measured, again.
    pub(crate) fn doubt(&self, idle: Nanos) {
        let class = class(idle);
        let old = read(&self.arrival[class]);
        if old > 0.0 {
            write(&self.arrival[class], old * 0.99);
        }
    }
}

fn read(cell: &AtomicU32) -> f64 {
    f64::from(f32::from_bits(cell.load(Ordering::Relaxed)))
}

fn write(cell: &AtomicU32, value: f64) {
    cell.store((value.max(1.0) as f32).to_bits(), Ordering::Relaxed);
}

/// Moves towards the sample by at most a quarter, so that the estimate follows the median: one
/// wake-up that waited for a foreign process does not spoil it.
fn update(cell: &AtomicU32, sample: f64) {
    let old = read(cell);
    write(
        cell,
        if old == 0.0 {
            sample
        } else {
            old + (sample - old).clamp(-0.25 * old, 0.25 * old)
        },
    );
}
