//! The corpus of the fuzz targets, without a fuzzer.

use std::path::{Path, PathBuf};

use crate::panic::caught;

fn run(target: &str, code: impl Fn(&[u8]) -> usize) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let Ok(inputs) = std::fs::read_dir(corpus.join(target)) else {
        return; // it is in the repository only, not in the package
    };
    let mut paths: Vec<PathBuf> = inputs
        .map(|input| input.expect("an input").path())
        .collect();
    paths.sort();
    for path in &paths {
        let data = std::fs::read(path).expect("an input can be read");
        let result = caught(|| code(&data));
        assert!(result.is_ok(), "{}: {result:?}", path.display());
    }
}

#[test]
fn the_corpus_of_the_wire_comes_to_nothing_bad() {
    run("wire", super::wire);
}

#[test]
fn the_corpus_of_orders_comes_to_nothing_bad() {
    run("orders", super::orders);
}
