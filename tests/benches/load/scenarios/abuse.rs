//! What those who are nobody's do to the open endpoint: ten thousand connections
//! that say nothing, and bad signatures as fast as they are refused, beside good
//! deliveries at a steady tenth of what the host can take.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use harness::seed::World;
use jimo_connect::web::descriptors;

use crate::{
    deliveries::{Maker, Request, Shape},
    options::Options,
    probes, process,
    report::{self, mebibytes, rate},
    seed,
    senders::{Steady, StopsWhenDone},
};

/// Connections that say nothing, kept open as far as the host lets them.
const IDLE: usize = 10_000;

/// Connections over which bad signatures come.
const BAD_CONNECTIONS: usize = 8;

/// Values that are waited for, a second.
const PROBES_PER_SECOND: u64 = 45;

/// Half of the time without them, half of it with them.
pub fn run(options: &Options) {
    descriptors::raise();
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let deliveries_per_second = (options.ceiling / 10 / 100).max(1);
    let half = options.steady;
    let probed_every = deliveries_per_second.div_ceil(PROBES_PER_SECOND);
    let requests: Vec<_> = (0..deliveries_per_second * half.as_secs() * 2)
        .map(|delivery| match delivery % probed_every {
            0 => maker.probed(100, 0),
            _ => maker.one(Shape::Random(100), 0),
        })
        .collect();
    let bad = unsigned(maker.one(Shape::Random(100), 0));

    let begin = Instant::now() + Duration::from_millis(500);
    let (stop, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let never = AtomicBool::new(false);
    let steady = Steady {
        address: &maker.address,
        requests: &requests,
        begin,
        every: Duration::from_secs(1) / u32::try_from(deliveries_per_second).unwrap(),
        stop: &never,
    };
    let (sent, waiting) = mpsc::channel();
    let path = directory.path();
    let (answers, seen, idle) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| probes::watch(path, waiting));
        let idling = scope.spawn(|| {
            wait_until(begin + half);
            idle(&maker.address, &stop)
        });
        for _ in 0..BAD_CONNECTIONS {
            scope.spawn(|| {
                wait_until(begin + half);
                send_bad(&maker.address, &bad, &stop, &refused);
            });
        }
        // The others go on until then, also where this fails.
        let stopping = StopsWhenDone(&stop);
        let answers = steady.send(&sent);
        drop((sent, stopping));
        (answers, watching.join().unwrap(), idling.join().unwrap())
    });

    report::phases(
        "good deliveries",
        &[("alone", begin), ("meanwhile", begin + half)],
        (&answers, &seen),
    );
    println!(
        "\n{} good deliveries, all answered 204; {} idle connections opened; {} bad signatures a \
         second refused; {} MiB at the most",
        answers.len(),
        idle,
        rate(refused.load(Ordering::Relaxed), half),
        mebibytes(process::memory(&program).peak),
    );
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Opens connections that say nothing, and keeps them until it is told to stop.
/// Returns how many there were.
fn idle(address: &str, stop: &AtomicBool) -> usize {
    let mut open = Vec::new();
    while open.len() < IDLE && !stop.load(Ordering::Relaxed) {
        match TcpStream::connect(address) {
            Ok(stream) => open.push(stream),
            Err(error) => panic!("open files: raise `ulimit -n` above 12,000: {error}"),
        }
    }
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
    }
    open.len()
}

/// Sends the same again and again; each has to be refused.
fn send_bad(address: &str, bad: &[u8], stop: &AtomicBool, refused: &AtomicU64) {
    let mut answer = vec![0; 4_096];
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            // Connections may be closed for others' sake; then there is another.
            let answered = stream
                .write_all(bad)
                .and_then(|()| stream.read(&mut answer));
            match answered {
                Ok(length) if length > 0 => {
                    let said = String::from_utf8_lossy(&answer[..length]);
                    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                _ => break,
            }
        }
    }
}

/// A delivery with a signature of the right form that is not its own.
fn unsigned(request: Request) -> Vec<u8> {
    let mut bytes = request.bytes;
    let name = b"x-hubspot-signature-v3: ";
    let at = bytes
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name))
        .expect("a signature");
    let first = &mut bytes[at + name.len()];
    *first = if *first == b'A' { b'B' } else { b'A' };
    bytes
}
