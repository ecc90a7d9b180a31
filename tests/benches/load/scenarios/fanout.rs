//! A company's change that reaches many users: how long until the last of them
//! has it, whether all have it at once, and what another account feels of it.

use std::{
    sync::{atomic::AtomicBool, mpsc},
    time::{Duration, Instant},
};

use harness::seed::World;

use crate::{
    deliveries::Maker,
    options::Options,
    probes::{self, Seen, Sent},
    process,
    report::{self, milliseconds, percentile, percentiles},
    seed,
    senders::{Answer, Connection, Steady},
};

/// Users whom the company reaches.
const REACHED: u64 = 10_000;

/// Changes of the company.
const CHANGES: usize = 10;

/// The time from each to the next.
const EVERY: Duration = Duration::from_secs(1);

/// The other account's deliveries a second, and the changes of each.
const DELIVERIES_PER_SECOND: u32 = 20;
const DELIVERY_CHANGES: u64 = 10;

/// The other account alone, then the same beside the company's changes.
pub fn run(options: &Options) {
    let world = World {
        connections: 2,
        company_users: REACHED.min(options.users / 2),
        ..World::of(options.users, 10)
    };
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let calm = EVERY * u32::try_from(CHANGES).unwrap();
    let deliveries = 2 * calm.as_secs() * u64::from(DELIVERIES_PER_SECOND);
    let requests: Vec<_> = (0..deliveries)
        .map(|_| maker.probed(DELIVERY_CHANGES, 1))
        .collect();
    let companies: Vec<_> = (0..CHANGES).map(|_| maker.company()).collect();

    let begin = Instant::now() + Duration::from_millis(500);
    let first_change = begin + calm;
    let stop = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &requests,
        begin,
        every: Duration::from_secs(1) / DELIVERIES_PER_SECOND,
        stop: &stop,
    };
    let (sent, waiting) = mpsc::channel();
    let path = directory.path();
    let (company_sent, company_waiting) = mpsc::channel();
    let (answers, seen, company_seen) = std::thread::scope(|scope| {
        let others = scope.spawn(|| probes::watch(path, waiting));
        let company = scope.spawn(|| probes::watch(path, company_waiting));
        let changing = scope.spawn(|| {
            let mut connection = Connection::open(&maker.address);
            let mut planned = first_change;
            for request in &companies {
                std::thread::sleep(planned.saturating_duration_since(Instant::now()));
                let probe = request.probe.clone().unwrap();
                company_sent.send(Sent { planned, probe }).unwrap();
                connection.deliver(request);
                planned += EVERY;
            }
            drop(company_sent);
        });
        let answers = steady.send(&sent);
        drop(sent);
        changing.join().unwrap();
        (answers, others.join().unwrap(), company.join().unwrap())
    });

    print(&company_seen, world.company_users);
    report::head(&[
        "the other account",
        "204 p50 / p99 ms",
        "readable p50 / p99 ms",
    ]);
    for (name, beside) in [("alone", false), ("beside the company's changes", true)] {
        let counts = |planned: Instant| (planned >= first_change) == beside;
        let answers: Vec<Duration> = answers
            .iter()
            .filter(|answer| counts(answer.planned))
            .map(|Answer { took, .. }| *took)
            .collect();
        let readable: Vec<Duration> = seen
            .iter()
            .filter(|seen| counts(seen.planned))
            .map(|seen| seen.took)
            .collect();
        report::row(&[
            name.to_owned(),
            percentiles(&answers),
            percentiles(&readable),
        ]);
    }
}

fn print(seen: &[Seen], reached: u64) {
    report::head(&[
        "the company's changes",
        "users",
        "with it when the first is seen to have it",
        "until then p50 ms",
        "longest ms",
    ]);
    let times: Vec<Duration> = seen.iter().map(|seen| seen.took).collect();
    report::row(&[
        seen.len().to_string(),
        reached.to_string(),
        seen.iter()
            .map(|seen| seen.users)
            .min()
            .unwrap_or_default()
            .to_string(),
        milliseconds(percentile(&times, 50)),
        milliseconds(times.iter().max().copied().unwrap_or_default()),
    ]);
}
