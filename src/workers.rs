//! How many workers: all, all but some, a fraction, the physical cores, or exactly so many.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroUsize;

use crate::affinity;

/// How many workers a pool has, decided when the pool is built.
///
/// The number of processors is what this process may really use: its affinity mask
/// (`taskset`, a batch system's binding) and its cgroup CPU quota (a container's limit) are
/// honoured, so a container limited to 2 of 64 cores gets 2. A quota is rounded down, and
/// no answer is below 1.
///
/// Users of joblib find `n_jobs=-1` as [`Workers::all`] and `n_jobs=-2` as
/// [`Workers::all_but(1)`](Workers::all_but).
///
/// No environment variable changes any of this behind a program's back: the crate reads none, as it is a
/// guest in the program. A program that wants its users to have one names it:
/// [`Workers::from_env`].
///
/// # Examples
///
/// ```
/// use scipar::{Pool, Workers};
///
/// assert_eq!(Workers::exactly(3).count(), 3);
/// assert!(Workers::all().count() >= 1);
/// assert!(Workers::all_but(1).count() <= Workers::all().count());
/// assert_eq!(Pool::new(Workers::exactly(2)).num_workers(), 2);
/// assert_eq!(Pool::new(2).num_workers(), 2); // a plain number means exactly
/// ```
#[doc(alias = "n_jobs")]
#[doc(alias = "cpu_count")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workers(Rule);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    AllBut(usize),
    /// In (0, 1]; the constructor checks it.
    Fraction(f64),
    Physical,
    Exactly(NonZeroUsize),
}

impl Workers {
    /// One worker for each processor that this process may use.
    #[must_use]
    pub const fn all() -> Self {
        Self(Rule::AllBut(0))
    }

    /// One worker for each usable processor except `spared`, and never fewer than one.
    #[must_use]
    pub const fn all_but(spared: usize) -> Self {
        Self(Rule::AllBut(spared))
    }

    /// A share of the usable processors, rounded to the nearest whole number, at least one.
    ///
    /// # Panics
    ///
    /// Where `share` is not in (0, 1].
    #[must_use]
    #[track_caller]
    pub const fn fraction(share: f64) -> Self {
        assert!(
            share > 0.0 && share <= 1.0,
            "a fraction of the workers is above 0 and at most 1"
        );
        Self(Rule::Fraction(share))
    }

    /// One worker for each physical core, and no more than the usable processors.
    ///
    /// For code bound by the floating-point units or by memory, where two hardware threads
    /// on one core get in each other's way.
    #[must_use]
    pub const fn physical() -> Self {
        Self(Rule::Physical)
    }

    /// Exactly `workers`, whatever the machine has.
    ///
    /// # Panics
    ///
    /// Where `workers` is zero.
    #[must_use]
    #[track_caller]
    pub const fn exactly(workers: usize) -> Self {
        match NonZeroUsize::new(workers) {
            Some(workers) => Self(Rule::Exactly(workers)),
            None => panic!("a pool has at least one worker"),
        }
    }

    /// What the environment variable `name` says: a whole number from 1 on is [exactly](Self::exactly) so many.
    /// `None` where it is not set, or empty.
    ///
    /// The crate reads no variable of its own accord: the program chooses the name, and what holds without it.
    ///
    /// # Errors
    ///
    /// Where the value is anything else: a silent fallback would hide a mistake in a batch script.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::{Pool, Workers};
    ///
    /// let workers = Workers::from_env("PRICER_NUM_THREADS")?; // unset: None
    /// let pool = Pool::new(workers.unwrap_or(Workers::all_but(1)));
    /// # Ok::<(), scipar::WorkersError>(())
    /// ```
    #[doc(alias = "RAYON_NUM_THREADS")]
    #[doc(alias = "OMP_NUM_THREADS")]
    pub fn from_env(name: impl AsRef<OsStr>) -> Result<Option<Self>, WorkersError> {
        let name = name.as_ref();
        let value = env::var_os(name).filter(|value| !value.is_empty());
        let parse = |value: OsString| match value.to_str().map(|text| text.trim().parse()) {
            Some(Ok(workers)) => Ok(Self(Rule::Exactly(workers))),
            _ => Err(WorkersError {
                name: name.to_owned(),
                value,
            }),
        };
        value.map(parse).transpose()
    }

    /// The number that this rule gives on this machine, for this process, now. At least 1.
    #[must_use]
    pub fn count(self) -> usize {
        self.resolve(usable(), num_cpus::get_physical)
    }

    /// The arithmetic of [`count`](Self::count), with the machine as an argument.
    fn resolve(self, usable: usize, physical: impl FnOnce() -> usize) -> usize {
        match self.0 {
            Rule::AllBut(spared) => usable.saturating_sub(spared).max(1),
            Rule::Fraction(share) => ((usable as f64 * share).round() as usize).max(1),
            Rule::Physical => physical().clamp(1, usable.max(1)),
            Rule::Exactly(workers) => workers.get(),
        }
    }
}

/// Processors that this process may use. Std reads the affinity mask and the cgroup quota;
/// where it cannot tell, `num_cpus` asks the system in other ways.
fn usable() -> usize {
    let asked = affinity::unplaced(|| {
        std::thread::available_parallelism().map_or_else(|_| num_cpus::get(), NonZeroUsize::get)
    });
    asked.max(1)
}

impl Default for Workers {
    /// [`Workers::all`].
    fn default() -> Self {
        Self::all()
    }
}

impl From<usize> for Workers {
    /// [`Workers::exactly`].
    #[track_caller]
    fn from(workers: usize) -> Self {
        Self::exactly(workers)
    }
}

impl From<NonZeroUsize> for Workers {
    /// [`Workers::exactly`].
    fn from(workers: NonZeroUsize) -> Self {
        Self(Rule::Exactly(workers))
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rule::AllBut(0) => write!(f, "all"),
            Rule::AllBut(spared) => write!(f, "all but {spared}"),
            Rule::Fraction(share) => write!(f, "{share} of all"),
            Rule::Physical => write!(f, "the physical cores"),
            Rule::Exactly(workers) => write!(f, "exactly {workers}"),
        }
    }
}

/// The value of an environment variable that should be a number of workers, and is not; from
/// [`Workers::from_env`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is {value:?}: not a number of workers, which is a whole number from 1 on", .name.display())]
pub struct WorkersError {
    name: OsString,
    value: OsString,
}

impl WorkersError {
    /// The name of the variable.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// What it was set to.
    #[must_use]
    pub fn value(&self) -> &OsStr {
        &self.value
    }
}

#[cfg(test)]
mod tests;
