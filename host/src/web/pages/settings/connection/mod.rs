//! The pages of one connection, each a tab below the same head.

mod activity;
mod alerts;
mod chart;
mod ending;
mod explanation;
mod fields;
mod headed;
mod health;
mod health_facts;
mod matching;
mod overview;
mod previewed;
mod run;
mod run_records;
mod silence;
mod syncs;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::{
    super::{Error, Frame, Section, Visit, base},
    integrations::{Connectors, reconnect},
    path,
};
use crate::{
    host::Host,
    model::{AccountKey, ConnectionId, Status},
    sources::Source,
    web::api::connection_state::{self, Connection},
};

/// Routes below a connection's path.
pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/live", get(overview::live))
        .route("/head/live", get(headed::live))
        .route("/pause", post(ending::pause))
        .route("/resume", post(ending::resume))
        .route("/reconnect", post(reconnect))
        .route("/syncs", get(syncs::page).post(syncs::start))
        .route("/syncs/estimate", get(syncs::estimate))
        .route("/syncs/{run}", get(run::page))
        .route("/syncs/{run}/live", get(run::live))
        .route("/syncs/{run}/records", get(run_records::page))
        .route("/syncs/{run}/cancel", post(run::cancel))
        .route("/syncs/{run}/continue", post(run::go_on))
        .merge(matching::router())
        .merge(fields::router())
        .route("/health", get(health::page))
        .route("/health/live", get(health::live))
        .route("/health/continue", post(health::go_on))
        .route("/activity", get(activity::page))
        .route("/alerts", get(alerts::page).post(alerts::add))
        .route("/alerts/{channel}/test", post(alerts::test))
        .route("/alerts/{channel}/remove", post(alerts::remove))
        .route("/delete", get(ending::page).post(ending::delete))
}

/// A page of a connection, as its head names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Matching,
    Fields,
    Syncs,
    Health,
    Activity,
    Alerts,
}

impl Tab {
    /// All, in their order.
    const ALL: [Self; 7] = [
        Self::Overview,
        Self::Matching,
        Self::Fields,
        Self::Syncs,
        Self::Health,
        Self::Activity,
        Self::Alerts,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Matching => "Matched fields",
            Self::Fields => "Synced fields",
            Self::Syncs => "Full sync",
            Self::Health => "Health",
            Self::Activity => "Activity",
            Self::Alerts => "Alerts",
        }
    }

    /// Whether the page waits for a connection that is not finished: it is another once
    /// it is.
    fn waits(self) -> bool {
        match self {
            Self::Overview | Self::Matching | Self::Fields | Self::Syncs => true,
            // Health says itself how it stands; the others are the same either way.
            Self::Health | Self::Activity | Self::Alerts => false,
        }
    }

    /// The path below the connection's.
    fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Matching => "/matching",
            Self::Fields => "/fields",
            Self::Syncs => "/syncs",
            Self::Health => "/health",
            Self::Activity => "/activity",
            Self::Alerts => "/alerts",
        }
    }
}

/// What stands at the head of each page of a connection.
pub(super) struct Shell {
    pub id: ConnectionId,
    pub connector: String,
    /// What people call the connector.
    pub label: String,
    pub account: Option<Account>,
    pub standing: Standing,
    pub tab: Tab,
    pub tabs: Vec<Tab>,
    /// Whether its records can be read: else they are known by what is pushed alone.
    pub is_read: bool,
}

impl Shell {
    /// What is around a page of a connection, its head, and how the connection
    /// stands.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not the project's.
    pub async fn load(
        visit: &Visit,
        id: ConnectionId,
        tab: Tab,
    ) -> Result<(Frame, Self, Connection), Error> {
        let project = visit.session.project.id;
        let now = visit.host.clock.now();
        let state = visit
            .host
            .store
            .read(move |tx| connection_state::load(tx, tx.connection(project, id)?, now))
            .await?
            .shown(&visit.host);
        let is_read = Source::of(&state.connector).is_read();
        let label = Connectors::of(&visit.host).label(&state.connector);
        let title = format!("{} · {label}", tab.label());
        let frame = Frame {
            live: Some(live_at(
                &visit.host,
                id,
                headed::stream_of(tab, state.status),
            )),
            ..visit.settings_frame(title, Section::Integrations).await?
        };
        let shell = Self {
            id,
            connector: state.connector.clone(),
            label,
            account: state.account.as_ref().map(Account::from),
            standing: Standing::of(&state),
            tab,
            tabs: Tab::ALL
                .into_iter()
                .filter(|tab| is_read || *tab != Tab::Syncs)
                .collect(),
            is_read,
        };
        Ok((frame, shell, state))
    }
}

/// The address of a stream below a connection's.
fn live_at(host: &Host, id: ConnectionId, page: &str) -> String {
    format!("{}{}", base(host), path(id, page))
}

/// An account, for people.
#[derive(Clone)]
pub(super) struct Account {
    pub id: String,
    /// The customer's domain, else the id.
    pub name: String,
    /// Whether the name is a domain.
    pub has_domain: bool,
}

impl From<&connection_state::Account> for Account {
    fn from(account: &connection_state::Account) -> Self {
        Self::of(&account.id, account.domain.clone())
    }
}

impl Account {
    pub fn of(key: &AccountKey, domain: Option<String>) -> Self {
        let id = key.to_string();
        Self {
            has_domain: domain.is_some(),
            name: domain.unwrap_or_else(|| id.clone()),
            id,
        }
    }
}

/// How a connection stands, in a word.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub word: &'static str,
    /// `good`, `warn`, `bad` or nothing.
    pub tone: &'static str,
}

impl Standing {
    fn of(state: &Connection) -> Self {
        Self::new(state.status, state.problem.is_some())
    }

    /// `asks`: whether it asks something, or has a problem.
    pub fn new(status: Status, asks: bool) -> Self {
        let (word, tone) = match status {
            Status::Pending => ("Not finished", ""),
            Status::Paused => ("Paused", "warn"),
            Status::NeedsAttention => ("Needs attention", "bad"),
            Status::Active if asks => ("Asks you", "warn"),
            Status::Active => ("Connected", "good"),
        };
        Self { word, tone }
    }
}
