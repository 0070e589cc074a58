use super::super::testing::{assert_close, extended, shipped};
use super::*;

fn months(horizon: usize) -> Months {
    let (tables, scalars) = (shipped().tables(), shipped().scalars());
    Months::new(
        horizon,
        &tables.spot_rates,
        &shipped().selected().draws,
        scalars,
    )
    .unwrap()
}

#[test]
fn monthly_mortality_meets_the_worked_numbers() {
    let rates = shipped().rates();
    assert_close(rates.mortality(50, 0), 6.539677712014136e-05);
    assert_close(rates.mortality(51, 1), 7.645493358243716e-05);
}

#[test]
fn certain_death_within_a_year_is_certain_death_within_a_month() {
    assert_eq!(monthly(1.0), 1.0);
    assert_eq!(shipped().rates().mortality(112, 5), 1.0);
    assert!(shipped().rates().mortality(112, 4) < 1.0);
}

#[test]
fn mortality_is_zero_outside_the_table_and_flat_beyond_its_last_column() {
    let rates = shipped().rates();
    for (age, year) in [
        (17, 3),
        (121, 3),
        (i64::MIN / 2, 3),
        (i64::MAX / 2, 3),
        (40, -1),
    ] {
        assert_eq!(rates.mortality(age, year), 0.0, "age {age}, year {year}");
    }
    assert_eq!(rates.mortality(40, 5), rates.mortality(40, 90));
    assert!(rates.mortality(18, 0) > 0.0 && rates.mortality(120, 0) == 1.0);
}

#[test]
fn lapses_fall_to_two_per_cent_a_year_and_are_defined_from_year_minus_45() {
    let rates = shipped().rates();
    for (year, annual) in [(0, 0.1), (1, 0.08), (4, 0.02), (5, 0.02), (100, 0.02)] {
        let kept: f64 = 1.0 - rates.lapse(year);
        assert!(
            (kept.powi(12) - (1.0 - annual)).abs() < 1e-14,
            "year {year}"
        );
    }
    assert_eq!(rates.lapse(-45), 1.0);
    assert!((-45..0).all(|year| rates.lapse(year).is_finite()));
}

#[test]
fn the_surrender_charge_is_flat_beyond_its_last_year_and_zero_before_issue() {
    let rates = extended().rates();
    let index = |id| {
        extended()
            .tables()
            .products
            .iter()
            .position(|p| p.id == id)
            .unwrap()
    };
    let charged = rates.terms(index("D"));
    assert_eq!([charged.charge(0), charged.charge(1)], [0.05, 0.04]);
    assert_eq!(
        [charged.charge(-1), charged.charge(10), charged.charge(99)],
        [0.0; 3]
    );
    assert_eq!(rates.terms(index("A")).charge(0), 0.0);
}

#[test]
fn the_last_age_is_the_first_at_which_all_die() {
    assert_eq!(shipped().rates().last_age(), 115);
    let mut tables = shipped().tables().clone();
    tables.mortality.rates.truncate(20);
    assert_eq!(Rates::new(&tables).last_age(), 37);
}

#[test]
fn month_vectors_meet_the_reference() {
    let months = months(1141);
    for (t, discount, inflation, growth) in [
        (0, 1.0, 1.0, -0.0022075176209919167),
        (1, 1.0, 1.0008295381143462, -0.014535174042505594),
        (
            1139,
            0.10715482513762518,
            2.5714044720418388,
            -0.011000679122189938,
        ),
        (
            1140,
            0.10507614211324817,
            2.573537550058798,
            0.007300318294506836,
        ),
    ] {
        assert!((months.discount[t] - discount).abs() <= 1e-12 * discount);
        assert_close(months.inflation[t], inflation);
        assert!((months.growth[t] - growth).abs() <= 1e-14);
    }
    assert!(
        months.discount[..12]
            .iter()
            .all(|&discount| discount == 1.0)
    );
}

#[test]
fn a_vector_that_overflows_is_an_error() {
    let error = Months::new(2, &[0.0], &[0.0, 1e6], shipped().scalars()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "investment return of month 1 is inf, expected a finite number: the inputs are too large to \
         compute with"
    );
}

#[test]
fn products_share_the_charge_that_they_have() {
    let mut tables = extended().tables().clone();
    tables.surrender_charges[0].rates = vec![0.5; 100_000];
    for product in &mut tables.products {
        product.surrender_charge = Some(tables.surrender_charges[0].id.clone());
    }
    let rates = Rates::new(&tables);
    let charges = rates.terms.iter().map(|terms| &terms.charge);
    assert!(
        charges
            .into_iter()
            .all(|charge| Arc::ptr_eq(charge, &rates.terms[0].charge))
    );
    assert_eq!(rates.terms(3).charge(100_000), 0.5);
}
