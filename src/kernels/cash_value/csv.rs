//! Reading tables and portfolios from CSV files (feature `csv`).

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::assumptions::{Assumptions, Origins};
use super::error::CashValueError;
use super::portfolio::{Columns, Portfolio, Specs, check_values};
use super::sheet::{FLAG, KEY, NUMBER, Sheet, WHOLE, flag, key, number, whole};
use super::tables::{
    MortalityTable, PremiumType, Product, Scalars, Scenario, SurrenderCharge, Tables,
};
use crate::kernels::csv::CsvOptions;

/// What months and scenarios are, in words.
const COUNT: &str = "a whole number of at least 0";

impl Portfolio {
    /// Reads a portfolio from a CSV file.
    ///
    /// The header names the columns, in any order: `point_id`, `spec_id`, `age_at_entry`, `policy_term`,
    /// `policy_count`, `sum_assured`, `duration_mth`, `premium_pp`, `av_pp_init`; others are ignored.
    /// Text is UTF-8, with or without a byte-order mark; fields may be quoted and surrounded by spaces;
    /// lines end in LF, CRLF or CR, the last one included; blank lines are skipped. Whole numbers may
    /// be written as floats (`20.0`), as some programs do.
    ///
    /// The file is read row by row, and no more of it than [`CsvOptions`] allow.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the file, line, column, the value found and what was expected. It
    /// is the first one in the file: what comes after it is not read.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self, CashValueError> {
        Self::read_csv_with(path, &CsvOptions::new())
    }

    /// [`read_csv`](Self::read_csv) with other limits.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn read_csv_with(
        path: impl AsRef<Path>,
        options: &CsvOptions,
    ) -> Result<Self, CashValueError> {
        let path = path.as_ref();
        match options.open(path) {
            Ok(file) => Self::from_csv_reader_with(file, path, options),
            Err(fault) => Err(CashValueError::unreadable(path, fault)),
        }
    }

    /// Reads a portfolio from anything that yields CSV text; `name` stands for the file in messages.
    ///
    /// The format is that of [`read_csv`](Self::read_csv). A reader need not be buffered.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader(
        reader: impl Read,
        name: impl Into<PathBuf>,
    ) -> Result<Self, CashValueError> {
        Self::from_csv_reader_with(reader, name, &CsvOptions::new())
    }

    /// [`from_csv_reader`](Self::from_csv_reader) with other limits.
    ///
    /// # Errors
    ///
    /// As [`read_csv`](Self::read_csv).
    pub fn from_csv_reader_with(
        reader: impl Read,
        name: impl Into<PathBuf>,
        options: &CsvOptions,
    ) -> Result<Self, CashValueError> {
        let sheet = Sheet::open(reader, name.into(), options)?;
        let point_id = sheet.column("point_id")?;
        let spec_id = sheet.column("spec_id")?;
        let age_at_entry = sheet.column("age_at_entry")?;
        let policy_term = sheet.column("policy_term")?;
        let policy_count = sheet.column("policy_count")?;
        let sum_assured = sheet.column("sum_assured")?;
        let duration_mth = sheet.column("duration_mth")?;
        let premium_pp = sheet.column("premium_pp")?;
        let av_pp_init = sheet.column("av_pp_init")?;
        let (mut columns, mut specs) = (Columns::default(), Specs::default());
        sheet.each(|row, line| {
            let count = "a finite number of at least 0";
            columns.point_id.push(line.field(point_id, WHOLE, whole)?);
            specs.push(line.field(spec_id, KEY, key)?);
            columns
                .age_at_entry
                .push(line.field(age_at_entry, WHOLE, whole)?);
            columns
                .policy_term
                .push(line.field(policy_term, WHOLE, whole)?);
            columns
                .policy_count
                .push(line.field(policy_count, count, number)?);
            columns
                .sum_assured
                .push(line.field(sum_assured, NUMBER, number)?);
            columns
                .duration_mth
                .push(line.field(duration_mth, WHOLE, whole)?);
            columns
                .premium_pp
                .push(line.field(premium_pp, NUMBER, number)?);
            columns
                .av_pp_init
                .push(line.field(av_pp_init, NUMBER, number)?);
            check_values(&columns, row..row + 1).map_err(|wrong| {
                line.place()
                    .refused(wrong.column, wrong.found, wrong.expected)
            })
        })?;
        Self::checked(columns, specs, sheet.origin())
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
    /// The files are read row by row, and no more of each than [`CsvOptions`] allow.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the file, line, column, the value found and what was expected.
    pub fn read_dir(dir: impl AsRef<Path>) -> Result<Self, CashValueError> {
        Self::read_dir_with(dir, &CsvOptions::new())
    }

    /// [`read_dir`](Self::read_dir) with other limits, which hold for each file by itself.
    ///
    /// # Errors
    ///
    /// As [`read_dir`](Self::read_dir).
    pub fn read_dir_with(
        dir: impl AsRef<Path>,
        options: &CsvOptions,
    ) -> Result<Self, CashValueError> {
        let open = |name: &str| {
            let path = dir.as_ref().join(name);
            match options.open(&path) {
                Ok(file) => Sheet::open(file, path, options),
                Err(fault) => Err(CashValueError::unreadable(path, fault)),
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

fn read_products(sheet: &Sheet<'_>) -> Result<Vec<Product>, CashValueError> {
    let id = sheet.column("spec_id")?;
    let premium_type = sheet.column("premium_type")?;
    let has_charge = sheet.column("has_surr_charge")?;
    let charge_id = sheet.column("surr_charge_id")?;
    let load = sheet.column("load_prem_rate")?;
    let whole_life = sheet.column("is_wl")?;
    let types = "\"SINGLE\" or \"LEVEL\"";
    let mut products = Vec::new();
    sheet.each(|_, line| {
        let has_charge = line.field(has_charge, FLAG, flag)?;
        products.push(Product {
            id: line.field(id, KEY, key)?.to_owned(),
            premium_type: line.field(premium_type, types, |field| match field {
                "SINGLE" => Some(PremiumType::Single),
                "LEVEL" => Some(PremiumType::Level),
                _ => None,
            })?,
            surrender_charge: has_charge.then(|| line.text(charge_id).to_owned()),
            premium_load: line.field(load, NUMBER, number)?,
            is_whole_life: line.field(whole_life, FLAG, flag)?,
        });
        Ok(())
    })?;
    Ok(products)
}

fn read_mortality(sheet: &Sheet<'_>) -> Result<MortalityTable, CashValueError> {
    let age = sheet.column("age")?;
    let columns = years(sheet, age)?;
    let (mut first_age, mut rates) = (0, Vec::new());
    sheet.each(|row, line| {
        let found: i32 = line.field(age, WHOLE, whole)?;
        if row == 0 {
            first_age = found;
        }
        let next = i64::from(first_age) + row as i64;
        if i64::from(found) != next {
            let expected = format!("{next}, the age after the row before");
            return Err(line.number(age, found, expected));
        }
        let rate = |&column| line.field(column, "a probability from 0 to 1", number);
        rates.push(columns.iter().map(rate).collect::<Result<_, _>>()?);
        Ok(())
    })?;
    Ok(MortalityTable { first_age, rates })
}

/// The places of the columns of policy years, in the order of the years.
fn years(sheet: &Sheet<'_>, age: usize) -> Result<Vec<usize>, CashValueError> {
    // Every other column is a policy year: one with another name would be missing among the rates.
    let named = sheet.header.iter().enumerate();
    let named = named.filter(|&(column, name)| column != age && !name.is_empty());
    let named: Vec<(usize, &String)> = named.collect();
    if named.is_empty() {
        return Ok(vec![sheet.column("0")?]);
    }
    let mut columns = vec![age; named.len()];
    for &(column, name) in &named {
        // No name is there twice, so as many years below their number are all of them.
        let year = name.parse::<usize>().ok();
        match year.filter(|year| *year < named.len() && year.to_string() == *name) {
            Some(year) => columns[year] = column,
            None => {
                let expected = "\"age\", or a policy year \"0\", \"1\", ... without gaps";
                return Err(sheet.unexpected_column(name, expected));
            }
        }
    }
    Ok(columns)
}

fn read_charges(sheet: &Sheet<'_>) -> Result<Vec<SurrenderCharge>, CashValueError> {
    let duration = sheet.column("duration")?;
    let types = sheet.header.iter().enumerate();
    let types = types.filter(|&(column, name)| column != duration && !name.is_empty());
    let (columns, mut charges): (Vec<usize>, Vec<SurrenderCharge>) = types
        .map(|(column, id)| {
            let (id, rates) = (id.clone(), Vec::new());
            (column, SurrenderCharge { id, rates })
        })
        .unzip();
    sheet.each(|row, line| {
        line.check_count(duration, row)?;
        for (charge, &column) in charges.iter_mut().zip(&columns) {
            charge.rates.push(line.field(column, NUMBER, number)?);
        }
        Ok(())
    })?;
    Ok(charges)
}

fn read_spot_rates(sheet: &Sheet<'_>) -> Result<Vec<f64>, CashValueError> {
    let (year, rate) = (sheet.column("year")?, sheet.column("zero_spot")?);
    let mut rates = Vec::new();
    sheet.each(|row, line| {
        line.check_count(year, row)?;
        rates.push(line.field(rate, NUMBER, number)?);
        Ok(())
    })?;
    Ok(rates)
}

fn read_draws(sheet: &Sheet<'_>) -> Result<Vec<Scenario>, CashValueError> {
    let (scenario, month) = (sheet.column("scen_id")?, sheet.column("t")?);
    let draw = sheet.column("std_norm_rand")?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut index_of: HashMap<u32, usize> = HashMap::new();
    let mut last = 0;
    sheet.each(|_, line| {
        let id: u32 = line.field(scenario, COUNT, whole)?;
        let found: usize = line.field(month, COUNT, whole)?;
        // As a rule it is the scenario of the line before.
        if scenarios.get(last).is_none_or(|scenario| scenario.id != id) {
            last = *index_of.entry(id).or_insert(scenarios.len());
            if last == scenarios.len() {
                let draws = Vec::new();
                scenarios.push(Scenario { id, draws });
            }
        }
        let draws = &mut scenarios[last].draws;
        if found != draws.len() {
            let expected = format!("{}, the next month of scenario {id}", draws.len());
            return Err(line.number(month, found, expected));
        }
        draws.push(line.field(draw, NUMBER, number)?);
        Ok(())
    })?;
    Ok(scenarios)
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
