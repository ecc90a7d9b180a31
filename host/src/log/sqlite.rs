//! The event log in a file of SQLite.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use super::{
    Cursor, Entry, EntryKind, Error, Lane, Listed, Logged, Place, Position,
    body::{Stored, restored},
};
use crate::{
    lock::{self, DirectoryLock},
    model::Timestamp,
    sqlite::{self, Database, Options, no_functions},
};

const FILE_NAME: &str = "log.sqlite";

/// A large delivery, compressed, is some kilobytes: a few fit, and a commit writes little
/// beside them.
const PAGE_SIZE_BYTES: u32 = 16 * 1024;

/// What is appended is read once more, soon after: the system's own cache has
/// it.
const CACHE_KIBIBYTES: u32 = 8 * 1024;

/// No answer waits for the disk for long while they are synced.
const MOVED_BYTES: u32 = 4 * 1024 * 1024;

const LONG_BYTES: u32 = 32 * 1024 * 1024;

/// Entries that one transaction removes, so that trimming never holds up an
/// append for long.
const TRIM_ENTRIES: i64 = 500;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/log/0001_log.sql"),
    include_str!("../../migrations/sqlite/log/0002_lanes.sql"),
    include_str!("../../migrations/sqlite/log/0003_cursors.sql"),
    include_str!("../../migrations/sqlite/log/0004_connectors.sql"),
    include_str!("../../migrations/sqlite/log/0005_compressed.sql"),
    include_str!("../../migrations/sqlite/log/0006_checksums.sql"),
];

/// The event log. See the module's documentation for what it promises.
pub struct EventLog {
    database: Database,
    identity: String,
    kept_from: Position,
    tail: watch::Sender<Position>,
}

impl EventLog {
    /// Opens the log in `directory`, or makes it there. One of an earlier release is
    /// brought up to date, unless a host works on it.
    pub async fn open(directory: &Path) -> Result<Self, Error> {
        let database = lock::open(directory, &options(directory))?;
        let fresh = uuid::Uuid::new_v4().to_string();
        let (identity, kept_from, tail) = database
            .write(move |connection| {
                connection.execute(
                    "INSERT INTO identity (one, identity) VALUES (1, ?1) ON CONFLICT DO NOTHING",
                    [fresh],
                )?;
                let identity =
                    connection.query_one("SELECT identity FROM identity", [], |row| row.get(0))?;
                let tail = last_position(connection)?;
                Ok::<_, Error>((identity, kept_from(connection, tail)?, tail))
            })
            .await?;
        Ok(Self {
            database,
            identity,
            kept_from,
            tail: watch::Sender::new(tail),
        })
    }

    /// Brings the log of a directory up to date, where one is there.
    pub fn migrate(alone: &DirectoryLock) -> Result<(), Error> {
        Ok(sqlite::migrate(&options(alone.directory()))?)
    }

    /// The log's identity, made with it.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The position of the oldest entry that was kept when the log was opened;
    /// that of the next one to come, where none was.
    pub fn kept_from(&self) -> Position {
        self.kept_from
    }

    /// The position of the newest entry that was ever appended, and a signal
    /// when it moves.
    pub fn tail(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    /// Appends an entry. Returns once it is synced to disk.
    pub async fn append(&self, entry: Entry) -> Result<Position, Error> {
        let bodies = Stored::all(vec![entry.body.clone()]).await;
        let position = self
            .database
            .write_once(move |connection| insert(connection, &entry, &bodies[0]))
            .await?;
        self.announce(position);
        Ok(position)
    }

    /// Appends entries, in their order, and moves a cursor, all or nothing.
    /// Returns once it is synced to disk. Waits where more waits than the log
    /// can take.
    pub async fn append_all(&self, entries: Vec<Entry>, cursor: Cursor) -> Result<(), Error> {
        let bodies = Stored::all(entries.iter().map(|one| one.body.clone()).collect()).await;
        let last = self
            .database
            .write(move |connection| {
                let mut last = None;
                for (entry, body) in entries.iter().zip(&bodies) {
                    last = Some(insert(connection, entry, body)?);
                }
                connection
                    .prepare_cached(
                        "INSERT INTO cursors (name, place) VALUES (?1, ?2)
                         ON CONFLICT (name) DO UPDATE SET place = excluded.place",
                    )?
                    .execute([&cursor.name, &cursor.place])?;
                Ok::<_, Error>(last)
            })
            .await?;
        if let Some(position) = last {
            self.announce(position);
        }
        Ok(())
    }

    /// The place of a cursor; none where it was never moved.
    pub async fn cursor(&self, name: &str) -> Result<Option<String>, Error> {
        let name = name.to_owned();
        self.database
            .read(move |connection| {
                let found = connection
                    .query_row("SELECT place FROM cursors WHERE name = ?1", [name], |row| {
                        row.get(0)
                    })
                    .optional()?;
                Ok(found)
            })
            .await
    }

    /// Says that something was appended there.
    fn announce(&self, position: Position) {
        self.tail.send_if_modified(|tail| {
            let moved = position > *tail;
            *tail = position.max(*tail);
            moved
        });
    }

    /// The entries after a position, in order: at most `entries_max`, and no
    /// more after their bytes together pass `bytes_max`.
    pub async fn read(
        &self,
        after: Position,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Logged>, Error> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT position, kind, connector, received_at, body, uncompressed_bytes, checksum
                     FROM entries WHERE position > ?1 ORDER BY position",
                )?;
                let mut rows = statement.query([after.0])?;
                let mut entries = Vec::new();
                let mut bytes = 0;
                while entries.len() < entries_max
                    && bytes < bytes_max
                    && let Some(row) = rows.next()?
                {
                    let entry = logged(row)?;
                    bytes += entry.body.len();
                    entries.push(entry);
                }
                Ok(entries)
            })
            .await
    }

    /// The position behind which stands what was received since a moment: what was
    /// received at nearly one moment may stand in another order.
    pub async fn before(&self, since: Timestamp) -> Result<Position, Error> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT position, received_at FROM entries
                     WHERE position > ?1 ORDER BY position LIMIT 1",
                )?;
                // All up to `low` is older, nothing behind `high` is.
                let (mut low, mut high) = (0, last_position(connection)?.0);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let next: Option<(i64, i64)> = statement
                        .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()?;
                    match next {
                        Some((position, received_at)) if received_at < since.0 => low = position,
                        _ => high = middle,
                    }
                }
                Ok(Position(low))
            })
            .await
    }

    /// What is after a position, in order, without its bytes: at most
    /// `entries_max`.
    pub async fn list(&self, after: Position, entries_max: usize) -> Result<Vec<Listed>, Error> {
        self.database
            .read(move |connection| {
                // A body's length is told without reading it; other columns stand
                // behind it, so of one larger than a page the rest is passed.
                let mut statement = connection.prepare_cached(
                    "SELECT position, lane, ifnull(uncompressed_bytes, length(body)) FROM entries
                     WHERE position > ?1 ORDER BY position LIMIT ?2",
                )?;
                let entries_max = i64::try_from(entries_max).unwrap_or(i64::MAX);
                let rows = statement.query_map([after.0, entries_max], |row| {
                    Ok(Listed {
                        position: Position(row.get(0)?),
                        lane: Lane(row.get(1)?),
                        // A damaged one has no body.
                        bytes: u32::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// When the oldest entry of each lane that is not done was received, as far
    /// as the first `entries_max` after what is done tell.
    pub async fn oldest_waiting(
        &self,
        place: Place,
        entries_max: usize,
    ) -> Result<BTreeMap<Lane, Timestamp>, Error> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT position, lane, received_at FROM entries
                     WHERE position > ?1 ORDER BY position LIMIT ?2",
                )?;
                let entries_max = i64::try_from(entries_max).unwrap_or(i64::MAX);
                let mut rows = statement.query([place.up_to.0, entries_max])?;
                let mut oldest = BTreeMap::new();
                while let Some(row) = rows.next()? {
                    let entry = Listed {
                        position: Position(row.get(0)?),
                        lane: Lane(row.get(1)?),
                        bytes: 0,
                    };
                    if !place.is_done(&entry) {
                        oldest.entry(entry.lane).or_insert(Timestamp(row.get(2)?));
                    }
                }
                Ok(oldest)
            })
            .await
    }

    /// The entries at these positions, in their order. What was trimmed is left
    /// out.
    pub async fn read_at(&self, positions: Vec<Position>) -> Result<Vec<Logged>, Error> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT position, kind, connector, received_at, body, uncompressed_bytes, checksum
                     FROM entries WHERE position = ?1",
                )?;
                let mut entries = Vec::with_capacity(positions.len());
                for position in positions {
                    let mut rows = statement.query([position.0])?;
                    entries.extend(rows.next()?.map(logged).transpose()?);
                }
                Ok(entries)
            })
            .await
    }

    /// Removes the oldest entries up to a position that were received before a
    /// moment. Returns how many; call again while it is not zero. Looks at no
    /// more entries than it may remove: appends wait meanwhile.
    pub async fn trim(&self, up_to: Position, before: Timestamp) -> Result<usize, Error> {
        self.database
            .write(move |connection| {
                let removed = connection.execute(
                    "DELETE FROM entries WHERE position IN (
                        SELECT position FROM (
                            SELECT position, received_at FROM entries
                            WHERE position <= ?1 ORDER BY position LIMIT ?3)
                        WHERE received_at < ?2)",
                    params![up_to.0, before.0, TRIM_ENTRIES],
                )?;
                Ok(removed)
            })
            .await
    }

    /// Gives entries other bytes, fewer than they had. What was trimmed meanwhile
    /// is left out. Returns once it is synced to disk; the bytes they had may
    /// still be in the write-ahead log ([`Self::empty_write_ahead_log`]).
    pub async fn rewrite(&self, bodies: Vec<(Position, Vec<u8>)>) -> Result<(), Error> {
        let (positions, bodies): (Vec<_>, Vec<_>) = bodies.into_iter().unzip();
        let bodies = Stored::all(bodies.into_iter().map(Bytes::from).collect()).await;
        self.database
            .write(move |connection| {
                let mut statement = connection.prepare_cached(
                    "UPDATE entries SET body = ?2, uncompressed_bytes = ?3, checksum = ?4
                     WHERE position = ?1",
                )?;
                for (position, body) in positions.iter().zip(&bodies) {
                    statement.execute(params![
                        position.0,
                        &body.bytes[..],
                        body.uncompressed_bytes,
                        body.checksum
                    ])?;
                }
                Ok(())
            })
            .await
    }

    /// Moves all that was committed into the file, and empties the write-ahead
    /// log. Returns whether it could: a reader may be in the way for a moment.
    pub async fn empty_write_ahead_log(&self) -> Result<bool, Error> {
        Ok(self.database.empty_write_ahead_log().await?)
    }

    /// The bytes of the file that trimming has left free: what is appended
    /// fills them before the file grows.
    pub async fn reusable_bytes(&self) -> Result<u64, Error> {
        Ok(self.database.reusable_bytes().await?)
    }

    /// Writes what changes nothing. Returns once it is synced to disk, as an
    /// append would.
    pub async fn probe(&self) -> Result<(), Error> {
        self.database
            .write(|connection| {
                connection.execute("UPDATE identity SET identity = identity", [])?;
                Ok(())
            })
            .await
    }
}

fn options(directory: &Path) -> Options {
    Options {
        path: directory.join(FILE_NAME),
        page_size_bytes: PAGE_SIZE_BYTES,
        cache_kibibytes: CACHE_KIBIBYTES,
        moved_bytes: MOVED_BYTES,
        long_bytes: LONG_BYTES,
        migrations: MIGRATIONS,
        functions: no_functions,
    }
}

fn insert(connection: &Connection, entry: &Entry, body: &Stored) -> Result<Position, Error> {
    connection
        .prepare_cached(
            "INSERT INTO entries
                (kind, connector, lane, received_at, body, uncompressed_bytes, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            entry.kind as i64,
            entry.connector,
            entry.lane.0,
            entry.received_at.0,
            &body.bytes[..],
            body.uncompressed_bytes,
            body.checksum,
        ])?;
    Ok(Position(connection.last_insert_rowid()))
}

fn kept_from(connection: &Connection, tail: Position) -> Result<Position, Error> {
    let oldest: Option<i64> =
        connection.query_one("SELECT min(position) FROM entries", [], |row| row.get(0))?;
    Ok(Position(oldest.unwrap_or(tail.0 + 1)))
}

fn last_position(connection: &Connection) -> Result<Position, Error> {
    let sequence: Option<i64> = connection
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'entries'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(Position(sequence.unwrap_or(0)))
}

/// Reads an entry from a row of its position, kind, connector, moment, what is stored of
/// its body, how many bytes this has, and the checksum.
fn logged(row: &rusqlite::Row<'_>) -> Result<Logged, Error> {
    let stored = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let body = restored(stored, row.get(5)?, row.get(6)?);
    let kind = row.get(1)?;
    Ok(Logged {
        position: Position(row.get(0)?),
        kind: EntryKind::from_number(kind).ok_or(Error::UnknownKind(kind))?,
        connector: row.get(2)?,
        received_at: Timestamp(row.get(3)?),
        is_damaged: body.is_none(),
        body: body.unwrap_or_default(),
    })
}
