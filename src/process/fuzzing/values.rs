//! The types that are decoded.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::process::channel::{Connection, Queue};
use crate::process::protocol::{Answer, Entry, Hello, Item, Order, Setup};
use crate::process::shared::Shared;
use crate::process::wire::frame::SEGMENT;
use crate::process::wire::{Input, Meanwhile, Output, Patience, ValueError, alone};

/// A value of a type that is not named any more.
pub(super) trait Kept {
    fn send(&self, output: &mut Output, meanwhile: &mut Meanwhile<'_>);

    /// Sends it as a value that fails.
    fn fail(&self, output: &mut Output, meanwhile: &mut Meanwhile<'_>);

    /// Asserts that the next value is this one. `true`: what came is void, and there is more.
    fn is_void(&self, input: &mut Input, patience: &mut dyn Patience) -> bool;
}

impl<T: Serialize + DeserializeOwned> Kept for T {
    fn send(&self, output: &mut Output, meanwhile: &mut Meanwhile<'_>) {
        let sent = output.value(self, meanwhile);
        sent.expect("what has been decoded can be encoded");
    }

    fn fail(&self, output: &mut Output, meanwhile: &mut Meanwhile<'_>) {
        let sent = output.value(&Failing(self), meanwhile);
        assert!(matches!(sent, Err(ValueError::Serde(_))), "{sent:?}");
    }

    fn is_void(&self, input: &mut Input, patience: &mut dyn Patience) -> bool {
        match input.value::<T>(patience) {
            Ok(again) => {
                assert!(bytes_of(&again) == bytes_of(self), "another value");
                false
            }
            Err(ValueError::Void) => true,
            Err(error) => panic!("a value that was sent: {error:?}"),
        }
    }
}

/// What a value is encoded to, by which values are compared: not all types have an equality, and
/// numbers that are not numbers are not equal to themselves.
pub(super) fn bytes_of<T: Serialize>(value: &T) -> (Vec<u8>, usize) {
    let (bytes, descriptors) = alone::encode(value, Vec::new()).expect("it can be encoded");
    (bytes, descriptors.len())
}

/// What is done with a type that the fuzzer chooses.
pub(super) trait OfType {
    type Out;

    fn on<T: Serialize + DeserializeOwned + 'static>(self) -> Self::Out;
}

pub(super) fn with_type<V: OfType>(kind: u8, visitor: V) -> V::Out {
    match kind % 18 {
        0 => visitor.on::<Tree>(),
        1 => visitor.on::<Entry<Tree>>(),
        2 => visitor.on::<Vec<Tree>>(),
        3 => visitor.on::<Vec<u64>>(),
        4 => visitor.on::<(String, Vec<u8>)>(),
        5 => visitor.on::<Vec<Borrowed>>(),
        6 => visitor.on::<Blob>(),
        7 => visitor.on::<Blob<true>>(),
        8 => visitor.on::<Settings>(),
        9 => visitor.on::<(Answer, Hello)>(),
        10 => visitor.on::<Entry<()>>(),
        11 => visitor.on::<Order>(),
        12 => visitor.on::<Item<(Setup, Cow<'static, str>)>>(),
        13 => visitor.on::<Option<Vec<Option<f64>>>>(),
        14 => visitor.on::<(i8, u16, i128, f32, char, bool, [u64; 9])>(),
        15 => visitor.on::<Entry<Vec<Shared<u16>>>>(),
        16 => visitor.on::<Item<(Connection<u8, Tree>, Queue<String>)>>(),
        _ => visitor.on::<()>(),
    }
}

/// Decodes the next value of a message as one of some type.
pub(super) fn read(
    kind: u8,
    input: &mut Input,
    patience: &mut dyn Patience,
) -> Result<Box<dyn Kept>, ValueError> {
    struct Read<'a>(&'a mut Input, &'a mut dyn Patience);
    impl OfType for Read<'_> {
        type Out = Result<Box<dyn Kept>, ValueError>;
        fn on<T: Serialize + DeserializeOwned + 'static>(self) -> Self::Out {
            self.0.value::<T>(self.1).map(|value| Box::new(value) as _)
        }
    }
    with_type(kind, Read(input, patience))
}

/// All that serde knows, nested.
#[derive(Serialize, Deserialize)]
pub(super) enum Tree {
    Nothing,
    Number(i64),
    Wide(u128, f32),
    Text(String),
    Letter(char),
    Bytes(Blob),
    Numbers(Vec<u64>),
    Maybe(Option<Inner>),
    List(Vec<Inner>),
    Map(BTreeMap<String, Inner>),
    Fields {
        flag: bool,
        pair: (u8, i16),
        next: Inner,
    },
}

/// Trees are in trees so often at most.
const DEEPEST: u32 = 8;

/// A tree in a tree. The depth is bounded here, as it is nowhere else: a recursive type is decoded
/// by recursion, and a message of two bytes for each level can have more of them than the stack has
/// room for. Each may also announce so many elements that serde makes room for a mebibyte of them.
#[derive(Serialize)]
pub(super) struct Inner(Box<Tree>);

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
        let depth = DEPTH.get();
        if depth == DEEPEST {
            return Err(D::Error::custom("too deep"));
        }
        DEPTH.set(depth + 1);
        let tree = Tree::deserialize(deserializer);
        DEPTH.set(depth);
        Ok(Self(Box::new(tree?)))
    }
}

/// Bytes that serde is told to be bytes, read as borrowed ones where `BORROWED`.
#[derive(Default)]
pub(super) struct Blob<const BORROWED: bool = false>(Vec<u8>);

impl Blob {
    /// One after which a segment has room for so many bytes.
    pub(super) fn that_leaves(room: usize) -> Self {
        // Its length takes three bytes, and so does the number of bytes that were made of it.
        Self(vec![0; SEGMENT - 6 - room])
    }
}

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
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
#[derive(Serialize)]
pub(super) struct Borrowed(String);

impl<'de> Deserialize<'de> for Borrowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|text| Self(text.to_owned()))
    }
}

/// As the context of a task may look.
#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    name: String,
    rates: Vec<f64>,
    limit: Option<Duration>,
    table: BTreeMap<u32, (String, Vec<u8>)>,
}

/// A value that cannot be encoded, as is found out at its end.
struct Failing<'a, T>(&'a T);

impl<T: Serialize> Serialize for Failing<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)?;
        Err(S::Error::custom("meant"))
    }
}
