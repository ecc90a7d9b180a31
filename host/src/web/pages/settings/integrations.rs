//! Settings → Integrations: what can be connected, and what is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{Html, Response},
};

use super::{
    super::{
        Banner, Bare, Error, Frame, Section, Visit, base,
        format::Calendar,
        html,
        live::{self, Part},
    },
    Found, INTEGRATIONS,
    connection::{Account, Standing},
    found,
};
use crate::{
    host::Host,
    model::{Connection, ConnectionId, Status, Timestamp},
    plugin::Description,
    sources::Source,
    store::{self, Tx},
    sync::consents,
    web::{
        api::connections::{self, Values},
        pages::{extract, format},
        session::{Posted, Session},
    },
};

/// What can be connected, as the plugins describe it.
pub(super) struct Connectors(Vec<Connector>);

/// One of them.
pub(super) struct Connector {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The labels of its object types.
    object_types: String,
    /// Whether a connection was begun and not finished.
    is_begun: bool,
    /// Whether the host has what it takes to connect it.
    is_set_up: bool,
}

impl Connector {
    fn of(host: &Host, said: &Description) -> Self {
        let types = said.object_types.iter();
        let labels: Vec<_> = types.map(|one| one.label.to_lowercase()).collect();
        Self {
            name: said.connector.clone(),
            label: said.label.clone(),
            object_types: format::enumerated(&labels),
            is_begun: false,
            is_set_up: host.senders.of(&said.connector).is_some(),
        }
    }

    /// Whether its records can be read.
    fn is_read(&self) -> bool {
        Source::of(&self.name).is_read()
    }
}

impl Connectors {
    /// Those of a host.
    pub fn of(host: &Host) -> Self {
        let versions = host.plugins.all().into_iter();
        Self(
            versions
                .map(|one| Connector::of(host, one.active().description()))
                .collect(),
        )
    }

    /// What people call one; its name where no plugin describes it.
    pub fn label(&self, name: &str) -> String {
        let known = self.0.iter().find(|connector| connector.name == name);
        known.map_or_else(|| name.to_owned(), |connector| connector.label.clone())
    }
}

/// A connection, as its card shows it.
struct Card {
    id: ConnectionId,
    account: Option<Account>,
    standing: Standing,
    freshness: Option<String>,
}

/// What can be connected, and what is, as the page shows it and brings it up to date.
#[derive(Template)]
#[template(path = "integrations/list_fragment.html")]
struct Listing {
    base: String,
    /// What its forms carry; none for who may not change anything.
    csrf: Option<String>,
    /// Each with its connections.
    connectors: Vec<(Connector, Vec<Card>)>,
}

impl Card {
    /// `asks`: whether it asks something, or has a problem.
    fn load(
        tx: &Tx<'_>,
        connection: &Connection,
        asks: bool,
        now: Timestamp,
    ) -> Result<Self, store::Error> {
        let account = match &connection.account {
            Some((account, key)) => Some(Account::of(key, tx.account(*account)?.domain)),
            None => None,
        };
        let freshness = tx.freshness(connection.id, now, &[0.5])?;
        Ok(Self {
            id: connection.id,
            account,
            standing: Standing::new(connection.status, asks),
            freshness: freshness.into_iter().flatten().next().map(format::within),
        })
    }
}

impl Listing {
    fn load(
        tx: &Tx<'_>,
        session: &Session,
        host: &Host,
        asking: &BTreeSet<ConnectionId>,
    ) -> Result<Self, store::Error> {
        let listed = Connectors::of(host).0.into_iter();
        let mut connectors: Vec<_> = listed.map(|connector| (connector, Vec::new())).collect();
        let now = host.clock.now();
        for connection in tx.connections(session.project.id)? {
            let connector = connectors
                .iter_mut()
                .find(|(connector, _)| connector.name == connection.connector);
            if let Some((connector, cards)) = connector {
                connector.is_begun |= connection.status == Status::Pending;
                let asks = connection.problem.is_some() || asking.contains(&connection.id);
                cards.push(Card::load(tx, &connection, asks, now)?);
            }
        }
        let csrf = session.may_change().then(|| session.csrf(host));
        Ok(Self {
            base: base(host),
            csrf: csrf.map(|csrf| csrf.expose().to_owned()),
            connectors,
        })
    }
}

#[derive(Template)]
#[template(path = "integrations/list.html")]
struct IntegrationsPage {
    frame: Frame,
    listing: Listing,
    /// What became of the values of one that was deleted just now.
    deleted: Option<Values>,
}

/// What has just happened.
#[derive(serde::Deserialize)]
pub struct IntegrationsQuery {
    deleted: Option<Values>,
}

/// `GET /settings/integrations`.
pub async fn page(
    visit: Visit,
    extract::Query(query): extract::Query<IntegrationsQuery>,
) -> Result<Html<String>, Error> {
    let frame = Frame {
        live: Some(format!("{}{INTEGRATIONS}/live", base(&visit.host))),
        ..visit
            .settings_frame("Integrations", Section::Integrations)
            .await?
    };
    let (host, session) = (visit.host.clone(), visit.session.clone());
    let shown = visit
        .host
        .store
        .read(move |tx| Live::load(tx, &session, &host));
    html(&IntegrationsPage {
        frame,
        listing: shown.await?.listing,
        deleted: query.deleted,
    })
}

/// What the page brings up to date: what is begun is often finished elsewhere.
#[derive(Clone)]
struct LivePart(Arc<Host>);

#[derive(Template)]
#[template(path = "integrations/list_live.html")]
struct Live {
    banners: Vec<Banner>,
    listing: Listing,
}

impl Live {
    fn load(tx: &Tx<'_>, session: &Session, host: &Host) -> Result<Self, store::Error> {
        let Found { banners, asking } = found(tx, session.project.id, &Connectors::of(host))?;
        let listing = Listing::load(tx, session, host, &asking)?;
        Ok(Self { banners, listing })
    }
}

impl Part for LivePart {
    type Shown = Live;

    fn load(&self, tx: &Tx<'_>, session: &Session, _: &Calendar) -> Result<Live, store::Error> {
        let Self(host) = self;
        Live::load(tx, session, host)
    }

    /// It looks at all connections of the project.
    fn gathers(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// `GET /settings/integrations/live`.
pub async fn live(visit: Visit) -> Result<Response, Error> {
    let part = LivePart(visit.host.clone());
    live::stream(visit, part).await
}

/// A form without fields of its own.
#[derive(serde::Deserialize)]
pub struct Nothing {}

#[derive(Template)]
#[template(path = "integrations/opening.html")]
struct OpeningPage {
    page: Bare,
    authorize_url: String,
}

/// `POST /settings/integrations/enable/{connector}`: begins a connection, or goes
/// on with one that was begun and left.
pub async fn enable(
    State(host): State<Arc<Host>>,
    Path(connector): Path<String>,
    posted: Posted<Nothing>,
) -> Result<Html<String>, Error> {
    let session = posted.session;
    let project = session.project.id;
    let begun = host
        .store
        .read(move |tx| tx.connections(project))
        .await?
        .into_iter()
        .find(|other| other.status == Status::Pending && other.connector == connector);
    let authorize_url = match begun {
        Some(begun) => consents::begin(&host, project, begun.id, Some(session.hash))
            .await
            .map_err(crate::web::error::Error::from)?,
        None => {
            connections::begin(&host, project, &connector, Some(session.hash))
                .await?
                .1
        }
    };
    opening(&host, authorize_url.into())
}

/// `POST …/reconnect`: the same account's consent again.
pub async fn reconnect(
    State(host): State<Arc<Host>>,
    extract::Path(id): extract::Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Html<String>, Error> {
    let session = posted.session;
    let url = consents::begin(&host, session.project.id, id, Some(session.hash))
        .await
        .map_err(crate::web::error::Error::from)?;
    opening(&host, url.into())
}

/// The page that leads to HubSpot. The form's own answer cannot: our policy lets
/// forms lead nowhere else, and HubSpot sends browsers on to an address by region.
fn opening(host: &Host, authorize_url: String) -> Result<Html<String>, Error> {
    html(&OpeningPage {
        page: Bare::new(host, "Opening HubSpot"),
        authorize_url,
    })
}
