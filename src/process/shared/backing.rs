//! The memory of shared arrays: where it comes from, how it is sealed, how it is mapped. All
//! mappings of worker processes are made here.
//!
//! # The argument
//!
//! A mapping is lent as a slice only where no process can change the file's length, as a page that
//! is gone kills the process that looks at it, and where no other process writes.
//!
//! 1. Read-only arrays rest on the kernel's word: before it maps one, a process asks whether the
//!    file can never again be written, shortened or lengthened (`F_SEAL_WRITE`, `F_SEAL_SHRINK`,
//!    `F_SEAL_GROW`; seals cannot be taken away). The kernel grants the first of them only when no
//!    writable mapping is left. `F_SEAL_FUTURE_WRITE` in its place is not enough, and files of huge
//!    pages are refused whatever their seals.
//! 2. Writable arrays are mapped by one owner, whose `&mut` lends parts of it to workers. Their
//!    length is sealed, as that of read-only arrays is. The owner does not look until every worker
//!    has unmapped its part, which it does before it answers, or has been waited for as a dead
//!    process.
//! 3. Where this process cannot make sealed memory, which it finds out once by trying, the file is
//!    a temporary one that has lost its name. A read-only array is handed on with a descriptor that
//!    can only read; the one that could write is closed before. A receiver that cannot make sealed
//!    memory either checks both. One that can does not take such a file: that processes of one
//!    program differ in this is rare (a worker under a stricter sandbox), and an error says so.
//!
//! Any bytes are a value of the elements ([`Pod`](super::Pod)), parts begin at multiples of their
//! size, and `bytemuck` checks length and alignment of every mapping.
//!
//! Point 1 holds whatever the other process is. In point 2 the length does, so that no process can
//! make another one die; that a worker writes no more after its answer rests on its being one of
//! this crate. So does point 3: a descriptor that reads, of a file without a name, shows neither
//! that there is no other descriptor that writes nor that the length stays. (It was taken as proof
//! on every system once, for any file that is not sealable. A memory file made without sealing
//! passes for such a file, and the array then changed, or killed its reader, at its sender's will.
//! So where the kernel has seals, its word is now the only one.)
//!
//! # Why the read-only mapping is private
//!
//! A shared mapping of a file that is sealed against writing is refused with `EPERM` by Linux
//! before 6.7, even if it is only to be read (upstream commit e8e17ee90eaf lifted that). A private
//! one is allowed on all kernels, and here it is the same: "private" speaks of what is written, and
//! a mapping that can only be read is never written, so no page of it is ever copied. Its pages are
//! those of the file itself, which all processes share. What POSIX leaves open for private
//! mappings, whether later changes of the file are seen, does not arise, as there are none.
//! `a_read_only_mapping_is_private_and_copies_nothing` looks at what the kernel says of it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::process::os::{self, Descriptor};

/// A file of memory.
#[derive(Clone, Debug)]
pub(super) struct Backing {
    file: Arc<Descriptor>,
    kind: Kind,
}

/// By which rule a file is judged before it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By its seals: points 1 and 2 above.
    Memory,
    /// By its having no name, and by its descriptor: point 3.
    Disk,
}

impl Backing {
    /// Memory of so many bytes, all zero; a temporary file where the system has no memory that can
    /// be sealed.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let backing = match os::makes_sealed_memory()? {
            true => Self {
                file: Arc::new(os::memory_file()?),
                kind: Kind::Memory,
            },
            false => Self::on_disk()?,
        };
        backing.with_len(bytes)
    }

    /// A temporary file without a name.
    pub(super) fn on_disk() -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(os::nameless_file()?),
            kind: Kind::Disk,
        })
    }

    pub(super) fn with_len(self, bytes: usize) -> io::Result<Self> {
        os::set_len(&self.file, bytes as u64)?;
        if self.kind == Kind::Disk {
            // A disk that is full would be found out by the process that first writes a page, and
            // kill it.
            os::reserve(&self.file, bytes as u64)?;
        }
        Ok(self)
    }

    /// One that came from another process, of which nothing is known yet.
    pub(super) fn received(file: Descriptor) -> io::Result<Self> {
        let kind = match os::makes_sealed_memory()? || os::is_sealable(&file) {
            true => Kind::Memory,
            false => Kind::Disk,
        };
        Ok(Self {
            file: Arc::new(file),
            kind,
        })
    }

    pub(super) fn file(&self) -> &Arc<Descriptor> {
        &self.file
    }

    /// Writes from the beginning, without a mapping.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::from(self.file.try_clone()?);
        file.rewind()?;
        file.write_all(bytes)
    }

    /// Gives up writing for ever, on behalf of all processes.
    pub(super) fn seal(self) -> io::Result<Self> {
        match self.kind {
            Kind::Memory => {
                os::seal(&self.file).map_err(not_sealed)?;
                Ok(self)
            }
            Kind::Disk => Ok(Self {
                file: Arc::new(os::read_only_again(&self.file)?),
                kind: Kind::Disk,
            }),
        }
    }

    /// Keeps the length for ever, where the system can.
    pub(super) fn seal_len(&self) -> io::Result<()> {
        match self.kind {
            Kind::Memory => os::seal_len(&self.file),
            Kind::Disk => Ok(()),
        }
    }

    fn has_len(&self, bytes: u64) -> io::Result<()> {
        let len = os::len(&self.file)?;
        if len < bytes {
            return Err(unfit(&format!(
                "shared memory of {len} bytes instead of {bytes}"
            )));
        }
        Ok(())
    }

    /// Maps the first bytes to be read.
    #[allow(
        unsafe_code,
        reason = "maps memory that the kernel says no process can change"
    )]
    pub(super) fn map(&self, bytes: usize) -> io::Result<Mmap> {
        let file = &*self.file;
        match self.kind {
            Kind::Memory if os::is_sealed(file) => {}
            Kind::Memory if os::is_nameless(file) && !os::is_sealable(file) => {
                return Err(unfit(
                    "shared memory that is not sealed and could still be written: it may come from \
                     a process that cannot make memory that is, as this one can",
                ));
            }
            Kind::Memory => {
                return Err(unfit(
                    "shared memory that is not sealed and could still be written",
                ));
            }
            Kind::Disk if os::is_nameless(file) && os::is_read_only(file) => {}
            Kind::Disk => {
                return Err(unfit(
                    "shared memory that could still be written: it is no temporary file without a \
                     name, opened to be read only",
                ));
            }
        }
        self.has_len(bytes as u64)?; // after the seals: before them it could still change
        // SAFETY: no process can write the file or change its length any more, as has just been
        // asked: points 1 and 3 above.
        unsafe { MmapOptions::new().len(bytes).map_copy_read_only(file) }
    }

    /// Maps bytes to be written.
    #[allow(
        unsafe_code,
        reason = "maps memory that is lent to one owner at a time"
    )]
    pub(super) fn map_mut(&self, offset: u64, bytes: usize) -> io::Result<MmapMut> {
        let keeps_len = match self.kind {
            Kind::Memory => os::has_sealed_len(&self.file),
            Kind::Disk => os::is_nameless(&self.file),
        };
        if !keeps_len {
            return Err(unfit("shared memory whose length could change"));
        }
        self.has_len(offset.saturating_add(bytes as u64))?;
        // SAFETY: the file has the length, which cannot change (or which no process of this crate
        // changes: it has no name), and these bytes are the caller's alone: points 2 and 3 above.
        unsafe {
            MmapOptions::new()
                .offset(offset)
                .len(bytes)
                .map_mut(&*self.file)
        }
    }
}

/// Why the kernel did not seal what this process has made.
fn not_sealed(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::ResourceBusy => {
            "another process still has a part of the array that it was lent, and could write it"
        }
        io::ErrorKind::PermissionDenied => {
            "another process that was lent a part of the array has settled its seals"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{why}: {error}"))
}

pub(super) fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Elements without a size have no memory to share.
pub(super) fn has_size<T>() -> io::Result<()> {
    match size_of::<T>() {
        0 => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "elements without a size cannot be shared",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
