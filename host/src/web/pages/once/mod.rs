//! Forms that are done once, however often they are pressed.
//!
//! On a slow line people press twice, and a browser shows the answer to the last
//! press alone. Where a page gives the address of its form a mark of its own
//! (`?once=…`), the first press goes on to its end whatever the browser does, and
//! the very same form of the very same session gets that answer again.
//!
//! Pages are kept as redirects are, for one that shows a secret once would be seen
//! by nobody; so all are kept for a minute alone, and few of them.
//!
//! Architecture invariants:
//! - Nothing is kept of, nor given to, whom no session is of that is good now and
//!   may do what it might at the first press; whatever else has a mark simply
//!   runs. So no answer that signs a browser in is ever given again.
//! - What refuses forms of other sites stands before this.

mod kept;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    RequestPartsExt,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request, State},
    http::{
        Method, Response,
        header::{CONTENT_LENGTH, SET_COOKIE},
    },
    middleware::Next,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use sha2::{Digest, Sha256};
use tracing::Instrument;
use url::form_urlencoded;

use self::kept::{Kept, Key};
use super::{Error, error};
use crate::{host::Host, web::session::Session};

/// What marks a form in its address.
const MARK: &str = "once";

/// How long an answer is kept for those who press again: twice as long as a
/// browser waits for one at most.
const KEPT: Duration = Duration::from_secs(60);

/// The longest form that is done once.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// The longest answer that is given: no page after a form is nearly as long.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer, or that it is still made; none where it could not be.
type Answer = Shared<BoxFuture<'static, Option<Response<Bytes>>>>;

/// The answers to forms that are done once.
#[derive(Clone)]
pub(super) struct Once {
    host: Arc<Host>,
    kept: Arc<Mutex<Kept<Answer>>>,
}

impl Once {
    /// None is kept yet.
    pub(super) fn new(host: &Arc<Host>) -> Self {
        Self {
            host: host.clone(),
            kept: Arc::default(),
        }
    }

    /// The answer to a form: the one that there is, else what `run` makes, which is
    /// begun; `run` itself where the session has too many under way.
    fn answer<Run>(&self, key: Key, run: Run) -> Result<Answer, Run>
    where
        Run: Future<Output = Response<Body>> + Send + 'static,
    {
        let mut kept = lock(&self.kept);
        if let Some(answer) = kept.find(&key, self.host.clock.now()) {
            return Ok(answer);
        }
        if !kept.has_room(&key.session) {
            return Err(run);
        }
        let once = self.clone();
        let handled = async move {
            let answer = AssertUnwindSafe(async { whole(run.await).await });
            // Else nobody would ever do the form that once failed so.
            let answer = answer.catch_unwind().await.ok().flatten();
            once.settle(&key, answer.as_ref());
            answer
        };
        let task = tokio::spawn(handled.in_current_span());
        let answer = async move { task.await.ok().flatten() }.boxed().shared();
        kept.begin(key, answer.clone());
        Ok(answer)
    }

    /// Keeps the answer to a form for its time, where it was done.
    fn settle(&self, key: &Key, answer: Option<&Response<Bytes>>) {
        let clock = self.host.clock.clone();
        let until = clock.now().plus(KEPT);
        let Some(answer) = answer.filter(|answer| is_done(answer)) else {
            return lock(&self.kept).let_go(key);
        };
        lock(&self.kept).keep(key, answer.body().len(), until);
        let kept = self.kept.clone();
        tokio::spawn(async move {
            clock.sleep_until(until).await;
            lock(&kept).forget(clock.now());
        });
    }
}

fn lock(kept: &Mutex<Kept<Answer>>) -> MutexGuard<'_, Kept<Answer>> {
    // Each change is one step, so nothing is left half done.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a marked form's first answer to whoever sends it again.
///
/// # Errors
///
/// [`Error::BadForm`] where it cannot be read, and the store's own.
pub(super) async fn layer(
    State(once): State<Once>,
    request: Request,
    next: Next,
) -> Result<Response<Body>, Error> {
    if request.method() != Method::POST || !is_marked(&request) {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let session = parts.extract_with_state::<Option<Session>, _>(&once.host);
    let Some(session) = session.await? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let body = Bytes::from_request(Request::new(body), &once.host)
        .await
        .map_err(|_| Error::BadForm)?;
    let mut digest = Sha256::new();
    digest.update(parts.uri.to_string());
    digest.update([0]);
    digest.update(&body);
    let key = Key {
        session: session.hash,
        role: session.role,
        operates: session.operates,
        form: digest.finalize().into(),
    };
    let request = Request::from_parts(parts, body.into());
    let answer = match once.answer(key, next.run(request)) {
        Ok(answer) => answer.await,
        Err(run) => return Ok(run.await),
    };
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

/// Whether an answer is kept. What was refused, or could not be done, may go well
/// next time; one with a cookie ended the session that it was given to, or renewed
/// it, so nobody could get it.
fn is_done(answer: &Response<Bytes>) -> bool {
    let is_good = answer.status().is_success() || answer.status().is_redirection();
    is_good
        && !answer.headers().contains_key(SET_COOKIE)
        && answer.extensions().get::<error::SignInFirst>().is_none()
}
