//! A steady half of what the host can take, before another plugin version is
//! there, beside one that shadows the active one, and while versions are switched
//! again and again.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{atomic::AtomicBool, mpsc},
    time::{Duration, Instant},
};

use harness::{
    components::rebuilt,
    program::{self, Program},
    seed::World,
};
use jimo_connect::plugin::{EMBEDDED, digest};

use crate::{
    deliveries::{Maker, Shape},
    measure::EVENTS,
    options::Options,
    probes, process,
    report::{self, mebibytes, milliseconds, percentiles},
    seed,
    senders::Steady,
};

/// Values that are waited for, a second.
const PROBES_PER_SECOND: u64 = 45;

/// How long before a switch, and after it, counts as its time.
const AROUND: Duration = Duration::from_secs(1);

/// Switches, there and back.
const SWITCHES: usize = 10;

/// What is measured apart.
const PHASES: [&str; 3] = [
    "one version alone",
    "beside a shadow",
    "within a second of a switch",
];

/// A third of the time for each.
pub fn run(options: &Options) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let deliveries_per_second = (options.ceiling / 2 / 100).max(1);
    let phase = options.steady;
    let probed_every = deliveries_per_second.div_ceil(PROBES_PER_SECOND);
    let requests: Vec<_> = (0..deliveries_per_second * phase.as_secs() * 3)
        .map(|delivery| match delivery % probed_every {
            0 => maker.probed(100, 0),
            _ => maker.one(Shape::Random(100), 0),
        })
        .collect();

    let rest = process::memory(&program);
    let begin = Instant::now() + Duration::from_millis(500);
    let stop = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &requests,
        begin,
        every: Duration::from_secs(1) / u32::try_from(deliveries_per_second).unwrap(),
        stop: &stop,
    };
    let (sent, waiting) = mpsc::channel();
    let path = directory.path();
    let (answers, seen, switched) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| probes::watch(path, waiting));
        let operating = scope.spawn(|| operate(path, &program, begin, phase));
        let answers = steady.send(&sent);
        drop(sent);
        (answers, watching.join().unwrap(), operating.join().unwrap())
    });
    process::drained(&program);

    let of = |planned: Instant| {
        let is_near = |at: &Instant| {
            let after = planned.saturating_duration_since(*at);
            after.max(at.saturating_duration_since(planned)) < AROUND
        };
        match planned.saturating_duration_since(begin) {
            after if after < phase => Some(0),
            after if after < phase * 2 => Some(1),
            _ => switched.at.iter().any(is_near).then_some(2),
        }
    };
    report::head(&[
        "",
        "204 p50 / p99 ms",
        "readable p50 / p99 ms",
        "deliveries",
    ]);
    for (number, name) in PHASES.iter().enumerate() {
        let is_in = |planned: Instant| of(planned) == Some(number);
        let took = |(planned, took)| is_in(planned).then_some(took);
        let answered: Vec<Duration> = answers
            .iter()
            .filter_map(|answer| took((answer.planned, answer.took)))
            .collect();
        let readable: Vec<Duration> = seen
            .iter()
            .filter_map(|seen| took((seen.planned, seen.took)))
            .collect();
        report::row(&[
            (*name).to_owned(),
            percentiles(&answered),
            percentiles(&readable),
            answered.len().to_string(),
        ]);
    }
    let (sent, done) = (
        answers.len() as u64 * 100,
        process::metric(&program, EVENTS),
    );
    println!(
        "\n{sent} changes sent, all answered 204, {done} worked on; {} switches; to install {} ms, \
         to switch p50 / p99 {} ms; {} MiB at rest, {} at the most",
        switched.at.len(),
        milliseconds(switched.install),
        percentiles(&switched.took),
        mebibytes(rest.resident),
        mebibytes(process::memory(&program).peak),
    );
}

/// What was done to versions meanwhile.
struct Switched {
    install: Duration,
    at: Vec<Instant>,
    /// From a command's start to its end.
    took: Vec<Duration>,
}

/// Installs a version with the second third, which shadows then, and switches to it
/// and back in the last.
fn operate(directory: &Path, program: &Program, begin: Instant, phase: Duration) -> Switched {
    let component = rebuilt(EMBEDDED, "the same once more");
    let file = directory.join("candidate.wasm");
    fs::write(&file, &component).unwrap();
    let [ours, theirs] = [digest(EMBEDDED), digest(&component)];
    std::thread::sleep((begin + phase).saturating_duration_since(Instant::now()));
    let install = plugin(directory, &["install", file.to_str().unwrap()]);
    plugin(directory, &["shadow", &theirs, "--since", "1h"]);
    std::thread::sleep((begin + phase * 2).saturating_duration_since(Instant::now()));
    plugin(directory, &["shadow", &theirs, "--stop"]);
    let shadowed = process::metric(program, "jimo_connect_plugin_shadow_differences");
    assert_eq!(shadowed, 0, "they are the same");
    let (mut at, mut took) = (Vec::new(), Vec::new());
    let every = phase / (u32::try_from(SWITCHES).unwrap() + 1);
    for switch in 1..=SWITCHES {
        let planned = begin + phase * 2 + every * u32::try_from(switch).unwrap();
        std::thread::sleep(planned.saturating_duration_since(Instant::now()));
        let version = if switch % 2 == 1 { &theirs } else { &ours };
        took.push(plugin(directory, &["activate", version, "--force"]));
        at.push(Instant::now());
    }
    Switched { install, at, took }
}

/// Runs a command of the operator's beside the program.
fn plugin(directory: &Path, arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    let output = Command::new(program::path())
        .arg("plugin")
        .args(arguments)
        .env("JIMO_DATA_DIR", directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    begun.elapsed()
}
