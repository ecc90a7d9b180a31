//! The HTTP server: all routes on one page, and what every call passes through on its way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::fault::Fault;
use crate::faults::{Route, Trouble};
use crate::limits::{Budget, Refusal, too_many};
use crate::request::{AppCaller, Caller};
use crate::state::{Call, Shared};
use crate::{
    account, associations, control_http, journal_http, oauth, objects, properties, subscriptions,
};

/// Marks a response that is never to be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
struct Dropped;

/// All routes. Dated paths and the legacy ones of the same calls lead to the same handlers.
fn routes(shared: &Arc<Shared>) -> Router {
    let hubspot = Router::new()
        .nest("/crm/objects/{version}", objects::routes())
        .nest("/crm/v3/objects", objects::routes())
        .nest("/crm/objects/v3", objects::routes())
        .nest("/crm/properties/{version}", properties::routes())
        .nest("/crm/v3/properties", properties::routes())
        .nest("/crm/properties/v3", properties::routes())
        .nest("/crm/pipelines/{version}", account::pipelines())
        .nest("/crm/v3/pipelines", account::pipelines())
        .nest("/crm/v4/objects", associations::of_records())
        .nest("/crm/associations/{version}", associations::routes())
        .nest("/crm/v4/associations", associations::routes())
        .nest("/account-info/{version}", account::details())
        .nest("/account-info/v3", account::details())
        .nest("/appinstalls/{version}", account::installs())
        .nest("/appinstalls/v3", account::installs())
        .nest("/app-webhooks/{version}", subscriptions::routes())
        .nest("/webhooks/v3", subscriptions::routes())
        .nest("/webhooks/2026-03", subscriptions::routes())
        .nest("/webhooks-journal", journal_http::routes())
        .nest("/oauth", oauth::routes())
        .fallback(async || Fault::not_found())
        .layer(middleware::from_fn_with_state(shared.clone(), gate));
    Router::new()
        .nest("/_sim", control_http::routes())
        .merge(hubspot)
        .with_state(shared.clone())
}

/// Serves connections until the task is aborted, which closes them all.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let app = routes(&shared);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, app.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, peer: SocketAddr, app: Router) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let app = app.clone();
        async move {
            let answer: Result<Response, Infallible> = app.oneshot(request.map(Body::new)).await;
            let Ok(answer) = answer;
            if answer.extensions().get::<Dropped>().is_some() {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            }
            Ok(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection ended early");
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

/// What a path is, for budgets and faults.
fn classify(method: &str, path: &str) -> (Route, Budget) {
    let writes = method != "GET";
    if path.starts_with("/oauth/") {
        (Route::Token, Budget::Exempt)
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
        .is_some_and(|last| crate::crm::ObjectType::parse(last).is_some())
    {
        (Route::List, Budget::General)
    } else {
        (Route::Get, Budget::General)
    }
}

/// Every call passes here: length of the address, faults, token, region, budget; and on its way
/// back the error body, the date by the simulator's clock, and the record of calls.
async fn gate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let at_ms = shared.clock.now_ms();
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let (route, budget) = classify(&method, &path);
    let trouble = shared.lock().faults.strike(route);
    let mut portal = None;

    let mut response = match before(trouble.as_ref()).await {
        Some(response) => response,
        None => match admit(&shared, &request, budget, &mut portal) {
            Ok((caller, headers)) => {
                let mut request = request;
                match caller {
                    Token::Account(caller) => {
                        request.extensions_mut().insert(caller);
                    }
                    Token::App(caller) => {
                        request.extensions_mut().insert(caller);
                    }
                    Token::None => {}
                }
                let mut response = next.run(request).await;
                response.headers_mut().extend(headers);
                response
            }
            Err(refusal) => {
                let (fault, headers) = *refusal;
                let mut response = fault.into_response();
                response.headers_mut().extend(headers);
                response
            }
        },
    };
    finish_fault(&shared, &mut response);
    if let Some(date) = http_date(shared.clock.now_ms()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response = after(trouble.as_ref(), response).await;

    let dropped = response.extensions().get::<Dropped>().is_some();
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
    response
}

/// Whose token a call carries.
enum Token {
    Account(Caller),
    App(AppCaller),
    None,
}

type Admission = Result<(Token, HeaderMap), Refusal>;

/// Decides whether a call may go on.
fn admit(
    shared: &Shared,
    request: &Request,
    budget: Budget,
    portal: &mut Option<u64>,
) -> Admission {
    let plain = |fault| Box::new((fault, HeaderMap::new()));
    let mut state = shared.lock();
    let length = request
        .uri()
        .path_and_query()
        .map_or(0, |all| all.as_str().len());
    if length > state.api.url_bytes_max {
        let fault = Fault::raw(StatusCode::URI_TOO_LONG, json!({"message": "URI Too Long"}));
        return Err(plain(fault));
    }
    if unknown_version(request.uri().path()) {
        return Err(plain(Fault::not_found()));
    }
    let sealed = request.uri().path().starts_with("/webhooks-journal/files/");
    let Some(token) = bearer(request.headers()).filter(|_| !sealed) else {
        return Ok((Token::None, HeaderMap::new()));
    };
    let now = shared.clock.now_ms();
    let Some(access) = state.grants.access(token).cloned() else {
        return Err(plain(Fault::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication",
        )));
    };
    if access.expires_at <= now {
        let age = (now - access.expires_at) / 1_000;
        let fault = Fault::new(
            StatusCode::UNAUTHORIZED,
            "EXPIRED_AUTHENTICATION",
            format!("The OAuth token used to make this call expired {age} second(s) ago."),
        )
        .with(
            "context",
            json!({"expire time": [crate::values::iso(access.expires_at)]}),
        );
        return Err(plain(fault));
    }
    let Some(owner) = access.portal else {
        let caller = AppCaller {
            scopes: access.scopes.into(),
        };
        return Ok((Token::App(caller), HeaderMap::new()));
    };
    *portal = Some(owner);
    let Some(account) = state.world.accounts.get(&owner) else {
        return Err(plain(Fault::not_found()));
    };
    if account.misrouted {
        let region = account.spec.hosting.clone();
        let status = StatusCode::from_u16(488).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(plain(Fault::raw(
            status,
            json!({
                "status": "error",
                "message": format!("This account's data is hosted in {region}"),
                "context": {"hublet": [region]},
            }),
        )));
    }
    let zone = account.spec.time_zone.clone();
    let limits = state.limits.clone();
    let headers = state.meter.take(owner, &zone, budget, &limits, now)?;
    let caller = Caller {
        portal: owner,
        scopes: access.scopes.into(),
    };
    Ok((Token::Account(caller), headers))
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
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

/// Faults in place of the call.
async fn before(trouble: Option<&Trouble>) -> Option<Response> {
    match trouble? {
        Trouble::TooManyRequests => {
            Some(too_many("TEN_SECONDLY_ROLLING", "ten_secondly_rolling").into_response())
        }
        Trouble::DailyLimit => Some(too_many("DAILY", "daily").into_response()),
        Trouble::Status(status) => Some(
            (
                status_of(*status),
                "<html><body>upstream trouble</body></html>",
            )
                .into_response(),
        ),
        Trouble::Answer(status, body) => {
            Some((status_of(*status), axum::Json(body)).into_response())
        }
        Trouble::ResetBefore => Some(dropped()),
        Trouble::SlowMs(ms) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        Trouble::CutBody | Trouble::Reset => None,
    }
}

/// Faults on the way back, after the call was carried out.
async fn after(trouble: Option<&Trouble>, response: Response) -> Response {
    match trouble {
        Some(Trouble::Reset) => dropped(),
        Some(Trouble::CutBody) => cut(response).await,
        _ => response,
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn dropped() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Dropped);
    response
}

/// Announces the whole body, sends half of it, and breaks off.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    if bytes.len() < 2 {
        return dropped();
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = bytes.slice(..bytes.len() / 2);
    let broken = async {
        // Time for the first half to leave: what is not sent yet goes with the connection.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    };
    let pieces = stream::once(async { Ok::<Bytes, std::io::Error>(half) });
    let pieces = pieces.chain(stream::once(broken));
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A moment as HTTP writes it (RFC 9110 §5.6.7).
fn http_date(ms: i64) -> Option<HeaderValue> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}
