//! One account connected to one project.

use serde::{Deserialize, Serialize};

use super::{AccountId, AccountKey, ConnectionId, ProjectId, Timestamp};

/// Whether a connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The admin has not consented yet.
    Pending,
    /// It syncs.
    Active,
    /// An admin paused it.
    Paused,
    /// It cannot go on until someone acts; its problem says what to do.
    NeedsAttention,
}

/// What is wrong with a connection, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// A word for programs, such as `access_revoked`.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
    /// What to do next, for people.
    pub remedy: String,
}

/// One account connected to one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The project.
    pub project: ProjectId,
    /// The connector, as the plugin names itself.
    pub connector: String,
    /// Whether it works.
    pub status: Status,
    /// What is wrong, when something is.
    pub problem: Option<Problem>,
    /// The account; none while the consent is pending.
    pub account: Option<(AccountId, AccountKey)>,
    /// When it was begun.
    pub created_at: Timestamp,
}
