//! Lower floors of `src/` never import higher ones.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The house, from the ground up. Rooms of one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["sync", "panic", "fork"],
    &["error", "affinity"],
    &[
        "workers", "timer", "chunking", "source", "schedule", "channel",
    ],
    &["pool", "worker"],
    &["parallel"],
    &["process"],
    &["kernels", "measure"],
    &["docs"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

/// The rooms that a file's code names as `crate::room`.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n");
    code.match_indices("crate::")
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .map(|(at, path)| {
            code[at + path.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn every_import_goes_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in &files {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let own = floor(room)
            .unwrap_or_else(|| panic!("`{room}` has no floor: give it one in tests/layers.rs"));
        for import in imports(&fs::read_to_string(path).unwrap()) {
            seen += 1;
            // Exported macros are at the root whatever room they are of.
            if import.starts_with("__") {
                continue;
            }
            // Other names after `crate::` are items that lib.rs re-exports; code inside names the room.
            match floor(&import) {
                Some(other) if other < own || import == room => {}
                Some(_) => wrong.push(format!(
                    "{}: crate::{import} is not below {room}",
                    inside.display()
                )),
                None => wrong.push(format!(
                    "{}: crate::{import} is no room: import from the room itself",
                    inside.display()
                )),
            }
        }
    }
    assert!(seen > 20, "the test reads imports: it saw {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was caught has one home, whose drop cannot unwind: see `src/panic.rs`.
#[test]
fn panics_are_caught_in_one_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for path in &files {
        let inside = path.strip_prefix(&src).unwrap().display().to_string();
        if inside.starts_with("panic") || inside.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code = code.split("#[cfg(all(test").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap();
            if line.contains("catch_unwind") || line.contains("resume_unwind") {
                wrong.push(format!("{inside}:{}: {line}", number + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "use `panic::caught`:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_top_level_stays_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "clippy.toml",
        "src",
        "tests",
        "benches",
        "examples",
    ];
    for entry in fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Built things and folders that only tools see are not part of the house.
        let hidden = name.starts_with('.') || name == "target";
        assert!(
            hidden || allowed.contains(&name.as_str()),
            "`{name}` does not belong at the top level"
        );
    }
}

#[test]
fn the_reader_of_imports_reads() {
    let text = "use crate::pool::Pool; // use crate::kernels\nlet x = crate::timer::time(); $crate::no; mycrate::no";
    assert_eq!(imports(text), ["pool", "timer"]);
}
