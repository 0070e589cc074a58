//! Files of memory: made, sealed, filled.

use std::io;
use std::sync::OnceLock;

use super::socket::retried;
use super::{Descriptor, is_too_many_files};

/// A file of memory that can be sealed.
pub(in crate::process) fn memory_file() -> io::Result<Descriptor> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::MemfdFlags;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(rustix::fs::memfd_create("scipar", flags)?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether this process can make memory that the kernel seals: found out by making some, once, as
/// other processes are judged by it.
///
/// An error says that it could not be found out now: too many files are open, or there is no
/// memory.
pub(in crate::process) fn makes_sealed_memory() -> io::Result<bool> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    #[cfg(test)]
    if tests::is_without_sealed_memory() {
        return Ok(false);
    }
    if let Some(answer) = ANSWER.get() {
        return Ok(*answer);
    }
    let answer = match memory_file().and_then(|file| seal(&file).map(|()| is_sealed(&file))) {
        Ok(sealed) => sealed,
        Err(error) if is_too_many_files(&error) => return Err(error),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(error),
        // The kernel has no such files, or a sandbox forbids to make them, with whatever error it
        // likes.
        Err(_) => false,
    };
    Ok(*ANSWER.get_or_init(|| answer))
}

/// A temporary file that has lost its name.
pub(in crate::process) fn nameless_file() -> io::Result<Descriptor> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..1000 {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".scipar-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file.into());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The same nameless file, opened to be read only.
pub(in crate::process) fn read_only_again(file: &Descriptor) -> io::Result<Descriptor> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}", file.as_raw_fd());
    if !std::path::Path::new(&path).exists() {
        path = format!("/dev/fd/{}", file.as_raw_fd());
    }
    Ok(std::fs::File::open(path)?.into())
}

/// Whether it is a plain file, on a disk or in memory.
fn is_file(file: &Descriptor) -> bool {
    use rustix::fs::FileType;
    rustix::fs::fstat(file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Whether it is a plain file that has no name.
pub(in crate::process) fn is_nameless(file: &Descriptor) -> bool {
    is_file(file) && rustix::fs::fstat(file).is_ok_and(|stat| stat.st_nlink == 0)
}

/// Whether a descriptor can read and not write.
pub(in crate::process) fn is_read_only(file: &Descriptor) -> bool {
    use rustix::fs::OFlags;
    rustix::fs::fcntl_getfl(file).is_ok_and(|flags| (flags & OFlags::RWMODE) == OFlags::RDONLY)
}

pub(in crate::process) fn len(file: &Descriptor) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_size.try_into().unwrap_or(0))
}

/// Gives a file a length.
pub(in crate::process) fn set_len(file: &Descriptor, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(file, bytes)?)
}

/// Gives a file on a disk the room for its length.
pub(in crate::process) fn reserve(file: &Descriptor, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        let flags = rustix::fs::FallocateFlags::empty();
        match retried(|| rustix::fs::fallocate(file, flags, 0, bytes)) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            result => return result,
        }
    }
    // Nothing is read from it before: zeros change nothing.
    let zeros = [0; 1 << 13];
    let mut at = 0;
    while at < bytes {
        let count = zeros.len().min((bytes - at) as usize);
        at += retried(|| rustix::io::pwrite(file, &zeros[..count], at))? as u64;
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod seals {
    use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals};

    use super::{Descriptor, io};

    const LEN: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

    /// Whether it is memory that has seals, or may still get some.
    pub(in crate::process) fn is_sealable(file: &Descriptor) -> bool {
        // A plain file in memory says that it can have no further seals, having none.
        is_memory(file) && fcntl_get_seals(file).is_ok_and(|seals| seals != SealFlags::SEAL)
    }

    /// No process can write it or change its length any more. [`io::ErrorKind::ResourceBusy`] while
    /// one has it mapped to be written.
    pub(in crate::process) fn seal(file: &Descriptor) -> io::Result<()> {
        Ok(fcntl_add_seals(
            file,
            LEN | SealFlags::WRITE | SealFlags::SEAL,
        )?)
    }

    /// No process can change its length any more.
    pub(in crate::process) fn seal_len(file: &Descriptor) -> io::Result<()> {
        Ok(fcntl_add_seals(file, LEN)?)
    }

    /// Whether no process can write it or change its length any more. `F_SEAL_FUTURE_WRITE` is not
    /// enough: it leaves the writable mappings that there are.
    pub(in crate::process) fn is_sealed(file: &Descriptor) -> bool {
        has(file, LEN | SealFlags::WRITE)
    }

    /// Whether no process can change its length any more.
    pub(in crate::process) fn has_sealed_len(file: &Descriptor) -> bool {
        has(file, LEN)
    }

    /// What is no memory at all, such as a socket, has no seals to ask for.
    fn has(file: &Descriptor, wanted: SealFlags) -> bool {
        is_memory(file) && fcntl_get_seals(file).is_ok_and(|seals| seals.contains(wanted))
    }

    /// Whether it is a file in ordinary memory. Files of huge pages have seals too, but mappings of
    /// them have other lengths than were asked for, and a page of them can be missing when it is
    /// looked at.
    fn is_memory(file: &Descriptor) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            /// The kernel's number for its file system in memory: another type on each
            /// architecture.
            const TMPFS: u64 = 0x0102_1994;
            rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type as u64 == TMPFS)
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = file;
            true
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
mod seals {
    use super::{Descriptor, io};

    pub(in crate::process) fn is_sealable(_: &Descriptor) -> bool {
        false
    }

    pub(in crate::process) fn seal(_: &Descriptor) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn seal_len(_: &Descriptor) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn is_sealed(_: &Descriptor) -> bool {
        false
    }

    pub(in crate::process) fn has_sealed_len(_: &Descriptor) -> bool {
        false
    }
}

pub(in crate::process) use seals::{has_sealed_len, is_sealable, is_sealed, seal, seal_len};

/// Bytes in a file of memory, to be handed over by its descriptor.
pub(in crate::process) fn spill(bytes: &[u8]) -> io::Result<Descriptor> {
    use std::io::Write;
    let file = match memory_file() {
        Ok(file) => file,
        Err(error) if is_too_many_files(&error) => return Err(error),
        Err(_) => nameless_file()?,
    };
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// The bytes of a file of memory, of which there may be so many.
///
/// [`io::ErrorKind::InvalidData`] for what another process has sent instead: what is no file, and
/// could be read for ever or never, a file that is longer, and one whose length changes. Room is
/// made for what has been read, not for what the file says.
pub(in crate::process) fn unspill(file: Descriptor, most: u64) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;

    const AT_ONCE: usize = 1 << 20;
    let unfit = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let stat = rustix::fs::fstat(&file)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    if kind != rustix::fs::FileType::RegularFile {
        return Err(unfit(format!(
            "a message in something that is no file ({kind:?})"
        )));
    }
    let len = u64::try_from(stat.st_size).unwrap_or(0);
    if len > most {
        return Err(unfit(format!(
            "a message of {len} bytes, {most} are the most"
        )));
    }
    let file = std::fs::File::from(file);
    let mut bytes = Vec::new();
    // The place to read from is shared with whoever sent it, so it is not used. One byte is asked
    // for beyond the end.
    loop {
        let at = bytes.len();
        let wanted = (len - at as u64).saturating_add(1).min(AT_ONCE as u64);
        bytes.resize(at + wanted as usize, 0);
        let read = retried_io(|| file.read_at(&mut bytes[at..], at as u64))?;
        bytes.truncate(at + read);
        if bytes.len() as u64 > len || (read == 0 && (at as u64) < len) {
            return Err(unfit(format!(
                "a message whose memory had {len} bytes and has another length now"
            )));
        }
        if read == 0 {
            return Ok(bytes);
        }
    }
}

fn retried_io(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
