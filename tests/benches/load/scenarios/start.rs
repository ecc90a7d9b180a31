//! From the program's start to the first `/health/ready` that says so: a new
//! process each time, its files in the kernel's cache.

use std::time::{Duration, Instant};

use harness::seed::World;

use crate::{
    options::Options,
    process,
    report::{self, milliseconds, percentile},
    seed,
};

/// How often.
const STARTS: usize = 5;

/// Starts it some times on one data directory.
pub fn run(options: &Options) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let starts: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            let program = process::start(directory.path());
            while !process::get(&program, "/health/ready").starts_with("HTTP/1.1 200") {
                std::thread::sleep(Duration::from_millis(1));
            }
            begun.elapsed()
        })
        .collect();
    report::head(&[
        "users",
        "values",
        "starts",
        "ready after, p50 ms",
        "longest ms",
    ]);
    report::row(&[
        world.users.to_string(),
        world.values().to_string(),
        STARTS.to_string(),
        milliseconds(percentile(&starts, 50)),
        milliseconds(starts.iter().max().copied().unwrap_or_default()),
    ]);
}
