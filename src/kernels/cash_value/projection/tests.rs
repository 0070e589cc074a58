use super::super::testing::{POINT, Point, both, flow};
use super::*;

#[test]
fn rows_and_columns_hold_the_same_numbers() {
    let projection = both(&[
        POINT,
        Point {
            spec: "D",
            premium: 1000.0,
            ..POINT
        },
    ]);
    let flows = projection.cash_flows();
    assert_eq!(flows.len(), projection.horizon());
    for month in [0, 1, 119, 120, 500, flows.len() - 1] {
        for (column, name) in MonthlyFlows::NAMES.iter().enumerate() {
            assert_eq!(
                flows.row(month)[column],
                flow(&projection, name)[month],
                "{name}"
            );
        }
        for (column, name) in MonthlyFlows::POLICY_NAMES.iter().enumerate() {
            assert_eq!(
                flows.policy_row(month)[column],
                flow(&projection, name)[month],
                "{name}"
            );
        }
    }
    assert_eq!(flows.column("premiums"), None);
}

#[test]
fn totals_add_up_the_points_in_order() {
    let projection = both(&[
        POINT,
        Point { age: 50, ..POINT },
        Point { term: 20, ..POINT },
    ]);
    let [a, b, c] = projection.present_values().try_into().unwrap();
    let sum = |of: fn(&PresentValues) -> f64| of(&a) + of(&b) + of(&c);
    let totals = projection.totals();
    assert_eq!(totals.premiums, sum(|x| x.premiums));
    assert_eq!(totals.net_cashflow, sum(|x| x.net_cashflow));
    assert_eq!(totals.to_array()[5], totals.commissions);
}

#[test]
#[should_panic(expected = "month 121 of 121")]
fn a_month_beyond_the_horizon_panics() {
    both(&[POINT]).cash_flows().policy_row(121);
}
