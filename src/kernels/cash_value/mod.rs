//! Cash value.
