//! Memory and files over a long time at half of what the host can take. Nothing
//! is made before the clock runs: it would be too much, and be signed too early.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use harness::seed::World;

use crate::{
    deliveries::{Maker, Request, Shape},
    options::Options,
    process::{self, Memory},
    report::{self, mebibytes},
    seed,
    senders::Connection,
};

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(10);

/// Connections that send.
const CONNECTIONS: usize = 8;

/// Rows of the table.
const ROWS: usize = 12;

struct Sample {
    after: Duration,
    memory: Memory,
    /// Bytes of all files in the data directory.
    files: u64,
    /// Deliveries that are in the log and not applied.
    waiting: u64,
}

/// A steady rate, for as long as was asked.
pub fn run(options: &Options) {
    let world = World::of(options.users, 10);
    let directory = seed::directory(world);
    let program = process::start(directory.path());
    let mut maker = Maker::new(world, &program);
    let address = maker.address.clone();
    let deliveries_per_second = (options.ceiling / 2 / 100).max(1);
    let every = Duration::from_secs(1) / u32::try_from(deliveries_per_second).unwrap();
    let (made, requests) = sync_channel(CONNECTIONS);
    let requests = Mutex::new(requests);
    let begun = Instant::now();
    let mut samples = Vec::new();
    let mut sent = 0_u64;
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| deliver(&address, &requests));
        }
        let (mut planned, mut look_at) = (begun, begun);
        while begun.elapsed() < options.soak {
            std::thread::sleep(planned.saturating_duration_since(Instant::now()));
            if Instant::now() >= look_at {
                samples.push(Sample {
                    after: begun.elapsed(),
                    memory: process::memory(&program),
                    files: size(directory.path()),
                    waiting: process::metric(&program, "jimo_connect_log_waiting"),
                });
                look_at += EVERY;
            }
            made.send(maker.one(Shape::Distinct(100), 0)).unwrap();
            planned += every;
            sent += 1;
        }
        drop(made);
    });
    let took = begun.elapsed();
    process::drained(&program);
    print(&samples);
    println!(
        "\n{} changes a second; anonymous memory grows by {:.2} MiB an hour over the second half",
        report::rate(sent * 100, took),
        slope(&samples[samples.len() / 2..]),
    );
}

/// Sends what is made, until nothing more is.
fn deliver(address: &str, requests: &Mutex<Receiver<Request>>) {
    let mut connection = Connection::open(address);
    loop {
        let request = requests.lock().unwrap().recv();
        match request {
            Ok(request) => connection.deliver(&request),
            Err(_) => return,
        }
    }
}

fn print(samples: &[Sample]) {
    report::head(&[
        "minutes",
        "resident MiB",
        "of it anonymous",
        "peak",
        "files MiB",
        "deliveries waiting",
    ]);
    let last = samples.len() - 1;
    let rows = ROWS.min(samples.len());
    for row in 0..rows {
        let sample = &samples[row * last / (rows - 1).max(1)];
        report::row(&[
            format!("{:.1}", sample.after.as_secs_f64() / 60.0),
            mebibytes(sample.memory.resident),
            mebibytes(sample.memory.anonymous),
            mebibytes(sample.memory.peak),
            mebibytes(sample.files / 1_024),
            sample.waiting.to_string(),
        ]);
    }
}

/// The slope of the line through the anonymous memory (least squares), in MiB
/// an hour.
fn slope(samples: &[Sample]) -> f64 {
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|sample| {
            let hours = sample.after.as_secs_f64() / 3_600.0;
            (hours, sample.memory.anonymous as f64 / 1_024.0)
        })
        .collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (hours, memory) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - hours).powi(2)).sum();
    let together: f64 = points
        .iter()
        .map(|point| (point.0 - hours) * (point.1 - memory))
        .sum();
    if spread == 0.0 {
        0.0
    } else {
        together / spread
    }
}

fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap();
    files
        .map(|file| file.unwrap().metadata().map_or(0, |file| file.len()))
        .sum()
}
