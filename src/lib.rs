#![doc = include_str!("../README.md")]

mod chunking;
pub mod docs;
pub mod kernels;
mod parallel;
mod pool;
mod schedule;
mod source;
mod sync;
mod timer;
mod workers;

pub use chunking::{Chunking, Ranges};
pub use parallel::{
    CancelToken, MadeBy, NoState, Outcome, Outcomes, Panic, Parallel, Progress, Report, RunError,
    Summand, WorkerState, par_argmax_chunked, par_argmin_chunked, par_for_each_chunked,
    par_map_by_chunk, par_map_chunked, par_map_into_chunked, par_map_reduce_chunked,
    par_reduce_chunked, par_sum_chunked, par_try_map_chunked,
};
pub use pool::{Pool, PoolBuilder, PoolError};
pub use source::{Chunk, Outer, OuterIter, OuterIterMut, OuterMut, Source, Values, VecChunk};
pub use timer::{Bound, Clock, Timer, Timing, time};
pub use workers::Workers;
