//! Reading tables and portfolios from CSV files (feature `csv`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::assumptions::{Assumptions, Origins};
use super::error::CashValueError;
use super::portfolio::{Columns, Portfolio};
use super::sheet::{FLAG, KEY, NUMBER, Sheet, WHOLE, flag, key, number, whole};
use super::tables::{
    MortalityTable, PremiumType, Product, Scalars, Scenario, SurrenderCharge, Tables,
};

impl Portfolio {
    /// Reads a portfolio from a CSV file.
    ///
    /// The header names the columns, in any order: `point_id`, `spec_id`, `age_at_entry`, `policy_term`,
    /// `policy_count`, `sum_assured`, `duration_mth`, `premium_pp`, `av_pp_init`; others are ignored.
    /// Text is UTF-8, with or without a byte-order mark; fields may be quoted and surrounded by spaces;
    /// lines end in LF, CRLF or CR, the last one included; blank lines are skipped. Whole numbers may
    /// be written as floats (`20.0`), as some programs do.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the file, line, column, the value found and what was expected.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self, CashValueError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| CashValueError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_csv_reader(file, path)
    }

    /// Reads a portfolio from anything that yields CSV text; `name` stands for the file in messages.
    ///
    /// The format is that of [`read_csv`](Self::read_csv).
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader(
        reader: impl Read,
        name: impl Into<PathBuf>,
    ) -> Result<Self, CashValueError> {
        let sheet = Sheet::read(reader, name.into())?;
        let columns = Columns {
            point_id: sheet.map("point_id", WHOLE, whole)?,
            spec_id: sheet.map("spec_id", KEY, key)?,
            age_at_entry: sheet.map("age_at_entry", WHOLE, whole)?,
            policy_term: sheet.map("policy_term", WHOLE, whole)?,
            policy_count: sheet.map("policy_count", "a finite number of at least 0", number)?,
            sum_assured: sheet.map("sum_assured", NUMBER, number)?,
            duration_mth: sheet.map("duration_mth", WHOLE, whole)?,
            premium_pp: sheet.map("premium_pp", NUMBER, number)?,
            av_pp_init: sheet.map("av_pp_init", NUMBER, number)?,
        };
        Self::checked(columns, sheet.origin())
    }
}

impl Assumptions {
    /// Reads the tables from five CSV files of a folder, with the default [`Scalars`].
    ///
    /// | File | Columns |
    /// |---|---|
    /// | `product_spec_table.csv` | `spec_id`, `premium_type` (`SINGLE`, `LEVEL`), `has_surr_charge` (`True`, `False`), `surr_charge_id`, `load_prem_rate`, `is_wl` |
    /// | `mort_table.csv` | `age`, `0`, `1`, ...: policy year, the last one "and later"; no others |
    /// | `surr_charge_table.csv` | `duration`, then one column per type of charge; needed also where no product has one |
    /// | `disc_rate_ann.csv` | `year`, `zero_spot` |
    /// | `std_norm_rand.csv` | `scen_id`, `t`, `std_norm_rand` |
    ///
    /// The format is that of [`Portfolio::read_csv`]. Ages, durations, years and, within a scenario, months
    /// are consecutive and in order; all but ages start at 0. `TRUE` and `true` stand for `True`, and so on.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the file, line, column, the value found and what was expected.
    pub fn read_dir(dir: impl AsRef<Path>) -> Result<Self, CashValueError> {
        let open = |name: &str| {
            let path = dir.as_ref().join(name);
            match File::open(&path) {
                Ok(file) => Sheet::read(file, path),
                Err(source) => Err(CashValueError::Read { path, source }),
            }
        };
        let products = open("product_spec_table.csv")?;
        let mortality = open("mort_table.csv")?;
        let charges = open("surr_charge_table.csv")?;
        let spot_rates = open("disc_rate_ann.csv")?;
        let draws = open("std_norm_rand.csv")?;
        let tables = Tables {
            products: read_products(&products)?,
            mortality: read_mortality(&mortality)?,
            surrender_charges: read_charges(&charges)?,
            spot_rates: read_spot_rates(&spot_rates)?,
            normal_draws: read_draws(&draws)?,
        };
        let origins = Origins {
            products: products.origin(),
            mortality: mortality.origin(),
            surrender_charges: charges.origin(),
            spot_rates: spot_rates.origin(),
            normal_draws: draws.origin(),
        };
        Self::checked(tables, Scalars::default(), &origins)
    }
}

fn read_products(sheet: &Sheet) -> Result<Vec<Product>, CashValueError> {
    let ids = sheet.map("spec_id", KEY, key)?;
    let premium_types = sheet.map(
        "premium_type",
        "\"SINGLE\" or \"LEVEL\"",
        |field| match field {
            "SINGLE" => Some(PremiumType::Single),
            "LEVEL" => Some(PremiumType::Level),
            _ => None,
        },
    )?;
    let has_charge = sheet.map("has_surr_charge", FLAG, flag)?;
    let charge_ids = sheet.map("surr_charge_id", "text", |field| Some(field.to_owned()))?;
    let loads = sheet.map("load_prem_rate", NUMBER, number)?;
    let whole_life = sheet.map("is_wl", FLAG, flag)?;
    let rows = ids.into_iter().zip(charge_ids).enumerate();
    let product = |(row, (id, charge_id)): (usize, (String, String))| Product {
        id,
        premium_type: premium_types[row],
        surrender_charge: has_charge[row].then_some(charge_id),
        premium_load: loads[row],
        is_whole_life: whole_life[row],
    };
    Ok(rows.map(product).collect())
}

fn read_mortality(sheet: &Sheet) -> Result<MortalityTable, CashValueError> {
    let ages: Vec<i32> = sheet.map("age", WHOLE, whole)?;
    let first_age = ages[0];
    for (row, &age) in ages.iter().enumerate() {
        if i64::from(age) != i64::from(first_age) + row as i64 {
            let expected = format!(
                "{}, the age after the row before",
                i64::from(first_age) + row as i64
            );
            return Err(sheet.origin().value(row, "age", age, expected));
        }
    }
    // Every other column is a policy year: one with another name would be missing among the rates.
    let names = || {
        sheet
            .header
            .iter()
            .filter(|name| *name != "age" && !name.is_empty())
    };
    let years = names().count().max(1);
    if let Some(stranger) = names().find(|name| !(0..years).any(|year| **name == year.to_string()))
    {
        return Err(sheet.unexpected_column(
            stranger,
            "\"age\", or a policy year \"0\", \"1\", ... without gaps",
        ));
    }
    let columns: Vec<Vec<f64>> = (0..years)
        .map(|year| sheet.map(&year.to_string(), "a probability from 0 to 1", number))
        .collect::<Result<_, _>>()?;
    let rates = (0..ages.len())
        .map(|row| columns.iter().map(|column| column[row]).collect())
        .collect();
    Ok(MortalityTable { first_age, rates })
}

fn read_charges(sheet: &Sheet) -> Result<Vec<SurrenderCharge>, CashValueError> {
    sheet.check_count("duration")?;
    let types = sheet
        .header
        .iter()
        .filter(|name| *name != "duration" && !name.is_empty());
    types
        .map(|id| {
            Ok(SurrenderCharge {
                id: id.clone(),
                rates: sheet.map(id, NUMBER, number)?,
            })
        })
        .collect()
}

fn read_spot_rates(sheet: &Sheet) -> Result<Vec<f64>, CashValueError> {
    sheet.check_count("year")?;
    sheet.map("zero_spot", NUMBER, number)
}

fn read_draws(sheet: &Sheet) -> Result<Vec<Scenario>, CashValueError> {
    let ids: Vec<u32> = sheet.map("scen_id", "a whole number of at least 0", whole)?;
    let months: Vec<usize> = sheet.map("t", "a whole number of at least 0", whole)?;
    let draws = sheet.map("std_norm_rand", NUMBER, number)?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut last = 0;
    for (row, id) in ids.into_iter().enumerate() {
        if scenarios.get(last).is_none_or(|scenario| scenario.id != id) {
            last = scenarios
                .iter()
                .position(|scenario| scenario.id == id)
                .unwrap_or_else(|| {
                    scenarios.push(Scenario {
                        id,
                        draws: Vec::new(),
                    });
                    scenarios.len() - 1
                });
        }
        let scenario = &mut scenarios[last];
        if months[row] != scenario.draws.len() {
            let expected = format!("{}, the next month of scenario {id}", scenario.draws.len());
            return Err(sheet.origin().value(row, "t", months[row], expected));
        }
        scenario.draws.push(draws[row]);
    }
    Ok(scenarios)
}

#[cfg(test)]
mod tests;
