//! What goes wrong, as people and programs are told.
//!
//! Every error of what lies below becomes an [`Error`] here, and only here an
//! answer: people read what to do next, the log keeps the detail, once. An
//! answer never has a secret, nor what a database or a plugin said.

use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::{InputError, Problem};
use crate::{
    hubspot,
    hubspot::oauth::GrantError,
    pipeline::pages,
    plugin, sqlite, store,
    sync::{consents, definitions, failures, grants, health, keyed, versions},
};

/// What each kind of problem is named by begins with this.
const TYPE: &str = "urn:jimo-connect:problem:";

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no good token.
    #[error("there is no good token")]
    Unauthenticated,
    /// The token may only look.
    #[error("this token may not do that")]
    Forbidden(&'static str),
    /// It does not exist, or belongs to another project.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The method is none of this path's.
    #[error("this path has no such method")]
    NoSuchMethod,
    /// The request cannot be understood.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// The body is no JSON by its content type.
    #[error("the body is not application/json")]
    NotJson,
    /// The body is too large.
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge {
        /// How large it may be.
        bytes_max: usize,
    },
    /// The request is understood, and asks for what cannot be.
    #[error("the input is not valid")]
    Invalid(Vec<InputError>),
    /// It does not go with the present state.
    #[error("{0}")]
    Conflict(String),
    /// `If-Match` names another version.
    #[error("it was changed meanwhile")]
    Outdated,
    /// It took longer than a request may.
    #[error("the request took too long")]
    Late,
    /// This host has no HubSpot app.
    #[error("no HubSpot app is set up on this host")]
    NoApp,
    /// This host has no secret for the connector.
    #[error("no secret of the connector is set on this host")]
    NoSecret,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An account's grant.
    #[error(transparent)]
    Grant(#[from] grants::Error),
    /// A call to HubSpot.
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    /// The plugin.
    #[error("the plugin failed: {0}")]
    Plugin(#[from] plugin::Fault),
    /// The event log.
    #[error(transparent)]
    Log(#[from] crate::log::Error),
    /// As many streams of events are open as may be.
    #[error("too many streams are open")]
    TooManyStreams,
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl From<health::Error> for Error {
    fn from(error: health::Error) -> Self {
        match error {
            health::Error::Store(error) => Self::Store(error),
            health::Error::Log(error) => Self::Log(error),
        }
    }
}

impl From<consents::Error> for Error {
    fn from(error: consents::Error) -> Self {
        match error {
            consents::Error::NoApp => Self::NoApp,
            consents::Error::Store(error) => Self::Store(error),
            consents::Error::Secrets(error) => Self::Grant(error.into()),
            consents::Error::Grant(error) => Self::Grant(error.into()),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<keyed::Error> for Error {
    fn from(error: keyed::Error) -> Self {
        match error {
            keyed::Error::NoSecret => Self::NoSecret,
            keyed::Error::NoAccount => {
                Self::invalid("/account", "This cannot be the id of an account.")
            }
            keyed::Error::WrongKey => Self::invalid(
                "/key",
                "This is not the connection key of that account, as its service shows it.",
            ),
            keyed::Error::Store(error) => Self::Store(error),
            error @ keyed::Error::AlreadyConnected => Self::Conflict(error.to_string()),
        }
    }
}

impl From<versions::Error> for Error {
    fn from(error: versions::Error) -> Self {
        match error {
            versions::Error::Store(error) => Self::Store(error),
            versions::Error::Install(error) => Self::invalid("", error.to_string()),
            // What the system says is the operator's alone to see, and theirs to mend.
            versions::Error::Ended | versions::Error::Engine(_) => Self::Ended,
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<definitions::Error> for Error {
    fn from(error: definitions::Error) -> Self {
        match error {
            definitions::Error::Grant(error) => Self::Grant(error),
            definitions::Error::HubSpot(error) => Self::HubSpot(error),
            definitions::Error::Plugin(error) => Self::Plugin(error),
            definitions::Error::Ended => Self::Ended,
        }
    }
}

impl From<failures::Error> for Error {
    fn from(error: failures::Error) -> Self {
        match error {
            failures::Error::Store(error) => Self::Store(error),
            failures::Error::Grant(error) => Self::Grant(error),
            failures::Error::HubSpot(error) => Self::HubSpot(error),
            failures::Error::Page(pages::Error::Plugin { fault, .. }) => Self::Plugin(fault),
            failures::Error::Page(_) | failures::Error::Endless | failures::Error::Ended => {
                Self::Ended
            }
        }
    }
}

/// What is told of an error.
struct Told {
    status: StatusCode,
    word: &'static str,
    title: &'static str,
    detail: String,
}

impl Error {
    /// One thing wrong with a body.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![InputError::new(pointer, detail)])
    }

    /// What people are told, in a sentence or two.
    pub fn detail(&self) -> String {
        self.told().detail
    }

    /// What people are told, a sentence for each thing that is wrong.
    pub fn sentences(&self) -> Vec<String> {
        match self {
            Self::Invalid(errors) => errors.iter().map(|error| sentence(&error.detail)).collect(),
            error => vec![error.detail()],
        }
    }

    /// What people are told, in a few words.
    pub fn title(&self) -> &'static str {
        self.told().title
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.told().status
    }

    fn told(&self) -> Told {
        let told = |status, word, title, detail: String| Told {
            status,
            word,
            title,
            detail,
        };
        match self {
            Self::Unauthenticated => told(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "No good token",
                "Send a token as `Authorization: Bearer TOKEN`; `jimo-connect token create` makes one.".into(),
            ),
            Self::Forbidden(detail) => told(
                StatusCode::FORBIDDEN,
                "forbidden",
                "Not allowed",
                (*detail).into(),
            ),
            Self::NotFound(what) | Self::Store(store::Error::NotFound(what)) => told(
                StatusCode::NOT_FOUND,
                "not-found",
                "Not found",
                format!("There is no such {what} here."),
            ),
            Self::NoSuchMethod => told(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
                "This path does not take this method; /api/v1/openapi.json lists those it takes.".into(),
            ),
            Self::Malformed(detail) => told(
                StatusCode::BAD_REQUEST,
                "malformed",
                "Malformed request",
                detail.clone(),
            ),
            Self::NotJson => told(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "Not JSON",
                "Send the body as JSON, with `Content-Type: application/json`.".into(),
            ),
            Self::TooLarge { bytes_max } => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Body too large",
                format!("Send at most {bytes_max} bytes at once."),
            ),
            Self::Invalid(errors) => told(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Invalid input",
                match errors.as_slice() {
                    [one] => one.detail.clone(),
                    _ => "Nothing was changed; `errors` says what is wrong, and where.".into(),
                },
            ),
            Self::Conflict(detail) | Self::Store(store::Error::Conflict(detail)) => told(
                StatusCode::CONFLICT,
                "conflict",
                "Conflict",
                sentence(detail),
            ),
            Self::Outdated => told(
                StatusCode::PRECONDITION_FAILED,
                "outdated",
                "Changed meanwhile",
                "It was changed since you read it: read it again, and send your change with the new etag.".into(),
            ),
            Self::Late => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "late",
                "Took too long",
                "The host gave up waiting. Look whether it was done, then try again.".into(),
            ),
            Self::NoApp | Self::Grant(grants::Error::NoApp) => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-app",
                "No HubSpot app",
                "This host has no HubSpot app: its operator sets HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET and starts it again.".into(),
            ),
            Self::NoSecret => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-secret",
                "No secret",
                "This host has no secret of that connector: its operator sets JIMO_CONNECTOR_SECRETS and starts it again.".into(),
            ),
            Self::Grant(error) => grant_told(error),
            Self::HubSpot(error) => hubspot_told(error),
            Self::Store(store::Error::Database(sqlite::Error::TookTooLong)) => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "late",
                "Took too long",
                "There are too many users for what was asked. Ask for less at once: fewer rules, or rules of attributes that a saved segment names.".into(),
            ),
            Self::Store(error) if error.is_retryable() => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Busy",
                "The host could not write just now. Try again.".into(),
            ),
            Self::Plugin(plugin::Fault::NotRunning(_)) => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-plugin",
                "No plugin runs",
                "No version of this integration’s plugin runs on this host: its operator installs and activates one. What comes meanwhile is kept.".into(),
            ),
            Self::TooManyStreams => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-streams",
                "Too many streams",
                "Too many streams of events are open: close some, then open this one again.".into(),
            ),
            Self::Store(_) | Self::Log(_) | Self::Plugin(_) | Self::Ended => told(
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                "Failed",
                "The host failed to do this; its log says why. Nothing was changed.".into(),
            ),
        }
    }

    /// Whether the log should keep it: what the caller cannot mend.
    fn is_ours(&self) -> bool {
        matches!(
            self.told().status,
            StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
        )
    }
}

fn grant_told(error: &grants::Error) -> Told {
    let conflict = |detail: &str| Told {
        status: StatusCode::CONFLICT,
        word: "not-connected",
        title: "Not connected",
        detail: detail.into(),
    };
    match error {
        grants::Error::NoGrant => {
            conflict("The connection has no access to HubSpot. Reconnect it.")
        }
        grants::Error::Grant(GrantError::Revoked | GrantError::AccessDenied) => conflict(
            "HubSpot no longer accepts our access to this account. Reconnect it as a HubSpot super admin.",
        ),
        grants::Error::Grant(GrantError::Unavailable(error)) => hubspot_told(error),
        grants::Error::Store(_) | grants::Error::Secrets(_) | grants::Error::Ended => Told {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            word: "failed",
            title: "Failed",
            detail: "The host failed to do this; its log says why. Nothing was changed.".into(),
        },
        grants::Error::Grant(_) | grants::Error::NoApp => Told {
            status: StatusCode::BAD_GATEWAY,
            word: "hubspot",
            title: "HubSpot refused",
            detail: "HubSpot does not accept this host’s app; its operator finds more in the log."
                .into(),
        },
    }
}

fn hubspot_told(error: &hubspot::Error) -> Told {
    let told = |status, word, title, detail: String| Told {
        status,
        word,
        title,
        detail,
    };
    match error {
        hubspot::Error::MissingScopes { scopes } => told(
            StatusCode::CONFLICT,
            "missing-scopes",
            "Permissions are missing",
            format!(
                "HubSpot says that our access lacks permissions ({}). Reconnect, and grant all that is asked for.",
                scopes.join(", ")
            ),
        ),
        hubspot::Error::RateLimited { retry_at, .. } => told(
            StatusCode::SERVICE_UNAVAILABLE,
            "hubspot-limit",
            "Request limit reached",
            format!("The HubSpot account’s request limit is reached. Try again after {retry_at}."),
        ),
        hubspot::Error::Unauthorized => told(
            StatusCode::CONFLICT,
            "not-connected",
            "Not connected",
            "HubSpot does not accept our access to this account. Reconnect it.".into(),
        ),
        error if error.is_retryable() => told(
            StatusCode::BAD_GATEWAY,
            "hubspot-unavailable",
            "HubSpot is unavailable",
            "HubSpot could not be reached, or could not answer. Try again in a while.".into(),
        ),
        _ => told(
            StatusCode::BAD_GATEWAY,
            "hubspot",
            "HubSpot refused",
            "HubSpot refused the call; the host’s log says why.".into(),
        ),
    }
}

/// A message with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let stop = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// The problem alone: [`super::problem::finish`] writes the document.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let is_logged = self.is_ours();
        if is_logged {
            let source = std::error::Error::source(&self).map(ToString::to_string);
            tracing::warn!(error = %self, source, "a request could not be done");
        }
        let told = self.told();
        let errors = match self {
            Self::Invalid(errors) => errors,
            _ => Vec::new(),
        };
        let problem = Problem {
            kind: format!("{TYPE}{}", told.word),
            title: told.title,
            status: told.status.as_u16(),
            detail: told.detail,
            errors,
            request_id: None,
            is_logged,
        };
        let mut response = (told.status, Extension(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if told.status == StatusCode::PAYLOAD_TOO_LARGE {
            // What is left of the body is not read, so nothing can follow it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if told.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"jimo-connect\""),
            );
        }
        response
    }
}
