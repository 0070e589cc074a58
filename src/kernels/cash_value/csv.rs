//! Reading tables and portfolios from CSV files (feature `csv`).

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::assumptions::{Assumptions, Origins};
use super::error::{CashValueError, Origin};
use super::portfolio::{Columns, Portfolio};
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
    /// | `mort_table.csv` | `age`, `0`, `1`, ...: policy year, the last one "and later" |
    /// | `surr_charge_table.csv` | `duration`, then one column per type of charge |
    /// | `disc_rate_ann.csv` | `year`, `zero_spot` |
    /// | `std_norm_rand.csv` | `scen_id`, `t`, `std_norm_rand` |
    ///
    /// The format is that of [`Portfolio::read_csv`]. Ages, durations, years and, within a scenario, months
    /// are consecutive and in order; all but ages start at 0.
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
    // Policy years: the columns whose name is a number.
    let years = sheet
        .header
        .iter()
        .filter(|name| name.parse::<u32>().is_ok())
        .count()
        .max(1);
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

const NUMBER: &str = "a finite number";
const WHOLE: &str = "a whole number";
const KEY: &str = "a name that is not empty";
const FLAG: &str = "\"True\" or \"False\"";

fn number(field: &str) -> Option<f64> {
    field.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A whole number, also one written as a float.
fn whole<T: TryFrom<i64>>(field: &str) -> Option<T> {
    let exact =
        |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    let value = field
        .parse::<i64>()
        .ok()
        .or_else(|| number(field).and_then(exact))?;
    T::try_from(value).ok()
}

fn key(field: &str) -> Option<String> {
    (!field.is_empty()).then(|| field.to_owned())
}

fn flag(field: &str) -> Option<bool> {
    match field {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

/// A CSV file taken apart: a header and rows with as many fields.
struct Sheet {
    path: PathBuf,
    /// Trimmed names.
    header: Vec<String>,
    rows: Vec<::csv::StringRecord>,
    /// Line of each row, counted from 1.
    lines: Vec<u64>,
}

impl Sheet {
    fn read(mut reader: impl Read, path: PathBuf) -> Result<Self, CashValueError> {
        let mut bytes = Vec::new();
        if let Err(source) = reader.read_to_end(&mut bytes) {
            return Err(CashValueError::Read { path, source });
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let valid = bytes[..valid]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(valid);
        if valid < bytes.len() {
            return Err(CashValueError::NotText {
                path,
                line: line_of(bytes, valid),
            });
        }
        match bytes.last() {
            None => {
                return Err(CashValueError::Empty {
                    table: path.display().to_string(),
                });
            }
            Some(b'\n' | b'\r') => {}
            Some(_) => {
                let line = line_of(bytes, bytes.len());
                return Err(CashValueError::Truncated { path, line });
            }
        }
        Self::parse(bytes, path)
    }

    fn parse(bytes: &[u8], path: PathBuf) -> Result<Self, CashValueError> {
        let mut parser = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(::csv::Trim::All)
            .from_reader(bytes);
        let mut sheet = Sheet {
            path,
            header: Vec::new(),
            rows: Vec::new(),
            lines: Vec::new(),
        };
        // Lines are counted here: the parser's own count takes blank lines and CR amiss.
        let (mut counted, mut line) = (0, 1);
        for record in parser.records() {
            let record = record.map_err(|error| CashValueError::Read {
                path: sheet.path.clone(),
                source: std::io::Error::other(error),
            })?;
            let start = record
                .position()
                .map_or(0, |position| position.byte() as usize);
            let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
            let start = start + bytes[start..].iter().take_while(blank).count();
            line += line_of(&bytes[counted..], start - counted) - 1;
            counted = start;
            if record.iter().all(str::is_empty) && record.len() == 1 {
                continue;
            }
            if sheet.header.is_empty() {
                sheet.header = record.iter().map(str::to_owned).collect();
                continue;
            }
            if record.len() != sheet.header.len() {
                let (found, expected) = (record.len(), sheet.header.len());
                return Err(CashValueError::FieldCount {
                    path: sheet.path,
                    line,
                    found,
                    expected,
                });
            }
            sheet.lines.push(line);
            sheet.rows.push(record);
        }
        sheet.check()?;
        Ok(sheet)
    }

    fn check(&self) -> Result<(), CashValueError> {
        let mut seen = HashSet::new();
        if let Some(name) = self
            .header
            .iter()
            .find(|name| !name.is_empty() && !seen.insert(*name))
        {
            let (path, column) = (self.path.clone(), name.clone());
            return Err(CashValueError::RepeatedColumn { path, column });
        }
        if self.rows.is_empty() {
            return Err(CashValueError::Empty {
                table: self.path.display().to_string(),
            });
        }
        // A stray quote joins lines into one field; in a column that is ignored nobody would notice.
        for (row, record) in self.rows.iter().enumerate() {
            if let Some(index) = record.iter().position(|field| field.contains(['\n', '\r'])) {
                let name = &self.header[index];
                let found = excerpt(&record[index]);
                return Err(self.origin().value(row, name, found, "a field on one line"));
            }
        }
        Ok(())
    }

    fn origin(&self) -> Origin {
        Origin::File {
            path: self.path.clone(),
            lines: self.lines.clone(),
        }
    }

    /// One column, each field converted.
    fn map<T>(
        &self,
        column: &str,
        expected: &str,
        convert: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, CashValueError> {
        let index = self
            .header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| {
                let (path, column) = (self.path.clone(), column.to_owned());
                CashValueError::MissingColumn { path, column }
            })?;
        let rows = self.rows.iter().enumerate();
        rows.map(|(row, record)| {
            convert(&record[index]).ok_or_else(|| {
                self.origin()
                    .value(row, column, excerpt(&record[index]), expected)
            })
        })
        .collect()
    }

    /// Checks that a column counts the rows from 0.
    fn check_count(&self, column: &str) -> Result<(), CashValueError> {
        let counts: Vec<i64> = self.map(column, WHOLE, whole)?;
        match (0..).zip(&counts).position(|(row, &count)| count != row) {
            None => Ok(()),
            Some(row) => Err(self
                .origin()
                .value(row, column, counts[row], format!("{row}"))),
        }
    }
}

/// The line, counted from 1, on which byte `end` stands; lines end in LF, CRLF or CR.
fn line_of(bytes: &[u8], end: usize) -> u64 {
    let breaks = (0..end).filter(|&i| match bytes[i] {
        b'\n' => true,
        b'\r' => bytes.get(i + 1) != Some(&b'\n'),
        _ => false,
    });
    breaks.count() as u64 + 1
}

/// The first characters of a field, so that a message stays one line.
fn excerpt(field: &str) -> String {
    const LONGEST: usize = 40;
    match field.char_indices().nth(LONGEST) {
        None => field.to_owned(),
        Some((end, _)) => format!("{}...", &field[..end]),
    }
}

#[cfg(test)]
mod tests;
