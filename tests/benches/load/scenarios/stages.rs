//! Where the CPU time of an event goes. Threads tell most of it; a step that
//! shares its thread with others is measured by itself, too.

use std::time::Duration;

use harness::seed::World;

use crate::{
    alone::Alone,
    deliveries::Shape,
    measure::Run,
    options::Options,
    process::{BLOCKING, LOG_CHECKPOINTS, LOG_WRITER, STORE_CHECKPOINTS, STORE_WRITER, WORKERS},
    report::{self, each},
};

/// Events of a run.
const EVENTS_MAX: u64 = 500_000;

/// What the stages of one kind of load take for an event.
struct Stages {
    stages: Vec<(&'static str, Duration)>,
    /// The passes' part of what the pipeline and the store use.
    share: f64,
}

/// Three kinds of load, side by side.
pub fn run(options: &Options) {
    let columns: Vec<Stages> = [
        (Shape::Random(100), false),
        (Shape::Import, false),
        (Shape::Random(100), true),
    ]
    .into_iter()
    .map(|(shape, replay)| stages(options, shape, replay))
    .collect();
    report::head(&["us of CPU an event", "random", "import", "replay"]);
    for (index, (name, _)) in columns[0].stages.iter().enumerate() {
        let of = |column: &Stages| each(column.stages[index].1, 1);
        let mut cells = vec![(*name).to_owned()];
        cells.extend(columns.iter().map(of));
        report::row(&cells);
    }
    let mut cells = vec!["passes, of pipeline and store".to_owned()];
    cells.extend(
        columns
            .iter()
            .map(|column| format!("{:.0} %", column.share * 100.0)),
    );
    report::row(&cells);
}

fn stages(options: &Options, shape: Shape, replay: bool) -> Stages {
    let world = World::of(options.users, 10);
    let measured = Run {
        world,
        shape,
        events: options.events.min(EVENTS_MAX),
        connections: 8,
        replay,
    }
    .measure();
    let alone = Alone::measure(world, shape);
    let events = u32::try_from(measured.events).unwrap();
    let of = |thread: &str| measured.cpu.get(thread).copied().unwrap_or_default() / events;
    let all = measured.cpu.values().sum::<Duration>() / events;
    let pipeline = of(BLOCKING) + of(STORE_WRITER) + of(STORE_CHECKPOINTS);
    let threads = [
        WORKERS,
        LOG_WRITER,
        LOG_CHECKPOINTS,
        BLOCKING,
        STORE_WRITER,
        STORE_CHECKPOINTS,
    ];
    let told: Duration = threads.into_iter().map(of).sum();
    let stages = vec![
        ("HTTP and signature", of(WORKERS)),
        ("— signature, by itself", alone.signature),
        ("log: writer", of(LOG_WRITER)),
        ("log: checkpoints", of(LOG_CHECKPOINTS)),
        ("preparing: log read, split, passes", of(BLOCKING)),
        ("— split, by itself", alone.split),
        ("— passes, by themselves", alone.pass),
        ("store: writer", of(STORE_WRITER)),
        ("store: checkpoints", of(STORE_CHECKPOINTS)),
        ("other threads", all.saturating_sub(told)),
        ("all", all),
    ];
    Stages {
        stages,
        share: alone.pass.as_secs_f64() / pipeline.as_secs_f64(),
    }
}
