use super::*;
use crate::process::os;

fn start(script: &str) -> Child {
    let (_, theirs) = os::stream_pair().expect("sockets");
    let (_, errors) = io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Child::start(command, theirs, errors).expect("there is a shell")
}

/// Takes note of the end of a child behind its owner's back.
fn steal(child: &Child) {
    let (pid, _) = rustix::process::waitpid(Some(child.pid), WaitOptions::empty())
        .expect("it is a child")
        .expect("it has been waited for");
    assert_eq!(pid, child.pid);
}

/// As on a system that has no descriptors of processes.
fn nameless(mut child: Child) -> Child {
    child.end = None;
    child
}

#[test]
fn a_number_is_a_childs_until_its_end_has_been_taken_note_of() {
    assert!(Leader::Runs.has_its_number());
    assert!(Leader::Ended.has_its_number());
    assert!(!Leader::Lost.has_its_number());
    for named in [true, false] {
        let whole = |child| if named { child } else { nameless(child) };
        let mut child = whole(start("exec sleep 1000"));
        assert_eq!(child.leader(), Leader::Runs);
        assert!(!child.has_ended() && !child.wait_until(Some(Instant::now())));
        child.kill();
        assert!(child.wait_until(None) && child.has_ended());
        assert_eq!(child.leader(), Leader::Ended);
        let status = child.reap().expect("it has not been waited for");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert_eq!(
            child.reap().expect("it is known").signal(),
            Some(libc::SIGKILL)
        );
        assert_eq!(child.status(), Some(status));

        let mut child = whole(start("exit 7"));
        steal(&child);
        assert_eq!(child.leader(), Leader::Lost);
        assert!(child.has_ended() && child.wait_until(None));
        let error = child.reap().expect_err("how it ended is not known");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
        child.kill();
        assert_eq!(child.status(), None);
    }
}

#[test]
fn how_a_child_ended_is_what_the_shell_says() {
    for named in [true, false] {
        let ended = |script: &str| {
            let child = start(script);
            let mut child = if named { child } else { nameless(child) };
            child.reap().expect("it has not been waited for")
        };
        assert_eq!(ended("exit 0").code(), Some(0));
        assert_eq!(ended("exit 7").code(), Some(7));
        assert_eq!(ended("exit 255").code(), Some(255));
        let killed = ended("kill -TERM $$");
        assert_eq!(
            (killed.code(), killed.signal()),
            (None, Some(libc::SIGTERM))
        );
        let dumped = ended("kill -ABRT $$");
        assert_eq!(dumped.signal(), Some(libc::SIGABRT));
    }
}

/// A number that has been lost once is not asked for again: it can have become another child's.
#[test]
fn what_was_lost_stays_lost() {
    let child = nameless(start("exit 7"));
    steal(&child);
    assert_eq!(child.leader(), Leader::Lost);
    let mut other = nameless(start("exec sleep 1000"));
    let reused = Child {
        pid: other.pid,
        end: None,
        lost: AtomicBool::new(child.lost.into_inner()),
        status: None,
    };
    assert_eq!(reused.leader(), Leader::Lost);
    let mut reused = reused;
    reused.kill();
    reused.reap().expect_err("it is another child");
    assert_eq!(other.leader(), Leader::Runs);
    other.kill();
    other.reap().expect("it is this one's");
}

/// A child can end, and its number become another process's, before the descriptor that names it is
/// opened.
#[test]
fn a_number_that_is_no_childs_is_not_given_a_descriptor() {
    let named = |pid| {
        let mut child = Child {
            pid,
            end: None,
            lost: AtomicBool::new(false),
            status: None,
        };
        child.name();
        child
    };
    let mut real = start("exec sleep 1000");
    let again = named(real.pid);
    assert_eq!(again.leader(), Leader::Runs);
    assert_eq!(again.end().is_some(), real.end().is_some());
    real.kill();
    real.reap().expect("it has not been waited for");
    let parent = rustix::process::getppid().expect("this test was started");
    for stranger in [named(real.pid), named(parent)] {
        assert_eq!(stranger.leader(), Leader::Lost);
        assert!(stranger.end().is_none() && stranger.has_ended());
    }
}

/// A child that leaves a program behind in its group, which holds the other end of the pipe.
fn leaves_a_program(named: bool) -> (Child, io::PipeReader) {
    let (_, theirs) = os::stream_pair().expect("sockets");
    let (held, errors) = io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & exit 7"]);
    let child = Child::start(command, theirs, errors).expect("there is a shell");
    (if named { child } else { nameless(child) }, held)
}

/// Whether the program that was left behind has ended within so many milliseconds.
fn is_closed(held: &io::PipeReader, wait: u64) -> bool {
    let fd = &mut [PollFd::new(held, PollFlags::IN)];
    let limit = timespec(Duration::from_millis(wait));
    poll(fd, Some(&limit)).expect("it can be looked at") > 0
}

/// What a process has left behind in its group goes as long as the group can be named.
#[test]
fn a_group_goes_with_its_leader() {
    for named in [true, false] {
        let (mut child, held) = leaves_a_program(named);
        assert!(child.wait_until(None));
        assert!(!is_closed(&held, 20), "the program has ended by itself");
        assert_eq!(child.reap().expect("it is known").code(), Some(7));
        assert!(is_closed(&held, 10_000), "the program was left behind");
    }
}

/// Where others have taken note of the end of its leader, the group's number is not proof enough.
#[test]
fn a_group_without_a_leader_is_not_signalled_by_its_number() {
    let (mut child, held) = leaves_a_program(false);
    steal(&child);
    child.kill();
    child.reap().expect_err("how it ended is not known");
    assert!(!is_closed(&held, 20), "it could have been another group");
    let _ = rustix::process::kill_process_group(child.pid, Signal::KILL);
    assert!(is_closed(&held, 10_000));
}
