use super::*;
use proptest::prelude::*;

/// The combination written out, which shows the shape.
fn join(a: String, b: String) -> String {
    format!("({a}{b})")
}

fn whole(leaves: usize) -> String {
    let tree = Tree::new(leaves);
    assert!(tree.bring(0..leaves, |i| Some(i.to_string()), &join));
    tree.into_root().expect("all leaves were brought")
}

#[test]
fn the_shape_is_balanced_and_in_order() {
    assert_eq!(whole(1), "0");
    assert_eq!(whole(2), "(01)");
    assert_eq!(whole(3), "((01)2)");
    assert_eq!(whole(5), "(((01)(23))4)");
    assert_eq!(whole(6), "(((01)(23))(45))");
    assert_eq!(whole(7), "(((01)(23))((45)6))");
}

#[test]
fn a_tree_is_as_high_as_it_must_be() {
    for leaves in 1..200_usize {
        let tree = Tree::new(leaves);
        assert!(tree.bring(0..leaves, |_| Some(0_u32), &|a: u32, b: u32| a.max(b) + 1));
        assert_eq!(
            tree.into_root().unwrap(),
            leaves.next_power_of_two().ilog2()
        );
    }
}

#[test]
fn one_worker_in_order_makes_the_same_tree() {
    for leaves in 1..300 {
        assert_eq!(Tree::whole(leaves, |i| i.to_string(), &join), whole(leaves));
    }
    // Beyond the fixed number of levels, by the other way.
    let many = (1 << 20) + 3;
    assert_eq!(
        Tree::whole(many, |i| i as u64, &|a, b| a + b),
        (0..many as u64).sum()
    );
}

proptest! {
    #[test]
    fn who_brings_what_and_when_never_changes_the_shape(
        leaves in 1..300_usize,
        cuts in proptest::collection::vec(0..300_usize, 0..12),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 14),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % leaves).chain([0, leaves]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut parts: Vec<Range<usize>> = cuts.windows(2).map(|w| w[0]..w[1]).collect();
        let tree = Tree::new(leaves);
        for pick in order {
            if parts.is_empty() {
                break;
            }
            let part = parts.swap_remove(pick.index(parts.len()));
            assert!(tree.bring(part, |i| Some(i.to_string()), &join));
        }
        prop_assert!(parts.is_empty());
        prop_assert_eq!(tree.into_root().unwrap(), whole(leaves));
    }
}

/// Nodes that wait for their neighbours.
fn waiting<R>(tree: &Tree<R>) -> usize {
    let parts = tree.waiting.get().into_iter().flatten();
    parts.map(|part| lock(&part.0).len()).sum()
}

/// Leaves that come in order, but for those that workers are at, leave few nodes waiting, however many
/// leaves there are.
#[test]
fn what_waits_is_bounded_by_the_gaps_and_the_levels() {
    const LEAVES: usize = 1_000_000;
    let tree = Tree::new(LEAVES);
    let mut random = 1_u64;
    let mut draw = |n: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % n
    };
    // Eight workers, each of which holds one chunk back until another turn of its own.
    let mut held: Vec<Range<usize>> = vec![0..0; 8];
    let (mut next, mut most) = (0, 0);
    while next < LEAVES {
        let end = LEAVES.min(next + 1 + draw(200));
        let chunk = std::mem::replace(&mut held[draw(8)], next..end);
        next = end;
        assert!(tree.bring(chunk, |i| Some(i as u64), &|a, b| a + b));
        most = most.max(waiting(&tree));
    }
    for chunk in held {
        assert!(tree.bring(chunk, |i| Some(i as u64), &|a, b| a + b));
    }
    assert_eq!(waiting(&tree), 0);
    assert_eq!(tree.into_root(), Some((0..LEAVES as u64).sum()));
    assert!(most <= 9 * 2 * 20, "{most} nodes waited");
}

#[test]
fn a_leaf_without_a_value_ends_the_bringing_and_what_was_brought_is_dropped() {
    let tree = Tree::new(10);
    let drops = std::sync::Arc::new(());
    let leaf = |i| (i != 6).then(|| drops.clone());
    assert!(!tree.bring(0..10, leaf, &|a, _| a));
    assert!(tree.bring(7..9, |_| Some(drops.clone()), &|a, _| a));
    drop(tree);
    assert_eq!(std::sync::Arc::strong_count(&drops), 1);
}
