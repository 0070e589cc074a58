//! What a worker writes to its standard error.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Stderr;
use crate::process::os::{self, Descriptor};

/// The last words of a worker, and the thread that hears and passes them on.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    pub(super) ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Tail {
    /// Bytes kept of what a worker says.
    const KEPT: usize = 4 << 10;

    pub(super) fn follow(
        &mut self,
        pipe: PipeReader,
        end: Option<Arc<Descriptor>>,
        stderr: Stderr,
    ) -> io::Result<()> {
        let (kept, ended) = (Arc::clone(&self.kept), Arc::clone(&self.ended));
        let follow = move || {
            let mut space = vec![0; 8 << 10];
            // After its end a worker has nothing more to say than what fits a pipe.
            let mut left = 1_usize << 20;
            loop {
                let is_over = || ended.load(Ordering::Acquire);
                let read = os::read_until_end(&pipe, end.as_ref(), is_over, &mut space);
                let Ok(bytes @ 1..) = read else { return };
                let text = &space[..bytes];
                {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(text);
                    let excess = kept.len().saturating_sub(Self::KEPT);
                    kept.drain(..excess);
                }
                if stderr == Stderr::Shown {
                    let _ = io::stderr().write_all(text); // nobody to tell
                }
                if is_over() {
                    left = left.saturating_sub(bytes);
                    if left == 0 {
                        return;
                    }
                }
            }
        };
        let builder = thread::Builder::new().name("scipar-stderr".to_owned());
        self.thread = Some(builder.spawn(follow)?);
        Ok(())
    }

    /// What has been kept, after the worker's end.
    pub(super) fn text(&mut self) -> String {
        self.close();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (a, b) = kept.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).into_owned()
    }

    /// Waits for the thread, which ends with the worker; not for long, as it may be stuck with what
    /// it passes on.
    pub(super) fn close(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let until = Instant::now() + Duration::from_millis(500);
        let mut pause = Duration::from_micros(20);
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ = thread.join(); // it does not panic
        }
    }
}
