//! Connections: begun, looked at, paused, ended.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::{IntoParams, ToSchema};

use super::{
    connection_state::{self, Connection},
    extract::{Json, Path, Query, Reader, Writer},
};
use crate::{
    host::Host,
    hubspot::CONNECTOR,
    model::{self, Actor, ConnectionId, ProjectId, Status},
    pipeline,
    plugin::Version,
    secrets::Secret,
    sources::Source,
    store,
    sync::{
        consents, keyed,
        runs::schedule::{self, UnderWay},
    },
    web::{error::Error, problem::Problem},
};

/// A connection to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// The connector's name.
    #[schema(example = "hubspot")]
    connector: String,
    /// Of a source that only pushes: its id of the account. HubSpot says itself which
    /// account consents.
    account: Option<String>,
    /// Of a source that only pushes: the connection key of the account, as the source
    /// shows it to its customer.
    #[schema(value_type = Option<String>)]
    key: Option<Secret>,
}

/// A connection that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct BegunConnection {
    /// Its id.
    id: ConnectionId,
    /// `pending`, until an admin of the account consents; `active` where nobody has to.
    status: Status,
    /// Where an admin of the account consents; good for ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorize_url: Option<String>,
}

/// Where an admin of the account consents again.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthorizeUrl {
    /// The address at HubSpot; good for ten minutes.
    authorize_url: String,
}

/// A project's connections.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connections {
    /// Oldest first.
    connections: Vec<Connection>,
    /// Always none: they come in one page.
    next: Option<String>,
}

/// What becomes of the values that a connection wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// They become ordinary Jimo values.
    #[default]
    Keep,
    /// They are gone.
    Clear,
}

/// How a connection is ended.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// What becomes of its values; they are kept when not said.
    #[serde(default)]
    #[param(inline)]
    values: Values,
}

/// The project's connections.
#[utoipa::path(
    get, path = "/projects/{project}/connections", tag = "connections", operation_id = "list_connections",
    params(("project" = String, Path)),
    responses(
        (status = 200, body = Connections),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
) -> Result<axum::Json<Connections>, Error> {
    let now = host.clock.now();
    let states = host
        .store
        .read(move |tx| {
            tx.connections(reader.project)?
                .into_iter()
                .map(|connection| connection_state::load(tx, connection, now))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    Ok(axum::Json(Connections {
        connections: states.into_iter().map(|state| state.shown(&host)).collect(),
        next: None,
    }))
}

/// Begins a connection.
#[utoipa::path(
    post, path = "/projects/{project}/connections", tag = "connections", operation_id = "create_connection",
    params(("project" = String, Path)),
    request_body = NewConnection,
    responses(
        (status = 201, body = BegunConnection),
        (status = 409, description = "The account is connected already.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "This host has no HubSpot app, or no secret of the connector.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Json(new): Json<NewConnection>,
) -> Result<impl IntoResponse, Error> {
    let project = writer.project;
    let begun = match Source::of(&new.connector) {
        Source::HubSpot => {
            if new.account.is_some() || new.key.is_some() {
                let detail = "HubSpot says itself which account consents.";
                return Err(Error::invalid("/account", detail));
            }
            let (id, authorize_url) = begin(&host, project, &new.connector, None).await?;
            BegunConnection {
                id,
                status: Status::Pending,
                authorize_url: Some(authorize_url.into()),
            }
        }
        Source::Push => BegunConnection {
            id: connect(&host, project, new).await?,
            status: Status::Active,
            authorize_url: None,
        },
    };
    Ok((StatusCode::CREATED, axum::Json(begun)))
}

/// Connects an account of a source that only pushes.
async fn connect(
    host: &Host,
    project: ProjectId,
    new: NewConnection,
) -> Result<ConnectionId, Error> {
    if host.plugins.of(&new.connector).is_err() {
        return Err(no_such_connector(host));
    }
    let missing = |pointer| Error::invalid(pointer, "This is missing.");
    let account = keyed::Account {
        id: new.account.ok_or_else(|| missing("/account"))?,
        key: new.key.ok_or_else(|| missing("/key"))?,
    };
    Ok(keyed::connect(host, project, &new.connector, &account).await?)
}

fn no_such_connector(host: &Host) -> Error {
    let known = host.plugins.all().into_iter();
    let known: Vec<_> = known
        .map(|one| format!("{:?}", one.active().connector()))
        .collect();
    let detail = format!("There is no such connector; there is {}.", known.join(", "));
    Error::invalid("/connector", detail)
}

/// Begins a connection; answers with the address at HubSpot where an admin of
/// the account consents. `session` as in [`consents::begin`].
pub async fn begin(
    host: &Host,
    project: ProjectId,
    connector: &str,
    session: Option<[u8; 32]>,
) -> Result<(ConnectionId, Url), Error> {
    if connector != CONNECTOR {
        return Err(no_such_connector(host));
    }
    if host.app.is_none() {
        return Err(Error::NoApp);
    }
    let now = host.clock.now();
    let id = host
        .store
        .transact(move |tx| tx.create_connection(project, CONNECTOR, now))
        .await?;
    let authorize_url = consents::begin(host, project, id, session).await?;
    host.pipeline.notify_changed();
    Ok((id, authorize_url))
}

/// A connection of a project.
pub async fn of(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
) -> Result<model::Connection, Error> {
    Ok(host
        .store
        .read(move |tx| tx.connection(project, id))
        .await?)
}

/// The plugin version that understands a connection's source.
pub async fn plugin(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
) -> Result<Arc<Version>, Error> {
    let connection = of(host, project, id).await?;
    Ok(host.plugins.serving(&connection)?)
}

/// A connection, with how it works.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}", tag = "connections", operation_id = "get_connection",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = Connection),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<Connection>, Error> {
    show(&host, reader.project, id).await.map(axum::Json)
}

/// A connection, with how it works.
pub async fn show(host: &Host, project: ProjectId, id: ConnectionId) -> Result<Connection, Error> {
    let now = host.clock.now();
    let state = host
        .store
        .read(move |tx| connection_state::load(tx, tx.connection(project, id)?, now))
        .await?;
    Ok(state.shown(host))
}

/// Pauses a connection: nothing is taken in or read until it is resumed.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/pause", tag = "connections", operation_id = "pause_connection",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = Connection),
        (status = 409, description = "It is not connected yet.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<Connection>, Error> {
    set_paused(&host, writer.project, id, true, &writer.by).await?;
    show(&host, writer.project, id).await.map(axum::Json)
}

/// Resumes a connection that was paused. One that has a problem needs attention
/// then.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/resume", tag = "connections", operation_id = "resume_connection",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = Connection),
        (status = 409, description = "It was not paused, and needs something else.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<Connection>, Error> {
    set_paused(&host, writer.project, id, false, &writer.by).await?;
    show(&host, writer.project, id).await.map(axum::Json)
}

/// Pauses or resumes a connection. Doing it again does nothing.
pub async fn set_paused(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    paused: bool,
    by: &Actor,
) -> Result<(), Error> {
    let (now, by) = (host.clock.now(), by.clone());
    host.store
        .transact(move |tx| {
            let connection = tx.connection(project, id)?;
            let problem = connection.problem.as_ref();
            let (next, word) = match (connection.status, paused) {
                (Status::Paused, true) | (Status::Active, false) => return Ok(()),
                (Status::Active | Status::NeedsAttention, true) => (Status::Paused, "paused"),
                // A pause mends nothing.
                (Status::Paused, false) if problem.is_some() => {
                    (Status::NeedsAttention, "resumed")
                }
                (Status::Paused, false) => (Status::Active, "resumed"),
                (Status::Pending, _) => {
                    return Err(store::Error::Conflict(
                        "the connection waits for an admin of the HubSpot account to consent"
                            .into(),
                    ));
                }
                (Status::NeedsAttention, false) => {
                    return Err(store::Error::Conflict(
                        "the connection is not paused but needs attention: its problem says what to do"
                            .into(),
                    ));
                }
            };
            tx.set_connection_status(id, next, problem)?;
            if let (false, Some((account, _))) = (paused, connection.account) {
                // What was wrong shows again where it still is.
                tx.allow_reads(account)?;
                tx.hasten_lookups(id, now)?;
            }
            if !paused {
                // Nothing was taken in meanwhile.
                schedule::request(tx, id, UnderWay::BeginsAnew, now)?;
            }
            tx.note_by(id, &by, word, now)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// Lets a connection go on that is held because what comes live would clear or
/// move the values of many users. For an hour, nothing is held then.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/continue", tag = "connections", operation_id = "continue_connection",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 202),
        (status = 409, description = "Nothing of it is held.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn go_on(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<StatusCode, Error> {
    release(&host, writer.project, id, writer.by).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lets a connection go on that is held.
pub async fn release(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    by: Actor,
) -> Result<(), Error> {
    let now = host.clock.now();
    host.store
        .transact(move |tx| {
            tx.connection(project, id)?;
            pipeline::brake::go_on(tx, id, &by, now)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// Begins another consent of the same account. Nothing that was synced is lost.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/reconnect", tag = "connections", operation_id = "reconnect",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = AuthorizeUrl),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reconnect(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<AuthorizeUrl>, Error> {
    let authorize_url = consents::begin(&host, writer.project, id, None).await?;
    Ok(axum::Json(AuthorizeUrl {
        authorize_url: authorize_url.into(),
    }))
}

/// Ends a connection: from the answer on nothing is taken in or read.
#[utoipa::path(
    delete, path = "/projects/{project}/connections/{connection}", tag = "connections", operation_id = "delete_connection",
    params(("project" = String, Path), ("connection" = String, Path), DeleteQuery),
    responses(
        (status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, Error> {
    end(&host, writer.project, id, query.values == Values::Keep).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a connection; its values become ordinary Jimo values (`keep`), or are
/// gone.
pub async fn end(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    keep: bool,
) -> Result<(), Error> {
    let now = host.clock.now();
    host.store
        .transact_much(move |tx| pipeline::mapping::delete_connection(tx, project, id, keep, now))
        .await?;
    host.pipeline.notify_changed();
    Ok(())
}
