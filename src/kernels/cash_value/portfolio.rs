//! Portfolios: the points to project, checked.

use std::collections::HashMap;

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
    pub fn new(columns: Columns) -> Result<Self, CashValueError> {
        Self::checked(columns, Origin::memory("portfolio"))
    }

    pub(super) fn checked(mut columns: Columns, origin: Origin) -> Result<Self, CashValueError> {
        check_columns(&columns, &origin)?;
        let mut specs: Vec<Spec> = Vec::new();
        let mut index_of: HashMap<&str, u32> = HashMap::new();
        let mut spec_of = Vec::with_capacity(columns.spec_id.len());
        for (row, id) in columns.spec_id.iter().enumerate() {
            spec_of.push(*index_of.entry(id).or_insert_with(|| {
                specs.push(Spec {
                    id: id.clone(),
                    first_row: row,
                });
                (specs.len() - 1) as u32
            }));
        }
        let point_ids = std::mem::take(&mut columns.point_id);
        columns.spec_id = Vec::new();
        Ok(Portfolio {
            point_ids,
            specs,
            spec_of,
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

fn check_columns(columns: &Columns, origin: &Origin) -> Result<(), CashValueError> {
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
    if let Some(&(column, found)) = lengths.iter().find(|&&(_, len)| len != expected) {
        return Err(CashValueError::ColumnLength {
            column,
            found,
            expected,
        });
    }
    if expected == 0 {
        return Err(CashValueError::Empty {
            table: origin.name(),
        });
    }
    if let Some(row) = columns.age_at_entry.iter().position(|&age| age < 0) {
        let found = columns.age_at_entry[row];
        return Err(origin.value(row, "age_at_entry", found, "an age of at least 0"));
    }
    if let Some(row) = columns
        .duration_mth
        .iter()
        .position(|&months| months < FIRST_DURATION)
    {
        let found = columns.duration_mth[row];
        return Err(origin.value(row, "duration_mth", found, "at least -540 months"));
    }
    let counts = &columns.policy_count;
    if let Some(row) = counts
        .iter()
        .position(|count| !(count.is_finite() && *count >= 0.0))
    {
        let expected = "a finite number of at least 0";
        return Err(origin.value(row, "policy_count", counts[row], expected));
    }
    let sums = [
        ("sum_assured", &columns.sum_assured),
        ("premium_pp", &columns.premium_pp),
        ("av_pp_init", &columns.av_pp_init),
    ];
    for (column, values) in sums {
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(origin.value(row, column, values[row], "a finite number"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
