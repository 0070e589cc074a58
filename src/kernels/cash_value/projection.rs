//! Results: present values per point and cash flows per month.

use super::error::CashValueError;
use super::plan::Plan;

/// Present values of one point, in the currency unit of the portfolio, for all its policies.
///
/// Each is Σ x(t)·v(t) over the months of the projection, x being the flow of the month and v the
/// discount factor from the start of the month to time 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PresentValues {
    /// Premiums received.
    pub premiums: f64,
    /// Death benefits paid.
    pub death: f64,
    /// Surrender values paid, after the surrender charge.
    pub surrender: f64,
    /// Account values paid at the end of the term.
    pub maturity: f64,
    /// Acquisition and maintenance expenses.
    pub expenses: f64,
    /// Commissions.
    pub commissions: f64,
    /// Investment income on the accounts.
    pub investment_income: f64,
    /// Change of the account value in force over the month.
    pub change_in_av: f64,
    /// Premiums and investment income, less benefits, expenses, commissions and change in account value.
    pub net_cashflow: f64,
}

impl PresentValues {
    /// Column names, in the order of [`to_array`](Self::to_array).
    pub const NAMES: [&'static str; 9] = [
        "Premiums",
        "Death",
        "Surrender",
        "Maturity",
        "Expenses",
        "Commissions",
        "Investment Income",
        "Change in AV",
        "Net Cashflow",
    ];

    /// The nine values in the order of [`NAMES`](Self::NAMES).
    pub fn to_array(&self) -> [f64; 9] {
        [
            self.premiums,
            self.death,
            self.surrender,
            self.maturity,
            self.expenses,
            self.commissions,
            self.investment_income,
            self.change_in_av,
            self.net_cashflow,
        ]
    }

    /// Fills in the net cash flow from the other eight.
    pub(super) fn with_net(mut self) -> Self {
        let claims = self.death + self.surrender + self.maturity;
        self.net_cashflow = self.premiums + self.investment_income
            - claims
            - self.expenses
            - self.commissions
            - self.change_in_av;
        self
    }

    fn plus(&self, other: &Self) -> Self {
        PresentValues {
            premiums: self.premiums + other.premiums,
            death: self.death + other.death,
            surrender: self.surrender + other.surrender,
            maturity: self.maturity + other.maturity,
            expenses: self.expenses + other.expenses,
            commissions: self.commissions + other.commissions,
            investment_income: self.investment_income + other.investment_income,
            change_in_av: self.change_in_av + other.change_in_av,
            net_cashflow: self.net_cashflow + other.net_cashflow,
        }
    }
}

/// Number of columns of [`MonthlyFlows`].
pub(super) const COLUMNS: usize = 22;

/// Undiscounted totals over all points for months 0..T: 17 cash flows and 5 policy counts.
///
/// Beside the flows of [`PresentValues`] there are `Claims` (the sum of the three benefits),
/// `av_bef_mat` (account value in force at the start of the month), `surr_charge`, `maint_fee`,
/// `coi` (cost of insurance) and `prem_to_av` (premiums less loadings), all in the currency unit of the
/// portfolio. Two margins say where the net cash flow comes from:
///
/// * `margin_expense` = loadings + surrender charges + fees - commissions - expenses,
/// * `margin_mortality` = cost of insurance - (death benefits - accounts of the dead).
///
/// They add up to it where no point is issued with an account that nobody has paid for.
#[derive(Clone, Debug, PartialEq)]
pub struct MonthlyFlows {
    rows: Vec<[f64; 17]>,
    /// All 22 columns, one after the other.
    columns: Vec<f64>,
}

impl MonthlyFlows {
    /// Names of the cash-flow columns, in the order of [`row`](Self::row).
    pub const NAMES: [&'static str; 17] = [
        "Premiums",
        "Claims",
        "Expenses",
        "Commissions",
        "Net Cashflow",
        "Death",
        "Surrender",
        "Maturity",
        "Investment Income",
        "Change in AV",
        "av_bef_mat",
        "surr_charge",
        "maint_fee",
        "coi",
        "prem_to_av",
        "margin_expense",
        "margin_mortality",
    ];

    /// Names of the policy counts, in the order of [`policy_row`](Self::policy_row): in force at the
    /// start of the month, leaving at maturity, issued, dying, lapsing.
    pub const POLICY_NAMES: [&'static str; 5] = [
        "pols_if",
        "pols_maturity",
        "pols_new_biz",
        "pols_death",
        "pols_lapse",
    ];

    /// The number of months T.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no months: every point is past its term.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One column by its name, out of [`NAMES`](Self::NAMES) and [`POLICY_NAMES`](Self::POLICY_NAMES).
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        let index = names().position(|candidate| candidate == name)?;
        Some(&self.columns[index * self.len()..][..self.len()])
    }

    /// The cash flows of one month.
    ///
    /// # Panics
    ///
    /// If `month` is not below [`len`](Self::len).
    #[track_caller]
    pub fn row(&self, month: usize) -> [f64; 17] {
        self.rows[month]
    }

    /// The policy counts of one month.
    ///
    /// # Panics
    ///
    /// If `month` is not below [`len`](Self::len).
    #[track_caller]
    pub fn policy_row(&self, month: usize) -> [f64; 5] {
        assert!(month < self.len(), "month {month} of {}", self.len());
        std::array::from_fn(|count| self.columns[(17 + count) * self.len() + month])
    }

    /// One row per month: the 17 cash flows, then the 5 counts.
    pub(super) fn new(rows: &[[f64; COLUMNS]]) -> Self {
        MonthlyFlows {
            columns: (0..COLUMNS)
                .flat_map(|column| rows.iter().map(move |row| row[column]))
                .collect(),
            rows: rows
                .iter()
                .map(|row| std::array::from_fn(|column| row[column]))
                .collect(),
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    MonthlyFlows::NAMES
        .into_iter()
        .chain(MonthlyFlows::POLICY_NAMES)
}

/// The result of projecting a portfolio. Every number in it is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    present_values: Vec<PresentValues>,
    totals: PresentValues,
    cash_flows: MonthlyFlows,
}

/// Refuses present values that are not finite.
pub(super) fn check_values(
    plan: &Plan<'_>,
    present_values: &[PresentValues],
) -> Result<(), CashValueError> {
    for (point, values) in present_values.iter().enumerate() {
        check(
            &values.to_array(),
            PresentValues::NAMES.into_iter(),
            |name| {
                let id = plan.portfolio.point_ids()[point];
                let place = plan.portfolio.origin.place(point);
                format!("{place}: present value \"{name}\" of point {id}")
            },
        )?;
    }
    Ok(())
}

impl Projection {
    /// Refuses results that are not finite.
    pub(super) fn new(
        plan: &Plan<'_>,
        present_values: Vec<PresentValues>,
        rows: &[[f64; COLUMNS]],
    ) -> Result<Self, CashValueError> {
        check_values(plan, &present_values)?;
        for (month, row) in rows.iter().enumerate() {
            check(row, names(), |name| {
                format!("total \"{name}\" of month {month}")
            })?;
        }
        let totals = present_values
            .iter()
            .fold(PresentValues::default(), |sum, x| sum.plus(x));
        check(
            &totals.to_array(),
            PresentValues::NAMES.into_iter(),
            |name| format!("total present value \"{name}\""),
        )?;
        Ok(Projection {
            present_values,
            totals,
            cash_flows: MonthlyFlows::new(rows),
        })
    }

    /// The present values of each point, in portfolio order.
    pub fn present_values(&self) -> &[PresentValues] {
        &self.present_values
    }

    /// The present values of the whole portfolio: each column is added up from the first point to the
    /// last, on one thread, so it has the same bits for any number of workers.
    pub fn totals(&self) -> PresentValues {
        self.totals
    }

    /// The number of months T: the longest term still to run of any point, plus one.
    pub fn horizon(&self) -> usize {
        self.cash_flows.len()
    }

    /// The totals of each month.
    pub fn cash_flows(&self) -> &MonthlyFlows {
        &self.cash_flows
    }
}

fn check(
    values: &[f64],
    mut names: impl Iterator<Item = &'static str>,
    what: impl Fn(&str) -> String,
) -> Result<(), CashValueError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(CashValueError::NotFinite {
            what: what(names.nth(index).unwrap_or("value")),
            found: values[index],
        }),
    }
}

#[cfg(test)]
mod tests;
