//! The caller's first phase: working alone, looking at the clock now and then, until the rest
//! is done or worth waking helpers for.

use std::ops::Range;

use super::{Experience, Nanos, Tick, Wake};

/// Items that cost so many times more, or less, than they did are other items.
const CHANGED: f64 = 4.0;

/// What the caller does next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Run these units, then ask again.
    Alone(Range<usize>),
    /// Wake so many helpers; everything from [`Lead::done`] on goes to the dispenser.
    Together {
        /// How many.
        helpers: usize,
    },
    /// Nothing is left.
    Finished,
}

/// The state of the first phase.
#[derive(Debug)]
pub(crate) struct Lead {
    units: usize,
    /// Units handed out so far, always the first ones.
    done: usize,
    /// Units of the stretch that is running or ran last.
    stretch: usize,
    max_helpers: usize,
    wake: Wake,
    tick: Tick,
    care: f64,
    /// Nanoseconds per unit in earlier calls from this place.
    known: Option<f64>,
    /// Nanoseconds per unit in the last stretch that tells it.
    seen: Option<f64>,
    began: Nanos,
    /// When the running stretch began.
    last: Nanos,
    /// Units of the stretches that have ended.
    timed: usize,
    /// Whether a helper may be woken for the sake of knowing.
    can_try: bool,
    /// How the last decision about helpers went.
    verdict: Verdict,
}

/// How a decision about helpers went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// None was made: it is not known what the units cost, or there are no helpers.
    Open,
    /// They would not pay.
    Refused,
    /// They would not pay by what is known, which is put to the test.
    Trial,
    /// They will pay.
    Wanted,
}

impl Lead {
    pub(crate) fn new(
        units: usize,
        max_helpers: usize,
        wake: Wake,
        tick: Tick,
        known: Experience,
        can_try: bool,
        now: Nanos,
    ) -> Self {
        Self {
            units,
            done: 0,
            stretch: 0,
            max_helpers,
            wake,
            tick,
            care: known.care(),
            known: known.cost(),
            seen: None,
            began: now,
            last: now,
            timed: 0,
            can_try,
            verdict: Verdict::Open,
        }
    }

    /// Units handed out so far; they are the first ones.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// The best present estimate of the cost of a unit.
    ///
    /// What earlier calls showed is an average over all items, and better than the last few items of this
    /// call, which may lie on a slope; unless these are so different that the items must have changed.
    pub(crate) fn cost(&self) -> Option<f64> {
        match (self.known, self.seen) {
            (Some(known), Some(seen)) if seen < CHANGED * known && known < CHANGED * seen => {
                Some(known)
            }
            (known, seen) => seen.or(known),
        }
    }

    /// How much of the estimated rest to count on when it comes to waking helpers. Without earlier calls the
    /// first items may be the dear ones: the rest is then taken for half of what it looks like.
    fn trust(&self) -> f64 {
        if self.known.is_some() { 1.0 } else { 0.5 }
    }

    /// Nanoseconds spent up to the last call of [`next`](Self::next).
    pub(crate) fn spent(&self) -> f64 {
        (self.last - self.began) as f64
    }

    /// Units that this time was spent on.
    pub(crate) fn timed(&self) -> usize {
        self.timed
    }

    /// Another stretch alone, as there are no helpers to be had yet: as many units as were done before.
    pub(crate) fn once_more(&mut self) -> Range<usize> {
        self.stretch = self.done.clamp(1, self.units - self.done);
        let range = self.done..self.done + self.stretch;
        self.done = range.end;
        range
    }

    /// How the last decision about helpers went.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Decides, at time `now`, after the step before has been carried out.
    pub(crate) fn next(&mut self, now: Nanos) -> Step {
        self.look(now);
        let left = self.units - self.done;
        if left == 0 {
            return Step::Finished;
        }
        let stretch = match self.cost() {
            // Nothing is known: as many units as were done before, so that the looks stay few.
            None => self.done.max(1),
            Some(cost) => {
                let rest = left as f64 * cost * self.trust();
                let helpers = self
                    .wake
                    .helpers_for(rest, left, self.max_helpers, self.care);
                if helpers > 0 {
                    self.verdict = Verdict::Wanted;
                    return Step::Together { helpers };
                }
                if self.max_helpers > 0 && left > 1 {
                    // A rest that is over before the fastest helper could come would show nothing.
                    if self.can_try && rest > 2.0 * self.wake.cost {
                        self.verdict = Verdict::Trial;
                        return Step::Together { helpers: 1 };
                    }
                    self.verdict = Verdict::Refused;
                }
                let price = self.wake.arrival + self.wake.cost;
                // Look again before a quarter of what a wake-up is worth has passed, for the case
                // that the items to come are dearer, and not before a look is a small part of the stretch.
                let pause = (0.25 * price).max(2.0 * self.tick.telling());
                let stretch = (pause / cost) as usize;
                // What this call alone has shown is not to be trusted for longer than it has lasted.
                if self.known.is_some() {
                    stretch
                } else {
                    stretch.min(self.done.max(1))
                }
            }
        };
        self.stretch = stretch.clamp(1, left);
        let range = self.done..self.done + self.stretch;
        self.done = range.end;
        Step::Alone(range)
    }

    /// Learns from the stretch that ended at `now`.
    fn look(&mut self, now: Nanos) {
        let now = now.max(self.last);
        if self.stretch > 0 {
            let took = ((now - self.last) as f64 - self.tick.0).max(0.0);
            if self.seen.is_some() || took >= self.tick.telling() {
                self.seen = Some((took / self.stretch as f64).max(f64::MIN_POSITIVE));
            }
        }
        self.last = now;
        self.timed = self.done;
    }
}
