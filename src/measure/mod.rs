//! Measurements that say how sure they are: repetitions, scaling studies, overheads, channels, and forecasts.
//!
//! | | |
//! |---|---|
//! | [`repeat`], [`repeat_for`] | wall times of a piece of code as [`Samples`]: median, mean, spread, quantiles |
//! | [`strong_scaling`], [`weak_scaling`] | speed-up over worker counts, with its spread, as a table ([`Scaling`]) |
//! | [`Usl`], [`UslFit`] | a scaling law fitted to such a study: forecasts for more cores, with an interval |
//! | [`Overhead`] | what a task, a map, a pool cost where there is nothing to do |
#![cfg_attr(
    feature = "process",
    doc = "| [`ProcessOverhead`] | what starting a worker process costs, and a call of one that is there |"
)]
//! | [`latency`], [`bandwidth`] | of any channel, given as two closures |
//!
//! Which clock: the wall's, [`Instant`](std::time::Instant), everywhere. CPU time beside it is what [`Timer`](crate::Timer) is for. How to
//! read a scaling study: [scaling](crate::docs::scaling).
//!
//! # Examples
//!
//! ```
//! use scipar::kernels::quartic::spin;
//! use scipar::measure::{repeat, strong_scaling};
//!
//! let samples = repeat(5, || spin(20));
//! println!("{samples}"); // median 11.828 us, mean 11.936 us +- 226.469 ns, from 11.807 us to ...
//!
//! // 1, 2 and 4 workers take turns, three times.
//! let study = strong_scaling(&[1, 2, 4], 3, |pool| pool.par_map_chunked(0..16, 1, |_| spin(20)))?;
//! println!("{study}");
//! match study.fit_usl() {
//!     Ok(fit) => println!("{fit}\n{}", fit.forecast(64)),
//!     Err(why) => println!("no forecast: {why}"),
//! }
//! # Ok::<(), scipar::measure::MeasureError>(())
//! ```

mod channels;
mod error;
mod least_squares;
mod overhead;
mod samples;
mod scaling;
mod usl;

pub use channels::{Bandwidth, bandwidth, latency};
pub use error::MeasureError;
pub use overhead::Overhead;
#[cfg(feature = "process")]
pub use overhead::ProcessOverhead;
pub use samples::{Samples, Spread, repeat, repeat_for};
pub use scaling::{Scaling, ScalingKind, ScalingRow, strong_scaling, weak_scaling};
pub use usl::{Estimate, Forecast, GustafsonFit, Usl, UslFit, amdahl_speed_up, gustafson_speed_up};
