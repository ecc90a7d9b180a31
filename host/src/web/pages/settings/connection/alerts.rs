//! Where a connection's alerts go: added, tried, removed.

use std::{collections::BTreeSet, sync::Arc};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        super::{
            Error, Frame, Visit,
            extract::{Path, Query},
            format::Moment,
            html, see_other,
        },
        integrations::Nothing,
        path,
    },
    Shell, Tab,
};
use crate::{
    host::Host,
    model::{AlertChannelId, ConnectionId},
    store::alerts::ChannelKind,
    sync::{
        alerts::channel::Target,
        health::{self, Observed},
    },
    web::{
        api::alerts::{self, AlertChannel},
        session::Posted,
    },
};

/// What came of a channel's last message.
struct Last {
    at: Moment,
    sent: bool,
    answer: String,
}

/// A channel, as the page lists it.
struct Channel {
    id: AlertChannelId,
    kind: &'static str,
    to: String,
    last: Option<Last>,
    waiting: i64,
}

#[derive(Template)]
#[template(path = "health/alerts.html")]
struct AlertsPage {
    frame: Frame,
    shell: Shell,
    channels: Vec<Channel>,
    /// The signing secret of a webhook that was just added.
    secret: Option<String>,
    /// What came of a test: the tone, and the words.
    tried: Option<(&'static str, String)>,
    sends_mail: bool,
    /// What was filled in.
    kind: &'static str,
    to: String,
    refusal: Option<String>,
    /// What is wrong now.
    problems: Vec<String>,
}

/// What the page is loaded for.
#[derive(serde::Deserialize)]
pub struct AlertsQuery {
    /// The channel that a test was sent to.
    tried: Option<AlertChannelId>,
}

/// What the form sends.
#[derive(serde::Deserialize)]
pub struct NewChannel {
    kind: ChannelKind,
    #[serde(default)]
    to: String,
}

fn kind_name(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Webhook => "webhook",
        ChannelKind::Email => "email",
        ChannelKind::Slack => "slack",
    }
}

async fn load(visit: &Visit, id: ConnectionId) -> Result<AlertsPage, Error> {
    let (frame, shell, _) = Shell::load(visit, id, Tab::Alerts).await?;
    let (host, project) = (&visit.host, visit.session.project.id);
    let calendar = visit.calendar();
    let backlog = health::backlog(host)
        .await
        .map_err(crate::web::error::Error::from)?;
    let now = host.clock.now();
    let problems = host.store.read(move |tx| {
        let told: BTreeSet<String> = tx.alerts(id)?.into_keys().collect();
        let connection = tx.connection(project, id)?;
        let observed: Observed = health::observe(tx, &connection, &backlog, now)?;
        Ok(health::problems(&observed, &told, now))
    });
    let problems = problems.await?.into_iter();
    let channels = alerts::all(host, project, id).await?.into_iter();
    let shown = |channel: AlertChannel| Channel {
        id: channel.id,
        kind: match channel.kind {
            ChannelKind::Webhook => "Signed webhook",
            ChannelKind::Email => "E-mail",
            ChannelKind::Slack => "Slack",
        },
        to: channel.to,
        last: channel.last.map(|last| Last {
            at: calendar.moment(last.at),
            sent: last.sent,
            answer: last.answer,
        }),
        waiting: channel.waiting,
    };
    let sends_mail = host.config.alerts.smtp_url.is_some();
    Ok(AlertsPage {
        channels: channels.map(shown).collect(),
        frame,
        shell,
        secret: None,
        tried: None,
        sends_mail,
        kind: if sends_mail { "email" } else { "slack" },
        to: String::new(),
        refusal: None,
        problems: problems.map(|problem| problem.detail).collect(),
    })
}

/// `GET …/alerts`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<AlertsQuery>,
) -> Result<Html<String>, Error> {
    let mut page = load(&visit, id).await?;
    let tried = query.tried.and_then(|tried| {
        let mut channels = page.channels.iter();
        channels.find(|channel| channel.id == tried)
    });
    page.tried = tried.and_then(|channel| {
        let last = channel.last.as_ref()?;
        let (tone, what) = match last.sent {
            true => ("good", "The test was taken"),
            false => ("bad", "The test was not taken"),
        };
        Some((tone, format!("{what} by {} {}", channel.to, last.answer)))
    });
    html(&page)
}

/// `POST …/alerts`: adds a channel. The answer is the page itself, for a signing
/// secret is shown once.
pub async fn add(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    posted: Posted<NewChannel>,
) -> Result<Response, Error> {
    let NewChannel { kind, to } = posted.form;
    let project = posted.session.project.id;
    let added = match Target::read(&visit.host, kind, &to) {
        Ok(target) => alerts::add(&visit.host, project, id, target).await,
        Err(invalid) => Err(crate::web::error::Error::invalid(
            "/to",
            invalid.to_string(),
        )),
    };
    match added {
        Ok(added) if added.secret.is_none() => Ok(see_other(&path(id, "/alerts"))),
        Ok(added) => {
            let page = AlertsPage {
                secret: added.secret,
                ..load(&visit, id).await?
            };
            Ok(html(&page)?.into_response())
        }
        Err(error) if error.status().is_client_error() => {
            let status = error.status();
            let page = AlertsPage {
                kind: kind_name(kind),
                to,
                refusal: Some(error.detail()),
                ..load(&visit, id).await?
            };
            Ok((status, html(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST …/alerts/{channel}/test`.
pub async fn test(
    visit: Visit,
    Path((connection, id)): Path<(ConnectionId, AlertChannelId)>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let project = posted.session.project.id;
    match alerts::try_out(&visit.host, project, connection, id).await {
        Ok(_) => Ok(see_other(&path(connection, &format!("/alerts?tried={id}")))),
        Err(error) if error.status() == StatusCode::CONFLICT => {
            let page = AlertsPage {
                tried: Some(("warn", error.detail())),
                ..load(&visit, connection).await?
            };
            Ok((StatusCode::CONFLICT, html(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST …/alerts/{channel}/remove`.
pub async fn remove(
    State(host): State<Arc<Host>>,
    Path((connection, id)): Path<(ConnectionId, AlertChannelId)>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    alerts::remove(&host, posted.session.project.id, connection, id).await?;
    Ok(see_other(&path(connection, "/alerts")))
}
