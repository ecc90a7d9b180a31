//! Changes a second, from the first request to the last value.

use harness::seed::World;

use crate::{
    deliveries::Shape,
    measure::Run,
    options::Options,
    report::{self, mebibytes, percentiles, rate, times},
};

/// Deliveries of 100, random contacts, every change real.
pub fn random(options: &Options) {
    rates(options, Shape::Random(100), options.events, &[8], false);
}

/// Deliveries of an import: 20 contacts, 5 properties of each.
pub fn import(options: &Options) {
    rates(options, Shape::Import, options.events, &[8], false);
}

/// The deliveries of `random`, once more.
pub fn replay(options: &Options) {
    rates(options, Shape::Random(100), options.events, &[8], true);
}

/// Deliveries of one change: a third as many, as each takes longer; over more and more
/// connections, each of which sends the next once its last is answered.
pub fn single(options: &Options) {
    let events = options.events / 3;
    rates(options, Shape::Random(1), events, &[64, 128, 256], false);
}

fn rates(options: &Options, shape: Shape, events: u64, connections: &[usize], replay: bool) {
    report::head(&[
        "connections",
        "events",
        "events/s applied",
        "deliveries/s taken in",
        "204 p50 / p99 ms",
        "peak MiB",
    ]);
    for &connections in connections {
        let measured = Run {
            world: World::of(options.users, 10),
            shape,
            events,
            connections,
            replay,
        }
        .measure();
        report::row(&[
            connections.to_string(),
            measured.events.to_string(),
            rate(measured.events, measured.applied),
            rate(measured.deliveries, measured.taken_in),
            percentiles(&times(&measured.answers)),
            mebibytes(measured.memory.peak),
        ]);
    }
}
