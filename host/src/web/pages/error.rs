//! What goes wrong on pages, and what people are told: what to do next.

use askama::Template;
use axum::{
    Extension,
    response::{IntoResponse, Response},
};
use http::StatusCode;

use super::{Bare, html, see_other};
use crate::{host::Host, members, plugin, sqlite, store, web};

/// Why a page cannot be shown, or a form not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in; the way to sign in is shown.
    #[error("nobody is signed in")]
    SignedOut,
    /// A sign-in link that is not good, or not any more.
    #[error("this sign-in link is not good any more")]
    BadLink,
    /// There is no such thing in this project.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Viewers look and change nothing.
    #[error("viewers cannot change anything")]
    ViewerOnly,
    /// The form is not of a page of this session.
    #[error("the form is not of a page of this session")]
    ForeignForm,
    /// The form cannot be read.
    #[error("the form cannot be read")]
    BadForm,
    /// The form is larger than any that is sent in earnest.
    #[error("the form is too large")]
    LargeForm,
    /// The address has a part that cannot be read.
    #[error("the address cannot be read")]
    BadAddress,
    /// The method is none of this path's.
    #[error("this path has no such method")]
    NoSuchMethod,
    /// It took longer than a request may.
    #[error("the request took too long")]
    Late,
    /// What was filled in cannot be.
    #[error("{0}")]
    Refused(String),
    /// As many live pages are open as may be.
    #[error("too many live pages are open")]
    TooManyStreams,
    /// What the API says of the same.
    #[error(transparent)]
    Api(web::error::Error),
    /// A defect.
    #[error("{0}")]
    Failed(&'static str),
    /// The store.
    #[error(transparent)]
    Store(store::Error),
    /// A template; a defect.
    #[error(transparent)]
    Template(#[from] askama::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound(what) => Self::NotFound(what),
            error @ store::Error::Database(sqlite::Error::TookTooLong) => Self::Api(error.into()),
            error => Self::Store(error),
        }
    }
}

impl From<web::error::Error> for Error {
    fn from(error: web::error::Error) -> Self {
        match error {
            web::error::Error::NotFound(what) => Self::NotFound(what),
            web::error::Error::Store(error) => error.into(),
            error => Self::Api(error),
        }
    }
}

impl From<plugin::Fault> for Error {
    fn from(fault: plugin::Fault) -> Self {
        Self::Api(fault.into())
    }
}

impl From<members::Error> for Error {
    fn from(error: members::Error) -> Self {
        use members::Error as E;
        match error {
            E::BadLink => Self::BadLink,
            E::Store(error) => error.into(),
            E::Wrong | E::TooManyAttempts => Self::Refused(password_refusal(&error).to_owned()),
            E::NoProject => Self::Refused("You are a member of no project any more.".to_owned()),
            E::OthersLink => Self::Refused(
                "This invitation is for another e-mail address than the one you are signed in \
                 with. Sign out, and open the link again."
                    .to_owned(),
            ),
            E::MemberAlready => Self::Refused("This person is a member already.".to_owned()),
            E::TooManyInvitations => Self::Refused("Too many invitations are waiting.".to_owned()),
            E::LastAdmin => Self::Refused(
                "A project needs an admin, and this is the only one. Make another member an \
                 admin first."
                    .to_owned(),
            ),
            E::ElsewhereToo => Self::Refused(
                "This member cannot be given a link from here: they are a member of other \
                 projects as well, operate Jimo Connect, or are you. Whoever runs it can make one."
                    .to_owned(),
            ),
            E::Hash => Self::Failed("a password could not be hashed"),
        }
    }
}

/// What is told where a password is not taken.
pub(super) fn password_refusal(error: &members::Error) -> &'static str {
    match error {
        members::Error::TooManyAttempts => {
            "There were many attempts lately, so this one was not looked at. Take a break, and \
             try again in a quarter of an hour."
        }
        _ => "This is not the password.",
    }
}

/// What a page about an error says.
#[derive(Clone)]
pub(super) struct Problem {
    status: StatusCode,
    title: String,
    detail: String,
    is_of_form: bool,
    /// Whether it is about an integration, or what belongs to one.
    is_of_integration: bool,
}

/// Marks an answer that sends a browser to sign in first.
#[derive(Clone)]
pub(super) struct SignInFirst;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, title, detail) = match &self {
            Self::SignedOut => {
                return (Extension(SignInFirst), see_other("/sign-in")).into_response();
            }
            Self::BadLink => (
                StatusCode::FORBIDDEN,
                "This link is not good any more".to_owned(),
                "It was used already, or its time is over. Ask for a new one.".to_owned(),
            ),
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                format!("There is no such {what}"),
                "It may have been deleted, or belong to another project.".to_owned(),
            ),
            Self::ViewerOnly => (
                StatusCode::FORBIDDEN,
                "You can look, but not change anything".to_owned(),
                "You are signed in as a viewer. Ask an admin of the project.".to_owned(),
            ),
            Self::ForeignForm => (
                StatusCode::FORBIDDEN,
                "This form is out of date".to_owned(),
                "Go back, load the page again, and send it once more.".to_owned(),
            ),
            Self::BadForm => (
                StatusCode::BAD_REQUEST,
                "This form cannot be read".to_owned(),
                "Go back, load the page again, and send it once more.".to_owned(),
            ),
            Self::LargeForm => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "This form is too large".to_owned(),
                "Go back, shorten it, and send it once more.".to_owned(),
            ),
            Self::BadAddress => (
                StatusCode::BAD_REQUEST,
                "This address cannot be read".to_owned(),
                "Something after its question mark is not what it should be.".to_owned(),
            ),
            Self::NoSuchMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This page cannot be opened like that".to_owned(),
                "Its address is for a form, or for looking alone. Begin from a page.".to_owned(),
            ),
            Self::Late => (
                StatusCode::SERVICE_UNAVAILABLE,
                "This took too long".to_owned(),
                "The host gave up waiting. Look whether it was done, then try again.".to_owned(),
            ),
            Self::Refused(detail) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "This could not be saved".to_owned(),
                detail.clone(),
            ),
            Self::TooManyStreams => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many live pages are open".to_owned(),
                "Close some, or load the page again to see what is new.".to_owned(),
            ),
            Self::Api(error) => (error.status(), error.title().to_owned(), error.detail()),
            // It does not go with how things stand by now.
            Self::Store(store::Error::Conflict(_)) => {
                let error = web::error::Error::Conflict(self.to_string());
                (
                    error.status(),
                    "This cannot be done now".to_owned(),
                    error.detail(),
                )
            }
            Self::Store(_) | Self::Template(_) | Self::Failed(_) => {
                tracing::error!(error = %self, "a page could not be made");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something went wrong on our side".to_owned(),
                    "Nothing was changed. Try again in a moment.".to_owned(),
                )
            }
        };
        let problem = Problem {
            status,
            title,
            detail,
            is_of_form: matches!(
                self,
                Self::Refused(_) | Self::BadForm | Self::LargeForm | Self::ForeignForm
            ),
            is_of_integration: matches!(self, Self::NotFound("connection" | "sync")),
        };
        (status, Extension(problem)).into_response()
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    page: Bare,
    detail: String,
    /// The page that the form was sent from.
    form: Option<String>,
    /// Whether the form can be filled in otherwise.
    is_of_form: bool,
    is_of_integration: bool,
    /// What the host's log names the request by, where the log says more.
    request_id: Option<String>,
}

impl Problem {
    /// The page about it, in answer to the request with that id; `form` is
    /// where the form was, where one was sent.
    pub(super) fn page(
        self,
        host: &Host,
        form: Option<String>,
        request_id: Option<String>,
    ) -> Response {
        let is_logged = self.status == StatusCode::INTERNAL_SERVER_ERROR;
        let page = ProblemPage {
            page: Bare::new(host, self.title),
            detail: self.detail,
            // What is not there has no form any more.
            form: form.filter(|_| self.status != StatusCode::NOT_FOUND),
            is_of_form: self.is_of_form,
            is_of_integration: self.is_of_integration,
            request_id: request_id.filter(|_| is_logged),
        };
        match html(&page) {
            Ok(page) => (self.status, page).into_response(),
            Err(_) => self.status.into_response(),
        }
    }
}
