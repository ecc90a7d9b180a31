//! What handlers take from requests; what cannot be taken is a problem
//! document.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, RawPathParams, Request,
        rejection::BytesRejection,
    },
    http::{header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{
    host::Host,
    model::{Actor, ProjectId, Timestamp},
    secrets::{Secret, hash_token},
    store::projects::{Holder, Purpose, Role},
    web::{error::Error, problem::step},
};

/// The largest body. A thousand users with a dozen variables have half of it.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A day of UTC.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// The most characters of a header's token that are looked at: ours have 43.
const TOKEN_LENGTH_MAX: usize = 200;

/// Who asks, when they may look at the project that the path names.
pub struct Reader {
    /// The project.
    pub project: ProjectId,
    /// The hash of their token.
    pub token: [u8; 32],
}

/// Who asks, when they may change the project that the path names.
pub struct Writer {
    /// The project.
    pub project: ProjectId,
    /// Who they are.
    pub by: Actor,
}

/// Who asks, when they hold a token for the whole host.
pub struct Operator {
    /// The token's number.
    token: i64,
}

impl Operator {
    /// Who it is, as history names them.
    pub fn name(&self) -> String {
        format!("API token {}", self.token)
    }
}

impl FromRequestParts<Arc<Host>> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        let (project, _) = project(parts, host).await?;
        Ok(Self {
            project,
            token: hash_of(parts).ok_or(Error::Unauthenticated)?,
        })
    }
}

impl FromRequestParts<Arc<Host>> for Writer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        match project(parts, host).await? {
            (
                _,
                Holder {
                    role: Role::Viewer, ..
                },
            ) => Err(Error::Forbidden(
                "This token may only look. Use one with the role admin.",
            )),
            (project, holder) => Ok(Self {
                project,
                by: Actor::Token {
                    number: holder.token,
                    name: holder.name,
                },
            }),
        }
    }
}

impl FromRequestParts<Arc<Host>> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        let holder = holder(parts, host).await?;
        match holder.role {
            Role::Operator => Ok(Self {
                token: holder.token,
            }),
            Role::Admin | Role::Viewer => Err(Error::Forbidden(
                "Only an operator’s token may do this: `jimo-connect token create --operator` makes one.",
            )),
        }
    }
}

/// The project that the path names, where the token opens it.
async fn project(parts: &mut Parts, host: &Arc<Host>) -> Result<(ProjectId, Holder), Error> {
    let holder = holder(parts, host).await?;
    let unknown = || Error::NotFound("project");
    let params = RawPathParams::from_request_parts(parts, host)
        .await
        .map_err(|_| unknown())?;
    let named: ProjectId = params
        .iter()
        .find(|(name, _)| *name == "project")
        .and_then(|(_, value)| value.parse().ok())
        .ok_or_else(unknown)?;
    match holder.project {
        Some(own) if own == named => {}
        Some(_) => return Err(unknown()),
        None => {
            host.store.read(move |tx| tx.project(named)).await?;
        }
    }
    Ok((named, holder))
}

/// The hash of a request's token.
fn hash_of(parts: &Parts) -> Option<[u8; 32]> {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_LENGTH_MAX)
        .map(|token| hash_token(&Secret::from(token)))
}

async fn holder(parts: &Parts, host: &Arc<Host>) -> Result<Holder, Error> {
    let hash = hash_of(parts).ok_or(Error::Unauthenticated)?;
    let now = host.clock.now();
    let found = host
        .store
        .read(move |tx| tx.token_holder(hash, Purpose::Api, now))
        .await?;
    let holder = found.ok_or(Error::Unauthenticated)?;
    keep_use(host, &holder, now).await;
    Ok(holder)
}

/// Keeps that a token is used, once a day.
async fn keep_use(host: &Host, holder: &Holder, now: Timestamp) {
    let day = |moment: Timestamp| moment.0.div_euclid(DAY_MS);
    if holder.used_at.is_some_and(|at| day(at) == day(now)) {
        return;
    }
    let token = holder.token;
    let kept = host.store.transact(move |tx| tx.touch_token(token, now));
    if let Err(error) = kept.await {
        // What was asked for can be done all the same; the next use is another
        // chance.
        tracing::warn!(%error, "it could not be kept that a token is used");
    }
}

/// The path's parts. A part that is no id of its kind names nothing.
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|_| Error::NotFound("thing"))
    }
}

/// The query. A parameter that is not known is refused.
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Error::Malformed(rejection.body_text()))
    }
}

/// A body of bytes.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        bytes(request, state).await.map(Self)
    }
}

/// A JSON body.
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                let kind = value.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json")
            });
        if !is_json {
            return Err(Error::NotJson);
        }
        read(&bytes(request, state).await?).map(Self)
    }
}

impl<T, S> OptionalFromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Error> {
        let bytes = bytes(request, state).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        read(&bytes).map(|body| Some(Self(body)))
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failed)
                if failed.status() == http::StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Error::TooLarge {
                    bytes_max: BODY_BYTES_MAX,
                }
            }
            _ => Error::Malformed("The body did not come whole.".into()),
        })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        understood(&pointer, &error.into_inner())
    })?;
    json.end().map_err(|error| understood("", &error))?;
    Ok(read)
}

/// Reads a part of a body that stands at `base`.
pub fn read_part<T: DeserializeOwned>(part: serde_json::Value, base: &str) -> Result<T, Error> {
    serde_path_to_error::deserialize(part).map_err(|error| {
        let pointer = format!("{base}{}", pointer(error.path()));
        understood(&pointer, &error.into_inner())
    })
}

/// What serde says of a body: malformed, or well-formed but not what is asked.
fn understood(pointer: &str, error: &serde_json::Error) -> Error {
    match error.classify() {
        serde_json::error::Category::Data => Error::invalid(pointer, without_place(error)),
        _ => Error::Malformed(format!("The body is no JSON: {error}.")),
    }
}

/// serde's message without the line and column, which the pointer replaces.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", step(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// How many of a list are asked for.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Limit(Option<usize>);

/// Entries of a list when nothing is said, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;

impl Limit {
    /// The number of entries, from 1 to 200.
    pub fn get(self) -> Result<usize, Error> {
        match self.0 {
            None => Ok(LIMIT),
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(Error::Malformed(format!(
                "`limit` is a number from 1 to {LIMIT_MAX}."
            ))),
        }
    }
}
