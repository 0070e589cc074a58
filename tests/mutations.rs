//! The lists of mutations (`.ci/mutations.d`), by which a person shows that each guard is tested,
//! fit the code: what they take out is there, the tests that they name are there, and the table in
//! `src/docs/unsafe_code.md` has their rows. Applying them is for `.ci/mutations`, as it takes
//! minutes.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[derive(Debug, Default)]
struct Mutation {
    fields: BTreeMap<&'static str, String>,
    hunks: Vec<Hunk>,
}

/// Lines of a file, and those that come in their place.
#[derive(Debug, Default)]
struct Hunk {
    file: String,
    find: Vec<String>,
    instead: Vec<String>,
}

const KEYS: [&str; 5] = ["guard", "file", "change", "test", "under"];

impl Mutation {
    fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    fn files(&self) -> Vec<&str> {
        let mut files = Vec::new();
        for hunk in &self.hunks {
            if !files.contains(&hunk.file.as_str()) {
                files.push(&hunk.file);
            }
        }
        files
    }

    /// Its row of the table, as `.ci/mutations --write` writes it.
    fn row(&self) -> String {
        let under = match self.field("under") {
            "" => "",
            "address" => " under AddressSanitizer",
            "thread" => " under ThreadSanitizer",
            "loom" => " under loom",
            other => panic!("{}: under {other}?", self.field("guard")),
        };
        format!(
            "| {} | {} | {} | `{}`{under} |",
            self.field("guard"),
            self.files().join(", "),
            self.field("change"),
            self.field("test")
        )
    }
}

/// The mutations of a list. `.ci/mutations` reads it in the same way.
fn read_list(text: &str) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    let mut current: Option<Mutation> = None;
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            mutations.extend(current.take());
            continue;
        }
        let mutation = current.get_or_insert_default();
        let sign = line.split_at(1);
        if let ("-" | "+", code) = sign {
            let file = mutation.field("file").to_owned();
            let code = code.trim().to_owned();
            if sign.0 == "+" {
                let hunk = mutation.hunks.last_mut();
                let hunk = hunk.filter(|hunk| hunk.file == file);
                hunk.unwrap_or_else(|| panic!("nothing to take out before: {line}"))
                    .instead
                    .push(code);
                continue;
            }
            let hunk = mutation.hunks.last_mut();
            match hunk.filter(|hunk| hunk.file == file && hunk.instead.is_empty()) {
                Some(hunk) => hunk.find.push(code),
                None => mutation.hunks.push(Hunk {
                    file,
                    find: vec![code],
                    instead: Vec::new(),
                }),
            }
            continue;
        }
        let (key, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("not understood: {line}"));
        let key = KEYS.iter().find(|known| **known == key);
        let key = key.unwrap_or_else(|| panic!("not understood: {line}"));
        let old = mutation.fields.insert(key, value.trim().to_owned());
        assert!(*key == "file" || old.is_none(), "twice in a block: {line}");
    }
    mutations
}

fn all() -> Vec<Mutation> {
    let dir = root().join(".ci/mutations.d");
    let mut lists: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    lists.sort();
    lists
        .iter()
        .flat_map(|path| read_list(&fs::read_to_string(path).unwrap()))
        .collect()
}

/// How often some lines come one after the other in a text. Indentation does not count.
fn count(text: &str, find: &[String]) -> usize {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(find.len()).filter(|at| *at == find).count()
}

#[test]
fn what_the_mutations_take_out_is_in_the_code_once() {
    let mut names = BTreeSet::new();
    for mutation in all() {
        let guard = mutation.field("guard");
        for key in ["guard", "file", "change", "test"] {
            assert!(!mutation.field(key).is_empty(), "{guard:?} without `{key}`");
        }
        assert!(names.insert(guard.to_owned()), "two are called {guard:?}");
        assert!(!mutation.hunks.is_empty(), "{guard:?} changes nothing");
        for hunk in &mutation.hunks {
            let text = fs::read_to_string(root().join(&hunk.file));
            let text = text.unwrap_or_else(|error| panic!("{guard:?}: {}: {error}", hunk.file));
            let found = count(&text, &hunk.find);
            assert!(
                found == 1,
                "{guard:?}: {} has {found} times, instead of once:\n{}\n\
                 The code has changed: bring the block in .ci/mutations.d up to date, and look \
                 with `.ci/mutations` whether the test still fails without the guard.",
                hunk.file,
                hunk.find.join("\n")
            );
        }
    }
    assert!(names.len() > 10);
}

#[test]
fn the_tests_that_notice_are_there() {
    for mutation in all() {
        let (guard, test) = (mutation.field("guard"), mutation.field("test"));
        let words: Vec<&str> = test.split_whitespace().collect();
        let (places, rest) = match words[..] {
            ["--lib", ref rest @ ..] => (vec![root().join("src")], rest),
            ["--test", name, ref rest @ ..] => {
                let tests = root().join("tests");
                (
                    vec![tests.join(format!("{name}.rs")), tests.join(name)],
                    rest,
                )
            }
            _ => panic!("{guard:?}: a test of what? {test}"),
        };
        let [name] = rest else {
            panic!("{guard:?}: one test by its name, not {test}");
        };
        let function = format!("fn {}(", name.rsplit("::").next().unwrap());
        let found = places.iter().any(|place| contains(place, &function));
        assert!(found, "{guard:?}: there is no {test}");
    }
}

fn contains(place: &Path, text: &str) -> bool {
    if place.is_dir() {
        let mut entries = fs::read_dir(place).unwrap();
        return entries.any(|entry| contains(&entry.unwrap().path(), text));
    }
    place.extension().is_some_and(|ext| ext == "rs")
        && fs::read_to_string(place).is_ok_and(|code| code.contains(text))
}

#[test]
fn the_table_has_a_row_for_each_guard() {
    let page = fs::read_to_string(root().join("src/docs/unsafe_code.md")).unwrap();
    let guards = page.split("\n## Guards\n").nth(1).expect("a section");
    let table: BTreeSet<&str> = guards
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| guard |"))
        .collect();
    let rows: Vec<String> = all().iter().map(Mutation::row).collect();
    let rows: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        table, rows,
        "left: src/docs/unsafe_code.md, right: what `.ci/mutations --write` writes"
    );
}

#[test]
fn the_reader_of_lists_reads() {
    let list = "# text\nguard: a\nfile: x.rs\n-  one {\n- }\n+ two\n- three\nfile: y.rs\n-four\n\n\n\
                guard: b\n";
    let mutations = read_list(list);
    assert_eq!(mutations.len(), 2);
    let hunks = &mutations[0].hunks;
    assert_eq!(hunks[0].find, ["one {", "}"]);
    assert_eq!(hunks[0].instead, ["two"]);
    assert_eq!((hunks[1].find.len(), hunks[1].instead.len()), (1, 0));
    assert_eq!(mutations[0].files(), ["x.rs", "y.rs"]);
    assert_eq!(count("  one {\n}\none {\n  }\n", &hunks[0].find), 2);
}
