//! Carrying out the faults that a test asks for.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::faults::Trouble;
use crate::limits::too_many;

/// Marks a response that is never to be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
struct Dropped;

/// Whether a response is not to be sent.
pub(crate) fn is_dropped(response: &Response) -> bool {
    response.extensions().get::<Dropped>().is_some()
}

/// Faults in place of the call.
pub(crate) async fn before(trouble: Option<&Trouble>) -> Option<Response> {
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
        Trouble::RetryAfter(status, seconds) => {
            let headers = [(header::RETRY_AFTER, seconds.to_string())];
            Some((status_of(*status), headers).into_response())
        }
        Trouble::Answer(status, body) => {
            Some((status_of(*status), axum::Json(body)).into_response())
        }
        Trouble::ResetBefore => Some(dropped()),
        Trouble::SlowMs(ms) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        Trouble::Held | Trouble::CutBody | Trouble::Reset => None,
    }
}

/// Faults on the way back, after the call was carried out.
pub(crate) async fn after(trouble: Option<&Trouble>, response: Response) -> Response {
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
