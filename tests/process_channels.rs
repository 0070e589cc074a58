//! Channels between processes: queues of many senders and receivers, and pipes.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::watched;
use scipar::process::{
    Connection, Process, ProcessErrorKind, ProcessPool, Queue, Receiver, Sender, Shared, Stderr,
    pipe, task,
};
use serde::{Deserialize, Serialize};

scipar::process::test_worker!();

/// Of a sender, in its order, with a length that follows from that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    from: u32,
    number: u32,
    text: String,
}

fn message(from: u32, number: u32) -> Message {
    let len = match number % 50 {
        0 => 0,
        7 => 32 << 10, // just beyond a packet
        13 => 300_000,
        _ => number as usize,
    };
    Message {
        from,
        number,
        text: "m".repeat(len),
    }
}

task! {
    fn produce(to: Sender<Message>, from: u32, count: u32) {
        for number in 0..count { to.send(message(from, number)).unwrap(); }
    }
    fn consume(from: Receiver<Message>) -> Vec<(u32, u32)> {
        from.iter().map(|m| { assert_eq!(m, message(m.from, m.number)); (m.from, m.number) }).collect()
    }
    fn wait_for_end(from: Receiver<u32>, ready: Sender<u32>) -> bool {
        ready.send(0).unwrap();
        from.recv().unwrap_err().is_disconnected()
    }
    fn fill(to: Sender<Vec<u8>>, about_to: Sender<u32>) -> Option<usize> {
        for sent in 0..100_000 {
            about_to.send(0).unwrap();
            if let Err(error) = to.send(vec![9; 10_000]) {
                let is_right = error.is_disconnected() && error.into_inner() == vec![9; 10_000];
                return is_right.then_some(sent);
            }
        }
        None
    }
    fn die_sending(to: Sender<u32>) { for i in 0..3 { to.send(i).unwrap(); } std::process::abort() }
    fn take_one_and_hang(from: Receiver<u32>, ready: Sender<u32>) {
        ready.send(from.recv().unwrap()).unwrap();
        loop { let _ = from.recv().unwrap(); std::thread::park(); }
    }
    fn new_queue(first: u32) -> Queue<u32> { let queue = Queue::new().unwrap(); queue.send(first).unwrap(); queue }
    fn answer(questions: Receiver<(u32, Sender<u32>)>) { for (x, to) in questions.iter() { to.send(x * x).unwrap(); } }
    fn echo(peer: Connection<Vec<u64>, Vec<u64>>) -> usize {
        let mut count = 0;
        while let Ok(data) = peer.recv() { peer.send(data).unwrap(); count += 1; }
        count
    }
    fn both_ways(peer: Connection<Shared<u8>, Vec<u8>>, len: usize) -> usize {
        peer.send(Shared::from_slice(&vec![2; len]).unwrap()).unwrap();
        peer.recv().unwrap().len()
    }
    fn shout(peer: Connection<Blob, Blob>, len: usize) -> usize {
        peer.send(Blob(vec![1; len])).unwrap();
        peer.recv().unwrap().0.len()
    }
    fn die_in_a_message(peer: Connection<Mortal, u8>) { let _ = peer.send(Mortal); }
}

/// Bytes, as such.
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}

/// Ends the process when half of it is written; is read as bytes.
#[derive(Debug)]
struct Mortal;

impl Serialize for Mortal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut bytes = serializer.serialize_seq(Some(1_000_000))?;
        for _ in 0..500_000 {
            bytes.serialize_element(&1_u8)?;
        }
        std::process::abort()
    }
}

impl<'de> Deserialize<'de> for Mortal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|_| Self)
    }
}

/// Fails, or panics, when it is encoded.
#[derive(Debug, PartialEq)]
struct Unsendable {
    panics: bool,
    after: usize,
}

impl Serialize for Unsendable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeSeq};
        let mut bytes = serializer.serialize_seq(Some(self.after + 1))?;
        for _ in 0..self.after {
            bytes.serialize_element(&1_u8)?;
        }
        if self.panics {
            std::panic::panic_any(common::Meant(1));
        }
        Err(S::Error::custom("meant: it cannot be encoded"))
    }
}

impl<'de> Deserialize<'de> for Unsendable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Ok(Self {
            panics: false,
            after: bytes.len(),
        })
    }
}

/// Either a number or what cannot be sent.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Mixed {
    Number(u32),
    Bad(Unsendable),
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn every_message_is_received_once_and_in_its_senders_order() {
    let _alone = alone();
    watched("many to many", || {
        let before = open_files();
        let (senders, count) = (3, 300);
        let queue = Queue::<Message>::new().unwrap();
        let consumers: Vec<_> = (0..3)
            .map(|_| Process::spawn(consume, queue.receiver()).unwrap())
            .collect();
        let producers: Vec<_> = (1..senders)
            .map(|i| Process::spawn(produce, (queue.sender(), i, count)).unwrap())
            .collect();
        let own = queue.sender();
        drop(queue);
        for number in 0..count {
            own.send(message(0, number)).unwrap();
        }
        drop(own);
        for producer in producers {
            producer.join().unwrap();
        }
        let mut all = Vec::new();
        for consumer in consumers {
            let received = consumer.join().unwrap();
            for from in 0..senders {
                let numbers: Vec<_> = received.iter().filter(|m| m.0 == from).collect();
                assert!(numbers.is_sorted(), "{numbers:?}");
            }
            all.extend(received);
        }
        all.sort_unstable();
        let expected = (0..senders).flat_map(|from| (0..count).map(move |number| (from, number)));
        assert!(all.into_iter().eq(expected));
        assert_eq!(open_files(), before);
    });
}

#[test]
fn messages_of_any_length() {
    let _alone = alone();
    watched("lengths", || {
        let queue = Queue::<Blob>::new().unwrap();
        for len in [
            0,
            1,
            (32 << 10) - 5,
            (32 << 10) - 4,
            (32 << 10) - 3,
            32 << 10,
            100_000,
            10_000_000,
        ] {
            queue.send(Blob(vec![5; len])).unwrap();
            assert_eq!(queue.recv().unwrap(), Blob(vec![5; len]));
        }
        let nothing = Queue::<()>::new().unwrap();
        nothing.send(()).unwrap();
        nothing.recv().unwrap();
        assert!(nothing.try_recv().unwrap().is_none());
        let error = nothing.recv_timeout(Duration::from_millis(20)).unwrap_err();
        assert!(error.is_timeout() && !error.is_disconnected());
    });
}

#[test]
fn closing_wakes_receivers_in_other_processes() {
    let _alone = alone();
    watched("closing wakes receivers", || {
        let (queue, ready) = (Queue::<u32>::new().unwrap(), Queue::<u32>::new().unwrap());
        let waiting: Vec<_> = (0..2)
            .map(|_| Process::spawn(wait_for_end, (queue.receiver(), ready.sender())).unwrap())
            .collect();
        for _ in &waiting {
            ready.recv().unwrap();
        }
        queue.close();
        assert!(queue.send(1).unwrap_err().is_disconnected());
        for process in waiting {
            assert!(process.join().unwrap());
        }
    });
}

#[test]
fn closing_wakes_senders_in_other_processes_and_keeps_what_is_there() {
    let _alone = alone();
    watched("closing wakes senders", || {
        let (queue, ready) = (
            Queue::<Vec<u8>>::new().unwrap(),
            Queue::<u32>::new().unwrap(),
        );
        let sending: Vec<_> = (0..2)
            .map(|_| Process::spawn(fill, (queue.sender(), ready.sender())).unwrap())
            .collect();
        // Of two senders that have been about to send four times, two messages at least have been sent. When no more
        // is heard, the queue is full and both wait.
        for _ in 0..4 {
            ready.recv().unwrap();
        }
        while ready.recv_timeout(Duration::from_millis(100)).is_ok() {}
        queue.close();
        let sent = sending.into_iter().map(|process| {
            process
                .join()
                .unwrap()
                .expect("closed, and the message back")
        });
        let sent: usize = sent.sum();
        assert!(sent >= 2);
        // All that was accepted, and nothing else.
        for _ in 0..sent {
            assert_eq!(queue.recv().unwrap(), vec![9; 10_000]);
        }
        assert!(queue.recv().unwrap_err().is_disconnected());
    });
}

#[test]
fn deaths_at_either_end() {
    let _alone = alone();
    watched("deaths", || {
        let before = open_files();
        // The only producer.
        let queue = Queue::<u32>::new().unwrap();
        let producer = Process::builder()
            .stderr(Stderr::Kept)
            .spawn(die_sending, queue.sender())
            .unwrap();
        let receiver = queue.receiver();
        drop(queue);
        assert!(receiver.iter().eq(0..3));
        assert!(receiver.recv().unwrap_err().is_disconnected());
        assert!(producer.join().unwrap_err().is_death());
        // All consumers; one of them had a message in hand.
        let (queue, ready) = (Queue::<u32>::new().unwrap(), Queue::<u32>::new().unwrap());
        let mut consumer =
            Process::spawn(take_one_and_hang, (queue.receiver(), ready.sender())).unwrap();
        let (sender, other) = (queue.sender(), queue.receiver());
        drop(queue);
        for i in 0..10 {
            sender.send(i).unwrap();
        }
        assert_eq!(ready.recv().unwrap(), 0);
        consumer.kill();
        assert!(consumer.join().unwrap_err().is_death());
        // It had received two at most.
        let rest: Vec<u32> = std::iter::from_fn(|| other.try_recv().unwrap()).collect();
        assert!(
            rest.iter().copied().eq(1..10) || rest.iter().copied().eq(2..10),
            "{rest:?}"
        );
        drop(other);
        let error = sender.send(77).unwrap_err();
        assert!(error.is_disconnected() && error.error().is_none());
        assert_eq!(error.into_inner(), 77);
        drop((receiver, sender, ready));
        assert_eq!(open_files(), before);
    });
}

#[test]
fn handles_travel_in_messages_results_and_other_queues() {
    let _alone = alone();
    watched("handles travel", || {
        let before = open_files();
        {
            let pool = ProcessPool::new(2).unwrap();
            let queue = pool.call(new_queue, &5).unwrap();
            assert_eq!(queue.recv().unwrap(), 5);
            let questions = Queue::<(u32, Sender<u32>)>::new().unwrap();
            let worker = Process::spawn(answer, questions.receiver()).unwrap();
            let to = questions.sender();
            drop(questions);
            for x in 0..100 {
                to.send((x, queue.sender())).unwrap();
                assert_eq!(queue.recv().unwrap(), x * x);
            }
            drop(to);
            worker.join().unwrap();
            // More than can go at once.
            let many: Queue<Vec<Sender<u32>>> = Queue::new().unwrap();
            let error = many.send(vec![queue.sender(); 65]).unwrap_err();
            assert_eq!(error.error().unwrap().kind(), ProcessErrorKind::Encode);
            assert_eq!(error.into_inner().len(), 65);
            many.send(vec![queue.sender(); 63]).unwrap();
            many.recv().unwrap()[62].send(1).unwrap();
            assert_eq!(queue.recv().unwrap(), 1);
            many.send(vec![queue.sender(); 60]).unwrap(); // never received
        }
        assert!(
            common::eventually(|| open_files() == before),
            "{} {before}",
            open_files()
        );
    });
}

#[test]
fn what_cannot_be_encoded_or_decoded_costs_itself() {
    let _alone = alone();
    common::quiet();
    watched("encode", || {
        let (to, from) = pipe::<Mixed, Mixed>().unwrap();
        let queue = Queue::<Mixed>::new().unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for i in 0..6 {
                    assert_eq!(from.recv().unwrap(), Mixed::Number(i));
                    assert_eq!(queue.recv().unwrap(), Mixed::Number(i));
                }
            });
            let mut i = 0;
            for panics in [false, true] {
                for after in [0, 10, 600_000] {
                    let bad = || Mixed::Bad(Unsendable { panics, after });
                    for error in [to.send(bad()).unwrap_err(), queue.send(bad()).unwrap_err()] {
                        let kind = error.error().unwrap().kind();
                        assert_eq!(kind, ProcessErrorKind::Encode);
                        assert_eq!(error.into_inner(), bad());
                    }
                    to.send(Mixed::Number(i)).unwrap();
                    queue.send(Mixed::Number(i)).unwrap();
                    i += 1;
                }
            }
            reader.join().unwrap();
        });
        // Another type at the other end, as only a message's own code can arrange.
        #[derive(Debug)]
        struct Strange;
        impl Serialize for Strange {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                (0xff_u8, 0xff_u8).serialize(serializer)
            }
        }
        impl<'de> Deserialize<'de> for Strange {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let _: bool = bool::deserialize(deserializer)?;
                Ok(Self)
            }
        }
        let queue = Queue::<Strange>::new().unwrap();
        let (a, b) = pipe::<Strange, Strange>().unwrap();
        for _ in 0..2 {
            queue.send(Strange).unwrap();
            a.send(Strange).unwrap();
        }
        for _ in 0..2 {
            for error in [queue.recv().unwrap_err(), b.recv().unwrap_err()] {
                assert!(
                    !error.is_disconnected() && error.to_string().contains("decoded"),
                    "{error}"
                );
            }
        }
        assert!(queue.try_recv().unwrap().is_none() && b.try_recv().unwrap().is_none());
    });
}

#[test]
fn a_pipe_between_processes() {
    let _alone = alone();
    watched("pipe", || {
        let before = open_files();
        let (here, there) = pipe().unwrap();
        let process = Process::spawn(echo, there).unwrap();
        assert!(!here.poll(Duration::ZERO));
        assert!(
            here.recv_timeout(Duration::from_millis(10))
                .unwrap_err()
                .is_timeout()
        );
        assert!(here.try_recv().unwrap().is_none());
        for len in [0, 1, 20_000, 300_000] {
            let data: Vec<u64> = (0..len).collect();
            here.send(data.clone()).unwrap();
            assert!(here.poll(Duration::from_secs(50)));
            assert_eq!(here.recv().unwrap(), data);
        }
        assert!(!here.poll(Duration::ZERO));
        drop(here);
        assert_eq!(process.join().unwrap(), 4);
        // Both have much to say, in messages and beside them.
        let (here, there) = pipe::<Blob, Blob>().unwrap();
        let process = Process::spawn(shout, (there, 20_000_000)).unwrap();
        here.send(Blob(vec![3; 30_000_000])).unwrap();
        assert_eq!(here.recv().unwrap().0.len(), 20_000_000);
        assert_eq!(process.join().unwrap(), 30_000_000);
        assert!(here.recv().unwrap_err().is_disconnected());
        assert!(here.poll(Duration::ZERO), "the end is there");
        assert!(here.send(Blob(vec![])).unwrap_err().is_disconnected());
        drop(here);
        let (here, there) = pipe::<Vec<u8>, Shared<u8>>().unwrap();
        let process = Process::spawn(both_ways, (there, 1 << 20)).unwrap();
        here.send(vec![1; 1 << 20]).unwrap();
        assert_eq!(here.recv().unwrap()[(1 << 20) - 1], 2);
        assert_eq!(process.join().unwrap(), 1 << 20);
        drop(here);
        assert_eq!(open_files(), before);
    });
}

#[test]
fn a_peer_that_dies_in_the_middle_of_a_message() {
    let _alone = alone();
    watched("death in a message", || {
        let (here, there) = pipe::<u8, Mortal>().unwrap();
        let builder = Process::builder().stderr(Stderr::Kept);
        let process = builder.spawn(die_in_a_message, there).unwrap();
        for _ in 0..3 {
            assert!(here.recv().unwrap_err().is_disconnected());
        }
        assert!(here.send(1).unwrap_err().is_disconnected());
        assert!(process.join().unwrap_err().is_death());
    });
}

#[test]
fn a_connection_in_use_is_not_sent() {
    let _alone = alone();
    watched("unsent connections", || {
        let (a, b) = pipe::<u32, u32>().unwrap();
        let (c, d) = pipe::<u32, u32>().unwrap();
        let queue = Queue::<Connection<u32, u32>>::new().unwrap();
        // Two messages, of which one is received: the other has been read with it.
        a.send(1).unwrap();
        a.send(2).unwrap();
        assert_eq!(b.recv().unwrap(), 1);
        let error = queue.send(b).unwrap_err();
        let why = error.error().unwrap();
        assert_eq!(why.kind(), ProcessErrorKind::Encode);
        assert!(why.to_string().contains("read ahead"), "{why}");
        let b = error.into_inner();
        assert_eq!(b.recv().unwrap(), 2);
        queue.send(b).unwrap();
        let b = queue.recv().unwrap();
        a.send(3).unwrap();
        assert_eq!(b.recv().unwrap(), 3);
        // What has arrived and has not been read goes with it.
        c.send(4).unwrap();
        queue.send(d).unwrap();
        assert_eq!(queue.recv().unwrap().recv().unwrap(), 4);
    });
}

#[test]
fn threads_send_and_receive_at_once() {
    let _alone = alone();
    watched("threads", || {
        let (a, b) = pipe::<Vec<u32>, Vec<u32>>().unwrap();
        let talk = |end: &Connection<Vec<u32>, Vec<u32>>| {
            std::thread::scope(|scope| {
                for thread in 0..2 {
                    scope.spawn(move || {
                        for i in 0..50 {
                            end.send(vec![thread; 1000 * i]).unwrap();
                        }
                    });
                }
                let mut lens = [0; 2];
                for _ in 0..100 {
                    let data = end.recv().unwrap();
                    if let Some(first) = data.first() {
                        // In each thread's order.
                        lens[*first as usize] += 1000;
                        assert_eq!(data.len(), lens[*first as usize]);
                        assert!(data.iter().all(|x| x == first));
                    }
                }
            });
        };
        std::thread::scope(|scope| {
            scope.spawn(|| talk(&a));
            talk(&b);
        });
        assert!(!a.poll(Duration::ZERO) && !b.poll(Duration::ZERO));
    });
}
