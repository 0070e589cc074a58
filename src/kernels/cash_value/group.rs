//! Eight points side by side, and what happens to them now and then: issue, anniversaries, the end of the term.

use super::plan::{Plan, Policy};
use super::projection::PresentValues;
use super::totals::Row;

/// Points that are computed side by side.
pub(super) const LANES: usize = 8;

/// No month of a projection.
pub(super) const NEVER: usize = usize::MAX;

/// One number for each point of a group.
pub(super) type Lanes = [f64; LANES];

/// Up to eight points that are computed side by side.
pub(super) struct Group<'a> {
    /// The points, with their index in the block.
    points: &'a [(usize, Policy<'a>)],
    /// The next month in which a rate or a premium of the lane changes, or a policy is issued or matures;
    /// `NEVER` once nobody is left and nobody will come.
    turns: [usize; LANES],
    /// The first month whose turn is more than a policy anniversary in force.
    event: [usize; LANES],
    /// The least of them.
    first_event: usize,
    /// The policy year, and the place of its rate in the mortality table.
    year: [i64; LANES],
    place: [usize; LANES],
    pub(super) state: State,
}

/// The numbers of a group; lanes without a point, or whose policies have all gone, hold zeros.
///
/// Aligned so that the baseline instruction set can use operands in memory.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct State {
    // At the start of a month.
    pub(super) policies: Lanes,
    pub(super) account: Lanes,

    // What changes at a turn.
    pub(super) premium: Lanes,
    pub(super) net_premium: Lanes,
    pub(super) sum_assured: Lanes,
    pub(super) mortality: Lanes,
    pub(super) coi_rate: Lanes,
    pub(super) lapse: Lanes,
    pub(super) charge_rate: Lanes,
    /// What the charge leaves.
    pub(super) kept_rate: Lanes,

    // Present values up to the month before.
    pub(super) premiums: Lanes,
    pub(super) death: Lanes,
    pub(super) surrender: Lanes,
    pub(super) maturity: Lanes,
    pub(super) expenses: Lanes,
    pub(super) income: Lanes,
    pub(super) change: Lanes,
}

impl<'a> Group<'a> {
    /// `discount` is that of the first month.
    pub(super) fn new(points: &'a [(usize, Policy<'a>)], discount: f64) -> Self {
        let mut state = State::default();
        for (lane, (_, policy)) in points.iter().enumerate() {
            state.policies[lane] = if policy.start > 0 { policy.count } else { 0.0 };
            state.account[lane] = policy.account;
            // Never a negative zero: whether zeros are added to it later depends on the neighbours.
            state.change[lane] = 0.0 - discount * (policy.account * state.policies[lane]);
        }
        let mut turns = [NEVER; LANES];
        turns[..points.len()].fill(0);
        Group {
            points,
            turns,
            event: [0; LANES],
            first_event: 0,
            year: [0; LANES],
            place: [0; LANES],
            state,
        }
    }

    /// Accounts in force at the start of a month.
    pub(super) fn value(&self) -> Lanes {
        std::array::from_fn(|lane| self.state.account[lane] * self.state.policies[lane])
    }

    /// Brings the rates of month `t` up to date, and lets policies mature and be issued.
    ///
    /// Returns the month of the next turn, [`NEVER`] if nobody is left and nobody will come.
    pub(super) fn turn(&mut self, plan: &Plan<'_>, t: usize, row: &mut Row) -> usize {
        let is_one = self.turns.iter().fold(true, |is, &turn| is & (turn == t));
        if is_one && t < self.first_event {
            return self.anniversaries(plan, t);
        }
        let mut next = NEVER;
        for lane in 0..self.points.len() {
            if self.turns[lane] == t {
                self.turns[lane] = match t < self.event[lane] {
                    true => self.anniversary(plan, t, lane),
                    false => self.turn_lane(plan, t, lane, row),
                };
            }
            next = next.min(self.turns[lane]);
        }
        self.first_event = self.event.into_iter().min().unwrap_or(0);
        next
    }

    /// The [`anniversary`](Self::anniversary) of all lanes in the same month.
    fn anniversaries(&mut self, plan: &Plan<'_>, t: usize) -> usize {
        let mut youngest = i64::MAX;
        for lane in 0..LANES {
            self.year[lane] += 1;
            youngest = youngest.min(self.year[lane]);
            self.place[lane] = plan.rates.next_place(self.place[lane], self.year[lane]);
            self.state.mortality[lane] = plan.rates.mortality_at(self.place[lane]);
        }
        let mut somebody_last = false;
        for lane in 0..LANES {
            let mortality = self.state.mortality[lane];
            self.state.coi_rate[lane] = plan.scalars.coi_multiplier * mortality;
            somebody_last |= mortality == 1.0;
        }
        if youngest <= plan.rates.settled() {
            for lane in 0..LANES {
                self.state.lapse[lane] = plan.rates.lapse(self.year[lane]);
                self.set_charge(lane, self.year[lane]);
            }
        }
        if somebody_last {
            for lane in 0..LANES {
                if self.state.mortality[lane] == 1.0 {
                    self.event[lane] = t + 1;
                }
            }
            self.first_event = t + 1;
        }
        for lane in 0..LANES {
            self.turns[lane] = (t + 12).min(self.event[lane]);
        }
        (t + 12).min(self.first_event)
    }

    /// A policy anniversary on which nothing happens but that rates change: what nearly all turns are.
    ///
    /// Returns the month of the next turn of the lane.
    fn anniversary(&mut self, plan: &Plan<'_>, t: usize, lane: usize) -> usize {
        let year = self.year[lane] + 1;
        let place = plan.rates.next_place(self.place[lane], year);
        let mortality = plan.rates.mortality_at(place);
        (self.year[lane], self.place[lane]) = (year, place);
        self.state.mortality[lane] = mortality;
        self.state.coi_rate[lane] = plan.scalars.coi_multiplier * mortality;
        self.state.lapse[lane] = plan.rates.lapse(year);
        self.set_charge(lane, year);
        if mortality == 1.0 {
            self.event[lane] = t + 1;
            return t + 1;
        }
        (t + 12).min(self.event[lane])
    }

    /// Returns the month of the next turn of the lane.
    fn turn_lane(&mut self, plan: &Plan<'_>, t: usize, lane: usize, row: &mut Row) -> usize {
        let policy = &self.points[lane].1;
        if self.state.policies[lane] == 0.0 && !policy.is_ahead(t) {
            self.state.account[lane] = 0.0;
            self.state.premium[lane] = 0.0;
            self.state.net_premium[lane] = 0.0;
            self.state.sum_assured[lane] = 0.0;
            return NEVER;
        }
        let duration = policy.start + t as i64;
        let (year, month) = (duration.div_euclid(12), duration.rem_euclid(12));
        let discount = plan.months.discount[t];
        if duration == policy.end {
            let maturing = self.state.policies[lane];
            let amount = self.state.account[lane] * maturing;
            self.state.policies[lane] -= maturing;
            self.state.maturity[lane] += amount * discount;
            row.matured += maturing;
            row.maturity += amount;
            row.change -= amount;
        }
        if duration == 0 {
            self.state.policies[lane] += policy.count;
            self.state.expenses[lane] += plan.scalars.acquisition_expense * policy.count * discount;
            row.issued += policy.count;
            row.change += self.state.account[lane] * policy.count;
        }
        let is_due = match policy.terms.is_single {
            true => duration == 0,
            // Even before issue.
            false => duration < policy.end,
        };
        let mortality = plan.rates.mortality(policy.age_at_entry + year, year);
        self.state.premium[lane] = if is_due { policy.premium } else { 0.0 };
        self.state.net_premium[lane] = (1.0 - policy.terms.load) * self.state.premium[lane];
        self.state.sum_assured[lane] = policy.sum_assured;
        self.state.mortality[lane] = mortality;
        self.state.coi_rate[lane] = plan.scalars.coi_multiplier * mortality;
        self.state.lapse[lane] = plan.rates.lapse(year);
        self.set_charge(lane, year);
        // A single premium ends after its month, and so does a lane that everybody leaves.
        let is_short = policy.terms.is_single && duration == 0;
        let next = match is_short || duration == policy.end || mortality == 1.0 {
            true => t + 1,
            false => t + (12 - month) as usize,
        };
        // In force, with nothing ahead but anniversaries up to the end of the term.
        let is_plain = duration >= 0 && next > t + 1 && duration < policy.end;
        self.event[lane] = match plan.rates.place(policy.age_at_entry + year, year) {
            Some(place) if is_plain => {
                (self.year[lane], self.place[lane]) = (year, place);
                t + (policy.end - duration) as usize
            }
            _ => next,
        };
        next
    }

    fn set_charge(&mut self, lane: usize, year: i64) {
        let rate = self.points[lane].1.terms.charge(year);
        self.state.charge_rate[lane] = rate;
        self.state.kept_rate[lane] = 1.0 - rate;
    }

    pub(super) fn write(&self, plan: &Plan<'_>, values: &mut [PresentValues]) {
        for (lane, (index, _)) in self.points.iter().enumerate() {
            let others = PresentValues {
                premiums: self.state.premiums[lane],
                death: self.state.death[lane],
                surrender: self.state.surrender[lane],
                maturity: self.state.maturity[lane],
                expenses: self.state.expenses[lane],
                commissions: plan.scalars.commission_rate * self.state.premiums[lane],
                investment_income: self.state.income[lane],
                change_in_av: self.state.change[lane],
                net_cashflow: 0.0,
            };
            values[*index] = others.with_net();
        }
    }
}
