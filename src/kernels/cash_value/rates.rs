//! Monthly rates and month vectors: what sections of the model do not depend on a single point.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::CashValueError;
use super::tables::{MortalityTable, PremiumType, Product, Scalars, Tables};

/// Policy years before issue that have a lapse rate: at -46 the annual rate would exceed 1.
const FIRST_YEAR: i64 = -45;
/// The policy year from which the annual lapse rate no longer falls.
const LAST_LAPSE_YEAR: i64 = 4;

/// Decrement rates, computed once per set of tables.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    first_age: i64,
    /// Columns of the mortality table; the last one is for that policy year and later.
    columns: usize,
    /// Monthly death probability by age and policy year, row after row.
    mortality: Vec<f64>,
    /// Monthly lapse rate by policy year, from `FIRST_YEAR` to `LAST_LAPSE_YEAR`.
    lapse: Vec<f64>,
    /// The age at which whole-life policies end.
    last_age: i64,
    /// The policy year from which neither lapse rates nor surrender charges change.
    settled: i64,
    /// By index of the product table.
    terms: Vec<Terms>,
}

/// One product with its surrender charge looked up.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) is_single: bool,
    pub(super) is_whole_life: bool,
    pub(super) load: f64,
    /// By policy year, the last one for all later years; empty where there is no charge. One copy
    /// for all products that have it, as there may be many of both.
    charge: Arc<[f64]>,
}

impl Rates {
    /// Expects tables that were checked.
    pub(super) fn new(tables: &Tables) -> Self {
        let MortalityTable { first_age, rates } = &tables.mortality;
        // The first age at which everybody dies whatever the policy year, else the end of the table.
        let last_row = rates
            .iter()
            .position(|row| row.iter().all(|&q| q == 1.0))
            .unwrap_or(rates.len().saturating_sub(1));
        let annual_lapse = |year: i64| (0.1 - 0.02 * year as f64).max(0.02);
        let charged = tables.surrender_charges.iter();
        let charged = charged.map(|charge| charge.rates.len() as i64).max();
        let charges = tables.surrender_charges.iter();
        let charges: HashMap<&str, Arc<[f64]>> = charges
            .map(|charge| (charge.id.as_str(), Arc::from(charge.rates.as_slice())))
            .collect();
        Rates {
            settled: charged.unwrap_or(0).max(LAST_LAPSE_YEAR),
            first_age: i64::from(*first_age),
            columns: rates.first().map_or(0, Vec::len),
            mortality: rates.iter().flatten().map(|&q| monthly(q)).collect(),
            lapse: (FIRST_YEAR..=LAST_LAPSE_YEAR)
                .map(|year| monthly(annual_lapse(year)))
                .collect(),
            last_age: i64::from(*first_age) + last_row as i64,
            terms: tables
                .products
                .iter()
                .map(|product| Terms::new(product, &charges))
                .collect(),
        }
    }

    pub(super) fn last_age(&self) -> i64 {
        self.last_age
    }

    pub(super) fn settled(&self) -> i64 {
        self.settled
    }

    pub(super) fn terms(&self, product: usize) -> &Terms {
        &self.terms[product]
    }

    /// Monthly death probability at an attained age in a policy year; 0 outside the table.
    pub(super) fn mortality(&self, age: i64, year: i64) -> f64 {
        self.place(age, year)
            .map_or(0.0, |place| self.mortality_at(place))
    }

    /// Where the table has that probability, or would have it if it were longer; `None` below its first age and before issue.
    pub(super) fn place(&self, age: i64, year: i64) -> Option<usize> {
        let row = usize::try_from(age - self.first_age).ok()?;
        let column = usize::try_from(year).ok()?.min(self.columns - 1);
        row.checked_mul(self.columns)?.checked_add(column)
    }

    /// The place one year later, in policy year `year`.
    #[inline]
    pub(super) fn next_place(&self, place: usize, year: i64) -> usize {
        place + self.columns + usize::from((year as usize) < self.columns)
    }

    /// Monthly death probability at a place; 0 beyond the table.
    #[inline]
    pub(super) fn mortality_at(&self, place: usize) -> f64 {
        self.mortality.get(place).copied().unwrap_or(0.0)
    }

    /// Monthly lapse rate in a policy year.
    pub(super) fn lapse(&self, year: i64) -> f64 {
        self.lapse[(year.clamp(FIRST_YEAR, LAST_LAPSE_YEAR) - FIRST_YEAR) as usize]
    }
}

impl Terms {
    fn new(product: &Product, charges: &HashMap<&str, Arc<[f64]>>) -> Self {
        let charge = product.surrender_charge.as_deref();
        let charge = charge.and_then(|id| charges.get(id));
        Terms {
            is_single: product.premium_type == PremiumType::Single,
            is_whole_life: product.is_whole_life,
            load: product.premium_load,
            charge: charge.cloned().unwrap_or_default(),
        }
    }

    /// Surrender-charge rate in a policy year; 0 before issue and where there is no charge.
    pub(super) fn charge(&self, year: i64) -> f64 {
        match self.charge.len() {
            0 => 0.0,
            _ if year < 0 => 0.0,
            len => self.charge[(year as usize).min(len - 1)],
        }
    }
}

/// The probability over a month that gives `annual` over a year.
///
/// 1 gives exactly 1, so that a last survivor leaves nobody behind.
fn monthly(annual: f64) -> f64 {
    1.0 - (1.0 - annual).powf(1.0 / 12.0)
}

/// What depends on the month alone, for months 0..T.
#[derive(Clone, Debug)]
pub(super) struct Months {
    /// Discount factor from the start of the month to time 0.
    pub(super) discount: Vec<f64>,
    /// Inflation factor at the start of the month.
    pub(super) inflation: Vec<f64>,
    /// Investment return over the month.
    pub(super) growth: Vec<f64>,
}

impl Months {
    /// `horizon` must not exceed the draws, nor twelve times the spot rates.
    pub(super) fn new(
        horizon: usize,
        spot_rates: &[f64],
        draws: &[f64],
        scalars: &Scalars,
    ) -> Result<Self, CashValueError> {
        let step = 1.0 / 12.0_f64;
        let drift = (scalars.return_drift - 0.5 * scalars.return_volatility.powi(2)) * step;
        let spread = scalars.return_volatility * step.sqrt();
        let discount = (0..horizon).map(|t| {
            let rate = (1.0 + spot_rates[t / 12]).powf(step) - 1.0;
            (1.0 + rate).powf(-(t as f64))
        });
        let inflation = (0..horizon).map(|t| (1.0 + scalars.inflation_rate).powf(t as f64 / 12.0));
        let growth = (0..horizon).map(|t| (drift + spread * draws[t]).exp() - 1.0);
        Ok(Months {
            discount: finite("discount factor", discount)?,
            inflation: finite("inflation factor", inflation)?,
            growth: finite("investment return", growth)?,
        })
    }

    pub(super) fn horizon(&self) -> usize {
        self.discount.len()
    }
}

fn finite(what: &str, values: impl Iterator<Item = f64>) -> Result<Vec<f64>, CashValueError> {
    let check = |(month, value): (usize, f64)| match value.is_finite() {
        true => Ok(value),
        false => Err(CashValueError::NotFinite {
            what: format!("{what} of month {month}"),
            found: value,
        }),
    };
    values.enumerate().map(check).collect()
}

#[cfg(test)]
mod tests;
