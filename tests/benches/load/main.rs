//! The load driver: the program itself on a seeded data directory, real HTTP,
//! signed deliveries, a synced log. What is measured includes the driver's own
//! share of the machine.
//!
//! `cargo bench --bench load -- [SCENARIO …] [--users N] [--deliveries N]`

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

mod deliveries;
mod process;
mod senders;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use deliveries::{Deliveries, Shape};
use harness::seed;

/// A measurement by name.
struct Scenario {
    name: &'static str,
    shape: Shape,
    /// Connections that send at once.
    connections: usize,
    /// Whether the deliveries were applied once before.
    replay: bool,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "random",
        shape: Shape::Random,
        connections: 8,
        replay: false,
    },
    Scenario {
        name: "import",
        shape: Shape::Import,
        connections: 8,
        replay: false,
    },
    Scenario {
        name: "replay",
        shape: Shape::Random,
        connections: 8,
        replay: true,
    },
    Scenario {
        name: "single",
        shape: Shape::Single,
        connections: 64,
        replay: false,
    },
];

/// What is asked for on the command line.
struct Asked {
    scenarios: Vec<String>,
    users: u64,
    events: u64,
}

fn asked() -> Asked {
    let mut asked = Asked {
        scenarios: Vec::new(),
        users: 100_000,
        events: 1_000_000,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap().parse().unwrap();
        match argument.as_str() {
            "--users" => asked.users = number(),
            "--events" => asked.events = number(),
            // What `cargo bench` says to every bench.
            "--bench" => {}
            name => asked.scenarios.push(name.to_owned()),
        }
    }
    asked
}

fn main() {
    let asked = asked();
    println!(
        "{} users, {} values, {} events",
        asked.users,
        asked.users * seed::FIELDS as u64,
        asked.events
    );
    println!("| what | events/s | deliveries/s taken in | answer p50 | p99 | peak MiB |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for scenario in &SCENARIOS {
        if asked.scenarios.is_empty() || asked.scenarios.iter().any(|name| name == scenario.name) {
            run(scenario, &asked);
        }
    }
}

fn run(scenario: &Scenario, asked: &Asked) {
    let directory = seed::directory(Path::new(env!("CARGO_TARGET_TMPDIR")), asked.users);
    let program = process::start(directory.path());
    let deliveries = Deliveries::make(scenario.shape, asked.users, asked.events, &program.url);
    if scenario.replay {
        senders::send(&deliveries, scenario.connections);
        process::drained(&program);
    }
    let before = process::cpu(&program);
    let begun = Instant::now();
    let mut answers = senders::send(&deliveries, scenario.connections);
    let taken_in = begun.elapsed();
    process::drained(&program);
    let applied = begun.elapsed();
    assert_eq!(answers.refused, 0, "deliveries that were not answered 204");
    let rate = |count: usize, took: Duration| (count as f64 / took.as_secs_f64()).round();
    println!(
        "| {} | {} | {} | {:.1?} | {:.1?} | {} |",
        scenario.name,
        rate(deliveries.events, applied),
        rate(deliveries.requests.len(), taken_in),
        answers.percentile(50),
        answers.percentile(99),
        process::peak_memory(&program),
    );
    for (thread, seconds) in process::cpu(&program) {
        let used = seconds - before.get(&thread).copied().unwrap_or_default();
        let each = used * 1e6 / deliveries.events as f64;
        eprintln!("  {thread}: {used:.1} s, {each:.1} us an event");
    }
}
