use std::sync::Mutex;

use super::super::testing::{POINT, Point, data, portfolio, shipped};
use super::*;

const POINTS: usize = 2600;

/// The first points of the large portfolio: six blocks, the last one not full.
fn large() -> Portfolio {
    let text = std::fs::read_to_string(data("model_points_10000.csv")).unwrap();
    let lines: String = text.split_inclusive('\n').take(1 + POINTS).collect();
    Portfolio::from_csv_reader(lines.as_bytes(), "large.csv").unwrap()
}

/// Every number of a projection.
fn bits(projection: &Projection) -> Vec<u64> {
    let values = projection
        .present_values()
        .iter()
        .flat_map(PresentValues::to_array);
    let months = 0..projection.horizon();
    let flows = projection.cash_flows();
    let rows = months.flat_map(|t| flows.row(t).into_iter().chain(flows.policy_row(t)));
    let totals = projection.totals().to_array();
    values.chain(rows).chain(totals).map(f64::to_bits).collect()
}

#[test]
fn bits_do_not_depend_on_workers_or_chunking() {
    let portfolio = large();
    let expected = bits(&project(&portfolio, shipped()).unwrap());
    for workers in [1, 2, 7] {
        let pool = Pool::new(workers);
        for chunking in [
            Chunking::serial(),
            Chunking::size(1),
            Chunking::size(7),
            Chunking::count(3),
            Chunking::auto(),
        ] {
            let projector = Projector::new(&portfolio, shipped())
                .pool(&pool)
                .chunking(chunking);
            assert!(
                bits(&projector.run().unwrap()) == expected,
                "{workers} workers, {chunking:?}"
            );
        }
    }
}

#[test]
fn progress_counts_every_point_once() {
    let portfolio = large();
    let reports = Mutex::new(Vec::new());
    let pool = Pool::new(2);
    let projector = Projector::new(&portfolio, shipped()).pool(&pool);
    projector
        .progress(|finished| reports.lock().unwrap().push(finished))
        .run()
        .unwrap();
    check_reports(reports, 1);
}

/// One report per block, each with another number, the last with the points of all runs.
fn check_reports(reports: Mutex<Vec<usize>>, runs: usize) {
    let mut reports = reports.into_inner().unwrap();
    reports.sort_unstable();
    assert!(reports.len() >= runs * POINTS.div_ceil(512));
    assert_eq!(reports.last(), Some(&(runs * POINTS)));
    assert!(reports.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn an_error_comes_before_any_progress() {
    let portfolio = large();
    let mut tables = shipped().tables().clone();
    tables.products.retain(|product| product.id != "D");
    let assumptions = Assumptions::new(tables, Default::default()).unwrap();
    let projector = Projector::new(&portfolio, &assumptions);
    let error = projector
        .progress(|_| panic!("nothing is to be computed"))
        .run()
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with(
            "large.csv: line 4, column \"spec_id\": found \"D\", \
             expected a product of [\"A\", \"B\", \"C\"]"
        ),
        "{message}"
    );
}

#[test]
fn present_values_alone_have_the_same_bits() {
    let portfolio = large();
    let with_totals = Projector::new(&portfolio, shipped()).run().unwrap();
    for workers in [1, 3] {
        let pool = Pool::new(workers);
        let alone = Projector::new(&portfolio, shipped()).pool(&pool);
        let alone = alone.present_values().unwrap();
        for (a, b) in with_totals.present_values().iter().zip(&alone) {
            assert_eq!(
                a.to_array().map(f64::to_bits),
                b.to_array().map(f64::to_bits)
            );
        }
    }
}

#[test]
fn several_scenarios_have_the_bits_of_one_run_each() {
    let portfolio = large();
    let alone = |id| {
        let assumptions = shipped().clone().with_scenario(id).unwrap();
        bits(&project(&portfolio, &assumptions).unwrap())
    };
    let expected: Vec<_> = (1..=10).map(alone).collect();
    assert!(
        expected.windows(2).all(|pair| pair[0] != pair[1]),
        "scenarios differ"
    );
    let check = |pool: &Pool, chunking: Chunking, scenarios: &[u32]| {
        let projector = Projector::new(&portfolio, shipped())
            .pool(pool)
            .chunking(chunking);
        let found = projector.run_scenarios(scenarios).unwrap();
        assert_eq!(found.len(), scenarios.len());
        for (projection, &id) in found.iter().zip(scenarios) {
            assert!(
                bits(projection) == expected[id as usize - 1],
                "scenario {id} of {scenarios:?}, {pool:?}, {chunking:?}"
            );
        }
    };
    let all: Vec<u32> = (1..=10).collect();
    for workers in [1, 2, 7] {
        let pool = Pool::new(workers);
        check(&pool, Chunking::size(1), &all);
        // Chunks that begin in one scenario and end in another.
        check(&pool, Chunking::size(7), &[3, 1, 3]);
        check(&pool, Chunking::count(2), &[10, 2, 7]);
        check(&pool, Chunking::serial(), &[5, 5]);
    }
}

#[test]
fn an_unknown_scenario_among_others_comes_before_any_progress() {
    let portfolio = large();
    let projector = Projector::new(&portfolio, shipped());
    let error = projector
        .progress(|_| panic!("nothing is to be computed"))
        .run_scenarios(&[1, 2, 11])
        .unwrap_err();
    let all: Vec<u32> = (1..=10).collect();
    assert!(
        matches!(&error, CashValueError::UnknownScenario { id: 11, known } if *known == all),
        "{error:?}"
    );
}

#[test]
fn what_overflows_under_one_of_several_scenarios_is_named_with_it() {
    let mut tables = shipped().tables().clone();
    let draw = |id: u32, draw: f64| Scenario {
        id,
        draws: [&[draw][..], &[0.0; 1800]].concat(),
    };
    // An exponent that is too large, and a return that the account is too large for.
    tables.normal_draws = vec![draw(3, 0.0), draw(5, 1e6), draw(8, 80_000.0)];
    let assumptions = Assumptions::new(tables, shipped().scalars().clone()).unwrap();
    let point = Point {
        premium: 1e60,
        ..POINT
    };
    let portfolio = portfolio(&[point]);
    let error = |scenarios: &[u32]| {
        let projector = Projector::new(&portfolio, &assumptions);
        projector.run_scenarios(scenarios).unwrap_err().to_string()
    };
    // The value itself is infinite or NaN.
    for (scenario, what) in [
        (5, "investment return of month 0"),
        (8, "portfolio: row 0: present value \"Death\" of point 1"),
    ] {
        for (scenarios, start) in [
            (&[scenario][..], format!("{what} is ")),
            (
                &[3, scenario],
                format!("{what} under scenario {scenario} is "),
            ),
        ] {
            let error = error(scenarios);
            assert!(error.starts_with(&start), "{error}");
        }
    }
}

#[test]
fn no_scenarios_give_no_projections() {
    let portfolio = large();
    let projector = Projector::new(&portfolio, shipped());
    let found = projector
        .progress(|_| panic!("nothing is to be computed"))
        .run_scenarios(&[])
        .unwrap();
    assert_eq!(found, []);
}

#[test]
fn progress_counts_the_points_of_all_scenarios() {
    let portfolio = large();
    let pool = Pool::new(2);
    let reports = Mutex::new(Vec::new());
    let projector = Projector::new(&portfolio, shipped()).pool(&pool);
    projector
        .progress(|finished| reports.lock().unwrap().push(finished))
        .run_scenarios(&[4, 9, 4])
        .unwrap();
    check_reports(reports, 3);
}
