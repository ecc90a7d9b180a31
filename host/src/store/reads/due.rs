//! What is due, kind by kind: however many reads wait, only those are touched that are
//! asked for.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::{
    super::{Error, Tx, encode, timestamp},
    DueRead, ReadKey, ReadKind, Wanted, priority,
};
use crate::model::{AccountId, Cause, RunId, Timestamp};

/// The accounts of the reads that are due, some of them.
const DUE_ACCOUNTS: &str =
    "SELECT account FROM reads WHERE not_before <= ?1 ORDER BY not_before LIMIT ?2";

/// Reads that are due up to which their accounts are found by looking at each of them.
/// Where more are, all accounts' kinds are gone through, for these are fewer then.
const DUE_MAX: usize = 1_000;

/// The first read of the kind that comes next, in the order of accounts and kinds,
/// and when it is due. There are few kinds and may be many reads, so the kinds are
/// gone through one by one, each by a look into the index: from the least that follows,
/// for what is merely greater is searched for through all reads of the kind before.
const NEXT_KIND: &str = "
    SELECT r.account, r.object_type, r.to_type, r.priority,
           max(r.not_before, coalesce(
               (SELECT b.until FROM barred_reads b
                WHERE b.account = r.account AND b.object_type = r.object_type
                  AND b.to_type = r.to_type), 0))
    FROM reads r
    WHERE (r.account, r.object_type, r.to_type, r.priority) >= (?1, ?2, ?3, ?4)
    ORDER BY r.account, r.object_type, r.to_type, r.priority, r.not_before LIMIT 1";

/// When the first read of one kind is due.
const FIRST: &str = "
    SELECT max(r.not_before, coalesce(
               (SELECT b.until FROM barred_reads b
                WHERE b.account = r.account AND b.object_type = r.object_type
                  AND b.to_type = r.to_type), 0))
    FROM reads r
    WHERE r.account = ?1 AND r.object_type = ?2 AND r.to_type = ?3 AND r.priority = ?4
    ORDER BY r.not_before LIMIT 1";

const DUE: &str = "
    SELECT record, requested, expected_at, attempts, all_missing, run, refresh FROM reads
    WHERE account = ?1 AND object_type = ?2 AND to_type = ?3 AND priority = ?4
      AND not_before <= ?5
    ORDER BY not_before, requested LIMIT ?6";

/// A kind of which reads wait, as the store numbers it.
struct Waiting {
    account: AccountId,
    object_type: i64,
    to_type: i64,
    priority: i64,
    /// When the first of them is due.
    first: Timestamp,
}

impl Waiting {
    fn new([account, object_type, to_type, priority]: [i64; 4], first: Timestamp) -> Self {
        Self {
            account: AccountId(account),
            object_type,
            to_type,
            priority,
            first,
        }
    }
}

impl Tx<'_> {
    /// When the account's next read is due, and its kind; none where none
    /// waits.
    pub fn next_read(&self, account: AccountId) -> Result<Option<(Timestamp, ReadKind)>, Error> {
        let kinds = self.kinds(Some(account))?;
        let next = kinds.iter().min_by_key(|waiting| waiting.first);
        next.map(|waiting| Ok((waiting.first, self.read_kind(waiting)?)))
            .transpose()
    }

    /// The kinds of all accounts' reads of which some are due, that which waits
    /// longest first.
    pub fn due_kinds(&self, now: Timestamp) -> Result<Vec<(AccountId, ReadKind)>, Error> {
        let mut due = match self.due_accounts(now)? {
            Some(accounts) => {
                let mut kinds = Vec::new();
                for account in accounts {
                    kinds.extend(self.kinds(Some(account))?);
                }
                kinds
            }
            None => self.kinds(None)?,
        };
        due.retain(|waiting| waiting.first <= now);
        due.sort_by_key(|waiting| waiting.first);
        let due = due.into_iter();
        due.map(|waiting| Ok((waiting.account, self.read_kind(&waiting)?)))
            .collect()
    }

    /// The accounts of which reads are due; none where so many are that they are not
    /// looked at one by one.
    fn due_accounts(&self, now: Timestamp) -> Result<Option<BTreeSet<AccountId>>, Error> {
        let mut statement = self.statement(DUE_ACCOUNTS)?;
        let limit = i64::try_from(DUE_MAX).unwrap_or(i64::MAX);
        let due = statement.query_map([now.0, limit], |row| row.get(0).map(AccountId))?;
        let due = due.collect::<Result<Vec<_>, _>>()?;
        Ok((due.len() < DUE_MAX).then(|| due.into_iter().collect()))
    }

    /// Whether reads of a kind of an account are due.
    pub fn is_due(
        &self,
        account: AccountId,
        kind: &ReadKind,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let first: Option<i64> = self
            .statement(FIRST)?
            .query_row(
                params![
                    account.0,
                    self.object_type_id(&kind.object_type)?,
                    self.wanted_id(&kind.wanted)?,
                    kind.priority as i64
                ],
                |row| row.get(0),
            )
            .optional()?;
        Ok(first.is_some_and(|first| Timestamp(first) <= now))
    }

    /// The kinds of which reads wait, of one account or of all.
    fn kinds(&self, account: Option<AccountId>) -> Result<Vec<Waiting>, Error> {
        let mut statement = self.statement(NEXT_KIND)?;
        let mut after = [account.map_or(i64::MIN, |account| account.0), -1, -1, -1];
        let mut kinds = Vec::new();
        while let Some((found, waiting)) = statement
            .query_row(after, |row| {
                let found = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                let first = timestamp(row, 4)?;
                Ok((found, Waiting::new(found, first)))
            })
            .optional()?
            .filter(|(_, waiting)| account.is_none_or(|account| waiting.account == account))
        {
            after = found;
            after[3] += 1;
            kinds.push(waiting);
        }
        Ok(kinds)
    }

    fn read_kind(&self, waiting: &Waiting) -> Result<ReadKind, Error> {
        Ok(ReadKind {
            object_type: self.object_type_name(waiting.object_type)?,
            wanted: match waiting.to_type {
                0 => Wanted::Record,
                to_type => Wanted::Associations(self.object_type_name(to_type)?),
            },
            priority: priority(waiting.priority)?,
        })
    }

    /// The reads of one kind of an account that are due, those that wait longest
    /// first, at most `limit`.
    pub fn due_reads(
        &self,
        account: AccountId,
        kind: &ReadKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueRead>, Error> {
        let mut statement = self.statement(DUE)?;
        let mut rows = statement.query(params![
            account.0,
            self.object_type_id(&kind.object_type)?,
            self.wanted_id(&kind.wanted)?,
            kind.priority as i64,
            now.0,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            due.push(DueRead {
                key: ReadKey {
                    account,
                    object_type: kind.object_type.clone(),
                    wanted: kind.wanted.clone(),
                    record: encode::read_record_id(row.get_ref(0)?)?,
                },
                cause: Cause {
                    priority: kind.priority,
                    run: row.get::<_, Option<i64>>(5)?.map(RunId),
                    refresh: row.get(6)?,
                },
                requested: row.get(1)?,
                expected_at: timestamp(row, 2)?,
                attempts: row.get(3)?,
                all_missing: row.get(4)?,
            });
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{empty, query_plan},
        *,
    };

    #[test]
    fn what_is_due_is_found_by_its_index() {
        let due = "SEARCH reads USING INDEX reads_due \
                   (account=? AND object_type=? AND to_type=? AND priority=? AND not_before<?)";
        assert_eq!(query_plan(DUE), [due]);
        let first = "SEARCH r USING COVERING INDEX reads_due \
                     (account=? AND object_type=? AND to_type=? AND priority=?)";
        assert_eq!(query_plan(FIRST).first().map(String::as_str), Some(first));
        let accounts = "SEARCH reads USING COVERING INDEX reads_moment (not_before<?)";
        assert_eq!(query_plan(DUE_ACCOUNTS), [accounts]);
        let next = "SEARCH r USING COVERING INDEX reads_due \
                    ((account,object_type,to_type,priority)>(?,?,?,?))";
        assert_eq!(
            query_plan(NEXT_KIND).first().map(String::as_str),
            Some(next)
        );
    }

    /// A plan is the same for what is sought through all reads of a kind.
    #[test]
    fn the_next_kind_is_found_without_going_through_the_reads_of_the_one_before() {
        let store = empty();
        let fill = "
            WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
            INSERT INTO reads (account, object_type, to_type, record, requested, expected_at,
                               not_before, priority)
            SELECT 1, 1, 0, n, n, 0, n, 0 FROM n";
        store.execute_batch(fill).expect("reads");
        let mut next = store.prepare(NEXT_KIND).expect("a statement");
        let found = next.query_row([1, 1, 0, 1], |_| Ok(())).optional();
        assert_eq!(found.expect("no error"), None);
        let steps = next.get_status(rusqlite::StatementStatus::VmStep);
        assert!(steps < 100, "{steps} steps");
    }
}
