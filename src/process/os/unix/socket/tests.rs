//! What programs that this process starts inherit of its sockets: nothing.

use std::os::fd::AsRawFd;
use std::process::Command;

use super::*;

fn received(count: usize) -> (Descriptor, Vec<Descriptor>) {
    let (a, b) = stream_pair().expect("sockets");
    let (reader, _) = std::io::pipe().expect("a pipe");
    let reader = Arc::new(Descriptor::from(reader));
    send(&a, [b"x", &[]], &vec![reader; count]).expect("room");
    let mut descriptors = VecDeque::new();
    let got = receive(&b, &mut [0; 8], &mut descriptors).expect("they are there");
    assert!(got.bytes == 1 && !got.lost && !got.cut);
    assert_eq!(descriptors.len(), count);
    (b, descriptors.into())
}

#[test]
fn sockets_and_what_comes_by_them_are_closed_when_another_program_is_started() {
    let (stream, packet) = (
        stream_pair().expect("sockets"),
        packet_pair().expect("sockets"),
    );
    let (socket, received) = received(3);
    let all = [stream.0, stream.1, packet.0, packet.1, socket];
    for descriptor in all.iter().chain(&received) {
        let flags = rustix::io::fcntl_getfd(descriptor).expect("it is open");
        assert!(
            flags.contains(rustix::io::FdFlags::CLOEXEC),
            "{descriptor:?}"
        );
    }
    // A program that is started has none of these numbers, or something else by them.
    #[cfg(target_os = "linux")]
    {
        let link = |at: &str, fd| std::fs::read_link(format!("{at}/{fd}"));
        let script = all
            .iter()
            .chain(&received)
            .fold(String::new(), |script, fd| {
                format!(
                    "{script} readlink /proc/self/fd/{0} /proc/$$/fd/{0};",
                    fd.as_raw_fd()
                )
            });
        let output = Command::new("sh").arg("-c").arg(script).output();
        let there = String::from_utf8(output.expect("a shell").stdout).expect("text");
        for descriptor in all.iter().chain(&received) {
            let own = link("/proc/self/fd", descriptor.as_raw_fd()).expect("it is open");
            let own = own.to_str().expect("text");
            assert!(!there.lines().any(|line| line == own), "{own} in {there}");
        }
    }
}

#[test]
fn what_has_no_place_is_said_to_be_lost() {
    let (a, b) = packet_pair().expect("sockets");
    send(&a, [&[7; 100], &[]], &[]).expect("room");
    let got = receive(&b, &mut [0; 8], &mut VecDeque::new()).expect("it is there");
    assert!(got.cut && !got.lost);
}
