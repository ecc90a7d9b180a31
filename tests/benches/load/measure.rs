//! One measurement at full speed: a fresh copy of a world, deliveries as fast
//! as they are answered, until the last change is applied.

use std::time::{Duration, Instant};

use harness::seed::World;

use crate::{
    deliveries::{Maker, Shape},
    process::{self, Cpu, Memory},
    seed,
    senders::{self, Answer},
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it runs on.
    pub world: World,
    /// What deliveries hold.
    pub shape: Shape,
    /// How many events.
    pub events: u64,
    /// Connections that send at once.
    pub connections: usize,
    /// Whether the same deliveries were applied once before.
    pub replay: bool,
}

/// What was measured.
pub struct Measured {
    /// Events that were sent.
    pub events: u64,
    /// Deliveries that held them.
    pub deliveries: u64,
    /// From the first request to the last answer.
    pub taken_in: Duration,
    /// From the first request to the last value.
    pub applied: Duration,
    /// The answers.
    pub answers: Vec<Answer>,
    /// What the program's threads used of it.
    pub cpu: Cpu,
    /// What it held at the end.
    pub memory: Memory,
}

impl Run {
    /// Measures.
    pub fn measure(&self) -> Measured {
        let directory = seed::directory(self.world);
        let program = process::start(directory.path());
        let mut maker = Maker::new(self.world, &program);
        let requests = maker.some(self.shape, self.events);
        if self.replay {
            senders::send(&maker.address, &requests, self.connections);
            process::drained(&program);
        }
        let before = process::cpu(&program);
        let counted = process::metric(&program, EVENTS);
        let begun = Instant::now();
        let answers = senders::send(&maker.address, &requests, self.connections);
        let taken_in = begun.elapsed();
        process::drained(&program);
        let applied = begun.elapsed();
        let events = process::metric(&program, EVENTS) - counted;
        Measured {
            events,
            deliveries: requests.len() as u64,
            taken_in,
            applied,
            answers,
            cpu: process::cpu_since(&program, &before),
            memory: process::memory(&program),
        }
    }
}

/// The metric that counts events that were worked on.
pub const EVENTS: &str = "jimo_connect_events_total";
