//! Who is looking: sign-in by link, sessions in a cookie, and forms that only
//! the session they were made for can post.
//!
//! Architecture invariants:
//! - A token is kept by its hash alone, but for one place: the answer that gives a
//!   session another token has it in its `Set-Cookie`, and the forms that are done once
//!   keep that answer, with the token as it is, in memory for a minute.
//! - What a form changes is reached through [`Posted`], which checks session, role and
//!   form.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    RequestExt,
    body::Bytes,
    extract::{Form, FromRequest, FromRequestParts, OptionalFromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header::SET_COOKIE, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};

use super::{browsers, cookies, pages::Error};
use crate::{
    host::{self, Host},
    model::{Actor, PersonId, ProjectId, Timestamp},
    secrets::{Secret, hash_token, random_token},
    store::{
        self, Store,
        drafts::Author,
        members::Person,
        projects::{Project, Purpose, Role},
        sessions::{Holder, NewSession},
    },
    sync::consents::Visitor,
};

/// How long a browser stays signed in at most.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long it stays signed in unused.
pub const SESSION_IDLE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How exactly it is known when a session was used.
const TOUCH_EVERY: Duration = Duration::from_secs(600);

/// How long a link that signs in once is good for.
pub const LINK_LIFE: Duration = Duration::from_secs(3_600);

/// The cookie's name, over plain HTTP.
pub const COOKIE_NAME: &str = "jimo_session";

/// Where links that sign in lead.
const PATH: &str = "/sign-in";

/// The hidden field of every form.
pub const CSRF_FIELD: &str = "csrf";

/// What the code in that field is made for.
const CSRF_PURPOSE: &str = "csrf";

/// How often a sign-in link can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Once, within an hour.
    Once,
    /// As often as one likes, for as long as the data directory lives: the
    /// demo's.
    Again,
}

/// Makes a link that signs a browser in to a project; with the role of an operator, as
/// an admin who operates the host, too.
///
/// # Errors
///
/// [`store::Error::NotFound`] where there is no such project, and the store's
/// own.
pub async fn make_sign_in_link(
    store: &Store,
    public_url: &Url,
    (project, role): (ProjectId, Role),
    link: Link,
    now: Timestamp,
) -> Result<Url, store::Error> {
    let token = random_token();
    let hash = hash_token(&token);
    let expires_at = match link {
        Link::Once => Some(now.plus(LINK_LIFE)),
        Link::Again => None,
    };
    store
        .transact(move |tx| {
            tx.create_token(hash, Some(project), role, Purpose::SignIn, now, expires_at)
        })
        .await?;
    Ok(host::link_below(public_url, PATH, &token))
}

/// How often a sign-in link can be used; none where it is not good.
///
/// # Errors
///
/// The store's own.
pub async fn find_link(host: &Host, link: &Secret) -> Result<Option<Link>, store::Error> {
    let (hash, now) = (hash_token(link), host.clock.now());
    host.store
        .read(move |tx| {
            Ok(tx.sign_in_ends(hash, now)?.map(|ends| match ends {
                true => Link::Once,
                false => Link::Again,
            }))
        })
        .await
}

/// Uses a sign-in link: the cookie of a new session, or none where the link is
/// not good. Whatever session the browser had ends.
///
/// # Errors
///
/// The store's own.
pub async fn sign_in(
    host: &Host,
    link: &Secret,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, store::Error> {
    let (link, now) = (hash_token(link), host.clock.now());
    let beginning = Beginning::of(host, headers);
    let begun = host.store.transact(move |tx| {
        let Some(holder) = tx.use_sign_in(link, now)? else {
            return Ok(None);
        };
        let Some(project) = holder.project else {
            return Ok(None);
        };
        beginning
            .keep(tx, project, Holder::Link(holder.role), now)
            .map(Some)
    });
    let token = begun.await?;
    Ok(token.and_then(|token| cookies::set(host, COOKIE_NAME, token.expose(), SESSION_LIFE)))
}

/// Signs a member's browser in: the cookie of a new session. Whatever session it
/// had ends, so that nobody who knows that one's token is signed in by it.
///
/// # Errors
///
/// The store's own.
pub async fn begin(
    host: &Host,
    person: PersonId,
    project: ProjectId,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, store::Error> {
    let now = host.clock.now();
    let beginning = Beginning::of(host, headers);
    let begun = host.store.transact(move |tx| {
        tx.set_last_project(person, project)?;
        beginning.keep(tx, project, Holder::Member(person), now)
    });
    let token = begun.await?;
    // Live parts of the session before end.
    host.pipeline.notify_changed();
    Ok(cookies::set(
        host,
        COOKIE_NAME,
        token.expose(),
        SESSION_LIFE,
    ))
}

/// A session that is about to begin in a browser.
struct Beginning {
    token: Secret,
    browser: String,
    /// The browser's session before.
    before: Option<[u8; 32]>,
}

impl Beginning {
    fn of(host: &Host, headers: &HeaderMap) -> Self {
        Self {
            token: random_token(),
            browser: browsers::name(headers),
            before: hash_of(host, headers),
        }
    }

    /// Keeps it in place of the one before; returns its token.
    fn keep(
        self,
        tx: &store::Tx<'_>,
        project: ProjectId,
        holder: Holder,
        now: Timestamp,
    ) -> Result<Secret, store::Error> {
        if let Some(before) = self.before {
            tx.end_session_with(before)?;
        }
        let new = NewSession {
            hash: hash_token(&self.token),
            project,
            holder,
            browser: self.browser,
            expires_at: now.plus(SESSION_LIFE),
        };
        tx.create_session(&new, now)?;
        Ok(self.token)
    }
}

/// The cookie that makes a browser forget its session.
pub fn no_cookie(host: &Host) -> Option<HeaderValue> {
    cookies::set(host, COOKIE_NAME, "", Duration::ZERO)
}

/// A browser that is signed in to a project.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// The token's hash, which names the session.
    pub hash: [u8; 32],
    /// The project.
    pub project: Project,
    /// What it may do there.
    pub role: Role,
    /// Whether it operates the host, whatever it may do in the project.
    pub operates: bool,
    /// Who is signed in; none where a link of the demo's or the command line's
    /// did it.
    pub person: Option<Person>,
    used_at: Timestamp,
}

impl Session {
    /// The session with that hash; none where it has ended.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub fn find(
        tx: &store::Tx<'_>,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Self>, store::Error> {
        let found = tx.session(hash, now, now.minus(SESSION_IDLE))?;
        Ok(found.map(|found| Self {
            id: found.id,
            hash,
            project: found.project,
            role: found.role,
            operates: found.operates,
            person: found.person,
            used_at: found.used_at,
        }))
    }

    /// Who comes back from a consent with it.
    pub fn visitor(&self) -> Visitor {
        Visitor {
            session: self.hash,
            project: self.project.id,
            role: self.role,
            person: self.person_id(),
        }
    }

    /// Who is signed in.
    pub fn person_id(&self) -> Option<PersonId> {
        self.person.as_ref().map(|person| person.id)
    }

    /// Whose the drafts are that are made with it.
    pub fn author(&self) -> Author {
        match self.person_id() {
            Some(person) => Author::Person(person),
            None => Author::Session(self.id),
        }
    }

    /// Goes on with another token, in a project: forms and links of pages that
    /// were made before are not good any more.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub async fn renew(&self, host: &Host, project: ProjectId) -> Result<Renewed, store::Error> {
        let token = random_token();
        let (id, hash, person) = (self.id, hash_token(&token), self.person_id());
        let renewed = host.store.transact(move |tx| {
            if let Some(person) = person {
                tx.set_last_project(person, project)?;
            }
            tx.move_session(id, hash, project)
        });
        let expires_at = renewed.await?;
        host.pipeline.notify_changed();
        let life = expires_at.since(host.clock.now());
        let cookie = cookies::set(host, COOKIE_NAME, token.expose(), life);
        Ok(Renewed { cookie, hash })
    }

    /// Keeps that it is used, now and then.
    async fn touch(&self, host: &Host) {
        let (id, now) = (self.id, host.clock.now());
        if now.since(self.used_at) < TOUCH_EVERY {
            return;
        }
        let touched = host.store.transact(move |tx| tx.touch_session(id, now));
        if let Err(error) = touched.await {
            // The page can be shown all the same; the next one is another chance.
            tracing::warn!(%error, "it could not be kept that a session is used");
        }
    }

    /// The code that its forms carry.
    pub fn csrf(&self, host: &Host) -> Secret {
        host.keys.session_code(&self.hash, CSRF_PURPOSE)
    }

    /// Whether a code is the one that its forms carry.
    pub fn made(&self, host: &Host, code: &str) -> bool {
        let expected = self.csrf(host);
        bool::from(code.as_bytes().ct_eq(expected.expose().as_bytes()))
    }

    /// Who it is, for what is kept of who did what.
    pub fn actor(&self) -> Actor {
        match &self.person {
            Some(person) => Actor::Member {
                name: person.name.clone(),
            },
            None => Actor::Link,
        }
    }

    /// Whether it may change anything.
    pub fn may_change(&self) -> bool {
        self.role != Role::Viewer
    }
}

/// A session that goes on with another token, as part of the answer that says so.
#[derive(Debug)]
pub struct Renewed {
    cookie: Option<HeaderValue>,
    hash: [u8; 32],
}

/// Goes with an answer that renews a session: the hash of its new token.
#[derive(Clone, Copy, Debug)]
pub struct GoesOnAs(pub [u8; 32]);

impl IntoResponseParts for Renewed {
    type Error = Infallible;

    fn into_response_parts(self, mut answer: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Some(cookie) = self.cookie {
            answer.headers_mut().append(SET_COOKIE, cookie);
            answer.extensions_mut().insert(GoesOnAs(self.hash));
        }
        Ok(answer)
    }
}

impl FromRequestParts<Arc<Host>> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        let hash = hash_of(host, &parts.headers).ok_or(Error::SignedOut)?;
        let now = host.clock.now();
        let found = host.store.read(move |tx| Self::find(tx, hash, now)).await?;
        let session = found.ok_or(Error::SignedOut)?;
        session.touch(host).await;
        Ok(session)
    }
}

/// None where nobody is signed in.
impl OptionalFromRequestParts<Arc<Host>> for Session {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        host: &Arc<Host>,
    ) -> Result<Option<Self>, Error> {
        match <Self as FromRequestParts<_>>::from_request_parts(parts, host).await {
            Ok(session) => Ok(Some(session)),
            Err(Error::SignedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The hash that names the session of a request's cookie, good or not.
pub(super) fn hash_of(host: &Host, headers: &HeaderMap) -> Option<[u8; 32]> {
    let token = cookies::get(host, headers, COOKIE_NAME)?;
    Some(hash_token(&Secret::from(token)))
}

/// A form posted by a page of this very session.
pub struct Signed<T> {
    /// Who posts.
    pub session: Session,
    /// What.
    pub form: T,
}

/// A form posted by a page of this very session, which may change things.
pub struct Posted<T> {
    /// Who posts.
    pub session: Session,
    /// What.
    pub form: T,
}

impl<T: DeserializeOwned + 'static> FromRequest<Arc<Host>> for Signed<T> {
    type Rejection = Error;

    async fn from_request(mut request: Request, host: &Arc<Host>) -> Result<Self, Error> {
        let session: Session = request.extract_parts_with_state(host).await?;
        let (parts, body) = request.into_parts();
        let body = Bytes::from_request(Request::new(body), host)
            .await
            .map_err(|_| Error::BadForm)?;
        let given = form_urlencoded::parse(&body)
            .find(|(name, _)| name == CSRF_FIELD)
            .map(|(_, code)| code.into_owned())
            .ok_or(Error::ForeignForm)?;
        if !session.made(host, &given) {
            return Err(Error::ForeignForm);
        }
        let Form(form) = Form::from_request(Request::from_parts(parts, body.into()), host)
            .await
            .map_err(|_| Error::BadForm)?;
        Ok(Self { session, form })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest<Arc<Host>> for Posted<T> {
    type Rejection = Error;

    async fn from_request(request: Request, host: &Arc<Host>) -> Result<Self, Error> {
        let Signed { session, form } = Signed::from_request(request, host).await?;
        if !session.may_change() {
            return Err(Error::ViewerOnly);
        }
        Ok(Self { session, form })
    }
}
