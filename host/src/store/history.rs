//! What happened since connections were made: counts, and what was set aside.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Error, Tx};
use crate::{
    log::{EntryKind, Position},
    model::{AccountKey, ConnectionId, Timestamp},
};

/// A delivery, or a part of one, that could not be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is in the log.
    pub position: Position,
    /// What it is.
    pub kind: EntryKind,
    /// The account, where it is of one.
    pub account: Option<AccountKey>,
    /// Why.
    pub reason: String,
    /// The plugin version that failed, by digest.
    pub plugin: Option<String>,
    /// The bytes: a JSON array of elements, or a whole body.
    pub body: Vec<u8>,
}

/// Why, and when, something could not be worked on.
#[derive(Clone, Debug)]
pub struct Aside {
    /// When it was set aside.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Tx<'_> {
    /// Adds to a connection's counts.
    pub fn add_counts(
        &self,
        connection: ConnectionId,
        counts: &BTreeMap<String, i64>,
    ) -> Result<(), Error> {
        let mut statement = self.statement(
            "INSERT INTO counts (connection, name, count) VALUES (?1, ?2, ?3)
             ON CONFLICT (connection, name) DO UPDATE SET count = count + excluded.count",
        )?;
        for (name, count) in counts {
            statement.execute(params![connection.0, name, count])?;
        }
        Ok(())
    }

    /// A connection's counts.
    pub fn counts(&self, connection: ConnectionId) -> Result<BTreeMap<String, i64>, Error> {
        let mut statement =
            self.statement("SELECT name, count FROM counts WHERE connection = ?1")?;
        let rows = statement.query_map([connection.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Says when a connection last took in a delivery.
    pub fn set_last_delivery(&self, connection: ConnectionId, at: Timestamp) -> Result<(), Error> {
        self.statement(
            "UPDATE connections SET last_delivery_at = ?2
                 WHERE id = ?1 AND coalesce(last_delivery_at, 0) < ?2",
        )?
        .execute(params![connection.0, at.0])?;
        Ok(())
    }

    /// When a connection last took in a delivery.
    pub fn last_delivery(&self, connection: ConnectionId) -> Result<Option<Timestamp>, Error> {
        Ok(self
            .statement("SELECT last_delivery_at FROM connections WHERE id = ?1")?
            .query_one([connection.0], |row| super::optional_timestamp(row, 0))?)
    }

    /// Sets something aside.
    pub fn set_aside(&self, what: &SetAside, now: Timestamp) -> Result<(), Error> {
        self.statement(
            "INSERT INTO set_aside (position, kind, account, at, reason, plugin, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            what.position.0,
            what.kind as i64,
            what.account.as_ref().map(AccountKey::as_str),
            now.0,
            what.reason,
            what.plugin,
            what.body
        ])?;
        Ok(())
    }

    /// The newest parts of deliveries of an account that could not be worked on, at
    /// most `limit`.
    pub fn set_aside_of(&self, account: &AccountKey, limit: usize) -> Result<Vec<Aside>, Error> {
        let mut statement = self.statement(
            "SELECT at, reason, body FROM set_aside WHERE account = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![account.as_str(), limit], |row| {
            Ok(Aside {
                at: Timestamp(row.get(0)?),
                reason: row.get(1)?,
                body: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Removes what was set aside before a moment.
    pub fn trim_set_aside(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM set_aside WHERE at < ?1")?
            .execute([before.0])?;
        Ok(())
    }

    /// Removes what was set aside of an account.
    pub fn drop_set_aside(&self, account: &AccountKey) -> Result<(), Error> {
        self.statement("DELETE FROM set_aside WHERE account = ?1")?
            .execute([account.as_str()])?;
        Ok(())
    }

    /// What was set aside, oldest first.
    pub fn all_set_aside(&self) -> Result<Vec<SetAside>, Error> {
        let mut statement = self.statement(
            "SELECT position, kind, account, reason, plugin, body FROM set_aside ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(SetAside {
                position: Position(row.get(0)?),
                kind: entry_kind(row.get(1)?),
                account: row.get::<_, Option<String>>(2)?.map(AccountKey::from),
                reason: row.get(3)?,
                plugin: row.get(4)?,
                body: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The kind of entry that a stored number means.
pub(super) fn entry_kind(stored: i64) -> EntryKind {
    if stored == EntryKind::JournalFile as i64 {
        EntryKind::JournalFile
    } else {
        EntryKind::Delivery
    }
}
