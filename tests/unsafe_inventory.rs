//! The list of unsafe code in `src/docs/unsafe_code.md` is the code's.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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

/// The code of a file without comments, string literals and attributes' reasons.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap();
        // Every second piece between quotes is a literal; the crate's literals have no escaped quotes on lines with `unsafe`.
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

fn count_unsafe(code: &str) -> usize {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| *word == "unsafe")
        .count()
}

#[test]
fn the_inventory_of_unsafe_code_is_complete_and_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    assert!(files.len() > 10);

    let found: BTreeMap<String, usize> = files
        .iter()
        .map(|path| {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            (
                name,
                count_unsafe(&code(&fs::read_to_string(path).unwrap())),
            )
        })
        .filter(|(_, sites)| *sites > 0)
        .collect();

    let page = fs::read_to_string(root.join("src/docs/unsafe_code.md")).unwrap();
    let listed: BTreeMap<String, usize> = page
        .lines()
        .filter(|line| line.starts_with("| src/"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (
                cells[1].to_owned(),
                cells[2].parse().expect("the second cell is a number"),
            )
        })
        .collect();

    assert_eq!(
        found, listed,
        "left: the code, right: src/docs/unsafe_code.md"
    );
}

#[test]
fn the_counter_sees_keywords_and_nothing_else() {
    assert_eq!(
        count_unsafe(&code(
            "unsafe { f() } // unsafe\n/// unsafe\nlet s = \"unsafe\"; my_unsafe(); unsafe_code"
        )),
        1
    );
}
