use std::time::Instant;

use ndarray::Array2;

use super::super::plain;
use super::*;

/// Points in a cube, by a generator of 64 bits.
fn cube(points: usize, dim: usize, mut state: u64) -> Vec<f64> {
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    std::iter::repeat_with(next).take(points * dim).collect()
}

/// Walks through trees of both sets, both ways, against the plain formulas: bits and rows.
fn check_walks(left: &Array2<f64>, right: &Array2<f64>) {
    let dim = left.ncols();
    let pool = Pool::new(2);
    for metric in [Metric::Euclidean, Metric::SquaredEuclidean] {
        let options = Chamfer::new().metric(metric).pool(&pool);
        let trees = options.trees(dim, &[left, right].map(|points| numbers(points.view())));
        for (from, to, points) in [(0, 1, [left, right]), (1, 0, [right, left])] {
            let expected =
                plain::nearest_neighbours(points[0].view(), points[1].view(), metric).unwrap();
            let least = options.walk(&trees[from], &trees[to]);
            let found = options.walk_to_rows(&trees[from], &trees[to]);
            for (i, expected) in expected.iter().enumerate() {
                assert_eq!(found[i].1 as usize, expected.index, "row {i}");
                for square in [least[i], found[i].0] {
                    let distance = metric.finish(square) + 0.0;
                    assert_eq!(distance.to_bits(), expected.distance.to_bits(), "row {i}");
                }
            }
        }
    }
}

#[test]
fn walks_agree_with_the_plain_version() {
    // Without optimisation the plain version is slow.
    let (dims, grids) = match cfg!(debug_assertions) {
        true => (&[1, 2, 3, 5][..], &[0.0, 5.0][..]),
        false => (&[1, 2, 3, 4, 5, 6, 7, 8][..], &[0.0, 1.0, 5.0, 40.0][..]),
    };
    for &dim in dims {
        // On grids there are ties, and many points on one place.
        for &steps in grids {
            let points = |len, seed| {
                let points = Array2::from_shape_vec((len, dim), cube(len, dim, seed)).unwrap();
                points.mapv(|x| if steps == 0.0 { x } else { (x * steps).round() })
            };
            // Whole leaves and others, one leaf only.
            for (n, m) in [(130, 201), (320, 33), (32, 7), (1, 65)] {
                check_walks(&points(n, 3), &points(m, 4));
            }
        }
    }
}

#[test]
fn walks_through_adversarial_sets_agree_with_the_plain_version() {
    let n = 70;
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
            check_walks(left, right);
        }
    }
}

/// The least time of some runs.
fn seconds(mut run: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    let (began, mut runs) = (Instant::now(), 0);
    while runs < 5 || began.elapsed().as_secs_f64() < 0.2 {
        let began = Instant::now();
        run();
        least = least.min(began.elapsed().as_secs_f64());
        runs += 1;
    }
    least
}

/// Where trees overtake the comparison of all pairs: what `Tree::pays` is made from.
///
/// `cargo test --release --lib crossover -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn crossover_of_trees_and_all_pairs() {
    println!("time of trees, built anew, to that of all pairs, on one core; at * trees are chosen");
    let sizes = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000];
    print!("{:>5}", "dim");
    sizes.iter().for_each(|size| print!(" {size:>9}"));
    println!();
    for dim in [1, 2, 3, 4, 5, 6, 8, 10] {
        print!("{dim:>5}");
        for len in sizes {
            let points = [cube(len, dim, 1), cube(len, dim, 2)];
            let serial = Chamfer::new().chunking(Chunking::serial());
            let walk = || {
                let trees = serial.trees(dim, &points);
                let both = [(&trees[0], &trees[1]), (&trees[1], &trees[0])];
                std::hint::black_box(both.map(|(from, to)| serial.walk(from, to)));
            };
            let compare = || {
                let packed = Packed::new(dim, points.iter().map(Vec::as_slice));
                std::hint::black_box(serial.all_pairs(packed.set(0), packed.set(1)));
            };
            let ratio = seconds(walk) / seconds(compare);
            let chosen = if Tree::pays(dim, len, len) { '*' } else { ' ' };
            print!(" {ratio:>8.2}{chosen}");
        }
        println!();
    }
}
