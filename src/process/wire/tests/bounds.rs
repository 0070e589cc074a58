//! What a peer can make this process keep. How long it can make it wait, and what it costs a pool,
//! is in `tests/process_hostile.rs`.

use super::super::alone;
use super::super::bounded::{LEVELS, WITHOUT_BYTES};
use super::*;

/// Sends all bytes at once, with descriptors.
fn write_with(socket: &Arc<Descriptor>, bytes: &[u8], with: &[Arc<Descriptor>]) {
    let sent = os::send(socket, [bytes, &[]], with).expect("room");
    assert_eq!(sent, bytes.len());
}

fn segment(kind: Kind, body: &[u8], descriptors: u8) -> Vec<u8> {
    let mut bytes = header(kind, body.len(), descriptors).to_vec();
    bytes.extend(body);
    bytes
}

fn begin(link: &mut Link) -> Result<(), LinkError> {
    link.input.begin(&mut Forever)
}

fn value<T: DeserializeOwned>(link: &mut Link) -> Result<T, ValueError> {
    link.input.value(&mut Forever)
}

#[track_caller]
fn frame<T: std::fmt::Debug>(result: Result<T, impl Into<ValueError>>) -> FrameError {
    match result.map_err(Into::into) {
        Err(ValueError::Link(LinkError::Frame(error))) => error,
        other => panic!("{other:?}"),
    }
}

/// What became of segments, of which the first begins a message that has ten bytes.
fn read(segments: &[(Kind, usize)]) -> Result<[u8; 10], ValueError> {
    let (mut link, socket) = half();
    for (kind, len) in segments {
        write(&socket, &segment(*kind, &vec![10; *len], 0), usize::MAX);
    }
    drop(socket);
    begin(&mut link)?;
    value(&mut link)
}

#[test]
fn segments_in_the_middle_have_something_in_them() {
    use Kind::{Last, More, Void};

    assert_eq!(read(&[(More, 1), (Last, 10)]).expect("a value"), [10; 10]);
    assert_eq!(frame(read(&[(More, 0), (Last, 11)])), FrameError::Empty);
    assert_eq!(
        frame(read(&[(More, 5), (More, 0), (Last, 6)])),
        FrameError::Empty
    );
    assert!(matches!(read(&[(Last, 0)]), Err(ValueError::End)));
    assert!(matches!(
        read(&[(More, 5), (Last, 0)]),
        Err(ValueError::End)
    ));
    let void = read(&[(More, 5), (Void, 0), (Last, 11)]);
    assert!(matches!(void, Err(ValueError::Void)));
    assert_eq!(frame(read(&[(Void, 0), (Last, 11)])), FrameError::Void);
    assert_eq!(
        frame(read(&[(More, 5), (Void, 1), (Last, 11)])),
        FrameError::Void
    );
    let (mut link, socket) = half();
    for (kind, len) in [(More, 5), (Void, 0), (Void, 0)] {
        write(&socket, &segment(kind, &[10; 5][..len], 0), usize::MAX);
    }
    begin(&mut link).expect("its beginning");
    let first = value::<[u8; 10]>(&mut link);
    assert!(matches!(first, Err(ValueError::Void)));
    assert_eq!(frame(value::<[u8; 10]>(&mut link)), FrameError::Void);
    // It stays an error, with another message behind it.
    write(&socket, &segment(Last, &[], 0), usize::MAX);
    for _ in 0..3 {
        assert_eq!(frame(begin(&mut link)), FrameError::Void);
    }
}

/// Where in a stream of two messages descriptors come that no segment announces; the reader has
/// read ahead or not.
#[test]
fn descriptors_that_no_segment_announced_are_found_and_closed() {
    let first = segment(Kind::Last, &[1, 2, 3, 4], 0);
    let next = segment(Kind::Last, &[5, 6, 7, 8], 0);
    let both = [&first[..], &next].concat();
    for at in 0..both.len() {
        for ahead in [false, true] {
            let (ear, named) = Ear::new();
            let (mut link, socket) = half();
            let with = vec![Arc::clone(&named.1); 3];
            drop(named);
            if at > 0 {
                write(&socket, &both[..at], usize::MAX);
            }
            write_with(&socket, &both[at..=at], &with);
            if at + 1 < both.len() {
                write(&socket, &both[at + 1..], usize::MAX);
            }
            drop(with);
            if ahead {
                for _ in 0..3 {
                    link.input.pull().unwrap_or(0);
                }
            }
            let mut refused = false;
            for _ in 0..2 {
                match begin(&mut link).and_then(|()| link.input.finish(&mut Forever)) {
                    Ok(()) => assert!(!refused, "it is for good"),
                    Err(LinkError::Frame(FrameError::Unannounced(3))) => refused = true,
                    Err(other) => panic!("{at}: {other:?}"),
                }
            }
            assert!(refused, "{at}, {ahead}");
            // The link lives, and they do not.
            ear.all_closed();
            drop(link);
        }
    }
}

/// Announced ones come through wherever segments are cut, and with whatever is read ahead.
#[test]
fn announced_descriptors_come_through() {
    let (mut link, socket) = half();
    let named: Vec<Named> = (0..6).map(Named::new).collect();
    let with = |range: std::ops::Range<usize>| -> Vec<Arc<Descriptor>> {
        named[range].iter().map(|one| Arc::clone(&one.1)).collect()
    };
    for round in 0..20 {
        // A message without, two in one segment, one each in two, and one in the middle of a value.
        let mut stream: Vec<(Vec<u8>, Vec<Arc<Descriptor>>)> = vec![
            (segment(Kind::Last, &[7, 1], 0), vec![]),
            (segment(Kind::More, &[0, 1, 1, 1], 2), with(0..2)),
            (segment(Kind::More, &[2, 1], 1), with(2..3)),
            (segment(Kind::More, &[], 1), with(3..4)),
            (segment(Kind::More, &[3, 1, 2, 4], 1), with(4..5)),
            (segment(Kind::Last, &[5, 3], 1), with(5..6)),
            (segment(Kind::Last, &[7, 1], 0), vec![]),
        ];
        for (bytes, descriptors) in &mut stream {
            if descriptors.is_empty() {
                write(&socket, bytes, 1 + round);
            } else {
                write_with(&socket, &bytes[..1 + round % bytes.len()], descriptors);
                write(&socket, &bytes[1 + round % bytes.len()..], 1 + round);
            }
            if round % 3 == 0 {
                link.input.pull().expect("nothing is wrong");
            }
        }
        for expected in [&[7][..], &[0, 1, 2, 3, 4, 5], &[7]] {
            begin(&mut link).expect("a message");
            if expected.len() == 1 {
                assert_eq!(value::<u8>(&mut link).expect("a value"), 7);
                continue;
            }
            for name in 0..4 {
                assert_eq!(value::<Named>(&mut link).expect("a value").0, name);
            }
            let rest: Vec<Named> = value(&mut link).expect("a list");
            assert!(rest.iter().map(|one| one.0).eq([4, 5]));
        }
        link.input.finish(&mut Forever).expect("its end");
        assert!(!link.input.has_unused());
    }
}

/// Wrong numbers of them, in a stream of ones that are right.
#[test]
fn other_descriptors_than_were_announced_are_refused() {
    for (announced, came) in [(1, 2), (2, 1), (3, 0), (64, 63), (65, 0), (255, 64)] {
        let (ear, named) = Ear::new();
        let (mut link, socket) = half();
        let message = segment(Kind::Last, &[7, 1], 1);
        write_with(&socket, &message, &[Arc::clone(&named.1)]);
        begin(&mut link).expect("as it should be");
        link.input.finish(&mut Forever).expect("its end");
        let with = vec![Arc::clone(&named.1); came];
        drop(named);
        write_with(&socket, &segment(Kind::Last, &[7, 1], announced), &with);
        drop(with);
        let error = FrameError::Descriptors {
            announced,
            arrived: came,
        };
        for _ in 0..3 {
            assert_eq!(frame(begin(&mut link)), error);
        }
        ear.all_closed();
        drop(link);
    }
}

#[test]
fn what_is_read_ahead_has_a_bound() {
    let (mut link, socket) = half();
    let limit = 300_000;
    link.input.set_limit(limit);
    let most = 2 * limit + 4 * (SEGMENT + HEADER) as u64;
    let message = segment(Kind::Last, &[1; 10_000], 0);
    let mut read = 0;
    let error = loop {
        while os::send(&socket, [&message, &[]], &[]).is_ok() {}
        match link.input.pull() {
            Ok(bytes) => read += bytes as u64,
            Err(LinkError::Frame(error)) => break error,
            Err(other) => panic!("{other:?}"),
        }
        assert!(read < most + (1 << 20), "{read}");
    };
    assert_eq!(error, FrameError::Ahead(most));
    assert!(read >= most);
    for _ in 0..3 {
        assert_eq!(frame(begin(&mut link)), error);
    }
    // A whole message of the limit is no trouble, in segments as short as can be.
    let (mut link, socket) = half();
    link.input.set_limit(30_000);
    let one = segment(Kind::More, &[1], 0);
    for _ in 0..30_000 {
        write(&socket, &one, usize::MAX);
        link.input.pull().expect("it is within the bound");
    }
    begin(&mut link).expect("a message");
}

#[derive(Debug, Serialize, Deserialize)]
struct Nested(Option<Box<Nested>>);

fn nested(levels: u32) -> Nested {
    let bottom = Nested(None);
    (2..levels / 2 + 1).fold(bottom, |inner, _| Nested(Some(Box::new(inner))))
}

/// Both ways that values come, on the stack that threads have as a rule.
fn comes<T: Serialize + DeserializeOwned + Send + Sync + 'static>(sent: T) -> Result<(), String> {
    let both = move || {
        let (bytes, _) = alone::encode(&sent, Vec::new())?;
        let apart = alone::decode::<T>(&bytes, Default::default()).map(drop);
        let (mut a, mut b) = pair();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                put(&mut a.output, &sent).expect("it can be encoded");
                finish(&mut a.output);
            });
            b.input.begin(&mut Forever).expect("a message");
            let streamed = match b.input.value::<T>(&mut Forever) {
                Ok(_) => Ok(()),
                Err(ValueError::Serde(why)) => Err(why),
                Err(other) => panic!("{other:?}"),
            };
            b.input.finish(&mut Forever).expect("its end");
            assert_eq!(apart, streamed);
            streamed
        })
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let thread = thread.spawn(both).expect("a thread");
    thread.join().expect("it does not overflow its stack")
}

#[test]
fn values_are_so_deep_and_no_deeper() {
    comes(nested(LEVELS)).expect("as deep as may be");
    for levels in [LEVELS + 2, 3 * LEVELS] {
        let why = comes(nested(levels)).expect_err("too deep");
        assert!(why.contains("500 levels"), "{why}");
    }
    // Lists of lists, and the widest of enums.
    let mut tree = Tree::Nothing;
    for _ in 0..LEVELS / 2 - 1 {
        tree = Tree::List(vec![tree]);
    }
    comes(tree.clone()).expect("as deep as may be");
    let why = comes(Tree::List(vec![Tree::List(vec![tree])])).expect_err("too deep");
    assert!(why.contains("500 levels"), "{why}");
}

#[test]
fn lists_have_as_many_elements_as_bytes_and_some() {
    let most = WITHOUT_BYTES as usize;
    comes(vec![(); most]).expect("as many as may be");
    for many in [most + 100, 100 * most] {
        let why = comes(vec![(); many]).expect_err("too many");
        assert!(why.contains("take no bytes"), "{why}");
    }
    let why = comes(vec![vec![(); most / 10]; 11]).expect_err("too many in all");
    assert!(why.contains("take no bytes"), "{why}");
}

/// What has a byte each is as many as it likes, however it is wrapped.
#[test]
fn elements_with_bytes_have_no_bound_of_their_own() {
    #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
    struct Wrapped {
        inside: ((u8,), ()),
    }
    let one = Wrapped { inside: ((7,), ()) };
    comes(vec![one; 3 * WITHOUT_BYTES as usize]).expect("a byte each");
    comes(vec![vec![1_u8; 3]; 1_000_000]).expect("lists in a list");
    comes(
        (0..300_000_u32)
            .map(|x| (x, ()))
            .collect::<BTreeMap<_, _>>(),
    )
    .expect("a map");
    let mut deep = Tree::Numbers(vec![1; 100_000]);
    for _ in 0..LEVELS / 2 - 10 {
        deep = Tree::List(vec![deep, Tree::Numbers(vec![1; 1000])]);
    }
    comes(deep).expect("a list at each level");
}
