//! Ends that disconnect: what users of `std::sync::mpsc` and of crossbeam-channel rely on where a
//! sender or a receiver is dropped, by going out of scope, by `?` or by a panic.

use super::*;

use std::sync::atomic::AtomicUsize;

use scipar::channel::{JoinTasksError, Receiver, Receives, Sender};

fn ends<T>(capacity: Capacity) -> (Sender<T>, Receiver<T>) {
    queue(capacity).into_ends()
}

/// A thread that panics with what it was given in its hands.
fn panicking<T: Send + 'static>(held: T) -> JoinHandle<()> {
    quiet();
    thread::spawn(move || {
        let _held = held;
        std::panic::panic_any(Meant(1));
    })
}

// The last sender.

/// `mpsc`, crossbeam: receivers get what was sent, and then the end, when all senders are gone.
#[test]
fn without_senders_receivers_get_what_is_left_and_then_the_end() {
    for capacity in [Some(3), Some(1000), None] {
        let (sender, receiver) = ends(capacity);
        let other = sender.clone();
        sender.send(1).unwrap();
        drop(sender);
        other.send(2).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        assert!(!receiver.is_closed());
        drop(other);
        assert!(receiver.is_closed());
        let second = receiver.clone();
        assert_eq!(second.recv(), Ok(2));
        for receiver in [receiver, second] {
            assert_eq!(receiver.recv(), Err(RecvError));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(
                receiver.recv_timeout(LONG),
                Err(RecvTimeoutError::Disconnected)
            );
            assert_eq!(receiver.recv_many(&mut Vec::new(), 3), Err(RecvError));
            assert_eq!(receiver.iter().count() + receiver.try_iter().count(), 0);
            assert_eq!(receiver.into_iter().count(), 0);
        }
    }
}

/// The same wakes receivers that wait already, all of them.
#[test]
fn the_last_sender_wakes_all_receivers() {
    watched("the last sender wakes all receivers", || {
        for capacity in CAPACITIES {
            let (sender, receiver) = ends::<usize>(capacity);
            let receivers: Vec<_> = (0..4)
                .map(|way| {
                    let receiver = receiver.clone();
                    waiting(move || match way {
                        0 => receiver.recv().is_err(),
                        1 => receiver.recv_timeout(LONG) == Err(RecvTimeoutError::Disconnected),
                        2 => receiver.into_iter().next().is_none(),
                        _ => wait_ready(&[&receiver]) == 0 && receiver.try_recv().is_err(),
                    })
                })
                .collect();
            drop(sender.clone());
            assert!(!receiver.is_closed());
            drop(sender);
            for receiver in receivers {
                assert!(receiver.join().unwrap(), "capacity {capacity:?}");
            }
        }
    });
}

/// A producer that panics leaves no reader waiting (with a plain `Queue` handle in each thread it
/// did).
#[test]
fn a_producer_that_panics_ends_its_readers() {
    watched("a producer that panics", || {
        for capacity in CAPACITIES {
            let (sender, receiver) = ends::<usize>(capacity);
            let reader = waiting(move || receiver.iter().sum::<usize>());
            sender.send(1).unwrap();
            assert!(panicking(sender).join().is_err());
            assert_eq!(reader.join().unwrap(), 1, "capacity {capacity:?}");
        }
    });
}

/// A function that is left early, by `?`, between sending and the end.
#[test]
fn an_early_return_ends_the_reader() {
    fn produce(sender: Sender<u32>, numbers: &str) -> Result<(), std::num::ParseIntError> {
        for number in numbers.split(' ') {
            sender.send(number.parse()?).expect("the reader is there");
        }
        Ok(())
    }
    watched("an early return", || {
        for capacity in CAPACITIES {
            let (sender, receiver) = ends(capacity);
            let reader = thread::spawn(move || receiver.iter().sum::<u32>());
            assert!(produce(sender, "1 2 three 4").is_err());
            assert_eq!(reader.join().unwrap(), 3, "capacity {capacity:?}");
        }
    });
}

// The last receiver.

/// `mpsc`, crossbeam: sending fails when no receiver is left, with the message.
#[test]
fn without_receivers_sending_fails_and_gives_the_message_back() {
    for capacity in CAPACITIES {
        let (sender, receiver) = ends(capacity);
        drop(receiver.clone());
        assert!(!sender.is_closed());
        drop(receiver);
        assert!(sender.is_closed());
        for sender in [sender.clone(), sender] {
            assert_eq!(sender.send(1), Err(SendError(1)));
            assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
            assert_eq!(
                sender.send_timeout(3, LONG),
                Err(SendTimeoutError::Disconnected(3))
            );
            assert!(sender.is_empty());
        }
    }
}

/// A consumer that panics leaves no sender waiting for room: each gets its own message back.
#[test]
fn a_consumer_that_panics_gives_senders_that_wait_their_messages_back() {
    watched("a consumer that panics", || {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = ends(Some(capacity));
            (0..capacity).for_each(|i| sender.send(i).unwrap());
            let senders = [10, 20, 30].map(|message| {
                let sender = sender.clone();
                waiting(move || match message {
                    20 => sender.send_timeout(message, LONG).unwrap_err().into_inner(),
                    _ => sender.send(message).unwrap_err().into_inner(),
                })
            });
            assert!(panicking(receiver).join().is_err());
            let back = senders.map(|sender| sender.join().unwrap());
            assert_eq!(back, [10, 20, 30], "capacity {capacity}");
        }
    });
}

/// crossbeam drops what is left in a channel with the last receiver: it may be what another thread
/// waits for.
#[test]
fn messages_that_are_left_are_dropped_with_the_last_receiver() {
    watched("a request that is left", || {
        for capacity in [Some(3), Some(1000), None] {
            let drops = Drops::new(3);
            let (sender, receiver) = ends(capacity);
            for message in drops.all() {
                sender.send(message).unwrap();
            }
            let second = receiver.clone();
            drop(receiver);
            assert_eq!(drops.of(0), 0);
            drop(second);
            drops.assert_each_once(&"dropped with the receiver");

            // The thread that asks waits for an answer that will not come.
            let (requests, server) = ends::<Sender<u32>>(capacity);
            let (answer, answers) = ends(None);
            requests.send(answer).unwrap();
            let asking = waiting(move || answers.recv());
            assert!(panicking(server).join().is_err());
            assert_eq!(asking.join().unwrap(), Err(RecvError));
            drop(requests);
        }
    });
}

// Handles of both kinds.

/// Different from `mpsc`: a `Queue` counts as a sender and a receiver, so it keeps both sides from
/// their end.
#[test]
fn a_queue_is_a_sender_and_a_receiver() {
    let queue = Queue::bounded(1);
    let (sender, receiver) = (queue.sender(), queue.receiver());
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(receiver);
    assert_eq!(queue.send(1), Ok(()));

    let receiver = queue.receiver();
    drop(queue);
    assert!(receiver.iter().eq([1]));

    let queue = Queue::bounded(1);
    let sender = queue.sender();
    drop(queue);
    assert_eq!(sender.send(1), Err(SendError(1)));
}

/// An iterator over a queue receives, and keeps nothing of the queue that could send.
#[test]
fn an_iterator_that_owns_a_queue_ends_with_its_senders() {
    watched("an iterator that owns a queue", || {
        let queue = Queue::unbounded();
        let sender = queue.sender();
        let reader = waiting(move || queue.into_iter().sum::<usize>());
        (0..10).for_each(|i| sender.send(i).unwrap());
        drop(sender);
        assert_eq!(reader.join().unwrap(), 45);
    });
}

/// `close` is for all handles, and any of them can do it.
#[test]
fn every_end_can_close_the_queue() {
    for way in 0..2 {
        let (sender, receiver) = ends(Some(2));
        sender.send(1).unwrap();
        match way {
            0 => sender.close(),
            _ => receiver.close(),
        }
        assert!(sender.is_closed() && receiver.is_closed());
        assert_eq!(sender.send(2), Err(SendError(2)));
        assert!(receiver.iter().eq([1]));
    }
}

/// Ends say the same of the queue as the queue does.
#[test]
fn ends_say_what_is_there() {
    let (sender, receiver) = ends(Some(2));
    sender.send(1).unwrap();
    assert_eq!((sender.len(), receiver.len()), (1, 1));
    assert_eq!((sender.capacity(), receiver.capacity()), (Some(2), Some(2)));
    assert!(!sender.is_empty() && !receiver.is_full());
    sender.send(2).unwrap();
    assert!(sender.is_full() && receiver.is_full());
    let text = format!("{sender:?} {receiver:?} {:?}", receiver.iter());
    assert!(text.starts_with("Sender { len: 2, capacity: Some(2), closed: false }"));
    assert!(text.contains("Receiver { len: 2") && text.contains("Iter(Receiver"));
    let mut buffer = Vec::new();
    assert_eq!(receiver.recv_many(&mut buffer, 5), Ok(2));
    assert_eq!(buffer, [1, 2]);
    assert!(receiver.is_empty() && (&receiver).into_iter().size_hint().0 == 0);
}

/// A receiving end is a source of `wait_ready`, which its message and its end make ready.
#[test]
fn ends_can_be_waited_for() {
    watched("waiting for ends", || {
        for capacity in CAPACITIES {
            let (quiet, other) = ends::<usize>(capacity);
            let (sender, receiver) = ends(capacity);
            let sending = thread::spawn(move || {
                thread::sleep(TICK);
                sender.send(7).unwrap();
            });
            let sources: [&dyn Receives; 2] = [&other, &receiver];
            let mut received = 0;
            while received == 0 {
                assert_eq!(wait_ready(&sources), 1);
                received = receiver.try_recv().unwrap_or(0);
            }
            sending.join().unwrap();
            assert_eq!(wait_ready(&sources), 1);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            drop(quiet);
        }
    });
}

// Messages whose drops are not harmless.

/// A message that panics where it is dropped.
struct Bomb(Counted);

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Meant(self.0.index));
    }
}

/// A `Vec` drops the rest where an element's drop panics, and goes on with the panic; two of them
/// abort. Here all are dropped, and the first panic goes on.
#[test]
fn a_panic_in_the_drop_of_a_message_keeps_no_other_from_its_drop() {
    quiet();
    watched("messages that panic", || {
        for capacity in [Some(4), Some(1000), None] {
            for with_queue in [false, true] {
                let drops = Drops::new(4);
                let queue = queue(capacity);
                for message in drops.all() {
                    queue.send(Bomb(message)).unwrap();
                }
                let sender = queue.sender();
                let caught = catch_unwind(AssertUnwindSafe(|| match with_queue {
                    true => drop(queue),
                    false => drop(queue.into_ends().1),
                }));
                assert_eq!(caught.unwrap_err().downcast_ref(), Some(&Meant(0)));
                drops.assert_each_once(&"each of the four");
                let error = sender.try_send(Bomb(drops.counted(0))).map_err(|error| {
                    assert!(error.is_disconnected());
                    std::mem::forget(error);
                });
                assert!(error.is_err());
            }
        }
    });
}

/// A thread that panics already goes on with its own panic: the process is not aborted.
#[test]
fn a_message_may_panic_where_its_receiver_panics() {
    watched("a message that panics in a panic", || {
        let drops = Drops::new(3);
        let (sender, receiver) = ends(None);
        for message in drops.all() {
            sender.send(Bomb(message)).unwrap();
        }
        let payload = panicking(receiver).join().unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&Meant(1)));
        drops.assert_each_once(&"each of the three");
    });
}

/// The drop of a message may come back to its queue: no lock is held.
#[test]
fn the_drop_of_a_message_may_use_its_queue() {
    struct Nested(Option<Sender<Nested>>);
    impl Drop for Nested {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                let sent = sender.send(Nested(None));
                assert!(sent.is_err(), "no receiver is left");
                sender.close();
            }
        }
    }
    watched("a message that holds its queue", || {
        for capacity in [Some(3), None] {
            let (sender, receiver) = ends(capacity);
            for _ in 0..3 {
                sender.send(Nested(Some(sender.clone()))).unwrap();
            }
            drop(sender);
            drop(receiver);
        }
    });
}

// Any moment.

/// Senders and receivers that come and go at random, in threads and in workers, whose waits are
/// other ones: nothing hangs, each message is dropped once, what is received was sent once and
/// comes in order, and what was accepted is received unless all receivers had gone.
#[test]
fn ends_may_go_at_any_moment() {
    watched("ends that go at any moment", || {
        let mut random = Random::new("ends that go at any moment");
        for capacity in CAPACITIES {
            let start = Instant::now();
            let mut rounds = 0;
            while start.elapsed() < Duration::from_millis(900) {
                go_at_random_moments(capacity, &mut random);
                rounds += 1;
            }
            println!("capacity {capacity:?}: {rounds} rounds");
        }
    });
}

/// A thread, or one whose waits can be interrupted.
fn started<R: Send + 'static>(
    worker: bool,
    f: impl FnOnce() -> R + Send + 'static,
) -> Box<dyn FnOnce() -> R> {
    match worker {
        true => {
            let worker = Worker::spawn(move |_| f());
            Box::new(|| worker.join().unwrap())
        }
        false => {
            let thread = thread::spawn(f);
            Box::new(|| thread.join().unwrap())
        }
    }
}

fn go_at_random_moments(capacity: Capacity, random: &mut Random) {
    let (senders, receivers) = (1 + random.below(3) as usize, 1 + random.below(3) as usize);
    let (sender, receiver) = ends::<Tracked>(capacity);
    let drops = Arc::new(AtomicUsize::new(0));
    let steadfast = random.below(2) == 0; // receivers that stay until the end
    let senders: Vec<_> = (0..senders)
        .map(|id| {
            let (sender, drops, mut random) =
                (sender.clone(), drops.clone(), Random(random.next()));
            started(random.below(2) == 0, move || {
                let (mut made, mut accepted) = (0, 0);
                for _ in 0..random.below(200) {
                    let message = Tracked {
                        sender: id,
                        place: accepted,
                        drops: drops.clone(),
                        _boxed: Box::new(id),
                    };
                    made += 1;
                    let sent = match random.below(3) {
                        0 => sender
                            .send(message)
                            .map_err(|error| (error.into_inner(), true)),
                        1 => sender.try_send(message).map_err(|error| {
                            let ended = error.is_disconnected();
                            (error.into_inner(), ended)
                        }),
                        _ => {
                            let time = Duration::from_micros(random.below(50));
                            sender.send_timeout(message, time).map_err(|error| {
                                let ended = error.is_disconnected();
                                (error.into_inner(), ended)
                            })
                        }
                    };
                    match sent {
                        Ok(()) => accepted += 1,
                        Err((message, ended)) => {
                            assert_eq!((message.sender, message.place), (id, accepted));
                            if ended {
                                break;
                            }
                        }
                    }
                }
                (made, accepted)
            })
        })
        .collect();
    let receivers: Vec<_> = (0..receivers)
        .map(|_| {
            let (receiver, mut random) = (receiver.clone(), Random(random.next()));
            started(random.below(2) == 0, move || {
                let mut received = Vec::new();
                let mut left = match steadfast {
                    true => u64::MAX,
                    false => random.below(150),
                };
                while left > 0 {
                    left -= 1;
                    let message = match random.below(3) {
                        0 => receiver.recv().map_err(|_| true),
                        1 => receiver
                            .try_recv()
                            .map_err(|error| error == TryRecvError::Disconnected),
                        _ => receiver
                            .recv_timeout(Duration::from_micros(random.below(50)))
                            .map_err(|error| error == RecvTimeoutError::Disconnected),
                    };
                    match message {
                        Ok(message) => received.push((message.sender, message.place)),
                        Err(true) => break,
                        Err(false) => {}
                    }
                }
                received
            })
        })
        .collect();
    drop((sender, receiver));
    let sent: Vec<(usize, usize)> = senders.into_iter().map(|join| join()).collect();
    let received: Vec<_> = receivers.into_iter().map(|join| join()).collect();
    let what = format!("capacity {capacity:?}, {sent:?}");
    let made: usize = sent.iter().map(|(made, _)| made).sum();
    assert_eq!(drops.load(SeqCst), made, "{what}: drops");
    let accepted: Vec<usize> = sent.iter().map(|(_, accepted)| *accepted).collect();
    if steadfast {
        assert_once_and_in_order(&received, &accepted, &what);
    } else {
        let mut seen = HashSet::new();
        for (sender, place) in received.iter().flatten() {
            assert!(
                seen.insert((sender, place)) && *place < accepted[*sender],
                "{what}"
            );
        }
    }
}

// Queues of tasks.

/// `join` of a sending end does not wait for tasks that no receiver is left for, and says so.
#[test]
fn join_says_which_tasks_no_receiver_was_left_for() {
    quiet();
    watched("tasks that are left", || {
        for capacity in [Some(5), None] {
            let drops = Drops::new(5);
            let (jobs, receiver) = joinable(capacity).into_ends();
            for task in drops.all() {
                jobs.send(task).unwrap();
            }
            assert_eq!(jobs.join_timeout(TICK), Err(JoinTasksError::Timeout));
            let joining = waiting({
                let jobs = jobs.clone();
                move || jobs.join()
            });
            let worker = thread::spawn(move || {
                drop(receiver.recv().unwrap());
                let _claim = receiver.recv().unwrap();
                // The claim in hand is done, the other three are not.
                std::panic::panic_any(Meant(1));
            });
            assert!(worker.join().is_err());
            let lost = Err(JoinTasksError::Unreceived { tasks: 3 });
            assert_eq!(joining.join().unwrap(), lost);
            assert_eq!((jobs.join(), jobs.join_timeout(LONG)), (lost, lost));
            assert_eq!((jobs.unfinished(), jobs.len()), (0, 0));
            drops.assert_each_once(&"each task");
            let text = lost.unwrap_err().to_string();
            assert!(
                text.starts_with("3 tasks were dropped unreceived"),
                "{text}"
            );
            // A task that comes too late goes back, and does not count.
            assert!(jobs.send(drops.counted(0)).is_err());
            assert_eq!(jobs.join(), lost);
        }
    });
}

/// A task whose drop panics has been dropped, and does not keep `join` waiting.
#[test]
fn a_task_that_panics_where_it_is_dropped_is_not_waited_for() {
    quiet();
    watched("tasks that panic", || {
        let drops = Drops::new(3);
        let (jobs, receiver) = joinable(None).into_ends();
        for task in drops.all() {
            jobs.send(Bomb(task)).unwrap();
        }
        let claimed = catch_unwind(AssertUnwindSafe(|| drop(receiver.recv().unwrap())));
        assert!(claimed.is_err());
        assert_eq!(jobs.unfinished(), 2);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
        assert_eq!(jobs.join(), Err(JoinTasksError::Unreceived { tasks: 2 }));
        drops.assert_each_once(&"each task");
    });
}

/// Ends of a queue of tasks are what those of a queue are.
#[test]
fn ends_of_a_joinable_queue_disconnect() {
    watched("ends of a joinable queue", || {
        for capacity in CAPACITIES {
            let queue = joinable(capacity);
            let (jobs, receiver) = (queue.sender(), queue.receiver());
            drop(queue);
            let workers = [(); 2].map(|()| {
                let receiver = receiver.clone();
                thread::spawn(move || receiver.iter().map(|job| *job).sum::<usize>())
            });
            assert_eq!((jobs.capacity(), jobs.is_closed()), (capacity, false));
            assert!(format!("{jobs:?} {receiver:?}").contains("JoinableReceiver"));
            drop(receiver);
            for i in 0..30 {
                match i % 3 {
                    0 => jobs.send(i).unwrap(),
                    1 => jobs.send_timeout(i, LONG).unwrap(),
                    _ => while jobs.try_send(i).is_err() {},
                }
            }
            assert_eq!(jobs.join(), Ok(()));
            assert_eq!(jobs.join_timeout(Duration::ZERO), Ok(()));
            drop(jobs);
            let sum: usize = workers.into_iter().map(|w| w.join().unwrap()).sum();
            assert_eq!(sum, 435, "capacity {capacity:?}");
        }
        let (jobs, receiver) = joinable(Some(1)).into_ends();
        assert!(receiver.try_recv().is_err() && receiver.recv_timeout(TICK).is_err());
        jobs.send(1).unwrap();
        assert!(jobs.is_full() && !receiver.is_empty() && receiver.unfinished() == 1);
        assert_eq!(wait_ready(&[&receiver]), 0);
        let back = waiting(move || jobs.send(2));
        drop(receiver);
        assert_eq!(back.join().unwrap(), Err(SendError(2)));
    });
}
