//! A connection's activity: what came and what it did, and what people did.

use rusqlite::{named_params, params};

use super::{Error, Tx, encode, timestamp};
use crate::model::{
    Actor, ConnectionId, MappingChange, ObjectType, RecordId, Timestamp, Unreadable, UserId,
};

/// Activity kept for each connection.
pub const ACTIVITY_ENTRIES_MAX: i64 = 10_000;

/// Users whom one line names: of a company that thousands of users have the first are
/// kept, and how many there are.
pub const NAMED_USERS_MAX: usize = 50;

/// The word for any reason why a value could not be read.
pub const UNREADABLE: &str = "unreadable";

/// One line of a connection's activity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Why nothing, or not all; several are separated by `, `.
    pub reason: Option<String>,
    /// To whom: of several the first, [`NAMED_USERS_MAX`] at most.
    pub users: Vec<UserId>,
    /// To how many users in all.
    pub users_count: u64,
    /// The variables that changed.
    pub variables: Vec<String>,
    /// The plugin version that read it, by digest.
    pub plugin: Option<String>,
    /// Who did it, where somebody did.
    pub by: Option<Actor>,
    /// What it changed of the mappings.
    pub changes: Vec<MappingChange>,
}

/// Which lines of an activity; what is not said is any.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// Where they came from.
    pub origin: Option<String>,
    /// The records' type.
    pub object_type: Option<ObjectType>,
    /// What they did.
    pub outcome: Option<String>,
    /// One of the reasons why nothing, or not all; [`UNREADABLE`] for each of those
    /// why a value could not be read.
    pub reason: Option<String>,
    /// The record.
    pub record: Option<RecordId>,
    /// Any of these users, as far as lines name them.
    pub users: Option<Vec<UserId>>,
}

const COLUMNS: &str = "
    SELECT a.id, a.at, a.origin, t.name, a.record, a.outcome, a.reason, a.user,
           a.variables, a.plugin, a.actor, a.changes, a.users,
           CASE WHEN a.users IS NOT NULL THEN
               (SELECT json_group_array(u.user) FROM activity_users u WHERE u.activity = a.id)
           END
    FROM activity a LEFT JOIN object_types t ON t.id = a.object_type";

impl Activity {
    /// It reached one user more.
    pub fn reached(&mut self, user: UserId) {
        self.users_count += 1;
        if self.users.len() < NAMED_USERS_MAX {
            self.users.push(user);
        }
    }
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
        let changes = match activity.changes.as_slice() {
            [] => None,
            changes => Some(encode::json(&changes)?),
        };
        let is_several = activity.users_count > 1;
        let user = activity.users.first().filter(|_| !is_several);
        let count = is_several.then(|| i64::try_from(activity.users_count).unwrap_or(i64::MAX));
        self.statement(
            "INSERT INTO activity (connection, at, origin, object_type, record, outcome,
                    reason, user, variables, plugin, actor, changes, users)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            connection.0,
            activity.at.0,
            activity.origin,
            object_type,
            activity.record.as_ref().map(encode::record_id),
            activity.outcome,
            activity.reason,
            user.map(|user| user.0),
            variables,
            activity.plugin,
            activity.by.as_ref().map(encode::json).transpose()?,
            changes,
            count
        ])?;
        if is_several {
            let line = self.connection.last_insert_rowid();
            let mut named =
                self.statement("INSERT INTO activity_users (activity, user) VALUES (?1, ?2)")?;
            for user in &activity.users {
                named.execute(params![line, user.0])?;
            }
        }
        Ok(())
    }

    /// A connection's activity, newest first, before `before` (its number).
    /// Each comes with its number.
    pub fn activity(
        &self,
        connection: ConnectionId,
        filter: &ActivityFilter,
        before: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Activity)>, Error> {
        // Of a connection there are so few lines that looking at all of them is
        // quick, and no index has to be kept while they come.
        let mut statement = self.connection.prepare_cached(&format!(
            "{COLUMNS}
             WHERE a.connection = :connection AND a.id < :before
               AND (:origin IS NULL OR a.origin = :origin)
               AND (:object_type IS NULL OR t.name = :object_type)
               AND (:outcome IS NULL OR a.outcome = :outcome)
               AND (:reasons IS NULL OR EXISTS (SELECT 1 FROM json_each(:reasons) r
                    WHERE instr(', ' || a.reason || ',', ', ' || r.value || ',') > 0))
               AND (:record IS NULL OR a.record = :record)
               AND (:users IS NULL OR EXISTS (SELECT 1 FROM json_each(:users) w
                    WHERE w.value = a.user OR a.users IS NOT NULL AND EXISTS (
                        SELECT 1 FROM activity_users u
                        WHERE u.activity = a.id AND u.user = w.value)))
             ORDER BY a.id DESC LIMIT :limit"
        ))?;
        let users = match &filter.users {
            None => None,
            Some(users) => {
                let numbers: Vec<i64> = users.iter().map(|user| user.0).collect();
                Some(encode::json(&numbers)?)
            }
        };
        let reasons = match filter.reason.as_deref() {
            None => None,
            Some(UNREADABLE) => Some(encode::json(&Unreadable::WORDS)?),
            Some(reason) => Some(encode::json(&[reason])?),
        };
        let mut rows = statement.query(named_params! {
            ":connection": connection.0,
            ":before": before,
            ":origin": filter.origin,
            ":object_type": filter.object_type.as_ref().map(ObjectType::as_str),
            ":outcome": filter.outcome,
            ":reasons": reasons,
            ":record": filter.record.as_ref().map(encode::record_id),
            ":users": users,
            ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
        })?;
        let mut activity = Vec::new();
        while let Some(row) = rows.next()? {
            activity.push((row.get(0)?, read_activity(row)?));
        }
        Ok(activity)
    }

    /// The number of the newest line of a connection's activity; 0 where there
    /// is none.
    pub fn newest_activity(&self, connection: ConnectionId) -> Result<i64, Error> {
        let newest: Option<i64> = self
            .statement("SELECT max(id) FROM activity WHERE connection = ?1")?
            .query_one([connection.0], |row| row.get(0))?;
        Ok(newest.unwrap_or(0))
    }

    /// A connection's activity after `after` (a number), oldest first.
    pub fn activity_after(
        &self,
        connection: ConnectionId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Activity)>, Error> {
        let mut statement = self.connection.prepare_cached(&format!(
            "{COLUMNS} WHERE a.connection = ?1 AND a.id > ?2 ORDER BY a.id LIMIT ?3"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![connection.0, after, limit])?;
        let mut activity = Vec::new();
        while let Some(row) = rows.next()? {
            activity.push((row.get(0)?, read_activity(row)?));
        }
        Ok(activity)
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
                outcome: outcome.into(),
                ..Activity::default()
            },
        )
    }

    /// Adds what somebody did to a connection to its activity.
    pub fn note_by(
        &self,
        connection: ConnectionId,
        by: &Actor,
        outcome: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.add_activity(
            connection,
            &Activity {
                at,
                origin: by.origin().into(),
                outcome: outcome.into(),
                by: Some(by.clone()),
                ..Activity::default()
            },
        )
    }

    /// How many lines of an origin, of at most `max`, a connection's activity has from
    /// between two moments, both included: the newest, and none before one that is older.
    pub fn activity_within(
        &self,
        connection: ConnectionId,
        origin: &str,
        (since, until): (Timestamp, Timestamp),
        max: usize,
    ) -> Result<usize, Error> {
        let mut statement = self.statement(
            "SELECT at, origin = ?2 FROM activity WHERE connection = ?1 ORDER BY id DESC",
        )?;
        let mut rows = statement.query(params![connection.0, origin])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let at = timestamp(row, 0)?;
            if at < since || count == max {
                break;
            }
            count += usize::from(at <= until && row.get::<_, bool>(1)?);
        }
        Ok(count)
    }

    /// Drops the oldest lines that are beyond the bounds of a connection's activity, at
    /// most `limit`. Returns how many.
    pub fn trim_activity(&self, connection: ConnectionId, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM activity WHERE id IN (
                SELECT id FROM activity WHERE connection = ?1 AND id <= (
                    SELECT id FROM activity WHERE connection = ?1
                    ORDER BY id DESC LIMIT 1 OFFSET ?2)
                ORDER BY id LIMIT ?3)",
        )?;
        Ok(statement.execute(params![connection.0, ACTIVITY_ENTRIES_MAX, limit])?)
    }

    /// Forgets the activity of a record, and where runs and shadows named it.
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
        self.forget_run_examples(connection, object_type, record)?;
        self.forget_counted(connection, object_type, record)?;
        self.forget_shadow_record(connection, record)
    }
}

fn read_activity(row: &rusqlite::Row<'_>) -> Result<Activity, Error> {
    let record = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        stored => Some(encode::read_record_id(stored)?),
    };
    let alone: Option<i64> = row.get(7)?;
    let (users, users_count) = match (alone, row.get::<_, Option<i64>>(12)?) {
        (Some(user), _) => (vec![user], 1),
        (None, Some(count)) => {
            let named: Vec<i64> = stored_json(row, 13)?.unwrap_or_default();
            (named, count.unsigned_abs())
        }
        (None, None) => (Vec::new(), 0),
    };
    Ok(Activity {
        at: timestamp(row, 1)?,
        origin: row.get(2)?,
        object_type: row.get::<_, Option<String>>(3)?.map(ObjectType::from),
        record,
        outcome: row.get(5)?,
        reason: row.get(6)?,
        users: users.into_iter().map(UserId).collect(),
        users_count,
        variables: stored_json(row, 8)?.unwrap_or_default(),
        plugin: row.get(9)?,
        by: stored_json(row, 10)?,
        changes: stored_json(row, 11)?.unwrap_or_default(),
    })
}

fn stored_json<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> Result<Option<T>, Error> {
    let stored: Option<String> = row.get(index)?;
    stored.map(|stored| encode::read_json(&stored)).transpose()
}
