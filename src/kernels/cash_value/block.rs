//! The fast projection of a block of points: all months in one pass, eight points side by side.

use std::cmp::Reverse;

use super::plan::{Plan, Policy};
use super::projection::PresentValues;
use super::totals::Row;

/// Points of a block: enough for the work to outweigh a row of totals per month, few enough to stay in the
/// inner caches and to give every worker several blocks of ten thousand points. (256 points were a tenth slower, 1,024 a few per
/// cent faster, on one core.)
pub(super) const BLOCK: usize = 512;

/// Points that are computed side by side.
const LANES: usize = 8;

/// No month of a projection.
const NEVER: usize = usize::MAX;

/// One number for each point of a group.
type Lanes = [f64; LANES];

/// Projects the points from `first` on, writes their present values and returns the totals per month.
///
/// Points that end at about the same time go into one group, which is dropped as a whole once nobody is left in
/// it. (Sorting by the month of the anniversary first, so that rates change together, was slower: groups
/// then end further apart.) The order depends on the points of the block alone.
///
/// Without `TOTALS` no row is made: the present values, whose bits do not depend on it, cost a third less then.
pub(super) fn project_block<const TOTALS: bool>(
    plan: &Plan<'_>,
    first: usize,
    values: &mut [PresentValues],
) -> Vec<Row> {
    let mut points: Vec<(usize, Policy<'_>)> = (0..values.len())
        .map(|index| (index, plan.policy(first + index)))
        .collect();
    // The first to end come last, so that nobody moves up when they go.
    points.sort_by_key(|(_, policy)| Reverse(policy.end - policy.start));
    let start = plan.months.discount.first().copied().unwrap_or(0.0);
    let mut groups: Vec<Group<'_>> = points
        .chunks(LANES)
        .map(|points| Group::new(points, start))
        .collect();

    let mut rows = Vec::with_capacity(if TOTALS { plan.horizon() } else { 0 });
    let mut closing = Closing::default();
    for group in &groups {
        closing.policies += sum(&group.state.policies);
        closing.value += sum(&group.value());
    }
    let mut next_turn = 0;
    for t in 0..plan.horizon() {
        let mut row = Row {
            in_force: closing.policies,
            value: closing.value,
            ..Row::default()
        };
        if t == next_turn {
            groups.retain_mut(|group| group.turn(plan, t, &mut row, values));
            next_turn = groups
                .iter()
                .map(|group| group.next_turn)
                .min()
                .unwrap_or(NEVER);
        }
        if groups.is_empty() {
            break;
        }
        let month = Month::new(plan, t);
        let mut sums = Sums::default();
        step::<TOTALS>(&month, &mut groups, &mut sums);
        if TOTALS {
            closing = sums.close(&mut row);
            rows.push(row);
        }
    }
    for group in &groups {
        group.write(plan, values);
    }
    rows
}

/// Up to eight points that are computed side by side.
struct Group<'a> {
    /// The points, with their index in the block.
    points: &'a [(usize, Policy<'a>)],
    /// The next month in which a rate or a premium of the lane changes, or a policy is issued or matures;
    /// `NEVER` once nobody is left and nobody will come.
    turns: [usize; LANES],
    /// The least of `turns`.
    next_turn: usize,
    /// The first month whose turn is more than a policy anniversary in force.
    event: [usize; LANES],
    /// The policy year, and the place of its rate in the mortality table.
    year: [i64; LANES],
    place: [usize; LANES],
    state: State,
}

/// The numbers of a group; lanes without a point, or whose policies have all gone, hold zeros.
///
/// Aligned so that the baseline instruction set can use operands in memory.
#[derive(Default)]
#[repr(align(64))]
struct State {
    // At the start of a month.
    policies: Lanes,
    account: Lanes,

    // What changes at a turn.
    premium: Lanes,
    net_premium: Lanes,
    sum_assured: Lanes,
    mortality: Lanes,
    coi_rate: Lanes,
    lapse: Lanes,
    charge_rate: Lanes,
    /// What the charge leaves.
    kept_rate: Lanes,

    // Present values up to the month before.
    premiums: Lanes,
    death: Lanes,
    surrender: Lanes,
    maturity: Lanes,
    expenses: Lanes,
    income: Lanes,
    change: Lanes,
}

impl<'a> Group<'a> {
    /// `discount` is that of the first month.
    fn new(points: &'a [(usize, Policy<'a>)], discount: f64) -> Self {
        let mut state = State::default();
        for (lane, (_, policy)) in points.iter().enumerate() {
            state.policies[lane] = if policy.start > 0 { policy.count } else { 0.0 };
            state.account[lane] = policy.account;
            state.change[lane] = -discount * (policy.account * state.policies[lane]);
        }
        let mut turns = [NEVER; LANES];
        turns[..points.len()].fill(0);
        Group {
            points,
            turns,
            next_turn: 0,
            event: [0; LANES],
            year: [0; LANES],
            place: [0; LANES],
            state,
        }
    }

    /// Accounts in force at the start of a month.
    fn value(&self) -> Lanes {
        std::array::from_fn(|lane| self.state.account[lane] * self.state.policies[lane])
    }

    /// Brings the rates of month `t` up to date, and lets policies mature and be issued.
    ///
    /// Returns `false`, having written its present values, if nobody is left and nobody will come.
    fn turn(
        &mut self,
        plan: &Plan<'_>,
        t: usize,
        row: &mut Row,
        values: &mut [PresentValues],
    ) -> bool {
        if self.next_turn > t {
            return true;
        }
        for lane in 0..self.points.len() {
            if self.turns[lane] == t {
                self.turns[lane] = match t < self.event[lane] {
                    true => self.anniversary(plan, t, lane),
                    false => self.turn_lane(plan, t, lane, row),
                };
            }
        }
        self.next_turn = self.turns.into_iter().min().unwrap_or(NEVER);
        if self.next_turn == NEVER {
            self.write(plan, values);
        }
        self.next_turn != NEVER
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
        }
        if duration == 0 {
            self.state.policies[lane] += policy.count;
            self.state.expenses[lane] += plan.scalars.acquisition_expense * policy.count * discount;
            row.issued += policy.count;
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

    fn write(&self, plan: &Plan<'_>, values: &mut [PresentValues]) {
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

/// The numbers of a month that all points share.
struct Month {
    discount: f64,
    /// Half the return of the month; what an account of 1 becomes by its middle and by its end.
    half_growth: f64,
    to_middle: f64,
    to_end: f64,
    /// What the fee leaves of an account.
    after_fee: f64,
    /// Discounted maintenance expense per policy.
    upkeep: f64,
    /// The discount less that of the next month; nobody looks beyond the last one.
    fall: f64,
}

impl Month {
    fn new(plan: &Plan<'_>, t: usize) -> Self {
        let (months, scalars) = (&plan.months, plan.scalars);
        let (discount, growth) = (months.discount[t], months.growth[t]);
        Month {
            discount,
            half_growth: 0.5 * growth,
            to_middle: 1.0 + 0.5 * growth,
            to_end: 1.0 + growth,
            after_fee: 1.0 - scalars.maintenance_fee_rate,
            upkeep: scalars.maintenance_expense / 12.0 * months.inflation[t] * discount,
            fall: discount - months.discount.get(t + 1).copied().unwrap_or(0.0),
        }
    }
}

/// One month of all groups: the formulas of the serial projection, without the rare events.
///
/// They are brought into a form with fewer additions, which bound the speed, and the same value up to rounding: what remains of the policies
/// is computed once, what an account earns is a multiplication, and the present value of the changes of the accounts in force a
/// is taken month by month as Σ a(t)·(v(t) - v(t+1)), not Σ (a(t) - a(t-1))·v(t).
///
/// Compiled for several instruction sets, of which the best one that the machine has is chosen when the program runs. They
/// compute the same lanes in the same order, and none fuses a multiplication with an addition: the bits are the same.
#[cfg_attr(
    feature = "simd",
    multiversion::multiversion(targets(
        "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
        "x86_64+avx2",
    ))
)]
fn step<const TOTALS: bool>(month: &Month, groups: &mut [Group<'_>], totals: &mut Sums) {
    let Month {
        discount,
        half_growth,
        to_middle,
        to_end,
        after_fee,
        upkeep,
        fall,
    } = *month;
    let mut sums = Sums::default();
    for group in groups {
        let state = &mut group.state;
        for i in 0..LANES {
            let policies = state.policies[i];
            let dying = policies * state.mortality[i];
            let surviving = policies - dying;
            let lapsing = surviving * state.lapse[i];
            let next_policies = surviving - lapsing;

            let sum_assured = state.sum_assured[i];
            let funded = state.account[i] + state.net_premium[i];
            let coi = state.coi_rate[i] * larger(sum_assured - funded, 0.0);
            let invested = after_fee * funded - coi;
            let midway = to_middle * invested;
            let next_account = to_end * invested;
            let next_value = next_account * next_policies;

            let premiums = state.premium[i] * policies;
            let death = larger(sum_assured, midway) * dying;
            let withdrawn = midway * lapsing;
            let surrender = state.kept_rate[i] * withdrawn;
            // Whoever leaves has half of it: on average half of those who came, half of those who remain.
            let income = half_growth * invested * (policies + next_policies);

            state.policies[i] = next_policies;
            state.account[i] = next_account;
            state.premiums[i] += discount * premiums;
            state.death[i] += discount * death;
            state.surrender[i] += discount * surrender;
            state.expenses[i] += upkeep * policies;
            state.income[i] += discount * income;
            state.change[i] += fall * next_value;

            if !TOTALS {
                continue;
            }
            sums.next_policies[i] += next_policies;
            sums.next_value[i] += next_value;
            sums.dying[i] += dying;
            sums.lapsing[i] += lapsing;
            sums.premiums[i] += premiums;
            sums.to_account[i] += state.net_premium[i] * policies;
            sums.death[i] += death;
            sums.death_from_account[i] += midway * dying;
            sums.surrender[i] += surrender;
            sums.charge[i] += state.charge_rate[i] * withdrawn;
            sums.income[i] += income;
            sums.funded[i] += funded * policies;
            sums.coi[i] += coi * policies;
        }
    }
    *totals = sums;
}

/// Totals of a month by lane.
#[derive(Default)]
#[repr(align(64))]
struct Sums {
    next_policies: Lanes,
    next_value: Lanes,
    dying: Lanes,
    lapsing: Lanes,
    premiums: Lanes,
    to_account: Lanes,
    death: Lanes,
    death_from_account: Lanes,
    surrender: Lanes,
    charge: Lanes,
    income: Lanes,
    funded: Lanes,
    coi: Lanes,
}

/// What is in force at the end of a month, and so at the start of the next.
#[derive(Default)]
struct Closing {
    policies: f64,
    value: f64,
}

impl Sums {
    /// Writes the totals of the month into its row.
    fn close(&self, row: &mut Row) -> Closing {
        row.dying = sum(&self.dying);
        row.lapsing = sum(&self.lapsing);
        row.premiums = sum(&self.premiums);
        row.to_account = sum(&self.to_account);
        row.death = sum(&self.death);
        row.death_from_account = sum(&self.death_from_account);
        row.surrender = sum(&self.surrender);
        row.charge = sum(&self.charge);
        row.income = sum(&self.income);
        row.funded = sum(&self.funded);
        row.coi = sum(&self.coi);
        let closing = Closing {
            policies: sum(&self.next_policies),
            value: sum(&self.next_value),
        };
        row.change = closing.value - row.value;
        // Whoever was there has died, lapsed or stayed; all three are sums of the same sign.
        row.policies = closing.policies + row.dying + row.lapsing;
        closing
    }
}

/// The larger of two numbers, in one instruction; neither is NaN in a projection that is accepted.
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Adds lanes in a fixed order.
fn sum(lanes: &Lanes) -> f64 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests;
