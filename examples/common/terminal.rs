//! What the example programs have in common on the command line: numbers, messages, what is printed.

use std::error::Error;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;

/// Reads a whole number; the message, unlike that of the standard library, says what is expected.
pub(crate) fn whole(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "expected a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// A number and what it counts.
#[allow(dead_code)] // Not every program counts.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Prints to standard output; a reader that has seen enough (`| head -1`) is not a failure.
///
/// # Errors
///
/// A message, if the text cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {e}").into())
        }
        _ => Ok(()),
    }
}

/// The exit code of a program, and one line about its failure.
pub(crate) fn end(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A failure to report the failure has nowhere to go.
            let _ = writeln!(io::stderr(), "error: {}", one_line(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// The error and its causes; what file names and fields bring along cannot break the line.
fn one_line(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
        .chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}
