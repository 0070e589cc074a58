//! The worker's side: reads messages, runs tasks, answers, until the other side is gone.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::os::{self, Descriptor, Peer};
use super::protocol::{Answer, Entry, Hello, Item, Order, Setup, VERSION};
use super::shared::{Part, Pod};
use super::task::{self, Task};
use super::wire::{Forever, Input, Link, LinkError, Meanwhile, Output, ValueError};
use crate::error::Panic;
use crate::worker::{Stop, Stopper};

/// Results are sent at least so often, so that an end loses little and progress is seen.
const SEND_EVERY: Duration = Duration::from_millis(5);

/// How long a worker whose parent is gone may take to end in an orderly way.
const GRACE: Duration = Duration::from_millis(200);

thread_local! {
    /// Where the panic that is being caught on this thread began.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static STOP: OnceLock<Stop> = OnceLock::new();

/// In a worker process: what tells that it is asked to stop. `None` elsewhere.
///
/// [`Process::stop`](super::Process::stop), dropping a [`Process`](super::Process), and the end of the parent set it.
#[must_use]
pub fn stop() -> Option<&'static Stop> {
    STOP.get()
}

/// Why a worker does not go on with a message.
#[derive(Debug)]
pub(super) enum CallError {
    /// The other side is gone.
    Link(LinkError),
    /// The message is at its end, or of no use.
    Over,
}

impl From<LinkError> for CallError {
    fn from(error: LinkError) -> Self {
        CallError::Link(error)
    }
}

/// What the watching thread and the serving one share.
struct Watched {
    output: Mutex<Output>,
    /// When the current item began, in nanoseconds since `began`; zero where none is being worked on.
    item_began: AtomicU64,
    began: Instant,
}

impl Watched {
    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        (self.began.elapsed().as_nanos() as u64).max(1)
    }
}

/// Serves until the other side is gone, and then ends the process.
pub(super) fn serve(socket: Descriptor) -> ! {
    let socket = Arc::new(socket);
    let code = match serve_all(Arc::clone(&socket)) {
        Ok(()) | Err(LinkError::Gone) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "scipar worker: {error:?}");
            70
        }
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

    let watched = Arc::new(Watched {
        output: Mutex::new(output),
        item_began: AtomicU64::new(0),
        began: Instant::now(),
    });
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
fn or_broken<T>(result: Result<T, ValueError>) -> Result<T, LinkError> {
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

/// One message that a worker is to act on.
pub(super) struct Call<'a> {
    input: &'a mut Input,
    watched: &'a Watched,
    contexts: &'a mut Contexts,
    order: &'a Order,
    timed: bool,
    /// CPU time when the last answer ended, if that was looked at: this call begins with its message.
    cpu: &'a mut Option<ProcessTime>,
    /// When results were sent last.
    sent: Instant,
}

/// Data that tasks share, or why it is not there.
type Contexts = HashMap<u64, Result<Box<dyn Any>, String>>;

impl Call<'_> {
    fn serve(&mut self) -> Result<(), CallError> {
        let (task, signature) = match self.order {
            Order::Run {
                task, signature, ..
            }
            | Order::Context {
                task, signature, ..
            } => (task, signature),
            Order::Forget { context } => {
                self.contexts.remove(context);
                return Ok(());
            }
        };
        match task::find(task, signature) {
            Ok(registration) => (registration.run)(self),
            // Whoever sends a context sends a run after it, which is answered.
            Err(_) if matches!(self.order, Order::Context { .. }) => Ok(()),
            Err(why) => self.answer(|call| call.put(&Entry::<()>::Unknown(why))),
        }
    }

    /// Runs a plain task on every item, or on those of every leaf.
    pub(super) fn each<A, R>(&mut self, function: fn(A) -> R) -> Result<(), CallError>
    where
        A: DeserializeOwned,
        R: Serialize + 'static,
    {
        let Order::Run { reduce, .. } = self.order else {
            return Err(CallError::Over);
        };
        let Some((name, signature)) = reduce else {
            return self.answer(|call| call.items(function));
        };
        let op = task::find(name, signature).and_then(|found| {
            let task = found.task.as_ref();
            let op = task.and_then(|task| task.downcast_ref::<Task<(R, R), R>>());
            op.ok_or_else(|| format!("`{name}` combines other values"))
        });
        match op {
            Ok(op) => self.answer(|call| call.leaves(function, |a, b| op.call((a, b)))),
            Err(why) => self.answer(|call| call.put(&Entry::<()>::Unknown(why))),
        }
    }

    /// Runs a task that has a context, or keeps its context.
    pub(super) fn each_with<C, A, R>(&mut self, function: fn(&C, A) -> R) -> Result<(), CallError>
    where
        C: DeserializeOwned + 'static,
        A: DeserializeOwned,
        R: Serialize,
    {
        match self.order {
            Order::Context { context, .. } => {
                let value = match self.input.value::<C>(&mut Forever) {
                    Ok(value) => Ok(Box::new(value) as Box<dyn Any>),
                    Err(ValueError::Link(error)) => return Err(error.into()),
                    Err(ValueError::Serde(why)) => Err(why),
                    Err(ValueError::Void | ValueError::End) => {
                        Err("it was not sent to its end".to_owned())
                    }
                };
                self.contexts.insert(*context, value);
                Ok(())
            }
            Order::Run { context, .. } => {
                let kept = context.and_then(|context| self.contexts.remove(&context));
                let result = match &kept {
                    Some(Ok(value)) => match value.downcast_ref::<C>() {
                        Some(value) => self.answer(|call| call.items(|item| function(value, item))),
                        None => self.unusable("it is of another type"),
                    },
                    Some(Err(why)) => self.unusable(why),
                    None => self.unusable("the task needs one, and there is none"),
                };
                if let (Some(context), Some(kept)) = (context, kept) {
                    self.contexts.insert(*context, kept);
                }
                result
            }
            Order::Forget { .. } => Err(CallError::Over),
        }
    }

    fn unusable(&mut self, why: &str) -> Result<(), CallError> {
        let entry = Entry::<()>::Unknown(format!("the context: {why}"));
        self.answer(|call| call.put(&entry))
    }

    /// Runs a task on parts of shared arrays.
    pub(super) fn each_part<T, A, R>(
        &mut self,
        function: fn(&mut [T], A) -> R,
    ) -> Result<(), CallError>
    where
        T: Pod,
        A: DeserializeOwned,
        R: Serialize,
    {
        // The part is given back before the answer leaves: the closure has ended by then.
        let function = |(mut part, arguments): (Part<T>, A)| function(part.items(), arguments);
        self.answer(|call| call.items(function))
    }

    /// Begins an answer, lets it be written, and ends it.
    fn answer(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let Order::Run {
            id, cpu: wanted, ..
        } = self.order
        else {
            return Err(CallError::Over);
        };
        let began = Instant::now();
        let before = self.cpu.take();
        let before = wanted.then(|| before.unwrap_or_else(ProcessTime::now));
        self.sent = began;
        self.put(&Answer { id: *id })?;
        write(self)?;
        let cpu = before.map_or(Duration::ZERO, |before| {
            let now = ProcessTime::now();
            *self.cpu = Some(now);
            now.duration_since(before)
        });
        let wall = began.elapsed();
        self.put(&Entry::<()>::End { wall, cpu })?;
        Ok(self.watched.output().finish(&mut alone(&mut Forever))?)
    }

    /// Adds something of the protocol's own to the answer.
    fn put<T: Serialize>(&mut self, value: &T) -> Result<(), CallError> {
        let mut output = self.watched.output();
        Ok(or_broken(output.value(value, &mut alone(&mut Forever)))?)
    }

    /// Adds what became of an item. A result that cannot be encoded is that item's failure.
    fn outcome<R: Serialize>(&mut self, outcome: &Entry<R>) -> Result<(), CallError> {
        let mut forever = Forever;
        let mut wait = alone(&mut forever);
        let mut output = self.watched.output();
        match output.value(outcome, &mut wait) {
            Err(ValueError::Serde(why)) => {
                or_broken(output.value(&Entry::<()>::Unencoded(why), &mut wait))?;
            }
            result => or_broken(result)?,
        }
        if self.sent.elapsed() >= SEND_EVERY {
            output.flush(&mut wait)?;
            self.sent = Instant::now();
        }
        Ok(())
    }

    /// The next item, an end of a leaf, or the end; `None` where the message ends early.
    fn next<A: DeserializeOwned>(&mut self) -> Result<Option<Item<A>>, CallError> {
        loop {
            match self.input.value::<Item<A>>(&mut Forever) {
                Ok(item) => return Ok(Some(item)),
                // The item before it, or this one, was not sent to its end; the sender knows, and says what is next.
                Err(ValueError::Void) => {}
                Err(ValueError::End) => return Ok(None),
                Err(ValueError::Link(error)) => return Err(error.into()),
                Err(ValueError::Serde(why)) => {
                    // Where the next item would begin is not known.
                    self.put(&Entry::<()>::Undecoded(why))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Calls user code for an item.
    fn run<R>(&mut self, function: impl FnOnce() -> R) -> Entry<R> {
        if self.timed {
            let now = self.watched.now();
            self.watched.item_began.store(now, Ordering::Release);
        }
        let result = catch_unwind(AssertUnwindSafe(function));
        if self.timed {
            self.watched.item_began.store(0, Ordering::Release);
        }
        match result {
            Ok(value) => Entry::Value(value),
            Err(payload) => {
                let message = Panic::new(payload).to_string();
                let place = PANICKED_AT.take();
                Entry::Panicked { message, place }
            }
        }
    }

    fn items<A: DeserializeOwned, R: Serialize>(
        &mut self,
        mut function: impl FnMut(A) -> R,
    ) -> Result<(), CallError> {
        loop {
            match self.next()? {
                Some(Item::Next(item)) => {
                    let outcome = self.run(|| function(item));
                    self.outcome(&outcome)?;
                }
                Some(Item::Leaf) => {}
                Some(Item::End) | None => return Ok(()),
            }
        }
    }

    /// Folds every leaf from left to right, as a leaf on threads is folded.
    fn leaves<A: DeserializeOwned, R: Serialize>(
        &mut self,
        map: fn(A) -> R,
        op: impl Fn(R, R) -> R,
    ) -> Result<(), CallError> {
        let mut so_far: Option<Entry<R>> = None;
        loop {
            match self.next()? {
                Some(Item::Next(item)) => {
                    so_far = Some(match so_far {
                        None => self.run(|| map(item)),
                        Some(Entry::Value(left)) => self.run(|| op(left, map(item))),
                        Some(failed) => failed,
                    });
                }
                Some(Item::Leaf) => {
                    if let Some(outcome) = so_far.take() {
                        self.outcome(&outcome)?;
                    }
                }
                Some(Item::End) | None => return Ok(()),
            }
        }
    }
}

/// Nobody reads meanwhile: the other side reads whenever it finds no room to write.
fn alone(patience: &mut Forever) -> Meanwhile<'_> {
    Meanwhile {
        input: None,
        patience,
    }
}
