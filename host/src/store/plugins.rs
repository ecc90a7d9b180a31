//! Plugin versions: which are installed, which was active when, and what
//! operators ask of the host.

use rusqlite::{OptionalExtension, Row, params};

use super::{
    Error, Tx,
    encode::{json, read_json},
    timestamp,
};
use crate::model::{ConnectionId, Described, Timestamp};

/// The fewest characters of a digest that a version is asked for by.
const PREFIX_LENGTH_MIN: usize = 4;

/// A version that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersion {
    /// The SHA-256 digest of the component, in hexadecimal.
    pub digest: String,
    /// The connector that it says it is, for example `hubspot`.
    pub connector: String,
    /// What it says people read, for example `HubSpot`.
    pub label: String,
    /// The version that it says it is.
    pub version: String,
    /// The version of the contract that it speaks; none where it was installed before
    /// that was kept.
    pub contract: Option<String>,
    /// What it says that it understands; none where it was installed before that was
    /// kept, and did not run since.
    pub description: Option<Described>,
    /// How large the component is.
    pub size_bytes: u64,
    /// The name of the file that it came in; none where a release has it built in.
    pub file: Option<String>,
    /// Who installed it.
    pub installed_by: String,
    /// When.
    pub installed_at: Timestamp,
}

/// Why a version became the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// An operator activated it.
    Operator,
    /// An operator went back to it.
    Rollback,
    /// The host went back to it, for the one after it failed too often.
    Automatic,
}

impl Why {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Rollback => "rollback",
            Self::Automatic => "automatic",
        }
    }

    fn read(stored: &str) -> Result<Self, Error> {
        match stored {
            "operator" => Ok(Self::Operator),
            "rollback" => Ok(Self::Rollback),
            "automatic" => Ok(Self::Automatic),
            _ => Err(Error::Undecodable("reason for an activation")),
        }
    }
}

/// A switch that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The connector.
    pub connector: String,
    /// The connection that it is for; none where it is for all.
    pub connection: Option<ConnectionId>,
    /// The version that is to be active, by digest.
    pub digest: String,
    /// Who asks for it.
    pub by: String,
    /// Why it is made.
    pub why: Why,
    /// Why, in the words of whoever asks for it.
    pub reason: Option<String>,
}

/// A switch that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Its number; they grow.
    pub id: i64,
    /// What was made active, by whom, and why.
    pub switch: Switch,
    /// The version that was active before, by digest; none where it was the
    /// connector's first.
    pub before: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What became of a switch that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host has not looked at it yet.
    Waits,
    /// It was made.
    Made,
    /// It was not, for this reason.
    Refused(String),
}

/// What a host runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The version, by digest; none where nothing can be run.
    pub digest: Option<String>,
    /// The version that its release has built in, by digest; none where it has none
    /// of the connector.
    pub built_in: Option<String>,
    /// Why it is not the one that was chosen, where it is not.
    pub problem: Option<String>,
    /// How often it fails, where that is too often and there is none to go back to.
    pub failing: Option<String>,
}

impl Running {
    /// Whether it is this version, by choice: not where that only stands in for
    /// another.
    pub fn is_chosen(&self, digest: &str) -> bool {
        self.is(digest) && self.problem.is_none()
    }

    /// Whether it is this version.
    pub fn is(&self, digest: &str) -> bool {
        self.digest.as_deref() == Some(digest)
    }

    /// Whether this version is built in.
    pub fn has_built_in(&self, digest: &str) -> bool {
        self.built_in.as_deref() == Some(digest)
    }
}

impl Tx<'_> {
    /// Adds a version. One that is known stays as it was installed, but for one
    /// that was built in alone: the data directory keeps it now.
    pub fn add_plugin_version(&self, version: &PluginVersion) -> Result<(), Error> {
        self.statement(
            "INSERT INTO plugin_versions
                 (digest, connector, label, version, size_bytes, file, installed_by, installed_at,
                  contract)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (digest) DO UPDATE SET file = excluded.file,
                 installed_by = excluded.installed_by, installed_at = excluded.installed_at
                 WHERE plugin_versions.file IS NULL AND excluded.file IS NOT NULL",
        )?
        .execute(params![
            version.digest,
            version.connector,
            version.label,
            version.version,
            i64::try_from(version.size_bytes).unwrap_or(i64::MAX),
            version.file,
            version.installed_by,
            version.installed_at.0,
            version.contract
        ])?;
        self.statement(
            "UPDATE plugin_versions SET contract = ?2 WHERE digest = ?1 AND contract IS NULL",
        )?
        .execute(params![version.digest, version.contract])?;
        match &version.description {
            Some(described) => self.describe_plugin(&version.digest, described),
            None => Ok(()),
        }
    }

    /// Keeps what a version says that it understands, where that is not kept yet.
    pub fn describe_plugin(&self, digest: &str, described: &Described) -> Result<(), Error> {
        self.statement(
            "UPDATE plugin_versions SET description = ?2
             WHERE digest = ?1 AND description IS NULL",
        )?
        .execute(params![digest, json(described)?])?;
        Ok(())
    }

    /// The versions that are known, by when they were installed.
    pub fn plugin_versions(&self) -> Result<Vec<PluginVersion>, Error> {
        let mut statement = self.statement(
            "SELECT digest, connector, label, version, size_bytes, file, installed_by, installed_at,
                 contract, description
             FROM plugin_versions ORDER BY installed_at, digest",
        )?;
        let mut rows = statement.query([])?;
        let mut versions = Vec::new();
        while let Some(row) = rows.next()? {
            versions.push(plugin_version(row)?);
        }
        Ok(versions)
    }

    /// The version whose digest begins so.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none, [`Error::Conflict`] where there
    /// are several, or where too little of the digest is given to be meant.
    pub fn plugin_version(&self, begins: &str) -> Result<PluginVersion, Error> {
        let begins = begins.to_ascii_lowercase();
        if begins.len() < PREFIX_LENGTH_MIN {
            return Err(Error::Conflict(format!(
                "give at least {PREFIX_LENGTH_MIN} characters of the version's digest"
            )));
        }
        let mut versions = self.plugin_versions()?;
        versions.retain(|version| version.digest.starts_with(&begins));
        match versions.len() {
            0 => Err(Error::NotFound("plugin version")),
            1 => Ok(versions.remove(0)),
            several => Err(Error::Conflict(format!(
                "{several} versions have a digest that begins with {begins}: give more of it"
            ))),
        }
    }

    /// Forgets a version; the history still names it.
    pub fn remove_plugin_version(&self, digest: &str) -> Result<(), Error> {
        self.statement("DELETE FROM plugin_versions WHERE digest = ?1")?
            .execute([digest])?;
        Ok(())
    }

    /// Forgets the file of a version that the host's release has built in, too.
    pub fn remove_plugin_file(&self, digest: &str) -> Result<(), Error> {
        self.statement("UPDATE plugin_versions SET file = NULL WHERE digest = ?1")?
            .execute([digest])?;
        Ok(())
    }

    /// Keeps that a version became active in place of `before`, where there was
    /// one. Returns the number of the activation.
    pub fn add_activation(
        &self,
        switch: &Switch,
        before: Option<&str>,
        at: Timestamp,
    ) -> Result<i64, Error> {
        Ok(self
            .statement(
                "INSERT INTO plugin_activations
                     (connector, connection, digest, before, at, by, why, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
            )?
            .query_one(
                params![
                    switch.connector,
                    switch.connection.map(|connection| connection.0),
                    switch.digest,
                    before.unwrap_or_default(),
                    at.0,
                    switch.by,
                    switch.why.as_str(),
                    switch.reason
                ],
                |row| row.get(0),
            )?)
    }

    /// A connector's activations, oldest first; those for single connections among
    /// them.
    pub fn activations(&self, connector: &str) -> Result<Vec<Activation>, Error> {
        let mut statement = self.statement(
            "SELECT id, digest, before, at, by, why, reason, connection FROM plugin_activations
             WHERE connector = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([connector])?;
        let mut activations = Vec::new();
        while let Some(row) = rows.next()? {
            activations.push(Activation {
                id: row.get(0)?,
                switch: Switch {
                    connector: connector.to_owned(),
                    connection: row.get::<_, Option<i64>>(7)?.map(ConnectionId),
                    digest: row.get(1)?,
                    by: row.get(4)?,
                    why: Why::read(row.get_ref(5)?.as_str().unwrap_or_default())?,
                    reason: row.get(6)?,
                },
                before: given(row.get(2)?),
                at: timestamp(row, 3)?,
            });
        }
        Ok(activations)
    }

    /// Asks the host for a switch. Returns the number of the request.
    ///
    /// `compared_with`: the version that has to be active then, by digest, where any may
    /// not; empty where none may be.
    pub fn request_switch(
        &self,
        switch: &Switch,
        compared_with: Option<&str>,
        now: Timestamp,
    ) -> Result<i64, Error> {
        Ok(self
            .statement(
                "INSERT INTO plugin_requests
                     (connector, connection, digest, at, by, why, reason, compared_with)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
            )?
            .query_one(
                params![
                    switch.connector,
                    switch.connection.map(|connection| connection.0),
                    switch.digest,
                    now.0,
                    switch.by,
                    switch.why.as_str(),
                    switch.reason,
                    compared_with
                ],
                |row| row.get(0),
            )?)
    }

    /// The version that has to be active for a switch to be made, by digest, empty where
    /// none may be; none where any may be.
    pub fn compared_with(&self, request: i64) -> Result<Option<String>, Error> {
        Ok(self
            .statement("SELECT compared_with FROM plugin_requests WHERE id = ?1")?
            .query_one([request], |row| row.get(0))?)
    }

    /// The switch that waits longest, with the number of its request.
    pub fn next_switch(&self) -> Result<Option<(i64, Switch)>, Error> {
        let mut statement = self.statement(
            "SELECT id, connector, digest, by, why, reason, connection FROM plugin_requests
             WHERE outcome IS NULL ORDER BY id LIMIT 1",
        )?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let switch = Switch {
            connector: row.get(1)?,
            connection: row.get::<_, Option<i64>>(6)?.map(ConnectionId),
            digest: row.get(2)?,
            by: row.get(3)?,
            why: Why::read(row.get_ref(4)?.as_str().unwrap_or_default())?,
            reason: row.get(5)?,
        };
        Ok(Some((row.get(0)?, switch)))
    }

    /// Ends a request: the switch was made, or was refused for a reason.
    pub fn end_switch(&self, request: i64, refused: Option<&str>) -> Result<(), Error> {
        self.statement("UPDATE plugin_requests SET outcome = ?2 WHERE id = ?1")?
            .execute(params![request, refused.unwrap_or_default()])?;
        Ok(())
    }

    /// What became of a switch that was asked for.
    pub fn switch_outcome(&self, request: i64) -> Result<Outcome, Error> {
        let outcome: Option<Option<String>> = self
            .statement("SELECT outcome FROM plugin_requests WHERE id = ?1")?
            .query_row([request], |row| row.get(0))
            .optional()?;
        match outcome {
            None => Err(Error::NotFound("request")),
            Some(None) => Ok(Outcome::Waits),
            Some(Some(refused)) if refused.is_empty() => Ok(Outcome::Made),
            Some(Some(refused)) => Ok(Outcome::Refused(refused)),
        }
    }

    /// Whether a switch to a version waits.
    pub fn is_switch_waiting(&self, digest: &str) -> Result<bool, Error> {
        Ok(self
            .statement(
                "SELECT EXISTS (SELECT 1 FROM plugin_requests WHERE outcome IS NULL AND digest = ?1)",
            )?
            .query_one([digest], |row| row.get(0))?)
    }

    /// Says what the host runs.
    pub fn set_running(&self, connector: &str, running: &Running) -> Result<(), Error> {
        self.statement(
            "INSERT OR REPLACE INTO plugin_running (connector, digest, built_in, problem, failing)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            connector,
            running.digest.as_deref().unwrap_or_default(),
            running.built_in.as_deref().unwrap_or_default(),
            running.problem,
            running.failing
        ])?;
        Ok(())
    }

    /// Says how often the version fails that runs, where that is too often and there is
    /// none to go back to; none where it does well. Nothing where another runs by now.
    pub fn set_failing(
        &self,
        connector: &str,
        digest: &str,
        failing: Option<&str>,
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE plugin_running SET failing = ?3 WHERE connector = ?1 AND digest = ?2",
        )?
        .execute(params![connector, digest, failing])?;
        Ok(())
    }

    /// The connectors of which a version is known, by name.
    pub fn plugin_connectors(&self) -> Result<Vec<String>, Error> {
        let mut statement =
            self.statement("SELECT DISTINCT connector FROM plugin_versions ORDER BY connector")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Why what runs is not what was chosen, by connector, where that is so.
    pub fn plugin_problems(&self) -> Result<Vec<(String, String)>, Error> {
        let mut statement = self.statement(
            "SELECT connector, problem FROM plugin_running WHERE problem IS NOT NULL
             ORDER BY connector",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How often what runs fails, by connector, where that is too often and there is
    /// nothing to go back to.
    pub fn plugins_failing(&self) -> Result<Vec<(String, String)>, Error> {
        let mut statement = self.statement(
            "SELECT connector, failing FROM plugin_running WHERE failing IS NOT NULL
             ORDER BY connector",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What the host last said that it runs.
    pub fn running(&self, connector: &str) -> Result<Option<Running>, Error> {
        Ok(self
            .statement(
                "SELECT digest, built_in, problem, failing FROM plugin_running
                 WHERE connector = ?1",
            )?
            .query_row([connector], |row| {
                Ok(Running {
                    digest: given(row.get(0)?),
                    built_in: given(row.get(1)?),
                    problem: row.get(2)?,
                    failing: row.get(3)?,
                })
            })
            .optional()?)
    }
}

/// A digest; none where it is kept as the empty text.
fn given(digest: String) -> Option<String> {
    (!digest.is_empty()).then_some(digest)
}

fn plugin_version(row: &Row<'_>) -> Result<PluginVersion, Error> {
    let described: Option<String> = row.get(9)?;
    Ok(PluginVersion {
        digest: row.get(0)?,
        connector: row.get(1)?,
        label: row.get(2)?,
        version: row.get(3)?,
        size_bytes: u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
        file: row.get(5)?,
        installed_by: row.get(6)?,
        installed_at: timestamp(row, 7)?,
        contract: row.get(8)?,
        description: described.as_deref().map(read_json).transpose()?,
    })
}
