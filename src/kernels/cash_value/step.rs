//! One month of some groups of points: the arithmetic, and the totals it leaves.

use super::group::{Group, LANES, Lanes};
use super::plan::Plan;
use super::totals::Row;

/// The numbers of a month that all points share.
pub(super) struct Month {
    discount: f64,
    growth: f64,
    fee_rate: f64,
    /// Discounted maintenance expense per policy.
    upkeep: f64,
    /// The discount less that of the next month; nobody looks beyond the last one.
    fall: f64,
}

impl Month {
    /// All months of a projection.
    pub(super) fn all(plan: &Plan<'_>) -> Vec<Month> {
        (0..plan.horizon()).map(|t| Month::new(plan, t)).collect()
    }

    fn new(plan: &Plan<'_>, t: usize) -> Self {
        let (months, scalars) = (&plan.months, plan.scalars);
        let discount = months.discount[t];
        Month {
            discount,
            growth: months.growth[t],
            fee_rate: scalars.maintenance_fee_rate,
            upkeep: scalars.maintenance_expense / 12.0 * months.inflation[t] * discount,
            fall: discount - months.discount.get(t + 1).copied().unwrap_or(0.0),
        }
    }
}

/// Some months of some groups, to which nothing happens meanwhile: the formulas of the serial projection, without the rare events.
///
/// Each month's totals are added to `totals`.
///
/// Policies and accounts have the bits of the serial projection, as they may come close to zero, where another order of operations
/// would show. The rest is brought into a form with fewer additions, which bound the speed, and the same value up to rounding: the
/// present value of the changes of the accounts in force a is taken month by month as Σ a(t)·(v(t) - v(t+1)), not
/// Σ (a(t) - a(t-1))·v(t), and what leaves in the middle of a month has half of its return.
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
pub(super) fn step<const TOTALS: bool>(
    months: &[Month],
    groups: &mut [Group<'_>],
    totals: &mut [Sums],
) {
    for (month, totals) in months.iter().zip(totals) {
        // A copy stays in registers.
        let mut sums = *totals;
        step_month::<TOTALS>(month, groups, &mut sums);
        if TOTALS {
            *totals = sums;
        }
    }
}

#[inline(always)]
fn step_month<const TOTALS: bool>(month: &Month, groups: &mut [Group<'_>], sums: &mut Sums) {
    let Month {
        discount,
        growth,
        fee_rate,
        upkeep,
        fall,
    } = *month;
    for group in groups {
        let state = &mut group.state;
        for i in 0..LANES {
            let policies = state.policies[i];
            let dying = policies * state.mortality[i];
            let lapsing = (policies - dying) * state.lapse[i];
            let next_policies = policies - lapsing - dying;

            let sum_assured = state.sum_assured[i];
            let account = state.account[i];
            let funded = account + state.net_premium[i];
            let coi = state.coi_rate[i] * larger(sum_assured - funded, 0.0);
            let invested = funded - fee_rate * funded - coi;
            let return_of_month = growth * invested;
            let half_return = 0.5 * return_of_month;
            let midway = invested + half_return;
            let next_account = invested + return_of_month;
            let next_value = next_account * next_policies;

            let premiums = state.premium[i] * policies;
            let death = larger(sum_assured, midway) * dying;
            let withdrawn = midway * lapsing;
            let surrender = state.kept_rate[i] * withdrawn;
            // Whoever leaves has half of it: on average half of those who came, half of those who remain.
            let income = half_return * (policies + next_policies);

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
            // What a turn has taken out of the accounts, or put into them, it has counted itself.
            sums.change[i] += next_value - account * policies;
            sums.funded[i] += funded * policies;
            sums.coi[i] += coi * policies;
        }
    }
}

/// Totals of a month by lane.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Sums {
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
    change: Lanes,
    funded: Lanes,
    coi: Lanes,
}

/// What is in force at the end of a month, and so at the start of the next.
#[derive(Default)]
pub(super) struct Closing {
    pub(super) policies: f64,
    pub(super) value: f64,
}

impl Closing {
    /// What is in force before the first month.
    pub(super) fn of(groups: &[Group<'_>]) -> Self {
        let mut closing = Closing::default();
        for group in groups {
            closing.policies += sum(&group.state.policies);
            closing.value += sum(&group.value());
        }
        closing
    }
}

impl Sums {
    /// Writes the totals of the month into its row.
    pub(super) fn close(&self, row: &mut Row) -> Closing {
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
        row.change += sum(&self.change);
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
