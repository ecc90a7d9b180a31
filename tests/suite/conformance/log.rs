//! What every event log must do.

use bytes::Bytes;
use jimo_connect::{
    log::{Cursor, Entry, EntryKind, EventLog, Lane, Listed, Position},
    model::Timestamp,
};
use rusqlite::params;
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

/// A delivery of so many events, which repeat each other.
fn delivery(events: u64) -> Vec<u8> {
    let event = |number| {
        serde_json::json!({
            "eventId": 9_000_000 + number, "portalId": 1_001, "objectId": number * 7 % 1_000,
            "occurredAt": 1_790_000_000_000_u64 + number * 13,
            "subscriptionType": "contact.propertyChange", "propertyName": "jobtitle",
            "propertyValue": format!("Clerk {number}"), "changeSource": "CRM_UI",
        })
    };
    let events: Vec<_> = (0..events).map(event).collect();
    serde_json::to_vec(&events).unwrap()
}

/// Bytes that do not repeat each other.
fn noise(bytes: usize) -> Vec<u8> {
    let next = |seed: &u64| Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let numbers = std::iter::successors(Some(7), next).take(bytes);
    numbers.map(|number| (number >> 56) as u8).collect()
}

/// Those that a file stores in every way: as they come, and compressed.
fn bodies() -> [Vec<u8>; 5] {
    [
        b"[]".to_vec(),
        Vec::new(),
        delivery(100),
        noise(50_000),
        delivery(2_000),
    ]
}

fn with(body: Vec<u8>) -> Entry {
    Entry {
        body: body.into(),
        ..entry("", 1)
    }
}

#[tokio::test]
async fn bodies_come_back_as_they_came_and_their_lengths_are_of_what_came() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for body in bodies() {
        log.append(with(body)).await.unwrap();
    }
    let again = bodies().map(with).to_vec();
    log.append_all(again, cursor("a")).await.unwrap();
    drop(log);

    let log = EventLog::open(directory.path()).await.unwrap();
    let expected = [bodies(), bodies()].concat();
    let read = log.read(Position(0), 99, usize::MAX).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|entry| entry.body).collect();
    assert_eq!(read, expected);
    let asked = (1..=10).map(Position).collect();
    let read = log.read_at(asked).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|entry| entry.body).collect();
    assert_eq!(read, expected);
    let listed = log.list(Position(0), 99).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry.bytes as usize).collect();
    let lengths: Vec<_> = expected.iter().map(Vec::len).collect();
    assert_eq!(listed, lengths);
    // Bounds are of what came, too: the third body has more bytes than this.
    assert_eq!(log.read(Position(0), 99, 10_000).await.unwrap().len(), 3);
}

#[tokio::test]
async fn deliveries_take_a_third_of_their_bytes_at_most() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    let mut came = 0;
    for _ in 0..50 {
        let body = delivery(100);
        came += body.len() as u64;
        log.append(with(body)).await.unwrap();
    }
    assert!(log.empty_write_ahead_log().await.unwrap());
    let file = directory.path().join("log.sqlite").metadata().unwrap();
    assert!(file.len() < came / 3, "{} of {came}", file.len());
}

#[tokio::test]
async fn a_body_that_is_rewritten_is_the_new_one_whatever_the_two_take_in_the_file() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for body in [delivery(100), delivery(100), noise(50_000), delivery(9)] {
        log.append(with(body)).await.unwrap();
    }
    let rewritten = [(1, b"[]".to_vec()), (2, delivery(99)), (3, delivery(2))];
    let bodies = rewritten.map(|(position, body)| (Position(position), body));
    log.rewrite(bodies.to_vec()).await.unwrap();
    let read = log.read(Position(0), 99, usize::MAX).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|entry| entry.body).collect();
    let expected = [b"[]".to_vec(), delivery(99), delivery(2), delivery(9)];
    assert_eq!(read, expected);
    let listed = log.list(Position(0), 99).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry.bytes as usize).collect();
    assert_eq!(listed, expected.map(|body| body.len()));
}

#[tokio::test]
async fn what_an_earlier_release_wrote_is_read_as_it_came() {
    let directory = TempDir::new().unwrap();
    let earlier = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    earlier.pragma_update(None, "page_size", 32_768).unwrap();
    earlier.pragma_update(None, "journal_mode", "WAL").unwrap();
    for migration in [
        include_str!("../../../host/migrations/sqlite/log/0001_log.sql"),
        include_str!("../../../host/migrations/sqlite/log/0002_lanes.sql"),
        include_str!("../../../host/migrations/sqlite/log/0003_cursors.sql"),
        include_str!("../../../host/migrations/sqlite/log/0004_connectors.sql"),
    ] {
        earlier.execute_batch(migration).unwrap();
    }
    earlier.pragma_update(None, "user_version", 4).unwrap();
    let insert = "INSERT INTO entries (kind, received_at, lane, body) VALUES (1, 5, 3, ?1)";
    earlier.execute(insert, [delivery(100)]).unwrap();
    drop(earlier);

    let log = EventLog::open(directory.path()).await.unwrap();
    log.append(with(delivery(100))).await.unwrap();
    let read = log.read(Position(0), 99, usize::MAX).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|entry| entry.body).collect();
    assert_eq!(read, [delivery(100), delivery(100)]);
    let listed = log.list(Position(0), 99).await.unwrap();
    assert_eq!(listed[0].bytes, listed[1].bytes);
    let fewer = vec![(Position(1), delivery(99))];
    log.rewrite(fewer).await.unwrap();
    let read = log.read_at(vec![Position(1)]).await.unwrap();
    assert_eq!(read[0].body, delivery(99));
}

#[tokio::test]
async fn an_entry_whose_bytes_are_damaged_says_so_and_keeps_nobody_from_the_others() {
    let directory = TempDir::new().unwrap();
    let log = EventLog::open(directory.path()).await.unwrap();
    for _ in 0..3 {
        log.append(with(delivery(100))).await.unwrap();
    }
    let file = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    let stored = "SELECT body, uncompressed_bytes FROM entries WHERE position = 2";
    let (whole, bytes): (Vec<u8>, i64) = file
        .query_one(stored, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let cut = whole[..whole.len() / 2].to_vec();
    let mut other = whole.clone();
    other[0] ^= 0xff;
    // It says something else, of the same length.
    let mut turned = whole.clone();
    *turned.last_mut().unwrap() ^= 1;
    let damaged = [
        (cut, bytes),
        (other, bytes),
        (turned, bytes),
        (Vec::new(), bytes),
        (whole.clone(), bytes - 1),
        (whole.clone(), bytes + 1),
        (whole.clone(), i64::MAX),
        (whole, -1),
    ];
    for (body, bytes) in damaged {
        let damage = "UPDATE entries SET body = ?1, uncompressed_bytes = ?2 WHERE position = 2";
        file.execute(damage, params![body, bytes]).unwrap();
        let read = log.read(Position(0), 99, usize::MAX).await.unwrap();
        let at = [1, 2, 3].map(Position).to_vec();
        let read_at = log.read_at(at).await.unwrap();
        for entries in [read, read_at] {
            let told = entries.iter().map(|one| (one.is_damaged, one.body.len()));
            let length = delivery(100).len();
            let expected = [(false, length), (true, 0), (false, length)];
            assert_eq!(told.collect::<Vec<_>>(), expected, "{bytes}");
        }
        assert_eq!(log.list(Position(0), 99).await.unwrap().len(), 3);
    }
}
