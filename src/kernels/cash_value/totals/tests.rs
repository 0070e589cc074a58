use proptest::prelude::*;

use super::*;

/// A row whose sums depend on the order of addition.
fn rows(block: usize) -> Vec<Row> {
    let value = 1.0 / (block as f64 + 3.0);
    let row = Row {
        premiums: value,
        coi: value * 1e9,
        ..Row::default()
    };
    vec![row; 1 + block % 3]
}

fn joined(first: usize, end: usize, cuts: &[usize]) -> Totals {
    if end - first <= 1 {
        return (first..end).fold(Totals::default(), |_, block| {
            Totals::of_block(block, rows(block))
        });
    }
    let (cut, rest) = cuts
        .split_first()
        .map_or((0, cuts), |(&cut, rest)| (cut, rest));
    let middle = first + 1 + cut % (end - first - 1);
    let (left, right) = rest.split_at(rest.len() / 2);
    joined(first, middle, left).join(joined(middle, end, right))
}

fn sums(totals: Totals) -> Vec<Row> {
    let sum = totals
        .pieces
        .into_iter()
        .rev()
        .reduce(|right, left| left.merge(right));
    sum.map_or_else(Vec::new, |piece| piece.rows)
}

proptest! {
    #[test]
    fn bits_do_not_depend_on_how_runs_are_joined(
        len in 0_usize..70,
        cuts in prop::collection::vec(0_usize..1000, 0..70),
    ) {
        let one_by_one = (0..len).fold(Totals::default(), |run, block| {
            run.join(Totals::of_block(block, rows(block)))
        });
        prop_assert_eq!(sums(joined(0, len, &cuts)), sums(one_by_one));
    }
}

#[test]
fn a_run_keeps_few_sums() {
    let run = (0..1000).fold(Totals::default(), |run, block| {
        run.join(Totals::of_block(block, rows(block)))
    });
    let lens: Vec<usize> = run.pieces.iter().map(|piece| piece.len).collect();
    assert_eq!(lens, [512, 256, 128, 64, 32, 8]);
}

#[test]
fn months_that_only_one_block_reaches_are_kept() {
    for (left, right) in [(1, 3), (3, 1)] {
        let row = Row {
            premiums: 1.0,
            ..Row::default()
        };
        let run = Totals::of_block(0, vec![row; left]).join(Totals::of_block(1, vec![row; right]));
        let premiums: Vec<f64> = sums(run).iter().map(|row| row.premiums).collect();
        assert_eq!(premiums, [2.0, 1.0, 1.0]);
    }
}
