//! Forms that are done once, however often they are pressed.
//!
//! On a slow line people press twice, and a browser shows the answer to the last
//! press alone. Where a page gives the address of its form a mark of its own
//! (`?once=…`), the first press goes on to its end whatever the browser does, and
//! the very same form of the very same session gets that answer again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request, State},
    http::{Method, Response, header::CONTENT_LENGTH},
    middleware::Next,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use sha2::{Digest, Sha256};
use tracing::Instrument;
use url::form_urlencoded;

use super::{Error, error};
use crate::{host::Host, model::Timestamp, web::session};

/// What marks a form in its address.
const MARK: &str = "once";

/// How long an answer is kept for those who press again: as long as a consent
/// waits to be confirmed.
const KEPT: Duration = Duration::from_secs(600);

/// The most answers that are kept; the oldest makes room.
const KEPT_MAX: usize = 256;

/// The longest form that is done once: more is read of nobody before it is known
/// who sends it.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// The longest answer that is given: no page after a form is nearly as long.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a form is told by: session, address and content.
type Key = [u8; 32];

/// An answer, or that it is still made; none where it could not be.
type Answer = Shared<BoxFuture<'static, Option<Response<Bytes>>>>;

struct Kept {
    answer: Answer,
    until: Timestamp,
}

/// The answers to forms that are done once.
#[derive(Clone)]
pub(super) struct Once {
    host: Arc<Host>,
    kept: Arc<Mutex<HashMap<Key, Kept>>>,
}

impl Once {
    /// None is kept yet.
    pub(super) fn new(host: &Arc<Host>) -> Self {
        Self {
            host: host.clone(),
            kept: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        // Each change is one step, so nothing is left half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a form: the one that there is, else the one that `make` gives.
    fn answer(&self, key: Key, make: impl FnOnce() -> Answer) -> Answer {
        let now = self.host.clock.now();
        let mut kept = self.lock();
        kept.retain(|_, one| now < one.until);
        if let Some(one) = kept.get(&key) {
            return one.answer.clone();
        }
        if kept.len() >= KEPT_MAX {
            let oldest = kept.iter().min_by_key(|(_, one)| one.until);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                kept.remove(&oldest);
            }
        }
        let answer = make();
        let until = now.plus(KEPT);
        let one = Kept {
            answer: answer.clone(),
            until,
        };
        kept.insert(key, one);
        answer
    }
}

/// Gives a marked form's first answer to whoever sends it again.
///
/// # Errors
///
/// [`Error::BadForm`] where it cannot be read.
pub(super) async fn layer(
    State(once): State<Once>,
    request: Request,
    next: Next,
) -> Result<Response<Body>, Error> {
    if request.method() != Method::POST || !is_marked(&request) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::new(body), &once.host)
        .await
        .map_err(|_| Error::BadForm)?;
    let session = session::hash_of(&once.host, &parts.headers);
    let mut digest = Sha256::new();
    digest.update(session.unwrap_or_default());
    digest.update(parts.uri.to_string());
    digest.update([0]);
    digest.update(&body);
    let key: Key = digest.finalize().into();
    let request = Request::from_parts(parts, body.into());
    let all = once.clone();
    let answer = once.answer(key, move || {
        let handled = async move {
            let answer = whole(next.run(request).await).await;
            // What was refused, or could not be done, may go well next time.
            if !answer.as_ref().is_some_and(is_done) {
                all.lock().remove(&key);
            }
            answer
        };
        let task = tokio::spawn(handled.in_current_span());
        async move { task.await.ok().flatten() }.boxed().shared()
    });
    let answer = answer.await;
    let answer = answer.ok_or(Error::Failed("a form was not answered"))?;
    Ok(answer.map(Body::from))
}

fn is_marked(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    names.any(|name| name == MARK) && length.is_some_and(|length| length <= FORM_BYTES_MAX)
}

/// An answer that can be given again.
async fn whole(answer: Response<Body>) -> Option<Response<Bytes>> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await;
    let body = body.inspect_err(|error| tracing::error!(%error, "an answer was too long"));
    Some(Response::from_parts(parts, body.ok()?))
}

fn is_done(answer: &Response<Bytes>) -> bool {
    let is_good = answer.status().is_success() || answer.status().is_redirection();
    is_good && answer.extensions().get::<error::SignInFirst>().is_none()
}
