//! What parents and workers say to each other. The words travel as postcard writes them; both sides are one program as a rule, and
//! say which version of this crate they have before anything else.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// The version of the protocol: that of the crate.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A worker's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: String,
    pub(super) process: u32,
}

/// A parent's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// How long one item may take.
    pub(super) task_timeout: Option<Duration>,
    /// Longer messages are refused.
    pub(super) message_limit: u64,
}

/// What a worker is to do; values follow in the same message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Run a task on the [`Item`]s that follow. Answered with an [`Answer`] and [`Entry`]s.
    Run {
        id: u64,
        #[serde(deserialize_with = "text")]
        task: Cow<'static, str>,
        #[serde(deserialize_with = "text")]
        signature: Cow<'static, str>,
        /// What combines the results of a leaf: name and signature.
        reduce: Option<(String, String)>,
        /// Which context the task has.
        context: Option<u64>,
        /// Whether the CPU time is wanted: to look at that clock takes as long as a small message.
        cpu: bool,
    },
    /// Keep the value that follows as a context of a task. No answer.
    Context {
        context: u64,
        #[serde(deserialize_with = "text")]
        task: Cow<'static, str>,
        #[serde(deserialize_with = "text")]
        signature: Cow<'static, str>,
    },
    /// Forget a context. No answer.
    Forget { context: u64 },
}

/// Text, taken byte by byte: a stream would have to keep it first, for those who borrow it. Postcard writes both alike.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    let text = String::from_utf8(Vec::deserialize(deserializer)?);
    text.map(Cow::Owned).map_err(serde::de::Error::custom)
}

/// What follows a [`Order::Run`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Item<A> {
    Next(A),
    /// The items since the last leaf are one.
    Leaf,
    End,
}

/// Which run is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) id: u64,
}

/// One piece of an answer: one for each item, or leaf, in order, and an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry<R> {
    Value(R),
    Panicked {
        message: String,
        place: Option<String>,
    },
    /// The result could not be encoded, and why.
    Unencoded(String),
    /// The item could not be decoded, and why.
    Undecoded(String),
    /// The task is not known: nothing has been run.
    Unknown(String),
    /// The item took too long: the worker ends.
    TimedOut,
    End {
        #[serde(deserialize_with = "span")]
        wall: Duration,
        /// Zero where it is not wanted.
        #[serde(deserialize_with = "span")]
        cpu: Duration,
    },
    /// An item of a leaf has been done, and has no result of its own: a sign of life.
    Working,
}

/// A time that something took. Such are added up, which no number from elsewhere is to make
/// overflow.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const CENTURIES: Duration = Duration::from_secs(1 << 34);
    Duration::deserialize(deserializer).map(|span| span.min(CENTURIES))
}
