//! What the fuzz targets of `tests/fuzz` run: the decoders of this room, fed with bytes and
//! descriptors that no worker has sent. Whatever comes, there is no panic and no hang, and what is
//! decoded can be sent and decoded again.
//!
//! It is in the library because the decoders are private. It is compiled for the fuzzer and for
//! unit tests, which run the corpus.

mod orders;
mod script;
mod values;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::script::{Busy, Never, Peer, Script};
use self::values::{Blob, Kept, OfType};
use super::channel::{Connection, Queue, Receiver, RecvError};
use super::error::ProcessErrorKind;
use super::os::{self, Descriptor};
use super::wire::{Link, Meanwhile, ValueError, alone, passing};

pub use orders::orders;

/// Reads messages from a socket, or packets from a queue, that say whatever the fuzzer wants. Gives
/// the number of bytes that were sent.
#[doc(hidden)]
pub fn wire(data: &[u8]) -> usize {
    let mut script = Script::new(data);
    let sent = match script.byte() % 4 {
        0 => stream(&mut script, false),
        1 => stream(&mut script, true),
        2 => {
            let kind = script.byte();
            values::with_type(kind, Packets(&mut script))
        }
        _ => {
            let kind = script.byte();
            values::with_type(kind, Pipe(&mut script))
        }
    };
    assert!(passing::take().is_none(), "a descriptor is left behind");
    sent
}

/// Messages of values of several types, as drivers and workers read them.
fn stream(script: &mut Script<'_>, framed: bool) -> usize {
    // Each step reads a value; the top bit of one ends the message before it.
    let steps = script.list();
    let cuts = script.list();
    let limit = match script.byte() {
        0 => u64::MAX,
        some => u64::from(some) << 6,
    };
    let mut peer = match framed {
        true => Peer::framed(script),
        false => Peer::raw(script),
    };
    peer.cut(cuts);
    let sent = peer.len();

    let (near, far) = os::stream_pair().expect("a socket pair");
    peer.connect(far);
    let mut input = Link::new(near, limit).input;
    let mut kept = Vec::new();
    let mut within = false;
    let mut turns = 0;
    let mut steps_on = steps.iter().copied().cycle();
    loop {
        turns += 1;
        assert!(turns <= sent + 16, "every turn uses up some byte");
        let step = steps_on.next().unwrap_or(0);
        if within && step & 0x80 != 0 {
            within = false;
            if input.finish(&mut peer).is_err() {
                break;
            }
        }
        if !within {
            if input.begin(&mut peer).is_err() {
                break;
            }
            within = true;
        }
        match values::read(step & 0x1f, &mut input, &mut peer) {
            Ok(value) => kept.push((step, value)),
            Err(ValueError::Void) => {}
            Err(ValueError::Serde(_) | ValueError::End) => {
                within = false;
                if input.finish(&mut peer).is_err() {
                    break;
                }
            }
            Err(ValueError::Link(_)) => break,
        }
    }
    again(&kept);
    sent
}

/// Sends values that have been decoded, as one message, and decodes them again.
fn again(kept: &[(u8, Box<dyn Kept>)]) {
    let (near, far) = os::stream_pair().expect("a socket pair");
    let mut output = Link::new(near, u64::MAX).output;
    let mut input = Link::new(far, u64::MAX).input;
    {
        let mut meanwhile = Meanwhile {
            input: Some(&mut input),
            patience: &mut Busy,
        };
        for (i, (step, value)) in kept.iter().enumerate() {
            if is_after_failure(i, *step) {
                // A value that fails at its end, some of which has gone out by then, costs itself
                // alone.
                output.flush(&mut meanwhile).expect("there is room");
                let padding = Blob::that_leaves(usize::from(step & 0x1f));
                padding.send(&mut output, &mut meanwhile);
                value.fail(&mut output, &mut meanwhile);
            }
            value.send(&mut output, &mut meanwhile);
            if step & 0x20 != 0 {
                output.flush(&mut meanwhile).expect("there is room");
            }
        }
        output.finish(&mut meanwhile).expect("there is room");
    }
    input.begin(&mut Never).expect("a message");
    for (i, (step, value)) in kept.iter().enumerate() {
        if is_after_failure(i, *step) {
            let padding = input.value::<Blob>(&mut Never);
            padding.expect("what was sent before a value that fails");
        }
        while value.is_void(&mut input, &mut Never) {}
    }
    loop {
        match input.value::<u8>(&mut Never) {
            Err(ValueError::Void) => {}
            Err(ValueError::End) => break,
            other => panic!("more than was sent: {other:?}"),
        }
    }
    input.finish(&mut Never).expect("its end");
    assert!(!input.has_unused());
}

/// Whether a value that fails comes before this one. Only before the first ones: each takes a
/// segment.
fn is_after_failure(index: usize, step: u8) -> bool {
    index < 4 && step & 0x40 != 0
}

/// Packets of a queue.
struct Packets<'s, 'a>(&'s mut Script<'a>);

impl OfType for Packets<'_, '_> {
    type Out = usize;

    fn on<T: Serialize + DeserializeOwned + 'static>(self) -> usize {
        let (near, far) = os::packet_pair().expect("a socket pair");
        let receiver: Receiver<T> =
            alone::decode(&[], [near].into()).expect("a socket is a receiver");
        let queue = Queue::<T>::new().expect("a queue");
        let mut sent = 0;
        while let Some(packet) = self.0.packet() {
            // An empty packet is not told from the end by the kernel.
            if packet.bytes.is_empty()
                || os::send(&far, [&packet.bytes, &[]], &packet.descriptors).is_err()
            {
                continue;
            }
            sent += packet.bytes.len();
            if let Ok(Some(value)) = receiver.try_recv() {
                let before = values::bytes_of(&value);
                queue.send(value).expect("there is room");
                assert!(values::bytes_of(&queue.recv().expect("it was sent")) == before);
            }
        }
        assert!(
            matches!(receiver.try_recv(), Ok(None)),
            "no packet is received twice"
        );
        drop(far);
        let end = receiver.recv();
        assert!(end.is_err_and(|error| error.is_disconnected()));
        sent
    }
}

/// One end of a pipe.
struct Pipe<'s, 'a>(&'s mut Script<'a>);

impl OfType for Pipe<'_, '_> {
    type Out = usize;

    fn on<T: Serialize + DeserializeOwned + 'static>(self) -> usize {
        let framed = self.0.byte() & 1 != 0;
        let how = self.0.list();
        let mut peer = match framed {
            true => Peer::framed(self.0),
            false => Peer::raw(self.0),
        };
        let (near, far) = os::stream_pair().expect("a socket pair");
        let connection: Connection<(), T> =
            alone::decode(&[], [near].into()).expect("a socket is a connection");
        peer.connect(far);
        let sent = peer.send_all();
        let mut how = how.iter().copied().cycle();
        let mut broken = 0;
        for turn in 0.. {
            assert!(turn <= sent + 16, "every turn uses up some byte");
            let received = match how.next().unwrap_or(0) % 4 {
                0 => connection.recv().map(Some),
                1 => connection.try_recv(),
                2 => connection.recv_timeout(Duration::ZERO).map(Some),
                _ => match connection.poll(Duration::ZERO) {
                    true => connection.recv().map(Some),
                    false => Ok(None),
                },
            };
            match received {
                Ok(Some(value)) => drop(value),
                // All is there, and the end too.
                Ok(None) | Err(RecvError::Timeout) => panic!("nothing, and no end"),
                Err(RecvError::Disconnected) => break,
                Err(RecvError::Failed(error)) if error.kind() == ProcessErrorKind::Decode => {}
                Err(RecvError::Failed(_)) => {
                    broken += 1;
                    if broken == 3 {
                        break;
                    }
                }
            }
        }
        sent
    }
}

/// A descriptor of some kind that a peer may send.
fn descriptor(kind: u8) -> Arc<Descriptor> {
    let content: Vec<u8> = (0..64).collect();
    let made = match kind % 4 {
        0 => os::spill(&content).inspect(|file| {
            let _ = os::seal(file); // where there are seals
        }),
        1 => os::spill(&content),
        2 => os::stream_pair().map(|pair| pair.0),
        _ => os::packet_pair().map(|pair| pair.0),
    };
    Arc::new(made.expect("a descriptor"))
}

#[cfg(test)]
mod tests;
