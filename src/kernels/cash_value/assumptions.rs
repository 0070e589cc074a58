//! Checked assumptions: tables, scalars, and the scenario in use.

use std::collections::{HashMap, HashSet};

use super::error::{CashValueError, Origin};
use super::rates::Rates;
use super::tables::{MortalityTable, Product, Scalars, Scenario, SurrenderCharge, Tables};
use crate::error::excerpt;

/// Tables and scalars that were checked, with one scenario selected.
///
/// # Examples
///
/// ```
/// use scipar::kernels::cash_value::{
///     Assumptions, MortalityTable, PremiumType, Product, Scalars, Scenario, Tables,
/// };
///
/// let tables = Tables {
///     products: vec![Product {
///         id: "endowment".into(),
///         premium_type: PremiumType::Level,
///         surrender_charge: None,
///         premium_load: 0.05,
///         is_whole_life: false,
///     }],
///     mortality: MortalityTable { first_age: 30, rates: vec![vec![0.001]; 40] },
///     surrender_charges: vec![],
///     spot_rates: vec![0.01; 40],
///     normal_draws: vec![Scenario { id: 1, draws: vec![0.0; 480] }],
/// };
/// let assumptions = Assumptions::new(tables, Scalars::default())?;
/// assert_eq!(assumptions.scenario(), 1);
/// let unknown = assumptions.with_scenario(7).unwrap_err();
/// assert_eq!(unknown.to_string(), "scenario 7 is not in the table of normal draws, expected one of [1]");
/// # Ok::<(), scipar::kernels::cash_value::CashValueError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Assumptions {
    tables: Tables,
    scalars: Scalars,
    /// Index into `tables.normal_draws`.
    scenario: usize,
    /// Derived from `tables`.
    rates: Rates,
    /// By name: index into `tables.products`.
    product_of: HashMap<String, usize>,
    /// By number: index into `tables.normal_draws`.
    scenario_of: HashMap<u32, usize>,
}

/// Where each table came from, for messages.
#[derive(Debug)]
pub(super) struct Origins {
    pub(super) products: Origin,
    pub(super) mortality: Origin,
    pub(super) surrender_charges: Origin,
    pub(super) spot_rates: Origin,
    pub(super) normal_draws: Origin,
}

impl Assumptions {
    /// Checks the tables and selects scenario 1, or the lowest one where there is no scenario 1.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the table, row and column: an empty table, a repeated product, charge
    /// or scenario, an unknown surrender charge, rows of unequal length, a probability, loading or charge
    /// outside 0 to 1, a spot rate of -1 or less, a number that is not finite, a negative first age.
    pub fn new(tables: Tables, scalars: Scalars) -> Result<Self, CashValueError> {
        let origins = Origins {
            products: Origin::memory("products"),
            mortality: Origin::memory("mortality"),
            surrender_charges: Origin::memory("surrender_charges"),
            spot_rates: Origin::memory("spot_rates"),
            normal_draws: Origin::memory("normal_draws"),
        };
        Self::checked(tables, scalars, &origins)
    }

    pub(super) fn checked(
        tables: Tables,
        scalars: Scalars,
        origins: &Origins,
    ) -> Result<Self, CashValueError> {
        check_mortality(&tables.mortality, &origins.mortality)?;
        check_charges(&tables.surrender_charges, &origins.surrender_charges)?;
        check_products(
            &tables.products,
            &tables.surrender_charges,
            &origins.products,
        )?;
        check_spot_rates(&tables.spot_rates, &origins.spot_rates)?;
        let scenario_of = check_draws(&tables.normal_draws, &origins.normal_draws)?;
        check_scalars(&scalars)?;
        let lowest = scenario_of.iter().min_by_key(|&(id, _)| id);
        let scenario = scenario_of.get(&1).or(lowest.map(|(_, index)| index));
        let scenario = scenario.copied().unwrap_or(0);
        let products = tables.products.iter().enumerate();
        let product_of = products.map(|(index, product)| (product.id.clone(), index));
        let (product_of, rates) = (product_of.collect(), Rates::new(&tables));
        Ok(Assumptions {
            tables,
            scalars,
            scenario,
            rates,
            product_of,
            scenario_of,
        })
    }

    /// Selects another scenario.
    ///
    /// # Errors
    ///
    /// [`CashValueError::UnknownScenario`] lists the scenarios there are.
    pub fn with_scenario(mut self, id: u32) -> Result<Self, CashValueError> {
        self.scenario = self.find_scenario(id)?;
        Ok(self)
    }

    /// Replaces the scalars.
    ///
    /// # Errors
    ///
    /// [`CashValueError::Scalar`] for a number that is not finite, or an inflation rate of -1 or less.
    pub fn with_scalars(mut self, scalars: Scalars) -> Result<Self, CashValueError> {
        check_scalars(&scalars)?;
        self.scalars = scalars;
        Ok(self)
    }

    /// The number of the selected scenario.
    pub fn scenario(&self) -> u32 {
        self.selected().id
    }

    /// The scalars in use.
    pub fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// The tables in use.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(super) fn selected(&self) -> &Scenario {
        &self.tables.normal_draws[self.scenario]
    }

    /// The index of a scenario among the draws.
    fn find_scenario(&self, id: u32) -> Result<usize, CashValueError> {
        self.scenario_of.get(&id).copied().ok_or_else(|| {
            let scenarios = self.tables.normal_draws.iter();
            let known = scenarios.map(|scenario| scenario.id).collect();
            CashValueError::UnknownScenario { id, known }
        })
    }

    /// The index of a product among the products.
    pub(super) fn find_product(&self, id: &str) -> Option<usize> {
        self.product_of.get(id).copied()
    }

    pub(super) fn scenario_of(&self, id: u32) -> Result<&Scenario, CashValueError> {
        self.find_scenario(id)
            .map(|index| &self.tables.normal_draws[index])
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }
}

fn check_mortality(table: &MortalityTable, origin: &Origin) -> Result<(), CashValueError> {
    let columns = table.rates.first().map_or(0, Vec::len);
    if columns == 0 {
        return Err(CashValueError::Empty {
            table: origin.name(),
        });
    }
    if table.first_age < 0 {
        return Err(origin.number(0, "age", table.first_age, "an age of at least 0"));
    }
    for (row, rates) in table.rates.iter().enumerate() {
        if rates.len() != columns {
            let expected = format!("{columns} rates as in the first row");
            return Err(origin.number(row, "rates", rates.len(), expected));
        }
        for (year, &rate) in rates.iter().enumerate() {
            check_share(rate, origin, row, || year.to_string())?;
        }
    }
    Ok(())
}

fn check_charges(charges: &[SurrenderCharge], origin: &Origin) -> Result<(), CashValueError> {
    let mut seen = HashSet::new();
    for (index, charge) in charges.iter().enumerate() {
        if !seen.insert(&charge.id) {
            let expected = "a charge that is not yet in the table";
            return Err(origin.text(index, "id", &charge.id, expected));
        }
        if charge.rates.is_empty() {
            return Err(CashValueError::Empty {
                table: format!("{}: {}", origin.name(), excerpt::name(&charge.id)),
            });
        }
        for (year, &rate) in charge.rates.iter().enumerate() {
            check_share(rate, origin, year, || charge.id.clone())?;
        }
    }
    Ok(())
}

fn check_products(
    products: &[Product],
    charges: &[SurrenderCharge],
    origin: &Origin,
) -> Result<(), CashValueError> {
    if products.is_empty() {
        return Err(CashValueError::Empty {
            table: origin.name(),
        });
    }
    let known: HashSet<&str> = charges.iter().map(|charge| charge.id.as_str()).collect();
    let mut seen = HashSet::new();
    for (row, product) in products.iter().enumerate() {
        if !seen.insert(&product.id) {
            let expected = "a product that is not yet in the table";
            return Err(origin.text(row, "spec_id", &product.id, expected));
        }
        check_share(product.premium_load, origin, row, || {
            "load_prem_rate".to_owned()
        })?;
        if let Some(id) = &product.surrender_charge
            && !known.contains(id.as_str())
        {
            let known = excerpt::few(charges.iter().map(|charge| excerpt::quoted(&charge.id)));
            let expected = format!("a surrender charge of {known}");
            return Err(origin.text(row, "surr_charge_id", id, expected));
        }
    }
    Ok(())
}

fn check_spot_rates(rates: &[f64], origin: &Origin) -> Result<(), CashValueError> {
    if rates.is_empty() {
        return Err(CashValueError::Empty {
            table: origin.name(),
        });
    }
    match rates
        .iter()
        .position(|&rate| !(rate.is_finite() && rate > -1.0))
    {
        None => Ok(()),
        Some(year) => {
            let expected = "a finite number greater than -1";
            Err(origin.number(year, "zero_spot", rates[year], expected))
        }
    }
}

/// Gives the index of each scenario.
fn check_draws(
    scenarios: &[Scenario],
    origin: &Origin,
) -> Result<HashMap<u32, usize>, CashValueError> {
    if scenarios.is_empty() {
        return Err(CashValueError::Empty {
            table: origin.name(),
        });
    }
    let mut index_of = HashMap::new();
    for (row, scenario) in scenarios.iter().enumerate() {
        if index_of.insert(scenario.id, row).is_some() {
            let expected = "a scenario that is not yet in the table";
            return Err(origin.number(row, "scen_id", scenario.id, expected));
        }
        let table = || format!("{}: scenario {}", origin.name(), scenario.id);
        if scenario.draws.is_empty() {
            return Err(CashValueError::Empty { table: table() });
        }
        if let Some(month) = scenario.draws.iter().position(|draw| !draw.is_finite()) {
            let (origin, draw) = (Origin::Memory(table()), scenario.draws[month]);
            return Err(origin.number(month, "std_norm_rand", draw, "a finite number"));
        }
    }
    Ok(index_of)
}

fn check_scalars(scalars: &Scalars) -> Result<(), CashValueError> {
    let named = [
        ("acquisition_expense", scalars.acquisition_expense),
        ("maintenance_expense", scalars.maintenance_expense),
        ("inflation_rate", scalars.inflation_rate),
        ("maintenance_fee_rate", scalars.maintenance_fee_rate),
        ("coi_multiplier", scalars.coi_multiplier),
        ("commission_rate", scalars.commission_rate),
        ("return_drift", scalars.return_drift),
        ("return_volatility", scalars.return_volatility),
    ];
    if let Some(&(name, found)) = named.iter().find(|(_, value)| !value.is_finite()) {
        return Err(CashValueError::Scalar {
            name,
            found,
            expected: "a finite number",
        });
    }
    if scalars.inflation_rate <= -1.0 {
        let (name, found) = ("inflation_rate", scalars.inflation_rate);
        return Err(CashValueError::Scalar {
            name,
            found,
            expected: "a finite number greater than -1",
        });
    }
    Ok(())
}

fn check_share(
    value: f64,
    origin: &Origin,
    row: usize,
    column: impl Fn() -> String,
) -> Result<(), CashValueError> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(origin.number(row, &column(), value, "a number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests;
