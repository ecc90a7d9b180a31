//! The links by which people come in: the owner's, invitations, and those that
//! choose a new password. Each is kept by its hash, and good once.

use rusqlite::{OptionalExtension, params};

use super::{
    Error, Tx,
    members::Email,
    projects::{Project, Role, read_project},
    timestamp,
};
use crate::model::{PersonId, ProjectId, Timestamp};

/// Somebody who is to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvitation {
    /// The hash of its link's token.
    pub hash: [u8; 32],
    /// The project.
    pub project: ProjectId,
    /// Who.
    pub email: Email,
    /// What they will be able to do.
    pub role: Role,
    /// Who invites; none where a session of no person does.
    pub made_by: Option<PersonId>,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// An invitation that can be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its number.
    pub id: i64,
    /// The project.
    pub project: Project,
    /// Who.
    pub email: Email,
    /// What they will be able to do.
    pub role: Role,
    /// The name of who invites, where it is known.
    pub made_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// A link by which a person chooses a new password, and by what right it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Who.
    pub person: PersonId,
    /// The project that it was made in; none where an operator made it.
    pub project: Option<ProjectId>,
    /// Who made it there; none where a session of no person did.
    pub made_by: Option<PersonId>,
}

/// What [`read_invitation`] reads.
const INVITATIONS: &str = "SELECT j.id, j.name, j.time_zone, i.id, i.email, i.email_key, i.role,
        p.name, i.created_at, i.expires_at
     FROM invitations i JOIN projects j ON j.id = i.project
     LEFT JOIN people p ON p.id = i.made_by";

impl Tx<'_> {
    /// Keeps an invitation, in place of an earlier one of the same address to
    /// the same project.
    pub fn create_invitation(&self, new: &NewInvitation, now: Timestamp) -> Result<(), Error> {
        self.connection.execute(
            "DELETE FROM invitations WHERE project = ?1 AND email_key = ?2",
            params![new.project.0, new.email.key],
        )?;
        self.connection.execute(
            "INSERT INTO invitations
                (hash, project, email, email_key, role, made_by, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                new.hash,
                new.project.0,
                new.email.text,
                new.email.key,
                new.role.as_str(),
                new.made_by.map(|person| person.0),
                now.0,
                new.expires_at.0
            ],
        )?;
        Ok(())
    }

    /// The invitation that a link is of; none where it is not good.
    pub fn invitation(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Invitation>, Error> {
        let sql = format!("{INVITATIONS} WHERE i.hash = ?1 AND i.expires_at > ?2");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params![hash, now.0])?;
        rows.next()?.map(read_invitation).transpose()
    }

    /// The invitations to a project that can be accepted, oldest first.
    pub fn invitations(
        &self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<Vec<Invitation>, Error> {
        let sql = format!("{INVITATIONS} WHERE i.project = ?1 AND i.expires_at > ?2 ORDER BY i.id");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([project.0, now.0])?;
        let mut invitations = Vec::new();
        while let Some(row) = rows.next()? {
            invitations.push(read_invitation(row)?);
        }
        Ok(invitations)
    }

    /// Takes an invitation of a project back, or uses it up. Returns whether
    /// there was one.
    pub fn remove_invitation(&self, project: ProjectId, id: i64) -> Result<bool, Error> {
        let removed = self.connection.execute(
            "DELETE FROM invitations WHERE id = ?1 AND project = ?2",
            [id, project.0],
        )?;
        Ok(removed > 0)
    }

    /// Keeps a link by which a person chooses a new password; an earlier one is
    /// void.
    pub fn create_reset(
        &self,
        reset: Reset,
        hash: [u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        self.remove_reset(reset.person)?;
        self.connection.execute(
            "INSERT INTO password_resets (person, hash, project, made_by, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                reset.person.0,
                hash,
                reset.project.map(|project| project.0),
                reset.made_by.map(|person| person.0),
                expires_at.0
            ],
        )?;
        Ok(())
    }

    /// The link with that hash; none where it was not made, or is over.
    pub fn reset(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Reset>, Error> {
        Ok(self
            .statement(
                "SELECT person, project, made_by FROM password_resets
                 WHERE hash = ?1 AND expires_at > ?2",
            )?
            .query_row(params![hash, now.0], |row| {
                Ok(Reset {
                    person: PersonId(row.get(0)?),
                    project: row.get::<_, Option<i64>>(1)?.map(ProjectId),
                    made_by: row.get::<_, Option<i64>>(2)?.map(PersonId),
                })
            })
            .optional()?)
    }

    /// Makes void whatever link a person could choose a new password by.
    pub fn remove_reset(&self, person: PersonId) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM password_resets WHERE person = ?1", person.0)?;
        Ok(())
    }

    /// Keeps the link of the first member; an earlier one is void.
    pub fn set_owner_link(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO owner_link (one, hash, expires_at) VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET
                hash = excluded.hash, expires_at = excluded.expires_at",
            params![hash, expires_at.0],
        )?;
        Ok(())
    }

    /// Whether a link is the first member's, and good.
    pub fn is_owner_link(&self, hash: [u8; 32], now: Timestamp) -> Result<bool, Error> {
        Ok(self
            .statement(
                "SELECT EXISTS (SELECT 1 FROM owner_link WHERE hash = ?1 AND expires_at > ?2)",
            )?
            .query_one(params![hash, now.0], |row| row.get(0))?)
    }

    /// Makes the link of the first member void.
    pub fn remove_owner_link(&self) -> Result<(), Error> {
        self.connection.execute("DELETE FROM owner_link", [])?;
        Ok(())
    }

    /// Removes links that have expired.
    pub fn remove_expired_links(&self, now: Timestamp) -> Result<(), Error> {
        for sql in [
            "DELETE FROM invitations WHERE expires_at <= ?1",
            "DELETE FROM password_resets WHERE expires_at <= ?1",
            "DELETE FROM owner_link WHERE expires_at <= ?1",
        ] {
            self.connection.execute(sql, [now.0])?;
        }
        Ok(())
    }
}

fn read_invitation(row: &rusqlite::Row<'_>) -> Result<Invitation, Error> {
    Ok(Invitation {
        id: row.get(3)?,
        project: read_project(row)?,
        email: Email {
            text: row.get(4)?,
            key: row.get(5)?,
        },
        role: Role::read(&row.get::<_, String>(6)?)?,
        made_by: row.get(7)?,
        created_at: timestamp(row, 8)?,
        expires_at: timestamp(row, 9)?,
    })
}
