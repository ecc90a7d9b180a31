//! People who sign in, and the projects that they are members of.

use rusqlite::{OptionalExtension, params};

use super::{
    Error, Tx,
    projects::{Project, Role, read_project},
    timestamp,
};
use crate::model::{PersonId, ProjectId, Timestamp};

/// An e-mail address, and the one form that it is compared in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// As it was typed.
    pub text: String,
    /// As [`crate::model::normalise`] makes it.
    pub key: String,
}

/// Somebody who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: PersonId,
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub name: String,
}

/// A member of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// What they may do there.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
}

/// A project that somebody is a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The project.
    pub project: Project,
    /// What they may do there.
    pub role: Role,
}

/// Reads `id`, `email`, `name`, which begin at a column.
pub(super) fn read_person(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Person> {
    Ok(Person {
        id: PersonId(row.get(from)?),
        email: row.get(from + 1)?,
        name: row.get(from + 2)?,
    })
}

impl Tx<'_> {
    /// Whether anybody is a member of anything.
    pub fn has_people(&self) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM people)")?
            .query_one([], |row| row.get(0))?)
    }

    /// Makes a person.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where the address is somebody's.
    pub fn create_person(
        &self,
        email: &Email,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<PersonId, Error> {
        if self.person_by_email(&email.key)?.is_some() {
            return Err(Error::Conflict(
                "this address has an account already".into(),
            ));
        }
        self.connection.execute(
            "INSERT INTO people (email, email_key, name, password, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![email.text, email.key, name, password, now.0],
        )?;
        Ok(PersonId(self.connection.last_insert_rowid()))
    }

    /// A person.
    pub fn person(&self, id: PersonId) -> Result<Person, Error> {
        self.statement("SELECT p.id, p.email, p.name FROM people p WHERE p.id = ?1")?
            .query_row([id.0], |row| read_person(row, 0))
            .optional()?
            .ok_or(Error::NotFound("member"))
    }

    /// Whose an address is, by its compared form.
    pub fn person_by_email(&self, key: &str) -> Result<Option<Person>, Error> {
        Ok(self
            .statement("SELECT p.id, p.email, p.name FROM people p WHERE p.email_key = ?1")?
            .query_row([key], |row| read_person(row, 0))
            .optional()?)
    }

    /// The hash of a person's password.
    pub fn password(&self, person: PersonId) -> Result<String, Error> {
        self.statement("SELECT password FROM people WHERE id = ?1")?
            .query_row([person.0], |row| row.get(0))
            .optional()?
            .ok_or(Error::NotFound("member"))
    }

    /// Replaces the hash of a person's password.
    pub fn set_password(&self, person: PersonId, hash: &str) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE people SET password = ?2 WHERE id = ?1",
            params![person.0, hash],
        )?;
        Ok(())
    }

    /// Changes a person's name.
    pub fn rename_person(&self, person: PersonId, name: &str) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE people SET name = ?2 WHERE id = ?1",
            params![person.0, name],
        )?;
        Ok(())
    }

    /// The members of a project, by name.
    pub fn members(&self, project: ProjectId) -> Result<Vec<Member>, Error> {
        let mut statement = self.statement(
            "SELECT p.id, p.email, p.name, m.role, m.joined_at
             FROM memberships m JOIN people p ON p.id = m.person
             WHERE m.project = ?1 ORDER BY p.name COLLATE NOCASE, p.id",
        )?;
        let mut rows = statement.query([project.0])?;
        let mut members = Vec::new();
        while let Some(row) = rows.next()? {
            members.push(Member {
                person: read_person(row, 0)?,
                role: Role::read(&row.get::<_, String>(3)?)?,
                joined_at: timestamp(row, 4)?,
            });
        }
        Ok(members)
    }

    /// What a person may do in a project; none where they are no member.
    pub fn member_role(&self, project: ProjectId, person: PersonId) -> Result<Option<Role>, Error> {
        let role: Option<String> = self
            .statement("SELECT role FROM memberships WHERE project = ?1 AND person = ?2")?
            .query_row([project.0, person.0], |row| row.get(0))
            .optional()?;
        role.map(|role| Role::read(&role)).transpose()
    }

    /// Makes a person a member, or changes what they may do. A viewer has no
    /// drafts: nothing may come of them.
    pub fn set_member(
        &self,
        project: ProjectId,
        person: PersonId,
        role: Role,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO memberships (project, person, role, joined_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (project, person) DO UPDATE SET role = excluded.role",
            params![project.0, person.0, role.as_str(), now.0],
        )?;
        match role {
            Role::Viewer => self.drop_drafts_of(project, person),
            Role::Admin | Role::Operator => Ok(()),
        }
    }

    /// Ends a membership, and the member's sessions and drafts of that project.
    /// Of a person who is a member of nothing any more, nothing is kept.
    pub fn remove_member(&self, project: ProjectId, person: PersonId) -> Result<(), Error> {
        let of_both = params![project.0, person.0];
        self.connection.execute(
            "DELETE FROM memberships WHERE project = ?1 AND person = ?2",
            of_both,
        )?;
        self.connection.execute(
            "DELETE FROM sessions WHERE project = ?1 AND person = ?2",
            of_both,
        )?;
        self.drop_drafts_of(project, person)?;
        self.connection.execute(
            "DELETE FROM people WHERE id = ?1
                AND NOT EXISTS (SELECT 1 FROM memberships WHERE person = ?1)",
            [person.0],
        )?;
        Ok(())
    }

    /// The projects that a person is a member of, by name.
    pub fn memberships(&self, person: PersonId) -> Result<Vec<Membership>, Error> {
        let mut statement = self.statement(
            "SELECT j.id, j.name, j.time_zone, m.role
             FROM memberships m JOIN projects j ON j.id = m.project
             WHERE m.person = ?1 ORDER BY j.name COLLATE NOCASE, j.id",
        )?;
        let mut rows = statement.query([person.0])?;
        let mut memberships = Vec::new();
        while let Some(row) = rows.next()? {
            memberships.push(Membership {
                project: read_project(row)?,
                role: Role::read(&row.get::<_, String>(3)?)?,
            });
        }
        Ok(memberships)
    }

    /// The project that a person looked at last, where they still are a member
    /// of it.
    pub fn last_project(&self, person: PersonId) -> Result<Option<ProjectId>, Error> {
        Ok(self
            .statement(
                "SELECT m.project FROM people p
                 JOIN memberships m ON m.project = p.project AND m.person = p.id
                 WHERE p.id = ?1",
            )?
            .query_row([person.0], |row| row.get(0).map(ProjectId))
            .optional()?)
    }

    /// Keeps which project a person looked at last.
    pub fn set_last_project(&self, person: PersonId, project: ProjectId) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE people SET project = ?2 WHERE id = ?1",
            params![person.0, project.0],
        )?;
        Ok(())
    }
}
