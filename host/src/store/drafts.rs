//! Drafts of mappings: what somebody changed and has not saved yet.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx};
use crate::model::{ConnectionId, Timestamp};

/// A draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The version of the mappings that it began from ([`Tx::mappings_version`]).
    pub version: i64,
    /// The whole document, as its author wrote it.
    pub document: String,
}

impl Tx<'_> {
    /// The draft that a session has of a connection's mappings.
    pub fn draft(
        &self,
        connection: ConnectionId,
        session: &[u8; 32],
    ) -> Result<Option<Draft>, Error> {
        Ok(self
            .statement(
                "SELECT version, document FROM mapping_drafts
                 WHERE connection = ?1 AND session = ?2",
            )?
            .query_row(params![connection.0, session], |row| {
                Ok(Draft {
                    version: row.get(0)?,
                    document: row.get(1)?,
                })
            })
            .optional()?)
    }

    /// Keeps a session's draft.
    pub fn save_draft(
        &self,
        connection: ConnectionId,
        session: &[u8; 32],
        draft: &Draft,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO mapping_drafts (connection, session, version, document, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (connection, session) DO UPDATE SET version = excluded.version,
                document = excluded.document, changed_at = excluded.changed_at",
        )?
        .execute(params![
            connection.0,
            session,
            draft.version,
            draft.document,
            now.0
        ])?;
        Ok(())
    }

    /// Forgets a session's draft.
    pub fn drop_draft(&self, connection: ConnectionId, session: &[u8; 32]) -> Result<(), Error> {
        self.statement("DELETE FROM mapping_drafts WHERE connection = ?1 AND session = ?2")?
            .execute(params![connection.0, session])?;
        Ok(())
    }

    /// Forgets a session's draft where it is still this one.
    pub fn drop_this_draft(
        &self,
        connection: ConnectionId,
        session: &[u8; 32],
        draft: Option<&Draft>,
    ) -> Result<(), Error> {
        match self.draft(connection, session)?.as_ref() == draft {
            true => self.drop_draft(connection, session),
            false => Ok(()),
        }
    }

    /// Forgets drafts that nobody changed since a moment.
    pub fn trim_drafts(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM mapping_drafts WHERE changed_at < ?1")?
            .execute([before.0])?;
        Ok(())
    }
}
