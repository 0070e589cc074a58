//! Workers that wait on queues and pipes can be stopped and dropped. Python and `std` have no
//! counterpart: a thread that waits on a queue is joined when it has been sent a sentinel, or
//! never.

use super::*;

use scipar::channel::{
    JoinTasksError, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use scipar::{Connection, JoinableQueue, Queue, pipe, pipe_bounded};

const CAPACITIES: [Option<usize>; 4] = [Some(0), Some(1), Some(3), None];

fn queue<T>(capacity: Option<usize>) -> Queue<T> {
    capacity.map_or_else(Queue::unbounded, Queue::bounded)
}

/// Ends of a full queue.
fn full(capacity: usize) -> (Sender<usize>, Receiver<usize>) {
    let (sender, receiver) = Queue::bounded(capacity).into_ends();
    (0..capacity).for_each(|i| sender.send(i).unwrap());
    (sender, receiver)
}

/// A worker that waits in `f`, and what will be heard of its result.
#[track_caller]
fn waiting<R: Send + 'static>(
    f: impl FnOnce(&Stop) -> R + Send + 'static,
) -> (Worker<()>, mpsc::Receiver<R>) {
    let (begun, wait) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let worker = Worker::spawn(move |stop| {
        begun.send(()).unwrap();
        let _ = tell.send(f(stop));
    });
    wait.recv().unwrap();
    thread::sleep(TICK);
    assert!(worker.is_alive(), "it did not wait");
    (worker, told)
}

/// What a worker's wait gives when the worker is dropped, and when it is stopped and joined.
#[track_caller]
fn interrupted<R: PartialEq + std::fmt::Debug + Send + 'static>(
    expected: &R,
    make: impl Fn() -> Box<dyn FnOnce(&Stop) -> R + Send>,
) {
    let (worker, told) = waiting(make());
    drop(worker);
    assert_eq!(told.recv().as_ref(), Ok(expected), "dropped");
    let (worker, told) = waiting(make());
    worker.stop();
    worker.join().unwrap();
    assert_eq!(told.recv().as_ref(), Ok(expected), "stopped");
}

// The program that this is about.

/// A function that sends to its worker and is left early, as the README's once could be: the worker
/// is dropped while its queue is open, whichever of the two was declared first, and with ends or
/// with handles of the queue itself.
#[test]
fn an_early_return_between_sending_and_the_end_does_not_hang() {
    fn parsed(text: &str) -> Result<u64, std::num::ParseIntError> {
        text.parse()
    }
    fn with_a_queue(texts: &[&str]) -> Result<u64, Box<dyn std::error::Error>> {
        let queue = Queue::bounded(8);
        let adder = Worker::spawn({
            let queue = queue.clone();
            move |_stop| queue.iter().sum::<u64>()
        });
        for text in texts {
            queue.send(parsed(text)?)?;
        }
        queue.close();
        Ok(adder.join()?)
    }
    fn with_ends(texts: &[&str]) -> Result<u64, Box<dyn std::error::Error>> {
        let (sender, receiver) = Queue::bounded(8).into_ends();
        let adder = Worker::spawn(move |_stop| receiver.iter().sum::<u64>());
        for text in texts {
            sender.send(parsed(text)?)?;
        }
        drop(sender);
        Ok(adder.join()?)
    }
    watched("an early return", || {
        for function in [with_a_queue, with_ends] {
            assert_eq!(function(&["1", "2", "3"]).unwrap(), 6);
            assert!(function(&["1", "two", "3"]).is_err());
        }
    });
}

/// The same where the owner panics.
#[test]
fn a_worker_that_waits_is_stopped_where_its_owner_panics() {
    quiet();
    watched("its owner panics", || {
        let (_sender, receiver) = Queue::<u64>::bounded(1).into_ends();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _adder = Worker::spawn(move |_| receiver.iter().sum::<u64>());
            std::panic::panic_any(Meant(1));
        }));
        assert!(caught.is_err());
    });
}

/// A worker that panics drops its ends: its owner does not wait for it in vain.
#[test]
fn the_owner_of_a_worker_that_panics_does_not_wait() {
    quiet();
    watched("a worker that panics", || {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = Queue::bounded(capacity).into_ends();
            let worker = Worker::<()>::spawn(move |_| {
                let first = receiver.recv().unwrap();
                std::panic::panic_any(Meant(first));
            });
            let mut sent = 0;
            let back = loop {
                match sender.send(sent) {
                    Ok(()) => sent += 1,
                    Err(error) => break error.into_inner(),
                }
            };
            assert_eq!(back, sent, "its own message came back");
            assert!(worker.join().unwrap_err().is_panic());

            let (sender, receiver) = Queue::<usize>::bounded(capacity).into_ends();
            let worker = Worker::<()>::spawn(move |_| {
                let _sender = sender;
                std::panic::panic_any(Meant(1));
            });
            assert_eq!(receiver.recv(), Err(RecvError));
            assert!(worker.join().is_err());
        }
    });
}

// Every wait is interrupted.

#[test]
fn receiving_is_interrupted() {
    watched("receiving", || {
        for capacity in CAPACITIES {
            let queue = queue::<usize>(capacity);
            let receiver = || queue.receiver();
            interrupted(&Err(RecvError), || {
                let queue = queue.clone();
                Box::new(move |_| queue.recv())
            });
            interrupted(&Err(RecvError), || {
                let receiver = receiver();
                Box::new(move |_| receiver.recv())
            });
            for limit in [LONG, Duration::MAX] {
                interrupted(&Err(RecvTimeoutError::Disconnected), || {
                    let receiver = receiver();
                    Box::new(move |_| receiver.recv_timeout(limit))
                });
            }
            interrupted(&Err(RecvError), || {
                let receiver = receiver();
                Box::new(move |_| receiver.recv_many(&mut Vec::new(), 3))
            });
            interrupted(&0, || {
                let receiver = receiver();
                Box::new(move |_| receiver.iter().count() + receiver.into_iter().count())
            });
            assert!(!queue.is_closed() && queue.try_recv().is_err());
        }
    });
}

#[test]
fn sending_is_interrupted_and_gives_the_message_back() {
    watched("sending", || {
        for capacity in [0, 1, 3] {
            let (sender, _receiver) = full(capacity);
            interrupted(&Err(SendError(7)), || {
                let sender = sender.clone();
                Box::new(move |_| sender.send(7))
            });
            for limit in [LONG, Duration::MAX] {
                interrupted(&Err(SendTimeoutError::Disconnected(7)), || {
                    let sender = sender.clone();
                    Box::new(move |_| sender.send_timeout(7, limit))
                });
            }
            assert!(!sender.is_closed() && sender.len() == capacity);
        }
    });
}

#[test]
fn queues_of_tasks_are_interrupted() {
    watched("queues of tasks", || {
        for capacity in [Some(0), Some(1), None] {
            let jobs = capacity.map_or_else(JoinableQueue::unbounded, JoinableQueue::bounded);
            let taken = |jobs: &JoinableQueue<usize>| jobs.recv().map(|job| *job);
            interrupted(&Err(RecvError), || {
                let jobs = jobs.clone();
                Box::new(move |_| taken(&jobs))
            });
            let receiver = jobs.receiver();
            interrupted(&0, || {
                let receiver = receiver.clone();
                Box::new(move |_| receiver.iter().count())
            });
            if let Some(capacity) = capacity {
                (0..capacity).for_each(|i| jobs.send(i).unwrap());
                interrupted(&Err(SendError(7)), || {
                    let jobs = jobs.sender();
                    Box::new(move |_| jobs.send(7))
                });
                assert_eq!(jobs.unfinished(), capacity);
            }
        }
        // And the wait until tasks are done.
        let jobs = JoinableQueue::unbounded();
        jobs.send(1).unwrap();
        interrupted(&Err(JoinTasksError::Stopped), || {
            let jobs = jobs.sender();
            Box::new(move |_| jobs.join())
        });
        interrupted(&Err(JoinTasksError::Stopped), || {
            let jobs = jobs.sender();
            Box::new(move |_| jobs.join_timeout(LONG))
        });
        let (worker, told) = waiting({
            let jobs = jobs.sender();
            move |_| (jobs.join_timeout(TICK), jobs.join())
        });
        thread::sleep(2 * TICK);
        drop(jobs.recv());
        let timeout = Err(JoinTasksError::Timeout);
        assert_eq!(told.recv(), Ok((timeout, Ok(()))));
        drop(worker);
    });
}

#[test]
fn pipes_are_interrupted() {
    watched("pipes", || {
        type End = Connection<usize, usize>;
        let (_here, there): (End, End) = pipe();
        let there = Arc::new(there);
        interrupted(&Err(RecvError), || {
            let there = there.clone();
            Box::new(move |_| there.recv())
        });
        interrupted(&Err(RecvTimeoutError::Disconnected), || {
            let there = there.clone();
            Box::new(move |_| there.recv_timeout(LONG))
        });
        interrupted(&0, || {
            let there = there.clone();
            Box::new(move |_| there.iter().count())
        });
        for capacity in [0, 2] {
            let (_here, there): (End, End) = pipe_bounded(capacity);
            (0..capacity).for_each(|i| there.send(i).unwrap());
            let there = Arc::new(there);
            interrupted(&Err(SendError(7)), || {
                let there = there.clone();
                Box::new(move |_| there.send(7))
            });
            interrupted(&Err(SendTimeoutError::Disconnected(7)), || {
                let there = there.clone();
                Box::new(move |_| there.send_timeout(7, LONG))
            });
            interrupted(&Err(RecvError), || {
                let there = there.clone();
                Box::new(move |_| there.recv())
            });
        }
    });
}

/// A stop that comes before the wait.
#[test]
fn a_worker_that_is_stopped_at_once_does_not_wait() {
    watched("stopped at once", || {
        let (sender, receiver) = full(1);
        let empty = Queue::<usize>::bounded(0);
        for _ in 0..200 {
            let (sender, empty) = (sender.clone(), empty.clone());
            drop(Worker::spawn(move |_| (sender.send(7), empty.recv())));
        }
        assert!(receiver.try_iter().eq([0]));
    });
}

// What is not interrupted.

/// Calls that do not wait say what is true of the channel, before the stop and after it.
#[test]
fn calls_that_do_not_wait_are_as_ever() {
    watched("calls that do not wait", || {
        let (sender, _receiver) = full(1);
        let (_sender, receiver) = Queue::<usize>::bounded(1).into_ends();
        let worker = Worker::spawn(move |stop| {
            stop.wait();
            let (sent, received) = (sender.try_send(7), receiver.try_recv());
            (sent, received, receiver.try_iter().count())
        });
        worker.stop();
        let expected = (Err(TrySendError::Full(7)), Err(TryRecvError::Empty), 0);
        assert_eq!(worker.join().unwrap(), expected);
    });
}

/// Without a stop a worker's waits are those of any thread.
#[test]
fn before_the_stop_waits_last_as_long_as_anywhere() {
    watched("waits of a worker", || {
        for capacity in CAPACITIES {
            let (sender, receiver) = queue::<usize>(capacity).into_ends();
            let worker = Worker::spawn(move |_| {
                let start = Instant::now();
                let late = receiver.recv_timeout(TICK);
                assert_eq!(late, Err(RecvTimeoutError::Timeout));
                assert!((TICK..TICK + LONG).contains(&start.elapsed()));
                (
                    receiver.recv_timeout(LONG),
                    receiver.recv(),
                    receiver.recv(),
                )
            });
            thread::sleep(2 * TICK);
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            drop(sender);
            let expected = (Ok(1), Ok(2), Err(RecvError));
            assert_eq!(worker.join().unwrap(), expected, "capacity {capacity:?}");
        }
        for capacity in [0, 1, 3] {
            let (sender, receiver) = full(capacity);
            let worker = Worker::spawn(move |_| {
                let start = Instant::now();
                let late = sender.send_timeout(7, TICK);
                assert_eq!(late, Err(SendTimeoutError::Timeout(7)));
                assert!((TICK..TICK + LONG).contains(&start.elapsed()));
                (
                    sender.send(8),
                    sender.send_timeout(9, LONG),
                    sender.send(10),
                )
            });
            thread::sleep(2 * TICK);
            let received: Vec<_> = receiver.iter().take(capacity + 2).collect();
            assert_eq!(received[capacity..], [8, 9]);
            if capacity == 0 {
                drop(receiver);
                let expected = (Ok(()), Ok(()), Err(SendError(10)));
                assert_eq!(worker.join().unwrap(), expected);
            } else {
                assert_eq!(receiver.recv(), Ok(10));
                assert_eq!(worker.join().unwrap(), (Ok(()), Ok(()), Ok(())));
            }
        }
    });
}

/// Closing, and the end of the other side, wake a worker as they wake any thread.
#[test]
fn the_end_of_a_queue_wakes_workers() {
    watched("the end of a queue", || {
        for capacity in [0, 1, 3] {
            for by_close in [false, true] {
                let (sender, receiver) = full(capacity);
                let (worker, told) = waiting(move |_| sender.send(7));
                match by_close {
                    true => receiver.close(),
                    false => drop(receiver.clone()),
                }
                drop(receiver);
                assert_eq!(told.recv(), Ok(Err(SendError(7))), "capacity {capacity}");
                worker.join().unwrap();

                let (sender, receiver) = Queue::<usize>::bounded(capacity).into_ends();
                let (worker, told) = waiting(move |_| receiver.recv());
                match by_close {
                    true => sender.close(),
                    false => drop(sender),
                }
                assert_eq!(told.recv(), Ok(Err(RecvError)), "capacity {capacity}");
                worker.join().unwrap();
            }
        }
    });
}

// After the stop.

/// What was sent before the stop is received, as after `close`.
#[test]
fn a_stopped_worker_receives_what_is_there() {
    watched("what is there", || {
        for capacity in [Some(1000), None] {
            let (sender, receiver) = queue(capacity).into_ends();
            let (wait, go) = mpsc::channel::<()>();
            let worker = Worker::spawn(move |_| {
                let _ = go.recv();
                receiver.iter().sum::<usize>()
            });
            (0..1000).for_each(|i| sender.send(i).unwrap());
            worker.stop();
            drop(wait);
            assert_eq!(worker.join().unwrap(), 499_500);
            drop(sender);
        }
        let (here, there) = pipe::<usize, usize>();
        let (wait, go) = mpsc::channel::<()>();
        let worker = Worker::spawn(move |_| {
            let _ = go.recv();
            there.iter().sum::<usize>()
        });
        (0..1000).for_each(|i| here.send(i).unwrap());
        worker.stop();
        drop(wait);
        assert_eq!(worker.join().unwrap(), 499_500);
    });
}

/// But not what other threads go on to send: a consumer that never finds its queue empty ends all
/// the same.
#[test]
fn senders_that_go_on_do_not_keep_a_worker_from_its_end() {
    watched("senders that go on", || {
        for capacity in [Some(3), None] {
            let (sender, receiver) = queue(capacity).into_ends();
            let consumer = Worker::spawn(move |_| {
                receiver
                    .iter()
                    .for_each(|_: u64| spin(Duration::from_micros(200)));
            });
            let producer = thread::spawn(move || {
                for i in 0_u64.. {
                    if sender.send(i).is_err() {
                        return i;
                    }
                    if capacity.is_none() {
                        spin(Duration::from_micros(50));
                    }
                }
                0
            });
            thread::sleep(TICK);
            drop(consumer);
            assert!(producer.join().unwrap() > 0);
        }
    });
}

/// A producer that never finds its queue full, as its consumer is fast, ends all the same.
#[test]
fn receivers_that_go_on_do_not_keep_a_worker_from_its_end() {
    watched("receivers that go on", || {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = Queue::bounded(capacity).into_ends();
            let consumer = thread::spawn(move || receiver.into_iter().count());
            let producer = Worker::spawn(move |_| {
                for i in 0_u64.. {
                    spin(Duration::from_micros(100));
                    if sender.send(i).is_err() {
                        return;
                    }
                }
            });
            thread::sleep(TICK);
            drop(producer);
            assert!(consumer.join().unwrap() > 0, "capacity {capacity}");
        }
    });
}

/// What a worker says last has its place where there is room, and waits for it where the worker
/// says that it may.
#[test]
fn a_stopped_worker_can_say_what_it_has_to() {
    watched("a last word", || {
        for capacity in CAPACITIES {
            let (sender, receiver) = queue(capacity).into_ends();
            let worker = Worker::spawn(move |stop| {
                stop.wait();
                (sender.send("a word"), sender.send("another"))
            });
            worker.stop();
            let (first, second) = worker.join().unwrap();
            let room = capacity.unwrap_or(usize::MAX);
            assert_eq!((first.is_ok(), second.is_ok()), (room > 0, room > 1));
            assert_eq!(receiver.iter().count(), room.min(2));

            let (sender, receiver) = queue(capacity).into_ends();
            let worker = Worker::spawn(move |stop| {
                stop.wait();
                stop.uninterruptible(|| (0..5).try_for_each(|i| sender.send(i)))
            });
            worker.stop();
            assert!(receiver.iter().take(5).eq(0..5), "capacity {capacity:?}");
            assert_eq!(worker.join().unwrap(), Ok(()));
        }
    });
}

// Threads that are no workers, and stops of several.

/// Threads that a worker starts are told where they ask for it.
#[test]
fn a_stop_interrupts_other_threads_that_ask_for_it() {
    watched("other threads", || {
        let (sender, receiver) = Queue::<usize>::bounded(2).into_ends();
        let (full, _receiver) = full(1);
        let (worker, told) = waiting(move |stop| {
            thread::scope(|scope| {
                let receiving = scope.spawn(|| stop.interruptible(|| receiver.iter().count()));
                let sending = scope.spawn(|| stop.interruptible(|| full.send(7)));
                (receiving.join().unwrap(), sending.join().unwrap())
            })
        });
        sender.send(1).unwrap();
        thread::sleep(TICK);
        assert!(worker.is_alive());
        drop(worker);
        assert_eq!(told.recv(), Ok((1, Err(SendError(7)))));
    });
}

/// A wait ends with the first of the stops that are around it, and all is as before where a closure
/// has ended, also by a panic.
#[test]
fn stops_may_be_nested() {
    quiet();
    watched("nested stops", || {
        for inner_first in [false, true] {
            let (_sender, receiver) = Queue::<usize>::bounded(1).into_ends();
            let (tell, told) = mpsc::channel();
            let inner = Worker::spawn(move |stop| {
                tell.send(stop.clone()).unwrap();
                stop.wait();
            });
            let stop = told.recv().unwrap();
            let (outer, told) = waiting(move |own| {
                let first = stop.interruptible(|| receiver.recv());
                let which = (own.is_set(), stop.is_set());
                let second = own.uninterruptible(|| receiver.recv_timeout(TICK));
                (first, which, second, receiver.recv())
            });
            match inner_first {
                true => drop(inner),
                false => outer.stop(),
            }
            thread::sleep(4 * TICK);
            outer.stop();
            let which = (!inner_first, inner_first);
            let expected = (
                Err(RecvError),
                which,
                Err(RecvTimeoutError::Timeout),
                Err(RecvError),
            );
            assert_eq!(told.recv(), Ok(expected));
        }
        let worker = obedient();
        let (tell, told) = mpsc::channel();
        let stopped = Worker::spawn(move |stop| tell.send(stop.clone()).unwrap());
        let stop = told.recv().unwrap();
        drop((worker, stopped));
        assert!(stop.is_set());
        let caught = catch_unwind(|| stop.interruptible(|| std::panic::panic_any(Meant(1))));
        assert!(caught.is_err());
        let queue = Queue::<usize>::bounded(1);
        assert_eq!(queue.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    });
}

/// Workers on both sides of a queue: each message comes once and in order, for any capacity.
#[test]
fn workers_exchange_messages_as_threads_do() {
    const LEN: usize = 2000;
    watched("workers on both sides", || {
        for capacity in CAPACITIES {
            for (senders, receivers) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
                let (sender, receiver) = queue::<(usize, usize)>(capacity).into_ends();
                let senders: Vec<_> = (0..senders)
                    .map(|id| {
                        let sender = sender.clone();
                        Worker::spawn(move |_| (0..LEN).try_for_each(|i| sender.send((id, i))))
                    })
                    .collect();
                let receivers: Vec<_> = (0..receivers)
                    .map(|_| {
                        let receiver = receiver.clone();
                        Worker::spawn(move |_| receiver.iter().collect::<Vec<_>>())
                    })
                    .collect();
                drop((sender, receiver));
                let num_senders = senders.len();
                senders
                    .into_iter()
                    .for_each(|w| assert_eq!(w.join().unwrap(), Ok(())));
                let mut all = Vec::new();
                for worker in receivers {
                    let received = worker.join().unwrap();
                    for id in 0..num_senders {
                        let own = received.iter().filter(|(sender, _)| *sender == id);
                        assert!(own.is_sorted(), "capacity {capacity:?}");
                    }
                    all.extend(received);
                }
                all.sort_unstable();
                let sent = (0..num_senders).flat_map(|id| (0..LEN).map(move |i| (id, i)));
                assert!(all.into_iter().eq(sent), "capacity {capacity:?}");
            }
        }
    });
}
