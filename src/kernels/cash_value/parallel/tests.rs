use std::sync::Mutex;

use super::super::testing::{data, shipped};
use super::*;

const POINTS: usize = 2600;

/// The first points of the large portfolio: eleven blocks, the last one not full.
fn large() -> Portfolio {
    let text = std::fs::read_to_string(data("model_points_10000.csv")).unwrap();
    let lines: String = text.split_inclusive('\n').take(1 + POINTS).collect();
    Portfolio::from_csv_reader(lines.as_bytes(), "large.csv").unwrap()
}

#[test]
fn bits_do_not_depend_on_workers_or_chunking() {
    let portfolio = large();
    let expected = project(&portfolio, shipped()).unwrap();
    let bits = |projection: &Projection| -> Vec<u64> {
        let values = projection
            .present_values()
            .iter()
            .flat_map(PresentValues::to_array);
        let months = 0..projection.horizon();
        let flows = projection.cash_flows();
        let rows = months.flat_map(|t| flows.row(t).into_iter().chain(flows.policy_row(t)));
        let totals = projection.totals().to_array();
        values.chain(rows).chain(totals).map(f64::to_bits).collect()
    };
    let expected = bits(&expected);
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
    let mut reports = reports.into_inner().unwrap();
    reports.sort_unstable();
    assert_eq!(reports.len(), POINTS.div_ceil(BLOCK));
    assert_eq!(reports.last(), Some(&POINTS));
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
