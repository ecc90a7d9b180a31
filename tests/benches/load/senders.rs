//! Sends requests over a few connections: as fast as they are answered, or at
//! planned moments.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use crate::{deliveries::Request, probes::Sent};

/// Connections of a steady sender: more than are ever in work at once, so that
/// a slow answer holds up no other request.
const STEADY_CONNECTIONS: usize = 32;

/// The host closes connections that are idle for twice as long.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A request that was answered 204.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When it was sent, or to be sent.
    pub planned: Instant,
    /// How long after that the answer was there.
    pub took: Duration,
}

/// Sends all requests, each connection the next as soon as its last is
/// answered. Returns when all are.
pub fn send(address: &str, requests: &[Request], connections: usize) -> Vec<Answer> {
    let next = AtomicUsize::new(0);
    on_each(connections, || {
        let mut connection = Connection::open(address);
        let mut answers = Vec::new();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let planned = Instant::now();
            connection.deliver(request);
            answers.push(Answer {
                planned,
                took: planned.elapsed(),
            });
        }
        answers
    })
}

/// Requests at a steady rate, whatever becomes of those before: the time of an
/// answer counts from the moment at which its request was to be sent, so a
/// stall shows on all that it delays.
pub struct Steady<'a> {
    /// Where they go.
    pub address: &'a str,
    /// The requests.
    pub requests: &'a [Request],
    /// When the first is sent.
    pub begin: Instant,
    /// The time from each to the next.
    pub every: Duration,
    /// Ends it before its time.
    pub stop: &'a AtomicBool,
}

impl Steady<'_> {
    /// Sends, and says of each probe that it was sent.
    pub fn send(&self, probes: &Sender<Sent>) -> Vec<Answer> {
        let next = AtomicUsize::new(0);
        on_each(STEADY_CONNECTIONS.min(self.requests.len()), || {
            let probes = probes.clone();
            let mut connection = Connection::open(self.address);
            let mut answers = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = self.requests.get(index) else {
                    return answers;
                };
                let planned = self.begin + self.every * u32::try_from(index).unwrap();
                std::thread::sleep(planned.saturating_duration_since(Instant::now()));
                if self.stop.load(Ordering::Relaxed) {
                    return answers;
                }
                if let Some(probe) = request.probe.clone() {
                    probes.send(Sent { planned, probe }).unwrap();
                }
                connection.deliver(request);
                answers.push(Answer {
                    planned,
                    took: planned.elapsed(),
                });
            }
        })
    }
}

/// Says that others are to stop, once what they go on beside is done or has failed.
pub struct StopsWhenDone<'a>(pub &'a AtomicBool);

impl Drop for StopsWhenDone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the same on so many threads, and returns what all of them answer.
fn on_each(threads: usize, work: impl Fn() -> Vec<Answer> + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// A connection that is kept for as long as the host keeps it.
pub struct Connection {
    address: String,
    stream: TcpStream,
    used_at: Instant,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: connect(address),
            used_at: Instant::now(),
            answer: vec![0; 4_096],
        }
    }

    /// Sends a delivery, and waits for its 204.
    pub fn deliver(&mut self, request: &Request) {
        if self.used_at.elapsed() > IDLE_MAX {
            self.stream = connect(&self.address);
        }
        // A connection that was kept may have been closed meanwhile: a client then takes
        // another, as RFC 9112, section 9.3.1, has it.
        let length = self.ask(request).or_else(|_| {
            self.stream = connect(&self.address);
            self.ask(request)
        });
        let answer = &self.answer[..length.expect("an answer")];
        assert!(
            answer.starts_with(b"HTTP/1.1 204"),
            "a delivery was not taken in: {}",
            String::from_utf8_lossy(answer)
        );
        self.used_at = Instant::now();
    }
}

impl Connection {
    /// Sends a request; the length of its answer.
    fn ask(&mut self, request: &Request) -> io::Result<usize> {
        self.stream.write_all(&request.bytes)?;
        let mut length = 0;
        // A 204 has no body.
        while !self.answer[..length].ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut self.answer[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length += read,
            }
        }
        Ok(length)
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
