#![doc = include_str!("../README.md")]

mod affinity;
pub mod channel;
mod chunking;
pub mod docs;
mod error;
mod fork;
pub mod kernels;
pub mod measure;
mod panic;
mod parallel;
mod pool;
#[cfg(feature = "process")]
pub mod process;
mod schedule;
mod source;
mod sync;
mod timer;
mod worker;
mod workers;

pub use channel::{
    Claim, Connection, JoinableQueue, Queue, pipe, pipe_bounded, rendezvous, wait_ready,
    wait_ready_timeout,
};
pub use chunking::{Chunking, Ranges};
pub use error::{JoinError, Panic};
pub use parallel::{
    CancelToken, MadeBy, NoState, Outcome, Outcomes, Parallel, Progress, Report, RunError, Summand,
    WorkerState, par_argmax_chunked, par_argmin_chunked, par_for_each_chunked, par_map_by_chunk,
    par_map_chunked, par_map_into_chunked, par_map_reduce_chunked, par_reduce_chunked,
    par_sum_chunked, par_try_map_chunked,
};
pub use pool::{
    AsCompleted, JoinHandle, Pool, PoolBuilder, PoolError, Scope, ScopedJoinHandle, Stream,
    as_completed, wait_all, wait_any, wait_any_timeout,
};
pub use source::{Chunk, Outer, OuterIter, OuterIterMut, OuterMut, Source, Values, VecChunk};
pub use timer::{Bound, Clock, Timer, Timing, time};
pub use worker::{Stop, Worker, WorkerBuilder};
pub use workers::{Workers, WorkersError};
