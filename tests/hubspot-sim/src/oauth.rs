//! OAuth: getting, refreshing, introspecting and revoking tokens.
//!
//! HubSpot: manage OAuth tokens, dated and v1. Dated errors carry `error` and
//! `error_description` (RFC 6749 §5.2) beside HubSpot's `status` and `message`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, nothing};
use crate::config::ACCESS_TOKEN_LIFE;
use crate::consent;
use crate::fault::Fault;
use crate::grants::{Issued, Refused, USER_ID};
use crate::journal::INSTALLED;
use crate::request::{Params, Sim};
use crate::state::{Shared, State as World};

/// Routes below `/oauth`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/authorize", get(consent::authorize))
        .route("/{version}/authorize", get(consent::authorize_for))
        .route("/v1/token", post(token_v1))
        .route("/v1/access-tokens/{token}", get(access_token_v1))
        .route(
            "/v1/refresh-tokens/{token}",
            get(refresh_token_v1).delete(revoke_v1),
        )
        .route("/{version}/token", post(token_dated))
        .route("/{version}/token/introspect", post(introspect))
        .route("/{version}/token/revoke", post(revoke))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    client_id: String,
    client_secret: String,
    code: String,
    redirect_uri: String,
    refresh_token: String,
    code_verifier: Option<String>,
    scope: String,
    token: String,
}

/// A refusal: HubSpot's `status`, the `error` of RFC 6749, and a sentence.
fn refuse(status: &str, error: &str, message: &str) -> Fault {
    Fault::raw(
        StatusCode::BAD_REQUEST,
        json!({
            "status": status,
            "error": error,
            "error_description": message,
            "message": message,
        }),
    )
}

fn refused(refusal: Refused) -> Fault {
    match refusal {
        Refused::Code => refuse(
            "BAD_AUTH_CODE",
            "invalid_grant",
            "missing or unknown auth code",
        ),
        Refused::RedirectUri => refuse(
            "BAD_REDIRECT_URI",
            "invalid_grant",
            "redirect URI does not match initial auth code URI",
        ),
        Refused::CodeVerifier => refuse(
            "BAD_CODE_VERIFIER",
            "invalid_grant",
            "missing or invalid code verifier",
        ),
        Refused::RefreshToken => refuse(
            "BAD_REFRESH_TOKEN",
            "invalid_grant",
            "refresh token is invalid, expired or revoked",
        ),
    }
}

fn check_client(state: &World, form: &TokenForm) -> Result<(), Fault> {
    if form.client_id != state.app.client_id {
        return Err(refuse(
            "BAD_CLIENT_ID",
            "invalid_client",
            "missing or unknown client id",
        ));
    }
    if form.client_secret != state.app.client_secret {
        return Err(refuse(
            "BAD_CLIENT_SECRET",
            "invalid_client",
            "missing or invalid client secret",
        ));
    }
    Ok(())
}

async fn token_v1(
    State(shared): Sim,
    params: Params,
    headers: HeaderMap,
    form: Form<TokenForm>,
) -> Answer {
    // v1 takes its fields in the query too.
    let Form(mut form) = form;
    if form.grant_type.is_empty() && headers.get(header::CONTENT_LENGTH).is_none_or(|l| l == "0") {
        let field = |name: &str| params.get(name).unwrap_or_default().to_owned();
        form = TokenForm {
            grant_type: field("grant_type"),
            client_id: field("client_id"),
            client_secret: field("client_secret"),
            code: field("code"),
            redirect_uri: field("redirect_uri"),
            refresh_token: field("refresh_token"),
            ..TokenForm::default()
        };
    }
    issue(&shared, &form).map_err(legacy)
}

async fn token_dated(
    State(shared): Sim,
    Path(version): Path<String>,
    Form(form): Form<TokenForm>,
) -> Answer {
    if version == "v3" || crate::gate::is_dated(&version) {
        issue(&shared, &form)
    } else {
        Err(Fault::not_found())
    }
}

/// Legacy error bodies have only HubSpot's own fields.
fn legacy(fault: Fault) -> Fault {
    fault.without("error").without("error_description")
}

fn issue(shared: &Shared, form: &TokenForm) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let known = matches!(
        form.grant_type.as_str(),
        "authorization_code" | "refresh_token" | "client_credentials"
    );
    if !known {
        return Err(refuse(
            "BAD_GRANT_TYPE",
            "unsupported_grant_type",
            "missing or unknown grant type",
        ));
    }
    check_client(&state, form)?;
    let issued = match form.grant_type.as_str() {
        "authorization_code" => state.grants.exchange(
            &form.code,
            &form.redirect_uri,
            form.code_verifier.as_deref(),
            now,
        ),
        "refresh_token" => {
            let rotate = state.app.rotate_refresh_tokens;
            state.grants.refresh(&form.refresh_token, rotate, now)
        }
        _ => return Ok(app_token(&mut state, &form.scope, now)),
    };
    let Issued {
        access_token,
        refresh_token,
        portal,
        scopes,
    } = issued.map_err(refused)?;
    if form.grant_type == "authorization_code" {
        state.journal.lifecycle(portal, INSTALLED, now);
    }
    Ok(Json(json!({
        "token_type": "bearer",
        "access_token": access_token,
        "refresh_token": refresh_token,
        "expires_in": ACCESS_TOKEN_LIFE.as_secs(),
        "hub_id": portal,
        "scopes": scopes,
        "user_id": USER_ID,
        "token_use": "access_token",
    }))
    .into_response())
}

/// A token of the app itself, for the webhooks journal.
fn app_token(state: &mut World, scope: &str, now: i64) -> Response {
    let scopes: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
    let token = state.grants.app_token(scopes.clone(), now);
    Json(json!({
        "token_type": "bearer",
        "access_token": token,
        "expires_in": ACCESS_TOKEN_LIFE.as_secs(),
        "scopes": scopes,
        "token_use": "access_token",
    }))
    .into_response()
}

async fn introspect(State(shared): Sim, Form(form): Form<TokenForm>) -> Answer {
    let now = shared.clock.now_ms();
    let state = shared.lock();
    check_client(&state, &form)?;
    let access = state.grants.access(&form.token).cloned();
    let (portal, scopes, expires_in, token_type) = match access {
        Some(access) if access.expires_at > now => (
            access.portal,
            access.scopes,
            Some((access.expires_at - now) / 1_000),
            "access",
        ),
        Some(_) => return Ok(Json(json!({"active": false})).into_response()),
        None => match state.grants.by_refresh(&form.token) {
            Some((portal, grant)) => (Some(portal), grant.scopes.clone(), None, "refresh"),
            None => return Ok(Json(json!({"active": false})).into_response()),
        },
    };
    let mut body = token_info(&state, portal, &scopes);
    body["active"] = json!(true);
    body["token"] = json!(form.token);
    body["token_type"] = json!(token_type);
    body["token_use"] = json!(format!("{token_type}_token"));
    body["client_id"] = json!(state.app.client_id);
    body["is_private_distribution"] = json!(false);
    if let Some(seconds) = expires_in {
        body["expires_in"] = json!(seconds);
    }
    Ok(Json(body).into_response())
}

/// Whom a token speaks for.
fn token_info(state: &World, portal: Option<u64>, scopes: &[String]) -> Value {
    let mut body = json!({
        "app_id": state.app.id,
        "scopes": scopes,
    });
    if let Some(portal) = portal
        && let Some(account) = state.world.accounts.get(&portal)
    {
        body["hub_id"] = json!(portal);
        body["hub_domain"] = json!(account.spec.domain);
        body["user"] = json!(format!("admin@{}", account.spec.domain));
        body["user_id"] = json!(USER_ID);
        body["signed_access_token"] = json!({"hublet": account.spec.hosting, "hubId": portal});
    }
    body
}

async fn revoke(State(shared): Sim, Form(form): Form<TokenForm>) -> Answer {
    let mut state = shared.lock();
    check_client(&state, &form)?;
    // RFC 7009 §2.2: a token that is unknown is as good as revoked.
    state.grants.revoke(&form.token);
    Ok(StatusCode::OK.into_response())
}

async fn access_token_v1(State(shared): Sim, Path(token): Path<String>) -> Answer {
    let now = shared.clock.now_ms();
    let state = shared.lock();
    let access = state
        .grants
        .access(&token)
        .filter(|access| access.expires_at > now)
        .ok_or_else(Fault::not_found)?;
    let mut body = token_info(&state, access.portal, &access.scopes);
    body["token"] = json!(token);
    body["token_type"] = json!("access");
    body["expires_in"] = json!((access.expires_at - now) / 1_000);
    Ok(Json(body).into_response())
}

async fn refresh_token_v1(State(shared): Sim, Path(token): Path<String>) -> Answer {
    let state = shared.lock();
    let (portal, grant) = state
        .grants
        .by_refresh(&token)
        .ok_or_else(|| legacy(refused(Refused::RefreshToken)))?;
    let mut body = token_info(&state, Some(portal), &grant.scopes);
    body["token"] = json!(token);
    body["token_type"] = json!("refresh");
    body["client_id"] = json!(state.app.client_id);
    Ok(Json(body).into_response())
}

async fn revoke_v1(State(shared): Sim, Path(token): Path<String>) -> Answer {
    shared.lock().grants.revoke(&token);
    nothing()
}
