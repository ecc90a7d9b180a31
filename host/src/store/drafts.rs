//! Drafts of mappings: what somebody changed and has not saved yet.
//!
//! A person has one draft of a connection, in all browsers that they signed in
//! with: what they began on one page goes on on the next, after another project or
//! a new password too, and nothing that they left on one screen overtakes what they
//! do on another. Of a session by a link nobody knows whose it is; such drafts stay
//! apart, and go with the session.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx};
use crate::model::{ConnectionId, PersonId, ProjectId, Timestamp};

/// Whose a draft is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A member's.
    Person(PersonId),
    /// The session's of that number, which a link signed in.
    Session(i64),
}

impl Author {
    /// The person or else the session, as columns.
    fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Person(person) => (Some(person.0), None),
            Self::Session(session) => (None, Some(session)),
        }
    }
}

/// A draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The version of the mappings that it began from ([`Tx::mappings_version`]).
    pub version: i64,
    /// The whole document, as its author wrote it.
    pub document: String,
}

impl Tx<'_> {
    /// The draft that somebody has of a connection's mappings.
    pub fn draft(&self, connection: ConnectionId, author: Author) -> Result<Option<Draft>, Error> {
        let sql = match author {
            Author::Person(_) => {
                "SELECT version, document FROM mapping_drafts
                 WHERE connection = ?1 AND person = ?2"
            }
            Author::Session(_) => {
                "SELECT version, document FROM mapping_drafts
                 WHERE connection = ?1 AND session = ?2"
            }
        };
        let (person, session) = author.columns();
        Ok(self
            .statement(sql)?
            .query_row(params![connection.0, person.or(session)], |row| {
                Ok(Draft {
                    version: row.get(0)?,
                    document: row.get(1)?,
                })
            })
            .optional()?)
    }

    /// Keeps somebody's draft, in place of the one that they had.
    pub fn save_draft(
        &self,
        connection: ConnectionId,
        author: Author,
        draft: &Draft,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.drop_draft(connection, author)?;
        let (person, session) = author.columns();
        self.statement(
            "INSERT INTO mapping_drafts
                (connection, person, session, version, document, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            connection.0,
            person,
            session,
            draft.version,
            draft.document,
            now.0
        ])?;
        Ok(())
    }

    /// Forgets somebody's draft.
    pub fn drop_draft(&self, connection: ConnectionId, author: Author) -> Result<(), Error> {
        let sql = match author {
            Author::Person(_) => "DELETE FROM mapping_drafts WHERE connection = ?1 AND person = ?2",
            Author::Session(_) => {
                "DELETE FROM mapping_drafts WHERE connection = ?1 AND session = ?2"
            }
        };
        let (person, session) = author.columns();
        self.statement(sql)?
            .execute(params![connection.0, person.or(session)])?;
        Ok(())
    }

    /// Forgets somebody's draft where it is still this one.
    pub fn drop_this_draft(
        &self,
        connection: ConnectionId,
        author: Author,
        draft: Option<&Draft>,
    ) -> Result<(), Error> {
        match self.draft(connection, author)?.as_ref() == draft {
            true => self.drop_draft(connection, author),
            false => Ok(()),
        }
    }

    /// Forgets a person's drafts of a project's connections: they may save none
    /// of them any more.
    pub(super) fn drop_drafts_of(&self, project: ProjectId, person: PersonId) -> Result<(), Error> {
        self.statement(
            "DELETE FROM mapping_drafts WHERE person = ?2
                AND connection IN (SELECT id FROM connections WHERE project = ?1)",
        )?
        .execute([project.0, person.0])?;
        Ok(())
    }

    /// Forgets drafts that nobody changed since a moment.
    pub fn trim_drafts(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM mapping_drafts WHERE changed_at < ?1")?
            .execute([before.0])?;
        Ok(())
    }
}
