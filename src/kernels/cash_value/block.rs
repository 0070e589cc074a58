//! The fast projection of a block of points: all months of a year for some of them, then for the next ones.

use super::group::{Group, LANES, NEVER};
use super::plan::{Plan, Policy};
use super::projection::PresentValues;
use super::step::{Closing, Month, Sums, step};
use super::totals::Row;

/// The most points of a block: enough for the work to outweigh a row of totals per month. (256 were 5 % slower, 128 15 %.)
pub(super) const BLOCK: usize = 512;

/// Months of points that make a block, if they are fewer points: a third of a millisecond. The first blocks would be twice the
/// average else, and the last worker to take one would keep all others waiting.
const MONTHS: usize = 250_000;

/// Months that some groups are projected before the next groups are.
const YEAR: usize = 12;

/// Groups that are projected together: their state and a year's totals stay in the innermost cache.
const PART: usize = 16;

/// How many points each block has, of a portfolio in the order of the months that they have ahead; a matter of the points alone.
pub(super) fn block_lens(plan: &Plan<'_>, order: &[usize]) -> Vec<usize> {
    let (mut lens, mut left) = (Vec::new(), order);
    while let Some(&first) = left.first() {
        let most = MONTHS / plan.months_ahead(first).max(1);
        let len = most
            .next_multiple_of(LANES)
            .clamp(LANES, BLOCK)
            .min(left.len());
        lens.push(len);
        left = &left[len..];
    }
    lens
}

/// Projects some points of a portfolio, writes their present values and returns the totals per month.
///
/// Points that follow each other should have as many months ahead, most first: eight form a group, which is dropped as a whole once
/// nobody is left in it.
///
/// Without `TOTALS` no row is made: the present values, whose bits do not depend on it, cost less then.
pub(super) fn project_block<const TOTALS: bool>(
    plan: &Plan<'_>,
    months: &[Month],
    points: &[usize],
    values: &mut [PresentValues],
) -> Vec<Row> {
    let Some(&start) = plan.months.discount.first() else {
        // Without months all values stay zero.
        return Vec::new();
    };
    let policy = |&point| plan.policy(point);
    let policies: Vec<(usize, Policy<'_>)> = points.iter().map(policy).enumerate().collect();
    let mut groups: Vec<Group<'_>> = policies
        .chunks(LANES)
        .map(|points| Group::new(points, start))
        .collect();
    // For each group the month of its next turn.
    let mut turns = vec![0; groups.len()];
    let longest = points.first().map_or(0, |&point| plan.months_ahead(point));
    let mut rows = Vec::with_capacity(if TOTALS { longest + YEAR } else { 0 });
    let mut closing = Closing::of(&groups);
    for (year, months) in months.chunks(YEAR).enumerate() {
        let first = year * YEAR;
        let mut of_year = [Row::default(); YEAR];
        let mut sums = [Sums::default(); YEAR];
        let parts = groups.chunks_mut(PART).zip(turns.chunks_mut(PART));
        for (groups, turns) in parts {
            project_part::<TOTALS>(plan, first, months, groups, turns, &mut sums, &mut of_year);
        }
        if TOTALS {
            for (row, sums) in of_year.iter_mut().zip(&sums).take(months.len()) {
                row.in_force = closing.policies;
                row.value = closing.value;
                closing = sums.close(row);
                rows.push(*row);
            }
        }
        // The first to end are the last.
        while turns.pop_if(|turn| *turn == NEVER).is_some() {
            if let Some(group) = groups.pop() {
                group.write(plan, values);
            }
        }
        if groups.is_empty() {
            break;
        }
    }
    for group in &groups {
        group.write(plan, values);
    }
    rows
}

/// Projects some groups through some months, of which `first` is the first.
fn project_part<const TOTALS: bool>(
    plan: &Plan<'_>,
    first: usize,
    months: &[Month],
    groups: &mut [Group<'_>],
    turns: &mut [usize],
    sums: &mut [Sums],
    rows: &mut [Row],
) {
    let mut at = 0;
    while at < months.len() {
        let t = first + at;
        let (mut next, mut live) = (first + months.len(), 0);
        for (i, (group, turn)) in groups.iter_mut().zip(turns.iter_mut()).enumerate() {
            if *turn == t {
                *turn = group.turn(plan, t, &mut rows[at]);
            }
            if *turn != NEVER {
                (next, live) = (next.min(*turn), i + 1);
            }
        }
        if live == 0 {
            return;
        }
        let until = next - first;
        step::<TOTALS>(
            &months[at..until],
            &mut groups[..live],
            &mut sums[at..until],
        );
        at = until;
    }
}

#[cfg(test)]
mod tests;
