//! Strong and weak scaling: the same work, or as much more of it, on more and more workers.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use super::error::MeasureError;
use super::samples::{Samples, Spread, Time};
use super::usl::{GustafsonFit, Usl, UslFit};
use crate::pool::Pool;

/// What grows with the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalingKind {
    /// The same work on more workers: how much sooner is it done?
    Strong,
    /// As many times the work as there are workers: does it take as long as one share on one worker?
    Weak,
}

/// Measures how much sooner the same work is done by more workers.
///
/// `work` is run on a pool of each of the `counts`, which take turns: 1 2 4, 1 2 4, `repetitions` times after a first turn that does not count.
/// So what else the machine does hits all alike, and the times that are divided by each other are of the same turn. Counts are brought into
/// ascending order, each once.
///
/// # Examples
///
/// ```
/// use scipar::kernels::quartic::spin;
/// use scipar::measure::strong_scaling;
///
/// let study = strong_scaling(&[1, 2], 3, |pool| pool.par_map_chunked(0..8, 1, |_| spin(25)))?;
/// assert_eq!(study.rows()[0].speed_up.mean, 1.0); // against itself
/// println!("{study}");
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
///
/// # Errors
///
/// Where `counts` has no 1 or has a 0, and where a pool cannot be started.
///
/// # Panics
///
/// Where `repetitions` is zero, and where `work` panics.
#[track_caller]
pub fn strong_scaling<R>(
    counts: &[usize],
    repetitions: usize,
    mut work: impl FnMut(&Pool) -> R,
) -> Result<Scaling, MeasureError> {
    run(ScalingKind::Strong, counts, repetitions, |pool, _| {
        work(pool)
    })
}

/// Measures whether `n` workers do `n` times the work in the time in which one does one share.
///
/// `work` gets the pool and the number of shares, which is the number of workers. All else is as in [`strong_scaling`].
///
/// # Examples
///
/// ```
/// use scipar::kernels::quartic::spin;
/// use scipar::measure::weak_scaling;
///
/// let study = weak_scaling(&[1, 2], 3, |pool, shares| {
///     pool.par_map_chunked(0..8 * shares, 1, |_| spin(20))
/// })?;
/// assert_eq!(study.rows()[1].workers, 2);
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
///
/// # Errors
///
/// As [`strong_scaling`].
///
/// # Panics
///
/// As [`strong_scaling`].
#[track_caller]
pub fn weak_scaling<R>(
    counts: &[usize],
    repetitions: usize,
    work: impl FnMut(&Pool, usize) -> R,
) -> Result<Scaling, MeasureError> {
    run(ScalingKind::Weak, counts, repetitions, work)
}

#[track_caller]
fn run<R>(
    kind: ScalingKind,
    counts: &[usize],
    repetitions: usize,
    mut work: impl FnMut(&Pool, usize) -> R,
) -> Result<Scaling, MeasureError> {
    assert!(repetitions > 0, "a measurement is repeated at least once");
    let counts = in_order(counts)?;
    let start = |&workers: &usize| match Pool::builder().workers(workers).build() {
        Ok(pool) => Ok(pool),
        Err(source) => Err(MeasureError::Pool { workers, source }),
    };
    let pools = counts.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut times = vec![Vec::with_capacity(repetitions); counts.len()];
    for turn in 0..=repetitions {
        for ((pool, &workers), times) in pools.iter().zip(&counts).zip(&mut times) {
            let start = Instant::now();
            let result = black_box(work(pool, workers));
            let took = start.elapsed();
            drop(result);
            if turn > 0 {
                // A clock that does not move in a nanosecond would make a speed-up infinite.
                times.push(took.as_secs_f64().max(1e-9));
            }
        }
    }
    Ok(Scaling::of(kind, counts.into_iter().zip(times).collect()))
}

/// The counts in ascending order, each once, with 1 among them.
fn in_order(counts: &[usize]) -> Result<Vec<usize>, MeasureError> {
    let asked = || counts.to_vec();
    if counts.contains(&0) {
        return Err(MeasureError::ZeroWorkers { counts: asked() });
    }
    if !counts.contains(&1) {
        return Err(MeasureError::NoBaseline { counts: asked() });
    }
    let mut counts = asked();
    counts.sort_unstable();
    counts.dedup();
    Ok(counts)
}

/// A scaling study: a table with a row for each number of workers.
///
/// With T(N) the wall time on N workers, and w(N) = 1 in a strong study, N in a weak one, for the work done:
///
/// | | |
/// |---|---|
/// | speed-up S(N) | w(N)·T(1)/T(N); in a weak study it is called scaled speed-up |
/// | relative speed-up | S(N)/S(M), where M is the count of the row before |
/// | efficiency | S(N)/N; in a weak study T(1)/T(N) |
///
/// Each is computed from times of one turn, and then their mean and standard deviation over the turns are taken.
#[derive(Clone, Debug)]
pub struct Scaling {
    kind: ScalingKind,
    /// In ascending order of workers, the first with one; all with the same number of turns.
    rows: Vec<ScalingRow>,
}

/// What a study found for a number of workers; see [`Scaling`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScalingRow {
    /// How many.
    pub workers: usize,
    /// Wall times in seconds, in the order of the turns.
    pub wall: Samples,
    /// Against one worker, in the same turn; 1 for one worker itself.
    pub speed_up: Spread,
    /// Against the row before, in the same turn; none for the first.
    pub relative: Option<Spread>,
    /// Speed-up per worker.
    pub efficiency: Spread,
}

impl Scaling {
    /// A study of times that were measured elsewhere: for each worker count its wall times, turn by turn.
    ///
    /// # Errors
    ///
    /// As [`strong_scaling`], and where times are not positive finite numbers or not as many for each count.
    pub fn from_times(
        kind: ScalingKind,
        times: impl IntoIterator<Item = (usize, Vec<f64>)>,
    ) -> Result<Self, MeasureError> {
        let mut times: Vec<(usize, Vec<f64>)> = times.into_iter().collect();
        let counts: Vec<usize> = times.iter().map(|(workers, _)| *workers).collect();
        let different = in_order(&counts)?;
        times.sort_by_key(|(workers, _)| *workers);
        let turns = times[0].1.len();
        let bad = |found: String| Err(MeasureError::BadSamples { found });
        if different.len() < times.len() {
            return bad(format!("a worker count twice in {counts:?}"));
        }
        for (workers, times) in &times {
            if times.len() != turns || turns == 0 {
                let found = times.len();
                return bad(format!("{found} of {workers} workers, {turns} of one"));
            }
            if let Some(time) = times.iter().find(|t| !(t.is_finite() && **t > 0.0)) {
                return bad(format!("a time of {time} s of {workers} workers"));
            }
        }
        Ok(Self::of(kind, times))
    }

    /// Counts ascend from 1; all have as many times, positive ones, at least one.
    fn of(kind: ScalingKind, times: Vec<(usize, Vec<f64>)>) -> Self {
        let speed_ups: Vec<Vec<f64>> = times
            .iter()
            .map(|(workers, own)| {
                let work = kind.work(*workers);
                own.iter()
                    .zip(&times[0].1)
                    .map(|(t, one)| work * one / t)
                    .collect()
            })
            .collect();
        let row = |(at, (workers, wall)): (usize, (usize, Vec<f64>))| {
            let per_worker: Vec<f64> = speed_ups[at].iter().map(|s| s / workers as f64).collect();
            let relative = at.checked_sub(1).map(|before| {
                let pairs = speed_ups[at].iter().zip(&speed_ups[before]);
                Spread::of(&pairs.map(|(s, before)| s / before).collect::<Vec<_>>())
            });
            ScalingRow {
                workers,
                wall: Samples::sorted_from(wall),
                speed_up: Spread::of(&speed_ups[at]),
                relative,
                efficiency: Spread::of(&per_worker),
            }
        };
        Self {
            kind,
            rows: times.into_iter().enumerate().map(row).collect(),
        }
    }

    /// What grew with the workers.
    #[must_use]
    pub fn kind(&self) -> ScalingKind {
        self.kind
    }

    /// The rows, by ascending number of workers; the first is that of one worker.
    #[must_use]
    pub fn rows(&self) -> &[ScalingRow] {
        &self.rows
    }

    /// How many turns each row has.
    #[must_use]
    pub fn repetitions(&self) -> usize {
        self.rows[0].wall.len()
    }

    /// Every turn of every row as worker count and throughput, in the unit of one worker's median: what laws are fitted to.
    ///
    /// Against the median and not against the same turn, so that the scatter of one worker's times is in the data as well.
    #[must_use]
    pub fn points(&self) -> Vec<(usize, f64)> {
        let unit = self.rows[0].wall.median();
        let of_row = |row: &ScalingRow| {
            let (workers, work) = (row.workers, self.kind.work(row.workers));
            let throughput = move |t: &f64| (workers, work * unit / t);
            row.wall.values().iter().map(throughput).collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(of_row).collect()
    }

    /// Fits the [`Usl`] to [`points`](Self::points): its throughput is speed-up.
    ///
    /// # Errors
    ///
    /// [`MeasureError::TooFewCounts`] with fewer than three rows; see [`Usl::fit`].
    pub fn fit_usl(&self) -> Result<UslFit, MeasureError> {
        Usl::fit(&self.points())
    }

    /// Fits Amdahl's law, for strong scaling.
    ///
    /// # Errors
    ///
    /// As [`fit_usl`](Self::fit_usl).
    pub fn fit_amdahl(&self) -> Result<UslFit, MeasureError> {
        Usl::fit_amdahl(&self.points())
    }

    /// Fits Gustafson's law, for weak scaling.
    ///
    /// # Errors
    ///
    /// As [`fit_usl`](Self::fit_usl).
    pub fn fit_gustafson(&self) -> Result<GustafsonFit, MeasureError> {
        GustafsonFit::new(&self.points())
    }
}

impl ScalingKind {
    /// How much work so many workers do, in shares.
    fn work(self, workers: usize) -> f64 {
        match self {
            ScalingKind::Strong => 1.0,
            ScalingKind::Weak => workers as f64,
        }
    }
}

impl fmt::Display for ScalingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScalingKind::Strong => "strong scaling",
            ScalingKind::Weak => "weak scaling",
        })
    }
}

impl fmt::Display for Scaling {
    /// The table, with a line about it; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speed_up = match self.kind {
            ScalingKind::Strong => "speed-up",
            ScalingKind::Weak => "scaled speed-up",
        };
        let (turns, s) = (
            self.repetitions(),
            if self.repetitions() == 1 { "" } else { "s" },
        );
        writeln!(
            f,
            "{}, mean +- standard deviation of {turns} turn{s}",
            self.kind
        )?;
        write!(
            f,
            "{:>7}{:>14}{:>18}{:>18}{:>18}",
            "workers", "median wall", speed_up, "relative", "efficiency"
        )?;
        for row in &self.rows {
            write!(
                f,
                "\n{:>7}{:>14}{:>18}{:>18}{:>18}",
                row.workers,
                Time(row.wall.median()),
                row.speed_up,
                row.relative
                    .map_or("-".to_owned(), |spread| spread.to_string()),
                row.efficiency
            )?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
