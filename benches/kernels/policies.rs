//! Cash values: the shipped portfolio, with and without the totals of each month, and under ten scenarios in one run.

use std::path::Path;
use std::rc::Rc;

use scipar::Chunking;
use scipar::kernels::cash_value::{
    Assumptions, Portfolio, PresentValues, Projector, project_serial,
};

use super::{Case, Contender, Size, digest};

pub(super) fn cases(size: Size) -> Vec<Case> {
    let points = match size {
        Size::Full | Size::Quick => "model_points_10000.csv",
        Size::Tiny => "model_points_mixed200.csv",
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/cash_value");
    let portfolio = Portfolio::read_csv(data.join(points)).expect("shipped data");
    let assumptions = Assumptions::read_dir(data).expect("shipped data");
    // Points times months, as if each were projected to the last month of the longest.
    let horizon = project_serial(&portfolio, &assumptions)
        .expect("shipped data")
        .horizon();
    let months = portfolio.len() as f64 * horizon as f64;
    let ids = assumptions
        .tables()
        .normal_draws
        .iter()
        .map(|draws| draws.id);
    let scenarios: Rc<[u32]> = ids.collect();
    let of = |values: &[PresentValues]| {
        digest(values.iter().flat_map(|v| v.to_array().map(f64::to_bits)))
    };
    let input = Rc::new((portfolio, assumptions));
    let totals = |name, chunking| {
        let input = Rc::clone(&input);
        Contender::new(name, move || {
            let projector = Projector::new(&input.0, &input.1).chunking(chunking);
            of(projector.run().expect("shipped data").present_values())
        })
    };
    let alone = |name, chunking| {
        let input = Rc::clone(&input);
        Contender::new(name, move || {
            let projector = Projector::new(&input.0, &input.1).chunking(chunking);
            of(&projector.present_values().expect("shipped data"))
        })
    };
    let under_all = |name, chunking| {
        let (input, scenarios) = (Rc::clone(&input), Rc::clone(&scenarios));
        Contender::new(name, move || {
            let projector = Projector::new(&input.0, &input.1).chunking(chunking);
            let projections = projector.run_scenarios(&scenarios).expect("shipped data");
            let digests = projections.iter().map(|p| of(p.present_values()));
            digest(digests)
        })
    };
    let one = Case {
        name: format!("cash values, {} points", input.0.len()),
        work: (months, " months"),
        contenders: vec![
            totals("serial", Chunking::serial()),
            totals("parallel", Chunking::size(1)),
            alone("serial, PV", Chunking::serial()),
            alone("parallel, PV", Chunking::size(1)),
        ],
    };
    let several = Case {
        name: format!(
            "cash values, {} x {} scenarios",
            input.0.len(),
            scenarios.len()
        ),
        work: (months * scenarios.len() as f64, " months"),
        contenders: vec![
            under_all("serial", Chunking::serial()),
            under_all("parallel", Chunking::size(1)),
        ],
    };
    vec![one, several]
}
