//! Sends requests over a few connections, as fast as they are answered.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::deliveries::Deliveries;

/// How requests were answered.
#[derive(Default)]
pub struct Answers {
    took: Vec<Duration>,
    /// Requests that were answered otherwise than with 204.
    pub refused: usize,
}

impl Answers {
    /// The time within which so many in a hundred were answered.
    pub fn percentile(&mut self, of_hundred: usize) -> Duration {
        self.took.sort();
        let index = self.took.len() * of_hundred / 100;
        self.took
            .get(index.min(self.took.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

/// Sends all deliveries, and returns when the last is answered.
pub fn send(deliveries: &Deliveries, connections: usize) -> Answers {
    let next = AtomicUsize::new(0);
    let mut all = Answers::default();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| send_some(deliveries, &next)))
            .collect();
        for sender in senders {
            let some = sender.join().unwrap();
            all.took.extend(some.took);
            all.refused += some.refused;
        }
    });
    all
}

fn send_some(deliveries: &Deliveries, next: &AtomicUsize) -> Answers {
    let mut stream = TcpStream::connect(&deliveries.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = Answers::default();
    let mut answer = [0; 4_096];
    while let Some(request) = deliveries
        .requests
        .get(next.fetch_add(1, Ordering::Relaxed))
    {
        let begun = Instant::now();
        stream.write_all(request).unwrap();
        let mut length = 0;
        // The answers have no bodies.
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut answer[length..]).unwrap();
            assert_ne!(read, 0, "the host closed the connection");
            length += read;
        }
        answers.took.push(begun.elapsed());
        if !answer.starts_with(b"HTTP/1.1 204") {
            answers.refused += 1;
        }
    }
    answers
}
