//! Plugin versions that serve one connection before they serve all.

use rusqlite::params;

use super::{Error, Tx, timestamp};
use crate::model::{ConnectionId, Timestamp};

/// A version that serves one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The connection.
    pub connection: ConnectionId,
    /// The version, by digest.
    pub digest: String,
    /// Who asked for it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Why the host cannot run it, where it cannot: the active version serves then.
    pub problem: Option<String>,
}

impl Tx<'_> {
    /// All of them, by connection.
    pub fn trials(&self) -> Result<Vec<Trial>, Error> {
        let mut statement = self.statement(
            "SELECT connection, digest, by, at, problem FROM plugin_trials ORDER BY connection",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Trial {
                connection: ConnectionId(row.get(0)?),
                digest: row.get(1)?,
                by: row.get(2)?,
                at: timestamp(row, 3)?,
                problem: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The version that a connection alone is served by.
    pub fn trial(&self, connection: ConnectionId) -> Result<Option<Trial>, Error> {
        let mut trials = self.trials()?.into_iter();
        Ok(trials.find(|trial| trial.connection == connection))
    }

    /// Has a version serve a connection from the commit on, in place of whichever did.
    pub fn begin_trial(
        &self,
        connection: ConnectionId,
        digest: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT OR REPLACE INTO plugin_trials (connection, digest, by, at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![connection.0, digest, by, now.0])?;
        self.connection_changed(connection)
    }

    /// Has the active version serve a connection again. Returns whether another did.
    pub fn end_trial(&self, connection: ConnectionId) -> Result<bool, Error> {
        let ended = self
            .statement("DELETE FROM plugin_trials WHERE connection = ?1")?
            .execute([connection.0])?;
        if ended > 0 {
            self.connection_changed(connection)?;
        }
        Ok(ended > 0)
    }

    /// Says why a version cannot be run for the connections that it is to serve, or
    /// that it can.
    pub fn set_trial_problem(&self, digest: &str, problem: Option<&str>) -> Result<(), Error> {
        let mut statement = self.statement(
            "UPDATE plugin_trials SET problem = ?2 WHERE digest = ?1 AND problem IS NOT ?2
             RETURNING connection",
        )?;
        let changed =
            statement.query_map(params![digest, problem], |row| row.get(0).map(ConnectionId))?;
        for connection in changed.collect::<Result<Vec<_>, _>>()? {
            self.connection_changed(connection)?;
        }
        Ok(())
    }
}
