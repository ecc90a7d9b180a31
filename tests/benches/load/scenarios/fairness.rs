//! What other accounts feel of one that floods as fast as it is answered, over as many
//! connections as HubSpot has for an account.

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

/// Changes of each of the others' deliveries.
const DELIVERY_CHANGES: u64 = 10;

/// Values that are waited for, a second.
const PROBES_PER_SECOND: u64 = 100;

/// How long the others are alone.
const CALM: Duration = Duration::from_secs(15);

/// Signatures are good for five minutes; a flood that lasts longer is another
/// finding.
const FLOOD_MAX: Duration = Duration::from_secs(150);

/// What the host does beside a flood.
struct Usual {
    name: &'static str,
    accounts: u64,
    deliveries_per_second: u64,
}

/// The flood of one account; beside it another, then twenty-nine that make what the host
/// does a tenth of what it can.
pub fn run(options: &Options) {
    let one = Usual {
        name: "one other account",
        accounts: 1,
        deliveries_per_second: PROBES_PER_SECOND,
    };
    let many = Usual {
        name: "29 other accounts, a tenth of what the host takes",
        accounts: 29,
        deliveries_per_second: (options.ceiling / 10 / DELIVERY_CHANGES).max(1),
    };
    beside(options, &one);
    beside(options, &many);
}

fn beside(options: &Options, usual: &Usual) {
    let world = World {
        connections: 1 + usual.accounts,
        ..World::of(options.users, 10)
    };
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let mut flood = Vec::new();
    for _ in 0..options.events.div_ceil(100) {
        flood.push(maker.one(Shape::Random(100), 0));
    }
    let last = maker.probed(100, 0);
    let last_value = last.probe.clone().expect("a probe");
    flood.push(last);
    let per_second = usual.deliveries_per_second;
    let probed_every = (per_second / PROBES_PER_SECOND).max(1);
    let deliveries = (CALM + FLOOD_MAX).as_secs() * per_second;
    let others: Vec<_> = (0..deliveries)
        .map(|delivery| {
            let account = 1 + delivery % usual.accounts;
            match delivery % probed_every {
                0 => maker.probed(DELIVERY_CHANGES, account),
                _ => maker.one(Shape::Random(DELIVERY_CHANGES), account),
            }
        })
        .collect();

    let begin = Instant::now() + Duration::from_millis(500);
    let stop = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &others,
        begin,
        every: Duration::from_secs(1) / u32::try_from(per_second).unwrap(),
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
            // The others' deliveries leave hardly a moment without any that waits.
            let store = probes::Store::open(path);
            while store.users_with(&last_value) == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
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
        usual.name,
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
