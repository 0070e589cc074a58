//! What the tests of the example programs share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example program, which `cargo test` builds beside the tests.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn program(name: &str) -> Command {
    Command::new(built(
        name,
        format!("{name}{}", std::env::consts::EXE_SUFFIX),
    ))
}

/// An example that is a library for other languages.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn library(name: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    built(name, format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
}

fn built(name: &str, file: String) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows itself");
    let target = test
        .ancestors()
        .nth(2)
        .expect("a test lies in a target directory");
    let path = target.join("examples").join(file);
    assert!(
        path.is_file(),
        "missing {}: cargo build --example {name}",
        path.display()
    );
    path
}

/// The same in a directory.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn program_in(name: &str, dir: &Path) -> Command {
    let mut command = program(name);
    command.current_dir(dir);
    command
}

/// What a program wrote, which must have succeeded and been silent on standard error.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn stdout_of(output: Output) -> String {
    let stderr = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).expect("reports are text")
}

/// What a program wrote to standard error, which must have refused its arguments or inputs and left no file in its directory.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn refusal_of(dir: &Path, run: impl FnOnce() -> Output) -> String {
    let before = num_files(dir);
    let output = run();
    let stderr = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(2), 0),
        "{stderr}"
    );
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    // Our messages are one line; those about the command line may add a hint.
    let hint = stderr.contains("try '--help'");
    assert!(hint || stderr.lines().count() == 1, "{stderr}");
    assert_eq!(num_files(dir), before, "{stderr}");
    stderr
}

#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn num_files(dir: &Path) -> usize {
    fs::read_dir(dir).expect("a directory").count()
}

/// Fails where a picture lacks one of the texts, has numbers that are none, or tags that do not match.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn check_svg(svg: &str, texts: &[&str]) {
    assert!(svg.starts_with("<svg ") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    for text in texts {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("a tag has a name"));
        }
    }
    assert_eq!(open, [""; 0]);
}
