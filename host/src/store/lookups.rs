//! The queue of look-ups: users of whom the source is asked, by the matching
//! rule of an object type, whether it has records for them.
//!
//! As in the read queue ([`super::reads`]), a request for what waits already is
//! the same request, and moves on in number. What the user is asked for by is
//! read when the call is made, so it is never an old one.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Error, Tx, encode, reads::priority};
use crate::model::{
    AccountId, Cause, ConnectionId, KeyKind, ObjectType, Priority, RunId, Timestamp, UserId,
    UserIdentifier,
};

/// What look-ups that one call can make have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LookupKind {
    /// Whose rule says by what.
    pub connection: ConnectionId,
    /// The type of the records that are looked for.
    pub object_type: ObjectType,
    /// How urgently.
    pub priority: Priority,
}

/// A look-up that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueLookup {
    /// Its kind.
    pub kind: LookupKind,
    /// The user.
    pub user: UserId,
    /// The run that asks, where one does.
    pub run: Option<RunId>,
    /// The number of the newest request for it.
    pub requested: i64,
    /// How often it was put off.
    pub attempts: u32,
    /// Whether the last answer said that all of its batch is missing.
    pub all_missing: bool,
}

/// What a user is found by: every form of one identifier.
pub type UserKeys = Vec<(KeyKind, String)>;

/// The kinds of which look-ups wait, with when the first of them is due. They
/// are barred with the reads of records, which need the same scope.
const KINDS: &str = "
    SELECT first, connection, object_type, priority FROM (
        SELECT c.id AS connection, o.name AS object_type, p.priority,
               max(coalesce(b.until, 0),
                   (SELECT l.not_before FROM lookups l
                    WHERE l.connection = c.id AND l.object_type = o.id
                      AND l.priority = p.priority
                    ORDER BY l.not_before LIMIT 1)) AS first
        FROM connections c
        CROSS JOIN object_types o
        CROSS JOIN (SELECT 0 AS priority UNION ALL VALUES (1), (2), (3)) p
        LEFT JOIN barred_reads b
            ON b.account = c.account AND b.object_type = o.id AND b.to_type = 0
        WHERE c.account = ?1)
    WHERE first IS NOT NULL ORDER BY first";

/// Connection by connection, as many of them have none waiting.
const ACCOUNTS: &str = "
    WITH RECURSIVE waiting (connection) AS (
        SELECT min(connection) FROM lookups
        UNION ALL
        SELECT (SELECT min(connection) FROM lookups WHERE connection > waiting.connection)
        FROM waiting WHERE connection IS NOT NULL)
    SELECT c.account FROM waiting w JOIN connections c ON c.id = w.connection
    WHERE c.account IS NOT NULL";

const DUE: &str = "
    SELECT user, requested, attempts, run, all_missing FROM lookups
    WHERE connection = ?1 AND object_type = ?2 AND priority = ?3 AND not_before <= ?4
    ORDER BY not_before, requested LIMIT ?5";

const REQUEST: &str = "
    INSERT INTO lookups (connection, object_type, user, requested, not_before, priority, run)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (connection, object_type, user) DO UPDATE SET
        requested = excluded.requested,
        not_before = min(not_before, excluded.not_before),
        priority = min(priority, excluded.priority),
        run = coalesce(excluded.run, run),
        attempts = 0, all_missing = 0";

const IDENTIFIED: &str = "
    SELECT u.id FROM users u
    WHERE u.project = (SELECT project FROM connections WHERE id = ?1) AND u.id > ?2
      AND EXISTS (SELECT 1 FROM user_keys k WHERE k.user = u.id AND k.identifier = ?3)
    ORDER BY u.id LIMIT ?4";

impl Tx<'_> {
    /// Asks for a look-up of a user. What waits already becomes as urgent as the
    /// more urgent of both; the run that asked last counts it.
    pub fn request_lookup(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        user: UserId,
        cause: Cause,
        not_before: Timestamp,
    ) -> Result<(), Error> {
        let requested = self.next_sequence()?;
        self.statement(REQUEST)?.execute(params![
            connection.0,
            self.object_type_id(object_type)?,
            user.0,
            requested,
            not_before.0,
            cause.priority as i64,
            cause.run.map(|run| run.0)
        ])?;
        Ok(())
    }

    /// Asks for look-ups of the next `limit` users of the connection's project
    /// that have an identifier, in the order of their ids, whether or not a
    /// record is known that they match. Returns the last one's id; none where
    /// there are no more.
    pub fn request_lookups_of_users(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        identifier: UserIdentifier,
        after: UserId,
        limit: usize,
        cause: Cause,
    ) -> Result<Option<UserId>, Error> {
        let users = self
            .statement(IDENTIFIED)?
            .query_map(
                params![
                    connection.0,
                    after.0,
                    encode::identifier(identifier),
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ],
                |row| row.get(0).map(UserId),
            )?
            .collect::<Result<Vec<_>, _>>()?;
        for user in &users {
            let at_once = Timestamp::default();
            self.request_lookup(connection, object_type, *user, cause, at_once)?;
        }
        Ok(users.last().copied())
    }

    /// The accounts that any look-up waits for.
    pub fn accounts_with_lookups(&self) -> Result<BTreeSet<AccountId>, Error> {
        let mut statement = self.statement(ACCOUNTS)?;
        let accounts = statement.query_map([], |row| row.get(0).map(AccountId))?;
        Ok(accounts.collect::<Result<_, _>>()?)
    }

    /// When the account's next look-up is due, and its kind; none where none
    /// waits.
    pub fn next_lookup(
        &self,
        account: AccountId,
    ) -> Result<Option<(Timestamp, LookupKind)>, Error> {
        Ok(self.waiting_lookup_kinds(account)?.into_iter().next())
    }

    /// The kinds of an account's look-ups that are due, that which waits longest
    /// first.
    pub fn due_lookup_kinds(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<LookupKind>, Error> {
        let waiting = self.waiting_lookup_kinds(account)?.into_iter();
        let due = waiting.take_while(|(moment, _)| *moment <= now);
        Ok(due.map(|(_, kind)| kind).collect())
    }

    fn waiting_lookup_kinds(
        &self,
        account: AccountId,
    ) -> Result<Vec<(Timestamp, LookupKind)>, Error> {
        let mut statement = self.statement(KINDS)?;
        let mut rows = statement.query([account.0])?;
        let mut kinds = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = LookupKind {
                connection: ConnectionId(row.get(1)?),
                object_type: row.get::<_, String>(2)?.into(),
                priority: priority(row.get(3)?)?,
            };
            kinds.push((super::timestamp(row, 0)?, kind));
        }
        Ok(kinds)
    }

    /// The look-ups of one kind that are due, those that wait longest first, at
    /// most `limit`.
    pub fn due_lookups(
        &self,
        kind: &LookupKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueLookup>, Error> {
        let mut statement = self.statement(DUE)?;
        let rows = statement.query_map(
            params![
                kind.connection.0,
                self.object_type_id(&kind.object_type)?,
                kind.priority as i64,
                now.0,
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| {
                Ok(DueLookup {
                    kind: kind.clone(),
                    user: UserId(row.get(0)?),
                    requested: row.get(1)?,
                    attempts: row.get(2)?,
                    run: row.get::<_, Option<i64>>(3)?.map(RunId),
                    all_missing: row.get(4)?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a user is found by under an identifier; nothing where the user is
    /// gone or has none.
    pub fn user_keys(&self, user: UserId, identifier: UserIdentifier) -> Result<UserKeys, Error> {
        let mut statement = self.statement(
            "SELECT kind, key FROM user_keys WHERE user = ?1 AND identifier = ?2 ORDER BY kind",
        )?;
        let mut rows = statement.query(params![user.0, encode::identifier(identifier)])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            keys.push((encode::read_key_kind(row.get(0)?)?, row.get(1)?));
        }
        Ok(keys)
    }

    /// Whether a look-up of a user waits for a connection, and when the first is
    /// made at the earliest.
    pub fn waiting_lookup(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        user: UserId,
    ) -> Result<Option<Timestamp>, Error> {
        let earliest: Option<i64> = self
            .statement(
                "SELECT min(not_before) FROM lookups
                 WHERE connection = ?1 AND object_type = ?2 AND user = ?3",
            )?
            .query_one(
                params![connection.0, self.object_type_id(object_type)?, user.0],
                |row| row.get(0),
            )?;
        Ok(earliest.map(Timestamp))
    }

    /// How many look-ups wait for an account.
    pub fn waiting_lookups(&self, account: AccountId) -> Result<i64, Error> {
        Ok(self
            .statement(
                "SELECT count(*) FROM connections c JOIN lookups l ON l.connection = c.id
                 WHERE c.account = ?1",
            )?
            .query_one([account.0], |row| row.get(0))?)
    }

    /// Ends a look-up that was answered, unless it was asked for again
    /// meanwhile. Returns whether it did.
    pub fn finish_lookup(&self, lookup: &DueLookup) -> Result<bool, Error> {
        let ended = self
            .statement(
                "DELETE FROM lookups
                 WHERE connection = ?1 AND object_type = ?2 AND user = ?3 AND requested = ?4",
            )?
            .execute(params![
                lookup.kind.connection.0,
                self.object_type_id(&lookup.kind.object_type)?,
                lookup.user.0,
                lookup.requested
            ])?;
        Ok(ended > 0)
    }

    /// Puts off a look-up, unless it was asked for again meanwhile. `all_missing`:
    /// the answer said that all of its batch is missing.
    pub fn put_off_lookup(
        &self,
        lookup: &DueLookup,
        not_before: Timestamp,
        all_missing: bool,
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE lookups SET not_before = ?5, attempts = attempts + 1, all_missing = ?6
             WHERE connection = ?1 AND object_type = ?2 AND user = ?3 AND requested = ?4",
        )?
        .execute(params![
            lookup.kind.connection.0,
            self.object_type_id(&lookup.kind.object_type)?,
            lookup.user.0,
            lookup.requested,
            not_before.0,
            all_missing
        ])?;
        Ok(())
    }

    /// Makes all look-ups of a connection due: it was paused, and goes on.
    pub fn hasten_lookups(&self, connection: ConnectionId, now: Timestamp) -> Result<(), Error> {
        self.statement(
            "UPDATE lookups SET not_before = ?2, attempts = 0
             WHERE connection = ?1 AND not_before > ?2",
        )?
        .execute([connection.0, now.0])?;
        Ok(())
    }

    /// Drops the look-up of a user that would say nothing any more.
    pub fn drop_lookup(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        user: UserId,
    ) -> Result<(), Error> {
        let run = self
            .statement(
                "DELETE FROM lookups WHERE connection = ?1 AND object_type = ?2 AND user = ?3
                 RETURNING run",
            )?
            .query_map(
                params![connection.0, self.object_type_id(object_type)?, user.0],
                |row| row.get::<_, Option<i64>>(0),
            )?
            .collect::<Result<Vec<_>, _>>()?;
        let runs = run.into_iter().flatten();
        runs.map(RunId).try_for_each(|run| self.advance_run(run, 1))
    }

    /// Drops all look-ups by a rule that is not in force any more.
    pub fn drop_lookups(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
    ) -> Result<(), Error> {
        self.statement("DELETE FROM lookups WHERE connection = ?1 AND object_type = ?2")?
            .execute(params![connection.0, self.object_type_id(object_type)?])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many look-ups wait, only those that are asked for are touched.
    #[test]
    fn what_is_due_is_found_by_its_index() {
        let plan = super::super::query_plan;
        let due = "SEARCH lookups USING INDEX lookups_due \
                   (connection=? AND object_type=? AND priority=? AND not_before<?)";
        assert_eq!(plan(DUE), [due]);
        let first = "SEARCH l USING COVERING INDEX lookups_due \
                     (connection=? AND object_type=? AND priority=?)";
        assert!(
            plan(KINDS).contains(&first.to_owned()),
            "{:#?}",
            plan(KINDS)
        );
        let users = "SEARCH u USING COVERING INDEX users_project (project=? AND id>?)";
        assert!(
            plan(IDENTIFIED).contains(&users.to_owned()),
            "{:#?}",
            plan(IDENTIFIED)
        );
    }
}
