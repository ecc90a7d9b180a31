//! The webhooks journal over HTTP, with the app's own token (HubSpot: webhooks journal guide).
//!
//! An entry is a pointer to a file, at an address that needs no token and soon ends.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Json, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, complete, nothing};
use crate::fault::Fault;
use crate::journal::{File, Journal};
use crate::request::{AppCaller, Params, Sim};
use crate::state::{Shared, State as World};
use crate::values::iso;
use crate::{journal_subscriptions, sign};

/// How long a file's address holds.
const ADDRESS_LIFE_MS: i64 = 15 * 60_000;
/// Most entries of a batch.
const BATCH_MAX: usize = 100;

const READ: &str = "developer.webhooks_journal.read";

/// Routes below `/webhooks-journal`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let journal = Router::new()
        .route("/earliest", get(earliest))
        .route("/latest", get(latest))
        .route("/offset/{offset}/next", get(next))
        .route("/batch/earliest/{count}", get(first_batch))
        .route("/batch/latest/{count}", get(latest_batch))
        .route("/batch/{offset}/next/{count}", get(first_batch));
    Router::new()
        .nest("/subscriptions/{version}", journal_subscriptions::routes())
        .nest("/journal/{version}", journal.clone())
        .nest("/journal-local/{version}", journal)
        .route("/files/{offset}", get(file))
}

/// Refuses an app without a scope, or all apps while the journal is closed to them.
pub(crate) fn check(state: &World, caller: &AppCaller, scope: &str) -> Result<(), Fault> {
    if state.api.journal_refused {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "MISSING_SCOPES",
            "This app may not use the webhooks journal.",
        ));
    }
    caller.need(scope)
}

/// Who reads the journal: where to, and for which account.
struct Reader {
    host: String,
    portal: Option<u64>,
    secret: String,
    now: i64,
}

impl FromRequestParts<Arc<Shared>> for Reader {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Fault> {
        let caller = AppCaller::from_request_parts(parts, shared).await?;
        let params = Params::from_request_parts(parts, shared).await?;
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("127.0.0.1");
        let state = shared.lock();
        check(&state, &caller, READ)?;
        Ok(Self {
            host: host.to_owned(),
            portal: params.get("installPortalId").and_then(|id| id.parse().ok()),
            secret: state.app.client_secret.clone(),
            now: shared.clock.now_ms(),
        })
    }
}

impl Reader {
    /// The files after an offset, or all.
    fn files<'a>(
        &self,
        journal: &'a mut Journal,
        after: Option<&str>,
    ) -> Result<Vec<&'a File>, Fault> {
        journal.publish(self.now);
        let files = journal.after(after, self.portal);
        files.ok_or_else(Fault::not_found)
    }

    /// A pointer to a file.
    fn entry(&self, file: &File) -> Value {
        let expires = self.now + ADDRESS_LIFE_MS;
        let portal = self.portal.map(|id| id.to_string()).unwrap_or_default();
        let seal = seal(&self.secret, &file.offset, expires, &portal);
        json!({
            "url": format!(
                "http://{}/webhooks-journal/files/{}?expires={expires}&portal={portal}&seal={seal}",
                self.host, file.offset
            ),
            "expiresAt": iso(expires),
            "currentOffset": file.offset,
        })
    }

    fn one(&self, file: Option<&&File>) -> Answer {
        match file {
            Some(file) => Ok(Json(self.entry(file)).into_response()),
            None => nothing(),
        }
    }

    fn several(&self, files: &[&File]) -> Answer {
        let results = files.iter().map(|file| self.entry(file)).collect();
        Ok(complete(results, Vec::new(), self.now))
    }
}

fn seal(secret: &str, offset: &str, expires: i64, portal: &str) -> String {
    sign::v1(secret, format!("{offset} {expires} {portal}").as_bytes())
}

async fn earliest(State(shared): Sim, reader: Reader) -> Answer {
    let journal = &mut shared.lock().journal;
    reader.one(reader.files(journal, None)?.first())
}

async fn latest(State(shared): Sim, reader: Reader) -> Answer {
    let journal = &mut shared.lock().journal;
    reader.one(reader.files(journal, None)?.last())
}

#[derive(Deserialize)]
struct OffsetPath {
    offset: String,
}

async fn next(State(shared): Sim, reader: Reader, Path(path): Path<OffsetPath>) -> Answer {
    let journal = &mut shared.lock().journal;
    reader.one(reader.files(journal, Some(&path.offset))?.first())
}

#[derive(Deserialize)]
struct CountPath {
    offset: Option<String>,
    count: usize,
}

impl CountPath {
    fn count(&self) -> Result<usize, Fault> {
        if (1..=BATCH_MAX).contains(&self.count) {
            return Ok(self.count);
        }
        Err(Fault::invalid(format!(
            "count must be from 1 to {BATCH_MAX}"
        )))
    }
}

/// The first of all files, or of those after an offset.
async fn first_batch(State(shared): Sim, reader: Reader, Path(path): Path<CountPath>) -> Answer {
    let count = path.count()?;
    let journal = &mut shared.lock().journal;
    let files = reader.files(journal, path.offset.as_deref())?;
    reader.several(&files[..files.len().min(count)])
}

async fn latest_batch(State(shared): Sim, reader: Reader, Path(path): Path<CountPath>) -> Answer {
    let count = path.count()?;
    let journal = &mut shared.lock().journal;
    let files = reader.files(journal, None)?;
    reader.several(&files[files.len().saturating_sub(count)..])
}

/// The file itself: a store of another kind, which takes the sealed address and no token.
async fn file(
    State(shared): Sim,
    headers: HeaderMap,
    Path(path): Path<OffsetPath>,
    params: Params,
) -> Answer {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(Fault::raw(
            StatusCode::BAD_REQUEST,
            json!({"message": "Only one auth mechanism allowed"}),
        ));
    }
    let state = shared.lock();
    let portal = params.get("portal").unwrap_or_default();
    let expires: i64 = params
        .get("expires")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let sealed = seal(&state.app.client_secret, &path.offset, expires, portal);
    if params.get("seal") != Some(sealed.as_str()) || expires <= shared.clock.now_ms() {
        return Err(Fault::raw(
            StatusCode::FORBIDDEN,
            json!({"message": "Request has expired"}),
        ));
    }
    let file = state.journal.file(&path.offset);
    let file = file.ok_or_else(Fault::not_found)?;
    let only: Option<u64> = portal.parse().ok();
    let events: Vec<&Value> = file
        .events
        .iter()
        .filter(|(portal, _)| only.is_none_or(|only| only == *portal))
        .map(|(_, event)| event)
        .collect();
    Ok(Json(json!({
        "offset": file.offset,
        "journalEvents": events,
        "publishedAt": iso(file.published_at),
    }))
    .into_response())
}
