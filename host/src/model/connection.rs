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

impl Status {
    /// Whether an account's changes reach the connection. What needs attention
    /// keeps one kind of call from being made; it stops nothing else.
    pub fn takes_changes(self) -> bool {
        matches!(self, Self::Active | Self::NeedsAttention)
    }
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

impl Problem {
    /// The code of a grant that is good for nothing any more.
    pub const ACCESS_REVOKED: &'static str = "access_revoked";

    /// The code of an account that our app was uninstalled from.
    pub const APP_UNINSTALLED: &'static str = "app_uninstalled";

    /// Whether no call can be made in the account's name.
    pub fn stops_calls(&self) -> bool {
        [Self::ACCESS_REVOKED, Self::APP_UNINSTALLED].contains(&&*self.code)
    }
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
    /// The plugin version that serves it alone, by digest; none where the active one
    /// does.
    pub trial: Option<String>,
}
