//! Users whose records are to be selected anew since their mapping was saved.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::{Error, Tx};
use crate::model::{AccountId, ConnectionId, MappingId, ObjectType, UserId};

/// Whoever is linked is reached: strangers, of whom there may be far more, are not looked
/// at.
const OF_LINKED: &str = "
    INSERT OR IGNORE INTO reselections (mapping, user)
    SELECT ?1, l.user FROM records r JOIN links l ON l.record = r.id
    WHERE r.connection = ?2 AND r.object_type = ?3 AND r.reached";

/// A user with the object mapping that feeds them.
pub(super) fn selection(row: &Row<'_>) -> rusqlite::Result<(MappingId, UserId)> {
    Ok((MappingId(row.get(0)?), UserId(row.get(1)?)))
}

impl Tx<'_> {
    /// A mapping selects otherwise: its records are to be selected anew for all who
    /// are linked to a record of a type, which is its own or the one that it goes through.
    pub fn request_reselections(
        &self,
        mapping: MappingId,
        connection: ConnectionId,
        linked: &ObjectType,
    ) -> Result<(), Error> {
        self.statement(OF_LINKED)?.execute(params![
            mapping.0,
            connection.0,
            self.object_type_id(linked)?
        ])?;
        Ok(())
    }

    /// What is held of a connection is to be selected anew.
    pub fn request_reselections_of_held(&self, connection: ConnectionId) -> Result<(), Error> {
        self.statement(
            "INSERT OR IGNORE INTO reselections (mapping, user)
             SELECT h.mapping, h.user FROM object_mappings m
             JOIN held_selections h ON h.mapping = m.id WHERE m.connection = ?1",
        )?
        .execute([connection.0])?;
        Ok(())
    }

    /// A connection of which users' records are to be selected anew, but for those that
    /// are passed over; with its account.
    pub fn next_reselections(
        &self,
        passed: &[i64],
    ) -> Result<Option<(ConnectionId, AccountId)>, Error> {
        Ok(self
            .statement(
                "SELECT c.id, c.account FROM reselections r
                 JOIN object_mappings m ON m.id = r.mapping
                 JOIN connections c ON c.id = m.connection
                 WHERE c.account IS NOT NULL
                   AND c.id NOT IN (SELECT value FROM json_each(?1)) LIMIT 1",
            )?
            .query_row([json!(passed).to_string()], |row| {
                Ok((ConnectionId(row.get(0)?), AccountId(row.get(1)?)))
            })
            .optional()?)
    }

    /// Users of a connection whose records are to be selected anew: at most `limit`.
    pub fn reselections(
        &self,
        connection: ConnectionId,
        limit: usize,
    ) -> Result<Vec<(MappingId, UserId)>, Error> {
        let mut statement = self.statement(
            "SELECT r.mapping, r.user FROM object_mappings m
             JOIN reselections r ON r.mapping = m.id WHERE m.connection = ?1 LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map([connection.0, limit], selection)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A user's records are selected anew.
    pub fn reselected(&self, mapping: MappingId, user: UserId) -> Result<(), Error> {
        self.statement("DELETE FROM reselections WHERE mapping = ?1 AND user = ?2")?
            .execute([mapping.0, user.0])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_linked_is_found_among_what_is_reached() {
        let plan = super::super::query_plan(OF_LINKED);
        let reached = "SEARCH r USING INDEX records_reached (connection=? AND object_type=?)";
        assert_eq!(plan.first().map(String::as_str), Some(reached), "{plan:#?}");
    }
}
