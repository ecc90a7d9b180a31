//! More senders than may be in work: what they are answered, what the program
//! holds meanwhile, and whether just what got 204 is applied.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use harness::{program::Program, seed::World};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
};

use crate::{
    deliveries::{self, Maker, Request, Shape},
    measure::EVENTS,
    options::Options,
    probes::Store,
    process,
    report::{self, mebibytes, milliseconds, percentiles, rate},
    seed,
};

/// Connections at once, each of which is an open file here and in the program.
const CONNECTIONS_MAX: usize = 2_000;

/// Deliveries that each connection sends, at least.
const DELIVERIES_EACH: usize = 4;

/// Changes of a delivery.
const CHANGES: u64 = 100;

/// The time between two looks at the program, and rows of their table.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const ROWS: usize = 12;

/// What was seen of the program at a moment.
struct Look {
    after: Duration,
    resident: u64,
    waiting: u64,
}

/// How a delivery was answered.
struct Answer {
    request: usize,
    status: String,
    retry_after: bool,
    took: Duration,
}

/// As many deliveries as fill no property twice, so that each is seen apart.
pub fn run(options: &Options) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    // Nine in ten users are not kept for probes.
    let events = options.events.min(world.values() * 9 / 10);
    let requests = maker.some(Shape::Distinct(CHANGES), events / CHANGES * CHANGES);
    let rest = process::memory(&program);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let begun = Instant::now();
    let connections = CONNECTIONS_MAX.min(requests.len() / DELIVERIES_EACH);
    let is_over = AtomicBool::new(false);
    let (answers, applied, course) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&program, &is_over));
        let answers = runtime.block_on(send(&maker.address, &requests, connections));
        process::drained(&program);
        let applied = begun.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (answers, applied, watching.join().unwrap())
    });
    let peak = process::memory(&program).peak;

    report::head(&[
        "answer",
        "deliveries",
        "with Retry-After",
        "p50 / p99 ms",
        "longest ms",
    ]);
    let mut by_status: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in &answers {
        by_status.entry(&answer.status).or_default().push(answer);
    }
    for (status, answers) in &by_status {
        let times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
        let retry_after = answers.iter().filter(|answer| answer.retry_after).count();
        report::row(&[
            (*status).to_owned(),
            answers.len().to_string(),
            retry_after.to_string(),
            percentiles(&times),
            milliseconds(times.iter().max().copied().unwrap_or_default()),
        ]);
    }
    report::head(&["after s", "resident MiB", "deliveries waiting"]);
    for look in course.iter().step_by(course.len().div_ceil(ROWS)) {
        report::row(&[
            format!("{:.1}", look.after.as_secs_f64()),
            mebibytes(look.resident),
            look.waiting.to_string(),
        ]);
    }
    let taken_in = by_status.get("204").map_or(0, Vec::len) as u64 * CHANGES;
    let store = Store::open(directory.path());
    let (mut lost, mut unasked) = (0, 0);
    for answer in &answers {
        let first = answer.request as u64 * CHANGES;
        for event in first..first + CHANGES {
            let (user, variable) = maker.distinct(0, event);
            let is_there = store.value(user, variable) == Some(deliveries::value(event));
            match answer.status.as_str() {
                "204" if !is_there => lost += 1,
                "503" if is_there => unasked += 1,
                _ => {}
            }
        }
    }
    println!(
        "\n{connections} connections; {taken_in} changes got 204, {} were worked on, {} a second; \
         {lost} are lost, {unasked} that got 503 are applied; {} MiB at rest, {} MiB at the most",
        process::metric(&program, EVENTS),
        rate(taken_in, applied),
        mebibytes(rest.resident),
        mebibytes(peak),
    );
}

/// Looks at the program until it is over.
fn watch(program: &Program, is_over: &AtomicBool) -> Vec<Look> {
    let begun = Instant::now();
    let mut course = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        course.push(Look {
            after: begun.elapsed(),
            resident: process::memory(program).resident,
            waiting: process::metric(program, "jimo_connect_log_waiting"),
        });
        std::thread::sleep(LOOK_EVERY);
    }
    course
}

/// Sends all requests over all connections, all of which are open before the
/// first is sent.
async fn send(address: &str, requests: &[Request], connections: usize) -> Vec<Answer> {
    let (next, all_open) = (AtomicUsize::new(0), Barrier::new(connections));
    let senders = (0..connections).map(|_| send_some(address, requests, &next, &all_open));
    let answers = futures_util::future::join_all(senders).await;
    answers.into_iter().flatten().collect()
}

async fn send_some(
    address: &str,
    requests: &[Request],
    next: &AtomicUsize,
    all_open: &Barrier,
) -> Vec<Answer> {
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.expect("open files: raise `ulimit -n` above 5,000");
    stream.set_nodelay(true).unwrap();
    all_open.wait().await;
    let mut answers = Vec::new();
    loop {
        let request = next.fetch_add(1, Ordering::Relaxed);
        let Some(Request { bytes, .. }) = requests.get(request) else {
            return answers;
        };
        let begun = Instant::now();
        let answered = match stream.write_all(bytes).await {
            Ok(()) => read_answer(&mut stream).await,
            Err(error) => Err(error),
        };
        let head = match answered {
            Ok(head) => head,
            Err(error) => {
                answers.push(Answer {
                    request,
                    status: format!("none: {}", error.kind()),
                    retry_after: false,
                    took: begun.elapsed(),
                });
                stream = TcpStream::connect(address).await.unwrap();
                continue;
            }
        };
        answers.push(Answer {
            request,
            status: head.split(' ').nth(1).unwrap().to_owned(),
            retry_after: head.to_ascii_lowercase().contains("\r\nretry-after: "),
            took: begun.elapsed(),
        });
    }
}

/// The head of an answer, whose body is read, too.
async fn read_answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut answer = Vec::new();
    loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(answer[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().unwrap())
            });
            if answer.len() >= end + 4 + length.unwrap_or_default() {
                return Ok(head);
            }
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
