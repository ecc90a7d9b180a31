//! Memory at rest, and the most of it while deliveries come as fast as they are
//! answered.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use harness::seed::World;

use crate::{
    deliveries::{Maker, Shape},
    options::Options,
    process::{self, Memory},
    report::{self, mebibytes},
    seed, senders,
};

/// How long the program is left alone before it is at rest.
const REST: Duration = Duration::from_secs(5);

/// The time between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// Connections that send.
const CONNECTIONS: usize = 64;

/// At rest, at full speed, and at rest once more.
pub fn run(options: &Options) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    std::thread::sleep(REST);
    let rest = process::memory(&program);
    let mut maker = Maker::new(world, &program);
    let requests = maker.some(Shape::Random(100), options.events);
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = rest;
            while !done.load(Ordering::Relaxed) {
                let now = process::memory(&program);
                most = Memory {
                    resident: most.resident.max(now.resident),
                    anonymous: most.anonymous.max(now.anonymous),
                    file: most.file.max(now.file),
                    peak: now.peak,
                };
                std::thread::sleep(EVERY);
            }
            most
        });
        senders::send(&maker.address, &requests, CONNECTIONS);
        process::drained(&program);
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    std::thread::sleep(REST);
    let after = process::memory(&program);
    report::head(&["MiB", "resident", "of it anonymous", "of it pages of files"]);
    for (when, memory) in [
        ("at rest after the start", rest),
        ("the most at the ceiling", most),
        ("at rest after that", after),
    ] {
        report::row(&[
            when.to_owned(),
            mebibytes(memory.resident),
            mebibytes(memory.anonymous),
            mebibytes(memory.file),
        ]);
    }
}
