//! A disk that is full, nearly full, or cannot be written: deliveries are
//! refused with 503, it is said, nothing is lost, and the host goes on. Where it
//! cannot sync, the host ends, and the next start goes on.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    bare::{CLIENT_SECRET, client, send},
    program::{self, Program},
};
use jimo_connect::{
    clock::Clock,
    intake,
    log::{Entry, EntryKind, EventLog, Lane},
};
use tempfile::TempDir;

use super::{
    changes::{Changes, logged, outcome, seed},
    random::Random,
    small_disk::SmallDisk,
};

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Users whose contacts change.
const USERS: u64 = 100;

/// A disk that a tenth of is 6.4 MiB, which intake leaves free.
const DISK_MEBIBYTES: u32 = 64;

const MIB: u64 = 1 << 20;

/// The calls that sync.
const SYNCS: &str = "fsync,fdatasync";

/// The program on a small disk, its log on the same disk.
fn start(disk: &SmallDisk) -> Program {
    let log = disk.seen(&disk.data()).join("program.log");
    Program::start_under(&disk.command(), &disk.data(), &log, &program::alone())
}

async fn page(program: &Program, path: &str) -> (u16, String) {
    let url = format!("{}{path}", program.url);
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Delivers a body; what is refused is refused with 503, and told when to come
/// back.
async fn is_taken_in(program: &Program, body: &str) -> bool {
    let url = format!("{}{}", program.url, intake::PATH);
    let answer = send(&url, CLIENT_SECRET, body.to_owned().into_bytes()).await;
    let answer = answer.unwrap();
    if answer.status() == 204 {
        return true;
    }
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    false
}

async fn until(is_true: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_true().await {
        assert!(begun.elapsed() < PATIENCE, "it does not become true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn metric(metrics: &str, name: &str) -> u64 {
    let name = format!("jimo_connect_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_refused_before_the_disk_is_full_and_taken_in_when_there_is_room() {
    let disk = SmallDisk::new(DISK_MEBIBYTES);
    disk.put(TempDir::new().unwrap().path());
    let program = start(&disk);
    assert!(is_taken_in(&program, "[]").await);

    disk.fill(3 * MIB);
    // Deliveries until it is seen would take what is left.
    until(async || page(&program, "/health/ready").await.0 == 503).await;
    assert!(!is_taken_in(&program, "[]").await);
    let (status, said) = page(&program, "/health/ready").await;
    assert_eq!(status, 503);
    assert!(
        said.contains("disk is nearly full"),
        "{said}: {}",
        program.log()
    );
    let (_, metrics) = page(&program, "/metrics").await;
    assert!(metric(&metrics, "disk_free_bytes") < metric(&metrics, "disk_reserve_bytes"));
    assert_eq!(metric(&metrics, "log_failing"), 0);
    let logged = program.log();
    assert_eq!(logged.matches("the disk is nearly full").count(), 1);
    // The store still has its part.
    let created = run(&disk, &["project", "create", "Acme"]);
    assert!(created.status.success(), "{created:?}");

    disk.free();
    until(async || is_taken_in(&program, "[]").await).await;
    until(async || page(&program, "/health/ready").await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_filled_under_load_loses_nothing_and_the_host_goes_on() {
    let seeded = TempDir::new().unwrap();
    let project = seed(seeded.path(), USERS).await;
    let disk = SmallDisk::new(DISK_MEBIBYTES);
    disk.put(seeded.path());
    let program = start(&disk);
    let changes = Changes::new(Random::seeded_by("ROOM_SEED"), USERS, 100);
    let (changes, answered) = (Mutex::new(changes), Mutex::new(Vec::new()));
    let deliver = async || {
        let body = changes.lock().unwrap().take(1).remove(0);
        let taken_in = is_taken_in(&program, &body).await;
        if taken_in {
            answered.lock().unwrap().push(body);
        }
        taken_in
    };
    let is_full = AtomicBool::new(false);
    let load = async {
        // Until it is full and says so, and so often once more.
        let mut refused = 0;
        while refused < 20 {
            let taken_in = deliver().await;
            refused += u32::from(!taken_in && is_full.load(Ordering::Relaxed));
        }
    };
    let filling = async {
        until(async || answered.lock().unwrap().len() > 20).await;
        tokio::task::block_in_place(|| disk.fill(0));
        is_full.store(true, Ordering::Relaxed);
    };
    let filled_under_load = async { tokio::join!(load, filling) };
    tokio::time::timeout(PATIENCE, filled_under_load)
        .await
        .expect("it is refused in time");
    assert_eq!(page(&program, "/health/live").await.0, 200);
    assert_eq!(page(&program, "/health/ready").await.0, 503);

    disk.free();
    until(deliver).await;
    until(async || page(&program, "/health/ready").await.0 == 200).await;
    let panicked = program.log().contains("panicked");
    assert!(!panicked, "{}", program.log());
    program.kill();
    let left = disk.take();
    let outcome = outcome(left.path(), &[project]).await;
    let answered = answered.into_inner().unwrap();
    let fault = outcome.fault(&answered.iter().collect::<Vec<_>>(), USERS);
    assert_eq!(fault, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_keeps_only_for_replays_is_let_go_before_deliveries_are_refused() {
    let seeded = TempDir::new().unwrap();
    seed(seeded.path(), 1).await;
    let log = EventLog::open(seeded.path()).await.unwrap();
    // Taken in while the clock was ahead.
    let ahead = Entry {
        kind: EntryKind::Delivery,
        connector: "hubspot".into(),
        lane: Lane::default(),
        received_at: Clock::system().now().plus(Duration::from_secs(86_400)),
        body: "[]".into(),
    };
    log.append(ahead).await.unwrap();
    drop(log);
    let disk = SmallDisk::new(DISK_MEBIBYTES);
    disk.put(seeded.path());
    let program = start(&disk);
    // Digits that do not repeat each other, which the log could compress.
    let mut random = Random::seeded_by("ROOM_SEED");
    let digits = (0..10_000).map(|_| format!("\"{:016x}\",", random.below(u64::MAX)));
    let body = format!("[{}\"\"]", digits.collect::<String>());
    for _ in 0..10 {
        assert!(is_taken_in(&program, &body).await);
    }
    until(async || metric(&page(&program, "/metrics").await.1, "log_waiting") == 0).await;
    // Short, and not yet too little.
    disk.fill(11 * MIB);
    until(async || {
        let left = disk.take();
        let log = EventLog::open(left.path()).await.unwrap();
        logged(&log).await.is_empty()
    })
    .await;
    assert!(is_taken_in(&program, "[]").await);
    assert_eq!(page(&program, "/health/ready").await.0, 200);
}

#[test]
fn a_read_only_disk_stops_the_start_and_says_so() {
    let disk = SmallDisk::new(16);
    disk.put(TempDir::new().unwrap().path());
    let created = run(&disk, &["project", "create", "Acme"]);
    assert!(created.status.success(), "{created:?}");
    disk.read_only();
    let refused = run(&disk, &["serve"]);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    let file = disk.data().join("store.sqlite");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert!(said.contains("read-only"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_is_told_and_what_was_answered_204_is_kept() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &program::alone());
    assert!(is_taken_in(&program, "[1]").await);
    // What a file system does to those who write once it has found a fault.
    let mut fault = failing(&program, "pwrite64,ftruncate", "EROFS", None);

    until(async || !is_taken_in(&program, "[2]").await).await;
    let (status, said) = page(&program, "/health/ready").await;
    assert_eq!((status, said.contains("cannot be written")), (503, true));
    assert_eq!(page(&program, "/health/live").await.0, 200);
    let (_, metrics) = page(&program, "/metrics").await;
    assert_eq!(metric(&metrics, "log_failing"), 1);
    assert!(!is_taken_in(&program, "[3]").await);
    let lines = program.log();
    let said = lines
        .matches("a delivery could not be made durable")
        .count();
    assert_eq!(said, 1, "{lines}");
    assert!(lines.contains("has become read-only"), "{lines}");

    fault.kill().unwrap();
    fault.wait().unwrap();
    until(async || is_taken_in(&program, "[4]").await).await;
    until(async || page(&program, "/health/ready").await.0 == 200).await;
    program.kill();
    let log = EventLog::open(directory.path()).await.unwrap();
    let kept = logged(&log).await;
    assert_eq!(kept.first().unwrap(), b"[1]");
    assert_eq!(kept.last().unwrap(), b"[4]");
    assert!(!kept.contains(&b"[3]".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_ends_the_program_and_the_next_start_goes_on() {
    let directory = TempDir::new().unwrap();
    let project = seed(directory.path(), USERS).await;
    let program = Program::start(directory.path(), &program::alone());
    let mut changes = Changes::new(Random::seeded_by("ROOM_SEED"), USERS, 100);
    let mut answered = changes.take(20);
    for body in &answered {
        assert!(is_taken_in(&program, body).await);
    }
    let fault = failing(&program, SYNCS, "EIO", None);
    let body = changes.take(1).remove(0);
    let url = format!("{}{}", program.url, intake::PATH);
    let unanswered = send(&url, CLIENT_SECRET, body.into_bytes()).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    ends_unsynced(program, fault).await;

    let program = Program::start(directory.path(), &program::alone());
    let last = changes.take(1).remove(0);
    assert!(is_taken_in(&program, &last).await);
    program.kill();
    answered.push(last);
    let outcome = outcome(directory.path(), &[project]).await;
    let fault = outcome.fault(&answered.iter().collect::<Vec<_>>(), USERS);
    assert_eq!(fault, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_whose_sync_fails_ends_the_program_and_all_of_it_is_made_again() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &program::alone());
    // Nothing but checkpoints syncs the log's file itself.
    let file = directory.path().join("log.sqlite");
    let fault = failing(&program, SYNCS, "EIO", Some(&file));
    // A text that is no event, and that the log cannot compress.
    let mut random = Random::seeded_by("ROOM_SEED");
    let mut body = || {
        let digits = (0..16_000).map(|_| format!("{:016x}", random.below(u64::MAX)));
        format!("[\"{}\"]", digits.collect::<String>())
    };
    let url = format!("{}{}", program.url, intake::PATH);
    let mut answered = Vec::new();
    let delivering = async {
        loop {
            let body = body();
            match send(&url, CLIENT_SECRET, body.clone().into_bytes()).await {
                Ok(answer) if answer.status() == 204 => answered.push(body.into_bytes()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, delivering).await;
    assert!(ended.is_ok(), "it goes on after {}", answered.len());
    ends_unsynced(program, fault).await;
    drop(Program::start(directory.path(), &program::alone()));
    let log = EventLog::open(directory.path()).await.unwrap();
    let kept = logged(&log).await;
    assert!(answered.iter().all(|body| kept.contains(body)));
}

/// Has these calls of a running program fail, all or those on one of its files.
fn failing(program: &Program, calls: &str, error: &str, file: Option<&Path>) -> Child {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null"]);
    if let Some(file) = file {
        command.arg("-P").arg(file);
    }
    let mut fault = command
        .arg("-e")
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:error={error}"))
        .arg("-p")
        .arg(program.id().to_string())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What it says later finds somebody who might listen.
    let mut told = BufReader::new(fault.stderr.as_mut().unwrap()).lines();
    let attached = told.any(|line| line.unwrap().contains("attached"));
    assert!(attached, "it is not traced");
    fault
}

/// The program ends by itself, and says once why, and of which file.
async fn ends_unsynced(mut program: Program, mut fault: Child) {
    let ended = program.ended().await;
    assert_eq!(ended.signal(), Some(6), "{}", program.log());
    fault.wait().unwrap();
    let lines = program.log();
    let said = lines.matches("a file could not be synced to disk").count();
    assert_eq!(said, 1, "{lines}");
    assert!(lines.contains(".sqlite"), "{lines}");
}

/// Runs the program there to its end.
fn run(disk: &SmallDisk, arguments: &[&str]) -> Output {
    let command = disk.command();
    Command::new(&command[0])
        .args(&command[1..])
        .arg(program::path())
        .args(arguments)
        .env("JIMO_DATA_DIR", disk.data())
        .env("JIMO_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap()
}
