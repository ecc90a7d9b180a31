//! The simulator's own API over HTTP, below `/_sim/accounts/{portal}`: what is done to one account.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Json, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{self, get, post};
use serde::Deserialize;
use serde_json::json;

use crate::control::{Account, Link, type_of};
use crate::control_http::{Answer, Failure, done};
use crate::definitions::PropertySpec;
use crate::record::Source;
use crate::request::TypePath;
use crate::state::Shared;
use crate::written;

/// Routes below `/_sim/accounts/{portal}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/truth", get(truth))
        .route("/install", post(install))
        .route("/revoke", post(revoke))
        .route("/uninstall", post(uninstall))
        .route("/expire", post(expire))
        .route("/misroute", post(misroute))
        .route("/drop-scope", post(drop_scope))
        .route("/properties/{object_type}", post(define))
        .route(
            "/properties/{object_type}/{name}",
            routing::delete(archive_property),
        )
        .route("/pipelines", post(define_pipeline))
        .route("/pipelines/{id}", routing::patch(change_pipeline))
        .route("/stages/{id}", routing::patch(change_stage))
        .route("/owners", post(add_owner))
        .route("/owners/{id}", routing::patch(change_owner))
        .route("/associations", post(associate).delete(dissociate))
        .route("/objects/{object_type}", post(create))
        .route("/objects/{object_type}/merge", post(merge))
        .route(
            "/objects/{object_type}/{id}",
            get(record).patch(patch).delete(delete),
        )
        .route("/objects/{object_type}/{id}/{action}", post(act))
}

#[derive(Deserialize)]
struct AccountPath {
    portal: u64,
}

impl FromRequestParts<Arc<Shared>> for Account {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let path = Path::<AccountPath>::from_request_parts(parts, shared).await;
        let Path(path) =
            path.map_err(|error| Failure(StatusCode::BAD_REQUEST, error.body_text()))?;
        Ok(Self::new(shared.clone(), path.portal))
    }
}

#[derive(Deserialize)]
struct PropertyPath {
    object_type: String,
    name: String,
}

#[derive(Deserialize)]
struct RecordPath {
    object_type: String,
    id: u64,
}

#[derive(Deserialize)]
struct ActionPath {
    object_type: String,
    id: u64,
    action: String,
}

async fn truth(account: Account) -> Answer {
    Ok(Json(json!(account.truth()?)))
}

#[derive(Deserialize)]
struct Install {
    scopes: Vec<String>,
}

async fn install(account: Account, Json(body): Json<Install>) -> Answer {
    let scopes: Vec<&str> = body.scopes.iter().map(String::as_str).collect();
    Ok(Json(json!(account.install(&scopes))))
}

async fn revoke(account: Account) -> Answer {
    account.revoke_grant();
    done()
}

async fn uninstall(account: Account) -> Answer {
    account.uninstall();
    done()
}

async fn expire(account: Account) -> Answer {
    account.expire_access();
    done()
}

#[derive(Deserialize)]
struct Misroute {
    misrouted: bool,
}

async fn misroute(account: Account, Json(body): Json<Misroute>) -> Answer {
    account.misroute(body.misrouted)?;
    done()
}

async fn define(
    account: Account,
    Path(path): Path<TypePath>,
    Json(spec): Json<PropertySpec>,
) -> Answer {
    account.define(&path.object_type, spec)?;
    done()
}

async fn archive_property(account: Account, Path(path): Path<PropertyPath>) -> Answer {
    account.archive_property(&path.object_type, &path.name)?;
    done()
}

#[derive(Deserialize)]
struct NewPipeline {
    id: String,
    label: String,
    stages: Vec<NewStage>,
}

#[derive(Deserialize)]
struct NewStage {
    id: String,
    label: String,
    #[serde(default)]
    closed: bool,
}

async fn define_pipeline(account: Account, Json(body): Json<NewPipeline>) -> Answer {
    let stages = body.stages.iter();
    let stages: Vec<_> = stages
        .map(|stage| (stage.id.as_str(), stage.label.as_str(), stage.closed))
        .collect();
    account.define_pipeline(&body.id, &body.label, &stages)?;
    done()
}

#[derive(Deserialize)]
struct IdPath {
    id: String,
}

#[derive(Deserialize)]
struct Relabelled {
    label: String,
}

async fn change_pipeline(
    account: Account,
    Path(path): Path<IdPath>,
    Json(body): Json<Relabelled>,
) -> Answer {
    account.rename_pipeline(&path.id, &body.label)?;
    done()
}

#[derive(Deserialize)]
struct ChangedStage {
    label: Option<String>,
    closed: Option<bool>,
}

async fn change_stage(
    account: Account,
    Path(path): Path<IdPath>,
    Json(body): Json<ChangedStage>,
) -> Answer {
    if let Some(label) = body.label {
        account.rename_stage(&path.id, &label)?;
    }
    if let Some(closed) = body.closed {
        account.set_stage_closed(&path.id, closed)?;
    }
    done()
}

#[derive(Deserialize)]
struct NewOwner {
    email: String,
    first_name: String,
    last_name: String,
}

async fn add_owner(account: Account, Json(body): Json<NewOwner>) -> Answer {
    let id = account.add_owner(&body.email, &body.first_name, &body.last_name)?;
    Ok(Json(json!({"id": id})))
}

#[derive(Deserialize)]
struct OwnerPath {
    id: u64,
}

#[derive(Deserialize)]
struct ChangedOwner {
    name: Option<(String, String)>,
    #[serde(default)]
    archived: bool,
}

async fn change_owner(
    account: Account,
    Path(path): Path<OwnerPath>,
    Json(body): Json<ChangedOwner>,
) -> Answer {
    if let Some((first, last)) = body.name {
        account.rename_owner(path.id, &first, &last)?;
    }
    if body.archived {
        account.archive_owner(path.id)?;
    }
    done()
}

#[derive(Deserialize)]
struct DropScope {
    scope: String,
}

async fn drop_scope(account: Account, Json(body): Json<DropScope>) -> Answer {
    account.drop_scope(&body.scope);
    done()
}

#[derive(Deserialize)]
struct Associate {
    from: (String, u64),
    to: (String, u64),
    #[serde(default)]
    link: Link,
}

async fn associate(account: Account, Json(body): Json<Associate>) -> Answer {
    account.associate(
        (&body.from.0, body.from.1),
        (&body.to.0, body.to.1),
        body.link,
    )?;
    done()
}

async fn dissociate(account: Account, Json(body): Json<Associate>) -> Answer {
    account.dissociate((&body.from.0, body.from.1), (&body.to.0, body.to.1))?;
    done()
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "written::values")]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    source: Source,
}

async fn create(account: Account, Path(path): Path<TypePath>, Json(body): Json<Write>) -> Answer {
    let account = account.by(body.source);
    let id = account.create_from(type_of(&path.object_type)?, &body.properties)?;
    Ok(Json(json!({"id": id})))
}

async fn record(account: Account, Path(path): Path<RecordPath>) -> Answer {
    Ok(Json(json!(account.record(&path.object_type, path.id)?)))
}

async fn patch(account: Account, Path(path): Path<RecordPath>, Json(body): Json<Write>) -> Answer {
    let account = account.by(body.source);
    account.patch_from(type_of(&path.object_type)?, path.id, &body.properties)?;
    done()
}

async fn delete(account: Account, Path(path): Path<RecordPath>) -> Answer {
    account.delete(&path.object_type, path.id)?;
    done()
}

#[derive(Deserialize)]
struct Merge {
    primary: u64,
    loser: u64,
}

async fn merge(account: Account, Path(path): Path<TypePath>, Json(body): Json<Merge>) -> Answer {
    let id = account.merge(&path.object_type, body.primary, body.loser)?;
    Ok(Json(json!({"id": id})))
}

/// Restoring, erasing and touching a record; recalculating its computed properties.
async fn act(account: Account, Path(path): Path<ActionPath>, body: Option<Json<Write>>) -> Answer {
    match path.action.as_str() {
        "recalculate" => {
            let given = body.map(|Json(write)| write.properties);
            for (name, value) in given.unwrap_or_default() {
                account.recalculate(&path.object_type, path.id, &name, &value)?;
            }
        }
        "restore" => account.restore(&path.object_type, path.id)?,
        "erase" => account.erase(&path.object_type, path.id)?,
        "touch" => account.touch(&path.object_type, path.id)?,
        _ => {
            return Err(Failure(
                StatusCode::NOT_FOUND,
                format!("no action {}", path.action),
            ));
        }
    }
    done()
}
