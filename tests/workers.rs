//! `Workers` counts what this process may use: its affinity mask and its cgroup's CPU quota.
//!
//! Each limit is put on a child process, which is this binary again, running its one ignored test.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scipar::{Pool, Workers};

/// Tells the child which cgroup to go into first.
const CGROUP: &str = "SCIPAR_TEST_CGROUP";
const ANSWER: &str = "workers usable here: ";

/// The child's side.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn says_how_many_workers_there_are() {
    if let Some(group) = std::env::var_os(CGROUP) {
        fs::write(Path::new(&group).join("cgroup.procs"), "0").unwrap();
    }
    assert_eq!(
        Pool::new(Workers::all()).num_workers(),
        Workers::all().count()
    );
    assert!(Workers::physical().count() <= Workers::all().count());
    println!("\n{ANSWER}{}", Workers::all().count());
}

/// `Workers::all()` in a child that `prepare` has put under some limit; the first word of `wrap` is a program.
fn count_in_child(wrap: &[&str], prepare: impl FnOnce(&mut Command)) -> Result<usize, String> {
    let own = std::env::current_exe().unwrap();
    let mut command = match wrap {
        [] => Command::new(&own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(&own);
            command
        }
    };
    command.args([
        "--exact",
        "says_how_many_workers_there_are",
        "--ignored",
        "--nocapture",
    ]);
    prepare(&mut command);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().find_map(|line| line.strip_prefix(ANSWER));
    match answer {
        Some(count) => Ok(count.parse().unwrap()),
        None => Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The child's side of the next test.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn reads_what_the_environment_says() {
    let workers = match Workers::from_env("PRICER_THREADS") {
        Ok(workers) => workers.map_or("none".to_owned(), |workers| workers.to_string()),
        Err(error) => {
            assert_eq!(error.name(), "PRICER_THREADS");
            format!("{error} / {:?}", error.value())
        }
    };
    println!("\n{ANSWER}{workers}");
}

/// Tests of this binary run side by side, so a variable is set for a child.
#[test]
fn a_program_may_let_an_environment_variable_say_how_many() {
    let read = |value: Option<&OsStr>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "reads_what_the_environment_says"]);
        command.args(["--ignored", "--nocapture"]);
        // What other libraries read means nothing here.
        command
            .env_remove("PRICER_THREADS")
            .env("RAYON_NUM_THREADS", "7");
        if let Some(value) = value {
            command.env("PRICER_THREADS", value);
        }
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let answer = output.lines().find_map(|line| line.strip_prefix(ANSWER));
        answer.expect("the child answers").to_owned()
    };
    let read_text = |value: &str| read(Some(OsStr::new(value)));
    assert_eq!(read(None), "none");
    assert_eq!(read_text(""), "none");
    assert_eq!(read_text("4"), "exactly 4");
    assert_eq!(read_text(" 16 "), "exactly 16");
    for wrong in [
        "0",
        "-1",
        "four",
        "4 workers",
        "2.5",
        "99999999999999999999",
        " ",
    ] {
        let message = format!(
            "PRICER_THREADS is {wrong:?}: not a number of workers, \
             which is a whole number from 1 on / {wrong:?}"
        );
        assert_eq!(read_text(wrong), message);
    }
    let no_text = OsStr::from_bytes(b"\xff4");
    assert!(read(Some(no_text)).starts_with("PRICER_THREADS is \"\\xFF4\": not a number"));
}

#[test]
fn what_cannot_be_a_variable_is_not_set() {
    for name in ["", "A=B", "NUL\0"] {
        assert_eq!(Workers::from_env(name), Ok(None), "{name:?}");
    }
}

fn available() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn a_child_without_limits_counts_as_this_process_does() {
    assert_eq!(count_in_child(&[], |_| ()).unwrap(), available());
    assert_eq!(Workers::all().count(), available());
}

#[test]
fn an_affinity_mask_is_honoured() {
    if available() < 2 {
        println!("skipped: this machine has one processor to give");
        return;
    }
    if Command::new("taskset").arg("--version").output().is_err() {
        println!("skipped: no `taskset` on this machine");
        return;
    }
    // Some processor that this process may use, not necessarily the first.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap()
        .trim();
    let first: String = allowed.chars().take_while(char::is_ascii_digit).collect();
    assert_eq!(count_in_child(&["taskset", "-c", &first], |_| ()), Ok(1));
}

/// A cgroup that is removed when dropped.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        // The child is gone, but the system may take a moment to see that.
        for _ in 0..100 {
            match fs::remove_dir(&self.0) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
        println!("left behind: {}", self.0.display());
    }
}

/// A new group under `parent` with a quota of so many processors, of either version of the CPU controller.
fn group_with_quota(processors: f64) -> Result<Group, String> {
    let quota = (processors * 100_000.0) as u64;
    let name = format!("scipar-test-{}-{quota}", std::process::id());
    let limits: [(&str, Vec<(&str, String)>); 3] = [
        (
            "/sys/fs/cgroup",
            vec![("cpu.max", format!("{quota} 100000"))],
        ),
        (
            "/sys/fs/cgroup/cpu",
            vec![
                ("cpu.cfs_period_us", "100000".into()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
        ),
        (
            "/sys/fs/cgroup/cpu,cpuacct",
            vec![
                ("cpu.cfs_period_us", "100000".into()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
        ),
    ];
    let mut reasons = String::new();
    for (parent, limits) in limits {
        let group = Path::new(parent).join(&name);
        if !Path::new(parent).join("cgroup.procs").exists() {
            reasons += &format!("{parent} is no group; ");
            continue;
        }
        if let Err(error) = fs::create_dir(&group) {
            reasons += &format!("{}: {error}; ", group.display());
            continue;
        }
        let group = Group(group);
        let set = limits.iter().try_for_each(|(file, value)| {
            // An existing file only: on a mounted tmpfs, writing would make one that means nothing.
            let file = group.0.join(file);
            fs::OpenOptions::new()
                .write(true)
                .open(&file)
                .and_then(|mut f| std::io::Write::write_all(&mut f, value.as_bytes()))
        });
        match set {
            Ok(()) => return Ok(group),
            Err(error) => reasons += &format!("{}: {error}; ", group.0.display()),
        }
    }
    Err(reasons)
}

#[test]
fn a_quota_of_a_cgroup_is_honoured() {
    if available() < 2 {
        println!("skipped: this machine has one processor to give");
        return;
    }
    // A quota is rounded down, and one below a whole processor is one.
    for (quota, want) in [(1.0, 1), (1.7, 1), (0.5, 1), (64.0, available())] {
        let group = match group_with_quota(quota) {
            Ok(group) => group,
            Err(reason) => {
                println!("skipped: no cgroup with a quota can be made here: {reason}");
                return;
            }
        };
        match count_in_child(&[], |command| _ = command.env(CGROUP, &group.0)) {
            Ok(count) => assert_eq!(count, want, "quota of {quota} processors"),
            Err(reason) if reason.contains("ermission") || reason.contains("InvalidInput") => {
                println!("skipped: a process cannot be moved into the group: {reason}");
                return;
            }
            Err(reason) => panic!("{reason}"),
        }
    }
}
