//! Models of closing, by loom.

use super::*;
use loom::thread;

/// What was accepted is received; what was not comes back; receivers end. With `capacity` messages of room.
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

/// Two senders that are too late each get their own message back, also where one of them was received.
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
