//! Latency and bandwidth of whatever carries messages.

use std::fmt;
use std::time::Instant;

use super::samples::{Samples, repeat};

/// Measures the latency of a channel: half a round trip of an empty message, in seconds.
///
/// `send` sends one, and `receive` blocks until the answer to it has come. Who answers is up to you: a thread, a process, another machine,
/// anything that sends back what it gets. One round trip for each sample, after one that does not count.
///
/// Waking a thread that sleeps dominates the latency of most channels: a peer that spins, or that runs on the same core, makes another number.
///
/// # Examples
///
/// ```
/// use scipar::{Worker, measure, pipe};
///
/// let (here, there) = pipe::<(), ()>();
/// let echo = Worker::spawn(move |_| while there.recv().is_ok_and(|()| there.send(()).is_ok()) {});
/// let latency = measure::latency(
///     20,
///     || here.send(()).expect("the echo is there"),
///     || here.recv().expect("the echo answers"),
/// );
/// println!("{latency}"); // median 4.497 us, mean ...
/// drop(here); // the echo ends
/// echo.join().unwrap();
/// ```
///
/// # Panics
///
/// Where `n` is zero, and where a closure panics.
#[track_caller]
pub fn latency(n: usize, mut send: impl FnMut(), mut receive: impl FnMut()) -> Samples {
    let mut round_trip = || {
        send();
        receive();
    };
    round_trip();
    repeat(n, round_trip).scaled(0.5)
}

/// Measures the bandwidth of a channel: payload bytes by the time until the receiver has confirmed the last byte.
///
/// `send` sends `payload_bytes` of payload, in as many messages as you like; `confirmed` blocks until the receiver says that it has all of
/// them. Bytes that the channel adds by itself (headers, lengths) are no payload. Once for each sample, after a first time that does not count and
/// finds the pages of fresh memory.
///
/// Where messages change hands without a copy, as in [`Queue`](crate::Queue), this says what a message costs and nothing about memory.
///
/// # Examples
///
/// ```
/// use scipar::{Worker, measure, pipe};
///
/// let (here, there) = pipe::<Vec<u8>, ()>();
/// let sink = Worker::spawn(move |_| while there.recv().is_ok_and(|_| there.send(()).is_ok()) {});
/// let data = vec![1; 100_000];
/// let bandwidth = measure::bandwidth(
///     10,
///     data.len(),
///     || here.send(data.clone()).expect("the receiver is there"),
///     || here.recv().expect("the receiver confirms"),
/// );
/// println!("{bandwidth}"); // median 9052.2 MB/s, 100000 bytes in: median 11.047 us, ...
/// assert!(bandwidth.megabytes_per_second() > 0.0);
/// # drop(here);
/// # sink.join().unwrap();
/// ```
///
/// # Panics
///
/// Where `n` is zero, and where a closure panics.
#[track_caller]
pub fn bandwidth(
    n: usize,
    payload_bytes: usize,
    mut send: impl FnMut(),
    mut confirmed: impl FnMut(),
) -> Bandwidth {
    assert!(n > 0, "a measurement is repeated at least once");
    let mut once = || {
        let start = Instant::now();
        send();
        confirmed();
        start.elapsed().as_secs_f64()
    };
    once();
    Bandwidth {
        payload_bytes,
        time: Samples::sorted_from((0..n).map(|_| once()).collect()),
    }
}

/// How long a payload took; made by [`bandwidth`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bandwidth {
    /// Bytes that the sender wanted to send.
    pub payload_bytes: usize,
    /// Seconds until the receiver had confirmed the last of them.
    pub time: Samples,
}

impl Bandwidth {
    /// By the median time; infinite where no clock ticked.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.payload_bytes as f64 / self.time.median()
    }

    /// The same in MB/s, where 1 MB is 10^6 bytes.
    #[must_use]
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes_per_second() / 1e6
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, bytes) = (self.megabytes_per_second(), self.payload_bytes);
        write!(f, "median {rate:.1} MB/s, {bytes} bytes in: {}", self.time)
    }
}
