//! The number of a worker that is gone can be another process's, or another group's, by the time
//! that its pool looks: no signal goes there. That happens where its end was taken note of by
//! others: by the system, in programs that ignore `SIGCHLD`, and by programs that wait for any
//! child.
//!
//! The parts run in a namespace of process numbers, where the next number can be chosen. That needs
//! a privileged user.

#![cfg(all(target_os = "linux", target_pointer_width = "64", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "signals are what this is about")]

#[path = "common/children.rs"]
mod children;
mod common;
#[path = "common/seccomp.rs"]
mod seccomp;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use children::{is_gone, kill, state};
use common::{eventually, watched};
use scipar::process::{Process, ProcessPool, Stderr, task};
use seccomp::{Refusal, refuse};

scipar::process::test_worker!();

/// Tells a part which kernel it is to play.
const KERNEL: &str = "SCIPAR_TEST_KERNEL";
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

task! {
    fn next(x: u64) -> u64 { x + 1 }
    fn sleeps() { std::thread::sleep(Duration::from_secs(1000)); }
    #[allow(clippy::zombie_processes, reason = "to be left behind is what it is for")]
    fn has_program() -> u32 { Command::new("sleep").arg("1000").spawn().unwrap().id() }
}

/// How the end of a worker comes to be taken note of by others than its pool.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Ignored,
    IgnoredLater,
    NotKept,
    WaitedFor,
}

/// Who has the number then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum New {
    Child,
    Stranger,
}

fn on_child(handler: libc::sighandler_t, flags: i32) {
    // SAFETY: zeros are a value of it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the action is one, and no handler of this program's is involved.
    let result = unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

impl Way {
    fn begin(self) {
        match self {
            Way::Ignored => on_child(libc::SIG_IGN, 0),
            Way::NotKept => on_child(libc::SIG_DFL, libc::SA_NOCLDWAIT),
            Way::IgnoredLater | Way::WaitedFor => on_child(libc::SIG_DFL, 0),
        }
    }

    /// Kills a worker, so that nothing is left of it and its number is free.
    fn end(self, worker: u32) {
        if self == Way::IgnoredLater {
            on_child(libc::SIG_IGN, 0);
        }
        kill(worker, libc::SIGKILL);
        if self == Way::WaitedFor {
            // SAFETY: it asks for no status.
            let pid = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            assert_eq!(pid as u32, worker);
        }
        assert!(eventually(|| state(worker).is_none()), "{self:?}");
    }
}

impl New {
    /// Starts a program that has this number, and is the leader of its group. The system may take a
    /// moment to free the number.
    fn start(self, number: u32) {
        let has_it = eventually(|| {
            let pid = self.try_start(number);
            if pid != number {
                end(pid);
            }
            pid == number
        });
        assert!(has_it, "{number} is not to be had");
        let is_leader = || {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap();
            let words: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .collect();
            stat.contains("(sleep)") && words[2] == number.to_string()
        };
        assert!(eventually(is_leader));
    }

    fn try_start(self, number: u32) -> u32 {
        match self {
            New::Child => {
                std::fs::write(LAST, (number - 1).to_string()).unwrap();
                let mut command = Command::new("sleep");
                command.arg("1000").process_group(0).spawn().unwrap().id()
            }
            New::Stranger => {
                let script = format!("echo {} > {LAST}; setsid sleep 1000 & echo $!", number - 1);
                let mut shell = Command::new("sh")
                    .args(["-c", &script])
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut text = [0; 16];
                let len = shell.stdout.take().unwrap().read(&mut text).unwrap();
                let _ = shell.wait(); // nothing is known of it where its end is ignored
                std::str::from_utf8(&text[..len])
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap()
            }
        }
    }
}

/// It is alive, and not about to die.
fn assert_alive(pid: u32, when: &str) {
    let until = Instant::now() + Duration::from_millis(20);
    while Instant::now() < until {
        assert!(
            !is_gone(pid),
            "{when}: a process that has nothing to do with it was killed"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end(pid: u32) {
    kill(pid, libc::SIGKILL);
    // SAFETY: it asks for no status; where it is no child, or its end is ignored, there is nothing
    // to wait for.
    unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) };
    assert!(eventually(|| state(pid).is_none()));
}

fn pool(kill_on_drop: bool) -> ProcessPool {
    let builder = ProcessPool::builder().workers(1).stderr(Stderr::Kept);
    let builder = match kill_on_drop {
        true => builder.kill_on_drop(),
        false => builder,
    };
    builder.build().unwrap()
}

fn process() -> Process<()> {
    let builder = Process::<()>::builder().stderr(Stderr::Kept);
    builder.spawn(sleeps, ()).unwrap()
}

/// What is done with a worker that is no more.
type Act = (&'static str, fn(&dyn Fn(u32)));
const ACTS: [Act; 7] = [
    ("a pool is dropped", |lost| {
        let pool = pool(false);
        lost(pool.idle_pids()[0]);
        drop(pool);
    }),
    ("a pool that kills is dropped", |lost| {
        let pool = pool(true);
        lost(pool.idle_pids()[0]);
        drop(pool);
    }),
    ("a pool is killed", |lost| {
        let pool = pool(false);
        lost(pool.idle_pids()[0]);
        pool.kill();
    }),
    ("a worker is replaced", |lost| {
        let pool = pool(false);
        lost(pool.idle_pids()[0]);
        assert_eq!(pool.call(next, &1).unwrap(), 2);
        assert_eq!(pool.num_starts(), 2);
    }),
    ("a process is killed", |lost| {
        let mut process = process();
        lost(process.pid());
        process.kill();
        process.kill();
        assert!(!process.is_alive());
        assert!(process.join().unwrap_err().is_death());
    }),
    ("a process is asked how it ended", |lost| {
        let mut process = process();
        lost(process.pid());
        assert!(!process.is_alive());
        assert_eq!(process.exit_status(), None);
        assert!(
            process
                .join_timeout(Duration::from_secs(30))
                .unwrap()
                .is_err()
        );
    }),
    ("a process is dropped", |lost| {
        let process = process();
        lost(process.pid());
        drop(process);
    }),
];

/// What this part's kernel lacks.
fn is_played(kernel: &str) -> bool {
    let group = libc::PIDFD_SIGNAL_PROCESS_GROUP;
    let refusals = match kernel {
        "this" => return true,
        "6.8" => vec![Refusal::of(libc::SYS_pidfd_send_signal, libc::EINVAL).with(3, group, group)],
        "5.2" => vec![
            Refusal::of(libc::SYS_pidfd_open, libc::ENOSYS),
            Refusal::of(libc::SYS_pidfd_send_signal, libc::ENOSYS),
        ],
        other => panic!("what is Linux {other}?"),
    };
    refuse(&refusals)
        .inspect_err(|error| println!("skipped: no filter can be put on calls: {error}"))
        .is_ok()
}

#[test]
#[ignore = "run by the other tests, in a namespace of its own"]
fn part_with_numbers_that_are_used_again() {
    let Ok(kernel) = std::env::var(KERNEL) else {
        return;
    };
    if let Err(error) = std::fs::write(LAST, "1000") {
        println!("skipped: the next process number cannot be chosen: {error}");
        return;
    }
    if !is_played(&kernel) {
        return;
    }
    watched("numbers", || {
        for way in [
            Way::Ignored,
            Way::IgnoredLater,
            Way::NotKept,
            Way::WaitedFor,
        ] {
            for new in [New::Stranger, New::Child] {
                if kernel == "5.2" && new == New::Child {
                    continue; // there a number is all that is known of a child
                }
                for (name, act) in ACTS {
                    let when = format!("{name}, {way:?}, {new:?}, Linux {kernel}");
                    way.begin();
                    let number = std::cell::Cell::new(0);
                    act(&|worker| {
                        way.end(worker);
                        new.start(worker);
                        number.set(worker);
                    });
                    assert_alive(number.get(), &when);
                    end(number.get());
                }
            }
        }
    });
    println!("done");
}

/// What a worker has left behind goes with it, where it can be told from what others have started.
#[test]
#[ignore = "run by the other tests, in a namespace of its own"]
fn part_with_programs_that_are_left_behind() {
    let Ok(kernel) = std::env::var(KERNEL) else {
        return;
    };
    if !is_played(&kernel) {
        return;
    }
    let numbers_of_groups = kernel == "this" && can_signal_groups();
    watched("left behind", || {
        for way in [
            Way::Ignored,
            Way::IgnoredLater,
            Way::NotKept,
            Way::WaitedFor,
        ] {
            // A worker that is alive is the leader of its group, whatever becomes of it.
            way.begin();
            let pool = pool(true);
            let program = pool.call(has_program, &()).unwrap();
            drop(pool);
            assert!(eventually(|| is_gone(program)), "{way:?}, Linux {kernel}");
            // One that is gone has left a group that only its descriptor still names for certain.
            way.begin();
            let pool = self::pool(false);
            let program = pool.call(has_program, &()).unwrap();
            way.end(pool.idle_pids()[0]);
            drop(pool);
            if numbers_of_groups {
                assert!(eventually(|| is_gone(program)), "{way:?}, Linux {kernel}");
            } else {
                assert_alive(program, "its group has no leader");
                kill(program, libc::SIGKILL);
            }
        }
        // Where the pool is the first to take note of an end, the group is known until it has.
        on_child(libc::SIG_DFL, 0);
        let pool = self::pool(false);
        let program = pool.call(has_program, &()).unwrap();
        let worker = pool.idle_pids()[0];
        kill(worker, libc::SIGKILL);
        assert!(eventually(|| state(worker) == Some('Z')));
        drop(pool);
        assert!(eventually(|| is_gone(program)), "Linux {kernel}");
    });
    println!("done");
}

/// Whether this kernel (6.9 or later) signals the group of a process that a descriptor names.
fn can_signal_groups() -> bool {
    // SAFETY: no conditions.
    let own = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
    let group = libc::PIDFD_SIGNAL_PROCESS_GROUP;
    // SAFETY: no signal is sent, and no information is given with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            own,
            0,
            std::ptr::null::<u8>(),
            group,
        )
    };
    // This process need not lead a group: then there is none.
    result == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Runs a part under another shell, which takes over what is orphaned, in a namespace of process
/// numbers.
fn in_namespace(part: &str, kernel: &str) {
    if !Path::new(LAST).exists() {
        println!("skipped: this kernel does not let the next process number be chosen");
        return;
    }
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    match Command::new("unshare").args(namespace).arg("true").output() {
        Ok(output) if output.status.success() => {}
        other => {
            println!("skipped: there can be no namespace of process numbers: {other:?}");
            return;
        }
    }
    let output = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", "\"$0\" \"$@\"; exit $?"])
        .arg(std::env::current_exe().unwrap())
        .args([part, "--exact", "--ignored", "--nocapture"])
        .env(KERNEL, kernel)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{part}, Linux {kernel}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("done") || text.contains("skipped"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        println!("{line}");
    }
}

#[test]
fn no_signal_goes_to_a_number_that_is_used_again() {
    for kernel in ["this", "6.8", "5.2"] {
        in_namespace("part_with_numbers_that_are_used_again", kernel);
    }
}

#[test]
fn what_a_worker_leaves_behind_goes_where_it_is_known() {
    for kernel in ["this", "6.8", "5.2"] {
        in_namespace("part_with_programs_that_are_left_behind", kernel);
    }
}
