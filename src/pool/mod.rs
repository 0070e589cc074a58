//! Stub, to be replaced: same signatures, serial.
#![allow(missing_docs, clippy::all)]
use crate::chunking::Chunking;
#[derive(Debug)]
pub struct Pool(usize);
impl Pool {
    pub fn new(workers: usize) -> Self { Pool(workers) }
    pub fn global() -> &'static Pool { static P: Pool = Pool(2); &P }
    pub fn num_workers(&self) -> usize { self.0 }
    pub fn par_map_reduce_chunked<S: IntoIterator, R: Send>(
        &self, source: S, _chunking: impl Into<Chunking>, map: impl Fn(S::Item) -> R + Sync,
        identity: impl Fn() -> R + Sync, op: impl Fn(R, R) -> R + Sync,
    ) -> R {
        source.into_iter().map(map).reduce(op).unwrap_or_else(identity)
    }
}
