//! Problem documents (RFC 9457), and how they name what is wrong in a body.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::requests;

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is, for programs.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// What kind of problem it is, for people.
    pub(super) title: &'static str,
    /// The status of the answer.
    pub(super) status: u16,
    /// What is wrong this time, and what to do next.
    pub(super) detail: String,
    /// What is wrong with the body, place by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<InputError>,
    /// What the host's log names the request by; only where it says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    /// Whether the log says more of it.
    #[serde(skip)]
    pub(super) is_logged: bool,
}

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InputError {
    /// Where in the body: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there, for people.
    pub detail: String,
}

impl InputError {
    /// Something wrong at a pointer.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// One step of a JSON pointer, escaped (RFC 6901 §3).
pub fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Writes the documents of problems, with the id of the request where it helps
/// to find what the log says.
pub async fn finish(request: Request, next: Next) -> Response {
    let request_id = requests::id(&request).map(str::to_owned);
    let mut response = next.run(request).await;
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    problem.request_id = request_id.filter(|_| problem.is_logged);
    let kind = HeaderValue::from_static("application/problem+json");
    *response.body_mut() = Json(problem).into_response().into_body();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
