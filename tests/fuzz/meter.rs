//! What an input may cost: memory in proportion to what was sent, and no descriptor for good.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be allocated whatever was sent, and for each byte that was. Where a length is
/// announced serde makes room for a mebibyte of elements at most, and lists of the targets' types
/// are ten deep. The largest element has 48 bytes where a byte of a message says that there is one,
/// and a vector that grows has been moved.
const ANYWAY: usize = 11 << 20;
const PER_BYTE: usize = 256;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, and how much it has given out.
struct Counting;

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number that the next descriptor gets: the lowest one that is free.
fn next_descriptor() -> RawFd {
    File::open("/dev/null").expect("a file").as_raw_fd()
}

/// Runs an input, which says how many bytes it has sent.
pub(crate) fn run(code: impl FnOnce() -> usize) {
    let next = next_descriptor();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let sent = code();
    let peak = PEAK.load(Ordering::Relaxed) - before;
    let allowed = ANYWAY + PER_BYTE * sent;
    assert!(
        peak <= allowed,
        "{peak} bytes of memory for {sent} bytes, {allowed} are allowed"
    );
    assert_eq!(next_descriptor(), next, "a descriptor is still open");
}
