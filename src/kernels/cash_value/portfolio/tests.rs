use super::super::testing::{POINT, Point, columns, extended, shipped};
use super::super::{Assumptions, project, project_serial};
use super::*;

/// What is wrong with three points of which the second was changed.
fn refusal(change: impl Fn(&mut Columns)) -> String {
    let mut columns = columns(&[POINT; 3]);
    change(&mut columns);
    Portfolio::new(columns).unwrap_err().to_string()
}

#[test]
fn values_outside_their_domain_are_refused() {
    let count = "expected a finite number of at least 0";
    for (message, expected) in [
        (
            refusal(|c| c.policy_count[1] = -1.0),
            format!("portfolio: row 1, column \"policy_count\": found -1.0, {count}"),
        ),
        (
            refusal(|c| c.policy_count[1] = f64::NAN),
            format!("portfolio: row 1, column \"policy_count\": found NaN, {count}"),
        ),
        (
            refusal(|c| c.age_at_entry[1] = -1),
            "portfolio: row 1, column \"age_at_entry\": found -1, expected an age of at least 0"
                .into(),
        ),
        (
            refusal(|c| c.duration_mth[1] = -541),
            "portfolio: row 1, column \"duration_mth\": found -541, expected at least -540 months"
                .into(),
        ),
        (
            refusal(|c| c.premium_pp[1] = f64::INFINITY),
            "portfolio: row 1, column \"premium_pp\": found inf, expected a finite number".into(),
        ),
        (
            refusal(|c| c.sum_assured[1] = f64::NAN),
            "portfolio: row 1, column \"sum_assured\": found NaN, expected a finite number".into(),
        ),
        (
            refusal(|c| c.av_pp_init[1] = f64::NEG_INFINITY),
            "portfolio: row 1, column \"av_pp_init\": found -inf, expected a finite number".into(),
        ),
        (
            refusal(|c| c.premium_pp.truncate(2)),
            "column \"premium_pp\" has 2 values, expected 3 as in the first column".into(),
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn an_empty_portfolio_is_refused() {
    let error = Portfolio::new(Columns::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "portfolio: no rows, expected at least one"
    );
}

#[test]
fn a_portfolio_knows_its_points() {
    let portfolio = Portfolio::new(columns(&[POINT; 3])).unwrap();
    assert_eq!((portfolio.len(), portfolio.is_empty()), (3, false));
    assert_eq!(portfolio.point_ids(), [1, 2, 3]);
}

fn both_refuse(points: &[Point], assumptions: &Assumptions) -> String {
    let portfolio = Portfolio::new(columns(points)).unwrap();
    let serial = project_serial(&portfolio, assumptions)
        .unwrap_err()
        .to_string();
    let fast = project(&portfolio, assumptions).unwrap_err().to_string();
    assert_eq!(serial, fast);
    fast
}

#[test]
fn an_unknown_product_is_refused() {
    let points = [POINT, Point { spec: "E", ..POINT }];
    assert_eq!(
        both_refuse(&points, shipped()),
        "portfolio: row 1, column \"spec_id\": found \"E\", \
         expected a product of [\"A\", \"B\", \"C\", \"D\"]"
    );
}

#[test]
fn a_projection_beyond_the_tables_is_refused() {
    let at_the_end = Point {
        term: 150,
        duration: 0,
        ..POINT
    };
    let portfolio = Portfolio::new(columns(&[at_the_end])).unwrap();
    assert_eq!(project(&portfolio, shipped()).unwrap().horizon(), 1801);
    assert_eq!(
        both_refuse(
            &[
                POINT,
                Point {
                    duration: -1,
                    ..at_the_end
                }
            ],
            shipped()
        ),
        "portfolio: row 1, column \"policy_term\": found 150, which with duration_mth -1 makes 1802 months for point 2, \
         expected at most 1801, where the tables end (the last normal draw)"
    );
    let mut tables = shipped().tables().clone();
    tables.spot_rates.truncate(10);
    let short = Assumptions::new(tables, Default::default()).unwrap();
    assert_eq!(
        both_refuse(&[POINT], &short),
        "portfolio: row 0, column \"policy_term\": found 10, which with duration_mth 0 makes 121 months for point 1, \
         expected at most 120, where the tables end (the last spot rate)"
    );
}

#[test]
fn extreme_integers_do_not_overflow() {
    let endless = Point {
        term: i32::MAX,
        duration: -540,
        ..POINT
    };
    assert_eq!(
        both_refuse(&[endless], shipped()),
        "portfolio: row 0, column \"policy_term\": found 2147483647, which with duration_mth -540 makes 25769804305 months for point 1, \
         expected at most 1801, where the tables end (the last normal draw)"
    );
    let ancient = Point {
        spec: "C",
        age: i32::MAX,
        duration: i32::MAX,
        ..POINT
    };
    let undue = Point {
        term: i32::MIN,
        duration: i32::MAX,
        ..POINT
    };
    super::super::testing::both(&[POINT, ancient, undue]);
}

#[test]
fn results_that_overflow_are_refused() {
    let huge = Point {
        sum_assured: 1e308,
        premium: 1e308,
        ..POINT
    };
    let message = both_refuse(&[POINT, huge], extended());
    assert!(message.starts_with("portfolio: row 1: present value \"Premiums\" of point 2 is inf"));
    let large = Point {
        count: 1.0,
        premium: 1e308,
        ..POINT
    };
    let message = both_refuse(&[large; 2], extended());
    assert!(
        message.starts_with("total \"Premiums\" of month 0 is inf"),
        "{message}"
    );
}
