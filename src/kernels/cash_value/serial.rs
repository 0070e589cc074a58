//! The plain projection: the formulas in their order, one point at a time, one month at a time.

use super::assumptions::Assumptions;
use super::error::CashValueError;
use super::plan::{Plan, Policy};
use super::portfolio::Portfolio;
use super::projection::{COLUMNS, PresentValues, Projection};

/// Projects a portfolio point by point on the caller's thread: the oracle of [`project`](super::project).
///
/// Choose it to check, to debug or to read; [`project`](super::project) gives the same numbers up to
/// rounding, several times faster on one core and on all of them.
///
/// # Ordering and determinism
///
/// Exact: points in portfolio order, months in order, every total is added up from the first point to the
/// last.
///
/// # Errors
///
/// [`CashValueError`] if a product or the longest projection is not covered by the tables, or if a result
/// is not finite.
pub fn project_serial(
    portfolio: &Portfolio,
    assumptions: &Assumptions,
) -> Result<Projection, CashValueError> {
    let plan = Plan::new(portfolio, assumptions, assumptions.selected())?;
    let mut totals = vec![[0.0; COLUMNS]; plan.horizon()];
    let present_values = (0..portfolio.len())
        .map(|i| project_point(&plan, &plan.policy(i), &mut totals))
        .collect();
    Projection::new(&plan, present_values, &totals)
}

/// Adds the flows of one point to the totals of each month and returns its present values.
fn project_point(
    plan: &Plan<'_>,
    policy: &Policy<'_>,
    totals: &mut [[f64; COLUMNS]],
) -> PresentValues {
    let Policy {
        terms,
        count,
        sum_assured,
        ..
    } = *policy;
    let (scalars, rates) = (plan.scalars, plan.rates);
    let mut pv = PresentValues::default();

    // A point issued at time 0 is new business, not in force.
    let mut in_force = if policy.start > 0 { count } else { 0.0 };
    let mut account = policy.account;

    for (t, totals) in totals.iter_mut().enumerate() {
        let duration = policy.start + t as i64;
        // Nobody is left and nobody will come: all further flows are 0.
        if in_force == 0.0 && !policy.is_ahead(t) {
            break;
        }
        let year = duration.div_euclid(12);
        let discount = plan.months.discount[t];
        let growth = plan.months.growth[t];
        let mortality = rates.mortality(policy.age_at_entry + year, year);

        let maturing = if duration == policy.end {
            in_force
        } else {
            0.0
        };
        let issued = if duration == 0 { count } else { 0.0 };
        let policies = in_force - maturing + issued;
        let dying = policies * mortality;
        let lapsing = (policies - dying) * rates.lapse(year);
        let next_in_force = policies - lapsing - dying;

        // A level premium has no first month: the account is fed even before issue.
        let is_due = if terms.is_single {
            duration == 0
        } else {
            duration < policy.end
        };
        let premium = if is_due { policy.premium } else { 0.0 };
        let funded = account + (1.0 - terms.load) * premium;
        let fee = scalars.maintenance_fee_rate * funded;
        let at_risk = (sum_assured - funded).max(0.0);
        let coi = scalars.coi_multiplier * mortality * at_risk;
        let invested = funded - fee - coi;
        let income = growth * invested;
        // Deaths and lapses happen in the middle of the month, with half of its return.
        let midway = invested + 0.5 * income;
        let next_account = invested + income;

        let premiums = premium * policies;
        let death = sum_assured.max(midway) * dying;
        let charge = terms.charge(year) * midway * lapsing;
        let surrender = midway * lapsing - charge;
        let maturity = account * maturing;
        let claims = death + surrender + maturity;
        let upkeep = scalars.maintenance_expense / 12.0 * plan.months.inflation[t];
        let expenses = scalars.acquisition_expense * issued + policies * upkeep;
        let commissions = scalars.commission_rate * premiums;
        let investment_income = income * next_in_force + 0.5 * income * (dying + lapsing);
        let change_in_av = next_account * next_in_force - account * in_force;
        let net = premiums + investment_income - claims - expenses - commissions - change_in_av;

        let loading = terms.load * premium * policies;
        let margin_expense = loading + charge + fee * policies - commissions - expenses;
        let margin_mortality = coi * policies - (death - midway * dying);

        pv.premiums += premiums * discount;
        pv.death += death * discount;
        pv.surrender += surrender * discount;
        pv.maturity += maturity * discount;
        pv.expenses += expenses * discount;
        pv.commissions += commissions * discount;
        pv.investment_income += investment_income * discount;
        pv.change_in_av += change_in_av * discount;

        // In the order of `MonthlyFlows::NAMES` and `POLICY_NAMES`.
        let flows = [
            premiums,
            claims,
            expenses,
            commissions,
            net,
            death,
            surrender,
            maturity,
            investment_income,
            change_in_av,
            account * in_force,
            charge,
            fee * policies,
            coi * policies,
            (1.0 - terms.load) * premium * policies,
            margin_expense,
            margin_mortality,
            in_force,
            maturing,
            issued,
            dying,
            lapsing,
        ];
        for (total, flow) in totals.iter_mut().zip(flows) {
            *total += flow;
        }
        (in_force, account) = (next_in_force, next_account);
    }
    pv.with_net()
}

#[cfg(test)]
mod tests;
