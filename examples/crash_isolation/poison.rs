//! The faults that are planted: which policies have one, and what it does to the process that meets it.

use std::ffi::CStr;
use std::hint::black_box;

use serde::{Deserialize, Serialize};

/// What goes wrong with a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    Abort,
    Segfault,
    Exit,
    Panic,
    Hang,
}

impl Fault {
    const ALL: [(&'static str, Self); 5] = [
        ("abort", Fault::Abort),
        ("segfault", Fault::Segfault),
        ("exit", Fault::Exit),
        ("panic", Fault::Panic),
        ("hang", Fault::Hang),
    ];

    /// Does it. Of all these a process can catch the panic alone.
    pub(crate) fn strike(self, point: i64) {
        eprintln!("point {point} is poisoned: {self:?}");
        match self {
            Fault::Abort => std::process::abort(),
            Fault::Segfault => read_from_nowhere(),
            Fault::Exit => std::process::exit(7),
            Fault::Panic => panic!("point {point} is poisoned"),
            Fault::Hang => loop {
                std::thread::park(); // nobody will unpark it
            },
        }
    }
}

/// A C function that is given a null pointer, as a bug in a C library would have it.
#[allow(
    unsafe_code,
    reason = "the point of the example: a crash that no language catches"
)]
fn read_from_nowhere() {
    let nothing = black_box(std::ptr::null());
    // SAFETY: there is none. It is meant to crash, in a worker process, which the system ends at this read.
    let text = unsafe { CStr::from_ptr(nothing) };
    black_box(text);
}

/// Faults and the labels of the points that have them.
#[derive(Clone, Debug)]
pub(crate) struct Poisons(pub(crate) Vec<(Fault, i64)>);

impl Poisons {
    /// Reads `abort=137,hang=771`, or `none`.
    ///
    /// # Errors
    ///
    /// A message that says what is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

fn one(text: &str) -> Result<(Fault, i64), String> {
    let expected = || {
        let names = Fault::ALL.map(|(name, _)| name).join(", ");
        format!("found \"{text}\", expected FAULT=ID with a fault of {names}, or none")
    };
    let (name, id) = text.split_once('=').ok_or_else(expected)?;
    let fault = Fault::ALL.into_iter().find(|(known, _)| *known == name);
    let (_, fault) = fault.ok_or_else(expected)?;
    Ok((fault, id.parse().map_err(|_| expected())?))
}
