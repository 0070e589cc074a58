use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;

thread_local! {
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Has this thread find that no sealed memory can be made, as long as it lives.
pub(in crate::process) struct WithoutSealedMemory(());

impl WithoutSealedMemory {
    pub(in crate::process) fn begin() -> Self {
        WITHOUT.set(true);
        Self(())
    }
}

impl Drop for WithoutSealedMemory {
    fn drop(&mut self) {
        WITHOUT.set(false);
    }
}

pub(super) fn is_without_sealed_memory() -> bool {
    WITHOUT.get()
}

/// Tells the child which directory its temporary files are to be in.
const DIRECTORY: &str = "SCIPAR_TEST_DIRECTORY";

/// The child's side: its mask is its own, and it is the first to ask for a file without a name.
#[test]
#[ignore = "run by the next test, in a process of its own"]
fn makes_a_nameless_file() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    rustix::process::umask(rustix::fs::Mode::empty());
    let path = |number| Path::new(&dir).join(format!(".scipar-{}-{number}", std::process::id()));
    let victims = ["victim", "not there"].map(|name| Path::new(&dir).join(name));
    fs::write(path(0), "a file of that name").expect("room");
    fs::write(&victims[0], "a victim").expect("room");
    for (number, victim) in (1..).zip(&victims) {
        symlink(victim, path(number)).expect("a link");
    }
    fs::create_dir(path(3)).expect("a directory");

    let file = File::from(nameless_file().expect("a file of another name"));
    let metadata = file.metadata().expect("it is a file");
    assert_eq!(metadata.mode() & 0o7777, 0o600, "for its owner only");
    assert_eq!(metadata.nlink(), 0, "it has no name");
    assert!(metadata.is_file() && metadata.len() == 0);
    assert!(is_nameless(&file.into()));

    let text = |path: &Path| fs::read_to_string(path).expect("it is there");
    assert_eq!(text(&path(0)), "a file of that name");
    assert_eq!(text(&victims[0]), "a victim");
    assert!(!victims[1].exists(), "made through a link");
    for (number, victim) in (1..).zip(&victims) {
        assert_eq!(&fs::read_link(path(number)).expect("a link"), victim);
    }
    assert!(path(3).is_dir());
    assert!(!path(4).exists(), "it has left its name behind");
    println!("done");
}

#[test]
fn a_nameless_file_is_its_owners_and_opens_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = "process::os::unix::memory::tests::makes_a_nameless_file";
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .env("TMPDIR", dir.path())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("done"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn sealed_memory_is_made_where_memory_files_are() {
    let made = makes_sealed_memory().expect("it can be found out");
    assert_eq!(made, memory_file().is_ok());
    let _without = WithoutSealedMemory::begin();
    assert!(!makes_sealed_memory().expect("it can be found out"));
}

#[test]
fn what_is_no_file_is_not_read() {
    let zero = File::open("/dev/zero").expect("a device").into();
    let (pipe, _open) = std::io::pipe().expect("a pipe");
    for file in [
        zero,
        pipe.into(),
        File::open("/").expect("a directory").into(),
    ] {
        let error = unspill(file, u64::MAX).expect_err("it is no file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    assert_eq!(
        unspill(spill(b"text").expect("memory"), 4).expect("a file"),
        b"text"
    );
}
