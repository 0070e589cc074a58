//! What the tests of the example programs share.

use std::path::{Path, PathBuf};
use std::process::Command;

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
