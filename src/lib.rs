//! Skeleton.
pub mod kernels;
mod pool;
mod chunking;
pub use pool::Pool;
pub use chunking::Chunking;
