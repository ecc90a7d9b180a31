//! The brake of what comes live: whose values a connection lost lately, and
//! what is not done until somebody lets it go on.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Tx, optional_timestamp, reselections::selection, timestamp};
use crate::model::{ConnectionId, MappingId, Timestamp, UserId};

/// Where the brake of a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brake {
    /// How many users may lose values, by those that were counted at
    /// `counted_at`.
    pub losses_max: u64,
    /// When its users were counted.
    pub counted_at: Timestamp,
    /// What is lost up to this moment is not counted.
    pub losses_from: Timestamp,
    /// Since when it is held, where it is.
    pub held_at: Option<Timestamp>,
}

/// A connection that is held, and whom it would take values from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How many users.
    pub users: u64,
    /// Some of them.
    pub examples: Vec<UserId>,
}

impl Tx<'_> {
    /// Where the brake of a connection stands.
    pub fn brake(&self, connection: ConnectionId) -> Result<Brake, Error> {
        let found = self
            .statement(
                "SELECT losses_max, counted_at, losses_from, held_at FROM brakes
                 WHERE connection = ?1",
            )?
            .query_row([connection.0], |row| {
                Ok(Brake {
                    losses_max: row.get::<_, i64>(0)?.unsigned_abs(),
                    counted_at: timestamp(row, 1)?,
                    losses_from: timestamp(row, 2)?,
                    held_at: optional_timestamp(row, 3)?,
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// These users lose values. Returns how many did after `since`, with them.
    pub fn add_losses(
        &self,
        connection: ConnectionId,
        users: &BTreeSet<UserId>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let mut insert = self.statement(
            "INSERT INTO losses (connection, user, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (connection, user) DO UPDATE SET at = excluded.at",
        )?;
        for user in users {
            insert.execute(params![connection.0, user.0, now.0])?;
        }
        let lost: i64 = self
            .statement("SELECT count(*) FROM losses WHERE connection = ?1 AND at > ?2")?
            .query_one([connection.0, since.0], |row| row.get(0))?;
        Ok(lost.unsigned_abs())
    }

    /// Who lost values after a moment.
    pub fn lost_since(
        &self,
        connection: ConnectionId,
        since: Timestamp,
    ) -> Result<Vec<UserId>, Error> {
        let mut statement =
            self.statement("SELECT user FROM losses WHERE connection = ?1 AND at > ?2")?;
        let rows = statement.query_map([connection.0, since.0], |row| row.get(0).map(UserId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets who lost values up to a moment, at most `limit`. Returns how many.
    pub fn trim_losses(
        &self,
        connection: ConnectionId,
        up_to: Timestamp,
        limit: usize,
    ) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM losses WHERE (connection, user) IN (
                SELECT connection, user FROM losses WHERE connection = ?1 AND at <= ?2 LIMIT ?3)",
        )?;
        Ok(statement.execute(params![connection.0, up_to.0, limit])?)
    }

    /// How many users a connection feeds, or fed until they lost values after
    /// `since`.
    pub fn users_fed_since(
        &self,
        connection: ConnectionId,
        since: Timestamp,
    ) -> Result<u64, Error> {
        let count: i64 = self
            .statement(
                "SELECT count(*) FROM (
                    SELECT f.user FROM object_mappings m
                    JOIN feeds f ON f.mapping = m.id WHERE m.connection = ?1
                    UNION
                    SELECT user FROM losses WHERE connection = ?1 AND at > ?2)",
            )?
            .query_one([connection.0, since.0], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// So many users of a connection may lose values, by those counted now.
    pub fn allow_losses(
        &self,
        connection: ConnectionId,
        losses_max: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO brakes (connection, losses_max, counted_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (connection) DO UPDATE SET
                losses_max = excluded.losses_max, counted_at = excluded.counted_at",
        )?
        .execute(params![
            connection.0,
            i64::try_from(losses_max).unwrap_or(i64::MAX),
            now.0
        ])?;
        Ok(())
    }

    /// A connection is held from now on.
    pub fn hold_connection(&self, connection: ConnectionId, now: Timestamp) -> Result<(), Error> {
        self.statement(
            "INSERT INTO brakes (connection, held_at) VALUES (?1, ?2)
             ON CONFLICT (connection) DO UPDATE SET held_at = excluded.held_at, has_held = 0",
        )?
        .execute([connection.0, now.0])?;
        self.connection_changed(connection)
    }

    /// A connection is held no more; losses count from a moment on.
    pub fn release_connection(
        &self,
        connection: ConnectionId,
        losses_from: Timestamp,
    ) -> Result<(), Error> {
        self.statement("UPDATE brakes SET held_at = NULL, losses_from = ?2 WHERE connection = ?1")?
            .execute([connection.0, losses_from.0])?;
        self.connection_changed(connection)
    }

    /// What is held of a connection; none where it is not held.
    pub fn held(&self, connection: ConnectionId, examples: usize) -> Result<Option<Held>, Error> {
        if self.brake(connection)?.held_at.is_none() {
            return Ok(None);
        }
        let users: i64 = self
            .statement(
                "SELECT count(DISTINCT h.user) FROM object_mappings m
                 JOIN held_selections h ON h.mapping = m.id WHERE m.connection = ?1",
            )?
            .query_one([connection.0], |row| row.get(0))?;
        let mut statement = self.statement(
            "SELECT DISTINCT h.user FROM object_mappings m
             JOIN held_selections h ON h.mapping = m.id WHERE m.connection = ?1 LIMIT ?2",
        )?;
        let limit = i64::try_from(examples).unwrap_or(i64::MAX);
        let found = statement.query_map([connection.0, limit], |row| row.get(0).map(UserId))?;
        Ok(Some(Held {
            users: users.unsigned_abs(),
            examples: found.collect::<Result<_, _>>()?,
        }))
    }

    /// How many connections are held.
    pub fn held_connections_count(&self) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT count(*) FROM brakes WHERE held_at IS NOT NULL")?
            .query_one([], |row| row.get(0))?)
    }

    /// Connections that are held and of which nothing is held any more: it was
    /// let go of, or never came since `before`.
    pub fn connections_held_for_nothing(
        &self,
        before: Timestamp,
    ) -> Result<Vec<ConnectionId>, Error> {
        let mut statement = self.statement(
            "SELECT connection FROM brakes b
             WHERE held_at IS NOT NULL AND (has_held OR held_at <= ?1)
               AND NOT EXISTS (
                SELECT 1 FROM object_mappings m JOIN held_selections h ON h.mapping = m.id
                WHERE m.connection = b.connection)",
        )?;
        let rows = statement.query_map([before.0], |row| row.get(0).map(ConnectionId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Selections that are held of a connection, at most `limit`.
    fn held_selections(
        &self,
        connection: ConnectionId,
        limit: usize,
    ) -> Result<Vec<(MappingId, UserId)>, Error> {
        let mut statement = self.statement(
            "SELECT h.mapping, h.user FROM object_mappings m
             JOIN held_selections h ON h.mapping = m.id WHERE m.connection = ?1 LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map([connection.0, limit], selection)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A user is fed as before: their selection is held.
    pub fn hold_selection(&self, mapping: MappingId, user: UserId) -> Result<(), Error> {
        let added = self
            .statement("INSERT OR IGNORE INTO held_selections (mapping, user) VALUES (?1, ?2)")?
            .execute([mapping.0, user.0])?;
        if added > 0 {
            self.statement(
                "UPDATE brakes SET has_held = 1 WHERE NOT has_held AND connection = (
                    SELECT connection FROM object_mappings WHERE id = ?1)",
            )?
            .execute([mapping.0])?;
        }
        Ok(())
    }

    /// Whether any selection of a connection is held, or was and is not made anew
    /// yet.
    pub fn has_held_selections(&self, connection: ConnectionId) -> Result<bool, Error> {
        Ok(!self.held_selections(connection, 1)?.is_empty())
    }

    /// A connection that was released feeds as it selects again.
    pub fn released_selections_done(&self, connection: ConnectionId) -> Result<(), Error> {
        self.connection_changed(connection)
    }

    /// Whether a user's selection is held.
    pub fn is_selection_held(&self, mapping: MappingId, user: UserId) -> Result<bool, Error> {
        let found = self
            .statement("SELECT 1 FROM held_selections WHERE mapping = ?1 AND user = ?2")?
            .query_row([mapping.0, user.0], |_| Ok(()))
            .optional()?;
        Ok(found.is_some())
    }

    /// A user is fed as selected: nothing of it is held.
    pub fn let_selection_go(&self, mapping: MappingId, user: UserId) -> Result<(), Error> {
        self.statement("DELETE FROM held_selections WHERE mapping = ?1 AND user = ?2")?
            .execute([mapping.0, user.0])?;
        Ok(())
    }

    /// The first connection that is held no more and of which selections still are, but
    /// for those that are passed over.
    pub fn next_released(&self, passed: &[i64]) -> Result<Option<ConnectionId>, Error> {
        let next: Option<i64> = self
            .statement(
                "SELECT min(c.id) FROM brakes b
                 JOIN connections c ON c.id = b.connection
                 WHERE b.held_at IS NULL AND c.account IS NOT NULL AND EXISTS (
                    SELECT 1 FROM object_mappings m JOIN held_selections h ON h.mapping = m.id
                    WHERE m.connection = c.id)
                   AND c.id NOT IN (SELECT value FROM json_each(?1))",
            )?
            .query_one([json!(passed).to_string()], |row| row.get(0))?;
        Ok(next.map(ConnectionId))
    }

    /// What was held of a connection, at most `limit` users; nothing while it is held.
    pub fn released_selections(
        &self,
        connection: ConnectionId,
        limit: usize,
    ) -> Result<Vec<(MappingId, UserId)>, Error> {
        match self.brake(connection)?.held_at {
            Some(_) => Ok(Vec::new()),
            None => self.held_selections(connection, limit),
        }
    }
}
