//! What the benchmarks share: work of a known cost, order statistics, facts about the machine.
#![allow(dead_code, reason = "each benchmark uses a part")]

pub(crate) mod machine;
pub(crate) mod stats;
pub(crate) mod work;
