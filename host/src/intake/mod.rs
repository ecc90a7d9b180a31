//! Takes deliveries in: verify, append, answer.
//!
//! All sources deliver by one path; only how they sign differs ([`Senders`]).
//!
//! Architecture invariant: intake never calls a source, a plugin or the store. A
//! delivery is answered 204 after its bytes are synced to the log; what cannot
//! be made durable is answered 503, and the source sends it again.

mod first_event;
mod pace;
mod room;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    host::Host,
    hubspot::oauth,
    log::{Entry, EntryKind, Lane},
    plugin::first_account,
    sources::{Check, Sender, Senders, SignatureError, Source, lane},
    telemetry::{AnswerLabels, Seldom},
};
use first_event::first_event;
use pace::Pace;
use room::{GivesWay, Room};

/// Where HubSpot's deliveries come in.
pub const PATH: &str = "/webhooks/hubspot";

/// Where deliveries come in, below which each connector has its name.
const BASE: &str = "/webhooks/";

/// The largest body. HubSpot's deliveries of 100 events have some 32 KB; a
/// property's text may have 64 KB.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a sender may take for a body: as long as HubSpot waits for the
/// answer.
const BODY_MAX: Duration = Duration::from_secs(5);

/// Deliveries that wait for the log at once. HubSpot sends at most ten at once
/// for each account.
const IN_WORK_MAX: usize = 1_024;

/// Bytes of their bodies, held until they are in the log. Their buffers may be
/// up to twice as large.
const BYTES_IN_WORK_MAX: usize = 128 * 1024 * 1024;

/// Bytes of bodies that are being read, whoever sends them; likewise.
const BYTES_BEING_READ_MAX: usize = 64 * 1024 * 1024;

/// When to come back, in seconds, when there is too much to do.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

#[derive(Clone)]
struct Intake {
    host: Arc<Host>,
    shared: Arc<Shared>,
}

/// What all deliveries share.
struct Shared {
    /// The address below which sources deliver, which some sign.
    base: String,
    senders: Senders,
    being_read: Room,
    in_work: Arc<Semaphore>,
    bytes_in_work: Arc<Semaphore>,
    pace: Pace,
    mismatches: Seldom,
}

/// Why a delivery is not taken in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("nobody is set up on this host who may deliver here")]
    NoSender,
    #[error("the signature is not good: {0}")]
    Signature(#[from] SignatureError),
    #[error("the body is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the body did not come in time, or was cut off")]
    Incomplete,
    #[error("the body is no JSON array, or no JSON")]
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

impl From<GivesWay> for Refusal {
    fn from(_: GivesWay) -> Self {
        Self::Busy
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoSender | Self::Signature(_) | Self::OtherApp => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotADelivery => StatusCode::BAD_REQUEST,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NoRoom | Self::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The route that deliveries come in by.
pub fn router(host: &Arc<Host>) -> Router<Arc<Host>> {
    let shared = Shared {
        base: host.url(BASE).into(),
        senders: host.senders.clone(),
        being_read: Room::new(BYTES_BEING_READ_MAX),
        in_work: Arc::new(Semaphore::new(IN_WORK_MAX)),
        bytes_in_work: Arc::new(Semaphore::new(BYTES_IN_WORK_MAX)),
        pace: Pace::default(),
        mismatches: Seldom::default(),
    };
    let intake = Intake {
        host: host.clone(),
        shared: Arc::new(shared),
    };
    let path = format!("{BASE}{{connector}}");
    Router::new().route(&path, post(answer).with_state(intake))
}

impl Intake {
    /// Says what an operator has to look at, once in a while.
    fn warn_of(&self, refusal: &Refusal, connector: &str) {
        let now = self.host.clock.now();
        let is_mismatch = matches!(refusal, Refusal::Signature(SignatureError::Mismatch));
        if is_mismatch && self.shared.mismatches.is_due(now) {
            let what = match Source::of(connector) {
                Source::HubSpot => {
                    "Is JIMO_PUBLIC_URL the address that HubSpot delivers to, and \
                     HUBSPOT_CLIENT_SECRET that of the app?"
                }
                Source::Push => "Is its secret in JIMO_CONNECTOR_SECRETS that of the source?",
            };
            tracing::warn!(
                address = %format_args!("{}{connector}", self.shared.base),
                "a delivery's signature does not match, and it was refused. {what}"
            );
        }
    }
}

async fn answer(
    State(intake): State<Intake>,
    Path(connector): Path<String>,
    request: Request,
) -> Response {
    let begun = Instant::now();
    let (status, response, until) = match take_in(&intake, &connector, request).await {
        Ok(until) => (
            StatusCode::NO_CONTENT,
            StatusCode::NO_CONTENT.into_response(),
            until,
        ),
        Err(refusal) => {
            tracing::debug!(%refusal, "a delivery was not taken in");
            intake.warn_of(&refusal, &connector);
            let status = refusal.status();
            let mut response = (status, refusal.to_string()).into_response();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            (status, response, None)
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
    if let Some(until) = until.filter(|until| *until > Instant::now()) {
        metrics.answers_paced.inc();
        tokio::time::sleep_until(until.into()).await;
    }
    response
}

/// Takes a delivery in. Returns until when its answer waits, where it does.
async fn take_in(
    intake: &Intake,
    connector: &str,
    request: Request,
) -> Result<Option<Instant>, Refusal> {
    let (host, shared) = (&intake.host, &intake.shared);
    let sender = shared.senders.of(connector).ok_or(Refusal::NoSender)?;
    let (parts, body) = request.into_parts();
    // The whole public address as it is configured, not what a proxy passed on.
    let mut target = [&shared.base, connector].concat();
    if let Some(query) = parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    // Looked at before the body is, which then costs nobody else anything.
    let signed = sender.signed(&parts.headers, &target, host.clock.now())?;
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::TooLarge);
    }
    let reading = read_body(body, signed.begin(), &shared.being_read);
    let body = tokio::time::timeout(BODY_MAX, reading)
        .await
        .map_err(|_| Refusal::Incomplete)??;
    let lane = match sender {
        Sender::HubSpot(app) => hubspots(app, &body)?,
        Sender::Push(_) => {
            if !is_json(&body) {
                return Err(Refusal::NotADelivery);
            }
            let plugin = host.plugins.active(connector).ok();
            let at = plugin.as_ref().map(|plugin| &plugin.description().delivery);
            lane(
                connector,
                at.and_then(|at| first_account(&body, at)).as_ref(),
            )
        }
    };
    if !host.disk.room().is_enough() {
        return Err(Refusal::NoRoom);
    }
    // HubSpot has only so many deliveries of an account under way; another source's
    // senders may serve all accounts, who then would wait for one.
    let is_paced = matches!(sender, Sender::HubSpot(_)) && host.pipeline.is_shared();
    let until = is_paced.then(|| shared.pace.until(lane, body.len(), Instant::now()));
    let entry = Entry {
        kind: EntryKind::Delivery,
        connector: connector.to_owned(),
        lane,
        received_at: host.clock.now(),
        body: InWork::take(shared, body)?.into(),
    };
    host.log.append(entry).await.map_err(|error| {
        host.disk.append_failed(&error);
        Refusal::NotDurable
    })?;
    Ok(until)
}

/// The body of a delivery that waits for the log. What it takes of what may be
/// in work goes with the bytes: the sender may go away before they do.
struct InWork {
    body: Bytes,
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl InWork {
    fn take(shared: &Shared, body: Bytes) -> Result<Self, Refusal> {
        let length = u32::try_from(body.len()).map_err(|_| Refusal::TooLarge)?;
        let place = shared.in_work.clone().try_acquire_owned();
        let bytes = shared.bytes_in_work.clone().try_acquire_many_owned(length);
        Ok(Self {
            body,
            _place: place.map_err(|_| Refusal::Busy)?,
            _bytes: bytes.map_err(|_| Refusal::Busy)?,
        })
    }
}

impl AsRef<[u8]> for InWork {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl From<InWork> for Bytes {
    fn from(in_work: InWork) -> Self {
        Self::from_owner(in_work)
    }
}

/// Reads a body with a good signature. Room is taken for what has come of it:
/// one that is announced and never sent takes none from the others.
async fn read_body(mut body: Body, mut check: Check<'_>, room: &Room) -> Result<Bytes, Refusal> {
    let mut reader = room.begin();
    let mut whole = BytesMut::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = reader.gives_way() => return Err(Refusal::Busy),
        };
        let Some(frame) = frame else {
            break;
        };
        let frame = frame.map_err(|_| Refusal::Incomplete)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let length = u32::try_from(data.len()).map_err(|_| Refusal::TooLarge)?;
        reader.take(length).await?;
        check.update(&data);
        whole.extend_from_slice(&data);
    }
    check.finish()?;
    Ok(whole.freeze())
}

/// The lane of a delivery of HubSpot's. One look serves: it is of one app, and its
/// lane decides nothing but when its turn comes.
fn hubspots(app: &oauth::App, body: &[u8]) -> Result<Lane, Refusal> {
    let trimmed = body.trim_ascii();
    // What is in it is the pipeline's: it is signed, so it is kept whatever it is.
    if !(trimmed.starts_with(b"[") && trimmed.ends_with(b"]")) {
        return Err(Refusal::NotADelivery);
    }
    let first = first_event(body).unwrap_or_default();
    let is_others = |named: u64| app.app_id.is_some_and(|app_id| app_id != named);
    if first.app_id.is_some_and(is_others) {
        return Err(Refusal::OtherApp);
    }
    let id = first.portal_id.and_then(|id| i64::try_from(id).ok());
    Ok(Lane(id.unwrap_or_default()))
}

/// Whether a body can be JSON that holds events.
fn is_json(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    [(b"[", b"]"), (b"{", b"}")]
        .iter()
        .any(|(begin, end)| body.starts_with(*begin) && body.ends_with(*end))
}
