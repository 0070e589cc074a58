use super::*;
use proptest::prelude::*;

/// Any chunking that cuts: every kind, with and without a minimum length.
fn chunkings() -> impl Strategy<Value = Chunking> {
    let kinds = prop_oneof![
        Just(Chunking::auto()),
        Just(Chunking::serial()),
        (1..10_000_usize).prop_map(Chunking::size),
        (1..10_000_usize).prop_map(Chunking::count),
        Just(Chunking::size(usize::MAX)),
    ];
    (
        kinds,
        prop_oneof![Just(1_usize), 1..500_usize, Just(usize::MAX)],
    )
        .prop_map(|(chunking, min)| chunking.min_len(min))
}

proptest! {
    #[test]
    fn chunks_are_disjoint_ordered_and_cover_everything(chunking in chunkings(), len in 0..100_000_usize) {
        let mut at = 0;
        let mut num = 0;
        let ranges = chunking.ranges(len);
        let announced = ranges.len();
        for range in ranges {
            prop_assert_eq!(range.start, at);
            prop_assert!(range.end >= range.start);
            at = range.end;
            num += 1;
        }
        prop_assert_eq!(at, len);
        prop_assert_eq!(num, announced);
    }

    #[test]
    fn count_is_numpy_array_split(count in 1..5_000_usize, len in 0..100_000_usize) {
        // numpy: Neach, extras = divmod(N, n); sizes = extras * [Neach + 1] + (n - extras) * [Neach]
        let (each, extras) = (len / count, len % count);
        let mut expected = Vec::new();
        let mut at = 0;
        for i in 0..count {
            let size = if i < extras { each + 1 } else { each };
            expected.push(at..at + size);
            at += size;
        }
        prop_assert_eq!(Chunking::count(count).ranges(len).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn size_is_the_standard_librarys_chunks(size in 1..5_000_usize, len in 0..20_000_usize) {
        let items: Vec<usize> = (0..len).collect();
        let ours: Vec<usize> = Chunking::size(size).ranges(len).map(|r| r.len()).collect();
        let std: Vec<usize> = items.chunks(size).map(<[usize]>::len).collect();
        prop_assert_eq!(ours, std);
    }

    #[test]
    fn a_minimum_length_is_kept_where_there_are_so_many_items(
        chunking in chunkings(), min in 1..500_usize, len in 1..20_000_usize,
    ) {
        let lengths: Vec<usize> = chunking.min_len(min).ranges(len).map(|r| r.len()).collect();
        let all_but_last = &lengths[..lengths.len() - 1];
        if min > 1 {
            prop_assert!(all_but_last.iter().all(|&l| l >= min.min(len)));
        }
    }

    #[test]
    fn going_back_is_going_forth_in_reverse(chunking in chunkings(), len in 0..5_000_usize) {
        let mut back: Vec<_> = chunking.ranges(len).rev().collect();
        back.reverse();
        prop_assert_eq!(back, chunking.ranges(len).collect::<Vec<_>>());
    }
}

#[test]
fn published_array_split_examples() {
    let lengths = |n, count| {
        Chunking::count(count)
            .ranges(n)
            .map(|r| r.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(8, 3), [3, 3, 2]);
    assert_eq!(lengths(9, 4), [3, 2, 2, 2]);
    assert_eq!(lengths(3, 5), [1, 1, 1, 0, 0]);
    assert_eq!(lengths(0, 2), [0, 0]);
}

#[test]
fn no_length_overflows() {
    for chunking in [
        Chunking::size(1),
        Chunking::size(usize::MAX),
        Chunking::count(3),
        Chunking::count(usize::MAX),
        Chunking::auto(),
        Chunking::serial(),
    ] {
        let mut ranges = chunking.ranges(usize::MAX);
        assert_eq!(ranges.next().unwrap().start, 0);
        assert_eq!(
            chunking.ranges(usize::MAX).next_back().unwrap().end,
            usize::MAX
        );
    }
}

#[test]
fn auto_leaves_are_single_items_first_and_never_too_many() {
    assert_eq!(Chunking::auto().ranges(16).len(), 16);
    for log in 0..40 {
        let len = 1_usize << log;
        let leaves = Chunking::auto().ranges(len).len();
        assert!(
            leaves as f64 <= 32.0 * (len as f64).cbrt(),
            "{len} items, {leaves} leaves"
        );
    }
}

#[test]
fn empty_chunks_come_last() {
    for count in 1..20 {
        for len in 0..20 {
            let ranges: Vec<_> = Chunking::count(count).ranges(len).collect();
            let nonempty = Chunking::count(count).leaves(len).num_nonempty();
            assert!(ranges[..nonempty].iter().all(|r| !r.is_empty()));
            assert!(ranges[nonempty..].iter().all(|r| r.is_empty()));
        }
    }
}

#[test]
fn zero_is_refused_at_the_callers_line() {
    let wrong: [fn() -> Chunking; 4] = [
        || Chunking::size(0),
        || Chunking::count(0),
        || Chunking::auto().min_len(0),
        || Chunking::from(0),
    ];
    for wrong in wrong {
        assert!(std::panic::catch_unwind(wrong).is_err());
    }
}

#[test]
fn it_shows_itself_in_words() {
    assert_eq!(Chunking::auto().to_string(), "auto");
    assert_eq!(
        Chunking::size(256).min_len(8).to_string(),
        "size 256, at least 8 items"
    );
}
