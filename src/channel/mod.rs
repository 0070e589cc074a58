//! Queues and pipes: how threads hand messages to each other. Built on crossbeam-channel, whose channels close only when every
//! handle of a side is gone; what is here adds closing by hand, counting, duplex ends, and waiting for several.

mod error;
mod joinable;
mod pipe;
mod queue;
mod raw;
mod ready;

pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use joinable::{Claim, JoinableQueue};
pub use pipe::{Connection, pipe, pipe_bounded, rendezvous};
pub use queue::{IntoIter, Iter, Queue, TryIter};
pub(crate) use ready::Register;
pub use ready::{Receives, wait_ready, wait_ready_timeout};
