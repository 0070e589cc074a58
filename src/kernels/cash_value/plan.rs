//! A portfolio and its assumptions brought together: what both projections start from.

use super::assumptions::Assumptions;
use super::error::CashValueError;
use super::portfolio::Portfolio;
use super::rates::{Months, Rates, Terms};
use super::tables::{Scalars, Scenario};
use crate::error::excerpt;

/// Everything a projection reads.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) portfolio: &'a Portfolio,
    pub(super) scalars: &'a Scalars,
    pub(super) rates: &'a Rates,
    /// As long as the projection.
    pub(super) months: Months,
    /// By index of the portfolio's specs.
    terms: Vec<&'a Terms>,
    /// For each point the months to the end of its term, that month included; not positive for those past it.
    months_ahead: Vec<i64>,
}

/// One point with its static attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    pub(super) terms: &'a Terms,
    pub(super) age_at_entry: i64,
    /// Duration at time 0 in months, negative before issue.
    pub(super) start: i64,
    /// Duration at the end of the term in months; not positive for very old whole-life points.
    pub(super) end: i64,
    pub(super) count: f64,
    pub(super) sum_assured: f64,
    pub(super) premium: f64,
    pub(super) account: f64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        portfolio: &'a Portfolio,
        assumptions: &'a Assumptions,
        scenario: &Scenario,
    ) -> Result<Self, CashValueError> {
        let (rates, scalars) = (assumptions.rates(), assumptions.scalars());
        let terms = find_terms(portfolio, assumptions)?;
        let months = Months::new(0, &[], &[], scalars)?;
        let mut plan = Plan {
            portfolio,
            scalars,
            rates,
            months,
            terms,
            months_ahead: Vec::new(),
        };
        let (spot_rates, draws) = (&assumptions.tables().spot_rates, &scenario.draws);
        let horizon = plan.find_horizon(spot_rates.len(), draws.len())?;
        plan.months = Months::new(horizon, spot_rates, draws, scalars)?;
        Ok(plan)
    }

    pub(super) fn horizon(&self) -> usize {
        self.months.horizon()
    }

    /// `point` is an index into the portfolio.
    pub(super) fn policy(&self, point: usize) -> Policy<'a> {
        let columns = &self.portfolio.columns;
        let terms = self.terms[self.portfolio.spec_of(point)];
        let age_at_entry = i64::from(columns.age_at_entry[point]);
        let years = match terms.is_whole_life {
            true => self.rates.last_age() - age_at_entry,
            false => i64::from(columns.policy_term[point]),
        };
        Policy {
            terms,
            age_at_entry,
            start: i64::from(columns.duration_mth[point]),
            end: 12 * years,
            count: columns.policy_count[point],
            sum_assured: columns.sum_assured[point],
            premium: columns.premium_pp[point],
            account: columns.av_pp_init[point],
        }
    }

    /// The months for which a point is projected, or nearly; all of them for those past their term.
    pub(super) fn months_ahead(&self, point: usize) -> usize {
        match usize::try_from(self.months_ahead[point]) {
            Ok(months @ 1..) => months.min(self.horizon()),
            _ => self.horizon(),
        }
    }

    /// The points, those that have the most months ahead first, else in their order.
    pub(super) fn by_months_ahead(&self) -> Vec<usize> {
        let points = 0..self.portfolio.len();
        let ahead: Vec<usize> = points.map(|point| self.months_ahead(point)).collect();
        let mut places = vec![0; self.horizon() + 1];
        for &months in &ahead {
            places[months] += 1;
        }
        let mut before = 0;
        for place in places.iter_mut().rev() {
            before += std::mem::replace(place, before);
        }
        let mut order = vec![0; ahead.len()];
        for (point, months) in ahead.into_iter().enumerate() {
            let place = &mut places[months];
            order[*place] = point;
            *place += 1;
        }
        order
    }

    /// The longest projection of any point, checked against the tables.
    fn find_horizon(&mut self, spot_rates: usize, draws: usize) -> Result<usize, CashValueError> {
        let months_of = |point| {
            let policy = self.policy(point);
            policy.end - policy.start + 1
        };
        self.months_ahead = (0..self.portfolio.len()).map(months_of).collect();
        let (mut point, mut months) = (0, 0);
        for (candidate, &needed) in self.months_ahead.iter().enumerate() {
            if needed > months {
                (point, months) = (candidate, needed);
            }
        }
        let spot_months = spot_rates.saturating_mul(12);
        let (limit, table) = match draws <= spot_months {
            true => (draws, "normal draw"),
            false => (spot_months, "spot rate"),
        };
        match usize::try_from(months) {
            Ok(horizon) if horizon <= limit => Ok(horizon),
            _ => {
                let columns = &self.portfolio.columns;
                let (column, found) = match self.policy(point).terms.is_whole_life {
                    true => ("age_at_entry", columns.age_at_entry[point]),
                    false => ("policy_term", columns.policy_term[point]),
                };
                Err(CashValueError::Horizon {
                    place: self.portfolio.origin.place(point),
                    column,
                    found: i64::from(found),
                    duration_mth: i64::from(columns.duration_mth[point]),
                    point_id: self.portfolio.point_ids()[point],
                    months,
                    limit,
                    table,
                })
            }
        }
    }
}

impl Policy<'_> {
    /// Whether the point is still to be issued in month `t`, or issued just then, with at least a part of a policy.
    pub(super) fn is_ahead(&self, t: usize) -> bool {
        self.start + t as i64 <= 0 && self.count != 0.0
    }
}

fn find_terms<'a>(
    portfolio: &Portfolio,
    assumptions: &'a Assumptions,
) -> Result<Vec<&'a Terms>, CashValueError> {
    let find = |spec: &super::portfolio::Spec| match assumptions.find_product(&spec.id) {
        Some(index) => Ok(assumptions.rates().terms(index)),
        None => {
            let products = assumptions.tables().products.iter();
            let known = excerpt::few(products.map(|product| excerpt::quoted(&product.id)));
            let expected = format!("a product of {known}");
            let origin = &portfolio.origin;
            Err(origin.text(spec.first_row, "spec_id", &spec.id, expected))
        }
    };
    portfolio.specs().iter().map(find).collect()
}
