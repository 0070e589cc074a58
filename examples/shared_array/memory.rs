//! What the system says about the memory of a process: on Linux, from `/proc`.

use std::fs;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Pages that are mapped and there.
    pub(crate) resident: u64,
    /// Those of them that are shared memory.
    pub(crate) shared: u64,
    /// Each page divided by the number of processes that have it mapped.
    pub(crate) proportional: u64,
}

impl Memory {
    /// That of a process; `None` where the system does not say.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        Some(Self {
            resident: field(&rollup, "Rss:")?,
            shared: field(&status, "RssShmem:")?,
            proportional: field(&rollup, "Pss:")?,
        })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            shared: self.shared + other.shared,
            proportional: self.proportional + other.proportional,
        }
    }
}

/// A line `Name:   123 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let number = line[name.len()..].split_whitespace().next()?;
    Some(number.parse::<u64>().ok()? * 1024)
}
