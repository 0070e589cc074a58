//! Chunked map and reduce.
//!
//! Cut, hand out, combine are three questions: [`chunking`](crate::chunking) cuts, the
//! [`schedule`](crate::schedule) and the engine hand out, the tree combines.

mod buffers;
mod control;
mod engine;
mod free;
mod long;
mod map;
mod methods;
mod outcome;
mod reduce;
mod tree;

#[cfg(feature = "process")]
pub(crate) use buffers::Input;
pub use control::{CancelToken, Progress};
#[cfg(feature = "process")]
pub(crate) use control::{Control, Listener, Stop};
pub use free::{
    par_argmax_chunked, par_argmin_chunked, par_for_each_chunked, par_map_by_chunk,
    par_map_chunked, par_map_into_chunked, par_map_reduce_chunked, par_reduce_chunked,
    par_sum_chunked, par_try_map_chunked,
};
pub use long::{MadeBy, NoState, Parallel, WorkerState};
pub use outcome::{Outcome, Outcomes, Report, RunError};
pub use reduce::Summand;
#[cfg(feature = "process")]
pub(crate) use tree::Tree;
