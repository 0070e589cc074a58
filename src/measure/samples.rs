//! Repeated measurements and what they say together.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use super::error::MeasureError;

/// Calls `f` so often and times each call.
///
/// Every call counts, the first one too, which often finds cold caches and threads not yet started:
/// [`Samples::values`] shows it. Call `f` once before where that is not what you ask for. Results are dropped
/// outside of the time, and pass through [`black_box`], so that the code that makes them stays. A call of less than a microsecond or so
/// drowns in what reading the clock costs: take [`repeat_for`].
///
/// # Examples
///
/// ```
/// let samples = scipar::measure::repeat(10, || (0..1000_u64).map(|i| i * i).sum::<u64>());
/// assert_eq!(samples.len(), 10);
/// assert!(samples.min() <= samples.median());
/// ```
///
/// # Panics
///
/// Where `n` is zero, and where `f` panics.
#[doc(alias = "timeit")]
#[track_caller]
pub fn repeat<R>(n: usize, mut f: impl FnMut() -> R) -> Samples {
    assert!(n > 0, "a measurement is repeated at least once");
    let once = |_| {
        let start = Instant::now();
        let result = black_box(f());
        let took = start.elapsed();
        drop(result);
        took.as_secs_f64()
    };
    Samples::sorted_from((0..n).map(once).collect())
}

/// The same for code that is over sooner than a clock is read: each sample is the mean time of a batch of calls that takes about `batch`.
///
/// How many calls a batch has is found out first, in runs that do not count. Results are dropped within the time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let mut x = 1.0_f64;
/// let samples = scipar::measure::repeat_for(5, Duration::from_micros(50), || { x = x.sqrt(); x });
/// assert_eq!(samples.len(), 5);
/// ```
///
/// # Panics
///
/// Where `n` is zero, and where `f` panics.
#[track_caller]
pub fn repeat_for<R>(n: usize, batch: Duration, mut f: impl FnMut() -> R) -> Samples {
    assert!(n > 0, "a measurement is repeated at least once");
    let mut time = |calls: u64| {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(f());
        }
        start.elapsed().as_secs_f64()
    };
    let wanted = batch.as_secs_f64();
    let mut calls = 1;
    loop {
        let took = time(calls);
        if took * 2.0 >= wanted || calls >= 1 << 40 {
            calls = ((calls as f64 * wanted / took.max(1e-9)) as u64).clamp(1, calls * 2);
            break;
        }
        calls *= 2;
    }
    Samples::sorted_from((0..n).map(|_| time(calls) / calls as f64).collect())
}

/// Repeated measurements of one quantity: wall times in seconds, where [`repeat`] made them.
///
/// On a machine that does other things too, times have a long tail to the right. The median and the MAD do not feel it; the mean and the
/// standard deviation do.
///
/// # Examples
///
/// ```
/// use scipar::measure::Samples;
///
/// let samples = Samples::new(vec![1.0, 2.0, 3.0, 4.0, 100.0])?;
/// assert_eq!(samples.median(), 3.0);
/// assert_eq!(samples.mean(), 22.0);
/// assert_eq!(samples.mad(), 1.0); // distances to 3: 2, 1, 0, 1, 97
/// assert_eq!(samples.quantile(0.25), 2.0);
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// In the order of measuring; at least one, all finite.
    values: Vec<f64>,
    /// The same in ascending order.
    sorted: Vec<f64>,
}

impl Samples {
    /// Samples that were measured elsewhere.
    ///
    /// # Errors
    ///
    /// [`MeasureError::BadSamples`] where there is none, or one that is not finite.
    pub fn new(values: Vec<f64>) -> Result<Self, MeasureError> {
        let bad = |found: String| Err(MeasureError::BadSamples { found });
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => bad(value.to_string()),
            None if values.is_empty() => bad("none".to_owned()),
            None => Ok(Self::sorted_from(values)),
        }
    }

    /// `values` are finite, at least one.
    pub(super) fn sorted_from(values: Vec<f64>) -> Self {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        Self { values, sorted }
    }

    /// The samples, in the order of measuring.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many there are: at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The smallest.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.sorted[0]
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    /// The middle one, or the mean of the two in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        median_of(&self.sorted)
    }

    /// The arithmetic mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        Spread::of(&self.values).mean
    }

    /// The standard deviation of a sample, with n - 1 in the denominator; none of a single one.
    #[must_use]
    pub fn sd(&self) -> Option<f64> {
        Spread::of(&self.values).sd
    }

    /// The median absolute deviation from the median, as it is. Times 1.4826 it estimates the standard deviation where samples are normal.
    #[must_use]
    pub fn mad(&self) -> f64 {
        let median = self.median();
        let mut distances: Vec<f64> = self.values.iter().map(|v| (v - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        median_of(&distances)
    }

    /// The value below which a share `q` of the samples lies: between two samples on a straight line, as `numpy.quantile` does.
    ///
    /// # Panics
    ///
    /// Where `q` is not in 0 to 1.
    #[must_use]
    #[track_caller]
    pub fn quantile(&self, q: f64) -> f64 {
        assert!(
            (0.0..=1.0).contains(&q),
            "a quantile is of a share from 0 to 1"
        );
        let at = q * (self.sorted.len() - 1) as f64;
        let below = self.sorted[at.floor() as usize];
        let above = self.sorted[at.ceil() as usize];
        below + (above - below) * (at - at.floor())
    }

    /// Mean and standard deviation.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread::of(&self.values)
    }

    /// Each sample times a factor, which is finite.
    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self::sorted_from(self.values.iter().map(|value| value * factor).collect())
    }
}

fn median_of(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

impl fmt::Display for Samples {
    /// As times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "median {}, mean {}",
            Time(self.median()),
            Time(self.mean())
        )?;
        if let Some(sd) = self.sd() {
            write!(f, " +- {}", Time(sd))?;
        }
        write!(
            f,
            ", from {} to {}, MAD {}, n = {}",
            Time(self.min()),
            Time(self.max()),
            Time(self.mad()),
            self.len()
        )
    }
}

/// Mean and standard deviation of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spread {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation of a sample, with n - 1 in the denominator; none of a single number.
    pub sd: Option<f64>,
}

impl Spread {
    /// `values` has at least one.
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let sd = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Self { mean, sd }
    }
}

impl fmt::Display for Spread {
    /// With the precision of the formatter, or three digits behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        let text = match self.sd {
            Some(sd) => format!("{:.digits$} +- {sd:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        };
        f.pad_integral(true, "", &text)
    }
}

/// Seconds with a unit that suits them.
pub(super) struct Time(pub(super) f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")];
        let size = self.0.abs();
        let (unit, name) = units
            .into_iter()
            .find(|(unit, _)| size >= 0.9995 * unit)
            .unwrap_or((1e-9, "ns"));
        let digits = f.precision().unwrap_or(3);
        f.pad_integral(true, "", &format!("{:.digits$} {name}", self.0 / unit))
    }
}

#[cfg(test)]
mod tests;
