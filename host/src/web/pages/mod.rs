//! The pages: rendered here, from templates that are compiled in.
//!
//! Architecture invariants:
//! - A page works without scripts: `live.js` only keeps it fresh, and `parts.js`
//!   loads a part of it where it would load the whole.
//! - A form whose repetition would do something again has a mark of its own in
//!   its address, `?once={{ … }}`: [`once`] answers who presses twice. Only forms
//!   of a session do; those that begin one are never answered twice.
//! - A form that another site sends is refused before anything is done for it.
//! - Nothing is loaded from elsewhere and nothing is inline: the content
//!   security policy allows this host's own style and script alone.

mod assets;
mod audience;
mod consent;
pub mod demo;
mod error;
mod extract;
mod format;
mod live;
mod members;
mod once;
mod operator;
mod paging;
mod profile;
mod record_links;
mod settings;
mod sign_in;
pub(in crate::web) mod streams;
mod users;
mod wanted;
pub(in crate::web) mod words;

use std::{convert::Infallible, sync::Arc};

use askama::Template;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRequestParts, Request, State},
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE,
            X_CONTENT_TYPE_OPTIONS,
        },
        request::Parts,
    },
    middleware::{Next, from_fn, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

pub use error::Error;
use streams::Streams;

use super::{Extra, REQUEST_MAX, in_time, requests, session::Session};
use crate::{
    host::Host,
    model::{ProjectId, Timestamp},
    secrets::random_token,
    store::members::Membership,
    sync::consents,
};

/// The largest form that anyone may send: it holds a token, or a name, an address
/// and a password.
const TOKEN_FORM_BYTES_MAX: usize = 4 * 1024;

const HEADERS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// The pages' routes.
pub(super) fn router(
    host: &Arc<Host>,
    extra: Extra,
    streams: &Streams,
    stop: &CancellationToken,
) -> Router<Arc<Host>> {
    let surroundings = Surroundings {
        simulated_hubspot: extra.simulated_hubspot,
        streams: streams.clone(),
        stop: stop.clone(),
    };
    // Whoever has a link, or nothing at all, may send these.
    let arriving = Router::new()
        .route("/sign-in", get(sign_in::page).post(sign_in::password))
        .route("/sign-in/link", post(sign_in::confirm))
        .merge(members::arriving())
        .layer(DefaultBodyLimit::max(TOKEN_FORM_BYTES_MAX));
    Router::new()
        .route("/", get(start))
        .route(consents::CALLBACK, get(consent::callback))
        .route(
            "/oauth/hubspot/confirm",
            post(consent::confirm).layer(DefaultBodyLimit::max(TOKEN_FORM_BYTES_MAX)),
        )
        .merge(arriving)
        .route("/sign-out", post(sign_in::sign_out))
        .route("/users", get(users::page))
        .route("/users/{user}", get(profile::page))
        .route("/users/{user}/live", get(live::profile))
        .route("/users/{user}/segments", get(profile::segments))
        .route("/users/{user}/segments/live", get(profile::live_segments))
        .route("/static/{file}", get(assets::file))
        .merge(audience::router())
        .merge(settings::router())
        .merge(members::router())
        .nest(operator::OPERATOR, operator::router(host))
        .merge(extra.pages)
        .fallback(async || Error::NotFound("page"))
        .method_not_allowed_fallback(async || Error::NoSuchMethod)
        .layer(from_fn_with_state(once::Once::new(host), once::layer))
        .layer(from_fn(refuse_foreign))
        .layer(Extension(surroundings))
        .layer(from_fn(|request, next: Next| {
            in_time(REQUEST_MAX, next.run(request), Error::Late)
        }))
        .layer(from_fn_with_state(host.clone(), finish))
}

async fn start() -> Response {
    see_other("/users")
}

/// Sends the browser to another path of this host.
fn see_other(path: &str) -> Response {
    (StatusCode::SEE_OTHER, ToPath(path.to_owned())).into_response()
}

/// A path of this host to go to; [`finish`] makes the address of it.
#[derive(Clone)]
struct ToPath(String);

impl IntoResponse for ToPath {
    fn into_response(self) -> Response {
        (Extension(self), ()).into_response()
    }
}

/// Refuses a form that a page of another site sends. A session's own forms have a
/// code of its own besides; where there is none yet, it would sign the browser in as
/// somebody that its person is not. Browsers say where forms come from (Fetch
/// Metadata, `Sec-Fetch-Site`).
async fn refuse_foreign(request: Request, next: Next) -> Result<Response, Error> {
    let site = request.headers().get("sec-fetch-site");
    match site.map(HeaderValue::as_bytes) {
        Some(site)
            if request.method() == Method::POST && !matches!(site, b"same-origin" | b"none") =>
        {
            Err(Error::ForeignForm)
        }
        _ => Ok(next.run(request).await),
    }
}

/// What every page has in common is added here: addresses below the host's
/// base path, pages for errors, headers.
async fn finish(State(host): State<Arc<Host>>, request: Request, next: Next) -> Response {
    let request_id = requests::id(&request).map(str::to_owned);
    let (wanted, form) = (wanted::of(&request), wanted::form_of(&request));
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<error::Problem>() {
        response = problem.page(&host, form, request_id);
    }
    if response
        .extensions_mut()
        .remove::<error::SignInFirst>()
        .is_some()
        && let Some(cookie) = wanted.and_then(|path| wanted::remember(&host, &path))
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if let Some(ToPath(path)) = response.extensions_mut().remove() {
        let location = format!("{}{path}", base(&host));
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// What stands before every path in a page's addresses.
fn base(host: &Host) -> String {
    host.public_url.path().trim_end_matches('/').to_owned()
}

/// What all pages of a running host share.
#[derive(Clone)]
struct Surroundings {
    simulated_hubspot: Option<&'static str>,
    streams: Streams,
    stop: CancellationToken,
}

impl FromRequestParts<Arc<Host>> for Surroundings {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Host>) -> Result<Self, Infallible> {
        // Always there but for a router that was not made by `router`.
        Ok(parts.extensions.get().cloned().unwrap_or(Self {
            simulated_hubspot: None,
            streams: Streams::default(),
            stop: CancellationToken::new(),
        }))
    }
}

/// What a page needs to be made: who looks, and at what.
struct Visit {
    host: Arc<Host>,
    session: Session,
    surroundings: Surroundings,
    /// The projects that who is signed in is a member of.
    memberships: Vec<Membership>,
}

impl FromRequestParts<Arc<Host>> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Error> {
        let Ok(surroundings) = Surroundings::from_request_parts(parts, host).await;
        let session = Session::from_request_parts(parts, host).await?;
        let memberships = match session.person_id() {
            Some(person) => host.store.read(move |tx| tx.memberships(person)).await?,
            None => Vec::new(),
        };
        Ok(Self {
            host: host.clone(),
            session,
            surroundings,
            memberships,
        })
    }
}

impl Visit {
    /// What the layout shows around a page.
    fn frame(&self, title: impl Into<String>, section: Section) -> Frame {
        Frame {
            bare: Bare::new(&self.host, title),
            section,
            project: self.session.project.name.clone(),
            other_projects: self.other_projects(),
            person: self.session.person.as_ref().map(members::Face::from),
            may_change: self.session.may_change(),
            operates: self.session.operates,
            csrf: self.session.csrf(&self.host).expose().to_owned(),
            simulated_hubspot: self.surroundings.simulated_hubspot,
            banners: Vec::new(),
            live: None,
        }
    }

    /// The same around a page of the settings: what keeps the project's
    /// connections from working stands above it.
    async fn settings_frame(
        &self,
        title: impl Into<String>,
        section: Section,
    ) -> Result<Frame, Error> {
        Ok(Frame {
            banners: settings::banners(self).await?,
            ..self.frame(title, section)
        })
    }

    fn other_projects(&self) -> Vec<(ProjectId, String)> {
        let projects = self
            .memberships
            .iter()
            .map(|membership| &membership.project);
        projects
            .filter(|project| project.id != self.session.project.id)
            .map(|project| (project.id, project.name.clone()))
            .collect()
    }

    /// How moments are shown.
    fn calendar(&self) -> format::Calendar {
        calendar(&self.session, self.host.clock.now())
    }
}

fn calendar(session: &Session, now: Timestamp) -> format::Calendar {
    format::Calendar::new(&session.project.time_zone, now)
}

/// What every page has, signed in or not.
struct Bare {
    title: String,
    base: String,
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    /// Marks the forms of this very page, so that each is done once.
    once: String,
}

impl Bare {
    fn new(host: &Host, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            base: base(host),
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
            once: random_token().expose().to_owned(),
        }
    }
}

/// A part of the dashboard, as the navigation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Users,
    General,
    Team,
    Segments,
    Integrations,
    ApiTokens,
    Account,
    Plugins,
    SetAside,
    SimulatedHubspot,
}

impl Section {
    /// What the layout calls it by.
    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::General => "general",
            Self::Team => "team",
            Self::Segments => "segments",
            Self::Integrations => "integrations",
            Self::ApiTokens => "api-tokens",
            Self::Account => "account",
            Self::Plugins => "plugins",
            Self::SetAside => "set-aside",
            Self::SimulatedHubspot => "simulated-hubspot",
        }
    }
}

/// What the layout shows around the page of someone who is signed in.
struct Frame {
    bare: Bare,
    section: Section,
    project: String,
    /// What else can be looked at.
    other_projects: Vec<(ProjectId, String)>,
    /// Who is signed in; none where a link did it.
    person: Option<members::Face>,
    may_change: bool,
    /// Whether they operate the host.
    operates: bool,
    csrf: String,
    simulated_hubspot: Option<&'static str>,
    banners: Vec<Banner>,
    /// The address that streams what of the page is brought up to date, where the
    /// banners are.
    live: Option<String>,
}

/// Something to know or to do, which stands above a page.
struct Banner {
    /// `warn` or `bad`.
    tone: &'static str,
    title: String,
    detail: String,
    /// A path that leads to more, and what it is called.
    link: Option<(String, &'static str)>,
    /// A path to post to, and what that does; for those who may.
    act: Option<(String, &'static str)>,
}

impl Frame {
    /// What forms carry that change something; none for who may not.
    fn csrf_of_changes(&self) -> Option<&str> {
        self.may_change.then_some(self.csrf.as_str())
    }

    /// Whether the page is of the part with that name.
    fn is(&self, section: &str) -> bool {
        self.section.name() == section
    }
}

/// A template as an answer.
fn html(template: &impl Template) -> Result<Html<String>, Error> {
    Ok(Html(template.render()?))
}
