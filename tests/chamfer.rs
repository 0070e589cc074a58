//! Chamfer distances: the fast versions against the plain one, reference files, ties, bad input.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, array, s};
use proptest::prelude::*;
use scipar::kernels::chamfer::{
    Chamfer, Matching, Metric, Nearest, Neighbour, Reduction, chamfer, chamfer_matrix,
    nearest_clusters, nearest_neighbours, plain,
};
use scipar::kernels::clusters::{Clusters, generate};
use scipar::{Chunking, Pool};

const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::SquaredEuclidean, Metric::SqrtDot];
const REDUCTIONS: [Reduction; 3] = [
    Reduction::MaxOfMeans,
    Reduction::SumOfMeans,
    Reduction::Mean,
];
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/points");

fn small() -> (Clusters, Clusters) {
    let read = |side| Clusters::read_csv(format!("{DATA}/small_{side}.csv")).unwrap();
    (read("L"), read("R"))
}

/// A small generator, so that points repeat from run to run: coordinates in -1..1, on a grid where `steps` is not 0.
fn scattered(n: usize, dim: usize, seed: u64, steps: u32) -> Array2<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Array2::from_shape_fn((n, dim), |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        match steps {
            0 => uniform,
            _ => (uniform * f64::from(steps)).round(),
        }
    })
}

fn clusters(name: &str, sizes: &[usize], dim: usize, seed: u64, steps: u32) -> Clusters {
    let mut offsets = vec![0];
    for size in sizes {
        offsets.push(offsets[offsets.len() - 1] + size);
    }
    let points = scattered(offsets[sizes.len()], dim, seed, steps);
    Clusters::new(name, points.view(), &offsets).unwrap()
}

fn same_neighbours(a: &[Neighbour], b: &[Neighbour]) -> bool {
    let bits = |n: &Neighbour| (n.index, n.distance.to_bits());
    a.iter().map(bits).eq(b.iter().map(bits))
}

fn same_matching(a: &Matching, b: &Matching) -> bool {
    let bits = |n: &Nearest| (n.cluster, n.distance.to_bits());
    let same = |a: &[Nearest], b: &[Nearest]| a.iter().map(bits).eq(b.iter().map(bits));
    same(&a.left, &b.left) && same(&a.right, &b.right)
}

/// All functions on two sets of points, against the plain ones.
fn check_points(left: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>, pool: &Pool) {
    for metric in METRICS {
        let (n, m, dim) = (left.nrows(), right.nrows(), left.ncols());
        let what = format!("{metric:?}, {n} x {m}, {dim} dimensions");
        let expected = plain::nearest_neighbours(left, right, metric).unwrap();
        let options = || Chamfer::new().metric(metric).pool(pool);
        let found = options().nearest_neighbours(left, right).unwrap();
        assert!(same_neighbours(&found, &expected), "{what}");
        for reduction in REDUCTIONS {
            let expected = plain::chamfer(left, right, metric, reduction).unwrap();
            let options = || options().reduction(reduction);
            let found = options().distance(left, right).unwrap();
            let serial = options().chunking(Chunking::serial());
            let alone = serial.distance(right, left).unwrap();
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{what}: {found}, {expected}"
            );
            assert_eq!(alone.to_bits(), expected.to_bits(), "{what}, turned round");
        }
    }
}

/// All functions on two sets of clusters, against the plain ones.
fn check_clusters(lefts: &Clusters, rights: &Clusters, pool: &Pool) {
    for metric in METRICS {
        for reduction in REDUCTIONS {
            let options = || {
                Chamfer::new()
                    .metric(metric)
                    .reduction(reduction)
                    .pool(pool)
            };
            let expected = plain::chamfer_matrix(lefts, rights, metric, reduction).unwrap();
            let found = options().matrix(lefts, rights).unwrap();
            assert_eq!(found.mapv(f64::to_bits), expected.mapv(f64::to_bits));
        }
    }
    check_matching(lefts, rights, pool);
}

/// The matching of two sets of clusters, against the plain one.
fn check_matching(lefts: &Clusters, rights: &Clusters, pool: &Pool) {
    for metric in METRICS {
        for reduction in REDUCTIONS {
            let options = Chamfer::new().metric(metric).reduction(reduction);
            let found = options.pool(pool).nearest_clusters(lefts, rights).unwrap();
            let expected = plain::nearest_clusters(lefts, rights, metric, reduction).unwrap();
            assert!(
                same_matching(&found, &expected),
                "{metric:?}, {reduction:?}"
            );
        }
    }
}

#[test]
fn generated_points_are_those_of_the_reference_files() {
    let (left, right) = small();
    for (generated, file) in [
        (generate(50, 35, 1).unwrap(), left),
        (generate(30, 23, 2).unwrap(), right),
    ] {
        assert_eq!(generated.offsets(), file.offsets());
        for (a, b) in generated.points().iter().zip(file.points()) {
            // Numbers of one sign that are neighbours have neighbouring bits.
            let ulps = a.to_bits().abs_diff(b.to_bits());
            assert!(ulps <= 4, "{a} {b}");
        }
    }
}

#[test]
fn distances_and_matchings_are_those_of_the_reference_files() {
    let (left, right) = small();
    let cases = [
        ("a_pure", "a_pure", Metric::SqrtDot, Reduction::MaxOfMeans),
        (
            "b_euclid_maxmean",
            "b",
            Metric::Euclidean,
            Reduction::MaxOfMeans,
        ),
        (
            "c_sqeuclid_summean",
            "c",
            Metric::SquaredEuclidean,
            Reduction::SumOfMeans,
        ),
        (
            "d_euclid_summean",
            "d",
            Metric::Euclidean,
            Reduction::SumOfMeans,
        ),
    ];
    for (matrix, solve, metric, reduction) in cases {
        let text = fs::read_to_string(format!("{DATA}/small_chamfer_{matrix}.csv")).unwrap();
        let found = chamfer_matrix(&left, &right, metric, reduction).unwrap();
        let mut infinite = 0;
        assert_eq!(text.lines().count(), 50);
        for (line, row) in text.lines().zip(found.rows()) {
            assert_eq!(line.split(',').count(), 30);
            for (expected, found) in line.split(',').zip(row) {
                let expected: f64 = expected.parse().unwrap();
                infinite += usize::from(expected == f64::INFINITY);
                // Asked for are 1e-12; the definitions are the same to the last bit.
                assert_eq!(
                    expected.to_bits(),
                    found.to_bits(),
                    "{matrix}: {expected} {found}"
                );
            }
        }
        assert_eq!(infinite, if metric == Metric::SqrtDot { 40 } else { 0 });

        let matching = nearest_clusters(&left, &right, metric, reduction).unwrap();
        let text = fs::read_to_string(format!("{DATA}/small_solve_{solve}.csv")).unwrap();
        let rows = |side: &'static str, nearest: &[Nearest]| -> Vec<String> {
            let row = |(i, n): (usize, &Nearest)| format!("{side},{i},{}", n.cluster);
            nearest.iter().enumerate().map(row).collect()
        };
        let found = [rows("L", &matching.left), rows("R", &matching.right)].concat();
        assert!(
            text.lines().skip(1).eq(found.iter().map(String::as_str)),
            "{solve}"
        );
        for (i, nearest) in matching.left.iter().enumerate() {
            let pair = (left.cluster(i), right.cluster(nearest.cluster));
            let distance = chamfer(pair.0, pair.1, metric, reduction).unwrap();
            assert_eq!(distance.to_bits(), nearest.distance.to_bits());
        }
    }
}

#[test]
fn sets_of_points_in_one_to_five_dimensions_agree_with_the_plain_version() {
    let pool = Pool::new(2);
    for dim in 1..=5 {
        for (n, m) in [(1, 1), (1, 9), (7, 8), (8, 5), (33, 64), (130, 201)] {
            for steps in [0, 2] {
                let left = scattered(n, dim, n as u64, steps);
                let right = scattered(m, dim, 99 + m as u64, steps);
                check_points(left.view(), right.view(), &pool);
            }
        }
    }
    // A view whose rows and columns are far apart.
    let (left, right) = (scattered(60, 8, 1, 0), scattered(80, 4, 2, 0));
    check_points(
        left.slice(s![..;3, ..;-2]),
        right.slice(s![..;-2, ..]),
        &pool,
    );
    check_points(left.slice(s![..4, ..]).t(), right.slice(s![.., ..4]), &pool);
}

/// Sets that are large enough for trees, against the plain version.
fn check_trees(left: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>, pool: &Pool) {
    let (metric, reduction) = (Metric::Euclidean, Reduction::MaxOfMeans);
    let options = Chamfer::new()
        .metric(metric)
        .reduction(reduction)
        .pool(pool);
    let neighbours = plain::nearest_neighbours(left, right, metric).unwrap();
    let found = options.nearest_neighbours(left, right).unwrap();
    assert!(same_neighbours(&found, &neighbours));
    let expected = plain::chamfer(left, right, metric, reduction).unwrap();
    let found = options.distance(left, right).unwrap();
    assert_eq!(found.to_bits(), expected.to_bits());
}

#[test]
fn large_sets_agree_with_the_plain_version() {
    let pool = Pool::new(2);
    // Without optimisation the plain version takes seconds for each; small trees have tests of their own.
    let (dims, grids) = match cfg!(debug_assertions) {
        true => (&[3][..], &[5][..]),
        false => (&[1, 2, 3][..], &[0, 1, 5, 40][..]),
    };
    for &dim in dims {
        // On grids there are ties, and many points on one place.
        for &steps in grids {
            let left = scattered(1_700, dim, 5, steps);
            let right = scattered(1_611, dim, 6, steps);
            check_trees(left.view(), right.view(), &pool);
        }
    }
    if !cfg!(debug_assertions) {
        let (left, right) = (scattered(2_100, 4, 7, 3), scattered(2_050, 4, 8, 0));
        check_trees(left.view(), right.view(), &pool);
    }
}

#[test]
fn adversarial_sets_agree_with_the_plain_version() {
    let pool = Pool::new(2);
    let n = 60;
    let line = |scale: f64| {
        Array2::from_shape_fn((n, 3), |(i, k)| if k == 0 { scale * i as f64 } else { 0.0 })
    };
    let sets = [
        Array2::zeros((n, 3)),
        -Array2::<f64>::zeros((n, 3)),
        line(1.0),
        line(1e200),
        line(-1e-200),
        Array2::from_elem((n, 3), f64::MAX),
        Array2::from_elem((n, 3), -f64::MAX),
        Array2::from_elem((n, 3), f64::MIN_POSITIVE),
        // All but one on one place.
        Array2::from_shape_fn((n, 3), |(i, _)| if i == n - 1 { 1.0 } else { 0.5 }),
    ];
    for left in &sets {
        for right in &sets {
            check_points(
                left.slice(s![..20, ..]),
                right.slice(s![n - 30.., ..]),
                &pool,
            );
        }
    }
}

#[test]
fn clusters_agree_with_the_plain_version_also_where_pairs_are_given_up() {
    let pool = Pool::new(2);
    let sizes = [1, 200, 7, 8, 9, 300, 1, 150, 64, 33];
    let kinds = match cfg!(debug_assertions) {
        true => &[][..],
        false => &[(1, 0), (2, 1), (3, 0), (3, 3), (4, 0)][..],
    };
    for &(dim, steps) in kinds {
        let lefts = clusters("lefts", &sizes, dim, 3, steps);
        let rights = clusters("rights", &[260, 3, 1, 512, 11, 260, 480], dim, 4, steps);
        // The first is more than a million pairs of points.
        check_clusters(&lefts, &rights, &pool);
        check_clusters(&rights, &clusters("few", &[1, 2, 9], dim, 5, steps), &pool);
    }
    let (lefts, rights) = (generate(15, 60, 1).unwrap(), generate(12, 70, 2).unwrap());
    check_clusters(&lefts, &rights, &pool);
}

/// Clusters of one shape at the points of a lattice, so that most pairs are far apart and many distances are equal, bit for bit.
fn lattice(name: &str, dim: usize, seed: u64, size: usize, spacing: f64, factor: f64) -> Clusters {
    let shape = scattered(size, dim, 9, 4);
    // Without optimisation the plain version is slow.
    let places = scattered(if cfg!(debug_assertions) { 9 } else { 40 }, dim, seed, 3);
    let mut points = Array2::zeros((0, dim));
    let mut offsets = vec![0];
    for (i, place) in places.rows().into_iter().enumerate() {
        // Not all of one size.
        let cluster = &shape.slice(ndarray::s![..size - i % 3, ..]) + &(&place * spacing);
        points = ndarray::concatenate![ndarray::Axis(0), points, cluster];
        offsets.push(points.nrows());
    }
    points.mapv_inplace(|x| x * factor);
    Clusters::new(name, points.view(), &offsets).unwrap()
}

#[test]
fn clusters_that_boxes_tell_apart_agree_with_the_plain_version() {
    let pool = Pool::new(2);
    for dim in 1..=4 {
        for (size, spacing) in [(4, 8.0), (11, 16.0), (17, 3.0)] {
            // Beside ordinary numbers: squares that vanish, squares that overflow, sums that overflow.
            for factor in [1.0, 0.1, 1e-170, 1e99, 1e101, 1e150, 1e306] {
                let lefts = lattice("lefts", dim, 1, size, spacing, factor);
                let rights = lattice("rights", dim, 2, size, spacing, factor);
                check_matching(&lefts, &rights, &pool);
            }
        }
    }
}

#[test]
fn clusters_far_from_the_origin_agree_with_the_plain_version() {
    // Means of many numbers are rounded to more than the clusters are apart.
    let pool = Pool::new(2);
    for offset in [1e6, 1e12, 1e15] {
        let moved = |clusters: Clusters| {
            let mut offsets = vec![0];
            let mut points = Array2::zeros((0, 3));
            for cluster in clusters.iter() {
                points = ndarray::concatenate![ndarray::Axis(0), points, &cluster + offset];
                offsets.push(points.nrows());
            }
            Clusters::new("moved", points.view(), &offsets).unwrap()
        };
        let most = if cfg!(debug_assertions) { 14 } else { 60 };
        let (lefts, rights) = (
            generate(20, most, 1).unwrap(),
            generate(15, most, 2).unwrap(),
        );
        check_matching(&moved(lefts), &moved(rights), &pool);
    }
}

#[test]
fn clusters_whose_squares_are_near_the_least_number_agree_with_the_plain_version() {
    let pool = Pool::new(1);
    // The square of a centre may be rounded up to the least number, and those of its points down to 0.
    for scale in [1e-162, 1.7e-162, 3e-161, 1e-159] {
        let column = |points: &[f64], offsets: &[usize]| {
            let points = Array2::from_shape_fn((points.len(), 1), |(i, _)| points[i] * scale);
            Clusters::new("column", points.view(), offsets).unwrap()
        };
        check_matching(
            &column(&[0.5, 2.0], &[0, 2]),
            &column(&[3.0, 0.0], &[0, 1, 2]),
            &pool,
        );
        check_matching(
            &column(&[3.0, 3.0, 1.0, 1.0], &[0, 3, 4]),
            &column(&[0.5], &[0, 1]),
            &pool,
        );
    }
}

#[test]
fn the_same_bits_for_any_number_of_workers_and_any_chunking() {
    let (lefts, rights) = (generate(40, 90, 5).unwrap(), generate(30, 70, 6).unwrap());
    let (left, right) = (scattered(3_000, 3, 1, 30), scattered(2_000, 3, 2, 30));
    let all = |options: &dyn Fn() -> Chamfer<'static>| {
        (
            options().nearest_clusters(&lefts, &rights).unwrap(),
            options().matrix(&lefts, &rights).unwrap(),
            options().distance(left.view(), right.view()).unwrap(),
            options()
                .metric(Metric::SqrtDot)
                .distance(left.view(), right.view())
                .unwrap(),
            options()
                .nearest_neighbours(left.view(), right.view())
                .unwrap(),
        )
    };
    let serial = all(&|| Chamfer::new().chunking(Chunking::serial()));
    for workers in [1, 2, 3, 7, 64] {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new(workers)));
        let found = all(&|| Chamfer::new().pool(pool));
        assert!(found == serial, "{workers} workers");
        let found = all(&|| Chamfer::new().pool(pool).chunking(Chunking::auto()));
        assert!(found == serial, "{workers} workers, auto");
    }
}

#[test]
fn many_clusters_are_matched_in_pieces() {
    let sizes = [1, 2, 1, 3].repeat(140);
    let lefts = clusters("lefts", &sizes, 3, 1, 6);
    let rights = clusters("rights", &[5, 1, 1, 4].repeat(60), 3, 2, 6);
    let (metric, reduction) = (Metric::SquaredEuclidean, Reduction::SumOfMeans);
    let found = nearest_clusters(&lefts, &rights, metric, reduction).unwrap();
    let expected = plain::nearest_clusters(&lefts, &rights, metric, reduction).unwrap();
    assert!(same_matching(&found, &expected));
}

#[test]
fn ties_go_to_the_lowest_index() {
    let points = scattered(5, 3, 1, 0);
    let twice = ndarray::concatenate![ndarray::Axis(0), points, points, points];
    let lefts = Clusters::new("l", twice.view(), &[0, 5, 10, 15]).unwrap();
    for metric in METRICS {
        let matching = nearest_clusters(&lefts, &lefts, metric, Reduction::MaxOfMeans).unwrap();
        for nearest in matching.left.iter().chain(&matching.right) {
            assert_eq!(nearest.cluster, 0);
        }
    }
    let found = nearest_neighbours(twice.view(), twice.view(), Metric::Euclidean).unwrap();
    for (i, neighbour) in found.iter().enumerate() {
        assert_eq!((neighbour.index, neighbour.distance), (i % 5, 0.0));
    }
    // Squares that differ, with the same root.
    let (a, b) = (2.0_f64.powi(-1), 2.0_f64.powi(-1) - 2.0_f64.powi(-54));
    let to = array![[a], [b]];
    let found = nearest_neighbours(array![[0.0]].view(), to.view(), Metric::Euclidean).unwrap();
    assert_eq!(found[0].index, 1);
}

#[test]
fn negative_products_are_left_out_of_the_minimum() {
    let dot = |left: &Array2<f64>, right: &Array2<f64>| {
        let (metric, reduction) = (Metric::SqrtDot, Reduction::MaxOfMeans);
        let found = chamfer(left.view(), right.view(), metric, reduction).unwrap();
        let plain = plain::chamfer(left.view(), right.view(), metric, reduction).unwrap();
        assert_eq!(found.to_bits(), plain.to_bits());
        found
    };
    let one = array![[1.0, 0.0, 0.0]];
    // One pair has a negative product: the other counts, whichever comes first.
    assert_eq!(
        dot(&one, &array![[-4.0, 0.0, 0.0], [9.0, 0.0, 0.0]]),
        f64::INFINITY
    );
    let both = array![[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]];
    assert_eq!(dot(&both, &array![[-4.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), 2.5);
    // All of a point are negative.
    assert_eq!(dot(&one, &array![[-1.0, 0.0, 0.0]]), f64::INFINITY);
    // Products whose sum overflows to no number.
    let huge = array![[1e200, 1e200, 0.0]];
    assert_eq!(dot(&huge, &array![[1e200, -1e200, 0.0]]), f64::INFINITY);
    // No root of a negative zero.
    let found = nearest_neighbours(one.view(), array![[-0.0, 0.0, 0.0]].view(), Metric::SqrtDot);
    assert_eq!(found.unwrap()[0].distance.to_bits(), 0.0_f64.to_bits());
    // All are infinitely far: the first one.
    let far = array![[-1.0, 0.0, 0.0], [-2.0, 0.0, 0.0]];
    let found = nearest_neighbours(one.view(), far.view(), Metric::SqrtDot).unwrap();
    assert_eq!((found[0].index, found[0].distance), (0, f64::INFINITY));
}

#[test]
fn bad_input_is_refused_by_set_and_row() {
    let good = array![[0.0, 1.0, 2.0]];
    let both = |left: &Array2<f64>, right: &Array2<f64>| {
        let (metric, reduction) = (Metric::Euclidean, Reduction::Mean);
        let fast = chamfer(left.view(), right.view(), metric, reduction).unwrap_err();
        let plain = plain::chamfer(left.view(), right.view(), metric, reduction).unwrap_err();
        assert_eq!(fast.to_string(), plain.to_string());
        fast.to_string()
    };
    assert_eq!(
        both(&good, &array![[0.0, 1.0]]),
        "right: found 2 columns, expected 3"
    );
    let none = Array2::zeros((0, 3));
    assert_eq!(
        both(&none, &good),
        "left: cluster 0 is empty, expected at least one point"
    );
    assert_eq!(
        both(&Array2::zeros((1, 0)), &Array2::zeros((1, 0))),
        "left: found 0 columns, expected 1"
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(
            both(&good, &array![[0.0, 1.0, 2.0], [0.0, bad, 1.0]]),
            format!("right: cluster 0, row 1, column 1: found {bad}, expected a finite number")
        );
    }
    let refused = nearest_neighbours(good.view(), none.view(), Metric::Euclidean).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "to: cluster 0 is empty, expected at least one point"
    );
    let (three, two) = (
        clusters("lefts", &[1], 3, 1, 0),
        clusters("rights", &[2], 2, 1, 0),
    );
    let message = "rights: found 2 columns, expected 3";
    let (metric, reduction) = (Metric::Euclidean, Reduction::Mean);
    let refused = nearest_clusters(&three, &two, metric, reduction).unwrap_err();
    assert_eq!(refused.to_string(), message);
    let refused = chamfer_matrix(&three, &two, metric, reduction).unwrap_err();
    assert_eq!(refused.to_string(), message);
}

#[test]
fn progress_counts_every_left_cluster() {
    let (lefts, rights) = small();
    let seen = Mutex::new(Vec::new());
    let options = Chamfer::new().progress(|finished| seen.lock().unwrap().push(finished));
    options.nearest_clusters(&lefts, &rights).unwrap();
    options.matrix(&lefts, &rights).unwrap();
    drop(options);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    let twice: Vec<usize> = (1..=50).flat_map(|n| [n, n]).collect();
    assert_eq!(seen, twice);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 200 }))]

    #[test]
    fn random_clusters_agree_with_the_plain_version(
        left in prop::collection::vec(1_usize..40, 1..12),
        right in prop::collection::vec(1_usize..40, 1..12),
        dim in 1_usize..=5,
        steps in 0_u32..4,
        seed in any::<u64>(),
    ) {
        let pool = Pool::new(2);
        check_clusters(
            &clusters("left", &left, dim, seed, steps),
            &clusters("right", &right, dim, seed ^ 1, steps),
            &pool,
        );
    }

    #[test]
    fn random_points_agree_with_the_plain_version(
        n in 1_usize..200,
        m in 1_usize..200,
        dim in 1_usize..=5,
        steps in 0_u32..4,
        seed in any::<u64>(),
    ) {
        let (left, right) = (scattered(n, dim, seed, steps), scattered(m, dim, seed ^ 1, steps));
        check_points(left.view(), right.view(), &Pool::new(2));
    }
}
