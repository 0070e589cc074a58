//! One large array, many processes, one copy.
//!
//! ```sh
//! cargo run --release --example shared_array -- --plot hand_over.svg
//! ```
//!
//! 1. An array of numbers is built in place in shared memory and read by several processes at once: what is resident in each of them, and what
//!    that comes to when a page that three processes have is counted as a third in each.
//! 2. It is summed by all workers of a pool. The sum has the same bits for any number of workers, and those of `par_sum_chunked` on threads:
//!    the array is cut into the same parts, and their sums are added in the same order.
//! 3. What it costs to hand an array to a worker: the round trip of a call that reads one element of it, beside that of a call with nothing, and
//!    beside that of a call with the same numbers as a vector.
//! 4. An array that the workers fill in place, each a part of its own, is the same array.
//!
//! 1 MB is 10^6 bytes.

#[allow(dead_code)] // The half that reads is for other examples.
#[path = "common/files.rs"]
mod files;
#[path = "shared_array/memory.rs"]
mod memory;
#[path = "shared_array/plot.rs"]
mod plot;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use scipar::process::{self, Connection, Process, ProcessPool, Shared, SharedMut, task};
use scipar::{Chunking, Pool, Workers};

use files::Output;
use memory::Memory;
use terminal::{counted, whole};

/// Elements of a part: 1 MiB.
const PART: usize = 1 << 17;

/// Shares an array between processes: sums it, shows that there is one copy, and times the hand-over.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Size of the array in MB, 1 to 65536 [default: 512, with --quick 8]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=65_536))]
    mb: Option<u32>,

    /// Worker processes, 1 to 256 [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=256))]
    workers: Option<u32>,

    /// Draw the time to hand an array over, by its size
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// An array of 8 MB and three rounds: a second, to see that it runs
    #[arg(long)]
    quick: bool,
}

const AFTER_HELP: &str = "\
Definitions:
  1 MB          10^6 bytes
  hand-over     round trip of a call that gets the array and reads one element, the median of some
  resident      pages that are in memory and mapped by the process
  proportional  the same, each page divided by the number of processes that have it mapped

A run with 512 MB takes 20 to 60 seconds and some 2 GB of memory, most of it for the vectors that the
shared array is compared with.

Exit code: 0 if everything was written, 2 with one message otherwise.";

task! {
    /// The sum of a part, as `par_sum_chunked` adds up one of its chunks.
    fn part_sum(data: &Shared<f64>, range: Range<usize>) -> f64 {
        scipar::par_sum_chunked(&data[range], Chunking::serial())
    }

    /// Reads the whole array, says so, and holds it until it may go.
    fn hold(data: Shared<f64>, peer: Connection<f64, ()>) {
        if peer.send(data.iter().sum()).is_ok() {
            let _ = peer.recv(); // a word or the end: it is the same
        }
    }

    fn nothing() {}

    /// What a call with a shared array is at least: one element of it is looked at.
    fn last_shared(data: Shared<f64>) -> f64 { data[data.len() - 1] }

    fn last_of_vector(data: Vec<f64>) -> f64 { data[data.len() - 1] }

    /// Fills a part of an array, given its place in it.
    fn fill_part(part: &mut [f64], start: usize) { fill(part, start); }
}

/// A number for each place that looks like a random one from 0 to 1.
fn element(index: usize) -> f64 {
    let mut x = (index as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn fill(part: &mut [f64], start: usize) {
    for (i, place) in part.iter_mut().enumerate() {
        *place = element(start + i);
    }
}

fn main() -> ExitCode {
    process::init(); // in a worker it serves, and does not return
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if let Some(path) = &args.plot
        && !path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("svg"))
    {
        let message = "expected a plot name that ends in .svg";
        return Err(format!("{}: {message}", path.display()).into());
    }
    let path = args.plot.as_deref();
    let output = path.map(|path| Output::new(path, [])).transpose()?;
    let megabytes = args.mb.unwrap_or(if args.quick { 8 } else { 512 }) as usize;
    let workers = args
        .workers
        .map_or(Workers::all(), |n| Workers::exactly(n as usize));

    // On a terminal only.
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    let lab = Lab {
        threads: Pool::new(workers),
        processes: ProcessPool::new(workers)?,
        rounds: if args.quick { 3 } else { 15 },
        bar,
    };
    let len = megabytes * 1_000_000 / size_of::<f64>();
    let mut report = format!(
        "An array of {megabytes} MB, {}\n\n",
        match lab.processes.num_workers() {
            1 => "1 worker process".to_owned(),
            n => format!("{n} worker processes"),
        }
    );
    let built = lab.build(len, &mut report)?;
    lab.memory(&built, &mut report)?;
    lab.sums(&built, &mut report)?;
    let rows = lab.hand_overs(&built, megabytes)?;
    table(&rows, &mut report);
    lab.update(built, &mut report)?;
    lab.bar.finish_and_clear();

    if let Some(output) = output {
        let svg = plot::svg(&rows)?;
        let staged = output.stage(|file| file.write_all(svg.as_bytes()))?;
        for path in files::commit(vec![staged])? {
            let _ = writeln!(report, "wrote {}", path.display());
        }
    }
    terminal::print(&report)
}

/// What everything is measured with.
struct Lab {
    threads: Pool,
    processes: ProcessPool,
    rounds: usize,
    bar: ProgressBar,
}

/// Round trips of calls that hand over an array of a size, in seconds.
struct HandOver {
    bytes: usize,
    shared: f64,
    vector: f64,
    empty: f64,
}

impl Lab {
    fn at(&self, what: String) {
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// What a computation gives, and the median of its times in seconds.
    fn repeated<R>(
        &self,
        compute: impl Fn() -> Result<R, Box<dyn Error>>,
    ) -> Result<(R, f64), Box<dyn Error>> {
        let mut samples = Vec::new();
        loop {
            let timed = Instant::now();
            let result = compute()?;
            samples.push(timed.elapsed().as_secs_f64());
            if samples.len() >= 5 {
                return Ok((result, median(samples)));
            }
        }
    }

    /// Builds the array in place, on threads.
    fn build(&self, len: usize, report: &mut String) -> Result<Shared<f64>, Box<dyn Error>> {
        self.at("building".to_owned());
        let timed = Instant::now();
        let data = Shared::build(len, |items| {
            let indices = 0..items.len();
            self.threads
                .par_map_into_chunked(indices, items, Chunking::auto(), element);
        })?;
        pace(
            report,
            "built in place",
            len,
            timed.elapsed().as_secs_f64(),
            "by threads",
        );
        Ok(data)
    }

    /// Sums the array on threads and on processes.
    fn sums(&self, data: &Shared<f64>, report: &mut String) -> Result<(), Box<dyn Error>> {
        *report += "\n";
        let mut line =
            |name: &str, seconds, what: &str| pace(report, name, data.len(), seconds, what);
        self.at("summing".to_owned());
        let (sum, seconds) = self.repeated(|| Ok(self.threads.par_sum_chunked(&data[..], PART)))?;
        line("sum on threads", seconds, &format!("{sum:.6}"));

        let parts: Vec<Range<usize>> = Chunking::size(PART).ranges(data.len()).collect();
        for workers in 1..=self.processes.num_workers() {
            let (found, seconds) = self.repeated(|| {
                let sums = self
                    .processes
                    .over(&parts)
                    .max_workers(workers)
                    .context(data) // to each worker once: a descriptor, and no number
                    .map(part_sum)?;
                // Neighbours in pairs, pairs in pairs: the order of a reduction on threads.
                Ok(scipar::par_reduce_chunked(&sums, 1, || 0.0, |a, b| a + b))
            })?;
            if found.to_bits() != sum.to_bits() {
                let message = format!("{workers} workers: sum {found:?} instead of {sum:?}");
                return Err(message.into());
            }
            let name = format!("sum on {}", counted(workers, "worker"));
            line(&name, seconds, "the same bits");
        }
        Ok(())
    }

    /// What is where while as many processes as there are workers have read the whole array.
    fn memory(&self, data: &Shared<f64>, report: &mut String) -> Result<(), Box<dyn Error>> {
        self.at("reading everywhere".to_owned());
        let mut readers = Vec::new();
        for _ in 0..self.processes.num_workers() {
            let (here, there) = process::pipe()?;
            readers.push((Process::spawn(hold, (data.clone(), there))?, here));
        }
        let sum: f64 = data.iter().sum();
        for (_, here) in &readers {
            let found = here.recv()?;
            if found.to_bits() != sum.to_bits() {
                return Err(format!("a process read {found:?} instead of {sum:?}").into());
            }
        }
        let me = std::process::id();
        let others = readers.iter().map(|(reader, _)| reader.pid());
        let memories: Option<Vec<(u32, Memory)>> = std::iter::once(me)
            .chain(others)
            .map(|pid| Some((pid, Memory::of(pid)?)))
            .collect();
        for (reader, here) in readers {
            drop(here);
            reader.join()?;
        }
        let _ = writeln!(
            report,
            "\n{:<24} {:>12} {:>14} {:>14}",
            "Memory in MB", "resident", "of it shared", "proportional"
        );
        let Some(memories) = memories else {
            *report += "not known on this system\n";
            return Ok(());
        };
        let mut line = |name: &str, memory: &Memory| {
            let mb = |bytes: u64| bytes as f64 / 1e6;
            let _ = writeln!(
                report,
                "{name:<24} {:>12.1} {:>14.1} {:>14.1}",
                mb(memory.resident),
                mb(memory.shared),
                mb(memory.proportional)
            );
        };
        for (pid, memory) in &memories {
            let who = if *pid == me {
                "this process"
            } else {
                "process"
            };
            line(&format!("{who} {pid}"), memory);
        }
        let all = memories.iter().map(|(_, memory)| *memory);
        line("together", &all.fold(Memory::default(), Memory::plus));
        Ok(())
    }

    /// Times hand-overs of the first 1, 2, 4, ... MB.
    fn hand_overs(
        &self,
        data: &Shared<f64>,
        megabytes: usize,
    ) -> Result<Vec<HandOver>, Box<dyn Error>> {
        let sizes = std::iter::successors(Some(1), |mb| Some(2 * mb));
        let sizes = sizes.take_while(|mb| *mb < megabytes).chain([megabytes]);
        sizes
            .map(|mb| self.hand_over(data, mb * 1_000_000))
            .collect()
    }

    fn hand_over(&self, data: &Shared<f64>, bytes: usize) -> Result<HandOver, Box<dyn Error>> {
        self.at(format!("handing over {} MB", bytes / 1_000_000));
        let items = &data[..bytes / 8];
        let vector = items.to_vec();
        let shared = Shared::from_slice(items)?;
        let expected = items[items.len() - 1];
        // The first round warms up; turns are taken, so that what else the machine does hits all alike.
        let mut samples = [const { Vec::new() }; 3];
        let rounds = match bytes {
            ..=20_000_000 => self.rounds,
            _ => self.rounds.min(5), // copies take long
        };
        for round in 0..=rounds {
            let timed = Instant::now();
            self.processes.call(nothing, &())?;
            let empty = timed.elapsed();
            let timed = Instant::now();
            let a = self.processes.call(last_shared, &shared)?;
            let by_descriptor = timed.elapsed();
            let timed = Instant::now();
            let b = self.processes.call(last_of_vector, &vector)?;
            let by_copy = timed.elapsed();
            if [a, b].map(f64::to_bits) != [expected.to_bits(); 2] {
                return Err(format!("workers read {a} and {b} instead of {expected}").into());
            }
            if round > 0 {
                for (samples, time) in samples.iter_mut().zip([by_descriptor, by_copy, empty]) {
                    samples.push(time.as_secs_f64());
                }
            }
        }
        let [shared, vector, empty] = samples.map(median);
        Ok(HandOver {
            bytes,
            shared,
            vector,
            empty,
        })
    }

    /// Has the workers fill an array in place, and compares it with the one that was built here.
    fn update(&self, built: Shared<f64>, report: &mut String) -> Result<(), Box<dyn Error>> {
        self.at("filling in place".to_owned());
        let mut array = SharedMut::zeroed(built.len())?;
        let timed = Instant::now();
        self.processes
            .par_update_chunked(&mut array, PART, fill_part, |range| range.start)?;
        let seconds = timed.elapsed().as_secs_f64();
        let filled = array.freeze()?;
        if let Some(index) = (0..built.len()).find(|i| filled[*i].to_bits() != built[*i].to_bits())
        {
            let (found, expected) = (filled[index], built[index]);
            return Err(format!("element {index} is {found:?} instead of {expected:?}").into());
        }
        *report += "\n";
        pace(
            report,
            "filled by workers",
            built.len(),
            seconds,
            "the same elements",
        );
        Ok(())
    }
}

/// A line about an array of numbers: how long something took, and how many bytes that was per second.
fn pace(report: &mut String, name: &str, len: usize, seconds: f64, what: &str) {
    let speed = 8e-9 * len as f64 / seconds;
    let _ = writeln!(
        report,
        "{name:<24} {seconds:>10.6} s {speed:>7.2} GB/s  {what}"
    );
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// A line for each size, in microseconds.
fn table(rows: &[HandOver], report: &mut String) {
    let _ = writeln!(
        report,
        "\nHand-over, median round trips in us\n{:>9} {:>12} {:>12} {:>12} {:>17}",
        "MB", "empty call", "Shared", "Vec", "Shared less empty"
    );
    for HandOver {
        bytes,
        shared,
        vector,
        empty,
    } in rows
    {
        let us = |seconds: f64| seconds * 1e6;
        let _ = writeln!(
            report,
            "{:>9} {:>12.1} {:>12.1} {:>12.1} {:>17.1}",
            bytes / 1_000_000,
            us(*empty),
            us(*shared),
            us(*vector),
            us(shared - empty),
        );
    }
}
