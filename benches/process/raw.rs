//! What anybody would write by hand: this program started again, a socket, a length before each message.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What this program is started with to be such a worker.
const ARGUMENT: &str = "--raw-worker";

/// Bytes before a message: what is wanted, and how much follows.
const HEADER: usize = 9;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Wanted {
    /// A number and one.
    Next,
    /// Numbers, and one on each.
    NextOfAll,
    /// The sum of the ends of an array; it comes as postcard writes it.
    Take,
    /// The same; it comes as it is in memory.
    TakeBytes,
    /// An array of so many.
    Give,
    GiveBytes,
}

impl Wanted {
    const ALL: [Self; 6] = [
        Self::Next,
        Self::NextOfAll,
        Self::Take,
        Self::TakeBytes,
        Self::Give,
        Self::GiveBytes,
    ];
}

/// A worker, as its parent sees it.
pub(crate) struct Raw {
    socket: Option<UnixStream>,
    child: Child,
    space: Vec<u8>,
}

impl Raw {
    pub(crate) fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a socket");
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("a process");
        Self {
            socket: Some(ours),
            child,
            space: Vec::new(),
        }
    }

    fn socket(&self) -> &UnixStream {
        self.socket.as_ref().expect("it is taken at the end only")
    }

    /// Asks for something small.
    fn ask<A: Serialize, R: DeserializeOwned>(&mut self, wanted: Wanted, value: &A) -> R {
        let mut space = std::mem::take(&mut self.space);
        send(self.socket(), &mut space, wanted, value);
        let result = answer(self.socket(), &mut space);
        self.space = space;
        result
    }

    pub(crate) fn next(&mut self, x: u64) -> u64 {
        self.ask(Wanted::Next, &x)
    }

    /// The sum of what [`next`](Self::next) gives, so many at a time.
    pub(crate) fn next_of_all(&mut self, items: &[u64], chunk: usize) -> u64 {
        let mut sum = 0;
        for some in items.chunks(chunk) {
            let result: Vec<u64> = self.ask(Wanted::NextOfAll, &some);
            sum += result.iter().sum::<u64>();
        }
        sum
    }

    pub(crate) fn take(&mut self, array: &[f64]) -> f64 {
        send_large(self.socket(), Wanted::Take, array);
        answer(self.socket(), &mut Vec::new())
    }

    pub(crate) fn take_bytes(&mut self, array: &[f64]) -> f64 {
        send_bytes(self.socket(), Wanted::TakeBytes, array);
        answer(self.socket(), &mut Vec::new())
    }

    pub(crate) fn give(&mut self, len: usize) -> Vec<f64> {
        send(self.socket(), &mut Vec::new(), Wanted::Give, &len);
        answer(self.socket(), &mut Vec::new())
    }

    pub(crate) fn give_bytes(&mut self, len: usize) -> Vec<f64> {
        send(self.socket(), &mut Vec::new(), Wanted::GiveBytes, &len);
        let mut space = Vec::new();
        let (_, len, there) = begin(self.socket(), &mut space).expect("an answer");
        array(self.socket(), &space, (len, there)).expect("all of it")
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        drop(self.socket.take()); // which ends it
        let _ = self.child.wait();
    }
}

fn value_of<R: DeserializeOwned>(bytes: &[u8]) -> R {
    postcard::from_bytes(bytes).expect("as it was written")
}

fn put_header(to: &mut [u8], wanted: Wanted, bytes: usize) {
    to[0] = wanted as u8;
    to[1..HEADER].copy_from_slice(&(bytes as u64).to_le_bytes());
}

/// One write; the memory is used again.
fn send<T: Serialize + ?Sized>(
    mut socket: &UnixStream,
    space: &mut Vec<u8>,
    wanted: Wanted,
    value: &T,
) {
    space.clear();
    space.extend([0; HEADER]);
    let mut all = postcard::to_extend(value, std::mem::take(space)).expect("data");
    let bytes = all.len() - HEADER;
    put_header(&mut all, wanted, bytes);
    socket.write_all(&all).expect("somebody reads");
    *space = all;
}

/// Encoded as a whole, then written.
fn send_large(mut socket: &UnixStream, wanted: Wanted, array: &[f64]) {
    let encoded = postcard::to_stdvec(array).expect("data");
    let mut head = [0; HEADER];
    put_header(&mut head, wanted, encoded.len());
    socket.write_all(&head).expect("somebody reads");
    socket.write_all(&encoded).expect("somebody reads");
}

fn send_bytes(mut socket: &UnixStream, wanted: Wanted, array: &[f64]) {
    let bytes: &[u8] = bytemuck::cast_slice(array);
    let mut head = [0; HEADER];
    put_header(&mut head, wanted, bytes.len());
    socket.write_all(&head).expect("somebody reads");
    socket.write_all(bytes).expect("somebody reads");
}

/// Reads until there is a header, and what comes with it: a small message takes one call. Gives what is wanted, how much follows, and
/// how much of `space` is read.
fn begin(mut socket: &UnixStream, space: &mut Vec<u8>) -> io::Result<(Wanted, usize, usize)> {
    space.resize(space.len().max(4096), 0);
    let mut there = 0;
    while there < HEADER {
        match socket.read(&mut space[there..4096])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => there += some,
        }
    }
    let wanted = Wanted::ALL[usize::from(space[0])];
    let len = u64::from_le_bytes(space[1..HEADER].try_into().expect("eight bytes"));
    Ok((wanted, len as usize, there))
}

/// The rest of a message.
fn rest<'s>(
    mut socket: &UnixStream,
    space: &'s mut Vec<u8>,
    (len, there): (usize, usize),
) -> io::Result<&'s [u8]> {
    if space.len() < HEADER + len {
        space.resize(HEADER + len, 0);
    }
    if there < HEADER + len {
        socket.read_exact(&mut space[there..HEADER + len])?;
    }
    Ok(&space[HEADER..HEADER + len])
}

/// The rest of an array, in its place.
fn array(
    mut socket: &UnixStream,
    space: &[u8],
    (len, there): (usize, usize),
) -> io::Result<Vec<f64>> {
    let mut array = vec![0.0; len / size_of::<f64>()];
    let place: &mut [u8] = bytemuck::cast_slice_mut(&mut array);
    let (first, others) = place.split_at_mut(there - HEADER);
    first.copy_from_slice(&space[HEADER..there]);
    socket.read_exact(others)?;
    Ok(array)
}

fn answer<R: DeserializeOwned>(socket: &UnixStream, space: &mut Vec<u8>) -> R {
    let (_, len, there) = begin(socket, space).expect("an answer");
    let bytes = rest(socket, space, (len, there)).expect("all of it");
    postcard::from_bytes(bytes).expect("as it was written")
}

/// Serves, and never returns, if this process is such a worker.
pub(crate) fn serve_if_worker() {
    if std::env::args().nth(1).as_deref() != Some(ARGUMENT) {
        return;
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).expect("a socket");
    // The end of the stream is how it ends.
    let _ = serve(&UnixStream::from(socket));
    std::process::exit(0)
}

fn serve(socket: &UnixStream) -> io::Result<()> {
    let (mut space, mut answer) = (Vec::new(), Vec::new());
    loop {
        let (wanted, len, there) = begin(socket, &mut space)?;
        if matches!(wanted, Wanted::TakeBytes) {
            let ends = super::ends(&array(socket, &space, (len, there))?);
            send(socket, &mut answer, wanted, &ends);
            continue;
        }
        let bytes = rest(socket, &mut space, (len, there))?;
        match wanted {
            Wanted::Next => {
                let x: u64 = value_of(bytes);
                send(socket, &mut answer, wanted, &(x + 1));
            }
            Wanted::NextOfAll => {
                let mut items: Vec<u64> = value_of(bytes);
                items.iter_mut().for_each(|x| *x += 1);
                send(socket, &mut answer, wanted, &items);
            }
            Wanted::Take => {
                let array: Vec<f64> = value_of(bytes);
                send(socket, &mut answer, wanted, &super::ends(&array));
                space = Vec::new(); // as for one who never gets another large one
            }
            Wanted::Give => send_large(socket, wanted, &super::made(value_of(bytes))),
            Wanted::GiveBytes => send_bytes(socket, wanted, &super::made(value_of(bytes))),
            Wanted::TakeBytes => unreachable!("seen above"),
        }
    }
}
