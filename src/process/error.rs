//! What can go wrong with worker processes.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::os;
use super::wire::{FrameError, LinkError};

/// Why a worker process, or a task in one, gave no result.
///
/// A thin pointer, so that results in `Result` stay small. What happened is in [`kind`](Self::kind); the predicates answer the
/// usual questions.
pub struct ProcessError(Box<Inner>);

struct Inner {
    kind: ProcessErrorKind,
    /// The last lines that the worker wrote to its standard error.
    stderr: String,
    source: Option<io::Error>,
    /// Where a panic was.
    place: Option<String>,
    /// What was being done, where that was no item.
    during: Option<&'static str>,
}

/// What happened, for [`ProcessError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessErrorKind {
    /// [`init`](super::init) has not been called, so a worker would run the whole program again.
    NotInitialized,
    /// A worker's worker asked for workers: more than two generations are a mistake as a rule.
    Nested,
    /// There are no worker processes on this system.
    Unsupported,
    /// No worker could be started.
    Start,
    /// What was started did not say in time, or not in the right words, that it is a worker.
    Handshake,
    /// The worker does not know the task, or knows one of another type.
    UnknownTask,
    /// The process ended: by a signal, or with an exit code.
    Died {
        /// The signal, on Unix, if it was one.
        signal: Option<i32>,
        /// The exit code, if it exited.
        code: Option<i32>,
    },
    /// A task took longer than it may, and was killed.
    TimedOut {
        /// How long it may take.
        limit: Duration,
    },
    /// The task panicked.
    Panicked,
    /// A value could not be encoded.
    Encode,
    /// A value could not be decoded.
    Decode,
    /// What came was no message: not from a worker, or corrupt.
    Protocol,
    /// A message's own code used the connection that the message is on.
    Reentrant,
    /// Too many files are open in this process or in the worker.
    TooManyFiles,
    /// The process was killed, or its pool ended, before the task was done.
    Killed,
    /// This process is a fork of the one whose workers they are.
    Forked,
    /// The system refused something else.
    Io,
}

/// What was being said when it happened, for messages.
pub(super) struct Told(String);

impl ProcessError {
    pub(super) fn new(kind: ProcessErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            stderr: String::new(),
            source: None,
            place: None,
            during: None,
        }))
    }

    /// With the system's word, or words of our own.
    pub(super) fn because(kind: ProcessErrorKind, source: io::Error) -> Self {
        let kind = if os::is_too_many_files(&source) {
            ProcessErrorKind::TooManyFiles
        } else if source.kind() == io::ErrorKind::Unsupported {
            ProcessErrorKind::Unsupported
        } else {
            kind
        };
        let mut error = Self::new(kind);
        error.0.source = Some(source);
        error
    }

    pub(super) fn saying(kind: ProcessErrorKind, what: impl Into<String>) -> Self {
        Self::because(kind, io::Error::other(Told(what.into())))
    }

    /// A task's panic, and where in its code it was.
    pub(super) fn panicked(message: String, place: Option<String>) -> Self {
        let mut error = Self::saying(ProcessErrorKind::Panicked, message);
        error.0.place = place;
        error
    }

    pub(super) fn during(mut self, what: &'static str) -> Self {
        self.0.during = Some(what);
        self
    }

    pub(super) fn with_stderr(mut self, text: String) -> Self {
        self.0.stderr = text;
        self
    }

    pub(super) fn died(status: ExitStatus) -> Self {
        Self::new(ProcessErrorKind::Died {
            signal: os::signal(status),
            code: status.code(),
        })
    }

    /// Of a link whose peer is not known to have ended.
    pub(super) fn link(error: LinkError) -> Self {
        match error {
            LinkError::Gone => Self::saying(
                ProcessErrorKind::Protocol,
                "the other side closed the connection",
            ),
            LinkError::Interrupted => Self::new(ProcessErrorKind::Killed),
            LinkError::Frame(frame) => Self::because(ProcessErrorKind::Protocol, frame.into()),
            // The system never says so of a socket: what came was no answer.
            LinkError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Self::because(ProcessErrorKind::Protocol, error)
            }
            LinkError::Io(error) => Self::because(ProcessErrorKind::Io, error),
        }
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ProcessErrorKind {
        self.0.kind.clone()
    }

    /// The signal that ended the process, on Unix.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.0.kind {
            ProcessErrorKind::Died { signal, .. } => signal,
            _ => None,
        }
    }

    /// What that signal is called, such as `SIGSEGV`.
    #[must_use]
    pub fn signal_name(&self) -> Option<&'static str> {
        self.signal().and_then(os::signal_name)
    }

    /// What happened, in words, without what the worker said last.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{self:#}")
    }

    /// The exit code with which the process ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self.0.kind {
            ProcessErrorKind::Died { code, .. } => code,
            _ => None,
        }
    }

    /// The last lines of the worker's standard error: at most 4 KiB. Empty where it wrote none or did not fail.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.0.stderr
    }

    /// Whether the process ended by itself, by a signal or with an exit code.
    #[must_use]
    pub fn is_death(&self) -> bool {
        matches!(self.0.kind, ProcessErrorKind::Died { .. })
    }

    /// Whether a task took longer than it may.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ProcessErrorKind::TimedOut { .. })
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.0.kind == ProcessErrorKind::Panicked
    }

    /// What the task panicked with, if it panicked.
    #[must_use]
    pub fn panic_message(&self) -> Option<String> {
        self.is_panic().then(|| self.panic_text())
    }

    /// Where in the code the task panicked: file, line and column.
    #[must_use]
    pub fn panic_location(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    pub(super) fn panic_text(&self) -> String {
        self.0
            .source
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(what) = self.0.during {
            write!(f, "in {what}: ")?;
        }
        match &self.0.kind {
            ProcessErrorKind::NotInitialized => f.write_str(
                "call `scipar::process::init()` as the first line of `main` (in tests: `scipar::process::test_worker!()`) \
                 before worker processes are started",
            )?,
            ProcessErrorKind::Nested => f.write_str("workers of workers may not have workers of their own")?,
            ProcessErrorKind::Unsupported => f.write_str("there are no worker processes on this system")?,
            ProcessErrorKind::Start => f.write_str("no worker process could be started")?,
            ProcessErrorKind::Handshake => f.write_str("what was started is not a worker")?,
            ProcessErrorKind::UnknownTask => f.write_str("the worker does not know the task")?,
            ProcessErrorKind::Died { signal: Some(signal), .. } => {
                write!(f, "the worker process was ended by signal {signal}")?;
                if let Some(name) = os::signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
            }
            ProcessErrorKind::Died { code: Some(code), .. } => {
                write!(f, "the worker process ended with exit code {code}")?;
            }
            ProcessErrorKind::Died { .. } => f.write_str("the worker process ended")?,
            ProcessErrorKind::TimedOut { limit } => {
                write!(f, "the task took longer than {limit:?} and was killed")?;
            }
            ProcessErrorKind::Panicked => f.write_str("the task panicked")?,
            ProcessErrorKind::Encode => f.write_str("a value cannot be encoded for another process")?,
            ProcessErrorKind::Decode => f.write_str("a value from another process cannot be decoded")?,
            ProcessErrorKind::Protocol => f.write_str("the connection with the other process is broken")?,
            ProcessErrorKind::Reentrant => {
                f.write_str("the connection is in use by the message whose own code uses it")?;
            }
            ProcessErrorKind::TooManyFiles => f.write_str("too many open files: raise the limit (`ulimit -n`)")?,
            ProcessErrorKind::Killed => f.write_str("the process was killed before the task was done")?,
            ProcessErrorKind::Forked => f.write_str("this process is a fork, and the workers are not its own")?,
            ProcessErrorKind::Io => f.write_str("the system refused")?,
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        if let Some(place) = &self.0.place {
            write!(f, " (at {place})")?;
        }
        if f.alternate() {
            return Ok(());
        }
        let last = self.0.stderr.trim_end();
        if let Some(line) = last.lines().rfind(|line| !line.trim().is_empty()) {
            write!(f, "; its last words: {line}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessError")
            .field("kind", &self.0.kind)
            .field("source", &self.0.source)
            .field("stderr", &self.0.stderr)
            .finish()
    }
}

// The source is in the message, as it is one sentence with it.
impl std::error::Error for ProcessError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Told {}
