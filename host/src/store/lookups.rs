//! The queue of look-ups: users of whom the source is asked, by the matching
//! rule of an object type, whether it has records for them.
//!
//! As in the read queue ([`super::reads`]), a request for what waits already is
//! the same request, and moves on in number. What the user is asked for by is
//! read when the call is made, so it is never an old one.

use rusqlite::{OptionalExtension, params};

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

/// The first look-up of the kind that comes next, in the order of connections and
/// kinds, and when it is due; as the read queue goes through its kinds. They are
/// barred with the reads of records, which need the same scope.
const NEXT_KIND: &str = "
    SELECT l.connection, l.object_type, l.priority, c.account,
           max(l.not_before, coalesce(
               (SELECT b.until FROM barred_reads b
                WHERE b.account = c.account AND b.object_type = l.object_type
                  AND b.to_type = 0), 0))
    FROM lookups l CROSS JOIN connections c ON c.id = l.connection
    WHERE (l.connection, l.object_type, l.priority) >= (?1, ?2, ?3)
    ORDER BY l.connection, l.object_type, l.priority, l.not_before LIMIT 1";

/// When the first look-up of one kind is due.
const FIRST: &str = "
    SELECT max(l.not_before, coalesce(
               (SELECT b.until FROM connections c
                JOIN barred_reads b ON b.account = c.account AND b.object_type = l.object_type
                  AND b.to_type = 0
                WHERE c.id = l.connection), 0))
    FROM lookups l WHERE l.connection = ?1 AND l.object_type = ?2 AND l.priority = ?3
    ORDER BY l.not_before LIMIT 1";

/// A kind of which look-ups wait, as the store numbers it.
struct Waiting {
    connection: ConnectionId,
    object_type: i64,
    priority: i64,
    account: Option<AccountId>,
    /// When the first of them is due.
    first: Timestamp,
}

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

    /// When the account's next look-up is due, and its kind; none where none
    /// waits.
    pub fn next_lookup(
        &self,
        account: AccountId,
    ) -> Result<Option<(Timestamp, LookupKind)>, Error> {
        let mut kinds = Vec::new();
        for connection in self.account_connections(account)? {
            kinds.extend(self.lookup_kinds(Some(connection.id))?);
        }
        let next = kinds.iter().min_by_key(|waiting| waiting.first);
        next.map(|waiting| Ok((waiting.first, self.lookup_kind(waiting)?)))
            .transpose()
    }

    /// The kinds of all accounts' look-ups of which some are due, that which waits
    /// longest first.
    pub fn due_lookup_kinds(&self, now: Timestamp) -> Result<Vec<(AccountId, LookupKind)>, Error> {
        let mut due = self.lookup_kinds(None)?;
        due.retain(|waiting| waiting.first <= now);
        due.sort_by_key(|waiting| waiting.first);
        let of_accounts = due.iter().filter_map(|one| Some((one.account?, one)));
        of_accounts
            .map(|(account, waiting)| Ok((account, self.lookup_kind(waiting)?)))
            .collect()
    }

    /// Whether look-ups of a kind are due.
    pub fn is_lookup_due(&self, kind: &LookupKind, now: Timestamp) -> Result<bool, Error> {
        let object_type = self.object_type_id(&kind.object_type)?;
        let of = params![kind.connection.0, object_type, kind.priority as i64];
        let mut statement = self.statement(FIRST)?;
        let first: Option<i64> = statement.query_row(of, |row| row.get(0)).optional()?;
        Ok(first.is_some_and(|first| Timestamp(first) <= now))
    }

    /// The kinds of which look-ups wait, of one connection or of all.
    fn lookup_kinds(&self, connection: Option<ConnectionId>) -> Result<Vec<Waiting>, Error> {
        let mut statement = self.statement(NEXT_KIND)?;
        let mut after = [
            connection.map_or(i64::MIN, |connection| connection.0),
            -1,
            -1,
        ];
        let mut kinds = Vec::new();
        while let Some(waiting) = statement
            .query_row(after, |row| {
                Ok(Waiting {
                    connection: ConnectionId(row.get(0)?),
                    object_type: row.get(1)?,
                    priority: row.get(2)?,
                    account: row.get::<_, Option<i64>>(3)?.map(AccountId),
                    first: super::timestamp(row, 4)?,
                })
            })
            .optional()?
            .filter(|waiting| connection.is_none_or(|connection| waiting.connection == connection))
        {
            // The least that follows.
            after = [
                waiting.connection.0,
                waiting.object_type,
                waiting.priority + 1,
            ];
            kinds.push(waiting);
        }
        Ok(kinds)
    }

    fn lookup_kind(&self, waiting: &Waiting) -> Result<LookupKind, Error> {
        Ok(LookupKind {
            connection: waiting.connection,
            object_type: self.object_type_name(waiting.object_type)?,
            priority: priority(waiting.priority)?,
        })
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
        let next = "SEARCH l USING COVERING INDEX lookups_due \
                    ((connection,object_type,priority)>(?,?,?))";
        assert_eq!(plan(NEXT_KIND).first().map(String::as_str), Some(next));
        let users = "SEARCH u USING COVERING INDEX users_project (project=? AND id>?)";
        assert!(
            plan(IDENTIFIED).contains(&users.to_owned()),
            "{:#?}",
            plan(IDENTIFIED)
        );
    }
}
