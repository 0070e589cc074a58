//! Models of joining, by loom.

use super::*;
use loom::sync::Arc;

/// No thread sleeps through the moment when the last task is done, and what was done is seen.
#[test]
fn join_sees_the_last_task() {
    loom::model(|| {
        let unfinished = Arc::new(Unfinished::new());
        let work = Arc::new(AtomicUsize::new(0));
        unfinished.begin();
        unfinished.begin();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (unfinished, work) = (unfinished.clone(), work.clone());
                loom::thread::spawn(move || {
                    work.fetch_add(1, Ordering::Relaxed);
                    unfinished.end();
                })
            })
            .collect();
        assert_eq!(unfinished.join(None), Joined::Finished);
        assert_eq!(work.load(Ordering::Relaxed), 2);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
