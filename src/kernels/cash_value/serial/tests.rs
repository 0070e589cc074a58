//! The worked numbers, and every behaviour of the model that looks odd; `both` compares the fast projection with
//! the serial one in each of these tests.

use super::super::testing::{
    POINT, Point, assert_close, both, compare, data, extended, flow, portfolio, shipped,
};
use super::super::{MonthlyFlows, project};
use super::*;

/// Point 4 of the small portfolio.
const WORKED: Point = Point {
    spec: "D",
    age: 50,
    term: 9999,
    premium: 1000.0,
    sum_assured: 500_000.0,
    ..POINT
};

#[test]
fn the_worked_numbers_of_the_reference_are_met() {
    let projection = both(&[WORKED]);
    #[rustfmt::skip]
    let expected: [(&str, [f64; 3]); 10] = [
        ("Premiums", [100000.0, 99119.35639413664, 89929.39687899973]),
        ("Commissions", [5000.0, 4955.967819706832, 4496.469843949987]),
        ("Death", [3269.838856007068, 3241.0432291996062, 3437.7730327462777]),
        ("Surrender", [757.5730729625697, 1490.32167168388, 7141.3857919248]),
        ("Expenses", [504166.6666666667, 4133.3991532556265, 3784.5287853245723]),
        ("Investment Income", [-200.72669631962683, -2616.1633553814318, 53.47105958912465]),
        ("Change in AV", [90326.70636823642, 86261.11103062038, 73375.37166880525]),
        ("Net Cashflow", [-503721.5116601924, -3578.649865711108, -2252.6611841620324]),
        ("pols_death", [0.006539677712014136, 0.0064820864583992124, 0.0068755460654925556]),
        ("pols_lapse", [0.8741039281513446, 0.8664061877994793, 0.6226579446106538]),
    ];
    for (name, values) in expected {
        for (month, value) in [0, 1, 12].into_iter().zip(values) {
            assert_close(flow(&projection, name)[month], value);
        }
    }
    assert_close(flow(&projection, "pols_if")[12], 89.92939687899973);
    assert_close(
        flow(&projection, "av_bef_mat")[1],
        911.2923010623953 * 99.11935639413664,
    );
    assert_close(
        flow(&projection, "maint_fee")[0],
        0.7916666666666667 * 100.0,
    );
    assert_close(flow(&projection, "coi")[0], 35.899887783987204 * 100.0);
    assert_close(
        projection.present_values()[0].net_cashflow,
        2486796.8892690185,
    );
    assert_eq!(projection.horizon(), 12 * (115 - 50) + 1);
}

/// The checks of the reference model over all months: the roll-forward of the accounts, and the margins.
fn checks(projection: &Projection) -> [bool; 2] {
    let flow = |name| flow(projection, name);
    let is_close =
        |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-5 * b.abs() + 1e-9 * scale + 1e-6;
    let value = flow("av_bef_mat");
    // claims_from_av of a death is the death benefit less what the insurer adds.
    let rolls = |t: usize| {
        let paid_over = flow("coi")[t] - flow("margin_mortality")[t];
        let claims = flow("Death")[t] - paid_over
            + flow("Surrender")[t]
            + flow("surr_charge")[t]
            + flow("Maturity")[t];
        let rolled = value[t] + flow("prem_to_av")[t] - flow("maint_fee")[t] - flow("coi")[t]
            + flow("Investment Income")[t]
            - claims;
        is_close(value[t + 1], rolled, value[t].abs())
    };
    let margins = |t: usize| {
        let margin = flow("margin_expense")[t] + flow("margin_mortality")[t];
        is_close(
            flow("Net Cashflow")[t],
            margin,
            value[t].abs() + flow("Premiums")[t],
        )
    };
    let months = projection.horizon();
    [(0..months - 1).all(rolls), (0..months).all(margins)]
}

#[test]
fn accounts_roll_forward_and_margins_add_up_in_the_small_portfolio() {
    let portfolio = Portfolio::read_csv(data("model_points_small.csv")).unwrap();
    assert_eq!(
        checks(&project(&portfolio, shipped()).unwrap()),
        [true, true]
    );
    assert_eq!(
        checks(&project_serial(&portfolio, shipped()).unwrap()),
        [true, true]
    );
}

#[test]
fn accounts_do_not_roll_forward_in_the_mixed_portfolio_as_in_the_reference() {
    let portfolio = Portfolio::read_csv(data("model_points_mixed200.csv")).unwrap();
    assert_eq!(
        checks(&project(&portfolio, shipped()).unwrap()),
        [false, false]
    );
}

#[test]
fn the_present_value_of_the_net_flows_is_the_net_present_value() {
    let points = [
        WORKED,
        Point {
            duration: -30,
            ..WORKED
        },
        Point {
            duration: 50,
            ..POINT
        },
    ];
    let projection = both(&points);
    let plan_portfolio = portfolio(&points);
    let plan = Plan::new(&plan_portfolio, extended(), extended().selected()).unwrap();
    let flows = flow(&projection, "Net Cashflow")
        .iter()
        .zip(&plan.months.discount);
    let sum: f64 = flows.map(|(net, discount)| net * discount).sum();
    let totals = projection.totals();
    assert!((sum - totals.net_cashflow).abs() <= 1e-12 * totals.premiums);
}

#[test]
fn a_level_premium_feeds_the_account_before_issue() {
    let future = both(&[Point {
        duration: -3,
        ..WORKED
    }]);
    assert_eq!(flow(&future, "Premiums")[..3], [0.0; 3]);
    assert_eq!(flow(&future, "prem_to_av")[..3], [0.0; 3]);
    assert_eq!(
        flow(&future, "pols_new_biz")[..5],
        [0.0, 0.0, 0.0, 100.0, 0.0]
    );
    // The fee is a share of an account with four premiums in it, three of which nobody paid.
    let fee = flow(&future, "maint_fee")[3];
    assert!(fee > 3.8 * flow(&both(&[WORKED]), "maint_fee")[0]);
    assert_eq!(checks(&future), [false, false]);

    let single = both(&[Point {
        duration: -3,
        ..POINT
    }]);
    assert_eq!(
        flow(&single, "maint_fee")[3],
        100.0 * 450_000.0 * (0.01 / 12.0)
    );
    assert_eq!(checks(&single), [true, true]);
}

#[test]
fn whole_life_ends_before_it_matures() {
    let projection = both(&[Point { age: 20, ..WORKED }]);
    assert_eq!(projection.horizon(), 1141);
    let in_force = flow(&projection, "pols_if");
    assert!(in_force[1104] > 0.0);
    assert!(in_force[1105..].iter().all(|&policies| policies == 0.0));
    assert_eq!(projection.present_values()[0].maturity, 0.0);
}

#[test]
fn whole_life_issued_in_old_age_may_mature() {
    let projection = both(&[Point { age: 113, ..WORKED }]);
    assert_eq!(projection.horizon(), 25);
    assert!(flow(&projection, "pols_maturity")[24] > 0.0);
    assert!(projection.present_values()[0].maturity != 0.0);
}

#[test]
fn a_point_past_its_term_depends_on_the_other_points() {
    let past = Point {
        duration: 121,
        account: 400_000.0,
        ..POINT
    };
    let alone = both(&[past]);
    assert_eq!(alone.horizon(), 0);
    assert_eq!(alone.present_values(), [PresentValues::default()]);
    assert!(alone.cash_flows().is_empty());
    let short = both(&[past, Point { term: 1, ..POINT }]);
    let long = both(&[past, Point { term: 5, ..POINT }]);
    let of = |projection: &Projection| projection.present_values()[0].surrender;
    assert!(0.0 < of(&short) && of(&short) < of(&long));
    assert_eq!(long.present_values()[0].maturity, 0.0);
}

#[test]
fn a_point_at_the_end_of_its_term_is_paid_its_account() {
    let projection = both(&[Point {
        duration: 120,
        account: 400_000.0,
        ..POINT
    }]);
    assert_eq!(projection.horizon(), 1);
    let values = projection.present_values()[0];
    assert_eq!((values.maturity, values.surrender), (40_000_000.0, 0.0));
    assert_eq!(values.change_in_av, -40_000_000.0);
    assert_eq!(values.net_cashflow, 0.0);
}

#[test]
fn a_term_of_nothing_never_matures() {
    let projection = both(&[Point { term: 0, ..POINT }, Point { term: 2, ..POINT }]);
    let values = projection.present_values();
    assert_eq!(values[0].maturity, 0.0);
    assert!(values[0].surrender > 0.0 && values[1].maturity > 0.0);
}

#[test]
fn whole_life_beyond_the_last_age_is_projected_as_past_its_term() {
    let old = Point { age: 116, ..WORKED };
    let projection = both(&[
        old,
        Point {
            age: 121,
            account: 1e5,
            ..WORKED
        },
        POINT,
    ]);
    assert_eq!(projection.horizon(), 121);
    let values = projection.present_values();
    // At 116 all die in the first month; nobody dies at 121, which is beyond the table.
    assert!(values[0].death > 0.0 && values[0].surrender == 0.0);
    assert!(values[1].death == 0.0 && values[1].surrender != 0.0);
}

#[test]
fn accounts_go_negative_and_are_paid_so() {
    let projection = both(&[Point {
        premium: 0.0,
        ..WORKED
    }]);
    let value = flow(&projection, "av_bef_mat");
    assert_eq!(value[0], 0.0);
    assert!(value[1..100].iter().all(|&value| value < 0.0));
    assert!(projection.present_values()[0].surrender < 0.0);
    // More than the sum assured is at risk.
    assert!(flow(&projection, "coi")[100] > 0.0);
    assert!(flow(&projection, "maint_fee")[100] < 0.0);
}

#[test]
fn the_initial_account_of_new_business_is_credited_but_not_in_force() {
    let projection = both(&[Point {
        account: 1000.0,
        ..WORKED
    }]);
    assert_eq!(flow(&projection, "av_bef_mat")[0], 0.0);
    let next = flow(&projection, "av_bef_mat")[1];
    assert_eq!(flow(&projection, "Change in AV")[0], next);
    assert!(next > flow(&both(&[WORKED]), "av_bef_mat")[1] + 90_000.0);
    assert!(!checks(&projection)[1]);
}

#[test]
fn only_new_business_has_acquisition_expenses() {
    let upkeep = 500.0 / 12.0 * 100.0;
    let new = both(&[POINT]);
    assert_close(flow(&new, "Expenses")[0], 5000.0 * 100.0 + upkeep);
    assert_eq!(flow(&new, "pols_if")[0], 0.0);
    let old = both(&[Point {
        duration: 1,
        account: 450_000.0,
        ..POINT
    }]);
    assert_close(flow(&old, "Expenses")[0], upkeep);
    assert_eq!(flow(&old, "pols_if")[0], 100.0);
    let values = old.present_values()[0];
    assert_eq!((values.premiums, values.commissions), (0.0, 0.0));
}

#[test]
fn nobody_dies_outside_the_mortality_table_but_policies_lapse() {
    let projection = both(&[Point { age: 10, ..POINT }]);
    let deaths = flow(&projection, "pols_death");
    assert_eq!(deaths[..96], [0.0; 96]);
    assert_eq!(flow(&projection, "coi")[..96], [0.0; 96]);
    assert!(deaths[96] > 0.0);
    assert!(
        flow(&projection, "pols_lapse")[..120]
            .iter()
            .all(|&lapses| lapses > 0.0)
    );
}

#[test]
fn commissions_are_paid_on_every_premium() {
    let projection = both(&[WORKED]);
    let values = projection.present_values()[0];
    assert_close(values.commissions, 0.05 * values.premiums);
    assert!(flow(&projection, "Commissions")[500] > 0.0);
}

#[test]
fn the_earliest_duration_is_projected() {
    let projection = both(&[
        Point {
            duration: -540,
            ..WORKED
        },
        Point {
            duration: -540,
            ..POINT
        },
    ]);
    assert_eq!(flow(&projection, "pols_new_biz")[540], 200.0);
    assert_eq!(flow(&projection, "pols_if")[540], 0.0);
}

#[test]
fn fractions_of_policies_scale_every_result() {
    let whole = both(&[WORKED]).present_values()[0].to_array();
    let half = both(&[Point {
        count: 50.0,
        ..WORKED
    }])
    .present_values()[0]
        .to_array();
    let tiny = both(&[Point {
        count: 0.5,
        ..WORKED
    }])
    .present_values()[0]
        .to_array();
    for ((whole, half), tiny) in whole.into_iter().zip(half).zip(tiny) {
        assert_eq!(whole, 2.0 * half);
        assert!((whole - 200.0 * tiny).abs() <= 1e-9 * whole.abs());
    }
}

#[test]
fn points_without_policies_have_no_flows() {
    let projection = both(&[Point {
        count: 0.0,
        ..POINT
    }]);
    assert_eq!(projection.horizon(), 121);
    assert_eq!(projection.present_values(), [PresentValues::default()]);
    for name in MonthlyFlows::NAMES
        .iter()
        .chain(&MonthlyFlows::POLICY_NAMES)
    {
        assert!(
            flow(&projection, name).iter().all(|&flow| flow == 0.0),
            "{name}"
        );
    }
}

#[test]
fn other_scalars_are_used_by_both_projections() {
    let scalars = crate::kernels::cash_value::Scalars {
        acquisition_expense: 100.0,
        maintenance_expense: 70.0,
        inflation_rate: 0.04,
        maintenance_fee_rate: 0.002,
        coi_multiplier: 1.7,
        commission_rate: 0.2,
        return_drift: 0.05,
        return_volatility: 0.1,
    };
    let points = [
        WORKED,
        Point {
            duration: 17,
            account: 4e5,
            ..POINT
        },
    ];
    let portfolio = portfolio(&points);
    let assumptions = extended().clone().with_scalars(scalars).unwrap();
    let serial = project_serial(&portfolio, &assumptions).unwrap();
    compare(&project(&portfolio, &assumptions).unwrap(), &serial).unwrap();
    assert_close(flow(&serial, "Commissions")[0], 0.2 * 100_000.0);
    assert_close(
        flow(&serial, "Expenses")[0],
        100.0 * 100.0 + 200.0 * 70.0 / 12.0,
    );
}
