//! What an alert says.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    host::Host,
    model::{ConnectionId, Problem, ProjectId, Timestamp},
    store::{self, Tx},
    sync::health,
};

/// What an alert tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Something is wrong.
    Began,
    /// It is over.
    Ended,
    /// Nothing: somebody tries whether alerts arrive.
    Test,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ended => "ended",
            Self::Test => "test",
        }
    }
}

/// A message, as it is kept until it is sent. It is stored, so fields are only
/// added, with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it tells of.
    pub state: State,
    /// What is wrong, in a word.
    pub code: String,
    /// When it was found.
    pub at: Timestamp,
    /// Since when it is so, or was.
    pub since: Timestamp,
    /// The project.
    pub project: Side<ProjectId>,
    /// The connection, and the connector's name.
    pub connection: Side<ConnectionId>,
    /// The account, where there is one: its id and the customer's domain.
    pub account: Option<Side<String>>,
    /// What happened, in one line.
    pub title: String,
    /// What that means.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// The path of the page that mends it.
    pub path: String,
}

/// Something with an id and a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side<Id> {
    /// The id.
    pub id: Id,
    /// The name.
    pub name: Option<String>,
}

impl Message {
    /// A message about a connection. `label`: what people call the connector;
    /// `moments`: since when, and now.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn about(
        tx: &Tx<'_>,
        id: ConnectionId,
        label: &str,
        state: State,
        problem: &Problem,
        (since, at): (Timestamp, Timestamp),
    ) -> Result<Self, store::Error> {
        let connection = tx.any_connection(id)?;
        let project = tx.project(connection.project)?;
        let account = match &connection.account {
            None => None,
            Some((account, key)) => Some(Side {
                id: key.to_string(),
                name: tx.account(*account)?.domain,
            }),
        };
        let of = account.as_ref().map(|account| {
            let name = account.name.as_ref().unwrap_or(&account.id);
            format!(" ({name})")
        });
        let what = title(&problem.code);
        let of = of.unwrap_or_default();
        Ok(Self {
            state,
            code: problem.code.clone(),
            at,
            since,
            title: match state {
                State::Began => format!("{label}{of}: {what}"),
                State::Ended => format!("{label}{of}, solved: {what}"),
                State::Test => format!("{label}{of}: a test of your alerts"),
            },
            detail: match state {
                State::Ended => "This is over. Nothing has to be done.".to_owned(),
                _ => problem.detail.clone(),
            },
            remedy: match state {
                State::Ended => String::new(),
                _ => problem.remedy.clone(),
            },
            path: format!("/settings/integrations/{id}{}", page(&problem.code, state)),
            project: Side {
                id: project.id,
                name: Some(project.name),
            },
            connection: Side {
                id,
                name: Some(connection.connector),
            },
            account,
        })
    }

    /// A test of a connection's alerts.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn test(
        tx: &Tx<'_>,
        id: ConnectionId,
        label: &str,
        now: Timestamp,
    ) -> Result<Self, store::Error> {
        let nothing = Problem {
            code: "test".into(),
            detail: "Somebody pressed “Send a test”. Nothing is wrong: alerts arrive here.".into(),
            remedy: String::new(),
        };
        Self::about(tx, id, label, State::Test, &nothing, (now, now))
    }

    /// As it is kept.
    pub fn stored(&self) -> String {
        // Texts and numbers, which can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The address of the page that mends it.
    pub fn link(&self, host: &Host) -> Url {
        host.url(&self.path)
    }
}

/// What is wrong, in a few words.
pub fn title(code: &str) -> &'static str {
    match code {
        Problem::ACCESS_REVOKED => "access was revoked",
        Problem::APP_UNINSTALLED => "the app was uninstalled",
        "missing_scopes" => "permissions are missing",
        health::LATE => "changes arrive late",
        health::UNREADABLE => "many values cannot be read",
        health::BRAKED => "values are held until you say so",
        _ => "needs attention",
    }
}

/// The page below a connection's that mends it.
fn page(code: &str, state: State) -> &'static str {
    match (state, code) {
        (State::Test, _) => "/alerts",
        (_, health::UNREADABLE) => "/activity?reason=unreadable",
        (_, health::LATE | health::BRAKED) => "/health",
        _ => "",
    }
}
