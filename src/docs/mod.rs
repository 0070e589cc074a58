//! Pages about the crate as a whole.
//!
//! * [`choosing_a_chunking`]: when `auto` is not the answer
//! * [`threads_or_processes`]: what a worker process costs, and what it is for
//! * [`determinism`]: which bits you get, and why
//! * [`from_python`]: where the names you know went
//! * [`conformance`]: what behaves as there, and what does not
//! * [`unsafe_code`]: the closed inventory
//! * [`scaling`]: how to read a scaling study
//! * [`limits`]: what the crate does not do

#[doc = include_str!("choosing_a_chunking.md")]
pub mod choosing_a_chunking {}

#[doc = include_str!("threads_or_processes.md")]
pub mod threads_or_processes {}

#[doc = include_str!("determinism.md")]
pub mod determinism {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("conformance.md")]
pub mod conformance {}

#[doc = include_str!("unsafe_code.md")]
pub mod unsafe_code {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("scaling.md")]
pub mod scaling {}
