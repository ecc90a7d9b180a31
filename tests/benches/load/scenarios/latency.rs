//! From a request to its answer and to the readable value, at a steady tenth of
//! what the host can take. Both times count from the moment at which the
//! request was to be sent.

use std::{
    sync::{atomic::AtomicBool, mpsc},
    time::{Duration, Instant},
};

use harness::seed::World;

use crate::{
    deliveries::{Maker, Shape},
    options::Options,
    probes, process,
    report::{self, percentiles, times},
    seed,
    senders::Steady,
};

/// Values that are waited for, a second: enough to tell, few enough not to be
/// felt.
const PROBES_PER_SECOND: u64 = 45;

/// Deliveries of 100, then of one.
pub fn run(options: &Options) {
    report::head(&[
        "a delivery",
        "changes/s",
        "204 p50 / p99 ms",
        "readable p50 / p99 ms",
        "probes",
    ]);
    steady(options, 100, options.ceiling / 10);
    steady(options, 1, options.ceiling_single / 10);
}

fn steady(options: &Options, changes: u64, per_second: u64) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let deliveries_per_second = (per_second / changes).max(1);
    let deliveries = deliveries_per_second * options.steady.as_secs();
    let probed_every = deliveries_per_second.div_ceil(PROBES_PER_SECOND);
    let requests: Vec<_> = (0..deliveries)
        .map(|delivery| match delivery % probed_every {
            0 => maker.probed(changes, 0),
            _ => maker.one(Shape::Random(changes), 0),
        })
        .collect();
    let stop = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &requests,
        begin: Instant::now() + Duration::from_millis(500),
        every: Duration::from_secs(1) / u32::try_from(deliveries_per_second).unwrap(),
        stop: &stop,
    };
    let (sent, waiting) = mpsc::channel();
    let path = directory.path();
    let (answers, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| probes::watch(path, waiting));
        let answers = steady.send(&sent);
        drop(sent);
        (answers, watching.join().unwrap())
    });
    let readable: Vec<Duration> = seen.iter().map(|seen| seen.took).collect();
    report::row(&[
        changes.to_string(),
        (changes * deliveries_per_second).to_string(),
        percentiles(&times(&answers)),
        percentiles(&readable),
        readable.len().to_string(),
    ]);
}
