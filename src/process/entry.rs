//! Which process this is, and the door that worker processes come in by.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{ProcessError, ProcessErrorKind};
use super::task::{self, Registration};
use super::{os, serve};

/// Tells a process that it is a worker: the number of the socket that is its standard input, and its generation.
///
/// A program that a worker starts inherits the variable, but not the socket, so it is not mistaken for a worker, and nothing has
/// to be unset.
const VARIABLE: &str = "SCIPAR_WORKER";

/// Workers may have workers; those may not.
const GENERATIONS: u32 = 2;

static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Makes this program one that can have worker processes. Call it as the first line of `main`.
///
/// A worker process is this program, started again: in a worker this function serves tasks and never returns. Whatever comes before it
/// runs in every worker as well. In the program itself it returns at once: it reads one environment variable and starts nothing.
///
/// Tests have no `main`: see [`test_worker!`](crate::process::test_worker).
///
/// # Security
///
/// A worker runs whatever registered task its parent names, so a program is a worker only of a
/// parent that gains no rights by it: of the same user, or of root (Linux; what starts it is asked
/// of the kernel). A program that gets rights from its file (set-user-ID, set-group-ID,
/// capabilities) never is one, so such a program cannot have workers of its own kind either. What
/// is started as a worker against these rules ends with a message on standard error and exit code
/// 77, before anything else of the program has run, and a parent that waits for it gets
/// [`Handshake`](crate::process::ProcessErrorKind::Handshake) with that message.
///
/// # Examples
///
/// ```
/// use scipar::process;
///
/// fn main() -> std::process::ExitCode {
///     process::init();
///     // the program
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn init() {
    init_with([]);
}

/// As [`init`], for programs whose linker drops what [`task!`](crate::process::task) registers: names the tasks.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, task};
///
/// task! { fn double(x: i64) -> i64 { 2 * x } }
///
/// fn main() {
///     process::init_with([double.registration()]);
/// }
/// ```
pub fn init_with(tasks: impl IntoIterator<Item = Registration>) {
    task::install(tasks.into_iter().collect());
    // First, as a worker does not come back and may have workers too.
    INITIALIZED.store(true, Ordering::Release);
    serve_if_worker();
}

/// How a process ends that is started as a worker and refuses to be one; `EX_NOPERM` of
/// `sysexits.h`.
const REFUSED: i32 = 77;

/// As above, where the system lets it have no socket; `EX_OSERR`.
const NO_SOCKET: i32 = 71;

/// Serves, and never returns, if this is a worker.
#[doc(hidden)]
pub fn serve_if_worker() {
    let Some(role) = Role::of_this_process() else {
        return;
    };
    let error = match os::take_stdin(role.socket) {
        Ok(Some(socket)) => serve::serve(socket),
        Ok(None) => return,
        Err(error) => error,
    };
    // It was started as a worker and for nothing else: to go on would run the whole program once
    // more, perhaps as another user.
    let _ = writeln!(std::io::stderr(), "scipar worker: refused: {error}"); // nobody to tell
    std::process::exit(match error.kind() {
        ErrorKind::PermissionDenied => REFUSED,
        _ => NO_SOCKET,
    })
}

/// What the variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    socket: u64,
    generation: u32,
}

impl Role {
    fn of_this_process() -> Option<Self> {
        Self::parse(&std::env::var(VARIABLE).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (socket, generation) = text.split_once(':')?;
        Some(Self {
            socket: socket.parse().ok()?,
            generation: generation.parse().ok()?,
        })
    }
}

/// What a test crate has once, so that its worker processes know where to begin.
#[doc(hidden)]
#[derive(Debug)]
pub struct TestWorker {
    /// The module that has it.
    pub module: &'static str,
}

inventory::collect!(TestWorker);

impl TestWorker {
    /// How the test harness calls the test.
    fn test_name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, inner)) => format!("{inner}::scipar_test_worker"),
            None => "scipar_test_worker".to_owned(),
        }
    }
}

/// Gives the tests of a crate worker processes: call it once in each test crate (each file in `tests/`, and one test module of a
/// library), outside of any function.
///
/// It defines a test that does nothing, where worker processes of the other tests begin. What tasks print in workers of tests is not
/// shown.
///
/// # Examples
///
/// ```
/// #[cfg(test)]
/// mod tests {
///     scipar::process::test_worker!();
///
///     #[test]
///     fn two_workers() {
///         let pool = scipar::process::ProcessPool::new(2).unwrap();
///         // ...
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __scipar_test_worker {
    () => {
        #[test]
        fn scipar_test_worker() {
            $crate::process::__private::serve_if_worker();
        }

        const _: () = {
            $crate::process::__private::inventory::submit! {
                $crate::process::__private::TestWorker { module: ::core::module_path!() }
            }
        };
    };
}

/// How a worker is started where the program says nothing else.
pub(super) fn own_command() -> Result<Command, ProcessError> {
    let refused = |error| ProcessError::because(ProcessErrorKind::Start, error);
    if INITIALIZED.load(Ordering::Acquire) {
        let mut command = Command::new(os::own_executable().map_err(refused)?);
        command.arg("--scipar-worker"); // nobody reads it: it is for the list of processes
        return Ok(command);
    }
    let Some(test) = inventory::iter::<TestWorker>.into_iter().next() else {
        return Err(ProcessError::new(ProcessErrorKind::NotInitialized));
    };
    let mut command = Command::new(os::own_executable().map_err(refused)?);
    command
        .arg(test.test_name())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::null()); // the harness has much to say
    Ok(command)
}

/// A command made of a program and its arguments.
pub(super) fn command(words: &[OsString]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

/// The variable for a new worker, if this process may have one.
pub(super) fn variable(socket: u64) -> Result<(&'static str, String), ProcessError> {
    let generation = match Role::of_this_process() {
        None => 0,
        // A worker that does not serve: its program has not come to `init`, so each of its workers would start workers.
        Some(role) if os::is_stdin(role.socket) => {
            return Err(ProcessError::new(ProcessErrorKind::NotInitialized));
        }
        Some(role) => role.generation,
    };
    if generation >= GENERATIONS {
        return Err(ProcessError::new(ProcessErrorKind::Nested));
    }
    Ok((VARIABLE, format!("{socket}:{}", generation + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_written() {
        let role = Role {
            socket: 17,
            generation: 2,
        };
        assert_eq!(Role::parse("17:2"), Some(role));
        for wrong in ["", "17", ":", "17:", "x:1", "1:-1", "1:2:3"] {
            assert_eq!(Role::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_test_is_called_as_the_harness_calls_it() {
        let name = |module| TestWorker { module }.test_name();
        assert_eq!(name("faults"), "scipar_test_worker");
        assert_eq!(name("lib::some::tests"), "some::tests::scipar_test_worker");
    }
}
