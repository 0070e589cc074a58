//! Who works on what next, and what a death costs. Pure: no process, no clock.

use std::ops::Range;
use std::time::Duration;

/// Grains that are given to a worker at once: items, or leaves of a reduction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) grains: Range<usize>,
    /// How many workers have ended while they were at these grains.
    pub(super) deaths: u32,
}

/// How grains are cut into units.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// Units that the user wants.
    Fixed(crate::chunking::Split),
    /// By measurement, never fewer than so many.
    Measured(Portions, usize),
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Desk {
    cut: Cut,
    /// Grains, or units where the cut is fixed, that have been given out.
    next: usize,
    total: usize,
    /// What came back, the lowest last.
    again: Vec<Unit>,
    /// Grains from here on are of no interest: one before them has failed.
    limit: usize,
    /// Deaths that a single grain may be part of.
    retries: u32,
}

impl Desk {
    pub(super) fn new(cut: Cut, total: usize, retries: u32) -> Self {
        Self {
            cut,
            next: 0,
            total,
            again: Vec::new(),
            limit: total,
            retries,
        }
    }

    /// The next unit for one of `workers`, of at most `most` grains.
    pub(super) fn take(&mut self, workers: usize, most: usize) -> Option<Unit> {
        while let Some(mut unit) = self.again.pop() {
            unit.grains.end = unit.grains.end.min(self.limit);
            if !unit.grains.is_empty() {
                return Some(self.shortened(unit, most));
            }
        }
        let grains = match &self.cut {
            Cut::Fixed(split) => {
                let unit = self.next;
                if unit >= split.num_nonempty() {
                    return None;
                }
                self.next += 1;
                let all = split.items(unit..unit + 1);
                all.start..all.end.min(self.limit)
            }
            Cut::Measured(portions, least) => {
                let left = self.limit.saturating_sub(self.next);
                let len = portions.next(left, workers).max(*least).min(left);
                self.next += len;
                self.next - len..self.next
            }
        };
        if grains.is_empty() {
            return None;
        }
        let deaths = 0;
        Some(self.shortened(Unit { grains, deaths }, most))
    }

    fn shortened(&mut self, mut unit: Unit, most: usize) -> Unit {
        let end = unit.grains.start.saturating_add(most.max(1));
        if unit.grains.end > end {
            self.give_back(Unit {
                grains: end..unit.grains.end,
                deaths: unit.deaths,
            });
            unit.grains.end = end;
        }
        unit
    }

    /// Grains that nobody has begun, or that are to be tried again.
    pub(super) fn give_back(&mut self, unit: Unit) {
        if unit.grains.is_empty() {
            return;
        }
        let after = |other: &Unit| other.grains.start > unit.grains.start;
        let place = self.again.partition_point(after);
        self.again.insert(place, unit);
    }

    /// A worker has ended at these grains, of which it had not answered any. Says which single one is to blame, if it
    /// is known; else they are tried again, in halves.
    pub(super) fn died(&mut self, unit: Unit) -> Option<usize> {
        let Range { start, end } = unit.grains;
        let deaths = unit.deaths + 1;
        if start >= end {
            return None;
        }
        if end - start == 1 {
            if deaths > self.retries {
                return Some(start);
            }
            self.give_back(Unit {
                grains: start..end,
                deaths,
            });
            return None;
        }
        let middle = start + (end - start) / 2;
        for grains in [start..middle, middle..end] {
            self.give_back(Unit { grains, deaths });
        }
        None
    }

    /// A grain has failed, and nobody wants to know of those after it.
    pub(super) fn cut_at(&mut self, grain: usize) {
        self.limit = self.limit.min(grain);
    }

    /// Whether there is anything left to give out.
    pub(super) fn is_empty(&self) -> bool {
        let fresh = match &self.cut {
            Cut::Fixed(split) => {
                self.next < split.num_nonempty() && split.start(self.next) < self.limit
            }
            Cut::Measured(..) => self.next < self.limit,
        };
        !fresh
            && self
                .again
                .iter()
                .all(|unit| unit.grains.start >= self.limit)
    }

    /// Takes a measurement: so many grains took a worker so long, and the way there and back so long, where that is known.
    pub(super) fn measured(&mut self, grains: usize, work: Duration, way: Option<Duration>) {
        if let Cut::Measured(portions, _) = &mut self.cut {
            portions.measured(grains, work, way);
        }
    }

    /// How long what is left is estimated to take one worker. `None` where nothing has been measured.
    pub(super) fn work_left(&self) -> Option<Duration> {
        let left = match &self.cut {
            Cut::Fixed(_) => return None,
            Cut::Measured(..) => self.limit.saturating_sub(self.next),
        };
        let Cut::Measured(portions, _) = &self.cut else {
            return None;
        };
        Some(Duration::from_secs_f64(portions.grain? * left as f64))
    }

    /// Whether units are measured, and nothing has been measured yet.
    pub(super) fn is_measuring(&self) -> bool {
        matches!(&self.cut, Cut::Measured(portions, _) if portions.grain.is_none())
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }
}

/// How large a unit is worth its way: measured while the work goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Portions {
    /// Seconds per grain, lately.
    grain: Option<f64>,
    /// Seconds for the way there and back, at its best.
    way: Option<f64>,
    /// The largest unit that has come back.
    largest: usize,
}

impl Portions {
    /// A unit's work is to be so many times its way: with two units under way a worker then has always something to do, and what the
    /// parent spends on a unit is lost in it.
    const WORTH: f64 = 20.0;
    /// Units grow so many times from one to the next, until the measurement is what limits them.
    const GROWTH: usize = 8;
    /// Every worker is left so many units, so that all end together.
    const ROUNDS: usize = 3;

    fn next(&self, left: usize, workers: usize) -> usize {
        let fair = left.div_ceil(Self::ROUNDS * workers.max(1));
        let (Some(grain), Some(way)) = (self.grain, self.way) else {
            return 1.min(left);
        };
        let worth = (Self::WORTH * way / grain.max(1e-10)).ceil();
        let worth = if worth < fair as f64 {
            worth as usize
        } else {
            fair
        };
        worth
            .min(self.largest.saturating_mul(Self::GROWTH))
            .clamp(1, left.max(1))
    }

    fn measured(&mut self, grains: usize, work: Duration, way: Option<Duration>) {
        if grains == 0 {
            return;
        }
        let new = work.as_secs_f64() / grains as f64;
        // Half of what is known and half of what is new: costs may drift.
        self.grain = Some(self.grain.map_or(new, |old| (old + new) / 2.0));
        if let Some(way) = way.map(|way| way.as_secs_f64()) {
            self.way = Some(self.way.map_or(way, |old| old.min(way)));
        }
        self.largest = self.largest.max(grains);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunking::Chunking;

    fn fixed(total: usize, size: usize, retries: u32) -> Desk {
        Desk::new(
            Cut::Fixed(Chunking::size(size).leaves(total)),
            total,
            retries,
        )
    }

    /// Runs everything with one worker that dies of the grains `poison`; gives what failed and how often it died.
    fn run(mut desk: Desk, poison: &[usize]) -> (Vec<usize>, usize, Vec<usize>) {
        let (mut failed, mut deaths, mut done) = (Vec::new(), 0, Vec::new());
        while let Some(unit) = desk.take(1, usize::MAX) {
            assert!(!unit.grains.is_empty());
            if unit.grains.clone().any(|grain| poison.contains(&grain)) {
                deaths += 1;
                failed.extend(desk.died(unit));
            } else {
                done.extend(unit.grains);
            }
        }
        assert!(desk.is_empty());
        done.sort_unstable();
        (failed, deaths, done)
    }

    #[test]
    fn everything_is_done_once() {
        for size in [1, 3, 10, 11] {
            let (failed, deaths, done) = run(fixed(10, size, 1), &[]);
            assert_eq!((failed, deaths), (vec![], 0));
            assert_eq!(done, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn poison_is_found_by_splitting() {
        for total in [2_usize, 16, 1000, 1024] {
            for poison in [0, total / 3, total - 1] {
                let (failed, deaths, done) = run(fixed(total, total, 1), &[poison]);
                assert_eq!(failed, [poison]);
                let most = total.next_power_of_two().ilog2() as usize + 1;
                assert!(
                    deaths <= most,
                    "{deaths} deaths for one of {total}, {most} are the most"
                );
                assert_eq!(done.len(), total - 1);
            }
        }
    }

    #[test]
    fn several_poisons_are_all_found() {
        let (failed, _, done) = run(fixed(100, 32, 1), &[3, 4, 70]);
        assert_eq!(failed, [3, 4, 70]);
        assert_eq!(done.len(), 97);
    }

    #[test]
    fn a_single_grain_has_its_retries() {
        for retries in 0..4 {
            let (failed, deaths, _) = run(fixed(3, 1, retries), &[1]);
            assert_eq!((failed, deaths), (vec![1], retries as usize + 1));
        }
    }

    #[test]
    fn after_a_failure_only_what_comes_before_it_counts() {
        let mut desk = fixed(10, 2, 1);
        let first = desk.take(1, usize::MAX).unwrap();
        let second = desk.take(1, usize::MAX).unwrap();
        desk.give_back(first.clone());
        desk.give_back(second);
        desk.cut_at(1);
        assert_eq!(desk.take(1, usize::MAX).unwrap().grains, 0..1);
        assert_eq!(desk.take(1, usize::MAX), None);
        assert!(desk.is_empty());
    }

    #[test]
    fn a_unit_is_not_longer_than_a_worker_may_have() {
        let mut desk = fixed(10, 8, 1);
        let mut seen = Vec::new();
        while let Some(unit) = desk.take(1, 3) {
            assert!(unit.grains.len() <= 3);
            seen.extend(unit.grains);
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn portions_grow_with_what_the_way_costs_and_leave_some_for_all() {
        let way = Duration::from_micros(60);
        for (grain, expected) in [(10_000_000, 1), (100_000, 12), (1_000, 1200), (10, 120_000)] {
            let mut portions = Portions::default();
            assert_eq!(portions.next(1 << 20, 2), 1);
            let mut len = 1;
            for _ in 0..20 {
                portions.measured(len, Duration::from_nanos(grain * len as u64), Some(way));
                let next = portions.next(1 << 20, 2);
                assert!(next <= 8 * len.max(1));
                len = next;
            }
            assert!(len.abs_diff(expected) <= 1, "{len} grains of {grain} ns");
            assert_eq!(portions.next(1, 2), 1);
            assert!(portions.next(60, 2) <= 10);
        }
    }
}
