//! The memory of shared arrays: where it comes from, how it is sealed, how it is mapped. All unsafe code of
//! shared arrays is here.
//!
//! # The argument
//!
//! A mapping is lent as a slice only where nobody can change the file's length, as a page that is gone kills whoever looks at it, and
//! where nobody else writes.
//!
//! 1. Read-only arrays rest on the kernel's word: before it maps one, a process asks whether the file can never again be written, shortened
//!    or lengthened (`F_SEAL_WRITE`, `F_SEAL_SHRINK`, `F_SEAL_GROW`; seals cannot be taken away). The kernel grants the first of them only when no
//!    writable mapping is left.
//! 2. Where the kernel has no seals, the file is a temporary one that has lost its name and is handed on with a descriptor that can only
//!    read; the one that could write is closed before. A receiver checks both.
//! 3. Writable arrays are mapped by one owner, whose `&mut` lends parts of it to workers. The owner does not look until every worker has
//!    unmapped its part, which it does before it answers, or has been waited for as a dead process.
//!
//! Any bytes are a value of the elements ([`Pod`](super::Pod)), parts begin at multiples of their size, and `bytemuck` checks length and
//! alignment of every mapping. Points 2 and 3 rest on the other process being one of this crate, which keeps no descriptor that could write:
//! a foreign program that is given as a worker's command could, as any program of the same user could with a debugger's means. Point 1 does not.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::process::os::{self, Descriptor};

/// A file of memory.
#[derive(Clone, Debug)]
pub(super) struct Backing {
    file: Arc<Descriptor>,
    sealable: bool,
}

impl Backing {
    /// Memory of so many bytes, all zero; a temporary file where the system refuses.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let backing = match os::memory_file() {
            Ok(file) => Self {
                file: Arc::new(file),
                sealable: true,
            },
            Err(error) if os::is_too_many_files(&error) => return Err(error),
            Err(_) => Self::on_disk()?,
        };
        backing.with_len(bytes)
    }

    /// A temporary file without a name.
    pub(super) fn on_disk() -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(os::nameless_file()?),
            sealable: false,
        })
    }

    pub(super) fn with_len(self, bytes: usize) -> io::Result<Self> {
        os::set_len(&self.file, bytes as u64)?;
        if !self.sealable {
            // A disk that is full would be found out by whoever first writes a page, and kill it.
            os::reserve(&self.file, bytes as u64)?;
        }
        Ok(self)
    }

    /// One that came from another process.
    pub(super) fn received(file: Descriptor) -> io::Result<Self> {
        let sealable = os::is_sealable(&file);
        Ok(Self {
            file: Arc::new(file),
            sealable,
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

    /// Gives up writing for ever, on behalf of everybody.
    pub(super) fn seal(self) -> io::Result<Self> {
        if self.sealable {
            os::seal(&self.file)?;
            return Ok(self);
        }
        let file = os::read_only_again(&self.file)?;
        Ok(Self {
            file: Arc::new(file),
            sealable: false,
        })
    }

    /// Keeps the length for ever, where the system can.
    pub(super) fn seal_len(&self) -> io::Result<()> {
        if self.sealable {
            os::seal_len(&self.file)?;
        }
        Ok(())
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
        reason = "maps memory that the kernel says nobody can change"
    )]
    pub(super) fn map(&self, bytes: usize) -> io::Result<Mmap> {
        let unchanging = if self.sealable {
            os::is_sealed(&self.file)?
        } else {
            os::is_nameless_and_read_only(&self.file)?
        };
        if !unchanging {
            return Err(unfit("shared memory that somebody could still write"));
        }
        self.has_len(bytes as u64)?; // after the seals: before them it could still change
        // SAFETY: nobody can write the file or change its length any more, as has just been asked: points 1 and 2 above.
        unsafe { MmapOptions::new().len(bytes).map(&*self.file) }
    }

    /// Maps bytes to be written.
    #[allow(
        unsafe_code,
        reason = "maps memory that is lent to one owner at a time"
    )]
    pub(super) fn map_mut(&self, offset: u64, bytes: usize) -> io::Result<MmapMut> {
        if self.sealable && !os::has_sealed_len(&self.file)? {
            return Err(unfit("shared memory whose length could change"));
        }
        self.has_len(offset.saturating_add(bytes as u64))?;
        // SAFETY: the file has the length, which cannot change (or which nobody changes: it has no name), and these bytes are
        // the caller's alone: point 3 above.
        unsafe {
            MmapOptions::new()
                .offset(offset)
                .len(bytes)
                .map_mut(&*self.file)
        }
    }
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
