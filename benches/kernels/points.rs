//! Chamfer distance: the small and the big set of clusters, and two clouds of points.

use std::rc::Rc;

use ndarray::{Array2, s};
use scipar::Chunking;
use scipar::kernels::chamfer::{Chamfer, Matching, Metric, Reduction, plain};
use scipar::kernels::clusters::{Clusters, generate};

use super::{Case, Contender, Size, digest};

const METRIC: Metric = Metric::Euclidean;
const REDUCTION: Reduction = Reduction::MaxOfMeans;

pub(super) fn cases(size: Size) -> Vec<Case> {
    let (big, cloud) = match size {
        Size::Tiny => ((12, 40, 8, 60), 1_100),
        Size::Quick => ((80, 200, 40, 450), 20_000),
        Size::Full => ((400, 200, 200, 450), 100_000),
    };
    let has_plain = size != Size::Full;
    vec![
        matching("match, small set", (50, 35, 30, 23), true),
        matching("match, big set", big, has_plain),
        matrix("matrix, big set", big, has_plain),
        clouds(cloud, size == Size::Tiny),
    ]
}

fn sets((n, size, m, other): (usize, u32, usize, u32)) -> (Clusters, Clusters) {
    let made = "sizes are above 1";
    let left = generate(n, size, 1).expect(made);
    (left, generate(m, other, 2).expect(made))
}

fn pairs(sets: &(Clusters, Clusters)) -> (f64, &'static str) {
    let pairs = sets.0.num_points() as f64 * sets.1.num_points() as f64;
    (pairs, " pairs")
}

fn serial() -> Chamfer<'static> {
    Chamfer::new().chunking(Chunking::serial())
}

fn of_matching(matching: &Matching) -> u64 {
    let both = matching.left.iter().chain(&matching.right);
    digest(both.flat_map(|nearest| [nearest.cluster as u64, nearest.distance.to_bits()]))
}

fn of_numbers<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> u64 {
    digest(numbers.into_iter().map(|x| x.to_bits()))
}

/// Work is counted in pairs of points, also of those that are never looked at.
fn matching(name: &str, parameters: (usize, u32, usize, u32), has_plain: bool) -> Case {
    let run = |sets: &Sets, how: How| {
        let matching = match how {
            How::Plain => plain::nearest_clusters(&sets.0, &sets.1, METRIC, REDUCTION),
            How::Fast(options) => options().nearest_clusters(&sets.0, &sets.1),
        };
        of_matching(&matching.expect("clusters of one dimension"))
    };
    of_clusters(name, parameters, has_plain, run)
}

fn matrix(name: &str, parameters: (usize, u32, usize, u32), has_plain: bool) -> Case {
    let run = |sets: &Sets, how: How| {
        let matrix = match how {
            How::Plain => plain::chamfer_matrix(&sets.0, &sets.1, METRIC, REDUCTION),
            How::Fast(options) => options().matrix(&sets.0, &sets.1),
        };
        of_numbers(&matrix.expect("clusters of one dimension"))
    };
    of_clusters(name, parameters, has_plain, run)
}

type Sets = (Clusters, Clusters);

#[derive(Clone, Copy)]
enum How {
    Plain,
    Fast(fn() -> Chamfer<'static>),
}

fn of_clusters(
    name: &str,
    parameters: (usize, u32, usize, u32),
    has_plain: bool,
    run: impl Fn(&Sets, How) -> u64 + Copy + 'static,
) -> Case {
    let sets = Rc::new(sets(parameters));
    let contenders = [
        ("plain", How::Plain),
        ("serial", How::Fast(serial)),
        ("parallel", How::Fast(Chamfer::new)),
    ];
    let contenders = contenders.into_iter().skip(usize::from(!has_plain));
    Case {
        name: name.to_owned(),
        work: pairs(&sets),
        contenders: contenders
            .map(|(name, how)| {
                let sets = Rc::clone(&sets);
                Contender::new(name, move || run(&sets, how))
            })
            .collect(),
    }
}

/// One distance of two large sets, trees built anew each time.
fn clouds(len: usize, has_plain: bool) -> Case {
    let cloud = |seed| -> Array2<f64> {
        // 40 points per cluster on average.
        let clusters = generate(len / 40, 82, seed).expect("sizes are above 1");
        let most = clusters.num_points().min(len);
        clusters.points().slice(s![..most, ..]).to_owned()
    };
    let both = Rc::new((cloud(3), cloud(4)));
    let with = |name, options: fn() -> Chamfer<'static>| {
        let both = Rc::clone(&both);
        Contender::new(name, move || {
            let distance = options().distance(both.0.view(), both.1.view());
            distance.expect("finite points").to_bits()
        })
    };
    let mut contenders = Vec::new();
    if has_plain {
        let both = Rc::clone(&both);
        contenders.push(Contender::new("plain", move || {
            let distance = plain::chamfer(both.0.view(), both.1.view(), METRIC, REDUCTION);
            distance.expect("finite points").to_bits()
        }));
    }
    contenders.push(with("serial", serial));
    contenders.push(with("parallel", Chamfer::new));
    // As many answers as points.
    let points = both.0.nrows() + both.1.nrows();
    Case {
        name: format!("clouds, 2 x {len}"),
        work: (points as f64, " points"),
        contenders,
    }
}
