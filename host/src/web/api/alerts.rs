//! Where a connection's alerts go: added, tried, removed.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    connections,
    extract::{Json, Path, Reader, Writer},
};
use crate::{
    host::Host,
    model::{AlertChannelId, ConnectionId, ProjectId, Timestamp},
    store::{
        self, Tx,
        alerts::{Channel as Stored, ChannelKind, LastMessage},
    },
    sync::alerts::{
        channel::{self, Target},
        message::Message,
        sending::{self, Sent},
    },
    web::{error::Error, problem::Problem},
};

/// The pause between two tests of a channel: whoever they go to may not have asked
/// for them.
const TEST_PAUSE: Duration = Duration::from_secs(30);

/// Where alerts go.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertChannel {
    /// Its id.
    pub id: AlertChannelId,
    /// What they are sent by.
    pub kind: ChannelKind,
    /// The e-mail address; of an address that is called its host alone, for there
    /// may be a secret in the rest.
    pub to: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// What came of the last alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// Alerts that wait to be sent; one that is not taken is sent again, with
    /// growing pauses, for about two days.
    pub waiting: i64,
}

/// What came of an alert.
#[derive(Debug, Serialize, ToSchema)]
pub struct Last {
    /// When.
    pub at: Timestamp,
    /// Whether it was taken.
    pub sent: bool,
    /// What was answered, for people.
    pub answer: String,
}

impl From<LastMessage> for Last {
    fn from(last: LastMessage) -> Self {
        let LastMessage { at, sent, answer } = last;
        Self { at, sent, answer }
    }
}

impl From<Stored> for AlertChannel {
    fn from(channel: Stored) -> Self {
        Self {
            id: channel.id,
            kind: channel.kind,
            to: channel.shown,
            created_at: channel.created_at,
            last: channel.last.map(Last::from),
            waiting: channel.waiting,
        }
    }
}

/// Where a connection's alerts go.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertChannels {
    /// Oldest first.
    channels: Vec<AlertChannel>,
    /// Always none: they come in one page.
    next: Option<String>,
}

/// Where alerts should go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlertChannel {
    /// What they are sent by.
    kind: ChannelKind,
    /// An e-mail address, or the address that is called.
    #[schema(example = "https://example.com/jimo-alerts")]
    to: String,
}

/// Where alerts go from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedAlertChannel {
    /// Its id.
    pub id: AlertChannelId,
    /// Of a webhook: what its requests are signed with. It is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Where a connection's alerts go.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/alert-channels",
    tag = "alerts", operation_id = "list_alert_channels",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = AlertChannels),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<AlertChannels>, Error> {
    let channels = all(&host, reader.project, id).await?;
    Ok(axum::Json(AlertChannels {
        channels,
        next: None,
    }))
}

/// Where a connection's alerts go, oldest first.
pub async fn all(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
) -> Result<Vec<AlertChannel>, Error> {
    let channels = host.store.read(move |tx| {
        tx.connection(project, id)?;
        tx.channels(id)
    });
    let channels = channels.await?.into_iter();
    Ok(channels.map(AlertChannel::from).collect())
}

/// Has a connection's alerts sent somewhere. Each is sent once when something goes
/// wrong (`access_revoked`, `app_uninstalled`, `missing_scopes`, `late`,
/// `unreadable_values`, `braked`), and once when it is over.
///
/// A webhook is a POST of JSON: `{id, state: began|ended|test, code, at, since,
/// project, connection, account, title, detail, remedy, link}`. Its header
/// `Jimo-Timestamp` has the moment in seconds since 1970, and `Jimo-Signature` has
/// `v1=` and the HMAC-SHA256, in hexadecimal, of that number, a full stop and the
/// body, with the channel's secret as the key. Compute it anew, compare it in
/// constant time, and refuse moments that are more than five minutes away. Answer
/// with any 2xx; else it is sent again, with the same `Jimo-Message`.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/alert-channels",
    tag = "alerts", operation_id = "create_alert_channel",
    params(("project" = String, Path), ("connection" = String, Path)),
    request_body = NewAlertChannel,
    responses(
        (status = 201, body = AddedAlertChannel),
        (status = 422, description = "The address cannot be called from here.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Json(new): Json<NewAlertChannel>,
) -> Result<(StatusCode, axum::Json<AddedAlertChannel>), Error> {
    let target = Target::read(&host, new.kind, &new.to)
        .map_err(|invalid| Error::invalid("/to", invalid.to_string()))?;
    let added = add(&host, writer.project, id, target).await?;
    Ok((StatusCode::CREATED, axum::Json(added)))
}

/// Has a connection's alerts sent to a target.
pub async fn add(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    target: Target,
) -> Result<AddedAlertChannel, Error> {
    let (keys, now) = (host.keys.clone(), host.clock.now());
    let secret = match &target {
        Target::Webhook { secret, .. } => Some(secret.expose().to_owned()),
        Target::Email(_) | Target::Slack(_) => None,
    };
    let added = host.store.transact(move |tx| {
        tx.connection(project, id)?;
        channel::add(tx, &keys, id, &target, now)
    });
    let id = added.await?;
    host.pipeline.notify_changed();
    Ok(AddedAlertChannel { id, secret })
}

/// Sends a test alert, and says what came back.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/alert-channels/{channel}/test",
    tag = "alerts", operation_id = "test_alert_channel",
    params(("project" = String, Path), ("connection" = String, Path), ("channel" = String, Path)),
    responses(
        (status = 200, body = Last),
        (status = 409, description = "One was sent there less than half a minute ago.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn test(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, connection, id)): Path<(String, ConnectionId, AlertChannelId)>,
) -> Result<axum::Json<Last>, Error> {
    let last = try_out(&host, writer.project, connection, id).await?;
    Ok(axum::Json(last.into()))
}

/// Sends a test alert, and keeps what came back.
///
/// # Errors
///
/// A conflict where one was sent there less than half a minute ago.
pub async fn try_out(
    host: &Host,
    project: ProjectId,
    connection: ConnectionId,
    id: AlertChannelId,
) -> Result<LastMessage, Error> {
    let label = host
        .plugins
        .label(&connections::of(host, project, connection).await?.connector);
    let now = host.clock.now();
    let (channel, message) = host
        .store
        .transact(move |tx| {
            let channel = of(tx, project, connection, id)?;
            tx.claim_test(id, now, TEST_PAUSE)?;
            Ok((channel, Message::test(tx, connection, &label, now)?))
        })
        .await?;
    let target = Target::open(&host.keys, &channel).map_err(|error| Error::Grant(error.into()))?;
    let number = format!("test_{}", uuid::Uuid::new_v4());
    let Sent { taken, answer } = sending::send(host, &target, &number, &message).await;
    let last = LastMessage {
        at: host.clock.now(),
        sent: taken,
        answer,
    };
    let kept = last.clone();
    host.store
        .transact(move |tx| tx.set_last_message(id, &kept))
        .await?;
    Ok(last)
}

/// Sends alerts there no more; what waits for it is not sent.
#[utoipa::path(
    delete, path = "/projects/{project}/connections/{connection}/alert-channels/{channel}",
    tag = "alerts", operation_id = "delete_alert_channel",
    params(("project" = String, Path), ("connection" = String, Path), ("channel" = String, Path)),
    responses(
        (status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, connection, id)): Path<(String, ConnectionId, AlertChannelId)>,
) -> Result<StatusCode, Error> {
    remove(&host, writer.project, connection, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends alerts there no more.
pub async fn remove(
    host: &Host,
    project: ProjectId,
    connection: ConnectionId,
    id: AlertChannelId,
) -> Result<(), Error> {
    host.store
        .transact(move |tx| tx.remove_channel(of(tx, project, connection, id)?.id))
        .await?;
    Ok(())
}

fn of(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    id: AlertChannelId,
) -> Result<Stored, store::Error> {
    tx.connection(project, connection)?;
    let channel = tx.channel(id)?;
    match channel.connection == connection {
        true => Ok(channel),
        false => Err(store::Error::NotFound("alert channel")),
    }
}
