//! Waits for values to become readable, beside the host: through a read-only
//! connection to the store's file, so that the host does nothing for it.

use std::{
    path::Path,
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, params};

/// How often is looked.
const EVERY: Duration = Duration::from_micros(250);

/// How long a value may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A value that will be there.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The first and the last user who will have it.
    pub users: [i64; 2],
    /// The variable.
    pub variable: i64,
    /// The value.
    pub value: String,
}

/// A probe whose request was to be sent at a moment.
pub struct Sent {
    /// When.
    pub planned: Instant,
    /// The probe.
    pub probe: Probe,
}

/// A probe's value was seen.
pub struct Seen {
    /// When its request was to be sent.
    pub planned: Instant,
    /// How long after that the value was seen.
    pub took: Duration,
    /// How many users had it at that moment.
    pub users: u64,
}

/// Waits for the value of every probe that is sent, until nobody sends any.
pub fn watch(directory: &Path, sent: Receiver<Sent>) -> Vec<Seen> {
    let store = Store::open(directory);
    let mut waiting: Vec<Sent> = Vec::new();
    let mut seen = Vec::new();
    loop {
        match sent.try_recv() {
            Ok(sent) => {
                waiting.push(sent);
                continue;
            }
            Err(TryRecvError::Disconnected) if waiting.is_empty() => return seen,
            // Nothing is looked at while nothing is waited for.
            Err(TryRecvError::Empty) if waiting.is_empty() => match sent.recv() {
                Ok(sent) => waiting.push(sent),
                Err(_) => return seen,
            },
            Err(_) => {}
        }
        waiting.retain(|sent| {
            let users = store.users_with(&sent.probe);
            let took = sent.planned.elapsed();
            assert!(took < PATIENCE, "{:?} is not there", sent.probe);
            let planned = sent.planned;
            seen.extend((users > 0).then_some(Seen {
                planned,
                took,
                users,
            }));
            users == 0
        });
        std::thread::sleep(EVERY);
    }
}

/// The store's file, to be read.
pub struct Store(Connection);

impl Store {
    /// Opens the store of a data directory.
    pub fn open(directory: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Connection::open_with_flags(directory.join("store.sqlite"), flags).unwrap();
        store.pragma_update(None, "mmap_size", 1_i64 << 30).unwrap();
        Self(store)
    }

    /// How many users have a value, at the moment at which the first has it.
    pub fn users_with(&self, probe: &Probe) -> u64 {
        let [first, last] = probe.users;
        let is = |user: i64| {
            let mut statement = self.0.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM user_values
                    WHERE user = ?1 AND variable = ?2 AND value = ?3)",
            );
            let statement = statement.as_mut().unwrap();
            let found: rusqlite::Result<bool> =
                statement.query_row(params![user, probe.variable, probe.value], |row| row.get(0));
            found.unwrap()
        };
        if first == last {
            return u64::from(is(first));
        }
        // One snapshot: what is counted is as it was when the first was seen.
        let snapshot = self.0.unchecked_transaction().unwrap();
        let mut users = 0;
        if is(first) {
            let mut statement = self.0.prepare_cached(
                "SELECT count(*) FROM user_values
                 WHERE user BETWEEN ?1 AND ?2 AND variable = ?3 AND value = ?4",
            );
            let statement = statement.as_mut().unwrap();
            let counted = statement
                .query_row(params![first, last, probe.variable, probe.value], |row| {
                    row.get::<_, i64>(0)
                });
            users = counted.unwrap().unsigned_abs();
        }
        snapshot.commit().unwrap();
        users
    }

    /// A user's value, where it is a text.
    pub fn value(&self, user: i64, variable: i64) -> Option<String> {
        let mut statement = self
            .0
            .prepare_cached("SELECT value FROM user_values WHERE user = ?1 AND variable = ?2")
            .unwrap();
        statement
            .query_row(params![user, variable], |row| row.get(0))
            .ok()
    }
}
