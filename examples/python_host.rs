//! A Rust library that Python loads, and that has worker processes: they are Python as well, started again, and load the library too.
//!
//! Built with `cargo build --release --example python_host`, used by `examples/python_host/host.py`:
//!
//! ```sh
//! python3 examples/python_host/host.py target/release/examples/libpython_host.so
//! ```

#![allow(
    unsafe_code,
    reason = "names that C can find have to be promised to be unique"
)]

use std::ffi::{CStr, c_char, c_double};

use scipar::process::{self, ProcessPool, task};

task! {
    fn root(x: f64) -> f64 {
        x.sqrt()
    }
}

/// What worker processes call first, and the host as well: it serves in the ones and returns in the other.
#[unsafe(no_mangle)]
pub extern "C" fn scipar_worker() {
    process::init();
}

/// The sum of the square roots of `0..n`, computed by worker processes that are started with `python` and load `library`. NaN, and a
/// message on standard error, where something goes wrong.
///
/// # Safety
///
/// Both texts end with a NUL byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sum_of_roots(
    python: *const c_char,
    library: *const c_char,
    n: u32,
) -> c_double {
    // SAFETY: the caller's promise.
    let python = unsafe { CStr::from_ptr(python) };
    // SAFETY: the caller's promise.
    let library = unsafe { CStr::from_ptr(library) };
    let [python, library] = [python, library].map(|text| text.to_string_lossy().into_owned());
    match sum(&python, &library, n) {
        Ok(sum) => sum,
        Err(error) => {
            eprintln!("python_host: {error}");
            c_double::NAN
        }
    }
}

fn sum(python: &str, library: &str, n: u32) -> Result<f64, Box<dyn std::error::Error>> {
    // The library's path is an argument of its own, so that no quoting can go wrong.
    let script = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).scipar_worker()";
    let pool = ProcessPool::builder()
        .workers(2)
        .worker_command([python, "-c", script, library])
        .build()?;
    let numbers: Vec<f64> = (0..n).map(f64::from).collect();
    let roots = pool.par_map_chunked(&numbers, scipar::Chunking::auto(), root)?;
    Ok(roots.into_iter().sum())
}
