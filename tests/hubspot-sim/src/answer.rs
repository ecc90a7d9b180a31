//! What handlers answer with: a list, a page of one, the outcome of a batch, or nothing.

use axum::extract::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::values::iso;

/// What a handler comes to.
pub(crate) type Answer = Result<Response, Fault>;

/// A success with nothing to say.
pub(crate) fn nothing() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A whole list.
pub(crate) fn listed(results: Vec<Value>) -> Answer {
    Ok(Json(json!({"results": results})).into_response())
}

/// Says in the body of a page where the next one begins, if there is one.
pub(crate) fn with_next(mut body: Value, next: Option<impl ToString>) -> Value {
    if let Some(next) = next {
        body["paging"] = json!({"next": {"after": next.to_string()}});
    }
    body
}

/// What became of a batch: 207, if there are errors beside the results.
pub(crate) fn complete(results: Vec<Value>, errors: Vec<Value>, now: i64) -> Response {
    let mut body = json!({
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(now),
        "completedAt": iso(now),
    });
    if errors.is_empty() {
        return Json(body).into_response();
    }
    body["numErrors"] = json!(errors.len());
    body["errors"] = Value::Array(errors);
    (StatusCode::MULTI_STATUS, Json(body)).into_response()
}
