//! Previews: what a mapping document would do for some real users. Nothing is
//! written.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    connections,
    extract::{Json, Path, Query, Writer},
    mapping_document::{self, Document},
    mapping_variables,
    mappings::{self, Checked, Definitions},
    values::to_json,
};
use crate::{
    host::Host,
    model::{AccountId, ConnectionId, ObjectType, ProjectId, RecordId, UserId},
    pipeline::mapping::NewMappings,
    sources::{self, Source},
    sync::previews::{self, Preview, Previewed, USERS_MAX, Wanted},
    web::{error::Error, problem::Problem},
};

/// The users that are looked at when nothing is said: as many as one call asks
/// HubSpot for.
pub const USERS: usize = 100;

/// How a preview is made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// The most users that are looked at, from 1 to 1,000; a hundred when not
    /// said. Each hundred costs a call to HubSpot.
    #[serde(default)]
    users: Option<usize>,
}

/// What one object type's mapping would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypePreview {
    /// How many users the project has.
    total: usize,
    /// How many of them were looked at, spread over all.
    users: usize,
    /// How many of these have what the rule matches on.
    identified: usize,
    /// How many of these would be fed.
    matched: usize,
    /// Whether HubSpot has more records of these users than a preview looks at: then
    /// `matched`, `users_of_several` and `records_of_several` are the least that there
    /// are, and nobody is known not to match.
    at_least: bool,
    /// What some of them would show.
    samples: Vec<Sample>,
    /// Some that would not be fed.
    unmatched: Vec<UserId>,
    /// How many of the users match several records: one of these feeds them.
    users_of_several: usize,
    /// How many records match several users: each of these is fed.
    records_of_several: usize,
    /// Some users and records of which either is so.
    several: Vec<Several>,
}

/// What a user would show.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sample {
    /// The user.
    user: UserId,
    /// The record that would feed them.
    record_id: RecordId,
    /// What each field would show, in the document's order.
    values: Vec<SampleValue>,
}

/// What a variable would show.
#[derive(Debug, Serialize, ToSchema)]
pub struct SampleValue {
    /// The variable's name.
    variable: String,
    /// The value; null where the property is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    /// Why there is none: `redacted`, `malformed`, `too_long`, `out_of_range`,
    /// `unknown_choice` or `not_told`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl SampleValue {
    fn new(variable: String, previewed: Previewed) -> Self {
        match previewed {
            Ok(value) => Self {
                variable,
                value: Some(value.map_or(serde_json::Value::Null, |value| to_json(&value))),
                reason: None,
            },
            Err(reason) => Self {
                variable,
                value: None,
                reason: Some(reason),
            },
        }
    }
}

/// Users and records that match one another, more than one of either.
#[derive(Debug, Serialize, ToSchema)]
pub struct Several {
    /// The users, at most five.
    users: Vec<UserId>,
    /// The records, at most five.
    records: Vec<RecordId>,
}

/// Says what a document would do for some of the project's users, as HubSpot's
/// records are now. Nothing is written.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/mappings/preview",
    tag = "mappings", operation_id = "preview_mappings",
    params(("project" = String, Path), ("connection" = String, Path), PreviewQuery),
    request_body = BTreeMap<String, mapping_document::ObjectDocument>,
    responses(
        (status = 200, body = BTreeMap<String, TypePreview>),
        (status = 422, description = "`errors` says what is wrong with the document.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "HubSpot could not answer.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn preview(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<PreviewQuery>,
    Json(document): Json<Document>,
) -> Result<axum::Json<BTreeMap<ObjectType, TypePreview>>, Error> {
    let users = query.users.unwrap_or(USERS);
    if !(1..=USERS_MAX).contains(&users) {
        let detail = format!("`users` is a number from 1 to {USERS_MAX}.");
        return Err(Error::Malformed(detail));
    }
    let preview = of(&host, writer.project, id, document.clone(), users).await?;
    Ok(axum::Json(shown(&document, preview)))
}

fn shown(document: &Document, preview: Preview) -> BTreeMap<ObjectType, TypePreview> {
    let (total, users) = (preview.total, preview.users);
    let types = preview.types.into_iter().map(|one| {
        let fields = document.get(&one.object_type).map(|object| &object.fields);
        let names: Vec<&String> = fields.into_iter().flatten().map(|f| &f.variable).collect();
        let samples = one.samples.into_iter().map(|sample| Sample {
            user: sample.user,
            record_id: sample.record,
            values: names
                .iter()
                .zip(sample.values)
                .map(|(name, value)| SampleValue::new((*name).clone(), value))
                .collect(),
        });
        let several = one.several.into_iter().map(|several| Several {
            users: several.users,
            records: several.records,
        });
        let told = TypePreview {
            total,
            users,
            identified: one.identified,
            matched: one.matched,
            at_least: one.at_least,
            samples: samples.collect(),
            unmatched: one.unmatched,
            users_of_several: one.users_of_several,
            records_of_several: one.records_of_several,
            several: several.collect(),
        };
        (one.object_type, told)
    });
    types.collect()
}

/// What a document would do for at most so many users. The values of a sample come
/// in the order of the document's fields.
pub async fn of(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    document: Document,
    users_max: usize,
) -> Result<Preview, Error> {
    let (account, new) = resolved(host, project, id, document).await?;
    let connection = connections::of(host, project, id).await?;
    if !Source::of(&connection.connector).is_read() {
        return Err(Error::Conflict(sources::NOTHING_READ.into()));
    }
    let wanted = Wanted {
        project,
        account,
        new,
        users_max,
    };
    Ok(previews::preview(host, wanted).await?)
}

/// Says what is wrong with a document, as saving it would; by what HubSpot defined
/// within the last minute.
///
/// # Errors
///
/// [`Error::Invalid`] where anything is, and where HubSpot does not answer.
pub async fn check(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    document: Document,
) -> Result<(), Error> {
    resolved(host, project, id, document).await.map(|_| ())
}

/// The mappings that a document asks for. Variables that are new are made in a
/// transaction that is undone, so they do not exist.
async fn resolved(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    document: Document,
) -> Result<(AccountId, NewMappings), Error> {
    let Checked {
        account,
        drafts,
        choices,
        asked_at,
    } = mappings::check(host, project, id, document, Definitions::Kept).await?;
    let now = host.clock.now();
    let resolved = host.store.rehearse(move |tx| {
        tx.connection(project, id)?;
        mapping_variables::resolve(tx, project, id, drafts, now)
    });
    let new = NewMappings {
        mappings: resolved.await?.map_err(Error::Invalid)?,
        options: choices,
        options_read_at: asked_at,
    };
    Ok((account, new))
}
