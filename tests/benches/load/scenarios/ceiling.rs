//! The 204 and the memory at full speed, as more send at once.

use harness::seed::World;

use crate::{
    deliveries::Shape,
    measure::Run,
    options::Options,
    report::{self, mebibytes, milliseconds, percentiles, rate, times},
};

/// Random deliveries of 100 over 8 and 64 connections.
pub fn run(options: &Options) {
    report::head(&[
        "connections",
        "events/s",
        "204 p50 / p99 ms",
        "longest ms",
        "MiB at the end",
        "of it anonymous",
        "peak MiB",
    ]);
    for connections in [8, 64] {
        let measured = Run {
            world: World::of(options.users, 10),
            shape: Shape::Random(100),
            events: options.events,
            connections,
            replay: false,
        }
        .measure();
        let times = times(&measured.answers);
        report::row(&[
            connections.to_string(),
            rate(measured.events, measured.applied),
            percentiles(&times),
            milliseconds(times.iter().max().copied().unwrap_or_default()),
            mebibytes(measured.memory.resident),
            mebibytes(measured.memory.anonymous),
            mebibytes(measured.memory.peak),
        ]);
    }
}
