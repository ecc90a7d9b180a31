//! Forms that are done once, however often they are pressed.
//!
//! On a slow line people press twice, and a browser shows the answer to the last
//! press alone. Where a page gives the address of its form a mark of its own
//! (`?once=…`), the first press goes on to its end whatever the browser does, and
//! the very same form of the very same session gets that answer again. A refusal is
//! given to who sent the form before it was made, and to nobody after that.
//!
//! Pages are kept as redirects are, for one that shows a secret once would be seen
//! by nobody; so all are kept for a minute alone, and few of them.
//!
//! Architecture invariants:
//! - Nothing is kept of, nor given to, whom no session is of that is good now and
//!   may do what it might at the first press; whatever else has a mark simply
//!   runs. So no answer that signs a browser in is ever given again.
//! - An answer that gives a session another token is given again for as long as that
//!   one is good, to who sends the form with it or with the one before: to the
//!   browser whose form it is, which knows the mark of its page.
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
use url::form_urlencoded;

use self::kept::{Kept, Key};
use super::{Error, error};
use crate::{
    host::Host,
    web::session::{self, GoesOnAs, Session},
};

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
        let handled = self.host.errands.spawn(handled);
        let answer = handled.map(Option::flatten).boxed().shared();
        kept.begin(key, answer.clone());
        Ok(answer)
    }

    /// The answer to a form that gave the session it was sent with another token, for
    /// who sends it again with the hash of either; none where there is no such answer,
    /// or the session has ended since. What a session that `is_good` sent itself is no
    /// matter of this: its [answer](Self::answer) is given whatever it says.
    async fn renewed(
        &self,
        token: &[u8; 32],
        is_good: bool,
        form: &[u8; 32],
    ) -> Result<Option<Response<Bytes>>, Error> {
        let answers = lock(&self.kept).of_form(form, self.host.clock.now());
        for (session, answer) in answers {
            let goes_on_as = answer.peek().and_then(|made| goes_on_as(made.as_ref()?));
            let was_its_token = !is_good && session == *token;
            if !was_its_token && goes_on_as != Some(*token) {
                continue;
            }
            let Some(answer) = answer.await else {
                continue;
            };
            let Some(hash) = self::goes_on_as(&answer) else {
                continue;
            };
            let now = self.host.clock.now();
            let found = self
                .host
                .store
                .read(move |tx| Session::find(tx, hash, now))
                .await?;
            if found.is_some() {
                return Ok(Some(answer));
            }
        }
        Ok(None)
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
    let session = session.await?;
    let token = session::hash_of(&once.host, &parts.headers);
    let token = token.filter(|token| session.is_some() || lock(&once.kept).knows(token));
    let Some(token) = token else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let body = Bytes::from_request(Request::new(body), &once.host)
        .await
        .map_err(|_| Error::BadForm)?;
    let mut digest = Sha256::new();
    digest.update(parts.uri.to_string());
    digest.update([0]);
    digest.update(&body);
    let form = digest.finalize().into();
    if let Some(answer) = once.renewed(&token, session.is_some(), &form).await? {
        return Ok(answer.map(Body::from));
    }
    let request = Request::from_parts(parts, body.into());
    let Some(session) = session else {
        return Ok(next.run(request).await);
    };
    let key = Key {
        session: session.hash,
        role: session.role,
        operates: session.operates,
        form,
    };
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
/// next time; one with another cookie than that of the same session ended it, so
/// nobody could get it.
fn is_done(answer: &Response<Bytes>) -> bool {
    let is_good = answer.status().is_success() || answer.status().is_redirection();
    let has_cookie = answer.headers().contains_key(SET_COOKIE);
    is_good
        && (!has_cookie || goes_on_as(answer).is_some())
        && answer.extensions().get::<error::SignInFirst>().is_none()
}

/// The hash of the token that an answer gives its session; none where that has the one
/// it had.
fn goes_on_as(answer: &Response<Bytes>) -> Option<[u8; 32]> {
    let GoesOnAs(hash) = answer.extensions().get()?;
    Some(*hash)
}
