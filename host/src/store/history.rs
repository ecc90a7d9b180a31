//! What happened: activity, counts, freshness, and what was set aside.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Error, Tx, encode, timestamp};
use crate::{
    log::{EntryKind, Position},
    model::{AccountKey, ConnectionId, ObjectType, RecordId, Timestamp, UserId},
};

/// Activity kept for each connection.
pub const ACTIVITY_ENTRIES_MAX: i64 = 10_000;

/// Hours for which freshness is kept: a week.
const FRESHNESS_HOURS: i64 = 7 * 24;

/// Buckets of freshness: the last holds all that took longer than 2^30 ms.
const FRESHNESS_BUCKETS: u32 = 31;

/// One line of a connection's activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// Where it came from: `webhook`, `mapping`, `arrival`, ….
    pub origin: String,
    /// The record's type, where it is about a record.
    pub object_type: Option<ObjectType>,
    /// The record.
    pub record: Option<RecordId>,
    /// What it did: `updated`, `skipped`, ….
    pub outcome: String,
    /// Why nothing, or not all.
    pub reason: Option<String>,
    /// To whom, where it is one user.
    pub user: Option<UserId>,
    /// The variables that changed.
    pub variables: Vec<String>,
    /// The plugin version that read it, by digest.
    pub plugin: Option<String>,
}

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

impl Tx<'_> {
    /// Adds to a connection's activity.
    pub fn add_activity(&self, connection: ConnectionId, activity: &Activity) -> Result<(), Error> {
        let object_type = activity
            .object_type
            .as_ref()
            .map(|object_type| self.object_type_id(object_type))
            .transpose()?;
        let variables = match activity.variables.as_slice() {
            [] => None,
            variables => Some(encode::json(&variables)?),
        };
        self.statement(
            "INSERT INTO activity (connection, at, origin, object_type, record, outcome,
                    reason, user, variables, plugin)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            connection.0,
            activity.at.0,
            activity.origin,
            object_type,
            activity.record.as_ref().map(encode::record_id),
            activity.outcome,
            activity.reason,
            activity.user.map(|user| user.0),
            variables,
            activity.plugin
        ])?;
        Ok(())
    }

    /// A connection's activity, newest first, before `before` (its number).
    /// Each comes with its number.
    pub fn activity(
        &self,
        connection: ConnectionId,
        before: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Activity)>, Error> {
        let mut statement = self.statement(
            "SELECT a.id, a.at, a.origin, t.name, a.record, a.outcome, a.reason, a.user,
                    a.variables, a.plugin
             FROM activity a LEFT JOIN object_types t ON t.id = a.object_type
             WHERE a.connection = ?1 AND a.id < ?2 ORDER BY a.id DESC LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![connection.0, before, limit])?;
        let mut activity = Vec::new();
        while let Some(row) = rows.next()? {
            let record = match row.get_ref(4)? {
                rusqlite::types::ValueRef::Null => None,
                stored => Some(encode::read_record_id(stored)?),
            };
            activity.push((
                row.get(0)?,
                Activity {
                    at: timestamp(row, 1)?,
                    origin: row.get(2)?,
                    object_type: row.get::<_, Option<String>>(3)?.map(ObjectType::from),
                    record,
                    outcome: row.get(5)?,
                    reason: row.get(6)?,
                    user: row.get::<_, Option<i64>>(7)?.map(UserId),
                    variables: row
                        .get::<_, Option<String>>(8)?
                        .map(|stored| encode::read_json(&stored))
                        .transpose()?
                        .unwrap_or_default(),
                    plugin: row.get(9)?,
                },
            ));
        }
        Ok(activity)
    }

    /// Drops what is beyond the bounds of a connection's history.
    pub fn trim_history(&self, connection: ConnectionId, now: Timestamp) -> Result<(), Error> {
        self.connection.execute(
            "DELETE FROM activity WHERE connection = ?1 AND id <= (
                SELECT id FROM activity WHERE connection = ?1
                ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![connection.0, ACTIVITY_ENTRIES_MAX],
        )?;
        self.connection.execute(
            "DELETE FROM freshness WHERE connection = ?1 AND hour < ?2",
            params![connection.0, hour(now) - FRESHNESS_HOURS],
        )?;
        Ok(())
    }

    /// Adds what happened to a connection to its activity: no record caused it.
    pub fn note(
        &self,
        connection: ConnectionId,
        origin: &str,
        outcome: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.add_activity(
            connection,
            &Activity {
                at,
                origin: origin.into(),
                object_type: None,
                record: None,
                outcome: outcome.into(),
                reason: None,
                user: None,
                variables: Vec::new(),
                plugin: None,
            },
        )
    }

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

    /// Says how long changes took, from the source's stamp to our write, in
    /// milliseconds, by bucket (see [`freshness_bucket`]).
    pub fn add_freshness(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        buckets: &BTreeMap<u32, i64>,
    ) -> Result<(), Error> {
        let mut statement = self.statement(
            "INSERT INTO freshness (connection, hour, bucket, count) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (connection, hour, bucket) DO UPDATE SET count = count + excluded.count",
        )?;
        for (bucket, count) in buckets {
            statement.execute(params![connection.0, hour(now), bucket, count])?;
        }
        Ok(())
    }

    /// The share of a day's changes that took no longer, in seconds, for each
    /// of `shares`; none where nothing changed.
    pub fn freshness(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        shares: &[f64],
    ) -> Result<Vec<Option<f64>>, Error> {
        let mut statement = self.statement(
            "SELECT bucket, sum(count) FROM freshness WHERE connection = ?1 AND hour > ?2
             GROUP BY bucket ORDER BY bucket",
        )?;
        let buckets = statement
            .query_map(params![connection.0, hour(now) - 24], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<Vec<(u32, i64)>, _>>()?;
        let all: i64 = buckets.iter().map(|(_, count)| count).sum();
        Ok(shares
            .iter()
            .map(|share| bucket_at(&buckets, all as f64 * share))
            .collect())
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

    /// Forgets the activity of a record, and where runs named it.
    pub fn forget_activity(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(
            "DELETE FROM activity WHERE connection = ?1 AND object_type = ?2 AND record = ?3",
        )?
        .execute(params![
            connection.0,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        self.forget_run_examples(connection, object_type, record)
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

/// The bucket of a time in milliseconds: the number of bits it needs.
pub fn freshness_bucket(milliseconds: u64) -> u32 {
    (u64::BITS - milliseconds.leading_zeros()).min(FRESHNESS_BUCKETS - 1)
}

fn bucket_at(buckets: &[(u32, i64)], rank: f64) -> Option<f64> {
    let mut seen = 0.0;
    for (bucket, count) in buckets {
        let inside = *count as f64;
        if seen + inside >= rank {
            // Straight between the bucket's ends.
            let low = if *bucket == 0 {
                0.0
            } else {
                f64::from(*bucket - 1).exp2()
            };
            let high = f64::from(*bucket).exp2();
            return Some((low + (high - low) * ((rank - seen) / inside)) / 1_000.0);
        }
        seen += inside;
    }
    None
}

fn hour(moment: Timestamp) -> i64 {
    moment.0.div_euclid(3_600_000)
}
