//! Takes deliveries in: verify, append, answer.
//!
//! Architecture invariant: intake never calls HubSpot, a plugin or the store. A
//! delivery is answered 204 after its bytes are synced to the log; what cannot
//! be made durable is answered 503, and HubSpot sends it again.

mod first_event;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};

use first_event::first_event;

use crate::{
    host::Host,
    hubspot::signature::{self, SignatureError},
    log::{Entry, EntryKind, Lane},
    model::Timestamp,
    telemetry::AnswerLabels,
};

/// Where deliveries come in.
pub const PATH: &str = "/webhooks/hubspot";

/// The largest body. HubSpot's deliveries of 100 events have some 32 KB; a
/// property's text may have 64 KB.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a sender may take for a body: as long as HubSpot waits for the
/// answer.
const BODY_MAX: Duration = Duration::from_secs(5);

/// Deliveries that wait for the log at once. HubSpot sends at most ten at once
/// for each account.
const IN_WORK_MAX: usize = 1_024;

/// Bytes of bodies held in memory at once, until they are synced.
const BYTES_IN_WORK_MAX: usize = 256 * 1024 * 1024;

/// When to come back, in seconds, when there is too much to do.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// How often is said, at most, that signatures do not match: anyone can send
/// such a thing.
const WARNING_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Intake {
    host: Arc<Host>,
    in_work: Arc<Semaphore>,
    bytes_in_work: Arc<Semaphore>,
    target: Arc<str>,
    /// When it was last said that a signature does not match.
    warned_at: Arc<AtomicI64>,
}

/// Why a delivery is not taken in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no HubSpot app is set up on this host")]
    NoApp,
    #[error("the signature is not good: {0}")]
    Signature(#[from] SignatureError),
    #[error("there is no signature")]
    Unsigned,
    #[error("the body is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the body did not come in time, or was cut off")]
    Incomplete,
    #[error("the body is no JSON array")]
    NotADelivery,
    #[error("the delivery is of another app")]
    OtherApp,
    #[error("there is too much in work; come back")]
    Busy,
    #[error("the disk is nearly full; send it again")]
    NoRoom,
    #[error("the delivery could not be made durable; send it again")]
    NotDurable,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoApp | Self::Signature(_) | Self::Unsigned | Self::OtherApp => {
                StatusCode::UNAUTHORIZED
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotADelivery => StatusCode::BAD_REQUEST,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NoRoom | Self::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The route that deliveries come in by.
pub fn router(host: &Arc<Host>) -> Router<Arc<Host>> {
    let intake = Intake {
        host: host.clone(),
        in_work: Arc::new(Semaphore::new(IN_WORK_MAX)),
        bytes_in_work: Arc::new(Semaphore::new(BYTES_IN_WORK_MAX)),
        target: host.url(PATH).as_str().into(),
        warned_at: Arc::new(AtomicI64::new(i64::MIN)),
    };
    Router::new().route(PATH, post(answer).with_state(intake))
}

impl Intake {
    /// Says what an operator has to look at, once in a while.
    fn warn_of_mismatch(&self) {
        if is_due(&self.warned_at, self.host.clock.now()) {
            tracing::warn!(
                address = &*self.target,
                "a delivery's signature does not match, and it was refused. Is JIMO_PUBLIC_URL \
                 the address that HubSpot delivers to, and HUBSPOT_CLIENT_SECRET that of the app?"
            );
        }
    }
}

/// Whether [`WARNING_EVERY`] has passed since `last`, which is now then.
fn is_due(last: &AtomicI64, now: Timestamp) -> bool {
    let due = |last: i64| {
        let passed = u64::try_from(now.0.saturating_sub(last)).unwrap_or_default();
        (Duration::from_millis(passed) >= WARNING_EVERY).then_some(now.0)
    };
    last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
        .is_ok()
}

async fn answer(State(intake): State<Intake>, request: Request) -> Response {
    let begun = Instant::now();
    let (status, response) = match take_in(&intake, request).await {
        Ok(()) => (
            StatusCode::NO_CONTENT,
            StatusCode::NO_CONTENT.into_response(),
        ),
        Err(refusal) => {
            tracing::debug!(%refusal, "a delivery was not taken in");
            if matches!(refusal, Refusal::Signature(SignatureError::Mismatch)) {
                intake.warn_of_mismatch();
            }
            let status = refusal.status();
            let mut response = (status, refusal.to_string()).into_response();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            (status, response)
        }
    };
    let metrics = &intake.host.metrics;
    metrics
        .deliveries
        .get_or_create(&AnswerLabels {
            status: status.as_u16(),
        })
        .inc();
    metrics
        .delivery_seconds
        .observe(begun.elapsed().as_secs_f64());
    response
}

async fn take_in(intake: &Intake, request: Request) -> Result<(), Refusal> {
    let host = &intake.host;
    let app = host.app.as_ref().ok_or(Refusal::NoApp)?;
    let (parts, body) = request.into_parts();
    // Looked at before the body is, so that nobody unsigned can fill memory.
    let timestamp = header(&parts.headers, signature::TIMESTAMP_HEADER)?;
    let signed = header(&parts.headers, signature::SIGNATURE_HEADER)?;
    signature::check_timestamp(timestamp, host.clock.now())?;
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::TooLarge);
    }
    let reading = read_body(body, &intake.bytes_in_work);
    let (body, _bytes) = tokio::time::timeout(BODY_MAX, reading)
        .await
        .map_err(|_| Refusal::Incomplete)??;
    // The whole public address as it is configured, not what a proxy passed on.
    let uri = match parts.uri.query() {
        None => intake.target.to_string(),
        Some(query) => format!("{}?{query}", intake.target),
    };
    let now = host.clock.now();
    signature::verify_v3(
        &app.client_secret,
        "POST",
        &uri,
        &body,
        timestamp,
        signed,
        now,
    )?;
    if !is_array(&body) {
        return Err(Refusal::NotADelivery);
    }
    // One look serves: a delivery is of one app, and its lane decides nothing
    // but when its turn comes.
    let first = first_event(&body).unwrap_or_default();
    if first
        .app_id
        .is_some_and(|named| app.app_id.is_some_and(|app_id| app_id != named))
    {
        return Err(Refusal::OtherApp);
    }
    if !host.disk.room().is_enough() {
        return Err(Refusal::NoRoom);
    }
    let _in_work = intake.in_work.try_acquire().map_err(|_| Refusal::Busy)?;
    let entry = Entry {
        kind: EntryKind::Delivery,
        lane: lane(first.portal_id),
        received_at: now,
        body,
    };
    host.log.append(entry).await.map_err(|error| {
        host.disk.append_failed(&error);
        Refusal::NotDurable
    })?;
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .ok_or(Refusal::Unsigned)
}

/// Reads a body, and takes room for what has come of it: one that is announced
/// and never sent takes none from the others.
async fn read_body<'s>(
    mut body: Body,
    room: &'s Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'s>>), Refusal> {
    let mut whole = BytesMut::new();
    let mut held: Option<SemaphorePermit<'s>> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Incomplete)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let length = u32::try_from(data.len()).map_err(|_| Refusal::TooLarge)?;
        let taken = room.try_acquire_many(length).map_err(|_| Refusal::Busy)?;
        match &mut held {
            Some(held) => held.merge(taken),
            None => held = Some(taken),
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), held))
}

/// The lane of an account: its id, as far as it is one.
fn lane(portal_id: Option<u64>) -> Lane {
    Lane(
        portal_id
            .and_then(|id| i64::try_from(id).ok())
            .unwrap_or_default(),
    )
}

/// Whether a body can be a delivery at all. What is in it is the pipeline's:
/// it is signed, so it is kept whatever it is.
fn is_array(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"[") && body.ends_with(b"]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_once_a_minute() {
        let last = AtomicI64::new(i64::MIN);
        let start = Timestamp(1_780_000_000_000);
        assert!(is_due(&last, start));
        assert!(!is_due(&last, start));
        assert!(!is_due(&last, start.plus(Duration::from_millis(59_999))));
        assert!(is_due(&last, start.plus(WARNING_EVERY)));
        assert!(!is_due(&last, start.plus(WARNING_EVERY)));
    }
}
