//! Scaling laws, and their fit to measurements.

use std::collections::BTreeMap;
use std::fmt;

use super::error::MeasureError;
use super::least_squares::{nonnegative, student_t};

/// The speed-up that Amdahl's law allows: 1 / (s + (1-s)/N), for work of a fixed size of which the share `serial` is done by one
/// worker while the others wait (Amdahl, AFIPS 1967).
///
/// Written 1 + s·(N-1) under N it is the [`Usl`] without coherency.
///
/// # Examples
///
/// ```
/// use scipar::measure::amdahl_speed_up;
///
/// assert!((amdahl_speed_up(0.05, 20.0) - 10.256).abs() < 1e-3); // 1/(0.05 + 0.95/20)
/// assert!(amdahl_speed_up(0.05, 1e9) < 20.0); // never above 1/s
/// ```
#[must_use]
pub fn amdahl_speed_up(serial: f64, workers: f64) -> f64 {
    workers / (1.0 + serial * (workers - 1.0))
}

/// The scaled speed-up of Gustafson's law: N - s·(N-1), for work that grows with the workers so that the time stays, of which
/// `serial` is the share of the *parallel* run's time that one worker computes alone (Gustafson, CACM 31:5, 1988).
///
/// # Examples
///
/// ```
/// use scipar::measure::gustafson_speed_up;
///
/// // The article's 1,024 processors with a serial share of 0.4 %.
/// assert!((gustafson_speed_up(0.004, 1024.0) - 1019.9).abs() < 0.05);
/// ```
#[must_use]
pub fn gustafson_speed_up(serial: f64, workers: f64) -> f64 {
    workers - serial * (workers - 1.0)
}

/// The universal scalability law: throughput X(N) = λN / (1 + σ(N-1) + κN(N-1)) (Gunther, *Guerrilla Capacity Planning*, 2007).
///
/// | | what it is |
/// |---|---|
/// | λ | throughput of one worker; 1 where throughput is speed-up |
/// | σ ≥ 0 | contention: the share of work for which workers queue up. Alone it is Amdahl's serial share |
/// | κ ≥ 0 | coherency: what pairs of workers cost each other. With it throughput has a peak, and more workers make it less |
///
/// # Examples
///
/// ```
/// use scipar::measure::Usl;
///
/// let law = Usl::new(1.0, 0.02, 0.0005);
/// let peak = law.peak().unwrap();
/// assert!((peak - 44.27).abs() < 0.01); // sqrt((1 - 0.02)/0.0005)
/// assert!(law.speed_up(44.0) > law.speed_up(88.0));
/// assert_eq!(Usl::amdahl(0.05).limit(), Some(20.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Usl {
    /// λ: throughput of one worker.
    pub lambda: f64,
    /// σ: contention.
    pub sigma: f64,
    /// κ: coherency.
    pub kappa: f64,
}

impl Usl {
    /// The law with these parameters.
    #[must_use]
    pub const fn new(lambda: f64, sigma: f64, kappa: f64) -> Self {
        Self {
            lambda,
            sigma,
            kappa,
        }
    }

    /// Amdahl's law for a serial share: κ = 0, and λ = 1.
    #[must_use]
    pub const fn amdahl(serial: f64) -> Self {
        Self::new(1.0, serial, 0.0)
    }

    /// X(N), in the unit of λ.
    #[must_use]
    pub fn throughput(&self, workers: f64) -> f64 {
        self.lambda * self.speed_up(workers)
    }

    /// X(N)/X(1) = N / (1 + σ(N-1) + κN(N-1)).
    #[must_use]
    pub fn speed_up(&self, workers: f64) -> f64 {
        let others = workers - 1.0;
        workers / (1.0 + self.sigma * others + self.kappa * workers * others)
    }

    /// The speed-up per worker.
    #[must_use]
    pub fn efficiency(&self, workers: f64) -> f64 {
        self.speed_up(workers) / workers
    }

    /// The number of workers with the most throughput, √((1-σ)/κ), at least 1; none without coherency, where more is always more.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0).then(|| ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0))
    }

    /// What the speed-up can never exceed, however many workers: that of the peak, or 1/σ without coherency. None where there is neither.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        match self.peak() {
            Some(peak) => Some(self.speed_up(peak)),
            None if self.sigma > 0.0 => Some(1.0 / self.sigma),
            None => None,
        }
    }

    /// Fits all three parameters to measurements: pairs of worker count and throughput, in any unit. See [`UslFit`].
    ///
    /// # Errors
    ///
    /// [`MeasureError::TooFewCounts`] with fewer than three different worker counts; [`MeasureError::ZeroWorkers`],
    /// [`MeasureError::BadThroughput`]; [`MeasureError::NoFit`] where the best fit has no positive λ.
    pub fn fit(points: &[(usize, f64)]) -> Result<UslFit, MeasureError> {
        UslFit::new::<3>(points)
    }

    /// Fits Amdahl's law: λ and σ, with κ = 0.
    ///
    /// # Errors
    ///
    /// As [`Usl::fit`].
    pub fn fit_amdahl(points: &[(usize, f64)]) -> Result<UslFit, MeasureError> {
        UslFit::new::<2>(points)
    }
}

impl fmt::Display for Usl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "X(N) = {} N / (1 + {} (N-1) + {} N(N-1))",
            Number(self.lambda),
            Number(self.sigma),
            Number(self.kappa)
        )
    }
}

/// A number that was estimated, and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The best value.
    pub value: f64,
    /// Its standard error; none where there are no more measurements than parameters.
    pub standard_error: Option<f64>,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = Number(self.value);
        match self.standard_error {
            Some(error) => write!(f, "{value} (standard error {})", Number(error)),
            None => write!(f, "{value} (standard error unknown)"),
        }
    }
}

/// Four digits behind the point, where that shows enough of the number.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            0.0 => f.write_str("0"),
            size if (1e-3..1e5).contains(&size) => write!(f, "{:.4}", self.0),
            _ => write!(f, "{:.2e}", self.0),
        }
    }
}

/// A [`Usl`] fitted to measurements, with what is known about its errors.
///
/// N/X(N) = a + b(N-1) + cN(N-1), with λ = 1/a, σ = b/a and κ = c/a, is linear in a, b and c. They are found by least squares,
/// with b and c at least zero, every residual divided by the mean of N/X at its worker count: so relative errors count, as noise in times
/// grows with the times. This is the exact optimum, not the end of an iteration.
///
/// # How sure it is
///
/// Standard errors are those of the linear problem with all parameters free, carried over to λ, σ and κ to first order. One that is held at zero
/// has one too: so much could it have been. A [forecast](Self::forecast) has a 95 % interval by Student's t.
///
/// All this says what the *scatter* of the measurements leaves open *if the law holds*. It does not know of what comes after the last measured
/// count: a second socket, shared cache and memory bandwidth, clock rates that fall, two threads on one core. Take a forecast to more
/// than a few times the largest measured count as a question to the machine, not as its answer.
/// With [as many parameters as worker counts](Self::is_saturated), a curve is found whatever the truth is.
///
/// # Examples
///
/// ```
/// use scipar::measure::Usl;
///
/// let truth = Usl::new(950.0, 0.03, 0.0002);
/// let points: Vec<(usize, f64)> = [1, 2, 4, 8, 16].map(|n| (n, truth.throughput(n as f64))).into();
/// let fit = Usl::fit(&points)?;
/// assert!((fit.law().sigma - 0.03).abs() < 1e-9);
/// assert!((fit.forecast(64).throughput - truth.throughput(64.0)).abs() < 1e-6);
///
/// assert!(Usl::fit(&points[..2]).unwrap_err().is_too_few_counts());
/// assert!(Usl::fit(&points[..3])?.is_saturated());
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct UslFit {
    law: Usl,
    /// a, b, c.
    coefficients: [f64; 3],
    /// Covariance of a, b, c, with zeros where there is no c; none without a degree of freedom.
    covariance: Option<[[f64; 3]; 3]>,
    /// Root mean square of the relative residuals, by degrees of freedom.
    scatter: Option<f64>,
    num_parameters: usize,
    num_points: usize,
    /// The different worker counts, ascending.
    counts: Vec<usize>,
}

/// Different worker counts that any fit takes.
const FEWEST_COUNTS: usize = 3;

/// Groups measurements by worker count, after a look at each.
fn by_count(points: &[(usize, f64)]) -> Result<BTreeMap<usize, Vec<f64>>, MeasureError> {
    let mut groups = BTreeMap::<usize, Vec<f64>>::new();
    for &(workers, value) in points {
        if workers == 0 {
            let counts = points.iter().map(|point| point.0).collect();
            return Err(MeasureError::ZeroWorkers { counts });
        }
        if !(value.is_finite() && value > 0.0) {
            return Err(MeasureError::BadThroughput { workers, value });
        }
        groups.entry(workers).or_default().push(value);
    }
    if groups.len() < FEWEST_COUNTS {
        return Err(MeasureError::TooFewCounts {
            found: groups.len(),
            needed: FEWEST_COUNTS,
        });
    }
    Ok(groups)
}

/// 1, N-1, N(N-1).
fn regressors(workers: f64) -> [f64; 3] {
    [1.0, workers - 1.0, workers * (workers - 1.0)]
}

impl UslFit {
    fn new<const P: usize>(points: &[(usize, f64)]) -> Result<Self, MeasureError> {
        let groups = by_count(points)?;
        let mut rows = Vec::with_capacity(points.len());
        for (&workers, values) in &groups {
            let n = workers as f64;
            let mean = values.iter().map(|x| n / x).sum::<f64>() / values.len() as f64;
            let all = regressors(n);
            for x in values {
                let row: [f64; P] = std::array::from_fn(|i| all[i] / mean);
                rows.push((row, n / x / mean));
            }
        }
        let solution = nonnegative(&rows).ok_or(MeasureError::NoFit)?;
        let mut coefficients = [0.0; 3];
        coefficients[..P].copy_from_slice(&solution.coefficients);
        let [a, b, c] = coefficients;
        let law = Usl::new(1.0 / a, b / a, c / a);
        if !(a > 0.0 && law.lambda.is_finite()) {
            return Err(MeasureError::NoFit);
        }
        let freedom = rows.len().saturating_sub(P);
        let variance = (freedom > 0).then(|| solution.squares / freedom as f64);
        let covariance = variance.zip(solution.inverse).map(|(variance, inverse)| {
            let entry = |i: usize, j: usize| match i.max(j) < P {
                true => variance * inverse[i][j],
                false => 0.0,
            };
            std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
        });
        Ok(Self {
            law,
            coefficients,
            covariance,
            scatter: variance.map(f64::sqrt),
            num_parameters: P,
            num_points: rows.len(),
            counts: groups.into_keys().collect(),
        })
    }

    /// The law with the best parameters.
    #[must_use]
    pub fn law(&self) -> Usl {
        self.law
    }

    /// λ with its standard error.
    #[must_use]
    pub fn lambda(&self) -> Estimate {
        let a = self.coefficients[0];
        self.estimate(self.law.lambda, [-1.0 / (a * a), 0.0, 0.0])
    }

    /// σ with its standard error.
    #[must_use]
    pub fn sigma(&self) -> Estimate {
        let [a, b, _] = self.coefficients;
        self.estimate(self.law.sigma, [-b / (a * a), 1.0 / a, 0.0])
    }

    /// κ with its standard error, which is 0 in Amdahl's law.
    #[must_use]
    pub fn kappa(&self) -> Estimate {
        let [a, _, c] = self.coefficients;
        self.estimate(self.law.kappa, [-c / (a * a), 0.0, 1.0 / a])
    }

    fn estimate(&self, value: f64, gradient: [f64; 3]) -> Estimate {
        Estimate {
            value,
            standard_error: self.variance_along(gradient).map(f64::sqrt),
        }
    }

    /// The variance of a linear combination of the coefficients.
    fn variance_along(&self, v: [f64; 3]) -> Option<f64> {
        let covariance = self.covariance?;
        let sum: f64 = (0..3)
            .flat_map(|i| (0..3).map(move |j| (i, j)))
            .map(|(i, j)| v[i] * covariance[i][j] * v[j])
            .sum();
        Some(sum.max(0.0))
    }

    /// Measurements beyond the number of parameters.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> usize {
        self.num_points.saturating_sub(self.num_parameters)
    }

    /// Whether there are as many parameters as different worker counts: then nothing in the data can contradict the law.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.counts.len() <= self.num_parameters
    }

    /// How far measurements are from the curve: the root mean square of the relative residuals, by degrees of freedom. None without one.
    #[must_use]
    pub fn scatter(&self) -> Option<f64> {
        self.scatter
    }

    /// The largest worker count that was measured: forecasts begin behind it.
    #[must_use]
    pub fn largest_count(&self) -> usize {
        self.counts[self.counts.len() - 1]
    }

    /// Throughput of so many workers, with the 95 % interval in which one further measurement would be if the law holds.
    ///
    /// # Panics
    ///
    /// Where `workers` is zero.
    #[must_use]
    #[track_caller]
    pub fn forecast(&self, workers: usize) -> Forecast {
        assert!(workers > 0, "a forecast is for at least one worker");
        let n = workers as f64;
        let half = |n: f64| {
            let v = regressors(n);
            let y: f64 = v.iter().zip(self.coefficients).map(|(v, c)| v * c).sum();
            let variance = self.variance_along(v)? + (self.scatter? * y).powi(2);
            Some((y, variance.sqrt() * student_t(self.degrees_of_freedom())))
        };
        let interval = half(n).zip(half(1.0)).map(|((y, half), (one, half_one))| {
            // b and c are not negative, so N/X is never less than what it may be for one worker.
            let least = (y - half).max(one - half_one);
            let most = if least > 0.0 {
                n / least
            } else {
                f64::INFINITY
            };
            (n / (y + half), most)
        });
        Forecast {
            workers,
            throughput: self.law.throughput(n),
            interval,
        }
    }
}

impl fmt::Display for UslFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.law)?;
        writeln!(f, "  lambda, one worker  {}", self.lambda())?;
        writeln!(f, "  sigma, contention   {}", self.sigma())?;
        if self.num_parameters > 2 {
            writeln!(f, "  kappa, coherency    {}", self.kappa())?;
        }
        match (self.law.peak(), self.law.limit()) {
            (Some(peak), Some(limit)) => {
                write!(f, "  most at N = {peak:.0}: {limit:.1} times one worker")?;
            }
            (None, Some(limit)) => write!(f, "  never above {limit:.1} times one worker")?,
            _ => write!(f, "  no limit within what was measured")?,
        }
        if self.is_saturated() {
            write!(
                f,
                "\n  as many parameters as worker counts ({}): nothing in the data can contradict the law",
                self.counts.len()
            )?;
        }
        if self.degrees_of_freedom() == 0 {
            write!(
                f,
                "\n  as many parameters as measurements: no error can be stated"
            )?;
        }
        Ok(())
    }
}

/// What a fitted law says about a number of workers; made by [`UslFit::forecast`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Forecast {
    /// How many workers.
    pub workers: usize,
    /// X(N), in the unit of the measurements; a speed-up where those were.
    pub throughput: f64,
    /// Lower and upper end of the 95 % interval; none where there are as many parameters as measurements. The upper end is infinite where the
    /// measurements do not even bound one worker's throughput.
    pub interval: Option<(f64, f64)>,
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workers: {:.2}", self.workers, self.throughput)?;
        match self.interval {
            Some((low, high)) => write!(f, " (95 %: {low:.2} to {high:.2})"),
            None => f.write_str(" (no interval)"),
        }
    }
}

/// Gustafson's law fitted to a weak-scaling study: the serial share of the parallel run's time.
///
/// # Examples
///
/// ```
/// use scipar::measure::{GustafsonFit, gustafson_speed_up};
///
/// let points: Vec<(usize, f64)> =
///     [1, 2, 8, 32].map(|n| (n, gustafson_speed_up(0.1, n as f64))).into();
/// let fit = GustafsonFit::new(&points)?;
/// assert!((fit.serial.value - 0.1).abs() < 1e-12);
/// assert!((fit.speed_up(64.0) - 57.7).abs() < 1e-9);
/// # Ok::<(), scipar::measure::MeasureError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct GustafsonFit {
    /// The serial share s, from 0 to 1.
    pub serial: Estimate,
}

impl GustafsonFit {
    /// Fits s in S(N) = N - s(N-1) to pairs of worker count and scaled speed-up: least squares of S/N, with s from 0 to 1.
    ///
    /// # Errors
    ///
    /// As [`Usl::fit`].
    pub fn new(points: &[(usize, f64)]) -> Result<Self, MeasureError> {
        let groups = by_count(points)?;
        // 1 - S/N = s (N-1)/N.
        let rows: Vec<(f64, f64)> = groups
            .iter()
            .flat_map(|(&n, values)| values.iter().map(move |s| (n as f64, s)))
            .map(|(n, s)| ((n - 1.0) / n, 1.0 - s / n))
            .collect();
        let squares: f64 = rows.iter().map(|(x, _)| x * x).sum();
        let value = rows.iter().map(|(x, y)| x * y).sum::<f64>() / squares;
        let value = value.clamp(0.0, 1.0);
        let rest: f64 = rows.iter().map(|(x, y)| (y - value * x).powi(2)).sum();
        let freedom = (rows.len() - 1) as f64;
        Ok(Self {
            serial: Estimate {
                value,
                standard_error: Some((rest / freedom / squares).sqrt()),
            },
        })
    }

    /// The scaled speed-up that it gives to so many workers.
    #[must_use]
    pub fn speed_up(&self, workers: f64) -> f64 {
        gustafson_speed_up(self.serial.value, workers)
    }
}

#[cfg(test)]
mod tests;
