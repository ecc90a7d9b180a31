//! Accounts, their grants, connections, and consents under way.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::model::{
    AccountId, AccountKey, Connection, ConnectionId, Problem, ProjectId, Status, Timestamp,
};

/// The source's side of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Our number for it.
    pub id: AccountId,
    /// The connector to its source, by name.
    pub connector: String,
    /// The source's own id of it.
    pub key: AccountKey,
    /// The customer's domain, as the source tells it.
    pub domain: Option<String>,
    /// The source's region that serves it, where it is not the default one.
    pub region: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// The number of the configuration in which what its connections want changed last.
    pub configuration: i64,
}

/// What may be done with an account, sealed.
#[derive(Clone, Debug)]
pub struct SealedGrant {
    /// The tokens, sealed.
    pub sealed: Vec<u8>,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// What was consented to.
    pub scopes: Vec<String>,
}

/// A step of a consent under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentStep {
    /// The admin's browser is at the source.
    Authorize,
    /// The admin is shown both sides and asked to confirm.
    Confirm,
}

impl ConsentStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Confirm => "confirm",
        }
    }
}

/// A consent under way.
#[derive(Clone, Debug)]
pub struct Consent {
    /// The connection it is for; none where the source's marketplace began it.
    pub connection: Option<ConnectionId>,
    /// The hash of the browser session that began it; none over the API.
    pub session: Option<Vec<u8>>,
    /// What the step needs to go on, sealed.
    pub sealed: Vec<u8>,
    /// When it is too late.
    pub expires_at: Timestamp,
}

/// A grant that still has to be revoked at the source.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Its number.
    pub id: i64,
    /// The account it was of.
    pub account: AccountId,
    /// The tokens, sealed.
    pub sealed: Vec<u8>,
    /// How often it was tried.
    pub attempts: u32,
}

const SELECT: &str = "
    SELECT c.id, c.project, c.connector, c.status, c.problem, c.created_at, a.id, a.key,
           t.digest
    FROM connections c LEFT JOIN accounts a ON a.id = c.account
        LEFT JOIN plugin_trials t ON t.connection = c.id AND t.problem IS NULL";

impl Tx<'_> {
    /// Begins a connection; it has no account until the admin consents.
    pub fn create_connection(
        &self,
        project: ProjectId,
        connector: &str,
        now: Timestamp,
    ) -> Result<ConnectionId, Error> {
        self.connection.execute(
            "INSERT INTO connections (project, connector, status, created_at)
             VALUES (?1, ?2, ?3, ?4)",
            params![project.0, connector, encode::word(&Status::Pending), now.0],
        )?;
        Ok(ConnectionId(self.connection.last_insert_rowid()))
    }

    /// A connection of the project.
    pub fn connection(&self, project: ProjectId, id: ConnectionId) -> Result<Connection, Error> {
        let connection = self.any_connection(id)?;
        if connection.project == project {
            Ok(connection)
        } else {
            Err(Error::NotFound("connection"))
        }
    }

    /// A connection of whatever project.
    pub fn any_connection(&self, id: ConnectionId) -> Result<Connection, Error> {
        let sql = format!("{SELECT} WHERE c.id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id.0])?;
        rows.next()?
            .map_or(Err(Error::NotFound("connection")), read_connection)
    }

    /// The project's connections, oldest first.
    pub fn connections(&self, project: ProjectId) -> Result<Vec<Connection>, Error> {
        self.select_connections("WHERE c.project = ?1 ORDER BY c.id", project.0)
    }

    /// All connections there are, by number.
    pub fn connection_ids(&self) -> Result<Vec<ConnectionId>, Error> {
        let mut statement = self.statement("SELECT id FROM connections ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0).map(ConnectionId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// The connections of an account, oldest first.
    pub fn account_connections(&self, account: AccountId) -> Result<Vec<Connection>, Error> {
        self.select_connections("WHERE c.account = ?1 ORDER BY c.id", account.0)
    }

    fn select_connections(&self, condition: &str, id: i64) -> Result<Vec<Connection>, Error> {
        let sql = format!("{SELECT} {condition}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        let mut connections = Vec::new();
        while let Some(row) = rows.next()? {
            connections.push(read_connection(row)?);
        }
        Ok(connections)
    }

    /// Gives a connection its account. Refuses an account that the project has
    /// connected already.
    pub fn set_connection_account(
        &self,
        id: ConnectionId,
        account: AccountId,
    ) -> Result<(), Error> {
        let connection = self.any_connection(id)?;
        let twice = self
            .account_connections(account)?
            .iter()
            .any(|other| other.project == connection.project && other.id != id);
        if twice {
            return Err(Error::Conflict(
                "this account is connected to the project already".into(),
            ));
        }
        // Another one that it had loses it.
        self.connection_changed(id)?;
        self.connection.execute(
            "UPDATE connections SET account = ?2 WHERE id = ?1",
            params![id.0, account.0],
        )?;
        self.configuration_changed(account)
    }

    /// Changes whether a connection works, and what is wrong with it.
    pub fn set_connection_status(
        &self,
        id: ConnectionId,
        status: Status,
        problem: Option<&Problem>,
    ) -> Result<(), Error> {
        let problem = problem.map(encode::json).transpose()?;
        let changed = self.connection.execute(
            "UPDATE connections SET status = ?2, problem = ?3
             WHERE id = ?1 AND (status IS NOT ?2 OR problem IS NOT ?3)",
            params![id.0, encode::word(&status), problem],
        )?;
        if changed > 0 {
            self.connection_changed(id)
        } else {
            Ok(())
        }
    }

    /// Ends a connection: from the commit on nothing belongs to it any more.
    /// What it kept of records, and whom they fed, is purged behind
    /// ([`Tx::purge_records`]).
    pub fn delete_connection(&self, id: ConnectionId) -> Result<(), Error> {
        self.connection_changed(id)?;
        for sql in [
            "INSERT INTO purges (connection) VALUES (?1)",
            "DELETE FROM activity WHERE connection = ?1",
            "DELETE FROM counts WHERE connection = ?1",
            "DELETE FROM freshness WHERE connection = ?1",
            "DELETE FROM hours WHERE connection = ?1",
            "DELETE FROM lookups WHERE connection = ?1",
            "DELETE FROM held_selections WHERE mapping IN (
                SELECT id FROM object_mappings WHERE connection = ?1)",
            "DELETE FROM reselections WHERE mapping IN (
                SELECT id FROM object_mappings WHERE connection = ?1)",
            "DELETE FROM connections WHERE id = ?1",
        ] {
            self.execute_by_id(sql, id.0)?;
        }
        Ok(())
    }

    /// The account with that key, made where it is new, with what is known now.
    pub fn save_account(
        &self,
        connector: &str,
        key: &AccountKey,
        domain: Option<&str>,
        region: Option<&str>,
        time_zone: Option<&str>,
    ) -> Result<AccountId, Error> {
        Ok(self
            .statement(
                "INSERT INTO accounts (connector, key, domain, region, time_zone)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (connector, key) DO UPDATE SET
                    domain = coalesce(excluded.domain, domain),
                    region = coalesce(excluded.region, region),
                    time_zone = coalesce(excluded.time_zone, time_zone)
                 RETURNING id",
            )?
            .query_one(
                params![connector, key.as_str(), domain, region, time_zone],
                |row| row.get(0).map(AccountId),
            )?)
    }

    /// The accounts of a connector that something is connected to.
    pub fn accounts_of(&self, connector: &str) -> Result<Vec<AccountId>, Error> {
        let mut statement = self.statement(
            "SELECT DISTINCT account FROM connections
             WHERE connector = ?1 AND account IS NOT NULL ORDER BY account",
        )?;
        let rows = statement.query_map([connector], |row| row.get(0).map(AccountId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Result<Account, Error> {
        self.statement(
            "SELECT id, connector, key, domain, region, time_zone, configuration
             FROM accounts WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok(Account {
                id: AccountId(row.get(0)?),
                connector: row.get(1)?,
                key: row.get::<_, String>(2)?.into(),
                domain: row.get(3)?,
                region: row.get(4)?,
                time_zone: row.get(5)?,
                configuration: row.get(6)?,
            })
        })
        .optional()?
        .ok_or(Error::NotFound("account"))
    }

    /// Accounts that a connection uses, whatever its status.
    pub fn connected_accounts(&self) -> Result<Vec<AccountId>, Error> {
        let accounts = self.account_configurations()?.into_iter();
        Ok(accounts.map(|(account, _)| account).collect())
    }

    /// The [`Account::configuration`] of each account that a connection uses.
    pub fn account_configurations(&self) -> Result<Vec<(AccountId, i64)>, Error> {
        let mut statement = self.statement(
            "SELECT id, configuration FROM accounts a
             WHERE EXISTS (SELECT 1 FROM connections c WHERE c.account = a.id) ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| Ok((AccountId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether an account's [`Account::configuration`] is this one still.
    pub fn is_configuration(&self, account: AccountId, configuration: i64) -> Result<bool, Error> {
        let found = self
            .statement("SELECT configuration FROM accounts WHERE id = ?1")?
            .query_row([account.0], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(found == Some(configuration))
    }

    /// Keeps an account's grant; none forgets it.
    pub fn save_grant(&self, account: AccountId, grant: Option<&SealedGrant>) -> Result<(), Error> {
        let scopes = encode::json(&grant.map_or(&[][..], |grant| &grant.scopes))?;
        self.connection.execute(
            "UPDATE accounts SET sealed_grant = ?2, grant_expires_at = ?3, scopes = ?4
             WHERE id = ?1",
            params![
                account.0,
                grant.map(|grant| &grant.sealed),
                grant.map(|grant| grant.expires_at.0),
                scopes
            ],
        )?;
        Ok(())
    }

    /// Changes the region that serves an account, where it is known.
    pub fn set_account_region(
        &self,
        connector: &str,
        key: &AccountKey,
        region: &str,
    ) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE accounts SET region = ?3 WHERE connector = ?1 AND key = ?2",
            params![connector, key.as_str(), region],
        )?;
        Ok(())
    }

    /// An account's grant, where it has one.
    pub fn grant(&self, account: AccountId) -> Result<Option<SealedGrant>, Error> {
        let found: Option<(Option<Vec<u8>>, Option<Timestamp>, String)> = self
            .statement("SELECT sealed_grant, grant_expires_at, scopes FROM accounts WHERE id = ?1")?
            .query_row([account.0], |row| {
                Ok((row.get(0)?, optional_timestamp(row, 1)?, row.get(2)?))
            })
            .optional()?;
        match found {
            Some((Some(sealed), expires_at, scopes)) => Ok(Some(SealedGrant {
                sealed,
                expires_at: expires_at.unwrap_or_default(),
                scopes: encode::read_json(&scopes)?,
            })),
            _ => Ok(None),
        }
    }

    /// Moves an account's grant to those that have to be revoked.
    pub fn revoke_grant(&self, account: AccountId, now: Timestamp) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO revocations (account, sealed_grant, not_before)
             SELECT id, sealed_grant, ?2 FROM accounts WHERE id = ?1 AND sealed_grant IS NOT NULL",
            params![account.0, now.0],
        )?;
        self.save_grant(account, None)
    }

    /// Grants that have to be revoked by now and are not `under_way`: at most
    /// `limit`, those first that were tried least.
    pub fn due_revocations(
        &self,
        now: Timestamp,
        under_way: &HashSet<i64>,
        limit: usize,
    ) -> Result<Vec<Revocation>, Error> {
        let mut statement = self.statement(
            "SELECT id, account, sealed_grant, attempts FROM revocations
             WHERE not_before <= ?1 ORDER BY attempts, id",
        )?;
        let mut rows = statement.query([now.0])?;
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(row) = rows.next()?
        {
            let id = row.get(0)?;
            if !under_way.contains(&id) {
                due.push(Revocation {
                    id,
                    account: AccountId(row.get(1)?),
                    sealed: row.get(2)?,
                    attempts: row.get(3)?,
                });
            }
        }
        Ok(due)
    }

    /// Ends a revocation, or puts it off.
    pub fn settle_revocation(&self, id: i64, again_at: Option<Timestamp>) -> Result<(), Error> {
        match again_at {
            None => self
                .execute_by_id("DELETE FROM revocations WHERE id = ?1", id)
                .map(|_| ()),
            Some(moment) => {
                self.connection.execute(
                    "UPDATE revocations SET not_before = ?2, attempts = attempts + 1 WHERE id = ?1",
                    params![id, moment.0],
                )?;
                Ok(())
            }
        }
    }

    /// Forgets what has to be revoked of an account: it is connected again.
    pub fn forget_revocations(&self, account: AccountId) -> Result<(), Error> {
        let sql = "DELETE FROM revocations WHERE account = ?1";
        self.execute_by_id(sql, account.0).map(|_| ())
    }

    /// Keeps a consent under way by the hash of its one-time token.
    pub fn save_consent(
        &self,
        hash: [u8; 32],
        step: ConsentStep,
        consent: &Consent,
    ) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO consents (hash, step, connection, session, sealed, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                hash,
                step.as_str(),
                consent.connection.map(|id| id.0),
                consent.session,
                consent.sealed,
                consent.expires_at.0
            ],
        )?;
        Ok(())
    }

    /// Takes a consent by the hash of its one-time token: it is good once.
    pub fn take_consent(
        &self,
        hash: [u8; 32],
        step: ConsentStep,
        now: Timestamp,
    ) -> Result<Option<Consent>, Error> {
        let consent = self
            .statement(
                "DELETE FROM consents WHERE hash = ?1 AND step = ?2
                 RETURNING connection, session, sealed, expires_at",
            )?
            .query_row(params![hash, step.as_str()], |row| {
                Ok(Consent {
                    connection: row.get::<_, Option<i64>>(0)?.map(ConnectionId),
                    session: row.get(1)?,
                    sealed: row.get(2)?,
                    expires_at: timestamp(row, 3)?,
                })
            })
            .optional()?;
        Ok(consent.filter(|consent| consent.expires_at > now))
    }

    /// Removes consents that were never finished.
    pub fn remove_expired_consents(&self, now: Timestamp) -> Result<usize, Error> {
        Ok(self
            .connection
            .execute("DELETE FROM consents WHERE expires_at <= ?1", [now.0])?)
    }
}

fn read_connection(row: &rusqlite::Row<'_>) -> Result<Connection, Error> {
    let account: Option<i64> = row.get(6)?;
    let key: Option<String> = row.get(7)?;
    Ok(Connection {
        id: ConnectionId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        connector: row.get(2)?,
        status: encode::read_word(&row.get::<_, String>(3)?)?,
        problem: row
            .get::<_, Option<String>>(4)?
            .map(|problem| encode::read_json(&problem))
            .transpose()?,
        account: account
            .zip(key)
            .map(|(id, key)| (AccountId(id), key.into())),
        created_at: timestamp(row, 5)?,
        trial: row.get(8)?,
    })
}
