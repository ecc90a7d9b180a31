//! One account's steady trickle, before and while another floods as fast as it
//! is answered over as many connections as HubSpot has for an account.

use std::{
    sync::{atomic::AtomicBool, mpsc},
    time::{Duration, Instant},
};

use harness::seed::World;

use crate::{
    deliveries::{Maker, Shape},
    options::Options,
    probes, process,
    report::{self, rate},
    seed,
    senders::{self, Steady, StopsWhenDone},
};

/// HubSpot's connections for one account (HubSpot: webhooks, concurrency).
const FLOOD_CONNECTIONS: usize = 10;

/// The other's deliveries a second, and the changes of each.
const DELIVERIES_PER_SECOND: u32 = 20;
const DELIVERY_CHANGES: u64 = 10;

/// How long the other is alone.
const CALM: Duration = Duration::from_secs(15);

/// Signatures are good for five minutes; a flood that lasts longer is another
/// finding.
const FLOOD_MAX: Duration = Duration::from_secs(240);

/// The flood of the first account, the trickle of the second.
pub fn run(options: &Options) {
    let world = World {
        connections: 2,
        ..World::of(options.users, 10)
    };
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let mut flood = Vec::new();
    for _ in 0..options.events.div_ceil(100) {
        flood.push(maker.one(Shape::Random(100), 0));
    }
    let deliveries = (CALM + FLOOD_MAX).as_secs() * u64::from(DELIVERIES_PER_SECOND);
    let trickle: Vec<_> = (0..deliveries)
        .map(|_| maker.probed(DELIVERY_CHANGES, 1))
        .collect();

    let begin = Instant::now() + Duration::from_millis(500);
    let stop = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &trickle,
        begin,
        every: Duration::from_secs(1) / DELIVERIES_PER_SECOND,
        stop: &stop,
    };
    let (sent, waiting) = mpsc::channel();
    let path = directory.path();
    let (answers, seen, flooded, taken_in, applied) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| probes::watch(path, waiting));
        let flooding = scope.spawn(|| {
            std::thread::sleep((begin + CALM).saturating_duration_since(Instant::now()));
            let stopping = StopsWhenDone(&stop);
            let begun = Instant::now();
            senders::send(&maker.address, &flood, FLOOD_CONNECTIONS);
            let taken_in = begun.elapsed();
            process::drained(&program);
            let applied = begun.elapsed();
            drop(stopping);
            (begun, taken_in, applied)
        });
        let answers = steady.send(&sent);
        drop(sent);
        let (flooded, taken_in, applied) = flooding.join().unwrap();
        (
            answers,
            watching.join().unwrap(),
            flooded,
            taken_in,
            applied,
        )
    });

    report::phases(
        "the other account",
        &[
            ("before the flood", begin),
            ("while it is taken in", flooded),
            ("until it is applied", flooded + taken_in),
        ],
        (&answers, &seen),
    );
    let events = flood.len() as u64 * 100;
    println!(
        "\nthe flood: {events} changes, {} a second taken in, {} a second applied",
        rate(events, taken_in),
        rate(events, applied),
    );
}
