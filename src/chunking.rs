//! Stub, to be replaced.
#![allow(missing_docs, clippy::all)]
#[derive(Debug, Clone, Copy)]
pub struct Chunking;
impl Chunking {
    pub const fn auto() -> Self { Chunking }
    pub const fn serial() -> Self { Chunking }
    #[track_caller]
    pub const fn size(_n: usize) -> Self { Chunking }
    #[track_caller]
    pub const fn count(_n: usize) -> Self { Chunking }
}
