//! The worker's side: reads messages, runs tasks, answers, until the other side is gone.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::call::{Call, CallError, Contexts};
use super::os::{self, Descriptor, Peer};
use super::protocol::{Entry, Hello, Order, Setup, VERSION};
use super::wire::{Forever, Link, LinkError, Meanwhile, Output, ValueError};
use crate::panic::caught;
use crate::worker::{Stop, Stopper};

/// Results are sent at least so often, so that an end loses little and progress is seen.
pub(super) const SEND_EVERY: Duration = Duration::from_millis(5);

/// How long a worker whose parent is gone may take to end in an orderly way.
const GRACE: Duration = Duration::from_millis(200);

thread_local! {
    /// Where the panic that is being caught on this thread began.
    pub(super) static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static STOP: OnceLock<Stop> = OnceLock::new();

/// In a worker process: what tells that it is asked to stop. `None` elsewhere.
///
/// [`Process::stop`](super::Process::stop), dropping a [`Process`](super::Process), and the end of the parent set it.
#[must_use]
pub fn stop() -> Option<&'static Stop> {
    STOP.get()
}

/// What the watching thread and the serving one share.
pub(super) struct Watched {
    /// Held while a result is encoded: by the serving thread, and tried by the watching one. Tasks
    /// and what they return cannot get at it.
    output: Mutex<Output>,
    /// When the current item began, in nanoseconds since `began`; zero where none is being worked on.
    pub(super) item_began: AtomicU64,
    began: Instant,
}

impl Watched {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output: Mutex::new(output),
            item_began: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    pub(super) fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> u64 {
        (self.began.elapsed().as_nanos() as u64).max(1)
    }
}

/// Serves until the other side is gone, and then ends the process.
pub(super) fn serve(socket: Descriptor) -> ! {
    let socket = Arc::new(socket);
    let served = caught(|| serve_all(Arc::clone(&socket)));
    let code = match served {
        Ok(Ok(()) | Err(LinkError::Gone)) => 0,
        Ok(Err(error)) => {
            let _ = writeln!(std::io::stderr(), "scipar worker: {error:?}");
            70
        }
        // Code of the user's, where no item is to blame: it must not come out of `init`.
        Err(_) => 101,
    };
    let _ = std::io::stdout().flush();
    // Whoever takes note of a worker's end also ends what it has left behind. Where nobody is left to do that, it does so itself.
    let alone = matches!(
        os::wait_for_peer(&socket, Peer::Finished, Some(Duration::ZERO)),
        Ok(Peer::Gone)
    );
    if alone && os::has_children() {
        os::kill_self();
    }
    std::process::exit(code)
}

fn serve_all(socket: Arc<Descriptor>) -> Result<(), LinkError> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
        usual(info);
    }));

    let Link {
        mut input,
        mut output,
    } = Link::over(socket, u64::MAX);
    let hello = Hello {
        version: VERSION.to_owned(),
        process: std::process::id(),
    };
    or_broken(output.value(&hello, &mut alone(&mut Forever)))?;
    output.finish(&mut alone(&mut Forever))?;
    input.begin(&mut Forever)?;
    let setup: Setup = or_broken(input.value(&mut Forever))?;
    input.finish(&mut Forever)?;
    input.set_limit(setup.message_limit);

    let watched = Arc::new(Watched::new(output));
    watch(
        Arc::clone(input.socket()),
        Arc::clone(&watched),
        setup.task_timeout,
    );

    let mut contexts = Contexts::new();
    let mut cpu = None;
    loop {
        input.begin(&mut Forever)?;
        let order: Order = or_broken(input.value(&mut Forever))?;
        let mut call = Call {
            input: &mut input,
            watched: &watched,
            contexts: &mut contexts,
            order: &order,
            timed: setup.task_timeout.is_some(),
            cpu: &mut cpu,
            sent: Instant::now(),
        };
        match call.serve() {
            Ok(()) | Err(CallError::Over) => {}
            Err(CallError::Link(error)) => return Err(error),
        }
        input.finish(&mut Forever)?;
    }
}

/// Parts of the protocol itself are always encoded to their ends.
pub(super) fn or_broken<T>(result: Result<T, ValueError>) -> Result<T, LinkError> {
    result.map_err(|error| match error {
        ValueError::Link(error) => error,
        ValueError::Void | ValueError::Serde(_) | ValueError::End => LinkError::Io(
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{error:?}")),
        ),
    })
}

/// Starts the thread that ends this process when the other side is gone or a task takes too long.
fn watch(socket: Arc<Descriptor>, watched: Arc<Watched>, limit: Option<Duration>) {
    let (stopper, stop) = Stopper::new();
    let _ = STOP.set(stop);
    let mut stopper = Some(stopper);
    let look = move || {
        let tick = limit
            .map(|limit| (limit / 8).clamp(Duration::from_millis(1), Duration::from_millis(100)));
        let mut known = Peer::There;
        loop {
            match os::wait_for_peer(&socket, known, tick) {
                Ok(Peer::There) => {}
                Ok(Peer::Finished) => {
                    known = Peer::Finished;
                    stopper = None;
                }
                Ok(Peer::Gone) | Err(_) => {
                    drop(stopper.take());
                    std::thread::sleep(GRACE);
                    os::kill_self();
                }
            }
            if let Some(limit) = limit {
                check_time(&watched, limit);
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("scipar-watch".to_owned())
        .spawn(look);
    if let Err(error) = thread {
        let _ = writeln!(
            std::io::stderr(),
            "scipar worker: no thread to watch with: {error}"
        );
        std::process::exit(71);
    }
}

/// Ends this process if the current item takes too long, after sending what was done before it.
fn check_time(watched: &Watched, limit: Duration) {
    let item = watched.item_began.load(Ordering::Acquire);
    if item == 0 || watched.now().saturating_sub(item) < limit.as_nanos() as u64 {
        return;
    }
    // Whoever holds it is encoding a result: that is not for ever, or the parent sees to it.
    let Ok(mut output) = watched.output.try_lock() else {
        return;
    };
    if watched.item_began.load(Ordering::Acquire) != item {
        return;
    }
    let mut forever = Forever;
    let mut wait = alone(&mut forever);
    if output.value(&Entry::<()>::TimedOut, &mut wait).is_ok() {
        let _ = output.flush(&mut wait);
    }
    os::kill_self();
}

/// Nobody reads meanwhile: the other side reads whenever it finds no room to write.
pub(super) fn alone(patience: &mut Forever) -> Meanwhile<'_> {
    Meanwhile {
        input: None,
        patience,
    }
}
