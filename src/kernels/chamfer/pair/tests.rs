use proptest::prelude::*;

use super::super::packed::Packed;
use super::super::tile::{Narrow, Products, Squares};
use super::*;

const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::SquaredEuclidean, Metric::SqrtDot];

/// The distance as processors without AVX-512 find it.
fn narrow(measure: Measure, pair: Pair<'_>, limit: f64) -> Option<f64> {
    let scratch = &mut Scratch::default();
    match (measure.metric, pair.left.dim) {
        (Metric::SqrtDot, 3) => {
            distance::<Products, Narrow, 3, 4>(Narrow, measure, pair, limit, scratch)
        }
        (Metric::SqrtDot, _) => {
            distance::<Products, Narrow, 0, 4>(Narrow, measure, pair, limit, scratch)
        }
        (_, 2) => distance::<Squares, Narrow, 2, 4>(Narrow, measure, pair, limit, scratch),
        (_, 3) => distance::<Squares, Narrow, 3, 4>(Narrow, measure, pair, limit, scratch),
        (_, _) => distance::<Squares, Narrow, 0, 4>(Narrow, measure, pair, limit, scratch),
    }
}

fn points(most: usize) -> impl Strategy<Value = [Vec<f64>; 2]> {
    let some = move || prop::collection::vec(-9.0..9.0_f64, most);
    [some(), some()]
}

proptest! {
    #[test]
    fn all_widths_give_the_same_bits(
        coordinates in points(200),
        (n, m) in (1_usize..40, 1_usize..40),
        dim in 1_usize..=5,
    ) {
        let [left, right] = [(&coordinates[0], n), (&coordinates[1], m)]
            .map(|(points, len)| &points[..len * dim]);
        let packed = Packed::new(dim, [left, right].into_iter());
        let (left, right) = (packed.set(0), packed.set(1));
        for metric in METRICS {
            let measure = Measure { metric, ..Measure::default() };
            let pair = Pair { left, right, boxes: None };
            let widest = full_distance(measure, left, right, &mut Scratch::default());
            let found = narrow(measure, pair, f64::INFINITY);
            prop_assert_eq!(found.map(f64::to_bits), Some(widest.to_bits()));
        }
    }

    #[test]
    fn a_pair_within_the_limit_is_never_given_up(
        coordinates in points(120),
        (n, m) in (1_usize..40, 1_usize..40),
    ) {
        let [left, right] = [(&coordinates[0], n), (&coordinates[1], m)]
            .map(|(points, len)| &points[..len * 3]);
        let around = |points: &[f64]| -> Vec<f64> {
            let side = |k: usize, pick: fn(f64, f64) -> f64| {
                points[k..].iter().copied().step_by(3).reduce(pick).unwrap()
            };
            let low = (0..3).map(|k| side(k, f64::min));
            low.chain((0..3).map(|k| side(k, f64::max))).collect()
        };
        let boxes = [around(left), around(right)];
        let packed = Packed::new(3, [left, right].into_iter());
        let (left, right) = (packed.set(0), packed.set(1));
        for metric in METRICS {
            for reduction in [Reduction::MaxOfMeans, Reduction::SumOfMeans, Reduction::Mean] {
                let measure = Measure { metric, reduction };
                let full = full_distance(measure, left, right, &mut Scratch::default());
                let boxes = Some([&boxes[0][..], &boxes[1][..]]);
                let pair = Pair { left, right, boxes };
                prop_assert_eq!(narrow(measure, pair, full), Some(full));
                prop_assert_eq!(narrow(measure, pair, full.next_down()), None);
            }
        }
    }
}
