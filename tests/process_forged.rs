//! Memory that is not what a shared array's has to be, sent by a process that means harm: it is
//! refused before it is looked at.
//!
//! The sender makes an honest array and puts another file behind its descriptor, so that all the
//! rest is what it should be.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(
    unsafe_code,
    reason = "puts other files behind descriptors, as hostile code would"
)]

#[path = "common/children.rs"]
mod children;
mod common;

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use children::alone;
use scipar::RunError;
use scipar::process::{ProcessErrorKind, ProcessPool, Queue, Shared, SharedMut, Stderr, task};

scipar::process::test_worker!();

/// Elements of the arrays: a page of them.
const LEN: usize = 512;
const BYTES: usize = 8 * LEN;

/// A door to what was sent that has been left open.
static KEPT: OnceLock<File> = OnceLock::new();

/// What is put in the place of an array's memory, and a part of what is said about it.
const FORGED: [(&str, &str); 17] = [
    ("unsealable, read-only", "not sealed"),
    ("unsealable", "not sealed"),
    ("not sealed yet", "not sealed"),
    ("sealed, but for writing", "not sealed"),
    (
        "sealed against further writers, not those there are",
        "not sealed",
    ),
    ("sealed, but for shrinking", "not sealed"),
    ("sealed, but for growing", "not sealed"),
    ("sealed and shorter", "4088 bytes instead of 4096"),
    ("huge pages", "not sealed"),
    ("file in memory without a name, read-only", "not sealed"),
    ("file on a disk without a name, read-only", "not sealed"),
    ("file with a name", "not sealed"),
    ("/dev/zero", "not sealed"),
    ("directory", "not sealed"),
    ("socket", "not sealed"),
    ("pipe", "not sealed"),
    ("descriptor without access", "not sealed"),
];

const LEN_SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

fn memfd(flags: u32, seals: i32) -> OwnedFd {
    let name = CString::new("forged").unwrap();
    // SAFETY: the name ends with a zero.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it was made just now, for this.
    let mut file = unsafe { File::from_raw_fd(fd) };
    if flags & libc::MFD_HUGETLB == 0 {
        file.write_all(&1_u64.to_ne_bytes().repeat(LEN)).unwrap();
    } else {
        file.set_len(2 << 20).unwrap();
    }
    if seals != 0 {
        // SAFETY: no conditions.
        let result = unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
    file.into()
}

fn nameless(dir: &str) -> OwnedFd {
    let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
    file.write_all(&1_u64.to_ne_bytes().repeat(LEN)).unwrap();
    File::open(file.path()).unwrap().into()
}

fn forged(what: &str) -> OwnedFd {
    let sealable = |seals| memfd(libc::MFD_ALLOW_SEALING, seals);
    match what {
        "unsealable, read-only" => {
            let writable = memfd(0, 0);
            let path = format!("/proc/self/fd/{}", writable.as_raw_fd());
            let read_only = File::open(path).unwrap().into();
            if scipar::process::stop().is_some() {
                let _ = KEPT.set(File::from(writable)); // in a worker
            }
            read_only
        }
        "unsealable" => memfd(0, 0),
        "not sealed yet" => sealable(0),
        "sealed, but for writing" => sealable(LEN_SEALS | libc::F_SEAL_SEAL),
        "sealed against further writers, not those there are" => {
            sealable(LEN_SEALS | libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL)
        }
        "sealed, but for shrinking" => sealable(libc::F_SEAL_WRITE | libc::F_SEAL_GROW),
        "sealed, but for growing" => sealable(libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK),
        "sealed and shorter" => {
            let file = File::from(sealable(0));
            file.set_len(BYTES as u64 - 8).unwrap();
            let seals = LEN_SEALS | libc::F_SEAL_WRITE;
            // SAFETY: no conditions.
            assert_eq!(0, unsafe {
                libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals)
            });
            file.into()
        }
        "huge pages" => memfd(
            libc::MFD_ALLOW_SEALING | libc::MFD_HUGETLB,
            LEN_SEALS | libc::F_SEAL_WRITE,
        ),
        "file in memory without a name, read-only" => nameless("/dev/shm"),
        "file on a disk without a name, read-only" => nameless(env!("CARGO_TARGET_TMPDIR")),
        "file with a name" => File::open("/etc/passwd").unwrap().into(),
        "/dev/zero" => File::options()
            .read(true)
            .write(true)
            .open(what)
            .unwrap()
            .into(),
        "directory" => File::open("/").unwrap().into(),
        "socket" => std::os::unix::net::UnixDatagram::unbound().unwrap().into(),
        "pipe" => std::io::pipe().unwrap().0.into(),
        "descriptor without access" => {
            use std::os::unix::fs::OpenOptionsExt;
            let path = format!("/proc/self/fd/{}", sealable(LEN_SEALS).as_raw_fd());
            let mut options = File::options();
            let without = options
                .read(true)
                .custom_flags(libc::O_PATH | libc::O_NOFOLLOW);
            without
                .open(path)
                .unwrap_or_else(|_| without.open("/").unwrap())
                .into()
        }
        other => panic!("what is {other}?"),
    }
}

/// Puts a file behind the descriptor of the only array that this process has.
fn put_behind_the_array(file: &OwnedFd) {
    let own = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .find_map(|entry| {
            let entry = entry.ok()?;
            let link = std::fs::read_link(entry.path()).ok()?;
            let is_array = link.to_str()?.starts_with("/memfd:scipar");
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            is_array.then_some(number)
        });
    let own = own.expect("there is an array");
    // SAFETY: that descriptor's owner goes on to own what takes its place.
    let result = unsafe { libc::dup3(file.as_raw_fd(), own, libc::O_CLOEXEC) };
    assert_eq!(result, own);
}

task! {
    fn forges(what: String) -> Shared<u64> {
        let array = Shared::from_slice(&[1; LEN]).unwrap();
        put_behind_the_array(&forged(&what));
        array
    }
    fn overwrites() {
        use std::os::unix::fs::FileExt;
        if let Some(file) = KEPT.get() { file.write_at(&[7; BYTES], 0).unwrap(); }
    }
    fn forges_into(what: String, queue: Queue<Shared<u64>>) {
        let array = Shared::from_slice(&[1; LEN]).unwrap();
        put_behind_the_array(&forged(&what));
        queue.send(array).unwrap();
    }
    fn total(array: Shared<u64>) -> u64 { array.iter().sum() }
    fn honest(start: u64) -> Shared<u64> { Shared::build(LEN, |items| items.fill(start)).unwrap() }
    fn bump(part: &mut [u64], by: u64) { for x in part { *x += by; } }
}

fn pool() -> ProcessPool {
    let builder = ProcessPool::builder().workers(1).stderr(Stderr::Kept);
    builder.build().unwrap()
}

#[test]
fn a_result_with_forged_memory_is_refused() {
    alone("a forged result", || {
        for (what, why) in FORGED {
            let pool = pool(); // whose worker has no other array
            match pool.call(forges, &what.to_owned()) {
                Ok(array) => {
                    let before = array[0];
                    pool.call(overwrites, &()).unwrap();
                    panic!("{what}: it was mapped, read {before}, and now {}", array[0]);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ProcessErrorKind::Decode, "{what}: {error}");
                    assert!(error.to_string().contains(why), "{what}: {error}");
                }
            }
            assert_eq!(pool.call(honest, &3).unwrap()[LEN - 1], 3, "{what}");
        }
    });
}

#[test]
fn a_message_with_forged_memory_is_refused() {
    alone("a forged message", || {
        for (what, why) in FORGED {
            let (pool, queue) = (pool(), Queue::new().unwrap());
            let arguments = (what.to_owned(), queue.clone());
            pool.call(forges_into, &arguments).unwrap();
            let error = queue.recv().map(drop).unwrap_err().to_string();
            assert!(error.contains(why), "{what}: {error}");
        }
    });
}

/// A worker judges what it is lent as strictly as its parent judges what comes back.
#[test]
fn an_argument_with_forged_memory_is_refused() {
    const LENT: [&str; 7] = [
        "unsealable",
        "not sealed yet",
        "sealed, but for shrinking",
        "sealed, but for growing",
        "huge pages",
        "/dev/zero",
        "file with a name",
    ];
    alone("a forged argument", || {
        let pool = pool();
        for (what, why) in FORGED {
            let array = Shared::from_slice(&[1_u64; LEN]).unwrap();
            put_behind_the_array(&forged(what));
            let error = pool.call(total, &array).unwrap_err();
            assert!(error.to_string().contains(why), "{what}: {error}");
        }
        for what in LENT {
            let mut array = SharedMut::<u64>::zeroed(LEN).unwrap();
            put_behind_the_array(&forged(what));
            let result = pool.par_update_chunked(&mut array, 100, bump, |_| 1);
            let Err(RunError::Failed { index: 0, error }) = result else {
                panic!("{what}: {result:?}")
            };
            assert!(
                error.to_string().contains("length could change"),
                "{what}: {error}"
            );
        }
        assert_eq!(pool.call(honest, &3).unwrap()[LEN - 1], 3);
    });
}
