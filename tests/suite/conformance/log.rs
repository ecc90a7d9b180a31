//! What every event log must do.

use bytes::Bytes;
use jimo_connect::{
    log::{Cursor, Entry, EntryKind, EventLog, Lane, Listed, Position},
    model::Timestamp,
};
use tempfile::TempDir;

fn entry(body: &'static str, received_at: i64) -> Entry {
    Entry {
        kind: EntryKind::Delivery,
        connector: "hubspot".into(),
        lane: Lane(received_at),
        received_at: Timestamp(received_at),
        body: Bytes::from_static(body.as_bytes()),
    }
}

async fn positions(log: &EventLog) -> Vec<i64> {
    let all = log.read(Position(0), usize::MAX, usize::MAX).await.unwrap();
    all.into_iter().map(|entry| entry.position.0).collect()
}

#[tokio::test]
async fn entries_come_back_in_order_after_reopening() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for (body, at) in [("[1]", 5), ("[2]", 4), ("[3]", 6)] {
        log.append(entry(body, at)).await.unwrap();
    }
    let identity = log.identity().to_owned();
    drop(log);
    let log = EventLog::open(directory.path()).await.unwrap();
    assert_eq!(log.identity(), identity);
    assert_eq!(*log.tail().borrow(), Position(3));
    let all = log.read(Position(0), 10, usize::MAX).await.unwrap();
    let bodies: Vec<_> = all.iter().map(|entry| entry.body.as_slice()).collect();
    assert_eq!(bodies, [b"[1]", b"[2]", b"[3]"]);
    assert_eq!(all[1].received_at, Timestamp(4));
}

#[tokio::test]
async fn what_is_listed_can_be_read_one_by_one() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for (body, at) in [("[1]", 5), ("[22]", 4), ("[333]", 6)] {
        log.append(entry(body, at)).await.unwrap();
    }
    let listed = |position, lane, bytes| Listed {
        position: Position(position),
        lane: Lane(lane),
        bytes,
    };
    let after_first = log.list(Position(1), 10).await.unwrap();
    assert_eq!(after_first, [listed(2, 4, 4), listed(3, 6, 5)]);
    assert_eq!(log.list(Position(0), 1).await.unwrap(), [listed(1, 5, 3)]);
    let asked = [3, 1, 9].map(Position).to_vec();
    let read = log.read_at(asked).await.unwrap();
    let bodies: Vec<_> = read.iter().map(|entry| entry.body.as_slice()).collect();
    assert_eq!(bodies, [b"[333]".as_slice(), b"[1]"]);
}

#[tokio::test]
async fn a_position_is_never_used_twice_not_even_after_trimming() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for _ in 0..3 {
        log.append(entry("[]", 1)).await.unwrap();
    }
    assert_eq!(log.trim(Position(3), Timestamp(2)).await.unwrap(), 3);
    drop(log);
    let log = EventLog::open(directory.path()).await.unwrap();
    assert_eq!(*log.tail().borrow(), Position(3));
    assert_eq!(log.append(entry("[]", 1)).await.unwrap(), Position(4));
}

#[tokio::test]
async fn trimming_keeps_what_is_not_applied_and_what_is_not_old() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for at in [1, 2, 3, 9] {
        log.append(entry("[]", at)).await.unwrap();
    }
    log.trim(Position(2), Timestamp(5)).await.unwrap();
    assert_eq!(positions(&log).await, [3, 4]);
    log.trim(Position(4), Timestamp(5)).await.unwrap();
    assert_eq!(positions(&log).await, [4]);
}

#[tokio::test]
async fn a_read_is_bounded_by_entries_and_bytes_and_gives_at_least_one() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for _ in 0..4 {
        log.append(entry("[1234567]", 1)).await.unwrap();
    }
    assert_eq!(log.read(Position(1), 2, usize::MAX).await.unwrap().len(), 2);
    assert_eq!(log.read(Position(0), 10, 1).await.unwrap().len(), 1);
    assert_eq!(log.read(Position(0), 10, 10).await.unwrap().len(), 2);
    assert!(
        log.read(Position(4), 10, usize::MAX)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appends_at_once_all_get_a_place_of_their_own() {
    let directory = TempDir::new().unwrap();
    let log = std::sync::Arc::new(EventLog::open(directory.path()).await.unwrap());
    let appends: Vec<_> = (0..500)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(entry("[]", 1)).await.unwrap().0 })
        })
        .collect();
    let mut places = Vec::new();
    for append in appends {
        places.push(append.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=500).collect::<Vec<_>>());
    assert_eq!(positions(&log).await, places);
}

fn cursor(place: &str) -> Cursor {
    Cursor {
        name: "another log".to_owned(),
        place: place.to_owned(),
    }
}

#[tokio::test]
async fn what_is_taken_from_another_log_is_there_with_the_place_behind_it() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    let mut tail = log.tail();
    assert_eq!(log.cursor("another log").await.unwrap(), None);
    let entries = vec![entry("[1]", 5), entry("[2]", 6)];
    log.append_all(entries, cursor("a")).await.unwrap();
    assert_eq!(*tail.borrow_and_update(), Position(2));
    // There may be nothing but the place.
    log.append_all(Vec::new(), cursor("b")).await.unwrap();
    assert!(!tail.has_changed().unwrap());
    drop(log);
    let log = EventLog::open(directory.path()).await.unwrap();
    assert_eq!(positions(&log).await, [1, 2]);
    let place = log.cursor("another log").await.unwrap();
    assert_eq!(place.as_deref(), Some("b"));
    assert_eq!(log.cursor("a third").await.unwrap(), None);
}

#[tokio::test]
async fn a_place_that_cannot_be_kept_leaves_none_of_its_entries() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    log.append_all(vec![entry("[1]", 5)], cursor("a"))
        .await
        .unwrap();
    let tail = log.tail();
    let other = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    for (table, what) in [("cursors", "UPDATE"), ("entries", "INSERT")] {
        let refuse = format!(
            "CREATE TRIGGER refuse BEFORE {what} ON {table}
             BEGIN SELECT raise(ABORT, 'a test'); END"
        );
        other.execute_batch(&refuse).unwrap();
        let entries = vec![entry("[2]", 6), entry("[3]", 7)];
        log.append_all(entries, cursor("b")).await.unwrap_err();
        other.execute_batch("DROP TRIGGER refuse").unwrap();
        assert_eq!(positions(&log).await, [1], "{table}");
        let place = log.cursor("another log").await.unwrap();
        assert_eq!(place.as_deref(), Some("a"), "{table}");
        assert_eq!(*tail.borrow(), Position(1));
    }
    log.append_all(vec![entry("[2]", 6)], cursor("b"))
        .await
        .unwrap();
    assert_eq!(log.read(Position(0), 9, 99).await.unwrap().len(), 2);
}
