//! Descriptors on their way through serde, which knows only data: whatever owns one leaves it here while it is encoded and
//! finds it here when it is decoded, in the same order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use crate::panic;
use crate::process::os::Descriptor;

thread_local! {
    // Most values own no descriptor, and a thread's variable that has nothing to drop costs next to nothing, so these say whether
    // those below need to be looked at.
    /// Whether a value is being encoded for another process on this thread.
    static ENCODING: Cell<bool> = const { Cell::new(false) };
    /// Whether a value is being decoded.
    static DECODING: Cell<bool> = const { Cell::new(false) };
    static HAS_LEAVING: Cell<bool> = const { Cell::new(false) };
    static HAS_ARRIVED: Cell<bool> = const { Cell::new(false) };
    static HAS_REFUSED: Cell<bool> = const { Cell::new(false) };

    /// What goes with the value that is being encoded.
    static LEAVING: RefCell<Vec<Arc<Descriptor>>> = const { RefCell::new(Vec::new()) };
    /// What came with the value that is being decoded and has not been taken.
    static ARRIVED: RefCell<VecDeque<Descriptor>> = const { RefCell::new(VecDeque::new()) };
    /// Why the last value that owns a descriptor was refused, as serde's errors carry no text through here.
    static REFUSED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a type says that owns a descriptor and is encoded or decoded elsewhere.
pub(in crate::process) const ONLY_IN_MESSAGES: &str =
    "this type travels only in messages between processes of this crate";

/// Sends a descriptor with the value that is being encoded; `false` where none is.
pub(in crate::process) fn leave(descriptor: &Arc<Descriptor>) -> bool {
    if !ENCODING.get() {
        return false;
    }
    LEAVING.with_borrow_mut(|leaving| leaving.push(Arc::clone(descriptor)));
    HAS_LEAVING.set(true);
    true
}

/// Takes the next descriptor of the value that is being decoded.
pub(in crate::process) fn take() -> Option<Descriptor> {
    if !DECODING.get() {
        return None;
    }
    ARRIVED.with_borrow_mut(VecDeque::pop_front)
}

/// Notes why a value is refused; gives the text back for serde.
pub(in crate::process) fn refuse(why: String) -> String {
    REFUSED.set(why.clone());
    HAS_REFUSED.set(true);
    why
}

/// Why a value was refused, once.
pub(in crate::process) fn refusal() -> Option<String> {
    HAS_REFUSED.replace(false).then(|| REFUSED.take())
}

/// Adds what has been left so far.
pub(super) fn leaving_into(list: &mut Vec<Arc<Descriptor>>) {
    if HAS_LEAVING.get() {
        list.extend(leaving());
    }
}

/// What has been left so far.
pub(super) fn leaving() -> Vec<Arc<Descriptor>> {
    match HAS_LEAVING.replace(false) {
        true => LEAVING.take(),
        false => Vec::new(),
    }
}

/// A value is being encoded as long as this lives.
#[derive(Debug)]
pub(super) struct Encoding {
    /// Where one is encoded while another is: what goes with that.
    outer: Option<Vec<Arc<Descriptor>>>,
}

impl Encoding {
    pub(super) fn begin() -> Self {
        HAS_REFUSED.set(false);
        Self {
            outer: ENCODING.replace(true).then(leaving),
        }
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        if HAS_LEAVING.get() {
            drop(leaving());
        }
        ENCODING.set(self.outer.is_some());
        if let Some(outer) = self.outer.take()
            && !outer.is_empty()
        {
            LEAVING.set(outer);
            HAS_LEAVING.set(true);
        }
    }
}

/// A value is being decoded as long as this lives.
#[derive(Debug)]
pub(super) struct Decoding {
    /// Where one is decoded while another is: what came with that.
    outer: Option<VecDeque<Descriptor>>,
}

impl Decoding {
    pub(super) fn begin(here: &mut VecDeque<Descriptor>) -> Self {
        HAS_REFUSED.set(false);
        let outer = DECODING.replace(true).then(not_taken);
        if !here.is_empty() {
            arrived(here.drain(..));
        }
        Self { outer }
    }

    /// Puts back what nobody has taken.
    pub(super) fn end(self, here: &mut VecDeque<Descriptor>) {
        if HAS_ARRIVED.get() {
            here.extend(not_taken());
        }
    }
}

fn not_taken() -> VecDeque<Descriptor> {
    match HAS_ARRIVED.replace(false) {
        true => ARRIVED.take(),
        false => VecDeque::new(),
    }
}

/// How many have arrived for the value that is being decoded and have not been taken.
pub(super) fn num_arrived() -> usize {
    match HAS_ARRIVED.get() {
        true => ARRIVED.with_borrow(VecDeque::len),
        false => 0,
    }
}

/// What has arrived belongs to nothing.
pub(super) fn forget() {
    drop(not_taken());
}

/// Runs a value's own code. A panic of it refuses the value: whatever is half written or read is put right as after any other failure.
pub(super) fn caught<T>(code: impl FnOnce() -> postcard::Result<T>) -> postcard::Result<T> {
    panic::caught(code).unwrap_or_else(|panic| {
        refuse(format!("its own code panicked: {panic}"));
        Err(postcard::Error::SerdeSerCustom)
    })
}

/// More has arrived.
pub(super) fn arrived(more: impl ExactSizeIterator<Item = Descriptor>) {
    if more.len() > 0 && DECODING.get() {
        ARRIVED.with_borrow_mut(|list| list.extend(more));
        HAS_ARRIVED.set(true);
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        if HAS_ARRIVED.get() {
            drop(not_taken());
        }
        DECODING.set(self.outer.is_some());
        if let Some(outer) = self.outer.take() {
            arrived(outer.into_iter());
        }
    }
}
