//! Mappings: one document a connection, replaced whole or not at all.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    connections::{self, Values},
    extract::{Json, Path, Query, Reader, Writer},
    mapping_check::{self, Draft},
    mapping_choices::{self, Choices},
    mapping_document::{self, Document},
    mapping_variables, properties,
};
use crate::{
    host::Host,
    model::{AccountId, Actor, ConnectionId, ObjectType, ProjectId, Timestamp},
    pipeline::{self, mapping::NewMappings, mapping_changes},
    store::{Tx, activity::Activity},
    sync::definitions,
    telemetry::spawn_blocking,
    web::{
        error::Error,
        problem::{InputError, Problem},
    },
};

/// What becomes of the values of fields that are removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// They are kept when not said.
    #[serde(default)]
    #[param(inline)]
    removed: Values,
}

/// How a connection maps.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/mappings",
    tag = "mappings", operation_id = "get_mappings",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = std::collections::BTreeMap<String, mapping_document::ObjectDocument>, headers(("etag" = String))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<Response, Error> {
    show(&host, reader.project, id).await
}

async fn show(host: &Host, project: ProjectId, id: ConnectionId) -> Result<Response, Error> {
    let (document, version) = host
        .store
        .read(move |tx| {
            tx.connection(project, id)?;
            Ok((
                mapping_document::of(tx, project, id)?,
                tx.mappings_version(id)?,
            ))
        })
        .await?;
    let mut response = axum::Json(document).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag(version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// What a version of mappings is called.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether an `If-Match` names an etag (RFC 9110 §13.1.1). Ours have no comma,
/// and one that is marked as weak is none of ours.
fn names(if_match: &[u8], etag: &str) -> bool {
    if_match
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|named| named == b"*" || named == etag.as_bytes())
}

/// What came of saving.
enum Saved {
    Done,
    Outdated,
    Invalid(Vec<InputError>),
}

/// Replaces how a connection maps. Nothing is backfilled: what is added fills
/// as records change.
#[utoipa::path(
    put, path = "/projects/{project}/connections/{connection}/mappings",
    tag = "mappings", operation_id = "put_mappings",
    params(("project" = String, Path), ("connection" = String, Path), PutQuery),
    request_body = std::collections::BTreeMap<String, mapping_document::ObjectDocument>,
    responses(
        (status = 200, body = std::collections::BTreeMap<String, mapping_document::ObjectDocument>, headers(("etag" = String))),
        (status = 412, description = "It was changed since the version that `If-Match` names.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing was changed; `errors` says what is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    Json(document): Json<Document>,
) -> Result<Response, Error> {
    let expected = headers
        .get(header::IF_MATCH)
        .map(|etag| etag.as_bytes().to_vec());
    save(
        &host,
        writer.project,
        id,
        document,
        query.removed == Values::Keep,
        expected,
        &writer.by,
    )
    .await?;
    show(&host, writer.project, id).await
}

/// Replaces how a connection maps. `keep`: the values of what is removed become
/// ordinary Jimo values. `expected` is an `If-Match` that has to name its etag.
pub async fn save(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    document: Document,
    keep: bool,
    expected: Option<Vec<u8>>,
    by: &Actor,
) -> Result<(), Error> {
    let Checked {
        drafts,
        choices,
        asked_at,
        ..
    } = check(host, project, id, document, Definitions::Fresh).await?;
    let (keys, now, by) = (host.keys.clone(), host.clock.now(), by.clone());
    let write = move |tx: &Tx<'_>| {
        tx.connection(project, id)?;
        let version = etag(tx.mappings_version(id)?);
        if expected.as_ref().is_some_and(|etag| !names(etag, &version)) {
            return Ok(Saved::Outdated);
        }
        let (before, used) = (
            tx.mappings(id)?,
            mapping_variables::used(tx, project, &drafts)?,
        );
        let new = match mapping_variables::resolve(tx, project, id, drafts, now)? {
            Ok(mappings) => NewMappings {
                mappings,
                options: choices,
                options_read_at: asked_at,
            },
            Err(errors) => return Ok(Saved::Invalid(errors)),
        };
        pipeline::mapping::save(tx, &keys, id, &new, keep, now)?;
        let known = mapping_changes::Known {
            names: tx
                .variables(project)?
                .into_iter()
                .map(|variable| (variable.id, variable.name))
                .collect(),
            taken_over: used,
            keep,
        };
        tx.add_activity(
            id,
            &Activity {
                at: now,
                origin: by.origin().into(),
                outcome: "mappings_saved".into(),
                by: Some(by.clone()),
                changes: mapping_changes::changes(&before, &tx.mappings(id)?, &known),
                ..Activity::default()
            },
        )?;
        Ok(Saved::Done)
    };
    let saved = host.store.transact_much(write).await?;
    host.pipeline.notify_changed();
    match saved {
        Saved::Done => Ok(()),
        Saved::Outdated => Err(Error::Outdated),
        Saved::Invalid(errors) => Err(Error::Invalid(errors)),
    }
}

/// A document that is good by what HubSpot and the plugin say; its variables are
/// still to be found.
pub(super) struct Checked {
    /// The connection's account.
    pub account: AccountId,
    /// Its mappings.
    pub drafts: Vec<Draft>,
    /// The choices that they depend on.
    pub choices: Choices,
    /// When these were asked for.
    pub asked_at: Timestamp,
}

/// How old what HubSpot defines may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definitions {
    /// As of now, where anything of the document depends on it.
    Fresh,
    /// As of a moment of the last minute: nothing is saved by it.
    Kept,
}

/// Checks a document against what HubSpot defines and the plugin converts.
pub(super) async fn check(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    document: Document,
    wanted: Definitions,
) -> Result<Checked, Error> {
    let account = properties::account(host, project, id).await?;
    let plugin = connections::plugin(host, project, id).await?;
    let known: Vec<_> = document
        .keys()
        .filter(|object_type| plugin.description().object_type(object_type).is_some())
        .cloned()
        .collect();
    let asked_at = match wanted {
        Definitions::Fresh => host.clock.now(),
        Definitions::Kept => definitions::lately(host),
    };
    let mut definitions = definitions::of_all(host, account, &known, None).await?;
    let lacks = |object_type: &ObjectType| {
        let (object, defined) = (&document[object_type], &definitions[object_type]);
        let mut named = object.properties();
        object.shows_labels()
            || named.any(|name| defined.iter().all(|one| one.property.name != *name))
    };
    let lacking: Vec<_> = known.iter().filter(|known| lacks(known)).cloned().collect();
    // A property may have been made since they were read, or a label renamed.
    // Asked for what was kept, this reads nothing.
    definitions.extend(definitions::of_all(host, account, &lacking, Some(asked_at)).await?);
    let drafts = spawn_blocking(move || mapping_check::check(&document, &plugin, &definitions))
        .await
        .map_err(|_| Error::Ended)?
        .map_err(Error::Invalid)?;
    let choices = mapping_choices::read(host, account, &drafts, asked_at).await?;
    Ok(Checked {
        account,
        drafts,
        choices,
        asked_at,
    })
}
