//! Totals per month, added up in an order that depends on the number of blocks alone.

use super::projection::COLUMNS;
use super::rates::Months;
use super::tables::Scalars;

/// What the fast projection adds up in each month; every other column follows from these.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// Policies, and the accounts in force, at the start of the month.
    pub(super) in_force: f64,
    pub(super) value: f64,
    pub(super) matured: f64,
    pub(super) maturity: f64,
    pub(super) issued: f64,
    /// The policies that are charged for the month: after maturities and issues.
    pub(super) policies: f64,
    pub(super) dying: f64,
    pub(super) lapsing: f64,
    pub(super) premiums: f64,
    pub(super) to_account: f64,
    pub(super) death: f64,
    /// The part of the death benefits that the accounts of the dead pay.
    pub(super) death_from_account: f64,
    pub(super) surrender: f64,
    pub(super) charge: f64,
    pub(super) income: f64,
    pub(super) change: f64,
    /// Accounts in force after the premium.
    pub(super) funded: f64,
    pub(super) coi: f64,
}

impl Row {
    fn add(&mut self, other: &Row) {
        self.in_force += other.in_force;
        self.value += other.value;
        self.matured += other.matured;
        self.maturity += other.maturity;
        self.issued += other.issued;
        self.policies += other.policies;
        self.dying += other.dying;
        self.lapsing += other.lapsing;
        self.premiums += other.premiums;
        self.to_account += other.to_account;
        self.death += other.death;
        self.death_from_account += other.death_from_account;
        self.surrender += other.surrender;
        self.charge += other.charge;
        self.income += other.income;
        self.change += other.change;
        self.funded += other.funded;
        self.coi += other.coi;
    }

    /// All columns of a month, in the order of `MonthlyFlows::NAMES` and `POLICY_NAMES`.
    fn columns(&self, inflation: f64, scalars: &Scalars) -> [f64; COLUMNS] {
        let claims = self.death + self.surrender + self.maturity;
        let upkeep = scalars.maintenance_expense / 12.0 * inflation;
        let expenses = scalars.acquisition_expense * self.issued + self.policies * upkeep;
        let commissions = scalars.commission_rate * self.premiums;
        let net = self.premiums + self.income - claims - expenses - commissions - self.change;
        let fee = scalars.maintenance_fee_rate * self.funded;
        let loading = self.premiums - self.to_account;
        [
            self.premiums,
            claims,
            expenses,
            commissions,
            net,
            self.death,
            self.surrender,
            self.maturity,
            self.income,
            self.change,
            self.value,
            self.charge,
            fee,
            self.coi,
            self.to_account,
            loading + self.charge + fee - commissions - expenses,
            self.coi - (self.death - self.death_from_account),
            self.in_force,
            self.matured,
            self.issued,
            self.dying,
            self.lapsing,
        ]
    }
}

/// The totals of a run of neighbouring blocks, such that joining runs is exactly associative.
///
/// Floating-point addition is not: the same blocks grouped otherwise would give other bits. So a run is not
/// one sum but the few sums of its largest aligned pieces: `2^k` blocks from a multiple of `2^k` on. A
/// piece is only ever the sum of its two halves, whoever joins them and when; the tree is thus fixed by
/// the number of blocks.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// First block, a multiple of `len`.
    first: usize,
    /// Number of blocks, a power of two.
    len: usize,
    /// One per month, up to the last month in which anybody is left.
    rows: Vec<Row>,
}

impl Totals {
    pub(super) fn of_block(block: usize, rows: Vec<Row>) -> Self {
        Totals {
            pieces: vec![Piece {
                first: block,
                len: 1,
                rows,
            }],
        }
    }

    /// Joins two runs; `next` begins with the block after the last one of `self`.
    pub(super) fn join(mut self, next: Totals) -> Totals {
        for piece in next.pieces {
            self.push(piece);
        }
        self
    }

    fn push(&mut self, mut piece: Piece) {
        while let Some(left) = self.pieces.pop_if(|left| left.is_sibling(&piece)) {
            piece = left.merge(piece);
        }
        self.pieces.push(piece);
    }

    /// The columns of all months.
    pub(super) fn finish(self, months: &Months, scalars: &Scalars) -> Vec<[f64; COLUMNS]> {
        let sum = self
            .pieces
            .into_iter()
            .rev()
            .reduce(|right, left| left.merge(right));
        let mut rows = sum.map_or_else(Vec::new, |piece| piece.rows);
        rows.resize(months.horizon(), Row::default());
        rows.iter()
            .zip(&months.inflation)
            .map(|(row, &f)| row.columns(f, scalars))
            .collect()
    }
}

impl Piece {
    /// Whether the two are the halves of a larger aligned piece.
    fn is_sibling(&self, next: &Piece) -> bool {
        self.len == next.len
            && self.first + self.len == next.first
            && self.first.is_multiple_of(2 * self.len)
    }

    /// Adds up two neighbours; sums have the same bits in either order of the operands.
    fn merge(self, next: Piece) -> Piece {
        let (mut long, short) = match self.rows.len() >= next.rows.len() {
            true => (self.rows, next.rows),
            false => (next.rows, self.rows),
        };
        for (row, other) in long.iter_mut().zip(&short) {
            row.add(other);
        }
        Piece {
            first: self.first,
            len: self.len + next.len,
            rows: long,
        }
    }
}

#[cfg(test)]
mod tests;
