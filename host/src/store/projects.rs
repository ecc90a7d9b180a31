//! Projects, and the tokens that open them.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, optional_timestamp, timestamp};
use crate::model::{PersonId, ProjectId, Timestamp};

/// A Jimo workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// What people call it.
    pub name: String,
    /// Its IANA time zone.
    pub time_zone: String,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything in one project.
    Admin,
    /// Look at one project.
    Viewer,
    /// The whole host.
    Operator,
}

impl Role {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    pub(super) fn read(stored: &str) -> Result<Self, Error> {
        [Self::Admin, Self::Viewer, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == stored)
            .ok_or(Error::Undecodable("role"))
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The JSON API.
    Api,
    /// A link that signs a browser in.
    SignIn,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::SignIn => "sign_in",
        }
    }
}

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The token's number.
    pub token: i64,
    /// The project it opens; none for the operator's.
    pub project: Option<ProjectId>,
    /// What it may do.
    pub role: Role,
    /// What people call it.
    pub name: Option<String>,
    /// When it was first used on the last day that it was used.
    pub used_at: Option<Timestamp>,
}

/// A token as it is listed: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedToken {
    /// Whose it is.
    pub holder: Holder,
    /// The name of who made it, where a member did who still is one.
    pub made_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Makes a project.
    pub fn create_project(
        &self,
        name: &str,
        time_zone: &str,
        now: Timestamp,
    ) -> Result<Project, Error> {
        self.connection.execute(
            "INSERT INTO projects (name, time_zone, created_at) VALUES (?1, ?2, ?3)",
            params![name, time_zone, now.0],
        )?;
        self.project(ProjectId(self.connection.last_insert_rowid()))
    }

    /// A project.
    pub fn project(&self, id: ProjectId) -> Result<Project, Error> {
        self.statement("SELECT id, name, time_zone FROM projects WHERE id = ?1")?
            .query_row([id.0], read_project)
            .optional()?
            .ok_or(Error::NotFound("project"))
    }

    /// All projects, oldest first.
    pub fn projects(&self) -> Result<Vec<Project>, Error> {
        let mut statement =
            self.statement("SELECT id, name, time_zone FROM projects ORDER BY id")?;
        Ok(statement
            .query_map([], read_project)?
            .collect::<Result<_, _>>()?)
    }

    /// Changes a project's name and time zone.
    pub fn update_project(&self, project: &Project) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE projects SET name = ?2, time_zone = ?3 WHERE id = ?1",
            params![project.id.0, project.name, project.time_zone],
        )?;
        Ok(())
    }

    /// Keeps a token by its hash.
    pub fn create_token(
        &self,
        hash: [u8; 32],
        project: Option<ProjectId>,
        role: Role,
        purpose: Purpose,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<i64, Error> {
        if let Some(project) = project {
            self.project(project)?;
        }
        self.connection.execute(
            "INSERT INTO tokens (hash, project, role, purpose, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                hash,
                project.map(|project| project.0),
                role.as_str(),
                purpose.as_str(),
                now.0,
                expires_at.map(|moment| moment.0)
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Who holds the token with this hash; none where there is no such token,
    /// or it has expired.
    pub fn token_holder(
        &self,
        hash: [u8; 32],
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<Holder>, Error> {
        let mut statement = self.statement(
            "SELECT id, project, role, name, used_at FROM tokens
             WHERE hash = ?1 AND purpose = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
        )?;
        let mut rows = statement.query(params![hash, purpose.as_str(), now.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Holder {
            token: row.get(0)?,
            project: row.get::<_, Option<i64>>(1)?.map(ProjectId),
            role: Role::read(&row.get::<_, String>(2)?)?,
            name: row.get(3)?,
            used_at: optional_timestamp(row, 4)?,
        }))
    }

    /// Whether a sign-in link has an end, so is good once; none where it is not
    /// good at all.
    pub fn sign_in_ends(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<bool>, Error> {
        Ok(self.statement(
                "SELECT expires_at IS NOT NULL FROM tokens
                 WHERE hash = ?1 AND purpose = 'sign_in' AND (expires_at IS NULL OR expires_at > ?2)",
            )?
            .query_row(params![hash, now.0], |row| row.get(0))
            .optional()?)
    }

    /// Who a sign-in link is for; none where it is not good. A link that has an
    /// end is good once: this was it.
    pub fn use_sign_in(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Holder>, Error> {
        let holder = self.token_holder(hash, Purpose::SignIn, now)?;
        self.connection.execute(
            "DELETE FROM tokens WHERE hash = ?1 AND purpose = 'sign_in' AND expires_at IS NOT NULL",
            [hash],
        )?;
        Ok(holder)
    }

    /// Keeps what people call a token, and who made it.
    pub fn name_token(
        &self,
        token: i64,
        name: &str,
        made_by: Option<PersonId>,
    ) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE tokens SET name = ?2, made_by = ?3 WHERE id = ?1",
            params![token, name, made_by.map(|person| person.0)],
        )?;
        Ok(())
    }

    /// Keeps when a token was used.
    pub fn touch_token(&self, token: i64, now: Timestamp) -> Result<(), Error> {
        self.statement("UPDATE tokens SET used_at = ?2 WHERE id = ?1")?
            .execute([token, now.0])?;
        Ok(())
    }

    /// All API tokens, oldest first.
    pub fn tokens(&self) -> Result<Vec<ListedToken>, Error> {
        self.list_tokens(None)
    }

    /// The API tokens of a project, oldest first.
    pub fn project_tokens(&self, project: ProjectId) -> Result<Vec<ListedToken>, Error> {
        self.list_tokens(Some(project))
    }

    fn list_tokens(&self, project: Option<ProjectId>) -> Result<Vec<ListedToken>, Error> {
        let mut statement = self.statement(
            "SELECT t.id, t.project, t.role, t.created_at, t.name, p.name, t.used_at
             FROM tokens t LEFT JOIN people p ON p.id = t.made_by
             WHERE t.purpose = 'api' AND (?1 IS NULL OR t.project = ?1) ORDER BY t.id",
        )?;
        let mut rows = statement.query([project.map(|project| project.0)])?;
        let mut tokens = Vec::new();
        while let Some(row) = rows.next()? {
            tokens.push(ListedToken {
                holder: Holder {
                    token: row.get(0)?,
                    project: row.get::<_, Option<i64>>(1)?.map(ProjectId),
                    role: Role::read(&row.get::<_, String>(2)?)?,
                    name: row.get(4)?,
                    used_at: optional_timestamp(row, 6)?,
                },
                made_by: row.get(5)?,
                created_at: timestamp(row, 3)?,
            });
        }
        Ok(tokens)
    }

    /// Revokes an API token of a project. Returns whether there was one.
    pub fn revoke_project_token(&self, project: ProjectId, token: i64) -> Result<bool, Error> {
        let revoked = self.connection.execute(
            "DELETE FROM tokens WHERE id = ?1 AND project = ?2 AND purpose = 'api'",
            [token, project.0],
        )?;
        Ok(revoked > 0)
    }

    /// Revokes a token. Returns whether there was one.
    pub fn revoke_token(&self, token: i64) -> Result<bool, Error> {
        Ok(self.execute_by_id("DELETE FROM tokens WHERE id = ?1", token)? > 0)
    }

    /// Removes tokens that have expired.
    pub fn remove_expired_tokens(&self, now: Timestamp) -> Result<usize, Error> {
        Ok(self
            .connection
            .execute("DELETE FROM tokens WHERE expires_at <= ?1", [now.0])?)
    }
}

/// Reads `id`, `name`, `time_zone`, which are the first columns.
pub(super) fn read_project(row: &rusqlite::Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get(0)?),
        name: row.get(1)?,
        time_zone: row.get(2)?,
    })
}
