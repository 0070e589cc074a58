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
    /// What calls that went on alone have earned for trials, in nanoseconds, as bits of an `f32`.
    earned: AtomicU32,
}

/// The share of its time that a call which was refused helpers earns, to be spent on waking one for
/// the sake of knowing. So no estimate, however wrong a bad day has made it, is believed for long,
/// and what the trials cost never is more than this.
const SHARE: f64 = 0.025;

/// Earnings that are kept, in prices of a trial: a long call does not pay for a hundred short ones.
const PURSE: f64 = 4.0;

impl WakeLog {
    /// What to expect after `idle` nanoseconds without work. A class without a sample of its own
    /// hopes, or borrows from the nearest longer idle time, then from the nearest shorter one,
    /// where that is better than hope.
    pub(crate) fn expect(&self, idle: Nanos) -> Wake {
        let class = class(idle);
        let known = |cells: &[AtomicU32; CLASSES], hope: f64| {
            let own = read(&cells[class]);
            if own > 0.0 {
                return own;
            }
            (class + 1..CLASSES)
                .chain((0..class).rev())
                .map(|c| read(&cells[c]))
                .find(|&v| v > 0.0)
                .map_or(hope, |borrowed| borrowed.min(hope))
        };
        Wake {
            cost: known(&self.cost, Wake::HOPE.cost),
            arrival: known(&self.arrival, Wake::HOPE.arrival),
        }
    }

    /// Learns from a wake-up after `idle` nanoseconds that was expected to pay.
    pub(crate) fn learn(&self, idle: Nanos, seen: Wake) {
        let class = class(idle);
        update(&self.cost[class], seen.cost);
        update(&self.arrival[class], seen.arrival);
    }

    /// Notes that a call of `took` nanoseconds was refused helpers.
    pub(crate) fn earn(&self, wake: Wake, took: f64) {
        let earned = read(&self.earned) + SHARE * took;
        write(&self.earned, earned.min(PURSE * wake.cost));
    }

    /// Whether what was earned pays for a wake-up for the sake of knowing.
    pub(crate) fn can_try(&self, wake: Wake) -> bool {
        read(&self.earned) >= wake.cost
    }

    /// Learns from a wake-up for the sake of knowing: believes what it has seen, as what was
    /// believed before kept callers from waking helpers. `came`: whether the helper came before the
    /// call ended, else its way is only known to be longer than that. A trial that `paid` has cost
    /// nothing.
    pub(crate) fn learn_from_trial(&self, idle: Nanos, seen: Wake, came: bool, paid: bool) {
        if !paid {
            write(&self.earned, read(&self.earned) - seen.cost);
        }
        let class = class(idle);
        update(&self.cost[class], seen.cost);
        let arrival = &self.arrival[class];
        if came || seen.arrival > read(arrival) {
            write(arrival, seen.arrival);
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
