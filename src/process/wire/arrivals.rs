//! Descriptors on their way in: which segment they belong to, and how many there may be.
//!
//! A sender hands them to the system with the first byte of the segment that announces them. The
//! system gives them out with the read that takes this byte, those of one sender's call at a time,
//! and ends that read with them. So the descriptors of a read are those of one segment, whose
//! header begins among the bytes of that read. What is found to be otherwise was sent by something
//! that does not keep to this, and would stay open for ever, as no segment is going to take it.

use std::collections::VecDeque;
use std::ops::Range;

use super::{FrameError, LinkError};
use crate::process::os::{self, DESCRIPTORS_AT_ONCE, Descriptor};

use super::frame::{HEADER, Header};

/// Descriptors that were read and that no segment has taken yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    waiting: VecDeque<Descriptor>,
    /// Which of them came together.
    batches: VecDeque<Batch>,
    /// How many that are.
    counted: usize,
    /// The system dropped some: there was no place for them.
    lost: bool,
}

/// What one read brought.
#[derive(Debug)]
struct Batch {
    /// Its bytes, counted from the beginning of the stream.
    bytes: Range<u64>,
    count: usize,
}

impl Arrivals {
    /// Where a read puts them.
    pub(super) fn waiting(&mut self) -> &mut VecDeque<Descriptor> {
        &mut self.waiting
    }

    /// Whether the last read has brought any, or lost some.
    pub(super) fn has_news(&self, lost: bool) -> bool {
        self.waiting.len() > self.counted || lost
    }

    /// Takes note of what a read of these bytes has brought, when the first header that has not
    /// been looked at begins at `next`.
    #[cold]
    pub(super) fn note(
        &mut self,
        bytes: Range<u64>,
        next: u64,
        lost: bool,
        taken: usize,
    ) -> Result<(), FrameError> {
        let count = self.waiting.len() - self.counted;
        if count > DESCRIPTORS_AT_ONCE {
            return Err(FrameError::Unannounced(count)); // no segment announces so many
        }
        self.lost |= lost;
        // Of a header that had begun before, these are too late.
        let first = match bytes.start > next {
            true => next + HEADER as u64,
            false => next,
        };
        if bytes.end <= first {
            return Err(FrameError::Unannounced(count));
        }
        let most = os::most_descriptors_of_a_message();
        if self.waiting.len() + taken > most {
            return Err(FrameError::Untaken(most));
        }
        self.counted = self.waiting.len();
        self.batches.push_back(Batch { bytes, count });
        Ok(())
    }

    /// Whether a header has anything to do with descriptors.
    pub(super) fn concern(&self, header: Header) -> bool {
        header.descriptors > 0 || !self.batches.is_empty()
    }

    /// Those of the segment whose header begins at `at`.
    #[cold]
    pub(super) fn claim(
        &mut self,
        at: u64,
        header: Header,
    ) -> Result<impl ExactSizeIterator<Item = Descriptor>, LinkError> {
        let mut count = 0;
        if header.descriptors > 0 {
            // Once some are lost, nobody knows whose the others are.
            if self.lost {
                return Err(LinkError::Io(os::too_many_files()));
            }
            let announced = usize::from(header.descriptors);
            match self.batches.pop_front() {
                Some(batch) if batch.bytes.contains(&at) && batch.count == announced => {
                    count = batch.count;
                }
                other => {
                    return Err(FrameError::Descriptors {
                        announced: header.descriptors,
                        arrived: other.map_or(0, |batch| batch.count),
                    }
                    .into());
                }
            }
        }
        let next = at + (HEADER + header.len) as u64;
        if let Some(batch) = self.batches.front()
            && batch.bytes.end <= next
        {
            return Err(FrameError::Unannounced(batch.count).into());
        }
        self.counted -= count;
        Ok(self.waiting.drain(..count))
    }

    /// Closes them.
    pub(super) fn refuse(&mut self) {
        self.waiting.clear();
        self.batches.clear();
        self.counted = 0;
    }
}
