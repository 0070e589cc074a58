//! Models of closing and of ends that disconnect, by loom.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

fn ends<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity
        .map_or_else(Queue::unbounded, Queue::bounded)
        .into_ends()
}

/// A message that is counted when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A receiver that waits, or is about to, hears of the end when the last of two senders goes; what
/// they sent is received.
fn the_last_sender_ends_the_receiver(capacity: Option<usize>) {
    loom::model(move || {
        let (sender, receiver) = ends(capacity);
        let senders = [sender.clone(), sender]
            .map(|sender| thread::spawn(move || usize::from(sender.try_send(7).is_ok())));
        let mut received = 0;
        while receiver.recv() == Ok(7) {
            received += 1;
        }
        let accepted: usize = senders.into_iter().map(|s| s.join().unwrap()).sum();
        assert_eq!(received, accepted);
        assert!(receiver.is_closed());
    });
}

#[test]
fn the_last_sender_ends_the_receiver_unbounded() {
    the_last_sender_ends_the_receiver(None);
}

#[test]
fn the_last_sender_ends_the_receiver_bounded() {
    the_last_sender_ends_the_receiver(Some(1));
}

#[test]
fn the_last_sender_ends_the_receiver_without_room() {
    the_last_sender_ends_the_receiver(Some(0));
}

/// A sender that is cloned while another one goes is not the last one: nothing ends before the
/// clone has gone as well.
#[test]
fn a_clone_keeps_the_queue_open() {
    loom::model(|| {
        let (sender, receiver) = ends(None);
        let other = sender.clone();
        let dropped = thread::spawn(move || drop(other));
        let cloned = thread::spawn(move || {
            let clone = sender.clone();
            drop(sender);
            clone.send(7).unwrap();
        });
        assert_eq!(receiver.recv(), Ok(7));
        assert_eq!(receiver.recv(), Err(RecvError));
        dropped.join().unwrap();
        cloned.join().unwrap();
    });
}

/// The same of receivers: a message that was accepted is not dropped while one is left.
#[test]
fn a_clone_of_a_receiver_keeps_the_queue_open() {
    loom::model(|| {
        let (sender, receiver) = ends(Some(1));
        let other = receiver.clone();
        let dropped = thread::spawn(move || drop(other));
        let cloned = thread::spawn(move || {
            let clone = receiver.clone();
            drop(receiver);
            clone.recv()
        });
        sender.send(7).unwrap();
        dropped.join().unwrap();
        assert_eq!(cloned.join().unwrap(), Ok(7));
        assert_eq!(sender.send(8), Err(SendError(8)));
    });
}

/// Senders that wait for room, or are about to, wake when the last receiver goes: a message comes
/// back, or was accepted before; and each that is not in the hands of its sender has been dropped,
/// once.
fn the_last_receiver_ends_the_senders(capacity: usize, senders: usize) {
    loom::model(move || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = ends(Some(capacity));
        for _ in 0..capacity {
            assert!(sender.send(Counted(drops.clone())).is_ok());
        }
        let threads: Vec<_> = (0..senders)
            .map(|_| {
                let (sender, drops) = (sender.clone(), drops.clone());
                thread::spawn(move || {
                    let sent = sender.send(Counted(drops.clone()));
                    assert!(sender.try_send(Counted(drops)).is_err());
                    sent.map_err(SendError::into_inner)
                })
            })
            .collect();
        drop(receiver);
        let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        let back = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(drops.load(SeqCst), capacity + 2 * senders - back);
        drop(results);
        assert_eq!(drops.load(SeqCst), capacity + 2 * senders);
    });
}

#[test]
fn the_last_receiver_ends_a_sender() {
    the_last_receiver_ends_the_senders(1, 1);
}

#[test]
fn the_last_receiver_ends_two_senders() {
    the_last_receiver_ends_the_senders(1, 2);
}

#[test]
fn the_last_receiver_ends_a_sender_without_room() {
    the_last_receiver_ends_the_senders(0, 1);
}

/// A message that is sent while both sides go is dropped once.
#[test]
fn the_last_sender_and_the_last_receiver_go_at_once() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = ends(Some(1));
        let message = Counted(drops.clone());
        let sending = thread::spawn(move || drop(sender.send(message)));
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(drops.load(SeqCst), 1);
    });
}

/// What was accepted is received; what was not comes back; receivers end. With `capacity` messages
/// of room.
fn close_against_send_and_recv(capacity: Option<usize>, before: usize) {
    loom::model(move || {
        let queue = capacity.map_or_else(Queue::unbounded, Queue::bounded);
        for _ in 0..before {
            queue.send(0).unwrap();
        }
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || match queue.try_send(7) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.into_inner(), 7, "somebody else's message");
                    false
                }
            })
        };
        let receiver = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut received = 0;
                while let Ok(message) = queue.recv() {
                    received += usize::from(message == 7);
                }
                received
            })
        };
        queue.close();
        let accepted = sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), usize::from(accepted));
        assert!(queue.try_send(1).is_err() && queue.recv().is_err());
    });
}

#[test]
fn close_against_send_and_recv_unbounded() {
    close_against_send_and_recv(None, 0);
}

#[test]
fn close_against_send_and_recv_bounded() {
    close_against_send_and_recv(Some(1), 0);
}

#[test]
fn close_a_full_queue() {
    close_against_send_and_recv(Some(1), 1);
}

/// Two senders that are too late each get their own message back, also where one of them was
/// received.
#[test]
fn close_against_two_senders() {
    loom::model(|| {
        let queue = Queue::unbounded();
        let senders: Vec<_> = [3, 4]
            .into_iter()
            .map(|message| {
                let queue = queue.clone();
                thread::spawn(move || match queue.try_send(message) {
                    Ok(()) => message,
                    Err(error) => {
                        assert_eq!(error.into_inner(), message, "somebody else's message");
                        0
                    }
                })
            })
            .collect();
        queue.close();
        let mut received = 0;
        while let Ok(message) = queue.recv() {
            received += message;
        }
        let accepted: i32 = senders.into_iter().map(|s| s.join().unwrap()).sum();
        assert_eq!(received, accepted);
    });
}

/// A sender that waits for room is woken by room, and by the end.
#[test]
fn a_blocked_sender_wakes() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.send(1).unwrap();
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || queue.send(2).is_ok())
        };
        assert_eq!(queue.recv(), Ok(1));
        assert_eq!(queue.recv(), Ok(2));
        assert!(sender.join().unwrap());
    });
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.send(1).unwrap();
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || queue.send(2).map_err(SendError::into_inner))
        };
        queue.close();
        assert_eq!(sender.join().unwrap(), Err(2));
        assert_eq!((queue.recv(), queue.recv()), (Ok(1), Err(RecvError)));
    });
}

/// Two receivers hear of the end also where a sender that is too late takes the place of the bell.
#[test]
fn a_late_sender_does_not_lose_the_bell() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || usize::from(queue.try_send(7).is_ok()))
        };
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut received = 0;
                    while queue.recv().is_ok() {
                        received += 1;
                    }
                    received
                })
            })
            .collect();
        queue.close();
        let received: usize = receivers.into_iter().map(|r| r.join().unwrap()).sum();
        assert_eq!(received, sender.join().unwrap());
    });
}

/// Who was told of the end gets nothing afterwards.
#[test]
fn the_end_is_final() {
    loom::model(|| {
        let queue = Queue::unbounded();
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || usize::from(queue.try_send(7).is_ok()))
        };
        queue.close();
        let mut received = 0;
        while queue.recv().is_ok() {
            received += 1;
        }
        assert!(queue.try_recv().is_err());
        assert_eq!(received, sender.join().unwrap());
    });
}

/// Two receivers that wait both hear of the end, also where the queue was full when it was closed.
fn the_bell_reaches_everybody(before: usize) {
    loom::model(move || {
        let queue = Queue::<u8>::bounded(1);
        for _ in 0..before {
            queue.send(1).unwrap();
        }
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || usize::from(queue.recv().is_ok()))
            })
            .collect();
        queue.close();
        let received: usize = receivers.into_iter().map(|r| r.join().unwrap()).sum();
        assert_eq!(received, before);
    });
}

#[test]
fn the_bell_reaches_who_waits_at_an_empty_queue() {
    the_bell_reaches_everybody(0);
}

#[test]
fn the_bell_reaches_who_waits_at_a_full_queue() {
    the_bell_reaches_everybody(1);
}
