//! How cost grows with users, mapped fields and connections: the same number of
//! random changes, and what the store's writer and everything else use of the
//! CPU for each. A delivery is of one connection, so with more of them it has
//! fewer users to choose from.

use std::time::Duration;

use harness::seed::World;

use crate::{
    deliveries::Shape,
    measure::Run,
    options::Options,
    process::STORE_WRITER,
    report::{self, each, mebibytes, rate},
};

/// Changes of a run: those of a short one.
const EVENTS_MAX: u64 = 200_000;

/// Each table changes one thing.
pub fn run(options: &Options) {
    let users = options.growth_users;
    let base = World::of(options.users, 10);
    table(
        options,
        "users",
        |world| world.users,
        &[
            World::of(users / 100, 10),
            World::of(users / 10, 10),
            World::of(users, 10),
        ],
    );
    // As many values in all, so that the mappings alone differ.
    let mapped = |fields| World::of(base.values() / fields, fields);
    table(
        options,
        "fields",
        |world| world.fields,
        &[mapped(5), mapped(20), mapped(100)],
    );
    let with = |connections| World {
        connections,
        ..base
    };
    table(
        options,
        "connections",
        |world| world.connections,
        &[with(1), with(30), with(1_000)],
    );
}

fn table(options: &Options, what: &str, of: fn(&World) -> u64, worlds: &[World]) {
    report::head(&[
        what,
        "values",
        "changes/s",
        "us of the store's writer a change",
        "us of other threads",
        "peak MiB",
    ]);
    for world in worlds {
        let measured = Run {
            world: *world,
            shape: Shape::Random(100),
            events: options.events.min(EVENTS_MAX),
            connections: 8,
            replay: false,
        }
        .measure();
        let all: Duration = measured.cpu.values().sum();
        let writer = measured.cpu.get(STORE_WRITER).copied().unwrap_or_default();
        report::row(&[
            of(world).to_string(),
            world.values().to_string(),
            rate(measured.events, measured.applied),
            each(writer, measured.events),
            each(all.saturating_sub(writer), measured.events),
            mebibytes(measured.memory.peak),
        ]);
    }
}
