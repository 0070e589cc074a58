//! The words that parents and workers say to each other, spoken by hand: for peers that are not
//! what they should be.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a segment is to its message.
pub(crate) const MORE: u8 = 0;
pub(crate) const LAST: u8 = 1;
pub(crate) const VOID: u8 = 2;

/// Bytes that a segment has at most.
pub(crate) const SEGMENT: usize = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: String,
    pub(crate) process: u32,
}

impl Hello {
    pub(crate) fn new() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) task_timeout: Option<Duration>,
    pub(crate) message_limit: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Run {
        id: u64,
        task: String,
        signature: String,
        reduce: Option<(String, String)>,
        context: Option<u64>,
        cpu: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Item<A> {
    Next(A),
    Leaf,
    End,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry<R> {
    Value(R),
    Panicked {
        message: String,
        place: Option<String>,
    },
    Unencoded(String),
    Undecoded(String),
    Unknown(String),
    TimedOut,
    End {
        wall: Duration,
        cpu: Duration,
    },
}

pub(crate) fn header(kind: u8, len: usize, descriptors: u8) -> Vec<u8> {
    let mut bytes = vec![0x5c, 0xa9, kind, descriptors];
    bytes.extend((len as u32).to_le_bytes());
    bytes
}

/// A value as it travels: its bytes, and how many they are.
pub(crate) fn value<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = postcard::to_stdvec(value).expect("it can be encoded");
    let made = bytes.len() as u64;
    bytes.extend(postcard::to_stdvec(&made).expect("a number"));
    bytes
}

/// A short message.
pub(crate) fn message(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(LAST, body.len(), 0);
    bytes.extend(body);
    bytes
}

/// The body of the next message, as a whole.
pub(crate) fn read_message(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut header = [0; 8];
        from.read_exact(&mut header)?;
        let len = u32::from_le_bytes(header[4..].try_into().expect("four bytes"));
        let at = body.len();
        body.resize(at + len as usize, 0);
        from.read_exact(&mut body[at..])?;
        if header[2] == LAST {
            return Ok(body);
        }
    }
}

/// Takes a value off the front of a message.
pub(crate) fn take<T: DeserializeOwned>(body: &mut &[u8]) -> T {
    let (value, rest) = postcard::take_from_bytes(body).expect("a value");
    let (_made, rest): (u64, _) = postcard::take_from_bytes(rest).expect("its length");
    *body = rest;
    value
}

/// The answer to a run: results, and an end.
pub(crate) fn answer<R: Serialize>(id: u64, results: &[R]) -> Vec<u8> {
    let mut body = value(&Answer { id });
    for result in results {
        body.extend(value(&Entry::Value(result)));
    }
    let none = Duration::ZERO;
    body.extend(value(&Entry::<()>::End {
        wall: none,
        cpu: none,
    }));
    body
}

/// Leads a worker as its parent would: has it run one task once. `None` where it is not one.
pub(crate) fn lead<A: Serialize, R: DeserializeOwned>(
    mut worker: impl Read + Write,
    (task, signature): (&str, &str),
    argument: A,
) -> Option<Entry<R>> {
    let hello = read_message(&mut worker).ok()?;
    let _: Hello = take(&mut &hello[..]);
    let setup = Setup {
        task_timeout: None,
        message_limit: u64::MAX,
    };
    worker.write_all(&message(&value(&setup))).ok()?;
    let order = Order::Run {
        id: 1,
        task: task.to_owned(),
        signature: signature.to_owned(),
        reduce: None,
        context: None,
        cpu: false,
    };
    let mut body = value(&order);
    body.extend(value(&Item::Next(argument)));
    body.extend(value(&Item::<()>::End));
    worker.write_all(&message(&body)).ok()?;
    let answer = read_message(&mut worker).ok()?;
    let answer = &mut &answer[..];
    assert_eq!(take::<Answer>(answer).id, 1);
    Some(take(answer))
}
