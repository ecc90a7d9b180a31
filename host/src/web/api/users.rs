//! Users: Jimo's own side.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Json, Limit, Path, Query, Reader, Writer},
    user_items::{self, UserItem},
    values,
};
use crate::{
    host::Host,
    model::{
        ConnectionId, ObjectType, ProjectId, PropertyName, RecordId, SegmentId, Timestamp, UserId,
        VariableType,
    },
    pipeline::arrivals::{Arrivals, Written},
    store::{
        self, Tx,
        users::{ProfileValue, Source, UserFilter},
    },
    web::{
        error::Error,
        problem::{InputError, Problem},
    },
};

/// Users that one request may write.
const USERS_MAX: usize = 1_000;

/// A user of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedUser {
    /// Jimo's own id.
    id: UserId,
    /// The customer's own id.
    external_id: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// The name.
    name: Option<String>,
}

impl From<store::users::User> for ListedUser {
    fn from(user: store::users::User) -> Self {
        Self {
            id: user.id,
            external_id: user.external_id,
            email: user.email,
            name: user.name,
        }
    }
}

/// These users of a project, but for those who are gone.
///
/// # Errors
///
/// The store's own.
pub fn listed(
    tx: &Tx<'_>,
    project: ProjectId,
    users: Vec<UserId>,
) -> Result<Vec<ListedUser>, store::Error> {
    let mut listed = Vec::new();
    for user in users {
        match tx.user(project, user) {
            Ok(user) => listed.push(user.into()),
            Err(store::Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listed)
}

/// Users, and where the list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Users {
    /// In the order of their ids.
    users: Vec<ListedUser>,
    /// The cursor of what follows; none at the end.
    next: Option<String>,
}

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Whose e-mail address is this one, whatever its case.
    email: Option<String>,
    /// Whose external id is this one.
    external_id: Option<String>,
    /// Whose name, e-mail address or external id has this in it, whatever its case.
    q: Option<String>,
    /// Who is in this segment.
    #[param(value_type = Option<String>)]
    segment: Option<SegmentId>,
    /// How many, from 1 to 200; 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
    /// The `next` of the list before.
    cursor: Option<String>,
}

/// A user's profile.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// Jimo's own id.
    id: UserId,
    /// The customer's own id.
    external_id: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// The name.
    name: Option<String>,
    /// The values, by variable.
    variables: BTreeMap<String, ShownValue>,
    /// The segments that the user is in now, by name.
    segments: Vec<SegmentId>,
}

/// A value, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownValue {
    /// The value: text, number, boolean or a list of texts; dates and moments
    /// as text.
    value: serde_json::Value,
    /// The variable's type.
    #[serde(rename = "type")]
    variable_type: VariableType,
    /// Where it comes from.
    source: ShownSource,
    /// The source's stamp: of the change, or of the record when it was read.
    changed_at: Timestamp,
    /// When it was written here.
    written_at: Timestamp,
}

/// Where a value comes from: `{"kind": "jimo"}`, or a property of a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownSource {
    /// `jimo`, or the connector's name.
    #[schema(example = "hubspot")]
    kind: String,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<ConnectionId>,
    /// The object type.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_type: Option<ObjectType>,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<RecordId>,
    /// The property.
    #[serde(skip_serializing_if = "Option::is_none")]
    property: Option<PropertyName>,
}

impl From<Source> for ShownSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Jimo => Self {
                kind: "jimo".into(),
                connection: None,
                object_type: None,
                record_id: None,
                property: None,
            },
            Source::Record {
                connector,
                connection,
                object_type,
                record,
                property,
            } => Self {
                kind: connector,
                connection: Some(connection),
                object_type: Some(object_type),
                record_id: Some(record),
                property: Some(property),
            },
        }
    }
}

impl From<ProfileValue> for ShownValue {
    fn from(held: ProfileValue) -> Self {
        Self {
            value: values::to_json(&held.value),
            variable_type: held.variable_type,
            source: held.source.into(),
            changed_at: held.changed_at,
            written_at: held.written_at,
        }
    }
}

/// Users to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutUsers {
    /// Up to 1,000. One that is bad is refused by itself.
    #[schema(value_type = Vec<UserItem>)]
    users: Vec<serde_json::Value>,
}

/// What came of writing users.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct PutAnswer {
    /// How many are new.
    created: usize,
    /// How many were there.
    updated: usize,
    /// Those that were written, in the order of the request.
    users: Vec<WrittenUser>,
    /// Those that were not, and why.
    refused: Vec<InputError>,
}

/// A user that was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct WrittenUser {
    /// Jimo's own id.
    id: UserId,
    /// The customer's own id.
    external_id: Option<String>,
    /// The e-mail address.
    email: Option<String>,
}

/// Writes users: who has the external id, else who has the e-mail address, else
/// a new one. What an item does not name stays as it is.
#[utoipa::path(
    put, path = "/projects/{project}/users", tag = "users", operation_id = "put_users",
    params(("project" = String, Path)),
    request_body = PutUsers,
    responses(
        (status = 200, body = PutAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Json(body): Json<PutUsers>,
) -> Result<axum::Json<PutAnswer>, Error> {
    put_items(&host, writer.project, body.users)
        .await
        .map(axum::Json)
}

/// Writes users of a project, each by itself, in one transaction.
pub async fn put_items(
    host: &Host,
    project: ProjectId,
    items: Vec<serde_json::Value>,
) -> Result<PutAnswer, Error> {
    if items.len() > USERS_MAX {
        return Err(Error::invalid(
            "/users",
            format!(
                "There are {} users; send at most {USERS_MAX} at once.",
                items.len()
            ),
        ));
    }
    let (keys, now) = (host.keys.clone(), host.clock.now());
    let answer = host
        .store
        .transact(move |tx| {
            let variables = tx.variables(project)?;
            let variables = variables
                .iter()
                .map(|variable| (variable.name.as_str(), variable))
                .collect();
            let arrivals = Arrivals::new(tx, &keys, project, now)?;
            let mut answer = PutAnswer::default();
            for (index, item) in items.into_iter().enumerate() {
                let pointer = format!("/users/{index}");
                let item = match user_items::read(item, &pointer, &variables) {
                    Ok(item) => item,
                    Err(errors) => {
                        answer.refused.extend(errors);
                        continue;
                    }
                };
                let user = match arrivals.put(&item)? {
                    Ok(Written::Created(user)) => {
                        answer.created += 1;
                        user
                    }
                    Ok(Written::Updated(user)) => {
                        answer.updated += 1;
                        user
                    }
                    Err(refusal) => {
                        let detail = refusal.to_string();
                        answer.refused.push(InputError::new(pointer, detail));
                        continue;
                    }
                };
                answer.users.push(WrittenUser {
                    id: user.id,
                    external_id: user.external_id,
                    email: user.email,
                });
            }
            Ok(answer)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(answer)
}

/// The project's users.
#[utoipa::path(
    get, path = "/projects/{project}/users", tag = "users", operation_id = "list_users",
    params(("project" = String, Path), ListQuery),
    responses(
        (status = 200, body = Users),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Users>, Error> {
    let limit = query.limit.get()?;
    let after = match &query.cursor {
        None => UserId(0),
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::Malformed("`cursor` is not the `next` of a list.".into()))?,
    };
    let filter = UserFilter {
        email: query.email,
        external_id: query.external_id,
        text: query.q.filter(|text| !text.is_empty()),
    };
    let (project, now) = (reader.project, host.clock.now());
    let mut users = match query.segment {
        None => {
            let users = move |tx: &Tx<'_>| tx.users(project, &filter, after, limit + 1);
            host.store.read(users).await?
        }
        Some(id) => {
            let users = move |tx: &Tx<'_>| {
                let segment = tx.segment(project, id)?;
                let audience = tx.audience(project, &segment.wanted.condition, now)?;
                tx.audience_users(&audience, &filter, after, limit + 1)
            };
            host.store.ask(users).await?
        }
    };
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users
        .last()
        .filter(|_| more)
        .map(|user| user.id.to_string());
    let users = users.into_iter().map(ListedUser::from).collect();
    Ok(axum::Json(Users { users, next }))
}

/// A user's profile: every value, with where it comes from.
#[utoipa::path(
    get, path = "/projects/{project}/users/{user}", tag = "users", operation_id = "get_user",
    params(("project" = String, Path), ("user" = String, Path)),
    responses(
        (status = 200, body = User),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, UserId)>,
) -> Result<axum::Json<User>, Error> {
    let (project, now) = (reader.project, host.clock.now());
    let (user, values, segments) = host
        .store
        .read(move |tx| {
            let segments = tx.segments_of_user(project, id, now)?;
            Ok((tx.user(project, id)?, tx.profile(id)?, segments))
        })
        .await?;
    Ok(axum::Json(User {
        id: user.id,
        external_id: user.external_id,
        email: user.email,
        name: user.name,
        variables: values
            .into_iter()
            .map(|held| (held.variable.clone(), held.into()))
            .collect(),
        segments: segments.into_iter().map(|segment| segment.id).collect(),
    }))
}

/// Forgets a user and all that is kept of them.
#[utoipa::path(
    delete, path = "/projects/{project}/users/{user}", tag = "users", operation_id = "delete_user",
    params(("project" = String, Path), ("user" = String, Path)),
    responses(
        (status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, UserId)>,
) -> Result<StatusCode, Error> {
    let (keys, now) = (host.keys.clone(), host.clock.now());
    host.store
        .transact(move |tx| {
            tx.user(writer.project, id)?;
            Arrivals::new(tx, &keys, writer.project, now)?.delete(id)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(StatusCode::NO_CONTENT)
}
