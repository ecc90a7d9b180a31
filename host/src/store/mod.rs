//! The user store: projects, users and their values, connections and mappings,
//! and what the sync keeps of the source's records.
//!
//! What a store promises:
//! - A call that writes returns after its transaction is synced to disk, and
//!   does all or nothing; but what is read from the log, and moves the place in it, is
//!   synced later: a power cut may undo the last of it, place and all, and the log has
//!   it again ([`Store::transact_logged`]).
//! - What the pipeline writes for a batch, the reads it asks for and the place
//!   in the log move in one transaction ([`Store::transact`]).
//! - Work prepared under an older configuration is never applied: a transaction
//!   can ask for [`Tx::configuration`] and compare.
//! - A user is made by Jimo's own side ([`users`]) alone.
//!
//! It decides nothing: which value wins, which record feeds a user and what to
//! read are the pipeline's.

mod bindings;
mod encode;
mod error;
mod filters;
mod sought;
mod statements;
pub mod trials;

pub mod activity;
pub mod alerts;
pub mod audience;
pub mod brakes;
pub mod choices;
pub mod connections;
pub mod conversions;
pub mod drafts;
pub mod erasures;
pub mod history;
pub mod hours;
pub mod journal;
pub mod links;
pub mod lookups;
pub mod mappings;
pub mod members;
mod operators;
pub mod people_links;
pub mod plugins;
pub mod projects;
pub mod proofs;
pub mod reach;
pub mod reads;
pub mod records;
pub mod registers;
pub mod releases;
pub mod reselections;
pub mod runs;
pub mod segments;
pub mod sessions;
pub mod set_aside;
pub mod shadows;
pub mod users;
pub mod variables;

use std::{cell::RefCell, collections::HashMap, path::Path, sync::Arc};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Semaphore;

pub use error::Error;
use statements::{InUse, Statements};

use crate::{
    lock::{self, DirectoryLock},
    log::{Lane, Place, Position, Step},
    model::{AccountId, ConnectionId, ObjectType, Timestamp, VariableId},
    sqlite::{self, Database, Options},
};

const FILE_NAME: &str = "store.sqlite";

const PAGE_SIZE_BYTES: u32 = 4_096;

/// What a million values need to be changed at random without reading most of
/// their pages again.
const CACHE_KIBIBYTES: u32 = 128 * 1024;

/// No answer waits for the disk for long while they are synced.
const MOVED_BYTES: u32 = 4 * 1024 * 1024;

const LONG_BYTES: u32 = 80 * 1024 * 1024;

/// Transactions that write much and wait for the writer at once: it has always one more
/// to begin, and whoever writes little waits for these alone, however many accounts are
/// at work.
const MUCH_AT_ONCE: usize = 4;

/// As [`MUCH_AT_ONCE`], of those that can wait.
const BEHIND_AT_ONCE: usize = 2;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/store/0001_store.sql"),
    include_str!("../../migrations/sqlite/store/0002_conversions.sql"),
    include_str!("../../migrations/sqlite/store/0003_reads.sql"),
    include_str!("../../migrations/sqlite/store/0004_lanes.sql"),
    include_str!("../../migrations/sqlite/store/0005_runs.sql"),
    include_str!("../../migrations/sqlite/store/0006_lookups.sql"),
    include_str!("../../migrations/sqlite/store/0007_journal.sql"),
    include_str!("../../migrations/sqlite/store/0008_labels.sql"),
    include_str!("../../migrations/sqlite/store/0009_erasures.sql"),
    include_str!("../../migrations/sqlite/store/0010_brake.sql"),
    include_str!("../../migrations/sqlite/store/0011_lookups_missing.sql"),
    include_str!("../../migrations/sqlite/store/0012_segments.sql"),
    include_str!("../../migrations/sqlite/store/0013_members.sql"),
    include_str!("../../migrations/sqlite/store/0014_health.sql"),
    include_str!("../../migrations/sqlite/store/0015_drafts.sql"),
    include_str!("../../migrations/sqlite/store/0016_run_examples.sql"),
    include_str!("../../migrations/sqlite/store/0017_installs.sql"),
    include_str!("../../migrations/sqlite/store/0018_plugin_versions.sql"),
    include_str!("../../migrations/sqlite/store/0019_bounds.sql"),
    include_str!("../../migrations/sqlite/store/0020_shadow.sql"),
    include_str!("../../migrations/sqlite/store/0021_connectors.sql"),
    include_str!("../../migrations/sqlite/store/0022_operators.sql"),
    include_str!("../../migrations/sqlite/store/0023_pages.sql"),
    include_str!("../../migrations/sqlite/store/0024_trials.sql"),
    include_str!("../../migrations/sqlite/store/0025_activity_users.sql"),
    include_str!("../../migrations/sqlite/store/0026_due.sql"),
    include_str!("../../migrations/sqlite/store/0027_plugin_descriptions.sql"),
    include_str!("../../migrations/sqlite/store/0028_releases.sql"),
    include_str!("../../migrations/sqlite/store/0029_reselections.sql"),
    include_str!("../../migrations/sqlite/store/0030_configuration.sql"),
    include_str!("../../migrations/sqlite/store/0031_plugin_failing.sql"),
    include_str!("../../migrations/sqlite/store/0032_run_users.sql"),
    include_str!("../../migrations/sqlite/store/0033_provisional_feeds.sql"),
    include_str!("../../migrations/sqlite/store/0034_provisional_until.sql"),
];

/// The user store. See the module's documentation for what it promises.
pub struct Store {
    database: Database,
    /// Places of transactions that write much, in the order in which they are asked for.
    much: Arc<Semaphore>,
    behind: Arc<Semaphore>,
}

/// A transaction, or a snapshot when it only reads.
pub struct Tx<'c> {
    connection: &'c Connection,
    object_types: RefCell<HashMap<ObjectType, i64>>,
    statements: Statements<'c>,
    /// How users are found by the values of variables that were looked up.
    sought: RefCell<HashMap<VariableId, sought::Sought>>,
}

impl Store {
    /// Opens the store in `directory`, or makes it there. One of an earlier release is
    /// brought up to date, unless a host works on it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            database: lock::open(directory, &options(directory))?,
            much: Arc::new(Semaphore::new(MUCH_AT_ONCE)),
            behind: Arc::new(Semaphore::new(BEHIND_AT_ONCE)),
        })
    }

    /// Brings the store of a directory up to date, where one is there.
    pub fn migrate(alone: &DirectoryLock) -> Result<(), Error> {
        Ok(sqlite::migrate(&options(alone.directory()))?)
    }

    /// Runs `work` in a transaction; its error undoes all that it wrote.
    pub async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database
            .write(|connection| work(&Tx::new(connection)))
            .await
    }

    /// As [`Self::transact`], for work that may write more than some pages: whole
    /// batches, and what is done for all records or users at once. A few such
    /// transactions wait for the writer at once, and others until these are done.
    pub async fn transact_much<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.transact_in(&self.much, work).await
    }

    /// As [`Self::transact_much`], for what nobody waits for: it has places of its own,
    /// and fewer.
    pub async fn transact_behind<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.transact_in(&self.behind, work).await
    }

    /// Runs `work` in a transaction that has a place until it is run, whoever waits for it.
    async fn transact_in<T, E>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlite::Error> + Send + 'static,
    {
        let place = places.clone().acquire_owned().await;
        let place = place.map_err(|_| sqlite::Error::Closed)?;
        self.database
            .write_much(move |connection| {
                let done = work(&Tx::new(connection));
                drop(place);
                done
            })
            .await
    }

    /// As [`Self::transact`], for what comes of the log alone and moves the place in it
    /// ([`Tx::move_log_place`]), however much that writes. It does not wait for the disk, for
    /// after a power cut that undid it it is done again.
    pub async fn transact_logged<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database
            .write_repeatable(|connection| work(&Tx::new(connection)))
            .await
    }

    /// Has all on disk that was committed before. What is taken from the log for good
    /// waits for it.
    pub async fn sync(&self) -> Result<(), Error> {
        Ok(self.database.sync().await?)
    }

    /// The place in the log up to which everything is done, and on disk.
    pub async fn synced_log_position(&self) -> Result<Position, Error> {
        let position = self.read(|tx| tx.log_position()).await?;
        self.sync().await?;
        Ok(position)
    }

    /// The bytes of the file that nothing is in: what is written fills them before the
    /// file grows.
    pub async fn reusable_bytes(&self) -> Result<u64, Error> {
        Ok(self.database.reusable_bytes().await?)
    }

    /// Runs `work` in a transaction, and undoes all that it wrote.
    pub async fn rehearse<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let rehearsed = self.transact_in(&self.much, |tx| {
            let done = work(tx);
            Err::<(), _>(done.map_or_else(Rehearsed::Failed, Rehearsed::Done))
        });
        match rehearsed.await {
            Err(Rehearsed::Done(done)) => Ok(done),
            Err(Rehearsed::Failed(error)) => Err(error),
            // It always fails, so that it is undone.
            Ok(()) => Err(Error::NotFound("rehearsal")),
        }
    }

    /// Moves all that was committed into the file, and empties the write-ahead
    /// log. Returns whether it could: a reader may be in the way for a moment.
    pub async fn empty_write_ahead_log(&self) -> Result<bool, Error> {
        Ok(self.database.empty_write_ahead_log().await?)
    }

    /// Runs `work` on a snapshot, as a question over all users of a project, which
    /// may take long: few are asked at once, and nobody else's reading waits.
    ///
    /// # Errors
    ///
    /// [`sqlite::Error::TookTooLong`], beside those of `work`.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database
            .ask(|connection| work(&Tx::new(connection)))
            .await
    }

    /// Runs `work` on a snapshot; it must not write.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database
            .read(|connection| work(&Tx::new(connection)))
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
        functions: audience::functions,
    }
}

/// How a rehearsal ends: it fails either way, so that it is undone.
enum Rehearsed<T> {
    Done(T),
    Failed(Error),
}

impl<T> From<sqlite::Error> for Rehearsed<T> {
    fn from(error: sqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<'c> Tx<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            object_types: RefCell::default(),
            statements: Statements::default(),
            sought: RefCell::default(),
        }
    }

    /// A prepared statement.
    fn statement(&self, sql: &'static str) -> Result<InUse<'_, 'c>, Error> {
        Ok(self.statements.get(self.connection, sql)?)
    }

    /// Does to what has this id what a statement says. Returns to how many rows.
    fn execute_by_id(&self, sql: &'static str, id: i64) -> Result<usize, Error> {
        Ok(self.statement(sql)?.execute([id])?)
    }

    /// The place in the log up to which everything is done.
    pub fn log_position(&self) -> Result<Position, Error> {
        Ok(Position(self.connection.query_one(
            "SELECT log_position FROM state",
            [],
            |row| row.get(0),
        )?))
    }

    /// How far the log is done.
    pub fn log_place(&self) -> Result<Place, Error> {
        let mut statement = self.statement("SELECT lane, position FROM lanes")?;
        let ahead =
            statement.query_map([], |row| Ok((Lane(row.get(0)?), Position(row.get(1)?))))?;
        Ok(Place {
            up_to: self.log_position()?,
            ahead: ahead.collect::<Result<_, _>>()?,
        })
    }

    /// Moves the place in the log. It never moves back.
    pub fn move_log_place(&self, step: &Step) -> Result<(), Error> {
        self.statement("UPDATE state SET log_position = ?1 WHERE log_position < ?1")?
            .execute([step.up_to.0])?;
        let mut ahead = self.statement(
            "INSERT INTO lanes (lane, position) VALUES (?1, ?2)
             ON CONFLICT (lane) DO UPDATE SET position = max(position, excluded.position)",
        )?;
        for (lane, position) in &step.lanes {
            if *position > step.up_to {
                ahead.execute([lane.0, position.0])?;
            }
        }
        self.statement("DELETE FROM lanes WHERE position <= ?1")?
            .execute([step.up_to.0])?;
        Ok(())
    }

    /// The number of the configuration: it moves with every change of an account's
    /// connections, mappings or option tables.
    pub fn configuration(&self) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT configuration FROM state")?
            .query_one([], |row| row.get(0))?)
    }

    /// What an account's connections want changed.
    fn configuration_changed(&self, account: AccountId) -> Result<(), Error> {
        let configuration: i64 = self
            .statement(
                "UPDATE state SET configuration = configuration + 1 RETURNING configuration",
            )?
            .query_one([], |row| row.get(0))?;
        self.statement("UPDATE accounts SET configuration = ?2 WHERE id = ?1")?
            .execute([account.0, configuration])?;
        Ok(())
    }

    /// What a connection wants changed.
    fn connection_changed(&self, connection: ConnectionId) -> Result<(), Error> {
        let account = self
            .statement("SELECT account FROM connections WHERE id = ?1")?
            .query_row([connection.0], |row| row.get::<_, Option<i64>>(0))
            .optional()?;
        // One that waits for consent wants nothing yet.
        match account.flatten() {
            Some(account) => self.configuration_changed(AccountId(account)),
            None => Ok(()),
        }
    }

    /// The next number of the sequence that orders requests and reads.
    pub fn next_sequence(&self) -> Result<i64, Error> {
        Ok(self
            .statement("UPDATE state SET sequence = sequence + 1 RETURNING sequence")?
            .query_one([], |row| row.get(0))?)
    }

    fn object_type_id(&self, name: &ObjectType) -> Result<i64, Error> {
        if let Some(id) = self.object_types.borrow().get(name) {
            return Ok(*id);
        }
        let id = self.find_or_make_object_type(name)?;
        self.object_types.borrow_mut().insert(name.clone(), id);
        Ok(id)
    }

    fn object_type_name(&self, id: i64) -> Result<ObjectType, Error> {
        let mut statement = self.statement("SELECT name FROM object_types WHERE id = ?1")?;
        let name: String = statement.query_one([id], |row| row.get(0))?;
        Ok(name.into())
    }

    fn find_or_make_object_type(&self, name: &ObjectType) -> Result<i64, Error> {
        let known = self
            .statement("SELECT id FROM object_types WHERE name = ?1")?
            .query_row([name.as_str()], |row| row.get(0))
            .optional()?;
        match known {
            Some(id) => Ok(id),
            None => Ok(self
                .statement("INSERT INTO object_types (name) VALUES (?1) RETURNING id")?
                .query_one([name.as_str()], |row| row.get(0))?),
        }
    }
}

fn timestamp(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp)
}

fn optional_timestamp(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(Timestamp))
}

/// A database of a store that holds nothing.
#[cfg(test)]
fn empty() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().expect("opens");
    audience::functions(&connection).expect("functions");
    for migration in MIGRATIONS {
        connection.execute_batch(migration).expect("a schema");
    }
    connection
}

/// The steps by which SQLite makes a query of the store.
#[cfg(test)]
fn query_plan(sql: &str) -> Vec<String> {
    let connection = empty();
    let explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"));
    let mut explained = explained.expect("a statement");
    let steps = explained.raw_query().mapped(|row| row.get("detail"));
    steps.collect::<Result<_, _>>().expect("a plan")
}
