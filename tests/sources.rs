//! Every source: its items, its chunks with their start indices, and results borrowed from it.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::reversed_empty_ranges, reason = "a source like any other")]
#![allow(
    clippy::useless_vec,
    reason = "the vectors are sources, or shorter to write"
)]

mod common;

use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use common::{chunkings, spin, started};
use ndarray::{
    Array, Array1, Array2, Array3, ArrayD, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2,
    Axis, Ix3, IxDyn, ShapeBuilder, array, s,
};
use scipar::{Chunking, Pool, Source, Values, par_map_by_chunk, par_map_chunked};

/// Maps a source under every chunking, alone and with helpers, by item and by chunk, and compares the items with what they
/// are to be, and the chunks with the stated ones.
///
/// The closures are behind pointers, so that this is compiled once for each type of source and not for each call.
#[track_caller]
fn assert_items<S: Source, T: PartialEq + Debug + Send>(
    make: &dyn Fn() -> S,
    own: fn(S::Item) -> T,
    want: &[T],
) {
    let (one, three) = (Pool::new(1), started(3));
    let weight = Duration::from_micros(if want.len() < 1_000 { 5 } else { 0 });
    for chunking in chunkings(want.len()) {
        for (pool, weight) in [
            (&one, Duration::ZERO),
            (&three, Duration::ZERO),
            (&three, weight),
        ] {
            let item = |item| {
                spin(weight);
                own(item)
            };
            assert_eq!(
                pool.par_map_chunked(make(), chunking, item),
                want,
                "{chunking}"
            );
        }
        let chunks = three.par_map_by_chunk(make(), chunking, |start, chunk| {
            (start, chunk.into_iter().map(own).collect::<Vec<_>>())
        });
        let ranges: Vec<_> = chunking.ranges(want.len()).collect();
        assert_eq!(chunks.len(), ranges.len(), "{chunking}");
        for ((start, items), range) in chunks.into_iter().zip(ranges) {
            assert_eq!(start, range.start, "{chunking}");
            assert_eq!(items, want[range], "{chunking}");
        }
    }
}

#[test]
fn slices_give_references() {
    let items: Vec<String> = (0..500).map(|i| i.to_string()).collect();
    assert_items(&|| &items[..], Clone::clone, &items);
    assert_items(&|| &items, Clone::clone, &items);
    assert_items(&|| &items[7..7], Clone::clone, &[]);
    let array: [u16; 300] = std::array::from_fn(|i| i as u16);
    assert_items(&|| &array, |x| *x, &array);
    assert_items(&|| &[0_u8; 0], |x| *x, &[]);
}

#[test]
fn mutable_slices_give_mutable_references() {
    let pool = started(3);
    let want: Vec<usize> = (0..500).map(|i| i * 2 + 1).collect();
    for chunking in chunkings(500) {
        let work = |x: &mut usize| {
            spin(Duration::from_micros(2));
            *x = *x * 2 + 1;
        };
        let mut vec: Vec<usize> = (0..500).collect();
        pool.par_for_each_chunked(&mut vec, chunking, work);
        assert_eq!(vec, want, "{chunking}");
        let mut vec: Vec<usize> = (0..500).collect();
        pool.par_for_each_chunked(&mut vec[100..], chunking, work);
        assert!(
            vec[..100].iter().copied().eq(0..100) && vec[100..] == want[100..],
            "{chunking}"
        );
        let mut array: [usize; 500] = std::array::from_fn(|i| i);
        pool.par_for_each_chunked(&mut array, chunking, work);
        assert_eq!(array[..], want, "{chunking}");
        let mut vec: Vec<usize> = (0..500).collect();
        pool.par_map_by_chunk(&mut vec, chunking, |start, chunk| {
            assert!(chunk.first().is_none_or(|first| *first == start));
            chunk.iter_mut().for_each(work);
        });
        assert_eq!(vec, want, "{chunking}");
    }
}

#[test]
fn vectors_give_their_items_away() {
    assert_items(
        &|| (0..500).collect::<Vec<i32>>(),
        |x| x,
        &(0..500).collect::<Vec<_>>(),
    );
    let words = || (0..300).map(|i| format!("word {i}")).collect::<Vec<_>>();
    assert_items(&words, |w| w, &words());
    assert_items(
        &|| (0..300).map(Box::new).collect::<Vec<_>>(),
        |b| *b,
        &(0..300).collect::<Vec<_>>(),
    );
    assert_items(&|| vec![(); 10_000], |unit| unit, &vec![(); 10_000]);
    assert_items(&Vec::<String>::new, |w| w, &[]);
    assert_items(&|| Vec::<String>::with_capacity(100), |w| w, &[]);
    // More capacity than items, items that are bigger than a cache line, items that are not `Sync`.
    assert_items(
        &|| {
            let mut items = Vec::with_capacity(1_000);
            items.extend((0..200_u64).map(|i| [i; 16]));
            items
        },
        |x| x[15],
        &(0..200).collect::<Vec<_>>(),
    );
    assert_items(
        &|| (0..200).map(std::cell::Cell::new).collect::<Vec<_>>(),
        std::cell::Cell::into_inner,
        &(0..200).collect::<Vec<_>>(),
    );
}

#[test]
fn a_chunk_of_a_vector_can_be_looked_at_and_changed_before_its_items_are_taken() {
    let words: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let parts = par_map_by_chunk(words, 4, |start, mut chunk| {
        assert_eq!(chunk.as_slice()[0], start.to_string());
        assert_eq!(format!("{chunk:?}").matches('"').count(), 2 * chunk.len());
        chunk.as_mut_slice().reverse();
        assert_eq!(chunk.size_hint(), (chunk.len(), Some(chunk.len())));
        let last = chunk.next().unwrap();
        (last, chunk.len(), chunk.collect::<String>())
    });
    assert_eq!(
        parts,
        [
            ("3".into(), 3, "210".into()),
            ("7".into(), 3, "654".into()),
            ("9".into(), 1, "8".into())
        ]
    );
}

/// Ranges of every integer type, at both ends of the type.
macro_rules! assert_ranges {
    ($($int:ident)*) => {$(
        let near_min: Vec<$int> = ($int::MIN..$int::MIN + 100).collect();
        assert_items(&|| $int::MIN..$int::MIN + 100, |x| x, &near_min);
        assert_items(&|| $int::MIN..=$int::MIN + 99, |x| x, &near_min);
        let near_max: Vec<$int> = ($int::MAX - 100..$int::MAX).collect();
        assert_items(&|| $int::MAX - 100..$int::MAX, |x| x, &near_max);
        let to_max: Vec<$int> = ($int::MAX - 100..=$int::MAX).collect();
        assert_items(&|| $int::MAX - 100..=$int::MAX, |x| x, &to_max);
        assert_items(&|| 5..5 as $int, |x| x, &[]);
        assert_items(&|| 9..5 as $int, |x| x, &[]);
        assert_items(&|| 9..=5 as $int, |x| x, &[]);
        assert_items(&|| 5..=5 as $int, |x| x, &[5]);
        assert_items(&|| $int::MAX..$int::MIN, |x| x, &[]);
        assert_items(&|| $int::MAX..=$int::MIN, |x| x, &[]);
        assert_items(&|| $int::MAX..=$int::MAX, |x| x, &[$int::MAX]);
    )*};
}

#[test]
fn ranges_of_every_integer_type_reach_both_ends_of_it() {
    // One of each width that differs in how its length is counted; the others are the same code.
    assert_ranges! { u8 u64 usize u128 i8 i32 i128 }
    fn is_source<S: Values>() {}
    is_source::<Range<u16>>();
    is_source::<Range<u32>>();
    is_source::<Range<i16>>();
    is_source::<Range<i64>>();
    is_source::<Range<isize>>();
    is_source::<RangeInclusive<u16>>();
    is_source::<RangeInclusive<u32>>();
    is_source::<RangeInclusive<i16>>();
    is_source::<RangeInclusive<i64>>();
    is_source::<RangeInclusive<isize>>();
}

#[test]
fn ranges_may_cover_a_whole_type() {
    assert_items(
        &|| i8::MIN..i8::MAX,
        |x| x,
        &(i8::MIN..i8::MAX).collect::<Vec<_>>(),
    );
    assert_items(
        &|| i8::MIN..=i8::MAX,
        |x| x,
        &(i8::MIN..=i8::MAX).collect::<Vec<_>>(),
    );
    assert_items(&|| 0..=255_u8, |x| x, &(0..=255).collect::<Vec<_>>());
    assert_items(
        &|| i16::MIN..=i16::MAX,
        |x| x,
        &(i16::MIN..=i16::MAX).collect::<Vec<_>>(),
    );
}

#[test]
fn an_iterated_inclusive_range_gives_only_what_is_left() {
    let mut range = 1..=3;
    range.next();
    assert_eq!(par_map_chunked(range.clone(), 1, |x| x), [2, 3]);
    range.by_ref().for_each(drop);
    assert_eq!(
        par_map_chunked(range, 1, |x| x),
        [0; 0],
        "an exhausted range has no items"
    );
}

/// What has to be counted is the chunks: a range is a source up to `usize::MAX` integers, as the page of `Source` says.
#[test]
fn huge_ranges_are_cut_without_being_counted_out() {
    let parts: Vec<Range<u64>> =
        par_map_by_chunk(0..u64::MAX, Chunking::count(3), |_, chunk| chunk);
    let third = u64::MAX / 3;
    assert_eq!(parts, [0..third, third..2 * third, 2 * third..u64::MAX]);
    let parts: Vec<RangeInclusive<i64>> =
        par_map_by_chunk(1..=i64::MAX, Chunking::size(1 << 62), |_, chunk| chunk);
    assert_eq!(parts, [1..=1 << 62, (1 << 62) + 1..=i64::MAX]);
    let parts = par_map_by_chunk(i128::MAX - 10..=i128::MAX, 4, |start, chunk| {
        (start, chunk.count())
    });
    assert_eq!(parts, [(0, 4), (4, 4), (8, 3)]);
}

#[test]
fn ranges_that_no_length_can_count_are_refused() {
    let refused =
        |call: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err();
    let answers = [
        refused(&|| _ = scipar::par_sum_chunked(0..=usize::MAX, Chunking::auto())),
        refused(&|| _ = scipar::par_sum_chunked(0..u128::MAX, Chunking::auto())),
        refused(&|| _ = scipar::par_sum_chunked(i128::MIN..=i128::MAX, Chunking::auto())),
        refused(&|| _ = scipar::par_sum_chunked(i64::MIN..=i64::MAX, Chunking::auto())),
    ];
    assert_eq!(answers, [true; 4]);
}

#[test]
fn one_dimensional_arrays_give_their_elements() {
    let xs = Array1::from_iter(0..300);
    let all: Vec<i32> = xs.to_vec();
    assert_items(&|| xs.view(), |x| *x, &all);
    assert_items(&|| &xs, |x| *x, &all);
    let strided = xs.slice(s![1..;7]);
    assert_items(&|| strided, |x| *x, &strided.to_vec());
    let reversed = xs.slice(s![..;-1]);
    assert_items(&|| reversed, |x| *x, &reversed.to_vec());
    let reversed_stride = xs.slice(s![..;-3]);
    assert_items(&|| reversed_stride, |x| *x, &reversed_stride.to_vec());
    assert_items(&|| xs.slice(s![5..5]), |x| *x, &[]);
    // One element, many times.
    let zero = Array1::from_elem(1, 4);
    let broadcast = zero.broadcast(100).unwrap();
    assert_items(&|| broadcast, |x| *x, &[4; 100]);
    // A column is a strided view.
    let matrix = Array2::from_shape_fn((50, 4), |(i, j)| 10 * i + j);
    assert_items(&|| matrix.column(2), |x| *x, &matrix.column(2).to_vec());
}

#[test]
fn chunks_of_one_dimensional_arrays_are_views() {
    let xs = array![1.0, 2.0, 3.0, 4.0, 5.0];
    let norms = par_map_by_chunk(xs.slice(s![..;-1]), 2, |_, chunk: ArrayView1<f64>| {
        chunk.dot(&chunk)
    });
    assert_eq!(norms, [41.0, 13.0, 1.0]);
}

/// Compares the subviews of a source with those of `outer_iter`.
macro_rules! assert_outer {
    ($view:expr) => {{
        let array = $view;
        let view = array.view();
        let want: Vec<_> = view.outer_iter().map(|sub| sub.to_owned()).collect();
        assert_items(&|| view.view(), |sub| sub.to_owned(), &want);
        let owned = view.to_owned();
        assert_items(&|| &owned, |sub| sub.to_owned(), &want);
        // The chunk as one view, with its shape.
        for chunk in par_map_by_chunk(view.view(), 3, |start, chunk| {
            (start, chunk.into_view().to_owned())
        }) {
            let end = chunk.0 + chunk.1.len_of(Axis(0));
            assert_eq!(
                chunk.1,
                view.slice_axis(Axis(0), (chunk.0..end).into()),
                "from {}",
                chunk.0
            );
        }
    }};
}

#[test]
fn arrays_of_more_dimensions_give_outer_subviews() {
    let c = Array2::from_shape_fn((40, 5), |(i, j)| 10 * i + j);
    let f = Array2::from_shape_fn((40, 5).f(), |(i, j)| 10 * i + j);
    assert_eq!(c, f);
    assert_outer!(c.view());
    assert_outer!(f.view());
    assert_outer!(c.t());
    assert_outer!(c.slice(s![3..;2, 1..;2]));
    assert_outer!(c.slice(s![..;-1, ..;-2]));
    assert_outer!(f.slice(s![..;-3, 2..4]));
    let cube = Array3::from_shape_fn((20, 3, 4), |(i, j, k)| (i, j, k));
    assert_outer!(cube.view());
    assert_outer!(cube.slice(s![..;-2, .., 1..3]));
    assert_outer!(cube.view().permuted_axes([2, 0, 1]));
    let tesseract = Array::from_shape_fn((6, 2, 3, 2), |index| index);
    assert_outer!(tesseract.view());
    let five = Array::from_shape_fn((4, 2, 1, 2, 2), |index| index);
    assert_outer!(five.view());
    let six = Array::from_shape_fn((4, 2, 1, 2, 1, 2), |index| index);
    assert_outer!(six.view());
}

#[test]
fn arrays_of_any_dimension_give_outer_subviews() {
    let two: ArrayD<usize> =
        ArrayD::from_shape_fn(IxDyn(&[30, 4]), |index| index[0] * 10 + index[1]);
    assert_outer!(two.view());
    let three: ArrayD<usize> = ArrayD::from_shape_fn(IxDyn(&[10, 4, 2]), |index| {
        index[0] * 100 + index[1] * 10 + index[2]
    });
    assert_outer!(three.view());
    assert_outer!(three.view().permuted_axes(IxDyn(&[1, 2, 0])));
    // One dimension gives subviews without any.
    let one: ArrayD<usize> = ArrayD::from_shape_fn(IxDyn(&[30]), |index| index[0]);
    assert_items(
        &|| one.view(),
        |sub| *sub.first().unwrap(),
        &(0..30).collect::<Vec<_>>(),
    );
}

#[test]
fn axes_of_length_zero_are_no_trouble() {
    assert_outer!(Array2::<u8>::zeros((0, 3)));
    assert_outer!(Array2::<u8>::zeros((3, 0)));
    assert_outer!(Array2::<u8>::zeros((0, 0)));
    assert_outer!(Array3::<u8>::zeros((4, 0, 2)));
    assert_outer!(ArrayD::<u8>::zeros(IxDyn(&[4, 0])));
    assert_outer!(ArrayD::<u8>::zeros(IxDyn(&[0, 4])));
    let mut empty = Array2::<u8>::zeros((7, 0));
    assert_eq!(par_map_chunked(&mut empty, 2, |row| row.len()), [0; 7]);
    let mut none = Array2::<u8>::zeros((0, 7));
    assert_eq!(par_map_chunked(&mut none, 2, |row| row.len()), [0; 0]);
    assert_eq!(
        par_map_by_chunk(none.view_mut(), 2, |_, chunk| chunk.into_iter().count()),
        [0; 0]
    );
}

#[test]
#[should_panic(expected = "index")]
fn an_array_without_dimension_is_refused() {
    let scalar: ArrayD<f64> = ArrayD::zeros(IxDyn(&[]));
    par_map_chunked(&scalar, Chunking::auto(), |sub| sub.len());
}

/// Changes a mutable array in place under every chunking, with helpers, by item and by chunk.
#[track_caller]
fn assert_changed_in_place<D: ndarray::Dimension>(
    original: &Array<i64, D>,
    change: impl Fn(&mut Array<i64, D>, &Pool, Chunking),
    want: &Array<i64, D>,
) {
    let pool = started(3);
    for chunking in chunkings(original.len_of(Axis(0))) {
        let mut array = original.clone();
        change(&mut array, &pool, chunking);
        assert_eq!(array, *want, "{chunking}");
    }
}

#[test]
fn mutable_arrays_are_changed_in_place() {
    let double = |x: &mut i64| {
        spin(Duration::from_micros(2));
        *x *= 2;
    };
    let xs = Array1::from_iter(0..200_i64);
    let doubled = xs.mapv(|x| 2 * x);
    assert_changed_in_place(
        &xs,
        |a, pool, c| pool.par_for_each_chunked(a, c, double),
        &doubled,
    );
    assert_changed_in_place(
        &xs,
        |a, pool, c| pool.par_for_each_chunked(a.view_mut(), c, double),
        &doubled,
    );
    let some = Array1::from_iter((0..200_i64).map(|i| if i % 3 == 2 { 2 * i } else { i }));
    assert_changed_in_place(
        &xs,
        |a, pool, c| pool.par_for_each_chunked(a.slice_mut(s![2..;3]), c, double),
        &some,
    );
    assert_changed_in_place(
        &xs,
        |a, pool, c| pool.par_for_each_chunked(a.slice_mut(s![..;-1]), c, double),
        &doubled,
    );
    // In the order of the reversed view.
    let reversed = Array1::from_iter((0..200_i64).rev());
    let number = |a: &mut Array1<i64>, pool: &Pool, c: Chunking| {
        pool.par_map_by_chunk(
            a.slice_mut(s![..;-1]),
            c,
            |start, mut chunk: ArrayViewMut1<i64>| {
                chunk
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, x)| *x = (start + i) as i64);
            },
        );
    };
    assert_changed_in_place(&xs, number, &reversed);

    let rows = Array2::from_shape_fn((60, 4), |(i, j)| (10 * i + j) as i64);
    for rows in [rows.clone(), rows.t().to_owned().reversed_axes()] {
        let negated = -rows.clone();
        let negate = |mut row: ArrayViewMut1<i64>| {
            spin(Duration::from_micros(2));
            row.mapv_inplace(|x| -x);
        };
        assert_changed_in_place(
            &rows,
            |a, pool, c| pool.par_for_each_chunked(a, c, negate),
            &negated,
        );
        assert_changed_in_place(
            &rows,
            |a, pool, c| pool.par_for_each_chunked(a.view_mut(), c, negate),
            &negated,
        );
        let by_chunk = |a: &mut Array2<i64>, pool: &Pool, c: Chunking| {
            pool.par_map_by_chunk(a, c, |start, chunk| {
                let mut part: ArrayViewMut2<i64> = chunk.into_view();
                assert!(part.is_empty() || part[[0, 1]] == 10 * start as i64 + 1);
                part.mapv_inplace(|x| -x);
            });
        };
        assert_changed_in_place(&rows, by_chunk, &negated);
        let iterated = |a: &mut Array2<i64>, pool: &Pool, c: Chunking| {
            pool.par_map_by_chunk(a.view_mut(), c, |_, chunk| {
                let rows = chunk.into_iter();
                let len = rows.len();
                assert_eq!(rows.map(negate).count(), len);
            });
        };
        assert_changed_in_place(&rows, iterated, &negated);
    }

    let dynamic = rows.clone().into_dyn();
    let negated = -dynamic.clone();
    assert_changed_in_place(
        &dynamic,
        |a, pool, c| pool.par_for_each_chunked(a, c, |mut row| row.mapv_inplace(|x| -x)),
        &negated,
    );
    let cube = Array3::from_shape_fn((20, 3, 4), |(i, j, k)| (i + j + k) as i64);
    let negated = -cube.clone();
    let negate_planes = |a: &mut Array<i64, Ix3>, pool: &Pool, c: Chunking| {
        pool.par_for_each_chunked(a, c, |mut plane: ArrayViewMut2<i64>| {
            plane.mapv_inplace(|x| -x)
        });
    };
    assert_changed_in_place(&cube, negate_planes, &negated);
}

#[test]
fn results_may_borrow_from_the_source() {
    let pool = started(3);
    let words: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    for chunking in chunkings(200) {
        let references: Vec<&String> = pool.par_map_chunked(&words, chunking, |w| w);
        assert!(
            references
                .iter()
                .zip(&words)
                .all(|(a, b)| std::ptr::eq(*a, b)),
            "{chunking}"
        );
        let parts: Vec<&[String]> = pool.par_map_by_chunk(&words, chunking, |_, part| part);
        assert_eq!(parts.concat(), words, "{chunking}");
        let matrix = Array2::from_shape_fn((50, 3), |(i, j)| i + j);
        let rows: Vec<ArrayView1<usize>> = pool.par_map_chunked(&matrix, chunking, |row| row);
        assert!(
            rows.iter()
                .eq(matrix.outer_iter().collect::<Vec<_>>().iter()),
            "{chunking}"
        );
        let parts: Vec<ArrayView2<usize>> =
            pool.par_map_by_chunk(matrix.view(), chunking, |_, part| part.into_view());
        assert_eq!(
            ndarray::concatenate(Axis(0), &parts).unwrap(),
            matrix,
            "{chunking}"
        );
    }
}

#[test]
fn mutable_results_may_borrow_from_the_source() {
    let pool = started(3);
    for chunking in chunkings(100) {
        let mut numbers: Vec<usize> = (0..100).collect();
        let odd: Vec<Option<&mut usize>> =
            pool.par_map_chunked(&mut numbers, chunking, |x| (*x % 2 == 1).then_some(x));
        odd.into_iter().flatten().for_each(|x| *x = 0);
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(i, &x)| x == if i % 2 == 1 { 0 } else { i }),
            "{chunking}"
        );
        let parts: Vec<&mut [usize]> =
            pool.par_map_by_chunk(&mut numbers, chunking, |_, part| part);
        parts.into_iter().for_each(|part| part.fill(7));
        assert_eq!(numbers, [7; 100], "{chunking}");
        let mut matrix = Array2::<usize>::zeros((100, 2));
        let mut rows: Vec<ArrayViewMut1<usize>> =
            pool.par_map_chunked(&mut matrix, chunking, |row| row);
        rows.iter_mut().for_each(|row| row.fill(1));
        assert_eq!(matrix.sum(), 200, "{chunking}");
    }
}

/// Sources are usable in code that is generic over them, and over the lifetime of what they borrow.
#[test]
fn sources_pass_through_generic_functions() {
    fn total<S: Values<Value = u32>>(source: S) -> u32 {
        scipar::par_sum_chunked(source, Chunking::auto())
    }
    fn lengths(texts: &[String]) -> Vec<usize> {
        par_map_by_chunk(texts, 2, |_, part| part.iter().map(String::len).sum())
    }
    fn count<S: Source>(source: S) -> usize {
        par_map_chunked(source, 3, |_| ()).len()
    }
    assert_eq!(total(0..10_u32), 45);
    assert_eq!(total(1..=3_u32), 6);
    assert_eq!(total(vec![1, 2]), 3);
    assert_eq!(total(&[1, 2, 4]), 7);
    assert_eq!(total(&array![1, 2, 4]), 7);
    assert_eq!(total(array![1, 2, 4].slice(s![..;2])), 5);
    let texts: Vec<String> = ["a", "bc", "def"].map(String::from).to_vec();
    assert_eq!(lengths(&texts), [3, 3]);
    assert_eq!(count(&texts), 3);
    assert_eq!(count(array![[1, 2], [3, 4]].view_mut()), 2);
}

/// What is borrowed behind a pointer is a source as what it points to.
#[test]
fn pointers_to_sources_are_sources() {
    use std::borrow::Cow;
    use std::rc::Rc;
    use std::sync::Arc;
    let words: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let arc = Arc::new(words.clone());
    assert_items(&|| &arc, Clone::clone, &words);
    let borrowed = &arc;
    assert_items(&|| &borrowed, Clone::clone, &words);
    let slice: Arc<[String]> = Arc::from(&words[..]);
    assert_items(&|| &slice, Clone::clone, &words);
    let array = Arc::new([1, 2, 3]);
    assert_items(&|| &array, |x| *x, &[1, 2, 3]);
    let rc = Rc::new(words.clone());
    assert_items(&|| &rc, Clone::clone, &words);
    let slice: Rc<[String]> = Rc::from(&words[..]);
    assert_items(&|| &slice, Clone::clone, &words);
    let boxed = words.clone().into_boxed_slice();
    assert_items(&|| &boxed, Clone::clone, &words);
    assert_items(&|| boxed.clone(), |word| word, &words);
    let boxed = Box::new(words.clone());
    assert_items(&|| &boxed, Clone::clone, &words);
    let cow: Cow<'_, [String]> = Cow::Borrowed(&words);
    assert_items(&|| &cow, Clone::clone, &words);
    let mut borrowed: &[String] = &words;
    assert_items(&|| &borrowed, Clone::clone, &words);
    borrowed = &borrowed[10..];
    assert_items(&|| &borrowed, Clone::clone, &words[10..]);
    let table = Arc::new(Array2::from_shape_fn((50, 3), |(i, j)| 3 * i + j));
    let sums: Vec<usize> = table.outer_iter().map(|row| row.sum()).collect();
    assert_items(&|| &table, |row| row.sum(), &sums);

    let xs = Arc::new(vec![1.5, 2.5, 3.0]);
    assert_eq!(scipar::par_sum_chunked(&xs, 2), 7.0);
    assert_eq!(scipar::par_argmax_chunked(&xs, 2), Some(2));
    assert_eq!(
        scipar::par_reduce_chunked(&Rc::new([4, 5]), 1, || 0, |a, b| a + b),
        9
    );
    let boxed: Box<[f64]> = Box::new([1.0, 2.0]);
    assert_eq!(scipar::par_sum_chunked(boxed, 2), 3.0);

    let mut boxed: Box<[i32]> = (0..300).collect();
    scipar::par_for_each_chunked(&mut boxed, 7, |x| *x += 1);
    let mut rest = &mut boxed[100..];
    scipar::par_for_each_chunked(&mut rest, 7, |x| *x += 1);
    assert!(boxed[..100].iter().copied().eq(1..101));
    assert!(boxed[100..].iter().copied().eq(102..302));
}

/// A boxed slice by value is dropped once, as a vector is.
#[test]
fn a_boxed_slice_gives_its_items_away() {
    let drops = common::Drops::new(300);
    let boxed = drops.all().into_boxed_slice();
    let indices = par_map_chunked(boxed, 7, |item| item.index);
    assert!(indices.into_iter().eq(0..300));
    drops.assert_each_once(&"items");
}

/// As in a plain loop: what the closure does decides, and `i32` is meant where nothing does.
#[test]
fn the_integer_type_of_a_range_of_literals_is_found() {
    let xs = [0.5; 50];
    assert_eq!(par_map_chunked(0..50, 8, |i| xs[i])[49], 0.5);
    assert_eq!(par_map_chunked(0..=50, 8, |i| i)[50], 50_i32);
    let longs: Vec<u64> = par_map_chunked(0..50, 8, |i| i);
    assert_eq!(longs[49], 49);
    assert_eq!(
        par_map_chunked(0..50, 8, |i| if i == 50 { panic!() } else { i })[7],
        7
    );
    assert_eq!(par_map_by_chunk(0..50, 8, |_, chunk| chunk.count())[6], 2);
    let sums = par_map_by_chunk(0..=50, 8, |_, chunk| chunk.map(|i| i * 2).sum::<i64>());
    assert_eq!(sums.into_iter().sum::<i64>(), 2_550);
    assert_eq!(scipar::par_sum_chunked(0..10, 3), 45);
    let run = scipar::Parallel::over(0..10).outcomes(|i| if i == 3 { Err("3") } else { Ok(i) });
    assert_eq!(run.not_run().count(), 0);
}
