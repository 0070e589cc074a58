//! The corpus of the fuzz target of CSV files, without a fuzzer. (Those of worker processes are run
//! by unit tests.)

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "fuzz/csv.rs"]
mod csv;

#[test]
fn the_corpus_of_csv_files_comes_to_nothing_bad() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/csv");
    let mut paths: Vec<_> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|input| input.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 20);
    for path in paths {
        let data = std::fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| csv::run(&data));
        assert!(result.is_ok(), "{}", path.display());
    }
}
