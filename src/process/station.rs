//! A worker process as its parent sees it: started, greeted, spoken to, killed, taken note of.

mod tail;
mod watch;

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tail::Tail;
pub(super) use watch::Watch;

use super::error::{ProcessError, ProcessErrorKind};
use super::os::{self, Child, Descriptor};
use super::protocol::{Hello, Setup, VERSION};
use super::wire::{Link, LinkError, Meanwhile, ValueError};
use super::{Stderr, entry};
use crate::fork;

/// How workers are started.
#[derive(Clone, Debug)]
pub(super) struct Starter {
    /// The program and its arguments; `None`: this program.
    pub(super) command: Option<Vec<OsString>>,
    pub(super) start_timeout: Duration,
    pub(super) task_timeout: Option<Duration>,
    pub(super) message_limit: u64,
    pub(super) stderr: Stderr,
}

impl Default for Starter {
    fn default() -> Self {
        Self {
            command: None,
            start_timeout: Duration::from_secs(30),
            task_timeout: None,
            message_limit: 16 << 30,
            stderr: Stderr::Shown,
        }
    }
}

/// What a worker finds set for the libraries that start threads by themselves: a worker is one of many.
const ONE_THREAD: [&str; 5] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// How long a worker that was told to end may take to.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A worker process.
#[derive(Debug)]
pub(super) struct Station {
    child: Child,
    pub(super) link: Link,
    tail: Tail,
    /// The process that started it; a fork of that has no business with it.
    generation: u32,
    greeted_until: Instant,
    /// Whether it is known to be a worker.
    greeted: bool,
    setup: Setup,
    /// When it was put back among those that are free.
    pub(super) left: Option<Instant>,
    /// Items that it has been given.
    pub(super) served: usize,
    /// The context that it has.
    pub(super) context: Option<u64>,
    /// The number of the last run.
    pub(super) last: u64,
}

impl Starter {
    /// Starts a worker; it is of use when it has been greeted. Several can be started before the first is.
    pub(super) fn start(&self) -> Result<Station, ProcessError> {
        if !os::SUPPORTED {
            return Err(ProcessError::new(ProcessErrorKind::Unsupported));
        }
        let refused = |error| ProcessError::because(ProcessErrorKind::Start, error);
        let mut command = match &self.command {
            Some(words) => entry::command(words).ok_or_else(|| {
                ProcessError::saying(ProcessErrorKind::Start, "the worker's command is empty")
            })?,
            None => entry::own_command()?,
        };
        let (ours, theirs) = os::stream_pair().map_err(refused)?;
        os::limit_receiving(&ours, Watch::LOOK).map_err(refused)?;
        let (variable, value) = entry::variable(os::identity(&theirs).map_err(refused)?)?;
        command.env(variable, value);
        for name in ONE_THREAD {
            if std::env::var_os(name).is_none() {
                command.env(name, "1");
            }
        }
        let (reader, writer) = io::pipe().map_err(refused)?;
        let named = |error: io::Error| {
            let program = command_name(&self.command);
            let text = format!("{program}: {error}");
            match os::is_too_many_files(&error) || error.kind() == io::ErrorKind::Unsupported {
                true => refused(error),
                false => ProcessError::saying(ProcessErrorKind::Start, text),
            }
        };
        let child = Child::start(command, theirs, writer).map_err(named)?;
        let mut station = Station {
            tail: Tail::default(),
            link: Link::new(ours, self.message_limit),
            child,
            generation: fork::generation(),
            greeted_until: Instant::now() + self.start_timeout,
            greeted: false,
            setup: Setup {
                task_timeout: self.task_timeout,
                message_limit: self.message_limit,
            },
            left: None,
            served: 0,
            context: None,
            last: 0,
        };
        let end = station.child.end().cloned();
        station
            .tail
            .follow(reader, end, self.stderr)
            .map_err(refused)?;
        Ok(station)
    }
}

fn command_name(words: &Option<Vec<OsString>>) -> String {
    match words.as_deref() {
        Some([program, ..]) => program.to_string_lossy().into_owned(),
        _ => "this program".to_owned(),
    }
}

impl Station {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Hears that it is a worker, and tells it what it has to know.
    pub(super) fn greet(&mut self) -> Result<(), ProcessError> {
        match self.try_greet() {
            Ok(()) => {
                self.greeted = true;
                Ok(())
            }
            Err(fault) => Err(self.no_worker(fault)),
        }
    }

    fn try_greet(&mut self) -> Result<(), ValueError> {
        let mut patience = Watch::new(&self.child);
        patience.until = Some(self.greeted_until);
        self.link.input.set_limit(1 << 10);
        self.link.input.begin(&mut patience)?;
        let hello: Hello = self.link.input.value(&mut patience)?;
        self.link.input.finish(&mut patience)?;
        if hello.version != VERSION {
            let why = format!(
                "it has version {} of scipar, this is {VERSION}",
                hello.version
            );
            return Err(ValueError::Serde(why));
        }
        self.link.input.set_limit(self.setup.message_limit);
        let mut meanwhile = Meanwhile {
            input: None,
            patience: &mut patience,
        };
        self.link.output.value(&self.setup, &mut meanwhile)?;
        Ok(self.link.output.finish(&mut meanwhile)?)
    }

    fn no_worker(&mut self, fault: ValueError) -> ProcessError {
        let timeout = matches!(fault, ValueError::Link(LinkError::Interrupted));
        let (status, stderr) =
            match self.end_now(Duration::from_millis(if timeout { 0 } else { 200 })) {
                (Some(status), stderr) => (status.to_string(), stderr),
                (None, stderr) => ("it was killed".to_owned(), stderr),
            };
        let why = match fault {
            ValueError::Serde(why) => why,
            ValueError::Link(LinkError::Interrupted) => {
                "it did not say in time that it is a worker; does its `main` begin with `scipar::process::init()`?".to_owned()
            }
            ValueError::Link(LinkError::Gone) | ValueError::End | ValueError::Void => format!(
                "it ended before it said that it is a worker ({status}); does its `main` begin with `scipar::process::init()`?"
            ),
            ValueError::Link(LinkError::Frame(error)) => error.to_string(),
            ValueError::Link(LinkError::Io(error)) => {
                return ProcessError::because(ProcessErrorKind::Io, error).with_stderr(stderr);
            }
        };
        ProcessError::saying(ProcessErrorKind::Handshake, why).with_stderr(stderr)
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.child.has_ended()
    }

    /// Readable when the process has ended.
    pub(super) fn end(&self) -> Option<Arc<Descriptor>> {
        self.child.end().cloned()
    }

    pub(super) fn task_timeout(&self) -> Option<Duration> {
        self.setup.task_timeout
    }

    /// Waits for as long as it lives, and is not silent for longer than a task may take.
    pub(super) fn watch(&self) -> Watch {
        Watch::of_task(&self.child, self.task_timeout())
    }

    /// Whether this process has started it, and not one that this is a fork of.
    pub(super) fn is_own(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Lets it end by itself for a while, kills it otherwise, and takes note of its end. Says how it ended, if by itself.
    pub(super) fn end_now(&mut self, grace: Duration) -> (Option<ExitStatus>, String) {
        if !self.is_own() {
            return (None, String::new());
        }
        let by_itself = self.child.wait_until(Some(Instant::now() + grace));
        if !by_itself {
            self.child.kill();
        }
        let status = self.child.reap().ok();
        self.tail.ended.store(true, Ordering::Release);
        let text = self.tail.text();
        (status.filter(|_| by_itself), text)
    }

    /// How it ended, when it has been taken note of.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.child.status()
    }

    /// What became of it when its side of the connection closed.
    pub(super) fn death(&mut self) -> ProcessError {
        let by_itself = self
            .child
            .wait_until(Some(Instant::now() + Duration::from_secs(1)));
        match self.end_now(Duration::ZERO) {
            (Some(status), stderr) => ProcessError::died(status).with_stderr(stderr),
            // In a program that ignores SIGCHLD the system keeps no record of how children end.
            (None, stderr) if by_itself => {
                let unknown = ProcessErrorKind::Died {
                    signal: None,
                    code: None,
                };
                ProcessError::new(unknown).with_stderr(stderr)
            }
            (None, stderr) => ProcessError::saying(
                ProcessErrorKind::Protocol,
                "the worker closed its connection and went on; it was killed",
            )
            .with_stderr(stderr),
        }
    }

    /// What a broken link means, after the process has been ended.
    pub(super) fn broken(&mut self, error: LinkError) -> ProcessError {
        match error {
            LinkError::Gone => self.death(),
            LinkError::Interrupted if self.task_timeout().is_some() => {
                self.timed_out(Duration::ZERO)
            }
            other => {
                let (_, stderr) = self.end_now(Duration::ZERO);
                ProcessError::link(other).with_stderr(stderr)
            }
        }
    }

    /// Its task took too long, and it is ended, if it does not end by itself.
    pub(super) fn timed_out(&mut self, grace: Duration) -> ProcessError {
        let limit = self.task_timeout().unwrap_or_default();
        let (_, stderr) = self.end_now(grace);
        ProcessError::new(ProcessErrorKind::TimedOut { limit }).with_stderr(stderr)
    }

    /// Asks it to stop: it sees the end of what it is told, and whoever works in it that they should stop.
    pub(super) fn ask_to_stop(&self) {
        if self.is_own() {
            os::finish_sending(self.link.socket());
        }
    }

    pub(super) fn kill(&mut self) {
        if self.is_own() {
            self.child.kill();
        }
    }
}

impl Drop for Station {
    /// An idle worker ends by itself when it sees that there is no more to do; any other is killed.
    fn drop(&mut self) {
        if !self.is_own() {
            return; // the process is somebody else's child
        }
        if self.status().is_none() {
            self.ask_to_stop();
            // What has not said that it is a worker has nothing to clean up, and may not know what it is asked.
            self.end_now(if self.greeted { GRACE } else { Duration::ZERO });
        }
        self.tail.close();
    }
}
