//! Skeleton.
mod chunking;
pub mod kernels;
mod pool;
pub use chunking::Chunking;
pub use pool::Pool;
