//! Signed-in browsers.

use rusqlite::{OptionalExtension, params};

use super::{
    Error, Tx,
    members::{Person, read_person},
    projects::{Project, Role, read_project},
    timestamp,
};
use crate::model::{PersonId, ProjectId, Timestamp};

/// Who a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A member, who may do what their membership says at any moment.
    Member(PersonId),
    /// Whoever had a link of the command line's or the demo's. With the role of an
    /// operator they are an admin of the project who operates the host, too.
    Link(Role),
}

/// A browser that signs in.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The hash of its token.
    pub hash: [u8; 32],
    /// The project that it looks at.
    pub project: ProjectId,
    /// Who it is of.
    pub holder: Holder,
    /// What the browser is, for people.
    pub browser: String,
    /// When it ends, used or not.
    pub expires_at: Timestamp,
}

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub id: i64,
    /// The project that it looks at.
    pub project: Project,
    /// What it may do there.
    pub role: Role,
    /// Whether it operates the host.
    pub operates: bool,
    /// Who is signed in; none where a link did it.
    pub person: Option<Person>,
    /// When it was last known to be used.
    pub used_at: Timestamp,
}

/// A session as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// The name of the project that it looks at.
    pub project: String,
    /// What the browser is.
    pub browser: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was last known to be used.
    pub used_at: Timestamp,
}

impl Tx<'_> {
    /// Keeps a session by its token's hash.
    pub fn create_session(&self, new: &NewSession, now: Timestamp) -> Result<(), Error> {
        let (person, role) = match new.holder {
            Holder::Member(person) => (Some(person.0), None),
            Holder::Link(Role::Operator) => (None, Some(Role::Admin)),
            Holder::Link(role) => (None, Some(role)),
        };
        self.connection.execute(
            "INSERT INTO sessions
                (hash, project, person, role, browser, created_at, used_at, expires_at, operates)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)",
            params![
                new.hash,
                new.project.0,
                person,
                role.map(Role::as_str),
                new.browser,
                now.0,
                new.expires_at.0,
                new.holder == Holder::Link(Role::Operator)
            ],
        )?;
        Ok(())
    }

    /// The session with this hash; none where there is none, it has expired, it
    /// was not used since `used_since`, or its member is one no more.
    pub fn session(
        &self,
        hash: [u8; 32],
        now: Timestamp,
        used_since: Timestamp,
    ) -> Result<Option<Found>, Error> {
        let mut statement = self.statement(
            "SELECT j.id, j.name, j.time_zone, p.id, p.email, p.name, s.id, s.used_at,
                CASE WHEN s.person IS NULL THEN s.role ELSE m.role END AS may,
                s.operates OR EXISTS (SELECT 1 FROM operators o WHERE o.person = s.person)
             FROM sessions s JOIN projects j ON j.id = s.project
             LEFT JOIN people p ON p.id = s.person
             LEFT JOIN memberships m ON m.project = s.project AND m.person = s.person
             WHERE s.hash = ?1 AND s.expires_at > ?2 AND s.used_at > ?3 AND may IS NOT NULL",
        )?;
        let mut rows = statement.query(params![hash, now.0, used_since.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let is_members = row.get::<_, Option<i64>>(3)?.is_some();
        Ok(Some(Found {
            id: row.get(6)?,
            project: read_project(row)?,
            role: Role::read(&row.get::<_, String>(8)?)?,
            operates: row.get(9)?,
            person: is_members.then(|| read_person(row, 3)).transpose()?,
            used_at: timestamp(row, 7)?,
        }))
    }

    /// Keeps when a session was used.
    pub fn touch_session(&self, id: i64, now: Timestamp) -> Result<(), Error> {
        self.statement("UPDATE sessions SET used_at = max(used_at, ?2) WHERE id = ?1")?
            .execute([id, now.0])?;
        Ok(())
    }

    /// Gives a session another token, and moves it to a project. Returns when
    /// it ends.
    pub fn move_session(
        &self,
        id: i64,
        hash: [u8; 32],
        project: ProjectId,
    ) -> Result<Timestamp, Error> {
        self.statement(
            "UPDATE sessions SET hash = ?2, project = ?3 WHERE id = ?1 RETURNING expires_at",
        )?
        .query_row(params![id, hash, project.0], |row| timestamp(row, 0))
        .optional()?
        .ok_or(Error::NotFound("session"))
    }

    /// A person's sessions that have not ended, the last used first.
    pub fn sessions_of(
        &self,
        person: PersonId,
        now: Timestamp,
        used_since: Timestamp,
    ) -> Result<Vec<Listed>, Error> {
        let mut statement = self.statement(
            "SELECT s.id, j.name, s.browser, s.created_at, s.used_at
             FROM sessions s JOIN projects j ON j.id = s.project
             JOIN memberships m ON m.project = s.project AND m.person = s.person
             WHERE s.person = ?1 AND s.expires_at > ?2 AND s.used_at > ?3
             ORDER BY s.used_at DESC, s.id DESC",
        )?;
        let listed = statement.query_map([person.0, now.0, used_since.0], |row| {
            Ok(Listed {
                id: row.get(0)?,
                project: row.get(1)?,
                browser: row.get(2)?,
                created_at: timestamp(row, 3)?,
                used_at: timestamp(row, 4)?,
            })
        })?;
        Ok(listed.collect::<Result<_, _>>()?)
    }

    /// Ends a session.
    pub fn end_session(&self, id: i64) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM sessions WHERE id = ?1", id)?;
        Ok(())
    }

    /// Ends the session whose token has this hash, where there is one.
    pub fn end_session_with(&self, hash: [u8; 32]) -> Result<(), Error> {
        self.connection
            .execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
        Ok(())
    }

    /// Ends a session of a person. Returns whether it was theirs.
    pub fn end_session_of(&self, person: PersonId, id: i64) -> Result<bool, Error> {
        let ended = self.connection.execute(
            "DELETE FROM sessions WHERE id = ?1 AND person = ?2",
            [id, person.0],
        )?;
        Ok(ended > 0)
    }

    /// Ends all sessions of a person, in every project.
    pub fn end_sessions_of(&self, person: PersonId) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM sessions WHERE person = ?1", person.0)?;
        Ok(())
    }

    /// Ends all sessions of a person but one.
    pub fn end_other_sessions_of(&self, person: PersonId, kept: i64) -> Result<(), Error> {
        self.connection.execute(
            "DELETE FROM sessions WHERE person = ?1 AND id <> ?2",
            [person.0, kept],
        )?;
        Ok(())
    }

    /// Removes sessions that have expired.
    pub fn remove_ended_sessions(&self, now: Timestamp) -> Result<usize, Error> {
        Ok(self
            .connection
            .execute("DELETE FROM sessions WHERE expires_at <= ?1", [now.0])?)
    }
}
