//! Connections in the hands of several threads, and in those of the messages that are on them.

#![cfg(all(unix, feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::cell::Cell;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use common::{eventually, watched};
use scipar::process::{Connection, ProcessErrorKind, RecvError, SendError, pipe};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

type Ends = (Connection<Message, Message>, Connection<Message, Message>);

/// Runs a closure when it is encoded, or decoded.
struct Message {
    number: u32,
    encoding: Option<Box<dyn Fn() + Send>>,
}

thread_local! {
    static DECODING: Cell<Option<fn()>> = const { Cell::new(None) };
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({})", self.number)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(encoding) = &self.encoding {
            encoding();
        }
        self.number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if let Some(decoding) = DECODING.take() {
            decoding();
        }
        Ok(plain(number))
    }
}

fn plain(number: u32) -> Message {
    Message {
        number,
        encoding: None,
    }
}

fn with(number: u32, encoding: impl Fn() + Send + 'static) -> Message {
    Message {
        number,
        encoding: Some(Box::new(encoding)),
    }
}

type End = Arc<Connection<Message, Message>>;

fn ends() -> (End, End) {
    let (a, b): Ends = pipe().unwrap();
    (Arc::new(a), Arc::new(b))
}

#[track_caller]
fn not_sent(result: Result<(), SendError<Message>>, number: u32) {
    let error = result.unwrap_err();
    let kind = error.error().map(|error| error.kind());
    assert_eq!(kind, Some(ProcessErrorKind::Reentrant), "{error}");
    assert!(
        error.to_string().contains("whose own code uses it"),
        "{error}"
    );
    assert_eq!(error.into_inner().number, number);
}

#[track_caller]
fn not_received<T: std::fmt::Debug>(result: Result<T, RecvError>) {
    match result {
        Err(RecvError::Failed(error)) => assert_eq!(error.kind(), ProcessErrorKind::Reentrant),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_that_sends_on_its_own_connection_gets_an_error() {
    watched("send in send", || {
        let (a, b) = ends();
        let inner = Arc::clone(&a);
        a.send(with(1, move || not_sent(inner.send(plain(2)), 2)))
            .unwrap();
        a.send(plain(3)).unwrap();
        assert_eq!(b.recv().unwrap().number, 1);
        assert_eq!(b.recv().unwrap().number, 3);
        // The other direction is free, and so is another connection.
        let (inner, (c, d)) = (Arc::clone(&a), ends());
        b.send(plain(4)).unwrap();
        a.send(with(5, move || {
            assert_eq!(inner.recv().unwrap().number, 4);
            c.send(plain(6)).unwrap();
        }))
        .unwrap();
        assert_eq!(b.recv().unwrap().number, 5);
        assert_eq!(d.recv().unwrap().number, 6);
    });
}

/// Work of others that a thread of a thread pool does in between is on the same thread.
#[test]
fn work_that_is_stolen_while_a_message_is_sent_gets_an_error() {
    watched("steal", || {
        let (a, b) = ends();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let (report, result) = mpsc::channel();
        pool.install(|| {
            let other = Arc::clone(&a);
            rayon::spawn(move || report.send(other.send(plain(2))).unwrap());
            a.send(with(1, || {
                rayon::yield_now();
            }))
            .unwrap();
        });
        not_sent(result.recv().unwrap(), 2);
        assert_eq!(b.recv().unwrap().number, 1);
        assert!(b.try_recv().unwrap().is_none());
    });
}

static ENDS: OnceLock<Ends> = OnceLock::new();

#[test]
fn a_message_that_receives_from_its_own_connection_gets_an_error() {
    watched("receive in receive", || {
        let (a, b) = ENDS.get_or_init(|| pipe().unwrap());
        for number in 0..4 {
            a.send(plain(number)).unwrap();
        }
        DECODING.set(Some(|| {
            let (_, b) = ENDS.get().unwrap();
            not_received(b.recv());
            not_received(b.try_recv());
            not_received(b.recv_timeout(Duration::from_secs(1000)));
            assert!(!b.poll(Duration::from_secs(1000)));
            // The other direction is free.
            b.send(plain(10)).unwrap();
        }));
        for number in 0..4 {
            assert_eq!(b.recv().unwrap().number, number);
        }
        assert_eq!(a.recv().unwrap().number, 10);
    });
}

/// It is there for other threads while a message's own code runs, and after that has panicked.
#[test]
fn other_threads_wait_for_their_turn() {
    watched("turns", || {
        common::quiet();
        let (a, b) = ends();
        let (begun, hears) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        let goes = Mutex::new(goes);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                a.send(with(1, move || {
                    begun.send(()).unwrap();
                    goes.lock().unwrap().recv().unwrap();
                    std::panic::panic_any(common::Meant(1));
                }))
            });
            hears.recv().unwrap();
            let second = scope.spawn(|| a.send(plain(2)));
            // A handle to it is refused, whichever direction is in use, and the direction that is
            // free is of use.
            b.send(plain(3)).unwrap();
            assert_eq!(a.recv().unwrap().number, 3);
            assert!(!second.is_finished());
            go.send(()).unwrap();
            let error = first.join().unwrap().unwrap_err();
            assert_eq!(error.error().unwrap().kind(), ProcessErrorKind::Encode);
            second.join().unwrap().unwrap();
        });
        assert_eq!(b.recv().unwrap().number, 2);
    });
}

#[test]
fn who_does_not_want_to_wait_does_not_wait_for_another_thread() {
    watched("try", || {
        let (a, b) = ends();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| b.recv().unwrap().number);
            // Until it receives, there is nothing either.
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(200) {
                assert!(b.try_recv().unwrap().is_none());
                assert!(!b.poll(Duration::ZERO));
                let error = b.recv_timeout(Duration::from_millis(5)).unwrap_err();
                assert!(error.is_timeout(), "{error}");
                assert!(!b.poll(Duration::from_millis(5)));
            }
            a.send(plain(7)).unwrap();
            assert!(eventually(|| reader.is_finished()));
            assert_eq!(reader.join().unwrap(), 7);
        });
        a.send(plain(8)).unwrap();
        assert!(b.poll(Duration::ZERO));
        assert_eq!(b.try_recv().unwrap().unwrap().number, 8);
    });
}

#[test]
fn a_connection_that_is_in_use_is_not_sent() {
    watched("in use", || {
        let (a, _b) = ends();
        let (to, from) = pipe::<Handle, Connection<Message, Message>>().unwrap();
        let (inner, to) = (Arc::clone(&a), Arc::new(to));
        let sender = Arc::clone(&to);
        a.send(with(1, move || {
            let error = sender.send(Handle(Arc::clone(&inner))).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("is sending on"), "{text}");
        }))
        .unwrap();
        to.send(Handle(a)).unwrap();
        drop((to, from));
    });
}

/// A connection that others have as well.
struct Handle(Arc<Connection<Message, Message>>);

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
