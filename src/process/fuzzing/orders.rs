//! A worker's orders: what a parent that has lost its mind could ask for.

use std::sync::Arc;
use std::time::Instant;

use super::script::{Never, Peer, Script};
use crate::process::call::{Call, CallError, Contexts};
use crate::process::os;
use crate::process::protocol::{Answer, Entry, Order};
use crate::process::serve::{Watched, or_broken};
use crate::process::shared::Shared;
use crate::process::task;
use crate::process::wire::{Forever, Input, Link, ValueError, alone, passing};

task! {
    fn add(left: u64, right: u64) -> u64 { left.wrapping_add(right) }
    fn nothing() -> u64 { 0 }
    fn lens(text: String, bytes: Vec<u8>) -> u64 { (text.len() + bytes.len()) as u64 }
    fn shared(array: Shared<u16>) -> u64 { array.iter().map(|item| u64::from(*item)).sum() }
    fn with(context: &Vec<u64>, item: u32) -> u64 {
        context.get(item as usize).copied().unwrap_or(0)
    }
    fn update(part: &mut [u32], by: u32) -> u64 {
        for item in &mut *part { *item = item.wrapping_add(by); }
        part.len() as u64
    }
}

/// A name and a signature.
fn known(which: u8) -> (&'static str, &'static str) {
    match which % 6 {
        0 => (add.name(), add.signature()),
        1 => (nothing.name(), nothing.signature()),
        2 => (lens.name(), lens.signature()),
        3 => (shared.name(), shared.signature()),
        4 => (with.name(), with.signature()),
        _ => (update.name(), update.signature()),
    }
}

/// Has a worker act on orders that say whatever the fuzzer wants. Gives the number of bytes that
/// were sent.
#[doc(hidden)]
pub fn orders(data: &[u8]) -> usize {
    let mut script = Script::new(data);
    let how = script.byte();
    let mut peer = match how & 1 {
        0 => Peer::messages(&mut script, order),
        _ => Peer::framed(&mut script),
    };
    let limit = match how >> 2 {
        0 => u64::MAX,
        some => u64::from(some) << 6,
    };
    let sent = peer.len();

    let (near, far) = os::stream_pair().expect("a socket pair");
    let answers = far.try_clone().expect("a descriptor");
    peer.connect(far);
    peer.send_all();
    os::finish_sending(&answers);
    let mut answers = Link::new(answers, u64::MAX).input;
    let Link { mut input, output } = Link::over(Arc::new(near), limit);
    let watched = Watched::new(output);
    let (mut contexts, mut cpu) = (Contexts::new(), None);
    // As `serve_all` does.
    while input.begin(&mut Forever).is_ok() {
        let Ok(order) = or_broken(input.value::<Order>(&mut Forever)) else {
            break;
        };
        let mut call = Call {
            input: &mut input,
            watched: &watched,
            contexts: &mut contexts,
            order: &order,
            timed: how & 2 != 0,
            cpu: &mut cpu,
            sent: Instant::now(),
        };
        let result = call.serve();
        if let Err(CallError::Link(_)) = result {
            break;
        }
        if let Order::Run { id, .. } = &order
            && result.is_ok()
        {
            read_answer(&mut answers, *id);
        }
        if input.finish(&mut Forever).is_err() {
            break;
        }
    }
    assert!(passing::take().is_none(), "a descriptor is left behind");
    sent
}

/// A driver relies on an answer's form whatever the order was.
fn read_answer(answers: &mut Input, id: u64) {
    answers.begin(&mut Never).expect("an answer");
    let answer: Answer = answers.value(&mut Never).expect("which run it is of");
    assert_eq!(answer.id, id);
    loop {
        match answers.value::<Entry<u64>>(&mut Never) {
            Ok(Entry::End { .. }) => break,
            Ok(_) | Err(ValueError::Void) => {}
            Err(error) => panic!("an answer without an end: {error:?}"),
        }
    }
    let over = answers.value::<u8>(&mut Never);
    assert!(matches!(over, Err(ValueError::End)), "{over:?}");
    answers.finish(&mut Never).expect("its end");
}

/// An order that a parent could give, as the beginning of a message; what follows it is the
/// fuzzer's.
fn order(script: &mut Script<'_>) -> Vec<u8> {
    let how = script.byte();
    let (task, signature) = known(script.byte());
    let number = u64::from(script.byte());
    let own = |(name, signature): (&str, &str)| (name.to_owned(), signature.to_owned());
    let order = match how % 4 {
        0 | 1 => Order::Run {
            id: number,
            task: task.into(),
            signature: signature.into(),
            reduce: (how & 4 != 0).then(|| own(known(how >> 4))),
            context: (how & 8 != 0).then_some(u64::from(how >> 4)),
            cpu: how & 1 != 0,
        },
        2 => Order::Context {
            context: u64::from(how >> 4),
            task: task.into(),
            signature: signature.into(),
        },
        _ => Order::Forget {
            context: u64::from(how >> 4),
        },
    };
    let (mut bytes, _) = alone::encode(&order, Vec::new()).expect("it can be encoded");
    let (len, _) = alone::encode(&bytes.len(), Vec::new()).expect("it can be encoded");
    bytes.extend(len);
    bytes
}
