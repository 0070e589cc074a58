//! One month of some groups of points: the arithmetic, and the totals it leaves.

use super::group::{Group, LANES, Lanes};
use super::plan::Plan;
use super::totals::Row;

/// The numbers of a month that all points share.
pub(super) struct Month {
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
    /// All months of a projection.
    pub(super) fn all(plan: &Plan<'_>) -> Vec<Month> {
        (0..plan.horizon()).map(|t| Month::new(plan, t)).collect()
    }

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

/// Some months of some groups, to which nothing happens meanwhile: the formulas of the serial projection, without the rare events.
///
/// Each month's totals are added to `totals`.
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
        half_growth,
        to_middle,
        to_end,
        after_fee,
        upkeep,
        fall,
    } = *month;
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
