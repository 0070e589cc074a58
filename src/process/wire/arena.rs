//! Bytes that live as long as a value is being decoded.

use std::cell::OnceCell;

/// A list of byte strings that only grows, so that they can be lent while others are added.
///
/// Some types ask their decoder for text that outlives the call, although they copy it in the end; a stream has no such
/// text, so it is kept here until the value is there.
#[derive(Debug, Default)]
pub(super) struct Arena {
    first: OnceCell<Box<Node>>,
}

#[derive(Debug)]
struct Node {
    bytes: Box<[u8]>,
    next: OnceCell<Box<Node>>,
}

impl Arena {
    /// The place after the last string.
    pub(super) fn end(&self) -> End<'_> {
        End(&self.first)
    }
}

/// Where an arena's next string goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a>(&'a OnceCell<Box<Node>>);

impl<'a> End<'a> {
    pub(super) fn keep(&mut self, bytes: Vec<u8>) -> &'a [u8] {
        let node = self.0.get_or_init(|| {
            Box::new(Node {
                bytes: bytes.into_boxed_slice(),
                next: OnceCell::new(),
            })
        });
        self.0 = &node.next;
        &node.bytes
    }
}

impl Drop for Arena {
    /// One after the other: a long list would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }
}
