//! The bindings between log, store and key, and a restart in order.

use std::path::Path;

use harness::{
    bare::{BareHost, config},
    engine,
    program::{self, Program},
};
use jimo_connect::{
    clock::Clock,
    host::{Error, Host},
    lock::DirectoryLock,
    log::{Lane, Position, Step},
    plugin::EMBEDDED,
    store,
};

#[tokio::test]
async fn work_goes_on_where_it_was_after_a_restart() {
    let host = BareHost::start(EMBEDDED).await;
    host.deliver("[1]").await;
    host.applied().await;
    let directory = host.stop().await;
    let reopened = open(directory.path()).await.unwrap();
    let place = reopened.store.read(|tx| tx.log_position()).await.unwrap();
    assert_eq!(place, Position(1));
    assert_eq!(
        reopened
            .store
            .read(|tx| tx.all_set_aside())
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_log_that_is_not_the_stores_stops_the_start() {
    let directory = BareHost::start(EMBEDDED).await.stop().await;
    remove(directory.path(), "log.sqlite");
    let error = open(directory.path()).await.err().unwrap();
    assert!(
        matches!(error, Error::Store(store::Error::ForeignLog)),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_from_an_older_backup_stops_the_start() {
    let host = BareHost::start(EMBEDDED).await;
    let directory = host.stop().await;
    let backup = std::fs::read(directory.path().join("log.sqlite")).unwrap();
    let running = open(directory.path()).await.unwrap();
    running.log.append(entry()).await.unwrap();
    running
        .store
        .transact(|tx| {
            tx.move_log_place(&Step {
                up_to: Position(1),
                lanes: Vec::new(),
            })
        })
        .await
        .unwrap();
    drop(running);
    remove(directory.path(), "log.sqlite");
    std::fs::write(directory.path().join("log.sqlite"), backup).unwrap();
    let error = open(directory.path()).await.err().unwrap();
    assert!(
        matches!(
            error,
            Error::Store(store::Error::LogBehind { log: 0, store: 1 })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn another_secret_key_stops_the_start() {
    let directory = BareHost::start(EMBEDDED).await.stop().await;
    std::fs::remove_file(directory.path().join("secret.key")).unwrap();
    let error = open(directory.path()).await.err().unwrap();
    assert!(
        matches!(error, Error::Store(store::Error::ForeignKeys)),
        "{error}"
    );
}

async fn open(directory: &Path) -> Result<Host, Error> {
    let url = "http://127.0.0.1:1".parse().unwrap();
    engine::open(config(directory), url, Clock::system()).await
}

fn entry() -> jimo_connect::log::Entry {
    jimo_connect::log::Entry {
        kind: jimo_connect::log::EntryKind::Delivery,
        connector: "hubspot".into(),
        lane: Lane::default(),
        received_at: Clock::system().now(),
        body: bytes::Bytes::from_static(b"[]"),
    }
}

fn remove(directory: &Path, name: &str) {
    for suffix in ["", "-wal", "-shm"] {
        // A file closed in order has no write-ahead log any more.
        let _ = std::fs::remove_file(directory.join(format!("{name}{suffix}")));
    }
}

/// A store that an earlier release made, with a read that waits.
fn earlier_store(directory: &Path) {
    let earlier = connection(directory);
    let first = include_str!("../../../host/migrations/sqlite/store/0001_store.sql");
    earlier.execute_batch(first).unwrap();
    earlier
        .execute_batch(
            "PRAGMA user_version = 1;
             INSERT INTO object_types (id, name) VALUES (1, 'contacts');
             INSERT INTO reads
                (account, object_type, to_type, record, requested, expected_at, not_before)
             VALUES (1, 1, 0, 7, 1, 0, 5);",
        )
        .unwrap();
}

fn connection(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("store.sqlite")).unwrap()
}

fn schema_version(directory: &Path) -> i64 {
    let version = "SELECT user_version FROM pragma_user_version";
    let version = connection(directory).query_one(version, [], |row| row.get(0));
    version.unwrap()
}

#[tokio::test]
async fn a_store_of_an_earlier_release_goes_on_with_what_waits_in_it() {
    let directory = tempfile::TempDir::new().unwrap();
    earlier_store(directory.path());
    let store = store::Store::open(directory.path()).unwrap();
    let next = store
        .read(|tx| tx.next_read(jimo_connect::model::AccountId(1)))
        .await
        .unwrap();
    let (due, kind) = next.unwrap();
    assert_eq!((due.0, kind.object_type.as_str()), (5, "contacts"));
}

#[test]
fn a_command_brings_no_store_up_to_date_that_a_host_works_on() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path();
    earlier_store(path);
    let host = DirectoryLock::take(path).unwrap();
    let said = program::refused(path, &["project", "list"]);
    assert!(said.contains("restart the host"), "{said}");
    assert_eq!(schema_version(path), 1);
    drop(host);
    program::printed(path, &["project", "list"]);
    assert!(schema_version(path) > 1);
    // What is as this release has it is opened beside a host.
    let _host = DirectoryLock::take(path).unwrap();
    program::printed(path, &["project", "list"]);
}

#[test]
fn a_host_brings_the_store_of_an_earlier_release_up_to_date() {
    let directory = tempfile::TempDir::new().unwrap();
    earlier_store(directory.path());
    let _program = Program::start(directory.path(), &program::alone());
    assert!(schema_version(directory.path()) > 1);
}
