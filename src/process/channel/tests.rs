//! What is no channel, and what is no message. Channels at work: `tests/process_channels.rs`.

use std::sync::Arc;

use super::{Connection, Queue, Receiver, RecvError, Sender, pipe};
use crate::process::error::ProcessErrorKind;
use crate::process::os::{self, Descriptor};
use crate::process::wire::{alone, passing};

/// A handle of anybody's making.
struct Forged(Option<Arc<Descriptor>>);

impl serde::Serialize for Forged {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(descriptor) = &self.0 {
            assert!(passing::leave(descriptor));
        }
        serializer.serialize_unit()
    }
}

fn sent<T: serde::Serialize, U: serde::de::DeserializeOwned>(value: &T) -> Result<U, String> {
    let (bytes, descriptors) = alone::encode(value, Vec::new())?;
    let copies = descriptors
        .iter()
        .map(|descriptor| descriptor.try_clone().expect("a descriptor"));
    alone::decode(&bytes, copies.collect())
}

/// A queue's receiver, and the bare other end.
fn half<T>() -> (Receiver<T>, Arc<Descriptor>) {
    let (near, far) = os::packet_pair().expect("sockets");
    let near: Receiver<T> = sent(&Forged(Some(Arc::new(near)))).expect("a socket");
    (near, Arc::new(far))
}

fn kind<T>(result: Result<T, RecvError>) -> ProcessErrorKind {
    match result {
        Err(RecvError::Failed(error)) => error.kind(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a message"),
    }
}

#[test]
fn what_is_no_channel_fails_when_it_is_used() {
    let memory = || Forged(Some(Arc::new(os::spill(b"memory").expect("memory"))));
    let sender: Sender<u8> = sent(&memory()).expect("not looked at yet");
    let error = sender.send(1).expect_err("no socket");
    assert_eq!(
        error.error().map(|error| error.kind()),
        Some(ProcessErrorKind::Io)
    );
    assert!(!error.is_disconnected());
    let receiver: Receiver<u8> = sent(&memory()).expect("not looked at yet");
    assert_eq!(kind(receiver.recv()), ProcessErrorKind::Io);
    let connection: Connection<u8, u8> = sent(&memory()).expect("not looked at yet");
    assert_eq!(kind(connection.recv()), ProcessErrorKind::Io);
    assert!(connection.send(1).expect_err("no socket").error().is_some());
    for error in [
        sent::<_, Sender<u8>>(&Forged(None)).expect_err("nothing came"),
        sent::<_, Queue<u8>>(&(Forged(None), Forged(None))).expect_err("nothing came"),
        sent::<_, Connection<u8, u8>>(&Forged(None)).expect_err("nothing came"),
    ] {
        assert!(error.contains("without its socket"), "{error}");
    }
}

#[test]
fn packets_that_are_no_messages() {
    let (receiver, far) = half::<Vec<u32>>();
    let send = |bytes: &[u8], with: &[Arc<Descriptor>]| {
        os::send(&far, [bytes, &[]], with).expect("room");
    };
    send(&[0, 2, 7], &[]); // announces two, has one
    assert_eq!(kind(receiver.recv()), ProcessErrorKind::Decode);
    send(&[1], &[]); // spilled, without memory
    assert_eq!(kind(receiver.recv()), ProcessErrorKind::Protocol);
    let memory = Arc::new(os::spill(&[1, 9]).expect("memory"));
    send(&[1], &[memory]);
    assert_eq!(receiver.recv().expect("this is one"), [9]);
    send(&vec![0; 100_000], &[]); // longer than any that this crate sends
    assert!(matches!(receiver.recv(), Err(RecvError::Failed(_))));
    send(&[0, 0], &[]);
    assert_eq!(
        receiver.recv().expect("others may follow"),
        Vec::<u32>::new()
    );
    drop(far);
    assert!(receiver.recv().expect_err("the end").is_disconnected());
}

#[test]
fn handles_are_sent_in_messages_only() {
    let queue = Queue::<u8>::new().expect("sockets");
    postcard::to_stdvec(&queue).expect_err("only in messages");
    postcard::from_bytes::<Queue<u8>>(&[]).expect_err("only in messages");
    let (a, _b) = pipe::<u8, u8>().expect("sockets");
    postcard::to_stdvec(&a).expect_err("only in messages");
    assert_eq!(format!("{queue:?} {a:?}"), "Queue { .. } Connection { .. }");
    // A handle that is a copy reaches the same queue, and does not end it.
    let copy: Queue<u8> = sent(&queue).expect("in a message");
    copy.send(1).expect("room");
    drop(copy);
    assert_eq!(queue.recv().expect("it is there"), 1);
}

/// What another process hands over as the memory of a long message.
#[test]
fn memory_that_is_none_is_refused() {
    use std::fs::File;
    use std::io::Write;

    let (receiver, far) = half::<Vec<u8>>();
    let receive = |memory: Descriptor| {
        let memory = Arc::new(memory);
        os::send(&far, [&[1], &[]], &[memory]).expect("room");
        receiver.recv()
    };
    let protocol = |memory: Descriptor, said: &str| match receive(memory) {
        Err(RecvError::Failed(error)) => {
            assert_eq!(error.kind(), ProcessErrorKind::Protocol, "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        other => panic!("{other:?}"),
    };
    let open = |path: &str| Descriptor::from(File::open(path).expect("it is there"));
    // What can be read for ever, or never.
    protocol(open("/dev/zero"), "no file");
    protocol(open("/dev/null"), "no file");
    protocol(open("/"), "no file");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    protocol(Descriptor::from(reader), "no file");
    drop(writer);
    let (socket, _peer) = os::stream_pair().expect("sockets");
    protocol(socket, "no file");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if made.is_ok_and(|status| status.success()) {
        // Both directions, so that opening it waits for no one.
        let fifo = File::options().read(true).write(true).open(&path);
        protocol(fifo.expect("a pipe").into(), "no file");
    }
    // Longer than any message, and nearly nothing of it there.
    let memory = os::memory_file().expect("memory");
    os::set_len(&memory, super::LONGEST + 1).expect("a length");
    protocol(memory, "are the most");
    // Files of the system whose lengths are not what is in them: as if they grew or shrank while
    // they are read.
    protocol(open("/proc/self/status"), "another length");
    if let Ok(file) = File::open("/sys/kernel/mm/transparent_hugepage/enabled") {
        protocol(file.into(), "another length");
    }
    // One that cannot be read is the system's refusal.
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(dir.path().join("unreadable"));
    let mut file = file.expect("a file");
    file.write_all(&[0, 0]).expect("room");
    assert_eq!(kind(receive(file.into())), ProcessErrorKind::Io);
    // And one at whose end its sender is, is one.
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&[2, 7, 8]).expect("room");
    assert_eq!(receive(file.into()).expect("a message"), [7, 8]);
    let long: Vec<u8> = (0..3_000_000_u32).map(|x| x as u8).collect();
    let bytes = postcard::to_stdvec(&long).expect("bytes");
    assert!(receive(os::spill(&bytes).expect("memory")).expect("a message") == long);
}

#[test]
fn kinds_of_packets_that_there_are_not() {
    let (receiver, far) = half::<Vec<u32>>();
    let memory = || Arc::new(os::spill(&[1, 9]).expect("memory"));
    for (bytes, with) in [
        (&[2, 0][..], vec![]),
        (&[255][..], vec![memory()]),
        (&[1, 1][..], vec![memory()]),
    ] {
        os::send(&far, [bytes, &[]], &with).expect("room");
        assert_eq!(
            kind(receiver.recv()),
            ProcessErrorKind::Protocol,
            "{bytes:?}"
        );
    }
    os::send(&far, [&vec![0; 100_000], &[]], &[]).expect("room");
    assert_eq!(kind(receiver.recv()), ProcessErrorKind::Protocol);
}

#[test]
fn descriptors_that_no_message_takes_are_closed() {
    use std::io::Read;

    let (receiver, far) = half::<u8>();
    let (mut ear, writer) = std::io::pipe().expect("a pipe");
    let writer = Arc::new(Descriptor::from(writer));
    let with = vec![Arc::clone(&writer); 10];
    os::send(&far, [&[0, 7], &[]], &with).expect("room");
    assert_eq!(receiver.recv().expect("a message"), 7);
    let memory = Arc::new(os::spill(&[8]).expect("memory"));
    let spilled = [&with[..], &[memory]].concat();
    os::send(&far, [&[1], &[]], &spilled).expect("room");
    assert_eq!(receiver.recv().expect("a message"), 8);
    for bytes in [&[0][..], &[9], &[0, 1, 2, 3], &vec![0; 100_000]] {
        os::send(&far, [bytes, &[]], &with).expect("room");
        receiver.recv().expect_err("no message");
    }
    drop((writer, with, spilled));
    assert_eq!(
        ear.read(&mut [0]).expect("a pipe can be read"),
        0,
        "one is open"
    );
}

/// What holds what has been read may wait for ever for more.
#[test]
fn a_connection_that_a_thread_receives_from_is_refused() {
    let (a, b) = pipe::<u8, u8>().expect("sockets");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| a.recv());
        let refused = loop {
            match alone::encode(&a, Vec::new()) {
                Ok(_) => std::thread::yield_now(), // it has not begun
                Err(why) => break why,
            }
        };
        assert!(refused.contains("receiving from"), "{refused}");
        b.send(5).expect("somebody receives");
        let received = reader.join().expect("it does not panic");
        assert_eq!(received.expect("a message"), 5);
    });
}
