//! Whose worker a program is: its parent's, and not that of a user with fewer rights who starts it
//! as one.
//!
//! All but one of these tests need the rights of root, to make what only root can make: they say so
//! and pass where they lack them.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;
#[path = "common/peer.rs"]
mod peer;

use std::any::type_name;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::watched;
use peer::Entry;
use scipar::process::{ProcessErrorKind, ProcessPool, Stderr as WorkerStderr, task};

scipar::process::test_worker!();

task! {
    fn read_file(path: PathBuf) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string())
    }
    fn own_user() -> u32 { rustix::process::getuid().as_raw() }
}

/// A user without rights of any kind.
const STRANGER: u32 = 65534;

/// How a program ends that refuses to be a worker.
const REFUSED: i32 = 77;

/// How the test harness is brought to where workers begin.
const AS_WORKER: [&str; 4] = [
    "scipar_test_worker",
    "--exact",
    "--nocapture",
    "--test-threads=1",
];

/// One test at a time: a program that another thread starts would inherit a copy that is being
/// written, which cannot be run then.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of this program, with a mode, and a file that only root can read.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// `None`, after saying why, where root's rights or the file system's consent are lacking.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let why = if !rustix::process::geteuid().is_root() {
            "not root"
        } else if rustix::fs::statvfs(dir.path())
            .unwrap()
            .f_flag
            .intersects(rustix::fs::StatVfsMountFlags::NOSUID)
        {
            "temporary files are on a file system that grants no rights"
        } else if status.contains("NoNewPrivs:\t1") {
            "this process grants no new rights"
        } else {
            fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
            let secret = dir.path().join("secret");
            fs::write(&secret, "for root alone").unwrap();
            fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
            return Some(Self { dir });
        };
        eprintln!("{why}: skipped");
        None
    }

    fn program(&self, mode: u32) -> PathBuf {
        let path = self.dir.path().join(format!("program-{mode:o}"));
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        // After the owner, as a change of that takes the rights away.
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// One whose file lets it read every file.
    fn program_with_capability(&self) -> PathBuf {
        let path = self.program(0o755);
        let renamed = path.with_extension("capable");
        fs::rename(path, &renamed).unwrap();
        const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
        const DAC_READ_SEARCH: u32 = 1 << 2;
        let words = [REVISION_2_EFFECTIVE, DAC_READ_SEARCH, 0, 0, 0];
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&renamed, "security.capability", &value, flags).unwrap();
        renamed
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }
}

/// Two connected sockets, made by another user than this process's.
fn sockets_of(user: u32) -> (UnixStream, UnixStream) {
    let pair = std::thread::spawn(move || {
        // The system keeps this for each thread.
        rustix::thread::set_thread_res_uid(None, rustix::process::Uid::from_raw(user), None)
            .unwrap();
        UnixStream::pair().unwrap()
    });
    pair.join().unwrap()
}

/// What became of a program that was started as a worker.
#[derive(Debug)]
struct Led {
    /// What it answered; `None` where it served no one.
    answer: Option<Entry<String>>,
    code: Option<i32>,
    said: String,
}

/// Starts a program as a user, as a worker at one of the sockets, and has it read a file.
fn lead(program: &Path, user: u32, sockets: (UnixStream, UnixStream), file: &Path) -> Led {
    let (ours, theirs) = sockets;
    let theirs = OwnedFd::from(theirs);
    let number = rustix::fs::fstat(&theirs).unwrap().st_ino;
    let mut child = Command::new(program)
        .args(AS_WORKER)
        .env("SCIPAR_WORKER", format!("{number}:1"))
        .uid(user)
        .gid(user)
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let task = (read_file.name(), type_name::<fn(PathBuf) -> String>());
    let answer = peer::lead(&ours, task, file);
    drop(ours);
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code();
    Led { answer, code, said }
}

#[test]
fn a_program_with_more_rights_than_its_user_is_not_that_users_worker() {
    let _alone = alone();
    watched("set-user-ID", || {
        let Some(place) = Place::new() else { return };
        // As it is meant: the same program without them is a worker, and reads what its user may
        // read.
        let sockets = UnixStream::pair().unwrap();
        let led = lead(&place.program(0o755), STRANGER, sockets, &place.secret());
        let refused = std::io::ErrorKind::PermissionDenied.to_string();
        assert_eq!(led.answer, Some(Entry::Value(refused)), "{led:?}");
        let mut programs = [0o4755, 0o2755, 0o6755]
            .map(|mode| place.program(mode))
            .to_vec();
        programs.push(place.program_with_capability());
        for program in programs {
            for sockets in [UnixStream::pair().unwrap(), sockets_of(STRANGER)] {
                let led = lead(&program, STRANGER, sockets, &place.secret());
                assert_eq!(led.answer, None, "{program:?}: {led:?}");
                assert_eq!(led.code, Some(REFUSED), "{program:?}: {led:?}");
                assert!(led.said.contains("set-user-ID"), "{led:?}");
            }
        }
    });
}

/// As `sudo` would start it, told to pass the environment on.
#[test]
fn orders_come_from_the_same_user_or_from_root() {
    let _alone = alone();
    watched("peers", || {
        let Some(place) = Place::new() else { return };
        let program = place.program(0o755);
        let led = lead(&program, 0, sockets_of(STRANGER), &place.secret());
        assert_eq!((&led.answer, led.code), (&None, Some(REFUSED)), "{led:?}");
        assert!(led.said.contains("user 65534"), "{led:?}");
        let led = lead(
            &program,
            STRANGER,
            sockets_of(STRANGER - 1),
            &place.secret(),
        );
        assert_eq!((&led.answer, led.code), (&None, Some(REFUSED)), "{led:?}");
        let led = lead(&program, STRANGER, sockets_of(STRANGER), &program);
        assert!(matches!(led.answer, Some(Entry::Value(_))), "{led:?}");
        let led = lead(&program, 0, UnixStream::pair().unwrap(), &place.secret());
        let read = Entry::Value("for root alone".to_owned());
        assert_eq!(led.answer, Some(read), "{led:?}");
    });
}

#[test]
fn root_has_workers_that_are_other_users() {
    let _alone = alone();
    watched("other users", || {
        let Some(place) = Place::new() else { return };
        if Command::new("setpriv").arg("--version").output().is_err() {
            eprintln!("no setpriv: skipped");
            return;
        }
        let program = place.program(0o755);
        let mut command = vec![
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        command.push(program.to_str().unwrap());
        command.extend(AS_WORKER);
        let pool = ProcessPool::builder().workers(1).worker_command(command);
        assert_eq!(pool.build().unwrap().call(own_user, &()).unwrap(), STRANGER);
        // One that gets rights from its file refuses, and says so.
        let program = place.program(0o2755);
        rustix::fs::chown(
            &program,
            None,
            rustix::process::Gid::from_raw(STRANGER).into(),
        )
        .unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o2755)).unwrap();
        let mut command = vec![program.to_str().unwrap()];
        command.extend(AS_WORKER);
        let pool = ProcessPool::builder().workers(1).stderr(WorkerStderr::Kept);
        let error = pool.worker_command(command).build().unwrap_err();
        assert_eq!(error.kind(), ProcessErrorKind::Handshake, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("exit status: 77") && text.contains("set-user-ID"),
            "{text}"
        );
    });
}

/// The number alone does not make a worker's socket.
#[test]
fn a_file_that_has_the_sockets_number_is_not_taken_for_it() {
    let _alone = alone();
    watched("file", || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input");
        fs::write(&path, "the input of a program").unwrap();
        let number = fs::metadata(&path).unwrap().ino();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(AS_WORKER)
            .env("SCIPAR_WORKER", format!("{number}:1"))
            .stdin(File::open(&path).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{output:?}"
        );
    });
}
