//! Portfolios: the points to project, checked.

use std::collections::HashMap;
use std::ops::Range;

use super::error::{CashValueError, Origin};

/// The shortest duration: the annual lapse rate would exceed 1 earlier than 45 years before issue.
const FIRST_DURATION: i32 = -540;

/// The points of a portfolio, one value per point in each column; [`Portfolio::new`] checks them.
///
/// One point stands for `policy_count` policies that are alike. Sums of money are per policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Label of the point; not used in the projection, and need not be unique.
    pub point_id: Vec<i64>,
    /// [`Product::id`](super::Product::id) of the product.
    pub spec_id: Vec<String>,
    /// Age at issue in years.
    pub age_at_entry: Vec<i32>,
    /// Term in years; not used for whole-life products. With 0 or less the point is past its term.
    pub policy_term: Vec<i32>,
    /// Number of policies; need not be whole.
    pub policy_count: Vec<f64>,
    /// Sum assured.
    pub sum_assured: Vec<f64>,
    /// Months since issue at time 0: positive in force, 0 issued at time 0, negative issued that many
    /// months later; at least -540.
    pub duration_mth: Vec<i32>,
    /// The single premium, or the premium of each month.
    pub premium_pp: Vec<f64>,
    /// Account value at time 0.
    pub av_pp_init: Vec<f64>,
}

/// A portfolio whose columns were checked; at least one point.
#[derive(Clone, Debug)]
pub struct Portfolio {
    point_ids: Vec<i64>,
    /// Different products, in the order of their first point.
    specs: Vec<Spec>,
    /// By point: index into `specs`.
    spec_of: Vec<u32>,
    /// The other columns, checked; `point_id` and `spec_id` are empty.
    pub(super) columns: Columns,
    pub(super) origin: Origin,
}

/// A product that points refer to.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) id: String,
    /// The first point that refers to it.
    pub(super) first_row: usize,
}

impl Portfolio {
    /// Checks the columns.
    ///
    /// # Errors
    ///
    /// [`CashValueError`] naming the row (counted from 0) and the column: columns of unequal length, no
    /// points, a negative age or policy count, a duration below -540 months, a number that is not finite.
    /// Whether the products exist is checked by the projection.
    pub fn new(mut columns: Columns) -> Result<Self, CashValueError> {
        let origin = Origin::memory("portfolio");
        check_lengths(&columns)?;
        check_values(&columns, 0..columns.point_id.len()).map_err(|wrong| wrong.at(&origin))?;
        let mut specs = Specs::default();
        for id in std::mem::take(&mut columns.spec_id) {
            specs.push(&id);
        }
        Self::checked(columns, specs, origin)
    }

    /// Of columns whose lengths and values were checked; those of the products are in `specs`.
    pub(super) fn checked(
        mut columns: Columns,
        specs: Specs,
        origin: Origin,
    ) -> Result<Self, CashValueError> {
        if columns.point_id.is_empty() {
            return Err(CashValueError::Empty {
                table: origin.name(),
            });
        }
        Ok(Portfolio {
            point_ids: std::mem::take(&mut columns.point_id),
            specs: specs.all,
            spec_of: specs.of_point,
            columns,
            origin,
        })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.point_ids.len()
    }

    /// Whether there are no points; never true, since an empty portfolio is refused.
    pub fn is_empty(&self) -> bool {
        self.point_ids.is_empty()
    }

    /// The labels, in portfolio order.
    pub fn point_ids(&self) -> &[i64] {
        &self.point_ids
    }

    pub(super) fn specs(&self) -> &[Spec] {
        &self.specs
    }

    pub(super) fn spec_of(&self, point: usize) -> usize {
        self.spec_of[point] as usize
    }
}

/// The products of points, each kept once.
#[derive(Debug, Default)]
pub(super) struct Specs {
    /// In the order of their first point.
    all: Vec<Spec>,
    /// By point: index into `all`.
    of_point: Vec<u32>,
    /// By name: index into `all`.
    index_of: HashMap<String, u32>,
}

impl Specs {
    /// Adds the product of the next point.
    pub(super) fn push(&mut self, id: &str) {
        let index = self.index_of.get(id).copied().unwrap_or_else(|| {
            let index = self.all.len() as u32;
            self.all.push(Spec {
                id: id.to_owned(),
                first_row: self.of_point.len(),
            });
            self.index_of.insert(id.to_owned(), index);
            index
        });
        self.of_point.push(index);
    }
}

fn check_lengths(columns: &Columns) -> Result<(), CashValueError> {
    let expected = columns.point_id.len();
    let lengths = [
        ("spec_id", columns.spec_id.len()),
        ("age_at_entry", columns.age_at_entry.len()),
        ("policy_term", columns.policy_term.len()),
        ("policy_count", columns.policy_count.len()),
        ("sum_assured", columns.sum_assured.len()),
        ("duration_mth", columns.duration_mth.len()),
        ("premium_pp", columns.premium_pp.len()),
        ("av_pp_init", columns.av_pp_init.len()),
    ];
    match lengths.iter().find(|&&(_, len)| len != expected) {
        None => Ok(()),
        Some(&(column, found)) => Err(CashValueError::ColumnLength {
            column,
            found,
            expected,
        }),
    }
}

/// A number outside its domain.
#[derive(Debug)]
pub(super) struct Wrong {
    row: usize,
    pub(super) column: &'static str,
    pub(super) found: String,
    pub(super) expected: &'static str,
}

impl Wrong {
    fn at(self, origin: &Origin) -> CashValueError {
        let place = origin.place(self.row);
        place.refused(self.column, self.found, self.expected)
    }
}

/// Checks the numbers of some rows.
pub(super) fn check_values(columns: &Columns, rows: Range<usize>) -> Result<(), Wrong> {
    let integers = |column: &'static str, values: &[i32], least: i32, expected: &'static str| {
        let wrong = values[rows.clone()].iter().position(|&value| value < least);
        let row = rows.start + wrong?;
        let found = values[row].to_string();
        Some(Wrong {
            row,
            column,
            found,
            expected,
        })
    };
    let numbers = |column: &'static str, values: &[f64], least: f64, expected: &'static str| {
        let is_good = |value: &f64| value.is_finite() && *value >= least;
        let wrong = values[rows.clone()]
            .iter()
            .position(|value| !is_good(value));
        let row = rows.start + wrong?;
        let found = format!("{:?}", values[row]);
        Some(Wrong {
            row,
            column,
            found,
            expected,
        })
    };
    let ages = &columns.age_at_entry;
    let durations = &columns.duration_mth;
    let wrong = integers("age_at_entry", ages, 0, "an age of at least 0")
        .or_else(|| {
            let expected = "at least -540 months";
            integers("duration_mth", durations, FIRST_DURATION, expected)
        })
        .or_else(|| {
            let expected = "a finite number of at least 0";
            numbers("policy_count", &columns.policy_count, 0.0, expected)
        })
        .or_else(|| {
            [
                ("sum_assured", &columns.sum_assured),
                ("premium_pp", &columns.premium_pp),
                ("av_pp_init", &columns.av_pp_init),
            ]
            .into_iter()
            .find_map(|(column, values)| numbers(column, values, f64::MIN, "a finite number"))
        });
    wrong.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
