//! The consent page: which account grants the app what it asks for.
//!
//! `approve=true` with `portal` in the query, or an account set to approve, answers at once, so
//! that tests and the demo need no browser.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::request::{Params, Sim};
use crate::state::{Shared, State as World};

/// What a consent asks for, once it is known to be sound.
struct Consent {
    redirect_uri: String,
    state: Option<String>,
    scopes: Vec<String>,
    optional: Vec<String>,
    challenge: Option<(String, bool)>,
}

/// The consent page, with every account to choose from.
pub(crate) async fn authorize(State(shared): Sim, params: Params) -> Response {
    consent(&shared, &params, None)
}

/// `/oauth/{portal}/authorize` preselects the account.
pub(crate) async fn authorize_for(
    State(shared): Sim,
    Path(portal): Path<String>,
    params: Params,
) -> Response {
    consent(&shared, &params, portal.parse().ok())
}

fn consent(shared: &Shared, params: &Params, portal: Option<u64>) -> Response {
    let mut state = shared.lock();
    let asked = match Consent::check(&state, params) {
        Ok(asked) => asked,
        Err(message) => return page(StatusCode::BAD_REQUEST, "Authorization failed", &message),
    };
    if params.get("deny") == Some("true") {
        return asked.back(&[
            ("error", "access_denied"),
            ("error_description", "The user denied access"),
        ]);
    }
    let chosen = params
        .get("portal")
        .and_then(|text| text.parse().ok())
        .or(portal)
        .filter(|_| params.get("approve") == Some("true"))
        .or(state.app.auto_approve);
    let Some(chosen) = chosen else {
        return choose(&state, params, portal);
    };
    let Some(account) = state.world.accounts.get(&chosen) else {
        return page(
            StatusCode::BAD_REQUEST,
            "Authorization failed",
            "There is no such account.",
        );
    };
    let allowed = |scope: &String| {
        account
            .spec
            .scopes
            .as_ref()
            .is_none_or(|held| scope == "oauth" || held.contains(scope))
    };
    if let Some(refused) = asked.scopes.iter().find(|scope| !allowed(scope)) {
        let message = format!("This account can't grant the scope {refused}.");
        return page(StatusCode::FORBIDDEN, "Insufficient scopes", &message);
    }
    let mut scopes = asked.scopes.clone();
    scopes.extend(
        asked
            .optional
            .iter()
            .filter(|scope| allowed(scope))
            .cloned(),
    );
    scopes.sort_unstable();
    scopes.dedup();
    let now = shared.clock.now_ms();
    let code = state.grants.code(
        chosen,
        scopes,
        &asked.redirect_uri,
        asked.challenge.clone(),
        now,
    );
    asked.back(&[("code", &code)])
}

impl Consent {
    fn check(state: &World, params: &Params) -> Result<Self, String> {
        let app = &state.app;
        if params.get("client_id") != Some(app.client_id.as_str()) {
            return Err("The client_id is unknown.".to_owned());
        }
        let redirect_uri = params.get("redirect_uri").unwrap_or_default();
        if !redirect_allowed(&app.redirect_uris, redirect_uri) {
            return Err("The redirect_uri is not one of the app's.".to_owned());
        }
        let words = |name: &str| -> Vec<String> {
            params
                .get(name)
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let scopes = words("scope");
        if scopes.is_empty() {
            return Err("The scope is missing.".to_owned());
        }
        if let Some(required) = &app.required_scopes {
            let mut given = scopes.clone();
            let mut required = required.clone();
            given.sort_unstable();
            required.sort_unstable();
            if given != required {
                return Err(format!(
                    "The scopes don't match the app's: it requires {}.",
                    required.join(" ")
                ));
            }
        }
        let optional = words("optional_scope");
        let unlisted = optional
            .iter()
            .find(|scope| !app.optional_scopes.contains(scope));
        if let Some(unlisted) = unlisted {
            return Err(format!(
                "The scopes don't match the app's: it does not list {unlisted}."
            ));
        }
        let challenge = params.get("code_challenge").map(|challenge| {
            let hashed = params.get("code_challenge_method") == Some("S256");
            (challenge.to_owned(), hashed)
        });
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            state: params.get("state").map(str::to_owned),
            scopes,
            optional,
            challenge,
        })
    }

    /// Sends the browser back to the app.
    fn back(&self, pairs: &[(&str, &str)]) -> Response {
        let Ok(mut target) = url::Url::parse(&self.redirect_uri) else {
            return page(
                StatusCode::BAD_REQUEST,
                "Authorization failed",
                "The redirect_uri is not an address.",
            );
        };
        {
            let mut query = target.query_pairs_mut();
            query.extend_pairs(pairs);
            if let Some(state) = &self.state {
                query.append_pair("state", state);
            }
        }
        (
            StatusCode::FOUND,
            [(header::LOCATION, String::from(target))],
        )
            .into_response()
    }
}

fn redirect_allowed(registered: &[String], uri: &str) -> bool {
    if !registered.is_empty() {
        return registered.iter().any(|held| held == uri);
    }
    url::Url::parse(uri).is_ok_and(|uri| {
        let loopback = matches!(uri.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        uri.scheme() == "https" || (uri.scheme() == "http" && loopback)
    })
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let body = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><h1>{0}</h1><p>{1}</p></html>",
        escape(title),
        escape(text)
    );
    (status, Html(body)).into_response()
}

/// The consent: one form for each account to choose from.
fn choose(state: &World, params: &Params, only: Option<u64>) -> Response {
    let mut body = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Choose an account</title>\
         <style>body{font:16px/1.5 system-ui;max-width:36rem;margin:3rem auto;padding:0 1rem}\
         button{font:inherit;padding:.5rem 1rem;margin:.25rem 0}</style>\
         <h1>Simulated HubSpot</h1><p>Choose the account to connect.</p>",
    );
    let hidden = |body: &mut String, name: &str, value: &str| {
        let _ = write!(
            body,
            "<input type=hidden name=\"{}\" value=\"{}\">",
            escape(name),
            escape(value)
        );
    };
    let carried = params
        .pairs()
        .filter(|(name, _)| !matches!(*name, "portal" | "approve" | "deny"));
    let carried: Vec<(&str, &str)> = carried.collect();
    let form = |body: &mut String, extra: &[(&str, &str)], label: &str| {
        body.push_str("<form method=get action=/oauth/authorize>");
        for (name, value) in carried.iter().chain(extra) {
            hidden(body, name, value);
        }
        let _ = write!(body, "<button>{}</button></form>", escape(label));
    };
    for (portal, account) in &state.world.accounts {
        if only.is_some_and(|only| only != *portal) {
            continue;
        }
        let label = format!("{} ({portal})", account.spec.domain);
        let extra = [("approve", "true"), ("portal", &*portal.to_string())];
        form(&mut body, &extra, &label);
    }
    form(&mut body, &[("deny", "true")], "Cancel");
    body.push_str("</html>");
    Html(body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
