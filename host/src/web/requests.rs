//! Which request is which: each has an id, which its answer and all of its log
//! lines carry.
//!
//! A line names the route's template, never the path nor the query: these hold
//! one-time tokens and e-mail addresses.

use std::time::Duration;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, Response},
};
use tower::ServiceBuilder;
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    trace::TraceLayer,
};
use tracing::Span;

/// The header with a request's id, on requests and answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a request; a UUID has 36 characters.
const ID_LENGTH_MAX: usize = 64;

/// Gives each request an id, and its log lines a span that names it. An id that
/// comes with the request is kept where it is well-formed.
pub fn identified(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .map_request(without_bad_id)
            .layer(SetRequestIdLayer::new(HEADER, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(HEADER))
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_request(())
                    .on_response(answered)
                    .on_body_chunk(())
                    .on_eos(())
                    // What fails is logged by whoever it fails to.
                    .on_failure(()),
            ),
    )
}

/// A request's id.
pub fn id(request: &Request) -> Option<&str> {
    let id: &RequestId = request.extensions().get()?;
    id.header_value().to_str().ok()
}

fn without_bad_id(mut request: Request) -> Request {
    let mut given = request.headers().get_all(HEADER).iter();
    let good = match (given.next(), given.next()) {
        (Some(id), None) => is_well_formed(id.as_bytes()),
        _ => false,
    };
    if !good {
        request.headers_mut().remove(HEADER);
    }
    request
}

/// Whether a log line can hold an id as it is: nothing in it needs escaping, and
/// no e-mail address has this form.
fn is_well_formed(id: &[u8]) -> bool {
    (1..=ID_LENGTH_MAX).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

/// At the highest level, so that it is there whatever lines are let through.
fn span(request: &Request) -> Span {
    let route = request.extensions().get().map(MatchedPath::as_str);
    tracing::error_span!("request", request_id = id(request), method = %request.method(), route)
}

fn answered<B>(response: &Response<B>, after: Duration, _: &Span) {
    tracing::debug!(
        status = response.status().as_u16(),
        milliseconds = after.as_millis() as u64,
        "answered"
    );
}
