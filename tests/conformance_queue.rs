//! What users of CPython's `queue` and `multiprocessing` and of Rust's `std::sync::mpsc` rely on, restated for this crate's queues and
//! pipes. The comment of each test names the behaviour that it checks, and says where ours is different on purpose.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;
#[path = "conformance_queue/ends.rs"]
mod ends;

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use common::{Counted, Drops, MEANT, Meant, quiet, spin, watched};
use scipar::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use scipar::{
    Connection, JoinableQueue, Queue, Worker, pipe, pipe_bounded, rendezvous, wait_ready,
    wait_ready_timeout,
};

/// Room for so many messages; `None` without a limit.
type Capacity = Option<usize>;

const CAPACITIES: [Capacity; 5] = [Some(0), Some(1), Some(3), Some(1000), None];

/// Long enough that a thread which does not wait would be through, though nothing breaks where it is not.
const TICK: Duration = Duration::from_millis(40);

/// No wait that has an end takes so long, also where the machine is busy.
const LONG: Duration = Duration::from_secs(20);

fn queue<T>(capacity: Capacity) -> Queue<T> {
    capacity.map_or_else(Queue::unbounded, Queue::bounded)
}

fn joinable<T>(capacity: Capacity) -> JoinableQueue<T> {
    capacity.map_or_else(JoinableQueue::unbounded, JoinableQueue::bounded)
}

/// A queue that holds `0..len`, where it has so much room.
fn filled(capacity: Capacity, len: usize) -> Queue<usize> {
    let queue = queue(capacity);
    for i in 0..len {
        assert_eq!(queue.try_send(i), Ok(()));
    }
    queue
}

/// Starts a thread and sees that it waits.
#[track_caller]
fn waiting<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let (begun, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        begun.send(()).unwrap();
        f()
    });
    wait.recv().unwrap();
    thread::sleep(TICK);
    assert!(!thread.is_finished(), "it did not wait");
    thread
}

/// How long something took, which is at least a given time and not absurdly longer.
#[track_caller]
fn lasts<R>(least: Duration, f: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = f();
    let took = start.elapsed();
    assert!(took >= least, "{took:?} instead of {least:?}");
    assert!(took < least + LONG, "{took:?} instead of {least:?}");
    result
}

/// A few random numbers (splitmix64).
struct Random(u64);

impl Random {
    /// With the seed in the environment variable `SCIPAR_SEED`, or that of the clock, which a failing test prints.
    fn new(test: &str) -> Self {
        let seed = std::env::var("SCIPAR_SEED").map_or_else(
            |_| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                now.unwrap().as_nanos() as u64
            },
            |seed| seed.parse().unwrap(),
        );
        println!("{test}: SCIPAR_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

// Queue: order, and each message once.

/// `queue.Queue`, `multiprocessing.Queue` and `mpsc` are first-in, first-out.
#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    for capacity in [Some(1), Some(3), Some(1000), None] {
        let len = capacity.unwrap_or(5000);
        let queue = filled(capacity, len);
        assert!(queue.try_iter().eq(0..len), "capacity {capacity:?}");
        // Round and round a ring that is partly full.
        for i in 0..4 * len {
            queue.send(i).unwrap();
            assert_eq!(queue.recv(), Ok(i));
        }
    }
}

/// Several producers and consumers on one queue: each message goes to one consumer, and those of one producer come in order, as with
/// `queue.Queue` between threads. `mpsc` promises the same for its one receiver.
#[test]
fn each_message_comes_once_and_those_of_one_sender_come_in_order() {
    const LEN: usize = 1200;
    watched("each message comes once", || {
        for capacity in CAPACITIES {
            for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (3, 3)] {
                let each = LEN / senders;
                let queue = queue::<(usize, usize)>(capacity);
                let received: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
                    let receivers: Vec<_> = (0..receivers)
                        .map(|_| scope.spawn(|| queue.iter().collect()))
                        .collect();
                    let senders: Vec<_> = (0..senders)
                        .map(|sender| {
                            let queue = &queue;
                            scope.spawn(move || {
                                for i in 0..each {
                                    queue.send((sender, i)).unwrap();
                                }
                            })
                        })
                        .collect();
                    senders.into_iter().for_each(|s| s.join().unwrap());
                    queue.close();
                    receivers.into_iter().map(|r| r.join().unwrap()).collect()
                });
                let what = format!("{senders} to {receivers}, capacity {capacity:?}");
                assert_once_and_in_order(&received, &vec![each; senders], &what);
            }
        }
    });
}

/// Receivers together got the messages `0..accepted` of each sender, and each of them those of one sender in order.
#[track_caller]
fn assert_once_and_in_order(received: &[Vec<(usize, usize)>], accepted: &[usize], what: &str) {
    for messages in received {
        let mut last = vec![None; accepted.len()];
        for &(sender, i) in messages {
            assert!(last[sender] < Some(i), "{what}: order of sender {sender}");
            last[sender] = Some(i);
        }
    }
    let mut all: Vec<_> = received.iter().flatten().copied().collect();
    all.sort_unstable();
    let sent = accepted
        .iter()
        .enumerate()
        .flat_map(|(sender, &len)| (0..len).map(move |i| (sender, i)));
    assert!(all.into_iter().eq(sent), "{what}: lost or doubled");
}

/// Messages of no size and of a large one, in every kind of channel.
#[test]
fn messages_may_be_of_any_size() {
    for capacity in [Some(1), Some(3), Some(1000), None] {
        let nothing = queue(capacity);
        nothing.send(()).unwrap();
        assert_eq!((nothing.len(), nothing.recv()), (1, Ok(())));
        let large = queue(capacity);
        large.send([7_u64; 4096]).unwrap();
        assert_eq!(large.recv().map(|m| m.iter().sum()), Ok(7_u64 * 4096));
    }
}

/// As with `mpsc`, a message needs to be `Send` and nothing more; and handles can be shared as well as cloned.
#[test]
fn handles_are_shared_between_threads_for_messages_that_cannot_be() {
    fn shared<T: Send + Sync>() {}
    shared::<Queue<Cell<u8>>>();
    shared::<JoinableQueue<Cell<u8>>>();
    shared::<Connection<Cell<u8>, Cell<u8>>>();
}

// Queue: waiting.

/// `get()` of an empty queue waits for an item (`queue`, `multiprocessing`); so does `Receiver::recv`.
#[test]
fn receiving_from_an_empty_queue_waits_for_a_message() {
    watched("receiving waits", || {
        for capacity in CAPACITIES {
            let queue = queue(capacity);
            let receiver = {
                let queue = queue.clone();
                waiting(move || queue.recv())
            };
            queue.send(7).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(7), "capacity {capacity:?}");
        }
    });
}

/// `put()` into a full queue waits for a free slot (`queue`, `multiprocessing`); so does `SyncSender::send`.
#[test]
fn sending_to_a_full_queue_waits_for_room() {
    watched("sending waits", || {
        for room in [1, 3, 1000] {
            let queue = filled(Some(room), room);
            let sender = {
                let queue = queue.clone();
                waiting(move || queue.send(room))
            };
            assert_eq!(queue.recv(), Ok(0));
            assert_eq!(sender.join().unwrap(), Ok(()));
            assert!(queue.try_iter().eq(1..=room));
        }
    });
}

/// No wake-up is lost where several wait: as many messages as receivers, as much room as senders.
#[test]
fn everybody_who_waits_gets_a_turn() {
    const WAITING: usize = 4;
    watched("everybody gets a turn", || {
        for capacity in CAPACITIES {
            let messages = queue(capacity);
            let receivers: Vec<_> = (0..WAITING)
                .map(|_| {
                    let messages = messages.clone();
                    waiting(move || messages.recv().unwrap())
                })
                .collect();
            for i in 0..WAITING {
                messages.send(i).unwrap();
            }
            let got: HashSet<usize> = receivers.into_iter().map(|r| r.join().unwrap()).collect();
            assert_eq!(got, (0..WAITING).collect());

            let Some(room) = capacity else { continue };
            let full = filled(capacity, room);
            let senders: Vec<_> = (0..WAITING)
                .map(|i| {
                    let full = full.clone();
                    waiting(move || full.send(room + i))
                })
                .collect();
            let got: HashSet<usize> = (0..room + WAITING).map(|_| full.recv().unwrap()).collect();
            assert_eq!(got, (0..room + WAITING).collect());
            for sender in senders {
                assert_eq!(sender.join().unwrap(), Ok(()));
            }
        }
    });
}

/// `SimpleQueue.put`, and the sender of `mpsc::channel`: without a limit sending never waits.
#[test]
fn a_queue_without_a_limit_takes_whatever_is_sent() {
    let queue = Queue::unbounded();
    for i in 0..100_000 {
        match i % 3 {
            0 => queue.send(i).unwrap(),
            1 => queue.try_send(i).unwrap(),
            _ => queue.send_timeout(i, Duration::ZERO).unwrap(),
        }
    }
    assert_eq!(
        (queue.len(), queue.is_full(), queue.capacity()),
        (100_000, false, None)
    );
    assert!(queue.try_iter().eq(0..100_000));
}

/// `mpsc::sync_channel(0)` is a rendezvous: `send` returns when the message has been taken. (For Python's queues a `maxsize` of 0 is no
/// limit, which here is `unbounded`.)
#[test]
fn without_room_a_sender_waits_for_its_receiver() {
    watched("without room a sender waits", || {
        let queue = Queue::bounded(0);
        for take in 0..4 {
            let sender = {
                let queue = queue.clone();
                waiting(move || queue.send("hand to hand"))
            };
            let message = match take {
                0 => queue.recv().ok(),
                1 => queue.try_recv().ok(),
                2 => queue.recv_timeout(Duration::ZERO).ok(),
                _ => queue.try_iter().next(),
            };
            assert_eq!(message, Some("hand to hand"));
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
        // Nobody waits for a message: `try_send` finds no room.
        assert_eq!(queue.try_send("full"), Err(TrySendError::Full("full")));
        // Somebody does.
        let receiver = {
            let queue = queue.clone();
            waiting(move || queue.recv())
        };
        assert_eq!(queue.try_send("now"), Ok(()));
        assert_eq!(receiver.join().unwrap(), Ok("now"));
    });
}

/// `get_nowait` and `put_nowait` raise `Empty` and `Full`; `try_recv` and `try_send` of `mpsc` give errors, `Full` with the message.
#[test]
fn the_try_variants_do_not_wait() {
    for capacity in CAPACITIES {
        let empty = queue::<u8>(capacity);
        assert_eq!(empty.try_recv(), Err(TryRecvError::Empty));
        if let Some(room) = capacity {
            let full = filled(capacity, room);
            assert_eq!(full.try_send(room), Err(TrySendError::Full(room)));
            assert!(full.try_iter().eq(0..room), "a refused message is not sent");
        }
    }
}

// Queue: times.

/// `get(timeout=t)` raises `Empty` and `recv_timeout` gives `Timeout` after at least that time.
#[test]
fn receiving_in_vain_lasts_as_long_as_was_asked_for() {
    watched("receiving in vain", || {
        for capacity in CAPACITIES {
            let queue = queue::<u8>(capacity);
            for time in [Duration::ZERO, TICK] {
                let result = lasts(time, || queue.recv_timeout(time));
                assert_eq!(result, Err(RecvTimeoutError::Timeout));
            }
        }
    });
}

/// `put(timeout=t)` raises `Full` after at least that time; here the message comes back.
#[test]
fn sending_in_vain_lasts_as_long_as_was_asked_for() {
    watched("sending in vain", || {
        for room in [0, 1, 3, 1000] {
            let queue = filled(Some(room), room);
            for time in [Duration::ZERO, TICK] {
                let result = lasts(time, || queue.send_timeout(77, time));
                assert_eq!(result, Err(SendTimeoutError::Timeout(77)));
            }
            assert!(
                queue.try_iter().eq(0..room),
                "a refused message is not sent"
            );
        }
    });
}

/// A limit in time ends nothing early, and a message or room in time ends the wait. The longest time that can be written is no limit.
#[test]
fn a_wait_with_a_limit_ends_with_success_as_soon_as_it_can() {
    watched("a wait with a limit", || {
        for capacity in CAPACITIES {
            for limit in [LONG, Duration::MAX] {
                let messages = queue(capacity);
                let receiver = {
                    let messages = messages.clone();
                    waiting(move || lasts(Duration::ZERO, || messages.recv_timeout(limit)))
                };
                messages.send_timeout(7, limit).unwrap();
                assert_eq!(receiver.join().unwrap(), Ok(7));

                let Some(room) = capacity else { continue };
                let full = filled(capacity, room);
                let sender = {
                    let full = full.clone();
                    waiting(move || lasts(Duration::ZERO, || full.send_timeout(room, limit)))
                };
                assert_eq!(full.recv(), Ok(0));
                assert_eq!(sender.join().unwrap(), Ok(()));
            }
        }
    });
}

/// A sender whose time is over does not take a wake-up away from another one that waits for the same room.
#[test]
fn senders_that_give_up_leave_room_to_the_others() {
    watched("senders that give up", || {
        let mut random = Random::new("senders that give up");
        for _ in 0..40 {
            let queue = filled(Some(1), 1);
            let patient = {
                let queue = queue.clone();
                thread::spawn(move || queue.send(7))
            };
            let hasty = {
                let queue = queue.clone();
                let time = Duration::from_micros(random.below(2000));
                thread::spawn(move || queue.send_timeout(8, time).is_ok())
            };
            spin(Duration::from_micros(random.below(2000)));
            // Each message that is taken makes room for one, which comes without further takings.
            assert!(queue.recv().is_ok() && queue.recv().is_ok());
            if hasty.join().unwrap() {
                assert!(queue.recv().is_ok());
            }
            assert_eq!(patient.join().unwrap(), Ok(()));
            assert!(queue.is_empty());
        }
    });
}

// Queue: the end.

/// Waiters of all kinds, each with what it should end with when the queue is closed.
type Ends = Vec<JoinHandle<()>>;

fn receivers_that_wait(queue: &Queue<usize>) -> Ends {
    let clone = || queue.clone();
    let (a, b, c, d) = (clone(), clone(), clone(), clone());
    vec![
        waiting(move || assert_eq!(a.recv(), Err(RecvError))),
        waiting(move || {
            let result = b.recv_timeout(LONG);
            assert_eq!(result, Err(RecvTimeoutError::Disconnected));
        }),
        waiting(move || assert_eq!(c.iter().next(), None)),
        waiting(move || {
            let mut buffer = vec![1];
            assert_eq!(d.recv_many(&mut buffer, 5), Err(RecvError));
            assert_eq!(buffer, [1]);
        }),
    ]
}

/// `Queue.shutdown` (3.13) makes blocked `get()`s raise `ShutDown`; `recv` of `mpsc` wakes with an error when the last sender is gone.
#[test]
fn closing_wakes_all_receivers_that_wait() {
    watched("closing wakes receivers", || {
        for capacity in CAPACITIES {
            let queue = queue(capacity);
            let receivers = receivers_that_wait(&queue);
            queue.close();
            for receiver in receivers {
                receiver.join().unwrap();
            }
        }
    });
}

/// `Queue.shutdown` makes blocked `put()`s raise `ShutDown`; `SyncSender::send` wakes with the message in the error when the receiver
/// is gone. Here each sender gets its own message back, and what was in the queue stays there.
#[test]
fn closing_wakes_all_senders_that_wait_and_gives_their_messages_back() {
    watched("closing wakes senders", || {
        for room in [0, 1, 3, 1000] {
            let queue = filled(Some(room), room);
            let senders: Vec<_> = (2000..2006)
                .map(|message| {
                    let queue = queue.clone();
                    waiting(move || {
                        let refused = match message % 3 {
                            0 => queue.send(message).unwrap_err().into_inner(),
                            n => {
                                let limit = if n == 1 { LONG } else { Duration::MAX };
                                let error = queue.send_timeout(message, limit).unwrap_err();
                                assert!(error.is_disconnected() && !error.is_timeout());
                                error.into_inner()
                            }
                        };
                        assert_eq!(refused, message, "somebody else's message");
                    })
                })
                .collect();
            queue.close();
            for sender in senders {
                sender.join().unwrap();
            }
            assert_eq!(queue.len(), room);
            assert!(queue.iter().eq(0..room), "room for {room}");
        }
    });
}

/// After `shutdown`, `get()` gives what is left and then raises `ShutDown`; `mpsc` gives what was sent before the last sender went, and then
/// `Disconnected`. The end stays the end.
#[test]
fn what_was_sent_before_the_end_is_received_and_then_the_end() {
    watched("what was sent before the end", || {
        for (capacity, len) in [
            (Some(0), 0),
            (Some(1), 0),
            (Some(1), 1),
            (Some(3), 2),
            (Some(3), 3),
            (Some(1000), 1000),
            (None, 0),
            (None, 1000),
        ] {
            let queue = filled(capacity, len);
            queue.close();
            for i in 0..len {
                let message = match i % 3 {
                    0 => queue.recv().ok(),
                    1 => queue.try_recv().ok(),
                    _ => queue.recv_timeout(Duration::ZERO).ok(),
                };
                assert_eq!(message, Some(i), "capacity {capacity:?}");
            }
            for _ in 0..3 {
                assert_eq!(queue.recv(), Err(RecvError));
                assert_eq!(queue.try_recv(), Err(TryRecvError::Disconnected));
                let timed = queue.recv_timeout(LONG);
                assert_eq!(timed, Err(RecvTimeoutError::Disconnected));
                assert_eq!(queue.iter().next(), None);
            }
        }
    });
}

/// `put` after `shutdown` raises `ShutDown`, also where there is room; `send` of `mpsc` fails with the message in the error. Here as
/// well, and the message is not in the queue.
#[test]
fn sending_to_a_closed_queue_fails_and_gives_the_message_back() {
    watched("sending to a closed queue", || {
        for capacity in CAPACITIES {
            for len in [0, 1, 3] {
                if capacity.is_some_and(|room| room < len) {
                    continue;
                }
                let queue = filled(capacity, len);
                queue.close();
                assert_eq!(queue.send(7), Err(SendError(7)));
                assert_eq!(queue.try_send(8), Err(TrySendError::Disconnected(8)));
                for time in [Duration::ZERO, LONG, Duration::MAX] {
                    let timed = queue.send_timeout(9, time);
                    assert_eq!(timed, Err(SendTimeoutError::Disconnected(9)));
                }
                assert!(queue.iter().eq(0..len), "capacity {capacity:?}");
                assert_eq!(queue.send(7), Err(SendError(7)));
            }
        }
    });
}

/// `shutdown` may be called again, and is one for everybody who has the queue.
#[test]
fn closing_is_for_all_handles_and_may_be_repeated() {
    watched("closing again", || {
        for capacity in CAPACITIES {
            let queue = queue::<u8>(capacity);
            assert!(!queue.is_closed());
            thread::scope(|scope| {
                for _ in 0..4 {
                    let queue = queue.clone();
                    scope.spawn(move || {
                        queue.close();
                        queue.close();
                        assert!(queue.is_closed());
                    });
                }
            });
            assert!(queue.is_closed() && queue.clone().is_closed());
            assert_eq!(queue.recv(), Err(RecvError));
        }
    });
}

/// Different from `mpsc` on purpose: a handle that receives can send too, so a receiver is not told of an end where the other handles are gone.
#[test]
fn without_close_there_is_no_end() {
    let queue = Queue::bounded(1);
    drop(queue.clone());
    let other = queue.clone();
    thread::spawn(move || other.send(1))
        .join()
        .unwrap()
        .unwrap();
    assert_eq!(queue.recv(), Ok(1));
    assert_eq!(queue.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    assert_eq!(queue.send(2), Ok(()));
}

/// A thread that panics with a handle in hand, or with a message, does no harm to the others: nothing is poisoned.
#[test]
fn a_panic_of_one_who_has_a_handle_does_no_harm() {
    quiet();
    for capacity in [Some(1), None] {
        let queue = queue(capacity);
        queue.send(1).unwrap();
        let other = queue.clone();
        let panicking = thread::spawn(move || {
            let message = other.recv().unwrap();
            panic!("{MEANT} with message {message}");
        });
        assert!(panicking.join().is_err());
        queue.send(2).unwrap();
        queue.close();
        assert!(queue.iter().eq([2]));
    }
}

/// What `close` and senders and receivers do to one queue at once, many times over, at random moments.
///
/// `shutdown` of Python's queues is under the same lock as `put` and `get`, so that an item is in the queue or refused; `mpsc` says that a
/// message is received or comes back where the receiver goes. So: what was accepted is what was received, whatever was refused came back to
/// who sent it, after the first refusal there is no acceptance, and no message is dropped twice or never.
#[test]
fn closing_at_any_moment_neither_loses_nor_doubles_a_message() {
    watched("closing at any moment", || {
        let mut random = Random::new("closing at any moment");
        for capacity in CAPACITIES {
            let start = Instant::now();
            let mut rounds = 0;
            while start.elapsed() < Duration::from_millis(900) {
                close_at_a_random_moment(capacity, &mut random);
                rounds += 1;
            }
            println!("capacity {capacity:?}: {rounds} rounds");
        }
    });
}

/// A message that is its sender's and its place, and counts its drops.
struct Tracked {
    sender: usize,
    place: usize,
    drops: Arc<AtomicUsize>,
    /// So that a leak checker sees what is lost, and a sanitizer what is dropped twice.
    _boxed: Box<usize>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
    }
}

fn close_at_a_random_moment(capacity: Capacity, random: &mut Random) {
    let (senders, receivers) = (1 + random.below(4) as usize, 1 + random.below(4) as usize);
    let most = 1 << random.below(9);
    let delay = Duration::from_micros(random.below(most));
    let queue = queue::<Tracked>(capacity);
    let barrier = Arc::new(Barrier::new(senders + receivers + 1));
    let drops = Arc::new(AtomicUsize::new(0));

    let senders: Vec<_> = (0..senders)
        .map(|sender| {
            let (queue, barrier, drops) = (queue.clone(), barrier.clone(), drops.clone());
            let mut random = Random(random.next());
            thread::spawn(move || {
                barrier.wait();
                let made = |place| Tracked {
                    sender,
                    place,
                    drops: drops.clone(),
                    _boxed: Box::new(place),
                };
                let own = |message: Tracked, place| {
                    assert!((message.sender, message.place) == (sender, place));
                    message
                };
                let mut accepted = 0;
                let mut message = made(0);
                loop {
                    let refused = match random.below(3) {
                        0 => queue.send(message).err().map(|SendError(m)| (m, true)),
                        1 => queue.try_send(message).err().map(|error| {
                            let closed = error.is_disconnected();
                            (error.into_inner(), closed)
                        }),
                        _ => {
                            let time = Duration::from_micros(random.below(50));
                            queue.send_timeout(message, time).err().map(|error| {
                                let closed = error.is_disconnected();
                                (error.into_inner(), closed)
                            })
                        }
                    };
                    message = match refused {
                        None => {
                            accepted += 1;
                            made(accepted)
                        }
                        Some((message, false)) => own(message, accepted),
                        Some((message, true)) => {
                            let again = queue.try_send(own(message, accepted)).unwrap_err();
                            assert!(again.is_disconnected());
                            drop(own(again.into_inner(), accepted));
                            return accepted;
                        }
                    };
                }
            })
        })
        .collect();
    let receivers: Vec<_> = (0..receivers)
        .map(|_| {
            let (queue, barrier) = (queue.clone(), barrier.clone());
            let mut random = Random(random.next());
            thread::spawn(move || {
                barrier.wait();
                let mut received = Vec::new();
                let mut buffer = Vec::new();
                loop {
                    let ended = match random.below(4) {
                        0 => queue.recv().map(|m| buffer.push(m)).is_err(),
                        1 => match queue.try_recv() {
                            Ok(message) => {
                                buffer.push(message);
                                false
                            }
                            Err(error) => error == TryRecvError::Disconnected,
                        },
                        2 => {
                            let time = Duration::from_micros(random.below(50));
                            match queue.recv_timeout(time) {
                                Ok(message) => {
                                    buffer.push(message);
                                    false
                                }
                                Err(error) => error == RecvTimeoutError::Disconnected,
                            }
                        }
                        _ => queue.recv_many(&mut buffer, 4).is_err(),
                    };
                    received.extend(buffer.drain(..).map(|m| (m.sender, m.place)));
                    if ended {
                        return received;
                    }
                }
            })
        })
        .collect();

    barrier.wait();
    spin(delay);
    queue.close();
    let accepted: Vec<usize> = senders.into_iter().map(|s| s.join().unwrap()).collect();
    let received: Vec<_> = receivers.into_iter().map(|r| r.join().unwrap()).collect();
    let what = format!("capacity {capacity:?}, {delay:?}");
    assert_once_and_in_order(&received, &accepted, &what);
    assert!(queue.is_empty() && queue.try_recv().is_err(), "{what}");
    // Each sender was refused one message for good.
    let made = accepted.iter().sum::<usize>() + accepted.len();
    assert_eq!(drops.load(SeqCst), made, "{what}: drops");
}

/// "There is no message, and none will come": after the end there is no further message for anybody who begins to receive then, also
/// where senders were in the midst of sending.
#[test]
fn the_end_is_final() {
    watched("the end is final", || {
        let mut random = Random::new("the end is final");
        for capacity in CAPACITIES {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(500) {
                let queue = queue::<usize>(capacity);
                let barrier = Barrier::new(4);
                thread::scope(|scope| {
                    for _ in 0..3 {
                        scope.spawn(|| {
                            barrier.wait();
                            while queue.try_send(1).is_ok() || !queue.is_closed() {}
                        });
                    }
                    barrier.wait();
                    let until = Instant::now() + Duration::from_micros(random.below(100));
                    while Instant::now() < until {
                        let _ = queue.try_recv();
                    }
                    queue.close();
                    while queue.recv().is_ok() {}
                    for _ in 0..2000 {
                        let late = queue.try_recv();
                        assert_eq!(late, Err(TryRecvError::Disconnected), "{capacity:?}");
                    }
                });
            }
        }
    });
}

// Queue: drops.

/// Messages that nobody receives go with the queue, as with `mpsc`, and each is dropped once: in a full queue, a closed one, and a partly
/// emptied one.
#[test]
fn messages_that_are_left_are_dropped_with_the_last_handle() {
    for capacity in [Some(1), Some(3), Some(1000), None] {
        let len = capacity.unwrap_or(100);
        for closed in [false, true] {
            for taken in [0, len / 2] {
                let drops = Drops::new(len);
                let queue = queue(capacity);
                for message in drops.all() {
                    queue.send(message).unwrap();
                }
                assert_eq!(queue.is_full(), capacity.is_some());
                if closed {
                    queue.close();
                }
                for i in 0..taken {
                    assert_eq!(queue.recv().unwrap().index, i);
                }
                let other = queue.clone();
                drop(queue);
                assert!((taken..len).all(|i| drops.of(i) == 0), "one handle is left");
                drop(other);
                drops.assert_each_once(&format!("{capacity:?}, {closed}, {taken}"));
            }
        }
    }
}

/// A refused message is the sender's again: it is dropped where the sender drops the error.
#[test]
fn refused_messages_are_dropped_by_their_sender() {
    for room in [0, 1, 3] {
        let drops = Drops::new(room + 6);
        let queue = queue(Some(room));
        let mut messages = drops.all().into_iter();
        for message in messages.by_ref().take(room) {
            queue.send(message).unwrap();
        }
        let mut message = || messages.next().unwrap();
        let mut refused: Vec<Counted> = vec![
            queue.try_send(message()).unwrap_err().into_inner(),
            queue
                .send_timeout(message(), TICK)
                .unwrap_err()
                .into_inner(),
        ];
        queue.close();
        refused.extend([
            queue.send(message()).unwrap_err().into_inner(),
            queue.try_send(message()).unwrap_err().into_inner(),
            queue
                .send_timeout(message(), TICK)
                .unwrap_err()
                .into_inner(),
            queue.send(message()).unwrap_err().0,
        ]);
        assert!((0..room + 6).all(|i| drops.of(i) == 0));
        assert!(refused.iter().map(|m| m.index).eq(room..room + 6));
        drop(refused);
        assert!((0..room).all(|i| drops.of(i) == 0));
        drop(queue);
        drops.assert_each_once(&format!("room for {room}"));
    }
}

// Queue: looking, iterating, receiving many.

/// `qsize`, `empty`, `full` and `maxsize` of Python's queues. Closing changes none of them.
#[test]
fn len_and_its_relatives_say_what_is_there() {
    for capacity in [Some(1), Some(3), Some(1000), None] {
        let room = capacity.unwrap_or(10);
        for closed in [false, true] {
            let queue = queue(capacity);
            for len in 0..room {
                assert_eq!((queue.len(), queue.is_empty()), (len, len == 0));
                assert!(!queue.is_full());
                queue.send(len).unwrap();
            }
            if closed {
                queue.close();
            }
            assert_eq!((queue.len(), queue.capacity()), (room, capacity));
            assert_eq!(queue.is_full(), capacity.is_some());
            for len in (0..room).rev() {
                queue.recv().unwrap();
                assert_eq!((queue.len(), queue.is_empty()), (len, len == 0));
                assert!(!queue.is_full(), "closed: {closed}");
            }
            assert_eq!(queue.try_recv().is_err(), queue.is_empty());
            assert_eq!((queue.len(), queue.capacity()), (0, capacity));
        }
    }
}

/// A queue without room is empty and full at once, whatever waits for it, closed or not.
#[test]
fn a_queue_without_room_is_empty_and_full() {
    watched("a queue without room", || {
        let queue = Queue::bounded(0);
        let looks = || {
            assert_eq!((queue.len(), queue.capacity()), (0, Some(0)));
            assert!(queue.is_empty() && queue.is_full());
        };
        looks();
        let sender = {
            let queue = queue.clone();
            waiting(move || queue.send(1))
        };
        looks();
        queue.close();
        looks();
        assert_eq!(sender.join().unwrap(), Err(SendError(1)));
        looks();
    });
}

/// `Receiver::iter` and `into_iter` of `mpsc` wait, and end with the channel.
#[test]
fn iterators_wait_for_messages_and_end_with_the_queue() {
    watched("iterators", || {
        for capacity in CAPACITIES {
            let queue = queue::<usize>(capacity);
            let consumers: Vec<JoinHandle<usize>> = {
                let (a, b, c) = (queue.clone(), queue.clone(), queue.clone());
                vec![
                    waiting(move || a.iter().count()),
                    waiting(move || b.into_iter().count()),
                    waiting(move || {
                        let mut count = 0;
                        for _ in &c {
                            count += 1;
                        }
                        count
                    }),
                ]
            };
            (0..100).for_each(|i| queue.send(i).unwrap());
            queue.close();
            let counts = consumers.into_iter().map(|c| c.join().unwrap());
            assert_eq!(counts.sum::<usize>(), 100, "capacity {capacity:?}");
        }
    });
}

/// `Receiver::try_iter` of `mpsc` gives what is there and does not wait.
#[test]
fn the_iterator_that_does_not_wait_ends_where_nothing_is_there() {
    for capacity in CAPACITIES {
        let len = capacity.unwrap_or(10);
        let queue = filled(capacity, len);
        assert!(queue.try_iter().eq(0..len));
        assert_eq!(queue.try_iter().next(), None);
        assert_eq!(queue.try_send(1).is_ok(), capacity != Some(0));
        queue.close();
        assert_eq!(queue.try_iter().count(), len.min(1));
        assert_eq!(queue.try_iter().next(), None);
    }
}

/// `recv_many` is as if it were `recv` and then `try_recv` as long as there are messages: in order, and never more than asked for.
#[test]
fn receiving_many_takes_what_is_there_up_to_the_maximum() {
    watched("receiving many", || {
        for capacity in [Some(3), Some(1000), None] {
            let queue = filled(capacity, 3);
            let mut buffer = vec![77];
            assert_eq!(queue.recv_many(&mut buffer, 0), Ok(0));
            assert_eq!(queue.recv_many(&mut buffer, 2), Ok(2));
            assert_eq!(buffer, [77, 0, 1]);
            assert_eq!(queue.recv_many(&mut buffer, usize::MAX), Ok(1));
            assert_eq!(buffer, [77, 0, 1, 2]);
        }
        for capacity in CAPACITIES {
            let queue = queue(capacity);
            let receiver = {
                let queue = queue.clone();
                waiting(move || {
                    let mut buffer = Vec::new();
                    queue.recv_many(&mut buffer, 10).map(|_| buffer)
                })
            };
            queue.send(5).unwrap();
            let got = receiver.join().unwrap().unwrap();
            assert_eq!(got, [5], "capacity {capacity:?}");
            // What is left at the end comes first, and then the end, with the buffer as it was.
            let left = usize::from(queue.try_send(6).is_ok());
            queue.close();
            let mut buffer = Vec::new();
            if left == 1 {
                assert_eq!(queue.recv_many(&mut buffer, 10), Ok(1));
            }
            assert_eq!(queue.recv_many(&mut buffer, 10), Err(RecvError));
            assert_eq!(buffer.len(), left);
        }
    });
}

/// The room that `recv_many` makes is for as many senders.
#[test]
fn receiving_many_wakes_the_senders_that_wait() {
    watched("receiving many wakes", || {
        let queue = filled(Some(3), 3);
        let senders: Vec<_> = (3..6)
            .map(|i| {
                let queue = queue.clone();
                waiting(move || queue.send(i))
            })
            .collect();
        let mut got = Vec::new();
        while got.len() < 6 {
            queue.recv_many(&mut got, 3).unwrap();
        }
        senders.into_iter().for_each(|s| s.join().unwrap().unwrap());
        got.sort_unstable();
        assert!(got.into_iter().eq(0..6));
    });
}

/// As those of `mpsc`, the errors are `Error`s that can be printed whatever the message is, and turn into each other.
#[test]
fn errors_can_be_printed_and_say_what_happened() {
    struct Silent;
    fn texts(error: impl std::error::Error) -> (String, String) {
        (error.to_string(), format!("{error:?}"))
    }
    let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let (closed, full) = ("sending on a closed channel", "sending on a full channel");
    assert_eq!(texts(SendError(Silent)), both(closed, "SendError(..)"));
    assert_eq!(texts(TrySendError::Full(Silent)), both(full, "Full(..)"));
    let error = TrySendError::from(SendError(Silent));
    assert!(error.is_disconnected() && !error.is_full());
    assert_eq!(texts(error), both(closed, "Disconnected(..)"));
    let error = SendTimeoutError::from(SendError(Silent));
    assert_eq!(texts(error), both(closed, "Disconnected(..)"));
    let (text, name) = texts(SendTimeoutError::Timeout(Silent));
    assert!(text.contains("timed out") && name == "Timeout(..)");
    assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
    let timed = RecvTimeoutError::from(RecvError);
    assert_eq!(timed, RecvTimeoutError::Disconnected);
    assert_eq!(texts(RecvError).0, texts(timed).0);
    assert_ne!(texts(TryRecvError::Empty).0, texts(RecvError).0);
    assert!(texts(RecvTimeoutError::Timeout).0.contains("timed out"));
}

// JoinableQueue.

/// `JoinableQueue.join` returns at once where nothing is unfinished.
#[test]
fn joining_a_queue_that_was_never_used_does_not_wait() {
    watched("joining an unused queue", || {
        for capacity in CAPACITIES {
            let jobs = joinable::<u8>(capacity);
            jobs.join();
            assert!(jobs.join_timeout(Duration::ZERO));
            jobs.close();
            jobs.join();
            assert_eq!(
                (jobs.unfinished(), jobs.len(), jobs.capacity()),
                (0, 0, capacity)
            );
            assert!(jobs.is_empty() && jobs.is_closed());
        }
    });
}

/// `join` waits until `task_done` was called for every item that was put, not merely until the queue is empty. Here a claim says so by
/// its drop.
#[test]
fn join_waits_for_what_is_queued_and_for_what_is_claimed() {
    watched("join waits", || {
        let jobs = JoinableQueue::unbounded();
        jobs.send(1).unwrap();
        jobs.send(2).unwrap();
        assert_eq!((jobs.unfinished(), jobs.len()), (2, 2));
        let joins: Vec<_> = (0..3)
            .map(|_| {
                let jobs = jobs.clone();
                waiting(move || jobs.join())
            })
            .collect();
        let first = jobs.recv().unwrap();
        let second = jobs.try_recv().unwrap();
        assert_eq!(
            (jobs.unfinished(), jobs.len(), jobs.is_empty()),
            (2, 0, true)
        );
        drop(first);
        assert_eq!(jobs.unfinished(), 1);
        assert!(!lasts(TICK, || jobs.join_timeout(TICK)));
        assert!(joins.iter().all(|join| !join.is_finished()));
        drop(second);
        for join in joins {
            join.join().unwrap();
        }
        assert!(jobs.join_timeout(LONG) && jobs.unfinished() == 0);
        // As in Python, the count goes up again with the next item.
        jobs.send(3).unwrap();
        assert!(!jobs.join_timeout(Duration::ZERO));
        drop(jobs.recv_timeout(LONG).unwrap());
        jobs.join();
    });
}

/// `get` returns the item: a claim is used like one, and gives it back where it is to be kept. It counts from then on.
#[test]
fn a_claim_is_used_like_its_task() {
    let jobs = JoinableQueue::bounded(2);
    jobs.send(vec![1]).unwrap();
    let mut claim = jobs.recv().unwrap();
    claim.push(2);
    assert_eq!((claim.len(), jobs.unfinished()), (2, 1));
    let kept = claim.done();
    assert_eq!((kept, jobs.unfinished()), (vec![1, 2], 0));
}

/// Order, waiting, times and the end are those of a queue.
#[test]
fn a_joinable_queue_is_a_queue() {
    watched("a joinable queue is a queue", || {
        let jobs = JoinableQueue::bounded(3);
        for i in 0..3 {
            jobs.send(i).unwrap();
        }
        assert_eq!(jobs.try_send(3), Err(TrySendError::Full(3)));
        let timed = lasts(TICK, || jobs.send_timeout(3, TICK));
        assert_eq!(timed, Err(SendTimeoutError::Timeout(3)));
        let sender = {
            let jobs = jobs.clone();
            waiting(move || jobs.send(3))
        };
        assert_eq!(*jobs.recv().unwrap(), 0);
        assert_eq!(sender.join().unwrap(), Ok(()));
        let sender = {
            let jobs = jobs.clone();
            waiting(move || jobs.send(4))
        };
        jobs.close();
        assert_eq!(sender.join().unwrap(), Err(SendError(4)));
        assert_eq!(jobs.try_send(5), Err(TrySendError::Disconnected(5)));
        for i in 1..4 {
            assert_eq!(*jobs.recv_timeout(LONG).unwrap(), i);
        }
        assert_eq!(jobs.recv().unwrap_err(), RecvError);
        assert_eq!(jobs.try_recv().unwrap_err(), TryRecvError::Disconnected);
        assert_eq!(
            jobs.recv_timeout(LONG).unwrap_err(),
            RecvTimeoutError::Disconnected
        );
        jobs.join();

        let empty = JoinableQueue::<u8>::unbounded();
        assert_eq!(empty.try_recv().unwrap_err(), TryRecvError::Empty);
        let timed = lasts(TICK, || empty.recv_timeout(TICK).map(drop));
        assert_eq!(timed, Err(RecvTimeoutError::Timeout));
        let receiver = {
            let empty = empty.clone();
            waiting(move || empty.recv().map(|claim| claim.done()))
        };
        empty.send(7).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
}

/// An item that `put` refuses is no unfinished task (`queue` counts after it has put).
#[test]
fn a_task_that_could_not_be_sent_does_not_count() {
    watched("a task that could not be sent", || {
        for room in [0, 1, 3] {
            let jobs = JoinableQueue::bounded(room);
            (0..room).for_each(|i| jobs.try_send(i).unwrap());
            assert!(jobs.try_send(7).is_err() && jobs.send_timeout(7, TICK).is_err());
            assert_eq!(jobs.unfinished(), room);
            let sender = {
                let jobs = jobs.clone();
                waiting(move || jobs.send(7))
            };
            jobs.close();
            assert_eq!(sender.join().unwrap(), Err(SendError(7)));
            assert!(jobs.send(8).is_err() && jobs.try_send(8).is_err());
            assert!(jobs.send_timeout(8, LONG).is_err());
            assert_eq!(jobs.unfinished(), room);
            while let Ok(claim) = jobs.recv() {
                drop(claim);
            }
            jobs.join();
        }
    });
}

/// Python counts when `put` has put. Here a task counts from the moment when somebody begins to send it, as it may be done before `send`
/// returns; one that could not be sent does not count any more.
#[test]
fn a_task_that_could_not_be_sent_does_not_count_any_more() {
    watched("a task that could not be sent", || {
        let jobs = JoinableQueue::bounded(0);
        let sender = {
            let jobs = jobs.clone();
            waiting(move || jobs.send(7))
        };
        assert_eq!(jobs.unfinished(), 1);
        jobs.close();
        assert_eq!(sender.join().unwrap(), Err(SendError(7)));
        assert_eq!((jobs.unfinished(), jobs.join_timeout(TICK)), (0, true));
    });
}

/// After `shutdown` without `immediate`, `join` still waits for the items that were put before.
#[test]
fn join_waits_for_tasks_that_were_sent_before_the_end() {
    watched("join after close", || {
        let jobs = JoinableQueue::unbounded();
        (0..3).for_each(|i| jobs.send(i).unwrap());
        jobs.close();
        let join = {
            let jobs = jobs.clone();
            waiting(move || jobs.join())
        };
        while let Ok(claim) = jobs.recv() {
            assert!(!join.is_finished());
            drop(claim);
        }
        join.join().unwrap();
    });
}

/// Different from Python on purpose: there, a worker that raises before it calls `task_done` leaves `join` waiting for ever.
#[test]
fn a_task_whose_worker_panics_is_done() {
    quiet();
    watched("a task whose worker panics", || {
        let jobs = JoinableQueue::unbounded();
        (0..3).for_each(|i| jobs.send(i).unwrap());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let jobs = jobs.clone();
                thread::spawn(move || {
                    let job = jobs.recv().unwrap();
                    std::panic::panic_any(Meant(*job));
                })
            })
            .collect();
        jobs.join();
        assert_eq!(jobs.unfinished(), 0);
        for worker in workers {
            assert!(worker.join().unwrap_err().is::<Meant>());
        }
    });
}

/// What a task's own drop does is done when `join` returns, also where that drop panics.
#[test]
fn a_task_is_done_when_it_has_been_dropped() {
    struct Slow(Arc<AtomicBool>);
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(TICK);
            self.0.store(true, SeqCst);
        }
    }
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{MEANT} a drop");
        }
    }
    quiet();
    watched("a task is done when dropped", || {
        let dropped = Arc::new(AtomicBool::new(false));
        let jobs = JoinableQueue::unbounded();
        jobs.send(Slow(dropped.clone())).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| drop(jobs.recv().unwrap()));
            jobs.join();
            assert!(dropped.load(SeqCst));
        });
        let bombs = JoinableQueue::unbounded();
        bombs.send(Bomb).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| drop(bombs.recv().unwrap())));
        assert!(caught.is_err() && bombs.unfinished() == 0);
        bombs.join();
    });
}

/// A worker that puts further items before it calls `task_done` keeps `join` waiting for those too: the usual walk of a tree.
#[test]
fn join_waits_for_tasks_that_tasks_send() {
    watched("tasks that tasks send", || {
        let jobs = JoinableQueue::unbounded();
        let (workers, seen) = (3, AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Ok(depth) = jobs.recv() {
                        if *depth > 0 {
                            jobs.send(*depth - 1).unwrap();
                            jobs.send(*depth - 1).unwrap();
                        }
                        seen.fetch_add(1, SeqCst);
                    }
                });
            }
            for round in 1..=20 {
                jobs.send(6).unwrap();
                jobs.join();
                assert_eq!(seen.load(SeqCst), round * 127);
                assert!(jobs.is_empty() && jobs.unfinished() == 0);
            }
            jobs.close();
        });
    });
}

/// Several producers and consumers, with every capacity: when `join` returns, all work that was sent has been done and is seen.
#[test]
fn join_sees_all_work_for_any_number_of_senders_and_workers() {
    const LEN: usize = 300;
    watched("join sees all work", || {
        for capacity in CAPACITIES {
            for (senders, workers) in [(1, 3), (3, 1), (3, 3)] {
                let jobs = joinable::<usize>(capacity);
                let done = Mutex::new(Vec::new());
                thread::scope(|scope| {
                    for _ in 0..workers {
                        scope.spawn(|| {
                            while let Ok(job) = jobs.recv() {
                                done.lock().unwrap().push(*job);
                            }
                        });
                    }
                    let senders: Vec<_> = (0..senders)
                        .map(|sender| {
                            let jobs = &jobs;
                            let mine = (sender..LEN).step_by(senders);
                            scope.spawn(move || mine.for_each(|i| jobs.send(i).unwrap()))
                        })
                        .collect();
                    senders.into_iter().for_each(|s| s.join().unwrap());
                    jobs.join();
                    let mut done = done.lock().unwrap().clone();
                    done.sort_unstable();
                    assert!(done.into_iter().eq(0..LEN), "capacity {capacity:?}");
                    jobs.close();
                });
            }
        }
    });
}

/// The same where somebody closes at a random moment: what was accepted is done when `join` returns, and what was refused never counts.
#[test]
fn join_ends_where_the_queue_is_closed_at_any_moment() {
    watched("join and close", || {
        let mut random = Random::new("join and close");
        for capacity in CAPACITIES {
            for _ in 0..40 {
                let delay = Duration::from_micros(random.below(200));
                let jobs = joinable::<usize>(capacity);
                let done = AtomicUsize::new(0);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            while let Ok(_job) = jobs.recv() {
                                done.fetch_add(1, SeqCst);
                            }
                        });
                    }
                    let senders: Vec<_> = (0..2)
                        .map(|_| scope.spawn(|| (0..).find(|&i| jobs.send(i).is_err())))
                        .collect();
                    spin(delay);
                    jobs.close();
                    let accepted = senders.into_iter().map(|s| s.join().unwrap().unwrap());
                    let accepted: usize = accepted.sum();
                    jobs.join();
                    assert_eq!(done.load(SeqCst), accepted, "{capacity:?}, {delay:?}");
                });
                assert_eq!(jobs.unfinished(), 0);
            }
        }
    });
}

// Pipes.

/// One end of a pipe.
type End = Connection<usize, usize>;

/// The two ends of pipes of all kinds, and how many messages they hold in each direction.
fn pipes() -> Vec<(End, End, Capacity)> {
    let mut pipes: Vec<_> = [1, 3, 1000]
        .map(|room| {
            let (ours, theirs) = pipe_bounded(room);
            (ours, theirs, Some(room))
        })
        .into();
    let (ours, theirs) = pipe();
    pipes.push((ours, theirs, None));
    let (ours, theirs) = rendezvous();
    pipes.push((ours, theirs, Some(0)));
    pipes
}

/// `Pipe(duplex=True)`: both ends send and receive, each direction in order and for itself. Here each has a type of its own.
#[test]
fn a_pipe_goes_both_ways() {
    let (ours, theirs) = pipe::<u32, &str>();
    ours.send(1).unwrap();
    ours.send(2).unwrap();
    theirs.send("one").unwrap();
    theirs.send("two").unwrap();
    assert_eq!((theirs.recv(), theirs.recv()), (Ok(1), Ok(2)));
    assert_eq!((ours.recv(), ours.recv()), (Ok("one"), Ok("two")));
    assert_eq!(ours.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(theirs.try_recv(), Err(TryRecvError::Empty));
}

/// Requests and answers between two threads, through every kind of pipe.
#[test]
fn requests_are_answered_in_order() {
    watched("requests and answers", || {
        for (ours, theirs, _) in pipes() {
            let server = thread::spawn(move || {
                for n in theirs.iter() {
                    theirs.send(n * n).unwrap();
                }
            });
            for n in 0..500 {
                ours.send(n).unwrap();
                assert_eq!(ours.recv(), Ok(n * n));
            }
            drop(ours);
            server.join().unwrap();
        }
    });
}

/// `send` on a pipe blocks where its buffer is full (the system's, in Python); each direction has its own room. `pipe` has no such limit.
#[test]
fn a_pipe_takes_as_much_as_it_has_room_for() {
    watched("room in a pipe", || {
        for (ours, theirs, capacity) in pipes() {
            let len = capacity.unwrap_or(5000);
            (0..len).for_each(|i| ours.try_send(i).unwrap());
            (0..len).for_each(|i| theirs.try_send(i).unwrap());
            if capacity.is_some() {
                assert_eq!(ours.try_send(7), Err(TrySendError::Full(7)));
                let timed = lasts(TICK, || ours.send_timeout(7, TICK));
                assert_eq!(timed, Err(SendTimeoutError::Timeout(7)));
                let theirs = thread::spawn(move || {
                    thread::sleep(TICK);
                    assert_eq!(theirs.recv_timeout(LONG), Ok(if len == 0 { 8 } else { 0 }));
                    theirs
                });
                lasts(TICK / 2, || ours.send(8)).unwrap();
                drop(theirs.join().unwrap());
            }
        }
    });
}

/// The synchronous send of MPI, and `sync_channel(0)`: when `send` returns, the other end has received.
#[test]
fn a_rendezvous_blocks_the_sender_until_the_message_is_received() {
    watched("a rendezvous", || {
        let (ours, theirs) = rendezvous::<&str, ()>();
        let sender = waiting(move || ours.send("hello").map(|()| ours));
        assert_eq!(theirs.recv(), Ok("hello"));
        let ours = sender.join().unwrap().unwrap();
        assert_eq!(ours.try_send("nobody"), Err(TrySendError::Full("nobody")));
        let receiver = waiting(move || theirs.recv());
        assert_eq!(ours.try_send("somebody"), Ok(()));
        assert_eq!(receiver.join().unwrap(), Ok("somebody"));
    });
}

/// `recv` raises `EOFError` where nothing is left and the other end is closed: buffered messages come first. `send` then raises
/// `BrokenPipeError`; here the message comes back.
#[test]
fn what_was_sent_before_the_other_end_went_is_received() {
    watched("after the other end went", || {
        for (ours, theirs, capacity) in pipes() {
            let len = capacity.unwrap_or(10);
            (0..len).for_each(|i| theirs.send(i).unwrap());
            drop(theirs);
            assert_eq!(ours.send(7), Err(SendError(7)));
            assert_eq!(ours.try_send(7), Err(TrySendError::Disconnected(7)));
            let timed = ours.send_timeout(7, LONG);
            assert_eq!(timed, Err(SendTimeoutError::Disconnected(7)));
            for i in 0..len {
                assert!(ours.poll(Duration::ZERO));
                assert_eq!(ours.recv(), Ok(i));
            }
            assert_eq!(ours.recv(), Err(RecvError));
            assert_eq!(ours.try_recv(), Err(TryRecvError::Disconnected));
            let timed = ours.recv_timeout(LONG);
            assert_eq!(timed, Err(RecvTimeoutError::Disconnected));
            assert_eq!(ours.iter().next(), None);
        }
    });
}

/// Closing one end makes a blocked `recv` of the other one raise `EOFError`, and a blocked `send` fail.
#[test]
fn dropping_an_end_wakes_the_other() {
    watched("dropping an end", || {
        for (ours, theirs, _) in pipes() {
            let receiver = waiting(move || (ours.recv(), ours));
            drop(theirs);
            assert_eq!(receiver.join().unwrap().0, Err(RecvError));
        }
        for (ours, theirs, _) in pipes() {
            let receiver = waiting(move || (ours.recv_timeout(LONG), ours.poll(LONG)));
            drop(theirs);
            let timed = Err(RecvTimeoutError::Disconnected);
            assert_eq!(receiver.join().unwrap(), (timed, true));
        }
        for (ours, theirs, capacity) in pipes() {
            let Some(room) = capacity else { continue };
            (0..room).for_each(|i| ours.send(i).unwrap());
            let sender = waiting(move || (ours.send(2000), ours));
            drop(theirs);
            assert_eq!(sender.join().unwrap().0, Err(SendError(2000)));
        }
    });
}

/// Messages on their way to an end go with it, once each; those on their way from it stay.
#[test]
fn messages_for_an_end_that_goes_are_dropped_with_it() {
    let drops = Drops::new(6);
    let mut messages = drops.all().into_iter();
    let (ours, theirs) = pipe::<Counted, Counted>();
    for message in messages.by_ref().take(3) {
        ours.send(message).unwrap();
    }
    for message in messages {
        theirs.send(message).unwrap();
    }
    assert_eq!(theirs.recv().unwrap().index, 0);
    drop(theirs);
    assert!((0..3).all(|i| drops.of(i) == 1) && (3..6).all(|i| drops.of(i) == 0));
    assert_eq!(ours.recv().unwrap().index, 3);
    drop(ours);
    drops.assert_each_once(&"a pipe");
}

/// `poll()` looks, `poll(t)` waits so long at most, and both are true where `recv` would not wait: for a message, and at the end.
#[test]
fn poll_says_whether_there_is_a_message_or_the_end() {
    watched("poll", || {
        for (ours, theirs, capacity) in pipes() {
            assert!(!ours.poll(Duration::ZERO));
            assert!(!lasts(TICK, || ours.poll(TICK)));
            // Messages that it sends itself do not count.
            let _ = ours.try_send(1);
            assert!(!ours.poll(Duration::ZERO));
            for limit in [LONG, Duration::MAX] {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        thread::sleep(TICK);
                        theirs.send(7).unwrap();
                    });
                    assert!(ours.poll(limit));
                    assert!(ours.poll(Duration::ZERO), "looking takes nothing");
                    assert_eq!(ours.try_recv(), Ok(7), "capacity {capacity:?}");
                });
            }
            assert!(!ours.poll(Duration::ZERO));
            drop(theirs);
            assert!(ours.poll(Duration::ZERO) && ours.poll(LONG));
            assert_eq!(ours.recv(), Err(RecvError));
            assert!(ours.poll(Duration::ZERO), "the end stays");
        }
    });
}

/// A pipe may be shared: two threads that send, or receive, at one end. (In Python that corrupts the stream.)
#[test]
fn an_end_may_be_shared_between_threads() {
    const LEN: usize = 600;
    watched("a shared end", || {
        for (ours, theirs, capacity) in pipes() {
            let received = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while let Ok(message) = theirs.recv() {
                            received.lock().unwrap().push(message);
                        }
                    });
                }
                let ours = Arc::new(ours);
                for first in 0..2 {
                    let ours = ours.clone();
                    scope.spawn(move || {
                        (first..LEN).step_by(2).for_each(|i| ours.send(i).unwrap());
                    });
                }
            });
            let mut received = received.into_inner().unwrap();
            received.sort_unstable();
            assert!(received.into_iter().eq(0..LEN), "capacity {capacity:?}");
        }
    });
}

// Waiting for several.

/// `connection.wait` returns what is ready and takes nothing; here sources may be of different kinds and types, and one that is ready is given.
#[test]
fn wait_ready_gives_the_place_of_what_is_ready_and_takes_nothing() {
    watched("wait_ready", || {
        let (numbers, words) = (Queue::unbounded(), Queue::bounded(2));
        let jobs = JoinableQueue::unbounded();
        let (ours, theirs) = pipe::<(), char>();
        let look = || wait_ready_timeout(&[&numbers, &words, &jobs, &ours], Duration::ZERO);
        assert_eq!(look(), None);
        for _ in 0..20 {
            numbers.send(1_u8).unwrap();
            assert_eq!((look(), look()), (Some(0), Some(0)));
            assert_eq!(numbers.try_recv(), Ok(1));
            words.send("two").unwrap();
            assert_eq!((look(), look()), (Some(1), Some(1)));
            assert_eq!(words.try_recv(), Ok("two"));
            jobs.send(3.0).unwrap();
            assert_eq!((look(), look()), (Some(2), Some(2)));
            assert_eq!(jobs.try_recv().map(|job| job.done()), Ok(3.0));
            theirs.send('4').unwrap();
            assert_eq!(wait_ready(&[&numbers, &words, &jobs, &ours]), 3);
            assert_eq!(ours.try_recv(), Ok('4'));
            assert_eq!(look(), None);
        }
        assert_eq!(jobs.unfinished(), 0);
    });
}

/// `connection.wait(list, timeout)` returns an empty list when the time is over; so it does for an empty list.
#[test]
fn waiting_for_several_in_vain_lasts_as_long_as_was_asked_for() {
    watched("wait_ready in vain", || {
        let (a, b) = (Queue::<u8>::bounded(0), Queue::<u8>::unbounded());
        let (ours, _theirs) = rendezvous::<u8, u8>();
        for time in [Duration::ZERO, TICK] {
            let ready = lasts(time, || wait_ready_timeout(&[&a, &b, &ours], time));
            assert_eq!(ready, None);
            assert_eq!(lasts(time, || wait_ready_timeout(&[], time)), None);
        }
    });
}

/// Without sources and without a time the wait would not end, which `connection.wait([])` does without a word.
#[test]
#[should_panic(expected = "nothing to wait for")]
fn waiting_for_nothing_panics() {
    let _ = wait_ready(&[]);
}

/// Where several are ready, none of them is starved: any may be the one.
#[test]
fn of_several_that_are_ready_each_has_its_turn() {
    let queues = [1, 2, 3].map(|i| filled(Some(3), i));
    let (a, b, c) = (&queues[0], &queues[1], &queues[2]);
    let seen: HashSet<usize> = (0..2000).map(|_| wait_ready(&[a, b, c])).collect();
    assert_eq!(seen, HashSet::from([0, 1, 2]));
}

/// A wait begins before the message comes, through any kind of channel, hand to hand as well.
#[test]
fn a_message_wakes_who_waits_for_several() {
    watched("a message wakes wait_ready", || {
        for capacity in CAPACITIES {
            let (quiet, queue) = (Queue::<u8>::unbounded(), queue(capacity));
            for limit in [None, Some(LONG), Some(Duration::MAX)] {
                let waiter = {
                    let (quiet, queue) = (quiet.clone(), queue.clone());
                    waiting(move || {
                        let ready = match limit {
                            None => Some(wait_ready(&[&quiet, &queue])),
                            Some(limit) => wait_ready_timeout(&[&quiet, &queue], limit),
                        };
                        (ready, queue.recv())
                    })
                };
                queue.send(7).unwrap();
                let want = (Some(1), Ok(7));
                assert_eq!(waiter.join().unwrap(), want, "capacity {capacity:?}");
            }
        }
    });
}

/// An object at its end is ready for `connection.wait`: its `recv` would not wait. A closed queue is ready as long as it has messages, and
/// then for good.
#[test]
fn a_closed_queue_is_ready() {
    watched("a closed queue is ready", || {
        for (capacity, len) in [
            (Some(0), 0),
            (Some(1), 0),
            (Some(1), 1),
            (Some(3), 3),
            (Some(1000), 1000),
            (None, 0),
            (None, 5),
        ] {
            let (quiet, queue) = (Queue::<u8>::unbounded(), filled(capacity, len));
            queue.close();
            for i in 0..len + 3 {
                let ready = wait_ready_timeout(&[&quiet, &queue], LONG);
                assert_eq!(ready, Some(1), "capacity {capacity:?} after {i}");
                let want = if i < len {
                    Ok(i)
                } else {
                    Err(TryRecvError::Disconnected)
                };
                assert_eq!(queue.try_recv(), want);
            }
            let refused = queue.try_send(1).unwrap_err();
            assert!(refused.is_disconnected());
            assert_eq!(wait_ready_timeout(&[&queue, &quiet], LONG), Some(0));
        }
    });
}

/// The end that comes while somebody waits wakes all who do, whatever they wait with.
#[test]
fn closing_wakes_who_waits_for_several() {
    watched("closing wakes wait_ready", || {
        for capacity in CAPACITIES {
            let (quiet, queue) = (Queue::<u8>::unbounded(), queue::<u8>(capacity));
            let jobs = joinable::<u8>(capacity);
            let mut waiters: Vec<_> = (0..2)
                .map(|_| {
                    let (quiet, queue) = (quiet.clone(), queue.clone());
                    waiting(move || wait_ready_timeout(&[&quiet, &queue], LONG))
                })
                .collect();
            let receiver = {
                let queue = queue.clone();
                waiting(move || queue.recv())
            };
            waiters.push({
                let (quiet, jobs) = (quiet.clone(), jobs.clone());
                waiting(move || wait_ready_timeout(&[&quiet, &jobs], LONG))
            });
            queue.close();
            jobs.close();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Some(1), "capacity {capacity:?}");
            }
            assert_eq!(receiver.join().unwrap(), Err(RecvError));
        }
        for (ours, theirs, capacity) in pipes() {
            let waiter = waiting(move || wait_ready_timeout(&[&ours], LONG));
            drop(theirs);
            assert_eq!(waiter.join().unwrap(), Some(0), "capacity {capacity:?}");
        }
    });
}

/// `connection.wait` takes a process's sentinel beside connections; here a worker waits for its orders and for `stop` at once.
#[test]
fn a_worker_waits_for_messages_and_for_its_stop() {
    watched("wait_ready with a Stop", || {
        for capacity in CAPACITIES {
            let queue = queue::<usize>(capacity);
            let worker = {
                let queue = queue.clone();
                Worker::spawn(move |stop| {
                    let mut sum = 0;
                    loop {
                        match wait_ready(&[stop, &queue]) {
                            0 => return sum,
                            _ => sum += queue.try_recv().unwrap_or(0),
                        }
                    }
                })
            };
            let sum: usize = (0..100).inspect(|&i| queue.send(i).unwrap()).sum();
            while !queue.is_empty() {
                thread::yield_now();
            }
            thread::sleep(TICK); // it has the last one in hand, perhaps
            assert!(worker.is_alive());
            worker.stop();
            assert_eq!(worker.join().unwrap(), sum, "capacity {capacity:?}");
        }
    });
}

/// The loop of a server with several sources, until all of them have ended: nothing is lost, for any number of servers.
#[test]
fn servers_of_several_queues_receive_everything() {
    const LEN: usize = 200;
    watched("servers of several queues", || {
        for servers in [1, 3] {
            for capacity in CAPACITIES {
                let queues = [(); 3].map(|()| queue::<usize>(capacity));
                let received = Mutex::new(Vec::new());
                thread::scope(|scope| {
                    for _ in 0..servers {
                        scope.spawn(|| {
                            let mut open: Vec<&Queue<usize>> = queues.iter().collect();
                            while !open.is_empty() {
                                let sources: Vec<&dyn scipar::channel::Receives> =
                                    open.iter().map(|&queue| queue as _).collect();
                                let ready = wait_ready(&sources);
                                match open[ready].try_recv() {
                                    Ok(message) => received.lock().unwrap().push(message),
                                    Err(TryRecvError::Empty) => {} // another one was faster
                                    Err(TryRecvError::Disconnected) => drop(open.remove(ready)),
                                }
                            }
                        });
                    }
                    for (place, queue) in queues.iter().enumerate() {
                        scope.spawn(move || {
                            for i in 0..LEN {
                                queue.send(3 * i + place).unwrap();
                            }
                            queue.close();
                        });
                    }
                });
                let mut received = received.into_inner().unwrap();
                received.sort_unstable();
                let what = format!("{servers} servers, capacity {capacity:?}");
                assert!(received.into_iter().eq(0..3 * LEN), "{what}");
            }
        }
    });
}
