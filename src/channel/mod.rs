//! Queues and pipes: how threads hand messages to each other. Built on crossbeam-channel, whose
//! channels close only when every handle of a side is gone; what is here adds closing by hand,
//! counting, duplex ends, waiting for several, and waits that a worker's stop interrupts.

mod error;
#[cfg_attr(loom, allow(dead_code, reason = "a model has no workers"))]
mod interrupt;
mod joinable;
mod pipe;
mod queue;
mod raw;
mod ready;
mod stop;
mod unfinished;

pub use error::{
    JoinTasksError, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
pub use joinable::{Claim, JoinableQueue, JoinableReceiver, JoinableSender};
pub use pipe::{Connection, pipe, pipe_bounded, rendezvous};
pub use queue::{IntoIter, Iter, Queue, Receiver, Sender, TryIter};
pub use ready::{Receives, wait_ready, wait_ready_timeout};
pub use stop::Stop;
pub(crate) use stop::Stopper;
