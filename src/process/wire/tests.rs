//! Messages over socket pairs in one process. What counts open files or bytes of the whole process is in `tests/process_wire.rs`.

use std::collections::BTreeMap;
use std::io::{PipeReader, Read};
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::frame::{HEADER, Header, Kind, SEGMENT};
use super::{Forever, FrameError, Link, LinkError, Meanwhile, Output, Pull, ValueError, passing};
use crate::process::os::{self, Descriptor, Want};

fn pair() -> (Link, Link) {
    let (a, b) = os::stream_pair().expect("a socket pair");
    (Link::new(a, u64::MAX), Link::new(b, u64::MAX))
}

/// A link, and the bare other end of it.
fn half() -> (Link, Arc<Descriptor>) {
    let (a, b) = os::stream_pair().expect("a socket pair");
    (Link::new(a, u64::MAX), Arc::new(b))
}

fn put<T: Serialize + ?Sized>(output: &mut Output, value: &T) -> Result<(), ValueError> {
    output.value(value, &mut alone(&mut Forever))
}

fn finish(output: &mut Output) {
    output
        .finish(&mut alone(&mut Forever))
        .expect("the other side reads");
}

fn alone(patience: &mut Forever) -> Meanwhile<'_> {
    Meanwhile {
        input: None,
        patience,
    }
}

/// Sends all bytes, so many at a time.
fn write(socket: &Arc<Descriptor>, mut bytes: &[u8], at_once: usize) {
    while !bytes.is_empty() {
        match os::send(socket, [&bytes[..at_once.min(bytes.len())], &[]], &[]) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                os::wait(socket, Want::Write, None, None).expect("a socket can be waited for");
            }
            Err(error) if os::is_gone(&error) => return, // the reader has had enough
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a value sends.
fn bytes_of<T: Serialize + Sync>(value: &T) -> Vec<u8> {
    let (link, socket) = half();
    let Link { input, mut output } = link;
    drop(input); // so that the end of the output is that of the socket
    std::thread::scope(|scope| {
        scope.spawn(move || {
            put(&mut output, value).expect("it can be encoded");
            finish(&mut output);
        });
        let mut bytes = Vec::new();
        read_all(&socket, &mut bytes).expect("it sends to its end");
        bytes
    })
}

fn read_all(socket: &Descriptor, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut none = std::collections::VecDeque::new();
    let mut space = vec![0; 1 << 16];
    loop {
        match os::receive(socket, &mut space, &mut none) {
            Ok(received) if received.bytes == 0 => return Ok(bytes.len()),
            Ok(received) => bytes.extend_from_slice(&space[..received.bytes]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                os::wait(socket, Want::Read, None, None)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends values as one message from another thread and receives them.
fn round_trip<T: Serialize + DeserializeOwned + Sync>(values: &[T]) -> Vec<T> {
    let (mut a, mut b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for value in values {
                put(&mut a.output, value).expect("it can be encoded");
            }
            finish(&mut a.output);
        });
        b.input.begin(&mut Forever).expect("a message");
        let received = values
            .iter()
            .map(|_| b.input.value(&mut Forever).expect("a value"))
            .collect();
        assert!(matches!(
            b.input.value::<u8>(&mut Forever),
            Err(ValueError::End)
        ));
        b.input.finish(&mut Forever).expect("its end");
        assert!(!b.input.has_unused());
        received
    })
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Nothing,
    Number(i64),
    Wide(u128, f32),
    Text(String),
    Letter(char),
    Bytes(Blob),
    Numbers(Vec<u64>),
    Maybe(Option<Box<Tree>>),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Fields {
        flag: bool,
        pair: (u8, i16),
        next: Box<Tree>,
    },
}

/// Bytes that serde is told to be bytes, read as borrowed ones where `BORROWED`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Blob<const BORROWED: bool = false>(Vec<u8>);

impl<const BORROWED: bool> Serialize for Blob<BORROWED> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const BORROWED: bool> Deserialize<'de> for Blob<BORROWED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        match BORROWED {
            true => deserializer.deserialize_bytes(Bytes),
            false => deserializer.deserialize_byte_buf(Bytes),
        }
        .map(Blob)
    }
}

/// Text that is asked for as text that outlives the decoder.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Borrowed(String);

impl<'de> Deserialize<'de> for Borrowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|text| Self(text.to_owned()))
    }
}

/// Lengths that matter: short ones, and those about whole segments.
fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..40_usize,
        2 => SEGMENT - 12..SEGMENT + 4,
        1 => 2 * SEGMENT - 12..2 * SEGMENT + 4,
        1 => 0..4 * SEGMENT,
    ]
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nothing),
        any::<i64>().prop_map(Tree::Number),
        (any::<u128>(), -1e30_f32..1e30).prop_map(|(a, b)| Tree::Wide(a, b)),
        ".{0,20}".prop_map(Tree::Text),
        any::<char>().prop_map(Tree::Letter),
        lens().prop_map(|len| Tree::Bytes(Blob(bytes(len)))),
        lens().prop_map(|len| Tree::Text("\u{e9}".repeat(len / 2))),
        (any::<u64>(), 0..60_000_u64)
            .prop_map(|(x, len)| Tree::Numbers((0..len).map(|i| x.wrapping_mul(i)).collect())),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::option::of(inner.clone()).prop_map(|tree| Tree::Maybe(tree.map(Box::new))),
            vec(inner.clone(), 0..6).prop_map(Tree::List),
            btree_map(".{0,6}", inner.clone(), 0..4).prop_map(Tree::Map),
            (any::<bool>(), any::<(u8, i16)>(), inner).prop_map(|(flag, pair, next)| {
                Tree::Fields {
                    flag,
                    pair,
                    next: Box::new(next),
                }
            }),
        ]
    })
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_values_come_as_they_went(trees in vec(trees(), 0..5)) {
        prop_assert_eq!(round_trip(&trees), trees);
    }

    #[test]
    fn borrowed_ones_too(lens in vec(lens(), 0..8), texts in vec(".{0,30}", 0..8)) {
        let blobs: Vec<Blob<true>> = lens.iter().map(|len| Blob(bytes(*len))).collect();
        let texts: Vec<Borrowed> = texts
            .into_iter()
            .chain(lens.iter().map(|len| "x".repeat(*len)))
            .map(Borrowed)
            .collect();
        prop_assert_eq!(round_trip(std::slice::from_ref(&blobs)), [blobs]);
        prop_assert_eq!(round_trip(std::slice::from_ref(&texts)), [texts]);
    }

    #[test]
    fn a_byte_at_a_time_or_a_few(trees in vec(trees(), 1..3), at_once in 1..9_usize) {
        let sent = bytes_of(&trees);
        prop_assume!(sent.len() < 40_000);
        let (mut link, socket) = half();
        std::thread::scope(|scope| {
            scope.spawn(move || write(&socket, &sent, at_once));
            link.input.begin(&mut Forever).expect("a message");
            let received: Vec<Tree> = link.input.value(&mut Forever).expect("a value");
            link.input.finish(&mut Forever).expect("its end");
            assert_eq!(received, trees);
        });
    }
}

/// A descriptor that is known by what is in it.
#[derive(Clone, Debug)]
struct Named(u32, Arc<Descriptor>);

impl Named {
    fn new(name: u32) -> Self {
        let memory = os::spill(&name.to_le_bytes()).expect("a descriptor");
        Self(name, Arc::new(memory))
    }
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(passing::leave(&self.1), "only in messages");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = u32::deserialize(deserializer)?;
        let descriptor = passing::take().ok_or_else(|| D::Error::custom("none came"))?;
        let copy = descriptor.try_clone().map_err(D::Error::custom)?;
        let inside = os::unspill(copy, 4).map_err(D::Error::custom)?;
        assert_eq!(inside, name.to_le_bytes(), "somebody else's descriptor");
        Ok(Self(name, Arc::new(descriptor)))
    }
}

/// How a value ends badly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Fails,
    Panics,
}

/// Descriptors and bytes, of which some are written before it ends.
#[derive(Clone, Debug)]
struct Risky {
    named: Vec<Named>,
    len: usize,
    /// Of the bytes, so many get out.
    written: usize,
    /// Whether the descriptors come before the bytes.
    first: bool,
    end: End,
}

/// What comes of it.
#[derive(Debug, Deserialize)]
struct Safe(Vec<Named>, Vec<u8>, Vec<Named>);

impl Serialize for Risky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Part<'a>(&'a Risky);
        impl Serialize for Part<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut seq = serializer.serialize_seq(Some(self.0.len))?;
                for i in 0..self.0.written {
                    seq.serialize_element(&((i % 251) as u8))?;
                }
                match self.0.end {
                    End::Fails if self.0.written < self.0.len => {
                        return Err(S::Error::custom("meant: not to its end"));
                    }
                    End::Panics => std::panic::panic_any("meant: not to its end"),
                    End::Fails | End::Well => {}
                }
                seq.end()
            }
        }
        if self.end == End::Fails && self.written == 0 && self.named.is_empty() {
            return Err(S::Error::custom("meant: not from its beginning"));
        }
        let none: &[Named] = &[];
        let (before, after) = match self.first {
            true => (&self.named[..], none),
            false => (none, &self.named[..]),
        };
        let ok = (before, Part(self), after).serialize(serializer)?;
        match self.end {
            End::Fails => Err(S::Error::custom("meant: after its end")),
            _ => Ok(ok),
        }
    }
}

fn risky() -> impl Strategy<Value = Risky> {
    let end = prop_oneof![3 => Just(End::Well), 3 => Just(End::Fails), 1 => Just(End::Panics)];
    (0..4_usize, lens(), lens(), any::<bool>(), end).prop_map(
        |(count, len, written, first, end)| Risky {
            named: (0..count as u32).map(|i| Named::new(1000 + i)).collect(),
            len,
            written: if end == End::Well {
                len
            } else {
                written.min(len)
            },
            first,
            end,
        },
    )
}

/// Keeps panics that are meant off the terminal, in whatever test.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>();
            if !text.is_some_and(|text| text.starts_with("meant:")) {
                usual(info);
            }
        }));
    });
}

proptest! {
    #![proptest_config(cases(96))]

    /// Wherever a value ends badly, those before it and after it come through, with their descriptors.
    #[test]
    fn what_fails_costs_itself_alone(mut values in vec(risky(), 1..7), flushed in any::<u8>()) {
        quiet();
        for (i, named) in values.iter_mut().flat_map(|value| &mut value.named).enumerate() {
            *named = Named::new(i as u32);
        }
        let good: Vec<&Risky> = values.iter().filter(|value| value.end == End::Well).collect();
        let (mut a, mut b) = pair();
        std::thread::scope(|scope| {
            let values = &values;
            scope.spawn(move || {
                for (i, value) in values.iter().enumerate() {
                    match (value.end, put(&mut a.output, value)) {
                        (End::Well, Ok(())) => {}
                        (_, Err(ValueError::Serde(why))) => {
                            assert_ne!(value.end, End::Well);
                            assert!(value.end != End::Panics || why.contains("panicked"), "{why}");
                        }
                        (end, result) => panic!("{end:?} {result:?}"),
                    }
                    if flushed & 1 << i != 0 {
                        a.output.flush(&mut alone(&mut Forever)).expect("it is read");
                    }
                }
                finish(&mut a.output);
            });
            b.input.begin(&mut Forever).expect("a message");
            let mut good = good.into_iter();
            loop {
                match b.input.value::<Safe>(&mut Forever) {
                    Ok(Safe(before, data, after)) => {
                        let sent = good.next().expect("no more than were sent");
                        assert!(data == bytes(sent.len));
                        let names: Vec<u32> = before.iter().chain(&after).map(|n| n.0).collect();
                        let sent: Vec<u32> = sent.named.iter().map(|n| n.0).collect();
                        assert_eq!(names, sent);
                    }
                    Err(ValueError::Void) => {}
                    Err(ValueError::End) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(good.next().is_none(), "all that were sent");
            b.input.finish(&mut Forever).expect("its end");
        });
    }

    /// Whatever comes instead of messages: an error, or values that could be.
    #[test]
    fn damaged_messages_are_errors(
        trees in vec(trees(), 1..3),
        flips in vec((any::<prop::sample::Index>(), 0..8_u8), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        noise in vec(any::<u8>(), 0..40),
        limit in prop_oneof![Just(u64::MAX), 0..300_000_u64],
    ) {
        let mut sent = bytes_of(&trees);
        for (at, bit) in &flips {
            let at = at.index(sent.len());
            sent[at] ^= 1 << bit;
        }
        if let Some(cut) = &cut {
            sent.truncate(cut.index(sent.len()));
        }
        sent.extend(&noise);
        let whole = flips.is_empty() && cut.is_none();
        let (mut link, socket) = half();
        link.input.set_limit(limit);
        std::thread::scope(|scope| {
            scope.spawn(move || write(&socket, &sent, usize::MAX));
            let mut first = None;
            for _ in 0..100 {
                let result = link.input.begin(&mut Forever).map_err(ValueError::Link)
                    .and_then(|()| link.input.value::<Vec<Tree>>(&mut Forever));
                let over = matches!(result, Err(ValueError::Link(LinkError::Gone)));
                first.get_or_insert(result);
                if link.input.finish(&mut Forever).is_err() && over {
                    break;
                }
            }
            drop(link);
            match first.expect("one at least") {
                Ok(read) => prop_assert!(!whole || read == trees),
                Err(ValueError::Link(LinkError::Frame(FrameError::Limit(at)))) => prop_assert_eq!(at, limit),
                Err(error) => prop_assert!(!whole, "{:?}", error),
            }
            Ok(())
        })?;
    }

    #[test]
    fn noise_is_an_error(noise in vec(any::<u8>(), 0..200)) {
        let (mut link, socket) = half();
        write(&socket, &noise, usize::MAX);
        drop(socket);
        let begun = link.input.begin(&mut Forever);
        prop_assert!(
            noise.starts_with(&[0x5c, 0xa9])
                || matches!(begun, Err(LinkError::Gone | LinkError::Frame(FrameError::Mark(_))))
        );
    }
}

fn header(kind: Kind, len: usize, descriptors: u8) -> [u8; HEADER] {
    Header {
        len,
        descriptors,
        kind,
    }
    .encode()
}

/// What becomes of these bytes, after which the other side is gone.
fn begun(bytes: &[u8], limit: u64) -> Result<(), LinkError> {
    let (mut link, socket) = half();
    link.input.set_limit(limit);
    write(&socket, bytes, usize::MAX);
    drop(socket);
    let result = link.input.begin(&mut Forever);
    // It stays an error, however often it is tried.
    for _ in 0..3 {
        let again = link.input.begin(&mut Forever);
        assert!(again.is_err() || result.is_ok());
    }
    result
}

#[test]
fn each_damage_has_its_name() {
    let frame = |bytes: &[u8], limit| match begun(bytes, limit) {
        Err(LinkError::Frame(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(frame(b"GET / HTTP", 9), FrameError::Mark(*b"GE"));
    let mut kind = header(Kind::Last, 0, 0);
    kind[2] = 3;
    assert_eq!(frame(&kind, 9), FrameError::Kind(3));
    let mut long = header(Kind::Last, 0, 0);
    long[4..].copy_from_slice(&(SEGMENT as u32 + 1).to_le_bytes());
    assert_eq!(
        frame(&long, u64::MAX),
        FrameError::Length(SEGMENT as u32 + 1)
    );
    assert_eq!(
        frame(&header(Kind::Last, 1, 3), 9),
        FrameError::Descriptors {
            announced: 3,
            arrived: 0
        }
    );
    assert_eq!(frame(&header(Kind::Last, 10, 0), 9), FrameError::Limit(9));
    assert!(begun(&header(Kind::Last, SEGMENT, 0), u64::MAX).is_ok());
    for cut in 0..HEADER {
        let cut = &header(Kind::Last, 0, 0)[..cut];
        assert!(matches!(begun(cut, 9), Err(LinkError::Gone)));
    }
}

#[test]
fn the_limit_is_that_of_the_whole_message() {
    let (mut link, socket) = half();
    link.input.set_limit(11);
    let mut sent = Vec::new();
    for (kind, len) in [(Kind::More, 6), (Kind::More, 1), (Kind::Last, 6)] {
        sent.extend(header(kind, len, 0));
        sent.extend(vec![1; len]);
    }
    write(&socket, &sent, usize::MAX);
    link.input.begin(&mut Forever).expect("the first segment");
    let result = link.input.value::<[u8; 11]>(&mut Forever);
    assert!(
        matches!(
            result,
            Err(ValueError::Link(LinkError::Frame(FrameError::Limit(11))))
        ),
        "{result:?}"
    );
    // The next message has the limit to itself.
    let mut next = header(Kind::Last, 11, 0).to_vec();
    next.extend([7; 10]);
    next.push(10); // the value's length
    write(&socket, &next, usize::MAX);
    link.input.begin(&mut Forever).expect("the next message");
    let value: [u8; 10] = link.input.value(&mut Forever).expect("its value");
    assert_eq!(value, [7; 10]);
}

#[test]
fn a_peer_that_is_gone_in_the_middle_stays_gone() {
    let (mut link, socket) = half();
    let mut sent = header(Kind::More, 100, 0).to_vec();
    sent.extend([50; 20]);
    write(&socket, &sent, usize::MAX);
    drop(socket);
    link.input.begin(&mut Forever).expect("its beginning");
    for _ in 0..3 {
        let value = link.input.value::<Vec<u8>>(&mut Forever);
        assert!(matches!(value, Err(ValueError::Link(LinkError::Gone))));
        let begun = link.input.begin(&mut Forever);
        assert!(matches!(begun, Err(LinkError::Gone)));
    }
}

/// A value that writes one byte more than is read of it, fills a segment exactly without it, and fails after it.
#[test]
fn a_value_can_be_void_when_it_has_been_decoded() {
    struct Longer(Blob, u8);
    impl Serialize for Longer {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (&self.0, self.1).serialize(serializer)?;
            Err(S::Error::custom("meant"))
        }
    }
    let (mut a, mut b) = pair();
    let full = Blob(bytes(SEGMENT - 3)); // and three bytes of length
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let result = put(&mut a.output, &Longer(full, 1));
            assert!(matches!(result, Err(ValueError::Serde(_))), "{result:?}");
            put(&mut a.output, "next").expect("the message goes on");
            finish(&mut a.output);
        });
        b.input.begin(&mut Forever).expect("a message");
        let void = b.input.value::<Blob>(&mut Forever);
        assert!(matches!(void, Err(ValueError::Void)), "{:?}", void.err());
        let next: String = b.input.value(&mut Forever).expect("the next");
        assert_eq!(next, "next");
        b.input.finish(&mut Forever).expect("its end");
    });
}

/// The value before is not to blame if the failing one begins where a segment does.
#[test]
fn a_failure_at_the_very_beginning_of_a_segment_is_no_void() {
    let (mut a, mut b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            put(&mut a.output, &Blob::<false>(bytes(SEGMENT - 3))).expect("it fills a segment");
            let named = Named::new(1);
            let bad = Risky {
                named: vec![named],
                len: 5,
                written: 2,
                first: true,
                end: End::Fails,
            };
            let result = put(&mut a.output, &bad);
            assert!(matches!(result, Err(ValueError::Serde(_))));
            put(&mut a.output, &Named::new(2)).expect("the message goes on");
            finish(&mut a.output);
        });
        b.input.begin(&mut Forever).expect("a message");
        let _: Blob = b.input.value(&mut Forever).expect("a value");
        let next: Named = b.input.value(&mut Forever).expect("nothing between");
        assert_eq!(next.0, 2);
        b.input.finish(&mut Forever).expect("its end");
    });
}

/// Its descriptor goes ahead of it, with the segment before; nobody else may take it.
#[test]
fn what_came_with_a_void_value_is_nobody_elses() {
    let (mut a, mut b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let bad = Risky {
                named: vec![Named::new(1)],
                len: SEGMENT - 5, // one for the empty list before, three of length, one of the list after
                written: SEGMENT - 5,
                first: false,
                end: End::Fails,
            };
            let result = put(&mut a.output, &bad);
            assert!(matches!(result, Err(ValueError::Serde(_))));
            put(&mut a.output, &Named::new(2)).expect("the message goes on");
            finish(&mut a.output);
        });
        b.input.begin(&mut Forever).expect("a message");
        let void = b.input.value::<Safe>(&mut Forever);
        assert!(matches!(void, Err(ValueError::Void)), "{void:?}");
        let next: Named = b.input.value(&mut Forever).expect("its own descriptor");
        assert_eq!(next.0, 2);
    });
}

#[test]
fn two_hundred_descriptors_come_in_order() {
    let sent: Vec<Named> = (0..200).map(Named::new).collect();
    let received = round_trip(&[sent]);
    let names: Vec<u32> = received[0].iter().map(|named| named.0).collect();
    assert!(names.iter().copied().eq(0..200));
}

#[derive(Debug)]
struct Ear(PipeReader);

impl Ear {
    /// A descriptor whose copies can be heard to be closed.
    fn new() -> (Self, Named) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (Self(reader), Named(0, Arc::new(writer.into())))
    }

    /// Returns when every copy of it is closed.
    fn all_closed(mut self) {
        assert_eq!(self.0.read(&mut [0]).expect("a pipe can be read"), 0);
    }
}

/// One that takes nothing, or fails after it has taken one.
#[derive(Debug)]
struct Fussy;

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer)?;
        let _taken = passing::take();
        Err(D::Error::custom("meant"))
    }
}

#[test]
fn descriptors_of_what_is_skipped_or_fails_are_closed() {
    let (ear, named) = Ear::new();
    let (mut a, mut b) = pair();
    for round in 0..4 {
        put(&mut a.output, &vec![named.clone(); 3]).expect("it can be encoded");
        put(&mut a.output, &named).expect("it can be encoded");
        finish(&mut a.output);
        b.input.begin(&mut Forever).expect("a message");
        match round {
            0 => {}
            1 => drop(b.input.value::<Vec<u32>>(&mut Forever).expect("names only")),
            2 => drop(
                b.input
                    .value::<Vec<Fussy>>(&mut Forever)
                    .expect_err("it is refused"),
            ),
            _ => drop(
                b.input
                    .value::<Vec<char>>(&mut Forever)
                    .expect_err("no letters"),
            ),
        }
        b.input.finish(&mut Forever).expect("its end");
    }
    // One that failed on its way out, and one that is never read.
    let bad = Risky {
        named: vec![named.clone()],
        len: 3 * SEGMENT,
        written: 0,
        first: true,
        end: End::Fails,
    };
    put(&mut a.output, &bad).expect_err("it fails");
    put(&mut a.output, &named).expect("it can be encoded");
    finish(&mut a.output);
    drop((bad, named, a, b));
    ear.all_closed();
}

#[test]
fn two_sides_that_both_have_much_to_say() {
    fn talk(mut link: Link) {
        let much = Blob::<false>(vec![7; 50_000_000]);
        let Link { input, output } = &mut link;
        let mut meanwhile = Meanwhile {
            input: Some(input),
            patience: &mut Forever,
        };
        output
            .value(&much, &mut meanwhile)
            .expect("room in the end");
        output.finish(&mut meanwhile).expect("room in the end");
        input.begin(&mut Forever).expect("a message");
        let heard: Blob = input.value(&mut Forever).expect("a value");
        input.finish(&mut Forever).expect("its end");
        assert!(heard == much);
    }
    let (a, b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || talk(a));
        talk(b);
    });
}

#[test]
fn a_reader_that_takes_its_time_holds_the_writer_back() {
    let (mut a, mut b) = pair();
    let (said, hear) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..50_u64 {
                put(&mut a.output, &(i, Blob::<false>(bytes(100_000)))).expect("room in the end");
                said.send(i).expect("the reader is there");
            }
            finish(&mut a.output);
        });
        b.input.begin(&mut Forever).expect("a message");
        for i in 0..50 {
            // What is in the socket, in both buffers, and no more.
            let ahead = hear.try_iter().last();
            assert!(ahead.is_none_or(|ahead| ahead < i + 20), "{ahead:?} at {i}");
            let (j, data): (u64, Blob) = b.input.value(&mut Forever).expect("a value");
            assert_eq!((i, data.0.len()), (j, 100_000));
        }
        b.input.finish(&mut Forever).expect("its end");
    });
}

/// A decoder that makes do when its part fails.
#[derive(Debug)]
struct Lenient;

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _ = Vec::<u64>::deserialize(deserializer);
        Ok(Self)
    }
}

#[test]
fn a_failure_cannot_be_swallowed_by_the_values_own_code() {
    let (mut link, socket) = half();
    write(&socket, &header(Kind::Last, 1, 0), usize::MAX);
    write(&socket, &[9], usize::MAX);
    link.input.begin(&mut Forever).expect("a message");
    let result = link.input.value::<Lenient>(&mut Forever);
    assert!(matches!(result, Err(ValueError::End)), "{result:?}");

    struct Careless;
    impl Serialize for Careless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(Some(2))?;
            for _ in 0..10 {
                let _ = seq.serialize_element(&Blob::<false>(bytes(SEGMENT)));
            }
            seq.end()
        }
    }
    let (mut a, b) = pair();
    drop(b);
    let result = put(&mut a.output, &Careless);
    assert!(
        matches!(result, Err(ValueError::Link(LinkError::Gone))),
        "{result:?}"
    );
}

/// Loses patience once, and is patient after that.
struct Once(bool);

impl super::Patience for Once {
    fn wait(&mut self, socket: &Descriptor, want: Want) -> Result<os::Ready, LinkError> {
        match std::mem::replace(&mut self.0, true) {
            false => Err(LinkError::Interrupted),
            true => Forever.wait(socket, want),
        }
    }
}

#[test]
fn after_half_a_message_nothing_more_is_sent() {
    let (mut a, mut b) = pair();
    let mut once = Once(false);
    let mut meanwhile = Meanwhile {
        input: None,
        patience: &mut once,
    };
    let result = a
        .output
        .value(&Blob::<false>(bytes(5_000_000)), &mut meanwhile);
    assert!(
        matches!(result, Err(ValueError::Link(LinkError::Interrupted))),
        "{result:?}"
    );
    put(&mut a.output, "next").expect("it fits the buffer");
    let result = a.output.finish(&mut alone(&mut Forever));
    assert!(matches!(result, Err(LinkError::Gone)), "{result:?}");
    drop(a);
    b.input.begin(&mut Forever).expect("its beginning");
    let value = b.input.value::<Blob>(&mut Forever);
    assert!(matches!(value, Err(ValueError::Link(LinkError::Gone))));
}

/// A value whose own code sends and receives messages, on its way out and in.
#[test]
fn messages_within_messages_do_not_mix() {
    struct Outer(Named, std::cell::RefCell<Link>);
    impl Serialize for Outer {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert!(passing::leave(&self.0.1));
            let mut link = self.1.borrow_mut();
            put(&mut link.output, &Named::new(8)).expect("it can be encoded");
            finish(&mut link.output);
            self.0.0.serialize(serializer)
        }
    }
    let ((mut a, mut b), (c, mut d)) = (pair(), pair());
    let outer = Outer(Named::new(7), std::cell::RefCell::new(c));
    put(&mut a.output, &outer).expect("it can be encoded");
    finish(&mut a.output);
    for (link, name) in [(&mut b, 7), (&mut d, 8)] {
        link.input.begin(&mut Forever).expect("a message");
        let named: Named = link.input.value(&mut Forever).expect("a value");
        assert_eq!(named.0, name);
        link.input.finish(&mut Forever).expect("its end");
    }
}

#[test]
fn a_panic_while_decoding_leaves_the_link_of_use() {
    #[derive(Debug)]
    struct Bomb;
    impl<'de> Deserialize<'de> for Bomb {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u8::deserialize(deserializer)?;
            std::panic::panic_any("meant: while decoding")
        }
    }
    quiet();
    let (ear, named) = Ear::new();
    let (mut a, mut b) = pair();
    put(&mut a.output, &(1_u8, "rest", named)).expect("it can be encoded");
    finish(&mut a.output);
    put(&mut a.output, "next").expect("it can be encoded");
    finish(&mut a.output);
    b.input.begin(&mut Forever).expect("a message");
    match b.input.value::<Bomb>(&mut Forever) {
        Err(ValueError::Serde(why)) => assert!(why.contains("meant: while decoding"), "{why}"),
        other => panic!("{other:?}"),
    }
    b.input.begin(&mut Forever).expect("the next message");
    let next: String = b.input.value(&mut Forever).expect("its value");
    assert_eq!(next, "next");
    ear.all_closed();
}

/// Reading ahead takes room, which is given back.
#[test]
fn what_was_read_ahead_is_in_order() {
    let (mut a, mut b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..100_u64 {
                put(&mut a.output, &(i, Blob::<false>(bytes(50_000)))).expect("it is read");
                finish(&mut a.output);
            }
        });
        for i in 0..100_u64 {
            for _ in 0..5 {
                match b.input.pull() {
                    Ok(_) | Err(LinkError::Gone) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            b.input.begin(&mut Forever).expect("a message");
            let (j, data): (u64, Blob) = b.input.value(&mut Forever).expect("a value");
            assert_eq!((i, data.0.len()), (j, 50_000));
            b.input.finish(&mut Forever).expect("its end");
        }
    });
}

/// Fields that are left out when encoding are not named, so what follows would be taken for them.
#[test]
fn fields_that_are_left_out_are_noticed() {
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        a: Option<i32>,
        b: i32,
        c: i32,
    }
    let sparse = |a| Sparse { a, b: 0, c: 7 };
    let (mut a, mut b) = pair();
    put(&mut a.output, &sparse(Some(1))).expect("nothing is left out");
    put(&mut a.output, &sparse(None)).expect("the sender does not notice");
    put(&mut a.output, &(1, 2, 3)).expect("the next");
    finish(&mut a.output);
    b.input.begin(&mut Forever).expect("a message");
    let whole: Sparse = b.input.value(&mut Forever).expect("whole");
    assert_eq!(whole, sparse(Some(1)));
    match b.input.value::<Sparse>(&mut Forever) {
        Err(ValueError::Serde(why)) => assert!(why.contains("skip_serializing_if"), "{why}"),
        other => panic!("{other:?}"),
    }
    let (bytes, _) = super::alone::encode(&sparse(None), Vec::new()).expect("bytes");
    assert!(super::alone::decode::<Sparse>(&bytes, Default::default()).is_err());
}

mod bounds;
