//! The work is made in steps, and killed between any two, or anywhere.

use std::{
    fmt::Write,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use harness::{
    bare::{APP_ID, config},
    engine,
    program::{self, Program},
    seed::{World as Seeds, fill, seeded_at},
};
use jimo_connect::{
    clock::Clock,
    host::Host,
    log::{Entry, EntryKind, EventLog, Lane, Position},
    model::ConnectionId,
    pipeline::mapping::{self, NewMappings},
    store::Tx,
    sync::erasures::{Step, step},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{nowhere, somewhere};

// Without anything in common, for the log has what comes a second time as a reference.
pub(super) const SECRET: &str = "her innermost secret";
const OPEN: &str = "nobody minds this";

/// Deliveries of so many bytes make the log as long as several steps take.
const PADDING_BYTES: usize = 3 * 1024 * 1024;

const LONG: usize = 6;

/// An event of a seeded user's contact.
pub(super) fn event(user: u64, what: &str, more: &str) -> String {
    format!(
        r#"{{"portalId":{},"appId":{APP_ID},"objectId":{},"occurredAt":{},"subscriptionType":"contact.{what}"{more}}}"#,
        Seeds::portal(0),
        Seeds::contact(user),
        seeded_at().0 + 3_600_000,
    )
}

pub(super) fn says(user: u64, text: &str) -> String {
    let more = format!(r#","propertyName":"property_0","propertyValue":"{text}""#);
    event(user, "propertyChange", &more)
}

/// Opens a host that does nothing by itself.
pub(super) async fn open(directory: &Path) -> Host {
    let url = "http://127.0.0.1:1".parse().unwrap();
    engine::open(config(directory), url, Clock::system())
        .await
        .unwrap()
}

/// Applies all that is in the log.
pub(super) async fn apply(host: &Host) {
    let tail = *host.log.tail().borrow();
    let stop = CancellationToken::new();
    let (pipeline, until) = (host.pipeline.clone(), stop.clone());
    let working = tokio::spawn(async move { pipeline.run(until).await });
    let mut applied = host.pipeline.applied();
    applied.wait_for(|place| *place >= tail).await.unwrap();
    stop.cancel();
    working.await.unwrap();
}

pub(super) async fn append(host: &Host, events: &[String]) {
    append_to(&host.log, events).await;
}

async fn append_to(log: &EventLog, events: &[String]) {
    let entry = Entry {
        kind: EntryKind::Delivery,
        connector: "hubspot".into(),
        lane: Lane(i64::try_from(Seeds::portal(0)).unwrap()),
        received_at: Clock::system().now(),
        body: format!("[{}]", events.join(",")).into(),
    };
    log.append(entry).await.unwrap();
}

async fn positions(host: &Host) -> Vec<Position> {
    let all = host.log.list(Position(0), usize::MAX).await.unwrap();
    all.into_iter().map(|entry| entry.position).collect()
}

/// A directory in which a record was just erased, and nothing is rewritten.
async fn erased() -> (TempDir, Vec<Position>) {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), Seeds::of(20, 1)).await;
    let host = open(directory.path()).await;
    append(&host, &[says(7, SECRET), says(8, OPEN)]).await;
    let padding = "x".repeat(PADDING_BYTES);
    for _ in 0..LONG {
        let padded = event(9, "creation", &format!(r#","sourceId":"{padding}""#));
        append(&host, &[padded, says(7, SECRET)]).await;
    }
    append(&host, &[event(7, "privacyDeletion", "")]).await;
    apply(&host).await;
    append(&host, &[says(7, SECRET), says(8, OPEN)]).await;
    apply(&host).await;
    let positions = positions(&host).await;
    drop(host);
    somewhere(directory.path(), &[SECRET, OPEN]);
    (directory, positions)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_let_go_of_is_gone_before_an_erasure_is_over() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), Seeds::of(20, 1)).await;
    let host = open(directory.path()).await;
    append(&host, &[says(7, SECRET), says(8, OPEN)]).await;
    apply(&host).await;
    // Nothing is mapped any more, and what was kept of the records is let go of behind.
    let (keys, now) = (host.keys.clone(), host.clock.now());
    let unmapped = host.store.transact(move |tx| {
        let nothing = NewMappings {
            mappings: Vec::new(),
            options: Vec::new(),
            options_read_at: now,
        };
        mapping::save(tx, &keys, ConnectionId(1), &nothing, false, now)
    });
    unmapped.await.unwrap();
    append(&host, &[event(7, "privacyDeletion", "")]).await;
    apply(&host).await;
    let until = async |last: fn(Step) -> bool| loop {
        let step = step(&host).await.unwrap();
        assert_ne!(step, Step::Nothing);
        if last(step) || matches!(step, Step::Ended(_)) {
            return step;
        }
    };
    assert_eq!(until(|step| step == Step::Waits).await, Step::Waits);
    let store = rusqlite::Connection::open(directory.path().join("store.sqlite")).unwrap();
    let held = "SELECT (SELECT count(*) FROM registers WHERE text = ?1)
                     + (SELECT count(*) FROM user_values WHERE value = ?1)";
    let held: i64 = store.query_one(held, [SECRET], |row| row.get(0)).unwrap();
    assert_eq!(held, 2);
    drop(store);
    while host.store.transact(|tx| tx.purge_records(7)).await.unwrap() > 0 {}
    assert_eq!(until(|step| step == Step::Waits).await, Step::Waits);
    let release = |tx: &Tx<'_>| match tx.next_release(&[])? {
        Some(release) => tx.release_more(release, 7).map(|()| true),
        None => Ok(false),
    };
    while host.store.transact(release).await.unwrap() {}
    assert_eq!(until(|_| false).await, Step::Ended(1));
    nowhere(directory.path(), &[SECRET]);
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_whatever_step_it_ended_at() {
    let (original, before) = erased().await;
    let mut done = Vec::new();
    for ended_after in 0.. {
        let directory = copy(original.path());
        let host = open(directory.path()).await;
        let mut steps = Vec::new();
        while steps.len() < ended_after && steps.last() != Some(&Step::Nothing) {
            steps.push(step(&host).await.unwrap());
        }
        let was_done = steps.last() == Some(&Step::Nothing);
        // Closing moves what is written; a kill would leave it beside the file.
        drop(host);
        let host = open(directory.path()).await;
        while step(&host).await.unwrap() != Step::Nothing {}
        nowhere(directory.path(), &[SECRET]);
        somewhere(directory.path(), &[OPEN]);
        assert_eq!(positions(&host).await, before);
        if was_done {
            done = steps;
            break;
        }
    }
    // It took several, of each kind.
    assert!(
        done.iter().filter(|one| **one == Step::Searched).count() > 2,
        "{done:?}"
    );
    assert!(done.contains(&Step::RewroteLate), "{done:?}");
    assert!(done.contains(&Step::Ended(1)), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_keeps_nothing_from_being_erased_and_goes_itself() {
    let (directory, before) = erased().await;
    let log = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    // The first names her, and what is left of it still does.
    let damage = "UPDATE entries SET body = substr(body, 1, length(body) - 9) WHERE position = 1";
    assert_eq!(log.execute(damage, []).unwrap(), 1);
    drop(log);
    let host = open(directory.path()).await;
    while step(&host).await.unwrap() != Step::Nothing {}
    nowhere(directory.path(), &[SECRET]);
    somewhere(directory.path(), &[OPEN]);
    assert_eq!(positions(&host).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_anew_with_another_log_that_is_gone_on_with() {
    let (directory, _) = erased().await;
    for suffix in ["", "-wal", "-shm"] {
        // A file closed in order has no write-ahead log any more.
        let _ = std::fs::remove_file(directory.path().join(format!("log.sqlite{suffix}")));
    }
    // Shorter than the one that is gone.
    let log = EventLog::open(directory.path()).await.unwrap();
    append_to(&log, &[says(7, SECRET), says(8, OPEN)]).await;
    drop(log);
    program::printed(directory.path(), &["log", "accept"]);
    let host = open(directory.path()).await;
    apply(&host).await;
    let mut steps = Vec::new();
    while steps.last() != Some(&Step::Nothing) {
        steps.push(step(&host).await.unwrap());
    }
    assert!(steps.contains(&Step::Ended(1)), "{steps:?}");
    nowhere(directory.path(), &[SECRET]);
    somewhere(directory.path(), &[OPEN]);
}

/// How often the program is killed, where `KILL_ROUNDS` does not say.
const ROUNDS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_whenever_the_program_is_killed() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (directory, before) = erased().await;
    for round in 0..rounds {
        let program = Program::start(directory.path(), &program::alone());
        let mut others = String::from("[");
        for user in 10..20 {
            write!(others, "{},", says(user, OPEN)).unwrap();
        }
        let body = format!("{others}{}]", says(7, SECRET));
        let count = AtomicUsize::new(0);
        let bodies = vec![body; 20];
        // Rather at once at first, and later after some of the work.
        std::thread::scope(|scope| {
            let url = program.url.clone();
            let (bodies, count) = (&bodies, &count);
            let sending = scope.spawn(move || crate::durability::send(&url, bodies, 2, count));
            while count.load(Ordering::Relaxed) < 5 && !sending.is_finished() {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_millis(u64::from(round * 7 % 60)));
            program.kill();
        });
    }
    let host = open(directory.path()).await;
    apply(&host).await;
    while step(&host).await.unwrap() != Step::Nothing {}
    nowhere(directory.path(), &[SECRET]);
    somewhere(directory.path(), &[OPEN]);
    let after = positions(&host).await;
    assert!(after.starts_with(&before) && after.len() > before.len());
    assert!(after.is_sorted());
}
