//! Latency and bandwidth of [`Queue`] and [`pipe`] by the size of the message.
//!
//! ```sh
//! cargo run --release --example bandwidth -- --plot bandwidth.svg
//! ```
//!
//! * Latency: half a round trip, of an empty message in the first row and of one of that size in the others.
//! * Bandwidth: payload bytes by the time until the receiver has confirmed the last byte. Sending back a message confirms it.
//! * 1 MB is 10^6 bytes.
//!
//! Within a process a message changes hands and no byte of it is copied. So there are two ways to look at it:
//!
//! * *moved*: a vector of bytes is handed over and comes back. Its bytes are neither written nor read, so the bandwidth grows with the size
//!   without a bound: it says what a message costs, and nothing about memory.
//! * *copied*: the sender fills each message from its own data, and the receiver copies it out before it confirms, as between processes.
//!   What one thread reaches with the same two copies and no channel stands beside it.
//!
//! Some vectors go back and forth all the time, so no allocation is timed, and how many messages are on their way is bounded by them; the
//! channels themselves are unbounded. A `Queue` goes one way, so there are two; a `pipe` goes both.
//!
//! The contenders take turns, A B C, A B C, so that what else the machine does hits all alike; medians are shown. What the
//! receivers have copied is compared with what was sent.

#[allow(dead_code)] // The half that reads is for other examples.
#[path = "common/files.rs"]
mod files;
#[path = "bandwidth/plot.rs"]
mod plot;
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use scipar::{Connection, Queue, Receiver, Sender, pipe};

use files::Output;
use terminal::whole;

/// Measures latency and bandwidth of Queue and pipe between two threads, by the size of the message.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Largest message, in bytes; sizes are the powers of 4 up to it [default: 67108864, with --quick 65536]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1..=1 << 30))]
    max_bytes: Option<u32>,

    /// Write the medians
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// Draw the bandwidth over the size of the message
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Three short rounds, and messages of up to 65536 bytes: a second, to see that it runs
    #[arg(long)]
    quick: bool,
}

const AFTER_HELP: &str = "\
Definitions:
  latency    half a round trip: of an empty message in the first row
  bandwidth  payload bytes by the time until the receiver has confirmed the last byte
  1 MB       10^6 bytes
  moved      a message changes hands; its bytes are neither written nor read
  copied     the sender fills it from its own data, the receiver copies it out before it confirms

A run takes about ten seconds, and five times as much memory as the largest message has.

Exit code: 0 if everything was written, 2 with one message otherwise.";

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let (table_output, plot_output) = outputs(args)?;
    let effort = match args.quick {
        true => Effort {
            rounds: 3,
            turn: Duration::from_millis(1),
        },
        false => Effort {
            rounds: 7,
            turn: Duration::from_millis(5),
        },
    };
    let most = match (args.max_bytes, args.quick) {
        (Some(bytes), _) => bytes as usize,
        (None, true) => 1 << 16,
        (None, false) => 1 << 26,
    };
    let powers = (0..).map(|power| 1 << (2 * power));
    let sizes: Vec<usize> = std::iter::once(0)
        .chain(powers.take_while(|bytes| *bytes <= most))
        .collect();

    // On a terminal only.
    let bar = ProgressBar::new((sizes.len() * (effort.rounds + 1)) as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg} bytes {elapsed}") {
        bar.set_style(style);
    }
    let mut rows = Vec::new();
    for bytes in sizes {
        bar.set_message(bytes.to_string());
        rows.push(measure(bytes, &effort, &bar)?);
    }
    bar.finish_and_clear();

    let mut report = table(&rows, effort.rounds);
    let mut staged = Vec::new();
    if let Some(output) = table_output {
        staged.push(output.stage(|file| write_csv(file, &rows))?);
    }
    if let Some(output) = plot_output {
        let svg = plot::svg(&rows)?;
        staged.push(output.stage(|file| file.write_all(svg.as_bytes()))?);
    }
    for path in files::commit(staged)? {
        let _ = writeln!(report, "wrote {}", path.display());
    }
    terminal::print(&report)
}

/// Refuses, before anything is measured, what could not be written in the end.
fn outputs(args: &Args) -> Result<(Option<Output>, Option<Output>), Box<dyn Error>> {
    if let Some(path) = &args.plot
        && !path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("svg"))
    {
        let message = "expected a plot name that ends in .svg";
        return Err(format!("{}: {message}", path.display()).into());
    }
    let checked = |path: &Option<PathBuf>| path.as_ref().map(|p| Output::new(p, [])).transpose();
    let outputs = (checked(&args.out)?, checked(&args.plot)?);
    if let (Some(table), Some(plot)) = &outputs
        && table.is_same_file(plot)
    {
        let message = "named for two outputs, expected a file for each";
        return Err(format!("{}: {message}", plot.path().display()).into());
    }
    Ok(outputs)
}

/// How long to measure.
struct Effort {
    rounds: usize,
    /// How long a contender is at it at a time, unless a few messages take longer.
    turn: Duration,
}

/// What carries the messages.
#[derive(Clone, Copy)]
enum Channel {
    Queue,
    Pipe,
    /// One thread, which copies and sends nothing.
    Nothing,
}

/// What is done with the bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Moved,
    Copied,
}

/// Two columns of the table. Its name is two fields in the CSV file.
struct Contender {
    channel: Channel,
    content: Content,
    name: &'static str,
}

const CONTENDERS: [Contender; 5] = [
    Contender {
        channel: Channel::Queue,
        content: Content::Moved,
        name: "queue, moved",
    },
    Contender {
        channel: Channel::Queue,
        content: Content::Copied,
        name: "queue, copied",
    },
    Contender {
        channel: Channel::Pipe,
        content: Content::Moved,
        name: "pipe, moved",
    },
    Contender {
        channel: Channel::Pipe,
        content: Content::Copied,
        name: "pipe, copied",
    },
    Contender {
        channel: Channel::Nothing,
        content: Content::Copied,
        name: "one thread, copied",
    },
];

/// The medians for one size of message.
struct Row {
    bytes: usize,
    /// By contender.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy)]
struct Cell {
    /// Seconds of half a round trip; none without a channel.
    latency: Option<f64>,
    /// Bytes per second; none for empty messages.
    bandwidth: Option<f64>,
}

/// All contenders with messages of one size.
fn measure(bytes: usize, effort: &Effort, bar: &ProgressBar) -> Result<Row, Box<dyn Error>> {
    let mut bench = Bench::new(bytes)?;
    // For each contender how many messages are a turn, of round trips and of a stream; and seconds per message of each round.
    let mut counts = [[1, bench.messages.len()]; CONTENDERS.len()];
    let mut samples = vec![[const { Vec::new() }; 2]; CONTENDERS.len()];
    for round in 0..=effort.rounds {
        for (contender, (counts, samples)) in
            CONTENDERS.iter().zip(counts.iter_mut().zip(&mut samples))
        {
            for (pattern, (count, samples)) in [Pattern::RoundTrips, Pattern::Stream]
                .into_iter()
                .zip(counts.iter_mut().zip(samples))
            {
                let without = match pattern {
                    Pattern::RoundTrips => matches!(contender.channel, Channel::Nothing),
                    Pattern::Stream => bytes == 0,
                };
                if without {
                    continue;
                }
                if round == 0 {
                    // Not counted: it warms up and finds out how many messages a turn has.
                    *count = bench.calibrate(contender, pattern, *count, effort.turn)?;
                } else {
                    let time = bench.time(contender, pattern, *count)?;
                    samples.push(time.as_secs_f64() / *count as f64);
                }
            }
        }
        bar.inc(1);
    }
    let cells = samples.into_iter().map(|[round_trips, stream]| Cell {
        latency: median(round_trips).map(|seconds| seconds / 2.0),
        bandwidth: median(stream).map(|seconds| bytes as f64 / seconds),
    });
    Ok(Row {
        bytes,
        cells: cells.collect(),
    })
}

fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}

/// What is sent, and when the next message is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// One message goes there and back, again and again; where bytes are copied, the answer is filled and read like the message.
    RoundTrips,
    /// All messages are on their way, and each that comes back empty-handed is sent again.
    Stream,
}

/// Everything that a measurement needs, allocated and touched before.
struct Bench {
    /// What the messages are filled from.
    data: Vec<u8>,
    messages: Vec<Vec<u8>>,
    /// Where the sender and the receiver copy the messages to.
    ours: Vec<u8>,
    theirs: Vec<u8>,
}

impl Bench {
    fn new(bytes: usize) -> Result<Self, Box<dyn Error>> {
        let vector = |fill: fn(usize) -> u8| {
            let mut vector = Vec::new();
            if vector.try_reserve_exact(bytes).is_err() {
                return Err(format!("not enough memory for messages of {bytes} bytes"));
            }
            vector.extend((0..bytes).map(fill));
            Ok(vector)
        };
        // 16 messages are enough to keep both sides busy, two if they are so large that a hand-over does not count.
        let num_messages = ((1 << 25) / bytes.max(1)).clamp(2, 16);
        let messages = (0..num_messages).map(|_| vector(|_| 1));
        Ok(Self {
            data: vector(|i| (i % 251) as u8 ^ 0x55)?,
            messages: messages.collect::<Result<_, _>>()?,
            ours: vector(|_| 2)?,
            theirs: vector(|_| 3)?,
        })
    }

    /// How many messages take about `turn`.
    fn calibrate(
        &mut self,
        contender: &Contender,
        pattern: Pattern,
        mut count: usize,
        turn: Duration,
    ) -> io::Result<usize> {
        const MOST: usize = 1 << 20;
        loop {
            let time = self.time(contender, pattern, count)?;
            let times = turn.as_secs_f64() / time.as_secs_f64().max(1e-9);
            let wanted = (count as f64 * times).clamp(count as f64, MOST as f64);
            if times < 4.0 || count >= MOST {
                return Ok(wanted as usize);
            }
            // A first short try may have been an odd one.
            count = (wanted as usize).min(16 * count);
        }
    }

    /// The time that `count` messages take.
    fn time(
        &mut self,
        contender: &Contender,
        pattern: Pattern,
        count: usize,
    ) -> io::Result<Duration> {
        if contender.content == Content::Copied {
            self.ours.fill(2);
            self.theirs.fill(3);
        }
        let time = match contender.channel {
            Channel::Queue => {
                let (out, their_back) = Queue::unbounded().into_ends();
                let (their_out, back) = Queue::unbounded().into_ends();
                let ours = Queues { out, back };
                let theirs = Queues {
                    out: their_out,
                    back: their_back,
                };
                self.between((ours, theirs), contender.content, pattern, count)?
            }
            Channel::Pipe => self.between(pipe(), contender.content, pattern, count)?,
            Channel::Nothing => self.alone(count),
        };
        if contender.content == Content::Copied {
            let name = contender.name;
            assert!(self.theirs == self.data, "{name}: received something else");
            let answered = pattern == Pattern::RoundTrips;
            assert!(
                !answered || self.ours == self.data,
                "{name}: got back something else"
            );
        }
        Ok(time)
    }

    /// From this thread to another one.
    fn between<E: End>(
        &mut self,
        (ours, theirs): (E, E),
        content: Content,
        pattern: Pattern,
        count: usize,
    ) -> io::Result<Duration> {
        let Self {
            data,
            messages,
            ours: our_copy,
            theirs: their_copy,
        } = self;
        let data = data.as_slice();
        let fill = |message: &mut Vec<u8>| {
            if content == Content::Copied {
                black_box(message).copy_from_slice(black_box(data));
            }
        };
        let read = |message: &[u8], copy: &mut [u8]| {
            if content == Content::Copied {
                black_box(copy).copy_from_slice(black_box(message));
            }
        };
        let in_use = match pattern {
            Pattern::RoundTrips => 1,
            Pattern::Stream => messages.len().min(count),
        };
        std::thread::scope(|scope| {
            let receiver = std::thread::Builder::new().spawn_scoped(scope, || {
                let theirs = theirs;
                let mut received = 0;
                while let Some(mut message) = theirs.recv() {
                    received += 1;
                    read(&message, their_copy);
                    if pattern == Pattern::RoundTrips {
                        fill(&mut message);
                    }
                    theirs.send(message);
                }
                received
            })?;
            // The thread runs before the clock does.
            ours.send(messages.pop().unwrap_or_default());
            messages.extend(ours.recv());

            let mut waiting = messages.split_off(messages.len() - in_use);
            let start = Instant::now();
            let (mut sent, mut confirmed) = (0, 0);
            while confirmed < count {
                let next = if sent < count { waiting.pop() } else { None };
                if let Some(mut message) = next {
                    fill(&mut message);
                    ours.send(message);
                    sent += 1;
                } else if let Some(message) = ours.recv() {
                    if pattern == Pattern::RoundTrips {
                        read(&message, our_copy);
                    }
                    waiting.push(message);
                    confirmed += 1;
                }
            }
            let time = start.elapsed();
            messages.append(&mut waiting);
            ours.end();
            let received = receiver.join().expect("a receiver does not panic");
            assert_eq!(received, count + 1, "messages were lost");
            Ok(time)
        })
    }

    /// The copies of a stream, without a second thread.
    fn alone(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        for i in 0..count {
            let num_messages = self.messages.len();
            let message = &mut self.messages[i % num_messages];
            black_box(&mut *message).copy_from_slice(black_box(&self.data));
            black_box(&mut self.theirs).copy_from_slice(black_box(message));
        }
        start.elapsed()
    }
}

/// One end of a connection. The other end goes on until this one has ended.
trait End: Send {
    fn send(&self, message: Vec<u8>);
    /// `None` when the other end has ended.
    fn recv(&self) -> Option<Vec<u8>>;
    fn end(self);
}

/// The ends of two queues.
struct Queues {
    out: Sender<Vec<u8>>,
    back: Receiver<Vec<u8>>,
}

impl End for Queues {
    fn send(&self, message: Vec<u8>) {
        self.out
            .send(message)
            .expect("dropped when all have come back");
    }

    fn recv(&self) -> Option<Vec<u8>> {
        self.back.recv().ok()
    }

    fn end(self) {}
}

impl End for Connection<Vec<u8>, Vec<u8>> {
    fn send(&self, message: Vec<u8>) {
        Connection::send(self, message).expect("dropped when all have come back");
    }

    fn recv(&self) -> Option<Vec<u8>> {
        Connection::recv(self).ok()
    }

    fn end(self) {}
}

/// The medians, a line for each size.
fn table(rows: &[Row], rounds: usize) -> String {
    let mut table = format!(
        "Queue and pipe between two threads by message size, medians of {rounds} rounds\n\
         us: half a round trip; MB/s: payload by the time until the last byte is confirmed, 1 MB = 10^6 bytes\n\
         moved: a message changes hands; copied: the sender fills it and the receiver copies it out\n\n{:>9}",
        ""
    );
    for Contender { name, .. } in &CONTENDERS {
        let _ = write!(table, " {name:>22}");
    }
    let _ = write!(table, "\n{:>9}", "bytes");
    for Contender { channel, .. } in &CONTENDERS {
        let latency = match channel {
            Channel::Nothing => "",
            _ => "us",
        };
        let _ = write!(table, " {latency:>10} {:>11}", "MB/s");
    }
    table += "\n";
    for Row { bytes, cells } in rows {
        let _ = write!(table, "{bytes:>9}");
        for cell in cells {
            let latency = cell
                .latency
                .map_or(String::new(), |s| format!("{:.2}", s * 1e6));
            let bandwidth = match cell.bandwidth.map(|b| b / 1e6) {
                None => "-".to_owned(),
                Some(mb) if mb < 99.95 => format!("{mb:.1}"),
                Some(mb) => format!("{mb:.0}"),
            };
            let _ = write!(table, " {latency:>10} {bandwidth:>11}");
        }
        table += "\n";
    }
    table
}

/// One line per size and contender, the numbers so that reading gives the same bits.
fn write_csv(file: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    writeln!(file, "bytes,channel,content,latency_us,bandwidth_mb_per_s")?;
    for row in rows {
        for (contender, cell) in CONTENDERS.iter().zip(&row.cells) {
            let number =
                |x: Option<f64>, unit: f64| x.map_or(String::new(), |x| format!("{:?}", x * unit));
            writeln!(
                file,
                "{},{},{},{}",
                row.bytes,
                contender.name.replace(", ", ","),
                number(cell.latency, 1e6),
                number(cell.bandwidth, 1e-6),
            )?;
        }
    }
    Ok(())
}
