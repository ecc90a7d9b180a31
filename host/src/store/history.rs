//! What happened since connections were made, as counts.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Error, Tx};
use crate::model::{ConnectionId, Timestamp};

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
        // What was taken back is as if it had not been.
        for (name, count) in counts.iter().filter(|(_, count)| **count != 0) {
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
}
