use super::super::PremiumType;
use super::super::testing::shipped;
use super::*;

/// What is wrong with the shipped tables after a change.
fn refusal(change: impl Fn(&mut Tables)) -> String {
    let mut tables = shipped().tables().clone();
    change(&mut tables);
    Assumptions::new(tables, Scalars::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn the_shipped_tables_have_their_shapes() {
    let tables = shipped().tables();
    assert_eq!(
        (tables.mortality.first_age, tables.mortality.rates.len()),
        (18, 103)
    );
    assert!(tables.mortality.rates.iter().all(|row| row.len() == 6));
    assert_eq!(tables.spot_rates.len(), 151);
    let ids: Vec<u32> = tables
        .normal_draws
        .iter()
        .map(|scenario| scenario.id)
        .collect();
    assert_eq!(ids, (1..=10).collect::<Vec<_>>());
    assert!(
        tables
            .normal_draws
            .iter()
            .all(|scenario| scenario.draws.len() == 1801)
    );
    assert_eq!(tables.normal_draws[0].draws[0], -0.44330390652468);
    assert_eq!(tables.surrender_charges.len(), 3);
    let d = &tables.products[3];
    assert_eq!((d.id.as_str(), d.premium_type), ("D", PremiumType::Level));
    assert_eq!(d.surrender_charge.as_deref(), Some("type_3"));
    assert_eq!((d.premium_load, d.is_whole_life), (0.05, true));
    assert_eq!(tables.products[0].surrender_charge, None);
}

#[test]
fn values_outside_their_domain_are_refused() {
    let share = "expected a number from 0 to 1";
    for (message, expected) in [
        (
            refusal(|t| t.mortality.rates[2][3] = 1.5),
            format!("mortality: row 2, column \"3\": found 1.5, {share}"),
        ),
        (
            refusal(|t| t.mortality.rates[2][3] = f64::NAN),
            format!("mortality: row 2, column \"3\": found NaN, {share}"),
        ),
        (
            refusal(|t| t.surrender_charges[1].rates[4] = -0.1),
            format!("surrender_charges: row 4, column \"type_2\": found -0.1, {share}"),
        ),
        (
            refusal(|t| t.products[2].premium_load = f64::INFINITY),
            format!("products: row 2, column \"load_prem_rate\": found inf, {share}"),
        ),
        (
            refusal(|t| t.spot_rates[7] = -1.0),
            "spot_rates: row 7, column \"zero_spot\": found -1.0, \
             expected a finite number greater than -1"
                .into(),
        ),
        (
            refusal(|t| t.normal_draws[1].draws[9] = f64::NAN),
            "normal_draws: scenario 2: row 9, column \"std_norm_rand\": found NaN, \
             expected a finite number"
                .into(),
        ),
        (
            refusal(|t| t.mortality.first_age = -1),
            "mortality: row 0, column \"age\": found -1, expected an age of at least 0".into(),
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    for (message, expected) in [
        (
            refusal(|t| t.mortality.rates[5].truncate(2)),
            "mortality: row 5, column \"rates\": found 2, expected 6 rates as in the first row",
        ),
        (
            refusal(|t| t.products[3].id = "A".into()),
            "products: row 3, column \"spec_id\": found \"A\", \
             expected a product that is not yet in the table",
        ),
        (
            refusal(|t| t.products[1].surrender_charge = Some("type_9".into())),
            "products: row 1, column \"surr_charge_id\": found \"type_9\", \
             expected a surrender charge of [\"type_1\", \"type_2\", \"type_3\"]",
        ),
        (
            refusal(|t| t.surrender_charges[2].id = "type_1".into()),
            "surrender_charges: row 2, column \"id\": found \"type_1\", \
             expected a charge that is not yet in the table",
        ),
        (
            refusal(|t| t.normal_draws[4].id = 2),
            "normal_draws: row 4, column \"scen_id\": found 2, \
             expected a scenario that is not yet in the table",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn empty_tables_are_refused() {
    for (message, table) in [
        (refusal(|t| t.products.clear()), "products"),
        (refusal(|t| t.mortality.rates.clear()), "mortality"),
        (refusal(|t| t.mortality.rates = vec![vec![]]), "mortality"),
        (
            refusal(|t| t.surrender_charges[0].rates.clear()),
            "surrender_charges: type_1",
        ),
        (refusal(|t| t.spot_rates.clear()), "spot_rates"),
        (refusal(|t| t.normal_draws.clear()), "normal_draws"),
        (
            refusal(|t| t.normal_draws[0].draws.clear()),
            "normal_draws: scenario 1",
        ),
    ] {
        assert_eq!(message, format!("{table}: no rows, expected at least one"));
    }
}

#[test]
fn scalars_are_checked() {
    let with = |change: fn(&mut Scalars)| {
        let mut scalars = Scalars::default();
        change(&mut scalars);
        let alone = shipped()
            .clone()
            .with_scalars(scalars.clone())
            .unwrap_err()
            .to_string();
        let tables = shipped().tables().clone();
        assert_eq!(
            Assumptions::new(tables, scalars).unwrap_err().to_string(),
            alone
        );
        alone
    };
    assert_eq!(
        with(|s| s.coi_multiplier = f64::NAN),
        "scalar \"coi_multiplier\": found NaN, expected a finite number"
    );
    assert_eq!(
        with(|s| s.inflation_rate = -1.0),
        "scalar \"inflation_rate\": found -1, expected a finite number greater than -1"
    );
}

#[test]
fn the_first_scenario_is_number_1_or_else_the_lowest() {
    assert_eq!(shipped().scenario(), 1);
    let mut tables = shipped().tables().clone();
    tables.normal_draws.reverse();
    assert_eq!(
        Assumptions::new(tables.clone(), Scalars::default())
            .unwrap()
            .scenario(),
        1
    );
    tables
        .normal_draws
        .retain(|scenario| [7, 4, 9].contains(&scenario.id));
    let assumptions = Assumptions::new(tables, Scalars::default()).unwrap();
    assert_eq!(assumptions.scenario(), 4);
    let assumptions = assumptions.with_scenario(9).unwrap();
    assert_eq!(assumptions.scenario(), 9);
    let error = assumptions.with_scenario(1).unwrap_err().to_string();
    assert_eq!(
        error,
        "scenario 1 is not in the table of normal draws, expected one of [9, 7, 4]"
    );
}
