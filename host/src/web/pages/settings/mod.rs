//! Settings: integrations, and what each of them is set up by.

mod connection;
mod integrations;
mod keyed;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    routing::{get, post},
};

use self::integrations::Connectors;
use super::{Banner, Error, Visit};
use crate::{
    host::Host,
    model::{ConnectionId, ProjectId, Status},
    pipeline::brake,
    sources::Source,
    store::{self, Tx},
    sync::health,
};

/// Where integrations are.
pub(super) const INTEGRATIONS: &str = "/settings/integrations";

/// The settings' routes.
pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route(INTEGRATIONS, get(integrations::page))
        .route("/settings/integrations/live", get(integrations::live))
        .route(
            "/settings/integrations/enable/{connector}",
            post(integrations::enable),
        )
        .route(
            "/settings/integrations/connect/{connector}",
            get(keyed::page).post(keyed::connect),
        )
        .nest("/settings/integrations/{connection}", connection::router())
}

/// The path of a connection's page.
pub(super) fn path(id: ConnectionId, page: &str) -> String {
    format!("{INTEGRATIONS}/{id}{page}")
}

/// What keeps the project's connections from working, or what they ask: it stands
/// above every page of the settings.
pub(super) async fn banners(visit: &Visit) -> Result<Vec<Banner>, Error> {
    let project = visit.session.project.id;
    let labels = Connectors::of(&visit.host);
    let found = visit.host.store.read(move |tx| found(tx, project, &labels));
    Ok(found.await?.banners)
}

/// What was found of a project's connections.
struct Found {
    banners: Vec<Banner>,
    /// The connections that ask something.
    asking: BTreeSet<ConnectionId>,
}

/// What is found of a project's connections.
fn found(tx: &Tx<'_>, project: ProjectId, labels: &Connectors) -> Result<Found, store::Error> {
    let mut banners = Vec::new();
    let mut asking = BTreeSet::new();
    for connection in tx.connections(project)? {
        let id = connection.id;
        let of = match &connection.account {
            Some((account, key)) => {
                let domain = tx.account(*account)?.domain;
                domain.unwrap_or_else(|| key.to_string())
            }
            None => continue,
        };
        let label = labels.label(&connection.connector);
        let open = Some((path(id, ""), "Open"));
        if connection.status == Status::Paused {
            banners.push(Banner {
                tone: "warn",
                title: format!("{label} is paused: {of}"),
                detail: match Source::of(&connection.connector) {
                    Source::HubSpot => {
                        "Nothing is taken in or read until it is resumed. What changes in the \
                         meantime is caught up with then."
                    }
                    Source::Push => {
                        "Nothing is taken in until it is resumed, and what is pushed in the \
                         meantime is lost."
                    }
                }
                .to_owned(),
                link: open.clone(),
                act: Some((path(id, "/resume"), "Resume")),
            });
        }
        if let Some(problem) = &connection.problem {
            banners.push(Banner {
                tone: "bad",
                title: format!("{label} needs attention: {of}"),
                detail: format!("{} {}", problem.detail, problem.remedy),
                link: open.clone(),
                act: Some((path(id, "/reconnect"), "Reconnect")),
            });
        }
        if let Some(question) = brake::question(tx, id)? {
            asking.insert(id);
            banners.push(Banner {
                tone: "warn",
                title: format!("{label} asks before it goes on: {of}"),
                detail: question.detail,
                link: Some((path(id, "/health"), "See what is held")),
                act: None,
            });
        }
        for run in health::held_runs(tx, &connection)? {
            if let Some(question) = run.held {
                asking.insert(id);
                banners.push(Banner {
                    tone: "warn",
                    title: format!("{label} asks before it goes on: {of}"),
                    detail: question.detail,
                    link: Some((path(id, &format!("/syncs/{}", run.id)), "See the sync")),
                    act: None,
                });
            }
        }
    }
    Ok(Found { banners, asking })
}

/// Banners without those of a connection, whose page says the same, and more.
fn without(mut banners: Vec<Banner>, id: ConnectionId) -> Vec<Banner> {
    let own = path(id, "");
    banners.retain(|banner| {
        let link = banner.link.as_ref();
        !link.is_some_and(|(to, _)| *to == own || to.starts_with(&format!("{own}/")))
    });
    banners
}
