//! Who is looking: sign-in by link, sessions in a cookie, and forms that only
//! the session they were made for can post.
//!
//! Architecture invariant: a token is kept by its hash alone, and what a form
//! changes is reached through [`Posted`], which checks session, role and form.

use std::{sync::Arc, time::Duration};

use axum::{
    RequestExt,
    body::Bytes,
    extract::{Form, FromRequest, FromRequestParts, OptionalFromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header::COOKIE, request::Parts},
};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};

use super::pages::Error;
use crate::{
    host::{self, Host},
    model::{ProjectId, Timestamp},
    secrets::{Secret, hash_token, random_token},
    store::{
        self, Store,
        projects::{Project, Purpose, Role},
    },
    sync::consents::Visitor,
};

/// How long a browser stays signed in.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long a link that signs in once is good for.
pub const LINK_LIFE: Duration = Duration::from_secs(3_600);

/// The cookie's name.
pub const COOKIE_NAME: &str = "jimo_session";

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

/// Makes a link that signs a browser in to a project.
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
    let mut url = host::url_below(public_url, "/sign-in");
    url.query_pairs_mut().append_pair("token", token.expose());
    Ok(url)
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
/// not good.
///
/// # Errors
///
/// The store's own.
pub async fn sign_in(host: &Host, link: &Secret) -> Result<Option<HeaderValue>, store::Error> {
    let link = hash_token(link);
    let token = random_token();
    let hash = hash_token(&token);
    let now = host.clock.now();
    let expires_at = Some(now.plus(SESSION_LIFE));
    let signed_in = host
        .store
        .transact(move |tx| {
            let Some(holder) = tx.use_sign_in(link, now)? else {
                return Ok(false);
            };
            let (project, role) = (holder.project, holder.role);
            tx.create_token(hash, project, role, Purpose::Session, now, expires_at)?;
            Ok(true)
        })
        .await?;
    Ok(signed_in
        .then(|| cookie(host, COOKIE_NAME, token.expose(), SESSION_LIFE))
        .flatten())
}

/// The cookie that makes a browser forget its session.
pub fn no_cookie(host: &Host) -> Option<HeaderValue> {
    cookie(host, COOKIE_NAME, "", Duration::ZERO)
}

/// What sets a cookie; no life makes a browser forget it.
pub(super) fn cookie(host: &Host, name: &str, value: &str, life: Duration) -> Option<HeaderValue> {
    let secure = match host.public_url.scheme() {
        "https" => "; Secure",
        _ => "",
    };
    let life = life.as_secs();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}");
    HeaderValue::from_str(&text).ok()
}

/// A browser that is signed in to a project.
#[derive(Clone, Debug)]
pub struct Session {
    /// The number of its token.
    pub token: i64,
    /// The token's hash, which names the session.
    pub hash: [u8; 32],
    /// The project.
    pub project: Project,
    /// What it may do there.
    pub role: Role,
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
        let Some(holder) = tx.token_holder(hash, Purpose::Session, now)? else {
            return Ok(None);
        };
        let Some(project) = holder.project else {
            return Ok(None);
        };
        Ok(Some(Self {
            token: holder.token,
            hash,
            project: tx.project(project)?,
            role: holder.role,
        }))
    }

    /// Who comes back from a consent with it.
    pub fn visitor(&self) -> Visitor {
        Visitor {
            session: self.hash,
            project: self.project.id,
        }
    }

    /// The code that its forms carry.
    pub fn csrf(&self, host: &Host) -> Secret {
        host.keys.session_code(&self.hash, CSRF_PURPOSE)
    }

    /// Whether it may change anything.
    pub fn may_change(&self) -> bool {
        self.role != Role::Viewer
    }
}

impl FromRequestParts<Arc<Host>> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        let hash = hash_of(&parts.headers).ok_or(Error::SignedOut)?;
        let now = host.clock.now();
        let found = host.store.read(move |tx| Self::find(tx, hash, now)).await?;
        found.ok_or(Error::SignedOut)
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
pub fn hash_of(headers: &HeaderMap) -> Option<[u8; 32]> {
    let token = cookie_of(headers, COOKIE_NAME)?;
    Some(hash_token(&Secret::from(token)))
}

/// The value of a cookie that came with a request.
pub(super) fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
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
        let expected = session.csrf(host);
        if !bool::from(given.as_bytes().ct_eq(expected.expose().as_bytes())) {
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
