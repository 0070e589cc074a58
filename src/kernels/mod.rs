//! Reference kernels: what the crate is for, each with a plain serial version as its oracle.

pub mod cash_value;
pub mod chamfer;
pub mod clusters;
#[cfg(feature = "csv")]
mod csv;
pub mod quartic;

#[cfg(feature = "csv")]
pub use csv::CsvOptions;
