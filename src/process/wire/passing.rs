//! Descriptors on their way through serde, which knows only data: whatever owns one leaves it here while it is encoded and
//! finds it here when it is decoded, in the same order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Panic;
use crate::process::os::Descriptor;

thread_local! {
    /// While a value is being encoded for another process on this thread: what goes with it.
    static LEAVING: RefCell<Option<Vec<Arc<Descriptor>>>> = const { RefCell::new(None) };
    /// While a value is being decoded: what came with it and has not been taken.
    static ARRIVED: RefCell<Option<VecDeque<Descriptor>>> = const { RefCell::new(None) };
    /// Why the last value that owns a descriptor was refused, as serde's errors carry no text through here.
    static REFUSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a type says that owns a descriptor and is encoded or decoded elsewhere.
pub(in crate::process) const ONLY_IN_MESSAGES: &str =
    "this type travels only in messages between processes of this crate";

/// Sends a descriptor with the value that is being encoded; `false` where none is.
pub(in crate::process) fn leave(descriptor: &Arc<Descriptor>) -> bool {
    LEAVING.with_borrow_mut(|leaving| match leaving {
        Some(list) => {
            list.push(Arc::clone(descriptor));
            true
        }
        None => false,
    })
}

/// Takes the next descriptor of the value that is being decoded.
pub(in crate::process) fn take() -> Option<Descriptor> {
    ARRIVED.with_borrow_mut(|arrived| arrived.as_mut()?.pop_front())
}

/// Notes why a value is refused; gives the text back for serde.
pub(in crate::process) fn refuse(why: String) -> String {
    REFUSED.set(Some(why.clone()));
    why
}

/// Why a value was refused, once.
pub(in crate::process) fn refusal() -> Option<String> {
    REFUSED.take()
}

/// A value is being encoded as long as this lives.
#[derive(Debug)]
pub(super) struct Encoding(Option<Vec<Arc<Descriptor>>>);

impl Encoding {
    pub(super) fn begin() -> Self {
        REFUSED.set(None);
        Self(LEAVING.replace(Some(Vec::new())))
    }
}

/// What has been left so far.
pub(super) fn leaving() -> Vec<Arc<Descriptor>> {
    LEAVING.with_borrow_mut(|leaving| leaving.as_mut().map(std::mem::take).unwrap_or_default())
}

impl Drop for Encoding {
    fn drop(&mut self) {
        LEAVING.set(self.0.take());
    }
}

/// A value is being decoded as long as this lives.
#[derive(Debug)]
pub(super) struct Decoding(Option<VecDeque<Descriptor>>);

impl Decoding {
    pub(super) fn begin(here: VecDeque<Descriptor>) -> Self {
        REFUSED.set(None);
        Self(ARRIVED.replace(Some(here)))
    }

    /// What nobody has taken.
    pub(super) fn end(self) -> VecDeque<Descriptor> {
        ARRIVED.take().unwrap_or_default()
    }
}

/// What has arrived belongs to nothing.
pub(super) fn forget() {
    ARRIVED.with_borrow_mut(|arrived| {
        if let Some(list) = arrived {
            list.clear();
        }
    });
}

/// Runs a value's own code. A panic of it refuses the value: whatever is half written or read is put right as after any other failure.
pub(super) fn caught<T>(code: impl FnOnce() -> postcard::Result<T>) -> postcard::Result<T> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|payload| {
        refuse(format!("its own code panicked: {}", Panic::new(payload)));
        Err(postcard::Error::SerdeSerCustom)
    })
}

/// More has arrived.
pub(super) fn arrived(more: impl Iterator<Item = Descriptor>) {
    ARRIVED.with_borrow_mut(|arrived| {
        if let Some(list) = arrived {
            list.extend(more);
        }
    });
}

impl Drop for Decoding {
    fn drop(&mut self) {
        ARRIVED.set(self.0.take());
    }
}
