//! What every call passes through on its way to its handler and back.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use crate::crm::ObjectType;
use crate::fault::Fault;
use crate::faults::{Route, Trouble};
use crate::grants::Access;
use crate::limits::{Budget, Refusal};
use crate::request::{AppCaller, Caller, Sim};
use crate::state::{Call, Shared, State as World};
use crate::trouble;
use crate::values::iso;

/// Every call passes here: length of the address, faults, token, region, budget; and on its way
/// back the error body, the date by the simulator's clock, and the record of calls.
pub(crate) async fn gate(State(shared): Sim, mut request: Request, next: Next) -> Response {
    let at_ms = shared.clock.now_ms();
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let (route, budget) = classify(&method, &path);
    let (struck, mut cleared) = {
        let mut state = shared.lock();
        let token = bearer(request.headers());
        let access = token.and_then(|token| state.grants.access(token));
        let portal = access.and_then(|access| access.portal);
        let faults = &mut state.faults;
        (faults.strike(route, portal), faults.cleared())
    };
    let mut portal = None;

    let mut response = match trouble::before(struck.as_ref()).await {
        Some(response) => response,
        None => {
            let admitted = admit(&shared, &mut request, budget);
            let caller = request.extensions().get::<Caller>();
            portal = caller.map(|caller| caller.portal);
            let (mut response, headers) = match admitted {
                Ok(headers) => (next.run(request).await, headers),
                Err(refusal) => (refusal.0.into_response(), refusal.1),
            };
            response.headers_mut().extend(headers);
            response
        }
    };
    finish_fault(&shared, &mut response);
    if let Some(date) = http_date(shared.clock.now_ms()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response = trouble::after(struck.as_ref(), response).await;

    let dropped = trouble::is_dropped(&response);
    shared.lock().remember(Call {
        at_ms,
        route,
        method,
        path,
        portal,
        status: if dropped {
            0
        } else {
            response.status().as_u16()
        },
    });
    if struck == Some(Trouble::Held) {
        // It fails only when the simulator is gone.
        let _ = cleared.changed().await;
    }
    response
}

/// What a path is, for budgets and faults.
fn classify(method: &str, path: &str) -> (Route, Budget) {
    let writes = method != "GET";
    if path.starts_with("/oauth/") {
        (Route::Token, Budget::Exempt)
    } else if path.starts_with("/webhooks-journal") && path.contains("/files/") {
        (Route::JournalFile, Budget::Exempt)
    } else if path.starts_with("/webhooks-journal") {
        (Route::Journal, Budget::Exempt)
    } else if path.contains("webhooks/") {
        (Route::Other, Budget::Exempt)
    } else if path.contains("/associations/") {
        let batch = path.contains("/batch/");
        let route = if writes && !path.ends_with("/batch/read") {
            Route::Write
        } else {
            Route::Associations
        };
        (
            route,
            if batch {
                Budget::Associations
            } else {
                Budget::General
            },
        )
    } else if path.contains("/properties") {
        (Route::Properties, Budget::General)
    } else if path.contains("/pipelines") {
        (Route::Pipelines, Budget::General)
    } else if path.contains("/owners") {
        (Route::Owners, Budget::General)
    } else if !path.contains("/objects") {
        (Route::Other, Budget::General)
    } else if path.ends_with("/search") {
        (Route::Search, Budget::Search)
    } else if path.ends_with("/batch/read") {
        (Route::BatchRead, Budget::General)
    } else if writes {
        (Route::Write, Budget::General)
    } else if path
        .rsplit('/')
        .next()
        .is_some_and(|last| ObjectType::parse(last).is_some())
    {
        (Route::List, Budget::General)
    } else {
        (Route::Get, Budget::General)
    }
}

/// Whether a path's part names a dated version that is served.
pub(crate) fn is_dated(version: &str) -> bool {
    matches!(
        version,
        "2025-09" | "2026-03" | "2026-09" | "2026-09-beta" | "2027-03-beta"
    )
}

/// Whether a path names a dated version that is not served.
fn unknown_version(path: &str) -> bool {
    path.split('/').any(|part| {
        let looks_dated = part.len() >= 7
            && part.as_bytes()[4] == b'-'
            && part.bytes().take(4).all(|byte| byte.is_ascii_digit());
        looks_dated && !is_dated(part)
    })
}

/// Decides whether a call may go on, and marks it with its caller.
fn admit(shared: &Shared, request: &mut Request, budget: Budget) -> Result<HeaderMap, Refusal> {
    let plain = |fault| Box::new((fault, HeaderMap::new()));
    let mut state = shared.lock();
    let path = request.uri().path();
    let length = request
        .uri()
        .path_and_query()
        .map_or(0, |all| all.as_str().len());
    if length > state.api.url_bytes_max {
        let fault = Fault::raw(StatusCode::URI_TOO_LONG, json!({"message": "URI Too Long"}));
        return Err(plain(fault));
    }
    if unknown_version(path) {
        return Err(plain(Fault::not_found()));
    }
    let sealed = path.starts_with("/webhooks-journal/files/");
    let Some(token) = bearer(request.headers()).filter(|_| !sealed) else {
        return Ok(HeaderMap::new());
    };
    let now = shared.clock.now_ms();
    let access = known(&state, token, now).map_err(plain)?;
    let scopes = access.scopes.into();
    let Some(portal) = access.portal else {
        request.extensions_mut().insert(AppCaller { scopes });
        return Ok(HeaderMap::new());
    };
    request.extensions_mut().insert(Caller { portal, scopes });
    let Some(account) = state.world.accounts.get(&portal) else {
        return Err(plain(Fault::not_found()));
    };
    if account.misrouted {
        return Err(misrouted(portal, &account.spec.hosting));
    }
    let zone = account.spec.time_zone.clone();
    let limits = state.limits.clone();
    state.meter.take(portal, &zone, budget, &limits, now)
}

/// What an access token stands for, if it is known and not yet expired.
fn known(state: &World, token: &str, now: i64) -> Result<Access, Fault> {
    let Some(access) = state.grants.access(token) else {
        return Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication",
        ));
    };
    if access.expires_at <= now {
        let age = (now - access.expires_at) / 1_000;
        return Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            "EXPIRED_AUTHENTICATION",
            format!("The OAuth token used to make this call expired {age} second(s) ago."),
        )
        .with("context", json!({"expire time": [iso(access.expires_at)]})));
    }
    Ok(access.clone())
}

/// The refusal of a call that came to another region than the account's, as it was observed: no
/// page of HubSpot's describes it. HubSpot's own pages follow the header.
fn misrouted(portal: u64, region: &str) -> Refusal {
    let status = StatusCode::from_u16(488).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({
        "status": "error",
        "message": format!(
            "Hub {portal} is unknown to this Hublet, but it appears to exist in Hublet {region}"
        ),
        "correctHublet": region,
    });
    let mut headers = HeaderMap::new();
    if let Ok(region) = HeaderValue::from_str(region) {
        headers.insert("x-hubspot-correct-hublet", region);
    }
    Box::new((Fault::raw(status, body), headers))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Writes the body of an error, now that its correlation id can be had.
fn finish_fault(shared: &Shared, response: &mut Response) {
    let Some(fault) = response.extensions_mut().remove::<Fault>() else {
        return;
    };
    let body = fault.into_body(&shared.lock().correlation());
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=utf-8"),
    );
    *response.body_mut() = Body::from(body);
}

/// A moment as HTTP writes it (RFC 9110 §5.6.7).
fn http_date(ms: i64) -> Option<HeaderValue> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}
