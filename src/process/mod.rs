//! Worker processes: for code that crashes, leaks, holds global locks or is not thread-safe.
//!
//! A worker is this program, started again, that runs [tasks](task!) by name and sends back what they return. Where code is Rust and
//! behaves, threads are cheaper: see [threads or processes](crate::docs::threads_or_processes).
//!
//! | | |
//! |---|---|
//! | [`init`] | the first line of `main`; in tests [`test_worker!`] |
//! | [`task!`] | makes a function one that workers know |
//! | [`ProcessPool`] | a pool of workers: map, reduce, spawn, streams |
//! | [`Process`] | one task in one process |
//! | [`Shared`], [`SharedMut`] | arrays that processes share without a copy |
//! | [`Queue`], [`pipe`] | channels between processes, sent inside of messages |
//!
//! Unix only. Elsewhere everything compiles, and starting a worker gives an error of kind
//! [`Unsupported`](ProcessErrorKind::Unsupported).

mod ask;
mod call;
mod channel;
mod entry;
mod error;
#[cfg(all(unix, any(fuzzing, test)))]
#[doc(hidden)]
pub mod fuzzing;
mod os;
mod pool;
mod protocol;
mod serve;
mod shared;
mod single;
mod station;
mod task;
mod wire;

pub use channel::{Connection, Queue, Receiver, RecvError, SendError, Sender, pipe};
pub use entry::{init, init_with};
pub use error::{ProcessError, ProcessErrorKind};
pub use pool::{Context, Executor, NoContext, ProcessPool, ProcessPoolBuilder, ProcessRun};
pub use serve::stop;
pub use shared::{Pod, Shared, SharedMut};
pub use single::{Process, ProcessBuilder};
pub use task::{ContextTask, PartTask, Registration, Task};

#[doc(inline)]
pub use crate::__scipar_task as task;
#[doc(inline)]
pub use crate::__scipar_test_worker as test_worker;

/// Where the standard error of workers goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stderr {
    /// Where this program's goes.
    #[default]
    Shown,
    /// Nowhere; its last lines are kept for errors, as they are in any case.
    Kept,
}

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use super::entry::{TestWorker, serve_if_worker};
    pub use super::task::Registered;
    pub use inventory;
}
